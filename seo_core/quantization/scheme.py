"""The integer scheme: one arithmetic for calibration, quantization-aware training and export.

    weights      q = clip(round(w / s_w), -m, m)         symmetric, one scale per output channel; m = 127, 64 or 7
    activations  q = clip(round(x / s_x) + z_x, 0, 255)  uint8, asymmetric, one range per tensor
    word table   int8 symmetric per row, or int4 symmetric per block of a row

after Jacob et al. 2018 (Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference, eq. 1: r = S(q − Z)). Rounding is half to even, ONNX's and torch's. With integers on both sides,

    y = s_x s_w[j] Σ_i (q_x[i] − z_x) q_w[j, i] + b[j]

is an exact sum of integers, scaled once: what QuantizeLinear → MatMulInteger → scale computes on the CPU, and what
"fake quantization" (quantize, dequantize, multiply in fp32) computes up to fp32 rounding.

m is 127 with 8 bits a weight and 64 with 7. CPUs without VNNI multiply bytes in pairs and keep the sum of two products
in 16 bits (vpmaddubsw): 2 · 255 · 127 does not fit there, and what is too large is cut off without a word; 2 · 255 · 64
= 32 640 fits. Such a file says the same on every CPU, at full speed. So does one of 8 bits with `pair_scales`, which
hold the sum of two neighbours to 128 and a single weight to 127: finer than 7 bits wherever the largest weights of a
row do not stand side by side, and so the default of rounding after training (`calibration`). Training, which moves the
weights and their scales apart, cannot promise that, so it takes 7 bits, as do weights whose scales nobody chose.

With 4 bits m is 7: fifteen values, where rounding costs something. In the file two weights share a byte; the runtime
unpacks them once, when it loads the file, and computes in int8: half the encoder's bytes on disk, no gain in memory or
time. A row's largest weight then sets too coarse a step, so the scale is the one with the least squared error of the
row among shrunken ones (Banner et al. 2019, Post training 4-bit quantization of convolutional networks, whose clipping
is searched here).

Every function takes numpy arrays or torch tensors and returns the same kind, without a useful gradient: straight-
through estimation is training's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seo_core.checks import check, check_choice, one_of
from seo_core.files import atomic

WEIGHT_MAX = {8: 127, 7: 64, 4: 7}  # m by bits; ±127 and not −128: symmetric. Seven bits never saturate, see above
ACTIVATION_MAX = 255
INT4_BLOCK = 32  # values of a row that share a scale: 4 bits + 32/32 for the scale = 5 bits per weight
EMBEDDING_BITS = (32, 8, 4)
WEIGHT_BITS = tuple(WEIGHT_MAX)


class QuantizationError(ValueError):
    """A quantization or export that cannot be done as asked; the message says what can."""


def linear_maps(model) -> dict:
    """Name -> module of the linear maps that are quantized, in order: of each layer query, key, value, attention
    output, intermediate and FFN output; then the pooler. The classifier stays in fp32 (3 × 384 weights)."""
    from torch import nn

    return {name: module for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and name.startswith(("bert.encoder.", "bert.pooler."))}


def reader(name: str) -> str:
    """The map that stands for the tensor which `name` reads: query for key and value, else the map itself."""
    return name.replace("self.key", "self.query").replace("self.value", "self.query")


@dataclass(frozen=True)
class Scales:
    """Everything a statically quantized network needs beside its weights. activation: by the linear map that reads the
    tensor, (scale, zero point); query stands for query, key and value, which read the same tensor. weight: by linear
    map, (out,) float32 scales. Names as in `model.named_modules()`."""

    activation: dict[str, tuple[float, int]] = field(default_factory=dict)
    weight: dict[str, np.ndarray] = field(default_factory=dict)
    embedding_bits: int = one_of(EMBEDDING_BITS, default=8)  # of the word table
    weight_bits: int = one_of(WEIGHT_BITS, default=7)  # what `weight` is for; 7 cannot saturate, whatever it is

    def __post_init__(self):
        check(self, QuantizationError)
        for name, (scale, zero) in self.activation.items():
            if not (np.isfinite(scale) and scale > 0 and int(zero) == zero and 0 <= zero <= ACTIVATION_MAX):
                raise QuantizationError(f"activation of {name!r}: scale must be above 0 and the zero point a whole "
                                        f"number from 0 to {ACTIVATION_MAX}, got ({scale!r}, {zero!r})")
        for name, scale in self.weight.items():
            if np.ndim(scale) != 1 or not np.all(np.isfinite(scale)) or not np.all(np.asarray(scale) > 0):
                raise QuantizationError(f"weight of {name!r}: scales must be (out,), finite and above 0")

    def range_of(self, name: str) -> tuple[float, int]:
        """(scale, zero point) of the tensor that the map `name` reads. Raises QuantizationError where there is none."""
        if reader(name) not in self.activation:
            raise QuantizationError(f"the scales have no activation range of {reader(name)!r}: calibrate the network "
                                    "that they are for, after pruning and not before")
        return self.activation[reader(name)]

    def steps_of(self, name: str, weight, missing: Callable | None = None):
        """Scales (out,) of the map `name`, as an array of the kind of its weight (out, in); where there are none,
        missing(weight, bits), which is `weight_scales`. Raises QuantizationError for another number of channels."""
        steps = self.weight.get(name)
        if steps is None:
            return (missing or weight_scales)(weight, self.weight_bits)
        if len(steps) != len(weight):
            raise QuantizationError(f"{name} has {len(weight)} output channels and {len(steps)} scales: calibrate the "
                                    "network that they are for, after pruning and not before")
        if isinstance(weight, np.ndarray):
            return np.asarray(steps, np.float32)
        import torch

        return torch.tensor(np.asarray(steps, np.float32), device=weight.device)

    def close(self, other: Scales) -> bool:
        """Whether both quantize alike, but for what going through logarithms and files rounds."""
        return (self.embedding_bits == other.embedding_bits and self.weight_bits == other.weight_bits
                and _alike(self.activation, other.activation) and _alike(self.weight, other.weight))

    def save(self, path: str | Path) -> Path:
        """Writes the scales as safetensors: weights as tensors, the rest as JSON metadata; whole or not at all."""
        from safetensors.numpy import save_file

        metadata = {"activation": json.dumps({k: [float(s), int(z)] for k, (s, z) in self.activation.items()}),
                    "embedding_bits": str(self.embedding_bits), "weight_bits": str(self.weight_bits)}
        with atomic(path) as partial:
            save_file({k: np.ascontiguousarray(v, np.float32) for k, v in self.weight.items()}, partial, metadata)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Scales:
        """What `save` wrote. Raises QuantizationError for a file that is not such."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                weight = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            activation = {k: (float(s), int(z)) for k, (s, z) in json.loads(metadata["activation"]).items()}
            bits = int(metadata.get("weight_bits", 8))  # files from before there was a choice do not say it
            return cls(activation, weight, int(metadata["embedding_bits"]), bits)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise QuantizationError(f"{Path(path).name} holds no scales ({error}): write them with Scales.save"
                                    ) from error


def _alike(ours: dict, theirs: dict) -> bool:
    """The same names, and numbers that differ by less than a zero point can: by 1 in 10^5."""
    return ours.keys() == theirs.keys() and all(
        np.shape(ours[name]) == np.shape(theirs[name]) and np.allclose(ours[name], theirs[name], rtol=1e-5, atol=0)
        for name in ours)


def weight_scales(w, bits: int = 8):
    """Scales (out,) of a weight matrix (out, in): each row's largest magnitude becomes m, or of 4 bits is cut where
    that lowers the row's squared error; 1 for a row of zeros."""
    most = _positive(_absmax(w) / WEIGHT_MAX[bits])
    if bits != 4:
        return most
    best, least = most, None
    for share in _SHRINK:
        steps = most * share
        error = ((dequantize_weight(quantize_weight(w, steps, bits), steps) - w) ** 2).sum(-1)
        if least is None:
            least = error
        lower = error < least
        best, least = best + lower * (steps - best), least + lower * (error - least)
    return best


_SHRINK = tuple(1 - 0.05 * n for n in range(13))  # of the largest magnitude, from all of it down to two fifths


def pair_scales(w):
    """Scales (out,) for 8 bits by which no two neighbours of a row of w (out, in) overflow 16 bits together. With
    s = max(|w_i|, |w_2i + w_2i+1|) / 127 their integers sum to 128 at most, rounding counted: 255 · 128 = 32 640."""
    even = w[:, : w.shape[1] // 2 * 2].reshape(len(w), -1, 2)
    sums, single = _absmax(even.sum(-1)) if even.shape[1] else 0 * _absmax(w), _absmax(w)
    return _positive((sums + single + abs(sums - single)) / 2 / WEIGHT_MAX[8])  # (a + b + |a − b|) / 2: the larger


def overflows(q) -> bool:
    """Whether products of a row's neighbours in q, int8 (out, in), with activations of 255 may not fit into 16 bits."""
    even = _as(q[:, : q.shape[1] // 2 * 2], "int32").reshape(len(q), -1, 2)
    return bool((abs(even.sum(-1)) * ACTIVATION_MAX > 2**15 - 1).any())


def quantize_weight(w, scale, bits: int = 8):
    """(out, in), scales (out,) -> int8 (out, in): clip(round(w / s[:, None]), −m, m); blocks as in its inverse."""
    return _as((w / scale[..., None]).round().clip(-WEIGHT_MAX[bits], WEIGHT_MAX[bits]), "int8")


def dequantize_weight(q, scale):
    """int8 (out, in), scales (out,) -> float32 (out, in); blocks (V, H/b, b) with scales (V, H/b) alike."""
    return _as(q, "float32") * scale[..., None]


def tensor_scale(w, bits: int = 8):
    """Scales (out,), all equal: one for the whole matrix (the contrast to per channel)."""
    rows = _absmax(w)
    return _positive(rows * 0 + rows.max() / WEIGHT_MAX[bits])


def activation_parameters(low: float, high: float) -> tuple[float, int]:
    """(scale, zero point) of the uint8 range that covers [low, high] and 0. Zero is exact (q = z), so that padding and
    ReLU-like zeros cost nothing. scale is a float32 value. Raises QuantizationError where the range is empty or not
    finite."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32((high - low) / ACTIVATION_MAX)
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        raise QuantizationError(f"no activation range: [{low}, {high}]. Calibrate on text that reaches this tensor")
    return float(scale), int(np.clip(np.rint(-low / scale), 0, ACTIVATION_MAX))


def quantize_activation(x, scale: float, zero: int):
    """x of any shape -> uint8: clip(round(x / s) + z, 0, 255)."""
    return _as(((x / scale).round() + zero).clip(0, ACTIVATION_MAX), "uint8")


def dequantize_activation(q, scale: float, zero: int):
    """uint8 -> float32: s (q − z)."""
    return (_as(q, "float32") - zero) * scale


def quantize_rows(table):
    """(V, H) -> int8 (V, H), scales (V,): symmetric per row."""
    scale = weight_scales(table)
    return quantize_weight(table, scale), scale


def quantize_blocks(table):
    """(V, H) -> int8 (V, H/b, b) holding −7 … 7, scales (V, H/b): symmetric per block of a row, b = INT4_BLOCK."""
    rows, hidden = table.shape
    if hidden % INT4_BLOCK:
        raise QuantizationError(f"words of {hidden} values cannot be cut into blocks of {INT4_BLOCK}: take 8 bits")
    blocks = table.reshape(rows, -1, INT4_BLOCK)
    scale = _positive(_absmax(blocks) / WEIGHT_MAX[4])
    return quantize_weight(blocks, scale, 4), scale


def quantized_table(table, bits: int):
    """(V, H) float -> (V, H) float32 as the exported model reads it: through int8 rows, int4 blocks, or unchanged."""
    if check_choice("embedding_bits", bits, EMBEDDING_BITS, QuantizationError) == 32:
        return table
    return dequantize_weight(*(quantize_rows if bits == 8 else quantize_blocks)(table)).reshape(table.shape)


def pack_int4(q: np.ndarray) -> np.ndarray:
    """int8 (V, H) of −8 … 7 -> uint8 (V, H / 2): value + 8, the left half of a row in the low bits, the right half in
    the high ones. Halves and not neighbours, so that nothing has to be interleaved after a look-up."""
    left, right = np.split((q + 8).astype(np.uint8), 2, axis=1)
    return left | right << 4


def _absmax(x):
    return np.abs(x).max(axis=-1) if isinstance(x, np.ndarray) else x.abs().amax(dim=-1)


def _positive(scale):
    """A scale of 0 (nothing but zeros) becomes 1: every quotient is then 0, as it should be."""
    if isinstance(scale, np.ndarray):
        return np.where(scale > 0, scale, 1).astype(np.float32)
    return scale.float().masked_fill(scale <= 0, 1.0)


def _as(x, kind: str):
    if isinstance(x, np.ndarray):
        return x.astype(kind)
    import torch

    return x.to(getattr(torch, kind))
