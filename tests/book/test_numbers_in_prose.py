"""Numbers in sentences are those of the records: they change with a record, and without it the page says "not run"."""

from __future__ import annotations

import json
import shutil

import pytest
import reference_cells as cells

SIZE = 90e6  # bytes of the baseline
SAID = {  # page → what it says of `seo` without a record, with one, and where two of its numbers are others
    "15_seo_llm": (
        ["on development pairs: not run. Its file: not run", "h-size | not run | not run |"],
        ["on development pairs: +1.00 points (3 seeds). Its file: 27.0 MB", "h-size | 0.300 ", "| reproduced | 0.324"],
        ["on development pairs: −2.00 points (3 seeds). Its file: 45.0 MB", "h-size | 0.500 ", "| partly | 0.324"]),
    "claims_audit": (
        ["**0 are reproduced**, 0 better than claimed, and 0 hold partly", "*Reproduced*: none.",
         "h-size | not run | not run |"],
        ["**1 are reproduced**, 0 better than claimed, and 0 hold partly", "*Reproduced*: 67.6% smaller model.",
         "h-size | 0.300 "],
        ["**0 are reproduced**, 0 better than claimed, and 1 hold partly", "*Reproduced*: none.", "h-size | 0.500 "])}


@pytest.fixture(scope="module")
def folder():
    """Of the records of a scratch book only the baseline's on MultiNLI are left, with a size and an accuracy."""
    with cells.scratch() as book:
        folder = book / "book" / "reference" / "cpu"
        for path in [*folder.glob("*/*.json"), *folder.glob("*/*.npz")]:
            record = json.loads(path.read_text()) if path.match("02_baseline/base-*.json") else {}
            if record.get("configuration") == "base" and record["data"]["name"] == "path/to/mnli":
                record["metrics"] |= {"size_bytes": SIZE, "accuracy_development": 0.7 + record["seed"] / 1000}
                path.write_text(json.dumps(record))
            else:
                path.unlink()
        yield folder


def recorded(folder, share: float, points: float) -> None:
    """Records of `seo` as the baseline's are, but for the bytes and the accuracy on development rows."""
    for path in folder.glob("02_baseline/*.json"):
        record = json.loads(path.read_text())
        record |= {"experiment": "15_seo_llm", "configuration": "seo"}
        record["metrics"]["size_bytes"] *= share
        record["metrics"]["accuracy_development"] += points / 100
        (folder / "15_seo_llm").mkdir(exist_ok=True)
        (folder / "15_seo_llm" / path.name.replace("base", "seo")).write_text(json.dumps(record))


@pytest.mark.slow
@pytest.mark.parametrize("chapter", SAID)
def test_a_number_of_a_record_is_the_one_that_the_page_says_and_without_a_record_it_says_not_run(folder, chapter):
    without, made, changed = SAID[chapter]
    for wanted, numbers in ((without, ()), (made, (0.3, 1)), (changed, (0.5, -2)), (without, ())):
        if numbers:
            recorded(folder, *numbers)
        else:
            shutil.rmtree(folder / "15_seo_llm", ignore_errors=True)
        page = cells.page_text(cells.read_page(chapter))
        assert [words for words in wanted if words not in page] == []
