"""The baselines: tuned as its recipe says, in everything else the same, and a search of records."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from seo_core import load_settings
from seo_core.arms import ARMS, open_lab
from seo_core.arms.texts import domain_pairs
from seo_core.data import DataError
from seo_core.data.generator import generate_nli
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
    for run, epochs, rate, frozen in ((plain, 1, 1.5e-4, True), (tuned, 1, 3e-4, True), (trial, 1, 1.5e-4, False)):
        training = run.record["parameters"]["training"]
        assert (training["epochs"], training["learning_rate"], training["freeze_embeddings"]) == (epochs, rate, frozen)
        assert run.metrics["train_examples"] == 64 * epochs
    assert trial.record["configuration"] == "base-trial-words" and trial.path.parent == plain.path.parent
    assert lab.arm("base-tuned", knobs={"learning_rate": 3e-4}).path == tuned.path
    words = [run.model().bert.embeddings.word_embeddings.weight for run in (plain, tuned, trial)]
    assert (words[0] == words[1]).all() and (words[0] != words[2]).any()
    assert not list((plain.path.parents[1]).rglob("*.checkpoint*/*"))


@pytest.mark.trains
def test_twice_the_labels_are_the_pool_and_as_many_further_pairs(lab, tmp_path):
    new = generate_nli(200, seed=3)["train"]
    seen = [lab.task[split].head(3) for split in ("train", "reward", "acceptance", *lab.official)]
    pd.concat([new, *seen]).to_csv(tmp_path / "more.csv", index=False)
    wide = open_lab("02_baseline", replace(lab.asked, unlabelled=str(tmp_path / "more.csv")), say=lambda text: None)
    pairs = domain_pairs(wide)
    assert len(pairs) == len(lab.pool) == 64
    for frame in (lab.pool, *seen[1:]):
        assert not set(frame["premise"] + frame["hypothesis"]) & set(pairs["premise"] + pairs["hypothesis"])
    run, plain = wide.arm("base-twice"), lab.arm("base")
    assert run.record["parameters"]["training"] == plain.record["parameters"]["training"]  # the labels alone differ
    assert run.metrics["train_examples"] == 128 and run.record["data"]["labels_used"] == 64 + 32 + 64
    assert run.record["parameters"]["unlabelled"] == "path/to/more.csv"
    with pytest.raises(LabError, match="say which with --unlabelled PATH"):
        lab.arm("base-twice")


@pytest.mark.parametrize("profile", ["cpu", "paper"])
def test_without_a_recipe_of_its_own_a_baseline_is_trained_as_the_base_is(profile):
    settings = load_settings(profile)
    for name in ("base-tuned", "base-twice"):
        arm = ARMS[name].suited(settings)
        bound = SimpleNamespace(current=arm, settings=settings)
        assert arm.training(bound) == ARMS["base"].training(SimpleNamespace(current=ARMS["base"], settings=settings))
    changed = ARMS["base-tuned"].suited(settings, {"epochs": 5, "train_embeddings": True})
    assert changed.training(SimpleNamespace(current=changed)) == {
        "evaluations_per_epoch": 4, "epochs": 5, "freeze_embeddings": False}


def test_further_labels_of_another_task_are_refused(lab, tmp_path):
    pd.DataFrame({"premise": ["It rains."], "hypothesis": ["It is wet."], "label": ["same"]}).to_csv(
        tmp_path / "other.csv", index=False)
    wide = open_lab("02_baseline", replace(lab.asked, unlabelled=str(tmp_path / "other.csv")), say=lambda text: None)
    with pytest.raises((LabError, DataError), match="same"):
        domain_pairs(wide)


@pytest.mark.parametrize("knobs, words", [({"rate": 1e-4}, "unknown knob 'rate'"), ({"epochs": 0}, "epochs"),
                                          ({"learning_rate": -1.0}, "learning_rate")])
def test_knobs_that_mean_nothing_are_refused(lab, knobs, words):
    with pytest.raises((LabError, ValueError), match=words):
        lab.arm("base-tuned", knobs=knobs)
