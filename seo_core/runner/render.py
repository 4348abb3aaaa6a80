"""The staging tree (prose, table of contents, status page, executed chapters) and its HTML.

Jupyter Book 1.x builds the tree with warnings as errors; the finished pages replace the old ones
in `_build/html` by a rename, so a build that fails leaves the previous book as it was.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from seo_core import files
from seo_core.results.provenance import code_hash
from seo_core.runner import RunnerError, api, notebooks, process, timing
from seo_core.runner.manifest import Manifest
from seo_core.runner.state import Tree, book_environment, digest, environment_hash, read_json

COMMITTED = "committed"  # the "profile" of a tree made of the committed notebooks
RECORDED = "recorded_times.json"  # chapter -> what its arms took under `cpu`, in words
_NOT_STAGED = ("book/manifest.yml", "book/_toc.yml", "book/status.md")  # the manifest would make the tree a book
_ARTIFACTS = Path("book/artifacts")  # models to take away, whose cards are no pages
_ROOT_FILES = ("_config.yml", "README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE")
_STAMP = ".seo-build"


def stage_prose(manifest: Manifest, tree: Tree) -> None:
    """Copy book/ and the few root files that pages include; remove what is no longer there."""
    root, staging = manifest.folder, tree.staging
    wanted = {Path(name): (root / name).read_bytes() for name in _ROOT_FILES if (root / name).is_file()}
    for path in (root / "book").rglob("*"):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        kept_out = relative.as_posix() in _NOT_STAGED or relative.is_relative_to(_ARTIFACTS)
        if path.is_file() and not hidden and not kept_out:
            wanted[relative] = path.read_bytes()
    index = Path(f"{api.INDEX}.md")
    if index in wanted:
        wanted |= {Path(f"{page}.md"): text for page, text in api.pages(wanted[index].decode()).items()}
    wanted[Path("book/_toc.yml")] = manifest.toc_text()
    for relative, content in wanted.items():
        files.write(staging / relative, content, sync=False)
    kept = {*wanted, Path("book/status.md"), *(Path(f"notebooks/{c.id}.ipynb") for c in manifest.chapters)}
    for path in [*(staging / "book").rglob("*"), *(staging / "notebooks").glob("*.ipynb")]:
        if path.is_file() and path.relative_to(staging) not in kept:
            path.unlink()


def stage_committed(manifest: Manifest, tree: Tree) -> None:
    """Put the committed notebooks, with the outputs they carry, into the tree."""
    for chapter in manifest.chapters:
        files.write(tree.staged(chapter.id), manifest.notebook(chapter.id).read_bytes(), sync=False)


def status_page(manifest: Manifest, tree: Tree, recorded: dict[str, str]) -> str:
    """The generated page: for each chapter its run time, parameters, commit and checks (Markdown); and how long its
    arms take under `cpu` (`timing.recorded`)."""
    rows, states, took = [], {}, {}
    for chapter in manifest.chapters:
        seed = tree.state / "staged" / chapter.id
        states[chapter] = read_json(tree.sidecar(chapter.id, seed.read_text())) if seed.is_file() else {}
        if not states[chapter]:
            took[chapter] = read_json(tree.staged(chapter.id)).get("metadata", {}).get(notebooks.TOOK)
    machines = sorted({each["machine"] for each in took.values() if each})
    one = len(machines) == 1 and len(took) == len(states)  # then it is said once
    for chapter, state in states.items():
        link, arms = f"[{chapter.title}](../notebooks/{chapter.id}.ipynb)", recorded[chapter.id] or "–"
        if not state:
            told = took[chapter]
            run = f"{told['seconds']:.0f} s" + f" ({told['machine']})" * (not one) if told else "–"
            rows.append((link, run, arms, "as committed", "–", "–", "not run here"))
            continue
        parameters = ", ".join(f"`{k}={v}`" for k, v in state["parameters"].items())
        count = state.get("checks", 0)
        passed = f"{count} check{'s' * (count != 1)} passed" if count else "ran; nothing to check"
        rows.append((link, f"{state['seconds']:.0f} s", arms, parameters, state["finished"],
                     state["commit"] or "not in git", passed))
    seeds = sorted({int(p.name) for p in (tree.staging / "seeds").glob("*") if p.name.isdigit()})
    words = files.table(__file__)
    several = words["seeds"].format(seeds=", ".join(map(str, seeds))) if len(seeds) > 1 else ""
    about = words["committed" if tree.profile == COMMITTED else "run"]
    shown, columns = slice(3 if tree.profile == COMMITTED else None), words["columns"]
    table = ["| " + " | ".join(cells[shown]) + " |" for cells in (tuple(columns), tuple(columns.values()), *rows)]
    where = words["machine"].format(machine=machines[0]) if one else ""
    return words["page"].format(about=about, table="\n".join(table), where=where, seeds=several).rstrip() + "\n"


def render(manifest: Manifest, tree: Tree, output: Path, *, force: bool = False, say=print) -> Path:
    """Build the staging tree into `output` and say where it is; returns its index.html.

    Nothing is built if nothing changed since. Raises RunnerError with Sphinx's warnings if there
    are any; the previous pages then stay.
    """
    in_use = RunnerError("the book's rendering is in use by another run; wait for it or stop it")
    with files.lock(manifest.folder / "_build" / ".render.lock", in_use):
        stage_prose(manifest, tree)
        arms = timing.recorded(manifest)
        files.write(tree.staging / "book" / "status.md", status_page(manifest, tree, arms), sync=False)
        files.write(tree.staging / "book" / RECORDED, json.dumps(arms), sync=False)
        for page in manifest.pages():
            if not any((tree.staging / f"{page}{suffix}").is_file() for suffix in (".md", ".ipynb", ".rst")):
                raise RunnerError(f"book/manifest.yml lists the page {page}, but there is no {page}.md")
        stamp, built = _stamp(tree), output / _STAMP
        if not force and built.is_file() and built.read_text() == stamp:
            say("pages are up to date")
        else:
            if output.is_dir() and not built.is_file() and any(output.iterdir()):
                raise RunnerError(f"{output} holds files that are no earlier build of this book; choose another folder "
                                  "or empty it")
            say("rendering …")
            pages = _jupyter_book(manifest, tree)
            (pages / _STAMP).write_text(stamp)
            with files.atomic_folder(output) as folder:
                shutil.copytree(pages, folder, dirs_exist_ok=True)
    say(f"the book is at {os.path.relpath(output / 'index.html')}")
    return output / "index.html"


def _stamp(tree: Tree) -> str:
    """Hash of all that the pages are made of."""
    parts = [code_hash(), environment_hash()]
    parts += [path.read_bytes() for path in sorted((tree.root / _ARTIFACTS).glob("*/SHA256SUMS"))]  # for the browser
    for path in sorted(tree.staging.rglob("*")):
        relative = path.relative_to(tree.staging)
        if path.is_file() and relative.parts[0] not in (".state", "seeds", "_build"):
            parts += [relative.as_posix(), path.read_bytes()]
    return digest(*parts)


def _jupyter_book(manifest: Manifest, tree: Tree) -> Path:
    """Run `jupyter-book build` from scratch; the folder with the pages."""
    work = manifest.folder / "_build" / "render" / tree.profile
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    command = [sys.executable, "-c", f"{process.COLLECT_LESS}; from jupyter_book.cli.main import main; main()",
               "build", str(tree.staging), "--path-output", work, "--config", tree.staging / "_config.yml",
               "--toc", tree.staging / "book" / "_toc.yml", "-n", "-W", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env=book_environment(manifest.folder, NO_COLOR="1"))
    printed, pages = done.stdout + done.stderr, work / "_build" / "html"
    (work / "log.txt").write_text(printed)
    if done.returncode or not (pages / "index.html").is_file():
        lines = [line for line in printed.splitlines() if "WARNING" in line or "ERROR" in line or "Error:" in line]
        text = "\n".join(f"    {line}" for line in dict.fromkeys(lines)) or f"    see {work / 'log.txt'}"
        raise RunnerError(f"the book did not build without warnings:\n{text}")
    for name in (".doctrees", ".buildinfo"):
        files.remove(pages / name)
    return pages
