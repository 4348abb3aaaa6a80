"""The baselines: tuned as its recipe says, in everything else the same, and a search of records."""

import pytest

from seo_core import load_settings
from seo_core.arms import open_lab
from seo_core.lab import LabError


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    settings = load_settings("quick", layers=1, train_rows=64, development_rows=32, evaluation_rows=16, epochs=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("02_baseline", settings, say=lambda text: None)


@pytest.mark.trains
def test_the_tuned_baseline_is_trained_as_its_recipe_says(lab):
    plain, tuned = lab.arm("base"), lab.arm("base-tuned", knobs={"learning_rate": 3e-4})
    trial = lab.arm("base-tuned", knobs={"epochs": 1, "train_embeddings": True}, recorded_as="base-trial-words")
    for run, epochs, rate, frozen in ((plain, 1, 1.5e-4, True), (tuned, 2, 3e-4, True), (trial, 1, 2e-4, False)):
        training = run.record["parameters"]["training"]
        assert (training["epochs"], training["learning_rate"], training["freeze_embeddings"]) == (epochs, rate, frozen)
        assert run.metrics["train_examples"] == 64 * epochs
    assert trial.record["configuration"] == "base-trial-words" and trial.path.parent == plain.path.parent
    assert lab.arm("base-tuned", knobs={"learning_rate": 3e-4}).path == tuned.path
    words = [run.model().bert.embeddings.word_embeddings.weight for run in (plain, tuned, trial)]
    assert (words[0] == words[1]).all() and (words[0] != words[2]).any()
    assert not list((plain.path.parents[1]).rglob("*.checkpoint*/*"))


@pytest.mark.parametrize("knobs, words", [({"rate": 1e-4}, "unknown knob 'rate'"), ({"epochs": 0}, "epochs"),
                                          ({"learning_rate": -1.0}, "learning_rate")])
def test_knobs_that_mean_nothing_are_refused(lab, knobs, words):
    with pytest.raises((LabError, ValueError), match=words):
        lab.arm("base-tuned", knobs=knobs)
