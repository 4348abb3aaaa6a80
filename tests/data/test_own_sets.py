"""Data of a reader's own: any classes, one text or two, a few hundred rows, one file."""

import pytest
from one_error import assert_data_error
from own_sets import written

from seo_core import load_settings
from seo_core.data import NLI_LABELS, generate_nli, load_data, load_nli, prepare


@pytest.mark.parametrize(("kind", "texts", "labels"), [
    ("pairs", ("sentence1", "sentence2"), ("other", "same")),
    ("texts", ("note",), ("food", "health", "money", "sport", "travel"))])
def test_a_set_of_ones_own_is_split_as_nli_is(tmp_path, kind, texts, labels):
    own = written(kind, tmp_path)
    settings, lines = load_settings("quick", **own), []
    task = load_data(settings.data, text=settings.text, labels=settings.labels)
    assert task.texts == texts and task.labels == labels and list(task.splits) == ["train", "validation_matched"]
    assert 20 <= len(task["validation_matched"]) <= 40 and "genre" in task["train"]
    ready = prepare(settings, say=lines.append)
    development_rows = len(ready["reward"]) + len(ready["acceptance"])
    assert development_rows == len(task["train"]) // 5 and len(ready["train"]) + development_rows == len(task["train"])
    size, meaning = lines
    assert f"development_rows 384 → {development_rows}, train_rows 1536 → {len(ready['train'])}" in size
    assert f"{len(task['validation_matched'])} more are moved to validation_matched" in size
    assert "one set to measure on" in meaning and ", ".join(labels) in meaning


def test_a_slice_that_was_asked_for_is_taken_or_refused(tmp_path):
    own, lines = written("pairs", tmp_path), []
    ready = prepare(load_settings("quick", development_rows=100, train_rows=50, **own), say=lines.append)
    assert len(ready["reward"]) + len(ready["acceptance"]) == 100 and len(ready["train"]) == 50
    assert not any("→" in line for line in lines)
    assert_data_error(lambda: prepare(load_settings("cpu", development_rows=200, **own)), "Lower development_rows")


@pytest.mark.slow
def test_a_large_set_is_prepared_without_a_word():
    lines = []
    prepare(load_settings("quick"), say=lines.append)
    assert lines == []


def test_classes_of_ones_own_need_their_names_and_the_embedded_pairs_have_theirs(tmp_path):
    own = written("pairs", tmp_path)
    assert_data_error(lambda: load_data(own["data"]), "labels=", "entailment, neutral, contradiction")
    assert_data_error(lambda: load_data("embedded", text=("note",)), "data of your own")
    assert_data_error(lambda: load_data(own["data"], text=("genre",)), "'genre'", "Rename")
    named = load_data(own["data"], text=("premise",), labels=("same", "other"))
    assert named.texts == ("sentence1",) and named.labels == ("same", "other")


def test_nli_by_name_is_nli(tmp_path):
    generate_nli(600)["train"].to_csv(tmp_path / "pairs.csv", index=False)
    plain, named = load_data(tmp_path / "pairs.csv"), load_data(tmp_path / "pairs.csv", labels=NLI_LABELS)
    assert plain.texts == named.texts == ("premise", "hypothesis") and plain.fingerprint == named.fingerprint
    assert plain.fingerprint == load_nli(tmp_path / "pairs.csv").fingerprint
