"""Optimizers: the same labels and start, each optimizer at its rate, and the rate of a batch by the rule."""

import pytest

from seo_core import figures, load_settings
from seo_core.analysis import efficiency
from seo_core.arms import known, open_lab
from seo_core.arms.optimizers import NAMES, OPTIMIZERS, Optimizing


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    settings = load_settings("quick", layers=1, train_rows=64, development_rows=32, evaluation_rows=16, epochs=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("17_optimizers", settings, say=lambda text: None)


@pytest.mark.trains
def test_each_optimizer_trains_on_the_same_pairs_at_its_rate(lab):
    runs = {name: lab.arm(name, 32) for name in NAMES.values()}
    assert len({tuple(run.rows) for run in runs.values()}) == 1
    for optimizer, name in NAMES.items():
        training = runs[name].record["parameters"]["training"]
        assert (training["optimizer"], training["batch_size"]) == (optimizer, 8)
        assert training["learning_rate"] == known(name).recipe.learning_rate
        assert len(runs[name].record["series"]["development_loss"]) == 4  # and so a first accuracy for the verdict
    curves = efficiency.loss_curves([run.record for run in runs.values()])
    assert curves["pairs"].max() == 32 and set(curves["configuration"]) == set(NAMES.values())
    figure = figures.loss_by_pairs(curves, {name: name for name in NAMES.values()})
    assert len(figure.axes[0].lines) == 3
    wide = lab.arm("sgd-momentum-512-linear", 32).record["parameters"]["training"]
    assert (wide["batch_size"], wide["learning_rate"]) == (128, 16 * known("sgd-momentum").recipe.learning_rate)
    trial = lab.arm("lamb", 32, {"learning_rate": 1e-3}, recorded_as="lamb-rate-1e-3")
    assert trial.record["configuration"] == "lamb-rate-1e-3" and trial.path != runs["lamb"].path
    tried = efficiency.rate_trials([trial.record, runs["lamb"].record], NAMES)
    assert tried.iloc[:, :2].to_numpy().tolist() == [["lamb", 1e-3]]
    beside = efficiency.rate_trials([trial.record, *(run.record for run in runs.values())], NAMES)
    assert beside["optimizer"].tolist() == list(NAMES)[:1] + ["lamb", "sgd-momentum"]  # the arm's own rate is one
    points = efficiency.by_batch([trial.record, runs["adamw"].record], NAMES)
    assert points["name"].tolist() == ["adamw, linear", "adamw, root"] and points["batch"].tolist() == [8, 8]


@pytest.mark.parametrize(("rule", "expected"), [("none", 1e-4), ("root", 4e-4), ("linear", 16e-4)])
def test_a_rate_grows_with_the_batch_by_its_rule(rule, expected):
    assert Optimizing(batch_size=512, rule=rule).rate == pytest.approx(expected)
    assert Optimizing(rule=rule).rate == 1e-4


def test_every_optimizer_is_run_at_the_same_batches():
    assert len(OPTIMIZERS.arms) == 15
    by = {name: {arm.removeprefix(name) for arm in OPTIMIZERS.arms if arm.startswith(name)} for name in NAMES.values()}
    assert by["adamw"] == by["lamb"] == by["sgd-momentum"] == {"", "-128-root", "-128-linear", "-512-root",
                                                               "-512-linear"}


@pytest.mark.parametrize(("knobs", "words"), [({"optimizer": "adam"}, "unknown optimizer 'adam'.*did you mean 'adamw'"),
                                              ({"rule": "square"}, "unknown rule 'square'"),
                                              ({"batch_size": 0}, "batch_size must be 1 or more")])
def test_what_is_none_is_refused_before_anything_is_trained(lab, knobs, words):
    with pytest.raises(ValueError, match=words):
        lab.arm("adamw", 32, knobs)


def test_figures_without_records_say_so():
    import pandas as pd

    empty = efficiency.loss_curves([])
    for figure in (figures.loss_by_pairs(empty, {}), figures.over_batches(pd.DataFrame(columns=["name", "batch"]))):
        assert any("not run" in text.get_text() for text in figure.axes[0].texts)


def record(name, rate, accuracy, *, seed=0, batch=32, **metrics):
    return {"configuration": name, "seed": seed, "metrics": metrics, "series": {"development_accuracy": [accuracy]},
            "parameters": {"recipe": {"optimizer": "adamw", "learning_rate": rate, "batch_size": batch, "base": 32,
                                      "rule": "root"}}}


def test_an_arms_own_run_is_one_of_the_rates_tried_and_they_are_counted_from_the_records():
    records = [record("adamw-rate-5e-5", 5e-5, 0.64), record("adamw", 1e-4, 0.66), record("adamw", 1e-4, 0.67, seed=1),
               record("adamw-rate-2e-4", 2e-4, 0.65), record("adamw-512-root", 1e-4, 0.9, batch=512)]
    trials = efficiency.rate_trials(records, {"adamw": "AdamW"})
    assert trials.iloc[:, 1:3].to_numpy().tolist() == [[5e-5, "64.00"], [1e-4, "66.00"], [2e-4, "65.00"]]
    assert efficiency.rates_tried(trials) == {"AdamW": (3, 1e-4)}
    again = efficiency.rate_trials([*records, record("adamw-rate-1e-4", 1e-4, 0.63)], {"adamw": "AdamW"})
    assert again.iloc[1, 2] == "63.00" and len(again) == 3  # of equal runs the trial counts
    assert efficiency.rates_tried(efficiency.rate_trials([], {})) == {}


def test_sealed_runs_stand_over_the_batch_by_their_development_rows_and_the_axis_says_so():
    sealed = [record("adamw", 1e-4, 0, accuracy_development=0.6),
              record("adamw-512-root", 1e-4, 0, batch=512, accuracy_development=0.5)]
    points = efficiency.by_batch(sealed, {"adamw": "AdamW"})
    assert points["value"].tolist() == [60, 60, 50] and set(points["rows"]) == {"development rows"}
    assert figures.over_batches(points).axes[0].get_ylabel() == "accuracy, development rows, %"
    scored = record("adamw", 1e-4, 0, accuracy_development=0.6, accuracy_matched=0.7)
    assert efficiency.by_batch([scored], {"adamw": "AdamW"})["rows"].tolist() == ["matched set"] * 2
    mixed = efficiency.by_batch([scored, sealed[1]], {"adamw": "AdamW"})
    assert mixed["value"].tolist() == [60, 60, 50]  # one kind of rows for all
