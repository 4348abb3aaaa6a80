"""Points with intervals: differences, accuracy by genre, labels needed, where rows went."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seo_core.analysis.contrasts import TITLES
from seo_core.analysis.statistics import wilson
from seo_core.figures import style


@style.card_of_rows
def forest(differences: pd.DataFrame, goals: Sequence[float] = (), unit: str = "points",
           words: Mapping[str, str] | None = None, *, width: float = 8.4) -> Figure:
    """`contrasts.differences` as points with their 95% intervals; "not run" without rows.
    A row for each contrast and number of labels, a panel for each metric, no effect as a line, goals dotted. Where all
    contrasts have one control, it is named below and not in each row. The seeds stand at the right end of each row; a
    hollow point has one. unit: of x. words: what to call configurations that have one control, before their names.
    width: in inches."""
    metrics, controls = list(differences["metric"].unique()), set(differences["contrast"].str.partition(" − ")[2])
    control = controls.pop() if len(controls) == 1 and "(" not in min(controls) else ""
    names = differences["contrast"].str.removesuffix(f" − {control}" if control else "").str.replace(") − (", ")\n− (")
    names = names.replace({name: f"{word} ({name})" for name, word in (words or {}).items()})
    if "labels" in differences:
        names += ", " + differences["labels"].astype(str) + " labels"
    places = {name: -place for place, name in enumerate(names.unique())}
    figure, grid = plt.subplots(1, len(metrics), figsize=(width, 1.3 + 0.36 * max(2, len(places))), sharey=True,
                                sharex=True, squeeze=False)
    for axes, metric in zip(grid[0], metrics, strict=True):
        for name, row in zip(names, differences.itertuples(), strict=True):
            if row.metric == metric:
                axes.plot([row.low, row.high], [places[name]] * 2, color=style.BLUE, linewidth=2)
                axes.plot(row.difference, places[name], "o", color=style.BLUE, markersize=6,
                          markerfacecolor=style.CARD if row.seeds == 1 else style.BLUE)
        axes.axvline(0, color=style.BLACK, linewidth=0.9)
        for goal in goals:
            axes.axvline(goal, color=style.BLACK, linewidth=0.9, linestyle=":")
        axes.set(title=TITLES.get(metric, metric), xlabel=f"{unit} to {control}" if control else unit)
    for name, place in places.items():
        grid[0, -1].text(1.02, place, style.seeds_text(differences["seeds"][names == name]), va="center", fontsize=9,
                         transform=grid[0, -1].get_yaxis_transform())
    grid[0, 0].set(yticks=list(places.values()), yticklabels=list(places), ylim=(0.6 - max(2, len(places)), 0.6))
    return figure


@style.card
def by_genre(sets: dict[str, dict[str, tuple[float, int]]]) -> Figure:
    """Accuracy by genre with 95% intervals. sets: label ("matched", "mismatched") → genre → (accuracy, examples)."""
    genres = sorted({genre for table in sets.values() for genre in table}, reverse=True,
                    key=lambda genre: np.mean([table[genre][0] for table in sets.values() if genre in table]))
    figure, axes = style.rows_of(genres, height=0.36)
    for number, (label, table) in enumerate(sets.items()):
        places, shares = [-genres.index(genre) for genre in table], np.array([share for share, _ in table.values()])
        low, high = np.transpose([wilson(share, n) for share, n in table.values()])
        axes.errorbar(100 * shares, places, xerr=100 * np.maximum([shares - low, high - shares], 0), linestyle="none",
                      color=style.COLOURS[number % 7], marker=style.MARKERS[number % 7], label=label)
        for place, end, (_, n) in zip(places, high, table.values(), strict=True):
            style.value_beside(axes, 100 * end, place, f"{n}")
    axes.set_xlabel("accuracy, % (bars: 95% interval; beside them: number of examples)")
    if sets:
        style.legend_above(axes, len(sets))
    return figure


@style.card_of_rows
def labels_needed(matches: dict, at: int) -> Figure:
    """Bars of `efficiency.labels_to_match` with 95% intervals; a line at the labels of random picks. "not run" without
    any. A bar with a hatch ends at the arm's largest budget without having reached random's accuracy; so may an
    interval (an arrow)."""
    figure, axes = style.rows_of(matches, height=0.45)
    limit = 1.15 * at
    for place, match in enumerate(matches.values()):
        reached = math.isfinite(match.labels)
        axes.barh(-place, match.labels if reached else match.top, height=0.6, edgecolor=style.CARD,
                  color=style.SKY if reached else style.GRID, hatch="" if reached else "//")
        if not math.isnan(match.low):
            end = limit if match.top >= at else match.top + (limit - at)
            high = match.high if math.isfinite(match.high) else end
            low = match.low if math.isfinite(match.low) else match.top
            axes.plot([low, high], [-place, -place], color=style.BLACK, linewidth=1.5)
            ends = [x for x in (match.low, match.high) if math.isfinite(x)]  # an open end has an arrow and no bar
            axes.plot(ends, [-place] * len(ends), "|", color=style.BLACK, markersize=8)
            if not math.isfinite(match.high):
                axes.plot([end], [-place], marker=">", color=style.BLACK, markersize=6, clip_on=False)
        words = f"{match.labels:,.0f}" if reached else f"not reached with {match.top:,}"
        style.value_beside(axes, 0, -place, f"{words}, {style.seeds_text([match.n])}")
    axes.axvline(at, color=style.SOFT, linestyle="--", linewidth=1.2)
    axes.set(xlim=(0, limit), xlabel=f"labels needed for random's accuracy at {at:,}")
    return figure


@style.card
def where_rows_went(groups: pd.DataFrame) -> Figure:
    """Share of D and of the added rows by class and by genre, worst accuracy on top; `AdaptiveResult.groups`."""
    kinds = dict(list(groups.groupby("kind", sort=False)))
    sizes = [max(2, len(rows)) for rows in kinds.values()]
    figure, grid = plt.subplots(len(kinds), 1, figsize=(8, 1.4 + 0.34 * sum(sizes)), squeeze=False,
                                gridspec_kw={"height_ratios": sizes}, sharex=True)
    for axes, (kind, rows) in zip(grid[:, 0], kinds.items(), strict=True):
        rows = rows.sort_values("accuracy", ascending=False, na_position="first")
        y = np.arange(len(rows))
        axes.hlines(y, 100 * rows["train_share"], 100 * rows["added_share"], color=style.SOFT, linewidth=1.2)
        for number, (column, of) in enumerate({"train_share": "data", "added_share": "added rows"}.items()):
            axes.plot(100 * rows[column], y, label=f"share of the {of}", markersize=7,
                      **style.look(number) | {"linestyle": "none"})
        names = [f"{name}: {'no rows' if math.isnan(a) else f'{100 * a:.0f}%'}"
                 for name, a in zip(rows["group"], rows["accuracy"], strict=True)]
        axes.set(yticks=y, yticklabels=names, ylabel=kind, ylim=(-0.6, len(rows) - 0.4))
    grid[-1, 0].set(xlabel="share, %", xlim=(0, None))
    style.legend_above(grid[0, 0])
    return figure
