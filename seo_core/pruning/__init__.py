"""Pruning: zeros in the weights, units out of the network, and AIP, which finds out how many.

    masks = prune(model, 0.5)                                     # unstructured: zeros, the file keeps its size
    small = remove(model, **choose(model, importance(model, "taylor", reward), 0.4).units)    # structured: smaller
    result = AdaptiveIterativePruning(AIPConfig(threshold=1.0))(model, train, reward, acceptance)

magnitude.py sets single weights to zero; structured.py scores and removes heads, neurons and layers; aip.py repeats
that within an accuracy threshold; distribution.py compares weight histograms.
"""

from seo_core.lazy import lazy

_HOME = {
    "aip": "AIPConfig AIPResult AdaptiveIterativePruning",
    "distribution": "histograms weight_shape_overlap",
    "magnitude": "KeepMasks PruningError masks_by_magnitude prune sparsity stored_bytes",
    "structured": "Importance NothingLeft Removal choose compensate encoder_weights importance mask remove shapes",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
