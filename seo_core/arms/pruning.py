"""What the chapters on pruning compare: each arm is a recipe, and one function makes a network from a recipe.

    run = lab.arm("prune")                                           # Run: record, weights
    run = lab.arm("aip", knobs={"threshold": 2.0, "hidden": 1.0})    # the same with other knobs

    python -m seo_core.run arm prune aip --profile cpu --data path/to/mnli --source path/to/snli --seeds 1
    python -m seo_core.run arm aip --name aip-wide --set source_text=True budget=4.5 --profile cpu ...

Every arm starts from the baseline of its seed (the arm `base`), which is also the teacher where there is one. A run
that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

import seo_core.arms.baseline  # noqa: F401  declares the arm that these need
from seo_core.arms.texts import cache_folder, edited_texts, source_texts
from seo_core.checks import check_least, suggest
from seo_core.data.encoding import concatenate
from seo_core.lab.arm import Chapter
from seo_core.lab.ground import Lab
from seo_core.lab.run import Made, Run
from seo_core.pruning.magnitude import SCOPES, check_share
from seo_core.settings import RunSettings

METHODS = ("magnitude", "structured", "aip", "none")


@dataclass(frozen=True)
class Recipe:
    """How a network is pruned and trained afterwards. Unknown keys raise. Of AIP's knobs see `AIPConfig`."""

    method: str = "structured"  # magnitude: zeros | structured: units, at once | aip | none: only trained on
    share: float = 0.4  # of the prunable weights (magnitude), or of the encoder's (structured)
    scope: str = "global"  # of magnitude: global | layer
    score: str = "taylor"  # of structured and aip: magnitude | taylor | activation | random
    kinds: tuple[str, ...] = ("heads", "neurons")
    compensate: bool = True  # least squares before training
    score_rows: int = 1024  # pairs of the reward half for scores and compensation
    epochs: float = 3  # over the training pairs, after pruning; of aip: after its last step
    learning_rate: float | None = None  # of these; None: the settings'
    weight: float = 0.7  # of the unpruned network's soft labels; 0: labels alone
    temperature: float = 2.0
    hidden: float = 0.0  # weight of the unpruned network's hidden states
    source_text: bool = False  # also the texts of the source task, without labels
    augmented: float = 0.0  # edited training pairs without labels, as a share of the training pairs
    threshold: float = 1.0
    step: float = 0.1
    floor: float = 0.025
    target: float = 0.6
    recovery: float = 0.4
    recovery_rate: float = 5e-5
    budget: float = 6.5
    like: str | None = None  # an arm whose removed share, texts and number of passes are taken over

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}{suggest(self.method, METHODS)}")
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if self.weight == 0 and (self.source_text or self.augmented):
            raise ValueError("texts without labels teach nothing without soft labels: set weight above 0")
        check_share(self.share, "share")
        if self.scope not in SCOPES:
            raise ValueError(f"unknown scope {self.scope!r}{suggest(self.scope, SCOPES)}")
        check_least(self, epochs=0, augmented=0, score_rows=0)
        check_least(self, above=True, learning_rate=0, recovery_rate=0)
        copied(self), iterations(self)


def copied(recipe: Recipe):
    """What is learned from the unpruned network. Raises ValueError, as the next one does, for values out of range."""
    from seo_core.distillation.losses import DistillationConfig

    return DistillationConfig(temperature=recipe.temperature, weight=recipe.weight, hidden=recipe.hidden)


def iterations(recipe: Recipe, **others):
    """The recipe as an AIPConfig; others: fields that the recipe does not have."""
    from seo_core.pruning.aip import AIPConfig

    r = recipe
    return AIPConfig(threshold=r.threshold, score=r.score, kinds=r.kinds, step=r.step, floor=r.floor, target=r.target,
                     recovery=r.recovery, final=r.epochs if r.method == "aip" else 0, budget=r.budget,
                     learning_rate=r.recovery_rate, score_rows=r.score_rows, compensate=r.compensate, **others)

PAPERS = Recipe(method="magnitude", share=0.5, weight=0.0)  # zeros, then fine-tuning on the labels
UNITS, AIP = Recipe(), Recipe(method="aip")
QUICK = {"epochs": 0.25, "score_rows": 64, "recovery": 0.25, "budget": 1.0, "step": 0.25, "floor": 0.2, "target": 0.3}


def _named(recipe: Recipe) -> tuple[str, ...]:
    return (recipe.like,) if recipe.like else ()


def _check(recipe: Recipe, settings: RunSettings) -> None:
    if recipe.like is not None and recipe.like not in (arms := {**PRUNING.arms, **ITERATIVE.arms}):
        raise ValueError(f"like names an arm, and {recipe.like!r} is none{suggest(recipe.like, arms)}")


_common = dict(ground="headline", recipe_needs=_named, quick=lambda recipe: replace(recipe, **QUICK), check=_check)
PRUNING, ITERATIVE = Chapter("09_pruning", **_common), Chapter("10_adaptive_iterative_pruning", **_common)


# ---------------------------------------------------------------------------------------------
# From a recipe to a network


def checkpoint(lab: Lab, recipe: Recipe) -> Path:
    """Where a run of the recipe saves itself until its record is written."""
    from seo_core.training import checkpoint_folder

    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()[:8]
    return checkpoint_folder(lab.settings, f"{lab.chapter.id}-{digest}")


@dataclass
class _Pruning:
    """One recipe at work: the network it starts from, what it reads, and its teacher's logits."""

    lab: Lab
    recipe: Recipe
    base: object  # the baseline's network: what is pruned, and the teacher
    folder: Path

    @cached_property
    def train(self):
        """What is trained on after pruning: the labelled pairs, then those without a label."""
        pairs = self.lab.encoded("train")
        if self.recipe.source_text:
            pairs = concatenate(pairs, self.lab.encode(source_texts(self.lab)))
        if self.recipe.augmented:
            pairs = concatenate(pairs, self.lab.encode(edited_texts(self.lab, self.recipe.augmented)))
        return pairs

    @cached_property
    def scoring(self):
        """Pairs of the reward half for scores and compensation."""
        reward = self.lab.encoded("reward")
        order = np.random.default_rng([self.lab.settings.seed, 107]).permutation(len(reward))
        return reward.take(order[: self.recipe.score_rows])

    @cached_property
    def targets(self):
        """The teacher's logits on `train`, kept in a file."""
        from seo_core.distillation.cache import cached_logits

        return cached_logits(self.base, self.train, cache_folder(self.lab.settings))

    def loss(self, model, rows):
        """A loss for `fit` on the pairs at `rows`: labels, soft labels and hidden states, as the recipe says."""
        from seo_core.distillation.losses import Distillation
        from seo_core.training import classification_loss

        r = self.recipe
        if not (r.weight or r.hidden):
            return classification_loss
        return Distillation(model, self.train.take(rows), targets=self.targets[rows] if r.weight else None,
                            teacher=self.base if r.hidden else None, config=copied(r))

    def config(self, **changes):
        """The settings' TrainingConfig with the recipe's rate."""
        from seo_core.training import TrainingConfig

        rate = {} if self.recipe.learning_rate is None else {"learning_rate": self.recipe.learning_rate}
        return TrainingConfig.from_settings(self.lab.settings, **{**rate, **changes})

    def fit(self, model, callbacks=()):
        """Trains on for the recipe's epochs, in place."""
        from seo_core.pruning.aip import split_passes
        from seo_core.training import fit

        rows, epochs = split_passes(len(self.train), self.recipe.epochs, self.lab.settings.seed)
        return fit(model, self.train.take(rows), config=self.config(epochs=epochs), loss=self.loss(model, rows),
                   development=self.lab.encoded("acceptance"), callbacks=callbacks, checkpoint_dir=self.folder,
                   progress=False)

def pruned(lab: Lab, recipe: Recipe, base: Run, like: Run | None = None) -> Made:
    """Prunes the baseline as the recipe says and trains what is left; the original is not touched.

    like: the run whose removed share, texts and number of passes the recipe takes over.
    """
    folder = checkpoint(lab, recipe)
    if like is not None:
        given = like.record["parameters"]["recipe"]
        same = {name: given[name] for name in ("source_text", "augmented", "weight", "hidden")}
        recipe = replace(recipe, share=min(like.metrics["removed"], 0.999), epochs=like.metrics["passes"], **same)
    work = _Pruning(lab, recipe, base.model(), folder)
    steps = {"magnitude": _zeros, "structured": _units, "none": _units, "aip": _iterative}
    made = steps[recipe.method](work)
    return replace(made, metrics={**weights(work.base, made.model), **made.metrics})


def _zeros(work: _Pruning) -> Made:
    """The papers' way: the smallest weights to zero, then fine-tuning with the mask kept.

    removed_mass is here the share of Σ w² that the zeros took, all layers together, before fine-tuning; of units
    (`_distribution`) it is the mean over the layers of what is missing after training. The two do not compare.
    """
    import copy

    from seo_core.pruning.magnitude import KeepMasks, prune, sparsity, stored_bytes

    model, recipe = copy.deepcopy(work.base), work.recipe
    masks = prune(model, recipe.share, scope=recipe.scope)
    mass = _mass(model) / _mass(work.base)  # now: fine-tuning moves the rest
    trained = work.fit(model, [KeepMasks(masks)])
    stored = stored_bytes(model, gzip=work.lab.settings.profile != "quick")
    shape, curves = _distribution(work.base, model)
    return Made(model, series={**trained.series, **curves}, metrics={
        **trained.metrics, **shape, "removed_mass": 1 - mass, "sparsity": sparsity(model)["share"],
        **{f"{name}_bytes": n for name, n in stored.items() if name != "dense"}})


def _mass(model) -> float:
    """Σ w² over the linear maps of the encoder."""
    from seo_core.pruning.distribution import layer_weights

    return sum(float(np.square(w, dtype=float).sum()) for w in layer_weights(model))


def _units(work: _Pruning) -> Made:
    """Units out at once, then training."""
    from seo_core.pruning.structured import choose, compensate, importance, remove

    model, recipe = work.base, work.recipe
    if recipe.method == "none" or recipe.share == 0:
        model = remove(model)  # a copy
    else:
        scores = importance(model, recipe.score, work.scoring, seed=work.lab.settings.seed)
        removal = choose(model, scores, recipe.share, kinds=recipe.kinds)
        source = compensate(model, removal, work.scoring) if recipe.compensate else model
        model = remove(source, **removal.units)
    metrics = {"accuracy_before_training": _accuracy(model, work.lab)}
    trained = work.fit(model)
    shape, curves = _distribution(work.base, model)
    return Made(model, series={**trained.series, **_layers(model), **curves},
                metrics={**trained.metrics, **metrics, **shape,
                         "passes": trained.metrics["train_examples"] / len(work.train)})


def _iterative(work: _Pruning) -> Made:
    """AIP."""
    from seo_core.pruning.aip import AdaptiveIterativePruning

    config = iterations(work.recipe, final_learning_rate=work.config().learning_rate, seed=work.lab.settings.seed)
    aip = AdaptiveIterativePruning(config, training=work.config(), checkpoint_dir=work.folder, report=work.lab.report)
    result = aip(work.base, work.train, work.scoring, work.lab.encoded("acceptance"), loss=work.loss)
    steps = [row for row in result.trace if not row["final"] and row["accuracy"] is not None]
    shape, curves = _distribution(work.base, result.model)
    return Made(result.model, series={**result.series, **_layers(result.model), **curves},
                metrics={"accuracy_start": result.start, "passes": result.passes,
                         "train_examples": round(result.passes * len(work.train)), "steps_tried": len(steps),
                         "steps_accepted": sum(row["accepted"] for row in steps), **shape})


def _accuracy(model, lab: Lab) -> float:
    from seo_core.evaluation import predict

    acceptance = lab.encoded("acceptance")
    return float((predict(model, acceptance, precision="auto").argmax(1) == acceptance.labels).mean())


# ---------------------------------------------------------------------------------------------
# What is measured on a pruned network


def file_bytes(model) -> int:
    """Bytes of the safetensors file that `save_pretrained` writes and `from_pretrained` loads."""
    from seo_core.models.backbone import save

    with tempfile.TemporaryDirectory() as folder:
        return (save(model, None, Path(folder) / "model") / "model.safetensors").stat().st_size


def weights(base, model) -> dict[str, float]:
    """size_bytes of the file, encoder_weights, and removed: the share of the base encoder's weights that is gone."""
    from seo_core.pruning.structured import encoder_weights

    left = encoder_weights(model)
    return {"size_bytes": file_bytes(model), "encoder_weights": left, "removed": 1 - left / encoder_weights(base)}


def _distribution(base, model) -> tuple[dict[str, float], dict[str, list]]:
    """(weight_shape_overlap and removed_mass, means over the layers; curves of Figure 4). Nothing where layers went.

    The networks are compared as they are now, trained: training on moves the weights that stay, and so the mass.
    """
    from seo_core.pruning.distribution import histograms, weight_shape_overlap

    if model.config.num_hidden_layers != base.config.num_hidden_layers:
        return {}, {}
    table = weight_shape_overlap(base, model)
    means = {"weight_shape_overlap": table["overlap"].mean(), "removed_mass": table["removed_mass"].mean()}
    curves = {f"layer_{name}": table[name].tolist() for name in table.columns[1:]}
    return {name: float(value) for name, value in means.items()}, {**histograms(base, model), **curves}


def _layers(model) -> dict[str, list]:
    from seo_core.pruning.structured import shapes

    return {f"layer_{kind}": counts for kind, counts in shapes(model).items()}

# ---------------------------------------------------------------------------------------------
# Arms


_ARMS: dict[str, tuple[Chapter, Recipe]] = {
    "prune": (PRUNING, PAPERS),
    "prune-layer": (PRUNING, replace(PAPERS, scope="layer")),
    **{f"prune-{round(100 * s)}": (PRUNING, replace(PAPERS, share=s)) for s in (0.3, 0.7, 0.9)},
    **{f"{score}-{share}": (PRUNING, replace(UNITS, score=score, share=share / 100))
       for share in (40, 60) for score in ("magnitude", "taylor", "activation", "random")},
    **{f"taylor-{share}": (PRUNING, replace(UNITS, share=share / 100)) for share in (20, 80)},
    **{f"layers-{share}": (PRUNING, replace(UNITS, share=share / 100, kinds=("layers",))) for share in (33, 50)},
    # whole layers too: of six, the last goes, of which little was left
    "taylor-65": (PRUNING, replace(UNITS, share=0.65, kinds=("heads", "neurons", "layers"))),
    "taylor-60-labels": (PRUNING, replace(UNITS, share=0.6, weight=0.0)),  # without a teacher
    "taylor-60-raw": (PRUNING, replace(UNITS, share=0.6, compensate=False)),  # without least squares
    "aip": (ITERATIVE, AIP),
    "aip-magnitude": (ITERATIVE, replace(AIP, score="magnitude")),
    "aip-activation": (ITERATIVE, replace(AIP, score="activation")),
    "aip-labels": (ITERATIVE, replace(AIP, weight=0.0)),
    "aip-wide": (ITERATIVE, replace(AIP, source_text=True, budget=5.0, recovery=0.25)),
    "aip-patient": (ITERATIVE, replace(AIP, step=0.15, recovery=1.0, budget=8.0)),  # a whole pass to recover in
    "aip-hidden": (ITERATIVE, replace(AIP, hidden=1.0)),
    **{f"aip-T{t:g}": (ITERATIVE, replace(AIP, threshold=t, target=0.9, budget=7.5)) for t in (0.5, 2.0, 4.0)},
    "oneshot": (ITERATIVE, replace(UNITS, like="aip")),  # as much removed at once, trained as long
    "distilled": (ITERATIVE, replace(UNITS, method="none", like="aip")),  # nothing removed, trained as long
}
for _name, (_chapter, _recipe) in _ARMS.items():
    _chapter.arm(_name, _recipe, needs="base", parameters=lambda lab, recipe: {"recipe": recipe},
                 checkpoints=lambda lab, recipe: [checkpoint(lab, recipe)])(pruned)
