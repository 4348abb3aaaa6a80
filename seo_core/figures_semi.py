"""Figures of the chapters on transfer learning and semi-supervised learning. Same card and colours as `figures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seo_core.figures import BLACK, COLOURS, LINES, MARKERS, NOT_RUN, SOFT, VERMILION, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def _empty(axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic")


@_styled
def movement(moved: dict[str, dict[str, float]]) -> Figure:
    """How far each layer moved from where it started. moved: name of a run -> `seo_core.transfer.movement`."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.6))
    for number, (name, layers) in enumerate(moved.items()):
        axes.plot(range(len(layers)), list(layers.values()), LINES[number % 4], marker=MARKERS[number % 7],
                  color=COLOURS[number % 7], linewidth=1.8, markersize=6, label=name)
    names = list(next(iter(moved.values()))) if moved else []
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="distance from the start")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=max(len(moved), 1))
    figure.tight_layout()
    return figure


@_styled
def label_points(curves: pd.DataFrame, target: str = "base") -> Figure:
    """Accuracy over labels (logarithmic), mean over seeds and the range between them; "not run" without rows.

    curves: `efficiency.label_curves`. Unlike `figures_selection.label_curves` no arm borrows the control's first run:
    an arm run at one number of labels is a point. The control `target` is black and dashed.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, axes = plt.subplots(figsize=(8, 4.2))
    names = sorted(curves["configuration"].unique(), key=lambda n: (n != target, n))
    for number, name in enumerate(names):
        found = curves[curves["configuration"] == name].groupby("labels")["accuracy"]
        mean, low, high = (100 * getattr(found, what)() for what in ("mean", "min", "max"))
        seeds = sorted({int(n) for n in found.size()})
        shown = dict(color=BLACK, linestyle="--") if name == target else dict(color=COLOURS[(number - 1) % 6])
        axes.errorbar(mean.index, mean, yerr=[mean - low, high - mean], marker=MARKERS[number % 7], capsize=3,
                      linewidth=1.8, label=f"{name} ({' to '.join(map(str, {seeds[0]: 0, seeds[-1]: 0}))} "
                                           f"seed{'s' if seeds[-1] > 1 else ''})", **shown)
    if names:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted(curves["labels"].unique())))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    else:
        _empty(axes)
    axes.set(xlabel="labels of the target", ylabel="accuracy, %")
    figure.tight_layout()
    return figure


@_styled
def development(series: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Development accuracy over epochs, mean over seeds and the range between them; "not run" without curves.

    series: `results.load_series`; names: configuration -> its label in the legend.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    figure, axes = plt.subplots(figsize=(8, 3.8))
    curves = series[series["name"] == "development_accuracy"] if len(series) else series
    for number, (name, label) in enumerate(names.items()):
        mine = curves[curves["configuration"] == name] if len(curves) else curves
        if not len(mine):
            continue
        steps = mine.groupby("step")["value"]
        x, mean = steps.mean().index.to_numpy(float), 100 * steps.mean().to_numpy()
        axes.plot(x, mean, LINES[number % 4], marker=MARKERS[number % 7], color=COLOURS[number % 7], label=label)
        axes.fill_between(x, 100 * steps.min().to_numpy(), 100 * steps.max().to_numpy(), alpha=0.15, linewidth=0,
                          color=COLOURS[number % 7])
    axes.set(xlabel="epoch", ylabel="development accuracy, %")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if axes.lines:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    else:
        _empty(axes)
    figure.tight_layout()
    return figure


@_styled
def thresholds(curves: dict[str, dict[str, list]]) -> Figure:
    """What a fixed threshold keeps of the pool, and how much of that is right; "not run" without curves.

    curves: name of a teacher -> series of `pseudo.quality` (threshold, kept_at_threshold, accuracy_at_threshold).
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for axes, key, words in zip(panels, ("kept_at_threshold", "accuracy_at_threshold"),
                                ("kept, % of the pool", "right, % of what is kept"), strict=True):
        for number, (name, series) in enumerate(curves.items()):
            values = 100 * np.array(series[key], dtype=float)
            axes.plot(series["threshold"], values, LINES[number % 4], marker=MARKERS[number % 7],
                      color=COLOURS[number % 7], label=name)
        axes.set(xlabel="threshold on the teacher's probability", ylabel=words)
        if curves:
            axes.set_ylim(0, 102)
            axes.legend()
        else:
            _empty(axes)
    figure.tight_layout()
    return figure


@_styled
def by_class(frame: pd.DataFrame) -> Figure:
    """Share kept and accuracy of the pseudo-labels by the teacher's class, a panel each; "not run" if empty.

    frame: columns arm, class, kept, accuracy (fractions), a row per arm, seed and class: points are the seeds, bars
    their mean.
    """
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    arms, classes = list(dict.fromkeys(frame["arm"])), list(dict.fromkeys(frame["class"]))
    for axes, key, words in zip(panels, ("kept", "accuracy"), ("kept, %", "right, % of what is kept"), strict=True):
        for number, arm in enumerate(arms):
            for place, name in enumerate(classes):
                mine = frame[(frame["arm"] == arm) & (frame["class"] == name)]
                values = 100 * mine[key].dropna().to_numpy(float)
                x = place + (number - (len(arms) - 1) / 2) * 0.8 / len(arms)
                if len(values):
                    axes.bar(x, values.mean(), 0.72 / len(arms), color=COLOURS[number % 7], alpha=0.55,
                             hatch=("", "//", "..", "xx")[number % 4], label=arm if place == 0 else None)
                    axes.plot([x] * len(values), values, ".", color=BLACK, markersize=5)
        axes.set(xticks=range(len(classes)), xticklabels=classes, ylabel=words, ylim=(0, 102))
        axes.grid(False, axis="x")
        if not arms:
            _empty(axes)
    if arms:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper left", ncols=len(arms))
    if classes:
        panels[1].axhline(100 / len(classes), color=SOFT, linewidth=1, linestyle=":")
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    return figure
