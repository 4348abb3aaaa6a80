"""The configuration of a compact BERT: BERT's own, with a size for every layer. Needs transformers, not torch."""

from __future__ import annotations

from transformers import BertConfig

from seo_core.models._register import register_network


class CompactBertConfig(BertConfig):
    """A BertConfig whose layers have sizes of their own.

    layer_heads: attention heads of each layer (≥ 1). layer_ffn: feed-forward neurons of each layer (≥ 1). head_size:
    dimensions of a head, the same everywhere. Both lists have `num_hidden_layers` entries; None stands for
    `num_attention_heads` and `intermediate_size` in every layer, which keep the values of the network that was pruned.
    """

    model_type = "compact_bert"

    layer_heads: list[int] | None = None
    layer_ffn: list[int] | None = None
    head_size: int | None = None

    def __new__(cls, *arguments, **keywords):
        register_network()  # before `from_pretrained`, which has read this configuration, looks for the class
        return super().__new__(cls)


def layer_sizes(config) -> tuple[list[int], list[int], int]:
    """(heads of each layer, neurons of each layer, head size) of a BertConfig or CompactBertConfig.

    Raises ValueError where a list has not one entry per layer, or an entry is not a whole number of at least 1.
    """
    layers = config.num_hidden_layers
    heads = getattr(config, "layer_heads", None) or [config.num_attention_heads] * layers
    neurons = getattr(config, "layer_ffn", None) or [config.intermediate_size] * layers
    size = getattr(config, "head_size", None) or config.hidden_size // config.num_attention_heads
    for name, values in (("layer_heads", heads), ("layer_ffn", neurons)):
        if len(values) != layers or any(not isinstance(v, int) or v < 1 for v in values):
            raise ValueError(f"{name} must hold {layers} whole numbers of at least 1, one for each layer, got {values}")
    return list(heads), list(neurons), size
