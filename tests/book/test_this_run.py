"""What a page says beside the outputs of a run: its own profile and data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import this_run  # noqa: E402


@pytest.mark.parametrize("parameters, words", [
    ({}, "toy run, generated pairs"),
    ({"profile": "quick", "data": "path/to/notes.csv"}, "toy run, notes.csv"),
    ({"profile": "cpu", "data": "path/to/mnli"}, "this run: cpu, mnli"),
    ({"profile": "cpu"}, "this run: cpu"),
])
def test_the_words_name_profile_and_data(parameters, words):
    assert this_run.words(parameters) == words


def test_each_page_has_the_words_of_its_own_notebook(tmp_path):
    for name, data in (("one", 'a"b.csv'), ("two", "</style>.csv")):
        metadata = {"papermill": {"parameters": {"profile": "cpu", "data": data}}}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"metadata": metadata, "cells": []}))
    heads = {}
    for name in ("one", "two", "prose"):
        heads[name] = context = {"metatags": "<meta>"}
        this_run.mark(SimpleNamespace(srcdir=tmp_path), name, "page.html", context, None)
    assert heads["one"]["metatags"] == '<meta><style>:root { --this-run: "this run: cpu, a\\"b.csv"; }</style>'
    assert heads["two"]["metatags"].count("</style>") == 1
    assert heads["prose"]["metatags"] == "<meta>"


def test_below_the_title_stand_the_times_of_this_run_and_of_the_records(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "recorded_times.json").write_text(json.dumps({"one": "about 2.0 h for 3 runs", "two": ""}))
    took = {"took": {"seconds": 23.4, "machine": "Xeon <2 cores>"}}
    bodies = {}
    for name, metadata in (("one", took), ("two", {}), ("three", took)):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"metadata": metadata, "cells": []}))
        context = {"body": "<h1>Title</h1><p>Text</p><h1>Another</h1>"}
        this_run.mark(SimpleNamespace(srcdir=tmp_path), name, "page.html", context, None)
        bodies[name] = context["body"]
    run = "<code>quick</code>: 23\u00a0s (Xeon &lt;2 cores&gt;)"
    assert bodies["one"] == (f'<h1>Title</h1><p class="took">{run}. Its arms under <code>cpu</code>: about 2.0 h for '
                             "3 runs.</p><p>Text</p><h1>Another</h1>")
    assert bodies["two"] == "<h1>Title</h1><p>Text</p><h1>Another</h1>"
    assert bodies["three"].startswith(f'<h1>Title</h1><p class="took">{run}.</p>')
