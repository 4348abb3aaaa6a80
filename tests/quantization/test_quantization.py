"""Integers: the scheme, calibration, the exported graph against torch and numpy, vocabulary, runners."""

import json
import subprocess
import sys
from collections import Counter
from copy import deepcopy

import numpy as np
import onnx
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

import seo_core
from seo_core.deploy.runners import OnnxRunner, RunnerError, runner
from seo_core.evaluation import predict
from seo_core.machine import cpu_support
from seo_core.quantization import (
    CalibrationConfig,
    ExportConfig,
    QuantizationError,
    Scales,
    calibrate,
    emulate,
    export_onnx,
    library_export,
    parity,
    scheme,
    token_counts,
    trim,
    unknown_rate,
)
from seo_core.quantization.calibration import observed_maps
from seo_core.quantization.export import MASKED, bytes_by_part
from seo_core.quantization.scheme import linear_maps

MATRICES = hnp.arrays(np.float32, (3, 32), elements=st.floats(-50, 50, width=32))


@pytest.fixture
def spread_bert(tiny_bert):
    """A tiny BERT whose weights are large enough for its logits to differ from text to text."""

    def make(model=None, seed=0, gain=3.0):
        model = model or tiny_bert(seed=seed)
        torch.manual_seed(seed + 100)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(gain) if p.ndim > 1 else p.add_(0.1 * torch.randn_like(p))
        return model.eval()

    return make


@pytest.fixture
def compact(spread_bert):
    """A compact BERT: one and three heads of eight, 20 and 45 neurons."""
    from seo_core.models.compact import CompactBertConfig, CompactBertForSequenceClassification

    torch.manual_seed(5)
    return spread_bert(CompactBertForSequenceClassification(CompactBertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, num_labels=3, layer_heads=[1, 3], layer_ffn=[20, 45], head_size=8)))


# ---------------------------------------------------------------------------------------------
# The scheme


@given(MATRICES)
@settings(max_examples=40, deadline=None)
def test_integers_are_the_nearest_and_numpy_and_torch_agree(w):
    scale = scheme.weight_scales(w)
    q = scheme.quantize_weight(w, scale)
    assert q.dtype == np.int8 and np.abs(q.astype(int)).max() <= 127 and (scale > 0).all()
    assert (np.abs(scheme.dequantize_weight(q, scale) - w) <= scale[:, None] * 0.5001).all()
    ours = scheme.quantize_weight(torch.from_numpy(w), scheme.weight_scales(torch.from_numpy(w)))
    np.testing.assert_array_equal(ours.numpy(), q)
    for bits in (32, 8, 4):
        np.testing.assert_array_equal(scheme.quantized_table(torch.from_numpy(w), bits).numpy(),
                                      scheme.quantized_table(w, bits))


def _in_pairs(q_x: np.ndarray, q_w: np.ndarray) -> np.ndarray:
    """q_x (…, in) uint8 times q_w (out, in) int8 as CPUs without VNNI have it (vpmaddubsw, vpmaddwd): the sum of two
    neighbouring products is kept in 16 bits, and cut off at its ends."""
    products = q_x[..., None, :].astype(np.int64) * q_w.astype(np.int64)
    return products.reshape(*products.shape[:-1], -1, 2).sum(-1).clip(-(2**15), 2**15 - 1).sum(-1)


@given(MATRICES, hnp.arrays(np.uint8, (5, 32)))
@example(np.full((3, 32), 50, np.float32), np.full((5, 32), 255, np.uint8))
@settings(max_examples=40, deadline=None)
def test_weights_of_seven_bits_cannot_saturate(w, q_x):
    scale = scheme.weight_scales(w, 7)
    for steps in (scale, scale / 3):  # the latter, as training may, clips
        q = scheme.quantize_weight(w, steps, 7)
        np.testing.assert_array_equal(_in_pairs(q_x, q), q_x.astype(np.int64) @ q.T.astype(np.int64))
    back = scheme.dequantize_weight(scheme.quantize_weight(w, scale, 7), scale)
    assert (np.abs(back - w) <= scale[:, None] * 0.5001).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_sum_overflows_with_scales_by_pairs(data):
    """Any weights, by the arithmetic of a CPU without VNNI; never coarser than 7 bits, 8 bits where a row allows it."""
    rows, width = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    hundredths = st.integers(-400, 400).map(lambda whole: whole / 100)
    w = data.draw(hnp.arrays(float, (rows, width), elements=hundredths)).astype(np.float32)
    q_x = data.draw(hnp.arrays(np.uint8, (3, width)))
    steps, wide = scheme.pair_scales(w), width // 2 * 2
    q = scheme.quantize_weight(w, steps)
    assert not scheme.overflows(q)
    np.testing.assert_array_equal(_in_pairs(q_x[:, :wide], q[:, :wide]),
                                  q_x[:, :wide].astype(np.int64) @ q[:, :wide].T.astype(np.int64))
    assert (scheme.weight_scales(w) <= steps * (1 + 1e-6)).all() and (steps <= scheme.weight_scales(w, 7) * 1.01).all()
    np.testing.assert_array_equal(steps, scheme.pair_scales(torch.tensor(w)).numpy())
    alternating = np.abs(w) * (-1.0) ** np.arange(width, dtype=np.float32)
    np.testing.assert_allclose(scheme.pair_scales(alternating), scheme.weight_scales(alternating), rtol=1e-6)


@pytest.mark.slow
def test_whether_a_file_overflows_is_read_off_its_weights(spread_bert, toy_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("seo_core.deploy.runners.cpu_support", lambda: {"vnni": False})
    model, texts, said = spread_bert(), toy_pairs(64), {}
    for name, config in {"pairs": CalibrationConfig(weight_bits=8, pairs=True), "default": CalibrationConfig(),
                         "8": CalibrationConfig(weight_bits=8, pairs=False),
                         "7": CalibrationConfig(weight_bits=7)}.items():
        path = export_onnx(model, tmp_path / "m.onnx", ExportConfig(weight_bits=config.weight_bits),
                           scales=calibrate(model, texts, config))
        said[name] = OnnxRunner(path).export["overflows"]
    assert said == {"pairs": False, "default": False, "8": True, "7": False}
    for wrong in ({"pairs": True, "weight_bits": 7}, {"pairs": True, "weight_bits": 8, "per_channel": False},
                  {"per_channel": False}):  # by default too: 8 bits that saturate have to be asked for
        with pytest.raises(QuantizationError, match="pairs is for weights of 8 bits with a scale per channel"):
            CalibrationConfig(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
@pytest.mark.parametrize("kind", ["bert", "compact"])
def test_rounding_by_default_says_the_same_everywhere(kind, operators, spread_bert, compact, toy_pairs, tmp_path):
    """The file's own integers by the arithmetic of a CPU without VNNI; in a plain session, the network's classes."""
    import onnxruntime

    model, texts, rng = compact if kind == "compact" else spread_bert(), toy_pairs(400), np.random.default_rng(0)
    scales = calibrate(model, texts)
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig(operators=operators), scales=scales)
    most, names = 0, list(linear_maps(model))
    for tensor in onnx.load(path).graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and tensor.name.removesuffix(".weight") in names:
            q = numpy_helper.to_array(tensor).T  # (out, in)
            q, most = q[:, : q.shape[1] // 2 * 2], max(most, int(np.abs(q.astype(int)).max()))
            for q_x in (255 * (q > 0), 255 * (q < 0), rng.integers(0, 256, (20, q.shape[1]))):
                np.testing.assert_array_equal(_in_pairs(q_x, q), q_x @ q.T.astype(np.int64))
    assert 64 < most <= 127 and scales.weight_bits == 8
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = texts.arrays(np.arange(len(texts)))
    found = session.run(None, {each.name: batch[each.name] for each in session.get_inputs()})[0]
    assert np.mean(found.argmax(1) == predict(emulate(model, scales), texts).argmax(1)) >= 0.995
    assert np.mean(found.argmax(1) == predict(model, texts).argmax(1)) >= 0.9


def test_weights_of_eight_bits_saturate():
    q_x, q_w = np.full((1, 4), 255, np.uint8), np.full((1, 4), 127, np.int8)
    assert _in_pairs(q_x, q_w) == 2 * (2**15 - 1) < q_x.astype(int) @ q_w.T.astype(int)


@pytest.mark.parametrize("precision", ["int8-static", "int8-dynamic"])
@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
def test_the_file_has_the_bits_that_were_asked_for(precision, operators, spread_bert, toy_pairs, tmp_path):
    model, pairs, most = spread_bert(), toy_pairs(64), {}
    for bits in (7, 8):
        scales = calibrate(model, pairs, CalibrationConfig(weight_bits=bits, pairs=False))
        path = export_onnx(model, tmp_path / "m.onnx", ExportConfig(precision, weight_bits=bits, operators=operators),
                           scales=scales)
        most[bits] = max(np.abs(numpy_helper.to_array(t).astype(int)).max() for t in onnx.load(path).graph.initializer
                         if t.data_type == onnx.TensorProto.INT8 and t.name.startswith(("bert.encoder", "bert.pooler")))
        assert OnnxRunner(path).export["weight_bits"] == bits
    assert most == {7: 64, 8: 127}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8-static", "int8-dynamic"])
@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
def test_weights_of_four_bits_share_bytes_in_the_file_and_say_what_was_emulated(precision, operators, spread_bert,
                                                                                toy_pairs, tmp_path):
    model, pairs, sizes = spread_bert(), toy_pairs(64), {}
    for bits in (4, 7):
        scales = calibrate(model, pairs, CalibrationConfig(weight_bits=bits))
        path = export_onnx(model, tmp_path / f"{bits}.onnx", ExportConfig(precision, weight_bits=bits,
                                                                          operators=operators), scales=scales)
        parts = bytes_by_part(path)
        sizes[bits] = parts["encoder"] + parts["pooler and classifier"]
        if precision == "int8-static":
            same = parity(predict(emulate(model, scales), pairs), OnnxRunner(path), pairs)
            assert same["max_logit_difference"] < 1e-3
    weights = sum(module.weight.numel() for module in scheme.linear_maps(model).values())
    assert 0.98 * weights / 2 <= sizes[7] - sizes[4] <= weights / 2  # but for the constants of the unpacking
    assert OnnxRunner(tmp_path / "4.onnx").export["overflows"] is False


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_scales_of_four_bits_have_no_larger_error_than_those_of_the_largest_weight(seed):
    w = np.random.default_rng(seed).standard_t(3, (6, 40)).astype(np.float32)
    w[0] = 0
    steps, largest = scheme.weight_scales(w, 4), np.where(np.abs(w).max(1) > 0, np.abs(w).max(1) / 7, 1)
    errors = [((scheme.dequantize_weight(scheme.quantize_weight(w, s, 4), s) - w) ** 2).sum(1)
              for s in (steps, largest)]
    assert (errors[0] <= errors[1] * (1 + 1e-5)).all() and (errors[0] < errors[1]).any() and steps[0] > 0
    np.testing.assert_allclose(scheme.weight_scales(torch.tensor(w), 4).numpy(), steps, rtol=1e-5)


@pytest.mark.parametrize("bits, other", [(7, 8), (8, 7)])
def test_the_bits_are_those_of_the_scales_and_others_are_refused(bits, other, spread_bert, toy_pairs, tmp_path):
    model = spread_bert()
    path, scales = tmp_path / "m.onnx", calibrate(model, toy_pairs(64), CalibrationConfig(weight_bits=bits))
    with pytest.raises(QuantizationError, match=f"are for weights of {bits} bits, the export asks for {other}"):
        export_onnx(model, path, ExportConfig(weight_bits=other), scales=scales)
    assert not path.exists()
    for config in (None, ExportConfig(), ExportConfig(weight_bits=bits)):
        assert OnnxRunner(export_onnx(model, path, config, scales=scales)).export["weight_bits"] == bits
    dynamic = OnnxRunner(export_onnx(model, path, ExportConfig("int8-dynamic"), scales=scales)).export
    assert dynamic["weight_bits"] == 7 and not dynamic["overflows"]  # no scales there, of the weights alone
    with pytest.raises(QuantizationError, match="weight_bits"):
        ExportConfig(weight_bits=6)


def test_scales_written_before_there_was_a_choice_have_eight_bits(tmp_path):
    from safetensors.numpy import load_file, save_file

    path = Scales({"a": (0.5, 3)}, {"a": np.ones(2, np.float32)}).save(tmp_path / "scales")
    assert Scales.load(path).weight_bits == 7
    save_file(load_file(path), path, {"activation": '{"a": [0.5, 3]}', "embedding_bits": "8"})
    assert Scales.load(path).weight_bits == 8


@pytest.mark.slow
@pytest.mark.parametrize("vnni, bits, slower", [(False, 7, False), (False, 8, True), (True, 8, False)])
def test_only_what_may_saturate_here_takes_the_slower_product(vnni, bits, slower, spread_bert, toy_pairs, tmp_path,
                                                              monkeypatch):
    monkeypatch.setattr("seo_core.deploy.runners.cpu_support", lambda: {"vnni": vnni})
    model = spread_bert()
    scales = calibrate(model, toy_pairs(64), CalibrationConfig(weight_bits=bits, pairs=False))
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig(weight_bits=bits), scales=scales)
    options = OnnxRunner(path).session.get_session_options()
    if slower:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")


@given(st.floats(-1e3, 1e3, width=32), st.floats(0, 1e3, width=32), st.integers(0, 10**6))
@example(0.0, 2.1043975374909065e-34, 0)  # narrow, and a range
@example(0.0, 2.9e-36, 0)  # its step is no normal number
@settings(max_examples=60, deadline=None)
def test_activations_keep_zero_and_stay_within_half_a_step(low, width, seed):
    covered = max(low + width, 0) - min(low, 0)
    if np.float32(covered / 255) < np.finfo(np.float32).tiny:
        with pytest.raises(QuantizationError, match="no activation range"):
            scheme.activation_parameters(low, low + width)
        return
    scale, zero = scheme.activation_parameters(low, low + width)
    x = np.random.default_rng(seed).uniform(low, low + width, 50).astype(np.float32)
    back = scheme.dequantize_activation(scheme.quantize_activation(x, scale, zero), scale, zero)
    # half a step, and the same again at the ends, where the zero point was rounded
    assert np.abs(back - x).max() <= 1.01 * scale
    q = scheme.quantize_activation(np.zeros(1, np.float32), scale, zero)
    assert scheme.dequantize_activation(q, scale, zero)[0] == 0
    tensor = scheme.quantize_activation(torch.from_numpy(x), scale, zero)
    np.testing.assert_array_equal(tensor.numpy(), scheme.quantize_activation(x, scale, zero))


@given(hnp.arrays(np.int8, (4, 16), elements=st.integers(-8, 7)))
@settings(max_examples=30, deadline=None)
def test_four_bits_are_packed_and_unpacked(q):
    packed = scheme.pack_int4(q)
    assert packed.nbytes * 2 == q.size
    unpacked = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int8) - np.int8(8)  # low bits: left half
    np.testing.assert_array_equal(unpacked, q)


def test_rounding_is_half_to_even_as_in_onnx():
    q = scheme.quantize_activation(np.array([0.5, 1.5, 2.5, -0.5], np.float32), 1.0, 10)
    assert q.tolist() == [10, 12, 12, 10]


def test_scales_are_checked_and_come_back_from_a_file(tmp_path):
    scales = Scales({"a": (0.25, 3)}, {"a": np.array([1.0, 2.0], np.float32)}, 4)
    back = Scales.load(scales.save(tmp_path / "scales.safetensors"))
    assert back.activation == scales.activation and back.embedding_bits == 4
    np.testing.assert_array_equal(back.weight["a"], scales.weight["a"])
    assert [p.name for p in tmp_path.iterdir()] == ["scales.safetensors"]
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(QuantizationError, match="holds no scales"):
        Scales.load(tmp_path / "other")
    for wrong in (dict(activation={"a": (0.0, 3)}), dict(activation={"a": (1.0, 256)}), dict(embedding_bits=5),
                  dict(weight={"a": np.array([1.0, -1.0])}), dict(weight={"a": np.array([[1.0]])})):
        with pytest.raises(QuantizationError):
            Scales(**wrong)


# ---------------------------------------------------------------------------------------------
# Calibration


def test_ranges_are_those_of_real_tokens(spread_bert, toy_pairs):
    model, pairs = spread_bert(), toy_pairs(24)
    seen = {}

    def hook(module, inputs):  # one text at a time: no padding
        x = inputs[0].detach()
        low, high = seen.get("range", (0.0, 0.0))
        seen["range"] = (min(low, float(x.min())), max(high, float(x.max())))

    name = "bert.encoder.layer.0.intermediate.dense"
    handle = model.get_submodule(name).register_forward_pre_hook(hook)
    with torch.no_grad():
        for i in range(len(pairs)):
            batch = pairs.batch([i])
            batch.pop("labels")
            model(**batch)
    handle.remove()
    scales = calibrate(model, pairs, CalibrationConfig("minmax", batch_size=7))
    scale, zero = scheme.activation_parameters(*seen["range"])
    assert scales.activation[name] == (pytest.approx(scale, rel=1e-5), zero)
    assert set(scales.activation) == set(observed_maps(model)) and set(scales.weight) == set(linear_maps(model))
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_the_last_layer_is_calibrated_on_what_is_read_of_it(spread_bert, toy_pairs):
    model, pairs = spread_bert(), toy_pairs(16)
    found = {}

    def hook(module, inputs):
        found["first"] = inputs[0][:, 0].aminmax()

    name = "bert.encoder.layer.1.intermediate.dense"
    model.get_submodule(name).register_forward_pre_hook(hook)
    batch = pairs.batch(np.arange(16))
    batch.pop("labels")
    with torch.no_grad():
        model(**batch)
    scales = calibrate(model, pairs, CalibrationConfig("minmax"))
    assert scales.activation[name][0] == pytest.approx(scheme.activation_parameters(*map(float, found["first"]))[0],
                                                       rel=1e-4)


def test_methods_clip_as_they_say(tiny_bert, toy_pairs):
    from seo_core.quantization.calibration import BINS, _mse_range, _percentile_range

    counts = np.zeros(BINS)
    counts[BINS // 2 - 100: BINS // 2 + 100] = 1000.0  # nearly everything near 0 …
    counts[-1] = 1.0  # … and one outlier at 10
    config = CalibrationConfig("percentile", percentile=99.9)
    low, high = _percentile_range(counts, -10.0, 10.0, config)
    assert -1.05 < low < -0.9 and 0.9 < high < 1.05
    assert _percentile_range(counts, -10.0, 10.0, CalibrationConfig("percentile", percentile=100))[1] == 10.0
    wide = _mse_range(counts, -10.0, 10.0, config)
    assert wide[1] - wide[0] < 20
    even = np.ones(BINS)
    assert _mse_range(even, -1.0, 1.0, config) == pytest.approx((-1.0, 1.0), abs=0.06)


def test_every_method_gives_usable_scales(spread_bert, toy_pairs):
    model, pairs = spread_bert(), toy_pairs(48)
    reference = predict(model, pairs)
    for method in ("minmax", "percentile", "mse"):
        found = predict(emulate(model, calibrate(model, pairs, CalibrationConfig(method))), pairs)
        assert np.abs(found - reference).max() < 0.2 * np.abs(reference).max(), method


def test_no_calibration_text_is_an_error_and_labels_are_not_read(spread_bert, toy_pairs):
    from dataclasses import replace

    model, pairs = spread_bert(), toy_pairs(8)
    with pytest.raises(QuantizationError, match="calibration set is empty"):
        calibrate(model, pairs.take([]))
    sealed = replace(pairs, labels=np.full(8, -1))
    assert calibrate(model, sealed).activation == calibrate(model, pairs).activation
    with pytest.raises(QuantizationError, match="method must be one of"):
        CalibrationConfig("best")
    with torch.no_grad():
        model.bert.encoder.layer[0].intermediate.dense.weight.fill_(float("nan"))
    with pytest.raises(QuantizationError, match="not finite"):
        calibrate(model, pairs)


# ---------------------------------------------------------------------------------------------
# Export: parity


@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
@pytest.mark.parametrize("kind", ["bert", "compact"])
def test_fp32_is_the_same_function_as_torch(kind, operators, spread_bert, compact, toy_pairs, tmp_path):
    model, pairs = compact if kind == "compact" else spread_bert(), toy_pairs(40)
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32", 32, operators=operators))
    run = OnnxRunner(path, threads=1)
    assert parity(model, run, pairs)["max_logit_difference"] < 1e-5
    assert np.array_equal(run.logits(pairs, batch_size=3).argmax(1), run.logits(pairs).argmax(1))
    alone = np.concatenate([run.logits(pairs.take([i])) for i in range(5)])  # no padding at all
    np.testing.assert_allclose(alone, run.logits(pairs)[:5], atol=1e-5)
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx"}


@pytest.mark.parametrize("bits", [32, 8, 4])
@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
def test_static_int8_is_its_emulation(operators, bits, spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert(), toy_pairs(400, seed=1)
    scales = calibrate(model, toy_pairs(64), CalibrationConfig(embedding_bits=bits))
    config = ExportConfig("int8-static", bits, operators=operators)
    path = export_onnx(model, tmp_path / "m.onnx", config, scales=scales)
    report = parity(emulate(model, scales), OnnxRunner(path, threads=1), pairs)
    assert report["agreement"] >= 0.995
    assert report["mean_logit_difference"] < 0.02 * np.abs(predict(model, pairs)).max()


def test_static_int8_of_a_compact_network_is_its_emulation_and_does_not_depend_on_padding(compact, toy_pairs, tmp_path):
    pairs, scales = toy_pairs(200), calibrate(compact, toy_pairs(64))
    run = OnnxRunner(export_onnx(compact, tmp_path / "m.onnx", scales=scales), threads=1)
    assert parity(emulate(compact, scales), run, pairs)["agreement"] >= 0.995
    batch = pairs.arrays(np.arange(8))
    wider = {k: np.pad(v, ((0, 0), (0, 9))) for k, v in batch.items() if k != "labels"}
    np.testing.assert_allclose(run.run(wider), run.run(batch), atol=1e-5)


def test_what_stands_in_padded_positions_changes_no_bit_and_leaves_no_denormal(compact, toy_pairs, tmp_path):
    batch = {k: v for k, v in toy_pairs(8).arrays(np.arange(8)).items() if k != "labels"}
    wider = {k: np.pad(v, ((0, 0), (0, 40))) for k, v in batch.items()}
    noise = np.random.default_rng(0).integers(5, 100, wider["input_ids"].shape)
    noise = {**wider, "input_ids": np.where(wider["attention_mask"], wider["input_ids"], noise)}
    run = OnnxRunner(export_onnx(compact, tmp_path / "m.onnx", scales=calibrate(compact, toy_pairs(64))), threads=1)
    assert np.array_equal(run.run(noise), run.run(wider))
    for name in ("reference", "reference-small"):
        shipped = seo_core.load(name)
        assert np.array_equal(shipped.run(noise), shipped.run(wider))
        masked = next(t for t in onnx.load(shipped.path).graph.initializer if t.name == "masked")
        assert numpy_helper.to_array(masked) == np.float32(MASKED)
    one, apart = np.float32(1), 30  # how far scores lie from the largest, either way
    assert one + np.exp(np.float32(MASKED + apart)) == one
    assert np.exp(np.float32(MASKED - apart)) > np.finfo(np.float32).tiny


def test_one_linear_map_in_integers_is_the_schemes_formula(spread_bert, toy_pairs, tmp_path):
    """The pooler by hand: s_x s_w Σ (q_x − z) q_w + b on numpy integers, against the exported graph's logits."""
    model, pairs = spread_bert(), toy_pairs(32)
    scales = calibrate(model, pairs)
    name, seen = "bert.pooler.dense", {}
    copy = emulate(model, scales)
    copy.network.get_submodule(name).register_forward_pre_hook(lambda m, x: seen.update(x=x[0].numpy()))
    batch = pairs.batch(np.arange(32))
    batch.pop("labels")
    with torch.no_grad():
        copy(**batch)
    (scale, zero), w = scales.activation[name], model.get_submodule(name).weight.detach().numpy()
    q_x = scheme.quantize_activation(seen["x"], scale, zero).astype(np.int64) - zero
    q_w = scheme.quantize_weight(w, scales.weight[name]).astype(np.int64)
    y = scale * scales.weight[name] * (q_x @ q_w.T) + model.get_submodule(name).bias.detach().numpy()
    head = model.classifier
    by_hand = np.tanh(y) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    run = OnnxRunner(export_onnx(model, tmp_path / "m.onnx", scales=scales), threads=1)
    np.testing.assert_allclose(run.logits(pairs), by_hand, atol=0.02 * np.abs(by_hand).max())


@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
def test_dynamic_int8_is_close_and_the_file_is_smaller(operators, spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert(), toy_pairs(200)
    runs = {p: OnnxRunner(export_onnx(model, tmp_path / f"{p}.onnx", ExportConfig(p, 8 if p != "fp32" else 32,
                                                                           operators=operators)), threads=1)
            for p in ("fp32", "int8-dynamic")}
    reference = runs["fp32"].logits(pairs)
    assert np.abs(runs["int8-dynamic"].logits(pairs) - reference).max() < 0.1 * np.abs(reference).max()
    weights = sum(model.get_submodule(n).weight.numel() for n in linear_maps(model))
    saved = runs["fp32"].size_bytes - runs["int8-dynamic"].size_bytes
    assert saved > 0.8 * 3 * (weights + 100 * 32) - 6000  # scales and more nodes take some bytes back


def test_per_channel_is_nearer_than_per_tensor(spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert(), toy_pairs(100)
    with torch.no_grad():  # one large row makes a single scale coarse
        for name in linear_maps(model):
            model.get_submodule(name).weight[0] *= 8
    reference, gaps = predict(model, pairs), {}
    for per_channel in (True, False):
        path = export_onnx(model, tmp_path / "m.onnx", ExportConfig("int8-dynamic", 32, per_channel))
        gaps[per_channel] = np.abs(OnnxRunner(path, threads=1).logits(pairs) - reference).mean()
    assert gaps[True] < gaps[False]


def test_openvino_reads_the_standard_file_and_says_so_of_the_other(spread_bert, toy_pairs, tmp_path):
    pytest.importorskip("openvino")
    model, pairs = spread_bert(), toy_pairs(60)
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32", 32, operators="standard"))
    assert parity(model, runner(path, "openvino", threads=1), pairs)["max_logit_difference"] < 1e-4
    scales = calibrate(model, pairs)
    path = export_onnx(model, tmp_path / "s.onnx", ExportConfig("int8-static", operators="standard"), scales=scales)
    run = runner(path, "openvino", threads=1)
    assert parity(emulate(model, scales), run, pairs)["agreement"] >= 0.95
    assert run.max_length == 64 and len(run.labels) == 3
    with pytest.raises(RunnerError, match="operators='standard'"):
        runner(export_onnx(model, tmp_path / "f.onnx", scales=scales), "openvino")


def test_shorter_position_tables_are_smaller_and_say_so(spread_bert, toy_pairs, tmp_path):
    model = spread_bert()
    whole, short = (OnnxRunner(export_onnx(model, tmp_path / f"{n}.onnx", ExportConfig("fp32", 32, max_length=n)))
                    for n in (64, 20))
    assert whole.size_bytes - short.size_bytes == pytest.approx(2 * 44 * 32 * 4, abs=60)
    assert (whole.max_length, short.max_length) == (64, 20)
    pairs = toy_pairs(10)
    assert pairs.lengths.max() <= 20
    np.testing.assert_allclose(short.logits(pairs), whole.logits(pairs), atol=1e-6)
    longer = pairs.take([0])
    longer.ids, longer.offsets = np.ones(30, np.int32), np.array([0, 30])
    with pytest.raises(RunnerError, match="1 of 1 texts have more than 20 tokens"):
        short.logits(longer)


def test_the_first_token_suffices(spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert(), toy_pairs(30)
    found = []
    for only in (True, False):
        path = export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32", 32, first_token_only=only))
        found.append(OnnxRunner(path, threads=1).logits(pairs))
    np.testing.assert_allclose(*found, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("operators", ["onnxruntime", "standard"])
@pytest.mark.parametrize("precision", ["int8-static", "int8-dynamic"])
def test_without_vnni_the_exact_product_is_asked_for(precision, operators, spread_bert, toy_pairs, tmp_path,
                                                     monkeypatch):
    model, pairs = spread_bert(), toy_pairs(40)
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig(precision, operators=operators),
                       scales=calibrate(model, pairs))
    with_vnni = OnnxRunner(path, threads=1).logits(pairs)
    monkeypatch.setattr("seo_core.deploy.runners.cpu_support", lambda: {"vnni": False})
    np.testing.assert_allclose(OnnxRunner(path, threads=1).logits(pairs), with_vnni, atol=1e-4)


@pytest.mark.parametrize("change, message", [
    (dict(precision="int4"), "precision must be one of"), (dict(embedding_bits=2), "embedding_bits must be one of"),
    (dict(operators="all"), "operators must be one of")])
def test_a_configuration_that_is_not_known_is_refused(change, message):
    with pytest.raises(QuantizationError, match=message):
        ExportConfig(**change)
    with pytest.raises(TypeError):
        ExportConfig(bits=8)


def test_what_cannot_be_exported_is_refused_and_leaves_no_file(tiny_bert, spread_bert, toy_pairs, tmp_path):
    model, pairs, path = spread_bert(), toy_pairs(8), tmp_path / "m.onnx"
    with pytest.raises(QuantizationError, match="needs activation ranges"):
        export_onnx(model, path)
    with pytest.raises(QuantizationError, match="no activation range of 'bert.encoder.layer.1"):
        export_onnx(model, path, scales=calibrate(tiny_bert(layers=1), pairs))
    with pytest.raises(QuantizationError, match="word table of 8 bits"):
        export_onnx(model, path, ExportConfig(embedding_bits=4), scales=calibrate(model, pairs))
    with pytest.raises(QuantizationError, match="max_length must be from 1 to"):
        export_onnx(model, path, ExportConfig("fp32", max_length=65))
    with pytest.raises(QuantizationError, match="cannot export Linear"):
        export_onnx(torch.nn.Linear(3, 3), path)
    model.config.hidden_act = "relu"
    with pytest.raises(QuantizationError, match="hidden_act='relu'"):
        export_onnx(model, path, ExportConfig("fp32"))
    model.config.hidden_act = "gelu"
    with torch.no_grad():
        model.classifier.bias[0] = float("inf")
    with pytest.raises(QuantizationError, match="never fitted"):
        export_onnx(model, path, ExportConfig("fp32"))
    with pytest.raises(QuantizationError, match="cannot write"):
        export_onnx(tiny_bert(), tmp_path / "absent" / "m.onnx", ExportConfig("fp32"))
    assert not list(tmp_path.iterdir())


def test_the_library_route_gives_the_control(spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert().train(), toy_pairs(40)
    run = OnnxRunner(library_export(model, tmp_path / "fp32.onnx"), threads=1)
    assert model.training  # as it was
    assert parity(model.eval(), run, pairs)["max_logit_difference"] < 1e-4
    control = OnnxRunner(library_export(model, tmp_path / "control.onnx", int8=True, fuse=True), threads=1)
    assert parity(model, control, pairs)["agreement"] > 0.8
    nodes = pytest.importorskip("onnx").load(tmp_path / "control.onnx").graph.node
    operators = Counter(node.op_type for node in nodes)
    assert operators["BiasGelu"] == 2 and operators["SkipLayerNormalization"] == 4  # in two layers
    assert not {"Attention", "QAttention", "MultiHeadAttention"} & set(operators)
    read = Counter(node.input[0] for node in nodes if node.op_type == "MatMulInteger")
    assert sorted(read.values())[-2:] == [3, 3]  # query, key and value share one quantization
    assert control.size_bytes < run.size_bytes
    assert {p.name for p in tmp_path.iterdir()} == {"fp32.onnx", "control.onnx"}


# ---------------------------------------------------------------------------------------------
# Vocabulary


TEXTS = ["A man is sleeping on the grass.", "Nobody sleeps!", "Two dogs run across the field", "zqxj"]


@pytest.fixture(scope="module")
def bundled():
    from seo_core.models.backbone import load_backbone

    return load_backbone(layers=1)


def frame_of(texts):
    import pandas as pd

    return pd.DataFrame({"premise": texts, "hypothesis": texts[::-1]})


@pytest.mark.parametrize("in_a_row", [False, True], ids=["one processor", "a sequence of them"])
def test_trimming_changes_no_logit_of_text_that_was_counted(bundled, in_a_row):
    from tokenizers import processors

    from seo_core.data import encode

    model, tokenizer = bundled[0], deepcopy(bundled[1])
    if in_a_row:
        words = tokenizer.backend_tokenizer
        words.post_processor = processors.Sequence([words.post_processor])
    before = encode(frame_of(TEXTS), tokenizer)
    small = trim(model, tokenizer, token_counts(before))
    after = encode(frame_of(TEXTS), small.tokenizer)
    assert len(small.kept) < 5000 and small.model.config.vocab_size == len(small.kept)
    np.testing.assert_array_equal(small.kept[after.ids], before.ids)
    np.testing.assert_allclose(predict(small.model, after), predict(model, before), atol=1e-6)
    assert len(model.get_input_embeddings().weight) == 30522  # the original is as it was
    assert small.tokenizer.pad_token_id == 0 == after.pad_id


def test_unseen_words_are_spelled_and_not_unknown(bundled):
    from seo_core.data import encode

    model, tokenizer = bundled
    small = trim(model, tokenizer, token_counts(encode(frame_of(TEXTS), tokenizer)))
    unseen = ["The electromagnetic physicist photographs umbrellas, quickly: 12345 (again)?"]
    assert unknown_rate(small.tokenizer, unseen)["unknown_rate"] == 0
    assert unknown_rate(small.tokenizer, unseen)["tokens_per_text"] > unknown_rate(tokenizer, unseen)["tokens_per_text"]
    assert unknown_rate(small.tokenizer, ["🦩 flamingo"])["unknown_rate"] == \
        pytest.approx(1 / len(small.tokenizer.tokenize("🦩 flamingo")))


def test_the_most_frequent_stay(bundled):
    from seo_core.data import encode

    model, tokenizer = bundled
    counts = np.bincount(encode(frame_of(TEXTS), tokenizer).ids, minlength=30522)
    always = trim(model, tokenizer, counts * 0 + (np.arange(30522) == 0)).kept
    small = trim(model, tokenizer, counts, size=len(always) + 3)
    added = np.setdiff1d(small.kept, always)
    assert len(small.kept) == len(always) + 3
    assert counts[added].min() >= np.sort(counts[np.setdiff1d(np.arange(30522), always)])[-3]
    with pytest.raises(QuantizationError, match="do not hold"):
        trim(model, tokenizer, counts, size=10)
    with pytest.raises(QuantizationError, match="no text was counted"):
        trim(model, tokenizer, counts * 0)


@pytest.mark.slow
def test_a_trimmed_network_comes_back_from_its_folder(bundled, tmp_path):
    from seo_core.data import encode
    from seo_core.models.backbone import load_backbone, save

    model, tokenizer = bundled
    small = trim(model, tokenizer, token_counts(encode(frame_of(TEXTS), tokenizer)))
    save(small.model, small.tokenizer, tmp_path / "small")
    back, words = load_backbone(str(tmp_path / "small"))
    encoded = encode(frame_of(TEXTS), words)
    np.testing.assert_array_equal(encoded.ids, encode(frame_of(TEXTS), small.tokenizer).ids)
    np.testing.assert_allclose(predict(back, encoded), predict(small.model, encoded), atol=1e-6)
    code = f"""
import numpy as np
import onnx
import pandas as pd
from seo_core.data import encode
from seo_core.evaluation import predict
from seo_core.models import load_backbone
model, words = load_backbone({str(tmp_path / "small")!r})
np.save({str(tmp_path / "out.npy")!r}, predict(model, encode(pd.DataFrame({frame_of(TEXTS).to_dict("list")!r}), words)))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), predict(small.model, encoded), atol=1e-6)


@pytest.mark.trains
def test_a_head_that_was_never_fitted_is_exported_only_on_request(bundled, toy_pairs, tmp_path):
    from seo_core.models.backbone import load_backbone, save
    from seo_core.pruning import remove
    from seo_core.training import TrainingConfig, fit

    model, path = bundled[0], tmp_path / "m.onnx"
    for call in (lambda: export_onnx(model, path, ExportConfig("fp32")), lambda: library_export(model, path),
                 lambda: export_onnx(remove(model, heads={0: [0]}), path, ExportConfig("fp32"))):
        with pytest.raises(QuantizationError, match="head is random, it was never fitted"):
            call()
    export_onnx(model, path, ExportConfig("fp32"), untrained=True)
    fit(model, toy_pairs(4), config=TrainingConfig(epochs=1), progress=False)
    export_onnx(model, path, ExportConfig("fp32"))
    back = load_backbone(str(save(model, bundled[1], tmp_path / "kept")))[0]
    export_onnx(back, path, ExportConfig("fp32"))


# ---------------------------------------------------------------------------------------------
# Runners


def test_bad_files_and_bad_texts_are_refused(spread_bert, tmp_path):
    with pytest.raises(RunnerError, match="no model file"):
        OnnxRunner(tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(RunnerError, match="damaged or not a model"):
        OnnxRunner(tmp_path / "bad.onnx")
    with pytest.raises(RunnerError, match="runtime must be one of"):
        runner(tmp_path / "bad.onnx", "tensorrt")
    path = export_onnx(spread_bert(), tmp_path / "m.onnx", ExportConfig("fp32"))
    for threads in (0, "x", 1.5):
        with pytest.raises(RunnerError, match="threads must be a whole number"):
            OnnxRunner(path, threads=threads)
    with pytest.raises(RunnerError, match="no tokenizer"):
        OnnxRunner(path).predict(["text"])
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(RunnerError, match="is no tokenizer"):
        OnnxRunner(path, tokenizer=tmp_path / "tokenizer.json")


def test_a_foreign_onnx_file_is_named_as_such(tmp_path):
    from onnx import TensorProto, helper, save

    make = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["y"])], "g",
                              [make("pixels", TensorProto.FLOAT, [1])], [make("y", TensorProto.FLOAT, [1])])
    save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]), tmp_path / "m.onnx")
    with pytest.raises(RunnerError, match="it is no exported BERT classifier"):
        OnnxRunner(tmp_path / "m.onnx")


@pytest.mark.parametrize("key, value", [("labels", "a,b,c"), ("labels", "[1, 2, 3]"), ("max_length", "many"),
                                        ("vocabulary", "bert"), ("export", "yes")])
def test_what_a_file_says_of_itself_is_checked(key, value, spread_bert, tmp_path):

    path = export_onnx(spread_bert(), tmp_path / "m.onnx", ExportConfig("fp32", operators="standard"))
    proto = onnx.load(str(path))
    next(entry for entry in proto.metadata_props if entry.key == key).value = value
    onnx.save(proto, str(path))
    with pytest.raises(RunnerError, match=f"m.onnx says {key}=.* not what this package writes"):
        runner(path, "openvino" if key == "export" and pytest.importorskip("openvino") else "onnxruntime")


def test_a_file_with_one_segment_takes_no_pairs(toy_pairs, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    from seo_core.models.backbone import ModelError

    model = BertForSequenceClassification(BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, type_vocab_size=1, num_labels=3)).eval()
    run, pairs = OnnxRunner(export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32", 32))), toy_pairs(4)
    with pytest.raises(RunnerError, match="m.onnx knows one segment"):
        run.logits(pairs)
    with pytest.raises(ModelError, match="the network knows one segment"):
        predict(model, pairs)
    pairs.first = pairs.lengths.astype(np.int32)
    assert parity(model, run, pairs)["max_logit_difference"] < 1e-5


def test_nothing_to_run_and_nowhere_to_write_are_said(spread_bert, toy_pairs, tmp_path):
    model = spread_bert()
    run = OnnxRunner(export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32")))
    with pytest.raises(RunnerError, match="no texts to compare"):
        parity(model, run, toy_pairs(0))
    with pytest.raises(RunnerError, match="batch_size must be 1 or more"):
        run.logits(toy_pairs(4), batch_size=0)
    with pytest.raises(ValueError, match="batch_size must be 1 or more"):
        predict(model, toy_pairs(4), batch_size=0)
    with pytest.raises(QuantizationError, match="is a folder: give the file's name too"):
        export_onnx(model, "", ExportConfig("fp32"))


def test_an_exported_file_runs_in_a_process_without_torch(spread_bert, toy_pairs, tmp_path):
    model, pairs = spread_bert(), toy_pairs(20)
    path = export_onnx(model, tmp_path / "m.onnx", scales=calibrate(model, pairs))
    np.savez(tmp_path / "in.npz", ids=pairs.ids, offsets=pairs.offsets, first=pairs.first, labels=pairs.labels)
    code = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # importing either raises ImportError
import numpy as np
import onnx
from seo_core.data.encoding import Encoded
from seo_core.deploy.runners import OnnxRunner
z = np.load({str(tmp_path / "in.npz")!r})
encoded = Encoded(z["ids"], z["offsets"], z["first"], z["labels"], 0)
np.save({str(tmp_path / "out.npy")!r}, OnnxRunner({str(path)!r}, threads=1).logits(encoded))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), OnnxRunner(path, threads=1).logits(pairs), atol=1e-6)


def test_what_the_cpu_has_is_said(monkeypatch):
    found = cpu_support()
    assert set(found) == {"vnni", "bf16", "capped"} and not found["capped"]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert cpu_support()["capped"]
    monkeypatch.setattr("seo_core.machine.machine", lambda: {"instruction_sets": ["avx2"]})
    assert cpu_support() == {"vnni": False, "bf16": False, "capped": True}


@pytest.mark.parametrize("isa, capped", [("avx2_vnni", True), ("AVX512_CORE_VNNI", True), ("AVX2_VNNI_2", True),
                                         ("AVX512_CORE_BF16", False), ("AVX512_CORE_AMX", False), ("", False)])
def test_instructions_below_bf16_count_as_capped(monkeypatch, isa, capped):
    from seo_core.models import fastpath

    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert cpu_support()["capped"] == capped and fastpath.has_bf16("cpu") != capped


def test_the_file_says_what_it_is(spread_bert, tmp_path):
    run = OnnxRunner(export_onnx(spread_bert(), tmp_path / "m.onnx", ExportConfig("int8-dynamic")))
    about = run.session.get_modelmeta().custom_metadata_map
    assert json.loads(about["export"])["precision"] == "int8-dynamic" and about["vocabulary"] == "100"
    assert run.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
