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
WORDS = ["a", "man", "sleeps", "person", "rests", "nobody", "the", "dog", "runs", "on", "grass"]


@pytest.fixture(scope="module")
def tokenizer():
    """A WordPiece tokenizer of a hundred tokens, as a Hugging Face object."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS, *letters[1:], *(f"##{c}" for c in letters)]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(dict.fromkeys(tokens))}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")


@pytest.fixture
def model(tiny_bert):
    torch.manual_seed(3)
    network = tiny_bert()
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(3) if p.ndim > 1 else p.add_(0.1 * torch.randn_like(p))
    network.config.id2label = dict(enumerate(LABELS))
    return network.eval()


@pytest.fixture
def folder(model, tokenizer, toy_pairs, tmp_path):
    path = export_onnx(model, tmp_path / "m.onnx", scales=calibrate(model, toy_pairs(32)))
    card = Card("tiny", metrics={"accuracy_matched": 0.5, "latency_ms_p50": 1.25, "batch_size": 32, "other": 3},
                data=("made-up pairs, CC0",), made=("random weights",), machine="a test machine")
    return artifact.save(tmp_path / "art", path, tokenizer, labels=LABELS, card=card)


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
             "psutil", "tqdm", "matplotlib"):
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
    assert "weights of 7 bits" in card and "No sum of products can overflow" in card and "x64quant" not in card
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
    assert len(seo_core.load(single).predict(["A man sleeps."])) == 1


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
