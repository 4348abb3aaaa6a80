"""The four stages: masked words, soft labels, their injection, fine-tuning."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seo_core.distillation import DistillationError
from seo_core.models import load_tokenizer
from seo_core.tkd import (
    Injection,
    MaskedWords,
    Shape,
    build,
    fine_tune,
    frequency_cross_entropy,
    inject,
    pretrain,
    soft_labels,
)
from seo_core.training import TrainingConfig, TrainingError

LABELS = ("a", "b", "c")
CONFIG = TrainingConfig(learning_rate=3e-3, epochs=3, batch_size=16, freeze_embeddings=False, precision="fp32")


class Words:
    """What the stages ask of a tokenizer of 100 words."""

    mask_token_id, all_special_ids = 4, [0, 1, 2, 3, 4]

    def __init__(self, names="abc"):
        self.names = names

    def get_vocab(self):
        return {name: i for i, name in enumerate(self.names)}


def student(seed=0, labels=LABELS, layers=2):
    return build(Shape(layers=layers, heads=4, hidden=32, neurons=64), vocabulary=100, labels=labels, positions=64,
                 seed=seed)


@pytest.fixture
def teacher(tiny_bert):
    return tiny_bert().eval()


def test_masks_are_15_percent_new_each_epoch_and_the_same_for_a_seed(toy_pairs):
    texts = toy_pairs(2000)
    words = MaskedWords(student(), texts, Words(), seed=1)
    masked, chosen = words.masked(0)
    special = np.isin(texts.ids, Words.all_special_ids)
    share = chosen.ids[~special].mean()
    assert 0.14 < share < 0.16 and not chosen.ids[special].any()
    assert (masked.ids[chosen.ids == 0] == texts.ids[chosen.ids == 0]).all()
    of_chosen = masked.ids[chosen.ids == 1]
    assert 0.77 < (of_chosen == 4).mean() < 0.83
    assert 0.08 < (of_chosen == texts.ids[chosen.ids == 1]).mean() < 0.13
    again, other = MaskedWords(student(), texts, Words(), seed=1), words.masked(1)[1]
    assert np.array_equal(again.masked(0)[0].ids, masked.ids) and not np.array_equal(other.ids, chosen.ids)


def test_the_loss_reads_the_masked_words_alone(toy_pairs):
    """Against the same computation, one token at a time."""
    texts, model = toy_pairs(4), student()
    words = MaskedWords(model, texts, Words())
    masked, words.chosen = words.masked(0)
    rows = np.arange(4)
    from seo_core.models.fastpath import FastBertClassifier

    batch = {"rows": torch.from_numpy(rows), "inputs": masked.inputs(rows)}
    logits, batch["states"] = FastBertClassifier(model).eval()(**batch["inputs"], collect=words.collect)
    found = float(words(logits, batch).detach())
    states = model.eval().bert(**batch["inputs"]).last_hidden_state
    each = []
    for row in rows:
        begin = texts.offsets[row]
        for t in range(texts.lengths[row]):
            if words.chosen.ids[begin + t]:
                scores = words.transform(states[row, t]) @ model.bert.embeddings.word_embeddings.weight.T + words.bias
                each.append(-float(torch.log_softmax(scores, -1)[texts.ids[begin + t]].detach()))
    assert found == pytest.approx(np.mean(each), abs=1e-4)


def test_what_word_frequencies_alone_cost_is_their_entropy(toy_pairs):
    texts = toy_pairs(4)
    words = [7, 7, 8, 9]  # and special tokens, which nobody has to say
    ids = np.array([*words, *Words.all_special_ids], texts.ids.dtype)
    cost = frequency_cross_entropy(replace(texts, ids=ids), Words())
    assert cost == pytest.approx(-np.mean(np.log([words.count(word) / 4 for word in words])))


@pytest.mark.trains
def test_pretraining_learns_words_and_leaves_the_positions(toy_pairs):
    texts, model = toy_pairs(256), student()
    texts.ids[:] = np.where(texts.ids > 4, 5 + texts.ids % 3, texts.ids)  # three words: there is something to learn
    before = model.bert.embeddings.position_embeddings.weight.clone()
    result = pretrain(model, texts, Words(), CONFIG, progress=False)
    losses = result.series["train_loss"]
    assert losses[-1] < 0.7 * losses[0] and losses[0] < np.log(100)
    assert torch.equal(model.bert.embeddings.position_embeddings.weight, before)


@pytest.mark.trains
def test_a_stopped_pretraining_goes_on_to_the_same_weights(toy_pairs, tmp_path):
    texts, whole, halves = toy_pairs(64), student(), student()
    config = replace(CONFIG, checkpoint_every=1)
    pretrain(whole, texts, Words(), config, progress=False)

    class Stop(BaseException):
        pass

    words = MaskedWords(halves, replace(texts, labels=np.full(64, -1)), Words())

    def stop(event, state):
        if event == "step" and state.step == 6:
            raise Stop
        return False

    from seo_core.training import fit

    with pytest.raises(Stop):  # in the second of three epochs
        fit(halves, words.texts, config=config, loss=words, callbacks=[words.renew, stop], checkpoint_dir=tmp_path,
            progress=False)
    resumed = student()
    pretrain(resumed, texts, Words(), config, checkpoint_dir=tmp_path, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-6), name


@pytest.mark.trains
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_injection_follows_the_teacher_the_labels_or_both(toy_pairs, teacher, tmp_path, weight):
    """At weight 0 what the teacher says counts for nothing, at weight 1 the labels do."""
    train, model = toy_pairs(64), student()
    soft = soft_labels(model, teacher, train, tmp_path)
    found = {}
    for name, labels, targets in (("both", train.labels, soft), ("other labels", (train.labels + 1) % 3, soft),
                                  ("other teacher", train.labels, -soft)):
        trained = student()
        inject(trained, replace(train, labels=labels), targets, Injection(weight=weight), replace(CONFIG, epochs=1),
               progress=False)
        found[name] = trained.classifier.weight.detach()
    assert torch.equal(found["both"], found["other labels"]) == (weight == 1)
    assert torch.equal(found["both"], found["other teacher"]) == (weight == 0)


@pytest.mark.trains
def test_without_a_weight_no_teacher_is_asked_and_fine_tuning_reads_labels(toy_pairs):
    train, first, second = toy_pairs(64), student(), student()
    inject(first, train, None, Injection(weight=0), CONFIG, progress=False)
    fine_tune(second, train, CONFIG, progress=False)
    assert torch.allclose(first.classifier.weight, second.classifier.weight, atol=1e-6), "equal steps, equal loss"


def test_a_teacher_of_other_classes_or_another_tokenizer_is_refused(toy_pairs, teacher, tmp_path):
    train = toy_pairs(8)
    with pytest.raises(DistillationError, match="wrong teacher: it has 3 classes and the student has 2"):
        soft_labels(student(labels=("a", "b")), teacher, train, tmp_path)
    teacher.config.id2label = {0: "x", 1: "y", 2: "z"}
    with pytest.raises(DistillationError, match="its classes are x, y, z, the student's a, b, c"):
        soft_labels(student(), teacher, train, tmp_path)
    teacher.config.id2label = dict(enumerate(LABELS))
    with pytest.raises(DistillationError, match="its tokenizer has another vocabulary"):
        soft_labels(student(), teacher, train, tmp_path, tokenizers=(Words(), Words("abcd")))
    assert not list(tmp_path.iterdir()), "nothing was written"


@pytest.mark.parametrize("wrong, message", [
    ({"temperature": 0}, "temperature must be above 0, got 0"), ({"temperature": -1.0}, "temperature must be above 0"),
    ({"weight": 1.1}, "weight must be between 0 and 1, got 1.1"), ({"weight": -0.1}, "weight must be between 0 and 1")])
def test_values_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Injection(**wrong)


def test_a_tokenizer_without_a_mask_cannot_pretrain(toy_pairs):
    words = Words()
    words.mask_token_id = None
    with pytest.raises(TrainingError, match="no mask token"):
        MaskedWords(student(), toy_pairs(4), words)
    assert load_tokenizer().mask_token_id is not None
