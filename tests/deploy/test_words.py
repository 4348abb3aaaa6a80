"""Tokens by remembered words are those of the tokenizer, whatever a text holds."""

import copy
import tracemalloc
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from seo_core.data import generate
from seo_core.data.encoding import encode_texts
from seo_core.deploy import words
from seo_core.deploy.words import Words
from seo_core.settings import book_root

BACKEND = Tokenizer.from_file(str(book_root() / "book" / "artifacts" / "reference-small" / "tokenizer.json"))
TOKENIZER = SimpleNamespace(backend_tokenizer=BACKEND, pad_token_id=0)
WORDS = Words.of(TOKENIZER)
ODD = ["[SEP]", "[MASK].", " ", "  ", "\t", "\n", "\x00", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000", "\u200b",
       "\u0301", "é", "e\u0301", "Ω\u03a3", "İ", "中文", "don't", "U.S.", "a" * 63, "b" * 101, "x" * 400, "😀", "ﬁ"]
text = st.lists(st.sampled_from([*ODD, "A man", "sleeps", "on", "a bench", "Unbelievable"])
                | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=30).map("".join) | st.lists(
    st.sampled_from([*ODD, "person", "rests", "outside."]), max_size=40).map(" ".join)


def same(columns, max_length: int, remembered: Words = WORDS) -> None:
    ours = remembered.encode(columns, max_length=max_length)
    theirs = encode_texts(columns, TOKENIZER, max_length=max_length)
    for name in ("ids", "offsets", "first", "labels"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert np.array_equal(a, b) and a.dtype == b.dtype, name
    assert ours.pad_id == theirs.pad_id


@given(pairs=st.lists(st.tuples(text, text), max_size=6), max_length=st.sampled_from([4, 9, 32, 128]))
@settings(max_examples=300, deadline=None)
def test_any_text_has_the_tokenizers_tokens(pairs, max_length):
    same([[a for a, _ in pairs], [b for _, b in pairs]], max_length)
    same([[a for a, _ in pairs]], max_length)


def test_sentences_have_them_too_and_megabytes_and_nothing():
    frame = generate(400, seed=1)
    same([frame["premise"].tolist(), frame["hypothesis"].tolist()], 128)
    same([["word " * 200_000, "a" * 1_000_000, ""], ["short", "", ""]], 128)
    same([["cut " * 100, "one"], ["two", "cut " * 100]], 16)
    same([[], []], 128)


@pytest.mark.parametrize("word", ["word{}", "{}" + "中" * 60, "{}" + "😀" * 60], ids=["short", "many tokens", "wide"])
def test_what_is_remembered_has_a_bound_in_bytes(monkeypatch, word):
    """A client could fill the memory with words that are new each time, and have a token for each character."""
    monkeypatch.setattr(words, "KEPT", 200_000)
    remembered, batch = Words.of(TOKENIZER), 20 * (words.WORD + 64 * (words.TOKEN + words.CHARACTER))
    same([["the first one imports", word.format(0)]], 128, remembered)
    tracemalloc.start()
    try:
        for start in range(0, 5000, 20):
            same([[word.format(number) for number in range(start, start + 20)]], 128, remembered)
            assert tracemalloc.get_traced_memory()[0] < words.KEPT + 2 * batch
        assert sum(map(len, remembered._ids)) > 0
    finally:
        tracemalloc.stop()


def test_a_word_that_is_too_long_is_not_remembered():
    remembered = Words.of(TOKENIZER)
    same([["short " + "y" * (words.LONGEST + 1)]], 32, remembered)
    assert set(remembered._ids) == {"short"}


def test_a_failure_is_the_tokenizers_and_leaves_nothing():
    remembered = Words.of(TOKENIZER)
    for encode in (remembered.encode, partial(encode_texts, tokenizer=TOKENIZER)):
        with pytest.raises(TypeError):  # those who read from outside refuse it before
            encode([["half of a pair: \ud800"]], max_length=16)
    assert "\ud800" not in remembered._ids
    with pytest.raises(ValueError, match="leaves no room"):
        remembered.encode([["a"], ["b"]], max_length=3)


def test_what_a_tokenizers_file_says_of_cutting_and_padding_does_not_count():
    def short(backend):
        backend.enable_truncation(3)
        backend.enable_padding(length=7)

    tokenizer = other(short)
    before = tokenizer.backend_tokenizer.truncation, tokenizer.backend_tokenizer.padding
    found = Words.of(tokenizer).encode([["Unbelievably long", "one"]], max_length=32)
    assert np.array_equal(found.ids, encode_texts([["Unbelievably long", "one"]], TOKENIZER, max_length=32).ids)
    assert (tokenizer.backend_tokenizer.truncation, tokenizer.backend_tokenizer.padding) == before


def other(change) -> SimpleNamespace:
    backend = copy.deepcopy(BACKEND)
    change(backend)
    return SimpleNamespace(backend_tokenizer=backend, pad_token_id=0)


def test_a_tokenizer_whose_words_may_depend_on_one_another_is_left_alone():
    def plain(backend):
        backend.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])

    def bytes_(backend):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel()

    def lower(backend):
        backend.normalizer = normalizers.Lowercase()

    for change in (plain, bytes_, lower, lambda backend: backend.add_tokens([AddedToken("<x>", lstrip=True)]),
                   lambda backend: backend.add_tokens(["New York"])):
        assert Words.of(other(change)) is None
    backend = Tokenizer(models.BPE())
    assert Words.of(SimpleNamespace(backend_tokenizer=backend, pad_token_id=0)) is None
