"""The chapters' arms: what a recipe makes, its record, controls that follow another arm, and the command line."""

import numpy as np
import pandas as pd
import pytest

from seo_core import figures, results
from seo_core.analysis import tables
from seo_core.arms import ARMS, LabError, known, open_lab, pruning
from seo_core.pruning import PruningError, encoder_weights, histograms, remove, weight_shape_overlap
from seo_core.pruning.aip import split_passes
from seo_core.pruning.distribution import overlap
from seo_core.settings import load_settings


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    settings = load_settings("quick", train_rows=48, development_rows=64, evaluation_rows=32, layers=2, epochs=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("09_pruning", settings)


@pytest.fixture(scope="module")
def aip(lab, trains):
    return lab.arm("aip", knobs={"threshold": 100.0})


@pytest.mark.trains
def test_zeros_are_counted_and_save_nothing(lab):
    run = lab.arm("prune")
    m = run.metrics
    assert m["sparsity"] == pytest.approx(0.5, abs=1e-3) and m["removed"] == 0
    assert m["size_bytes"] == pruning.file_bytes(lab.arm("base").model()) == (run.weights / "model.safetensors").stat(
        ).st_size
    assert m["bitmap_bytes"] < m["size_bytes"] and 0 < m["weight_shape_overlap"] < 0.9
    assert len(run.record["series"]["layer_overlap"]) == 2
    assert run.path.parent.name == "09_pruning"


@pytest.mark.trains
def test_units_make_the_file_smaller_by_their_bytes(lab):
    run, base = lab.arm("taylor-40"), lab.arm("base").model()
    m, small = run.metrics, run.model()
    assert m["removed"] >= 0.4 and m["encoder_weights"] == encoder_weights(small)
    fewer = 4 * (encoder_weights(base) - encoder_weights(small))
    assert pruning.file_bytes(base) - m["size_bytes"] == pytest.approx(fewer, rel=0.01)
    assert m["weight_shape_overlap"] > 0.9  # units go whatever the size of their weights
    assert run.record["series"]["layer_heads"] == small.config.layer_heads


@pytest.mark.trains
def test_all_that_a_recipe_can_ask_for(lab):
    knobs = {"hidden": 1.0, "source_text": True, "augmented": 0.5, "kinds": ("layers",), "share": 0.5}
    run = lab.arm("taylor-40", knobs=knobs, recorded_as="everything")
    assert run.model().config.num_hidden_layers == 1 and run.metrics["removed"] == pytest.approx(0.5)
    assert "weight_shape_overlap" not in run.metrics  # there is no layer to compare with


def test_a_finished_arm_is_not_made_again(lab, aip, monkeypatch):
    monkeypatch.setattr(pruning, "_iterative", None)
    assert lab.arm("aip", knobs={"threshold": 100.0}).path == aip.path
    assert aip.path.parent.name == "10_adaptive_iterative_pruning"
    with pytest.raises(TypeError):  # other knobs are another run
        lab.arm("aip", knobs={"threshold": 99.0})


def test_the_trace_is_in_the_record_and_no_checkpoint_stays(lab, aip):
    series, m = aip.record["series"], aip.metrics
    assert series["round"] == list(range(1, len(series["round"]) + 1))
    assert m["steps_accepted"] >= 1 and m["removed"] >= 0.25 and series["final"][-1] == 1
    assert not [p for p in (aip.path.parent.parent / ".checkpoints").glob("*") if p.name.startswith("10_")]


def test_the_rounds_of_a_record_are_counted_from_its_start(aip):
    from seo_core import figures
    from seo_core.analysis import tables

    found = tables.rounds(aip.record)
    assert found["removed"].iloc[-1] == pytest.approx(aip.metrics["removed"])
    assert (found["points"] / 100 + aip.metrics["accuracy_start"] - found["accuracy"]).abs().max() < 1e-12
    for shown, words in ((found, set()), (tables.rounds(None), {"not run"})):
        figure = figures.trace(shown, 1.0)
        assert words <= {t.get_text() for axes in figure.axes for t in axes.texts}


def test_controls_remove_as_much_and_train_as_long(lab, aip, monkeypatch):
    recipe = pruning.replace(pruning.AIP, threshold=100.0)
    monkeypatch.setitem(ARMS, "aip", pruning.replace(ARMS["aip"], recipe=recipe))
    oneshot, distilled = (lab.arm(name) for name in ("oneshot", "distilled"))
    assert oneshot.metrics["removed"] == pytest.approx(aip.metrics["removed"], abs=0.03)
    assert distilled.metrics["removed"] == 0
    for run in (oneshot, distilled):
        assert run.metrics["passes"] == pytest.approx(aip.metrics["passes"], abs=0.02)


def test_a_stopped_aip_arm_goes_on(lab, aip, monkeypatch):
    from seo_core.pruning import aip as module

    calls, original = [], module._Run.finish

    def finish(self):
        calls.append(len(self.trace))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(module._Run, "finish", finish)
    with pytest.raises(KeyboardInterrupt):
        lab.arm("aip", knobs={"threshold": 100.0}, recorded_as="again")
    attempts = []
    monkeypatch.setattr(module._Run, "attempt", lambda self: attempts.append(1))
    run = lab.arm("aip", knobs={"threshold": 100.0}, recorded_as="again")
    assert not attempts and run.record["series"]["accuracy"] == aip.record["series"]["accuracy"]


def test_unknown_names_are_refused(lab):
    with pytest.raises(LabError, match="did you mean 'prune'"):
        lab.arm("pruned")
    with pytest.raises(LabError, match="did you mean 'threshold'"):
        lab.arm("aip", knobs={"treshold": 1})
    with pytest.raises(ValueError, match="did you mean 'structured'"):
        pruning.Recipe(method="structure")
    with pytest.raises(ValueError, match="soft labels"):
        pruning.Recipe(weight=0.0, source_text=True)


@pytest.mark.parametrize("arm, knobs, words", [
    ("prune", {"share": 1.5}, "share must be 0 or more and below 1"), ("prune", {"scope": "x"}, "unknown scope 'x'"),
    ("taylor-40", {"score": "x"}, "unknown score 'x'"), ("aip", {"threshold": -1.0}, "threshold T must be 0 or more"),
    ("oneshot", {"like": "zzz"}, "like names an arm, and 'zzz' is none"), ("aip", {"kinds": ()}, "name some of heads"),
    ("taylor-40", {"temperature": 0.0}, "temperature must be above 0"), ("aip", {"recovery": -1.0}, "recovery must be"),
    ("taylor-40", {"epochs": float("nan")}, "epochs must be 0 or more"),
])
def test_a_value_out_of_range_is_refused_before_anything_is_trained(arm, knobs, words):
    with pytest.raises(ValueError, match=words):
        known(arm).suited(load_settings("quick"), knobs)


@pytest.mark.parametrize("passes, rows, epochs", [(0.25, 25, 1), (1, 100, 1), (2.5, 125, 2), (3, 100, 3),
                                                  (0.001, 1, 1)])
def test_passes_are_whole_epochs_of_equal_length(passes, rows, epochs):
    found, count = split_passes(100, passes)
    assert (len(found), count) == (rows, epochs)
    assert set(found) <= set(range(100)) and (len(set(found)) == 100) == (passes >= 1)


# ---------------------------------------------------------------------------------------------
# Distributions, times, figures


def test_the_overlap_is_one_for_the_same_shape_and_low_for_two_humps():
    w = np.random.default_rng(0).normal(size=200_000)
    assert overlap(w, 3 * w) == pytest.approx(1)
    assert overlap(w, w[:100_000]) > 0.98
    assert overlap(w, w[np.abs(w) > np.quantile(np.abs(w), 0.5)]) < 0.8
    assert overlap(w, np.sign(w) + 1e-3 * w) < 0.2


def test_removed_mass_is_what_is_missing(tiny_bert):
    from seo_core.pruning import prune

    before, after = tiny_bert(), tiny_bert()
    prune(after, 0.5)
    table = weight_shape_overlap(before, after)
    assert table["layer"].tolist() == [1, 2]
    assert ((table["removed_weights"] > 0.4) & (table["removed_weights"] < 0.6)).all()
    assert (table["removed_mass"] < 0.15).all() and (table["removed_mass"] > 0.02).all()
    same = weight_shape_overlap(before, before)
    assert (same["overlap"] == 1).all() and (same["removed_mass"] == 0).all()
    curves = histograms(before, after)
    area = {name: sum(values) for name, values in curves.items() if name != "histogram_centre"}
    assert area["before layer 1"] == pytest.approx(1, abs=1e-3)
    assert area["after layer 1"] == pytest.approx(1 - table["removed_weights"][0], abs=1e-3)
    fewer = remove(before, layers=[0])
    with pytest.raises(PruningError, match="say which with layers"):
        weight_shape_overlap(before, fewer)
    assert weight_shape_overlap(before, fewer, layers=[1])["layer"].tolist() == [2]


def test_points_stand_on_the_line_of_what_was_removed(monkeypatch):
    kinds = {"taylor-60": ["heads", "neurons"], "taylor-65": ["heads", "neurons", "layers"], "layers-33": ["layers"]}
    monkeypatch.setattr(tables.results, "record_at",
                        lambda path: {"parameters": {"recipe": {"kinds": kinds[path], "score": "taylor"}}})
    frame = pd.DataFrame({"configuration": list(kinds), "path": list(kinds), "removed": 0.5, "seed": 0,
                          "accuracy_matched": 0.7, "accuracy_mismatched": 0.8})
    found = tables.removed_and_accuracy(frame)
    assert found["family"].tolist() == ["units by taylor", "units and whole layers by taylor", "whole layers by taylor"]
    assert found["accuracy"].tolist() == pytest.approx([75, 75, 75])
    for name, removed in kinds.items():  # as the arms ask for
        assert list(ARMS[name].recipe.kinds) == removed


def test_figures_are_drawn_with_records_and_without(lab, aip):
    run = lab.arm("prune")
    series = aip.record["series"]
    rounds = pd.DataFrame({k: series[k] for k in ("round", "removed", "accepted", "final")})
    rounds["points"] = 0.0
    frame = results.load(lab.settings.results_dir)
    points = tables.removed_and_accuracy(frame)
    assert {"base", "zeros, all layers together"} <= set(points["family"])
    left = {kind: series[f"layer_{kind}"] for kind in ("heads", "neurons")}
    for figure in (figures.trace(rounds, 1.0), figures.sizes({"aip": left}),
                   figures.share_and_accuracy(points),
                   figures.weight_distributions({"zeros": run.record, "AIP": aip.record})):
        assert figure.axes and not any("not run" in t.get_text() for a in figure.axes for t in a.texts)
    assert len(tables.shape_table({"prune": run.record})) == 1
    empty = results.load(lab.settings.results_dir + "/none")
    for figure in (figures.trace(rounds[:0]), figures.sizes({}),
                   figures.share_and_accuracy(tables.removed_and_accuracy(empty)),
                   figures.weight_distributions({})):
        assert any("not run" in t.get_text() for a in figure.axes for t in a.texts)
