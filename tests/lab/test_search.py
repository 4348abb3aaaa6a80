"""Hyperparameter search: what the samplers propose, that a search is resumed and shared, and what it refuses."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from seo_core.arms import open_lab
from seo_core.checks import SettingsError
from seo_core.lab import search as module
from seo_core.lab.run import LabError
from seo_core.lab.search import GRACE, best, search
from seo_core.settings import load_settings

SPACE = {"learning_rate": (1e-4, 4e-4), "batch_size": (16, 32)}
ROWS = dict(train_rows=64, development_rows=64, evaluation_rows=32, layers=1)
CHILD = """
import os, signal, sys
from seo_core import training
from seo_core.arms import open_lab
from seo_core.lab.search import search
from seo_core.settings import load_settings

def killed(*arguments, real=training.fit, calls=[], **options):
    calls.append(1)
    if len(calls) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)

training.fit = killed
lab = open_lab("02_baseline", load_settings("quick", **{rows}, results_dir=sys.argv[1]))
search(lab, {space}, trials=4, pruner="none", storage=sys.argv[1] + "/shared.journal", report=print)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return open_lab("02_baseline", load_settings("quick", **ROWS, results_dir=str(tmp_path_factory.mktemp("results"))))


@pytest.fixture(scope="module")
def four(lab, trains, tmp_path_factory):
    """A journal with four trials of TPE, and their table."""
    place = tmp_path_factory.mktemp("four") / "tpe.journal"
    return place, search(lab, SPACE, trials=4, pruner="none", storage=place)


def child(tmp_path, after=99):
    code = CHILD.format(after=after, rows=ROWS, space=SPACE)
    return subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.DEVNULL)


def proposed(trials):
    return trials[list(SPACE)].values.tolist()


@pytest.mark.trains
def test_the_grid_takes_every_point_once_and_says_where_it_ends(lab, tmp_path):
    said = []
    trials = search(lab, SPACE, sampler="grid", trials=9, storage=tmp_path / "grid.journal", report=said.append)
    assert sorted(map(tuple, proposed(trials))) == [(a, b) for a in SPACE["learning_rate"] for b in SPACE["batch_size"]]
    assert said[0] == "the grid has 4 points: 4 trials, not 9" and said[-1].startswith("trial 4 of 4: learning_rate")


def test_tpe_draws_rates_between_the_ends_and_listed_whole_numbers(four):
    trials = four[1]
    assert trials["learning_rate"].between(*SPACE["learning_rate"]).all() and trials["learning_rate"].nunique() == 4
    assert set(trials["batch_size"]) <= set(SPACE["batch_size"])
    assert (trials["epochs"] == 2).all() and (trials["seconds"] > 0).all()
    assert best(trials)["learning_rate"] == trials["learning_rate"][trials["accuracy"].idxmax()]


def test_only_the_development_slice_is_looked_at(four, lab):
    assert four[1]["accuracy"].between(0, 1).all()
    assert not [key for key in lab.shared if str(key).startswith("validation")]


def test_a_finished_search_is_read_and_more_trials_can_be_added(four, lab, monkeypatch):
    monkeypatch.setattr("seo_core.training.fit", None)
    assert search(lab, SPACE, trials=4, pruner="none", storage=four[0]).equals(four[1])
    assert len(search(lab, SPACE, trials=2, pruner="none", storage=four[0])) == 2


@pytest.mark.trains
def test_after_a_kill_it_makes_the_trials_that_it_would_have_made(four, lab, tmp_path):
    assert child(tmp_path, after=3).wait(timeout=120) == -signal.SIGKILL
    said = []
    trials = search(lab, SPACE, trials=4, pruner="none", storage=tmp_path / "shared.journal", report=said.append)
    assert proposed(trials) == proposed(four[1]) and (trials["accuracy"] == four[1]["accuracy"]).all()
    assert [line[:7] for line in said] == ["trial 3", "trial 4"]


@pytest.mark.trains
def test_an_interrupted_trial_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    ground = open_lab("02_baseline", load_settings("cpu", **{**ROWS, "data": "embedded", "batch_size": 8, "epochs": 2,
                                                             "max_length": 64, "results_dir": str(tmp_path)}))
    steps, real = [], module._Watch.__call__

    def watched(watch, event, state):
        steps.extend([state.step] * (event == "step"))
        if len(steps) == 27 and event == "step":  # the 11th step of the second search
            raise KeyboardInterrupt
        return real(watch, event, state)

    monkeypatch.setattr(module._Watch, "__call__", watched)
    whole = search(ground, {"layers": (1,)}, trials=1, storage=tmp_path / "whole.journal")
    with pytest.raises(KeyboardInterrupt):
        search(ground, {"layers": (1,)}, trials=1, storage=tmp_path / "cut.journal")
    cut = search(ground, {"layers": (1,)}, trials=1, storage=tmp_path / "cut.journal")
    assert steps[16:] == list(range(1, 17)) and cut.drop(columns="seconds").equals(whole.drop(columns="seconds"))
    assert not list(tmp_path.glob(".*.trials/*"))


@pytest.mark.trains
def test_two_processes_share_the_trials(lab, tmp_path):
    place, other = tmp_path / "shared.journal", child(tmp_path)
    while other.poll() is None and not place.is_file():
        time.sleep(0.05)
    trials = search(lab, SPACE, trials=4, pruner="none", storage=place)
    assert other.wait(timeout=120) == 0
    assert list(trials["trial"]) == [0, 1, 2, 3] and (trials["state"] == "complete").all()


@pytest.mark.parametrize("holder, age", [("0123456789ab", 0), ("", 2 * GRACE)])
def test_the_lock_of_a_dead_process_is_taken_over_at_once(four, lab, holder, age):
    place = four[0]
    held = place.with_name(f"{place.name}.lock")
    held.write_text(holder)
    os.utime(held, (time.time() - age,) * 2)
    place.write_bytes(place.read_bytes() + b'{"op_code": 8, "wor')  # killed while it wrote
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TypeError):  # what is due would be trained by nothing
        patch.setattr("seo_core.training.fit", None)
        search(lab, SPACE, trials=5, pruner="none", storage=place)
    assert time.monotonic() - began < GRACE / 2 and not held.exists()
    assert search(lab, SPACE, trials=4, pruner="none", storage=place).equals(four[1])


@pytest.mark.trains
def test_what_diverges_is_a_trial_and_never_the_best(lab, tmp_path):
    trials = search(lab, {"learning_rate": (1e-4, 1e30)}, sampler="grid", storage=tmp_path / "rates.journal", trials=2)
    assert sorted(trials["state"]) == ["complete", "diverged"] and best(trials) == {"learning_rate": 1e-4}
    with pytest.raises(LabError, match="no trial is complete"):
        best(trials[trials["state"] == "diverged"])


@pytest.mark.trains
def test_a_trial_below_the_median_of_its_epoch_is_stopped(lab, tmp_path, monkeypatch):
    marks = iter([0.6, 0.6, 0.5, 0.7, 0.4])  # two complete trials, then one that is behind after its first epoch
    monkeypatch.setattr("seo_core.training.metrics_of",
                        lambda *_: {"accuracy": next(marks), "cross_entropy": 1.0})
    trials = search(lab, SPACE, trials=3, storage=tmp_path / "median.journal")
    assert list(trials["state"]) == ["complete", "complete", "pruned"] and list(trials["epochs"]) == [2, 2, 1]
    assert best(trials) == {name: pytest.approx(trials[name][1]) for name in SPACE}


@pytest.mark.parametrize("space, message", [
    ({}, "the search space is empty: give values for one or more of learning_rate"),
    ({"learning_rates": (1e-4,)}, "'learning_rates' cannot be searched; did you mean 'learning_rate'"),
    ({"seed": (1, 2)}, "'seed' cannot be searched"),
    ({"layers": ()}, "the search space of layers must be a list of one value or more"),
    ({"layers": "12"}, "the search space of layers must be a list"),
    ({"layers": (1, None)}, "must hold numbers, got None"),
    ({"layers": (1, 99)}, r"layers must be at most 6 \(the model has 6\), got 99"),
    ({"batch_size": (16, 16)}, "has a value twice"),
    ({"learning_rate": (0.0, 1e-4)}, "learning_rate must be above 0, got 0.0"),
    ({"batch_size": (0,)}, "batch_size must be 1 or more and a whole number, got 0")])
def test_a_space_that_is_none_is_refused(lab, space, message):
    with pytest.raises(SettingsError, match=message):
        search(lab, space)


@pytest.mark.parametrize("options, message", [
    ({"trials": 0}, "trials must be 1 or more and a whole number, got 0"),
    ({"sampler": "bayes"}, "unknown sampler 'bayes'"), ({"pruner": "mean"}, "unknown pruner 'mean'"),
    ({"rows": 0}, "rows must be 1 or more"), ({"epochs": 0}, "epochs must be 1 or more")])
def test_a_number_or_a_name_that_is_none_is_refused(lab, options, message):
    with pytest.raises(SettingsError, match=message):
        search(lab, SPACE, **options)


@pytest.mark.parametrize("curve", [[], [0.5, math.nan], [0.5, 73.2]])
def test_a_measured_accuracy_that_is_none_is_refused(lab, tmp_path, curve):
    place = tmp_path / "measured.journal"

    def measured(values):
        return curve

    for _ in range(2):  # its trial has failed, and nobody waits for it
        with pytest.raises(SettingsError, match="must give an accuracy, from 0 to 1, after each epoch"):
            search(lab, SPACE, trials=2, measure=measured, storage=place)


def test_the_storage_of_another_search_is_refused_and_stays(four, lab):
    place, kept = four[0], four[0].read_bytes()
    others = {"learning_rate is .* here": (lab, {"batch_size": (16, 32)}), "space is": (lab, {**SPACE, "layers": (1,)}),
              "seed is 0 there and 1 here": (replace(lab, settings=replace(lab.settings, seed=1)), SPACE),
              "data fingerprint is": (replace(lab, task=replace(lab.task, fingerprint="other")), SPACE)}
    for message, (ground, space) in others.items():
        with pytest.raises(LabError, match=f"is that of another search .*{message}.*give another one with --storage"):
            search(ground, space, trials=4, pruner="none", storage=place)
    assert place.read_bytes() == kept and not math.isnan(four[1]["accuracy"].max())


def test_a_storage_that_is_no_journal_or_no_file_is_refused(lab, tmp_path):
    broken = tmp_path / "notes.journal"
    broken.write_text("to whom it may concern\nnothing\n")
    with pytest.raises(LabError, match="storage .*notes.journal cannot be read .*remove it and begin anew"):
        search(lab, SPACE, storage=broken)
    with pytest.raises(LabError, match="cannot write the search's storage"):
        search(lab, SPACE, storage=broken / "below.journal")
    assert broken.read_text().startswith("to whom")
