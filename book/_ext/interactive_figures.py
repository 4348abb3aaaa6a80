"""Sphinx extension: the script of interactive figures, and its style, on the pages that have one and on no other.

See seo_core/figures/interactive.py, which writes them, and book/_static/interactive.js, which shows them.
"""

from __future__ import annotations

MARK = '<script type="text/x-figure"'


def load(app, page, template, context, doctree) -> None:
    """Adds both to a page with such a figure; Sphinx forgets them after each page."""
    if MARK in context.get("body", ""):
        app.add_js_file("interactive.js", loading_method="defer")
        app.add_css_file("interactive.css")


def setup(app) -> dict:
    app.connect("html-page-context", load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
