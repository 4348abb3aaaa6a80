"""Figures of the chapters on pruning. Same card and colours as `figures`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seo_core.analysis.tables import curves
from seo_core.figures.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    LINES,
    MARKERS,
    SOFT,
    VERMILION,
    _styled,
    end_axis,
    not_run,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.figure import Figure



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
        not_run(axes)
    axes.set(xlabel=f"weights removed, %{below}", ylabel="accuracy, %")
    figure.tight_layout()
    return figure


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
            not_run(axes)
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
            not_run(axes)
        axes.set(xlabel="layer", ylabel=f"{'attention' if kind == 'heads' else 'feed-forward'} {kind}")
        axes.grid(False, axis="x")
    if networks:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=min(4, len(networks)))
    figure.tight_layout(rect=(0, 0, 1, 0.92 if networks else 1))
    return figure


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
        not_run(axes)
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


@_styled
def softened(probabilities: dict[str, np.ndarray], labels: Sequence[str]) -> Figure:
    """A teacher's probabilities (k,) for one text at several temperatures; name -> probabilities."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3))
    width = 0.8 / max(len(probabilities), 1)
    for number, (name, values) in enumerate(probabilities.items()):
        places = np.arange(len(values)) + (number - (len(probabilities) - 1) / 2) * width
        bars = axes.bar(places, values, width * 0.92, color=COLOURS[number], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=9, padding=2)
    axes.set(xticks=range(len(labels)), xticklabels=labels, ylabel="probability", ylim=(0, 1.12))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(probabilities))
    axes.grid(False, axis="x")
    figure.tight_layout()
    return figure


@_styled
def sqd_trace(traces: dict[str, dict[str, list[float]]]) -> Figure:
    """α, the gap and both losses of SQD over a run; name -> trace (`SQDResult.trace`). "not run" without traces."""
    import matplotlib.pyplot as plt

    panels = {"alpha": "α", "gap": "gap to the teacher, nats", "loss_q": "L_Q", "loss_kd": "L_KD"}
    figure, grid = plt.subplots(1, len(panels), figsize=(9, 2.8))
    for axes, (key, title) in zip(grid, panels.items(), strict=True):
        for number, (name, trace) in enumerate(traces.items()):
            axes.plot(trace["epoch"], trace[key], LINES[number % 4], color=COLOURS[number % 7], label=name)
        if not traces:
            not_run(axes)
        axes.set(title=title, xlabel="epoch")
    if len(traces) > 1:
        grid[0].legend()
    figure.tight_layout()
    return figure


@_styled
def rounding(x: np.ndarray, curves: dict[str, np.ndarray]) -> Figure:
    """Values x (n,) and what a quantiser makes of them; name -> (n,)."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3))
    axes.plot(x, x, color=BLACK, linewidth=0.9, linestyle=":", label="unchanged")
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(x, values, LINES[number % 4], color=(BLUE, VERMILION)[number % 2], linewidth=1.6, label=name)
    axes.set(xlabel="value", ylabel="value after rounding")
    axes.legend()
    figure.tight_layout()
    return figure
