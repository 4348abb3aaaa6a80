"""When is a chapter complete? Signatures, sidecar files, locks and safe writing.

Beside the executed notebook of a chapter and seed, `.state/<id>-seed<k>.json` keeps its
*signature*: one short hash for each thing its numbers depend on. A chapter is complete, and not
run again, if papermill finished it without an exception, the executed notebook is still the one
that was written, its records are still in the results store, and every component is unchanged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from seo_core.runner import RunnerError
from seo_core.runner.manifest import Chapter, Manifest
from seo_core.settings import RunSettings, load_settings

# A new version of one of these may change a chapter's numbers.
_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "numpy", "pandas", "scikit-learn",
             "onnxruntime", "matplotlib")


@dataclass(frozen=True)
class Options:
    """What the user asked for, with local paths already relative to the book's root."""

    profile: str = "quick"
    seeds: tuple[int, ...] = (0,)
    data: str = "default"
    model: str = "default"
    source: str = "default"  # goes to the chapters that have a source task
    results_dir: str = "default"
    extra: dict = field(default_factory=dict)  # further parameters, from -p key=value
    shown: dict = field(default_factory=dict)  # local path -> how pages write it

    def settings(self, seed: int | None = None) -> RunSettings:
        """The run settings that the chapters will load (raises SettingsError)."""
        return load_settings(self.profile, seed=self.seeds[0] if seed is None else seed, data=self.data,
                             model=self.model, source=self.source, results_dir=self.results_dir)

    def parameters(self, seed: int) -> dict:
        """The papermill parameters of one chapter run; those left at "default" are not passed."""
        named = {"data": self.data, "model": self.model, "results_dir": self.results_dir}
        return {"profile": self.profile, "seed": seed,
                **{k: v for k, v in named.items() if v != "default"}, **self.optional}

    @property
    def optional(self) -> dict:
        """The parameters that only some chapters have."""
        return {**({} if self.source == "default" else {"source": self.source}), **self.extra}


@dataclass(frozen=True)
class Tree:
    """The folders of one book and profile."""

    root: Path
    profile: str

    @property
    def staging(self) -> Path:
        """_build/run/<profile>: what Jupyter Book renders."""
        return self.root / "_build" / "run" / self.profile

    @property
    def state(self) -> Path:
        """Sidecar files."""
        return self.staging / ".state"

    def executed(self, name: str, seed: int) -> Path:
        """The executed notebook of a chapter and seed (the first seed's is copied into the book)."""
        return self.staging / "seeds" / str(seed) / "notebooks" / f"{name}.ipynb"

    def partial(self, name: str, seed: int) -> Path:
        """The notebook of a chapter and seed while it runs, as papermill saves it on the way."""
        return self.state / "partial" / f"{name}-seed{seed}.ipynb"

    def staged(self, name: str) -> Path:
        """The notebook of a chapter in the tree that is rendered."""
        return self.staging / "notebooks" / f"{name}.ipynb"

    def failed(self, name: str, seed: int) -> Path:
        """Where the notebook of a failed chapter is kept, outside the rendered tree."""
        return self.root / "_build" / "failed" / self.profile / str(seed) / f"{name}.failed.ipynb"

    def sidecar(self, name: str, seed: int, suffix: str = "json") -> Path:
        """The state file of a chapter and seed."""
        return self.state / f"{name}-seed{seed}.{suffix}"


def digest(*parts: bytes | str) -> str:
    """The first 16 hex digits of the sha256 of the parts, each with its length."""
    total = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        total.update(f"{len(part)}:".encode())
        total.update(part)
    return total.hexdigest()[:16]


def write_text(path: Path, text: str) -> bool:
    """Write through a temporary file and a rename; False if the file already says that."""
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(text.encode())
    os.replace(temporary, path)
    return True


def read_json(path: Path) -> dict:
    """The JSON object in a file; {} if it is missing or unreadable (then the chapter is run again)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def lock(path: Path, what: str):
    """Hold an exclusive lock on `path`, freed by the system if the process dies.

    Raises RunnerError if another process has it. Without fcntl (Windows) there is no lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except OSError:
            raise RunnerError(f"{what} is in use by another run; wait for it or stop it") from None
        yield


# -- signatures ---------------------------------------------------------------------------------


def notebook_hash(path: Path) -> str:
    """Hash of a notebook's sources and tags; its outputs do not count."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [(c["cell_type"], "".join(c["source"]), c.get("metadata", {}).get("tags", []))
             for c in notebook.get("cells", [])]
    return digest(json.dumps(cells))


def code_hash(package: Path | None = None, *, runner: bool = False) -> str:
    """Hash of the sources of seo_core; without the runner's own, which change no number."""
    package = package or Path(__file__).resolve().parent.parent
    parts: list[bytes | str] = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package).as_posix()
        if runner or not (relative == "run.py" or relative.startswith("runner/")):
            parts += [relative, path.read_bytes()]
    return digest(*parts)


def source_hash(source: str, root: Path) -> str:
    """Hash of a data or model source: its name, and for a local path the sizes and times of its files."""
    path = root / Path(source).expanduser()
    if not source.startswith((".", "/", "~")) or not path.exists():
        return digest(source)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    listing = [f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files]
    return digest(source, *listing)


def records_hash(*folders: Path) -> str:
    """Hash of the records (names and contents) below some folders."""
    parts: list[bytes | str] = []
    for folder in folders:
        for path in sorted(folder.rglob("*.json")):
            parts += [f"{folder.name}/{path.relative_to(folder).as_posix()}", path.read_bytes()]
    return digest(*parts)


def environment_hash() -> str:
    """Hash of the Python version and of the versions of the packages that make the numbers."""
    versions = [sys.version.split()[0]]
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{name}=={metadata.version(name)}")
    return digest(*versions)


def operators_hash() -> str:
    """Hash of the names of the augmentation operators whose resources are here: WordNet or Apertium may come later.

    `contextual` does not count: no chapter runs it, and a run may itself bring its model into the hub's cache.
    """
    from seo_core.augmentation import OPERATORS

    return digest(*(name for name, o in OPERATORS.items() if name != "contextual" and o.available() is None))


def results_folder(options: Options, root: Path) -> Path:
    """<results_dir>/<profile>, absolute."""
    return (root / Path(options.settings().results_dir).expanduser()).resolve() / options.profile


def signature(manifest: Manifest, chapter: Chapter, seed: int, options: Options) -> dict[str, str]:
    """Component -> hash, for everything a chapter's output depends on."""
    root = manifest.folder
    settings = options.settings(seed)
    results = results_folder(options, root)
    reads = [results / name for i in manifest.inputs(chapter) for name in manifest.by_id[i].outputs]
    reference = root / "book" / "reference"
    if chapter.kind == "aggregate":
        reads += sorted(p for p in reference.glob("*") if p.is_dir())
    elif results.parent != reference.resolve():  # what a chapter shows of the committed results
        shown = [chapter, *(manifest.by_id[i] for i in manifest.inputs(chapter))]
        reads += [p for c in shown for name in c.outputs for p in sorted(reference.glob(f"*/{name}"))]
    return {
        "parameters": digest(json.dumps(options.parameters(seed), sort_keys=True)),
        "notebook": notebook_hash(manifest.notebook(chapter.id)),
        "code": code_hash(),
        "data": source_hash(settings.data, root),
        "model": source_hash(settings.model, root),
        "source": source_hash(settings.source, root),
        "inputs": records_hash(*reads),
        "environment": environment_hash(),
        "operators": operators_hash(),
    }


def stale(tree: Tree, chapter: Chapter, seed: int, now: dict[str, str], options: Options) -> str | None:
    """Why a chapter has to run, in two or three words; None if it is complete."""
    state = read_json(tree.sidecar(chapter.id, seed))
    executed = tree.executed(chapter.id, seed)
    if not state or not executed.is_file():
        return "not run yet"
    if state.get("status") != "complete":
        return "failed last time"
    if state.get("sha") != digest(executed.read_bytes()):
        return "its notebook was changed by hand"
    times = read_json(executed).get("metadata", {}).get("papermill", {})
    if not times.get("end_time") or times.get("exception"):
        return "interrupted last time"
    for key, value in now.items():
        if state.get("signature", {}).get(key) != value:
            return f"{key} changed"
    results = results_folder(options, tree.root)
    pattern = "*.json" if chapter.once else f"*-seed{seed}.json"
    for name in chapter.outputs:
        if not any((results / name).glob(pattern)):
            return f"no records of {name}"
    return None


def commit(root: Path) -> str:
    """The short git commit of the book, with "+" if files differ from it; "" outside git."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "--short=10", "HEAD")
        return head + ("+" if head and git("status", "--porcelain", "--untracked-files=no") else "")
    except OSError:
        return ""
