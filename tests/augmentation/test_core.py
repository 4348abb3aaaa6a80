"""Augmentation: what stays, what may change where, the same copies whatever the batch, honest absences."""

from __future__ import annotations

import re
import string
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seo_core.augmentation import (
    DELETION,
    OPERATORS,
    AugmentationError,
    augment,
    label_filter,
    neighbours,
    protected,
    translation,
    wordnet,
)
from seo_core.augmentation.words import choose, draw, mix, row_keys, split
from seo_core.data import generate

NEEDS = {name: pytest.mark.skipif(operator.available() is not None, reason=f"{name}: {operator.available()}")
         for name, operator in OPERATORS.items()}
WORDY = [pytest.param(name, marks=NEEDS[name]) for name in ("synonym", "neighbour", "eda", "aeda")]
NO_WORDNET = pytest.mark.skipif(wordnet.find() is None, reason=f"no WordNet here: {wordnet.HOW}")
NO_APERTIUM = pytest.mark.skipif(translation.absent() is not None, reason=f"no Apertium here: {translation.HOW}")
WORDS = ["car", "house", "quickly", "road", "automobile", "teacher", "street", "Anna", "not", "no", "three", "all",
         "never", "doctor", "river", "lawyer", "guitar", "is", "the", "a", "bought", "12", "can't", "before"]


@pytest.fixture(scope="module")
def pairs() -> pd.DataFrame:
    return generate(300, seed=1)


def single(*texts) -> pd.DataFrame:
    return pd.DataFrame({"text": list(texts), "label": range(len(texts))})


def changed_words(before: str, after: str) -> Counter:
    """Words that one of the texts has and the other has not."""
    count = [Counter(re.findall(r"[\w'’-]+", text)) for text in (before, after)]
    return (count[0] - count[1]) + (count[1] - count[0])


# -- the frame ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORDY)
def test_copies_keep_columns_labels_and_the_other_side(name, pairs):
    copies = augment(pairs, name, seed=3)
    assert list(copies) == [*pairs, "source", "operator", "side"] and len(copies) > 100
    assert copies.source.is_monotonic_increasing and copies.source.is_unique
    origin = pairs.iloc[copies.source].reset_index(drop=True)
    for column in set(pairs) - {"premise", "hypothesis"}:
        pd.testing.assert_series_equal(copies[column], origin[column])
    assert copies.dtypes[list(pairs)].equals(pairs.dtypes)
    hypothesis = copies.side == "hypothesis"
    assert (copies.premise == origin.premise).tolist() == hypothesis.tolist()
    assert (copies.hypothesis != origin.hypothesis).tolist() == hypothesis.tolist()
    assert set(copies.side) == {"premise", "hypothesis"} and set(copies.operator) == {name}


@pytest.mark.parametrize("name", WORDY)
def test_the_same_seed_gives_the_same_copies_and_another_seed_others(name, pairs):
    first, again, other = (augment(pairs, name, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first[["source", "premise", "hypothesis"]].equals(other[["source", "premise", "hypothesis"]])


@pytest.mark.parametrize("name", WORDY)
def test_a_copy_does_not_depend_on_the_other_rows_or_the_batch(name, pairs, monkeypatch):
    whole = augment(pairs, name, seed=5, strength=0.3)
    part = augment(pairs.iloc[100:160], name, seed=5, strength=0.3)
    expected = whole[whole.source.between(100, 159)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part.assign(source=part.source + 100), expected)
    monkeypatch.setattr("seo_core.augmentation.core.CHUNK", 7)
    pd.testing.assert_frame_equal(augment(pairs, name, seed=5, strength=0.3, batch_size=3), whole)


def test_equal_rows_get_different_copies():
    copies = augment(single(*["the car stood before the house in the street"] * 40), "aeda", texts=["text"])
    assert copies.text.nunique() > 10


@pytest.mark.parametrize("name", WORDY)
def test_an_empty_frame_gives_an_empty_frame(name, pairs):
    copies = augment(pairs.iloc[:0], name)
    assert len(copies) == 0 and list(copies) == [*pairs, "source", "operator", "side"]


def test_strength_is_the_share_of_editable_words():
    text = " ".join(["car"] * 40)
    for strength in (0.01, 0.25, 1.0):
        (copy,) = augment(single(text), "aeda", strength=strength, texts=["text"]).text
        assert len(re.findall(r"[.;?:!,]", copy)) == max(1, round(strength * 40))


# -- what is protected ----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["not", "NOT", "Never", "don't", "isn’t", "three", "7", "3.5", "1990s", "every",
                                  "must", "before", "Tuesday", "wet", "Anna", "McDonald", "with"])
def test_words_that_carry_the_label_are_protected(word):
    assert protected(word)


@pytest.mark.parametrize("word", ["car", "quickly", "well-known", "o'clock", "the", "naïve"])
def test_other_words_are_not(word):
    assert not protected(word)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDY)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=6),
       st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from([0, 1, 2]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_protected_words_are_neither_lost_nor_added(name, texts, seed, strength, label):
    frame = pd.DataFrame({"premise": texts, "hypothesis": texts[::-1], "label": label})
    copies = augment(frame, name, seed=seed, strength=strength)
    for row in copies.itertuples():
        before, after = frame[row.side][row.source], getattr(row, row.side)
        assert before != after
        assert not [word for word in changed_words(before, after) if protected(word)]
        if name == "aeda":
            assert changed_words(before, after) == Counter()
        if name == "neighbour":
            new = set(changed_words(before, after)) - set(before.split()) - {"a", "an"}
            beside = row.hypothesis if row.side == "premise" else row.premise
            assert not new & set(beside.lower().split())


# -- pairs ----------------------------------------------------------------------------------------


@NEEDS["eda"]
def test_a_word_goes_only_where_the_label_survives(pairs):
    """Less said is entailed by more: hypotheses of entailments and premises of neutral pairs may lose words."""
    lost = Counter()
    for seed in range(6):
        for row in augment(pairs, "eda", seed=seed, strength=0.2).itertuples():
            before = pairs[row.side][row.source]
            if len(split([getattr(row, row.side)]).ids) < len(split([before]).ids):
                lost[row.side, row.label] += 1
                assert not re.search(r"(?i)\b(no|not|all|some|every|neither)\b", before)
    assert lost and {label for side, label in lost if side == "premise"} == DELETION["premise"]
    assert {label for side, label in lost if side == "hypothesis"} == DELETION["hypothesis"]


@NEEDS["eda"]
def test_pairs_of_another_task_lose_no_word():
    frame = pd.DataFrame({"sentence1": ["the doctor drove the car quickly"] * 60,
                          "sentence2": ["the car is broken"] * 60, "label": 0})
    copies = augment(frame, "eda", texts=("sentence1", "sentence2"))
    for row in copies.itertuples():
        assert len(getattr(row, row.side).split()) >= len(frame[row.side][row.source].split())


def test_another_word_does_not_stand_in_the_hypothesis_of_an_entailment(pairs):
    for seed in range(3):
        copies = augment(pairs, "neighbour", seed=seed)
        assert (copies[copies.label == 0].side == "premise").all()
        assert set(copies[copies.label != 0].side) == {"premise", "hypothesis"}


def test_words_of_both_sides_stay_with_neighbour(pairs):
    copies = augment(pairs, "neighbour", seed=2, strength=1.0)
    for row in copies.itertuples():
        shared = set(pairs.premise[row.source].split()) & set(pairs.hypothesis[row.source].split())
        changed = set(changed_words(pairs[row.side][row.source], getattr(row, row.side)))
        assert not changed & (shared - {"a", "an"})


def test_every_operator_says_which_labels_survive_on_which_side():
    for operator in OPERATORS.values():
        assert set(operator.labels) == {"premise", "hypothesis"}
        assert operator.available() is None or len(operator.available()) > 40


# -- odd texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORDY)
def test_odd_texts_pass(name):
    long = "the teacher bought a car near the river and drove quickly along the road " * 770
    frame = single("👩‍💻🎉 😀", "", "   ", "?!", "אני קונה מכונית חדשה ברחוב", "السيارة السريعة في الشارع", long,
                   "car\x00house car", "मैं बाज़ार में गाड़ी", "naïve café car", "we buy a car \U0001f697 today")
    copies = augment(frame, name, texts=["text"], seed=1)
    assert not set(copies.source) & {0, 1, 2, 3}
    assert 6 in set(copies.source) and len(long.split()) > 10_000
    for row in copies.itertuples():
        before, after = frame.text[row.source], row.text
        kept = [c for c in before if c not in string.ascii_letters + string.punctuation + " "]
        assert Counter(kept) - Counter(after) == Counter() or name == "eda"
        if name == "aeda":
            assert re.sub(r"[.;?:!,] ", "", after) == before


@NEEDS["synonym"]
@pytest.mark.parametrize(("name", "first", "second"), [
    ("synonym", "An automobile stopped beside the huge building, and the tired driver quickly left.",
     "Don't eat an apple before the long meeting of the 3.5 commissions."),
    ("eda", "A car stopped beside the huge building, and the machine tired driver quickly left.",
     "Don't an apple before the long meeting of the 3.5."),
    ("aeda", "A ; car : stopped beside the ! huge building, and the tired : driver quickly left.",
     "Don't ? eat an , apple before the long ! meeting : of the 3.5 committees.")])
def test_a_seed_gives_the_copies_it_always_gave(name, first, second):  # records of experiments rest on that
    texts = single("A car stopped beside the huge building, and the tired driver quickly left.",
                   "Don't eat an apple before the long meeting of the 3.5 committees.")
    assert augment(texts, name, strength=0.3, seed=7, texts=["text"]).text.tolist() == [first, second]


@NEEDS["synonym"]
def test_a_text_without_replaceable_word_is_left_out():
    assert augment(single("He is not here.", "The car is here."), "synonym", texts=["text"]).source.tolist() == [1]


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_splitting_loses_nothing(texts):
    words = split(texts)
    assert ["".join(parts) for parts in words.parts] == texts
    flat = [word for parts in words.parts for word in parts[1::2]]
    assert [words.vocabulary[i] for i in words.ids] == flat
    assert len(words.row) == len(words.place) == len(flat)


@given(st.text(alphabet=string.printable, max_size=40))
@settings(max_examples=100, deadline=None)
def test_a_text_is_split_alike_whatever_stands_beside_it(text):
    assert split([text]).parts[0] == split([text, "naïve"]).parts[0]


def test_marks_and_joiners_stay_with_their_letters():
    assert [p[1::2] for p in split(["गाड़ी में", "don't well-known 3.5 end.", "👩‍💻 ok"]).parts] == [
        ["गाड़ी", "में"], ["don't", "well-known", "3.5", "end"], ["ok"]]


# -- random numbers -------------------------------------------------------------------------------


def test_mix_is_splitmix64():
    state, out = np.uint64(1234567), []
    for _ in range(3):  # the reference generator: state += golden, output = mix(state - golden)
        out.append(int(mix(np.array([state]))[0]))
        state = np.uint64((int(state) + 0x9E3779B97F4A7C15) % 2**64)
    assert out == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_are_even_and_streams_are_apart():
    keys = row_keys([[f"text {i}" for i in range(20_000)]], 0, "eda")
    shares = np.bincount((draw(keys, 1) % np.uint64(10)).astype(int)) / len(keys)
    assert abs(shares - 0.1).max() < 0.01
    assert abs(np.corrcoef(draw(keys, 1).astype(float), draw(keys, 2).astype(float))[0, 1]) < 0.03
    assert not (row_keys([["a"]], 0, "eda") == row_keys([["a"]], 1, "eda")).any()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.floats(0.01, 1.0), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_choose_takes_the_share_of_each_text(lengths, strength, seed):
    words = split([" ".join(["car"] * n) for n in lengths])
    allowed = np.random.default_rng(seed).random(len(words.ids)) < 0.5
    keys = row_keys([[str(n) for n in lengths]], seed, "eda")
    chosen = choose(allowed, words, keys, strength, 0)
    assert allowed[chosen].all() and len(set(chosen)) == len(chosen)
    for row in range(len(lengths)):
        there = int(allowed[words.row == row].sum())
        wanted = max(1, int(np.rint(strength * there))) if there else 0
        assert (words.row[chosen] == row).sum() == wanted


# -- WordNet --------------------------------------------------------------------------------------


@NO_WORDNET
def test_synonyms_keep_the_form():
    found = wordnet.synonyms(["car", "cars", "quickly", "provided", "saw", "not", "mice", "xyzzy", "Car", "anna"])
    assert "automobile" in found["car"] and "automobiles" in found["cars"] and "rapidly" in found["quickly"]
    assert all(word.endswith("ed") for word in found["provided"])
    assert not any(found[word] for word in ("saw", "not", "mice", "xyzzy", "Car", "anna"))
    assert "car" not in found["car"] and not any(protected(w) for ws in found.values() for w in ws)


@pytest.mark.slow
@NO_WORDNET
def test_the_first_sense_is_nltks():
    nltk = pytest.importorskip("nltk")
    from nltk.corpus import wordnet as reference

    try:
        reference.synsets("car")
    except LookupError:
        pytest.skip("NLTK cannot read WordNet here: run python -m seo_core.run setup")
    assert nltk
    lexicon = wordnet._lexicon(str(wordnet.find()))
    nouns = {line.partition(b"%1")[0].decode() for line in lexicon.lines if b"%1" in line}
    words = sorted(noun for noun in nouns if noun.isalpha())
    for lemma in np.random.default_rng(0).choice(words, 150):
        senses = [s for s in reference.synsets(str(lemma), "n") if lemma in [n.lower() for n in s.lemma_names()]]
        first = wordnet._first(lexicon.senses(lemma.encode())["noun"])
        assert lexicon._synset("noun", first) == [n.encode() for n in senses[0].lemma_names()]


@NO_WORDNET
def test_a_word_that_is_nothing_but_an_ending_has_no_synonym():
    endings = ["ing", "ses", "xes", "zes", "ches", "shes", "ies", "ied"]
    assert set(wordnet.synonyms([*endings, "sing", "uses", "eing"])) >= set(endings)
    assert wordnet.synonyms(["ing"])["ing"] == ()


def test_without_wordnet_the_operators_are_absent(monkeypatch):
    monkeypatch.setattr(wordnet, "find", lambda: None)
    for name in ("synonym", "eda"):
        assert "seo_core.run setup" in OPERATORS[name].available()
        with pytest.raises(AugmentationError, match="wordnet-base"):
            augment(single("the car stood in the street"), name, texts=["text"])
    assert OPERATORS["aeda"].available() is None


def test_setup_without_anything_says_none_and_does_not_raise(monkeypatch, tmp_path):
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "none")
    monkeypatch.setattr(wordnet.Path, "home", lambda: tmp_path)
    monkeypatch.setenv("NLTK_DATA", "")
    monkeypatch.setattr(wordnet.sys, "modules", {})
    monkeypatch.setattr(wordnet.sys, "prefix", str(tmp_path))

    def fail(nltk):
        raise OSError("no network")

    monkeypatch.setattr(wordnet, "_download", fail)
    assert wordnet.wordnet_setup() is None and wordnet.wordnet_setup(download=False) is None


@NO_WORDNET
def test_wordnet_in_a_zip_is_read_once(monkeypatch, tmp_path):
    source, expected = wordnet.find(), wordnet.synonyms(["car"])
    with zipfile.ZipFile(tmp_path / "wordnet.zip", "w") as archive:
        for name in wordnet.FILES:
            archive.writestr(f"wordnet/{name}", (source / name).read_bytes())
    monkeypatch.setattr(wordnet, "find", lambda: zipfile.Path(tmp_path / "wordnet.zip") / "wordnet")
    before = wordnet._lexicon.cache_info().misses
    assert wordnet.synonyms(["car"]) == wordnet.synonyms(["car"]) == expected
    assert wordnet._lexicon.cache_info().misses == before + 1


@NO_WORDNET
def test_debians_files_are_copied_whole_with_the_list_nltk_wants(monkeypatch, tmp_path):
    source = wordnet.find()
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "debian")
    (tmp_path / "debian").mkdir()
    for name in wordnet.FILES:
        (tmp_path / "debian" / name).write_bytes((source / name).read_bytes()[:100])
    wordnet._copy_debian(tmp_path / "nltk_data" / "corpora" / "wordnet")
    copied = tmp_path / "nltk_data" / "corpora" / "wordnet"
    lines = (copied / "lexnames").read_text().splitlines()
    assert len(lines) == 45 and lines[3] == "03\tnoun.Tops\t1" and lines[44] == "44\tadj.ppl\t3"
    assert {p.name for p in copied.iterdir()} == {*wordnet.FILES, "lexnames"}
    assert not list((tmp_path / "nltk_data" / "corpora").glob(".*"))


# -- neighbours -----------------------------------------------------------------------------------


def test_neighbours_are_those_of_brute_force():
    table = neighbours.word_table("bundled")
    asked = ["painting", "car", "teacher", "river", "quickly"]
    found = table.neighbours(asked)
    for word in asked:
        cosine = table.unit @ table.unit[table.position[word]]
        cosine[table.position[word]] = -1
        best = [i for i in sorted(range(len(cosine)), key=lambda i: -cosine[i]) if cosine[i] >= neighbours.FLOOR]
        expected = [str(table.words[i]) for i in best if not neighbours.opposed(word, table.words[i])
                    and not neighbours.akin(word, table.words[i])][: neighbours.NEAREST]
        assert [w for w, _ in found[word]] == expected
        assert [v for _, v in found[word]] == [float(cosine[table.position[w]]) for w in expected]


def test_a_words_neighbours_do_not_depend_on_those_asked_with_it():
    table = neighbours.word_table("bundled")
    rng = np.random.default_rng(0)
    words = [str(w) for w in rng.choice(table.words, 150, replace=False)]
    together = table.neighbours(words)
    table.known.clear()
    assert {w: table.neighbours([w])[w] for w in words[::7]} == {w: together[w] for w in words[::7]}
    assert table.neighbours(["qqqqq"]) == {"qqqqq": ()}


def test_the_word_table_has_whole_unprotected_words_only():
    words = set(neighbours.word_table("bundled").words)
    assert {"car", "painting"} <= words and not words & {"not", "three", "##ing", "the", "monday"}
    assert all(re.fullmatch("[a-z]{3,}", w) for w in words)


@pytest.mark.slow
def test_no_neighbour_is_an_opposite_by_wordnet():
    """Of every word of MiniLM's vocabulary: what is written down in ANTONYMS covers all that WordNet knows of them."""
    wordnet = pytest.importorskip("nltk.corpus").wordnet
    if OPERATORS["synonym"].available() is not None:
        pytest.skip("WordNet is not there")
    synsets = [wordnet.synset_from_pos_and_offset(kind, int(line[:8]))  # of the lines with a pointer to an opposite
               for kind, name in zip("nvar", ("noun", "verb", "adj", "adv"), strict=True)
               for line in wordnet.open(f"data.{name}") if " ! " in line]
    known = {(one.name(), two.name()) for synset in synsets for one in synset.lemmas() for two in one.antonyms()}
    table = neighbours.word_table("bundled")
    lemmas = {w: {w} | {wordnet.morphy(w, kind) for kind in "nvar"} for w in map(str, table.words)}
    found = [(w, near) for w, all_near in table.neighbours(list(lemmas)).items() for near, _ in all_near
             if known & {(a, b) for a in lemmas[w] for b in lemmas[near]}]
    assert not found


@pytest.mark.parametrize("word, other, expected", [
    ("accurately", "inaccurate", True), ("happy", "unhappy", True), ("harmful", "harmless", True),
    ("strong", "weaker", True), ("closing", "opened", True), ("divorced", "married", True),
    ("indoors", "outdoor", True),
    ("car", "cars", False), ("under", "red", False), ("house", "household", False), ("strong", "stronger", False)])
def test_opposites_and_negated_words_are_no_neighbours(word, other, expected):
    assert neighbours.opposed(word, other) is neighbours.opposed(other, word) is expected


@pytest.mark.parametrize("word, other, expected", [
    ("car", "cars", True), ("see", "sees", True), ("paint", "painting", True), ("easy", "easily", True),
    ("car", "cat", False), ("road", "street", False), ("paint", "painkiller", False)])
def test_forms_of_one_word_are_no_neighbours(word, other, expected):
    assert neighbours.akin(word, other) is neighbours.akin(other, word) is expected


def test_an_unknown_model_is_named():
    with pytest.raises(AugmentationError, match="no/such-folder|does not exist"):
        augment(single("the car stood in the street"), "neighbour", texts=["text"], model="./no/such-folder")


# -- contextual -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masked_lm(tmp_path_factory):
    """A random one-layer masked LM with the bundled vocabulary."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from seo_core.models.backbone import load_tokenizer

    folder = tmp_path_factory.mktemp("mlm")
    torch.manual_seed(0)
    tokenizer = load_tokenizer()
    network = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1,
                                         num_attention_heads=2, intermediate_size=16, initializer_range=1.0,
                                         max_position_embeddings=64))
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_contextual_fills_words_and_is_the_same_in_any_batch(pairs, masked_lm):
    few = pairs.iloc[:40]
    copies = augment(few, "contextual", model=masked_lm, batch_size=16)
    pd.testing.assert_frame_equal(copies, augment(few, "contextual", model=masked_lm, batch_size=3))
    assert len(copies) > 15 and not copies.hypothesis.str.contains(r"\[MASK\]").any()
    for row in copies.itertuples():
        difference = changed_words(few[row.side][row.source], getattr(row, row.side))
        assert difference and not [word for word in difference if protected(word)]


def test_contextual_cuts_a_text_to_what_its_model_can_read(masked_lm):
    frame = single("guitar teacher " * 100, "the teacher bought a guitar")
    copies = augment(frame, "contextual", model=masked_lm, texts=["text"], strength=0.3)
    assert len(copies) == 2 and copies.text[0].endswith("guitar teacher " * 50)


def test_contextual_says_what_it_needs(monkeypatch, tmp_path):
    from seo_core.augmentation import contextual
    from seo_core.models.backbone import load_backbone

    frame = single("the car stood in the street")
    monkeypatch.setattr(contextual, "absent", lambda: contextual.HOW)
    with pytest.raises(AugmentationError, match="masked language model is missing.*run.*`python -c .*fill-mask"):
        augment(frame, "contextual", texts=["text"])
    network, tokenizer = load_backbone(layers=1)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(AugmentationError, match="no masked-LM head"):
        augment(frame, "contextual", texts=["text"], model=str(tmp_path))


# -- back-translation -----------------------------------------------------------------------------


@NO_APERTIUM
def test_apertium_keeps_every_text_in_its_place():
    """One pass over all, with odd texts between, gives what each text gives alone."""
    texts = ["The car is red.", "no final stop", "", "😀", "First. Second sentence! And a third?",
             "100% of [x] <b>c</b> ^a$ @{}", "A man said: \"stop\"", "שלום", "The house is big."]
    together = translation.apertium(texts, translation.apertium_pair()[0])
    assert len(together) == len(texts) and together[2] == ""
    for i in (0, 1, 4):
        assert translation.apertium([texts[i]], translation.apertium_pair()[0]) == [together[i]]
    assert together[0].startswith("El coche") and together[8].startswith("La casa")


@NO_APERTIUM
def test_back_translation_keeps_what_is_guarded(pairs):
    few = pairs.iloc[:40]
    copies = augment(few, "back_translation")
    assert len(copies) > 20
    for row in copies.itertuples():
        before, after = few[row.side][row.source], getattr(row, row.side)
        assert translation.guarded(before) == translation.guarded(after) and before != after
    pd.testing.assert_frame_equal(copies, augment(few, "back_translation", batch_size=15))


@NO_APERTIUM
def test_back_translation_of_single_texts_does_not_depend_on_the_seed():
    """It has one way of putting a text; a seed can only draw the side of a pair."""
    frame = single("the car stood in the street before the house", "the teacher bought a guitar yesterday")
    first, other = (augment(frame, "back_translation", texts=["text"], seed=seed) for seed in (0, 1))
    assert len(first) and first.equals(other)


def test_a_batch_that_does_not_add_up_is_halved(monkeypatch):
    calls = []

    def merge(texts, mode):  # loses the border after a text with "bad" in it
        calls.append(len(texts))
        out = []
        for i, text in enumerate(texts):
            out[-1:] = [out[-1] + text] if i and "bad" in texts[i - 1] else [*out[-1:], text.upper()]
        return out

    monkeypatch.setattr(translation, "_paragraphs", merge)
    assert translation.apertium(["a", "bad", "", "c", "d"], "x") == ["A", "BAD", "", "C", "D"]
    assert calls[0] == 4 and len(calls) > 1


def test_lost_negation_and_lost_numbers_are_noticed():
    guarded = translation.guarded
    assert guarded("He doesn't see three dogs.") == guarded("He does not see three dogs.")
    assert guarded("He does not see dogs.") != guarded("He sees dogs.")
    assert guarded("He sees 3 dogs.") != guarded("He sees 4 dogs.") and guarded("all dogs") != guarded("some dogs")


def test_marian_models_take_batches_and_keep_the_order(monkeypatch):
    class Tokenizer:
        def __call__(self, texts, **options):
            self.batches.append(len(texts))
            lengths = np.array([len(text.split()) for text in texts])
            return {"texts": texts, "attention_mask": np.arange(options["max_length"]) < lengths[:, None]}

        def batch_decode(self, made, **options):
            return made

    class Network:
        def generate(self, texts, max_length, **options):
            assert max_length == 10  # what the model can write, not a library's default
            return [f"well, {text}" for text in texts]

    Tokenizer.batches = []
    monkeypatch.setattr(translation, "_marian_model", lambda name: (Tokenizer(), Network(), 10))
    frame = single("the car", "the very long road", "", "house", "long " * 10)
    copies = augment(frame, "back_translation", texts=["text"], model="out,back", batch_size=2)
    assert copies.text.tolist() == [f"well, well, {frame.text[i]}" for i in (0, 1, 3)]  # none of nothing, none cut
    assert copies.source.tolist() == [0, 1, 3] and Tokenizer.batches == [2, 2, 2, 1]
    with pytest.raises(AugmentationError, match="two MarianMT models"):
        augment(frame, "back_translation", texts=["text"], model="one")


def marian(folder, seed: int, positions: int) -> str:
    """A random MarianMT model of one layer with a tokenizer of 40 pieces."""
    import json

    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir()
    lines = ["the car stood in the street", "a doctor bought three guitars", "nobody saw the river"] * 20
    for side in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_prefix=str(folder / side),
                                                 vocab_size=40, hard_vocab_limit=False, minloglevel=2)
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    known = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
    known = ["</s>", "<unk>", *(p for p in known if p not in ("<unk>", "<s>", "</s>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(known)}))
    pad = len(known) - 1
    torch.manual_seed(seed)
    MarianMTModel(MarianConfig(
        vocab_size=len(known), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, pad_token_id=pad, eos_token_id=0,
        decoder_start_token_id=pad, max_position_embeddings=positions, init_std=1.0)).save_pretrained(folder)
    files = (str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    MarianTokenizer(*files).save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Recommended")  # another normalizer of punctuation
def test_marian_models_by_path(tmp_path):
    models = ",".join((marian(tmp_path / "out", 0, 32), marian(tmp_path / "back", 1, 256)))  # reads all that out wrote
    frame = single("the car stood in the street", "a doctor bought a guitar", "", "the river", "שלום 😀", "car " * 500)
    one, three = (augment(frame, "back_translation", texts=["text"], model=models, batch_size=n) for n in (1, 3))
    pd.testing.assert_frame_equal(one, three)
    assert len(one) and not {2, 5} & set(one.source)  # a blank text, and one that is too long to be translated whole


def test_a_translation_model_that_cannot_be_loaded_is_named(tmp_path):
    frame = single("the car")
    with pytest.raises(AugmentationError, match="'/no/where' of a translation model does not exist"):
        augment(frame, "back_translation", texts=["text"], model="/no/where,/no/where")
    with pytest.raises(AugmentationError, match=f"cannot load the translation model '{tmp_path}': .*local folder"):
        augment(frame, "back_translation", texts=["text"], model=f"{tmp_path},{tmp_path}")


def test_without_apertium_back_translation_is_absent(monkeypatch):
    monkeypatch.setattr(translation, "apertium_pair", lambda: None)
    assert "apertium-eng-spa" in OPERATORS["back_translation"].available()
    with pytest.raises(AugmentationError, match="apt-get install"):
        augment(single("the car"), "back_translation", texts=["text"])


# -- wrong input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["synonyms", ["synonym"]])
def test_an_unknown_operator_gets_the_nearest_name(operator, pairs):
    with pytest.raises(AugmentationError, match="did you mean 'synonym'"):
        augment(pairs, operator)


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, float("nan"), "0.1", True, None])
def test_strength_is_checked(strength, pairs):
    with pytest.raises(AugmentationError, match="strength"):
        augment(pairs, "aeda", strength=strength)


def test_texts_of_categories_stay_texts(pairs):
    """A new text is none of the column's categories, and would come out missing."""
    frame = pairs.iloc[:20].astype({"premise": "category"})
    copies = augment(frame, "aeda", seed=1)
    expected = augment(pairs.iloc[:20], "aeda", seed=1)
    assert copies.premise.tolist() == expected.premise.tolist() and copies.hypothesis.equals(expected.hypothesis)


def test_the_sides_of_a_pair_may_be_named_in_any_order(pairs):
    copies = augment(pairs, "neighbour", texts=("hypothesis", "premise"), strength=1.0)
    assert (copies.side == "premise")[copies.label == 0].all() and "hypothesis" in set(copies.side)


@pytest.mark.parametrize("wrong, message", [
    ({"texts": None}, "one column or two"), ({"texts": 3}, "one column or two"),
    ({"texts": ("premise", "premise")}, "one column or two"), ({"model": None}, "a hub id or a folder, not None")])
def test_arguments_of_the_wrong_kind_are_named(wrong, message, pairs):
    with pytest.raises(AugmentationError, match=message):
        augment(pairs, "neighbour", **wrong)


@pytest.mark.parametrize("name", ["premise", "label"])
def test_a_column_that_is_there_twice_is_named(name, pairs):
    with pytest.raises(AugmentationError, match=f"more than one column '{name}'"):
        augment(pd.concat([pairs, pairs[[name]]], axis=1), "aeda")


def test_a_missing_resource_is_one_message(monkeypatch, pairs):
    monkeypatch.setattr(translation, "apertium_pair", lambda: None)
    with pytest.raises(AugmentationError) as caught:
        augment(pairs, "back_translation")
    assert caught.value.__suppress_context__ and caught.value.__cause__ is None


def test_wrong_columns_and_texts_are_named(pairs):
    with pytest.raises(AugmentationError, match="'sentence'.*texts=task.texts"):
        augment(pairs, "aeda", texts=("sentence",))
    with pytest.raises(AugmentationError, match="one column or two"):
        augment(pairs, "aeda", texts="premise")
    with pytest.raises(AugmentationError, match="'hypothesis' is (None|nan) in row 2"):
        augment(pairs.iloc[:5].astype(object).assign(hypothesis=["a", "b", None, "c", "d"]), "aeda")


@pytest.mark.parametrize("change, message", [
    ({"seed": -1}, "seed must be 0 or more and a whole number, got -1"), ({"seed": 1.5}, "whole number, got 1.5"),
    ({"seed": "0"}, "whole number, got '0'"), ({"seed": 2**64}, r"seed must be below 2\*\*64"),
    ({"batch_size": -1}, "batch_size must be 1 or more and a whole number, got -1"),
    ({"batch_size": 2.5}, "whole number, got 2.5")])
def test_a_number_that_is_none_is_named(change, message, pairs):
    with pytest.raises(AugmentationError, match=message):
        augment(pairs, "aeda", **change)


def test_texts_need_a_frame():
    with pytest.raises(AugmentationError, match="must be a DataFrame with the columns .*not a list: .*pd.DataFrame"):
        augment(["the car"], "aeda")


@pytest.mark.parametrize("label, message", [
    (None, "no column 'label': give it one of whole numbers .NLI: 0 entailment, 1 neutral, 2 contradiction"),
    ("neutral", "label 'neutral' in row 0: labels are whole numbers"), (0.5, "label 0.5 in row 0"),
    (-1e30, "label -1e[+]30 in row 0"),
    (-1, "none of the 300 pairs has one of the labels 0 entailment.*label the pairs first"),
    (np.nan, "none of the 300 pairs"), (7, "none of the 300 pairs")])
def test_nli_pairs_without_usable_labels_are_refused(label, message, pairs):
    frame = pairs.drop(columns="label") if label is None else pairs.assign(label=label)
    with pytest.raises(AugmentationError, match=message):
        augment(frame, "aeda")


def test_rows_without_a_label_are_left_out_of_nli_pairs_only(pairs):
    few = pairs.iloc[:6].assign(label=[0, -1, 1, -1, 2, -1])
    assert augment(few, "aeda").source.tolist() == [0, 2, 4]
    assert augment(few.assign(label=few.label.where(few.label >= 0)), "aeda").source.tolist() == [0, 2, 4]
    other = few.rename(columns={"premise": "sentence1", "hypothesis": "sentence2"}).drop(columns="label")
    assert len(augment(other, "aeda", texts=("sentence1", "sentence2"))) == 6


# -- the filter -----------------------------------------------------------------------------------


def test_the_filter_keeps_what_the_teacher_supports():
    frame = pd.DataFrame({"premise": "p", "hypothesis": "h", "label": [0, 1, 2, 0]})
    logits = np.array([[4, 0, 0], [4, 0, 0], [0, 0, 0], [0, 1, 0]])
    assert label_filter(frame, logits).tolist() == [True, False, True, False]
    assert label_filter(frame, logits, floor=0.9).tolist() == [True, False, False, False]
    assert label_filter(frame, logits, floor=0.0).all()
    assert label_filter(frame.iloc[:0], np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("logits, message", [
    (np.zeros((2, 2)), "teacher has 2 labels and the data 3"), (np.zeros((2, 4)), "teacher has 4 labels"),
    (np.zeros((3, 3)), r"logits \(2, k\)"), (np.zeros(2), "logits"), (np.full((2, 3), np.nan), "not all finite")])
def test_a_teacher_that_does_not_fit_is_refused(logits, message):
    frame = pd.DataFrame({"premise": "p", "hypothesis": "h", "label": [0, 2]})
    with pytest.raises(AugmentationError, match=message):
        label_filter(frame, logits)


@pytest.mark.parametrize("labels, message", [
    ([0, -1], "frame has label -1 in row 1: .*drop rows without one"), ([0, np.nan], "label nan in row 1"),
    (["0", "1"], "label '0' in row 0: labels are whole numbers"),
    ([1e30, 1], "label 1e[+]30 in row 0"), (None, "frame has no column 'label'"),
    ([0, 3], "frame has label 3 in row 1, and the task's labels are 0 to 2: correct that label")])
def test_labels_that_cannot_be_filtered_are_refused(labels, message):
    frame = pd.DataFrame({"premise": ["p"] * 2, "hypothesis": "h"} | ({} if labels is None else {"label": labels}))
    with pytest.raises(AugmentationError, match=message):
        label_filter(frame, np.zeros((2, 3)))


@pytest.mark.parametrize("floor", [float("nan"), -0.1, 1.1, "0.5", True])
def test_a_floor_is_a_probability(floor):
    frame = pd.DataFrame({"premise": ["p"], "hypothesis": "h", "label": [0]})
    with pytest.raises(AugmentationError, match="floor is a probability between 0 and 1"):
        label_filter(frame, np.zeros((1, 3)), floor=floor)


def test_the_filter_of_a_two_label_task():
    frame = pd.DataFrame({"sentence": ["a", "b"], "label": [0, 1]})
    assert label_filter(frame, [[1, 0], [1, 0]]).tolist() == [True, False]
    with pytest.raises(AugmentationError, match="3 labels and the data 2"):
        label_filter(frame, np.zeros((2, 3)), labels=2)
    assert label_filter(frame, [[1, 0, 0], [0, 1, 0]]).all()  # a class may be absent
    with pytest.raises(AugmentationError, match="teacher has 2 labels and the data 3"):
        label_filter(frame.assign(label=[0, 2]), np.zeros((2, 2)))
