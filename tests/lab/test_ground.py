"""Studies: what arms share, what a record holds, and that a stopped study goes on."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from seo_core import results
from seo_core.arms import registry
from seo_core.data.encoding import concatenate
from seo_core.lab import ground
from seo_core.lab.ground import open_study
from seo_core.lab.run import Added, StudyError
from seo_core.settings import load_settings


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    settings = load_settings("quick", train_rows=400, development_rows=64, evaluation_rows=48, layers=1,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_study("05_transfer_learning", settings)


@pytest.fixture(scope="module")
def run(study):
    return study.train("base", study.random_rows(32), keep=True)


def test_random_rows_are_nested_distinct_and_follow_the_seed(study):
    small, large = study.random_rows(50), study.random_rows(200)
    assert (large[:50] == small).all() and len(set(large)) == 200
    other = replace(study, settings=replace(study.settings, seed=1))
    assert set(other.random_rows(50)) != set(small)


@pytest.mark.parametrize("labels", [0, 401])
def test_more_labels_than_the_pool_has_are_refused(study, labels):
    with pytest.raises(StudyError, match=f"{labels} labels were asked for and the pool has 400"):
        study.random_rows(labels)


def test_candidates_were_not_bought_and_are_drawn_anew_each_round(study):
    bought = study.random_rows(100)
    first, second = study.candidates(bought, 1, 80), study.candidates(bought, 2, 80)
    assert not set(first) & set(bought) and set(first) != set(second) and len(set(first)) == 80
    assert len(study.candidates(bought, 1, 1000)) == 300


def test_the_sealed_pool_has_the_texts_and_no_label(study):
    assert (study.sealed.ids == study.encoded.ids).all()
    assert (study.sealed.labels == -1).all() and (study.encoded.labels >= 0).all()


def test_a_record_holds_the_ledger_the_budget_and_the_predictions(study, run):
    record = run.record
    assert (run.rows == study.random_rows(32)).all()
    assert record["metrics"]["labels"] == 32 and record["parameters"]["train_rows"] == 32
    assert record["data"]["labels_used"] == 32 + 64  # the development slice counts
    kept = results.predictions(run.path)
    accuracy = kept["validation_matched_correct"].mean()
    assert record["metrics"]["accuracy_matched"] == pytest.approx(accuracy)


def test_kept_weights_are_the_trained_ones(study, run):
    from seo_core.evaluation import predict

    logits = predict(run.model(), study.encode(study.task["validation_matched"]), precision="auto")
    assert (logits.argmax(1) == results.predictions(run.path)["validation_matched"]).mean() > 0.97


def test_a_run_that_has_its_record_is_not_repeated(study, run, monkeypatch):
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    again = study.train("base", study.random_rows(32), keep=True, add=None)
    assert again.record == run.record


def test_costly_rows_are_found_once_and_counted(study):
    calls = []

    def rows():
        calls.append(1)
        return study.random_rows(16)

    first = study.train("costly", rows, labels=16)
    again = study.train("costly", rows, labels=16)
    assert len(calls) == 1 and again.record == first.record and (again.rows == study.random_rows(16)).all()
    with pytest.raises(StudyError, match="costly: 17 labels were to be bought, and 16 were"):
        study.train("costly", rows, labels=17)


def test_a_record_is_enough_until_its_network_is_asked_for(study, monkeypatch):
    first = study.train("lost", study.random_rows(24), keep=True)
    shutil.rmtree(first.weights)
    with monkeypatch.context() as patch:
        patch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
        again = study.train("lost", study.random_rows(24), keep=True)
        assert again.record == first.record
    assert again.model() is not None and first.weights.is_dir()


def test_weights_that_were_not_kept_are_an_error_that_says_how(study):
    with pytest.raises(StudyError, match="keep=True"):
        study.train("unkept", study.random_rows(16)).model()


def test_added_examples_are_trained_on_with_their_own_loss(study):
    seen = []

    def loss(model):
        from torch.nn import functional as F

        def value(logits, batch):
            seen.extend(batch["rows"].tolist())
            return F.cross_entropy(logits, batch["labels"])
        return value

    run = study.train("added", study.random_rows(16), training={"epochs": 1},
                      add=lambda: Added(study.pool.iloc[:8], loss=loss, metrics={"found": 1.0}, series={"w": [1, 2]}))
    assert study.settings.labelled(24).epochs == 6  # few pairs: as many epochs as a supervised run on 24 has, not 1
    assert sorted(seen) == sorted(6 * list(range(24)))
    assert run.metrics["added"] == 8 and run.metrics["found"] == 1.0 and run.record["series"]["w"] == [1, 2]
    assert run.metrics["labels"] == 16  # an edit of a bought pair is no further label


def test_a_limited_study_has_a_pool_of_the_ratio_and_records_of_its_own(study):
    rare = study.limited((8, 1, 1))
    share = rare.pool["label"].value_counts(normalize=True).sort_index().to_numpy()
    assert share == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert len(rare.encoded) == len(rare.pool) < len(study.pool) == len(study.encoded)
    run = rare.of("06_active_learning").train("random", rare.random_rows(16))
    assert run.record["configuration"] == "random-limited" and run.record["parameters"]["ratio"] == [8, 1, 1]
    assert run.rows.max() < len(rare.pool)


def test_extend_measures_more_on_the_same_network(study, run):
    more = study.of("04_adaptive_augmentation").extend(run, "base", lambda model: {"robust_accuracy": 0.5})
    assert more.metrics["robust_accuracy"] == 0.5 and more.record["experiment"] == "04_adaptive_augmentation"
    assert more.metrics["accuracy_matched"] == run.metrics["accuracy_matched"]
    for split in ("validation_matched", "validation_mismatched"):
        key = f"{split}_correct"
        assert (results.predictions(more.path)[key] == results.predictions(run.path)[key]).all()


def test_concatenate_keeps_every_example(study):
    a, b = study.encoded.take(range(5)), study.encoded.take([9, 2])
    both = concatenate(a, b)
    for i, (part, row) in enumerate([*((a, k) for k in range(5)), (b, 0), (b, 1)]):
        one, other = both.take([i]), part.take([row])
        assert (one.ids == other.ids).all() and one.labels == other.labels and one.first == other.first


def test_active_learning_buys_what_was_not_bought_and_keeps_what_was(study, monkeypatch):
    monkeypatch.setattr(ground, "QUICK_BUDGETS", (16, 24, 40))
    monkeypatch.setattr(registry, "source_model", lambda settings: "pretrained")
    monkeypatch.setattr(ground.Study, "start", lambda self, start: _load(self))
    arms = {name: registry.acquire(name)(study, 40) for name in ("random", "entropy", "hybrid")}
    first = study.random_rows(16)
    for name, run in arms.items():
        assert len(set(run.rows)) == 40 and (run.rows[:16] == first).all(), name
        assert run.record["configuration"] == name and run.metrics["labels"] == 40
    assert set(arms["entropy"].rows) != set(arms["random"].rows)


def test_the_data_map_holds_what_was_chosen_and_is_made_once(study, monkeypatch):
    monkeypatch.setattr(ground, "QUICK_BUDGETS", (16, 24, 40))
    monkeypatch.setattr(registry, "source_model", lambda settings: "pretrained")
    monkeypatch.setattr(ground.Study, "start", lambda self, start: _load(self))
    with pytest.raises(StudyError, match="no record of 'random' with 32 labels"):
        registry.data_map(study, 32)
    bought = {name: registry.acquire(name)(study, 40).rows for name in ("random", "entropy")}
    found = registry.purchases(study, 40)
    assert all((found[name] == rows).all() for name, rows in bought.items())
    run = registry.data_map(study, 40)
    assert set(run.rows) == set().union(*found.values()) and run.record["parameters"]["arms"] == sorted(found)
    assert all(run.metrics[f"map_pairs_{name}"] == 24 for name in found)  # the first 16 are no choice
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("trained again"))
    assert registry.data_map(study, 40).record == run.record


def test_hybrid_text_is_an_arm_like_the_others():
    assert registry.PLANS[registry.ACTIVE]["hybrid_text"][1] == ground.BUDGETS
    assert list(registry.PLANS[registry.ACTIVE])[-1] == "data-map"  # it maps what the others bought
    assert set(registry.STRATEGIES) == set(_acquisitions())


def _acquisitions():
    from seo_core.selection import ACQUISITIONS

    return ACQUISITIONS


def test_only_quick_studies_change_the_profiles_settings():
    quick = load_settings("quick", train_rows=40, development_rows=16, evaluation_rows=8)
    assert open_study("05_transfer_learning", quick).settings.batch_size == ground.QUICK_BATCH < quick.batch_size
    assert open_study("05_transfer_learning", quick).settings.layers == 3
    assert open_study("05_transfer_learning", replace(quick, layers=2)).settings.layers == 2
    assert open_study("04_adaptive_augmentation", quick).settings.layers is None
    other = load_settings("cpu", data="embedded", development_rows=16, evaluation_rows=8)
    assert open_study("05_transfer_learning", other).settings == other
    assert other.labelled(500).epochs == 12 and other.labelled(8000).epochs == 2


@pytest.mark.parametrize("layers", [1, 2])
def test_a_model_with_fewer_layers_than_the_quick_studies_take_is_trained_whole(tmp_path, layers):
    from seo_core.models.backbone import load_backbone, save

    save(*load_backbone("bundled", layers=layers), tmp_path / "small")
    settings = load_settings("quick", model=str(tmp_path / "small"), train_rows=200, development_rows=32,
                             evaluation_rows=16, results_dir=str(tmp_path / "results"))
    for chapter, arm in (("05_transfer_learning", "tl"), ("06_active_learning", "hybrid"),
                         ("07_transfer_active_learning", "tal")):
        study = open_study(chapter, settings)
        assert study.settings.layers == layers
        labels = study.budgets[1]
        ran = registry.run(chapter, settings, arms=[arm], labels=[labels])[0]
        assert ran.metrics["labels"] == labels and np.isfinite(ran.metrics["accuracy_matched"])


def test_a_record_names_the_weights_that_training_began_from(study, run):
    from seo_core.models.backbone import fingerprint

    first = registry.acquire("random")(study, 32).record["model"]
    assert first["start_fingerprint"] == fingerprint(str(ground.source_model(study.settings)))
    assert first["start_fingerprint"] != first["fingerprint"]
    assert "start_fingerprint" not in run.record["model"]


def test_tal_from_scratch_has_the_labels_that_a_network_from_scratch_bought_and_no_pull(study):
    study = study.of("07_transfer_active_learning")
    labels = study.budgets[1]
    tal = registry.run("07_transfer_active_learning", study.settings, arms=["tal-scratch"], labels=[labels],
                    study=study)[0]
    control = registry.acquire("hybrid", scratch=True)(study, labels)  # has its record already
    assert (tal.rows == control.rows).all() and control.record["configuration"] == "hybrid-scratch"
    assert set(tal.rows) != set(registry.acquire("hybrid")(study, labels).rows)
    for run in (tal, control):
        assert run.record["parameters"]["start"] == "scratch"
        assert run.record["parameters"]["training"]["freeze_embeddings"] is False
    assert tal.record["parameters"]["tal"]["l2_sp"] == 0 < tal.record["parameters"]["tal"]["lam"]


def test_freezing_leaves_the_head_and_the_upper_layers_to_learn(tiny_bert):
    model = tiny_bert(layers=3)
    ground._freeze_below(model, 2)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("pooler" in n for n in learned) and any("classifier" in n for n in learned)
    assert {n.split("layer.")[1][0] for n in learned if "layer." in n} == {"1", "2"}
    assert not any("embeddings" in n for n in learned)


def _load(study):
    from seo_core.models.backbone import load_backbone

    return load_backbone(study.settings.model, layers=1, seed=study.settings.seed)[0]


def test_what_was_not_there_is_left_out_and_makes_a_record_of_its_own(study, monkeypatch):
    from seo_core.augmentation import OPERATORS

    labels, lines = study.budgets[0], []
    monkeypatch.setattr(registry, "robustness", lambda study, model: {})
    arms = {name: registry.PLANS[registry.STATIC][name] for name in ("static", "eda", "aeda")}
    monkeypatch.setitem(registry.PLANS, registry.STATIC, arms)
    gone = {name: replace(OPERATORS[name], absent=lambda: "It comes with a command.") for name in ("synonym", "eda")}
    with monkeypatch.context() as without:
        for name, operator in gone.items():
            without.setitem(OPERATORS, name, operator)
        before = registry.run(registry.STATIC, study.settings, labels=[labels], study=study, report=lines.append)
        assert [run.record["configuration"] for run in before] == ["da-static", "da-aeda"]
        assert lines[1] == "eda              left out: its resource is not here"
        assert before[0].record["parameters"]["operators_absent"][:2] == ["synonym", "eda"]
        with pytest.raises(StudyError, match="eda cannot be used here. It comes with a command"):
            registry.run(registry.STATIC, study.settings, labels=[labels], study=study, arms=["eda"])
    for name in gone:
        monkeypatch.setitem(OPERATORS, name, replace(OPERATORS["aeda"], name=name))
    after = registry.run(registry.STATIC, study.settings, labels=[labels], study=study, arms=["static"])[0]
    assert after.path != before[0].path and "synonym" not in after.record["parameters"].get("operators_absent", ())


def test_an_unknown_arm_or_chapter_names_the_nearest(study):
    with pytest.raises(StudyError, match="did you mean 'random'"):
        registry.run("06_active_learning", study.settings, arms=["rnadom"])
    with pytest.raises(StudyError, match="did you mean '06_active_learning'"):
        registry.run("06_active_learnin", study.settings)


def test_a_record_names_the_command_that_makes_it(study, run, tmp_path):
    command = run.record["provenance"]["command"]
    assert command.startswith(f"python -m seo_core.run chapter {study.experiment} --profile")
    assert command.endswith(" --data embedded --model bundled --source embedded")
    settings = replace(study.settings, results_dir=str(tmp_path), source="embedded")
    registry.run("05_transfer_learning", settings, arms=["tl"], labels=[32], study=replace(study, settings=settings))
    tl, = results.load_records(tmp_path)
    assert tl["provenance"]["command"] == ("python -m seo_core.arms.registry 05_transfer_learning --profile quick "
                                           "--seed 0 --data embedded --model bundled --source embedded --arms tl "
                                           "--labels 32")


def test_the_command_line_reports_errors_in_one_line(capsys):
    assert registry.main(["05_transfer_learning", "--profile", "quick", "--data", "no/such/folder"]) == 1
    message = capsys.readouterr().err.strip()
    assert "no/such/folder" in message or "folder" in message
    assert "Traceback" not in message
