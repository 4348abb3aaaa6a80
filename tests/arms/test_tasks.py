"""Tags and answers through the lab: arms, records, networks that load again, and a stopped training that goes on."""

import numpy as np
import pytest

from seo_core import models, results
from seo_core.arms import open_lab
from seo_core.arms.tasks import NER, QA
from seo_core.data import ANSWERS, TAGS, DataError, encode_for, load_task
from seo_core.evaluation import evaluate, metrics_of, predict
from seo_core.lab.arm import CHAPTERS
from seo_core.lab.ground import line
from seo_core.settings import load_settings
from seo_core.training import KeepBest, TrainingConfig, fit


@pytest.fixture
def small(tmp_path):
    return load_settings("quick", train_rows=128, development_rows=64, evaluation_rows=48, epochs=2,
                         learning_rate=1e-3, results_dir=str(tmp_path / "results"))


@pytest.mark.trains
@pytest.mark.parametrize("chapter, name, head, metrics", [
    (NER, "ner", "BertForTokenClassification", ("precision", "recall", "f1", "f1_macro", "accuracy")),
    (QA, "qa", "BertForQuestionAnswering", ("exact_match", "f1"))])
def test_baseline_and_search_are_recorded_by_the_metrics_of_their_task(small, chapter, name, head, metrics):
    lab = open_lab("18_hyperparameter_search", small)  # whose own ground is that of classes
    base, tuned = lab.arm(f"{name}-base"), lab.arm(f"{name}-tuned", knobs={"rows": 48, "epochs": 1})
    for run in (base, tuned):
        assert run.path.parent.name == "18_hyperparameter_search" and run.measure == "f1" and "F1" in line(run)
        assert all(0 <= run.metrics[f"{each}_matched"] <= 1 for each in metrics)
        assert type(run.model()).__name__ == head
        assert len(run.record["series"]["development_f1"]) == len(run.record["series"]["epoch"])
    assert tuned.metrics["trials"] == 2 and tuned.metrics["search_best"] >= 0
    ground = open_lab(chapter, small)
    logits = predict(base.model(), ground.encoded("validation_matched"), precision="auto", progress=False)
    again = metrics_of(logits, ground.encoded("validation_matched"))
    assert again["f1"] == pytest.approx(base.metrics["f1_matched"], abs=0.02)
    right = results.predictions(base.path)["validation_matched_correct"]
    assert len(right) == len(ground.task["validation_matched"])
    if name == "qa":
        assert right.mean() == pytest.approx(base.metrics["exact_match_matched"])
    assert lab.arm(f"{name}-base").path == base.path  # found again
    assert results.matching(results.load(lab.settings.results_dir), lab.settings).empty  # no run on the pairs


def test_the_chapter_by_its_id_alone_is_the_one_on_classes():
    assert CHAPTERS["18_hyperparameter_search"].kind == "classification"
    assert "search-tpe" in CHAPTERS["18_hyperparameter_search"].arms
    assert set(NER.arms) == {"ner-base", "ner-tuned"} and set(QA.arms) == {"qa-base", "qa-tuned"}


def test_data_of_another_kind_is_refused_when_its_ground_is_opened(small, tmp_path):
    from dataclasses import replace

    (tmp_path / "own.csv").write_text("premise,hypothesis,label\na,b,entailment\n")
    for chapter in (NER, QA):
        with pytest.raises(DataError, match="no column"):
            open_lab(chapter, replace(small, data=str(tmp_path / "own.csv")))


@pytest.mark.trains
@pytest.mark.parametrize("kind", [TAGS, ANSWERS])
def test_fit_and_evaluate_learn_in_windows_and_a_stopped_run_goes_on_to_the_same_weights(kind, tmp_path):
    task = load_task("embedded", kind=kind)
    model, tokenizer = models.load_backbone("bundled", num_labels=len(task.labels), labels=task.labels, layers=1,
                                            kind=kind)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    length = 10 if kind == TAGS else 40
    train = encode_for(task, task["train"][:96], tokenizer, max_length=length)
    assert len(train) > 96  # windows
    config = TrainingConfig(learning_rate=1e-3, epochs=2, batch_size=16, precision="fp32", checkpoint_every=3)
    best = KeepBest()
    whole = fit(model, train, config=config, development=train, callbacks=[best], progress=False)
    assert best.accuracy == max(whole.series["development_f1"])
    assert whole.series["train_loss"][-1] < whole.series["train_loss"][0]
    assert all(0 <= share <= 1 for share in whole.series["train_accuracy"])
    metrics, details = evaluate(model, task, tokenizer, max_length=length, splits=["validation"], progress=False)
    assert 0 <= metrics["f1_validation"] <= 1 and details["validation"]["logits"].ndim == 3

    def stop(event, state):
        if event == "step" and state.step == 5:
            raise KeyboardInterrupt

    def trained(**options):
        model.load_state_dict(start)
        fit(model, train, config=config, progress=False, **options)
        return {key: tensor.clone() for key, tensor in model.state_dict().items()}

    through = trained()
    with pytest.raises(KeyboardInterrupt):
        trained(callbacks=[stop], checkpoint_dir=tmp_path / "checkpoint")
    goes_on = trained(checkpoint_dir=tmp_path / "checkpoint")
    assert all(np.array_equal(through[key], goes_on[key]) for key in through)
