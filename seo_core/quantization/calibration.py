"""Static post-training quantisation: activation ranges from training text.

    scales = calibrate(model, train.take(slice(0, 512)))                    # an Encoded; labels are not read
    logits = predict(emulate(model, scales), encoded)                       # what the integer network will say

For each linear map the range [a, b] of the tensor that it reads decides s = (b − a) / 255 and z = round(−a / s). Three
ways to choose it from what calibration texts reach:

- "minmax": the extremes. Nothing is clipped; one outlier makes every step coarse.
- "percentile": the share of values that lies inside is fixed, the rest is clipped (both tails alike).
- "mse": the pair (a, b) with the least mean squared error of quantised against true values, among shrunken extremes
  (the criterion of Banner et al. 2019, Post training 4-bit quantization of convolutional networks; searched here).

Padding is left out: ranges are those of real tokens. In the last layer, where only the first token is read after
attention, the ranges are the first token's alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from seo_core.quantization import scheme
from seo_core.quantization.export import check_classifier, linear_maps
from seo_core.quantization.scheme import QuantizationError, Scales

METHODS = ("minmax", "percentile", "mse")
BINS = 2048  # of the histogram that percentile and mse look at: a 2048th of the range is an eighth of a step


@dataclass(frozen=True)
class CalibrationConfig:
    """How ranges are chosen. Unknown keys raise, as for any dataclass."""

    method: str = "mse"  # minmax | percentile | mse
    percentile: float = 99.99  # share of the values inside, in percent
    examples: int = 512  # of the texts given, evenly spread: some 20 000 tokens of MultiNLI
    batch_size: int = 32
    per_channel: bool = True  # weight scales; False: one per matrix, for comparison
    embedding_bits: int = 8  # of the word table: 32 | 8 | 4

    def __post_init__(self):
        if self.method not in METHODS:
            raise QuantizationError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        if not 50 < self.percentile <= 100:
            raise QuantizationError(f"percentile must be above 50 and at most 100, got {self.percentile!r}")
        if self.examples < 1 or self.batch_size < 1:
            raise QuantizationError("examples and batch_size must be 1 or more")
        scheme.check_bits(self.embedding_bits)


def calibrate(model, encoded, config: CalibrationConfig | None = None) -> Scales:
    """Scales of `model` (BERT or compact BERT classifier) from the texts `encoded`, whose labels are not read.

    Raises QuantizationError for another network, an empty calibration set, and activations that are not finite.
    """
    config = config or CalibrationConfig()
    check_classifier(model, "calibrate")
    if len(encoded) == 0:
        raise QuantizationError("the calibration set is empty: pass some hundred training texts, "
                                "such as bench.encoded('train')")
    rows = np.unique(np.linspace(0, len(encoded) - 1, min(config.examples, len(encoded))).astype(int))
    part = encoded.take(rows)
    extremes = _Extremes()
    _observe(model, part, config.batch_size, extremes)
    found = extremes.ranges
    for name, (low, high) in found.items():
        if not np.isfinite([low, high]).all():
            raise QuantizationError(f"the input of {name} is not finite on the calibration texts: the network has "
                                    "diverged. Train it again before quantising")
    if config.method != "minmax":
        histograms = _Histograms(found)
        _observe(model, part, config.batch_size, histograms)
        choose = _percentile_range if config.method == "percentile" else _mse_range
        found = {name: choose(counts.numpy(), *found[name], config) for name, counts in histograms.counts.items()}
    scale = scheme.weight_scales if config.per_channel else scheme.tensor_scale
    weights = {name: scale(_weight(model, name)) for name in linear_maps(model)}
    return Scales({name: scheme.activation_parameters(low, high) for name, (low, high) in found.items()}, weights,
                  config.embedding_bits)


def _weight(model, name: str) -> np.ndarray:
    return model.get_submodule(name).weight.detach().float().cpu().numpy()


# ---------------------------------------------------------------------------------------------
# What the texts reach


class _Extremes:
    """Smallest and largest value by linear map."""

    def __init__(self):
        self.ranges: dict[str, tuple[float, float]] = {}

    def __call__(self, name: str, values: torch.Tensor) -> None:
        low, high = self.ranges.get(name, (np.inf, -np.inf))
        a, b = (float(v) for v in values.aminmax())
        self.ranges[name] = (min(low, a), max(high, b))  # NaN in a or b survives: checked afterwards
        if a != a or b != b:
            self.ranges[name] = (float("nan"), float("nan"))


class _Histograms:
    """Counts of values in BINS bins between the extremes, by linear map."""

    def __init__(self, ranges: dict[str, tuple[float, float]]):
        self.ranges = ranges
        self.counts = {name: torch.zeros(BINS, dtype=torch.float64) for name in ranges}

    def __call__(self, name: str, values: torch.Tensor) -> None:
        low, high = self.ranges[name]
        if high > low:
            self.counts[name] += torch.histc(values, BINS, low, high).double()


def observed_maps(model) -> dict[str, bool]:
    """The linear maps whose inputs are quantised (query stands for key and value), and whether only the first token
    of that input is ever read."""
    last = f"bert.encoder.layer.{len(model.bert.encoder.layer) - 1}."
    return {name: name.startswith(last) and not name.endswith("query") for name in linear_maps(model)
            if not name.endswith(("self.key", "self.value"))}


def _observe(model, encoded, batch_size: int, observer) -> None:
    """Runs `model` over the texts and calls observer(name, values) with the real inputs of each linear map."""
    from seo_core.models.backbone import check_fits

    check_fits(model, encoded)
    device, was_training = next(model.parameters()).device, model.training
    mask, hooks = {}, []

    def watch(name: str, first_only: bool):
        def hook(module, inputs):
            x = inputs[0].detach().float()  # (B, T, d), or (B, d) for the pooler
            if x.ndim == 3:
                x = x[:, 0] if first_only else x[mask["real"]]
            observer(name, x.cpu())

        return hook

    try:
        for name, first_only in observed_maps(model).items():
            hooks.append(model.get_submodule(name).register_forward_pre_hook(watch(name, first_only)))
        model.eval()
        order = np.argsort(-encoded.lengths, kind="stable")  # texts of like length together
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                batch = encoded.batch(order[start : start + batch_size], device)
                batch.pop("labels")
                mask["real"] = batch["attention_mask"].bool()
                model(**batch)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)


def values_read(model, encoded, name: str, *, batch_size: int = 32) -> np.ndarray:
    """(n,) float32: all values that the linear map `name` reads on these texts, padding left out."""
    found = []
    _observe(model, encoded, batch_size, lambda other, x: found.append(x.numpy().ravel()) if other == name else None)
    return np.concatenate(found) if found else np.empty(0, np.float32)


# ---------------------------------------------------------------------------------------------
# Ranges from a histogram: counts (BINS,) between low and high


def _percentile_range(counts: np.ndarray, low: float, high: float, config: CalibrationConfig) -> tuple[float, float]:
    """The range that leaves (100 − percentile) / 2 percent out at each end, to a bin's width outwards."""
    if counts.sum() == 0:
        return low, high
    share, tail = np.cumsum(counts) / counts.sum(), (1 - config.percentile / 100) / 2
    width = (high - low) / BINS
    first = np.searchsorted(share, tail, side="right")
    last = np.searchsorted(share, 1 - tail, side="left")
    return low + width * first, low + width * (min(last, BINS - 1) + 1)


_SHRINK = np.linspace(0.2, 1.0, 33)  # candidate ends, as shares of the extremes


def _mse_range(counts: np.ndarray, low: float, high: float, config: CalibrationConfig) -> tuple[float, float]:
    """The range with the least mean squared quantisation error, among 33 × 33 shrunken ones."""
    if counts.sum() == 0:
        return low, high
    centres = low + (high - low) * (np.arange(BINS) + 0.5) / BINS
    kept = counts > 0
    x, weight = centres[kept].astype(np.float32), counts[kept] / counts.sum()
    best, chosen = np.inf, (low, high)
    for a in np.unique(min(low, 0.0) * _SHRINK):
        for b in np.unique(max(high, 0.0) * _SHRINK):
            if b - a <= 0:
                continue
            scale, zero = scheme.activation_parameters(a, b)
            back = scheme.dequantize_activation(scheme.quantize_activation(x, scale, zero), scale, zero)
            error = float(weight @ np.square(back - x, dtype=np.float64))
            if error < best:
                best, chosen = error, (float(a), float(b))
    return chosen


# ---------------------------------------------------------------------------------------------
# The integer network, emulated in fp32


class Emulated(nn.Module):
    """A copy of a network that quantises and dequantises where the exported integer graph quantises.

    Same logits as that graph up to fp32 rounding, at the speed of fp32: for accuracy before export, and to test it.
    Weights are replaced once; activations pass through `scheme` on their way into each linear map.
    """

    def __init__(self, model, scales: Scales):
        super().__init__()
        self.network, self.config = copy.deepcopy(model).eval(), model.config
        words = self.network.get_input_embeddings()
        with torch.no_grad():
            words.weight.copy_(scheme.quantized_table(words.weight.detach().float(), scales.embedding_bits))
            for name in linear_maps(model):
                module = self.network.get_submodule(name)
                scale = torch.as_tensor(np.asarray(scales.weight[name])) if name in scales.weight \
                    else scheme.weight_scales(module.weight)
                module.weight.copy_(scheme.dequantize_weight(scheme.quantize_weight(module.weight, scale), scale))
                source = name.replace("self.key", "self.query").replace("self.value", "self.query")
                if source not in scales.activation:
                    raise QuantizationError(f"the scales have no activation range of {source!r}: calibrate the "
                                            "network that is emulated, after pruning and not before")
                module.register_forward_pre_hook(_through(*scales.activation[source]))

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        """Token ids, mask and segment ids, each (B, T) -> logits (B, k)."""
        return self.network(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


def _through(scale: float, zero: int):
    def hook(module, inputs):
        return (scheme.dequantize_activation(scheme.quantize_activation(inputs[0], scale, zero), scale, zero),)

    return hook


def emulate(model, scales: Scales) -> Emulated:
    """`model` as the integers of `scales` will compute it, in fp32; see `Emulated`."""
    return Emulated(model, scales)
