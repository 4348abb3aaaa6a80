"""The four stages of TKD-NLP, each a function: pre-train, soft labels, inject, fine-tune.

The summary of the paper says: "pre-training the base Transformer model, extracting knowledge from a teacher model
through soft label generation, injecting this knowledge into the student model via weighted distillation loss, and
fine-tuning on downstream GLUE tasks". No teacher, no text for pre-training and no formula are named. Our reading:
masked words of the task's own text (Devlin et al. 2019, section 3.1), this book's fine-tuned network as the teacher,
and Hinton's loss with w between labels and soft labels (`seo_core.distillation.losses`).

All stages train by `training.fit`, so each takes a TrainingConfig, and `checkpoint_dir` to go on where it was stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from seo_core.checks import above, check, share
from seo_core.data import Encoded
from seo_core.distillation import Distillation, DistillationConfig, DistillationError, cached_logits
from seo_core.distillation.losses import check_pair
from seo_core.models.fastpath import Collect
from seo_core.tkd.network import fixed_positions
from seo_core.training import TrainingConfig, TrainingError, TrainingResult, fit

MASKED, AS_MASK, AS_OTHER = 0.15, 0.8, 0.1  # BERT's: of the tokens; of these a mask, another word; the rest stays


def pretrain(model, texts: Encoded, tokenizer, config: TrainingConfig, **options) -> TrainingResult:
    """Stage 1: the encoder learns to say which word stood where one was masked. Labels are not read. options: of `fit`.
    series["train_loss"] is the cross-entropy of the masked words in nats, by epoch."""
    unlabelled = replace(texts, labels=np.full(len(texts), -1, np.int64))
    words = MaskedWords(model, unlabelled, tokenizer, seed=config.seed)
    return _fit(model, unlabelled, config, loss=words, callbacks=[words.renew], **options)


def frequency_cross_entropy(texts: Encoded, tokenizer) -> float:
    """Nats that a word of the texts costs who says each as often as it occurs there, −Σ p log p, special tokens apart:
    a network of stage 1 that reads what stands around a hidden word is below."""
    counts = np.bincount(texts.ids[~np.isin(texts.ids, tokenizer.all_special_ids)])
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def soft_labels(student, teacher, train: Encoded, folder: str | Path, *, tokenizers=None) -> np.ndarray:
    """Stage 2: the teacher's logits (n, k) on the training set, computed once and kept in `folder`. tokenizers: the
    student's and the teacher's, where they are at hand. Raises DistillationError for a teacher with other classes, or
    one that reads other token ids than `train` has."""
    check_pair(student, teacher)
    if tokenizers is not None and tokenizers[0].get_vocab() != tokenizers[1].get_vocab():
        raise DistillationError("wrong teacher: its tokenizer has another vocabulary than the student's, so it would "
                                "read other words. Take a teacher with the student's tokenizer, or build the student "
                                "on the teacher's")
    return cached_logits(teacher, train, folder)


@dataclass(frozen=True)
class Injection:
    """How the teacher's knowledge goes into the student. Unknown keys raise."""

    temperature: float = above(0, default=2.0)  # τ; the paper tries 1, 2 and 5
    weight: float = share(default=0.5)  # w, of the soft labels; 0: labels alone, no teacher; 1: the teacher alone

    def __post_init__(self):
        check(self)


def inject(student, train: Encoded, soft: np.ndarray | None, injection: Injection, config: TrainingConfig,
           **options) -> TrainingResult:
    """Stage 3: L = (1 − w) CE(s, y) + w τ² KL(softmax(t/τ) ‖ softmax(s/τ)), of scores the same with squared errors.
    soft: of `soft_labels`; None where the weight is 0. options: of `fit`."""
    copied = DistillationConfig(temperature=injection.temperature, weight=injection.weight)
    loss = Distillation(student, train, targets=soft if injection.weight else None, config=copied)
    return _fit(student, train, config, loss=loss, **options)


def fine_tune(student, train: Encoded, config: TrainingConfig, **options) -> TrainingResult:
    """Stage 4: the labels alone. options: of `fit`."""
    return _fit(student, train, config, **options)


def _fit(model, train: Encoded, config: TrainingConfig, **options) -> TrainingResult:
    """A word table that starts at random is trained, the table of positions never."""
    fixed_positions(model)
    return fit(model, train, config=replace(config, freeze_embeddings=False), **options)


class MaskedWords(nn.Module):
    """The loss of stage 1 for `fit`, with the head that says words: −mean log p(word | text with masks) over the masked
    tokens. Each epoch has masks of its own, which `renew`, a callback of `fit`, puts in; they follow from seed and
    epoch, so a run that goes on from a checkpoint sees those that it would have seen. The head's matrix is the word
    table itself (Devlin et al. 2019). Raises TrainingError for a tokenizer without a mask."""

    def __init__(self, model, texts: Encoded, tokenizer, seed: int = 0):
        super().__init__()
        if tokenizer.mask_token_id is None:
            raise TrainingError("this tokenizer has no mask token, and pre-training masks words: take the tokenizer of "
                                "a BERT")
        self.collect = Collect(hidden=(model.config.num_hidden_layers,))
        self.texts, self.seed, self.mask = texts, seed, tokenizer.mask_token_id
        self.special, self.words = np.array(tokenizer.all_special_ids), model.config.vocab_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.transform = BertPredictionHeadTransform(model.config)
        self.bias = nn.Parameter(torch.zeros(self.words))
        self._table = (model.bert.embeddings.word_embeddings,)  # a tuple hides it: it is the model's to train
        self.chosen = texts

    def masked(self, epoch: int) -> tuple[Encoded, Encoded]:
        """The texts with masks, and in a second set, in the place of each id, 1 where the word is to be said."""
        random = np.random.default_rng([self.seed, 211, epoch])
        ids = self.texts.ids.copy()
        chosen = (random.random(len(ids)) < MASKED) & ~np.isin(ids, self.special)
        how = random.random(len(ids))
        ids[chosen & (how < AS_MASK)] = self.mask
        other = chosen & (how >= AS_MASK) & (how < AS_MASK + AS_OTHER)
        ids[other] = random.integers(0, self.words, int(other.sum()))
        return replace(self.texts, ids=ids), replace(self.texts, ids=chosen.astype(np.int32), pad_id=0)

    def renew(self, event: str, state) -> bool:
        """A callback of `fit`: the masks of the epoch that begins."""
        if event in ("start", "evaluation"):
            state.train, self.chosen = self.masked(state.step * state.config.epochs // state.steps)
        return False

    def forward(self, logits, batch) -> torch.Tensor:
        """The batch of `fit`, with the last layer's states (B, T, d) -> a scalar; `logits` count for nothing."""
        rows, (hidden,) = batch["rows"].cpu().numpy(), batch["states"].hidden.values()
        width = batch["inputs"]["input_ids"].shape[1]  # the states may be a little longer, by padding
        chosen, words = (torch.from_numpy(encoded.arrays(rows)["input_ids"]).to(hidden.device)
                         for encoded in (self.chosen, self.texts))  # (B, T)
        chosen = chosen.bool()
        said = self.transform(hidden[:, :width][chosen].float())  # (masked, d)
        scores = F.linear(said, self._table[0].weight, self.bias)  # (masked, words)
        loss = F.cross_entropy(scores, words[chosen], reduction="sum") / max(int(chosen.sum()), 1)
        return loss + 0.0 * logits.sum()  # a batch without a mask has a gradient too
