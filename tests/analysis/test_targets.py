"""The targets of the whole system: met, missed by how much, not settled, or not run, by made-up records."""

import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import NOT_RUN, targets

ALL, HELD = 34_068, 4000
GOOD = {"base": (ALL, 90e6, 0.730, 150_000), "seo-labels": (23_847, 8e6, 0.735, 280_000),
        "seo-control": (23_847, 90e6, 0.736, 280_000), "seo-rival": (23_847, 23e6, 0.715, 270_000),
        "seo-half": (17_034, 8e6, 0.722, 280_000), "seo-half-control": (17_034, 90e6, 0.725, 280_000)}
MS = {"PyTorch eager fp32": 150.0, "control": 60.0, "control, not fused": 70.0, "seo-labels": 30.0, "seo-half": 45.0,
      "seo-rival": 50.0}


def records(arms=GOOD, seeds=3, **more):
    return pd.DataFrame([
        {"experiment": "02_baseline" if name == "base" else "15_seo_llm", "configuration": name, "profile": "cpu",
         "seed": seed, "model_name": "m", "data_name": "d", "data_fingerprint": "f", "labels_used": labels,
         "finished": f"2026-01-0{seed + 1}", "path": f"{name}-{seed}.json", "size_bytes": size, "train_rows": 30_068,
         "accuracy_matched": accuracy + 0.001 * seed, "train_examples": pairs if name == "base" else 1.0,
         "train_work": float("nan") if name == "base" else pairs, "param_epochs": 3, **more}
        for name, (labels, size, accuracy, pairs) in arms.items() for seed in range(seeds)])


def timed(ms=MS, finished="2026-01-09"):
    return pd.DataFrame([{"contestant": name, "latency_ms_p50": value, "finished": finished}
                         for name, value in ms.items()])


@pytest.fixture(autouse=True)
def no_predictions(monkeypatch):
    monkeypatch.setattr(results, "predictions", lambda path: {})


def says(frame, times, target=targets.HEADLINE):
    table = targets.at_once(frame, times)
    rows = table[table["target"] == target]
    return {row.asked.partition(":")[0]: row.says for row in rows.itertuples()}


def test_without_records_everything_is_not_run():
    table = targets.at_once(results.load("nowhere"), results.load_contestants("nowhere"))
    assert set(table["says"]) == set(table["ours"]) == {NOT_RUN} and len(table) == 17
    assert targets.failing(table) == targets.failing(table, targets.BEYOND) == NOT_RUN


def test_each_claim_is_met_or_missed_by_how_much():
    told = says(records(), timed())
    assert told.pop("training time of the baseline's") == "missed by 86.7%"
    assert set(told.values()) == {"met"} and len(told) == 7
    beyond = says(records(), timed(), targets.BEYOND)
    assert beyond["as fast as the fastest stock int8"] == "missed by 0.17 times"  # 60 / 45
    assert beyond["labels of the baseline's"] == beyond["points to the baseline"] == "met"


def test_the_sentence_names_what_fails_and_by_how_much():
    table = targets.at_once(records(), timed())
    assert targets.failing(table, targets.HEADLINE) == "missed: training time of the baseline's (by 86.7%)"
    worse = {**GOOD, "seo-labels": (27_000, 40e6, 0.70, 200_000)}
    sentence = targets.failing(targets.at_once(records(worse), timed()), targets.HEADLINE)
    for part in ("labels of the baseline's (by 9.3%)", "smaller than the baseline (by 12.0%)",
                 "points to the baseline (by 3.00)", "cheap rival (seo-rival) (by being worse on accuracy and bytes)"):
        assert part in sentence, sentence
    few = targets.at_once(records(), timed({"control": 60.0}))
    assert "not run: as fast as eager fp32, against the cheap rival" in targets.failing(few, targets.HEADLINE)


def test_an_interval_with_the_limit_inside_settles_nothing():
    frame = records()
    mine = frame["configuration"] == "seo-labels"
    frame.loc[mine, "accuracy_matched"] = [0.72, 0.735, 0.76]
    assert says(frame, timed())["points to the baseline"].startswith("not settled: 0.7")
    frame.loc[mine, "accuracy_matched"] = [0.69, 0.735, 0.73]
    assert says(frame, timed())["points to the baseline"].endswith("short")


def test_twenty_epochs_are_of_all_labels_and_official_rows_come_first():
    row = targets.at_once(records(), timed()).set_index("asked")["ours"]
    long = next(ours for asked, ours in row.items() if asked.startswith("training time of 20"))
    assert long.startswith(f"{100 * 280_000 / (20 * 30_068):.1f}%")
    sealed = records(accuracy_matched=float("nan"), accuracy_development=0.7)
    row = targets.at_once(sealed, timed()).set_index("asked")["ours"]
    assert "development rows" in row["points to the baseline: at least 0.00"]


def test_a_ratio_of_speeds_is_of_the_newest_run_that_had_both():
    both = pd.concat([timed(), timed({**MS, "seo-labels": 100.0}, "2026-01-10"),
                      timed({"seo-labels": 1.0}, "2026-01-11")])
    assert says(records(), both)["as fast as eager fp32"] == "missed by 0.40 times"


def study(accuracies, **more):
    return pd.concat([records({name: (6000, 8e6, value, 1000)}, experiment="14_synergy_controller",
                              accuracy_development=value, **more) for name, value in accuracies.items()])


def rounds(monkeypatch, series):
    """Curves of the runs of a `study`: (configuration, seed) → (work, accuracy, bytes) after each round."""
    kept = {f"{name}-{seed}.json": {"series": dict(zip(("seconds_used", "accuracy", "size"), zip(*each, strict=True),
                                                       strict=True))} for (name, seed), each in series.items()}
    monkeypatch.setattr(results, "record_at", kept.__getitem__)


def test_less_compute_is_the_work_after_which_the_controller_is_as_accurate_and_as_small(monkeypatch):
    frame = study({"controller": 0.70, "static-turns": 0.69})
    ends = {("static-turns", seed): [(50, 0.60, 9e6), (100, 0.69, 8e6)] for seed in range(3)}
    ours = [(10, 0.69, 9e6), (50, 0.68, 8e6), (70, 0.69, 8e6), (100, 0.70, 7e6)]  # too large, too weak, there
    rounds(monkeypatch, ends | {("controller", seed): ours for seed in range(3)})
    matched = targets.work_to_match(frame, "controller", "static-turns")
    assert matched.estimate == pytest.approx(0.7) and matched.n == 3 and matched.high == pytest.approx(0.7)
    table = targets.at_once(frame, timed())
    line = table[table["asked"].str.startswith("or compute to its accuracy")].iloc[0]
    assert line["says"] == "met" and line["ours"].startswith("70.0%")
    rounds(monkeypatch, ends | {("controller", seed): ours if seed else ours[:2] for seed in range(3)})
    table = targets.at_once(frame, timed())
    line = table[table["asked"].str.startswith("or compute to its accuracy")].iloc[0]
    assert line["says"] == "missed" and line["ours"] == "never at one seed or more (3 seeds; static-turns)"
    assert targets.work_to_match(study({"controller": 0.7}), "controller", "static-turns") is None


def test_the_controller_is_held_against_the_best_schedule(monkeypatch):
    rounds(monkeypatch, {(name, seed): [(100, 0.7, 8e6)] for name in ("controller", "static-book")
                         for seed in range(3)})
    frame = study({"controller": 0.70, "static-turns": 0.68, "static-book": 0.69, "static-book-trial-pairs-4000": 0.6},
                  overhead=0.04)
    table = targets.at_once(frame, timed()).set_index("target")
    points, work = table.loc[targets.STATIC].itertuples()
    assert points.says == "met" and "static-book" in points.ours and work.says == "missed by 20.0%"
    assert table.loc[targets.OVERHEAD, "says"] == "missed by 1.0%"


def runs_on_guard(name, ended, reached):
    return pd.DataFrame([{
        "experiment": "14_synergy_controller", "configuration": name, "profile": "cpu", "seed": seed, "floor": 0.60,
        "model_name": "m", "data_name": "d", "data_fingerprint": "f", "labels_used": 6000,
        "finished": f"2026-{seed:02d}", "path": f"{name}-{seed}",
        "set_aside": 4000, "set_aside_accuracy": accuracy, "requested_share": 0.65,
        "reached_share": part} for seed, (accuracy, part) in enumerate(zip(ended, reached, strict=True))])


def test_runs_on_the_guard_are_counted_by_the_floor_less_one_standard_error():
    error = (0.6 * 0.4 / 4000) ** 0.5
    frame = pd.concat([runs_on_guard("guard-on", [0.61, 0.6 - 0.9 * error] * 10, [0.65, 0.6] * 10),
                       runs_on_guard("guard-off", [0.6 - 1.1 * error, 0.61, 0.5, 0.61], [0.65, 0.5, 0.65, 0.6])])
    table = targets.guard(frame).set_index("guard")
    assert tuple(table.loc["on", ["runs", "within the floor", "reached 90%", "both"]]) == (20, 20, 20, 20)
    assert table.loc["on", "low"] == pytest.approx(0.8389, abs=1e-3) and table.loc["on", "high"] == 1  # Wilson
    assert tuple(table.loc["off", ["runs", "within the floor", "reached 90%", "both"]]) == (4, 2, 3, 1)
    whole = targets.at_once(frame, timed()).set_index("target")
    assert whole.loc[targets.GUARD, ["ours", "says"]].tolist() == ["20 of 20 runs", "met"]
    one_short = runs_on_guard("guard-on", [0.61, 0.61], [0.65, 0.5])
    assert targets.at_once(one_short, timed()).set_index("target").loc[targets.GUARD, "says"] == "missed by 1"
    assert targets.guard(results.load("nowhere")).empty


def test_the_best_trial_of_each_is_compared_on_the_seeds_after_the_search(monkeypatch):
    frame = study({"controller": 0.69, "static-turns": 0.68})
    trials = study({"controller-trial-pairs-4000": 0.70, "static-turns-trial-rate-3e-05": 0.685,
                    "static-turns-trial-pairs-4000": 0.60})
    trials = trials.reset_index(drop=True)
    weak = trials["configuration"] == "static-turns-trial-pairs-4000"
    trials = trials[~weak | (trials["seed"] == 0)]
    trials.loc[(trials["seed"] == 0) & ~weak, "accuracy_development"] += 0.1  # luck, by which they were chosen
    rounds(monkeypatch, {(name, seed): [(100, 0.7, 8e6)] for name in {*trials["configuration"]} for seed in range(3)})
    table = targets.at_once(pd.concat([frame, trials]), timed()).set_index("target")
    assert table.loc[targets.STATIC, "ours"].iloc[0] == (
        "1.50 (2 seeds; controller-trial-pairs-4000 and static-turns-trial-rate-3e-05)")
    assert targets.tuned(frame, "controller") == "controller"


def test_a_search_shows_each_trial_and_those_that_were_not_run():
    table = targets.trials(study({"controller": 0.7}), ["controller", "controller-trial-pairs-4000"]).set_index("run")
    assert tuple(table.loc["controller"]) == (70.0, 3, 8.0)
    assert tuple(table.loc["controller-trial-pairs-4000"]) == (NOT_RUN, 0, NOT_RUN)
