"""Acquisition functions: which unlabelled examples to have labelled next.

    picked = select("hybrid", model, pool, 1000, np.random.default_rng(seed))   # positions in `pool`

Every function has one contract, `f(model, pool, n, rng) -> (n,) int64`: distinct positions in `pool` (an Encoded of N
examples), chosen by the model as it is. None reads `pool.labels`. With p = softmax(logits), k classes, and those of a
row sorted as p(1) >= p(2) >= ..., the scores are (Settles 2009, "Active Learning Literature Survey", section 3.1)

    least_confidence   1 − p(1)
    margin             1 − (p(1) − p(2))
    entropy            −Σ_c p_c log p_c                                     (nats)
    bald               H(mean_t p_t) − mean_t H(p_t), t = 5 passes with dropout (Houlsby et al. 2011, Gal et al. 2017)
    badge              k-means++ over gradient embeddings (p − onehot(ŷ)) ⊗ h (Ash et al. 2020)
    hybrid             uncertainty × density, outliers removed, drawn at random in proportion
    hybrid_text        the same with the margin as uncertainty and the density of the words; see `HYBRID_TEXT`

and the n highest are taken, equal ones in random order; `random` is the control.

*Cost.* One batched pass at inference speed (five for bald) gives logits (N, k) and embeddings (N, d). Everything after
it is linear in N. BADGE's embeddings (N, k·d) are never built: ⟨a ⊗ h, b ⊗ g⟩ = ⟨a, b⟩ ⟨h, g⟩, so N·(k + d) numbers
are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from seo_core.checks import at_least, check, check_choice, check_number, one_of, whole_number
from seo_core.evaluation import softmax
from seo_core.progress import watched

BALD_PASSES = 5  # stochastic passes: each costs a whole pass over the pool


class SelectionError(ValueError):
    """A selection that cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class HybridConfig:
    """Choices of `hybrid`, none of them tuned. Each of its four parts can be switched off by the value in brackets."""

    # share of the pool left out, least dense first (0): Karamcheti et al. 2021 remove 10 to 50%
    outliers: float = at_least(0, below=1, default=0.1)
    # share of the rest left out, most uncertain first (0): mislabelled or unlearnable pairs
    hardest: float = at_least(0, below=1, default=0.05)
    # exponent of uncertainty × density in the draw (0: uniform); Kirsch et al. 2023 use 1
    beta: float = at_least(0, default=1.0)
    balance: bool = True  # equal shares of the predicted classes (False)
    neighbours: int = at_least(1, default=10)  # density: mean cosine similarity to so many nearest anchors
    anchors: int = at_least(1, default=1024)  # random pool points that stand for the pool: linear cost
    # where density is measured: "model", what the classifier reads; "text", `text_vectors`
    space: str = one_of(("model", "text"), default="model")
    uncertainty: str = one_of(("entropy", "margin"), default="entropy")

    def __post_init__(self):
        check(self)


# In a classifier's own space what is uncertain counts as outlying: density and uncertainty may cancel. The words of a
# pair know nothing of its class. The margin asks for two classes that compete, where entropy prefers three that nobody
# can tell apart; beta is higher, or little but the outliers would tell such a purchase from a random one.
HYBRID_TEXT = HybridConfig(space="text", uncertainty="margin", beta=2.0)


def features(model, encoded, *, precision: str = "auto", batch_size: int = 64, dropout: bool = False,
             seed: int = 0, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, k) and the classifier's inputs (n, d), both float32, of n encoded examples in their order.

    One pass in batches of like length, at the speed of `seo_core.evaluation.predict` and with its precision. dropout:
    leaves dropout on, with masks drawn from `seed`. The model's mode and torch's random stream are left as they were.
    Raises SelectionError for logits that are not finite, and for a model of one label.
    """
    import torch

    from seo_core.models.backbone import mode
    from seo_core.models.fastpath import compute_dtype, forward_module

    if model.config.num_labels < 2:
        raise SelectionError("the model has one label, so there is nothing to be unsure of: pass a classifier")
    device = next(model.parameters()).device
    dtype = compute_dtype(precision, device)
    logits = np.zeros((len(encoded), model.config.num_labels), np.float32)
    embeddings = None
    with mode(model, train=dropout), torch.random.fork_rng(), torch.inference_mode():
        network = forward_module(model, dtype, seed=seed)
        torch.manual_seed(seed)
        for rows in watched(encoded.batches(batch_size), "scoring", "batch", shown=progress):
            out, pooled = _pooled(network, model, encoded.inputs(rows, device), dtype)
            if embeddings is None:
                embeddings = np.zeros((len(encoded), pooled.shape[1]), np.float32)
            logits[rows], embeddings[rows] = out.float().cpu().numpy(), pooled.float().cpu().numpy()
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits).all(axis=1)).sum())
        raise SelectionError(f"the model gives logits that are not finite for {bad} of {len(encoded)} examples: its "
                             "training diverged; lower the learning rate and train it again")
    return logits, np.zeros((0, 0), np.float32) if embeddings is None else embeddings


def _pooled(network, model, batch, dtype):
    """(logits (B, k), what the last layer read (B, d)): from the fast path, else caught by a hook."""
    import torch

    from seo_core.models.fastpath import call

    if network is not model:
        return network.with_pooled(**batch)
    k = model.config.num_labels
    heads = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m.out_features == k]
    if not heads:
        raise SelectionError(f"{type(model).__name__} has no linear layer with {k} outputs, whose input could serve as "
                             "embedding: pass a sequence classifier")
    caught = []
    with heads[-1].register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0])):
        logits = call(model, batch, dtype, stock=True)
    return logits, caught[-1] if caught[-1].ndim == 2 else caught[-1][:, 0]


def least_confidence_scores(logits: np.ndarray) -> np.ndarray:
    """1 − max_c p_c from logits (n, k) -> (n,) in [0, 1 − 1/k]."""
    return 1 - softmax(logits).max(axis=1)


def margin_scores(logits: np.ndarray) -> np.ndarray:
    """1 − (p(1) − p(2)), one minus the lead of the first class over the second: logits (n, k) -> (n,) in [0, 1]."""
    top = np.partition(softmax(logits), -2, axis=1)[:, -2:]
    return 1 - (top[:, 1] - top[:, 0])


def entropy_scores(logits: np.ndarray) -> np.ndarray:
    """−Σ_c p_c log p_c in nats: logits (n, k) -> (n,) in [0, log k]."""
    return _entropy(softmax(logits))


def bald_scores(passes: np.ndarray) -> np.ndarray:
    """Mutual information of label and weights, H(mean_t p_t) − mean_t H(p_t): logits (t, n, k) -> (n,), nats."""
    probabilities = np.stack([softmax(p) for p in passes])
    return np.maximum(_entropy(probabilities.mean(axis=0)) - _entropy(probabilities).mean(axis=0), 0)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """Over the last axis, in nats; 0 log 0 is 0."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1.0))
    return -(probabilities * logs).sum(axis=-1)


def density_scores(embeddings: np.ndarray, rng: np.random.Generator, *, anchors: int = 1024,
                   neighbours: int = 10) -> np.ndarray:
    """Mean cosine similarity (n,) in [-1, 1] of each row of embeddings (n, d) to its nearest anchors: random rows that
    stand for the pool, so that the cost is n · anchors · d and not n² · d. An anchor does not count itself."""
    n = len(embeddings)
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)  # (n, d)
    chosen = rng.permutation(n)[:anchors]
    count = min(neighbours, len(chosen) - 1)
    if count < 1:
        return np.ones(n, np.float32)
    density = np.empty(n, np.float32)
    for start in range(0, n, 8192):
        similarity = unit[start : start + 8192] @ unit[chosen].T  # (b, anchors)
        itself = np.flatnonzero((chosen >= start) & (chosen < start + len(similarity)))  # anchors among these rows
        similarity[chosen[itself] - start, itself] = -np.inf
        density[start : start + 8192] = np.partition(similarity, -count, axis=1)[:, -count:].mean(axis=1)
    return density


def density_rank(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank of each density (n,) among them all, in (0, 1), equal ones at random: (n,) float64."""
    rank = np.empty(len(density))
    rank[np.lexsort((rng.random(len(density)), density))] = (np.arange(len(density)) + 0.5) / len(density)
    return rank


def density_weights(model, pool, rng: np.random.Generator, config) -> np.ndarray:
    """Rank of each pool example's density, by `model` as it is, in (0, 1): (n,) float32. config: has `anchors` and
    `neighbours`."""
    density = density_scores(features(model, pool)[1], rng, anchors=config.anchors, neighbours=config.neighbours)
    return density_rank(density, rng).astype(np.float32)


def text_vectors(model, pool, *, a: float = 1e-3) -> np.ndarray:
    """A vector (n, d) float32 for the words of each example, without a pass through the network: the mean over its
    tokens t of a / (a + f(t)) e_t, less the pool's mean; e is the model's word table, f(t) the token's share of the
    pool (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings")."""
    table = model.get_input_embeddings().weight.detach().float().cpu().numpy()
    counts = np.bincount(pool.ids, minlength=len(table))
    table = table * (a / (a + counts / max(len(pool.ids), 1)))[:, None]
    vectors = np.empty((len(pool), table.shape[1]), np.float32)
    for start in range(0, len(pool), 2048):
        end = min(start + 2048, len(pool))
        offsets = pool.offsets[start : end + 1]
        words = table[pool.ids[offsets[0] : offsets[-1]]]  # (tokens, d)
        sums = np.add.reduceat(words, offsets[:-1] - offsets[0], axis=0)
        vectors[start:end] = sums / np.diff(offsets)[:, None]
    return vectors - vectors.mean(axis=0)


def _top(scores: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the n highest scores; equal ones in random order."""
    order = rng.permutation(len(scores))
    return order[np.argsort(-scores[order], kind="stable")[:n]].astype(np.int64)


def _check(pool, n: int) -> None:
    if not hasattr(pool, "offsets"):
        raise SelectionError("the pool must be an Encoded, as seo_core.data.encode returns it, not a "
                             f"{type(pool).__name__}")
    if len(pool) == 0:
        raise SelectionError("the pool is empty: there is nothing left to buy; end the rounds, or give more data")
    whole_number("n, the examples to buy,", n, 1, SelectionError)
    if n > len(pool):
        raise SelectionError(f"{n} examples were asked for and the pool has {len(pool)}: lower n")


def random(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """n of the pool, each set equally likely: the control. The model is not used and may be None."""
    _check(pool, n)
    return rng.permutation(len(pool))[:n].astype(np.int64)


def least_confidence(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n with the smallest probability of the predicted class."""
    _check(pool, n)
    return _top(least_confidence_scores(features(model, pool)[0]), n, rng)


def margin(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n with the smallest lead of the first class over the second."""
    _check(pool, n)
    return _top(margin_scores(features(model, pool)[0]), n, rng)


def entropy(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n with the highest entropy of the predicted distribution."""
    _check(pool, n)
    return _top(entropy_scores(features(model, pool)[0]), n, rng)


def bald(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The n about which five passes with dropout disagree most (Gal et al. 2017, equation 8)."""
    _check(pool, n)
    seeds = rng.integers(0, 2**31, BALD_PASSES)
    passes = np.stack([features(model, pool, dropout=True, seed=int(seed))[0] for seed in seeds])  # (5, N, k)
    return _top(bald_scores(passes), n, rng)


def badge(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """BADGE (Ash et al. 2020, algorithm 1): k-means++ picks gradients of −log p_ŷ by the last layer's weights,
    (p − onehot(ŷ)) ⊗ h (k × d), that are long, where the model is unsure, and that differ from each other."""
    _check(pool, n)
    return kmeans_plus_plus(*gradient_factors(*features(model, pool)), n, rng)


def gradient_factors(logits: np.ndarray, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, h) with a_i ⊗ h_i the gradient embedding of row i: a = p − onehot(ŷ) (n, k), h (n, d), float32."""
    a = softmax(logits)
    a[np.arange(len(a)), logits.argmax(axis=1)] -= 1
    return a.astype(np.float32), embeddings.astype(np.float32, copy=False)


def squared_distances(a: np.ndarray, h: np.ndarray, row: int, norms: np.ndarray) -> np.ndarray:
    """‖a_i ⊗ h_i − a_row ⊗ h_row‖² for all i, (n,) float32, without an outer product. norms: `squared_norms`."""
    distances = norms + norms[row] - 2 * (a @ a[row]) * (h @ h[row])
    return np.maximum(distances, 0, out=distances)


def squared_norms(a: np.ndarray, h: np.ndarray) -> np.ndarray:
    """‖a_i ⊗ h_i‖² (n,)."""
    return np.einsum("nk,nk->n", a, a) * np.einsum("nd,nd->n", h, h)


def kmeans_plus_plus(a: np.ndarray, h: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n distinct rows by k-means++ seeding (Arthur & Vassilvitskii 2007) over the points a_i ⊗ h_i -> (n,) int64.

    a (N, k), h (N, d). The first is the longest, as in the authors' code; each next one is drawn in proportion to its
    squared distance to the nearest one chosen, at random where all are 0. Time N · n · (k + d), memory N · (k + d).
    """
    norms = squared_norms(a, h)  # (N,)
    chosen = np.empty(n, np.int64)
    chosen[0] = _top(norms, 1, rng)[0]
    nearest = squared_distances(a, h, chosen[0], norms).astype(np.float64)
    nearest[chosen[0]] = 0
    noise = 1e-6 * float(norms.max())  # float32 rounding of the distance between equal points
    for i in range(1, n):
        nearest[nearest <= noise] = 0
        cumulative = np.cumsum(nearest)
        if cumulative[-1] <= 0:
            rest = np.setdiff1d(np.arange(len(a)), chosen[:i])
            chosen[i:] = rng.permutation(rest)[: n - i]
            break
        chosen[i] = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
        np.minimum(nearest, squared_distances(a, h, chosen[i], norms), out=nearest)
        nearest[chosen[i]] = 0
    return chosen


def hybrid(model, pool, n: int, rng: np.random.Generator, *, config: HybridConfig | None = None) -> np.ndarray:
    """Uncertainty × density, outliers removed, drawn at random in proportion and balanced by predicted class.

    On pools gathered from several sources the most uncertain examples are largely *collective outliers* that the model
    will not learn (Karamcheti et al. 2021), and in part noise. So, in order:

    1. leave out the `outliers` share of the pool with the lowest density, then the `hardest` share of what is left with
       the highest uncertainty;
    2. score the rest by s = uncertainty × (rank of density in [0, 1]), uncertainty = entropy / log k or 1 − lead;
    3. draw without replacement in proportion to s^beta, by adding Gumbel noise to beta · log s and taking the highest
       (power acquisition, Kirsch et al. 2023): near-copies at the top of the ranking are not all bought;
    4. take as many of each predicted class, as far as there are enough.

    Where steps 1 and 4 leave fewer than n, the rest is filled by the same draw from what they left out.
    """
    _check(pool, n)
    logits, embeddings = features(model, pool)
    config = config or HybridConfig()
    vectors = embeddings if config.space == "model" else text_vectors(model, pool)
    density = density_scores(vectors, rng, anchors=config.anchors, neighbours=config.neighbours)
    return hybrid_positions(logits, density, n, rng, config)


def hybrid_text(model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """`hybrid` as `HYBRID_TEXT` configures it: density of the words, the margin as uncertainty, a sharper draw."""
    return hybrid(model, pool, n, rng, config=HYBRID_TEXT)


def hybrid_positions(logits: np.ndarray, density: np.ndarray, n: int, rng: np.random.Generator,
                     config: HybridConfig) -> np.ndarray:
    """Steps 1 to 4 of `hybrid` from logits (N, k) and density (N,) -> (n,) positions, int64."""
    total, classes = logits.shape
    margins = config.uncertainty == "margin"
    uncertainty = margin_scores(logits) if margins else entropy_scores(logits) / np.log(classes)  # (N,) in [0, 1]
    rank = density_rank(density, rng)
    keep = rank >= config.outliers
    inside = np.flatnonzero(keep)
    if drop := int(config.hardest * len(inside)):
        keep[inside[_top(uncertainty[inside], drop, rng)]] = False
    keys = config.beta * np.log(np.maximum(uncertainty * rank, 1e-12)) + rng.gumbel(size=total)
    order = np.argsort(-keys)
    kept = order[keep[order]]
    if config.balance:
        predicted = pd.Series(logits.argmax(axis=1)[kept])
        turn = predicted.groupby(predicted).cumcount().to_numpy()  # how many of its class stand before it
        kept = kept[np.argsort(turn, kind="stable")]
    return np.concatenate([kept, order[~keep[order]]])[:n].astype(np.int64)


Acquisition = Callable[..., np.ndarray]
ACQUISITIONS: dict[str, Acquisition] = {function.__name__: function for function in (
    random, least_confidence, margin, entropy, bald, badge, hybrid, hybrid_text)}


def select(acquisition: str | Acquisition, model, pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """n distinct positions in `pool`, (n,) int64, by an acquisition function or its name, which sees no label.

    Raises SelectionError for an unknown name, a pool that is empty or no Encoded, n that is no whole number from 1 to
    the pool's size, an rng that is no Generator, and a function of the caller's own that breaks the contract.
    """
    if not callable(acquisition):
        acquisition = ACQUISITIONS[check_choice("acquisition", acquisition, ACQUISITIONS, SelectionError)]
    _check(pool, n)
    if not isinstance(rng, np.random.Generator):
        raise SelectionError(f"rng must be a generator, as in np.random.default_rng(seed), not {rng!r}")
    picked = np.asarray(acquisition(model, without_labels(pool), n, rng))
    if picked.shape != (n,) or len(np.unique(picked)) != n or picked.min() < 0 or picked.max() >= len(pool):
        raise SelectionError(f"the acquisition function returned no {n} distinct positions in a pool of {len(pool)}: "
                             "it must return an integer array of shape (n,)")
    return picked.astype(np.int64)


def describe(logits: np.ndarray, density: np.ndarray, bought: dict[str, np.ndarray]):
    """What each function bought: a row for the whole pool and one per name, from logits (N, k) and density (N,) of the
    pool and name -> positions. Columns: means of entropy (nats), lead of the first class and density, shares (%) of the
    purchase in the tenth of the pool that is least dense and in the most frequent predicted class."""
    entropies, leads = entropy_scores(logits), 1 - margin_scores(logits)
    edge, predicted = density <= np.quantile(density, 0.1), logits.argmax(axis=1)
    rows = {}
    for name, at in {"whole pool": np.arange(len(logits)), **bought}.items():
        top = np.bincount(predicted[at], minlength=logits.shape[1]).max()
        rows[name] = {"entropy": entropies[at].mean(), "lead": leads[at].mean(), "density": density[at].mean(),
                      "outlying tenth, %": 100 * edge[at].mean(), "largest predicted class, %": 100 * top / len(at)}
    return pd.DataFrame.from_dict(rows, orient="index")


def without_labels(pool):
    """The same examples with every label -1."""
    return replace(pool, labels=np.full(len(pool), -1, np.int64))


def plateau(curve, *, window: int = 3, tolerance: float = 0.005) -> bool:
    """Whether a development curve has stopped rising: the papers' rule for ending the purchase of labels.

    True where the best of the last `window` values is not above the best before them by more than `tolerance`; False
    while there are `window` values or fewer. Values that are not finite count as no progress. Raises SelectionError for
    a window below 1 or a negative tolerance.
    """
    whole_number("window", window, 1, SelectionError)
    check_number("tolerance", tolerance, least=0, error=SelectionError)
    values = np.asarray(list(curve), dtype=float)
    if len(values) <= window:
        return False
    values = np.where(np.isfinite(values), values, -np.inf)
    before, recent = values[:-window].max(), values[-window:].max()
    return not recent > before + tolerance
