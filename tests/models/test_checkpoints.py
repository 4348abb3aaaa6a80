"""Checkpoints of others: read as they are meant, or refused with what is wrong and what to do."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from seo_core.models import backbone
from seo_core.models.backbone import ModelError, head_of, load_backbone, load_tokenizer

NAMES = ("entailment", "neutral", "contradiction")


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A checkpoint of a small network with named classes, and a tokenizer."""
    model = tiny_bert()
    model.config.id2label, model.config.label2id = dict(enumerate(NAMES)), {name: i for i, name in enumerate(NAMES)}
    return backbone.save(model, load_tokenizer(), tmp_path / "checkpoint")


def edit(folder, change):
    """Write the checkpoint's tensors again, as `change` returns them."""
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors", metadata={"format": "pt"})


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor([[1, 7, 9, 2]])).logits[0]


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (0, 1, 2)])
def test_a_head_with_its_classes_in_another_order_says_what_it_said(folder, order):
    before, _ = load_backbone(str(folder))
    labels = tuple(NAMES[i].upper() if i == 0 else NAMES[i] for i in order)
    after, _ = load_backbone(str(folder), labels=labels)
    assert not hasattr(after, "fresh_head")
    torch.testing.assert_close(logits(after), logits(before)[list(order)])
    assert [after.config.id2label[i] for i in range(3)] == list(labels)


def test_a_head_of_other_classes_is_replaced_by_a_fresh_one(folder):
    before, _ = load_backbone(str(folder))
    first, second = (load_backbone(str(folder), labels=("no", "maybe", "yes"), seed=3)[0] for _ in range(2))
    assert first.fresh_head and not torch.equal(head_of(first).weight, head_of(before).weight)
    assert torch.equal(head_of(first).weight, head_of(second).weight)
    assert torch.equal(first.bert.pooler.dense.weight, before.bert.pooler.dense.weight)


def test_a_head_without_names_is_taken_in_the_order_given(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {i: f"LABEL_{i}" for i in range(3)}, "label2id": {f"LABEL_{i}": i for i in range(3)}}
    (folder / "config.json").write_text(json.dumps(config))
    before, after = load_backbone(str(folder))[0], load_backbone(str(folder), labels=NAMES)[0]
    assert torch.equal(logits(before), logits(after))


def test_a_folder_without_a_tokenizer_is_refused(folder):
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(ModelError, match="(?s)checkpoint' has no tokenizer.*save_pretrained"):
        load_backbone(str(folder))


def test_names_with_the_prefix_of_a_wrapper_are_refused(folder):
    edit(folder, lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match=r"lacks \d+ of the encoder's tensors.*module\..*DataParallel"):
        load_backbone(str(folder))


def test_an_encoder_that_does_not_match_its_configuration_is_refused(folder):
    edit(folder, lambda tensors: {name: tensor[:-1].clone() if "intermediate.dense.weight" in name else tensor
                                  for name, tensor in tensors.items()})
    with pytest.raises(ModelError, match="intermediate.dense.weight.*config.json"):
        load_backbone(str(folder))


def test_a_tensor_of_the_encoder_that_is_missing_is_named(folder):
    edit(folder, lambda tensors: {name: tensor for name, tensor in tensors.items()
                                  if name != "bert.encoder.layer.1.output.LayerNorm.bias"})
    with pytest.raises(ModelError, match=r"lacks 1 of the encoder's tensors.*layer\.1\.output\.LayerNorm\.bias"):
        load_backbone(str(folder))


def test_a_checkpoint_without_pooler_or_head_gets_them_from_the_seed(folder):
    edit(folder, lambda tensors: {name: t for name, t in tensors.items() if "pooler" not in name and
                                  not name.startswith("classifier")})
    first, second, other = (load_backbone(str(folder), seed=seed)[0] for seed in (1, 1, 2))
    assert first.fresh_head and torch.equal(logits(first), logits(second))
    assert not torch.equal(first.bert.pooler.dense.weight, other.bert.pooler.dense.weight)


def test_weights_in_half_precision_become_fp32(folder):
    edit(folder, lambda tensors: {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    model, _ = load_backbone(str(folder))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_layers_that_share_weights_are_refused_with_what_to_do(tiny_bert, tmp_path):
    model = tiny_bert()
    model.bert.encoder.layer[1] = model.bert.encoder.layer[0]
    with pytest.raises(ModelError, match="share their weights.*copy.deepcopy"):
        backbone.save(model, load_tokenizer(), tmp_path / "shared")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_compact_network_says_what_to_import(tiny_bert, tmp_path):
    from seo_core.pruning import structured

    model = structured.remove(tiny_bert(), heads={0: [0]})
    saved = backbone.save(model, load_tokenizer(), tmp_path / "compact")
    assert "import seo_core" in (saved / "README.md").read_text()
    code = ("from transformers import AutoModelForSequenceClassification as Auto\n"
            f"try:\n    Auto.from_pretrained({str(saved)!r})\nexcept ValueError as error:\n    print(error)")
    printed = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True).stdout
    assert "import seo_core first" in printed


def test_a_compact_network_of_an_earlier_version_is_read(tiny_bert, tmp_path):
    from transformers import AutoModelForSequenceClassification

    from seo_core.pruning import structured

    saved = backbone.save(structured.remove(tiny_bert(), heads={0: [0]}), None, tmp_path / "compact")
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "model_type": "compact_bert"}))
    assert AutoModelForSequenceClassification.from_pretrained(saved).config.layer_heads == config["layer_heads"]


def test_without_torch_the_message_names_the_extra(tmp_path):
    code = ("import sys; sys.modules['torch'] = None\n"
            "from seo_core.models.backbone import load_backbone\n"
            "try:\n    load_backbone()\nexcept RuntimeError as error:\n    print(type(error).__name__, error)")
    printed = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True).stdout
    assert printed.startswith("ModelError") and '".[train]"' in printed and "seo_core.load" in printed
    shutil.rmtree(tmp_path)
