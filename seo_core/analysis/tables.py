"""Tables of records, for pages: one row an arm, a record, a contestant or a round."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from seo_core import results
from seo_core.analysis import contradictions, papers, statistics, tradeoff, verdicts
from seo_core.analysis.verdicts import NOT_RUN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


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


def rounds(record: Mapping | None) -> pd.DataFrame:
    """AIP's attempts from its record, for `trace`; empty without one. points: to where the run started."""
    import pandas as pd

    if record is None:
        return pd.DataFrame()
    names = ("round", "step", "removed", "accuracy_before_recovery", "accuracy", "accepted", "final")
    found = pd.DataFrame({name: record["series"][name] for name in names}, dtype=float)
    return found.assign(points=100 * (found["accuracy"] - record["metrics"]["accuracy_start"]))


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
    mean, _, high, n = statistics.mean_interval(values)
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
    names = [*papers.PAPER_TABLE, *(n for n in more if n not in papers.PAPER_TABLE)]
    rows = []
    for name in names:
        paper = papers.PAPER_TABLE.get(name)
        row = {"configuration": paper.label if paper else name}
        if paper_column:
            value = getattr(paper, paper_column, None)
            row["papers"] = "—" if value is None else _printed(value, paper_column)
        for title, frame in sets.items():
            known = frame[frame["configuration"] == name] if metric in frame else frame.iloc[:0]
            known = known[known[metric].notna()] if len(known) else known
            chosen = verdicts.one_setting(known)
            row[title] = mean_text(scale * chosen[metric].astype(float), digits) if len(chosen) else NOT_RUN
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(names, name="id"))


def curve_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """First and last development accuracy (%) and the gap, last training minus last development accuracy
    (points), for each of the papers' configurations: mean ± 95% interval over seeds, or "not run"."""
    import pandas as pd

    frame = verdicts.with_gap(frame)
    columns = {"first, %": "first_development_accuracy", "last, %": "final_development_accuracy",
               "gap, points": "generalization_gap"}
    labels = {name: row.label for name, row in papers.PAPER_TABLE.items()}
    return pd.DataFrame({"configuration": labels, **{
        title: comparison_table({title: frame}, metric, None)[title] for title, metric in columns.items()}})


def labels_behind(frame: pd.DataFrame, metric: str) -> pd.Series:
    """Labels trained on in the setting that `comparison_table` shows for each configuration; "—" where none was run."""
    import pandas as pd

    found = {}
    for name in papers.PAPER_TABLE:
        rows = frame[(frame["configuration"] == name) & frame[metric].notna()] if metric in frame else frame.iloc[:0]
        rows = verdicts.one_setting(rows)
        counts = rows["labels"].fillna(rows["train_rows"]) if "labels" in rows else rows.get("train_rows")
        found[name] = f"{counts.max():,.0f}" if len(rows) else "—"
    return pd.Series(found)


def curves_shown(frame: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Of `results.load_series` the curves of one setting for each configuration, the one that `curve_ends` shows."""
    metric = "final_development_accuracy"
    rows = frame[frame[metric].notna()] if metric in frame else frame.iloc[:0]
    return series[series["path"].isin(verdicts.one_setting(rows)["path"])]


def absent(frame: pd.DataFrame, configurations: Iterable[str]) -> str:
    """Which of the configurations have no record in a frame of `results.load`, as lines of text."""
    there = set(frame["configuration"]) if len(frame) else set()
    missing = [name for name in configurations if name not in there]
    text = f"arms without a record: {', '.join(missing)}" if missing else "every arm of this chapter has a record"
    return textwrap.fill(text, 80, break_on_hyphens=False)


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


def steps_table(contradiction: contradictions.Contradiction) -> pd.DataFrame:
    """The arithmetic of one of `claims.contradictions()`: what, how, result."""
    import pandas as pd

    rows = [(step.what, step.arithmetic, step.result) for step in contradiction.steps]
    return pd.DataFrame(rows, columns=["what", "arithmetic", "result"])


def size_table(frame: pd.DataFrame, column: str, metric: str, scale: float, unit: str) -> pd.DataFrame:
    """The papers' sizes or latencies beside ours, as factors of the baseline: a row for each of their configurations.

    column: of `claims.PAPER_TABLE` (size_mb, latency_ms). metric: of the records (size_bytes, latency_ms_p50), shown
    times `scale`. "not run" where there is no record.
    """
    import pandas as pd

    rows, paper_base = [], getattr(papers.PAPER_TABLE["base"], column)
    base = _value(frame, "base", metric)
    for name, paper in papers.PAPER_TABLE.items():
        printed = getattr(paper, column)
        if printed is None:
            continue
        ours = _value(frame, name, metric)
        rows.append({"configuration": paper.label, f"papers, {unit}": f"{printed:g}",
                     "papers, of the baseline": f"{printed / paper_base:.2f}",
                     f"ours, {unit}": NOT_RUN if ours is None else f"{scale * ours:.2f}",
                     "ours, of the baseline": "—" if ours is None or base is None else f"{ours / base:.2f}"})
    return pd.DataFrame(rows, index=pd.Index([n for n, p in papers.PAPER_TABLE.items()
                                              if getattr(p, column) is not None], name="id"))


def _value(frame, name: str, metric: str) -> float | None:
    mine = frame[frame["configuration"] == name] if len(frame) else frame
    known = mine[mine[metric].notna()] if metric in mine else mine[:0]
    if len(known):
        return float(verdicts.one_setting(known)[metric].mean())
    value = tradeoff.file_bytes(verdicts.one_setting(mine)) if metric == "size_bytes" and len(mine) else np.nan
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
