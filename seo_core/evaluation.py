"""Evaluation: logits once, every classification metric from them.

    logits = predict(model, encoded)                       # (n, k) float32
    metrics = classification_metrics(logits, encoded.labels)
    metrics, details = evaluate(model, task, tokenizer)    # the official sets, read once at the end

*Perplexity* is exp of the mean cross-entropy of the classifier, the only perplexity that can be measured on a three-way
classifier: 1 is certain and right, 3 is guessing, and 9 to 10 (what the SEO-LLM tables print) is worse than guessing.
A regression has scores in place of classes, and other metrics (`task_metrics` picks by the labels). GLUE asks each of
its tasks for one or two of `METRICS` (Wang et al. 2019): Matthews correlation for CoLA, accuracy and F1 for MRPC and
QQP, Pearson and Spearman correlation for STS-B.

*Expected calibration error* is that of Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3.
"""

from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path

import numpy as np

from seo_core.checks import check_choice, check_number
from seo_core.progress import watched

HEADLINE = ("f1_macro", "cross_entropy", "perplexity", "ece")  # of the first official set, without suffix


def predict(model, encoded, *, batch_size: int = 64, precision: str = "fp32", progress: bool = True) -> np.ndarray:
    """Logits (n, k) float32 for n encoded examples, in their order. `precision` is "fp32", "bf16" or "auto" (bf16 where
    the hardware computes it). progress: whether it says where it is (`seo_core.progress`). Raises ModelError for texts
    that the network cannot read (`models.check_fits`)."""
    import torch

    from seo_core.models.backbone import check_fits, mode
    from seo_core.models.fastpath import call, compute_dtype, forward_module

    check_number("batch_size", batch_size, least=1, error=ValueError)
    check_fits(model, encoded)
    device = next(model.parameters()).device
    dtype = compute_dtype(precision, device)
    logits = np.zeros((len(encoded), model.config.num_labels), dtype=np.float32)
    with mode(model), torch.inference_mode():
        network = forward_module(model, dtype)  # takes the model's mode: no dropout
        for rows in watched(encoded.batches(batch_size), "scoring", "batch", shown=progress):
            logits[rows] = call(network, encoded.inputs(rows, device), dtype, network is model).cpu().numpy()
    return logits


def accuracy(model, encoded, *, precision: str = "auto", progress: bool = True) -> float:
    """Share of the n encoded examples whose label `model` gives. Raises ValueError where the labels are scores."""
    _check_classes(encoded.labels)
    predicted = predict(model, encoded, precision=precision, progress=progress).argmax(axis=1)
    return float((predicted == encoded.labels).mean())


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, k) from logits (n, k), in float64."""
    z = logits.astype(np.float64)
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean −log p(label) in nats, from logits (n, k) and labels (n,)."""
    z = logits.astype(np.float64)
    top = z.max(axis=1)
    log_norm = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return float((log_norm - z[np.arange(len(labels)), labels]).mean())


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """ECE = Σ_b (n_b / n) |accuracy(b) − confidence(b)| over `bins` equal-width bins (Guo et al. 2017, eq. 3)."""
    probabilities = softmax(logits)
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, hit - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def classification_metrics(logits: np.ndarray, labels: np.ndarray, *, names=None) -> dict[str, float]:
    """accuracy, macro and per-class precision, recall and F1, Matthews correlation, of two classes also f1 (that of
    class 1, as GLUE has it), cross_entropy (nats), perplexity and ece, from logits (n, k) and labels (n,). Raises
    ValueError where there is nothing to score, and for labels that are scores."""
    from sklearn.metrics import matthews_corrcoef, precision_recall_fscore_support

    if len(labels) == 0:
        raise ValueError("no examples to evaluate: the split is empty")
    _check_classes(labels)
    k = logits.shape[1]
    names = names or [str(i) for i in range(k)]
    predicted = logits.argmax(axis=1)
    scores = precision_recall_fscore_support(labels, predicted, labels=range(k), zero_division=0)
    loss = cross_entropy(logits, labels)
    out = {"accuracy": float((predicted == labels).mean()), "cross_entropy": loss, "perplexity": math.exp(loss),
           "ece": expected_calibration_error(logits, labels)}
    for kind, values in zip(("precision", "recall", "f1"), scores, strict=False):
        out[f"{kind}_macro"] = float(np.mean(values))
        out.update({f"{kind}_{name}": float(v) for name, v in zip(names, values, strict=True)})
    several = len(np.union1d(labels, predicted)) > 1  # of one class it is 0, which scikit-learn says with a warning
    out["matthews"] = float(matthews_corrcoef(labels, predicted)) if several else 0.0
    return out if k != 2 else {**out, "f1": float(scores[2][1])}


def regression_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """pearson and spearman correlation, and mse, from predicted scores (n, 1) and true ones (n,). A correlation with a
    constant, which is not defined, is 0. Raises ValueError where there is nothing to score."""
    from scipy.stats import pearsonr, spearmanr

    if len(labels) == 0:
        raise ValueError("no examples to evaluate: the split is empty")
    predicted, truth = np.asarray(logits, np.float64)[:, 0], np.asarray(labels, np.float64)
    flat = len(truth) < 2 or not np.ptp(predicted) or not np.ptp(truth)
    found = {name: 0.0 if flat else float(of(predicted, truth)[0])
             for name, of in (("pearson", pearsonr), ("spearman", spearmanr))}
    return {**found, "mse": float(((predicted - truth) ** 2).mean())}


def task_metrics(logits: np.ndarray, labels: np.ndarray, *, names=None) -> dict[str, float]:
    """`classification_metrics`, or `regression_metrics` where the labels are scores."""
    return regression_metrics(logits, labels) if _are_scores(labels) else classification_metrics(logits, labels,
                                                                                                 names=names)


METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman")  # that GLUE's tasks are measured by


def metric(name: str, logits: np.ndarray, labels: np.ndarray) -> float:
    """One of `METRICS`. Raises ValueError for an unknown one, with the nearest, and for one that these labels lack."""
    found = task_metrics(logits, labels)
    if check_choice("metric", name, METRICS, ValueError) not in found:
        kind = "scores" if _are_scores(labels) else f"{logits.shape[1]} classes"
        raise ValueError(f"{name} is not a metric of {kind}: take {', '.join(m for m in METRICS if m in found)}")
    return found[name]


def _are_scores(labels) -> bool:
    return np.asarray(labels).dtype.kind == "f"


def _check_classes(labels) -> None:
    if _are_scores(labels):
        raise ValueError("these labels are scores, which have no accuracy: use task_metrics or regression_metrics")


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (k, k): rows the true class, columns the predicted one."""
    k = logits.shape[1]
    return np.bincount(labels * k + logits.argmax(axis=1), minlength=k * k).reshape(k, k)


def accuracy_by_genre(logits: np.ndarray, labels: np.ndarray, genres) -> dict[str, tuple[float, int]]:
    """Genre -> (accuracy, examples); an empty genre is a genre of its own, named "(none)"."""
    import pandas as pd

    hit = pd.Series(logits.argmax(axis=1) == np.asarray(labels))
    genre = pd.Series(list(genres)).replace("", "(none)")
    table = hit.groupby(genre).agg(["mean", "size"]).sort_index()
    return {str(g): (float(row["mean"]), int(row["size"])) for g, row in table.iterrows()}


def evaluate(model, task, tokenizer, *, max_length: int = 128, splits=None, precision: str = "fp32",
             progress: bool = True):
    """Metrics on the official sets, and what stands behind them.

    Returns (metrics, details). For NLI the metrics are accuracy_matched, accuracy_mismatched and so on, and, without
    suffix, the matched set's f1_macro, cross_entropy, perplexity and ece. details[split] holds logits (n, k), labels
    (n,), and of classes confusion (k, k) and by_genre."""
    from seo_core.data import encode

    splits = splits or [name for name in task.splits if name.startswith(("validation", "test"))]
    metrics: dict[str, float] = {}
    details: dict[str, dict] = {}
    for number, split in enumerate(splits):
        frame = task.splits[split]
        encoded = encode(frame, tokenizer, texts=task.texts, max_length=max_length)
        logits = predict(model, encoded, precision=precision, progress=progress)
        suffix = split.removeprefix("validation") or "_validation"
        of_split = task_metrics(logits, encoded.labels, names=task.labels)
        metrics.update({key + suffix: value for key, value in of_split.items()})
        if number == 0:  # the headline names of a record
            metrics.update({key: of_split[key] for key in HEADLINE if key in of_split})
        details[split] = {"logits": logits, "labels": encoded.labels}
        if _are_scores(encoded.labels):
            continue
        details[split]["confusion"] = confusion_matrix(logits, encoded.labels)
        if "genre" in frame:
            details[split]["by_genre"] = accuracy_by_genre(logits, encoded.labels, frame["genre"])
    return metrics, details


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far, in bytes: on Linux VmHWM, and not getrusage, which starts at the
    size of the process that this one was started from."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak_memory() -> None:
    """Starts the peak counter anew where the kernel allows it (Linux: a write to clear_refs); else does nothing."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
