"""What a result cost, everything included: the papers' Table 1 in units that a busy machine cannot spoil.

    table = to_reach(results.load(reference), target="base", labels=8000, speed=Speed(186.5, 560.0))

"Training time" of a technique here is that of every run it needed: the teacher, the source task, the rounds before, the
pairs that were only scored. It is counted in pairs and tokens, and turned into seconds with the throughput of a quiet
machine (`bench selection`), since the studies themselves ran two at a time. Training costs in proportion to tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

import seo_core.arms.self_training  # noqa: F401  declares them, and those that it needs
from seo_core.lab.arm import BUDGETS, budgets_of, known, recorded, steps
from seo_core.selection import TransferActiveConfig
from seo_core.settings import RunSettings

# unlabelled pairs that go forward and backward beside each labelled one: those of TAL's second term
UNLABELLED_SHARE = TransferActiveConfig.unlabelled_batch / RunSettings.batch_size
MATCHED = "accuracy_matched"
_COUNTED = ("train_examples", "train_tokens", "added", "examples_scored")
_COLUMNS = ["configuration", "seeds", "labels", "accuracy, %", "pairs trained on", "tokens", "pairs scored",
            "minutes, quiet", "of the baseline's", "labels run"]


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
    arm = recorded(configuration)
    if arm.first and labels <= budgets_of(profile)[0]:
        arm = known(arm.first)
    return arm.scored(labels, profile == "quick")


def total(frame: pd.DataFrame, configuration: str, labels: int) -> dict[str, float] | None:
    """Pairs and tokens trained on, and pairs scored, for this run and all that it needed: means over seeds. frame:
    `results.load` of the study records. None where one of them has no record."""
    profile = str(frame["profile"].iloc[-1]) if "profile" in frame and len(frame) else "cpu"
    runs, means = needs(configuration, labels, budgets_of(profile)), _means(frame, *_COUNTED)
    if not set(runs) <= set(means.index):
        return None
    cost = dict.fromkeys(("train_examples", "train_tokens", "scored"), 0.0)
    for name, budget in runs:
        row = means.loc[(name, budget)].fillna({"added": 0.0, "examples_scored": 0.0})
        for key in ("train_examples", "train_tokens"):
            cost[key] += row[key] * (1 + UNLABELLED_SHARE * (name == "tal"))
        # its own, those of pairs bought for it alone by a run that is no cost of its own, and what two teachers added
        bought = [known(need.arm).recorded_as for need in recorded(name).needs if need.rows_only]
        for other in (name, *(other for other in bought if (other, budget) not in runs)):
            cost["scored"] += scored(other, budget, profile)
        cost["scored"] += 2 * row["added"] * (name == "data-module-wide") + row["examples_scored"]
    return cost


def _means(frame: pd.DataFrame, *metrics: str) -> pd.DataFrame:
    """Means of the metrics by (configuration, labels), and "seeds", how many there are. Each run counts once: one that
    another chapter measured more on has a record there too."""
    keys = ["configuration", "labels"]
    once = frame.drop_duplicates([key for key in (*keys, "seed") if key in frame], keep="last")
    once = once.set_index(keys).reindex(columns=[*metrics]).astype(float).groupby(level=keys)
    return once.mean().assign(seeds=once.size())


def seconds(cost: dict[str, float], speed: Speed, pair_tokens: float) -> float:
    """Quiet seconds of a `total`; pair_tokens: tokens in a pair of the data that `speed` was measured on. `to_reach`
    takes those of the baseline, which is right where the benchmark and the studies had the same data."""
    return cost["train_tokens"] / pair_tokens / speed.training + cost["scored"] / speed.scoring


def to_reach(frame: pd.DataFrame, configurations: dict[str, str], *, labels: int, speed: Speed) -> pd.DataFrame:
    """What each configuration needs to be as good as `base` with so many labels, on the mean over its seeds.

    configurations: id -> title. One row each: seeds, labels at which the mean first reaches the target, its accuracy,
    pairs trained on and scored, tokens, quiet minutes, minutes over the baseline's, and all numbers of labels that were
    run, between which nothing is interpolated. "not reached" with the best accuracy found, "not run" without records.
    """
    measured = frame.dropna(subset=["labels", MATCHED]) if "labels" in frame else frame.iloc[:0]
    means = _means(measured, MATCHED) if len(measured) else pd.DataFrame()
    if ("base", labels) not in means.index:
        return pd.DataFrame({"configuration": list(configurations.values()), "labels": "not run"},
                            index=pd.Index(list(configurations), name="id"))
    target, cost = means.at[("base", labels), MATCHED], total(measured, "base", labels)
    pair_tokens = cost["train_tokens"] / cost["train_examples"]
    baseline = seconds(cost, speed, pair_tokens)
    table = pd.DataFrame("—", index=pd.Index(list(configurations), name="id"), columns=_COLUMNS)
    for name, title in configurations.items():
        table.loc[name, ["configuration", "labels"]] = title, "not run"
        if name not in means.index:
            continue
        curve = means.loc[name]
        reached = curve[MATCHED] >= target
        at = reached.idxmax() if reached.any() else curve[MATCHED].idxmax()  # the first that does, or the best
        table.loc[name, ["seeds", "labels", "accuracy, %", "labels run"]] = (
            f"{curve.at[at, 'seeds']:.0f}", f"{at:.0f}" if reached.any() else f"not reached with {at:.0f}",
            f"{100 * curve.at[at, MATCHED]:.2f}", ", ".join(f"{budget:.0f}" for budget in curve.index))
        cost = total(measured, name, int(at)) if reached.any() else None
        if cost is not None:
            time = seconds(cost, speed, pair_tokens)
            table.loc[name, ["pairs trained on", "tokens", "pairs scored", "minutes, quiet", "of the baseline's"]] = (
                *(f"{cost[key]:.0f}" for key in ("train_examples", "train_tokens", "scored")),
                f"{time / 60:.1f}", f"{time / baseline:.2f}")
    return table


def quiet_speed(contestants: pd.DataFrame) -> Speed:
    """Throughput of training and scoring in `results.load_contestants`, from the latest record that has both: a ratio
    of two machines' speeds is no cost. Raises LookupError naming the benchmark that has not been run."""
    rows = contestants[contestants["experiment"] == "bench_selection"]
    for _, run in reversed(list(rows.groupby("finished"))):
        speed = run.set_index("contestant")["examples_per_second"]
        if {"fit", "features"} <= set(speed.index):
            return Speed(float(speed["fit"]), float(speed["features"]))
    raise LookupError("no record of bench_selection with 'fit' and 'features': run `python -m "
                      "seo_core.run bench selection --profile cpu` on a quiet machine, and put its record beside the "
                      "others")
