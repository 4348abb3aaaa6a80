"""Which modules of the package a chapter runs: the closure of its imports, lazy ones too, read from the sources.

    closure(code, package)        # the files whose change makes the chapter due again

Nothing is imported. A package's `__init__` stands for the modules that define the names taken from it, not for all
that it imports; where that cannot be told (a name that it makes at run time, a package that is passed around, a module
whose name is put together from text), for all its modules.
"""

from __future__ import annotations

import ast
import functools
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

RUNNER = ("run", "runner")  # changes no number


def closure(code: str, package: Path) -> list[Path]:
    """The files below the folder `package` that this code imports, and these import, and so on; not the runner's."""
    modules = _modules(package)
    waiting, names, files = _names(ast.parse(code), package.name), set(), set()
    while waiting:
        name = waiting.pop()
        names.add(name)
        more_files, more_names = _resolve(name, modules)
        for file in more_files - files:
            more_names |= _uses(file, os.stat(file).st_mtime_ns, package.name)[""]
        files |= more_files
        waiting |= more_names - names
    return sorted(files)


def _modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file, of all modules but the runner's."""
    modules = {}
    for folder, folders, files in os.walk(package):
        inside = Path(folder).relative_to(package.parent).parts
        if len(inside) == 1:
            folders[:] = [name for name in folders if name not in RUNNER]
        for name in files:
            stem, kind = os.path.splitext(name)
            if kind == ".py" and not (len(inside) == 1 and stem in RUNNER):
                modules[".".join([*inside, *([] if stem == "__init__" else [stem])])] = Path(folder, name)
    return modules


def _resolve(dotted: str, modules: dict[str, Path]) -> tuple[set[Path], set[str]]:
    """(files, further names) that a dotted name stands for: "a.b.*" for all of a package b."""
    root, *parts = dotted.split(".")
    files, here = {modules[root]}, root
    for part in parts:
        if modules[here].name != "__init__.py":
            break
        if part == "*":
            return files | {file for name, file in modules.items() if name.startswith(f"{here}.")}, set()
        if f"{here}.{part}" not in modules:
            summary = _uses(modules[here], os.stat(modules[here]).st_mtime_ns, root)
            return files, summary.get(part, {f"{here}.*"} if here != root else set())
        here = f"{here}.{part}"
        files.add(modules[here])
    return files, set()


@functools.lru_cache(maxsize=1000)
def _uses(file: Path, changed: int, root: str) -> dict[str, set[str]]:
    """The names that a file uses, under ""; of an `__init__`, those behind each name, and under "" what runs anyway."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if file.name != "__init__.py":
        return {"": _names(tree, root)}
    exports = defaultdict(set, {"": set()})
    for node in tree.body:
        for local, dotted in _imports([node], root) if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
            exports[local].add(dotted)
    aliases = dict(exports)
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            targets = [node, *getattr(node, "targets", [getattr(node, "target", None)])]
            names = [getattr(each, "name", getattr(each, "id", "")) for each in targets]
            for name in [name for name in names if name] or [""]:
                exports[name] = exports[name] | _names(node, root, aliases)
    return dict(exports)


def _names(tree: ast.AST, root: str, aliases: dict[str, set[str]] | None = None) -> set[str]:
    """The dotted names below `root` that a piece of code imports, or reaches through imports (its own, or aliases)."""
    nodes = defaultdict(list)
    for node in ast.walk(tree):
        nodes[type(node)].append(node)
    names, reached = set(), defaultdict(set, {local: set(dotted) for local, dotted in (aliases or {}).items()})
    for local, dotted in _imports(nodes[ast.ImportFrom] + nodes[ast.Import], root):
        names.add(dotted)
        reached[local].add(dotted)
    inner = {id(node.value) for node in nodes[ast.Attribute]}
    for node in nodes[ast.Name] + nodes[ast.Attribute]:
        if id(node) not in inner:
            first, *rest = _chain(node)
            names |= {".".join([dotted, *(rest or "*")]) for dotted in reached.get(first, ())}
    for node in nodes[ast.Constant]:  # for importlib, or python -m
        if isinstance(node.value, str) and node.value.startswith(f"{root}."):
            names.add(node.value)
    for node in nodes[ast.JoinedStr]:
        start = getattr(node.values[0], "value", None) if node.values else None
        if isinstance(start, str) and start.startswith(f"{root}."):
            names.add(start.rpartition(".")[0] + ".*")
    return names


def _imports(nodes: Iterable[ast.AST], root: str) -> Iterable[tuple[str, str]]:
    """(local name, dotted name) of each import from the package."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == root:
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.name.split(".")[0] == root:
                    yield each.asname or root, each.name if each.asname else root
                    yield "", each.name


def _chain(node: ast.AST) -> list[str]:
    """["a", "b", "c"] of a.b.c; something that no import is called for any other expression."""
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    return [node.id] if isinstance(node, ast.Name) else ["()"]
