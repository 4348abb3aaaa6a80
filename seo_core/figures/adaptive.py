"""Figures and tables of the chapter on ADA: arm weights, where the rows went, differences between arms.

Same card and colours as `figures`. An arm is an operator at a strength; its colour is the operator's, its line style
the strength's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seo_core.analysis.verdicts import NOT_RUN
from seo_core.figures.style import COLOURS, LINES, MARKERS, SOFT, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@_styled
def arm_weights(log: pd.DataFrame) -> Figure:
    """Arm weights by round: a line per arm, with a band from the lowest to the highest seed where there are several.

    log: `AdaptiveResult.log`, or `weights_by_round`: columns round, operator, strength, weight. A panel for each number
    of labels if it has a column "labels". The dotted line is an even share.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    panels = list(log.groupby("labels")) if "labels" in log else [(None, log)]
    figure, grid = plt.subplots(1, max(1, len(panels)), figsize=(8, 4.2), sharey=True, squeeze=False)
    operators, strengths = sorted(log["operator"].unique()), sorted(log["strength"].unique())
    for axes, (labels, rows) in zip(grid[0], panels, strict=False):
        for (operator, strength), arm in rows.groupby(["operator", "strength"]):
            by_round = arm.groupby("round")["weight"]
            x, colour = by_round.mean().index.to_numpy(float), COLOURS[operators.index(operator) % len(COLOURS)]
            graded = log.loc[log["operator"] == operator, "strength"].nunique() > 1
            axes.plot(x, 100 * by_round.mean(), LINES[strengths.index(strength) % len(LINES)], color=colour,
                      marker=MARKERS[operators.index(operator) % len(MARKERS)], markersize=5, linewidth=1.8,
                      label=operator.replace("_", " ") + (f", {strength:g}" if graded else ""))
            axes.fill_between(x, 100 * by_round.min(), 100 * by_round.max(), color=colour, alpha=0.12, linewidth=0)
        even = 100 / rows.groupby(["operator", "strength"]).ngroups
        axes.axhline(even, color=SOFT, linestyle=":", linewidth=1)
        axes.set(xlabel="round", title="" if labels is None else f"{labels:,.0f} labels".replace(",", " "))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if not panels:
        grid[0, 0].text(0.5, 0.5, NOT_RUN, ha="center", va="center", style="italic", fontsize=11)
    grid[0, 0].set(ylabel="weight, %", ylim=(0, None))
    handles = {label: handle for axes in grid[0] for handle, label in zip(*axes.get_legend_handles_labels(),
                                                                          strict=True)}
    lines = -(-len(handles) // 4)
    figure.tight_layout(rect=(0, 0.01 + 0.055 * lines if handles else 0, 1, 1))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=min(4, len(handles)))
    return figure


@_styled
def where_rows_went(groups: pd.DataFrame) -> Figure:
    """Share of D and of the added rows by class and by genre, worst accuracy on top; `AdaptiveResult.groups`."""
    import matplotlib.pyplot as plt

    kinds = list(groups["kind"].unique())
    sizes = [max(2, (groups["kind"] == kind).sum()) for kind in kinds]
    figure, grid = plt.subplots(len(kinds), 1, figsize=(8, 1.4 + 0.34 * sum(sizes)), squeeze=False,
                                gridspec_kw={"height_ratios": sizes}, sharex=True)
    for axes, kind in zip(grid[:, 0], kinds, strict=True):
        rows = groups[groups["kind"] == kind].sort_values("accuracy", ascending=False, na_position="first")
        y = np.arange(len(rows))
        axes.hlines(y, 100 * rows["train_share"], 100 * rows["added_share"], color=SOFT, linewidth=1.2)
        for number, (column, label) in enumerate((("train_share", "share of the data"),
                                                  ("added_share", "share of the added rows"))):
            axes.plot(100 * rows[column], y, MARKERS[number], color=COLOURS[number], markersize=7, label=label)
        names = [f"{name}: {'no rows' if math.isnan(a) else f'{100 * a:.0f}%'}"
                 for name, a in zip(rows["group"], rows["accuracy"], strict=True)]
        axes.set(yticks=y, yticklabels=names, ylabel=kind, ylim=(-0.6, len(rows) - 0.4))
    grid[-1, 0].set(xlabel="share, %", xlim=(0, None))
    grid[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    figure.tight_layout()
    return figure
