"""Costs: everything a result needed is counted, once."""

import pandas as pd
import pytest

from seo_core import results
from seo_core.arms import acquisition, costs
from seo_core.arms.costs import Speed, needs, quiet_speed, seconds, to_reach, total
from seo_core.lab.run import LabError


def record(configuration, labels, accuracy, seed=0, examples=None, **more):
    examples = 2 * labels if examples is None else examples
    return {"configuration": configuration, "labels": labels, "seed": seed, "accuracy_matched": accuracy,
            "train_examples": examples, "train_tokens": 40 * examples, **more}


FRAME = pd.DataFrame([
    record("base", 2000, 0.57), record("base", 8000, 0.65), record("base", 8000, 0.67, seed=1),
    record("source", 0, 0.50, examples=40_000), record("tl", 2000, 0.66), record("tl", 8000, 0.69),
    record("random", 1000, 0.62), record("hybrid", 2000, 0.64), record("hybrid", 4000, 0.67),
    record("da", 2000, 0.58, examples=6000, examples_scored=2500.0), record("da", 8000, 0.64, examples=24_000),
])
SPEED = Speed(training=200.0, scoring=500.0)


def test_a_round_of_buying_needs_all_rounds_before_and_the_source():
    assert needs("hybrid", 4000) == [("source", 0), ("random", 1000), ("hybrid", 2000), ("hybrid", 4000)]
    assert needs("tal", 1000) == [("source", 0), ("tal", 1000)]
    assert needs("data-module", 2000)[-2:] == [("tal", 2000), ("data-module", 2000)]
    assert needs("data-module-wide", 2000)[-3:] == [("hybrid", 2000), ("tal", 2000), ("data-module-wide", 2000)]
    assert needs("da", 2000) == [("base", 2000), ("da", 2000)]
    assert needs("base", 8000) == [("base", 8000)]


def test_an_arm_of_two_techniques_needs_what_both_do_and_an_unknown_one_is_no_cost_of_nothing():
    assert needs("adatal", 8000)[0] == ("source", 0) and ("tal", 8000) in needs("adatal", 8000)
    with pytest.raises(LabError, match="no arm has records named 'adatla'; did you mean 'adatal'"):
        needs("adatla", 8000)


@pytest.mark.parametrize("configuration", ["hybrid", "entropy", "tal", "data-module", "data-module-wide", "da", "ssl",
                                           "al", "tl"])
@pytest.mark.parametrize("labels", [1000, 2000, 4000, 8000])
def test_no_run_is_counted_twice_and_the_run_itself_is_last(configuration, labels):
    found = needs(configuration, labels)
    assert len(set(found)) == len(found) and found[-1][1] == labels


def test_the_total_adds_the_source_the_rounds_and_what_was_scored():
    cost = total(FRAME, "hybrid", 4000)
    assert cost["train_examples"] == 40_000 + 2000 + 4000 + 8000
    assert cost["scored"] == 2 * acquisition.CANDIDATES  # the first thousand is bought blindly
    tokens = cost["train_tokens"] / cost["train_examples"]
    assert seconds(cost, SPEED, tokens) == pytest.approx(54_000 / 200 + 16_000 / 500)
    assert seconds(cost, SPEED, 2 * tokens) == pytest.approx(27_000 / 200 + 16_000 / 500)  # half as long on average
    assert total(FRAME, "da", 2000) == {"train_examples": 10_000, "train_tokens": 400_000, "scored": 2500.0}
    assert total(FRAME, "tal", 4000) is None  # one of its runs has no record


def test_the_unlabelled_pairs_of_tals_term_are_counted():
    frame = pd.concat([FRAME, pd.DataFrame([record("tal", 2000, 0.65)])])
    before, after = total(frame, "hybrid", 2000), total(frame, "tal", 2000)
    assert after["train_examples"] - before["train_examples"] == 4000 * (8 / 32)
    assert after["scored"] - before["scored"] == 4096


def test_tal_is_not_charged_a_training_of_hybrid_that_bought_nothing():
    """Its labels are those of `hybrid`, chosen by the model of the budget before: that one, and the scoring, count."""
    assert needs("tal", 4000) == [("source", 0), ("random", 1000), ("hybrid", 2000), ("tal", 4000)]
    frame = pd.concat([FRAME, pd.DataFrame([record("tal", 4000, 0.68)])])
    cost = total(frame[~((frame["configuration"] == "hybrid") & (frame["labels"] == 4000))], "tal", 4000)
    assert cost["train_examples"] == 40_000 + 2000 + 4000 + 8000 * (1 + 8 / 32)
    assert cost["scored"] == 2 * acquisition.CANDIDATES + 4096


def test_two_teachers_score_all_that_the_wide_module_added():
    frame = pd.concat([FRAME, pd.DataFrame([record("tal", 4000, 0.68),
                                            record("data-module-wide", 4000, 0.68, added=28_000.0)])])
    before = total(frame, "tal", 4000)["scored"]  # the purchase in it is `hybrid`'s, and counts once
    assert total(frame, "data-module-wide", 4000)["scored"] - before == 2 * 28_000


def test_short_pairs_of_a_source_task_are_cheaper_by_their_tokens():
    frame = FRAME.copy()
    frame.loc[frame["configuration"] == "source", "train_tokens"] /= 2
    table = to_reach(frame, {"base": "baseline", "tl": "transfer"}, labels=8000, speed=SPEED)
    assert table.loc["tl", "of the baseline's"] == f"{(4000 + 40_000 / 2) / 16_000:.2f}"
    assert table.loc["tl", "pairs trained on"] == "44000"


@pytest.mark.parametrize("name", ["ssl", "hybrid", "tal", "bald", "base"])
def test_a_quick_run_scores_a_quick_number_of_pairs(name):
    assert acquisition.QUICK_CANDIDATES == acquisition.QUICK_UNLABELLED == 256
    times = {"bald": 5, "base": 0}.get(name, 1)
    assert costs.scored(name, 2000, "quick") == times * 256


def test_the_rounds_of_a_quick_run_are_counted_too():
    assert needs("hybrid", 96, (64, 96, 128)) == [("source", 0), ("random", 64), ("hybrid", 96)]
    rows = [record("source", 0, 0.5, train_examples=256), record("random", 64, 0.4, train_examples=128),
            record("hybrid", 96, 0.4, train_examples=192), record("tal", 96, 0.4, train_examples=192)]
    frame = pd.DataFrame(rows).assign(profile="quick")
    assert total(frame, "hybrid", 96)["train_examples"] == 256 + 128 + 192
    assert total(frame, "hybrid", 96)["scored"] == 256
    assert total(frame, "tal", 96)["scored"] == 2 * 256


def test_a_run_with_a_second_record_counts_once():
    twice = pd.concat([FRAME, FRAME[(FRAME["configuration"] == "base") & (FRAME["seed"] == 0)]])
    assert total(twice, "base", 8000) == total(FRAME, "base", 8000)
    table = to_reach(twice, {"base": "baseline", "tl": "transfer"}, labels=8000, speed=SPEED)
    assert table.loc["base", "seeds"] == "2" and table.loc["base", "accuracy, %"] == "66.00"


def test_a_technique_is_measured_at_the_first_budget_that_reaches_the_baselines_mean():
    table = to_reach(FRAME, {"base": "baseline", "tl": "transfer", "da": "augmentation", "ssl": "semi"}, labels=8000,
                     speed=SPEED)
    assert table.loc["base", "of the baseline's"] == "1.00" and table.loc["base", "seeds"] == "2"
    assert table.loc["tl", "labels"] == "2000" and table.loc["tl", "pairs trained on"] == "44000"
    assert table.loc["tl", "of the baseline's"] == f"{44_000 / 16_000:.2f}"
    assert table.loc["tl", "labels run"] == table.loc["da", "labels run"] == "2000, 8000"
    assert table.loc["ssl", "labels run"] == "—"
    assert table.loc["da", "labels"] == "not reached with 8000" and table.loc["da", "tokens"] == "—"
    assert table.loc["ssl", "labels"] == "not run"


def test_without_the_baselines_record_nothing_is_said():
    for frame in (FRAME[FRAME["configuration"] != "base"], FRAME.iloc[:0], pd.DataFrame()):
        assert (to_reach(frame, {"tl": "transfer"}, labels=8000, speed=SPEED)["labels"] == "not run").all()


def test_quiet_speed_takes_training_and_scoring_from_one_run(tmp_path):
    def row(contestant, speed, finished, experiment="bench_selection"):
        return {"experiment": experiment, "contestant": contestant, "examples_per_second": speed, "finished": finished}

    both = [row("fit", 180.0, "1"), row("features", 500.0, "1")]
    newer = [row("features", 900.0, "2"), row("seo_core", 300.0, "3", "bench_training")]  # another machine's, perhaps
    assert quiet_speed(pd.DataFrame(both + newer)) == Speed(180.0, 500.0)
    later = [row("fit", 200.0, "4"), row("features", 700.0, "4")]
    assert quiet_speed(pd.DataFrame(both + later)) == Speed(200.0, 700.0)
    for frame in (pd.DataFrame(newer), results.load_contestants(tmp_path)):
        with pytest.raises(LookupError, match="no record of bench_selection with 'fit' and 'features'"):
            quiet_speed(frame)
