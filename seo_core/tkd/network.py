"""The Transformer of TKD-NLP: BERT's layers over a fixed table of sinusoids.

    PE(t, 2i) = sin(t / 10000^(2i/d)),    PE(t, 2i+1) = cos(t / 10000^(2i/d))        Vaswani et al. 2017, section 3.5

The summary of the paper names 12 layers, 8 heads, scaling by √d_k, residual connections, LayerNorm, positional
encoding and a classification head. All but the positions is what BERT has, so this is Hugging Face's
`BertForSequenceClassification`, and whatever this book does to a BERT (distil, prune, quantize, export) it does to it.
The table takes the place of the learned one and is not trained. `tests/tkd` compares it with
`torch.nn.TransformerEncoder` on the same weights, to 1e-5.

Vaswani et al. multiply the words, of variance 1/d, by √d before the sinusoids are added. Behind the LayerNorm that BERT
has there, dividing the sinusoids by as much is the same: here they are scaled to the words' standard deviation (0.02).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import BertConfig, BertForSequenceClassification

from seo_core.checks import at_least, check
from seo_core.models import ModelError


@dataclass(frozen=True)
class Shape:
    """The sizes of the network. Unknown keys raise."""

    layers: int = at_least(1, default=12)  # the paper's
    heads: int = at_least(1, default=8)  # the paper's
    # not stated. 256: heads of 32 units as MiniLM has, and with MiniLM's 30 522 words 17.5 M weights, three quarters of
    # the teacher's 22.7 M, in twice its layers: the paper's "fewer parameters" at its 12 layers
    hidden: int = at_least(1, default=256)
    neurons: int = at_least(1, default=1024)  # 4 × hidden, as in Vaswani et al. and BERT
    residual: bool = True  # False: what happens without residual connections

    def __post_init__(self):
        check(self)
        if self.hidden % self.heads or self.hidden % 2:
            raise ValueError(f"hidden must be even and a multiple of the {self.heads} heads, got {self.hidden}")


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """The table of fixed positions (positions, width), in fp32; sines in even columns, cosines in odd ones."""
    time = torch.arange(positions, dtype=torch.float64)[:, None]  # (P, 1)
    angle = time * 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # (P, width / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()  # (P, width)


def fixed_positions(model) -> None:
    """Takes the table of positions out of training. To be called again after a network was loaded."""
    model.bert.embeddings.position_embeddings.requires_grad_(False)


class WithoutResiduals(BertForSequenceClassification):
    """The same layers with nothing that leads around them: LayerNorm(f(x)) in the place of LayerNorm(x + f(x)). It is
    here to fail; `save_pretrained` raises ModelError, as a loaded network would have residual connections."""

    def __init__(self, config):
        super().__init__(config)
        for layer in self.bert.encoder.layer:
            for part in (layer.attention.output, layer.output):  # each is called with (f(x), x)
                part.register_forward_pre_hook(lambda module, inputs: (inputs[0], torch.zeros_like(inputs[1])))

    def save_pretrained(self, *arguments, **keywords):
        """Raises ModelError."""
        raise ModelError("a network without residual connections is not saved: loaded again it would have them")


def build(shape: Shape, *, vocabulary: int, labels: tuple[str, ...], positions: int = 512, seed: int = 0):
    """The network with random weights drawn by `seed`. vocabulary: rows of the word table, those of the tokenizer whose
    padding has id 0. The caller's random stream stays as it was."""
    config = BertConfig(vocab_size=vocabulary, hidden_size=shape.hidden, num_hidden_layers=shape.layers,
                        num_attention_heads=shape.heads, intermediate_size=shape.neurons,
                        max_position_embeddings=positions, id2label=dict(enumerate(labels)),
                        label2id={name: i for i, name in enumerate(labels)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (BertForSequenceClassification if shape.residual else WithoutResiduals)(config)
    with torch.no_grad():
        table = sinusoids(positions, shape.hidden) * config.initializer_range
        model.bert.embeddings.position_embeddings.weight.copy_(table)
    fixed_positions(model)
    model.random_weights = True  # `fit` then refuses to freeze the word table
    return model.eval()


def spread(model, input_ids, attention_mask=None, token_type_ids=None) -> list[float]:
    """How far the tokens of a text are from one another, after the embeddings and after each layer (layers + 1 values):
    their standard deviation, mean over texts (B, T) and units. Without residual connections attention averages the
    tokens, and nothing keeps them apart: they become one within two layers (Dong et al. 2021, "Attention is not all
    you need"), and a query then has nothing to choose from, so it gets no gradient either."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    with torch.no_grad():
        states = model.bert(input_ids, mask, token_type_ids, output_hidden_states=True).hidden_states
    weight = (mask / mask.sum(1, keepdim=True))[..., None]  # (B, T, 1)
    return [float((weight * (x - (weight * x).sum(1, keepdim=True)) ** 2).sum(1).sqrt().mean()) for x in states]
