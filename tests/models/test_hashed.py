"""Hashed n-grams beside the pooled vector."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from seo_core.data import Encoded
from seo_core.models.hashed import NgramHead, hashed_ngrams, tf_idf


def encoded(*rows, first=2):
    """Rows of token ids, the first text of each `first` tokens long."""
    offsets = np.cumsum([0, *map(len, rows)])
    return Encoded(ids=np.concatenate(rows).astype(np.int32), offsets=offsets.astype(np.int64),
                   first=np.full(len(rows), first, np.int32), labels=np.arange(len(rows)) % 3, pad_id=0)


def test_each_piece_and_each_pair_in_a_text_counts_once():
    counts = hashed_ngrams(encoded([5, 6, 7, 8], [5, 6, 7, 8, 5]), 2**16)
    assert counts.shape == (2, 2**16) and list(np.asarray(counts.sum(axis=1)).ravel()) == [4 + 2, 5 + 3]
    assert (counts[0].toarray() <= counts[1].toarray()).all(), "the same n-grams fall into the same buckets"


def test_the_two_texts_have_buckets_of_their_own_and_order_matters():
    a, b, c = hashed_ngrams(encoded([5, 6, 7], [7, 8, 5], [6, 5, 7]), 2**16).toarray()
    assert not (a * b).any(), "5 and 7 stand in other texts"
    assert (a * c).sum() == 3, "the pieces are the same, the pair is not"


def test_rows_are_of_length_one_and_rare_ngrams_weigh_more():
    counts = hashed_ngrams(encoded([5, 6], [5, 7], [5, 8]), 2**16)
    idf = np.log(4 / (1 + counts.getnnz(axis=0))) + 1
    rows = tf_idf(counts, idf).toarray()
    assert np.allclose((rows**2).sum(axis=1), 1)
    common = np.flatnonzero((rows > 0).all(axis=0))
    assert len(common) == 1 and (rows[:, common[0]] < rows.max(axis=1)).all()


def test_the_head_is_a_linear_layer_on_both_and_starts_as_the_network_alone(toy_pairs):
    train = toy_pairs(12)
    head = NgramHead(train, 3, buckets=64, scale=2.0)
    rows, logits = torch.arange(4), torch.randn(4, 3)
    batch = {"rows": rows, "labels": torch.from_numpy(train.labels[:4])}
    assert torch.equal(head(logits, batch), F.cross_entropy(logits, batch["labels"])) and not head.added(train).any()
    torch.nn.init.normal_(head.weight)
    features = torch.from_numpy(head.features[:4].toarray())
    joint = torch.cat([logits, 2.0 * features], dim=1) @ torch.cat([torch.eye(3), head.weight], dim=1).T
    assert torch.allclose(head(logits, batch), F.cross_entropy(joint, batch["labels"]), atol=1e-6)
    assert np.allclose(head.added(train)[:4], (joint - logits).detach(), atol=1e-5)


def test_no_buckets_are_refused(toy_pairs):
    with pytest.raises(ValueError, match="buckets must be 1 or more"):
        hashed_ngrams(toy_pairs(4), 0)
