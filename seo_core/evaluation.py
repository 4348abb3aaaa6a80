"""Evaluation: logits once, every classification metric from them.

    logits = predict(model, encoded)                       # (n, k) float32
    metrics = classification_metrics(logits, encoded.labels)
    metrics, details = evaluate(model, task, tokenizer)    # the official sets, read once at the end

*Perplexity* is exp of the mean cross-entropy of the classifier, the only perplexity that can be measured on a three-way
classifier: 1 is certain and right, 3 is guessing, and 9 to 10 (what the SEO-LLM tables print) is worse than guessing.
A regression has scores in place of classes, and other metrics (`task_metrics` picks by the labels). GLUE asks each of
its tasks for one or two of `METRICS` (Wang et al. 2019): Matthews correlation for CoLA, accuracy and F1 for MRPC and
QQP, Pearson and Spearman correlation for STS-B.

Tags are measured by entity (`entity_metrics`), answers by exact match and F1 of their words (`answer_metrics`);
`metrics_of` takes what the examples ask for.

*Expected calibration error* is that of Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3.
"""

from __future__ import annotations

import contextlib
import math
import re
import string
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from seo_core.checks import check_choice, check_number
from seo_core.data.readers import TAGS, DataError
from seo_core.progress import watched

HEADLINE = ("f1_macro", "cross_entropy", "perplexity", "ece")  # of the first official set, without suffix


def predict(model, encoded, *, batch_size: int = 64, precision: str = "fp32", progress: bool = True) -> np.ndarray:
    """Logits (n, k) float32 for n encoded examples, in their order; of `Windows` (n, W, k) or (n, 2, W), −∞ where there
    is no token. `precision` is "fp32", "bf16" or "auto" (bf16 where the hardware computes it). progress: whether it
    says where it is (`seo_core.progress`). Raises ModelError for texts that the network cannot read
    (`models.check_fits`)."""
    import torch

    from seo_core.models.backbone import check_fits, mode
    from seo_core.models.fastpath import call, compute_dtype, forward_module

    check_number("batch_size", batch_size, least=1, error=ValueError)
    check_fits(model, encoded)
    device = next(model.parameters()).device
    dtype = compute_dtype(precision, device)
    logits = np.full((len(encoded), *encoded.logits_shape(model.config.num_labels)), -np.inf, dtype=np.float32)
    with mode(model), torch.inference_mode():
        network = forward_module(model, dtype)  # takes the model's mode: no dropout
        for rows in watched(encoded.batches(batch_size), "scoring", "batch", shown=progress):
            batch = call(network, encoded.inputs(rows, device), dtype, network is model).cpu().numpy()
            logits[(rows, *map(slice, batch.shape[1:]))] = batch
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

    _check_any(labels)
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

    _check_any(labels)
    predicted, truth = np.asarray(logits, np.float64)[:, 0], np.asarray(labels, np.float64)
    flat = len(truth) < 2 or not np.ptp(predicted) or not np.ptp(truth)
    found = {name: 0.0 if flat else float(of(predicted, truth)[0])
             for name, of in (("pearson", pearsonr), ("spearman", spearmanr))}
    return {**found, "mse": float(((predicted - truth) ** 2).mean())}


def expected_answers(logits: np.ndarray, names) -> dict[str, float]:
    """What a classifier says of texts like those behind logits (n, k): expected_share_NAME, how often each class, and
    expected_confidence, the mean probability of the class that it says. A server compares its answers with them."""
    shares = np.bincount(logits.argmax(axis=1), minlength=len(names)) / len(logits)
    return {**{f"expected_share_{name}": float(share) for name, share in zip(names, shares, strict=True)},
            "expected_confidence": float(softmax(logits).max(axis=1).mean())}


def task_metrics(logits: np.ndarray, labels: np.ndarray, *, names=None) -> dict[str, float]:
    """`classification_metrics`, or `regression_metrics` where the labels are scores."""
    return regression_metrics(logits, labels) if _are_scores(labels) else classification_metrics(logits, labels,
                                                                                                 names=names)


MEASURES = ("accuracy", "pearson", "f1")  # what a run is told by, the first that its task has


def measure(metrics) -> str:
    """Which of `MEASURES` these metrics of a task have: accuracy, of scores pearson, of tags and answers f1."""
    return "f1" if "exact_match" in metrics or "entities" in metrics else next(m for m in MEASURES if m in metrics)


def entities(tags) -> set[tuple[str, int, int]]:
    """(type, first word, last word) of each entity in one sentence of IOB2 tags, read as conlleval and seqeval do: an
    entity begins at B-, and at an I- that continues none of its type.

    >>> sorted(entities(["B-person", "I-person", "O", "I-group", "B-group"]))
    [('group', 3, 3), ('group', 4, 4), ('person', 0, 1)]
    """
    found, first = set(), None
    for at, (tag, after) in enumerate(zip(tags, [*tags[1:], "O"], strict=True)):
        if tag == "O":
            continue
        first = at if first is None or tag[0] == "B" else first
        if after != f"I-{tag[2:]}":
            found.add((tag[2:], first, at))
            first = None
    return found


def entity_scores(gold, predicted) -> dict[str, float]:
    """precision, recall and F1 by entity, as seqeval's micro average counts them: one is right where type and both ends
    are. (seqeval itself is a source archive of 2020 that current setuptools do not build: its values are in the tests.)
    Also precision_macro, recall_macro and f1_macro, the means over the types there are, f1_<type>, and entities,
    how many there are. gold, predicted: a list of tags a sentence. Where a share has nothing below the line it is 0."""
    pairs = [(entities(true), entities(said)) for true, said in zip(gold, predicted, strict=True)]
    types = sorted({each[0] for pair in pairs for side in pair for each in side})
    counts = {name: np.zeros(3) for name in types}  # right, said, true
    for true, said in pairs:
        for column, those in enumerate((true & said, said, true)):
            for each in those:
                counts[each[0]][column] += 1
    of_all = _shares(sum(counts.values(), np.zeros(3)))
    of_types = np.array([_shares(each) for each in counts.values()] or [np.zeros(3)])
    return {**dict(zip(("precision", "recall", "f1"), of_all, strict=True)),
            **dict(zip(("precision_macro", "recall_macro", "f1_macro"), of_types.mean(axis=0).tolist(), strict=True)),
            **{f"f1_{name}": float(of_types[i, 2]) for i, name in enumerate(types)},
            "entities": float(sum(len(true) for true, _ in pairs))}


def _shares(counts) -> tuple[float, float, float]:
    """Precision, recall and F1 of (right, said, true)."""
    right, said, true = map(float, counts)
    return right / (said or 1), right / (true or 1), 2 * right / ((said + true) or 1)


def entity_metrics(logits: np.ndarray, encoded) -> dict[str, float]:
    """`entity_scores`, accuracy and cross_entropy by word, from logits (n, W, k) of `Windows`. Raises ValueError where
    there is nothing to score."""
    labels, said, sentence = _words(logits, encoded)
    cuts = np.flatnonzero(np.diff(sentence)) + 1
    names = np.array(encoded.names, object)
    gold, predicted = ([part.tolist() for part in np.split(names[tags], cuts)] for tags in (labels, said))
    return {**entity_scores(gold, predicted), "accuracy": float((labels == said).mean()),
            "cross_entropy": cross_entropy(logits[encoded.labels >= 0], labels)}


def _words(logits: np.ndarray, encoded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tags of all words of `Windows`, those that the logits give, and the words' sentences: (m,) each, in the order
    of the text."""
    _check_any(encoded)
    there = encoded.labels >= 0
    return encoded.labels[there], logits[there].argmax(axis=-1), np.repeat(encoded.example, there.sum(axis=1))


LONGEST_ANSWER = 30  # tokens, as in BERT's own evaluation


def best_answers(logits: np.ndarray, encoded) -> dict[int, str]:
    """Row -> the answer with the highest start + end logit, of all windows of the row: a span of the context of at most
    LONGEST_ANSWER tokens. logits (n, 2, W)."""
    grid = encoded.grid()
    start, end = (np.where(grid[..., 1] > grid[..., 0], logits[:, i].astype(np.float64), -np.inf) for i in (0, 1))
    best, spans, each = np.full(len(grid), -np.inf), np.zeros((len(grid), 2), int), np.arange(len(grid))
    for more in range(min(LONGEST_ANSWER, grid.shape[1])):  # the span's length
        score = start[:, : grid.shape[1] - more] + end[:, more:]
        at = score.argmax(axis=1)
        better = score[each, at] > best
        best = np.where(better, score[each, at], best)
        spans[better] = np.stack([at, at + more], axis=1)[better]
    order = np.lexsort((-best, encoded.example))
    rows, first = np.unique(encoded.example[order], return_index=True)
    begin, close = grid[each, spans[:, 0], 0], grid[each, spans[:, 1], 1]
    return {int(row): encoded.contexts[row][begin[w]:close[w]] if np.isfinite(best[w]) else ""
            for row, w in zip(rows, order[first], strict=True)}


def normalized_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and the articles a, an and the, with single blanks, as the official script
    of SQuAD 1.1 has it."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def answer_scores(said: str, right) -> tuple[float, float]:
    """(exact match, F1 of the words) of one answer, each the maximum over the right ones, as in the official script."""
    def f1(truth: str) -> float:
        ours, theirs = normalized_answer(said).split(), normalized_answer(truth).split()
        same = sum((Counter(ours) & Counter(theirs)).values())
        return 2 * same / (len(ours) + len(theirs)) if same else 0.0

    exact = any(normalized_answer(said) == normalized_answer(truth) for truth in right)
    return float(exact), max(map(f1, right))


def answer_metrics(logits: np.ndarray, encoded) -> dict[str, float]:
    """exact_match and f1 over the questions (Rajpurkar et al. 2016, section 6.1), as shares of 1, and cross_entropy of
    the ends by window, from logits (n, 2, W) of `Windows`. Raises ValueError where there is nothing to score."""
    _check_any(encoded)
    scores = [answer_scores(said, encoded.answers[row]) for row, said in best_answers(logits, encoded).items()]
    exact, f1 = np.mean(scores, axis=0)
    flat = logits.reshape(-1, logits.shape[-1])
    return {"exact_match": float(exact), "f1": float(f1), "cross_entropy": cross_entropy(flat, encoded.labels.ravel())}


def metrics_of(logits: np.ndarray, encoded, *, names=None) -> dict[str, float]:
    """What these examples are measured by: `entity_metrics` of tags, `answer_metrics` of answers, else
    `task_metrics`."""
    kind = getattr(encoded, "kind", None)
    if kind is None:
        return task_metrics(logits, encoded.labels, names=names)
    return (entity_metrics if kind == TAGS else answer_metrics)(logits, encoded)


def hits(logits: np.ndarray, encoded) -> np.ndarray:
    """(rows,) 1 where a sentence of `Windows` has all its tags right, or a question its answer exactly, else 0."""
    if encoded.kind == TAGS:
        labels, said, sentence = _words(logits, encoded)
        rows, each = np.unique(sentence, return_inverse=True)
        return (np.bincount(each, labels != said, len(rows)) == 0).astype(np.int64)
    return np.array([int(answer_scores(said, encoded.answers[row])[0])
                     for row, said in best_answers(logits, encoded).items()])


METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman",  # that GLUE's tasks are measured by
           "precision", "recall", "exact_match")  # and tags and answers, beside f1


def metric(name: str, logits: np.ndarray, labels) -> float:
    """One of `METRICS`, from logits and labels, or the `Windows` that these are of. Raises DataError for an unknown
    one, with the nearest, and ValueError for one that the task lacks."""
    windows = getattr(labels, "kind", None)
    check_choice("metric", name, METRICS, DataError)
    found = metrics_of(logits, labels) if windows else task_metrics(logits, labels)
    if name not in found:
        kind = windows or ("scores" if _are_scores(labels) else f"{logits.shape[1]} classes")
        raise ValueError(f"{name} is not a metric of {kind}: take {', '.join(m for m in METRICS if m in found)}")
    return found[name]


def _are_scores(labels) -> bool:
    return np.asarray(labels).dtype.kind == "f"


def _check_any(examples) -> None:
    if len(examples) == 0:
        raise ValueError("no examples to evaluate: the split is empty")


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
    (n,), and of classes confusion (k, k) and by_genre. Tags and answers have no genre either, and logits by window."""
    from seo_core.data import encode_for

    splits = splits or [name for name in task.splits if name.startswith(("validation", "test"))]
    metrics: dict[str, float] = {}
    details: dict[str, dict] = {}
    for number, split in enumerate(splits):
        frame = task.splits[split]
        encoded = encode_for(task, frame, tokenizer, max_length=max_length)
        logits = predict(model, encoded, precision=precision, progress=progress)
        suffix = split.removeprefix("validation") or "_validation"
        of_split = metrics_of(logits, encoded, names=task.labels)
        metrics.update({key + suffix: value for key, value in of_split.items()})
        if number == 0:  # the headline names of a record
            metrics.update({key: of_split[key] for key in HEADLINE if key in of_split})
        details[split] = {"logits": logits, "labels": encoded.labels}
        if _are_scores(encoded.labels) or encoded.labels.ndim > 1:
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
