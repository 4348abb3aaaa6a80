"""AIP: steps are kept within T and rolled back beyond it, nothing is half-written, and a killed run goes on."""

import json
import os
import re

import numpy as np
import pytest
import torch

from seo_core.pruning import AdaptiveIterativePruning, AIPConfig, PruningError, encoder_weights, shapes
from seo_core.pruning import aip as module
from seo_core.training import TrainingConfig

TRAINING = TrainingConfig(batch_size=16, precision="fp32", freeze_embeddings=False)
CONFIG = AIPConfig(step=0.2, floor=0.05, target=0.5, recovery=0.25, final=1, budget=3, multiple=4, score_rows=48,
                   learning_rate=1e-3, final_learning_rate=1e-3)


def _config(**changes):
    return AIPConfig(**{**{f: getattr(CONFIG, f) for f in CONFIG.__dataclass_fields__}, **changes})


@pytest.fixture
def run(tiny_bert, toy_pairs):
    """A function running AIP on the toy pairs with P by size of the encoder: measure(share left) -> P."""

    def call(measure, folder=None, model=None, **changes):
        model = model or tiny_bert(dropout=0.1)
        full, seen = encoder_weights(model), []

        def by_share(network):
            seen.append(encoder_weights(network) / full)
            return measure(seen[-1])

        aip = AdaptiveIterativePruning(_config(**changes), training=TRAINING, checkpoint_dir=folder)
        return aip(model, toy_pairs(64), toy_pairs(48, seed=1), measure=by_share), model

    return call


@pytest.mark.trains
def test_it_prunes_until_the_target(run):
    found, model = run(lambda left: 0.8)
    assert 0.5 <= found.removed < 0.6 and found.removed == 1 - encoder_weights(found.model) / encoder_weights(model)
    assert [row["accepted"] for row in found.trace] == [True] * 4 and found.trace[-1]["final"]
    assert found.passes == pytest.approx(3)  # the final training had what three recoveries left of the budget
    assert "3 of 3 steps accepted" in found.statement and not found.unchanged


@pytest.mark.trains
def test_steps_beyond_the_threshold_are_rolled_back_and_halved(run):
    found, _ = run(lambda left: 0.8 if left > 0.6 else 0.7, threshold=1.0)
    steps = [(row["step"], row["accepted"]) for row in found.trace if not row["final"]]
    assert steps[0] == (0.2, True) and {accepted for _, accepted in steps} == {True, False}
    for (step, accepted), (following, _) in zip(steps, steps[1:], strict=False):
        assert following == (step if accepted else step / 2)
    assert steps[-1] == (0.05, False)  # half of it is below the floor
    assert 0.2 <= found.removed < 0.4 and found.accuracy == 0.8
    last = [row for row in found.trace if row["accepted"]][-1]
    assert {k: last[k] for k in ("heads", "neurons")} == shapes(found.model)


@pytest.mark.trains
def test_a_threshold_that_no_step_keeps_returns_the_original(run):
    found, model = run(lambda left: 0.9 if left == 1 else 0.5)
    assert found.model is model and found.unchanged and found.removed == 0
    assert "original network is returned unchanged" in found.statement
    assert [row["accepted"] for row in found.trace] == [False] * 3
    assert found.accuracy == found.start == 0.9


@pytest.mark.trains
def test_the_threshold_is_in_points_and_inclusive(run):
    assert not run(lambda left: 0.9 if left == 1 else 0.88, threshold=2.0)[0].unchanged
    assert run(lambda left: 0.9 if left == 1 else 0.8799, threshold=2.0)[0].unchanged
    assert run(lambda left: 0.9 if left == 1 else 0.8999, threshold=0.0)[0].unchanged


@pytest.mark.trains
def test_the_original_is_never_touched(run, tiny_bert):
    model = tiny_bert()
    before = {n: p.clone() for n, p in model.state_dict().items()}
    run(lambda left: 0.8, model=model)
    assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())


@pytest.mark.trains
def test_the_budget_is_kept(run):
    found, _ = run(lambda left: 0.8, budget=1.6)
    assert found.passes == pytest.approx(1.6) and found.trace[-1]["final"]
    assert len(found.trace) == 3  # two recoveries; a third would not leave one pass for the final training
    rejected, _ = run(lambda left: 0.8 if left == 1 else 0.1, budget=1.6)
    assert rejected.passes == pytest.approx(0.5) and rejected.unchanged


@pytest.mark.trains
def test_a_failed_final_training_is_rolled_back(run):
    calls = []

    def measure(left):
        calls.append(left)
        return 0.8 if len(calls) < 8 else 0.1  # start, twice a step, then the final one

    found, _ = run(measure)
    assert found.trace[-1]["final"] and not found.trace[-1]["accepted"]
    assert found.accuracy == 0.8 and 0.5 <= found.removed < 0.6


@pytest.mark.trains
def test_recovery_sees_other_pairs_each_time_and_the_loss_gets_their_rows(tiny_bert, toy_pairs):
    seen = []

    def loss(model, rows):
        seen.append(rows)
        return lambda logits, batch: torch.nn.functional.cross_entropy(logits, batch["labels"])

    config = _config(target=0.3, step=0.1, recovery=0.5, final=1, budget=2.5)
    AdaptiveIterativePruning(config, training=TRAINING)(tiny_bert(), toy_pairs(64), toy_pairs(48, seed=1),
                                                        measure=lambda m: 0.5, loss=loss)
    first, second, third, final = seen
    assert len(first) == 32 and sorted([*first, *second]) == list(range(64))  # a pass, cut in two
    assert not np.array_equal(first, third) and np.array_equal(final, np.arange(64))


@pytest.mark.trains
def test_p_is_the_accuracy_on_the_acceptance_half(tiny_bert, toy_pairs):
    from seo_core.evaluation import predict

    acceptance, model = toy_pairs(60, seed=2), tiny_bert()
    aip = AdaptiveIterativePruning(_config(threshold=100, target=0.2), training=TRAINING)
    found = aip(model, toy_pairs(32), toy_pairs(48, seed=1), acceptance)
    assert found.start == (predict(model, acceptance, precision="auto").argmax(1) == acceptance.labels).mean()
    assert found.accuracy == (predict(found.model, acceptance, precision="auto").argmax(1) == acceptance.labels).mean()
    with pytest.raises(PruningError, match="acceptance half"):
        aip(model, toy_pairs(32), toy_pairs(48))


@pytest.mark.parametrize("acceptance, measure, words", [
    (lambda pairs: pairs, None, "60 of 60 acceptance pairs have the label −1"),
    (None, lambda network: float("nan"), "P of the network that came in is nan"),
])
def test_a_p_that_cannot_be_measured_is_refused(tiny_bert, toy_pairs, acceptance, measure, words):
    pairs = toy_pairs(60)
    pairs.labels[:] = -1
    with pytest.raises(PruningError, match=words):
        AdaptiveIterativePruning(CONFIG, training=TRAINING)(
            tiny_bert(), toy_pairs(32), toy_pairs(48), acceptance and acceptance(pairs), measure=measure)


def test_without_training_pairs_it_does_not_start(tiny_bert, toy_pairs):
    with pytest.raises(PruningError, match="no training pairs"):
        AdaptiveIterativePruning(CONFIG)(tiny_bert(), toy_pairs(0), toy_pairs(48), measure=lambda network: 0.8)


@pytest.mark.trains
def test_a_step_larger_than_the_units_can_give_is_halved(run, tmp_path):
    found, model = run(lambda left: 0.8, tmp_path, kinds=("heads",), step=0.5)
    steps = [(row["step"], row["accuracy"] is not None) for row in found.trace if not row["final"]]
    assert steps[0] == (0.5, False) and steps[1] == (0.25, True) and steps[-1][0] == 0.0625  # half of it: the floor
    assert 0.25 <= found.removed < 0.5 and "1 of 1 steps accepted" in found.statement
    assert found.series["accuracy"][0] is None and found.series["removed"][0] == 0
    again, _ = run(lambda left: 1 / 0, tmp_path, model=model, kinds=("heads",), step=0.5)
    assert again.trace == found.trace


def test_where_no_step_fits_it_says_so(run):
    found, model = run(lambda left: 0.8, kinds=("heads",), step=0.5, floor=0.4)
    assert found.model is model and found.unchanged and found.passes == 0
    assert "no step, down to 50.0% of the encoder, could be removed as heads" in found.statement
    from seo_core import figures

    figures.trace(found.trace_table, 1.0)


@pytest.mark.trains
def test_layers_can_go_too(run):
    found, _ = run(lambda left: 0.8, kinds=("layers",), step=0.5, target=0.9)
    assert found.model.config.num_hidden_layers == 1
    assert found.removed == pytest.approx(0.5)  # one of two; the last one stays


@pytest.mark.parametrize("changes, words", [
    ({"threshold": -1}, "threshold T must be 0 or more"), ({"threshold": float("nan")}, "threshold T"),
    ({"score": "tailor"}, "did you mean 'taylor'"), ({"kinds": ("head",)}, "did you mean 'heads'"),
    ({"step": 1.0}, "step must be above 0 and below 1"), ({"target": 0}, "target must be above 0"),
    ({"kinds": ()}, "name some of heads"), ({"multiple": 0}, "multiple must be 1 or more"),
    ({"recovery": float("nan")}, "recovery must be 0 or more passes"),
    ({"floor": 0.5}, "floor 0.5 is above the first step"), ({"budget": 1.0}, "does not hold one recovery"),
])
def test_bad_configurations_are_refused(changes, words):
    with pytest.raises(PruningError, match=re.escape(words)):
        _config(**changes)


def test_unknown_keys_raise():
    with pytest.raises(TypeError):
        AIPConfig(treshold=1)


# ---------------------------------------------------------------------------------------------
# Faults


def _equal(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("where", ["remove", "fit", "measure", "save"])
@pytest.mark.trains
def test_a_killed_run_goes_on_and_ends_where_an_unbroken_one_does(run, tmp_path, monkeypatch, where):
    def measure(left):
        return 0.8 if left > 0.65 else 0.7

    whole, _ = run(measure, tmp_path / "whole")
    calls = []

    def broken(original):
        def call(*arguments, **keywords):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return original(*arguments, **keywords)

        return call

    with monkeypatch.context() as patched:
        if where == "remove":
            patched.setattr(module, "remove", broken(module.remove))
        elif where == "fit":
            patched.setattr("seo_core.training._Run.train_step", broken(__import__(
                "seo_core.training", fromlist=["_Run"])._Run.train_step))
        elif where == "save":
            patched.setattr(os, "replace", broken(os.replace))
        with pytest.raises(KeyboardInterrupt):
            run(broken(measure) if where == "measure" else measure, tmp_path / "cut")
    resumed, _ = run(measure, tmp_path / "cut")
    assert resumed.trace == whole.trace and _equal(resumed.model, whole.model)
    again, _ = run(lambda left: 1 / 0, tmp_path / "cut")  # finished: nothing is measured or trained any more
    assert again.trace == whole.trace and _equal(again.model, whole.model)


@pytest.mark.trains
def test_the_folder_holds_one_snapshot_and_its_state(run, tmp_path):
    found, _ = run(lambda left: 0.8 if left > 0.65 else 0.7, tmp_path)
    names = sorted(p.name for p in tmp_path.iterdir())
    state = json.loads((tmp_path / "state.json").read_text())
    assert names == sorted(["state.json", state["snapshot"]])
    assert sorted(p.name for p in (tmp_path / state["snapshot"]).iterdir()) == ["config.json", "model.safetensors"]
    assert state["trace"] == found.trace


@pytest.mark.trains
def test_a_full_disk_leaves_the_step_before(run, tmp_path, monkeypatch):
    def full(model, tokenizer, folder):
        if folder.name == "step-2":
            raise OSError(28, "No space left on device")
        return original(model, tokenizer, folder)

    from seo_core.models import backbone

    original = backbone.save
    with monkeypatch.context() as patched:
        patched.setattr(backbone, "save", full)
        with pytest.raises(PruningError, match="No space left.*the step before is untouched"):
            run(lambda left: 0.8, tmp_path)
    assert json.loads((tmp_path / "state.json").read_text())["snapshot"] == "step-1"
    assert not run(lambda left: 0.8, tmp_path)[0].unchanged


@pytest.mark.trains
def test_a_foreign_or_damaged_checkpoint_is_refused(run, tmp_path):
    run(lambda left: 0.8, tmp_path)
    with pytest.raises(PruningError, match="another configuration"):
        run(lambda left: 0.8, tmp_path, threshold=3.0)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(PruningError, match="cannot be read.*delete that folder"):
        run(lambda left: 0.8, tmp_path)
