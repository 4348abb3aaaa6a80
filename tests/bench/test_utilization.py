"""How much of a device training uses: counted operations over those of a bare product, in turn."""

import numpy as np
import pandas as pd
import pytest
from transformers import BertConfig

from seo_core import bench, load_settings, results
from seo_core.bench import utilization
from seo_core.bench.scalability import network
from seo_core.bench.turns import WARMUP_STEPS
from seo_core.bench.utilization import AGAIN, OURS, PRODUCTS, TRAINER


@pytest.mark.trains
def test_one_command_measures_both_networks_and_writes_the_record(tiny_model, tmp_path, capsys):
    words = ["--model", tiny_model, "--steps", "2", "--results-dir", str(tmp_path / "results")]
    assert bench.main("utilization", words) == 0
    assert PRODUCTS in capsys.readouterr().out
    (record,) = results.load_records(tmp_path / "results")
    assert record["provenance"]["command"].endswith("--steps 2 --rounds 1") and record["experiment"] == "bench_training"
    table = pd.DataFrame(record["contestants"]).T
    assert set(table.index) == {PRODUCTS, *(f"{name}: {loop}" for name in ("own model", "BERT-Tiny shape")
                                            for loop in (OURS, AGAIN, TRAINER))}
    loops = table.drop(PRODUCTS)
    assert (loops["tflops"] > 0).all() and table.at[PRODUCTS, "share"] == 1
    assert np.allclose(loops["share"], loops["tflops"] / table.at[PRODUCTS, "tflops"])
    assert (table.loc[[name for name in loops.index if name.endswith(TRAINER)], "ratio"] == 1).all()
    page = utilization.report(tmp_path / "results")
    assert list(page.columns) == list(utilization.COLUMNS) and list(page["what"]) == list(table.index)
    assert set(page["device"]) == {record["provenance"]["machine"]["cpu"]}
    assert utilization.report(tmp_path / "nothing").iloc[0, 0].startswith("not run")


@pytest.mark.trains
def test_the_operations_are_those_of_the_shapes(tiny_model):
    """The Trainer's network makes 6 operations a weight and token, and 12 a pair of tokens and unit (forward and
    backward of q kᵀ and of the mixture); ours makes fewer, and the same with layers computed again."""
    settings = load_settings("quick", model=tiny_model)
    plan = utilization.plan(settings, steps=1)
    flops = utilization.contest(settings, plan).inputs["flops"]
    tokens, about = plan["tokens"], network("BERT-Tiny").config
    width, layers = about.hidden_size, about.num_hidden_layers
    weights = layers * (4 * width**2 + 2 * width * about.intermediate_size)
    wanted = 6 * tokens * weights + 12 * layers * tokens**2 * width
    trainer, ours, again = (flops[f"BERT-Tiny shape: {loop}"] for loop in (TRAINER, OURS, AGAIN))
    assert wanted <= trainer < 1.01 * wanted  # and the pooler and the classifier
    assert ours == again < 0.8 * trainer


def test_all_texts_fill_the_batch():
    train = utilization.filled({"batch": 4, "steps": 3, "tokens": 16}, 1000)
    assert len(train) == 4 * (3 + WARMUP_STEPS) and set(train.lengths) == {16} and train.ids.max() < 1000
    assert {batch["input_ids"].shape for batch in map(train.arrays, train.batches(4))} == {(4, 16)}


def test_a_share_is_taken_within_its_round():
    """A round in which the machine is half as fast halves both."""
    rows = [{"contestant": name, "round": number, column: speed * value}
            for number, speed in enumerate((1.0, 0.5)) for name, column, value in (
                (PRODUCTS, "tflops", 10.0), (f"a: {OURS}", "examples_per_second", 4e12),
                (f"a: {TRAINER}", "examples_per_second", 2e12))]
    turns = pd.DataFrame(rows).assign(peak_memory_bytes=np.nan)
    table = utilization.summarize(turns, {f"a: {OURS}": 1.0, f"a: {TRAINER}": 1.0})
    ours = table.loc[f"a: {OURS}"]
    assert (ours["share_low"], ours["share"], ours["share_high"]) == pytest.approx((0.4, 0.4, 0.4))
    assert ours["ratio"] == 2 and ours["tflops"] == pytest.approx(3)


def test_the_large_shape_is_berts_own():
    about, whole = network("BERT-Base").config, BertConfig()
    for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
        assert getattr(about, name) == getattr(whole, name)
    assert utilization.plan(load_settings("cpu"))["shape"] == "BERT-Base"
