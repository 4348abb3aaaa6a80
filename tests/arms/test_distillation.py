"""The arms: what they train on, what they record, that a stopped one goes on, and what the tables make of them."""

import functools
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables
from seo_core.arms import ARMS, LabError, distillation, known, open_lab, steps, texts
from seo_core.evaluation import predict
from seo_core.models.backbone import load_backbone, load_tokenizer
from seo_core.quantization import qat

FAST = {"depth": 1, "epochs": 1, "calibration_rows": 16}
INNER = {**FAST, "first_epochs": 1, "source_text": False, "augmented": 0.0}


def _settings(folder, seed=0):
    return load_settings("quick", seed=seed, train_rows=96, development_rows=32, evaluation_rows=40, layers=2,
                         epochs=1, results_dir=str(folder))


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return _settings(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def lab(settings):
    return open_lab(distillation.DISTILLATION, settings)


@pytest.fixture(scope="module")
def kd(lab, trains):
    return lab.arm("kd-logits", knobs=FAST)


@pytest.fixture(scope="module")
def sqd(lab, trains):
    return lab.arm("sqd-pairs", knobs={**FAST, "neurons": 64, "vocabulary": 2400})


def test_the_arms_have_the_ids_that_the_claims_know():
    assert {"kd", "sqd", "kd-weight-low", "kd-weight-middle", "kd-weight-high"} <= set(ARMS)
    low, middle, high = (ARMS[f"kd-weight-{n}"].recipe.weight for n in ("low", "middle", "high"))
    assert low < middle < high
    most = max(30_000 * (1 + r.augmented + 2 / 3 * r.source_text) * (r.epochs + getattr(r, "first_epochs", 0))
               for r in (arm.recipe for chapter in (distillation.DISTILLATION, distillation.JOINT)
                         for arm in chapter.arms.values()))
    assert most <= 2400_000  # pairs seen by a student with 30 000 labelled pairs and 20 000 of the source


def test_the_pair_of_four_bits_is_that_of_eight_but_for_the_bits():
    for name, like in {"sqd-4bit": "sqd-pairs", "kd-ptq-4bit": "kd-ptq"}.items():
        assert replace(ARMS[name].recipe, weight_bits=8) == ARMS[like].recipe and ARMS[name].recipe.weight_bits == 4


def pairs_after_base(name: str) -> float:
    """Pairs that a recipe's network sees beyond the baseline's, with all that it is made from; 30 000 are labelled."""
    recipes = [arm.recipe for arm, _ in steps(name) if arm.name != "base"]
    others = max(recipe.teachers if isinstance(recipe, distillation.Recipe) else 1 for recipe in recipes) - 1
    return 90_000 * others + sum((30_000 + round(30_000 * r.augmented) + 20_000 * r.source_text)
                                 * (r.epochs + getattr(r, "first_epochs", 0)) for r in recipes)


def test_the_stronger_teacher_is_what_is_cut_and_its_control_saw_as_many_pairs():
    for share in (65, 80):
        plain, strong = (ARMS[f"sqd-taylor-{share}-{how}"] for how in ("7bit", "strong"))
        assert replace(strong.recipe, teacher="base", pruned=f"taylor-{share}") == plain.recipe
        assert [arm.name for arm, _ in steps(strong.name)] == [
            "base", "base-control", f"taylor-{share}-strong", strong.name]
        cut = ARMS[f"taylor-{share}-strong"]
        assert replace(cut.recipe, teacher="base") == ARMS[f"taylor-{share}"].recipe
        assert cut.home == distillation.JOINT.id and cut.name not in distillation.PRUNING.arms
    taught = [name for name in ARMS if name.startswith("sqd-") and ARMS[name].recipe.teacher != "base"]
    assert len(taught) == 5 and max(map(pairs_after_base, taught)) <= pairs_after_base("base-control-strong")
    for name in (*taught, "base-control-strong", "taylor-65-strong", "base-control-int8"):
        assert ARMS[name].suited(load_settings("cpu")).recipe == ARMS[name].recipe  # and is not refused
    control = ARMS["base-control-strong"].recipe
    assert control.teachers == max(ARMS[name].recipe.teachers for name in taught) and control.best


@pytest.mark.trains
def test_another_network_teaches_and_gives_the_units(lab):
    from seo_core.pruning.structured import shapes

    knobs = {"epochs": 1, "calibration_rows": 16}
    taught = lab.arm("kd-logits", recorded_as="kd-of-control", knobs={**knobs, "depth": 1, "teacher": "taylor-40"})
    given = lab.arm("taylor-40").model()
    assert shapes(taught.model())["neurons"] == shapes(given)["neurons"][:1]
    assert taught.metrics["teacher_parameters"] == sum(p.numel() for p in given.parameters())
    assert taught.record["parameters"]["recipe"]["teacher"] == "taylor-40"
    cut = lab.arm("taylor-40", recorded_as="taylor-twice", knobs={"teacher": "taylor-40"})
    assert sum(p.numel() for p in cut.model().parameters()) < sum(p.numel() for p in given.parameters())


@pytest.mark.trains
def test_a_student_of_four_bits_has_fewer_bytes_and_says_what_it_learned(lab, sqd):
    four = lab.arm("sqd-4bit", knobs={**FAST, "neurons": 64, "vocabulary": 2400})
    assert four.metrics["size_bytes"] < sqd.metrics["size_bytes"] and four.metrics["agreement"] > 0.95
    scales = qat.scales(qat.load(four.weights))
    assert scales.weight_bits == 4


def test_a_record_has_the_recipe_and_is_not_made_again(lab, settings, kd, monkeypatch):
    record = kd.record
    assert record["configuration"] == "kd-logits" and record["experiment"] == distillation.DISTILLATION.id
    assert record["parameters"]["recipe"]["depth"] == 1 and record["metrics"]["train_examples"] == 96
    assert record["metrics"]["unlabelled"] == 0 and record["metrics"]["teachers"] == 1
    assert record["model"]["parameters"] < lab.arm("base").record["model"]["parameters"]
    monkeypatch.setattr(distillation, "_Stages", None)  # would fail if called
    assert lab.arm("kd-logits", knobs=FAST).path == kd.path
    with pytest.raises(TypeError):
        lab.arm("kd-logits", knobs={**FAST, "temperature": 5.0})  # another recipe


def test_kept_weights_give_the_recorded_predictions(lab, kd):
    kept = results.predictions(kd.path)["validation_matched"]
    assert np.array_equal(predict(kd.model(), lab.encoded("validation_matched"), precision="auto").argmax(1), kept)


def test_an_integer_student_is_kept_with_its_steps(lab, sqd, tmp_path):
    from seo_core.quantization.export import ExportConfig, export

    model = qat.load(sqd.weights)
    assert "compact_bert" in model.config.model_type and model.config.layer_ffn == [64]
    own = lab.reading_with(load_tokenizer(str(sqd.weights)))
    assert model.config.vocab_size == len(own.tokenizer) <= 2400
    logits = predict(model, own.encoded("validation_matched"))
    kept = results.predictions(sqd.path)["validation_matched"]
    assert np.mean(logits.argmax(1) == kept) >= 0.97
    scales = qat.scales(model)
    config = ExportConfig("int8-static", embedding_bits=scales.embedding_bits, max_length=lab.settings.max_length)
    file = export(model, tmp_path / "m.onnx", config, scales=scales)
    assert file.stat().st_size == sqd.metrics["size_bytes"]
    assert {"sqd_alpha", "sqd_gap", "sqd_loss_kd"} <= set(sqd.record["series"])
    plain = load_backbone(str(sqd.weights), num_labels=3)[0]
    assert not hasattr(plain, "quantizer")


@pytest.mark.filterwarnings("ignore:.*were cut")
def test_an_integer_student_is_packed_with_the_times_of_its_labmark(lab, sqd, tmp_path):
    from seo_core.deploy import artifact

    timed = dict(settings=lab.settings, data=lab.task, model_info=sqd.record["model"])
    written = {"batch_size": 32, "threads": 2, "latency_ms_p95": 9.0}
    results.write("tab3_inference_speed", "sqd-pairs", metrics={**written, "latency_ms_p50": 6.25}, **timed)
    results.write("tab3_inference_speed", "sqd-pairs", parameters={"onednn_capped": True}, **timed,
                  metrics={**written, "latency_ms_p50": 777.0, "onednn_capped": 1})  # no result of this configuration
    folder = artifact.pack(sqd.path, tmp_path / "art")
    card, base = (folder / "README.md").read_text(), lab.arm("base").metrics["accuracy_matched"]
    for words in ("| median time of a batch, ms | 6.2 |", "| threads | 2 |", f"matched set | {base:.2%} |",
                  f"Times on {sqd.record['provenance']['machine']['cpu']}"):
        assert words in card
    frame, found = lab.task["validation_matched"], artifact.load(folder)
    texts = list(zip(frame["premise"], frame["hypothesis"], strict=True))
    kept = results.predictions(sqd.path)["validation_matched"]
    assert np.mean([found.labels.index(c) for c in found.predict(texts)] == kept) >= 0.97
    said = artifact.check(folder)["metrics"]
    shares = [said[artifact.SHARE + label] for label in found.labels]
    np.testing.assert_allclose(shares, np.bincount(kept, minlength=3) / len(kept))
    assert said[artifact.SURE] == pytest.approx(found.probabilities(texts).max(1).mean(), abs=0.01)


@pytest.mark.trains
def test_a_student_can_be_what_pruning_left(lab, settings):
    from seo_core.pruning.structured import shapes

    given = lab.arm("taylor-40")
    run = lab.arm("sqd-pairs", recorded_as="sqd-of-pruned", knobs={
        "epochs": 1, "calibration_rows": 16, "neurons": None, "vocabulary": 2400, "pruned": "taylor-40"})
    student = qat.load(run.weights)
    assert shapes(student) == shapes(given.model()) != shapes(lab.arm("base").model())
    assert run.metrics["agreement"] >= 0.99 and run.record["parameters"]["recipe"]["pruned"] == "taylor-40"
    with pytest.raises(ValueError, match="leave out layers, neurons and heads"):
        distillation.Recipe(pruned="taylor-40", neurons=64)
    assert known("sqd-aip").needs[-1].arm == "aip" and [need.arm for need in known("sqd").needs] == ["base"]


@pytest.mark.slow
def test_texts_without_labels_are_without_labels(lab):
    recipe = distillation.Recipe(source_text=True, augmented=0.5)
    found, labelled = texts.reading(lab, texts.unlabelled(lab, recipe)), len(lab.encoded("train"))
    assert (found.labels[:labelled] >= 0).all() and (found.labels[labelled:] == -1).all()
    frame, edited = texts.source_texts(lab), texts.edited_texts(lab, 0.5)
    assert len(found) == labelled + len(frame) + len(edited) and len(edited) == round(0.5 * labelled)
    assert list(frame.columns) == list(edited.columns) == ["premise", "hypothesis"]
    for split in ("validation_matched", "validation_mismatched", "reward", "acceptance"):
        assert not set(frame["premise"]) & set(lab.task[split]["premise"])


@pytest.mark.trains
def test_a_stopped_arm_goes_on_and_ends_at_the_same_weights(tmp_path, monkeypatch):
    import seo_core.training as training

    def run(folder, stop=None):
        settings, real = _settings(folder), training.fit
        lab = open_lab(distillation.DISTILLATION, settings)
        lab.arm("base")
        calls = []

        def fit(model, train, *, callbacks=(), config, **k):
            calls.append(1)

            def halt(event, state):
                if len(calls) == 2 and state.step == stop:  # in the second stage
                    raise KeyboardInterrupt

            return real(model, train, callbacks=[*callbacks, halt], config=config, **k)

        monkeypatch.setattr(training, "fit", fit)
        try:
            found = lab.arm("kd", knobs={**INNER, "dropout": 0.1})
        finally:
            monkeypatch.setattr(training, "fit", real)
        return found.model().state_dict(), list((tmp_path / folder.name).rglob("state.json"))

    whole, left = run(tmp_path / "whole")
    assert left == []  # checkpoints are removed
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop=3)
    assert not list((tmp_path / "stopped").rglob("kd-*.json"))
    again, _ = run(tmp_path / "stopped")
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name


@pytest.fixture(scope="module")
def drawn(lab):
    """Seed -> fingerprint of the data that it draws."""
    return functools.cache(lambda seed: open_lab(lab.chapter, replace(lab.asked, seed=seed)).task.fingerprint)


@pytest.mark.slow
@pytest.mark.parametrize("seed, count, expected", [(0, 1, [0]), (0, 3, [0, 1, 2]), (2, 3, [2, 0, 1]), (5, 2, [5, 0])])
def test_several_teachers_are_baselines_of_few_seeds(lab, drawn, monkeypatch, seed, count, expected):
    monkeypatch.setattr(type(lab), "arm", lambda self, name: SimpleNamespace(model=lambda: self))
    first = open_lab(lab.chapter, replace(lab.asked, seed=seed))
    found = distillation.teachers(first, distillation.Recipe(teachers=count), first.arm("base"))
    assert [ground.settings.seed for ground in found] == expected
    own = [drawn(s) for s in expected]
    assert [ground.task.fingerprint for ground in found] == own, "each was trained on its own seed's draw"


def test_unknown_names_are_answered_with_known_ones(lab):
    with pytest.raises(LabError, match="did you mean 'kd-text'"):
        lab.arm("kd-txt")
    with pytest.raises(LabError, match="did you mean 'temperature'"):
        lab.arm("kd", knobs={"temprature": 2})
    with pytest.raises(ValueError, match="unknown method"):
        distillation.Recipe(method="kq")


@pytest.mark.parametrize("knobs, words", [
    ({"temperature": -1.0}, "temperature must be above 0"), ({"alpha_low": -1.0}, "alpha_low must be 0 or more"),
    ({"embedding_bits": 3}, "embedding_bits must be one of"), ({"teachers": 0}, "teachers must be 1 or more"),
    ({"dropout": 2.0}, "dropout must be 0 or more and below 1"), ({"depth": 0}, "depth must be 1 or more"),
    ({"error": float("nan")}, "error must be 0 or more"), ({"layers": (1, 1)}, "layers must be distinct numbers"),
    ({"learning_rate": 0.0}, "learning_rate must be above 0"), ({"augmented": float("inf")}, "augmented must be 0 or"),
    ({"calibration_rows": 0}, "must be 1 or more"), ({"depth": 9}, "the teacher has 6 layers, and .* to have 9"),
    ({"layers": (0, 6)}, "the teacher has 6 layers"), ({"pruned": "tailor-60"}, "did you mean 'taylor-60'"),
    ({"teacher": "base-contrl"}, "teacher names a network .* did you mean 'base-control'"),
    ({"teacher": "quant"}, "'quant' is none"), ({"teacher": "base-twice"}, "of the same labels, and 'base-twice'"),
])
def test_a_value_out_of_range_is_refused_before_anything_is_trained(knobs, words):
    with pytest.raises(ValueError, match=words):
        known("kd").suited(load_settings("quick"), knobs)


def test_tables_pair_every_arm_with_the_baseline(settings, kd, sqd):
    frame = results.load(settings.results_dir)
    frame = frame[frame["experiment"] != "tab3_inference_speed"]
    arms = ["base", "kd-logits", "sqd-pairs", "kd-hidden-first"]
    found = contrasts.official_differences(frame, dict.fromkeys(arms, "base"))
    assert list(found["contrast"].unique()) == ["kd-logits − base", "sqd-pairs − base"]  # no record, no row
    row = found[(found["contrast"] == "kd-logits − base") & (found["metric"] == "accuracy_matched")].iloc[0]
    base = frame[frame["configuration"] == "base"]["accuracy_matched"].iloc[0]
    assert row["difference"] == pytest.approx(100 * (kd.metrics["accuracy_matched"] - base))
    assert row["low"] <= row["difference"] <= row["high"]
    table = tables.against_table(frame, arms, found)
    assert list(table["configuration"]) == ["base", "kd-logits", "sqd-pairs"]
    assert table["file, MB"].iloc[2] == f"{sqd.metrics['size_bytes'] / 1e6:.2f}"
    assert table["pairs seen after base"].tolist() == ["0", "96", "96"]
    assert table["to base, points (matched)"].iloc[1].startswith(f"{row['difference']:+.2f} [".replace("-", "−"))
    assert table["to base, points (matched)"].iloc[0] == "—"
    megabytes = table["file, MB"].astype(float).tolist()
    assert megabytes[0] > megabytes[1] > megabytes[2]
    pairs = [("sqd-pairs", "kd-logits"), ("kd-hidden-first", "kd-logits")]  # the second has not been run
    compared = tables.pair_table(contrasts.official_differences(frame, pairs))
    assert compared["configuration"].tolist() == 2 * ["sqd-pairs − kd-logits"]
    gap = [100 * frame.set_index("configuration").loc[name, "accuracy_matched"] for name in pairs[0]]
    assert compared["difference"][0] == pytest.approx(gap[0] - gap[1], abs=0.005)
    again = frame[frame["configuration"] == "sqd-pairs"].assign(seed=settings.seed + 1)
    more = pd.concat([frame, again], ignore_index=True)
    assert contrasts.official_differences(more, pairs)["seeds"].tolist() == [1, 1]  # the one that both have
    assert tables.against_table(more, ["sqd-pairs"], found)["seeds"].tolist() == [2]  # of its accuracy
    numbers = compared[["difference", "low", "high"]]
    assert (numbers.round(2) == numbers).to_numpy().all()
    figure = figures.forest(found)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["kd-logits", "sqd-pairs"]


def test_without_records_tables_and_figures_say_so(tmp_path):
    found = contrasts.official_differences(results.load(tmp_path), {"kd": "base"})
    table = tables.against_table(results.load(tmp_path), ["base", "kd"], found)
    assert table["configuration"].tolist() == ["not run"]
    assert tables.pair_table(found).to_numpy().tolist() == [["not run"]]
    for figure in (figures.forest(found), figures.sqd_trace({})):
        assert any(t.get_text() == "not run" for axes in figure.axes for t in axes.texts)


@pytest.mark.slow
def test_the_package_stays_cheap_to_import():
    script = "import sys, seo_core, seo_core.quantization, seo_core.figures.pruning; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120)
    assert json.loads(done.stdout.strip().lower()) is False
