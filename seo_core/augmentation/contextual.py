"""Contextual substitution (Kobayashi 2018; Wu et al. 2019): a masked language model fills chosen words anew.

The chosen words of a text become [MASK]; the other side of the pair stands beside it as context. A replacement is
one of the model's TOP whole words there, drawn by its probability.
"""

from functools import lru_cache
from itertools import islice

import numpy as np

from seo_core.augmentation.words import FUNCTION, MissingResource, choose, draw, split, whole_words
from seo_core.checks import first_line
from seo_core.models.backbone import ModelError, model_folder, quiet

DEFAULT = "google-bert/bert-base-uncased"  # the masked LM where none is named, if it is in the hub's cache
TOP = 10  # words considered at a mask
MAX_LENGTH = 256  # tokens of a pair; a mask that truncation cuts off leaves its word as it is
HOW = ("a masked language model is missing: the bundled encoder has no such head. Pass model='<hub id or folder>', or "
       "run, where there is a network, "
       f"`python -c \"from transformers import pipeline; pipeline('fill-mask', '{DEFAULT}')\"`")


def absent() -> str | None:
    """None where the default model is in the hub's cache, else how to name one."""
    from huggingface_hub import try_to_load_from_cache

    return None if isinstance(try_to_load_from_cache(DEFAULT, "model.safetensors"), str) else HOW


def contextual(job) -> list[str | None]:
    """The texts with chosen words filled in by the model; protected words, names and words of both sides stay."""
    if job.model == "bundled" and absent():
        raise MissingResource(HOW)
    tokenizer, network, candidates = _masked_lm(DEFAULT if job.model == "bundled" else job.model)
    words, beside = split(job.texts), job.beside()
    plain = words.where(lambda w: w.isascii() and w.isalpha() and len(w) > 2 and w not in FUNCTION)
    allowed = words.without(plain & words.editable(), beside)
    places: dict[int, list[int]] = {}  # text -> its chosen parts
    for row, at in words.spots(choose(allowed, words, job.keys, job.strength, 11)):
        places.setdefault(row, []).append(at)
    batch, mask = job.batch_size or 32, tokenizer.mask_token
    rows = sorted(places, key=lambda r: (len(job.texts[r]) + len((job.others or job.texts)[r]), r))
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        masked = ["".join(mask if at in places[row] else text for at, text in enumerate(words.parts[row]))
                  for row in part]
        others = None if job.others is None else [job.others[row] for row in part]
        for row, fills in zip(part, _fill(tokenizer, network, candidates, masked, others), strict=True):
            parts = words.parts[row]
            for at, (options, chances) in zip(places[row], fills, strict=False):  # truncation may have cut off masks
                fit = [(w, p) for w, p in zip(options, chances, strict=True) if w != parts[at] and w not in beside[row]]
                if fit:
                    parts[at] = _drawn(fit, draw(job.keys[row : row + 1], 12, at // 2)[0])
    return words.edited()


def _fill(tokenizer, network, candidates, masked: list[str], others):
    """For each text its masks in order: (TOP,) words and their probabilities, likeliest first."""
    import torch

    length = min(MAX_LENGTH, tokenizer.model_max_length, network.config.max_position_embeddings)
    inputs = tokenizer(masked, others, return_tensors="pt", padding=True, truncation="longest_first", max_length=length)
    token_ids, words = candidates  # (c,)
    with torch.inference_mode():
        logits = network(**inputs).logits  # (B, T, V)
        where = inputs["input_ids"] == tokenizer.mask_token_id
        scores = logits[where][:, token_ids].softmax(-1)  # (masks, c)
        values, top = scores.topk(min(TOP, len(words)), dim=-1)
    fills = iter([([words[i] for i in row], p) for row, p in zip(top.tolist(), values.numpy(), strict=True)])
    return [list(islice(fills, count)) for count in where.sum(1).tolist()]


def _drawn(fit: list[tuple[str, float]], bits) -> str:
    """One of the (word, probability) pairs, by its probability; `bits` (a random uint64) says which."""
    total = np.cumsum([p for _, p in fit])
    place = int(np.searchsorted(total, float(bits) / 2.0**64 * total[-1], side="right"))
    return fit[min(place, len(fit) - 1)][0]


@lru_cache(maxsize=2)
def _masked_lm(name: str):
    """Tokenizer, model, and the whole words it may fill in: token ids (c,) and words."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    try:
        folder = model_folder(name)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with quiet():
            network, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, KeyError, ImportError, ModelError) as error:
        raise MissingResource(f"cannot load the masked language model {name!r}: {first_line(error)}. "
                              f"{HOW[0].upper()}{HOW[1:]}") from error
    if tokenizer.mask_token is None or any("predictions" in k or "lm_head" in k for k in report["missing_keys"]):
        raise MissingResource(f"model {name!r} has no masked-LM head: give a checkpoint that was trained as one, such "
                              f"as {DEFAULT}")
    candidates = whole_words(tokenizer.get_vocab())
    return tokenizer, network.eval(), ([i for i, _ in candidates], [word for _, word in candidates])
