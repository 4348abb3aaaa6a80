"""What the chapters on compression share: arms declared by their recipes, checkpoints, and networks as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import seo_core.arms.baseline  # noqa: F401  declares the arm that all these need
from seo_core import training
from seo_core.deploy.runners import Runner, runner
from seo_core.files import atomic_folder, digest
from seo_core.lab import Chapter, Lab, Made
from seo_core.settings import display_source

EXPORTED = "model.onnx"  # in the folder of a run's kept weights


def recipes(chapter: Chapter, named: Mapping[str, object], *, stages: tuple[str, ...] = ()) -> Callable:
    """Declares an arm for each recipe: a decorator for the function that makes a network from the baseline and one.
    stages: suffixes of the checkpoints that a run leaves until its record is written."""
    def declare(make: Callable) -> Callable:
        for name, recipe in named.items():
            chapter.arm(name, recipe, needs="base", **recorded(*stages))(make)
        return make

    return declare


def recorded(*stages: str) -> dict:
    """Options of an arm that has a recipe: its record says what it reads (`read_by`), and until then each of its stages
    has a checkpoint."""
    return dict(parameters=read_by,
                checkpoints=lambda lab, recipe: [checkpoint(lab, recipe, stage) for stage in stages])


def read_by(lab: Lab, recipe) -> dict:
    """What a record says beside the settings: the recipe, and whose texts it read where these are not the settings'
    data or source."""
    reads = getattr(recipe, "domain_text", False)  # quantization alone reads none
    return {"recipe": recipe, **({"unlabelled": display_source(lab.settings.unlabelled or "")} if reads else {})}


def checkpoint(lab: Lab, recipe, stage: str = "") -> Path:
    """Where a stage of a recipe saves itself; removed when the record is written."""
    return training.checkpoint_folder(lab.settings, f"{lab.chapter.id}-{digest(asdict(recipe), length=8)}{stage}")


def fine_tune(lab: Lab, model, folder: Path, **options) -> training.TrainingResult:
    """Trains in place on all pairs of the pool, as the settings and the arm say; options: of `fit`. A stopped run goes
    on from `folder`, but under `quick`, where a checkpoint takes as long as ten steps."""
    return training.fit(model, lab.encoded("train"), config=lab.config(),
                        checkpoint_dir=None if lab.quick else folder, **options)


def deployed(lab: Lab, model, export: Callable[[Path], object], *, runtime: str = "onnxruntime",
             save: Callable | None = None) -> tuple[Made, Runner]:
    """`model` as the file that `export` writes, which is evaluated, weighed (size_bytes) and kept as model.onnx. lab:
    with the network's own tokenizer. save: (folder, also) -> None, writes what is kept beside it (tokenizer.json) and
    calls `also`, which copies it."""
    folder = tempfile.TemporaryDirectory()  # lives as long as `copy` below
    export(Path(folder.name) / EXPORTED)
    run = runner(Path(folder.name) / EXPORTED, runtime, tokenizer=lab.tokenizer, labels=lab.task.labels,
                 max_length=lab.settings.max_length)

    def copy(target: Path) -> None:
        shutil.copyfile(Path(folder.name) / EXPORTED, target / EXPORTED)

    def with_tokenizer(target: Path, also: Callable) -> None:
        with atomic_folder(target) as partial:
            lab.tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
            also(partial)

    made = Made(model, predict=run.logits, metrics={"size_bytes": run.size_bytes}, tokenizer=lab.tokenizer,
                save=lambda target: (save or with_tokenizer)(target, also=copy))
    return made, run
