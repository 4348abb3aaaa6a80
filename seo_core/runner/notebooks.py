"""Notebook plumbing: what is published, pairs, committed outputs, scratch books."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from pathlib import Path

from seo_core import files
from seo_core.runner import RunnerError
from seo_core.runner.manifest import Manifest

INJECTED = "injected-parameters"  # papermill's tag on the cell it adds
_KEPT = ("start_time", "end_time", "duration", "exception", "version", "parameters")


def read(path: Path):
    """The notebook at `path` as nbformat 4; raises RunnerError if it is not one."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise RunnerError(f"{path.name} is not a readable notebook: {error}") from None


def write(notebook, path: Path) -> None:
    """Write a notebook through a temporary file and a rename."""
    import nbformat

    files.write(path, nbformat.writes(notebook) + "\n", sync=False)


# -- what is published --------------------------------------------------------------------------


def machine_paths(root: Path) -> dict[str, str]:
    """Paths of this machine -> what a page says instead, longest first."""
    package = Path(__file__).resolve().parent.parent.parent
    names = {str(root): "path/to/book", str(package): "path/to/book", sys.prefix: "path/to/python",
             sys.base_prefix: "path/to/python", str(Path.home()): "~"}
    return {k: names[k] for k in sorted(names, key=len, reverse=True) if len(k) > 3}


def publishable(notebook, replace: dict[str, str]) -> str:
    """Make an executed notebook fit to publish, in place; returns what stood on stderr.

    Papermill's metadata loses its paths and its notes on each cell, stderr leaves the outputs, and
    every key of `replace` (a machine path) becomes its value in outputs and injected parameters.
    """
    def scrub(value):
        if isinstance(value, str):
            for path, name in replace.items():
                value = value.replace(path, name)
            return value
        if isinstance(value, list):
            return [scrub(item) for item in value]
        return value

    errors = []
    papermill = notebook.metadata.get("papermill", {})
    notebook.metadata["papermill"] = {k: papermill[k] for k in _KEPT if k in papermill}
    parameters = notebook.metadata["papermill"].get("parameters", {})
    notebook.metadata["papermill"]["parameters"] = {k: scrub(v) for k, v in parameters.items()}
    for cell in notebook.cells:
        for key in ("papermill", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.metadata.get("tags") == []:
            cell.metadata.pop("tags")
        if INJECTED in cell.metadata.get("tags", []):
            cell.source = scrub(cell.source)
        kept = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                errors.append("".join(output.text))
                continue
            if "text" in output:
                output["text"] = scrub(output["text"])
            for kind, value in output.get("data", {}).items():
                if not kind.startswith("image/") or kind == "image/svg+xml":
                    output["data"][kind] = scrub(value)
            kept.append(output)
        if cell.cell_type == "code":
            cell["outputs"] = kept
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

    root = manifest.folder
    done = []
    if files.write(root / "book" / "_toc.yml", manifest.toc_text()):
        done.append("book/_toc.yml written from book/manifest.yml")
    folders = [root / "notebooks", root / "book" / "templates"]
    pairs = {p.with_suffix("") for folder in folders for p in folder.glob("*.py")
             if (p.with_suffix(".ipynb").is_file() or "jupytext:" in p.read_text(encoding="utf-8")[:2000]
                 or "# %%" in p.read_text(encoding="utf-8"))}
    pairs |= {p.with_suffix("") for folder in folders for p in folder.glob("*.ipynb")}
    for base in sorted(pairs):
        present = [p for p in (base.with_suffix(".ipynb"), base.with_suffix(".py")) if p.is_file()]
        newest = max(present, key=lambda p: p.stat().st_mtime)
        before = {p: p.read_bytes() for p in present}
        for _ in range(2):  # the second pass settles the metadata that a first pairing adds
            with contextlib.redirect_stdout(io.StringIO()):
                jupytext(["--quiet", "--sync", str(newest)])
            newest = base.with_suffix(".py")
        for path in (base.with_suffix(".ipynb"), base.with_suffix(".py")):
            if path.is_file() and before.get(path) != path.read_bytes():
                done.append(f"{path.relative_to(root).as_posix()} updated")
    return done


def out_of_step(manifest: Manifest) -> list[str]:
    """Names of the notebooks whose .py has other cells (or is missing), and book/_toc.yml where it is not the
    manifest's. Nothing is written."""
    import jupytext

    root, found = manifest.folder, []
    toc = root / "book" / "_toc.yml"
    if not toc.is_file() or toc.read_text(encoding="utf-8") != manifest.toc_text():
        found.append("book/_toc.yml")
    for path in sorted([*(root / "notebooks").glob("*.ipynb"), *(root / "book" / "templates").glob("*.ipynb")]):
        pair = path.with_suffix(".py")
        cells = [[(c.cell_type, c.source, c.metadata.get("tags", []), c.metadata.get("mystnb")) for c in notebook.cells]
                 for notebook in ([read(path), jupytext.read(pair)] if pair.is_file() else [read(path)])]
        if len(cells) == 1 or cells[0] != cells[1]:
            found.append(path.relative_to(root).as_posix())
    return found


def take_outputs(source: Path, executed: Path) -> bool:
    """Copy the outputs of an executed notebook into its committed source; True if anything changed.

    The injected cell is left out. Raises RunnerError if the two do not have the same code cells.
    """
    committed, run = read(source), read(executed)
    ran = [c for c in run.cells if INJECTED not in c.metadata.get("tags", [])]
    if [c.source for c in ran] != [c.source for c in committed.cells]:
        raise RunnerError(f"{source.name} and its executed copy differ: run the chapter again")
    count = 0
    for cell, done in zip(committed.cells, ran, strict=True):
        if cell.cell_type != "code":
            continue
        count += 1
        cell["outputs"] = done["outputs"]
        cell["execution_count"] = count
        for output in cell["outputs"]:
            if "execution_count" in output:
                output["execution_count"] = count
    before = source.read_bytes()
    write(committed, source)
    return source.read_bytes() != before


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
