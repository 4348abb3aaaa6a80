"""What a result cost, everything included: the papers' Table 1 in units that a busy machine cannot spoil.

    table = to_reach(results.load(reference), target="base", labels=8000, speed=Speed(186.5, 560.0))

"Training time" of a technique here is that of every run it needed: the teacher, the source task, the rounds
before, the pairs that were only scored. It is counted in pairs and tokens, and turned into seconds with the
throughput of a quiet machine (`benchmark_selection`), since the studies themselves ran two at a time. Training is
taken to cost in proportion to tokens: a source task with shorter pairs is cheaper by as much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import seo_core.arms.self_training  # noqa: F401  declares them, and those that it needs
from seo_core.lab.arm import BUDGETS, budgets_of, known, recorded, steps

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Speed:
    """Pairs of the target's data a second on a quiet machine: trained on, and only scored."""

    training: float
    scoring: float


def needs(configuration: str, labels: int, budgets: tuple[int, ...] = BUDGETS) -> list[tuple[str, int]]:
    """The runs, as (configuration, labels), without which this one could not have been made; itself is last.

    The order is that of making them, each once. budgets: at which labels are bought. Raises LabError for a
    configuration that no arm has.
    """
    return [(arm.recorded_as, budget) for arm, budget in steps(recorded(configuration).name, labels, budgets)]


def scored(configuration: str, labels: int, profile: str = "cpu") -> int:
    """Pairs that this run alone, without those before it, only scored (ADA's own come from its record)."""
    quick = profile == "quick"
    arm = recorded(configuration)
    if arm.first and labels <= budgets_of(profile)[0]:
        arm = known(arm.first)
    return arm.scored(labels, quick)


def total(frame: pd.DataFrame, configuration: str, labels: int) -> dict[str, float] | None:
    """Pairs and tokens trained on, and pairs scored, for this run and all that it needed: means over seeds.

    frame: `results.load` of the study records. None where one of them has no record.
    """
    frame, cost = _once(frame), {"train_examples": 0.0, "train_tokens": 0.0, "scored": 0.0}
    profile = str(frame["profile"].iloc[-1]) if "profile" in frame and len(frame) else "cpu"
    runs = needs(configuration, labels, budgets_of(profile))
    for name, budget in runs:
        rows = frame[(frame["configuration"] == name) & (frame["labels"] == budget)]
        if rows.empty:
            return None
        for key in ("train_examples", "train_tokens"):
            cost[key] += float(rows[key].mean()) * (1 + _beside(name))
        cost["scored"] += scored(name, budget, profile)
        for need in recorded(name).needs:  # pairs bought for it alone, by a run that is no cost of its own
            bought = known(need.arm).recorded_as
            if need.rows_only and (bought, budget) not in runs:
                cost["scored"] += scored(bought, budget, profile)
        if name == "data-module-wide":  # all that it added, by two teachers
            cost["scored"] += 2 * float(rows["added"].mean())
        if "examples_scored" in rows and rows["examples_scored"].notna().any():
            cost["scored"] += float(rows["examples_scored"].mean())
    return cost


def _beside(configuration: str) -> float:
    """Unlabelled pairs that go forward and backward beside each labelled one: those of TAL's second term."""
    if configuration != "tal":
        return 0.0
    from seo_core.selection import TransferActiveConfig
    from seo_core.settings import RunSettings

    return TransferActiveConfig.unlabelled_batch / RunSettings.batch_size


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Each run once: a run that another chapter measured more on has a record there too."""
    keys = [c for c in ("configuration", "labels", "seed") if c in frame]
    return frame.drop_duplicates(keys, keep="last") if keys else frame


def seconds(cost: dict[str, float], speed: Speed, pair_tokens: float) -> float:
    """Quiet seconds of a `total`; pair_tokens: tokens in a pair of the data that `speed` was measured on.

    `to_reach` takes those of the baseline, which is right where the benchmark and the studies had the same data.
    """
    return cost["train_tokens"] / pair_tokens / speed.training + cost["scored"] / speed.scoring


def to_reach(frame: pd.DataFrame, configurations: dict[str, str], *, labels: int, speed: Speed,
             metric: str = "accuracy_matched") -> pd.DataFrame:
    """What each configuration needs to be as good as `base` with so many labels, on the mean over its seeds.

    configurations: id -> title. One row each: seeds, labels at which the mean first reaches the target, its accuracy,
    pairs trained on and scored, tokens, quiet minutes, minutes over the baseline's, and all numbers of labels that were
    run. "not reached" with the best accuracy found, "not run" without records. Only budgets that were run are
    looked at: nothing is interpolated.
    """
    import pandas as pd

    known = _once(frame[frame["labels"].notna() & frame[metric].notna()]) if "labels" in frame else frame.iloc[:0]
    if len(known):
        means = known.groupby(["configuration", "labels"])[metric].agg(["mean", "size"])
    if known.empty or ("base", labels) not in means.index:
        return pd.DataFrame({"configuration": list(configurations.values()), "labels": "not run"},
                            index=pd.Index(list(configurations), name="id"))
    target, cost = means.loc[("base", labels), "mean"], total(known, "base", labels)
    pair_tokens = cost["train_tokens"] / cost["train_examples"]
    baseline = seconds(cost, speed, pair_tokens)
    rows = []
    for name, title in configurations.items():
        row = {"configuration": title, "seeds": "—", "labels": "not run", "accuracy, %": "—", "pairs trained on": "—",
               "tokens": "—", "pairs scored": "—", "minutes, quiet": "—", "of the baseline's": "—", "labels run": "—"}
        mine = means.loc[name] if name in means.index.get_level_values(0) else means.iloc[:0]
        good = mine[mine["mean"] >= target] if len(mine) else mine
        if len(mine):
            row["labels run"] = ", ".join(f"{budget:.0f}" for budget in mine.index)
        if len(mine) and good.empty:
            best = mine["mean"].idxmax()
            row.update({"labels": f"not reached with {best:.0f}", "seeds": f"{mine.loc[best, 'size']:.0f}",
                        "accuracy, %": f"{100 * mine.loc[best, 'mean']:.2f}"})
        elif len(good):
            first = good.index.min()
            row.update({"labels": f"{first:.0f}", "seeds": f"{good.loc[first, 'size']:.0f}",
                        "accuracy, %": f"{100 * good.loc[first, 'mean']:.2f}"})
            cost = total(known, name, int(first))
            if cost is not None:
                time = seconds(cost, speed, pair_tokens)
                row.update({"pairs trained on": f"{cost['train_examples']:.0f}",
                            "tokens": f"{cost['train_tokens']:.0f}", "pairs scored": f"{cost['scored']:.0f}",
                            "minutes, quiet": f"{time / 60:.1f}", "of the baseline's": f"{time / baseline:.2f}"})
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(list(configurations), name="id"))


def quiet_speed(contestants: pd.DataFrame) -> Speed:
    """Throughput of training and of scoring, from the latest record of `benchmark_selection` that has both.

    contestants: `results.load_contestants`. From one record, since a ratio of two machines' speeds is no cost. Raises
    LookupError naming the benchmark that has not been run.
    """
    rows = contestants[contestants["experiment"] == "bench_selection"]
    for _, run in reversed(list(rows.groupby("finished"))):
        speed = run.set_index("contestant")["examples_per_second"]
        if {"fit", "features"} <= set(speed.index):
            return Speed(float(speed["fit"]), float(speed["features"]))
    raise LookupError("no record of bench_selection with 'fit' and 'features': run `python -m "
                      "seo_core.run bench selection` on a quiet machine, and put its record beside the others")
