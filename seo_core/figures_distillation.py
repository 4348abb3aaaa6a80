"""Figures and tables of the chapters on distillation and SQD. Same card and colours as `figures`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seo_core import claims
from seo_core.figures import BLACK, BLUE, COLOURS, LINES, MARKERS, NOT_RUN, VERMILION, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SPLITS = {"accuracy_matched": "matched", "accuracy_mismatched": "mismatched"}
COLUMNS = ("configuration", "split", "accuracy", "difference", "low", "high", "seeds", "paired", "parameters",
           "megabytes", "pairs")


def against(frame: pd.DataFrame, configurations: Sequence[str], base: str = "base") -> pd.DataFrame:
    """Each configuration beside the baseline, a row for each official set; those without records are left out.

    frame: of `results.load`. accuracy in percent (mean over seeds); difference, low, high: points to `base`, paired by
    seed and example, with the 95% interval (`claims.measure`; NaN for one seed without predictions); seeds: of the
    accuracy; paired: those that both have, of the difference; parameters in millions; megabytes of the exported file,
    where one was measured; pairs: training pairs seen, repeats counted.
    """
    import pandas as pd

    rows, profiles = [], tuple(frame["profile"].unique()) if len(frame) else ()
    for name in configurations:
        mine = frame[frame["configuration"] == name] if len(frame) else frame
        if not len(mine):
            continue
        mine = claims.one_setting(mine)
        sizes = [_mean(mine, "model_parameters") / 1e6, _mean(mine, "size_bytes") / 1e6, _mean(mine, "train_examples")]
        for metric, split in SPLITS.items():
            found = None
            if name != base:
                contrast = claims.Contrast(metric, ((name, 1.0), (base, -1.0)), "difference", 1, scale=100.0)
                found = claims.measure(frame, contrast, profiles)
            gap = found[:3] if found else (math.nan,) * 3
            counts = mine["seed"].nunique(), found.n if found else 0
            rows.append((name, split, 100 * mine[metric].mean(), *gap, *counts, *sizes))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(frame, column: str) -> float:
    return float(frame[column].mean()) if column in frame else math.nan


def against_table(found: pd.DataFrame) -> pd.DataFrame:
    """`against` for reading, one row for each configuration; without rows one, "not run"."""
    import pandas as pd

    if found.empty:
        return pd.DataFrame([{"configuration": NOT_RUN}])

    def text(row) -> str:
        if math.isnan(row.difference):
            return "—"
        interval = "" if math.isnan(row.low) else f" [{row.low:+.2f}, {row.high:+.2f}]"
        return f"{row.difference:+.2f}{interval}".replace("-", "−")

    rows = []
    for name, group in found.groupby("configuration", sort=False):
        first = group.iloc[0]
        row = {"configuration": name, "seeds": first["seeds"], "parameters, M": f"{first['parameters']:.1f}"}
        for part in group.itertuples():
            row[f"{part.split}, %"] = f"{part.accuracy:.2f}"
            row[f"to base, points ({part.split})"] = text(part)
        row["file, MB"] = "—" if math.isnan(first["megabytes"]) else f"{first['megabytes']:.2f}"
        row["pairs seen"] = "—" if math.isnan(first["pairs"]) else f"{first['pairs']:,.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def contrasts(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Differences of two configurations each, in points, a row for each (name, base) and official set; or "not run".

    Paired by seed and example, with 95% intervals, as in `against`; seeds: those that both have. Pairs that have not
    been run are left out.
    """
    import pandas as pd

    parts = [against(frame, [name], base).assign(configuration=f"{name} − {base}") for name, base in pairs]
    parts = [known for part in parts if len(known := part.dropna(subset=["difference"]))]  # empty ones have no floats
    if not parts:
        return pd.DataFrame([{"configuration": NOT_RUN}])
    table = pd.concat(parts, ignore_index=True)
    table["seeds"] = table["paired"]
    return table[["configuration", "split", "difference", "low", "high", "seeds"]].round(2)


def _not_run(axes) -> None:
    axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", va="center", color=VERMILION, style="italic")


@_styled
def to_base(found: pd.DataFrame, goals: Sequence[float] = (-1.0, -2.0)) -> Figure:
    """Points to the baseline with 95% intervals, a row for each configuration of `against`, both official sets.

    goals: dotted lines. "not run" without rows.
    """
    import matplotlib.pyplot as plt

    shown = found.dropna(subset=["difference"]) if len(found) else found
    names = list(dict.fromkeys(shown["configuration"])) if len(shown) else []
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.42 * max(len(names), 2)))
    for number, split in enumerate(SPLITS.values()):
        mine = shown[shown["split"] == split] if len(shown) else shown
        shift = (0.12, -0.12)[number]
        places = [shift - names.index(n) for n in mine["configuration"]] if len(mine) else []
        for place, row in zip(places, mine.itertuples(), strict=True):
            reach = np.nan_to_num([[row.difference - row.low], [row.high - row.difference]])
            axes.errorbar(row.difference, place, xerr=np.abs(reach), fmt=MARKERS[number], color=COLOURS[number],
                          capsize=3, linewidth=1.3, label=split if place == places[0] else None)
    if names:
        axes.axvline(0, color=BLACK, linewidth=1.1)
        for goal in goals:
            axes.axvline(goal, color=BLACK, linewidth=0.9, linestyle=":")
        axes.set(yticks=[-i for i in range(len(names))], yticklabels=names)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    else:
        _not_run(axes)
        axes.set_yticks([])
    axes.set(xlabel="points to the baseline")
    axes.grid(False, axis="y")
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
            _not_run(axes)
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
