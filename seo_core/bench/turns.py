"""Contestants take turns, so that a machine whose speed drifts is fair to all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

WARMUP_STEPS = 5  # first steps of a turn are left out of the steady rate: allocator and kernel caches


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


def interleave(contestants: dict[str, Callable[[int], Turn]], *, rounds: int, progress: bool = True):
    """Runs every contestant once a round, in turn, with the round's number as seed.

    Returns a DataFrame: contestant, round, examples, seconds, total_rate and steady_rate (examples/s), accuracy.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    rows = []
    turns = [(number, name) for number in range(rounds) for name in contestants]
    for number, name in tqdm(turns, desc="benchmark", unit="turn", disable=not progress):
        gc.collect()
        turn = contestants[name](number)
        row = {k: v for k, v in asdict(turn).items() if not k.startswith("step_")}
        rows.append({"contestant": name, "round": number, **row, "total_rate": turn.total_rate,
                     "steady_rate": turn.steady_rate})
    return pd.DataFrame(rows)


def summarize(turns, *, baseline: str):
    """One row per contestant: median rates, and their ratio to the baseline's.

    The ratio is the median over rounds of the ratio within a round, so that a slow minute of the machine
    hits both sides; ratio_low and ratio_high are the smallest and largest of them. development_accuracy is the mean
    over seeds, accuracy_difference that of the difference to the baseline with the same seed, with its extremes.
    """
    import pandas as pd

    rows = {}
    base = turns[turns.contestant == baseline].set_index("round")
    for name, group in turns.groupby("contestant", sort=False):
        group = group.set_index("round")
        ratio = (group.steady_rate / base.steady_rate).dropna()
        total = (group.total_rate / base.total_rate).dropna()
        rows[name] = {"examples_per_second": group.steady_rate.median(),
                      "examples_per_second_total": group.total_rate.median(),
                      "ratio": ratio.median(), "ratio_low": ratio.min(), "ratio_high": ratio.max(),
                      "ratio_total": total.median(), "rounds": len(group)}
        if group.accuracy.notna().any():
            rows[name]["development_accuracy"] = float(np.mean(group.accuracy))
            difference = (group.accuracy - base.accuracy).dropna()
            rows[name]["accuracy_difference"] = float(difference.mean())
            rows[name]["accuracy_difference_low"] = float(difference.min())
            rows[name]["accuracy_difference_high"] = float(difference.max())
    return pd.DataFrame.from_dict(rows, orient="index")


def as_contestants(table, prefix: str = "") -> dict[str, dict[str, float]]:
    """A summary as a record's `contestants`: name -> metrics, missing values left out."""
    return {prefix * (name != "all") + name: {k: float(v) for k, v in row.dropna().items()}
            for name, row in table.iterrows()}
