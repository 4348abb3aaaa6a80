"""Tags of words and answers in contexts: read from files, or refused; in windows; and generated."""

import json

import numpy as np
import pandas as pd
import pytest
from one_error import assert_data_error

from seo_core.data import ANSWERS, TAGS, encode_for, load_task
from seo_core.data.loading import load_data
from seo_core.data.sequences import LAYOUTS
from seo_core.data.toys import generate
from seo_core.models import load_tokenizer

SENTENCES = pd.DataFrame({"tokens": [["Anna", "met", "the", "Red", "Cross"], ["It", "rained"]],
                          "ner_tags": [["B-person", "O", "O", "B-group", "I-group"], ["O", "O"]]})
CONTEXT = "  Anna Rossi  went to Oslo. Ben went to Lima."
QUESTIONS = pd.DataFrame({"context": [CONTEXT] * 2, "question": ["Who went to Oslo?", "Where did Ben go?"],
                          "answers": [{"text": ["Anna Rossi", "Anna"], "answer_start": [2, 2]},
                                      {"text": ["Lima"], "answer_start": [40]}]})


def task_of(folder, kind, frame, **options):
    frame.to_json(folder / "train.jsonl", orient="records", lines=True)
    return load_task(folder, kind=kind, **options)


def test_tags_are_numbered_by_type_and_every_format_gives_the_same(tmp_path):
    task = task_of(tmp_path, TAGS, SENTENCES)
    assert task.labels == ("O", "B-group", "I-group", "B-person") and task.texts == ("tokens",) and task.kind == TAGS
    assert task["train"]["tokens"].tolist() == ["Anna met the Red Cross", "It rained"]
    assert task["train"]["label"].tolist() == [(3, 0, 0, 1, 2), (0, 0)]
    (tmp_path / "train.jsonl").unlink()
    SENTENCES.rename(columns={"ner_tags": "t"}).to_parquet(tmp_path / "train.parquet")
    assert load_task(tmp_path, kind=TAGS, label="t").fingerprint == task.fingerprint
    numbers = SENTENCES.assign(ner_tags=[[3, 0, 0, 1, 2], [0, 0]])
    numbers.to_parquet(tmp_path / "train.parquet")
    assert load_task(tmp_path, kind=TAGS, labels=task.labels).fingerprint == task.fingerprint
    names = "".join(f"          '{i}': {name}\n" for i, name in enumerate(task.labels))
    (tmp_path / "README.md").write_text("---\ndataset_info:\n  features:\n  - name: ner_tags\n    sequence:\n"
                                        f"      class_label:\n        names:\n{names}---\n")
    assert load_task(tmp_path, kind=TAGS).fingerprint == task.fingerprint  # the card names them


def test_the_schema_of_a_file_names_its_tags(tmp_path):
    datasets = pytest.importorskip("datasets")
    names = ["O", "B-person", "B-group", "I-group"]
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")),
                                  "ner_tags": datasets.List(datasets.ClassLabel(names=names))})
    data = datasets.Dataset.from_dict({"tokens": SENTENCES["tokens"].tolist(), "ner_tags": [[1, 0, 0, 2, 3], [0, 0]]},
                                      features=features)
    data.to_parquet(tmp_path / "train.parquet")
    assert load_task(tmp_path, kind=TAGS).labels == tuple(names)


def test_answers_are_found_again_where_cleaning_moves_them(tmp_path):
    task = task_of(tmp_path, ANSWERS, QUESTIONS)
    frame = task["train"]
    assert frame["label"].tolist() == [((0, "Anna Rossi"), (0, "Anna")), ((37, "Lima"),)]
    assert all(context[start:].startswith(text) for context, row in zip(frame["context"], frame["label"], strict=True)
               for start, text in row)
    unanswered = QUESTIONS.assign(answers=[{"text": [], "answer_start": []}, QUESTIONS["answers"][1]])
    assert len(task_of(tmp_path, ANSWERS, unanswered)["train"]) == 1


@pytest.mark.parametrize("change, options, words", [
    ({"ner_tags": [["O"] * 6, ["O", "O"]]}, {}, ["train.jsonl", "line 1", "6 tags for a sentence of 5 words"]),
    ({"ner_tags": [["O"] * 5, ["O", "person"]]}, {}, ["line 2", "unknown tag 'person'", "B- or I- with a type"]),
    ({"ner_tags": [["O"] * 5, ["O", "B-persn"]]}, {"labels": ("O", "B-person")}, ["unknown tag 'B-persn'", "did you"]),
    ({"ner_tags": [[0] * 5, [0, 7]]}, {"labels": ("O", "B-person")}, ["unknown tag 7", "there are 2"]),
    ({"ner_tags": [[0] * 5, [0, 1]]}, {}, ["unknown tag 0", "labels="]),
    ({"ner_tags": [["O"] * 5, ["O", ["O"]]]}, {}, ["line 2", "unknown tag ['O']"]),
    ({"ner_tags": [[0, 1, 0, 0, 0], [0, True]]}, {"labels": ("O", "B-person")}, ["line 2", "unknown tag True"]),
    ({"tokens": ["Anna met the Red Cross", "It rained"]}, {}, ["line 1", "a list of tokens is expected"]),
    ({"tokens": [["Anna", "met", "the", "Red", " "], ["It", "rained"]]}, {}, ["' ' is no word"]),
    ({}, {"text": ("a", "b")}, ["1 columns of text"])])
def test_tags_that_do_not_fit_are_one_clear_error(tmp_path, change, options, words):
    assert_data_error(lambda: task_of(tmp_path, TAGS, SENTENCES.assign(**change), **options), *words)


@pytest.mark.parametrize("answer, words", [
    ({"text": ["Rome"], "answer_start": [2]}, ["line 1", "'Rome' is not in its context at character 2"]),
    ({"text": ["Anna"], "answer_start": [3]}, ["'Anna' is not in its context at character 3"]),
    ({"text": ["Anna"], "answer_start": [-1]}, ["not in its context"]),
    ({"text": ["Anna"], "answer_start": []}, ["of one length"]), ("Anna", ["answers must be"])])
def test_answers_that_are_not_in_their_context_are_one_clear_error(tmp_path, answer, words):
    frame = QUESTIONS.assign(answers=[answer, QUESTIONS["answers"][1]])
    assert_data_error(lambda: task_of(tmp_path, ANSWERS, frame), *words)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_empty_files_and_unknown_kinds_are_refused(tmp_path, kind):
    (tmp_path / "train.jsonl").write_text("")
    assert_data_error(lambda: load_task(tmp_path, kind=kind), "the file is empty")
    (tmp_path / "train.jsonl").unlink()
    generate(kind, 2)["train"].iloc[:0].to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_task(tmp_path, kind=kind), "has no rows")
    assert_data_error(lambda: load_task(tmp_path, kind="token-clasification"), "did you mean 'token-classification'")


def test_answers_have_no_classes(tmp_path):
    assert_data_error(lambda: task_of(tmp_path, ANSWERS, QUESTIONS, labels=("a", "b")), "leave labels out")


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


@pytest.mark.parametrize("max_length", [8, 11, 64])
def test_every_word_has_its_tag_once_at_its_first_piece(tmp_path, tokenizer, max_length):
    words = [f"{w}{i}xyz" for i, w in enumerate(["Kyoto", "rhododendron", "a", "O'Neill", "#tag", "\u200b"] * 4)]
    tags = [["O", "B-x", "I-x"][i % 3] for i in range(len(words))]
    task = task_of(tmp_path, TAGS, pd.DataFrame({"tokens": [words, ["one"]], "ner_tags": [tags, ["B-x"]]}))
    encoded = encode_for(task, task["train"], tokenizer, max_length=max_length)
    assert encoded.lengths.max() <= max_length and set(encoded.example) == {0, 1}
    assert encoded.labels[encoded.labels >= 0].tolist() == [*task["train"]["label"][0], *task["train"]["label"][1]]
    window, place = np.nonzero(encoded.labels >= 0)
    pieces = tokenizer.convert_ids_to_tokens(encoded.ids[encoded.offsets[window] + place])
    assert not any(piece.startswith("##") for piece in pieces)
    assert tokenizer.backend_tokenizer.truncation is None  # as it was


def test_a_word_that_has_no_token_is_unknown_and_keeps_its_tag(tmp_path, tokenizer):
    frame = pd.DataFrame({"tokens": [["Anna", "\u200b", "left"]], "ner_tags": [["B-x", "I-x", "O"]]})
    task = task_of(tmp_path, TAGS, frame)
    encoded = encode_for(task, task["train"], tokenizer)
    assert encoded.labels[0][encoded.labels[0] >= 0].tolist() == list(task["train"]["label"][0])
    assert tokenizer.unk_token_id in encoded.ids


@pytest.mark.parametrize("max_length", [24, 30, 128])
def test_an_answer_is_labelled_in_the_windows_that_have_all_of_it(tmp_path, tokenizer, max_length):
    long = " ".join(f"Sentence number {i} says nothing." for i in range(40))
    context = f"{long} The prize went to Maria Silva in Cape Town. {long}"
    frame = pd.DataFrame({"context": [context], "question": ["Who won?"], "answers": [
        {"text": ["Maria Silva"], "answer_start": [context.index("Maria")]}]})
    task = task_of(tmp_path, ANSWERS, frame)
    encoded = encode_for(task, task["train"], tokenizer, max_length=max_length)
    has = encoded.labels[:, 0] > 0
    assert len(encoded) > 3 and 1 <= has.sum() < len(encoded) and encoded.lengths.max() <= max_length
    assert (encoded.labels[~has] == 0).all()  # the others point at their first token
    grid, (first, last) = encoded.grid()[has], encoded.labels[has].T
    each = np.arange(len(grid))
    for begin, end in zip(grid[each, first, 0], grid[each, last, 1], strict=True):
        assert task["train"]["context"][0][begin:end] == "Maria Silva"


def test_taking_windows_keeps_what_belongs_to_them(tokenizer):
    task = load_task("embedded", kind=ANSWERS)
    encoded = encode_for(task, task["validation"][:20], tokenizer, max_length=32)
    some = encoded.take([5, 2, 2])
    assert some.example.tolist() == encoded.example[[5, 2, 2]].tolist()
    assert np.array_equal(some.grid()[0][: some.lengths[0]], encoded.grid()[5][: some.lengths[0]])
    assert set(encoded.of([3, 7]).example) == {3, 7}
    assert some.arrays([0, 1])["labels"].shape == (2, 2)


def test_no_room_for_a_text_is_an_error(tokenizer):
    task = load_task("embedded", kind=ANSWERS)
    with pytest.raises(ValueError, match="leaves no room"):
        encode_for(task, task["validation"], tokenizer, max_length=6)


# --- generated, and at hand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LAYOUTS)
def test_generated_rows_are_right_seeded_and_split_for_a_chapter(kind, tmp_path):
    frame = generate(kind, 300, seed=3)["train"]
    assert frame.equals(generate(kind, 300, seed=3)["train"]) and not frame.equals(generate(kind, 300)["train"])
    if kind == ANSWERS:
        assert all(c[a["answer_start"][0]:].startswith(a["text"][0])
                   for c, a in zip(frame["context"], frame["answers"], strict=True))
    else:
        tags = [tag for row in frame["ner_tags"] for tag in row]
        assert 0 < tags.count("B-group") < tags.count("B-location") < tags.count("B-person") < tags.count("O") / 3
    assert set(load_data("embedded", kind=kind).splits) == {"train", "validation_matched"}
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")))
    carved = load_data(tmp_path, kind=kind)  # of one file a tenth is kept
    assert len(carved["validation_matched"]) > 5
    shared = set(carved["train"].iloc[:, 0]) & set(carved["validation_matched"].iloc[:, 0])
    assert not shared


@pytest.mark.parametrize("kind, name, rows", [(TAGS, "wnut_17", 1009), (ANSWERS, "xquad_en", 1190)])
def test_public_sets_load_whole(kind, name, rows, real_data):
    task = load_task(real_data(name), kind=kind)
    assert len(task["validation"]) == rows
    assert kind == ANSWERS or task.labels[0] == "O" and len(task.labels) == 13
