"""What the chapters on compression share: arms declared by their recipes, checkpoints, and networks as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import wraps
from pathlib import Path

import seo_core.arms.baseline  # noqa: F401  declares the arm that all these need
from seo_core import training
from seo_core.checks import suggest
from seo_core.deploy.runners import Runner, runner
from seo_core.files import atomic_folder, digest
from seo_core.lab import ARMS, Chapter, Lab, Made
from seo_core.settings import display_source

EXPORTED = "model.onnx"  # in the folder of a run's kept weights
NETWORKS = ("09_pruning", "10_adaptive_iterative_pruning", "12_distillation")  # chapters whose arms are such as `base`


def recipes(chapter: Chapter, named: Mapping[str, object], *, stages: tuple[str, ...] = ()) -> Callable:
    """Declares an arm for each recipe: a decorator for the function that makes a network, make(lab, recipe, runs).
    runs: by name that of the baseline, and those of the other arms that the recipe names (`sources`). stages: suffixes
    of the checkpoints that a run leaves until its record is written."""
    def declare(make: Callable) -> Callable:
        @wraps(make)
        def from_runs(lab: Lab, recipe, base, *others) -> Made:
            return make(lab, recipe, {"base": base, **dict(zip(sources(recipe), others, strict=True))})

        for name, recipe in named.items():
            chapter.arm(name, recipe, needs="base", **recorded(*stages))(from_runs)
        return make

    return declare


def sources(recipe) -> tuple[str, ...]:
    """The arms beside the baseline that a recipe names, each once: what is pruned, who teaches, whose file it is."""
    named = (getattr(recipe, field, None) for field in ("pruned", "like", "teacher", "of"))
    return tuple(name for name in dict.fromkeys(named) if name not in (None, "base"))


def check_network(field: str, name: str) -> None:
    """Raises ValueError for an arm that cannot stand in the baseline's place: it has to be a network in fp32 that was
    trained on the same labels and reads the same tokens, as those of the chapters on pruning and distillation are."""
    networks = ["base", *(each for each, arm in ARMS.items() if arm.chapter.id in NETWORKS)]
    if name not in networks:
        raise ValueError(f"{field} names a network in fp32 of the same labels, and {name!r} is none"
                         f"{suggest(name, networks)}")


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
