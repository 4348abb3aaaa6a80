"""The arms of the chapter on hyperparameter search: what their records hold, and what they do to a text."""

import copy

import numpy as np
import pytest

from seo_core.arms import LabError, open_lab
from seo_core.arms.features import Ngrams, Preprocessing, preprocessing
from seo_core.arms.search import Search, recorded_trials, trials_of
from seo_core.models import load_tokenizer, save
from seo_core.settings import load_settings

SMALL = {"trials": 3, "rows": 48, "epochs": 1, "layers": (1,)}
TEXT = "Don't PANIC, Mr. Smith!"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return open_lab("18_hyperparameter_search", load_settings(
        "quick", train_rows=64, development_rows=64, evaluation_rows=32, epochs=1,
        results_dir=str(tmp_path_factory.mktemp("results"))))


@pytest.mark.trains
def test_the_record_of_a_search_has_every_trial_and_the_winner_is_trained_with_what_they_found(lab):
    run = lab.arm("search-grid", knobs=SMALL)
    trials = recorded_trials(run.record)
    again = trials_of(lab, Search(**run.record["parameters"]["recipe"]))
    assert trials[again.columns].equals(again) and len(trials) == run.metrics["trials"] == 3
    assert run.metrics["search_best"] == trials["accuracy"].max()
    winner = trials.iloc[trials[trials["state"] == "complete"]["accuracy"].idxmax()]
    assert run.metrics["best_learning_rate"] == winner["learning_rate"]
    assert run.model().config.num_hidden_layers == winner["layers"]


@pytest.mark.trains
def test_ngrams_reach_the_logits_that_are_recorded(lab):
    run = lab.arm("ngrams", knobs={"buckets": 128})
    assert run.metrics["ngram_weights"] == 3 * 128 and run.metrics["ngram_logits"] > 0


@pytest.mark.trains
def test_what_is_done_to_a_text_is_saved_with_the_network(lab):
    run = lab.arm("text-no-punctuation")
    kept = load_tokenizer(str(run.folder()))
    assert kept.tokenize(TEXT) == ["don", "t", "panic", "mr", "smith"]
    assert np.isfinite(run.metrics["accuracy_matched"])


@pytest.mark.parametrize("recipe, pieces", [
    ({}, ["don", "'", "t", "panic", ",", "mr", ".", "smith", "!"]),
    ({"case": "lower"}, ["don", "'", "t", "panic", ",", "mr", ".", "smith", "!"]),
    ({"case": "keep"}, ["[UNK]", "'", "t", "[UNK]", ",", "[UNK]", ".", "[UNK]", "!"]),
    ({"punctuation": "remove"}, ["don", "t", "panic", "mr", "smith"])])
def test_case_and_punctuation_survive_saving(tiny_bert, tmp_path, recipe, pieces):
    tokenizer = load_tokenizer()
    changed = preprocessing(tokenizer, Preprocessing(**recipe))
    assert changed.tokenize(TEXT) == pieces and tokenizer.tokenize(TEXT)[1] == "'"
    if recipe.get("case") != "keep":
        assert load_tokenizer(str(save(tiny_bert(), changed, tmp_path / "kept"))).tokenize(TEXT) == pieces


def test_a_case_that_cannot_be_kept_is_refused(tiny_tokenizer):
    from tokenizers.normalizers import Lowercase, Sequence

    words = copy.deepcopy(tiny_tokenizer)
    words.backend_tokenizer.normalizer = Sequence([Lowercase()])
    with pytest.raises(LabError, match=r"normalizer \(Sequence\) makes small letters of all"):
        preprocessing(words, Preprocessing(case="keep"))
    words.backend_tokenizer.normalizer = Sequence([])
    assert preprocessing(words, Preprocessing(case="keep")).backend_tokenizer.normalizer.normalize_str("A") == "A"


@pytest.mark.parametrize("make, message", [
    (lambda: Preprocessing(case="upper"), "unknown case 'upper'"),
    (lambda: Preprocessing(punctuation="some"), "unknown punctuation 'some'"),
    (lambda: Ngrams(buckets=0), "buckets must be 1 or more"), (lambda: Ngrams(scale=0.0), "scale must be above 0"),
    (lambda: Search(sampler="bayes"), "unknown sampler 'bayes': sampler must be one of"),
    (lambda: Search(trials=0), "trials must be 1 or more")])
def test_recipes_that_are_none_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
