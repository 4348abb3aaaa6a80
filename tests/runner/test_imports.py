"""What a chapter's code reaches: a rerun is due when one of these modules changed, and not when another did."""

import json
from pathlib import Path

import pytest

import seo_core
from seo_core.runner.imports import closure
from seo_core.runner.manifest import load_manifest
from seo_core.runner.state import sources

PACKAGE = Path(seo_core.__file__).parent


@pytest.fixture
def package(tmp_path):
    """A small package: rooms a and b, whose `__init__`s re-export, and single modules."""
    text = {
        "__init__": "from pkg.base import go as _go\n_go()\n\ndef load():\n    from pkg.deploy import load\n",
        "base": "", "deploy": "", "run": "import pkg.a", "other": "",
        "a/__init__": "from pkg.a.one import first\nfrom pkg.a.two import second as third\n",
        "a/one": "def first():\n    import pkg.other\n", "a/two": "",
        "b/__init__": "def __getattr__(name):\n    return __import__('importlib').import_module(f'pkg.b.{name}')\n",
        "b/left": "from pkg import a\na.third()", "b/right": "COMMAND = ['-m', 'pkg.run']",
    }
    for name, code in text.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return tmp_path / "pkg"


@pytest.mark.parametrize(("code", "reached"), [
    ("print(1)", ""),
    ("import pkg\npkg.load()", "deploy"),
    ("from pkg.a import first", "a a.one other"),  # a lazy import inside the function counts
    ("from pkg.a import third", "a a.two"),
    ("from pkg import a\na.third()", "a a.two"),
    ("from pkg import a as room\nprint(room)", "a a.one a.two other"),  # passed around: anything may be taken from it
    ("from pkg.a import *", "a a.one a.two other"),
    ("from pkg.b import left", "b b.left a a.two"),
    ("from pkg.b import made_at_run_time", "b b.left b.right a a.two"),
    ("def f():\n    from pkg.b.right import COMMAND", "b b.right"),  # the runner changes no number
    ("__import__('importlib').import_module('pkg.other')", "other"),
    ("name = 'x'\n__import__(f'pkg.a.{name}')", "a a.one a.two other"),
])
def test_the_closure_holds_what_the_code_reaches_and_nothing_else(package, code, reached):
    found = {".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
             for path in closure(code, package)}
    assert found - {"__init__", "base"} == set(reached.split())
    assert {"__init__", "base"} <= found or not found  # what importing the package runs anyway


def test_an_edit_is_seen_at_once(package):
    before = closure("import pkg.deploy", package)
    (package / "deploy.py").write_text("from pkg.a import third")
    assert {p.name for p in set(closure("import pkg.deploy", package)) - set(before)} == {"__init__.py", "two.py"}


def test_structured_pruning_concerns_the_chapters_that_prune():
    manifest = load_manifest(PACKAGE.parent)
    due = {c.id for c in manifest.chapters if PACKAGE / "pruning" / "structured.py" in sources(manifest.notebook(c.id))}
    assert {"09_pruning", "10_adaptive_iterative_pruning"} <= due
    assert not due & {"01_data", "02_baseline", "05_transfer_learning", "06_active_learning", "claims_audit"}
    for chapter in manifest.chapters:
        names = {path.relative_to(PACKAGE).as_posix() for path in sources(manifest.notebook(chapter.id))}
        assert "settings.py" in names and not any(name.startswith("run") for name in names)


def test_a_notebook_with_magics_is_read_and_one_that_is_no_python_concerns_everything(tmp_path):
    for line, few in (("%matplotlib inline", True), ("this is no Python", False)):
        cells = [{"cell_type": "code", "source": [f"{line}\n", "from seo_core.checks import suggest"]}]
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
        assert (len(sources(tmp_path / "a.ipynb")) < 20) is few
