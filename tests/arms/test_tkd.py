"""The arms of TKD-NLP: what they need, what they record, equal steps, and what they refuse."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seo_core import load_settings, results
from seo_core.arms import ARMS, LabError, known, open_lab, steps
from seo_core.arms import tkd as arms
from seo_core.data import DataError
from seo_core.models.fastpath import supports

SMALL = {"layers": 2, "hidden": 16, "heads": 2, "neurons": 32}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A lab whose arms are as small as `quick` and these settings make them."""
    settings = load_settings("quick", train_rows=64, development_rows=32, evaluation_rows=24, layers=1, epochs=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab(arms.TKD, settings)


@pytest.fixture(scope="module")
def small(trains):
    """Under it the shape of `quick` is smaller still."""
    before = dict(arms._QUICK)
    arms._QUICK.update(SMALL)
    yield
    arms._QUICK.clear()
    arms._QUICK.update(before)


def test_every_arm_that_was_asked_for_is_there_and_differs_in_what_its_name_says():
    full = ARMS["tkd-kd"].recipe
    assert (full.layers, full.heads, full.temperature, full.weight) == (12, 8, 2.0, 0.5)
    assert full.hidden == ARMS["tkd-pretrained"].recipe.hidden
    changes = {"tkd-no-kd": {"weight": 0.0}, "tkd-temperature-1": {"temperature": 1.0},
               "tkd-temperature-5": {"temperature": 5.0}, "tkd-weight-0.1": {"weight": 0.1},
               "tkd-weight-0.9": {"weight": 0.9}, "tkd-weight-1.0": {"weight": 1.0},
               "tkd-no-pretraining": {"pretrained": False}, "tkd-scratch": {"pretrained": False, "weight": 0.0},
               "tkd-no-residual": {"pretrained": False, "weight": 0.0, "residual": False},
               "tkd-kd-bf16": {"precision": "bf16"}, "tkd-kd-fp32": {"precision": "fp32"},
               "tkd-scratch-rate-5e-5": {"pretrained": False, "weight": 0.0, "learning_rate": 5e-5}}
    for name, changed in changes.items():
        assert ARMS[name].recipe == replace(full, **changed), name
    others = [ARMS[f"tkd-{name}"].recipe for name in ("distilbert", "tinybert")]
    assert all((r.temperature, r.weight, r.learning_rate) == (2.0, 0.5, full.learning_rate) for r in others)
    assert all(r.epochs + r.first_epochs == full.epochs + full.injection_epochs for r in others)


def test_what_an_arm_needs_follows_from_its_recipe():
    def names(name):
        return [arm.name for arm, _ in steps(name)]

    assert names("tkd-kd") == ["base", "tkd-pretrained", "tkd-kd"]
    assert names("tkd-no-kd") == ["tkd-pretrained", "tkd-no-kd"] and names("tkd-scratch") == ["tkd-scratch"]
    assert names("tkd-no-pretraining") == ["base", "tkd-no-pretraining"]
    assert names("tkd-tinybert") == ["base", "tkd-tinybert"]
    assert names("tkd-prune-quant-90") == ["base", "tkd-pretrained", "tkd-kd", "tkd-prune-quant-90"]


@pytest.mark.trains
def test_with_and_without_a_teacher_the_steps_are_equal_and_the_start_is_one(lab, small):
    taught, alone, before = (lab.arm(f"tkd-{name}") for name in ("kd", "no-kd", "pretrained"))
    assert taught.metrics["train_examples"] == alone.metrics["train_examples"] == 2 * 64
    assert taught.record["model"]["start_fingerprint"] == alone.record["model"]["start_fingerprint"]
    assert taught.record["series"]["epoch"] == [1.0, 2.0]
    assert before.metrics["frequency_cross_entropy"] > 0
    assert before.metrics["masked_cross_entropy"] > 0 and len(before.record["series"]["masked_cross_entropy"]) == 1
    assert taught.record["parameters"]["recipe"]["weight"] == 0.5
    assert {"accuracy_matched", "accuracy_development", "size_bytes"} <= set(taught.metrics)
    model = taught.model()
    assert supports(model) and model.config.num_hidden_layers == 2
    with pytest.raises(LabError, match="hidden=32 was asked for, and tkd-pretrained has 16"):
        lab.arm("tkd-kd", knobs={"hidden": 32})


@pytest.mark.trains
def test_squeezed_it_has_fewer_units_and_smaller_files_and_without_pruning_the_same_answers(lab, small):
    taught, rounded = lab.arm("tkd-kd"), lab.arm("tkd-quant")
    runs = [lab.arm("tkd-prune-quant-50", knobs={"share": part}) for part in (0.2, 0.4)]  # of so few there is no more
    sizes = [run.metrics["size_bytes"] for run in (taught, rounded, *runs)]
    assert sizes == sorted(sizes, reverse=True) and sizes[1] < 0.35 * sizes[0]
    assert rounded.metrics["removed"] == 0 and "train_examples" not in rounded.metrics
    assert 0.2 <= runs[0].metrics["removed"] < runs[1].metrics["removed"]
    assert runs[0].metrics["train_examples"] == 64  # a pass
    answers = [results.predictions(run.path)["validation_matched"] for run in (taught, rounded)]
    assert (answers[0] == answers[1]).mean() > 0.8


@pytest.mark.trains
def test_single_weights_at_zero_stay_there_and_the_file_is_as_large_as_before(lab, small):
    taught, run = lab.arm("tkd-kd"), lab.arm("tkd-prune-zeros-50")
    assert run.metrics["sparsity"] == pytest.approx(0.5, abs=0.01) and run.metrics["train_examples"] == 64
    assert run.metrics["size_bytes"] == pytest.approx(taught.metrics["size_bytes"], rel=0.01)
    assert lab.arm("tkd-prune-zeros-90").metrics["sparsity"] == pytest.approx(0.9, abs=0.01)
    assert [arm.name for arm, _ in steps("tkd-prune-zeros-90")][-2:] == ["tkd-kd", "tkd-prune-zeros-90"]


@pytest.mark.trains
def test_precision_is_that_of_both_stages_and_the_default_finds_what_was_recorded_before_it(lab, small, monkeypatch):
    seen, fit = [], arms.fine_tune
    monkeypatch.setattr(arms, "fine_tune", lambda model, train, config, **k: (
        seen.append(config.precision), fit(model, train, config, **k))[1])
    inject = arms.inject
    monkeypatch.setattr(arms, "inject", lambda model, train, soft, how, config, **k: (
        seen.append(config.precision), inject(model, train, soft, how, config, **k))[1])
    run = lab.arm("tkd-kd-fp32")
    assert seen == ["fp32", "fp32"] and run.record["parameters"]["recipe"]["precision"] == "fp32"
    before = lab.arm("tkd-scratch").path
    record = json.loads(before.read_text())
    del record["parameters"]["recipe"]["precision"]  # as one from before there was the field
    older = before.with_name("tkd-scratch-00000000-seed0.json")
    older.write_text(json.dumps(record))
    before.unlink()
    seen.clear()
    assert lab.arm("tkd-scratch").path == older and not seen


@pytest.mark.trains
def test_what_fails_without_residual_connections_is_recorded_too(lab, small):
    run = lab.arm("tkd-no-residual")
    assert "accuracy_matched" in run.metrics and run.weights is None
    assert "start_fingerprint" not in run.record["model"]


@pytest.mark.parametrize("wrong, message", [
    ({"temperature": 0}, "temperature must be above 0"), ({"weight": 1.5}, "weight must be between 0 and 1, got 1.5"),
    ({"precision": "int8"}, "unknown precision 'int8'"), ({"weight": -0.5}, "weight must be between 0 and 1"),
    ({"hidden": 30}, "multiple of the 8 heads"),
    ({"residual": False}, "set pretrained=False too"), ({"temprature": 2.0}, "unknown knob 'temprature'")])
def test_bad_values_are_refused_before_anything_is_made(wrong, message):
    with pytest.raises(ValueError, match=message):
        known("tkd-kd").suited(load_settings("cpu"), wrong)


@pytest.fixture
def stsb(tmp_path):
    """A set in the layout of GLUE's stsb: the score is how many of five words two sentences share."""
    random, words = np.random.default_rng(0), np.array(["red", "green", "blue", "black", "white", "grey"])

    def rows(n):
        first, second = (random.integers(0, 6, (n, 5)) for _ in range(2))
        share = random.uniform(size=(n, 5)) < random.uniform(size=(n, 1))
        second = np.where(share, first, second)
        return pd.DataFrame({"sentence1": [f"{i} {' '.join(words[r])}" for i, r in enumerate(first)],
                             "sentence2": [" ".join(words[r]) for r in second],
                             "label": (first == second).sum(1) - 0.25 * (np.arange(n) % 2) * (first == second).any(1)})

    rows(96).to_parquet(tmp_path / "train.parquet")
    rows(40).to_parquet(tmp_path / "validation.parquet")
    return load_settings("quick", data=str(tmp_path), text="sentence1,sentence2", development_rows=32, train_rows=64,
                         layers=2, epochs=1, results_dir=str(tmp_path / "results"))


@pytest.mark.trains
def test_scores_go_through_the_same_stages_and_are_recorded_by_their_own_metrics(stsb, small):
    lab = open_lab(arms.TKD, stsb)
    run, base = lab.arm("tkd-kd"), lab.arm("base")
    for metrics in (run.metrics, base.metrics):
        assert {"pearson_matched", "spearman_matched", "mse_matched", "pearson_development"} <= set(metrics)
        assert not any(name.startswith(("accuracy", "f1")) for name in metrics)
    assert run.accuracies == {"matched": run.metrics["pearson_matched"]} and run.measure == "pearson"
    kept = results.predictions(run.path)
    assert kept["validation_matched_logits"].shape == (40, 1) and "validation_matched_correct" not in kept
    assert len(run.record["series"]["development_pearson"]) == 2 and not run.record["series"]["train_accuracy"]
    assert lab.arm("tkd-distilbert", knobs={"depth": 1}).metrics["mse_matched"] > 0
    assert lab.arm("tkd-prune-quant-50", knobs={"share": 0.3}).metrics["pearson_matched"] == pytest.approx(
        run.metrics["pearson_matched"], abs=0.5)
    with pytest.raises(LabError, match="has scores, and the arms of 09_pruning learn classes"):
        lab.arm("taylor-60")


def test_other_chapters_refuse_scores_when_they_are_opened(stsb):
    with pytest.raises(DataError, match="is not a class but a score"):
        open_lab("12_distillation", stsb)
