"""The API pages, read off the tree: a page for each room of the package, and under it every module of the room."""

import ast
from pathlib import Path

from seo_core.results.provenance import PACKAGE

# The rooms, level by level: imports point to the same or a lower level (tests/test_levels.py).
LEVELS = ("settings checks files lazy machine progress", "data models results", "evaluation deploy",
          "training distributed", "transfer augmentation selection pruning quantization distillation",
          "controller pipeline tkd lab", "arms", "analysis", "figures bench compress", "runner run")
INDEX = "book/api"  # its words are committed; where the manifest has it, it is followed by the list of rooms


def levels() -> list[list[str]]:
    """The rooms that there are, a list for each level."""
    present = {path.stem for path in PACKAGE.iterdir()
               if path.stem[0] not in "_." and (path.suffix == ".py" or (path / "__init__.py").is_file())}
    known = [[room for room in rooms.split() if room in present] for rooms in LEVELS]
    return [rooms for rooms in (*known, sorted(present - set(" ".join(LEVELS).split()))) if rooms]


def modules(room: str) -> list[str]:
    """`room` and the modules in it: first those that its docstring names, in that order, then the others by name; and
    those of the packages in it."""
    folder = PACKAGE / room.replace(".", "/")
    if not folder.is_dir():
        return [room]
    words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    files = sorted((p for p in folder.glob("*.py") if not p.name.startswith("_")),
                   key=lambda path: (path.name not in words, words.find(path.name), path.name))
    inner = sorted(path.parent.name for path in folder.glob("[!_]*/__init__.py"))
    return [room, *(f"{room}.{path.stem}" for path in files), *(name for i in inner for name in modules(f"{room}.{i}"))]


def rooms_of_pages() -> dict[str, list[str]]:
    """Page (a file of the book, without suffix) -> its rooms; what everything stands on shares the first page."""
    first, *others = levels()
    return {f"{INDEX}/foundations": first, **{f"{INDEX}/{room}": [room] for level in others for room in level}}


def pages(introduction: str) -> dict[str, str]:
    """File of the book, without suffix -> its text in MyST: the index, after its `introduction`, and the rooms' pages.

    They are made where the book is staged and are not committed, so none can be out of step with the package. What is
    committed is the table of contents, which names them: `sync --check` fails when a room is missing there.
    """
    lists = [_fenced(".. autosummary::", "   :nosignatures:", "", *(f"   ~seo_core.{room}" for room in level))
             for level in levels()]
    texts = {INDEX: [introduction.rstrip(), *lists, "## seo_core", _documented("seo_core")]}
    for page, rooms in rooms_of_pages().items():
        title = Path(page).name
        texts[page] = [f"# {title}"]
        for name in [name for room in rooms for name in modules(room)]:
            heading = [] if name == title else [f"## {name}"]
            texts[page] += [*heading, _documented(f"seo_core.{name}")]
    return {page: "\n\n".join(blocks) + "\n" for page, blocks in texts.items()}


def _documented(module: str) -> str:
    """Docstring and public members; what a package only re-exports stands at the module that defines it."""
    return _fenced(f".. automodule:: {module}", "   :members:", "   :ignore-module-all:")


def _fenced(*lines: str) -> str:
    return "\n".join(["```{eval-rst}", *lines, "```"])
