"""The results store: one run, one JSON file, with everything needed to judge and repeat it.

    path = results.write("02_baseline", "base", settings=settings, data=task, model_info=info,
                         metrics=metrics, series=result.series, predictions=classes)
    frame = results.load(settings.results_dir, results.reference_dir())    # one row per record

A record lies at `<results_dir>/<profile>/<experiment>/<configuration>-<hash8>-seed<k>.json`.
`hash8` covers all parameters (but the seed, which the name carries), the data's and the model's
fingerprint: results of different data never mix, and the seeds of one setting share it. The
per-example predictions lie beside the record in `…-predictions.npz`.

Files appear whole or not at all: each is written to a hidden temporary file in the same folder,
flushed to the disk, and renamed; the predictions first, the record last. `SCHEMA` below is the
record's definition: `validate` follows it, and the book's page about it is made from it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import math
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seo_core.settings import RunSettings, SettingsError, book_root, display_source, resolve_path

if TYPE_CHECKING:  # pandas costs a second that `write` need not pay
    import pandas as pd

PREDICTIONS_SUFFIX = "-predictions.npz"
PACKAGES = ("numpy", "pandas", "torch", "transformers", "tokenizers", "accelerate", "datasets",
            "scikit-learn", "onnxruntime", "openvino")


class ResultsError(RuntimeError):
    """A record that cannot be written or read; the message names the file or key and a way out."""


# ---------------------------------------------------------------------------------------------
# The record


class Field(NamedTuple):
    """One key of the record: its kind (see `_KINDS`), whether it must be there, its meaning."""

    kind: str
    required: bool
    meaning: str


SCHEMA: dict[str, Field] = {
    "experiment": Field("name", True, "chapter id, such as `02_baseline`"),
    "configuration": Field("name", True, "the papers' id (base, da, tl, al, ssl, prune, quant, kd, seo) "
                                         "or the variant's own"),
    "profile": Field("name", True, "`quick`, `cpu`, `gpu` or `paper`"),
    "seed": Field("count", True, "seed of weights, order, dropout and subsampling"),
    "data": Field("object", True, "what was trained and evaluated on"),
    "data.name": Field("text", True, "`embedded`, a hub id, or `path/to/<folder>`"),
    "data.fingerprint": Field("text", True, "hash of the loaded texts and labels"),
    "data.train_rows": Field("count", True, "training examples available to the run"),
    "data.labels_used": Field("count", True, "labels the run looked at: training and development"),
    "model": Field("object", True, "the network the run started from"),
    "model.name": Field("text", True, "`bundled`, a hub id, or `path/to/<folder>`"),
    "model.fingerprint": Field("text", True, "hash of its weights"),
    "model.parameters": Field("count", True, "number of weights"),
    "model.start_fingerprint": Field("text", False, "hash of the weights that training began from, where a study made "
                                     "these first (the source task's network)"),
    "metrics": Field("numbers", True, "flat, finite numbers; accuracies, precision, recall and F1 are "
                                      "fractions (0–1), sizes bytes, latencies milliseconds per batch. "
                                      "What was not measured is absent, never null"),
    "series": Field("curves", True, "curves: `epoch` or `round` and the values beside it, in lists; "
                                    "null marks a point without a finite value"),
    "parameters": Field("object", True, "all parameters: the run's settings and the experiment's own"),
    "contestants": Field("contests", False, "benchmarks only: name → metrics, measured in the same run"),
    "provenance": Field("object", True, "where the numbers come from"),
    "provenance.commit": Field("text", True, "git commit of the code, or `unknown` outside a clone"),
    "provenance.dirty": Field("flag", True, "whether tracked files differed from that commit"),
    "provenance.code_hash": Field("text", True, "hash of the package's sources as they ran"),
    "provenance.command": Field("text", True, "the command that runs it again"),
    "provenance.started": Field("time", True, "start, UTC, ISO 8601"),
    "provenance.finished": Field("time", True, "end, UTC, ISO 8601"),
    "provenance.machine": Field("object", True, "CPU, its instruction sets, cores, memory, GPU if any"),
    "provenance.threads": Field("count", True, "threads of the numerical library"),
    "provenance.packages": Field("object", True, "versions of Python and the libraries"),
}


def _finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_numbers(value) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and _finite(v) for k, v in value.items())


def _is_curves(value) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, list) and all(x is None or _finite(x) for x in v) for v in value.values())


def _is_time(value) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_KINDS = {
    "name": (lambda v: isinstance(v, str) and bool(_NAME.fullmatch(v)),
             "letters, digits and . _ + - (it is part of a file name)"),
    "text": (lambda v: isinstance(v, str) and bool(v), "a text that is not empty"),
    "count": (lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
              "a whole number, 0 or more"),
    "flag": (lambda v: isinstance(v, bool), "true or false"),
    "time": (_is_time, "an ISO 8601 time with its time zone"),
    "object": (lambda v: isinstance(v, dict), "an object"),
    "numbers": (_is_numbers, "an object of finite numbers (what was not measured is left out)"),
    "curves": (_is_curves, "an object of lists of numbers"),
    "contests": (lambda v: isinstance(v, dict) and all(_is_numbers(m) for m in v.values()),
                 "an object: name → object of finite numbers"),
}


def _why(value, kind: str) -> str:
    """Which entry of an object is wrong, where the kind is one that holds entries."""
    if kind == "numbers" and isinstance(value, dict):
        return "".join(f" ({k!r} is {v!r})" for k, v in value.items() if not _finite(v))[:200]
    return "" if isinstance(value, (dict, list)) else f", not {value!r}"


def validate(record: dict) -> dict:
    """The record itself if it follows `SCHEMA`; otherwise ResultsError naming the first wrong key."""
    if not isinstance(record, dict):
        raise ResultsError(f"a record must be an object, not {type(record).__name__}")
    for key, field in SCHEMA.items():
        holder, _, name = key.rpartition(".")
        inside = record.get(holder, {}) if holder else record
        if name not in inside:
            if field.required:
                raise ResultsError(f"record has no {key!r} ({field.meaning})")
            continue
        good, wanted = _KINDS[field.kind]
        if not good(inside[name]):
            raise ResultsError(f"record's {key!r} must be {wanted}{_why(inside[name], field.kind)}")
    for key in record:
        if key not in SCHEMA:
            raise ResultsError(f"record has an unknown key {key!r}; known: "
                               f"{', '.join(k for k in SCHEMA if '.' not in k)}")
    return record


def schema_table() -> str:
    """`SCHEMA` as a Markdown table (the book's page about records holds exactly this)."""
    lines = ["| key | kind | required | meaning |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {field.kind} | {'yes' if field.required else 'no'} | {field.meaning} |"
              for key, field in SCHEMA.items()]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------
# Provenance


def _package_folder() -> Path:
    return Path(__file__).resolve().parent


def code_hash() -> str:
    """12 hex digits over the names and contents of the package's Python sources."""
    digest = hashlib.sha256()
    for path in sorted(_package_folder().rglob("*.py")):
        digest.update(path.relative_to(_package_folder()).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_package_folder()), *arguments], timeout=20,
                              capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def commit() -> tuple[str, bool]:
    """(commit, dirty) of the clone the package lies in; ("unknown", False) outside a clone."""
    top = _git("rev-parse", "--show-toplevel")
    if not top or not (Path(top) / "seo_core" / "results.py").is_file():  # some other repository
        return "unknown", False
    status = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") or "unknown", bool(status)


def _cpu() -> tuple[str, list[str]]:
    """Name of the CPU, and which of the instruction sets that decide int8/bf16 speed it has."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = value
                break
    except OSError:
        pass
    return name, [s for s in ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx") if f" {s}" in f" {flags}"]


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # asked only if the run loaded it: never imported for this
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if torch is None and shutil.which("nvidia-smi"):
        try:
            done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], timeout=10,
                                  capture_output=True, text=True, check=True)
            return done.stdout.strip().splitlines()[0] if done.stdout.strip() else None
        except (OSError, subprocess.SubprocessError):
            return None
    return None


@functools.cache
def _fixed_machine() -> dict:
    name, sets = _cpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {"cpu": name, "instruction_sets": sets, "cores": cores, "system": platform.system()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gb"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    return found


def machine() -> dict:
    """CPU name, instruction sets, cores this process may use, memory (GB), and the GPU if there is one."""
    gpu = _gpu()
    return {**_fixed_machine(), **({"gpu": gpu} if gpu else {})}


def onednn_capped() -> bool:
    """Whether ONEDNN_MAX_CPU_ISA holds oneDNN below products in bf16 (AVX2_VNNI_2 only converts it)."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in (
        "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) else _fixed_machine()["cores"]


def _packages() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def command(experiment: str, settings: RunSettings, *, source: bool = False) -> str:
    """The command that runs the experiment again; local folders appear as `path/to/<name>`.

    source: whether the chapter has a source task, and so the option.
    """
    return shlex.join(["python", "-m", "seo_core.run", "chapter", experiment, "--profile", settings.profile,
                       "--seed", str(settings.seed), "--data", display_source(settings.data),
                       "--model", display_source(settings.model),
                       *(["--source", display_source(settings.source)] if source else [])])


def _time(value) -> str:
    """A datetime, ISO text or seconds since the epoch as ISO 8601 in UTC."""
    if isinstance(value, (int, float)):
        value = datetime.fromtimestamp(value, UTC)
    elif isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        value = value.astimezone()  # naive means local time
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def provenance(experiment: str, settings: RunSettings, started=None, again: str | None = None) -> dict:
    """Commit, code hash, command, times, machine, threads and package versions, as of now.

    again: the command, where it is not the chapter's."""
    finished = datetime.now(UTC)
    sha, dirty = commit()
    return {"commit": sha, "dirty": dirty, "code_hash": code_hash(), "command": again or command(experiment, settings),
            "started": _time(started if started is not None else finished), "finished": _time(finished),
            "machine": machine(), "threads": _threads(), "packages": _packages()}


# ---------------------------------------------------------------------------------------------
# Writing


def _plain(value):
    """numpy, Path and tuple values as what JSON has; a float that is not finite becomes None."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return _plain(value.tolist())
    if isinstance(value, Path):
        return display_source(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


WALL_CLOCK = ("train_seconds", "examples_per_second")
QUIET = 0.1  # cores that other processes may use while a wall clock is taken for a cost


def _measured(metrics: dict) -> dict:
    """The metrics that hold a number: what was measured, and may be reported.

    None means "not measured" and is left out; a value that is not finite (a run that diverged) is left
    out too, and counted in `non_finite`. Where `other_load` says that other processes used more than QUIET
    cores meanwhile, the wall clock is no cost of this run, and is left out.
    """
    plain = {name: _plain(value) for name, value in metrics.items()}
    disturbed = (plain.get("other_load") or 0.0) > QUIET
    kept = {name: value for name, value in plain.items()
            if value is not None and not (disturbed and name in WALL_CLOCK)}
    lost = sum(metrics[name] is not None and plain[name] is None for name in plain)
    return {**kept, "non_finite": lost} if lost else kept


def _seedless(parameters):
    """Parameters, however deep, without those named `seed`."""
    if isinstance(parameters, dict):
        return {k: _seedless(v) for k, v in parameters.items() if k != "seed"}
    return parameters


def hash8(parameters: dict, data_fingerprint: str, model_fingerprint: str = "") -> str:
    """8 hex digits over all parameters but the seed, the data's and the model's fingerprint."""
    text = json.dumps([_seedless(_plain(parameters)), data_fingerprint, model_fingerprint], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _parameters(settings: RunSettings, parameters: dict | None) -> dict:
    everything = settings.asdict()
    everything.pop("results_dir")  # where the record lies is no property of the run
    everything.update({name: display_source(everything[name]) for name in ("data", "model", "source")})
    return _plain({**everything, **(parameters or {})})


def record_path(experiment: str, configuration: str, *, settings: RunSettings, data, model_fingerprint: str,
                parameters: dict | None = None) -> Path:
    """Where `write` puts the record of these parameters; a run whose record is there need not be repeated."""
    digest = hash8(_parameters(settings, parameters), data.fingerprint, model_fingerprint)
    folder = resolve_path(settings.results_dir) / settings.profile / experiment
    return folder / f"{configuration}-{digest}-seed{settings.seed}.json"


def write(experiment: str, configuration: str, *, settings: RunSettings, data, model_info: dict,
          metrics: dict, series: dict | None = None, parameters: dict | None = None,
          contestants: dict | None = None,
          predictions: dict[str, np.ndarray] | None = None, labels: dict[str, np.ndarray] | None = None,
          started=None, labels_used: int | None = None, logits: bool = False, again: str | None = None) -> Path:
    """Write one record (and its predictions) atomically and return the record's path.

    data: TaskData (`name`, `fingerprint` and `splits` are read). model_info: name, fingerprint
    (of the backbone the run started from), parameters. metrics: flat numbers; None entries are left out.
    predictions: split → (n,) classes or (n, k) logits; of logits the argmax is kept, and with
    `logits=True` the values as float16 under `<split>_logits`. labels: split → (n,) true classes;
    adds `<split>_correct` so that differences can be paired without the data at hand.
    labels_used: default, the rows of train and of the development slices. started: datetime or time.time().
    again: the command that makes this record, where it is not that of the chapter.
    Raises ResultsError for a record that breaks the schema and where the folder cannot be written.
    """
    rows = {name: len(frame) for name, frame in data.splits.items()}
    if labels_used is None:
        labels_used = sum(rows.get(name, 0) for name in ("train", "development", "reward", "acceptance"))
    record = {
        "experiment": experiment, "configuration": configuration, "profile": settings.profile,
        "seed": settings.seed,
        "data": {"name": display_source(data.name), "fingerprint": data.fingerprint,
                 "train_rows": rows.get("train", 0), "labels_used": int(labels_used)},
        "model": {**_plain(model_info), "name": display_source(str(model_info.get("name", "")))},
        "metrics": _measured(metrics), "series": _plain(series or {}),
        "parameters": _parameters(settings, parameters),
        "provenance": provenance(experiment, settings, started, again),
    }
    if contestants is not None:
        record["contestants"] = {str(name): _measured(values) for name, values in contestants.items()}
    validate(record)
    target = record_path(experiment, configuration, settings=settings, data=data,
                         model_fingerprint=record["model"]["fingerprint"], parameters=parameters)
    arrays = _prediction_arrays(predictions, labels, logits)
    _write_pair(target, record, arrays)
    return target


def _prediction_arrays(predictions, labels, keep_logits: bool) -> dict[str, np.ndarray]:
    """What goes into the npz: classes in the smallest integer type, correctness, float16 logits."""
    arrays: dict[str, np.ndarray] = {}
    for split, values in (predictions or {}).items():
        values = np.asarray(values)
        if values.ndim not in (1, 2):
            raise ResultsError(f"predictions of {split!r} must be (n,) classes or (n, k) logits, "
                               f"not {values.shape}")
        classes = values.argmax(axis=1) if values.ndim == 2 else values
        if not np.issubdtype(classes.dtype, np.integer):
            raise ResultsError(f"predictions of {split!r} must be whole numbers or (n, k) logits, "
                               f"not {classes.dtype}")
        extremes = [classes.min(), classes.max()] if len(classes) else [0]
        arrays[split] = classes.astype(np.result_type(*(np.min_scalar_type(x) for x in extremes)))
        if keep_logits and values.ndim == 2:
            arrays[f"{split}_logits"] = values.astype(np.float16)
        if labels is not None and split in labels:
            truth = np.asarray(labels[split])
            if truth.shape != classes.shape:
                raise ResultsError(f"labels of {split!r} are {truth.shape}, its predictions {classes.shape}")
            arrays[f"{split}_correct"] = classes == truth
    return arrays


def _write_pair(target: Path, record: dict, arrays: dict[str, np.ndarray]) -> None:
    """Both files complete on disk under temporary names, then renamed: predictions, then record."""
    beside = predictions_path(target)
    stem = f".{target.stem}.{os.getpid()}-{uuid.uuid4().hex[:6]}"
    new_json, new_npz, old_npz = (target.parent / f"{stem}.{kind}.tmp" for kind in ("json", "npz", "old"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        if arrays:  # stamped, so that a pair torn apart by a kill between the two renames is noticed
            _save(new_npz, lambda f: np.savez_compressed(f, __record__=_stamp(record), **arrays))
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        _save(new_json, lambda f: f.write(text.encode()))
        kept = arrays and beside.exists()
        if kept:
            shutil.copyfile(beside, old_npz)
        if arrays:
            os.replace(new_npz, beside)
        try:
            os.replace(new_json, target)
        except BaseException:
            if kept:
                os.replace(old_npz, beside)
            elif arrays:
                beside.unlink(missing_ok=True)
            raise
        if not arrays:
            beside.unlink(missing_ok=True)  # those of an earlier run of the same setting
        _sync_folder(target.parent)
    except OSError as error:
        raise ResultsError(_advice(error, target)) from error
    except TypeError as error:
        raise ResultsError(f"record {target.name} cannot be written as JSON: {error}") from error
    finally:
        for path in (new_json, new_npz, old_npz):
            with contextlib.suppress(OSError):  # a folder that cannot be written has none of ours either
                path.unlink(missing_ok=True)


def _stamp(record: dict) -> np.ndarray:
    return np.array(record["provenance"]["finished"])


def _save(path: Path, writer) -> None:
    with open(path, "xb") as file:
        writer(file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the renames themselves durable (not every system lets a folder be synced)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _sweep(target: Path) -> None:
    """Remove temporary files that a killed write of this record left more than an hour ago."""
    for path in target.parent.glob(f".{target.stem}.*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
        except OSError:
            pass


def _advice(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        problem, way_out = "the disk is full", "free some space or choose another folder"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        problem, way_out = "the folder cannot be written", "make it writable or choose another"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        problem, way_out = "a file stands where the folder should be", "remove it or choose another folder"
    else:
        problem, way_out = error.strerror or str(error), "check the folder or choose another"
    return (f"cannot write the record {target.name} in {target.parent}: {problem}; {way_out} with "
            "results_dir=… in the notebook or --results-dir on the command line, and run again "
            "(nothing was half-written)")


# ---------------------------------------------------------------------------------------------
# Reading


def reference_dir() -> Path:
    """`book/reference` of the book: the committed records."""
    return book_root() / "book" / "reference"


def predictions_path(record_path: Path) -> Path:
    """Where the predictions of a record lie: `<record>-predictions.npz` beside it."""
    return record_path.with_name(record_path.stem + PREDICTIONS_SUFFIX)


_LOCATIONS: dict[str, Path] = {}  # shown path → where the file is, filled by `load`


def _show(path: Path, folder: Path) -> str:
    """A record's path for pages: from the book's root, or `path/to/<folder>/…` outside it."""
    try:
        shown = path.relative_to(book_root()).as_posix()
    except (ValueError, SettingsError):
        base = folder if folder.is_dir() else folder.parent
        inside = path.relative_to(base).as_posix()
        shown, up = f"path/to/{base.name}/{inside}", base
        while _LOCATIONS.get(shown, path) != path and up != up.parent:  # two folders of one name
            up = up.parent
            shown = f"path/to/{up.name}/{shown.removeprefix('path/to/')}"
    _LOCATIONS[shown] = path
    return shown


def _files(folders, missing_ok: bool):
    """(record file, the folder it was found in), each file once, hidden files and folders left out."""
    seen = set()
    for folder in folders or (reference_dir(),):
        folder = resolve_path(folder)
        if not folder.exists():
            if missing_ok:
                continue
            raise ResultsError(f"no results folder at {folder}; run a chapter first, or name another")
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.json")):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if not hidden and path not in seen:
                seen.add(path)
                yield path, folder


def _read(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ResultsError(f"{path} is no readable record ({error}); restore it, or delete it and run again: "
                           "records are written whole, so something else changed it") from error
    try:
        return validate(record)
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}") from error


def load_records(*folders, missing_ok: bool = True) -> list[dict]:
    """The records under the folders (default: the committed reference records), as dicts with a
    `path` key added. Raises ResultsError naming the file if one is no record."""
    return [{**_read(path), "path": _show(path, folder)} for path, folder in _files(folders, missing_ok)]


_IDENTITY = ("experiment", "configuration", "profile", "seed", "hash8", "data_name", "data_fingerprint",
             "train_rows", "labels_used", "model_name", "model_fingerprint", "model_parameters", "commit",
             "dirty", "code_hash", "started", "finished", "cpu", "gpu", "threads", "command", "path")


def _identity(record: dict) -> dict:
    data, model, source = record["data"], record["model"], record["provenance"]
    return {**{k: record[k] for k in ("experiment", "configuration", "profile", "seed")},
            "hash8": hash8(record["parameters"], data["fingerprint"], model["fingerprint"]),
            "data_name": data["name"], "data_fingerprint": data["fingerprint"],
            "train_rows": data["train_rows"], "labels_used": data["labels_used"],
            "model_name": model["name"], "model_fingerprint": model["fingerprint"],
            "model_parameters": model["parameters"],
            **{k: source[k] for k in ("commit", "dirty", "code_hash", "started", "finished", "threads",
                                      "command")},
            "cpu": source["machine"].get("cpu", ""), "gpu": source["machine"].get("gpu", ""),
            "path": record["path"]}


def _curve_ends(record: dict) -> dict:
    """`first_<name>` and `final_<name>` of each curve: its first and last finite value."""
    ends = {}
    for name, values in record["series"].items():
        known = [v for v in values if v is not None]
        if known:
            ends[f"first_{name}"], ends[f"final_{name}"] = known[0], known[-1]
    return ends


def load(*folders, missing_ok: bool = True) -> pd.DataFrame:
    """The records under the folders (default: the committed reference records) as one tidy frame.

    One row per record: experiment, configuration, profile, seed, hash8, data_*, model_*, provenance,
    `path` (from the book's root), then a column per metric (`metric_<name>` if it shares a name with
    one of these), `first_`/`final_<name>` per curve, `param_<name>` per scalar parameter and `param_<name>_hash8` per
    group of them (its seed apart); NaN where a record has no such number. Sorted, without duplicates.
    Raises ResultsError naming a file that is no record; with missing_ok=False, for a missing folder.
    """
    import pandas as pd

    rows = []
    for record in load_records(*folders, missing_ok=missing_ok):
        scalars = {f"param_{k}": v for k, v in record["parameters"].items()
                   if isinstance(v, (str, int, float)) and k not in ("profile", "seed", "data", "model")}
        scalars |= {f"param_{k}_hash8": hash8(v, "") for k, v in record["parameters"].items() if isinstance(v, dict)}
        metrics = {f"metric_{k}" if k in _IDENTITY else k: v for k, v in record["metrics"].items()}
        rows.append({**scalars, **_curve_ends(record), **metrics, **_identity(record)})
    frame = pd.DataFrame(rows)
    if frame.empty:
        return pd.DataFrame(columns=list(_IDENTITY))
    others = sorted({m for r in rows for m in r} - set(_IDENTITY),
                    key=lambda m: (m.startswith("param_"), m.startswith(("first_", "final_")), m))
    frame = frame[[*_IDENTITY, *others]]
    return frame.sort_values(["experiment", "configuration", "profile", "hash8", "seed", "path"],
                             ignore_index=True)


def load_series(*folders, missing_ok: bool = True) -> pd.DataFrame:
    """All curves in long form: experiment, configuration, profile, seed, data_name, model_name, path,
    step, name, value.

    `step` is the record's own `epoch` or `round` where it has one, else 1, 2, …
    """
    import pandas as pd

    rows = []
    for record in load_records(*folders, missing_ok=missing_ok):
        steps = record["series"].get("epoch") or record["series"].get("round")
        for name, values in record["series"].items():
            if name in ("epoch", "round"):
                continue
            aligned = steps if steps and len(steps) == len(values) else range(1, len(values) + 1)
            rows += [(record["experiment"], record["configuration"], record["profile"], record["seed"],
                      record["data"]["name"], record["model"]["name"], record["path"], step, name, value)
                     for step, value in zip(aligned, values, strict=True)]
    return pd.DataFrame(rows, columns=["experiment", "configuration", "profile", "seed", "data_name",
                                       "model_name", "path", "step", "name", "value"])


def matching(frame: pd.DataFrame, settings: RunSettings) -> pd.DataFrame:
    """The rows of `load` or `load_series` with the profile, data and model of these settings: what a
    chapter may call "this run" where a results folder holds other runs too."""
    mine = ((frame["profile"] == settings.profile) & (frame["data_name"] == display_source(settings.data))
            & (frame["model_name"] == display_source(settings.model)))
    return frame[mine].reset_index(drop=True)


def load_contestants(*folders, missing_ok: bool = True) -> pd.DataFrame:
    """The contestants of benchmark records: one row each, with the record's identity and the metrics."""
    import pandas as pd

    rows = [{**_identity(record), "contestant": name, **values}
            for record in load_records(*folders, missing_ok=missing_ok)
            for name, values in record.get("contestants", {}).items()]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*_IDENTITY, "contestant"])


def record_at(path) -> dict:
    """The record at a path, or at one of the `path` column of `load`. Raises ResultsError where it is none."""
    return _read(_LOCATIONS.get(str(path)) or resolve_path(path))


def predictions(record_path) -> dict[str, np.ndarray]:
    """The arrays kept beside a record (path, or the `path` column of `load`): split → (n,) classes,
    `<split>_correct` → (n,) bool, `<split>_logits` → (n, k) float16. Empty if none were kept.

    Raises ResultsError if the file is damaged or belongs to another write of the record.
    """
    path = _LOCATIONS.get(str(record_path)) or resolve_path(record_path)
    beside = predictions_path(path)
    if not beside.exists():
        return {}
    record = _read(path)
    try:
        with np.load(beside) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:
        raise ResultsError(f"{beside} is damaged ({error}); restore it, or delete both files and run "
                           "again") from error
    if arrays.pop("__record__", None) != _stamp(record):
        raise ResultsError(f"{beside} belongs to another write of its record; run it again:\n"
                           f"  {record['provenance']['command']}")
    return arrays


# ---------------------------------------------------------------------------------------------
# Statistics


class Interval(NamedTuple):
    """An estimate and its 95% interval; `n` is the number of seeds behind it."""

    difference: float
    low: float
    high: float
    n: int = 1


# 97.5% quantiles of Student's t for 1–30 degrees of freedom: no scipy for one table
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
         2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
         2.045, 2.042)


def mean_interval(values) -> Interval:
    """Mean of one value per seed with its 95% t interval; NaN bounds for a single value."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ResultsError("mean_interval needs at least one value")
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = _T975[min(len(values) - 2, 29)] * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(mean, float(mean - half), float(mean + half), len(values))


def _scores(values, labels) -> np.ndarray:
    """(seeds, examples) float scores: correctness if labels are given, else the values as they are."""
    values = np.atleast_2d(np.asarray(values))
    return (values == np.asarray(labels)).astype(float) if labels is not None else values.astype(float)


def paired_difference(a, b, labels=None, *, shared_examples: bool = True, resamples: int = 2000,
                      level: float = 0.95, seed: int = 0) -> Interval:
    """Mean score of `a` minus that of `b`, paired by seed and example, with a bootstrap interval.

    a, b: (seeds, n) or (n,) predicted classes; with labels=None, per-example scores of any kind
    (correct or not, losses). labels: (n,) or (seeds, n). Row k of `a` and of `b` is the same seed.
    Hierarchical: each resample draws seeds, then examples. Of S seeds it draws S − 1, with replacement,
    which makes the seeds' share of the variance unbiased (drawing S would understate it by 1/S; Rao & Wu
    1988). shared_examples: all seeds saw the same evaluation examples, so a resample draws them once.
    It errs on the wide side: with three seeds, simulated intervals held the truth in 97–98% of cases.
    """
    a, b = _scores(a, labels), _scores(b, labels)
    if a.shape != b.shape or a.shape[1] == 0:
        raise ResultsError(f"paired_difference needs two arrays of one shape, not {a.shape} and {b.shape}")
    d = a - b  # (S, n)
    seeds, n = d.shape
    rng = np.random.default_rng(seed)
    drawn = max(seeds - 1, 1)
    means = np.empty(resamples)
    kinds, counts = np.unique(d, axis=1, return_counts=True)  # (S, m): examples with the same differences in all seeds
    if shared_examples and len(counts) <= _FEW_KINDS:  # how often each kind is drawn: the same law, without the draws
        weights = rng.multinomial(drawn, np.full(seeds, 1 / seeds), size=resamples) / drawn  # (resamples, S)
        means = (weights @ kinds * rng.multinomial(n, counts / n, size=resamples)).sum(axis=1) / n
        return _interval(d, means, level)
    chunk = max(1, 2_000_000 // (n if shared_examples else n * drawn))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        picked = rng.integers(0, seeds, (size, drawn))
        if shared_examples:
            weights = np.zeros((size, seeds))
            np.add.at(weights, (np.arange(size)[:, None], picked), 1 / drawn)
            profile = weights @ d  # (size, n): each resample's mean over its seeds
            index = rng.integers(0, n, (size, n))
            means[start:start + size] = np.take_along_axis(profile, index, axis=1).mean(axis=1)
        else:
            index = rng.integers(0, n, (size, drawn, n))
            means[start:start + size] = d[picked[:, :, None], index].mean(axis=(1, 2))
    return _interval(d, means, level)


_FEW_KINDS = 300  # right or wrong, twice, for up to five seeds: at most 3^5


def _interval(d: np.ndarray, means: np.ndarray, level: float) -> Interval:
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(d.mean()), float(low), float(high), len(d))


class McNemar(NamedTuple):
    """Examples only `a` got right, only `b` got right, and the two-sided exact p-value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a, b, labels) -> McNemar:
    """McNemar's exact test on the predictions (n,) of two models over the same examples.

    Under "both are equally good" the examples that only one gets right fall to either side like
    a fair coin; p is twice the smaller binomial tail, at most 1.
    """
    a, b, labels = (np.asarray(x).ravel() for x in (a, b, labels))
    if not len(a) == len(b) == len(labels):
        raise ResultsError(f"mcnemar needs three arrays of one length, not {len(a)}, {len(b)}, {len(labels)}")
    right_a, right_b = a == labels, b == labels
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n, tail, term = only_a + only_b, 0, 1
    for k in range(min(only_a, only_b) + 1):  # exact: whole numbers as long as need be
        tail += term
        term = term * (n - k) // (k + 1)
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**n))
