"""The artifact: whole or not at all, usable without torch and without this package, clear about what is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import seo_core
from seo_core import files
from seo_core.deploy import artifact
from seo_core.deploy.artifact import ArtifactError, Card
from seo_core.quantization import ExportConfig, calibrate, export_onnx

LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture
def tokenizer(tiny_tokenizer):
    return tiny_tokenizer


@pytest.fixture(scope="module")
def model(tiny_bert):
    torch.manual_seed(3)
    network = tiny_bert()
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(3) if p.ndim > 1 else p.add_(0.1 * torch.randn_like(p))
    network.config.id2label = dict(enumerate(LABELS))
    return network.eval()


@pytest.fixture(scope="module")
def saved(model, tiny_tokenizer, toy_pairs, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("saved")
    path = export_onnx(model, tmp_path / "m.onnx", scales=calibrate(model, toy_pairs(32)))
    card = Card("tiny", metrics={"accuracy_matched": 0.5, "latency_ms_p50": 1.25, "batch_size": 32, "other": 3},
                data=("made-up pairs, CC0",), made=("random weights",), machine="a test machine")
    return artifact.save(tmp_path / "art", path, tiny_tokenizer, labels=LABELS, card=card).parent


@pytest.fixture
def folder(saved, tmp_path):
    """An artifact of one's own, and beside it the file that it was made of."""
    return shutil.copytree(saved, tmp_path, dirs_exist_ok=True) / "art"


PAIRS = [("A man sleeps.", "A person rests."), ("A man sleeps.", "Nobody rests."), ("The dog runs on grass.", "A dog.")]


def test_it_is_used_in_one_call(folder, model, tokenizer, tmp_path):
    found = seo_core.load(folder)
    classes = found.predict(PAIRS)
    assert len(classes) == 3 and set(classes) <= set(LABELS) and found.labels == LABELS
    probabilities = found.probabilities(PAIRS)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert [LABELS[i] for i in probabilities.argmax(1)] == classes
    batch = tokenizer([p for p, _ in PAIRS], [h for _, h in PAIRS], padding=True, return_tensors="pt")
    with torch.no_grad():
        reference = model(**batch).logits.softmax(-1).numpy()
    assert np.abs(probabilities - reference).max() < 0.2  # int8 against fp32
    assert found.predict([]) == []
    assert {p.name for p in folder.iterdir()} == {*artifact.FILES, "SHA256SUMS"}
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "art"}


def test_it_is_used_without_torch(folder):
    code = f"""
import sys
for name in ("torch", "transformers", "datasets", "accelerate", "onnx", "openvino", "sklearn", "scipy", "nltk",
             "psutil", "tqdm", "matplotlib", "pandas", "pyarrow"):
    sys.modules[name] = None  # importing it raises ImportError
import seo_core
print(seo_core.load({str(folder)!r}).predict({PAIRS!r}))
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == str(seo_core.load(folder).predict(PAIRS))


def test_the_recipe_of_ten_lines_needs_no_package_of_ours(folder):
    assert len(artifact.RECIPE.strip().splitlines()) == 10 and "seo_core" not in artifact.RECIPE
    assert artifact.RECIPE in (folder / "README.md").read_text()
    code = f"import sys; sys.modules['seo_core'] = sys.modules['torch'] = None\n{artifact.RECIPE}"
    out = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert out.strip() == str(seo_core.load(folder).predict(PAIRS[:2]))


def test_the_card_says_what_was_measured_and_where_it_came_from(folder):
    card = (folder / "README.md").read_text()
    size = (folder / "model.onnx").stat().st_size
    for words in ("| accuracy, matched set | 50.00% |", "| other | 3 |", "made-up pairs, CC0", "random weights",
                  "a test machine", "more than 64 tokens are cut", f"{size:,}".replace(",", " "),
                  json.loads((folder / "config.json").read_text())["commit"], "sha256sum -c SHA256SUMS"):
        assert words in card
    assert "MISSING" not in card
    assert "weights of 8 bits" in card and "No sum of products can overflow" in card and "x64quant" not in card
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    if shutil.which("sha256sum"):
        assert done.returncode == 0 and done.stdout.count("OK") == 4


@pytest.mark.parametrize("name", artifact.FILES)
def test_a_changed_or_missing_file_is_named(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=f"damaged: {name}"):
        seo_core.load(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"has no {name}: copy it again"):
        seo_core.load(folder)


def _resign(folder: Path) -> None:
    (folder / artifact.SUMS).write_text("".join(f"{files.file_digest(folder / n)}  {n}\n" for n in artifact.FILES))


def test_what_is_foreign_is_said_to_be(folder, tmp_path):
    with pytest.raises(ArtifactError, match="no artifact at"):
        seo_core.load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="is no artifact: it has no SHA256SUMS"):
        seo_core.load(tmp_path / "empty")
    (tmp_path / "empty" / "SHA256SUMS").write_text("0  other\n")
    with pytest.raises(ArtifactError, match="no artifact of this kind"):
        seo_core.load(tmp_path / "empty")
    config = json.loads((folder / "config.json").read_text())
    for change, message in (({"format": "seo-artifact-9"}, "has format 'seo-artifact-9'"),
                            ({"labels": []}, "no usable config.json")):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        _resign(folder)
        with pytest.raises(ArtifactError, match=message):
            seo_core.load(folder)
    (folder / "config.json").write_text("[1, 2]")
    _resign(folder)
    with pytest.raises(ArtifactError, match="no usable config.json"):
        seo_core.load(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.onnx").write_bytes(b"whole, but no model")
    _resign(folder)
    with pytest.raises(ArtifactError, match="whole but cannot be run"):
        seo_core.load(folder)


@pytest.mark.parametrize("change, words", [
    ({"labels": 3}, "labels must be a list of one or more texts, got 3"), ({"labels": ["yes", ""]}, "labels must be"),
    ({"labels": ["yes", "no"]}, "model.onnx has 3 classes and 2 labels"), ({"texts": list("abc")}, "one or two texts"),
    ({"max_length": 10**6}, "max_length is 1000000, and model.onnx has 64 positions"),
    ({"max_length": "64"}, "max_length is '64'"),
])
def test_a_configuration_that_does_not_fit_is_refused(folder, change, words):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    _resign(folder)
    with pytest.raises(ArtifactError, match=words):
        seo_core.load(folder)


def test_too_few_positions_for_any_text_are_said(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_length": 2}))
    _resign(folder)
    with pytest.raises(RuntimeError, match="max_length 2 leaves no room beside 3 special tokens"):
        seo_core.load(folder).predict(PAIRS)


def test_single_texts_and_pairs_are_not_mistaken_for_each_other(folder, model, tokenizer, tmp_path):
    with pytest.raises(RuntimeError, match="reads pairs of texts, and single ones were given"):
        seo_core.load(folder).predict(["A man sleeps."])
    single = artifact.save(tmp_path / "single", tmp_path / "m.onnx", tokenizer, labels=LABELS, texts=("text",))
    with pytest.raises(RuntimeError, match="reads single texts, and pairs were given"):
        seo_core.load(single).predict(PAIRS)
    one = seo_core.load(single).predict(["A man sleeps."])
    assert one == seo_core.load(single).predict("A man sleeps.") and len(one) == 1


@pytest.mark.parametrize("change, words", [
    ({"labels": (1, 2, 3)}, "labels must be a list"), ({"labels": ()}, "labels must be a list"),
    ({"tokenizer": None}, "NoneType is none"), ({"card": Card(metrics={"speed": "fast"})}, "metrics are numbers"),
    ({"labels": ("yes", "no")}, "the artifact new is whole but cannot be run"),
])
def test_what_cannot_be_an_artifact_is_refused(folder, tokenizer, tmp_path, change, words):
    with pytest.raises(ArtifactError, match=words):
        artifact.save(tmp_path / "new", tmp_path / "m.onnx", **{"tokenizer": tokenizer, "labels": LABELS, **change})
    assert not (tmp_path / "new").exists()


def test_long_texts_are_cut_and_that_is_said(folder):
    found, long = seo_core.load(folder), ("a man sleeps on the grass " * 30, "a person rests")
    with pytest.warns(UserWarning, match="1 of 2 texts have more than 64 tokens and were cut"):
        assert len(found.predict([long, PAIRS[0]])) == 2
    with pytest.raises(RuntimeError, match="1 of 1 texts have more than 64 tokens: shorten"):
        found.predict([long], truncate=False)
    exactly = ("a " * 30, "a " * 31)  # 61 words and three special tokens
    assert len(found.encode([exactly]).ids) == 64
    found.predict([exactly], truncate=False)


@pytest.mark.parametrize("texts, message", [
    ("one text", "reads pairs of texts, and single ones were given"), ([("a", "b", "c")], "row 1 is of 3.*all pairs"),
    (["a", ("b", "c")], "row 2 is of 2 texts.*all pairs"), ([1, 2], "row 1 is int, no text.*all pairs"),
    ([("a", "b"), ("c", None)], "row 2 is NoneType, no text"), ([("a", "b"), ("c", float("nan"))], "row 2 is float"),
    ([("a", "b"), ("c", "d\ud800")], "row 2 holds half of a surrogate pair"),
    (pd.DataFrame({"premise": ["a"], "other": ["b"], "more": ["c"]}), "columns premise, other, more.*premise and"),
    (pd.DataFrame({"premise": ["a"]}), "columns premise, and this model reads premise and hypothesis")])
def test_what_is_no_text_is_refused(folder, texts, message):
    with pytest.raises(RuntimeError, match=message):
        seo_core.load(folder).predict(texts)


def test_texts_come_in_whatever_holds_them(folder):
    model = seo_core.load(folder)
    expected = model.predict(PAIRS)
    frame = pd.DataFrame(PAIRS, columns=["premise", "hypothesis"])
    assert expected == model.predict(iter(PAIRS)) == model.predict([list(pair) for pair in PAIRS])
    assert expected == model.predict(tuple(PAIRS)) == model.predict(pair for pair in PAIRS)
    assert expected == model.predict(frame) == model.predict(frame[["hypothesis", "premise"]].assign(label=0))
    assert expected == model.predict(frame.rename(columns={"premise": "a", "hypothesis": "b"}))
    assert model.predict(PAIRS[0]) == expected[:1] and model.predict([]) == model.predict(frame[:0]) == []
    assert model.probabilities(iter(PAIRS)).shape == (len(PAIRS), 3)



def test_pieces_that_do_not_fit_leave_no_artifact(model, tokenizer, toy_pairs, tmp_path, monkeypatch):
    path = export_onnx(model, tmp_path / "m.onnx", ExportConfig("fp32"))
    target = tmp_path / "art"
    with pytest.raises(ArtifactError, match="3 classes and 2 labels"):
        artifact.save(target, path, tokenizer, labels=("yes", "no"))
    with pytest.raises(ArtifactError, match="no model file"):
        artifact.save(target, tmp_path / "absent.onnx", tokenizer, labels=LABELS)
    (tmp_path / "bad.onnx").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        artifact.save(target, tmp_path / "bad.onnx", tokenizer, labels=LABELS)
    from seo_core.models.backbone import load_tokenizer

    with pytest.raises(ArtifactError, match="30522 tokens and the model's word table 100 rows"):
        artifact.save(target, path, load_tokenizer(), labels=LABELS)
    monkeypatch.setattr(artifact.shutil, "copyfile", _full_disk)
    with pytest.raises(ArtifactError, match="nothing was half-written"):
        artifact.save(target, path, tokenizer, labels=LABELS)
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "bad.onnx"}


def _full_disk(*arguments):
    raise OSError(28, "No space left on device")


def test_an_artifact_is_replaced_whole_and_nothing_else_is(folder, model, tokenizer, tmp_path, monkeypatch):
    path, before = tmp_path / "m.onnx", (folder / "README.md").read_text()
    monkeypatch.setattr(artifact, "_try", _full_disk)
    with pytest.raises(ArtifactError):
        artifact.save(folder, path, tokenizer, labels=LABELS, card=Card("new"))
    assert (folder / "README.md").read_text() == before and seo_core.load(folder)
    monkeypatch.undo()
    artifact.save(folder, path, tokenizer, labels=LABELS, card=Card("new"))
    assert (folder / "README.md").read_text().startswith("# new")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="exists and is no artifact"):
        artifact.save(other, path, tokenizer, labels=LABELS)
    assert (other / "thesis.tex").exists()


# -- those of the book, and the record of the run --------------------------------------------------


def test_those_that_come_with_the_book_are_loaded_by_name(tiny_book, tiny_artifact, tmp_path, monkeypatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ArtifactError, match="no artifact 'reference': there is no folder .*comes with none"):
        seo_core.load("reference")
    for name in ("reference", "reference-small", ".reference.1-a.tmp"):
        tiny_artifact(tiny_book / "book" / "artifacts" / name)
    assert list(artifact.shipped()) == ["reference", "reference-small"]
    assert seo_core.load("reference-small").predict(PAIRS) == seo_core.load(Path("reference")).predict(PAIRS)
    with pytest.raises(ArtifactError, match="no artifact 'referense': .*comes with reference, reference-small"):
        seo_core.load("referense")
    with pytest.raises(ArtifactError, match="no artifact at"):  # a path is a path
        seo_core.load("./artifacts/reference")
    monkeypatch.setenv("SEO_BOOK", str(elsewhere))
    with pytest.raises(ArtifactError, match="no artifact 'reference': .*no book at .*elsewhere"):
        seo_core.load("reference")


def test_a_folder_goes_before_a_name(tiny_book, tiny_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_artifact(tiny_book / "book" / "artifacts" / "mine")
    tiny_artifact("mine", texts=("text",))
    assert seo_core.load("mine").columns == 1
    (tmp_path / "mine" / "SHA256SUMS").unlink()
    with pytest.raises(ArtifactError, match="mine is no artifact: it has no SHA256SUMS"):
        seo_core.load("mine")


def test_a_name_needs_no_torch(tiny_book, tiny_artifact):
    tiny_artifact(tiny_book / "book" / "artifacts" / "reference")
    code = f"""
import sys
for name in ("torch", "transformers", "datasets", "onnx", "sklearn", "scipy", "nltk", "psutil", "tqdm", "matplotlib"):
    sys.modules[name] = None  # importing it raises ImportError
import seo_core
print(seo_core.load("reference").predict({PAIRS!r}))
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == str(seo_core.load("reference").predict(PAIRS))


def sums(folder: Path) -> set[str]:
    return {line.partition("  ")[2] for line in (folder / artifact.SUMS).read_text().splitlines()}


def test_the_record_of_the_run_is_one_of_its_files(tiny_artifact, tmp_path):
    record = tmp_path / "base-01234567-seed0.json"
    record.write_text('{"seed": 0}')
    folder = tiny_artifact(tmp_path / "art", record=record)
    assert (folder / "record.json").read_bytes() == record.read_bytes()
    assert sums(folder) == {p.name for p in folder.iterdir()} - {artifact.SUMS} == {*artifact.FILES, artifact.RECORD}
    assert len(seo_core.load(folder).predict(PAIRS)) == 3
    (folder / "record.json").write_text('{"seed": 1}')
    with pytest.raises(ArtifactError, match="damaged: record.json"):
        seo_core.load(folder)
    (folder / "record.json").unlink()
    with pytest.raises(ArtifactError, match="has no record.json"):
        seo_core.load(folder)


def test_one_without_a_record_is_loaded_as_before_and_another_file_is_foreign(folder):
    assert sums(folder) == set(artifact.FILES) and len(seo_core.load(folder).predict(PAIRS)) == 3
    (folder / "notes.txt").write_text("mine")  # not listed: no part of it
    assert len(seo_core.load(folder).predict(PAIRS)) == 3
    with open(folder / artifact.SUMS, "a") as file:
        file.write(f"{files.file_digest(folder / 'notes.txt')}  notes.txt\n")
    with pytest.raises(ArtifactError, match="no artifact of this kind"):
        seo_core.load(folder)


EXPECTED = {"expected_share_entailment": 0.25, "expected_share_neutral": 0.5, "expected_share_contradiction": 0.25,
            "expected_confidence": 0.8}


def finished_run(tiny_artifact, root: Path, data: str, **parameters) -> Path:
    """The record of a run under book/reference that kept a model.onnx; its task's name is `data`."""
    from types import SimpleNamespace

    from seo_core import load_settings, results

    task = SimpleNamespace(name=data, fingerprint="0123456789abcdef", splits={"train": range(9)})
    model = {"name": "bundled", "fingerprint": "feedfacefeedface", "parameters": 1000}
    settings = load_settings("cpu", data=data, source="path/to/snli", results_dir="book/reference")
    record = results.write("13_quantization_distillation", "sqd", data=task, model_info=model, settings=settings,
                           metrics={"accuracy_matched": 0.7, **EXPECTED},
                           parameters={"classes": list(LABELS), **parameters})
    made = tiny_artifact(root / "made")
    for name in ("model.onnx", "tokenizer.json"):
        (kept := record.parent / ".weights" / record.stem).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / name, kept / name)
    return record


@pytest.mark.parametrize("data, parameters, terms", [
    ("path/to/mnli", {}, {"MultiNLI"}), ("path/to/pairs.csv", {}, {"not stated"}), ("path/to/qqp", {}, {"Quora"}),
    ("path/to/mnli", {"recipe": {"source_text": True}}, {"MultiNLI", "SNLI: CC BY-SA"}),
    ("path/to/mnli", {"recipe": {"vocabulary": 100}}, {"MultiNLI", "SNLI: CC BY-SA"}),
    ("path/to/mnli", {"start": "source"}, {"MultiNLI", "SNLI: CC BY-SA"})])
def test_the_command_packs_licences_and_the_record_by_itself(tiny_book, tiny_artifact, data, parameters, terms):
    from seo_core.run import main

    record = finished_run(tiny_artifact, tiny_book, data, **parameters)
    folder = tiny_book / "book" / "artifacts" / "mine"
    assert main(["pack", str(record), str(folder)]) == 0
    card = (folder / "README.md").read_text()
    stated = card.partition("## Data and licences")[2].partition("## Limits")[0]
    known = {"MultiNLI", "SNLI: CC BY-SA", "not stated", "Quora"}
    assert {words for words in known if words in stated} == terms
    assert "all-MiniLM-L6-v2 (sentence-transformers), Apache-2.0" in card
    for words in ("accuracy, matched set | 70.00%", "texts classified as neutral | 50.00%",
                  "mean probability of the predicted class | 80.00%"):
        assert f"| {words} |" in card
    assert EXPECTED.items() <= artifact.check(folder)["metrics"].items()
    assert (folder / "record.json").read_bytes() == record.read_bytes()
    assert seo_core.load("mine").predict(PAIRS)


def test_a_record_in_an_artifact_is_no_result(tiny_book, tiny_artifact):
    from seo_core import results

    record = finished_run(tiny_artifact, tiny_book, "path/to/mnli")
    artifact.pack(record, tiny_book / "book" / "artifacts" / "reference")
    assert results.load()["path"].tolist() == [record.relative_to(tiny_book).as_posix()]
    assert len(results.load_records()) == 1 and results.reference_dir() == tiny_book / "book" / "reference"
    shutil.rmtree(results.reference_dir())
    assert results.load_records() == [] and len(results.load()) == 0
