"""Transfer: the pull towards the source weights, rates by layer, and starts with and without knowledge."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seo_core.training import (
    TrainingConfig,
    TrainingError,
    classification_loss,
    fit,
    layer_depths,
    make_optimizer,
)
from seo_core.transfer import distance, from_scratch, l2_sp, load_source, movement, with_l2_sp

CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=5)
HEAD = ("classifier.weight", "classifier.bias")


def _moved(model, amount=0.1):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(amount)
    return model


def _weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


# ---------------------------------------------------------------------------------------------
# L2-SP


def test_the_pull_is_its_formula_and_its_gradient_points_home(tiny_bert):
    model, source = tiny_bert(seed=0), tiny_bert(seed=1)
    value = l2_sp(model, 0.3, source)()
    value.backward()
    expected = 0.0
    for (name, p), q in zip(model.named_parameters(), source.parameters(), strict=True):
        if name in HEAD:
            assert p.grad is None
            continue
        expected += float(((p - q).detach().double() ** 2).sum())
        torch.testing.assert_close(p.grad, 0.3 * (p - q).detach())
    assert value.item() == pytest.approx(0.15 * expected, rel=1e-5)
    assert value.dtype == torch.float32 and value.ndim == 0
    assert distance(model, source) == pytest.approx(expected**0.5, rel=1e-6)


def test_no_pull_at_the_reference_and_none_from_what_is_frozen(tiny_bert):
    model = tiny_bert()
    pull = l2_sp(model, 0.5)  # the reference is the model as it is now
    assert pull().item() == 0
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    _moved(model)
    trainable = sum(p.numel() for n, p in model.named_parameters() if p.requires_grad and n not in HEAD)
    pull().backward()
    assert pull().item() == pytest.approx(0.25 * trainable * 0.01, rel=1e-3)
    assert model.bert.embeddings.word_embeddings.weight.grad is None


def test_references_of_three_kinds_agree(tiny_bert):
    source = tiny_bert(seed=1)
    model = tiny_bert(seed=0)
    from_model, from_dict = l2_sp(model, 1.0, source)().item(), l2_sp(model, 1.0, source.state_dict())().item()
    assert from_model == from_dict > 0
    own = l2_sp(source, 1.0)
    source.load_state_dict(model.state_dict())
    assert own().item() == pytest.approx(from_model, rel=1e-6)


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf")])
def test_a_bad_beta_is_refused(tiny_bert, beta):
    with pytest.raises(ValueError, match="beta must be 0 or more"):
        l2_sp(tiny_bert(), beta)


def test_a_reference_that_does_not_fit_is_refused(tiny_bert):
    with pytest.raises(ValueError, match="does not have it"):
        l2_sp(tiny_bert(), 0.1, {})
    small = tiny_bert(layers=1)
    with pytest.raises(ValueError, match="pass the model that training started from"):
        l2_sp(tiny_bert(layers=2), 0.1, small)
    l2_sp(tiny_bert(num_labels=3), 0.1, tiny_bert(num_labels=2))  # heads may differ


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.trains
def test_a_strong_pull_keeps_the_weights_near_the_source(tiny_bert, toy_pairs, precision):
    found = {}
    for beta in (0.0, 0.1, 10.0):
        model = tiny_bert()
        start = _weights(model)
        fit(model, toy_pairs(64), config=replace(CONFIG, precision=precision, weight_decay=0.0),
            loss=with_l2_sp(model, beta), progress=False)
        found[beta] = distance(model, start)
    assert found[10.0] < found[0.1] < found[0.0]
    assert found[10.0] < 0.5 * found[0.0]


def test_beta_zero_is_the_plain_loss(tiny_bert):
    assert with_l2_sp(tiny_bert(), 0.0) is classification_loss

    def other(logits, batch):
        return logits.sum()

    model = tiny_bert()
    loss = with_l2_sp(model, 2.0, loss=other)
    logits = torch.ones(2, 3)
    assert loss(logits, {}).item() == 6.0
    _moved(model)
    assert loss(logits, {}).item() > 6.0


@pytest.mark.trains
def test_a_resumed_run_is_pulled_to_the_same_place(tiny_bert, toy_pairs, tmp_path):
    pairs, config = toy_pairs(76), replace(CONFIG, layer_decay=0.7)

    def go(model, **more):
        fit(model, pairs, config=config, loss=with_l2_sp(model, 0.05), progress=False, **more)
        return _weights(model)

    def interrupt(event, state):
        if event == "step" and state.step == 12:
            raise KeyboardInterrupt

    whole = go(tiny_bert())
    with pytest.raises(KeyboardInterrupt):
        go(tiny_bert(), callbacks=[interrupt], checkpoint_dir=tmp_path)
    steps = []
    resumed = go(tiny_bert(), checkpoint_dir=tmp_path,
                 callbacks=[lambda event, state: event == "step" and steps.append(state.step) and None])
    assert steps[0] == 13
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


# ---------------------------------------------------------------------------------------------
# Discriminative learning rates


def test_decay_one_is_the_optimizer_as_it_was(tiny_bert):
    model = tiny_bert()
    groups = make_optimizer(model, CONFIG, torch.device("cpu")).param_groups
    trainable = list(model.parameters())
    expected = [([p for p in trainable if p.ndim > 1], 0.01), ([p for p in trainable if p.ndim <= 1], 0.0)]
    assert len(groups) == 2
    for group, (members, decay) in zip(groups, expected, strict=True):
        assert all(a is b for a, b in zip(group["params"], members, strict=True))
        assert (group["lr"], group["weight_decay"]) == (3e-3, decay)


def test_rates_fall_by_the_layer(tiny_bert):
    model = tiny_bert(layers=3)
    optimizer = make_optimizer(model, replace(CONFIG, layer_decay=0.5), torch.device("cpu"))
    rate = {id(p): group["lr"] / 3e-3 for group in optimizer.param_groups for p in group["params"]}
    by_name = {name: rate[id(p)] for name, p in model.named_parameters()}
    assert len(rate) == len(by_name)  # every parameter once
    assert by_name["classifier.weight"] == by_name["bert.pooler.dense.bias"] == 1
    for layer, expected in ((2, 0.5), (1, 0.25), (0, 0.125)):
        found = {v for n, v in by_name.items() if f"encoder.layer.{layer}." in n}
        assert found == {expected}
    assert {v for n, v in by_name.items() if "embeddings" in n} == {0.0625}
    assert all(g["weight_decay"] == (0.01 if g["params"][0].ndim > 1 else 0) for g in optimizer.param_groups)


@pytest.mark.trains
def test_lower_layers_move_less(tiny_bert, toy_pairs):
    moved = {}
    for decay in (1.0, 0.1):
        model = tiny_bert()
        start = _weights(model)
        fit(model, toy_pairs(64), config=replace(CONFIG, layer_decay=decay), progress=False)
        moved[decay] = movement(model, start)
        assert distance(model, start) == pytest.approx(sum(v**2 for v in moved[decay].values()) ** 0.5)
    assert list(moved[1.0]) == ["embeddings", "layer 1", "layer 2", "pooler"]
    assert moved[0.1]["layer 1"] < 0.3 * moved[0.1]["layer 2"]
    assert moved[0.1]["layer 1"] < 0.2 * moved[1.0]["layer 1"]


@pytest.mark.parametrize("decay", [0.0, -0.1, 1.01, float("nan")])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match="layer_decay must be above 0 and at most 1"):
        TrainingConfig(layer_decay=decay)


def test_a_network_without_layers_is_refused():
    network = torch.nn.Linear(4, 3)
    with pytest.raises(ValueError, match="no numbered layers"):
        layer_depths(network)
    make_optimizer(network, CONFIG, torch.device("cpu"))  # at 1.0 nothing is asked of the names


# ---------------------------------------------------------------------------------------------
# Starts


def test_from_scratch_keeps_the_architecture_and_nothing_else(tiny_bert):
    source = tiny_bert(layers=1, num_labels=2, seed=7)
    before, stream = _weights(source), torch.get_rng_state()
    first, same, other = (from_scratch(source, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), stream)
    assert {n: p.shape for n, p in first.named_parameters()} == {n: p.shape for n, p in source.named_parameters()}
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), same.parameters(), strict=True))
    for name in ("bert.embeddings.word_embeddings.weight", "classifier.weight"):
        assert not torch.equal(first.get_parameter(name), other.get_parameter(name))
        assert not torch.equal(first.get_parameter(name), source.get_parameter(name))
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in before.items())
    first.config.num_labels = 7
    assert source.config.num_labels == 2


@pytest.mark.trains
def test_a_random_word_table_is_not_frozen(tiny_bert, toy_pairs):
    model = from_scratch(tiny_bert())
    with pytest.raises(TrainingError, match="freeze_embeddings=False"):
        fit(model, toy_pairs(16), config=replace(CONFIG, freeze_embeddings=True), progress=False)
    before = model.bert.embeddings.word_embeddings.weight.clone()
    fit(model, toy_pairs(16), config=CONFIG, progress=False)
    assert not torch.equal(model.bert.embeddings.word_embeddings.weight, before)


@pytest.mark.slow
def test_a_source_model_comes_back_with_or_without_its_head(tmp_path):
    from seo_core.models.backbone import load_backbone, save

    model, tokenizer = load_backbone(num_labels=3, labels=("yes", "maybe", "no"), layers=1)
    _moved(model, 0.01)
    save(model, tokenizer, tmp_path / "source")
    same, _ = load_source(tmp_path / "source")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), same.parameters(), strict=True))
    assert list(same.config.id2label.values()) == ["yes", "maybe", "no"]
    heads = [load_source(tmp_path / "source", new_head=True, seed=s)[0] for s in (0, 0, 1)]
    assert distance(heads[0], model) == 0
    assert torch.equal(heads[0].classifier.weight, heads[1].classifier.weight)
    assert not torch.equal(heads[0].classifier.weight, heads[2].classifier.weight)
    assert not torch.equal(heads[0].classifier.weight, model.classifier.weight)
    binary, _ = load_source(tmp_path / "source", labels=("entailment", "rest"))
    assert binary.classifier.weight.shape[0] == 2 and distance(binary, model) == 0


def test_from_scratch_by_name_has_the_asked_labels():
    network = from_scratch("bundled", num_labels=2, labels=("no", "yes"), layers=1, seed=3)
    assert network.config.id2label == {0: "no", 1: "yes"} and network.config.num_hidden_layers == 1
    weights = network.bert.embeddings.word_embeddings.weight
    assert float(weights.detach().std()) == pytest.approx(network.config.initializer_range, rel=0.05)
    assert np.isfinite(float(weights.detach().sum()))
