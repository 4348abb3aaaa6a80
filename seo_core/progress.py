"""Where a long job is: a bar on a terminal, else (in a log, a notebook) a line on stderr now and then.

    with Progress("training", steps, "step") as watch:
        watch.step(f"loss {loss:.3f}")                  # after each of them
    for rows in watched(encoded.batches(64), "scoring", "batch"):
        ...

A line comes every SECONDS at most, so a job that is over sooner says nothing, and a bar not before DELAY.
SEO_PROGRESS_SECONDS in the environment sets another time, `inf` none.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence

from seo_core.checks import SettingsError

SECONDS = 30.0  # between two lines
DELAY = 1.0  # seconds before a bar is shown: what is over at once should not flicker


def seconds() -> float:
    """Between two lines: SEO_PROGRESS_SECONDS, else SECONDS. Raises SettingsError where it is no number from 0 on."""
    said = os.environ.get("SEO_PROGRESS_SECONDS", SECONDS)
    try:
        if float(said) >= 0:
            return float(said)
    except ValueError:
        pass
    raise SettingsError(f"SEO_PROGRESS_SECONDS must be 0 or more seconds, or inf for no lines, got {said!r}")


class Progress:
    """A job of `total` steps (called `unit`), of which `done` are behind it. how: said on the bar, and once in a log.
    shown: False says nothing at all."""

    def __init__(self, job: str, total: int, unit: str, *, done: int = 0, how: str = "", shown: bool = True):
        self.job, self.total, self.unit, self.how = job, total, unit, how
        self.first = self.done = done
        self.began = self.told = time.monotonic()
        self.pause, terminal = seconds(), sys.stderr.isatty()
        self.lines, self.bar = shown and not terminal, None
        if shown and terminal:
            from tqdm import tqdm

            self.bar = tqdm(total=total, initial=done, desc=", ".join(filter(None, (job, how))), unit=unit,
                            mininterval=1.0, delay=DELAY, leave=False)

    def step(self, said: str = "", count: int = 1) -> None:
        """After `count` steps; said: where the job stands, in its own terms."""
        self.done += count
        now = time.monotonic()
        if self.bar is not None:
            self.bar.set_postfix_str(said, refresh=False)
            self.bar.update(count)
        elif self.lines and now - self.told >= self.pause and self.done > self.first:
            left = (now - self.began) / (self.done - self.first) * (self.total - self.done)
            how = f" ({self.how})" if self.how and self.told == self.began else ""  # once
            print(", ".join(filter(None, (f"{self.job}{how}: {self.unit} {self.done} of {self.total}", said,
                                          f"{left / 60:.1f} min left"))), file=sys.stderr, flush=True)
            self.told = now

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error) -> None:
        self.close()


def watched(items: Sequence, job: str, unit: str, *, shown: bool = True) -> Iterator:
    """The items one after the other, each a step of a `Progress`."""
    with Progress(job, len(items), unit, shown=shown) as watch:
        for item in items:
            yield item
            watch.step()
