"""The lab: what arms share, what a record holds, that runs are made once, and that a stopped one goes on."""

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pytest
import torch

from seo_core import results
from seo_core.arms import acquisition, augmentation, open_lab
from seo_core.data.encoding import concatenate
from seo_core.lab import ground, source
from seo_core.lab.arm import ARMS, BUDGETS, Arm, Chapter
from seo_core.lab.run import Added, LabError, Made
from seo_core.results.final import Entry, FinalList
from seo_core.settings import load_settings

pytestmark = pytest.mark.trains
TRIAL = Chapter("05_transfer_learning", budgets=(32,))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    settings = load_settings("quick", train_rows=400, development_rows=64, evaluation_rows=48, layers=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("05_transfer_learning", settings)


@pytest.fixture(scope="module")
def headline(tmp_path_factory):
    return open_lab("12_distillation", load_settings(
        "quick", train_rows=64, development_rows=64, evaluation_rows=32, layers=1, epochs=1,
        results_dir=str(tmp_path_factory.mktemp("headline"))))


@pytest.fixture(scope="module")
def run(lab, trains):
    return lab.arm("supervised", 32)


@pytest.fixture
def declare(monkeypatch):
    """Declares an arm of a trial chapter, for one test."""

    def arm(name, function, chapter=TRIAL, **options):
        options = {"start": "pretrained" if chapter.ground == "labels" else None, "recorded_as": name,
                   "home": chapter.id, **options}
        monkeypatch.setitem(ARMS, name, Arm(name, chapter, function, **options))
        return name

    return arm


def test_random_rows_are_nested_distinct_and_follow_the_seed(lab):
    small, large = lab.random_rows(50), lab.random_rows(200)
    assert (large[:50] == small).all() and len(set(large)) == 200
    other = replace(lab, settings=replace(lab.settings, seed=1))
    assert set(other.random_rows(50)) != set(small)


@pytest.mark.parametrize("labels", [0, 401])
def test_more_labels_than_the_pool_has_are_refused(lab, labels):
    with pytest.raises(LabError, match=f"{labels} labels were asked for and the pool has 400"):
        lab.random_rows(labels)


def test_numbers_of_labels_that_can_be_read_once_hold_for_every_arm(lab, monkeypatch):
    asked = []
    monkeypatch.setattr(type(lab), "arm", lambda lab, *run: asked.append(run))
    monkeypatch.setattr(ground, "line", lambda run: "")
    lab.of("06_active_learning").run(["random", "hybrid"], labels=(labels for labels in (16, 24)))
    assert asked == [("random", 16), ("random", 24), ("hybrid", 16), ("hybrid", 24)]


def test_candidates_were_not_bought_and_are_drawn_anew_each_round(lab):
    bought = lab.random_rows(100)
    first, second = lab.candidates(bought, 1, 80), lab.candidates(bought, 2, 80)
    assert not set(first) & set(bought) and set(first) != set(second) and len(set(first)) == 80
    assert len(lab.candidates(bought, 1, 1000)) == 300


def test_the_sealed_pool_has_the_texts_and_no_label(lab):
    assert (lab.sealed.ids == lab.encoded().ids).all()
    assert (lab.sealed.labels == -1).all() and (lab.encoded().labels >= 0).all()


def test_a_record_holds_the_ledger_the_budget_and_the_predictions(lab, run):
    record = run.record
    assert (run.rows == lab.random_rows(32)).all()
    assert record["metrics"]["labels"] == 32 and record["parameters"]["train_rows"] == 32
    assert record["data"]["labels_used"] == 32 + 64  # the development slice counts
    kept = results.predictions(run.path)
    accuracy = kept["validation_matched_correct"].mean()
    assert record["metrics"]["accuracy_matched"] == pytest.approx(accuracy)
    assert record["metrics"]["accuracy_development"] == pytest.approx(kept["acceptance_correct"].mean())


def test_the_control_of_transfer_sees_as_many_pairs_and_keeps_its_best_epoch(lab, trains):
    run, source = lab.arm("supervised-long", 32), lab.arm("source", 0)
    asked = lab.settings.labelled(32).epochs * 32 + source.metrics["train_examples"]
    assert asked <= run.metrics["train_examples"] < asked + 32
    curve = run.record["series"]["development_accuracy"]  # of the reward half: the other one measures
    assert len(curve) == run.record["parameters"]["training"]["epochs"] and run.metrics["best_epoch"] == 1 + np.argmax(
        curve)
    assert run.record["configuration"] == "base-long" and (run.rows == lab.random_rows(32)).all()


@pytest.fixture
def seal(lab, monkeypatch, tmp_path):
    """A lab of its own whose data is sealed, but for the arms that are given."""

    def make(*entries):
        listed = FinalList(date(2026, 1, 1), [lab.task.fingerprint], entries)
        monkeypatch.setattr(results, "final_list", lambda: listed)
        settings = replace(lab.settings, results_dir=str(tmp_path))
        return replace(lab, settings=settings, asked=settings, shared={})

    return make


def test_an_arm_is_not_scored_on_sealed_sets(seal, trains):
    run = seal().arm("supervised", 32)
    assert run.scored == ("acceptance",) and list(run.accuracies) == ["development"]
    assert run.accuracies["development"] == run.metrics["accuracy_development"]
    assert not any("matched" in name for name in (*run.metrics, *results.predictions(run.path)))
    assert "perplexity_development" in run.metrics and "perplexity" not in run.metrics
    assert "development" in ground.line(run)


def test_a_listed_arm_is_scored_on_sealed_sets_with_its_recipe_and_seed_only(seal, trains, lab):
    entry = Entry(ARMS["supervised"].recorded_as, {"labels": 32, "start": "pretrained"}, [0], date(2026, 1, 1),
                  "a trial")
    run = seal(entry).arm("supervised", 32)
    assert run.scored == lab.official and run.accuracies.keys() == {"matched", "mismatched"}
    for other in (replace(entry, recipe={"labels": 33}), replace(entry, seeds=[1]), replace(entry, arm="tl")):
        bound = seal(other)._bound(ARMS["supervised"], 32)
        assert bound.scored == ("acceptance",)


def test_kept_weights_are_the_trained_ones(lab, run):
    from seo_core.evaluation import predict

    logits = predict(run.model(), lab.encoded("validation_matched"), precision="auto")
    assert (logits.argmax(1) == results.predictions(run.path)["validation_matched"]).mean() > 0.97


def test_a_run_that_has_its_record_is_not_repeated(lab, run, monkeypatch):
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    assert lab.arm("supervised", 32).record == run.record


def test_a_record_is_found_by_what_it_holds(lab, run, monkeypatch):
    """Under another name, and without a field that came later: what it lacks has its default."""
    import json

    other = run.path.with_name(f"base-00000000-seed{lab.settings.seed}.json")
    record = json.loads(run.path.read_text())
    del record["parameters"]["training"]["layer_decay"], record["parameters"]["evaluation_precision"]
    run.path.rename(other)
    other.write_text(json.dumps(record))
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    try:
        assert lab.arm("supervised", 32).path == other
        record["parameters"]["training"]["learning_rate"] = 1.0  # another run
        other.write_text(json.dumps(record))
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            lab.arm("supervised", 32)
    finally:
        other.rename(run.path)
        run.path.write_text(json.dumps(run.record | {}))


@pytest.mark.parametrize("bought, words", [(15, "16 labels were to be bought, and 15 were"),
                                           ("twice", "a label was bought twice"), ("outside", "outside the pool")])
def test_a_ledger_that_cannot_be_is_refused(lab, declare, bought, words):
    def rows(lab):
        rows = lab.random_rows(16)
        return {"twice": np.r_[rows[:15], rows[0]], "outside": np.r_[rows[:15], 400]}.get(bought, rows[:15])

    with pytest.raises(LabError, match=words):
        lab.arm(declare("costly", lambda lab, recipe: lab.fit(rows(lab))), 16)


def test_costly_rows_are_found_once(lab, declare):
    calls = []

    def bought(lab, recipe):
        calls.append(1)
        return lab.fit(lab.random_rows())

    name = declare("costly", bought)
    first, again = lab.arm(name, 16), lab.arm(name, 16)
    assert len(calls) == 1 and again.record == first.record and (again.rows == lab.random_rows(16)).all()


@pytest.mark.trains
def test_a_record_is_enough_until_its_network_is_asked_for(lab, declare, monkeypatch):
    name = declare("lost", lambda lab, recipe: lab.fit(lab.random_rows()))
    first = lab.arm(name, 24)
    shutil.rmtree(first.weights)
    with monkeypatch.context() as patch:
        patch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
        again = lab.arm(name, 24)
        assert again.record == first.record
    assert again.model() is not None and first.weights.is_dir()
    assert lab.arm(name, 24).record == first.record  # made again, the record stays


@pytest.mark.trains
def test_weights_that_were_not_kept_are_an_error_that_says_how(lab, declare):
    name = declare("unkept", lambda lab, recipe: lab.fit(lab.random_rows()), keep=False)
    with pytest.raises(LabError, match="keep=True"):
        lab.arm(name, 16).model()


@pytest.mark.trains
def test_added_examples_are_trained_on_with_their_own_loss(lab, declare):
    seen = []

    def loss(model):
        from torch.nn import functional as F

        def value(logits, batch):
            seen.extend(batch["rows"].tolist())
            return F.cross_entropy(logits, batch["labels"])
        return value

    def added(lab, recipe):
        return lab.fit(lab.random_rows(), Added(lab.pool.iloc[:8], loss=loss, metrics={"found": 1.0},
                                                series={"w": [1, 2]}))

    run = lab.arm(declare("added", added, training={"epochs": 1}), 16)
    assert lab.settings.labelled(24).epochs == 6  # few pairs: as many epochs as a supervised run on 24 has, not 1
    assert sorted(seen) == sorted(6 * list(range(24)))
    assert run.metrics["added"] == 8 and run.metrics["found"] == 1.0 and run.record["series"]["w"] == [1, 2]
    assert run.metrics["labels"] == 16  # an edit of a bought pair is no further label


@pytest.mark.trains
def test_added_examples_are_renewed_before_each_epoch_but_the_first(lab, declare):
    def make(lab, recipe):
        first, asked = lab.pool.iloc[100:108], []

        def renew(model, epoch):
            asked.append(epoch)
            return lab.pool.iloc[110:118] if epoch == 1 else None

        train = {}

        def loss(model):
            def value(logits, batch):
                train.setdefault(len(asked), []).extend(batch["input_ids"].sum(1).tolist())
                return torch.nn.functional.cross_entropy(logits, batch["labels"])
            return value

        made = lab.fit(np.arange(16), Added(first, loss=loss, renew=renew))
        epochs = lab.config().epochs
        assert asked == list(range(1, max(epochs, lab.settings.labelled(24).epochs)))
        texts = [set(lab.encode(lab.pool.iloc[part]).batch(np.arange(8))["input_ids"].sum(1).tolist())
                 for part in (slice(100, 108), slice(110, 118))]
        assert texts[0] <= set(train[0]) and texts[1] <= set(train[1]) and not texts[0] <= set(train[1])
        return made

    assert lab.arm(declare("renewed", make), 16).metrics["added"] == 8
    wrong = declare("wrong", lambda lab, recipe: lab.fit(np.arange(16), Added(
        lab.pool.iloc[100:108], renew=lambda model, epoch: lab.pool.iloc[:3])))
    with pytest.raises(LabError, match="8 added examples are to be replaced, and 3 were made"):
        lab.arm(wrong, 16)


def test_a_limited_lab_has_a_pool_of_the_ratio_and_records_of_its_own(lab):
    rare = lab.limited((8, 1, 1))
    share = rare.pool["label"].value_counts(normalize=True).sort_index().to_numpy()
    assert share == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert len(rare.encoded()) == len(rare.pool) < len(lab.pool) == len(lab.encoded())
    run = lab.arm("random-limited", 16)
    assert run.record["configuration"] == "random-limited" and run.record["parameters"]["ratio"] == [8, 1, 1]
    assert run.path.parent.name == "06_active_learning" and run.rows.max() < len(rare.pool)


def test_robustness_is_measured_on_the_same_network(lab, run, monkeypatch):
    monkeypatch.setattr(augmentation, "robust_accuracy", lambda *_, **__: {"robust_accuracy": 0.5})
    robust = lab.arm("robust-base", 32)
    assert robust.metrics["robust_accuracy"] == 0.5 and robust.record["experiment"] == "04_adaptive_augmentation"
    assert robust.record["configuration"] == "base"
    assert robust.metrics["accuracy_matched"] == run.metrics["accuracy_matched"]
    for split in ("validation_matched", "validation_mismatched"):
        key = f"{split}_correct"
        assert (results.predictions(robust.path)[key] == results.predictions(run.path)[key]).all()


def test_concatenate_keeps_every_example(lab):
    a, b = lab.encoded().take(range(5)), lab.encoded().take([9, 2])
    both = concatenate(a, b)
    for i, (part, row) in enumerate([*((a, k) for k in range(5)), (b, 0), (b, 1)]):
        one, other = both.take([i]), part.take([row])
        assert (one.ids == other.ids).all() and one.labels == other.labels and one.first == other.first


@pytest.fixture
def short_rounds(lab, monkeypatch):
    """Budgets of 16, 24 and 40 labels, from the pre-trained start."""
    from seo_core.lab import arm

    monkeypatch.setattr(arm, "QUICK_BUDGETS", (16, 24, 40))
    monkeypatch.setattr(ground, "source_model", lambda settings: "pretrained")


@pytest.mark.trains
def test_active_learning_buys_what_was_not_bought_and_keeps_what_was(lab, short_rounds):
    runs = {name: lab.arm(name, 40) for name in ("random", "entropy", "hybrid")}
    first = lab.random_rows(16)
    for name, run in runs.items():
        assert len(set(run.rows)) == 40 and (run.rows[:16] == first).all(), name
        assert run.record["configuration"] == name and run.metrics["labels"] == 40
    assert set(runs["entropy"].rows) != set(runs["random"].rows)
    assert lab.arm("entropy", 16).path == lab.arm("random", 16).path  # the first budget is bought at random


def test_acquisition_never_sees_a_label(lab, short_rounds, monkeypatch):
    from seo_core.selection import acquisition as functions

    seen = []

    def spy(model, pool, n, rng):
        seen.append((len(pool), n, bool((pool.labels == -1).all())))
        return np.arange(n)

    monkeypatch.setitem(functions.ACQUISITIONS, "margin", spy)
    run = lab.arm("margin", 40)
    assert seen == [(256, 8, True), (256, 16, True)] and run.metrics["labels"] == 40


@pytest.mark.trains
def test_the_data_map_holds_what_was_chosen_and_is_made_once(lab, short_rounds, monkeypatch):
    with pytest.raises(LabError, match="no record of 'random' with 32 labels"):
        lab.arm("data-map", 32)
    bought = {name: lab.arm(name, 40).rows for name in ("random", "entropy")}
    recorded = acquisition.purchases(lab, 40)
    assert all((recorded[name] == rows).all() for name, rows in bought.items())
    run = lab.arm("data-map", 40)
    assert set(run.rows) == set().union(*recorded.values()) and run.record["parameters"]["arms"] == sorted(recorded)
    assert all(run.metrics[f"map_pairs_{name}"] == 24 for name in recorded)  # the first 16 are no choice
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    assert lab.arm("data-map", 40).record == run.record


@pytest.mark.trains
def test_a_learned_criterion_buys_in_rounds_like_the_others(lab, short_rounds, monkeypatch):
    read = []
    real = acquisition.buy_by_loss

    def spy(model, labelled, pool, n, rng, **how):
        read.append((len(labelled), len(pool), n, bool((pool.labels == -1).all()), bool((labelled.labels >= 0).all())))
        return real(model, labelled, pool, n, rng, **how)

    monkeypatch.setattr(acquisition, "buy_by_loss", spy)
    run, first = lab.arm("loss-prediction", 40), lab.arm("random", 16)
    assert read == [(16, 256, 8, True, True), (24, 256, 16, True, True)]
    assert len(set(run.rows)) == 40 and (run.rows[:16] == first.rows).all()
    assert run.record["parameters"]["loss_prediction"]["margin"] == 1


@pytest.mark.trains
def test_the_weights_of_tals_term_are_compared_on_the_same_labels(lab, short_rounds):
    runs = {name: lab.arm(name, 24) for name in ("tal", "tal-weak", "tal-strong")}
    assert {name: run.record["parameters"]["tal"]["lam"] for name, run in runs.items()} == {
        "tal": 0.1, "tal-weak": 0.01, "tal-strong": 1.0}
    assert all((run.rows == runs["tal"].rows).all() for run in runs.values())


def test_the_rounds_end_on_a_plateau_and_are_the_arms_runs(lab, short_rounds, monkeypatch):
    monkeypatch.setattr(acquisition, "plateau", lambda values, **how: len(values) == 2)
    runs = acquisition.until_plateau(lab, "hybrid", (16, 24, 40))
    assert [run.metrics["labels"] for run in runs] == [16, 24]
    assert runs[1].path == lab.arm("hybrid", 24).path and (runs[1].rows[:16] == runs[0].rows).all()


def test_arms_with_and_without_the_term_buy_the_same_labels(lab, short_rounds):
    """The models that rank have not seen the term, so λ changes the final model and nothing that was bought."""
    hybrid, tal = lab.arm("hybrid", 24), lab.arm("tal", 24)
    assert (hybrid.rows == tal.rows).all()
    first, last = (run.model().state_dict() for run in (hybrid, tal))
    assert any((first[name] != last[name]).any() for name in first)


@pytest.mark.parametrize("name, budgets, words", [
    ("hybrid", (), "rise"), ("hybrid", (0, 5), "1 or more and a whole number, got 0"), ("hybrid", (5, 5), "rise"),
    ("hybrid", (8, 4), "rise"), ("hybrid", (5, 401), "pool has 400"), ("hybrid", (5, 7.5), "whole number, got 7.5"),
    ("tal", (8, 400), "all 400 labels.*lower the last budget, or take hybrid")])
def test_budgets_that_make_no_sense_are_refused_before_the_first_round(lab, name, budgets, words):
    with pytest.raises(LabError, match=words):
        acquisition.until_plateau(lab, name, budgets)


def test_hybrid_text_is_an_arm_like_the_others():
    from seo_core.selection import ACQUISITIONS

    assert ARMS["hybrid_text"].budgets == BUDGETS
    assert list(acquisition.ACTIVE.arms)[-1] == "data-map"  # it maps what the others bought
    assert set(acquisition.STRATEGIES) == set(ACQUISITIONS)


def test_only_quick_labs_change_the_profiles_settings():
    quick = load_settings("quick", train_rows=40, development_rows=16, evaluation_rows=8)
    assert open_lab("05_transfer_learning", quick).settings.batch_size == ground.QUICK_BATCH < quick.batch_size
    assert open_lab("05_transfer_learning", quick).settings.layers == 3
    assert open_lab("05_transfer_learning", replace(quick, layers=2)).settings.layers == 2
    assert open_lab("04_adaptive_augmentation", quick).settings.layers is None
    other = load_settings("cpu", data="embedded", development_rows=16, evaluation_rows=8)
    assert open_lab("05_transfer_learning", other).settings == other
    assert other.labelled(500).epochs == 12 and other.labelled(8000).epochs == 2


@pytest.mark.parametrize("layers", [1, 2])
def test_a_model_with_fewer_layers_than_the_quick_labs_take_is_trained_whole(tmp_path, layers):
    from seo_core.models.backbone import load_backbone, save

    save(*load_backbone("bundled", layers=layers), tmp_path / "small")
    settings = load_settings("quick", model=str(tmp_path / "small"), train_rows=200, development_rows=32,
                             evaluation_rows=16, results_dir=str(tmp_path / "results"))
    for chapter, arm in (("05_transfer_learning", "tl"), ("06_active_learning", "hybrid"),
                         ("07_transfer_active_learning", "tal")):
        lab = open_lab(chapter, settings)
        assert lab.settings.layers == layers
        labels = lab.budgets[1]
        ran, = lab.run([arm], labels=[labels])
        assert ran.metrics["labels"] == labels and np.isfinite(ran.metrics["accuracy_matched"])


def test_a_record_names_the_weights_that_training_began_from(lab, run):
    from seo_core.models.backbone import fingerprint

    record = lab.arm("random", 32).record
    assert record["data"]["source_labels"] == source.QUICK_PAIRS[1] and "source_labels" not in run.record["data"]
    first = record["model"]
    assert first["start_fingerprint"] == fingerprint(str(source.source_model(lab.settings)))
    assert first["start_fingerprint"] != first["fingerprint"]
    assert "start_fingerprint" not in run.record["model"]


@pytest.mark.trains
def test_tal_from_scratch_has_the_labels_that_a_network_from_scratch_bought_and_no_pull(lab):
    labels = lab.budgets[1]
    tal, = lab.of("07_transfer_active_learning").run(["tal-scratch"], labels=[labels])
    control = lab.arm("hybrid-scratch", labels)  # has its record already
    assert (tal.rows == control.rows).all() and control.record["configuration"] == "hybrid-scratch"
    assert set(tal.rows) != set(lab.arm("hybrid", labels).rows)
    for run in (tal, control):
        assert run.record["parameters"]["start"] == "scratch"
        assert run.record["parameters"]["training"]["freeze_embeddings"] is False
    assert tal.record["parameters"]["tal"]["l2_sp"] == 0 < tal.record["parameters"]["tal"]["lam"]


def test_freezing_leaves_the_head_and_the_upper_layers_to_learn(tiny_bert):
    model = tiny_bert(layers=3)
    source.freeze_below(model, 2)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("pooler" in n for n in learned) and any("classifier" in n for n in learned)
    assert {n.split("layer.")[1][0] for n in learned if "layer." in n} == {"1", "2"}
    assert not any("embeddings" in n for n in learned)


@pytest.mark.trains
def test_what_was_not_there_is_left_out_and_makes_a_record_of_its_own(lab, monkeypatch):
    from seo_core.augmentation import OPERATORS

    labels, lines = lab.budgets[0], []
    lab = lab.of("03_augmentation")
    monkeypatch.setattr(augmentation, "robust_accuracy", lambda *_, **__: {})
    for name in [name for name in augmentation.STATIC.arms if name not in ("da-static", "da-eda", "da-aeda")]:
        monkeypatch.delitem(ARMS, name)
    gone = {name: replace(OPERATORS[name], absent=lambda: "It comes with a command.") for name in ("synonym", "eda")}
    with monkeypatch.context() as without:
        for name, operator in gone.items():
            without.setitem(OPERATORS, name, operator)
        before = lab.run(labels=[labels], report=lines.append)
        assert [run.record["configuration"] for run in before] == ["da-static", "da-aeda"]
        assert lines[1] == "da-eda           left out: its resource is not here"
        assert before[0].record["parameters"]["operators_absent"][:2] == ["synonym", "eda"]
        with pytest.raises(LabError, match="eda cannot be used here. It comes with a command"):
            lab.run(["da-eda"], labels=[labels])
    for name in gone:
        monkeypatch.setitem(OPERATORS, name, replace(OPERATORS["aeda"], name=name))
    after, = lab.run(["da-static"], labels=[labels])
    assert after.path != before[0].path and "synonym" not in after.record["parameters"].get("operators_absent", ())


def test_an_unknown_arm_names_the_nearest_and_labels_have_to_be_said(lab):
    with pytest.raises(LabError, match="did you mean 'random'"):
        lab.of("06_active_learning").run(["rnadom"])
    with pytest.raises(LabError, match="did you mean 'hybrid'"):
        lab.arm("hybird", 32)
    with pytest.raises(LabError, match="say with how many labels"):
        lab.arm("hybrid")


@pytest.mark.parametrize("own", [{"knobs": {"pull": False}}, {"recorded_as": "hybrid-alone"}])
def test_a_recipe_or_name_of_its_own_is_not_dropped_at_the_first_purchase(lab, own):
    with pytest.raises(LabError, match="labels hybrid is random, the first purchase of all arms"):
        lab.arm("hybrid", lab.budgets[0], **own)


def test_a_record_names_the_command_that_makes_it(lab, run):
    assert run.record["provenance"]["command"] == (
        "python -m seo_core.run arm supervised --labels 32 --profile quick --seeds 0 --data embedded --model bundled "
        "--source embedded -p layers=1 -p train_rows=400 -p development_rows=64 -p evaluation_rows=48")


# ---------------------------------------------------------------------------------------------
# The headline's ground


def test_the_baseline_is_trained_once_and_shared(headline, monkeypatch):
    first = headline.arm("base")
    monkeypatch.setattr("seo_core.training.fit", None)  # a second training would raise
    again = headline.of("13_quantization_distillation").arm("base")
    assert again.path == first.path and again.path.parent.name == "02_baseline"
    from seo_core.evaluation import predict

    kept = results.predictions(first.path)
    predicted = predict(first.model(), headline.encoded("validation_matched"), precision="auto")
    assert np.array_equal(predicted.argmax(1), kept["validation_matched"])
    assert kept["validation_matched_logits"].shape == (32, 3)


def test_an_earlier_baseline_is_found_where_it_lies(headline, monkeypatch):
    first = headline.arm("base")
    earlier = first.path.parent.with_name("09_pruning")
    shutil.move(first.path.parent, earlier)
    monkeypatch.setattr("seo_core.training.fit", None)
    try:
        assert headline.arm("base").path == earlier / first.path.name
    finally:
        shutil.move(earlier, first.path.parent)


@pytest.mark.trains
def test_two_at_once_train_one_baseline(headline, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from seo_core import training

    other, trained = replace(headline, settings=replace(headline.settings, seed=5)), []

    def fit(*given, **named):
        trained.append(1)
        return original(*given, **named)

    original = training.fit
    monkeypatch.setattr(training, "fit", fit)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: other.arm("base"), range(2))
    assert first.path == second.path and len(trained) == 1
    assert first.metrics["size_bytes"] == (first.weights / "model.safetensors").stat().st_size


HEADLINE = Chapter("12_distillation", ground="headline")


def test_what_is_measured_is_what_is_deployed(headline, declare):
    def always_neutral(encoded):
        return np.tile([0.0, 1.0, 0.0], (len(encoded), 1))

    run = headline.arm(declare("constant", lambda lab, recipe: Made(
        lab.network(), predict=always_neutral, metrics={"size_bytes": 7}), HEADLINE, keep=False))
    share = (headline.encoded("validation_matched").labels == 1).mean()
    assert run.metrics["accuracy_matched"] == pytest.approx(share)
    assert run.metrics["size_bytes"] == 7
    assert 0 <= run.metrics["accuracy_development"] <= 1


def test_other_parameters_are_another_run(headline, declare):
    made = []

    def make(lab, recipe):
        made.append(1)
        return Made(lab.network())

    for number in (1, 1, 2):
        headline.arm(declare("start", make, HEADLINE, parameters=lambda lab, recipe, step=number: {"step": step}))
        assert len(made) == number


def test_a_failing_arm_leaves_no_record(headline, declare):
    def broken(lab, recipe):
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        headline.arm(declare("broken", broken, HEADLINE))
    assert not list(headline.arm("base").path.parent.parent.rglob("broken*.json"))


def test_development_and_official_sets_do_not_meet(headline):
    premises = {split: set(headline.task[split]["premise"]) for split in ("train", "reward", "acceptance",
                                                                         "validation_matched")}
    for split in ("reward", "acceptance", "validation_matched"):
        assert not premises["train"] & premises[split]


def test_one_lab_serves_both_grounds(lab):
    """A controller buys labels and prunes: it needs both, and asks one lab."""
    settings = replace(lab.asked, epochs=1, train_rows=64)
    both = open_lab("06_active_learning", settings)
    assert both.arm("random", 16).path.parent.name == "06_active_learning"
    base = both.arm("base")
    assert base.path.parent.name == "02_baseline" and base.record["parameters"]["train_rows"] == 64


# ---------------------------------------------------------------------------------------------
# Stopped runs


STUDY = """
import sys, time
from pathlib import Path
from seo_core.arms import ARMS, open_lab
from seo_core.lab.arm import Arm, Chapter
from seo_core.settings import load_settings
import torch

torch.set_num_threads(1)  # whoever runs it: another number adds up in another order
data, model, results, pause = sys.argv[1:]
trial = Chapter("05_transfer_learning", budgets=(48,))

def make(lab, recipe):
    def loss(model):
        from torch.nn import functional as F

        def value(logits, batch):
            print("step", flush=True)
            time.sleep(float(pause))
            return F.cross_entropy(logits, batch["labels"])
        return value
    return lab.fit(lab.random_rows(), loss=loss)

ARMS["trial"] = Arm("trial", trial, make, start="pretrained", recorded_as="trial", home=trial.id,
                    training={"epochs": 5, "batch_size": 8, "checkpoint_every": 4, "freeze_embeddings": False})
settings = load_settings("cpu", data=data, model=model, development_rows=16, evaluation_rows=8, max_length=32,
                         results_dir=results)
run = open_lab(trial, settings).arm("trial", 48)
print("weights", float(sum(p.detach().double().sum() for p in run.model().parameters())), run.metrics["train_examples"])
"""


def test_a_killed_study_run_goes_on_and_leaves_no_checkpoint(tiny_model, tmp_path, monkeypatch, capsys, request):
    """It ends where one that nobody killed does, to the bit."""
    from seo_core.data import load_nli

    (tmp_path / "pairs").mkdir()
    for split, frame in load_nli("embedded", rows=300).splits.items():
        frame.to_csv(tmp_path / "pairs" / f"{split}.csv", index=False)
    request.addfinalizer(lambda: ARMS.pop("trial", None))
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))

    def words(folder, pause=0):
        return ["-c", *(str(tmp_path / name) for name in ("pairs", "tiny_model", folder)), str(pause)]

    def study(folder):
        monkeypatch.setattr(sys, "argv", words(folder))
        exec(STUDY, {})
        return capsys.readouterr().out.splitlines()

    first, *rest = words("killed", pause=0.1)
    process = subprocess.Popen([sys.executable, first, STUDY, *rest], stdout=subprocess.PIPE, text=True)
    for number, _ in enumerate(process.stdout, 1):
        if number == 14:
            process.kill()
            break
    process.wait()
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL and not list((tmp_path / "killed").rglob("trial*.json"))
    assert len(list((tmp_path / "killed").rglob("state.safetensors"))) == 1
    again, whole = study("killed"), study("whole")
    assert len(whole) == 30 + 1 and len(again) - 1 in (18, 14, 10), "it goes on from a checkpoint"
    assert again[-1] == whole[-1] and whole[-1].endswith(" 240")
    assert len(list((tmp_path / "killed").rglob("trial*.json"))) == 1
    assert not list(tmp_path.rglob("state.safetensors"))
