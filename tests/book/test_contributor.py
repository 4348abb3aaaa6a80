"""The contributor's page, walked by a stranger: in a copy of the book and the package, each block is put where the page
says, and each command is run, in the page's order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "add_a_chapter.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|yaml|bash)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)  # (language, text)
NOTEBOOK = "notebooks/label_smoothing.py"
METHOD = "seo_core.distillation.smoothing"


def block(beginning: str) -> str:
    """The one block of the page that begins like this."""
    text, = [text for _, text in BLOCKS if text.startswith(beginning)]
    return text


def place(text: str, clone: Path) -> None:
    """Writes a module to the file that its first line names; puts a cell in place of the one that begins like it."""
    first = text.splitlines()[0]
    if first.endswith(".py"):
        (clone / first.removeprefix("# ")).write_text(text.partition("\n")[2], encoding="utf-8")
        return
    cells = re.split(r"(?=^# %%)", (clone / NOTEBOOK).read_text(encoding="utf-8"), flags=re.MULTILINE)
    number, = [n for n, cell in enumerate(cells) if cell.splitlines()[1:2] == [first]]
    cells[number] = f"# %%\n{text}\n"
    (clone / NOTEBOOK).write_text("".join(cells), encoding="utf-8")


def run(command: str, clone: Path) -> str:
    """What a command of the page prints; it must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "SEO_BOOK"}
    here = str(Path(sys.executable).parent)  # of `python`
    environment.update(PYTHONPATH=str(clone), PATH=os.pathsep.join([here, os.environ["PATH"]]))
    done = subprocess.run(command, shell=True, cwd=clone, env=environment, text=True, capture_output=True, timeout=600,
                          check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory, kernel):
    """The copy, and what each command printed."""
    clone, printed = tmp_path_factory.mktemp("clone"), {}
    shutil.copytree(ROOT / "seo_core", clone / "seo_core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "book", clone / "book", ignore=shutil.ignore_patterns("_static", "_ext", "reference"))
    (clone / "tests" / "distillation").mkdir(parents=True)
    (clone / "notebooks").mkdir()
    for language, text in BLOCKS:
        if language == "python":
            place(text, clone)
        elif language == "yaml":
            with open(clone / "book" / "manifest.yml", "a", encoding="utf-8") as manifest:
                manifest.write("\n" + text)
        else:
            printed.update({command: run(command, clone) for command in text.splitlines()})
    return clone, printed


@pytest.fixture
def method(walk, monkeypatch):
    """The page's method as a module."""
    module = types.ModuleType(METHOD)
    monkeypatch.setitem(sys.modules, METHOD, module)
    exec((walk[0] / f"{METHOD.replace('.', '/')}.py").read_text(encoding="utf-8"), vars(module))
    return module


def records(folder: Path) -> dict[str, dict]:
    """Configuration -> record of those under a results folder."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*-seed*.json")]
    return {record["configuration"]: record for record in files}


@pytest.mark.slow
def test_the_arm_is_made_after_what_it_needs_and_leaves_its_record(walk):
    clone, printed = walk
    dry = next(text for command, text in printed.items() if "--dry-run" in command)
    assert [line.split()[1] for line in dry.splitlines()] == ["supervised", "smooth"]
    made = records(clone / "_build" / "results")
    assert set(made) == {"base", "smooth"} and made["smooth"]["parameters"]["smoothing"] == {"smoothing": 0.1}
    assert made["base"]["provenance"]["finished"] <= made["smooth"]["provenance"]["finished"]
    assert {record["parameters"]["labels"] for record in made.values()} == {32}
    path = next(text for command, text in printed.items() if command.startswith("ls ")).strip()
    assert (clone / path).is_file()


@pytest.mark.slow
def test_the_chapter_executes_and_everything_is_in_step(walk):
    clone, printed = walk
    cells = [c for c in nbformat.read(clone / NOTEBOOK.replace(".py", ".ipynb"), 4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    texts = [output.get("text", "") for cell in cells for output in cell.outputs]
    assert "targets are softened towards what is confused: yes\n" in texts
    assert any("image/png" in output.get("data", {}) for output in cells[-1].outputs)
    assert set(records(clone / "_build" / "refresh" / "_build" / "results")) == {"base", "smooth"}
    assert printed["python -m seo_core.run sync --check"] == "everything is in step\n"
    assert "notebooks/label_smoothing" in (clone / "book" / "_toc.yml").read_text()


@pytest.mark.slow
def test_the_pages_check_notices_the_pages_mutation(method, monkeypatch):
    check, (entry,) = block("# The check"), yaml.safe_load(block("  - id: label_smoothing"))
    exec(check, {})
    module, _, name = entry["mutation"]["target"].rpartition(".")
    assert module == METHOD
    broken = eval(entry["mutation"]["replacement"], {"original": getattr(method, name)})
    monkeypatch.setattr(method, name, broken)
    with pytest.raises(AssertionError, match="the class that is confused"):
        exec(check, {})


@pytest.mark.slow
def test_the_pages_tests_pass(method):
    names: dict = {}
    exec(block("# tests/distillation/test_smoothing.py"), names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) >= 2
    for test in tests:
        test()


def test_the_messages_that_the_page_explains_are_those_of_the_code():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "seo_core").rglob("*.py"))
    messages = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert len(messages) >= 8
    for message in messages:
        for words in re.split(r"'[^']*'|…", message):
            assert words.strip("; ") in source, message


def test_the_page_stays_short_and_every_block_is_walked():
    assert len(re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL).split()) <= 1000
    assert len(BLOCKS) == PAGE.count("\n```") / 2
