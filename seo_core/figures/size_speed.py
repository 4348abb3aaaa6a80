"""Figures and tables of quantisation, size and speed. Same card and colours as `figures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from seo_core.analysis import tradeoff
from seo_core.analysis.tradeoff import METHODS, PLAIN, families
from seo_core.figures.style import BLACK, COLOURS, GRID, LINES, MARKERS, SOFT, VERMILION, _styled, end_axis, not_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@_styled
def ranges(values: np.ndarray, found: Mapping[str, tuple[float, int]]) -> Figure:
    """Histogram of an activation (log counts), and the range that each calibration method chose for it.

    values: (n,). found: method -> (scale, zero point).
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.2 + 0.25 * len(found)))
    counts, edges = np.histogram(values, bins=160)
    axes.stairs(counts, edges, fill=True, color=GRID)
    axes.stairs(counts, edges, color=SOFT, linewidth=0.8)
    top = counts.max()
    for number, (name, (scale, zero)) in enumerate(found.items()):
        low, high, height = -zero * scale, (255 - zero) * scale, top * 3.0 ** (number + 1)
        axes.plot([low, high], [height, height], LINES[number % 4], color=COLOURS[number], linewidth=2,
                  marker=MARKERS[number], markersize=6, label=f"{name}: steps of {scale:.4f}")
    axes.set(yscale="log", ylim=(0.5, top * 3.0 ** (len(found) + 1)), xlabel="value", ylabel="how many")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(found))
    figure.tight_layout()
    return figure


@_styled
def parts(files: Mapping[str, Mapping[str, int]]) -> Figure:
    """Stacked bars: name of a file -> part -> bytes (`quantization.bytes_by_part`)."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(part for file in files.values() for part in file))
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.45 * len(files)))
    places, left = np.arange(len(files))[::-1], np.zeros(len(files))
    for number, part in enumerate(names):
        size = np.array([file.get(part, 0) / 1e6 for file in files.values()])
        axes.barh(places, size, left=left, height=0.62, color=COLOURS[number % 7], edgecolor="white", label=part,
                  hatch=("", "//", "..", "xx", "--")[number % 5])
        left = left + size
    for place, total in zip(places, left, strict=True):
        axes.annotate(f"{total:.1f}", (total, place), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=9)
    axes.set(yticks=places, yticklabels=list(files), xlabel="megabytes of the file", xlim=(0, 1.1 * left.max()))
    axes.grid(False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    figure.tight_layout()
    return figure


@_styled
def latency_bars(table: pd.DataFrame) -> Figure:
    """Median milliseconds per batch with a whisker to the 95th percentile: batches are sorted by length, so that is
    the time of the longest texts. table: of `benchmark_inference.summarize`, or empty: "not run"."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.4 * max(len(table), 2)))
    if len(table):
        table = table.sort_values("latency_ms_p50")
        places, median = np.arange(len(table))[::-1], table["latency_ms_p50"].to_numpy(float)
        reach = np.maximum(table["latency_ms_p95"].to_numpy(float) - median, 0)
        axes.barh(places, median, height=0.62, color=COLOURS[5], xerr=[np.zeros(len(median)), reach],
                  error_kw={"capsize": 3, "ecolor": BLACK})
        for place, value, end in zip(places, median, median + reach, strict=True):
            axes.annotate(f"{value:.1f}", (end, place), xytext=(5, 0), textcoords="offset points", va="center",
                          fontsize=9)
        axes.set(yticks=places, yticklabels=list(table.index), xlim=(0, 1.15 * (median + reach).max()))
    else:
        not_run(axes)
    axes.set_xlabel("ms per batch: median, whisker to the 95th percentile (the longest texts)")
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


@_styled
def size_vs_speed(table: pd.DataFrame) -> Figure:
    """Figure 3: accuracy over how much smaller and how much faster; fronts, and the papers' factors.

    table: of `tradeoff.points`. Circles and the like are configurations, by method. Each method has its curve: from the
    baseline along those that no other of the method beats. The wide line joins those that no other beats at all.
    Dotted: what the papers claim for their combination. "not run" where nothing was measured. The axis of accuracies is
    that of `figures.end_axis`.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter

    baseline = table.loc[table["configuration"] == "base", "accuracy"].min() if len(table) else np.nan
    styles = dict(zip(METHODS, zip((*COLOURS[:6], SOFT, BLACK), (*MARKERS[:6], "p", "X"), strict=True), strict=True))
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 6.2), sharey=True)
    titles = {"smaller": "times smaller than the baseline's file", "faster": "times faster than the baseline"}
    for axes, (gain, title), cost in zip(panels, titles.items(), ("megabytes", "ms"), strict=True):
        known = table[table[gain].notna()] if len(table) else table
        for family, mine in families(known).items():
            colour, marker = styles[family]
            if family not in ("baseline", PLAIN):
                own = tradeoff.pareto(mine, cost=cost).sort_values(gain, kind="stable")
                x, y = ([*known.loc[known["configuration"] == "base", k], *own[k]] for k in (gain, "accuracy"))
                axes.plot(x, y, LINES[METHODS.index(family) % 4], color=colour, linewidth=1.4)
            axes.plot(mine[gain], mine["accuracy"], marker, color=colour, markersize=7, label=family)
        axes.axvline(tradeoff.PAPERS[gain], color=VERMILION, linestyle=":", linewidth=1.4,
                     label="the papers: 3.1× smaller, 1.9× faster")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
        if len(known):
            front = tradeoff.pareto(known, cost=cost)
            axes.plot(front[gain], front["accuracy"], "-", color=GRID, linewidth=6, zorder=0, label="not beaten by any")
        else:
            not_run(axes)
            axes.set_yticks([])
        left, right = axes.get_xlim()
        axes.set(xlabel=title, xlim=(min(left, 0.8), max(1.4 * right, 20 if gain == "smaller" else 8)))
        if len(known):
            axes.set_xlabel(title + end_axis(axes, known.set_index("configuration")["accuracy"], baseline))
            _names_above(axes, front["configuration"], front[[gain, "accuracy"]].to_numpy(float))
    panels[0].set_ylabel("accuracy, %, mean of both sets")
    handles = {label: handle for axes in panels for handle, label in
               zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=4)
    return figure


def _names_above(axes, names, places: np.ndarray, gap: float = 0.075) -> None:
    """Names the points at `places` (n × 2, by x): slanted, above the frame, `gap` of its width apart or more, each with
    a line to its point. Beside the points, names of neighbours would lie on each other."""
    order = np.argsort(places[:, 0])
    across = axes.transAxes.inverted().transform(axes.transData.transform(places[order]))[:, 0]
    steps = gap * np.arange(len(order))
    across = np.minimum(np.maximum.accumulate(across - steps) + steps, 1 - steps[::-1])
    for name, place, x in zip(np.asarray(names)[order], places[order], across, strict=True):
        axes.annotate(name, place, xytext=(x, 1.02), textcoords="axes fraction", rotation=40, rotation_mode="anchor",
                      fontsize=9, color=BLACK, va="center",
                      arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.5, "shrinkA": 2, "shrinkB": 3})

