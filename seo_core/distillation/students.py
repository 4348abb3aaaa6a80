"""Students: smaller networks that start from what the teacher knows.

    student = select_layers(teacher, [0, 2, 4])                   # three of its layers, weights copied
    student = narrow(student, text, neurons=512)                  # fewer FFN neurons, the most used ones

A student with whole layers left out is a plain BERT. One whose layers have sizes of their own is a compact BERT
(`seo_core.models.compact`). Sanh et al. 2019 (DistilBERT) take every second layer of the teacher.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch

from seo_core.distillation.losses import DistillationError
from seo_core.pruning.structured import Removal, compensate, importance, remove


def select_layers(teacher, layers: Sequence[int]):
    """A network of the teacher's class with its layers at `layers` (from 0), in that order, and all else of it. Weights
    are copied, the teacher stays as it is. Raises DistillationError for no layers, a layer that the teacher has not,
    and one named twice."""
    if hasattr(teacher, "quantizer"):
        raise DistillationError("this network has step sizes, which belong to the layers that it has: take layers of "
                                "the network before it was trained in integers, or of qat.detach(model)")
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


def spread_layers(count: int, have: int) -> tuple[int, ...]:
    """`count` of `have` layers at equal distances from the first, (0, 2, 4) for three of six: DistilBERT's choice."""
    if not 1 <= count <= have:
        raise DistillationError(f"a student has 1 to {have} of the teacher's {have} layers, not {count}")
    return tuple(i * have // count for i in range(count))


def narrow(model, text, *, neurons: int | None = None, heads: int | None = None, score: str = "activation"):
    """A compact BERT with at most so many FFN neurons and heads in each layer: the highest by importance.

    text: an Encoded of a few hundred training texts, which give the scores (`pruning.structured.importance`; "taylor"
    needs labels), and on which the units that stay take over what they can of the others. Raises DistillationError
    for a width below 1.
    """
    if any(width is not None and width < 1 for width in (neurons, heads)):
        raise DistillationError(f"a layer keeps 1 neuron and 1 head or more, got neurons={neurons}, heads={heads}")
    scores, gone = importance(model, score, text), {}
    for kind, keep in (("heads", heads), ("neurons", neurons)):
        order = [np.argsort(-np.asarray(each), kind="stable") for each in getattr(scores, kind)]
        gone[kind] = {layer: ranked[keep:].tolist() for layer, ranked in enumerate(order)
                      if keep is not None and keep < len(ranked)}
    removal = Removal(**gone)
    return remove(compensate(model, removal, text), **removal.units)
