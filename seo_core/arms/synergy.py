"""The Synergy Controller and what it is held against: other ways to spend one budget, and SEO-LLM without a part.

    run = lab.arm("controller", 4000)                # Run: record, weights, model.onnx
    run.record["series"]["lambda_model"]             # λ₂, round by round

Every arm has the same budgets of labels, work and bytes, the same start (the network of the source task, as in the
chapters on labels) and the same guard; what differs is who picks the next action (`ControllerConfig`), or what is left
out of the pipeline. `GRID` is what every one of them is tuned over. `guard-on` and `guard-off` are of a harder
step.

In the headline setting there is the whole system: `seo` on all labels, from the baseline; `seo-labels` on 70% of them,
without a source task, its uncompressed control and its cheap rival.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations, product

import numpy as np

from seo_core.arms import quantization
from seo_core.arms.compression import checkpoint, deployed
from seo_core.arms.distillation import integers
from seo_core.arms.texts import further_texts, whose_texts
from seo_core.checks import at_least, one_of, share
from seo_core.controller import ALLOCATIONS, PRICES, ControllerConfig, Prices
from seo_core.evaluation import predict
from seo_core.files import digest
from seo_core.lab import Chapter, Lab, Made, Run, known
from seo_core.lab.source import QUICK_DEPTH, SOURCE_EPOCHS, freeze_below
from seo_core.pipeline import COMPRESSION, Outcome, Pipeline, run_seo_llm
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


def _check(recipe, settings) -> None:
    """Raises ValueError for a number of labels that the run would not have."""
    if recipe.labels != Pipeline.labels:
        raise ValueError("labels is no knob here: --labels says how many, and in the headline setting label_share")


SYNERGY = Chapter("14_synergy_controller", budgets=(4000,), layers=3, quick=_quick, check=_check)


@dataclass(frozen=True)
class Recipe(Pipeline):
    """A pipeline, and who picks its actions."""

    allocation: str = one_of(ALLOCATIONS, default="score")
    prices: str = one_of(PRICES, default="adaptive")
    guard: bool = True
    schedule: tuple[tuple[str, int], ...] = ()  # of `static`: (action, rounds)
    label_share: float = share(default=1.0)  # in the headline setting: of all labels, the development slice's counted
    set_aside: int = at_least(0, default=0)  # labelled pairs of the pool that the run never sees; it is measured there

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


# What controller and schedules are tuned over, as many trials each: the rate, and the pairs of a round. Of rates also a
# lower one, since from a trained network `seo` needs it.
GRID = {"learning_rate": (SEO.learning_rate, 3e-5), "pairs": (SEO.pairs, 2 * SEO.pairs)}


def trials(name: str) -> dict[str, dict]:
    """The trials of an arm: the name of each run, and the knobs that it changes; the first is the arm as it is.

    `run arm controller --name controller-trial-pairs-4000 --set pairs=4000 …` makes one of them."""
    start, found = known(name).recipe, {}
    for values in product(*GRID.values()):
        knobs = {knob: value for knob, value in zip(GRID, values, strict=True) if value != getattr(start, knob)}
        words = [f"{knob.removeprefix('learning_')}-{value:g}" for knob, value in knobs.items()]
        found["-trial-".join([name, *["-".join(words)] * bool(words)])] = knobs
    return found


def assembled(lab: Lab, recipe: Recipe, base: Run | None = None, *, best: bool = False) -> Made:
    """The whole pipeline under the controller, and the student as the file that is deployed.

    base: a network to begin with that has learned all labels; without one it begins with some of them. best: of
    `run_seo_llm`. metrics: labels, train_examples and work_seconds of the rounds (at the recipe's speed; what was
    rolled back is spent, too), rounds, rounds_back (rolled back), accuracy_start, floor, removed, lambda_data and
    lambda_model at the end, budgets_missed, `training_time`, and those of `Outcome.metrics`. series:
    development_accuracy before the first round and after each; train_accuracy, once, at the end, on the labelled pairs,
    without dropout.
    """
    recipe = _with_labels(lab, recipe)
    outcome = run_seo_llm(lab, recipe.pipeline, _folder(lab, recipe), freeze=lambda model: _freeze(lab, model),
                          config=controller(recipe, lab.settings.seed), further=further_texts(lab), best=best,
                          network=lambda lab: base.model() if base else lab.network(lab.current.start))
    state, log = outcome.state, outcome.log
    if state.integers:
        made = integers(state.reader, state.model, {})
    else:
        config = ExportConfig("fp32", embedding_bits=32, max_length=lab.settings.max_length)
        made = deployed(lab, state.model, lambda path: export_onnx(state.model, path, config))[0]
    prices = {f"lambda_{name}": log[-1][f"lambda_{name}"] if log else ControllerConfig.start for name in Prices._fields}
    curves = {"development_accuracy": [outcome.start.accuracy, *(entry["accuracy"] for entry in log)],
              "train_accuracy": [_accuracy(state.model, state.reader.encoded().take(state.rows))]}
    return replace(made, rows=state.rows, series=outcome.series() | curves, metrics={
        **made.metrics, **outcome.metrics, **prices,
        "labels": len(state.rows), "added": len(state.edits) + len(state.soft),
        **training_time(lab, recipe, outcome, base), "rounds": len(log),
        "rounds_back": sum(not entry["accepted"] for entry in log), "accuracy_start": outcome.start.accuracy,
        "floor": outcome.floor, "budgets_missed": len(outcome.missed),
        "removed": 1 - encoder_weights(state.model) / encoder_weights(state.teacher)})


def training_time(lab: Lab, recipe: Recipe, outcome: Outcome, base: Run | None) -> dict[str, float]:
    """train_examples and work_seconds of the rounds; train_work, pairs as the baseline is trained on, of these and all
    that they began with (the baseline, or the source task); train_seconds, as long as the baseline of the seed would
    take for so many, where its record has its own time: the same quiet machine."""
    spent = {name: getattr(outcome.start, name) + sum(entry[name] for entry in outcome.log)
             for name in ("examples", "seconds")}
    work = spent["seconds"] * recipe.speed
    if base:
        work += base.metrics["train_examples"]
    elif lab.current.start == "source":
        work += SOURCE_EPOCHS * lab.source_labels()
    timed = base or (lab.find(known("base").suited(lab.settings)) if lab.labels is None else None)
    seconds = timed and timed.metrics.get("train_seconds")
    return {"train_examples": spent["examples"], "work_seconds": spent["seconds"], "train_work": work,
            "train_seconds": seconds and work * seconds / timed.metrics["train_examples"]}


def _accuracy(network, encoded) -> float:
    return float((predict(network, encoded, precision="auto").argmax(1) == encoded.labels).mean())


def _with_labels(lab: Lab, recipe: Recipe) -> Recipe:
    """The recipe with the labels that the run was asked for; in the headline setting, with its share of all labels,
    those of the development slice counted."""
    held = len(lab.task["reward"]) + len(lab.task["acceptance"]) if lab.labels is None else 0
    labels = int(recipe.label_share * (len(lab.pool) + held)) - held if lab.labels is None else lab.labels
    if labels < 1:
        raise ValueError(f"label_share is {recipe.label_share:g}, and the development slice alone has {held} labels of "
                         f"{len(lab.pool) + held}: raise it")
    return replace(recipe, labels=labels)


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

# Double loss: half of the labels are bought in three strokes, and of the encoder two thirds go in two, as far as the
# guard allows. On pairs that no choice and no training has seen.
GUARD = Recipe(seconds=300.0, bought=0.25, removed=0.4, most_removed=0.65, without=("augment", "label", "quantize"),
               allocation="static", schedule=(("buy", 3), ("prune", 9), ("train", 99)), set_aside=4000)


def guarded(lab: Lab, recipe: Recipe) -> Made:
    """`assembled` on the pool without some pairs, at most a quarter of it, and its accuracy on these. metrics beside
    its own: set_aside (pairs), set_aside_accuracy, requested_share of the encoder's weights, and reached_share."""
    drawn = np.random.default_rng([lab.settings.seed, 101]).permutation(len(lab.pool))
    aside, seen = np.split(drawn, [min(recipe.set_aside, len(lab.pool) // 4)])
    splits = {**lab.task.splits, "train": lab.pool.iloc[seen].reset_index(drop=True)}
    made = assembled(replace(lab, task=replace(lab.task, splits=splits), shared={}), recipe)
    held = lab.reading_with(made.tokenizer).encode(lab.pool.iloc[aside])
    return replace(made, rows=seen[made.rows], metrics={
        **made.metrics, "set_aside": len(aside), "requested_share": recipe.most_removed,
        "set_aside_accuracy": float((made.predict(held).argmax(1) == held.labels).mean()),
        "reached_share": made.metrics["removed"]})


for _name, _guard in (("guard-on", True), ("guard-off", False)):
    SYNERGY.arm(_name, replace(GUARD, guard=_guard), start="source", budgets=(2000,), **_options)(guarded)

# The whole system on all labels that there are. It begins with the baseline of chapter 2, which it is held against too.
# A trained network is gone on with at a third of the rate that made it: at the whole rate most of a run's first rounds
# fell below the floor, on development rows of one seed; it was left unfinished.
ASSEMBLED = Chapter("15_seo_llm", ground="headline", layers=3, quick=_quick, check=_check)
ASSEMBLED.arm("seo", replace(SEO, first=1.0, first_epochs=0, without=("buy",), learning_rate=3e-5), needs="base",
              start="pretrained", **_options)(assembled)

# And on 70% of the labels, or half, of which it buys most itself, from pre-training alone: work of nine epochs of all
# labels, under half of the papers' twenty.
FEW = replace(SEO, seconds=1800.0, pairs=5000, labelled=5000, label_share=0.7)
HALF = replace(FEW, label_share=0.5)
for _name, _recipe in (("seo-labels", FEW), ("seo-half", HALF)):
    ASSEMBLED.arm(_name, _recipe, start="pretrained", **_options)(assembled)


def on_the_same(lab: Lab, recipe: Recipe, compressed: Run) -> Made:
    """The pipeline on the labels that another run bought, and of its networks the most accurate."""
    return assembled(replace(lab, drawn=compressed.rows), recipe, best=True)


# nothing is taken away, and the network is its own teacher: the same labels, texts and work
for _name, _of, _recipe in (("seo-control", "seo-labels", FEW), ("seo-half-control", "seo-half", HALF)):
    ASSEMBLED.arm(_name, replace(_recipe, first=1.0, first_epochs=3, size=None, without=("buy", *COMPRESSION)),
                  needs=_of, start="pretrained", **_options)(on_the_same)


@ASSEMBLED.arm("seo-rival", FEW, needs="seo-labels", start="pretrained", **_options)
def rival(lab: Lab, recipe: Recipe, compressed: Run) -> Made:
    """What a user gets without this book: the baseline on the same labels with as much work, the best of its epochs on
    the acceptance half, in static int8."""
    from seo_core.training import KeepBest, fit

    rows, model, best = compressed.rows, lab.network(), KeepBest()
    _freeze(lab, model)
    trained = fit(model, lab.encoded().take(rows), config=lab.config(epochs=max(1, round(recipe.work / len(rows)))),
                  development=lab.encoded("acceptance"), callbacks=[best],
                  checkpoint_dir=None if lab.quick else checkpoint(lab, _with_labels(lab, recipe)))
    made = deployed(lab, model, lambda path: quantization.export(lab, model, quantization.STATIC, path))[0]
    return replace(made, rows=rows, series=trained.series, metrics={
        **trained.metrics, **made.metrics, **best.metrics(), "labels": len(rows),
        "train_work": trained.metrics["train_examples"]})
