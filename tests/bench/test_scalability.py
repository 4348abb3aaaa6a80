"""Scale: one and two processes train the same pairs, a model says what more would take, and sizes are shapes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from seo_core import bench, figures, load_settings, results
from seo_core.bench import scalability
from seo_core.bench.scalability import ONE, TWO, WIDE
from seo_core.checks import SettingsError
from seo_core.machine import cores
from seo_core.results.store import QUIET
from seo_core.training import TrainingConfig, fit


@pytest.mark.trains
def test_one_command_measures_processes_pairs_and_sizes_and_writes_the_records(tiny_model, tmp_path, capsys):
    words = ["--model", tiny_model, "--rounds", "1", "--pairs", "48", "--most", "64", "--results-dir",
             str(tmp_path / "results")]
    assert bench.main("scalability", words) == 0
    assert TWO in capsys.readouterr().out
    records = {record["configuration"]: record for record in results.load_records(tmp_path / "results")}
    assert set(records) == {"scalability", "data-parallel-1", "data-parallel-2"}
    metrics = records["data-parallel-2"]["metrics"]
    quiet = metrics["other_load"] <= QUIET
    assert ("examples_per_second" in metrics) == quiet, "a speed beside others is none"
    rounds = records["data-parallel-2"]["series"]
    assert not quiet or rounds["round_examples_per_second"] == [pytest.approx(metrics["examples_per_second"])]
    assert records["scalability"]["provenance"]["command"].endswith("--pairs 48 --most 64 --rounds 1")
    table = pd.DataFrame(records["scalability"]["contestants"]).T
    assert set(table.index) == {ONE, TWO, *([WIDE] if cores() > 1 else []), "16 pairs", "64 pairs", "BERT-Tiny",
                                "BERT-Mini"}
    assert (table.loc[[ONE, TWO], "examples"] == 48).all() and table.at[TWO, "exchange_ms"] > 0
    assert table["exchange_ms"].notna().sum() == 1
    page = scalability.page(table)
    assert list(page["how"]) == ["measured"] * len(table) + ["model"] * 2
    assert len(figures.scalability(*scalability.panels(table)).axes) == 3


def rows(seconds: dict[str, tuple]) -> list[dict]:
    return [{"contestant": name, "round": number, "seconds": slow * each, "examples": 100, "parameters": 10, "data": n,
             "sized": 0.0} for number, slow in enumerate((1.0, 3.0, 2.0)) for name, (each, n) in seconds.items()]


def test_the_model_goes_through_what_was_measured_and_never_below_its_line():
    assert scalability.modelled(10, 6, [1, 2]).tolist() == [10, 6]
    assert scalability.modelled(10, 6, 10**6) == pytest.approx(2, rel=1e-3)
    assert scalability.modelled(10, 4, 4) == 2.5  # twice as fast, and more, is no negative exchange
    more = scalability.modelled(10, 6, np.arange(1, 50))
    assert (np.diff(more) < 0).all() and (more > 2).all()


def test_a_pair_costs_the_same_where_it_does():
    table = scalability.summarize(pd.DataFrame(rows({"10": (1.0, 10), "100": (1.5, 100), ONE: (9.0, np.nan)})))
    assert scalability.flatness(table) == 1.5
    assert table.loc["10", ["ms_per_pair", "ms_per_pair_low", "ms_per_pair_high"]].tolist() == [20, 10, 30]


def test_a_mean_of_one_round_may_be_rounded_beyond_its_span():
    """A third of three equal shares is not always their value."""
    span = pd.DataFrame({"x": [1, 2], "ms": 0.3, "low": 0.3, "high": np.nextafter(0.3, 0)})
    for axes in figures.scalability(span.assign(measured=True, perfect=0.3), span, span).axes:
        low, high = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
        assert low == high == 0.3


@pytest.mark.parametrize("name, weights", [("BERT-Base", 109_484_547), ("BERT-Large", 335_144_963)])
def test_sizes_are_those_of_the_published_networks(name, weights):
    """Of bert-base-uncased and bert-large-uncased, with three classes."""
    with torch.device("meta"):
        network = scalability.network(name)
    assert sum(p.numel() for p in network.parameters()) == weights
    with pytest.raises(SettingsError, match="unknown size 'BERT-Huge'.*"):
        scalability.network("BERT-Huge")


@pytest.mark.trains
def test_bert_large_takes_a_step(toy_pairs):
    """SGD, one moment in place of AdamW's two: less than 4 GB."""
    network = scalability.network("BERT-Large", vocabulary=100)
    before = network.classifier.weight.clone()
    config = TrainingConfig(batch_size=2, epochs=1, optimizer="sgd", precision="fp32")
    result = fit(network, toy_pairs(2), config=config, progress=False)
    assert len(network.bert.encoder.layer) == 24 and before.shape == (3, 1024)
    assert result.metrics["train_examples"] == 2 and not torch.equal(before, network.classifier.weight)


def test_a_plan_that_is_none_is_refused_and_quick_is_short(capsys):
    quick, full = (scalability.plan(load_settings(profile)) for profile in ("quick", "cpu"))
    assert quick["most"] <= 512 and full["amounts"] == (1000, 3000, 10_000, 30_000, 100_000)
    assert "BERT-Large" not in full["sizes"]
    assert scalability.plan(load_settings("cpu"), most=5000)["amounts"] == (1000, 3000, 5000)
    assert bench.main("scalability", ["--most", "-1"]) == 2
    assert "most must be 0 or more and a whole number, got -1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_batch_that_two_cannot_share_is_refused_before_anything_is_measured(tiny_model):
    settings = replace(load_settings("quick", model=tiny_model), batch_size=5)
    with pytest.raises(SettingsError, match="two processes cannot share batches of 5: use an even batch_size"):
        bench.measure("scalability", settings)


def test_a_page_without_a_record_says_so():
    assert scalability.page(pd.DataFrame()).to_numpy().tolist() == [["not run"]]
    assert "not run" in figures.scalability(*scalability.panels(pd.DataFrame())).axes[0].texts[0].get_text()
