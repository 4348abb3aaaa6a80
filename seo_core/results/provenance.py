"""Where the numbers come from: commit, code, command, times, machine, threads, packages."""

import functools
import itertools
import platform
import re
import shlex
import subprocess
import time
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from seo_core.files import digest
from seo_core.machine import machine, threads
from seo_core.settings import NAMES, PROFILES, RunSettings, display_source

PACKAGES = ("numpy", "pandas", "torch", "transformers", "tokenizers", "accelerate", "datasets",
            "scikit-learn", "onnxruntime", "openvino")
PACKAGE = Path(__file__).resolve().parent.parent  # the folder of seo_core


def code_hash(sources: Iterable[Path] | None = None) -> str:
    """12 hex digits over the names and contents of the package's sources and tables, or of some of them."""
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.yml")] if sources is None else sources
    parts = ((path.relative_to(PACKAGE).as_posix(), "\0", path.read_bytes(), "\0") for path in sorted(sources))
    return digest(*itertools.chain.from_iterable(parts), length=12)


def _git(folder: Path, *arguments: str) -> str | None:
    command_line = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command_line, timeout=20, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def commit(folder: Path | None = None) -> tuple[str, bool]:
    """(commit, dirty) of the clone that a folder, by default the package, lies in; ("unknown", False) outside one."""
    top = _git(folder or PACKAGE, "rev-parse", "--show-toplevel")
    if not top or not (folder or (Path(top) / "seo_core" / "settings.py").is_file()):  # some other repository
        return "unknown", False
    status = _git(folder or PACKAGE, "status", "--porcelain", "--untracked-files=no")
    return _git(folder or PACKAGE, "rev-parse", "HEAD") or "unknown", bool(status)


@functools.cache
def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of those of the packages that are installed."""
    present = {name: next(iter(metadata.distributions(name=name)), None) for name in packages}
    return {name: distribution.version for name, distribution in present.items() if distribution}


def command(experiment: str, settings: RunSettings) -> str:
    """The command that runs the experiment again; local folders appear as `path/to/<name>`."""
    return shlex.join(["python", "-m", "seo_core.run", "chapter", experiment, "--profile", settings.profile,
                       "--seed", str(settings.seed), "--data", display_source(settings.data),
                       "--model", display_source(settings.model), *names_given(settings)])


_OPTIONS = ("profile", "seed", "data", "model", "source", "unlabelled", "results_dir", *NAMES)  # by words of their own
_PARAMETERS = tuple(field.name for field in fields(RunSettings) if field.name not in _OPTIONS)


def names_given(settings: RunSettings) -> list[str]:
    """The options of a command line that name further texts, the classes and texts of data that is not NLI, and each
    parameter that is not the profile's own."""
    further = ["--unlabelled", display_source(settings.unlabelled)] if settings.unlabelled else []
    given = {name: ",".join(getattr(settings, name)) for name in NAMES if getattr(settings, name)}
    given |= {name: value for name in _PARAMETERS
              if not settings.is_default(name) and (value := getattr(settings, name)) is not None}
    return further + [word for name, value in given.items() for word in ("-p", f"{name}={value}")]


_ARMS = re.compile(r"(0[2-9]|1[0-3])_")  # the chapters whose arms had commands of their own once
_ARM_OF = {("05_transfer_learning", "base"): "supervised", ("04_adaptive_augmentation", "base"): "robust-base"}


def command_of(record: dict) -> str:
    """The command that makes a record today, whatever module its own command names: by its chapter and configuration.
    What the record's command says beside them is kept: --name, --set and -p, a benchmark's own options, variables that
    stand before it. A number of training rows that it does not say is added."""
    said, options, words = record["provenance"]["command"], {}, []
    latest = words
    before, _, after = said.rpartition("python -m ")
    for word in shlex.split(after):
        if word.startswith("--") or word == "-p":
            options.setdefault(word, [])
            latest = options[word]
        else:
            latest.append(word)
    for replaced in ("--arms", "--labels", "--profile", "--seed", "--seeds", "--data", "--model", "--source"):
        options.pop(replaced, None)
    experiment, configuration, parameters = record["experiment"], record["configuration"], record["parameters"]
    if _ARMS.match(experiment) or words[1:2] == ["arm"]:
        named = "--name" in options or words[1:2] == ["arm"]
        arm = words[-1] if named else _ARM_OF.get((experiment, configuration), configuration)
        labels = record["metrics"].get("labels") or parameters.get("labels")
        target = ["arm", arm, *(["--labels", f"{labels:.0f}"] if labels else [])]
        rows, said = parameters.get("train_rows"), options.get("-p", [])
        if labels is None and rows not in (None, PROFILES[record["profile"]].get("train_rows")) and not any(
                pair.startswith("train_rows=") for pair in said):
            options["-p"] = [*said, f"train_rows={rows}"]
    elif experiment.startswith("bench_") or experiment == "tab3_inference_speed":
        target = ["bench", experiment.removeprefix("bench_").removeprefix("tab3_").removesuffix("_speed")]
    else:
        target = ["compress"] if experiment == "compress" else ["chapter", experiment]
    options |= {"--profile": [record["profile"]], "--seed": [str(record["seed"])], "--data": [record["data"]["name"]],
                "--model": [record["model"]["name"]]}
    if parameters.get("source") and experiment != "compress":  # which has no source task
        options["--source"] = [parameters["source"]]
    return before + shlex.join(["python", "-m", "seo_core.run", *target,
                                *(word for option, values in options.items() for word in _spelled(option, values))])


def _spelled(option: str, values: list[str]) -> list[str]:
    """An option and its values; -p stands before each of its own."""
    return [word for value in values for word in (option, value)] if option == "-p" else [option, *values]


def _time(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def provenance(experiment: str, settings: RunSettings, started: float | None = None, again: str | None = None) -> dict:
    """Commit, code hash, command, times, machine, threads and package versions, as of now. started: as time.time() has
    it. again: the command, where it is not the chapter's."""
    finished = time.time()
    sha, dirty = commit()
    return {"commit": sha, "dirty": dirty, "code_hash": code_hash(), "command": again or command(experiment, settings),
            "started": _time(started if started is not None else finished), "finished": _time(finished),
            "machine": machine(), "threads": threads(),
            "packages": {"python": platform.python_version(), **versions(PACKAGES)}}
