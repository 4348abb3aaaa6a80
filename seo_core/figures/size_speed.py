"""Figure 3: what compression buys, accuracy over size and over speed."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seo_core.analysis import tradeoff
from seo_core.figures import style

LOOKS = dict(zip(tradeoff.METHODS, zip((*style.COLOURS[:6], style.SOFT, style.BLACK), (*style.MARKERS[:6], "p", "X"),
                                       strict=True), strict=True))  # method → colour, marker


@style.card
def size_vs_speed(table: pd.DataFrame) -> Figure:
    """Figure 3: accuracy over how much smaller and how much faster; fronts, and the papers' factors.

    table: of `tradeoff.points`. Circles and the like are configurations, by method. Each method has its curve: from the
    baseline along those that no other of the method beats. The wide line joins those that no other beats at all.
    Dotted: what the papers claim for their combination. "not run" where nothing was measured. The axis of accuracies is
    that of `figures.end_axis`.
    """
    baseline = table.loc[table["configuration"] == "base", "accuracy"].min()
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 6.2), sharey=True)
    titles = {"smaller": "times smaller than the baseline's file", "faster": "times faster than the baseline"}
    for axes, (gain, title), cost in zip(panels, titles.items(), ("megabytes", "ms"), strict=True):
        measured = table[table[gain].notna()]
        axes.axvline(tradeoff.PAPERS[gain], color=style.VERMILION, linestyle=":", linewidth=1.4,
                     label="the papers: 3.1× smaller, 1.9× faster")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}×")
        if len(measured):
            front = _fronts(axes, measured, gain, cost)
        else:
            style.not_run(axes)
            axes.set_yticks([])
        left, right = axes.get_xlim()
        axes.set(xlabel=title, xlim=(min(left, 0.8), max(1.4 * right, 20 if gain == "smaller" else 8)))
        if len(measured):
            axes.set_xlabel(title + style.end_axis(axes, measured.set_index("configuration")["accuracy"], baseline))
            _names_above(axes, front["configuration"], front[[gain, "accuracy"]].to_numpy(float))
    panels[0].set_ylabel("accuracy, %, mean of both sets")
    style.shared_legend(figure)
    return figure


def _fronts(axes, measured: pd.DataFrame, gain: str, cost: str) -> pd.DataFrame:
    """The points by method, the curve of each method, and the front over all, which is returned."""
    base = measured[measured["configuration"] == "base"]
    for family, points in tradeoff.families(measured).items():
        colour, marker = LOOKS[family]
        if family not in ("baseline", tradeoff.PLAIN):
            corners = pd.concat([base, tradeoff.pareto(points, cost=cost).sort_values(gain, kind="stable")])
            line = style.LINES[tradeoff.METHODS.index(family) % 4]
            axes.plot(corners[gain], corners["accuracy"], line, color=colour, linewidth=1.4)
        axes.plot(points[gain], points["accuracy"], marker, color=colour, markersize=7, label=family)
    front = tradeoff.pareto(measured, cost=cost)
    axes.plot(front[gain], front["accuracy"], "-", color=style.GRID, linewidth=6, zorder=0, label="not beaten by any")
    return front


def _names_above(axes, names, places: np.ndarray, gap: float = 0.075) -> None:
    """Names the points at `places` (n × 2, by x): slanted, above the frame, `gap` of its width apart or more, each with
    a line to its point. Beside the points, names of neighbours would lie on each other."""
    order = np.argsort(places[:, 0])
    across = axes.transAxes.inverted().transform(axes.transData.transform(places[order]))[:, 0]
    steps = gap * np.arange(len(order))
    across = np.minimum(np.maximum.accumulate(across - steps) + steps, 1 - steps[::-1])
    for name, place, x in zip(np.asarray(names)[order], places[order], across, strict=True):
        axes.annotate(name, place, xytext=(x, 1.02), textcoords="axes fraction", rotation=40, rotation_mode="anchor",
                      fontsize=9, color=style.BLACK, va="center",
                      arrowprops={"arrowstyle": "-", "color": style.SOFT, "linewidth": 0.5, "shrinkA": 2, "shrinkB": 3})


@style.card
def smaller(table: pd.DataFrame, named: dict[str, str]) -> Figure:
    """What a smaller file costs, in one panel: accuracy over megabytes, all configurations in grey, the front as a
    line, the `named` ones (configuration → words) in colour. table: of `tradeoff.points`; "not run" without it."""
    measured = table[table["megabytes"].notna() & table["accuracy"].notna()] if len(table) else table
    if measured.empty:
        return style.nothing_run()
    figure, axes = plt.subplots(figsize=(7, 3.6))
    best = measured["accuracy"].max()
    shown = measured[measured["accuracy"] > best - style.DEEPEST]
    front = tradeoff.pareto(shown, cost="megabytes")
    axes.plot(shown["megabytes"], shown["accuracy"], "o", color=style.GRID, markersize=5)
    axes.plot(front["megabytes"], front["accuracy"], "-", color=style.SKY, linewidth=2)
    for number, row in enumerate(shown[shown["configuration"].isin(named)].sort_values("megabytes").itertuples()):
        axes.plot(row.megabytes, row.accuracy, **style.look(number) | {"linestyle": "none", "markersize": 9})
        axes.annotate(f"{named[row.configuration]}\n{row.megabytes:.1f} MB", (row.megabytes, row.accuracy),
                      xytext=(0, -12), textcoords="offset points", ha="center", va="top", fontsize=9)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = axes.get_ylim()
    axes.set(xlabel="file, MB (each step is a factor of 2)", ylabel="accuracy, %",
             ylim=(low - 0.12 * (high - low), high))
    axes.margins(x=0.15)
    return figure
