"""The engine `exact`: the same answers whatever rounds them. numpy, which has no fused multiply-add, is the judge."""

import sys
from math import erf

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

import seo_core
from seo_core.data import NLI_LABELS, load_nli
from seo_core.deploy import artifact
from seo_core.deploy.artifact import ArtifactError, Card
from seo_core.deploy.exact import in_double
from seo_core.deploy.runners import ExactRunner
from seo_core.quantization import ExportConfig, export_onnx


class MatMulIntegerToFloat(OpRun):
    """ONNX Runtime's operator, which onnx's reference does not know."""

    op_domain = "com.microsoft"

    def _run(self, a, b, a_scale, b_scale, a_zero):
        return (((a.astype(np.int32) - a_zero) @ b.astype(np.int32)).astype(np.float32) * (a_scale * b_scale),)


def pairs(count):
    return load_nli("embedded", rows=64)["validation_matched"][["premise", "hypothesis"]].head(count)


@pytest.mark.parametrize("name", ["reference", "reference-small"])
def test_another_library_with_other_roundings_gives_the_same_logits(name):
    model = seo_core.load(name, engine="exact")
    encoded = model.encode(pairs(12))
    judge = ReferenceEvaluator(in_double(onnx.load(model.path)), new_ops=[MatMulIntegerToFloat])
    for rows in encoded.batches(4):
        batch = {key: value.astype(np.int64) for key, value in encoded.arrays(rows).items()}
        assert np.abs(model.run(batch) - judge.run(None, batch)[0]).max() < 1e-5


def test_it_is_the_same_classifier():
    texts = pairs(64)
    fast, exact = (seo_core.load("reference", engine=name).probabilities(texts) for name in ("onnxruntime", "exact"))
    assert np.median(np.abs(fast - exact)) < 1e-5 and np.abs(fast - exact).max() < 0.1
    ranked = np.sort(fast)
    clear = ranked[:, -1] - ranked[:, -2] > 0.02
    assert (fast.argmax(1) == exact.argmax(1))[clear].all() and clear.sum() > 50


def test_ranges_that_each_batch_has_for_itself(tiny_bert, tiny_tokenizer, tmp_path):
    path = export_onnx(tiny_bert().eval(), tmp_path / "m.onnx", ExportConfig("int8-dynamic", weight_bits=7))
    folder = artifact.save(tmp_path / "art", path, tiny_tokenizer, labels=NLI_LABELS, card=Card("tiny"))
    texts = pairs(20).map(lambda text: text[:30])
    fast, exact = (seo_core.load(folder, engine=name).probabilities(texts) for name in ("onnxruntime", "exact"))
    assert np.allclose(fast, exact, atol=1e-3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=8))
def test_its_gelu_is_that_of_the_error_function(values):
    x = np.array(values, np.float32)
    shape, nodes = [len(x)], [helper.make_node("Gelu", ["x"], ["y"]),
                              helper.make_node("MatMulIntegerToFloat", ["a", "b", "s", "t", "z", "", "c"], ["d"],
                                               domain="com.microsoft")]
    one = {"a": np.ones((1, 1), np.uint8), "b": np.ones((1, 1), np.int8), "s": np.float32(2), "t": np.float32(3),
           "z": np.uint8(0), "c": np.ones(1, np.float32)}
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "yd"],
                              initializer=[onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in one.items()])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21),
                                                                   helper.make_opsetid("com.microsoft", 1)])
    y, d = onnxruntime.InferenceSession(in_double(model).SerializeToString()).run(None, {"x": x})
    wanted = np.array([float(v) * (1 + erf(v / 2**0.5)) / 2 for v in x.tolist()])
    assert (np.abs(y - wanted) <= 1.5e-7 * np.abs(x) + 1e-7 * np.abs(wanted) + 1e-40).all() and d == 7


@pytest.mark.parametrize("config", [ExportConfig("fp32"), ExportConfig("int8-dynamic", operators="standard")])
def test_a_file_that_it_is_not_for_is_refused(tiny_bert, tiny_tokenizer, tmp_path, config):
    path = export_onnx(tiny_bert().eval(), tmp_path / "m.onnx", config)
    folder = artifact.save(tmp_path / "art", path, tiny_tokenizer, labels=NLI_LABELS, card=Card("tiny"))
    with pytest.raises(ArtifactError, match="no products of integers .* or use the engine onnxruntime"):
        seo_core.load(folder, engine="exact")


def test_without_onnx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ArtifactError, match=r"onnx is not installed.*pip install 'seo-core\[export\]'"):
        seo_core.load("reference", engine="exact")


def test_it_is_an_engine_by_name():
    assert isinstance(seo_core.load("reference-small", engine="exact"), ExactRunner)
