"""What a run will take: a probe of the machine, and what records say."""

import json

import numpy as np
import pytest
import torch

from seo_core.arms import known, open_lab
from seo_core.checks import SettingsError
from seo_core.lab.estimate import in_words, probe, told
from seo_core.settings import load_settings


@pytest.fixture
def lab(tmp_path):
    return open_lab("05_transfer_learning", load_settings(
        "quick", train_rows=64, development_rows=32, evaluation_rows=16, layers=1, results_dir=str(tmp_path)))


@pytest.mark.trains
def test_a_probe_is_made_once_and_moves_no_random_stream(lab, tmp_path, monkeypatch):
    torch.manual_seed(3), np.random.seed(3)
    wanted = torch.rand(1), np.random.rand()
    torch.manual_seed(3), np.random.seed(3)
    monkeypatch.setattr("seo_core.lab.estimate.BUSY", np.inf)
    speed = probe(lab, seconds=0.05)
    assert speed > 0 and (torch.rand(1), np.random.rand()) == wanted
    place, = tmp_path.glob(".speed/*.json")
    said = json.loads(place.read_text())
    assert said["machine"] and said["pairs_per_second"] == pytest.approx(speed, abs=1e-3)
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("measured again"))
    assert probe(lab) == said["pairs_per_second"]


@pytest.mark.trains
def test_a_probe_beside_others_is_not_remembered(lab, tmp_path, monkeypatch):
    monkeypatch.setattr("seo_core.lab.estimate.BUSY", -1)
    assert probe(lab, seconds=0.01) > 0 and not list(tmp_path.rglob("*.json"))


def test_a_probe_of_no_time_is_refused(lab):
    with pytest.raises(SettingsError, match="seconds must be above 0, got 0"):
        probe(lab, 0)


@pytest.mark.parametrize("low, high, words", [
    (0.2, 0.3, "about 1 s"), (60, 70, "about 65 s"), (60, 80, "60 to 80 s"), (700, 740, "about 12 min"),
    (480, 840, "8 to 14 min"), (20, 100, "1 to 2 min"), (9000, 9600, "about 2.6 h"), (3600, 9000, "1.0 to 2.5 h")])
def test_seconds_in_words(low, high, words):
    assert in_words(low, high) == words


def record(experiment, configuration, seconds, pairs, labels=None, *, profile="cpu", cpu="Other", rows=10_000, **said):
    return {"experiment": experiment, "configuration": configuration, "profile": profile, "model": {"name": "bundled"},
            "metrics": {"train_examples": pairs}, "data": {"train_rows": rows},
            "parameters": {**({} if labels is None else {"labels": labels}), **said},
            "provenance": {"machine": {"cpu": cpu}, "threads": 1, "started": "2026-01-01T00:00:00+00:00",
                           "finished": f"2026-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}+00:00"}}


@pytest.fixture
def records(monkeypatch):
    """The records that there are, for one test: plain training of 100 pairs a second on another machine."""
    kept = [record("05_transfer_learning", "base", 160, 16_000, 8000)]
    monkeypatch.setattr("seo_core.lab.estimate.results.load_records", lambda *folders: kept)
    return kept


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_lab("08_semi_supervised", load_settings(
        "cpu", data="embedded", source="embedded", development_rows=16, evaluation_rows=8,
        results_dir=str(tmp_path_factory.mktemp("results"))))


@pytest.fixture
def fast(monkeypatch):
    """A machine that trains 200 pairs a second."""
    monkeypatch.setattr("seo_core.lab.estimate.probe", lambda lab: 200.0)


def say(lab, *wanted, seeds=(0,), settings=None):
    settings = settings or lab.asked
    return told([(known(name).suited(settings), labels) for name, labels in wanted], settings, seeds, lambda: lab)


def test_a_record_tells_the_time_at_the_speed_of_this_machine(study, records, fast):
    records += [record("08_semi_supervised", "ssl", seconds, 9000, 8000) for seconds in (200, 400)]
    assert say(study, ("supervised", 8000)) == "time: about 80 s here for 1 run"
    assert say(study, ("ssl", 8000)) == "time: 3 to 5 min here for 2 runs"  # its teacher has to be trained too
    assert say(study, ("supervised", 8000), seeds=(0, 1, 2)) == "time: about 4 min here for 3 runs"


def test_more_data_takes_longer_and_pairs_are_counted_where_no_record_is(study, records, fast):
    rows = len(study.of("02_baseline").pool)
    records.append(record("02_baseline", "base", 300, 30_000, rows=rows // 2))
    assert say(study, ("base", None)) == "time: about 5 min here for 1 run"  # twice the pairs at twice the speed
    assert say(study, ("supervised", 500)) == "time: about 30 s here for 1 run"  # 12 epochs of 500 pairs
    assert say(study, ("taylor-60", None)) == (
        "time: about 5 min here for 1 run; not known for taylor-60: no record says")


def test_the_source_network_counts_where_it_is_not_there_yet(study, records, fast):
    records += [record("06_active_learning", "random", 60, 6000, 1000),
                record("05_transfer_learning", "source", 20, 20_000, 0, source="embedded")]
    assert say(study, ("random", 1000)) == "time: about 2 min here for 2 runs"  # 30 s, 10 s, and 20 000 pairs
    records[-1]["parameters"]["source"] = "another"
    assert say(study, ("random", 1000)) == "time: about 30 s here for 1 run; not known for source: no record says"


def test_without_a_lab_the_time_is_that_of_the_records_machine(records):
    settings = load_settings("cpu", data="embedded")
    assert say(None, ("supervised", 8000), settings=settings) == (
        "time: about 3 min where the records were made (Other) for 1 run")


def test_the_committed_records_tell_something():
    said = say(None, ("ssl", 2000), ("sqd-taylor-65", None), settings=load_settings("cpu"))
    assert "for 5 runs" in said and "not known" not in said


@pytest.mark.trains
def test_under_quick_nothing_is_measured_and_what_is_recorded_takes_no_time(lab, monkeypatch):
    monkeypatch.setattr("seo_core.lab.estimate.probe", lambda lab: pytest.fail("probed"))
    assert say(lab, ("tl-decay", 32)) == (
        "time: not known for source, tl-decay: no record says, and under quick it takes seconds")
    lab.arm("supervised", 32)
    assert say(lab, ("supervised", 32)) == "time: seconds: everything has its record"
    assert " here for 1 run" in say(lab, ("supervised", 32), seeds=(1,))


def test_what_keeps_a_time_from_being_known_is_said(records):
    def broken():
        raise ValueError("no such folder.\nMore words")

    assert told([], load_settings("quick"), (0,), broken) == "time: not known (no such folder)"
