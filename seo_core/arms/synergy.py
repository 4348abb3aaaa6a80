"""The Synergy Controller and what it is held against: other ways to spend one budget, and SEO-LLM without a part.

    run = lab.arm("controller", 4000)                # Run: record, weights, model.onnx
    run.record["series"]["lambda_model"]             # λ₂, round by round

Every arm has the same budgets of labels, work and bytes, the same start (the network of the source task, as in the
chapters on labels) and the same guard; what differs is who picks the next action (`ControllerConfig`), or what is left
out of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations

from seo_core.arms.compression import checkpoint, deployed
from seo_core.arms.distillation import integers
from seo_core.arms.texts import further_texts, whose_texts
from seo_core.checks import one_of
from seo_core.controller import ALLOCATIONS, PRICES, ControllerConfig, Prices
from seo_core.files import digest
from seo_core.lab import Chapter, Lab, Made, Run
from seo_core.lab.source import QUICK_DEPTH, freeze_below
from seo_core.pipeline import COMPRESSION, Pipeline, run_seo_llm
from seo_core.pruning.structured import encoder_weights
from seo_core.quantization import ExportConfig, export_onnx

QUICK = {"seconds": 30.0, "rounds": 7, "loss": 5.0, "removed": 0.25, "pairs": 192, "labelled": 128, "candidates": 128,
         "score_rows": 64, "vocabulary": 3000}
QUICK_SIZE = 5e6  # of three layers: integers are not enough


def _quick(recipe):
    """A recipe -> one of a few short rounds, with budgets that mean what they mean."""
    size = None if recipe.size is None else QUICK_SIZE
    return replace(recipe, **QUICK, size=size, depth=recipe.depth and 1, first=max(recipe.first, 0.5),
                   first_epochs=min(recipe.first_epochs, 3))


SYNERGY = Chapter("14_synergy_controller", budgets=(4000,), layers=3, quick=_quick)


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
# all labels at once, at random: no data module
UNCHOSEN, DATA = replace(SEO, first=1.0, first_epochs=3), ("buy", "augment", "label")
FACTORS = ("distil", "prune", "int8", "data")


def cell(*on: str) -> Recipe:
    """A cell of the factorial {half of the layers, a third of the rest of the encoder gone, integers} × {data module},
    which asks where sizes multiply and losses add up: a fixed schedule, all words kept, no budget of bytes, and no
    floor, below which a round would be taken back."""
    removed = SEO.removed / 2 if "distil" in on else SEO.removed  # of the whole encoder
    steps = (*_data * ("data" in on), *[("distil", 1)] * ("distil" in on), *[("prune", 3)] * ("prune" in on),
             *[("quantize", 1)] * ("int8" in on), ("train", 99))
    return replace(SEO if "data" in on else UNCHOSEN, allocation="static", schedule=steps, guard=False, size=None,
                   vocabulary=None, depth=3 if "distil" in on else None, removed=removed)


_RECIPES = {
    "controller": SEO,
    **{f"controller-{name}": replace(SEO, allocation=name) for name in ("alternate", "random", "shuffled")},
    **{f"static-{name}": replace(SEO, allocation="static", schedule=schedule) for name, schedule in STATIC.items()},
    "static-book": BOOK,
    # λ, the guard, and the principles, one by one
    "controller-prices-fixed": replace(SEO, prices="fixed"), "controller-prices-absent": replace(SEO, prices="absent"),
    "controller-no-guard": replace(SEO, guard=False), "controller-not-data-aware": replace(SEO, data_aware=False),
    "controller-not-guided": replace(SEO, guided=False), "controller-no-feedback": replace(SEO, feedback=False),
    # leave one out: −ADA, −TAL (labels at random), −AIP, −SQD (ranges after training), and the teacher's labels
    "controller-no-ada": replace(SEO, without=("augment",)), "controller-no-tal": replace(SEO, strategy="random"),
    "controller-no-aip": replace(SEO, without=("prune",), size=None),
    "controller-no-sqd": replace(SEO, synergistic=False), "controller-no-soft-labels": replace(SEO, without=("label",)),
    # the 2 × 2: the data module, the compression module, both (controller), neither
    "controller-data-only": replace(SEO, without=COMPRESSION, size=None),
    "controller-compression-only": replace(UNCHOSEN, without=DATA),
    "controller-neither": replace(UNCHOSEN, without=(*DATA, *COMPRESSION), size=None),
    **{"-".join(("factorial", *(on or ["none"]))): cell(*on)
       for count in range(len(FACTORS) + 1) for on in combinations(FACTORS, count)},
}


def assembled(lab: Lab, recipe: Recipe, base: Run | None = None) -> Made:
    """The whole pipeline under the controller, and the student as the file that is deployed.

    base: a network to begin with that has learned all labels; without one it begins with some of them. metrics: labels,
    train_examples, work_seconds (at the recipe's speed), rounds, rounds_back (rolled back), accuracy_start, floor,
    removed, lambda_data and lambda_model at the end, budgets_missed.
    """
    recipe = _with_labels(lab, recipe)
    outcome = run_seo_llm(lab, recipe.pipeline, _folder(lab, recipe), freeze=lambda model: _freeze(lab, model),
                          config=controller(recipe, lab.settings.seed), further=further_texts(lab),
                          network=lambda lab: base.model() if base else lab.network(lab.current.start))
    state, log = outcome.state, outcome.log
    if state.integers:
        made = integers(state.reader, state.model, {})
    else:
        config = ExportConfig("fp32", embedding_bits=32, max_length=lab.settings.max_length)
        made = deployed(lab, state.model, lambda path: export_onnx(state.model, path, config))[0]
    prices = {f"lambda_{name}": log[-1][f"lambda_{name}"] if log else ControllerConfig.start for name in Prices._fields}
    return replace(made, rows=state.rows, series=outcome.series(), metrics={
        **made.metrics, **prices, "labels": len(state.rows), "added": len(state.edits) + len(state.soft),
        "train_examples": state.examples, "work_seconds": state.work / recipe.speed, "rounds": len(log),
        "rounds_back": sum(not entry["accepted"] for entry in log), "accuracy_start": outcome.start.accuracy,
        "floor": outcome.floor, "budgets_missed": len(outcome.missed),
        "removed": 1 - encoder_weights(state.model) / encoder_weights(state.teacher)})


def _with_labels(lab: Lab, recipe: Recipe) -> Recipe:
    """The recipe with the labels that the run was asked for; on the ground of all labels, with all of them."""
    return replace(recipe, labels=len(lab.pool) if lab.labels is None else lab.labels)


def _folder(lab: Lab, recipe: Recipe):
    """Where a run keeps its state: with other texts to label it is another run."""
    return checkpoint(lab, recipe, "".join(f"-{digest(name, length=8)}" for name in whose_texts(lab).values()))


def _freeze(lab: Lab, model) -> None:
    """Under `quick` the lower layers stay as they are, as in every run of it."""
    if lab.quick and not hasattr(model, "quantizer"):
        freeze_below(model, QUICK_DEPTH)


_options = dict(parameters=lambda lab, recipe: {"recipe": _with_labels(lab, recipe), **whose_texts(lab)},
                checkpoints=lambda lab, recipe: [_folder(lab, _with_labels(lab, recipe))])
for _name, _recipe in _RECIPES.items():
    SYNERGY.arm(_name, _recipe, start="source", **_options)(assembled)
SYNERGY.arm("controller-no-source", SEO, start="pretrained", **_options)(assembled)  # what the source task is worth

# The whole system on all labels that there are. It begins with the baseline of chapter 2, which it is held against too.
ASSEMBLED = Chapter("15_seo_llm", ground="headline", layers=3, quick=_quick)
ASSEMBLED.arm("seo", replace(SEO, first=1.0, first_epochs=0, without=("buy",)), needs="base", start="pretrained",
              **_options)(assembled)
