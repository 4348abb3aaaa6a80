"""Labels needed to match: the interpolation, the interval, and what is said when there is nothing to say."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core import load_settings, results
from seo_core.analysis import NOT_RUN_YET, efficiency
from seo_core.analysis.efficiency import (
    EfficiencyError,
    crossing,
    gains,
    label_curves,
    labels_to_match,
    match_table,
)

BUDGETS = (1000, 2000, 4000, 8000)


def _curves(arms, seeds=3, n=400, noise=0.0, predictions=True, skip=()):
    """arms: name -> accuracy at each budget. Correctness is exact up to rounding: the first share of n is right."""
    rows = []
    for name, values in arms.items():
        for seed in range(seeds):
            for labels, value in zip(BUDGETS, values, strict=True):
                if (name, seed, labels) in skip or math.isnan(value):
                    continue
                rng = np.random.default_rng([seed, labels, len(name)])
                value = value + noise * rng.normal()
                correct = rng.permutation(n) < round(value * n) if predictions else None
                rows.append((name, seed, labels, float(correct.mean()) if predictions else value, correct, ""))
    return pd.DataFrame(rows, columns=list(efficiency.COLUMNS))


RANDOM = (0.50, 0.55, 0.60, 0.65)


@pytest.mark.parametrize("values, goal, expected", [
    ((0.5, 0.6, 0.7, 0.8), 0.65, math.sqrt(2000 * 4000)),  # half way in the logarithm
    ((0.5, 0.6, 0.7, 0.8), 0.7, 4000), ((0.5, 0.6, 0.7, 0.8), 0.81, math.inf), ((0.5, 0.6, 0.7, 0.8), 0.4, 1000),
    ((0.5, 0.7, 0.6, 0.8), 0.65, 4000 * 2 ** 0.25),  # for good, not for the first time
    ((0.5, 0.8, 0.8, 0.6), 0.7, math.inf), ((0.5, math.nan, 0.7, 0.8), 0.6, 2000),
    ((math.nan,) * 4, 0.6, math.inf)])
def test_crossing(values, goal, expected):
    assert crossing(BUDGETS, values, goal) == pytest.approx(expected)


@given(st.lists(st.floats(0.1, 0.9), min_size=4, max_size=4), st.floats(0.1, 0.9))
@settings(max_examples=80, deadline=None)
def test_crossing_lies_within_the_budgets_and_on_the_curve(values, goal):
    found = crossing(BUDGETS, values, goal)
    if math.isinf(found):
        assert values[-1] < goal
        return
    assert 1000 <= found <= 8000
    there = np.interp(np.log(found), np.log(BUDGETS), values)
    assert there == pytest.approx(goal, abs=1e-6) or (found == 1000 and values[0] >= goal)
    assert all(v >= goal for b, v in zip(BUDGETS, values, strict=True) if b > found * (1 + 1e-9))


@pytest.mark.parametrize("predictions", [True, False])
def test_the_estimate_is_the_crossing_of_the_mean_curve(predictions):
    curves = _curves({"random": RANDOM, "better": (0.5, 0.6, 0.7, 0.75)}, predictions=predictions)
    match = labels_to_match(curves)["better"]
    assert match.labels == pytest.approx(math.sqrt(2000 * 4000), rel=0.02)
    assert match.n == 3 and match.goal == pytest.approx(0.65)
    assert match.low <= match.labels + 1e-6 and match.labels <= match.high + 1e-6
    if not predictions:  # every seed says the same
        assert match.low == match.high == pytest.approx(match.labels)


def test_a_curve_that_stays_below_is_said_to_stay_below():
    curves = _curves({"random": RANDOM, "worse": (0.5, 0.5, 0.5, 0.5)})
    match = labels_to_match(curves)["worse"]
    assert match.labels == math.inf and match.high == math.inf
    assert "does not reach random's 65.00% at 8,000 labels within its 8,000: it ends at 50.00%" in match.statement
    assert match.statement.endswith("95% interval more than 8,000 at either end")
    assert match_table(curves).iloc[0].to_dict() == {
        "configuration": "worse", "labels needed": "more than 8,000",
        "95% interval": "more than 8,000 at either end", "labels saved, %": "none", "seeds": 3}


def test_a_curve_that_was_not_run_up_to_the_goals_labels_bounds_what_is_saved():
    curves = _curves({"random": RANDOM, "short": (0.5, 0.52, 0.55, math.nan)})
    match = labels_to_match(curves)["short"]
    assert match.top == 4000 and match.labels == math.inf
    row = match_table(curves).iloc[0]
    assert row["labels needed"] == "more than 4,000" and row["labels saved, %"] == "less than 50"


def test_a_borrowed_first_budget_is_of_the_arms_own_seeds():
    curves = _curves({"random": RANDOM, "arm": (math.nan, 0.6, 0.7, 0.75)}, noise=0.02,
                     skip=[("arm", seed, labels) for seed in (1, 2) for labels in BUDGETS])
    table = efficiency.plateau_table(curves).set_index("configuration")
    first = curves[(curves["configuration"] == "random") & (curves["seed"] == 0)]["accuracy"].iloc[0]
    assert table.loc["arm", "accuracy, %"].startswith(f"{100 * first:.1f} → ")


def test_a_curve_above_from_the_start_needs_at_most_its_first_budget():
    match = labels_to_match(_curves({"random": RANDOM, "great": (0.8, 0.85, 0.9, 0.9)}))["great"]
    assert match.labels == 1000 and "needs at most 1,000 labels" in match.statement


def test_an_equal_curve_needs_as_many_labels_and_the_interval_says_how_unsure_that_is():
    curves = _curves({"random": RANDOM, "same": RANDOM}, noise=0.01, n=2000)
    match = labels_to_match(curves)["same"]
    assert match.low < 8000 < match.high


def test_an_arm_starts_from_the_controls_first_budget():
    """Both bought the first labels at random: one run, entered once."""
    curves = _curves({"random": (0.5, 0.55, 0.6, 0.7), "arm": (math.nan, 0.6, 0.7, 0.75)}, seeds=1)
    whole = _curves({"random": (0.5, 0.55, 0.6, 0.56), "arm": (math.nan, 0.6, 0.7, 0.75)}, seeds=1)
    assert labels_to_match(curves)["arm"].labels == pytest.approx(4000)
    assert labels_to_match(whole)["arm"].labels == pytest.approx(1000 * 2 ** 0.6, rel=0.01)  # between 1 000 and 2 000


def test_only_shared_seeds_are_compared():
    curves = _curves({"random": RANDOM, "arm": (0.5, 0.6, 0.7, 0.75)})
    one = curves[(curves["configuration"] == "random") | (curves["seed"] == 1)]
    match = labels_to_match(one)["arm"]
    assert match.n == 1 and "examples only" in match.statement
    stranger = curves.assign(seed=curves["seed"] + 10 * (curves["configuration"] == "arm"))
    assert labels_to_match(stranger) == {}


def test_one_seed_without_predictions_has_no_interval():
    match = labels_to_match(_curves({"random": RANDOM, "arm": RANDOM}, seeds=1, predictions=False))["arm"]
    assert match.labels == 8000 and math.isnan(match.low) and math.isnan(match.high)
    assert "interval" not in match.statement


def test_a_missing_run_is_left_out_and_not_filled():
    curves = _curves({"random": RANDOM, "arm": (0.5, 0.6, 0.7, 0.75)}, skip={("arm", 0, 4000), ("arm", 2, 2000)})
    match = labels_to_match(curves)["arm"]
    assert match.low <= match.labels <= match.high and 2000 < match.labels < 4000


def test_only_seeds_with_a_run_at_every_budget_count():
    """A seed that has one good run and no others must not lift a point of the curve, nor the goal."""
    curves = _curves({"random": RANDOM, "arm": (math.nan, 0.55, 0.6, 0.64)}, predictions=False)
    lone = (curves["configuration"] == "arm") & (curves["seed"] == 0)
    curves.loc[lone, "accuracy"] = 0.9
    curves = curves[~(lone & (curves["labels"] != 4000))]
    curves.loc[(curves["configuration"] == "random") & (curves["seed"] == 0), "accuracy"] = 0.1
    match = labels_to_match(curves)["arm"]
    assert match.n == 2 and match.goal == pytest.approx(0.65) and match.labels == math.inf
    assert "it ends at 64.00% (2 seeds)" in match.statement
    assert match_table(curves)["seeds"].tolist() == [2]
    scattered = curves[~((curves["configuration"] == "arm") & (curves["labels"] != 1000 * 2 ** curves["seed"]))]
    assert labels_to_match(scattered) == {}  # no seed has the whole curve


def test_the_controls_start_is_taken_only_where_it_has_the_same_seeds():
    curves = _curves({"random": RANDOM, "arm": (math.nan, math.nan, 0.62, 0.7)}, skip={("random", 2, 2000)})
    curves.loc[(curves["configuration"] == "random") & (curves["labels"] == 2000), "accuracy"] = 0.9
    match = labels_to_match(curves)["arm"]
    assert match.n == 3 and 4000 < match.labels < 8000  # from 1 000 straight to 4 000


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.008, 0.03])
def test_the_interval_covers_the_truth(spread):
    """Simulated seeds and examples with known means: 95% intervals hold the truth in at least nine of ten trials."""
    truth, trials, held = math.sqrt(2000 * 4000), 100, 0
    for trial in range(trials):
        rng, rows = np.random.default_rng(trial), []
        ease = rng.normal(size=600)  # an example is easy or hard for all
        for name, values in {"random": RANDOM, "arm": (0.55, 0.6, 0.7, 0.75)}.items():
            for seed in range(3):
                for labels, value in zip(BUDGETS, values, strict=True):
                    p = np.clip(value + 0.15 * ease + spread * rng.normal(), 0, 1)
                    correct = rng.random(600) < p
                    rows.append((name, seed, labels, correct.mean(), correct, ""))
        match = labels_to_match(pd.DataFrame(rows, columns=list(efficiency.COLUMNS)))["arm"]
        held += match.low <= truth <= match.high
    assert held >= 90


def test_a_control_without_the_budget_is_an_error_and_a_line_in_the_table():
    curves = _curves({"random": RANDOM, "arm": RANDOM})
    with pytest.raises(EfficiencyError, match="1000, 2000, 4000, 8000"):
        labels_to_match(curves, at=5000)
    with pytest.raises(EfficiencyError, match="none"):
        labels_to_match(curves[curves["configuration"] == "arm"])
    assert match_table(curves, at=5000)["configuration"].tolist() == [NOT_RUN_YET]


def test_nothing_run_yet(tmp_path):
    curves = label_curves(tmp_path / "nothing")
    assert curves.empty and list(curves.columns) == list(efficiency.COLUMNS)
    assert labels_to_match(curves) == {} and gains(curves).empty
    assert match_table(curves)["configuration"].tolist() == [NOT_RUN_YET]


@pytest.mark.parametrize("predictions", [True, False])
def test_gains_are_paired_differences_in_points(predictions):
    curves = _curves({"random": RANDOM, "arm": (0.5, 0.6, 0.62, 0.6)}, predictions=predictions)
    table = gains(curves).set_index("labels")
    np.testing.assert_allclose(table["difference"], [0, 5, 2, -5], atol=0.3)
    assert (table["seeds"] == 3).all() and (table["low"] <= table["difference"] + 1e-9).all()
    assert gains(curves[curves["configuration"] == "random"]).empty


def test_curves_are_read_from_records(tmp_path):
    """labels, both official sets, and the latest of two records of one setting."""
    from dataclasses import dataclass

    @dataclass
    class Task:
        name: str = "embedded"
        fingerprint: str = "f"
        splits: dict = None

    task = Task(splits={"train": range(5)})
    made = load_settings("quick", results_dir=str(tmp_path), seed=1)
    truth = np.array([0, 1, 2, 0])
    for labels, answers, extra in ((1000, [0, 1, 0, 0], 0), (2000, [0, 1, 2, 0], 0), (2000, [1, 1, 2, 0], 1)):
        results.write("06_active_learning", "random", settings=made, data=task,
                      model_info={"name": "bundled", "fingerprint": "m", "parameters": 1},
                      metrics={"labels": labels, "accuracy_matched": np.mean(truth == answers),
                               "accuracy_mismatched": 0.5},
                      predictions={"validation_matched": np.array(answers)}, labels={"validation_matched": truth},
                      parameters={"labels": labels, "extra": extra})
    curves = label_curves(tmp_path)
    assert curves["labels"].tolist() == [1000, 2000] and curves["accuracy"].tolist() == [0.75, 0.75]
    assert curves["correct"][1].tolist() == [False, True, True, True]
    both = label_curves(tmp_path, metrics=("accuracy_matched", "accuracy_mismatched"))
    assert both["accuracy"].tolist() == [0.625, 0.625] and both["correct"].isna().all()
    assert label_curves(tmp_path, metrics=("f1_macro",)).empty


def test_compare_pairs_different_budgets_and_leaves_out_what_was_not_run():
    curves = _curves({"random": RANDOM, "arm": (0.5, 0.6, 0.62, 0.7)})
    table = efficiency.compare(curves, [(("arm", 2000), ("random", 8000)), (("arm", 500), ("random", 8000))])
    row, = table.to_dict("records")
    assert row["compared"] == "arm at 2,000 against random at 8,000" and row["labels saved, %"] == 75.0
    assert row["difference"] == pytest.approx(-5, abs=0.3) and row["low"] <= row["difference"] <= row["high"]
    page = efficiency.shown(table)
    assert page["difference, points"][0].startswith("-5.") and " to " in page["95% interval"][0]
    assert efficiency.shown(table.iloc[:0])["compared"].tolist() == [NOT_RUN_YET]


def test_the_stopping_rule_on_curves():
    curves = _curves({"random": RANDOM, "flat": (math.nan, 0.6, 0.602, 0.7)})
    table = efficiency.plateau_table(curves).set_index("configuration")["stops at"]
    assert table.to_dict() == {"flat": "4,000", "random": "does not stop"}
    assert efficiency.plateau_table(curves.iloc[:0])["configuration"].tolist() == [NOT_RUN_YET]


def _loss_record(name, losses, seed=0, rows=100):
    return {"configuration": name, "seed": seed, "metrics": {"train_examples": 2 * rows},
            "series": {"epoch": [0.5, 1.0, 1.5, 2.0], "development_loss": losses}}


def test_pairs_until_an_equal_loss():
    from seo_core.analysis import efficiency

    curves = efficiency.loss_curves([
        _loss_record("slow", [1.1, 1.0, 0.95, 0.9]), _loss_record("fast", [0.9, 0.8, 0.7, 0.7]),
        _loss_record("never", [1.1, 1.1, 1.1, 1.1]), _loss_record("fast", [1.0] * 4, 7),
        {"configuration": "none", "seed": 0, "metrics": {}, "series": {}}])
    assert curves.loc[curves["configuration"] == "slow", "pairs"].tolist() == [50, 100, 150, 200]
    table = efficiency.pairs_needed(curves, "slow", {"fast": "AdamW", "slow": "SGD", "never": "LAMB", "absent": "—"})
    needed = table.set_index("configuration")["pairs until the target's loss"]
    assert needed.to_dict() == {"AdamW": "50", "SGD": "200", "LAMB": "not reached"}
    assert table["of the target's"].tolist() == ["0.25", "1.00", "—"] and table["seeds"].tolist() == [1, 1, 1]
    assert efficiency.pairs_needed(efficiency.loss_curves([]), "slow").to_numpy().tolist() == [["not run"]]
