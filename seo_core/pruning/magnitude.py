"""Unstructured magnitude pruning: the smallest weights become zero, and stay zero.

    masks = prune(model, 0.5)                                             # half of the weights, the smallest, to zero
    fit(model, train, config=config, callbacks=[KeepMasks(masks)])        # fine-tuning does not bring them back
    sparsity(model)["share"], stored_bytes(model)                         # zeros counted; bytes dense and packed

Han et al. (2015), "Learning both Weights and Connections for Efficient Neural Networks", section 3: remove weights
below a threshold, then train what is left. With weights w and sparsity s the mask is

    m_i = 1 if |w_i| is not among the ⌊s n⌋ smallest, else 0;    w ← m ⊙ w.

scope="global" ranks all weights together, scope="layer" within each matrix. Pruned are the weight matrices of the
encoder; biases, LayerNorm, the head (the pooler counts as part of it) and, unless `embeddings`, the word table are left
alone. In the bundled network the pooler's weights are the smallest of all: a global ranking would take nearly all of it
at 50% and the whole matrix at 60%. No residual goes around it, so the network then gives one answer to everything, and
masks that hold it at zero keep training from mending that.

**A zero that is stored takes as much room as any other number.** The saved file has the size it had, and a dense matrix
product takes the time it took. `stored_bytes` says what the same weights take when zeros are left out or packed, which
is the only reading under which a pruned file is smaller; such a file has to be unpacked before it can be run.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch

from seo_core.checks import check_choice, check_number

SCOPES = ("global", "layer")


class PruningError(ValueError):
    """Something that cannot be pruned as asked; the message says what to change."""


def check_share(value: float, name: str = "sparsity") -> float:
    """The value if it is a share in [0, 1); otherwise PruningError."""
    return float(check_number(name, value, least=0, below=1, unit="(0.5 removes half)", error=PruningError))


def matrices(model, *, embeddings: bool = False) -> dict[str, torch.nn.Parameter]:
    """Name -> weight matrix that magnitude pruning looks at: the encoder's linear maps, and the word table."""
    if not hasattr(model, "base_model_prefix"):
        raise PruningError(f"a transformers model is pruned here, not {type(model).__name__}: pass the whole network")
    prefix = model.base_model_prefix
    weights = {f"{prefix}.{name}.weight": module.weight for name, module in getattr(model, prefix).named_modules()
               if isinstance(module, torch.nn.Linear) and not name.startswith("pooler")}
    if embeddings:
        table = model.get_input_embeddings().weight
        weights[next(name for name, p in model.named_parameters() if p is table)] = table
    if not weights:
        raise PruningError(f"{type(model).__name__} has no linear maps to prune")
    return weights


@torch.no_grad()
def masks_by_magnitude(model, share: float, *, scope: str = "global", embeddings: bool = False) -> dict:
    """Name -> bool mask in the matrix's shape, False where the weight goes; exactly ⌊share · n⌋ of n go. n counts all
    matrices together (scope="global") or each by itself (scope="layer"). Raises PruningError for a share outside [0, 1)
    and an unknown scope."""
    share = check_share(share)
    check_choice("scope", scope, SCOPES, PruningError)
    weights = matrices(model, embeddings=embeddings)
    masks = {}
    for names in [list(weights)] if scope == "global" else [[name] for name in weights]:
        sizes = np.concatenate([weights[name].detach().abs().float().cpu().numpy().ravel() for name in names])
        kept = np.ones(len(sizes), bool)
        if count := math.floor(share * len(sizes) + 1e-9):
            kept[np.argpartition(sizes, count - 1)[:count]] = False
        pieces = np.split(kept, np.cumsum([weights[name].numel() for name in names])[:-1])
        masks.update({name: torch.from_numpy(piece).view(weights[name].shape)
                      for name, piece in zip(names, pieces, strict=True)})
    return masks


@torch.no_grad()
def apply(model, masks: dict) -> None:
    """w ← m ⊙ w in place. Raises PruningError for masks of another network."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape:
            raise PruningError(f"the mask of {name} does not fit this network: make the masks from the network that "
                               "they are applied to")
        parameters[name].mul_(mask.to(parameters[name].device))


def prune(model, share: float, *, scope: str = "global", embeddings: bool = False) -> dict:
    """Sets the smallest `share` of the weights to zero in place, and returns the masks."""
    masks = masks_by_magnitude(model, share, scope=scope, embeddings=embeddings)
    apply(model, masks)
    return masks


class KeepMasks:
    """A callback of `fit`: after every step the pruned weights are zero again, whatever the optimizer made of them."""

    def __init__(self, masks: dict):
        self.masks = masks

    def __call__(self, event: str, state) -> None:
        if event in ("start", "step"):
            apply(state.model, self.masks)


def sparsity(model, *, embeddings: bool = False) -> dict[str, float]:
    """weights and zeros counted over what can be pruned, and over the whole network: share, share_of_all."""
    weights = matrices(model, embeddings=embeddings).values()
    count, zeros = sum(w.numel() for w in weights), sum(int((w == 0).sum()) for w in weights)
    everything = sum(p.numel() for p in model.parameters())
    return {"weights": count, "zeros": zeros, "share": zeros / count, "share_of_all": zeros / everything}


def stored_bytes(model, *, gzip: bool = True) -> dict[str, int]:
    """Bytes of the network's numbers in three ways of storing them; only the first can be loaded and run as it is.
    dense: as safetensors has them, zeros included. bitmap: one bit a weight saying whether it is there, and the ones
    that are there (where that is shorter than dense). gzip: zlib, level 1, over the dense bytes; slow, some seconds."""
    dense = bitmap = packed = 0
    for tensor in model.state_dict().values():
        array = np.ascontiguousarray(tensor.detach().cpu().numpy())
        dense += array.nbytes
        bitmap += min(array.nbytes, int(np.count_nonzero(array)) * array.itemsize + -(-array.size // 8))
        if gzip:
            packed += len(zlib.compress(array.data, level=1))
    return {"dense": dense, "bitmap": bitmap, **({"gzip": packed} if gzip else {})}
