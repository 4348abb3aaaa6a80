"""The paper's one number for GLUE beside ours, task by task.

    Table(glue_table(results.load(reference / "02_baseline", reference / "20_tkd_nlp")))

A record belongs to the task whose folder or hub configuration its data is named after. A cell holds a task's metrics as
GLUE reports them, times 100, each the mean over seeds: "84.1 / 78.0"; "65.0 (dev.)" is on development rows, of an arm
that is sealed from the task's official set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from seo_core.analysis import NOT_RUN, papers, statistics
from seo_core.analysis.contrasts import DEVELOPMENT, differences, one_setting
from seo_core.tkd.glue import TASKS

ROWS = {"base": "fine-tuned MiniLM, the teacher", "tkd-kd": "TKD-NLP here, four stages",
        "tkd-no-kd": "the same without a teacher", "tkd-no-pretraining": "without stage 1",
        "tkd-scratch": "with neither", "tkd-no-residual": "with neither, and no residual connections",
        "tkd-distilbert": "student as DistilBERT's", "tkd-tinybert": "student as TinyBERT's"}
MEAN = "all nine"
STANDARD = "tkd-kd"  # whose training rows and set of evaluation a task's column keeps to
_SPLITS = "matched", "development"
_MARK, _ON_DEVELOPMENT = " (dev.)", " on development rows"


class Scored(NamedTuple):
    """A configuration on a task: its metrics in percent, each the mean over seeds; how many seeds; the training rows;
    and whether they are on development rows."""

    values: list[float]
    seeds: int
    rows: int
    development: bool


def task_of(data_name: str) -> str | None:
    """The task of GLUE that a record's data is named after, or None."""
    name = data_name.replace("\\", "/").rpartition("/")[2].rpartition(":")[2].lower().replace("-", "")
    return name if name in TASKS else "mnli" if name == "multi_nli" else None


def of_task(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of `results.load` or `results.load_series` whose data is the task `name` of `TASKS`: pages about MNLI
    keep to its records with it, since a `base` of every task is the teacher of another chapter."""
    return frame[frame["data_name"].map(task_of) == name]


def without_other_tasks(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `results.load` that may speak of MNLI: without those of GLUE's other tasks."""
    return frame[frame["data_name"].map(task_of).isin(["mnli", None])] if "data_name" in frame else frame


def scores(frame: pd.DataFrame, configuration: str) -> dict[str, Scored]:
    """Task -> what has records. Where `STANDARD` has some on a task, only those of as many training rows count; where
    these are on development rows alone, so are the others', if they have such."""
    found = {}
    for name, task in TASKS.items():
        rows = of_task(frame, name)
        standard = _scored(rows[rows["configuration"] == STANDARD], task.metrics, _SPLITS)
        if standard:
            rows = rows[rows["train_rows"] == standard.rows]
        splits = _SPLITS[::-1] if standard and standard.development else _SPLITS
        if scored := _scored(rows[rows["configuration"] == configuration], task.metrics, splits):
            found[name] = scored
    return found


def _scored(rows: pd.DataFrame, metrics: Sequence[str], splits: Sequence[str]) -> Scored | None:
    """The setting of `one_setting` on the first of the splits on which all its records have the metrics."""
    for split in splits:
        columns = [f"{metric}_{split}" for metric in metrics]
        if set(columns) <= set(rows) and len(known := one_setting(rows.dropna(subset=columns))):
            return Scored([100 * float(known[column].mean()) for column in columns], known["seed"].nunique(),
                          int(known["train_rows"].max()), split != _SPLITS[0])
    return None


def by_name(frame: pd.DataFrame, configuration: str, column: str) -> dict[str, float]:
    """A task's title -> the mean over seeds of a column, of the tasks that have it."""
    rows = frame[frame["configuration"] == configuration]
    rows = rows.dropna(subset=[column]) if column in rows else rows.iloc[:0]
    means = {task.title: one_setting(of_task(rows, name)).get(column) for name, task in TASKS.items()}
    return {title: float(values.mean()) for title, values in means.items() if values is not None and len(values)}


def glue_table(frame: pd.DataFrame, rows: Mapping[str, str] = ROWS) -> pd.DataFrame:
    """A row for the paper, for each configuration of `rows`, for published students (as printed: one number a task, and
    their own mean) and for the majority class; a column for each task, one for GLUE's own mean where all nine have been
    run, and one for seeds. frame: of `results.load`."""
    ours = []
    for configuration, words in rows.items():
        cells = scores(frame, configuration)
        seeds = sorted({cell.seeds for cell in cells.values()}) or [0]
        means = [sum(cell.values) / len(cell.values) for cell in cells.values()]
        marks = {name: _MARK * cell.development for name, cell in cells.items()}
        ours.append([f"{words} ({configuration})",
                     *(_cell(cells[name].values) + marks[name] if name in cells else NOT_RUN for name in TASKS),
                     f"{sum(means) / len(TASKS):.1f}{max(marks.values())}" if len(means) == len(TASKS) else NOT_RUN,
                     "–".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))])
    paper = papers.TKD_SETTING
    said = ["TKD-NLP, the paper", *["—"] * len(TASKS), f"accuracy {paper['accuracy']}, F1 {paper['f1']}", "—"]
    others = [[f"{each.system}, published: {each.sets}", *(each.scores.get(name, "—") for name in TASKS), each.mean,
               "—"] for each in papers.PUBLISHED_GLUE]
    least = ["the majority class", *(_cell(task.majority) for task in TASKS.values()), "—", "—"]
    titles = [f"{task.title}, {_metrics(task.metrics)}" for task in TASKS.values()]
    return pd.DataFrame([said, *ours, *others, least], columns=["system", *titles, MEAN, "seeds"])


def by_task(frame: pd.DataFrame, *pairs: tuple[str, str]) -> pd.DataFrame:
    """Differences arm − control of each pair in points of the metric that counts first, a row for each task that has
    both: of `contrasts.differences`, with the task in the contrast's name. Without records: no rows."""
    tables = []
    for arm, control in pairs:
        for name, task in TASKS.items():
            found = differences(of_task(frame, name), [(arm, control)], [f"{task.metrics[0]}_matched"], labels=None)
            where = _ON_DEVELOPMENT * (DEVELOPMENT in set(found["metric"]))
            title = f"{task.title}, {_metrics(task.metrics[:1])}{where}"
            tables.append(found.assign(contrast=f"{title} − {control}", metric="the task's own metric"))
    rows = [table for table in tables if len(table)]
    return pd.concat(rows, ignore_index=True) if rows else tables[0]


def told(frame: pd.DataFrame, arm: str, control: str) -> str:
    """On which tasks the intervals of `by_task` say that arm is better than control, on which worse, for a sentence:
    "better on SST-2 and QQP, not told apart on RTE (one seed)"; "not run" without records. Where neither has more than
    the majority class, it says that."""
    titles: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
    table = by_task(frame, (arm, control))
    alone = table["seeds"] == 1
    cells = scores(frame, arm), scores(frame, control)
    lost = {TASKS[name].title for name in TASKS if all(name in of and _guesses(name, of[name]) for of in cells)}
    for row in table.itertuples():
        remarks = ["development rows"] * (_ON_DEVELOPMENT in row.contrast)
        remarks += ["one seed"] * (row.seeds == 1 and not alone.all())
        title = row.contrast.partition(",")[0]
        remarks += ["neither above the majority class"] * (title in lost)
        title += f" ({', '.join(remarks)})" * bool(remarks)
        titles[statistics.side(row.low, row.high, *titles)].append(title)
    parts = [f"{word} on {', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]}"
             for word, names in titles.items() if names]
    return ", ".join(parts) + " (one seed)" * bool(len(table) and alone.all()) or NOT_RUN


def no_better_than_majority(frame: pd.DataFrame, configuration: str) -> str:
    """The tasks on which a configuration has no more than the majority class, by the metric that counts first, for a
    sentence: "CoLA and WNLI", "none of them"; "not run" without records."""
    reached = scores(frame, configuration)
    titles = [TASKS[name].title + _MARK * cell.development for name, cell in reached.items()
              if _guesses(name, cell)]
    if not reached:
        return NOT_RUN
    return " and ".join(filter(None, (", ".join(titles[:-1]), *titles[-1:]))) or "none of them"


def collapse(frame: pd.DataFrame, shares: Mapping[str, int]) -> str:
    """From which share on a task is answered no better than by the majority class, for a sentence: "SST-2 from 80% on,
    RTE not up to 90%"; "not run" without records. shares: configuration -> how many percent were removed."""
    found: dict[str, list[tuple[int, bool]]] = {name: [] for name in TASKS}
    for configuration, percent in shares.items():
        for name, cell in scores(frame, configuration).items():
            found[name].append((percent, _guesses(name, cell)))
    parts = []
    for name, points in found.items():
        percents, lost = zip(*sorted(points), strict=True) if points else ((), ())
        still = max((i + 1 for i, gone in enumerate(lost) if not gone), default=0)  # the first from which all are lost
        if points:
            end = f"not up to {percents[-1]}%" if still == len(points) else f"from {percents[still]}% on"
            parts.append(f"{TASKS[name].title} {end}")
    return ", ".join(parts) or NOT_RUN


def _guesses(name: str, cell: Scored) -> bool:
    """Whether a task's score, by the metric that counts first, is no more than the majority class has."""
    return cell.values[0] <= TASKS[name].majority[0]


def _cell(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _metrics(names: Sequence[str]) -> str:
    short = {"f1": "F1", "accuracy": "acc.", "matthews": "Matthews", "pearson": "Pearson", "spearman": "Spearman"}
    return " / ".join(short[name] for name in names)
