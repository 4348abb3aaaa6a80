"""Distillation: the losses against their formulas, cached logits, students, wrong teachers, resuming."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.distillation import (
    Distillation,
    DistillationConfig,
    DistillationError,
    cached_logits,
    check_pair,
    even_layers,
    hard_loss,
    hidden_loss,
    narrow,
    relation_loss,
    select_layers,
    soft_loss,
)
from seo_core.evaluation import predict
from seo_core.models.fastpath import Collect, FastBertClassifier
from seo_core.training import TrainingConfig, TrainingError, fit

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=3)
INNER = DistillationConfig(weight=0.5, hidden=1.0, relations=1.0, relation_heads=4)


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------
# Losses


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 8), size=st.floats(0.1, 10))
def test_soft_loss_is_the_formula_and_zero_for_equal_logits(seed, temperature, size):
    s, t = (size * _random(5, 3, seed=seed + i).double() for i in (0, 1))
    p, q = (np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True) for z in (t.numpy(), s.numpy()))
    expected = temperature**2 * (p * (np.log(p) - np.log(q))).sum(1).mean()
    assert float(soft_loss(s, t, temperature)) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert float(soft_loss(t, t, temperature)) == pytest.approx(0, abs=1e-5)
    shifted = t + 3.0  # a constant on all logits of a row changes no probability
    assert float(soft_loss(s, shifted, temperature)) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_soft_gradient_keeps_its_size_over_temperature():
    sizes = []
    for temperature in (5.0, 20.0):
        s = _random(6, 3).requires_grad_()
        soft_loss(s, _random(6, 3, seed=1), temperature).backward()
        sizes.append(float(s.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)  # without τ² it would be 16 times smaller


def test_unlabelled_rows_have_no_hard_loss():
    logits, labels = _random(4, 3), torch.tensor([0, -1, 2, -1])
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], labels[[0, 2]], reduction="sum") / 4
    assert float(hard_loss(logits, labels)) == pytest.approx(float(expected))
    assert float(hard_loss(logits, torch.full((4,), -1))) == 0


def test_of_scores_both_parts_are_squared_errors_and_no_temperature_counts():
    student, teacher = torch.tensor([[1.0], [3.0], [0.5]]), torch.tensor([[2.0], [3.0], [0.0]])
    assert float(soft_loss(student, teacher, 5.0)) == pytest.approx((1 + 0 + 0.25) / 3)
    assert float(hard_loss(student, torch.tensor([1.0, 1.0, -1.0]))) == pytest.approx((0 + 4) / 3)


def test_hidden_loss_leaves_padding_out_and_projects():
    student, teacher = _random(2, 5, 4), _random(2, 5, 6, seed=1)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    projection = torch.nn.Linear(4, 6, bias=False).requires_grad_(False)
    expected = ((student[mask] @ projection.weight.T - teacher[mask]) ** 2).mean()
    found = hidden_loss(student, teacher, mask, projection)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    student[0, 4], teacher[0, 3] = 99.0, -99.0  # padding
    assert float(hidden_loss(student, teacher, mask, projection)) == pytest.approx(float(found))
    with pytest.raises(DistillationError, match="4 and 6 units"):
        hidden_loss(student, teacher, mask)


def _relations_by_hand(student, teacher, mask, heads):
    total = 0.0
    for first, second in ((0, 1), (2, 2)):
        values = []
        for row in range(len(mask)):
            n = int(mask[row].sum())
            for head in range(heads):
                p, q = [], []
                for z, out in ((teacher, p), (student, q)):
                    width = z[0].shape[-1] // heads
                    part = slice(head * width, (head + 1) * width)
                    scores = z[first][row, :n, part] @ z[second][row, :n, part].T / width**0.5
                    out.append(torch.softmax(scores, -1))
                values.append((p[0] * (p[0] / q[0]).log()).sum(-1))  # (n,)
        total += torch.cat(values).mean()
    return float(total)


def test_relation_loss_is_the_formula_for_networks_of_different_width():
    student, teacher = [_random(2, 5, 8, seed=i) for i in range(3)], [_random(2, 5, 12, seed=9 + i) for i in range(3)]
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    found = relation_loss(student, teacher, mask, heads=2)
    assert float(found) == pytest.approx(_relations_by_hand(student, teacher, mask, 2), rel=1e-4)
    student[0][0, 3:] = 50.0  # padding, as query, key and value
    student[1][0, 3:] = 50.0
    student[2][0, 3:] = 50.0
    assert float(relation_loss(student, teacher, mask, heads=2)) == pytest.approx(float(found), rel=1e-5)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_relations_do_not_see_a_rotation_within_a_head(seed):
    student, teacher = [_random(1, 4, 6, seed=seed + i) for i in range(3)], [_random(1, 4, 6, seed=i) for i in range(3)]
    mask, turn = torch.ones(1, 4).bool(), torch.linalg.qr(_random(3, 3, seed=seed + 7))[0]
    turned = [(z.unflatten(-1, (2, 3)) @ turn).flatten(-2) for z in student]
    expected = relation_loss(student, teacher, mask, heads=2)
    torch.testing.assert_close(relation_loss(turned, teacher, mask, heads=2), expected, rtol=1e-4, atol=1e-5)
    assert float(relation_loss(teacher, teacher, mask, heads=2)) == pytest.approx(0, abs=1e-6)


# ---------------------------------------------------------------------------------------------
# States of the fast path


def test_collected_states_are_the_stock_networks(tiny_bert, toy_pairs):
    model = tiny_bert(dropout=0.0, layers=3).eval()
    batch = {k: v for k, v in toy_pairs(6).batch(range(6)).items() if k != "labels"}
    fast = FastBertClassifier(model, multiple=1).eval()
    with torch.no_grad():
        stock = model(**batch, output_hidden_states=True, output_attentions=False)
        logits, states = fast(**batch, collect=Collect(hidden=(0, 2, 3), relations=(1, 3)))
        alone = fast.states(Collect(hidden=(2,), relations=(1,)), **batch)
        plain = fast(**batch)
    assert set(states.hidden) == {0, 2, 3} and set(states.relations) == {1, 3}
    torch.testing.assert_close(logits, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits, stock.logits, atol=1e-5, rtol=1e-5)
    real = batch["attention_mask"].bool()
    for number, hidden in states.hidden.items():
        torch.testing.assert_close(hidden[real], stock.hidden_states[number][real], atol=1e-5, rtol=1e-5)
    attention = model.bert.encoder.layer[2].attention.self
    for part, value in zip((attention.query, attention.key, attention.value), states.relations[3], strict=True):
        torch.testing.assert_close(value[real], part(stock.hidden_states[2])[real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.hidden[2], states.hidden[2])
    torch.testing.assert_close(alone.relations[1], states.relations[1])


def test_relations_of_the_last_layer_leave_the_logits_as_they_are(tiny_bert, toy_pairs):
    fast = FastBertClassifier(tiny_bert(dropout=0.0)).eval()
    batch = {k: v for k, v in toy_pairs(6).batch(range(6)).items() if k != "labels"}
    with torch.no_grad():
        logits, states = fast(**batch, collect=Collect(relations=(2,)))
        torch.testing.assert_close(logits, fast(**batch), atol=1e-6, rtol=1e-6)
    assert states.relations[2][0].shape[1] == states.mask.shape[1]  # queries of every token
    with pytest.raises(ValueError, match="layer 3 was asked for and the network has 2"):
        fast(**batch, collect=Collect(hidden=(3,)))


# ---------------------------------------------------------------------------------------------
# The loss in the training loop


@pytest.mark.trains
def test_the_parts_are_weighed_and_the_teacher_is_not_trained(tiny_bert, toy_pairs, tmp_path):
    teacher, pairs = tiny_bert(seed=1, layers=3), toy_pairs(16)
    student, before = select_layers(teacher, [0, 2]), {k: v.clone() for k, v in teacher.state_dict().items()}
    targets = cached_logits(teacher, pairs, tmp_path)
    config = replace(INNER, temperature=3.0, hidden=2.0, relations=5.0)
    loss = Distillation(student, pairs, targets=targets, teacher=teacher, config=config)
    assert not list(loss.parameters())  # equal widths need no projection, and the teacher is none of its modules
    batch = pairs.batch(range(16)) | {"rows": torch.arange(16)}
    batch["inputs"] = {k: batch[k] for k in ("input_ids", "attention_mask", "token_type_ids")}
    fast = FastBertClassifier(student.eval()).eval()
    logits, batch["states"] = fast(**batch["inputs"], collect=loss.collect)
    parts = loss.parts(logits, batch)
    assert set(parts) == {"hard", "soft", "hidden", "relations"}
    expected = 0.5 * parts["hard"] + 0.5 * parts["soft"] + 2 * parts["hidden"] + 5 * parts["relations"]
    torch.testing.assert_close(loss(logits, batch), expected)
    torch.testing.assert_close(parts["soft"], soft_loss(logits, torch.from_numpy(targets), 3.0))
    fit(student, pairs, config=CONFIG, loss=loss, progress=False)
    assert all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())


@pytest.mark.trains
def test_a_student_comes_to_agree_with_its_teacher_without_labels(tiny_bert, toy_pairs, tmp_path):
    teacher, pairs = tiny_bert(dropout=0.0, seed=1, layers=3), toy_pairs(128)
    fit(teacher, pairs, config=replace(CONFIG, epochs=8, seed=1), progress=False)
    student = select_layers(tiny_bert(dropout=0.0, seed=5), [0])
    unlabelled = replace(pairs, labels=0 * pairs.labels - 1)
    targets = cached_logits(teacher, unlabelled, tmp_path)
    loss = Distillation(student, unlabelled, targets=targets)
    agree = [np.mean(predict(student, pairs).argmax(1) == targets.argmax(1))]
    found = fit(student, unlabelled, config=replace(CONFIG, epochs=10), loss=loss, progress=False)
    agree.append(np.mean(predict(student, pairs).argmax(1) == targets.argmax(1)))
    assert agree[1] > max(0.75, agree[0])
    assert found.series["train_accuracy"] == [0.0] * 10  # nothing is labelled
    assert found.series["train_loss"][-1] < found.series["train_loss"][0]


@pytest.mark.trains
def test_a_projection_is_learned_and_a_resumed_run_ends_at_the_same_weights(tiny_bert, toy_pairs, tmp_path):
    from transformers import BertForSequenceClassification

    wide, pairs = tiny_bert(seed=1).config, toy_pairs(40)
    wide.hidden_size, wide.intermediate_size = 48, 48
    torch.manual_seed(0)
    teacher = BertForSequenceClassification(wide)
    targets = cached_logits(teacher, pairs, tmp_path / "cache")

    def train(checkpoint=None, stop=None):
        student = tiny_bert(seed=3)
        loss = Distillation(student, pairs, targets=targets, teacher=teacher, config=INNER)
        fit(student, pairs, config=CONFIG, loss=loss, checkpoint_dir=checkpoint, progress=False,
            callbacks=[lambda event, state: stop is not None and state.step == stop])
        return student.state_dict() | {f"loss.{k}": v for k, v in loss.state_dict().items()}

    start = Distillation(tiny_bert(seed=3), pairs, targets=targets, teacher=teacher, config=INNER).projection.weight
    whole = train()
    assert whole["loss.projection.weight"].shape == (48, 32)
    assert not torch.equal(whole["loss.projection.weight"], start)
    interrupt = Interrupt(4)
    with pytest.raises(KeyboardInterrupt):
        student = tiny_bert(seed=3)
        fit(student, pairs, config=CONFIG, progress=False, checkpoint_dir=tmp_path / "run", callbacks=[interrupt],
            loss=Distillation(student, pairs, targets=targets, teacher=teacher, config=INNER))
    resumed = train(tmp_path / "run")
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


class Interrupt:
    """A callback that stops the run as Ctrl-C does, after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, event, state):
        if event == "step" and state.step == self.steps:
            raise KeyboardInterrupt


def test_a_loss_on_states_needs_the_fast_path(tiny_bert, toy_pairs, tmp_path):
    teacher, pairs = tiny_bert(), toy_pairs(8)
    loss = Distillation(tiny_bert(), pairs, targets=cached_logits(teacher, pairs, tmp_path), teacher=teacher,
                        config=INNER)
    with pytest.raises(TrainingError, match="fast path"):
        fit(tiny_bert(), pairs, config=replace(CONFIG, fast=False), loss=loss, progress=False)


# ---------------------------------------------------------------------------------------------
# Wrong teachers, wrong requests


def test_a_wrong_teacher_is_one_clear_error(tiny_bert, toy_pairs, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    student, pairs = tiny_bert(), toy_pairs(8)
    targets = cached_logits(student, pairs, tmp_path)
    with pytest.raises(DistillationError, match="it has 2 classes and the student has 3"):
        Distillation(student, pairs, targets=targets, teacher=tiny_bert(num_labels=2))
    student.config.id2label = dict(enumerate(("entailment", "neutral", "contradiction")))
    other = tiny_bert()
    other.config.id2label = dict(enumerate(("contradiction", "neutral", "entailment")))
    with pytest.raises(DistillationError, match="classes are contradiction, neutral, entailment"):
        check_pair(student, other)
    small = BertForSequenceClassification(BertConfig(**{**tiny_bert().config.to_diff_dict(), "vocab_size": 50}))
    with pytest.raises(DistillationError, match="reads 50 token ids and the student 100"):
        Distillation(student, pairs, targets=targets, teacher=small, config=INNER)
    with pytest.raises(DistillationError, match="word table has 50 rows"):
        cached_logits(small, pairs, tmp_path)
    check_pair(student, small)  # for logits alone its tokenizer may be another


class _Vocabulary:
    def __init__(self, words):
        self.words = words

    def get_vocab(self):
        return {w: i for i, w in enumerate(self.words)}


def test_another_tokenizer_of_the_same_size_is_noticed(tiny_bert):
    one, other = _Vocabulary(["a", "b"]), _Vocabulary(["b", "a"])
    check_pair(tiny_bert(), tiny_bert(), tokenizers=(one, one), states=True)
    with pytest.raises(DistillationError, match="another vocabulary"):
        check_pair(tiny_bert(), tiny_bert(), tokenizers=(one, other), states=True)


def test_requests_that_cannot_be_met_are_refused(tiny_bert, toy_pairs, tmp_path):
    student, pairs = tiny_bert(), toy_pairs(8)
    targets = cached_logits(student, pairs, tmp_path)
    with pytest.raises(DistillationError, match="pass targets="):
        Distillation(student, pairs)
    with pytest.raises(DistillationError, match="pass teacher="):
        Distillation(student, pairs, targets=targets, config=INNER)
    with pytest.raises(DistillationError, match=r"\(8, 3\)"):
        Distillation(student, pairs, targets=targets[:5])
    with pytest.raises(ValueError, match="relation_heads must be 1 or more"):
        replace(INNER, relation_heads=0)
    with pytest.raises(DistillationError, match="5 relation heads"):
        Distillation(student, pairs, targets=targets, teacher=student, config=replace(INNER, relation_heads=5))
    with pytest.raises(DistillationError, match="the teacher has 2 layers, and layer 4"):
        Distillation(student, pairs, targets=targets, teacher=student, config=replace(INNER, layers=((1, 4),)))
    with pytest.raises(DistillationError, match="3 layers has no counterpart"):
        even_layers(3, 2)
    assert even_layers(3, 6) == ((1, 2), (2, 4), (3, 6)) and even_layers(2, 5) == ((1, 3), (2, 5))
    for wrong in (dict(temperature=0), dict(weight=1.2), dict(hidden=-1), dict(logits=0)):
        with pytest.raises(ValueError, match="must be"):
            DistillationConfig(**wrong)


# ---------------------------------------------------------------------------------------------
# Students


def test_selected_layers_are_the_teachers(tiny_bert, toy_pairs):
    teacher, pairs = tiny_bert(layers=4).eval(), toy_pairs(8)
    student = select_layers(teacher, [0, 3])
    assert type(student) is type(teacher) and student.config.num_hidden_layers == 2
    mine, theirs = (dict(m.bert.encoder.layer.named_parameters()) for m in (student, teacher))
    for name, value in mine.items():
        number, rest = name.split(".", 1)
        assert torch.equal(value, theirs[f"{[0, 3][int(number)]}.{rest}"])
    assert torch.equal(student.classifier.weight, teacher.classifier.weight)
    assert np.array_equal(predict(select_layers(teacher, range(4)), pairs), predict(teacher, pairs))
    with torch.no_grad():
        student.classifier.weight.zero_()
    assert float(teacher.classifier.weight.detach().abs().sum()) > 0  # a copy
    for wrong in ([], [0, 0], [4], [-1]):
        with pytest.raises(DistillationError, match="distinct numbers from 0 to 3"):
            select_layers(teacher, wrong)
    for width in ({"neurons": 0}, {"heads": 0}):
        with pytest.raises(DistillationError, match="a layer keeps 1 neuron and 1 head or more"):
            narrow(teacher, pairs, **width)


def test_layers_of_a_compact_network_keep_their_own_sizes(tiny_bert, toy_pairs):
    from seo_core.models.compact import CompactBertForSequenceClassification, compact_config

    teacher = CompactBertForSequenceClassification(compact_config(tiny_bert().config, [3, 1, 2], [20, 7, 9])).eval()
    student = select_layers(teacher, [0, 2])
    assert student.config.layer_heads == [3, 2] and student.config.layer_ffn == [20, 9]
    assert predict(student, toy_pairs(8)).shape == (8, 3)


# ---------------------------------------------------------------------------------------------
# Cached logits


def test_cached_logits_are_the_computed_ones_and_are_computed_once(tiny_bert, toy_pairs, tmp_path, monkeypatch):
    teacher, pairs = tiny_bert(dropout=0.0), toy_pairs(20)
    expected = predict(teacher, pairs)
    first = cached_logits(teacher, pairs, tmp_path, precision="fp32")
    assert first.dtype == np.float32 and np.array_equal(first, expected.astype(np.float16).astype(np.float32))
    files = list(tmp_path.iterdir())
    assert len(files) == 1 and files[0].suffix == ".safetensors"
    monkeypatch.setattr("seo_core.evaluation.predict", None)  # would fail if called
    relabelled = replace(pairs, labels=pairs.labels * 0 - 1)
    assert np.array_equal(cached_logits(teacher, relabelled, tmp_path, precision="fp32"), first)


def test_another_teacher_or_set_is_another_file(tiny_bert, toy_pairs, tmp_path):
    pairs = toy_pairs(12)
    one, two = (cached_logits(tiny_bert(seed=s), pairs, tmp_path) for s in (0, 1))
    cached_logits(tiny_bert(seed=0), pairs.take(range(11)), tmp_path)
    assert len(list(tmp_path.iterdir())) == 3 and not np.array_equal(one, two)
    mean = cached_logits([tiny_bert(seed=0), tiny_bert(seed=1)], pairs, tmp_path)
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-6)
    with pytest.raises(DistillationError, match="no teacher"):
        cached_logits([], pairs, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "garbage", "foreign", "changed"])
def test_a_damaged_cache_is_made_anew(tiny_bert, toy_pairs, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    teacher, pairs = tiny_bert(), toy_pairs(12)
    expected = cached_logits(teacher, pairs, tmp_path)
    (file,) = tmp_path.iterdir()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "garbage":
        file.write_bytes(b"no tensors here")
    elif damage == "foreign":
        save_file({"logits": np.zeros((12, 3), np.float16)}, file, {"key": "another", "sha256": "x"})
    else:
        whole = bytearray(file.read_bytes())
        whole[-3] ^= 0xFF
        file.write_bytes(bytes(whole))
    assert np.array_equal(cached_logits(teacher, pairs, tmp_path), expected)
    assert np.array_equal(load_file(file)["logits"].astype(np.float32), expected)


def test_a_killed_write_leaves_nothing_that_looks_whole(tiny_bert, toy_pairs, tmp_path, monkeypatch):
    teacher, pairs = tiny_bert(), toy_pairs(12)
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cached_logits(teacher, pairs, tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert cached_logits(teacher, pairs, tmp_path).shape == (12, 3)


def test_a_full_disk_and_a_diverged_teacher_are_explained(tiny_bert, toy_pairs, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(DistillationError, match="cannot write the teacher's logits"):
        cached_logits(tiny_bert(), toy_pairs(8), blocked)
    teacher = tiny_bert()
    torch.nn.init.constant_(teacher.classifier.bias, float("nan"))
    with pytest.raises(DistillationError, match="not finite"):
        cached_logits(teacher, toy_pairs(8), tmp_path)


@pytest.mark.slow
def test_another_process_finds_the_cache_and_the_student(tiny_bert, toy_pairs, tmp_path):
    teacher, pairs = tiny_bert(layers=3), toy_pairs(12)
    targets = cached_logits(teacher, pairs, tmp_path / "cache", precision="fp32")
    teacher.save_pretrained(tmp_path / "teacher")
    select_layers(teacher, [0, 2]).save_pretrained(tmp_path / "student")
    np.savez(tmp_path / "pairs.npz", **{k: v for k, v in vars(pairs).items()})
    script = textwrap.dedent("""
        import sys, numpy as np, seo_core
        from pathlib import Path
        from transformers import AutoModelForSequenceClassification as Auto
        from seo_core import evaluation
        from seo_core.data import Encoded
        from seo_core.distillation import cached_logits
        folder = Path(sys.argv[1])
        pairs = Encoded(**{k: v if v.ndim else int(v) for k, v in np.load(folder / "pairs.npz").items()})
        student, teacher = (Auto.from_pretrained(folder / n).eval() for n in ("student", "teacher"))
        logits = evaluation.predict(student, pairs)
        evaluation.predict = None
        np.savez(folder / "found.npz", targets=cached_logits(teacher, pairs, folder / "cache", precision="fp32"),
                 student=logits)
    """)
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, timeout=300)
    found = np.load(tmp_path / "found.npz")
    assert np.array_equal(found["targets"], targets)
    np.testing.assert_allclose(found["student"], predict(select_layers(teacher, [0, 2]), pairs), atol=1e-6)
