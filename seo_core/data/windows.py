"""Tokens of sentences with tags and of contexts with answers, in windows.

    encoded = encode_for(task, task["train"], tokenizer, max_length=128)    # of any task: an Encoded

A text longer than max_length is cut into windows that overlap by a quarter (the stride of transformers' tokenizers), so
that whatever is at a window's edge stands in the midst of another. An example of `fit` and `predict` is a window;
`example` says of which row. A question comes before each window of its context (Devlin et al. 2019, section 4.2).

Tags stand at the first piece of a word, and in the one window where it has most around it; everywhere else the label is
−1, none. An answer is labelled by its first and last token in each window that has all of it; a window without it
points at its first token, [CLS].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from seo_core.data.encoding import Encoded, encode, restored
from seo_core.data.sequences import ANSWERS, TAGS

if TYPE_CHECKING:
    import pandas as pd

    from seo_core.data.loading import TaskData

OVERLAP = 4  # a quarter of a window; BERT's 128 of 384 is a third


@dataclass
class Windows(Encoded):
    """n windows. labels: of tags (n, W) int64, W the longest window, −1 where no word begins; of answers (n, 2), the
    positions of the first and the last token."""

    example: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (n,): the row of the frame
    # int32 (total tokens, 2): the characters from and to; of what belongs to no context −1
    characters: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    kind: str = TAGS
    names: tuple[str, ...] = ()  # of the tags
    contexts: Sequence[str] = ()  # by row, of answers
    answers: Sequence[tuple[str, ...]] = ()  # by row: the right ones

    def take(self, indices) -> Windows:
        """The windows at `indices`, in that order."""
        plain, indices = super().take(indices), np.arange(len(self))[indices]
        where = np.arange(plain.offsets[-1]) + np.repeat(self.offsets[indices] - plain.offsets[:-1], plain.lengths)
        return replace(self, **vars(plain), example=self.example[indices], characters=self.characters[where])

    def of(self, rows) -> Windows:
        """All windows of these rows of the frame."""
        return self.take(np.isin(self.example, rows))

    def arrays(self, indices) -> dict[str, np.ndarray]:
        """As of every Encoded; labels (B, T) of tags, (B, 2) of answers."""
        arrays = super().arrays(indices)
        if self.kind == TAGS:
            arrays["labels"] = arrays["labels"][:, : arrays["input_ids"].shape[1]]
        return arrays

    def logits_shape(self, labels: int) -> tuple[int, ...]:
        """Of a window: (W, k) for k tags, (2, W) for start and end."""
        width = int(self.lengths.max(initial=0))
        return (width, labels) if self.kind == TAGS else (2, width)

    def grid(self) -> np.ndarray:
        """`characters` as (n, W, 2), −1 behind a window's end."""
        out = np.full((len(self), int(self.lengths.max(initial=0)), 2), -1, np.int32)
        out[np.arange(out.shape[1]) < self.lengths[:, None]] = self.characters
        return out


def encode_for(task: TaskData, frame: pd.DataFrame, tokenizer, *, max_length: int = 128) -> Encoded:
    """Any frame of a task as token ids: `encode`, or windows. Raises ValueError as `encode` does, and where questions
    leave no room for a context."""
    if task.kind == TAGS:
        return encode_tags(frame["tokens"].tolist(), frame["label"].tolist(), tokenizer, task.labels, max_length)
    if task.kind == ANSWERS:
        return encode_answers(frame["question"].tolist(), frame["context"].tolist(), frame["label"].tolist(), tokenizer,
                              max_length)
    return encode(frame, tokenizer, texts=task.texts, max_length=max_length)


def encode_tags(sentences: Sequence[str], tags: Sequence[tuple[int, ...]], tokenizer, names: tuple[str, ...],
                max_length: int = 128) -> Windows:
    """Sentences (n) of words with blanks between them, and a tag for each word. A word that the tokenizer makes nothing
    of (a lone control character) is read as its unknown token, so that each has a label."""
    windows = _windows(tokenizer, (sentences,), max_length)
    row, word, best = _first_pieces(windows, sentences)
    counts = np.fromiter(map(len, tags), np.int64, len(tags))
    starts = np.cumsum(counts) - counts
    if len(row) < counts.sum():
        there = np.zeros(counts.sum(), bool)
        there[starts[row] + word] = True
        spelled = [[w if there[at + i] else tokenizer.unk_token for i, w in enumerate(sentence.split(" "))]
                   for sentence, at in zip(sentences, starts, strict=True)]
        return encode_tags([" ".join(words) for words in spelled], tags, tokenizer, names, max_length)
    window = np.searchsorted(windows.offsets, best, side="right") - 1
    labels = np.full((len(windows), int(windows.lengths.max(initial=0))), -1, np.int64)
    flat = np.fromiter(chain.from_iterable(tags), np.int64, int(counts.sum()))
    labels[window, best - windows.offsets[window]] = flat[starts[row] + word]
    return replace(windows, labels=labels, names=tuple(names))


def _first_pieces(windows: Windows, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, word in it, its token in the flat array) of every word that has one: the first piece, in the window where
    it has most around it."""
    sizes = np.fromiter((len(s) + 1 for s in sentences), np.int64, len(sentences))
    begins = np.cumsum(sizes) - sizes  # of each sentence in the text of all
    text = np.frombuffer("".join(s + " " for s in sentences).encode("utf-32-le"), np.uint32)
    starts = np.flatnonzero(np.concatenate([[True], text[:-1] == 32]))[: int((text == 32).sum())]  # of all words
    lengths = windows.lengths
    position = np.arange(len(windows.ids)) - np.repeat(windows.offsets[:-1], lengths)
    margin = np.minimum(position, np.repeat(lengths, lengths) - 1 - position)
    token = np.flatnonzero(windows.characters[:, 1] > windows.characters[:, 0])
    at = np.repeat(begins[windows.example], lengths)[token] + windows.characters[token, 0]
    word = np.searchsorted(starts, at, side="right") - 1
    token, word = token[starts[word] == at], word[starts[word] == at]
    order = np.lexsort((token, -margin[token], word))
    chosen = order[np.unique(word[order], return_index=True)[1]]
    token, word = token[chosen], word[chosen]
    row = np.searchsorted(begins, starts[word], side="right") - 1
    return row, word - np.searchsorted(starts, begins[row]), token


def encode_answers(questions: Sequence[str], contexts: Sequence[str], answers: Sequence[tuple], tokenizer,
                   max_length: int = 128) -> Windows:
    """Questions (n), contexts (n), and of each the answers (start, text), of which the first one is learned. A question
    is cut to half a window."""
    half = max(1, max_length // 2)
    cut = tokenizer.backend_tokenizer.encode_batch(list(questions), add_special_tokens=False)
    asked = [q if len(e.ids) <= half else q[: e.offsets[half - 1][1]] for q, e in zip(questions, cut, strict=True)]
    windows = _windows(tokenizer, (asked, contexts), max_length)
    grid, lengths = windows.grid(), np.fromiter((len(a[0][1]) for a in answers), np.int64, len(answers))
    first = np.fromiter((a[0][0] for a in answers), np.int64, len(answers))[windows.example][:, None]
    last = first + lengths[windows.example][:, None]
    real = grid[..., 1] > grid[..., 0]
    touched = real & (grid[..., 1] > first) & (grid[..., 0] < last)  # (n, W): tokens with a character of the answer
    spans = np.stack([touched.argmax(1), touched.shape[1] - 1 - touched[:, ::-1].argmax(1)], axis=1)
    begin, end = (grid[np.arange(len(grid)), spans[:, i], i] for i in (0, 1))
    whole = touched.any(1) & (begin <= first[:, 0]) & (end >= last[:, 0])
    return replace(windows, labels=np.where(whole[:, None], spans, 0), kind=ANSWERS, names=(), contexts=contexts,
                   answers=[tuple(text for _, text in row) for row in answers])


def _windows(tokenizer, columns: tuple[Sequence[str], ...], max_length: int) -> Windows:
    """Texts, or questions and contexts, in windows; the last column is the one that is cut. Labels are −1."""
    backend = tokenizer.backend_tokenizer
    special = backend.num_special_tokens_to_add(len(columns) == 2)
    room = (max_length if len(columns) == 1 else max_length - max_length // 2) - special
    if room < 2:
        raise ValueError(f"max_length {max_length} leaves no room for a text beside {special} special tokens")
    cut = None
    if len(columns[0]):
        with restored(backend):
            cut = tokenizer(*map(list, columns), truncation="only_second" if len(columns) == 2 else True,
                            max_length=max_length, stride=max(1, room // OVERLAP), return_overflowing_tokens=True)
    pieces = cut.encodings if cut else []
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    total = int(lengths.sum())
    characters = np.fromiter(chain.from_iterable(chain.from_iterable(p.offsets for p in pieces)), np.int32, 2 * total)
    types = np.fromiter(chain.from_iterable(p.type_ids for p in pieces), np.int8, total)
    own = np.fromiter((-1 if s is None else s for p in pieces for s in p.sequence_ids), np.int8, total)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    second = np.concatenate([[0], np.cumsum(types)])
    return Windows(
        np.fromiter(chain.from_iterable(p.ids for p in pieces), np.int32, total), offsets,
        (lengths - np.diff(second[offsets])).astype(np.int32), np.full(len(pieces), -1, np.int64),
        int(tokenizer.pad_token_id or 0), np.asarray(cut["overflow_to_sample_mapping"] if cut else [], np.int64),
        np.where(own[:, None] == len(columns) - 1, characters.reshape(-1, 2), -1))
