"""TAL: the two terms and their gradients, and the ranking apart from them."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from seo_core.selection import HybridConfig, SelectionError, TransferActiveConfig, TransferActiveLearning, select
from seo_core.selection.tal import density_weights, weighted_entropy
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=1, batch_size=8, freeze_embeddings=False, precision="fp32")
PLAIN = TransferActiveConfig(lam=0.0, l2_sp=0.0)
TERM = TransferActiveConfig(lam=0.5, l2_sp=0.0, unlabelled_batch=4)


def _batch(pairs, rows):
    return {**pairs.batch(rows), "rows": torch.as_tensor(rows)}


def _weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


# --- L_AL


@given(seed=st.integers(0, 99), k=st.integers(2, 5), n=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_weighted_entropy_is_scipys_and_lies_between_its_bounds(seed, k, n):
    from scipy.stats import entropy

    rng = np.random.default_rng(seed)
    logits, weights = rng.normal(size=(n, k)), rng.random(n)
    value = float(weighted_entropy(torch.tensor(logits), torch.tensor(weights)))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert value == pytest.approx(np.average(entropy(p, axis=1), weights=weights + 1e-15), rel=1e-6)
    assert 0 <= value <= np.log(k) + 1e-9


def test_weighted_entropy_without_any_weight_is_zero_and_certainty_gives_no_nan():
    logits = torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], requires_grad=True)
    assert float(weighted_entropy(logits, torch.zeros(2)).detach()) == 0
    weighted_entropy(logits, torch.ones(2)).backward()
    assert torch.isfinite(logits.grad).all()


def test_gradients_of_the_term_reach_the_model_and_reduce_its_entropy(tiny_bert, toy_pairs):
    model, pairs, unlabelled = tiny_bert(dropout=0.0), toy_pairs(8), toy_pairs(4, seed=1)
    tal = TransferActiveLearning(replace(TERM, lam=1.0))
    loss = tal.loss(model, unlabelled)
    logits = torch.zeros(8, 3)  # the labelled part is a constant: what moves is L_AL's doing
    value = loss(logits, _batch(pairs, np.arange(8)))
    value.backward()
    assert float(value.detach()) - np.log(3) == pytest.approx(float(_entropy_of(model, unlabelled)), abs=0.02)
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {"classifier.weight", "bert.encoder.layer.0.attention.self.query.weight",
            "bert.embeddings.word_embeddings.weight"} <= moved
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
    assert float(loss(logits, _batch(pairs, np.arange(8))).detach()) < float(value.detach())


def _entropy_of(model, pairs):
    """The term over a pool of one batch, written down once more."""
    batch = pairs.batch(range(len(pairs)))
    batch.pop("labels")
    weights = density_weights(model, pairs, np.random.default_rng(0), HybridConfig())
    with torch.no_grad():
        return weighted_entropy(model.eval()(**batch).logits, torch.from_numpy(weights))


def test_density_weights_are_ranks_without_a_gradient(tiny_bert, toy_pairs):
    weights = density_weights(tiny_bert(), toy_pairs(20), np.random.default_rng(0), HybridConfig())
    np.testing.assert_allclose(np.sort(weights), (np.arange(20) + 0.5) / 20, rtol=1e-6)
    assert isinstance(weights, np.ndarray)


def test_the_unlabelled_batch_follows_the_seed_and_the_labelled_rows_alone(tiny_bert, toy_pairs):
    model, pairs, unlabelled = tiny_bert().train(), toy_pairs(32), toy_pairs(64, seed=1)
    first, again, other = (TransferActiveLearning(TERM, seed=s).loss(model, unlabelled) for s in (0, 0, 1))
    logits = torch.zeros(8, 3)
    rows = [np.arange(i, i + 8) for i in range(20)]
    values = [[float(f(logits, _batch(pairs, r)).detach()) for r in order] for f, order in
              ((first, rows), (again, rows[::-1]), (other, rows))]
    assert values[0] == values[1][::-1]  # whatever was asked before: a resumed run repeats it
    assert values[0] != values[2] and len(set(values[0])) > 5


def test_labels_of_the_unlabelled_pairs_play_no_part(tiny_bert, toy_pairs):
    model, pairs, unlabelled = tiny_bert(), toy_pairs(8), toy_pairs(16, seed=1)
    other = replace(unlabelled, labels=(unlabelled.labels + 1) % 3)
    logits, batch = torch.zeros(8, 3), _batch(pairs, np.arange(8))
    a, b = (float(TransferActiveLearning(TERM).loss(model, u)(logits, batch).detach()) for u in (unlabelled, other))
    assert a == b


# --- lambda = 0 and L_TL


@pytest.mark.trains
def test_lambda_zero_is_exactly_the_transfer_loss(tiny_bert, toy_pairs):
    """To the last bit of the trained weights, dropout included."""
    from seo_core.transfer import with_l2_sp

    pairs, found = toy_pairs(32), []
    for make in (lambda m: TransferActiveLearning(replace(PLAIN, l2_sp=0.3)).loss(m, toy_pairs(16, seed=1)),
                 lambda m: with_l2_sp(m, 0.3)):
        model = tiny_bert()
        fit(model, pairs, config=CONFIG, loss=make(model), progress=False)
        found.append(_weights(model))
    _assert_same(*found)


def test_without_either_term_it_is_the_cross_entropy(tiny_bert, toy_pairs):
    logits, pairs = torch.randn(8, 3), toy_pairs(8)
    batch = _batch(pairs, np.arange(8))
    assert torch.equal(TransferActiveLearning(PLAIN).loss(tiny_bert())(logits, batch),
                       F.cross_entropy(logits, batch["labels"]))


def test_the_three_parts_add_up(tiny_bert, toy_pairs):
    model, pairs, unlabelled = tiny_bert(dropout=0.0), toy_pairs(8), toy_pairs(16, seed=1)
    logits, batch = torch.randn(8, 3), _batch(pairs, np.arange(8))
    make = [TransferActiveLearning(TransferActiveConfig(lam=lam, l2_sp=beta)).loss(model, unlabelled)
            for lam, beta in ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.0, 2.0), (0.5, 2.0))]
    with torch.no_grad():
        next(model.parameters()).add_(0.1)  # away from the start, so that the pull is felt
        plain, half, whole, pull, both = (float(f(logits, batch)) for f in make)
    assert whole - plain == pytest.approx(2 * (half - plain), rel=1e-5)
    assert pull > plain
    assert both - plain == pytest.approx((half - plain) + (pull - plain), rel=1e-5)


@pytest.mark.trains
def test_training_with_the_term_makes_the_model_surer_of_the_unlabelled_pairs(tiny_bert, toy_pairs):
    pairs, unlabelled, found = toy_pairs(64), toy_pairs(64, seed=1), []
    for config in (PLAIN, replace(TERM, lam=2.0, unlabelled_batch=16)):
        model = tiny_bert(dropout=0.0)
        fit(model, pairs, config=replace(CONFIG, epochs=4), loss=TransferActiveLearning(config).loss(model, unlabelled),
            progress=False)
        found.append(float(_entropy_of(model, unlabelled)))
    assert found[1] < found[0]


@pytest.mark.trains
def test_a_resumed_run_with_the_term_ends_at_the_same_weights(tiny_bert, toy_pairs, tmp_path):
    pairs, unlabelled, found = toy_pairs(64), toy_pairs(40, seed=1), []
    config = replace(CONFIG, checkpoint_every=3)
    for folder, stops in (("whole", (None,)), ("parts", (4, None))):
        for stop in stops:
            model = tiny_bert()
            loss = TransferActiveLearning(replace(TERM, l2_sp=0.1)).loss(model, unlabelled)
            with contextlib.suppress(KeyboardInterrupt):
                fit(model, pairs, config=config, loss=loss, checkpoint_dir=tmp_path / folder, progress=False,
                    callbacks=[_interrupt(stop)])
        found.append(_weights(model))
    _assert_same(*found)


def _interrupt(step):
    def callback(event, state):
        if event == "step" and state.step == step:
            raise KeyboardInterrupt
    return callback


def _assert_same(a, b):
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


def test_the_term_works_on_a_model_that_the_fast_path_does_not_know(toy_pairs, tiny_bert):
    model = tiny_bert(dropout=0.0)
    fast = TransferActiveLearning(TERM).loss(model, toy_pairs(16, seed=1))
    logits, batch = torch.zeros(8, 3), _batch(toy_pairs(8), np.arange(8))
    expected = float(fast(logits, batch).detach())
    model.config.hidden_act = "other"  # the fast path declines; the weights stay
    stock = TransferActiveLearning(TERM).loss(model, toy_pairs(16, seed=1))
    assert float(stock(logits, batch).detach()) == pytest.approx(expected, abs=0.02)


# --- ranking


def test_the_ranking_carries_no_gradient_and_leaves_the_model_alone(tiny_bert, toy_pairs):
    model, pool = tiny_bert().train(), toy_pairs(40)
    before = _weights(model)
    tal = TransferActiveLearning(replace(TERM, acquisition="entropy"))
    picked = tal.select(model, pool, 5, np.random.default_rng(0))
    assert len(set(picked)) == 5 and model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    np.testing.assert_array_equal(picked, select("entropy", model, pool, 5, np.random.default_rng(0)))


def test_a_seed_is_a_whole_number_of_0_or_more():
    with pytest.raises(SelectionError, match="seed must be 0 or more"):
        TransferActiveLearning(seed=-1)


@pytest.mark.parametrize("unlabelled", [None, 0])
def test_a_term_without_unlabelled_pairs_is_refused(tiny_bert, toy_pairs, unlabelled):
    pool = None if unlabelled is None else toy_pairs(4).take(range(0))
    with pytest.raises(SelectionError, match="lam=0"):
        TransferActiveLearning(TERM).loss(tiny_bert(), pool)


@pytest.mark.parametrize("wrong", [dict(lam=-1.0), dict(lam=float("nan")), dict(l2_sp=-1.0), dict(unlabelled_batch=0),
                                   dict(acquisition="entropie"), dict(window=0), dict(window=1.5), dict(tolerance=-1.0),
                                   dict(tolerance=float("nan")), dict(lam="0.1")])
def test_config_refuses_nonsense(wrong):
    with pytest.raises(ValueError):
        TransferActiveConfig(**wrong)
