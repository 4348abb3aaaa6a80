"""The paper's one number for GLUE beside ours, task by task.

    Table(glue_table(results.load(reference / "02_baseline", reference / "20_tkd_nlp")))

A record belongs to the task whose folder or hub configuration its data is named after. A cell holds a task's metrics as
GLUE reports them, times 100, each the mean over seeds: "84.1 / 78.0".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from seo_core.analysis import NOT_RUN, papers, statistics
from seo_core.analysis.contrasts import differences, one_setting
from seo_core.tkd.glue import TASKS

ROWS = {"base": "fine-tuned MiniLM, the teacher", "tkd-kd": "TKD-NLP here, four stages",
        "tkd-no-kd": "the same without a teacher", "tkd-distilbert": "student as DistilBERT's",
        "tkd-tinybert": "student as TinyBERT's"}
MEAN = "all nine"


def task_of(data_name: str) -> str | None:
    """The task of GLUE that a record's data is named after, or None."""
    name = data_name.replace("\\", "/").rpartition("/")[2].rpartition(":")[2].lower().replace("-", "")
    return name if name in TASKS else "mnli" if name == "multi_nli" else None


def of_task(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of `results.load` or `results.load_series` whose data is the task `name` of `TASKS`: pages about MNLI
    keep to its records with it, since a `base` of every task is the teacher of another chapter."""
    return frame[frame["data_name"].map(task_of) == name]


def scores(frame: pd.DataFrame, configuration: str) -> dict[str, tuple[list[float], int]]:
    """Task -> (its metrics in percent, each the mean over seeds; how many seeds) of what has records."""
    frame = frame[frame["configuration"] == configuration]
    found = {}
    for name in TASKS:
        rows = one_setting(of_task(frame, name))
        columns = [f"{metric}_matched" for metric in TASKS[name].metrics]
        if len(rows) and set(columns) <= set(rows) and rows[columns].notna().all(axis=None):
            found[name] = [100 * float(rows[column].mean()) for column in columns], rows["seed"].nunique()
    return found


def glue_table(frame: pd.DataFrame, rows: Mapping[str, str] = ROWS) -> pd.DataFrame:
    """A row for the paper, for each configuration of `rows`, for published students (as printed: one number a task, and
    their own mean) and for the majority class; a column for each task, one for GLUE's own mean where all nine have been
    run, and one for seeds. frame: of `results.load`."""
    ours = []
    for configuration, words in rows.items():
        cells = scores(frame, configuration)
        seeds = sorted({n for _, n in cells.values()}) or [0]
        means = [sum(values) / len(values) for values, _ in cells.values()]
        ours.append([f"{words} ({configuration})",
                     *(_cell(cells[name][0]) if name in cells else NOT_RUN for name in TASKS),
                     f"{sum(means) / len(TASKS):.1f}" if len(means) == len(TASKS) else NOT_RUN,
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
            title = f"{task.title}, {_metrics(task.metrics[:1])}"
            tables.append(found.assign(contrast=f"{title} − {control}", metric="the task's own metric"))
    rows = [table for table in tables if len(table)]
    return pd.concat(rows, ignore_index=True) if rows else tables[0]


def told(frame: pd.DataFrame, arm: str, control: str) -> str:
    """On which tasks the intervals of `by_task` say that arm is better than control, on which worse, for a sentence:
    "better on SST-2 and QQP, not told apart on RTE (one seed)"; "not run" without records."""
    titles: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
    table = by_task(frame, (arm, control))
    alone = table["seeds"] == 1
    for row in table.itertuples():
        title = row.contrast.partition(",")[0] + " (one seed)" * (row.seeds == 1 and not alone.all())
        titles[statistics.side(row.low, row.high, *titles)].append(title)
    parts = [f"{word} on {', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]}"
             for word, names in titles.items() if names]
    return ", ".join(parts) + " (one seed)" * bool(len(table) and alone.all()) or NOT_RUN


def no_better_than_majority(frame: pd.DataFrame, configuration: str) -> str:
    """The tasks on which a configuration has no more than the majority class, by the metric that counts first, for a
    sentence: "CoLA and WNLI", "none of them"; "not run" without records."""
    reached = scores(frame, configuration)
    titles = [TASKS[name].title for name, (values, _) in reached.items() if values[0] <= TASKS[name].majority[0]]
    if not reached:
        return NOT_RUN
    return " and ".join(filter(None, (", ".join(titles[:-1]), *titles[-1:]))) or "none of them"


def _cell(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in values)


def _metrics(names: Sequence[str]) -> str:
    short = {"f1": "F1", "accuracy": "acc.", "matthews": "Matthews", "pearson": "Pearson", "spearman": "Spearman"}
    return " / ".join(short[name] for name in names)
