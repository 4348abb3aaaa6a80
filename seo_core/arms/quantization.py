"""What the chapter on quantisation makes: each arm is a recipe, and one function makes a file from a recipe.

    run = arm("quant", settings)                     # Run: record; the file lies in its folder of kept weights
    exported(run)                                    # path of model.onnx

    python -m seo_core.arms.quantization control quant static --profile cpu --data path/to/mnli --seed 1

Every arm starts from the baseline of its seed (`compression.Bench.baseline`) and needs no training. What is evaluated
is the exported file, run by ONNX Runtime; size_bytes is that file's. Calibration reads training text, vocabulary
counts read training text and the source task's, and no label of either. A run that has its record is skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seo_core.checks import suggest
from seo_core.deploy.runners import Runner, runner
from seo_core.files import replace_folder
from seo_core.lab.bench import OFFICIAL, Bench, Made, open_bench
from seo_core.lab.cli import guarded, say, settings_parser
from seo_core.lab.run import Run
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.quantization.export import ExportConfig, export_onnx, library_export
from seo_core.quantization.parity import parity
from seo_core.quantization.scheme import Scales
from seo_core.settings import RunSettings

EXPERIMENT = "11_quantization"


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


ARMS: dict[str, Recipe] = {
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


QUICK_ROWS = 64  # calibration texts under `quick`


def arm(name: str, settings: RunSettings, *, bench: Bench | None = None) -> Run:
    """Makes an arm's file, or finds its record, and returns it. Raises ValueError for an unknown arm."""
    if name not in ARMS:
        raise ValueError(f"unknown arm {name!r}{suggest(name, ARMS)}")
    recipe = ARMS[name]
    if settings.profile == "quick":
        recipe = replace(recipe, calibration_rows=QUICK_ROWS)
    bench = (bench or open_bench(EXPERIMENT, settings)).of(EXPERIMENT)
    return bench.record(name, lambda: _make(bench, recipe), {"recipe": asdict(recipe)}, keep=True)


def exported(run: Run) -> Path:
    """The file of a run of this module."""
    return run.weights / "model.onnx"


def trimmed(bench: Bench, size: int):
    """The baseline with the `size` most frequent WordPieces of training and source text: a `vocabulary.Trimmed`.

    Labels are read of neither. Raises DataError where the source task cannot be had.
    """
    from seo_core.data import load_nli
    from seo_core.quantization.vocabulary import token_counts, trim

    embedded = bench.settings.source == "embedded"
    source = load_nli(bench.settings.source, **({"rows": 4096, "seed": 1} if embedded else {}))
    counts = token_counts(bench.encoded("train"), bench.encode(source["train"][list(bench.task.texts)]))
    return trim(bench.baseline().model(), bench.tokenizer, counts, size)


def _make(bench: Bench, recipe: Recipe) -> Deployed:
    from seo_core.evaluation import predict
    from seo_core.quantization.vocabulary import unknown_rates

    model, own, metrics = bench.baseline().model(), bench, {}
    reference = predict(model, bench.encoded("acceptance"))
    if recipe.vocabulary:  # the trimmed network reads every text by its own tokenizer
        small = trimmed(bench, recipe.vocabulary)
        model, own = small.model, replace(bench, tokenizer=small.tokenizer)
        metrics = {"vocabulary": model.config.vocab_size,
                   **unknown_rates(bench.task, OFFICIAL, own.tokenizer, bench.tokenizer)}
    made = deployed(own, model, recipe=recipe)
    agreement = parity(reference, made.runner, own.encoded("acceptance"))
    return replace(made, metrics={**metrics, **made.metrics, **agreement})


@dataclass(frozen=True)
class Deployed(Made):
    """What `Bench.record` takes, with the runner of the exported file."""

    runner: Runner | None = None


def deployed(bench: Bench, model, config: ExportConfig | None = None, *, scales: Scales | None = None,
             recipe: Recipe | None = None) -> Deployed:
    """Exports `model` into a temporary file, which is what is evaluated and kept (model.onnx, tokenizer.json).

    config and scales: of the export, for a network that was trained in integers; or a recipe, which calibrates on
    training text where it needs to. bench: with the network's own tokenizer.
    """
    folder = tempfile.TemporaryDirectory()  # lives as long as what is returned
    path = Path(folder.name) / "model.onnx"
    if recipe is not None and recipe.route != "ours":
        library_export(model, path, int8=recipe.precision != "fp32", fuse=recipe.route == "fused")
    else:
        if recipe is not None:
            config = ExportConfig(recipe.precision, recipe.embedding_bits, recipe.per_channel,
                                  operators="standard" if recipe.runtime == "openvino" else "onnxruntime",
                                  max_length=bench.settings.max_length)
            scales = _scales(bench, model, recipe) if recipe.precision == "int8-static" else None
        export_onnx(model, path, config, scales=scales)
    run = runner(path, recipe.runtime if recipe else "onnxruntime", tokenizer=bench.tokenizer,
                 labels=bench.task.labels, max_length=bench.settings.max_length)

    def save(target: Path) -> None:
        partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        shutil.copyfile(Path(folder.name) / "model.onnx", partial / "model.onnx")
        bench.tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
        replace_folder(partial, target)

    return Deployed(model, predict=run.logits, metrics={"size_bytes": run.size_bytes}, save=save, runner=run,
                    tokenizer=bench.tokenizer)


def _scales(bench: Bench, model, recipe: Recipe) -> Scales:
    config = CalibrationConfig(recipe.method, examples=recipe.calibration_rows, per_channel=recipe.per_channel,
                               embedding_bits=recipe.embedding_bits)
    return calibrate(model, bench.encoded("train"), config)


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = settings_parser("seo_core.arms.quantization", __doc__)
    parser.add_argument("arms", nargs="+", choices=[*ARMS, "all"], metavar="ARM", help=f"all, or of {', '.join(ARMS)}")

    def work(given, settings):
        bench = open_bench(EXPERIMENT, settings)
        for name in ARMS if "all" in given.arms else given.arms:
            run = arm(name, settings, bench=bench)
            say(f"{name:18s} {run.metrics['size_bytes'] / 1e6:7.2f} MB  matched "
                f"{100 * run.metrics['accuracy_matched']:.2f}%")

    return guarded(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
