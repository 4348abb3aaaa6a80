"""Structured pruning: whole heads, neurons and layers are scored, and taken out of the network for good.

    found = importance(model, "taylor", reward)                   # a score for every head, neuron and layer
    removal = choose(model, found, 0.4)                           # units worth 40% of the encoder's weights
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

import numpy as np
import torch
from torch.nn import functional as F

from seo_core.checks import suggest
from seo_core.models.backbone import check_fits
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

    @property
    def comparable(self) -> bool:
        """Whether scores of different kinds of units are in the same unit (that of the loss, squared)."""
        return self.score == "taylor"


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
    return sum(p.numel() for p in _layers(model).parameters())


def shapes(model) -> dict[str, list[int]]:
    """The sizes of each layer that is there: heads and neurons."""
    _layers(model)
    heads, neurons, _ = layer_sizes(model.config)
    return {"heads": heads, "neurons": neurons}


def _layers(model):
    if not hasattr(getattr(model, "bert", None), "encoder"):
        raise PruningError(f"structured pruning knows BERT classifiers, stock and compact, not {type(model).__name__}: "
                           "use magnitude pruning, or a BERT-style backbone")
    return model.bert.encoder.layer


# ---------------------------------------------------------------------------------------------
# Scores


def importance(model, score: str = "taylor", encoded=None, *, batch_size: int = 32, seed: int = 0) -> Importance:
    """Scores of every head, neuron and layer; `encoded`: n labelled examples from training or development data.

    magnitude and random need no examples; activation needs no labels. The network is left as it was (weights, mode,
    gradients). Raises PruningError for an unknown score, and for examples that are missing or have no labels.
    """
    if score not in SCORES:
        raise PruningError(f"unknown score {score!r}{suggest(score, SCORES)}")
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
    sums = (_taylor if score == "taylor" else _activation)(model, encoded, batch_size, size)
    return Importance(*sums, score)


@torch.no_grad()
def _by_magnitude(layers, size: int) -> Importance:
    heads, neurons, whole = [], [], []
    for layer in layers:
        attention = layer.attention.self
        rows = torch.cat([torch.cat([m.weight, m.bias[:, None]], 1)
                          for m in (attention.query, attention.key, attention.value)], 1)  # (h s, 3 (d + 1))
        both = torch.cat([rows, layer.attention.output.dense.weight.T], 1)  # (h s, 4 d + 3)
        heads.append(both.unflatten(0, (-1, size)).square().sum((1, 2)).sqrt().double().cpu().numpy())
        into, out = layer.intermediate.dense, layer.output.dense
        rows = torch.cat([into.weight, into.bias[:, None], out.weight.T], 1)  # (f, 2 d + 1)
        neurons.append(rows.norm(dim=1).double().cpu().numpy())
        flat = torch.cat([p.flatten() for n, p in layer.named_parameters() if n.endswith("weight") and p.ndim == 2])
        whole.append(float(flat.square().mean().sqrt()))
    return Importance(heads, neurons, np.array(whole), "magnitude")


@contextlib.contextmanager
def _captured(model):
    """Layer by layer, what the outgoing maps read and what the layer reads and returns, in the last forward pass.

    Yields a dict: "context" -> [(B, T, h s)], "active" -> [(B, T, f)], "input" and "output" -> [(B, T, d)].
    """
    found: dict[str, list] = {}

    def keep(name, number):
        def hook(_, arguments, output=None):
            tensor = arguments[0] if output is None else output[0] if isinstance(output, tuple) else output
            if torch.is_grad_enabled() and not tensor.requires_grad:
                tensor.requires_grad_(True)
            found[name][number] = tensor

        return hook

    handles, layers = [], _layers(model)
    for name in ("context", "active", "input", "output"):
        found[name] = [None] * len(layers)
    for number, layer in enumerate(layers):
        for name, module in (("context", layer.attention.output.dense), ("active", layer.output.dense),
                             ("input", layer)):
            handles.append(module.register_forward_pre_hook(keep(name, number)))
        handles.append(layer.register_forward_hook(keep("output", number)))
    was_training = model.training
    model.eval()
    try:
        yield found
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


def _batches(encoded, batch_size: int, device):
    if batch_size < 1:
        raise PruningError(f"batch_size must be 1 or more, got {batch_size!r}")
    order = np.argsort(-encoded.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield encoded.batch(order[start : start + batch_size], device)


def _taylor(model, encoded, batch_size: int, size: int):
    """E_x (Σ output · ∂L/∂output)² of every head, neuron and layer; L is the cross-entropy of an example."""
    sums = _zeros(model)
    with _captured(model) as found, torch.enable_grad():
        for batch in _batches(encoded, batch_size, next(model.parameters()).device):
            labels = batch.pop("labels")
            # the sum over examples: none of them enters another's gradient
            loss = F.cross_entropy(model(**batch).logits.float(), labels, reduction="sum")
            outputs = found["context"] + found["active"] + found["output"]
            slopes = iter(torch.autograd.grad(loss, outputs))
            for total, c in zip(sums[0], found["context"], strict=True):
                change = (c * next(slopes)).detach().unflatten(-1, (-1, size)).sum((1, 3))  # (B, h)
                total += change.double().square().sum(0).cpu().numpy()
            for total, a in zip(sums[1], found["active"], strict=True):
                total += (a * next(slopes)).detach().sum(1).double().square().sum(0).cpu().numpy()  # (f,)
            for number, (x, y) in enumerate(zip(found["input"], found["output"], strict=True)):
                sums[2][number] += float(((y - x) * next(slopes)).detach().sum((1, 2)).double().square().sum())
    return [s / len(encoded) for s in sums[0]], [s / len(encoded) for s in sums[1]], sums[2] / len(encoded)


@torch.no_grad()
def _activation(model, encoded, batch_size: int, size: int):
    """Root mean square output times the norm of the weights that read it; of layers, 1 − cos(input, output)."""
    channels, active, away = _zeros(model, channels=True)
    tokens = int(encoded.lengths.sum())
    with _captured(model) as found:
        for batch in _batches(encoded, batch_size, next(model.parameters()).device):
            batch.pop("labels")
            model(**batch)
            mask = batch["attention_mask"].bool()
            for number in range(len(found["context"])):
                c, a, x, y = (found[k][number][mask] for k in ("context", "active", "input", "output"))  # (tokens, ·)
                channels[number] += c.square().sum(0).double().cpu().numpy()
                active[number] += a.square().sum(0).double().cpu().numpy()
                away[number] += float((1 - F.cosine_similarity(x, y, dim=-1)).sum())
    heads, neurons = [], []
    for layer, c, a in zip(_layers(model), channels, active, strict=True):
        out, down = (m.weight.norm(dim=0).double().cpu().numpy() for m in (layer.attention.output.dense,
                                                                          layer.output.dense))
        heads.append(np.sqrt((c / tokens * out**2).reshape(-1, size).sum(1)))
        neurons.append(np.sqrt(a / tokens) * down)
    return heads, neurons, away / tokens


def _zeros(model, channels: bool = False):
    heads, neurons, size = layer_sizes(model.config)
    return ([np.zeros(h * size if channels else h) for h in heads], [np.zeros(f) for f in neurons],
            np.zeros(len(heads)))


# ---------------------------------------------------------------------------------------------
# Choice


def choose(model, found: Importance, share: float, *, kinds: Iterable[str] = ("heads", "neurons"),
           multiple: int = 16) -> Removal:
    """The units of the lowest score per weight that together hold `share` of the encoder's weights, or a little more.

    kinds: which of heads, neurons, layers may go. Every layer that stays keeps a head and, like the kernels it is
    computed by, a multiple of `multiple` neurons; one layer stays. Raises PruningError for a share outside [0, 1) and
    an unknown kind, NothingLeft where the units do not add up to the share.
    """
    check_share(share, "share")
    kinds = check_units(kinds, multiple)
    heads, neurons, size = layer_sizes(model.config)
    if [*map(len, found.heads)] != heads or [*map(len, found.neurons)] != neurons or len(found.layers) != len(heads):
        raise PruningError("these scores are those of another network: take importance(model) of the one that is "
                           "pruned, after every removal anew")
    total, want = encoder_weights(model), share * encoder_weights(model)
    d = model.config.hidden_size
    cost = {"heads": size * (4 * d + 3), "neurons": 2 * d + 1}
    whole = [sum(p.numel() for p in layer.parameters()) for layer in _layers(model)]
    gone = {"heads": [[] for _ in heads], "neurons": [[] for _ in neurons], "layers": []}
    removed = 0
    for kind, layer, unit in _ranked(found, kinds, cost, whole):
        if removed >= want:
            break
        if layer in gone["layers"]:
            continue
        if kind == "layers":
            if len(gone["layers"]) < len(whole) - 1:
                removed += whole[layer] - sum(cost[k] * len(gone[k][layer]) for k in cost)
                gone["layers"].append(layer)
        elif len(gone[kind][layer]) < (heads[layer] - 1 if kind == "heads" else neurons[layer] - multiple):
            gone[kind][layer].append(unit)
            removed += cost[kind]
    gone["neurons"] = [_rounded(g, f, s, multiple) for g, f, s in zip(gone["neurons"], neurons, found.neurons,
                                                                     strict=True)]
    left = [n for n in range(len(whole)) if n not in gone["layers"]]
    removed = sum(whole[n] for n in gone["layers"]) + sum(cost[k] * len(gone[k][n]) for k in cost for n in left)
    if removed < want:
        raise NothingLeft(f"{share:.0%} of the encoder's weights cannot be removed as {' and '.join(kinds)}: "
                          f"{removed / total:.0%} is all there is. Ask for less, or let layers go too")
    return Removal(*({n: sorted(gone[k][n]) for n in left if gone[k][n]} for k in cost), sorted(gone["layers"]),
                   removed / total)


def check_units(kinds: Iterable[str], multiple: int) -> tuple[str, ...]:
    """The kinds as a tuple. Raises PruningError for none, for an unknown one, and for a multiple below 1."""
    kinds = tuple(kinds)
    if not kinds:
        raise PruningError(f"no kinds of units may go: name some of {', '.join(KINDS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise PruningError(f"unknown kind {kind!r}{suggest(kind, KINDS)}")
    if multiple < 1:
        raise PruningError(f"multiple must be 1 or more (1: any number of neurons may stay), got {multiple!r}")
    return kinds


def _ranked(found: Importance, kinds, cost: dict, whole: list[int]) -> list[tuple[str, int, int]]:
    """(kind, layer, unit) in ascending order of score per weight."""
    names, layers, units, values = [], [], [], []
    for kind in kinds:
        per_layer = [[s] for s in found.layers] if kind == "layers" else getattr(found, kind)
        weights = whole if kind == "layers" else [cost[kind]] * len(per_layer)
        scores = [np.asarray(s, float) / w for s, w in zip(per_layer, weights, strict=True)]
        scale = 1.0 if found.comparable else np.concatenate(scores).mean() or 1.0
        for layer, s in enumerate(scores):
            names += [kind] * len(s)
            layers += [layer] * len(s)
            units += range(len(s))
            values.append(s / scale)
    order = np.argsort(np.concatenate(values), kind="stable") if values else []
    return [(names[i], layers[i], units[i]) for i in order]


def _rounded(gone: list[int], neurons: int, scores: np.ndarray, multiple: int) -> list[int]:
    """`gone` with the lowest-scored neurons added until a multiple is left."""
    if not gone:
        return gone
    left = (neurons - len(gone)) // multiple * multiple
    first = sorted(range(neurons), key=lambda n: (scores[n], n))
    return first[: neurons - left]


# ---------------------------------------------------------------------------------------------
# Removal


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
    place = {old: new for new, old in enumerate(stay)}
    state = {}
    for name, tensor in model.state_dict().items():
        new, layer, inner = _renamed(name, place)
        if new:
            state[new] = tensor if layer is None else _cut(tensor, inner, *stay[layer], size)
    small.load_state_dict(state)
    for name, buffer in model.named_buffers():  # positions and segments, which no file holds
        small.get_buffer(name).copy_(buffer)
    for name, parameter in model.named_parameters():
        new, _, _ = _renamed(name, place)
        if new:
            small.get_parameter(new).requires_grad_(parameter.requires_grad)
    for mark in ("random_weights", "fresh_head"):
        if getattr(model, mark, False):
            setattr(small, mark, True)
    return small.train(model.training)


def _renamed(name: str, place: dict[int, int]) -> tuple[str | None, int | None, str]:
    """(the parameter's name in the smaller network or None, its old layer or None, its name within the layer)."""
    inside = re.fullmatch(r"bert\.encoder\.layer\.(\d+)\.(.+)", name)
    if inside is None:
        return name, None, name
    layer = int(inside[1])
    return (f"bert.encoder.layer.{place[layer]}.{inside[2]}" if layer in place else None), layer, inside[2]


def _cut(tensor, name: str, heads, neurons, size: int):
    """The part of a layer's parameter that belongs to these heads and neurons."""
    channels = (torch.as_tensor(heads)[:, None] * size + torch.arange(size)).flatten().to(tensor.device)
    neurons = torch.as_tensor(neurons).to(tensor.device)
    if name.startswith("attention.self."):
        return tensor[channels]
    if name == "attention.output.dense.weight":
        return tensor[:, channels]
    if name.startswith("intermediate.dense."):
        return tensor[neurons]
    return tensor[:, neurons] if name == "output.dense.weight" else tensor


def _staying(model, heads, neurons, layers) -> dict[int, tuple[list[int], list[int]]]:
    """Layer -> (heads, neurons) that stay, in order, for the layers that stay."""
    have = shapes(model)
    count = len(have["heads"])
    for kind, wanted in (("heads", heads), ("neurons", neurons)):
        if not isinstance(wanted or {}, Mapping):
            raise PruningError(f"{kind} are given by layer, such as {kind}={{0: [1, 2]}}, got {wanted!r}")
    gone = _numbers(layers, count, "layer", "the network")
    if len(gone) == count:
        raise PruningError(f"all {count} layers would go: keep one")
    stay = {}
    for layer in (n for n in range(count) if n not in gone):
        left = []
        for kind, wanted in (("heads", heads), ("neurons", neurons)):
            size = have[kind][layer]
            cut = _numbers((wanted or {}).get(layer, ()), size, kind[:-1], f"layer {layer}")
            if len(cut) == size:
                raise PruningError(f"all {size} {kind} of layer {layer} would go: keep one, or remove the whole layer "
                                   f"with layers=[{layer}]")
            left.append([n for n in range(size) if n not in cut])
        stay[layer] = tuple(left)
    for wanted in (heads or {}, neurons or {}):
        _numbers(wanted, count, "layer", "the network")
    return stay


def _numbers(wanted: Iterable[int], count: int, what: str, where: str) -> set[int]:
    found = {int(n) for n in wanted}
    wrong = sorted(n for n in found if not 0 <= n < count)
    if wrong:
        raise PruningError(f"{where} has no {what} {wrong[0]}: its {count} are numbered from 0")
    return found


@torch.no_grad()
def mask(model, *, heads: Mapping[int, Iterable[int]] | None = None,
         neurons: Mapping[int, Iterable[int]] | None = None):
    """A copy of the network in which these units are still there and their outputs count nothing.

    The columns of the outgoing maps that read them are zero. This is what "pruning" often means: the same logits as
    `remove`, the same file size and time as before. Whole layers cannot be switched off by zeros.
    """
    stay, size = _staying(model, heads, neurons, ()), layer_sizes(model.config)[2]
    copied = copy.deepcopy(model)
    for number, layer in enumerate(_layers(copied)):
        kept_heads, kept_neurons = (torch.as_tensor(s) for s in stay[number])
        channels = (kept_heads[:, None] * size + torch.arange(size)).flatten()
        for weight, kept in ((layer.attention.output.dense.weight, channels),
                             (layer.output.dense.weight, kept_neurons)):
            on = torch.zeros(weight.shape[1], device=weight.device)
            on[kept.to(weight.device)] = 1
            weight.mul_(on)
    return copied


@torch.no_grad()
def compensate(model, removal: Removal, encoded, *, batch_size: int = 32, ridge: float = 1e-3):
    """A copy of the network whose units that stay have taken over, as far as they can, what the others gave.

    Of each outgoing map y = W x + b only the columns K stay. Their new weights minimise Σ ‖W x + b − W' x_K − b'‖²
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
    with _captured(model) as found:
        for batch in _batches(encoded, batch_size, next(model.parameters()).device):
            batch.pop("labels")
            model(**batch)
            keep = batch["attention_mask"].bool()
            for number, name in todo:
                x = found[name][number][keep].float()
                x = torch.cat([x, x.new_ones(len(x), 1)], 1)  # (tokens, inputs + 1): the last is the bias's
                moments[number, name] = moments[number, name] + x.T @ x
    for number, name in todo:
        layer = _layers(copied)[number]
        out = layer.attention.output.dense if name == "context" else layer.output.dense
        kept = torch.as_tensor(stay[number][name == "active"])
        if name == "context":
            kept = (kept[:, None] * size + torch.arange(size)).flatten()
        _least_squares(out, moments[number, name].double(), kept.to(out.weight.device), ridge)
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
