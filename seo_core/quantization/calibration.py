"""Static post-training quantization: activation ranges from training text.

    scales = calibrate(model, train.take(slice(0, 512)))                    # an Encoded; labels are not read
    logits = predict(emulate(model, scales), encoded)                       # what the integer network will say

For each linear map the range [a, b] of the tensor that it reads decides s = (b − a) / 255 and z = round(−a / s). Three
ways to choose it from what calibration texts reach:

- "minmax": the extremes. Nothing is clipped; one outlier makes every step coarse.
- "percentile": the share of values that lies inside is fixed, the rest is clipped (both tails alike).
- "mse": the pair (a, b) with the least mean squared error of quantized against true values, among shrunken extremes
  (the criterion of Banner et al. 2019, Post training 4-bit quantization of convolutional networks; searched here).

Padding is left out: ranges are those of real tokens. In the last layer, where only the first token is read after
attention, the ranges are the first token's alone.

Weights get 8 bits, held so that no two neighbours' products can saturate on a CPU without VNNI (`scheme`). Measured on
the book's baseline (book/reference/cpu/bench_saturation; both official sets of MultiNLI, points against 8 bits that do
saturate, 95% interval), that loses 0.03 [−0.20, 0.27] at 1.01 times the speed, where 7 bits, as safe, lose 0.22 [−0.02,
0.47] at 1.00. A network that is to be *trained* in integers takes `CalibrationConfig(weight_bits=7)`: training moves
weights and scales apart, which only 7 bits outlast, and it makes good what they lose.
"""

import contextlib
import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from seo_core.checks import above, at_least, check, one_of
from seo_core.models.backbone import check_fits, mode
from seo_core.quantization import scheme
from seo_core.quantization.export import check_classifier
from seo_core.quantization.scheme import EMBEDDING_BITS, WEIGHT_BITS, QuantizationError, Scales, linear_maps, reader

METHODS = ("minmax", "percentile", "mse")
BINS = 2048  # of the histogram that percentile and mse look at: a 2048th of the range is an eighth of a step


@dataclass(frozen=True)
class CalibrationConfig:
    """How ranges are chosen. Unknown keys raise, as for any dataclass."""

    method: str = one_of(METHODS, default="mse")
    percentile: float = above(50, most=100, default=99.99)  # share of the values inside, in percent
    examples: int = at_least(1, default=512)  # of the texts given, evenly spread: some 20 000 tokens of MultiNLI
    batch_size: int = at_least(1, default=32)
    per_channel: bool = True  # weight scales; False: one per matrix, for comparison
    embedding_bits: int = one_of(EMBEDDING_BITS, default=8)  # of the word table
    weight_bits: int = one_of(WEIGHT_BITS, default=8)  # of the linear maps; 7 for what is trained on, see above
    pairs: bool | None = None  # no two neighbours may saturate (`scheme.pair_scales`); None: with 8 bits. 7 never can

    def __post_init__(self):
        check(self, QuantizationError)
        if self.by_pairs and not (self.per_channel and self.weight_bits == 8):
            raise QuantizationError("pairs is for weights of 8 bits with a scale per channel: leave weight_bits and "
                                    "per_channel as they are, or set pairs=False (8 bits may then saturate on CPUs "
                                    "without VNNI, 7 cannot)")

    @property
    def by_pairs(self) -> bool:
        """Whether the weights' scales look at pairs."""
        return self.weight_bits == 8 if self.pairs is None else self.pairs


def calibrate(model, encoded, config: CalibrationConfig | None = None) -> Scales:
    """Scales of `model` (BERT or compact BERT classifier) from the texts `encoded`, whose labels are not read. Raises
    QuantizationError for another network, an empty calibration set, and activations that are not finite."""
    config = config or CalibrationConfig()
    check_classifier(model, "calibrate")
    if len(encoded) == 0:
        raise QuantizationError("the calibration set is empty: pass some hundred training texts, "
                                "such as bench.encoded('train')")
    part = encoded.take(np.unique(np.linspace(0, len(encoded) - 1, min(config.examples, len(encoded))).astype(int)))
    ranges, counts = {}, {}  # by linear map: (smallest, largest value), and how many values are in each bin between

    def widen(name: str, values: torch.Tensor) -> None:
        (low, high), (least, most) = ranges.get(name, (np.inf, -np.inf)), values.aminmax()
        ranges[name] = float(np.minimum(low, float(least))), float(np.maximum(high, float(most)))  # NaN remains

    def count(name: str, values: torch.Tensor) -> None:
        low, high = ranges[name]
        if high > low:
            counts[name] = counts.get(name, 0) + torch.histc(values, BINS, low, high).double()

    _observe(model, part, config.batch_size, widen)
    for name, ends in ranges.items():
        if not np.isfinite(ends).all():
            raise QuantizationError(f"the input of {name} is not finite on the calibration texts: the network has "
                                    "diverged. Train it again before quantizing")
    if config.method != "minmax":
        _observe(model, part, config.batch_size, count)
        choose = _percentile_range if config.method == "percentile" else _mse_range
        ranges |= {name: choose(found.numpy(), *ranges[name], config) for name, found in counts.items()}
    scale = partial(scheme.weight_scales if config.per_channel else scheme.tensor_scale, bits=config.weight_bits)
    scale = scheme.pair_scales if config.by_pairs else scale
    weights = {name: scale(module.weight.detach().float().cpu().numpy())
               for name, module in linear_maps(model).items()}
    return Scales({name: scheme.activation_parameters(low, high) for name, (low, high) in ranges.items()}, weights,
                  config.embedding_bits, config.weight_bits)


def observed_maps(model) -> dict[str, bool]:
    """The linear maps whose inputs are quantized (query stands for key and value), and whether only the first token
    of that input is ever read."""
    last = f"bert.encoder.layer.{len(model.bert.encoder.layer) - 1}."
    return {name: name.startswith(last) and not name.endswith("query") for name in linear_maps(model)
            if reader(name) == name}


def _observe(model, encoded, batch_size: int, observer) -> None:
    """Runs `model` over the texts and calls observer(name, values) with the real inputs of each linear map."""
    check_fits(model, encoded)
    device, mask = next(model.parameters()).device, {}

    def hook(name: str, first_only: bool, module, inputs):
        x = inputs[0].detach().float()  # (B, T, d), or (B, d) for the pooler
        if x.ndim == 3:
            x = x[:, 0] if first_only else x[mask["real"]]
        observer(name, x.cpu())

    with contextlib.ExitStack() as after, torch.inference_mode():
        for name, first_only in observed_maps(model).items():
            after.enter_context(model.get_submodule(name).register_forward_pre_hook(partial(hook, name, first_only)))
        after.enter_context(mode(model))
        for rows in encoded.batches(batch_size):
            batch = encoded.inputs(rows, device)
            mask["real"] = batch["attention_mask"].bool()
            model(**batch)


def values_read(model, encoded, name: str, *, batch_size: int = 32) -> np.ndarray:
    """(n,) float32: all values that the linear map `name` reads on these texts, padding left out."""
    read = []
    _observe(model, encoded, batch_size, lambda other, x: read.append(x.numpy().ravel()) if other == name else None)
    return np.concatenate(read) if read else np.empty(0, np.float32)


def _percentile_range(counts: np.ndarray, low: float, high: float, config: CalibrationConfig) -> tuple[float, float]:
    """The range that leaves (100 − percentile) / 2 percent out at each end, to a bin's width outwards."""
    share, tail = np.cumsum(counts) / counts.sum(), (1 - config.percentile / 100) / 2
    width = (high - low) / BINS
    first, last = np.searchsorted(share, tail, side="right"), np.searchsorted(share, 1 - tail, side="left")
    return low + width * first, low + width * (min(last, BINS - 1) + 1)


_SHRINK = np.linspace(0.2, 1.0, 33)  # candidate ends, as shares of the extremes


def _mse_range(counts: np.ndarray, low: float, high: float, config: CalibrationConfig) -> tuple[float, float]:
    """The range with the least mean squared quantization error, among 33 × 33 shrunken ones."""
    centres = low + (high - low) * (np.arange(BINS) + 0.5) / BINS
    reached = counts > 0
    x, weight = centres[reached].astype(np.float32), counts[reached] / counts.sum()

    def error(ends: tuple[float, float]) -> float:
        scale, zero = scheme.activation_parameters(*ends)
        back = scheme.dequantize_activation(scheme.quantize_activation(x, scale, zero), scale, zero)
        return float(weight @ np.square(back - x, dtype=np.float64))

    lows, highs = np.unique(min(low, 0.0) * _SHRINK), np.unique(max(high, 0.0) * _SHRINK)
    a, b = min(((a, b) for a in lows for b in highs if b > a), key=error)
    return float(a), float(b)


class Emulated(nn.Module):
    """A copy of a network that quantizes and dequantizes where the exported integer graph quantizes. Same logits as
    that graph up to fp32 rounding, at the speed of fp32: for accuracy before export, and to test it. Weights are
    replaced once; activations pass through `scheme` on their way into each linear map."""

    def __init__(self, model, scales: Scales):
        super().__init__()
        self.network, self.config = copy.deepcopy(model).eval(), model.config
        words = self.network.get_input_embeddings()
        with torch.no_grad():
            words.weight.copy_(scheme.quantized_table(words.weight.detach().float(), scales.embedding_bits))
            for name, module in linear_maps(self.network).items():
                steps = scales.steps_of(name, module.weight.detach())
                q = scheme.quantize_weight(module.weight, steps, scales.weight_bits)
                module.weight.copy_(scheme.dequantize_weight(q, steps))
                module.register_forward_pre_hook(partial(_through, *scales.range_of(name)))

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        """Token ids, mask and segment ids, each (B, T) -> logits (B, k)."""
        return self.network(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).logits


def _through(scale: float, zero: int, module, inputs):
    return (scheme.dequantize_activation(scheme.quantize_activation(inputs[0], scale, zero), scale, zero),)


def emulate(model, scales: Scales) -> Emulated:
    """`model` as the integers of `scales` will compute it, in fp32; see `Emulated`."""
    return Emulated(model, scales)
