"""Operators on words: each takes a `Job` (n texts of one side) and returns n new texts, None where nothing changed."""

import re
from dataclasses import dataclass

import numpy as np

from seo_core.augmentation import neighbours, wordnet
from seo_core.augmentation.words import NEGATION, QUANTIFIERS, Words, choose, draw, split

PUNCTUATION = (".", ";", "?", ":", "!", ",")  # AEDA's six
DOWNWARD = NEGATION | QUANTIFIERS  # a text with one of these loses no word: there the direction may turn round
ARTICLES = {"a", "an", "A", "An", "aN", "AN"}
_AN = re.compile("hour|honest|honou?r|heir|(?!uni|use|usu|eu|one|once|uten)[aeiou]")  # begins what "an" goes before
CHANCES = 4  # neighbours are computed for chosen words only, so some turn out to have none
SWAP, DELETE, INSERT = range(3)


@dataclass(frozen=True)
class Job:
    """What an operator gets: n texts of one side, the texts beside them, and how to edit."""

    texts: list[str]
    others: list[str] | None  # the other side of each pair; None for single texts
    deletable: np.ndarray  # bool (n,): rows whose label survives that a word goes
    keys: np.ndarray  # uint64 (n,): see words.row_keys
    strength: float
    model: str
    batch_size: int | None

    def beside(self) -> list[set[str]]:
        """The words on the other side of each pair, in lower case; none for single texts."""
        return [set()] * len(self.texts) if self.others is None else [
            {word.lower() for word in parts[1::2]} for parts in split(self.others).parts]


def synonym(job: Job) -> list[str | None]:
    """Replaces words by WordNet synonyms (Zhang et al. 2015, Wei & Zou 2019)."""
    words = split(job.texts)
    table, sizes = _synonyms(words, slice(None))
    chosen = choose(words.spread(sizes > 0), words, job.keys, job.strength, 1)
    return _replace(words, chosen, _pick(words, chosen, table, sizes, job.keys))


def neighbour(job: Job) -> list[str | None]:
    """Replaces words by near ones of the model's word table; words that stand on both sides stay."""
    words, beside = split(job.texts), job.beside()
    table = neighbours.word_table(job.model)
    allowed = words.without(words.where(table.position.__contains__) & words.editable(), beside)
    for _ in range(CHANCES):
        chosen = choose(allowed, words, job.keys, job.strength, 2)
        near = table.neighbours([words.vocabulary[i] for i in np.unique(words.ids[chosen])])
        alone = np.array([not near[words.vocabulary[i]] for i in words.ids[chosen]], bool)
        if not alone.any():
            break
        allowed[chosen[alone]] = False  # a word without neighbours gives its turn to another word of its text
    new = []
    picks = words.draw(job.keys, 9, chosen).tolist()
    for row, word, pick in zip(words.row[chosen].tolist(), words.ids[chosen].tolist(), picks, strict=True):
        fit = [w for w, _ in near[words.vocabulary[word]] if w not in beside[row]]
        new.append(fit[pick % len(fit)] if fit else None)
    return _replace(words, chosen, new)


def eda(job: Job) -> list[str | None]:
    """One of EDA's edits a text, besides replacement (Wei & Zou 2019): two neighbouring words swapped, a word deleted
    where the label survives that, or a synonym of a word of the text inserted at a random place."""
    words = split(job.texts)
    edit = (draw(job.keys, 3) % np.uint64(3)).astype(np.int64)  # (n,)
    deletable = job.deletable
    if job.others is not None:
        turning = words.where(lambda word: word.lower() in DOWNWARD or word.endswith(("n't", "n’t")))
        deletable = deletable & (np.bincount(words.row[turning], minlength=len(words)) == 0)  # less said is entailed
    edit[(edit == DELETE) & ~deletable] = SWAP
    allowed = words.editable()
    deleted = choose(allowed & (edit == DELETE)[words.row], words, job.keys, job.strength, 4)
    follows = np.zeros(len(allowed), bool)  # swappable: the next word of the text may move as well
    follows[:-1] = allowed[1:] & (words.row[1:] == words.row[:-1])
    pairs = choose(allowed & follows & (edit == SWAP)[words.row], words, job.keys, job.strength, 5)
    inserting = allowed & (edit == INSERT)[words.row]
    table, sizes = _synonyms(words, inserting)
    sources = choose(inserting & words.spread(sizes > 0), words, job.keys, job.strength, 6)
    _delete(words, deleted)
    _swap(words, pairs)
    _insert(words, sources, _pick(words, sources, table, sizes, job.keys), job.keys)
    return words.edited()


def aeda(job: Job) -> list[str | None]:
    """Inserts punctuation marks before random words (Karimi et al. 2021): no word changes, none is lost."""
    words = split(job.texts)
    chosen = choose(np.ones(len(words.ids), bool), words, job.keys, job.strength, 7)
    marks = (words.draw(job.keys, 8, chosen) % np.uint64(len(PUNCTUATION))).tolist()
    for (row, at), mark in zip(words.spots(chosen), marks, strict=True):
        words.parts[row][at] = f"{PUNCTUATION[mark]} {words.parts[row][at]}"
    return words.edited()


def _synonyms(words: Words, at) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Over the vocabulary: the synonyms of the words that stand `at` these positions (of others none), and how many.
    Only plain lower-case words have any, so no rule of `words.protected` forbids to edit one that has."""
    used = np.flatnonzero(np.bincount(words.ids[at])).tolist()
    known = wordnet.synonyms(words.vocabulary[i] for i in used)
    table = [known.get(word, ()) for word in words.vocabulary]
    return table, np.fromiter(map(len, table), np.uint64, len(table))


def _pick(words: Words, chosen: np.ndarray, table: list[tuple[str, ...]], sizes: np.ndarray, keys) -> list[str]:
    """For each of the chosen words one that the table of the vocabulary has for it."""
    ids = words.ids[chosen]
    picks = words.draw(keys, 9, chosen) % sizes[ids]
    return [table[word][pick] for word, pick in zip(ids.tolist(), picks.tolist(), strict=True)]


def _replace(words: Words, chosen: np.ndarray, new: list[str | None]) -> list[str | None]:
    """The texts with the chosen words replaced by the new ones; where that is None, the word stays."""
    for (row, at), word in zip(words.spots(chosen), new, strict=True):
        if word is None:
            continue
        parts = words.parts[row]
        parts[at] = word
        if parts[at - 1] == " " and parts[at - 2] in ARTICLES:  # at - 2 before the first word: a gap, thus no article
            parts[at - 2] = parts[at - 2][0] + ("n" if _AN.match(word) else "")
    return words.edited()


def _delete(words: Words, chosen: np.ndarray) -> None:
    """Takes the chosen words out, each with a space beside it; a text keeps at least one word."""
    left = np.bincount(words.row, minlength=len(words)).tolist()
    for row, at in words.spots(chosen):
        if left[row] < 2:
            continue
        left[row] -= 1
        parts = words.parts[row]
        parts[at] = ""
        if parts[at - 1].endswith(" "):
            parts[at - 1] = parts[at - 1][:-1]
        else:
            parts[at + 1] = parts[at + 1].removeprefix(" ")


def _swap(words: Words, chosen: np.ndarray) -> None:
    """Exchanges each chosen word with the one after it; of overlapping pairs the first."""
    last = (-1, -1)
    for row, at in words.spots(chosen):
        parts = words.parts[row]
        if (row, at - 2) != last and parts[at] != parts[at + 2]:
            parts[at], parts[at + 2] = parts[at + 2], parts[at]
            last = (row, at)


def _insert(words: Words, chosen: np.ndarray, new: list[str], keys: np.ndarray) -> None:
    """Puts the new word of each chosen one before a random word of the same text."""
    counts = np.bincount(words.row, minlength=len(words)).astype(np.uint64)
    rows = words.row[chosen].tolist()
    before = (words.draw(keys, 10, chosen) % counts[rows]).tolist()
    for row, place, word in zip(rows, before, new, strict=True):
        parts = words.parts[row]
        parts[2 * place + 1] = f"{word} {parts[2 * place + 1]}"
