"""Loss prediction: buy what a small head says that the model will get most wrong.

    predicted = predicted_losses(model, labelled, pool, seed=0)         # (n,), only their order means something
    picked = buy_by_loss(model, labelled, pool, 1000, rng, seed=0)

Yoo & Kweon 2019 ("Learning Loss for Active Learning", CVPR), a second reading of L_AL(θ, D_u) in the papers' equation
(2), which they do not define: not a term of the model's loss, but a learned criterion. A head reads hidden states h of
the model and predicts the loss l of an example. The scale of l falls while the model learns, so the head is not trained
on l but on the order of two examples i, j (their equation 2), with the margin ξ = 1:

    L(l̂_i, l̂_j; l_i, l_j) = max(0, −sgn(l_i − l_j) · (l̂_i − l̂_j) + ξ)

Ours differs in two things: the head is trained when the model is finished (they train both at once and cut the gradient
after 120 of 200 epochs), and h is what the classifier reads, not features of several depths. The losses are, as theirs,
those of the pairs that the model was trained on. No label of the pool is read.
"""

from dataclasses import dataclass

import numpy as np

from seo_core.checks import above, at_least, check
from seo_core.selection.acquisition import SelectionError, _check, _top, features, without_labels


@dataclass(frozen=True)
class LossPredictionConfig:
    """How the head is trained. None of the values was tuned."""

    margin: float = above(0, default=1.0)  # ξ, Yoo & Kweon's
    width: int = at_least(1, default=128)  # of the head's one hidden layer, theirs
    steps: int = at_least(1, default=500)  # of Adam at 1e-3: a second on a CPU
    batch_size: int = at_least(2, default=64)  # half as many pairs of examples, as they divide a batch

    def __post_init__(self):
        check(self)


def ranking_loss(predicted, loss, margin: float = 1.0):
    """The equation above over the pairs (0, 1), (2, 3), … of a batch: predicted and loss (B,), B even -> scalar mean.
    Equal losses have no order and cost nothing."""
    sign = (loss[0::2] - loss[1::2]).sign()  # (B / 2,)
    apart = predicted[0::2] - predicted[1::2]
    return ((margin - sign * apart).clamp_min(0) * sign.abs()).mean()


def predicted_losses(model, labelled, pool, *, config: LossPredictionConfig | None = None,
                     seed: int = 0) -> np.ndarray:
    """(n,) float32: for each example of `pool` what a head says of its loss, learned on `labelled`, both Encoded.

    The model is read, not trained; all random choices follow `seed`. Raises SelectionError for fewer than two labelled
    examples, and for one without a label that the model knows.
    """
    import torch

    config = config or LossPredictionConfig()
    if len(labelled) < 2 or not ((labelled.labels >= 0) & (labelled.labels < model.config.num_labels)).all():
        raise SelectionError("loss prediction learns from the losses of labelled examples: pass two or more of them, "
                             f"with labels from 0 to {model.config.num_labels - 1}")
    logits, h = map(torch.from_numpy, features(model, labelled))  # (m, k), (m, d)
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labelled.labels), reduction="none")  # (m,)
    mean, spread = h.mean(0), h.std(0).clamp_min(1e-6)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Sequential(torch.nn.Linear(h.shape[1], config.width), torch.nn.ReLU(),
                                   torch.nn.Linear(config.width, 1))
        optimizer, size = torch.optim.Adam(head.parameters(), lr=1e-3), min(config.batch_size, len(h)) // 2 * 2
        for _ in range(config.steps):
            rows = torch.randperm(len(h))[:size]
            value = ranking_loss(head((h[rows] - mean) / spread)[:, 0], losses[rows], config.margin)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    with torch.inference_mode():
        unseen = torch.from_numpy(features(model, without_labels(pool))[1])
        return head((unseen - mean) / spread)[:, 0].numpy()


def buy_by_loss(model, labelled, pool, n: int, rng: np.random.Generator, *,
                config: LossPredictionConfig | None = None, seed: int = 0) -> np.ndarray:
    """Positions (n,) int64 of the highest predicted losses in `pool`, equal ones in random order. Raises SelectionError
    as `predicted_losses`, and for an n that the pool has not."""
    _check(pool, n)
    return _top(predicted_losses(model, labelled, pool, config=config, seed=seed), n, rng)
