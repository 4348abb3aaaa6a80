"""Figures of the chapters on pruning. Same card and colours as `figures`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from seo_core import results
from seo_core.figures import BLACK, BLUE, COLOURS, GREEN, LINES, MARKERS, NOT_RUN, SOFT, VERMILION, _styled, end_axis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.figure import Figure


def _not_run(axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic")


def removed_and_accuracy(frame: pd.DataFrame) -> pd.DataFrame:
    """The one-shot arms as points: family, share removed (percent), accuracy (percent, both official sets), seed.

    frame: of `results.load`. family: "zeros, all layers together", "zeros, within each matrix", "units by <score>",
    "units and whole layers by <score>" or "whole layers by <score>", as the recipe in the record says.
    The share is of the prunable weights for zeros, of the encoder's for units. The baseline has the family "base".
    """
    import pandas as pd

    rows = []
    for row in frame.itertuples() if len(frame) else ():
        name = row.configuration
        units = re.fullmatch(r"(magnitude|taylor|activation|random|layers)-\d+", name)
        accuracy = 50 * (row.accuracy_matched + row.accuracy_mismatched)
        if name == "base":
            rows.append(("base", 0.0, accuracy, row.seed))
        elif units:
            recipe = results.record_at(row.path)["parameters"]["recipe"]
            what = {("layers",): "whole layers"}.get(tuple(recipe["kinds"]), "units")
            what += " and whole layers" if what == "units" and "layers" in recipe["kinds"] else ""
            rows.append((f"{what} by {recipe['score']}", 100 * row.removed, accuracy, row.seed))
        elif name == "prune-layer" or re.fullmatch(r"prune(-\d+)?", name):
            family = "zeros, within each matrix" if name == "prune-layer" else "zeros, all layers together"
            rows.append((family, 100 * row.sparsity, accuracy, row.seed))
    return pd.DataFrame(rows, columns=["family", "removed", "accuracy", "seed"])


@_styled
def share_and_accuracy(points: pd.DataFrame) -> Figure:
    """Accuracy over the share of weights removed, a line for each family of `removed_and_accuracy`; mean over seeds.

    The axis of accuracies is that of `figures.end_axis`.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.2))
    families = [f for f in dict.fromkeys(points["family"]) if f != "base"] if len(points) else []
    for number, family in enumerate(sorted(families)):
        found = points[points["family"] == family].groupby(points["removed"].round(0))["accuracy"]
        axes.errorbar(found.mean().index, found.mean(), yerr=[found.mean() - found.min(), found.max() - found.mean()],
                      marker=MARKERS[(number + number // 7) % 7], color=COLOURS[number % 7],
                      linestyle=LINES[number % 4], capsize=3, linewidth=1.6, label=family)
    base, below = points[points["family"] == "base"]["accuracy"] if len(points) else (), ""
    if len(base):
        means = points.groupby([points["family"], points["removed"].round(0)])["accuracy"].mean()
        below = end_axis(axes, means.set_axis([f"{family} ({removed:.0f}%)" for family, removed in means.index]),
                         base.mean())
        axes.axhline(base.mean(), color=BLACK, linewidth=1.1)
        axes.axhline(base.mean() - 1, color=BLACK, linewidth=0.9, linestyle=":")
        axes.text(0.99, base.mean(), "baseline", ha="right", va="bottom", fontsize=9,
                  transform=axes.get_yaxis_transform())
    if families:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    else:
        _not_run(axes)
    axes.set(xlabel=f"weights removed, %{below}", ylabel="accuracy, %")
    figure.tight_layout()
    return figure


def rounds(record: Mapping | None) -> pd.DataFrame:
    """AIP's attempts from its record, for `trace`; empty without one. points: to where the run started."""
    import pandas as pd

    if record is None:
        return pd.DataFrame()
    names = ("round", "step", "removed", "accuracy_before_recovery", "accuracy", "accepted", "final")
    found = pd.DataFrame({name: record["series"][name] for name in names}, dtype=float)
    return found.assign(points=100 * (found["accuracy"] - record["metrics"]["accuracy_start"]))


@_styled
def trace(rounds: pd.DataFrame, threshold: float | None = None) -> Figure:
    """AIP's attempts: share removed above, points to the start below; accepted steps filled, rejected ones hollow.

    rounds: columns round, removed (fraction), points, accepted, final. threshold: T, a dotted line. "not run" if empty.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.8), sharex=True)
    for axes, column, words in ((above, "removed", "encoder weights\nremoved, %"),
                                (below, "points", "points to\nthe start")):
        if not len(rounds):
            _not_run(axes)
            continue
        values = rounds[column].astype(float) * (100 if column == "removed" else 1)
        accepted, final = rounds["accepted"].astype(bool), rounds["final"].astype(bool)
        axes.plot(rounds["round"][accepted], values[accepted], color=BLUE, linewidth=1.3, zorder=1)
        for mine, marker, colour, face, label in (
                (accepted & ~final, "o", BLUE, BLUE, "accepted"), (~accepted, "o", VERMILION, "none", "rolled back"),
                (accepted & final, "s", GREEN, GREEN, "final training")):
            if mine.any():
                axes.scatter(rounds["round"][mine], values[mine], marker=marker, s=48, edgecolors=colour,
                             facecolors=face, linewidths=1.6, label=label, zorder=2)
        axes.set_ylabel(words)
    if len(rounds):
        above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        above.set_ylim(0, 112 * rounds["removed"].max() or 1)
        below.axhline(0, color=SOFT, linewidth=0.9)
        if threshold is not None:
            below.axhline(-threshold, color=BLACK, linewidth=1.1, linestyle=":")
            below.text(0.99, -threshold, f"T = {threshold:g}", ha="right", va="bottom", fontsize=9,
                       transform=below.get_yaxis_transform())
    below.set_xlabel("round")
    below.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    figure.tight_layout()
    return figure


@_styled
def sizes(networks: Mapping[str, Mapping[str, Sequence[int]]]) -> Figure:
    """Heads and neurons of each layer, a panel each; "not run" without networks.

    networks: name -> {"heads": [...], "neurons": [...]}, the lowest layer first.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
    wide = 0.8 / max(len(networks), 1)
    for axes, kind in zip(panels, ("heads", "neurons"), strict=True):
        for number, (name, found) in enumerate(networks.items()):
            places = np.arange(len(found[kind])) + 1 + (number - (len(networks) - 1) / 2) * wide
            axes.bar(places, found[kind], 0.9 * wide, color=COLOURS[number % 7], alpha=0.75, label=name,
                     hatch=("", "//", "..", "xx")[number % 4])
        if networks:
            axes.set_xticks(range(1, 1 + max(len(found[kind]) for found in networks.values())))
        else:
            _not_run(axes)
        axes.set(xlabel="layer", ylabel=f"{'attention' if kind == 'heads' else 'feed-forward'} {kind}")
        axes.grid(False, axis="x")
    if networks:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=min(4, len(networks)))
    figure.tight_layout(rect=(0, 0, 1, 0.92 if networks else 1))
    return figure


def curves(record: Mapping) -> dict[str, dict[str, np.ndarray]]:
    """The weight histograms of a record's series: layer number -> {"centre", "before", "after"}; {} without."""
    series = record["series"]
    found = {}
    for name, values in series.items():
        layer = re.fullmatch(r"before layer (\d+)", name)
        if layer:
            found[layer[1]] = {"centre": np.array(series["histogram_centre"]), "before": np.array(values),
                               "after": np.array(series[f"after layer {layer[1]}"])}
    return found


def shape_table(records: Mapping[str, Mapping]) -> pd.DataFrame:
    """Overlap of the shapes, weights removed and mass removed: means over the layers, and the lowest overlap."""
    import pandas as pd

    rows = []
    for name, record in records.items():
        found = {k: np.array(record["series"].get(f"layer_{k}", []))
                 for k in ("overlap", "removed_weights", "removed_mass")}
        if len(found["overlap"]):
            rows.append((name, record["seed"], found["overlap"].mean(), found["overlap"].min(),
                         *(f"{100 * found[k].mean():.1f}" for k in ("removed_weights", "removed_mass"))))
    columns = ["configuration", "seed", "overlap, mean", "overlap, lowest", "weights removed, %", "mass removed, %"]
    return pd.DataFrame(rows or [(NOT_RUN, *["—"] * 5)], columns=columns).round(3)


@_styled
def weight_distributions(records: Mapping[str, Mapping]) -> Figure:
    """Figure 4: histograms of each layer's weights before (line) and after (filled) pruning, a row for each record.

    records: name -> record with the curves of `pruning.distribution.histograms`. What lies between line and filled area
    was removed. The overlap of the shapes and the removed mass stand in each panel. "not run" without records.
    """
    import matplotlib.pyplot as plt

    shown = {name: found for name, record in records.items() if (found := curves(record))}
    if not shown:
        figure, axes = plt.subplots(figsize=(8, 2.4))
        _not_run(axes)
        axes.set(xticks=[], yticks=[])
        return figure
    columns = max(len(found) for found in shown.values())
    figure, grid = plt.subplots(len(shown), columns, figsize=(1.5 * columns + 1, 1.9 * len(shown) + 0.6), sharex=True,
                                sharey=True, squeeze=False)
    for place, (row, (name, found)) in enumerate(zip(grid, shown.items(), strict=True)):
        series = records[name]["series"]
        for number, axes in enumerate(row):
            layer = sorted(found, key=int)[number] if number < len(found) else None
            if layer is None:
                axes.axis("off")
                continue
            part = found[layer]
            axes.fill_between(part["centre"], part["after"], step="mid", color=BLUE, alpha=0.45, linewidth=0)
            axes.step(part["centre"], part["before"], where="mid", color=BLACK, linewidth=0.9)
            axes.text(0.97, 0.95, f"{series['layer_overlap'][number]:.2f}\n{series['layer_removed_mass'][number]:.0%}",
                      transform=axes.transAxes, ha="right", va="top", fontsize=9, color=SOFT)
            axes.set_yticks([])
            axes.grid(False)
            if place == 0:
                axes.set_title(f"layer {layer}", fontsize=10)
        row[0].set_ylabel(name, fontsize=9)
    figure.supxlabel("weight, in standard deviations before pruning", fontsize=10)
    figure.tight_layout()
    return figure
