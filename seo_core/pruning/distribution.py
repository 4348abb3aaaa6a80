"""What pruning does to the distribution of the weights: the papers' Figure 4, in numbers.

    table = weight_shape_overlap(before, after)      # a row per layer: overlap of the shapes, share and mass removed
    curves = histograms(before, after)               # what the figure draws

The papers' claim is that pruning takes the small weights out of a bell curve and leaves its shape. For a layer's
weights that are not zero, before (w) and after (v), with p and q the histograms of w / σ_w and v / σ_v on equal bins,

    overlap = Σ_b min(p_b, q_b),        removed mass = 1 − Σ v² / Σ w²,        removed weights = 1 − |v| / |w|.

Each side is divided by its own standard deviation, so that the overlap compares shapes and not widths: it is 1 for the
same shape and 0 for none in common. Zeros count as removed. A layer's weights are those of its linear maps together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from seo_core.pruning.magnitude import PruningError

BINS, LIMIT = 81, 4.0  # bins over ± LIMIT standard deviations; what lies beyond counts in the outermost bins


def layer_weights(model) -> list[np.ndarray]:
    """Layer by layer, the weights of its linear maps that are not zero, flat, in float32."""
    layers = [np.concatenate([m.weight.detach().float().cpu().numpy().ravel() for m in layer.modules()
                              if isinstance(m, nn.Linear)]) for layer in model.bert.encoder.layer]
    return [weights[weights != 0] for weights in layers]


def _pairs(before, after, layers: Sequence[int] | None):
    w, v = layer_weights(before), layer_weights(after)
    layers = range(len(w)) if layers is None else layers
    if len(layers) != len(v) or not all(0 <= n < len(w) for n in layers):
        raise PruningError(f"{len(v)} layers are left of {len(w)}: say which with layers=[...], one for each of them")
    if any(len(v[k]) == 0 or v[k].std() == 0 for k in range(len(v))):
        raise PruningError("a layer has no weights left that are not zero: there is no shape to compare")
    return [(number, w[number], v[place]) for place, number in enumerate(layers)]


def _density(values: np.ndarray, scale: float, total: int) -> np.ndarray:
    """(BINS,) share of `total` that falls into each bin of values / scale."""
    return np.histogram(np.clip(values / scale, -LIMIT, LIMIT), BINS, (-LIMIT, LIMIT))[0] / total


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Σ_b min(p_b, q_b) of the histograms of two sets of values, each divided by its own standard deviation."""
    p, q = (_density(x, float(x.std()), len(x)) for x in (first, second))
    return float(np.minimum(p, q).sum())


def weight_shape_overlap(before, after, layers: Sequence[int] | None = None) -> pd.DataFrame:
    """A row per layer that is left: layer (from 1), overlap, removed_weights and removed_mass (shares). before, after:
    BERT classifiers, stock or compact. layers: which of `before`'s layers (from 0) `after` has, where whole layers
    went. Raises PruningError where they do not fit."""
    rows = [(number + 1, overlap(w, v), 1 - len(v) / len(w), 1 - np.square(v, dtype=float).sum()
             / np.square(w, dtype=float).sum()) for number, w, v in _pairs(before, after, layers)]
    return pd.DataFrame(rows, columns=["layer", "overlap", "removed_weights", "removed_mass"])


def histograms(before, after, layers: Sequence[int] | None = None) -> dict[str, list[float]]:
    """Curves for a record: `histogram_centre`, and for each layer left `before layer k` and `after layer k`. Both are
    in standard deviations of the layer *before* and in shares of its number of weights, so that the area between the
    two curves is what was removed."""
    edges = np.linspace(-LIMIT, LIMIT, BINS + 1)
    curves = {"histogram_centre": ((edges[1:] + edges[:-1]) / 2).tolist()}
    for number, w, v in _pairs(before, after, layers):
        for name, values in (("before", w), ("after", v)):
            curves[f"{name} layer {number + 1}"] = _density(values, float(w.std()), len(w)).round(6).tolist()
    return curves
