"""What the chapter on quantization compares: each arm is a recipe, and one function makes a file from a recipe.

    run = lab.arm("quant")                           # Run: record; the file lies in its folder of kept weights
    exported(run)                                    # path of model.onnx

Every arm starts from the baseline of its seed (the arm `base`, or what `of` names) and needs no training. What is
evaluated and weighed is the exported file, run by ONNX Runtime. No label is read, of the training texts or the source
task's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import seo_core.arms.distillation  # noqa: F401  declares the control that is rounded too
from seo_core.arms.compression import EXPORTED, check_network, deployed, recipes, sources
from seo_core.arms.texts import EMBEDDED
from seo_core.checks import at_least, check, one_of
from seo_core.deploy.runners import RUNTIMES
from seo_core.evaluation import predict
from seo_core.lab import Chapter, Lab, Made, Run
from seo_core.lab.source import texts_of_source
from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx, library_export, parity
from seo_core.quantization.calibration import METHODS
from seo_core.quantization.export import PRECISIONS
from seo_core.quantization.scheme import EMBEDDING_BITS, WEIGHT_BITS
from seo_core.quantization.vocabulary import token_counts, trim, unknown_rates

QUICK_ROWS = 64  # calibration texts under `quick`
ROUTES = ("ours", "library", "fused")
QUANTIZATION = Chapter("11_quantization", ground="headline", recipe_needs=sources,
                       check=lambda recipe, settings: check_network("of", recipe.of),
                       quick=lambda recipe: replace(recipe, calibration_rows=QUICK_ROWS))


@dataclass(frozen=True)
class Recipe:
    """How a network becomes a file. Unknown keys raise."""

    route: str = one_of(ROUTES, default="ours")  # library: torch.onnx.export, quantize_dynamic | fused: optimized too
    precision: str = one_of(PRECISIONS, default="int8-static")  # of the library: fp32 | int8-dynamic
    per_channel: bool = True
    embedding_bits: int = one_of(EMBEDDING_BITS, default=8)  # of ours
    weight_bits: int = one_of(WEIGHT_BITS, default=8)  # of ours: by rows, as the library's; 7 cannot saturate
    method: str = one_of(METHODS, default="mse")  # of static ranges
    vocabulary: int | None = at_least(1, default=None)  # rows of the word table, the most frequent; None: all
    calibration_rows: int = at_least(1, default=512)  # training texts that give the ranges
    runtime: str = one_of(RUNTIMES, default="onnxruntime")  # openvino: of ours, with standard operators
    of: str = "base"  # the arm whose network becomes a file

    def __post_init__(self):
        check(self)


STATIC, DYNAMIC = Recipe(), Recipe(precision="int8-dynamic")
_RECIPES = {
    "onnx-fp32": Recipe(precision="fp32", embedding_bits=32),
    "control": Recipe("fused", "int8-dynamic"),  # what a user gets without this book
    "control-plain": Recipe("library", "int8-dynamic"),
    "quant": DYNAMIC,  # the papers' row: post-training int8, no text needed
    "base-control-int8": replace(DYNAMIC, of="base-control"),  # and the same of the network that was trained on
    "dynamic-tensor": replace(DYNAMIC, per_channel=False),
    "dynamic-words32": replace(DYNAMIC, embedding_bits=32),  # int8 for the linear maps alone
    "static": STATIC, **{f"static-{method}": replace(STATIC, method=method) for method in ("minmax", "percentile")},
    "static-tensor": replace(STATIC, per_channel=False), "static-words4": replace(STATIC, embedding_bits=4),
    "static-openvino": replace(STATIC, runtime="openvino"),  # the benchmark knows it by its name's end
    "vocabulary": replace(STATIC, vocabulary=12_000),
    "vocabulary-words4": replace(STATIC, vocabulary=12_000, embedding_bits=4),
}


def exported(run: Run) -> Path:
    """The file of a run of this module."""
    return run.folder() / EXPORTED


@recipes(QUANTIZATION, _RECIPES)
def quantized(lab: Lab, recipe: Recipe, runs: Mapping[str, Run]) -> Made:
    """The network as a file, and how far that is from the network. Of a vocabulary the most frequent WordPieces of
    training and source text stay. Raises DataError where the source task cannot be had."""
    model, reader, metrics = runs[recipe.of].model(), lab, {}
    reference = predict(model, lab.encoded("acceptance"))
    if recipe.vocabulary:  # the trimmed network reads every text by its own tokenizer
        texts = texts_of_source(lab.settings, EMBEDDED[0], lab.task.texts)
        counts = token_counts(lab.encoded("train"), lab.encode(texts))
        small = trim(model, lab.tokenizer, counts, recipe.vocabulary)
        model, reader = small.model, lab.reading_with(small.tokenizer)
        metrics = {"vocabulary": model.config.vocab_size,
                   **unknown_rates(lab.task, lab.official, reader.tokenizer, lab.tokenizer)}
    made, run = deployed(reader, model, lambda path: export(reader, model, recipe, path), runtime=recipe.runtime)
    agreement = parity(reference, run, reader.encoded("acceptance"))
    return replace(made, metrics={**metrics, **made.metrics, **agreement})


def export(lab: Lab, model, recipe: Recipe, path: Path) -> None:
    """Writes `model` to `path` by the recipe's route; static ranges come from training text."""
    if recipe.route != "ours":
        library_export(model, path, int8=recipe.precision != "fp32", fuse=recipe.route == "fused")
        return
    same = {name: getattr(recipe, name) for name in ("per_channel", "embedding_bits", "weight_bits")}
    scales = None
    if recipe.precision == "int8-static":
        config = CalibrationConfig(recipe.method, examples=recipe.calibration_rows, pairs=False, **same)
        scales = calibrate(model, lab.encoded("train"), config)
    operators = "standard" if recipe.runtime == "openvino" else "onnxruntime"
    config = ExportConfig(recipe.precision, operators=operators, max_length=lab.settings.max_length, **same)
    export_onnx(model, path, config, scales=scales)
