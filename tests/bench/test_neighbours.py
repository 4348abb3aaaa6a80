"""Trainings beside other work: processes of their own, a common start, ratios within a round."""

import os

import pandas as pd
import pytest

from seo_core import bench, results
from seo_core.bench import neighbours
from seo_core.machine import SPINS, cores


@pytest.mark.trains
def test_trainings_in_processes_of_their_own_leave_a_record(tiny_model, tmp_path, monkeypatch, capsys):
    few = (neighbours.ALONE, neighbours.TWO, *[neighbours.ONE_CORE] * hasattr(os, "sched_setaffinity"))
    busy = {"beside": dict(busy=True, spinning=True)}  # all the ways at once
    monkeypatch.setattr(neighbours, "CONTESTANTS", {name: neighbours.CONTESTANTS[name] for name in few} | busy)
    words = ["--model", tiny_model, "--seconds", "0.1", "--results-dir", str(tmp_path / "results")]
    assert bench.main("neighbours", words) == 0
    assert "two at once" in capsys.readouterr().out
    record, = results.load_records(tmp_path / "results")
    assert record["experiment"] == "bench_neighbours" and set(record["contestants"]) == {*few, "beside"}
    assert all(values["ratio"] > 0 and values["rounds"] == 1 for values in record["contestants"].values())
    assert record["contestants"][neighbours.ALONE]["ratio"] == 1 and "kept two at once" in record["metrics"]
    if neighbours.ONE_CORE in few:
        assert record["contestants"][neighbours.ONE_CORE]["threads"] == 1
    told = {name: values.get("spins") for name, values in record["contestants"].items()}
    assert told["two at once"] == 0 and told["beside"] is None  # as the runner starts two; as torch does by default
    assert told["alone"] in (0, SPINS)  # by what else runs here
    assert record["contestants"]["two at once"]["threads"] == max(1, cores() // 2)
    assert record["provenance"]["command"].endswith("--seconds 0.1 --rounds 1")
    table = neighbours.shares([record]).set_index("training")
    assert table.at["two at once", "spins"] == "0" and table.at["beside", "spins"] == "—"
    assert table.at["two at once", "share of the speed alone"] == f"{record['contestants']['two at once']['ratio']:.2f}"


@pytest.mark.slow
def test_a_training_that_fails_is_one_clear_error(tmp_path):
    with pytest.raises(RuntimeError, match="a training of the benchmark ended: FileNotFoundError"):
        neighbours.turn({"pairs": str(tmp_path / "none.npz"), "config": {}}, 0)


def test_ratios_are_taken_within_a_round_and_have_an_interval():
    rows = [{"contestant": name, "round": number, "rate": rate * slow, "threads": 2, "spins": 300, "other_load": 0.01}
            for number, slow in enumerate((1.0, 0.5, 0.25)) for name, rate in (("alone", 100.0), ("two at once", 90.0))]
    table = neighbours.summarize(pd.DataFrame(rows))
    assert table.loc["two at once", ["ratio", "ratio_low", "ratio_high"]].tolist() == pytest.approx([0.9] * 3)
    assert table.at["alone", "pairs_per_second"] == 50 and table["rounds"].tolist() == [3, 3]


def test_each_way_of_starting_stands_beside_what_the_package_does():
    ways = neighbours.CONTESTANTS
    assert list(ways) == ["alone", "alone, spinning", "alone, asleep",
                          "beside a busy core", "beside a busy core, spinning", "beside a busy core, spinning briefly",
                          "two at once", "two at once, spinning", "two at once, spinning briefly", "on one core"]
    assert ways["alone, asleep"] == {"spins": 0} and ways["beside a busy core"] == {"busy": True}
    assert ways["two at once, spinning briefly"] == {"trainings": 2, "spins": SPINS}


def test_the_committed_record_keeps_what_is_promised():
    record = results.load_records(results.reference_dir() / "cpu" / "bench_neighbours")[-1]["metrics"]
    assert record["kept beside a busy core"] >= 0.6 and record["kept two at once"] >= 0.8
    assert record["lost alone"] <= 0.05


def test_a_page_without_a_record_says_so():
    assert neighbours.shares([]).iloc[0].tolist() == ["not measured here yet"]


def test_quick_is_short_and_others_take_five_turns():
    from seo_core.settings import load_settings

    assert neighbours.plan(load_settings("quick"))["rounds"] == 1
    assert neighbours.plan(load_settings("cpu")) == {"seconds": 10.0, "rounds": 5, "pairs": 1600}
    with pytest.raises(ValueError, match="seconds must be 0 or more, got -1"):
        neighbours.plan(load_settings("cpu"), seconds=-1)
