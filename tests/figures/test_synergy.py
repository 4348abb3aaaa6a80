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
    "lambda_data": [0.5, 0.6, 0.7], "lambda_model": [0.5, 0.8, 1.4], "accepted": [1, 0, 1]}}


def test_rounds_are_told_by_their_names():
    table = tables.controller_rounds(RECORD)
    assert table["action"].tolist() == ["buy", "prune", "quantize"]
    assert table["kept"].tolist() == ["yes", "rolled back", "yes"]
    assert table["file, MB"].iloc[-1] == pytest.approx(18)
    assert tables.controller_rounds(None).empty and tables.controller_rounds({"series": {"epoch": [1]}}).empty


def test_the_committed_record_of_the_lowest_seed_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.results, "reference_dir", lambda: tmp_path)
    records = [{**RECORD, "configuration": name, "seed": seed} for name, seed in (("a", 2), ("a", 1), ("b", 0))]
    monkeypatch.setattr(tables.results, "load_records", lambda folder: records if folder.name == "here" else [])
    monkeypatch.setattr(tables, "controller_rounds", lambda record: record and record["seed"])
    assert tables.recorded_rounds("here", "a") == 1 and tables.recorded_rounds("there", "a") is None


def test_a_round_that_was_rolled_back_is_hollow_and_its_accuracy_is_not_joined():
    figure = figures.rounds(tables.controller_rounds(RECORD), floor=58.0)
    above = figure.axes[0]
    faces = {points.get_label(): points.get_facecolors() for points in above.collections}
    assert faces["buy"][0, 3] == 1 and faces["prune"][0, 3] == 0  # opaque, and not
    assert len(above.lines[0].get_xdata()) == 2
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
