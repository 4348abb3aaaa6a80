"""N-grams added to what the network says: a head that reads TF-IDF features beside the pooled vector.

    logits = W [h; s f] + b = (W_h h + b) + s W_f f

h (d) is the pooled vector, f (k) the features, s their scale. Bhat and Dharani (2024) add "n-grams and TF-IDF" to
BERT's contextual embeddings and do not say how; concatenation before a linear head is the smallest form, and is the sum
on the right. So the network stays as it is, and W_f learns beside it as part of the loss. It starts at 0: before the
first step nothing is changed. f are word pieces and pairs of neighbours, a block for each text, hashed into k buckets
(Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning"): no vocabulary has to be kept.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from seo_core.checks import check_number

_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


def hashed_ngrams(encoded, buckets: int = 4096):
    """Counts (n, buckets) of word pieces and of pairs of neighbours in one text, hashed: a scipy CSR matrix."""
    from scipy.sparse import csr_matrix

    check_number("buckets", buckets, least=1, whole=True, error=ValueError)
    lengths = np.diff(encoded.offsets)
    rows = np.repeat(np.arange(len(encoded)), lengths)  # (tokens,)
    second = np.arange(len(encoded.ids)) - encoded.offsets[rows] >= encoded.first[rows]  # (tokens,) of which text
    ids = encoded.ids.astype(np.uint64) + np.uint64(1)
    one = ids * _PRIMES[0] + second * _PRIMES[1]
    together = (rows[:-1] == rows[1:]) & (second[:-1] == second[1:])
    two = (one[:-1] * _PRIMES[2] + ids[1:] * _PRIMES[1])[together]
    hashes = np.concatenate([one, two]) >> np.uint64(20)
    places = (np.concatenate([rows, rows[:-1][together]]), (hashes % np.uint64(buckets)).astype(np.int64))
    return csr_matrix((np.ones(len(hashes), np.float32), places), shape=(len(encoded), buckets))


def tf_idf(counts, idf: np.ndarray):
    """Rows of length 1: (1 + log tf) idf, as scikit-learn's TfidfVectorizer has it with sublinear_tf."""
    from sklearn.preprocessing import normalize

    weighted = counts.copy()
    weighted.data = 1 + np.log(weighted.data)
    return normalize(weighted.multiply(idf[None]).tocsr()).astype(np.float32)


class NgramHead(torch.nn.Module):
    """The loss of `training.fit` for such a head; train: an Encoded, whose positions batch["rows"] names."""

    def __init__(self, train, classes: int, *, buckets: int = 4096, scale: float = 10.0):
        super().__init__()
        counts = hashed_ngrams(train, buckets)
        self.idf = np.log((1 + len(train)) / (1 + counts.getnnz(axis=0))) + 1  # (k,)
        self.features, self.buckets, self.scale = tf_idf(counts, self.idf), buckets, scale
        self.weight = torch.nn.Parameter(torch.zeros(classes, buckets))

    def forward(self, logits: torch.Tensor, batch: dict) -> torch.Tensor:
        features = torch.from_numpy(self.features[batch["rows"].numpy()].toarray()).to(logits.device)  # (B, k)
        return F.cross_entropy(logits + self.scale * features @ self.weight.T, batch["labels"])

    def added(self, encoded) -> np.ndarray:
        """(n, classes): what the n-grams add to the network's logits."""
        features = tf_idf(hashed_ngrams(encoded, self.buckets), self.idf)
        return self.scale * np.asarray(features @ self.weight.detach().cpu().numpy().T, np.float32)
