"""Figures that a reader can ask: points to filter, rounds to step through. SVG of ours and book/_static/interactive.js.

    figures.explore(table, instead="fig-size-speed")                     # the last line of a cell
    figures.trace_steps(rounds, threshold, instead="fig-aip-reference")
    figures.weight_steps(log, instead="fig-ada-reference-weights")
    figures.price_steps(log, instead="fig-controller-prices")
    figures.box_links(drawn, instead="fig-architecture")                 # lies on the figure, which stays

Each takes the place of a figure that matplotlib drew, which is named by `instead`. A cell's output holds the markup as
the text of a script of no known kind: nobody but our own script reads it. Without that (Jupyter, GitHub, a browser
without scripts) the drawn figure stays, and the folded table below it has the same numbers.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from types import SimpleNamespace

import numpy as np
import pandas as pd

from seo_core.analysis import NOT_RUN, tradeoff
from seo_core.analysis.contrasts import CONTROLS
from seo_core.analysis.tables import Table, points_text
from seo_core.figures import style
from seo_core.figures.size_speed import DEEPEST
from seo_core.figures.synergy import PRICES

WIDTH, HEIGHT = 420, 300  # of a panel, in units of its SVG; a phone shows them at 0.85, where 13 are 11 pixels
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 26, 42  # its margins
LETTER = 7.2  # width of a letter of 13 units, on average


class Interactive:
    """What takes the place of a figure in a page: markup for the script, and a folded table with its numbers.
    table: as it is shown; None: there is none. instead: the name of the figure; folded: the line that opens the table.
    """

    def __init__(self, markup: str, table: pd.DataFrame | None, instead: str, folded: str):
        self.markup, self.instead = markup, instead
        self.table = None if table is None else Table(table, folded=folded)

    def _repr_html_(self) -> str:
        island = f'<script type="text/x-figure" class="interactive" data-instead="{escape(self.instead)}">'
        table = "" if self.table is None else self.table._repr_html_()
        return f"{island}{self.markup}</script>\n{table}" if self.markup else table

    def __repr__(self) -> str:
        return "" if self.table is None else repr(self.table)


@dataclass(frozen=True)
class Axes:
    """Where values lie in a panel. x, y: the lowest and the highest value; log: x in powers of 2."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False
    left: float = LEFT

    def across(self, x: float) -> float:
        """A value of x, in units of the SVG."""
        low, high, x = (math.log2(v) if self.log else v for v in (*self.x, x))
        return round(self.left + (x - low) / ((high - low) or 1) * (WIDTH - self.left - RIGHT), 1)

    def down(self, y: float) -> float:
        """A value of y, likewise; what is lower than the axis lies at its end."""
        low, high = self.y
        return round(HEIGHT - BOTTOM - (max(y, low) - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    def lines(self, ticks: Sequence[float], levels: Sequence[float], xlabel: str, ylabel: str) -> str:
        """The grid with its numbers, and the names of both axes."""
        low, left = HEIGHT - BOTTOM, self.left
        upright = "".join(f'<path class="grid" d="M{self.across(x)} {TOP}V{low}"/>'
                          f'<text x="{self.across(x)}" y="{low + 16}" text-anchor="middle">{x:g}</text>' for x in ticks)
        level = "".join(f'<path class="grid" d="M{left} {self.down(y)}H{WIDTH - RIGHT}"/>'
                        f'<text x="{left - 6}" y="{self.down(y) + 4}" text-anchor="end">{_signed(y)}</text>'
                        for y in levels)
        middle = (left + WIDTH - RIGHT) / 2
        names = (f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(xlabel)}</text>'
                 f'<text x="4" y="13">{escape(ylabel)}</text>')
        return upright + level + names


def _signed(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _svg(inside: str, name: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{escape(name)}">{inside}</svg>'


# -- points to filter ---------------------------------------------------------------------------

COSTS = {"megabytes": "file, MB", "ms": "ms a batch"}
LIMITS = {"megabytes": ("Largest file", "MB", 1), "ms": ("Slowest batch", "ms", 0),
          "loss": ("Largest loss to the baseline", "points", 1),
          "behind": ("Largest loss to an equal control", "points", 1)}  # title, unit, digits


def explore(table: pd.DataFrame, *, instead: str) -> Interactive:
    """The points of `tradeoff.with_losses`, to ask and to filter: accuracy over bytes and over milliseconds.

    A point says its numbers when it is pointed at or has the keyboard's focus; arrow keys go from one to the next. Five
    fields say what a reader can use: largest file, slowest batch, largest loss to the baseline and to the uncompressed
    network of equal compute, and the method. Points outside fade, and a line says which of the others is most
    accurate, which smallest and which fastest. A point without the number that is asked for is outside. Without points:
    "not run".
    """
    folded = "the same points as a table"
    if table.empty:
        return Interactive("", pd.DataFrame([{"network": NOT_RUN}]), instead, folded)
    table = table.assign(
        loss=0.0 - table["difference"].astype(float), behind=0.0 - table["difference_equal"].astype(float),
        to_base=[_gap(row) for row in table.itertuples()], to_equal=[_gap(row, "_equal") for row in table.itertuples()])
    shown = pd.DataFrame({
        "network": table["configuration"], "method": table["method"], "accuracy, %": table["accuracy"].round(2),
        "file, MB": table["megabytes"].round(1), "ms a batch": table["ms"].round(1),
        "to the baseline, points, matched": table["to_base"], "to equal control, points, matched": table["to_equal"]})
    panels = "".join(_panel(table, cost) for cost in COSTS if table[cost].notna().any())
    limits = "".join(_limit(key, table[key]) for key in LIMITS)
    methods = "".join(f"<option>{escape(name)}</option>" for name in tradeoff.families(table))
    markup = (f'<div class="figure-to-ask" data-kind="explore"><div class="controls">{limits}<label>Method '
              f'<select data-part="method"><option value="">all</option>{methods}</select></label></div>'
              '<p data-part="left" role="status"></p>'
              f'<div class="panels">{panels}</div>'
              '<p data-part="tip" aria-hidden="true">'
              'Point at a network or tap it, or go to it with Tab and the arrow keys.</p>'
              '</div>')
    return Interactive(markup, shown, instead, folded)


def _gap(row, to: str = "") -> str:
    """A network's difference to the baseline or, to="_equal", to its control of equal compute, which is named."""
    if row.configuration == "base":
        return "—" if to else "the baseline"
    found = SimpleNamespace(**{column: getattr(row, column + to) for column in tradeoff.LOSS})
    if math.isnan(found.difference):
        return row.control if to and row.control not in CONTROLS else NOT_RUN
    against = f" to {row.control}" * bool(to)
    return f"{points_text(found)}{against} ({found.paired:.0f} seed{'s' * (found.paired > 1)})"


def _limit(key: str, values) -> str:
    """A slider over the values that there are, each of which ends what it lets through; the last lets all through."""
    title, unit, digits = LIMITS[key]
    known = sorted({math.ceil(v * 10 ** digits) / 10 ** digits + 0.0 for v in values if not math.isnan(v)})
    return (f'<label>{title} <output></output><input type="range" min="0" max="{len(known)}" value="{len(known)}" '
            f'data-limits="{key}" data-values="{json.dumps(known)}" data-unit="{unit}"></label>')


def _panel(table: pd.DataFrame, cost: str) -> str:
    """One panel: accuracy over one cost, with the front as a line and by name, and a mark for each point."""
    title = COSTS[cost]
    measured = table[table[cost].notna() & table["accuracy"].notna()].sort_values(cost)
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
    numbers += ["not timed" if math.isnan(row.ms) else f"{row.ms:.1f} ms a batch"]
    compared = "" if row.configuration == "base" else (
        f"; in points on the matched set, to the baseline: {row.to_base}; to an equal control: {row.to_equal}")
    said = f"{row.configuration} ({row.method}): {', '.join(numbers)}{compared}"
    data = {"name": row.configuration, "method": row.method, "accuracy": round(row.accuracy, 3), **{
        key: round(value, 3) for key in LIMITS if not math.isnan(value := getattr(row, key))}}
    data = "".join(f' data-{key}="{escape(str(value))}"' for key, value in data.items())
    kind = "point" + " best" * best + " base" * (row.configuration == "base")
    form = ('<path d="M-6 -9H6L0 1Z"/>' if row.accuracy < axes.y[0] else
            '<path d="M-6 -6L6 6M-6 6L6 -6"/>' if row.configuration == "base" else '<circle r="5"/>')
    place = f"translate({axes.across(getattr(row, cost))} {axes.down(row.accuracy)})"
    return f'<g class="{kind}" role="img" transform="{place}" aria-label="{escape(said)}"{data}>{form}</g>'


# -- rounds to step through ---------------------------------------------------------------------


def _steps(panels: Sequence[str], says: Sequence[str], table: pd.DataFrame, instead: str) -> Interactive:
    """Panels whose parts with `data-from` (and `data-to`) are there from that round on (until that one), and a sentence
    for each round; without rounds, "not run"."""
    if not says:
        return Interactive("", pd.DataFrame([{"round": NOT_RUN}]), instead, "the rounds as a table")
    markup = (f'<div class="figure-to-ask" data-kind="steps" data-says="{escape(json.dumps(list(says)))}">'
              '<div class="controls"><button type="button" data-part="previous">Previous</button><label>Round'
              f'<input type="range" min="1" max="{len(says)}" value="{len(says)}"></label>'
              '<button type="button" data-part="next">Next</button></div>'
              f'<p data-part="says" role="status"></p><div class="panels">{"".join(panels)}</div></div>')
    return Interactive(markup, table, instead, "the rounds as a table")


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers within."""
    steps = (first * 10.0 ** power for power in range(-1, 12) for first in (1, 2, 5))
    step = next(s for s in steps if (high - low) / s <= 8)
    return [round(step * k, 1) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def trace_steps(rounds: pd.DataFrame, threshold: float, *, instead: str) -> Interactive:
    """AIP's attempts, a round at a time: what `figures.trace` draws, and a sentence on what was tried and kept.
    rounds: of `tables.rounds`. threshold: T, in points. "not run" if empty."""
    if rounds.empty:
        return _steps([], [], rounds, instead)
    turns, count = list(rounds.itertuples()), len(rounds)
    says, kept = [], 0.0
    for turn in turns:
        off = f"{abs(turn.points):.2f} points {'below' if turn.points < 0 else 'above'} the start"
        if turn.final:
            says.append(f"Round {turn.round:.0f}, the final training: {100 * turn.removed:.1f}% of the encoder is "
                        f"removed, and the accuracy lies {off}.")
            continue
        tried = (f"Round {turn.round:.0f} tries {100 * turn.step:.1f}% more, {100 * turn.removed:.1f}% in all. After "
                 f"recovery the accuracy lies {off}")
        kept = turn.removed if turn.accepted else kept
        says.append(f"{tried}, within T = {threshold:g}: kept." if turn.accepted else
                    f"{tried}, beyond T = {threshold:g}: taken back to {100 * kept:.1f}%.")
    removed, points = 100 * rounds["removed"].to_numpy(float), rounds["points"].to_numpy(float)
    heights, panels = (min(points.min(), -threshold) - 0.3, max(points.max(), 0) + 0.3), []
    for title, values, ends in (("encoder weights removed, %", removed, (0, 1.1 * removed.max())),
                                ("accuracy, points to the start", points, heights)):
        axes = Axes((0.5, count + 0.5), ends)
        guard = "" if values is removed else "".join(
            f'<path class="{kind}" d="M{LEFT} {axes.down(at)}H{WIDTH - RIGHT}"/>'
            for kind, at in (("zero", 0), ("guard", -threshold))
        ) + f'<text x="{WIDTH - RIGHT}" y="{axes.down(-threshold) - 5}" text-anchor="end">T = {threshold:g}</text>'
        marks = "".join(_turn(turn, number, axes, value)
                        for number, (turn, value) in enumerate(zip(turns, values, strict=True), 1))
        grid = axes.lines(range(1, count + 1), _ticks(*axes.y), "round", title)
        panels.append(_svg(grid + guard + marks, f"{title}, over {count} rounds"))
    table = rounds[["round", "step", "removed", "points"]].round(3).astype({"round": int}).assign(
        kept=["yes" if kept else "taken back" for kept in rounds["accepted"]])
    return _steps(panels, says, table, instead)


def _turn(turn, number: int, axes: Axes, value: float) -> str:
    """One attempt: filled if kept, hollow if taken back, a square for the final training; the last has a ring."""
    x, y = axes.across(number), axes.down(value)
    kind = "last" if turn.final else "kept" if turn.accepted else "back"
    form = f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10"' if turn.final else f'<circle cx="{x}" cy="{y}" r="5"'
    return (f'{form} class="{kind}" data-from="{number}"/>'
            f'<circle class="now" cx="{x}" cy="{y}" r="10" data-from="{number}" data-to="{number}"/>')


def weight_steps(log: pd.DataFrame, *, instead: str) -> Interactive:
    """The weights of ADA's actions, a round at a time: a row for each action, its weight as a dot with the range over
    the seeds, and the way it came. log: of `tables.weights_by_round`, or `AdaptiveResult.log`; a panel for each number
    of labels if it has them. "not run" if empty."""
    if log.empty:
        return _steps([], [], log, instead)
    log = log.assign(percent=100 * log["weight"], action=[
        f"{row.operator.replace('_', ' ')} {row.strength:g}" for row in log.itertuples()])
    groups = list(log.groupby("labels")) if "labels" in log else [("", log)]
    ends, panels, tables = (0, 1.05 * log["percent"].max()), [], []
    numbers = sorted(log["round"].unique())
    says = [[f"Round {number}."] for number in numbers]
    for labels, rows in groups:
        named = f"{labels:,.0f} labels".replace(",", "\u00a0") if labels else ""
        by = rows.groupby(["action", "round"])["percent"].agg(["mean", "min", "max"])
        actions = sorted(rows["action"].unique())
        axes = Axes(ends, (-0.7, len(actions) - 0.3), left=LETTER * max(map(len, actions)) + 10)
        even, parts = 100 / len(actions), []
        for place, action in enumerate(reversed(actions)):
            y = axes.down(place)
            parts.append(f'<text x="{axes.left - 8}" y="{y + 4}" text-anchor="end">{escape(action)}</text>')
            for turn, number in enumerate(numbers, 1):
                if (action, number) in by.index:
                    mean, low, high = (axes.across(v) for v in by.loc[(action, number)])
                    now = f'data-from="{turn}" data-to="{turn}"/>'
                    parts.append(f'<circle class="way" cx="{mean}" cy="{y}" r="3" data-from="{turn + 1}"/>'
                                 f'<path class="range" d="M{low} {y}H{high}" {now}'
                                 f'<circle class="kept" cx="{mean}" cy="{y}" r="5.5" {now}')
        line = f'<path class="guard" d="M{axes.across(even)} {TOP}V{HEIGHT - BOTTOM}"/>'
        panels.append(_svg(axes.lines(_ticks(*ends), [], "weight, %", named or "action") + line + "".join(parts),
                           f"Weight of {len(actions)} actions {named}".strip()))
        for words, number in zip(says, numbers, strict=True):
            means = by["mean"].xs(number, level="round")
            most, least = means.idxmax(), means.idxmin()
            words.append(f"{named + ': ' if named else ''}{most} has most, {means[most]:.1f}%, {least} least, "
                         f"{means[least]:.1f}%; an even share is {even:.1f}%.")
        tables.append(by["mean"].unstack("round").round(1).add_prefix("round ").reset_index())
        tables[-1].insert(0, "labels", named.removesuffix(" labels"))
    return _steps(panels, [" ".join(words) for words in says], pd.concat(tables).rename_axis(columns=None), instead)


USED = {"labels_used": "labels spent", "seconds_used": "seconds spent", "megabytes": "file, MB",
        "percent": "accuracy, %"}  # of a log


def price_steps(log: pd.DataFrame, *, instead: str) -> Interactive:
    """A run of the Synergy Controller, a round at a time: λ₁ and λ₂, the labels, seconds and bytes used so far, and the
    accuracy, as steps, a panel each; and a sentence on what worked, what came of it, and why it was taken back. log: a
    row for each entry of `SynergyController.log`, or `tables.controller_log` of a record; what it has no column of has
    no panel. "not run" if empty."""
    if log.empty:
        return _steps([], [], log, instead)
    shown = PRICES | {key: name for key, name in USED.items() if key in log and log[key].notna().any()}
    says, panels, top = [], [], 1.1 * max(log[[*PRICES]].max().max(), 0.1)
    for row in log.itertuples():
        moved = f"The loss {'falls' if row.loss < 0 else 'rises'} by {abs(row.loss):.4f}"
        back = "It is taken back" + (f": {row.why}" if getattr(row, "why", "") else "")
        came = back if not row.accepted else moved if abs(row.loss) >= 5e-5 else "The loss stays"
        used = ", ".join(f"{name} {_grouped(getattr(row, key))}" for key, name in shown.items() if key in USED)
        says.append(f"Round {row.round}: {row.action}, with a step of {row.step:g}, at λ₁ = {row.lambda_data:.2f} and "
                    f"λ₂ = {row.lambda_model:.2f}. {came}." + f" So far: {used}." * bool(used))
    for key, name in shown.items():
        low = math.floor(log[key].min()) - 1.0 if key == "percent" else 0.0
        high = top if key in PRICES else low + 1.1 * max(log[key].max() - low, 0.1)
        axes, grid = Axes((0.5, len(log) + 0.5), (low, high)), _ticks(low, high)
        parts, before = [], log[key].iloc[0]
        for turn, value in enumerate(log[key], 1):
            x, y = axes.across(turn - 0.5), axes.down(value)
            parts.append(f'<path class="front" d="M{x} {axes.down(before)}V{y}H{axes.across(turn + 0.5)}" '
                         f'data-from="{turn}"/><circle class="kept" cx="{axes.across(turn)}" cy="{y}" r="5.5" '
                         f'data-from="{turn}" data-to="{turn}"/>')
            before = value
        ticks = sorted({1, *range(5, len(log) + 1, 5)})
        panels.append(_svg(axes.lines(ticks, grid, "round", name) + "".join(parts), f"{name}, over {len(log)} rounds"))
    table = log[["round", "action", "step", "loss", *shown]].round(4).assign(
        kept=["yes" if kept else "taken back" for kept in log["accepted"]],
        **{key: log[key] for key in log if key == "why"})
    return _steps(panels, says, table.rename(columns=shown | {"loss": "change of the loss"}), instead)


def _grouped(value: float) -> str:
    """A number of things used: whole from a hundred on, its digits in groups."""
    return f"{value:,.{0 if value >= 100 or value == int(value) else 1}f}".replace(",", "\u00a0")
