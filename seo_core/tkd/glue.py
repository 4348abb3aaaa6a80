"""GLUE's nine tasks (glue.yml): their columns, their metrics, and the command of a run on one of them.

    task = load("stsb", "path/to/stsb")             # TaskData, of STS-B with scores
    TASKS["cola"].metrics                           # ("matthews",)
    command("tkd-kd", "qqp")                        # python -m seo_core.run arm tkd-kd --profile cpu …

GLUE's own number for a system is the mean over tasks of the mean of a task's metrics (Wang et al. 2019, section 5).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from seo_core import files
from seo_core.checks import check_choice
from seo_core.data import DataError, TaskData, load_task


class GlueTask(NamedTuple):
    """One task of GLUE."""

    title: str
    texts: tuple[str, ...]
    metrics: tuple[str, ...]  # of `evaluation.METRICS`, the one that counts first
    train: int  # pairs as published
    validation: int
    majority: tuple[float, ...]  # what the majority class gets by `metrics`, in percent
    cap: int | None = None  # training rows that a run is cut to; None: all at hand


TASKS = {name: GlueTask(*(tuple(value) if isinstance(value, list) else value for value in about))
         for name, about in files.table(__file__).items()}


SEVERAL = "sst2", "rte", "mnli"  # run at three seeds, the others at one


def known(name: str) -> GlueTask:
    """The task of that name. Raises DataError with the nearest."""
    return TASKS[check_choice("GLUE task", name, TASKS, DataError)]


def load(name: str, source: str | Path) -> TaskData:
    """A task's splits by its own columns, cleaned; STS-B's labels are scores. Raises DataError."""
    task = known(name)
    return load_task(source, text=task.texts, kind="regression" if "pearson" in task.metrics else None)


def command(arm: str, name: str, *, data: str | None = None, profile: str = "cpu") -> str:
    """The command of a run on a task, at its seeds and with its cap. MNLI needs no columns named, NLI being what the
    book is about."""
    task, seeds = known(name), " --seeds 0 1 2" * (name in SEVERAL)
    options = {"text": name != "mnli" and ",".join(task.texts), "train_rows": task.cap}
    given = "".join(f" -p {key}={value}" for key, value in options.items() if value)
    return f"python -m seo_core.run arm {arm} --profile {profile}{seeds} --data {data or f'path/to/{name}'}{given}"
