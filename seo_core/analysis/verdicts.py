"""What the papers claim (verdicts.yml), and the rule that turns our measurements into verdicts.

    verdicts.audit(results.load())                     # one row per claim: verdict and number

Bib keys: `seollm2024` is SEO-LLM (preprints 202409.0662.v1), `sec2025` its revision (v3; same system and numbers,
another name), `tkdnlp2024` TKD-NLP (arXiv 2405.11704; known to us through a third party's summary), `bhat2024`
Optimized BERT. The rule was fixed before any technique was run, and with it what each claim is measured by.
"""

import math
from typing import NamedTuple

import pandas as pd

from seo_core import files
from seo_core.analysis import NOT_RUN
from seo_core.analysis.contrasts import EVIDENCE, Contrast, Measurement, contrast_in, measure
from seo_core.analysis.papers import PAPER_COLUMNS, PAPER_TABLE, ratio_to_base

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


class Claim(NamedTuple):
    """One claim: what is said, where, how it is measured, or why it cannot be."""

    id: str
    statement: str
    papers: tuple[str, ...]
    source: str
    contrasts: tuple[Contrast, ...] = ()
    reason: str | None = None  # why it is not testable as stated
    note: str = ""


def _claims(group: str) -> tuple[Claim, ...]:
    """The claims of a group of verdicts.yml."""
    papers, *entries = _FACTS[group].items()
    found = []
    for name, said in entries:
        fields, contrasts = dict([papers]) | said, []
        for form, metric, names, *more in fields.pop("by", ()):
            options = dict(*more)
            if isinstance(options.get("claimed"), str):
                options["claimed"] = ratio_to_base(options["claimed"], names[0])
            contrasts.append(contrast_in(form, metric, names, **options))
        found.append(Claim(name, **fields | {"papers": tuple(fields["papers"]), "contrasts": tuple(contrasts)}))
    return tuple(found)


_FACTS = files.table(__file__)
HEADLINE_CLAIMS, MORE_CLAIMS, TKD_CLAIMS, BHAT_CLAIMS = map(_claims, ("headline", "more", "tkd", "bhat"))
CLAIMS: tuple[Claim, ...] = HEADLINE_CLAIMS + MORE_CLAIMS + TKD_CLAIMS + BHAT_CLAIMS


def _table_claims() -> tuple[Claim, ...]:
    """Each cell of tables 1–4 against the baseline's, as a ratio or difference."""
    base, claims = PAPER_TABLE["base"], []
    measured_by = {"training_hours": "train_seconds", "size_mb": "size_bytes", "latency_ms": "latency_ms_p50"}
    for name, row in list(PAPER_TABLE.items())[1:]:
        gain = round(row.accuracy - base.accuracy, 6)
        cells = {column: (f"{PAPER_COLUMNS[column][0]} {getattr(base, column)} → {getattr(row, column)}",
                          (contrast_in("ratio", metric, (name, "base"), claimed=ratio_to_base(column, name)),))
                 for column, metric in measured_by.items() if getattr(row, column) is not None}
        more = contrast_in("points", "accuracy_matched", (name, "base"), claimed=gain, direction=1 if gain > 0 else -1)
        cells["accuracy"] = f"accuracy {gain:+.1f} points", (more,)
        cells["perplexity"] = f"perplexity 9.8 → {row.perplexity}", (), _FACTS["reasons"]["perplexity"]
        claims += [Claim(f"table-{name}-{column}", f"{row.label}: {statement}", tuple(_FACTS["headline"]["papers"]),
                         PAPER_COLUMNS[column][1], *how) for column, (statement, *how) in cells.items()]
    return tuple(claims)


TABLE_CLAIMS: tuple[Claim, ...] = _table_claims()


_ORDER = (NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED, NOT_TESTABLE)  # weakest first


def judge(claim: Claim, frame: pd.DataFrame,
          profiles: tuple[str, ...] = EVIDENCE) -> tuple[str, Contrast | None, Measurement | None]:
    """The verdict on one claim, and the contrast and measurement that decide it.
    A claim with several contrasts says that all hold: it is *not reproduced* as soon as one is not, *not run* while one
    lacks records, and otherwise has the weakest verdict among them."""
    if not claim.contrasts:
        return verdict(None, None, None, None, 1, reason=claim.reason), None, None
    judged = []
    for each in claim.contrasts:
        ours = measure(frame, each, profiles)
        outcome = verdict(*(ours[:3] if ours else (None, None, None)), each.claimed, each.direction, each.no_effect,
                          reason=claim.reason)
        gain = each.direction * (ours.estimate - each.no_effect) if ours else 0.0
        judged.append((_ORDER.index(outcome), gain, outcome, each, ours))
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
    frame: from `results.load`. profiles: whose records count as evidence, in order of preference; the default leaves
    `quick` out. `note` holds the reason of *not testable as stated*, and says where an interval reaches the claimed
    value and no effect alike: such data do not settle the claim."""
    rows = []
    for claim in claims:
        outcome, decides, ours = judge(claim, frame, profiles)
        notes = [claim.reason or claim.note, ours.note if ours else ""]
        if ours and not claim.reason and decides.claimed is not None and outcome == REPRODUCED \
                and ours.low <= decides.no_effect <= ours.high:
            notes.append("the interval contains no effect too: not settled")
        rows.append({
            "claim": claim.id, "statement": claim.statement, "papers": ", ".join(claim.papers), "source": claim.source,
            "measured by": str(decides) if decides else "—", "claimed": _claimed(decides),
            "ours": _value(decides, *ours[:1 if math.isnan(ours.low) else 3]) if ours else NOT_RUN,
            "n": ours.n if ours else 0, "verdict": outcome, "note": "; ".join(filter(None, notes)),
            "records": ours.study if ours else ""})
    return pd.DataFrame(rows)
