"""Benchmark of how much of a device training uses: our loop and Hugging Face's Trainer, beside bare matrix products.

    python -m seo_core.run bench utilization --profile gpu --data path/to/mnli
    outcome = bench.measure("utilization", settings)
    outcome.table              # pairs a second, ratio to the Trainer, TFLOP/s, and their share of the matrix rate

Two networks: the settings' own, and one of BERT-Base's shape with random weights. All train on texts that fill the
batch, 256 × 128 tokens on a GPU (what they say does not count here), in bf16 where the device multiplies it, in turn
with a product of two square matrices in the same numbers, which is as fast as the device goes. TFLOP/s are those of the
products that a loop makes (torch's `FlopCounterMode`), forward and backward, without what checkpointing makes again:
ours leaves out the last layer's other tokens, and no credit is taken for that. peak_memory_bytes: what PyTorch
allocated on a GPU; on a CPU, where all turns share a process, `bench precision` has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from seo_core import results
from seo_core.bench.scalability import network
from seo_core.bench.training import fit_contestant, trainer_contestant
from seo_core.bench.turns import (
    WARMUP_STEPS,
    Outcome,
    Turn,
    by_round,
    ground,
    interleave,
    newest_table,
    ranged,
    seconds,
    spread,
)
from seo_core.checks import whole_number

EXPERIMENT, RECORD = "bench_training", "utilization"
OPTIONS = {"steps": dict(type=int, help="batches of a turn after the first five (0: as the profile says)"),
           "rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
PRODUCTS, OURS, TRAINER, AGAIN = "matrix products", "seo_core", "Trainer, tuned", "seo_core, layers computed again"
REPEATS = 10  # products a turn; the first, which sets up, is left out
COLUMNS = ("device", "what", "pairs a second", "times the tuned Trainer", "TFLOP/s", "of the products' rate",
           "peak, GB")


def plan(settings, *, rounds: int = 0, steps: int = 0) -> dict:
    """Rounds, steps of a turn whose time counts, the batch and its tokens, the shape beside the settings' own, and the
    side of the matrices. A CPU has smaller batches, since BERT-Base takes it a quarter of a second for a pair; `quick`
    shows that it works, with two layers of each."""
    import torch

    quick, gpu = settings.profile == "quick", torch.cuda.is_available()
    size = {"batch": 256, "tokens": 128, "side": 8192} if gpu else {"batch": 32, "tokens": 128, "side": 2048}
    size = {"batch": 8, "tokens": 16, "side": 256, "layers": 2} if quick else size
    return {"rounds": whole_number("rounds", rounds, 0) or (1 if quick else 3), **size,
            "steps": whole_number("steps", steps, 0) or (3 if quick else 30 if gpu else 8),
            "shape": "BERT-Tiny" if quick else "BERT-Base"}


def contest(settings, plan: dict) -> Outcome:
    """Products and loops take turns."""
    import torch

    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import load_tokenizer, model_info
    from seo_core.models.fastpath import has_bf16
    from seo_core.training import TrainingConfig

    task, make, own, _ = ground(settings, plan)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = "bf16" if has_bf16(device) else "fp32"
    config = replace(TrainingConfig.from_settings(settings, epochs=1), batch_size=plan["batch"], precision=precision)
    train, tokenizer = filled(plan, own.config.vocab_size), load_tokenizer(settings.model)
    shapes = {"own model": make,
              f"{plan['shape']} shape": {"fresh": partial(network, plan["shape"], classes=len(task.labels))}}
    ways, flops = {PRODUCTS: partial(_products, plan["side"], device, precision)}, {}
    for name, made in shapes.items():
        loops = {OURS: fit_contestant(train, config, **made),
                 AGAIN: fit_contestant(train, replace(config, checkpointing=True), **made),
                 TRAINER: trainer_contestant(train, config, tokenizer, **made)}
        ways |= {f"{name}: {loop}": partial(_turn, contestant) for loop, contestant in loops.items()}
        few, small = train.take(slice(2)), replace(config, batch_size=2)
        counted = {OURS: _flops(fit_contestant(few, small, **made)),
                   TRAINER: _flops(trainer_contestant(few, small, tokenizer, **made))}
        flops |= {f"{name}: {loop}": counted.get(loop, counted[OURS]) for loop in loops}
    others = OtherLoad()
    turns = interleave(ways, rounds=plan["rounds"])
    load = others.cores()
    table = summarize(turns, flops)
    best = table.loc[f"{plan['shape']} shape: {OURS}"]
    return Outcome(turns=turns, table=table, task=task, model_info=model_info(own, settings.model),
                   parameters={"plan": plan, "training": vars(config)},
                   metrics={"matrix_tflops": table.at[PRODUCTS, "tflops"], "share": best["share"],
                            "speed_ratio": best["ratio"], "other_load": load}, inputs={"train": train, "flops": flops})


def filled(plan: dict, words: int):
    """`Encoded` texts of random words that fill every batch to its last token."""
    from seo_core.data.encoding import Encoded

    count, tokens = plan["batch"] * (WARMUP_STEPS + plan["steps"]), plan["tokens"]
    rng = np.random.default_rng(0)
    return Encoded(rng.integers(words // 2, words, count * tokens).astype(np.int32), np.arange(count + 1) * tokens,
                   np.full(count, tokens // 2, np.int32), rng.integers(0, 2, count), 0)


def _products(side: int, device: str, precision: str, number: int) -> list[dict]:
    """Products of two square matrices: TFLOP/s, 2 n³ operations each."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, generator=torch.Generator().manual_seed(seed)).to(device, dtype)
            for seed in range(2))

    def several(count: int) -> None:
        for _ in range(count):
            torch.mm(a, b)
        if device == "cuda":
            torch.cuda.synchronize()

    several(1)
    return [{"tflops": REPEATS * 2 * side**3 / seconds(several, REPEATS) / 1e12}]


def _turn(contestant: Callable[[int], Turn], number: int) -> list[dict]:
    """Steady pairs a second, and on a GPU the most that was allocated."""
    import torch

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate = contestant(number).steady_rate
    return [{"examples_per_second": rate,
             "peak_memory_bytes": float(torch.cuda.max_memory_allocated()) if gpu else np.nan}]


def _flops(contestant: Callable[[int], Turn]) -> float:
    """Operations of the products for a pair, forward and backward, by torch's counter."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        examples = contestant(0).examples
    return counter.get_total_flops() / examples


def summarize(turns, flops: dict[str, float]):
    """A row for each contestant: medians over the rounds, and ratio (to the tuned Trainer of the same network) and
    share (of the matrix rate) round by round, with their extremes (`spread`). flops: of a pair, by contestant."""
    import pandas as pd

    rate, tflops = by_round(turns, "examples_per_second"), by_round(turns, "tflops")
    for name, each in flops.items():
        tflops[name] = rate[name] * each / 1e12
    rival = {name: f"{name.partition(': ')[0]}: {TRAINER}" for name in flops}
    table = pd.DataFrame({"examples_per_second": rate.median(), "tflops": tflops.median()})
    table = table.join(spread(pd.DataFrame({name: rate[name] / rate[other] for name, other in rival.items()}), "ratio"))
    table = table.join(spread(tflops.div(tflops[PRODUCTS], axis=0), "share"))
    return table.join(by_round(turns, "peak_memory_bytes").median().rename("peak_memory_bytes"))


def report(*folders):
    """The record that `results.newest` takes, as a table for a page, with the device's name; one row, "not run", where
    there is none."""
    record = results.newest(RECORD, *folders)
    machine, number = record["provenance"]["machine"] if record else {}, "{:,.1f}".format
    return newest_table(RECORD, COLUMNS, lambda name, each: (
        machine.get("gpu") or machine["cpu"], name,
        number(each["examples_per_second"]) if "examples_per_second" in each else "–", ranged(each, "ratio"),
        number(each["tflops"]), ranged(each, "share"),
        number(each["peak_memory_bytes"] / 1e9) if "peak_memory_bytes" in each else "–"), folders)
