"""The source task D_s: its data, and the network that was trained on it, from which transfer starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from seo_core.data import NLI_LABELS, NLI_TEXTS, DataError, Encoded, TaskData, encode, load_data, load_nli
from seo_core.files import digest, lock
from seo_core.models import load_backbone, load_tokenizer, save
from seo_core.settings import RunSettings, resolve_path

SOURCE_EPOCHS = 2  # of the source task
QUICK_PAIRS = (1024, 128)  # generated pairs, and how many of them are trained on
QUICK_DEPTH = 3  # under `quick` so many layers below the head learn, which saves a third of the time


def source_task(settings: RunSettings, rows: int) -> TaskData:
    """The source task: NLI pairs, or else what is read as `data` is, with classes of its own; "embedded" is the
    generator with other sentences, `rows` of them. Raises DataError."""
    if settings.source == "embedded":
        return load_nli("embedded", rows=rows, seed=1)
    try:
        return load_nli(settings.source)
    except DataError as error:
        try:
            return load_data(settings.source, text=settings.text or NLI_TEXTS)
        except DataError:
            raise error from None


def texts_of_source(settings: RunSettings, rows: int, texts: Sequence[str]) -> pd.DataFrame:
    """The source task's training texts in the columns of a target. For one that reads single texts both of a pair are
    taken, one by one; for one that reads pairs single texts are of no use, and there are none."""
    task = source_task(settings, rows)
    frame, given = task["train"], task.texts
    if len(given) == len(texts):
        return frame[list(given)].set_axis(list(texts), axis=1)
    if len(texts) == 2:
        return pd.DataFrame(columns=list(texts))
    return pd.concat([frame[name] for name in given]).drop_duplicates().to_frame(texts[0]).reset_index(drop=True)


def source_pairs(settings: RunSettings, tokenizer) -> tuple[TaskData, Encoded]:
    """The source task, and the pairs of it that are trained on."""
    task = source_task(settings, QUICK_PAIRS[0])
    frame = task["train"][: QUICK_PAIRS[1] if settings.source == "embedded" else None]
    return task, encode(frame, tokenizer, texts=task.texts, max_length=settings.max_length)


def source_settings(settings: RunSettings) -> RunSettings:
    """One network for all seeds: what differs between them is the target's labels and their order."""
    return replace(settings, seed=0, epochs=SOURCE_EPOCHS, train_rows=None)


def source_folder(settings: RunSettings) -> Path:
    """Where the network trained on the source task is, or will be."""
    settings = replace(source_settings(settings), data=settings.source)
    identity = {name: value for name, value in settings.asdict().items() if name != "results_dir"}
    return resolve_path(settings.results_dir) / settings.profile / ".source" / digest(identity, length=8)


def source_model(settings: RunSettings) -> Path:
    """The folder of a network trained on the source task (`settings.source`), made on the first call. Where the
    classes of either task are not those of NLI it keeps their names, so that a target of others gets a new head. Raises
    DataError, ModelError."""
    from seo_core.training import TrainingConfig, checkpoint_folder, discard_checkpoint, fit

    folder = source_folder(settings)
    settings = replace(source_settings(settings), data=settings.source)
    with lock(folder.with_suffix(".lock")):  # a second process waits, and then finds it
        if folder.is_dir():
            return folder
        task, train = source_pairs(settings, load_tokenizer(settings.model))
        named = settings.labels or settings.text or task.labels != NLI_LABELS
        model, tokenizer = load_backbone(settings.model, num_labels=len(task.labels), layers=settings.layers, seed=0,
                                         labels=task.labels if named else None)
        checkpoint = checkpoint_folder(settings, "source")
        if settings.profile == "quick":
            freeze_below(model, QUICK_DEPTH)
        fit(model, train, config=TrainingConfig.from_settings(settings),
            checkpoint_dir=None if settings.profile == "quick" else checkpoint)  # it takes as long as ten steps
        save(model, tokenizer, folder)
        discard_checkpoint(checkpoint)
    return folder


def freeze_below(model, depth: int) -> None:
    """Takes all but the `depth` layers below the head out of training."""
    from seo_core.training import layer_depths

    depths = layer_depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(depths[name] <= depth)
