"""Figures and tables of quantisation, size and speed. Same card and colours as `figures`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from seo_core import claims, tradeoff
from seo_core.figures import BLACK, COLOURS, GRID, LINES, MARKERS, NOT_RUN, SOFT, VERMILION, _styled, end_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FAMILIES = {"09_pruning": "units pruned", "10_adaptive_iterative_pruning": "AIP", "11_quantization": "quantisation",
            "12_distillation": "distillation", "13_quantization_distillation": "SQD"}
PLAIN = "integers without SQD"
CONTROLS = {"oneshot": "units pruned", "distilled": "distillation",  # of AIP, by another method
            "kd-small": "distillation", "kd-ptq": PLAIN, "qat": PLAIN}  # of SQD
METHODS = ("weights at zero", *FAMILIES.values(), PLAIN, "baseline")  # each keeps its colour, whichever are there


@_styled
def ranges(values: np.ndarray, found: Mapping[str, tuple[float, int]]) -> Figure:
    """Histogram of an activation (log counts), and the range that each calibration method chose for it.

    values: (n,). found: method -> (scale, zero point).
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.2 + 0.25 * len(found)))
    counts, edges = np.histogram(values, bins=160)
    axes.stairs(counts, edges, fill=True, color=GRID)
    axes.stairs(counts, edges, color=SOFT, linewidth=0.8)
    top = counts.max()
    for number, (name, (scale, zero)) in enumerate(found.items()):
        low, high, height = -zero * scale, (255 - zero) * scale, top * 3.0 ** (number + 1)
        axes.plot([low, high], [height, height], LINES[number % 4], color=COLOURS[number], linewidth=2,
                  marker=MARKERS[number], markersize=6, label=f"{name}: steps of {scale:.4f}")
    axes.set(yscale="log", ylim=(0.5, top * 3.0 ** (len(found) + 1)), xlabel="value", ylabel="how many")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(found))
    figure.tight_layout()
    return figure


@_styled
def parts(files: Mapping[str, Mapping[str, int]]) -> Figure:
    """Stacked bars: name of a file -> part -> bytes (`quantization.bytes_by_part`)."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(part for file in files.values() for part in file))
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.45 * len(files)))
    places, left = np.arange(len(files))[::-1], np.zeros(len(files))
    for number, part in enumerate(names):
        size = np.array([file.get(part, 0) / 1e6 for file in files.values()])
        axes.barh(places, size, left=left, height=0.62, color=COLOURS[number % 7], edgecolor="white", label=part,
                  hatch=("", "//", "..", "xx", "--")[number % 5])
        left = left + size
    for place, total in zip(places, left, strict=True):
        axes.annotate(f"{total:.1f}", (total, place), xytext=(5, 0), textcoords="offset points", va="center",
                      fontsize=9)
    axes.set(yticks=places, yticklabels=list(files), xlabel="megabytes of the file", xlim=(0, 1.1 * left.max()))
    axes.grid(False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    figure.tight_layout()
    return figure


@_styled
def latency_bars(table: pd.DataFrame) -> Figure:
    """Median milliseconds per batch with a whisker to the 95th percentile: batches are sorted by length, so that is
    the time of the longest texts. table: of `benchmark_inference.summarize`, or empty: "not run"."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.4 * max(len(table), 2)))
    if len(table):
        table = table.sort_values("latency_ms_p50")
        places, median = np.arange(len(table))[::-1], table["latency_ms_p50"].to_numpy(float)
        reach = np.maximum(table["latency_ms_p95"].to_numpy(float) - median, 0)
        axes.barh(places, median, height=0.62, color=COLOURS[5], xerr=[np.zeros(len(median)), reach],
                  error_kw={"capsize": 3, "ecolor": BLACK})
        for place, value, end in zip(places, median, median + reach, strict=True):
            axes.annotate(f"{value:.1f}", (end, place), xytext=(5, 0), textcoords="offset points", va="center",
                          fontsize=9)
        axes.set(yticks=places, yticklabels=list(table.index), xlim=(0, 1.15 * (median + reach).max()))
    else:
        _not_run(axes)
    axes.set_xlabel("ms per batch: median, whisker to the 95th percentile (the longest texts)")
    axes.grid(False, axis="y")
    figure.tight_layout()
    return figure


def families(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of `tradeoff.points` by method, the baseline first; methods without a row are left out.

    Weights set to zero and units cut out are two methods, although one chapter makes both; AIP's controls are not AIP,
    and SQD's are not SQD.
    """
    if table.empty:
        return {}
    family = table["configuration"].map(CONTROLS).fillna(table["experiment"].map(FAMILIES))
    family[table["configuration"].str.fullmatch(r"prune(-\w+)?")] = "weights at zero"
    family[table["configuration"] == "base"] = "baseline"
    return {name: table[family == name] for name in ("baseline", *METHODS[:-1]) if (family == name).any()}


@_styled
def size_vs_speed(table: pd.DataFrame) -> Figure:
    """Figure 3: accuracy over how much smaller and how much faster; fronts, and the papers' factors.

    table: of `tradeoff.points`. Circles and the like are configurations, by method. Each method has its curve: from the
    baseline along those that no other of the method beats. The wide line joins those that no other beats at all.
    Dotted: what the papers claim for their combination. "not run" where nothing was measured. The axis of accuracies is
    that of `figures.end_axis`.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FuncFormatter

    baseline = table.loc[table["configuration"] == "base", "accuracy"].min() if len(table) else np.nan
    styles = dict(zip(METHODS, zip((*COLOURS[:6], SOFT, BLACK), (*MARKERS[:6], "p", "X"), strict=True), strict=True))
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 6.2), sharey=True)
    titles = {"smaller": "times smaller than the baseline's file", "faster": "times faster than the baseline"}
    for axes, (gain, title), cost in zip(panels, titles.items(), ("megabytes", "ms"), strict=True):
        known = table[table[gain].notna()] if len(table) else table
        for family, mine in families(known).items():
            colour, marker = styles[family]
            if family not in ("baseline", PLAIN):
                own = tradeoff.pareto(mine, cost=cost).sort_values(gain, kind="stable")
                x, y = ([*known.loc[known["configuration"] == "base", k], *own[k]] for k in (gain, "accuracy"))
                axes.plot(x, y, LINES[METHODS.index(family) % 4], color=colour, linewidth=1.4)
            axes.plot(mine[gain], mine["accuracy"], marker, color=colour, markersize=7, label=family)
        axes.axvline(tradeoff.PAPERS[gain], color=VERMILION, linestyle=":", linewidth=1.4,
                     label="the papers: 3.1× smaller, 1.9× faster")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
        if len(known):
            front = tradeoff.pareto(known, cost=cost)
            axes.plot(front[gain], front["accuracy"], "-", color=GRID, linewidth=6, zorder=0, label="not beaten by any")
        else:
            _not_run(axes)
            axes.set_yticks([])
        left, right = axes.get_xlim()
        axes.set(xlabel=title, xlim=(min(left, 0.8), max(1.4 * right, 20 if gain == "smaller" else 8)))
        if len(known):
            axes.set_xlabel(title + end_axis(axes, known.set_index("configuration")["accuracy"], baseline))
            _names_above(axes, front["configuration"], front[[gain, "accuracy"]].to_numpy(float))
    panels[0].set_ylabel("accuracy, %, mean of both sets")
    handles = {label: handle for axes in panels for handle, label in
               zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=4)
    return figure


def _names_above(axes, names, places: np.ndarray, gap: float = 0.075) -> None:
    """Names the points at `places` (n × 2, by x): slanted, above the frame, `gap` of its width apart or more, each with
    a line to its point. Beside the points, names of neighbours would lie on each other."""
    order = np.argsort(places[:, 0])
    across = axes.transAxes.inverted().transform(axes.transData.transform(places[order]))[:, 0]
    steps = gap * np.arange(len(order))
    across = np.minimum(np.maximum.accumulate(across - steps) + steps, 1 - steps[::-1])
    for name, place, x in zip(np.asarray(names)[order], places[order], across, strict=True):
        axes.annotate(name, place, xytext=(x, 1.02), textcoords="axes fraction", rotation=40, rotation_mode="anchor",
                      fontsize=9, color=BLACK, va="center",
                      arrowprops={"arrowstyle": "-", "color": SOFT, "linewidth": 0.5, "shrinkA": 2, "shrinkB": 3})


def _not_run(axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic")


def size_table(frame: pd.DataFrame, column: str, metric: str, scale: float, unit: str) -> pd.DataFrame:
    """The papers' sizes or latencies beside ours, as factors of the baseline: a row for each of their configurations.

    column: of `claims.PAPER_TABLE` (size_mb, latency_ms). metric: of the records (size_bytes, latency_ms_p50), shown
    times `scale`. "not run" where there is no record.
    """
    import pandas as pd

    rows, paper_base = [], getattr(claims.PAPER_TABLE["base"], column)
    base = _value(frame, "base", metric)
    for name, paper in claims.PAPER_TABLE.items():
        printed = getattr(paper, column)
        if printed is None:
            continue
        ours = _value(frame, name, metric)
        rows.append({"configuration": paper.label, f"papers, {unit}": f"{printed:g}",
                     "papers, of the baseline": f"{printed / paper_base:.2f}",
                     f"ours, {unit}": NOT_RUN if ours is None else f"{scale * ours:.2f}",
                     "ours, of the baseline": "—" if ours is None or base is None else f"{ours / base:.2f}"})
    return pd.DataFrame(rows, index=pd.Index([n for n, p in claims.PAPER_TABLE.items()
                                              if getattr(p, column) is not None], name="id"))


def _value(frame, name: str, metric: str) -> float | None:
    mine = frame[frame["configuration"] == name] if len(frame) else frame
    known = mine[mine[metric].notna()] if metric in mine else mine[:0]
    if len(known):
        return float(claims.one_setting(known)[metric].mean())
    value = tradeoff.file_bytes(claims.one_setting(mine)) if metric == "size_bytes" and len(mine) else np.nan
    return None if np.isnan(value) else value


def speed_table(table: pd.DataFrame, control: str) -> pd.DataFrame:
    """`benchmark_inference.summarize` for reading; without rows one, "not run"."""
    import pandas as pd

    if table.empty:
        return pd.DataFrame([{"contestant": NOT_RUN}])
    rows = []
    for name, row in table.iterrows():
        spread = "" if np.isnan(row.get("speed_ratio_low", np.nan)) else \
            f" ({row['speed_ratio_low']:.2f} to {row['speed_ratio_high']:.2f})"
        rows.append({"contestant": name, "file, MB": f"{row['size_bytes'] / 1e6:.2f}",
                     "ms, median": f"{row['latency_ms_p50']:.1f}",
                     "ms, 95th percentile": f"{row['latency_ms_p95']:.1f}",
                     f"times as fast as {control}": f"{row['speed_ratio']:.2f}{spread}"
                     if "speed_ratio" in row else "—"})
    return pd.DataFrame(rows)
