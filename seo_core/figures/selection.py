"""Figures of data selection: curves over labels, what was bought, labels saved. Same card and colours as `figures`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seo_core.figures.style import (
    BLACK,
    BLUE,
    CARD,
    COLOURS,
    GRID,
    LINES,
    MARKERS,
    SKY,
    SOFT,
    VERMILION,
    _styled,
    not_run,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure



@_styled
def movement(moved: dict[str, dict[str, float]]) -> Figure:
    """How far each layer moved from where it started. moved: name of a run -> `seo_core.transfer.movement`."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.6))
    for number, (name, layers) in enumerate(moved.items()):
        axes.plot(range(len(layers)), list(layers.values()), LINES[number % 4], marker=MARKERS[number % 7],
                  color=COLOURS[number % 7], linewidth=1.8, markersize=6, label=name)
    names = list(next(iter(moved.values()))) if moved else []
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="distance from the start")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=max(len(moved), 1))
    figure.tight_layout()
    return figure


@_styled
def label_points(curves: pd.DataFrame, target: str = "base") -> Figure:
    """Accuracy over labels (logarithmic), mean over seeds and the range between them; "not run" without rows.

    curves: `efficiency.label_curves`. Unlike `figures_selection.label_curves` no arm borrows the control's first run:
    an arm run at one number of labels is a point. The control `target` is black and dashed.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, axes = plt.subplots(figsize=(8, 4.2))
    names = sorted(curves["configuration"].unique(), key=lambda n: (n != target, n))
    for number, name in enumerate(names):
        found = curves[curves["configuration"] == name].groupby("labels")["accuracy"]
        mean, low, high = (100 * getattr(found, what)() for what in ("mean", "min", "max"))
        seeds = sorted({int(n) for n in found.size()})
        shown = dict(color=BLACK, linestyle="--") if name == target else dict(color=COLOURS[(number - 1) % 6])
        axes.errorbar(mean.index, mean, yerr=[mean - low, high - mean], marker=MARKERS[number % 7], capsize=3,
                      linewidth=1.8, label=f"{name} ({' to '.join(map(str, {seeds[0]: 0, seeds[-1]: 0}))} "
                                           f"seed{'s' if seeds[-1] > 1 else ''})", **shown)
    if names:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(curves["labels"].unique())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    else:
        not_run(axes)
    axes.set(xlabel="labels of the target", ylabel="accuracy, %")
    figure.tight_layout()
    return figure


@_styled
def development(series: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Development accuracy over epochs, mean over seeds and the range between them; "not run" without curves.

    series: `results.load_series`; names: configuration -> its label in the legend.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(8, 3.8))
    curves = series[series["name"] == "development_accuracy"] if len(series) else series
    for number, (name, label) in enumerate(names.items()):
        mine = curves[curves["configuration"] == name] if len(curves) else curves
        if not len(mine):
            continue
        steps = mine.groupby("step")["value"]
        x, mean = steps.mean().index.to_numpy(float), 100 * steps.mean().to_numpy()
        axes.plot(x, mean, LINES[number % 4], marker=MARKERS[number % 7], color=COLOURS[number % 7], label=label)
        axes.fill_between(x, 100 * steps.min().to_numpy(), 100 * steps.max().to_numpy(), alpha=0.15, linewidth=0,
                          color=COLOURS[number % 7])
    axes.set(xlabel="epoch", ylabel="development accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if axes.lines:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    else:
        not_run(axes)
    figure.tight_layout()
    return figure


@_styled
def thresholds(curves: dict[str, dict[str, list]]) -> Figure:
    """What a fixed threshold keeps of the pool, and how much of that is right; "not run" without curves.

    curves: name of a teacher -> series of `pseudo.quality` (threshold, kept_at_threshold, accuracy_at_threshold).
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for axes, key, words in zip(panels, ("kept_at_threshold", "accuracy_at_threshold"),
                                ("kept, % of the pool", "right, % of what is kept"), strict=True):
        for number, (name, series) in enumerate(curves.items()):
            values = 100 * np.array(series[key], dtype=float)
            axes.plot(series["threshold"], values, LINES[number % 4], marker=MARKERS[number % 7],
                      color=COLOURS[number % 7], label=name)
        axes.set(xlabel="threshold on the teacher's probability", ylabel=words)
        if curves:
            axes.set_ylim(0, 102)
            axes.legend()
        else:
            not_run(axes)
    figure.tight_layout()
    return figure


@_styled
def by_class(frame: pd.DataFrame) -> Figure:
    """Share kept and accuracy of the pseudo-labels by the teacher's class, a panel each; "not run" if empty.

    frame: columns arm, class, kept, accuracy (fractions), a row per arm, seed and class: points are the seeds, bars
    their mean.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    arms, classes = list(dict.fromkeys(frame["arm"])), list(dict.fromkeys(frame["class"]))
    for axes, key, words in zip(panels, ("kept", "accuracy"), ("kept, %", "right, % of what is kept"), strict=True):
        for number, arm in enumerate(arms):
            for place, name in enumerate(classes):
                mine = frame[(frame["arm"] == arm) & (frame["class"] == name)]
                values = 100 * mine[key].dropna().to_numpy(float)
                x = place + (number - (len(arms) - 1) / 2) * 0.8 / len(arms)
                if len(values):
                    axes.bar(x, values.mean(), 0.72 / len(arms), color=COLOURS[number % 7], alpha=0.55,
                             hatch=("", "//", "..", "xx")[number % 4], label=arm if place == 0 else None)
                    axes.plot([x] * len(values), values, ".", color=BLACK, markersize=5)
        axes.set(xticks=range(len(classes)), xticklabels=classes, ylabel=words, ylim=(0, 102))
        axes.grid(False, axis="x")
        if not arms:
            not_run(axes)
    if arms:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=len(arms))
    if classes:
        panels[1].axhline(100 / len(classes), color=SOFT, linewidth=1, linestyle=":")
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    return figure


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
        not_run(axes)
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
        not_run(axes)
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
        not_run(grid[0, 0])
    figure.tight_layout()
    return figure
