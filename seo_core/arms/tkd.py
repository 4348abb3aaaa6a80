"""What the chapter on TKD-NLP compares: a 12-layer Transformer by its four stages, with parts left out; and students of
other kinds by the same hyperparameters.

    run = lab.arm("tkd-kd")                                          # base (the teacher), tkd-pretrained, then this
    run = lab.arm("tkd-kd", knobs={"temperature": 4.0})

    python -m seo_core.run arm tkd-kd --profile cpu --data ../shared/data/sst2 -p text=sentence

All of a seed start from one pre-trained network, `tkd-pretrained`, and have as many steps. One without a teacher has
weight 0: the same steps, on the labels alone. `tkd-prune-quant-50` and its like start from `tkd-kd`: units out, some
training, integers; `tkd-prune-zeros-50` sets single weights to zero instead, and stays in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seo_core.arms import distillation
from seo_core.arms.compression import checkpoint, deployed, recipes, recorded, sources
from seo_core.arms.texts import cache_folder, sample
from seo_core.checks import above, at_least, check, one_of, share
from seo_core.lab import Chapter, Lab, LabError, Made, Run
from seo_core.models import count_parameters
from seo_core.pruning import magnitude, structured
from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx
from seo_core.tkd import (
    Injection,
    Shape,
    build,
    fine_tune,
    frequency_cross_entropy,
    inject,
    pretrain,
    soft_labels,
)
from seo_core.training import PRECISIONS, TrainingConfig, TrainingResult

PRETRAINED = "tkd-pretrained"
STAGES = ("-inject", "-tune")  # suffixes of the checkpoints


@dataclass(frozen=True)
class Pretraining(Shape):
    """Stage 1: masked words of the task's own training texts."""

    epochs: int = at_least(1, default=10)  # each with fresh masks, as in RoBERTa; not searched for
    # BERT's. After 5e-4 the twelve layers said the same of every text, and no later stage mended it: LayerNorm behind
    # the sum wants small steps where there are so few of them to warm up in (Xiong et al. 2020)
    learning_rate: float = above(0, default=1e-4)


@dataclass(frozen=True)
class Recipe(Shape):
    """Stages 2 to 4. Unknown keys raise."""

    pretrained: bool = True  # whether stage 1 comes before
    temperature: float = above(0, default=2.0)  # τ, the middle of the paper's 1, 2 and 5
    weight: float = share(default=0.5)  # w, of the soft labels; 0: no teacher, as many steps
    injection_epochs: int = at_least(1, default=3)  # of stage 3
    epochs: int = at_least(1, default=2)  # of stage 4
    learning_rate: float = above(0, default=1e-4)  # of both: the middle one of RATES, and that of stage 1, too
    precision: str = one_of(PRECISIONS, default="auto")  # of both; stage 1 is one for all, in that of the machine


@dataclass(frozen=True)
class Squeezed:
    """What becomes of `tkd-kd`: the least important heads and neurons go, what stays is trained on the labels and put
    into integers. Or, element by element, the smallest weights become zero and stay so, in fp32. Unknown keys raise."""

    share: float = at_least(0, below=1, default=0.5)  # of the encoder's weights that goes; 0: integers alone
    epochs: int = at_least(1, default=1)  # after pruning: a fifth of what `tkd-kd` was trained
    learning_rate: float = above(0, default=1e-4)  # of stage 4
    score_rows: int = at_least(1, default=1024)  # training texts that say which units matter
    calibration_rows: int = at_least(1, default=512)  # and that give the ranges of the integers
    zeros: bool = False  # single weights, not units

    def __post_init__(self):
        check(self)


_QUICK = {"hidden": 64, "neurons": 256, "epochs": 1, "injection_epochs": 1,  # at most, under `quick`; 12 layers stay
          "score_rows": 64, "calibration_rows": 64}


def _quick(recipe):
    if isinstance(recipe, distillation.Recipe):
        return distillation.DISTILLATION.quick(recipe)
    return replace(recipe, **{k: min(v, getattr(recipe, k)) for k, v in _QUICK.items() if hasattr(recipe, k)})


def _needs(recipe) -> tuple[str, ...]:
    """The teacher where there is one, and the pre-trained network where training starts from it; or the network that is
    squeezed."""
    if isinstance(recipe, Squeezed):
        return ("tkd-kd",)
    if not isinstance(recipe, Recipe):
        return sources(recipe)
    return (*(["base"] if recipe.weight else []), *([PRETRAINED] if recipe.pretrained else []))


def _check(recipe, settings) -> None:
    """Raises ValueError for what a student of another kind cannot have, and for a start that cannot be."""
    if isinstance(recipe, distillation.Recipe):
        distillation.DISTILLATION.check(recipe, settings)
    elif getattr(recipe, "pretrained", False) and not recipe.residual:
        raise ValueError("a network without residual connections is not pre-trained here: set pretrained=False too")


TKD = Chapter("20_tkd_nlp", ground="headline", scores=True, recipe_needs=_needs, quick=_quick, check=_check)


def _network(lab: Lab, shape: Shape):
    return build(shape, vocabulary=len(lab.tokenizer), labels=lab.task.labels, seed=lab.settings.seed)


def _config(lab: Lab, recipe, epochs: int) -> TrainingConfig:
    return TrainingConfig.from_settings(lab.settings, learning_rate=recipe.learning_rate, epochs=epochs,
                                        freeze_embeddings=False, precision=getattr(recipe, "precision", "auto"))


@TKD.arm(PRETRAINED, Pretraining(), **recorded(""))
def pretrained(lab: Lab, recipe: Pretraining) -> Made:
    """The encoder after stage 1. Its classifier has learned nothing yet, so its accuracy is that of chance."""
    model, texts = _network(lab, recipe), lab.encoded("train")
    result = pretrain(model, texts, lab.tokenizer, _config(lab, recipe, recipe.epochs),
                      checkpoint_dir=checkpoint(lab, recipe))
    losses = result.series["train_loss"]
    return Made(model, {**result.metrics, "masked_cross_entropy": losses[-1],
                        "frequency_cross_entropy": frequency_cross_entropy(texts, lab.tokenizer)},
                {"epoch": result.series["epoch"], "masked_cross_entropy": losses})


RATES = ("5e-5", "1e-4", "2e-4")
_FULL = Recipe()
_SCRATCH = replace(_FULL, pretrained=False, weight=0.0)
_ARMS = {
    # all four stages, τ = 2 and w = 0.5; and without a teacher
    "tkd-kd": _FULL, "tkd-no-kd": replace(_FULL, weight=0.0),
    # the sweeps, whose middle is tkd-kd
    **{f"tkd-temperature-{t}": replace(_FULL, temperature=float(t)) for t in (1, 5)},
    **{f"tkd-weight-{w}": replace(_FULL, weight=w) for w in (0.1, 0.9, 1.0)},
    # what the other parts bring: no stage 1, and nothing that leads around a layer
    "tkd-no-pretraining": replace(_FULL, pretrained=False), "tkd-scratch": _SCRATCH,
    "tkd-no-residual": replace(_SCRATCH, residual=False),
    # the numbers that stages 3 and 4 are computed in; tkd-kd has what the machine is fastest with
    **{f"tkd-kd-{name}": replace(_FULL, precision=name) for name in ("bf16", "fp32")},
    # the search for the rate, for all alike: without stage 1 and a teacher
    **{f"tkd-scratch-rate-{rate}": replace(_SCRATCH, learning_rate=float(rate)) for rate in RATES},
}


def student(lab: Lab, recipe: Recipe, *runs: Run) -> Made:
    """Stages 2 to 4 on all training pairs."""
    needed = dict(zip(_needs(recipe), runs, strict=True))
    model, train, soft = _start(lab, recipe, needed.get(PRETRAINED)), lab.encoded("train"), None
    if recipe.weight:
        soft = soft_labels(model, needed["base"].model(), train, cache_folder(lab.settings))
    development = lab.encoded("acceptance")
    first = inject(model, train, soft, Injection(recipe.temperature, recipe.weight),
                   _config(lab, recipe, recipe.injection_epochs), development=development,
                   checkpoint_dir=checkpoint(lab, recipe, "-inject"))
    last = fine_tune(model, train, _config(lab, recipe, recipe.epochs), development=development,
                     checkpoint_dir=checkpoint(lab, recipe, "-tune"))
    metrics = {name: first.metrics[name] + last.metrics[name]
               for name in ("train_examples", "train_tokens", "train_seconds")}
    metrics |= {name: max(first.metrics[name], last.metrics[name]) for name in ("peak_memory_bytes", "other_load")}
    series = {name: [*first.series[name], *([recipe.injection_epochs + epoch for epoch in values]
                                            if name == "epoch" else values)] for name, values in last.series.items()}
    start = needed[PRETRAINED].folder() if recipe.pretrained else None
    return Made(model, {**metrics, "parameters_encoder": count_parameters(model.bert.encoder)}, series, start=start)


for _name, _recipe in _ARMS.items():
    TKD.arm(_name, _recipe, keep=_name in ("tkd-kd", "tkd-no-kd"), **recorded(*STAGES))(student)


def _start(lab: Lab, recipe: Recipe, before: Run | None):
    """The network to train. Raises LabError where the pre-trained one has another shape."""
    if before is None:
        return _network(lab, recipe)
    model = before.model()
    for name in ("layers", "heads", "hidden", "neurons"):
        asked, has = getattr(recipe, name), before.record["parameters"]["recipe"][name]
        if asked != has:
            raise LabError(f"{name}={asked} was asked for, and {PRETRAINED} has {has}: another shape "
                           "starts from random weights, with --set pretrained=False")
    return model


# Students of other kinds, by the same temperature, weight, rate and epochs, from the teacher's own layers: DistilBERT's
# (every second layer, logits; Sanh et al. 2019) and TinyBERT's (a first stage that copies hidden states and relations,
# then logits; Jiao et al. 2020). Both are read as far as the arms of the chapter on distillation go: no second corpus,
# no cosine loss, no augmented text.
_SAME = dict(temperature=_FULL.temperature, weight=_FULL.weight, learning_rate=_FULL.learning_rate)
_OTHERS = {
    "tkd-distilbert": distillation.Recipe(**_SAME, epochs=_FULL.injection_epochs + _FULL.epochs),
    "tkd-tinybert": distillation.Recipe(**_SAME, first_epochs=_FULL.injection_epochs, epochs=_FULL.epochs),
}
recipes(TKD, _OTHERS, stages=distillation.STAGES)(distillation.distilled)


# What the summary says of compression: it "shrinks further", and collapses where it is aggressive.
_SQUEEZED = {"tkd-quant": Squeezed(share=0.0),
             **{f"tkd-prune-quant-{round(100 * part)}": Squeezed(share=part) for part in (0.5, 0.8, 0.9)},
             **{f"tkd-prune-zeros-{round(100 * part)}": Squeezed(share=part, zeros=True) for part in (0.5, 0.9)}}


def squeezed(lab: Lab, recipe: Squeezed, taught: Run) -> Made:
    """`tkd-kd` with fewer units, as the file in integers. metrics: removed, the share of the encoder's weights."""
    whole = model = taught.model()
    metrics, series = {}, {}
    if recipe.zeros:
        return _with_zeros(lab, recipe, model)
    if recipe.share:
        scores = structured.importance(whole, "taylor", sample(lab, "train", recipe.score_rows, stream=223))
        model = structured.remove(whole, **structured.choose(whole, scores, recipe.share).units)
        trained = _tuned(lab, recipe, model)
        metrics, series = trained.metrics, trained.series
    scales = calibrate(model, lab.encoded("train"), CalibrationConfig(examples=recipe.calibration_rows))
    config = ExportConfig(max_length=lab.settings.max_length)
    made, _ = deployed(lab, model, lambda path: export_onnx(model, path, config, scales=scales))
    removed = 1 - structured.encoder_weights(model) / structured.encoder_weights(whole)
    return replace(made, series=series, metrics={**metrics, **made.metrics, "removed": removed})


def _with_zeros(lab: Lab, recipe: Squeezed, model) -> Made:
    """The smallest weights of the encoder to zero, and the same training with the masks kept. metrics: sparsity."""
    masks = magnitude.prune(model, recipe.share)
    trained = _tuned(lab, recipe, model, callbacks=[magnitude.KeepMasks(masks)])
    return Made(model, {**trained.metrics, "sparsity": magnitude.sparsity(model)["share"]}, trained.series)


def _tuned(lab: Lab, recipe: Squeezed, model, **options) -> TrainingResult:
    """Stage 4 once more, in place."""
    return fine_tune(model, lab.encoded("train"), _config(lab, recipe, recipe.epochs),
                     development=lab.encoded("acceptance"), checkpoint_dir=checkpoint(lab, recipe), **options)


for _name, _recipe in _SQUEEZED.items():
    TKD.arm(_name, _recipe, **recorded(""))(squeezed)
