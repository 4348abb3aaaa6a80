"""What the chapters on distillation compare: each arm is a recipe, and one function makes a student from a recipe.

    run = lab.arm("kd")                                              # Run: record, weights
    run = lab.arm("kd", knobs={"epochs": 6, "augmented": 1.0})       # the same with other knobs

    python -m seo_core.run arm kd sqd --profile cpu --data path/to/mnli --source path/to/snli --seeds 1
    python -m seo_core.run arm kd --name kd-long --set epochs=8 learning_rate=2e-4 --profile cpu ...

Every student starts from the baseline of its seed (the arm `base`), which is also its teacher. A run that was stopped
goes on from its checkpoint. The unlabelled texts have no label in what the student sees: of the source task only the
texts are read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from seo_core.arms.pruning import ITERATIVE, PRUNING
from seo_core.arms.texts import cache_folder, edited_texts, source_texts
from seo_core.checks import check_least, suggest
from seo_core.data.encoding import concatenate
from seo_core.lab.arm import Chapter
from seo_core.lab.ground import OFFICIAL, Lab, open_lab
from seo_core.lab.run import Made, Run
from seo_core.settings import RunSettings

METHODS = ("kd", "ptq", "qat", "sqd")
EXPORTED = "model.onnx"  # in the folder of an integer student's weights


@dataclass(frozen=True)
class Recipe:
    """How a student is made: its shape, what it reads, and its two stages. Unknown keys raise."""

    method: str = "kd"  # kd: fp32 | ptq: kd, then rounded | qat: in integers, labels alone | sqd: in integers, taught
    depth: int = 3  # layers, spread over the teacher's
    layers: tuple[int, ...] | None = None  # or these, from 0
    neurons: int | None = None  # FFN neurons of each layer; None: all
    heads: int | None = None  # heads of each layer; None: all
    pruned: str | None = None  # instead of all these: what this arm of the chapters on pruning left of the baseline
    vocabulary: int | None = None  # rows of the word table, the most frequent in what is read; None: all
    temperature: float = 2.0
    weight: float = 0.7  # of the soft labels
    hidden: float = 0.0  # weight of hidden states beside the logits, in the last stage
    relations: float = 0.0  # weight of attention relations there
    first_epochs: int = 0  # of a first stage that copies hidden states and relations alone
    first_hidden: float = 1.0
    first_relations: float = 1.0
    epochs: int = 3  # of the last stage: logits and labels
    source_text: bool = False  # also the texts of the source task
    augmented: float = 0.0  # edited training pairs, as a share of the training pairs
    learning_rate: float | None = None  # None: the settings'
    batch_size: int | None = None  # None: the settings'
    dropout: float | None = None  # None: the backbone's
    train_embeddings: bool = False  # the word table too
    teachers: int = 1  # baselines of so many seeds, this one and the lowest others; their logits are averaged
    alpha_low: float = 1.0  # of sqd
    alpha_high: float = 4.0
    error: float = 1.0  # weight of the quantisation error, of sqd
    embedding_bits: int = 8  # of what is exported: 32 | 8 | 4
    calibration_rows: int = 512  # training texts that give the first ranges

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"unknown method {self.method!r}{suggest(self.method, METHODS)}")
        if self.layers is not None:
            object.__setattr__(self, "layers", tuple(self.layers))
        if self.pruned and (self.layers or self.neurons or self.heads):
            raise ValueError(f"the arm {self.pruned!r} says which units the student has: leave out layers, neurons and "
                             "heads")
        check_least(self, depth=1, neurons=1, heads=1, vocabulary=1, epochs=1, batch_size=1, teachers=1)
        check_least(self, first_epochs=0, augmented=0)
        check_least(self, above=True, learning_rate=0)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 or more and below 1, got {self.dropout!r}")
        if self.layers is not None and (not self.layers or len(set(self.layers)) < len(self.layers)):
            raise ValueError(f"layers must be distinct numbers from 0, one or more, got {self.layers!r}")
        last_stage(self), calibration(self), joint(self)
        if self.first_epochs:
            first_stage(self)

    @property
    def digest(self) -> str:
        """8 hex digits over all knobs; `pruned` counts where it is used, since it came after the first runs."""
        knobs = {name: value for name, value in asdict(self).items() if name != "pruned" or value is not None}
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()[:8]


def first_stage(recipe: Recipe):
    """What the first stage copies. Raises ValueError, as the next three do, for values out of range."""
    from seo_core.distillation.losses import DistillationConfig

    return DistillationConfig(logits=0.0, hidden=recipe.first_hidden, relations=recipe.first_relations)


def last_stage(recipe: Recipe):
    """What the last stage of `kd` and `ptq` copies."""
    from seo_core.distillation.losses import DistillationConfig

    return DistillationConfig(temperature=recipe.temperature, weight=recipe.weight, hidden=recipe.hidden,
                              relations=recipe.relations)


def calibration(recipe: Recipe):
    """How first ranges are chosen: by least squared error, on all of the texts given."""
    from seo_core.quantization.calibration import CalibrationConfig

    return CalibrationConfig(examples=recipe.calibration_rows, embedding_bits=recipe.embedding_bits)


def joint(recipe: Recipe):
    """The last stage of `sqd`, and of `qat`, where α is 0."""
    from seo_core.distillation.losses import DistillationConfig
    from seo_core.distillation.sqd import SQDConfig

    alpha = (0.0, 0.0) if recipe.method == "qat" else (recipe.alpha_low, recipe.alpha_high)
    parts = DistillationConfig(temperature=recipe.temperature, hidden=recipe.hidden, relations=recipe.relations)
    return SQDConfig(*alpha, error=recipe.error, distillation=parts, calibration=calibration(recipe))

QUICK = {"first_epochs": 1, "epochs": 1, "calibration_rows": 128}  # at most, under `quick`


def _check(recipe: Recipe, settings: RunSettings) -> None:
    """Raises ValueError for layers that the settings' network lacks, and for an unknown arm of pruning."""
    from seo_core.models import backbone_config

    if recipe.pruned:
        if recipe.pruned not in (arms := ["base", *PRUNING.arms, *ITERATIVE.arms]):
            raise ValueError(f"pruned names an arm of pruning, and {recipe.pruned!r} is none"
                             f"{suggest(recipe.pruned, arms)}")
        return
    have, wanted = settings.layers or backbone_config(settings.model).num_hidden_layers, recipe.layers or ()
    if recipe.layers is None and recipe.depth > have or not all(0 <= n < have for n in wanted):
        raise ValueError(f"the teacher has {have} layers, and the student is to have "
                         f"{f'those at {wanted}' if wanted else recipe.depth}: take fewer, counted from 0")


_common = dict(ground="headline", recipe_needs=lambda recipe: (recipe.pruned,) if recipe.pruned else (), check=_check,
               quick=lambda recipe: replace(recipe, **{k: min(v, getattr(recipe, k)) for k, v in QUICK.items()}))
DISTILLATION, JOINT = Chapter("12_distillation", **_common), Chapter("13_quantization_distillation", **_common)


# ---------------------------------------------------------------------------------------------
# Texts


def unlabelled(lab: Lab, recipe: Recipe):
    """The texts that a recipe adds to the labelled pairs: a frame without labels, empty where it adds none."""
    import pandas as pd

    parts = [pd.DataFrame(columns=list(lab.task.texts))]
    if recipe.source_text:
        parts.append(source_texts(lab))
    if recipe.augmented:
        parts.append(edited_texts(lab, recipe.augmented))
    return pd.concat(parts, ignore_index=True)


def reading(lab: Lab, texts):
    """What the student is trained on, an Encoded: the labelled pairs, then the frame `texts`, labels −1."""
    pairs = lab.encoded("train")
    return concatenate(pairs, lab.encode(texts)) if len(texts) else pairs


def teachers(lab: Lab, recipe: Recipe, base: Run) -> list:
    """The networks that teach: the baseline of this seed, then those of the lowest other ones."""
    seed = lab.settings.seed
    others = [s for s in range(recipe.teachers) if s != seed][: recipe.teachers - 1]
    labs = [open_lab(lab.chapter, replace(lab.asked, seed=s)) for s in others]
    return [base.model(), *(other.arm("base").model() for other in labs)]


def shape(lab: Lab, recipe: Recipe, teacher, pruned: Run | None = None):
    """The student before training: some of the teacher's layers, and of them the most important units, or what an arm
    of pruning left (that one has been trained)."""
    from seo_core.distillation.students import narrow, select_layers, spread_layers

    if pruned is not None:
        student = pruned.model()
    else:
        layers = recipe.layers or spread_layers(recipe.depth, teacher.config.num_hidden_layers)
        student = select_layers(teacher, layers)
    if recipe.neurons or recipe.heads:
        student = narrow(student, _few(lab, recipe), neurons=recipe.neurons, heads=recipe.heads)
    if recipe.dropout is not None:
        import torch

        for module in student.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe.dropout
    return student


def _few(lab: Lab, recipe: Recipe):
    """Some of the training pairs, drawn by the seed: for scores and ranges."""
    train = lab.encoded("train")
    order = np.random.default_rng([lab.settings.seed, 101]).permutation(len(train))
    return train.take(order[: recipe.calibration_rows])


STAGES = ("first", "last", "join")


def checkpoint(lab: Lab, recipe: Recipe, stage: str) -> Path:
    """Where a stage of a recipe saves itself; removed when the record is written."""
    from seo_core.training import checkpoint_folder

    return checkpoint_folder(lab.settings, f"{lab.chapter.id}-{recipe.digest}-{stage}")


@dataclass
class _Stages:
    """One recipe at work: its stages share the texts, the teacher's logits and the checkpoints' place."""

    lab: Lab  # with the student's tokenizer
    recipe: Recipe
    base: Run

    def __post_init__(self):
        from seo_core.distillation.cache import cached_logits

        self.teachers = teachers(self.lab, self.recipe, self.base)
        self.texts = unlabelled(self.lab, self.recipe)
        self.train = reading(self.lab, self.texts)
        self.targets = cached_logits(self.teachers, self.train, cache_folder(self.lab.settings))
        self.results = []

    def trim(self, student):
        """The student with the recipe's vocabulary, which from now on reads every text by its own tokenizer.

        The teacher's logits stay: they belong to pairs, not to tokens.
        """
        from seo_core.quantization.vocabulary import token_counts, trim

        small = trim(student, self.lab.tokenizer, token_counts(self.train), self.recipe.vocabulary)
        self.lab = self.lab.reading_with(small.tokenizer)
        self.train = reading(self.lab, self.texts)
        return small.model

    def _config(self, epochs: int):
        from seo_core.training import TrainingConfig

        given = {k: v for k in ("learning_rate", "batch_size") if (v := getattr(self.recipe, k)) is not None}
        frozen = self.lab.settings.freeze_embeddings and not self.recipe.train_embeddings
        return TrainingConfig.from_settings(self.lab.settings, epochs=epochs, freeze_embeddings=frozen, **given)

    def distil(self, student, config, epochs: int, stage: str) -> None:
        """Trains the student in place with a DistillationConfig."""
        from seo_core.distillation.losses import Distillation
        from seo_core.training import fit

        inner = bool(config.hidden or config.relations)
        loss = Distillation(student, self.train, targets=self.targets, config=config,
                            teacher=self.teachers[0] if inner else None)
        self.results.append(fit(student, self.train, config=self._config(epochs), loss=loss, progress=False,
                                development=self.lab.encoded("acceptance"),
                                checkpoint_dir=checkpoint(self.lab, self.recipe, stage)))

    def join(self, student):
        """SQD, or QAT where α is 0; returns the SQDResult."""
        from seo_core.distillation.sqd import SynergisticQuantizationDistillation

        r = self.recipe
        sqd = SynergisticQuantizationDistillation(joint(r))
        inner = bool(r.hidden or r.relations)
        result = sqd(student, self.train, self.targets, training=self._config(r.epochs),
                    teacher=self.teachers[0] if inner else None, text=_few(self.lab, r),
                    development=self.lab.encoded("acceptance"), checkpoint_dir=checkpoint(self.lab, r, "join"))
        self.results.append(result.training)
        return result

    def costs(self) -> dict:
        """Metrics of both stages together."""
        from seo_core.models.backbone import count_parameters

        summed = {k: sum(r.metrics[k] for r in self.results)
                  for k in ("train_examples", "train_tokens", "train_seconds")}
        return {**summed, "other_load": max(r.metrics["other_load"] for r in self.results),
                "unlabelled": len(self.texts), "teachers": len(self.teachers),
                "teacher_parameters": count_parameters(self.teachers[0])}


def distilled(lab: Lab, recipe: Recipe, base: Run, pruned: Run | None = None) -> Made:
    """Trains the student of a recipe: shape, first stage (hidden states), last stage (logits and labels)."""
    stages = _Stages(lab, recipe, base)
    student = shape(lab, recipe, stages.teachers[0], pruned)
    if recipe.first_epochs and recipe.method != "qat":
        stages.distil(student, first_stage(recipe), recipe.first_epochs, "first")
    if recipe.vocabulary:
        student, lab = stages.trim(student), stages.lab
    if recipe.method in ("qat", "sqd"):
        joined = stages.join(student)
        made = integers(lab, joined.model, joined.trace)
    else:
        stages.distil(student, last_stage(recipe), recipe.epochs, "last")
        made = rounded(lab, recipe, student) if recipe.method == "ptq" else Made(student, tokenizer=lab.tokenizer)
    series = {**stages.results[-1].series, **{f"sqd_{k}": v for k, v in made.series.items()}}
    return replace(made, metrics={**stages.costs(), **made.metrics, **_words(lab, recipe)}, series=series)


def _words(lab: Lab, recipe: Recipe) -> dict[str, float]:
    """What a vocabulary of its own does not know of the official sets, where the student has one."""
    from seo_core.quantization.vocabulary import unknown_rates

    if not recipe.vocabulary:
        return {}
    return {"vocabulary": len(lab.tokenizer), **unknown_rates(lab.task, OFFICIAL, lab.tokenizer)}


def rounded(lab: Lab, recipe: Recipe, student) -> Made:
    """Post-training quantisation: ranges from training texts, nothing learned."""
    from seo_core.quantization import qat
    from seo_core.quantization.calibration import calibrate

    return integers(lab, qat.attach(student, calibrate(student, _few(lab, recipe), calibration(recipe))), {})


def integers(lab: Lab, model, trace: dict) -> Made:
    """A network with step sizes as its exported file: that file is evaluated and weighed, and kept as model.onnx.

    metrics: size_bytes of the file, and how far it is from the network that was trained, on the texts of
    `Lab.comparison` (agreement of classes, max_logit_difference).
    """
    from seo_core.deploy.runners import OnnxRunner
    from seo_core.quantization import qat
    from seo_core.quantization.export import ExportConfig, export
    from seo_core.quantization.parity import parity

    found, folder = qat.scales(model), tempfile.TemporaryDirectory()  # lives as long as `predict` below
    config = ExportConfig("int8-static", embedding_bits=found.embedding_bits, max_length=lab.settings.max_length)
    file = export(model, Path(folder.name) / EXPORTED, config, scales=found)
    run = OnnxRunner(file)
    same = parity(model, run, lab.comparison())

    def save(weights: Path):
        return qat.save(model, lab.tokenizer, weights, also=lambda partial: shutil.copy(file, partial / EXPORTED))

    return Made(model, predict=lambda encoded, keep=folder: run.logits(encoded), series=trace, save=save,
                tokenizer=lab.tokenizer, metrics={"size_bytes": run.size_bytes, "agreement": same["agreement"],
                                                    "max_logit_difference": same["max_logit_difference"]})


# ---------------------------------------------------------------------------------------------
# Arms


PLAIN = Recipe()  # the plain student: three layers, logits, the labelled pairs, three epochs
SCREEN = replace(PLAIN, epochs=2)  # sweeps
RICH = replace(PLAIN, source_text=True, augmented=0.5, first_epochs=2, epochs=4)  # some 390 000 pairs in all


# 7.7 MB in integers with 128 positions, more than three times the speed of the unpruned network as int8-dynamic
SHAPE = dict(depth=4, neurons=576, vocabulary=12_000, embedding_bits=4)
SMALL = replace(RICH, **SHAPE)
SMALL_PAIRS = replace(PLAIN, **SHAPE, epochs=4)  # the labelled pairs alone: on these the ingredients are compared
TINY = dict(SHAPE, depth=2, vocabulary=8_000)  # 4.5 MB: a twentieth of the baseline, the far end of the curve

_ARMS: dict[str, tuple[Chapter, Recipe]] = {
    # depth, and what is copied, from the labels alone to all of it
    "student": (DISTILLATION, replace(PLAIN, weight=0.0)),
    "kd-logits": (DISTILLATION, PLAIN),
    "kd-logits-no-dropout": (DISTILLATION, replace(PLAIN, dropout=0.0)),
    "kd-relations": (DISTILLATION, replace(PLAIN, relations=1.0)),
    "kd-hidden-first": (DISTILLATION, replace(PLAIN, first_epochs=1)),
    "kd-text": (DISTILLATION, replace(PLAIN, source_text=True, augmented=1.0)),
    "kd": (DISTILLATION, RICH),
    **{f"kd-depth-{n}": (DISTILLATION, replace(PLAIN, depth=n)) for n in (1, 2, 4)},
    "kd-first-layers": (DISTILLATION, replace(PLAIN, layers=(0, 1, 2))),
    "kd-first-and-last": (DISTILLATION, replace(PLAIN, layers=(0, 2, 5))),
    "kd-width-512": (DISTILLATION, replace(PLAIN, neurons=512)),
    "kd-width-6-heads": (DISTILLATION, replace(PLAIN, heads=6)),
    # the sweeps
    **{f"kd-weight-{name}": (DISTILLATION, replace(SCREEN, weight=w))
       for name, w in (("low", 0.1), ("middle", 0.5), ("high", 1.0))},
    **{f"kd-temperature-{t}": (DISTILLATION, replace(SCREEN, temperature=float(t))) for t in (1, 2, 5)},
    # with quantisation, one small shape: the ingredients one by one, then with all that is read
    "qat": (JOINT, replace(SMALL_PAIRS, method="qat")),
    "kd-small": (JOINT, SMALL_PAIRS),
    "kd-ptq": (JOINT, replace(SMALL_PAIRS, method="ptq")),
    "sqd-fixed": (JOINT, replace(SMALL_PAIRS, method="sqd", alpha_low=2.3, alpha_high=2.3)),  # 0.7 / 0.3 of kd
    "sqd-pairs": (JOINT, replace(SMALL_PAIRS, method="sqd")),
    "sqd-tiny": (JOINT, replace(PLAIN, **TINY, epochs=4, method="sqd")),
    "sqd": (JOINT, replace(SMALL, method="sqd")),
    # what pruning left of the baseline, which has been trained already, instead of layers and neurons chosen beforehand
    **{f"sqd-{pruned}": (JOINT, replace(SMALL, method="sqd", neurons=None, pruned=pruned, first_epochs=0))
       for pruned in ("aip", "aip-patient")},
    "sqd-taylor-60": (JOINT, replace(SMALL, method="sqd", neurons=None, pruned="taylor-60", first_epochs=0, epochs=2)),
    # five layers, fewer units: the bytes that are saved go to words, which take no time
    "sqd-taylor-65": (JOINT, replace(SMALL, method="sqd", neurons=None, pruned="taylor-65", first_epochs=0, epochs=3,
                                     vocabulary=14_000)),
    # as many weights as `sqd-tiny`, but picked by importance out of all layers
    "sqd-taylor-80": (JOINT, replace(SMALL, method="sqd", neurons=None, pruned="taylor-80", first_epochs=0, epochs=3,
                                     vocabulary=8_000)),
}
for _name, (_chapter, _recipe) in _ARMS.items():
    _chapter.arm(_name, _recipe, needs="base", checkpoints=lambda lab, recipe: [checkpoint(lab, recipe, stage)
                                                                                for stage in STAGES],
                 parameters=lambda lab, recipe: {"recipe": recipe})(distilled)
