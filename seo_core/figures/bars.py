"""Bars: ratios of a benchmark, confusion, accuracy by genre."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seo_core.figures.style import BLACK, COLOURS, MARKERS, SKY, SOFT, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@_styled
def ratio_bars(table: pd.DataFrame, label: str, *, log: bool = False) -> Figure:
    """Horizontal bars of a benchmark's `ratio` with whiskers from `ratio_low` to `ratio_high`; index: names.

    A line stands at 1, the contestant that the others are compared with. log: a logarithmic axis, with bars from that
    line, where ratios lie orders of magnitude apart.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * max(len(table), 2)))
    ratio = table["ratio"].to_numpy(float)
    reach = [ratio - table.get("ratio_low", table["ratio"]), table.get("ratio_high", table["ratio"]) - ratio]
    places = np.arange(len(table))[::-1]
    axes.barh(places, ratio - log, left=1 if log else 0, color=SKY, height=0.62,
              xerr=np.maximum(np.nan_to_num(reach), 0), error_kw={"capsize": 3, "ecolor": BLACK})
    axes.axvline(1, color=BLACK, linewidth=1.1, linestyle="--")
    ends = ratio + np.maximum(np.nan_to_num(reach[1]), 0)
    for place, value, end in zip(places, ratio, ends, strict=True):
        axes.annotate(f"{value:.3g}" if log else f"{value:.2f}", (end, place), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=9)
    axes.set(yticks=places, yticklabels=table.index, xlabel=label, xlim=(0, 1.12 * max(1, ends.max())))
    if log:
        axes.set(xscale="log", xlim=(0.5 * min(1, ratio.min()), 4 * max(1, ends.max())))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


# ---------------------------------------------------------------------------------------------
# What a classifier gets wrong


@_styled
def confusion(matrix, labels) -> Figure:
    """Confusion matrix (k, k), rows the true class: counts, coloured by the share of their row."""
    import matplotlib.pyplot as plt

    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    k = len(labels)
    figure, axes = plt.subplots(figsize=(1.6 + 1.15 * k, 1.1 + 0.95 * k))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i in range(k):
        for j in range(k):
            axes.text(j, i, f"{counts[i, j]:,}\n{share[i, j]:.0%}".replace(",", " "), ha="center",
                      va="center", color="white" if share[i, j] > 0.55 else BLACK, fontsize=10)
    axes.set(xticks=range(k), yticks=range(k), xticklabels=labels, yticklabels=labels, xlabel="predicted",
             ylabel="true")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.tight_layout()
    return figure


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share of n examples (Wilson 1927): stays inside [0, 1] for small n."""
    if n == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@_styled
def by_genre(accuracies: dict[str, dict[str, tuple[float, int]]] | dict[str, tuple[float, int]]) -> Figure:
    """Accuracy by genre with 95% intervals. accuracies: genre → (accuracy, examples), or label of a set
    ("matched", "mismatched") → such a table."""
    import matplotlib.pyplot as plt

    sets = accuracies if all(isinstance(v, dict) for v in accuracies.values()) else {"": accuracies}
    genres = sorted({g for table in sets.values() for g in table},
                    key=lambda g: np.mean([t[g][0] for t in sets.values() if g in t]))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.36 * max(len(genres), 2)))
    for number, (label, table) in enumerate(sets.items()):
        for genre, (accuracy, n) in table.items():
            low, high = wilson(accuracy, n)
            axes.errorbar(100 * accuracy, genres.index(genre), capsize=3, color=COLOURS[number % 7],
                          xerr=[[100 * max(accuracy - low, 0)], [100 * max(high - accuracy, 0)]],
                          marker=MARKERS[number % 7], linestyle="none",
                          label=label if genre == next(iter(table)) else None)
            axes.annotate(f"{n}", (100 * high, genres.index(genre)), xytext=(5, 0), va="center", fontsize=9,
                          textcoords="offset points", color=SOFT)
    axes.set(yticks=range(len(genres)), yticklabels=genres,
             xlabel="accuracy, % (bars: 95% interval; beside them: number of examples)")
    axes.set_ylim(-0.6, len(genres) - 0.4)
    if any(sets):
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(sets))
    figure.tight_layout()
    return figure
