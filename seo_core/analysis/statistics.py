"""Intervals and tests: differences paired by seed and example, t intervals over seeds, McNemar."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from seo_core.results.schema import ResultsError

# ---------------------------------------------------------------------------------------------
# Statistics


class Interval(NamedTuple):
    """An estimate and its 95% interval; `n` is the number of seeds behind it."""

    difference: float
    low: float
    high: float
    n: int = 1


# 97.5% quantiles of Student's t for 1–30 degrees of freedom: no scipy for one table
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
         2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
         2.045, 2.042)


def mean_interval(values) -> Interval:
    """Mean of one value per seed with its 95% t interval; NaN bounds for a single value."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ResultsError("mean_interval needs at least one value")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = _T975[min(len(values) - 2, 29)] * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(mean, float(mean - half), float(mean + half), len(values))


def _scores(values, labels) -> np.ndarray:
    """(seeds, examples) float scores: correctness if labels are given, else the values as they are."""
    values = np.atleast_2d(np.asarray(values))
    return (values == np.asarray(labels)).astype(float) if labels is not None else values.astype(float)


def paired_difference(a, b, labels=None, *, shared_examples: bool = True, resamples: int = 2000,
                      level: float = 0.95, seed: int = 0) -> Interval:
    """Mean score of `a` minus that of `b`, paired by seed and example, with a bootstrap interval.

    a, b: (seeds, n) or (n,) predicted classes; with labels=None, per-example scores of any kind
    (correct or not, losses). labels: (n,) or (seeds, n). Row k of `a` and of `b` is the same seed.
    Hierarchical: each resample draws seeds, then examples. Of S seeds it draws S − 1, with replacement,
    which makes the seeds' share of the variance unbiased (drawing S would understate it by 1/S; Rao & Wu
    1988). shared_examples: all seeds saw the same evaluation examples, so a resample draws them once.
    It errs on the wide side: with three seeds, simulated intervals held the truth in 97–98% of cases.
    """
    a, b = _scores(a, labels), _scores(b, labels)
    if a.shape != b.shape or a.shape[1] == 0:
        raise ResultsError(f"paired_difference needs two arrays of one shape, not {a.shape} and {b.shape}")
    d = a - b  # (S, n)
    seeds, n = d.shape
    rng = np.random.default_rng(seed)
    drawn = max(seeds - 1, 1)
    means = np.empty(resamples)
    kinds, counts = np.unique(d, axis=1, return_counts=True)  # (S, m): examples with the same differences in all seeds
    if shared_examples and len(counts) <= _FEW_KINDS:  # how often each kind is drawn: the same law, without the draws
        weights = rng.multinomial(drawn, np.full(seeds, 1 / seeds), size=resamples) / drawn  # (resamples, S)
        means = (weights @ kinds * rng.multinomial(n, counts / n, size=resamples)).sum(axis=1) / n
        return _interval(d, means, level)
    chunk = max(1, 2_000_000 // (n if shared_examples else n * drawn))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        picked = rng.integers(0, seeds, (size, drawn))
        if shared_examples:
            weights = np.zeros((size, seeds))
            np.add.at(weights, (np.arange(size)[:, None], picked), 1 / drawn)
            profile = weights @ d  # (size, n): each resample's mean over its seeds
            index = rng.integers(0, n, (size, n))
            means[start:start + size] = np.take_along_axis(profile, index, axis=1).mean(axis=1)
        else:
            index = rng.integers(0, n, (size, drawn, n))
            means[start:start + size] = d[picked[:, :, None], index].mean(axis=(1, 2))
    return _interval(d, means, level)


_FEW_KINDS = 300  # right or wrong, twice, for up to five seeds: at most 3^5


def _interval(d: np.ndarray, means: np.ndarray, level: float) -> Interval:
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(d.mean()), float(low), float(high), len(d))


class McNemar(NamedTuple):
    """Examples only `a` got right, only `b` got right, and the two-sided exact p-value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a, b, labels) -> McNemar:
    """McNemar's exact test on the predictions (n,) of two models over the same examples.

    Under "both are equally good" the examples that only one gets right fall to either side like
    a fair coin; p is twice the smaller binomial tail, at most 1.
    """
    a, b, labels = (np.asarray(x).ravel() for x in (a, b, labels))
    if not len(a) == len(b) == len(labels):
        raise ResultsError(f"mcnemar needs three arrays of one length, not {len(a)}, {len(b)}, {len(labels)}")
    right_a, right_b = a == labels, b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n, tail, term = only_a + only_b, 0, 1
    for k in range(min(only_a, only_b) + 1):  # exact: whole numbers as long as need be
        tail += term
        term = term * (n - k) // (k + 1)
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**n))
