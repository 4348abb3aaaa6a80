"""Figures of data selection: curves over labels, what was bought, labels saved. Same card and colours as `figures`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seo_core.figures import (
    BLACK,
    BLUE,
    CARD,
    COLOURS,
    GRID,
    LINES,
    MARKERS,
    NOT_RUN,
    ORANGE,
    SKY,
    SOFT,
    VERMILION,
    _styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def _empty(axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic",
              fontsize=11)


@_styled
def label_curves(curves: pd.DataFrame, target: str = "random", metric: str = "accuracy", *,
                 shared: bool = True) -> Figure:
    """Accuracy over labels (logarithmic): mean over seeds, and the range between them. "not run" without rows.

    curves: `efficiency.label_curves`. The control is black and dashed. shared: below its smallest budget an arm's curve
    begins at the control's last point, of the arm's seeds, a run that both share. The number of seeds stands in the
    legend.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, axes = plt.subplots(figsize=(8, 4.4))
    names = sorted(curves["configuration"].unique(), key=lambda n: (n != target, n))
    for number, name in enumerate(names):
        own = curves[curves["configuration"] == name]
        points = _means(own)
        seeds = [p[4] for p in points]
        if shared:
            control = curves[(curves["configuration"] == target) & curves["seed"].isin(own["seed"])]
            points = [p for p in _means(control) if p[0] < points[0][0]][-1:] + points
        labels, mean, low, high, _ = zip(*points, strict=True)
        colour = BLACK if name == target else COLOURS[(number - 1) % 6]
        axes.plot(labels, 100 * np.array(mean), "--" if name == target else LINES[(number // 6) % 4], color=colour,
                  marker=MARKERS[number % 7], markersize=5, linewidth=2 if name == target else 1.5,
                  label=f"{name} ({_seeds(seeds)})", zorder=3 if name == target else 2)
        if max(seeds) > 1:
            axes.fill_between(labels, 100 * np.array(low), 100 * np.array(high), color=colour, alpha=0.13, linewidth=0)
    axes.set(xlabel="labels bought", ylabel=f"{metric}, %")
    if names:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted(curves["labels"].unique())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.legend(ncols=2)
    else:
        _empty(axes)
    figure.tight_layout()
    return figure


def _means(frame: pd.DataFrame) -> list[tuple]:
    """(labels, mean, lowest, highest, seeds) per budget, in order."""
    groups = frame.groupby("labels")["accuracy"]
    return [(labels, v.mean(), v.min(), v.max(), len(v)) for labels, v in groups]


def _seeds(counts) -> str:
    low, high = min(counts), max(counts)
    words = f"{low}" if low == high else f"{low} to {high}"
    return f"{words} seed{'s' if high > 1 else ''}"


@_styled
def bought_map(uncertainty: np.ndarray, density: np.ndarray, bought: dict[str, np.ndarray],
               unit: str = "nats") -> Figure:
    """Where in the pool each acquisition function bought: density against uncertainty, a panel per function.

    uncertainty (N,), density (N,) of the whole pool, grey; bought: name -> positions, coloured.
    """
    import matplotlib.pyplot as plt

    columns = min(3, len(bought))
    rows = math.ceil(len(bought) / columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3.1 * columns, 2.7 * rows + 0.3), sharex=True, sharey=True,
                                squeeze=False)
    for axes in grid.flat[len(bought):]:
        axes.axis("off")
    for axes, (name, positions) in zip(grid.flat, bought.items(), strict=False):
        axes.plot(density, uncertainty, ".", color=GRID, markersize=4, label="pool")
        axes.plot(density[positions], uncertainty[positions], "o", markersize=4, markerfacecolor=BLUE,
                  markeredgecolor=CARD, markeredgewidth=0.5, label="bought")
        axes.set_title(name.replace("_", " "))
    for axes in grid[-1]:
        axes.set_xlabel("density")
        axes.ticklabel_format(axis="x", useOffset=False)  # densities close to 1 differ in the fifth digit
        axes.locator_params(axis="x", nbins=3)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"uncertainty, {unit}")
    handles, words = grid.flat[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0.35 / figure.get_figheight(), 1, 1))
    figure.legend(handles, words, loc="lower center", ncols=2)
    return figure


@_styled
def labels_needed(matches: dict, at: int, target: str = "random") -> Figure:
    """Bars of `efficiency.labels_to_match` with 95% intervals; a line at the target's labels. "not run" without any.

    A bar with a hatch ends at the arm's largest budget without having reached the target; so may an interval (an
    arrow).
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.45 * max(len(matches), 2)))
    limit = 1.15 * at
    for place, match in enumerate(matches.values()):
        reached = math.isfinite(match.labels)
        axes.barh(-place, match.labels if reached else match.top, color=SKY if reached else GRID, height=0.6,
                  hatch="" if reached else "//", edgecolor=CARD)
        if not math.isnan(match.low):
            end = limit if match.top >= at else match.top + (limit - at)
            high = match.high if math.isfinite(match.high) else end
            low = match.low if math.isfinite(match.low) else match.top
            axes.plot([low, high], [-place, -place], color=BLACK, linewidth=1.5)
            ends = [x for x in (match.low, match.high) if math.isfinite(x)]  # an open end has an arrow and no bar
            axes.plot(ends, [-place] * len(ends), "|", color=BLACK, markersize=8)
            if not math.isfinite(match.high):
                axes.plot([end], [-place], marker=">", color=BLACK, markersize=6, clip_on=False)
        words = f"{match.labels:,.0f}" if reached else f"not reached with {match.top:,}"
        axes.annotate(f"{words}, {_seeds([match.n])}", (0, -place), xytext=(6, 0), textcoords="offset points",
                      va="center", fontsize=9)
    axes.axvline(at, color=SOFT, linestyle="--", linewidth=1.2)
    axes.set(yticks=-np.arange(len(matches)), yticklabels=list(matches), xlim=(0, limit),
             xlabel=f"labels needed for {target}'s accuracy at {at:,}")
    axes.grid(False, axis="y")
    if not matches:
        _empty(axes)
    figure.tight_layout()
    return figure


@_styled
def data_maps(histograms: dict[str, np.ndarray], cut: float) -> Figure:
    """What each arm bought on the data map, a panel each: variability to the right, confidence upwards.

    histograms, cut: `selection.maps.map_histograms`; shares (confidence bins, variability bins) of a purchase, the
    more the darker. Dashed: the borders of the regions. "not run" without any.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    columns = min(4, max(len(histograms), 1))
    rows = math.ceil(max(len(histograms), 1) / columns)
    figure, grid = plt.subplots(rows, columns, figsize=(max(2.4 * columns, 5), 2.7 * rows + 0.2), sharex=True,
                                sharey=True, squeeze=False)
    shade = LinearSegmentedColormap.from_list("shares", [CARD, SKY, BLUE, BLACK])
    most = max((float(h.max()) for h in histograms.values()), default=1.0)
    for axes in grid.flat[max(len(histograms), 1):]:
        axes.axis("off")
    for axes, (name, shares) in zip(grid.flat, histograms.items(), strict=False):
        up, right = (np.linspace(0, top, n + 1) for top, n in zip((1, 0.5), shares.shape, strict=True))
        axes.pcolormesh(right, up, 100 * shares, cmap=shade, norm=PowerNorm(0.5, 0, 100 * most), rasterized=True)
        axes.axvline(cut, color=VERMILION, linewidth=1.1, linestyle="--")
        axes.plot([0, cut], [0.5, 0.5], color=VERMILION, linewidth=1.1, linestyle="--")
        axes.set(title=name.replace("_", " "), xlim=(0, 0.5), ylim=(0, 1))
        axes.grid(False)
    for axes in grid[-1]:
        axes.set_xlabel("variability")
    for axes in grid[:, 0]:
        axes.set_ylabel("confidence")
    if not histograms:
        _empty(grid[0, 0])
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
        _empty(axes)
    figure.tight_layout()
    return figure
