"""How every figure looks: an opaque light card, colours that colour-blind readers can tell apart."""

from __future__ import annotations

import functools
import textwrap
from typing import TYPE_CHECKING

from seo_core.analysis.verdicts import NOT_RUN

if TYPE_CHECKING:
    import pandas as pd

# Okabe & Ito (2008), "Color Universal Design"
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
DEEPEST = 10  # points below the baseline where `end_axis` ends the axis: what lies lower would flatten all the rest
CARD, GRID, SOFT = "#FCFCFA", "#D8D8D4", "#5A5A56"


def style() -> dict:
    """The rcParams of every figure: opaque light card, dark text, nothing below 9 points."""
    return {
        "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD, "figure.dpi": 120,
        "text.color": BLACK, "axes.labelcolor": BLACK, "xtick.color": BLACK, "ytick.color": BLACK,
        "axes.edgecolor": SOFT, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.7,
        "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
        "font.family": ["DejaVu Sans"], "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10,
        "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    }


def _styled(function):
    """Draws inside `style()`.

    Not with `plt.rc_context`: the first figure of a notebook loads its backend, which turns interactive
    mode on; the context would turn it off again, and no later figure would be shown.
    """

    @functools.wraps(function)
    def drawn(*arguments, **keywords):
        from matplotlib import rcParams

        before = {key: rcParams[key] for key in style()}
        rcParams.update(style())
        try:
            return function(*arguments, **keywords)
        finally:
            rcParams.update(before)

    return drawn


def end_axis(axes, accuracies: pd.Series, baseline: float) -> str:
    """Ends the axis of accuracies `DEEPEST` points below the baseline, if some are lower; their names, for a label.

    accuracies: in percent, by name. baseline: in percent, or NaN for none: then nothing is cut off. Lines to what is
    lower run out of the frame.
    """
    lower = accuracies[accuracies < baseline - DEEPEST]
    if lower.empty:
        return ""
    axes.set_ylim(bottom=baseline - DEEPEST)
    return "\n" + textwrap.fill("below the frame: " + ", ".join(f"{k} {v:.1f}%" for k, v in lower.items()), 60)


def not_run(axes) -> None:
    """Says "not run" in the middle of an axes that has no records."""
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic")
