"""Notebook plumbing: what is published, pairs, committed outputs, scratch books."""

import contextlib
import io
import shutil
import sys
from pathlib import Path

from seo_core import files
from seo_core.results.provenance import PACKAGE
from seo_core.runner import RunnerError
from seo_core.runner.manifest import Manifest

INJECTED = "injected-parameters"  # papermill's tag on the cell it adds
TOOK = "took"  # of a notebook's metadata: the seconds of the run that its outputs are of, and its machine
_KEPT = ("start_time", "end_time", "duration", "exception", "version", "parameters")


def read(path: Path):
    """The notebook at `path` as nbformat 4; raises RunnerError if it is not one."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise RunnerError(f"{path.name} is not a readable notebook: {error}") from None


def write(notebook, path: Path) -> bool:
    """Write a notebook through a temporary file and a rename; False where it is there already."""
    import nbformat

    return files.write(path, nbformat.writes(notebook) + "\n", sync=False)


# -- what is published --------------------------------------------------------------------------


def machine_paths(root: Path) -> dict[str, str]:
    """Paths of this machine -> what a page says instead, longest first."""
    names = {str(root): "path/to/book", str(PACKAGE.parent): "path/to/book", sys.prefix: "path/to/python",
             sys.base_prefix: "path/to/python", str(Path.home()): "~"}
    names = {path: name for path, name in names.items() if path not in ("/usr", "/usr/local")}  # a system's own Python
    return {k: names[k] for k in sorted(names, key=len, reverse=True) if len(k) > 3}


def publishable(notebook, replace: dict[str, str]) -> str:
    """Make an executed notebook fit to publish, in place; returns what stood on stderr.

    Papermill's metadata loses its paths and its notes on each cell, stderr leaves the outputs, and
    every key of `replace` (a machine path) becomes its value in outputs and injected parameters.
    """
    def scrub(value):
        if isinstance(value, list):
            return [scrub(item) for item in value]
        for path, name in replace.items() if isinstance(value, str) else ():
            value = value.replace(path, name)
        return value

    errors, papermill = [], notebook.metadata.get("papermill", {})
    parameters = {name: scrub(value) for name, value in papermill.get("parameters", {}).items()}
    notebook.metadata["papermill"] = {key: papermill[key] for key in _KEPT if key in papermill}
    notebook.metadata["papermill"]["parameters"] = parameters
    for cell in notebook.cells:
        for key in ("papermill", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)
        elif INJECTED in cell.metadata["tags"]:
            cell.source = scrub(cell.source)
            cell.metadata["tags"] = [INJECTED, "hide-input"]  # as the parameters above it
        if cell.cell_type != "code":
            continue
        errors += ["".join(output.text) for output in cell.outputs if output.get("name") == "stderr"]
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            if "text" in output:
                output["text"] = scrub(output["text"])
            for kind, value in output.get("data", {}).items():
                if not kind.startswith("image/") or kind == "image/svg+xml":
                    output["data"][kind] = scrub(value)
    return "".join(errors)


def is_checked(cell) -> bool:
    """Whether it is a code cell with an assertion whose output nbval compares."""
    return (cell.cell_type == "code" and "nbval-ignore-output" not in cell.metadata.get("tags", [])
            and any(line.strip().startswith("assert ") for line in cell.source.splitlines()))


def checks(notebook) -> int:
    """The number of checked cells."""
    return sum(map(is_checked, notebook.cells))


# -- pairs and committed outputs ----------------------------------------------------------------


def sync(manifest: Manifest) -> list[str]:
    """Bring every notebook and its .py together (the newer one wins) and write book/_toc.yml.

    Returns lines that say what was done.
    """
    from jupytext.cli import jupytext

    root, changed = manifest.folder, []
    if files.write(root / "book" / "_toc.yml", manifest.toc_text()):
        changed.append("book/_toc.yml written from book/manifest.yml")
    paired = _paired(root, ".ipynb") + [p for p in _paired(root, ".py") if "# %%" in p.read_text(encoding="utf-8")]
    for base in sorted({path.with_suffix("") for path in paired}):
        pair = [base.with_suffix(".ipynb"), base.with_suffix(".py")]
        before = {path: path.read_bytes() for path in pair if path.is_file()}
        newest = max(before, key=lambda path: path.stat().st_mtime)
        for source in (newest, pair[1]):  # the second pass settles the metadata that a first pairing adds
            with contextlib.redirect_stdout(io.StringIO()):
                jupytext(["--quiet", "--sync", str(source)])
        changed += [f"{path.relative_to(root).as_posix()} updated" for path in pair
                    if path.is_file() and before.get(path) != path.read_bytes()]
    return changed


def _paired(root: Path, suffix: str) -> list[Path]:
    """The files of one kind in the folders that hold pairs."""
    return sorted(path for name in ("notebooks", "book/templates") for path in (root / name).glob(f"*{suffix}"))


def out_of_step(manifest: Manifest) -> list[str]:
    """Names of the notebooks whose .py has other cells (or is missing), and book/_toc.yml where it is not the
    manifest's. Nothing is written."""
    import jupytext

    def cells(notebook):
        return [(c.cell_type, c.source, c.metadata.get("tags", []), c.metadata.get("mystnb")) for c in notebook.cells]

    root = manifest.folder
    toc = root / "book" / "_toc.yml"
    stale = [] if toc.is_file() and toc.read_text(encoding="utf-8") == manifest.toc_text() else ["book/_toc.yml"]
    for path in _paired(root, ".ipynb"):
        pair = path.with_suffix(".py")
        if not pair.is_file() or cells(read(path)) != cells(jupytext.read(pair)):
            stale.append(path.relative_to(root).as_posix())
    return stale


def take_outputs(source: Path, executed: Path) -> bool:
    """Copy the outputs of an executed notebook, and how long they took, into its committed source; True if anything
    changed.

    The injected cell is left out. Raises RunnerError if the two do not have the same code cells.
    """
    committed, run = read(source), read(executed)
    ran = [c for c in run.cells if INJECTED not in c.metadata.get("tags", [])]
    if [c.source for c in ran] != [c.source for c in committed.cells]:
        raise RunnerError(f"{source.name} and its executed copy differ: run the chapter again")
    code = [(cell, done) for cell, done in zip(committed.cells, ran, strict=True) if cell.cell_type == "code"]
    for count, (cell, done) in enumerate(code, 1):
        cell.update(outputs=done.outputs, execution_count=count)
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    if TOOK in run.metadata:
        committed.metadata[TOOK] = run.metadata[TOOK]
    return write(committed, source)


# -- scratch books ------------------------------------------------------------------------------


def scratch_book(root: Path, folder: Path) -> Path:
    """A copy of the book's text, reference results and notebooks in `folder`, without any results.

    With $SEO_BOOK set to it, a test runs chapters without touching _build/results. What an earlier copy in `folder` had
    of text, records and notebooks goes; its own results stay.
    """
    ignore = shutil.ignore_patterns("_static", "_build", ".ipynb_checkpoints")
    for name in ("book", "notebooks"):
        if (root / name).is_dir():
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(root / name, folder / name, ignore=ignore)
    return folder
