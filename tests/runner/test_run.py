"""The runner, end to end through its command line, on a tiny book."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import minibook
import pytest
from minibook import cli

from seo_core.machine import cores
from seo_core.run import main
from seo_core.runner import plan
from seo_core.runner.manifest import load_manifest


@pytest.fixture
def book(tmp_path):
    """A fresh tiny book; nothing has been run."""
    return minibook.make(tmp_path / "book")


@pytest.fixture(scope="module")
def original(tmp_path_factory, kernel):
    """A tiny book after one `book`."""
    book = minibook.make(tmp_path_factory.mktemp("original") / "book")
    cli("book", cwd=book, check=0)
    return book


@pytest.fixture
def built(original, tmp_path):
    """A copy of the book that has been run and rendered: what is complete stays so after a move."""
    return Path(shutil.copytree(original, tmp_path / "moved"))


def refused(book: Path, words, capsys, monkeypatch) -> tuple[int, str]:
    """Exit code and message of a command that fails before it runs anything."""
    monkeypatch.chdir(book)
    monkeypatch.delenv("SEO_BOOK", raising=False)
    code = main([str(word) for word in words])
    return code, capsys.readouterr().err


def text_of(path: Path) -> str:
    """All text outputs of a notebook."""
    cells = json.loads(path.read_text())["cells"]
    return "".join("".join(o.get("text", [])) for c in cells for o in c.get("outputs", []))


def staged(book: Path, name: str) -> Path:
    return book / "_build" / "run" / "quick" / "notebooks" / f"{name}.ipynb"


def edit(book: Path, name: str, old: str, new: str) -> None:
    path = book / "notebooks" / f"{name}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_another_seed_shows_other_numbers_in_the_page(built):
    book = built
    page = book / "_build" / "html" / "notebooks" / "numbers.html"
    assert "value 1000" in page.read_text()
    done = cli("book", "--seed", "3", cwd=book, check=0)
    assert "value 1333" in page.read_text() and "value 1000" not in page.read_text()
    assert (book / "_build" / "html" / "index.html").is_file()
    assert done.stdout.strip().endswith("the book is at _build/html/index.html")
    status = (book / "_build" / "html" / "book" / "status.html").read_text()
    assert "seed=3" in status and "1 check passed" in status
    for path in (book / "_build" / "html").rglob("*"):
        if path.suffix in {".html", ".js", ".ipynb", ".md", ".txt"}:
            text = path.read_text()
            assert str(book) not in text and str(minibook.ROOT) not in text, f"machine path in {path}"


def test_second_run_executes_and_renders_nothing(built):
    book = built
    before = {p: p.stat().st_mtime_ns for p in (book / "_build" / "html").rglob("*")}
    done = cli("book", cwd=book, check=0)
    assert "0 run, 3 up to date" in done.stdout and "pages are up to date" in done.stdout
    assert "running" not in done.stdout
    assert {p: p.stat().st_mtime_ns for p in (book / "_build" / "html").rglob("*")} == before


def test_only_what_changed_is_run_again(built):
    book = built
    edit(book, "times", "3 * 7", "3 * 8")
    first, second = cli("chapter", "numbers", "times", "--dry-run", cwd=book, check=0).stdout.splitlines()
    assert first == "times (seed 0): notebook changed" and re.fullmatch(r"time: about \d+ s here, as last time", second)
    shown = book / "book" / "reference" / "cpu" / "others" / "base-00000000-seed0.json"
    shown.parent.mkdir(parents=True)
    shown.write_text("{}")
    manifest = book / "book" / "manifest.yml"
    text = manifest.read_text()
    for line in (", shows: [others]", ""):  # a committed record is looked at by who shows it
        manifest.write_text(text.replace("outputs: [numbers]", f"outputs: [numbers]{line}"))
        said = cli("chapter", "numbers", "--dry-run", cwd=book, check=0).stdout
        assert ("inputs changed" in said) == bool(line)
    shown.unlink()
    done = cli("book", "--no-render", cwd=book, check=0)
    assert "times seed 0: running … (notebook changed)" in done.stdout
    assert "numbers seed 0: up to date" in done.stdout and "table seed 0: up to date" in done.stdout
    record = book / "_build" / "results" / "quick" / "numbers" / "base-00000000-seed0.json"
    record.write_text('{"seed": 0, "value": 5}')
    done = cli("book", "--no-render", cwd=book, check=0)
    assert "table seed 0: running … (inputs changed)" in done.stdout and "sum 5 of 1" in \
        text_of(staged(book, "table"))
    record.unlink()
    done = cli("chapter", "numbers", cwd=book, check=0)
    assert "numbers seed 0: running … (no records of numbers)" in done.stdout and record.is_file()
    done = cli("chapter", "numbers", "--force", cwd=book, check=0)
    assert "numbers seed 0: running … (asked for)" in done.stdout


@pytest.mark.kernel
@pytest.mark.parametrize(("words", "share"), [(["chapter", "numbers"], False), (["book", "--no-render"], True)])
def test_chapters_side_by_side_share_the_cores_and_one_alone_has_all(book, monkeypatch, words, share):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    edit(book, "numbers", "value = 1000", "import torch; print('threads', torch.get_num_threads()); value = 1000")
    cli(*words, cwd=book, check=0)
    threads = max(1, cores() // 2) if share and cores() > 1 else cores()
    assert f"threads {threads}" in text_of(book.joinpath("_build/run/quick/seeds/0/notebooks/numbers.ipynb"))


@pytest.mark.kernel
def test_seeds_run_the_techniques_once_each_and_the_rest_once(book):
    done = cli("book", "--no-render", "--seeds", "2 0", "5", "--jobs", "2", cwd=book, check=0)
    assert "5 run, 0 up to date" in done.stdout
    assert "sum 3777 of 3" in text_of(staged(book, "table"))
    assert "value 1222" in text_of(staged(book, "numbers"))  # the first seed makes the pages
    other = book / "_build" / "run" / "quick" / "seeds" / "5" / "notebooks" / "numbers.ipynb"
    assert "value 1555" in text_of(other)
    toc = (book / "_build" / "run" / "quick").rglob("_toc.yml")
    assert all("seeds" not in path.read_text() for path in toc)


def test_what_most_others_wait_for_in_turn_is_run_first():
    manifest = load_manifest(minibook.ROOT)
    batch = plan.tasks(manifest, manifest.chapters, [0, 1])
    waiting = plan.chains(manifest, batch)
    for task in batch:
        after = [t for t in batch if task in plan.needs(manifest, t, batch)]
        assert waiting[task] == max((1 + waiting[t] for t in after), default=0)
    names = [task.chapter.id for task in sorted(batch, key=waiting.get, reverse=True)]
    assert names[0] == "09_pruning"  # 10, 11, 12, 13 and the tables build on it
    assert names.index("12_distillation") < names.index("01_data")


@pytest.mark.parametrize("words, hint", [
    (("book", "--profile", "quik"), "'quick'"),
    (("chapter", "number"), "'numbers'"),
    (("chapter", "numbers", "-p", "ofset=1"), "'offset'"),
    (("book", "-p", "sed=1"), "'seed'"),
    (("bok",), "'book'"),
    (("book", "--sed", "1"), "'--seed'"),
    (("chapter", "numbers", "-p", "offset=many"), "must be int"),
    (("chapter", "numbers", "-p", "epochs=0"), "setting epochs must be 1 or more"),
    (("book", "-p", "train_rows=many"), "setting train_rows must be 1 or more"),
    (("book", "-p", "labels=yes"), "two classes or more"),
    (("book", "--seed", "one"), "whole number"),
    (("book", "--data", "./absent.csv"), "no such file"),
    (("chapter", "numbers", "--source", "./absent"), "--source ./absent: no such file"),
    (("chapter", "times", "--source", "embedded"), "unknown parameter 'source'"),
    (("render", "--profile", "cpuu"), "'cpu'"),
])
def test_unknown_names_are_refused_with_the_nearest(book, words, hint, capsys, monkeypatch):
    code, message = refused(book, words, capsys, monkeypatch)
    assert code == 2 and hint in message
    assert message.startswith("error: ") and message.count("\n") == 1
    assert not (book / "_build").exists()


def test_a_chapter_that_reads_records_alone_takes_the_names_of_the_datas_classes_and_texts(book, capsys, monkeypatch):
    words = ("chapter", "times", "--dry-run", "-p", "labels=no,yes", "-p", "text=note")
    assert refused(book, words, capsys, monkeypatch) == (0, "")


@pytest.mark.kernel
def test_a_parameter_of_one_chapter_reaches_it(book):
    cli("book", "--no-render", "-p", "offset=7", cwd=book, check=0)
    assert "value 1007" in text_of(staged(book, "numbers"))


@pytest.mark.kernel
def test_a_terminal_shows_where_a_chapter_is_and_a_file_does_not(book):
    edit(book, "numbers", "assert value >= 1000", "import time; time.sleep(2); assert value >= 1000")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (24, 120))
    with subprocess.Popen([sys.executable, "-m", "seo_core.run", "chapter", "numbers"], cwd=book, stderr=theirs,
                          stdout=subprocess.PIPE, text=True, env=minibook.environment()) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 4096):
                shown += part
        lines = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0 and "chapters" not in lines and "done in" in lines
    assert re.search(r"chapters 0/1 00:\d\d, numbers-seed0: cell (\d+) of \1, working in", shown.decode())
    assert "numbers-seed0: starting" in shown.decode()
    assert cli("chapter", "numbers", "--force", cwd=book, check=0).stderr == ""


@pytest.mark.kernel
def test_a_log_has_a_line_now_and_then_of_where_a_chapter_is(book):
    edit(book, "numbers", "assert value >= 1000", "import time; time.sleep(2); assert value >= 1000")
    done = subprocess.run([sys.executable, "-m", "seo_core.run", "chapter", "numbers"], cwd=book, text=True, check=True,
                          capture_output=True, env={**minibook.environment(), "SEO_PROGRESS_SECONDS": "0.5"})
    lines = [line for line in done.stdout.splitlines() if "numbers seed 0: at " in line]
    assert len(lines) >= 2 and re.search(r"at cell (\d+) of \1, working in", lines[-1]) and not done.stderr


def test_failing_chapter(built):
    book = built
    page = (book / "_build" / "html" / "notebooks" / "numbers.html").read_text()
    edit(book, "numbers", "assert value >= 1000", "assert value > 1000, 'too small'")
    done = cli("book", cwd=book, check=1)
    assert done.stderr == "error: 1 failed: numbers (seed 0); 1 not run because of that\n"
    assert "FAILED: AssertionError: too small" in done.stdout
    assert "times seed 0: up to date" in done.stdout  # what does not need it goes on
    failed = book / "_build" / "failed" / "quick" / "0" / "numbers.failed.ipynb"
    assert "too small" in failed.read_text() and not staged(book, "numbers").exists()
    assert (book / "_build" / "html" / "notebooks" / "numbers.html").read_text() == page
    assert "numbers" in cli("render", cwd=book, check=1).stderr
    edit(book, "numbers", "assert value > 1000", "assert value > 1")
    cli("book", "--no-render", cwd=book, check=0)
    assert not failed.exists()


def start(book: Path, marker: Path) -> subprocess.Popen:
    """`book` in the background, with `times` waiting until `marker`.go exists; returns once it waits."""
    edit(book, "times", "print('timed', 3 * 7)",
         f"import time; open('{marker}', 'w').close()\\n"
         f"while not __import__('os').path.exists('{marker}.go'): time.sleep(0.1)")
    process = subprocess.Popen([sys.executable, "-m", "seo_core.run", "book", "--no-render"], cwd=book,
                               env=minibook.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # as on a terminal
    for _ in range(6000):  # a loaded machine takes its time
        if marker.exists():
            return process
        time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.kernel
def test_stopped_in_the_middle_it_goes_on_where_it_was(book, tmp_path, how):
    marker = tmp_path / "marker"
    process = start(book, marker)
    os.kill(process.pid, how)
    _, errors = process.communicate(timeout=600)
    if how == signal.SIGINT:
        assert process.returncode == 130 and "goes on from here" in errors
        assert "Traceback" not in errors
    time.sleep(1)
    assert not staged(book, "times").exists() and staged(book, "numbers").exists()
    Path(f"{marker}.go").touch()
    for _ in range(100):  # the killed run's worker notices and leaves
        done = cli("book", "--no-render", cwd=book)
        if done.returncode == 0:
            break
        assert "in use by another run" in done.stdout
        time.sleep(0.5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 run, 1 up to date" in done.stdout and "numbers seed 0: up to date" in done.stdout
    assert not list(book.rglob("*.tmp"))


@pytest.mark.kernel
def test_from_outside_the_clone_with_local_data(book, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "my data").mkdir(parents=True)
    (elsewhere / "my data" / "train.csv").write_text("premise,hypothesis,label\n")
    done = cli("chapter", "numbers", "--book", book, "--data", "my data", cwd=elsewhere, check=0)
    assert "done in" in done.stdout and not (elsewhere / "_build").exists()
    notebook = staged(book, "numbers").read_text()
    assert "path/to/my data" in notebook and "elsewhere" not in notebook and str(tmp_path) not in notebook
    (elsewhere / "my data" / "train.csv").write_text("premise,hypothesis,label\na,b,0\n")
    done = cli("chapter", "numbers", "--book", book, "--data", "my data", cwd=elsewhere, check=0)
    assert "running … (data changed)" in done.stdout
    words = ("chapter", "numbers", "table", "--book", book, "--source", "other data")
    (elsewhere / "my data").rename(elsewhere / "other data")
    cli(*words, cwd=elsewhere, check=0)  # to the chapter that has one; the table has none
    notebook = staged(book, "numbers").read_text()
    assert "path/to/other data" in notebook and "elsewhere" not in notebook
    (elsewhere / "other data" / "train.csv").write_text("premise,hypothesis,label\na,b,1\n")
    assert "running … (source changed)" in cli(*words, cwd=elsewhere, check=0).stdout
    assert "up to date" in cli(*words[:-2], "-p", "source=other data", cwd=elsewhere, check=0).stdout
    assert "no book" in cli("list", "--book", elsewhere, cwd=elsewhere, check=2).stderr


def test_published_notebooks_carry_no_stderr_and_no_machine_path(built):
    book = built
    text = staged(book, "numbers").read_text()
    notebook = json.loads(text)
    assert "stderr" not in text and "working in path/to/book" in text
    assert "/original" not in text and sys.prefix not in text
    assert set(notebook["metadata"]["papermill"]) <= {"start_time", "end_time", "duration", "exception",
                                                      "version", "parameters"}
    kept = book / "_build" / "run" / "quick" / ".state" / "numbers-seed0.stderr"
    assert "a warning with a path" in kept.read_text()


def test_a_warning_in_the_build_is_an_error_and_leaves_the_pages(built):
    book = built
    before = (book / "_build" / "html" / "book" / "intro.html").read_text()
    (book / "book" / "intro.md").write_text("# A tiny book\n\n[lost](nowhere.md)\n")
    done = cli("render", cwd=book, check=1)
    assert "without warnings" in done.stderr and "nowhere.md" in done.stderr
    assert (book / "_build" / "html" / "book" / "intro.html").read_text() == before


def test_render_never_overwrites_a_foreign_folder(built, tmp_path):
    book = built
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert "no earlier build" in cli("render", "--output", mine, cwd=book, check=1).stderr
    assert (mine / "thesis.txt").read_text() == "years of work"


@pytest.mark.kernel
def test_refresh_takes_outputs_and_sync_keeps_the_pair(book):
    (book / "notebooks" / "jupytext.toml").write_text(
        (minibook.ROOT / "notebooks" / "jupytext.toml").read_text())
    cli("sync", cwd=book, check=0)
    assert (book / "notebooks" / "numbers.py").is_file() and (book / "book" / "_toc.yml").is_file()
    cli("refresh", "numbers", cwd=book, check=0)
    path = book / "notebooks" / "numbers.ipynb"
    notebook = json.loads(path.read_text())
    assert "value 1000" in text_of(path) and not (book / "_build" / "results").exists()
    assert [c["execution_count"] for c in notebook["cells"] if c["cell_type"] == "code"] == list(range(1, 8))
    assert "injected" not in path.read_text() and "papermill" not in path.read_text()
    assert "everything is in step" in cli("sync", cwd=book, check=0).stdout
    pair = path.with_suffix(".py")
    pair.write_text(pair.read_text().replace("1000 + 111", "2000 + 111"))
    os.utime(pair, (time.time() + 5, time.time() + 5))
    before = path.read_bytes()
    assert "out of step: notebooks/numbers.ipynb" in cli("sync", "--check", cwd=book, check=1).stderr
    assert path.read_bytes() == before
    assert "numbers.ipynb updated" in cli("sync", cwd=book, check=0).stdout
    assert "2000 + 111" in path.read_text() and "value 1000" in text_of(path)
    assert "everything is in step" in cli("sync", "--check", cwd=book, check=0).stdout
    pair.unlink()
    assert "notebooks/numbers.ipynb" in cli("sync", "--check", cwd=book, check=1).stderr


@pytest.mark.kernel
def test_read_only_results_are_one_clear_error(book):
    results = book / "_build" / "results"
    results.parent.mkdir()
    results.write_text("a file where the folder should be")
    done = cli("book", "--no-render", cwd=book, check=1)
    assert "FAILED" in done.stdout and "1 failed: numbers (seed 0)" in done.stderr
    assert "Traceback" not in done.stderr


def test_list_and_clean(built):
    book = built
    lines = cli("list", cwd=book, check=0).stdout.splitlines()
    assert len(lines) == 3 and all(line.endswith("complete") for line in lines)
    assert lines[0].split()[:2] == ["numbers", "technique"]
    cli("clean", cwd=book, check=0)
    assert (book / "_build" / "results" / "quick" / "numbers").is_dir()
    assert not (book / "_build" / "run").exists()


@pytest.mark.parametrize("old, new, message", [
    ("kind: benchmark", "kind: bench", "unknown kind 'bench'; did you mean 'benchmark'?"),
    ('inputs: ["*"]', "inputs: [numbrs]", "unknown input 'numbrs'; did you mean 'numbers'?"),
    ("part: Chapters, kind: benchmark", "part: Chapter, kind: benchmark", "unknown part 'Chapter'"),
    ("title: Times", "titel: Times", "needs id, title, part and kind"),
    ("id: times", "id: numbers", "is listed twice"),
    ("kind: benchmark", "kind: benchmark, inputs: [table]", "form a circle"),
])
def test_manifest_errors_name_the_entry(book, old, new, message, capsys, monkeypatch):
    path = book / "book" / "manifest.yml"
    path.write_text(path.read_text().replace(old, new))
    code, error = refused(book, ["list"], capsys, monkeypatch)
    assert code == 1 and message in error and error.count("\n") == 1


@pytest.mark.kernel
def test_nbval_compares_in_a_book_of_its_own(book):
    for name in ("numbers", "table"):
        (book / "notebooks" / f"{name}.ipynb").unlink()
    shutil.copy(minibook.ROOT / "notebooks" / "conftest.py", book / "notebooks" / "conftest.py")
    cells = [minibook.PARAMETERS, minibook.SETTINGS, "value = 1", minibook.RECORD,
             "print(len(list(folder.glob('*.json'))))"]
    path = minibook.notebook("Isolated", cells, book / "notebooks" / "isolated.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval",
               "--nbval-current-env", "--nbval-sanitize-with",
               minibook.ROOT / "tests" / "nbval_sanitize.cfg", path]
    run = {"cwd": book, "env": minibook.environment(), "capture_output": True, "text": True, "check": False}

    def commit_output(text):
        notebook = json.loads(path.read_text())
        notebook["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [text]}]
        notebook["cells"][-1]["execution_count"] = 5  # nbval skips cells that say they were not run
        path.write_text(json.dumps(notebook))

    commit_output("2\n")
    wrong = subprocess.run(command, **run)
    assert wrong.returncode == 1 and "1 failed, 4 passed" in wrong.stdout
    commit_output("1\n")
    for _ in range(2):  # the second time there is again no record but its own
        done = subprocess.run(command, **run)
        assert done.returncode == 0, done.stdout
        assert "5 passed" in done.stdout and not (book / "_build").exists()


def test_a_chapter_runs_again_when_an_operators_resource_has_come(monkeypatch):
    from seo_core.augmentation import contextual, translation, wordnet
    from seo_core.runner.state import operators_hash

    before = operators_hash()
    for module, changes in ((contextual, False), (translation, True), (wordnet, True)):
        other = "gone" if module.absent() is None else None
        with monkeypatch.context() as patch:
            patch.setattr(module, "absent", lambda other=other: other)
            assert (operators_hash() != before) is changes


def test_a_chapter_runs_again_when_a_record_that_it_shows_changes(tmp_path):
    from seo_core.runner.manifest import load_manifest
    from seo_core.runner.notebooks import scratch_book
    from seo_core.runner.state import Options, signature

    manifest = load_manifest(scratch_book(minibook.ROOT, tmp_path))
    names = ("12_distillation", "13_quantization_distillation", "03_augmentation")
    shows = {name: manifest.by_id[name] for name in names}

    def inputs():
        return {name: signature(manifest, chapter, 0, Options())["inputs"] for name, chapter in shows.items()}

    before = inputs()
    next((tmp_path / "book" / "reference" / "cpu" / "09_pruning").glob("base-*.json")).unlink()  # of their teacher
    changed = {name for name, found in inputs().items() if found != before[name]}
    assert changed == {"12_distillation", "13_quantization_distillation"}


def _experiments(source: str) -> set[str]:
    """The names in a notebook's code, also as constants of modules that read records; and "*" for all records."""
    tree, named = ast.parse(source), set()
    modules = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in ast.walk(tree)
               if isinstance(node, ast.ImportFrom) and node.module in ("seo_core.analysis", "seo_core.bench")
               for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            named |= {node.value} - {"*"}
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in modules:
            value = getattr(importlib.import_module(modules[node.value.id]), node.attr, None)
            named |= {value} if isinstance(value, str) else set(value) if isinstance(value, tuple) else set()
        elif isinstance(node, ast.Call) and ast.unparse(node) == "results.load()":
            named.add("*")
    return named


def test_the_manifest_says_which_records_a_chapter_shows():
    manifest = load_manifest(minibook.ROOT)
    known = {"*"} | {name for each in manifest.chapters for name in each.outputs}
    for chapter in manifest.chapters:
        if chapter.kind != "aggregate":
            seen = [chapter, *(manifest.by_id[name] for name in manifest.inputs(chapter))]
            told = {name for each in seen for name in (*each.outputs, *each.shows)}
            named = _experiments(manifest.notebook(chapter.id).with_suffix(".py").read_text()) & known
            assert named <= told or "*" in told, (chapter.id, sorted(named - told))


def test_a_chapter_runs_again_when_an_artifact_that_it_shows_changes(tmp_path):
    from seo_core.runner.manifest import load_manifest
    from seo_core.runner.notebooks import scratch_book
    from seo_core.runner.state import Options, signature

    manifest = load_manifest(scratch_book(minibook.ROOT, tmp_path))
    shown = {"01_data", "tab2_model_size", "tab3_inference_speed", "fig3_size_vs_speed"}
    names = (*shown, "02_baseline", "tab1_training_time")

    def inputs():
        return {name: signature(manifest, manifest.by_id[name], 0, Options())["inputs"] for name in names}

    before = inputs()
    (config := tmp_path / "book" / "artifacts" / "mine" / "config.json").parent.mkdir(parents=True)
    config.write_text("{}")
    changed = {name for name, found in inputs().items() if found != before[name]}
    assert changed == shown


@pytest.mark.kernel
def test_an_edit_while_a_chapter_runs_makes_it_due_again_and_loses_nothing(book, tmp_path):
    shutil.copytree(minibook.ROOT / "seo_core", tmp_path / "seo_core", ignore=shutil.ignore_patterns("__pycache__"))
    edit(book, "numbers", "value = 1000", "import time; time.sleep(4); value = 1000")
    words = [sys.executable, "-m", "seo_core.run"]
    environment = {**minibook.environment(), "PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen([*words, "chapter", "numbers", "times"], cwd=book, env=environment, text=True,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline().startswith("time: ")
    assert "numbers seed 0: running" in process.stdout.readline()
    module = tmp_path / "seo_core" / "settings.py"
    before = module.read_text()
    module.write_text(before + "# edited\n")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0 and "settings.py changed while it ran: kept, and due again" in output
    assert output.count("due again") == 1  # the other chapter uses none of it
    assert "value 1000" in text_of(staged(book, "numbers"))
    for text in (before, before + "# edited\n"):  # it is complete for neither version
        module.write_text(text)
        done = subprocess.run([*words, "list"], cwd=book, env=environment, text=True, capture_output=True, timeout=300)
        assert re.search(r"numbers .* code changed", done.stdout) and re.search(r"times .* complete", done.stdout)
    again = subprocess.run([*words, "chapter", "numbers"], cwd=book, env=environment, text=True, capture_output=True,
                           timeout=300)
    assert "running … (code changed)" in again.stdout and "due again" not in again.stdout
    assert "up to date" in subprocess.run([*words, "chapter", "numbers"], cwd=book, env=environment, text=True,
                                          capture_output=True, timeout=300).stdout


@pytest.mark.parametrize("error, starts, ended", [
    ("Kernel didn't respond in 60 seconds", 2, None),
    ("Kernel didn't respond in 60 seconds", 9, "RuntimeError: Kernel"),
    ("no space left", 2, "RuntimeError: no space left")])
def test_a_kernel_that_never_answers_is_started_once_more(monkeypatch, tmp_path, error, starts, ended):
    import papermill

    from seo_core.runner import worker

    calls = []

    def execute(*given, **options):
        calls.append(given)
        if len(calls) < starts:
            raise RuntimeError(error)

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    said = worker._papermill(tmp_path / "a.ipynb", tmp_path / "b.ipynb", {}, tmp_path)
    assert (said or "").startswith(ended or "") and bool(said) == bool(ended)
    assert len(calls) == (1 if "space" in error else 2)
