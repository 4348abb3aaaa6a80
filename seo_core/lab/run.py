"""A run: one record and, where they were kept, its weights; and what an arm hands over to be recorded as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seo_core import results
from seo_core.evaluation import MEASURES
from seo_core.models import load_backbone

if TYPE_CHECKING:
    import pandas as pd

    from seo_core.data import Encoded


class LabError(ValueError):
    """A run that cannot be made as asked; the message says what to change."""


def set_name(split: str) -> str:
    """A split as metrics name it: matched, mismatched, development."""
    return "development" if split == "acceptance" else split.removeprefix("validation_")


@dataclass(frozen=True)
class Run:
    """One finished run: its record, and its weights where they were kept."""

    path: Path
    record: dict
    weights: Path | None = None  # a folder
    remake: Callable[[], None] | None = field(default=None, repr=False)  # trains it anew, its weights are kept

    @property
    def metrics(self) -> dict:
        """The record's flat metrics."""
        return self.record["metrics"]

    @property
    def measure(self) -> str:
        """What it is told by: accuracy, of scores their Pearson correlation, of tags and answers F1."""
        return next((name for name in MEASURES if f"{name}_development" in self.metrics), "accuracy")

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits that it was scored on: the official sets, or the acceptance half where those are sealed."""
        return tuple(split for split, score in zip(results.OFFICIAL, results.SCORES, strict=True)
                     if score.replace("accuracy", self.measure) in self.metrics) or ("acceptance",)

    @property
    def accuracies(self) -> dict[str, float]:
        """Accuracy (`measure`) by set: matched and mismatched, or development where the official sets are sealed."""
        return {name: self.metrics[f"{self.measure}_{name}"] for name in map(set_name, self.scored)}

    @property
    def rows(self) -> np.ndarray:
        """(n,) positions in the pool of the pairs whose labels were bought, in the order of buying."""
        return results.predictions(self.path)["bought"].astype(np.int64)

    def folder(self) -> Path:
        """The folder of its weights; made again where the record is there and they are gone. Raises LabError where they
        were not kept."""
        if self.weights is None:
            raise LabError(f"the weights of {self.path.stem} were not kept: its arm needs keep=True")
        if not self.weights.is_dir() and self.remake:
            self.remake()
        return self.weights

    def model(self):
        """The trained network. Raises LabError where its weights were not kept."""
        about = self.record["parameters"]
        return load_backbone(str(self.folder()), num_labels=len(about["classes"]),
                             kind=about.get("kind", "classification"))[0]


@dataclass(frozen=True)
class Made:
    """A network, and what was measured while it was made: what an arm returns, and a record is written of.

    predict: encoded -> logits (n, k), where what is deployed is not `model` itself (an exported file). save: folder ->
    None, where more than weights and tokenizer has to be kept. tokenizer: the network's own, where its vocabulary is
    not the lab's; the evaluation texts are then encoded with it. rows: (n,) positions in the pool of the pairs whose
    labels were bought. further_labels: how many were read from outside the pool. start: the weights that training began
    from, where they are not the settings' model.
    """

    model: object
    metrics: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)
    predict: Callable[[Encoded], np.ndarray] | None = None
    save: Callable[[Path], object] | None = None
    tokenizer: object = field(default=None, repr=False)
    rows: np.ndarray | None = None
    further_labels: int = 0
    start: Path | None = None


@dataclass(frozen=True)
class Added:
    """Examples beside the labelled ones, made by a technique, and what comes with them."""

    examples: pd.DataFrame | Encoded
    loss: Callable | None = None  # loss(model) -> a loss for `fit`, whose "rows" count the labelled examples first
    targets: np.ndarray | None = None  # (labelled + added, k), where they are soft
    # renew(model in training, epoch that begins, from 1) -> other examples in the place of these, as many; None: stay.
    # Such a run leaves no checkpoint, which would have to hold them
    renew: Callable[[object, int], pd.DataFrame | None] | None = None
    metrics: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)
