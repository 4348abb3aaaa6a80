"""The compact BERT: its sizes, its forward pass, and that every process which imports seo_core can load it."""

import subprocess
import sys

import pytest
import torch
from batches import random_batch

from seo_core.models import backbone
from seo_core.models.compact import CompactBertForSequenceClassification, compact_config
from seo_core.models.fastpath import FastBertClassifier, supports


@pytest.fixture
def compact(tiny_bert):
    """A function making a random compact BERT: by default 3 and 1 heads of 8 dimensions, 20 and 7 neurons."""

    def make(heads=(3, 1), neurons=(20, 7), dropout=0.0, seed=0):
        config = compact_config(tiny_bert(dropout=dropout).config, list(heads), list(neurons))
        torch.manual_seed(seed)
        return CompactBertForSequenceClassification(config)

    return make


def test_layers_have_the_sizes_asked_for_and_stock_names(compact, tiny_bert):
    model, stock = compact(), tiny_bert()
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in stock.named_parameters()]
    first = model.bert.encoder.layer[0]
    assert first.attention.self.query.weight.shape == (24, 32)
    assert first.attention.output.dense.weight.shape == (32, 24)
    assert first.intermediate.dense.weight.shape == (20, 32) and first.output.dense.weight.shape == (32, 20)
    assert model.config.id2label == stock.config.id2label and model.config.num_labels == 3


def test_full_sizes_are_the_stock_network(tiny_bert):
    stock = tiny_bert(dropout=0.0).eval()
    model = CompactBertForSequenceClassification(compact_config(stock.config, [4, 4], [64, 64])).eval()
    model.load_state_dict(stock.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(**random_batch()).logits, stock(**random_batch()).logits, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("heads, neurons", [((3, 1), (20, 7)), ((1,), (3,)), ((4, 2, 1), (64, 1, 9))])
def test_fast_forward_and_gradients_equal_the_stock_forward(compact, heads, neurons):
    model = compact(heads, neurons).train()
    assert supports(model)
    fast, labels = FastBertClassifier(model).train(), torch.tensor([0, 1, 2, 0, 1, 2])
    found = {}
    for name, forward in (("stock", lambda b: model(**b).logits), ("fast", lambda b: fast(**b))):
        model.zero_grad()
        logits = forward(random_batch())
        torch.nn.functional.cross_entropy(logits, labels).backward()
        found[name] = [logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]
    for stock, quick in zip(found["stock"], found["fast"], strict=True):
        torch.testing.assert_close(quick, stock, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("heads, neurons", [((0, 1), (4, 4)), ((1, 1, 1), (4, 4)), ((1, 1), (4, 0))])
def test_impossible_sizes_are_refused(tiny_bert, heads, neurons):
    config = compact_config(tiny_bert().config, list(heads), list(neurons))
    config.num_hidden_layers = 2
    with pytest.raises(ValueError, match="at least 1, one for each layer"):
        CompactBertForSequenceClassification(config)


_ORDERS = {
    "ours first": "import seo_core; from transformers import AutoModelForSequenceClassification as A",
    "transformers first": "from transformers import AutoModelForSequenceClassification as A; import seo_core",
    "the network's module first": "import seo_core, transformers.models.bert.modeling_bert; "
                                  "from transformers import AutoModelForSequenceClassification as A",
}


@pytest.mark.slow
def test_reloads_in_a_fresh_process_with_equal_logits(compact, tmp_path):
    model = compact().eval()
    model.save_pretrained(tmp_path / "out", safe_serialization=True)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    batch = random_batch()
    with torch.no_grad():
        expected = model(**batch).logits
    torch.save(batch, tmp_path / "batch.pt")
    script = ("; import sys, torch; m = A.from_pretrained(sys.argv[1]).eval(); b = torch.load(sys.argv[2]); "
              "print(type(m).__name__, m.config.layer_heads, m.config.layer_ffn); "
              "print(*m(**b).logits.flatten().tolist())")
    runs = {order: subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", imports + script, str(tmp_path / "out"), str(tmp_path / "batch.pt")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for order, imports in _ORDERS.items()}
    for order, process in runs.items():
        out, error = process.communicate(timeout=300)
        assert process.returncode == 0, (order, error)
        kind, logits = out.strip().splitlines()[-2:]
        assert kind == "CompactBertForSequenceClassification [3, 1] [20, 7]"
        found = torch.tensor([float(v) for v in logits.split()]).view(6, 3)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_importing_the_package_imports_nothing_heavy():
    script = ("import sys, seo_core; "
              "print(*sorted({'torch', 'transformers', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_load_backbone_reads_a_compact_folder_and_keeps_its_first_layers(tmp_path):
    base, tokenizer = backbone.load_backbone(layers=2, seed=3)
    config = compact_config(base.config, [5, 2], [100, 33])
    folder = backbone.save(CompactBertForSequenceClassification(config), tokenizer, tmp_path / "compact")
    model, again = backbone.load_backbone(str(folder))
    assert model.config.layer_heads == [5, 2] and again("one text")["input_ids"] == tokenizer("one text")["input_ids"]
    first, _ = backbone.load_backbone(str(folder), layers=1)
    assert first.config.layer_ffn == [100]
    torch.testing.assert_close(first.bert.encoder.layer[0].output.dense.weight,
                               model.bert.encoder.layer[0].output.dense.weight)
