"""Tokens of texts from the tokens of their words, which are remembered.

    words = Words.of(runner.tokenizer)                   # None for a tokenizer whose words depend on one another
    encoded = words.encode([premises, hypotheses], max_length=128)           # as `encode_texts` gives them

A BERT tokenizer cuts at every space and looks at each word by itself: the tokens of a text are those of its words, one
after the other. Most words of a text were met before. Looking them up takes a twentieth of the tokenizer's time, which
with a small network is a tenth of all that a pair costs. Every word is cut by the tokenizer itself, once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from seo_core.data.encoding import LONG, Encoded, encode_texts, restored

KEPT = 20_000_000  # bytes of memory: some 70 000 words, twice as many as 10 000 pairs of MultiNLI have
LONGEST = 64  # characters of a word that is kept: a longer one does not come again
WORD, TOKEN, CHARACTER = 150, 40, 4  # bytes that a word takes, each of its tokens, and at most each of its characters


class Words:
    """Remembers words of at most `KEPT` bytes beside those of the texts at hand, and then starts anew."""

    def __init__(self, tokenizer):
        """tokenizer: as `encode_texts` takes it, and one that `of` would not refuse."""
        self.tokenizer, self._ids, self._bytes = tokenizer, {}, 0
        with _whole(tokenizer.backend_tokenizer) as backend:
            self._start, self._end = backend.encode("").ids

    @classmethod
    def of(cls, tokenizer) -> Words | None:
        """None where a word's tokens may depend on its neighbours, or a text has other tokens around it than BERT's."""
        backend = tokenizer.backend_tokenizer
        parts = backend.normalizer, backend.pre_tokenizer, backend.model
        if [type(part).__name__ for part in parts] != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
            return None
        if any(token.lstrip or token.rstrip or token.single_word or " " in token.content
               for token in backend.get_added_tokens_decoder().values()):
            return None
        with _whole(backend):
            one, two = backend.encode(""), backend.encode("", "")
        around = len(one.ids) == 2 and two.ids == [*one.ids, one.ids[1]] and two.type_ids == [0, 0, 1]
        return cls(tokenizer) if around else None

    def encode(self, columns: Sequence[Sequence[str]], *, max_length: int) -> Encoded:
        """What `encode_texts` gives for one list of texts, or two of one length. Raises as it does."""
        special = 1 + len(columns)
        if max_length <= special or not len(columns[0]):
            return encode_texts(columns, self.tokenizer, max_length=max_length)
        split = [[text.split(" ") for text in column] for column in columns]
        if self._bytes > KEPT:
            self._ids, self._bytes = {}, 0
        known = self._ids  # another thread may start anew meanwhile
        new = set(chain.from_iterable(chain.from_iterable(split))).difference(known)
        odd = {word for word in new if len(word) > LONGEST}
        if new := list(new - odd):
            with _whole(self.tokenizer.backend_tokenizer) as backend:
                cut = backend.encode_batch_fast(new, add_special_tokens=False)
            known.update(zip(new, (tuple(each.ids) for each in cut), strict=True))
            self._bytes += WORD * len(new) + sum(CHARACTER * len(word) + TOKEN * len(known[word]) for word in new)
        left = np.fromiter((any(len(column[row]) > LONG * max_length for column in columns)
                            or bool(odd) and not all(odd.isdisjoint(column[row]) for column in split)
                            for row in range(len(columns[0]))), bool, len(columns[0]))
        tokens = [[[] if skip else list(chain.from_iterable(map(known.__getitem__, text)))
                   for text, skip in zip(column, left, strict=True)] for column in split]
        sizes = np.array([[*map(len, column)] for column in tokens], np.int64)
        left |= sizes.sum(0) + special > max_length
        if left.any():
            return self._with_cut(columns, tokens, np.flatnonzero(left), max_length)
        return self._joined(tokens, sizes)

    def _joined(self, tokens: list[list[list[int]]], sizes: np.ndarray) -> Encoded:
        """The special tokens around the texts' own; sizes (columns, n)."""
        start, end = (self._start,), (self._end,)
        rows = zip(*tokens, strict=True)
        parts = (chain((start, row[0], end), *((text, end) for text in row[1:])) for row in rows)
        lengths = sizes.sum(0) + 1 + len(tokens)
        ids = np.fromiter(chain.from_iterable(chain.from_iterable(parts)), np.int32, lengths.sum())
        return Encoded(ids, np.concatenate([[0], np.cumsum(lengths)]), (sizes[0] + 2).astype(np.int32),
                       np.full(len(lengths), -1, np.int64), int(self.tokenizer.pad_token_id or 0))

    def _with_cut(self, columns, tokens, rows: np.ndarray, max_length: int) -> Encoded:
        """The same where these rows are for the tokenizer itself: their texts are cut, or have odd words."""
        cut = encode_texts([[column[row] for row in rows] for column in columns], self.tokenizer,
                           max_length=max_length)
        for place, row in enumerate(rows):
            ids = cut.ids[cut.offsets[place] : cut.offsets[place + 1]].tolist()
            first = int(cut.first[place])
            for column, text in zip(tokens, (ids[1 : first - 1], ids[first:-1]), strict=False):
                column[row] = text
        return self._joined(tokens, np.array([[*map(len, column)] for column in tokens], np.int64))


@contextlib.contextmanager
def _whole(backend) -> Iterator:
    """A tokenizer that neither cuts nor pads, whatever its file says, until the block ends."""
    with restored(backend):
        backend.no_truncation()
        backend.no_padding()
        yield backend
