"""Benchmark of data selection: seconds and memory of scoring a pool and choosing from it, over the pool's size.

    python -m seo_core.run bench selection --profile cpu --data path/to/mnli --sizes 10000 30000 100000

The pools are the training pairs of `--data`, from the beginning again where there are fewer than the size asks for; the
model is the profile's, untrained, whose cost is that of a trained one. The turns are interleaved (size by size,
function by function, again). A turn's seconds are those of the whole call. `features` is the pass over the pool alone,
`predict` plain inference on it, `fit` an epoch of training, on the smallest pool and after all others. Memory is the
peak of the process during the turn, model and pool included. One record is written, with a contestant for each function
and size; the contestants "features" and "fit" are those of the largest pool that they had, for `costs.quiet_speed`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from seo_core.bench import turns as frame
from seo_core.bench.turns import Outcome, interleave, seconds

EXPERIMENT, RECORD = "bench_selection", "selection_speed"
OPTIONS = {"sizes": dict(nargs="+", type=int, help="pairs in the pools"), "functions": dict(nargs="+"),
           "n": dict(type=int, help="examples chosen"), "rounds": dict(type=int)}
SIZES, QUICK_SIZES = (10_000, 30_000, 100_000), (200, 400)
PASSES = ("fit", "predict", "features")  # these choose nothing
FUNCTIONS = (*PASSES, "entropy", "badge", "hybrid")  # bald is five passes: ask for it


def plan(settings, **given) -> dict:
    """Sizes of the pools, functions, how many examples are chosen, rounds. Under `quick` small pools, in seconds."""
    quick = settings.profile == "quick"
    return {"sizes": QUICK_SIZES if quick else SIZES, "functions": FUNCTIONS, "n": 50 if quick else 1000, "rounds": 1,
            **given}


def contest(settings, plan: dict) -> Outcome:
    """Every function on every pool, `rounds` times."""
    import pandas as pd

    from seo_core.data import encode, load_data
    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import load_backbone, model_info
    from seo_core.training import TrainingConfig

    most = max(plan["sizes"])
    task = load_data(settings.data, text=settings.text, labels=settings.labels, rows=most)
    model, tokenizer = load_backbone(settings.model, num_labels=len(task.labels), layers=settings.layers,
                                     seed=settings.seed)
    pool = encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)
    pool, others = pool.take(np.resize(np.arange(len(pool)), most)), OtherLoad()
    turns = measure(model, pool, **plan, seed=settings.seed, training=TrainingConfig.from_settings(settings))
    return Outcome(turns=turns, table=pd.DataFrame.from_dict(as_contestants(summarize(turns)), orient="index"),
                   task=task, model_info=model_info(model, settings.model), labels_used=0,
                   metrics={"rounds": plan["rounds"], "other_load": others.cores(),
                            "tokens_per_pair": float(pool.lengths.mean()), "pairs": len(task["train"])},
                   parameters={name: plan[name] for name in ("sizes", "functions", "n")})


def measure(model, pool, *, sizes: Sequence[int] = SIZES, functions: Sequence[str] = FUNCTIONS, n: int = 1000,
            rounds: int = 1, seed: int = 0, training=None):
    """One row per turn: function, pool, round, seconds, peak_memory_bytes. pool: an Encoded of at least the largest
    size. n: examples chosen. training: the TrainingConfig of `fit`. Raises ValueError where the pool is too small."""
    import pandas as pd

    from seo_core.evaluation import peak_memory_bytes, predict, reset_peak_memory
    from seo_core.selection import features, select
    from seo_core.training import TrainingConfig, fit

    if max(sizes) > len(pool):
        raise ValueError(f"the largest size is {max(sizes)} and the pool has {len(pool)} examples: make it larger")
    features(model, pool.take(range(min(256, len(pool)))))  # kernels are compiled outside the clock
    passes = {"fit": partial(fit, config=replace(training or TrainingConfig(), epochs=1), progress=False),
              "predict": partial(predict, precision="auto"), "features": features}  # in one precision

    def turn(name: str, size: int, number: int) -> list[dict]:
        part, learner = pool.take(range(size)), copy.deepcopy(model) if name == "fit" else model
        rng = np.random.default_rng([seed, number])
        call = partial(passes[name], learner, part) if name in passes else partial(select, name, learner, part, n, rng)
        reset_peak_memory()
        return [{"function": name, "pool": size, "seconds": seconds(call), "peak_memory_bytes": peak_memory_bytes()}]

    scoring = {f"{name} {size}": partial(turn, name, size) for size in sizes for name in functions if name != "fit"}
    # last, since the memory that training leaves behind would be counted for the others
    learning = {f"fit {min(sizes)}": partial(turn, "fit", min(sizes))} if "fit" in functions else {}
    return pd.concat([interleave(each, rounds=rounds) for each in (scoring, learning) if each], ignore_index=True)


def summarize(turns):
    """One row per function and pool: median seconds, examples_per_second, choosing_seconds (beyond the pass), peak
    memory; and exponent: the slope of log seconds over log pool from the smallest pool on, 1 being linear."""
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
    return table.assign(exponent=exponent.where(table["pool"] > first["pool"]))


def as_contestants(table) -> dict[str, dict[str, float]]:
    """`summarize`'s rows as a record's contestants, "badge 30000" -> numbers; missing values left out."""
    contestants = frame.as_contestants(table.set_index(table["function"] + " " + table["pool"].astype(str)))
    largest = table.groupby("function")["pool"].max()
    return contestants | {name: contestants[f"{name} {largest[name]}"] for name in ("features", "fit")
                          if name in largest}


def cost_table(records: list[dict]):
    """Contestants of the benchmark's records, printed for a page; one row, "not run yet", where there are none."""
    import pandas as pd

    def of_inference(record, values) -> str:  # seconds over those of `predict` on the same pool
        inference = record["contestants"].get(f"predict {int(values['pool'])}")
        return "—" if inference is None else f"{values['seconds'] / inference['seconds']:.2f}"

    rows = [{"function": name.split()[0], "pool": int(v["pool"]), "texts": record["data"]["name"],
             "tokens a pair": round(record["metrics"]["tokens_per_pair"], 1), "seconds": round(v["seconds"], 1),
             "pairs per second": round(v["examples_per_second"]), "of inference": of_inference(record, v),
             "seconds for choosing": round(v["choosing_seconds"], 1) if "choosing_seconds" in v else "—",
             "exponent": f"{v['exponent']:.2f}" if "exponent" in v else "—",
             "peak memory, GB": round(v["peak_memory_bytes"] / 1e9, 2),
             "quiet machine": "yes" if record["metrics"].get("other_load", 1.0) <= 0.1 else "no",
             "record": record["path"]}
            for record in records for name, v in record.get("contestants", {}).items() if " " in name]
    return pd.DataFrame(rows or [{"function": "not run yet"}])
