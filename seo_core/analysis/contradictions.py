"""Contradictions within the papers' own numbers (contradictions.yml), each as steps of arithmetic."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from seo_core import files
from seo_core.analysis import papers
from seo_core.analysis.papers import PAPER_TABLE, SETTING, ratio_to_base


class Step(NamedTuple):
    """One line of arithmetic: what, how, the result, and whether it shows what the text says."""

    what: str
    arithmetic: str
    result: str
    holds: bool


class Contradiction(NamedTuple):
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


def _arithmetic() -> Iterator[tuple[dict, list[bool]]]:
    """For each contradiction the numbers that its steps name, and for each step whether it shows what the text says."""
    t = PAPER_TABLE
    base, seo, da, prune, quant, kd = (t[name] for name in ("base", "seo", "da", "prune", "quant", "kd"))
    above = [n for n in t if t[n].accuracy > seo.accuracy]
    lower = [n for n in t if t[n].perplexity < seo.perplexity]
    ties = [n for n in t if n != "seo" and t[n].perplexity == seo.perplexity]
    yield ({"above": ", ".join(above), "lower": ", ".join(lower), "ties": ", ".join(ties)},
           [set(above) == {"tl", "da"}, lower == ["tl"], ties == ["ssl"]])

    gaps = {f"{name} {part}": t[name].accuracy - getattr(curve, part) for part in ("validation", "train")
            for name, curve in papers.FIGURE_2.items()}
    yield {"figure": papers.FIGURE_2, "gaps": gaps}, [gap > 0 for gap in gaps.values()]

    guessing = math.exp(math.log(SETTING["classes"]))
    entropy, right, costliest, loss = papers.perplexity_bound(base)
    needed = math.exp(-loss)
    yield ({"guessing": guessing, "entropy": entropy, "right": right, "wrong": 1 - right, "costliest": costliest,
            "loss": loss, "needed": needed},
           [base.perplexity > SETTING["classes"], entropy > 2.2, costliest < 1.1, loss > 8.5, needed < 2e-4])

    saved = 1 - seo.latency_ms / base.latency_ms
    times, int8 = base.latency_ms / seo.latency_ms, base.latency_ms / quant.latency_ms
    yield {"saved": saved, "gained": times - 1, "int8": int8}, [round(saved, 3) == 0.467, times == 1.875, int8 < 1.7]

    saved = 1 - seo.training_hours / base.training_hours
    yield ({"columns": ", ".join(papers.PAPER_COLUMNS), "rows": ", ".join(papers.V3_TABLE_1), "saved": saved},
           [not any("data" in name or "label" in name for name in papers.PAPER_COLUMNS), "seo" not in papers.V3_TABLE_1,
            round(saved, 2) == 0.31])

    size, time = (getattr(base, column) * math.prod(ratio_to_base(column, name) for name in ("prune", "quant", "kd"))
                  for column in ("size_mb", "latency_ms"))
    yield ({"size": size, "time": time},
           [round(size) == 62 and size < seo.size_mb, round(time) == 57 and time < seo.latency_ms])

    titan = (2 + 35 / 60) * SETTING["epochs"] / 3
    longer = base.training_hours / titan
    yield {"titan": titan, "longer": longer}, [round(titan) == 17, longer > 2.5]

    change = da.training_hours / base.training_hours - 1
    yield {"change": change}, [change < 0, da.training_hours < base.training_hours]

    weights, saved = SETTING["parameters"], 1 - prune.size_mb / base.size_mb
    yield ({"millions": weights / 1e6, "fp32": weights * 4 / 1e6, "mebibytes": weights * 4 / 2**20, "saved": saved},
           [weights / 1e6 < quant.size_mb, round(weights * 4 / 2**20) == base.size_mb, round(saved, 2) == 0.13])

    better, worse = kd.accuracy - base.accuracy, kd.perplexity - base.perplexity
    yield {"accuracy": better, "perplexity": worse}, [better > 0, worse > 0]

    pairs, part = SETTING["pairs"], papers.FIGURE_2_ITERATIONS
    each, epoch = pairs / SETTING["classes"], pairs / SETTING["batch_size"]
    many, each_text, steps = (f"{n:,.0f}".replace(",", " ") for n in (pairs, each, SETTING["epochs"] * epoch))
    yield ({"many": many, "each": each_text, "steps": steps, "epoch": epoch, "part": part / epoch},
           [each > 100_000, SETTING["epochs"] * epoch > 2000 * part, epoch > part])

    yield ({"gain": seo.accuracy - base.accuracy, "over": seo.accuracy - max(r.accuracy for r in (prune, quant, kd))},
           [round(seo.accuracy - base.accuracy, 1) == 1.7, seo.accuracy > kd.accuracy])


def listed() -> tuple[Contradiction, ...]:
    """The twelve contradictions, their arithmetic computed from the papers' tables."""
    found = []
    for number, (said, (numbers, holds)) in enumerate(zip(files.table(__file__), _arithmetic(), strict=True), 1):
        known = {**PAPER_TABLE, **SETTING, **numbers}
        steps = tuple(Step(*(text.format(**known) for text in texts), true)
                      for texts, true in zip(said["steps"], holds, strict=True))
        found.append(Contradiction(number, said["title"], said["text"], said["source"], steps))
    return tuple(found)
