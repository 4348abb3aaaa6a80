"""Runs of arms, several at once: each in a process of its own, after those that it needs.

    failed = make(missing, lab.asked, jobs=2, say=print)     # what `lab.estimate.due` says would be made

A process prints the line of its run. Of two that need the same source network one waits for the other (`lab.source` has
the lock).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from seo_core.runner import process
from seo_core.runner.state import book_environment
from seo_core.settings import RunSettings, book_root, load_settings

if TYPE_CHECKING:
    from seo_core.lab.estimate import Due


def make(missing: Iterable[Due], settings: RunSettings, *, jobs: int, say: Callable[[str], object],
         knobs: Iterable[str] = (), wanted: Iterable[str] = (), name: str | None = None) -> list[str]:
    """Makes these runs, so many at once; what each printed is said when it ends. Returns the names of those that failed
    and of those that were not made because of that. knobs, name: of the arms named in `wanted`. Where it is
    interrupted, its processes end, and the same call goes on from what they saved."""
    waiting, running = {run.key: run for run in missing if run.arm.name != "source" or "source" in wanted}, {}
    failed: dict[tuple, str] = {}
    try:
        while waiting or running:
            for key, run in list(waiting.items()):
                if run.needs & failed.keys():
                    failed[key] = f"{waiting.pop(key).arm.name} (not made)"
                elif len(running) < jobs and not run.needs & (waiting.keys() | running.keys()):
                    own = run.arm.name in wanted
                    job = {"arm": run.arm.name, "labels": run.labels, "name": name if own else None,
                           "set": list(knobs) if own else [],
                           "settings": replace(settings, seed=settings.seed if run.seed is None else run.seed).asdict()}
                    running[key] = _start(job, jobs)
                    del waiting[key]
            for key, child in list(running.items()):
                if child.poll() is not None:
                    said = running.pop(key).words().rstrip()
                    if child.returncode:
                        failed[key] = key[0]
                    if said:
                        say(said)
            time.sleep(0.1)
    finally:
        for child in running.values():
            child.words()  # closes its stdin, and waits
    return list(failed.values())


def _start(job: dict, jobs: int) -> process.Process:
    return process.start("seo_core.runner.arms", job, book_environment(book_root(), jobs=jobs))


def main() -> int:
    """Makes the run on stdin; exit code 0 done, 1 it failed, 3 the parent is gone."""
    from seo_core.arms import known, open_lab
    from seo_core.lab.ground import line
    from seo_core.lab.knobs import knob

    job = process.take(lambda: os._exit(3))
    try:
        settings = load_settings(**job["settings"])
        lab = open_lab(known(job["arm"]).chapter, settings, report=print, say=lambda text: None)
        run = lab.arm(job["arm"], job["labels"], dict(map(knob, job["set"])), recorded_as=job["name"])
        print(line(run), flush=True)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"error: {job['arm']}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
