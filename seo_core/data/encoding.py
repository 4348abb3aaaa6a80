"""Token ids of a whole split in one flat array, and padded batches out of it without a loop.

n texts of T_i tokens lie end to end in `ids` (sum T_i,); `offsets` (n + 1,) says where each begins. A batch is one
gather: positions (B, T) from offsets, a mask from lengths. Nothing is padded before, so memory follows the text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # a server goes without it
    import pandas as pd

LONG = 100  # characters a token: a text longer than this for all of its tokens is shortened before it is cut
_ENCODE_ROWS = 10_000


@dataclass
class Encoded:
    """n encoded examples, flat."""

    ids: np.ndarray  # int32 (total tokens,)
    offsets: np.ndarray  # int64 (n + 1,)
    first: np.ndarray  # int32 (n,): tokens of the first segment, [CLS] and its [SEP] included
    labels: np.ndarray  # int64 (n,); -1 where the frame has no label; of a regression float32, scores
    pad_id: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64: tokens of each example."""
        return np.diff(self.offsets)

    def take(self, indices) -> Encoded:
        """The examples at `indices` (ints or a boolean mask), in that order, repeats allowed."""
        indices = np.arange(len(self))[indices]
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        where = np.arange(offsets[-1]) + np.repeat(self.offsets[indices] - offsets[:-1], lengths)
        return Encoded(self.ids[where], offsets, self.first[indices], self.labels[indices], self.pad_id)

    def of(self, rows) -> Encoded:
        """The examples of these rows of the frame: `take`, where each row is one."""
        return self.take(rows)

    def logits_shape(self, labels: int) -> tuple[int, ...]:
        """Of an example: (k,)."""
        return (labels,)

    def arrays(self, indices) -> dict[str, np.ndarray]:
        """input_ids, attention_mask, token_type_ids (B, T) and labels (B,), int64 arrays (scores float32). T is the
        longest of the batch; shorter rows are padded on the right, as tokenizer.pad does."""
        indices = np.asarray(indices)
        lengths = self.lengths[indices]  # (B,)
        position = np.arange(lengths.max(initial=0))  # (T,)
        mask = position < lengths[:, None]  # (B, T)
        where = np.minimum(self.offsets[indices][:, None] + position, max(len(self.ids) - 1, 0))
        arrays = {"input_ids": np.where(mask, self.ids[where], self.pad_id), "attention_mask": mask,
                  "token_type_ids": mask & (position >= self.first[indices][:, None]), "labels": self.labels[indices]}
        return {name: array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
                for name, array in arrays.items()}

    def batch(self, indices, device=None) -> dict:
        """`arrays` as tensors."""
        import torch

        return {name: torch.from_numpy(array).to(device, non_blocking=True)
                for name, array in self.arrays(indices).items()}

    def inputs(self, indices, device=None) -> dict:
        """A `batch` without the labels."""
        return {name: tensor for name, tensor in self.batch(indices, device).items() if name != "labels"}

    def batches(self, size: int, call: float | None = None) -> list[np.ndarray]:
        """The examples in batches of like length, so that little is padded, the longest first: positions (size,).

        call: what a batch costs beside its tokens, in tokens. With it the batches are those of least cost in all, with
        `size` examples at most: of few examples, long ones do not make short ones pad. Takes len · size steps."""
        order = np.argsort(-self.lengths, kind="stable")
        if call is None:
            return [order[start : start + size] for start in range(0, len(order), size)]
        # of the first examples, 0, 1, 2, …: the least cost, and where their last batch starts
        lengths, least, before = self.lengths[order].tolist(), [0.0], []
        for end in range(1, len(order) + 1):
            cost, start = min((least[i] + call + (end - i) * lengths[i], i) for i in range(max(0, end - size), end))
            least.append(cost)
            before.append(start)
        starts, end = [], len(order)
        while end:
            end = before[end - 1]
            starts.append(end)
        return np.split(order, starts[::-1][1:]) if starts else []


def concatenate(first: Encoded, second: Encoded) -> Encoded:
    """The examples of `first`, then those of `second`."""
    return Encoded(np.concatenate([first.ids, second.ids]),
                   np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]]),
                   np.concatenate([first.first, second.first]), np.concatenate([first.labels, second.labels]),
                   first.pad_id)


def encode(frame: pd.DataFrame, tokenizer, *, texts: Sequence[str] = ("premise", "hypothesis"), max_length: int = 128
           ) -> Encoded:
    """Tokenize `texts` (one column or two) with a fast Hugging Face tokenizer; longest_first truncation. Truncation and
    padding baked into the tokenizer's file are overridden for the call and restored. Raises ValueError for a missing
    column, a tokenizer without a fast backend, and max_length too small for the special tokens."""
    for column in texts:
        if column not in frame:
            raise ValueError(f"no column {column!r} to encode; there are {', '.join(map(repr, frame.columns))}. "
                             "Pass texts=task.texts")
    encoded = encode_texts([frame[c].array for c in texts], tokenizer, max_length=max_length)
    if "label" in frame:
        scores = frame["label"].dtype.kind == "f"
        encoded.labels = frame["label"].to_numpy(np.float32 if scores else np.int64).copy()
    return encoded


def encode_texts(columns: Sequence[Sequence[str]], tokenizer, *, max_length: int = 128) -> Encoded:
    """The same for one list of texts, or two of one length, without labels (-1) and without pandas."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"{type(tokenizer).__name__} has no fast backend; load it with use_fast=True")
    special = backend.num_special_tokens_to_add(len(columns) == 2)
    if max_length <= special:
        raise ValueError(f"max_length {max_length} leaves no room beside {special} special tokens")
    ids, lengths, first = [], [], []
    with restored(backend):
        backend.no_padding()
        backend.enable_truncation(max_length, strategy="longest_first")
        for start in range(0, max(len(columns[0]), 1), _ENCODE_ROWS):
            part = [[_shorten(t, max_length) for t in column[start : start + _ENCODE_ROWS]] for column in columns]
            rows = backend.encode_batch_fast(part[0] if len(part) == 1 else list(zip(*part, strict=True)))
            lengths.append(np.fromiter(map(len, rows), np.int64, len(rows)))
            ids.append(np.fromiter(chain.from_iterable(r.ids for r in rows), np.int32, lengths[-1].sum()))
            first.append(lengths[-1] - np.fromiter((sum(r.type_ids) for r in rows), np.int64, len(rows)))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return Encoded(np.concatenate(ids), offsets, np.concatenate(first).astype(np.int32),
                   np.full(len(columns[0]), -1, np.int64), int(tokenizer.pad_token_id or 0))


@contextlib.contextmanager
def restored(backend):
    """Leaves a tokenizer's truncation and padding as they were before the block."""
    truncation, padding = backend.truncation, backend.padding
    try:
        yield
    finally:
        backend.no_truncation() if truncation is None else backend.enable_truncation(**truncation)
        backend.no_padding() if padding is None else backend.enable_padding(**padding)


def padding_share(lengths, batch_size: int, *, fixed: int | None = None, grouped: bool = False) -> float:
    """Share of padding in all positions of all batches; lengths (n,), batches in the order given, or, if grouped, texts
    of like length together. Each batch is as long as its longest text, or `fixed` long."""
    lengths = np.sort(lengths)[::-1] if grouped else np.asarray(lengths)
    full = np.arange(0, len(lengths), batch_size)
    sizes = np.diff([*full, len(lengths)])
    widths = np.full(len(full), fixed) if fixed else np.maximum.reduceat(lengths, full)
    return 1 - float(lengths.sum() / (sizes * widths).sum())


def _shorten(text: str, max_length: int) -> str:
    """A very long text without the words that truncation would cut anyway (each word is a token or more)."""
    if len(text) <= LONG * max_length:
        return text
    return " ".join(text.split(None, 2 * max_length)[: 2 * max_length])
