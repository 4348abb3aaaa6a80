"""Static data augmentation for single texts and for pairs: `augment`, the operators, and the label filter.

    copies = augment(task["train"], "synonym", strength=0.1, seed=0, texts=task.texts)
    kept = copies[label_filter(copies, teacher_logits)]

An edit must keep the label. For a pair that depends on the side and on the label, so every operator declares which
sides it edits and which NLI labels survive there; rows with other labels are not touched on that side:

- A change of wording (synonym, back_translation) or of punctuation (aeda) keeps the meaning: any label, any side.
- Another word of the same kind (neighbour, contextual) changes the meaning. Only words that do not stand on the other
  side are exchanged, and none that stands there is put in. In the hypothesis this would still turn entailment into
  something else, so there it is left to neutral and contradiction.
- eda swaps neighbouring words or inserts a synonym of a word that is there already (any label), or deletes a word. Less
  said is entailed by more: a word may go from the hypothesis of an entailment, and from the premise of a neutral pair;
  elsewhere that may create an entailment, or destroy what the label rests on. Below a negation or quantifier the
  direction turns round, so a text with one loses no word.

Negation, opposites, numbers, quantifiers, modals, words of time and names are never edited, inserted or deleted.
These rules make label errors rarer; they cannot exclude them. Hence `label_filter`.

All of this is about English words. Texts of another language (`augmentation.language`) stay as they are, with a
warning; only aeda, which changes no word, and translation models that are named edit them.
"""

import numbers
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core.augmentation import contextual, edits, translation, wordnet
from seo_core.augmentation.language import is_english
from seo_core.augmentation.words import MissingResource, draw, row_keys
from seo_core.checks import is_number, suggest, whole_number
from seo_core.data import NLI_LABELS, NLI_TEXTS
from seo_core.evaluation import softmax
from seo_core.models.backbone import ModelError
from seo_core.progress import Progress

ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
CHUNK = 8192  # rows at a time: bounds memory, and changes no result
_ALL = frozenset({ENTAILMENT, NEUTRAL, CONTRADICTION})
_ANY_SIDE = {"premise": _ALL, "hypothesis": _ALL}
_OTHER_WORD = {"premise": _ALL, "hypothesis": frozenset({NEUTRAL, CONTRADICTION})}
_THREE = ", ".join(f"{number} {label}" for number, label in enumerate(NLI_LABELS))
DELETION = {"premise": frozenset({NEUTRAL}), "hypothesis": frozenset({ENTAILMENT})}


class AugmentationError(ValueError):
    """An operator, number, frame, label or teacher that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Operator:
    """A way of editing texts, and what it is allowed to touch."""

    name: str
    summary: str
    labels: Mapping[str, frozenset[int]]  # side of an NLI pair -> labels that survive an edit there
    resource: str  # what it needs besides the package
    edit: Callable = field(repr=False)
    absent: Callable[[], str | None] = field(repr=False, default=lambda: None)
    graded: bool = True  # whether it takes notice of strength
    english: bool = True  # whether it has to know the words: English only

    def available(self) -> str | None:
        """None where the operator can be used, else the reason and what to do about it."""
        return self.absent()


OPERATORS: dict[str, Operator] = {operator.name: operator for operator in (
    Operator("synonym", "words replaced by WordNet synonyms", _ANY_SIDE, "WordNet", edits.synonym, wordnet.absent),
    Operator("neighbour", "words replaced by near ones of the model's word table", _OTHER_WORD,
             "the model's word table", edits.neighbour),
    Operator("contextual", "words filled in by a masked language model", _OTHER_WORD, "a masked language model",
             contextual.contextual, contextual.absent),
    Operator("back_translation", "into another language and back", _ANY_SIDE, "Apertium, or two MarianMT models",
             translation.back_translation, translation.absent, graded=False),
    Operator("eda", "neighbours swapped, a word deleted, a synonym inserted", _ANY_SIDE, "WordNet", edits.eda,
             wordnet.absent),
    Operator("aeda", "punctuation marks inserted", _ANY_SIDE, "nothing", edits.aeda, english=False),
)}


def augment(frame: pd.DataFrame, operator: str, *, strength: float = 0.1, seed: int = 0,
            texts: Sequence[str] = NLI_TEXTS, model: str = "bundled", batch_size: int | None = None,
            progress: bool = True) -> pd.DataFrame:
    """Edited copies of the rows of `frame`, at most one a row, in the frame's order.

    frame: (n, …) with the text columns `texts` (one, or two for a pair) and, where there is one, `label`. NLI pairs
    need it, since the label says which side may be edited; those with another (−1, NaN) are left out. strength: share
    of the editable words that is changed, in (0, 1], at least one; back_translation rewords a text as a whole, and its
    seed only draws the side of a pair. model: for neighbour the checkpoint whose word table is used; for contextual a
    masked language model (hub id or folder); for back_translation "apertium" or two MarianMT models with a comma
    between. batch_size: texts the models see at once.

    Returns the columns of `frame` (label and genre as they were) and `source` (int64, position of the row in `frame`),
    `operator`, `side` (name of the column that was edited): one, drawn by the seed, or the other where nothing can be
    changed there. Rows in which nothing could be changed are left out. A copy depends on the seed and its own row (and
    how often the same row came before), not on the other rows: but for their language, which is told from all rows
    together. Where they are not English (`language.is_english`), only aeda and translation models that are named edit
    any, and a warning says so.

    Raises AugmentationError for an unknown operator, a strength outside (0, 1], a seed or batch size that is no whole
    number, missing or repeated columns, a text that is no text, NLI pairs none of which has one of the three labels,
    and a resource that is not there (with the command that brings it)."""
    chosen = known_operator(operator)
    columns = check_texts(frame, texts, seed, strength=strength)
    if batch_size is not None:
        whole_number("batch_size", batch_size, 1, AugmentationError)
    if not isinstance(model, (str, Path)):
        raise AugmentationError(f"model is a hub id or a folder, not {model!r}")
    nli = set(texts) == set(NLI_TEXTS)
    labels = labels_of(frame, "frame", missing=True) if nli and len(frame) else np.full(len(frame), -1)
    if nli and len(frame) and not np.isin(labels, list(_ALL)).any():
        raise AugmentationError(f"none of the {len(labels)} pairs has one of the labels {_THREE}, and the label says "
                                "which side may be edited: label the pairs first, or rename the columns premise and "
                                "hypothesis where they are no NLI pairs")
    keys = row_keys(columns, seed, operator) if len(frame) else np.zeros(0, np.uint64)
    editable = len(frame)
    named = operator == "back_translation" and "," in str(model)  # two models that know which language they read
    if chosen.english and not named and not is_english([text for column in columns for text in column]):
        editable = 0
        warnings.warn(f"these texts are not English, and operator {operator!r} knows English words only: they stay as "
                      "they are (aeda edits texts of any language)", stacklevel=2)

    def edit(side: int, rows: np.ndarray) -> list[str | None]:
        """The operator on one side of some rows."""
        here = [columns[side][row] for row in rows.tolist()]
        others = [columns[1 - side][row] for row in rows.tolist()] if len(columns) == 2 else None
        deletable = (np.isin(labels[rows], list(DELETION[texts[side]])) if nli else
                     np.full(len(rows), others is None))  # single texts as in EDA; pairs of another kind not at all
        job = edits.Job(here, others, deletable, draw(keys[rows], 13, side), strength, str(model), batch_size)
        try:
            return chosen.edit(job)
        except (MissingResource, ModelError) as error:
            raise AugmentationError(f"operator {operator!r} cannot be used here. {error}") from None

    edited, sides = np.full(len(frame), None, object), np.zeros(len(frame), np.int64)  # new text of each row; its side
    with Progress(f"augmenting, {operator}", len(frame), "row", shown=progress) as watch:
        for start in range(0, editable, CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(frame)))
            first = (draw(keys[rows], 0) % np.uint64(len(columns))).astype(np.int64)
            for turn in range(len(columns)):
                for side, name in enumerate(texts):
                    at = rows[((first + turn) % len(columns)) == side]
                    at = at[np.isin(labels[at], list(chosen.labels[name]))] if nli else at
                    if len(at):
                        edited[at], sides[at] = edit(side, at), side
                left = pd.isna(edited[rows])
                rows, first = rows[left], first[left]
            watch.step(count=len(frame[start : start + CHUNK]))
    source = np.flatnonzero(pd.notna(edited))
    copies, side = frame.iloc[source].reset_index(drop=True), sides[source]
    for number, name in enumerate(texts if len(source) else ()):
        values = np.where(side == number, edited[source], copies[name].to_numpy(object))
        copies[name] = as_before(values, frame[name].dtype)
    return copies.assign(source=source, operator=operator, side=np.array(texts, dtype=object)[side])


def known_operator(name: str) -> Operator:
    """The operator of this name; raises AugmentationError, with the nearest, where there is none."""
    if not isinstance(name, str) or name not in OPERATORS:
        raise AugmentationError(f"unknown operator {name!r}{suggest(name, OPERATORS)}")
    return OPERATORS[name]


def check_texts(frame, texts, seed, doing: str = "augment", **share: float) -> list[list[str]]:
    """The text columns as lists; raises AugmentationError for a frame, a seed or a share that no edit works with."""
    for name, value in share.items():
        if not (is_number(value) and 0 < value <= 1):
            raise AugmentationError(f"{name} is the share of words to change, above 0 and at most 1, not {value!r}")
    if whole_number("seed", seed, 0, AugmentationError) >= 2**64:
        raise AugmentationError(f"seed must be below 2**64, got {seed}")
    if not isinstance(frame, pd.DataFrame):
        raise AugmentationError(f"frame must be a DataFrame with the columns {texts!r}, not a {type(frame).__name__}: "
                                "for a list of texts pd.DataFrame({'text': [...]}), with texts=('text',)")
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not 1 <= len(set(texts)) == len(texts) <= 2:
        raise AugmentationError(f"texts names one column or two, as in texts=task.texts, not {texts!r}")
    columns = []
    for name in texts:
        if list(frame.columns).count(name) > 1:
            raise AugmentationError(f"there is more than one column {name!r} to {doing}: drop or rename all but one")
        if name not in frame:
            raise AugmentationError(f"no column {name!r} to {doing}; there are {', '.join(map(repr, frame.columns))}. "
                                    "Pass texts=task.texts")
        values = frame[name].tolist()
        wrong = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
        if wrong is not None:
            raise AugmentationError(f"{name!r} is {values[wrong]!r} in row {wrong}, not a text: load the data with "
                                    "seo_core.data, which drops such rows")
        columns.append(values)
    return columns


def labels_of(frame, whose: str, *, missing: bool = False) -> np.ndarray:
    """(n,) int64: the labels of a frame, whole numbers from 0; with `missing` -1 for a row without one. Raises
    AugmentationError, with `whose` frame it is, for a missing column and for other labels."""
    there = list(frame.columns).count("label") if isinstance(frame, pd.DataFrame) else 0
    if there != 1:
        number = "more than one" if there else "no"
        raise AugmentationError(f"{whose} has {number} column 'label': give it one of whole numbers (NLI: {_THREE})")
    column = frame["label"]
    values = column.to_numpy(object, copy=True)
    values[column.isna().to_numpy()] = -1
    for value in pd.unique(values):
        whole = isinstance(value, (numbers.Real, np.bool_)) and value % 1 == 0 and abs(value) < 2**63
        if not whole or (value < 0 and not missing):
            row = int(np.flatnonzero(values == value)[0])
            raise AugmentationError(f"{whose} has label {column.tolist()[row]!r} in row {row}: labels are whole "
                                    f"numbers, 0 or more (NLI: {_THREE}). Number them so, and drop rows without one")
    return values.astype(np.int64)


def fitting_labels(frame, k: int, whose: str = "frame", model: str = "teacher",
                   labels: int | None = None) -> np.ndarray:
    """(n,) int64: the labels of a frame, if a `model` of k labels can be asked about them; else AugmentationError.
    labels: how many the task has; NLI pairs have three, other frames at least those that are in them."""
    given = labels_of(frame, whose)
    top = int(given.max(initial=-1))
    wanted = labels or (3 if set(NLI_TEXTS) <= set(frame.columns) else None)
    if wanted and top >= wanted:
        raise AugmentationError(f"{whose} has label {top} in row {given.argmax()}, and the task's labels are 0 to "
                                f"{wanted - 1}: correct that label, or drop the row")
    if k < 2 or top >= k or (wanted and k != wanted):
        raise AugmentationError(f"the {model} has {k} labels and the data {wanted or max(top + 1, 2)}: use a {model} "
                                "that was trained on this task")
    return given


def as_before(values, dtype):
    """New texts (n,) as the column they came from: of its dtype, but for categories, which no new text is one of."""
    return pd.array(values, dtype="str" if isinstance(dtype, pd.CategoricalDtype) else dtype)


def changes(frame: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """What `augment` did to `frame`, a row for each copy: operator, side, label, before, after, and the other text of
    the pair, which stayed."""
    sides = [name for name in frame.columns if name in set(copies["side"])]
    pair = NLI_TEXTS if set(NLI_TEXTS) <= set(frame.columns) else tuple(sides)
    rows = []
    for copy, origin in zip(copies.to_dict("records"), frame.iloc[copies["source"]].to_dict("records"), strict=True):
        side, other = copy["side"], [origin[name] for name in pair if name != copy["side"]]
        rows.append((copy["operator"], side, copy.get("label", -1), origin[side], copy[side], *(other or [""])))
    return pd.DataFrame(rows, columns=["operator", "side", "label", "before", "after", "other"])


def survivors() -> pd.DataFrame:
    """The operators and the NLI labels that survive their edits on each side, as a table."""
    rules = [(o.name, o.summary, o.labels, o.resource) for o in OPERATORS.values()]
    rules.insert(list(OPERATORS).index("eda") + 1, ("eda: deletions", "a word deleted", DELETION, "WordNet"))

    def names(labels) -> str:
        return "all" if labels == _ALL else ", ".join(NLI_LABELS[label] for label in sorted(labels)) or "none"

    rows = [(name, summary, *(names(labels[side]) for side in NLI_TEXTS), resource)
            for name, summary, labels, resource in rules]
    return pd.DataFrame(rows, columns=["operator", "what it does", "premise edited", "hypothesis edited", "needs"])


def label_filter(frame: pd.DataFrame, logits, *, floor: float | None = None, labels: int | None = None) -> np.ndarray:
    """(n,) bool: rows whose given label the teacher still supports.

    logits: (n, k) of a model trained on the same labels. A label is supported if softmax gives it at least `floor`;
    default 1/k, what a guess among k labels gives. labels: how many there are, where the columns do not say (premise
    and hypothesis: three); without it a teacher with more labels than the rows show passes, since a class may be absent
    from them. Raises AugmentationError for rows without a label, logits of another shape, a teacher with another number
    of labels, values that are not numbers, or a floor outside [0, 1]."""
    if floor is not None and not (is_number(floor) and 0 <= floor <= 1):
        raise AugmentationError(f"floor is a probability between 0 and 1, not {floor!r}")
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or len(logits) != len(frame):
        raise AugmentationError(f"the filter needs logits ({len(frame)}, k), one row for each row of the frame, not "
                                f"{logits.shape}: predict on the augmented frame itself")
    k = logits.shape[1]
    given = fitting_labels(frame, k, labels=labels)
    if not np.isfinite(logits).all():
        raise AugmentationError("the teacher's logits are not all finite: its training diverged, train it again")
    return softmax(logits)[np.arange(len(given)), given] >= (1 / k if floor is None else floor)
