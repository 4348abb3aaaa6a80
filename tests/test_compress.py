"""Compression as one call: goals in the field's words, a plan before anything is trained, an artifact, a page."""

import json
import random
import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import own_sets
import pytest

import seo_core
from seo_core import load_settings, results
from seo_core.arms import distillation
from seo_core.checks import SettingsError
from seo_core.compress import Goals, PlanError, compress, make, plan, predicted_bytes
from seo_core.compress.goals import spelled
from seo_core.results.final import FinalList
from seo_core.results.provenance import command_of
from seo_core.run import main

NOUNS = ("soup", "film", "room", "song", "walk", "book", "coat", "game", "lake", "road")
REFERENCE = results.reference_dir() / "cpu" / "13_quantization_distillation"
ASKED = ("--label", "y", "--max-size", "150kB", "--max-loss", 100, "--time", "1h", "--max-latency", "1s")
WORDS = {"pos": ("good", "fine", "bright", "warm"), "neg": ("bad", "dull", "broken", "cold")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny network with the bundled tokenizer, and made-up texts of two classes: pairs and single ones."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from seo_core.models.backbone import load_tokenizer, save

    place, tokenizer = tmp_path_factory.mktemp("compress"), load_tokenizer()
    torch.manual_seed(0)
    save(BertForSequenceClassification(BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=64)), tokenizer, place / "tiny")
    draw, pairs, singles = random.Random(0), ["a,b,y"], ["text,label"]
    for number in range(240):
        kind = draw.choice(("pos", "neg"))
        word, noun, other = draw.choice(WORDS[kind]), draw.choice(NOUNS), draw.choice(NOUNS)
        pairs.append(f"the {noun} of day {number} was {word},we saw the {other},{kind}")
        singles.append(f"the {noun} of day {number} was {word},{kind}")
    (place / "pairs.csv").write_text("\n".join(pairs) + "\n")
    (place / "texts.csv").write_text("\n".join(singles) + "\n")
    return place


def command(folder, out, *more, data="texts.csv", text=("text",)):
    """The exit code of the command on the made-up texts."""
    return main(["compress", "--data", str(folder / data), "--text", *text, "--out", str(out), "--profile", "quick",
                 "--model", str(folder / "tiny"), *map(str, more)])


@pytest.fixture(scope="module")
def made(folder, trains):
    """The folder where the command has made `model` of the pairs, and what it said."""
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = command(folder, folder / "model", *ASKED, data="pairs.csv", text=("a", "b"))
    assert code == 0
    return folder, said.getvalue()


@pytest.fixture
def copied(made, tmp_path):
    """A copy of its results, in which everything is done."""
    shutil.copytree(made[0] / "model-results", tmp_path / "model-results")
    return tmp_path


# ---------------------------------------------------------------- goals

@pytest.mark.parametrize("name, given, value", [
    ("max_size", "8MB", 8e6), ("max_size", "500 kb", 5e5), ("max_size", "1MiB", 2**20), ("max_size", 1234, 1234),
    ("max_latency", "5ms", 5), ("max_latency", "0.5s", 500), ("time", "1h", 3600), ("time", "30m", 1800),
    ("time", "1h30min", 5400), ("max_loss", 1.5, 1.5), ("max_loss", None, None)])
def test_goals_are_read_in_the_fields_words(name, given, value):
    assert getattr(Goals(**{name: given}), name) == value


@pytest.mark.parametrize("given, words", [
    ({"max_size": "8mbit"}, "unknown unit 'mbit' in max_size '8mbit'"), ({"max_latency": "5h"}, "Known: ms, s, us"),
    ({"time": "5mins"}, "did you mean 'min'"), ({"max_size": "8"}, "a number with its unit, such as 8MB, got '8'"),
    ({"max_size": "-8MB"}, "such as 8MB"), ({"time": "0s"}, "time must be above 0"),
    ({"max_loss": -1.0}, "max_loss must be 0 or more"), ({"max_size": True}, "max_size must be above 0")])
def test_what_is_no_goal_is_one_clear_error(given, words):
    with pytest.raises(SettingsError) as caught:
        Goals(**given)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_was_measured_is_spelled_as_it_is_asked_for():
    assert [spelled(*each) for each in (("max_size", 7_703_237), ("max_size", 950), ("max_loss", -0.4), ("time", 40),
                                        ("max_latency", 2.345), ("time", 3900), ("time", 540))] == [
        "7.70 MB", "0.9 kB", "−0.40 points", "40 s", "2.35 ms", "1 h 5 min", "9 min"]


# ---------------------------------------------------------------- bytes

def _minilm(**sizes):
    from seo_core.models.compact import CompactBertConfig

    return CompactBertConfig(**{"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
                                "intermediate_size": 1536, **sizes})


@pytest.mark.parametrize("name", ["sqd-taylor-60", "sqd-taylor-65", "sqd-taylor-80"])
def test_bytes_are_predicted_as_the_books_files_have_them(name):
    arm = distillation.JOINT.arms[name]
    share = distillation.PRUNING.arms[arm.recipe.pruned].recipe.share
    predicted = predicted_bytes(_minilm(), share, arm.recipe.vocabulary, positions=128, classes=3)
    sizes = [record["metrics"]["size_bytes"] for record in results.load_records(REFERENCE)
             if record["configuration"] == name]
    assert sizes
    for size in sizes:
        assert size <= predicted <= 1.02 * size  # too little would break the goal


@pytest.mark.parametrize("name, layers", [("sqd", 4), ("sqd-tiny", 2)])
def test_bytes_of_a_known_shape_are_exact_but_for_the_graph(name, layers):
    record, = [record for record in results.load_records(REFERENCE) if record["configuration"] == name]
    config = _minilm(num_hidden_layers=layers, intermediate_size=576)
    predicted = predicted_bytes(config, 0.0, record["parameters"]["recipe"]["vocabulary"], positions=128, classes=3)
    assert abs(predicted - record["metrics"]["size_bytes"]) < 2000


@pytest.mark.parametrize("share, bits, classes", [(0.0, 4, 3), (0.3, 4, 2), (0.6, 8, 5)])
def test_bytes_are_those_of_a_real_export(tiny_bert, toy_pairs, tmp_path, share, bits, classes):
    from seo_core.pruning import choose, importance, remove
    from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx

    network = tiny_bert(num_labels=classes)
    small = remove(network, **choose(network, importance(network, "random"), share).units) if share else network
    scales = calibrate(small, toy_pairs(16), CalibrationConfig(embedding_bits=bits))
    path = export_onnx(small, tmp_path / "m.onnx", ExportConfig(embedding_bits=bits, max_length=48), scales=scales)
    predicted = predicted_bytes(network.config, share, 100, positions=48, classes=classes, word_bits=bits)
    assert 0.98 < predicted / path.stat().st_size < 1.06  # of these 50 kB a third is the graph


def test_no_more_is_pruned_than_there_is(tiny_bert):
    from seo_core.pruning import choose, importance

    network = tiny_bert()
    most = plan.most_removed(network.config, layers=False)
    assert choose(network, importance(network, "random"), most - 1e-6).share == pytest.approx(most)
    with pytest.raises(ValueError, match="cannot be removed"):
        choose(network, importance(network, "random"), most + 0.01)
    assert plan.most_removed(network.config, layers=True) > most


# ---------------------------------------------------------------- the plan

@pytest.fixture(scope="module")
def ground(folder):
    """The settings and the lab of the single texts."""
    settings = load_settings("quick", data=str(folder / "texts.csv"), text="text", model=str(folder / "tiny"),
                             results_dir=str(folder / "plans"))
    return settings, make.ground(settings, lambda text: None)


@pytest.fixture
def planner(ground, monkeypatch):
    """Plans for any goals, on a machine that trains 100 texts a second."""
    monkeypatch.setattr(plan, "probe", lambda lab, seconds: 100.0)
    settings, lab = ground
    return lambda **goals: plan.Planner(lab, settings, Goals(**goals))


def test_a_shape_is_chosen_by_its_bytes(planner):
    free, tight, fewer = (planner(max_size=size).first() for size in (None, "88kB", "84kB"))
    assert free.pruned == "taylor-65" and tight.pruned == "taylor-80" and free.words == tight.words
    assert fewer.bytes <= 84_000 < tight.bytes <= 88_000 < free.bytes and fewer.words < tight.words
    assert fewer.covered < tight.covered == 1.0
    with pytest.raises(PlanError, match="max_size is 20.0 kB, and the smallest network .* of path/to/tiny has .* kB"):
        planner(max_size="20kB")
    shapes = planner().shapes
    assert [shape.share for shape in shapes] == sorted(shape.share for shape in shapes)
    assert planner().larger(shapes[-1]) == shapes[-2] and planner().larger(shapes[0]) is None


def test_a_shape_that_is_too_slow_gives_way_to_a_smaller_one(planner, monkeypatch):
    for most, chosen in (("9ms", "taylor-65"), ("4ms", "taylor-80"), ("1ms", "taylor-80")):
        wanted = planner(max_latency=most)
        monkeypatch.setattr(wanted, "milliseconds", lambda shape: 10 - 8 * shape.share)
        assert wanted.first().pruned == chosen and wanted.first().ms == 10 - 8 * wanted.first().share
    assert wanted.larger(wanted.shapes[-1]) is None  # the next one is too slow


def test_the_time_of_a_shape_is_measured_on_an_untrained_one(planner):
    assert 0 < planner(max_latency="1s").first().ms < 1000


def test_every_stage_has_its_time_before_one_begins(planner):
    found = planner(time="1h").best()
    assert [stage.title for stage in found.stages] == ["baseline", "pruning", "student"] and found.edits == 1.0
    assert all(stage.seconds > 0 for stage in found.stages) and found.seconds == sum(s.seconds for s in found.stages)
    pairs, said = len(planner().lab.pool), str(found)
    assert f"baseline   {found.stages[0].epochs:g} × {pairs} texts, about" in said and "in all" in said
    assert found.stages[0].seconds == pytest.approx(
        plan.HEADROOM * found.stages[0].work / 100) and found.stages[0].work > pairs * found.stages[0].epochs


def test_with_less_time_the_student_reads_less_and_at_last_it_is_said_to_be_too_little(planner):
    whole = planner(time="2h").best()
    least = planner().plan(whole.shape, 0.0, 1)
    between = planner(time=(whole.seconds + least.seconds) / 2).best()
    assert between.seconds < whole.seconds and (between.edits, between.epochs) != (whole.edits, whole.epochs)
    assert planner(time=least.seconds + 1e-6).best().edits == 0.0
    with pytest.raises(PlanError) as caught:
        planner(time=0.8 * least.seconds).best()
    said = str(caught.value)
    assert "baseline" in said and "student" in said and "train_rows=" in said and "\n" not in said
    rows = int(said.split("train_rows=")[1].split()[0])
    fewer = planner().stages(least.shape, 0.0, 1, rows)
    assert sum(map(planner().time_of, fewer)) <= 0.8 * least.seconds and rows < len(planner().lab.pool)


def test_a_plan_is_the_same_when_it_is_taken_up_again(planner, monkeypatch):
    before = planner(time="3h").best()
    monkeypatch.setattr(plan, "probe", lambda lab, seconds: 7.0)  # a busy machine
    again = planner(time="3h").best()
    assert (again.shape, again.edits, again.epochs) == (before.shape, before.edits, before.epochs)
    assert again.seconds > before.seconds


# ---------------------------------------------------------------- the command

def test_one_command_makes_an_artifact_that_answers(made):
    folder, said = made
    classifier = seo_core.load(folder / "model")
    assert classifier.labels == ("neg", "pos") and classifier.names == ("a", "b")
    assert set(classifier.predict([("the soup was good", "we saw the lake")])) <= {"neg", "pos"}
    assert (folder / "model" / "model.onnx").stat().st_size <= 150_000
    config = json.loads((folder / "model" / "config.json").read_text())
    assert "check" not in config, "texts may be private"
    card = config["metrics"]
    assert card["expected_share_neg"] + card["expected_share_pos"] == pytest.approx(1)
    assert 0.5 <= card["expected_confidence"] <= 1
    assert "natural language inference" not in (folder / "model" / "README.md").read_text()
    records = results.load_records(folder / "model-results")
    assert {record["configuration"] for record in records} >= {"base", "compressed"} and len(records) == 4
    for words in ("held out", "plan: ", "in all", "reached", "one text: median", "lost against the baseline",
                  "no validation set"):
        assert words in said
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.trains
def test_a_file_for_other_engines_has_its_check_texts_where_these_are_asked_for(folder, tmp_path):
    pytest.importorskip("openvino")
    assert command(folder, tmp_path / "model", "--operators", "standard", "--check", 5) == 0
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["export"]["operators"] == "standard" and len(config["check"]) == 5
    texts = [f"the soup of day {number} was good" for number in range(20)]
    ours, theirs = (seo_core.load(tmp_path / "model", engine=name) for name in ("onnxruntime", "openvino"))
    assert np.abs(ours.probabilities(texts) - theirs.probabilities(texts)).max() < 0.02
    made, = (each for each in results.load_records(tmp_path / "model-results") if each["configuration"] == "compressed")
    assert "--operators standard --check 5" in command_of(made)


def test_with_the_controller_other_operators_are_refused(folder, tmp_path, capsys):
    assert command(folder, tmp_path / "model", "--operators", "standard", "--controller") == 2
    assert "leave out --operators" in capsys.readouterr().err


def test_the_page_stands_alone_and_says_what_came_out(made):
    page = (made[0] / "model.html").read_text()
    for words in ("All goals were reached", "max_latency", "held-out rows", "Lost against the baseline",
                  "seo_core.load", "prefers-color-scheme: dark", "development rows", "neg, pos", 'class="reached"'):
        assert words in page
    assert "$" not in page and "<script" not in page and "http" not in page
    size = (made[0] / "model" / "model.onnx").stat().st_size
    assert spelled("max_size", size) in page


@pytest.mark.trains
def test_of_sealed_data_it_says_that_its_rows_are_those_that_choices_looked_at(folder, ground, tmp_path, capsys,
                                                                              monkeypatch):
    sealed = FinalList(date(2026, 1, 1), [ground[1].task.fingerprint], ())
    monkeypatch.setattr(results, "final_list", lambda: sealed)
    command(folder, tmp_path / "model", "--max-size", "150kB")
    said, page = capsys.readouterr().out, (tmp_path / "model.html").read_text()
    assert "none held out: its official sets are sealed" in said
    for text in (said, page):
        assert "which choices looked at too" in text and "held-out" not in text and "development rows" in text


def test_the_record_holds_the_outcome_and_the_command_that_makes_it_again(made):
    record, = [record for record in results.load_records(made[0] / "model-results")
               if record["configuration"] == "compressed"]
    metrics, student = record["metrics"], record["contestants"]["student"]
    assert student["size_bytes"] == (made[0] / "model" / "model.onnx").stat().st_size
    assert {name for name in metrics if name.startswith("reached_")} == {
        f"reached_{name}" for name in ("max_size", "max_loss", "max_latency", "time")}
    right = {name: values.mean() for name, values in results.predictions(record["path"]).items() if "_correct" in name}
    lost = right.pop("baseline_correct") - right.popitem()[1]
    assert metrics["loss"] == pytest.approx(100 * lost)
    assert metrics["loss_low"] <= metrics["loss"] <= metrics["loss_high"]
    said = record["provenance"]["command"]
    assert said.startswith("python -m seo_core.run compress --data path/to/pairs.csv --label y --max-size 150000B")
    assert "-p text=a,b" in said and "--time 3600s" in said and str(made[0]) not in said
    assert command_of(record).startswith("python -m seo_core.run compress --label y")
    assert "--source" not in command_of(record)


def test_a_second_call_makes_nothing_again(made, copied, capsys, monkeypatch):
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    assert command(made[0], copied / "model", *ASKED, data="pairs.csv", text=("a", "b")) == 0
    assert capsys.readouterr().out.count("done before") == 3 and (copied / "model" / "model.onnx").is_file()


@pytest.mark.trains
def test_a_missed_goal_is_said_and_the_artifact_is_there(folder, tmp_path, capsys):
    own_sets.texts().to_csv(tmp_path / "notes.csv", index=False)  # five classes
    assert command(folder, tmp_path / "model", "--max-latency", "0.001us", data=tmp_path / "notes.csv",
                   text=("note",)) == 1
    said, page = capsys.readouterr().out, (tmp_path / "model.html").read_text()
    assert "missed" in said and "Missed: max_latency" in page and 'class="missed"' in page
    found = seo_core.load(tmp_path / "model")
    assert found.labels == tuple(sorted(own_sets.TOPICS)) and found.predict("a bowl of soup")[0] in found.labels


@pytest.mark.trains
def test_further_texts_are_read_by_the_student_alone(made, copied, capsys):
    lines = [f"the {noun} was {word},we saw the {noun}" for noun in NOUNS for word in ("fine", "dull")]
    (copied / "more.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    assert command(made[0], copied / "model", *ASKED, "--unlabelled", copied / "more.csv", data="pairs.csv",
                   text=("a", "b")) == 0
    assert capsys.readouterr().out.count("done before") == 2
    student = max((record for record in results.load_records(copied / "model-results")
                   if record["experiment"] == "13_quantization_distillation"),
                  key=lambda record: record["provenance"]["finished"])
    assert student["parameters"]["unlabelled"] == "path/to/more.csv"
    assert "--unlabelled path/to/more.csv" in student["provenance"]["command"]


@pytest.mark.trains
def test_where_too_much_is_lost_a_larger_network_is_made(made, copied, monkeypatch, capsys):
    losses = iter([5.0, 0.0])
    monkeypatch.setattr(make, "_loss", lambda base, run: next(losses))
    settings = load_settings("quick", data=str(made[0] / "model-results" / "data" / "pairs"), text=("a", "b"),
                             model=str(made[0] / "tiny"), results_dir=str(copied / "model-results"))
    found = compress(settings, Goals(max_loss=1.0), copied / "model", report=print)
    first, second = found.tries
    assert first.shape.share > second.shape.share and found.chosen is second and found.run.path == second.run.path
    assert "a larger network is tried" in capsys.readouterr().out and len(found.tries_table()) == 2
    assert str(found).count("model") and found.load().predict([("a good song", "a lake")])[0] in ("neg", "pos")
    assert np.isfinite(found.loss[:3]).all() and found.outcome["max_loss"][1] == found.loss[0]
    for right, words in ((True, ""), (False, "not surely better than always saying")):
        monkeypatch.setattr(type(found), "right", lambda self, run, right=right: np.full(24, right))
        assert words in found.warning and bool(words) == bool(found.warning)


def test_a_larger_network_is_not_begun_where_there_is_no_time_for_it(planner):
    said, wanted = [], planner(max_loss=0.0)
    before = wanted.best()
    last = make.Try(before.shape, (), 3.0, None)
    larger = make._next(wanted, before, last, 3600.0, said.append)
    assert larger.shape.share < before.shape.share and "is tried" in said.pop()
    assert make._next(wanted, before, last, 0.5, said.append) is None and "there are 0 s left" in said.pop()
    assert make._next(wanted, before, replace(last, loss=0.0), 3600.0, said.append) is None and not said
    largest = replace(before, shape=wanted.shapes[0])
    assert make._next(wanted, largest, replace(last, shape=wanted.shapes[0]), 3600.0, said.append) is None
    assert "no larger network" in said.pop()


@pytest.mark.trains
def test_a_killed_run_goes_on_where_it_was(folder, tmp_path, capsys, monkeypatch):
    from seo_core.distillation.sqd import SynergisticQuantizationDistillation as SQD

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SQD, "__call__", killed)
        assert command(folder, tmp_path / "model") == 130
    assert "goes on from here" in capsys.readouterr().err and not (tmp_path / "model").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*-seed0.json")}
    assert len(before) == 2
    assert command(folder, tmp_path / "model") == 0
    said = capsys.readouterr().out
    assert said.count("done before") == 2 and (tmp_path / "model" / "model.onnx").is_file()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.trains
def test_too_little_time_is_said_before_anything_is_trained(folder, tmp_path, capsys):
    assert command(folder, tmp_path / "model", "--time", "0.01s", "-p", "epochs=9") == 2
    err = capsys.readouterr().err
    assert "this machine needs about" in err and "baseline" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "model").exists() and not list(tmp_path.rglob("*-seed0.json"))


@pytest.mark.parametrize("change, words", [
    (["--max-size", "8mbit"], "unknown unit 'mbit'"), (["--max-loss", "much"], "--max-loss"),
    (["--text", "words"], "no column 'words'; its columns are 'text', 'label'"), (["--label", "y"], "no column 'y'"),
    (["--profile", "quik"], "unknown profile 'quik'"), (["--tme", "1h"], "did you mean '--time'"),
    (["-p", "epoch=3"], "unknown setting 'epoch'; did you mean 'epochs'"), (["-p", "epochs"], "-p takes KEY=VALUE")])
def test_bad_input_is_one_line_and_nothing_is_made(folder, tmp_path, capsys, change, words):
    assert command(folder, tmp_path / "model", *change) == 2
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "model").exists() and not list(tmp_path.rglob("*-seed0.json"))


@pytest.mark.parametrize("rows, words", [
    (["good day,pos", "bad day,neg"] + [f"good day {n},pos" for n in range(30)], "and 50 are the least"),
    ([f"good day {n},pos" for n in range(80)], "all rows to train on have the label 'pos'")])
def test_data_that_is_not_enough_is_said(folder, tmp_path, capsys, rows, words):
    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert command(tmp_path, tmp_path / "model") == 2
    err = capsys.readouterr().err
    assert words in err and len(err.strip().splitlines()) == 1


def test_a_folder_that_is_something_else_stays_as_it_is(folder, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    assert command(folder, tmp_path / "model") == 2
    assert "model exists and is no artifact" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "thesis.txt"]


def test_a_full_disk_is_one_line_and_leaves_the_old_artifact(made, copied, capsys, monkeypatch):
    shutil.copytree(made[0] / "model", copied / "model")
    before = json.loads((copied / "model" / "config.json").read_text())

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seo_core.deploy.artifact.shutil.copyfile", full)
    assert command(made[0], copied / "model", *ASKED, data="pairs.csv", text=("a", "b")) == 1
    err = capsys.readouterr().err
    assert "the disk is full" in err and len(err.strip().splitlines()) == 1
    assert json.loads((copied / "model" / "config.json").read_text()) == before


@pytest.mark.trains
def test_the_controller_makes_an_artifact_within_the_goals_and_its_page_has_the_rounds(folder, tmp_path, capsys):
    out = tmp_path / "rounds"
    more = ("--label", "y", "--max-size", "150kB", "--max-loss", 100, "--max-latency", "10s", "--controller")
    assert command(folder, out, *more, data="pairs.csv", text=("a", "b")) == 0
    said = capsys.readouterr().out
    assert "rounds" in said and "round  1" in said and "max_size" in said
    page = out.with_name("rounds.html").read_text(encoding="utf-8")
    assert "<h2>Rounds</h2>" in page and "quantize" in page and "ms a batch" in page
    assert "<h2>Front</h2>" in page and "of the run; judging" in page and "milliseconds (of 1 a batch)" in page
    assert len(seo_core.load(out).predict([("the soup of day 1 was good", "we saw the film")])) == 1
    record = next(r for r in results.load_records(out.with_name("rounds-results")) if r["experiment"] == "15_seo_llm")
    assert record["metrics"]["latency_batch"] == 1 and 0 < record["metrics"]["latency_ms"] < 10_000
    assert 0 < record["metrics"]["overhead"] < 1 and record["metrics"]["size_error_worst"] < 0.2
    assert record["metrics"]["size_bytes"] <= 150e3 and "--controller" in next(
        r for r in results.load_records(out.with_name("rounds-results"))
        if r["experiment"] == "compress")["provenance"]["command"]


@pytest.mark.trains  # steps of a probe
def test_rounds_that_go_on_have_the_budgets_that_they_began_with(folder, tmp_path, monkeypatch):
    settings = load_settings("quick", data=str(folder / "texts.csv"), text=("text",), model=str(folder / "tiny"),
                             results_dir=str(tmp_path))
    lab, goals = make.ground(settings, lambda text: None), Goals(max_size="150kB", time="10m")
    first = make.RoundsPlanner(lab, settings, goals).best()
    monkeypatch.setattr(plan, "probe", lambda *given: 1.0)  # a machine that is much busier
    assert make.RoundsPlanner(lab, settings, goals).best().stages[1].knobs == first.stages[1].knobs
    with pytest.raises(PlanError, match="for the baseline and 8 rounds"):
        make.RoundsPlanner(lab, settings, Goals(max_size="150kB", time="9m")).best()


@pytest.mark.trains
def test_a_budget_of_labels_is_kept_on_single_texts_of_two_classes(folder, tmp_path, capsys):
    out = tmp_path / "few"
    assert command(folder, out, "--max-loss", 100, "--controller", "--labels", 60) in (0, 1)
    classifier = seo_core.load(out)
    assert classifier.labels == ("neg", "pos") and classifier.names == ("text",)
    assert set(classifier.predict(["the soup of day 1 was good", "the film was dull"])) <= {"neg", "pos"}
    record = next(r for r in results.load_records(tmp_path / "few-results")
                  if r["experiment"] == "14_synergy_controller")
    assert record["metrics"]["labels"] <= 60
    assert 0 < record["data"]["labels_used"] - record["metrics"]["labels"] < 100  # the development slice, and no more


@pytest.mark.trains  # steps of a probe
@pytest.mark.parametrize("more, message", [
    (("--labels", 60), "--labels is a budget for --controller"),
    (("--controller", "--labels", 0), "labels must be"), (("--controller", "--labels", 10_000), "lower it"),
    (("--controller", "--time", "0.1s"), "for the baseline and 8 rounds"),
    (("--controller", "--max-size", "20kB"), "max_size"),
], ids=["no controller", "none", "too many", "no time", "too small"])
def test_contradicting_budgets_are_refused_before_anything_is_trained(folder, tmp_path, capsys, monkeypatch, more,
                                                                      message):
    monkeypatch.setattr(make, "_made", None)
    assert command(folder, tmp_path / "none", "--label", "y", *more, data="pairs.csv", text=("a", "b")) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "none").exists()
