"""Words of the glossary become links where they first stand, and only there."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import first_terms  # noqa: E402

LEFT = {"layer": "layer", "attention head": "attention head", "attention": "attention", "batch": "batch"}


def test_the_first_place_of_each_term_and_the_longest_term_there():
    left = dict(LEFT)
    parts = first_terms.pieces("Attention heads of a layer, a layer of attention.", left)
    assert [part for part in parts if isinstance(part, tuple)] == [
        ("Attention heads", "attention head"), ("layer", "layer"), ("attention", "attention")]
    assert left == {"batch": "batch"}
    assert not any(isinstance(part, tuple) for part in first_terms.pieces("Layers again.", left))


def test_parts_of_words_are_no_terms():
    assert first_terms.pieces("multilayered batching", dict(LEFT)) == ["multilayered batching"]


@given(st.text(alphabet="ab layerstnohdc.,", max_size=60))
def test_no_character_is_lost(text):
    parts = first_terms.pieces(text, dict(LEFT))
    assert "".join(part if isinstance(part, str) else part[0] for part in parts) == text


def test_the_glossary_is_read():
    terms = first_terms.terms()
    assert terms["soft labels"] == "soft labels" and terms["bert"] == "BERT" and len(terms) > 100
    assert terms["mismatched"] == terms["matched"] == "matched, mismatched"  # as Sphinx knows the entry


def test_a_book_may_have_no_glossary(tmp_path):
    assert first_terms.terms(tmp_path / "glossary.md") == {}


def test_what_is_mostly_a_verb_is_left_to_the_author():
    assert not first_terms.VERBS & set(first_terms.terms())
