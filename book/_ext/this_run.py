"""Sphinx extension: what the mark says beside the outputs of a page's cells tagged `live` (see _static/evidence.css).

Each page says it of its own run: papermill leaves the parameters in the notebook. A committed notebook was run under
`quick`. Cells tagged `record` show committed records, whatever was run.
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


def mark(app, page, template, context, doctree) -> None:
    """Puts the words into the head of a chapter's page, as a variable of its style."""
    notebook = Path(app.srcdir) / f"{page}.ipynb"
    if notebook.is_file():
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        said = json.dumps(words(metadata.get("papermill", {}).get("parameters", {})), ensure_ascii=False)
        style = f"<style>:root {{ --this-run: {html.escape(said, quote=False)}; }}</style>"
        context["metatags"] = context.get("metatags", "") + style


def setup(app) -> dict:
    app.connect("html-page-context", mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
