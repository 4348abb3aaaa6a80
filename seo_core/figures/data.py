"""Figures of the data chapter: lengths, genres, baselines. Same card and colours as `figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seo_core.figures.style import COLOURS, LINES, MARKERS, SOFT, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@_styled
def lengths(sets: dict[str, np.ndarray], limit: int) -> Figure:
    """Share of texts with at most so many tokens. sets: name -> (n,) lengths; limit: where texts are cut."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.4))
    for number, (name, values) in enumerate(sets.items()):
        tokens, counts = np.unique(values, return_counts=True)
        axes.plot(
            tokens,
            100 * np.cumsum(counts) / len(values),
            LINES[number % len(LINES)],
            color=COLOURS[number % len(COLOURS)],
            linewidth=2,
            label=name.replace("_", " "),
        )
    longest = max(int(v.max()) for v in sets.values())
    if limit <= 1.5 * longest:
        axes.axvline(limit, color=SOFT, linewidth=1)
        axes.annotate(
            f"cut at {limit}", (limit, 60), xytext=(-5, 0), textcoords="offset points", ha="right", color=SOFT
        )
    axes.set(xlabel="tokens, both texts together", ylabel="pairs of at most this length, %", ylim=(0, 102))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(sets))
    figure.tight_layout()
    return figure


@_styled
def genres(counts: pd.DataFrame, labels) -> Figure:
    """Pairs by genre and label. counts: index genre, one column per label id; labels: their names."""
    import matplotlib.pyplot as plt

    counts = counts.loc[counts.sum(axis=1).sort_values().index]
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.36 * max(len(counts), 2)))
    left = np.zeros(len(counts))
    for label in counts.columns:
        values = counts[label].to_numpy()
        axes.barh(
            range(len(counts)),
            values,
            left=left,
            color=COLOURS[label % len(COLOURS)],
            hatch=("", "//", "..")[label % 3],
            edgecolor="white",
            label=labels[label],
        )
        left = left + values
    axes.set(yticks=range(len(counts)), yticklabels=counts.index, xlabel="pairs")
    axes.grid(False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(labels))
    figure.tight_layout()
    return figure


@_styled
def baselines(table: pd.DataFrame) -> Figure:
    """Accuracy of each baseline on each evaluation split. table: what `seo_core.data.baselines` returns."""
    import matplotlib.pyplot as plt

    splits = [c for c in table.columns if c not in ("baseline", "features")]
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.42 * len(table)))
    for number, split in enumerate(splits):
        axes.plot(
            table[split],
            range(len(table)),
            MARKERS[number],
            color=COLOURS[number],
            markersize=9,
            label=split.replace("_", " "),
        )
    chance = float(table.loc[table["baseline"] == "majority class", splits].mean(axis=None))
    axes.axvline(chance, color=SOFT, linewidth=1)
    axes.set(yticks=range(len(table)), yticklabels=table["baseline"], xlabel="accuracy, %", xlim=(0, 100))
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.legend(loc="lower right")
    figure.tight_layout()
    return figure
