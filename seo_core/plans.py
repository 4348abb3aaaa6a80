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

import numpy as np

from seo_core.settings import RunSettings, load_settings, suggest
from seo_core.studies import BUDGETS, Run, Study, StudyError, open_study, source_model

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


# ---------------------------------------------------------------------------------------------
# Active learning. Every arm starts from the source task and has the same loss L_TL = cross-entropy + L2-SP pull

ACTIVE = "06_active_learning"
CANDIDATES = 8000  # unlabelled pairs scored in a round; under `quick`:
QUICK_CANDIDATES = 512
BETA = 0.01  # of the L2-SP pull; the order that Li et al. (2018) found to work, not tuned here


def transfer_loss(model):
    """L_TL: cross-entropy plus the L2-SP pull towards the weights that the source task left."""
    from seo_core.transfer import with_l2_sp

    return with_l2_sp(model, BETA)


def acquire(strategy: str, *, scratch: bool = False) -> Callable[[Study, int], Run]:
    """The arm that buys by `strategy`, round by round over the study's budgets, and trains anew on all it has.

    The first budget is bought at random, the same pairs in every arm. In each later round a fresh sample of the pool is
    scored by the model of the round before. scratch: the same from new weights and without a source task.
    """
    suffix = "-scratch" if scratch else ""
    common = dict(start="scratch", training={"freeze_embeddings": False}) if scratch else dict(loss=transfer_loss)

    def arm(study: Study, labels: int) -> Run:
        start = common if scratch else {**common, "start": source_model(study.settings)}
        begin = study.budgets[0]
        if strategy == "random" or labels == begin:
            return study.of(ACTIVE).train(f"random{suffix}", study.random_rows(labels), keep=True, **start)
        rounds = [b for b in study.budgets if b < labels]
        before = arm(study, rounds[-1])
        rows = np.concatenate([before.rows, buy(study, strategy, before, labels, len(rounds))])
        return study.of(ACTIVE).train(f"{strategy}{suffix}", rows, keep=True, **start)

    return arm


def buy(study: Study, strategy: str, before: Run, labels: int, number: int) -> np.ndarray:
    """Pool positions of the pairs that raise the labels of `before` to `labels`, chosen by its model."""
    from seo_core.selection import select

    size = QUICK_CANDIDATES if study.settings.profile == "quick" else CANDIDATES
    candidates = study.candidates(before.rows, number, size)
    rng = np.random.default_rng([study.settings.seed, 59, number])
    picked = select(strategy, before.model(), study.sealed.take(candidates), labels - len(before.rows), rng)
    return candidates[picked]


PLANS: dict[str, dict[str, tuple[Callable, tuple[int, ...]]]] = {
    TRANSFER: {"base": (base, (500, 1000, 2000, 4000, 8000)), "scratch": (scratch, (8000,)),
               "tl": (transfer, (8000,))},
    ACTIVE: {name: (acquire(name), BUDGETS) for name in (
        "random", "entropy", "badge", "hybrid", "margin", "least_confidence", "bald")},
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
