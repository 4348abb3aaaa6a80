"""A run: one record and, where they were kept, its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.data import Encoded


class StudyError(ValueError):
    """A study that cannot be run as asked; the message says what to change."""


@dataclass(frozen=True)
class Run:
    """One finished run: its record, and its weights where they were kept."""

    path: Path
    record: dict
    weights: Path | None = None
    make: Callable[[], None] | None = field(default=None, repr=False)  # trains it anew, weights kept

    @property
    def metrics(self) -> dict:
        """The record's flat metrics."""
        return self.record["metrics"]

    @property
    def rows(self) -> np.ndarray:
        """(n,) positions in the pool of the pairs whose labels were bought, in the order of buying."""
        return results.predictions(self.path)["bought"].astype(np.int64)

    def model(self):
        """The trained network; trained again where the record is there and its weights are gone.

        Raises StudyError where they were not kept.
        """
        from seo_core.models.backbone import load_backbone

        if self.make and not self.weights.is_dir():
            self.make()
        if self.weights is None or not self.weights.is_dir():
            raise StudyError(f"the weights of {self.path.stem} were not kept: train it with keep=True")
        return load_backbone(str(self.weights), num_labels=len(self.record["parameters"]["classes"]))[0]


@dataclass(frozen=True)
class Added:
    """Examples beside the labelled ones, made by a technique, and what comes with them."""

    examples: pd.DataFrame | Encoded
    loss: Callable | None = None  # loss(model) -> a loss for `fit`, whose "rows" count the labelled examples first
    targets: np.ndarray | None = None  # (labelled + added, k), where they are soft
    metrics: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)
