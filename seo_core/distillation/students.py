"""Students: smaller networks that start from what the teacher knows.

    student = select_layers(teacher, [0, 2, 4])                   # three of its layers, weights copied
    found = search_layers(teacher, 3, score)                      # which three: by a score on development data
    student = narrow(student, text, neurons=512)                  # fewer FFN neurons, the most used ones

A student with whole layers left out is a plain BERT. One whose layers have sizes of their own is a compact BERT
(`seo_core.compact`). Sanh et al. 2019 (DistilBERT) take every second layer of the teacher.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from seo_core.distillation.losses import DistillationError


def select_layers(teacher, layers: Sequence[int]):
    """A network of the teacher's class with its layers at `layers` (from 0), in that order, and all else of it.

    Weights are copied, the teacher stays as it is. Raises DistillationError for no layers, a layer that the
    teacher has not, and one named twice.
    """
    layers, have = [int(n) for n in layers], teacher.config.num_hidden_layers
    if not layers or len(set(layers)) < len(layers) or not all(0 <= n < have for n in layers):
        raise DistillationError(f"layers must be distinct numbers from 0 to {have - 1}, got {layers}: the teacher has "
                                f"{have} layers")
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    for name in ("layer_heads", "layer_ffn"):  # of a compact BERT
        if getattr(config, name, None) is not None:
            setattr(config, name, [getattr(config, name)[n] for n in layers])
    stem, weights = "bert.encoder.layer.", teacher.state_dict()
    with torch.random.fork_rng(devices=[]):
        student = type(teacher)(config)
    chosen = {name: weights[name] for name in weights if not name.startswith(stem)}
    for new, old in enumerate(layers):
        prefix = f"{stem}{old}."
        chosen.update({f"{stem}{new}.{name.removeprefix(prefix)}": value for name, value in weights.items()
                       if name.startswith(prefix)})
    student.load_state_dict(chosen)
    return student.train(teacher.training)


@dataclass(frozen=True)
class LayerSearch:
    """What `search_layers` found."""

    layers: tuple[int, ...]  # the best choice
    scores: dict[tuple[int, ...], float]  # of every choice tried


def search_layers(teacher, count: int, score: Callable, *, candidates: Iterable[Sequence[int]] | None = None,
                  report: Callable = lambda text: None) -> LayerSearch:
    """The `count` layers whose student has the highest `score(student)`; of equal ones the first tried.

    score: trains the student shortly and returns its development accuracy, say. candidates: the choices to try
    (default: all of them, in ascending order; 20 for three layers of six). Raises DistillationError where there is none.
    """
    have = teacher.config.num_hidden_layers
    choices = [tuple(c) for c in (combinations(range(have), count) if candidates is None else candidates)]
    if not choices:
        raise DistillationError(f"no choice of {count} layers of {have} to try")
    scores = {}
    for layers in choices:
        scores[layers] = float(score(select_layers(teacher, layers)))
        report(f"layers {layers}: {scores[layers]:.4f}")
    return LayerSearch(max(scores, key=scores.get), scores)
