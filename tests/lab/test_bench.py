"""The compression chapters' common ground: one baseline, records that are written once, development data apart."""

from dataclasses import replace

import numpy as np
import pytest

from seo_core import results
from seo_core.lab.bench import Made, open_bench
from seo_core.settings import load_settings


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return open_bench("12_distillation", load_settings("quick", train_rows=64, development_rows=64, evaluation_rows=32,
                                                       layers=1, epochs=1, results_dir=str(folder)))


def test_baseline_is_trained_once_and_shared(bench, monkeypatch):
    first = bench.baseline()
    monkeypatch.setattr("seo_core.training.fit", None)  # a second training would raise
    again = bench.of("13_quantization_distillation").baseline()
    assert again.path == first.path and again.path.parent.name == "09_pruning"
    encoded = bench.encoded("validation_matched")
    from seo_core.evaluation import predict

    kept = results.predictions(first.path)["validation_matched"]
    assert np.array_equal(predict(first.model(), encoded, precision="auto").argmax(1), kept)


def test_two_at_once_train_one_baseline(bench, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from seo_core import training

    own, trained = replace(bench, settings=replace(bench.settings, seed=5)), []

    def fit(*given, **named):
        trained.append(1)
        return original(*given, **named)

    original = training.fit
    monkeypatch.setattr(training, "fit", fit)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: own.baseline(), range(2))
    assert first.path == second.path and len(trained) == 1
    assert first.metrics["size_bytes"] == (first.weights / "model.safetensors").stat().st_size


def test_record_measures_what_is_deployed(bench):
    def always_neutral(encoded):
        return np.tile([0.0, 1.0, 0.0], (len(encoded), 1))

    run = bench.record("constant", lambda: Made(bench.start(), predict=always_neutral, metrics={"size_bytes": 7}))
    share = (bench.encoded("validation_matched").labels == 1).mean()
    assert run.metrics["accuracy_matched"] == pytest.approx(share)
    assert run.metrics["size_bytes"] == 7
    assert 0 <= run.metrics["accuracy_development"] <= 1


def test_a_finished_record_is_not_made_again(bench):
    made = []

    def make():
        made.append(1)
        return Made(bench.start())

    for _ in range(2):
        bench.record("start", make, {"step": 1})
    assert len(made) == 1
    bench.record("start", make, {"step": 2})
    assert len(made) == 2


def test_a_failing_make_leaves_no_record(bench):
    def broken():
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        bench.record("broken", broken)
    assert not list(bench.baseline().path.parent.parent.rglob("broken*"))


def test_development_and_official_sets_do_not_meet(bench):
    premises = {split: set(bench.task[split]["premise"]) for split in ("train", "reward", "acceptance",
                                                                      "validation_matched")}
    for split in ("reward", "acceptance", "validation_matched"):
        assert not premises["train"] & premises[split]
