"""Benchmark of batches: memory, time and latency of TKD-NLP's Transformer over batch sizes and precisions.

    outcome = bench.measure("batches", settings, sizes=(1, 8, 32))
    python -m seo_core.run bench batches --profile cpu --data path/to/rte -p text=sentence1,sentence2

In each turn a network from scratch is trained on the same pairs, in a process of its own, whose high-water mark says
what memory that took; then it answers the same pairs. `int8` is not trained: it is the exported file under ONNX
Runtime, whose weights say nothing and whose time and memory are those of a trained one. What this machine does not
compute is left out: bf16 on a CPU without it, fp16 without a GPU.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path

from seo_core.bench.precision import turn
from seo_core.bench.turns import Outcome, by_round, interleave, newest_table, seconds
from seo_core.checks import check_number, whole_number

EXPERIMENT, RECORD = "bench_batches", "batches"
OPTIONS = {"sizes": dict(type=int, nargs="+", help="pairs of a batch (default: 1 8 32 128; under quick 2 8)"),
           "pairs": dict(type=int, help="trained on and answered in a turn (0: as the profile says)"),
           "rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
FP32, BF16, FP16, INT8 = "fp32", "bf16", "fp16", "int8"
QUICK = {"hidden": 64, "neurons": 256}  # of the network under `quick`, whose 12 layers stay


def plan(settings, *, sizes=None, pairs: int = 0, rounds: int = 0) -> dict:
    """Batch sizes, pairs of a turn, and rounds. Raises ValueError."""
    quick = settings.profile == "quick"
    sizes = tuple(sizes or ((2, 8) if quick else (1, 8, 32, 128)))
    for size in sizes:
        check_number("sizes", size, least=1, whole=True)
    return {"sizes": sizes, "pairs": whole_number("pairs", pairs, 0) or (16 if quick else 256),
            "rounds": whole_number("rounds", rounds, 0) or (1 if quick else 3)}


def computed() -> tuple[str, ...]:
    """The precisions that are measured on this machine."""
    import torch

    from seo_core.models.fastpath import has_bf16

    gpu = torch.cuda.is_available()
    return (FP32, *[BF16] * (gpu or has_bf16("cpu")), *[FP16] * gpu, INT8)


def contest(settings, plan: dict) -> Outcome:
    """Every precision with every batch size, each in a process of its own."""
    from seo_core.data import encode, prepare
    from seo_core.machine import OtherLoad
    from seo_core.models import load_tokenizer
    from seo_core.models.backbone import model_info
    from seo_core.tkd import Shape, build
    from seo_core.training import TrainingConfig

    task, tokenizer = prepare(replace(settings, train_rows=plan["pairs"])), load_tokenizer(settings.model)
    train = encode(task["train"], tokenizer, texts=task.texts, max_length=settings.max_length)
    shape = Shape(**QUICK if settings.profile == "quick" else {})
    make = partial(build, shape, vocabulary=len(tokenizer), labels=task.labels)
    config = TrainingConfig.from_settings(settings, epochs=1, freeze_embeddings=False)
    contestants, others = {}, OtherLoad()
    for numbers, size in product(computed(), plan["sizes"]):
        name = f"{numbers}, {size}"
        trained = replace(config, batch_size=size, precision=FP32 if numbers == INT8 else numbers)
        contestants[name] = partial(turn, dict(name=name, make=make, precision=numbers, config=trained, train=train),
                                    work=measured)
    turns = interleave(contestants, rounds=plan["rounds"])
    return Outcome(turns=turns, table=summarize(turns), task=task, model_info=model_info(make(), settings.model),
                   metrics={"other_load": others.cores()},
                   parameters={"plan": plan, "shape": asdict(shape), "training": config})


def measured(job: dict, seed: int) -> dict:
    """What a contestant's process does. train_ms: a pair, in training. above_start_bytes: the peak of that, less what
    the process had with its libraries (on a GPU what PyTorch allocated there); of int8, of answering. answer_ms: a
    batch, when it answers."""
    import torch

    from seo_core.deploy.runners import runner
    from seo_core.evaluation import peak_memory_bytes, predict, reset_peak_memory
    from seo_core.machine import default_threads
    from seo_core.quantization import ExportConfig, export_onnx
    from seo_core.training import fit

    network, train, size, row = job["make"](seed=seed), job["train"], job["config"].batch_size, {}
    int8, gpu = job["precision"] == INT8, torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        if int8:
            export_onnx(network, path, ExportConfig("int8-dynamic"), untrained=True)
        reset_peak_memory()
        start = peak_memory_bytes()
        if int8:
            answer = runner(path, threads=default_threads()).logits
        else:
            metrics = fit(network, train, config=replace(job["config"], seed=seed), progress=False).metrics
            row = {"train_ms": 1000 * metrics["train_seconds"] / metrics["train_examples"],
                   "above_start_bytes": torch.cuda.max_memory_allocated() if gpu else peak_memory_bytes() - start}
            answer = partial(predict, network, precision=job["precision"], progress=False)
        answer(train.take(slice(size)), batch_size=size)  # its caches
        took = seconds(answer, train, batch_size=size)
        row = {"above_start_bytes": peak_memory_bytes() - start, **row}
    return {**row, "answer_ms": 1000 * took / -(-len(train) // size)}


def summarize(turns):
    """A row for each contestant, medians over the rounds: train_ms, above_start_bytes, answer_ms."""
    import pandas as pd

    names = [name for name in ("train_ms", "above_start_bytes", "answer_ms") if name in turns]
    return pd.DataFrame({name: by_round(turns, name).median() for name in names})


COLUMNS = ("numbers", "batch", "training, ms a pair", "memory, MB", "answering, ms a batch", "ms a pair")


def report(*folders):
    """The newest record under the folders as a table for a page; one row, "not run", where there is none."""
    def row(name: str, values: dict) -> tuple:
        numbers, _, size = name.partition(", ")
        took, memory = values.get("answer_ms"), values.get("above_start_bytes")
        shown = ((values.get("train_ms"), "{:.1f}"), (memory and memory / 1e6, "{:.0f}"), (took, "{:.1f}"),
                 (took and took / int(size), "{:.2f}"))
        return numbers, size, *("—" if value is None else form.format(value) for value, form in shown)

    return newest_table(RECORD, COLUMNS, row, folders)
