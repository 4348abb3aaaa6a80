"""Loss prediction: the ranking loss, and what the head learns."""

import numpy as np
import pytest
import torch

from seo_core.selection import SelectionError
from seo_core.selection.acquisition import features
from seo_core.selection.loss_prediction import (
    LossPredictionConfig,
    buy_by_loss,
    predicted_losses,
    ranking_loss,
)


def test_the_ranking_loss_is_the_equation():
    predicted, loss = torch.tensor([2.0, 0.5, 0.0, 3.0, 1.0, 1.0]), torch.tensor([1.0, 0.2, 0.9, 0.1, 0.4, 0.4])
    # right by 1.5: nothing; wrong by 3: 3 + margin; no order: nothing
    assert float(ranking_loss(predicted, loss)) == pytest.approx((0 + 4 + 0) / 3)
    assert float(ranking_loss(predicted, loss, margin=2.0)) == pytest.approx((0.5 + 5 + 0) / 3)


@pytest.mark.trains
def test_the_head_learns_which_examples_have_a_high_loss(tiny_bert, toy_pairs):
    model, pairs = tiny_bert(), toy_pairs(64)
    predicted = predicted_losses(model, pairs, pairs)
    logits = torch.from_numpy(features(model, pairs)[0])
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(pairs.labels), reduction="none").numpy()
    assert np.corrcoef(predicted.argsort().argsort(), losses.argsort().argsort())[0, 1] > 0.5
    picked = buy_by_loss(model, pairs, pairs, 10, np.random.default_rng(0))
    assert set(picked) == set(np.argsort(-predicted)[:10])


@pytest.mark.trains
def test_it_repeats_itself_reads_no_label_of_the_pool_and_leaves_the_random_stream(tiny_bert, toy_pairs):
    model, pairs, pool = tiny_bert(), toy_pairs(32), toy_pairs(16, seed=1)
    before = torch.get_rng_state()
    first = predicted_losses(model, pairs, pool, seed=3)
    assert torch.equal(before, torch.get_rng_state())
    pool.labels = 2 - pool.labels
    np.testing.assert_array_equal(predicted_losses(model, pairs, pool, seed=3), first)
    assert (predicted_losses(model, pairs, pool, seed=4) != first).any()


def test_what_it_cannot_learn_from_is_said(tiny_bert, toy_pairs):
    pairs, sealed = toy_pairs(8), toy_pairs(8)
    sealed.labels = np.full(8, -1)
    for labelled in (sealed, pairs.take(slice(0, 1))):
        with pytest.raises(SelectionError, match="two or more of them, with labels from 0 to 2"):
            predicted_losses(tiny_bert(), labelled, pairs)
    with pytest.raises(SelectionError, match="9 examples were asked for"):
        buy_by_loss(tiny_bert(), pairs, pairs, 9, np.random.default_rng(0))
    with pytest.raises(ValueError, match="batch_size"):
        LossPredictionConfig(batch_size=1)
