"""Curves: of training, over labels, over rounds, and by layer; one way to draw all of them (`curve`)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from seo_core.analysis import papers
from seo_core.analysis.efficiency import with_start
from seo_core.figures import style


def curve(axes, x, y, **options) -> None:
    """y over x: the mean at each x, and the range of its values as a band; a lone x has it as an upright line.
    A y that is missing leaves a gap, which seaborn's lineplot would close."""
    by_x = pd.Series(np.asarray(y, dtype=float)).groupby(np.asarray(x, dtype=float))
    mean, low, high = by_x.mean(), by_x.min(), by_x.max()
    line, = axes.plot(mean.index, mean, **options)
    if (high > low).any():
        if len(mean) > 1:
            axes.fill_between(mean.index, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        else:
            axes.vlines(mean.index, low, high, color=line.get_color())


def curves_by_name(axes, curves: Mapping[str, tuple[Sequence, Sequence]], **labels) -> None:
    """A curve for each name → (x, y), each with its style.look; "not run" without any. labels: of the axes."""
    for number, (name, (x, y)) in enumerate(curves.items()):
        curve(axes, x, y, label=name, **style.look(number))
    if not curves:
        style.not_run(axes)
    axes.set(**labels)


def one_panel(curves: Mapping[str, tuple[Sequence, Sequence]], columns: int = 3, *, height: float = 3.8, **labels):
    """A figure of `curves_by_name`, their legend above in so many columns; and its axes."""
    figure, axes = plt.subplots(figsize=(8, height))
    curves_by_name(axes, curves, **labels)
    if curves:
        style.legend_above(axes, columns)
    return figure, axes


KINDS = {"train": {"color": style.ORANGE, "linestyle": "--", "marker": "s"},
         "development": {"color": style.BLUE, "linestyle": "-", "marker": "o"}}


def _levels(axes, configuration: str) -> None:
    """The papers' values as horizontal lines: Fig. 2's levels where it has them, else the table's."""
    row, ends = papers.PAPER_TABLE.get(configuration), papers.FIGURE_2.get(configuration)
    if ends:
        lines = [("papers, train", ends.train, "--", style.BLACK),
                 ("papers, validation", ends.validation, "-", style.BLACK)]
    else:
        lines = [("papers, table", row.accuracy, ":", style.SOFT)] if row else []
    for label, value, line, colour in lines:
        axes.axhline(value, color=colour, linestyle=line, linewidth=1.1, label=label)
    if ends and ends.start is not None:
        axes.plot([0], [ends.start], color=style.BLACK, marker="x", linestyle="none", label="papers, start")


@style.card
def accuracy_curves(curves: dict[str, pd.DataFrame], configurations: Sequence[str] | None = None) -> Figure:
    """Figure 2: accuracy over training, ours beside the levels the papers converge to.
    curves: label of a set of records ("reference", "this run") → their `results.load_series`; a panel per configuration
    that has a curve there (default: among the papers' nine); "not run" without any. Lines are means over seeds, bands
    run from the lowest to the highest seed."""
    drawn = {name for series in curves.values() for name in series.dropna(subset="value")["configuration"]}
    names = [name for name in (papers.PAPER_TABLE if configurations is None else configurations) if name in drawn]
    if not names:
        return style.nothing_run()
    figure, grid = style.panels_of(names, 2, style.PHONE / 2, 2.4, 0.9)
    for axes, name in zip(grid.flat, names, strict=False):
        _levels(axes, name)
        for number, (label, series) in enumerate(curves.items()):
            known = series[series["configuration"] == name].dropna(subset="value")
            for kind, shown_as in KINDS.items():
                points = known[known["name"] == f"{kind}_accuracy"]
                if len(points):
                    curve(axes, points["step"], 100 * points["value"], label=f"{label}, {kind}",
                          color=shown_as["color"], linestyle=style.LINES[number % 4], marker=style.MARKERS[number],
                          markerfacecolor=style.CARD if number else shown_as["color"])
        axes.set_title(papers.PAPER_TABLE[name].label_here if name in papers.PAPER_TABLE else name, fontsize=10)
        axes.label_outer()
    plt.setp(grid[-1], xlabel="epoch")
    plt.setp(grid[:, 0], ylabel="accuracy, %")
    lowest = (100 * f.loc[f["name"].str.endswith("accuracy") & f["configuration"].isin(names), "value"].min()
              for f in curves.values() if len(f))
    grid[0, 0].set(ylim=(max(0, 5 * (min([60.0, *lowest]) // 5) - 2), 100))
    style.whole_numbers(grid[0, 0])
    style.shared_legend(figure, 2)
    return figure


@style.card
def training_curves(runs: Mapping[str, Mapping] | Mapping[str, list] | Sequence[Mapping]) -> Figure:
    """Accuracy and loss over epochs: of one run's series, of several (label → series), or of records of one
    configuration (`results.load_records`: the mean over seeds, and the range between them).
    Curves and panels that are missing are left out; points that are None leave gaps; "not run" without any."""
    if isinstance(runs, Sequence):
        labelled = [("", record["series"]) for record in runs]
    else:
        labelled = list(runs.items()) if runs and all(isinstance(v, Mapping) for v in runs.values()) else [("", runs)]
    labels = list(dict.fromkeys(label for label, _ in labelled))
    known = [what for what in ("accuracy", "loss") if any(
        _points(series, f"{kind}_{what}") for _, series in labelled for kind in KINDS)]
    if not known:
        return style.nothing_run()
    figure, panels = plt.subplots(1, len(known), figsize=(4.5 * len(known), 3.6), squeeze=False)
    for axes, what in zip(panels[0], known, strict=True):
        scale = 100 if what == "accuracy" else 1
        for number, label in enumerate(labels):
            for kind, shown_as in KINDS.items():
                points = [point for name, series in labelled if name == label
                          for point in _points(series, f"{kind}_{what}")]
                if points:
                    epochs, values = np.array(points, dtype=float).T
                    curve(axes, epochs, scale * values, label=f"{label} {kind}".strip(), **shown_as
                          | ({"color": style.COLOURS[number % 7]} if len(labels) > 1 else {}))
        axes.set(xlabel="epoch", ylabel="accuracy, %" if what == "accuracy" else "loss, nats")
        style.whole_numbers(axes)
        axes.legend()
    return figure


def _points(series: Mapping, name: str) -> list[tuple]:
    """(epoch, value) of a curve of a record; the epochs are 1, 2, … where its series has not one for each value."""
    values, epochs = series.get(name) or [], series.get("epoch") or []
    return list(zip(epochs if len(epochs) == len(values) else range(1, len(values) + 1), values, strict=True))


@style.card
def development(series: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Development accuracy over epochs, mean over seeds and the range between them; "not run" without curves.
    series: `results.load_series`; names: configuration -> its label in the legend."""
    points = series[series["name"] == "development_accuracy"]
    curves = {label: (rows["step"], 100 * rows["value"]) for name, label in names.items()
              if len(rows := points[points["configuration"] == name])}
    figure, axes = one_panel(curves, xlabel="epoch", ylabel="development accuracy, %")
    style.whole_numbers(axes)
    return figure


@style.card_of_rows
def loss_by_pairs(curves: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """Development loss over the pairs seen, mean over seeds and the range between them; "not run" without
    curves. curves: of `efficiency.loss_curves`; names: configuration -> its label in the legend."""
    shown = {label: (rows["pairs"], rows["loss"]) for name, label in names.items()
             if len(rows := curves[curves["configuration"] == name])}
    return one_panel(shown, xlabel="pairs seen, repeats counted", ylabel="development loss, nats")[0]


@style.card_of_rows
def over_batches(points: pd.DataFrame) -> Figure:
    """A value over the batch size: a curve for each `name`, mean over seeds and the range between them; "not run"
    without rows. points: name, batch, value, rows (where it was measured), of `efficiency.by_batch`."""
    where = "".join(f", {rows}" for rows in points.get("rows", pd.Series(dtype=str)).unique())
    figure, axes = one_panel({name: (rows["batch"], rows["value"])
                              for name, rows in points.groupby("name", sort=False)},
                             xlabel="batch", ylabel=f"accuracy{where}, %")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure


@style.card_of_rows
def scalability(processes: pd.DataFrame, data: pd.DataFrame, sizes: pd.DataFrame) -> Figure:
    """ms a pair over processes (measured, and modelled on), pairs and weights; "not run" without rows. Each frame: x,
    ms, low, high; processes also `measured` (bool) and perfect: ms if exchanging gradients took no time."""
    figure, panels = plt.subplots(1, 3, figsize=(9.6, 3.6))
    known = processes[processes["measured"]]
    panels[0].plot(processes["x"], processes["perfect"], color=style.SOFT, linestyle=":", label="nothing exchanged")
    panels[0].plot(processes["x"], processes["ms"], color=style.VERMILION, linestyle="--", label="model")
    for axes, rows, label in zip(panels, (known, data, sizes), ("processes", "pairs", "weights, millions"),
                                 strict=True):
        spans = np.maximum([rows["ms"] - rows["low"], rows["high"] - rows["ms"]], 0)  # of one round: 0 but for rounding
        axes.errorbar(rows["x"], rows["ms"], spans.astype(float), color=style.BLUE, marker="o", label="measured",
                      linestyle="none" if axes is panels[0] else "-")
        axes.set(xlabel=label, xscale="log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xticks(rows["x"].iloc[[0, len(rows) // 2, -1]].unique())
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].set(ylabel="ms a pair", ylim=(0, None), xticks=processes["x"])
    panels[1].set_ylim(0, 1.5 * data["high"].max())
    panels[2].set_yscale("log")
    panels[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[2].yaxis.set_major_formatter("{x:g}")
    panels[2].yaxis.set_minor_locator(NullLocator())
    style.shared_legend(figure)
    return figure


@style.card
def label_curves(curves: pd.DataFrame, target: str = "random", metric: str = "accuracy", *,
                 shared: bool = True, strong: Sequence[str] = ()) -> Figure:
    """Accuracy over labels (logarithmic): mean over seeds, and the range between them. "not run" without rows.
    curves: `efficiency.label_curves`. The control is black and dashed. shared: below its smallest budget an arm's curve
    begins at the control's last point, of the arm's seeds, a run that both share; else an arm that was run at one
    number of labels is a point. The number of seeds stands in the legend. strong: the arms that matter beside the
    control; the others are grey and without a name; default: all matter."""
    figure, axes = plt.subplots(figsize=(8, 4.4))
    names = sorted(curves["configuration"].unique(), key=lambda n: (n != target, n))
    for number, name in enumerate(names):
        runs = points = curves[curves["configuration"] == name]
        if shared:
            points = with_start(curves, name, target)
            before = points.loc[points["labels"] < runs["labels"].min(), "labels"]
            points = points[points["labels"] >= (before.max() if len(before) else 0)]
        shown_as = {"color": style.BLACK, "linestyle": "--", "linewidth": 2} if name == target else {
            "color": style.COLOURS[(number - 1) % 6], "linestyle": style.LINES[(number // 6) % 4]}
        label = f"{name} ({style.seeds_text(runs.groupby('labels').size())})"
        if strong and name not in (target, *strong):
            shown_as, label = {"color": style.SOFT, "linewidth": 0.9, "alpha": 0.6}, "_others"
        curve(axes, points["labels"], 100 * points["accuracy"], marker=style.MARKERS[number % 7], **shown_as,
              zorder=2 + (name == target), label=label)
    axes.set(xlabel="labels", ylabel=f"{metric}, %")
    if names:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(curves["labels"].unique()))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.legend(ncols=2)
    else:
        style.not_run(axes)
    return figure


@style.card
def arm_weights(log: pd.DataFrame) -> Figure:
    """Arm weights by round: a panel for each operator, in it a line for each strength, named at its end; the range over
    the seeds as a band where there are several. log: `AdaptiveResult.log`, or `tables.weights_by_round`: columns round,
    operator, strength, weight. A row of panels for each number of labels if it has a column "labels". The dotted line
    is an even share."""
    rows = list(log.groupby("labels")) if "labels" in log else [(None, log)] * bool(len(log))
    if not rows:
        return style.nothing_run()
    operators, last = sorted(log["operator"].unique()), log["round"].max()
    figure, grid = plt.subplots(len(rows), len(operators), figsize=(1 + 1.75 * len(operators), 0.7 + 2.1 * len(rows)),
                                sharex=True, sharey=True, squeeze=False)
    for (labels, shown), panels in zip(rows, grid, strict=True):
        even = 100 / shown.groupby(["operator", "strength"]).ngroups
        for operator, axes in zip(operators, panels, strict=True):
            arms = list(shown[shown["operator"] == operator].groupby("strength"))
            ends = style.apart([100 * arm.groupby("round")["weight"].mean().iloc[-1] for _, arm in arms],
                               9 * log["weight"].max())  # percent, a line of text
            for number, ((strength, arm), end) in enumerate(zip(arms, ends, strict=True)):
                curve(axes, arm["round"], 100 * arm["weight"], **style.look(number))
                if len(arms) > 1:
                    axes.annotate(f"{strength:g}", (last, end), xytext=(8, 0), textcoords="offset points", va="center",
                                  fontsize=10, color=style.COLOURS[number % 7], annotation_clip=False)
            axes.axhline(even, color=style.SOFT, linestyle=":", linewidth=1)
            style.whole_numbers(axes)
        panels[0].set_ylabel("weight, %" + ("" if labels is None else f"\n{labels:,.0f} labels".replace(",", "\u00a0")))
    for axes, operator in zip(grid[0], operators, strict=True):
        axes.set_title(operator.replace("_", " "))
    plt.setp(grid[-1], xlabel="round")
    grid[0, 0].set(ylim=(0, None), xlim=(log["round"].min() - 0.2, last + 0.9))
    return figure


@style.card
def share_and_accuracy(points: pd.DataFrame) -> Figure:
    """Accuracy over the share of weights removed, a line for each family of `tables.removed_and_accuracy`; mean over
    seeds, and the range between them. The axis of accuracies is that of `figures.end_axis`."""
    points, below = points.assign(removed=points["removed"].astype(float).round(0)), ""
    families = {family: (rows["removed"], rows["accuracy"])
                for family, rows in points[points["family"] != "base"].groupby("family")}
    figure, axes = one_panel(families, 2, height=4.2, ylabel="accuracy, %")
    base = points.loc[points["family"] == "base", "accuracy"]
    if len(base):
        means = points.groupby(["family", "removed"])["accuracy"].mean()
        below = style.end_axis(axes, means.set_axis([f"{family} ({removed:.0f}%)" for family, removed in means.index]),
                         base.mean())
        axes.axhline(base.mean(), color=style.BLACK, linewidth=1.1)
        axes.axhline(base.mean() - 1, color=style.BLACK, linewidth=0.9, linestyle=":")
        axes.text(0.99, base.mean(), "baseline", ha="right", va="bottom", fontsize=9,
                  transform=axes.get_yaxis_transform())
    axes.set_xlabel(f"weights removed, %{below}")
    return figure


@style.card
def thresholds(curves: dict[str, dict[str, list]]) -> Figure:
    """What a fixed threshold keeps of the pool, and how much of that is right; "not run" without curves.
    curves: name of a teacher -> series of `pseudo.quality` (threshold, kept_at_threshold, accuracy_at_threshold)."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), sharex=True)
    for axes, key, words in zip(panels, ("kept", "accuracy"), ("kept, % of the pool", "right, % of what is kept"),
                                strict=True):
        shares = {name: (series["threshold"], 100 * np.array(series[f"{key}_at_threshold"], dtype=float))
                  for name, series in curves.items()}
        curves_by_name(axes, shares, xlabel="threshold on the teacher's probability", ylabel=words)
        if curves:
            axes.set_ylim(0, 102)
            axes.legend()
    return figure


@style.card
def sqd_trace(traces: dict[str, dict[str, list[float]]]) -> Figure:
    """α, the gap and both losses of SQD over a run; name -> trace (`SQDResult.trace`). "not run" without traces."""
    titles = {"alpha": "α", "gap": "gap to the teacher, nats", "loss_q": "L_Q", "loss_kd": "L_KD"}
    figure, grid = plt.subplots(1, len(titles), figsize=(9, 2.8))
    for axes, (key, title) in zip(grid, titles.items(), strict=True):
        curves_by_name(axes, {name: (trace["epoch"], trace[key]) for name, trace in traces.items()}, xlabel="epoch",
                       title=title)
        plt.setp(axes.lines, marker="")
    if len(traces) > 1:
        grid[0].legend()
    return figure


@style.card
def movement(moved: dict[str, dict[str, float]]) -> Figure:
    """How far each layer moved from where it started. moved: name of a run -> `seo_core.transfer.movement`."""
    curves = {name: (range(len(layers)), list(layers.values())) for name, layers in moved.items()}
    figure, axes = one_panel(curves, len(moved), height=3.6, ylabel="distance from the start", ylim=(0, None))
    layers = list(next(iter(moved.values()), {}))
    axes.set(xticks=range(len(layers)), xticklabels=layers)
    return figure


@style.card
def over_layers(curves: Mapping[str, Sequence[float]], label: str) -> Figure:
    """A value before the first layer (0) and after each. curves: name -> (layers + 1,) values; label: of y."""
    figure, axes = one_panel({name: (range(len(values)), values) for name, values in curves.items()}, 2, height=3.2,
                             xlabel="layer", ylabel=label, ylim=(0, None))
    style.whole_numbers(axes)
    return figure


@style.card
def rounding(x: np.ndarray, curves: dict[str, np.ndarray]) -> Figure:
    """Values x (n,) and what a quantizer makes of them; name -> (n,)."""
    figure, axes = plt.subplots(figsize=(7, 3))
    axes.plot(x, x, color=style.BLACK, linewidth=0.9, linestyle=":", label="unchanged")
    for number, (name, values) in enumerate(curves.items()):
        axes.plot(x, values, label=name, **style.look(number) | {"marker": ""})
    axes.set(xlabel="value", ylabel="value after rounding")
    axes.legend()
    return figure


@style.card
def lengths(sets: dict[str, np.ndarray], limit: int) -> Figure:
    """Share of texts with at most so many tokens. sets: name -> (n,) lengths; limit: where texts are cut."""
    figure, axes = plt.subplots(figsize=(8, 3.4))
    for number, (name, values) in enumerate(sets.items()):
        tokens, counts = np.unique(values, return_counts=True)
        axes.plot(tokens, 100 * np.cumsum(counts) / len(values), linewidth=2, label=name.replace("_", " "),
                  **style.look(number) | {"marker": ""})
    if limit <= 1.5 * max(int(values.max()) for values in sets.values()):
        axes.axvline(limit, color=style.SOFT, linewidth=1)
        axes.annotate(f"cut at {limit}", (limit, 60), xytext=(-5, 0), textcoords="offset points", ha="right",
                      color=style.SOFT)
    axes.set(xlabel="tokens, both texts together", ylabel="pairs of at most this length, %", ylim=(0, 102))
    style.legend_above(axes, len(sets))
    return figure
