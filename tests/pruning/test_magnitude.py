"""Magnitude pruning: exactly the smallest go, they stay away through training, and the file does not shrink."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.evaluation import predict
from seo_core.pruning import KeepMasks, PruningError, masks_by_magnitude, prune, sparsity, stored_bytes
from seo_core.pruning.magnitude import apply, matrices
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=1e-3, epochs=1, batch_size=16, precision="fp32", freeze_embeddings=False)


@pytest.fixture(scope="module")
def network():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, num_labels=3))


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 0.999), scope=st.sampled_from(["global", "layer"]), embeddings=st.booleans())
def test_exactly_the_smallest_share_goes(network, share, scope, embeddings):
    masks, weights = masks_by_magnitude(network, share, scope=scope, embeddings=embeddings), matrices(
        network, embeddings=embeddings)
    assert masks.keys() == weights.keys()
    groups = [list(masks)] if scope == "global" else [[name] for name in masks]
    for names in groups:
        kept = torch.cat([masks[n].flatten() for n in names])
        sizes = torch.cat([weights[n].detach().abs().flatten() for n in names])
        assert int((~kept).sum()) == math.floor(share * len(kept) + 1e-9)
        if not kept.all():
            assert sizes[~kept].max() <= sizes[kept].min()


def test_the_head_biases_and_norms_are_left_alone(network):
    names = set(matrices(network))
    assert "bert.encoder.layer.1.output.dense.weight" in names and len(names) == 2 * 6
    assert not any(part in n for n in names for part in ("classifier", "pooler", "LayerNorm", "bias", "embeddings"))
    assert "bert.embeddings.word_embeddings.weight" in matrices(network, embeddings=True)


def test_a_small_pooler_is_not_the_first_to_go(tiny_bert, toy_pairs):
    """It is the only way to the classifier: without it every pair gets the same logits."""
    model = tiny_bert()
    with torch.no_grad():
        model.bert.pooler.dense.weight.mul_(0.1)  # smaller than the encoder's, as one that has hardly been trained
    prune(model, 0.6)
    assert model.bert.pooler.dense.weight.all()
    assert predict(model, toy_pairs()).std(axis=0).min() > 1e-6


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, math.nan, "half", True])
def test_an_impossible_sparsity_is_refused(tiny_bert, share):
    model = tiny_bert()
    before = {n: p.clone() for n, p in model.named_parameters()}
    with pytest.raises(PruningError, match="0 or more and below 1"):
        prune(model, share)
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())


def test_unknown_scope_and_foreign_masks(tiny_bert):
    with pytest.raises(PruningError, match="not Linear: pass the whole network"):
        prune(torch.nn.Linear(2, 2), 0.5)
    with pytest.raises(PruningError, match="did you mean 'global'"):
        prune(tiny_bert(), 0.5, scope="globel")
    with pytest.raises(PruningError, match="does not fit this network"):
        apply(tiny_bert(layers=1), masks_by_magnitude(tiny_bert(layers=2), 0.5))


@pytest.mark.trains
def test_masks_outlive_fine_tuning_and_without_the_callback_they_do_not(tiny_bert, toy_pairs):
    for callbacks, share in ((True, 0.6), (False, 0.0)):
        model = tiny_bert()
        masks = prune(model, 0.6)
        fit(model, toy_pairs(), config=CONFIG, callbacks=[KeepMasks(masks)] if callbacks else [], progress=False)
        assert sparsity(model)["share"] == pytest.approx(share, abs=0.01)
        if callbacks:
            for name, weight in matrices(model).items():
                assert not weight[~masks[name]].any() and weight[masks[name]].any()


@pytest.mark.trains
def test_a_resumed_fine_tuning_keeps_the_masks(tiny_bert, toy_pairs, tmp_path):
    model = tiny_bert()
    masks = prune(model, 0.5)

    def kill(event, state):
        if event == "step" and state.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, toy_pairs(), config=CONFIG, callbacks=[KeepMasks(masks), kill], checkpoint_dir=tmp_path,
            progress=False)
    model = tiny_bert()  # as a new process has it, before the pruning is repeated
    masks = prune(model, 0.5)
    found = fit(model, toy_pairs(), config=CONFIG, callbacks=[KeepMasks(masks)], checkpoint_dir=tmp_path,
                progress=False)
    assert found.metrics["train_examples"] == 96
    assert sparsity(model)["share"] == pytest.approx(0.5, abs=1e-3)


def test_the_file_does_not_shrink_and_the_packed_bytes_do(tiny_bert, tmp_path):
    sizes = []
    for share in (0.0, 0.9):
        model = tiny_bert()
        prune(model, share)
        model.save_pretrained(tmp_path / str(share))
        sizes.append(((tmp_path / str(share) / "model.safetensors").stat().st_size, stored_bytes(model)))
    (full, plain), (pruned, packed) = sizes
    assert full == pruned and plain["dense"] == packed["dense"] < full
    weights = sum(w.numel() for w in matrices(tiny_bert()).values())
    gone = plain["bitmap"] - packed["bitmap"]
    assert gone == pytest.approx(0.9 * 4 * weights - weights / 8, rel=0.01)
    assert packed["gzip"] < plain["gzip"]


def test_sparsity_counts(network):
    counts = sparsity(network)
    assert counts["zeros"] == 0 and counts["weights"] == sum(w.numel() for w in matrices(network).values())
    assert np.isclose(counts["share_of_all"], 0)
