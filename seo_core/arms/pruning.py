"""What the chapters on pruning compare: each arm is a recipe, and one function makes a network from a recipe.

    run = lab.arm("prune")                                           # Run: record, weights
    run = lab.arm("aip", knobs={"threshold": 2.0, "hidden": 1.0})    # the same with other knobs

    python -m seo_core.run arm aip --name aip-wide --set source_text=True budget=4.5 --profile cpu ...

Every arm starts from the baseline of its seed (the arm `base`, or what `teacher` names in its place), which is also the
teacher where there is one. A run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seo_core.arms.compression import check_network, checkpoint, recipes, sources
from seo_core.arms.teaching import Work
from seo_core.arms.texts import sample
from seo_core.checks import above, at_least, check, one_of, suggest
from seo_core.distillation import DistillationConfig
from seo_core.evaluation import accuracy
from seo_core.lab import Chapter, Lab, Made, Run
from seo_core.models import save
from seo_core.pruning import AdaptiveIterativePruning, AIPConfig, KeepMasks, distribution, magnitude, structured
from seo_core.pruning.aip import split_passes
from seo_core.settings import RunSettings
from seo_core.training import classification_loss

METHODS = ("magnitude", "structured", "aip", "none")


@dataclass(frozen=True)
class Recipe:
    """How a network is pruned and trained afterwards. Unknown keys raise. Of AIP's knobs see `AIPConfig`."""

    method: str = one_of(METHODS, default="structured")  # magnitude: zeros | structured: units, at once | aip | none
    share: float = at_least(0, below=1, unit="(0.5 removes half)", default=0.4)  # of the weights (of the encoder's)
    scope: str = one_of(magnitude.SCOPES, default="global")  # of magnitude
    score: str = "taylor"  # of structured and aip: magnitude | taylor | activation | random
    kinds: tuple[str, ...] = ("heads", "neurons")
    compensate: bool = True  # least squares before training
    score_rows: int = at_least(0, default=1024)  # pairs of the reward half for scores and compensation
    epochs: float = at_least(0, default=3)  # over the training pairs, after pruning; of aip: after its last step
    learning_rate: float | None = above(0, default=None)  # of these; None: the settings'
    weight: float = 0.7  # of the unpruned network's soft labels; 0: labels alone
    temperature: float = 2.0
    hidden: float = 0.0  # weight of the unpruned network's hidden states
    source_text: bool = False  # also the texts of the source task, without labels
    domain_text: bool = False  # and those that `settings.unlabelled` names
    augmented: float = at_least(0, default=0.0)  # edited pairs without labels, as a share of the training pairs
    threshold: float = 1.0
    step: float = 0.1
    floor: float = 0.025
    target: float = 0.6
    recovery: float = 0.4
    recovery_rate: float = above(0, default=5e-5)
    budget: float = 6.5
    like: str | None = None  # an arm whose removed share, texts and number of passes are taken over
    teacher: str = "base"  # the arm whose network is pruned, and teaches what is left of it

    def __post_init__(self):
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if self.weight == 0 and (self.source_text or self.domain_text or self.augmented):
            raise ValueError("texts without labels teach nothing without soft labels: set weight above 0")
        check(self)
        copied(self), iterations(self)


def copied(recipe: Recipe) -> DistillationConfig:
    """What is learned from the unpruned network. Raises ValueError, as the next one does, for values out of range."""
    return DistillationConfig(temperature=recipe.temperature, weight=recipe.weight, hidden=recipe.hidden)


def iterations(recipe: Recipe, **others) -> AIPConfig:
    """The recipe as an AIPConfig; others: fields that the recipe does not have."""
    same = ("threshold", "score", "kinds", "step", "floor", "target", "recovery", "budget", "score_rows", "compensate")
    return AIPConfig(final=recipe.epochs if recipe.method == "aip" else 0, learning_rate=recipe.recovery_rate,
                     **{name: getattr(recipe, name) for name in same}, **others)


PAPERS = Recipe(method="magnitude", share=0.5, weight=0.0)  # zeros, then fine-tuning on the labels
UNITS, AIP = Recipe(), Recipe(method="aip")
QUICK = {"epochs": 0.25, "score_rows": 64, "recovery": 0.25, "budget": 1.0, "step": 0.25, "floor": 0.2, "target": 0.3}


def _check(recipe: Recipe, settings: RunSettings) -> None:
    if recipe.like is not None and recipe.like not in (arms := {**PRUNING.arms, **ITERATIVE.arms}):
        raise ValueError(f"like names an arm, and {recipe.like!r} is none{suggest(recipe.like, arms)}")
    check_network("teacher", recipe.teacher)


_common = dict(ground="headline", recipe_needs=sources, check=_check,
               quick=lambda recipe: replace(recipe, **QUICK))
PRUNING, ITERATIVE = Chapter("09_pruning", **_common), Chapter("10_adaptive_iterative_pruning", **_common)


class _Pruning(Work):
    """One recipe at work on the baseline, or what stands in its place: this is pruned, and is the teacher."""

    def __init__(self, lab: Lab, recipe: Recipe, base, folder: Path):
        super().__init__(lab, recipe, [base])
        self.base, self.folder = base, folder
        self.scoring = sample(lab, "reward", recipe.score_rows, stream=107)  # for scores and compensation

    def loss(self, model, rows):
        """A loss for `fit` on the pairs at `rows`: labels, soft labels and hidden states, as the recipe says."""
        if not (self.recipe.weight or self.recipe.hidden):
            return classification_loss
        return super().loss(model, copied(self.recipe), rows)

    def fit(self, model, callbacks=()):
        """Trains on for the recipe's epochs, in place."""
        rows, epochs = split_passes(len(self.train), self.recipe.epochs, self.lab.settings.seed)
        return super().fit(model, epochs, self.loss(model, rows), self.folder, rows=rows, callbacks=callbacks)


_PRUNING = {
    "prune": PAPERS, "prune-layer": replace(PAPERS, scope="layer"),
    **{f"prune-{round(100 * s)}": replace(PAPERS, share=s) for s in (0.3, 0.7, 0.9)},
    **{f"{score}-{share}": replace(UNITS, score=score, share=share / 100)
       for share in (40, 60) for score in ("magnitude", "taylor", "activation", "random")},
    **{f"taylor-{share}": replace(UNITS, share=share / 100) for share in (20, 80)},
    **{f"layers-{share}": replace(UNITS, share=share / 100, kinds=("layers",)) for share in (33, 50)},
    # whole layers too: of six, the last goes, of which little was left
    "taylor-65": replace(UNITS, share=0.65, kinds=("heads", "neurons", "layers")),
    "taylor-60-labels": replace(UNITS, share=0.6, weight=0.0),  # without a teacher
    "taylor-60-raw": replace(UNITS, share=0.6, compensate=False),  # without least squares
}
_ITERATIVE = {
    "aip": AIP, **{f"aip-{score}": replace(AIP, score=score) for score in ("magnitude", "activation")},
    "aip-labels": replace(AIP, weight=0.0), "aip-wide": replace(AIP, source_text=True, budget=5.0, recovery=0.25),
    "aip-patient": replace(AIP, step=0.15, recovery=1.0, budget=8.0),  # a whole pass to recover in
    "aip-hidden": replace(AIP, hidden=1.0),
    **{f"aip-T{t:g}": replace(AIP, threshold=t, target=0.9, budget=7.5) for t in (0.5, 2.0, 4.0)},
    "oneshot": replace(UNITS, like="aip"),  # as much removed at once, trained as long
    "distilled": replace(UNITS, method="none", like="aip"),  # nothing removed, trained as long
}


@recipes(ITERATIVE, _ITERATIVE, stages=("",))
@recipes(PRUNING, _PRUNING, stages=("",))
def pruned(lab: Lab, recipe: Recipe, runs: Mapping[str, Run]) -> Made:
    """Prunes the teacher as the recipe says and trains what is left; the original is not touched. metrics:
    encoder_weights, and removed, the share of the teacher's that is gone."""
    folder = checkpoint(lab, recipe)
    if recipe.like is not None:
        like = runs[recipe.like]
        given = like.record["parameters"]["recipe"]
        same = {name: given[name] for name in ("source_text", "domain_text", "augmented", "weight", "hidden")
                if name in given}  # records from before there was one lack it
        recipe = replace(recipe, share=min(like.metrics["removed"], 0.999), epochs=like.metrics["passes"], **same)
    work = _Pruning(lab, recipe, runs[recipe.teacher].model(), folder)
    steps = {"magnitude": _zeros, "structured": _units, "none": _units, "aip": _iterative}
    made = steps[recipe.method](work)
    left = structured.encoder_weights(made.model)
    means, curves = _distribution(work.base, made.model)
    if recipe.method != "magnitude":
        curves |= {f"layer_{kind}": counts for kind, counts in structured.shapes(made.model).items()}
    return replace(made, series={**made.series, **curves}, metrics={
        "encoder_weights": left, "removed": 1 - left / structured.encoder_weights(work.base), **means, **made.metrics})


def _zeros(work: _Pruning) -> Made:
    """The papers' way: the smallest weights to zero, then fine-tuning with the mask kept. removed_mass is the share of
    Σ w² that the zeros took before fine-tuning, which does not compare with that of units (`_distribution`)."""
    model, recipe = copy.deepcopy(work.base), work.recipe
    masks = magnitude.prune(model, recipe.share, scope=recipe.scope)
    left, whole = (sum(float(np.square(w, dtype=float).sum()) for w in distribution.layer_weights(network))
                   for network in (model, work.base))  # Σ w² now: fine-tuning moves the rest
    trained = work.fit(model, [KeepMasks(masks)])
    stored = magnitude.stored_bytes(model, gzip=not work.lab.quick)
    return Made(model, series=trained.series, metrics={
        **trained.metrics, "removed_mass": 1 - left / whole, "sparsity": magnitude.sparsity(model)["share"],
        **{f"{name}_bytes": n for name, n in stored.items() if name != "dense"}})


def _units(work: _Pruning) -> Made:
    """Units out at once, then training."""
    model, recipe = work.base, work.recipe
    if recipe.method == "none" or recipe.share == 0:
        model = structured.remove(model)  # a copy
    else:
        scores = structured.importance(model, recipe.score, work.scoring, seed=work.lab.settings.seed)
        removal = structured.choose(model, scores, recipe.share, kinds=recipe.kinds)
        source = structured.compensate(model, removal, work.scoring) if recipe.compensate else model
        model = structured.remove(source, **removal.units)
    acceptance = work.lab.encoded("acceptance")
    before = accuracy(model, acceptance)
    trained = work.fit(model)
    return Made(model, series=trained.series, metrics={
        **trained.metrics, "accuracy_before_training": before,
        "passes": trained.metrics["train_examples"] / len(work.train)})


def _iterative(work: _Pruning) -> Made:
    """AIP."""
    config = iterations(work.recipe, final_learning_rate=work.config().learning_rate, seed=work.lab.settings.seed)
    aip = AdaptiveIterativePruning(config, training=work.config(), checkpoint_dir=work.folder, report=work.lab.report)
    result = aip(work.base, work.train, work.scoring, work.lab.encoded("acceptance"), loss=work.loss)
    steps = [row for row in result.trace if not row["final"] and row["accuracy"] is not None]
    return Made(result.model, series=result.series, metrics={
        "accuracy_start": result.start, "passes": result.passes,
        "train_examples": round(result.passes * len(work.train)), "steps_tried": len(steps),
        "steps_accepted": sum(row["accepted"] for row in steps)})


def file_bytes(model) -> int:
    """Bytes of the safetensors file that `save_pretrained` writes and `from_pretrained` loads."""
    with tempfile.TemporaryDirectory() as folder:
        return (save(model, None, Path(folder) / "model") / "model.safetensors").stat().st_size


def _distribution(base, model) -> tuple[dict[str, float], dict[str, list]]:
    """(weight_shape_overlap and removed_mass, means over the layers; curves of Figure 4). Nothing where layers went.
    The networks are compared as they are now, trained: training on moves the weights that stay, and so the mass."""
    if model.config.num_hidden_layers != base.config.num_hidden_layers:
        return {}, {}
    table = distribution.weight_shape_overlap(base, model)
    means = {"weight_shape_overlap": table["overlap"].mean(), "removed_mass": table["removed_mass"].mean()}
    curves = {f"layer_{name}": table[name].tolist() for name in table.columns[1:]}
    return {name: float(mean) for name, mean in means.items()}, {**distribution.histograms(base, model), **curves}
