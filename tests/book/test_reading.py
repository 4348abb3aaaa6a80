"""Chapters can be read to their end (tests/reading.py says what is measured); and the measures themselves."""

from __future__ import annotations

import nbformat.v4 as nb
import pytest
import reading

from seo_core.runner.manifest import load_manifest

MANIFEST = load_manifest(reading.ROOT)


@pytest.mark.parametrize("name", [chapter.id for chapter in MANIFEST.chapters])
def test_a_chapter_is_within_bounds(name):
    assert not reading.faults(name)


def chapter(*cells) -> reading.Chapter:
    return reading.Chapter("made up", list(cells))


def test_words_are_those_in_sight():
    text = ("# Title\n\nYou see $a + b$ and `some_code` in {term}`soft labels`.\n\n"
            ":::{dropdown} More\nnot counted at all\n:::\n\n"
            "```python\nneither = this\n```\n\n| a | table |\n|---|---|\n")
    printed = nb.new_output("display_data", {"text/markdown": "Two more."})
    cell = nb.new_code_cell("x", outputs=[printed], metadata={"tags": ["record"]})
    folded = nb.new_code_cell("x", outputs=[printed], metadata={"tags": ["hide-cell"]})
    assert reading.words(chapter(nb.new_markdown_cell(text), cell, folded)) == len(
        ["You", "see", "x", "and", "x", "in", "soft", "labels", "Two", "more"])


@pytest.mark.parametrize("text, typed", [
    ("It loses 0.3 points.", True), ("It keeps 98% of it.", True), ("With 95% intervals.", False),
    ("The papers lose 0.3 points {cite}`sec2025`.", False), ("A rate of `0.3` and $s = 0.5$.", False),
    ("Half of 0.5 is 0.25. <!-- arithmetic -->", False), ("Three of 12 layers.", False),
])
def test_typed_numbers_are_found(text, typed):
    assert bool(reading.typed_numbers(chapter(nb.new_markdown_cell(text)))) == typed


def test_tables_in_sight_are_counted_by_rows():
    html = "<table><tr><th>a</th></tr><tr><td>1</td></tr><tr><td>2</td></tr></table>"
    shown = nb.new_output("display_data", {"text/html": html})
    folded = nb.new_output("display_data", {"text/html": f"<details><summary>more</summary>{html}</details>"})
    assert reading.tables(chapter(nb.new_code_cell("x", outputs=[shown, folded]),
                                  nb.new_markdown_cell("| a |\n|---|\n| 1 |\n"))) == [2, 1]
