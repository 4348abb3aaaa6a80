"""Imports point one way: every room of the package uses rooms of its own level or of lower ones."""

import ast
from pathlib import Path

import seo_core
from seo_core.runner.api import LEVELS

PACKAGE = Path(seo_core.__file__).parent
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms.split()}
TECHNIQUES = set(LEVELS[4].split())
BETWEEN_TECHNIQUES = {"distillation": {"quantization", "pruning"}, "quantization": {"pruning"}}
OPEN = {"augmentation.words", "selection.acquisition.features", "transfer.l2_sp"}  # to every technique: module or name
NEVER = {"results": {"torch"}, "analysis": {"torch", "matplotlib", "seaborn"}, "deploy": {"torch"}}


def imports() -> list[tuple[str, str, str]]:
    """(module, imported module, imported name) for all imports of the package, lazy ones too."""
    rows = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}: imports are written in full"
                rows += [(module, node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                rows += [(module, alias.name, "") for alias in node.names]
    return rows


def inner() -> list[tuple[str, str, str]]:
    """(module, imported module of the package, that with the imported name), all without the package's name."""
    known = {".".join(p.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
             for p in PACKAGE.rglob("*.py")}
    triples = []
    for module, source, name in imports():
        if source.split(".")[0] == "seo_core" and module != "__init__":
            target = source.removeprefix("seo_core").lstrip(".")
            full = f"{target}.{name}".strip(".")
            triples.append((module, full if full in known else target or "settings", full))
    return triples


def test_every_room_has_a_level():
    rooms = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()
             if p.suffix == ".py" or (p / "__init__.py").is_file()} - {"__init__"}
    assert rooms <= set(LEVEL) and len(rooms) <= 30


def test_imports_point_to_the_same_or_a_lower_level():
    wrong = [f"{module} imports {source}" for module, source, _ in inner()
             if LEVEL[source.split(".")[0]] > LEVEL[module.split(".")[0]]]
    assert not wrong


def test_techniques_know_each_other_only_as_agreed():
    wrong = []
    for module, source, full in inner():
        room, other = module.split(".")[0], source.split(".")[0]
        between = room in TECHNIQUES and other in TECHNIQUES - {room} - BETWEEN_TECHNIQUES.get(room, set())
        if between and not OPEN & {source, full}:
            wrong.append(f"{module} imports {full}")
    assert not wrong


def test_no_circle_of_modules():
    graph: dict[str, set[str]] = {}
    for module, source, _ in inner():
        if module != source:
            graph.setdefault(module, set()).add(source)
    state: dict[str, int] = {}

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert state.get(module) != 1, "circle: " + " -> ".join((*path, module))
        if module in state:
            return
        state[module] = 1
        for source in sorted(graph.get(module, ())):
            visit(source, (*path, module))
        state[module] = 2

    for module in sorted(graph):
        visit(module, ())


def test_light_rooms_stay_light_and_only_figures_draw():
    wrong = [f"{module} imports {source}" for module, source, _ in imports()
             if source.split(".")[0] in NEVER.get(module.split(".")[0], set())
             or source.split(".")[0] in ("matplotlib", "seaborn") and module.split(".")[0] != "figures"]
    assert not wrong


def test_analysis_knows_neither_lab_nor_arms():
    assert not [f"{module} imports {source}" for module, source, _ in inner()
                if module.split(".")[0] == "analysis" and source.split(".")[0] in ("lab", "arms")]
