"""What the chapters on compression share: a recipe at work on the baseline, its declaration, and networks as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import seo_core.arms.baseline  # noqa: F401  declares the arm that all these need
from seo_core import training
from seo_core.arms.texts import cache_folder, reading, unlabelled
from seo_core.deploy.runners import Runner, runner
from seo_core.distillation.cache import cached_logits
from seo_core.distillation.losses import Distillation
from seo_core.files import atomic_folder, digest
from seo_core.lab.arm import Chapter
from seo_core.lab.ground import Lab
from seo_core.lab.run import Made

EXPORTED = "model.onnx"  # in the folder of a run's kept weights


def recipes(chapter: Chapter, named: Mapping[str, object], *, stages: tuple[str, ...] = ()) -> Callable:
    """Declares an arm for each recipe: a decorator for the function that makes a network from the baseline and one.

    stages: suffixes of the checkpoints that a run leaves until its record is written.
    """
    def declare(make: Callable) -> Callable:
        for name, recipe in named.items():
            chapter.arm(name, recipe, needs="base", parameters=lambda lab, recipe: {"recipe": recipe},
                        checkpoints=lambda lab, recipe: [checkpoint(lab, recipe, stage) for stage in stages])(make)
        return make

    return declare


def checkpoint(lab: Lab, recipe, stage: str = "") -> Path:
    """Where a stage of a recipe saves itself; removed when the record is written."""
    return training.checkpoint_folder(lab.settings, f"{lab.chapter.id}-{digest(asdict(recipe), length=8)}{stage}")


@dataclass
class Work:
    """One recipe at work: what it reads, the teachers' logits on that, and how it trains."""

    lab: Lab
    recipe: object  # of pruning or of distillation
    teachers: list  # networks; the first gives inner states too

    def __post_init__(self):
        self.texts = unlabelled(self.lab, self.recipe)
        self.train = reading(self.lab, self.texts)

    @cached_property
    def targets(self):
        """The mean of the teachers' logits on `train`, kept in files."""
        return cached_logits(self.teachers, self.train, cache_folder(self.lab.settings))

    def inner(self, copied):
        """The network whose hidden states and relations a DistillationConfig copies; None where it copies none."""
        return self.teachers[0] if copied.hidden or copied.relations else None

    def loss(self, model, copied, rows=slice(None)) -> Distillation:
        """A loss for `fit` on the pairs at `rows`: the labels, and what a DistillationConfig copies."""
        return Distillation(model, self.train.take(rows), targets=self.targets[rows] if copied.weight else None,
                            teacher=self.inner(copied), config=copied)

    def config(self, **changes) -> training.TrainingConfig:
        """The settings' TrainingConfig with the recipe's rate."""
        rate = {} if self.recipe.learning_rate is None else {"learning_rate": self.recipe.learning_rate}
        return training.TrainingConfig.from_settings(self.lab.settings, **{**rate, **changes})

    def fit(self, model, epochs: int, loss, folder: Path, *, rows=slice(None), callbacks=()) -> training.TrainingResult:
        """Trains in place on the pairs at `rows`, with a checkpoint in `folder`."""
        return training.fit(model, self.train.take(rows), config=self.config(epochs=epochs), loss=loss, progress=False,
                            development=self.lab.encoded("acceptance"), callbacks=callbacks, checkpoint_dir=folder)


def deployed(lab: Lab, model, export: Callable[[Path], object], *, runtime: str = "onnxruntime",
             save: Callable | None = None) -> tuple[Made, Runner]:
    """`model` as the file that `export` writes: it is evaluated and weighed (size_bytes), and kept as model.onnx.

    lab: with the network's own tokenizer. save: (folder, also) -> None, writes what is kept with the file, whose copy
    `also` makes; default: tokenizer.json.
    """
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
