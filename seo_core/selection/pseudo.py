"""Semi-supervised learning: a teacher labels the unlabelled pairs, a student learns from them.

    logits = teacher_logits([first, second], unlabelled)                # (members, n, k)
    step = self_training(logits, labelled, unlabelled, strong=edited)   # an Encoded, and the loss that goes with it
    fit(student, step.train, loss=step.loss, config=config)

With p = softmax of a teacher's logits (n, k), c the class with the largest p and N rows in the pool:

    fixed       keep a row where max p ≥ τ; its label is c (Lee 2013, "Pseudo-Label"). The papers' version.
    flexmatch   τ_c = β_c / (2 − β_c) · τ, β_c = σ_c / max(max_c σ_c, N − Σ_c σ_c), σ_c = number of rows that pass τ
                with class c (Zhang et al. 2021, "FlexMatch", with its warm-up and convex mapping): the bar is lower
                where little passes
    freematch   τ_c = p̄_c / max_c p̄_c · mean(max p), p̄ = mean of p over the pool (Wang et al. 2023, "FreeMatch",
                self-adaptive threshold): no constant to choose; the bar is the teacher's own mean confidence,
                lowered for the classes it expects less of

The published rules follow running means during training; here the teacher is fixed while the pool is labelled, so the
means are those of the whole pool. *Consistency*: the label comes from the pair as it is, the student sees the strongly
changed view (an ADA edit), as in UDA (Xie et al. 2020) and FixMatch (Sohn et al. 2020). *Soft targets* keep the whole
of p (Xie et al. 2020, "Noisy Student"): a row of which the teacher is unsure teaches that, and nothing has to be cut
off. *Distribution alignment* (Berthelot et al. 2020, "ReMixMatch") scales the columns of p until their means are the
class shares of the labelled rows. Nothing here reads a label of the unlabelled rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seo_core.checks import above, at_least, check, check_choice, check_number, one_of, share
from seo_core.data.encoding import concatenate
from seo_core.evaluation import predict, softmax
from seo_core.selection.acquisition import SelectionError


@dataclass(frozen=True)
class Pseudo:
    """What was pseudo-labelled: m of n rows, k classes."""

    rows: np.ndarray  # (m,) int64, positions in the pool, ascending
    labels: np.ndarray  # (m,) int64, the teacher's class
    thresholds: np.ndarray  # (k,) float64, the bar of each class
    kept: np.ndarray  # (k,) float64: of the rows that the teacher gives this class, the share kept (0 where none)
    note: str = ""  # why nothing was kept, where nothing was

    def __len__(self) -> int:
        return len(self.rows)


def pseudo_label(logits: np.ndarray, *, threshold: float = 0.95) -> Pseudo:
    """Rows of logits (n, k) whose largest probability is `threshold` or more, with that class as label (Lee 2013).

    Empty, with a note, where the pool is empty, nothing passes, or the teacher gives one class to all of more rows than
    there are classes. Raises SelectionError for logits not finite or not (n, k), and for a threshold outside [0, 1].
    """
    p = _probabilities(logits)
    check_number("threshold", threshold, least=0, most=1, error=SelectionError)
    return _keep(p, np.full(p.shape[1], float(threshold)))


RULES = ("freematch", "flexmatch")


def adaptive_pseudo_label(weak_logits: np.ndarray, strong_logits: np.ndarray | None = None, *, rule: str = "freematch",
                          threshold: float = 0.95) -> Pseudo:
    """Rows that pass their class's own threshold, by the teacher's logits (n, k) on the weak view.

    strong_logits (n, k): the same teacher on the strong view; a row is kept only where both views get the same class.
    `threshold` is the upper bound τ of the rule "flexmatch"; "freematch" has none. Empty results and errors as for
    `pseudo_label`; also SelectionError for views of different shapes and an unknown rule.
    """
    p = _probabilities(weak_logits)
    check_number("threshold", threshold, least=0, most=1, error=SelectionError)
    agree = True
    if strong_logits is not None:
        q = _probabilities(strong_logits)
        if q.shape != p.shape:
            raise SelectionError(f"the weak view has logits {p.shape}, the strong view {q.shape}: encode both views of "
                                 "the same rows, in the same order")
        agree = p.argmax(axis=1) == q.argmax(axis=1)
    return _keep(p, class_thresholds(p, rule=rule, threshold=threshold), agree)


def class_thresholds(p: np.ndarray, *, rule: str = "freematch", threshold: float = 0.95) -> np.ndarray:
    """The bar of each class (k,) from probabilities (n, k), by "freematch" or "flexmatch" (see the module)."""
    check_choice("rule", rule, RULES, SelectionError)
    n, k = p.shape
    if n == 0:
        return np.full(k, float(threshold))
    top = p.max(axis=1)
    if rule == "freematch":
        expected = p.mean(axis=0)  # (k,)
        return expected / expected.max() * top.mean()
    passed = np.bincount(p.argmax(axis=1)[top >= threshold], minlength=k)  # σ (k,)
    learned = passed / max(passed.max(), n - passed.sum(), 1)  # β (k,)
    return learned / (2 - learned) * threshold


def _keep(p: np.ndarray, thresholds: np.ndarray, mask: np.ndarray | bool = True) -> Pseudo:
    n, k = p.shape
    classes, top = p.argmax(axis=1), p.max(axis=1, initial=0.0)
    kept = (top >= thresholds[classes]) & mask
    predicted = np.bincount(classes, minlength=k)
    note = ""
    if n == 0:
        note = "the pool is empty"
    elif n > k and predicted.max() == n:
        kept[:] = False
        note = (f"the teacher gives class {classes[0]} to all {n} rows: it has learned nothing to pass on; give it "
                "more labels or epochs")
    elif not kept.any():
        note = f"none of {n} rows passes its threshold (largest probability {top.max():.3f}): lower it, or adapt it"
    rows = np.flatnonzero(kept)
    shares = np.bincount(classes[rows], minlength=k) / np.maximum(predicted, 1)
    return Pseudo(rows, classes[rows], thresholds, shares, note)


def soft_labels(logits, *, temperature: float = 1.0, prior: np.ndarray | None = None) -> np.ndarray:
    """Targets (n, k) float64, rows summing to 1: the mean of the members' probabilities.

    logits: (n, k), or (members, n, k) of several teachers, divided by `temperature`. prior (k,): class shares that the
    columns' means are scaled to (distribution alignment, repeated until they match to 1e-4). Raises SelectionError for
    logits that are not finite, a temperature of 0 or less, and a prior that is not k positive shares.
    """
    check_number("temperature", temperature, above=0, error=SelectionError)
    members = np.asarray(logits, dtype=np.float64)
    members = members[None] if members.ndim == 2 else members
    if members.ndim != 3 or len(members) == 0:
        raise SelectionError(f"logits must be (n, k) or (members, n, k), got {members.shape}")
    p = np.mean([_probabilities(z / temperature) for z in members], axis=0)
    if prior is None or len(p) == 0:
        return p
    prior = np.asarray(prior, dtype=np.float64)
    if prior.shape != (p.shape[1],) or not (prior > 0).all():
        raise SelectionError(f"prior must be {p.shape[1]} positive class shares, got {prior.tolist()}: a class without "
                             "labelled rows cannot be aligned")
    prior = prior / prior.sum()
    for _ in range(1000):
        mean = p.mean(axis=0)
        if np.abs(mean - prior).max() < 1e-4:
            break
        p = p * (prior / mean)
        p /= p.sum(axis=1, keepdims=True)
    return p


def soft_target_loss(targets: np.ndarray, weights: np.ndarray | None = None) -> Callable:
    """A loss for `fit`: mean over the batch of w_i · (−Σ_c q_ic log p_ic).

    targets q (n, k) and weights w (n,) (default 1) belong to the rows of the training Encoded; batch["rows"] says which
    are in the batch, whose size the sum is divided by. Raises SelectionError for shapes that do not fit, values that
    are not finite, or negative weights; the loss does for a student with another number of labels.
    """
    import torch

    targets = np.asarray(targets)
    weights = np.ones(len(targets)) if weights is None else np.asarray(weights)
    if targets.ndim != 2 or weights.shape != (len(targets),):
        raise SelectionError(f"targets must be (n, k) and weights (n,), got {targets.shape} and {weights.shape}")
    if not (np.isfinite(targets).all() and np.isfinite(weights).all() and (weights >= 0).all()):
        raise SelectionError("targets and weights must be finite, and weights 0 or more")
    q, w = torch.from_numpy(targets.astype(np.float32)), torch.from_numpy(weights.astype(np.float32))

    def loss(logits, batch):
        if logits.shape[-1] != q.shape[1]:
            raise SelectionError(f"the targets have {q.shape[1]} labels and the student {logits.shape[-1]}: use a "
                                 "teacher that was trained on the student's task")
        rows = batch["rows"].cpu()
        row_loss = -(q[rows].to(logits.device) * torch.log_softmax(logits, dim=-1)).sum(dim=-1)  # (B,)
        return (w[rows].to(logits.device) * row_loss).mean()

    return loss


def teacher_logits(models, encoded, *, precision: str = "auto") -> np.ndarray:
    """Logits (members, n, k) of one teacher or several on an Encoded, in its order; labels are not read."""
    models = models if isinstance(models, (list, tuple)) else [models]
    if not models:
        raise SelectionError("no teacher: pass a trained model, or a list of them")
    return np.stack([predict(model, encoded, precision=precision) for model in models])


@dataclass(frozen=True)
class SelfTrainingConfig:
    """How `self_training` turns a teacher's logits into a training set."""

    keep: str = one_of(("all", "fixed", "adaptive"), default="adaptive")  # which rows of the pool are used
    threshold: float = share(default=0.95)  # of "fixed" (FixMatch's value), and the upper bound of the rule "flexmatch"
    rule: str = one_of(RULES, default="freematch")  # of "adaptive": no constant to tune
    soft: bool = True  # targets are the teacher's probabilities, not its class
    temperature: float = above(0, default=1.0)  # on the teacher's logits, for soft targets
    align: bool = True  # scale soft targets to the labelled rows' class shares
    weight: float = above(0, default=1.0)  # of a pseudo-labelled row; a labelled row has 1
    labelled_share: float = at_least(0, below=1, default=0.2)  # they are repeated until they are this share of an epoch

    def __post_init__(self):
        check(self)


FIXED = SelfTrainingConfig(keep="fixed", soft=False, align=False)  # the papers' pseudo-labels


@dataclass(frozen=True)
class SelfTraining:
    """A training set of labelled and pseudo-labelled rows; `fit`'s train_accuracy on it is agreement with targets."""

    train: object  # Encoded: the labelled rows, repeats of them, the pseudo-labelled ones with the teacher's classes
    added: object  # Encoded: `train` without its first part, the labelled rows
    loss: Callable  # for fit
    pseudo: Pseudo
    targets: np.ndarray  # (len(train), k)


def self_training(logits, labelled, unlabelled, *, strong=None, strong_logits=None,
                  config: SelfTrainingConfig | None = None) -> SelfTraining:
    """One round of self-training: which rows to train on, and the loss to train with.

    logits: the teacher's on `unlabelled`, (n, k) or (members, n, k); `labelled`, `unlabelled` and `strong` are Encoded,
    and only the labels of the first are read. With `strong` (the edited view of the same rows in the same order) the
    student reads that view, with labels from the other; with `strong_logits` rows on which the views disagree are left
    out. Raises SelectionError for views of different lengths, an unlabelled row among `labelled`, a teacher with fewer
    labels than these, or logits that cannot be used; the loss does for a teacher with more labels than the student.
    """
    config = config or SelfTrainingConfig()
    mean = np.log(np.maximum(soft_labels(logits), 1e-12))  # (n, k): the ensemble as one teacher
    k = mean.shape[1]
    for name, part in (("logits", mean), ("the strong view", mean if strong is None else strong)):
        if len(part) != len(unlabelled):
            raise SelectionError(f"{name} has {len(part)} rows, the unlabelled pairs {len(unlabelled)}: pass both for "
                                 "the same rows, in the same order")
    if len(labelled) == 0 or labelled.labels.min() < 0:
        raise SelectionError(f"the labelled rows need labels from 0 to {k - 1}, one or more rows of them")
    if labelled.labels.max() >= k:
        raise SelectionError(f"the teacher has {k} labels and the labelled rows {labelled.labels.max() + 1}: use a "
                             "teacher that was trained on this task")
    if strong_logits is not None:
        strong_logits = np.log(np.maximum(soft_labels(strong_logits), 1e-12))
    if config.keep == "adaptive":
        pseudo = adaptive_pseudo_label(mean, strong_logits, rule=config.rule, threshold=config.threshold)
    else:
        pseudo = pseudo_label(mean, threshold=config.threshold if config.keep == "fixed" else 0.0)
    hard = np.eye(k)
    targets = hard[pseudo.labels]
    if config.soft:
        shares = np.bincount(labelled.labels, minlength=k) / len(labelled)
        prior = shares if config.align and (shares > 0).all() else None
        targets = soft_labels(logits, temperature=config.temperature, prior=prior)[pseudo.rows]
    repeats = 1
    if len(pseudo) and config.labelled_share:
        wanted = config.labelled_share / (1 - config.labelled_share) * len(pseudo)
        repeats = max(1, round(wanted / len(labelled)))
    first = np.tile(np.arange(len(labelled)), repeats)
    targets = np.concatenate([hard[labelled.labels[first]], targets])
    weights = np.concatenate([np.ones(len(first)), np.full(len(pseudo), config.weight)])
    train = concatenate(labelled.take(first), (unlabelled if strong is None else strong).take(pseudo.rows))
    train.labels = targets.argmax(axis=1)
    added = train.take(np.arange(len(labelled), len(train)))
    return SelfTraining(train, added, soft_target_loss(targets, weights), pseudo, targets)


QUALITY_AT = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # thresholds that `quality` tries


def quality(logits, pseudo: Pseudo, truth: np.ndarray, labels=None) -> tuple[dict, dict]:
    """How good pseudo-labels were, for a record: (metrics, series). The only function here that reads true labels.

    logits as for `self_training`; truth (n,) the pool's true labels, −1 where nobody knows (no accuracy counts
    these); labels: the classes' names. metrics: teacher_accuracy on the pool, pseudo_kept (share of the pool),
    pseudo_accuracy of what was kept, and both by the teacher's class. series: over the thresholds `QUALITY_AT`, the
    share of the pool kept and its accuracy.
    """
    p, truth = soft_labels(logits), np.asarray(truth)
    labels = labels or [str(c) for c in range(p.shape[1])]
    classes, top = p.argmax(axis=1), p.max(axis=1, initial=0.0)
    known, given = truth >= 0, truth[pseudo.rows]
    hit, right = classes == truth, pseudo.labels == given

    def mean(mask):
        return float(mask.mean()) if len(mask) else None

    metrics = {"teacher_accuracy": mean(hit[known]), "pseudo_kept": len(pseudo) / max(len(p), 1),
               "pseudo_accuracy": mean(right[given >= 0])}
    for c, name in enumerate(labels):
        metrics[f"pseudo_kept_{name}"] = float(pseudo.kept[c])
        metrics[f"pseudo_accuracy_{name}"] = mean(right[(pseudo.labels == c) & (given >= 0)])
    series = {"threshold": list(QUALITY_AT), "kept_at_threshold": [mean(top >= t) for t in QUALITY_AT],
              "accuracy_at_threshold": [mean(hit[known & (top >= t)]) for t in QUALITY_AT]}
    return {key: value for key, value in metrics.items() if value is not None}, series


def _probabilities(logits) -> np.ndarray:
    """softmax of logits (n, k) in float64, or a SelectionError that says what is wrong with them."""
    logits = np.asarray(logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise SelectionError(f"logits must be (n, k) with two classes or more, got shape {logits.shape}")
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(axis=1).sum())
        raise SelectionError(f"the teacher's logits are not finite in {bad} of {len(logits)} rows: its training "
                             "diverged; train it with a lower rate or in fp32")
    return softmax(logits)
