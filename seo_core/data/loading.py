"""load_task and load_nli: any source to clean, fingerprinted splits.

    task = load_nli("embedded")                          # the generator
    task = load_nli("nyu-mll/glue:mnli")                 # a hub id (needs the datasets package)
    task = load_nli("path/to/multinli_1.0")              # a folder: parquet, jsonl, tsv, csv, save_to_disk
    task = load_task("path/to/sst2", text="sentence")    # any classes, one text or two
    task = load_task("path/to/stsb", text=("sentence1", "sentence2"), kind="regression")   # scores in place of classes
    task = load_task("path/to/wnut_17", kind="token-classification")     # a tag for each word
    task = load_task("path/to/squad", kind="question-answering")         # a span of a context
    frame = load_texts("path/to/texts.csv", text="sentence")   # texts alone

The content alone decides the result: the same rows give the same frames and fingerprint from every format.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core.checks import SettingsError, check_choice
from seo_core.data import cleaning, readers, sequences
from seo_core.data.readers import Chunk, DataError, Wanted
from seo_core.settings import display_source, resolve_path

NLI_LABELS = ("entailment", "neutral", "contradiction")
NLI_TEXTS = ("premise", "hypothesis")
_NLI = Wanted({"premise": ("premise", "sentence1"), "hypothesis": ("hypothesis", "sentence2"),
               "label": ("label", "gold_label"), "genre": ("genre",), "idx": ("idx",)}, frozenset({"genre", "idx"}))
CARVED = "moved to validation_matched"  # the reason in the report
_OTHERS = ("label", "genre", "idx")  # columns beside the texts
KINDS = ("classification", "regression", *sequences.LAYOUTS)
_DTYPES = {"classification": "int64", "regression": "float64"}  # of the labels
_STSB, _STSB_MOST = ("sentence1", "sentence2"), 5.0  # GLUE's layout: these texts, and floats from 0 to 5 in "label"
_AS_IN_GLUE = {"premise": "sentence1", "hypothesis": "sentence2"}


@dataclass(frozen=True)
class TaskData:
    """A task: its cleaned splits and where they come from. Each frame has a RangeIndex and the columns of `texts`,
    "label" (int64, index into `labels`; of a regression float64, a score; of the kinds of `sequences` a tuple), "idx"
    (int64, the source's own number of the row) and for NLI "genre" (str, "" where unknown)."""

    name: str  # "embedded" (of tags and answers with their kind), a hub id, or "path/to/<folder>"
    splits: dict[str, pd.DataFrame]
    texts: tuple[str, ...]
    labels: tuple[str, ...]  # class names in id order; of a regression ("score",), of spans ("start", "end")
    report: pd.DataFrame  # columns split, reason, rows: what was read, dropped (by reason), kept
    fingerprint: str  # 16 hex digits of the content as loaded
    kind: str = "classification"  # one of KINDS

    def __getitem__(self, split: str) -> pd.DataFrame:
        """The frame of one split; KeyError names those there are."""
        if split not in self.splits:
            raise KeyError(f"no split {split!r}; there are {', '.join(self.splits)}")
        return self.splits[split]

    @property
    def evaluation(self) -> tuple[str, ...]:
        """The names of the splits kept for the end: all but train and the development slice."""
        return tuple(s for s in self.splits if s not in ("train", "reward", "acceptance"))


def load_task(source: str | Path, *, text: str | Sequence[str] | None = None, label: str = "label",
              labels: Sequence[str] | None = None, split_names: dict[str, str] | None = None,
              kind: str | None = None) -> TaskData:
    """Any task of classes, scores, tags or spans: `text` names one or two text columns, `label` the label column.

    Duplicates are dropped from train, and counted and kept in the other splits, which others score on too. source: a
    hub id ("owner/name" or "owner/name:config"), a file, or a folder (see the module's docstring). labels: the class
    names in id order; labels may then be written as these names or as 0..k-1. If not given, the names and the order
    that the source states (`ClassLabel`); else whole numbers keep their value, and names are numbered in sorted order.
    split_names: {name wanted: name in the source}; by default every split that has labels, under its own name. A single
    file is the split that its name says (dev.tsv), else train. There may be no train at all, for evaluation. kind:
    "classification" or "regression", whose labels are numbers of 0 or more; by default the former, but for GLUE's stsb,
    known by its columns sentence1, sentence2 and label, with floats from 0 to 5.

    kind="token-classification": a row has a list of words (tokens or words, or the column that `text` names) and one
    of as many tags (ner_tags, tags, labels or label, or `label`), in IOB2: names, or numbers of names that `labels`,
    the file or the data card gives. The frame's "tokens" is the words with a blank between them, its "label" a tuple of
    numbers. kind="question-answering": context, question (`text` names both, in this order) and answers as SQuAD has
    them, {"text": [...], "answer_start": [...]}; the frame's "label" is a tuple of (start, text). Both need parquet,
    JSON lines, a saved data set or a hub id; "embedded" generates a small set (`toys`).

    Raises DataError (file, row, column, what to do)."""
    if kind is not None:
        check_choice("kind", kind, KINDS, DataError)
    if kind in sequences.LAYOUTS:
        return _load_sequences(source, kind, text, label, labels, split_names)
    texts = _columns(text, label)
    wanted = Wanted({**{t: (t,) for t in texts}, "label": (label,), "idx": ("idx",)}, frozenset({"idx"}))
    if kind == "regression":
        if labels:
            raise DataError("a regression has no classes: leave labels out, or kind='regression'")
        return _load(source, wanted, texts, cleaning.ScoreReader(), split_names)
    return _load(source, wanted, texts, cleaning.LabelReader(labels), split_names,
                 stsb=kind is None and label == "label")


def _load_sequences(source, kind: str, text=None, label: str = "label", labels=None, split_names=None, nli=False
                    ) -> TaskData:
    """A task of words or spans; nli: with the splits of a chapter. Raises DataError."""
    wanted, texts = sequences.LAYOUTS[kind], sequences.TEXTS[kind]
    named = (text,) if isinstance(text, str) else tuple(text or ())
    if named and len(named) != len(texts):
        raise DataError(f"text={text!r}: {kind} has {len(texts)} columns of text, {' and '.join(texts)}")
    roles = {**wanted.roles, **{role: (name,) for role, name in zip(texts, named, strict=False)}}
    wanted = replace(wanted, roles=roles if label == "label" else {**roles, "label": (label,)})
    if labels and kind == sequences.ANSWERS:
        raise DataError("answers are spans, which have no classes: leave labels out")
    reader = sequences.TagReader(labels) if kind == sequences.TAGS else sequences.AnswerReader()
    if source == "embedded":
        from seo_core.data import toys

        chunks = _generated(toys.generate(kind), sequences.LAYOUTS[kind])
        chosen = _nli_splits(chunks) if nli else {split: split for split in chunks}
        return _assemble(f"{source}, {kind}", {new: chunks[split] for new, split in chosen.items()}, texts, reader,
                         nli=nli)  # another data set than the pairs, in records too
    return _load(source, wanted, texts, reader, split_names, nli=nli)


def load_data(source: str | Path, *, text: Sequence[str] | None = None, labels: Sequence[str] | None = None,
              rows: int | None = None, scores: bool = False, kind: str | None = None) -> TaskData:
    """What a chapter's `data=` names: NLI pairs, or any classes of one text or two, cleaned and split as NLI is.

    text: the columns, default those of `load_nli`. labels: the classes, default NLI's, or with `text` those that the
    source names. Either way there are train and validation_matched, carved from train where the source has no set to
    measure on, and every row has a "genre". A set that is not NLI has that one split under NLI's name: so its records
    have the keys that tables and figures read, accuracy_matched and the like, and lack those of a mismatched set. Its
    columns premise and hypothesis are named sentence1 and sentence2, as in GLUE: what holds for NLI labels (which side
    of a pair may be edited) holds for columns of the former names. rows: of the embedded pairs. scores: whether
    GLUE's stsb is read (`load_task`), which is refused else, as whatever has scores. kind: one of those that
    `sequences` reads. DataError."""
    if kind in sequences.LAYOUTS:
        return _load_sequences(source, kind, text, labels=labels, nli=True)
    nli = labels is not None and tuple(name.casefold() for name in labels) == NLI_LABELS
    if text is None and labels is None or tuple(text or NLI_TEXTS) == NLI_TEXTS and nli:
        return load_nli(source, rows=rows if source == "embedded" else None)
    if source == "embedded":
        raise DataError("labels and text say how to read data of your own, and the embedded pairs are NLI: pass data= "
                        "a file, a folder or a hub id, or leave labels and text out")
    columns = {name: (name,) for name in _columns(text)} if text else {name: _NLI.roles[name] for name in NLI_TEXTS}
    if taken := set(columns) & {*_OTHERS}:
        raise DataError(f"text={text!r}: a column named {min(taken)} is read as such, and no text. Rename it")
    roles = {_AS_IN_GLUE.get(name, name): names for name, names in columns.items()}
    wanted = Wanted({**roles, **{name: _NLI.roles[name] for name in _OTHERS}}, _NLI.optional)
    return _load(source, wanted, tuple(roles), cleaning.LabelReader(labels), nli=True, stsb=scores)


def _columns(text: str | Sequence[str] | None, label: str = "label") -> tuple[str, ...]:
    """The text columns that were named. Raises DataError for none, three, one twice, or the label's."""
    texts = (text,) if isinstance(text, str) else tuple(text or ())
    if not 1 <= len(texts) <= 2 or label in texts or len(set(texts)) < len(texts):
        raise DataError(f"text={text!r}, label={label!r}: name one or two text columns and another label column")
    return texts


def load_nli(source: str | Path = "embedded", *, seed: int = 0, rows: int | None = None, noise: float = 0.0
             ) -> TaskData:
    """NLI pairs: train, validation_matched and, where there is one, validation_mismatched.

    `seed`, `rows` (training pairs, default 20 000) and `noise` (share of wrong training labels) belong to the embedded
    generator. Columns are found by name: premise or sentence1, hypothesis or sentence2, label or gold_label, genre. A
    lone `validation` (SNLI) becomes validation_matched; a source without any validation split gives a tenth of its
    training premises to it, and the report says so, as it does of a split that is not read. Where there is no train,
    the others are read for evaluation. Raises DataError.

    Measured: 400 000 pairs in parquet load, clean and tokenize in 60 s on two cores shared with other work (10 s of it
    loading and cleaning), at a peak of 0.8 GB (tests/measure_loading.py)."""
    if source == "embedded":
        from seo_core.data.generator import generate_nli

        chunks = _generated(generate_nli(rows or 20_000, seed=seed, noise=noise), _NLI)
        return _assemble("embedded", chunks, NLI_TEXTS, cleaning.LabelReader(NLI_LABELS), nli=True)
    if rows is not None or noise:
        raise DataError("rows and noise belong to the embedded generator; to take fewer pairs of another source use "
                        "subsample()")
    return _load(source, _NLI, NLI_TEXTS, cleaning.LabelReader(NLI_LABELS), nli=True)


def _generated(frames: dict[str, pd.DataFrame], wanted: Wanted) -> dict[str, list[Chunk]]:
    """What a generator made, as chunks by split; its columns have the best names of their roles."""
    return {split: [Chunk(f"embedded [{split}]", {role: frame[name].tolist() for role, (name, *_) in
                                                  wanted.roles.items() if name in frame}, range(1, len(frame) + 1))]
            for split, frame in frames.items()}


def load_texts(source: str | Path, *, text: str | Sequence[str] = NLI_TEXTS) -> pd.DataFrame:
    """Texts without labels: a frame with the columns `text`, of all splits of a source, each text or pair once. A
    column of labels may be there and is not read. text: one or two columns; those of NLI may have GLUE's names. Raises
    DataError."""
    texts = _columns(text)
    wanted = Wanted({name: _NLI.roles.get(name, (name,)) for name in texts})
    name, splits, chunks = _splits_of(str(source), wanted)
    frames = []
    for split in splits:
        bare = (replace(chunk, columns={**chunk.columns, "label": [0] * len(chunk.rows)}) for chunk in chunks(split))
        frames.append(_read_split(bare, texts, cleaning.LabelReader(("text",)), (), split, name)[0][[*texts]])
    frame = pd.concat(frames).drop_duplicates(ignore_index=True)
    if frame.empty:
        raise DataError(f"{name}: no row has {' and '.join(texts)}. Check the text columns")
    return frame


def _splits_of(source: str, wanted: Wanted) -> tuple[str, dict, Callable[[str], Iterator[Chunk]]]:
    """A source's name, its splits, and a function that reads one."""
    path = _local(source)
    if path is None:
        name, splits = source, readers.hub_splits(source)
    else:
        name = display_source(str(path))
        splits = readers.find_splits(path) if path.is_dir() else {readers.split_of(path.name) or "train": [path]}

    def chunks(split: str) -> Iterator[Chunk]:
        if path is None:
            return readers.read_hub(source, split, splits[split], wanted)
        return (chunk for file in splits[split] for chunk in readers.read_file(file, wanted))

    return name, splits, chunks


def _load(source, wanted: Wanted, texts, reader: cleaning.Labels, split_names=None, *, nli: bool = False,
          stsb: bool = False) -> TaskData:
    """Find the source's splits, choose among them, and read them. stsb: whether GLUE's layout of scores is known."""
    try:
        return _load_as(source, wanted, texts, reader, split_names, nli)
    except cleaning.ScoreError:
        if stsb and texts == _STSB:
            with contextlib.suppress(DataError):
                return _load_as(source, wanted, texts, cleaning.ScoreReader(_STSB_MOST), split_names, nli)
        raise


def _load_as(source, wanted: Wanted, texts, reader: cleaning.Labels, split_names, nli: bool) -> TaskData:
    """The same with this reader of the labels."""
    source = str(source)
    name, splits, chunks = _splits_of(source, wanted)
    if isinstance(reader, sequences.TagReader) and (path := _local(source)) and path.is_dir():
        reader.classes = readers.classes_on_card(path, wanted.roles["label"])
    chosen = _nli_splits(splits) if nli else _task_splits(splits, split_names, source)
    left_out = [] if split_names else [split for split in splits if split not in chosen.values()]
    return _assemble(name, {new: chunks(split) for new, split in chosen.items()}, texts, reader, nli=nli,
                     left_out=left_out)


def _local(source: str) -> Path | None:
    """The path a source stands for, None for a hub id. DataError if it can be neither."""
    paths = [Path(source).expanduser().resolve()]  # as it is meant in a shell
    with contextlib.suppress(SettingsError):  # no book around
        paths.insert(0, resolve_path(source))
    if path := next((path for path in paths if path.exists()), None):
        return path
    looks_local = source.startswith((".", "~")) or Path(source).suffix.lower() in readers.READERS
    if not looks_local and re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source):
        return None
    looked = " and ".join(map(str, dict.fromkeys(paths)))
    raise DataError(f"{source}: no such file or folder (looked at {looked}). Pass 'embedded', a hub id such as "
                    "nyu-mll/multi_nli, or a path; relative paths start at the book's root or the working directory")


_NLI_SPLITS = {"train": ("train",),
               "validation_matched": ("validation_matched", "dev_matched", "validation", "dev", "test"),
               "validation_mismatched": ("validation_mismatched", "dev_mismatched")}


def _nli_splits(splits) -> dict[str, str]:
    """{name wanted: the source's name} for train, validation_matched, validation_mismatched, as far as they exist."""
    chosen = {new: next((name for name in names if name in splits), None) for new, names in _NLI_SPLITS.items()}
    if not any(chosen.values()):
        raise DataError(f"there is no train, validation or test split, only {', '.join(splits)}. Add a file named "
                        "train.*")
    return {new: name for new, name in chosen.items() if name}


def _task_splits(splits, split_names, source: str) -> dict[str, str]:
    chosen = dict(split_names) if split_names else {name: name for name in splits}
    for name in chosen.values():
        if name not in splits:
            raise DataError(f"{source}: no split {name!r}; there are {', '.join(splits)}")
    return dict(sorted(chosen.items(), key=lambda item: (item[0] != "train", item[0])))


def _assemble(name: str, sources: dict[str, Iterator[Chunk]], texts, reader: cleaning.Labels, *, nli: bool,
              left_out=()) -> TaskData:
    """Read every split, then what needs them together: class names, duplicates, shared premises.

    Duplicates of evaluation splits: `nli` drops them, since the committed records stand on that; else they stay.
    """
    extras = ("genre",) if nli and reader.kind not in sequences.LAYOUTS else ()
    splits, counts = {}, {}
    for split, chunks in sources.items():
        splits[split], counts[split] = _read_split(chunks, texts, reader, extras, split, name)
    labels = reader.finish(splits, name)
    for split, frame in splits.items():
        unique, repeated = cleaning.drop_duplicates(
            frame := frame.astype({"label": _DTYPES.get(reader.kind, "object")}), texts)
        kept = not nli and split != "train"
        splits[split] = frame if kept else unique
        counts[split] |= {f"{reason}, kept": n for reason, n in repeated.items() if n} if kept else repeated
    evaluation = [s for s in splits if s != "train"]
    if "train" in splits:
        splits["train"], shared = cleaning.drop_shared(splits["train"], [splits[s] for s in evaluation], texts[0])
        counts["train"][cleaning.REASONS[-1]] = shared
    for split in evaluation:  # a test set whose labels are kept secret
        if not len(splits[split]):
            del splits[split]
    if nli and "train" in splits and "validation_matched" not in splits:
        _carve(splits, counts, texts[0])
    if not splits or not all(len(frame) for frame in splits.values()):
        summary = "; ".join(f"{split}: " + ", ".join(f"{n} {reason}" for reason, n in by_reason.items() if n)
                            for split, by_reason in counts.items())
        raise DataError(f"{name}: no usable row is left in train after cleaning ({summary}). Check the label and text "
                        "columns")
    for split, frame in splits.items():
        counts[split]["kept"] = len(frame)
    counts |= {split: {"not read: load_nli has no use for this split": 0} for split in left_out}
    rows = [(split, reason, n) for split, by_reason in counts.items() for reason, n in by_reason.items()]
    report = pd.DataFrame(rows, columns=["split", "reason", "rows"])
    return TaskData(name, splits, tuple(texts), labels, report, cleaning.fingerprint(splits, texts),
                    reader.kind)


def _read_split(chunks, texts, reader, extras, split: str, name: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """One split's kept rows and its counts so far. Each chunk becomes a compact frame at once."""
    frames, counts = [], {"read": 0, **dict.fromkeys(cleaning.REASONS[:2], 0)}
    for chunk in chunks:
        reader.classes = tuple(dict.fromkeys((*reader.classes, *chunk.classes)))
        chunk = reader.prepare(chunk)
        kept, drops = cleaning.clean_chunk(chunk, texts, reader, counts["read"], extras)
        frames.append(pd.DataFrame(kept).astype(dict.fromkeys((*texts, *extras), "str")))
        counts["read"] += len(chunk.rows)
        if chunk.note:
            counts[chunk.note] = counts.get(chunk.note, 0) + len(chunk.rows)
        for reason, n in drops.items():
            counts[reason] += n
    if not counts["read"]:
        raise DataError(f"{name}: split {split!r} has no rows (the file holds a header at most). Download or export it "
                        "again")
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*texts, "label", *extras, "idx"]].astype({"idx": "int64"}), counts


def _carve(splits: dict[str, pd.DataFrame], counts: dict[str, dict[str, int]], text: str) -> None:
    """Give a tenth of the training premises to validation_matched, and say so in the counts."""
    train = splits["train"]
    group = cleaning.premise_groups(train, text)
    order = np.random.default_rng(0).permutation(group.max() + 1 if len(group) else 0)
    taken = order[group] < max(1, len(order) // 10) if len(order) > 1 else np.zeros(len(train), bool)
    if not taken.any():
        return
    splits["train"] = train[~taken].reset_index(drop=True)
    splits["validation_matched"] = train[taken].reset_index(drop=True)
    counts["train"][f"{CARVED} (the source has no validation split)"] = int(taken.sum())
    counts["validation_matched"] = {"read": int(taken.sum())}
