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
        "d/__init__": "_IN = {'up': 'rise climb', 'down': ('fall',)}\n\ndef __getattr__(name):\n    ...\n",
        "d/up": "", "d/down": "",
        "c/__init__": "def __getattr__(name):\n    ...\n", "c/alone": "C = dict('03_chapter')",
        "c/up": "A, B = dict('01_chapter'), dict('02_chapter')", "c/more": "from pkg.c.up import B",
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
    ("from pkg import d\nd.climb()", "d d.up"), ("from pkg.d import fall", "d d.down"),
    ("from pkg.c import begin\nbegin('01_chapter')", "c c.up"),
    ("from pkg.c import begin\nbegin('02_chapter')", "c c.up c.more"),
    ("from pkg.c import begin\nbegin(which)", "c c.up c.more c.alone"),
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


def test_the_tables_that_a_module_reads_count_with_it(package):
    for name in ("a/two", "a/two_long", "other"):
        (package / f"{name}.yml").touch()
    reached = {path.name for path in closure("from pkg.a import third", package)}
    assert reached == {"__init__.py", "base.py", "two.py", "two.yml", "two_long.yml"}


@pytest.mark.slow
def test_structured_pruning_concerns_the_chapters_that_prune():
    manifest = load_manifest(PACKAGE.parent)
    due = {c.id for c in manifest.chapters if PACKAGE / "pruning" / "structured.py" in sources(manifest.notebook(c.id))}
    assert {"09_pruning", "10_adaptive_iterative_pruning"} <= due
    assert due <= {"09_pruning", "10_adaptive_iterative_pruning", "12_distillation", "13_quantization_distillation",
                   "11_quantization",  # its control is distilled
                   "14_synergy_controller", "15_seo_llm", "16_mixed_precision", "20_tkd_nlp",
                   "fig1_architecture"}
    for chapter in manifest.chapters:
        names = {path.relative_to(PACKAGE).as_posix() for path in sources(manifest.notebook(chapter.id))}
        assert "settings.py" in names and not any(name.startswith("run") for name in names)


def test_a_notebook_with_magics_is_read_and_one_that_is_no_python_concerns_everything(tmp_path):
    for line, few in (("%matplotlib inline", True), ("this is no Python", False)):
        cells = [{"cell_type": "code", "source": [f"{line}\n", "from seo_core.checks import suggest"]}]
        (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
        assert (len(sources(tmp_path / "a.ipynb")) < 20) is few


@pytest.mark.slow
def test_a_chapter_concerns_every_arm_that_its_runs_need():
    from seo_core.arms import ARMS, known

    manifest = load_manifest(PACKAGE.parent)
    for arm in ARMS.values():
        reached = {path.stem for path in sources(manifest.notebook(arm.chapter.id)) if path.parent.name == "arms"}
        needed = [arm]
        for each in needed:
            assert getattr(each.make, "func", each.make).__module__.rpartition(".")[2] in reached, \
                f"{arm.name} needs {each.name}: the module of the one has to import that of the other"
            needed += [other for other in (known(need.arm) for need in each.needs) if other not in needed]
