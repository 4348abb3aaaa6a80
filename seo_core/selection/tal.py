"""Transfer-active learning, TAL: equation (2) of the papers.

    L_TAL = L_TL(θ, D_s, D_t) + λ L_AL(θ, D_u)                                    (SEO-LLM, equation 2)

    tal = TransferActiveLearning(TransferActiveConfig(lam=0.1), seed=0)
    fit(model, bought, config=config, loss=tal.loss(model, unlabelled))

The rounds of buying and training are those of `seo_core.arms.acquisition`.

The papers name the two terms and say no more. Our reading:

    L_TL = mean cross-entropy on the labels bought so far (D_t) + β/2 ‖θ − θ_s‖²
    L_AL = Σ_i w_i H(p_i) / Σ_i w_i   over a batch of unlabelled pairs (D_u),   H(p) = −Σ_c p_c log p_c

θ_s are the weights learned on the source task D_s, from which training starts; the pull towards them is L2-SP (Li et
al. 2018, `seo_core.transfer.l2_sp`). L_AL is entropy minimization (Grandvalet & Bengio 2004): the boundary is pushed
out of regions with many examples. w_i is the rank of the pair's density in the pool, by the start model, so that
outliers, where the model has reason to be unsure, hardly count.

*The ranking and the term must not meet.* A model that has minimized H on the pool is sure of all of it, and its ranking
says little. So the term acts in the training of the final model only; the models that rank the pool are trained with
L_TL alone. An arm with λ = 0 buys the very same labels as one with λ > 0 and the same seed. *No label is seen before it
is bought*: what acquisition and L_AL get is sealed, every label is −1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seo_core.checks import at_least, check, one_of, whole_number
from seo_core.selection.acquisition import ACQUISITIONS, SelectionError, density_weights, select, without_labels
from seo_core.transfer import l2_sp


@dataclass(frozen=True)
class TransferActiveConfig:
    """Choices of TAL. None of the values was tuned."""

    # λ: entropy at most log 3 against a cross-entropy that starts there; 0 is L_TL exactly
    lam: float = at_least(0, default=0.1)
    # β: in the middle of the range that Li et al. search (10 to 0.001); 0 leaves the pull out
    l2_sp: float = at_least(0, default=0.01)
    acquisition: str = one_of(ACQUISITIONS, default="hybrid")  # how labels are bought
    # pairs of D_u a step: a quarter of the labelled 32, and so of their cost
    unlabelled_batch: int = at_least(1, default=8)
    # at most so many pairs of D_u, drawn at random: their density costs one pass
    unlabelled_rows: int = at_least(1, default=4096)
    neighbours: int = at_least(1, default=10)  # as in `HybridConfig`
    anchors: int = at_least(1, default=1024)
    window: int = at_least(1, default=3)  # rounds without a gain that end the purchase
    tolerance: float = at_least(0, default=0.005)  # what counts as a gain: half a point of development accuracy

    def __post_init__(self):
        check(self)


class TransferActiveLearning:
    """Equation (2) as a loss and a ranking. All random choices follow `seed`."""

    def __init__(self, config: TransferActiveConfig | None = None, *, seed: int = 0):
        self.config = config or TransferActiveConfig()
        self.seed = whole_number("seed", seed, 0, SelectionError)

    def select(self, model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
        """n positions in `pool`, (n,) int64, as `seo_core.selection.select`; `model` was not trained with L_AL."""
        return select(self.config.acquisition, model, pool, n, rng)

    def loss(self, model, unlabelled=None) -> Callable:
        """L_TAL for `fit`: a function of logits (B, k) and a batch, over `model`'s parameters as they are now.

        unlabelled: D_u, an Encoded whose labels are not read; None where λ is 0. The pull's target and the density
        weights are taken here, before the first step. The unlabelled batch and its dropout follow from the seed and the
        labelled batch's rows, so that a resumed run repeats them. Raises SelectionError for λ > 0 without D_u.
        """
        from torch.nn import functional as F

        pull = l2_sp(model, self.config.l2_sp) if self.config.l2_sp > 0 else None
        active = self._active(model, unlabelled) if self.config.lam > 0 else None

        def total(logits, batch):
            value = F.cross_entropy(logits, batch["labels"])
            if pull is not None:
                value = value + pull()
            if active is not None:
                value = value + self.config.lam * active(batch, logits.device)
            return value

        return total

    def _active(self, model, unlabelled) -> Callable:
        """L_AL as a function of the labelled batch (for its rows) and the device."""
        import torch

        from seo_core.models.fastpath import ByteDropout, call, compute_dtype, forward_module

        if unlabelled is None or len(unlabelled) == 0:
            raise SelectionError("λ is above 0 and there is no unlabelled example for L_AL: pass unlabelled=, or set "
                                 "lam=0")
        rng = np.random.default_rng([self.seed, 61])
        pool = without_labels(unlabelled.take(np.sort(rng.permutation(len(unlabelled))[: self.config.unlabelled_rows])))
        weights = density_weights(model, pool, rng, self.config)  # constants to the loss
        order, size = np.argsort(pool.lengths, kind="stable"), self.config.unlabelled_batch
        chunks = [order[i : i + size] for i in range(0, len(order), size)]  # of like length
        networks: dict = {}

        def value(batch, device):
            if device not in networks:  # fit moves the model after the loss is made
                networks[device] = forward_module(model, compute_dtype("auto", device))
            network = networks[device]
            draw = np.random.default_rng([self.seed, 67, *np.asarray(batch["rows"].cpu()).tolist()])
            rows = chunks[draw.integers(len(chunks))]
            if network is not model:
                network.train(model.training)
                network.random = ByteDropout(int(draw.integers(2**31)))
            logits = call(network, pool.inputs(rows, device), compute_dtype("auto", device), network is model)
            return weighted_entropy(logits, torch.from_numpy(weights[rows]).to(device))

        return value


def weighted_entropy(logits, weights):
    """L_AL = Σ_i w_i H(softmax(logits_i)) / Σ_i w_i in nats: logits (B, k), weights (B,) not below 0 -> scalar tensor,
    0 where all weights are 0."""
    import torch

    logs = torch.log_softmax(logits, dim=-1)
    entropy = -(logs.exp() * logs).sum(-1)  # (B,)
    weights = weights.to(entropy)
    return (weights * entropy).sum() / weights.sum().clamp_min(1e-12)
