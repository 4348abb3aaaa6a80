"""What the papers say, as data, and the rule that turns our measurements into verdicts.

    from seo_core import claims, results
    claims.audit(results.load())                       # one row per claim: verdict and number

Every entry names where it stands in its paper. Bib keys: `seollm2024` is SEO-LLM (preprints
202409.0662.v1), `sec2025` its revision (v3; same system and numbers, another name), `tkdnlp2024` TKD-NLP
(arXiv 2405.11704; known to us through a third party's summary), `bhat2024` Optimized BERT.

The verdict rule was fixed before any technique was run: see `verdict`. What each claim is measured
by (metric, configurations, claimed ratio or difference) was fixed with it, in `CLAIMS` below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seo_core import results
from seo_core.analysis import statistics
from seo_core.analysis.papers import PAPER_COLUMNS, PAPER_TABLE, SETTING, _paper_ratio

if TYPE_CHECKING:
    import pandas as pd


# ---------------------------------------------------------------------------------------------
# The verdict rule

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
NOT_TESTABLE, NOT_RUN = "not testable as stated", "not run"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_TESTABLE, NOT_RUN)
EVIDENCE = ("paper", "gpu", "cpu")  # profiles whose records count; `quick` shows that the code runs


def verdict(estimate: float | None, low: float | None, high: float | None, claimed: float | None,
            direction: int, no_effect: float = 0.0, *, reason: str | None = None) -> str:
    """The verdict on one measured effect and its 95% interval [low, high].

    claimed: the papers' ratio or difference, on the side of `no_effect` that `direction` (+1 above,
    −1 below) says; None where they name a direction only.

    - *reproduced*: the interval reaches the claimed value, or lies beyond it; with no claimed value, it
      excludes no effect on the claimed side;
    - *partly*: it excludes no effect on the claimed side, but does not reach the claimed value;
    - *not reproduced*: otherwise;
    - *not testable as stated*: `reason` says why; *not run*: no estimate, or no interval around it.

    Raises ValueError for numbers that contradict one another.
    """
    if reason:
        return NOT_TESTABLE
    if estimate is None or low is None or high is None or any(map(math.isnan, (estimate, low, high))):
        return NOT_RUN
    if direction not in (1, -1):
        raise ValueError(f"direction must be +1 or -1, not {direction!r}")
    if not low <= high:
        raise ValueError(f"the interval [{low}, {high}] ends before it starts")
    if claimed is not None and direction * (claimed - no_effect) <= 0:
        raise ValueError(f"the claimed value {claimed} is not on the claimed side of {no_effect}")
    near, far = (low, high) if direction > 0 else (high, low)  # the ends next to and away from no effect
    excludes_no_effect = direction * (near - no_effect) > 0
    if claimed is None:
        return REPRODUCED if excludes_no_effect else NOT_REPRODUCED
    if direction * (far - claimed) >= 0:
        return REPRODUCED
    return PARTLY if excludes_no_effect else NOT_REPRODUCED


# ---------------------------------------------------------------------------------------------
# Claims


@dataclass(frozen=True)
class Contrast:
    """How a claim is measured: `metric` (a column of `results.load`) over configurations.

    difference: Σ coefficient × metric, times `scale`; ratio: first configuration over second.
    """

    metric: str
    terms: tuple[tuple[str, float], ...]
    kind: str  # "difference" | "ratio"
    direction: int
    claimed: float | None = None
    no_effect: float = 0.0
    scale: float = 1.0
    unit: str = ""

    def __str__(self) -> str:
        names = [name for name, _ in self.terms]
        if self.kind == "ratio":
            return f"{self.metric}: {names[0]} / {names[1]}"
        signs = " ".join(f"{'+' if c > 0 else '−'} {name}" for name, c in self.terms).removeprefix("+ ")
        return f"{self.metric}: {signs}"


@dataclass(frozen=True)
class Claim:
    """One claim: what is said, where, how it is measured, or why it cannot be."""

    id: str
    statement: str
    papers: tuple[str, ...]
    source: str
    contrasts: tuple[Contrast, ...] = ()
    reason: str | None = None  # why it is not testable as stated
    note: str = ""


def _points(minuend: str, *subtrahends: str, claimed=None, metric="accuracy_matched", direction=1,
            no_effect=0.0):
    """Contrasts of a fraction in percentage points: one configuration against each of the others."""
    return tuple(Contrast(metric, ((minuend, 1.0), (other, -1.0)), "difference", direction, claimed,
                          no_effect, 100.0, "points") for other in subtrahends)


def _ratio(metric: str, above: str, below: str, claimed=None, direction=-1):
    return (Contrast(metric, ((above, 1.0), (below, -1.0)), "ratio", direction, claimed, 1.0, unit="×"),)


_BOTH = ("seollm2024", "sec2025")
PERPLEXITY_REASON = (
    f"a perplexity of {PAPER_TABLE['base'].perplexity} is not that of a {SETTING['classes']}-class "
    f"classifier at {PAPER_TABLE['base'].accuracy}% (uniform guessing gives {SETTING['classes']}.0), and the "
    "papers do not say what it was computed on; the book reports exp(mean cross-entropy)")


_GLUE_REASON = ("no mix of GLUE's nine tasks is stated, five can be had here, and the text at hand is a "
                "third party's summary; the value lies above every published GLUE average")


_PARTS = ("da", "tl", "al", "ssl", "prune", "quant", "kd")

HEADLINE_CLAIMS = (
    Claim("h-data", "30% less training data", _BOTH, "abstract (v1, v3); in no table",
          _ratio("labels_used", "seo", "base", claimed=0.70),
          note="counted in labels, development slice included"),
    Claim("h-size", "67.6% smaller model", _BOTH, "abstract; Table 2",
          _ratio("size_bytes", "seo", "base", claimed=_paper_ratio("size_mb", "seo"))),
    Claim("h-speed", "inference up to 50% faster", _BOTH, "abstract; Table 3 of v3",
          _ratio("latency_ms_p50", "seo", "base", claimed=_paper_ratio("latency_ms", "seo")),
          note="read as Table 3 prints it, 150 → 80 ms per batch"),
    Claim("h-time", "training time −31%", _BOTH, "§IV-B of v1; §4.3 and §5 of v3; Table 1 of v1",
          _ratio("train_seconds", "seo", "base", claimed=_paper_ratio("training_hours", "seo"))),
    Claim("h-acc", "+1.7 points of accuracy over the baseline", _BOTH,
          "§III-D of v1, §4.6 of v3; Table 3 / 4",
          _points("seo", "base", claimed=1.7)),
    Claim("h-ppl", "perplexity 9.8 → 9.3", _BOTH, "§III-D of v1, §4.6 of v3; Table 3 / 4",
          (Contrast("perplexity", (("seo", 1.0), ("base", -1.0)), "difference", -1, 9.3 - 9.8),),
          reason=PERPLEXITY_REASON),
    Claim("h-quant2x", "quantized models are twice as fast", ("seollm2024",), "§III-D of v1",
          _ratio("latency_ms_p50", "quant", "base", claimed=0.5)),
    Claim("h-gap", "smaller gap between training and validation accuracy", _BOTH,
          "Fig. 2; §III-D of v1, §4.2 of v3",
          _points("seo", "base", metric="generalization_gap", direction=-1, claimed=-1.0),
          note="gap at the end of the curves: 84.5 − 83.5 against 83 − 81"),
    Claim("h-conv", "faster initial convergence", _BOTH, "Fig. 2; §III-D of v1, §4.2 of v3",
          _points("seo", "base", metric="first_development_accuracy"),
          note="development accuracy at the first evaluation"),
    Claim("h-weights", "pruning removes the small weights from a bell curve and keeps its shape",
          ("seollm2024",), "Fig. 4; §IV-C of v1",
          (Contrast("weight_shape_overlap", (("prune", 1.0),), "difference", 1, None, 0.9),),
          note="overlap of the weight histograms before and after; below 0.9 the shape is not kept"),
    Claim("h-synergy", "the combination beats each part", _BOTH, "Table 3 / 4 and the text beside it",
          _points("seo", *_PARTS), note="decided by the strongest part"),
    Claim("h-controller", "dynamic λ beats leaving λ out", _BOTH, "§II-D of v1, §3.4 of v3",
          _points("seo", "seo-lambda-absent", "seo-lambda-fixed")),
)


MORE_CLAIMS = (
    Claim("h-interaction", "data optimization offsets what compression loses", ("sec2025",), "§2 of v3",
          (Contrast("accuracy_matched", (("seo", 1.0), ("data-only", -1.0), ("compression-only", -1.0),
                                         ("base", 1.0)), "difference", 1, None, 0.0, 100.0, "points"),),
          note="2 × 2: data module on/off × compression module on/off"),
    Claim("h-robust", "augmentation makes the model more robust", ("seollm2024",), "§III-B of v1",
          _points("da", "base", metric="robust_accuracy"), note="accuracy on perturbed texts"),
    Claim("h-imbalance", "ADA and TAL help most on limited or imbalanced data", _BOTH,
          "§II-B of v1, §3.2 of v3",
          (Contrast("accuracy_matched", (("adatal-limited", 1.0), ("base-limited", -1.0), ("adatal", -1.0),
                                         ("base", 1.0)), "difference", 1, None, 0.0, 100.0, "points"),),
          note="TAL starts from a source task, which the baselines lack: the control with it is in the chapter on ADA"),
    Claim("h-plateau", "active learning runs until its gains level off", ("seollm2024",), "§III-B of v1",
          reason="a stopping rule, not an effect: no threshold, no number of rounds and no gain are stated; "
                 "the book uses the rule with a threshold of its own and shows the curve"),
    Claim("h-scale", "works for all types and sizes of language model", _BOTH, "§II-A of v1, §3.1 of v3",
          reason="a statement about all models, backed by one model on one task"),
)


TKD_CLAIMS = (
    Claim("tkd-acc", "98.32% accuracy on GLUE", ("tkdnlp2024",), "summary, Key Results", reason=_GLUE_REASON),
    Claim("tkd-f1", "97.14% F1 on GLUE", ("tkdnlp2024",), "summary, Key Results", reason=_GLUE_REASON),
    Claim("tkd-kd", "distillation keeps accuracy with fewer parameters", ("tkdnlp2024",),
          "summary, Mechanism 1", _points("kd", "base", claimed=0.0, no_effect=-1.0),
          note="kept: no loss against the teacher; partly: less than one point lost"),
    Claim("tkd-weight",
          "distillation weight too low: no transfer; too high: the student overfits the teacher",
          ("tkdnlp2024",), "summary, Mechanism 1, break condition",
          _points("kd-weight-middle", "kd-weight-low", "kd-weight-high")),
    Claim("tkd-temp", "effect of temperature 1, 2, 5", ("tkdnlp2024",), "summary, First 3 experiments",
          reason="no outcome is stated; the book reports the sweep"),
    Claim("tkd-amp", "AdamW with mixed precision converges faster in less memory", ("tkdnlp2024",),
          "summary, Mechanism 2", _ratio("train_seconds", "mixed-precision", "full-precision")
          + _ratio("peak_memory_bytes", "mixed-precision", "full-precision"), note="at equal accuracy"),
    Claim("tkd-prune-quant", "pruning and quantization shrink further; aggressive settings collapse",
          ("tkdnlp2024",), "summary, Mechanism 3",
          _ratio("size_bytes", "prune-quant", "kd")
          + _points("prune-quant-aggressive", "prune-quant", claimed=None, direction=-1)),
    Claim("tkd-adamw", "AdamW converges faster", ("tkdnlp2024",), "summary, Mechanism 2",
          _points("adamw", "sgd-momentum", metric="first_development_accuracy"),
          note="the contrast is SGD with momentum, tuned as often"),
)


BHAT_CLAIMS = (
    Claim("bd-time", "training time −30% by mixed precision with dynamic loss scaling", ("bhat2024",),
          "abstract; Fig. 2", _ratio("train_seconds", "mixed-precision", "full-precision", claimed=0.70)),
    Claim("bd-metrics", "accuracy, precision, recall and F1 improve by hyperparameter search", ("bhat2024",),
          "Fig. 3", sum((_points("tuned", "base", metric=metric) for metric in
                         ("accuracy_matched", "precision_macro_matched",
                          "recall_macro_matched", "f1_macro")), ())),
    Claim("bd-memory", "memory −25% by magnitude pruning, then fine-tuning", ("bhat2024",),
          "abstract; Fig. 4", _ratio("peak_memory_bytes", "prune", "base", claimed=0.75)),
    Claim("bd-infer", "faster inference by int8 post-training quantization", ("bhat2024",), "Fig. 5",
          _ratio("latency_ms_p50", "quant", "base"), note="ONNX Runtime here, TensorFlow Lite in the paper"),
    Claim("bd-scale", "scales with data and GPUs", ("bhat2024",), "Fig. 6",
          _ratio("examples_per_second", "data-parallel-2", "data-parallel-1", direction=1)),
    Claim("bd-deploy", "deployable: REST API, container, orchestration, monitoring", ("bhat2024",),
          "methodology",
          reason="a property of the system, not a measured effect; the book ships and tests these parts"),
)


CLAIMS: tuple[Claim, ...] = HEADLINE_CLAIMS + MORE_CLAIMS + TKD_CLAIMS + BHAT_CLAIMS


def _table_claims() -> tuple[Claim, ...]:
    """Each cell of tables 1–4 against the baseline's, as a ratio or difference."""
    found = []
    for name, row in PAPER_TABLE.items():
        if name == "base":
            continue
        for column, metric in (("training_hours", "train_seconds"), ("size_mb", "size_bytes"),
                               ("latency_ms", "latency_ms_p50")):
            if getattr(row, column) is not None:
                found.append(Claim(f"table-{name}-{column}", f"{row.label}: {PAPER_COLUMNS[column][0]} "
                                   f"{getattr(PAPER_TABLE['base'], column)} → {getattr(row, column)}", _BOTH,
                                   PAPER_COLUMNS[column][1],
                                   _ratio(metric, name, "base", claimed=_paper_ratio(column, name))))
        gain = round(row.accuracy - PAPER_TABLE["base"].accuracy, 6)
        found.append(Claim(f"table-{name}-accuracy", f"{row.label}: accuracy {gain:+.1f} points", _BOTH,
                           PAPER_COLUMNS["accuracy"][1],
                           _points(name, "base", claimed=gain, direction=1 if gain > 0 else -1)))
        found.append(Claim(f"table-{name}-perplexity", f"{row.label}: perplexity 9.8 → {row.perplexity}",
                           _BOTH, PAPER_COLUMNS["perplexity"][1], reason=PERPLEXITY_REASON))
    return tuple(found)


TABLE_CLAIMS: tuple[Claim, ...] = _table_claims()

# ---------------------------------------------------------------------------------------------
# From records to verdicts


class Measurement(NamedTuple):
    """Our side of a contrast: estimate and 95% interval (NaN: none), seeds, where it comes from."""

    estimate: float
    low: float
    high: float
    n: int
    study: str  # profile, data and model
    note: str = ""


_EXACT = ("size_bytes", "labels_used", "train_examples", "model_parameters")  # no spread between equal runs
_PAIRED = {"accuracy_matched": "validation_matched_correct",
           "accuracy_mismatched": "validation_mismatched_correct"}


def with_gap(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds `generalization_gap` = last training minus last development accuracy, where both are known."""
    ends = ("final_train_accuracy", "final_development_accuracy")
    if "generalization_gap" in frame or not set(ends) <= set(frame.columns):
        return frame
    return frame.assign(generalization_gap=frame[ends[0]] - frame[ends[1]])


def _studies(rows: pd.DataFrame, wanted: set[str]):
    """Sets of records that may be compared: same profile, data, model, and same experiment, and at an equal number of
    labels where that has all configurations; if no experiment has them all, different ones with equal epochs and
    training rows."""
    for _, same in rows.groupby(["profile", "data_name", "model_name"], sort=False):
        whole = [g for _, g in same.groupby("experiment") if wanted <= set(g["configuration"])]
        for group in whole:
            parts = [g for _, g in group.groupby("labels")] if "labels" in group else []
            yield from [g for g in parts if wanted <= set(g["configuration"])][::-1] or [group]  # most labels first
        if whole:
            continue
        scale = [c for c in ("param_epochs", "param_train_rows") if c in same]
        for _, group in same.groupby(scale, dropna=False) if scale else [((), same)]:
            if wanted <= set(group["configuration"]):
                yield group


def one_setting(rows: pd.DataFrame) -> pd.DataFrame:
    """Of the records of each configuration, those of one experiment and one set of parameters: the set
    with most seeds, then with most labels, then the latest. (The data may differ by seed: the generator is
    seeded.)"""
    if rows.empty:
        return rows
    identity = ["experiment", "profile", "data_name", "model_name"]
    settings = rows[identity + [c for c in rows if c.startswith("param_")]]
    setting = settings.astype(object).map(str).agg("|".join, axis=1)  # astype(str) would leave NaN as it is
    kept = []
    for _, group in rows.groupby("configuration", sort=False):
        sets = [g for _, g in group.groupby(setting[group.index])]
        best = max(sets, key=lambda g: (g["seed"].nunique(), g["labels_used"].max(), g["finished"].max()))
        kept += list(best.sort_values("finished").drop_duplicates("seed", keep="last").index)
    return rows.loc[sorted(kept)]


def measure(frame: pd.DataFrame, contrast: Contrast, profiles: tuple[str,
                                                                     ...] = EVIDENCE) -> Measurement | None:
    """The contrast over the records of `results.load`, paired by seed and data; None without records.

    Profiles are tried in the order given; within one, the study with most seeds counts. Accuracies whose
    per-example correctness was kept are paired by example too (`results.paired_difference`); everything
    else has a t interval over seeds, ratios in logarithms. One seed without examples has no interval.
    """
    frame, wanted = with_gap(frame), {name for name, _ in contrast.terms}
    if contrast.metric not in frame:
        return None
    rows = frame[frame["configuration"].isin(wanted) & frame[contrast.metric].notna()]
    for profile in profiles:
        found = [m for study in _studies(rows[rows["profile"] == profile], wanted)
                 if (m := _measure_study(one_setting(study), contrast)) is not None]
        if found:
            return max(found, key=lambda m: m.n)
    return None


def _measure_study(rows: pd.DataFrame, contrast: Contrast) -> Measurement | None:
    keys = ["seed", "data_fingerprint"]
    values = rows.pivot_table(index=keys, columns="configuration", values=contrast.metric, aggfunc="last")
    values = values.dropna().astype(float)
    if values.empty:
        return None
    names = [name for name, _ in contrast.terms]
    where = " · ".join(rows.iloc[0][["profile", "data_name", "model_name"]])
    if "labels" in rows and rows["labels"].nunique() == 1 and rows["labels"].notna().all():
        where += f" · {rows['labels'].iloc[0]:.0f} labels"
    if contrast.kind == "ratio":
        logs = (values[names[0]] / values[names[1]]).map(math.log)
        timed = contrast.metric == "latency_ms_p50" and _by_round(rows, values.index, names)
        interval = [math.exp(x) for x in (timed or statistics.mean_interval(logs))[:3]]
    else:
        each = sum(coefficient * values[name] for name, coefficient in contrast.terms)
        interval = [contrast.scale * x for x in
                    (_by_example(rows, values.index, contrast) or statistics.mean_interval(each))[:3]]
    if math.isnan(interval[1]) and contrast.metric in _EXACT:
        interval[1:] = [interval[0]] * 2
    note = "one seed: no interval" if math.isnan(interval[1]) else ""
    return Measurement(*interval, len(values), where, note)


def _by_example(rows: pd.DataFrame, units, contrast: Contrast) -> statistics.Interval | None:
    """Hierarchical bootstrap where every record kept which examples it got right: of each example's sum of
    coefficient × right or wrong, whose positive terms are one side and the negative ones the other."""
    split = _PAIRED.get(contrast.metric)
    if split is None:
        return None
    by_key = rows.set_index(["configuration", "seed", "data_fingerprint"])["path"]
    sides = {True: 0.0, False: 0.0}
    sizes = set()
    for name, coefficient in contrast.terms:
        kept = [results.predictions(by_key.loc[[(name, *unit)]].iloc[-1]).get(split) for unit in units]
        if any(k is None for k in kept) or len({len(k) for k in kept}) > 1:
            return None
        sizes.add(len(kept[0]))
        if len(sizes) > 1:
            return None
        sides[coefficient > 0] = sides[coefficient > 0] + abs(coefficient) * np.stack(kept)
    if any(np.ndim(side) == 0 for side in sides.values()):
        return None
    same_data = len({fingerprint for _, fingerprint in units}) == 1
    return statistics.paired_difference(sides[True], sides[False], shared_examples=same_data)


def _by_round(rows: pd.DataFrame, units, names: list[str]) -> statistics.Interval | None:
    """Log ratio of two contestants of one benchmark run, round by round; None unless one run is all there is."""
    if len(units) > 1 or set(rows["experiment"]) != {"tab3_inference_speed"}:
        return None
    paths = [rows.loc[rows["configuration"] == name, "path"].iloc[-1] for name in names]
    first, second = (results.record_at(path)["series"].get("round_ms") for path in paths)
    if not first or not second or len(first) != len(second):
        return None
    return statistics.mean_interval([math.log(a / b) for a, b in zip(first, second, strict=True)])


_ORDER = (NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, NOT_TESTABLE)  # weakest first


def judge(claim: Claim, frame: pd.DataFrame, profiles: tuple[str, ...] = EVIDENCE) -> dict:
    """The verdict on one claim, and the contrast and measurement that decide it.

    A claim with several contrasts says that all hold: it is *not reproduced* as soon as one is not, *not run*
    while one lacks records, and otherwise has the weakest verdict among them.
    """
    judged = []
    for contrast in claim.contrasts:
        found = measure(frame, contrast, profiles)
        interval = found[:3] if found else (None, None, None)
        outcome = verdict(*interval, contrast.claimed, contrast.direction, contrast.no_effect,
                          reason=claim.reason)
        gain = contrast.direction * (found.estimate - contrast.no_effect) if found else 0.0
        judged.append((_ORDER.index(outcome), gain, outcome, contrast, found))
    if not judged:
        outcome = verdict(None, None, None, None, 1, reason=claim.reason)
        return {"verdict": outcome, "contrast": None, "found": None}
    _, _, outcome, contrast, found = min(judged, key=lambda j: j[:2])
    return {"verdict": outcome, "contrast": contrast, "found": found}


def _value(contrast: Contrast, *numbers: float) -> str:
    """"+1.70 points", "0.324 ×"; with an interval "+0.40 [−0.30, +1.10] points"."""
    shape = "{:.3f}" if contrast.kind == "ratio" else "{:+.2f}"
    estimate, *interval = (shape.format(x).replace("-", "−") for x in numbers)
    return f"{estimate}{f' [{interval[0]}, {interval[1]}]' if interval else ''} {contrast.unit}".strip()


def audit(frame: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS,
          profiles: tuple[str, ...] = EVIDENCE) -> pd.DataFrame:
    """One row per claim: id, statement, where it stands, the claimed and our value, the verdict.

    frame: from `results.load`. profiles: whose records count as evidence, in order of preference;
    the default leaves `quick` out. `note` holds the reason of *not testable as stated*, and says where an
    interval reaches the claimed value and no effect alike: such data do not settle the claim.
    """
    import pandas as pd

    rows = []
    for claim in claims:
        judged = judge(claim, frame, profiles)
        contrast, found = judged["contrast"], judged["found"]
        notes = [claim.reason or claim.note, found.note if found else ""]
        if found and not claim.reason and contrast.claimed is not None and not math.isnan(found.low) \
                and found.low <= contrast.no_effect <= found.high and judged["verdict"] == REPRODUCED:
            notes.append("the interval contains no effect too: not settled")
        ours = NOT_RUN if not found else _value(contrast, *(
            found[:1] if math.isnan(found.low) else found[:3]))
        rows.append({
            "claim": claim.id, "statement": claim.statement, "papers": ", ".join(claim.papers),
            "source": claim.source, "measured by": str(contrast) if contrast else "—",
            "claimed": "—" if contrast is None else
            (_value(contrast, contrast.claimed) if contrast.claimed is not None else
             f"{'above' if contrast.direction > 0 else 'below'} {contrast.no_effect:g}"),
            "ours": ours, "n": found.n if found else 0, "verdict": judged["verdict"],
            "note": "; ".join(filter(None, notes)), "records": found.study if found else ""})
    return pd.DataFrame(rows)
