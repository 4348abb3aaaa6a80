"""Data selection: which labels to buy, and how to learn from what has none.

    picked = select("hybrid", model, pool, 1000, np.random.default_rng(seed))

acquisition.py ranks a pool, loss_prediction.py by a learned criterion; tal.py joins transfer and active learning in one
loss and one loop; pseudo.py learns from the pairs that nobody labelled; maps.py shows how what was bought fared in
training.
"""

from seo_core.lazy import lazy

_HOME = {"acquisition": "ACQUISITIONS HybridConfig SelectionError density_scores describe features plateau select"
                        " text_vectors",
         "tal": "TransferActiveConfig TransferActiveLearning"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
