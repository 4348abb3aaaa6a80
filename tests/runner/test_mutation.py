"""Breaking a chapter's method in the kernel that ran it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import types

import minibook
import pytest
from mutation import Door

from seo_core.runner import RunnerError

TARGET = "seo_core.settings.display_source"
IMPORTS = "from seo_core.settings import display_source, resolve_path"
CHECK = "assert display_source('/data/mnli') == 'path/to/mnli'"
BROKEN = {"target": TARGET, "replacement": "lambda source: original(source) + '!'"}

METHOD = """
LIMIT = 3

def double(x):
    return 2 * x

class Model:
    def score(self):
        return 1
"""


@pytest.fixture
def method(monkeypatch):
    """A module of seo_core with a method, and a second one that has imported the method."""
    first, second = types.ModuleType("seo_core.first"), types.ModuleType("seo_core.second")
    exec(METHOD, vars(first))
    second.twice = first.double
    for module in (first, second):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return first, second


def test_the_door_is_before_every_name_of_the_method_and_lets_it_through_until_opened(method, tmp_path):
    first, second = method
    door = Door([{"target": "seo_core.first.double", "replacement": "lambda x: original(x) + LIMIT"}], {}, tmp_path)
    assert first.double(2) == second.twice(2) == 4 and first.double.__name__ == "double"
    door.start(broken=True)
    assert first.double(2) == second.twice(2) == 7
    door.end()
    assert first.double(2) == second.twice(2) == 4
    door.start(broken=False)
    assert second.twice(2) == 4


def test_a_method_of_a_class_can_be_broken(method, tmp_path):
    door = Door([{"target": "seo_core.first.Model.score", "replacement": "lambda self: -original(self)"}], {}, tmp_path)
    model = method[0].Model()
    assert model.score() == 1
    door.start(broken=True)
    assert model.score() == -1


def test_what_stood_before_the_first_call_is_back_for_the_second_run(method, tmp_path):
    first, _ = method
    build, names = tmp_path / "_build", {"given": 1}
    door = Door([{"target": "seo_core.first.double", "replacement": "lambda x: 0"}], names, build)
    (build / "results").mkdir(parents=True)
    for record in ("early", "rewritten"):
        (build / "results" / record).write_text("1")
    door.before_cell()
    names.update(network=[1, 2], again=None, module=sys)
    names["again"] = names["network"]
    door.before_cell()
    first.double(1)
    assert door.cell == 1
    names["network"].append(3)  # trained in place
    names.update(late=1, module=None)
    (build / "results" / "late").write_text("1")
    (build / "results" / "rewritten").write_text("22")
    door.before_cell()
    first.double(1)
    assert door.cell == 1
    for _ in range(2):
        door.start(broken=True)
        assert names == {"given": 1, "network": [1, 2], "again": [1, 2], "module": sys}
        assert names["network"] is names["again"]
        assert [p.name for p in build.rglob("*") if p.is_file()] == ["early"]
        names["network"].append(4)
        (build / "results" / "broken").write_text("1")
        door.end()
        kept = {p.name: p.read_text() for p in build.rglob("*") if p.is_file()}
        assert kept == {"early": "1", "rewritten": "22", "late": "1"}


@pytest.mark.parametrize("target, error, message", [
    ("seo_core.first.triple", AttributeError, "triple"), ("seo_core.first.LIMIT", RunnerError, "is not a function"),
    ("seo_cor.first.double", RunnerError, "no such module")])
def test_a_target_that_is_none_is_an_error(method, target, error, message, tmp_path):
    with pytest.raises(error, match=message):
        Door([{"target": target, "replacement": "None"}], {}, tmp_path)


@pytest.mark.kernel
def test_nbval_runs_a_chapter_again_with_its_method_broken(tmp_path):
    """Chapters of a tiny book, good and bad: what the test that follows their cells says."""
    book = minibook.make(tmp_path / "book")
    for path in (book / "notebooks").glob("*.ipynb"):
        path.unlink()
    (book / "tests").mkdir()
    for name in ("notebooks/conftest.py", "tests/mutation.py"):
        shutil.copy(minibook.ROOT / name, book / name)
    write = ("place = resolve_path('_build/results/value.txt')\nplace.parent.mkdir(parents=True, exist_ok=True)\n"
             "if not place.is_file():\n    _ = place.write_text(display_source('/data/mnli'))")
    chapters = {
        "noticed": ([IMPORTS, CHECK], BROKEN, "1 passed"),
        "harmless": ([IMPORTS, CHECK], {**BROKEN, "replacement": "lambda source: original(source)"},
                     f"with {TARGET} replaced as book/manifest.yml says, no check of harmless fails"),
        "unknown": ([IMPORTS, CHECK], {**BROKEN, "target": "seo_core.settings.no_such_function"},
                    "book/manifest.yml, the mutation of unknown: AttributeError"),
        "uncalled": ([IMPORTS, "assert True"], BROKEN, f"no cell of uncalled has called {TARGET}"),
        "none": ([IMPORTS, CHECK], None, "book/manifest.yml: none has no mutation"),
        "crash": ([IMPORTS, CHECK], {**BROKEN, "replacement": "None"}, "cell 2 of crash ends with TypeError"),
        "record": ([IMPORTS, write, "assert place.read_text() == 'path/to/mnli'"], BROKEN, "1 passed"),
        "inplace": ([IMPORTS, "texts = []", "texts.append(display_source('/a'))", "assert texts == ['path/to/a']"],
                    BROKEN, "1 passed"),
        "once": ([IMPORTS + "\nimport itertools, math\nmath.count = itertools.count()", "place = next(math.count)",
                  "place = next(math.count)\ntext = display_source('/a')", "assert place == 1 and text == 'path/to/a'"],
                 {**BROKEN, "replacement": "lambda source: original(source)"},
                 "cell 4 of once fails when it is run a second time"),
    }
    entries = ["root: book/intro", "parts: [{caption: Chapters}]", "chapters:"]
    for name, (cells, mutation, _) in chapters.items():
        minibook.notebook(name, ["pass", *cells], book / "notebooks" / f"{name}.ipynb")
        entries += [f"  - id: {name}\n    title: {name}\n    part: Chapters\n    kind: technique"]
        entries += [f"    mutation: {mutation!r}"] if mutation else []
    (book / "book" / "manifest.yml").write_text("\n".join(entries))
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env",
               "notebooks"]
    done = subprocess.run(command, cwd=book, env=minibook.environment(), capture_output=True, text=True, check=False)
    print(done.stdout)
    passes = [name for name, (_, _, message) in chapters.items() if message == "1 passed"]
    for name, (_, _, message) in chapters.items():
        outcome = "PASSED" if name in passes else "FAILED"
        assert f"{outcome} notebooks/{name}.ipynb::Broken method" in done.stdout
        assert name in passes or message in done.stdout
    assert f"{len(chapters) - len(passes)} failed" in done.stdout and not (book / "_build").exists()
