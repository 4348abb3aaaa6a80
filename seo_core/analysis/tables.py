"""Tables for pages: one row an arm, a record, a contrast, a contestant or a round; `Table` shows them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.analysis import NOT_RUN, contradictions, contrasts, glue, papers, statistics, tradeoff
from seo_core.analysis.contrasts import (
    CONTROLS,
    DEVELOPMENT,
    METRICS,
    OFFICIAL,
    TITLES,
    known,
    mean,
    one_setting,
    with_gap,
)
from seo_core.controller import ACTIONS, BROKEN, FORESEEN, reason


class Table:
    """A frame as a notebook shows it: whole texts, no row numbers, scrolling sideways on a narrow page.
    folded: a line that opens the table; without it, it is in sight."""

    def __init__(self, frame: pd.DataFrame, index: bool = False, folded: str = ""):
        frame = frame.astype(dict.fromkeys(frame.select_dtypes("Int64"), object))  # it has a word of its own for absent
        self.frame = frame.mask(frame.isna())  # None is absent too, and shown so
        self.index, self.folded = index, folded

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            html = self.frame.to_html(index=self.index, border=0, justify="left", na_rep="—",
                                      max_rows=None, classes="dataframe")
        html = re.sub("<(td|th)>", r'<\1 style="text-align: left">', html)  # pages align to the right, bad for texts
        html = f'<div style="overflow-x: auto">\n{html}\n</div>'
        title = re.sub("`([^`]+)`", r"<code>\1</code>", self.folded)
        return f"<details><summary>{title}</summary>\n{html}\n</details>" if title else html

    def __repr__(self) -> str:
        if self.frame.empty:
            return "(no rows)"
        return self.frame.to_string(index=self.index, na_rep="—", max_colwidth=60)


def verdict_table(judged: pd.DataFrame, *more: str) -> pd.DataFrame:
    """`verdicts.audit` for reading: the claim, our value with its interval and seeds, and the verdict come first, so
    that they are in sight on a phone; behind them stand the claimed value, the statement and the columns `more`."""
    columns = dict.fromkeys(["claim", "ours", "verdict", "claimed", "statement", *more])
    return judged.assign(claim=judged["claim"].str.removeprefix("table-"))[[*columns]]


def rows_or(rows: Sequence[Sequence], columns: Sequence[str], words: str = NOT_RUN) -> pd.DataFrame:
    """A frame of the rows; without any, one row that says so: `words` in its first column, "—" in the others."""
    return pd.DataFrame(rows or [(words, *["—"] * (len(columns) - 1))], columns=list(columns))


def remark(run: pd.DataFrame, say: Callable[[str], None] = print) -> None:
    """Says what has no meaning beside the papers' numbers, where the records of `results.matching` are of classes other
    than NLI's; else nothing."""
    measured, as_nli = run.reindex(columns=["f1_macro", "f1_entailment_matched"]).notna().to_numpy().T
    for name in run.loc[measured & ~as_nli, "data_name"].unique():
        say(f"{name}: its classes are not NLI's three, so accuracy and perplexity of this run, and what is judged by "
            "them, have no meaning beside the papers' numbers; its own ratios of size and time have")


def mean_text(values, digits: int = 2) -> str:
    """Mean ± half of the 95% interval over seeds, and how many: "72.96 ± 0.31 (n = 3)"."""
    mean, _, high, n, _ = statistics.mean_interval(values)
    spread = "" if math.isnan(high) else f" ± {high - mean:.{digits}f}"
    return f"{mean:.{digits}f}{spread} (n = {n})"


def _number(value: float, shape: str = ".2f", absent: str = "—") -> str:
    return absent if math.isnan(value) else format(value, shape)


def points_text(row) -> str:
    """"+0.40 [−0.30, +1.10]": a difference and its interval, where it has one."""
    interval = "" if math.isnan(row.low) else f" [{row.low:+.2f}, {row.high:+.2f}]"
    return f"{row.difference:+.2f}{interval}".replace("-", "−")


def _corrected(differences: pd.DataFrame) -> pd.Series:
    """p after Holm: in the chapter's family (`contrasts.family`), or of these rows alone where there are no others."""
    return (differences if "holm" in differences else contrasts.family(differences)[0])["holm"]


def after_holm(differences: pd.DataFrame) -> list[str]:
    """What is left of each row of `contrasts.differences` once all comparisons of its chapter count as one family
    (`contrasts.family`; without its column, these rows): "stands", "falls" (its own interval excludes 0, the corrected
    one does not), "contains 0", or "—" without an interval. A row of one seed says so: it speaks of these runs only."""
    words = ["—" if math.isnan(p) else "stands" if after < 0.05 else "falls" if p < 0.05 else "contains 0"
             for p, after in zip(differences["p"], _corrected(differences), strict=True)]
    return [word + ", 1 seed" * (seeds == 1) for word, seeds in zip(words, differences["seeds"], strict=True)]


def holm_text(differences: pd.DataFrame) -> list[str]:
    """`after_holm` with the corrected p-value: "stands (p = 0.012)"."""
    numbers = ["" if math.isnan(p) else " (p < 0.001)" if p < 0.001 else f" (p = {p:.3f})"
               for p in _corrected(differences)]
    words = [word.partition(", ") for word in after_holm(differences)]
    return [word + p + comma + rest for (word, comma, rest), p in zip(words, numbers, strict=True)]


def difference_table(differences: pd.DataFrame) -> pd.DataFrame:
    """`contrasts.differences` for reading: labels, contrast, metric, points with the 95% interval, seeds, what it says,
    and what is left of it in its family (`holm_text`). Without rows: one row, "not run". "interval says" names the side
    of 0 on which the interval lies, if it excludes it; with one seed it holds the scatter of the examples, and not that
    of the seeds."""
    words = ("above 0", "below 0", "contains 0", "one seed: no interval")
    rows = [(row.labels, row.contrast, TITLES.get(row.metric, row.metric), points_text(row), row.seeds,
             statistics.side(row.low, row.high, *words)
             + ", of examples only" * (row.seeds == 1 and not math.isnan(row.low)), after)
            for row, after in zip(differences.itertuples(), holm_text(differences), strict=True)]
    return rows_or(rows, ["labels", "contrast", "metric", "points", "seeds", "interval says", "after Holm"])


def pair_table(differences: pd.DataFrame) -> pd.DataFrame:
    """`contrasts.differences` as numbers: a row for each pair and set, and what is left of it in its family
    (`holm_text`); or one row, "not run"."""
    if differences.empty:
        return rows_or([], ["configuration"])
    named = differences.assign(metric=differences["metric"].map(lambda metric: TITLES.get(metric, metric)),
                               **{"after Holm": holm_text(differences)})
    named = named.rename(columns={"contrast": "configuration", "metric": "split"})
    return named[["configuration", "split", "difference", "low", "high", "seeds", "after Holm"]].round(2)


def _with_seeds(row, *more: str) -> str:
    """"+0.40 [−0.30, +1.10] (n = 3)": `_points` with the seeds behind it, and what else is to be said."""
    return f"{points_text(row)} ({', '.join(('1 seed' if row.seeds == 1 else f'n = {row.seeds}', *more))})"


def to_control(frame: pd.DataFrame, arms: Sequence[str], found: pd.DataFrame | None = None) -> pd.DataFrame:
    """Differences in points to the uncompressed network of equal compute and data (`contrasts.equal_controls`): a row
    for each arm, a column for each official set, "to equal control, points (matched)"; one for development rows where
    an arm or its control is sealed from those.

    frame: of `results.load`, with the records of controls and ancestors. found: `contrasts.control_differences` of
    these, in the chapter's family. A cell has difference, interval, the control, seeds, and what is left `after_holm`;
    "not run" without records of the control at a seed of the arm's, "no equal control" where it saw less than the arm;
    "—" for the baseline and the controls themselves."""
    controls = contrasts.equal_controls(frame, arms)
    found = contrasts.control_differences(frame, arms) if found is None else found
    cells = {}
    for row, word in zip(found.itertuples(), after_holm(found), strict=True):
        arm, control = row.contrast.split(" − ")
        cells[arm, row.metric] = f"to {control}: {_with_seeds(row, word.removesuffix(', 1 seed'))}"
    absent = {arm: NOT_RUN if name in CONTROLS else name for arm, name in controls.items()}
    arms = list(dict.fromkeys(arms))
    of = {arm for arm, _ in cells}
    return pd.DataFrame({f"to equal control, points ({TITLES[metric]})":
                         [cells.get((arm, metric), "—" if arm in of else absent.get(arm, "—")) for arm in arms]
                         for metric in _shown_sets(found)}, index=arms)


def _shown_sets(differences: pd.DataFrame) -> list[str]:
    """The official sets, and the development rows where there are differences on them."""
    return [*OFFICIAL, *({DEVELOPMENT} & set(differences["metric"]))]


def final_table(frame: pd.DataFrame) -> pd.DataFrame:
    """`against_table` of the final records of book/final.yml's arms in the headline setting, in its order, against its
    base; frame: of `results.load`, with their ancestors. One row, "not run", as long as there are none. The list was
    written before these were run, so they are a family of their own, whatever a page explored beside them."""
    final = frame.drop(contrasts.exploratory(frame).index)
    arms = list(dict.fromkeys(entry.arm for entry in results.final_list().arms if "labels" not in entry.recipe))
    return against_table(final, arms, contrasts.official_differences(final, dict.fromkeys(arms, "base")), frame)


GOAL_SEEDS = 5  # fewer settle no goal


def goal_table(frame: pd.DataFrame, goals: Mapping[tuple[float, float], Sequence[str]]) -> pd.DataFrame:
    """Goals for compressed networks, and what the records say of them: a row for each arm, with its file, its
    differences to the control of equal compute (`contrasts.equal_controls`), and whether the goal is met.

    frame: of `results.load`, with the records of controls and ancestors. goals: (megabytes at most, points that may be
    lost at most, below 0) -> arms. "met": the intervals on both sets lie within the points; "by its mean alone": the
    differences do; with fewer than GOAL_SEEDS seeds, and on development rows, that is said. An arm without an equal
    control stands beside the nearest (`tradeoff.nearest_control`), which settles nothing."""
    rows, equal = [], contrasts.equal_controls(frame, [arm for arms in goals.values() for arm in arms])
    for (most, least), arm in [(goal, arm) for goal, arms in goals.items() for arm in arms]:
        beside = said = against = equal.get(arm, NOT_RUN)
        size = mean(known(frame, arm, "size_bytes"), "size_bytes") / 1e6
        if against == contrasts.NO_EQUAL:
            against, share = tradeoff.nearest_control(frame, arm)
            beside = f"{against}, {share:.0%} of the pairs" if share == share else said
        found = contrasts.official_differences(frame, {arm: against})
        if said in CONTROLS:
            said = _goal(found, size <= most, least) if len(found) else NOT_RUN
        gaps = {f"points ({TITLES[row.metric]})": _with_seeds(row) for row in found.itertuples()}
        none = {f"points ({METRICS[metric]})": "—" if gaps else NOT_RUN for metric in OFFICIAL}
        rows.append({"goal": f"≤ {most:g} MB, within {least:.1f}".replace("-", "−"), "configuration": arm,
                     "file, MB": _number(size), "control": beside, **none, **gaps, "is it met?": said})
    table = pd.DataFrame(rows).fillna("—")
    return table[[*table.columns.drop("is it met?"), "is it met?"]]


def _goal(differences: pd.DataFrame, small: bool, least: float) -> str:
    """Whether an arm's differences lie within what it may lose, in a word, and on what that stands."""
    seeds = int(differences["seeds"].min())
    word = ("not met" if not small or differences["difference"].min() < least
            else "met" if (differences["low"] >= least).all() else "by its mean alone")
    return ", ".join([word, *["on development rows"] * (DEVELOPMENT in set(differences["metric"])),
                      *[f"{seeds} of {GOAL_SEEDS} seeds"] * (seeds < GOAL_SEEDS)])


def both_differences(frame: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Differences in points on both official sets (and of sealed arms on development rows) to the baseline, with
    interval and seeds, and `to_control`: a row for each arm, the two opponents side by side, and what is left
    `after_holm` of each in the family of both. frame: as there."""
    found, controls = contrasts.family(contrasts.official_differences(frame, dict.fromkeys(arms, "base")),
                                       contrasts.control_differences(frame, arms))
    equal = to_control(frame, arms, controls)
    cells = {(row.contrast.removesuffix(" − base"), row.metric): _with_seeds(row, word.removesuffix(", 1 seed"))
             for row, word in zip(found.itertuples(), after_holm(found), strict=True)}
    both = {}
    for metric in _shown_sets(found):
        both[f"to base, points ({TITLES[metric]})"] = [cells.get((arm, metric), "—") for arm in equal.index]
        control = f"to equal control, points ({TITLES[metric]})"
        both[control] = equal.get(control, "—")
    return pd.DataFrame(both, index=equal.index)


def against_table(frame: pd.DataFrame, arms: Sequence[str], differences: pd.DataFrame,
                  among: pd.DataFrame | None = None, controls: pd.DataFrame | None = None) -> pd.DataFrame:
    """Accuracy on both official sets, differences to the baseline and `to_control`, and sizes, a row for each arm that
    has records; of arms that are sealed from these sets on development rows, in columns of their own.

    frame: of `results.load`. differences: of `contrasts.differences` on the official sets. among: where the records of
    controls and ancestors are looked for, those of `frame` with them; default: `frame`. controls: of
    `contrasts.control_differences`, in the family of `differences`; default: both are a family of their own. seeds: of
    the accuracy; parameters in millions; the exported file, where one was measured; pairs seen in training after the
    baseline's own, with those that everything it was made from saw (`contrasts.pairs_seen`). Behind each interval stand
    its seeds. after Holm: `after_holm` of the differences to the baseline, of the matched and the mismatched set, once
    where both say the same. Without records one row, "not run"."""
    gaps, left, among = {}, {}, frame if among is None else among
    arms = [name for name in arms if name in set(frame.get("configuration", ()))]
    if controls is None:
        differences, controls = contrasts.family(differences, contrasts.control_differences(among, arms))
    for row, word in zip(differences.itertuples(), after_holm(differences), strict=True):
        name = row.contrast.split(" − ")[0]
        gaps[name, row.metric] = _with_seeds(row)
        left.setdefault(name, []).append(word.removesuffix(", 1 seed"))
    rows, equal, among = [], to_control(among, arms, controls), among.assign(pairs_seen=contrasts.pairs_seen(among))
    runs_of = {name: one_setting(frame[frame["configuration"] == name]) for name in arms}
    sealed = any(math.isnan(mean(runs, OFFICIAL[0])) for runs in runs_of.values())
    for name, runs in runs_of.items():
        row = {"configuration": name, "seeds": runs["seed"].nunique()}
        for metric in (*OFFICIAL, *[DEVELOPMENT] * sealed):  # both opponents side by side, and in sight
            control = f"to equal control, points ({TITLES[metric]})"
            row[f"{TITLES[metric]}, %"] = _number(100 * mean(runs, metric))
            row[f"to base, points ({TITLES[metric]})"] = gaps.get((name, metric), "—")
            row[control] = equal.at[name, control] if control in equal else "—"
        seen = mean(one_setting(among[among["configuration"] == name]), "pairs_seen")
        row["after Holm"] = " / ".join(dict.fromkeys(left.get(name, ["—"])))
        rows.append({**row, "file, MB": _number(mean(runs, "size_bytes") / 1e6),
                     "parameters, M": f"{mean(runs, 'model_parameters') / 1e6:.1f}",
                     "pairs seen after base": _number(seen, ",.0f")})
    return pd.DataFrame(rows) if rows else rows_or([], ["configuration"])


def arm_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean ± half of the 95% interval over seeds, in percent, of each configuration and number of labels.
    frame: of `results.load`; without records one row, "not run"; "—" where a configuration lacks a metric."""
    rows = []
    for (count, name), group in frame.groupby(["labels", "configuration"]) if "labels" in frame else ():
        chosen = one_setting(group)
        rows.append((name, int(count), *(mean_text(100 * chosen[m].dropna().astype(float))
                                         if m in chosen and chosen[m].notna().any() else "—" for m in METRICS)))
    return rows_or(rows, ["configuration", "labels", *(f"{title}, %" for title in METRICS.values())])


def comparison_table(frames: Mapping[str, pd.DataFrame], metric: str = "accuracy_matched",
                     paper_column: str | None = "accuracy", *, scale: float = 100.0, digits: int = 2) -> pd.DataFrame:
    """The papers' value beside ours for every configuration: mean ± 95% interval over seeds, and n.
    frames: a column's title → frame of `results.load`. "not run" where a configuration has no record with the metric;
    "—" where the papers print nothing. Of several settings of a configuration the one with most seeds counts
    (`contrasts.one_setting`)."""
    rows, shape = {}, ".1f" if paper_column in ("accuracy", "perplexity") else "g"
    for name, paper in papers.PAPER_TABLE.items():
        rows[name] = {"configuration": paper.label_here}
        if paper_column:
            printed = getattr(paper, paper_column)
            rows[name]["papers"] = "—" if printed is None else format(printed, shape)
        for title, frame in frames.items():
            runs = known(frame, name, metric)
            rows[name][title] = mean_text(scale * runs[metric].astype(float), digits) if len(runs) else NOT_RUN
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("id")


SCORES = {"accuracy": "accuracy", "precision_macro": "precision", "recall_macro": "recall", "f1_macro": "F1"}
BY_ENTITY = {"accuracy": "words", "precision": "precision", "recall": "recall", "f1": "F1", "f1_macro": "F1, types"}
OF_ANSWERS = {"exact_match": "exact match", "f1": "F1"}


def scores(frame: pd.DataFrame, names: Mapping[str, str], of: Mapping[str, str] = SCORES) -> dict[str, pd.DataFrame]:
    """Data set -> accuracy and macro precision, recall and F1, or the metrics `of`, in percent on the matched set,
    means over the seeds, a row for each of these configurations. names: configuration -> in words. Where one of them is
    sealed from that set, all are on development rows, and the data set's name says so. Data sets where one has no
    record are left out."""
    tables = {}
    for data, rows in frame.groupby("data_name") if "data_name" in frame else ():
        for split, words in (("matched", ""), ("development", ", development rows")):
            columns = [f"{name}_{split}" for name in of]
            complete = rows.dropna(subset=columns) if set(columns) <= set(rows) else rows.iloc[:0]
            if set(names) <= set(complete["configuration"]):
                table = pd.DataFrame({word: known(complete, name, columns[0])[columns].mean()
                                      for name, word in names.items()})
                tables[f"{data}{words}"] = 100 * table.T.set_axis(list(of.values()), axis=1)
                break
    return tables


def curve_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """First and last development accuracy (%) and the gap, last training minus last development accuracy
    (points), for each of the papers' configurations: mean ± 95% interval over seeds, or "not run"."""
    frame = with_gap(frame)
    columns = {"first, %": "first_development_accuracy", "last, %": "final_development_accuracy",
               "gap, points": "generalization_gap"}
    labels = {name: row.label_here for name, row in papers.PAPER_TABLE.items()}
    return pd.DataFrame({"configuration": labels, **{
        title: comparison_table({title: frame}, metric, None)[title] for title, metric in columns.items()}})


def equal_baseline(frame: pd.DataFrame, metric: str, *, scale: float = 100.0, digits: int = 2) -> pd.Series:
    """The baseline at the labels of each configuration's setting in `comparison_table`, written as there; "—" where the
    baseline has no record with as many, or the configuration none at all."""
    found = {}
    for name in papers.PAPER_TABLE:
        measured, rows = known(frame, name, metric), frame
        if "labels" in frame:
            labels = measured["labels"].max()
            rows = frame[frame["labels"].isna() if math.isnan(labels) else frame["labels"] == labels]
        runs = known(rows, "base", metric)
        found[name] = mean_text(scale * runs[metric].astype(float), digits) if len(measured) and len(runs) else "—"
    return pd.Series(found)


def labels_behind(frame: pd.DataFrame, metric: str) -> pd.Series:
    """Labels trained on in the setting that `comparison_table` shows for each configuration; "—" where none was run."""
    counts = {}
    for name in papers.PAPER_TABLE:
        runs = known(frame, name, metric)
        labels = runs["labels"].fillna(runs["train_rows"]) if "labels" in runs else runs.get("train_rows")
        counts[name] = f"{labels.max():,.0f}" if len(runs) else "—"
    return pd.Series(counts)


def curves_shown(frame: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Of `results.load_series` the curves of one setting for each configuration, the one that `curve_ends` shows."""
    metric = "final_development_accuracy"
    rows = frame[frame[metric].notna()] if metric in frame else frame.iloc[:0]
    return series[series["path"].isin(one_setting(rows)["path"])]


def size_table(frame: pd.DataFrame, column: str, metric: str, scale: float, unit: str) -> pd.DataFrame:
    """The papers' sizes or latencies beside ours, as factors of the baseline: a row for each of their configurations.
    column: of `papers.PAPER_TABLE` (size_mb, latency_ms). metric: of the records (size_bytes, latency_ms_p50), shown
    times `scale`. "not run" where there is no record."""
    base, rows = _size(frame, "base", metric), {}
    for name, paper in papers.PAPER_TABLE.items():
        printed, ours = getattr(paper, column), _size(frame, name, metric)
        if printed is not None:
            rows[name] = {
                "configuration": paper.label_here, f"papers, {unit}": f"{printed:g}",
                "papers, of the baseline": f"{papers.ratio_to_base(column, name):.2f}",
                f"ours, {unit}": _number(scale * ours, absent=NOT_RUN), "ours, of the baseline": _number(ours / base)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("id")


def _size(frame: pd.DataFrame, name: str, metric: str) -> float:
    """Mean of the metric, or NaN; for the baseline's bytes, where not measured, what `tradeoff.file_bytes` takes."""
    size = mean(known(frame, name, metric), metric)
    if math.isnan(size) and metric == "size_bytes" and len(frame):
        return tradeoff.file_bytes(one_setting(frame[frame["configuration"] == name]))
    return size


def steps_table(contradiction: contradictions.Contradiction) -> pd.DataFrame:
    """The arithmetic of one of `contradictions.listed()`: what, how, result."""
    return pd.DataFrame(contradiction.steps)[["what", "arithmetic", "result"]]


def absent(frame: pd.DataFrame, configurations: Iterable[str]) -> str:
    """Which of the configurations have no record in a frame of `results.load`, in words."""
    there = set(frame["configuration"])
    missing = [name for name in configurations if name not in there]
    return f"arms without a record: {', '.join(missing)}" if missing else "every arm of this chapter has a record"


def standing_on(frame: pd.DataFrame) -> pd.DataFrame:
    """The records a table or figure stands on: record (path from the book's root), commit, finished, standing (final or
    exploratory, see `results.final`)."""
    listed = results.final_list()
    rows = [(row.path, row.commit[:8] + " (changed)" * bool(row.dirty), str(row.finished)[:16].replace("T", " "),
             listed.standing(results.record_at(row.path))) for row in frame.itertuples()]
    return rows_or(rows, ["record", "commit", "finished", "standing"], "none")


def standing(frame: pd.DataFrame, configurations: Iterable[str] | None = None) -> str:
    """How many of the records of a frame of `results.load` are final and how many exploratory, in words; of all, or of
    some configurations."""
    if configurations is not None:
        frame = frame[frame["configuration"].isin(configurations)]
    return results.final_list().in_words(map(results.record_at, frame["path"]))


def record_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per record of `results.load`: configuration, seed, accuracies, perplexity, minutes, source, standing.
    A value that a record lacks is "—"; without records there is one row, "not run"."""
    wanted = {"accuracy_matched": ("matched, %", 100, 2), "accuracy_mismatched": ("mismatched, %", 100, 2),
              "perplexity": ("perplexity", 1, 3), "train_seconds": ("training, minutes", 1 / 60, 1)}
    if frame.empty:
        return rows_or([], ["configuration", "seed", *(title for title, _, _ in wanted.values()), "record"])
    table = frame[["configuration", "seed"]].copy()
    for metric, (title, scale, digits) in wanted.items():
        values = frame.get(metric, pd.Series(math.nan, index=frame.index)).astype(float)
        table[title] = [_number(scale * value, f".{digits}f") for value in values]
    return pd.concat([table, standing_on(frame)[["commit", "standing", "record"]].set_index(frame.index)], axis=1)


def contestant_table(records: list[dict]) -> pd.DataFrame:
    """Contestants of benchmark records (`results.load_records`), a row each with what was measured of them;
    without records one row, "not run"."""
    rows = [{"contestant": name, **values, "seed": record["seed"],
             "cpu": record["provenance"]["machine"]["cpu"], "record": record["path"]}
            for record in records for name, values in record.get("contestants", {}).items()]
    if not rows:
        return pd.DataFrame([{"contestant": NOT_RUN, "record": "none"}])
    table = pd.DataFrame(rows)
    return table[[*table.columns.drop(["seed", "cpu", "record"]), "seed", "cpu", "record"]].round(3)


def speed_table(table: pd.DataFrame, control: str) -> pd.DataFrame:
    """`bench.latency.summarize` for reading; without rows one, "not run"."""
    rows = []
    for name, row in table.iterrows():
        ratio, low, high = (row.get(key, math.nan) for key in ("speed_ratio", "speed_ratio_low", "speed_ratio_high"))
        spread = "" if math.isnan(low) else f" ({low:.2f} to {high:.2f})"
        rows.append((name, f"{row['size_bytes'] / 1e6:.2f}", f"{row['latency_ms_p50']:.1f}",
                     f"{row['latency_ms_p95']:.1f}", _number(ratio) + spread))
    titles = ["contestant", "file, MB", "ms, median", "ms, 95th percentile", f"times as fast as {control}"]
    return rows_or(rows, titles if rows else titles[:1])


def weights_by_round(records: Iterable[Mapping]) -> pd.DataFrame:
    """Arm weights in long form from records (`results.load_records`): labels, seed, round, operator, strength, weight.
    Read from their series "weight <operator> <strength>" beside "round"; empty where no record has any."""
    rows = [(record["metrics"].get("labels"), record["seed"], number, operator, float(strength), value)
            for record in records for name, values in record["series"].items() if name.startswith("weight ")
            for operator, strength in [name.split(" ")[1:3]]
            for number, value in zip(record["series"]["round"], values, strict=True)]
    return pd.DataFrame(rows, columns=["labels", "seed", "round", "operator", "strength", "weight"])


def classes_served(frame: pd.DataFrame) -> pd.DataFrame:
    """By configuration, number of labels and class: accuracy on the reward half, share of the labelled pairs and of
    ADA's rows, in percent, mean over seeds. frame: of `results.load`; one row "not run" where ADA has no records."""
    rows = []
    for name in [c.removeprefix("ada_added_") for c in frame if c.startswith("ada_added_")]:
        with_ada = frame[frame[f"ada_added_{name}"].notna()]
        for (configuration, labels), group in with_ada.groupby(["configuration", "labels"]):
            rows.append((configuration, int(labels), name, *(round(100 * group[f"ada_{kind}_{name}"].mean(), 1)
                                                             for kind in ("accuracy", "data", "added"))))
    return rows_or(sorted(rows, key=lambda row: row[:2]), ["configuration", "labels", "class", "accuracy, %",
                                                           "of the labels, %", "of the added rows, %"])


def removed_and_accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """The one-shot arms as points: family, share removed (percent), accuracy (percent, both official sets), seed.
    frame: of `results.load`. family: "zeros, all layers together", "zeros, within each matrix", "units by <score>",
    "units and whole layers by <score>" or "whole layers by <score>", as the recipe in the record says. The share is of
    the prunable weights for zeros, of the encoder's for units. The baseline has the family "base"."""
    rows = []
    for row in frame.itertuples():
        name, accuracy = row.configuration, 50 * (row.accuracy_matched + row.accuracy_mismatched)
        if name == "base":
            rows.append(("base", 0.0, accuracy, row.seed))
        elif re.fullmatch(r"(magnitude|taylor|activation|random|layers)-\d+", name):
            recipe = results.record_at(row.path)["parameters"]["recipe"]
            kinds = set(recipe["kinds"])
            what = ("whole layers" if kinds == {"layers"} else "units and whole layers" if "layers" in kinds
                    else "units")
            rows.append((f"{what} by {recipe['score']}", 100 * row.removed, accuracy, row.seed))
        elif re.fullmatch(r"prune(-\d+|-layer)?", name):
            family = "zeros, within each matrix" if name == "prune-layer" else "zeros, all layers together"
            rows.append((family, 100 * row.sparsity, accuracy, row.seed))
    return pd.DataFrame(rows, columns=["family", "removed", "accuracy", "seed"])


def rounds(record: Mapping | None) -> pd.DataFrame:
    """AIP's attempts from its record, for `figures.trace`; empty without one. points: to where the run started."""
    if record is None:
        return pd.DataFrame()
    names = ("round", "step", "removed", "accuracy_before_recovery", "accuracy", "accepted", "final")
    table = pd.DataFrame({name: record["series"][name] for name in names}, dtype=float)
    return table.assign(points=100 * (table["accuracy"] - record["metrics"]["accuracy_start"])).astype(
        {"round": int, "accepted": bool, "final": bool})


def controller_log(record: Mapping | None) -> pd.DataFrame:
    """The Synergy Controller's log from a record, a row a round, for `figures.price_steps`; empty without any. seconds:
    work, at the recipe's speed; labels_used, seconds_used: since the run began; megabytes: of the file; percent:
    accuracy; why: a round was rolled back; size_off, latency_off: where there was a real export, what was predicted
    over what it had, less 1."""
    if record is None or "lambda_data" not in record["series"]:
        return pd.DataFrame()
    series = record["series"]
    names = ("round", "step", "loss", "accuracy", "size", "seconds", "labels", "lambda_data", "lambda_model",
             "labels_used", "seconds_used", "value", "limit", *FORESEEN, "latency")
    absent = [math.nan] * len(series["round"])
    log = pd.DataFrame({name: series.get(name, absent) for name in names}, dtype=float)
    broken = [BROKEN[int(number)] for number in series.get("broken", [0] * len(log))]
    off = {f"{name}_off": log[f"predicted_{name}"] / log[f"exact_{name}"].replace(0, math.nan) - 1
           for name in ("size", "latency")}
    return log.assign(round=log["round"].astype(int), action=[ACTIONS[int(number)] for number in series["action"]],
                      accepted=np.array(series["accepted"], bool), megabytes=log["size"] / 1e6, **off,
                      percent=100 * log["accuracy"],
                      why=list(map(reason, broken, log["value"], log["limit"])))


def controller_rounds(record: Mapping | None) -> pd.DataFrame:
    """`controller_log` in a page's words, and for `figures.rounds`. labels, seconds: of the round, and spent so far;
    loss: the change by the round; λ before it; predictor off: in rounds with a real export; why: it was rolled back."""
    log = controller_log(record)
    if log.empty:
        return log
    log = log.assign(size_off=100 * log["size_off"], latency_off=100 * log["latency_off"],
                     kept=np.where(log["accepted"], "yes", "rolled back")).round(3)
    counts = {name: log[name].astype("Int64") for name in ("labels", "labels_used")}
    timed = {"latency": "ms a batch", "latency_off": "predicted ms off, %"} if log["latency"].notna().any() else {}
    names = {**dict.fromkeys(("round", "action", "step", "loss"), None), "percent": "accuracy, %",
             "megabytes": "file, MB", "size_off": "predicted MB off, %", **timed, "labels": None,
             "labels_used": "labels spent", "seconds": None, "seconds_used": "seconds spent",
             "lambda_data": "λ data", "lambda_model": "λ model", "kept": None, "why": None}
    return log.assign(**counts)[list(names)].rename(columns={name: to for name, to in names.items() if to})


def controller_front(record: Mapping | None) -> pd.DataFrame:
    """The states that a run of rounds passed through and that no other of them beats in bytes and in accuracy on the
    development rows (`tradeoff.pareto`), by bytes; empty without rounds. Round 0: the start."""
    log = controller_log(record)
    if log.empty:
        return log
    states = log[log["accepted"]][["round", "action", "megabytes", "accuracy"]]
    if "size_start" in record["metrics"]:
        start = (0, "start", record["metrics"]["size_start"] / 1e6, record["metrics"]["accuracy_start"])
        states = pd.concat([pd.DataFrame([start], columns=states.columns), states], ignore_index=True)
    front = tradeoff.pareto(states.assign(accuracy=100 * states["accuracy"]))
    return front.round(3).rename(columns={"megabytes": "file, MB", "accuracy": "accuracy, %"})


def controller_says(record: Mapping) -> str:
    """What the controller itself took, and how far off its predictors were, in sentences; "" where a record has no
    such numbers."""
    numbers = record["metrics"]
    if "overhead" not in numbers:
        return ""
    said = [f"The controller itself (choosing, predicting, exporting) took {numbers['controller_seconds']:.1f} s, "
            f"{numbers['overhead']:.1%} of the run; judging the rounds by the development rows took "
            f"{numbers['judging_seconds']:.1f} s."]
    kinds = {"size": "bytes", "latency": f"milliseconds (of {numbers.get('latency_batch', 1):g} a batch)"}
    said += [f"Predicted {word} were off by {numbers[f'{name}_error_median']:.2%} (median), "
             f"{numbers[f'{name}_error_worst']:.2%} at worst." for name, word in kinds.items()
             if f"{name}_error_median" in numbers]
    return " ".join(said)


def recorded_run(experiment: str, configuration: str, task: str | None = None) -> dict | None:
    """The committed record of the lowest seed, for `controller_rounds` and its neighbours; None where there is none.
    task: of `glue.task_of`, where not every task's counts."""
    records = results.load_records(results.reference_dir() / "cpu" / experiment)
    fitting = [record for record in records if record["configuration"] == configuration
               and task in (None, glue.task_of(record["data"]["name"]))]
    return min(fitting, key=lambda record: record["seed"], default=None)


def weight_histograms(record: Mapping) -> dict[str, dict[str, np.ndarray]]:
    """The weight histograms of a record's series: layer number -> {"centre", "before", "after"}; {} without."""
    series = record["series"]
    layers = [name.removeprefix("before layer ") for name in series if re.fullmatch(r"before layer \d+", name)]
    return {layer: {"centre": np.array(series["histogram_centre"]), "before": np.array(series[f"before layer {layer}"]),
                    "after": np.array(series[f"after layer {layer}"])} for layer in layers}


def shape_table(records: Mapping[str, Mapping]) -> pd.DataFrame:
    """Overlap of the shapes, weights removed and mass removed: means over the layers, and the lowest overlap."""
    rows = []
    for name, record in records.items():
        overlap, *removed = (np.array(record["series"].get(f"layer_{key}", []))
                             for key in ("overlap", "removed_weights", "removed_mass"))
        if len(overlap):
            rows.append((name, record["seed"], overlap.mean(), overlap.min(),
                         *(f"{100 * share.mean():.1f}" for share in removed)))
    columns = ["configuration", "seed", "overlap, mean", "overlap, lowest", "weights removed, %", "mass removed, %"]
    return rows_or(rows, columns).round(3)
