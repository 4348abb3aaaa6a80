"""A tiny book that behaves like the real one: three chapters that need nothing but seo_core.settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent

PARAMETERS = '''profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"
model: str = "default"
results_dir: str = "default"'''

SETTINGS = """from seo_core import load_settings
settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)"""

RECORD = """import json
from seo_core.settings import resolve_path
folder = resolve_path(settings.results_dir) / settings.profile / "numbers"
folder.mkdir(parents=True, exist_ok=True)
_ = (folder / f"base-00000000-seed{seed}.json").write_text(json.dumps({"seed": seed, "value": value}))"""

NUMBERS = [PARAMETERS + "\noffset: int = 0  # only this chapter has it\nsource: str = 'default'",
           SETTINGS.replace("results_dir)", "results_dir, source=source)"),
           "value = 1000 + 111 * seed + offset\nprint('value', value)\n"
           "print('data', settings.data)\nprint('source', settings.source)",
           "import sys, warnings\nwarnings.warn('a warning with a path: ' + sys.prefix)",
           "import os\nprint('working in', os.getcwd())", RECORD, "assert value >= 1000"]

TABLE = [PARAMETERS, SETTINGS, """import json
from seo_core.settings import resolve_path
records = sorted((resolve_path(settings.results_dir) / settings.profile / "numbers").glob("*.json"))
print('sum', sum(json.loads(p.read_text())["value"] for p in records), 'of', len(records))"""]

TIMES = [PARAMETERS, "print('timed', 3 * 7)"]

MANIFEST = """
root: book/intro
parts:
  - caption: Chapters
    pages: [book/status]
chapters:
  - {id: numbers, title: Numbers, part: Chapters, kind: technique, outputs: [numbers]}
  - {id: times, title: Times, part: Chapters, kind: benchmark}
  - {id: table, title: Table, part: Chapters, kind: aggregate, inputs: ["*"]}
"""


def notebook(title: str, cells: list[str], path: Path) -> Path:
    """Write a notebook with the given code cells; the first one is tagged "parameters"."""
    nb = nbformat.v4.new_notebook()
    nb.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nb.cells = [nbformat.v4.new_markdown_cell(f"# {title}"), *map(nbformat.v4.new_code_cell, cells)]
    nb.cells[1].metadata["tags"] = ["parameters"]
    for index, cell in enumerate(nb.cells):
        cell["id"] = f"cell-{index}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, path)
    return path


def make(root: Path) -> Path:
    """The book in an empty folder."""
    (root / "book" / "_static").mkdir(parents=True)
    (root / "book" / "_static" / "book.css").write_text("")
    shutil.copy(ROOT / "book" / "_static" / "logo.svg", root / "book" / "_static")
    (root / "book" / "intro.md").write_text("# A tiny book\n\nNothing but $x^2$.\n")
    (root / "book" / "references.bib").write_text("")
    (root / "book" / "manifest.yml").write_text(MANIFEST)
    (root / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    shutil.copytree(ROOT / "book" / "_ext", root / "book" / "_ext",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name, cells in (("numbers", NUMBERS), ("times", TIMES), ("table", TABLE)):
        notebook(name.title(), cells, root / "notebooks" / f"{name}.ipynb")
    return root


def environment() -> dict[str, str]:
    """The environment for the command line, with this checkout's seo_core and no $SEO_BOOK."""
    env = {k: v for k, v in os.environ.items() if k != "SEO_BOOK"}
    return {**env, "PYTHONPATH": str(ROOT)}


def cli(*words: str, cwd: Path, check: int | None = None) -> subprocess.CompletedProcess:
    """`python -m seo_core.run …` in `cwd`; with `check`, its exit code must be that."""
    done = subprocess.run([sys.executable, "-m", "seo_core.run", *map(str, words)], cwd=cwd, text=True,
                          capture_output=True, env=environment(), timeout=1200, check=False)
    if check is not None:
        assert done.returncode == check, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
