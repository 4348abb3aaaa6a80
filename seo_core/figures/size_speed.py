"""Figure 3: what compression buys, accuracy over size and over speed."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from seo_core.analysis import tradeoff
from seo_core.figures import style

GAINS = {"smaller": ("megabytes", "times smaller than the baseline's file"),
         "faster": ("ms", "times faster than the baseline")}
DEEPEST = 4  # points below the baseline where the axis ends here: six lines of text for what matters


@style.card
def size_vs_speed(table: pd.DataFrame) -> Figure:
    """Figure 3: accuracy over how much smaller and how much faster; the front in colour and by name, the rest in grey.

    table: of `tradeoff.points`. The line joins the networks that no other beats; names stand where there is room. The
    cross is the baseline. Dotted: what the papers claim for their combination. A panel for each that was measured, "not
    run" without any. The axis of accuracies ends `DEEPEST` points below the baseline; what is lower is named below it.
    """
    if table.reindex(columns=list(GAINS)).isna().all(axis=None):
        return style.nothing_run()
    baseline = table.loc[table["configuration"] == "base", "accuracy"].min()
    known = {gain: about for gain, about in GAINS.items() if table[gain].notna().any()}
    figure, grid = plt.subplots(1, len(known), figsize=(4.7 * len(known), 4.9), sharey=True, squeeze=False)
    panels, fronts = grid[0], {}
    for axes, (gain, (cost, title)) in zip(panels, known.items(), strict=True):
        measured = table[table[gain].notna()]
        fronts[gain] = tradeoff.pareto(measured, cost=cost)
        axes.axvline(tradeoff.PAPERS[gain], color=style.VERMILION, linestyle=":", linewidth=1.6,
                     label="the papers: 3.1× smaller, 1.9× faster")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}×")
        _front(axes, measured, fronts[gain], gain)
        left, right = axes.get_xlim()
        below = style.end_axis(axes, measured.set_index("configuration")["accuracy"], baseline, DEEPEST)
        axes.set(xlabel=title + below, xlim=(min(left, 0.8), max(1.4 * right, 20 if gain == "smaller" else 8)))
    panels[0].set_ylabel("accuracy, %, mean of both sets")
    style.shared_legend(figure)
    for axes, (gain, front) in zip(panels, fronts.items(), strict=True):
        style.name_points(axes, front["configuration"], front[gain], front["accuracy"])
    return figure


def _front(axes, measured: pd.DataFrame, front: pd.DataFrame, gain: str) -> None:
    """The networks in grey, the front over them, and the baseline."""
    axes.plot(measured[gain], measured["accuracy"], "o", color=style.SOFT, alpha=0.35, markeredgewidth=0, markersize=6,
              label="other networks")
    axes.plot(front[gain], front["accuracy"], "-o", color=style.BLUE, linewidth=2, markersize=8,
              label="not beaten by any")
    base = measured[measured["configuration"] == "base"]
    axes.plot(base[gain], base["accuracy"], "X", color=style.BLACK, markersize=9, linestyle="none", label="baseline")


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
