"""SQD: the loss is equation (4), α follows the gap, the trace and the state survive an interruption."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.distillation import (
    DistillationConfig,
    DistillationError,
    SQDConfig,
    SynergisticQuantizationDistillation,
    cached_logits,
    hard_loss,
    select_layers,
    soft_loss,
)
from seo_core.distillation.sqd import SQDLoss, alpha_of
from seo_core.evaluation import predict
from seo_core.quantization import qat
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=3)


@pytest.fixture
def setting(tiny_bert, toy_pairs, tmp_path, trains):
    """A trained teacher of three layers, pairs, its logits on them, and a function making the student."""
    teacher, pairs = tiny_bert(dropout=0.0, seed=1, layers=3), toy_pairs(96)
    fit(teacher, pairs, config=replace(CONFIG, epochs=6, seed=1), progress=False)
    targets = cached_logits(teacher, pairs, tmp_path / "cache")
    return teacher, pairs, targets, lambda: select_layers(tiny_bert(dropout=0.0, seed=4), [0, 1])


@settings(max_examples=50, deadline=None)
@given(gap=st.floats(-5, 5), reference=st.floats(0.01, 1.1), low=st.floats(0, 3), span=st.floats(0, 5))
def test_alpha_lies_between_its_ends_and_grows_with_the_gap(gap, reference, low, span):
    config = SQDConfig(alpha_low=low, alpha_high=low + span)
    alpha = alpha_of(gap, reference, config)
    assert low - 1e-9 <= alpha <= low + span + 1e-9
    assert alpha_of(gap + 0.1, reference, config) >= alpha
    assert alpha_of(0.0, reference, config) == low
    assert alpha_of(reference, reference, config) == pytest.approx(low + span)


def _loss(setting, config, steps=24):
    teacher, pairs, targets, make = setting
    student = qat.attach(make().eval(), calibrate(make().eval(), pairs, CalibrationConfig(weight_bits=7)))
    return student, SQDLoss(student, pairs, targets, config=config, steps=steps)


def test_the_loss_is_equation_four(setting):
    _, pairs, targets, _ = setting
    config = SQDConfig(alpha_low=3.0, alpha_high=3.0, error=10.0, distillation=DistillationConfig(temperature=2.0))
    student, loss = _loss(setting, config)
    batch = pairs.batch(range(8)) | {"rows": torch.arange(8)}
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    expected = (hard_loss(logits, batch["labels"]) + 10 * student.quantizer.error(student, [loss.maps[0]])
                + 3 * soft_loss(logits, torch.from_numpy(targets[:8]), 2.0))
    torch.testing.assert_close(loss(logits, batch), expected)


def test_alpha_falls_as_the_student_catches_up_and_rises_as_it_falls_back(setting):
    _, pairs, targets, _ = setting
    config = SQDConfig(alpha_low=1.0, alpha_high=4.0, smoothing=0.5)
    _, loss = _loss(setting, config)
    assert loss.alpha == pytest.approx(4.0)  # nothing is known yet
    batch, teacher = pairs.batch(range(8)) | {"rows": torch.arange(8)}, torch.from_numpy(targets[:8])

    def follow(logits, times=12):
        seen = []
        for _ in range(times):
            loss(logits, batch)
            seen.append(loss.alpha)
        return seen

    down = follow(teacher.clone())
    assert all(a >= b for a, b in zip(down, down[1:], strict=False)) and down[-1] == pytest.approx(1.0, abs=0.01)
    up = follow(torch.zeros(8, 3))
    assert all(a <= b for a, b in zip(up, up[1:], strict=False)) and up[-1] > 2
    unlabelled = {**batch, "labels": torch.full((8,), -1)}
    before = loss.alpha
    loss(teacher.clone(), unlabelled)
    assert loss.alpha == before  # a batch without labels says nothing of the gap
    loss.eval()(teacher.clone(), batch)
    assert loss.alpha == before


def test_it_returns_a_network_that_is_its_scales(setting):
    teacher, pairs, targets, make = setting
    found = SynergisticQuantizationDistillation(SQDConfig())(
        make(), pairs, targets, training=replace(CONFIG, epochs=8), development=pairs)
    logits = predict(found.model, pairs)
    assert np.mean(logits.argmax(1) == pairs.labels) > 0.6
    assert found.scales.weight_bits == 7  # eight bits by pairs would not outlast training
    again = qat.attach(qat.detach(found.model), found.scales)
    assert np.mean(predict(again, pairs).argmax(1) == logits.argmax(1)) >= 0.97
    lengths = {len(v) for v in found.trace.values()}
    assert set(found.trace) == {"epoch", "alpha", "gap", "loss_q", "loss_kd", "error"} and lengths == {24}
    assert found.trace["epoch"][-1] == pytest.approx(8) and np.isfinite(found.trace["loss_kd"]).all()
    assert found.trace["alpha"][-1] < found.trace["alpha"][0]
    assert len(found.training.series["development_accuracy"]) == 8


def test_hidden_states_and_relations_can_be_part_of_it(setting):
    teacher, pairs, targets, make = setting
    parts = DistillationConfig(hidden=1.0, relations=1.0, relation_heads=4)
    found = SynergisticQuantizationDistillation(SQDConfig(distillation=parts))(
        make(), pairs, targets, training=replace(CONFIG, epochs=1), teacher=teacher)
    assert np.isfinite(found.trace["loss_kd"]).all()


def test_a_resumed_run_ends_at_the_same_network_and_trace(setting, tmp_path):
    _, pairs, targets, make = setting

    def run(folder=None, stop=None, monkey=None):
        def halt(event, state):
            if event == "step" and state.step == stop:
                raise KeyboardInterrupt

        student = qat.attach(make().eval(), calibrate(make().eval(), pairs, CalibrationConfig(weight_bits=7)))
        loss = SQDLoss(student, pairs, targets, config=SQDConfig(), steps=24)
        fit(student, pairs, config=CONFIG, loss=loss, checkpoint_dir=folder, callbacks=[halt], progress=False)
        return student.state_dict(), loss.trace(2)

    weights, trace = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", stop=10)
    again, trace_again = run(tmp_path / "run")
    assert trace == trace_again
    for name, value in weights.items():
        assert torch.equal(value, again[name]), name


def test_what_cannot_be_is_refused(setting):
    _, pairs, targets, make = setting
    nothing = replace(pairs, labels=pairs.labels * 0 - 1)
    with pytest.raises(DistillationError, match="no row of the training set is labelled"):
        SynergisticQuantizationDistillation()(make(), nothing, targets, training=CONFIG)
    for wrong in (dict(alpha_low=2, alpha_high=1), dict(alpha_low=-1), dict(smoothing=1.0), dict(error=-1),
                  dict(alpha_high=float("inf"))):
        with pytest.raises(ValueError, match="must be"):
            SQDConfig(**wrong)
