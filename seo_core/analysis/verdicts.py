"""What the papers claim, as data, and the rule that turns our measurements into verdicts.

    from seo_core import results
    from seo_core.analysis import verdicts
    verdicts.audit(results.load())                     # one row per claim: verdict and number

Every entry names where it stands in its paper. Bib keys: `seollm2024` is SEO-LLM (preprints
202409.0662.v1), `sec2025` its revision (v3; same system and numbers, another name), `tkdnlp2024` TKD-NLP
(arXiv 2405.11704; known to us through a third party's summary), `bhat2024` Optimized BERT.

The verdict rule was fixed before any technique was run: see `verdict`. What each claim is measured
by (metric, configurations, claimed ratio or difference) was fixed with it, in `CLAIMS` below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from seo_core.analysis import NOT_RUN
from seo_core.analysis.contrasts import EVIDENCE, Contrast, Measurement, measure
from seo_core.analysis.papers import PAPER_COLUMNS, PAPER_TABLE, SETTING, ratio_to_base

# ---------------------------------------------------------------------------------------------
# The verdict rule

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly", "not reproduced"
NOT_TESTABLE = "not testable as stated"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, NOT_TESTABLE, NOT_RUN)


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
          _ratio("labels_used", "seo", "base", claimed=0.70), note="counted in labels, development slice included"),
    Claim("h-size", "67.6% smaller model", _BOTH, "abstract; Table 2",
          _ratio("size_bytes", "seo", "base", claimed=ratio_to_base("size_mb", "seo"))),
    Claim("h-speed", "inference up to 50% faster", _BOTH, "abstract; Table 3 of v3",
          _ratio("latency_ms_p50", "seo", "base", claimed=ratio_to_base("latency_ms", "seo")),
          note="read as Table 3 prints it, 150 → 80 ms per batch"),
    Claim("h-time", "training time −31%", _BOTH, "§IV-B of v1; §4.3 and §5 of v3; Table 1 of v1",
          _ratio("train_seconds", "seo", "base", claimed=ratio_to_base("training_hours", "seo"))),
    Claim("h-acc", "+1.7 points of accuracy over the baseline", _BOTH, "§III-D of v1, §4.6 of v3; Table 3 / 4",
          _points("seo", "base", claimed=1.7)),
    Claim("h-ppl", "perplexity 9.8 → 9.3", _BOTH, "§III-D of v1, §4.6 of v3; Table 3 / 4",
          (Contrast("perplexity", (("seo", 1.0), ("base", -1.0)), "difference", -1, 9.3 - 9.8),),
          reason=PERPLEXITY_REASON),
    Claim("h-quant2x", "quantized models are twice as fast", ("seollm2024",), "§III-D of v1",
          _ratio("latency_ms_p50", "quant", "base", claimed=0.5)),
    Claim("h-gap", "smaller gap between training and validation accuracy", _BOTH, "Fig. 2; §III-D of v1, §4.2 of v3",
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
    Claim("h-imbalance", "ADA and TAL help most on limited or imbalanced data", _BOTH, "§II-B of v1, §3.2 of v3",
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
    Claim("tkd-weight", "distillation weight too low: no transfer; too high: the student overfits the teacher",
          ("tkdnlp2024",), "summary, Mechanism 1, break condition",
          _points("kd-weight-middle", "kd-weight-low", "kd-weight-high")),
    Claim("tkd-temp", "effect of temperature 1, 2, 5", ("tkdnlp2024",), "summary, First 3 experiments",
          reason="no outcome is stated; the book reports the sweep"),
    Claim("tkd-amp", "AdamW with mixed precision converges faster in less memory", ("tkdnlp2024",),
          "summary, Mechanism 2", _ratio("train_seconds", "mixed-precision", "full-precision")
          + _ratio("peak_memory_bytes", "mixed-precision", "full-precision"), note="at equal accuracy"),
    Claim("tkd-prune-quant", "pruning and quantization shrink further; aggressive settings collapse",
          ("tkdnlp2024",), "summary, Mechanism 3", _ratio("size_bytes", "prune-quant", "kd")
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
                         ("accuracy_matched", "precision_macro_matched", "recall_macro_matched", "f1_macro")), ())),
    Claim("bd-memory", "memory −25% by magnitude pruning, then fine-tuning", ("bhat2024",),
          "abstract; Fig. 4", _ratio("peak_memory_bytes", "prune", "base", claimed=0.75)),
    Claim("bd-infer", "faster inference by int8 post-training quantization", ("bhat2024",), "Fig. 5",
          _ratio("latency_ms_p50", "quant", "base"), note="ONNX Runtime here, TensorFlow Lite in the paper"),
    Claim("bd-scale", "scales with data and GPUs", ("bhat2024",), "Fig. 6",
          _ratio("examples_per_second", "data-parallel-2", "data-parallel-1", direction=1)),
    Claim("bd-deploy", "deployable: REST API, container, orchestration, monitoring", ("bhat2024",), "methodology",
          reason="a property of the system, not a measured effect; the book ships and tests these parts"),
)


CLAIMS: tuple[Claim, ...] = HEADLINE_CLAIMS + MORE_CLAIMS + TKD_CLAIMS + BHAT_CLAIMS


def _table_claims() -> tuple[Claim, ...]:
    """Each cell of tables 1–4 against the baseline's, as a ratio or difference."""
    base, claims = PAPER_TABLE["base"], []
    measured_by = {"training_hours": "train_seconds", "size_mb": "size_bytes", "latency_ms": "latency_ms_p50"}
    for name, row in list(PAPER_TABLE.items())[1:]:
        gain = round(row.accuracy - base.accuracy, 6)
        cells = {column: (f"{PAPER_COLUMNS[column][0]} {getattr(base, column)} → {getattr(row, column)}",
                          _ratio(metric, name, "base", claimed=ratio_to_base(column, name)))
                 for column, metric in measured_by.items() if getattr(row, column) is not None}
        cells["accuracy"] = (f"accuracy {gain:+.1f} points",
                             _points(name, "base", claimed=gain, direction=1 if gain > 0 else -1))
        cells["perplexity"] = f"perplexity 9.8 → {row.perplexity}", (), PERPLEXITY_REASON
        claims += [Claim(f"table-{name}-{column}", f"{row.label}: {statement}", _BOTH, PAPER_COLUMNS[column][1], *how)
                   for column, (statement, *how) in cells.items()]
    return tuple(claims)


TABLE_CLAIMS: tuple[Claim, ...] = _table_claims()

# ---------------------------------------------------------------------------------------------
# From records to verdicts

_ORDER = (NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, NOT_TESTABLE)  # weakest first


def judge(claim: Claim, frame: pd.DataFrame,
          profiles: tuple[str, ...] = EVIDENCE) -> tuple[str, Contrast | None, Measurement | None]:
    """The verdict on one claim, and the contrast and measurement that decide it.

    A claim with several contrasts says that all hold: it is *not reproduced* as soon as one is not, *not run*
    while one lacks records, and otherwise has the weakest verdict among them.
    """
    if not claim.contrasts:
        return verdict(None, None, None, None, 1, reason=claim.reason), None, None
    judged = []
    for contrast in claim.contrasts:
        ours = measure(frame, contrast, profiles)
        outcome = verdict(*(ours[:3] if ours else (None, None, None)), contrast.claimed, contrast.direction,
                          contrast.no_effect, reason=claim.reason)
        gain = contrast.direction * (ours.estimate - contrast.no_effect) if ours else 0.0
        judged.append((_ORDER.index(outcome), gain, outcome, contrast, ours))
    return min(judged, key=lambda j: j[:2])[2:]


def _value(contrast: Contrast, *numbers: float) -> str:
    """"+1.70 points", "0.324 ×"; with an interval "+0.40 [−0.30, +1.10] points"."""
    shape = "{:.3f}" if contrast.kind == "ratio" else "{:+.2f}"
    estimate, *interval = (shape.format(x).replace("-", "−") for x in numbers)
    return f"{estimate}{f' [{interval[0]}, {interval[1]}]' if interval else ''} {contrast.unit}".strip()


def _claimed(contrast: Contrast | None) -> str:
    if contrast is None:
        return "—"
    if contrast.claimed is not None:
        return _value(contrast, contrast.claimed)
    return f"{'above' if contrast.direction > 0 else 'below'} {contrast.no_effect:g}"


def audit(frame: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS,
          profiles: tuple[str, ...] = EVIDENCE) -> pd.DataFrame:
    """One row per claim: id, statement, where it stands, the claimed and our value, the verdict.

    frame: from `results.load`. profiles: whose records count as evidence, in order of preference;
    the default leaves `quick` out. `note` holds the reason of *not testable as stated*, and says where an
    interval reaches the claimed value and no effect alike: such data do not settle the claim.
    """
    rows = []
    for claim in claims:
        outcome, contrast, ours = judge(claim, frame, profiles)
        notes = [claim.reason or claim.note, ours.note if ours else ""]
        if ours and not claim.reason and contrast.claimed is not None and outcome == REPRODUCED \
                and ours.low <= contrast.no_effect <= ours.high:
            notes.append("the interval contains no effect too: not settled")
        rows.append({
            "claim": claim.id, "statement": claim.statement, "papers": ", ".join(claim.papers),
            "source": claim.source, "measured by": str(contrast) if contrast else "—", "claimed": _claimed(contrast),
            "ours": _value(contrast, *ours[:1 if math.isnan(ours.low) else 3]) if ours else NOT_RUN,
            "n": ours.n if ours else 0, "verdict": outcome, "note": "; ".join(filter(None, notes)),
            "records": ours.study if ours else ""})
    return pd.DataFrame(rows)
