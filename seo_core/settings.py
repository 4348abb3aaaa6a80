"""Run settings: the four profiles as data, one frozen dataclass, paths.

    settings = load_settings("quick", seed=1)
    settings = load_settings("cpu", data="path/to/mnli", epochs=1)

A profile is data, not code: a name and the values that differ from the field defaults of `RunSettings`.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from seo_core.checks import SettingsError, above, at_least, check, check_known, share

DEFAULT = "default"  # parameter value meaning "what the profile says"
NAMES = ("labels", "text")  # settings that are names, written with commas between them
PLACES = ("data", "model", "source", "unlabelled")  # settings that are a file, a folder or a hub id
KNOBS = (*NAMES, "epochs", "train_rows", "development_rows")  # what `-p` changes beside a chapter's own parameters
PAIRS_SEEN = (6000, 128)  # pairs that a run with few labels sees at least, repeats counted; and under `quick`


@dataclass(frozen=True)
class RunSettings:
    """Everything a chapter needs to know about how large a run is. The defaults are those of the `cpu` profile:
    fine-tuning MiniLM-L6 (22.7 M parameters) on all pairs at hand."""

    profile: str = "cpu"
    seed: int = at_least(0, default=0)  # seeds weights, order, dropout and subsampling
    data: str = "nyu-mll/multi_nli"  # embedded | hub id | local file or folder
    model: str = "bundled"  # bundled | hub id | local folder
    source: str = "stanfordnlp/snli"  # the source task D_s of transfer learning: embedded | hub id | local folder
    unlabelled: str | None = None  # texts of the task without labels, for teachers and students: a file, folder, hub id
    results_dir: str = "_build/results"  # relative paths start at the book's root
    layers: int | None = at_least(1, default=None)  # keep the first n encoder layers; None keeps all
    train_rows: int | None = at_least(1, default=None)  # None: all that are left after the development slice
    development_rows: int = at_least(1, default=4000)  # below this one point of accuracy is one standard error
    evaluation_rows: int | None = at_least(1, default=None)  # per official validation set; None: all of it
    epochs: int = at_least(1, default=3)  # development accuracy still rose in the third; five did no better
    batch_size: int = at_least(1, default=32)  # the papers' batch
    learning_rate: float = above(0, default=1e-4)  # small encoders want more than BERT-base's 2e-5
    max_length: int = at_least(1, default=128)  # the usual length for MNLI; longer pairs are truncated
    warmup_fraction: float = share(default=0.06)  # as in RoBERTa's fine-tuning recipe
    weight_decay: float = at_least(0, default=0.01)  # BERT's value; not on biases and LayerNorm
    freeze_embeddings: bool = True  # word table: half the weights; faster, and trained it was no better
    # of data that is not NLI: names of its classes, in the order of their numbers, and its one or two columns of text
    labels: tuple[str, ...] | None = None
    text: tuple[str, ...] | None = None

    def asdict(self) -> dict:
        """The settings as a plain dict (what goes into a record). What came later is left out where it is not given:
        names of records and folders hang on what is in here."""
        return {name: value for name, value in asdict(self).items()
                if value is not None or name not in (*NAMES, "unlabelled")}

    def labelled(self, labels: int) -> RunSettings:
        """The setting for curves over the number of labels: so many pairs, and enough epochs to learn from them. Two
        epochs, or as many as make `PAIRS_SEEN` pairs in all where labels are few, or those asked for where they are not
        the profile's; at most 4 000 pairs of each official set, one fixed draw: over many runs the seeds vary more than
        such a sample does."""
        epochs = max(2, -(-PAIRS_SEEN[self.profile == "quick"] // labels)) if self.is_default("epochs") else self.epochs
        return replace(self, train_rows=labels, epochs=epochs, evaluation_rows=self.study_evaluation_rows)

    def is_default(self, name: str) -> bool:
        """Whether a setting is the profile's own."""
        return getattr(self, name) == PROFILES[self.profile].get(name, getattr(RunSettings, name))

    @property
    def study_evaluation_rows(self) -> int:
        """Pairs of each official set that `labelled` runs are measured on."""
        most = 64 if self.profile == "quick" else 4000
        return min(self.evaluation_rows or most, most)


PROFILES: dict[str, dict] = {
    # Seconds per chapter on two cores: for newcomers, nbval and CI. Small batches and a high rate, since
    # 1 536 pairs leave few steps to learn in. All six layers: with two, one seed of three stayed at
    # chance after five epochs. A fifth of the steps for warm-up: at 2e-4 after 6% one seed stayed near chance
    # on one processor and not on another; like this three seeds reached 53% to 64% with one thread and with two.
    "quick": dict(data="embedded", source="embedded", train_rows=1536, development_rows=384, evaluation_rows=384,
                  epochs=2, batch_size=16, learning_rate=1.5e-4, warmup_fraction=0.2, max_length=64),
    # Minutes per run on two cores: the reference results.
    "cpu": dict(),
    # One GPU with bf16: the real scale.
    "gpu": dict(model="google-bert/bert-base-uncased", learning_rate=3e-5, epochs=3, freeze_embeddings=False,
                development_rows=8000),
    # The papers' own protocol: AdamW, 2e-5, batch 32, 20 epochs.
    "paper": dict(model="google-bert/bert-base-uncased", learning_rate=2e-5, epochs=20, freeze_embeddings=False,
                  development_rows=8000),
}


def load_settings(profile: str = "quick", **overrides) -> RunSettings:
    """The profile's settings with `overrides`; the value "default" keeps the profile's. Raises SettingsError for an
    unknown profile or key, with the nearest, a value of the wrong type or out of range."""
    check_known("profile", profile, PROFILES)
    known = {f.name for f in fields(RunSettings)}
    for key in overrides:
        check_known("setting", key, known)
    chosen = {k: v for k, v in overrides.items() if not (isinstance(v, str) and v == DEFAULT)}
    chosen |= {key: _names(key, chosen[key]) for key in NAMES if chosen.get(key) is not None}
    settings = RunSettings(profile, **PROFILES[profile] | chosen)
    check(settings, SettingsError, prefix="setting ")
    return settings


def _names(key: str, given) -> tuple[str, ...]:
    """Names with commas between them, or a list of names, as a tuple. Raises SettingsError for too few, too many, or
    one that stands there twice."""
    names = tuple(map(str.strip, given.split(","))) if isinstance(given, str) else given
    many = {"labels": (2, math.inf, "two classes or more"), "text": (1, 2, "a text column or two")}
    least, most, words = many[key]
    good = isinstance(names, (list, tuple)) and all(isinstance(name, str) and name for name in names)
    if not (good and least <= len(names) <= most and len({name.casefold() for name in names}) == len(names)):
        raise SettingsError(f"setting {key} must name {words}, each once, with commas between them, got {given!r}")
    return tuple(names)


def book_root() -> Path:
    """The folder of the book: $SEO_BOOK, else the working directory or the nearest folder above it that holds
    `book/manifest.yml`, else the checkout this package lies in. Raises SettingsError if none of them is one."""
    named = os.environ.get("SEO_BOOK")
    candidates = [Path(named)] if named else [Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parent.parent]
    for folder in candidates:
        if (folder / "book" / "manifest.yml").is_file():
            return folder.resolve()
    raise SettingsError(f"no book at {candidates[0]}: it has no book/manifest.yml. "
                        "Run from a clone of the book, or name one with --book PATH or $SEO_BOOK")


def resolve_path(path: str | Path) -> Path:
    """An absolute path; a relative one starts at the book's root, whatever the working directory."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else (book_root() / path).resolve()


def display_source(source: str) -> str:
    """How a data or model source is written in records and pages: no machine path, just its name."""
    looks_local = source.startswith((".", "/", "~")) or Path(source).is_absolute() or "\\" in source
    return f"path/to/{Path(source).name}" if looks_local else source
