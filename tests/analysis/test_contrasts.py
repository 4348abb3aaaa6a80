"""Paired differences: one way for records and for curves over labels."""

import numpy as np
import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import contrasts, efficiency, statistics
from seo_core.arms import ARMS, steps


def _curves(predictions=True):
    rng, rows = np.random.default_rng(0), []
    for name, share in (("base", 0.6), ("ssl", 0.7)):
        for seed in range(3):
            for labels in (500, 1000):
                right = rng.random(300) < share
                rows.append((name, seed, labels, right.mean(), right if predictions else None, ""))
    return pd.DataFrame(rows, columns=list(efficiency.COLUMNS))


@pytest.mark.parametrize("pairs", [{"ssl": "base"}, [("ssl", "base")]])
def test_curves_are_paired_by_seed_and_example(pairs):
    curves = _curves()
    table = contrasts.differences(curves, pairs, ["accuracy"])
    assert table["contrast"].tolist() == ["ssl − base"] * 2 and table["labels"].tolist() == [500, 1000]
    sides = [np.stack(curves[(curves["configuration"] == name) & (curves["labels"] == 500)]["correct"])
             for name in ("ssl", "base")]
    expected = statistics.paired_difference(*sides)
    assert table.loc[0, ["difference", "low", "high"]].tolist() == pytest.approx([100 * x for x in expected[:3]])
    assert efficiency.gains(curves, "base")["difference"].tolist() == table["difference"].tolist()


def test_without_predictions_seeds_are_paired():
    curves = _curves(predictions=False)
    row = contrasts.differences(curves, {"ssl": "base"}, ["accuracy"]).iloc[0]
    by_seed = curves[curves["labels"] == 500].pivot_table(index="seed", columns="configuration", values="accuracy")
    expected = statistics.mean_interval(by_seed["ssl"] - by_seed["base"])
    assert [row["difference"], row["low"], row["high"]] == pytest.approx([100 * x for x in expected[:3]])


def test_an_arm_is_no_control_of_itself_and_what_has_no_run_has_no_row():
    table = contrasts.differences(_curves(), {"base": "base", "other": "base"}, ["accuracy"], labels=None)
    assert table.empty and "labels" not in table


def test_an_interval_says_one_of_four_words():
    words = ("above", "below", "neither", "unknown")
    cases = {(0.1, 1.0): "above", (-1.0, -0.1): "below", (-1.0, 1.0): "neither", (np.nan, np.nan): "unknown"}
    assert {case: statistics.side(*case, *words) for case in cases} == cases


def test_screening_is_paired_on_the_kept_development_rows(monkeypatch):
    right = {name: np.random.default_rng(seed).random(200) < 0.6 for seed, name in enumerate(("base", "ssl"))}
    monkeypatch.setattr(contrasts.results, "predictions", lambda path: {"acceptance_correct": right[path]})
    frame = pd.DataFrame([(name, 0, name, each.mean()) for name, each in right.items()],
                         columns=["configuration", "seed", "path", "accuracy_development"])
    row = contrasts.differences(frame, {"ssl": "base"}, ["accuracy_development"], labels=None).iloc[0]
    expected = statistics.paired_difference(right["ssl"][None], right["base"][None])
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([100 * x for x in expected[:3]])


COMPRESSION = ("09_pruning", "10_adaptive_iterative_pruning", "11_quantization", "12_distillation",
               "13_quantization_distillation")


@pytest.fixture(scope="module")
def compressed():
    return results.load(*(results.reference_dir() / "cpu" / chapter for chapter in COMPRESSION))


def test_pairs_seen_count_what_the_network_was_made_from(compressed):
    seen = compressed.assign(seen=contrasts.pairs_seen(compressed)).groupby("configuration")["seen"].unique()
    expected = {"base": 0, "quant": 0, "taylor-65": 90_204, "kd": 390_588, "sqd-taylor-65": 195_294 + 90_204,
                "distilled": 195_444}
    assert {name: seen[name].tolist() for name in expected} == {name: [n] for name, n in expected.items()}


def test_an_arm_saw_at_least_what_each_of_its_ancestors_saw(compressed):
    seen, lineage = contrasts.pairs_seen(compressed), contrasts.lineage(compressed)
    assert any(len(before) > 1 for before in lineage.values())
    for index, before in lineage.items():
        assert all(seen[index] >= seen[ancestor] for ancestor in before)
    means = compressed.assign(seen=seen).groupby("configuration")["seen"].mean()
    for name in set(means.index) & set(ARMS):  # and by what the arms say that they need
        assert all(means[name] >= means[arm.recorded_as] for arm, _ in steps(name))


def test_the_record_of_an_ancestor_may_be_absent_and_further_teachers_are_ancestors(compressed, monkeypatch):
    frame = compressed[compressed["configuration"] != "taylor-65"]
    unknown = frame.loc[contrasts.pairs_seen(frame).isna(), "configuration"]
    assert set(unknown) == {"sqd-taylor-65"}
    assert contrasts.pairs_seen(compressed[:0]).empty
    taught = compressed[compressed["configuration"].isin(["base", "kd"])]
    monkeypatch.setattr(contrasts.results, "record_at", lambda path: {"parameters": {"recipe": {"teachers": 2}}})
    seen = taught.assign(seen=contrasts.pairs_seen(taught)).set_index(["configuration", "seed"])["seen"]
    assert seen["kd"].tolist() == [390_588 + 90_204] * 3 and seen["base"].tolist() == [0] * 3
