"""Export: a trained BERT classifier, pruned or not, as an ONNX file in fp32 or int8.

    export_onnx(model, "model.onnx", ExportConfig("int8-static", embedding_bits=8), scales=calibrate(model, encoded))

The graph is written directly from the weights: BERT is a short, fixed list of operators, and a network whose layers
differ in heads and FFN width is no harder than a uniform one (tracing exporters and the fusion passes that follow them
know one head count per model). Inputs input_ids, attention_mask, token_type_ids: int64 (B, T), any B and T. Output
logits: float32 (B, k). What makes the file fast, on top of integers:

1. *Last layer, first token only*, as in `fastpath`: keys and values for every token, the rest for what is read.
2. *Tokens first*: activations are (T, B, H). The first token is then one contiguous piece, and attention can read a
   head by strides (FusedMatMul) where the usual (B, T, H) needs a copy for each of query, key and value.
3. *1 / √(head size)* folded into the query's scales and bias. (What query, key and value read is quantized once for
   the three; so it is in the library's int8 file.)
4. *Position and segment in one table*, so that embedding is two look-ups and one addition.

Of ONNX Runtime's own operators (com.microsoft), "onnxruntime" has MatMulIntegerToFloat and FusedMatMul. Not used, as on
a CPU they took more time than the plain operators that they stand for (ONNX Runtime 1.31.1, one thread, one trial):
MultiHeadAttention and SkipLayerNormalization (three layers in int8, a batch of 32: 42 ms of CPU time with both, 26 with
neither; SkipLayerNormalization alone cost 11) and GatherBlockQuantized, which looks up 4-bit words (5.5 ms of the 30
of `sqd`'s four layers on 32 × 40 tokens; Gather, BitwiseAnd and BitShift in its place 0.8, with equal logits to the
last bit). "standard" has operators of ONNX itself only, static quantization as QuantizeLinear/DequantizeLinear pairs:
what OpenVINO and other runtimes read.

Padded positions get no attention, so padding changes no logit in fp32 and int8-static. In int8-dynamic an activation's
range is taken over the whole batch, padded positions and the other texts included: logits then depend, slightly, on
what else is in the batch.
"""

import contextlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from seo_core.checks import check, one_of
from seo_core.deploy.runners import INPUTS, Runner, RunnerError
from seo_core.evaluation import predict
from seo_core.files import write, writing
from seo_core.models import COMPACT
from seo_core.quantization import scheme
from seo_core.quantization.scheme import QuantizationError, Scales, linear_maps

PRECISIONS = ("fp32", "int8-dynamic", "int8-static")
OPERATORS = ("onnxruntime", "standard")
OPSET, IR = 21, 10  # read by ONNX Runtime 1.20 and OpenVINO 2024.5 and later
OWN, DOMAIN = ("FusedMatMul", "MatMulIntegerToFloat"), "com.microsoft"  # ONNX Runtime's own operators
# Added to the score of a padded position. exp(-50) is 2e-22: nothing beside the 1 of the largest score, whose last bit
# is 6e-8, and a number that processors take in their stride. Further down (-1e4 was here) softmax meets denormals, and
# took three times as long over a batch with padding. Logits are equal to the last bit; a batch of 32 of like length
# took 1.25 times as long with two threads and AMX, before and after in one contest.
MASKED = -50.0


@dataclass(frozen=True)
class ExportConfig:
    """How `export_onnx` writes. Unknown keys raise, as for any dataclass."""

    precision: str = one_of(PRECISIONS, default="int8-static")
    embedding_bits: int = one_of(scheme.EMBEDDING_BITS, default=8)  # of the words: 32 | 8 by row | 4 by block of 32
    per_channel: bool = True  # a scale per output channel; False: one per matrix, for comparison
    operators: str = one_of(OPERATORS, default="onnxruntime")  # onnxruntime (fused) | standard (any runtime)
    max_length: int | None = None  # positions kept in the file, 1.5 kB each at hidden size 384; None: all
    first_token_only: bool = True  # last layer; False only to measure what it saves
    weight_bits: int | None = one_of(scheme.WEIGHT_BITS, default=None)  # None: as the scales say; without any, 7

    def __post_init__(self):
        check(self, QuantizationError)


def export_onnx(model, path: str | Path, config: ExportConfig | None = None, *, scales: Scales | None = None,
                untrained: bool = False) -> Path:
    """Writes `model` (a BERT or compact BERT sequence classifier) as ONNX to `path`, whole or not at all.

    scales: of calibration or quantization-aware training; needed for "int8-static", whose weights are quantized with
    them, otherwise unused. untrained: also a network whose head was never fitted (it says nothing, but its times and
    bytes are those of a trained one). Raises QuantizationError for what cannot be exported.
    """
    import onnx

    config, path = config or ExportConfig(), Path(path)
    if path.is_dir():
        raise QuantizationError(f"{path} is a folder: give the file's name too, such as model.onnx")
    if not path.parent.is_dir():
        raise QuantizationError(f"cannot write {path.name}: there is no folder {path.parent}. Make it, or choose "
                                "another")
    scales = scales if config.precision == "int8-static" else None
    _check_trained(model, scales, untrained)
    proto = _Graph(model, config, scales).proto()
    onnx.checker.check_model(proto)
    with writing(path.name, QuantizationError):
        write(path, proto.SerializeToString())
    return path


export = export_onnx  # by its short name, `seo_core.quantization.export.export`


def library_export(model, path: str | Path, *, int8: bool = False, fuse: bool = False, **options) -> Path:
    """The plain library route, the control of every comparison: no code of ours touches the graph.

    torch.onnx.export; fuse: then `onnxruntime.transformers.optimizer` for BERT; int8: then
    `onnxruntime.quantization.quantize_dynamic`, per_channel or not; reduce_range: its weights of 7 bits. A network
    with sizes of its own in each layer cannot be fused (the optimizer knows one number of heads), so fuse=True is for
    uniform ones. options: of `library_exports`.
    """
    return library_exports(model, {(int8, fuse): path}, **options)[int8, fuse]


def library_exports(model, paths: dict[tuple[bool, bool], str | Path], *, untrained: bool = False,
                    reduce_range: bool = False, per_channel: bool = True) -> dict[tuple[bool, bool], Path]:
    """Several `library_export`s of one network, traced once. paths: (int8, fuse) -> file; returned as Paths."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    _check_trained(model, None, untrained)
    paths, about = {kind: Path(path) for kind, path in paths.items()}, model.config
    with (tempfile.TemporaryDirectory(dir=next(iter(paths.values())).parent) as folder, contextlib.ExitStack() as after,
          warnings.catch_warnings(action="ignore")):  # about tracing, deprecation and pre-processing; logged ones too
        after.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.WARNING)
        steps = {kind: Path(folder) / f"{number}.onnx" for number, kind in enumerate(paths)}
        traced = Path(folder) / "traced.onnx"
        _torch_export(model, traced)
        for (int8, fuse), step in steps.items():
            source = traced
            if fuse:
                from onnxruntime.transformers import optimizer

                source = step.with_suffix(".fused")
                optimizer.optimize_model(str(traced), model_type="bert", opt_level=0, hidden_size=about.hidden_size,
                                         num_heads=about.num_attention_heads).save_model_to_file(str(source))
            if int8:
                quantize_dynamic(source, step, per_channel=per_channel, reduce_range=reduce_range,
                                 weight_type=QuantType.QInt8,
                                 extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
            else:
                shutil.copyfile(source, step)
        for kind, path in paths.items():
            os.replace(steps[kind], path)
    return paths


def _torch_export(model, path: Path) -> None:
    import torch

    from seo_core.models.backbone import mode

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            return self.model(**dict(zip(INPUTS, inputs, strict=True))).logits

    example = torch.ones(2, 8, dtype=torch.int64)
    axes = {**{name: {0: "batch", 1: "tokens"} for name in INPUTS}, "logits": {0: "batch"}}
    with mode(model):  # the tracing exporter: the newer one's graph does not get through quantize_dynamic's shapes
        torch.onnx.export(Logits().eval(), (example, example, 0 * example), str(path), input_names=list(INPUTS),
                          output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)


def bytes_by_part(path: str | Path) -> dict[str, int]:
    """Where the bytes of a file of `export_onnx` are: word table, positions, encoder, head, and the graph itself."""
    import onnx

    parts = {"words": "word table", "position_and_segment": "positions and segments", "bert.encoder": "encoder",
             "bert.pooler": "pooler and classifier", "classifier": "pooler and classifier"}
    sizes = dict.fromkeys(parts.values(), 0)
    for tensor in onnx.load(str(path)).graph.initializer:
        part = next((part for start, part in parts.items() if tensor.name.startswith(start)), "encoder")
        sizes[part] += len(tensor.raw_data)
    return {**sizes, "graph": Path(path).stat().st_size - sum(sizes.values())}


def parity(model, run: Runner, encoded) -> dict[str, float]:
    """How far an exported file is from the torch network it was made of, on n labelled texts. accuracy_torch,
    accuracy_exported, agreement (share of equal classes), max_logit_difference and mean_logit_difference. model: any
    that `evaluation.predict` takes, or its logits (n, k)."""
    if len(encoded) == 0:
        raise RunnerError("no texts to compare on: pass some, such as bench.comparison()")
    reference = model if isinstance(model, np.ndarray) else predict(model, encoded)
    exported = run.logits(encoded)
    gap = np.abs(exported - reference)
    report = {"agreement": float((exported.argmax(1) == reference.argmax(1)).mean()),
              "max_logit_difference": float(gap.max()), "mean_logit_difference": float(gap.mean())}
    if (encoded.labels >= 0).all():
        report["accuracy_torch"] = float((reference.argmax(1) == encoded.labels).mean())
        report["accuracy_exported"] = float((exported.argmax(1) == encoded.labels).mean())
    return report


def check_classifier(model, verb: str) -> None:
    """Raises QuantizationError for anything but a BERT or compact BERT sequence classifier."""
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in ("bert", COMPACT) or not hasattr(model, "classifier") or not hasattr(model, "bert"):
        raise QuantizationError(f"cannot {verb} {type(model).__name__}: integers and export here are for sequence "
                                "classifiers of type BERT and compact BERT. Use torch.onnx.export for others")


def _check_trained(model, scales: Scales | None, untrained: bool) -> None:
    """Raises QuantizationError for a network of `load_backbone` whose head is still random (unless `untrained`), and
    where it has learned step sizes that the file would not have."""
    from seo_core.quantization import qat

    if getattr(model, "fresh_head", False) and not untrained:
        raise QuantizationError("this network's head is random, it was never fitted: train it before exporting, or "
                                "pass untrained=True where only its time and size matter")
    if hasattr(model, "quantizer") and (scales is None or not scales.close(qat.scales(model))):
        raise QuantizationError("this network was trained in integers, and its step sizes would be lost: export it as "
                                "int8-static with scales=qat.scales(model), or take them off first with "
                                "seo_core.quantization.qat.detach(model)")


def _checked(model, config: ExportConfig, scales: Scales | None) -> tuple[dict[str, np.ndarray], int]:
    """The network's weights by name, and how many positions the file has. Raises QuantizationError."""
    check_classifier(model, "export")
    about = model.config
    places = getattr(about, "position_embedding_type", None) or "absolute"
    if about.hidden_act != "gelu" or places != "absolute":
        raise QuantizationError(f"cannot export a BERT with hidden_act={about.hidden_act!r} and {places} positions: "
                                "this exporter knows gelu and absolute positions")
    weights = {name: t.detach().float().cpu().numpy() for name, t in model.state_dict().items()
               if t.is_floating_point()}
    broken = next((name for name, w in weights.items() if not np.isfinite(w).all()), None)
    if broken:
        raise QuantizationError(f"{broken} holds values that are not finite: the network has diverged or was never "
                                "fitted. Train it again before exporting")
    have, wanted = about.max_position_embeddings, config.max_length
    if wanted is not None and not 1 <= wanted <= have:
        raise QuantizationError(f"max_length must be from 1 to the model's {have} positions, got {wanted}")
    if config.precision == "int8-static":
        if scales is None:
            raise QuantizationError("int8-static needs activation ranges: pass scales=calibrate(model, encoded) or "
                                    "those of quantization-aware training, or export int8-dynamic")
        for name, what in (("embedding_bits", "a word table"), ("weight_bits", "weights")):
            if getattr(config, name) not in (None, getattr(scales, name)):
                raise QuantizationError(f"the scales are for {what} of {getattr(scales, name)} bits, the export asks "
                                        f"for {getattr(config, name)}: give both the same {name}")
        for name in linear_maps(model):
            scales.range_of(name)
    return weights, wanted or have


class _Graph:
    """The ONNX graph of a network under construction: nodes and constants, known by name, and what they are made of."""

    def __init__(self, model, config: ExportConfig, scales: Scales | None):
        from onnx import helper, numpy_helper

        self.helper, self.numpy_helper, self.nodes, self.constants = helper, numpy_helper, [], {}
        self.scales, (self.weights, self.positions) = scales, _checked(model, config, scales)
        config = replace(config, weight_bits=config.weight_bits or (scales or Scales()).weight_bits)
        self.overflows = False  # whether products of bytes may exceed 16 bits, on CPUs that keep them there
        self.config, self.about, self.fused = config, model.config, config.operators == "onnxruntime"
        self.heads = [layer.attention.self.num_attention_heads for layer in model.bert.encoder.layer]

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes):
        """Adds a node; returns its output's name, or a list of names."""
        name = f"{op}_{len(self.nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)] if outputs > 1 else [name]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, name=name, **attributes,
                                                domain=DOMAIN if op in OWN else ""))
        return names if outputs > 1 else name

    def constant(self, name: str, array=None) -> str:
        """A constant by name, made once; by default the network's weight of that name."""
        if name not in self.constants:
            array = self.weights[name] if array is None else array
            self.constants[name] = self.numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def proto(self):
        """The model that the file holds, with what it says of itself."""
        from onnx import TensorProto as T

        _classifier(self)
        make, about = self.helper.make_tensor_value_info, self.about
        words, classes = (len(self.weights[f"{name}.weight"]) for name in ("bert.embeddings.word_embeddings",
                                                                           "classifier"))
        graph = self.helper.make_graph(
            self.nodes, "classifier", [make(name, T.INT64, ["batch", "tokens"]) for name in INPUTS],
            [make("logits", T.FLOAT, ["batch", classes])], initializer=list(self.constants.values()))
        domains = {"": OPSET, **({DOMAIN: 1} if self.fused else {})}
        model = self.helper.make_model(graph, ir_version=IR, producer_name="seo_core", opset_imports=[
            self.helper.make_opsetid(*domain) for domain in domains.items()])
        how = {**asdict(self.config), "overflows": self.overflows}
        self.helper.set_model_props(model, {
            "labels": json.dumps([about.id2label[i] for i in range(about.num_labels)]),
            "max_length": str(self.positions), "vocabulary": str(words), "export": json.dumps(how),
            **({} if about.type_vocab_size > 1 else {"segments": "1"})})
        return model


def _classifier(g: _Graph) -> None:
    """Embeddings, layers, pooler, classifier; the last node's output is named logits."""
    x = _embed(g)  # (T, B, H)
    padding = g("Sub", g.constant("one_f", np.float32(1)), g("Cast", "attention_mask", to=1))
    mask = g("Mul", g("Unsqueeze", padding, g.ints(1, 2)), g.constant("masked", np.float32(MASKED)))  # (B, 1, 1, T)
    for number, heads in enumerate(g.heads):
        last = number == len(g.heads) - 1 and g.config.first_token_only
        x = _layer(g, f"bert.encoder.layer.{number}", x, mask, heads, last)
    first = g("Gather", x, g.constant("zero", np.int64(0)), axis=0)  # (B, H)
    pooled = g("Tanh", _linear(g, "bert.pooler.dense", first))
    inputs = [pooled, g.constant("classifier.weight"), g.constant("classifier.bias")]
    g.nodes.append(g.helper.make_node("Gemm", inputs, ["logits"], name="classifier", transB=1))


def _embed(g: _Graph) -> str:
    """LayerNorm(word[ids] + position + type[segment]); the last two are one table of 2 × positions rows."""
    prefix = "bert.embeddings"
    position = g.weights[f"{prefix}.position_embeddings.weight"][: g.positions]  # (P, H)
    segment = g.weights[f"{prefix}.token_type_embeddings.weight"]  # (2, H)
    both = (segment[:, None] + position).reshape(-1, g.about.hidden_size)  # row = segment · P + position
    tokens = g("Slice", g("Shape", "input_ids"), g.ints(1), g.ints(2))  # (1,): T
    where = g("Range", g.constant("zero", np.int64(0)), g("Squeeze", tokens), g.constant("one", np.int64(1)))
    row = g("Add", g("Mul", "token_type_ids", g.ints(g.positions)), where)  # (B, T)
    skip = g("Gather", g.constant("position_and_segment", both), g("Transpose", row, perm=(1, 0)))  # (T, B, H)
    return _norm(g, f"{prefix}.LayerNorm", _words(g, g("Transpose", "input_ids", perm=(1, 0))), skip)


def _words(g: _Graph, ids: str) -> str:
    """The word table's rows of ids (T, B), dequantized after the look-up: (T, B, H)."""
    table, bits = g.weights["bert.embeddings.word_embeddings.weight"], g.config.embedding_bits
    if bits == 32:
        return g("Gather", g.constant("words", table), ids)
    if bits == 8:
        q, scale = scheme.quantize_rows(table)
        rows = g("Cast", g("Gather", g.constant("words", q), ids), to=1)
        return g("Mul", rows, g("Gather", g.constant("words_scale", scale[:, None]), ids))
    q, scale = scheme.quantize_blocks(table)  # scale (V, H/b)
    values = _unpacked(g, g("Gather", g.constant("words", scheme.pack_int4(q.reshape(table.shape))), ids))
    blocks = g("Reshape", values, g.ints(0, 0, scale.shape[1], -1))  # (B, T, H/b, b)
    scaled = g("Mul", blocks, g("Gather", g.constant("words_scale", scale[:, :, None]), ids))
    return g("Reshape", scaled, g.ints(0, 0, g.about.hidden_size))


def _unpacked(g: _Graph, packed: str) -> str:
    """What `scheme.pack_int4` packed, (…, H / 2) uint8 -> (…, H) in fp32."""
    if g.fused:
        low = g("BitwiseAnd", packed, g.constant("fifteen", np.uint8(15)))
        high = g("BitShift", packed, g.constant("four", np.uint8(4)), direction="RIGHT")
        both = g("Cast", g("Concat", low, high, axis=-1), to=1)
    else:  # in fp32: shifts are not read alike by all
        packed = g("Cast", packed, to=1)
        high = g("Floor", g("Mul", packed, g.constant("sixteenth", np.float32(1 / 16))))
        low = g("Sub", packed, g("Mul", high, g.constant("sixteen", np.float32(16))))
        both = g("Concat", low, high, axis=-1)
    return g("Sub", both, g.constant("eight", np.float32(8)))


def _layer(g: _Graph, name: str, x: str, mask: str, heads: int, last: bool) -> str:
    """One encoder layer: x (T, B, H) -> (T, B, H), or (1, B, H) of the first token where `last`."""
    attention = f"{name}.attention.self"
    size = g.weights[f"{attention}.query.weight"].shape[0] // heads
    read = _quantized(g, f"{attention}.query", x)  # once for the three that read it
    queries, read_queries = (_first(g, x), read and (_first(g, read[0]), *read[1:])) if last else (x, read)
    q = _linear(g, f"{attention}.query", queries, read_queries, factor=size**-0.5)
    k, v = (_linear(g, f"{attention}.{part}", x, read) for part in ("key", "value"))
    y = _linear(g, f"{name}.attention.output.dense", _attend(g, q, k, v, mask, heads, size))
    x = _norm(g, f"{name}.attention.output.LayerNorm", y, queries)
    # x Φ(x), with erf: not the tanh approximation, which the network was not trained with
    y = g("Gelu", _linear(g, f"{name}.intermediate.dense", x))
    return _norm(g, f"{name}.output.LayerNorm", _linear(g, f"{name}.output.dense", y), x)


def _first(g: _Graph, x: str) -> str:
    """(T, B, H) -> (1, B, H): what belongs to the first token."""
    return g("Slice", x, g.ints(0), g.ints(1), g.ints(0))


def _attend(g: _Graph, q: str, k: str, v: str, mask: str, heads: int, size: int) -> str:
    """softmax(q kᵀ + mask) v over heads, with q scaled already: (Q, B, heads · size) and (T, B, …) -> (Q, B, …)."""
    q, k, v = (g("Reshape", t, g.ints(0, 0, heads, size)) for t in (q, k, v))  # (T, B, nh, hs)
    if g.fused:  # reads (T, B, nh, hs) as (B, nh, T, hs) by strides
        scores = g("FusedMatMul", q, k, transBatchA=1, transBatchB=1, transB=1)
    else:
        scores = g("MatMul", g("Transpose", q, perm=(1, 2, 0, 3)), g("Transpose", k, perm=(1, 2, 3, 0)))
    p = g("Softmax", g("Add", scores, mask), axis=-1)  # (B, nh, Q, T)
    mixed = (g("FusedMatMul", p, v, transBatchB=1) if g.fused else
             g("MatMul", p, g("Transpose", v, perm=(1, 2, 0, 3))))
    return g("Reshape", g("Transpose", mixed, perm=(2, 0, 1, 3)), g.ints(0, 0, heads * size))


def _norm(g: _Graph, name: str, x: str, skip: str) -> str:
    """LayerNorm(x + skip)."""
    gamma, beta = g.constant(f"{name}.weight"), g.constant(f"{name}.bias")
    return g("LayerNormalization", g("Add", x, skip), gamma, beta, epsilon=g.about.layer_norm_eps, axis=-1)


def _quantized(g: _Graph, name: str, x: str) -> tuple[str, str, str] | None:
    """x as the map `name` reads it, with its scale and zero point: by its static range, or by the range that x has now;
    None in fp32."""
    if g.config.precision == "fp32":
        return None
    if g.scales is None:
        return g("DynamicQuantizeLinear", x, outputs=3)
    scale, zero = g.scales.range_of(name)
    scale, zero = g.constant(f"{name}.x_scale", np.float32(scale)), g.constant(f"{name}.x_zero", np.uint8(zero))
    return g("QuantizeLinear", x, scale, zero), scale, zero


def _linear(g: _Graph, name: str, x: str, read: tuple[str, str, str] | None = None, factor: float = 1.0) -> str:
    """factor · (x Wᵀ + b): (…, in) -> (…, out). read: x, quantized for this map already. The factor is that of
    attention, 1 / √(head size); it goes into the scales and the bias, so it costs nothing."""
    weight, bias = g.weights[f"{name}.weight"], np.float32(factor) * g.weights[f"{name}.bias"]
    bias = g.constant(f"{name}.bias", bias)
    if g.config.precision == "fp32":
        return g("Add", g("MatMul", x, g.constant(f"{name}.weight", np.float32(factor) * weight.T)), bias)
    bits = g.config.weight_bits
    steps = (g.scales or Scales(weight_bits=bits)).steps_of(
        name, weight, None if g.config.per_channel else scheme.tensor_scale)
    integers = scheme.quantize_weight(weight, steps, bits)  # int8 (out, in)
    g.overflows |= scheme.overflows(integers)
    if bits == 4:  # two to a byte in the file; no input is read, so the runtime unpacks them once, when it loads it
        packed = g.constant(f"{name}.weight", scheme.pack_int4(integers.T.reshape(1, -1)))
        w = g("Reshape", g("Cast", _unpacked(g, packed), to=3), g.ints(*integers.T.shape))
    else:
        w = g.constant(f"{name}.weight", integers.T)
    scale = g.constant(f"{name}.scale", np.float32(factor) * steps)
    q, step, zero = read or _quantized(g, name, x)
    if g.fused:
        return g("MatMulIntegerToFloat", q, w, step, scale, zero, "", bias)
    if g.scales is None:
        product = g("Cast", g("MatMulInteger", q, w, zero), to=1)
        return g("Add", g("Mul", product, g("Mul", scale, step)), bias)
    zeros = g.constant(f"{name}.zero", np.zeros(len(steps), np.int8))
    product = g("MatMul", g("DequantizeLinear", q, step, zero), g("DequantizeLinear", w, scale, zeros, axis=1))
    return g("Add", product, bias)
