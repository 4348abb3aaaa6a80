"""The benchmark of augmentation: equal work, honest absences, ratios against the right contestant."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from own_sets import SETS, written

from seo_core import load_settings
from seo_core.augmentation import OPERATORS
from seo_core.bench import augmentation as bench
from seo_core.bench import peers, turns

TEXTS = ["The teacher drove the car quickly along the road.", "A doctor bought the house near the river."] * 20
NO_WORDNET = pytest.mark.skipif(OPERATORS["synonym"].available() is not None,
                                reason=f"no WordNet here: {OPERATORS['synonym'].available()}")


def test_a_contestant_in_its_own_process_does_what_it_does_here():
    answer = bench.run_peer("seo_core aeda", TEXTS, 0.2, 3)
    assert answer["texts"] == peers.seo_core("aeda", 0.2)()(TEXTS, 3) and answer["texts"] != TEXTS
    assert len(answer["seconds"]) == 2 and min(answer["seconds"]) > 0


def test_a_peer_does_not_inherit_the_notebooks_plotting_backend(monkeypatch, tmp_path):
    peer = tmp_path / "python"
    peer.write_text('#!/bin/sh\necho "{\\"backend\\": \\"${MPLBACKEND-its own}\\"}"\n')
    peer.chmod(0o755)
    monkeypatch.setenv("SEO_PEER_NLPAUG", str(peer))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert bench.run_peer("nlpaug synonym", ["A text."], 0.1) == {"backend": "its own"}


def test_an_absent_peer_is_named_with_its_reason(monkeypatch):
    monkeypatch.setenv("SEO_PEER_NLPAUG", "path/to/nowhere/python")
    monkeypatch.delenv("SEO_PEER_TEXTATTACK", raising=False)
    monkeypatch.setattr(bench, "TITLES", {"nlpaug synonym": "n", "seo_core aeda": "a"})
    assert "No such file" in bench.peers()["nlpaug synonym"] and bench.peers()["seo_core aeda"] == ""
    monkeypatch.setenv("SEO_PEER_NLPAUG", sys.executable)
    with pytest.raises(RuntimeError, match="KeyError"):
        bench.run_peer("nolibrary synonym", ["a"], 0.1)


@pytest.mark.parametrize("before, after, expected", [
    (["a b c d"], ["a b c d"], 0), (["a b c d"], ["a x c d"], 0.25), (["a b c d"], ["b a c d"], 0.25),
    (["a b c d"], ["a b c"], 0.25), (["a b"], ["a x b"], 0.5), (["a, b"], ["a ; b"], 0), ([""], [""], 0)])
def test_the_share_of_replaced_words(before, after, expected):
    assert bench.replaced(before, after) == pytest.approx(expected)


@NO_WORDNET
def test_calibration_meets_the_target():
    from seo_core.augmentation.wordnet import synonyms

    known = ["car", "quickly", "huge", "film", "job", "effort", "meal", "doctor", "decade", "remnant"]
    words = [word for word, found in synonyms(known).items() if found]
    others = ["the", "of", "and", "to", "with", "from", "that", "this", "which", "or"]  # half have no synonyms
    texts = [" ".join(f"{word} {other}" for word, other in zip(words, others, strict=False))] * 10
    strength = bench.calibrate("synonym", texts, 0.25)
    assert bench.replaced(texts, peers.seo_core("synonym", strength)()(texts, 0)) == pytest.approx(0.25, abs=0.06)
    assert bench.calibrate("synonym", texts, 0.9) == 1.0


def test_rates_are_those_of_the_first_and_the_second_pass():
    turn = bench.as_turn(100, 4.0, 2.0)
    assert turn.total_rate == pytest.approx(25) and turn.steady_rate == pytest.approx(50)


def test_ratios_are_within_a_group():
    speeds = {"nlpaug SynonymAug": (4.0, 2.0), "seo_core synonym": (1.0, 0.1), "seo_core eda": (2.0, 1.0),
              "Apertium, one batch": (1.0, 1.0)}
    table = {name: lambda seed, s=s: bench.as_turn(100, *s) for name, s in speeds.items()}
    versus = bench.versus(turns.interleave(table, rounds=2))
    assert versus.ratio["seo_core synonym"] == pytest.approx(20)
    assert versus.ratio_total["seo_core synonym"] == pytest.approx(4)
    assert versus.ratio["seo_core eda"] == 1 and versus.baseline["seo_core eda"] == "seo_core eda"
    assert versus.baseline["seo_core synonym"] == "nlpaug SynonymAug"


def test_labels_kept_counts_the_pairs_that_were_right_before(monkeypatch):
    def predict(network, encoded):
        return np.eye(3)[[0 if "dog" in text else 1 for text in encoded]]

    monkeypatch.setattr("seo_core.evaluation.predict", predict)
    monkeypatch.setattr("seo_core.data.encode", lambda frame, tokenizer, texts, max_length:
                        (frame[texts[0]] + frame[texts[1]]).tolist())
    frame = pd.DataFrame({"premise": ["dog", "cat", "cat", "dog"], "hypothesis": "x", "label": [0, 1, 0, 0]})
    kept = bench.labels_kept(None, None, frame, ("premise", "hypothesis"), max_length=9)
    assert kept([*frame.premise, *frame.hypothesis]) == 1
    assert kept(["cat", "cat", "dog", "dog", "x", "x", "x", "x"]) == pytest.approx(2 / 3)
    assert kept(["cat", "x"]) == 0 and kept(["dog", "cat", "x", "x"]) == 1  # of the first pairs, both texts
    assert kept(["cat", "dog"]) == 1  # the premise lost its dog, the hypothesis got one


def test_the_slow_contestant_edits_premises_and_hypotheses(monkeypatch):
    texts, seen = [f"premise {i}" for i in range(6)] + [f"hypothesis {i}" for i in range(6)], []

    def run_peer(name, given, strength, seed=0, **options):
        seen.append(given)
        return {"texts": [f"{text} x" for text in given], "version": "1", "seconds": (1.0, 1.0)}

    monkeypatch.setattr(bench, "run_peer", run_peer)
    contestants = bench.Contestants(texts, ["textattack synonym"], 0.1, 2)
    turn = contestants.table["TextAttack WordNet swap"](0)
    assert seen[-1] == ["premise 0", "premise 1", "hypothesis 0", "hypothesis 1"] and turn.examples == 4
    row = contestants.quality(len).loc["TextAttack WordNet swap"]  # `kept` gets the new texts
    assert row.labels_kept == 4 and row.words_replaced == pytest.approx(0.5)  # "premise 0 x": one word more of two
    assert contestants.first(99) == texts


def test_single_texts_are_one_column(monkeypatch):
    monkeypatch.setattr("seo_core.evaluation.predict",
                        lambda network, encoded: np.eye(2)[[int("dog" in text) for text in encoded]])
    monkeypatch.setattr("seo_core.data.encode", lambda frame, tokenizer, texts, max_length: frame[texts[0]].tolist())
    frame = pd.DataFrame({"note": ["dog", "cat", "dog"], "label": [1, 0, 1]})
    kept = bench.labels_kept(None, None, frame, ("note",), max_length=9)
    assert kept(["dog", "cat", "cat"]) == pytest.approx(2 / 3) and kept(["dog", "cat"]) == 1
    contestants = bench.Contestants(["dog", "cat", "dog"], ["seo_core aeda"], 0.1, 2, columns=1)
    assert contestants.first(2) == ["dog", "cat"] and contestants.first(9) == ["dog", "cat", "dog"]


@pytest.mark.trains
@pytest.mark.parametrize("kind", SETS)
def test_data_of_other_classes_and_of_one_text_goes_through(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "TITLES", {"seo_core aeda": "seo_core aeda"})
    monkeypatch.setattr("seo_core.augmentation.translation.apertium_pair", lambda: None)
    settings = load_settings("quick", layers=1, results_dir=str(tmp_path / "results"),
                             **written(kind, tmp_path, rows=60))
    outcome = bench.contest(settings, bench.plan(settings))
    pairs, rest = outcome.parameters["plan"]["pairs"], outcome.inputs["teacher_pairs"]
    assert 0 < pairs <= len(rest) == outcome.parameters["plan"]["teacher_pairs"]  # a small set is shared out
    assert outcome.turns.examples.tolist() == [pairs * len(outcome.task.texts)]
    row = outcome.table.loc["seo_core aeda"]
    assert row.words_replaced == 0 and 0 <= row.labels_kept <= 1  # it inserts punctuation


def test_the_plan_is_small_for_quick():
    assert bench.plan(load_settings("quick"))["pairs"] <= 200
    assert bench.plan(load_settings("cpu"), rounds=5) | {"rounds": 5, "pairs": 2000} == bench.plan(
        load_settings("cpu"), rounds=5)
