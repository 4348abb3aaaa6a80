"""Sphinx extension: what a chapter's page says of the run that its outputs are of.

The mark beside the outputs of cells tagged `live` (see _static/evidence.css): papermill leaves the parameters in the
notebook, and a committed one was run under `quick`. Cells tagged `record` show committed records, whatever was run.
And a line below the title: how long that run took, and how long the chapter's arms take under `cpu`.
"""

from __future__ import annotations

import html
import json
from pathlib import Path, PurePosixPath


def words(parameters: dict) -> str:
    """"toy run, generated pairs" of a run under `quick`, else its profile; and the name of the data it was given."""
    profile, data = (str(parameters.get(name, "default")) for name in ("profile", "data"))
    given = "" if data == "default" else PurePosixPath(data).name
    if profile in ("default", "quick"):
        return f"toy run, {given or 'generated pairs'}"
    return ", ".join(filter(None, (f"this run: {profile}", given)))


def times(profile: str, took: dict, arms: str) -> str:
    """The line below the title, as HTML; "" where nothing is known. took: {"seconds", "machine"} of the page's run;
    arms: what the chapter's arms take under `cpu`, in words."""
    run = [f"<code>{html.escape(profile)}</code>: {took['seconds']:.0f}\u00a0s "
           f"({html.escape(took['machine'])})"] if took else []
    recorded = [f"Its arms under <code>cpu</code>: {html.escape(arms)}"] if arms else []
    return f'<p class="took">{". ".join(run + recorded)}.</p>' if run or recorded else ""


def mark(app, page, template, context, doctree) -> None:
    """Puts the words into the head of a chapter's page, as a variable of its style, and the times below its title."""
    notebook, arms = Path(app.srcdir) / f"{page}.ipynb", Path(app.srcdir) / "book" / "recorded_times.json"
    if notebook.is_file():
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        parameters = metadata.get("papermill", {}).get("parameters", {})
        said = json.dumps(words(parameters), ensure_ascii=False)
        style = f"<style>:root {{ --this-run: {html.escape(said, quote=False)}; }}</style>"
        context["metatags"] = context.get("metatags", "") + style
        recorded = json.loads(arms.read_text(encoding="utf-8")) if arms.is_file() else {}
        line = times(parameters.get("profile", "quick"), metadata.get("took", {}), recorded.get(notebook.stem, ""))
        context["body"] = context.get("body", "").replace("</h1>", f"</h1>{line}", 1)


def setup(app) -> dict:
    app.connect("html-page-context", mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
