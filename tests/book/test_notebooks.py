"""The committed notebooks: pairs, parameters, outputs fit to publish, checks that check."""

from __future__ import annotations

import ast
import getpass
import pkgutil
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pytest

from seo_core.arms import ARMS
from seo_core.figures import dependencies
from seo_core.pipeline import Pipeline
from seo_core.runner.manifest import load_manifest
from seo_core.runner.notebooks import checks, machine_paths, scratch_book
from seo_core.runner.plan import STANDARD
from seo_core.selection.pseudo import SelfTrainingConfig
from seo_core.settings import KNOBS, NAMES

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = load_manifest(ROOT)
CHAPTERS = [c.id for c in MANIFEST.chapters]
TEMPLATE = ROOT / "book" / "templates" / "chapter_template.ipynb"
ON_LABELS = {arm.chapter.id for arm in ARMS.values() if arm.chapter.ground == "labels"}
STUDIES = [c.id for c in MANIFEST.chapters if c.id in ON_LABELS or re.search("prun|quanti|distil", c.id)]
MAX_LINES = 10  # of a code cell, without imports, comments and empty lines; a statement that is wrapped is one
MAX_WRAPPED = 20  # as it stands on the page, sentences left out
MAX_CHECK_LINES = 15  # of a checked cell, which asserts several things
MAX_IGNORED = 0.30  # share of cells with output that nbval does not compare, over the whole book


def path_of(name: str) -> Path:
    return TEMPLATE if name == "template" else ROOT / "notebooks" / f"{name}.ipynb"


def read(name: str):
    return nbformat.read(path_of(name), as_version=4)


def code(notebook) -> list:
    return [c for c in notebook.cells if c.cell_type == "code"]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def test_every_chapter_of_the_manifest_is_there_and_no_other():
    found = {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert found == set(CHAPTERS)
    assert {p.stem for p in (ROOT / "notebooks").glob("*.py")} - {"conftest"} == set(CHAPTERS)


def test_the_table_of_contents_is_the_manifests():
    assert (ROOT / "book" / "_toc.yml").read_text() == MANIFEST.toc_text(), \
        "run `python -m seo_core.run sync`"


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_pair_is_in_step(name):
    path = path_of(name)
    pair, notebook = jupytext.read(path.with_suffix(".py")), read(name)
    assert [(c.cell_type, c.source, tags(c), c.metadata.get("mystnb")) for c in pair.cells] == \
        [(c.cell_type, c.source, tags(c), c.metadata.get("mystnb")) for c in notebook.cells], \
        "run `python -m seo_core.run sync`"
    header = pair.metadata["jupytext"]
    assert header["cell_metadata_filter"] == "tags,mystnb,-all"
    assert header["notebook_metadata_filter"] == "kernelspec,jupytext,-all"
    allowed = {"tags", "mystnb", "lines_to_next_cell"}
    assert all(set(c.metadata) <= allowed for c in notebook.cells)


@pytest.mark.parametrize("name", STUDIES)
def test_a_chapter_with_a_study_takes_a_source_task_of_the_readers_own(name):
    first, *others = code(read(name))
    assert 'source: str = "default"' in first.source
    assert sum("load_settings(" in c.source and "source=source" in c.source for c in others) == 1


@pytest.mark.parametrize("name", sorted({arm.chapter.id for arm in ARMS.values()}))
def test_a_chapter_that_trains_takes_names_and_numbers_of_the_readers_own(name):
    cells = (ROOT / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    for knob in KNOBS:
        assert re.search(rf"^{knob}: \w+ = \"default\"", cells, re.M) and f"{knob}={knob}" in cells, knob


NLI_ALONE = ("what_we_found", "bench_serving")  # their models answer pairs of NLI


@pytest.mark.parametrize("name", ["01_data", *(c.id for c in MANIFEST.chapters
                                               if c.kind == "benchmark" and c.id not in NLI_ALONE)])
def test_a_chapter_that_reads_data_takes_names_of_the_readers_own(name):
    cells = (ROOT / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    for names in NAMES:
        assert f'{names}: str = "default"' in cells and f"{names}={names}" in cells, names


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapters_whose_teachers_can_read_further_texts_and_no_others_take_them(name):
    recipes = [arm.recipe for arm in ARMS.values() if arm.chapter.id == name]
    reads = any(hasattr(recipe, "domain_text") or isinstance(recipe, (SelfTrainingConfig, Pipeline))
                for recipe in recipes)  # where it says so; and wherever a teacher labels the pool
    cells = jupytext.read(ROOT / "notebooks" / f"{name}.py").cells
    parameters, *others = [cell for cell in cells if cell.cell_type == "code"]
    assert ('unlabelled: str = "default"' in parameters.source) == reads
    assert sum("load_settings(" in c.source and "unlabelled=unlabelled" in c.source for c in others) == reads


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_first_code_cell_declares_the_five_parameters(name):
    cell = code(read(name))[0]
    assert "parameters" in tags(cell)
    declared = {}
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.AnnAssign), "parameters are written name: type = value"
        declared[statement.target.id] = (statement.annotation.id, ast.literal_eval(statement.value))
    expected = {"profile": ("str", "quick"), "seed": ("int", 0), "data": ("str", "default"),
                "model": ("str", "default"), "results_dir": ("str", "default")}
    assert list(declared)[:5] == list(STANDARD)
    assert {k: declared[k] for k in STANDARD} == expected
    assert sum("parameters" in tags(c) for c in code(read(name))) == 1


@pytest.mark.parametrize("name", CHAPTERS)
def test_outputs_are_committed_and_clean(name):
    notebook = read(name)
    cells = [c for c in code(notebook) if c.source.strip()]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1)), \
        "run `python -m seo_core.run refresh`"
    assert any(c.outputs for c in cells)
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", f"a traceback after\n{cell.source}"
            assert output.get("name") != "stderr", f"stderr after\n{cell.source}"
            assert not any("widget" in kind for kind in output.get("data", {}))
        assert "injected-parameters" not in tags(cell)


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_no_machine_path_and_no_names(name):
    text = path_of(name).read_text() + path_of(name).with_suffix(".py").read_text()
    for path in machine_paths(ROOT):
        assert path not in text
    assert not re.search(r"(?<![\w/.~])/(home|root|tmp|Users|opt|work|mnt)/", text)
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert getpass.getuser() in ("root", "user") or getpass.getuser() not in text


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_chapters_call_and_do_not_define(name):
    for cell in code(read(name)):
        tree = ast.parse(cell.source)
        assert not any(isinstance(n, ast.ClassDef) for n in ast.walk(tree)), "a chapter defines no class"
        assert "ipywidgets" not in cell.source and "tqdm.notebook" not in cell.source
        if "parameters" in tags(cell):
            continue
        tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        lines = [line for line in ast.unparse(tree).splitlines() if line]
        limit = MAX_CHECK_LINES if any(line.strip().startswith("assert ") for line in lines) else MAX_LINES
        assert len(lines) <= limit, f"{len(lines)} lines:\n{cell.source}"
        sentences = "Finding(" in cell.source
        wrapped = sum((node.end_lineno or 0) - node.lineno + 1 for node in tree.body)
        assert sentences or wrapped <= MAX_WRAPPED, f"{wrapped} lines:\n{cell.source}"


CORRECTED = {"efficiency.shown", *(f"tables.{name}" for name in (
    "difference_table", "pair_table", "against_table", "to_control", "both_differences"))}


def outside_the_family(source: str) -> list[str]:
    """Of a page with several tables of differences, the statements that show one without `contrasts.family`."""
    def called(node: ast.AST) -> list[ast.Call]:
        return [each for each in ast.walk(node) if isinstance(each, ast.Call) and ast.unparse(each.func) in CORRECTED]

    def named(node: ast.AST) -> set[str]:
        return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}

    statements, family = ast.parse(source).body, set()
    for each in statements:
        if isinstance(each, ast.Assign) and ("contrasts.family(" in ast.unparse(each.value) or (
                isinstance(each.value, ast.Name) and named(each.value) <= family)):
            family |= set().union(*map(named, each.targets))
    shown = [each for each in statements if called(each)]
    several = sum(len(called(each)) for each in shown) > 1
    wrong = [ast.unparse(each) for each in shown if several and not named(each) & family]
    alone = [ast.unparse(call) for each in shown for call in called(each)
             if ast.unparse(call.func) == "tables.against_table" and "controls" not in {k.arg for k in call.keywords}]
    return wrong + alone * several


@pytest.mark.parametrize("name", CHAPTERS)
def test_all_comparisons_of_a_page_are_one_family(name):
    source = (ROOT / "notebooks" / f"{name}.py").read_text(encoding="utf-8")
    assert outside_the_family(source) == [] and source.count("contrasts.family(") <= 1
    assert "the whole table counts" not in source


def test_a_table_outside_the_family_is_found():
    table, frames = "Table(tables.pair_table({}))\n", "a, b = contrasts.family(x, y)\n"
    assert outside_the_family(table.format("x")) == []  # the only one
    assert outside_the_family(frames + table.format("a") + table.format("b")) == []
    assert outside_the_family(table.format("x") + table.format("y")) == ["Table(tables.pair_table(x))",
                                                                         "Table(tables.pair_table(y))"]
    later = "every = contrasts.family(x, y)\na, b = every\nTable(efficiency.shown(a))\nTable(efficiency.shown({}))"
    assert outside_the_family(later.format("b")) == [] and len(outside_the_family(later.format("y"))) == 1
    assert outside_the_family(frames + table.format("b") + "tables.against_table(f, arms, a)") == [
        "tables.against_table(f, arms, a)"]


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_at_least_one_cell_is_checked(name):
    assert checks(read(name)) >= 1


@pytest.mark.parametrize("name", CHAPTERS)
def test_images_have_alt_text(name):
    for cell in code(read(name)):
        if any(kind.startswith("image/") for o in cell.outputs for kind in o.get("data", {})):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, f"no alt text (mystnb: image: alt) after\n{cell.source}"


@pytest.mark.parametrize("name, figure, function, records", [
    ("12_distillation", "fig-distillation-sweeps", "forest", "swept"),
    ("fig3_size_vs_speed", "fig-size-speed-run", "size_vs_speed", "run")])
def test_a_figure_without_records_is_one_line_with_the_command(name, figure, function, records, capsys):
    cells = jupytext.read(ROOT / "notebooks" / f"{name}.py").cells
    cell, = [c for c in cells if c.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure]
    drawn = []
    known = {"figures": SimpleNamespace(**{function: lambda table, **options: drawn.append(table)}), "profile": "quick",
             "sweeps": ["kd-temperature-1", "kd-weight-low"]}
    exec(cell.source, known | {records: []})
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"not run yet: `python -m seo_core\.run [^`]+`", line) and not drawn
    command = line.split("`")[1].split()[3:]
    assert command[0] in ("arm", "book") and set(command[1:]) - {"--profile"} <= {*ARMS, "quick", "cpu"}
    exec(cell.source, known | {records: [1]})
    assert drawn == [[1]] and not capsys.readouterr().out


def test_most_outputs_are_compared():
    with_output = [c for name in CHAPTERS for c in code(read(name)) if c.outputs]
    ignored = [c for c in with_output if "nbval-ignore-output" in tags(c)]
    assert len(with_output) >= 3 * len(CHAPTERS)
    assert len(ignored) <= MAX_IGNORED * len(with_output), f"{len(ignored)} of {len(with_output)}"


@pytest.mark.parametrize("name", [*CHAPTERS, "template"])
def test_a_chapter_opens_with_its_title(name):
    first = read(name).cells[0]
    assert first.cell_type == "markdown" and re.match(r"# \S", first.source)
    assert not re.search(r"^# ", "\n".join(c.source for c in read(name).cells[1:]
                                           if c.cell_type == "markdown"), re.M), "one title"


def test_a_scratch_book_has_nothing_that_the_book_has_no_longer(tmp_path):
    root, folder = tmp_path / "root", tmp_path / "scratch"
    record = Path("book") / "reference" / "old.json"
    for path in (root / record, folder / "_build" / "kept.json"):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert (scratch_book(root, folder) / record).is_file()
    (root / record).unlink()
    assert not (scratch_book(root, folder) / record).exists() and (folder / "_build" / "kept.json").is_file()


@pytest.mark.parametrize("mutation", [m for c in MANIFEST.chapters for m in c.mutation], ids=lambda m: m["target"])
def test_what_a_mutation_breaks_is_there(mutation):
    assert callable(pkgutil.resolve_name(mutation["target"]))


def test_the_page_of_the_architecture_shows_the_imports_of_now():
    shown = "\n".join(output.data["text/html"] for cell in code(read("fig1_architecture")) for output in cell.outputs
                      if "text/html" in output.get("data", {}))
    for row in dependencies().itertuples():
        assert f">{row.module}</td>\n      <td style=\"text-align: left\">{row.imports}</td>" in shown, (
            f"{row.module}: python -m seo_core.run refresh fig1_architecture")
