"""The book's figures and comparison tables, one function each. The only module that imports matplotlib.

Every figure is a light, opaque card, so that it reads on a dark page too; colours are Okabe and Ito's,
which colour-blind readers can tell apart, and never stand alone: markers or line styles go with them.
Functions return a matplotlib Figure, which a notebook shows at the end of the cell: `_ = architecture()`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seo_core.analysis import papers
from seo_core.analysis.verdicts import NOT_RUN
from seo_core.figures.style import BLACK, BLUE, CARD, COLOURS, LINES, MARKERS, ORANGE, SOFT, VERMILION, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


# ---------------------------------------------------------------------------------------------
# Figure 2 and the curves of a training run


def _curve(frame: pd.DataFrame, name: str):
    """(steps, mean, lowest, highest) over seeds of one curve in long form, without missing points."""
    rows = frame[(frame["name"] == name) & frame["value"].notna()]
    by_step = rows.groupby("step")["value"]
    return by_step.mean().index.to_numpy(float), by_step.mean().to_numpy(), by_step.min().to_numpy(), \
        by_step.max().to_numpy()


def _levels(axes, configuration: str) -> None:
    """The papers' values as horizontal lines: Fig. 2's levels where it has them, else the table's."""
    if configuration not in papers.PAPER_TABLE:
        return
    curve = papers.FIGURE_2.get(configuration)
    lines = [("papers, table", papers.PAPER_TABLE[configuration].accuracy, ":", SOFT)]
    if curve:
        lines += [("papers' Fig. 2, train", curve.train, "--", BLACK),
                  ("papers' Fig. 2, validation", curve.validation, "-", BLACK)]
    for label, value, line, colour in lines:
        axes.axhline(value, color=colour, linestyle=line, linewidth=1.1, label=label)
    if curve and curve.start is not None:
        axes.plot([0], [curve.start], color=BLACK, marker="x", linestyle="none",
                  label="papers' Fig. 2, start")


@_styled
def accuracy_curves(curves: dict[str, pd.DataFrame], configurations: tuple[str, ...] | None = None) -> Figure:
    """Figure 2: accuracy over training, ours beside the levels the papers converge to.

    curves: label of a set of records ("reference", "this run") → their `results.load_series`; a panel
    per configuration (default: all nine), with "no curve" where no set has one. Lines are means
    over seeds, bands run from the lowest to the highest seed.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    names = configurations or tuple(papers.PAPER_TABLE)
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure, grid = plt.subplots(rows, columns, figsize=(3 * columns, 2.4 * rows + 0.9), sharex=True,
                                sharey=True, squeeze=False)
    for axes in grid.flat[len(names):]:
        axes.axis("off")
    for axes, name in zip(grid.flat, names, strict=False):
        _levels(axes, name)
        if not _draw_runs(axes, curves, name):
            axes.text(0.5, 0.3, "no curve", transform=axes.transAxes, ha="center", va="center", fontsize=11,
                      color=VERMILION, style="italic")
        axes.set_title(papers.PAPER_TABLE[name].label if name in papers.PAPER_TABLE else name, fontsize=10)
    low = min([60.0, *(100 * f.loc[f["name"].str.endswith("accuracy"), "value"].min()
                       for f in curves.values() if len(f))])
    grid[0, 0].set(ylim=(max(0, 5 * math.floor(low / 5) - 2), 100))
    grid[0, 0].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy, %")
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(),
                                                                            strict=True)}
    figure.tight_layout(rect=(0, 0.9 / figure.get_figheight(), 1, 1))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=min(3, len(handles)))
    return figure


def _draw_runs(axes, curves: dict[str, pd.DataFrame], configuration: str) -> bool:
    """Training and development curves of one configuration, per set of records; whether there were any."""
    drawn = False
    for number, (label, frame) in enumerate(curves.items()):
        mine = frame[frame["configuration"] == configuration]
        for name, words, colour in (("train_accuracy", "train", ORANGE),
                                    ("development_accuracy", "development", BLUE)):
            steps, mean, low, high = _curve(mine, name)
            if not len(steps):
                continue
            drawn = True
            axes.plot(steps, 100 * mean, color=colour, linestyle=LINES[number % 4], marker=MARKERS[number],
                      markersize=5, label=f"{label}, {words}",
                      markerfacecolor=colour if number == 0 else CARD)
            axes.fill_between(steps, 100 * low, 100 * high, color=colour, alpha=0.18, linewidth=0)
    return drawn


@_styled
def training_curves(series: dict[str, dict[str, list]] | dict[str, list]) -> Figure:
    """Accuracy and loss over epochs. series: one run's curves, or label → curves for several.

    Curves that are missing are left out; points that are None leave gaps.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    runs = series if series and all(isinstance(v, dict) for v in series.values()) else {"": series}
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    kinds = (("train_{}", "train", "--", "s"), ("development_{}", "development", "-", "o"))
    for axes, what in zip(panels, ("accuracy", "loss"), strict=True):
        for number, (label, curves) in enumerate(runs.items()):
            for key, words, line, marker in kinds:
                values = np.array(curves.get(key.format(what), []), dtype=float)
                if not len(values):
                    continue
                steps = curves.get("epoch", [])
                steps = steps if len(steps) == len(values) else range(1, len(values) + 1)
                colour = COLOURS[number % 7] if len(runs) > 1 else (ORANGE if words == "train" else BLUE)
                axes.plot(steps, values * (100 if what == "accuracy" else 1), color=colour, linestyle=line,
                          marker=marker, markersize=5, label=f"{label} {words}".strip())
        axes.set(xlabel="epoch", ylabel="accuracy, %" if what == "accuracy" else "loss, nats")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if axes.lines:
            axes.legend()
        else:
            axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=SOFT)
    figure.tight_layout()
    return figure


@_styled
def reference_curves(records: list[dict]) -> Figure:
    """Accuracy and loss of `results.load_records`, mean over seeds with the range between them;
    "not run" if there are none."""
    import matplotlib.pyplot as plt
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    rows = [(step, name, value) for record in records for name, values in record["series"].items()
            for step, value in zip(record["series"].get("epoch") or range(1, len(values) + 1), values,
                                   strict=False)]
    curves = pd.DataFrame(rows, columns=["step", "name", "value"]).astype({"value": float})
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6))
    for axes, what in zip(panels, ("accuracy", "loss"), strict=True):
        scale = 100 if what == "accuracy" else 1
        for words, colour, line, marker in (("train", ORANGE, "--", "s"), ("development", BLUE, "-", "o")):
            steps, mean, low, high = _curve(curves, f"{words}_{what}")
            if len(steps):
                axes.plot(steps, scale * mean, color=colour, linestyle=line, marker=marker, markersize=5,
                          label=words)
                axes.fill_between(steps, scale * low, scale * high, color=colour, alpha=0.18, linewidth=0)
        axes.set(xlabel="epoch", ylabel="accuracy, %" if what == "accuracy" else "loss, nats")
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if axes.lines:
            axes.legend()
        else:
            axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=VERMILION,
                      style="italic")
    figure.tight_layout()
    return figure
