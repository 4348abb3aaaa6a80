"""Splits that keep results honest: by premise, with a development slice of their own.

1. No premise stands in two splits.
2. Whatever is chosen is chosen on a development slice of the training data: half of it, "reward", gives learning
   signals, the other half, "acceptance", accepts or rejects. The official sets are read once, at the end.
3. The slice and the evaluation rows are the same for every seed, so that runs can be compared example by example and
   no teacher has seen the slice of another seed. The seed decides which training pairs a smaller run takes.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from seo_core.data.cleaning import premise_groups
from seo_core.data.loading import CARVED, NLI_LABELS, TaskData, load_data
from seo_core.data.readers import DataError
from seo_core.data.sequences import LAYOUTS
from seo_core.settings import RunSettings


class RatioError(DataError):
    """Rows that do not hold the classes in the ratio asked for."""


def development(task: TaskData, rows: int) -> TaskData:
    """`task` with `rows` training pairs moved to the splits "reward" and "acceptance", half each. Premises move whole,
    so a half can be a few pairs over. Raises DataError if less than half of train would be left."""
    if "train" not in task.splits:
        raise DataError(f"{task.name}: there is no train split, only {', '.join(task.splits)}. Add a file named "
                        "train.*, or evaluate a network on it with load_nli or load_task")
    train = task.splits["train"]
    if not 2 <= rows <= len(train) // 2:
        raise DataError(f"{task.name}: a development slice of {rows} pairs needs at least {2 * max(rows, 1)} training "
                        f"pairs, and there are {len(train)}. Lower development_rows, or use more data")
    group = premise_groups(train, task.texts[0])
    order = np.random.default_rng([0, 31]).permutation(group.max() + 1)
    sizes = np.bincount(group)[order]
    before = np.cumsum(sizes) - sizes  # pairs taken before this premise
    reward = before < rows // 2
    kind = np.zeros(len(order), int)  # of a premise: 0 train, 1 reward, 2 acceptance
    kind[order] = np.where(reward, 1, 2 * (before - sizes[reward].sum() < rows - rows // 2))
    parts = {name: train[kind[group] == k].reset_index(drop=True)
             for k, name in enumerate(("train", "reward", "acceptance"))}
    return replace(task, splits={**parts, **{s: task.splits[s] for s in task.evaluation}})


def subsample(task: TaskData, train_rows: int | None = None, evaluation_rows: int | None = None, seed: int = 0
              ) -> TaskData:
    """`task` with at most so many rows in train (drawn by `seed`) and in each evaluation split (fixed), in their order;
    None keeps all. Draws are nested: the first 8 000 of a seed are among its first 16 000. Raises DataError for a
    number below 1."""
    for name, rows in (("train_rows", train_rows), ("evaluation_rows", evaluation_rows)):
        if rows is not None and rows < 1:
            raise DataError(f"{name} must be 1 or more, or None for all rows; got {rows}")
    splits = dict(task.splits)
    if train_rows is not None and "train" in splits:
        splits["train"] = _take(splits["train"], train_rows, seed)
    if evaluation_rows is not None:
        splits |= {s: _take(splits[s], evaluation_rows, 0) for s in task.evaluation}
    return replace(task, splits=splits)


def _take(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    if rows >= len(frame):
        return frame
    chosen = np.sort(np.random.default_rng([seed, 47]).permutation(len(frame))[:rows])
    return frame.iloc[chosen].reset_index(drop=True)


def imbalance(frame: pd.DataFrame, ratio=(8, 1, 1), rows: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Rows of `frame` whose classes 0, 1, … stand in `ratio`: `rows` of them, or as many as there can be. Class sizes
    are within one row of the ratio. Draws are nested by class, and rows keep their order. Raises DataError for a ratio
    that does not name every class once, RatioError where a class has too few rows."""
    label = frame["label"].to_numpy(np.int64)
    share = np.asarray(ratio, float)
    if share.ndim != 1 or not (share > 0).all() or len(label) == 0 or label.max() + 1 != len(share):
        raise DataError(f"ratio {tuple(ratio)} must have one number above 0 for each class, and the rows have "
                        f"{int(label.max()) + 1 if len(label) else 0} classes")
    share = share / share.sum()
    have = np.bincount(label, minlength=len(share))
    if rows is None:
        rows = int((have / share).min() + 1e-9)
    want = largest_remainder(share, rows)
    short = np.flatnonzero((want > have) | (want == 0))
    if rows < 1 or len(short):
        lacking = "; ".join(f"class {c} has {have[c]} rows and {want[c]} are wanted" for c in short)
        raise RatioError(f"{rows} rows in the ratio {':'.join(map(str, ratio))} cannot be drawn: {lacking}. Ask for "
                         "other rows or another ratio, or use more data")
    chosen = [np.random.default_rng([seed, 83, c]).permutation(np.flatnonzero(label == c))[: want[c]]
              for c in range(len(share))]
    return frame.iloc[np.sort(np.concatenate(chosen))].reset_index(drop=True)


def largest_remainder(share: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers (A,) that add up to `total` and lie within 1 of share (A,) · total, for shares that add up to 1."""
    exact = np.asarray(share) * total
    whole = np.floor(exact + 1e-9).astype(int)
    order = np.argsort(whole - exact, kind="stable")  # largest remainder first
    whole[order[: total - whole.sum()]] += 1
    return whole


def prepare(settings: RunSettings, *, say: Callable[[str], object] = print, scores: bool = False,
            kind: str | None = None) -> TaskData:
    """The one call of a chapter: load_data(settings.data), development slice, subsample. Raises DataError. The embedded
    data is generated at 20 000 pairs (more where the settings ask for more) with seed 0, whatever the settings' seed:
    seeds vary runs, not the data set.

    In a small set the profile's development slice is at most a fifth of the training rows; a number of your own is
    taken as it is. say: gets one line where that, or a missing validation split, changes what the profile
    says, and one on what pages written for NLI say in vain of this set. scores, kind: as `load_data` has them."""
    rows = max(20_000, (settings.train_rows or 0) + settings.development_rows)
    task = load_data(settings.data, text=settings.text, labels=settings.labels, rows=rows,
                     scores=scores, kind=kind)
    size = settings.development_rows
    if settings.is_default("development_rows") and "train" in task.splits:
        size = min(size, max(2, len(task["train"]) // 5))
    whole, task = task, development(task, size)
    if changes := _changes(whole, task, settings, size):
        say(f"{task.name} has {len(whole['train'])} training rows: {', '.join(changes)}")
    if remarks := _remarks(task):
        say(f"{task.name}: {'; '.join(remarks)}")
    return subsample(task, settings.train_rows, settings.evaluation_rows, settings.seed)


def _changes(whole: TaskData, task: TaskData, settings: RunSettings, size: int) -> list[str]:
    """What a set is too small for, in words: the number that the settings have, and what there is instead."""
    left, carved = len(task["train"]), whole.report["reason"].str.startswith(CARVED)
    shrunk = [f"development_rows {settings.development_rows} → {size}"] if size < settings.development_rows else []
    few = [f"train_rows {settings.train_rows} → {left}"] if left < (settings.train_rows or 0) else []
    return [*shrunk, *few, *(f"{rows} more are {reason}" for reason, rows in
                             whole.report.loc[carved, ["reason", "rows"]].itertuples(index=False))]


def _remarks(task: TaskData) -> list[str]:
    """What has no meaning for a set, of all that a chapter says of NLI with its two sets."""
    if task.kind in LAYOUTS:
        return []
    remarks = ["there is one set to measure on, which tables call matched"] if len(task.evaluation) == 1 else []
    if task.labels != NLI_LABELS:
        has = ("its labels are scores" if task.kind == "regression" else
               f"its classes are {', '.join(task.labels[:8])}{', …' * (len(task.labels) > 8)}")
        remarks.append(f"{has}, so what is said of NLI's three, of genres, and of edits that keep an entailment has no "
                       "meaning here, and a source task lends its encoder, not its classifier")
    return remarks
