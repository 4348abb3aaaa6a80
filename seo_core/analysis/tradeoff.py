"""What compression buys: accuracy beside bytes and milliseconds, and which networks nothing else beats.

    table = points(results.load(results.reference_dir() / "cpu"))
    best = pareto(table, cost="megabytes")

Accuracy comes from a chapter's record, bytes from it or from the inference benchmark, milliseconds from the benchmark
alone. All of one profile, data set and model: what is compared was measured on the same ground.
"""

import math

import numpy as np
import pandas as pd

from seo_core.analysis import NOT_RUN, papers
from seo_core.analysis.contrasts import CONTROLS as TRAINED_ON
from seo_core.analysis.contrasts import (
    OFFICIAL,
    contrast_in,
    equal_controls,
    exploratory,
    mean,
    measure,
    one_setting,
    pairs_seen,
)

CHAPTERS = ("09_pruning", "10_adaptive_iterative_pruning", "11_quantization", "12_distillation",
            "13_quantization_distillation", "02_baseline")  # the last has the baselines of the arms that follow
SPEED = "tab3_inference_speed"
COLUMNS = ("configuration", "experiment", "accuracy", "seeds", "megabytes", "ms", "smaller", "faster")
LOSS = ("difference", "low", "high", "paired")  # what `with_losses` adds, to the baseline; paired: seeds
EQUAL = tuple(f"{column}_equal" for column in LOSS)  # and to the control of equal compute, whose name is in "control"
PAPERS = {"smaller": papers.PAPER_TABLE["base"].size_mb / papers.PAPER_TABLE["seo"].size_mb,  # 3.1
          "faster": papers.PAPER_TABLE["base"].latency_ms / papers.PAPER_TABLE["seo"].latency_ms}  # 1.9


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per compressed configuration of `results.load`, the baseline first.
    accuracy: mean of both official sets, in percent, over seeds. megabytes: of the file that is loaded. ms: median per
    batch in the inference benchmark. smaller, faster: the baseline's bytes and milliseconds over these. NaN where it
    was not measured; empty without records."""
    if frame.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    speed, rows = frame[frame["experiment"] == SPEED], []
    compressed = exploratory(frame[frame["experiment"].isin(CHAPTERS)])
    compressed = compressed.sort_values("experiment", key=lambda ids: ids.map(CHAPTERS.index), kind="stable")
    for (experiment, name), runs in compressed.groupby(["experiment", "configuration"], sort=False):
        chosen = one_setting(runs)
        if "accuracy_matched" not in chosen or chosen["accuracy_matched"].isna().all():
            continue
        accuracy = 100 * float(np.nanmean(chosen[[c for c in OFFICIAL if c in chosen]].to_numpy(float)))
        timed = one_setting(speed[speed["configuration"] == name])
        size = mean(timed, "size_bytes")
        size = file_bytes(chosen) if math.isnan(size) else size
        rows.append((name, experiment, accuracy, chosen["seed"].nunique(), size / 1e6, mean(timed, "latency_ms_p50")))
    table = pd.DataFrame(rows, columns=list(COLUMNS[:6])).drop_duplicates("configuration", ignore_index=True)
    table = table.sort_values("configuration", key=lambda names: names != "base", kind="stable", ignore_index=True)
    baseline = table[table["configuration"] == "base"]
    for cost, gain in (("megabytes", "smaller"), ("ms", "faster")):
        table[gain] = (baseline[cost].iloc[0] if len(baseline) else math.nan) / table[cost]
    return table


def with_losses(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """`points` with the method of each (`families`), and its differences in points on the matched set, paired by seed
    and example, with 95% interval: to the baseline (`LOSS`), and to the uncompressed network of equal compute (`EQUAL`,
    and control: its name, or why there is none, see `contrasts.equal_controls`). NaN where there is none; the
    baseline's own is 0. frame: of `results.load`, what the points are of."""
    rows, frame = [], exploratory(frame)
    trained = frame[frame["experiment"].isin(CHAPTERS)] if len(frame) else frame
    controls = equal_controls(trained, table["configuration"]) if len(trained) else {}
    control = [controls.get(name, "—") for name in table["configuration"]]
    for name, *others in zip(table["configuration"], ["base"] * len(table), control, strict=True):
        found = [measure(frame, contrast_in("points", OFFICIAL[0], (name, other))) if other != name else None
                 for other in others]
        rows.append([x for each in found for x in (each[:4] if each else (math.nan, math.nan, math.nan, 0))])
        rows[-1][0] = 0.0 if name == "base" else rows[-1][0]
    method = {name: family for family, rows in families(table).items() for name in rows["configuration"]}
    return table.assign(method=table["configuration"].map(method).fillna("other"),
                        control=control, **{c: [row[i] for row in rows] for i, c in enumerate((*LOSS, *EQUAL))})


def nearest_control(frame: pd.DataFrame, arm: str) -> tuple[str, float]:
    """Of the uncompressed networks that were trained on, the one that saw most pairs at a seed of the arm's; and how
    many of those that the arm saw, with all that it was made from (`pairs_seen`). ("not run", NaN) without a record."""
    seen = frame[["configuration", "seed"]].assign(pairs=pairs_seen(frame)).dropna() if len(frame) else frame
    runs = seen[seen["configuration"] == arm] if len(seen) else seen
    others = seen[seen["configuration"].isin(TRAINED_ON) & seen["seed"].isin(runs["seed"])] if len(runs) else runs
    if others.empty:
        return NOT_RUN, math.nan
    best = others.loc[others["pairs"].idxmax()]
    return best["configuration"], float(best["pairs"] / runs["pairs"].max())


def file_bytes(chosen: pd.DataFrame) -> float:
    """Mean size_bytes of one configuration's records. Of the baseline, which is not exported by a chapter: the bytes of
    its weights in fp32, which is its file up to a header of some kB."""
    size = mean(chosen, "size_bytes")
    if math.isnan(size) and len(chosen) and set(chosen["configuration"]) == {"base"}:
        size = 4 * mean(chosen, "model_parameters")
    return size


def pareto(table: pd.DataFrame, *, cost: str = "megabytes") -> pd.DataFrame:
    """The rows that no other beats: none costs as little or less and is as accurate or more (one of them strictly).
    By ascending cost; rows without either number are left out."""
    known = table.dropna(subset=[cost, "accuracy"]).sort_values([cost, "accuracy"], ascending=[True, False])
    best = known["accuracy"].cummax().shift(fill_value=-math.inf)
    return known[known["accuracy"] > best].reset_index(drop=True)


def bert_weights(hidden: int, layers: int, ffn: int, words: int, *, positions: int = 512,
                 classes: int = 3) -> dict[str, int]:
    """Numbers of weights of a BERT classifier by part: word table, other embeddings, encoder, pooler and classifier."""
    attention, feed_forward = 4 * (hidden * hidden + hidden), 2 * hidden * ffn + ffn + hidden
    return {"word table": words * hidden, "other embeddings": (positions + 2) * hidden + 2 * hidden,
            "encoder": layers * (attention + feed_forward + 4 * hidden),  # and two LayerNorms
            "pooler and classifier": hidden * hidden + hidden + classes * (hidden + 1)}


FAMILIES = {"09_pruning": "units pruned", "10_adaptive_iterative_pruning": "AIP", "11_quantization": "quantization",
            "12_distillation": "distillation", "13_quantization_distillation": "SQD"}
PLAIN = "integers without SQD"
CONTROLS = {"oneshot": "units pruned", "distilled": "distillation",  # of AIP, by another method
            "taylor-65-strong": "units pruned", "taylor-80-strong": "units pruned",  # of SQD, which starts from these
            "kd-small": "distillation", "kd-ptq": PLAIN, "qat": PLAIN}  # of SQD
METHODS = ("weights at zero", *FAMILIES.values(), PLAIN, "baseline")  # each keeps its colour, whichever are there


def families(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of `tradeoff.points` by method, the baseline first; methods without a row are left out.
    Weights set to zero and units cut out are two methods, although one chapter makes both; AIP's controls are not AIP,
    and SQD's are not SQD."""
    if table.empty:
        return {}
    family = table["configuration"].map(CONTROLS).fillna(table["experiment"].map(FAMILIES))
    family[table["configuration"].str.fullmatch(r"prune(-\w+)?")] = "weights at zero"
    family[table["configuration"] == "base"] = "baseline"
    return {name: table[family == name] for name in ("baseline", *METHODS[:-1]) if (family == name).any()}


FACTORIAL = ("what works", "file, MB", "times smaller", "product of each alone", "accuracy, points",
             "sum of each alone", "seeds")


def factorial(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells of the factorial (arms "factorial-…"; frame: of `results.load`) against the one in which nothing works:
    how many times smaller the file is, and the accuracy on development rows; beside them what each part does alone,
    multiplied and added up. Where a part has no record alone these are NaN. Without the cell of nothing: no rows."""
    cells = {}
    for name, runs in frame.groupby("configuration") if len(frame) else ():
        if name.startswith("factorial-"):
            chosen = one_setting(runs)
            cells[name.partition("-")[2]] = (mean(chosen, "size_bytes") / 1e6,
                                             100 * mean(chosen, "accuracy_development"), chosen["seed"].nunique())
    if "none" not in cells:
        return pd.DataFrame(columns=list(FACTORIAL))
    size, accuracy, runs = cells.pop("none")
    rows = [("none", size, 1.0, math.nan, 0.0, math.nan, runs)]
    for name, (megabytes, right, seeds) in sorted(cells.items(), key=lambda cell: cell[0].count("-")):
        alone = [cells.get(part, (math.nan,) * 3) for part in name.split("-")]
        product = math.prod(size / each for each, *_ in alone)
        rows.append((name.replace("-", " + "), megabytes, size / megabytes, product, right - accuracy,
                     sum(each - accuracy for _, each, _ in alone), seeds))
    return pd.DataFrame(rows, columns=list(FACTORIAL))
