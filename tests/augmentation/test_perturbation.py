"""Perturbed texts: what is touched and what is not, equal seeds, and the accuracy on them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from seo_core.augmentation import OPERATORS, AugmentationError, perturbation
from seo_core.augmentation.perturbation import LONG, mistype, paraphrase, robust_accuracy, typos
from seo_core.augmentation.words import split
from seo_core.data import imbalance
from seo_core.data.readers import DataError

TEXTS = ("premise", "hypothesis")
SENTENCES = [
    "Nobody at the railway station could explain seventeen different delays.",
    "The children never finished reading about elephants, penguins and giraffes.",
    "She didn't buy the expensive bicycle; she wouldnt even consider borrowing it.",
    "Tom ate.",
    "",
    "In 1984 three thousand workers travelled to 25-storey buildings without permission.",
]


def frame_of(n: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"premise": rng.choice(SENTENCES, n), "hypothesis": rng.choice(SENTENCES[:3], n),
                         "label": rng.integers(0, 3, n), "genre": "", "idx": np.arange(n)}, index=range(100, 100 + n))


def changed_words(before: str, after: str) -> list[tuple[str, str]]:
    old, new = split([before]).parts[0], split([after]).parts[0]
    assert old[::2] == new[::2], "what stands between the words stays"
    return [(a, b) for a, b in zip(old[1::2], new[1::2], strict=True) if a != b]


@given(st.text("ab1 .,'’-\u0301é", max_size=16))
def test_words_are_what_a_plain_pattern_finds_on_any_python(text):
    """Letters with marks, hyphens and apostrophes inside, decimal points inside numbers."""
    mark = "\u0301" if "\u0301" in text else ""
    plain = rf"\w[\w{mark}\u200c\u200d]*(?:['’-]\w[\w{mark}\u200c\u200d]*|[.,]\d+)*"
    assert split([text]).parts[0][1::2] == re.findall(plain, text)


def test_typing_errors_hit_longer_words_only_and_never_negations_or_numbers():
    frame = frame_of()
    hit = set()
    for seed in range(8):
        typed = typos(frame, seed, rate=0.5)
        for name in TEXTS:
            for before, after in zip(frame[name], typed[name], strict=True):
                hit |= {a for a, _ in changed_words(before, after)}
    assert hit >= {"railway", "elephants", "bicycle", "permission", "travelled"}
    assert all(len(word) >= LONG for word in hit)
    assert not {word.lower() for word in hit} & {"nobody", "never", "didn't", "wouldnt", "seventeen", "three",
                                                 "thousand", "1984", "25-storey", "without"}


def test_one_error_to_a_word_and_its_first_letter_stays():
    frame = frame_of()
    typed = typos(frame, 3)
    changes = [c for name in TEXTS for a, b in zip(frame[name], typed[name], strict=True)
               for c in changed_words(a, b)]
    assert len(changes) > 60
    for before, after in changes:
        assert before[0] == after[0] and abs(len(before) - len(after)) <= 1
    for name in TEXTS:  # every text with a long word is hit
        assert all(a != b for a, b in zip(frame[name], typed[name], strict=True) if len(a) > 10)


def test_rate_is_the_share_of_long_words():
    ends = ("wives", "banks", "clips", "walls", "games")
    text = " ".join(f"{a}{b}" for a in ("house", "river", "paper", "stone") for b in ends)
    frame = pd.DataFrame({"sentence": [text] * 3, "label": [0, 1, 2]})
    for rate, expected in ((0.1, 2), (0.5, 10), (1.0, 20)):
        typed = typos(frame, 0, rate, ("sentence",))
        assert [len(changed_words(text, t)) for t in typed["sentence"]] == [expected] * 3
    assert typed["sentence"].nunique() > 1, "equal rows get different errors"


@limits(max_examples=200, deadline=None)
@given(st.text("abcdefghijklmnopqrstuvwxyzäéß", min_size=2, max_size=12), st.integers(0, 2**64 - 1))
def test_an_error_is_an_error(word, bits):
    typed = mistype(word, bits)
    assert typed != word and typed[0] == word[0] and abs(len(typed) - len(word)) <= 1


def test_the_four_kinds_of_error():
    kinds = {mistype("window", bits) for bits in range(4000)}
    assert {"qindow", "indow"}.isdisjoint(kinds)
    assert {"wibdow", "wimdow", "wnidow", "wndow", "wiindow", "windos"} <= kinds | {"wnidow"}
    near = perturbation._neighbours()
    assert set(near["s"]) == set("adwezx") and set(near["q"]) == set("wa") and all(
        a in near[b] for a in near for b in near[a])


@pytest.mark.parametrize("make", [typos, paraphrase])
def test_equal_seeds_equal_texts_and_the_rest_stays(make):
    if make is paraphrase and OPERATORS["synonym"].available():
        pytest.skip("no WordNet here")
    frame = frame_of()
    before = frame.copy()
    first, again, other = make(frame, 1), make(frame, 1), make(frame, 2)
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    pd.testing.assert_frame_equal(frame, before)
    assert first.index.equals(frame.index) and first.dtypes.equals(frame.dtypes)
    rest = ["label", "genre", "idx"]
    pd.testing.assert_frame_equal(first[rest], frame[rest])
    parts = pd.concat([make(frame[:20], 1), make(frame[20:], 1)])
    shared = [i for i in range(20)]  # a row's errors do not depend on the rows after it
    assert (parts.iloc[shared][list(TEXTS)] == first.iloc[shared][list(TEXTS)]).all(axis=None)


def test_texts_of_categories_stay_texts():
    frame = pd.DataFrame({"premise": ["the teacher bought guitars"], "hypothesis": ["somebody bought guitars"]})
    assert typos(frame.astype("category")).to_numpy().tolist() == typos(frame).to_numpy().tolist()


def test_paraphrases_use_synonyms(monkeypatch):
    """With a planted synonym operator: which rows change, and where."""
    def augment(frame, operator, *, strength, seed, texts):
        assert operator == "synonym" and strength == 0.3 and texts == TEXTS
        rows = frame.iloc[::2].copy()
        rows["source"], rows["operator"], rows["side"] = np.arange(len(frame))[::2], operator, "premise"
        return rows.assign(premise=rows["premise"] + " indeed").reset_index(drop=True)

    monkeypatch.setattr(perturbation, "augment", augment)
    frame = frame_of()
    out = paraphrase(frame, 5)
    assert (out["premise"].iloc[::2] == frame["premise"].iloc[::2] + " indeed").all()
    assert (out["premise"].iloc[1::2] == frame["premise"].iloc[1::2]).all()
    assert (out["hypothesis"] == frame["hypothesis"]).all()


class Reader:
    """Counts as a tokenizer; the real work is planted in `planted`."""


@pytest.fixture
def planted(monkeypatch):
    """A classifier that is right where a text is unchanged: encode passes frames on, predict reads them."""
    frame = frame_of()

    def predict(model, rows, *, precision, progress):
        same = (rows[list(TEXTS)].to_numpy() == frame[list(TEXTS)].to_numpy()).all(axis=1)
        return np.eye(3)[np.where(same, rows["label"], (rows["label"] + 1) % 3)]

    monkeypatch.setattr("seo_core.data.encode", lambda rows, tokenizer, *, texts, max_length: rows)
    monkeypatch.setattr("seo_core.evaluation.predict", predict)
    return frame


def test_robust_accuracy_is_the_mean_over_the_perturbations(planted, monkeypatch):
    monkeypatch.setattr(perturbation, "paraphrase", lambda frame, seed, texts: frame.assign(
        premise=[p + "!" if i % 4 == 0 else p for i, p in enumerate(frame["premise"])]))
    monkeypatch.setattr(type(OPERATORS["synonym"]), "available", lambda self: None)
    found = robust_accuracy(None, planted, Reader())
    assert found["accuracy_unperturbed"] == 1
    assert found["robust_accuracy_paraphrase"] == 0.75 and found["perturbed_share_paraphrase"] == 0.25
    assert found["robust_accuracy_typos"] == pytest.approx(1 - found["perturbed_share_typos"])
    assert found["robust_accuracy"] == pytest.approx((0.75 + found["robust_accuracy_typos"]) / 2)


def test_without_wordnet_paraphrases_are_left_out_not_filled(planted, monkeypatch):
    monkeypatch.setattr(type(OPERATORS["synonym"]), "available", lambda self: "WordNet is missing")
    found = robust_accuracy(None, planted, Reader())
    assert set(found) == {"accuracy_unperturbed", "robust_accuracy_typos", "perturbed_share_typos", "robust_accuracy"}
    assert found["robust_accuracy"] == found["robust_accuracy_typos"]


def test_robust_accuracy_of_a_real_model(tiny_bert, monkeypatch):
    """End to end with the bundled tokenizer; the numbers are those of predict on the perturbed frame."""
    from seo_core.data import encode
    from seo_core.evaluation import predict
    from seo_core.models.backbone import load_tokenizer

    tokenizer = load_tokenizer()
    model, frame = tiny_bert(), frame_of(12)
    model.resize_token_embeddings(len(tokenizer))
    found = robust_accuracy(model, frame, tokenizer, precision="fp32", max_length=64)
    logits = predict(model, encode(typos(frame), tokenizer, max_length=64))
    assert found["robust_accuracy_typos"] == (logits.argmax(1) == frame["label"]).mean()


@pytest.mark.parametrize("call, words", [
    (lambda: typos(frame_of(), texts=("sentence",)), "no column 'sentence' to perturb.*task.texts"),
    (lambda: typos(frame_of(), rate=0), "above 0 and at most 1"),
    (lambda: typos(frame_of(), rate=1.2), "above 0 and at most 1"),
    (lambda: typos(frame_of(), rate="0.1"), "rate is the share of words .*not '0.1'"),
    (lambda: paraphrase(frame_of(), strength=0), "above 0 and at most 1"),
    (lambda: paraphrase(frame_of(), seed=-1), "seed must be 0 or more and a whole number, got -1"),
    (lambda: typos(frame_of(), -1), "seed must be 0 or more and a whole number, got -1"),
    (lambda: typos(frame_of(), 1.5), "whole number, got 1.5"),
    (lambda: typos(frame_of(3).astype(object).assign(premise=["a", None, "b"])), "'premise' is (None|nan) in row 1"),
    (lambda: typos(["a text"]), "must be a DataFrame with the columns"),
    (lambda: robust_accuracy(None, frame_of()[:0], None), "no rows to perturb"),
])
def test_errors_say_what_to_do(call, words):
    with pytest.raises(AugmentationError, match=words):
        call()


def test_paraphrase_without_wordnet_names_the_way_out(monkeypatch):
    from seo_core.augmentation import wordnet

    monkeypatch.setattr(wordnet, "find", lambda: None)
    for cached in (getattr(wordnet, name) for name in dir(wordnet)):
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()
    with pytest.raises(AugmentationError, match="WordNet"):
        paraphrase(frame_of())


def test_no_rows_no_errors():
    assert len(typos(frame_of()[:0])) == 0


# -- the imbalanced setting -----------------------------------------------------------------------


def labelled(counts) -> pd.DataFrame:
    label = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return pd.DataFrame({"label": label, "idx": np.arange(len(label))})


def test_imbalance_has_the_ratio_and_keeps_the_order():
    found = imbalance(labelled((400, 300, 500)), rows=200)
    assert np.bincount(found["label"]).tolist() == [160, 20, 20]
    assert (np.diff(found["idx"]) > 0).all() and found.index.equals(pd.RangeIndex(200))
    largest = imbalance(labelled((400, 300, 500)))
    assert np.bincount(largest["label"]).tolist() == [400, 50, 50]
    assert np.bincount(imbalance(labelled((40, 300, 500)), (1, 5, 3))["label"]).tolist() == [40, 200, 120]


@limits(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(37, 150), st.integers(0, 5))
def test_imbalance_is_within_one_row_of_the_ratio(ratio, rows, seed):
    frame = labelled([200] * len(ratio))  # 37 rows: one for a class of 1 beside four of 9
    found = imbalance(frame, ratio, rows, seed)
    exact = rows * np.array(ratio) / sum(ratio)
    assert len(found) == rows
    assert (abs(np.bincount(found["label"], minlength=len(ratio)) - exact) < 1 + 1e-6).all()


def test_imbalance_is_nested_and_seeded():
    frame = labelled((400, 300, 500))
    small, large = (set(imbalance(frame, rows=n)["idx"]) for n in (100, 300))
    assert small < large
    assert set(imbalance(frame, rows=100, seed=1)["idx"]) != small


@pytest.mark.parametrize("ratio, rows, words", [
    ((8, 1, 1), 800, "class 0 has 400 rows and 640 are wanted"),
    ((8, 1), None, "ratio .8, 1. must have one number above 0 for each class, and the rows have 3 classes"),
    ((8, 0, 1), None, "above 0"),
    ((8, 1, 1), 3, "class 1 has 300 rows and 0 are wanted|class 2"),
    ((8, 1, 1), 0, "0 rows"),
])
def test_imbalance_errors(ratio, rows, words):
    with pytest.raises(DataError, match=words):
        imbalance(labelled((400, 300, 500)), ratio, rows)
