"""Sentences whose numbers come from the records, so that a chapter cannot say what its records do not.

    ours = Evidence("09_pruning")                                   # the committed records of a chapter
    Finding(f"Cut to 35%, it {ours.told('taylor-65', 'base')}: {ours.gap('taylor-65', 'base')}.")

A number whose record is absent reads "not run"; a word that a number decides (`told`) changes with it. An arm that is
sealed from the official sets is spoken of by its development rows, and the sentence says so.
"""

import math
import re
from collections.abc import Sequence

import pandas as pd

from seo_core import results
from seo_core.analysis import NOT_RUN, glue, statistics, tradeoff
from seo_core.analysis.contrasts import (
    CONTROLS,
    DEVELOPMENT,
    EVIDENCE,
    NO_EQUAL,
    OFFICIAL,
    TITLES,
    Measurement,
    contrast_in,
    equal_controls,
    known,
    measure,
    measured_on,
)
from seo_core.machine import in_short

MATCHED = OFFICIAL[0]  # where one number must do


_DEVELOPMENT = " on development rows"


class Finding:
    """A sentence or a few, as a notebook shows them: Markdown, with links to chapters as in any other text. An empty
    line ends a paragraph; other ends of lines are spaces."""

    def __init__(self, text: str):
        parts = [re.split(r"[ \n]+", part.strip()) for part in text.strip().split("\n\n")]  # fixed spaces stay
        self.text = "\n\n".join(map(" ".join, parts))

    def _repr_markdown_(self) -> str:
        return self.text

    __repr__ = _repr_markdown_


class Evidence:
    """The records that sentences speak of.

    chapters: names below book/reference/cpu, whose records are compared with one another; without any, all of them.
    labels: only runs with as many labels; default: the contrasts choose, most labels first (`contrasts.measure`).
    task: only records on that task of GLUE (`glue.of_task`); default: on all.
    frame: instead, of `results.load`, or of `efficiency.by_budget`, whose metric is "accuracy".
    """

    def __init__(self, *chapters: str, labels: int | None = None, task: str | None = None,
                 frame: pd.DataFrame | None = None):
        if frame is None:
            folder = results.reference_dir() / "cpu"
            frame = results.load(*(folder / name for name in chapters) if chapters else [folder])
        if labels is not None and "labels" in frame:
            frame = frame[frame["labels"] == labels]
        self.frame = frame if task is None else glue.of_task(frame, task)

    def mean(self, configuration: str, metric: str = MATCHED, *, scale: float = 100, unit: str = "%",
             digits: int = 1) -> str:
        """Mean over seeds of a column of `results.load`, "72.5%"; scale: what the column is multiplied with."""
        values, where = known(self.frame, configuration, metric), ""
        if values.empty and metric in OFFICIAL:
            values, metric, where = known(self.frame, configuration, DEVELOPMENT), DEVELOPMENT, _DEVELOPMENT
        return f"{_number(scale * values[metric].mean(), '', digits)}{unit}{where}" if len(values) else NOT_RUN

    def seeds(self, configuration: str, metric: str = MATCHED) -> str:
        """How many seeds are behind it: "1 seed", "3 seeds"."""
        values = known(self.frame, configuration, metric)
        return _seeds(values["seed"].nunique()) if len(values) else NOT_RUN

    def gap(self, a: str, b: str, metrics: str | Sequence[str] = OFFICIAL, *, digits: int = 2) -> str:
        """a − b in points, paired by seed and example, with 95% intervals (`contrasts.measure`):
        "−0.12 points [−1.11, +0.88] matched and +0.11 [−0.46, +0.67] mismatched (3 seeds)"."""
        measured = self._points(a, b, metrics)
        if not measured:
            return NOT_RUN
        named = [_interval(m, "+", digits, "" if i else " points")
                 + f" {TITLES.get(metric, metric)}" * (len(measured) > 1)
                 + _DEVELOPMENT * (metric == DEVELOPMENT and metric not in metrics)
                 for i, (metric, m) in enumerate(measured.items())]
        return f"{' and '.join(named)} ({min(measured.values(), key=lambda m: m.n).behind})"

    def to_control(self, name: str, metrics: str | Sequence[str] = OFFICIAL) -> str:
        """As `gap`, to the uncompressed network of equal compute and data (`contrasts.equal_controls`), which is named:
        "−0.80 points [−1.44, −0.17] (1 seed) to `distilled`". Where all controls saw or read less than the arm, it says
        so of the nearest (`tradeoff.nearest_control`)."""
        trained = self.frame[self.frame[MATCHED].notna()] if MATCHED in self.frame else self.frame.iloc[:0]
        control = equal_controls(trained, [name]).get(name, NOT_RUN) if len(trained) else NOT_RUN
        if control != NO_EQUAL:
            return f"{self.gap(name, control, metrics)} to `{control}`" if control in CONTROLS else control
        nearest, _ = tradeoff.nearest_control(trained, name)
        return f"{NO_EQUAL}; {self.gap(name, nearest, metrics)} to `{nearest}`, which saw less"

    def price(self, name: str, metrics: str | Sequence[str] = MATCHED) -> str:
        """`gap` to the baseline and `to_control`, of a compressed network: "−0.29 points [−0.63, +0.06] (1 seed) to the
        baseline, −1.49 points [−2.01, −0.96] (1 seed) to `distilled`"."""
        return f"{self.gap(name, 'base', metrics)} to the baseline, {self.to_control(name, metrics)}"

    def ratio(self, a: str, b: str, metric: str, *, digits: int = 1) -> str:
        """a / b of a column, with its 95% interval where several seeds or rounds give one, and how many are behind
        it: "3.4 times [3.1, 3.7] (12 rounds)", "4.0 times (1 seed)"."""
        measured = self._measured("ratio", metric, a, b)
        return f"{_interval(measured, '', digits, ' times')} ({measured.behind})" if measured else NOT_RUN

    def told(self, a: str, b: str, metrics: str | Sequence[str] = OFFICIAL, *, better: str = "is better",
             worse: str = "is worse", same: str = "is not told apart from it") -> str:
        """`better` or `worse` where the intervals of a − b lie on that side of 0 on all metrics, else `same`."""
        measured = self._points(a, b, metrics)
        if not measured:
            return NOT_RUN
        words = {statistics.side(m.low, m.high, better, worse, same) for m in measured.values()}
        return words.pop() if len(words) == 1 else same

    def _points(self, a: str, b: str, metrics: str | Sequence[str]) -> dict[str, Measurement]:
        """a − b by metric; empty where one of them was not measured."""
        metrics = (metrics,) if isinstance(metrics, str) else metrics
        measured = measured_on(metrics, self.frame, (a, b))
        return measured if set(measured) in (set(metrics), {DEVELOPMENT}) else {}

    def _measured(self, form: str, metric: str, a: str, b: str) -> Measurement | None:
        return measure(self.frame, contrast_in(form, metric, (a, b)), (*EVIDENCE, "quick"))


def passes(differences: pd.DataFrame, contrast: str) -> str:
    """Whether "a − b" holds after Holm, for a sentence: "passes Holm's correction on both sets", "passes Holm's
    correction on the matched set only", "does not pass Holm's correction". differences: of `contrasts.family`."""
    rows = differences[differences["contrast"] == contrast]
    sets = [TITLES.get(metric, metric) for metric in rows.loc[rows["holm"] < 0.05, "metric"]]
    if rows.empty or not sets:
        return NOT_RUN if rows.empty else "does not pass Holm's correction"
    where = " on both sets" if len(rows) == 2 else ""
    return "passes Holm's correction" + (where if len(sets) == len(rows) else f" on the {sets[0]} set only")


class Contest:
    """The newest record of a benchmark (`results.newest`, which vnni is for). Its contestants took turns in one run, so
    that a ratio of two of them holds on machines of that kind, and seconds on its own only.

        servers = Contest("bench_serving", "serving")                   # chapter, and what its record is named
        Finding(f"{servers.value('ours', 'ratio_alone', unit=' times')} as many.")          # 1.7 times [1.6, 2.5]
    """

    def __init__(self, chapter: str, name: str, *, vnni: bool = True):
        record = results.newest(name, results.reference_dir() / "cpu" / chapter, vnni=vnni)
        self.frame = pd.DataFrame.from_dict(record.get("contestants", {}), orient="index").rename_axis("contestant")
        self.machine = in_short(record["provenance"]["machine"]) if record else NOT_RUN

    def value(self, contestant: str, column: str = "ratio", *, scale: float = 1, unit: str = "", digits: int = 1,
              sign: str = "") -> str:
        """A contestant's number, with the span of its rounds where the record has one."""
        measured = self._measured(contestant, column)
        return NOT_RUN if measured is None else _interval(
            measured._replace(**{end: scale * getattr(measured, end) for end in ("estimate", "low", "high")}), sign,
            digits, unit)

    def told(self, contestant: str, column: str = "ratio", *, than: float = 1, more: str = "is faster than",
             less: str = "is slower than", same: str = "is not told apart from") -> str:
        """`more` or `less` where all rounds lie on that side of `than`, else `same`."""
        measured = self._measured(contestant, column)
        return NOT_RUN if measured is None else statistics.side(
            measured.low - than, measured.high - than, more, less, same)

    def times(self, one: str, other: str, column: str) -> str:
        """How many times the other's number one contestant has: "3.7 times", of the record's medians."""
        if column not in self.frame or not {one, other} <= set(self.frame.index):
            return NOT_RUN
        return f"{self.frame.at[one, column] / self.frame.at[other, column]:.1f} times"

    def met(self, contestant: str, column: str = "ratio", *, least: float = -math.inf, most: float = math.inf) -> str:
        """Whether a target was "reached" or "missed", by the median of the rounds, which is said where they differ."""
        measured = self._measured(contestant, column)
        if measured is None:
            return NOT_RUN
        inside = [least <= value <= most for value in measured[:3] if not math.isnan(value)]
        return ("reached" if inside[0] else "missed") + " in the median of the rounds" * (len({*inside}) > 1)

    def _measured(self, contestant: str, column: str) -> Measurement | None:
        row = self.frame.loc[contestant] if contestant in self.frame.index else {}
        estimate, low, high = (float(row.get(f"{column}{end}", math.nan)) for end in ("", "_low", "_high"))
        return None if math.isnan(estimate) else Measurement(estimate, low, high, 1)


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _interval(measured: Measurement, sign: str, digits: int, unit: str) -> str:
    """The estimate, its unit and, where there is one, its interval: "+0.40 points [−0.30, +1.10]"."""
    estimate, low, high = (_number(x, sign, digits) for x in measured[:3])
    interval = "" if math.isnan(measured.low) or low == high else f" [{low}, {high}]"
    return f"{estimate}{unit}{interval}"


def _number(value: float, sign: str, digits: int) -> str:
    """With a minus of its own and thousands apart: "−0.30", "1 551"."""
    return format(value, f"{sign},.{digits}f").replace("-", "−").replace(",", "\N{NO-BREAK SPACE}")
