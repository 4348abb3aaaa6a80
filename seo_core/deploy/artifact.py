"""The artifact: a folder that an engineer can take away, with everything that is needed to use the model.

    save("path/to/artifact", "model.onnx", tokenizer, labels=task.labels, texts=task.texts, card=Card(...))
    pack("path/to/record.json", "path/to/artifact")                # the same from a finished run and its record
    classifier = seo_core.load("path/to/artifact")                 # checks every byte; no torch
    classifier = seo_core.load("reference")                        # one that comes with the book, in book/artifacts
    classifier.predict([("A man sleeps.", "A person rests.")])

    model.onnx       the network in integers; input_ids, attention_mask, token_type_ids -> logits
    tokenizer.json   of the tokenizers library
    config.json      format, labels in the order of the logits, text columns, longest text, what was measured
    README.md        the model card, with a recipe for plain ONNX Runtime
    record.json      the record of the run that made it, where there was one
    SHA256SUMS       of the files above, as sha256sum -c reads it

It is written whole or not at all, and loaded whole or not at all: a file that is missing, damaged or foreign is one
`ArtifactError` that names it. A text with more tokens than the model has positions is cut, the longer text of a pair
first, with a warning; `truncate=False` makes it an error.
"""

import contextlib
import json
import numbers
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seo_core.checks import SettingsError, check_choice
from seo_core.files import atomic_folder, file_digest, table, writing
from seo_core.settings import book_root

FORMAT, SUMS = "seo-artifact-1", "SHA256SUMS"
FILES = ("README.md", "config.json", "model.onnx", "tokenizer.json")
SHARE, SURE = "expected_share_", "expected_confidence"  # metrics of the card that a server watches its answers by
RECORD = "record.json"  # beside them where the artifact was packed from a run
_WORDS = table(__file__)  # of the model card
RECIPE = _WORDS["recipe"]


class ArtifactError(RuntimeError):
    """A folder that is no artifact, or not whole; the message names the file and what to do."""


@dataclass(frozen=True)
class Card:
    """What the model card says beside the files themselves. Everything measured comes from a record."""

    name: str = "text classifier"
    task: str = "natural language inference: does the premise entail the hypothesis?"
    metrics: dict[str, float] = field(default_factory=dict)  # accuracy_matched, latency_ms_p50, … as in records
    data: tuple[str, ...] = ()  # data sets and their licences, a line each
    made: tuple[str, ...] = ()  # how: backbone and its licence, compression steps, a line each
    limits: tuple[str, ...] = ()  # what it should not be used for, a line each
    machine: str = ""  # where latency was measured
    licence: str = "Apache-2.0"
    check: tuple = ()  # texts or pairs, kept in config.json, on which runtimes must agree (`seo_core.deploy.engine`)


def save(folder: str | Path, model: str | Path, tokenizer, *, labels: Sequence[str],
         texts: Sequence[str] = ("premise", "hypothesis"), card: Card | None = None,
         record: str | Path | None = None) -> Path:
    """Writes the artifact from an exported file and its tokenizer (tokenizer.json, or a Hugging Face tokenizer), and
    beside them the record of the run that made it, if one is given. The finished artifact is loaded and run once before
    it takes its name. An artifact that was there is replaced. Raises ArtifactError where something is missing, cannot
    be written, or the pieces do not fit together."""
    folder, model, card = Path(folder), Path(model), card or Card()
    folder = folder if folder.name else folder.resolve()
    _check_words("labels", labels, error=ArtifactError)
    _check_words("texts", texts, most=2, error=ArtifactError)
    for key, value in card.metrics.items():
        if not isinstance(value, numbers.Real):
            raise ArtifactError(f"the card's metrics are numbers, and {key!r} is {value!r}: say it in made= or limits=")
    check_place(folder)
    if not model.is_file():
        raise ArtifactError(f"no model file {model.name}: export one first")
    with (writing(f"the artifact {folder.name}", ArtifactError, "nothing was half-written"),
          atomic_folder(folder) as partial):
        shutil.copyfile(model, partial / "model.onnx")
        try:
            _write_tokenizer(tokenizer, partial / "tokenizer.json")
            (partial / "config.json").write_text(json.dumps(_config(partial, labels, texts, card), indent=1) + "\n")
            (partial / "README.md").write_text(_readme(partial, card), encoding="utf-8")
            if record:
                shutil.copyfile(record, partial / RECORD)
            written = sorted(path.name for path in partial.iterdir())
            (partial / SUMS).write_text("".join(f"{file_digest(partial / name)}  {name}\n" for name in written))
            _try(partial, len(texts))
        except ArtifactError as error:  # which names the folder by its temporary name
            raise ArtifactError(str(error).replace(partial.name, folder.name)) from error
    return folder


def check_place(folder: Path) -> None:
    """Raises ArtifactError where something stands that an artifact would not replace: anything but an artifact or an
    empty folder."""
    if folder.exists() and not (folder / SUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder.name} exists and is no artifact: choose another folder, or remove it first")


def pack(record: str | Path, folder: str | Path, *, name: str = "", **known) -> Path:
    """The artifact of a finished run: its kept file and tokenizer, its record, and a card from it.

    record: the run's JSON file, whose weights were kept with a model.onnx. Beside its own numbers the card gets the
    baseline's accuracy and the benchmark's times, where records of the same results folder and seed have them, and the
    terms known of the record's data and source; and what the run said of its evaluation set, which a server expects.
    known: other fields of the Card, in place of what the records say (metrics: beside it). Raises ArtifactError.
    """
    from seo_core import results

    record = Path(record)
    if not record.is_file():
        raise ArtifactError(f"no record {record.name}: give the JSON file of a run")
    run = results.load_records(record)[0]
    kept = record.parent / ".weights" / record.stem
    if not (kept / "model.onnx").is_file():
        raise ArtifactError(f"the run {record.stem} kept no model.onnx: run it again where its weights may be kept")
    parameters, measured = run["parameters"], run["metrics"]
    shown = {name: measured[name] for name in _WORDS["names"] if name in measured}
    shown |= {name: value for name, value in measured.items() if name.startswith(SHARE)}
    # where both stand, the older place has the one that the compressed networks were made from
    base = _beside(record, run, "09_pruning", "base") or _beside(record, run, "02_baseline", "base")
    timed = _beside(record, run, "tab3_inference_speed", run["configuration"])
    if base and "accuracy_matched" in base["metrics"]:
        shown["accuracy_baseline"] = base["metrics"]["accuracy_matched"]
    if timed:
        shown |= {k: timed["metrics"][k] for k in ("latency_ms_p50", "latency_ms_p95", "batch_size", "threads")}
    recipe, sources = parameters.get("recipe") or {}, [run["data"]["name"]]
    # the source task: its text was read, or counted, or its labels are where training began
    if recipe.get("source_text", bool(recipe.get("vocabulary"))) or parameters.get("start") == "source":
        sources.append(str(parameters.get("source", "")))
    sources.append(str(parameters.get("unlabelled", "")))
    terms = dict.fromkeys(text for source in sources for word, text in _WORDS["terms"].items() if word in source)
    origin = [f"backbone: {_WORDS['backbone']}"] if run["model"]["name"] == "bundled" else []
    origin += [f"run {run['configuration']} of {run['experiment']}, profile {run['profile']}, seed {run['seed']}, "
               f"at commit {run['provenance']['commit']}", f"again: {results.command_of(run)}"]
    card = Card(name or f"{run['configuration']}, {run['data']['train_rows']} training pairs", **{
        "data": tuple(terms), "made": tuple(origin),
        "machine": timed["provenance"]["machine"]["cpu"] if timed else "",
        **known, "metrics": shown | known.get("metrics", {})})
    return save(folder, kept / "model.onnx", kept / "tokenizer.json", labels=parameters["classes"], card=card,
                texts=parameters.get("texts") or parameters.get("text") or ("premise", "hypothesis"), record=record)


def _beside(record: Path, run: dict, experiment: str, configuration: str) -> dict | None:
    """The newest record of another experiment's configuration in the same results folder and profile, of the same
    seed, data and backbone, and not taken with the CPU's instructions capped."""
    from seo_core import results

    same = [other for other in results.load_records(record.parent.parent / experiment)
            if other["configuration"] == configuration and not other["metrics"].get("onednn_capped")
            and other["seed"] == run["seed"]
            and all(other[part]["fingerprint"] == run[part]["fingerprint"] for part in ("data", "model"))]
    return max(same, key=lambda other: other["provenance"]["finished"], default=None)


def _check_words(name: str, given, most: int | None = None, error: type[Exception] = ValueError) -> None:
    """Raises `error` unless `given` is a list of texts, one or more."""
    if not (isinstance(given, (list, tuple)) and 1 <= len(given) <= (most or len(given))
            and all(isinstance(word, str) and word for word in given)):
        raise error(f"{name} must be a list of {'one or two' if most else 'one or more'} texts, got {given!r}")


def load(folder: str | Path, *, threads: int | None = None, engine: str = "onnxruntime"):
    """The classifier of an artifact: a `seo_core.deploy.runners.OnnxRunner` with predict, probabilities and logits.
    Every file is checked against its sha256 first. folder: where it is, or the name of one that comes with the book
    (`shipped`); a folder that is there goes first. threads: as of OnnxRunner. engine: onnxruntime, openvino, auto:
    the faster one here of those that agree (`seo_core.deploy.engine`; the classifier's `engine` says which and why), or
    exact: the same answers on every processor, slower (`seo_core.deploy.exact`).
    Raises ArtifactError for what is missing, damaged or foreign."""
    from seo_core.deploy.runners import RUNTIMES, RunnerError, runner

    folder = locate(folder)
    config = check(folder)
    try:
        check_choice("engine", engine, (*RUNTIMES, "auto"))
        model = runner(folder / "model.onnx", "onnxruntime" if engine == "auto" else engine, threads=threads,
                       tokenizer=folder / "tokenizer.json", labels=config["labels"], columns=config["texts"],
                       max_length=config["max_length"])
        if engine == "auto":
            from seo_core.deploy.engine import choose

            model, model.engine = choose(model, _check_texts(folder, config), folder / SUMS)
        return model
    except RunnerError as error:
        raise ArtifactError(f"the artifact {folder.name} is whole but cannot be run: {error}") from error


def _check_texts(folder: Path, config: dict) -> list | None:
    """The check texts that the artifact has, as `predict` takes them. Raises ArtifactError where they are none."""
    said, count = config.get("check"), len(config["texts"])
    good = said is None or isinstance(said, list) and said and all(
        isinstance(each, str) if count == 1 else isinstance(each, list) and [*map(type, each)] == [str, str]
        for each in said)
    if not good:
        raise ArtifactError(f"the artifact {folder.name} has check texts that the model cannot read: give a list of "
                            f"{'texts' if count == 1 else 'pairs of texts'} (Card(check=...))")
    return said and [each if count == 1 else tuple(each) for each in said]


def shipped() -> dict[str, Path]:
    """Name -> folder of the artifacts that come with the book, those in its book/artifacts. Raises SettingsError where
    there is no book (`seo_core.settings.book_root`)."""
    folders = (book_root() / "book" / "artifacts").glob("[!.]*")
    return {folder.name: folder for folder in sorted(folders) if folder.is_dir()}


def locate(folder: str | Path) -> Path:
    """The folder that is meant: where there is none of a plain name, the book's artifact of that name."""
    folder, name = Path(folder), str(folder)
    if folder.exists() or folder.name != name:  # it is there, or a path that `check` refuses by its name
        return folder
    try:
        known = shipped()
    except SettingsError as error:
        raise ArtifactError(f"no artifact {name!r}: there is no folder of that name, and {error}") from error
    if name not in known:
        raise ArtifactError(f"no artifact {name!r}: there is no folder of that name, and the book comes with "
                            f"{', '.join(known) or 'none'} (book/artifacts)")
    return known[name]


def check(folder: str | Path) -> dict:
    """The artifact's configuration, after every file was compared with its checksum."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ArtifactError(f"no artifact at {folder}: give the folder that `seo_core.deploy.artifact.save` wrote")
    if not (folder / SUMS).is_file():
        raise ArtifactError(f"{folder.name} is no artifact: it has no {SUMS}. Give the folder that "
                            "`seo_core.deploy.artifact.save` wrote")
    lines = [line.partition("  ") for line in (folder / SUMS).read_text(errors="replace").splitlines()]
    sums = {name: digest for digest, gap, name in lines if gap}
    if not set(FILES) <= set(sums) <= {*FILES, RECORD}:
        raise ArtifactError(f"{folder.name} is no artifact of this kind: its {SUMS} does not list {', '.join(FILES)}")
    for name in sums:
        if not (folder / name).is_file():
            raise ArtifactError(f"the artifact {folder.name} has no {name}: copy it again, whole")
        if file_digest(folder / name) != sums[name]:
            raise ArtifactError(f"the artifact {folder.name} is damaged: {name} does not have the sha256 of its "
                                f"{SUMS}. Copy it again, whole")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ArtifactError(f"the artifact {folder.name} has format {config['format']!r}, this version of seo_core "
                                f"reads {FORMAT!r}: update one of them")
        _check_words("labels", config["labels"])
        _check_words("texts", config["texts"], most=2)
        if type(config["max_length"]) is not int or config["max_length"] < 1:
            raise ValueError(f"max_length is {config['max_length']!r}")
    except (ValueError, KeyError, TypeError) as why:
        raise ArtifactError(f"the artifact {folder.name} has no usable config.json ({why}): export it again") from why
    return config


def _write_tokenizer(tokenizer, path: Path) -> None:
    from tokenizers import Tokenizer

    if isinstance(tokenizer, (str, os.PathLike)):
        data = Path(tokenizer).read_bytes()
        with contextlib.suppress(ValueError):  # what is no JSON is refused where it is loaded
            data = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode()
        path.write_bytes(data)  # without the spaces of a file for the eye, a seventh of one with many words
        return
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ArtifactError(f"an artifact holds a tokenizer, and {type(tokenizer).__name__} is none: pass "
                            "tokenizer.json or a fast Hugging Face tokenizer")
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()  # what a file bakes in surprises whoever loads it: both are set by the caller
    copy.no_padding()
    copy.save(str(path), pretty=False)


def _config(folder: Path, labels, texts, card: Card) -> dict:
    from seo_core.deploy.runners import OnnxRunner, RunnerError
    from seo_core.results.provenance import commit

    try:
        run = OnnxRunner(folder / "model.onnx", tokenizer=folder / "tokenizer.json")
    except RunnerError as error:
        raise ArtifactError(f"the model or its tokenizer cannot be loaded: {error}") from error
    sha, dirty = commit()
    check = {"check": [text if isinstance(text, str) else list(text) for text in card.check]} if card.check else {}
    return {"format": FORMAT, "labels": list(labels), "texts": list(texts), "pad_id": run.tokenizer.pad_token_id,
            "max_length": run.max_length, "export": run.export, "metrics": dict(card.metrics),
            "machine": card.machine, "commit": sha + ("+changes" if dirty else ""), **check}


def _try(folder: Path, columns: int) -> None:
    """One prediction, before the folder takes its name: labels, tokenizer and file fit together."""
    model = load(folder)
    words = model.tokenizer.backend_tokenizer.get_vocab_size()
    if model.rows is not None and words > model.rows:
        raise ArtifactError(f"the tokenizer has {words} tokens and the model's word table {model.rows} rows: give the "
                            "tokenizer that belongs to the model (trimming makes a new one)")
    classes = model.probabilities(["A man sleeps." if columns == 1 else ("A man sleeps.",) * 2]).shape[1]
    _check_texts(folder, json.loads((folder / "config.json").read_text()))
    if classes != len(model.labels):  # where the file does not say it
        raise ArtifactError(f"the model has {classes} classes and {len(model.labels)} labels were given: "
                            "pass the labels of the task it was trained on")


def _readme(folder: Path, card: Card) -> str:
    """The model card."""
    config, metrics, names = json.loads((folder / "config.json").read_text()), card.metrics, _WORDS["names"]
    rows = [(title, shape.format(metrics[name])) for name, (title, shape) in names.items() if name in metrics]
    rows += [(f"texts classified as {name.removeprefix(SHARE)}", f"{value:.2%}") if name.startswith(SHARE)
             else (name, f"{value:g}") for name, value in metrics.items() if name not in names]
    rows += [("bytes of model.onnx", f"{(folder / 'model.onnx').stat().st_size:,}".replace(",", " "))]
    export = config["export"]
    bits = export.get("weight_bits", 8)
    weights = "" if export.get("precision") == "fp32" else f", weights of {bits} bits"
    how = [f"exported as {export['precision']}{weights}, word table of {export['embedding_bits']} bits"] * bool(export)
    cut = f"Texts of more than {config['max_length']} tokens are cut, the longer text of a pair first."
    lists = {"made": (*card.made, *how), "data": card.data or ("not stated",),
             "limits": (*card.limits, *_WORDS["limits"], cut)}
    return _WORDS["card"].format(
        name=card.name, task=card.task, overflow=_WORDS["overflow"][export.get("overflows", bits != 7)],
        labels=", ".join(config["labels"]), licence=card.licence, recipe=RECIPE,
        rows="\n".join(f"| {title} | {value} |" for title, value in rows), commit=config["commit"],
        machine=f"Times on {card.machine}. They are those of that machine only.\n\n" if card.machine else "",
        **{name: "\n".join(f"- {line}" for line in lines) for name, lines in lists.items()})
