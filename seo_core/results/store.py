"""The results store: one run, one JSON file, with everything needed to judge and repeat it.

A record lies at `<results_dir>/<profile>/<experiment>/<configuration>-<hash8>-seed<k>.json`. `hash8` covers all
parameters (but the seed, which the name carries), the data's and the model's fingerprint: results of different data
never mix, and the seeds of one setting share it. The per-example predictions lie beside it in `…-predictions.npz`.
Both appear whole or not at all, the predictions first, the record last. `schema.SCHEMA` is the record's definition.
"""

import json
import math
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

from seo_core.checks import SettingsError
from seo_core.files import atomic, digest, kept, writing
from seo_core.machine import has_any
from seo_core.results.provenance import command_of, provenance
from seo_core.results.schema import ResultsError, predictions_path, validate
from seo_core.settings import RunSettings, book_root, display_source, load_settings, resolve_path


def _plain(value):
    """numpy, Path, tuple and dataclass values as what JSON has; a float that is not finite becomes None."""
    if is_dataclass(value):
        value = asdict(value)
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
    None means "not measured" and is left out; a value that is not finite (a run that diverged) is left out too, and
    counted in `non_finite`. Where `other_load` says that other processes used more than QUIET cores meanwhile, the wall
    clock is no cost of this run, and is left out."""
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
    return digest([_seedless(_plain(parameters)), data_fingerprint, model_fingerprint], length=8)


def as_recorded(settings: RunSettings, parameters: dict | None) -> dict:
    """The parameters of a record: the settings' and the experiment's own, as JSON holds them."""
    chosen = settings.asdict()
    chosen.pop("results_dir")  # where the record lies is no property of the run
    chosen.pop("unlabelled", None)  # an arm that reads these texts says so itself
    chosen.pop("labels", None)  # their names are among the "classes"; a record's "labels" are how many a run bought
    sources = {name: display_source(chosen[name]) for name in ("data", "model", "source")}
    return _plain({**chosen, **sources, **(parameters or {})})


def record_path(experiment: str, configuration: str, *, settings: RunSettings, data, model_fingerprint: str,
                parameters: dict | None = None) -> Path:
    """Where `write` puts the record of these parameters; a run whose record is there need not be repeated."""
    code = hash8(as_recorded(settings, parameters), data.fingerprint, model_fingerprint)
    folder = resolve_path(settings.results_dir) / settings.profile / experiment
    return folder / f"{configuration}-{code}-seed{settings.seed}.json"


# What says nothing about the network that was made: what fingerprints or other parameters say already, how often it was
# watched, and in which precision it was scored.
_IMMATERIAL = ("data", "model", "classes", "recipe_id", "evaluations_per_epoch", "evaluation_precision")
_RETIRED = {"lambda_data": 0.5, "lambda_model": 0.5}  # settings that no run ever used


def find(experiment: str, configuration: str, *, settings: RunSettings, data, model_fingerprint: str,
         parameters: dict | None = None) -> Path | None:
    """The record of these parameters in the results folder, by what it holds and not by its name; else None.
    Keys that a record lacks, since they came after it, are taken to have the profile's value, or in a group of
    parameters the default of its dataclass. Of several that fit, the one that was finished last."""
    exact = record_path(experiment, configuration, settings=settings, data=data, model_fingerprint=model_fingerprint,
                        parameters=parameters)
    if exact.is_file():
        return exact
    wanted, defaults = as_recorded(settings, parameters), _defaults(settings, parameters)
    fitting = []
    for path in exact.parent.glob(f"{configuration}-{'[0-9a-f]' * 8}-seed{settings.seed}.json"):
        record = _read(path)
        same_ground = (record["data"]["fingerprint"] == data.fingerprint
                       and record["model"]["fingerprint"] == model_fingerprint)
        if same_ground and _fits(record["parameters"], wanted, defaults):
            fitting.append((record["provenance"]["finished"], path))
    return max(fitting)[1] if fitting else None


def _defaults(settings: RunSettings, parameters: dict | None) -> dict:
    """What absent keys stand for: the profile's values, and the defaults of the dataclasses among the parameters."""
    groups = {name: _plain(type(value)()) for name, value in (parameters or {}).items() if is_dataclass(value)}
    return {**_plain(load_settings(settings.profile).asdict()), **groups}


def _fits(recorded: dict, wanted: dict, defaults: dict) -> bool:
    """Whether a record's parameters are those wanted, groups of them compared key by key."""
    for key in recorded.keys() | wanted.keys():
        if key in _IMMATERIAL or key in _RETIRED and recorded.get(key) == _RETIRED[key]:
            continue
        if key not in recorded:
            if key not in defaults or wanted[key] != defaults[key]:
                return False
        elif isinstance(wanted.get(key), dict) and isinstance(recorded[key], dict):
            if not _fits(recorded[key], wanted[key], defaults.get(key, {})):
                return False
        elif key not in wanted or recorded[key] != wanted[key]:
            return False
    return True


def write(experiment: str, configuration: str, *, settings: RunSettings, data, model_info: dict, metrics: dict,
          series: dict | None = None, parameters: dict | None = None, contestants: dict | None = None,
          predictions: dict[str, np.ndarray] | None = None, labels: dict[str, np.ndarray] | None = None,
          started: float | None = None, labels_used: int | None = None, source_labels: int | None = None,
          logits: bool = False, again: str | None = None) -> Path:
    """Write one record (and its predictions) atomically and return the record's path.

    data: TaskData (`name`, `fingerprint` and `splits` are read). model_info: name, fingerprint (of the backbone the run
    started from), parameters. metrics: flat numbers; None entries are left out. predictions: split → (n,) classes or
    (n, k) logits; of logits the argmax is kept, and with `logits=True` the values as float16 under `<split>_logits`.
    labels: split → (n,) true classes; adds `<split>_correct` so that differences can be paired without the data at
    hand. Where they are scores both are kept, as `<split>_logits` and `<split>_labels`. labels_used: default, the rows
    of train and of the development slices. source_labels: those of the source task behind the start, a count of its
    own. started: of time.time(). again: the command that makes this record, where it is not that of the chapter. Raises
    ResultsError for a record that breaks the schema and where the folder cannot be written.
    """
    rows = {name: len(frame) for name, frame in data.splits.items()}
    if labels_used is None:
        labels_used = sum(rows.get(name, 0) for name in ("train", "development", "reward", "acceptance"))
    record = {
        "experiment": experiment, "configuration": configuration, "profile": settings.profile, "seed": settings.seed,
        "data": {"name": display_source(data.name), "fingerprint": data.fingerprint,
                 "train_rows": rows.get("train", 0), "labels_used": int(labels_used),
                 **({} if source_labels is None else {"source_labels": int(source_labels)})},
        "model": {**_plain(model_info), "name": display_source(str(model_info.get("name", "")))},
        "metrics": _measured(metrics), "series": _plain(series or {}), "parameters": as_recorded(settings, parameters),
        "provenance": provenance(experiment, settings, started, again)}
    if contestants is not None:
        record["contestants"] = {str(name): _measured(values) for name, values in contestants.items()}
    validate(record)
    target = record_path(experiment, configuration, settings=settings, data=data,
                         model_fingerprint=record["model"]["fingerprint"], parameters=parameters)
    _write_pair(target, record, _prediction_arrays(predictions, labels, logits))
    return target


def _prediction_arrays(predictions, labels, keep_logits: bool) -> dict[str, np.ndarray]:
    """What goes into the npz: classes in the smallest integer type, correctness, float16 logits."""
    arrays: dict[str, np.ndarray] = {}
    for split, values in (predictions or {}).items():
        values = np.asarray(values)
        if labels is not None and split in labels and np.asarray(labels[split]).dtype.kind == "f":
            arrays |= {f"{split}_logits": values.astype(np.float16),  # scores have no class
                       f"{split}_labels": np.asarray(labels[split], np.float16)}
            continue
        if values.ndim not in (1, 2):
            raise ResultsError(f"predictions of {split!r} must be (n,) classes or (n, k) logits, not {values.shape}")
        classes = values.argmax(axis=1) if values.ndim == 2 else values
        if not np.issubdtype(classes.dtype, np.integer):
            raise ResultsError(f"predictions of {split!r} must be whole numbers or (n, k) logits, not {classes.dtype}")
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
    try:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except TypeError as error:
        raise ResultsError(f"record {target.name} cannot be written as JSON: {error}") from error
    remark = ("results_dir=… in the notebook or --results-dir on the command line names another folder; nothing was "
              "half-written: run again")
    with writing(f"the record {target.name} in {target.parent}", ResultsError, remark), kept(beside), \
            atomic(target) as new_record:
        new_record.write_text(text, encoding="utf-8")
        if arrays:  # stamped, so that a pair torn apart by a kill between the two renames is noticed
            with atomic(beside) as new_arrays, open(new_arrays, "wb") as file:
                np.savez_compressed(file, __record__=_stamp(record), **arrays)
        else:
            beside.unlink(missing_ok=True)  # those of an earlier run of the same setting


def _stamp(record: dict) -> np.ndarray:
    return np.array(record["provenance"]["finished"])


def reference_dir() -> Path:
    """`book/reference` of the book: the committed records."""
    return book_root() / "book" / "reference"


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
        return validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:
        raise ResultsError(f"{path} is no readable record ({error}); restore it, or delete it and run again: "
                           "records are written whole, so something else changed it") from error
    except ResultsError as error:
        raise ResultsError(f"{path}: {error}. If a newer version of seo_core wrote it, update this one; else restore "
                           "the file, or move it out of the results folder") from error


def load_records(*folders, missing_ok: bool = True) -> list[dict]:
    """The records under the folders (default: the committed reference records), as dicts with a
    `path` key added. Raises ResultsError naming the file if one is no record."""
    return [{**_read(path), "path": _show(path, folder)} for path, folder in _files(folders, missing_ok)]


def newest(configuration: str, *folders, vnni: bool = True) -> dict:
    """The newest record of a benchmark under the folders; {} where there is none.

    vnni: speeds differ in kind between processors that multiply bytes in one instruction and older ones. True: of the
    former, and of any only where no such one has a record; False: of the latter."""
    records = [record for record in load_records(*folders) if record["configuration"] == configuration]
    wanted = [record for record in records if has_any(record["provenance"]["machine"], "vnni") == vnni]
    return max(wanted or records * vnni, key=lambda record: record["provenance"]["finished"], default={})


def record_at(path) -> dict:
    """The record at a path, or at one of the `path` column of `load`. Raises ResultsError where it is none."""
    return _read(_located(path))


def _located(shown) -> Path:
    return _LOCATIONS.get(str(shown)) or resolve_path(shown)


def predictions(record_path) -> dict[str, np.ndarray]:
    """The arrays kept beside a record (path, or the `path` column of `load`): split → (n,) classes, `<split>_correct` →
    (n,) bool, `<split>_logits` → (n, k) float16; of scores `<split>_labels` → (n,) float16, too. Empty if none were
    kept.
    Raises ResultsError if the file is damaged or belongs to another write of the record."""
    path = _located(record_path)
    beside = predictions_path(path)
    if not beside.exists():
        return {}
    record = _read(path)
    try:
        with np.load(beside) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:
        raise ResultsError(f"{beside} is damaged ({error}); restore it, or delete both files and run again") from error
    if arrays.pop("__record__", None) != _stamp(record):
        raise ResultsError(f"{beside} belongs to another write of its record; run it again:\n  {command_of(record)}")
    return arrays
