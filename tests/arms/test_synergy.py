"""The arms of the Synergy Controller: the factorial has every cell, and cells differ by their names alone; the whole
system has its share of the labels, its control and its rival the same; and what a run cost is all of it."""

from dataclasses import fields, replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from seo_core.arms import ARMS, LabError, open_lab, steps, synergy
from seo_core.arms.synergy import FACTORS, SEO, assembled, cell, training_time, trials
from seo_core.lab import Made
from seo_core.pipeline import COMPRESSION
from seo_core.settings import load_settings


def test_the_factorial_has_its_sixteen_cells():
    names = {name for name in ARMS if name.startswith("factorial-")}
    assert len(names) == 2 ** len(FACTORS)
    assert {"factorial-none", "factorial-int8", "factorial-distil-prune-int8-data"} <= names
    assert all(ARMS[name].recipe == cell(*name.replace("factorial-none", "factorial").split("-")[1:]) for name in names)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_factor_changes_the_same_in_every_cell(factor):
    others = [each for each in FACTORS if each != factor]
    changed = set()
    for count in range(len(others) + 1):
        for on in combinations(others, count):
            without, with_it = cell(*on), cell(*on, factor)
            changed.add(frozenset(f.name for f in fields(SEO) if getattr(without, f.name) != getattr(with_it, f.name)))
            done = dict(with_it.schedule)
            assert set(done) - set(dict(without.schedule)) == {
                "data": {"buy", "augment", "label"}, "int8": {"quantize"}}.get(factor, {factor})
    assert len(changed) == 1, changed


def test_what_pruning_takes_is_the_same_share_of_what_distillation_leaves():
    assert not cell("distil").guard  # half of the layers cost more than the floor allows
    assert cell("prune").removed == 2 * cell("prune", "distil").removed and cell("distil").depth == 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    settings = load_settings("quick", train_rows=96, development_rows=64, evaluation_rows=32, layers=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("15_seo_llm", settings, say=lambda text: None)


def ground(pool: int, held: int, labels: int | None = None):
    """A lab as far as numbers of labels go."""
    return SimpleNamespace(pool=range(pool), labels=labels, current=SimpleNamespace(start="pretrained"),
                           task={"reward": range(held // 2), "acceptance": range(held - held // 2)})


@pytest.mark.parametrize("name, bought", [("seo", 30068), ("seo-labels", 19847), ("seo-half", 13034)])
def test_a_share_of_the_labels_counts_those_of_the_development_slice(name, bought):
    assert synergy._with_labels(ground(30068, 4000), ARMS[name].recipe).labels == bought
    assert synergy._with_labels(ground(30068, 4000, labels=500), ARMS[name].recipe).labels == 500  # asked for
    assert ARMS[name].start == "pretrained"  # no source task, whose labels would count too


def test_a_share_that_the_development_slice_uses_up_is_refused():
    with pytest.raises(ValueError, match="development slice alone has 4000 labels of 34068"):
        synergy._with_labels(ground(30068, 4000), replace(SEO, label_share=0.1))


def test_numbers_of_labels_are_not_dropped_in_silence(lab):
    with pytest.raises(LabError, match="seo-labels runs in the headline setting"):
        lab.run(["seo-labels"], labels=[23847])
    with pytest.raises(ValueError, match="labels is no knob here"):
        lab.arm("seo-labels", knobs={"labels": 23847})


def test_control_and_rival_have_the_labels_and_the_work_of_what_they_are_held_against():
    whole, control, rival = (ARMS[name].recipe for name in ("seo-labels", "seo-control", "seo-rival"))
    assert control.work == whole.work == rival.work and control.label_share == whole.label_share == 0.7
    assert {*COMPRESSION, "buy"} == set(control.without) and control.first == 1 and control.size is None
    assert not {"augment", "label"} & set(control.without)  # the same texts
    for name in ("seo-control", "seo-rival"):
        assert [arm.name for arm, _ in steps(name)] == ["seo-labels", name]


@pytest.mark.trains
def test_the_whole_system_its_control_and_its_rival_on_the_same_pairs(lab, monkeypatch):
    monkeypatch.setattr(synergy, "QUICK", {**synergy.QUICK, "seconds": 3.0, "rounds": 2, "loss": 100.0, "pairs": 32})
    monkeypatch.setattr(synergy, "QUICK_SIZE", 30e6)
    whole, control, rival = lab.run(["seo-labels", "seo-control", "seo-rival"])
    assert set(whole.rows) == set(control.rows) == set(rival.rows)
    held = len(lab.task["reward"]) + len(lab.task["acceptance"])
    for run in (whole, control, rival):
        used = run.record["data"]["labels_used"]
        assert used == len(run.rows) + held <= 0.7 * (len(lab.pool) + held)
        assert "source_labels" not in run.record["data"]
        assert run.metrics["train_work"] > 0 and run.metrics["size_bytes"] > 0
    assert rival.metrics["size_bytes"] < control.metrics["size_bytes"] / 2 and control.metrics["removed"] == 0
    ends = [run.record["series"] for run in (whole, control)]
    row = 1 / len(lab.task["acceptance"])  # an overfitted control is none: of its networks it is the best
    assert control.metrics["accuracy_development"] == pytest.approx(max(ends[1]["development_accuracy"]), abs=row)
    assert all(len(each["development_accuracy"]) == len(each["round"]) + 1 for each in ends)
    assert all(0 <= each["train_accuracy"][-1] <= 1 for each in ends)


def spent(seconds: float, examples: int):
    return {"seconds": seconds, "examples": examples}


def test_what_was_rolled_back_and_what_a_run_began_with_are_part_of_its_time():
    outcome = SimpleNamespace(start=SimpleNamespace(seconds=2.0, examples=300), log=[
        {**spent(3.0, 400), "accepted": True}, {**spent(5.0, 700), "accepted": False}])
    base = SimpleNamespace(metrics={"train_examples": 6000, "train_seconds": 60.0})
    told = training_time(ground(100, 10), SEO, outcome, base)
    assert told["work_seconds"] == 10 and told["train_examples"] == 1400
    assert told["train_work"] == 10 * SEO.speed + 6000
    assert told["train_seconds"] == pytest.approx(told["train_work"] * 60 / 6000)
    base.metrics.pop("train_seconds")  # other processes were at work: no time is a cost then
    assert training_time(ground(100, 10), SEO, outcome, base)["train_seconds"] is None
    lab = ground(100, 10, labels=50)
    lab.current.start, lab.source_labels = "source", lambda: 1000
    assert training_time(lab, SEO, outcome, None)["train_work"] == 10 * SEO.speed + 2 * 1000


@pytest.mark.parametrize("name", ["controller", *(name for name in ARMS if name.startswith("static-")
                                                  and ARMS[name].chapter is synergy.SYNERGY)])
def test_controller_and_schedules_are_tuned_over_the_same_trials(name):
    found = trials(name)
    assert [*map(tuple, found.values())] == [*map(tuple, trials("controller").values())]
    assert len(found) == 4 and next(iter(found.items())) == (name, {})
    assert len({repr(ARMS[name].suited(load_settings("cpu"), knobs).recipe) for knobs in found.values()}) == 4


def test_guard_on_and_off_differ_in_the_guard_alone():
    on, off = ARMS["guard-on"].recipe, ARMS["guard-off"].recipe
    assert replace(on, guard=False) == off and on.guard and ARMS["guard-on"].budgets == (2000,)
    assert on.removed > 3 * SEO.removed and on.set_aside == 4000


def test_pairs_that_are_set_aside_are_out_of_sight(lab, monkeypatch):
    seen = {}

    def on_the_rest(inner, recipe):
        seen.update(pool=inner.pool, pairs=inner.encoded())
        return Made(None, {"removed": 0.3}, rows=np.array([2, 0]), tokenizer=lab.tokenizer,
                    predict=lambda held: np.eye(3)[held.labels])

    monkeypatch.setattr(synergy, "assembled", on_the_rest)
    made = synergy.guarded(lab, replace(synergy.GUARD, set_aside=20))
    assert made.metrics == {"removed": 0.3, "set_aside": 20, "requested_share": 0.65, "set_aside_accuracy": 1.0,
                            "reached_share": 0.3}
    assert len(seen["pool"]) == len(seen["pairs"]) == len(lab.pool) - 20
    texts = lab.task.texts[0]
    assert list(lab.pool.iloc[made.rows][texts]) == list(seen["pool"].iloc[[2, 0]][texts])  # places in the whole pool
    assert set(seen["pool"]["idx"]) < set(lab.pool["idx"])
    made = synergy.guarded(lab, synergy.GUARD)  # a small pool gives up a quarter
    assert made.metrics["set_aside"] == len(lab.pool) // 4


def test_a_run_begins_with_what_another_one_drew(lab, monkeypatch):
    monkeypatch.setattr(synergy, "assembled", lambda inner, recipe, best: inner.random_rows(3))
    rows = np.array([5, 1, 9, 4])
    assert list(synergy.on_the_same(lab, SEO, SimpleNamespace(rows=rows))) == [5, 1, 9]
    assert assembled is not synergy.assembled and lab.drawn is None
