"""The Transformer of TKD-NLP: BERT's layers, a fixed table of positions, and what goes without residual connections."""

import numpy as np
import pytest
import torch
from torch import nn

from seo_core.models import ModelError, load_backbone, load_tokenizer, save
from seo_core.models.fastpath import FastBertClassifier, supports
from seo_core.pruning import remove, shapes
from seo_core.tkd import Shape, build, fixed_positions, sinusoids, spread

SMALL = Shape(hidden=32, neurons=64)  # 12 layers, 8 heads
LABELS = ("no", "yes")


def small(seed=0, **changes):
    return build(Shape(**{**vars(SMALL), **changes}), vocabulary=100, labels=LABELS, positions=64, seed=seed)


def texts(n=6, length=9, seed=0):
    """(ids, mask), the second half of the rows padded."""
    ids = torch.from_numpy(np.random.default_rng(seed).integers(5, 100, (n, length)))
    mask = torch.ones_like(ids)
    mask[n // 2 :, length - 3 :] = 0
    return ids, mask


def test_the_layers_are_those_of_torchs_own_transformer_encoder():
    """The same weights in torch.nn.TransformerEncoder (post-norm, GELU) give the same states."""
    model, (ids, mask) = small(), texts()
    layer = nn.TransformerEncoderLayer(32, 8, 64, activation="gelu", batch_first=True, layer_norm_eps=1e-12)
    encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).eval()
    for ours, theirs in zip(model.bert.encoder.layer, encoder.layers, strict=True):
        qkv = [ours.attention.self.query, ours.attention.self.key, ours.attention.self.value]
        pairs = [(theirs.self_attn.out_proj, ours.attention.output.dense), (theirs.linear1, ours.intermediate.dense),
                 (theirs.linear2, ours.output.dense), (theirs.norm1, ours.attention.output.LayerNorm),
                 (theirs.norm2, ours.output.LayerNorm)]
        with torch.no_grad():
            theirs.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in qkv]))
            theirs.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in qkv]))
            for to, of in pairs:
                to.load_state_dict(of.state_dict())
    table = model.bert.embeddings
    summed = table.word_embeddings(ids) + 0.02 * sinusoids(64, 32)[:9] + table.token_type_embeddings.weight[0]
    x = table.LayerNorm(summed)  # (B, T, d)
    with torch.no_grad():
        states = model.bert(ids, mask).last_hidden_state
        theirs = encoder(x, src_key_padding_mask=mask == 0)
        fast = FastBertClassifier(model).eval()(ids, mask)
        assert torch.allclose(fast, model(ids, mask).logits, atol=1e-5)
    assert torch.allclose(states[mask == 1], theirs[mask == 1], atol=1e-5)
    assert not torch.allclose(states, small(seed=1).bert(ids, mask).last_hidden_state, atol=1e-2)


def test_the_positions_are_the_papers_sinusoids_and_are_not_trained():
    table = sinusoids(50, 32)
    for position, pair in ((0, 0), (3, 0), (17, 5), (49, 15)):
        angle = position / 10000 ** (2 * pair / 32)
        assert table[position, 2 * pair] == pytest.approx(np.sin(angle), abs=1e-6)
        assert table[position, 2 * pair + 1] == pytest.approx(np.cos(angle), abs=1e-6)
    model = small()
    ids, mask = texts()
    model(ids, mask, labels=torch.tensor([0, 1] * 3)).loss.backward()
    assert model.bert.embeddings.position_embeddings.weight.grad is None
    assert model.bert.embeddings.word_embeddings.weight.grad is not None


def test_the_table_is_there_after_loading_and_can_be_fixed_again(tmp_path):
    model = build(SMALL, vocabulary=len(load_tokenizer()), labels=LABELS, positions=64)
    save(model, load_tokenizer(), tmp_path / "net")
    again, _ = load_backbone(str(tmp_path / "net"), num_labels=None)
    positions = again.bert.embeddings.position_embeddings.weight
    assert torch.equal(positions, 0.02 * sinusoids(64, 32)) and positions.requires_grad
    fixed_positions(again)
    assert not again.bert.embeddings.position_embeddings.weight.requires_grad
    assert again.config.id2label == {0: "no", 1: "yes"}


def test_what_prunes_a_bert_prunes_it():
    model, (ids, mask) = small(), texts()
    pruned = remove(model, heads={0: [1, 2], 11: [0]})
    assert shapes(pruned)["heads"] == [6, *[8] * 10, 7] and supports(pruned)
    assert pruned(ids, mask).logits.shape == (6, 2)
    assert torch.equal(pruned.bert.embeddings.position_embeddings.weight, 0.02 * sinusoids(64, 32))


def test_a_seed_draws_the_weights_and_leaves_the_callers_stream():
    torch.manual_seed(5)
    first = small(seed=3).state_dict()
    assert float(torch.rand(())) == float(torch.manual_seed(5) and torch.rand(()))
    assert all(torch.equal(value, first[name]) for name, value in small(seed=3).state_dict().items())
    assert not torch.equal(small(seed=4).classifier.weight, small(seed=3).classifier.weight)


def test_without_residual_connections_all_tokens_become_one():
    """Attention mixes the tokens and nothing leads around it. After a few layers they are the same, and queries, which
    have nothing left to choose from, get no gradient."""
    ids, mask = texts(16)
    apart, slope = {}, {}
    for residual in (True, False):
        model = small(residual=residual)
        apart[residual] = spread(model, ids, mask)
        nn.functional.cross_entropy(model(ids, mask).logits, torch.tensor([0, 1] * 8)).backward()
        query, value = (getattr(model.bert.encoder.layer[6].attention.self, name).weight.grad.norm() for name in
                        ("query", "value"))
        slope[residual] = float(query / value)
    assert len(apart[True]) == 13 and apart[True][-1] > 0.9 * apart[True][0]
    assert apart[False][0] == apart[True][0] and apart[False][6] < 1e-4
    assert slope[False] < 1e-4 * slope[True]
    assert not supports(small(residual=False))


def test_a_network_without_residual_connections_is_not_saved(tmp_path):
    with pytest.raises(ModelError, match="loaded again it would have them"):
        save(small(residual=False), None, tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("wrong, message", [({"layers": 0}, "layers must be 1 or more"),
                                            ({"hidden": 30}, "multiple of the 8 heads, got 30"),
                                            ({"hidden": 9, "heads": 9}, "hidden must be even")])
def test_a_shape_that_is_none_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Shape(**wrong)
