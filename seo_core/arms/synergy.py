"""The Synergy Controller and what it is held against: other ways to spend one budget, and SEO-LLM without a part.

    run = lab.arm("seo", 4000)                       # Run: record, weights, model.onnx
    run.record["series"]["lambda_model"]             # λ₂, round by round

Every arm has the same budgets of labels, work and bytes, the same start and the same guard; what differs is who picks
the next action (`ControllerConfig`), or what is left out of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from seo_core.arms.compression import deployed
from seo_core.arms.distillation import integers
from seo_core.checks import one_of
from seo_core.controller import ALLOCATIONS, PRICES, ControllerConfig
from seo_core.lab import Chapter, Lab, Made
from seo_core.lab.source import QUICK_DEPTH, freeze_below
from seo_core.pipeline import Pipeline, run_seo_llm
from seo_core.pruning.structured import encoder_weights
from seo_core.quantization import ExportConfig, export_onnx

QUICK = {"seconds": 24.0, "rounds": 9, "size": 20e6, "loss": 10.0, "first": 0.5, "first_epochs": 2, "removed": 0.2,
         "labelled": 64, "candidates": 128, "score_rows": 64, "vocabulary": None}
SYNERGY = Chapter("14_synergy_controller", budgets=(4000,), layers=3,
                  quick=lambda recipe: replace(recipe, **{**QUICK, **({"size": None} if recipe.size is None else {})}))


@dataclass(frozen=True)
class Recipe(Pipeline):
    """A pipeline, and who picks its actions."""

    allocation: str = one_of(ALLOCATIONS, default="score")
    prices: str = one_of(PRICES, default="adaptive")
    guard: bool = True
    schedule: tuple[tuple[str, int], ...] = ()  # of `static`: (action, rounds)

    def __post_init__(self):
        object.__setattr__(self, "schedule", tuple((str(name), int(count)) for name, count in self.schedule))
        super().__post_init__()
        controller(self)

    @property
    def pipeline(self) -> Pipeline:
        """Its first half."""
        return Pipeline(**{field.name: getattr(self, field.name) for field in fields(Pipeline)})


def controller(recipe: Recipe, seed: int = 0) -> ControllerConfig:
    """Its second half. Raises ValueError."""
    return ControllerConfig(recipe.allocation, recipe.prices, guard=recipe.guard, schedule=recipe.schedule, seed=seed)


SEO = Recipe(size=8e6, vocabulary=14_000)  # the larger of the two models that are given away has 7.7 MB
_data, _compression = (("buy", 6), ("augment", 1), ("label", 2)), (("prune", 6), ("quantize", 1))
STATIC = {  # at equal budgets; what is left of these goes to the last action
    "data-first": (*_data, ("train", 1), *_compression, ("train", 99)),
    "compress-first": (*_compression, *_data, ("train", 99)),
    "quantize-last": (*_data, ("prune", 6), ("train", 4), ("quantize", 1), ("train", 99)),
    "turns": tuple((name, 1) for _ in range(6) for name in ("buy", "prune")) + (
        ("augment", 1), ("label", 2), ("quantize", 1), ("train", 99)),
}
# the book's best static recipe (chapter 13): all labels at once, pruning at once, SQD
BOOK = replace(SEO, allocation="static", first=1.0, first_epochs=3, removed=0.65, without=("buy", "augment"),
               schedule=(("label", 2), ("prune", 1), ("quantize", 1), ("train", 99)))
_RECIPES = {
    "seo": SEO,
    **{f"seo-{name}": replace(SEO, allocation=name) for name in ("alternate", "random", "shuffled")},
    **{f"static-{name}": replace(SEO, allocation="static", schedule=schedule) for name, schedule in STATIC.items()},
    "static-book": BOOK,
    # λ, the guard, and the principles, one by one
    "seo-prices-fixed": replace(SEO, prices="fixed"), "seo-prices-absent": replace(SEO, prices="absent"),
    "seo-no-guard": replace(SEO, guard=False), "seo-not-data-aware": replace(SEO, data_aware=False),
    "seo-not-guided": replace(SEO, guided=False), "seo-no-feedback": replace(SEO, feedback=False),
    # leave one out: −ADA, −TAL (labels at random), −AIP, −SQD (ranges after training), and the teacher's labels
    "seo-no-ada": replace(SEO, without=("augment",)), "seo-no-tal": replace(SEO, strategy="random"),
    "seo-no-aip": replace(SEO, without=("prune",), size=None), "seo-no-sqd": replace(SEO, synergistic=False),
    "seo-no-soft-labels": replace(SEO, without=("label",)),
    # the 2 × 2: the data module, the compression module, both (seo), neither
    "seo-data-only": replace(SEO, without=("prune", "quantize"), size=None),
    "seo-compression-only": replace(SEO, first=1.0, first_epochs=3, without=("buy", "augment", "label")),
    "seo-neither": replace(SEO, first=1.0, first_epochs=3, without=("buy", "augment", "label", "prune", "quantize"),
                           size=None),
}


def assembled(lab: Lab, recipe: Recipe) -> Made:
    """The whole pipeline under the controller, and the student as the file that is deployed. metrics: labels, work_
    seconds (at the recipe's speed), train_examples, rounds, rounds_back, accuracy_start, floor, budgets_missed."""
    recipe = replace(recipe, labels=lab.labels)
    outcome = run_seo_llm(lab, recipe.pipeline, lab._checkpoints() / "rounds", freeze=lambda model: _freeze(lab, model),
                          config=controller(recipe, lab.settings.seed), network=lambda lab: lab.network("pretrained"))
    state, log = outcome.state, outcome.log
    if state.integers:
        made = integers(state.reader, state.model, {})
    else:
        config = ExportConfig("fp32", embedding_bits=32, max_length=lab.settings.max_length)
        made = deployed(lab, state.model, lambda path: export_onnx(state.model, path, config))[0]
    return replace(made, rows=state.rows, series=outcome.series(), metrics={
        **made.metrics, "labels": len(state.rows), "added": len(state.edits) + len(state.soft),
        "train_examples": state.examples, "work_seconds": state.work / recipe.speed,
        "rounds": len(log), "rounds_back": sum(not entry["accepted"] for entry in log),
        "removed": 1 - encoder_weights(state.model) / encoder_weights(state.teacher),
        "accuracy_start": outcome.start.accuracy, "floor": outcome.floor, "budgets_missed": len(outcome.missed),
        "lambda_data": log[-1]["lambda_data"] if log else recipe_start(), "actions": len({e["action"] for e in log})})


def recipe_start() -> float:
    """λ before the first round."""
    return ControllerConfig.start


def _freeze(lab: Lab, model) -> None:
    """Under `quick` the lower layers stay as they are, as in every run of it."""
    if lab.quick and not hasattr(model, "quantizer"):
        freeze_below(model, QUICK_DEPTH)


def _parameters(lab: Lab, recipe: Recipe) -> dict:
    return {"recipe": replace(recipe, labels=lab.labels)}


for _name, _recipe in _RECIPES.items():
    SYNERGY.arm(_name, _recipe, start="pretrained", parameters=_parameters)(assembled)
