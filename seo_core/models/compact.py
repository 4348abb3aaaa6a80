"""A BERT classifier whose layers have sizes of their own: what structured pruning leaves.

    compact = CompactBertForSequenceClassification(CompactBertConfig(..., layer_heads=[4, 7], layer_ffn=[512, 90]))
    compact.save_pretrained(folder)                               # safetensors and config.json
    AutoModelForSequenceClassification.from_pretrained(folder)    # in any process that has imported seo_core

Modules and parameters have the names of Hugging Face's BERT (`bert.encoder.layer.3.attention.self.query.weight`); only
shapes differ. With d hidden units, h_l heads of s dimensions and f_l neurons, layer l holds

    query, key, value: (h_l s, d)    attention.output.dense: (d, h_l s)    intermediate: (f_l, d)    output: (d, f_l)

Layers that were removed are absent, and the ones above them have moved down. The forward pass is BERT's own (and that
of `seo_core.models.fastpath`), as both read a layer's number of heads from the layer.
"""

import sys

from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from seo_core.models import COMPACT


class CompactBertConfig(BertConfig):
    """A BertConfig whose layers have sizes of their own.

    layer_heads: attention heads of each layer (≥ 1). layer_ffn: feed-forward neurons of each layer (≥ 1). head_size:
    dimensions of a head, the same everywhere. Both lists have `num_hidden_layers` entries; None stands for
    `num_attention_heads` and `intermediate_size` in every layer, which keep the values of the network that was
    pruned."""

    model_type = COMPACT

    layer_heads: list[int] | None = None
    layer_ffn: list[int] | None = None
    head_size: int | None = None

    def __new__(cls, *arguments, **keywords):
        _register_network()  # before `from_pretrained`, which has read this configuration, looks for the class
        return super().__new__(cls)


def layer_sizes(config) -> tuple[list[int], list[int], int]:
    """(heads of each layer, neurons of each layer, head size) of a BertConfig or CompactBertConfig. Raises ValueError
    where a list has not one entry per layer, or an entry is not a whole number of at least 1."""
    layers = config.num_hidden_layers
    heads = getattr(config, "layer_heads", None) or [config.num_attention_heads] * layers
    neurons = getattr(config, "layer_ffn", None) or [config.intermediate_size] * layers
    size = getattr(config, "head_size", None) or config.hidden_size // config.num_attention_heads
    for name, values in (("layer_heads", heads), ("layer_ffn", neurons)):
        if len(values) != layers or any(not isinstance(v, int) or v < 1 for v in values):
            raise ValueError(f"{name} must hold {layers} whole numbers of at least 1, one for each layer, got {values}")
    return list(heads), list(neurons), size


class CompactBertForSequenceClassification(BertForSequenceClassification):
    """BertForSequenceClassification with per-layer numbers of heads and neurons (see `CompactBertConfig`)."""

    config_class = CompactBertConfig
    config: CompactBertConfig

    def __init__(self, config: CompactBertConfig):
        heads, neurons, size = layer_sizes(config)
        super().__init__(config)
        d = config.hidden_size
        for layer, h, f in zip(self.bert.encoder.layer, heads, neurons, strict=True):
            attention = layer.attention.self
            attention.num_attention_heads, attention.attention_head_size = h, size
            attention.all_head_size, attention.scaling = h * size, size**-0.5
            attention.query, attention.key, attention.value = (nn.Linear(d, h * size) for _ in range(3))
            layer.attention.output.dense = nn.Linear(h * size, d)
            layer.intermediate.dense, layer.output.dense = nn.Linear(d, f), nn.Linear(f, d)
        self.post_init()


def compact_config(config, heads: list[int], neurons: list[int]) -> CompactBertConfig:
    """The configuration of a compact network made from one with `config` (stock or compact), which keeps labels,
    dropout and all else. heads, neurons: the sizes of the layers that stay, in order."""
    _, _, size = layer_sizes(config)
    kept = {k: v for k, v in config.to_dict().items()
            if k not in ("model_type", "architectures", "transformers_version")}
    return CompactBertConfig(**kept | dict(num_hidden_layers=len(heads), layer_heads=list(heads),
                                           layer_ffn=list(neurons), head_size=size))


def _register_network() -> None:
    """`AutoModelForSequenceClassification` knows the class, where its module is loaded; else nothing is done."""
    auto = sys.modules.get("transformers.models.auto.modeling_auto")
    if auto is not None:
        auto.AutoModelForSequenceClassification.register(CompactBertConfig, CompactBertForSequenceClassification,
                                                         exist_ok=True)
