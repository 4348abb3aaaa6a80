"""The book's figures and comparison tables, one function each. The only module that imports matplotlib.

Every figure is a light, opaque card, so that it reads on a dark page too; colours are Okabe and Ito's,
which colour-blind readers can tell apart, and never stand alone: markers or line styles go with them.
Functions return a matplotlib Figure, which a notebook shows at the end of the cell: `_ = architecture()`.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seo_core import claims, results
from seo_core.claims import NOT_RUN

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Okabe & Ito (2008), "Color Universal Design"
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":")
DEEPEST = 10  # points below the baseline where `end_axis` ends the axis: what lies lower would flatten all the rest
CARD, GRID, SOFT = "#FCFCFA", "#D8D8D4", "#5A5A56"


def style() -> dict:
    """The rcParams of every figure: opaque light card, dark text, nothing below 9 points."""
    return {
        "figure.facecolor": CARD, "axes.facecolor": CARD, "savefig.facecolor": CARD, "figure.dpi": 120,
        "text.color": BLACK, "axes.labelcolor": BLACK, "xtick.color": BLACK, "ytick.color": BLACK,
        "axes.edgecolor": SOFT, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.7,
        "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
        "font.family": ["DejaVu Sans"], "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10,
        "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    }


def _styled(function):
    """Draws inside `style()`.

    Not with `plt.rc_context`: the first figure of a notebook loads its backend, which turns interactive
    mode on; the context would turn it off again, and no later figure would be shown.
    """

    @functools.wraps(function)
    def drawn(*arguments, **keywords):
        from matplotlib import rcParams

        before = {key: rcParams[key] for key in style()}
        rcParams.update(style())
        try:
            return function(*arguments, **keywords)
        finally:
            rcParams.update(before)

    return drawn


# ---------------------------------------------------------------------------------------------
# Figure 1: the system, drawn from the package


class Component(NamedTuple):
    """A part of the papers' Figure 1: what it is, and the code that stands for it."""

    key: str
    name: str
    words: str  # the papers' role for it, in a few words
    side: str  # data | compression | control | core
    module: str
    symbol: str
    place: tuple[float, float]  # centre in the drawing, on a 100 × 72 sheet


COMPONENTS = (
    Component("controller", "Synergy Controller", "min L_task + λ₁ R_data + λ₂ R_model", "control",
              "controller", "SynergyController", (50, 63)),
    Component("ada", "Adaptive Data\nAugmentation (ADA)", "D_aug = ADA(D, M(θ), P)", "data",
              "augmentation", "AdaptiveDataAugmentation", (15.5, 43)),
    Component("tal", "Transfer-Active\nLearning (TAL)", "L_TL + λ L_AL", "data",
              "selection", "TransferActiveLearning", (15.5, 26)),
    Component("aip", "Adaptive Iterative\nPruning (AIP)", "θ_pruned = AIP(θ, P, T)", "compression",
              "pruning", "AdaptiveIterativePruning", (84.5, 43)),
    Component("sqd", "Quantization and\nDistillation (SQD)", "L_Q + α L_KD", "compression",
              "distillation", "SynergisticQuantizationDistillation", (84.5, 26)),
    Component("data", "Data D", "pairs, labels, genres", "core", "data", "load_nli", (50, 46.5)),
    Component("model", "Language model θ", "BERT-style encoder", "core", "models", "load_backbone", (50, 34)),
    Component("training", "Training", "the one loop", "core", "training", "fit", (50, 21.5)),
    Component("evaluation", "Performance evaluation P", "accuracy, size, speed", "control",
              "evaluation", "evaluate", (50, 7)),
    Component("loop", "Feedback loop", "the assembled system", "control", "pipeline", "SEOLLM", (84.5, 7)),
)
EDGES = (  # (from, to, what flows, the arrow's corners)
    ("controller", "data module", "λ₁, budget", ((30, 62), (15.5, 62), (15.5, 55.4))),
    ("controller", "compression module", "λ₂, budget", ((70, 62), (84.5, 62), (84.5, 55.4))),
    ("ada", "data", "", ((29, 44), (36.2, 46.5))), ("tal", "data", "", ((29, 28), (36.2, 43.5))),
    ("data", "model", "", ((50, 41.5), (50, 39.3))), ("aip", "model", "", ((71, 41), (63.8, 36))),
    ("sqd", "model", "", ((71, 27), (63.8, 32.5))), ("model", "training", "", ((50, 29), (50, 26.8))),
    ("training", "evaluation", "", ((50, 16.5), (50, 12.8))),
    ("evaluation", "loop", "", ((68, 7), (70.7, 7))),
    ("loop", "controller", "feedback: P", ((98, 7), (104, 7), (104, 66), (70.3, 66))),
)
_SIDES = {"data": GREEN, "compression": PURPLE, "control": VERMILION, "core": BLUE}


@functools.cache
def _own_names(module: str) -> dict[str, str | tuple[str, str]] | None:
    """Top-level names of seo_core.<module>: first docstring line of what it defines, (module, name) of
    what it takes from another module of the package. None if there is no such module.

    The source is parsed, not imported: the drawing needs no torch.
    """
    spec = importlib.util.find_spec(f"seo_core.{module}")
    if spec is None or not spec.origin:
        return None
    found: dict[str, str | tuple[str, str]] = {}
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = (ast.get_docstring(node) or "").split("\n")[0]
        elif isinstance(node, ast.ImportFrom):
            source = f".{node.module or ''}" if node.level else (node.module or "")
            inner = f"{module}{source}" if node.level else source.removeprefix("seo_core.")
            if node.level or source.startswith("seo_core."):
                found.update({a.asname or a.name: (inner.rstrip("."), a.name) for a in node.names})
    return found


def _find(module: str, symbol: str) -> str | None:
    """First docstring line of a symbol of seo_core.<module>, followed through its imports; None if absent."""
    for _ in range(5):
        names = _own_names(module)
        if names is None or symbol not in names:
            return None
        if isinstance(names[symbol], str):
            return names[symbol]
        module, symbol = names[symbol]
    return None


def structure() -> pd.DataFrame:
    """The components of Figure 1 and the code behind them: component, side, module, symbol, state, summary.

    state: "in the package" if `seo_core.<module>` defines the symbol, else "not implemented yet".
    """
    import pandas as pd

    rows = []
    for part in COMPONENTS:
        summary = _find(part.module, part.symbol)
        rows.append((part.name.replace("\n", " "), part.side, f"seo_core.{part.module}", part.symbol,
                     "not implemented yet" if summary is None else "in the package", summary or ""))
    return pd.DataFrame(rows, columns=["component", "side", "module", "symbol", "state", "summary"])


def dependencies() -> pd.DataFrame:
    """Which module of the package imports which, read from their sources: module, imports."""
    import pandas as pd

    folder = Path(__file__).resolve().parent
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder).parts[0].removesuffix(".py")
        if module == "__init__":
            continue
        found.setdefault(module, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seo_core":
                inner = node.module.split(".")[1:2] or [alias.name for alias in node.names]
                found[module].update(name for name in inner if (folder / f"{name}.py").exists()
                                     or (folder / name).is_dir())
    rows = [(module, ", ".join(sorted(others - {module})) or "—") for module, others in sorted(found.items())]
    return pd.DataFrame(rows, columns=["module", "imports"])


def _arrow(axes, corners, label: str) -> None:
    """A line through the corners with a head at the last, and its label in the middle of it."""
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs[:-1], ys[:-1], color=SOFT, linewidth=1.3, zorder=1, solid_joinstyle="round")
    axes.annotate("", xy=corners[-1], xytext=corners[-2], zorder=1, arrowprops={
        "arrowstyle": "-|>", "color": SOFT, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0})
    if label:
        upright = len(corners) > 3  # beside the sheet's right edge
        x, y = (104, 36) if upright else ((xs[0] + xs[1]) / 2, ys[0] + 2)
        axes.text(x, y, label, fontsize=9, color=SOFT, ha="center", va="center", style="italic",
                  rotation=90 if upright else 0,
                  bbox={"facecolor": CARD, "edgecolor": "none", "pad": 1.5} if upright else None)


_SIZES = {"controller": (40, 13), "evaluation": (36, 11), "loop": (27, 11)}


def _box(axes, part: Component, there: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    wide, high = _SIZES.get(part.key, (27, 13.5) if part.side in ("data", "compression") else (27, 10))
    x, y = part.place
    axes.add_patch(FancyBboxPatch(
        (x - wide / 2, y - high / 2), wide, high, boxstyle="round,pad=0,rounding_size=1.4", zorder=2,
        facecolor="white", edgecolor=_SIDES[part.side], linewidth=2 if there else 1.5,
        linestyle="-" if there else (0, (4, 3))))
    lines = part.name.count("\n")
    axes.text(x, y + 2.2 + lines, part.name, fontsize=10, weight="bold", ha="center", va="center", zorder=3,
              linespacing=1.05)
    axes.text(x, y - 0.9 - 0.6 * lines, part.words, fontsize=9, ha="center", va="center", zorder=3,
              color=SOFT)
    axes.text(x, y - 3.5 - 0.8 * lines, f"{part.module}.py" if there else "not implemented yet", fontsize=9,
              ha="center", va="center", zorder=3, color=_SIDES[part.side] if there else VERMILION,
              family="monospace" if there else "sans-serif")


@_styled
def architecture() -> Figure:
    """Figure 1, drawn from `COMPONENTS`, `EDGES` and the modules the package has.

    A box stands for a component; it is solid, with its module, if the package defines the component, and
    dashed, "not implemented yet", if not.
    """
    import matplotlib.pyplot as plt

    state = dict(zip((c.key for c in COMPONENTS), structure()["state"] == "in the package", strict=True))
    figure, axes = plt.subplots(figsize=(9.2, 6.6))
    axes.set(xlim=(-1, 106), ylim=(-1, 72))
    axes.axis("off")
    for x, side, title in ((15.5, "data", "Data optimization"), (84.5, "compression", "Model compression")):
        axes.add_patch(plt.Rectangle((x - 15.5, 17), 31, 38, facecolor=_SIDES[side], alpha=0.09, zorder=0))
        axes.text(x, 52.4, title, fontsize=10.5, weight="bold", ha="center", va="center", color=BLACK)
    for _, _, label, corners in EDGES:
        _arrow(axes, corners, label)
    for part in COMPONENTS:
        _box(axes, part, state[part.key])
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    return figure


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
    if configuration not in claims.PAPER_TABLE:
        return
    curve = claims.FIGURE_2.get(configuration)
    lines = [("papers, table", claims.PAPER_TABLE[configuration].accuracy, ":", SOFT)]
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

    names = configurations or tuple(claims.PAPER_TABLE)
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
        axes.set_title(claims.PAPER_TABLE[name].label if name in claims.PAPER_TABLE else name, fontsize=10)
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


@_styled
def ratio_bars(table: pd.DataFrame, label: str, *, log: bool = False) -> Figure:
    """Horizontal bars of a benchmark's `ratio` with whiskers from `ratio_low` to `ratio_high`; index: names.

    A line stands at 1, the contestant that the others are compared with. log: a logarithmic axis, with bars from that
    line, where ratios lie orders of magnitude apart.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * max(len(table), 2)))
    ratio = table["ratio"].to_numpy(float)
    reach = [ratio - table.get("ratio_low", table["ratio"]), table.get("ratio_high", table["ratio"]) - ratio]
    places = np.arange(len(table))[::-1]
    axes.barh(places, ratio - log, left=1 if log else 0, color=SKY, height=0.62,
              xerr=np.maximum(np.nan_to_num(reach), 0), error_kw={"capsize": 3, "ecolor": BLACK})
    axes.axvline(1, color=BLACK, linewidth=1.1, linestyle="--")
    ends = ratio + np.maximum(np.nan_to_num(reach[1]), 0)
    for place, value, end in zip(places, ratio, ends, strict=True):
        axes.annotate(f"{value:.3g}" if log else f"{value:.2f}", (end, place), xytext=(5, 0),
                      textcoords="offset points", va="center", fontsize=9)
    axes.set(yticks=places, yticklabels=table.index, xlabel=label, xlim=(0, 1.12 * max(1, ends.max())))
    if log:
        axes.set(xscale="log", xlim=(0.5 * min(1, ratio.min()), 4 * max(1, ends.max())))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


@_styled
def gain_intervals(table: pd.DataFrame, label: str) -> Figure:
    """Points with intervals around a line at zero, one for each row of `efficiency.gains`; "not run" without rows.

    A hollow point has one seed: its interval, where there is one, holds the spread of examples only.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.36 * max(len(table), 2)))
    places = np.arange(len(table))[::-1]
    if len(table):
        value = table["difference"].to_numpy(float)
        reach = np.nan_to_num(np.abs([value - table["low"], table["high"] - value]))
        for one, fill in ((True, CARD), (False, BLUE)):
            mine = (table["seeds"] == 1).to_numpy() == one
            axes.errorbar(value[mine], places[mine], xerr=reach[:, mine], fmt="o", color=BLUE, markerfacecolor=fill,
                          ecolor=BLACK, capsize=3, linewidth=1.2)
    else:
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=VERMILION, style="italic")
    names = [f"{row.configuration}, {row.labels} labels" for row in table.itertuples()]
    axes.axvline(0, color=BLACK, linewidth=1.1, linestyle="--")
    axes.set(yticks=places, yticklabels=names, xlabel=label)
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


# ---------------------------------------------------------------------------------------------
# What a classifier gets wrong


@_styled
def confusion(matrix, labels) -> Figure:
    """Confusion matrix (k, k), rows the true class: counts, coloured by the share of their row."""
    import matplotlib.pyplot as plt

    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    k = len(labels)
    figure, axes = plt.subplots(figsize=(1.6 + 1.15 * k, 1.1 + 0.95 * k))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i in range(k):
        for j in range(k):
            axes.text(j, i, f"{counts[i, j]:,}\n{share[i, j]:.0%}".replace(",", " "), ha="center",
                      va="center", color="white" if share[i, j] > 0.55 else BLACK, fontsize=10)
    axes.set(xticks=range(k), yticks=range(k), xticklabels=labels, yticklabels=labels, xlabel="predicted",
             ylabel="true")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.tight_layout()
    return figure


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share of n examples (Wilson 1927): stays inside [0, 1] for small n."""
    if n == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


@_styled
def by_genre(accuracies: dict[str, dict[str, tuple[float, int]]] | dict[str, tuple[float, int]]) -> Figure:
    """Accuracy by genre with 95% intervals. accuracies: genre → (accuracy, examples), or label of a set
    ("matched", "mismatched") → such a table."""
    import matplotlib.pyplot as plt

    sets = accuracies if all(isinstance(v, dict) for v in accuracies.values()) else {"": accuracies}
    genres = sorted({g for table in sets.values() for g in table},
                    key=lambda g: np.mean([t[g][0] for t in sets.values() if g in t]))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.36 * max(len(genres), 2)))
    for number, (label, table) in enumerate(sets.items()):
        for genre, (accuracy, n) in table.items():
            low, high = wilson(accuracy, n)
            axes.errorbar(100 * accuracy, genres.index(genre), capsize=3, color=COLOURS[number % 7],
                          xerr=[[100 * max(accuracy - low, 0)], [100 * max(high - accuracy, 0)]],
                          marker=MARKERS[number % 7], linestyle="none",
                          label=label if genre == next(iter(table)) else None)
            axes.annotate(f"{n}", (100 * high, genres.index(genre)), xytext=(5, 0), va="center", fontsize=9,
                          textcoords="offset points", color=SOFT)
    axes.set(yticks=range(len(genres)), yticklabels=genres,
             xlabel="accuracy, % (bars: 95% interval; beside them: number of examples)")
    axes.set_ylim(-0.6, len(genres) - 0.4)
    if any(sets):
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(sets))
    figure.tight_layout()
    return figure


# ---------------------------------------------------------------------------------------------
# Tables


class Table:
    """A frame as a notebook shows it: whole texts, no row numbers, scrolling sideways on a narrow page."""

    def __init__(self, frame: pd.DataFrame, index: bool = False):
        self.frame, self.index = frame, index

    def _repr_html_(self) -> str:
        import pandas as pd

        with pd.option_context("display.max_colwidth", None):
            html = self.frame.to_html(index=self.index, border=0, justify="left", na_rep="—",
                                      max_rows=None, classes="dataframe")
        for cell in ("<td>", "<th>"):  # pages align cells to the right, which texts read badly in
            html = html.replace(cell, f'{cell[:-1]} style="text-align: left">')
        return f'<div style="overflow-x: auto">\n{html}\n</div>'

    def __repr__(self) -> str:
        if self.frame.empty:
            return "(no rows)"
        return self.frame.to_string(index=self.index, na_rep="—", max_colwidth=60)


def mean_text(values, digits: int = 2) -> str:
    """Mean ± half of the 95% interval over seeds, and how many: "72.96 ± 0.31 (n = 3)"."""
    mean, _, high, n = results.mean_interval(values)
    spread = "" if math.isnan(high) else f" ± {high - mean:.{digits}f}"
    return f"{mean:.{digits}f}{spread} (n = {n})"


def _printed(value: float, column: str) -> str:
    return f"{value:.1f}" if column in ("accuracy", "perplexity") else f"{value:g}"


def comparison_table(frames: pd.DataFrame | dict[str, pd.DataFrame], metric: str = "accuracy_matched",
                     paper_column: str | None = "accuracy", *, scale: float = 100.0, digits: int = 2,
                     more: tuple[str, ...] = ()) -> pd.DataFrame:
    """The papers' value beside ours for every configuration: mean ± 95% interval over seeds, and n.

    frames: one frame of `results.load`, or a column's title → frame. "not run" where a configuration has no
    record with the metric; "—" where the papers print nothing. more: further configurations to list.
    Of several settings of a configuration the one with most seeds counts (`claims.one_setting`).
    """
    import pandas as pd

    sets = frames if isinstance(frames, dict) else {"ours": frames}
    names = [*claims.PAPER_TABLE, *(n for n in more if n not in claims.PAPER_TABLE)]
    rows = []
    for name in names:
        paper = claims.PAPER_TABLE.get(name)
        row = {"configuration": paper.label if paper else name}
        if paper_column:
            value = getattr(paper, paper_column, None)
            row["papers"] = "—" if value is None else _printed(value, paper_column)
        for title, frame in sets.items():
            known = frame[frame["configuration"] == name] if metric in frame else frame.iloc[:0]
            known = known[known[metric].notna()] if len(known) else known
            chosen = claims.one_setting(known)
            row[title] = mean_text(scale * chosen[metric].astype(float), digits) if len(chosen) else NOT_RUN
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(names, name="id"))


def curve_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """First and last development accuracy (%) and the gap, last training minus last development accuracy
    (points), for each of the papers' configurations: mean ± 95% interval over seeds, or "not run"."""
    import pandas as pd

    frame = claims.with_gap(frame)
    columns = {"first, %": "first_development_accuracy", "last, %": "final_development_accuracy",
               "gap, points": "generalization_gap"}
    labels = {name: row.label for name, row in claims.PAPER_TABLE.items()}
    return pd.DataFrame({"configuration": labels, **{
        title: comparison_table({title: frame}, metric, None)[title] for title, metric in columns.items()}})


def labels_behind(frame: pd.DataFrame, metric: str) -> pd.Series:
    """Labels trained on in the setting that `comparison_table` shows for each configuration; "—" where none was run."""
    import pandas as pd

    found = {}
    for name in claims.PAPER_TABLE:
        rows = frame[(frame["configuration"] == name) & frame[metric].notna()] if metric in frame else frame.iloc[:0]
        rows = claims.one_setting(rows)
        counts = rows["labels"].fillna(rows["train_rows"]) if "labels" in rows else rows.get("train_rows")
        found[name] = f"{counts.max():,.0f}" if len(rows) else "—"
    return pd.Series(found)


def curves_shown(frame: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Of `results.load_series` the curves of one setting for each configuration, the one that `curve_ends` shows."""
    metric = "final_development_accuracy"
    rows = frame[frame[metric].notna()] if metric in frame else frame.iloc[:0]
    return series[series["path"].isin(claims.one_setting(rows)["path"])]


def absent(frame: pd.DataFrame, configurations: Iterable[str]) -> str:
    """Which of the configurations have no record in a frame of `results.load`, as lines of text."""
    there = set(frame["configuration"]) if len(frame) else set()
    missing = [name for name in configurations if name not in there]
    text = f"arms without a record: {', '.join(missing)}" if missing else "every arm of this chapter has a record"
    return textwrap.fill(text, 80, break_on_hyphens=False)


def end_axis(axes, accuracies: pd.Series, baseline: float) -> str:
    """Ends the axis of accuracies `DEEPEST` points below the baseline, if some are lower; their names, for a label.

    accuracies: in percent, by name. baseline: in percent, or NaN for none: then nothing is cut off. Lines to what is
    lower run out of the frame.
    """
    lower = accuracies[accuracies < baseline - DEEPEST]
    if lower.empty:
        return ""
    axes.set_ylim(bottom=baseline - DEEPEST)
    return "\n" + textwrap.fill("below the frame: " + ", ".join(f"{k} {v:.1f}%" for k, v in lower.items()), 60)


def standing_on(frame: pd.DataFrame) -> pd.DataFrame:
    """The records a table or figure stands on: record (path from the book's root), commit, finished."""
    import pandas as pd

    if frame.empty:
        return pd.DataFrame([("none", "—", "—")], columns=["record", "commit", "finished"])
    commits = [commit[:8] + (" (changed)" if dirty else "")
               for commit, dirty in zip(frame["commit"], frame["dirty"], strict=True)]
    return pd.DataFrame({"record": list(frame["path"]), "commit": commits,
                         "finished": [str(t)[:16].replace("T", " ") for t in frame["finished"]]})


def record_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per record of `results.load`: configuration, seed, accuracies, perplexity, minutes, source.

    A value that a record lacks is "—"; without records there is one row, "not run".
    """
    import pandas as pd

    wanted = {"accuracy_matched": ("matched, %", 100, 2), "accuracy_mismatched": ("mismatched, %", 100, 2),
              "perplexity": ("perplexity", 1, 3), "train_seconds": ("training, minutes", 1 / 60, 1)}
    if frame.empty:
        return pd.DataFrame([[NOT_RUN, *["—"] * (len(wanted) + 2)]],
                            columns=["configuration", "seed", *(t for t, _, _ in wanted.values()), "record"])
    table = pd.DataFrame({"configuration": frame["configuration"], "seed": frame["seed"]})
    for metric, (title, scale, digits) in wanted.items():
        values = frame[metric] if metric in frame else pd.Series(math.nan, index=frame.index)
        table[title] = ["—" if math.isnan(v) else f"{scale * v:.{digits}f}" for v in values.astype(float)]
    return pd.concat([table, standing_on(frame)[["commit", "record"]].set_index(frame.index)], axis=1)


def contestant_table(records: list[dict]) -> pd.DataFrame:
    """Contestants of benchmark records (`results.load_records`), a row each with what was measured of them;
    without records one row, "not run"."""
    import pandas as pd

    rows = [{"contestant": name, **values, "seed": record["seed"],
             "cpu": record["provenance"]["machine"]["cpu"], "record": record["path"]}
            for record in records for name, values in record.get("contestants", {}).items()]
    if not rows:
        return pd.DataFrame([{"contestant": NOT_RUN, "record": "none"}])
    table = pd.DataFrame(rows)
    return table[[*table.columns.drop(["seed", "cpu", "record"]), "seed", "cpu", "record"]].round(3)


def steps_table(contradiction: claims.Contradiction) -> pd.DataFrame:
    """The arithmetic of one of `claims.contradictions()`: what, how, result."""
    import pandas as pd

    rows = [(step.what, step.arithmetic, step.result) for step in contradiction.steps]
    return pd.DataFrame(rows, columns=["what", "arithmetic", "result"])
