"""Pseudo-labels: thresholds, soft targets, one round of self-training, and no look at a label not bought."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

from seo_core.evaluation import predict
from seo_core.selection.acquisition import SelectionError
from seo_core.selection.pseudo import (
    FIXED,
    SelfTrainingConfig,
    adaptive_pseudo_label,
    class_thresholds,
    pseudo_label,
    quality,
    self_training,
    soft_labels,
    soft_target_loss,
    teacher_logits,
)
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32")
LOGITS = arrays(np.float32, st.tuples(st.integers(0, 30), st.integers(2, 4)),
                elements=st.floats(-8, 8, width=32))


def _logits(n=400, k=3, seed=0, scale=3.0):
    return (np.random.default_rng(seed).normal(size=(n, k)) * scale).astype(np.float32)


def _unlabelled(encoded):
    return replace(encoded, labels=np.full(len(encoded), -1))


# ---------------------------------------------------------------------------------------------
# Thresholds


def test_fixed_threshold_is_its_formula():
    logits = _logits()
    p = torch.softmax(torch.from_numpy(logits).double(), dim=1)
    top, classes = p.max(dim=1)
    found = pseudo_label(logits, threshold=0.9)
    assert found.rows.tolist() == torch.nonzero(top >= 0.9)[:, 0].tolist()
    assert found.labels.tolist() == classes[top >= 0.9].tolist()
    for c in range(3):
        assert found.kept[c] == pytest.approx(float((top[classes == c] >= 0.9).double().mean()))
    assert found.thresholds.tolist() == [0.9] * 3 and found.note == ""


def test_freematch_and_flexmatch_are_their_formulas():
    p = np.array([[0.99, 0.005, 0.005], [0.97, 0.02, 0.01], [0.1, 0.96, 0.04], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]])
    p /= p.sum(axis=1, keepdims=True)
    top, mean = p.max(axis=1), p.mean(axis=0)
    assert class_thresholds(p) == pytest.approx(mean / mean.max() * top.mean())
    # at 0.85 two rows pass with class 0, one with class 1, none with class 2; two do not pass
    beta = np.array([2, 1, 0]) / 2
    assert class_thresholds(p, rule="flexmatch", threshold=0.85) == pytest.approx(beta / (2 - beta) * 0.85)
    # at 0.98 one row passes, four do not: the warm-up divides by the larger number
    assert class_thresholds(p, rule="flexmatch", threshold=0.98) == pytest.approx([0.25 / 1.75 * 0.98, 0, 0])


@pytest.mark.parametrize("rule", ["freematch", "flexmatch"])
def test_thresholds_rise_for_the_classes_the_teacher_finds_easy(rule):
    rng = np.random.default_rng(0)
    sharpness = np.repeat([6.0, 3.0, 1.0], 300)  # class 0 is easy, class 2 hard
    logits = rng.normal(size=(900, 3)) * 0.5
    logits[np.arange(900), np.repeat([0, 1, 2], 300)] += sharpness
    found = adaptive_pseudo_label(logits, rule=rule, threshold=0.9)
    assert found.thresholds[0] > found.thresholds[1] > found.thresholds[2]
    fixed = pseudo_label(logits, threshold=0.9)
    assert found.kept[2] > 10 * fixed.kept[2]  # the hard class is learned too


def test_rows_on_which_the_views_disagree_are_left_out():
    weak, strong = _logits(seed=0), _logits(seed=1)
    alone, both = adaptive_pseudo_label(weak), adaptive_pseudo_label(weak, strong)
    agree = weak.argmax(axis=1) == strong.argmax(axis=1)
    assert both.rows.tolist() == [r for r in alone.rows if agree[r]]
    assert 0 < len(both) < len(alone)
    assert np.array_equal(both.thresholds, alone.thresholds)


@settings(max_examples=60, deadline=None)
@given(logits=LOGITS, rule=st.sampled_from(["freematch", "flexmatch", "fixed"]), seed=st.integers(0, 99))
def test_order_of_the_rows_does_not_matter(logits, rule, seed):
    def choose(z):
        return pseudo_label(z, threshold=0.6) if rule == "fixed" else adaptive_pseudo_label(z, rule=rule)

    order = np.random.default_rng(seed).permutation(len(logits))
    one, other = choose(logits), choose(logits[order])
    top = torch.softmax(torch.from_numpy(logits).double(), dim=1).max(dim=1).values.numpy()
    clear = [r for r in one.rows if abs(top[r] - one.thresholds).min() > 1e-9]
    assert set(clear) <= set(order[other.rows].tolist())
    assert one.thresholds == pytest.approx(other.thresholds)
    by_row = dict(zip(one.rows.tolist(), one.labels.tolist(), strict=True))
    assert all(by_row.get(int(order[r]), c) == c for r, c in zip(other.rows, other.labels, strict=True))


@settings(max_examples=60, deadline=None)
@given(logits=LOGITS, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_higher_threshold_keeps_fewer(logits, low, high):
    low, high = sorted((low, high))
    assert set(pseudo_label(logits, threshold=high).rows) <= set(pseudo_label(logits, threshold=low).rows)


def test_empty_collapsed_and_unsure_teachers_are_explained():
    empty = pseudo_label(np.zeros((0, 3)))
    assert len(empty) == 0 and empty.note == "the pool is empty" and empty.kept.tolist() == [0, 0, 0]
    assert adaptive_pseudo_label(np.zeros((0, 3))).note == "the pool is empty"
    one_class = np.tile([5.0, 0.0, 0.0], (20, 1))
    for found in (pseudo_label(one_class), adaptive_pseudo_label(one_class)):
        assert len(found) == 0 and "gives class 0 to all 20 rows" in found.note
    unsure = pseudo_label(_logits(scale=0.1), threshold=0.95)
    assert len(unsure) == 0 and "lower it, or adapt it" in unsure.note
    assert len(adaptive_pseudo_label(_logits(scale=0.1))) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bad):
    logits = _logits(10)
    logits[3, 1] = bad
    for call in (pseudo_label, adaptive_pseudo_label, soft_labels):
        with pytest.raises(SelectionError, match="not finite in 1 of 10 rows"):
            call(logits)


def test_bad_arguments_are_refused():
    with pytest.raises(SelectionError, match="threshold must be between 0 and 1"):
        pseudo_label(_logits(), threshold=95)
    with pytest.raises(SelectionError, match="threshold must be between 0 and 1, got '0.9'"):
        pseudo_label(_logits(), threshold="0.9")
    with pytest.raises(SelectionError, match="did you mean 'flexmatch'"):
        adaptive_pseudo_label(_logits(), rule="flexmach")
    with pytest.raises(SelectionError, match="both views of the same rows"):
        adaptive_pseudo_label(_logits(10), _logits(9))
    with pytest.raises(SelectionError, match="two classes or more"):
        pseudo_label(np.zeros(7))
    with pytest.raises(SelectionError, match="temperature must be above 0"):
        soft_labels(_logits(), temperature=0)
    with pytest.raises(SelectionError, match="3 positive class shares"):
        soft_labels(_logits(), prior=np.array([0.5, 0.5, 0]))
    with pytest.raises(SelectionError, match="no teacher"):
        teacher_logits([], None)
    for bad in (dict(keep="some"), dict(rule="x"), dict(threshold=2), dict(labelled_share=1), dict(temperature=0)):
        with pytest.raises(ValueError, match=next(iter(bad))):
            SelfTrainingConfig(**bad)


def test_quality_counts_what_was_kept_and_what_was_right():
    logits = np.log(np.array([[0.97, 0.02, 0.01], [0.55, 0.4, 0.05], [0.1, 0.88, 0.02], [0.3, 0.3, 0.4]]))
    metrics, series = quality(logits, pseudo_label(logits, threshold=0.5), np.array([0, 1, 1, 2]), ("a", "b", "c"))
    assert metrics == pytest.approx({
        "teacher_accuracy": 0.75, "pseudo_kept": 0.75, "pseudo_accuracy": 2 / 3, "pseudo_kept_a": 1.0,
        "pseudo_accuracy_a": 0.5, "pseudo_kept_b": 1.0, "pseudo_accuracy_b": 1.0, "pseudo_kept_c": 0.0})
    found = dict(zip(series["threshold"], zip(series["kept_at_threshold"], series["accuracy_at_threshold"],
                                              strict=True), strict=True))
    assert found[0.4] == (1.0, 0.75) and found[0.8] == (0.5, 1.0) and found[0.99] == (0.0, None)
    unknown, _ = quality(logits, pseudo_label(logits, threshold=0.5), np.array([0, -1, 1, -1]), ("a", "b", "c"))
    assert unknown["pseudo_kept"] == 0.75  # of all; what nobody knows is neither right nor wrong
    assert unknown["teacher_accuracy"] == unknown["pseudo_accuracy"] == unknown["pseudo_accuracy_a"] == 1.0


# ---------------------------------------------------------------------------------------------
# Soft targets


def test_soft_labels_are_the_members_mean():
    one, other = _logits(seed=0), _logits(seed=1)
    expected = torch.stack([torch.softmax(torch.from_numpy(z).double() / 2, dim=1) for z in (one, other)]).mean(dim=0)
    assert soft_labels(np.stack([one, other]), temperature=2.0) == pytest.approx(expected.numpy())
    assert soft_labels(one) == pytest.approx(soft_labels([one, one]))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(30, 200))
def test_alignment_reaches_the_class_shares(seed, n):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) + [1.5, 0.0, -1.0]
    prior = rng.dirichlet([5, 5, 5])
    p = soft_labels(logits, prior=prior)
    assert p.sum(axis=1) == pytest.approx(np.ones(n))
    assert p.mean(axis=0) == pytest.approx(prior, abs=2e-4)
    order = rng.permutation(n)
    assert soft_labels(logits[order], prior=prior) == pytest.approx(p[order])


def test_soft_target_loss_is_cross_entropy_for_one_hot_targets_and_its_gradient_is_p_minus_q():
    labels, rows = np.array([0, 2, 1, 1, 0]), torch.tensor([4, 1, 3])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = soft_target_loss(np.eye(3)[labels])
    assert loss(logits, {"rows": rows}).item() == pytest.approx(
        F.cross_entropy(logits, torch.from_numpy(labels[rows])).item(), rel=1e-6)

    q, w = np.random.default_rng(0).dirichlet([1, 1, 1], size=5), np.array([1.0, 0.5, 0.0, 2.0, 1.0])
    soft_target_loss(q, w)(logits, {"rows": rows}).backward()
    p = torch.softmax(logits.detach(), dim=1)
    expected = torch.from_numpy(w[rows][:, None] * (p.numpy() - q[rows]) / 3).float()
    torch.testing.assert_close(logits.grad, expected)


def test_bad_targets_and_weights_are_refused():
    good = np.full((4, 3), 1 / 3)
    for targets, weights in ((good[0], None), (good, np.ones(3)), (good * np.nan, None), (good, -np.ones(4))):
        with pytest.raises(SelectionError, match="targets"):
            soft_target_loss(targets, weights)


# ---------------------------------------------------------------------------------------------
# Self-training


@pytest.mark.parametrize("config", [FIXED, SelfTrainingConfig(), SelfTrainingConfig(keep="all", soft=False)])
def test_rows_of_a_round_are_what_they_say(toy_pairs, config):
    labelled, pool = toy_pairs(20, seed=1), toy_pairs(200, seed=2)
    logits = _logits(200, seed=3)
    step = self_training(logits, labelled, _unlabelled(pool), config=config)
    assert np.array_equal(step.train.labels[:20], labelled.labels)
    assert len(step.added) == len(step.train) - 20
    assert np.array_equal(step.added.labels, step.train.labels[20:])
    repeats = max(1, round(0.25 * len(step.pseudo) / 20))  # labelled rows are a fifth of the epoch, whole repeats
    assert len(step.train) == repeats * 20 + len(step.pseudo)
    texts = labelled.take(np.tile(np.arange(20), repeats)), pool.take(step.pseudo.rows)  # these, in this order
    assert np.array_equal(step.train.ids, np.concatenate([part.ids for part in texts]))
    if not config.soft:
        assert np.array_equal(step.train.labels[repeats * 20 :], step.pseudo.labels)
    assert step.targets.sum(axis=1) == pytest.approx(np.ones(len(step.train)))


@pytest.mark.trains
def test_the_labels_of_the_pool_are_never_read(toy_pairs):
    labelled, pool = toy_pairs(20, seed=1), toy_pairs(100, seed=2)
    found = []
    for labels in (np.full(100, -1), pool.labels, np.full(100, 10**9)):
        hidden = replace(pool, labels=labels)
        logits = teacher_logits([_teacher(labelled)], hidden, precision="fp32")
        step = self_training(logits, labelled, hidden, strong=hidden, strong_logits=logits)
        found.append((step.targets, step.pseudo.rows, step.train.labels, step.train.ids))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def _teacher(labelled):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2,
                                                     num_attention_heads=4, intermediate_size=64, num_labels=3,
                                                     max_position_embeddings=64))
    fit(model, labelled, config=CONFIG, progress=False)
    return model


def test_the_student_reads_the_strong_view(toy_pairs):
    labelled, pool, edited = toy_pairs(20, seed=1), toy_pairs(60, seed=2), toy_pairs(60, seed=3)
    logits = _logits(60, seed=4)
    step = self_training(logits, labelled, _unlabelled(pool), strong=_unlabelled(edited),
                         config=SelfTrainingConfig(keep="all", align=False))
    assert np.array_equal(step.train.take([len(step.train) - 1]).ids, edited.take([59]).ids)
    assert step.targets[-1] == pytest.approx(soft_labels(logits)[59])


def test_a_round_without_pseudo_labels_is_supervised_training(toy_pairs):
    labelled, pool = toy_pairs(20, seed=1), _unlabelled(toy_pairs(60, seed=2))
    for logits in (np.zeros((60, 3)), _logits(60, scale=0.01)):
        step = self_training(logits, labelled, pool, config=FIXED)
        assert len(step.train) == 20 and len(step.added) == 0 and step.pseudo.note
        logits = torch.randn(4, 3)
        batch = {"rows": torch.tensor([3, 0, 19, 7])}
        expected = F.cross_entropy(logits, torch.from_numpy(labelled.labels[batch["rows"]]))
        torch.testing.assert_close(step.loss(logits, batch), expected)
    nothing = self_training(np.zeros((0, 3)), labelled, pool.take([]))
    assert len(nothing.train) == 20 and nothing.pseudo.note == "the pool is empty"


def test_a_class_without_labelled_rows_is_not_aligned(toy_pairs):
    labelled = toy_pairs(30, seed=1)
    labelled = labelled.take(labelled.labels != 2)
    logits = _logits(60)
    step = self_training(logits, labelled, _unlabelled(toy_pairs(60, seed=2)), config=SelfTrainingConfig(keep="all"))
    assert step.targets[-60:] == pytest.approx(soft_labels(logits))


def test_views_of_other_lengths_and_unlabelled_rows_are_refused(toy_pairs):
    labelled, pool = toy_pairs(20), _unlabelled(toy_pairs(60))
    with pytest.raises(SelectionError, match="logits has 59 rows, the unlabelled pairs 60"):
        self_training(_logits(59), labelled, pool)
    with pytest.raises(SelectionError, match="the strong view has 50 rows"):
        self_training(_logits(60), labelled, pool, strong=pool.take(range(50)))
    for wrong in (_unlabelled(labelled), labelled.take([])):
        with pytest.raises(SelectionError, match="labels from 0 to 2"):
            self_training(_logits(60), wrong, pool)


def test_a_teacher_of_another_task_is_named(toy_pairs):
    labelled, pool = toy_pairs(30, seed=1), _unlabelled(toy_pairs(60, seed=2))
    with pytest.raises(SelectionError, match="teacher has 2 labels and the labelled rows 3: use a teacher that was"):
        self_training(_logits(60, k=2), labelled, pool)
    step = self_training(_logits(60, k=5), labelled, pool, config=SelfTrainingConfig(keep="all"))
    with pytest.raises(SelectionError, match="targets have 5 labels and the student 3: use a teacher that was"):
        step.loss(torch.zeros(4, 3), {"rows": torch.arange(4)})


@pytest.mark.trains
def test_a_student_learns_its_teachers_task_from_unlabelled_rows(tiny_bert, toy_pairs):
    """The toy label is a function of one token: a student that never saw a label of the pool finds it."""
    pool, labelled, fresh = toy_pairs(500, seed=2), toy_pairs(12, seed=1), toy_pairs(200, seed=5)
    logits = 4.0 * np.eye(3)[pool.labels]  # a teacher that knows the task
    step = self_training(logits, labelled, _unlabelled(pool))
    student = tiny_bert(dropout=0.0, seed=1)
    fit(student, step.train, config=replace(CONFIG, epochs=8, seed=1), loss=step.loss, progress=False)
    accuracy = (predict(student, fresh).argmax(axis=1) == fresh.labels).mean()
    alone = tiny_bert(dropout=0.0, seed=1)
    fit(alone, labelled, config=replace(CONFIG, epochs=8, seed=1), progress=False)
    assert accuracy > 0.2 + (predict(alone, fresh).argmax(axis=1) == fresh.labels).mean()
