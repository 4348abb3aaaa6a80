"""The prose: its citations, its numbers, and the docstrings' way into the API page."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PAGES = sorted(BOOK.glob("*.md"))

sys.path.insert(0, str(BOOK / "_ext"))
from plain_docstrings import to_rst  # noqa: E402


def test_every_citation_has_an_entry_and_no_key_stands_twice():
    keys = re.findall(r"^@\w+\{([^,]+),", (BOOK / "references.bib").read_text(), re.MULTILINE)
    assert len(keys) == len(set(keys)) > 40
    cited = set()
    for page in PAGES:
        for group in re.findall(r"\{cite\}`([^`]+)`", page.read_text()):
            cited |= {key.strip() for key in group.split(",")}
    assert cited - set(keys) == set()


def test_every_term_used_is_in_the_glossary():
    text = (BOOK / "glossary.md").read_text()
    terms = {line.strip() for line in text.splitlines() if line and not line.startswith((" ", "`", "#"))}
    for page in PAGES:
        for used in re.findall(r"\{term\}`([^`]+)`", page.read_text()):
            name = re.sub(r".*<(.+)>$", r"\1", used)
            assert name in terms, f"{page.name}: {name}"


def test_links_between_pages_lead_to_files():
    generated = {"status.md", "record_schema.md"}
    for page in [*PAGES, ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if target.startswith("http") or Path(target).name in generated:
                continue
            path = (page.parent / target).resolve()
            if path.suffix == ".ipynb" and not (ROOT / "notebooks").is_dir():
                continue
            assert path.exists(), f"{page.name}: {target}"


def test_arithmetic_of_the_contradictions():
    text = (BOOK / "papers.md").read_text()
    for value, words in [
        (420 * 364 / 420 * 150 / 420 * 201 / 420, "= 62\\ \\text{MB}"),
        (150 * 130 / 150 * 90 / 150 * 110 / 150, "= 57\\ \\text{ms}"),
        (100 * (1 - 80 / 150), "46.7\\%"),
        (100 * (150 / 80 - 1), "87.5\\%"),
        (150 / 90, "a factor of 1.67"),
        (20 / 3 * (2 + 35 / 60), "= 17\\ \\text{h}"),
        (math.log(9.8), "= 2.28$"),
        (math.log(9.8) / 0.155, "= 14.7$"),
        ((math.log(9.8) - 0.845 * math.log(3)) / 0.155, "= 8.7$"),
        (86.2 - 83.5, "2.7 and 3.5 points"),
    ]:
        assert words in text
        printed = float(re.search(r"\d+(\.\d+)?", words)[0])
        digits = len(str(printed).split(".")[1].rstrip("0"))
        assert round(value, digits) == pytest.approx(printed), words


def test_citation_file_names_the_version_and_the_four_papers():
    from seo_core import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["license"] == "Apache-2.0"
    assert str(citation["version"]) == __version__
    assert {r.get("doi") or r["url"].split("/")[-1] for r in citation["references"]} == {
        "10.20944/preprints202409.0662.v1", "10.20944/preprints202409.0662.v3", "2405.11704",
        "10.53430/ijeru.2024.7.2.0040"}


def test_the_table_of_profiles_is_that_of_the_code():
    from seo_core.settings import PROFILES, load_settings

    rows = re.findall(r"^\| (\S[^|]*?) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
                      (BOOK / "profiles_and_data.md").read_text(), re.MULTILINE)
    table = {row[0]: [re.sub(r"\s", "", cell) for cell in row[1:]] for row in rows}
    profiles = [load_settings(name) for name in PROFILES]
    assert [p.profile for p in profiles] == ["quick", "cpu", "gpu", "paper"]
    for words, key in [("learning rate", "learning_rate"), ("batch size", "batch_size"), ("epochs", "epochs"),
                       ("longest pair, in tokens", "max_length"),
                       ("development slice, in pairs", "development_rows")]:
        assert [float(cell) for cell in table[words]] == [getattr(p, key) for p in profiles], words
    assert table["word embeddings"] == ["frozen" if p.freeze_embeddings else "trained" for p in profiles]


@pytest.mark.parametrize("page", [*sorted(BOOK.glob("*.md")), *sorted((BOOK.parent / "notebooks").glob("*.py"))],
                         ids=lambda page: page.name)
def test_thousands_do_not_break_at_the_end_of_a_line(page):
    """Groups of digits are held together by a no-break space (U+00A0); code in backticks is left out."""
    lines = page.read_text().split("\n")
    broken = [line for line in lines if re.search(r"(?<![\d.,])\d{1,3} \d{3}(?!\d)", re.sub(r"`[^`]*`", "", line))]
    assert not broken, "write U+00A0 between the groups of digits"


@pytest.mark.parametrize("plain, rst", [
    ("the `key` of |x| and *args, names_", "the \\ ``key``\\  of \\|x\\| and \\*args, names\\_"),
    ("- one\n- two `a`", "- one\n\n- two \\ ``a``\\"),
    ("Text.\n\n    code = |x|\n\nMore.", "Text.\n\n::\n\n        code = |x|\n\nMore."),
])
def test_plain_docstrings_become_harmless_markup(plain, rst):
    assert "\n".join(to_rst(plain.splitlines())).strip() == rst
