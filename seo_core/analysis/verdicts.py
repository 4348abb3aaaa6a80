"""What the papers claim (verdicts.yml), and the rule that turns our measurements into verdicts.

    verdicts.audit(results.load())                     # one row per claim: verdict and number
    verdicts.entries(results.load())                   # the same with all evidence: book/claims.json

Bib keys: `seollm2024` is SEO-LLM (preprints 202409.0662.v1), `sec2025` its revision (v3; same system and numbers,
another name), `tkdnlp2024` TKD-NLP (arXiv 2405.11704; known to us through a third party's summary), `bhat2024`
Optimized BERT. What most claims are measured by was fixed before any technique was run. The rule is of `RULE_DATE`,
when the first records were known; the one before it is kept as `former`, and pages show both.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from seo_core import files, results
from seo_core.analysis import NOT_RUN, glue
from seo_core.analysis.contrasts import (
    EVIDENCE,
    Contrast,
    Measurement,
    contrast_in,
    measure,
    with_gap,
)
from seo_core.analysis.papers import PAPER_COLUMNS, PAPER_TABLE, ratio_to_base

RULE_DATE = "2026-11-29"  # since 2026-12-01 one seed settles nothing that differs by seed, however many its examples
REPRODUCED, BETTER, PARTLY, NOT_SETTLED = "reproduced", "better than claimed", "partly", "not settled"
NOT_REPRODUCED, CONFOUNDED, NOT_TESTABLE = "not reproduced", "confounded", "not testable as stated"
VERDICTS = (REPRODUCED, BETTER, PARTLY, NOT_SETTLED, NOT_REPRODUCED, CONFOUNDED, NOT_TESTABLE, NOT_RUN)
TIERS = ("exploratory", "controlled", "confirmed")
_SEALED = "on development rows, since the official sets are sealed from one of its arms (book/final.yml)"
CONTROLLED_SEEDS = 3  # fewer stay exploratory, whatever they are compared with


def verdict(estimate: float | None, low: float | None, high: float | None, claimed: float | None,
            direction: int, no_effect: float = 0.0, *, reason: str | None = None, loss: bool = False) -> str:
    """The verdict on one measured effect and its 95% interval [low, high].

    claimed: the papers' ratio or difference, on the side of `no_effect` that `direction` (+1 above,
    −1 below) says; None where they name a direction only. loss: what is claimed is a cost, so less of it is better.

    - *reproduced*: the interval excludes no effect on the claimed side, and reaches the claimed value or lies beyond
      it. A claimed loss has to lie within it;
    - *better than claimed*: all of the interval is a smaller loss than the claimed one, or none;
    - *partly*: it excludes no effect on the claimed side, but does not reach the claimed value;
    - *not settled*: it holds no effect and the claimed value (or side) alike; or one seed has none over seeds;
    - *not reproduced*: otherwise: it lies on the other side, or holds no effect and excludes the value, or the loss is
      larger;
    - *not testable as stated*: `reason` says why; *not run*: no estimate.

    Raises ValueError for numbers that contradict one another.
    """
    if reason:
        return NOT_TESTABLE
    if estimate is None or math.isnan(estimate):
        return NOT_RUN
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NOT_SETTLED
    near, far = _ends(low, high, claimed, direction, no_effect)
    excludes_no_effect = direction * (near - no_effect) > 0
    reaches = direction * (far - (no_effect if claimed is None else claimed)) >= 0
    if loss:
        if not reaches:
            return BETTER
        if direction * (near - claimed) > 0:
            return NOT_REPRODUCED
        return REPRODUCED if excludes_no_effect else NOT_SETTLED
    if excludes_no_effect:
        return REPRODUCED if reaches else PARTLY
    return NOT_SETTLED if reaches else NOT_REPRODUCED


def _ends(low: float, high: float, claimed: float | None, direction: int, no_effect: float) -> tuple[float, float]:
    """The ends of an interval next to and away from no effect; ValueError where the numbers contradict one another."""
    if direction not in (1, -1):
        raise ValueError(f"direction must be +1 or -1, not {direction!r}")
    if not low <= high:
        raise ValueError(f"the interval [{low}, {high}] ends before it starts")
    if claimed is not None and direction * (claimed - no_effect) <= 0:
        raise ValueError(f"the claimed value {claimed} is not on the claimed side of {no_effect}")
    return (low, high) if direction > 0 else (high, low)


class Claim(NamedTuple):
    """One claim: what is said, where, how it is measured, or why it cannot be."""

    id: str
    statement: str
    papers: tuple[str, ...]
    source: str
    contrasts: tuple[Contrast, ...] = ()
    reason: str | None = None  # why it is not testable as stated
    note: str = ""
    loss: bool = False  # a cost is claimed: less of it is better
    confounded: str = ""  # in what else the arms of `contrasts` differ
    controlled: tuple[Contrast, ...] = ()  # then these decide: same source task, or as many pairs seen
    equal: bool = False  # `contrasts` is of equal labels, source task and pairs seen as it stands
    before: str | None = None  # the former verdict, where what is measured has changed since; "" for a later claim


def _claims(group: str) -> tuple[Claim, ...]:
    """The claims of a group of verdicts.yml."""
    papers, *entries = _FACTS[group].items()
    found = []
    for name, said in entries:
        fields = dict([papers]) | said
        measured = {key: _contrasts(fields.pop(word, ())) for word, key in (("by", "contrasts"),
                                                                             ("control", "controlled"))}
        found.append(Claim(name, **fields | measured | {"papers": tuple(fields["papers"])}))
    return tuple(found)


def _contrasts(entries: Iterable) -> tuple[Contrast, ...]:
    found = []
    for form, metric, names, *more in entries:
        options = dict(*more)
        if isinstance(options.get("claimed"), str):
            options["claimed"] = ratio_to_base(options["claimed"], names[0])
        found.append(contrast_in(form, metric, names, **options))
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
        for column, (statement, *how) in cells.items():
            about = dict(_FACTS["cells"].get(f"{name}-{column}", {}))
            about["controlled"] = _contrasts(about.pop("control", ()))
            if metric := about.pop("metric", None):
                how = [tuple(each._replace(metric=metric) for each in how[0])]
            claims.append(Claim(f"table-{name}-{column}", f"{row.label}: {statement}",
                                tuple(_FACTS["headline"]["papers"]), PAPER_COLUMNS[column][1], *how,
                                loss=column == "accuracy" and gain < 0, **about))
    return tuple(claims)


TABLE_CLAIMS: tuple[Claim, ...] = _table_claims()


class Judged(NamedTuple):
    """The verdict on one contrast at one number of labels; None: the contrast is of runs that bought none."""

    verdict: str
    contrast: Contrast
    ours: Measurement | None = None
    labels: int | None = None

    @property
    def gain(self) -> float:
        """Our effect, counted towards what is claimed; 0 without one."""
        return self.contrast.direction * (self.ours.estimate - self.contrast.no_effect) if self.ours else 0.0


class Judgement(NamedTuple):
    """The verdict on a claim. `each` has the contrast that decides first; `uncontrolled` is the claim as it is worded,
    where a controlled contrast decides in its place."""

    verdict: str
    tier: str | None
    each: tuple[Judged, ...] = ()
    uncontrolled: tuple[Judged, ...] = ()

    @property
    def decides(self) -> Judged | None:
        """What decides; None where nothing can."""
        return next(iter(self.each), None)


_ORDER = (NOT_REPRODUCED, NOT_SETTLED, PARTLY, REPRODUCED, BETTER, CONFOUNDED, NOT_TESTABLE, NOT_RUN)  # weakest first


def judge(claim: Claim, frame: pd.DataFrame, profiles: tuple[str, ...] = EVIDENCE) -> Judgement:
    """The verdict on one claim, at each number of labels that its configurations share.
    All of its contrasts have to hold at each number of labels: the weakest verdict is the claim's. A contrast without
    records leaves a claim whose other contrasts have some *not settled*. A confounded claim is judged by its controlled
    contrasts, and is *confounded* where these have no records. Claims of SEO-LLM and SEC are about MNLI, and what was
    run on another task of GLUE is no evidence for them."""
    frame = _suited(claim, frame)
    plain, held = ([j for each in contrasts for j in _at_each_budget(claim, each, frame, profiles)]
                   for contrasts in (claim.contrasts, claim.controlled))
    if claim.reason:
        return Judgement(NOT_TESTABLE, None, tuple(plain))
    outcome, each = _weakest(plain)
    if outcome == NOT_RUN or not claim.confounded:
        return Judgement(outcome, _tier(each, claim.equal), each)
    controlled, shown = _weakest(held)
    if controlled == NOT_RUN:
        return Judgement(CONFOUNDED, _tier(each, False), each)
    return Judgement(controlled, _tier(shown, True), shown, each)


def _suited(claim: Claim, frame: pd.DataFrame) -> pd.DataFrame:
    """The records that a claim can be judged on."""
    return glue.without_other_tasks(frame) if {"seollm2024", "sec2025"} & set(claim.papers) else frame


def _weakest(judged: list[Judged]) -> tuple[str, tuple[Judged, ...]]:
    """The verdict of all together, and what decides first; contrasts without records last."""
    ordered = sorted(judged, key=lambda j: (j.ours is None, _ORDER.index(j.verdict), j.gain))
    if not ordered or ordered[0].ours is None:
        return NOT_RUN, tuple(ordered)
    verdicts = [ordered[0].verdict] + [NOT_SETTLED] * (ordered[-1].ours is None)
    return min(verdicts, key=_ORDER.index), tuple(ordered)


def _tier(judged: tuple[Judged, ...], controlled: bool) -> str | None:
    """Of `TIERS`; None without records. *Confirmed* is a controlled one of which every record was made after
    book/final.yml named it, on data that it seals."""
    ours = [j.ours for j in judged if j.ours]
    if not ours:
        return None
    held = controlled and min(each.n for each in ours) >= CONTROLLED_SEEDS
    return TIERS[held and 1 + _listed([path for each in ours for path in each.records])]


def _listed(paths: list[str]) -> bool:
    """Whether there are records, and all are final by book/final.yml, on data that it seals."""
    listed = results.final_list()
    return bool(paths) and all(listed.seals(record["data"]["fingerprint"]) and listed.standing(record) == "final"
                               for record in map(results.record_at, paths))


def _at_each_budget(claim: Claim, contrast: Contrast, frame: pd.DataFrame, profiles: tuple[str, ...]) -> list[Judged]:
    measured = _measured(contrast, frame, profiles)
    if not any(measured.values()):  # an arm that is sealed from the official sets
        screened = contrast._replace(metric=re.sub("_(mis)?matched$", "", contrast.metric) + "_development")
        if any((on_development := _measured(screened, frame, profiles)).values()):
            contrast, measured = screened, {labels: ours and ours._replace(note="; ".join(filter(None, (
                ours.note, _SEALED)))) for labels, ours in on_development.items()}
    return [Judged(verdict(*_says(ours), contrast.claimed, contrast.direction,
                           contrast.no_effect, reason=claim.reason, loss=claim.loss), contrast, ours,
                   None if labels is None else int(labels)) for labels, ours in (measured or {None: None}).items()]


def _says(ours: Measurement | None) -> tuple[float | None, ...]:
    """The estimate and the interval that a verdict rests on: of one seed an interval over rounds or of bytes, and none
    over examples, which says nothing about the next seed."""
    if ours is None:
        return None, None, None
    return ours[:3] if ours.n > 1 or ours.counted or ours.low == ours.high else (ours.estimate, math.nan, math.nan)


def _measured(contrast: Contrast, frame: pd.DataFrame,
              profiles: tuple[str, ...]) -> dict[int | None, Measurement | None]:
    """Labels → the contrast there; None → that of runs that bought none."""
    frame, measured = with_gap(frame), {}
    if contrast.kind == "rank":
        return {None: _rank_correlation(frame, contrast, profiles)}
    if contrast.metric in frame:
        frame = _named_by_labels(frame[frame["profile"].isin(profiles)], contrast)
        rows = frame[frame[contrast.metric].notna()]
        of = [set(rows.loc[rows["configuration"] == name, "labels"].dropna()) if "labels" in rows else set()
              for name, _ in contrast.terms]
        shared = {labels: measure(rows[rows["labels"] == labels], contrast, profiles)
                  for labels in sorted(set.intersection(*of))}
        measured = {labels: ours for labels, ours in shared.items() if ours}
        measured = measured or {None: measure(frame, contrast, profiles)}
    return measured


def _named_by_labels(frame: pd.DataFrame, contrast: Contrast) -> pd.DataFrame:
    """For names such as "base@8000" (a configuration at a number of labels of its own) the runs meant, so named and
    without their numbers of labels, which differ on purpose."""
    wanted = {name: name.split("@") for name, _ in contrast.terms if "@" in name}
    if not wanted or "labels" not in frame:
        return frame
    parts = [frame[(frame["configuration"] == arm) & (frame["labels"] == int(labels))].assign(configuration=name)
             for name, (arm, labels) in wanted.items()]
    return pd.concat(parts).drop(columns=["labels", "param_train_rows"], errors="ignore")


def _rank_correlation(frame: pd.DataFrame, contrast: Contrast, profiles: tuple[str, ...]) -> Measurement | None:
    """Spearman's ρ of two metrics over the contestants of one benchmark, with Fieller's interval for ln of (1 + ρ) over
    (1 − ρ) (Biometrika 44, 1957); n is the contestants. None with fewer than ten."""
    from scipy import stats

    metrics = [contrast.metric, contrast.terms[0][0]]
    if not {*metrics, "experiment"} <= set(frame):
        return None
    rows = frame[frame["profile"].isin(profiles) & (frame["experiment"] == "tab3_inference_speed")]
    rows = rows.dropna(subset=metrics).drop_duplicates("configuration", keep="last")
    if len(rows) < 10:
        return None
    rho, half = stats.spearmanr(rows[metrics[0]], rows[metrics[1]]).statistic, 1.96 * math.sqrt(1.06 / (len(rows) - 3))
    low, high = (math.tanh(math.atanh(min(rho, 0.999999)) + side * half) for side in (-1, 1))
    where = " · ".join(map(str, rows.iloc[0][["profile", "data_name", "model_name"]]))
    return Measurement(float(rho), low, high, len(rows), where, "n counts files, not seeds", tuple(rows["path"]),
                       counted=f"{len(rows)} files")


_FORMER = (NOT_REPRODUCED, NOT_RUN, PARTLY, REPRODUCED)  # weakest first


def former(claim: Claim, frame: pd.DataFrame, profiles: tuple[str, ...] = EVIDENCE) -> str:
    """The verdict by the rule before `RULE_DATE`: reaching the claimed value was enough, with no effect in the interval
    or not; a claimed loss was a bound; only the most labels counted; confounded contrasts were judged as worded; and
    one seed was *not run*. "" for claims that were added since."""
    if claim.before is not None or not claim.contrasts or claim.reason:
        return NOT_TESTABLE if claim.before is None else claim.before
    frame = _suited(claim, frame)
    outcomes = []
    for each in claim.contrasts:
        ours = measure(frame, each, profiles) if each.kind != "rank" else None
        if ours is None or math.isnan(ours.low):
            outcomes.append(NOT_RUN)
            continue
        near, far = _ends(ours.low, ours.high, each.claimed, each.direction, each.no_effect)
        excludes = each.direction * (near - each.no_effect) > 0
        reaches = excludes if each.claimed is None else each.direction * (far - each.claimed) >= 0
        outcomes.append(REPRODUCED if reaches else PARTLY if excludes else NOT_REPRODUCED)
    return min(outcomes, key=_FORMER.index)


def _value(contrast: Contrast, *numbers: float) -> str:
    """"+1.70 points", "0.324 ×"; with an interval "+0.40 [−0.30, +1.10] points"."""
    shape = "{:.3f}" if contrast.kind == "ratio" else "{:+.2f}"
    estimate, *interval = (shape.format(x).replace("-", "−") for x in numbers)
    return f"{estimate}{f' [{interval[0]}, {interval[1]}]' if interval else ''} {contrast.unit}".strip()


def _ours(judged: Judged | None) -> str:
    if judged is None or judged.ours is None:
        return NOT_RUN
    return _value(judged.contrast, *judged.ours[:1 if math.isnan(judged.ours.low) else 3])


def _with_seeds(judged: Judged | None) -> str:
    """"+0.40 [−0.30, +1.10] points (3 seeds)": our value with what is behind it."""
    return f"{_ours(judged)} ({judged.ours.behind})" if judged and judged.ours else NOT_RUN


def _claimed(contrast: Contrast | None) -> str:
    if contrast is None:
        return "—"
    if contrast.claimed is not None:
        return _value(contrast, contrast.claimed)
    return f"{'above' if contrast.direction > 0 else 'below'} {contrast.no_effect:g}"


def _in_words(judged: Judged) -> str:
    """"2 000 labels: +0.40 [−0.30, +1.10] points, 3 seeds: not settled"; of several contrasts each is named."""
    at = "" if judged.labels is None else f" at {judged.labels} labels"
    if judged.ours is None:
        return f"{judged.contrast}{at}: {NOT_RUN}"
    return f"{judged.contrast}{at}: {_with_seeds(judged)}: {judged.verdict}"


def audit(frame: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS,
          profiles: tuple[str, ...] = EVIDENCE) -> pd.DataFrame:
    """One row per claim: id, statement, where it stands, claimed value, ours (with interval and seeds), verdict.
    frame: from `results.load`. profiles: whose records count as evidence, in order of preference; the default leaves
    `quick` out. `note` holds the reason of *not testable as stated*, and what a confounded claim is confounded with.
    `each` lists every contrast at every number of labels, where there is more than one; `uncontrolled` is the claim as
    worded, where a controlled contrast decides; `before` is the verdict by the rule before `RULE_DATE`; `tier` is of
    `TIERS`, None without records."""
    rows = []
    for claim in claims:
        found = judge(claim, frame, profiles)
        decides, plain = found.decides, next(iter(found.uncontrolled), None)
        ours = decides and decides.ours
        contrast = (plain or decides).contrast if claim.contrasts and (plain or decides) else None
        notes = [claim.reason or claim.note, claim.confounded and f"confounded: {claim.confounded}",
                 ours.note if ours else ""]
        rows.append({
            "claim": claim.id, "statement": claim.statement, "papers": ", ".join(claim.papers), "source": claim.source,
            "measured by": str(decides.contrast) if decides else "—", "claimed": _claimed(contrast),
            "ours": _with_seeds(decides), "n": ours.n if ours else 0, "verdict": found.verdict,
            "note": "; ".join(filter(None, notes)), "records": ours.study if ours else "", "tier": found.tier or "—",
            "before": former(claim, frame, profiles) or "—",
            "uncontrolled": f"{_with_seeds(plain)}: {plain.verdict}" if plain else "—",
            "each": "; ".join(map(_in_words, found.each)) if len(found.each) > 1 else "—"})
    return pd.DataFrame(rows)


def shares(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What decides each claim with records, for `figures.forest`: where a value is claimed, as a share of the claimed
    effect (0: no effect, 1: as claimed; ratios in logarithms); where only a direction is, in points; and likewise in
    hundredths of the claim's own unit, from no effect on. Both are positive as claimed. The rows are named by claim and
    verdict; columns claimed and ours: both values, in the unit of the latter."""
    valued, directed, other = [], [], []
    for claim in CLAIMS + TABLE_CLAIMS:
        found = judge(claim, frame)
        if found.decides is None or found.decides.ours is None or claim.reason:
            continue
        contrast, ours = found.decides.contrast, found.decides.ours
        one, points = contrast.claimed, contrast.unit == "points"
        scale = math.log if contrast.kind == "ratio" and one is not None else float
        zero = scale(contrast.no_effect)
        unit = scale(one) - zero if one is not None else contrast.direction * (1 if points else 0.01)
        ends = sorted(((scale(x) - zero) / unit for x in ours[1:3]), key=lambda x: (math.isnan(x), x))
        rows = valued if one is not None else directed if points else other
        values = _claimed(contrast).removesuffix(contrast.unit).strip(), _value(contrast, ours.estimate)
        rows.append((f"{claim.id.removeprefix('table-')}: {found.verdict}", "", (scale(ours.estimate) - zero) / unit,
                     *ends, ours.n, *values))
    columns = ["contrast", "metric", "difference", "low", "high", "seeds", "claimed", "ours"]
    return tuple(pd.DataFrame(rows, columns=columns) for rows in (valued, directed, other))


def entries(frame: pd.DataFrame) -> list[dict]:
    """One dict per claim, the papers' tables cell by cell included, with its evidence (book/record_schema.md)."""
    found = []
    for claim in CLAIMS + TABLE_CLAIMS:
        judged = judge(claim, frame)
        first = (claim.contrasts or (None,))[0]
        shown = [*judged.each, *judged.uncontrolled]
        found.append({
            "id": claim.id, "papers": list(claim.papers), "statement": claim.statement, "source": claim.source,
            "claimed": first and {"value": _round(first.claimed), "direction": first.direction,
                                  "no_effect": first.no_effect, "kind": first.kind, "unit": first.unit},
            "verdict": judged.verdict, "verdict_before": former(claim, frame) or None, "tier": judged.tier,
            "ours": _entry(judged.decides) if judged.decides and judged.decides.ours else None,
            "each": [_entry(j) for j in judged.each], "uncontrolled": [_entry(j) for j in judged.uncontrolled],
            "confounded": claim.confounded or None, "reason": claim.reason, "note": claim.note or None,
            "records": sorted({path for j in shown if j.ours for path in j.ours.records})})
    return found


def _entry(judged: Judged) -> dict:
    ours = judged.ours
    return {"contrast": str(judged.contrast), "labels": judged.labels, "verdict": judged.verdict,
            **({key: _round(value) for key, value in zip(("estimate", "low", "high"), ours[:3], strict=True)}
               | {"n": ours.n, "study": ours.study} if ours else {})}


def _round(value: float | None) -> float | None:
    """Four digits after the point: what the arithmetic of another machine repeats; None for none."""
    return None if value is None or math.isnan(value) else round(float(value), 4)
