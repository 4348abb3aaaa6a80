"""Numbers and memory: every contestant trains the same pairs in a process of its own, and what is kept is counted."""

from dataclasses import replace

import pandas as pd
import pytest

from seo_core import bench, load_settings, results
from seo_core.bench import precision
from seo_core.models.fastpath import has_bf16
from seo_core.training import TrainingConfig

CONFIG = TrainingConfig(batch_size=8, precision="fp32", freeze_embeddings=False)


@pytest.fixture
def small_model(tmp_path):
    """A folder with a network of which half can be removed."""
    from transformers import BertConfig, BertForSequenceClassification

    from seo_core.models import load_tokenizer, save

    save(BertForSequenceClassification(BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=128, num_labels=3)), load_tokenizer(), tmp_path / "small_model")
    return str(tmp_path / "small_model")


@pytest.mark.trains
def test_one_command_trains_each_in_its_process_and_writes_the_records(small_model, tmp_path, capsys):
    words = ["--model", small_model, "--rounds", "1", "--pairs", "32", "--results-dir", str(tmp_path / "results")]
    assert bench.main("precision", words) == 0
    assert precision.AGAIN in capsys.readouterr().out
    records = {record["configuration"]: record for record in results.load_records(tmp_path / "results")}
    judged = {"full-precision", "mixed-precision"} if has_bf16("cpu") else set()  # not where bf16 is emulated
    assert set(records) == {"precision", *judged}
    contestants = records["precision"]["contestants"]
    assert set(contestants) == set(precision.CONTESTANTS)
    assert contestants["fp32"]["ratio"] == contestants["fp32"]["memory_ratio"] == 1
    assert "accuracy_difference" not in contestants[precision.FP16]  # too few pairs on a CPU
    assert all(values["peak_memory_bytes"] > values["above_start_bytes"]
               for name, values in contestants.items() if name != precision.FP16)
    assert all({"peak_memory_bytes", "train_examples"} <= set(records[name]["metrics"]) for name in judged)
    assert all(records[name]["series"]["round_peak_memory_bytes"] == [records[name]["metrics"]["peak_memory_bytes"]]
               for name in judged), "what the claims are judged by, round by round"
    assert records["precision"]["provenance"]["command"].endswith("--pairs 32 --rounds 1")
    assert len(precision.page(pd.DataFrame(records["precision"]["contestants"]).T)) == len(precision.CONTESTANTS)


def test_what_is_kept_for_the_backward_pass(tiny_bert, toy_pairs):
    pairs, kept = toy_pairs(32), {}
    for name in (precision.FULL, precision.BF16, precision.PARTS, precision.AGAIN, precision.ZEROS, precision.REMOVED):
        network, _ = precision.pruned(tiny_bert(layers=4), name)
        kept[name] = precision.saved_bytes(network, pairs, replace(CONFIG, **precision.CONTESTANTS[name]))
        assert not any(p.grad is not None for p in network.parameters())
    full = kept[precision.FULL]
    assert kept[precision.ZEROS] == full  # a zero is a number like any other
    assert kept[precision.BF16] < 0.7 * full and kept[precision.PARTS] < 0.5 * full
    assert kept[precision.AGAIN] < 0.5 * full and kept[precision.REMOVED] < full


def test_half_of_the_weights_are_zero_or_gone(tiny_bert):
    network = tiny_bert(layers=2)
    encoder = sum(p.numel() for p in network.bert.encoder.parameters())
    smaller, none = precision.pruned(network, precision.REMOVED)
    assert sum(p.numel() for p in smaller.bert.encoder.parameters()) <= 0.51 * encoder and not none
    same, callbacks = precision.pruned(network, precision.ZEROS)
    assert same is network and len(callbacks) == 1
    zeros = sum(int((p == 0).sum()) for p in network.bert.encoder.parameters() if p.ndim > 1)
    assert zeros == pytest.approx(0.5 * encoder, rel=0.05)


def test_ratios_are_taken_within_a_round():
    rows = [{"contestant": name, "round": number, "seconds": slow * seconds, "examples": examples,
             "peak_memory_bytes": peak, "above_start_bytes": peak, "saved_bytes": 1, "accuracy": 0.5, "weights": 10,
             "zeros": 0, "skipped_steps": 0}
            for number, slow in enumerate((1.0, 3.0))
            for name, seconds, examples, peak in (("fp32", 10.0, 100, 200), ("bf16", 2.5, 50, 150))]
    table = precision.summarize(pd.DataFrame(rows))
    assert table.loc["bf16", ["ratio", "ratio_low", "ratio_high", "memory_ratio"]].tolist() == [0.5, 0.5, 0.5, 0.75]
    assert table.at["fp32", "ms_per_pair"] == 200


@pytest.mark.slow
def test_a_training_that_is_ended_is_one_clear_error(monkeypatch):
    with pytest.raises(RuntimeError, match="the training 'fp32' of the benchmark was ended from outside"):
        precision.turn({"name": "fp32", "make": _Ending()}, 0)


class _Ending:
    """Unpickled, it ends the process."""

    def __reduce__(self):
        import os

        return os._exit, (9,)


def test_a_plan_that_is_none_is_refused_and_quick_is_short(capsys):
    assert precision.plan(load_settings("quick"))["pairs"] <= 128
    assert precision.plan(load_settings("cpu"), rounds=5)["rounds"] == 5
    assert bench.main("precision", ["--rounds", "-1"]) == 2
    assert "rounds must be 0 or more and a whole number, got -1" in capsys.readouterr().err


def test_a_page_without_a_record_says_so():
    assert precision.page(pd.DataFrame()).to_numpy().tolist() == [["not run"]]
