"""Two kinds of task whose answers are no class of a text: a tag for each word, and a span of a context.

    task = load_task("path/to/wnut_17", kind="token-classification")     # columns tokens, ner_tags
    task = load_task("path/to/squad", kind="question-answering")         # columns context, question, answers

A reader here turns the chunks of a file into what `cleaning` takes: texts, and a label that can be hashed. A sentence
of words is one text, its words with a blank between them, so that cleaning, splits and fingerprints are those of every
task. The label of a row is a tuple: of tags, one a word; or of answers, each (its first character in the context, its
text). Tags are IOB2: O, or B- and I- with the entity's type (Ramshaw & Marcus 1995).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from seo_core.checks import suggest
from seo_core.data.cleaning import Labels, _missing, fold
from seo_core.data.readers import ANSWERS, TAGS, Chunk, DataError, Wanted

LAYOUTS = {  # by kind: the columns, by the names that public sets give them
    TAGS: Wanted({"tokens": ("tokens", "words"), "label": ("ner_tags", "tags", "labels", "label"), "idx": ("idx",)},
                 frozenset({"idx"})),
    ANSWERS: Wanted({"context": ("context",), "question": ("question",), "label": ("answers",), "idx": ("idx",)},
                    frozenset({"idx"})),
}
TEXTS = {TAGS: ("tokens",), ANSWERS: ("context", "question")}  # the first is what no two splits share
SPAN = ("start", "end")  # what a network says of each token of a context
_IOB2 = re.compile(r"O|[BI]-\S+")
_FORM = "Write parquet or JSON lines, where a row can hold a list"


class TagReader(Labels):
    """Words and tags; without `names` those that the source names, or else those that stand in it, O first."""

    kind = TAGS

    def __init__(self, names: Sequence[str] | None):
        self.names = tuple(names or ())
        self.seen: dict[object, str] = {}  # raw tag -> its name

    def prepare(self, chunk: Chunk) -> Chunk:
        """The chunk with texts in place of lists of words, and tuples of the tags' names. Raises DataError."""
        rows = [self._row(*row, lambda i=i: chunk.place(i))
                for i, row in enumerate(zip(chunk.columns["tokens"], chunk.columns["label"], strict=True))]
        columns = {"tokens": [text for text, _ in rows], "label": [tags for _, tags in rows]}
        return replace(chunk, columns=chunk.columns | columns)

    def _row(self, words, tags, place: Callable[[], str]) -> tuple[str | None, tuple[str, ...] | None]:
        if _missing(words) or _missing(tags):
            return None if _missing(words) else "", None
        for name, given in (("tokens", words), ("tags", tags)):
            if not isinstance(given, (list, tuple)):
                raise DataError(f"{place()}: a list of {name} is expected, not {type(given).__name__} "
                                f"{str(given)[:40]!r}. {_FORM}")
        if len(words) != len(tags):
            raise DataError(f"{place()}: {len(tags)} tags for a sentence of {len(words)} words. Give each word one tag")
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise DataError(f"{place()}: {word!r} is no word. Take it out, and its tag")
        return " ".join("".join(fold(word).split()) for word in words), tuple(self._tag(tag, place) for tag in tags)

    def _tag(self, tag, place: Callable[[], str]) -> str:
        if tag.__class__ not in (int, str) or (name := self.seen.get(tag)) is None:
            known = self.names or self.classes
            name = known[tag] if tag.__class__ is int and 0 <= tag < len(known) else tag
            if known and name not in known or not isinstance(name, str) or not _IOB2.fullmatch(name):
                hint = suggest(name, known) if known and isinstance(name, str) else (
                    f": there are {len(known)}" if known else ": a tag is O, or B- or I- with a type")
                raise DataError(f"{place()}: unknown tag {tag!r}{hint}. Correct the row, or name the tags in the order "
                                "of their numbers (labels=…)")
            self.seen[tag] = name
        return name

    def finish(self, splits: dict[str, pd.DataFrame], name: str) -> tuple[str, ...]:
        """The tags in id order; those in the splits become their numbers."""
        there = {tag for frame in splits.values() for tags in frame["label"] for tag in tags}
        names = self.names or self.classes or tuple(sorted(there, key=lambda tag: (tag != "O", tag[2:], tag)))
        number = {name: i for i, name in enumerate(names)}
        for split, frame in splits.items():
            splits[split] = frame.assign(label=[tuple(number[tag] for tag in tags) for tags in frame["label"]])
        return names


class AnswerReader(Labels):
    """Answers in the form of SQuAD: {"text": [...], "answer_start": [...]}; a question without one has no gold label.
    """

    kind = ANSWERS

    def prepare(self, chunk: Chunk) -> Chunk:
        """The chunk with a tuple of answers (start in the folded context, folded text). Raises DataError."""
        label = [self._row(*row, lambda i=i: chunk.place(i))
                 for i, row in enumerate(zip(chunk.columns["context"], chunk.columns["label"], strict=True))]
        return replace(chunk, columns=chunk.columns | {"label": label})

    def _row(self, context, answers, place: Callable[[], str]) -> tuple | None:
        if _missing(answers) or not isinstance(context, str):
            return None  # what is wrong with a context says cleaning
        try:
            pairs = list(zip(answers["text"], answers["answer_start"], strict=True))
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{place()}: answers must be {{'text': [...], 'answer_start': [...]}} of one length, not "
                            f"{str(answers)[:60]}. {_FORM}") from None
        found = []
        for text, start in pairs:
            whole = isinstance(text, str) and isinstance(start, int) and start >= 0 and text.strip()
            if not whole or context[start:start + len(text)] != text:
                raise DataError(f"{place()}: the answer {str(text)[:40]!r} is not in its context at character "
                                f"{start!r}. Correct answer_start, which counts characters from 0, or take the row out")
            text = fold(text)
            near = len(fold(context[:start] + "x")) - 1
            places = [match.start() for match in re.finditer(f"(?={re.escape(text)})", fold(context))]
            if places:  # none where folding joins it with what stands beside it
                found.append((min(places, key=lambda at: abs(at - near)), text))
        return tuple(dict.fromkeys(found)) or None

    def finish(self, splits: dict[str, pd.DataFrame], name: str) -> tuple[str, ...]:
        """What a network says of each token."""
        return SPAN
