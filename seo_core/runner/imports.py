"""Which modules of the package a chapter runs: the closure of its imports, lazy ones too, read from the sources.

    closure(code, package)        # the files whose change makes the chapter due again

Nothing is imported. A package's `__init__` stands for the modules that define the names taken from it, not for all
that it imports. Of one that loads its modules at run time, those count that it has in a table, module -> names; else
those that belong to a call's text: for `open_lab("05_transfer_learning")` the modules that make an object of it,
`TRANSFER = Chapter("05_transfer_learning")`, or use that object. Where nothing tells (a package that is passed around,
a module whose name is put together from text), a package stands for all its modules. What each file uses is remembered
in the package's `__pycache__`.
"""

import ast
import contextlib
import functools
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from seo_core import files

RUNNER = (["run"], ["runner"])  # they change no number


def closure(code: str, package: Path) -> list[Path]:
    """The files below the folder `package` that this code imports, and these import, and so on; not the runner's.

    With a module counts what it reads, by its name: papers.yml and papers_….yml beside papers.py.
    """
    (modules, tables), tree, uses = _inside(package), ast.parse(code), _Uses(package)
    texts = {arg.value for call in ast.walk(tree) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
             for arg in call.args if isinstance(arg, ast.Constant)}
    waiting, names, closed = _names(tree, package.name), set(), set()
    while waiting:
        names.add(name := waiting.pop())
        reached, further = _resolve(name, modules, texts, uses)
        further.update(*(uses(file)[""] for file in reached - closed))
        closed |= reached
        waiting |= further - names
    uses.remember()
    return sorted(closed.union(*(tables[file] for file in closed)))


class _Uses:
    """What each file of a package uses (`_read`), read again only where a file changed; looked at once."""

    def __init__(self, package: Path):
        self.place, self.root, self.new = package / "__pycache__" / "imports.json", package.name, False
        self.reader = str(os.stat(__file__).st_mtime_ns)  # what another version of it read is not trusted
        self.known = _remembered(self.place, self.reader)
        self.seen: dict[Path, dict[str, list[str]]] = {}

    def __call__(self, file: Path) -> dict[str, list[str]]:
        if file in self.seen:
            return self.seen[file]
        state = [(stat := os.stat(file)).st_mtime_ns, stat.st_size]
        if self.known.get(str(file), [None])[0] != state:
            names = {name: sorted(dotted) for name, dotted in _read(file, self.root).items()}
            self.known[str(file)], self.new = [state, names], True
        return self.seen.setdefault(file, self.known[str(file)][1])

    def remember(self) -> None:
        """Keeps it for the next process, where the folder can be written."""
        with contextlib.suppress(OSError):
            if self.new:
                files.write(self.place, json.dumps({self.reader: self.known}), sync=False)


@functools.cache
def _remembered(place: Path, reader: str) -> dict:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return json.loads(place.read_text())[reader]
    return {}


def _inside(package: Path) -> tuple[dict[str, Path], dict[Path, list[Path]]]:
    """Dotted name -> file, of all modules but the runner's; and file -> the tables that it reads, by their names."""
    modules, tables = {}, {}
    for folder, _, names in os.walk(package):
        place = Path(folder)
        parts, written = place.relative_to(package.parent).parts, [name for name in names if name.endswith(".yml")]
        for name in names:
            if name.endswith(".py"):
                file = modules[".".join([*parts, name[:-3]]).removesuffix(".__init__")] = place / name
                tables[file] = [place / table for table in written if table.startswith(name[:-3])]
    return {name: path for name, path in modules.items() if name.split(".")[1:2] not in RUNNER}, tables


def _resolve(dotted: str, modules: dict[str, Path], texts: set[str], uses: _Uses) -> tuple[set[Path], set[str]]:
    """(files, further names) that a dotted name stands for: "a.b.*" for all of a package b."""
    root, *parts = dotted.split(".")
    reached, here = {modules[root]}, root
    for part in parts:
        if modules[here].name != "__init__.py":
            break
        if part == "*":
            return reached | {file for name, file in modules.items() if name.startswith(f"{here}.")}, set()
        if f"{here}.{part}" not in modules:
            exports = uses(modules[here])
            if part in exports or here == root:
                return reached, set(exports.get(part, ()))
            tabled = {f"{here}.{module}" for module in exports.get(f"={part}", ())} & modules.keys()
            if tabled:
                return reached, tabled
            room = {name: uses(file) for name, file in modules.items() if name.startswith(f"{here}.")}
            keys = {f"={text}" for text in texts}
            made = {f"{name}.{variable}" for name, used in room.items() for key in keys & used.keys()
                    for variable in used[key]}
            serving = {name for name, used in room.items() if keys & used.keys() or made & set(used[""])}
            return reached, serving or {f"{here}.*"}
        here = f"{here}.{part}"
        reached.add(modules[here])
    return reached, set()


def _read(file: Path, root: str) -> dict[str, set[str]]:
    """The names that a file uses, under ""; of an `__init__`, those behind each name, and under "" what runs anyway."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if file.name != "__init__.py":
        return {"": _names(tree, root), **_made(tree)}
    aliases = _grouped(_imports(tree.body, root))
    exports = defaultdict(set, {"": set(), **{local: set(dotted) for local, dotted in aliases.items()}})
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            targets = [node, *getattr(node, "targets", [])]  # what it defines: a function, a class, some variables
            names = [getattr(each, "name", getattr(each, "id", "")) for each in targets]
            for name in filter(None, names) if any(names) else [""]:
                exports[name] |= _names(node, root, aliases)
        if isinstance(getattr(node, "value", None), ast.Dict):  # a table: module -> names
            for module, served in zip(node.value.keys, node.value.values, strict=True):
                for word in re.findall(r"\w+", ast.unparse(served)):
                    exports[f"={word}"].add(getattr(module, "value", ""))
    return dict(exports)


def _made(tree: ast.Module) -> dict[str, set[str]]:
    """"=text" -> the variables of a module that are made of a text: SEMI = Chapter("08_semi_supervised")."""
    made = defaultdict(set)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            several = isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
            targets, values = (node.targets[0].elts, node.value.elts) if several else (node.targets, [node.value])
            for target, value in zip(targets, values, strict=False):
                if isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.Constant):
                    made[f"={value.args[0].value}"].add(getattr(target, "id", ""))
    return made


def _names(tree: ast.AST, root: str, aliases: dict[str, set[str]] | None = None) -> set[str]:
    """The dotted names below `root` that a piece of code imports, or reaches through imports (its own, or aliases)."""
    nodes = defaultdict(list)
    for node in ast.walk(tree):
        nodes[type(node)].append(node)
    imported = list(_imports(nodes[ast.ImportFrom] + nodes[ast.Import], root))
    names, reached = {dotted for _, dotted in imported}, _grouped(imported, aliases)
    inner = {id(node.value) for node in nodes[ast.Attribute]}
    for node in nodes[ast.Name] + nodes[ast.Attribute]:
        if id(node) not in inner:
            first, *rest = _chain(node)
            names |= {".".join([dotted, *(rest or "*")]) for dotted in reached.get(first, ())}
    texts = [(node.value, node.value) for node in nodes[ast.Constant]]  # for importlib, or python -m
    texts += [(start, f"{str(start).rpartition('.')[0]}.*") for node in nodes[ast.JoinedStr] if node.values
              for start in [getattr(node.values[0], "value", None)]]
    return names | {name for start, name in texts if isinstance(start, str) and start.startswith(f"{root}.")}


def _grouped(pairs: Iterable[tuple[str, str]], groups: dict[str, set[str]] | None = None) -> dict[str, set[str]]:
    """The second entries of pairs by the first, added to a copy of groups."""
    grouped = defaultdict(set, {key: set(members) for key, members in (groups or {}).items()})
    for key, member in pairs:
        grouped[key].add(member)
    return grouped


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
