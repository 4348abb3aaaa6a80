"""What is asked of the whole system, all at once: what each target asks, what the records say, and what fails.

    asked = at_once(results.load(), results.load_contestants(folder of the inference benchmark))
    failing(asked)                                       # "missed: …; not settled: …; not run: …"

A target is met where the whole 95% interval lies on its side, and missed where none of it does. What has no interval
(one seed, or one run of a benchmark) is taken as it is, and says so.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.analysis import NOT_RUN, glue, statistics
from seo_core.analysis.contrasts import (
    BASELINE,
    DEVELOPMENT,
    OFFICIAL,
    Measurement,
    contrast_in,
    known,
    mean,
    measure,
    with_work,
)

EXPERIMENTS = ("02_baseline", "09_pruning", "14_synergy_controller", "15_seo_llm")
TRIAL = "-trial-"  # in the name of a run of a search, after the arm's
EPOCHS = 20  # of the papers, on all labels
STOCK = ("control", "control, not fused", "control-plain")  # int8 as the libraries make it, in the inference benchmark
EAGER = "PyTorch eager fp32"
MET, MISSED, OPEN = "met", "missed", "not settled"
COLUMNS = ("target", "asked", "ours", "says")
HEADLINE, BEYOND, STATIC, GUARD, OVERHEAD = (
    "1 at once", "2 beyond", "3 beats a schedule", "4 guard", "5 overhead")


class Asked(NamedTuple):
    """One number that a target asks for, in the unit that it is told in: at least, or where `below` at most, `limit`.
    of: what is measured -> that unit."""

    words: str
    limit: float
    unit: str
    below: bool = False
    of: Callable = lambda value: value
    digits: int = 1

    def row(self, target: str, found: Measurement | None, note: str = "") -> tuple[str, str, str, str]:
        """The line of a table. note: behind our number."""
        wanted = f"{self.words}: {'at most' if self.below else 'at least'} {self._number(self.limit)}{self.unit}"
        if found is None or math.isnan(found.estimate):
            return target, wanted, NOT_RUN, NOT_RUN
        if math.isinf(found.estimate):
            return target, wanted, f"never at one seed or more ({found.behind}{note})", MISSED
        estimate, *ends = (self.of(value) for value in found[:3])
        ends = sorted(ends) if not any(map(math.isnan, ends)) else [estimate] * 2
        spread = f" [{self._number(ends[0])}, {self._number(ends[1])}]" if ends[0] < ends[1] else ""
        seeds = f"{found.n} seed{'s' * (found.n != 1)}" if found.n else "one run"
        ours = f"{self._number(estimate)}{self.unit}{spread} ({seeds}{note})"
        return target, wanted, ours, self._says(estimate, *ends)

    def _says(self, estimate: float, low: float, high: float) -> str:
        worst, best = (high, low) if self.below else (low, high)
        sign = -1 if self.below else 1
        if sign * (worst - self.limit) >= 0:
            return MET
        away = f"{self._number(abs(estimate - self.limit))}{self.unit}"
        if sign * (best - self.limit) < 0:
            return f"{MISSED} by {away}"
        return f"{OPEN}: {away} {'inside' if sign * (estimate - self.limit) >= 0 else 'short'}"

    def _number(self, value: float) -> str:
        return f"{value:,.{self.digits}f}".replace("-", "−").replace(",", "\N{NO-BREAK SPACE}")


def _share(words: str, limit: float) -> Asked:
    """At most so many percent of the other's."""
    return Asked(words, 100 * limit, "%", below=True, of=lambda ratio: 100 * ratio)


def _faster(words: str, limit: float) -> Asked:
    return Asked(words, limit, " times", of=lambda ratio: 1 / ratio, digits=2)


def at_once(frame: pd.DataFrame, timed: pd.DataFrame) -> pd.DataFrame:
    """Target by target what is asked, what the records say, and whether it is met (`COLUMNS`).

    frame: of `results.load`. timed: of `results.load_contestants`, of the inference benchmark; a ratio of speeds is of
    one run. Accuracy is that of the matched set where both were scored there, else of development rows. Training time
    is work in pairs (`train_work`, of a baseline train_examples), which the same quiet machine turns into seconds.
    """
    frame = glue.without_other_tasks(frame[frame["experiment"].isin(EXPERIMENTS)]) if len(frame) else frame
    frame, rows = _with_long(frame), []
    for target, arm, labels, size, speed, points in (
            (HEADLINE, "seo-labels", 0.7, Asked("smaller than the baseline", 67.6, "%", of=_saved),
             (_faster("as fast as eager fp32", 1.9), (EAGER,)), 0.0),
            (BEYOND, "seo-half", 0.5, Asked("times smaller than the baseline", 8, "", of=lambda ratio: 1 / ratio),
             (_faster("as fast as the fastest stock int8", 1.5), STOCK), -1.0)):
        rows += [
            _share("labels of the baseline's", labels).row(target, _ratio(frame, "labels_used", arm, BASELINE)),
            size.row(target, _ratio(frame, "size_bytes", arm, BASELINE)),
            speed[0].row(target, _speed(timed, arm, speed[1])),
            *(Asked(f"points to {words}", limit, "", digits=2).row(target, *_points(frame, arm, other))
              for words, other, limit in (("the baseline", BASELINE, points),
                                          ("its uncompressed control", f"{arm.replace('-labels', '')}-control", -1.0)))]
        if target == HEADLINE:
            for words, other, limit in (("training time of the baseline's", BASELINE, 1.0),
                                        (f"training time of {EPOCHS} epochs on all labels", _long(BASELINE), 0.69)):
                rows.append(_share(words, limit).row(target, _ratio(frame, "train_work", arm, other)))
            rows.append(against_rival(frame, timed, target, arm, "seo-rival"))
    after = _after_search(frame)
    ours, best = tuned(frame, "controller"), _best_schedule(frame, after)
    pair, note = (ours, best), f"; {ours} and {best}" if ours != "controller" else f"; {best}"
    rows.append(Asked("points to the best schedule, on development rows", 0.5, "", digits=2).row(
        STATIC, measure(after, contrast_in("points", DEVELOPMENT, pair)) if best else None, note))
    rows.append(Asked("or compute to its accuracy, at no more bytes", 80, "%", below=True, of=lambda part: 100 * part
                      ).row(STATIC, work_to_match(after, *pair) if best else None, note))
    rows += [*_guard_rows(guard(frame)), _overhead(frame)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def failing(asked: pd.DataFrame, target: str | None = None) -> str:
    """What of `at_once` (of a target, or all) does not hold, by name and by how much: "missed: …; not run: …"; "not
    run" where nothing was, "all met" where nothing fails."""
    rows = asked if target is None else asked[asked["target"] == target]
    if (rows["says"] == NOT_RUN).all():
        return NOT_RUN
    groups = {MISSED: [], OPEN: [], NOT_RUN: []}
    for row in rows.itertuples():
        group = next((word for word in groups if row.says.startswith(word)), None)
        if group:
            how = row.says.removeprefix(group).strip(" :")
            groups[group].append(row.asked.partition(":")[0] + f" ({how})" * bool(how))
    return "; ".join(f"{word}: {', '.join(each)}" for word, each in groups.items() if each) or "all met"


def _saved(ratio: float) -> float:
    return 100 * (1 - ratio)


def _ratio(frame: pd.DataFrame, metric: str, arm: str, other: str) -> Measurement | None:
    return measure(frame, contrast_in("ratio", metric, (arm, other)))


def _points(frame: pd.DataFrame, arm: str, other: str) -> tuple[Measurement | None, str]:
    """The difference in accuracy, and on which rows."""
    for metric, where in ((OFFICIAL[0], ""), (DEVELOPMENT, ", development rows")):
        if found := measure(frame, contrast_in("points", metric, (arm, other))):
            return found, where
    return None, ""


def _long(name: str) -> str:
    return f"{name}, {EPOCHS} epochs"


def _with_long(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with the baseline trained as the papers do: its work, all that is asked of it."""
    if "train_examples" not in frame:
        return frame
    frame = with_work(frame)
    long = frame[frame["configuration"] == BASELINE]
    return pd.concat([frame, long.assign(configuration=_long(BASELINE), train_work=EPOCHS * long["train_rows"])],
                     ignore_index=True)



def _speed(timed: pd.DataFrame, arm: str, others: Sequence[str]) -> Measurement | None:
    """Milliseconds of an arm over those of the fastest of the others, in the newest run that had both."""
    if "contestant" not in timed:
        return None
    for _, run in sorted(timed.groupby("finished"), reverse=True):
        ms = run.drop_duplicates("contestant").set_index("contestant")["latency_ms_p50"].dropna()
        rivals = ms.reindex(list(others)).dropna()
        if arm in ms and len(rivals):
            return Measurement(float(ms[arm] / rivals.min()), math.nan, math.nan, 0)
    return None


def against_rival(frame: pd.DataFrame, timed: pd.DataFrame, target: str, arm: str, rival: str) -> tuple[str, ...]:
    """The line of the cheap rival: better than it on two of accuracy, bytes and latency, and worse on none."""
    measured = {"accuracy": (_points(frame, arm, rival)[0], 0, 1),
                "bytes": (_ratio(frame, "size_bytes", arm, rival), 1, -1),
                "latency": (_speed(timed, arm, (rival,)), 1, -1)}
    wanted = f"against the cheap rival ({rival}): better on two of {', '.join(measured)}, worse on none"
    if any(found is None for found, *_ in measured.values()):
        return target, wanted, NOT_RUN, NOT_RUN
    words = {}
    for name, (found, equal, sign) in measured.items():
        low, high = (found.estimate,) * 2 if math.isnan(found.low) else found[1:3]
        words[name] = statistics.side(*sorted(sign * (end - equal) for end in (low, high)), "better", "worse", "equal")
    count = list(words.values()).count("better")
    worse = [name for name, word in words.items() if word == "worse"]
    says = MET if count >= 2 and not worse else f"{MISSED} by " + (
        f"being worse on {' and '.join(worse)}" if worse else f"{2 - count} of two")
    return target, wanted, ", ".join(f"{name} {word}" for name, word in words.items()), says


def tuned(frame: pd.DataFrame, name: str) -> str:
    """Of an arm and its trials the run with the highest accuracy on development rows at the first seed, on which the
    search was; the arm as it is without trials."""
    if "configuration" not in frame or DEVELOPMENT not in frame:
        return name
    runs = frame[(frame["configuration"].str.partition(TRIAL)[0] == name) & frame[DEVELOPMENT].notna()]
    if runs.empty:
        return name
    first = runs[runs["seed"] == runs["seed"].min()]
    return str(first.sort_values(DEVELOPMENT)["configuration"].iloc[-1])


def _after_search(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the seed that trials were compared on, where there were some, and their winners have others."""
    if "configuration" not in frame:
        return frame
    trial = frame["configuration"].str.contains(TRIAL)
    searched = frame.loc[trial, "seed"].min()
    return frame[frame["seed"] != searched] if (frame.loc[trial, "seed"] != searched).any() else frame


def _best_schedule(frame: pd.DataFrame, after: pd.DataFrame) -> str:
    """The static schedule, as its trials tuned it, with the highest accuracy on development rows; "" without any."""
    names = {name.partition(TRIAL)[0] for name in frame.get("configuration", ()) if name.startswith("static-")}
    means = {name: mean(known(after, name, DEVELOPMENT), DEVELOPMENT)
             for name in sorted(tuned(frame, each) for each in names)}
    return max((name for name, value in means.items() if not math.isnan(value)), key=means.get, default="")


def work_to_match(frame: pd.DataFrame, arm: str, other: str) -> Measurement | None:
    """The share of the other's work after which an arm is as accurate as the other ends, by what their rounds are
    judged by, and its file is no larger, paired by seed; ∞ at a seed where it never is. None without records."""
    paths = {name: known(frame, name, DEVELOPMENT).drop_duplicates("seed", keep="last").set_index("seed")["path"]
             for name in (arm, other)}
    shares = []
    for seed in sorted(set(paths[arm].index) & set(paths[other].index)):
        ours, theirs = (results.record_at(paths[name][seed])["series"] for name in (arm, other))
        there = [work / theirs["seconds_used"][-1] for work, accuracy, size in
                 zip(ours["seconds_used"], ours["accuracy"], ours["size"], strict=True)
                 if accuracy >= theirs["accuracy"][-1] and size <= theirs["size"][-1]]
        shares.append(there[0] if there else math.inf)
    if not shares:
        return None
    if math.inf in shares:
        return Measurement(math.inf, math.nan, math.nan, len(shares))
    estimate, *ends = (math.exp(end) for end in statistics.mean_interval(list(map(math.log, shares)))[:3])
    return Measurement(estimate, *ends, len(shares))


def _overhead(frame: pd.DataFrame) -> tuple[str, ...]:
    """The controller's own share of the wall clock."""
    runs = known(frame, "controller", "overhead")
    found = statistics.mean_interval(runs["overhead"]) if len(runs) else None
    return Asked("of the run is the controller's own", 3, "%", below=True, of=lambda part: 100 * part).row(
        OVERHEAD, found and Measurement(*found[:4]))


GUARD_COLUMNS = ("guard", "runs", "within the floor", "share", "low", "high", "reached 90%", "both")


def guard(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs on the double-loss guard, with it and without (`GUARD_COLUMNS`; a row for each that has records): how
    many ended within the floor, less one standard error of an accuracy on so many pairs that were set aside; their
    share with Wilson's 95% interval; how many reached 90% of the compression that was asked for; how many did both."""
    rows = []
    for name, word in (("guard-on", "on"), ("guard-off", "off")):
        runs = known(frame, name, "set_aside_accuracy") if "configuration" in frame else frame
        if len(runs):
            error = np.sqrt(runs["floor"] * (1 - runs["floor"]) / runs["set_aside"])
            within = runs["set_aside_accuracy"] >= runs["floor"] - error
            reached = runs["reached_share"] >= 0.9 * runs["requested_share"]
            share, n = float(within.mean()), len(runs)
            rows.append((word, n, int(within.sum()), share, *statistics.wilson(share, n), int(reached.sum()),
                         int((within & reached).sum())))
    return pd.DataFrame(rows, columns=list(GUARD_COLUMNS))


def _guard_rows(runs: pd.DataFrame) -> list[tuple[str, ...]]:
    wanted = "every run with the guard within the floor, at 90% of the compression or more"
    found = runs[runs["guard"] == "on"]
    if found.empty:
        return [(GUARD, wanted, NOT_RUN, NOT_RUN)]
    n, both = (int(found[column].iloc[0]) for column in ("runs", "both"))
    return [(GUARD, wanted, f"{both} of {n} runs", MET if both == n else f"{MISSED} by {n - both}")]


TRIALS = ("run", "accuracy, %", "seeds", "file, MB")


def trials(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The search: a row for each of these runs, its accuracy on development rows and its bytes, or "not run"."""
    rows = []
    for name in names:
        runs = known(frame, name, DEVELOPMENT) if len(frame) else frame
        rows.append((name, round(100 * mean(runs, DEVELOPMENT), 2), runs["seed"].nunique(),
                     round(mean(runs, "size_bytes") / 1e6, 2)) if len(runs) else (name, NOT_RUN, 0, NOT_RUN))
    return pd.DataFrame(rows, columns=list(TRIALS))
