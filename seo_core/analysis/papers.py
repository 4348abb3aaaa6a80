"""The papers as facts (papers.yml): their tables, curves, settings and equations, and higher references than them."""

import math
from typing import NamedTuple

import pandas as pd

from seo_core import files


class PaperRow(NamedTuple):
    """One configuration of SEO-LLM's tables 1–4; None where the papers print no value."""

    label: str
    training_hours: float | None  # Table 1 (v1, v3; the combined row in v1 only, v3 has it in §4.3)
    size_mb: float | None  # Table 2 (v1, v3)
    latency_ms: float | None  # ms per batch, Table 3 of v3
    accuracy: float  # %, Table 3 of v1 = Table 4 of v3
    perplexity: float  # the same table

    @property
    def label_here(self) -> str:
        """The row's name beside results of ours, whose network is not the papers' BERT-base."""
        return self.label.replace("BERT-base (baseline)", "baseline")


class PaperCurve(NamedTuple):
    """Where a curve of Figure 2 starts and converges, in % accuracy, as the text beside it says."""

    label: str
    start: float | None  # said of the baseline only
    train: float
    validation: float


class Equation(NamedTuple):
    """A numbered equation of SEO-LLM / SEC: LaTeX, what it defines, where it stands."""

    number: int
    latex: str
    defines: str
    source: str


class HigherReference(NamedTuple):
    """A published system at least as strong as the papers': MNLI dev accuracy, size, speed over BERT-base."""

    system: str
    size: str
    mnli: str  # matched / mismatched, or the variants'
    speed: str
    accuracy: tuple[float, ...]  # the numbers of `mnli`
    cite: tuple[str, ...]
    source: str


class PublishedGlue(NamedTuple):
    """A published student's results on GLUE, as its paper prints them: one number a task, most papers' F1 for MRPC and
    QQP, without saying so."""

    system: str
    cite: str
    sets: str  # which of GLUE's sets they were measured on
    scores: dict[str, str]  # task (`seo_core.tkd.glue.TASKS`) → as printed
    mean: str  # as printed, over the tasks that it has


_FACTS = files.table(__file__)
PAPER_TABLE = {name: PaperRow(*row) for name, row in _FACTS["table"].items()}
PAPER_COLUMNS = {name: tuple(about) for name, about in _FACTS["columns"].items()}  # what it is, where it stands
V3_TABLE_1 = tuple(_FACTS["v3_table_1"])  # the rows that v3's Table 1 prints
FIGURE_2 = {name: PaperCurve(*row) for name, row in _FACTS["figure_2"].items()}
FIGURE_2_ITERATIONS = _FACTS["figure_2_iterations"]
SETTING, TKD_SETTING, BHAT_SETTING = (
    {name: tuple(value) if isinstance(value, list) else value for name, value in _FACTS["settings"][paper].items()}
    for paper in ("seo", "tkd", "bhat"))
EQUATIONS = tuple(Equation(*row) for row in _FACTS["equations"])
HIGHER_REFERENCES = tuple(HigherReference(*(tuple(value) if isinstance(value, list) else value for value in row))
                          for row in _FACTS["higher_references"])
PUBLISHED_GLUE = tuple(PublishedGlue(*row) for row in _FACTS["published_glue"])


def ratio_to_base(column: str, configuration: str) -> float:
    """A number of `PAPER_TABLE` over that of the baseline."""
    return getattr(PAPER_TABLE[configuration], column) / getattr(PAPER_TABLE["base"], column)


def perplexity_bound(row: PaperRow) -> tuple[float, float, float, float]:
    """What a row's perplexity needs at its accuracy, at least: (mean cross-entropy in nats, share right, nats that a
    right answer costs at most, nats that each wrong one then costs). The right class of a right answer has the largest
    probability, so at least 1/k, and costs ln k at most; what is left of the mean falls to the wrong answers."""
    entropy, right, costliest = math.log(row.perplexity), row.accuracy / 100, math.log(SETTING["classes"])
    return entropy, right, costliest, (entropy - right * costliest) / (1 - right)


def higher_references() -> pd.DataFrame:
    """`HIGHER_REFERENCES` as a frame: system, size, MNLI accuracy, speed, source, citation keys."""
    rows = [(r.system, r.size, r.mnli, r.speed, r.source, ", ".join(r.cite)) for r in HIGHER_REFERENCES]
    return pd.DataFrame(rows, columns=["system", "size", "MNLI, %", "speed", "source", "cite"])


def paper_table() -> pd.DataFrame:
    """`PAPER_TABLE` as a frame indexed by configuration id; NaN where the papers print nothing."""
    return pd.DataFrame.from_dict({k: v._asdict() for k, v in PAPER_TABLE.items()}, orient="index")
