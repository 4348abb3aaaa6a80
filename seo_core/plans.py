"""What each data-efficiency chapter trains: arms × label budgets, as functions of a study.

    runs = run("05_transfer_learning", settings)                       # all arms of the chapter, for one seed
    runs = run("05_transfer_learning", settings, arms=["base"], labels=[2000])

    python -m seo_core.plans 06_active_learning --arms random entropy --profile cpu --data path/to/mnli --seed 1

Each arm is one function `arm(study, labels) -> Run`. A run that has its record is skipped, so the command can be
stopped and given again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable

from seo_core.settings import RunSettings, load_settings, suggest
from seo_core.studies import Run, Study, StudyError, open_study, source_model

TRANSFER = "05_transfer_learning"


def base(study: Study, labels: int) -> Run:
    """Supervised on random labels from the pre-trained start: what every technique is compared with.

    Shared by all chapters, so it lies with the chapter on transfer learning, where pre-training is one arm. Its weights
    are kept: other arms have it as their teacher.
    """
    return study.of(TRANSFER).train("base", study.random_rows(labels), keep=True)


def scratch(study: Study, labels: int) -> Run:
    """The same architecture from new weights, word table trained too."""
    return study.train("scratch", study.random_rows(labels), start="scratch", training={"freeze_embeddings": False})


def transfer(study: Study, labels: int) -> Run:
    """Random labels from a network trained on the source task."""
    return study.train("tl", study.random_rows(labels), start=source_model(study.settings))


PLANS: dict[str, dict[str, tuple[Callable, tuple[int, ...]]]] = {
    TRANSFER: {"base": (base, (500, 1000, 2000, 4000, 8000)), "scratch": (scratch, (8000,)),
               "tl": (transfer, (8000,))},
}


def run(experiment: str, settings: RunSettings, *, arms: Iterable[str] | None = None,
        labels: Iterable[int] | None = None, report: Callable = lambda text: None) -> list[Run]:
    """Runs the chapter's arms (default: all) at their label budgets (default: the plan's; under `quick` the largest
    quick budget) and returns them. `report` gets one line per run. Raises StudyError for an unknown name."""
    if experiment not in PLANS:
        raise StudyError(f"no plan for {experiment!r}{suggest(experiment, PLANS)}")
    plan = PLANS[experiment]
    for arm in arms or ():
        if arm not in plan:
            raise StudyError(f"{experiment} has no arm {arm!r}{suggest(arm, plan)}")
    study, runs = open_study(experiment, settings), []
    quick = (study.budgets[-1],) if settings.profile == "quick" else None
    for name in arms or plan:
        function, budgets = plan[name]
        for budget in labels or quick or budgets:
            runs.append(function(study, budget))
            report(f"{name:16s} {budget:6d} labels  matched {100 * runs[-1].metrics['accuracy_matched']:.2f}%")
    return runs


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m seo_core.plans", description=__doc__.split("\n")[0])
    parser.add_argument("experiment", choices=sorted(PLANS))
    parser.add_argument("--arms", nargs="+", metavar="ARM")
    parser.add_argument("--labels", nargs="+", type=int, metavar="N")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    for name in ("data", "model", "source", "results-dir"):
        parser.add_argument(f"--{name}", default="default")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(given.profile, seed=given.seed, data=given.data, model=given.model,
                                 source=given.source, results_dir=given.results_dir)
        run(given.experiment, settings, arms=given.arms, labels=given.labels,
            report=lambda text: print(text, flush=True))
    except (ValueError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
