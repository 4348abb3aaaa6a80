"""The engine is measured: the faster runtime of those that agree, once a machine."""

import json
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pandas as pd
import pytest

import seo_core
from seo_core.checks import SettingsError
from seo_core.data import NLI_LABELS
from seo_core.deploy import artifact, engine, serving
from seo_core.deploy.artifact import ArtifactError, Card
from seo_core.deploy.runners import OnnxRunner, OpenVinoRunner
from seo_core.deploy.scoring import SUMMARY, ScoringError, score
from seo_core.quantization import ExportConfig, export_onnx

ROOT = Path(__file__).resolve().parents[2]
PAIRS = [("a man sleeps.", "a person rests."), ("the dog runs.", "nobody runs on grass."), ("a dog.", "a man.")] * 10


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "SECONDS", 0.02)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "seo_core"


@pytest.fixture
def folder(tiny_bert, tiny_tokenizer, tmp_path):
    """An artifact of standard operators, with check pairs."""
    pytest.importorskip("openvino")
    path = export_onnx(tiny_bert().eval(), tmp_path / "m.onnx", ExportConfig("fp32", operators="standard"))
    return artifact.save(tmp_path / "art", path, tiny_tokenizer, labels=NLI_LABELS, card=Card("tiny", check=PAIRS))


def slow(monkeypatch, slower):
    """A clock that only the runtimes' answers move, by three seconds those of `slower`, by one the other's."""
    now = [0.0]
    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    for runner in (OnnxRunner, OpenVinoRunner):

        def _run(self, batch, whole=runner._run, cost=3.0 if runner is slower else 1.0):
            now[0] += cost
            return whole(self, batch)

        monkeypatch.setattr(runner, "_run", _run)


def test_the_faster_one_is_taken_and_says_why(folder, monkeypatch, quick):
    slow(monkeypatch, OnnxRunner)
    answers = seo_core.load(folder).predict(PAIRS)
    model = seo_core.load(folder, engine="auto")
    assert isinstance(model, OpenVinoRunner) and model.engine.name == "openvino" and model.engine.ratio == 3
    assert model.engine.agreement == 1 and "of 30 check texts" in model.engine.why
    assert model.predict(PAIRS) == answers
    assert [json.loads(path.read_text())["name"] for path in quick.iterdir()] == ["openvino"]


def test_it_is_measured_once_a_machine(folder, monkeypatch, quick):
    slow(monkeypatch, OpenVinoRunner)
    first = seo_core.load(folder, engine="auto")
    assert isinstance(first, OnnxRunner) and first.engine.ratio == 0.333 and first.engine.agreement is None
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_measured", None)  # would fail if called
        assert seo_core.load(folder, engine="auto").engine == first.engine
        assert seo_core.load(folder, engine="auto", threads=first.threads).engine == first.engine
        with pytest.raises(TypeError):
            seo_core.load(folder, engine="auto", threads=first.threads + 1)
    for path in quick.iterdir():
        path.write_text("{}")
    assert seo_core.load(folder, engine="auto").engine.ratio is not None


def test_one_that_says_something_else_is_not_taken(folder, monkeypatch):
    slow(monkeypatch, OnnxRunner)
    whole = OpenVinoRunner._run
    monkeypatch.setattr(OpenVinoRunner, "_run", lambda self, batch: np.roll(whole(self, batch), 1, axis=1))
    model = seo_core.load(folder, engine="auto")
    assert isinstance(model, OnnxRunner) and model.engine.agreement == 0 and "on only 0.00% of 30" in model.engine.why


def test_where_nothing_can_be_kept_it_is_measured_each_time(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert seo_core.load(folder, engine="auto").engine.ratio > 0


def test_without_openvino_or_with_own_operators_it_stays(folder, tiny_artifact, tmp_path, monkeypatch):
    own = tiny_artifact(tmp_path / "own")
    assert "own operators" in seo_core.load(own, engine="auto").engine.why

    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    model = seo_core.load(folder, engine="auto")
    assert isinstance(model, OnnxRunner) and model.engine.why == "OpenVINO is not installed"


def test_an_installed_one_that_does_not_load_stays_out(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    model = seo_core.load(folder, engine="auto")
    assert isinstance(model, OnnxRunner) and model.engine.why.startswith("OpenVINO cannot be compared: ")


def test_an_engine_can_be_named_and_the_default_measures_nothing(folder, monkeypatch):
    monkeypatch.setattr(engine, "choose", None)  # would fail if called
    assert isinstance(seo_core.load(folder, engine="openvino"), OpenVinoRunner)
    model = seo_core.load(folder)
    assert isinstance(model, OnnxRunner) and model.engine is None
    with pytest.raises(SettingsError, match="engine must be one of onnxruntime, openvino, exact, auto"):
        seo_core.load(folder, engine="tensorrt")


def test_an_artifact_without_check_texts_is_checked_with_generated_ones(folder, tiny_tokenizer, monkeypatch):
    slow(monkeypatch, OnnxRunner)
    without = artifact.save(folder.parent / "without", folder / "model.onnx", tiny_tokenizer, labels=NLI_LABELS)
    assert "check" not in json.loads((without / "config.json").read_text())
    monkeypatch.setattr(engine, "PAIRS", 40)
    assert "of 40 check texts" in seo_core.load(without, engine="auto").engine.why


def test_check_texts_that_are_none_are_refused(folder, tiny_tokenizer):
    with pytest.raises(ArtifactError, match="check texts that the model cannot read"):
        artifact.save(folder.parent / "bad", folder / "model.onnx", tiny_tokenizer, labels=NLI_LABELS,
                      card=Card(check=("a single text",)))
    assert not (folder.parent / "bad").exists()


def test_scores_are_by_the_engine_that_was_asked_for(folder, tmp_path, monkeypatch):
    pd.DataFrame(PAIRS, columns=["premise", "hypothesis"]).to_parquet(tmp_path / "rows.parquet")
    labels = {}
    for name in ("onnxruntime", "openvino"):
        assert score(folder, tmp_path / "rows.parquet", tmp_path / name, engine=name).rows == len(PAIRS)
        labels[name] = pd.read_parquet(tmp_path / name)["label"].tolist()
        said = json.loads((tmp_path / name / SUMMARY).read_text())["job"].get("engine")
        assert said == (None if name == "onnxruntime" else "OpenVINO")
    assert labels["openvino"] == labels["onnxruntime"] == seo_core.load(folder).predict(PAIRS)
    with pytest.raises(ScoringError, match="by other choices"):
        score(folder, tmp_path / "rows.parquet", tmp_path / "openvino")
    slow(monkeypatch, OnnxRunner)
    assert score(folder, tmp_path / "rows.parquet", tmp_path / "openvino", engine="auto").rows == len(PAIRS)


@pytest.mark.slow
def test_a_server_says_which_engine_it_has_and_refuses_one_that_cannot(folder):
    with serving.running(folder, workers=1, engine="openvino") as server:
        assert httpx.get(f"{server.url}/model").json()["engine"] == "OpenVINO"
        pairs = [dict(zip(("premise", "hypothesis"), pair, strict=True)) for pair in PAIRS]
        answers = httpx.post(f"{server.url}/predict", json=pairs).json()
    assert [answer["label"] for answer in answers] == seo_core.load(folder).predict(PAIRS)
    with pytest.raises(serving.ServingError, match="error: .*has ONNX Runtime's own operators"), serving.running(
            ROOT / "book" / "artifacts" / "reference-small", engine="openvino"):
        pass


def test_those_that_come_with_the_book_run_on_onnx_runtime(monkeypatch):
    monkeypatch.setenv("SEO_BOOK", str(ROOT))
    for name in artifact.shipped():
        assert seo_core.load(name, engine="auto").engine.name == "onnxruntime"
