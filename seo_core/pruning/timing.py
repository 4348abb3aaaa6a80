"""Milliseconds per batch of several networks, measured side by side in PyTorch.

    times = milliseconds({"before": model, "after": small}, encoded)      # name -> (median, p95)

For a first look within a chapter: the networks take turns (A B C A B C), on the same examples, so that what else the
machine does meanwhile falls on all of them. The book's own figures come from the exported files, see the benchmark.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np


def milliseconds(models: Mapping[str, object], encoded, *, batch_size: int = 32, repeats: int = 5,
                 batches: int = 1) -> dict[str, tuple[float, float]]:
    """Name -> (median, 95th percentile) in ms for a batch, fp32, Hugging Face's own forward pass, modes restored.

    encoded: at least batch_size examples; its first `batches` batches are timed `repeats` times, after one warm-up.
    """
    import torch

    networks = {name: (model, model.training) for name, model in models.items()}
    inputs = []
    for start in range(0, min(batches * batch_size, len(encoded) - batch_size + 1), batch_size):
        batch = encoded.batch(range(start, start + batch_size))
        inputs.append({k: v for k, v in batch.items() if k != "labels"})
    if not inputs:
        raise ValueError(f"{len(encoded)} examples do not fill a batch of {batch_size}")
    taken: dict[str, list[float]] = {name: [] for name in networks}
    try:
        with torch.inference_mode():
            for turn in range(repeats + 1):
                for name, (model, _) in networks.items():
                    model.eval()
                    for batch in inputs:
                        began = time.perf_counter()
                        model(**batch)
                        if turn:  # the first is the warm-up
                            taken[name].append(1000 * (time.perf_counter() - began))
    finally:
        for model, training in networks.values():
            model.train(training)
    return {name: (float(np.median(t)), float(np.percentile(t, 95))) for name, t in taken.items()}
