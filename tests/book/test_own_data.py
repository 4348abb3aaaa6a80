"""Pages over data of a reader's own: two classes of pairs, five classes of single texts."""

import minibook
import pytest
from own_sets import SETS, written
from reference_cells import ROOT, code_cells

from seo_core import results
from seo_core.runner.notebooks import scratch_book


def executed(chapter: str, upto: str, leaving: str = "display(", **parameters) -> dict:
    """Runs a page's code up to the cell with `upto`, without cells that have `leaving`; returns its names."""
    first, *cells = [cell.source for cell in code_cells(ROOT / "notebooks" / f"{chapter}.ipynb")]
    last = next(n for n, source in enumerate(cells, 1) if upto in source)
    page = {}
    exec(first, page)
    page |= parameters
    for source in cells[:last]:
        if leaving not in source:
            exec(source, page)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("kind", SETS)
def test_the_data_chapter_runs_to_its_end(kind, tmp_path, capsys):
    place = str(tmp_path / "results")
    page = executed("01_data", "all checks passed", results_dir=place, **written(kind, tmp_path))
    out, even = capsys.readouterr().out, page["saved"] < 0.01
    assert "is said of NLI's three" in out and "all checks passed" in out
    assert even == ("so even in length" in out) and (even or kind == "pairs")  # all texts of the one are of one length
    assert {"majority class", "TF-IDF-n-grams"} & set(results.load(place)["configuration"])


@pytest.mark.trains
@pytest.mark.parametrize("kind", SETS)
def test_ada_says_where_its_candidates_run_out(kind, tmp_path, tiny_model, capsys):
    page = executed("04_adaptive_augmentation", "weights follow", "arm_weights", model=tiny_model, train_rows=80,
                    development_rows=20, results_dir=str(tmp_path / "results"), **written(kind, tmp_path))
    out, found = capsys.readouterr().out, page["found"]
    assert ("the candidates ran out before the budget" in out) == (not found.complete) == ("False" in out)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", SETS)
def test_one_command_takes_a_csv_of_500_rows_through_the_baseline(kind, tmp_path):
    own = written(kind, tmp_path, 500)
    book = scratch_book(ROOT, tmp_path / "book")
    names = [word for key in own if key != "data" for word in ("-p", f"{key}={own[key]}")]
    minibook.cli("chapter", "02_baseline", "--book", book, "--data", own["data"], *names, "-p", "epochs=1",
                 "-p", "train_rows=128", cwd=tmp_path, check=0)
    executed = next((book / "_build" / "run" / "quick").rglob("notebooks/02_baseline.ipynb")).read_text()
    assert "development_rows 384 → " in executed  # smaller slices, and it says so
    record, *_ = results.load_records(book / "_build" / "results")
    assert 0 <= record["metrics"]["accuracy_matched"] <= 1 and record["parameters"]["train_rows"] == 128
