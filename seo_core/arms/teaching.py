"""Training with teachers: what the chapters on pruning and distillation share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seo_core import training
from seo_core.arms.texts import cache_folder, reading, unlabelled
from seo_core.distillation.cache import cached_logits
from seo_core.distillation.losses import Distillation
from seo_core.lab import Lab


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
        return training.fit(model, self.train.take(rows), config=self.config(epochs=epochs), loss=loss,
                            development=self.lab.encoded("acceptance"), callbacks=callbacks, checkpoint_dir=folder)
