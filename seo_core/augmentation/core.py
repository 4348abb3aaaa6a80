"""Static data augmentation for single texts and for pairs: `augment`, the operators, and the label filter.

    copies = augment(task["train"], "synonym", strength=0.1, seed=0, texts=task.texts)
    kept = copies[label_filter(copies, teacher_logits)]

An edit must keep the label. For a pair that depends on the side and on the label, so every operator declares which
sides it edits and which NLI labels survive there; rows with other labels are not touched on that side:

- A change of wording (synonym, back_translation) or of punctuation (aeda) keeps the meaning: any label, any side.
- Another word of the same kind (neighbour, contextual) changes the meaning. Only words that do not stand on the other
  side are exchanged, and none that stands there is put in. In the hypothesis this would still turn entailment
  into something else, so there it is left to neutral and contradiction.
- eda swaps neighbouring words or inserts a synonym of a word that is there already (any label), or deletes a word.
  Less said is entailed by more: a word may go from the hypothesis of an entailment, and from the premise of a
  neutral pair. Deleting from the hypothesis of another pair may create an entailment, from the premise of another may
  destroy what the label rests on. Below a negation or quantifier the direction turns round, so a text with one
  loses no word.

Negation, opposites, numbers, quantifiers, modals, words of time and names are never edited, inserted or deleted.
These rules make label errors rarer; they cannot exclude them. Hence `label_filter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd

from seo_core.augmentation import contextual, edits, translation, wordnet
from seo_core.augmentation.words import draw, row_keys
from seo_core.models import ModelError
from seo_core.settings import suggest

ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2
NLI_TEXTS = ("premise", "hypothesis")
CHUNK = 8192  # rows at a time: bounds memory, and changes no result
_ALL = frozenset({ENTAILMENT, NEUTRAL, CONTRADICTION})
_ANY_SIDE = {"premise": _ALL, "hypothesis": _ALL}
_OTHER_WORD = {"premise": _ALL, "hypothesis": frozenset({NEUTRAL, CONTRADICTION})}
DELETION = {"premise": frozenset({NEUTRAL}), "hypothesis": frozenset({ENTAILMENT})}


class AugmentationError(ValueError):
    """An operator, strength, frame or teacher that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Operator:
    """A way of editing texts, and what it is allowed to touch."""

    name: str
    summary: str
    labels: Mapping[str, frozenset[int]]  # side of an NLI pair -> labels that survive an edit there
    resource: str  # what it needs besides the package
    edit: Callable = field(repr=False)
    absent: Callable[[], str | None] = field(repr=False, default=lambda: None)
    sides: tuple[str, ...] = ("premise", "hypothesis", "text")  # text: the only one, or a pair that is not NLI
    graded: bool = True  # whether it takes notice of strength

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
    Operator("aeda", "punctuation marks inserted", _ANY_SIDE, "nothing", edits.aeda),
)}


def augment(frame: pd.DataFrame, operator: str, *, strength: float = 0.1, seed: int = 0,
            texts: Sequence[str] = NLI_TEXTS, model: str = "bundled", batch_size: int | None = None,
            progress: bool = False) -> pd.DataFrame:
    """Edited copies of the rows of `frame`, at most one a row, in the frame's order.

    frame: (n, …) with the text columns `texts` (one, or two for a pair) and, where there is one, `label`.
    strength: share of the editable words that is changed, in (0, 1], at least one word; back_translation rewords
    a text as a whole and takes no notice of it. seed: another one gives other copies. model: for neighbour the
    checkpoint whose word table is used; for contextual a masked language model (hub id or folder); for
    back_translation "apertium" or two MarianMT models with a comma between. batch_size: texts the models see at once.

    Returns the columns of `frame` (label and genre as they were) and `source` (int64, position of the row in
    `frame`), `operator`, `side` (name of the column that was edited). A pair is edited on one side, drawn by the
    seed; where nothing can be changed there, on the other. Rows in which nothing could be changed are left out.
    A copy depends on the seed and its own row (and how often the same row came before), not on the other rows.

    Raises AugmentationError for an unknown operator, a strength outside (0, 1], missing columns, a text that is no
    text, and a resource that is not there (with the command that brings it).
    """
    found = _operator(operator)
    columns = _columns(frame, texts, strength)
    labels = frame["label"].to_numpy() if "label" in frame else np.full(len(frame), -1)
    nli = tuple(texts) == NLI_TEXTS
    out: list[tuple[int, int, str]] = []  # row, side, new text
    bar = _bar(len(frame), operator, progress)
    keys = row_keys(columns, seed, operator) if len(frame) else np.zeros(0, np.uint64)
    for start in range(0, len(frame), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(frame)))
        first = (draw(keys[rows], 0) % np.uint64(len(columns))).astype(np.int64)
        for turn in range(len(columns)):
            done = []
            for side, name in enumerate(texts):
                mine = rows[((first + turn) % len(columns)) == side]
                if nli:
                    mine = mine[np.isin(labels[mine], list(found.labels[name]))]
                new = _edit(found, columns, side, mine, labels, keys, strength, model, batch_size, nli)
                done += [(int(row), side, text) for row, text in zip(mine, new, strict=True) if text is not None]
            out += done
            left = ~np.isin(rows, [row for row, _, _ in done])
            rows, first = rows[left], first[left]
        bar.update(len(frame[start : start + CHUNK]))
    bar.close()
    return _frame(frame, sorted(out), tuple(texts), operator)


def _edit(operator, columns, side, rows, labels, keys, strength, model, batch_size, nli) -> list[str | None]:
    """The operator on one side of some rows, its missing resources as AugmentationError."""
    if not len(rows):
        return []
    own = [columns[side][row] for row in rows]
    others = [columns[1 - side][row] for row in rows] if len(columns) == 2 else None
    deletable = np.full(len(rows), others is None)  # single texts as in EDA; pairs of another kind not at all
    if nli:
        deletable = np.isin(labels[rows], list(DELETION[NLI_TEXTS[side]]))
    job = edits.Job(own, others, deletable, draw(keys[rows], 13, side), strength, model, batch_size, False)
    try:
        return operator.edit(job)
    except (LookupError, ModelError) as error:
        raise AugmentationError(f"operator {operator.name!r} cannot be used here. {error}") from error


def _operator(name: str) -> Operator:
    if name not in OPERATORS:
        raise AugmentationError(f"unknown operator {name!r}{suggest(name, OPERATORS)}")
    return OPERATORS[name]


def _columns(frame, texts, strength) -> list[list[str]]:
    """The text columns as lists; raises AugmentationError for what `augment` cannot work with."""
    if isinstance(strength, bool) or not isinstance(strength, (int, float, np.floating)) or not 0 < strength <= 1:
        raise AugmentationError(f"strength is the share of words to change, above 0 and at most 1, not {strength!r}")
    if isinstance(texts, str) or len(texts) not in (1, 2):
        raise AugmentationError(f"texts names one column or two, as in texts=task.texts, not {texts!r}")
    columns = []
    for name in texts:
        if name not in frame:
            raise AugmentationError(f"no column {name!r} to augment; there are {', '.join(map(repr, frame.columns))}. "
                                    "Pass texts=task.texts")
        values = frame[name].tolist()
        wrong = next((i for i, value in enumerate(values) if not isinstance(value, str)), None)
        if wrong is not None:
            raise AugmentationError(f"{name!r} is {values[wrong]!r} in row {wrong}, not a text: load the data with "
                                    "seo_core.data, which drops such rows")
        columns.append(values)
    return columns


def _frame(frame, out, texts, operator) -> pd.DataFrame:
    """The copies: rows of `frame` with one text exchanged, and where they come from."""
    source = np.array([row for row, _, _ in out], np.int64)
    side = np.array([side for _, side, _ in out], np.int64)
    copies = frame.iloc[source].reset_index(drop=True)
    for number, name in enumerate(texts):
        values = copies[name].to_numpy(object, copy=True)
        values[side == number] = [text for _, s, text in out if s == number]
        copies[name] = pd.array(values, dtype=frame[name].dtype) if len(values) else copies[name]
    copies["source"] = source
    copies["operator"] = operator
    copies["side"] = np.array(texts, dtype=object)[side] if len(side) else np.zeros(0, object)
    return copies


def changes(frame: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """What `augment` did to `frame`, a row for each copy: operator, side, label, before, after, and the other text.

    `other` is the side of the pair that stayed; single texts have none.
    """
    sides = [name for name in frame.columns if name in set(copies["side"])]
    pair = NLI_TEXTS if set(NLI_TEXTS) <= set(frame.columns) else tuple(sides)
    rows = []
    for copy in copies.to_dict("records"):
        origin = frame.iloc[copy["source"]]
        other = [origin[name] for name in pair if name != copy["side"]]
        rows.append((copy["operator"], copy["side"], copy.get("label", -1), origin[copy["side"]], copy[copy["side"]],
                     other[0] if other else ""))
    return pd.DataFrame(rows, columns=["operator", "side", "label", "before", "after", "other"])


def survivors() -> pd.DataFrame:
    """The operators and the NLI labels that survive their edits on each side, as a table."""
    names = {ENTAILMENT: "entailment", NEUTRAL: "neutral", CONTRADICTION: "contradiction"}

    def words(labels) -> str:
        return "all" if labels == _ALL else ", ".join(names[label] for label in sorted(labels)) or "none"

    rows = [(o.name, o.summary, words(o.labels["premise"]), words(o.labels["hypothesis"]), o.resource)
            for o in OPERATORS.values()]
    at = [o for o, *_ in rows].index("eda") + 1
    rows.insert(at, ("eda: deletions", "a word deleted", words(DELETION["premise"]), words(DELETION["hypothesis"]),
                     "WordNet"))
    return pd.DataFrame(rows, columns=["operator", "what it does", "premise edited", "hypothesis edited", "needs"])


def _bar(total: int, operator: str, progress: bool):
    """A progress bar; without `progress` nothing is imported for it."""
    if not progress:
        return SimpleNamespace(update=lambda rows: None, close=lambda: None)
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=operator, unit="row")


def label_filter(frame: pd.DataFrame, logits, *, floor: float | None = None, labels: int | None = None) -> np.ndarray:
    """(n,) bool: rows whose given label the teacher still supports.

    logits: (n, k) of a model trained on the same labels. A label is supported if softmax gives it at least `floor`;
    default 1/k, what a guess among k labels gives. labels: how many there are, where the columns do not say
    (premise and hypothesis: three). Raises AugmentationError for logits of another shape, a teacher
    with another number of labels, or values that are not numbers.
    """
    logits = np.asarray(logits, dtype=np.float64)
    given = frame["label"].to_numpy(np.int64)
    if logits.ndim != 2 or len(logits) != len(frame):
        raise AugmentationError(f"the filter needs logits ({len(frame)}, k), one row for each row of the frame, not "
                                f"{logits.shape}: predict on the augmented frame itself")
    k = logits.shape[1]
    wanted = labels or (3 if set(NLI_TEXTS) <= set(frame.columns) else None)
    if (wanted and k != wanted) or k < 2 or (len(given) and (given.min() < 0 or given.max() >= k)):
        expected = wanted or (int(given.max()) + 1 if len(given) else 2)
        raise AugmentationError(f"the teacher has {k} labels and the data {expected}: use a teacher that was trained "
                                "on this task")
    if not np.isfinite(logits).all():
        raise AugmentationError("the teacher's logits are not all finite: its training diverged, train it again")
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    support = shifted[np.arange(len(given)), given] / shifted.sum(axis=1)
    return support >= (1 / k if floor is None else floor)
