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
