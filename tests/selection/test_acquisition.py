"""Acquisition functions: definitions, contract, cost, and what happens when things go wrong."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.selection import ACQUISITIONS, HybridConfig, SelectionError, features, plateau, select
from seo_core.selection import acquisition as acq

NAMES = sorted(ACQUISITIONS)
RANKED = [n for n in NAMES if n != "random"]


def _rng(seed=0):
    return np.random.default_rng(seed)


def _logits(n=40, k=3, seed=0, scale=2.0):
    return (scale * _rng(seed).normal(size=(n, k))).astype(np.float32)


# --- parity with the definitions


def test_uncertainty_scores_equal_scipys_and_the_sorted_definitions():
    from scipy.special import softmax
    from scipy.stats import entropy

    logits = _logits(200)
    p = softmax(logits.astype(float), axis=1)
    ranked = np.sort(p, axis=1)[:, ::-1]
    np.testing.assert_allclose(acq.entropy_scores(logits), entropy(p, axis=1), atol=1e-12)
    np.testing.assert_allclose(acq.margin_scores(logits), 1 - (ranked[:, 0] - ranked[:, 1]), atol=1e-12)
    np.testing.assert_allclose(acq.least_confidence_scores(logits), 1 - ranked[:, 0], atol=1e-12)


def test_entropy_of_a_certain_prediction_is_zero():
    assert acq.entropy_scores(np.array([[1e4, 0.0, -1e4]], np.float32)) == pytest.approx(0)


def test_bald_is_the_mutual_information_of_label_and_pass():
    from scipy.special import softmax
    from scipy.stats import entropy

    passes = np.stack([_logits(50, seed=s) for s in range(5)])
    p = softmax(passes.astype(float), axis=2)  # p(label | pass)
    joint = p / len(passes)
    independent = p.mean(axis=0, keepdims=True) / len(passes)
    information = (joint * np.log(joint / independent)).sum(axis=(0, 2))  # KL(joint ‖ product of marginals)
    np.testing.assert_allclose(acq.bald_scores(passes), information, atol=1e-12)
    np.testing.assert_allclose(acq.bald_scores(passes),
                               entropy(p.mean(0), axis=1) - entropy(p, axis=2).mean(0), atol=1e-12)
    assert acq.bald_scores(np.stack([passes[0]] * 5)) == pytest.approx(0, abs=1e-12)


def test_badge_distances_equal_those_of_explicit_outer_products():
    logits, h = _logits(30), _rng(1).normal(size=(30, 7)).astype(np.float32)
    a, h = acq.gradient_factors(logits, h)
    explicit = (a[:, :, None] * h[:, None, :]).reshape(30, -1)  # (N, k·d)
    for row in (0, 13):
        distances = acq.squared_distances(a, h, row, acq.squared_norms(a, h))
        np.testing.assert_allclose(distances, ((explicit - explicit[row]) ** 2).sum(1), rtol=1e-4, atol=1e-5)


def test_badge_embedding_is_the_gradient_of_the_last_layer():
    logits_layer = torch.nn.Linear(5, 3)
    h = torch.randn(4, 5)
    logits = logits_layer(h)
    a, factors = acq.gradient_factors(logits.detach().numpy(), h.numpy())
    for i in range(4):
        logits_layer.zero_grad()
        torch.nn.functional.cross_entropy(logits[i : i + 1], logits[i : i + 1].argmax(1)).backward(retain_graph=True)
        np.testing.assert_allclose(np.outer(a[i], factors[i]), logits_layer.weight.grad.numpy(), atol=1e-6)


def test_kmeans_plus_plus_draws_in_proportion_to_the_squared_distance():
    # three points at 1, 0 and −1 on a line: from the longest, the distances squared are 1 and 4 (or 4 and 1)
    a = np.ones((3, 1), np.float32)
    h = np.array([[1.01], [0.0], [-1.0]], np.float32)
    seconds = [int(acq.kmeans_plus_plus(a, h, 2, _rng(s))[1]) for s in range(2000)]
    assert all(acq.kmeans_plus_plus(a, h, 2, _rng(s))[0] == 0 for s in range(5))
    assert np.mean(np.array(seconds) == 2) == pytest.approx(4.0401 / (4.0401 + 1.0201), abs=0.03)


@given(seed=st.integers(0, 999), copies=st.integers(1, 4), n=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_kmeans_plus_plus_picks_distinct_rows_and_distinct_points_first(seed, copies, n):
    points = _rng(seed).normal(size=(12, 4)).astype(np.float32)
    h, a = np.tile(points, (copies, 1)), np.ones((12 * copies, 1), np.float32)
    picked = acq.kmeans_plus_plus(a, h, n, _rng(seed))
    assert len(set(picked)) == n
    assert len(np.unique(h[picked], axis=0)) == n  # no second copy while a point is left


def test_density_is_the_mean_similarity_to_the_nearest_anchors_and_a_row_is_not_its_own():
    from sklearn.metrics.pairwise import cosine_similarity

    h = _rng(3).normal(size=(60, 8)).astype(np.float32)
    exact = cosine_similarity(h)
    np.fill_diagonal(exact, -np.inf)
    expected = np.sort(exact, axis=1)[:, -5:].mean(axis=1)
    np.testing.assert_allclose(acq.density_scores(h, _rng(), anchors=60, neighbours=5), expected, atol=1e-5)
    far = np.concatenate([np.ones((50, 8)) + 0.1 * h[:50], -np.eye(8)[:1]])
    assert acq.density_scores(far.astype(np.float32), _rng(), anchors=20).argmin() == 50
    assert acq.density_scores(h[:1], _rng()) == [1.0]


def test_text_vectors_are_weighted_sums_of_the_word_table(tiny_bert, toy_pairs):
    model, pool = tiny_bert(), toy_pairs(20)
    table = model.get_input_embeddings().weight.detach().numpy()
    share = np.bincount(pool.ids, minlength=100) / len(pool.ids)
    texts = [pool.ids[pool.offsets[i] : pool.offsets[i + 1]] for i in range(20)]
    expected = np.stack([np.mean([1e-3 / (1e-3 + share[t]) * table[t] for t in text], axis=0) for text in texts])
    np.testing.assert_allclose(acq.text_vectors(model, pool), expected - expected.mean(0), atol=1e-6)


@given(seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_hybrid_text_ranks_by_the_margin(seed):
    logits, density = _logits(200, seed=seed), _rng(seed).random(200)
    picked = acq.hybrid_positions(logits, density, 60, _rng(seed), acq.HYBRID_TEXT)
    scores = acq.margin_scores(logits)
    assert scores[picked].mean() > scores.mean()
    assert (density[picked] >= np.quantile(density, 0.095)).all()


# --- features


def test_features_are_the_logits_and_the_classifiers_input(tiny_bert, toy_pairs):
    model, pairs = tiny_bert(), toy_pairs(30)
    logits, embeddings = features(model, pairs, precision="fp32", batch_size=7)
    weight, bias = (p.detach().numpy() for p in (model.classifier.weight, model.classifier.bias))
    np.testing.assert_allclose(embeddings @ weight.T + bias, logits, atol=1e-5)
    assert logits.dtype == embeddings.dtype == np.float32 and embeddings.shape == (30, 32)
    from seo_core.evaluation import predict

    np.testing.assert_allclose(logits, predict(model, pairs), atol=1e-6)


def test_features_of_another_architecture_come_through_a_hook(toy_pairs):
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=100, dim=32, n_layers=1, n_heads=4, hidden_dim=64, max_position_embeddings=64, num_labels=3))
    pairs = toy_pairs(20)
    pairs_batch = pairs.batch  # DistilBERT knows no segments
    pairs.batch = lambda rows, device=None: {k: v for k, v in pairs_batch(rows, device).items()
                                             if k != "token_type_ids"}
    logits, embeddings = features(model, pairs, precision="fp32")
    weight, bias = (p.detach().numpy() for p in (model.classifier.weight, model.classifier.bias))
    np.testing.assert_allclose(embeddings @ weight.T + bias, logits, atol=1e-5)


def test_features_restore_mode_and_random_stream_and_dropout_follows_the_seed(tiny_bert, toy_pairs):
    model, pairs = tiny_bert().train(), toy_pairs(20)
    before = torch.get_rng_state()
    plain, first, again, other = (features(model, pairs, dropout=d, seed=s)[0]
                                  for d, s in ((False, 0), (True, 1), (True, 1), (True, 2)))
    assert model.training and torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other) and not np.allclose(first, plain)


def test_with_pooled_leaves_forward_as_it_was(tiny_bert, toy_pairs):
    from seo_core.models.fastpath import FastBertClassifier

    model = tiny_bert().eval()
    fast = FastBertClassifier(model).eval()
    batch = toy_pairs(6).batch(range(6))
    batch.pop("labels")
    logits, pooled = fast.with_pooled(**batch)
    assert torch.equal(logits, fast(**batch))
    torch.testing.assert_close(model.classifier(pooled), logits)


# --- the contract of all functions


@pytest.mark.parametrize("name", NAMES)
def test_distinct_in_range_exact_and_by_the_seed(name, tiny_bert, toy_pairs):
    model, pool = tiny_bert(), toy_pairs(60)
    picked = select(name, model, pool, 25, _rng(1))
    assert picked.dtype == np.int64 and picked.shape == (25,)
    assert len(set(picked)) == 25 and picked.min() >= 0 and picked.max() < 60
    np.testing.assert_array_equal(picked, select(name, model, pool, 25, _rng(1)))
    assert set(select(name, model, pool, 60, _rng(1))) == set(range(60))
    if name in ("random", "badge", "hybrid", "hybrid_text", "bald"):
        assert set(picked) != set(select(name, model, pool, 25, _rng(2)))


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_the_pool_cannot_be_seen(name, tiny_bert, toy_pairs, monkeypatch):
    model, pool = tiny_bert(), toy_pairs(40)
    other = replace(pool, labels=(pool.labels + 1) % 3)
    np.testing.assert_array_equal(select(name, model, pool, 9, _rng()), select(name, model, other, 9, _rng()))

    def spy(model, given, n, rng):
        assert (given.labels == -1).all()
        return np.arange(n)

    monkeypatch.setitem(acq.ACQUISITIONS, name, spy)
    select(name, model, pool, 3, _rng())
    assert (pool.labels >= 0).all()


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_the_order_of_the_pool_does_not_matter_to_a_deterministic_score(name, tiny_bert, toy_pairs, monkeypatch):
    logits = _logits(60)
    monkeypatch.setattr(acq, "features", lambda model, pool, **k: (logits[pool.ids[pool.offsets[:-1]]], None))
    pool = toy_pairs(60)
    pool.ids[pool.offsets[:-1]] = np.arange(60)  # the first token says who it is
    order = _rng(5).permutation(60)
    picked = select(name, None, pool, 20, _rng(1))
    shuffled = select(name, None, pool.take(order), 20, _rng(2))
    np.testing.assert_array_equal(picked, order[shuffled])


@given(n=st.integers(1, 30), classes=st.integers(2, 5), seed=st.integers(0, 99), outliers=st.floats(0, 0.9),
       hardest=st.floats(0, 0.9), beta=st.floats(0, 4), balance=st.booleans())
@settings(max_examples=60, deadline=None)
def test_hybrid_keeps_its_contract_for_any_configuration(n, classes, seed, outliers, hardest, beta, balance):
    config = HybridConfig(outliers=outliers, hardest=hardest, beta=beta, balance=balance)
    picked = acq.hybrid_positions(_logits(30, classes, seed), _rng(seed).random(30), n, _rng(seed), config)
    assert picked.shape == (n,) and len(set(picked)) == n and set(picked) <= set(range(30))


def test_hybrid_leaves_outliers_and_the_hardest_to_the_last():
    logits, density = _logits(100), _rng(2).random(100)
    config = HybridConfig(outliers=0.2, hardest=0.25, balance=False)
    order = acq.hybrid_positions(logits, density, 100, _rng(), config)
    inside = np.argsort(density)[20:]
    hardest = inside[np.argsort(-acq.entropy_scores(logits)[inside])[:20]]
    assert set(order[:60]) == set(inside) - set(hardest)


def test_hybrid_balances_the_predicted_classes():
    logits = _logits(300)
    logits[:, 0] += 2  # most are predicted to be class 0
    predicted = logits.argmax(1)
    even, free = (acq.hybrid_positions(logits, _rng(2).random(300), 30, _rng(), HybridConfig(balance=b))
                  for b in (True, False))
    assert np.ptp(np.bincount(predicted[even], minlength=3)) <= 1
    assert np.ptp(np.bincount(predicted[free], minlength=3)) > 1


def test_hybrid_draws_in_proportion_to_the_score():
    # two examples, one of them with twice the score: drawn first in two of three cases with beta 1
    logits = np.array([[0, 0], [0, 0]], np.float32)  # equally uncertain; density ranks 0.25 and 0.75
    config = HybridConfig(outliers=0, hardest=0, balance=False)
    first = [acq.hybrid_positions(logits, np.array([0.1, 0.2]), 1, _rng(s), config)[0] for s in range(2000)]
    assert np.mean(first) == pytest.approx(0.75, abs=0.03)
    uniform = replace(config, beta=0.0)
    first = [acq.hybrid_positions(logits, np.array([0.1, 0.2]), 1, _rng(s), uniform)[0] for s in range(2000)]
    assert np.mean(first) == pytest.approx(0.5, abs=0.04)


def test_equal_scores_are_bought_at_random_and_not_in_the_order_of_the_pool():
    picked = acq._top(np.zeros(1000), 100, _rng())
    assert len(set(picked)) == 100 and 350 < picked.mean() < 650


# --- faults


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows, n, message", [(0, 1, "empty"), (10, 11, "pool has 10"), (10, 0, "1 or more"),
                                              (10, -3, "1 or more")])
def test_what_cannot_be_bought_is_said(name, rows, n, message, tiny_bert, toy_pairs):
    pool = toy_pairs(10).take(range(rows))
    for call in (lambda: select(name, tiny_bert(), pool, n, _rng()),
                 lambda: ACQUISITIONS[name](tiny_bert(), pool, n, _rng())):
        with pytest.raises(SelectionError, match=message):
            call()


@pytest.mark.parametrize("n", [2.5, "2", True, None])
def test_half_an_example_cannot_be_bought(n, toy_pairs):
    with pytest.raises(SelectionError, match="must be 1 or more and a whole number, got "):
        select("random", None, toy_pairs(10), n, _rng())


@pytest.mark.parametrize("name", RANKED)
def test_a_diverged_model_is_named_and_not_ranked(name, tiny_bert, toy_pairs):
    model = tiny_bert()
    with torch.no_grad():
        model.classifier.bias[1] = float("nan")
    with pytest.raises(SelectionError, match="not finite for 20 of 20"):
        select(name, model, toy_pairs(20), 3, _rng())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["one class", "all the same", "certain"])
def test_a_model_that_sees_no_difference_still_gets_n_distinct_examples(name, case, tiny_bert, toy_pairs):
    model, pool = tiny_bert(), toy_pairs(30)
    with torch.no_grad():
        if case != "one class":
            model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0 if case == "all the same" else 1e4, 0.0, 0.0]))
    assert len(set(select(name, model, pool, 30, _rng()))) == 30
    assert len(set(select(name, model, pool, 7, _rng()))) == 7


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(SelectionError, match="did you mean 'entropy'"):
        select("entropie", None, None, 1, _rng())
    with pytest.raises(SelectionError, match="unknown acquisition None"):
        select(None, None, None, 1, _rng())


def test_a_pool_a_generator_or_a_model_of_the_wrong_kind_is_named(tiny_bert, toy_pairs):
    with pytest.raises(SelectionError, match="must be an Encoded, as seo_core.data.encode returns it, not a list"):
        select("entropy", tiny_bert(), ["a text"], 1, _rng())
    with pytest.raises(SelectionError, match=r"np.random.default_rng\(seed\), not 0"):
        select("random", None, toy_pairs(10), 1, 0)
    with pytest.raises(SelectionError, match="the model has one label"):
        select("margin", tiny_bert(num_labels=1), toy_pairs(10), 1, _rng())


@pytest.mark.parametrize("answer", [[0, 0, 1], [0, 1], [0, 1, 99], [-1, 0, 1]])
def test_an_acquisition_of_ones_own_is_held_to_the_contract(answer, toy_pairs):
    with pytest.raises(SelectionError, match="3 distinct positions"):
        select(lambda model, pool, n, rng: np.array(answer), None, toy_pairs(10), 3, _rng())


@pytest.mark.parametrize("wrong", [dict(outliers=1.0), dict(hardest=-0.1), dict(beta=-1.0), dict(neighbours=0),
                                   dict(anchors=0), dict(space="words"), dict(uncertainty="bald"),
                                   dict(beta=float("nan")), dict(neighbours=1.5)])
def test_hybrid_config_refuses_nonsense(wrong):
    with pytest.raises(ValueError):
        HybridConfig(**wrong)


# --- plateau


@pytest.mark.parametrize("curve, flat", [
    ([], False), ([0.5, 0.6, 0.7], False), ([0.5, 0.6, 0.7, 0.8], False), ([0.7, 0.7, 0.7, 0.7], True),
    ([0.5, 0.7, 0.69, 0.702, 0.704], True), ([0.5, 0.7, 0.69, 0.68, 0.706], False),
    ([0.7, float("nan"), float("nan"), float("nan")], True), ([0.8, 0.7, 0.6, 0.5], True)])
def test_plateau(curve, flat):
    assert plateau(curve, window=3, tolerance=0.005) is flat


@given(st.lists(st.floats(0, 1), max_size=12), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_strictly_rising_curve_has_no_plateau_and_a_constant_one_has(values, window):
    rising = np.cumsum(np.abs(values) + 0.02)
    assert not plateau(rising, window=window, tolerance=0.01)
    assert plateau([0.5] * (window + 1), window=window, tolerance=0.0)


def test_plateau_refuses_nonsense():
    with pytest.raises(SelectionError):
        plateau([1.0], window=0)
    with pytest.raises(SelectionError):
        plateau([1.0], tolerance=-1)
    with pytest.raises(SelectionError, match="tolerance"):
        plateau([1.0], tolerance=float("nan"))
    with pytest.raises(SelectionError, match="window"):
        plateau([1.0], window=1.5)


def test_describe_says_what_was_bought():
    logits, density = _logits(100), _rng(2).random(100)
    at = np.argsort(-acq.entropy_scores(logits))[:10]
    table = acq.describe(logits, density, {"entropy": at, "edge": np.argsort(density)[:10]})
    assert table["entropy"].idxmax() == "entropy" and table.loc["edge", "outlying tenth, %"] == 100
    assert table.loc["whole pool", "outlying tenth, %"] == 10 and table["density"].idxmin() == "edge"


# --- cost


@pytest.mark.slow
def test_badge_at_a_pool_of_100_000_stays_below_two_gigabytes_and_is_linear():
    """In a process of its own: the pool's embeddings (d = 384) are 154 MB, an n² matrix would be 40 GB."""
    code = textwrap.dedent("""
        import time
        import numpy as np
        from seo_core.evaluation import peak_memory_bytes
        from seo_core.selection.acquisition import density_scores, gradient_factors, kmeans_plus_plus
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(100_000, 3)).astype(np.float32)
        h = rng.normal(size=(100_000, 384)).astype(np.float32)
        seconds = {}
        for size in (25_000, 100_000):
            a, part = gradient_factors(logits[:size], h[:size])
            kmeans_plus_plus(a, part, 2, rng)
            began = time.process_time()
            picked = kmeans_plus_plus(a, part, 40, rng)
            seconds[size] = time.process_time() - began
            assert len(set(picked)) == 40
        density_scores(h, rng, anchors=256)
        print(seconds[100_000] / seconds[25_000])
        print(peak_memory_bytes())
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ratio, peak = map(float, done.stdout.split())
    assert peak < 2e9
    assert ratio < 10  # four times the pool: 4 where cost is linear, 16 where it is quadratic
