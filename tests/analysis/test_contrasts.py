"""Paired differences: one way for records and for curves over labels."""

import numpy as np
import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import contrasts, efficiency, statistics, tables, tradeoff
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
    table = contrasts.differences(frame, {"ssl": "base"}, ["accuracy_development"], labels=None)
    assert tables.pair_table(table)["split"].tolist() == ["development"]
    row = table.iloc[0]
    expected = statistics.paired_difference(right["ssl"][None], right["base"][None])
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([100 * x for x in expected[:3]])


@pytest.mark.parametrize("metric", statistics.EXAMPLE_METRICS)
def test_metrics_of_two_classes_and_of_scores_are_paired_by_example_too(monkeypatch, metric):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80).astype(np.float16) if metric == "pearson" else rng.integers(0, 2, 80)
    said, kept = {}, {}
    for name in ("a", "b"):
        if metric == "pearson":
            said[name] = (truth + rng.normal(size=80)).astype(np.float16)
            kept[name] = {"validation_matched_labels": truth, "validation_matched_logits": said[name][:, None]}
        else:
            said[name] = np.where(rng.random(80) < 0.7, truth, 1 - truth)
            kept[name] = {"validation_matched": said[name], "validation_matched_correct": said[name] == truth}
    monkeypatch.setattr(contrasts.results, "predictions", kept.get)
    scores = {name: statistics.by_example(metric, truth, each) for name, each in said.items()}
    frame = pd.DataFrame([(name, 0, name, each.mean()) for name, each in scores.items()],
                         columns=["configuration", "seed", "path", f"{metric}_matched"])
    row = contrasts.differences(frame, {"a": "b"}, [f"{metric}_matched"], labels=None).iloc[0]
    expected = statistics.paired_difference(scores["a"][None], scores["b"][None])
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([100 * x for x in expected[:3]])
    frame[f"{metric}_matched"] += 0.01  # of other answers than those that were kept: no interval
    assert np.isnan(contrasts.differences(frame, {"a": "b"}, [f"{metric}_matched"], labels=None).loc[0, "low"])


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


@pytest.mark.parametrize("field", ["teacher", "of"])
def test_a_network_in_the_baselines_place_is_an_ancestor(compressed, monkeypatch, field):
    rows = compressed[compressed["configuration"].isin(["base", "distilled", "sqd-taylor-80"])]
    real = contrasts.results.record_at
    monkeypatch.setattr(contrasts.results, "record_at", lambda path: {"parameters": {"recipe": {
        field: "distilled"}}} if "sqd-taylor-80" in str(path) else real(path))
    seen = rows.assign(seen=contrasts.pairs_seen(rows)).set_index("configuration")["seen"]
    assert seen["sqd-taylor-80"] == 195_294 + 195_444
    without = rows[rows["configuration"] != "distilled"]
    assert np.isnan(contrasts.pairs_seen(without)[rows.index[rows["configuration"] == "sqd-taylor-80"]]).all()


def test_an_equal_control_saw_at_least_the_pairs_and_read_the_texts(compressed):
    found = contrasts.equal_controls(compressed, [*compressed["configuration"].unique(), "sqd-aip"])
    assert "base" not in found and "distilled" not in found and "sqd-aip" not in found  # the last has no record
    seen = compressed.assign(seen=contrasts.pairs_seen(compressed)).groupby("configuration")["seen"].max()
    for arm, control in found.items():
        assert (control == "distilled") == (seen[arm] <= seen["distilled"]), arm
    assert found["oneshot"] == "distilled" and found["sqd-taylor-65"] == contrasts.NO_EQUAL == found["kd"]
    little = compressed.assign(train_examples=1.0).assign(
        train_examples=lambda frame: frame["train_examples"].where(frame["configuration"] != "distilled", 9.0))
    assert contrasts.equal_controls(little, ["taylor-65", "sqd-taylor-65"]) == {
        "taylor-65": "distilled", "sqd-taylor-65": contrasts.NO_EQUAL}  # which read the source task's texts too


def test_the_control_of_more_texts_takes_over_when_it_has_records(compressed):
    """`base-control` reads what `kd` reads, here with the answers of `distilled`."""
    own = compressed[compressed["configuration"] == "distilled"].drop(columns="path")
    paths = compressed.loc[compressed["configuration"] == "kd", ["seed", "path"]]
    later = own.drop(columns="seed").merge(paths, how="cross").assign(configuration="base-control",
                                                                    train_examples=325_490.0)
    frame = pd.concat([compressed, later], ignore_index=True)
    arms = ["taylor-60", "taylor-65", "sqd-taylor-65", "sqd", "base-control"]
    assert contrasts.equal_controls(frame, arms) == {
        "taylor-60": "distilled", "taylor-65": "base-control", "sqd-taylor-65": "base-control",
        "sqd": contrasts.NO_EQUAL}  # most seeds in common


def test_the_nearest_control_is_the_one_that_saw_most(compressed):
    assert tradeoff.nearest_control(compressed, "sqd-taylor-65") == ("distilled", pytest.approx(195_444 / 285_498))
    for frame, arm in ((compressed, "sqd-taylor-65-strong"), (compressed[:0], "sqd-taylor-65"),
                       (compressed[compressed["configuration"] != "distilled"], "sqd-taylor-65")):
        name, share = tradeoff.nearest_control(frame, arm)
        assert name == "not run" and np.isnan(share)


def test_a_goal_is_met_by_intervals_beside_an_equal_control(compressed, monkeypatch):
    goals = {(8, -1): ["sqd-taylor-65", "sqd-taylor-65-strong"], (70, -2): ["taylor-65"], (60, -2): ["taylor-65"]}
    table = tables.goal_table(compressed, goals)
    assert table["is it met?"].tolist() == ["no equal control", "not run", "met, 1 of 5 seeds", "not met, 1 of 5 seeds"]
    assert table["control"].tolist() == ["distilled, 68% of the pairs", "not run", "distilled", "distilled"]
    assert table["file, MB"].tolist() == ["7.69", "—", "62.92", "62.92"]
    gap = contrasts.official_differences(compressed, {"sqd-taylor-65": "distilled"}).iloc[0]
    assert table["points (matched)"][0].startswith(f"{gap['difference']:+.2f} [".replace("-", "−"))
    assert table["goal"][0] == "≤ 8 MB, within −1.0" and table["points (mismatched)"][1] == "not run"
    measured = pd.DataFrame([("taylor-65 − distilled", m, -0.5, low, 0.0, 5, 0.1) for m, low in zip(
        contrasts.OFFICIAL, (-0.9, -1.2), strict=True)], columns=list(contrasts.COLUMNS[1:]))
    monkeypatch.setattr(contrasts, "official_differences", lambda frame, pairs: measured)
    asked = {(70, least): ["taylor-65"] for least in (-1.5, -1.0, -0.4)}
    assert tables.goal_table(compressed, asked)["is it met?"].tolist() == ["met", "by its mean alone", "not met"]
    monkeypatch.setattr(contrasts, "official_differences",
                        lambda frame, pairs: measured[:1].assign(metric=contrasts.DEVELOPMENT, seeds=2))
    shown = tables.goal_table(compressed, {(70, -1.0): ["taylor-65"]}).iloc[0]
    assert shown["is it met?"] == "met, on development rows, 2 of 5 seeds" and shown["points (matched)"] == "—"
    assert shown["points (development)"].endswith("(n = 2)")


def test_tables_show_the_difference_to_the_equal_control_or_say_why_not(compressed):
    arms, first = ["base", "taylor-65", "sqd-taylor-65", "distilled"], "to equal control, points (matched)"
    cells = tables.to_control(compressed, arms)
    gap = contrasts.official_differences(compressed, {"taylor-65": "distilled"}).iloc[0]
    shown = f"to distilled: {gap['difference']:+.2f} [{gap['low']:+.2f}, {gap['high']:+.2f}] (1 seed, stands)"
    assert cells[first].tolist() == ["—", shown.replace("-", "−"), "no equal control", "—"]
    base, control = contrasts.family(contrasts.official_differences(compressed, {"taylor-65": "base"}),
                                     contrasts.control_differences(compressed, arms))
    weak = control.assign(holm=0.2)  # of a chapter with many more
    said = tables.to_control(compressed, arms, weak)[first]
    assert said.str.endswith("falls)").tolist() == [False, True, False, False]
    shown = tables.against_table(compressed, arms[1:2], base, controls=weak).iloc[0]
    assert shown[first].endswith("falls)") and shown["after Holm"] == "contains 0"
    alone = tables.against_table(compressed, arms[1:2], base.drop(columns="holm")).iloc[0]  # both are one family
    words = tables.after_holm(control)
    assert alone[[first, first.replace("matched", "mismatched")]].str.extract(r", (\w+)\)$")[0].tolist() == [
        word.removesuffix(", 1 seed") for word in words]
    elsewhere = compressed["seed"].where(compressed["configuration"] != "distilled", 7)
    for frame in (compressed.assign(seed=elsewhere), compressed[compressed["configuration"] != "distilled"]):
        assert tables.to_control(frame, arms[:2])[first].tolist() == ["—", "not run"]
    ours = compressed[compressed["experiment"] == "13_quantization_distillation"]
    against = contrasts.official_differences(ours, {"sqd-taylor-65": "base"})
    row = tables.against_table(ours, ["sqd-taylor-65"], against, compressed).iloc[0]
    assert row["pairs seen after base"] == "285,498" and row[first] == "no equal control"
    alone = tables.against_table(ours, ["sqd-taylor-65"], against).iloc[0]  # without the records of ancestors
    assert alone["pairs seen after base"] == "—" and alone[first] == "not run"
