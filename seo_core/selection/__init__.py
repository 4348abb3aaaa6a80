"""Data selection: which labels to buy, and how to learn from what has none.

    picked = select("hybrid", model, pool, 1000, np.random.default_rng(seed))

acquisition.py ranks a pool; tal.py joins transfer and active learning in one loss and one loop; pseudo.py learns from
the pairs that nobody labelled; maps.py shows how what was bought fared in training.
"""

from seo_core.selection.acquisition import (
    ACQUISITIONS,
    HYBRID_TEXT,
    HybridConfig,
    SelectionError,
    badge,
    bald,
    density_scores,
    describe,
    entropy,
    features,
    hybrid,
    hybrid_text,
    least_confidence,
    margin,
    plateau,
    random,
    select,
    text_vectors,
    without_labels,
)
from seo_core.selection.pseudo import adaptive_pseudo_label, pseudo_label
from seo_core.selection.tal import TransferActiveConfig, TransferActiveLearning

__all__ = ["ACQUISITIONS", "HYBRID_TEXT", "HybridConfig", "SelectionError", "TransferActiveConfig",
           "TransferActiveLearning", "adaptive_pseudo_label", "badge", "bald", "density_scores",
           "describe", "entropy", "features", "hybrid", "hybrid_text", "least_confidence", "margin", "plateau",
           "pseudo_label", "random", "select", "text_vectors", "without_labels"]
