"""The papers as data: complete, right, and judged by the rule that was fixed beforehand."""

import ast
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seo_core import load_settings, results, run
from seo_core.analysis import contradictions, contrasts, papers, tables, verdicts
from seo_core.analysis.findings import Evidence
from seo_core.analysis.verdicts import (
    BETTER,
    CONFOUNDED,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_SETTLED,
    NOT_TESTABLE,
    PARTLY,
    REPRODUCED,
    audit,
    verdict,
)
from seo_core.arms import ARMS

# What the papers print, copied from them independently of the module: hours, MB, ms/batch, %, perplexity.
EXPECTED = {
    "base": (48, 420, 150, 84.5, 9.8), "da": (43, None, None, 86.3, 9.4), "tl": (39, None, None, 87.1, 9.2),
    "al": (36, None, None, 85.6, 9.5), "ssl": (37, None, None, 86.0, 9.3), "prune": (None, 364, 130, 83.5,
                                                                                     10.1),
    "quant": (None, 150, 90, 82.8, 10.5), "kd": (None, 201, 110, 85.0, 9.9), "seo": (33, 136, 80, 86.2, 9.3),
}
HEADLINE = ["data", "size", "speed", "time", "acc", "ppl", "quant2x", "gap", "conv",
            "weights", "synergy", "controller"]
MORE = ["interaction", "robust", "imbalance", "plateau", "scale", "ada", "tal", "aip", "sqd", "static", "each",
        "correlate", "tuned"]
TKD = ["acc", "f1", "kd", "weight", "temp", "amp", "prune-quant", "adamw", "parallel"]
BHAT = ["time", "metrics", "memory", "infer", "scale", "deploy"]
HIGHER = {"BERT-base": (84.5, 84.6), "DistilBERT": (82.2,), "TinyBERT-6 / -4": (84.6, 82.8),
          "MiniLM L6-H384": (83.3, 82.8), "XtremeDistil l6-h384 / l12-h384": (85.4, 87.2),
          "CoFi 60% / 95% sparse": (85.3, 80.6), "Block movement pruning": (83.7, 81.0),
          "oBERT 90% + int8, sparse CPU runtime": (82.6,), "BinaryBERT / TernaryBERT": (84.2, 83.5),
          "ZeroQuant W8A8": (84.3, 84.5)}


# ---- the numbers


def test_every_number_of_the_tables_is_there():
    assert {k: tuple(v)[1:] for k, v in papers.PAPER_TABLE.items()} == EXPECTED
    numbers = [x for row in EXPECTED.values() for x in row if x is not None]
    assert len(numbers) == 34 and papers.paper_table().iloc[:, 1:].count().sum() == 34


def test_the_curves_of_figure_2():
    assert {k: tuple(v)[1:] for k, v in papers.FIGURE_2.items()} == {
        "base": (60.0, 83.0, 81.0), "tl": (None, 85.5, 83.0), "seo": (None, 84.5, 83.5)}
    assert papers.FIGURE_2_ITERATIONS == 100


def test_the_setting_and_the_other_papers_numbers():
    s = papers.SETTING
    assert (s["pairs"], s["parameters"], s["layers"], s["hidden"], s["heads"]) == (433_000, 110_000_000, 12,
                                                                                   768, 12)
    assert (s["learning_rate"], s["batch_size"], s["epochs"]) == (2e-5, 32, 20)
    assert s["lambda_1"] == s["lambda_2"] == 0.5
    t = papers.TKD_SETTING
    assert (t["accuracy"], t["f1"], t["layers"], t["heads"]) == (98.32, 97.14, 12, 8)
    assert t["temperatures"] == (1, 2, 5)
    bhat = papers.BHAT_SETTING
    assert (bhat["training_time_change"], bhat["memory_change"]) == (-0.30, -0.25)
    assert set(bhat["figures"]) == {2, 3, 4, 5, 6}


def test_every_claim_id_is_there_once():
    ids = [c.id for c in verdicts.CLAIMS]
    expected = [f"h-{x}" for x in HEADLINE + MORE] + [f"tkd-{x}" for x in TKD] + [f"bd-{x}" for x in BHAT]
    assert sorted(ids) == sorted(expected) and len(set(ids)) == len(ids) == 40
    assert [len(g) for g in (verdicts.HEADLINE_CLAIMS, verdicts.MORE_CLAIMS, verdicts.TKD_CLAIMS,
                             verdicts.BHAT_CLAIMS)] \
        == [12, 13, 9, 6]


def test_every_claim_cites_its_place_and_is_testable_or_says_why_not():
    for claim in verdicts.CLAIMS + verdicts.TABLE_CLAIMS:
        assert claim.source and claim.papers
        assert set(claim.papers) <= {"seollm2024", "sec2025", "tkdnlp2024", "bhat2024"}
        assert claim.contrasts or claim.reason, claim.id
    assert len(verdicts.TABLE_CLAIMS) == 34 - 5  # every cell but the baseline's own


def test_every_configuration_of_a_claim_is_made_by_an_arm_or_a_benchmark():
    made, here = {arm.recorded_as for arm in ARMS.values()}, Path(verdicts.__file__).parent.parent / "bench"
    benches = "".join(path.read_text(encoding="utf-8") for path in here.glob("*.py"))
    for claim in verdicts.CLAIMS + verdicts.TABLE_CLAIMS:
        for contrast in (*claim.contrasts, *claim.controlled):
            for name in () if contrast.kind == "rank" else (name.partition("@")[0] for name, _ in contrast.terms):
                assert name in made or f'"{name.rstrip("0123456789")}' in benches, (claim.id, name)


def test_claimed_values_follow_from_the_tables():
    claimed = {c.id: c.contrasts[0].claimed for c in verdicts.CLAIMS if c.contrasts}
    assert claimed["h-size"] == pytest.approx(1 - 0.676, abs=5e-4)
    assert claimed["h-speed"] == pytest.approx(80 / 150) and claimed["h-time"] == pytest.approx(33 / 48)
    assert claimed["h-acc"] == 1.7 and claimed["h-ppl"] == pytest.approx(-0.5)
    assert claimed["h-quant2x"] == 0.5
    assert claimed["h-data"] == 0 and [n for n, _ in verdicts.HEADLINE_CLAIMS[0].contrasts[0].terms] \
        == ["data-module@5600", "base@8000"], "no loss, with 30% fewer labels"
    assert (claimed["bd-time"], claimed["bd-memory"]) == (0.70, 0.75)
    assert claimed["h-gap"] == (84.5 - 83.5) - (83 - 81)


def test_the_equations_and_higher_references():
    assert [e.number for e in papers.EQUATIONS] == [1, 2, 3, 4, 5]
    assert {r.system: r.accuracy for r in papers.HIGHER_REFERENCES} == HIGHER
    assert papers.higher_references().shape == (10, 6) and all(r.cite for r in papers.HIGHER_REFERENCES)
    best = max(papers.HIGHER_REFERENCES, key=lambda r: max(r.accuracy))
    assert max(best.accuracy) > papers.PAPER_TABLE["seo"].accuracy and best.cite == ("mukherjee2021",)


def test_nothing_outside_the_package_is_read():
    tree = ast.parse(Path(verdicts.__file__).read_text())
    opened = [n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    assert "open" not in opened and "Path" not in opened


# ---- the contradictions


def test_the_twelve_contradictions_hold_line_by_line():
    found = contradictions.listed()
    assert [c.number for c in found] == list(range(1, 13))
    for contradiction in found:
        assert contradiction.holds and contradiction.steps and contradiction.source
        assert [s for s in contradiction.steps if not s.holds] == []


@pytest.mark.parametrize(("number", "result"), [
    (1, "da, tl"), (2, "+2.7 points"), (3, "2e-04"), (3, "8.7 nats"), (4, "87.5%"), (5, "no seo"),
    (6, "62 MB, reported 136"),
    (6, "57 ms, reported 80"), (7, "17.2 h"), (8, "-10.4%"), (9, "110 MB, reported 150"), (10,
                                                                                           "+0.1 (worse)"),
    (11, "270 625"), (12, "+1.7 points")])
def test_the_arithmetic_comes_out(number, result):
    assert result in [s.result for s in contradictions.listed()[number - 1].steps]


def test_a_changed_number_breaks_its_contradiction(monkeypatch):
    table = {**papers.PAPER_TABLE, "seo": papers.PAPER_TABLE["seo"]._replace(accuracy=88.0, size_mb=62)}
    for module in (papers, contradictions):
        monkeypatch.setattr(module, "PAPER_TABLE", table)
    assert [c.number for c in contradictions.listed() if not c.holds] == [1, 6, 12]


# ---- the verdict rule


@pytest.mark.parametrize(("estimate", "low", "high", "claimed", "direction", "no_effect", "expected"), [
    (1.8, 1.2, 2.4, 1.7, 1, 0, REPRODUCED),  # holds the claimed value
    (3.0, 2.5, 3.5, 1.7, 1, 0, REPRODUCED),  # beyond it
    (1.7, 1.7, 1.7, 1.7, 1, 0, REPRODUCED),  # exactly it
    (1.0, 0.5, 1.5, 1.7, 1, 0, PARTLY),  # an effect, a smaller one
    (1.0, -0.1, 1.5, 1.7, 1, 0, NOT_REPRODUCED),  # may be none, and is not the claimed one
    (1.0, -0.1, 1.9, 1.7, 1, 0, NOT_SETTLED),  # may be none, and may be the claimed one
    (1.0, 0.0, 1.7, 1.7, 1, 0, NOT_SETTLED),
    (-1.0, -1.5, -0.5, 1.7, 1, 0, NOT_REPRODUCED),  # the other way
    (0.3, 0.2, 0.35, 0.324, -1, 1, REPRODUCED),  # ratios: smaller is the claim
    (0.5, 0.4, 0.6, 0.324, -1, 1, PARTLY),
    (0.9, 0.7, 1.1, 0.324, -1, 1, NOT_REPRODUCED),
    (1.2, 1.1, 1.3, 0.324, -1, 1, NOT_REPRODUCED),
    (0.5, 0.1, 0.9, None, 1, 0, REPRODUCED),  # a direction only
    (0.5, -0.1, 0.9, None, 1, 0, NOT_SETTLED),  # either side
    (-0.5, -0.9, -0.1, None, 1, 0, NOT_REPRODUCED),  # the other side
    (0.9, 0.2, 1.1, 0.324, -1, 1, NOT_SETTLED),
    (0.9, 0.8, 0.95, None, -1, 1, REPRODUCED),
    (-0.3, -0.8, 0.1, 0.0, 1, -1, REPRODUCED),  # "keeps accuracy": no loss within reach
    (-0.5, -0.8, -0.2, 0.0, 1, -1, PARTLY),  # less than a point lost
    (-0.9, -1.2, -0.5, 0.0, 1, -1, NOT_REPRODUCED),
    (None, None, None, 1.7, 1, 0, NOT_RUN),
    (math.nan, math.nan, math.nan, 1.7, 1, 0, NOT_RUN),
    (1.0, math.nan, math.nan, 1.7, 1, 0, NOT_SETTLED),  # one seed: no interval
])
def test_the_verdict_rule(estimate, low, high, claimed, direction, no_effect, expected):
    assert verdict(estimate, low, high, claimed, direction, no_effect) == expected


@pytest.mark.parametrize(("low", "high", "expected"), [
    (-1.4, -0.3, REPRODUCED),  # holds the claimed loss
    (-0.6, 0.1, BETTER),  # less is lost, or nothing
    (0.2, 0.9, BETTER),  # a gain
    (-0.9, -0.4, BETTER),
    (-1.4, 0.3, NOT_SETTLED),  # the claimed loss, or none
    (-3.0, -1.2, NOT_REPRODUCED),  # more is lost
])
def test_a_claimed_loss_is_a_band(low, high, expected):
    assert verdict((low + high) / 2, low, high, -1.0, -1, loss=True) == expected


def test_a_reason_outranks_every_number():
    assert verdict(1.8, 1.2, 2.4, 1.7, 1, reason="no task is stated") == NOT_TESTABLE


@pytest.mark.parametrize("wrong", [(1, 0.5, 2, 1.7, 0, 0), (1, 2, 0.5, 1.7, 1, 0), (1, 0.5, 2, -1.7, 1, 0)])
def test_numbers_that_contradict_one_another_are_refused(wrong):
    with pytest.raises(ValueError):
        verdict(*wrong)


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(0.01, 5))
def test_the_rule_is_symmetric_and_ordered(estimate, half, claimed):
    up = verdict(estimate, estimate - half, estimate + half, claimed, 1)
    down = verdict(-estimate, -estimate - half, -estimate + half, -claimed, -1)
    assert up == down
    excludes, reaches = estimate - half > 0, estimate + half >= claimed
    assert up == {(True, True): REPRODUCED, (True, False): PARTLY, (False, True): NOT_SETTLED,
                  (False, False): NOT_REPRODUCED}[excludes, reaches]


# ---- the audit


@pytest.fixture
def store(tmp_path, monkeypatch):
    """write(configuration, seed, **metrics) into a book of its own; load() gives the frame."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(tmp_path))
    monkeypatch.setattr("os.fsync", lambda _: None)  # slow on a busy disk
    task = SimpleNamespace(name="mnli", fingerprint="f" * 16, splits={"train": range(9)})
    model = {"name": "bundled", "fingerprint": "m", "parameters": 1}

    def write(configuration, seed=0, *, experiment="90_seo", profile="cpu", fingerprint="f" * 16, right=None,
              series=None, overrides=None, parameters=None, **metrics):
        found = SimpleNamespace(**{**vars(task), "fingerprint": fingerprint})
        extra = {} if right is None else {"predictions": {"validation_matched": right.astype(int)},
                                          "labels": {"validation_matched": np.ones(len(right), int)}}
        return results.write(experiment, configuration, settings=load_settings(profile, seed=seed,
                                                                               **(overrides or {})),
                             data=found, model_info=model, metrics=metrics, series=series,
                             parameters=parameters, **extra)

    return SimpleNamespace(write=write, load=lambda: results.load("_build/results"))


def judged(frame, claim, **keywords):
    return audit(frame, **keywords).set_index("claim").loc[claim]


def test_without_records_everything_is_not_run_or_not_testable(store):
    found = audit(store.load())
    assert len(found) == 40 and set(found["verdict"]) == {NOT_RUN, NOT_TESTABLE}
    untestable = set(found.loc[found["verdict"] == NOT_TESTABLE, "claim"])
    assert untestable == {"h-ppl", "h-plateau", "h-scale", "tkd-acc", "tkd-f1", "tkd-temp", "bd-deploy",
                          "h-tuned", "tkd-parallel"}
    assert found.loc[found["verdict"] == NOT_TESTABLE, "note"].str.len().min() > 20
    assert set(audit(store.load(), verdicts.TABLE_CLAIMS)["verdict"]) == {NOT_RUN, NOT_TESTABLE}


def test_accuracies_are_paired_by_seed_and_example(store):
    rng = np.random.default_rng(0)
    for seed in range(3):
        base = rng.random(3000) < 0.72
        seo = np.where(rng.random(3000) < 0.1, rng.random(3000) < 0.95, base)
        store.write("base", seed, right=base, accuracy_matched=base.mean())
        store.write("seo", seed, right=seo, accuracy_matched=seo.mean())
    row = judged(store.load(), "h-acc")
    assert row["verdict"] == REPRODUCED and row["n"] == 3 and row["ours"].startswith("+2.")
    plain = judged(store.load().drop(columns="path").assign(path="none.json"), "h-acc")
    assert plain["ours"].split(" [")[0] == row["ours"].split(" [")[0]  # same mean, t interval over seeds


@pytest.mark.slow
def test_ratios_sizes_and_curves(store):
    for seed in range(3):
        store.write("base", seed, size_bytes=91_000_000, train_examples=600 + seed,
                    series={"train_accuracy": [0.6, 0.80], "development_accuracy": [0.6, 0.72]})
        store.write("seo", seed, size_bytes=18_000_000, train_work=630 + seed,
                    series={"train_accuracy": [0.6, 0.74], "development_accuracy": [0.65, 0.72]})
    frame = store.load()
    assert judged(frame, "h-size")["verdict"] == REPRODUCED and "0.198" in judged(frame, "h-size")["ours"]
    assert judged(frame, "h-time")["verdict"] == NOT_REPRODUCED
    assert judged(frame, "h-gap")["verdict"] == REPRODUCED and judged(frame,
                                                                      "h-gap")["ours"].startswith("−6.00")
    assert judged(frame, "h-conv")["verdict"] == CONFOUNDED, "it begins with the trained baseline"
    assert judged(frame, "h-conv")["ours"].startswith("+5.00")
    assert judged(frame, "h-ppl")["verdict"] == NOT_TESTABLE


def test_one_seed_has_no_interval_but_bytes_need_none(store):
    store.write("base", size_bytes=100, train_examples=10.0)
    store.write("seo", size_bytes=50, train_work=5.0)
    frame = store.load()
    assert judged(frame, "h-time")["verdict"] == NOT_SETTLED and judged(frame, "h-time")["ours"] == "0.500 × (1 seed)"
    assert "one seed" in judged(frame, "h-time")["note"]
    assert judged(frame, "h-size")["verdict"] == PARTLY


def test_the_examples_of_one_seed_settle_nothing(store):
    right = np.arange(400) % 2 == 0
    for seed in range(2):
        store.write("base", seed, right=right, accuracy_matched=0.5)
        store.write("seo", seed, right=~right & (np.arange(400) < 100), accuracy_matched=0.125)
        row = judged(store.load(), "h-acc")
        assert row["ours"].startswith("−37.50 [−") and row["n"] == seed + 1
        assert row["verdict"] == (NOT_REPRODUCED if seed else NOT_SETTLED)


def test_quick_is_no_evidence_unless_asked_for(store):
    for seed in range(2):
        store.write("base", seed, profile="quick", train_examples=10.0)
        store.write("seo", seed, profile="quick", train_work=5.0)
    assert judged(store.load(), "h-time")["verdict"] == NOT_RUN
    assert judged(store.load(), "h-time", profiles=("quick",))["verdict"] == REPRODUCED


def test_results_of_different_data_or_scale_never_mix(store):
    for seed in range(2):
        store.write("base", seed, experiment="02_baseline", train_examples=10.0)
        store.write("seo", seed, fingerprint="e" * 16, train_work=5.0)
    assert judged(store.load(), "h-time")["verdict"] == NOT_RUN
    for seed in range(2):
        store.write("seo", seed, train_work=5.0, overrides={"epochs": 1})
    assert judged(store.load(), "h-time")["verdict"] == NOT_RUN
    for seed in range(2):
        store.write("seo", seed, train_work=5.0)
    assert judged(store.load(), "h-time")["verdict"] == REPRODUCED


def test_times_of_one_benchmark_run_are_compared_round_by_round(store):
    for name, ms in (("base", [20.0, 22.0, 30.0]), ("quant", [10.1, 10.9, 15.0])):
        store.write(name, experiment="tab3_inference_speed", latency_ms_p50=sorted(ms)[1],
                    size_bytes=90.0 if name == "base" else 81.0, series={"round": [0, 1, 2], "round_ms": ms})
    row = judged(store.load(), "h-quant2x")
    assert row["verdict"] == REPRODUCED, "a slow minute hits both, so the ratio is sharp although the times are not"
    sizes = audit(store.load(), verdicts.TABLE_CLAIMS).set_index("claim").loc["table-quant-size_mb"]
    assert "0.900" in sizes["ours"], "bytes are compared as bytes"


@pytest.mark.parametrize("rounds, says", [
    ([6.0, 6.2, 8.9], REPRODUCED), ([6.0, 11.0, 16.0], NOT_SETTLED), ([], NOT_SETTLED)])
def test_whatever_a_benchmark_measured_in_rounds_is_compared_round_by_round(store, rounds, says):
    for name, seconds in (("full-precision", [10.0, 11.0, 15.0]), ("mixed-precision", rounds)):
        series = {"round": [0, 1, 2], "round_train_seconds": seconds} if seconds else {}
        store.write(name, experiment="bench_precision", train_seconds=11.0 if seconds != rounds else 6.2, series=series)
    row = judged(store.load(), "bd-time")
    assert row["verdict"] == says and ("3 rounds" in row["ours"]) == bool(rounds)


def test_a_contrast_is_taken_at_an_equal_number_of_labels(store):
    for seed in range(3):
        store.write("base", seed, accuracy_matched=0.6, labels=2000, parameters={"labels": 2000})
        store.write("base", seed, accuracy_matched=0.9, labels=8000, parameters={"labels": 8000})
        store.write("seo", seed, accuracy_matched=0.65 + seed / 1000, labels=2000, parameters={"labels": 2000})
    row = judged(store.load(), "h-acc")
    assert row["verdict"] == REPRODUCED, "not against the baseline of four times the labels"


def test_recipes_that_are_groups_of_parameters_are_not_pooled(store):
    for seed in range(3):
        for threshold, accuracy in ((1.0, 0.7), (4.0, 0.6)):
            store.write("aip", seed, accuracy_matched=accuracy,
                        parameters={"recipe": {"threshold": threshold, "seed": seed}})
    kept = contrasts.one_setting(store.load())
    assert len(kept) == 3 and kept["accuracy_matched"].nunique() == 1


def test_synergy_falls_with_the_first_part_that_is_better(store):
    for seed in range(3):
        store.write("seo", seed, accuracy_matched=0.730 + seed / 1000)
        store.write("tl", seed, accuracy_matched=0.750 + seed / 1000)
    row = judged(store.load(), "h-synergy")
    assert row["verdict"] == NOT_REPRODUCED and row["measured by"].endswith("seo − tl")
    for seed in range(3):
        store.write("tl", seed, accuracy_matched=0.700 + seed / 1000)
    row = judged(store.load(), "h-synergy")
    assert row["verdict"] == NOT_SETTLED and "seo − da: not run" in row["each"], "the other parts are missing"


def test_an_interval_that_settles_nothing_says_so(store):
    for seed, gain in enumerate((-0.03, 0.0, 0.03)):
        store.write("base", seed, accuracy_matched=0.7)
        store.write("seo", seed, accuracy_matched=0.7 + gain)
    row = judged(store.load(), "h-acc")
    assert row["verdict"] == NOT_SETTLED and row["before"] == REPRODUCED, "reaching the value was enough"


def test_a_confounded_claim_is_judged_by_its_controlled_contrast(store):
    """All of the gain on imbalanced labels is that of random labels after the same source task."""
    for seed in range(3):
        for name, gain in {"adatal-limited": 0.20, "adatal": 0.05, "base-limited": 0.0, "base": 0.0}.items():
            store.write(name, seed, accuracy_matched=0.5 + gain + seed / 1000)
    row = judged(store.load(), "h-imbalance")
    assert row["verdict"] == CONFOUNDED and row["ours"].startswith("+15.00") and "source task" in row["note"]
    for seed in range(3):
        for name, gain in {"random-limited": 0.25, "random": 0.05}.items():
            store.write(name, seed, accuracy_matched=0.5 + gain + seed * seed / 1000)
    row = judged(store.load(), "h-imbalance")
    assert row["verdict"] == NOT_REPRODUCED and row["ours"].startswith("−5.") and row["tier"] == "controlled"
    assert row["uncontrolled"].startswith("+15.00") and row["before"] == REPRODUCED


def test_a_claim_has_to_hold_at_each_number_of_labels(store):
    for seed in range(3):
        for labels, gain in ((2000, -0.05), (8000, 0.05)):
            store.write("da-static", seed, accuracy_matched=0.6, labels=labels, parameters={"labels": labels})
            store.write("da", seed, accuracy_matched=0.6 + gain + seed / 1000, labels=labels,
                        parameters={"labels": labels})
    row = judged(store.load(), "h-ada")
    assert row["verdict"] == NOT_REPRODUCED and row["n"] == 3 and row["tier"] == "controlled"
    assert [part.split("labels: ")[1][:2] for part in row["each"].split("; ")] == ["−4", "+5"]


def test_a_controlled_claim_is_confirmed_where_all_its_records_were_listed_beforehand(store, tmp_path):
    def write_list(day, seeds):
        entries = [{"arm": arm, "recipe": {"labels": 2000}, "seeds": seeds, "date": day, "why": "to see"}
                   for arm in ("da", "da-static")]
        (tmp_path / "book" / "final.yml").write_text(yaml.safe_dump({"date": day, "data": ["f" * 16], "arms": entries}))
        return judged(store.load(), "h-ada")["tier"]

    today, later = datetime.now(UTC).date(), datetime.now(UTC).date() + timedelta(days=2)
    for seed in range(4):
        for name in ("da-static", "da"):
            store.write(name, seed, accuracy_matched=0.6 + seed / 1000, labels=2000, parameters={"labels": 2000})
    assert judged(store.load(), "h-ada")["tier"] == "controlled"
    assert write_list(today, [0, 1, 2, 3]) == "confirmed"
    assert write_list(today, [0]) == "controlled", "the seeds that are not listed"
    assert write_list(later, [0, 1, 2, 3]) == "controlled", "records older than the list"


def test_numbers_of_labels_may_differ_on_purpose(store):
    for seed in range(3):
        for name, labels, accuracy in (("base", 5600, 0.9), ("base", 8000, 0.6), ("random", 8000, 0.8),
                                       ("data-module", 5600, 0.7)):
            store.write(name, seed, accuracy_matched=accuracy + seed * labels / 1e7, labels=labels,
                        accuracy_mismatched=accuracy, parameters={"labels": labels})
    row = judged(store.load(), "h-data")
    assert row["uncontrolled"].startswith("+9.9") and row["ours"].startswith("−10.")
    assert row["verdict"] == NOT_REPRODUCED


def test_size_and_speed_are_ranked_over_the_files_timed_together(store):
    for size in range(12):
        store.write(f"file-{size}", experiment="tab3_inference_speed", size_bytes=float(size),
                    latency_ms_p50=10.0 + size)
    row = judged(store.load(), "h-correlate")
    assert row["verdict"] == REPRODUCED and row["ours"].startswith("+1.00") and row["n"] == 12


def test_a_table_of_verdicts_begins_with_claim_value_and_verdict(store):
    for seed in range(3):
        store.write("base", seed, size_bytes=100, train_examples=10.0 + seed)
        store.write("seo", seed, size_bytes=30, train_work=5.0)
    shown = tables.verdict_table(audit(store.load(), verdicts.TABLE_CLAIMS), "note").set_index("claim")
    assert [*shown] == ["ours", "verdict", "claimed", "statement", "note"]
    assert shown.loc["seo-size_mb", "ours"] == "0.300 [0.300, 0.300] × (3 seeds)"
    assert shown.loc["quant-size_mb", "ours"] == NOT_RUN
    assert "n = " not in " ".join(shown["ours"])


@pytest.mark.parametrize("page", sorted((Path(__file__).parents[2] / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_no_page_has_the_verdict_out_of_sight(page):
    """On a phone three columns of a table are in sight."""
    code = "".join(line for line in page.read_text().splitlines(keepends=True) if not line.startswith("#"))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.List):
            columns = [getattr(each, "value", None) for each in node.elts]
            assert "verdict" not in columns[3:], columns


def test_an_entry_carries_its_evidence(store):
    for seed in range(2):
        store.write("base", seed, train_examples=10.0 + seed)
        store.write("seo", seed, train_work=5.0)
    entries = {entry["id"]: entry for entry in verdicts.entries(store.load())}
    assert set(entries) == {claim.id for claim in verdicts.CLAIMS + verdicts.TABLE_CLAIMS}
    time = entries["h-time"]
    assert time["verdict"] in verdicts.VERDICTS and time["tier"] == "exploratory" and len(time["records"]) == 4
    assert time["ours"]["low"] <= time["ours"]["estimate"] <= time["ours"]["high"] and time["ours"]["n"] == 2
    assert entries["h-size"]["ours"] is None and entries["h-size"]["records"] == []


def test_one_setting_where_records_lack_a_text_parameter():
    """Runs with and without a technique's own parameters stand in one frame; what one lacks is missing there."""
    rows = pd.DataFrame({
        "experiment": "e", "profile": "cpu", "data_name": "d", "model_name": "m", "configuration": ["base", "da", "da"],
        "seed": [0, 0, 1], "labels_used": 1, "finished": ["1", "2", "3"],
        "param_operator": pd.array(["eda", None, None], dtype="str"), "param_rate": [None, 0.1, 0.1]})
    assert len(contrasts.one_setting(rows)) == 3


@pytest.mark.slow
def test_the_committed_verdicts_are_what_the_records_say(monkeypatch, capsys):
    monkeypatch.setenv("SEO_BOOK", str(Path(__file__).resolve().parents[2]))
    assert run.main(["audit", "--check"]) == 0, capsys.readouterr().err
    assert f"{len(verdicts.CLAIMS + verdicts.TABLE_CLAIMS)} claims: " in capsys.readouterr().out


def test_the_audit_is_written_whole_and_checked(store, tmp_path, capsys):
    assert run.main(["audit", "--check"]) == 1 and "run audit" in capsys.readouterr().err
    assert not (tmp_path / "book" / "claims.json").exists()
    assert run.main(["audit"]) == 0 and run.main(["audit", "--check"]) == 0
    told = json.loads((tmp_path / "book" / "claims.json").read_text(encoding="utf-8"))
    assert told["rule"] == verdicts.RULE_DATE and {c["verdict"] for c in told["claims"]} == {NOT_RUN, NOT_TESTABLE}


def test_effects_are_drawn_as_shares_of_what_is_claimed(store):
    for seed in range(3):
        for name, gain, size in (("base", 0.0, 100), ("seo", 0.034, 50)):
            store.write(name, seed, accuracy_matched=0.7 + gain, size_bytes=size, robust_accuracy=0.5)
        for name, gain in (("da", 0.02), ("da-copies", 0.0)):
            store.write(name, seed, robust_accuracy=0.5 + gain)
    store.write("quant", 0, latency_ms_p50=30.0)
    store.write("base", 0, latency_ms_p50=100.0)
    valued, directed, other = (frame.set_index("contrast") for frame in verdicts.shares(store.load()))
    assert other["difference"].to_dict() == pytest.approx({"bd-infer: not settled": 70}), "hundredths that are saved"
    assert valued.loc["h-size: partly", ["claimed", "ours"]].tolist() == ["0.324", "0.500 ×"]
    assert directed.loc["h-robust: reproduced", ["claimed", "ours"]].tolist() == ["above 0", "+2.00 points"]
    assert valued.loc["h-acc: reproduced", "difference"] == pytest.approx(2), "3.4 points where 1.7 are claimed"
    assert valued.loc["h-size: partly", "difference"] == pytest.approx(math.log(0.5) / math.log(136 / 420))
    assert directed["difference"].to_dict() == pytest.approx({"h-robust: reproduced": 2.0})


def test_a_row_stands_beside_the_baseline_of_as_many_labels(store):
    for labels, accuracy in ((2000, 0.5), (8000, 0.7)):
        store.write("base", accuracy_matched=accuracy, labels=labels, parameters={"labels": labels})
    store.write("base", accuracy_matched=0.9, experiment="02_baseline")
    store.write("da", accuracy_matched=0.6, labels=2000, parameters={"labels": 2000})
    store.write("kd", accuracy_matched=0.8)
    beside = tables.equal_baseline(store.load(), "accuracy_matched")
    assert beside[["da", "kd", "seo"]].tolist() == ["50.00 (n = 1)", "90.00 (n = 1)", "—"]


def test_a_table_can_be_folded():
    shown = tables.Table(pd.DataFrame({"a": [1]}), folded="more")._repr_html_()
    assert shown.startswith("<details><summary>more</summary>") and shown.endswith("</details>") and "<table" in shown
    assert "<details>" not in tables.Table(pd.DataFrame({"a": [1]}))._repr_html_()


def test_an_arm_sealed_from_the_official_sets_is_judged_on_development_rows(store):
    for seed in range(3):
        store.write("base", seed, accuracy_matched=0.72, accuracy_mismatched=0.73, accuracy_development=0.70)
        store.write("seo", seed, accuracy_development=0.73 + seed / 1000)
    row = judged(store.load(), "h-acc")
    assert row["verdict"] == REPRODUCED and row["measured by"] == "accuracy_development: seo − base"
    assert "development rows" in row["note"] and row["before"] == NOT_RUN
    found = contrasts.official_differences(store.load(), {"seo": "base"})
    assert found["metric"].tolist() == ["accuracy_development"] and found["difference"].round(1).tolist() == [3.1]
    ours = Evidence(frame=store.load())
    assert ours.gap("seo", "base").endswith("(3 seeds)") and " on development rows (" in ours.gap("seo", "base")
    assert ours.told("seo", "base") == "is better" and ours.mean("seo") == "73.1% on development rows"
    table = tables.against_table(store.load(), ["base", "seo"], found).set_index("configuration")
    assert table.loc["seo", ["matched, %", "development, %"]].tolist() == ["—", "73.10"]
    assert table.loc["seo", "to base, points (development)"].startswith("+3.10 [")
    assert "nan" not in table.to_string()


def test_so_are_its_other_scores(store):
    for seed in range(3):
        for name, more in (("base", 0.0), ("tuned", 0.03)):
            store.write(name, seed, **{f"{metric}_development": 0.7 + more + seed / 1000 for metric in (
                "accuracy", "precision_macro", "recall_macro", "f1_macro")})
    row = judged(store.load(), "bd-metrics")  # which asks for all four
    assert row["verdict"] == REPRODUCED and row["measured by"].startswith("accuracy_development: tuned − base")


def test_final_records_stand_alone_and_earlier_ones_beside_their_own_base(store, tmp_path):
    today = datetime.now(UTC).date()
    for seed in range(3):  # in the order in which they were made: an older base, then the one that kd is made from
        store.write("base", seed, experiment="02_baseline", accuracy_matched=0.60, accuracy_mismatched=0.60)
    for seed in range(3):
        store.write("base", seed, experiment="09_pruning", accuracy_matched=0.70, accuracy_mismatched=0.70)
        store.write("kd", seed, experiment="12_distillation", accuracy_matched=0.71, accuracy_mismatched=0.71)
        store.write("quant", seed, experiment="11_quantization", accuracy_matched=0.69, accuracy_mismatched=0.69)
    entries = [{"arm": arm, "recipe": {"profile": "cpu"}, "seeds": [3, 4, 5, 6, 7], "date": today, "why": "to see"}
               for arm in ("base", "quant")]
    (tmp_path / "book" / "final.yml").write_text(
        yaml.safe_dump({"date": today, "data": ["f" * 16], "arms": entries}))
    assert tables.final_table(store.load())["configuration"].tolist() == [NOT_RUN]

    def difference(arm):
        (row, _) = contrasts.official_differences(store.load(), {arm: "base"}).itertuples()
        return round(row.difference, 6), row.seeds

    for count, seed in enumerate(range(3, 8), 1):
        store.write("base", seed, experiment="02_baseline", accuracy_matched=0.74, accuracy_mismatched=0.74)
        store.write("quant", seed, experiment="11_quantization", accuracy_matched=0.72, accuracy_mismatched=0.72)
        assert difference("quant") == ((-2.0, count) if count >= contrasts.ENOUGH else (-1.0, 3))
        assert difference("kd") == (1.0, 3)
    final = tables.final_table(store.load()).set_index("configuration")
    assert final.index.tolist() == ["base", "quant"] and final["seeds"].tolist() == [5, 5]
    assert final["matched, %"].tolist() == ["74.00", "72.00"]
    assert set(contrasts.exploratory(store.load())["seed"]) == {0, 1, 2}
