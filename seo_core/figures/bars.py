"""Bars: ratios and times of benchmarks, parts of files, genres, classes, and sizes of layers."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seo_core.figures import style


def _bars(names: Sequence[str], values: np.ndarray, low: np.ndarray, high: np.ndarray, *, start: float = 0,
          words: str, width: float = 8, at_bar: bool = False):
    """A figure of horizontal bars from `start` to the values, with whiskers from low to high; a value beside each
    whisker, or over it at the end of the bar."""
    figure, axes = style.rows_of(names, width=width)
    reach = np.maximum(np.nan_to_num([values - low, high - values]), 0)
    places = -np.arange(len(values))
    axes.barh(places, values - start, left=start, color=style.SKY, height=0.62, xerr=reach,
              error_kw={"capsize": 3, "ecolor": style.BLACK})
    for place, value, end in zip(places, values, values + (0 if at_bar else reach[1]), strict=True):
        style.value_beside(axes, end, place, words.format(value), above=2 if at_bar else 0)
    axes.set_xlim(0, 1.12 * max(1, (values + reach[1]).max(initial=0)))
    return figure, axes


@style.card_of_rows
def ratio_bars(table: pd.DataFrame, label: str, *, log: bool = False, claimed: float | None = None) -> Figure:
    """Horizontal bars of a benchmark's `ratio` with whiskers from `ratio_low` to `ratio_high`; index: names; or
    without rows "not run". A line stands at 1, the contestant that the others are compared with, and a dotted one at
    what the papers report. log: a logarithmic axis, with bars from the line at 1, where ratios lie orders of magnitude
    apart."""
    ratio, low, high = (table.get(column, table["ratio"]).to_numpy(float)
                        for column in ("ratio", "ratio_low", "ratio_high"))
    figure, axes = _bars(table.index, ratio, low, high, start=float(log), words="{:.3g}" if log else "{:.2f}")
    axes.axvline(1, color=style.BLACK, linewidth=1.1, linestyle="--")
    axes.set_xlabel(label)
    if claimed is not None:
        axes.axvline(claimed, color=style.BLACK, linewidth=1.6, linestyle=":")
        axes.annotate(f"the paper, {claimed:.2f}", (claimed, 1), (0, 3), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="center", fontsize="small")
    if log:
        axes.set(xscale="log", xlim=(0.5 * min(1, ratio.min()), 4 * max(1, np.nanmax([ratio, high]))))
        axes.xaxis.set_major_formatter("{x:g}")
    return figure


@style.card_of_rows
def latency_bars(table: pd.DataFrame) -> Figure:
    """Median milliseconds per batch with a whisker to the 95th percentile: batches are sorted by length, so that is
    the time of the longest texts. table: of `bench.latency.summarize`, or empty: "not run"."""
    table = table.sort_values("latency_ms_p50")
    median, end = table[["latency_ms_p50", "latency_ms_p95"]].to_numpy(float).T
    figure, axes = _bars(table.index, median, median, end, words="{:.1f}", width=style.PHONE, at_bar=True)
    axes.set_xlabel("ms per batch: median, whisker to\nthe 95th percentile (the longest texts)")
    return figure


@style.card
def stacked(table: pd.DataFrame, label: str, *, height: float = 0.42, columns: int = 4) -> Figure:
    """A bar for each row, named by the index, with a part for each column. label: of the axis; columns: of the
    legend."""
    figure, axes = style.rows_of(table.index, height=height)
    left = np.zeros(len(table))
    for number, part in enumerate(table):
        axes.barh(-np.arange(len(table)), table[part], left=left, height=0.62, label=part, edgecolor="white",
                  color=style.COLOURS[number % 7], hatch=style.HATCHES[number % 5])
        left = left + table[part].to_numpy()
    axes.set_xlabel(label)
    style.legend_above(axes, columns)
    return figure


@style.card
def parts(files: Mapping[str, Mapping[str, int]]) -> Figure:
    """Stacked bars: name of a file -> part -> bytes (`quantization.bytes_by_part`)."""
    megabytes = pd.DataFrame.from_dict(files, orient="index").fillna(0) / 1e6
    figure = stacked(megabytes, "megabytes of the file", height=0.45, columns=3)
    axes, sums = figure.axes[0], megabytes.sum(axis=1)
    for place, total in enumerate(sums):
        style.value_beside(axes, total, -place, f"{total:.1f}")
    axes.set_xlim(0, 1.1 * sums.max())
    return figure


def genres(counts: pd.DataFrame, labels) -> Figure:
    """Pairs by genre and label. counts: index genre, one column per label id; labels: their names."""
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False).index]
    return stacked(counts.rename(columns=dict(enumerate(labels))), "pairs", height=0.36, columns=len(labels))


@style.card
def baselines(table: pd.DataFrame) -> Figure:
    """Accuracy of each baseline on each evaluation split. table: what `seo_core.data.baselines` returns."""
    splits = [c for c in table.columns if c not in ("baseline", "features")]
    figure, axes = style.rows_of(table["baseline"])
    for number, split in enumerate(splits):
        axes.plot(table[split], -np.arange(len(table)), label=split.replace("_", " "), markersize=9,
                  **style.look(number) | {"linestyle": "none"})
    chance = table.loc[table["baseline"] == "majority class", splits].mean(axis=None)
    axes.axvline(chance, color=style.SOFT, linewidth=1)
    axes.set(xlabel="accuracy, %", xlim=(0, 100))
    style.legend_above(axes)
    return figure


def _side_by_side(axes, table: pd.DataFrame, x: str, y: str, hue: str, **options) -> None:
    """Bars of the means of y at each x, one for each value of hue, in its colour and hatch; names stay for a legend."""
    import seaborn

    groups = list(dict.fromkeys(table[hue]))
    options |= {"data": table, "x": x, "y": y, "hue": hue, "hue_order": groups, "ax": axes, "legend": False}
    if groups:
        seaborn.barplot(**options, errorbar=None, palette=list(style.COLOURS[: len(groups)]), saturation=1, alpha=0.75)
    for container, group, hatch in zip(axes.containers, groups, style.HATCHES * len(groups), strict=False):
        container.set_label(group if len(container) else "_nothing")
        plt.setp(container.patches, hatch=hatch)
    if not groups:
        style.not_run(axes)
    axes.grid(False, axis="x")


@style.card
def by_class(frame: pd.DataFrame) -> Figure:
    """Share kept and accuracy of the pseudo-labels by the teacher's class, a panel each; "not run" if empty.
    frame: columns arm, class, kept, accuracy (fractions), a row per arm, seed and class: points are the seeds, bars
    their mean."""
    import seaborn

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    arms, classes = list(dict.fromkeys(frame["arm"])), list(dict.fromkeys(frame["class"]))
    shares = frame.assign(kept=100 * frame["kept"], accuracy=100 * frame["accuracy"])
    for axes, key, words in zip(panels, ("kept", "accuracy"), ("kept, %", "right, % of what is kept"), strict=True):
        _side_by_side(axes, shares, "class", key, "arm", order=classes)
        if arms:
            seaborn.stripplot(shares, x="class", y=key, hue="arm", hue_order=arms, order=classes, dodge=True,
                              jitter=False, palette=[style.BLACK] * len(arms), size=3, legend=False, ax=axes)
        axes.set(xlabel="", ylim=(0, 102))
        axes.set_ylabel(words, visible=True)  # seaborn hides it beside shared ticks
    if classes:
        panels[1].axhline(100 / len(classes), color=style.SOFT, linewidth=1, linestyle=":")
    style.shared_legend(figure, place="outside upper left")
    return figure


@style.card
def sizes(networks: Mapping[str, Mapping[str, Sequence[int]]]) -> Figure:
    """Heads and neurons of each layer, a panel each; "not run" without networks.
    networks: name -> {"heads": [...], "neurons": [...]}, the lowest layer first."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
    for axes, kind, words in zip(panels, ("heads", "neurons"), ("attention", "feed-forward"), strict=True):
        layers = pd.DataFrame([(name, layer, size) for name, left in networks.items()
                               for layer, size in enumerate(left[kind], 1)], columns=["network", "layer", kind])
        _side_by_side(axes, layers, "layer", kind, "network")
        axes.set(xlabel="layer", ylabel=f"{words} {kind}")
    style.shared_legend(figure, place="outside upper left")
    return figure


@style.card
def softened(probabilities: dict[str, np.ndarray], labels: Sequence[str]) -> Figure:
    """A teacher's probabilities (k,) for one text at several temperatures; name -> probabilities."""
    figure, axes = plt.subplots(figsize=(7, 3))
    table = pd.DataFrame([(name, label, value) for name, values in probabilities.items()
                          for label, value in zip(labels, values, strict=True)], columns=["name", "label", "value"])
    _side_by_side(axes, table, "label", "value", "name")
    for bars in axes.containers:
        axes.bar_label(bars, fmt="%.2f", fontsize=9, padding=2)
    axes.set(xlabel="", ylabel="probability", ylim=(0, 1.12))
    style.legend_above(axes, len(probabilities))
    return figure


@style.card_of_rows
def metric_bars(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Scores in percent side by side, a panel for each table; "not run" without any.
    tables: title -> a row for each network, a column for each score, as `analysis.tables.scores` has them."""
    figure, panels = plt.subplots(1, len(tables), figsize=(8.4, 3.4), sharey=True, squeeze=False)
    for axes, (title, table) in zip(panels[0], tables.items(), strict=True):
        shown = table.rename_axis("network").reset_index().melt("network", var_name="score", value_name="value")
        _side_by_side(axes, shown, "score", "value", "network")
        for bars in axes.containers:
            axes.bar_label(bars, fmt="%.0f", fontsize=9, padding=2)
        axes.set(xlabel="", title=title, ylim=(0, 105))
        axes.set_ylabel("%", visible=True)
    style.shared_legend(figure, place="outside upper left")
    return figure
