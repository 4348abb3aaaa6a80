"""Quantization-aware training: the network is trained as the integers that it will be.

    steps = calibrate(model, text, CalibrationConfig(weight_bits=7))     # 7 cannot saturate, wherever training goes
    attach(model, steps)                           # from now on the forward pass is the integer one, steps included
    fit(model, train, config=config)               # weights and step sizes learn; nothing else changes
    scales(model)                                  # for the export
    save(model, tokenizer, folder); load(folder)

Every quantized linear map computes what `seo_core.quantization.scheme` says, with x (…, in) and weight w (out, in):

    q_x = clip(round(x / s_x) + z, 0, 255)      q_w = clip(round(w / s_w), −m, m)
    y   = s_x s_w Σ (q_x − z) q_w + b

Learned step sizes (Esser et al. 2020, LSQ; the zero point as in Bhalgat et al. 2020, LSQ+). Rounding is flat, so its
gradient is taken straight through (Bengio et al. 2013). With x̂ = s (q − z) and g = ∂L/∂x̂:

    ∂L/∂x = g where clipping left q as it was, else 0
    ∂L/∂s = Σ g · (q − z − x/s inside; −z below; 255 − z above) / √(n · 255)              LSQ, eq. 3 and section 2.2
    ∂L/∂z = Σ g · (0 inside; −s outside) / √(n · 255)

and likewise for the weights with z = 0 and m (of `scheme`: 127 or 64), per output channel; n is the number of values
that share the step (of an activation: its units). AdamW moves a parameter by about the learning rate whatever its
gradient's size, and a step of 1e-3 must not move by 1e-4 at a time: what is learned is log s, so that moves are
relative (Jain et al. 2020), and z as a share of 255.

The sums are over integers of at most 2⁸, which bf16 holds exactly; both sides enter the product as integers and the
result is scaled once. So in bf16 the quotient x / s, and what lies between the linear maps, is coarser than in the
exported network; in fp32 the forward pass is the exported network's. Master weights stay fp32. The word table is
rounded as the export rounds it, straight through; a row's scale follows from the row.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from seo_core.models import backbone
from seo_core.models.fastpath import FastBertClassifier, supports
from seo_core.quantization import scheme
from seo_core.quantization.scheme import ACTIVATION_MAX, WEIGHT_MAX, QuantizationError, Scales, linear_maps, reader

SCALES_FILE = "scales.safetensors"


class IntegerLinear(torch.autograd.Function):
    """y = s_x s_w (q_x − z) q_wᵀ + b; forward and backward as in the module's text. On a CPU such element-wise passes
    cost as much as the products, so they are few: what is kept for the way back is the integers and how far each is
    from its value, |q − x/s| > 1/2 meaning that it was clipped."""

    @staticmethod
    def forward(ctx, x, scale, zero, weight, weight_scale, bias, weight_max=WEIGHT_MAX[8]):
        """x (…, in), scale and zero scalars, weight (out, in), weight_scale (out,), bias (out,) -> (…, out) as x."""
        z = float(zero.round())
        v = x / scale
        q = v.round().clamp_(-z, ACTIVATION_MAX - z)  # q − z of the text: integers in [−255, 255]
        r = weight / weight_scale[:, None]
        q_w = r.round().clamp_(-weight_max, weight_max)
        integers_w = q_w.to(x.dtype)
        off, off_w = v.neg_().add_(q), r.neg_().add_(q_w).to(x.dtype)
        ctx.weight_max = weight_max
        ctx.save_for_backward(q, off, integers_w, off_w, scale, weight_scale)
        return torch.addcmul(bias.to(x.dtype), F.linear(q, integers_w), (scale * weight_scale).to(x.dtype))

    @staticmethod
    def backward(ctx, g):
        """g (…, out) -> gradients of the six tensors."""
        q, off, q_w, off_w, scale, weight_scale = ctx.saved_tensors
        root = (q.shape[-1] * ACTIVATION_MAX) ** 0.5, (q.shape[-1] * ctx.weight_max) ** 0.5
        g_x = (g * weight_scale.to(g.dtype)) @ q_w  # (…, in): ∂L/∂x̂
        g_in = g_x * off.abs().le_(0.5)  # of what was not clipped
        g_out = g_x - g_in
        g_scale = ((g_in * off).sum() + (g_out * q).sum()).float()
        g_zero = -scale * g_out.sum().float()
        g_w = g.flatten(0, -2).t() @ q.flatten(0, -2)  # (out, in): ∂L/∂ŵ but for s_x
        g_w_in = g_w * off_w.abs().le_(0.5)
        g_weight_scale = scale * ((g_w_in * off_w).sum(1) + ((g_w - g_w_in) * q_w).sum(1)).float()
        return (g_in, g_scale / root[0], g_zero / root[0], g_w_in.float() * scale, g_weight_scale / root[1],
                g.flatten(0, -2).sum(0).float(), None)


class IntegerBertClassifier(FastBertClassifier):
    """The fast forward pass with every linear map but the classifier in (simulated) integers."""

    def __init__(self, model, **options):
        super().__init__(model, **options)
        self.names = {id(module): name for name, module in linear_maps(model).items()}

    def _words(self, embeddings, input_ids):
        rows, bits = super()._words(embeddings, input_ids), self.model.quantizer.embedding_bits  # (B, T, d)
        if bits == 32:
            return rows
        rounded = scheme.quantized_table(rows.detach().flatten(0, 1), bits).view_as(rows)
        return rows + (rounded - rows).detach() if rows.requires_grad else rounded  # straight through

    def _linear(self, module, x):
        return self._joint(x, module)[0] if id(module) in self.names else super()._linear(module, x)

    def _joint(self, x, *linears):
        quantizer, names = self.model.quantizer, [self.names[id(m)] for m in linears]
        weights, biases, scales = zip(*((m.weight, m.bias, quantizer.weight_scale(n))
                                        for m, n in zip(linears, names, strict=True)), strict=True)
        if len(linears) > 1:
            weights, biases, scales = ([torch.cat(t)] for t in (weights, biases, scales))
        y = IntegerLinear.apply(x, *quantizer.activation(names[0]), weights[0], scales[0], biases[0],
                                WEIGHT_MAX[quantizer.weight_bits])
        return y.split([m.out_features for m in linears], dim=-1)


class Quantizer(nn.Module):
    """The learned step sizes of one network; `attach` makes it and hangs it on the model as `model.quantizer`."""

    forward_module = IntegerBertClassifier  # the forward pass to use; asked for by `fastpath.forward_module`

    def __init__(self, model, scales: Scales):
        super().__init__()
        self.embedding_bits, self.weight_bits = scales.embedding_bits, scales.weight_bits
        self.log_scale, self.zero, self.weight_log_scale = (nn.ParameterDict() for _ in range(3))
        for name, module in linear_maps(model).items():
            scale, zero = scales.range_of(name)
            if reader(name) == name:
                self.log_scale[_key(name)] = nn.Parameter(torch.tensor(scale).log())
                self.zero[_key(name)] = nn.Parameter(torch.tensor(zero / ACTIVATION_MAX))
            steps = scales.steps_of(name, module.weight.detach())
            self.weight_log_scale[_key(name)] = nn.Parameter(steps.float().log())

    def activation(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(s, z) of the tensor that the map `name` reads: scalars, z from 0 to 255 and not yet rounded."""
        key = _key(reader(name))
        return self.log_scale[key].exp(), (self.zero[key] * ACTIVATION_MAX).clamp(0, ACTIVATION_MAX)

    def weight_scale(self, name: str) -> torch.Tensor:
        """s_w (out,) of the map `name`."""
        return self.weight_log_scale[_key(name)].exp()

    def error(self, model, names=None) -> torch.Tensor:
        """Mean over the linear maps (or those in `names`) of ‖ŵ − w‖² / ‖w‖², a scalar. Its gradient pulls weights to
        the grid and steps to where they fit."""
        each, maps = [], linear_maps(model)
        for name in names or maps:
            module, scale = maps[name], self.weight_scale(name)[:, None]
            q = scheme.quantize_weight(module.weight.detach(), scale.detach()[:, 0], self.weight_bits).float()
            each.append(F.mse_loss(scale * q, module.weight) / module.weight.detach().square().mean().clamp_min(1e-12))
        return torch.stack(each).mean()


def _key(name: str) -> str:
    return name.replace(".", "/")  # a parameter's name may hold no dot


def attach(model, scales: Scales):
    """Makes `model` (a BERT classifier, stock or compact) compute and train in integers, starting from `scales`.

    Its weights stay as they are, and `detach` undoes it. Weight scales that are missing are taken from the weights.
    Returns the model. Raises QuantizationError for an architecture the fast path does not know and for scales of
    another network.
    """
    if not supports(model):
        raise QuantizationError(f"{type(model).__name__} cannot be trained in integers: only BERT classifiers, stock "
                                "and compact, with GELU")
    model.quantizer = Quantizer(model, scales).to(next(model.parameters()).device)
    return model


def detach(model):
    """The model without its step sizes, computing in floating point again; returns it."""
    if hasattr(model, "quantizer"):
        del model.quantizer
    return model


def scales(model) -> Scales:
    """The network's step sizes as the export reads them. Raises QuantizationError where it has none."""
    quantizer = getattr(model, "quantizer", None)
    if quantizer is None:
        raise QuantizationError("this network has no step sizes: attach(model, calibrate(model, text)) first")
    with torch.no_grad():
        read = {name: quantizer.activation(name) for name in linear_maps(model) if reader(name) == name}
        weight = {name: quantizer.weight_scale(name).cpu().numpy().astype(np.float32) for name in linear_maps(model)}
    activation = {name: (float(scale), int(zero.round())) for name, (scale, zero) in read.items()}
    return Scales(activation, weight, quantizer.embedding_bits, quantizer.weight_bits)


def save(model, tokenizer, folder: str | Path, *, also=None) -> Path:
    """Weights, configuration, tokenizer and `scales.safetensors` in one folder, whole or not at all. also: as for
    `models.save`."""
    steps, quantizer = scales(model), model.quantizer

    def write(partial):
        steps.save(partial / SCALES_FILE)
        if also is not None:
            also(partial)

    detach(model)
    try:
        return backbone.save(model, tokenizer, folder, also=write)
    finally:
        model.quantizer = quantizer


def load(folder: str | Path):
    """What `save` wrote: the network in evaluation mode, its step sizes attached."""
    network, _ = backbone.load_backbone(str(folder), num_labels=None)
    return attach(network.eval(), Scales.load(Path(folder) / SCALES_FILE))
