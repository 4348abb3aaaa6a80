"""Training in integers: the forward pass is the integer scheme's, the step gradients are LSQ's, and it can be kept."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.deploy.runners import INPUTS
from seo_core.evaluation import predict
from seo_core.models.backbone import ModelError
from seo_core.models.backbone import save as save_plain
from seo_core.models.fastpath import FastBertClassifier, forward_module
from seo_core.quantization import Scales, qat, scheme
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.quantization.scheme import QuantizationError
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=3)


@pytest.fixture
def integer_bert(tiny_bert, toy_pairs):
    """A function making a tiny BERT with step sizes attached, and the pairs they were calibrated on."""

    def make(bits=8, pairs=48, **options):
        model, text = tiny_bert(**{"dropout": 0.0, **options}).eval(), toy_pairs(pairs)
        how = CalibrationConfig("minmax", embedding_bits=bits, weight_bits=7)
        return qat.attach(model, calibrate(model, text, how)), text

    return make


# ---------------------------------------------------------------------------------------------
# Forward


def _by_integers(x, scale, zero, w, weight_scale, bias):
    """The scheme in numpy with int64 sums."""
    q = scheme.quantize_activation(x, np.float32(scale), zero).astype(np.int64) - zero
    q_w = scheme.quantize_weight(w, weight_scale).astype(np.int64)
    return (q @ q_w.T) * (np.float32(scale) * weight_scale) + bias


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), zero=st.integers(0, 255), size=st.floats(0.1, 5))
def test_a_linear_map_is_the_schemes_integer_arithmetic(seed, zero, size):
    rng = np.random.default_rng(seed)
    x, w, bias = (size * rng.normal(size=s).astype(np.float32) for s in ((7, 16), (5, 16), (5,)))
    scale, weight_scale = np.float32(0.02 * size), scheme.weight_scales(w)
    weight_scale[0] /= 2  # half of this row is clipped
    found = qat.IntegerLinear.apply(*map(torch.from_numpy, (x,)), torch.tensor(scale), torch.tensor(float(zero)),
                                    *map(torch.from_numpy, (w, weight_scale, bias)))
    expected = _by_integers(x, scale, zero, w, weight_scale, bias)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_products_integers_survive_bf16():
    rng = np.random.default_rng(0)
    x, w = (torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((64, 256), (32, 256)))
    arguments = torch.tensor(0.02), torch.tensor(120.0), w, scheme.weight_scales(w), torch.zeros(32)
    coarse = x.bfloat16()
    exact = qat.IntegerLinear.apply(coarse.float(), *arguments)
    found = qat.IntegerLinear.apply(coarse, *arguments)
    assert found.dtype == torch.bfloat16
    error = (found.float() - exact).abs() / exact.abs().mean()
    assert float(error.max()) < 0.06  # what rounding the result to bf16 costs; no more


def _network_by_hand(model, scales, batch):
    """The quantized network in numpy, layer by layer, one text at a time: logits (B, k)."""
    weights = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    words = scheme.quantized_table(weights["bert.embeddings.word_embeddings.weight"], scales.embedding_bits)

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + model.config.layer_norm_eps)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(name, x):
        x = x.astype(np.float32)
        return _by_integers(x, *scales.activation[qat.reader(name)], weights[f"{name}.weight"], scales.weight[name],
                            weights[f"{name}.bias"])

    logits = []
    for ids, mask, segments in zip(*(batch[k].numpy() for k in ("input_ids", "attention_mask", "token_type_ids")),
                                   strict=True):
        n = mask.sum()
        x = words[ids[:n]] + weights["bert.embeddings.position_embeddings.weight"][:n]
        x = norm("bert.embeddings.LayerNorm", x + weights["bert.embeddings.token_type_embeddings.weight"][segments[:n]])
        for number, layer in enumerate(model.bert.encoder.layer):
            name, heads = f"bert.encoder.layer.{number}", layer.attention.self.num_attention_heads
            q, k, v = (linear(f"{name}.attention.self.{part}", x).reshape(n, heads, -1).transpose(1, 0, 2)
                       for part in ("query", "key", "value"))
            scores = np.exp(q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5)
            y = ((scores / scores.sum(-1, keepdims=True)) @ v).transpose(1, 0, 2).reshape(n, -1)
            x = norm(f"{name}.attention.output.LayerNorm", linear(f"{name}.attention.output.dense", y) + x)
            y = linear(f"{name}.intermediate.dense", x)
            y = torch.nn.functional.gelu(torch.from_numpy(y.astype(np.float32))).numpy()
            x = norm(f"{name}.output.LayerNorm", linear(f"{name}.output.dense", y) + x)
        pooled = np.tanh(linear("bert.pooler.dense", x[:1]))
        logits.append((pooled @ weights["classifier.weight"].T + weights["classifier.bias"])[0])
    return np.stack(logits)


@pytest.mark.parametrize("bits", [32, 8, 4])
def test_evaluation_in_fp32_is_the_integer_network(integer_bert, bits):
    model, pairs = integer_bert(bits)
    found = predict(model, pairs)
    expected = _network_by_hand(model, qat.scales(model), pairs.batch(range(len(pairs))))
    # a value on the edge between two integers may fall to either side: most logits agree to rounding, all nearly
    assert np.mean(np.abs(found - expected) < 1e-4) > 0.9
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.97
    plain = predict(qat.detach(model), pairs)
    assert not np.allclose(plain, found, atol=1e-5)  # it was not the floating-point network


def test_compact_networks_run_in_integers_too(tiny_bert, toy_pairs):
    from seo_core.models.compact import CompactBertForSequenceClassification, compact_config

    torch.manual_seed(0)
    model = CompactBertForSequenceClassification(compact_config(tiny_bert(dropout=0.0).config, [3, 1], [20, 7])).eval()
    pairs = toy_pairs(16)
    qat.attach(model, calibrate(model, pairs, CalibrationConfig(weight_bits=7)))
    expected = _network_by_hand(model, qat.scales(model), pairs.batch(range(16)))
    np.testing.assert_allclose(predict(model, pairs), expected, atol=0.02)


def test_ranges_that_were_observed_clip_nothing(tiny_bert, toy_pairs):
    model, pairs = tiny_bert(dropout=0.0).eval(), toy_pairs(32)
    plain = predict(model, pairs)
    qat.attach(model, calibrate(model, pairs, CalibrationConfig("minmax", weight_bits=7)))
    assert np.abs(predict(model, pairs) - plain).max() < 0.1 * np.abs(plain).max()
    with pytest.raises(QuantizationError, match="calibration set is empty"):
        calibrate(model, pairs.take([]))


# ---------------------------------------------------------------------------------------------
# Gradients


def test_step_gradients_are_the_formulas():
    rng = np.random.default_rng(1)
    x, w, bias = (torch.from_numpy(rng.normal(size=s).astype(np.float32)) for s in ((3, 4, 10), (6, 10), (6,)))
    scale, zero, weight_scale = torch.tensor(0.01), torch.tensor(100.0), scheme.weight_scales(w) * 0.7  # both clip
    given = [t.clone().requires_grad_() for t in (x, scale, zero, w, weight_scale, bias)]
    out = qat.IntegerLinear.apply(*given)
    weight = torch.from_numpy(rng.normal(size=out.shape).astype(np.float32))
    (out * weight).sum().backward()
    # the same by autograd, rounding and gradient scale written out: LSQ as in its paper
    x2, s2, z2, w2, sw2, b2 = (t.clone().requires_grad_() for t in (x, scale, zero, w, weight_scale, bias))

    def through(v):
        return v + (v.round() - v).detach()

    def scaled(t, n):
        return (t - t * n**-0.5).detach() + t * n**-0.5

    s, z, sw = scaled(s2, 10 * 255), scaled(z2, 10 * 255), scaled(sw2, 10 * 127)
    x_hat = s * ((through(x2 / s) + through(z)).clamp(0, 255) - through(z))
    w_hat = sw[:, None] * through(w2 / sw[:, None]).clamp(-127, 127)
    ((x_hat @ w_hat.T + b2) * weight).sum().backward()
    for name, a, b in zip(("x", "scale", "zero", "w", "weight scale", "bias"), given, (x2, s2, z2, w2, sw2, b2),
                          strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


def test_a_step_too_large_shrinks_and_one_too_small_grows():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(200, 16)).astype(np.float32))
    w = torch.eye(16)

    def slope(scale):
        step = torch.tensor(scale).requires_grad_()
        y = qat.IntegerLinear.apply(x, step, torch.tensor(128.0), w, scheme.weight_scales(w), torch.zeros(16))
        ((y - x) ** 2).sum().backward()
        return float(step.grad)

    assert slope(0.5) > 0 > slope(0.002)  # quantization error falls towards a step between the two


def test_gradients_reach_every_weight_and_step(integer_bert):
    model, pairs = integer_bert()
    network = forward_module(model.train(), torch.float32)
    assert isinstance(network, qat.IntegerBertClassifier)
    batch = pairs.batch(range(8))
    torch.nn.functional.cross_entropy(network(**batch), batch["labels"]).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert [n for n in silent if not n.startswith("quantizer.zero")] == []  # where nothing is clipped, z has none


def test_quantization_error_is_the_formula_and_pulls_to_the_grid(integer_bert):
    model, _ = integer_bert()
    error = model.quantizer.error(model)
    found, each = qat.scales(model), []
    for name, module in qat.linear_maps(model).items():
        w = module.weight.detach().numpy()
        steps, bits = found.weight[name], found.weight_bits
        rounded = scheme.dequantize_weight(scheme.quantize_weight(w, steps, bits), steps)
        each.append(((rounded - w) ** 2).sum() / (w**2).sum())
    assert float(error.detach()) == pytest.approx(np.mean(each), rel=1e-4)
    error.backward()
    module = model.bert.pooler.dense
    name = "bert.pooler.dense"
    scale = model.quantizer.weight_scale(name).detach()
    rounded = scheme.dequantize_weight(scheme.quantize_weight(module.weight.detach(), scale, found.weight_bits), scale)
    pull = -module.weight.grad * (rounded - module.weight.detach())
    assert float(pull.min()) >= 0  # a step against the gradient goes to the nearest grid point


# ---------------------------------------------------------------------------------------------
# Training


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.trains
def test_it_learns_in_integers_and_the_steps_move(tiny_bert, toy_pairs, precision):
    model, pairs = tiny_bert(dropout=0.0, seed=1), toy_pairs(192)
    before = calibrate(model.eval(), pairs)
    qat.attach(model, before)
    fit(model, pairs, config=replace(CONFIG, epochs=12, seed=1, precision=precision), progress=False)
    after = qat.scales(model)
    assert np.mean(predict(model, pairs).argmax(1) == pairs.labels) > 0.8
    name = "bert.encoder.layer.0.intermediate.dense"
    assert after.activation[name] != before.activation[name]
    assert 0.2 < after.activation[name][0] / before.activation[name][0] < 5  # moves are relative: no step ran away
    assert not np.allclose(after.weight[name], before.weight[name])


@pytest.mark.trains
def test_a_resumed_run_ends_at_the_same_steps(integer_bert, tmp_path):
    def train(stop=None, folder=None):
        model, pairs = integer_bert()

        def halt(event, state):
            if event == "step" and state.step == stop:
                raise KeyboardInterrupt

        fit(model, pairs, config=CONFIG, progress=False, checkpoint_dir=folder, callbacks=[halt])
        return model.state_dict()

    whole = train()
    with pytest.raises(KeyboardInterrupt):
        train(stop=5, folder=tmp_path)
    resumed = train(folder=tmp_path)
    assert any(name.startswith("quantizer.") for name in whole)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


# ---------------------------------------------------------------------------------------------
# Scales: out, in, kept, refused


def test_scales_go_out_and_in_unchanged(integer_bert):
    model, pairs = integer_bert()
    found, logits = qat.scales(model), predict(model, pairs)
    qat.attach(qat.detach(model), found)
    again = qat.scales(model)
    assert {k: z for k, (_, z) in found.activation.items()} == {k: z for k, (_, z) in again.activation.items()}
    for name, (scale, _) in found.activation.items():
        assert again.activation[name][0] == pytest.approx(scale, rel=1e-6)
    assert np.mean(predict(model, pairs).argmax(1) == logits.argmax(1)) == 1


class _NoTokenizer:
    def save_pretrained(self, folder):
        (folder / "tokenizer.json").write_text("{}")


@pytest.mark.trains
def test_another_process_computes_the_same_logits(integer_bert, tmp_path):
    model, pairs = integer_bert()
    fit(model, pairs, config=replace(CONFIG, epochs=1), progress=False)
    expected = predict(model, pairs)
    qat.save(model, _NoTokenizer(), tmp_path / "model")
    np.testing.assert_array_equal(predict(model, pairs), expected)  # saving took nothing away
    np.savez(tmp_path / "pairs.npz", **vars(pairs))
    script = textwrap.dedent("""
        import sys, numpy as np
        from pathlib import Path
        from transformers import AutoModelForSequenceClassification as Auto
        import seo_core
        from seo_core.data import Encoded
        from seo_core.evaluation import predict
        from seo_core.quantization import Scales, qat
        folder = Path(sys.argv[1])
        pairs = Encoded(**{k: v if v.ndim else int(v) for k, v in np.load(folder / "pairs.npz").items()})
        plain = Auto.from_pretrained(folder / "model").eval()
        model = qat.attach(plain, Scales.load(folder / "model" / qat.SCALES_FILE))
        np.save(folder / "found.npy", predict(model, pairs))
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, timeout=300)
    found = np.load(tmp_path / "found.npy")
    assert np.mean(np.abs(found - expected) < 1e-4) > 0.9 and np.mean(found.argmax(1) == expected.argmax(1)) >= 0.97
    assert (tmp_path / "model" / "scales.safetensors").is_file()


def test_step_sizes_are_not_lost_in_silence(integer_bert, tmp_path):
    model, _ = integer_bert()
    with pytest.raises(ModelError, match="step sizes"):
        save_plain(model, _NoTokenizer(), tmp_path / "model")
    with pytest.raises(ValueError, match="fast=True"):
        forward_module(model, torch.float32, fast=False)
    with pytest.raises(QuantizationError, match="attach"):
        qat.scales(qat.detach(model))
    assert type(forward_module(model, torch.float32)) is FastBertClassifier


def test_steps_that_were_learned_are_exported_or_nothing_is(integer_bert, toy_pairs, tmp_path):
    from seo_core.distillation import DistillationError, select_layers
    from seo_core.pruning import PruningError, remove
    from seo_core.quantization import ExportConfig, export_onnx, library_export

    (model, _), path = integer_bert(), tmp_path / "m.onnx"
    own = qat.scales(model)
    other = Scales({k: (2 * s, z) for k, (s, z) in own.activation.items()}, own.weight, own.embedding_bits)
    for call in (lambda: export_onnx(model, path, ExportConfig("fp32")), lambda: library_export(model, path),
                 lambda: export_onnx(model, path, scales=other)):
        with pytest.raises(QuantizationError, match=r"would be lost: export it as int8-static with scales=qat.scales"):
            call()
    with pytest.raises(PruningError, match="prune first"):
        remove(model, layers=[0])
    with pytest.raises(DistillationError, match="before it was trained in integers"):
        select_layers(model, [0])
    assert not path.exists()
    config = ExportConfig(embedding_bits=own.embedding_bits)
    export_onnx(model, path, config, scales=Scales.load(own.save(tmp_path / "s.safetensors")))
    export_onnx(qat.detach(model), path, ExportConfig("fp32"))


@pytest.mark.parametrize("kind", ["DistilBertForSequenceClassification", "RobertaForSequenceClassification",
                                  "BertForMaskedLM"])
def test_other_networks_are_refused_before_they_are_calibrated(toy_pairs, kind):
    import transformers

    from seo_core.distillation import SynergisticQuantizationDistillation

    made = getattr(transformers, kind)
    small = dict(vocab_size=100, num_labels=3, max_position_embeddings=64, num_hidden_layers=1, num_attention_heads=2)
    model = made(made.config_class(**small, **({"dim": 32, "hidden_dim": 32, "n_layers": 1, "n_heads": 2}
                                               if kind.startswith("Dis") else {"hidden_size": 32})))
    pairs = toy_pairs(8)
    for call in (lambda: calibrate(model, pairs), lambda: SynergisticQuantizationDistillation()(
            model, pairs, np.zeros((8, 3), np.float32), training=TrainingConfig())):
        with pytest.raises(QuantizationError, match=f"cannot calibrate {kind}"):
            call()


def test_scales_of_another_network_are_refused(tiny_bert, integer_bert):
    model, _ = integer_bert()
    found = qat.scales(model)
    with pytest.raises(QuantizationError, match="no activation range of 'bert.encoder.layer.2"):
        qat.attach(tiny_bert(layers=3), found)
    cut = Scales(found.activation, {**found.weight, "bert.pooler.dense": np.ones(5, np.float32)})
    with pytest.raises(QuantizationError, match="32 output channels and 5 scales"):
        qat.attach(tiny_bert(), cut)
    relu = tiny_bert()
    relu.config.hidden_act = "relu"
    with pytest.raises(QuantizationError, match="cannot be trained in integers"):
        qat.attach(relu, found)


def test_weight_scales_may_be_left_out(tiny_bert, integer_bert):
    model, _ = integer_bert()
    found = qat.scales(model)
    other = qat.attach(qat.detach(model), Scales(found.activation))
    np.testing.assert_allclose(qat.scales(other).weight["bert.pooler.dense"], found.weight["bert.pooler.dense"],
                               rtol=1e-6)


# ---------------------------------------------------------------------------------------------
# The exported file


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.trains
def test_the_exported_file_computes_what_was_trained(integer_bert, toy_pairs, tmp_path, bits):
    from seo_core.quantization.export import ExportConfig, export

    model, pairs = integer_bert(bits, pairs=192, seed=1)
    fit(model, pairs, config=replace(CONFIG, epochs=6, seed=1), progress=False)
    unseen = toy_pairs(600, seed=5)
    path = export(model, tmp_path / "model.onnx", ExportConfig("int8-static", embedding_bits=bits),
                  scales=qat.scales(model))
    # a plain session, as who takes the file away has it: on CPUs without VNNI products of weights of 8 bits saturate
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = [unseen.arrays(np.arange(start, start + 50)) for start in range(0, 600, 50)]
    found = np.concatenate([session.run(None, {name: batch[name] for name in INPUTS})[0] for batch in batches])
    expected = predict(model, unseen)
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.995
    assert np.mean(np.abs(found - expected) < 1e-3 * np.abs(expected).max()) > 0.9  # the rest: a value on an edge
