"""When is a chapter complete? Signatures and sidecar files.

Beside the executed notebook of a chapter and seed, `.state/<id>-seed<k>.json` keeps its
*signature*: one short hash for each thing its numbers depend on. A chapter is complete, and not
run again, if papermill finished it without an exception, the executed notebook is still the one
that was written, its records are still in the results store, and every component is unchanged.
"""

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from seo_core import files
from seo_core.machine import environment
from seo_core.results.provenance import PACKAGE, code_hash, versions
from seo_core.runner.imports import closure
from seo_core.runner.manifest import Chapter, Manifest
from seo_core.settings import KNOBS, PLACES, RunSettings, load_settings

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
    unlabelled: str = "default"  # and to those that read further texts
    results_dir: str = "default"
    extra: dict = field(default_factory=dict)  # further parameters, from -p key=value
    shown: dict = field(default_factory=dict)  # local path -> how pages write it

    def settings(self, seed: int | None = None) -> RunSettings:
        """The run settings that the chapters will load (raises SettingsError)."""
        places = {name: getattr(self, name) for name in (*PLACES, "results_dir")}
        return load_settings(self.profile, seed=self.seeds[0] if seed is None else seed, **places,
                             **{name: self.extra[name] for name in KNOBS if name in self.extra})

    def parameters(self, seed: int) -> dict:
        """The papermill parameters of one chapter run; those left at "default" are not passed."""
        return {"profile": self.profile, "seed": seed, **self._given("data", "model", "results_dir"), **self.optional}

    @property
    def optional(self) -> dict:
        """The parameters that only some chapters have."""
        return {**self._given("source", "unlabelled"), **self.extra}

    def _given(self, *names: str) -> dict:
        return {name: getattr(self, name) for name in names if getattr(self, name) != "default"}


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


def book_environment(root: Path, *, jobs: int = 1, **variables: str) -> dict[str, str]:
    """The environment of a process of the book, one of `jobs` that compute at once (`machine.environment`): with the
    book, this package, and further variables."""
    paths = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    return {**environment(jobs), "SEO_BOOK": str(root), "PYTHONPATH": paths, **variables}


def digest(*parts) -> str:
    """16 hex digits over the parts, each by its own digest."""
    return files.digest(*map(files.digest, parts), length=16)


def read_json(path: Path) -> dict:
    """The JSON object in a file; {} if it is missing or unreadable (then the chapter is run again)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


# -- signatures ---------------------------------------------------------------------------------


def notebook_hash(path: Path) -> str:
    """Hash of a notebook's sources and tags; its outputs do not count."""
    return digest([(c["cell_type"], "".join(c["source"]), c.get("metadata", {}).get("tags", []))
                   for c in read_json(path).get("cells", [])])


def code_of(notebook: Path) -> str:
    """The Python of a notebook's cells, without what is for IPython alone."""
    return "\n".join(line for cell in read_json(notebook).get("cells", []) if cell["cell_type"] == "code"
                     for line in "".join(cell["source"]).splitlines() if not line.startswith(("%", "!")))


def sources(notebook: Path) -> list[Path]:
    """The package's modules that a notebook imports, directly or not: all of them where its code cannot be read."""
    try:
        return closure(code_of(notebook), PACKAGE)
    except SyntaxError:
        return sorted(PACKAGE.rglob("*.py"))


def source_hash(source: str, root: Path) -> str:
    """Hash of a data or model source: its name, and for a local path the sizes and times of its files."""
    path = root / Path(source).expanduser()
    if not source.startswith((".", "/", "~")) or not path.exists():
        return digest(source)
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return digest(source, *(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in inside))


def records_hash(*folders: Path) -> str:
    """Hash of the records (names and contents) below some folders."""
    return digest(*(part for folder in folders for path in sorted(folder.rglob("*.json"))
                    for part in (f"{folder.name}/{path.relative_to(folder).as_posix()}", path.read_bytes())))


def environment_hash() -> str:
    """Hash of the Python version and of the versions of the packages that make the numbers."""
    return digest(sys.version.split()[0], versions(_PACKAGES))


def operators_hash() -> str:
    """Hash of which resources of the augmentation operators are here: WordNet or Apertium may come later.

    The masked language model of `contextual` does not count: no chapter runs it, and a run may itself bring its model
    into the hub's cache.
    """
    from seo_core.augmentation import translation, wordnet

    return digest(wordnet.absent() is None, translation.absent() is None)


def results_folder(options: Options, root: Path) -> Path:
    """<results_dir>/<profile>, absolute."""
    return (root / Path(options.settings().results_dir).expanduser()).resolve() / options.profile


def signature(manifest: Manifest, chapter: Chapter, seed: int, options: Options) -> dict[str, str]:
    """Component -> hash, for everything a chapter's output depends on."""
    root, notebook, settings = manifest.folder, manifest.notebook(chapter.id), options.settings(seed)
    results, reference = results_folder(options, root), root / "book" / "reference"
    inputs = [manifest.by_id[name] for name in manifest.inputs(chapter)]
    reads = [results / name for each in inputs for name in each.outputs]
    if chapter.kind == "aggregate":
        reads += sorted(p for p in reference.glob("*") if p.is_dir())
    elif results.parent != reference.resolve():  # what a chapter shows of the committed results
        shown = [name for each in (chapter, *inputs) for name in (*each.outputs, *each.shows)]
        reads += [path for name in shown for path in sorted(reference.glob(f"*/{name}"))]
    code = sources(notebook)
    if "artifact.py" in (path.name for path in code):  # which can load those that come with the book
        reads.append(root / "book" / "artifacts")
    return {"parameters": digest(options.parameters(seed)), "notebook": notebook_hash(notebook),
            "code": code_hash(code),
            **{name: source_hash(getattr(settings, name), root) for name in PLACES if getattr(settings, name)},
            "inputs": records_hash(*reads), "environment": environment_hash(), "operators": operators_hash()}


def stale(tree: Tree, chapter: Chapter, seed: int, now: dict[str, str], options: Options) -> str | None:
    """Why a chapter has to run, in two or three words; None if it is complete."""
    state, executed = read_json(tree.sidecar(chapter.id, seed)), tree.executed(chapter.id, seed)
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
    pattern = "*.json" if chapter.once else f"*-seed{seed}.json"
    for name in chapter.outputs:
        if not any((results_folder(options, tree.root) / name).glob(pattern)):
            return f"no records of {name}"
    return None
