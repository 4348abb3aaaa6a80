"""How every figure looks: an opaque light card, colours that colour-blind readers can tell apart.

Colours never stand alone: markers, line styles or hatches go with them. A figure makes room for its parts by itself
(constrained layout). Functions return a matplotlib Figure, which a notebook shows at the end of the cell.
"""

import functools
import itertools
import textwrap
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from seo_core.analysis import NOT_RUN

# Okabe & Ito (2008), "Color Universal Design"
BLACK, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
HATCHES = ("", "//", "..", "xx", "--")
DEEPEST = 10  # points below the baseline where `end_axis` ends the axis: what lies lower would flatten all the rest
PHONE = 5  # inches that fit on a phone, with 9 points as 9 pixels; what is wider scrolls there
MARK = 7  # pixels from the middle of a point to its edge, which its name keeps clear of
CARD, GRID, SOFT = "#FCFCFA", "#D8D8D4", "#5A5A56"
STYLE = {  # the rcParams of every figure: opaque light card, dark text, nothing below 9 points
    "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD, "figure.dpi": 120,
    "text.color": BLACK, "axes.labelcolor": BLACK, "xtick.color": BLACK, "ytick.color": BLACK,
    "axes.edgecolor": SOFT, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.7,
    "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "font.family": ["DejaVu Sans"], "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10,
    "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "lines.markersize": 5, "errorbar.capsize": 3, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.12, "figure.constrained_layout.h_pad": 0.1,
}


def card(function):
    """Draws inside `STYLE`; a figure of which every panel is `not_run` becomes the strip of `nothing_run`.
    Not with `plt.rc_context`: the first figure of a notebook loads its backend, which turns interactive mode on; the
    context would turn it off again, and no later figure would be shown."""

    @functools.wraps(function)
    def drawn(*arguments, **keywords):
        before = {key: plt.rcParams[key] for key in STYLE}
        plt.rcParams.update(STYLE)
        try:
            figure = function(*arguments, **keywords)
            if figure.axes and all(any(text.get_gid() == NOT_RUN for text in axes.texts) for axes in figure.axes):
                plt.close(figure)
                figure = nothing_run()
            figure.draw_without_rendering()  # ticks take their style, and parts their room, when first drawn
            figure.set_layout_engine("none")
            return figure
        finally:
            plt.rcParams.update(before)

    return drawn


def card_of_rows(function):
    """As `card`; of a first argument without rows or entries the figure is `nothing_run`."""

    @functools.wraps(function)
    def drawn(rows, *arguments, **keywords):
        return function(rows, *arguments, **keywords) if len(rows) else nothing_run()

    return card(drawn)


def look(number: int) -> dict:
    """Colour, marker and line style of the curve with this number."""
    return {"color": COLOURS[number % 7], "marker": MARKERS[number % 7], "linestyle": LINES[number % 4]}


def rows_of(names: Iterable, *, height: float = 0.42, width: float = 8):
    """A figure and its axes with a row for each name, the first one on top; row k lies at −k."""
    names = list(names)
    figure, axes = plt.subplots(figsize=(width, 1.3 + height * max(len(names), 2)))
    axes.set(yticks=[-place for place in range(len(names))], yticklabels=names,
             ylim=(0.6 - max(len(names), 2), 0.6) if names else None)
    axes.grid(False, axis="y")
    return figure, axes


def panels_of(names: Sequence, columns: int, width: float, height: float, room: float = 0.3):
    """A figure with a panel for each name, at least one, in rows of `columns`; the rest of the last row stays empty."""
    count = max(len(names), 1)
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(max(width * columns, PHONE), height * rows + room), sharex=True,
                                sharey=True, squeeze=False)
    for axes in grid.flat[count:]:
        axes.axis("off")
    return figure, grid


def value_beside(axes, x: float, y: float, words: str, above: float = 0) -> None:
    """Writes a value right of the end of its bar or interval; above: points that it stands over a line there."""
    axes.annotate(words, (x, y), xytext=(5, above), textcoords="offset points", va="bottom" if above else "center",
                  fontsize=9)


def legend_above(axes, columns: int = 2) -> None:
    """The legend above the axes, at its left edge."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns)


def shared_legend(figure, columns: int = 4, *, place: str = "outside lower center") -> None:
    """One legend for all axes of a figure, each label once."""
    handles = {label: handle for axes in figure.axes
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc=place, ncols=min(columns, len(handles)))


def whole_numbers(axes) -> None:
    """Ticks at whole numbers along x: epochs and rounds."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))


def end_axis(axes, accuracies: pd.Series, baseline: float, deepest: float = DEEPEST) -> str:
    """Ends the axis of accuracies `deepest` points below the baseline, if some are lower; their names, for a label.
    accuracies: in percent, by name. baseline: in percent, or NaN for none: then nothing is cut off. Lines to what is
    lower run out of the frame."""
    lower = accuracies[accuracies < baseline - deepest]
    if lower.empty:
        return ""
    axes.set_ylim(bottom=baseline - deepest)
    return "\n" + textwrap.fill("below the frame: " + ", ".join(f"{k} {v:.1f}%" for k, v in lower.items()), 56,
                                break_on_hyphens=False)


def label_places(points: Sequence[tuple[float, float]], sizes: Sequence[tuple[float, float]],
                 frame: tuple[float, float, float, float]) -> list[tuple[float, float] | None]:
    """Where names stand beside the points of a line: the middle of each name, or None for one that finds no room.
    points: (x, y) in pixels. sizes: (width, height) of each name. frame: left, low, right, high: names stay within. In
    turn, each takes the first free place of right, left, below, above and the corners: clear of all points, of the line
    that joins them, and of the names before it."""
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points]
    for (x, y), (right, high) in itertools.pairwise(points):
        taken += [(x + t * (right - x), y + t * (high - y)) * 2 for t in (step / 40 for step in range(41))]
    places: list[tuple[float, float] | None] = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        across, up = width / 2 + MARK + 2, height / 2 + MARK + 1
        places.append(None)
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)):
            middle = x + dx * across, y + dy * up
            box = (middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2)
            inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
            if inside and not any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
                taken.append(box)
                places[-1] = middle
                break
    return places


def name_points(axes, names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> None:
    """Writes the names beside their points, by `label_places`: in turn, and only where there is room."""
    texts = [axes.text(0, 0, name, fontsize=11, ha="center", va="center") for name in names]
    axes.figure.draw_without_rendering()  # the layout
    sizes = [(box.width, box.height) for box in (text.get_window_extent() for text in texts)]
    points = axes.transData.transform(list(zip(x, y, strict=True))) if texts else []
    back = axes.transData.inverted().transform
    for text, place in zip(texts, label_places(points, sizes, axes.bbox.extents), strict=True):
        text.set_position(back(place)) if place else text.remove()


def apart(values: Sequence[float], gap: float) -> list[float]:
    """Where names of values stand beside an axis: in their order, at least `gap` apart, each as near as that allows."""
    order = sorted(range(len(values)), key=values.__getitem__)
    places = [values[i] for i in order]
    for _ in range(50):  # each pass parts neighbours by half of what they lack
        for k in range(1, len(places)):
            lack = gap - (places[k] - places[k - 1])
            if lack > 1e-9:
                places[k - 1], places[k] = places[k - 1] - lack / 2, places[k] + lack / 2
    return [place for _, place in sorted(zip(order, places, strict=True))]


def not_run(axes) -> None:
    """Says in an axes that there are no records."""
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic",
              gid=NOT_RUN)


def nothing_run():
    """A figure that says that there are no records, and no more: an empty frame with an axis looks like a result."""
    figure, axes = plt.subplots(figsize=(PHONE, 1))
    not_run(axes)
    axes.axis("off")
    return figure


def seeds_text(counts: Sequence[int]) -> str:
    """"3 seeds", "1 to 3 seeds"."""
    low, high = min(counts), max(counts)
    return (f"{low}" if low == high else f"{low} to {high}") + f" seed{'s' if high > 1 else ''}"
