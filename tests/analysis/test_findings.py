"""Sentences from records: they change with a record, and say "not run" without it."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import efficiency, tables, tradeoff
from seo_core.analysis.contrasts import OFFICIAL, differences
from seo_core.analysis.findings import Contest, Evidence, Finding, passes
from seo_core.bench import latency


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book whose records are copies of one committed chapter's, to be changed."""
    folder = tmp_path / "book" / "reference" / "cpu" / "09_pruning"
    shutil.copytree(results.reference_dir() / "cpu" / "09_pruning", folder)
    monkeypatch.setattr(results, "reference_dir", lambda: tmp_path / "book" / "reference")
    return folder


def the_record(folder, name):
    paths = folder.glob(f"{name}-*-seed0.json")
    return next(path for path in paths if json.loads(path.read_text())["configuration"] == name)


def test_a_sentence_says_what_the_table_of_contrasts_says():
    ours = Evidence("09_pruning")
    table = differences(ours.frame, {"taylor-65": "base"}, labels=None).set_index("metric")
    for metric in ("accuracy_matched", "accuracy_mismatched"):
        row = table.loc[metric]
        words = f"{row.difference:+.2f} points [{row.low:+.2f}, {row.high:+.2f}] (3 seeds)".replace("-", "−")
        assert ours.gap("taylor-65", "base", metric) == words
    assert ours.gap("taylor-65", "base").count("[") == 2


def test_a_price_names_both_opponents_and_says_where_none_is_equal():
    ours = Evidence(*tradeoff.CHAPTERS)
    frame, name = ours.frame, "accuracy_matched"
    equal = tables.both_differences(frame, ["quant", "sqd-taylor-65", "base"])
    assert equal.loc["sqd-taylor-65"].str.contains("no equal control").sum() == 2
    cell = equal.loc["quant", "to equal control, points (matched)"]
    against = ours.gap("quant", "distilled", name).split(" (")[0].replace(" points", "")
    assert cell.startswith(f"to distilled: {against} (")
    assert equal.loc["quant", "to base, points (matched)"].split(" (")[0] == (
        ours.gap("quant", "base", name).split(" (")[0].replace(" points", ""))
    assert ours.price("quant") == (f"{ours.gap('quant', 'base', name)} to the baseline, "
                                   f"{ours.gap('quant', 'distilled', name)} to `distilled`")
    assert ours.to_control("sqd-taylor-65", name) == (
        f"no equal control; {ours.gap('sqd-taylor-65', 'distilled', name)} to `distilled`, which saw less")
    assert Evidence(frame=pd.DataFrame()).to_control("quant") == Evidence("02_baseline").to_control("x") == "not run"


def test_a_sentence_says_whether_a_difference_passes_the_correction():
    rows = pd.DataFrame([("a − b", metric, p) for metric, p in zip(OFFICIAL, (0.01, 0.2), strict=True)],
                        columns=["contrast", "metric", "holm"])
    assert passes(rows, "a − b") == "passes Holm's correction on the matched set only"
    assert passes(rows.assign(holm=0.01), "a − b") == "passes Holm's correction on both sets"
    assert passes(rows[:1], "a − b") == "passes Holm's correction"
    assert passes(rows[1:], "a − b") == passes(rows.assign(holm=np.nan), "a − b") == "does not pass Holm's correction"
    assert passes(rows, "b − a") == "not run"


def test_a_ratio_says_what_its_interval_is_over():
    timed, sizes = Evidence("tab3_inference_speed"), Evidence("09_pruning")
    record = latency.latest(results.reference_dir() / "cpu" / "tab3_inference_speed")[1]
    rounds = record["parameters"]["inference"]["rounds"]
    assert timed.ratio("base", "quant", "latency_ms_p50").endswith(f"] ({rounds} rounds)")
    assert re.fullmatch(r"[\d.]+ times \(\d seeds?\)", sizes.ratio("base", "taylor-65", "model_parameters"))


def test_a_record_that_changes_changes_the_sentence_and_its_words(book):
    ours = Evidence("09_pruning")
    before = ours.mean("prune"), ours.gap("prune", "base"), ours.told("prune", "base")
    assert before[2] == "is worse"
    path = the_record(book, "prune")
    kept = path.with_name(path.stem + "-predictions.npz")
    with np.load(kept) as arrays:
        right = {name: np.ones_like(value) if name.endswith("_correct") else value for name, value in arrays.items()}
    np.savez(kept, **right)
    record = json.loads(path.read_text())
    record["metrics"] |= {"accuracy_matched": 1.0, "accuracy_mismatched": 1.0}
    path.write_text(json.dumps(record))
    ours = Evidence("09_pruning")
    after = ours.mean("prune"), ours.gap("prune", "base"), ours.told("prune", "base")
    assert (after[0], after[2]) == ("100.0%", "is better") and after[1] != before[1]


def test_a_record_that_is_gone_is_not_run(book):
    the_record(book, "prune").unlink()
    ours = Evidence("09_pruning")
    sentence = Finding(f"{ours.mean('prune')}, {ours.gap('prune', 'base')}, {ours.told('prune', 'base')}, "
                       f"{ours.seeds('prune')}, {ours.ratio('base', 'prune', 'model_parameters')}")
    assert sentence.text == ", ".join(["not run"] * 5)


def test_without_any_record_nothing_is_said():
    ours = Evidence(frame=pd.DataFrame())
    said = {ours.mean("a"), ours.gap("a", "b"), ours.told("a", "b"), ours.seeds("a"), ours.ratio("a", "b", "x")}
    assert said == {"not run"}


def test_of_two_sets_that_disagree_neither_word_is_said():
    ours = Evidence("09_pruning")
    assert ours.told("taylor-60-labels", "base", "accuracy_mismatched") == "is worse"
    assert ours.told("taylor-60-labels", "base") == "is not told apart from it"


def test_labels_choose_the_runs():
    everything = Evidence("05_transfer_learning")
    budgets = sorted(everything.frame.loc[everything.frame["configuration"] == "tl", "labels"].dropna().unique())
    assert len(budgets) == 1
    few = Evidence("05_transfer_learning", labels=int(budgets[0]))
    assert set(few.frame["labels"]) == {budgets[0]} and few.gap("tl", "base") != "not run"


def test_a_finding_is_markdown_of_whole_paragraphs():
    assert Finding("\na\nb\n\nc\n").text == "a b\n\nc"
    assert Finding(" a\n  b ")._repr_markdown_() == repr(Finding("a b")) == "a b"


def test_runs_with_different_numbers_of_labels_are_compared_by_name():
    names = ("05_transfer_learning", "07_transfer_active_learning")
    folders = [results.reference_dir() / "cpu" / name for name in names]
    curves = efficiency.label_curves(*folders, metrics=OFFICIAL)
    ours = Evidence(frame=efficiency.by_budget(curves))
    row = efficiency.compare(curves, [(("data-module", 5600), ("base", 8000))]).iloc[0]
    pair = "data-module at 5,600", "base at 8,000", "accuracy"
    assert ours.gap(*pair) == f"{row.difference:+.2f} points [{row.low:+.2f}, {row.high:+.2f}] (3 seeds)"
    assert ours.told(*pair) == "is better" and ours.seeds("base at 8,000", "accuracy") == "3 seeds"
    level = curves.loc[(curves["configuration"] == "base") & (curves["labels"] == 8000), "accuracy"].mean()
    assert ours.mean("base at 8,000", "accuracy") == f"{100 * level:.1f}%"


@pytest.fixture
def contest(tmp_path, monkeypatch):
    """A record of a benchmark to change, and where such are looked for."""
    committed = results.reference_dir() / "cpu" / "bench_serving"
    record = json.loads(next(committed.glob("serving-*.json")).read_text())
    folder = tmp_path / "cpu" / "contest"
    folder.mkdir(parents=True)
    monkeypatch.setattr(results, "reference_dir", lambda: tmp_path)
    return record, folder


def test_a_contest_keeps_processors_apart_that_multiply_bytes_at_once_from_those_that_do_not(contest):
    record, folder = contest

    def add(year: str, rate: float, sets: list[str]):
        record["provenance"]["finished"] = f"{year}-01-01T00:00:00+00:00"
        record["provenance"]["machine"]["instruction_sets"] = sets
        record["contestants"] = {"ours": {"pairs_per_second": rate}}
        (folder / f"serving-{year}-seed0.json").write_text(json.dumps(record))

    def rates() -> list[str]:
        return [Contest("contest", "serving", vnni=vnni).value("ours", "pairs_per_second") for vnni in (True, False)]

    add("2023", 3.0, ["avx2"])
    assert rates() == ["3.0", "3.0"] and Contest("contest", "serving").machine.endswith("avx2")  # there is no other
    add("2022", 2.0, ["avx2", "avx512_vnni"])
    assert rates() == ["2.0", "3.0"]
    add("2024", 4.0, ["avx2", "amx"])
    assert rates() == ["4.0", "3.0"]


def test_evidence_can_keep_to_one_task():
    frame = pd.DataFrame({"configuration": ["base", "base"], "data_name": ["path/to/mnli", "path/to/sst2"], "seed": 0,
                          "accuracy_matched": [0.7, 0.9]})
    assert Evidence(frame=frame, task="sst2").frame["accuracy_matched"].tolist() == [0.9]
    assert len(Evidence(frame=frame).frame) == 2


def test_a_contest_says_what_the_newest_record_of_its_name_says(contest):
    record, folder = contest
    for year, rate, low in (("2021", 10.0, 5.0), ("2022", 1550.8, 0.9)):
        record["provenance"]["finished"] = f"{year}-01-01T00:00:00+00:00"
        record["contestants"] = {"ours": {"pairs_per_second": rate, "ratio": 2.0, "ratio_low": low, "ratio_high": 6.0,
                                          "change": -0.5, "change_low": -0.6, "change_high": -0.4}}
        (folder / f"serving-{year}-seed0.json").write_text(json.dumps(record))
    race = Contest("contest", "serving")
    assert race.machine.startswith(record["provenance"]["machine"]["cpu"].replace("(R)", ""))
    assert race.value("ours", "pairs_per_second", digits=0) == "1\N{NO-BREAK SPACE}551"
    assert race.value("ours", unit=" times") == "2.0 times [0.9, 6.0]"
    assert race.value("ours", "change", scale=100, digits=0) == "−50 [−60, −40]"
    assert race.told("ours") == "is not told apart from" and race.told("ours", than=0.5) == "is faster than"
    assert race.told("ours", "change", than=0, less="loses") == "loses"
    assert race.met("ours", "change", least=5) == "missed" and race.met("absent", least=1) == "not run"
    assert race.met("ours", least=1.5) == "reached in the median of the rounds"
    assert race.met("ours", least=3) == "missed in the median of the rounds"
    assert race.met("ours", least=0.5) == "reached"
    assert race.times("ours", "ours", "ratio") == "1.0 times"
    assert {race.times("ours", "theirs", "ratio"), race.times("ours", "ours", "accuracy")} == {"not run"}
    assert {race.value("theirs"), race.value("ours", "accuracy"), race.told("theirs"),
            Contest("contest", "scoring").value("ours"), Contest("absent", "x").told("ours")} == {"not run"}
