"""Words of many texts at once: splitting, what must not be touched, and random numbers that count.

n texts become n lists of parts, gap word gap word … gap; the words of all lie end to end in one array of vocabulary
numbers (w,). What is decided about a word is decided once for each *different* word and spread by indexing. Random
numbers are a function of (seed, operator, the row's texts, how often these stood in the frame before, the word's
place), mixed as in SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195): no generator is stepped, so the
result does not depend on batches or on the other rows.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seo_core import files


class MissingResource(LookupError):
    """Something that an operator needs is not here; the message says what brings it."""


NEGATION, NUMBERS, QUANTIFIERS, MODALS, TIME, OPPOSITES, FUNCTION = (
    frozenset(words.split()) for words in files.table(__file__).values())
PROTECTED = NEGATION | NUMBERS | QUANTIFIERS | MODALS | TIME | OPPOSITES
FIXED = FUNCTION | PROTECTED  # no word is put in the place of one of these, and none of these in a word's place

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def protected(word: str) -> bool:
    """Whether no operator may edit, insert or delete this word: negation, opposites, numbers, quantifiers, modals,
    words of time, and everything capitalized or with a digit in it (names and amounts)."""
    return (not word.islower() and word != word.lower()) or word in PROTECTED or (
        not word.isalpha() and (word.endswith(("n't", "n’t")) or any(c.isdigit() for c in word)))


@lru_cache(maxsize=64)
def _pattern(marks: str):
    """Words: letters with their combining marks, hyphens and apostrophes inside, decimal points inside numbers.

    Marks are not letters to `re`, yet they belong to the letter before them (vowel signs of Hindi or Thai). ASCII goes
    first, as a look-up in a table is faster than asking for \\w, and no letter is ever given back (*+). The group is
    greedy: possessive, Python 3.11.2, which Debian 12 has, takes the comma behind a word for a part of it."""
    first = r"0-9A-Za-z\w"
    letter = rf"{first}{re.escape(marks)}\u200c\u200d"
    return re.compile(rf"([{first}][{letter}]*+(?:['’-]\w[{letter}]*+|[.,]\d+)*)")


@dataclass
class Words:
    """The words of n texts: parts of each text, and flat arrays over all w words."""

    texts: list[str]  # n
    parts: list[list[str]]  # n lists: gap, word, gap, …, gap
    vocabulary: list[str]  # v different words, as written
    ids: np.ndarray  # int64 (w,) into the vocabulary
    row: np.ndarray  # int64 (w,): which text
    place: np.ndarray  # int64 (w,): which word of its text

    def __len__(self) -> int:
        return len(self.parts)

    def spread(self, flags) -> np.ndarray:
        """(w,) values of a (v,) list over the vocabulary."""
        return np.asarray(flags)[self.ids]

    def editable(self) -> np.ndarray:
        """(w,) bool: words that are not `protected`."""
        return ~self.where(protected)

    def where(self, rule) -> np.ndarray:
        """(w,) bool: the words of which the rule is true; it is asked once for each of the vocabulary."""
        return self.spread(np.fromiter(map(rule, self.vocabulary), bool, len(self.vocabulary)))

    def without(self, allowed: np.ndarray, beside: list[set[str]]) -> np.ndarray:
        """(w,) bool: the allowed words that do not stand in the set of their text."""
        allowed, index = allowed.copy(), np.flatnonzero(allowed)
        allowed[index] = [self.vocabulary[word] not in beside[row]
                          for word, row in zip(self.ids[index], self.row[index], strict=True)]
        return allowed

    def draw(self, keys: np.ndarray, stream: int, chosen: np.ndarray) -> np.ndarray:
        """(c,) uint64: a random number for each of the chosen words, from the keys (n,) of their texts."""
        return draw(keys[self.row[chosen]], stream, self.place[chosen])

    def spots(self, chosen: np.ndarray):
        """For each of the chosen words (c,): the number of its text, and which part of that it is."""
        return zip(self.row[chosen].tolist(), (2 * self.place[chosen] + 1).tolist(), strict=True)

    def edited(self) -> list[str | None]:
        """The parts of each text joined; None for those that are as they were."""
        joined = map("".join, self.parts)
        return [None if new == text else new for text, new in zip(self.texts, joined, strict=True)]


def split(texts: list[str]) -> Words:
    """The words of the texts; joining the parts of a text gives it back, whatever is in it."""
    import pandas as pd

    characters = set("".join(text for text in texts if not text.isascii()))
    marks = "".join(sorted(c for c in characters if unicodedata.category(c) in ("Mn", "Mc")))
    parts = list(map(_pattern(marks).split, texts))
    counts = np.fromiter((len(p) // 2 for p in parts), np.int64, len(parts))
    flat = [word for p in parts for word in p[1::2]]
    ids, vocabulary = pd.factorize(np.array(flat, dtype=object))
    place = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Words(texts, parts, vocabulary.tolist(), ids, np.repeat(np.arange(len(parts)), counts), place)


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: uint64 to uint64, one to one, every bit depends on every bit."""
    values = np.atleast_1d(values).astype(np.uint64) + _GOLDEN  # a scalar would warn of its overflow
    values = (values ^ (values >> np.uint64(30))) * _MIX1
    values = (values ^ (values >> np.uint64(27))) * _MIX2
    return values ^ (values >> np.uint64(31))


def draw(keys: np.ndarray, stream: int, place=0) -> np.ndarray:
    """uint64 random numbers, one for each of `keys` (m,), a stream number and a place (m,) or one."""
    offset = np.asarray(place, np.uint64) * np.uint64(64) + np.uint64(stream)
    return mix(keys ^ mix(offset))


def row_keys(columns: list[list[str]], seed: int, operator: str) -> np.ndarray:
    """(n,) uint64: a key for each row out of its texts, the seed, the operator, and its turn among equal rows."""
    import pandas as pd

    salt = mix(np.array([seed], np.uint64) ^ pd.util.hash_array(np.array([operator], object), categorize=False))
    keys = np.zeros(len(columns[0]), np.uint64)
    for texts in columns:
        keys = mix(keys ^ pd.util.hash_array(np.array(texts, dtype=object), categorize=False))
    turn = pd.Series(keys).groupby(keys, sort=False).cumcount().to_numpy(np.uint64)
    return mix(keys ^ mix(turn) ^ salt)


def choose(allowed: np.ndarray, words: Words, keys: np.ndarray, strength: float, stream: int) -> np.ndarray:
    """Positions (c,) of the words to edit, in order: in each text, `strength` of its allowed ones, at least one."""
    index = np.flatnonzero(allowed)
    row = words.row[index]
    order = np.lexsort((draw(keys[row], stream, words.place[index]), row))
    counts = np.bincount(row, minlength=len(words))
    rank = np.arange(len(index)) - (np.cumsum(counts) - counts)[row[order]]
    wanted = np.maximum(1, np.rint(strength * counts)).astype(np.int64)
    return np.sort(index[order[rank < wanted[row[order]]]])


def whole_words(vocabulary: dict[str, int]) -> list[tuple[int, str]]:
    """(id, word) of the tokens that may stand in a word's place, by id: whole words, none of FIXED. Whole words are
    tokens without the sign of a continuation (WordPiece's ##) or, where the vocabulary marks beginnings (Ġ or ▁), those
    with that sign. Lower-case letters only, three or more."""
    mark = next((m for m in ("Ġ", "▁") if sum(t.startswith(m) for t in vocabulary) > len(vocabulary) // 10), "")
    whole = re.compile(rf"{mark}[a-z]{{3,}}").fullmatch
    words = sorted((i, token[len(mark):]) for token, i in vocabulary.items() if whole(token))
    return [(i, word) for i, word in words if word not in FIXED]
