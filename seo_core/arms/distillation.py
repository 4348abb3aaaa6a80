"""What the chapters on distillation compare: each arm is a recipe, and one function makes a student from a recipe.

    run = lab.arm("kd")                                              # Run: record, weights
    run = lab.arm("kd", knobs={"epochs": 6, "augmented": 1.0})       # the same with other knobs

    python -m seo_core.run arm kd --name kd-long --set epochs=8 learning_rate=2e-4 --profile cpu ...

Every student starts from the baseline of its seed (the arm `base`, or what `teacher` names), which is also its teacher.
A run that was stopped goes on from its checkpoint. Of the source task only the texts are read, no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from seo_core.arms import pruning
from seo_core.arms.compression import check_network, checkpoint, deployed, recipes, sources
from seo_core.arms.pruning import PRUNING
from seo_core.arms.teaching import Work
from seo_core.arms.texts import reading, sample
from seo_core.checks import above, at_least, check, one_of, suggest
from seo_core.distillation import DistillationConfig, narrow, select_layers, spread_layers
from seo_core.distillation.sqd import SQDConfig, SQDResult, SynergisticQuantizationDistillation
from seo_core.lab import ARMS, Chapter, Lab, Made, Run, open_lab
from seo_core.models import backbone_config, count_parameters
from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx, parity, qat, vocabulary
from seo_core.quantization.export import OPERATORS
from seo_core.settings import RunSettings
from seo_core.training import KeepBest

METHODS = ("kd", "ptq", "qat", "sqd")
STAGES = FIRST, LAST, JOIN = "-first", "-last", "-join"  # a recipe's stages, as their checkpoints are named


@dataclass(frozen=True)
class Recipe:
    """How a student is made: its shape, what it reads, and its two stages. Unknown keys raise."""

    method: str = one_of(METHODS, default="kd")  # kd: fp32 | ptq: kd, rounded | qat: integers, untaught | sqd: taught
    depth: int = at_least(1, default=3)  # layers, spread over the teacher's
    layers: tuple[int, ...] | None = at_least(0, default=None)  # or these, from 0
    neurons: int | None = at_least(1, default=None)  # FFN neurons of each layer; None: all
    heads: int | None = at_least(1, default=None)  # heads of each layer; None: all
    pruned: str | None = None  # instead of all these: what this arm of the chapters on pruning left of the baseline
    vocabulary: int | None = at_least(1, default=None)  # rows of the word table, the most frequent; None: all
    temperature: float = 2.0
    weight: float = 0.7  # of the soft labels
    hidden: float = 0.0  # weight of hidden states beside the logits, in the last stage
    relations: float = 0.0  # weight of attention relations there
    first_epochs: int = at_least(0, default=0)  # of a first stage that copies hidden states and relations alone
    first_hidden: float = 1.0
    first_relations: float = 1.0
    epochs: int = at_least(1, default=3)  # of the last stage: logits and labels
    source_text: bool = False  # also the texts of the source task
    domain_text: bool = False  # and those that `settings.unlabelled` names
    augmented: float = at_least(0, default=0.0)  # edited training pairs, as a share of the training pairs
    learning_rate: float | None = above(0, default=None)  # None: the settings'
    batch_size: int | None = at_least(1, default=None)  # None: the settings'
    dropout: float | None = at_least(0, below=1, default=None)  # None: the backbone's
    train_embeddings: bool = False  # the word table too
    best: bool = False  # of the last stage the best network on the acceptance half, looked at twice an epoch
    teacher: str = "base"  # the arm whose network teaches, and whose layers and units a student is where none are named
    teachers: int = at_least(1, default=1)  # that one, and baselines of the lowest other seeds: mean logits of so many
    alpha_low: float = 1.0  # of sqd
    alpha_high: float = 4.0
    error: float = at_least(0, default=1.0)  # weight of the quantization error, of sqd
    embedding_bits: int = 8  # of what is exported: 32 | 8 | 4
    weight_bits: int = 8  # of its linear maps: 8; 7, which says the same on every CPU; or 4, where rounding costs most
    calibration_rows: int = 512  # training texts that give the first ranges
    operators: str = one_of(OPERATORS, default="onnxruntime")  # of what is exported; standard: for OpenVINO too

    def __post_init__(self):
        if self.layers is not None:
            object.__setattr__(self, "layers", tuple(self.layers))
            if not self.layers or len(set(self.layers)) < len(self.layers):
                raise ValueError(f"layers must be distinct numbers from 0, one or more, got {self.layers!r}")
        if self.pruned and (self.layers or self.neurons or self.heads):
            raise ValueError(f"the arm {self.pruned!r} says which units the student has: leave out layers, neurons and "
                             "heads")
        check(self)
        last_stage(self), joint(self)
        if self.first_epochs:
            first_stage(self)


def first_stage(recipe: Recipe) -> DistillationConfig:
    """What the first stage copies. Raises ValueError, as the next three do, for values out of range."""
    return DistillationConfig(logits=0.0, hidden=recipe.first_hidden, relations=recipe.first_relations)


def last_stage(recipe: Recipe) -> DistillationConfig:
    """What the last stage copies; of `sqd`, α takes the place of the weight."""
    return DistillationConfig(temperature=recipe.temperature, weight=recipe.weight, hidden=recipe.hidden,
                              relations=recipe.relations)


def calibration(recipe: Recipe) -> CalibrationConfig:
    """How first ranges are chosen: by least squared error, on all of the texts given. Weights by rows and not by pairs
    of them: training would not keep those, and so the records are."""
    return CalibrationConfig(examples=recipe.calibration_rows, embedding_bits=recipe.embedding_bits,
                             weight_bits=recipe.weight_bits, pairs=False)


def joint(recipe: Recipe) -> SQDConfig:
    """The last stage of `sqd`, and of `qat`, where α is 0."""
    alpha = (0.0, 0.0) if recipe.method == "qat" else (recipe.alpha_low, recipe.alpha_high)
    return SQDConfig(*alpha, error=recipe.error, distillation=last_stage(recipe), calibration=calibration(recipe))


QUICK = {"first_epochs": 1, "epochs": 1, "calibration_rows": 128}  # at most, under `quick`


def _check(recipe: Recipe, settings: RunSettings) -> None:
    """Raises ValueError for layers that the settings' network lacks, for an unknown arm of pruning, and for a teacher
    that is none."""
    check_network("teacher", recipe.teacher)
    if recipe.pruned:
        cut = [name for name, arm in ARMS.items() if isinstance(arm.recipe, pruning.Recipe)]
        if recipe.pruned not in (arms := ["base", *cut]):
            raise ValueError(f"pruned names an arm of pruning, and {recipe.pruned!r} is none"
                             f"{suggest(recipe.pruned, arms)}")
        return
    have, wanted = settings.layers or backbone_config(settings.model).num_hidden_layers, recipe.layers or ()
    if recipe.layers is None and recipe.depth > have or not all(0 <= n < have for n in wanted):
        raise ValueError(f"the teacher has {have} layers, and the student is to have "
                         f"{f'those at {wanted}' if wanted else recipe.depth}: take fewer, counted from 0")


_common = dict(ground="headline", recipe_needs=sources, check=_check,
               quick=lambda recipe: replace(recipe, **{k: min(v, getattr(recipe, k)) for k, v in QUICK.items()}))
DISTILLATION, JOINT = Chapter("12_distillation", **_common), Chapter("13_quantization_distillation", **_common)
CUTS = replace(PRUNING, id=JOINT.id)  # what is cut out of a stronger network, and needs that one


def teachers(lab: Lab, recipe: Recipe, first: Run) -> list:
    """The networks that teach: the first, then the baselines of the lowest other seeds."""
    seed = lab.settings.seed
    others = [s for s in range(recipe.teachers) if s != seed][: recipe.teachers - 1]
    labs = [open_lab(lab.chapter, replace(lab.asked, seed=s), say=lab.report) for s in others]
    return [first.model(), *(other.arm("base").model() for other in labs)]


def few(lab: Lab, recipe: Recipe):
    """Some of the training pairs: for scores and ranges."""
    return sample(lab, "train", recipe.calibration_rows, stream=101)


def shape(lab: Lab, recipe: Recipe, teacher, pruned: Run | None = None):
    """The student before training: some of the teacher's layers, and of them the most important units, or what an arm
    of pruning left (that one has been trained)."""
    if pruned is not None:
        student = pruned.model()
    else:
        student = select_layers(teacher, recipe.layers or spread_layers(recipe.depth, teacher.config.num_hidden_layers))
    if recipe.neurons or recipe.heads:
        student = narrow(student, few(lab, recipe), neurons=recipe.neurons, heads=recipe.heads)
    if recipe.dropout is not None:
        for module in student.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe.dropout
    return student


class _Stages(Work):
    """One recipe at work: its stages share the texts, the teacher's logits and the checkpoints' place."""

    def __init__(self, lab: Lab, recipe: Recipe, teacher: Run):
        super().__init__(lab, recipe, teachers(lab, recipe, teacher))
        self.results, self.best = [], {}

    def trim(self, student):
        """The student with the recipe's vocabulary, which from now on reads every text by its own tokenizer. The
        teacher's logits stay: they belong to pairs, not to tokens."""
        _ = self.targets  # of the teacher's own tokens, before these change
        counts = vocabulary.token_counts(self.train)
        small = vocabulary.trim(student, self.lab.tokenizer, counts, self.recipe.vocabulary)
        self.lab = self.lab.reading_with(small.tokenizer)
        self.train = reading(self.lab, self.texts)
        return small.model

    def config(self, **changes):
        """The TrainingConfig of a stage."""
        batch = {} if self.recipe.batch_size is None else {"batch_size": self.recipe.batch_size}
        frozen = self.lab.settings.freeze_embeddings and not self.recipe.train_embeddings
        often = {"evaluations_per_epoch": 2} if self.recipe.best else {}
        return super().config(freeze_embeddings=frozen, **batch, **often, **changes)

    def distil(self, student, copied: DistillationConfig, epochs: int, stage: str) -> None:
        """Trains the student in place."""
        best = [KeepBest()] if self.recipe.best and stage == LAST else []
        self.results.append(self.fit(student, epochs, self.loss(student, copied),
                                     checkpoint(self.lab, self.recipe, stage), callbacks=best))
        self.best |= best[0].metrics() if best else {}

    def join(self, student) -> SQDResult:
        """SQD, or QAT where α is 0."""
        config = joint(self.recipe)
        result = SynergisticQuantizationDistillation(config)(
            student, self.train, self.targets, training=self.config(epochs=self.recipe.epochs),
            teacher=self.inner(config.distillation), text=few(self.lab, self.recipe),
            development=self.lab.encoded("acceptance"), checkpoint_dir=checkpoint(self.lab, self.recipe, JOIN))
        self.results.append(result.training)
        return result

    def costs(self) -> dict:
        """Metrics of both stages together."""
        summed = {name: sum(result.metrics[name] for result in self.results)
                  for name in ("train_examples", "train_tokens", "train_seconds")}
        return {**summed, **self.best, "other_load": max(result.metrics["other_load"] for result in self.results),
                "unlabelled": len(self.texts), "teachers": len(self.teachers),
                "teacher_parameters": count_parameters(self.teachers[0])}


def integers(lab: Lab, model, trace: dict, operators: str = OPERATORS[0]) -> Made:
    """A network with step sizes as its exported file, which is evaluated, weighed and kept beside the weights; metrics:
    size_bytes, and on the texts of `Lab.comparison` agreement and max_logit_difference with what was trained."""
    scales = qat.scales(model)
    config = ExportConfig("int8-static", embedding_bits=scales.embedding_bits, max_length=lab.settings.max_length,
                          operators=operators)
    made, run = deployed(lab, model, lambda path: export_onnx(model, path, config, scales=scales),
                         save=lambda folder, also: qat.save(model, lab.tokenizer, folder, also=also))
    same = parity(model, run, lab.comparison())
    return replace(made, series=trace, metrics={
        **made.metrics, **{name: same[name] for name in ("agreement", "max_logit_difference")}})


PLAIN = Recipe()  # the plain student: three layers, logits, the labelled pairs, three epochs
SCREEN = replace(PLAIN, epochs=2)  # sweeps
RICH = replace(PLAIN, source_text=True, augmented=0.5, first_epochs=2, epochs=4)  # some 390 000 pairs in all
# 7.7 MB in integers with 128 positions, more than three times the speed of the unpruned network as int8-dynamic
SHAPE = dict(depth=4, neurons=576, vocabulary=12_000, embedding_bits=4)
SMALL = replace(RICH, **SHAPE)
SMALL_PAIRS = replace(PLAIN, **SHAPE, epochs=4)  # the labelled pairs alone: on these the ingredients are compared
PRUNED = replace(SMALL, method="sqd", neurons=None, first_epochs=0)
CONTROL = replace(RICH, pruned="base", first_epochs=0, epochs=5, best=True)
STRONG = "base-control"  # the strongest uncompressed network at hand, as a teacher
TINY = dict(SHAPE, depth=2, vocabulary=8_000)  # 4.5 MB: a twentieth of the baseline, the far end of the curve

_DISTILLATION = {
    # depth, and what is copied, from the labels alone to all of it
    "student": replace(PLAIN, weight=0.0), "kd-logits": PLAIN, "kd-logits-no-dropout": replace(PLAIN, dropout=0.0),
    "kd-relations": replace(PLAIN, relations=1.0), "kd-hidden-first": replace(PLAIN, first_epochs=1),
    "kd-text": replace(PLAIN, source_text=True, augmented=1.0), "kd": RICH,
    # and the texts that `--unlabelled` names: what more text of the task itself is worth
    "kd-domain": replace(RICH, domain_text=True),
    # the opponent of equal compute for the compressed networks that are given away: nothing removed, the same teacher
    # and texts, and more pairs than they saw with all that they were made from (285 498 after the baseline)
    "base-control": CONTROL,
    # and of those that it taught: taught by it too, with a second teacher, and more pairs than any of them saw in all
    "base-control-strong": replace(CONTROL, teacher=STRONG, teachers=2, epochs=6),
    **{f"kd-depth-{n}": replace(PLAIN, depth=n) for n in (1, 2, 4)},
    "kd-first-layers": replace(PLAIN, layers=(0, 1, 2)), "kd-first-and-last": replace(PLAIN, layers=(0, 2, 5)),
    "kd-width-512": replace(PLAIN, neurons=512), "kd-width-6-heads": replace(PLAIN, heads=6),
    # the sweeps
    **{f"kd-weight-{name}": replace(SCREEN, weight=w) for name, w in {"low": 0.1, "middle": 0.5, "high": 1.0}.items()},
    **{f"kd-temperature-{t}": replace(SCREEN, temperature=float(t)) for t in (1, 2, 5)},
}
_JOINT = {
    # with quantization, one small shape: the ingredients one by one, then with all that is read
    "qat": replace(SMALL_PAIRS, method="qat"), "kd-small": SMALL_PAIRS, "kd-ptq": replace(SMALL_PAIRS, method="ptq"),
    "sqd-fixed": replace(SMALL_PAIRS, method="sqd", alpha_low=2.3, alpha_high=2.3),  # 0.7 / 0.3 of kd
    "sqd-pairs": replace(SMALL_PAIRS, method="sqd"), "sqd-tiny": replace(PLAIN, **TINY, epochs=4, method="sqd"),
    "sqd": replace(SMALL, method="sqd"),
    # what pruning left of the baseline, which has been trained already, instead of layers and neurons chosen beforehand
    **{f"sqd-{pruned}": replace(PRUNED, pruned=pruned) for pruned in ("aip", "aip-patient")},
    "sqd-taylor-60": replace(PRUNED, pruned="taylor-60", epochs=2),
    # five layers, fewer units: the bytes that are saved go to words, which take no time
    "sqd-taylor-65": replace(PRUNED, pruned="taylor-65", epochs=3, vocabulary=14_000),
    # as many weights as `sqd-tiny`, but picked by importance out of all layers
    "sqd-taylor-80": replace(PRUNED, pruned="taylor-80", epochs=3, vocabulary=8_000),
}
# what is given away: the same, with weights that say the same on every CPU
_JOINT |= {f"{name}-7bit": replace(_JOINT[name], weight_bits=7) for name in ("sqd-taylor-65", "sqd-taylor-80")}
# the same from the stronger teacher, which is also what is cut; and where the larger falls short, three other ways:
# twice as long, a second teacher, the cut of the baseline with the teacher alone changed
_JOINT |= {f"sqd-taylor-{share}-strong": replace(_JOINT[f"sqd-taylor-{share}-7bit"], pruned=f"taylor-{share}-strong",
                                                 teacher=STRONG) for share in (65, 80)}
_JOINT |= {"sqd-taylor-65-long": replace(_JOINT["sqd-taylor-65-strong"], epochs=6),
           "sqd-taylor-65-two-teachers": replace(_JOINT["sqd-taylor-65-strong"], teachers=2),
           "sqd-taylor-65-taught": replace(_JOINT["sqd-taylor-65-7bit"], teacher=STRONG)}
# at 8 bits rounding costs next to nothing, so that there is nothing for joint training to save: the same pair at 4
_JOINT |= {f"{name}-4bit": replace(_JOINT[like], weight_bits=4) for name, like in {"sqd": "sqd-pairs",
                                                                                  "kd-ptq": "kd-ptq"}.items()}


recipes(CUTS, {f"taylor-{share}-strong": replace(PRUNING.arms[f"taylor-{share}"].recipe, teacher=STRONG)
               for share in (65, 80)}, stages=("",))(pruning.pruned)


@recipes(JOINT, _JOINT, stages=STAGES)
@recipes(DISTILLATION, _DISTILLATION, stages=STAGES)
def distilled(lab: Lab, recipe: Recipe, runs: Mapping[str, Run]) -> Made:
    """Trains the student of a recipe: shape, first stage (hidden states), last stage (logits and labels)."""
    stages = _Stages(lab, recipe, runs[recipe.teacher])
    student = shape(lab, recipe, stages.teachers[0], runs.get(recipe.pruned))
    words = {}
    if recipe.first_epochs and recipe.method != "qat":
        stages.distil(student, first_stage(recipe), recipe.first_epochs, FIRST)
    if recipe.vocabulary:
        student, lab = stages.trim(student), stages.lab
        words = {"vocabulary": len(lab.tokenizer), **vocabulary.unknown_rates(lab.task, lab.official, lab.tokenizer)}
    if recipe.method in ("qat", "sqd"):
        joined = stages.join(student)
        made = integers(lab, joined.model, joined.trace, recipe.operators)
    else:
        stages.distil(student, last_stage(recipe), recipe.epochs, LAST)
        made = Made(student, tokenizer=lab.tokenizer)
        if recipe.method == "ptq":  # ranges from training texts, nothing learned
            scales = calibrate(student, few(lab, recipe), calibration(recipe))
            made = integers(lab, qat.attach(student, scales), {}, recipe.operators)
    series = {**stages.results[-1].series, **{f"sqd_{name}": values for name, values in made.series.items()}}
    return replace(made, metrics={**stages.costs(), **made.metrics, **words}, series=series)
