"""Tables as pages show them."""

import pandas as pd

from seo_core import results
from seo_core.analysis import glue
from seo_core.analysis.tables import Table, remark


def test_what_is_absent_is_a_dash_whatever_says_so():
    frame = pd.DataFrame({"seeds": [1, 2], "matched": [None, 72.5], "mismatched": [None, None], "arm": [None, "base"]})
    shown = Table(frame)
    assert "None" not in repr(shown) + shown._repr_html_() and repr(shown).count("—") == 4
    assert shown.frame["seeds"].tolist() == [1, 2] and frame["mismatched"][0] is None  # what was given stays as it is


def test_whole_numbers_with_gaps_and_names_in_a_folded_title_are_shown_as_elsewhere():
    shown = Table(pd.DataFrame({"pairs": pd.array([8000, None], dtype="Int64")}), folded="pairs of `tal`")
    assert "NA" not in repr(shown) + shown._repr_html_() and repr(shown).split() == ["pairs", "8000", "—"]
    assert "<summary>pairs of <code>tal</code></summary>" in shown._repr_html_()


def test_what_has_no_meaning_beside_the_papers_is_said_of_classes_other_than_nlis():
    lines, reference = [], glue.of_task(results.load(results.reference_dir() / "cpu" / "02_baseline"), "mnli")
    remark(reference, lines.append)
    remark(reference.iloc[:0], lines.append)
    remark(reference[["data_name", "experiment"]], lines.append)  # of a benchmark: nothing was learned
    assert lines == []
    own = reference.assign(data_name="path/to/own.csv").drop(columns=[c for c in reference if "entailment" in c])
    remark(own, lines.append)
    assert len(lines) == 1 and lines[0].startswith("path/to/own.csv: its classes are not NLI's three")
