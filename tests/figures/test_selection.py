"""Figures of transfer and semi-supervised learning: drawn from what there is, "not run" for the rest."""

import sys

import pandas as pd
import pytest

from seo_core import figures


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    sys.modules["matplotlib.pyplot"].close("all")


def _texts(figure):
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text)]


def test_movement_has_a_line_for_each_run_and_a_tick_for_each_layer():
    layers = {"embeddings": 0.1, "layer 1": 0.5, "layer 2": 0.4, "pooler": 0.2}
    figure = figures.movement({"one rate": layers, "L2-SP": {k: v / 2 for k, v in layers.items()}})
    assert [line.get_ydata()[1] for line in figure.axes[0].lines] == [0.5, 0.25]
    assert {"one rate", "L2-SP", "layer 2", "pooler"} <= set(_texts(figure))


def test_an_arm_with_one_budget_is_a_point_and_borrows_nothing():
    rows = [("base", s, n, 0.5 + n / 10_000 + s / 100) for n in (500, 1000) for s in range(3)] + [("tl", 0, 1000, 0.7)]
    curves = pd.DataFrame(rows, columns=["configuration", "seed", "labels", "accuracy"])
    figure = figures.label_curves(curves, target="base", shared=False)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"base (3 seeds)", "tl (1 seed)"}
    assert lines["tl (1 seed)"].get_xdata().tolist() == [1000]
    assert lines["base (3 seeds)"].get_ydata() == pytest.approx([56, 61])
    assert "not run" in _texts(figures.label_curves(curves.head(0), target="base", shared=False))


def test_arms_that_do_not_matter_are_grey_and_without_a_name():
    rows = [(name, 0, n, 0.5) for name in ("random", "badge", "bald") for n in (500, 1000)]
    curves = pd.DataFrame(rows, columns=["configuration", "seed", "labels", "accuracy"])
    axes = figures.label_curves(curves, strong=("badge",)).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["random (1 seed)", "badge (1 seed)"]
    assert len({line.get_color() for line in axes.lines}) == 3


def test_development_curves_are_means_over_seeds():
    rows = [("base", "development_accuracy", epoch, value) for epoch, values in ((1, (0.5, 0.6)), (2, (0.6, 0.8)))
            for value in values]
    frame = pd.DataFrame(rows, columns=["configuration", "name", "step", "value"])
    figure = figures.development(frame, {"base": "pre-trained", "tl": "source task"})
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([55, 70])
    assert "pre-trained" in _texts(figure) and "source task" not in _texts(figure)
    assert "not run" in _texts(figures.development(frame.head(0), {"base": "pre-trained"}))


def test_thresholds_show_both_shares_and_leave_gaps_where_nothing_is_kept():
    series = {"threshold": [0.5, 0.9], "kept_at_threshold": [0.8, 0.0], "accuracy_at_threshold": [0.6, None]}
    figure = figures.thresholds({"500 labels": series})
    kept, right = (axes.lines[0].get_ydata() for axes in figure.axes)
    assert kept == pytest.approx([80, 0]) and right[0] == pytest.approx(60) and right[1] != right[1]
    assert _texts(figures.thresholds({})).count("not run") == 1


def test_classes_show_every_arm_and_stand_for_missing_values():
    frame = pd.DataFrame([("ssl", "neutral", 0.5, 0.6), ("ssl", "entailment", 0.4, None),
                          ("ssl-fixed", "neutral", 0.1, 0.9)], columns=["arm", "class", "kept", "accuracy"])
    figure = figures.by_class(frame)
    assert {"ssl", "ssl-fixed", "neutral", "entailment"} <= set(_texts(figure))
    assert sorted(round(bar.get_height()) for bar in figure.axes[0].patches) == [10, 40, 50]
    assert sorted(round(bar.get_height()) for bar in figure.axes[1].patches) == [60, 90]
    assert _texts(figures.by_class(frame.head(0))).count("not run") == 1
