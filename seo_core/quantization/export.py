"""Export: a trained BERT classifier, pruned or not, as an ONNX file in fp32 or int8.

    export(model, "model.onnx", ExportConfig("int8-static", embedding_bits=8), scales=calibrate(model, texts))

The graph is written directly from the weights. BERT is a short, fixed list of operators, and a network whose layers
differ in heads and FFN width is no harder than a uniform one; tracing exporters and the fusion passes that follow
them know one head count per model. Two operator sets:

- "onnxruntime": the fused operators that ONNX Runtime computes on CPUs (com.microsoft): MultiHeadAttention,
  SkipLayerNormalization, Gelu (the exact one, with erf), DynamicQuantizeMatMul, MatMulIntegerToFloat,
  GatherBlockQuantized. The same function with fewer passes over memory.
- "standard": operators of ONNX itself only, quantisation as QuantizeLinear/DequantizeLinear pairs: what OpenVINO
  and other runtimes read.

Inputs input_ids, attention_mask, token_type_ids: int64 (B, T), any B and T. Output logits: float32 (B, k). Padded
positions get no attention, so padding changes no logit in fp32 and int8-static. In int8-dynamic an activation's range
is taken over the whole batch, padded positions and the other texts included: logits then depend, slightly, on what
else is in the batch.

As in `fastpath`, the last layer computes keys and values for every token and the rest for the first alone, which is
all that the classifier reads; and query, key and value are one matrix product.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seo_core.quantization import scheme
from seo_core.quantization.scheme import QuantizationError, Scales

PRECISIONS = ("fp32", "int8-dynamic", "int8-static")
OPERATORS = ("onnxruntime", "standard")
OPSET, IR = 21, 10  # the first opset with int4; read by ONNX Runtime 1.20 and OpenVINO 2024.5 and later
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MASKED = -1e4  # added to the score of a padded position: exp of it is 0 in fp32


@dataclass(frozen=True)
class ExportConfig:
    """How `export` writes. Unknown keys raise, as for any dataclass."""

    precision: str = "int8-static"  # fp32 | int8-dynamic | int8-static
    embedding_bits: int = 8  # of the word table: 32 | 8 (per row) | 4 (per block of 32 values)
    per_channel: bool = True  # a scale per output channel; False: one per matrix, for comparison
    operators: str = "onnxruntime"  # onnxruntime (fused) | standard (any runtime)
    max_length: int | None = None  # positions kept in the file, 1.5 kB each at hidden size 384; None: all
    first_token_only: bool = True  # last layer; False only to measure what it saves

    def __post_init__(self):
        for name, known in (("precision", PRECISIONS), ("operators", OPERATORS),
                            ("embedding_bits", scheme.EMBEDDING_BITS)):
            if getattr(self, name) not in known:
                raise QuantizationError(f"{name} must be one of {', '.join(map(str, known))}, "
                                        f"got {getattr(self, name)!r}")


def export(model, path: str | Path, config: ExportConfig | None = None, *, scales: Scales | None = None) -> Path:
    """Writes `model` (a BERT or compact BERT sequence classifier, torch) as ONNX to `path`, whole or not at all.

    scales: of calibration or quantisation-aware training; needed for "int8-static", whose weights are quantised with
    them, otherwise unused. Raises QuantizationError for a network or a configuration that cannot be exported.
    """
    import onnx

    config = config or ExportConfig()
    network = _read(model, config, scales)
    graph = _Graph(config.operators == "onnxruntime")
    _classifier(graph, network)
    proto = graph.finish(network)
    onnx.checker.check_model(proto)
    path = Path(path)
    partial = path.with_name(f".{path.name}.tmp")
    try:
        partial.write_bytes(proto.SerializeToString())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise QuantizationError(f"cannot write {path.name}: {error.strerror or error}. Free some space or choose "
                                "another folder") from error
    return path


# ---------------------------------------------------------------------------------------------
# The network, as arrays


@dataclass
class _Network:
    """Weights by name, and what the graph needs to know beside them."""

    weights: dict[str, np.ndarray]
    heads: list[int]  # by layer
    hidden: int
    positions: int
    eps: float
    config: ExportConfig
    scales: Scales | None
    about: dict  # written into the file


def _read(model, config: ExportConfig, scales: Scales | None) -> _Network:
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    about = getattr(model, "config", None)
    if kind not in ("bert", "compact_bert") or not hasattr(model, "classifier") or not hasattr(model, "bert"):
        raise QuantizationError(f"cannot export {type(model).__name__}: this exporter knows sequence classifiers of "
                                "type BERT and compact BERT. Use torch.onnx.export for others")
    if about.hidden_act != "gelu" or getattr(about, "position_embedding_type", "absolute") not in (None, "absolute"):
        raise QuantizationError(f"cannot export a BERT with hidden_act={about.hidden_act!r} and positions "
                                f"{getattr(about, 'position_embedding_type', 'absolute')!r}: only 'gelu' and 'absolute'")
    weights = {name: t.detach().float().cpu().numpy() for name, t in model.state_dict().items()
               if t.is_floating_point()}
    broken = [name for name, w in weights.items() if not np.isfinite(w).all()]
    if broken:
        raise QuantizationError(f"{broken[0]} holds values that are not finite: the network has diverged or was never "
                                "fitted. Train it again before exporting")
    layers = model.bert.encoder.layer
    positions = about.max_position_embeddings
    if config.max_length is not None:
        if not 1 <= config.max_length <= positions:
            raise QuantizationError(f"max_length must be from 1 to the model's {positions} positions, "
                                    f"got {config.max_length}")
        positions = config.max_length
    network = _Network(weights, [layer.attention.self.num_attention_heads for layer in layers], about.hidden_size,
                       positions, about.layer_norm_eps, config, scales if config.precision == "int8-static" else None,
                       {"labels": json.dumps([about.id2label[i] for i in range(about.num_labels)]),
                        "max_length": str(positions), "export": json.dumps(asdict(config))})
    if config.precision == "int8-static":
        _check_scales(network, scales)
    return network


def linear_maps(model) -> list[str]:
    """Names of the linear maps that are quantised, in order: of each layer query, key, value, attention output,
    intermediate and FFN output; then the pooler. The classifier stays in fp32 (3 × 384 weights)."""
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
             "intermediate.dense", "output.dense")
    layers = len(model.bert.encoder.layer)
    return [f"bert.encoder.layer.{i}.{part}" for i in range(layers) for part in parts] + ["bert.pooler.dense"]


def _check_scales(network: _Network, scales: Scales | None) -> None:
    if scales is None:
        raise QuantizationError("int8-static needs activation ranges: pass scales=calibrate(model, encoded) or those "
                                "of quantisation-aware training, or export int8-dynamic")
    if scales.embedding_bits != network.config.embedding_bits:
        raise QuantizationError(f"the scales are for a word table of {scales.embedding_bits} bits, the export asks for "
                                f"{network.config.embedding_bits}: give both the same embedding_bits")
    for number in range(len(network.heads)):
        for part in ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense"):
            _activation(scales, f"bert.encoder.layer.{number}.{part}")
    _activation(scales, "bert.pooler.dense")


def _activation(scales: Scales, name: str) -> tuple[float, int]:
    if name not in scales.activation:
        raise QuantizationError(f"the scales have no activation range of {name!r}: calibrate the network that is "
                                "exported, after pruning and not before")
    return scales.activation[name]


# ---------------------------------------------------------------------------------------------
# The graph


class _Graph:
    """Nodes and constants of an ONNX graph under construction; values are known by name."""

    def __init__(self, fused: bool):
        from onnx import helper, numpy_helper

        self.fused, self.helper, self.numpy_helper = fused, helper, numpy_helper
        self.nodes, self.constants = [], {}

    def __call__(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes):
        """Adds a node; returns its output's name, or a list of names."""
        names = [f"{op}_{len(self.nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, name=f"{op}_{len(self.nodes)}",
                                                domain=domain, **attributes))
        return names if outputs > 1 else names[0]

    def fuse(self, op: str, *inputs: str, **attributes):
        """A node of ONNX Runtime's own operators."""
        return self(op, *inputs, domain="com.microsoft", **attributes)

    def constant(self, name: str, array) -> str:
        """A constant by name, made once."""
        if name not in self.constants:
            self.constants[name] = self.numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def tensor(self, name: str, kind: int, shape, raw: bytes) -> str:
        """A constant of a type that numpy has not (int4)."""
        self.constants[name] = self.helper.make_tensor(name, kind, shape, raw, raw=True)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def finish(self, network: _Network):
        from onnx import TensorProto as T

        make = self.helper.make_tensor_value_info
        graph = self.helper.make_graph(
            self.nodes, "classifier", [make(name, T.INT64, ["batch", "tokens"]) for name in INPUTS],
            [make("logits", T.FLOAT, ["batch", network.weights["classifier.weight"].shape[0]])],
            initializer=list(self.constants.values()))
        opsets = [self.helper.make_opsetid("", OPSET)]
        if self.fused:
            opsets.append(self.helper.make_opsetid("com.microsoft", 1))
        model = self.helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="seo_core")
        self.helper.set_model_props(model, network.about)
        return model


def _classifier(g: _Graph, n: _Network) -> None:
    """Embeddings, layers, pooler, classifier; the last node's output is named logits."""
    x = _embed(g, n)  # (B, T, H)
    mask = _mask(g)
    for number, heads in enumerate(n.heads):
        last = number == len(n.heads) - 1 and n.config.first_token_only
        x = _layer(g, n, f"bert.encoder.layer.{number}", x, mask, heads, last)
    first = g("Gather", x, g.constant("first", np.int64(0)), axis=1)  # (B, H)
    pooled = g("Tanh", _linear(g, n, ["bert.pooler.dense"], first))
    weight, bias = (g.constant(f"classifier.{k}", n.weights[f"classifier.{k}"]) for k in ("weight", "bias"))
    g.nodes.append(g.helper.make_node("Gemm", [pooled, weight, bias], ["logits"], name="classifier", transB=1))


def _embed(g: _Graph, n: _Network) -> str:
    """LayerNorm(word[ids] + position + type[segment]); the last two are one table of 2 × positions rows."""
    prefix = "bert.embeddings"
    position = n.weights[f"{prefix}.position_embeddings.weight"][: n.positions]  # (P, H)
    segment = n.weights[f"{prefix}.token_type_embeddings.weight"]  # (2, H)
    both = (segment[:, None] + position).reshape(-1, n.hidden)  # row = segment · P + position
    tokens = g("Slice", g("Shape", "input_ids"), g.ints(1), g.ints(2))  # (1,): T
    where = g("Range", g.constant("zero", np.int64(0)), g("Squeeze", tokens), g.constant("one", np.int64(1)))
    row = g("Add", g("Mul", "token_type_ids", g.ints(n.positions)), where)  # (B, T)
    skip = g("Gather", g.constant("position_and_segment", both), row)  # (B, T, H)
    return _norm(g, n, f"{prefix}.LayerNorm", _words(g, n), skip)


def _words(g: _Graph, n: _Network) -> str:
    """The word table's rows, dequantised after the look-up: (B, T, H)."""
    table, bits = n.weights["bert.embeddings.word_embeddings.weight"], n.config.embedding_bits
    if bits == 32:
        return g("Gather", g.constant("words", table), "input_ids")
    if bits == 8:
        q, scale = scheme.quantize_rows(table)
        rows = g("Cast", g("Gather", g.constant("words", q), "input_ids"), to=1)
        return g("Mul", rows, g("Gather", g.constant("words_scale", scale[:, None]), "input_ids"))
    q, scale = scheme.quantize_blocks(table)  # scale (V, H/b)
    if g.fused:
        from onnx import TensorProto

        words = g.tensor("words", TensorProto.INT4, table.shape, scheme.pack_int4(q).tobytes())
        return g.fuse("GatherBlockQuantized", words, "input_ids", g.constant("words_scale", scale),
                      block_size=scheme.INT4_BLOCK)
    half = n.hidden // 2  # two values a byte, left half of the row in the low bits: no interleaving after the look-up
    packed = (q[:, :half] + 8).astype(np.uint8) | (q[:, half:] + 8).astype(np.uint8) << 4
    rows = g("Gather", g.constant("words", packed), "input_ids")
    low = g("BitwiseAnd", rows, g.constant("low_bits", np.uint8(15)))
    high = g("BitShift", rows, g.constant("four", np.uint8(4)), direction="RIGHT")
    values = g("Sub", g("Cast", g("Concat", low, high, axis=-1), to=1), g.constant("eight", np.float32(8)))
    blocks = g("Reshape", values, g.ints(0, 0, scale.shape[1], -1))  # (B, T, H/b, b)
    scaled = g("Mul", blocks, g("Gather", g.constant("words_scale", scale[:, :, None]), "input_ids"))
    return g("Reshape", scaled, g.ints(0, 0, n.hidden))


def _mask(g: _Graph) -> str:
    """What attention reads: (B, T) int32 for the fused operator, else 0 or MASKED to add, (B, 1, 1, T)."""
    if g.fused:
        return g("Cast", "attention_mask", to=6)
    padding = g("Sub", g.constant("one_f", np.float32(1)), g("Cast", "attention_mask", to=1))
    return g("Mul", g("Unsqueeze", padding, g.ints(1, 2)), g.constant("masked", np.float32(MASKED)))


def _layer(g: _Graph, n: _Network, name: str, x: str, mask: str, heads: int, last: bool) -> str:
    """One encoder layer: x (B, T, H) -> (B, T, H), or (B, 1, H) of the first token where `last`."""
    attention = f"{name}.attention.self"
    width = n.weights[f"{attention}.query.weight"].shape[0]  # heads · head size
    read = _quantized(g, n, f"{attention}.query", x)
    if last:
        queries = g("Slice", x, g.ints(0), g.ints(1), g.ints(1))  # (B, 1, H)
        q = _linear(g, n, [f"{attention}.query"], queries)
        kv = _linear(g, n, [f"{attention}.key", f"{attention}.value"], x, read)
        k, v = g("Split", kv, g.ints(width, width), outputs=2, axis=-1)
    else:
        queries = x
        qkv = _linear(g, n, [f"{attention}.{part}" for part in ("query", "key", "value")], x, read)
        q, k, v = g("Split", qkv, g.ints(width, width, width), outputs=3, axis=-1)
    y = _attend(g, q, k, v, mask, heads, width // heads)
    y = _linear(g, n, [f"{name}.attention.output.dense"], y)
    x = _norm(g, n, f"{name}.attention.output.LayerNorm", y, queries)
    y = _gelu(g, _linear(g, n, [f"{name}.intermediate.dense"], x))
    return _norm(g, n, f"{name}.output.LayerNorm", _linear(g, n, [f"{name}.output.dense"], y), x)


def _attend(g: _Graph, q: str, k: str, v: str, mask: str, heads: int, size: int) -> str:
    """softmax(q kᵀ / √size + mask) v over heads: (B, Q, heads · size)."""
    if g.fused:
        return g.fuse("MultiHeadAttention", q, k, v, "", mask, num_heads=heads, mask_filter_value=MASKED)
    split, scale = g.ints(0, 0, heads, size), g.constant(f"scale_{size}", np.float32(size**-0.5))
    q, k, v = (g("Transpose", g("Reshape", t, split), perm=perm)
               for t, perm in ((g("Mul", q, scale), (0, 2, 1, 3)), (k, (0, 2, 3, 1)), (v, (0, 2, 1, 3))))
    p = g("Softmax", g("Add", g("MatMul", q, k), mask), axis=-1)  # (B, heads, Q, T)
    return g("Reshape", g("Transpose", g("MatMul", p, v), perm=(0, 2, 1, 3)), g.ints(0, 0, heads * size))


def _norm(g: _Graph, n: _Network, name: str, x: str, skip: str) -> str:
    """LayerNorm(x + skip)."""
    gamma, beta = (g.constant(f"{name}.{k}", n.weights[f"{name}.{k}"]) for k in ("weight", "bias"))
    if g.fused:
        return g.fuse("SkipLayerNormalization", x, skip, gamma, beta, epsilon=n.eps)
    return g("LayerNormalization", g("Add", x, skip), gamma, beta, epsilon=n.eps, axis=-1)


def _gelu(g: _Graph, x: str) -> str:
    """x Φ(x), with erf: not the tanh approximation, which the network was not trained with."""
    return g.fuse("Gelu", x) if g.fused else g("Gelu", x)


# ---------------------------------------------------------------------------------------------
# Linear maps


def _quantized(g: _Graph, n: _Network, name: str, x: str) -> str:
    """x as uint8 by the static range of the map that reads it; x itself where activations are not static."""
    if n.scales is None:
        return x
    scale, zero = _range(g, n, name)
    return g("QuantizeLinear", x, scale, zero)


def _range(g: _Graph, n: _Network, name: str) -> tuple[str, str]:
    scale, zero = _activation(n.scales, name)
    return g.constant(f"{name}.x_scale", np.float32(scale)), g.constant(f"{name}.x_zero", np.uint8(zero))


def _weight(n: _Network, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """int8 (in, out) and scales (out,) of maps that read one tensor, side by side."""
    integers, scales = [], []
    for name in names:
        w = n.weights[f"{name}.weight"]
        scale = n.scales.weight.get(name) if n.scales else None
        if scale is None:
            scale = scheme.weight_scales(w) if n.config.per_channel else scheme.tensor_scale(w)
        scale = np.asarray(scale, np.float32)
        if scale.shape != (len(w),):
            raise QuantizationError(f"{name} has {len(w)} output channels and {scale.shape} scales: calibrate the "
                                    "network that is exported, after pruning and not before")
        integers.append(scheme.quantize_weight(w, scale))
        scales.append(scale)
    return np.concatenate(integers).T, np.concatenate(scales)


def _linear(g: _Graph, n: _Network, names: list[str], x: str, read: str | None = None) -> str:
    """x W + b for one map, or several that read the same x, side by side: (…, in) -> (…, Σ out).

    read: x quantised already, by the range of names[0].
    """
    name = names[0] if len(names) == 1 else f"{names[0]}_{len(names)}"
    bias = g.constant(f"{name}.bias", np.concatenate([n.weights[f"{m}.bias"] for m in names]))
    if n.config.precision == "fp32":
        w = np.concatenate([n.weights[f"{m}.weight"] for m in names]).T
        return g("Add", g("MatMul", x, g.constant(f"{name}.weight", w)), bias)
    q, s = _weight(n, names)
    w, scale = g.constant(f"{name}.weight", q), g.constant(f"{name}.scale", s)
    if n.config.precision == "int8-dynamic":
        return _dynamic(g, x, w, scale, bias)
    source = names[0].replace("self.key", "self.query")  # key and value read query's tensor
    x_scale, x_zero = _range(g, n, source)
    read = read or _quantized(g, n, source, x)
    if g.fused:
        return g.fuse("MatMulIntegerToFloat", read, w, x_scale, scale, x_zero, "", bias)
    product = g("MatMul", g("DequantizeLinear", read, x_scale, x_zero), g("DequantizeLinear", w, scale, axis=1))
    return g("Add", product, bias)


def _dynamic(g: _Graph, x: str, w: str, scale: str, bias: str) -> str:
    if g.fused:
        return g.fuse("DynamicQuantizeMatMul", x, w, scale, "", bias)
    read, x_scale, x_zero = g("DynamicQuantizeLinear", x, outputs=3)
    product = g("Cast", g("MatMulInteger", read, w, x_zero), to=1)
    return g("Add", g("Mul", product, g("Mul", scale, x_scale)), bias)
