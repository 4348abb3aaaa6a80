"""Label efficiency: accuracy over the number of labels, and how many labels a method needs to match another.

    curves = label_curves(results.reference_dir() / "cpu" / "06_active_learning")
    labels_to_match(curves, target="random", at=8000)["badge"]       # labels, interval, and a sentence
    gains(curves, target="random")                                   # differences at equal labels

`labels needed to match random at 8 000`: the goal is random's mean accuracy with that many labels, and the method's
curve, linear in the logarithm of the labels between its budgets, says where it is reached for good. An arm whose first
budget is bought at random shares that run with the control, so its curve begins with the control's. The interval holds
the numbers of labels at which the curve is not told apart from the goal: the difference to it has the interval of
`contrasts.differences` at each budget, linear between them as well. That is wide enough: a mixture of two differences
has at most the mixture of their standard errors.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.analysis import NOT_RUN_YET, contrasts, statistics
from seo_core.analysis.tables import holm_text, rows_or
from seo_core.selection.maps import BINS, REGIONS

COLUMNS = ("configuration", "seed", "labels", "accuracy", "correct", "path")
CONTROL = "random"  # bought without a choice
_TRIAL = "-rate-"  # in the name of a run that tries a rate


class EfficiencyError(ValueError):
    """Curves that cannot be compared; the message says what is missing."""


class Match(NamedTuple):
    """Labels needed to reach the goal, with a 95% interval. math.inf: not within the budgets.
    n: seeds behind it. goal: the control's accuracy. statement: the result as a sentence. top: the largest budget that
    was run."""

    labels: float
    low: float
    high: float
    n: int
    goal: float
    statement: str
    top: int


def label_curves(*folders, metrics: Sequence[str] = ("accuracy_matched",)) -> pd.DataFrame:
    """One row per run under the folders: configuration, seed, labels, accuracy, correct, path; sorted.

    accuracy: the mean of `metrics`. correct: (n,) bool, the official sets of these metrics end to end, or None where
    a record kept no predictions. labels: the metric of that name, else the parameter, else train_rows. Of several
    records of one configuration, seed and number of labels the latest counts. Records without the metrics are left out;
    no records give an empty frame with the same columns.
    """
    rows = []
    for record in results.load_records(*folders):
        measured, parameters = record["metrics"], record["parameters"]
        labels = measured.get("labels", parameters.get("labels", parameters.get("train_rows")))
        if labels is not None and set(metrics) <= set(measured):
            rows.append((record["configuration"], record["seed"], int(labels),
                         float(np.mean([measured[m] for m in metrics])), contrasts.correctness(record["path"], metrics),
                         record["path"], record["provenance"]["finished"]))
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "finished"]).sort_values("finished")
    frame = frame.drop_duplicates(["configuration", "seed", "labels"], keep="last")
    return frame.sort_values(["configuration", "labels", "seed"], ignore_index=True)[list(COLUMNS)]


def crossing(labels: Sequence[float], accuracies: Sequence[float], goal: float) -> float:
    """Labels from which on the curve stays at or above `goal`, log-linear between its points.
    labels (m,) rising, accuracies (m,); NaN accuracies are left out. The first point's labels where all of the curve is
    at or above the goal (the truth may be lower); math.inf where its last point is below."""
    known = [(x, y) for x, y in zip(labels, accuracies, strict=True) if not math.isnan(y)]
    if not known or known[-1][1] < goal:
        return math.inf
    below = [i for i, (_, y) in enumerate(known) if y < goal]
    if not below:
        return float(known[0][0])
    (x0, y0), (x1, y1) = known[below[-1]], known[below[-1] + 1]
    return float(x0 * (x1 / x0) ** ((goal - y0) / (y1 - y0)))


def loss_curves(records: Iterable[Mapping]) -> pd.DataFrame:
    """Development loss over the pairs seen: configuration, seed, pairs, loss; of records (`results.load_records`), a
    row for each evaluation. Pairs are counted with their repeats."""
    rows = [(record["configuration"], record["seed"], round(epoch * record["metrics"]["train_examples"] / last), loss)
            for record in records if (series := record["series"]).get("development_loss")
            for last in [series["epoch"][-1]]
            for epoch, loss in zip(series["epoch"], series["development_loss"], strict=True)]
    return pd.DataFrame(rows, columns=["configuration", "seed", "pairs", "loss"])


def pairs_needed(curves: pd.DataFrame, target: str, names: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Pairs that each configuration of `loss_curves` saw until its loss was for good at or below the target's last one
    of the same seed (`crossing`), as mean over seeds, and as a share of what the target itself needed. names:
    configuration -> title of a row, in that order. One row "not run" without the target's curve."""
    columns = ["configuration", "loss at the end", "pairs until the target's loss", "of the target's", "seeds"]
    runs = {key: run for key, run in curves.groupby(["configuration", "seed"], sort=False)}
    rows = []
    for name in names or curves["configuration"].unique():
        seeds = [seed for other, seed in runs if other == name and (target, seed) in runs]
        goals = {seed: runs[target, seed]["loss"].iloc[-1] for seed in seeds}
        needed, control = (np.array([crossing(runs[who, seed]["pairs"], -runs[who, seed]["loss"], -goals[seed])
                                     for seed in seeds]) for who in (name, target))
        if seeds:
            reached = np.isfinite(needed).all()
            last = np.mean([runs[name, seed]["loss"].iloc[-1] for seed in seeds])
            rows.append(((names or {}).get(name, name), f"{last:.3f}",
                         f"{needed.mean():,.0f}".replace(",", "\u00a0") if reached else "not reached",
                         f"{(needed / control).mean():.2f}" if reached else "—", len(seeds)))
    return rows_or(rows, columns if rows else columns[:1])


def by_batch(records: Iterable[Mapping], names: Mapping[str, str]) -> pd.DataFrame:
    """Accuracy over the batch, of the records of the chapter on optimizers but the trials of a rate: name (optimizer,
    rule), batch, value in percent, rows: "matched set", or "development rows" where a record is sealed from it. The run
    in the batch that the rate is of is where both rules begin. names: optimizer -> its title."""
    runs = [record for record in records if _TRIAL not in record["configuration"]]
    where = {contrasts.OFFICIAL[0]: "matched set", contrasts.DEVELOPMENT: "development rows"}
    metric = next((m for m in where if all(m in record["metrics"] for record in runs)), contrasts.DEVELOPMENT)
    rows = [(f"{names[recipe['optimizer']]}, {rule}", recipe["batch_size"], 100 * accuracy, where[metric])
            for record in runs
            for accuracy in [record["metrics"].get(metric)] if accuracy is not None
            for recipe in [record["parameters"]["recipe"]]
            for rule in (("root", "linear") if recipe["batch_size"] == recipe["base"] else (recipe["rule"],))]
    frame = pd.DataFrame(rows, columns=["name", "batch", "value", "rows"])
    return frame.sort_values(["name", "batch"], ignore_index=True)


def rate_trials(records: Iterable[Mapping], names: Mapping[str, str]) -> pd.DataFrame:
    """The rates that were tried: optimizer, rate, development accuracy at the end, seed, of the trials ("…-rate-…" in
    their names) and, where its rate has none, of the arm itself at their seeds; one row "not run" without any."""
    ends = {}  # trials last: of equal runs they count
    for record in sorted(records, key=lambda record: _TRIAL in record["configuration"]):
        recipe = record["parameters"]["recipe"]
        if recipe["batch_size"] == recipe["base"]:
            ends[names[recipe["optimizer"]], recipe["learning_rate"], record["seed"]] = (
                f"{100 * record['series']['development_accuracy'][-1]:.2f}", _TRIAL in record["configuration"])
    tried = {seed for (*_, seed), (_, trial) in ends.items() if trial}
    rows = [(title, rate, end, seed) for (title, rate, seed), (end, _) in sorted(ends.items()) if seed in tried]
    columns = ["optimizer", "rate at a batch of 32", "development accuracy, %", "seed"]
    return rows_or(rows, columns if rows else columns[:1])


def rates_tried(trials: pd.DataFrame) -> dict[str, tuple[int, float]]:
    """Optimizer -> how many rates `rate_trials` has of it, and the best; {} for none."""
    if "seed" not in trials:
        return {}
    best = trials.astype({trials.columns[2]: float}).sort_values(trials.columns[2], ascending=False)
    return {title: (rows.iloc[:, 1].nunique(), float(rows.iloc[0, 1])) for title, rows in best.groupby("optimizer")}


def labels_to_match(curves: pd.DataFrame, target: str = CONTROL, at: int = 8000) -> dict[str, Match]:
    """Configuration -> `Match`: labels needed for the accuracy that `target` has with `at` labels.

    curves: columns configuration, seed, labels, accuracy and, where there are predictions, correct, as `label_curves`
    gives. A configuration is compared over the seeds that have a run at *each* of its budgets and at the goal, so that
    all points of a curve stand on the same seeds; below its smallest budget its curve is the target's, where the target
    has these seeds. Configurations without such a seed are left out. An empty frame gives an empty dict. Raises
    EfficiencyError where the target has no run with `at` labels.
    """
    if curves.empty:
        return {}
    goal = curves[(curves["configuration"] == target) & (curves["labels"] == at)]
    if goal.empty:
        have = sorted(curves.loc[curves["configuration"] == target, "labels"].unique())
        raise EfficiencyError(f"no run of {target!r} with {at} labels to match; its budgets are "
                              f"{', '.join(map(str, have)) or 'none'}: pass at= one of them")
    matches = {}
    for name, own in curves.groupby("configuration", sort=False):
        budgets = own.groupby("seed")["labels"].nunique()
        seeds = sorted(set(goal["seed"]) & set(budgets.index[budgets == own["labels"].nunique()]))
        if name != target and seeds:
            runs = with_start(curves, name, target, seeds)
            matches[name] = _match(runs, goal, name, target, at, seeds)
    return matches


def with_start(curves: pd.DataFrame, name: str, target: str, seeds: Sequence[int] | None = None) -> pd.DataFrame:
    """The runs of a configuration, led by those of the target's same seeds at budgets below its smallest.
    seeds: which all must have a budget for it to be taken."""
    runs = curves[curves["configuration"] == name]
    start = curves[(curves["configuration"] == target) & (curves["labels"] < runs["labels"].min())
                   & curves["seed"].isin(runs["seed"])]
    if seeds is not None:
        start = start.groupby("labels").filter(lambda group: set(seeds) <= set(group["seed"]))
    return pd.concat([start, runs])


def _match(runs, goal, name, target, at, seeds) -> Match:
    budgets = sorted(runs["labels"].unique())
    points = [rows.set_index("seed").loc[seeds] for rows in (*(runs[runs["labels"] == b] for b in budgets), goal)]
    accuracy = [point["accuracy"].to_numpy(float) for point in points]
    correct = [list(point["correct"]) if "correct" in point else [None] * len(seeds) for point in points]
    gaps = [statistics.contrast_interval((1, -1), (own, accuracy[-1]), (right, correct[-1]))
            for own, right in zip(accuracy[:-1], correct[:-1], strict=True)]
    labels, low, high = (crossing(budgets, [getattr(gap, end) for gap in gaps], 0.0)
                         for end in ("difference", "high", "low"))
    if any(math.isnan(gap.low) for gap in gaps):
        low = high = math.nan
    level = float(accuracy[-1].mean())
    match = Match(labels, low, high, len(seeds), level, "", int(budgets[-1]))
    return match._replace(statement=_statement(match, name, target, at, budgets[0], level + gaps[-1].difference))


def _statement(match: Match, name: str, target: str, at: int, first: int, last: float) -> str:
    """The result as a sentence. first: the smallest budget; last: the accuracy at the largest."""
    goal, seeds = f"{target}'s {100 * match.goal:.2f}% at {at:,}", f"({match.n} seed{'s' if match.n > 1 else ''})"
    if math.isfinite(match.labels):
        most = "at most " if match.labels <= first else ""
        text = f"{name} needs {most}{match.labels:,.0f} labels for {goal} {seeds}"
    else:
        text = f"{name} does not reach {goal} labels within its {match.top:,}: it ends at {100 * last:.2f}% {seeds}"
    if math.isnan(match.low):
        return text
    return f"{text}; 95% interval {_interval_text(match)}" + ", examples only" * (match.n == 1)


def _bound(value: float, top: int) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else f"more than {top:,}"


def _interval_text(match: Match) -> str:
    if math.isnan(match.low):
        return "—"
    low, high = (_bound(end, match.top) for end in (match.low, match.high))
    return f"{low} to {high}" if math.isfinite(match.low) else f"{low} at either end"


def match_table(curves: pd.DataFrame, target: str = CONTROL, at: int = 8000, *,
                matches: dict[str, Match] | None = None) -> pd.DataFrame:
    """`labels_to_match` as a table: configuration, labels needed, 95% interval, labels saved (%), seeds.
    matches: what `labels_to_match` gave, where that was called already. One row "not run yet" where there is nothing to
    compare or the target lacks the budget."""
    try:
        matches = labels_to_match(curves, target, at) if matches is None else matches
    except EfficiencyError:
        matches = {}
    rows = []
    for name, match in matches.items():
        saved = f"{100 * (1 - min(match.labels, match.top) / at):.0f}"
        if not math.isfinite(match.labels):  # where the curve ended before `at` labels, all that is known is a bound
            saved = "none" if match.top >= at else f"less than {saved}"
        rows.append((name, _bound(match.labels, match.top), _interval_text(match), saved, match.n))
    return pd.DataFrame(rows or [(NOT_RUN_YET, "—", "—", "—", 0)],
                        columns=["configuration", "labels needed", "95% interval", "labels saved, %", "seeds"])


def gains(curves: pd.DataFrame, target: str = CONTROL) -> pd.DataFrame:
    """Accuracy minus the target's at equal labels, in points, over the shared seeds, with 95% intervals.
    The columns of `contrasts.differences`, led by configuration: paired by seed and example where predictions were
    kept, else by seed (a t interval; NaN bounds for one seed). Empty where nothing can be compared."""
    arms = {name: target for name in sorted(set(curves["configuration"]) - {target})}
    table = contrasts.differences(curves, arms, ["accuracy"])
    table.insert(0, "configuration", [contrast.removesuffix(f" − {target}") for contrast in table["contrast"]])
    return table.sort_values(["configuration", "labels"], ignore_index=True)


def by_budget(curves: pd.DataFrame) -> pd.DataFrame:
    """`label_curves` with the number of labels in the name, "random at 8,000", so that runs with different numbers can
    be compared: for `compare`, and for sentences (`findings.Evidence(frame=…)`)."""
    names = list(map("{} at {:,}".format, curves["configuration"], curves["labels"]))
    return curves.assign(configuration=names)


def compare(curves: pd.DataFrame, pairs: Sequence[tuple[tuple[str, int], tuple[str, int]]]) -> pd.DataFrame:
    """Accuracy of one (configuration, labels) minus that of another, over the shared seeds: the table of a claim.
    Columns compared, labels saved (%), difference, low, high (points, 95% interval as in `gains`), seeds, p. A pair
    that has not been run on both sides is left out."""
    at = "{} at {:,}".format
    named = [(at(*run), at(*other)) for run, other in pairs]
    table = contrasts.differences(by_budget(curves), named, ["accuracy"], labels=None)
    saved = {f"{at(*run)} − {at(*other)}": round(100 * (1 - run[1] / other[1]), 1) for run, other in pairs}
    compared = [contrast.replace(" − ", " against ") for contrast in table["contrast"]]
    shares = pd.Series([saved[contrast] for contrast in table["contrast"]], dtype=float)
    return pd.DataFrame({"compared": compared, "labels saved, %": shares,
                         **table[["difference", "low", "high", "seeds", "p"]]})


def plateau_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Where the papers' stopping rule (`selection.plateau`) would have ended each arm's purchase: one point, one round.
    Columns configuration, accuracy, % (mean over seeds at each budget), stops at (labels, or "does not stop"). One row,
    "not run yet", without curves."""
    from seo_core.selection import plateau

    rows = []
    for name in curves["configuration"].unique():
        means = with_start(curves, name, CONTROL).groupby("labels")["accuracy"].mean()
        ends = [n for i, n in enumerate(means.index, 1) if plateau(means.iloc[:i], window=1, tolerance=0.01)]
        rows.append((name, " → ".join(f"{100 * v:.1f}" for v in means), f"{ends[0]:,}" if ends else "does not stop"))
    return rows_or(rows, ["configuration", "accuracy, %", "stops at"], NOT_RUN_YET)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `gains` or `compare` for a page: points with sign, the interval in one column, what is left of each
    row in its family (`tables.holm_text`); or "not run yet"."""
    names = [c for c in ("compared", "configuration", "labels saved, %", "labels") if c in table]
    intervals = ["—" if math.isnan(row.low) else f"{row.low:+.2f} to {row.high:+.2f}" for row in table.itertuples()]
    page = table[names].assign(**{"difference, points": table["difference"].map("{:+.2f}".format),
                                  "95% interval": intervals, "seeds": table["seeds"], "after Holm": holm_text(table)})
    return rows_or([], page.columns, NOT_RUN_YET) if page.empty else page


def _arms(records: Sequence[dict]) -> list[str]:
    """The arms of maps, the control first."""
    arms = {name.removeprefix("map_pairs_") for r in records for name in r["metrics"] if name.startswith("map_pairs_")}
    return sorted(arms, key=lambda name: (name != CONTROL, name))


def latest_maps(records: Sequence[dict]) -> list[dict]:
    """Of the records with a map, the one with most arms for each seed, then the latest."""
    with_map = [r for r in records if "map_cut" in r["metrics"]]
    with_map.sort(key=lambda r: (len(_arms([r])), r["provenance"]["finished"]))
    fullest = {record["seed"]: record for record in with_map}
    return [fullest[seed] for seed in sorted(fullest)]


def map_table(records: Sequence[dict]) -> pd.DataFrame:
    """Where each arm's purchase lies: means over the seeds' maps, shares in percent.
    records: of `results.load_records`; of each seed the fullest map counts. Columns arm, seeds, pairs (of one seed),
    easy, ambiguous, hard, never right, confidence, variability, and `hard − random`, with low and high: points, and a
    95% interval over the pairs of all seeds as if they were drawn apart (NaN for the control). Empty without a map."""
    maps, rows = latest_maps(records), []
    for arm in _arms(maps):
        measured = [r["metrics"] for r in maps if f"map_pairs_{arm}" in r["metrics"]]
        mean = {key: float(np.mean([m[f"map_{key}_{arm}"] for m in measured]))
                for key in ("pairs", *REGIONS, "never_right", "confidence", "variability")}
        gap = half = math.nan
        if arm != CONTROL:
            gap = float(np.mean([m[f"map_hard_{arm}"] - m[f"map_hard_{CONTROL}"] for m in measured]))
            half = 1.96 * math.sqrt(sum(m[f"map_hard_{a}"] * (1 - m[f"map_hard_{a}"]) / m[f"map_pairs_{a}"]
                                        for m in measured for a in (arm, CONTROL)) / len(measured) ** 2)
        rows.append((arm, len(measured), round(mean["pairs"]), *(100 * mean[region] for region in REGIONS),
                     100 * mean["never_right"], mean["confidence"], mean["variability"], 100 * gap,
                     100 * (gap - half), 100 * (gap + half)))
    return pd.DataFrame(rows, columns=["arm", "seeds", "pairs", *REGIONS, "never right", "confidence", "variability",
                                       f"hard − {CONTROL}", "low", "high"])


def map_page(table: pd.DataFrame) -> pd.DataFrame:
    """`map_table` for a page: rounded, the interval in one column; one row "not run yet" without a map."""
    if table.empty:
        return rows_or([], ["arm"], NOT_RUN_YET)
    gap, shares = f"hard − {CONTROL}", [*REGIONS, "never right"]
    digits = {**dict.fromkeys(shares, 1), "confidence": 3, "variability": 3}
    page = table.drop(columns=[gap, "low", "high"]).round(digits)
    page[f"{gap}, points"] = ["—" if math.isnan(d) else f"{d:+.1f} [{a:+.1f}, {b:+.1f}]"
                              for d, a, b in zip(table[gap], table["low"], table["high"], strict=True)]
    return page.rename(columns={name: f"{name}, %" for name in shares})


def map_histograms(records: Sequence[dict]) -> tuple[dict[str, np.ndarray], float]:
    """(arm -> shares `BINS`, mean over seeds; the mean border of the ambiguous region), for the figure."""
    maps = latest_maps(records)
    arms = {arm: np.mean([np.reshape(r["series"][f"map {arm}"], BINS) for r in maps if f"map {arm}" in r["series"]], 0)
            for arm in _arms(maps)}
    return arms, float(np.mean([r["metrics"]["map_cut"] for r in maps])) if maps else math.nan
