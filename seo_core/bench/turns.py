"""The frame of the benchmarks: contestants take turns, so that a machine whose speed drifts is fair to all of them.

    turns = interleave({"ours": ours, "trainer": trainer}, rounds=3)     # A B A B A B
    table = summarize(turns, baseline="trainer")

A contestant is a function of the round's number. Ratios between contestants of one run mean something on any machine;
seconds only on the one that the record names.
"""

from __future__ import annotations

import argparse
import gc
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from seo_core.checks import whole_number
from seo_core.progress import watched
from seo_core.settings import NAMES, RunSettings, display_source, load_settings

WARMUP_STEPS = 5  # first steps of a turn are left out of the steady rate: allocator and kernel caches
MEASURED = ("examples", "seconds", "accuracy", "total_rate", "steady_rate")  # what a table of turns has of one
SETTINGS = ("profile", "seed", "data", "model", "source", "results_dir")  # options of every benchmark


@dataclass(frozen=True)
class Turn:
    """One training run of a contestant: examples, seconds from call to return, and when each step ended."""

    examples: int
    seconds: float
    step_ends: tuple[float, ...]  # seconds since the call
    step_examples: tuple[int, ...]
    accuracy: float | None = None  # on the development slice, where it was asked for

    @property
    def total_rate(self) -> float:
        """Examples per second of the whole call, set-up included."""
        return self.examples / self.seconds

    @property
    def steady_rate(self) -> float:
        """Examples per second after the first WARMUP_STEPS steps."""
        skip = min(WARMUP_STEPS, len(self.step_ends) - 1)
        return sum(self.step_examples[skip:]) / (self.step_ends[-1] - self.step_ends[skip - 1])


@dataclass(frozen=True)
class Outcome:
    """What a benchmark measured, and what its record says of it."""

    turns: object  # the DataFrame of `interleave`
    table: object  # a DataFrame, a row for each contestant: its numbers are the record's `contestants`
    task: object  # TaskData
    model_info: dict
    metrics: dict  # of the run as a whole
    parameters: dict
    labels_used: int | None = None
    configurations: dict[str, dict] = field(default_factory=dict)  # name -> metrics and series of a record of its own
    inputs: dict = field(default_factory=dict, repr=False)  # what the contestants worked on, for who checks it
    paths: tuple[Path, ...] = ()  # of its record and of those of the configurations, once they are written


def sample(settings, tokenizer, rows: int):
    """So many training pairs of the settings' data, encoded."""
    from seo_core.data import encode, prepare

    task = prepare(replace(settings, train_rows=rows))
    return encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)


def ground(settings, plan: dict, **rows: int) -> tuple:
    """What contestants train: (task, what makes the network for `load_backbone`, the network, a function that encodes a
    frame of the task). plan: with the number of its `layers`, if these are fewer. rows: of the task's sets, as the
    settings have them."""
    from seo_core.data import encode, prepare
    from seo_core.models.backbone import backbone_config, load_backbone

    have = settings.layers or backbone_config(settings.model).num_hidden_layers
    task = prepare(replace(settings, **rows))
    make = dict(model=settings.model, layers=min(plan.get("layers", have), have), num_labels=len(task.labels))
    network, tokenizer = load_backbone(**make)
    return task, make, network, partial(encode, tokenizer=tokenizer, texts=task.texts, max_length=settings.max_length)


def interleave(contestants: dict[str, Callable[[int], object]], *, rounds: int, between: Callable = gc.collect):
    """Calls every contestant once a round, in turn, with the round's number; `between` is called before each turn. A
    contestant returns a `Turn`, or a list of dicts. Returns a DataFrame with a row for each: contestant, round, and
    what was measured (of a `Turn`: examples, seconds, accuracy, total_rate and steady_rate in examples/s)."""
    import pandas as pd

    order = [(number, name) for number in range(whole_number("rounds", rounds, 1)) for name in contestants]
    rows = []
    ours = not gc.get_freeze_count()  # else the caller did so, and wants it kept
    if ours:
        gc.collect()
        gc.freeze()  # what is loaded stays: to walk torch and transformers again takes half a second a turn
    try:
        for number, name in watched(order, "benchmark", "turn"):
            between()
            measured = contestants[name](number)
            if isinstance(measured, Turn):
                measured = [{key: getattr(measured, key) for key in MEASURED}]
            rows += [{"contestant": name, "round": number, **row} for row in measured]
    finally:
        if ours:
            gc.unfreeze()
    return pd.DataFrame(rows)


def seconds(function: Callable, *arguments, **options) -> float:
    """Wall-clock seconds of a call."""
    began = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - began


def by_round(turns, value: str, how: str | None = None):
    """What was measured in each turn as a DataFrame (rounds, contestants). how: "sum" or "mean" of a turn's values,
    where it has several."""
    if how:
        turns = turns.groupby(["contestant", "round"], sort=False)[value].agg(how).reset_index()
    wide = turns.pivot(index="round", columns="contestant", values=value)
    return wide.astype(float)[turns["contestant"].unique()].rename_axis(columns=None)


def rounds_of(turns, name: str, **measured: str) -> dict[str, list[float]]:
    """A contestant's rounds as series of a record of its own, so that two of a run can be compared by round
    (`contrasts.measure`). measured: metric -> the column of the turns: {"round": …, "round_train_seconds": …}."""
    rows = turns[turns["contestant"] == name].sort_values("round")
    return {"round": rows["round"].tolist(),
            **{f"round_{metric}": rows[column].astype(float).tolist() for metric, column in measured.items()}}


def spread(compared, name: str, middle: str = "median"):
    """(rounds, contestants) as a row for each contestant: `name`, its middle over the rounds; `name`_low and _high.
    What is compared is taken within each round, so that a slow minute of the machine hits both sides."""
    import pandas as pd

    return pd.DataFrame({name: compared.agg(middle), f"{name}_low": compared.min(), f"{name}_high": compared.max()})


def summarize(turns, *, baseline: str):
    """One row per contestant: median rates, and their ratio to the baseline's (`spread`); ratio_total is of the whole
    calls. development_accuracy is the mean over seeds, accuracy_difference that of the difference to the baseline with
    the same seed, with its extremes."""
    import pandas as pd

    steady, total, accuracy = (by_round(turns, name) for name in ("steady_rate", "total_rate", "accuracy"))
    table = pd.DataFrame({"examples_per_second": steady.median(), "examples_per_second_total": total.median()})
    table = table.join(spread(steady.div(steady[baseline], axis=0), "ratio"))
    table["ratio_total"] = total.div(total[baseline], axis=0).median()
    table["rounds"] = steady.count()
    if accuracy.notna().any(axis=None):
        table["development_accuracy"] = accuracy.mean()
        table = table.join(spread(accuracy.sub(accuracy[baseline], axis=0), "accuracy_difference", "mean"))
    return table


def as_contestants(table) -> dict[str, dict[str, float]]:
    """A summary as a record's `contestants`: name -> numbers; missing values and texts are left out."""
    return {name: {metric: float(value) for metric, value in row.dropna().items()}
            for name, row in table.select_dtypes("number").iterrows()}


def write(benchmark, settings: RunSettings, plan: dict, outcome: Outcome, started: float | None = None) -> Outcome:
    """Writes the record of a benchmark (its module), and those of the configurations that it timed."""
    from seo_core import results

    shared = dict(settings=settings, data=outcome.task, model_info=outcome.model_info, parameters=outcome.parameters,
                  started=started, again=command(benchmark, settings, plan))
    records = {benchmark.RECORD: dict(metrics=outcome.metrics, contestants=as_contestants(outcome.table),
                                      labels_used=outcome.labels_used), **outcome.configurations}
    return replace(outcome, paths=tuple(results.write(benchmark.EXPERIMENT, name, **measured, **shared)
                                        for name, measured in records.items()))


def ranged(values: dict, name: str) -> str:
    """What `spread` made, for a page: "1.31 [1.24, 1.40]"; a dash where it is not there."""
    return "–" if name not in values else "{:.2f} [{:.2f}, {:.2f}]".format(*(values[f"{name}{end}"]
                                                                             for end in ("", "_low", "_high")))


def newest_table(name: str, columns: Sequence[str], row: Callable[[str, dict], tuple], folders, **which):
    """The contestants of a benchmark's (its RECORD) `results.newest` as a table for a page: `row(contestant, its
    numbers)` for each; without a record one row that says "not run"."""
    from seo_core import results
    from seo_core.analysis.tables import rows_or

    record = results.newest(name, *folders, **which)
    return rows_or([row(*each) for each in record.get("contestants", {}).items()], columns)


def _program(benchmark) -> str:
    return f"python -m seo_core.run bench {benchmark.__name__.rpartition('.')[2]}"


def parse(benchmark, arguments: list[str] | None) -> tuple[RunSettings, dict]:
    """The settings and the benchmark's own options of a command line; what was not given is left out."""
    parser = argparse.ArgumentParser(prog=_program(benchmark), description=benchmark.__doc__.split("\n")[0],
                                     argument_default=argparse.SUPPRESS, allow_abbrev=False)
    own = {**{name: {"type": int} if name == "seed" else {} for name in SETTINGS}, **benchmark.OPTIONS}
    for name, keywords in own.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **keywords)
    parser.add_argument("-p", dest="names", metavar="KEY=VALUE", action="append", type=_name, default=[],
                        help="labels and text of data that is not NLI")
    given = vars(parser.parse_args(arguments))
    names = dict(given.pop("names"))
    return load_settings(**{name: given.pop(name) for name in SETTINGS if name in given}, **names), given


def _name(text: str) -> tuple[str, str]:
    """"labels=no,yes" -> ("labels", "no,yes")."""
    key, _, value = text.partition("=")
    if key not in NAMES:
        raise argparse.ArgumentTypeError(f"a benchmark takes {' and '.join(NAMES)}, got {text!r}")
    return key, value


def command(benchmark, settings: RunSettings, plan: dict) -> str:
    """The command that runs the benchmark again; local folders appear as `path/to/<name>`."""
    from seo_core.results import names_given

    words = [*_program(benchmark).split(), *names_given(replace(settings, unlabelled=None))]  # which none reads
    values = settings.asdict() | plan
    for name in (*SETTINGS[:-1], *benchmark.OPTIONS):  # where the record lies is no property of the run
        value = values[name]
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, dict):
            words += [f"{key}={display_source(str(path))}" for key, path in value.items()]
        elif value is not True:
            words += [display_source(str(each)) for each in (value if isinstance(value, (list, tuple)) else [value])]
    capped = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return (f"ONEDNN_MAX_CPU_ISA={capped} " if capped else "") + shlex.join(words)
