"""What the chapters on pruning and on quantization alone draw: AIP's rounds, weights, and ranges of activations."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seo_core.analysis.tables import weight_histograms
from seo_core.figures import style


@style.card
def trace(rounds: pd.DataFrame, threshold: float | None = None) -> Figure:
    """AIP's attempts: share removed above, points to the start below; accepted steps filled, rejected ones hollow.
    rounds: columns round, removed (fraction), points, accepted, final. threshold: T, a dotted line. "not run" if
    empty."""
    if rounds.empty:
        return style.nothing_run()
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.8), sharex=True)
    below.set_xlabel("round")
    style.whole_numbers(below)
    accepted, final = rounds["accepted"].astype(bool), rounds["final"].astype(bool)
    kinds = {"accepted": (accepted & ~final, "o", style.BLUE, style.BLUE),
             "rolled back": (~accepted, "o", style.VERMILION, "none"),
             "final training": (accepted & final, "s", style.GREEN, style.GREEN)}
    for axes, values, words in ((above, 100 * rounds["removed"].astype(float), "encoder weights\nremoved, %"),
                                (below, rounds["points"].astype(float), "points to\nthe start")):
        axes.plot(rounds["round"][accepted], values[accepted], color=style.BLUE, linewidth=1.3, zorder=1)
        for label, (chosen, marker, edge, face) in kinds.items():
            if chosen.any():
                axes.scatter(rounds["round"][chosen], values[chosen], marker=marker, s=48, edgecolors=edge,
                             facecolors=face, linewidths=1.6, label=label, zorder=2)
        axes.set_ylabel(words)
    style.legend_above(above, 3)
    above.set_ylim(0, 112 * rounds["removed"].max() or 1)
    below.axhline(0, color=style.SOFT, linewidth=0.9)
    if threshold is not None:
        below.axhline(-threshold, color=style.BLACK, linewidth=1.1, linestyle=":")
        below.text(0.99, -threshold, f"T = {threshold:g}", ha="right", va="bottom", fontsize=9,
                   transform=below.get_yaxis_transform())
    return figure


@style.card
def loops(traces: Mapping[str, pd.DataFrame]) -> Figure:
    """Runs of AIP side by side: accepted steps by the share removed and the points to the start, the final training as
    a square. traces: title -> `tables.rounds`; empty ones are left out. "not run" without any."""
    traces = {title: rounds[rounds["accepted"].astype(bool)] for title, rounds in traces.items() if len(rounds)}
    if not traces:
        return style.nothing_run()
    figure, axes = plt.subplots(figsize=(8, 3.6))
    for (title, rounds), colour, line in zip(traces.items(), style.COLOURS, style.LINES, strict=False):
        removed, points = 100 * rounds["removed"].astype(float), rounds["points"].astype(float)
        final = rounds["final"].astype(bool)
        axes.plot(removed[~final], points[~final], color=colour, linestyle=line, marker="o", label=title)
        axes.scatter(removed[final], points[final], color=colour, marker="s", s=48, zorder=3)
    axes.axhline(0, color=style.SOFT, linewidth=0.9)
    axes.set_xlabel("encoder weights removed, %")
    axes.set_ylabel("points to\nthe start")
    style.legend_above(axes, len(traces))
    return figure


@style.card
def weight_distributions(records: Mapping[str, Mapping], layers: Sequence[int] | None = None) -> Figure:
    """Figure 4: histograms of each layer's weights before (line) and after (filled) pruning, a row for each record.
    records: name -> record with the curves of `pruning.distribution.histograms`. What lies between line and filled area
    was removed. The overlap of the shapes and the removed mass stand in each panel. layers: places of those to draw,
    (0, -1) for the first and the last, as wide as a phone; default: all. "not run" without records."""
    histograms = {name: found for name, record in records.items() if (found := weight_histograms(record))}
    if not histograms:
        return style.nothing_run()
    every = {name: list(enumerate(sorted(found, key=int))) for name, found in histograms.items()}
    drawn = {name: [found[place] for place in layers] if layers else found for name, found in every.items()}
    columns = max(map(len, drawn.values()))
    width = style.PHONE if layers else 1.5 * columns + 1
    figure, grid = plt.subplots(len(histograms), columns, sharex=True, sharey=True, squeeze=False,
                                figsize=(width, 1.9 * len(histograms) + 0.6))
    for row, (name, found) in zip(grid, histograms.items(), strict=True):
        series = records[name]["series"]
        for axes in row[len(drawn[name]):]:
            axes.axis("off")
        for axes, (number, layer) in zip(row, drawn[name], strict=False):
            centre, before, after = (found[layer][key] for key in ("centre", "before", "after"))
            axes.fill_between(centre, after, step="mid", color=style.BLUE, alpha=0.45, linewidth=0)
            axes.step(centre, before, where="mid", color=style.BLACK, linewidth=0.9)
            shape, mass = (series[f"layer_{key}"][number] for key in ("overlap", "removed_mass"))
            words = f"overlap {shape:.2f}\n{mass:.0%} of the\nmass gone" if layers else f"{shape:.2f}\n{mass:.0%}"
            axes.text(0.97, 0.95, words, transform=axes.transAxes, ha="right", va="top", fontsize=9, color=style.SOFT)
            axes.set_yticks([])
            axes.grid(False)
            if axes in grid[0]:
                axes.set_title(f"layer {layer}", fontsize=10)
        row[0].set_ylabel(name, fontsize=9)
    figure.supxlabel("weight, in standard deviations before pruning", fontsize=10)
    return figure


@style.card
def ranges(values: np.ndarray, chosen: Mapping[str, tuple[float, int]]) -> Figure:
    """Histogram of an activation (log counts), and the range that each calibration method chose for it.
    values: (n,). chosen: method -> (scale, zero point)."""
    figure, axes = plt.subplots(figsize=(8, 3.2 + 0.25 * len(chosen)))
    counts, _, _ = axes.hist(values, bins=160, histtype="stepfilled", color=style.GRID, edgecolor=style.SOFT,
                             linewidth=0.8)
    for number, (name, (scale, zero)) in enumerate(chosen.items()):
        height = counts.max() * 3.0 ** (number + 1)
        axes.plot([-zero * scale, (255 - zero) * scale], [height] * 2, linewidth=2,
                  label=f"{name}: steps of {scale:.4f}", **style.look(number))
    axes.set(yscale="log", ylim=(0.5, counts.max() * 3.0 ** (len(chosen) + 1)), xlabel="value", ylabel="how many")
    style.legend_above(axes, len(chosen))
    return figure
