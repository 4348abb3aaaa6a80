"""How long chapters take, told before they start."""

import json
import re
from pathlib import Path

import minibook
import pytest

from seo_core.runner import RunnerError, timing
from seo_core.runner.manifest import load_manifest
from seo_core.runner.plan import Task, tasks
from seo_core.runner.state import Options, Tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manifest(tmp_path):
    return load_manifest(minibook.make(tmp_path / "book"))


def remember(manifest, name, seed, seconds, status="complete"):
    place = Tree(manifest.folder, "quick").sidecar(name, seed)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"status": status, "seconds": seconds}))


def test_quick_chapters_take_what_they_took(manifest):
    due = tasks(manifest, manifest.chapters, (0,))
    remember(manifest, "numbers", 1, 1.0, status="failed")
    assert timing.expected(manifest, due, Options(), 2) == (
        "time: not known for numbers, times, table: not run here yet, under quick it takes seconds")
    for name, seconds in (("numbers", 20.0), ("times", 30.0), ("table", 10.0)):
        remember(manifest, name, 0, seconds)
    assert timing.expected(manifest, due, Options(), 2) == "time: 30 to 60 s here, as last time"  # side by side, or not
    assert timing.expected(manifest, due, Options(), 1) == "time: about 60 s here, as last time"
    assert timing.expected(manifest, [Task(manifest.chapter("numbers"), 5)], Options(), 2) == (
        "time: about 20 s here, as last time"), "another seed of it"
    assert timing.expected(manifest, [], Options(), 2) == "time: seconds: all is up to date"


def test_a_chapter_takes_what_its_arms_take(monkeypatch, tmp_path):
    book = load_manifest(ROOT)
    monkeypatch.setattr("seo_core.lab.estimate.probe", lambda lab: 100.0)
    options = Options(profile="cpu", data="embedded", results_dir=str(tmp_path))

    def said(name):
        return timing.expected(book, [Task(book.chapter(name), 0)], options, 2)

    assert said("10_adaptive_iterative_pruning").endswith("here for 2 runs"), "the baseline, and the one arm it names"
    assert re.fullmatch(r"time: .+ (here|where the records were made \(.+\)) for 1 run", said("bench_training"))
    assert said("tab2_model_size") == "time: not known for tab2_model_size: no record says"


def test_what_arms_took_is_read_from_the_book_and_a_damaged_record_is_named(monkeypatch, tmp_path):
    book = load_manifest(ROOT)
    said = timing.recorded(book)
    assert set(said) == {chapter.id for chapter in book.chapters}
    assert re.fullmatch(r"about .+ for \d+ runs, \d+ not run yet", said["09_pruning"])
    assert said["fig1_architecture"] == ""
    (tmp_path / "damaged.json").write_text('{"schema": 2, "configuration": "base"')
    monkeypatch.setattr("seo_core.results.reference_dir", lambda: tmp_path)
    monkeypatch.setattr("seo_core.lab.estimate.results.reference_dir", lambda: tmp_path)
    with pytest.raises(RunnerError, match="damaged"):
        timing.recorded(book)
