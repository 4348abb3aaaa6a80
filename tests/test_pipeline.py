"""SEO-LLM assembled: budgets, rounds, what is kept between them, and what each switch changes."""

import copy
import json
import os
import pkgutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from minibook import ROOT, environment
from own_sets import written

import seo_core
from seo_core import pipeline
from seo_core.arms import open_lab
from seo_core.controller import ControllerConfig, ControllerError, Measured
from seo_core.deploy import artifact
from seo_core.files import whole_folder
from seo_core.pipeline import ACTIONS, Pipeline, run_seo_llm
from seo_core.quantization import ExportConfig, export_onnx, qat
from seo_core.settings import load_settings
from seo_core.training import DivergedError

RECIPE = Pipeline(labels=48, seconds=60, pairs=64, size=12e6, loss=100, rounds=7, first=0.5, first_epochs=1,
                  removed=0.3, labelled=16, candidates=32, score_rows=16)
EACH = ControllerConfig(allocation="static", schedule=tuple((name, 1) for name in ("buy", "augment", "label", "prune",
                                                                                   "quantize", "train")))
DISTIL = replace(RECIPE, size=None, depth=1, rounds=3, first=1.0)
THREE = ControllerConfig(allocation="static", schedule=tuple((name, 1) for name in ("distil", "prune", "quantize")))
SMALL = dict(train_rows=128, development_rows=64, evaluation_rows=32, layers=2)
STOPS = {  # run → its recipe, its schedule, and where it is stopped, time after time → the rounds that are kept by then
    "outcome": (RECIPE, EACH, {"_Work.buy": 0, "_Work.augment": 1, "_Work.label": 2, "np.savez": 2, "_Work.prune": 3,
                               "Path.rename": 3, "_Work.quantize": 4, "_Work.train": 5}),
    "distilled": (DISTIL, THREE, {"_Work.distil": 0})}


def opened(results):
    settings = load_settings("quick", **SMALL, results_dir=str(results))
    return open_lab("14_synergy_controller", settings, say=lambda text: None)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def outcome(lab, trains, tmp_path_factory):
    return run_seo_llm(lab, RECIPE, tmp_path_factory.mktemp("whole"), config=EACH)


@pytest.fixture(scope="module")
def distilled(lab, trains):
    return run_seo_llm(lab, DISTIL, config=THREE)


def weights(outcome) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in outcome.state.model.state_dict().items()}


@pytest.mark.trains
def test_a_run_does_what_its_schedule_says_within_its_budgets(lab, outcome):
    state = outcome.state
    assert [entry["action"] for entry in outcome.log][:6] == [name for name, _ in EACH.schedule]
    assert outcome.missed == () and outcome.measured.exact
    assert len(state.rows) == len(set(state.rows)) == outcome.measured.labels <= RECIPE.labels
    assert not set(state.rows) & set(state.soft)  # a pair whose label was bought is not the teacher's to label
    assert state.integers and not state.whole and len(state.edits)
    assert outcome.measured.seconds <= RECIPE.seconds
    assert sum(entry["seconds"] for entry in outcome.log) == pytest.approx(
        outcome.measured.seconds - outcome.start.seconds)


@pytest.mark.trains
def test_what_is_measured_is_the_file_and_predictors_are_near_it(lab, outcome):
    work = pipeline._Work(lab, RECIPE, None, lambda model: None)
    assert work.predicted(outcome.state) == pytest.approx(outcome.measured.size, rel=0.03)
    whole = replace(outcome.state, model=outcome.state.teacher, reader=lab)
    assert work.predicted(whole) == pytest.approx(work.measure(whole, exact=True).size, rel=0.05)


def test_a_network_that_knows_the_labels_is_where_the_rounds_begin(lab):
    network = lab.network()
    work = pipeline._Work(lab, replace(RECIPE, first=1.0, first_epochs=0), None, lambda model: None)
    state = work.start(network)
    assert state.model is network and state.work == state.examples == 0 and len(state.rows) == RECIPE.labels


def test_a_purchase_looks_at_no_fewer_pairs_than_it_buys(lab):
    few = replace(RECIPE, first=0.25, first_epochs=0, bought=0.25, candidates=1)
    work = pipeline._Work(lab, few, None, lambda model: None)
    work.learn = lambda state, step, **options: state
    for feedback in (True, False):
        work.recipe = replace(few, feedback=feedback)
        assert len(work.buy(work.start(lab.network()), 1.0).rows) == few.labels / 2


@pytest.mark.trains
def test_the_record_s_curves_have_a_value_for_each_round(outcome):
    series = outcome.series()
    assert {len(values) for values in series.values()} == {len(outcome.log)}
    assert series["labels_used"][-1] == outcome.measured.labels and "latency" not in series
    assert [ACTIONS[int(number)] for number in series["action"]] == [entry["action"] for entry in outcome.log]


def interrupt():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def stopping(point: str, how):
    """What `setattr` needs for a run that stops at this point of the pipeline, once the work there is done."""
    owner, _, name = point.rpartition(".")
    owner = pkgutil.resolve_name(f"seo_core.pipeline:{owner}")
    real = getattr(owner, name)

    def works_and_stops(*given, **options):
        real(*given, **options)
        if owner is not pipeline.Path or given[0].name == pipeline.STATE:  # moved aside, and the next not yet there
            how()

    return owner, name, works_and_stops


def kept(folder) -> list:
    """The log of a run that was stopped."""
    place = whole_folder(folder / "state")
    return json.loads((place / "memory.json").read_text())["log"] if place else []


def die(folder):
    """At each point a process that goes on with the run and is killed there: prints its exit code, and what is kept."""
    lab = opened(folder)
    for run, (recipe, config, points) in STOPS.items():
        for point in points:
            if not os.fork():
                signal.alarm(300)
                setattr(*stopping(point, kill))
                run_seo_llm(lab, recipe, folder / run, config=config)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.wait()[1])
            print(json.dumps([run, point, code, kept(folder / run)]), flush=True)


@pytest.mark.trains
def test_a_run_that_is_killed_in_every_action_and_while_it_saves_ends_as_it_would_have(lab, outcome, distilled,
                                                                                       tmp_path):
    code = "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import test_pipeline as t; t.die(pathlib.Path.cwd())"
    child = subprocess.run([sys.executable, "-c", code, str(ROOT / "tests")], cwd=tmp_path, capture_output=True,
                           text=True, env=environment(), check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    ends = [*map(json.loads, child.stdout.splitlines())]
    for (run, (recipe, config, points)), whole in zip(STOPS.items(), (outcome, distilled), strict=True):
        assert [end for end in ends if end[0] == run] == [
            [run, point, -signal.SIGKILL, whole.log[:rounds]] for point, rounds in points.items()], child.stderr[-2000:]
        same(run_seo_llm(lab, recipe, tmp_path / run, config=config), whole)


@pytest.mark.trains
@pytest.mark.parametrize("run", STOPS)
def test_a_run_that_is_interrupted_again_and_again_goes_on_as_it_would_have(lab, run, request, tmp_path, monkeypatch):
    whole, (recipe, config, points) = request.getfixturevalue(run), STOPS[run]
    for point, rounds in points.items():
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(*stopping(point, interrupt))
            run_seo_llm(lab, recipe, tmp_path, config=config)
        assert kept(tmp_path) == whole.log[:rounds]
    same(run_seo_llm(lab, recipe, tmp_path, config=config), whole)


def test_every_action_is_one_that_a_run_is_stopped_in():
    points = {point for _, _, points in STOPS.values() for point in points}
    assert {f"_Work.{name}" for name in ACTIONS} == points - {"np.savez", "Path.rename"}


def same(again, whole) -> None:
    """That two runs went and ended alike, to the last bit."""
    assert json.dumps(again.log) == json.dumps(whole.log)
    assert np.array_equal(again.state.rows, whole.state.rows)
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in weights(again).items())


@pytest.mark.trains
def test_the_record_says_what_the_controller_took_and_how_far_off_its_predictors_were(outcome):
    numbers, errors = outcome.metrics, outcome.errors
    assert 0 < numbers["overhead"] < 1 and numbers["controller_seconds"] > 0 and numbers["judging_seconds"] > 0
    assert numbers["overhead"] == pytest.approx(numbers["controller_seconds"] / outcome.clock["run"])
    assert len(errors["size"]) == len([entry for entry in outcome.log if entry["exact"]]) + 1 == 3  # and the end
    assert 0 < numbers["size_error_median"] <= numbers["size_error_worst"] < 0.05
    assert not errors["latency"] and not {"latency_ms", "latency_error_median"} & set(numbers)  # which has no budget


@pytest.mark.trains
def test_a_budget_of_latency_is_measured_by_the_batch_and_foreseen_between_exports(lab):
    recipe = replace(RECIPE, latency=1e5, latency_batch=8, rounds=4, size=None)
    schedule = tuple((name, 1) for name in ("train", "prune", "prune", "quantize"))
    ended = run_seo_llm(lab, recipe, config=ControllerConfig(allocation="static", schedule=schedule))
    numbers, last = ended.metrics, ended.log[-1]
    assert ended.missed == () and ended.measured.latency > 0
    assert (numbers["latency_ms"], numbers["latency_batch"]) == (ended.measured.latency, 8)
    first, second, third = (entry["latency"] for entry in ended.log[:3])
    assert first > second > third > 0  # by the encoder's weights, before the next export
    assert last["exact"] and last["predicted_latency"] == pytest.approx(third)
    assert last["exact_latency"] == last["latency"] and len(ended.errors["latency"]) == 2
    assert numbers["latency_error_worst"] >= numbers["latency_error_median"] > 0
    assert ended.series()["latency"][:3] == [first, second, third]
    hurried = run_seo_llm(lab, replace(recipe, latency=1e-6, rounds=1))
    assert hurried.missed == ("latency",)


def test_the_time_of_a_batch_is_the_median_of_full_ones(monkeypatch):
    ticks, sizes = iter(range(1000)), []
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: next(ticks) / 1000)

    class Texts(list):
        def take(self, rows):
            return Texts(self[rows])

    class Engine:
        def logits(self, part, batch_size):
            sizes.append((len(part), batch_size))

    assert pipeline.median_ms(Engine(), Texts(range(21)), 4) == pytest.approx(1.0)
    assert sizes == [(4, 4)] * 6  # five full batches, after one to warm up
    sizes.clear()
    assert pipeline.median_ms(Engine(), Texts(range(3)), 4) == pytest.approx(1.0) and sizes == [(3, 4)] * 2


@pytest.mark.trains
def test_where_no_label_is_bought_the_data_budget_is_the_examples_and_its_price_moves(lab):
    all_labels = replace(RECIPE, first=1.0, without=("buy",), rounds=3)
    assert all_labels.budgets.labels is None and all_labels.budgets.examples == all_labels.work == 60 * 150
    assert RECIPE.budgets.labels == 48 and replace(RECIPE, examples=500).budgets.examples == 500
    ended = run_seo_llm(lab, replace(all_labels, examples=48 + 4 * 64), config=ControllerConfig(
        allocation="static", schedule=(("train", 9),)))
    assert [entry["data"] for entry in ended.log] == pytest.approx([64 / 304] * 3)
    prices = [entry["lambda_data"] for entry in ended.log]  # the run will leave a round's pairs
    assert ended.measured.examples == 240 and prices[0] == 0.5 and prices == sorted(prices, reverse=True)
    assert prices[-1] < 0.5
    short = run_seo_llm(lab, replace(all_labels, examples=48 + 64), config=ControllerConfig(
        allocation="static", schedule=(("train", 9),)))
    assert len(short.log) == 1 and short.measured.examples == 112  # used up, and nothing can work


def test_of_the_teacher_s_labels_those_may_be_kept_that_pass_the_bar_of_their_class(lab, monkeypatch):
    kept, said = {}, np.random.default_rng(0).normal(size=(40, 3))
    monkeypatch.setattr(pipeline, "predict", lambda model, encoded, precision: said[:len(encoded)])
    for which in ("all", "adaptive"):
        work = pipeline._Work(lab, replace(RECIPE, keep=which, labelled=40, first_epochs=0), None, lambda model: None)
        work.learn = lambda state, step, **options: state
        kept[which] = work.label(work.start(lab.network()), 1.0)
    sure, every = kept["adaptive"], kept["all"]
    p = pipeline.softmax(said)
    passed = p.max(1) >= pipeline.pseudo.class_thresholds(p)[p.argmax(1)]
    assert 0 < len(sure.soft) < len(every.soft) == 40
    assert sure.soft.tolist() == every.soft[passed].tolist()
    assert sure.work - every.work == pytest.approx(pipeline.FORWARD * 40)


@pytest.mark.trains
def test_settings_alone_take_one_column_of_text_and_two_classes_to_a_file_that_knows_both(tmp_path):
    own = written("texts", tmp_path, topics=("food", "sport"))
    settings = load_settings("quick", **SMALL, **own, results_dir=str(tmp_path))
    ended = run_seo_llm(settings, replace(RECIPE, pairs=256, rounds=6), config=EACH)
    assert [entry["action"] for entry in ended.log] == [name for name, _ in EACH.schedule] and not ended.missed
    state = ended.state
    scales, task = qat.scales(state.model), state.reader.task
    config = ExportConfig("int8-static", embedding_bits=scales.embedding_bits, max_length=settings.max_length)
    path = export_onnx(state.model, tmp_path / "model.onnx", config, scales=scales)
    assert path.stat().st_size == ended.measured.size
    artifact.save(tmp_path / "model", path, state.reader.tokenizer, labels=task.labels, texts=task.texts)
    classifier = seo_core.load(tmp_path / "model")
    assert classifier.labels == ("food", "sport") and classifier.names == ("note",)
    held = task["acceptance"]
    said = np.array(classifier.predict(list(held["note"])))
    assert set(said) == {"food", "sport"} and (said == np.array(task.labels)[held["label"]]).mean() > 0.8


@pytest.mark.trains
def test_a_loss_that_is_no_number_is_rolled_back_and_three_in_a_row_end_the_run(lab, tmp_path, monkeypatch):
    fitted, calls = pipeline._Work.fitted, []

    def broken(self, *given):
        network = copy.deepcopy(fitted(self, *given))
        calls.append(network)
        if len(calls) > 1:  # the start is sound
            torch.nn.init.constant_(network.classifier.weight, float("nan"))
        return network

    monkeypatch.setattr(pipeline._Work, "fitted", broken)
    with pytest.raises(ControllerError, match="no number in 3 rounds in a row.*lower the learning rate"):
        run_seo_llm(lab, replace(RECIPE, without=("augment", "buy", "prune")), tmp_path)
    kept = json.loads((tmp_path / "state" / "memory.json").read_text())
    assert [entry["accepted"] for entry in kept["log"]] == [False, False] and len(calls) == 4


@pytest.mark.trains
def test_a_training_that_diverges_is_rolled_back_as_a_round(lab, monkeypatch):
    fit, calls = pipeline.fit, []

    def diverges_once(model, *given, **options):
        calls.append(model)
        if len(calls) == 2:  # the start is sound
            raise DivergedError("the loss is nan at step 1")
        return fit(model, *given, **options)

    monkeypatch.setattr(pipeline, "fit", diverges_once)
    ended = run_seo_llm(lab, replace(RECIPE, rounds=2, without=("augment", "buy", "label", "prune")))
    assert [entry["accepted"] for entry in ended.log] == [False, True]
    assert ended.log[0]["why"] == "the loss is no number" and ended.log[0]["seconds"] > 0
    monkeypatch.setattr(pipeline, "fit", lambda *given, **options: (_ for _ in ()).throw(DivergedError("nan")))
    with pytest.raises(ControllerError, match="first training is no number"):
        run_seo_llm(lab, RECIPE)


@pytest.mark.trains
def test_pruning_ends_where_there_is_nothing_left_to_take(lab, outcome):
    work = pipeline._Work(lab, replace(RECIPE, removed=0.9, most_removed=0.999), None, lambda model: None)
    work.encoder = pipeline.structured.encoder_weights(outcome.state.teacher)
    prune = next(action for action in work.actions() if action.name == "prune")
    over = prune.apply(outcome.state, 1.0, None)
    assert over.exhausted and over.model is outcome.state.model and over.work > outcome.state.work
    assert prune.ready(outcome.state) and not prune.ready(over)


@pytest.mark.trains
def test_pairs_that_the_student_gets_wrong_and_the_teacher_right_are_bought(lab, outcome):
    work, state = pipeline._Work(lab, RECIPE, None, lambda model: None), outcome.state
    candidates, rng = np.arange(64), np.random.default_rng(0)
    picked = work.missed_by_student(state, candidates, 8, rng)
    teacher, student = (pipeline.softmax(pipeline.predict(model, reader.encoded().take(candidates), precision="auto"))
                        for model, reader in ((state.teacher, lab), (state.model, state.reader)))
    gap = (teacher - student)[candidates, teacher.argmax(1)]
    assert gap[picked].min() >= np.sort(gap)[-8] - 1e-6


@pytest.mark.trains
@pytest.mark.parametrize("guided", [True, False])
def test_edits_are_of_the_pairs_that_the_student_gets_wrong_and_the_teacher_right(lab, outcome, monkeypatch, guided):
    recipe, state, asked = replace(RECIPE, guided=guided), outcome.state, []
    work = pipeline._Work(lab, recipe, None, lambda model: None)
    monkeypatch.setattr(work, "learn", lambda state, step, **more: state)
    made = pipeline.AdaptiveDataAugmentation.__call__
    monkeypatch.setattr(pipeline.AdaptiveDataAugmentation, "__call__",
                        lambda self, frame, *rest, **more: asked.append(frame) or made(self, frame, *rest, **more))
    after = work.augment(state, 1.0)
    teacher, student = (pipeline.softmax(pipeline.predict(model, data, precision="auto")) for model, data in (
        (state.teacher, lab.encoded().take(state.rows)), (state.model, state.reader.encoded().take(state.rows))))
    truth = lab.encoded().labels[state.rows]
    gap = (teacher - student)[np.arange(len(truth)), truth]
    chosen = np.isin(lab.pool.index[state.rows], asked[0].index)
    assert chosen.all() if not guided else chosen.sum() == len(truth) // 2
    assert not guided or gap[chosen].min() >= gap[~chosen].max() - 1e-6
    assert after.work > state.work and len(after.edits)
    assert set(asked[0][lab.task.texts[0]]) <= set(lab.pool.iloc[state.rows][lab.task.texts[0]])
    few = pipeline._Work(lab, replace(recipe, candidates=8, edited=0.25), None, lambda model: None)
    monkeypatch.setattr(few, "learn", work.learn)
    assert (few.augment(state, 1.0).work < after.work) == guided, "of many labels some are looked at"
    assert len(asked.pop()) == (max(8, round(0.25 * len(truth))) // 2 if guided else len(truth))
    whole = work.augment(replace(state, model=state.teacher, reader=lab), 1.0)
    assert len(asked[1]) == len(truth) and len(whole.edits)


@pytest.mark.trains
def test_a_student_of_some_layers_learns_from_the_whole_network(lab, distilled):
    recipe, outcome = DISTIL, distilled
    assert [entry["action"] for entry in outcome.log] == [name for name, _ in THREE.schedule]
    state, sizes = outcome.state, [outcome.start.size, *(entry["size"] for entry in outcome.log)]
    assert (state.model.config.num_hidden_layers, state.teacher.config.num_hidden_layers) == (1, 2)
    assert sizes == sorted(sizes, reverse=True)
    work = pipeline._Work(lab, recipe, None, lambda model: None)
    work.encoder = pipeline.structured.encoder_weights(state.teacher)
    whole = replace(state, model=state.teacher)
    distil = next(action for action in work.actions() if action.name == "distil")
    assert distil.ready(whole) and not distil.ready(state) and distil.whole
    limited = pipeline._Work(lab, replace(recipe, size=12e6), None, lambda model: None)
    limited.encoder = work.encoder
    foreseen = limited.guess("distil", whole)["model"] * 12e6
    assert foreseen == pytest.approx(outcome.log[0]["predicted_size"] - outcome.start.size, rel=0.02)
    assert "distil" not in [action.name for action in pipeline._Work(lab, RECIPE, None, None).actions()]


def test_compression_is_due_where_milliseconds_alone_have_a_budget(lab):
    work = pipeline._Work(lab, replace(RECIPE, size=None, latency=2.0), None, lambda model: None)
    model = lab.network()
    state = pipeline.State(model, model, lab, *(np.arange(0),) * 2, pd.DataFrame())
    work.encoder = pipeline.structured.encoder_weights(model)
    work.timed = {"ms": 4.0, "weights": work.encoder}
    assert work.guess("quantize", state)["model"] == pytest.approx((pipeline.HALF - 1) * 4.0 / 2.0)
    assert work.guess("prune", state)["model"] == pytest.approx(-RECIPE.removed * 4.0 / 2.0)


@pytest.mark.trains
def test_a_purchase_that_is_taken_back_keeps_its_labels_and_counts_them_once(lab):
    recipe = replace(RECIPE, loss=0.0, rounds=2)
    config = ControllerConfig("static", schedule=(("buy", 2),))
    untaught = lab.network()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline._Work, "measure", lambda self, state, exact: Measured(
            1.0, 0.0 if state.model is untaught else 0.9, labels=len(state.rows), seconds=state.work, exact=exact))
        first = round(recipe.first * recipe.labels)
        patched.setattr(pipeline._Work, "taught", lambda self, state, step, changed, pairs: replace(
            state, model=untaught, work=state.work + 1) if len(state.rows) > first else state)
        outcome = run_seo_llm(lab, replace(recipe, seconds=1e6), config=config)
    assert [entry["accepted"] for entry in outcome.log] == [False, False] and outcome.state.model is not untaught
    assert len(set(outcome.state.rows)) == len(outcome.state.rows) == outcome.log[-1]["labels_used"] > first
    assert outcome.measured.labels == len(outcome.state.rows)


def test_what_works_makes_the_file_smaller_and_integers_multiply(lab):
    model, parts = lab.network(), ("distil", "prune", "int8")
    sizes = {works: pipeline.combined_bytes(model, *works) for works in ((), *((part,) for part in parts), parts)}
    assert all(sizes[parts] < sizes[part,] < sizes[()] for part in parts)
    rest = pipeline.combined_bytes(model, "distil", "prune")
    assert rest / sizes[parts] == pytest.approx(sizes[()] / sizes["int8",], rel=0.05)


@pytest.mark.parametrize("change, message", [
    ({"depth": 2}, "depth is 2, and the network has 2 layers: leave fewer"),
    ({"labels": 1000}, "a budget of 1000 labels, and .* has [0-9]+ rows to train on: lower it"),
    ({"size": 1e5}, "size is 0.1 MB, and the smallest student of this network has .* MB: allow more"),
    ({"size": 5e6, "without": ("quantize",)}, "size is 5.0 MB, and the smallest .* MB: allow more, .* leave out less"),
    ({"size": 1e5, "without": ("prune",)}, "size is 0.1 MB, and the smallest student of this network has .* MB"),
    ({"examples": 20}, "a budget of 20 examples, and the start takes 24: allow more"),
    ({"seconds": 0.1}, "a budget of 0.1 seconds, and the start takes [0-9]+: allow more"),
], ids=["depth", "labels", "size", "size-fp32", "size-whole", "examples", "seconds"])
def test_budgets_that_no_run_could_keep_are_refused_before_anything_is_trained(lab, monkeypatch, change, message):
    monkeypatch.setattr(pipeline._Work, "fitted", None)
    with pytest.raises(ControllerError, match=message):
        run_seo_llm(lab, replace(RECIPE, **change))


@pytest.mark.parametrize("change, message", [
    ({"labels": 0}, "labels must be"), ({"first": 0.0}, "which is none"),
    ({"without": ("sleep",)}, "without names sleep"),
    ({"strategy": "best"}, "strategy"), ({"seconds": -1}, "seconds")], ids=str)
def test_a_recipe_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(RECIPE, **change)


@pytest.mark.trains
def test_a_control_ends_with_the_most_accurate_of_its_networks_after_a_stop_too(lab, tmp_path, monkeypatch):
    plain = replace(RECIPE, without=("buy", "augment", "label", *pipeline.COMPRESSION), size=None, first=1.0, rounds=4,
                    learning_rate=3e-3)
    whole = run_seo_llm(lab, plain, best=True)
    reached = [whole.start.accuracy, *(entry["accuracy"] for entry in whole.log)]
    assert whole.measured.accuracy == max(reached) > reached[-1]
    calls, train = [], pipeline._Work.train

    def dies(self, *given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline._Work, "train", dies)
        with pytest.raises(KeyboardInterrupt):
            run_seo_llm(lab, plain, tmp_path, best=True)
    same(run_seo_llm(lab, plain, tmp_path, best=True), whole)
    with pytest.raises(ControllerError, match="leave out prune, quantize, distil, or best"):
        run_seo_llm(lab, RECIPE, best=True)
