"""What the chapter on quantization compares: each arm is a recipe, and one function makes a file from a recipe.

    run = lab.arm("quant")                           # Run: record; the file lies in its folder of kept weights
    exported(run)                                    # path of model.onnx

Every arm starts from the baseline of its seed (the arm `base`) and needs no training. What is evaluated is the exported
file, run by ONNX Runtime; size_bytes is that file's. Calibration reads training text, vocabulary counts read training
text and the source task's, and no label of either.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import seo_core.arms.baseline  # noqa: F401  declares the arm that these need
from seo_core.arms.texts import EMBEDDED
from seo_core.deploy.runners import Runner, runner
from seo_core.files import replace_folder
from seo_core.lab.arm import Chapter
from seo_core.lab.ground import OFFICIAL, Lab
from seo_core.lab.run import Made, Run
from seo_core.lab.source import source_task
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.quantization.export import ExportConfig, export_onnx, library_export
from seo_core.quantization.parity import parity
from seo_core.quantization.scheme import Scales

QUICK_ROWS = 64  # calibration texts under `quick`
QUANTIZATION = Chapter("11_quantization", ground="headline",
                       quick=lambda recipe: replace(recipe, calibration_rows=QUICK_ROWS))


@dataclass(frozen=True)
class Recipe:
    """How the baseline becomes a file. Unknown keys raise."""

    route: str = "ours"  # ours | library (torch.onnx.export, quantize_dynamic) | fused (with its optimiser between)
    precision: str = "int8-static"  # fp32 | int8-dynamic | int8-static; of the library: fp32 | int8-dynamic
    per_channel: bool = True
    embedding_bits: int = 8  # of ours: 32 | 8 | 4
    method: str = "mse"  # of static ranges
    vocabulary: int | None = None  # rows of the word table, the most frequent; None: all
    calibration_rows: int = 512  # training texts that give the ranges
    runtime: str = "onnxruntime"  # that runs the file: onnxruntime | openvino (of ours; standard operators)


STATIC, DYNAMIC = Recipe(), Recipe(precision="int8-dynamic")


_ARMS: dict[str, Recipe] = {
    "onnx-fp32": Recipe(precision="fp32", embedding_bits=32),
    "control": Recipe("fused", "int8-dynamic"),  # what a user gets without this book
    "control-plain": Recipe("library", "int8-dynamic"),
    "quant": DYNAMIC,  # the papers' row: post-training int8, no text needed
    "dynamic-tensor": replace(DYNAMIC, per_channel=False),
    "dynamic-words32": replace(DYNAMIC, embedding_bits=32),  # int8 for the linear maps alone
    "static": STATIC,
    "static-minmax": replace(STATIC, method="minmax"),
    "static-percentile": replace(STATIC, method="percentile"),
    "static-tensor": replace(STATIC, per_channel=False),
    "static-words4": replace(STATIC, embedding_bits=4),
    "static-openvino": replace(STATIC, runtime="openvino"),  # the benchmark knows it by its name's end
    "vocabulary": replace(STATIC, vocabulary=12_000),
    "vocabulary-words4": replace(STATIC, vocabulary=12_000, embedding_bits=4),
}


def exported(run: Run) -> Path:
    """The file of a run of this module."""
    return run.folder() / "model.onnx"


def trimmed(lab: Lab, base: Run, size: int):
    """The baseline with the `size` most frequent WordPieces of training and source text: a `vocabulary.Trimmed`.

    Labels are read of neither. Raises DataError where the source task cannot be had.
    """
    from seo_core.quantization.vocabulary import token_counts, trim

    texts = source_task(lab.settings, EMBEDDED[0])["train"][list(lab.task.texts)]
    return trim(base.model(), lab.tokenizer, token_counts(lab.encoded("train"), lab.encode(texts)), size)


def quantized(lab: Lab, recipe: Recipe, base: Run) -> Made:
    """The baseline as a file, and how far that is from the network."""
    from seo_core.evaluation import predict
    from seo_core.quantization.vocabulary import unknown_rates

    model, reader, metrics = base.model(), lab, {}
    reference = predict(model, lab.encoded("acceptance"))
    if recipe.vocabulary:  # the trimmed network reads every text by its own tokenizer
        small = trimmed(lab, base, recipe.vocabulary)
        model, reader = small.model, lab.reading_with(small.tokenizer)
        metrics = {"vocabulary": model.config.vocab_size,
                   **unknown_rates(lab.task, OFFICIAL, reader.tokenizer, lab.tokenizer)}
    made = deployed(reader, model, recipe=recipe)
    agreement = parity(reference, made.runner, reader.encoded("acceptance"))
    return replace(made, metrics={**metrics, **made.metrics, **agreement})


@dataclass(frozen=True)
class Deployed(Made):
    """What the lab takes, with the runner of the exported file."""

    runner: Runner | None = None


def deployed(lab: Lab, model, config: ExportConfig | None = None, *, scales: Scales | None = None,
             recipe: Recipe | None = None) -> Deployed:
    """Exports `model` into a temporary file, which is what is evaluated and kept (model.onnx, tokenizer.json).

    config and scales: of the export, for a network that was trained in integers; or a recipe, which calibrates on
    training text where it needs to. lab: with the network's own tokenizer.
    """
    folder = tempfile.TemporaryDirectory()  # lives as long as what is returned
    path = Path(folder.name) / "model.onnx"
    if recipe is not None and recipe.route != "ours":
        library_export(model, path, int8=recipe.precision != "fp32", fuse=recipe.route == "fused")
    else:
        if recipe is not None:
            config = ExportConfig(recipe.precision, recipe.embedding_bits, recipe.per_channel,
                                  operators="standard" if recipe.runtime == "openvino" else "onnxruntime",
                                  max_length=lab.settings.max_length)
            scales = _scales(lab, model, recipe) if recipe.precision == "int8-static" else None
        export_onnx(model, path, config, scales=scales)
    run = runner(path, recipe.runtime if recipe else "onnxruntime", tokenizer=lab.tokenizer,
                 labels=lab.task.labels, max_length=lab.settings.max_length)

    def save(target: Path) -> None:
        partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        shutil.copyfile(Path(folder.name) / "model.onnx", partial / "model.onnx")
        lab.tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
        replace_folder(partial, target)

    return Deployed(model, predict=run.logits, metrics={"size_bytes": run.size_bytes}, save=save, runner=run,
                    tokenizer=lab.tokenizer)


def _scales(lab: Lab, model, recipe: Recipe) -> Scales:
    config = CalibrationConfig(recipe.method, examples=recipe.calibration_rows, per_channel=recipe.per_channel,
                               embedding_bits=recipe.embedding_bits)
    return calibrate(model, lab.encoded("train"), config)


for _name, _recipe in _ARMS.items():
    QUANTIZATION.arm(_name, _recipe, needs="base", parameters=lambda lab, recipe: {"recipe": recipe})(quantized)
