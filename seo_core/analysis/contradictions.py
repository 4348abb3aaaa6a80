"""Contradictions within the papers' own numbers, each as steps of arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from seo_core.analysis.papers import (
    FIGURE_2,
    FIGURE_2_ITERATIONS,
    PAPER_COLUMNS,
    PAPER_TABLE,
    SETTING,
    V3_TABLE_1,
    ratio_to_base,
)

# ---------------------------------------------------------------------------------------------
# Contradictions


class Step(NamedTuple):
    """One line of arithmetic: what, how, the result, and whether it shows what the text says."""

    what: str
    arithmetic: str
    result: str
    holds: bool


@dataclass(frozen=True)
class Contradiction:
    """A place where the papers disagree with themselves or with arithmetic."""

    number: int
    title: str
    text: str
    source: str
    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        """Whether every line of the arithmetic comes out as the text says."""
        return all(step.holds for step in self.steps)


def _contradictions_1_to_4():
    t, f = PAPER_TABLE, FIGURE_2
    above = [n for n in t if t[n].accuracy > t["seo"].accuracy]
    lower = [n for n in t if t[n].perplexity < t["seo"].perplexity]
    ties = [n for n in t if n != "seo" and t[n].perplexity == t["seo"].perplexity]
    yield Contradiction(
        1, "Neither the highest accuracy nor the lowest perplexity",
        "The text calls the combination's accuracy the highest and its perplexity the lowest. Its own table "
        "has two configurations above it, one with a lower perplexity, and one that ties.",
        "§III-D and Table 3 of v1; §4.6 and Table 4 of v3",
        (Step("accuracy above the combination's",
              f"{t['tl'].accuracy}, {t['da'].accuracy} > {t['seo'].accuracy}", ", ".join(above),
              set(above) == {"tl", "da"}),
         Step("perplexity below the combination's", f"{t['tl'].perplexity} < {t['seo'].perplexity}",
              ", ".join(lower), lower == ["tl"]),
         Step("perplexity equal to it", f"{t['ssl'].perplexity} = {t['seo'].perplexity}", ", ".join(ties),
              ties == ["ssl"])))
    yield Contradiction(
        2, "Two accuracies for the same model",
        "Validation accuracy converges to one value in the text and stands as another in the table; the "
        "table's values lie above even the figure's final training accuracies.",
        "Fig. 2 and §III-D of v1, §4.2 of v3; Table 3 / 4",
        tuple(Step(f"{name}: table over the figure's validation", f"{t[name].accuracy} − {c.validation}",
                   f"{t[name].accuracy - c.validation:+.1f} points", t[name].accuracy > c.validation)
              for name, c in f.items())
        + tuple(Step(f"{name}: table over the figure's training", f"{t[name].accuracy} − {c.train}",
                     f"{t[name].accuracy - c.train:+.1f} points", t[name].accuracy > c.train)
                for name, c in f.items()))
    entropy, wrong = math.log(t["base"].perplexity), 1 - t["base"].accuracy / 100
    needed = math.exp(-entropy / wrong)
    yield Contradiction(
        3, "A perplexity that guessing would beat",
        "A classifier's perplexity is the exponential of its mean cross-entropy. Guessing uniformly among "
        "three classes gives 3.0. To reach 9.8 with 84.5% right, even with no loss at all on the right "
        "answers, the wrong ones would have to give the true class a probability below one in a million.",
        "Table 3 of v1, Table 4 of v3",
        (Step("uniform guessing", f"exp(ln {SETTING['classes']})",
              f"{math.exp(math.log(SETTING['classes'])):.1f}", t["base"].perplexity > SETTING["classes"]),
         Step("mean cross-entropy behind 9.8", f"ln {t['base'].perplexity}", f"{entropy:.2f} nats", entropy > 2.2),
         Step("loss of each wrong answer", f"{entropy:.2f} / {wrong:.3f}", f"{entropy / wrong:.1f} nats",
              entropy / wrong > 14),
         Step("probability it gives the true class", f"exp(−{entropy / wrong:.1f})", f"{needed:.0e}", needed < 1e-6)))
    fast, slow, int8 = t["seo"].latency_ms, t["base"].latency_ms, t["quant"].latency_ms
    yield Contradiction(
        4, "How much faster",
        "The table's times make the combination 46.7% shorter, that is 87.5% faster; the abstract says up "
        "to 50%, the body \"nearly doubled\". v1 calls quantization two-fold; v3's table gives it 1.67.",
        "abstract, §III-D of v1, §4.5 and Table 3 of v3",
        (Step("time saved by the combination", f"1 − {fast}/{slow}", f"{1 - fast / slow:.1%}",
              round(1 - fast / slow, 3) == 0.467),
         Step("speed gained", f"{slow}/{fast} − 1", f"{slow / fast - 1:.1%}", slow / fast == 1.875),
         Step("speed of quantization", f"{slow}/{int8}", f"{slow / int8:.2f} ×", slow / int8 < 1.7)))


def _contradictions_5_to_8():
    t = PAPER_TABLE
    yield Contradiction(
        5, "30% less data stands in no table",
        "The abstract's 30% has no row, column or curve behind it. v3's Table 1 leaves out the combined row; "
        "its 33 hours stand in the text.", "abstracts; Table 1 of v3",
        (Step("columns about the amount of data", "of " + ", ".join(PAPER_COLUMNS), "none",
              not any("data" in column or "label" in column for column in PAPER_COLUMNS)),
         Step("rows of v3's Table 1", ", ".join(V3_TABLE_1), "no seo", "seo" not in V3_TABLE_1),
         Step("time saved, from the text's hours", f"1 − {t['seo'].training_hours}/{t['base'].training_hours}",
              f"{1 - t['seo'].training_hours / t['base'].training_hours:.1%}",
              round(1 - t["seo"].training_hours / t["base"].training_hours, 2) == 0.31)))
    size, time = 1.0, 1.0
    for name in ("prune", "quant", "kd"):
        size, time = size * ratio_to_base("size_mb", name), time * ratio_to_base("latency_ms", name)
    size, time = size * t["base"].size_mb, time * t["base"].latency_ms
    yield Contradiction(
        6, "Less than independence, called synergy",
        "If the three compression techniques did not help one another at all, their ratios would multiply. "
        "The combination is larger and slower than that.", "Tables 2 and 3 of v3",
        (Step("size, ratios multiplied", "420 × 364/420 × 150/420 × 201/420", f"{size:.0f} MB, reported 136",
              round(size) == 62 and size < t["seo"].size_mb),
         Step("time, ratios multiplied", "150 × 130/150 × 90/150 × 110/150", f"{time:.0f} ms, reported 80",
              round(time) == 57 and time < t["seo"].latency_ms)))
    titan = (2 + 35 / 60) * SETTING["epochs"] / 3
    yield Contradiction(
        7, "48 hours for the baseline",
        "Hugging Face's published `run_glue` table has three MNLI epochs of BERT-base in 2 h 35 min, in fp32 "
        "on one Titan RTX, an older and slower card than the papers' RTX 4090.", "Table 1; §4.1.3 of v3",
        (Step("20 epochs at that rate", "2 h 35 min × 20/3", f"{titan:.1f} h", round(titan) == 17),
         Step("the papers' baseline over it", f"{t['base'].training_hours}/{titan:.1f}",
              f"{t['base'].training_hours / titan:.1f} ×", t["base"].training_hours / titan > 2.5)))
    change = t["da"].training_hours / t["base"].training_hours
    yield Contradiction(
        8, "More data in less time",
        "Augmentation adds training data, yet training time falls. What is counted (epochs, steps, time to "
        "some accuracy) is not said.", "Table 1; §III-B and §III-D of v1",
        (Step("time with augmentation", f"{t['da'].training_hours}/{t['base'].training_hours} − 1",
              f"{change - 1:+.1%}", change < 1),
         Step("time at equal epochs and cost per example", "1 or more × 48 h", "at least 48 h",
              t["da"].training_hours < t["base"].training_hours)))


def _contradictions_9_to_11():
    t, weights = PAPER_TABLE, SETTING["parameters"]
    yield Contradiction(
        9, "Sizes that do not follow from the weights",
        "110 million weights in one byte each are 110 MB; the table has 150. Magnitude pruning sets weights "
        "to zero, and a stored zero takes as much room: the file shrinks only if zeros are stored sparse or "
        "removed.", "Table 2",
        (Step("int8, all weights", "110 M × 1 byte", f"{weights / 1e6:.0f} MB, reported {t['quant'].size_mb}",
              weights / 1e6 < t["quant"].size_mb),
         Step("fp32, all weights", "110 M × 4 bytes", f"{weights * 4 / 1e6:.0f} MB = {weights * 4 / 2**20:.0f} MiB",
              round(weights * 4 / 2**20) == t["base"].size_mb),
         Step("saved by pruning", f"1 − {t['prune'].size_mb}/{t['base'].size_mb}",
              f"{1 - t['prune'].size_mb / t['base'].size_mb:.1%}",
              round(1 - t["prune"].size_mb / t["base"].size_mb, 2) == 0.13)))
    yield Contradiction(
        10, "A student better than its teacher, and worse",
        "The distilled student is more accurate than the teacher it imitates, and has a worse perplexity.",
        "Table 3 of v1, Table 4 of v3",
        (Step("accuracy", f"{t['kd'].accuracy} − {t['base'].accuracy}",
              f"{t['kd'].accuracy - t['base'].accuracy:+.1f} points (better)", t["kd"].accuracy > t["base"].accuracy),
         Step("perplexity", f"{t['kd'].perplexity} − {t['base'].perplexity}",
              f"{t['kd'].perplexity - t['base'].perplexity:+.1f} (worse)", t["kd"].perplexity > t["base"].perplexity)))
    steps_per_epoch = SETTING["pairs"] / SETTING["batch_size"]
    yield Contradiction(
        11, "Words that do not fit the experiment",
        "MNLI's 433 000 balanced pairs are called limited or imbalanced; \"various NLP tasks\" are claimed "
        "and one is tested; the same curve has 20 epochs and \"100 iterations\"; Figure 2's caption repeats "
        "Figure 3's; "
        "\"transfer learning\" is a row of its own, although every BERT-base is pre-trained; AWS lists no "
        "instance with an RTX 4090 that we know of.", "abstract of v1; §3.2, §4.1–4.3 of v3; Figs. 2 and 3",
        (Step("pairs per class", f"{SETTING['pairs']:,} / {SETTING['classes']}".replace(",", " "),
              f"{SETTING['pairs'] / SETTING['classes']:,.0f}".replace(",", " "),
              SETTING["pairs"] / SETTING["classes"] > 100_000),
         Step("steps in 20 epochs", f"20 × {SETTING['pairs']:,} / {SETTING['batch_size']}".replace(",", " "),
              f"{SETTING['epochs'] * steps_per_epoch:,.0f}".replace(",", " "),
              SETTING["epochs"] * steps_per_epoch > 2000 * FIGURE_2_ITERATIONS),
         Step("100 iterations, as part of one epoch", f"100 / {steps_per_epoch:.0f}",
              f"{FIGURE_2_ITERATIONS / steps_per_epoch:.2%}", steps_per_epoch > FIGURE_2_ITERATIONS)))


def listed() -> tuple[Contradiction, ...]:
    """The eleven contradictions, their arithmetic computed from the tables above."""
    return (*_contradictions_1_to_4(), *_contradictions_5_to_8(), *_contradictions_9_to_11())
