"""How long work takes on this machine, told before it starts.

    probe(lab)                       # pairs a second that train here, measured for ten seconds and remembered

A probe is some training steps of the lab's own network on its own pairs.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seo_core import files
from seo_core.checks import check_number
from seo_core.lab.ground import Lab
from seo_core.machine import machine, onednn_capped, threads
from seo_core.models import fingerprint
from seo_core.settings import resolve_path

FIRST_STEPS = 2  # of a probe, not counted: allocator and kernel caches
SAMPLE = 50  # batches of the pool that a probe trains on, again where there is time: enough for tight padding
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
    settings, here = lab.settings, machine()
    about = {"machine": here.get("gpu") or here["cpu"], "threads": threads(), "capped": onednn_capped(),
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
