"""The papers as facts: their tables, curves, settings and equations, and higher references than the papers."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

# ---------------------------------------------------------------------------------------------
# The tables and the figure of SEO-LLM / SEC


class PaperRow(NamedTuple):
    """One configuration of SEO-LLM's tables 1–4; None where the papers print no value."""

    label: str
    training_hours: float | None  # Table 1 (v1, v3; the combined row in v1 only, v3 has it in §4.3)
    size_mb: float | None  # Table 2 (v1, v3)
    latency_ms: float | None  # ms per batch, Table 3 of v3
    accuracy: float  # %, Table 3 of v1 = Table 4 of v3
    perplexity: float  # the same table


PAPER_TABLE: dict[str, PaperRow] = {
    "base": PaperRow("BERT-base (baseline)", 48, 420, 150, 84.5, 9.8),
    "da": PaperRow("+ data augmentation", 43, None, None, 86.3, 9.4),
    "tl": PaperRow("+ transfer learning", 39, None, None, 87.1, 9.2),
    "al": PaperRow("+ active learning", 36, None, None, 85.6, 9.5),
    "ssl": PaperRow("+ semi-supervised learning", 37, None, None, 86.0, 9.3),
    "prune": PaperRow("+ pruning (magnitude)", None, 364, 130, 83.5, 10.1),
    "quant": PaperRow("+ quantization (int8)", None, 150, 90, 82.8, 10.5),
    "kd": PaperRow("+ knowledge distillation", None, 201, 110, 85.0, 9.9),
    "seo": PaperRow("combined (SEO-LLM / SEC)", 33, 136, 80, 86.2, 9.3),
}


PAPER_COLUMNS = {  # column of PAPER_TABLE → (what it is, where it stands)
    "training_hours": ("training time, hours", "Table 1 (v1, v3); combined: Table 1 of v1, §4.3 of v3"),
    "size_mb": ("model size, MB", "Table 2 (v1, v3)"), "latency_ms": ("inference, ms per batch", "Table 3 of v3"),
    "accuracy": ("accuracy, %", "Table 3 of v1, Table 4 of v3"),
    "perplexity": ("perplexity", "Table 3 of v1, Table 4 of v3"),
}


V3_TABLE_1 = ("base", "da", "tl", "al", "ssl")  # the rows that v3's Table 1 prints


class PaperCurve(NamedTuple):
    """Where a curve of Figure 2 starts and converges, in % accuracy, as the text beside it says."""

    label: str
    start: float | None  # "starting from around 60%", said of the baseline only
    train: float
    validation: float


FIGURE_2: dict[str, PaperCurve] = {  # Fig. 2 and §III-D of v1, §4.2 of v3
    "base": PaperCurve("baseline", 60.0, 83.0, 81.0),
    "tl": PaperCurve("transfer learning", None, 85.5, 83.0),
    "seo": PaperCurve("SEO-LLM / SEC", None, 84.5, 83.5),
}


FIGURE_2_ITERATIONS = 100  # "the training record for 100 iterations"

SETTING = {  # §III-A of v1, §4.1 of v3; the hyperparameters in v3 only
    "pairs": 433_000, "classes": 3, "layers": 12, "hidden": 768, "heads": 12, "parameters": 110_000_000,
    "learning_rate": 2e-5, "batch_size": 32, "epochs": 20, "lambda_1": 0.5, "lambda_2": 0.5,
    "optimizer": "AdamW", "pytorch": "1.12", "python": "3.8", "gpu": "one NVIDIA RTX 4090",
    "server": "AWS (v3)",
}


TKD_SETTING = {"layers": 12, "heads": 8, "temperatures": (1.0, 2.0, 5.0), "accuracy": 98.32, "f1": 97.14,
               "stages": ("pre-train", "extract soft labels", "inject by a weighted distillation loss",
                          "fine-tune"), "optimizer": "AdamW", "precision": "FP16/FP32 mixed",
               "glue_tasks": 9, "glue_tasks_here": 5}  # the summary's "Quick Facts" and "Method Summary"


BHAT_SETTING = {"training_time_change": -0.30, "memory_change": -0.25,  # abstract and conclusion
                "figures": {2: "training time", 3: "accuracy, precision, recall, F1", 4: "memory",
                            5: "inference time", 6: "scalability"}}


class Equation(NamedTuple):
    """A numbered equation of SEO-LLM / SEC: LaTeX, what it defines, where it stands."""

    number: int
    latex: str
    defines: str
    source: str


EQUATIONS = (
    Equation(1, r"D_{aug} = \mathrm{ADA}(D, M(\theta), P)", "adaptive data augmentation", "v1 §II-B, v3 §3.2"),
    Equation(2, r"L_{TAL} = L_{TL}(\theta, D_s, D_t) + \lambda L_{AL}(\theta, D_u)",
             "transfer-active learning", "v1 §II-B, v3 §3.2"),
    Equation(3, r"\theta_{pruned} = \mathrm{AIP}(\theta, P, T)", "adaptive iterative pruning", "v1 §II-C, v3 §3.3"),
    Equation(4, r"L_{SQD} = L_Q(\theta_q) + \alpha L_{KD}(\theta_q, \theta_t)",
             "synergistic quantization and distillation", "v1 §II-C, v3 §3.3"),
    Equation(5, r"\min L_{task}(\theta, D) + \lambda_1 R_{data}(D) + \lambda_2 R_{model}(\theta)",
             "the Synergy Controller's objective", "v1 §II-D, v3 §3.4"),
)


class HigherReference(NamedTuple):
    """A published system at least as strong as the papers': MNLI dev accuracy, size, speed over BERT-base."""

    system: str
    size: str
    mnli: str  # matched / mismatched, or the variants'
    speed: str
    accuracy: tuple[float, ...]  # the numbers of `mnli`
    cite: tuple[str, ...]
    source: str


HIGHER_REFERENCES = (
    HigherReference("BERT-base", "109 M, 418 MB", "84.5 / 84.6", "1×", (84.5, 84.6), ("devlin2019",), "model card"),
    HigherReference("DistilBERT", "66 M", "82.2", "2.1×", (82.2,), ("sanh2019",), "model card"),
    HigherReference("TinyBERT-6 / -4", "66 M / 14 M", "84.6 / 82.8", "1.9× / 9.4×", (84.6, 82.8),
                    ("jiao2020",), "paper and repository"),
    HigherReference("MiniLM L6-H384", "22 M", "83.3 (82.8 elsewhere)", "5.3×", (83.3, 82.8),
                    ("wang2020minilm",), "microsoft/unilm, minilm README"),
    HigherReference("XtremeDistil l6-h384 / l12-h384", "22 M / 33 M", "85.4 / 87.2", "5.3× / 2.7×",
                    (85.4, 87.2), ("mukherjee2021",), "model cards"),
    HigherReference("CoFi 60% / 95% sparse", "—", "85.3 / 80.6", "2.1× / 12.1× reported, 5.2× by a user",
                    (85.3, 80.6), ("xia2022cofi",), "princeton-nlp/CoFiPruning and its issue 39"),
    HigherReference("Block movement pruning", "−65 … −87% of linear weights", "83.7 … 81.0", "2.0× … 3.4×",
                    (83.7, 81.0), ("lagunas2021",), "huggingface/nn_pruning"),
    HigherReference("oBERT 90% + int8, sparse CPU runtime", "—", "82.6", "6.4× over ONNX Runtime fp32",
                    (82.6,), ("kurtic2022",), "neuralmagic sparseml and deepsparse docs"),
    HigherReference("BinaryBERT / TernaryBERT", "17 MB / 28 MB", "84.2 / 83.5", "—", (84.2, 83.5),
                    ("bai2021binarybert", "zhang2020ternarybert"), "papers and repositories"),
    HigherReference("ZeroQuant W8A8", "int8", "84.3 / 84.5", "—", (84.3, 84.5), ("yao2022zeroquant",),
                    "DeepSpeed's compression tutorial"),
)


def ratio_to_base(column: str, configuration: str) -> float:
    """A number of `PAPER_TABLE` over that of the baseline."""
    return getattr(PAPER_TABLE[configuration], column) / getattr(PAPER_TABLE["base"], column)


def higher_references() -> pd.DataFrame:
    """`HIGHER_REFERENCES` as a frame: system, size, MNLI accuracy, speed, source, citation keys."""
    rows = [(r.system, r.size, r.mnli, r.speed, r.source, ", ".join(r.cite)) for r in HIGHER_REFERENCES]
    return pd.DataFrame(rows, columns=["system", "size", "MNLI, %", "speed", "source", "cite"])


def paper_table() -> pd.DataFrame:
    """`PAPER_TABLE` as a frame indexed by configuration id; NaN where the papers print nothing."""
    return pd.DataFrame.from_dict({k: v._asdict() for k, v in PAPER_TABLE.items()}, orient="index")
