"""Texts beside the labelled pairs that several chapters read: the source task's, edited ones, teachers' logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import augmentation
from seo_core.data import NLI_TEXTS, Encoded, load_data, load_texts
from seo_core.data.cleaning import drop_shared
from seo_core.data.encoding import concatenate
from seo_core.lab import Lab, LabError
from seo_core.lab.source import texts_of_source
from seo_core.settings import RunSettings, display_source, resolve_path

OPERATORS = ("synonym", "neighbour", "eda", "aeda", "back_translation")
STRENGTH = 0.1  # share of the words that may be edited; the lower of ADA's two
EMBEDDED = (4096, 512)  # sentences of the generator as source texts, and how many of them are read


def source_texts(lab: Lab) -> pd.DataFrame:
    """The source task's training pairs without labels; none whose premise is in an evaluation split. A line says where
    there are none that the task could read."""
    frame = texts_of_source(lab.settings, EMBEDDED[0], lab.task.texts)
    if frame.empty:
        lab.report(f"no text of the source task is read: it has single texts, and {lab.task.name} has pairs")
    frame = frame[: EMBEDDED[1] if lab.settings.source == "embedded" else None]
    return _apart(lab, frame)


def domain_texts(lab: Lab) -> pd.DataFrame:
    """The texts that `settings.unlabelled` names, in the task's columns; none whose first text is in a set that is
    measured or decided on. Raises LabError where the settings name none, DataError."""
    frame = load_texts(_unlabelled(lab), text=lab.settings.text or NLI_TEXTS)  # named as the data's own are
    return _apart(lab, frame.set_axis(list(lab.task.texts), axis=1))


def further_texts(lab: Lab) -> pd.DataFrame:
    """`domain_texts` beside the pool, for a model that labels texts by itself; none where the settings name none."""
    return domain_texts(lab) if lab.settings.unlabelled else pd.DataFrame(columns=list(lab.task.texts))


def whose_texts(lab: Lab) -> dict:
    """For the record of a run that reads `further_texts`: whose they are; nothing where none are named."""
    return {"further_texts": display_source(lab.settings.unlabelled)} if lab.settings.unlabelled else {}


def domain_pairs(lab: Lab) -> pd.DataFrame:
    """The same with their labels, for what these are worth: as many pairs as the pool has, none of which is in it.
    Raises LabError, also where the labels are not those of the task, DataError."""
    task = load_data(_unlabelled(lab), text=lab.settings.text, labels=lab.settings.labels)
    if task.labels != lab.task.labels:
        raise LabError(f"{task.name} has the classes {', '.join(task.labels)}, and {lab.task.name} has "
                       f"{', '.join(lab.task.labels)}: name a set of the same task with --unlabelled")
    columns = [*lab.task.texts, "label"]
    frame = pd.concat(task.splits.values())[columns].drop_duplicates(list(lab.task.texts))
    known = pd.MultiIndex.from_frame(lab.pool[list(lab.task.texts)])
    new = frame[~pd.MultiIndex.from_frame(frame[list(lab.task.texts)]).isin(known)]
    return _apart(lab, new, columns)[: len(lab.pool)]


def _unlabelled(lab: Lab) -> str:
    """What `settings.unlabelled` names. Raises LabError where the settings name nothing."""
    if not lab.settings.unlabelled:
        raise LabError(f"{lab.current.name if lab.current else 'this'} reads further texts of the task: say which with "
                       "--unlabelled PATH, or -p unlabelled=PATH in a chapter")
    return lab.settings.unlabelled


def _apart(lab: Lab, frame: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The rows that share no first text with the official sets or the development slice; default, their texts."""
    held = [lab.task[split] for split in (*lab.official, "reward", "acceptance")]
    kept = drop_shared(frame, held, lab.task.texts[0])[0]
    return kept[list(columns or lab.task.texts)].reset_index(drop=True)


def unlabelled(lab: Lab, recipe) -> pd.DataFrame:
    """The texts that a recipe adds to the labelled pairs: without labels, empty where it adds none."""
    parts = [pd.DataFrame(columns=list(lab.task.texts))]
    if recipe.source_text:
        parts.append(source_texts(lab))
    if recipe.domain_text:
        parts.append(domain_texts(lab))
    if recipe.augmented:
        parts.append(edited_texts(lab, recipe.augmented))
    return pd.concat(parts, ignore_index=True)


def reading(lab: Lab, texts: pd.DataFrame) -> Encoded:
    """What is trained on: the labelled pairs, then `texts`, labels −1."""
    pairs = lab.encoded("train")
    return concatenate(pairs, lab.encode(texts)) if len(texts) else pairs


def sample(lab: Lab, split: str, rows: int, stream: int) -> Encoded:
    """Some pairs of a split, drawn by the seed: for scores and ranges."""
    pairs = lab.encoded(split)
    return pairs.take(np.random.default_rng([lab.settings.seed, stream]).permutation(len(pairs))[:rows])


def edited_texts(lab: Lab, share: float) -> pd.DataFrame:
    """Edited training pairs without labels, `share` times as many as there are; the teacher says what they are."""
    return edited(lab, lab.pool, round(share * len(lab.pool)), OPERATORS)[list(lab.task.texts)]


def edited(lab: Lab, frame: pd.DataFrame, budget: int, operators: Sequence[str]) -> pd.DataFrame:
    """`budget` edited rows of `frame`, equal shares of the operators that can run here and find something to edit; no
    filter, no feedback. Raises LabError where none can or does."""
    lacking = {name: augmentation.OPERATORS[name].available() for name in operators}
    usable, parts = [name for name in operators if lacking[name] is None], []
    if not usable:
        raise LabError(" ".join(f"{name} cannot be used here. {why}" for name, why in lacking.items()))
    made = [augmentation.augment(frame, name, strength=STRENGTH, seed=lab.settings.seed, texts=lab.task.texts)
            for name in usable]
    made = [copies for copies in made if len(copies)]
    if not made:
        raise LabError(f"{', '.join(usable)} found nothing to edit in these texts: leave augmentation out")
    for number, copies in enumerate(made):
        share = budget // len(made) + (number < budget % len(made))
        order = np.random.default_rng([lab.settings.seed, 71, number]).permutation(len(copies))
        parts.append(copies.iloc[np.resize(order, share)])
    return pd.concat(parts, ignore_index=True)


def absent(operators: Sequence[str]) -> dict:
    """For a record's parameters: which of these operators were not there; nothing where all were. So a record made
    without one does not stand for the run with it, once its resource is installed."""
    missing = [name for name in operators if augmentation.OPERATORS[name].available() is not None]
    return {"operators_absent": missing} if missing else {}


def cache_folder(settings: RunSettings) -> Path:
    """Where the teachers' logits lie: hidden, beside the records."""
    return resolve_path(settings.results_dir) / settings.profile / ".teacher"
