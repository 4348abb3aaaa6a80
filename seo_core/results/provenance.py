"""Where the numbers come from: commit, code, command, times, machine, threads, packages."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shlex
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from seo_core.machine import machine, threads
from seo_core.settings import RunSettings, display_source

PACKAGES = ("numpy", "pandas", "torch", "transformers", "tokenizers", "accelerate", "datasets",
            "scikit-learn", "onnxruntime", "openvino")


def _package_folder() -> Path:
    return Path(__file__).resolve().parent.parent


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
    if not top or not (Path(top) / "seo_core" / "settings.py").is_file():  # some other repository
        return "unknown", False
    status = _git("status", "--porcelain", "--untracked-files=no")
    return _git("rev-parse", "HEAD") or "unknown", bool(status)


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
            "machine": machine(), "threads": threads(), "packages": _packages()}
