"""Structured pruning: what is removed counts nothing, what stays is untouched, and scores find what does nothing."""

import numpy as np
import pytest
import torch
from batches import random_batch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from seo_core.evaluation import predict
from seo_core.models.compact import CompactBertForSequenceClassification
from seo_core.pruning import (
    NothingLeft,
    PruningError,
    choose,
    compensate,
    encoder_weights,
    importance,
    mask,
    remove,
    shapes,
)
from seo_core.pruning.structured import SCORES, Importance, Removal


def _network(layers=2, seed=0):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=64, num_labels=3))
    with torch.no_grad():  # biases that are not zero, and weights large enough for units to matter
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return model.eval()


@pytest.fixture(scope="module")
def network():
    return _network()


def _logits(model):
    model.eval()
    with torch.no_grad():
        return model(**random_batch()).logits


units = st.fixed_dictionaries({
    "heads": st.dictionaries(st.integers(0, 1), st.sets(st.integers(0, 3), max_size=3), max_size=2),
    "neurons": st.dictionaries(st.integers(0, 1), st.sets(st.integers(0, 23), max_size=23), max_size=2)})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(gone=units)
def test_removal_equals_masking(network, gone):
    small = remove(network, **gone)
    assert isinstance(small, CompactBertForSequenceClassification)
    torch.testing.assert_close(_logits(small), _logits(mask(network, **gone)), atol=1e-5, rtol=1e-5)
    fewer = sum(8 * (4 * 32 + 3) * len(u) for u in gone["heads"].values()) + sum(
        65 * len(u) for u in gone["neurons"].values())
    assert encoder_weights(network) - encoder_weights(small) == fewer


def test_removing_layers_equals_skipping_them():
    model = _network(layers=3)
    small = remove(model, layers=[1], heads={2: [0, 3], 1: [0]}, neurons={0: [5]})
    masked = mask(model, heads={2: [0, 3]}, neurons={0: [5]})
    handle = masked.bert.encoder.layer[1].register_forward_hook(lambda module, inputs, output: inputs[0])
    torch.testing.assert_close(_logits(small), _logits(masked), atol=1e-5, rtol=1e-5)
    handle.remove()
    assert shapes(small) == {"heads": [4, 2], "neurons": [23, 24]}
    assert small.config.num_hidden_layers == 2


def test_removal_can_be_repeated_and_leaves_the_original_alone(network):
    before = {n: p.clone() for n, p in network.state_dict().items()}
    once = remove(network, heads={0: [1]}, neurons={1: [0, 2]})
    twice = remove(once, heads={0: [1]}, neurons={1: [0]})  # numbers of `once`: head 2 and neuron 1 of the network
    torch.testing.assert_close(_logits(twice), _logits(mask(network, heads={0: [1, 2]}, neurons={1: [0, 1, 2]})),
                               atol=1e-5, rtol=1e-5)
    assert all(torch.equal(before[n], p) for n, p in network.state_dict().items())
    assert len(network.bert.encoder.layer[0].intermediate.dense.weight) == 24


def test_mode_and_frozen_parameters_are_kept(network):
    model = _network().train()
    model.get_input_embeddings().weight.requires_grad_(False)
    model.bert.encoder.layer[1].output.dense.bias.requires_grad_(False)
    small = remove(model, layers=[0], heads={1: [0]})
    assert small.training
    assert [n for n, p in small.named_parameters() if not p.requires_grad] == [
        "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.bias"]


@pytest.mark.parametrize("gone, words", [
    ({"heads": {0: range(4)}}, r"all 4 heads of layer 0 would go.*layers=\[0\]"),
    ({"neurons": {1: range(24)}}, "all 24 neurons of layer 1"),
    ({"layers": [0, 1]}, "all 2 layers would go: keep one"),
    ({"heads": {0: [4]}}, "layer 0 has no head 4"),
    ({"heads": {0: [-1]}}, "layer 0 has no head -1"),
    ({"neurons": {2: [0]}}, "the network has no layer 2"),
    ({"layers": [7]}, "the network has no layer 7"),
    ({"heads": [0, 1]}, r"heads are given by layer, such as heads=\{0: \[1, 2\]\}"),
])
def test_impossible_removals_are_refused(network, gone, words):
    with pytest.raises(PruningError, match=words):
        remove(network, **gone)


def test_other_architectures_are_refused():
    with pytest.raises(PruningError, match="knows BERT classifiers"):
        remove(torch.nn.Linear(2, 2), heads={0: [0]})


def test_a_pruned_network_is_a_smaller_file_that_reloads(network, tmp_path):
    small = remove(network, heads={0: [1, 2]}, neurons={1: range(20)}, layers=[])
    small.save_pretrained(tmp_path / "small")
    network.save_pretrained(tmp_path / "full")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("full", "small")]
    fewer = 4 * (encoder_weights(network) - encoder_weights(small))
    assert sizes[0] - sizes[1] == pytest.approx(fewer, rel=0.01)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "small")  # in a fresh process: test_compact
    assert torch.equal(_logits(again), _logits(small))


# ---------------------------------------------------------------------------------------------
# Scores


def _idle(model, *, head, neuron):
    """Makes one head and one neuron of each layer do nothing: their outgoing weights are zero."""
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.attention.output.dense.weight[:, 8 * head : 8 * head + 8] = 0
            layer.output.dense.weight[:, neuron] = 0
    return model


@pytest.mark.parametrize("score", ["taylor", "activation"])
def test_units_that_do_nothing_score_nothing(toy_pairs, score):
    found = importance(_idle(_network(), head=2, neuron=7), score, toy_pairs(40))
    for heads, neurons in zip(found.heads, found.neurons, strict=True):
        assert heads[2] == pytest.approx(0, abs=1e-12) and (np.delete(heads, 2) > 1e-9).all()
        assert neurons[7] == pytest.approx(0, abs=1e-12) and (np.delete(neurons, 7) > 1e-12).all()
    assert (found.layers > 0).all()


def test_taylor_scores_are_the_change_of_the_loss_to_first_order(toy_pairs):
    """Scaling a head's or a neuron's output by 1 − ε changes an example's loss by ε times the root of its score."""
    model, pairs = _network().double(), toy_pairs(1)
    found, step = importance(model, "taylor", pairs), 1e-5

    def loss(network):
        batch = pairs.batch([0])
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(network(**batch).logits, batch["labels"]))

    for layer, head, neuron in ((0, 1, 3), (1, 2, 11)):
        for columns, score in ((slice(8 * head, 8 * head + 8), found.heads[layer][head]),
                               (slice(neuron, neuron + 1), found.neurons[layer][neuron])):
            where = model.bert.encoder.layer[layer]
            weight = (where.attention.output if columns.stop - columns.start == 8 else where.output).dense.weight
            with torch.no_grad():
                kept = weight[:, columns].clone()
                before = loss(model)
                weight[:, columns] *= 1 - step
                after = loss(model)
                weight[:, columns] = kept
            assert abs(after - before) / step == pytest.approx(np.sqrt(score), rel=1e-3, abs=1e-8)


def test_scores_do_not_depend_on_the_batches_and_leave_no_trace(toy_pairs):
    model, pairs = _network().train(), toy_pairs(30)
    before = {n: p.clone() for n, p in model.state_dict().items()}
    for score in ("taylor", "activation"):
        one, other = (importance(model, score, pairs, batch_size=b) for b in (4, 32))
        for a, b in zip([*one.heads, *one.neurons, one.layers], [*other.heads, *other.neurons, other.layers],
                        strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_magnitude_and_random_need_no_examples(network):
    assert importance(network, "magnitude").heads[0].shape == (4,)
    one, same, other = (importance(network, "random", seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.layers, same.layers) and not np.array_equal(one.layers, other.layers)


def test_bad_scores_and_examples_are_refused(network, toy_pairs):
    with pytest.raises(PruningError, match="did you mean 'taylor'"):
        importance(network, "tailor", toy_pairs(4))
    for score in ("taylor", "activation"):
        with pytest.raises(PruningError, match="computed on examples"):
            importance(network, score)
    unlabelled = toy_pairs(4)
    unlabelled.labels[1] = -1
    with pytest.raises(PruningError, match="needs labelled examples"):
        importance(network, "taylor", unlabelled)
    assert importance(network, "activation", unlabelled).layers.shape == (2,)


# ---------------------------------------------------------------------------------------------
# Choice


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(share=st.floats(0, 0.65), score=st.sampled_from(["magnitude", "random"]), multiple=st.sampled_from([1, 4, 8]),
       layers=st.booleans())
def test_the_choice_holds_the_share_and_can_be_removed(network, share, score, multiple, layers):
    kinds = ("heads", "neurons", "layers") if layers else ("heads", "neurons")
    found = importance(network, score)
    removal = choose(network, found, share, kinds=kinds, multiple=multiple)
    small = remove(network, **removal.units)
    gone = 1 - encoder_weights(small) / encoder_weights(network)
    assert gone == pytest.approx(removal.share) and gone >= share - 1e-9
    if not removal.layers:  # one more unit of each kind, and the rounding, at most
        slack = (8 * 131 + 65 * 2 * multiple) / encoder_weights(network)
        assert gone <= share + slack
    assert all(n == 24 or n % multiple == 0 for n in shapes(small)["neurons"])


def test_the_lowest_scores_go_first(network):
    heads = [np.array([9.0, 8.0, 0.1, 9.0]), np.array([9.0, 0.2, 9.0, 9.0])]
    neurons = [np.full(24, 9.0), np.full(24, 9.0)]
    found = Importance(heads, neurons, np.ones(2), "taylor")
    removal = choose(network, found, 2 * 8 * 131 / encoder_weights(network))
    assert removal.units == {"heads": {0: [2], 1: [1]}, "neurons": {}, "layers": []}


def test_where_one_layer_is_used_up_the_next_ones_give(network):
    neurons = [np.linspace(0.1, 0.2, 24), np.linspace(5.0, 6.0, 24)]  # all of layer 0 before any of layer 1
    found = Importance([np.full(4, 99.0)] * 2, neurons, np.ones(2), "taylor")
    removal = choose(network, found, 26 * 65 / encoder_weights(network), multiple=8)
    small = remove(network, **removal.units)
    assert shapes(small)["neurons"] == [8, 8] and removal.share >= 26 * 65 / encoder_weights(network)


def test_more_than_there_is_is_refused(network):
    found = importance(network, "magnitude")
    with pytest.raises(NothingLeft, match="let layers go too"):
        choose(network, found, 0.97)
    with pytest.raises(PruningError, match="0 or more and below 1"):
        choose(network, found, 1.0)
    with pytest.raises(PruningError, match="did you mean 'heads'"):
        choose(network, found, 0.1, kinds=("head",))
    with pytest.raises(PruningError, match="name some of heads, neurons, layers"):
        choose(network, found, 0.1, kinds=())
    with pytest.raises(PruningError, match="multiple must be 1 or more"):
        choose(network, found, 0.1, multiple=0)
    with pytest.raises(PruningError, match="scores are those of another network"):
        choose(remove(network, layers=[0]), found, 0.1)
    assert choose(network, found, np.float32(0.5)).units == choose(network, found, 0.5).units


@pytest.mark.parametrize("score", SCORES)
def test_every_score_leads_to_a_smaller_network(network, toy_pairs, score):
    small = remove(network, **choose(network, importance(network, score, toy_pairs(20)), 0.5, multiple=8).units)
    assert encoder_weights(small) <= 0.5 * encoder_weights(network)
    assert torch.isfinite(_logits(small)).all()


# ---------------------------------------------------------------------------------------------
# Compensation


def test_a_redundant_neuron_is_taken_over_whole(toy_pairs):
    """Two neurons with the same input weights: the one that stays gets the other's outgoing weights too."""
    model = _network()
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.intermediate.dense.weight[5] = layer.intermediate.dense.weight[4]
            layer.intermediate.dense.bias[5] = layer.intermediate.dense.bias[4]
    removal = Removal(neurons={0: [5], 1: [5]})
    plain = remove(model, **removal.units)
    helped = remove(compensate(model, removal, toy_pairs(60), ridge=1e-8), **removal.units)
    reference = _logits(model)
    assert (_logits(plain) - reference).abs().max() > 1e-3
    torch.testing.assert_close(_logits(helped), reference, atol=1e-4, rtol=1e-3)


def test_compensation_brings_the_logits_closer(network, toy_pairs):
    pairs = toy_pairs(200)
    removal = choose(network, importance(network, "random", seed=3), 0.4, multiple=4)
    plain = remove(network, **removal.units)
    helped = remove(compensate(network, removal, pairs), **removal.units)
    far, near = (np.linalg.norm(predict(m, pairs) - predict(network, pairs)) for m in (plain, helped))
    assert near < 0.95 * far
    with pytest.raises(PruningError, match="computed on examples"):
        compensate(network, removal, pairs.take([]))
