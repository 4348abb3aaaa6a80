"""Pages over data of a reader's own: two classes of pairs, five classes of single texts."""

import ast

import pytest
from own_sets import SETS, written
from reference_cells import ROOT, code_cells


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETS)
def test_the_data_chapter_runs_to_its_end(kind, tmp_path, capsys):
    page = {"display": lambda *shown: None}
    first, *cells = code_cells(ROOT / "notebooks" / "01_data.ipynb")
    exec(first.source, page)
    page |= {"results_dir": str(tmp_path / "results"), **written(kind, tmp_path)}
    for cell in (cell.source for cell in cells if "live" not in cell.source):  # committed files, whatever the data
        exec(compile(ast.parse(cell), "01_data", "exec"), page)
    out = capsys.readouterr().out
    assert "is said of NLI's three" in out and "all checks passed" in out
    even = page["saved"] < 0.01
    assert even == ("so even in length" in out) and (even or kind == "pairs")  # all texts of the one are of one length
    assert {path.name for path in (tmp_path / "results").rglob("*.json")}
