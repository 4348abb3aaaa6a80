"""Bytes of an int8 file, from a network's shape, before there is one.

With d hidden units, and per layer h heads of s dimensions and f neurons left, an int8 file holds

    a layer    4 d h s + 2 d f  weights of a byte, 8 (3 h s + f + 2 d) of scales and biases, 16 d of LayerNorm
    a word     d / 2 of 4-bit weights, d / 8 of scales
    the rest   8 P d of positions and segments, d² + 16 d of pooler and LayerNorm, 4 k (d + 1) of k classes, the graph

where pruning has left the same share of heads and neurons in every layer; which ones it will take is not known yet, but
heads and neurons cost nearly the same for each weight. On the files of chapter 13 this is 0 to 2% too much, never too
little (a test looks).
"""

from seo_core.models.compact import layer_sizes
from seo_core.quantization.scheme import INT4_BLOCK

GRAPH = 3_400, 6_000  # bytes of the file's graph, and of it for each layer: read off exported files
NEURONS = 16  # a layer keeps so many, as in `pruning.structured.choose`


def predicted_bytes(config, share: float, words: int, *, positions: int, classes: int, word_bits: int = 4) -> int:
    """Bytes of the int8 file of a BERT without `share` of its encoder's weights, with so many words and positions.
    config: of transformers, before pruning. word_bits: 4 or 8, of the word table."""
    heads, neurons, size = layer_sizes(config)
    d, kept = config.hidden_size, kept_share(config, share)
    layers = sum(kept * (4 * d * h * size + 2 * d * f + 8 * (3 * h * size + f)) + 32 * d + GRAPH[1]
                 for h, f in zip(heads, neurons, strict=True))
    places, head = config.type_vocab_size * positions * 4 * d, d * d + 16 * d + 4 * classes * (d + 1)
    return round(layers + words * word_bytes(d, word_bits) + places + head + GRAPH[0])


def word_bits(config, wanted: int = 4) -> int:
    """Bits of a weight of the word table: those wanted, or 8 where its width is no multiple of a block."""
    return 8 if config.hidden_size % INT4_BLOCK else wanted


def word_bytes(hidden: int, bits: int) -> int:
    """Bytes of a row of the word table."""
    return hidden + 4 if bits == 8 else hidden // 2 + 4 * hidden // INT4_BLOCK


def _units(config) -> int:
    """Weights of all layers that go with heads and neurons; 6 d are there beside them in each."""
    heads, neurons, size = layer_sizes(config)
    return sum(heads) * size * (4 * config.hidden_size + 3) + sum(neurons) * (2 * config.hidden_size + 1)


def kept_share(config, share: float) -> float:
    """The share of heads and neurons that is left where `share` of the encoder's weights is gone."""
    units, fixed = _units(config), 6 * config.hidden_size * config.num_hidden_layers
    return max(0.0, ((1 - share) * (units + fixed) - fixed) / units)


def most_removed(config, layers: bool) -> float:
    """The share of the encoder's weights that pruning can take: a head and a few neurons of each layer stay, or, where
    whole layers may go, of one layer."""
    size, d = layer_sizes(config)[2], config.hidden_size
    least, count = size * (4 * d + 3) + NEURONS * (2 * d + 1) + 6 * d, config.num_hidden_layers
    return 1 - least * (1 if layers else count) / (_units(config) + 6 * d * count)
