"""Structured pruning: whole heads, neurons and layers are scored, and taken out of the network for good.

    scores = importance(model, "taylor", reward)                  # one for every head, neuron and layer
    removal = choose(model, scores, 0.4)                          # units worth 40% of the encoder's weights
    small = remove(model, **removal.units)                        # a compact BERT: smaller file, less to compute

What a unit is, and what stands behind its score (d hidden units, s dimensions of a head, means over the examples x):

    unit       output that goes       magnitude              first-order Taylor          activation-aware
    head h     its s context columns  ‖W_q, W_k, W_v, W_o‖   E_x (Σ_t,c c ∂L/∂c)²        √(Σ_c E c² ‖W_o,c‖²)
    neuron n   its activation a       ‖W_in,n, W_out,n‖      E_x (Σ_t a ∂L/∂a)²          √(E a²) ‖W_out,n‖
    layer l    y − x, what it adds    rms of its weights     E_x (Σ_t (y − x) ∂L/∂y)²    1 − E cos(x, y)

The sum in the Taylor score is the change of the loss, to first order, when the output is set to zero (Michel et al.
2019, section 4.1, for heads; Molchanov et al. 2017 for neurons). Its *square* (Molchanov et al. 2019; as a Fisher
information of masks, Kwon et al. 2022) adds up in the mean over units whose changes are independent, so that a head
compares with the 64 neurons that have as many weights. The mean absolute value does not: that of a sum of n independent
changes grows as √n only, and heads look cheap. In one trial (a network fine-tuned on 8 000 MNLI pairs, 73.9% on 1 000
pairs of the training set; 45% of the encoder removed, compensated, not trained) squares left 73.3%, absolute values
66.2%, divided by the mean of their kind 72.8%.

Magnitude and activation have no common unit, so each kind is divided by its own mean per weight. The activation-aware
scores weigh an output's size by the weights that read it, as Wanda does for single weights (Sun et al. 2024); that of
layers is ShortGPT's block influence (Men et al. 2024). Units are ranked by score *per weight*: that is what is bought.

`remove` copies what stays into a smaller network, so its logits are those of the network with the removed outputs set
to zero (`mask`). `compensate` first lets the units that stay take over what they can of the outputs that go, by least
squares on a few examples (He et al. 2017, section 3.1; Kwon et al. 2022 tune masks alike), without any training. In the
trial above, on units drawn at random, 25% removed: 71.0% with it and 46.8% without.
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from seo_core.checks import check_choice, check_number
from seo_core.models.backbone import check_fits, count_parameters, mode
from seo_core.models.compact import CompactBertForSequenceClassification, compact_config, layer_sizes
from seo_core.pruning.magnitude import PruningError, check_share

SCORES = ("magnitude", "taylor", "activation", "random")
KINDS = ("heads", "neurons", "layers")


class NothingLeft(PruningError):
    """More was to be removed than the network has to spare."""


@dataclass(frozen=True)
class Importance:
    """Scores of all units; the higher, the more is lost without the unit."""

    heads: list[np.ndarray]  # of each layer: (heads,)
    neurons: list[np.ndarray]  # of each layer: (neurons,)
    layers: np.ndarray  # (layers,)
    score: str


@dataclass(frozen=True)
class Removal:
    """Which units go, numbered as in the network they were chosen for; `share` is of its encoder's weights."""

    heads: dict[int, list[int]] = field(default_factory=dict)
    neurons: dict[int, list[int]] = field(default_factory=dict)
    layers: list[int] = field(default_factory=list)
    share: float = 0.0

    @property
    def units(self) -> dict:
        """The arguments of `remove`."""
        return {"heads": self.heads, "neurons": self.neurons, "layers": self.layers}


def encoder_weights(model) -> int:
    """Number of weights in the encoder's layers, biases and LayerNorm included; embeddings, pooler and head are not."""
    return count_parameters(_layers(model))


def shapes(model) -> dict[str, list[int]]:
    """The sizes of each layer that is there: heads and neurons."""
    _layers(model)
    return dict(zip(("heads", "neurons"), layer_sizes(model.config)[:2], strict=True))


def _layers(model):
    if not hasattr(getattr(model, "bert", None), "encoder"):
        raise PruningError(f"structured pruning knows BERT classifiers, stock and compact, not {type(model).__name__}: "
                           "use magnitude pruning, or a BERT-style backbone")
    return model.bert.encoder.layer


def importance(model, score: str = "taylor", encoded=None, *, batch_size: int = 32, seed: int = 0) -> Importance:
    """Scores of every head, neuron and layer; `encoded`: n labelled examples from training or development data.
    magnitude and random need no examples; activation needs no labels. The network is left as it was (weights, mode,
    gradients). Raises PruningError for an unknown score, and for examples that are missing or have no labels."""
    check_choice("score", score, SCORES, PruningError)
    layers, size = _layers(model), layer_sizes(model.config)[2]
    if encoded is not None:
        check_fits(model, encoded)
    if score == "random":
        rng = np.random.default_rng([seed, 83])
        heads, neurons = ([rng.random(n) for n in counts] for counts in shapes(model).values())
        return Importance(heads, neurons, rng.random(len(layers)), score)
    if score == "magnitude":
        return _by_magnitude(layers, size)
    if encoded is None or len(encoded) == 0:
        raise PruningError(f"the score {score!r} is computed on examples: pass some of the training or reward split")
    if score == "taylor" and (encoded.labels < 0).any():
        raise PruningError("the score 'taylor' needs labelled examples, and some have the label −1: leave them out, or "
                           "take score='activation'")
    return Importance(*(_taylor if score == "taylor" else _activation)(model, encoded, batch_size, size), score)


@torch.no_grad()
def _by_magnitude(layers, size: int) -> Importance:
    heads, neurons, whole = [], [], []
    for layer in layers:
        own, into, out = layer.attention.self, layer.intermediate.dense, layer.output.dense
        rows = torch.cat([t for m in (own.query, own.key, own.value) for t in (m.weight, m.bias[:, None])]
                         + [layer.attention.output.dense.weight.T], 1)  # (h s, 4 d + 3)
        heads.append(_array(rows.unflatten(0, (-1, size)).square().sum((1, 2)).sqrt()))
        neurons.append(_array(torch.cat([into.weight, into.bias[:, None], out.weight.T], 1).norm(dim=1)))
        flat = torch.cat([p.flatten() for n, p in layer.named_parameters() if n.endswith("weight") and p.ndim == 2])
        whole.append(float(flat.square().mean().sqrt()))
    return Importance(heads, neurons, np.array(whole), "magnitude")


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


@contextlib.contextmanager
def _captured(model):
    """Layer by layer, what the outgoing maps read and what the layer reads and returns, in the last forward pass.
    Yields a dict: "context" -> [(B, T, h s)], "active" -> [(B, T, f)], "input" and "output" -> [(B, T, d)]."""
    layers = _layers(model)
    states = {name: [None] * len(layers) for name in ("context", "active", "input", "output")}

    def keep(name, number, _, arguments, output=None):
        tensor = arguments[0] if output is None else output[0] if isinstance(output, tuple) else output
        if torch.is_grad_enabled() and not tensor.requires_grad:
            tensor.requires_grad_(True)
        states[name][number] = tensor

    with contextlib.ExitStack() as after:
        for number, layer in enumerate(layers):
            read = {"context": layer.attention.output.dense, "active": layer.output.dense, "input": layer}
            for name, module in read.items():
                after.enter_context(module.register_forward_pre_hook(partial(keep, name, number)))
            after.enter_context(layer.register_forward_hook(partial(keep, "output", number)))
        after.enter_context(mode(model))
        yield states


def _batches(model, encoded, batch_size: int):
    """(inputs, labels) of each batch, where the network is."""
    check_number("batch_size", batch_size, least=1, error=PruningError)
    for rows in encoded.batches(batch_size):
        inputs = encoded.batch(rows, next(model.parameters()).device)
        labels = inputs.pop("labels")
        yield inputs, labels


def _taylor(model, encoded, batch_size: int, size: int):
    """E_x (Σ output · ∂L/∂output)² of every head, neuron and layer; L is the cross-entropy of an example, or the
    squared error of its score."""
    heads, neurons, whole = ([0.0] * len(_layers(model)) for _ in range(3))  # sums over the examples, by layer
    with _captured(model) as states, torch.enable_grad():
        for inputs, labels in _batches(model, encoded, batch_size):
            # the sum over examples: none of them enters another's gradient
            logits = model(**inputs).logits.float()
            loss = (F.mse_loss(logits[:, 0], labels, reduction="sum") if labels.is_floating_point()
                    else F.cross_entropy(logits, labels, reduction="sum"))
            slopes = torch.autograd.grad(loss, states["context"] + states["active"] + states["output"])
            for number, tensors in enumerate(zip(*states.values(), strict=True)):
                c, a, x, y = (tensor.detach() for tensor in tensors)
                by_c, by_a, by_y = slopes[number :: len(heads)]  # ∂L/∂c (B, T, h s), ∂L/∂a (B, T, f), ∂L/∂y (B, T, d)
                changes = ((c * by_c).unflatten(-1, (-1, size)).sum((1, 3)), (a * by_a).sum(1),
                           ((y - x) * by_y).sum((1, 2)))  # (B, h), (B, f) and (B,)
                for sums, change in zip((heads, neurons, whole), changes, strict=True):
                    sums[number] += _array(change.double().square().sum(0))
    n = len(encoded)
    return [each / n for each in heads], [each / n for each in neurons], np.array(whole) / n


@torch.no_grad()
def _activation(model, encoded, batch_size: int, size: int):
    """Root mean square output times the norm of the weights that read it; of layers, 1 − cos(input, output)."""
    channels, active, away = ([0.0] * len(_layers(model)) for _ in range(3))  # sums over the tokens, by layer
    with _captured(model) as states:
        for inputs, _ in _batches(model, encoded, batch_size):
            model(**inputs)
            mask = inputs["attention_mask"].bool()
            for number, tensors in enumerate(zip(*states.values(), strict=True)):
                c, a, x, y = (tensor[mask] for tensor in tensors)  # (tokens, ·)
                channels[number] += _array(c.square().sum(0))
                active[number] += _array(a.square().sum(0))
                away[number] += float((1 - F.cosine_similarity(x, y, dim=-1)).sum())
    heads, neurons, tokens = [], [], int(encoded.lengths.sum())
    for layer, c, a in zip(_layers(model), channels, active, strict=True):
        out, down = (_array(m.weight.norm(dim=0)) for m in (layer.attention.output.dense, layer.output.dense))
        heads.append(np.sqrt((c / tokens * out**2).reshape(-1, size).sum(1)))
        neurons.append(np.sqrt(a / tokens) * down)
    return heads, neurons, np.array(away) / tokens


def choose(model, scores: Importance, share: float, *, kinds: Iterable[str] = ("heads", "neurons"),
           multiple: int = 16) -> Removal:
    """The units of the lowest score per weight that together hold `share` of the encoder's weights, or a little more.

    kinds: which of heads, neurons, layers may go. Every layer that stays keeps a head and, like the kernels it is
    computed by, a multiple of `multiple` neurons; one layer stays. Raises PruningError for a share outside [0, 1) and
    an unknown kind, NothingLeft where the units do not add up to the share.
    """
    check_share(share, "share")
    kinds = check_units(kinds, multiple)
    heads, neurons, size = layer_sizes(model.config)
    if [*map(len, scores.heads)] != heads or [*map(len, scores.neurons)] != neurons or len(scores.layers) != len(heads):
        raise PruningError("these scores are those of another network: take importance(model) of the one that is "
                           "pruned, after every removal anew")
    total, d = encoder_weights(model), model.config.hidden_size
    want, removed = share * total, 0
    cost = {"heads": size * (4 * d + 3), "neurons": 2 * d + 1}
    spare = {"heads": [h - 1 for h in heads], "neurons": [f - multiple for f in neurons]}
    whole = [*map(count_parameters, _layers(model))]
    gone, stay = {kind: [[] for _ in whole] for kind in cost}, [*range(len(whole))]
    for kind, layer, unit in _ranked(scores, kinds, cost, whole):
        if removed >= want:
            break
        if kind == "layers" and len(stay) > 1:
            removed += whole[layer] - sum(cost[k] * len(gone[k][layer]) for k in cost)
            stay.remove(layer)
        elif kind != "layers" and layer in stay and len(gone[kind][layer]) < spare[kind][layer]:
            gone[kind][layer].append(unit)
            removed += cost[kind]
    for have, values, units in zip(neurons, scores.neurons, gone["neurons"], strict=True):
        if units:  # and the next lowest, until a multiple is left
            units[:] = np.argsort(values, kind="stable")[: have - (have - len(units)) // multiple * multiple].tolist()
    out = [n for n in range(len(whole)) if n not in stay]
    removed = sum(whole[n] for n in out) + sum(cost[k] * len(gone[k][n]) for k in cost for n in stay)
    if removed < want:
        raise NothingLeft(f"{share:.0%} of the encoder's weights cannot be removed as {' and '.join(kinds)}: "
                          f"{removed / total:.0%} is all there is. Ask for less, or let layers go too")
    return Removal(*({n: sorted(gone[k][n]) for n in stay if gone[k][n]} for k in cost), out, removed / total)


def check_units(kinds: Iterable[str], multiple: int) -> tuple[str, ...]:
    """The kinds as a tuple. Raises PruningError for none, for an unknown one, and for a multiple below 1."""
    kinds = tuple(check_choice("kind", kind, KINDS, PruningError) for kind in kinds)
    if not kinds:
        raise PruningError(f"no kinds of units may go: name some of {', '.join(KINDS)}")
    check_number("multiple", multiple, least=1, unit="(1: any number of neurons may stay)", error=PruningError)
    return kinds


def _ranked(scores: Importance, kinds, cost: dict, whole: list[int]) -> list[tuple[str, int, int]]:
    """(kind, layer, unit) in ascending order of score per weight."""
    units, values = [], []
    for kind in kinds:
        by_layer = [[s] for s in scores.layers] if kind == "layers" else getattr(scores, kind)
        weights = whole if kind == "layers" else [cost[kind]] * len(by_layer)
        per_weight = np.concatenate([np.asarray(s, float) / w for s, w in zip(by_layer, weights, strict=True)])
        values.append(per_weight / (1.0 if scores.score == "taylor" else per_weight.mean() or 1.0))
        units += [(kind, layer, unit) for layer, s in enumerate(by_layer) for unit in range(len(s))]
    return [units[i] for i in np.argsort(np.concatenate(values), kind="stable")]


def remove(model, *, heads: Mapping[int, Iterable[int]] | None = None,
           neurons: Mapping[int, Iterable[int]] | None = None, layers: Iterable[int] = ()):
    """A `CompactBertForSequenceClassification` without these units; `model` stays as it is.

    heads, neurons: layer -> unit numbers, as in `model`, counted from 0; of a layer that goes as a whole they do not
    matter. Weights are copied bit by bit; the mode and which parameters are frozen are kept. Raises PruningError for
    numbers that are not there and for removing all heads or neurons of a layer, or all layers.
    """
    if hasattr(model, "quantizer"):
        raise PruningError("this network has step sizes, which belong to the units that it has: prune first and train "
                           "in integers afterwards, or take them off with seo_core.quantization.qat.detach(model)")
    stay = _staying(model, heads, neurons, layers)
    size = layer_sizes(model.config)[2]
    config = compact_config(model.config, [len(h) for h, _ in stay.values()], [len(n) for _, n in stay.values()])
    with torch.device("meta"):  # no random weights that would be overwritten
        small = CompactBertForSequenceClassification(config)
    first = next(model.parameters())
    small = small.to(first.dtype).to_empty(device=first.device)
    place, state = {old: new for new, old in enumerate(stay)}, {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        part = tensor.detach()
        if inside := re.fullmatch(r"bert\.encoder\.layer\.(\d+)\.(.+)", name):
            layer = int(inside[1])
            if layer not in stay:
                continue
            name, part = f"bert.encoder.layer.{place[layer]}.{inside[2]}", _cut(part, inside[2], *stay[layer], size)
        state[name] = part
        small.get_parameter(name).requires_grad_(tensor.requires_grad)
    small.load_state_dict(state)
    for name, buffer in model.named_buffers():  # positions and segments, which no file holds
        small.get_buffer(name).copy_(buffer)
    vars(small).update({mark: True for mark in ("random_weights", "fresh_head") if getattr(model, mark, False)})
    return small.train(model.training)


def _channels(heads: list[int], size: int) -> torch.Tensor:
    """The channels of these heads, head after head: (len(heads) · size,)."""
    return (torch.as_tensor(heads)[:, None] * size + torch.arange(size)).flatten()


def _cut(tensor, name: str, heads: list[int], neurons: list[int], size: int):
    """The part of a layer's parameter that belongs to these heads and neurons."""
    units = (_channels(heads, size) if name.startswith("attention.") else torch.as_tensor(neurons)).to(tensor.device)
    if name.startswith(("attention.self.", "intermediate.dense.")):
        return tensor[units]
    return tensor[:, units] if name in ("attention.output.dense.weight", "output.dense.weight") else tensor


def _staying(model, heads, neurons, layers) -> dict[int, tuple[list[int], list[int]]]:
    """Layer -> (heads, neurons) that stay, in order, for the layers that stay."""
    have, asked = shapes(model), {"heads": heads or {}, "neurons": neurons or {}}
    count = len(have["heads"])
    kept = _left(layers, count, "layer", "the network")
    for kind, wanted in asked.items():
        if not isinstance(wanted, Mapping):
            raise PruningError(f"{kind} are given by layer, such as {kind}={{0: [1, 2]}}, got {wanted!r}")
        _left(wanted, count, "layer", "the network")
    if not kept:
        raise PruningError(f"all {count} layers would go: keep one")
    stay = {n: tuple(_left(wanted.get(n, ()), have[kind][n], kind[:-1], f"layer {n}") for kind, wanted in asked.items())
            for n in kept}
    for layer, left in stay.items():
        if empty := [kind for kind, units in zip(asked, left, strict=True) if not units]:
            raise PruningError(f"all {have[empty[0]][layer]} {empty[0]} of layer {layer} would go: keep one, or remove "
                               f"the whole layer with layers=[{layer}]")
    return stay


def _left(wanted: Iterable[int], count: int, what: str, where: str) -> list[int]:
    """The numbers below `count` without those wanted, each of which has to be one of them."""
    numbers = {int(n) for n in wanted}
    if wrong := sorted(numbers - {*range(count)}):
        raise PruningError(f"{where} has no {what} {wrong[0]}: its {count} are numbered from 0")
    return [n for n in range(count) if n not in numbers]


def _outgoing(layer, heads: list[int], neurons: list[int], size: int) -> dict[str, tuple]:
    """The two linear maps that read a layer's units, each with which of its inputs these heads and neurons give."""
    attention, output = layer.attention.output.dense, layer.output.dense
    return {"context": (attention, _channels(heads, size).to(attention.weight.device)),
            "active": (output, torch.as_tensor(neurons, device=output.weight.device))}


@torch.no_grad()
def mask(model, *, heads: Mapping[int, Iterable[int]] | None = None,
         neurons: Mapping[int, Iterable[int]] | None = None):
    """A copy of the network in which these units are still there and their outputs count nothing. The columns of the
    outgoing maps that read them are zero. This is what "pruning" often means: the same logits as `remove`, the same
    file size and time as before. Whole layers cannot be switched off by zeros."""
    stay, size = _staying(model, heads, neurons, ()), layer_sizes(model.config)[2]
    copied = copy.deepcopy(model)
    for number, layer in enumerate(_layers(copied)):
        for out, kept in _outgoing(layer, *stay[number], size).values():
            out.weight.mul_(out.weight.new_zeros(out.in_features).index_fill(0, kept, 1))
    return copied


@torch.no_grad()
def compensate(model, removal: Removal, encoded, *, batch_size: int = 32, ridge: float = 1e-3):
    """A copy of the network whose units that stay have taken over, as far as they can, what the others gave.

    Of each outgoing map y = W x + b only the columns K stay. Their new weights minimize Σ ‖W x + b − W' x_K − b'‖²
    over the tokens of `encoded` (a few hundred texts; labels are not looked at), plus a ridge of `ridge` times the mean
    variance. `remove` with the same units then gives the compensated small network.
    """
    if not len(encoded):
        raise PruningError("compensation is computed on examples: pass some of the training split")
    check_fits(model, encoded)
    copied, size = copy.deepcopy(model), layer_sizes(model.config)[2]
    stay = _staying(model, removal.heads, removal.neurons, removal.layers)
    todo = [(number, name) for name, cut in (("context", removal.heads), ("active", removal.neurons))
            for number in stay if cut.get(number)]
    moments = {key: 0.0 for key in todo}
    with _captured(model) as states:
        for inputs, _ in _batches(model, encoded, batch_size):
            model(**inputs)
            keep = inputs["attention_mask"].bool()
            for number, name in todo:
                x = states[name][number][keep].float()
                x = torch.cat([x, x.new_ones(len(x), 1)], 1)  # (tokens, inputs + 1): the last is the bias's
                moments[number, name] = moments[number, name] + x.T @ x
    for number, name in todo:
        out, kept = _outgoing(_layers(copied)[number], *stay[number], size)[name]
        _least_squares(out, moments[number, name].double(), kept, ridge)
    return copied


def _least_squares(out, moment, kept, ridge: float) -> None:
    """Writes W' and b' into the kept columns and the bias of `out`; moment is Σ x xᵀ of its inputs and a one."""
    full = torch.cat([out.weight.double(), out.bias.double()[:, None]], 1)  # (d, inputs + 1)
    kept = torch.cat([kept, kept.new_tensor([moment.shape[0] - 1])])
    inner = moment[kept][:, kept]
    penalty = ridge * inner.diagonal()[:-1].mean() * torch.ones(len(kept), dtype=inner.dtype, device=inner.device)
    penalty[-1] = 0
    # pulled towards the weights that are there, not towards zero
    goal = full @ moment[:, kept] + full[:, kept] * penalty  # (d, kept + 1)
    solved = torch.linalg.solve(inner + torch.diag(penalty), goal.T).T
    out.weight[:, kept[:-1]] = solved[:, :-1].to(out.weight.dtype)
    out.bias.copy_(solved[:, -1].to(out.bias.dtype))
