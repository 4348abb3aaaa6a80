"""Benchmark of numbers and memory: fp32, bf16, scaled fp16, batches in parts, layers computed again, pruned networks.

    outcome = bench.measure("precision", settings, rounds=3)
    outcome.table                                                 # time and memory, and ratios to fp32

Every turn trains on the same pairs, in a process of its own: its peak is the high-water mark of that process's resident
set (VmHWM), libraries and all, as a monitor of the machine sees it; on a GPU it is what PyTorch allocated there. Beside
it stands what the forward pass of the longest batch keeps for the backward pass (`saved_bytes`): counted, not sampled,
the same on every machine. `full-precision` and `mixed-precision` have records of their own, in bf16 on a CPU that has
instructions for it, and on a GPU as in the paper: fp16 with dynamic loss scaling. A CPU without them computes bf16 by
way of fp32: its memory is shown, and of its time no claim is judged.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial

import numpy as np

from seo_core.bench.turns import Outcome, by_round, ground, interleave, rounds_of, spread
from seo_core.checks import whole_number

EXPERIMENT, RECORD = "bench_precision", "precision"
OPTIONS = {"pairs": dict(type=int, help="training pairs of a turn (0: as the profile says)"),
           "rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
FULL, BF16, FP16 = "fp32", "bf16", "fp16, loss scaled"
PARTS, AGAIN, BOTH = "fp32, batch in 4 parts", "fp32, layers computed again", "bf16, parts and layers again"
ZEROS, REMOVED = "fp32, half of the weights zero", "fp32, half of the encoder removed"
SHARE = 0.5  # of the encoder's weights that pruning takes
CONTESTANTS: dict[str, dict] = {  # fields of TrainingConfig
    FULL: dict(precision="fp32"), BF16: dict(precision="bf16"), FP16: dict(precision="fp16"),
    PARTS: dict(precision="fp32", accumulation=4), AGAIN: dict(precision="fp32", checkpointing=True),
    BOTH: dict(precision="bf16", accumulation=4, checkpointing=True),
    ZEROS: dict(precision="fp32"), REMOVED: dict(precision="fp32")}


def plan(settings, *, rounds: int = 0, pairs: int = 0) -> dict[str, int]:
    """Rounds and pairs of a turn. `quick` shows that it works, with the first two layers. fp16 has a batch at
    most on a CPU, where without instructions for it it is dozens of times slower than fp32; there its memory and
    accuracy are not compared."""
    quick = settings.profile == "quick"
    pairs = whole_number("pairs", pairs, 0) or (8 * settings.batch_size if quick else 4000)
    few = min(pairs, max(1, settings.batch_size // (2 if quick else 1)))
    return {"rounds": whole_number("rounds", rounds, 0) or (1 if quick else 3), "pairs": pairs, "fp16_pairs": few,
            **({"layers": 2} if quick else {})}


def contest(settings, plan: dict) -> Outcome:
    """All contestants take turns, each in a process of its own."""
    import pandas as pd
    import torch

    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import model_info
    from seo_core.models.fastpath import has_bf16
    from seo_core.training import TrainingConfig

    task, make, network, encoded = ground(settings, plan, train_rows=plan["pairs"])
    train, development = encoded(task["train"]), encoded(pd.concat([task["reward"], task["acceptance"]]))
    config, gpu = TrainingConfig.from_settings(settings, epochs=1), torch.cuda.is_available()
    others, contestants = OtherLoad(), {}
    for name, changes in CONTESTANTS.items():
        few = name == FP16 and not gpu
        contestants[name] = partial(turn, dict(
            make=make, name=name, config=replace(config, **changes), few=few,
            train=train.take(slice(plan["fp16_pairs"])) if few else train, development=None if few else development))
    turns = interleave(contestants, rounds=plan["rounds"])
    table, load = summarize(turns), others.cores()
    names = {"full-precision": FULL, "mixed-precision": FP16 if gpu else BF16} if gpu or has_bf16("cpu") else {}
    rows = turns.set_index("contestant")
    configurations = {each: {"metrics": {"train_seconds": rows.loc[[name], "seconds"].median(),
                                         "train_examples": int(rows.loc[[name], "examples"].iloc[0]),
                                         "peak_memory_bytes": table.at[name, "peak_memory_bytes"],
                                         "accuracy_development": table.at[name, "development_accuracy"],
                                         "other_load": load},
                             "series": rounds_of(turns, name, train_seconds="seconds",
                                                 peak_memory_bytes="peak_memory_bytes")}
                      for each, name in names.items()}
    return Outcome(turns=turns, table=table, task=task, model_info=model_info(network, settings.model),
                   metrics={"other_load": load},
                   parameters={"plan": plan, "training": config}, inputs={"train": train, "network": network},
                   configurations=configurations)


def turn(job: dict, seed: int, *, work: Callable | None = None) -> list[dict]:
    """One turn: work(job, seed), default `train`, in a new process. Raises RuntimeError where that ends before it
    answers."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:  # the libraries are loaded once, by a process that computes nothing
        context.set_forkserver_preload(["seo_core.training"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return [pool.submit(work or train, job, seed).result()]
        except BrokenProcessPool:
            raise RuntimeError(f"the training {job['name']!r} of the benchmark was ended from outside: if the machine "
                               "has no memory left, ask for fewer pairs or another model") from None


def train(job: dict, seed: int) -> dict:
    """What a contestant's process does: one training. seconds and examples, the peak in bytes, how much of it came
    after the libraries were there, saved_bytes, weights and zeros of the network, development accuracy."""
    import torch

    from seo_core.evaluation import accuracy, peak_memory_bytes, reset_peak_memory
    from seo_core.models.backbone import load_backbone
    from seo_core.training import fit

    reset_peak_memory()
    empty, gpu = peak_memory_bytes(), torch.cuda.is_available()
    network, callbacks = pruned(load_backbone(**job["make"], seed=seed)[0], job["name"])
    config = replace(job["config"], seed=seed)
    metrics = fit(network, job["train"], config=config, callbacks=callbacks, progress=False).metrics
    peak = torch.cuda.max_memory_allocated() if gpu else metrics["peak_memory_bytes"]
    row = {"seconds": metrics["train_seconds"], "examples": metrics["train_examples"],
           "skipped_steps": metrics.get("skipped_steps", 0), "weights": sum(p.numel() for p in network.parameters()),
           "zeros": sum(int((p == 0).sum()) for p in network.parameters() if p.ndim > 1)}
    if job["few"]:
        return row
    return {**row, "peak_memory_bytes": peak, "above_start_bytes": peak - (0 if gpu else empty),
            "saved_bytes": saved_bytes(network, job["train"], config),
            "accuracy": accuracy(network, job["development"])}


def pruned(network, name: str) -> tuple:
    """The network as a contestant trains it, and the callbacks that keep it so: for ZEROS the smallest half of the
    encoder's weights is zero and stays zero, for REMOVED whole heads and neurons are gone."""
    from seo_core.pruning.magnitude import KeepMasks, prune
    from seo_core.pruning.structured import choose, importance, remove

    if name == ZEROS:
        return network, [KeepMasks(prune(network, SHARE))]
    if name == REMOVED:
        units = choose(network, importance(network, "magnitude"), SHARE)
        return remove(network, heads=units.heads, neurons=units.neurons), []
    return network, []


def saved_bytes(model, pairs, config) -> int:
    """Bytes that the forward pass keeps for the backward pass, parameters left out: of the longest batch in `pairs`, or
    of one part of it where `config.accumulation` says so. Copies of weights in 16 bits count. With checkpointing these
    are the inputs of the layers; the one layer that is computed again at a time comes on top."""
    import torch

    from seo_core.models.fastpath import call, compute_dtype, forward_module

    device = next(model.parameters()).device
    own, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    rows = np.argsort(-pairs.lengths, kind="stable")[: config.batch_size // config.accumulation]
    inputs = {name: value for name, value in pairs.batch(rows, device).items() if name != "labels"}
    training, dtype = model.training, compute_dtype(config.precision, device)
    network = forward_module(model.train(), dtype, fast=config.fast, byte_dropout=config.byte_dropout,
                             first_token_only=config.first_token_only, checkpointing=config.checkpointing)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = call(network, inputs, dtype, network is model)
    model.train(training)
    return sum(kept.values()) if logits.requires_grad else 0


def summarize(turns):
    """A row for each contestant: ms a pair (median), ratio and memory_ratio to FULL in the same round (`spread`), peak,
    what came after the libraries, saved_bytes; weights, and how many are zero; development accuracy and its difference
    (means)."""
    import pandas as pd

    pace = by_round(turns.assign(ms=1000 * turns["seconds"] / turns["examples"]), "ms")
    peak, accuracy = by_round(turns, "peak_memory_bytes"), by_round(turns, "accuracy")
    counted = turns.groupby("contestant", sort=False)
    table = pd.DataFrame({"ms_per_pair": pace.median()}).join(spread(pace.div(pace[FULL], axis=0), "ratio"))
    table = table.join(spread(peak.div(peak[FULL], axis=0), "memory_ratio"))
    table = table.join(counted[["peak_memory_bytes", "above_start_bytes", "saved_bytes"]].median())
    table = table.join(counted[["weights", "zeros", "skipped_steps"]].max()).assign(rounds=pace.count())
    return table.assign(development_accuracy=accuracy.mean(),
                        accuracy_difference=accuracy.sub(accuracy[FULL], axis=0).mean())


def page(table):
    """`summarize` for reading; without rows one, "not run"."""
    from seo_core.analysis.tables import rows_or

    titles = ["contestant", "ms a pair", "time, of fp32", "peak, MB", "peak, of fp32", "kept for backward, MB",
              "weights, M", "zeros, %", "accuracy, points above fp32"]
    shapes = ("{:.2f}", "{:.2f}", "{:.0f}", "{:.2f}", "{:.1f}", "{:.2f}", "{:.0f}", "{:+.1f}")
    rows = []
    for name, row in table.iterrows():
        values = (row["ms_per_pair"], row["ratio"], row.get("peak_memory_bytes", np.nan) / 1e6,
                  row.get("memory_ratio", np.nan), row.get("saved_bytes", np.nan) / 1e6, row["weights"] / 1e6,
                  100 * row["zeros"] / row["weights"], 100 * row.get("accuracy_difference", np.nan))
        rows.append((name, *("—" if np.isnan(value) else shape.format(value)
                             for value, shape in zip(values, shapes, strict=True))))
    return rows_or(rows, titles if rows else titles[:1])
