"""Contextual substitution (Kobayashi 2018; Wu et al. 2019): a masked language model fills chosen words anew.

The chosen words of a text become [MASK]; the other side of the pair stands beside it as context. A replacement is
one of the model's TOP whole words there, drawn by its probability.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from seo_core.augmentation.words import FUNCTION, PROTECTED, MissingResource, choose, draw, first_line, split

DEFAULT = "google-bert/bert-base-uncased"  # the masked LM where none is named, if it is in the hub's cache
TOP = 10  # words considered at a mask
MAX_LENGTH = 256  # tokens of a pair; a mask that truncation cuts off leaves its word as it is
HOW = ("a masked language model is missing: the bundled encoder has no such head. Pass model='<hub id or folder>', or "
       "run, where there is a network, "
       f"`python -c \"from transformers import pipeline; pipeline('fill-mask', '{DEFAULT}')\"`")


def absent() -> str | None:
    """None where the default model is in the hub's cache, else how to name one."""
    from huggingface_hub import try_to_load_from_cache

    there = any(isinstance(try_to_load_from_cache(DEFAULT, name), str) for name in ("model.safetensors",))
    return None if there else HOW


def contextual(job) -> list[str | None]:
    """The texts with chosen words filled in by the model; protected words, names and words of both sides stay."""
    if job.model == "bundled" and absent():
        raise MissingResource(HOW)
    tokenizer, network, candidates = _masked_lm(DEFAULT if job.model == "bundled" else job.model)
    words = split(job.texts)
    beside = [set() if job.others is None else {w.lower() for w in parts[1::2]}
              for parts in split(job.others or [""] * len(job.texts)).parts]
    plain = words.spread(np.array([w.isascii() and w.isalpha() and len(w) > 2 and w not in FUNCTION
                                   for w in words.vocabulary], bool)) & words.editable()
    plain &= np.array([words.vocabulary[i] not in beside[r] for i, r in zip(words.ids, words.row, strict=True)], bool)
    chosen = choose(plain, words, job.keys, job.strength, 11)
    by_row: dict[int, list[int]] = {}
    for at in chosen.tolist():
        by_row.setdefault(int(words.row[at]), []).append(int(words.place[at]))
    changed = set()
    rows = sorted(by_row, key=lambda r: (len(job.texts[r]) + len((job.others or job.texts)[r]), r))
    batch = job.batch_size or 32
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        masked = [_masked(words.parts[r], by_row[r], tokenizer.mask_token) for r in part]
        beside_texts = None if job.others is None else [job.others[r] for r in part]
        for r, found in zip(part, _fill(tokenizer, network, candidates, masked, beside_texts), strict=True):
            if _put(words.parts[r], by_row[r], found, beside[r], job.keys[r]):
                changed.add(r)
    return ["".join(parts) if r in changed else None for r, parts in enumerate(words.parts)]


def _masked(parts: list[str], places: list[int], mask: str) -> str:
    return "".join(mask if i % 2 and i // 2 in places else part for i, part in enumerate(parts))


def _fill(tokenizer, network, candidates, masked: list[str], others):
    """For each text its masks in order: (TOP,) words and their probabilities, likeliest first."""
    import torch

    length = min(MAX_LENGTH, tokenizer.model_max_length, network.config.max_position_embeddings)
    inputs = tokenizer(masked, others, return_tensors="pt", padding=True, truncation="longest_first",
                       max_length=length)
    token_ids, words = candidates  # (c,)
    with torch.inference_mode():
        logits = network(**inputs).logits  # (B, T, V)
        where = inputs["input_ids"] == tokenizer.mask_token_id
        scores = logits[where][:, token_ids].softmax(-1)  # (masks, c)
        values, top = scores.topk(min(TOP, len(words)), dim=-1)
    counts = where.sum(1).tolist()
    found = [([words[i] for i in row], p) for row, p in zip(top.tolist(), values.numpy(), strict=True)]
    return [[found.pop(0) for _ in range(count)] for count in counts]


def _put(parts: list[str], places: list[int], found, beside: set[str], key) -> bool:
    """Writes a drawn word at each place that has one; whether anything changed."""
    changed = False
    for place, (words, chances) in zip(places, found, strict=False):
        at = 2 * place + 1
        kept = [(w, p) for w, p in zip(words, chances, strict=True) if w != parts[at] and w not in beside]
        if not kept:
            continue
        total = np.cumsum([p for _, p in kept])
        point = float(draw(np.array([key], np.uint64), 12, place)[0]) / 2.0**64 * total[-1]
        parts[at] = kept[min(int(np.searchsorted(total, point, side="right")), len(kept) - 1)][0]
        changed = True
    return changed


@lru_cache(maxsize=2)
def _masked_lm(name: str):
    """Tokenizer, model, and the whole words it may fill in: token ids (c,) and words."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from seo_core.models.backbone import ModelError, _quiet, model_folder

    try:
        folder = model_folder(name)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with _quiet():
            network, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, KeyError, ImportError, ModelError) as error:
        raise MissingResource(f"cannot load the masked language model {name!r}: {first_line(error)}. "
                              f"{HOW[0].upper()}{HOW[1:]}") from error
    if tokenizer.mask_token is None or any("predictions" in k or "lm_head" in k for k in report["missing_keys"]):
        raise MissingResource(f"model {name!r} has no masked-LM head: give a checkpoint that was trained as one, such "
                              f"as {DEFAULT}")
    vocabulary = tokenizer.get_vocab()
    mark = next((m for m in ("Ġ", "▁") if sum(t.startswith(m) for t in vocabulary) > len(vocabulary) // 10), "")
    whole = re.compile(rf"{mark}[a-z]{{3,}}").fullmatch
    kept = sorted((i, t[len(mark):]) for t, i in vocabulary.items() if whole(t))
    kept = [(i, w) for i, w in kept if w not in FUNCTION and w not in PROTECTED]
    return tokenizer, network.eval(), ([i for i, _ in kept], [w for _, w in kept])
