"""Entities as seqeval counts them, and answers as the official script of SQuAD 1.1 does."""

import numpy as np
import pytest

from seo_core import evaluation
from seo_core.data import ANSWERS, TAGS, DataError, encode_for, load_task
from seo_core.evaluation import answer_scores, entities, entity_scores, normalized_answer
from seo_core.models import load_tokenizer


@pytest.mark.parametrize("tags, spans", [
    ("O O", []), ("B-a I-a O", [("a", 0, 1)]), ("B-a B-a I-a", [("a", 0, 0), ("a", 1, 2)]),
    ("I-a I-a O I-a", [("a", 0, 1), ("a", 3, 3)]),  # an I- that continues nothing begins an entity
    ("B-a I-b I-b", [("a", 0, 0), ("b", 1, 2)]), ("O B-a I-b I-a", [("a", 1, 1), ("a", 3, 3), ("b", 2, 2)]),
    ("B-a", [("a", 0, 0)]), ("O I-creative-work I-creative-work", [("creative-work", 1, 2)])])
def test_entities_are_read_as_conlleval_reads_them(tags, spans):
    assert sorted(entities(tags.split())) == spans


# what seqeval 1.2.2 says: precision_score, recall_score, f1_score with average "micro", then the macro F1
@pytest.mark.parametrize("gold, said, expected", [
    (["O O B-m I-m I-m O", "B-p I-p O"], ["O B-m I-m I-m I-m O", "B-p I-p O"], (0.5, 0.5, 0.5, 0.5)),
    (["B-a I-a O B-b"], ["B-a O O B-b"], (0.5, 0.5, 0.5, 0.5)),  # half of an entity is none
    (["B-a O B-b O B-b"], ["B-a O B-a O O"], (0.5, 1 / 3, 0.4, 1 / 3)),
    (["B-a I-a", "B-a"], ["I-a I-a", "B-c"], (0.5, 0.5, 0.5, 1 / 3)),  # c is a type too
    (["B-a O"], ["O O"], (0.0, 0.0, 0.0, 0.0)), (["O O"], ["O B-a"], (0.0, 0.0, 0.0, 0.0)),
    (["B-a B-a", "O"], ["B-a I-a", "O"], (0.0, 0.0, 0.0, 0.0))])
def test_precision_recall_and_f1_are_those_of_seqeval(gold, said, expected):
    found = entity_scores([tags.split() for tags in gold], [tags.split() for tags in said])
    assert [found[name] for name in ("precision", "recall", "f1", "f1_macro")] == pytest.approx(expected)


def test_where_almost_every_word_is_no_entity_accuracy_hides_what_f1_shows():
    task, tokenizer = load_task("embedded", kind=TAGS), load_tokenizer()
    encoded = encode_for(task, task["validation"], tokenizer)
    nothing = np.zeros((len(encoded), encoded.labels.shape[1], len(task.labels)), np.float32)
    nothing[..., 0] = 1.0
    found = evaluation.metrics_of(nothing, encoded)
    assert found["accuracy"] > 0.7 and found["f1"] == found["recall"] == 0.0 and evaluation.measure(found) == "f1"
    perfect = np.eye(len(task.labels), dtype=np.float32)[np.maximum(encoded.labels, 0)]
    found = evaluation.metrics_of(perfect, encoded)
    assert found["f1"] == found["f1_macro"] == found["accuracy"] == 1.0 and found["entities"] > 50
    assert evaluation.hits(perfect, encoded).tolist() == [1] * len(task["validation"])
    assert 0 < evaluation.hits(nothing, encoded).mean() < 1


def test_sentences_in_several_windows_are_scored_as_one():
    task, tokenizer = load_task("embedded", kind=TAGS), load_tokenizer()
    for max_length in (6, 64):
        encoded = encode_for(task, task["validation"], tokenizer, max_length=max_length)
        perfect = np.eye(len(task.labels), dtype=np.float32)[np.maximum(encoded.labels, 0)]
        assert evaluation.metrics_of(perfect, encoded)["f1"] == 1.0
        assert evaluation.metrics_of(perfect, encoded)["entities"] == sum(
            len(entities([task.labels[tag] for tag in tags])) for tags in task["validation"]["label"])


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, expected", [
    ("The Cat, a dog & an  Owl!", "cat dog owl"), ("U.S.", "us"), ("theatre an anthem", "theatre anthem"),
    ("state-of-the-art", "stateoftheart"),  # punctuation goes before articles
    ("«The» ’90s", "« » ’90s"), ("A", ""), ("\tthe\n", "")])  # only ASCII punctuation
def test_answers_are_normalized_as_the_official_script_does(text, expected):
    assert normalized_answer(text) == expected


@pytest.mark.parametrize("said, right, exact, f1", [
    ("the Denver Broncos", ["Denver Broncos"], 1.0, 1.0), ("Broncos", ["Denver Broncos"], 0.0, 2 / 3),
    ("Denver", ["Carolina"], 0.0, 0.0), ("in 1905", ["1905", "the year 1905 of"], 0.0, 2 / 3),  # the maximum
    ("to be to be", ["to be"], 0.0, 2 / 3),  # each word counts as often as it stands in both
    ("the", ["a"], 1.0, 0.0),  # both normalize to nothing: exact, and no word in common
    ("Paris.", ["London", "paris"], 1.0, 1.0)])
def test_exact_match_and_f1_are_those_of_the_official_script(said, right, exact, f1):
    assert answer_scores(said, right) == pytest.approx((exact, f1))


@pytest.mark.parametrize("max_length", [32, 64])
def test_the_best_span_of_all_windows_is_the_answer(max_length):
    task, tokenizer = load_task("embedded", kind=ANSWERS), load_tokenizer()
    frame = task["validation"][:60]
    encoded = encode_for(task, frame, tokenizer, max_length=max_length)
    logits = np.where(np.arange(encoded.lengths.max()) < encoded.lengths[:, None], 0.0, -np.inf)
    logits = np.repeat(logits[:, None], 2, axis=1).astype(np.float32)
    each = np.arange(len(encoded))
    for side in (0, 1):
        logits[each, side, encoded.labels[:, side]] = 9.0  # of a window without the answer that is [CLS]: never said
    found = evaluation.metrics_of(logits, encoded)
    assert found["exact_match"] == found["f1"] == 1.0 and np.isfinite(found["cross_entropy"])
    assert len(evaluation.best_answers(logits, encoded)) == len(frame)
    assert evaluation.hits(logits, encoded).tolist() == [1] * len(frame)


def test_no_answer_is_longer_than_allowed_or_runs_backwards(monkeypatch):
    task, tokenizer = load_task("embedded", kind=ANSWERS), load_tokenizer()
    encoded = encode_for(task, task["validation"][:1], tokenizer, max_length=128)
    logits = np.zeros((1, 2, int(encoded.lengths.max())), np.float32)
    first = int(encoded.first[0])
    logits[0, 0, first], logits[0, 1, encoded.lengths[0] - 2] = 5.0, 5.0  # together the whole context
    assert len(tokenizer.tokenize(evaluation.best_answers(logits, encoded)[0])) <= evaluation.LONGEST_ANSWER
    monkeypatch.setattr(evaluation, "LONGEST_ANSWER", 3)
    assert len(tokenizer.tokenize(evaluation.best_answers(logits, encoded)[0])) <= 3


def test_an_unknown_metric_and_one_that_the_task_lacks_are_refused():
    task, tokenizer = load_task("embedded", kind=TAGS), load_tokenizer()
    encoded = encode_for(task, task["validation"][:5], tokenizer)
    perfect = np.eye(len(task.labels), dtype=np.float32)[np.maximum(encoded.labels, 0)]
    assert evaluation.metric("f1", perfect, encoded) in (0.0, 1.0)
    with pytest.raises(DataError, match="unknown metric 'f2'"):
        evaluation.metric("f2", perfect, encoded)
    with pytest.raises(ValueError, match="exact_match is not a metric of token-classification"):
        evaluation.metric("exact_match", perfect, encoded)
    for kind in (TAGS, ANSWERS):
        with pytest.raises(ValueError, match="the split is empty"):
            evaluation.metrics_of(np.zeros((0, 1, 1)), encode_for(task, task["validation"][:0], tokenizer)
                                  if kind == TAGS else encoded.take(np.zeros(len(encoded), bool)))
