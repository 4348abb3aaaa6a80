"""Benchmark of data selection: seconds and memory of scoring a pool and choosing from it, over the pool's size.

    python -m seo_core.bench.selection --profile cpu --sizes 10000 30000 100000

The pools are embedded pairs, or those of `--data`, from the beginning again where there are fewer than the size asks
for; the model is the profile's, untrained, whose cost is that of a trained one. The turns are interleaved (size by
size, function by function, again). A turn's seconds are those of the whole call. `features` is the pass over the pool
alone, `predict` plain inference on it, `fit` an epoch of training, on the smallest pool and after all others. Memory is
the peak of the process during the turn, model and pool included. One record is written, with a contestant for each
function and size; the contestants "features" and "fit" are those of the largest pool that they had, for
`costs.quiet_speed`.
"""

from __future__ import annotations

import copy
import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seo_core.lab.cli import guarded, say, settings_parser

EXPERIMENT = "bench_selection"
SIZES = (10_000, 30_000, 100_000)
PASSES = ("fit", "predict", "features")  # these choose nothing
FUNCTIONS = (*PASSES, "entropy", "badge", "hybrid")  # bald is five passes: ask for it


def measure(model, pool, *, sizes: Sequence[int] = SIZES, functions: Sequence[str] = FUNCTIONS, n: int = 1000,
            rounds: int = 1, seed: int = 0, training=None, progress: bool = False):
    """One row per turn: function, pool, round, seconds, peak_memory_bytes.

    pool: an Encoded of at least the largest size. n: examples chosen. training: the TrainingConfig of `fit`. Raises
    ValueError where the pool is too small.
    """
    import pandas as pd
    from tqdm.auto import tqdm

    from seo_core.evaluation import peak_memory_bytes, predict, reset_peak_memory
    from seo_core.selection import features, select
    from seo_core.training import TrainingConfig, fit

    if max(sizes) > len(pool):
        raise ValueError(f"the largest size is {max(sizes)} and the pool has {len(pool)} examples: make it larger")
    turns = [(r, size, name) for r in range(rounds) for size in sizes for name in functions if name != "fit"]
    # last, since the memory that training leaves behind would be counted for the others
    turns += [(r, min(sizes), "fit") for r in range(rounds) if "fit" in functions]
    training, rows = replace(training or TrainingConfig(), epochs=1), []
    features(model, pool.take(range(min(256, len(pool)))))  # kernels are compiled outside the clock
    for number, size, name in tqdm(turns, desc="selection", unit="turn", disable=not progress):
        part, learner = pool.take(range(size)), copy.deepcopy(model) if name == "fit" else model
        gc.collect()
        reset_peak_memory()
        began = time.perf_counter()
        if name == "fit":
            fit(learner, part, config=training, progress=False)
        elif name == "predict":
            predict(model, part, precision="auto")  # the precision of `features`
        elif name == "features":
            features(model, part)
        else:
            select(name, model, part, n, np.random.default_rng([seed, number]))
        rows.append((name, size, number, time.perf_counter() - began, peak_memory_bytes()))
    return pd.DataFrame(rows, columns=["function", "pool", "round", "seconds", "peak_memory_bytes"])


def summarize(turns):
    """One row per function and pool: median seconds, examples_per_second, choosing_seconds (beyond the pass), peak
    memory; and exponent: the slope of log seconds over log pool from the smallest pool on, 1 being linear."""
    import pandas as pd

    table = turns.groupby(["function", "pool"], sort=False).agg(
        seconds=("seconds", "median"), peak_memory_bytes=("peak_memory_bytes", "max")).reset_index()
    scoring = table[table["function"] == "features"].set_index("pool")["seconds"]
    table["examples_per_second"] = table["pool"] / table["seconds"]
    if len(scoring):
        choosing = (table["seconds"] - table["pool"].map(scoring)).clip(lower=0)
        table["choosing_seconds"] = choosing.mask(table["function"].isin(PASSES))
    first = table.groupby("function")[["pool", "seconds"]].transform("first")
    with np.errstate(invalid="ignore"):
        exponent = np.log(table["seconds"] / first["seconds"]) / np.log(table["pool"] / first["pool"])
    table["exponent"] = pd.Series(exponent).where(table["pool"] > first["pool"])
    return table


def as_contestants(table) -> dict[str, dict[str, float]]:
    """`summarize`'s rows as a record's contestants, "badge 30000" -> numbers; missing values left out."""
    found = {f"{row['function']} {row['pool']}": {k: float(v) for k, v in row.drop("function").dropna().items()}
             for _, row in table.iterrows()}
    largest = table.groupby("function")["pool"].max()
    return found | {name: found[f"{name} {largest[name]}"] for name in ("features", "fit") if name in largest}


def cost_table(records: list[dict]):
    """Contestants of the benchmark's records, printed for a page; one row, "not run yet", where there are none."""
    import pandas as pd

    rows = [{"function": name.split()[0], "pool": int(v["pool"]), "texts": record["data"]["name"],
             "tokens a pair": round(record["metrics"]["tokens_per_pair"], 1), "seconds": round(v["seconds"], 1),
             "pairs per second": round(v["examples_per_second"]),
             "of inference": _of_inference(record, v),
             "seconds for choosing": round(v["choosing_seconds"], 1) if "choosing_seconds" in v else "—",
             "exponent": f"{v['exponent']:.2f}" if "exponent" in v else "—",
             "peak memory, GB": round(v["peak_memory_bytes"] / 1e9, 2),
             "quiet machine": "yes" if record["metrics"].get("other_load", 1.0) <= 0.1 else "no",
             "record": record["path"]}
            for record in records for name, v in record.get("contestants", {}).items() if " " in name]
    return pd.DataFrame(rows or [{"function": "not run yet"}])


def _of_inference(record, values) -> str:
    """Seconds over those of `predict` on the same pool."""
    inference = record["contestants"].get(f"predict {int(values['pool'])}")
    return "—" if inference is None else f"{values['seconds'] / inference['seconds']:.2f}"


def run(settings, *, sizes: Sequence[int] = SIZES, functions: Sequence[str] = FUNCTIONS, n: int = 1000,
        rounds: int = 1, progress: bool = True):
    """Measures on the training pairs of settings.data and writes the record; returns (summary, path)."""
    from seo_core import results
    from seo_core.data import encode, load_nli
    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import load_backbone, model_info
    from seo_core.training import TrainingConfig

    started = time.time()
    task = load_nli(settings.data, **({"rows": max(sizes)} if settings.data == "embedded" else {}))
    model, tokenizer = load_backbone(settings.model, layers=settings.layers, seed=settings.seed)
    pool = encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)
    pool = pool.take(np.resize(np.arange(len(pool)), max(sizes)))
    elsewhere = OtherLoad()
    turns = measure(model, pool, sizes=sizes, functions=functions, n=n, rounds=rounds, seed=settings.seed,
                    training=TrainingConfig.from_settings(settings), progress=progress)
    table = summarize(turns)
    path = results.write(EXPERIMENT, "selection_speed", settings=settings, data=task,
                         model_info=model_info(model, settings.model), labels_used=0, started=started,
                         metrics={"rounds": rounds, "other_load": elsewhere.cores(),
                                  "tokens_per_pair": float(pool.lengths.mean()), "pairs": len(task["train"])},
                         parameters={"sizes": list(sizes), "functions": list(functions), "n": n},
                         contestants=as_contestants(table), again=_command(settings, sizes, functions, n, rounds))
    return table, path


def _command(settings, sizes, functions, n, rounds) -> str:
    from seo_core.settings import display_source

    return " ".join(["python -m seo_core.bench.selection --profile", settings.profile, "--seed", str(settings.seed),
                     "--data", display_source(settings.data), "--model", display_source(settings.model),
                     "--sizes", *map(str, sizes), "--functions", *functions, "--n", str(n), "--rounds", str(rounds)])


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = settings_parser("seo_core.bench.selection", __doc__)
    parser.set_defaults(profile="cpu", data="embedded")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS))
    parser.add_argument("--n", type=int, default=1000, help="examples chosen")
    parser.add_argument("--rounds", type=int, default=1)

    def work(given, settings):
        table, path = run(settings, sizes=given.sizes, functions=given.functions, n=given.n, rounds=given.rounds)
        say(table.to_string(index=False))
        say(str(path))

    return guarded(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
