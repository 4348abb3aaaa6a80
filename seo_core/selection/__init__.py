"""Data selection: which labels to buy, and how to learn from what has none.

    picked = select("hybrid", model, pool, 1000, np.random.default_rng(seed))

acquisition.py ranks a pool; tal.py joins transfer and active learning in one loss and one loop.
"""

from seo_core.selection.acquisition import (
    ACQUISITIONS,
    HybridConfig,
    SelectionError,
    badge,
    bald,
    entropy,
    features,
    hybrid,
    least_confidence,
    margin,
    plateau,
    random,
    select,
    without_labels,
)

__all__ = [
    "ACQUISITIONS",
    "HybridConfig",
    "SelectionError",
    "badge",
    "bald",
    "entropy",
    "features",
    "hybrid",
    "least_confidence",
    "margin",
    "plateau",
    "random",
    "select",
    "without_labels",
]
