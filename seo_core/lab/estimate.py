"""How long work takes on this machine, told before it starts.

    probe(lab)                                           # pairs a second that train here, measured once for ten seconds
    there, missing = due(lab, [(known("ssl"), 2000)])    # what has its record; what would be made, with all it needs
    print(estimate(missing, Past(settings, lab)))        # 5 to 8 min here for 3 runs

A record says how long its run took, on a machine that had its own speed. That is read off the records of plain training
from the same machine, and compared with a probe of this one: some training steps of the lab's own network on its own
pairs. So a run that mostly scores or edits is taken to be as much faster or slower here as training is.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np

from seo_core import files, results
from seo_core.checks import check_number, first_line
from seo_core.lab.arm import ARMS, Arm, budgets_of, known, steps
from seo_core.lab.ground import Lab
from seo_core.lab.run import LabError, Run
from seo_core.lab.source import source_folder
from seo_core.machine import machine, onednn_capped, threads
from seo_core.models import fingerprint
from seo_core.settings import RunSettings, display_source, resolve_path

FIRST_STEPS = 2  # of a probe, not counted: allocator and kernel caches
SAMPLE = 50  # batches of the pool that a probe trains on, again where there is time: enough for tight padding
# What a pair costs beside one that the baseline trains on: forward only; edited; trained on in what pruning left (and
# as much more as is left), and the same in integers. With these the records of chapters 2, 9 and 13 agree on one speed.
FORWARD, EDIT, PRUNED, INTEGERS = 0.3, 0.1, (0.45, 0.55), (0.8, 0.6)
BUSY = 0.5  # cores that others used meanwhile, beyond which a probe is not remembered


def probe(lab: Lab, seconds: float = 10) -> float:
    """Pairs per second that the lab's network trains here, on its own pairs, as `training.fit` does.

    Measured over at most so many seconds of training steps, and one step at least. It is made once for a machine, a
    model and a length: remembered in the results folder (`.speed`), unless other processes were at work meanwhile. No
    random stream is moved, so what is trained afterwards is what it would have been. Raises SettingsError for seconds
    that are not above 0, and what loading and training raise.
    """
    check_number("seconds", seconds, above=0)
    place, about = _remembered(lab)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads(place.read_text())["pairs_per_second"])
    speed, busy = _train(lab, seconds)
    if busy <= BUSY:
        with contextlib.suppress(OSError):  # a folder that cannot be written costs ten seconds the next time
            files.write(place, json.dumps({**about, "pairs_per_second": round(speed, 3)}, indent=1) + "\n")
    return speed


def _remembered(lab: Lab) -> tuple[Path, dict]:
    """The file of a probe, and what it depends on: the machine, the model, how long and how many its texts are."""
    settings = lab.settings
    about = {"machine": _name(machine()), "threads": threads(), "capped": onednn_capped(),
             "model": fingerprint(settings.model), "data": lab.task.fingerprint,
             **{name: getattr(settings, name) for name in ("layers", "max_length", "batch_size", "freeze_embeddings")}}
    return resolve_path(settings.results_dir) / ".speed" / f"{files.digest(about, length=8)}.json", about


def _train(lab: Lab, seconds: float) -> tuple[float, float]:
    """(pairs per second, cores that others used) of some training steps."""
    from seo_core.training import TrainingConfig, fit

    rows = np.random.default_rng(0).permutation(len(lab.pool))[: SAMPLE * lab.settings.batch_size]
    config = TrainingConfig.from_settings(lab.settings, epochs=10_000)  # until it is stopped
    first: list[float] = []

    def watch(event: str, state) -> bool:
        if event == "step" and state.step == FIRST_STEPS:
            first[:] = state.examples, state.seconds
        return event == "step" and state.step > FIRST_STEPS and state.seconds >= seconds

    with _streams_kept():
        trained = fit(lab.network(), lab.encode(lab.pool.iloc[rows]), config=config, callbacks=[watch], progress=False)
    examples, spent = (trained.metrics[name] for name in ("train_examples", "train_seconds"))
    return (examples - first[0]) / (spent - first[1]), trained.metrics["other_load"]


@contextlib.contextmanager
def _streams_kept() -> Iterator[None]:
    """What the block draws from the random streams of Python, numpy and torch is not missed after it."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@dataclass(frozen=True)
class Estimate:
    """What some runs take, `str` in words: seconds from low to high, as the records vary, for `known` runs; the
    names of those of which nothing is known. where: on which machine that is."""

    low: float = 0.0
    high: float = 0.0
    known: int = 0
    unknown: tuple[str, ...] = ()
    where: str = "here"

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.low + other.low, self.high + other.high, self.known + other.known,
                        tuple(dict.fromkeys(self.unknown + other.unknown)), self.where if self.known else other.where)

    def __str__(self) -> str:
        if not self.known and not self.unknown:
            return "seconds: everything has its record"
        runs = f"{self.known} run{'s' * (self.known != 1)}"
        known = [f"{in_words(self.low, self.high)} {self.where} for {runs}"] * bool(self.known)
        unknown = [f"not known for {', '.join(self.unknown)}: no record says"] * bool(self.unknown)
        return "; ".join(known + unknown)


def in_words(low: float, high: float) -> str:
    """Seconds as "about 12 min", or as "8 to 14 min" where the two are further apart than a quarter."""
    unit, size, digits = next(row for row in (("h", 3600, 1), ("min", 60, 0), ("s", 1, 0))
                              if high >= 1.5 * row[1] or row[0] == "s")
    ends = [f"{max(value / size, 10**-digits):.{digits}f}" for value in (low, high)]
    if ends[0] == ends[1] or high <= 1.25 * low:
        return f"about {max((low + high) / 2 / size, 10**-digits):.{digits}f} {unit}"
    return f"{ends[0]} to {ends[1]} {unit}"


@dataclass(frozen=True)
class Due:
    """A run that would be made: an arm suited to the settings, its labels, its seed (None: one run serves all), and the
    `key`s of those among the others that it needs."""

    arm: Arm
    labels: int | None
    seed: int | None
    needs: frozenset[tuple] = frozenset()

    @property
    def key(self) -> tuple:
        """What tells it from others."""
        return self.arm.name, self.labels, self.seed


def due(lab: Lab, wanted: Iterable[tuple[Arm, int | None]], seeds: Iterable[int] = ()) -> tuple[list[Run], list[Due]]:
    """(runs that are there, runs that would be made) for these (arm, labels), arms suited to the settings, by seed
    (default: the lab's). The second in the order of making them, with all that they need: those without a record, and
    those whose weights are gone where another needs them. Raises LabError."""
    there: list[Run] = []
    missing: dict[tuple, Due] = {}

    def add(run: Due) -> set[tuple]:
        return {missing.setdefault(run.key, run).key}

    def visit(ground: Lab, arm: Arm, labels: int | None, asked: bool) -> set[tuple]:
        labels = None if arm.chapter.ground == "headline" else labels
        if arm.first and labels is not None and labels <= ground.budgets[0]:
            return visit(ground, known(arm.first).suited(ground.settings), labels, asked)
        run = None
        with contextlib.suppress(LabError):  # what it will be made of is not made yet
            run = ground.find(arm, labels)
        if run is not None and (asked or run.weights is None or run.weights.is_dir()):
            there.extend([run] * asked)
            return set()
        source = Due(known("source"), 0, None)
        if arm.name == "source":
            return add(source)
        needs = add(source) if arm.start == "source" and not source_folder(ground.settings).is_dir() else set()
        for need in arm.needs:
            needed = known(need.arm).suited(ground.settings)
            needs |= visit(ground, needed, need.budget(labels, ground.budgets), False)
        return add(Due(arm, labels, ground.settings.seed, frozenset(needs)))

    for seed in seeds or (lab.settings.seed,):
        ground = lab if seed == lab.settings.seed else replace(
            lab, settings=replace(lab.settings, seed=seed), asked=replace(lab.asked, seed=seed), shared={})
        for arm, labels in wanted:
            visit(ground, arm, labels, True)
    return there, list(missing.values())


def at_hand(settings: RunSettings) -> bool:
    """Whether data and model are here, so that to open a lab fetches nothing."""
    named = {settings.data, settings.model} - {"embedded", "bundled"}
    return all(resolve_path(name).exists() for name in named)


def told(wanted: Sequence[tuple[Arm, int | None]], settings: RunSettings, seeds: Sequence[int],
         open_lab: Callable[[], Lab | None]) -> str:
    """One line: what these (arm, labels) take with all that they need, for so many seeds. Without a lab it does not
    look which of them have their record. It never fails: what keeps it from being known stands there instead."""
    try:
        lab = open_lab()
        runs = due(lab, wanted, seeds)[1] if lab else list(dict.fromkeys(
            Due(step, count, None if step.name == "source" else seed) for seed in seeds for arm, labels in wanted
            for step, count in steps(arm.name, labels, budgets_of(settings.profile))))
        said = estimate(runs, Past(settings, lab))
    except (ValueError, RuntimeError, OSError) as error:
        return f"time: not known ({first_line(error)})"
    return f"time: {said}{', and under quick it takes seconds' * bool(said.unknown and settings.profile == 'quick')}"


def estimate(runs: Sequence[Due], past: Past) -> Estimate:
    """How long these runs take, one after the other: by the records that have such runs, else by pairs and epochs."""
    found = [(run.arm.name, past.of_run(run.arm, run.labels)) for run in runs]
    told = [times for _, times in found if times]
    return Estimate(sum(map(min, told)), sum(map(max, told)), len(told),
                    tuple(dict.fromkeys(name for name, times in found if not times)), past.where)


class Past:
    """What the committed records and those of the results folder say of how long things take, brought to the speed of
    this machine by a probe. Without a lab nothing is measured, nor under `quick`, where a probe takes longer than a
    run: the time is then that of the machine that the records name."""

    def __init__(self, settings: RunSettings, lab: Lab | None = None):
        self.settings, self.lab = settings, lab
        self.used: set[str] = set()  # the machines of the records that said something

    @cached_property
    def speed(self) -> float | None:
        """Pairs a second that train here, where that was measured."""
        return None if self.lab is None or self.settings.profile == "quick" else probe(self.lab)

    @cached_property
    def records(self) -> list[dict]:
        """Of `quick` under `quick`, else of the other profiles."""
        quick, own = self.settings.profile == "quick", resolve_path(self.settings.results_dir)
        return [record for record in results.load_records(results.reference_dir(), own)
                if (record["profile"] == "quick") == quick]

    @cached_property
    def paces(self) -> dict[tuple[str, int, str], float]:
        """Pairs a second of plain training, by machine, threads and model."""
        plain = {(home, arm.recorded_as) for arm in ARMS.values() for home in (arm.home, *arm.earlier)
                 if arm.start == "pretrained" and arm.recipe is None and not arm.needs}
        rates: dict[tuple, list[float]] = {}
        for record in self.records:
            if (record["experiment"], record["configuration"]) in plain and "train_examples" in record["metrics"]:
                rates.setdefault(_place(record), []).append(record["metrics"]["train_examples"] / _seconds(record))
        return {place: median(values) for place, values in rates.items()}

    @property
    def where(self) -> str:
        """The machine that the times are of."""
        names = sorted(self.used - {_name(machine())})
        return "here" if not names or self.speed else f"where the records were made ({', '.join(names)})"

    def of_run(self, arm: Arm, labels: int | None) -> list[float]:
        """Seconds that a run may take, by what each record of such a run says; empty where nothing is known."""
        here = [record for record in self._of(arm, labels) if record["profile"] == self.settings.profile]
        if arm.name == "source" and not (self.lab and source_folder(self.lab.settings).is_dir()):
            return [self.here(record) + self.pairs(record) for record in here
                    if record["parameters"].get("source") == display_source(self.settings.source)]
        times = [self.here(record) * self._share(record, arm) for record in here]
        if not times and self.speed and arm.start and arm.name != "source":
            with contextlib.suppress(LabError):
                lab, work = self.lab._bound(arm, labels), getattr(arm.recipe, "work", None)
                if work:  # a run with a budget of it
                    return [work / self.speed]
                return [(len(lab.pool) if lab.labels is None else lab.labels) * lab.config().epochs / self.speed]
        return times or [self.here(record) * self._share(record, arm) for record in self._of(arm, labels) if self.speed]

    def of_experiments(self, names: Sequence[str]) -> list[float]:
        """Seconds of the latest run of each, a benchmark's; those without a record are left out."""
        latest = [max((record for record in self.records if record["experiment"] == name and self._tells(record)),
                      key=lambda record: record["provenance"]["finished"], default=None) for name in names]
        return [self.here(record) for record in latest if record]

    def _of(self, arm: Arm, labels: int | None) -> list[dict]:
        """The records of an arm with so many labels, whatever its knobs, that tell how fast their machine was."""
        names, homes = {arm.recorded_as, ARMS[arm.name].recorded_as}, (arm.home, *arm.earlier)
        return [record for record in self.records
                if record["experiment"] in homes and record["configuration"] in names and _labels(record) == labels
                and self._tells(record)]

    def _tells(self, record: dict) -> bool:
        return self.speed is None or self._pace(record) is not None

    def _pace(self, record: dict) -> float | None:
        """Pairs a second of plain training on the machine of a record, as it was then; None where nothing tells."""
        return self.paces.get(_place(record)) or (self.speed if _place(record)[0] == _name(machine()) else None)

    def here(self, record: dict) -> float:
        """The seconds of a record's run, here where this machine was probed."""
        self.used.add(_place(record)[0])
        return _seconds(record) * (self._pace(record) / self.speed if self.speed else 1.0)

    def pairs(self, record: dict) -> float:
        """The seconds of plain training on as many pairs as a record counts."""
        return record["metrics"].get("train_examples", 0) / (self.speed or self._pace(record) or np.inf)

    def _share(self, record: dict, arm: Arm) -> float:
        """How many training pairs there are, over those that the record had."""
        if self.lab is None or arm.chapter.ground == "labels":
            return 1.0
        return len(self.lab.of(arm.chapter).pool) / max(record["data"]["train_rows"], 1)


def _name(host: dict) -> str:
    return host.get("gpu") or host.get("cpu", "")


def _place(record: dict) -> tuple[str, int, str]:
    """The machine and the threads of a record, and its model."""
    return _name(record["provenance"]["machine"]), record["provenance"]["threads"], record["model"]["name"]


def _seconds(record: dict) -> float:
    began, ended = (datetime.fromisoformat(record["provenance"][name]) for name in ("started", "finished"))
    return max((ended - began).total_seconds(), 1e-3)


def _labels(record: dict) -> int | None:
    """How many labels a run was asked for; None in the headline setting."""
    said = record["parameters"]
    return said.get("bought", said.get("labels", record["metrics"].get("labels")))
