"""Figures and tables of the chapter on ADA: with records, with one seed, and with none."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, statistics, tables

SPLITS = ("validation_matched", "validation_mismatched")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    sys.modules["matplotlib.pyplot"].close("all") if "matplotlib.pyplot" in sys.modules else None


@pytest.fixture
def records(tmp_path, monkeypatch):
    """Three seeds of base, da-static (another experiment) and da on 2 000 labels, and da-limited with one seed."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(tmp_path))
    monkeypatch.setattr("os.fsync", lambda _: None)
    task = SimpleNamespace(name="embedded", fingerprint="f" * 16, splits={"train": range(9)})
    arms = {"base": ("04_adaptive_augmentation", 0.60), "da": ("04_adaptive_augmentation", 0.66),
            "da-static": ("03_augmentation", 0.63), "da-limited": ("04_adaptive_augmentation", 0.55)}
    for (name, (experiment, share)), seed in ((a, s) for a in arms.items() for s in range(3)):
        if name == "da-limited" and seed:
            continue
        rng = np.random.default_rng(seed)
        labels, order = rng.integers(0, 3, 400), np.random.default_rng(9).random(400)
        predicted = np.where(order < share + seed / 100, labels, (labels + 1) % 3)
        ada = name.startswith("da-l") or name == "da"
        accuracy = float((predicted == labels).mean())
        results.write(
            experiment, name, settings=load_settings("cpu", seed=seed, train_rows=2000), data=task,
            model_info={"name": "bundled", "fingerprint": "m", "parameters": 1},
            metrics={"accuracy_matched": accuracy, "accuracy_mismatched": accuracy, "f1_macro": share, "labels": 2000,
                     "robust_accuracy": share - 0.1 + seed / 50,
                     **(dict(ada_added_neutral=0.4, ada_data_neutral=0.3, ada_accuracy_neutral=0.5) if ada else {})},
            series={"round": [1, 2], "weight eda 0.1": [0.5, 0.6 + seed / 100],
                    "weight back_translation 0.1": [0.5, 0.4 - seed / 100]} if ada else {},
            parameters={"labels": 2000}, predictions=dict.fromkeys(SPLITS, predicted),
            labels=dict.fromkeys(SPLITS, labels))
    return tmp_path / "_build" / "results"


def texts(figure):
    import matplotlib.text

    return [t for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip() and t.get_visible()]


def check(figure):
    figure.draw_without_rendering()
    assert min(figure.get_facecolor()[:3]) > 0.95 and min(t.get_fontsize() for t in texts(figure)) >= 9
    return [t.get_text() for t in texts(figure)]


def log_of(strengths=(0.1, 0.3)):
    rows = [(r, o, s, 0.25) for r in (1, 2, 3) for o in ("eda", "synonym") for s in strengths]
    return pd.DataFrame(rows, columns=["round", "operator", "strength", "weight"])


def test_differences_are_the_audits_and_pair_by_example(records):
    frame = results.load(records)
    found = contrasts.differences(frame, [("da", "base"), ("da", "da-static"), ("da", "nothing")])
    assert set(found["contrast"]) == {"da − base", "da − da-static"} and set(found["labels"]) == {2000}
    row = found[(found["contrast"] == "da − base") & (found["metric"] == "accuracy_matched")].iloc[0]
    sides = [np.stack([results.predictions(p)["validation_matched_correct"]
                       for p in frame[frame["configuration"] == name].sort_values("seed")["path"]])
             for name in ("da", "base")]
    expected = statistics.paired_difference(*sides)
    assert (row["difference"], row["low"], row["high"]) == pytest.approx([100 * x for x in expected[:3]])
    assert row["seeds"] == 3 and row["low"] > 0
    robust = found[found["metric"] == "robust_accuracy"].iloc[0]
    assert robust["difference"] == pytest.approx(6) and robust["high"] - robust["low"] < 1e-6


def test_a_contrast_of_contrasts_and_a_single_seed(records):
    found = contrasts.differences(results.load(records), [("da-limited", "base", "da", "base")], ["f1_macro"])
    row = found.iloc[0]
    assert row["contrast"] == "(da-limited − base) − (da − base)"
    assert row["difference"] == pytest.approx(-11) and math.isnan(row["low"]) and row["seeds"] == 1
    table = tables.difference_table(found)
    one = contrasts.differences(results.load(records), [("da-limited", "base")], ["accuracy_matched"])
    assert tables.difference_table(one).loc[0, "interval says"] == "below 0, of examples only"
    assert table.loc[0, "points"] == "−11.00" and table.loc[0, "interval says"] == "one seed: no interval"


def test_a_contrast_of_contrasts_pairs_by_example(records):
    frame = results.load(records)
    found = contrasts.differences(frame, [("da", "base", "da-static", "base")], ["accuracy_matched"]).iloc[0]
    plain = contrasts.differences(frame, [("da", "da-static")], ["accuracy_matched"]).iloc[0]
    assert found[["difference", "low", "high"]].tolist() == pytest.approx(plain[["difference", "low", "high"]].tolist())
    assert found["seeds"] == 3 and found["low"] < found["high"]


def test_tables_for_reading(records):
    frame = results.load(records)
    pairs = [("da", "base"), ("base", "da")]
    table = tables.difference_table(contrasts.differences(frame, pairs, ["accuracy_matched"]))
    assert table["interval says"].tolist() == ["above 0", "below 0"]
    assert table.loc[0, "points"].startswith("+4.92") and "[+" in table.loc[0, "points"]
    means = tables.arm_table(frame).set_index("configuration")
    assert means.loc["da", "macro F1, %"].startswith("66.00")
    assert means.loc["da-limited", "matched, %"].endswith("(n = 1)")
    served = tables.classes_served(frame)
    assert served.to_numpy().tolist() == [["da", 2000, "neutral", 50.0, 30.0, 40.0],
                                          ["da-limited", 2000, "neutral", 50.0, 30.0, 40.0]]


def test_weights_are_read_from_the_records(records):
    weights = tables.weights_by_round([r for r in results.load_records(records) if r["configuration"] == "da"])
    assert len(weights) == 3 * 2 * 2 and set(weights["operator"]) == {"eda", "back_translation"}
    last = weights[(weights["operator"] == "eda") & (weights["round"] == 2)].set_index("seed")["weight"]
    assert last.to_dict() == pytest.approx({0: 0.6, 1: 0.61, 2: 0.62})
    shown = check(figures.arm_weights(weights))
    assert {"eda", "back translation", "weight, %\n2\u00a0000 labels"} <= set(shown)


def test_strength_is_named_where_it_makes_an_arm():
    figure = figures.arm_weights(log_of())
    shown = check(figure)
    assert {"eda", "synonym", "0.1", "0.3"} <= set(shown) and not figure.legends
    for axes in figure.axes:  # names at the ends of the lines, clear of each other
        low, high = sorted(t.xy[1] for t in axes.texts if t.get_text() in ("0.1", "0.3"))
        assert high - low >= 0.08 * axes.get_ylim()[1]
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines[:2]}) == 2
    once = check(figures.arm_weights(log_of((0.1,))))
    assert {"eda", "synonym"} <= set(once) and "0.1" not in once


def test_where_the_rows_went_puts_the_worst_on_top():
    groups = pd.DataFrame([("class", "neutral", 0.4, 0.33, 0.40), ("class", "entailment", 0.7, 0.33, 0.30),
                           ("genre", "fiction", 0.5, 0.6, 0.6), ("genre", "(none)", math.nan, 0.4, 0.4)],
                          columns=["kind", "group", "accuracy", "train_share", "added_share"])
    figure = figures.where_rows_went(groups)
    shown = check(figure)
    assert "neutral: 40%" in shown and "(none): no rows" in shown
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()][-1] == "neutral: 40%"


def test_the_forest_has_a_row_for_each_contrast(records):
    found = contrasts.differences(results.load(records), [("da", "base"), ("da", "da-static")])
    figure = figures.forest(found)
    shown = check(figure)
    assert {"matched", "mismatched", "macro F1", "perturbed", "da − base, 2000 labels"} <= set(shown)


def test_without_records_everything_says_so(records):
    none = results.load(records).iloc[:0]
    found = contrasts.differences(none, [("da", "base")])
    assert found.empty and tables.difference_table(found).iloc[0, 0] == "not run"
    assert tables.arm_table(none).iloc[0, 0] == tables.classes_served(none).iloc[0, 0] == "not run"
    assert tables.arm_table(pd.DataFrame(columns=["configuration"])).iloc[0, 0] == "not run"
    assert "not run" in check(figures.arm_weights(tables.weights_by_round([])))
    check(figures.forest(found))
