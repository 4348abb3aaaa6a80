"""Intervals and tests: differences paired by seed and example, t intervals over seeds, Holm, Wilson, jackknife."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seo_core.results.schema import ResultsError


class Interval(NamedTuple):
    """An estimate and its 95% interval; `n` is the number of seeds behind it, `p` the two-sided p-value of "it is 0" by
    the same method as the interval (NaN where there is no interval)."""

    difference: float
    low: float
    high: float
    n: int = 1
    p: float = math.nan


def mean_interval(values) -> Interval:
    """Mean of one value per seed with its 95% t interval; NaN bounds for a single value."""
    from scipy import special

    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ResultsError("mean_interval needs at least one value")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    quantile = round(float(special.stdtrit(len(values) - 1, 0.975)), 3)  # as tables print it
    error = float(values.std(ddof=1) / math.sqrt(len(values)))
    p = 2 * float(special.stdtr(len(values) - 1, -abs(mean) / error)) if error else float(mean == 0)
    return Interval(mean, mean - quantile * error, mean + quantile * error, len(values), p)


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


def paired_difference(a, b, *, shared_examples: bool = True) -> Interval:
    """Mean score of `a` minus that of `b`, paired by seed and example, with its 95% interval and p-value.

    a, b: (seeds, n) or (n,) scores of any kind (correct or not, losses). Row k of `a` and of `b` is the same seed.
    shared_examples: all seeds saw the same evaluation examples. The truth that it speaks of is the mean over further
    seeds and further examples; one seed speaks of these runs only, over further examples.

    The differences d (S, n) have three mean squares: A between seeds, B between examples, C the rest. The half-width is
    √((t²·A + z²·max(B − C, 0)) / Sn), with the 97.5% quantiles t of S − 1 degrees of freedom and z: the scatter of the
    seeds' means, which holds C, and what all seeds share of the choice of examples, put together as Howe (1974, JASA
    69, 789) does for two independent estimates; and never less than the z·√(B / Sn) of the examples alone. Examples
    of their own for each seed share nothing: B = C. One seed has only the latter.
    By simulation with 3, 5 and 10 seeds, spreads of 0 to 3 points and little or much that seeds share (450 to 1 500
    repetitions of 500 examples that stand for 10 000) this covers 94 to 98%; tests/analysis/test_statistics.py repeats
    it. In the same simulation t over seeds alone covered 46 to 98%; √((A + B − C) / Sn) with Satterthwaite's degrees of
    freedom 93 to 98%, with S − 1 of them 92 to 100%; Howe's form with A − C and B in place of A and B − C 92 to 98%. A
    bootstrap that draws S − 1 seeds and the examples covered 82 to 98% in an earlier simulation with three seeds.
    """
    a, b = (np.atleast_2d(np.asarray(scores, float)) for scores in (a, b))
    if a.shape != b.shape or a.shape[1] == 0:
        raise ResultsError(f"paired_difference needs two arrays of one shape, not {a.shape} and {b.shape}")
    d = a - b  # (S, n)
    return _of_parts(float(d.mean()), *_parts(d, shared_examples), len(d))


def by_example(metric: str, truth, predicted) -> np.ndarray:
    """(n,) a score for each example, whose mean is the metric of them all and whose scatter, as that of right and wrong
    for accuracy, is the metric's own: n times the metric less n − 1 times that without the example, about the same mean
    (the jackknife's pseudo-values; Efron & Stein 1981, Annals of Statistics 9, 586).

    metric: of `EXAMPLE_METRICS`. truth, predicted: (n,) classes 0 and 1, for pearson scores. A metric that is not
    defined is 0, as in `seo_core.evaluation`.
    """
    of = _pearson if metric == "pearson" else _two_classes
    value, without = of(metric, np.asarray(truth), np.asarray(predicted))
    return value + (len(without) - 1) * (without.mean() - without)


def _two_classes(metric: str, truth: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
    """The metric, and (n,) it without each example: four kinds of examples have one value each."""
    kinds = 2 * truth.astype(int) + predicted.astype(int)
    counts = np.bincount(kinds, minlength=4).astype(float)  # true and false negatives and positives, as in `_f1`
    of = _f1 if metric == "f1" else _matthews
    return of(*counts), np.array([of(*np.maximum(counts - one, 0)) for one in np.eye(4)])[kinds]


def _f1(_, false, missed, right) -> float:
    return 2 * right / ((2 * right + false + missed) or 1)


def _matthews(rejected, false, missed, right) -> float:
    below = (right + false) * (right + missed) * (rejected + false) * (rejected + missed)
    return (right * rejected - false * missed) / (math.sqrt(below) or 1)


def _pearson(_, truth: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
    """The correlation, and (n,) it without each example. What one takes from a sum of products about the mean is its
    own product, n / (n − 1)-fold."""
    x, y = (np.asarray(values, float) - np.mean(values, dtype=float) for values in (truth, predicted))
    xx, xy, yy = ((a * b).sum() - np.append(0, a * b * len(x) / (len(x) - 1)) for a, b in ((x, x), (x, y), (y, y)))
    below = np.sqrt(np.maximum(xx * yy, 0))
    values = np.divide(xy, below, out=np.zeros_like(xy), where=below > 0)
    return float(values[0]), values[1:]


EXAMPLE_METRICS = ("f1", "matthews", "pearson")  # that are no mean over examples


def _parts(d: np.ndarray, shared_examples: bool) -> tuple[float, float, float]:
    """Variances of the mean of d (S, n): of the seeds' means (A / Sn; 0 for one seed), of the examples (B / Sn), and of
    what the seeds share of them (max(B − C, 0) / Sn)."""
    seeds, n = d.shape
    by_seed = float(d.mean(axis=1).var(ddof=1)) / seeds if seeds > 1 else 0.0
    if n == 1:
        return by_seed, 0.0, 0.0
    within = float(d.var(axis=1, ddof=1).mean()) / n  # (B + (S − 1) C) / Sn
    if not shared_examples:
        return by_seed, within / seeds, 0.0
    by_example = float(d.mean(axis=0).var(ddof=1)) / n
    rest = (within - by_example) / (seeds - 1) if seeds > 1 else 0.0  # C / Sn
    return by_seed, by_example, max(by_example - rest, 0.0)


def _of_parts(mean: float, by_seed: float, by_example: float, shared: float, seeds: int) -> Interval:
    """The interval of a mean from its variances, those of `_parts`, and its p-value: of the levels at which the
    interval reaches to 0, the largest (at least 1e-12)."""
    from scipy import optimize, special

    def square(level: float) -> float:  # of the half-width; by the functions behind scipy.stats, as it is asked often
        z = float(special.ndtri(level / 2))
        t = float(special.stdtrit(seeds - 1, level / 2)) if seeds > 1 else 0.0
        return max(z**2 * by_example, t**2 * by_seed + z**2 * shared)

    half, least = math.sqrt(square(0.05)), 1e-12
    if mean == 0:
        p = 1.0
    elif square(least) <= mean**2:
        p = least
    else:
        p = float(optimize.brentq(lambda level: square(level) - mean**2, least, 1.0, xtol=1e-13))
    return Interval(mean, mean - half, mean + half, seeds, p)


def holm(p) -> np.ndarray:
    """(m,) p-values of one family, adjusted so that those below 0.05 are all true in 95% of such families (Holm 1979,
    Scandinavian Journal of Statistics 6, 65): the k-th smallest times m − k + 1, never below the one before it, at most
    1. p: (m,); NaN (no test) stays NaN and does not count."""
    p = np.asarray(p, dtype=float)
    known = np.flatnonzero(~np.isnan(p))
    order, adjusted = known[np.argsort(p[known], kind="stable")], np.full(p.shape, math.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% interval of a share of n examples (Wilson 1927): stays inside [0, 1] for small n."""
    from scipy import stats

    return tuple(stats.binomtest(round(share * n), n).proportion_ci(method="wilson")) if n else (0.0, 1.0)


def side(low: float, high: float, above: str, below: str, neither: str, unknown: str | None = None) -> str:
    """Which word an interval says: it lies above 0, below 0, contains 0, or there is none (NaN; default: `neither`)."""
    return (unknown or neither) if math.isnan(low) else above if low > 0 else below if high < 0 else neither
