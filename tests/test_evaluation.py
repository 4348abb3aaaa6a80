"""Metrics against reference implementations."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.metrics import confusion_matrix as reference_confusion

from seo_core import evaluation

_logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-8, 8, width=32))


@settings(max_examples=50, deadline=None)
@given(logits=_logits, seed=st.integers(0, 1000))
def test_metrics_equal_scikit_learn(logits, seed):
    labels = np.random.default_rng(seed).integers(0, 3, size=len(logits))
    found = evaluation.classification_metrics(logits, labels)
    predicted = logits.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["f1_macro"] == pytest.approx(f1_score(labels, predicted, labels=[0, 1, 2], average="macro",
                                                       zero_division=0))
    assert found["cross_entropy"] == pytest.approx(log_loss(labels, evaluation.softmax(logits), labels=[0, 1, 2]),
                                                   rel=1e-6, abs=1e-9)
    assert found["perplexity"] == pytest.approx(math.exp(found["cross_entropy"]))
    np.testing.assert_array_equal(evaluation.confusion_matrix(logits, labels),
                                  reference_confusion(labels, predicted, labels=[0, 1, 2]))


def test_perplexity_of_a_guess_is_the_number_of_classes():
    found = evaluation.classification_metrics(np.zeros((9, 3), np.float32), np.arange(9) % 3)
    assert found["perplexity"] == pytest.approx(3.0)


@settings(max_examples=50, deadline=None)
@given(logits=_logits, seed=st.integers(0, 1000))
def test_calibration_error_equals_the_plain_loop(logits, seed):
    labels = np.random.default_rng(seed).integers(0, 3, size=len(logits))
    p = evaluation.softmax(logits)
    confidence, hit = p.max(1), p.argmax(1) == labels
    expected = 0.0
    for b in range(15):
        low, high = b / 15, (b + 1) / 15
        inside = (confidence >= low) & ((confidence < high) if b < 14 else (confidence <= 1))
        if inside.any():
            expected += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert evaluation.expected_calibration_error(logits, labels) == pytest.approx(expected, abs=1e-9)


def test_genres_keep_the_empty_one_apart():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    table = evaluation.accuracy_by_genre(logits, [0, 1, 1, 0], ["fiction", "", "", "fiction"])
    assert table == {"(none)": (0.5, 2), "fiction": (1.0, 2)}


def test_nothing_to_evaluate_is_said():
    with pytest.raises(ValueError, match="empty"):
        evaluation.classification_metrics(np.zeros((0, 3), np.float32), np.zeros(0, int))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_predictions_keep_the_order_and_the_mode(tiny_bert, toy_pairs, precision):
    import torch

    model, pairs = tiny_bert().train(), toy_pairs(50)
    logits = evaluation.predict(model, pairs, batch_size=7, precision=precision)
    assert model.training
    model.eval()
    for row in (0, 17, 49):
        batch = pairs.batch([row])
        batch.pop("labels")
        with torch.no_grad():
            np.testing.assert_allclose(logits[row], model(**batch).logits[0].numpy(),
                                       atol=1e-5 if precision == "fp32" else 0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's VmHWM")
def test_peak_memory_is_that_of_the_process_and_not_of_its_parent():
    ballast = np.ones(400_000_000, np.uint8)  # in this process, before the other one is started
    code = "from seo_core.evaluation import peak_memory_bytes; print(peak_memory_bytes())"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert child < 350_000_000 < len(ballast) < evaluation.peak_memory_bytes()


# --- GLUE's metrics, and scores -------------------------------------------------------------------------------------

@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(3, 40))
def test_metrics_of_two_classes_and_of_scores_equal_the_references(seed, n):
    random = np.random.default_rng(seed)
    logits, labels = random.normal(size=(n, 2)).astype(np.float32), random.integers(0, 2, n)
    found, predicted = evaluation.classification_metrics(logits, labels, names=("no", "yes")), logits.argmax(1)
    assert found["f1"] == found["f1_yes"] == pytest.approx(f1_score(labels, predicted, zero_division=0))
    table = evaluation.confusion_matrix(logits, labels).astype(float)
    product = np.prod([*table.sum(0), *table.sum(1)])
    phi = (table[1, 1] * table[0, 0] - table[1, 0] * table[0, 1]) / np.sqrt(product) if product else 0.0
    assert found["matthews"] == pytest.approx(phi)
    scores = random.uniform(0, 5, n).astype(np.float32)
    of_scores = evaluation.regression_metrics(logits[:, :1], scores)
    ranks = [np.argsort(np.argsort(x)) for x in (logits[:, 0], scores)]
    assert of_scores["pearson"] == pytest.approx(np.corrcoef(logits[:, 0], scores)[0, 1], abs=1e-5)
    assert of_scores["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-6)
    assert of_scores["mse"] == pytest.approx(np.mean((logits[:, 0] - scores) ** 2), rel=1e-4)
    assert evaluation.task_metrics(logits[:, :1], scores) == of_scores
    assert evaluation.metric("matthews", logits, labels) == found["matthews"]


def test_a_constant_answer_has_no_correlation_and_stays_finite():
    truth = np.array([0.5, 2.0, 4.5], np.float32)
    assert evaluation.regression_metrics(np.ones((3, 1), np.float32), truth)["pearson"] == 0.0
    assert evaluation.classification_metrics(np.tile([1.0, 0.0], (4, 1)), np.array([0, 1, 0, 1]))["matthews"] == 0.0


def test_three_classes_have_no_f1_of_one_class_and_metrics_are_asked_for_by_name():
    logits, labels = np.eye(3, dtype=np.float32), np.arange(3)
    assert "f1" not in evaluation.classification_metrics(logits, labels)
    assert evaluation.metric("accuracy", logits, labels) == 1.0
    with pytest.raises(ValueError, match="unknown metric 'mathews'.*did you mean 'matthews'"):
        evaluation.metric("mathews", logits, labels)
    with pytest.raises(ValueError, match="f1 is not a metric of 3 classes: take accuracy, matthews"):
        evaluation.metric("f1", logits, labels)
    with pytest.raises(ValueError, match="accuracy is not a metric of scores: take pearson, spearman"):
        evaluation.metric("accuracy", logits[:, :1], np.array([0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="scores, which have no accuracy"):
        evaluation.classification_metrics(logits, np.array([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="the split is empty"):
        evaluation.regression_metrics(logits[:0, :1], np.zeros(0, np.float32))
