"""Vocabulary trimming: a word table without the WordPieces that the task's text does not use.

    counts = token_counts(train, unlabelled)                       # Encoded, any number
    small = trim(model, tokenizer, counts, size=12_000)
    small.model, small.tokenizer                                   # and small.kept: the old ids, in order

BERT's table has 30 522 rows; at hidden size 384 that is 11.7 million weights, half of a MiniLM. Text that was not seen
keeps working: a word whose piece is gone is spelled with shorter pieces (WordPiece takes the longest that exists), and
all single characters, at the beginning of a word and inside, stay, so that nothing becomes [UNK] that was not before.

What is kept is decided on training and unlabelled text. The unknown rate of the official sets is reported, never used.
"""

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from seo_core.quantization.scheme import QuantizationError


@dataclass(frozen=True)
class Trimmed:
    """A network with a smaller word table, the tokenizer that belongs to it, and which rows were kept."""

    model: object
    tokenizer: object  # a fast Hugging Face tokenizer
    kept: np.ndarray  # (n,) old ids in ascending order; their positions are the new ids


def unknown_rates(task, splits, tokenizer, before=None) -> dict[str, float]:
    """`unknown_rate` of the texts of some splits of a task: unknown_rate_<split> …, and the same _baseline by `before`,
    the untrimmed tokenizer. For reporting: nothing may be chosen by it where the splits are the official ones."""
    given = [("", tokenizer), *([("_baseline", before)] if before is not None else [])]
    return {f"{key}_{split.removeprefix('validation_')}{end}": value for split in splits for end, words in given
            for key, value in unknown_rate(words, chain.from_iterable(task[split][t] for t in task.texts)).items()}


def token_counts(*encoded) -> np.ndarray:
    """How often each token id stands in these `Encoded`: (V,) int64."""
    return np.bincount(np.concatenate([part.ids for part in encoded]))


def trim(model, tokenizer, counts: np.ndarray, size: int | None = None) -> Trimmed:
    """A copy of `model` with the rows of the tokens that `counts` (V,) says are used, and its tokenizer.

    Special tokens and single characters always stay. size: at most so many rows, the most frequent first; None: all
    that are used. Raises QuantizationError for a tokenizer that is not WordPiece, empty counts, or a size that does
    not hold what must stay.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    definition = _definition(tokenizer)
    table = model.get_input_embeddings().weight
    counts = np.asarray(counts)
    if counts.sum() == 0:
        raise QuantizationError("no text was counted: pass the token counts of training and unlabelled text")
    counts = np.pad(counts, (0, max(0, len(table) - len(counts))))
    kept = _kept(definition, counts, size)
    if kept[-1] >= len(table):
        raise QuantizationError(f"the tokenizer has ids up to {kept[-1]} and the word table {len(table)} rows: they do "
                                "not belong together")
    network = copy.deepcopy(model)
    padding = int(np.searchsorted(kept, tokenizer.pad_token_id or 0))
    small = torch.nn.Embedding(len(kept), table.shape[1], padding_idx=padding, device=table.device, dtype=table.dtype)
    with torch.no_grad():
        small.weight.copy_(table[torch.from_numpy(kept).to(table.device)])
    small.weight.requires_grad_(table.requires_grad)
    network.set_input_embeddings(small)
    network.config.vocab_size, network.config.pad_token_id = len(kept), padding
    special = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    words = Tokenizer.from_str(json.dumps(_renumber(definition, kept)))
    return Trimmed(network, PreTrainedTokenizerFast(tokenizer_object=words, **special), kept)


def coverage(tokenizer, counts: np.ndarray) -> tuple[int, np.ndarray]:
    """What a trimmed table would hold: the number of rows that always stay, and the share of the counted tokens that
    have a row of their own with 0, 1, 2, … of the most frequent others beside them: (n + 1,) for n that are used.
    counts (V,): of `token_counts`. Raises QuantizationError for a tokenizer that is not WordPiece."""
    counts, always = np.asarray(counts, np.int64), _always(_definition(tokenizer))
    others = ~np.isin(np.arange(len(counts)), [*always])
    ranked = np.sort(counts[others & (counts > 0)])[::-1]
    held = counts[~others].sum() + np.concatenate([[0], np.cumsum(ranked)])
    return len(always), held / max(counts.sum(), 1)


def _definition(tokenizer) -> dict:
    """tokenizer.json of a WordPiece tokenizer. Raises QuantizationError for others."""
    definition = json.loads(tokenizer.backend_tokenizer.to_str())
    if (kind := definition["model"].get("type")) != "WordPiece":
        raise QuantizationError(f"only WordPiece vocabularies are trimmed, not {kind}")
    return definition


def _always(definition: dict) -> set[int]:
    """Ids of special tokens and single characters."""
    vocabulary, prefix = definition["model"]["vocab"], definition["model"]["continuing_subword_prefix"]
    always = {token["id"] for token in definition["added_tokens"]} | {vocabulary[definition["model"]["unk_token"]]}
    return always | {i for token, i in vocabulary.items() if len(token.removeprefix(prefix)) == 1}


def _kept(definition: dict, counts: np.ndarray, size: int | None) -> np.ndarray:
    """Ids that stay, ascending: special tokens, single characters, then by count."""
    always = _always(definition)
    if size is not None and size < len(always):
        raise QuantizationError(f"{size} rows do not hold the {len(always)} special tokens and single characters: "
                                "ask for more")
    ranked = np.argsort(-counts, kind="stable")
    ranked = [int(i) for i in ranked[counts[ranked] > 0] if i not in always]
    return np.array(sorted([*always, *ranked[: None if size is None else size - len(always)]]), np.int64)


def _renumber(definition: dict, kept: np.ndarray) -> dict:
    """tokenizer.json with the kept tokens under their new ids, wherever an id stands in it; in place."""
    new = {int(old): i for i, old in enumerate(kept)}
    model, processor = definition["model"], definition.get("post_processor") or {}
    tokens = {i: token for token, i in model["vocab"].items()}
    model["vocab"] = {tokens[old]: i for old, i in new.items() if old in tokens}
    for token in definition["added_tokens"]:
        token["id"] = new[token["id"]]
    for step in processor.get("processors", [processor]):  # of a Sequence: several
        for special in (step.get("special_tokens") or {}).values():
            special["ids"] = [new[i] for i in special["ids"]]
        for key in {"sep", "cls"} & step.keys():  # BertProcessing holds (token, id)
            step[key] = [step[key][0], new[step[key][1]]]
    if definition.get("padding"):
        definition["padding"]["pad_id"] = new[definition["padding"]["pad_id"]]
    return definition


def unknown_rate(tokenizer, texts: Iterable[str]) -> dict[str, float]:
    """What a vocabulary makes of texts: unknown_rate (share of [UNK] among tokens) and tokens_per_text, without
    special tokens."""
    backend, texts = tokenizer.backend_tokenizer, list(texts)
    if not texts:
        raise QuantizationError("no texts to measure the unknown rate on")
    rows = backend.encode_batch_fast(texts, add_special_tokens=False)
    total = sum(len(row.ids) for row in rows)
    unknown = backend.token_to_id(tokenizer.unk_token)
    return {"unknown_rate": sum(row.ids.count(unknown) for row in rows) / max(total, 1),
            "tokens_per_text": total / len(texts)}
