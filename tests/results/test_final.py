"""The list of the arms that may be scored on the official sets, and what records are by it."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from seo_core import load_settings, results
from seo_core.arms import ARMS, open_lab
from seo_core.results import ResultsError, final_list
from seo_core.results.store import as_recorded

BOOK = Path(__file__).resolve().parents[2] / "book"
LIST = yaml.safe_load((BOOK / "final.yml").read_text(encoding="utf-8"))


@pytest.fixture
def listed():
    return final_list(BOOK / "final.yml")


@pytest.fixture
def old():
    """A committed record of the base: made before the list, with a seed that it does not name."""
    return json.loads(next((BOOK / "reference" / "cpu" / "02_baseline").glob("base-281089fe-seed0.json")).read_text())


def stored(folder, record, **changes) -> list[dict]:
    """The record with changes, as it comes back from a folder."""
    record = copy.deepcopy(record)
    record["provenance"]["finished"] = changes.pop("finished", "2026-12-01T00:00:00+00:00")
    (folder / "record.json").write_text(json.dumps({**record, **changes}))
    return results.load_records(folder)


def test_no_committed_record_scores_a_sealed_set_without_being_listed(listed):
    assert not listed.broken(results.load_records(BOOK / "reference"))


def test_each_entry_is_what_the_book_makes_of_its_arm(listed):
    lab = open_lab("02_baseline", load_settings("cpu", seed=3, data="embedded", source="embedded"))
    for entry in listed.arms:
        runs = [lab._bound(arm.suited(lab.settings), entry.recipe.get("labels"))
                for arm in ARMS.values() if arm.recorded_as == entry.arm]
        assert any(listed.allows(entry.arm, as_recorded(run.run_settings, run.parameters()), entry.seeds[0])
                   for run in runs), entry.arm


def test_a_book_without_the_list_seals_nothing_and_this_one_has_it(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(tmp_path))
    assert not final_list().arms and not final_list().seals(LIST["data"][0])
    monkeypatch.setenv("SEO_BOOK", str(BOOK.parent))
    assert final_list().seals(LIST["data"][0])


def test_the_records_before_the_list_are_exploratory(listed, old):
    assert listed.standing(old) == "exploratory"
    assert listed.in_words([old]) == ("records behind this: 1, of which none is final (named in book/final.yml before "
                                      "it was made) and 1 exploratory")
    assert listed.in_words([]) == ""


@pytest.mark.parametrize("changes", [{"seed": 0}, {"configuration": "tuned"}, {"parameters": {"training": {}}}])
def test_a_later_record_that_is_not_listed_is_found(listed, old, tmp_path, changes):
    records = stored(tmp_path, old, **{"seed": 3, **changes})
    assert listed.broken(records) == records


def test_a_listed_record_is_final(listed, old, tmp_path):
    records = stored(tmp_path, old, seed=3)
    assert not listed.broken(records)
    assert listed.standing(records[0]) == "final"


def test_a_listed_record_from_before_its_entry_is_exploratory(listed, old, tmp_path):
    assert listed.standing(stored(tmp_path, old, seed=3, finished="2026-11-28T23:59:59+00:00")[0]) == "exploratory"


def test_other_data_and_development_scores_are_free(listed, old, tmp_path):
    own = {**old["data"], "fingerprint": "0123456789abcdef"}
    assert not listed.broken(stored(tmp_path, old, data=own))
    assert not listed.broken(stored(tmp_path, old, metrics={"accuracy_development": 0.7}))


def test_data_may_be_named_official_by_its_fingerprint(old, tmp_path):
    (tmp_path / "final.yml").write_text(yaml.safe_dump({**LIST, "data": ["0123456789abcdef"]}))
    made_up = {**old["data"], "fingerprint": "0123456789abcdef"}
    (tmp_path / "records").mkdir()
    assert final_list(tmp_path / "final.yml").broken(stored(tmp_path / "records", old, data=made_up))


@pytest.mark.parametrize("change, message", [
    (lambda entry: entry | {"seed": 3}, "arm 1: unknown key 'seed'; did you mean 'seeds'"),
    (lambda entry: {k: v for k, v in entry.items() if k != "why"}, "arm 1: 'why' must be a sentence, not None"),
    (lambda entry: entry | {"seeds": [-1]}, "a seed must be"),
    (lambda entry: entry | {"date": "soon"}, "'date' must be a day such as"),
    (lambda entry: LIST["arms"][1], "stands there twice"),
])
def test_a_list_with_an_error_says_which(tmp_path, change, message):
    path = tmp_path / "final.yml"
    path.write_text(yaml.safe_dump({**LIST, "arms": [change(LIST["arms"][0]), *LIST["arms"][1:]]}))
    with pytest.raises(ResultsError, match=message):
        final_list(path)
