"""Figures and tables of the chapter on ADA: arm weights, where the rows went, differences between arms.

Same card and colours as `figures`. An arm is an operator at a strength; its colour is the operator's, its line style
the strength's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seo_core import claims
from seo_core.figures import BLACK, CARD, COLOURS, LINES, MARKERS, NOT_RUN, SOFT, _styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

METRICS = {"accuracy_matched": "matched", "accuracy_mismatched": "mismatched", "f1_macro": "macro F1",
           "robust_accuracy": "perturbed"}
KINDS = {"robust_accuracy_typos": "typing errors", "robust_accuracy_paraphrase": "synonyms"}


def weights_by_round(records: list[dict]) -> pd.DataFrame:
    """Arm weights in long form from records (`results.load_records`): labels, seed, round, operator, strength, weight.

    Read from their series "weight <operator> <strength>" beside "round"; empty where no record has any.
    """
    import pandas as pd

    rows = []
    for record in records:
        for name, values in record["series"].items():
            if name.startswith("weight "):
                operator, strength = name.split(" ")[1:3]
                rows += [(record["metrics"].get("labels"), record["seed"], number, operator, float(strength), value)
                         for number, value in zip(record["series"]["round"], values, strict=True)]
    return pd.DataFrame(rows, columns=["labels", "seed", "round", "operator", "strength", "weight"])


def classes_served(frame: pd.DataFrame) -> pd.DataFrame:
    """By configuration, number of labels and class: accuracy on the reward half, share of the labelled pairs and of
    ADA's rows, in percent, mean over seeds. frame: of `results.load`; one row "not run" where ADA has no records."""
    import pandas as pd

    names = [c.removeprefix("ada_added_") for c in frame if c.startswith("ada_added_")]
    rows = []
    for name in names:
        known = frame[frame[f"ada_added_{name}"].notna()]
        for (configuration, labels), group in known.groupby(["configuration", "labels"]):
            rows.append((configuration, int(labels), name, *(round(100 * group[f"ada_{kind}_{name}"].mean(), 1)
                                                             for kind in ("accuracy", "data", "added"))))
    rows.sort(key=lambda row: (row[0], row[1]))
    return pd.DataFrame(rows or [(NOT_RUN, *["—"] * 5)], columns=["configuration", "labels", "class", "accuracy, %",
                                                                "of the labels, %", "of the added rows, %"])


@_styled
def arm_weights(log: pd.DataFrame) -> Figure:
    """Arm weights by round: a line per arm, with a band from the lowest to the highest seed where there are several.

    log: `AdaptiveResult.log`, or `weights_by_round`: columns round, operator, strength, weight. A panel for each number
    of labels if it has a column "labels". The dotted line is an even share.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    panels = list(log.groupby("labels")) if "labels" in log else [(None, log)]
    figure, grid = plt.subplots(1, max(1, len(panels)), figsize=(8, 4.2), sharey=True, squeeze=False)
    operators, strengths = sorted(log["operator"].unique()), sorted(log["strength"].unique())
    for axes, (labels, rows) in zip(grid[0], panels, strict=False):
        for (operator, strength), arm in rows.groupby(["operator", "strength"]):
            by_round = arm.groupby("round")["weight"]
            x, colour = by_round.mean().index.to_numpy(float), COLOURS[operators.index(operator) % len(COLOURS)]
            graded = log.loc[log["operator"] == operator, "strength"].nunique() > 1
            axes.plot(x, 100 * by_round.mean(), LINES[strengths.index(strength) % len(LINES)], color=colour,
                      marker=MARKERS[operators.index(operator) % len(MARKERS)], markersize=5, linewidth=1.8,
                      label=operator.replace("_", " ") + (f", {strength:g}" if graded else ""))
            axes.fill_between(x, 100 * by_round.min(), 100 * by_round.max(), color=colour, alpha=0.12, linewidth=0)
        even = 100 / rows.groupby(["operator", "strength"]).ngroups
        axes.axhline(even, color=SOFT, linestyle=":", linewidth=1)
        axes.set(xlabel="round", title="" if labels is None else f"{labels:,.0f} labels".replace(",", " "))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    if not panels:
        grid[0, 0].text(0.5, 0.5, NOT_RUN, ha="center", va="center", style="italic", fontsize=11)
    grid[0, 0].set(ylabel="weight, %", ylim=(0, None))
    handles = {label: handle for axes in grid[0] for handle, label in zip(*axes.get_legend_handles_labels(),
                                                                          strict=True)}
    lines = -(-len(handles) // 4)
    figure.tight_layout(rect=(0, 0.01 + 0.055 * lines if handles else 0, 1, 1))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=min(4, len(handles)))
    return figure


@_styled
def where_rows_went(groups: pd.DataFrame) -> Figure:
    """Share of D and of the added rows by class and by genre, worst accuracy on top; `AdaptiveResult.groups`."""
    import matplotlib.pyplot as plt

    kinds = list(groups["kind"].unique())
    sizes = [max(2, (groups["kind"] == kind).sum()) for kind in kinds]
    figure, grid = plt.subplots(len(kinds), 1, figsize=(8, 1.4 + 0.34 * sum(sizes)), squeeze=False,
                                gridspec_kw={"height_ratios": sizes}, sharex=True)
    for axes, kind in zip(grid[:, 0], kinds, strict=True):
        rows = groups[groups["kind"] == kind].sort_values("accuracy", ascending=False, na_position="first")
        y = np.arange(len(rows))
        axes.hlines(y, 100 * rows["train_share"], 100 * rows["added_share"], color=SOFT, linewidth=1.2)
        for number, (column, label) in enumerate((("train_share", "share of the data"),
                                                  ("added_share", "share of the added rows"))):
            axes.plot(100 * rows[column], y, MARKERS[number], color=COLOURS[number], markersize=7, label=label)
        names = [f"{name}: {'no rows' if math.isnan(a) else f'{100 * a:.0f}%'}"
                 for name, a in zip(rows["group"], rows["accuracy"], strict=True)]
        axes.set(yticks=y, yticklabels=names, ylabel=kind, ylim=(-0.6, len(rows) - 0.4))
    grid[-1, 0].set(xlabel="share, %", xlim=(0, None))
    grid[0, 0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    figure.tight_layout()
    return figure


def differences(frame: pd.DataFrame, contrasts: Sequence[tuple[str, ...]], metrics: Sequence[str] = tuple(METRICS),
                *, labels: str = "labels") -> pd.DataFrame:
    """Differences in points between configurations at equal numbers of labels, paired by seed (and by example).

    frame: of `results.load`. contrasts: (a, b) for a − b, or (a, b, c, d) for (a − b) − (c − d). Columns labels,
    contrast, metric, difference, low, high (95% interval; NaN for one seed without predictions), seeds; one row for
    each combination that has records. The statistics are those of the audit (`claims.measure`).
    """
    import pandas as pd

    rows = []
    for count in sorted(frame[labels].dropna().unique()) if labels in frame else ():
        same = frame[frame[labels] == count]
        for contrast in contrasts:
            signs = (1.0, -1.0) if len(contrast) == 2 else (1.0, -1.0, -1.0, 1.0)
            name = " − ".join(contrast[:2]) if len(contrast) == 2 else (
                f"({contrast[0]} − {contrast[1]}) − ({contrast[2]} − {contrast[3]})")
            for metric in metrics:
                found = claims.measure(same, claims.Contrast(metric, tuple(zip(contrast, signs, strict=True)),
                                                             "difference", 1, scale=100.0), _profiles(same))
                if found:
                    rows.append((int(count), name, metric, *found[:3], found.n))
    return pd.DataFrame(rows, columns=["labels", "contrast", "metric", "difference", "low", "high", "seeds"])


def _profiles(frame) -> tuple[str, ...]:
    return tuple(p for p in ("paper", "gpu", "cpu", "quick") if (frame["profile"] == p).any())


def difference_table(found: pd.DataFrame) -> pd.DataFrame:
    """`differences` for reading: labels, contrast, metric, points with the 95% interval, seeds, what it says.

    Without rows: one row, "not run". The last column says on which side of 0 the interval lies, if it excludes it; with
    one seed it holds the scatter of the examples, and not that of the seeds.
    """
    import pandas as pd

    if found.empty:
        return pd.DataFrame([[NOT_RUN, "—", "—", "—", "—", "—"]],
                            columns=["labels", "contrast", "metric", "points", "seeds", "interval says"])

    def text(row) -> str:
        interval = "" if math.isnan(row.low) else f" [{row.low:+.2f}, {row.high:+.2f}]"
        return f"{row.difference:+.2f}{interval}".replace("-", "−")

    def verdict(row) -> str:
        if math.isnan(row.low):
            return "one seed: no interval"
        found = "above 0" if row.low > 0 else "below 0" if row.high < 0 else "contains 0"
        return found + (", of examples only" if row.seeds == 1 else "")

    rows = list(found.itertuples())
    return pd.DataFrame({"labels": found["labels"], "contrast": found["contrast"],
                         "metric": [(METRICS | KINDS).get(m, m) for m in found["metric"]],
                         "points": list(map(text, rows)),
                         "seeds": found["seeds"], "interval says": list(map(verdict, rows))})


@_styled
def forest(found: pd.DataFrame) -> Figure:
    """`differences` as points with their 95% intervals; a row for each contrast and number of labels, a panel for
    each metric, no effect as a line. A hollow point has one seed."""
    import matplotlib.pyplot as plt

    if found.empty:
        figure, axes = plt.subplots(figsize=(8.4, 1))
        axes.text(0.5, 0.5, NOT_RUN, ha="center", va="center", style="italic", fontsize=11)
        axes.axis("off")
        return figure
    metrics = list(found["metric"].unique())
    rows = list(found[["labels", "contrast"]].drop_duplicates().itertuples(index=False))
    figure, grid = plt.subplots(1, len(metrics), figsize=(8.4, 1.3 + 0.36 * max(2, len(rows))), sharey=True,
                                sharex=True, squeeze=False)
    for axes, metric in zip(grid[0], metrics, strict=True):
        for place, (labels, contrast) in enumerate(rows):
            mine = found[(found["metric"] == metric) & (found["labels"] == labels) & (found["contrast"] == contrast)]
            for row in mine.itertuples():
                axes.plot([row.low, row.high], [-place] * 2, color=COLOURS[0], linewidth=2)
                axes.plot(row.difference, -place, "o", color=COLOURS[0], markersize=6,
                          markerfacecolor=CARD if row.seeds == 1 else COLOURS[0])
        axes.axvline(0, color=BLACK, linewidth=0.9)
        axes.set(title=METRICS.get(metric, metric), xlabel="points")
    names = [f"{contrast}, {labels} labels".replace(") − (", ")\n− (") for labels, contrast in rows]
    grid[0, 0].set(yticks=[-i for i in range(len(rows))], yticklabels=names, ylim=(0.6 - max(2, len(rows)), 0.6))
    figure.tight_layout()
    return figure


def arm_table(frame: pd.DataFrame, metrics: Sequence[str] = tuple(METRICS), *, labels: str = "labels") -> pd.DataFrame:
    """Mean ± half of the 95% interval over seeds, in percent, of each configuration and number of labels.

    frame: of `results.load`; without records one row, "not run"; "—" where a configuration lacks a metric.
    """
    import pandas as pd

    from seo_core.figures import mean_text

    titles = [METRICS.get(m, m) + ", %" for m in metrics]
    if frame.empty or labels not in frame:
        return pd.DataFrame([[NOT_RUN, "—", *["—"] * len(titles)]], columns=["configuration", "labels", *titles])
    rows = []
    for (count, name), group in frame.groupby([labels, "configuration"]):
        chosen = claims.one_setting(group)
        cells = [mean_text(100 * chosen[m].dropna().astype(float)) if m in chosen and chosen[m].notna().any() else "—"
                 for m in metrics]
        rows.append((name, int(count), *cells))
    return pd.DataFrame(rows, columns=["configuration", "labels", *titles])
