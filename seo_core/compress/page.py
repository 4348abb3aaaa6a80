"""The page about a compressed network: one file that needs nothing else, for a browser in light or in dark."""

import os
from html import escape
from string import Template

import pandas as pd

from seo_core import files
from seo_core.analysis import tables
from seo_core.compress.goals import clock, spelled
from seo_core.compress.outcome import Compressed
from seo_core.machine import default_threads, machine

_WORDS = files.table(__file__)


def write(made: Compressed) -> None:
    """Writes `made.page`, whole or not at all."""
    with files.writing(f"the page {made.page.name}", RuntimeError):
        files.write(made.page, text_of(made))


def text_of(made: Compressed) -> str:
    """The page's HTML."""
    task, record = made.lab.task, made.run.record
    example = [("one text", "another text")] if len(task.texts) == 2 else ["one text"]
    use = Template(_WORDS["use"]).substitute(folder=repr(os.path.relpath(made.artifact, made.page.parent)),
                                             example=repr(example))
    words = {"title": f"{made.artifact.name}: a small classifier of {task.name}", "verdict": verdict(made),
             "loss": loss(made), "decided": len(task["acceptance"]),
             "held": ", and at no held-out row" * (made.kind == "held-out"), "shape": made.plan.shape,
             "took": clock(made.seconds), "use": use, "data": task.name,
             "rows": ", ".join(f"{len(frame)} {name}" for name, frame in task.splits.items()),
             "classes": ", ".join(task.labels), "machine": machine()["cpu"], "threads": default_threads(),
             "commit": record["provenance"]["commit"], "records": ", ".join(
                 run.path.name for run in (made.base, *(each.run for each in made.tries)))}
    return Template(_WORDS["page"]).substitute(
        {name: escape(str(value)) for name, value in words.items()}, goals=_table(made.goals_table()),
        numbers=_table(made.numbers_table()), tries=_table(made.tries_table()), stages=_table(made.stages_table()),
        rounds=rounds(record))


def rounds(record: dict) -> str:
    """HTML of the controller's rounds: the front of the networks that they passed through, what each did and why it was
    taken back, and what the controller took; empty without rounds."""
    table = tables.controller_rounds(record)
    if table.empty:
        return ""
    return Template(_WORDS["rounds"]).substitute(
        front=_table(tables.controller_front(record)), rounds=_table(table),
        says=escape(tables.controller_says(record)))


def verdict(made: Compressed) -> str:
    """Whether the goals were reached, and what makes that worth little."""
    missed = [f"{name} ({spelled(name, value)}, asked for {spelled(name, asked)})"
              for name, (asked, value, good) in made.outcome.items() if not good]
    said = _WORDS["missed" if missed else "all" if made.outcome else "none"]
    return " ".join(filter(None, [Template(said).substitute(names=", ".join(missed)), made.warning]))


def loss(made: Compressed) -> str:
    """The paired difference to the baseline, and what it cannot say."""
    gap, asked = made.loss, made.goals.max_loss
    said = f"Lost against the baseline on the same {len(made.right(made.run))} {made.kind} rows: {made.lost}."
    unsure = asked is not None and gap[0] <= asked < gap[2]
    return said + (Template(_WORDS["unsure"]).substitute(asked=spelled("max_loss", asked)) if unsure else "")


def _table(frame: pd.DataFrame) -> str:
    """HTML of a table; the words reached and missed have their colours."""
    if frame.empty:
        return "<p>—</p>"
    with pd.option_context("display.max_colwidth", None):
        html = frame.to_html(index=False, border=0, na_rep="—")
    for word in ("reached", "missed"):
        html = html.replace(f"<td>{word}</td>", f'<td class="{word}">{word}</td>')
    return f'<div class="wide">{html}</div>'
