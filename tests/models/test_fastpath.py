"""The fast forward pass computes what Hugging Face's computes; its dropout is dropout."""

import numpy as np
import pytest
import torch
from batches import random_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.models.fastpath import ByteDropout, FastBertClassifier, supports


@pytest.mark.parametrize("first_token_only", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_logits_and_gradients_equal_the_stock_forward(tiny_bert, first_token_only, layers):
    model = tiny_bert(dropout=0.0, layers=layers).train()
    fast = FastBertClassifier(model, first_token_only=first_token_only).train()
    batch, labels = random_batch(), torch.tensor([0, 1, 2, 0, 1, 2])

    found = {}
    for name, network in (("stock", model), ("fast", fast)):
        model.zero_grad()
        out = network(**batch)
        logits = out if name == "fast" else out.logits
        torch.nn.functional.cross_entropy(logits, labels).backward()
        found[name] = logits.detach(), {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}

    torch.testing.assert_close(found["fast"][0], found["stock"][0], atol=1e-5, rtol=1e-5)
    assert found["fast"][1].keys() == found["stock"][1].keys()
    for name, gradient in found["stock"][1].items():
        torch.testing.assert_close(found["fast"][1][name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_gradients_in_bf16_are_those_in_fp32_but_for_rounding(tiny_bert):
    model = tiny_bert(dropout=0.0, layers=3).train()
    batch, labels, found = random_batch(rows=12), torch.tensor([0, 1, 2] * 4), {}
    for dtype in (torch.float32, torch.bfloat16):
        model.zero_grad()
        logits = FastBertClassifier(model, dtype=dtype).train()(**batch)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        found[dtype] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    whole, half = found.values()
    assert torch.nn.functional.cosine_similarity(whole, half, dim=0) > 0.999
    assert abs(float(half.norm() / whole.norm()) - 1) < 0.02


def test_bundled_model_gives_the_stock_logits():
    from seo_core.models.backbone import load_backbone

    model, tokenizer = load_backbone(seed=1)
    model.eval()
    batch = tokenizer(["A man plays a guitar.", "Rain."], ["Someone makes music.", "It is dry outside, they say."],
                      padding=True, return_tensors="pt")
    with torch.no_grad():
        stock, fast = model(**batch).logits, FastBertClassifier(model).eval()(**batch)
        half = FastBertClassifier(model, dtype=torch.bfloat16).eval()(**batch)
    torch.testing.assert_close(fast, stock, atol=1e-5, rtol=1e-5)
    assert (half - stock).abs().max() < 0.05


def test_padding_does_not_reach_the_logits(tiny_bert):
    fast = FastBertClassifier(tiny_bert()).eval()
    batch = random_batch()
    other = {**batch, "input_ids": torch.where(batch["attention_mask"] == 1, batch["input_ids"], 77)}
    with torch.no_grad():
        torch.testing.assert_close(fast(**batch), fast(**other), atol=1e-6, rtol=1e-6)


def test_unknown_architecture_is_refused(tiny_bert):
    model = tiny_bert()
    model.config.hidden_act = "relu"
    assert not supports(model)
    with pytest.raises(ValueError, match="fast=False"):
        FastBertClassifier(model)


@settings(max_examples=25, deadline=None)
@given(p=st.floats(0.02, 0.9), seed=st.integers(0, 2**32), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_dropout_drops_p_and_keeps_the_mean(p, seed, dtype):
    n = 200_000
    y = ByteDropout(seed)(torch.ones(n, dtype=dtype), p).float()
    dropped = (y == 0).float().mean().item()
    assert abs(dropped - p) < 5 * np.sqrt(p * (1 - p) / n)
    kept = y[y != 0]
    assert kept.unique().numel() == 1
    assert abs(kept[0].item() * (1 - p) - 1) < (0.01 if dtype == torch.bfloat16 else 1e-3)


def test_dropout_masks_follow_the_state():
    x, source = torch.ones(37, 5), ByteDropout(3)
    source(x, 0.5)
    state = source.state_dict()
    expected = [source(x, 0.3) for _ in range(3)]
    other = ByteDropout(99)
    other.load_state_dict(state)
    for mask in expected:
        torch.testing.assert_close(other(x, 0.3), mask)
    assert not torch.equal(ByteDropout(4)(x, 0.3), ByteDropout(5)(x, 0.3))


def test_dropout_is_off_in_evaluation(tiny_bert):
    fast = FastBertClassifier(tiny_bert(dropout=0.5)).eval()
    with torch.no_grad():
        torch.testing.assert_close(fast(**random_batch()), fast(**random_batch()))
