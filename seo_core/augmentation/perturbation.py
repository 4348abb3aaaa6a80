"""Perturbed texts: the same rows with typing errors or with synonyms, and what a model makes of them.

    typed = typos(task["validation_matched"], seed=0)
    metrics = robust_accuracy(model, task["validation_matched"][:2000], tokenizer, texts=task.texts)

SEO-LLM (preprints 202409.0662, section III-B) says that augmentation improves "the model's robustness on
entailment tasks", and gives no measure of it. Ours is accuracy on perturbed copies of an official set: a perturbation
is right if a person would still give the old label. Two kinds:

- *typos*: what fingers do on a keyboard, after Belinkov & Bisk (2018), "Synthetic and Natural Noise Both Break Neural
  Machine Translation"; only inside longer words, and the first letter stays, so that the word can still be read.
  Negations and numbers are left alone: there one letter can turn the label round.
- *paraphrase*: words replaced by synonyms (`augment(…, "synonym")`). A part of ADA's operators does the same to
  training texts: typos are the test that no operator was made for.

The perturbed copies depend on the rows and the seed only, so all models are asked the same.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd

from seo_core.augmentation.core import NLI_TEXTS, OPERATORS, AugmentationError, as_before, augment, check_texts
from seo_core.augmentation.words import NEGATION, NUMBERS, choose, row_keys, split

LONG = 5  # letters; shorter words are often function words, and may become another word by one letter
_KEPT = NEGATION | NUMBERS | {  # among them negations as hurried people write them
    "isnt", "arent", "wasnt", "werent", "doesnt", "didnt", "hasnt", "havent", "hadnt", "wouldnt", "couldnt", "shouldnt",
    "mustnt", "mightnt", "neednt"}
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # each row of keys begins half a key further right


def typos(frame: pd.DataFrame, seed: int = 0, rate: float = 0.1, texts: Sequence[str] = NLI_TEXTS) -> pd.DataFrame:
    """A copy of `frame` (n, …) with one typing error in a share `rate` of the longer words of each of `texts`.

    At least one word of a text is hit where it has one of five letters or more that is neither a negation nor a number.
    Everything else stays, labels included; other seeds give other errors. Raises AugmentationError for a missing
    column, a text that is no text, a rate outside (0, 1] and a seed that is no whole number from 0 on."""
    columns, out = check_texts(frame, texts, seed, "perturb", rate=rate), frame.copy()
    for name, column in zip(texts if len(frame) else (), columns, strict=False):
        words, keys = split(column), row_keys([column], seed, f"typos {name}")
        allowed = words.where(lambda w: len(w) >= LONG and w.isalpha() and w.lower() not in _KEPT)
        chosen = choose(allowed, words, keys, rate, 1)
        for (row, at), bits in zip(words.spots(chosen), words.draw(keys, 2, chosen).tolist(), strict=True):
            words.parts[row][at] = mistype(words.parts[row][at], bits)
        out[name] = as_before(["".join(parts) for parts in words.parts], frame[name].dtype)
    return out


def mistype(word: str, bits: int) -> str:
    """`word` (two letters or more) with one error after its first letter; `bits` (a random integer) says which. A
    fourth each: neighbouring key, swap with the letter before, drop, double. Where the first two would change nothing
    (no such key, two equal letters) the letter is doubled."""
    kind, bits = bits % 4, bits // 4
    at = 1 + bits % (len(word) - 1)
    bits //= len(word) - 1
    before, letter, after = word[:at], word[at], word[at + 1 :]
    near = _neighbours().get(letter.lower(), "")
    if kind == 0 and near:
        key = near[bits % len(near)]
        return before + (key.upper() if letter.isupper() else key) + after
    if kind == 1 and at > 1 and before[-1] != letter:
        return before[:-1] + letter + before[-1] + after
    if kind == 2:
        return before + after
    return before + letter + letter + after


@cache
def _neighbours() -> dict[str, str]:
    """Letter -> the letters whose keys touch its own on a QWERTY keyboard."""
    place = {key: (x + y / 2, y) for y, row in enumerate(_ROWS) for x, key in enumerate(row)}
    return {a: "".join(b for b in place if b != a and abs(place[a][1] - place[b][1]) <= 1
                       and abs(place[a][0] - place[b][0]) <= (1 if place[a][1] == place[b][1] else 0.5))
            for a in place}


def paraphrase(frame: pd.DataFrame, seed: int = 0, texts: Sequence[str] = NLI_TEXTS, strength: float = 0.3
               ) -> pd.DataFrame:
    """A copy of `frame` (n, …) with a share `strength` of the words of one text of each row replaced by synonyms. Rows
    without a word that has one stay as they are, and so does a frame that is not English (with a warning). Raises
    AugmentationError where WordNet is missing (with the command that brings it), for NLI pairs without labels, and as
    `typos` does."""
    check_texts(frame, texts, seed, "perturb", strength=strength)
    out = frame.reset_index(drop=True)
    edited = augment(out, "synonym", strength=strength, seed=seed, texts=tuple(texts))
    for name in texts:
        values = out[name].to_numpy(object, copy=True)
        values[edited["source"].to_numpy(np.int64)] = edited[name].to_numpy(object)
        out[name] = as_before(values, frame[name].dtype)
    return out.set_axis(frame.index)


def perturb(frame: pd.DataFrame, *, texts: Sequence[str] = NLI_TEXTS, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Kind of perturbation -> the perturbed copy of `frame`: "typos" and, where WordNet is here, "paraphrase"."""
    copies = {"typos": typos(frame, seed, texts=texts)}
    if OPERATORS["synonym"].available() is None:
        copies["paraphrase"] = paraphrase(frame, seed, texts)
    return copies


def robust_accuracy(model, frame: pd.DataFrame, tokenizer, *, texts: Sequence[str] = NLI_TEXTS, max_length: int = 128,
                    seed: int = 0, precision: str = "auto", progress: bool = True) -> dict[str, float]:
    """Accuracy of a classifier on perturbed copies of `frame` (n labelled rows); one forward pass each.

    robust_accuracy_typos, robust_accuracy_paraphrase (left out without WordNet), robust_accuracy (the mean of those
    that are there), accuracy_unperturbed (the same rows as they are), perturbed_share_typos and …_paraphrase (rows that
    the perturbation changed at all). Fractions. Raises AugmentationError for an empty frame."""
    from seo_core.data import encode
    from seo_core.evaluation import predict

    if not len(frame):
        raise AugmentationError("there are no rows to perturb: pass a labelled frame")
    copies, labels = perturb(frame, texts=texts, seed=seed), frame["label"].to_numpy(np.int64)

    def accuracy(rows) -> float:
        encoded = encode(rows, tokenizer, texts=texts, max_length=max_length)
        logits = predict(model, encoded, precision=precision, progress=progress)  # (n, k)
        return float((logits.argmax(axis=1) == labels).mean())

    metrics = {"accuracy_unperturbed": accuracy(frame)}
    for kind, copy in copies.items():
        metrics[f"robust_accuracy_{kind}"] = accuracy(copy)
        changed = (copy[list(texts)].to_numpy(object) != frame[list(texts)].to_numpy(object)).any(axis=1)
        metrics[f"perturbed_share_{kind}"] = float(changed.mean())
    metrics["robust_accuracy"] = float(np.mean([metrics[f"robust_accuracy_{kind}"] for kind in copies]))
    return metrics
