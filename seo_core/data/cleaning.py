"""Cleaning: what is changed, what is dropped and counted, and what is an error.

Changed: Unicode to NFC, runs of white space to one blank. Dropped and counted: no gold label (-1 or '-'), missing or
empty text, duplicates, and training rows whose first text also stands in an evaluation split. Errors (`DataError` with
file, row and column): a label that is none, and text that is not text.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pandas as pd

from seo_core.data.readers import Chunk, DataError

REASONS = ("no gold label", "missing text", "duplicate", "duplicate with another label",
           "premise also in an evaluation split")
_SPACES = re.compile(r"[^\S ]|  |^ | $")  # any white space that folding would change


def fold(text: str) -> str:
    """NFC, white space runs to one blank, none at the ends. fold(fold(s)) == fold(s)."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split()) if _SPACES.search(text) else text


def premise_key(text: str) -> str:
    """What two spellings of one premise share: letters and digits only, case and width folded."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return "".join(filter(str.isalnum, folded.casefold())) or text


class ScoreError(DataError):
    """A label that is a score where a class is expected."""


class Labels:
    """How one kind of task reads its labels. Each kind has a class of its own, with a method `finish`: the names of the
    labels in id order, once all splits are read; labels that are names themselves become their numbers there."""

    kind: str
    classes: tuple[str, ...] = ()  # that the source itself names, in its order

    def prepare(self, chunk: Chunk) -> Chunk:
        """The chunk with texts in its text columns, and with labels that `read` takes. Raises DataError."""
        return chunk

    def read(self, value, place):
        """The label of a row; None: no gold label. place() for messages. Raises DataError."""
        return value


class LabelReader(Labels):
    """Turns a source's labels into class ids; without `names` any are accepted, and named at the end."""

    kind = "classification"

    def __init__(self, names: Sequence[str] | None):
        self.names = tuple(names) if names else None
        self.ids = {name.casefold(): i for i, name in enumerate(names or ())}
        self.seen: dict = {}  # raw value -> id, or None for "no gold label"

    def read(self, value, place) -> int | str | None:
        """The id or, before the classes are known, the name."""
        try:
            return self.seen[value.__class__, value]
        except (KeyError, TypeError):
            label = self._read(value, place)
            if value == value:  # not NaN, which would be a new key each time
                self.seen[value.__class__, value] = label
            return label

    def _read(self, value, place) -> int | str | None:
        text = value.strip() if isinstance(value, str) else None
        if text in ("-", "", "-1") or _missing(value):
            return None
        if text is not None and text.casefold() in self.ids:
            return self.ids[text.casefold()]
        exact = _number(value)
        number = int(exact) if exact.is_integer() else None
        if number is None and self.names is None and math.isfinite(exact):
            raise ScoreError(f"{place()}: label {value!r} is not a class but a score. Write a class in its place (as "
                             "'low' below 2.5, else 'high'), name the right label column, or pass labels=(names of the "
                             "classes) where such numbers are their names; load_task reads scores with "
                             "kind='regression'")
        if number is None and text is not None and self.names is None:
            return text
        if number == -1:
            return None
        if number is None or number < 0 or (self.names is not None and number >= len(self.names)):
            allowed = ("a class name or a whole number from 0" if self.names is None else
                       f"0 to {len(self.names) - 1}, or one of {', '.join(self.names)}")
            shown = value if not isinstance(value, str) or len(value) < 60 else value[:57] + "…"
            raise DataError(f"{place()}: label {shown!r} is not {allowed} (-1 or '-': no gold label). Correct the row, "
                            "name the right label column, or name the classes where yours are others (labels=…; "
                            "`compress`: --classes …)")
        if self.names is None and number >= 1000:
            raise DataError(f"{place()}: label {value!r} would need more than 1000 classes. Is this the label column? "
                            "If so pass labels=(names of the classes)")
        return number

    def finish(self, splits: dict[str, pd.DataFrame], name: str) -> tuple[str, ...]:
        """The classes. Where none were given, labels that are names become numbers, in the order of the source's own
        classes, else of the sorted names. Raises DataError, which names the source."""
        if self.names is not None:
            return self.names
        values = sorted({v for frame in splits.values() for v in frame["label"].unique()}, key=str)
        if not any(isinstance(v, str) for v in values):
            return tuple(str(i) for i in range(max((int(v) for v in values), default=-1) + 1))
        if not all(isinstance(v, str) for v in values):
            raise DataError(f"{name}: labels are partly names, partly numbers ({', '.join(map(repr, values[:6]))}). "
                            "Write them one way, or pass labels=(names of the classes)")
        if len(values) > 1000:
            raise DataError(f"{name}: {len(values)} different labels. Is this the label column?")
        names = tuple(dict.fromkeys((*self.classes, *values)))
        for split, frame in splits.items():
            splits[split] = frame.assign(label=frame["label"].map({v: i for i, v in enumerate(names)}))
        return names


class ScoreReader(Labels):
    """Turns a source's labels into scores: finite numbers of 0 or more; −1, '-' and nothing are no gold label, as of
    classes. most: the highest there may be; numbers must then be floats, as in GLUE's stsb."""

    kind = "regression"

    def __init__(self, most: float | None = None):
        self.most = most

    def read(self, value, place) -> float | None:
        """The score."""
        text = value.strip() if isinstance(value, str) else None
        if text in ("-", "") or _missing(value):
            return None
        try:
            if isinstance(value, bool) or self.most is not None and not isinstance(value, (float, np.floating)):
                raise ValueError
            number = float(value)
        except (OverflowError, TypeError, ValueError):
            raise DataError(f"{place()}: score {str(value)[:60]!r} is no number. A regression has numbers as labels: "
                            "correct the row, name the right label column, or read classes (kind='classification')"
                            ) from None
        if number == -1:
            return None
        if not 0 <= number <= (math.inf if self.most is None else self.most) or math.isinf(number):
            bound = "0 or more" if self.most is None else f"between 0 and {self.most:g}"
            raise DataError(f"{place()}: score {value!r} is not {bound} (-1: no gold label). Add to all scores what "
                            "makes the lowest of them 0")
        return number

    def finish(self, splits: dict[str, pd.DataFrame], name: str) -> tuple[str, ...]:
        """One label, which has no class."""
        return ("score",)


def _number(value) -> float:
    """The label as a number; NaN where it is none, or one of hundreds of digits."""
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        return math.nan


def _missing(value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def clean_chunk(chunk: Chunk, texts: tuple[str, ...], labels: Labels, first_idx: int,
                extras: tuple[str, ...] = ()) -> tuple[dict[str, list], dict[str, int]]:
    """The rows of `chunk` worth keeping, as columns, and the counts of the others by reason. `first_idx` numbers the
    rows that have no idx of their own. Raises DataError."""
    n = len(chunk.rows)
    columns = {name: [_text(v, chunk, i, name) for i, v in enumerate(chunk.columns.get(name, [None] * n))]
               for name in texts}
    gold = [labels.read(v, lambda i=i: f"{chunk.place(i)}, column 'label'")
            for i, v in enumerate(chunk.columns["label"])]
    keep = [i for i, (label, *row) in enumerate(zip(gold, *columns.values(), strict=True))
            if label is not None and all(row)]
    drops = {REASONS[0]: gold.count(None), REASONS[1]: n - gold.count(None) - len(keep)}
    idx = chunk.columns.get("idx")
    if idx is None or not all(v.__class__ is int and abs(v) < 2**63 for v in idx):
        idx = range(first_idx, first_idx + n)
    columns |= {"label": gold, "idx": idx}
    columns |= {name: [fold(v) if isinstance(v, str) else "" for v in chunk.columns.get(name, [""] * n)]
                for name in extras}
    return {name: [values[i] for i in keep] for name, values in columns.items()}, drops


def _text(value, chunk: Chunk, i: int, name: str) -> str | None:
    """The folded text; None if missing."""
    if value.__class__ is str:
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise DataError(f"{chunk.place(i)}, column {name!r}: half of a surrogate pair, which is no character. "
                                "Write the file again from valid Unicode") from None
        return fold(value)
    if _missing(value):
        return None
    raise DataError(f"{chunk.place(i)}, column {name!r}: {type(value).__name__} {str(value)[:40]!r} where text is "
                    "expected. Name the text column, or convert it to text")


def drop_duplicates(frame: pd.DataFrame, texts: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, int]]:
    """`frame` without rows whose texts stood in an earlier row, and how many there were by reason."""
    repeated = frame.duplicated(list(texts)).to_numpy()
    same = frame.duplicated([*texts, "label"]).to_numpy()
    counts = {"duplicate": int(same.sum()), "duplicate with another label": int((repeated & ~same).sum())}
    return (frame[~repeated].reset_index(drop=True) if repeated.any() else frame), counts


def drop_shared(train: pd.DataFrame, others: list[pd.DataFrame], text: str) -> tuple[pd.DataFrame, int]:
    """`train` without the rows whose (normalized) first text stands in one of `others`."""
    seen = {premise_key(p) for frame in others for p in frame[text]}
    shared = np.fromiter((premise_key(p) in seen for p in train[text]), bool, len(train))
    return (train[~shared].reset_index(drop=True) if shared.any() else train), int(shared.sum())


def clean(frame: pd.DataFrame, texts: tuple[str, ...] = ("premise", "hypothesis"),
          labels: tuple[str, ...] | None = ("entailment", "neutral", "contradiction"), *, name: str = "frame"
          ) -> tuple[pd.DataFrame, dict[str, int]]:
    """Clean a frame with the columns `texts` and "label": the kept rows, and the drops by reason. Raises DataError
    naming `name`, row (from 1) and column."""
    columns = {c: frame[c].astype(object).where(frame[c].notna(), None).tolist()
               for c in (*texts, "label", "genre", "idx") if c in frame}
    extras = ("genre",) if "genre" in frame else ()
    kept, drops = clean_chunk(Chunk(name, columns, range(1, len(frame) + 1)), texts, LabelReader(labels), 0, extras)
    out, repeated = drop_duplicates(pd.DataFrame(kept), texts)
    return out, drops | repeated


def fingerprint(splits: dict[str, pd.DataFrame], texts: tuple[str, ...]) -> str:
    """16 hex digits over split names, texts and labels in their order; the file format leaves no trace."""
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(splits):
        frame = splits[name]
        digest.update(f"{name}\x1d{len(frame)}\x1d{len(texts)}\x1d".encode())
        for text in texts:
            for start in range(0, len(frame), 50_000):
                digest.update("\x1e".join(frame[text].iloc[start : start + 50_000]).encode())
                digest.update(b"\x1e")
        if frame["label"].dtype == object:  # tuples of tags or of answers
            digest.update("\x1e".join(map(repr, frame["label"])).encode())
            continue
        kind = "<f8" if frame["label"].dtype.kind == "f" else "<i8"  # scores, or classes
        digest.update(np.ascontiguousarray(frame["label"], dtype=kind).tobytes())
    return digest.hexdigest()


def premise_groups(frame: pd.DataFrame, text: str) -> np.ndarray:
    """(n,) int: rows with the same normalized first text share a number, counted from 0."""
    return pd.factorize(np.array([premise_key(p) for p in frame[text]], dtype=object))[0]
