"""What the pages print from the committed records, without a kernel and without a run of a chapter.

    python tests/reference_cells.py                      what differs from the snapshots
    python tests/reference_cells.py --write              write them all again
    python tests/reference_cells.py --write 09_pruning   … of these chapters (or `load`, `load_series`, …) only
    python tests/reference_cells.py --source 09_pruning  the code that is executed for a chapter

The snapshots in tests/snapshots hold still what readers see while the code behind it moves. A page that is meant to
change updates its snapshot in a commit of its own.

A chapter is cut into the statements of its cells. A static backward slice keeps those that print (the last expression
of a cell, `print`, `display`) from a read of the committed records, and what they need: imports, parameters, settings.
On pages of the manifest's kind `aggregate`, which run nothing, every printing statement is kept. These are executed in
the chapter's order, in a scratch book without results, so that "this run" has no record. One that uses a network or
opens an inference session is an error: what the committed records say must not wait for a run. Figures are not drawn.
Cells tagged `nbval-ignore-output` show this run or this machine, so what they print is not kept.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import hashlib
import html.parser
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import yaml

ROOT = Path(__file__).resolve().parent.parent
SNAPSHOTS = ROOT / "tests" / "snapshots"
LOADERS = ("load", "load_records", "load_series", "load_contestants")
FRAMES = {"load": ["path"], "load_series": ["path"], "load_contestants": ["path", "contestant"]}  # what names a row
IGNORED = "nbval-ignore-output"


class NeedsARun(BaseException):
    """A statement of the slice uses a network; no Exception, so that no handler on the way takes it for an error."""


# -- which statements ---------------------------------------------------------------------------


class Names(ast.NodeVisitor):
    """Names that a statement takes from before it (`uses`), binds (`binds`) and may change in place (`changes`)."""

    def __init__(self, statement: ast.stmt):
        self.uses, self.binds, self.changes, self.scopes = set(), set(), set(), [set()]
        self.visit(statement)

    def bind(self, name: str) -> None:
        self.scopes[-1].add(name)
        if len(self.scopes) == 1:
            self.binds.add(name)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.bind(node.id)
        elif not any(node.id in scope for scope in self.scopes):
            self.uses.add(node.id)

    def visit_in_turn(self, *parts):
        for part in parts:
            for node in part if isinstance(part, list) else [part]:
                if node is not None:
                    self.visit(node)

    def visit_Assign(self, node):
        self.visit_in_turn(node.value, node.targets)
        self.changes |= {root(target) for target in node.targets if isinstance(target, (ast.Subscript, ast.Attribute))}

    def visit_AnnAssign(self, node):
        self.visit_in_turn(node.value, node.target)

    def visit_AugAssign(self, node):
        self.uses.add(root(node.target))
        self.visit_in_turn(node.value, node.target)
        self.changes.add(root(node.target))

    def visit_For(self, node):
        self.visit_in_turn(node.iter, node.target, node.body, node.orelse)

    def visit_Expr(self, node):
        self.generic_visit(node)
        if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
            self.changes.add(root(node.value.func))  # rows.append(…)

    def visit_comprehension_in(self, node):
        first, *others = node.generators
        self.visit(first.iter)
        self.scopes.append(set())
        self.visit_in_turn(first.target, first.ifs)
        for generator in others:
            self.visit_in_turn(generator.iter, generator.target, generator.ifs)
        self.visit_in_turn(*([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]))
        self.scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_in

    def visit_ClassDef(self, node):
        self.bind(node.name)
        self.visit_in_turn(node.decorator_list, node.bases)
        self.scopes.append(set())
        self.visit_in_turn(node.body)
        self.scopes.pop()

    def visit_function(self, node):
        if not isinstance(node, ast.Lambda):
            self.bind(node.name)
            self.visit_in_turn(node.decorator_list)
        arguments = node.args
        self.visit_in_turn(arguments.defaults, arguments.kw_defaults)
        self.scopes.append({a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs,
                                            arguments.vararg, arguments.kwarg] if a})
        self.visit_in_turn(node.body)
        self.scopes.pop()

    visit_Lambda = visit_FunctionDef = visit_function

    def visit_Import(self, node):
        for alias in node.names:
            self.bind(alias.asname or alias.name.split(".")[0])

    visit_ImportFrom = visit_Import


def root(node: ast.AST) -> str:
    """The name at the start of `name.a["b"].c`; "" if there is none."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """(last name, node) of each call."""
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and isinstance(part.func, (ast.Name, ast.Attribute)):
            yield part.func.attr if isinstance(part.func, ast.Attribute) else part.func.id, part


def reads_reference(node: ast.AST) -> bool:
    """Whether a statement reads the committed records: `reference_dir()`, `load()`, `load("cpu", …)`, `Evidence(…)`,
    `Contest(…)`, `recorded_run(…)`."""
    return any(name in ("reference_dir", "Evidence", "Contest", "recorded_run")
               or name in LOADERS and all(isinstance(a, ast.Constant) for a in call.args)
               and ast.unparse(call.func) != "seo_core.load"  # a model
               for name, call in calls(node))


@dataclass
class Statement:
    """One statement of a code cell."""

    cell: int  # among the code cells
    node: ast.stmt
    shown: bool  # the cell's last expression
    ignored: bool  # the cell's output is this run's or this machine's
    uses: set[str] = field(init=False)
    binds: set[str] = field(init=False)
    changes: set[str] = field(init=False)
    needs: set[int] = field(init=False, default_factory=set)  # the statements that its names come from

    def __post_init__(self):
        names = Names(self.node)
        self.uses, self.binds, self.changes = names.uses, names.binds, names.changes - {""}

    @property
    def is_import(self) -> bool:
        return isinstance(self.node, (ast.Import, ast.ImportFrom))

    @property
    def replaces(self) -> set[str]:
        """Names whose earlier values cannot reach beyond this statement."""
        sure = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        return self.binds if isinstance(self.node, sure) else set()

    @property
    def prints(self) -> bool:
        return not self.ignored and (self.shown or any(name in ("print", "display") for name, _ in calls(self.node)))


def code_cells(path: Path) -> list:
    """The code cells of a notebook or of its .py."""
    return [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def statements(chapter: str) -> list[Statement]:
    """All statements of a chapter's code cells, each with those that its names come from."""
    listed = []
    for number, cell in enumerate(code_cells(ROOT / "notebooks" / f"{chapter}.py")):
        body = ast.parse(cell.source).body
        for node in body:
            shown = node is body[-1] and isinstance(node, ast.Expr) and not cell.source.rstrip().endswith(";")
            listed.append(Statement(number, node, shown, IGNORED in cell.metadata.get("tags", [])))
    modules = set().union(*(s.binds for s in listed if s.is_import))
    for i, statement in enumerate(listed):
        statement.changes -= modules
        wanted = set(statement.uses)
        for j in range(i - 1, -1, -1):
            if wanted & (listed[j].binds | listed[j].changes):
                statement.needs.add(j)
                wanted -= listed[j].replaces
    return listed


def closure(listed: list[Statement], start: int) -> set[int]:
    """A statement and all that it needs, directly or through others."""
    reached, open_ends = set(), {start}
    while open_ends:
        i = open_ends.pop()
        reached.add(i)
        open_ends |= listed[i].needs - reached
    return reached


def reference_slice(chapter: str) -> tuple[list[Statement], set[int], set[int]]:
    """All statements of a chapter, which of them to execute, and whose output counts."""
    listed = statements(chapter)
    reading = {i for i, s in enumerate(listed) if reads_reference(s.node)}
    aggregate = kinds()[chapter] == "aggregate" and reading
    closures = {i: closure(listed, i) for i, s in enumerate(listed) if s.prints}
    printing = {i for i, reached in closures.items() if aggregate or reached & reading}
    return listed, set().union(*(closures[i] for i in printing)), printing


def kinds() -> dict[str, str]:
    """Chapter → kind, from the manifest."""
    manifest = yaml.safe_load((ROOT / "book" / "manifest.yml").read_text(encoding="utf-8"))
    return {chapter["id"]: chapter["kind"] for chapter in manifest["chapters"]}


def chapters() -> list[str]:
    """The chapters that print something of the committed records."""
    return [name for name in kinds() if reference_slice(name)[2]]


# -- their output as text -----------------------------------------------------------------------


class _Rows(html.parser.HTMLParser):
    """The text of an HTML page, a line for each row of a table, ` | ` between its cells; scripts are no text."""

    def __init__(self, markup: str):
        super().__init__()
        self.rows, self.cells, self.script = [], [], False
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.script = tag == "script"
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self.script = False
        if tag == "tr":
            self.rows.append(" | ".join(" ".join(cell.split()) for cell in self.cells).rstrip())
            self.cells = []

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data
        elif data.strip() and not self.script:
            self.rows.append(data.strip())


def as_text(shown: dict) -> str:
    """Text of an output's formats (MIME type → content): HTML before Markdown, LaTeX and plain text; no pictures."""
    if "text/html" in shown:
        return "\n".join(_Rows("".join(shown["text/html"])).rows) + "\n"
    if any(kind.startswith("image/") for kind in shown):
        return ""
    content = next((shown[kind] for kind in ("text/markdown", "text/latex", "text/plain") if kind in shown), "")
    return "".join(content) + "\n" if content else ""


def rendered(value) -> str:
    """Text of a value as a notebook shows it."""
    formats = {"text/html": "_repr_html_", "text/markdown": "_repr_markdown_", "text/latex": "_repr_latex_"}
    shown = {kind: getattr(value, method)() for kind, method in formats.items() if hasattr(value, method)}
    return as_text({kind: text for kind, text in shown.items() if text} or {"text/plain": repr(value)})


def tidy(text: str) -> str:
    """Text without spaces at the ends of lines and without empty lines at its ends."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def committed_outputs(chapter: str) -> dict[int, str]:
    """The text that the committed notebook shows below its code cells, by number; none where a cell has no output."""
    outputs = {}
    for number, cell in enumerate(code_cells(ROOT / "notebooks" / f"{chapter}.ipynb")):
        parts = [output["text"] if output.output_type == "stream" else as_text(output.get("data", {}))
                 for output in cell.outputs if output.get("name") != "stderr"]
        if tidy("".join(parts)):
            outputs[number] = tidy("".join(parts))
    return outputs


# -- execution ----------------------------------------------------------------------------------


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A scratch book, which $SEO_BOOK names meanwhile: the committed records, and no results."""
    from seo_core.runner.notebooks import scratch_book

    before = os.environ.get("SEO_BOOK")
    with tempfile.TemporaryDirectory(prefix="book-") as folder:
        os.environ["SEO_BOOK"] = str(scratch_book(ROOT, Path(folder)))
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["SEO_BOOK"]
            else:
                os.environ["SEO_BOOK"] = before


@contextlib.contextmanager
def no_runs() -> Iterator[None]:
    """Meanwhile computing with a network, or opening an inference session, raises NeedsARun."""
    import onnxruntime
    import torch

    def refuse(self, *arguments, **options):
        raise NeedsARun(type(self).__name__)

    call, open_session = torch.nn.Module.__call__, onnxruntime.InferenceSession.__init__
    torch.nn.Module.__call__ = onnxruntime.InferenceSession.__init__ = refuse
    try:
        yield
    finally:
        torch.nn.Module.__call__, onnxruntime.InferenceSession.__init__ = call, open_session


def read_page(chapter: str) -> dict[int, str]:
    """What a chapter prints from the committed records: number of the code cell → text.

    $SEO_BOOK must name a scratch book. Raises NeedsARun.
    """
    import IPython.display

    listed, kept, printing = reference_slice(chapter)
    names, page = {"__name__": "chapter"}, {}
    display = IPython.display.display
    IPython.display.display = lambda *values, **options: print(*map(rendered, values), sep="", end="")
    try:
        for i in sorted(kept):
            statement, text = listed[i], io.StringIO()
            with contextlib.redirect_stdout(text), no_runs():
                value = execute(statement, names, f"{chapter}, code cell {statement.cell + 1}")
                if value is not None:
                    print(rendered(value), end="")
            if i in printing:
                page[statement.cell] = page.get(statement.cell, "") + text.getvalue()
    finally:
        IPython.display.display = display
    return {number: tidy(text) for number, text in page.items()}


def execute(statement: Statement, names: dict, where: str):
    """Execute a statement in `names`; the value of a cell's last expression, else None."""
    if statement.shown:
        return eval(compile(ast.Expression(statement.node.value), where, "eval"), names)
    exec(compile(ast.Module([statement.node], []), where, "exec"), names)
    return None


# -- snapshots ----------------------------------------------------------------------------------


def page_text(page: dict[int, str]) -> str:
    """A page as its snapshot has it: the cells in turn, under numbers of their own."""
    return "\n".join(f"=== {n} ===\n{page[cell]}\n" for n, cell in enumerate(sorted(page), 1))


def frame_text(name: str) -> str:
    """`results.load()` and its like in short: a line per column with its dtype, a line per record, and digests.

    A value that changes shows in the digests of its column and of its record; so does the order of the rows.
    """
    from seo_core import results

    frame = getattr(results, name)()
    values = {column: [repr(getattr(v, "item", lambda v=v: v)()) for v in frame[column]] for column in frame}
    lines = [f"{len(frame)} rows, {len(values)} columns"]
    lines += [f"column {column} {frame[column].dtype} {digest(texts)}" for column, texts in values.items()]
    by_record = {}
    for key, *row in zip(frame[FRAMES[name]].agg(", ".join, axis=1), *values.values(), strict=True):
        by_record.setdefault(key, []).extend(row)
    lines += [f"record {key} {len(texts) // len(values)} {digest(texts)}" for key, texts in by_record.items()]
    return "\n".join(lines) + "\n"


def digest(texts: list[str]) -> str:
    """12 hex digits over texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def snapshot(name: str) -> str:
    """The committed snapshot of a chapter or frame; "" if there is none."""
    path = SNAPSHOTS / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def difference(name: str, now: str) -> str:
    """What differs between the committed snapshot and the text as it is now; "" if nothing does."""
    lines = difflib.unified_diff(snapshot(name).splitlines(), now.splitlines(), f"tests/snapshots/{name}.txt",
                                 "as it is now", lineterm="", n=1)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="chapters, load, load_series, load_contestants; default: all")
    parser.add_argument("--write", action="store_true", help="write the snapshots")
    parser.add_argument("--source", action="store_true", help="print the statements of the slices")
    arguments = parser.parse_args()
    known = [*FRAMES, *chapters()]
    if unknown := set(arguments.names) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    names, differing = arguments.names or known, 0
    if arguments.source:
        for name in (n for n in names if n not in FRAMES):
            listed, kept, _ = reference_slice(name)
            print(f"# {name}", *(ast.unparse(listed[i].node) for i in sorted(kept)), sep="\n")
        return 0
    with scratch():
        for name in names:
            now = frame_text(name) if name in FRAMES else page_text(read_page(name))
            change = difference(name, now)
            differing += bool(change)
            if arguments.write:
                SNAPSHOTS.mkdir(exist_ok=True)
                (SNAPSHOTS / f"{name}.txt").write_text(now, encoding="utf-8")
                print(f"{name}: {'written' if change else 'as it was'}")
            elif change:
                print(change)
    return int(bool(differing) and not arguments.write)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
