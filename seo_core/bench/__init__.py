"""Benchmarks: contestants take turns (A B C A B C), and their ratios are reported.

    python -m seo_core.run bench training --profile cpu --data path/to/mnli --rounds 3
    outcome = bench.measure("training", settings, rounds=3)                # the same; outcome.table, outcome.paths

A benchmark is a module with

    EXPERIMENT, RECORD                   where its record goes
    OPTIONS                              options of its command line -> what argparse has to know of them
    plan(settings, **options) -> dict    how much is run: the options, and what the profile makes of them
    contest(settings, plan)              its contestants take their turns: an `Outcome`

All else is in `seo_core.bench.turns`: taking turns, ratios, the record, the command line.
"""

from __future__ import annotations

import importlib
import sys
import time

BENCHES = ("training", "augmentation", "selection", "inference", "saturation", "neighbours", "serving", "engines",
           "scoring", "precision", "scalability", "batches", "utilization")


def benchmark(name: str):
    """The module of a benchmark, imported now. Raises SettingsError with the nearest name."""
    from seo_core.checks import check_choice

    return importlib.import_module(f"{__name__}.{check_choice('benchmark', name, BENCHES)}")


def measure(name: str, settings, **options):
    """Runs a benchmark and writes its records; returns the `Outcome`. options: those of the module's `plan`."""
    from seo_core.bench.turns import write

    module, started = benchmark(name), time.time()
    plan = module.plan(settings, **options)
    return write(module, settings, plan, module.contest(settings, plan), started)


def main(name: str, arguments: list[str] | None = None) -> int:
    """`bench NAME …` of the command line: runs, and prints the contestants. Bad input is one line and no 0."""
    from seo_core.bench.turns import parse
    from seo_core.checks import SettingsError

    try:
        settings, options = parse(benchmark(name), arguments)
        outcome = measure(name, settings, **options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    print(outcome.table.round(3).to_string())
    print(", ".join(f"{metric} {value:g}" for metric, value in outcome.metrics.items()))
    print(outcome.paths[0])
    return 0
