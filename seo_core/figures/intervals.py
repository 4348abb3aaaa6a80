"""Differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seo_core.analysis.contrasts import METRICS, SPLITS
from seo_core.analysis.verdicts import NOT_RUN
from seo_core.figures.selection import _seeds
from seo_core.figures.style import (
    BLACK,
    BLUE,
    CARD,
    COLOURS,
    MARKERS,
    ORANGE,
    SOFT,
    VERMILION,
    _styled,
    not_run,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@_styled
def forest(found: pd.DataFrame) -> Figure:
    """`differences` as points with their 95% intervals; a row for each contrast and number of labels, a panel for
    each metric, no effect as a line. A hollow point has one seed."""
    import matplotlib.pyplot as plt

    if found.empty:
        figure, axes = plt.subplots(figsize=(8.4, 1))
        axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center", style="italic", fontsize=11)
        axes.axis("off")
        return figure
    metrics = list(found["metric"].unique())
    rows = list(found[["labels", "contrast"]].drop_duplicates().itertuples(index=False))
    figure, grid = plt.subplots(1, len(metrics), figsize=(8.4, 1.3 + 0.36 * max(2, len(rows))), sharey=True,
                                sharex=True, squeeze=False)
    for axes, metric in zip(grid[0], metrics, strict=True):
        for place, (labels, contrast) in enumerate(rows):
            mine = found[(found["metric"] == metric) & (found["labels"] == labels) & (found["contrast"] == contrast)]
            for row in mine.itertuples():
                axes.plot([row.low, row.high], [-place] * 2, color=COLOURS[0], linewidth=2)
                axes.plot(row.difference, -place, "o", color=COLOURS[0], markersize=6,
                          markerfacecolor=CARD if row.seeds == 1 else COLOURS[0])
        axes.axvline(0, color=BLACK, linewidth=0.9)
        axes.set(title=METRICS.get(metric, metric), xlabel="points")
    names = [f"{contrast}, {labels} labels".replace(") − (", ")\n− (") for labels, contrast in rows]
    grid[0, 0].set(yticks=[-i for i in range(len(rows))], yticklabels=names, ylim=(0.6 - max(2, len(rows)), 0.6))
    figure.tight_layout()
    return figure


@_styled
def gain_points(table: pd.DataFrame, target: str = "random") -> Figure:
    """Differences to the target at equal labels with 95% intervals. table: `efficiency.gains`. "not run" if empty."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.3 * max(len(table), 3)))
    table = table.sort_values(["labels", "configuration"])
    for place, row in enumerate(table.itertuples()):
        shape = MARKERS[sorted(table["labels"].unique()).index(row.labels) % 7]
        if not math.isnan(row.low):
            axes.plot([row.low, row.high], [-place, -place], color=SOFT, linewidth=1.5)
        axes.plot([row.difference], [-place], shape, color=BLUE if row.difference >= 0 else ORANGE, markersize=6)
    names = [f"{r.configuration}, {r.labels:,} ({_seeds([r.seeds])})" for r in table.itertuples()]
    axes.axvline(0, color=BLACK, linewidth=1.1, linestyle="--")
    axes.set(yticks=-np.arange(len(table)), yticklabels=names, xlabel=f"accuracy minus {target}'s, points")
    axes.grid(False, axis="y")
    if table.empty:
        not_run(axes)
    figure.tight_layout()
    return figure


@_styled
def gain_intervals(table: pd.DataFrame, label: str) -> Figure:
    """Points with intervals around a line at zero, one for each row of `efficiency.gains`; "not run" without rows.

    A hollow point has one seed: its interval, where there is one, holds the spread of examples only.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.36 * max(len(table), 2)))
    places = np.arange(len(table))[::-1]
    if len(table):
        value = table["difference"].to_numpy(float)
        reach = np.nan_to_num(np.abs([value - table["low"], table["high"] - value]))
        for one, fill in ((True, CARD), (False, BLUE)):
            mine = (table["seeds"] == 1).to_numpy() == one
            axes.errorbar(value[mine], places[mine], xerr=reach[:, mine], fmt="o", color=BLUE, markerfacecolor=fill,
                          ecolor=BLACK, capsize=3, linewidth=1.2)
    else:
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=VERMILION, style="italic")
    names = [f"{row.configuration}, {row.labels} labels" for row in table.itertuples()]
    axes.axvline(0, color=BLACK, linewidth=1.1, linestyle="--")
    axes.set(yticks=places, yticklabels=names, xlabel=label)
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


@_styled
def to_base(found: pd.DataFrame, goals: Sequence[float] = (-1.0, -2.0)) -> Figure:
    """Points to the baseline with 95% intervals, a row for each configuration of `against`, both official sets.

    goals: dotted lines. "not run" without rows.
    """
    import matplotlib.pyplot as plt

    shown = found.dropna(subset=["difference"]) if len(found) else found
    names = list(dict.fromkeys(shown["configuration"])) if len(shown) else []
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.42 * max(len(names), 2)))
    for number, split in enumerate(SPLITS.values()):
        mine = shown[shown["split"] == split] if len(shown) else shown
        shift = (0.12, -0.12)[number]
        places = [shift - names.index(n) for n in mine["configuration"]] if len(mine) else []
        for place, row in zip(places, mine.itertuples(), strict=True):
            reach = np.nan_to_num([[row.difference - row.low], [row.high - row.difference]])
            axes.errorbar(row.difference, place, xerr=np.abs(reach), fmt=MARKERS[number], color=COLOURS[number],
                          capsize=3, linewidth=1.3, label=split if place == places[0] else None)
    if names:
        axes.axvline(0, color=BLACK, linewidth=1.1)
        for goal in goals:
            axes.axvline(goal, color=BLACK, linewidth=0.9, linestyle=":")
        axes.set(yticks=[-i for i in range(len(names))], yticklabels=names)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    else:
        not_run(axes)
        axes.set_yticks([])
    axes.set(xlabel="points to the baseline")
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure
