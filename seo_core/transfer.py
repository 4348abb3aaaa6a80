"""Transfer: where training starts, and what holds it there.

    start, tokenizer = load_source("path/to/source")                     # weights learned on the source task D_s
    fit(start, train, config=config, loss=with_l2_sp(start, beta=0.01))  # L_TL on the target task D_t

L_TL(θ, D_s, D_t) of the papers has no formula there. Our reading: the mean cross-entropy on the target pairs, plus
an L2-SP pull towards the weights θ⁰ that the source task left,

    L_TL(θ) = −1/|D_t| Σ log p_θ(y | x) + β/2 Σ_i (θ_i − θ⁰_i)²,

the sum over the encoder; the head may move freely, also where it is the source's. Li, Grandvalet & Davoine (2018),
"Explicit Inductive Bias for Transfer Learning with Convolutional Networks"; there α weighs the pull and β an L2 penalty
on the head; here the head has AdamW's weight decay. The pull is part of the loss, so it also passes through AdamW's
scaling of the gradient. Discriminative learning rates are `TrainingConfig.layer_decay`.

`from_scratch` is the contrast: the same architecture with nothing learned.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

from seo_core.models.backbone import head_of, load_backbone


def l2_sp(model, beta: float, reference=None) -> Callable:
    """A function of nothing returning β/2 Σ (θ_i − θ⁰_i)², a scalar fp32 tensor with gradient β (θ − θ⁰).

    θ⁰ is `reference`: a model of the same shapes, a dict name -> tensor, or None for `model`'s own weights now (make
    the pull before training starts, or resuming would pull to the checkpoint); it is copied once. The classification
    head is left out, and so is whatever is frozen when the function is called. Raises ValueError for β < 0 and for a
    reference that lacks a parameter or has it in another shape."""
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be 0 or more, got {beta!r}: it weighs the pull towards the source weights")
    if reference is not None and hasattr(reference, "state_dict"):
        reference = reference.state_dict()
    pairs = []  # [parameter, its reference]
    for name, parameter in _encoder(model):
        source = parameter if reference is None else reference.get(name)
        if source is None or source.shape != parameter.shape:
            problem = "does not have it" if source is None else f"has it in shape {tuple(source.shape)}"
            raise ValueError(f"{name} has shape {tuple(parameter.shape)} and the reference {problem}: pass the model "
                             "that training started from")
        pairs.append([parameter, source.detach().clone()])

    def pull():
        import torch
        from torch.nn import functional as F

        total = torch.zeros((), device=pairs[0][0].device)
        for pair in pairs:
            if beta == 0 or not pair[0].requires_grad:
                continue
            pair[1] = pair[1].to(pair[0].device)  # training may have moved the model
            total = total + F.mse_loss(pair[0].float(), pair[1].float(), reduction="sum")
        return total * (beta / 2)

    return pull


def with_l2_sp(model, beta: float, *, loss: Callable | None = None) -> Callable:
    """A loss for `fit`: `loss(logits (B, k), batch)` (cross-entropy by default) plus the pull of `l2_sp`."""
    from seo_core.training import classification_loss

    base, pull = loss or classification_loss, l2_sp(model, beta)
    return base if beta == 0 else lambda logits, batch: base(logits, batch) + pull()


def distance(model, reference) -> float:
    """‖θ − θ⁰‖₂ over the encoder, head left out: how far training has moved from `reference` (see `l2_sp`)."""
    return float(sum(value**2 for value in movement(model, reference).values()) ** 0.5)


def movement(model, reference) -> dict[str, float]:
    """‖θ − θ⁰‖₂ by layer: "embeddings", "layer 1" (the lowest) and so on, "pooler"; `reference` as in `l2_sp`."""
    import torch

    from seo_core.training import layer_depths

    reference = reference.state_dict() if hasattr(reference, "state_dict") else reference
    depths = layer_depths(model)
    bottom = max(depths.values())
    names = {0: "pooler", bottom: "embeddings", **{d: f"layer {bottom - d}" for d in range(1, bottom)}}
    squares = {names[depth]: 0.0 for depth in range(bottom, -1, -1)}
    with torch.no_grad():
        for name, parameter in _encoder(model):
            change = parameter - reference[name].to(parameter.device)
            squares[names[depths[name]]] += float(change.double().square().sum())
    return {layer: square**0.5 for layer, square in squares.items()}


def from_scratch(model="bundled", *, num_labels: int = 3, labels: tuple[str, ...] | None = None,
                 layers: int | None = None, seed: int = 0):
    """The architecture of `model` (a name as in `load_backbone`, or a network) with random weights drawn by `seed`.

    Of a network the labels and layers are its own. Not even the word table is learned, so it has to be trained with
    `freeze_embeddings=False` (`fit` refuses otherwise). The caller's random stream stays as it was. Raises ModelError
    as `load_backbone` does."""
    import torch

    if isinstance(model, str | Path):
        model, _ = load_backbone(str(model), num_labels=num_labels, labels=labels, layers=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = type(model)(copy.deepcopy(model.config))
    network.random_weights = True
    return network


def load_source(folder: str | Path, *, new_head: bool = False, labels: tuple[str, ...] | None = None, seed: int = 0):
    """A source-trained model that `models.save` wrote, and its tokenizer, to be trained on the target task. The head is
    the source's where both tasks have the same classes (two NLI sets); with `new_head`, or where `labels` are others,
    it is drawn anew by `seed`. Raises ModelError as `load_backbone` does."""
    model, tokenizer = load_backbone(str(folder), num_labels=len(labels) if labels else None, labels=labels, seed=seed)
    if new_head:
        head_of(model).load_state_dict(head_of(from_scratch(model, seed=seed)).state_dict())
    return model, tokenizer


def _encoder(model) -> list:
    """(name, parameter) of everything but the head."""
    head = {id(p) for p in head_of(model).parameters()}
    return [(name, p) for name, p in model.named_parameters() if id(p) not in head]
