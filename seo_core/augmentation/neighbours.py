"""Nearest words in a model's own word table: no resource besides the model.

    word_table("bundled").neighbours(["painting"])  ->  {"painting": (("artwork", 0.5), …)}

E (V, d) holds one row per token. Candidates are the whole-word tokens (c rows, normed). Their entries are rounded to
multiples of 2^-11: then every product is one of 2^-22, all sums stay below 4, and fp32 adds them without rounding. So
the cosines are the same in any order of adding, in any block, on any machine.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from seo_core import files
from seo_core.augmentation.words import whole_words

NEAREST = 5  # neighbours kept for a word: farther ones have little to do with it
FLOOR = 0.4  # least cosine; below it MiniLM's neighbours are often mere look-alikes in frequency
BLOCK = 256  # words a product: bounds memory
GRID = 2.0**11  # see above; moves a cosine by about 0.0001
_TABLES = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "wte.weight", "shared.weight")


class WordTable:
    """A model's candidates: words (c,), their unit vectors (c, d), and the neighbours found so far."""

    def __init__(self, words: list[str], vectors: np.ndarray):
        self.words = np.array(words, dtype=object)  # (c,)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.unit = (np.rint(vectors / np.maximum(length, 1e-12) * GRID) / GRID).astype(np.float32)  # (c, d)
        self.position = {word: i for i, word in enumerate(words)}
        self.known: dict[str, tuple[tuple[str, float], ...]] = {}

    def neighbours(self, words) -> dict[str, tuple[tuple[str, float], ...]]:
        """word -> up to NEAREST (word, cosine), nearest first, cosine at least FLOOR, without other forms of the word
        (`akin`) and opposites (`opposed`); () for a word without a token of its own."""
        missing = [w for w in dict.fromkeys(words) if w in self.position and w not in self.known]
        for start in range(0, len(missing), BLOCK):
            part = missing[start : start + BLOCK]
            rows = np.array([self.position[w] for w in part])
            cosine = self.unit[rows] @ self.unit.T  # (b, c)
            cosine[np.arange(len(part)), rows] = -np.inf
            count = min(4 * NEAREST, cosine.shape[1] - 1)  # some of them are left out below
            top = np.argpartition(-cosine, count - 1, axis=1)[:, :count] if count else np.zeros((len(part), 0), int)
            order = np.argsort(-np.take_along_axis(cosine, top, axis=1), axis=1, kind="stable")
            for word, values, near in zip(part, cosine, np.take_along_axis(top, order, axis=1), strict=True):
                self.known[word] = tuple(
                    (other, float(v)) for other, v in zip(self.words[near].tolist(), values[near], strict=True)
                    if v >= FLOOR and not akin(word, other) and not opposed(word, other))[:NEAREST]
        return {w: self.known.get(w, ()) for w in words}


_NEGATIVE = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "mis")


def akin(word: str, other: str) -> bool:
    """Whether the words look like two forms of one: three or more letters in common, at most three left of each."""
    common = len(os.path.commonprefix([word, other]))
    return common >= 3 and max(len(word), len(other)) - common <= 3


_ENDINGS = re.compile("(?:ing|est|ed|er|es|ly|en|s|e|y|i)+$")


def opposed(word: str, other: str) -> bool:
    """Whether the words are opposites: in neighbours.yml, in whatever forms (strong, weaker), or one is the other with
    a negating prefix or the ending -less (accurate, inaccurately)."""
    return (_stem(word), _stem(other)) in _opposites() or _negates(word, other) or _negates(other, word)


def _negates(one: str, two: str) -> bool:
    stems = [one.removeprefix(prefix) for prefix in _NEGATIVE if one.startswith(prefix)]
    return (one.endswith("less") and two.startswith(one[:-4]) and not two.endswith("less")) or any(
        len(os.path.commonprefix([stem, two])) >= max(4, min(len(stem), len(two)) - 1) for stem in stems)


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    """What forms of a word have in common, roughly: without endings, and without a doubled letter before them."""
    bare = _ENDINGS.sub("", word) or word
    return bare[:-1] if bare[-2:-1] == bare[-1:] else bare


@lru_cache
def _opposites() -> frozenset[tuple[str, str]]:
    """Pairs of stems of the antonyms in neighbours.yml, in both orders."""
    antonyms = files.table(__file__)["antonyms"].split(";")
    pairs = [tuple(_stem(word) for word in pair.split()) for pair in antonyms]
    return frozenset(pairs + [pair[::-1] for pair in pairs])


@lru_cache(maxsize=2)
def word_table(model: str = "bundled") -> WordTable:
    """The whole words of a checkpoint's vocabulary that may replace others, with their rows of the word table. Raises
    ModelError for a model that cannot be loaded."""
    vocabulary, table = _checkpoint(model)
    tokens = [(i, word) for i, word in whole_words(vocabulary) if i < len(table)]
    return WordTable([word for _, word in tokens], table[[i for i, _ in tokens]])


def _checkpoint(model: str) -> tuple[dict[str, int], np.ndarray]:
    """Vocabulary and word table (V, d), straight from the files where they lie in a folder."""
    from seo_core.models import backbone

    folder = Path(backbone.model_folder(model))
    if (folder / "tokenizer.json").is_file():
        from safetensors import safe_open
        from tokenizers import Tokenizer

        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="numpy") as weights:
                for name in weights.keys():  # noqa: SIM118 - a safetensors handle, no dict
                    if name.endswith(_TABLES) and weights.get_slice(name).get_dtype() in ("F32", "F16"):
                        vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
                        return vocabulary, weights.get_tensor(name).astype(np.float32)
    network, tokenizer = backbone.load_backbone(model)
    return tokenizer.get_vocab(), network.get_input_embeddings().weight.detach().float().numpy()
