"""Figure 1: the papers' system (system.yml), drawn from the package."""

import ast
import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from seo_core import files
from seo_core.figures import style
from seo_core.figures.interactive import Interactive

CODE = 0.32  # of a box's height, from below, leads to the code, the rest to the chapter


class Component(NamedTuple):
    """A part of the papers' Figure 1: what it is, and the code that stands for it."""

    key: str
    name: str
    words: str  # the papers' role for it, in a few words
    side: str  # data | compression | control | core
    module: str
    symbol: str
    place: tuple[float, float]  # centre in the drawing, on a 100 × 72 sheet
    chapter: str


_FACTS = files.table(__file__)
COMPONENTS = tuple(Component(*part) for part in _FACTS["components"])
EDGES = tuple(tuple(edge) for edge in _FACTS["edges"])  # (from, to, what flows, the arrow's corners)
_SIDES = {"data": style.GREEN, "compression": style.PURPLE, "control": style.VERMILION, "core": style.BLUE}


def _find(module: str, symbol: str) -> str | None:
    """First docstring line of a symbol of seo_core.<module>, followed through its imports; None if absent.
    The source is parsed, not imported: the drawing needs no torch."""
    spec = importlib.util.find_spec(f"seo_core.{module}")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body if spec and spec.origin else ():
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == symbol:
            return (ast.get_docstring(node) or "").split("\n")[0]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seo_core."):
            for name in node.names:
                if symbol == (name.asname or name.name):
                    return _find(node.module.removeprefix("seo_core."), name.name)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":  # what `lazy` imports
            for home, names in ast.literal_eval(node.value).items():
                if symbol in names.split():
                    return _find(f"{module}.{home}", symbol)
    return None


def structure() -> pd.DataFrame:
    """The components of Figure 1 and the code behind them: component, side, module, symbol, state, summary.
    state: "in the package" if `seo_core.<module>` defines the symbol, else "not implemented yet"."""
    rows = []
    for part in COMPONENTS:
        summary = _find(part.module, part.symbol)
        rows.append((part.name.replace("\n", " "), part.side, f"seo_core.{part.module}", part.symbol,
                     "not implemented yet" if summary is None else "in the package", summary or ""))
    return pd.DataFrame(rows, columns=["component", "side", "module", "symbol", "state", "summary"])


def dependencies() -> pd.DataFrame:
    """Which module of the package imports which, read from their sources: module, imports."""
    folder = Path(__file__).resolve().parent.parent
    rooms = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__init__"}
    imported: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder).parts[0].removesuffix(".py")
        if module in rooms:
            taken = imported.setdefault(module, set())
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seo_core":
                    taken.update(rooms & set(node.module.split(".")[1:2] or [alias.name for alias in node.names]))
    rows = [(module, ", ".join(sorted(others - {module})) or "—") for module, others in sorted(imported.items())]
    return pd.DataFrame(rows, columns=["module", "imports"])


def _arrow(axes, corners, label: str) -> None:
    """A line through the corners with a head at the last, and its label in the middle of it."""
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs[:-1], ys[:-1], color=style.SOFT, linewidth=1.3, zorder=1, solid_joinstyle="round")
    axes.annotate("", xy=corners[-1], xytext=corners[-2], zorder=1, arrowprops={
        "arrowstyle": "-|>", "color": style.SOFT, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0})
    if label:
        upright = len(corners) > 3  # beside the sheet's right edge
        x, y = (104, 36) if upright else ((xs[0] + xs[1]) / 2, ys[0] + 2)
        axes.text(x, y, label, fontsize=9, color=style.SOFT, ha="center", va="center", style="italic",
                  rotation=90 if upright else 0,
                  bbox={"facecolor": style.CARD, "edgecolor": "none", "pad": 1.5} if upright else None)


_SIZES = {"controller": (40, 13), "evaluation": (36, 11), "loop": (27, 11)}


def _box(axes, part: Component, there: bool) -> None:
    wide, high = _SIZES.get(part.key, (27, 13.5) if part.side in ("data", "compression") else (27, 10))
    (x, y), lines, side = part.place, part.name.count("\n"), _SIDES[part.side]
    axes.add_patch(FancyBboxPatch((x - wide / 2, y - high / 2), wide, high, facecolor="white", edgecolor=side, zorder=2,
                                  boxstyle="round,pad=0,rounding_size=1.4", linewidth=2 if there else 1.5, gid=part.key,
                                  linestyle="-" if there else (0, (4, 3))))
    written = functools.partial(axes.text, x, ha="center", va="center", zorder=3)
    written(y + 2.2 + lines, part.name, fontsize=10, weight="bold", linespacing=1.05)
    written(y - 0.9 - 0.6 * lines, part.words, fontsize=9, color=style.SOFT)
    written(y - 3.5 - 0.8 * lines, f"{part.module}.py" if there else "not implemented yet", fontsize=9,
            color=side if there else style.VERMILION, family="monospace" if there else "sans-serif")


@style.card
def architecture() -> Figure:
    """Figure 1, drawn from `COMPONENTS`, `EDGES` and the modules the package has.
    A box stands for a component; it is solid, with its module, if the package defines the component, and dashed, "not
    implemented yet", if not."""
    state = dict(zip((c.key for c in COMPONENTS), structure()["state"] == "in the package", strict=True))
    figure, axes = plt.subplots(figsize=(9.2, 6.6), layout="none")
    axes.set(xlim=(-1, 106), ylim=(-1, 72))
    axes.axis("off")
    for x, side, title in ((15.5, "data", "Data optimization"), (84.5, "compression", "Model compression")):
        axes.add_patch(plt.Rectangle((x - 15.5, 17), 31, 38, facecolor=_SIDES[side], alpha=0.09, zorder=0))
        axes.text(x, 52.4, title, fontsize=10.5, weight="bold", ha="center", va="center", color=style.BLACK)
    for _, _, label, corners in EDGES:
        _arrow(axes, corners, label)
    for part in COMPONENTS:
        _box(axes, part, state[part.key])
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99)
    return figure


def box_links(figure: Figure, *, instead: str) -> Interactive:
    """Links over the boxes of `architecture`: to the chapter, and from the module's name to the page of its code. The
    last line of a cell; instead: the name of the figure that they lie on."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # a notebook takes its own from a figure that it has shown
    sheet = figure.get_tightbbox(renderer).padded(plt.rcParams["savefig.pad_inches"])  # what a notebook saves, inches
    links = []
    for part in COMPONENTS:
        box, = figure.findobj(lambda artist, key=part.key: artist.get_gid() == key)
        place = box.get_window_extent(renderer).transformed(figure.dpi_scale_trans.inverted())
        name, line = part.name.replace("\n", " "), place.y0 + CODE * place.height
        for low, high, to, said in ((line, place.y1, f"{part.chapter}.html", "chapter"),
                                    (place.y0, line, f"../book/api/{part.module.split('.')[0]}.html", "code")):
            shares = {"left": (place.x0 - sheet.x0) / sheet.width, "top": (sheet.y1 - high) / sheet.height,
                      "width": place.width / sheet.width, "height": (high - low) / sheet.height}
            where = ";".join(f"{key}:{100 * share:.1f}%" for key, share in shares.items())
            told = {"href": to, "style": where, "aria-label": f"{name}: {said}", "title": said}
            links.append(f"<a {' '.join(f'{key}={quoteattr(value)}' for key, value in told.items())}></a>")
    return Interactive(f'<div class="boxes" data-kind="boxes">{"".join(links)}</div>', None, instead, "")
