"""Contrasts: configurations compared by seed and example, with an interval.

    differences(frame, {"ssl": "base", "ssl-fixed": "base"})     # of `results.load` or `efficiency.label_curves`
    to_base, to_copies = family(to_base, to_copies)              # all that a chapter shows, corrected together

Every table, figure and verdict that compares configurations stands on `measure`.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.analysis import NOT_RUN, statistics

EVIDENCE = ("paper", "gpu", "cpu")  # profiles whose records count; `quick` shows that the code runs
METRICS = {"accuracy_matched": "matched", "accuracy_mismatched": "mismatched", "f1_macro": "macro F1",
           "robust_accuracy": "perturbed"}
OFFICIAL = results.SCORES
DEVELOPMENT = "accuracy_development"  # what arms are screened by: the acceptance half of the development slice
KINDS = {"robust_accuracy_typos": "typing errors", "robust_accuracy_paraphrase": "synonyms"}
TITLES = METRICS | KINDS | {DEVELOPMENT: "development"}
BASELINE = "base"
ENOUGH = 3  # seeds, from which final records decide, even where there are more exploratory ones
COLUMNS = ("labels", "contrast", "metric", "difference", "low", "high", "seeds", "p")
# the uncompressed baseline trained on with its own soft labels, or with those of one that was: fewer pairs first
CONTROLS = ("distilled", "base-control", "base-control-strong")
NO_EQUAL = "no equal control"
_ROUNDED = 1e-3  # what scores kept in 16 bits change of a correlation, at most
_EXACT = ("size_bytes", "labels_used", "train_examples", "model_parameters")  # no spread between equal runs


class Contrast(NamedTuple):
    """How a claim is measured: `metric` (a column of `results.load`) over configurations.
    difference: Σ coefficient × metric, times `scale`; ratio: first configuration over second."""

    metric: str
    terms: tuple[tuple[str, float], ...]
    kind: str  # "difference" | "ratio" | "rank" (over the files of one benchmark; `verdicts` measures it)
    direction: int
    claimed: float | None = None
    no_effect: float = 0.0
    scale: float = 1.0
    unit: str = ""

    def __str__(self) -> str:
        names = [name for name, _ in self.terms]
        if self.kind == "rank":
            return f"rank correlation of {self.metric} and {names[0]}"
        if self.kind == "ratio":
            return f"{self.metric}: {names[0]} / {names[1]}"
        signs = " ".join(f"{'+' if c > 0 else '−'} {name}" for name, c in self.terms).removeprefix("+ ")
        return f"{self.metric}: {signs}"


FORMS = {"ratio": {"kind": "ratio", "direction": -1, "no_effect": 1.0, "unit": "×"},
         "points": {"kind": "difference", "direction": 1, "scale": 100.0, "unit": "points"},
         "plain": {"kind": "difference", "direction": 1}, "rank": {"kind": "rank", "direction": 1}}


def contrast_in(form: str, metric: str, names: Sequence[str], **more) -> Contrast:
    """A contrast in one of `FORMS`: of a to b, of (a − b) to (c − d), or a alone. more: what differs from the form."""
    return Contrast(metric, tuple(zip(names, (1.0, -1.0, -1.0, 1.0), strict=False)), **FORMS[form] | more)


class Measurement(NamedTuple):
    """Our side of a contrast: estimate and 95% interval (NaN: none), seeds, where it comes from."""

    estimate: float
    low: float
    high: float
    n: int
    study: str = ""  # profile, data and model
    note: str = ""
    records: tuple[str, ...] = ()  # paths
    p: float = math.nan  # two-sided, of "no difference", by the method of the interval
    counted: str = ""  # what the interval is over, where that is not seeds: "12 rounds"

    @property
    def behind(self) -> str:
        """What stands beside an interval: "3 seeds", "12 rounds"."""
        return self.counted or f"{self.n} seed{'s' * (self.n != 1)}"


def differences(frame: pd.DataFrame, pairs: Mapping[str, str] | Sequence[tuple[str, ...]],
                metrics: Sequence[str] = tuple(METRICS), *, labels: str | None = "labels") -> pd.DataFrame:
    """Differences in points between configurations at equal numbers of labels, paired by seed (and by example).

    frame: of `results.load`, or of `efficiency.label_curves` (its metric is "accuracy"). pairs: arm → control, or
    tuples: (a, b) for a − b, (a, b, c, d) for (a − b) − (c − d). labels: the column to hold equal, or None to compare
    the records as `measure` picks them. Columns labels (unless None), contrast, metric, difference, low, high (95%
    interval; NaN for one seed without predictions), seeds, p (for `family`, likewise); one row for each
    combination that has records. Where a pair has none on the official sets, because one of its arms is sealed from
    them, the row is of `DEVELOPMENT`.
    """
    rows, pairs = [], pairs.items() if isinstance(pairs, Mapping) else pairs
    pairs = [names for names in pairs if len(set(names)) > 1]  # an arm is no control of itself
    groups = [(math.nan, frame)] if labels is None else frame.groupby(labels) if labels in frame else ()
    for (count, same), names in itertools.product(groups, pairs):
        title = "{} − {}" if len(names) == 2 else "({} − {}) − ({} − {})"
        for metric, measured in measured_on(metrics, same, names).items():
            rows.append((count, title.format(*names), metric, *measured[:4], measured.p))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.drop(columns="labels") if labels is None else table.astype({"labels": int})


def measured_on(metrics: Sequence[str], frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Measurement]:
    """Metric → the difference of `names` in points, of the metrics that have one; in place of the official sets, where
    neither has, the development rows: arms are screened by these, and the sets are sealed (`results.final`)."""
    def on(wanted: Sequence[str]) -> dict[str, Measurement]:
        measured = {metric: measure(frame, contrast_in("points", metric, names), (*EVIDENCE, "quick"))
                    for metric in wanted}
        return {metric: each for metric, each in measured.items() if each}

    found = on(metrics)
    return found | on([DEVELOPMENT]) if set(metrics) & set(OFFICIAL) and not set(found) & set(OFFICIAL) else found


def official_differences(frame: pd.DataFrame, pairs: Mapping[str, str] | Sequence[tuple[str, ...]]) -> pd.DataFrame:
    """`differences` on both official sets, of arms that were run at one number of labels; of sealed arms on
    development rows."""
    return differences(frame, pairs, OFFICIAL, labels=None)


_SAME = ("labels", "contrast", "compared", "metric", "difference", "low", "high", "p")  # what tells comparisons apart


def _tests(frames: Sequence[pd.DataFrame]) -> tuple[list[list[tuple]], dict[tuple, float]]:
    """The comparisons in each frame, and the p-value of each."""
    named = [[*frame.reindex(columns=_SAME).astype({"labels": float}).astype(str).itertuples(index=False, name=None)]
             for frame in frames]
    return named, {one: p for frame, rows in zip(frames, named, strict=True)
                   for one, p in zip(rows, frame["p"], strict=True)}


def family(*frames: pd.DataFrame) -> list[pd.DataFrame]:
    """The rule of evidence: all comparisons that a chapter shows in tables are one family. Gives the frames back with a
    column `holm`, their p-values corrected together (`statistics.holm`), for `tables.after_holm`.

    frames: of `differences` and its kin, or of `efficiency.gains` and `compare`: each table of the chapter, those of a
    screening too. A row that stands in several of them, by names and numbers, counts once; one without a test (NaN) not
    at all. A goal (`tables.goal_table`) asks for a loss within bounds, not for a difference, and is none of them."""
    named, tests = _tests(frames)
    corrected = dict(zip(tests, statistics.holm(list(tests.values())), strict=True))
    return [frame.assign(holm=np.array([corrected[one] for one in rows], float))
            for frame, rows in zip(frames, named, strict=True)]


def tested(*frames: pd.DataFrame) -> int:
    """How many comparisons `family` counts."""
    return sum(not math.isnan(p) for p in _tests(frames)[1].values())


def with_gap(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds `generalization_gap` = last training minus last development accuracy, where both are known."""
    ends = ("final_train_accuracy", "final_development_accuracy")
    if "generalization_gap" in frame or not set(ends) <= set(frame.columns):
        return frame
    return frame.assign(generalization_gap=frame[ends[0]] - frame[ends[1]])


def with_work(frame: pd.DataFrame) -> pd.DataFrame:
    """`train_work` of the baseline too: the pairs that it was trained on, which the unit is. What came from others has
    it in its record, with all that these took."""
    if "train_examples" not in frame or "configuration" not in frame:
        return frame
    pairs = frame["train_examples"].where(frame["configuration"] == BASELINE)
    return frame.assign(train_work=frame["train_work"].fillna(pairs) if "train_work" in frame else pairs)


def exploratory(frame: pd.DataFrame) -> pd.DataFrame:
    """The exploratory records of a frame of `results.load`. A table of earlier arms keeps to them, since they stand
    beside the base that they were made from; `tables.final_table` has the others."""
    return frame[frame["standing"] != "final"] if "standing" in frame else frame


def one_setting(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the records of each configuration, those of one experiment and one set of parameters: the set with most seeds,
    then with most labels, then the latest; of one standing. (The data may differ by seed: the generator is seeded.)"""
    if rows.empty:
        return rows
    identity = ["experiment", "profile", "data_name", "model_name", *(c for c in rows if c.startswith("param_")),
                *(c for c in rows if c == "standing")]
    settings = rows[identity].astype(object).to_numpy()  # astype(str) would leave NaN as it is
    runs = rows[["configuration", "finished", "labels_used", "seed"]].itertuples()
    sets = defaultdict(lambda: defaultdict(list))  # configuration → setting → (finished, labels, seed, index)
    for run, setting in zip(runs, map(tuple, settings.astype(str)), strict=True):
        sets[run.configuration][setting].append(run)
    kept = []
    for by_setting in sets.values():
        best = max(by_setting.values(), key=lambda runs: (
            len({run.seed for run in runs}), max(run.labels_used for run in runs), max(run.finished for run in runs)))
        kept += {run.seed: run.Index for run in sorted(best, key=lambda run: run.finished)}.values()  # a seed's last
    return rows.loc[sorted(kept)]


def known(frame: pd.DataFrame, configuration: str, metric: str) -> pd.DataFrame:
    """The records of a configuration that have the metric, of one setting; none without the column. Runs of
    `efficiency.label_curves` are of one already."""
    if metric not in frame:
        return frame.iloc[:0]
    rows = frame[(frame["configuration"] == configuration) & frame[metric].notna()]
    return one_setting(rows) if "profile" in frame else rows


def mean(frame: pd.DataFrame, column: str) -> float:
    """Mean of a column as a float; NaN without rows or without the column."""
    return float(frame[column].mean()) if len(frame) and column in frame else math.nan


def _recipes(frame: pd.DataFrame) -> dict:
    """Index of each record → the recipe in it; {} for none."""
    paths = frame["path"].items() if "path" in frame else ()
    return {index: results.record_at(path)["parameters"].get("recipe") or {} for index, path in paths}


def lineage(frame: pd.DataFrame) -> dict:
    """Index of each record → the indices of all that its network was made from, the baseline of its seed left out, its
    own last; None where one of them has no record in the frame.

    frame: of `results.load`. Ancestors are found by the recipe in the record, at the same seed and data: the arm of
    pruning whose weights a student starts from (`pruned`), the one that teaches (`teacher`) or is made a file (`of`) in
    the baseline's place, and the baselines of other seeds among the teachers. An arm of which only numbers are taken
    over (`like`: how much to remove, how long to train) is none.
    """
    same = [key for key in ("profile", "data_fingerprint", "model_fingerprint") if key in frame]
    recipes = _recipes(frame)

    def latest(name: str, seed: int, row: pd.Series):
        rows = frame[(frame["configuration"] == name) & (frame["seed"] == seed)]
        rows = rows[(rows[same] == row[same]).all(axis=1)]
        return max(rows.index, key=lambda i: (rows.at[i, "finished"] <= row["finished"], rows.at[i, "finished"]),
                   default=None)  # it was there before, unless it was made again

    def of(index) -> list | None:
        row, recipe, before = frame.loc[index], recipes.get(index, {}), []
        if row["configuration"] == "base":
            return []
        named = dict.fromkeys(recipe.get(field) or "base" for field in ("pruned", "teacher", "of"))
        for name in [name for name in named if name != "base"]:
            parent = latest(name, row["seed"], row)
            before.append(None if parent is None else of(parent))
        others = [seed for seed in range(recipe.get("teachers", 1)) if seed != row["seed"]]
        for seed in others[: recipe.get("teachers", 1) - 1]:
            teacher = latest("base", seed, row)
            before.append(None if teacher is None else [teacher])
        return None if None in before else [*dict.fromkeys(i for part in before for i in part), index]

    return {index: of(index) for index in frame.index}


def pairs_seen(frame: pd.DataFrame) -> pd.Series:
    """Training pairs that each record's network and all that it was made from (`lineage`) saw beyond the baseline.

    Repeats count, with labels or without; 0 for the baseline itself and for what was not trained on; NaN where the
    record of an ancestor is not in the frame. Float, indexed as the frame; an arm has at least what its ancestors have.
    """
    own = frame["train_examples"].astype(float) if "train_examples" in frame else pd.Series(0.0, frame.index)
    return pd.Series({index: math.nan if made_of is None else own.loc[made_of].sum()
                      for index, made_of in lineage(frame).items()}, dtype=float)


def equal_controls(frame: pd.DataFrame, arms: Sequence[str]) -> dict[str, str]:
    """Arm → its opponent of equal compute and data: that of `CONTROLS` which saw at least as many pairs as the arm with
    all its ancestors (`pairs_seen`), read the same texts or more, and was taught by as many; of several, the one with
    most seeds in common, then the first.

    frame: of `results.load`, with the records of controls and ancestors. `NO_EQUAL` where the controls that have
    records saw or read less than the arm, "not run" where no control has one. Without the baseline, the controls
    themselves, and arms that have no record.
    """
    seen, made_of, recipes = pairs_seen(frame), lineage(frame), _recipes(frame)
    least = {"source_text": 0, "domain_text": 0, "augmented": 0, "teachers": 1}

    def runs(name: str) -> pd.DataFrame:
        return one_setting(frame[frame["configuration"] == name])

    def read(rows: pd.DataFrame) -> list[float]:
        given = [recipes.get(i, {}) for index in rows.index for i in made_of[index] or ()]
        return [max((float(recipe.get(key, n)) for recipe in given), default=n) for key, n in least.items()]

    def whose(rows: pd.DataFrame) -> set[str]:
        return set(rows["param_unlabelled"].dropna()) if "param_unlabelled" in rows else set()

    controls = {name: rows for name in CONTROLS if len(rows := runs(name))}
    opponents = {}
    for name in arms:
        if name in ("base", *CONTROLS) or (rows := runs(name)).empty:
            continue
        equal = [control for control, others in controls.items()
                 if seen[others.index].min() >= seen[rows.index].max() and whose(rows) <= whose(others)
                 and all(arm <= other for arm, other in zip(read(rows), read(others), strict=True))]
        opponents[name] = max(equal, key=lambda c: len({*rows["seed"]} & {*controls[c]["seed"]}),
                              default=NO_EQUAL if controls else NOT_RUN)
    return opponents


def control_differences(frame: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """`official_differences` of arms to their opponents of equal compute and data (`equal_controls`), of those that
    have one."""
    opponents = equal_controls(frame, arms)
    return official_differences(frame, {arm: name for arm, name in opponents.items() if name in CONTROLS})


_DERIVED = {"generalization_gap": with_gap, "train_work": with_work}


def measure(frame: pd.DataFrame, contrast: Contrast, profiles: tuple[str, ...] = EVIDENCE) -> Measurement | None:
    """The contrast over the records of `results.load`, paired by seed and data; None without records.

    Profiles are tried in the order given; within one, the study with most seeds counts, but final records decide from
    `ENOUGH` seeds on, and are held against exploratory ones only where neither can be compared alone. Accuracies whose
    per-example correctness was kept are paired by example too (`statistics.paired_difference`), and so are F1 of two
    classes, Matthews and Pearson correlation; everything else has a t interval over seeds, ratios in logarithms. One
    seed without examples has no interval.
    Runs of `efficiency.label_curves` are one for each configuration and seed already, and are taken as they are.
    """
    frame = _DERIVED.get(contrast.metric, lambda frame: frame)(frame)
    if contrast.metric not in frame:
        return None
    wanted = {name for name, _ in contrast.terms}
    read = [column for column in frame if column in (*_COLUMNS, contrast.metric) or column.startswith("param_")]
    rows = frame.loc[frame["configuration"].isin(wanted) & frame[contrast.metric].notna(), read]  # of some hundred
    if not wanted <= set(rows["configuration"]):
        return None
    if "profile" not in frame:
        return _measure_runs(rows, contrast)
    for profile in profiles:
        of_profile = rows[rows["profile"] == profile]
        is_final = of_profile.get("standing", pd.Series("", of_profile.index)) == "final"
        final, exploratory = (_best_study(of_profile[part], wanted, contrast) for part in (is_final, ~is_final))
        if final and (not exploratory or final.n >= min(ENOUGH, exploratory.n)):
            return final
        together = of_profile.drop(columns="standing", errors="ignore")
        if measured := exploratory or _best_study(together, wanted, contrast):
            return measured
    return None


def _best_study(rows: pd.DataFrame, wanted: set[str], contrast: Contrast) -> Measurement | None:
    """The contrast over the study with most seeds; None where none has all configurations at one seed."""
    measured = [_measure_runs(one_setting(_paired(study, wanted)), contrast) for study in _studies(rows, wanted)]
    return max(filter(None, measured), key=lambda m: m.n, default=None)


def _paired(rows: pd.DataFrame, wanted: set[str]) -> pd.DataFrame:
    """The rows of seeds and data that all configurations have: an arm stands beside the base of its own seed."""
    units = list(zip(*(rows[key] for key in ("seed", "data_fingerprint") if key in rows), strict=True))
    there = defaultdict(set)
    for unit, name in zip(units, rows["configuration"], strict=True):
        there[unit].add(name)
    return rows[[there[unit] == wanted for unit in units]]


def _studies(rows: pd.DataFrame, wanted: set[str]):
    """Sets of records that may be compared: same profile, data, model, and same experiment, and at an equal number of
    labels where that has all configurations; if no experiment has them all, different ones with equal epochs and
    training rows."""
    for _, same in rows.groupby(["profile", "data_name", "model_name"], sort=False):
        if not wanted <= set(same["configuration"]):
            continue
        whole = [g for _, g in same.groupby("experiment") if wanted <= set(g["configuration"])]
        for group in whole:
            parts = [g for _, g in group.groupby("labels")] if "labels" in group else []
            yield from [g for g in parts if wanted <= set(g["configuration"])][::-1] or [group]  # most labels first
        if whole:
            continue
        scale = [c for c in ("param_epochs", "param_train_rows") if c in same]
        for _, group in same.groupby(scale, dropna=False) if scale else [((), same)]:
            if wanted <= set(group["configuration"]):
                yield group


_COLUMNS = ("configuration", "seed", "data_fingerprint", "path", "correct", "experiment", "profile", "data_name",
            "model_name", "labels", "labels_used", "finished", "standing")  # what is read here, beside the parameters


def _measure_runs(rows: pd.DataFrame, contrast: Contrast) -> Measurement | None:
    """The contrast over one run for each configuration and unit, which is a seed and its data."""
    metric, names = contrast.metric, [name for name, _ in contrast.terms]
    unit = [key for key in ("seed", "data_fingerprint") if key in rows]
    listed = rows[[column for column in dict.fromkeys((*_COLUMNS, metric)) if column in rows]].to_dict("records")
    runs = {name: {} for name in names}  # name → unit → its last run
    for run in listed:
        runs[run["configuration"]][tuple(run[key] for key in unit)] = run
    units = sorted(set.intersection(*map(set, runs.values())))
    if not units:
        return None
    chosen = [[runs[name][each] for each in units] for name in names]  # terms × seeds
    values = np.array([[run[metric] for run in of_name] for of_name in chosen], float)
    if contrast.kind == "ratio":
        timed = _by_round(chosen, metric)
        found = timed or statistics.mean_interval([math.log(first / second) for first, second in values.T])
        interval = [math.exp(x) for x in found[:3]]
    else:
        scores = [[_by_example(run, metric) for run in of_name] for of_name in chosen]
        found = statistics.contrast_interval([c for _, c in contrast.terms], values, scores,
                                             shared_examples=len({each[1:] for each in units}) == 1)
        interval = [contrast.scale * x for x in found[:3]]
    if math.isnan(interval[1]) and metric in _EXACT:
        interval[1:] = [interval[0]] * 2
    note = "one seed: no interval" if math.isnan(interval[1]) else ""
    records = tuple(sorted({run["path"] for of_name in chosen for run in of_name})) if "path" in rows else ()
    counted = f"{found.n} rounds" if contrast.kind == "ratio" and timed else ""
    return Measurement(*interval, len(units), _where(listed), note, records, found.p, counted)


def _where(runs: list[dict]) -> str:
    """Profile, data, model and, where it is one for all, the number of labels."""
    if "profile" not in runs[0]:
        return ""
    counts = {run.get("labels", math.nan) for run in runs}
    same = [f"{count:.0f} labels" for count in counts if len(counts) == 1 and count == count]
    return " · ".join([*(runs[0][key] for key in ("profile", "data_name", "model_name")), *same])


def correctness(path: str, metrics: Sequence[str]) -> np.ndarray | None:
    """Which examples a record got right, (n,), the sets of these metrics end to end; None if not kept. Accuracy on
    development rows is that on the acceptance half, whose predictions older records did not keep."""
    kept = results.predictions(path)
    names = ["acceptance_correct" if metric == DEVELOPMENT else f"validation{metric.removeprefix('accuracy')}_correct"
             for metric in metrics]
    return np.concatenate([kept[name] for name in names]) if all(name in kept for name in names) else None


def _by_example(run: dict, metric: str) -> np.ndarray | None:
    """(n,) scores whose mean is the run's metric: right or wrong, or those of `statistics.by_example`; None where what
    the run kept does not give the metric."""
    if "correct" in run:
        return run["correct"]
    if metric in (*OFFICIAL, DEVELOPMENT):
        return correctness(run["path"], [metric])
    name, _, where = metric.partition("_")
    if name not in statistics.EXAMPLE_METRICS or where != "matched":
        return None
    scores = [statistics.by_example(name, *both) for both in _kept(results.predictions(run["path"]))]
    return next((each for each in scores if abs(each.mean() - run[metric]) < _ROUNDED), None)


def _kept(arrays: Mapping[str, np.ndarray]):
    """(truth, predicted), (n,) each, of the first official set: of two classes, or of scores, where they were kept."""
    predicted, right = (arrays.get(f"validation_matched{name}") for name in ("", "_correct"))
    if right is not None and predicted.max(initial=0) <= 1:
        yield np.where(right, predicted, 1 - predicted), predicted
    if "validation_matched_labels" in arrays:
        yield arrays["validation_matched_labels"], arrays["validation_matched_logits"].ravel()


def _by_round(chosen: list[list[dict]], metric: str) -> statistics.Interval | None:
    """Log ratio of two contestants of one benchmark run, round by round: a record that was measured in rounds has what
    each came to as series, "round_train_seconds" of train_seconds ("round_ms" of latency_ms_p50). None unless one run
    is all there is."""
    (first, *more), (second, *_) = chosen
    if more or first.get("experiment") != second.get("experiment") or "path" not in first:
        return None
    name = "round_ms" if metric == "latency_ms_p50" else f"round_{metric}"
    rounds = [results.record_at(run["path"])["series"].get(name) for run in (first, second)]
    if not all(rounds) or len(rounds[0]) != len(rounds[1]):
        return None
    return statistics.mean_interval([math.log(a / b) for a, b in zip(*rounds, strict=True)])
