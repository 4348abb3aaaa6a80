"""Distillation losses: what a student copies from its teacher.

    loss = Distillation(student, train, targets=cached_logits(teacher, train, folder))       # logits only
    loss = Distillation(student, train, teacher=teacher, config=DistillationConfig(logits=0, hidden=1, relations=1))
    fit(student, train, loss=loss, config=config)

With teacher logits t and student logits s (B, k), temperature τ and labels y:

    L = w_z [ (1 − w) CE(s, y) + w τ² KL(softmax(t/τ) ‖ softmax(s/τ)) ]        Hinton et al. 2015, section 2
      + w_h mean (W h_s − h_t)²                                                Jiao et al. 2020 (TinyBERT), eq. 8
      + w_r [ KL(A_t^QK ‖ A_s^QK) + KL(A_t^VV ‖ A_s^VV) ]                      Wang et al. 2020 (MiniLM), eqs. 5–8

τ² keeps the gradient of the soft part at one size for any τ. h are hidden states of layers that stand for each other;
W is learned, and only there where the widths differ. A^XY = softmax(X Yᵀ / √d_r) is how much each token attends to each
other one, by queries and keys, or by values and values. Both networks' queries, keys and values are cut anew into the
same number of *relation heads* (Wang et al. 2021, MiniLMv2), so the networks may differ in width and in heads. With the
network's own heads, A^QK is its attention itself.

Of scores (k = 1) there is no softmax: the hard part is (s − y)², the soft one (s − t)², and τ counts for nothing. Rows
without a label (label −1) count in everything but CE. Means are over the rows of a batch, the tokens that are no
padding, and the units or heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from seo_core.checks import above, at_least, check, share
from seo_core.models.fastpath import Collect, FastBertClassifier, compute_dtype, supports


class DistillationError(ValueError):
    """A teacher and a student that do not fit, or a distillation that cannot be run; the message says what to do."""


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """τ² KL(softmax(t/τ) ‖ softmax(s/τ)), mean over the rows; student and teacher logits (B, k) -> scalar. k = 1:
    (s − t)²."""
    if student.shape[-1] == 1:
        return F.mse_loss(student.float(), teacher.float())
    s, t = (F.log_softmax(z.float() / temperature, dim=-1) for z in (student, teacher))
    return F.kl_div(s, t, log_target=True, reduction="batchmean") * temperature**2


def hard_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the labelled rows (label ≥ 0), summed and divided by *all* B rows; (B, k), (B,) -> scalar. Of
    scores, k = 1, the squared error."""
    if logits.shape[-1] == 1:
        return (((logits[:, 0].float() - labels) ** 2) * (labels >= 0)).sum() / max(len(labels), 1)
    return F.cross_entropy(logits.float(), labels, ignore_index=-1, reduction="sum") / max(len(labels), 1)


def hidden_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor,
                projection: nn.Module | None = None) -> torch.Tensor:
    """mean (W h_s − h_t)² over real tokens and units; (B, T, d_s), (B, T, d_t), mask (B, T) bool -> scalar. Raises
    DistillationError where the widths differ and there is no projection W."""
    student = student[mask].float()  # (tokens, d_s)
    if projection is not None:
        student = projection(student)
    if student.shape[-1] != teacher.shape[-1]:
        raise DistillationError(f"hidden states of {student.shape[-1]} and {teacher.shape[-1]} units cannot be compared"
                                ": pass a projection from the student's to the teacher's")
    return F.mse_loss(student, teacher[mask].float())


def relation(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """log softmax(X Yᵀ / √d_r) by relation head, d_r = a / heads; x, y (B, T, a), mask (B, T) -> (B, heads, T, T)."""
    if x.shape[-1] % heads:
        raise DistillationError(f"{x.shape[-1]} units cannot be cut into {heads} relation heads: choose a divisor")
    x, y = (t.unflatten(-1, (heads, -1)).transpose(1, 2).float() for t in (x, y))  # (B, R, T, d_r)
    scores = x @ y.transpose(-1, -2) * x.shape[-1] ** -0.5
    return F.log_softmax(scores.masked_fill(~mask[:, None, None, :], float("-inf")), dim=-1)


def relation_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask: torch.Tensor,
                  heads: int) -> torch.Tensor:
    """KL of the query–key relations plus KL of the value–value relations, teacher to student -> scalar. student,
    teacher: queries, keys and values, (B, T, a) each, where a may differ between the two. Mean over real tokens (the
    rows of A) and relation heads."""
    total = 0.0
    for first, second in ((0, 1), (2, 2)):  # Q–K, V–V
        s, t = (relation(z[first], z[second], mask, heads) for z in (student, teacher))
        s, t = (z.masked_fill(~mask[:, None, None, :], 0.0) for z in (s, t))  # 0 · log 0 of padding
        divergence = (t.exp() * mask[:, None, None, :] * (t - s)).sum(-1).mean(1)  # (B, T): mean over the heads
        total = total + divergence[mask].mean()
    return total


@dataclass(frozen=True)
class DistillationConfig:
    """What the student copies, and how much each part weighs."""

    temperature: float = above(0, default=2.0)  # τ; the papers try 1, 2 and 5
    weight: float = share(default=0.7)  # w, of the soft labels; the labels have 1 − w
    logits: float = at_least(0, default=1.0)  # w_z, of both; 0 in a first stage that copies hidden states alone
    hidden: float = at_least(0, default=0.0)  # w_h
    relations: float = at_least(0, default=0.0)  # w_r
    layers: tuple[tuple[int, int], ...] | None = None  # (student's, teacher's), from 1; None: spread evenly
    relation_layers: tuple[int, int] | None = None  # (student's, teacher's); None: the last ones of `layers`
    relation_heads: int = at_least(1, default=12)  # as many as MiniLM has

    def __post_init__(self):
        check(self)
        if not self.logits + self.hidden + self.relations > 0:
            raise ValueError("one of logits, hidden and relations must be above 0")


def even_layers(student: int, teacher: int) -> tuple[tuple[int, int], ...]:
    """((1, t_1), …, (student, teacher)): each student layer stands for an equal stretch of the teacher's. Raises
    DistillationError for a student with more layers than its teacher."""
    if student > teacher:
        raise DistillationError(f"a student of {student} layers has no counterpart in a teacher of {teacher}: name "
                                "the pairs in DistillationConfig(layers=...)")
    return tuple((i, -(-i * teacher // student)) for i in range(1, student + 1))


def check_pair(student, teacher, *, tokenizers: Sequence | None = None, states: bool = False) -> None:
    """Raises DistillationError unless a student can have the teacher's logits, and with `states` its states, as goal.
    Both must have the same classes, in the same order. Inner states are compared token by token, so both must read the
    same ids. tokenizers: the student's and the teacher's, where they are at hand."""
    a, b = student.config, teacher.config
    if a.num_labels != b.num_labels:
        raise DistillationError(f"wrong teacher: it has {b.num_labels} classes and the student has {a.num_labels}. "
                                "Take a teacher that was trained on the student's task")
    names = [[str(c.id2label[i]).lower() for i in range(c.num_labels)] for c in (a, b)]
    if names[0] != names[1] and not any(n[0].startswith("label_") for n in names):
        raise DistillationError(f"wrong teacher: its classes are {', '.join(names[1])}, the student's "
                                f"{', '.join(names[0])}. Take a teacher with the same classes in the same order")
    if states and a.vocab_size != b.vocab_size:
        raise DistillationError(f"wrong teacher: it reads {b.vocab_size} token ids and the student {a.vocab_size}, so "
                                "their inner states belong to different tokens. Distil logits alone (cached_logits), "
                                "or take a teacher with the student's tokenizer")
    if states and not (supports(student) and supports(teacher)):
        raise DistillationError("inner states can be had from BERT classifiers alone: distil logits (cached_logits)")
    if tokenizers is not None and states and tokenizers[0].get_vocab() != tokenizers[1].get_vocab():
        raise DistillationError("wrong teacher: its tokenizer has another vocabulary than the student's. Distil logits "
                                "alone (cached_logits), or take a teacher with the student's tokenizer")


class Distillation(nn.Module):
    """The loss of a student, for `fit`; see the module for its terms.

    targets: the teacher's logits (n, k) on the n rows of the training set `train`, see `cached_logits`. teacher: the
    network itself, for inner states (they are too large to be kept: some 5 GB for 50 000 pairs and one layer); it runs
    in bf16 where the hardware has it, only up to the layer needed, and without dropout. Logits come from `targets`
    alone. Raises DistillationError for a teacher that does not fit (`check_pair`), and for parts without a source.
    """

    def __init__(self, student, train, *, targets: np.ndarray | None = None, teacher=None,
                 config: DistillationConfig | None = None, tokenizers: Sequence | None = None):
        super().__init__()
        self.config = config = config or DistillationConfig()
        states = bool(config.hidden or config.relations)
        if teacher is not None:
            check_pair(student, teacher, tokenizers=tokenizers, states=states)
        if states and teacher is None:
            raise DistillationError("hidden states and relations are computed as training goes: pass teacher=")
        if config.logits and config.weight and targets is None:
            raise DistillationError("soft labels need the teacher's logits: pass targets=cached_logits(teacher, "
                                    "train, folder)")
        self.targets = None
        if targets is not None:
            if targets.shape != (len(train), student.config.num_labels) or not np.isfinite(targets).all():
                raise DistillationError(f"targets must be finite and {(len(train), student.config.num_labels)}, one "
                                        f"row for each of the training set, got {targets.shape}")
            self.targets = torch.from_numpy(np.asarray(targets, np.float32))
        self._fast, self.collect, self.projection = (), None, None  # a tuple hides the teacher from the parameters
        if states:
            self._prepare(student, teacher)

    def _prepare(self, student, teacher) -> None:
        config, heads = self.config, self.config.relation_heads
        pairs = config.layers or even_layers(student.config.num_hidden_layers, teacher.config.num_hidden_layers)
        related = (config.relation_layers or pairs[-1]) if config.relations else None
        wanted = [*pairs, related] if related else pairs
        for number, (of, network) in enumerate((("student", student), ("teacher", teacher))):
            have, asked = network.config.num_hidden_layers, [pair[number] for pair in wanted]
            if not all(0 <= n <= have for n in asked):
                raise DistillationError(f"the {of} has {have} layers, and layer {max(asked)} is to be distilled")
            if related and asked[-1] < 1:
                raise DistillationError("relations are those of a layer: relation_layers counts from 1")
            query = network.bert.encoder.layer[asked[-1] - 1].attention.self.query if related else None
            if query and (width := query.out_features) % heads:
                raise DistillationError(f"the {of}'s {width} units cannot be cut into {heads} relation heads: choose a "
                                        "relation_heads that divides them")
        self.pairs, self.related = pairs if config.hidden else (), related
        self.collect, self._wanted = (
            Collect(tuple(p[i] for p in self.pairs), (related[i],) if related else ()) for i in (0, 1))
        widths = student.config.hidden_size, teacher.config.hidden_size
        if self.pairs and widths[0] != widths[1]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.projection = nn.Linear(*widths, bias=False)  # one W for all layers, as in TinyBERT
        dtype = compute_dtype("auto", next(teacher.parameters()).device)
        self._fast = (FastBertClassifier(teacher, dtype=dtype).eval(),)

    def parts(self, logits, batch) -> dict[str, torch.Tensor]:
        """The terms before they are weighed: "hard", "soft", "hidden" and "relations", those that count."""
        config, terms = self.config, {}
        if config.logits and config.weight < 1:
            terms["hard"] = hard_loss(logits, batch["labels"])
        if config.logits and config.weight:
            goal = self.targets[batch["rows"].cpu()].to(logits.device)  # (B, k)
            terms["soft"] = soft_loss(logits, goal, config.temperature)
        if not self.collect:
            return terms
        (fast,), student = self._fast, batch["states"]
        fast.model.to(student.mask.device)
        with torch.no_grad():
            teacher = fast.states(self._wanted, **batch["inputs"])
        if self.pairs:
            terms["hidden"] = torch.stack([hidden_loss(student.hidden[s], teacher.hidden[t], student.mask,
                                                       self.projection) for s, t in self.pairs]).mean()
        if self.related:
            s, t = self.related
            terms["relations"] = relation_loss(student.relations[s], teacher.relations[t], student.mask,
                                               config.relation_heads)
        return terms

    def forward(self, logits, batch) -> torch.Tensor:
        """logits (B, k) and the batch of `fit` -> the weighted sum, a scalar."""
        config, parts = self.config, self.parts(logits, batch)
        weights = {"hard": config.logits * (1 - config.weight), "soft": config.logits * config.weight,
                   "hidden": config.hidden, "relations": config.relations}
        return sum(weights[name] * value for name, value in parts.items())
