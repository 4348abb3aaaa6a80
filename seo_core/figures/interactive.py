"""Figures that a reader can ask: points to filter, rounds to step through. SVG of ours and book/_static/interactive.js.

    figures.explore(table, instead="fig-size-speed")            # the last line of a cell
    figures.steps(rounds, instead="fig-aip-reference")

Each takes the place of a figure that matplotlib drew, which is named by `instead`. A cell's output holds the markup as
the text of a script of no known kind: nobody but our own script reads it. Without that (Jupyter, GitHub, a browser
without scripts) the drawn figure stays, and the folded table below it has the same numbers.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from seo_core.analysis import NOT_RUN, tradeoff
from seo_core.analysis.tables import Table, points_text
from seo_core.figures import style
from seo_core.figures.size_speed import DEEPEST

WIDTH, HEIGHT = 420, 300  # of a panel, in units of its SVG; a phone shows them at 0.85, where 13 are 11 pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 42  # its margins
LETTER = 7.2  # width of a letter of 13 units, on average


class Interactive:
    """What takes the place of a figure in a page: markup for the script, and a folded table with its numbers.
    table: as it is shown. instead: the name of the figure; folded: the line that opens the table."""

    def __init__(self, markup: str, table: pd.DataFrame, instead: str, folded: str):
        self.markup, self.instead, self.table = markup, instead, Table(table, folded=folded)

    def _repr_html_(self) -> str:
        island = f'<script type="text/x-figure" class="interactive" data-instead="{escape(self.instead)}">'
        return f"{island}{self.markup}</script>\n{self.table._repr_html_()}" if self.markup else self.table._repr_html_()

    def __repr__(self) -> str:
        return repr(self.table)


@dataclass(frozen=True)
class Axes:
    """Where values lie in a panel. x, y: the lowest and the highest value; log: x in powers of 2."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def across(self, x: float) -> float:
        """A value of x, in units of the SVG."""
        low, high, x = (math.log2(v) if self.log else v for v in (*self.x, x))
        return round(LEFT + (x - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        """A value of y, likewise; what is lower than the axis lies at its end."""
        low, high = self.y
        return round(HEIGHT - BOTTOM - (max(y, low) - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    def lines(self, ticks: Sequence[float], levels: Sequence[float], xlabel: str, ylabel: str) -> str:
        """The grid with its numbers, and the names of both axes."""
        low = HEIGHT - BOTTOM
        upright = "".join(f'<path class="grid" d="M{self.across(x)} {TOP}V{low}"/>'
                          f'<text x="{self.across(x)}" y="{low + 16}" text-anchor="middle">{x:g}</text>' for x in ticks)
        level = "".join(f'<path class="grid" d="M{LEFT} {self.down(y)}H{WIDTH - RIGHT}"/>'
                        f'<text x="{LEFT - 6}" y="{self.down(y) + 4}" text-anchor="end">{_signed(y)}</text>'
                        for y in levels)
        names = (f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(xlabel)}</text>'
                 f'<text x="4" y="13">{escape(ylabel)}</text>')
        return upright + level + names


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _svg(inside: str, name: str, **attributes) -> str:
    said = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{escape(name)}"{said}>{inside}</svg>'


# -- points to filter ---------------------------------------------------------------------------

COSTS = {"megabytes": ("file, MB", "smaller"), "ms": ("ms a batch", "faster")}
LIMITS = {"megabytes": ("Largest file", "MB", 1), "ms": ("Slowest batch", "ms", 0), "loss": ("Largest loss", "points", 1)}


def explore(table: pd.DataFrame, *, instead: str) -> Interactive:
    """The points of `tradeoff.with_losses`, to ask and to filter: accuracy over bytes and over milliseconds.

    A point says its numbers when it is pointed at or has the keyboard's focus; arrow keys go from one to the next. Four
    fields say what a reader can do with: largest file, slowest batch, largest loss, and the method. Points outside fade,
    and a line says which of the others is smallest and which fastest. A point without the number that is asked for is
    outside. Without points: "not run".
    """
    shown = pd.DataFrame({
        "network": table["configuration"], "method": table["method"], "accuracy, %": table["accuracy"].round(2),
        "file, MB": table["megabytes"].round(1), "ms a batch": table["ms"].round(1),
        "to the baseline, points": [_gap(row) for row in table.itertuples()]}) if len(table) else None
    folded = "the same points as a table"
    if shown is None:
        return Interactive("", pd.DataFrame([{"network": NOT_RUN}]), instead, folded)
    loss = (-table["difference"]).to_numpy(float)
    panels = "".join(_panel(table, loss, cost) for cost in COSTS if table[cost].notna().any())
    limits = "".join(_limit(key, {"loss": loss}.get(key, table.get(key))) for key in LIMITS)
    methods = "".join(f"<option>{escape(name)}</option>" for name in tradeoff.families(table))
    markup = (f'<div class="figure-to-ask" data-kind="explore"><div class="controls">{limits}<label>Method '
              f'<select data-part="method"><option value="">all</option>{methods}</select></label></div>'
              '<p data-part="left" role="status"></p>'
              f'<div class="panels">{panels}</div>'
              '<p data-part="tip" aria-hidden="true">Point at a network, or go to it with Tab and the arrow keys.</p>'
              '</div>')
    return Interactive(markup, shown, instead, folded)


def _gap(row) -> str:
    if row.configuration == "base":
        return "the baseline"
    return NOT_RUN if math.isnan(row.difference) else f"{points_text(row)} ({row.paired:.0f} seed{'s' * (row.paired > 1)})"


def _limit(key: str, values) -> str:
    """A slider over the values that there are, each of which ends what it lets through; the last lets all through."""
    title, unit, digits = LIMITS[key]
    known = sorted({math.ceil(v * 10 ** digits) / 10 ** digits + 0.0 for v in values if not math.isnan(v)})
    return (f'<label>{title} <output></output><input type="range" min="0" max="{len(known)}" value="{len(known)}" '
            f'data-limits="{key}" data-values="{json.dumps(known)}" data-unit="{unit}"></label>')


def _panel(table: pd.DataFrame, loss: np.ndarray, cost: str) -> str:
    """One panel: accuracy over one cost, with the front as a line and by name, and a mark for each point."""
    title, gain = COSTS[cost]
    measured = table.assign(loss=loss)[table[cost].notna() & table["accuracy"].notna()].sort_values(cost)
    baseline = measured.loc[measured["configuration"] == "base", "accuracy"].min()
    low, high = measured["accuracy"].min(), measured["accuracy"].max()
    low = max(low, baseline - DEEPEST) if baseline == baseline else low
    axes = Axes((0.85 * measured[cost].min(), 1.25 * measured[cost].max()), (low - 0.3, high + 0.4), log=True)
    powers = 2.0 ** np.arange(math.ceil(math.log2(axes.x[0])), math.log2(axes.x[1]))
    front = tradeoff.pareto(measured, cost=cost)
    corners = [(axes.across(x), axes.down(y)) for x, y in zip(front[cost], front["accuracy"], strict=True)]
    line = f'<polyline class="front" points="{" ".join(f"{x},{y}" for x, y in corners)}"/>'
    sizes = [(LETTER * len(name), 14.0) for name in front["configuration"]]
    frame = (LEFT, TOP - 14, WIDTH, HEIGHT - BOTTOM)
    names = "".join(f'<text class="name" text-anchor="middle" x="{place[0]:.1f}" y="{place[1] + 4.5:.1f}">'
                    f'{escape(name)}</text>' for name, place in zip(
                        front["configuration"], style.label_places(corners, sizes, frame), strict=True) if place)
    best = set(front["configuration"])
    marks = "".join(_mark(row, axes, cost, row.configuration in best) for row in measured.itertuples())
    grid = axes.lines(powers, range(math.ceil(axes.y[0]), math.floor(axes.y[1]) + 1), title, "accuracy, %")
    return _svg(grid + line + marks + names, f"Accuracy over {title}: {len(measured)} networks; the arrow keys go from "
                "one to the next")


def _mark(row, axes: Axes, cost: str, best: bool) -> str:
    """One network: what it is called, what it costs, and what it loses. A triangle lies below the axis."""
    numbers = [f"accuracy {row.accuracy:.1f}%"]
    numbers += [f"{row.megabytes:.1f} MB"] * (not math.isnan(row.megabytes))
    numbers += ["not timed" if math.isnan(row.ms) else f"{row.ms:.1f} ms a batch", "to the baseline: " + _gap(row)]
    said = f"{row.configuration} ({row.method}): {', '.join(numbers[:3])}" + (
        "; the baseline" if row.configuration == "base" else f"; {numbers[3]}, matched set")
    data = {"name": row.configuration, "method": row.method, "megabytes": row.megabytes, "ms": row.ms, "loss": row.loss}
    data = "".join(f' data-{key}="{escape(str(value))}"' for key, value in data.items() if value == value)
    kind = "point" + " best" * best + " base" * (row.configuration == "base")
    form = ('<path d="M-6 -9H6L0 1Z"/>' if row.accuracy < axes.y[0] else
            '<path d="M-6 -6L6 6M-6 6L6 -6"/>' if row.configuration == "base" else '<circle r="5"/>')
    place = f"translate({axes.across(getattr(row, cost))} {axes.down(row.accuracy)})"
    return f'<g class="{kind}" role="img" transform="{place}" aria-label="{escape(said)}"{data}>{form}</g>'
