"""Pruning: zeros in the weights, units out of the network, and AIP, which finds out how many.

    masks = prune(model, 0.5)                                     # unstructured: zeros, the file keeps its size
    small = remove(model, **choose(model, importance(model, "taylor", reward), 0.4).units)    # structured: smaller
    result = AdaptiveIterativePruning(AIPConfig(threshold=1.0))(model, train, reward, acceptance)

magnitude.py sets single weights to zero; structured.py scores and removes heads, neurons and layers; aip.py repeats
that within an accuracy threshold; distribution.py compares weight histograms.
"""

from seo_core.pruning.aip import AdaptiveIterativePruning, AIPConfig, AIPResult
from seo_core.pruning.distribution import histograms, weight_shape_overlap
from seo_core.pruning.magnitude import (
    KeepMasks,
    PruningError,
    masks_by_magnitude,
    prune,
    sparsity,
    stored_bytes,
)
from seo_core.pruning.structured import (
    Importance,
    NothingLeft,
    Removal,
    choose,
    compensate,
    encoder_weights,
    importance,
    mask,
    remove,
    shapes,
)

__all__ = ["AIPConfig", "AIPResult", "AdaptiveIterativePruning", "Importance", "KeepMasks", "NothingLeft",
           "PruningError", "Removal", "choose", "compensate", "encoder_weights", "histograms", "importance", "mask",
           "masks_by_magnitude", "prune", "remove", "shapes", "sparsity", "stored_bytes", "weight_shape_overlap"]
