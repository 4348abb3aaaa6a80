"""Intervals and tests: differences paired by seed and example, t intervals over seeds, McNemar, Wilson."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seo_core.results.schema import ResultsError


class Interval(NamedTuple):
    """An estimate and its 95% interval; `n` is the number of seeds behind it."""

    difference: float
    low: float
    high: float
    n: int = 1


def mean_interval(values) -> Interval:
    """Mean of one value per seed with its 95% t interval; NaN bounds for a single value."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ResultsError("mean_interval needs at least one value")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    quantile = round(float(stats.t.ppf(0.975, len(values) - 1)), 3)  # as tables print it
    half = float(quantile * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half, len(values))


def contrast_interval(coefficients: Sequence[float], scores: Sequence, right: Sequence[Sequence], *,
                      shared_examples: bool = True) -> Interval:
    """Σ coefficient × score of the runs of each seed, with its 95% interval.
    coefficients: (t,), one for each term of the contrast. scores: (t, S). right: t × S arrays (n,) of right or wrong,
    or None where a run did not keep it. Where all kept it, the sum is taken by example: its positive terms are one side
    of `paired_difference`, the negative ones the other. Else it is a t interval over seeds."""
    kept = [answers for runs in right for answers in runs]
    by_example = all(answers is not None for answers in kept) and len({len(answers) for answers in kept}) == 1
    if not (by_example and min(coefficients) < 0 < max(coefficients)):
        return mean_interval(sum(c * np.asarray(values, float) for c, values in zip(coefficients, scores, strict=True)))
    above, below = (sum(abs(c) * np.stack(runs) for c, runs in zip(coefficients, right, strict=True) if c * side > 0)
                    for side in (1, -1))
    return paired_difference(above, below, shared_examples=shared_examples)


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
    means = _resampled_means(d, shared_examples, resamples, np.random.default_rng(seed))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(d.mean()), float(low), float(high), len(d))


_FEW_KINDS = 300  # right or wrong, twice, for up to five seeds: at most 3^5


def _resampled_means(d: np.ndarray, shared_examples: bool, resamples: int, rng) -> np.ndarray:
    """(resamples,) means of the differences (S, n) over drawn seeds and examples."""
    seeds, n = d.shape
    drawn = max(seeds - 1, 1)
    kinds, counts = np.unique(d, axis=1, return_counts=True)  # (S, m): examples with the same differences in all seeds
    if shared_examples and len(counts) <= _FEW_KINDS:  # how often each kind is drawn: the same law, without the draws
        weights = rng.multinomial(drawn, np.full(seeds, 1 / seeds), size=resamples) / drawn  # (resamples, S)
        return (weights @ kinds * rng.multinomial(n, counts / n, size=resamples)).sum(axis=1) / n
    means = np.empty(resamples)
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
    return means


class McNemar(NamedTuple):
    """Examples only `a` got right, only `b` got right, and the two-sided exact p-value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a, b, labels) -> McNemar:
    """McNemar's exact test on the predictions (n,) of two models over the same examples.
    Under "both are equally good" the examples that only one gets right fall to either side like a fair coin; p is that
    of the two-sided binomial test."""
    from scipy import stats

    a, b, labels = (np.asarray(x).ravel() for x in (a, b, labels))
    if not len(a) == len(b) == len(labels):
        raise ResultsError(f"mcnemar needs three arrays of one length, not {len(a)}, {len(b)}, {len(labels)}")
    right_a, right_b = a == labels, b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return McNemar(only_a, only_b, stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0)


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% interval of a share of n examples (Wilson 1927): stays inside [0, 1] for small n."""
    from scipy import stats

    return tuple(stats.binomtest(round(share * n), n).proportion_ci(method="wilson")) if n else (0.0, 1.0)


def side(low: float, high: float, *words: str) -> str:
    """Which of four words an interval says: it lies above 0, below 0, contains 0, or there is none (NaN)."""
    above, below, neither, unknown = words
    return unknown if math.isnan(low) else above if low > 0 else below if high < 0 else neither
