"""Nearest words in a model's own word table: no resource besides the model.

    neighbours(["painting"], model="bundled")  ->  {"painting": (("paintings", 0.74), ("painted", 0.65), …)}

E (V, d) holds one row per token. Candidates are the whole-word tokens (c rows, normed). Their entries are rounded to
multiples of 2^-11: then every product is one of 2^-22, all sums stay below 4, and fp32 adds them without rounding. So
the cosines are the same in any order of adding, in any block, on any machine.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from seo_core.augmentation.words import FUNCTION, PROTECTED

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
        """word -> up to NEAREST (word, cosine), nearest first, cosine at least FLOOR.

        Left out are those that only negate the word (`opposed`); () for a word without a token of its own.
        """
        missing = [w for w in dict.fromkeys(words) if w in self.position and w not in self.known]
        for start in range(0, len(missing), BLOCK):
            part = missing[start : start + BLOCK]
            own = np.array([self.position[w] for w in part])
            cosine = self.unit[own] @ self.unit.T  # (b, c)
            cosine[np.arange(len(part)), own] = -np.inf
            count = min(NEAREST, cosine.shape[1] - 1)
            top = np.argpartition(-cosine, count - 1, axis=1)[:, :count] if count else np.zeros((len(part), 0), int)
            values = np.take_along_axis(cosine, top, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            for word, found, near in zip(part, np.take_along_axis(top, order, 1), np.take_along_axis(values, order, 1),
                                         strict=True):
                self.known[word] = tuple((str(self.words[i]), float(v)) for i, v in zip(found, near, strict=True)
                                         if v >= FLOOR and not opposed(word, self.words[i]))
        return {w: self.known.get(w, ()) for w in words}


_NEGATIVE = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "mis")


def opposed(word: str, other: str) -> bool:
    """Whether one of the words is the other with a negating prefix or the ending -less: accurate, inaccurately."""
    for one, two in ((word, other), (other, word)):
        for prefix in _NEGATIVE:
            stem = one.removeprefix(prefix)
            if stem != one and len(os.path.commonprefix([stem, two])) >= max(4, min(len(stem), len(two)) - 1):
                return True
        if one.endswith("less") and two.startswith(one[:-4]) and not two.endswith("less"):
            return True
    return False


def neighbours(words, model: str = "bundled") -> dict[str, tuple[tuple[str, float], ...]]:
    """word (lower case) -> its nearest whole words in the model's word table; see WordTable.neighbours."""
    return word_table(model).neighbours(words)


@lru_cache(maxsize=2)
def word_table(model: str = "bundled") -> WordTable:
    """The whole words of a checkpoint's vocabulary that may replace others, with their rows of the word table.

    Whole words are tokens without the sign of a continuation (WordPiece's ##) or, where the vocabulary marks beginnings
    (Ġ or ▁), those with that sign. Lower-case letters only, three or more; no function words, none protected.
    Raises ModelError for a model that cannot be loaded.
    """
    vocabulary, table = _checkpoint(model)
    mark = next((m for m in ("Ġ", "▁") if sum(t.startswith(m) for t in vocabulary) > len(vocabulary) // 10), "")
    whole = re.compile(rf"{mark}[a-z]{{3,}}").fullmatch
    tokens = sorted((i, token[len(mark):]) for token, i in vocabulary.items() if whole(token))
    tokens = [(word, i) for i, word in tokens if word not in FUNCTION and word not in PROTECTED and i < len(table)]
    return WordTable([word for word, _ in tokens], table[[i for _, i in tokens]])


def _checkpoint(model: str) -> tuple[dict[str, int], np.ndarray]:
    """Vocabulary and word table (V, d), straight from the files where they lie in a folder."""
    from seo_core import models

    folder = Path(models.model_folder(model))
    if (folder / "tokenizer.json").is_file():
        from safetensors import safe_open
        from tokenizers import Tokenizer

        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="numpy") as weights:
                for name in weights.keys():  # noqa: SIM118 - a safetensors handle, no dict
                    if name.endswith(_TABLES) and weights.get_slice(name).get_dtype() in ("F32", "F16"):
                        vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
                        return vocabulary, weights.get_tensor(name).astype(np.float32)
    network, tokenizer = models.load_backbone(model)
    return tokenizer.get_vocab(), network.get_input_embeddings().weight.detach().float().numpy()
