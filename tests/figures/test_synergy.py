"""The controller's rounds as a table and as a figure."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from seo_core import figures
from seo_core.analysis import tables
from seo_core.controller import ACTIONS
from seo_core.figures import synergy

RECORD = {"series": {
    "round": [1, 2, 3], "action": [0, 3, 4], "step": [1, 0.5, 1], "loss": [-0.1, 0.02, 0.01],
    "accuracy": [0.6, 0.6, 0.59], "size": [91e6, 91e6, 18e6], "seconds": [20, 18, 30], "labels": [500, 0, 0],
    "lambda_data": [0.5, 0.6, 0.7], "lambda_model": [0.5, 0.8, 1.4], "accepted": [1, 0, 1],
    "labels_used": [1500, 1500, 1500], "seconds_used": [60, 78, 108], "broken": [0, 5, 0], "value": [None, 0.55, None],
    "limit": [None, 0.58, None], "predicted_size": [None, 80e6, None], "exact_size": [None, 82e6, None],
    "predicted_latency": [None, 0.0, None], "exact_latency": [None, 0.0, None]},
    "metrics": {"accuracy_start": 0.58, "size_start": 91e6, "controller_seconds": 2.5, "overhead": 0.0125,
                "judging_seconds": 30.0, "size_error_median": 0.004, "size_error_worst": 0.024}}


def test_rounds_are_told_by_their_names():
    table = tables.controller_rounds(RECORD)
    assert table["action"].tolist() == ["buy", "prune", "quantize"]
    assert table["kept"].tolist() == ["yes", "rolled back", "yes"]
    assert table["file, MB"].iloc[-1] == pytest.approx(18)
    assert table["why"].tolist() == ["", "accuracy 0.5500 is below the floor 0.5800", ""]
    assert table["labels spent"].tolist() == [1500] * 3 and table["seconds spent"].tolist() == [60, 78, 108]
    assert table["predicted MB off, %"].round(2).tolist()[1] == round(100 * (80 / 82 - 1), 2)
    assert table["predicted MB off, %"].isna().tolist() == [True, False, True]  # where there was no export
    assert not [column for column in table if "ms" in column]  # latency had no budget
    assert tables.controller_rounds(None).empty and tables.controller_rounds({"series": {"epoch": [1]}}).empty


def test_a_record_without_reasons_is_still_shown():
    names = ("round", "action", "step", "loss", "accuracy", "size", "seconds", "labels", "lambda_data", "lambda_model",
             "accepted")
    old = {"series": {name: RECORD["series"][name] for name in names}, "metrics": {}}
    assert tables.controller_rounds(old)["kept"].tolist() == ["yes", "rolled back", "yes"]
    assert tables.controller_says(old) == "" and len(tables.controller_front(old)) == 2
    plt.close(figures.rounds(tables.controller_rounds(old)))


def test_milliseconds_are_shown_where_they_had_a_budget():
    times = {"latency": [9.0, 9.0, 4.0], "predicted_latency": [None, 8.0, None], "exact_latency": [None, 10.0, None]}
    table = tables.controller_rounds({**RECORD, "series": {**RECORD["series"], **times}})
    assert table["ms a batch"].tolist() == [9, 9, 4] and table["predicted ms off, %"].iloc[1] == pytest.approx(-20)


def test_the_front_is_of_the_states_that_were_kept_and_of_the_start():
    front = tables.controller_front(RECORD)
    assert front[["round", "action"]].values.tolist() == [[3, "quantize"], [1, "buy"]]
    assert front["file, MB"].tolist() == [18, 91] and front["accuracy, %"].tolist() == [59, 60]
    better = {**RECORD, "metrics": {**RECORD["metrics"], "accuracy_start": 0.7}}
    assert tables.controller_front(better)["action"].tolist() == ["quantize", "start"]
    assert tables.controller_front(None).empty


def test_the_controller_s_own_time_and_the_errors_of_its_predictors_are_told():
    said = tables.controller_says(RECORD)
    assert "took 2.5 s, 1.2% of the run" in said and "off by 0.40% (median), 2.40% at worst" in said
    assert "milliseconds" not in said


def test_the_committed_record_of_the_lowest_seed_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.results, "reference_dir", lambda: tmp_path)
    records = [{**RECORD, "configuration": name, "seed": seed, "data": {"name": data}} for name, seed, data in (
        ("a", 2, "path/to/sst2"), ("a", 1, "mnli"), ("b", 0, "mnli"))]
    monkeypatch.setattr(tables.results, "load_records", lambda folder: records if folder.name == "here" else [])
    assert tables.recorded_run("here", "a")["seed"] == 1 and tables.recorded_run("there", "a") is None
    assert tables.recorded_run("here", "a", "sst2")["seed"] == 2 and tables.recorded_run("here", "b", "sst2") is None


def test_a_round_that_was_rolled_back_is_hollow_and_its_accuracy_is_not_joined():
    figure = figures.rounds(tables.controller_rounds(RECORD), floor=58.0)
    above = figure.axes[0]
    faces = {points.get_label(): points.get_facecolors() for points in above.collections}
    assert faces["buy"][0, 3] == 1 and faces["prune"][0, 3] == 0  # opaque, and not
    assert len(above.lines[0].get_xdata()) == 2
    spent = {axes.get_ylabel(): axes.lines[0].get_ydata().tolist() for axes in figure.axes[1:4]}
    assert spent == {"file, MB": [91, 91, 18], "labels\nspent": [1500] * 3, "seconds\nspent": [60, 78, 108]}
    plt.close(figure)


def test_without_a_record_it_says_not_run():
    figure = figures.rounds(pd.DataFrame())
    assert all("not run" in [text.get_text() for text in axes.texts] for axes in figure.axes)
    plt.close(figure)


def test_both_prices_of_a_log_are_steps_on_one_axis():
    log = pd.DataFrame({"round": [1, 2, 3], "lambda_data": [0.5, 1.0, 0.75], "lambda_model": [0.5, 0.0, 0.0]})
    figure = figures.prices(log)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines) == ["λ₁, of data", "λ₂, of bytes and time"]
    assert [line.get_drawstyle() for line in lines.values()] == ["steps-mid"] * 2
    assert lines["λ₁, of data"].get_ydata().tolist() == [0.5, 1.0, 0.75]
    plt.close(figure)


def test_every_action_has_a_look_of_its_own():
    assert set(synergy.LOOKS) == set(ACTIONS) and len(set(synergy.LOOKS.values())) == len(ACTIONS)
