"""The training loop: it learns, its batches are a partition, and a resumed run ends at the same weights."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core import load_settings, training
from seo_core.training import (
    Checkpoint,
    TrainingConfig,
    TrainingError,
    fit,
    length_grouped_batches,
    linear_schedule,
)

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=5)


def _weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def _assert_same(a, b):
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.trains
def test_it_learns_and_reports_its_costs(tiny_bert, toy_pairs, fast, precision):
    pairs, events = toy_pairs(192), []
    config = replace(CONFIG, epochs=12, seed=1, fast=fast, precision=precision, evaluations_per_epoch=2)
    result = fit(tiny_bert(dropout=0.0, seed=1), pairs, development=pairs, config=config, progress=False,
                 callbacks=[lambda event, state: events.append(event)])
    curve = result.series["development_accuracy"]
    assert curve[-1] > 0.8 > curve[0]
    assert {len(v) for v in result.series.values()} == {24}
    assert result.metrics["train_examples"] == 192 * 12
    assert result.metrics["train_tokens"] == pairs.lengths.sum() * 12
    assert result.metrics["other_load"] >= 0
    assert events.count("step") == 24 * 12 and events[0] == "start" and events[-1] == "end"


@pytest.mark.trains
def test_frozen_embeddings_stay(tiny_bert, toy_pairs):
    model = tiny_bert()
    before = model.bert.embeddings.word_embeddings.weight.clone()
    fit(model, toy_pairs(32), config=replace(CONFIG, freeze_embeddings=True), progress=False)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, before)


@pytest.mark.trains
def test_same_seed_same_weights_another_seed_other_weights(tiny_bert, toy_pairs):
    found = []
    for seed in (0, 0, 1):
        model = tiny_bert()
        fit(model, toy_pairs(64), config=replace(CONFIG, seed=seed), progress=False)
        found.append(_weights(model))
    _assert_same(found[0], found[1])
    assert not torch.equal(found[0]["classifier.weight"], found[2]["classifier.weight"])


@pytest.mark.trains
def test_gradients_from_before_are_no_part_of_it(tiny_bert, toy_pairs):
    fresh, marked = tiny_bert(), tiny_bert()
    for parameter in marked.parameters():
        parameter.grad = torch.ones_like(parameter)
    for model in (fresh, marked):
        training.fit(model, toy_pairs(16), config=TrainingConfig(batch_size=8, epochs=1), progress=False)
    _assert_same(_weights(fresh), _weights(marked))


@pytest.mark.parametrize(("fast", "stop_at", "optimizer"), [
    *((fast, stop, "adamw") for fast in (True, False) for stop in (3, 12, 17)), (True, 12, "sgd"), (True, 12, "lamb")])
@pytest.mark.trains
def test_resumed_run_ends_at_the_same_weights(tiny_bert, toy_pairs, tmp_path, fast, stop_at, optimizer):
    pairs, config = toy_pairs(76), replace(CONFIG, fast=fast, optimizer=optimizer)
    whole = tiny_bert()
    expected = fit(whole, pairs, development=pairs, config=config, progress=False)

    def interrupt(event, state):
        if event == "step" and state.step == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny_bert(), pairs, development=pairs, config=config, progress=False, callbacks=[interrupt],
            checkpoint_dir=tmp_path)
    resumed, steps = tiny_bert(seed=9), []
    result = fit(resumed, pairs, development=pairs, config=config, progress=False, checkpoint_dir=tmp_path,
                 callbacks=[lambda event, state: event == "step" and steps.append(state.step) and None])
    assert steps[0] == stop_at + 1
    _assert_same(_weights(whole), _weights(resumed))
    assert result.series == expected.series
    assert result.metrics["train_examples"] == expected.metrics["train_examples"]


@pytest.mark.trains
def test_half_a_step_is_not_saved(tiny_bert, toy_pairs, tmp_path, monkeypatch):
    pairs, real, calls = toy_pairs(76), training._Run.train_step, []
    whole = tiny_bert()
    fit(whole, pairs, config=CONFIG, progress=False)

    def interrupted(self, *arguments):
        result = real(self, *arguments)
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt  # weights and dropout have moved on, the count of steps has not
        return result

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._Run, "train_step", interrupted)
        fit(tiny_bert(), pairs, config=CONFIG, progress=False, checkpoint_dir=tmp_path)
    resumed, steps = tiny_bert(seed=9), []
    fit(resumed, pairs, config=CONFIG, progress=False, checkpoint_dir=tmp_path,
        callbacks=[lambda event, state: event == "step" and steps.append(state.step) and None])
    assert steps[0] == 6  # the last checkpoint was after five
    _assert_same(_weights(whole), _weights(resumed))


@pytest.mark.trains
def test_what_a_killed_run_has_done_is_kept_by_time_however_slow_a_step_is(tiny_bert, toy_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    pairs, config = toy_pairs(76), replace(CONFIG, checkpoint_every=10_000)
    whole = tiny_bert()
    fit(whole, pairs, config=config, progress=False)

    def die(event, state):
        if event == "step" and state.step == 5:
            raise RuntimeError("killed")  # nothing is saved on the way out

    with pytest.raises(RuntimeError, match="killed"):
        fit(tiny_bert(), pairs, config=config, progress=False, callbacks=[die], checkpoint_dir=tmp_path)
    resumed, steps = tiny_bert(seed=9), []
    fit(resumed, pairs, config=config, progress=False, checkpoint_dir=tmp_path,
        callbacks=[lambda event, state: event == "step" and steps.append(state.step) and None])
    assert steps[0] == 5
    _assert_same(_weights(whole), _weights(resumed))


@pytest.mark.trains
def test_a_log_has_a_line_of_progress_now_and_then_and_the_first_says_how(tiny_bert, toy_pairs, monkeypatch, capsys):
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "0")
    fit(tiny_bert(), toy_pairs(76), config=CONFIG)
    out, err = capsys.readouterr()
    lines, form = err.splitlines(), r"training.*: step \d+ of \d+, loss [\d.]+, \d+ examples/s, [\d.]+ min left$"
    assert out == "" and all(re.match(form, line) for line in lines)
    assert re.match(r"training \((bf16|fp32) on \d+ threads.*\): step 1 ", lines[0]) and "threads" not in lines[1]
    monkeypatch.setattr("seo_core.models.fastpath.has_bf16", lambda device: False)
    fit(tiny_bert(), toy_pairs(16), config=replace(CONFIG, precision="auto", epochs=1))
    assert re.search(r"fp32 on \d+ threads: no bf16 here, about five times slower\): step 1 ", capsys.readouterr().err)
    monkeypatch.delenv("SEO_PROGRESS_SECONDS")
    fit(tiny_bert(), toy_pairs(76), config=CONFIG)
    assert capsys.readouterr().err == ""


_SCRIPT = """
import sys, time, numpy as np, torch
from transformers import BertConfig, BertForSequenceClassification
from seo_core.data import Encoded
from seo_core.training import TrainingConfig, fit
torch.manual_seed(0)
model = BertForSequenceClassification(BertConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1,
    num_attention_heads=2, intermediate_size=32, max_position_embeddings=32, num_labels=3))
rng = np.random.default_rng(0)
pairs = Encoded(ids=rng.integers(5, 50, 640).astype(np.int32), offsets=np.arange(0, 641, 10),
                first=np.full(64, 5, np.int32), labels=rng.integers(0, 3, 64), pad_id=0)
def slow(event, state):
    if event == "step":
        print(state.step, flush=True)
        time.sleep(float(sys.argv[2]))
fit(model, pairs, config=TrainingConfig(epochs=3, batch_size=4, precision="fp32", checkpoint_every=4),
    checkpoint_dir=sys.argv[1], callbacks=[slow], progress=False)
print("weights", float(sum(p.double().sum() for p in model.parameters())))
"""


def _script(tmp_path, pause):
    return [sys.executable, "-c", textwrap.dedent(_SCRIPT), str(tmp_path / "run"), str(pause)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.trains
def test_a_signal_during_training_loses_nothing_but_the_last_steps(tmp_path, how):
    process = subprocess.Popen(_script(tmp_path, 0.05), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # as on a terminal
    for line in process.stdout:
        if line.strip() == "14":
            os.kill(process.pid, how)
            break
    process.communicate()
    assert process.returncode == (1 if how == signal.SIGINT else -how)  # an interrupt is an exception of Python
    again = subprocess.run(_script(tmp_path, 0), capture_output=True, text=True, check=True).stdout.split("\n")
    assert 1 < int(again[0]) <= 16
    fresh = subprocess.run(_script(tmp_path / "other", 0), capture_output=True, text=True, check=True).stdout
    assert again[-2] == fresh.split("\n")[-2]


@pytest.mark.trains
def test_checkpoint_of_another_run_is_refused(tiny_bert, toy_pairs, tmp_path):
    fit(tiny_bert(), toy_pairs(32), config=CONFIG, progress=False, checkpoint_dir=tmp_path)
    with pytest.raises(TrainingError, match="another configuration or other data"):
        fit(tiny_bert(), toy_pairs(32, seed=1), config=CONFIG, progress=False, checkpoint_dir=tmp_path)
    (tmp_path / "last" / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(TrainingError, match="cannot be read"):
        fit(tiny_bert(), toy_pairs(32), config=CONFIG, progress=False, checkpoint_dir=tmp_path)


@pytest.mark.trains
def test_a_full_disk_leaves_the_checkpoint_before(tiny_bert, toy_pairs, tmp_path, monkeypatch):
    pairs = toy_pairs(64)
    real, calls = Checkpoint.save, []

    def full(self, run):
        calls.append(run.state.step)
        if len(calls) == 2:
            def no_space(*args):
                raise OSError(28, "No space left on device")

            with monkeypatch.context() as patch:
                patch.setattr("safetensors.torch.save_file", no_space)
                return real(self, run)
        return real(self, run)

    monkeypatch.setattr(Checkpoint, "save", full)
    with pytest.raises(TrainingError, match="No space left"):
        fit(tiny_bert(), pairs, config=CONFIG, progress=False, checkpoint_dir=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last"]
    steps = []
    fit(tiny_bert(), pairs, config=CONFIG, progress=False, checkpoint_dir=tmp_path,
        callbacks=[lambda event, state: event == "step" and steps.append(state.step) and None])
    assert steps[0] == 6


@pytest.mark.trains
def test_bad_starts_are_said(tiny_bert, toy_pairs):
    with pytest.raises(TrainingError, match="empty"):
        fit(tiny_bert(), toy_pairs(10).take([]), config=CONFIG, progress=False)
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit(tiny_bert(), toy_pairs(10), config=CONFIG, progress=False, loss=lambda logits, batch: logits.sum() * np.nan)
    with pytest.raises(TypeError, match="learning_rat"):
        TrainingConfig(learning_rat=1)
    with pytest.raises(ValueError, match="unknown precision 'fp61': .* did you mean 'fp16'"):
        TrainingConfig(precision="fp61")
    with pytest.raises(ValueError, match="unknown optimizer 'adam': .* did you mean 'adamw'"):
        TrainingConfig(optimizer="adam")
    with pytest.raises(ValueError, match="accumulation must divide the batch, got 3 parts of 32 examples"):
        TrainingConfig(batch_size=32, accumulation=3)
    with pytest.raises(ValueError, match="epochs"):
        TrainingConfig(epochs=0)


def _asks_for(kind):
    def loss(logits, batch):
        if kind is None:
            return torch.empty(2**50).sum()  # a petabyte, of this very machine
        raise kind
    return loss


@pytest.mark.parametrize("kind", [None, MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")])
def test_a_batch_too_large_for_memory_names_one_to_try(tiny_bert, toy_pairs, kind):
    with pytest.raises(TrainingError, match=r"a batch of 8 texts of up to \d+ tokens does not fit into memory: "
                                            r"use batch_size=4 \(half\) or less"):
        fit(tiny_bert(), toy_pairs(16), config=CONFIG, loss=_asks_for(kind), progress=False)
    with pytest.raises(TrainingError, match="memory: use a smaller max_length"):
        fit(tiny_bert(), toy_pairs(16), config=replace(CONFIG, batch_size=1), loss=_asks_for(kind), progress=False)


def test_another_error_of_a_loss_is_its_own(tiny_bert, toy_pairs):
    with pytest.raises(RuntimeError, match="another"):
        fit(tiny_bert(), toy_pairs(16), config=CONFIG, loss=_asks_for(RuntimeError("another")), progress=False)


@pytest.mark.trains
def test_a_callback_stops_training(tiny_bert, toy_pairs):
    result = fit(tiny_bert(), toy_pairs(64), config=CONFIG, progress=False,
                 callbacks=[lambda event, state: state.step == 3])
    assert result.stopped and result.metrics["train_examples"] == 24


@pytest.mark.trains
def test_the_best_network_is_kept_through_an_interruption(tiny_bert, toy_pairs, tmp_path):
    from seo_core.evaluation import predict
    from seo_core.training import KeepBest

    train, held = toy_pairs(64), toy_pairs(48, seed=5)
    config = replace(CONFIG, epochs=3, learning_rate=1e-2, evaluations_per_epoch=4)  # it overfits

    def run(best, folder=None, *more):
        model = tiny_bert()
        result = fit(model, train, config=config, development=held, progress=False, callbacks=[best, *more],
                     checkpoint_dir=folder)
        return model, result.series

    best = KeepBest()
    model, series = run(best)
    accuracies = series["development_accuracy"]
    assert best.accuracy == max(accuracies) and best.epoch == series["epoch"][np.argmax(accuracies)]
    assert (predict(model, held).argmax(1) == held.labels).mean() == pytest.approx(max(accuracies))

    def interrupt(event, state):
        if event == "step" and state.step == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(KeepBest(), tmp_path / "run", interrupt)
    again = KeepBest()
    resumed = run(again, tmp_path / "run")[0]
    assert (again.accuracy, again.epoch) == (best.accuracy, best.epoch)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    with pytest.raises(TrainingError, match="pass development="):
        fit(tiny_bert(), train, config=CONFIG, progress=False, callbacks=[KeepBest()])


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 400), size=st.integers(1, 33), group=st.integers(1, 9), seed=st.integers(0, 99))
def test_batches_are_a_partition(n, size, group, seed):
    lengths = np.random.default_rng(seed).integers(1, 100, size=n)
    batches = length_grouped_batches(lengths, size, seed=seed, group=group)
    assert sorted(np.concatenate(batches)) == list(range(n))
    assert sum(len(b) != size for b in batches) <= 1
    again = length_grouped_batches(lengths, size, seed=seed, group=group)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_grouping_saves_padding():
    lengths = np.random.default_rng(0).integers(5, 100, size=4096)

    def padded(group):
        return sum(len(b) * lengths[b].max() for b in length_grouped_batches(lengths, 32, seed=0, group=group))

    assert padded(50) < 1.05 * lengths.sum() < padded(1)


def test_schedule_decays_like_transformers():
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = get_linear_schedule_with_warmup(optimizer, 10, 100).lr_lambdas[0]
    ours = linear_schedule(100, 0.1)
    assert [ours(s) for s in range(10, 101)] == pytest.approx([reference(s) for s in range(10, 101)])
    assert [ours(s) for s in range(9)] == pytest.approx([reference(s + 1) for s in range(9)])  # no step at rate 0


def test_config_takes_its_values_from_the_settings():
    config = TrainingConfig.from_settings(load_settings("paper", data="embedded"), seed=4)
    assert (config.learning_rate, config.epochs, config.seed, config.freeze_embeddings) == (2e-5, 20, 4, False)


@pytest.mark.trains
def test_sst2_trains_above_the_majority_class(real_data):
    from seo_core.data import encode, load_task, subsample
    from seo_core.evaluation import classification_metrics, predict
    from seo_core.models.backbone import load_backbone

    task = subsample(load_task(real_data("sst2"), text="sentence", label="label"), train_rows=1500,
                     evaluation_rows=400, seed=0)
    model, tokenizer = load_backbone(num_labels=len(task.labels), seed=0)
    coded = {split: encode(task.splits[split], tokenizer, texts=task.texts, max_length=48)
             for split in ("train", "validation")}
    began = time.time()
    fit(model, coded["train"], config=TrainingConfig(epochs=1, batch_size=16, learning_rate=2e-4), progress=False)
    accuracy = classification_metrics(predict(model, coded["validation"]), coded["validation"].labels)["accuracy"]
    majority = np.bincount(coded["validation"].labels).max() / len(coded["validation"])
    assert accuracy > majority + 0.15, f"{accuracy:.3f} in {time.time() - began:.0f} s"


def test_texts_that_the_network_cannot_read_are_refused(tiny_bert, toy_pairs):
    from seo_core.evaluation import predict
    from seo_core.models.backbone import ModelError
    from seo_core.pruning import importance
    from seo_core.quantization import calibrate

    model, long, foreign = tiny_bert(), toy_pairs(6), toy_pairs(6)
    long.ids, long.offsets = np.ones(600, np.int32), np.arange(0, 601, 100)
    foreign.ids[3] = 100
    config = TrainingConfig(epochs=1, freeze_embeddings=False)
    for pairs, words in ((long, "6 of 6 texts have more than 64 tokens, the positions of the network"),
                         (foreign, "token id 100 is beyond the 100 rows")):
        for call in (lambda p: predict(model, p), lambda p: fit(model, p, config=config), lambda p: calibrate(model, p),
                     lambda p: fit(model, toy_pairs(6), config=config, development=p),
                     lambda p: importance(model, "activation", p)):
            with pytest.raises(ModelError, match=words):
                call(pairs)


def test_both_grounds_know_the_backbones_positions():
    from seo_core.arms import open_lab
    from seo_core.models.backbone import ModelError
    from seo_core.settings import load_settings

    for chapter in ("06_active_learning", "09_pruning"):
        with pytest.raises(ModelError, match="max_length is 5000 and model 'bundled' has 512 positions"):
            open_lab(chapter, load_settings("quick", max_length=5000))


@pytest.mark.trains
def test_the_precision_of_another_training_in_the_process_is_not_ours(tiny_bert, toy_pairs):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    trained = []
    for theirs in ("no", "bf16"):  # Accelerate's state of the process, as a Trainer leaves it behind
        AcceleratorState._reset_state(True)
        Accelerator(mixed_precision=theirs, cpu=True)
        model = tiny_bert(dropout=0.0)
        fit(model, toy_pairs(24), config=CONFIG, progress=False)
        trained.append(_weights(model))
    AcceleratorState._reset_state(True)
    _assert_same(*trained)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.trains
def test_parts_of_a_batch_make_the_step_of_the_whole(tiny_bert, toy_pairs, fast):
    found = []
    for parts in (1, 4):
        model = tiny_bert(dropout=0.0)
        result = fit(model, toy_pairs(76), config=replace(CONFIG, fast=fast, accumulation=parts), progress=False)
        found.append((_weights(model), result))
    for name, value in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], value, atol=2e-4, rtol=1e-3, msg=name)
    assert found[0][1].metrics["train_examples"] == found[1][1].metrics["train_examples"] == 152
    np.testing.assert_allclose(found[0][1].series["train_loss"], found[1][1].series["train_loss"], atol=1e-4)


@pytest.mark.parametrize("how", [dict(fast=True), dict(fast=True, byte_dropout=False), dict(fast=False)])
@pytest.mark.trains
def test_a_layer_that_is_computed_again_has_the_same_dropout(tiny_bert, toy_pairs, how):
    found = []
    for checkpointing in (False, True):
        model = tiny_bert(dropout=0.3)
        fit(model, toy_pairs(24), config=replace(CONFIG, checkpointing=checkpointing, **how), progress=False)
        found.append(_weights(model))
        assert not any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    _assert_same(*found)


@pytest.mark.trains
def test_a_network_that_cannot_checkpoint_is_refused(tiny_bert, toy_pairs):
    class Bag(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.EmbeddingBag(100, 3)

        def forward(self, input_ids, **_):
            return self.table(input_ids)

    config = replace(CONFIG, checkpointing=True)
    with pytest.raises(TrainingError, match="Bag cannot do gradient checkpointing: train it with checkpointing=False"):
        fit(Bag(), toy_pairs(8), config=config, progress=False)
    model = tiny_bert()
    model.quantizer = torch.nn.Module()
    model.quantizer.forward_module = lambda *a, **k: torch.nn.Module()
    with pytest.raises(TrainingError, match="with step sizes was not made for gradient checkpointing"):
        fit(model, toy_pairs(8), config=config, progress=False)


def _overflowing(at):
    """A loss whose gradient is beyond fp16 at some steps."""
    seen = []

    def loss(logits, batch):
        seen.append(1)
        value = training.classification_loss(logits, batch)
        return value + (logits - logits.detach()).sum() * 1e30 if len(seen) in at else value

    return loss


@pytest.mark.trains
def test_a_step_that_overflows_is_skipped_and_halves_the_scale(tiny_bert, toy_pairs):
    seen = []
    config = replace(CONFIG, epochs=1, precision="fp16")

    def watch(event, state):
        if event == "step":
            seen.append(_weights(state.model))

    result = fit(tiny_bert(), toy_pairs(64), config=config, loss=_overflowing({3}), callbacks=[watch], progress=False)
    assert result.metrics["skipped_steps"] == 1 and result.metrics["loss_scale"] == 2.0**15
    _assert_same(seen[1], seen[2])
    assert not torch.equal(seen[2]["classifier.weight"], seen[3]["classifier.weight"])
    assert all(torch.isfinite(value).all() for value in seen[-1].values())
    plain = fit(tiny_bert(), toy_pairs(64), config=replace(config, precision="bf16"), progress=False)
    assert "skipped_steps" not in plain.metrics


@pytest.mark.trains
def test_a_resumed_fp16_run_goes_on_with_its_scale(tiny_bert, toy_pairs, tmp_path):
    config = replace(CONFIG, precision="fp16")
    whole = tiny_bert()
    expected = fit(whole, toy_pairs(64), config=config, loss=_overflowing({2}), progress=False)
    fit(tiny_bert(), toy_pairs(64), config=config, loss=_overflowing({2}), progress=False, checkpoint_dir=tmp_path,
        callbacks=[lambda event, state: event == "step" and state.step == 5])
    place = tmp_path / "last" / "state.json"
    place.write_text(place.read_text().replace('"stopped": true', '"stopped": false'))
    resumed = tiny_bert()
    result = fit(resumed, toy_pairs(64), config=config, progress=False, checkpoint_dir=tmp_path)
    assert result.metrics["skipped_steps"] == expected.metrics["skipped_steps"] == 1
    _assert_same(_weights(whole), _weights(resumed))


def test_what_a_configuration_got_later_leaves_old_checkpoints_theirs(toy_pairs):
    config, pairs = TrainingConfig(), toy_pairs(8)
    before = {name: value for name, value in vars(config).items() if name not in training.LATER}
    known = training.digest(before, pairs.ids, pairs.offsets, pairs.labels, length=16)
    assert training.identity(config, pairs) == known
    assert training.identity(replace(config, accumulation=2), pairs) != known


@pytest.mark.trains
def test_lamb_learns_too(tiny_bert, toy_pairs):
    pairs = toy_pairs(192)
    config = replace(CONFIG, epochs=12, seed=1, optimizer="lamb", learning_rate=0.03)
    result = fit(tiny_bert(dropout=0.0, seed=1), pairs, development=pairs, config=config, progress=False)
    assert result.series["development_accuracy"][-1] > 0.8


@pytest.mark.trains
def test_two_steps_of_sgd_are_the_equation(tiny_bert):
    model = tiny_bert()
    config = TrainingConfig(optimizer="sgd", learning_rate=0.01, weight_decay=0.0)
    optimizer = training.make_optimizer(model, config, torch.device("cpu"))
    weight = model.classifier.weight
    before = weight.detach().clone()
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    torch.testing.assert_close(weight.detach(), before - 0.01 * (1 + 1.9))


@pytest.mark.trains
def test_one_step_of_lamb_is_the_equation(tiny_bert):
    model = tiny_bert()
    config = TrainingConfig(optimizer="lamb", learning_rate=0.01, weight_decay=0.1)
    optimizer = training.make_optimizer(model, config, torch.device("cpu"))
    weight = model.bert.encoder.layer[0].intermediate.dense.weight
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    before, gradient = weight.detach().clone(), weight.grad.clone()
    optimizer.step()
    first, second = 0.1 * gradient, 0.001 * gradient.square()
    update = first / (second.sqrt() + 1e-6) + 0.1 * before
    expected = before - 0.01 * before.norm().clamp(max=10) / update.norm() * update
    torch.testing.assert_close(weight.detach(), expected, atol=1e-6, rtol=1e-4)


def test_without_its_package_lamb_says_what_to_install(tiny_bert, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    with pytest.raises(TrainingError, match="LAMB needs the package pytorch-optimizer: pip install"):
        training.make_optimizer(tiny_bert(), TrainingConfig(optimizer="lamb"), torch.device("cpu"))
