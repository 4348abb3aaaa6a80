"""Data maps: definitions, regions, what the callback reads, and what a record says of a purchase."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core import figures
from seo_core.analysis import efficiency
from seo_core.results import schema
from seo_core.selection import maps
from seo_core.selection.acquisition import SelectionError
from seo_core.training import TrainingConfig, fit

CONFIG = TrainingConfig(learning_rate=5e-3, epochs=6, batch_size=16, freeze_embeddings=False, precision="fp32")


def test_the_map_is_mean_deviation_and_share():
    gold = np.random.default_rng(0).random((5, 40))
    found = maps.data_map(gold, gold > 0.4)
    t = torch.from_numpy(gold)
    np.testing.assert_allclose(found.confidence, t.mean(0).numpy())
    np.testing.assert_allclose(found.variability, t.std(0, correction=0).numpy())
    np.testing.assert_allclose(found.correctness, (t > 0.4).double().mean(0).numpy())


@pytest.mark.parametrize("shape", [(1, 4), (0,), (3,)])
def test_one_epoch_makes_no_map(shape):
    with pytest.raises(SelectionError, match="two epochs or more"):
        maps.data_map(np.zeros(shape), np.zeros(shape, bool))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(3, 60), st.integers(0, 10_000))
def test_every_example_is_in_one_region_and_a_third_is_ambiguous(epochs, n, seed):
    gold = np.random.default_rng(seed).random((epochs, n))
    found = maps.data_map(gold, gold > 0.5)
    cut = maps.variability_cut(found.variability)
    names = maps.regions(found, cut)
    assert set(names) <= set(maps.REGIONS) and abs((names == "ambiguous").sum() - n / 3) <= 1
    assert (found.confidence[names == "easy"] >= 0.5).all() and (found.confidence[names == "hard"] < 0.5).all()
    assert (found.variability[names == "ambiguous"] >= cut).all() and found.variability.max() <= 0.5


@pytest.mark.trains
def test_the_callback_reads_the_networks_probabilities_and_leaves_the_training_alone(tiny_bert, toy_pairs):
    train, kept = toy_pairs(48), []
    config = replace(CONFIG, epochs=2)

    def by_hand(event, state):
        if event == "evaluation":
            batch = train.batch(np.arange(48))
            labels = batch.pop("labels")
            was = state.model.training
            state.model.eval()
            with torch.no_grad():
                kept.append(state.model(**batch).logits.softmax(-1)[torch.arange(48), labels].numpy())
            state.model.train(was)

    watched, alone = tiny_bert(), tiny_bert()
    dynamics = maps.TrainingDynamics(train, precision="fp32")
    fit(watched, train, config=config, callbacks=[dynamics, by_hand], progress=False)
    fit(alone, train, config=config, progress=False)
    np.testing.assert_allclose(np.array(dynamics.gold), np.array(kept), atol=1e-5)
    assert len(dynamics.gold) == 2
    for a, b in zip(watched.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.trains
def test_a_stopped_training_keeps_what_was_read_of_it(tiny_bert, toy_pairs, tmp_path):
    train, config = toy_pairs(48), replace(CONFIG, epochs=4)

    def dynamics(folder=None, stop=None):
        def halt(event, state):
            if event == "step" and state.step == stop:
                raise KeyboardInterrupt

        watch = maps.TrainingDynamics(train)
        fit(tiny_bert(), train, config=config, callbacks=[watch, halt], checkpoint_dir=folder, progress=False)
        return watch

    whole = dynamics()
    with pytest.raises(KeyboardInterrupt):
        dynamics(tmp_path, stop=7)  # of three steps an epoch
    again = dynamics(tmp_path)
    assert np.array_equal(whole.gold, again.gold) and np.array_equal(whole.right, again.right) and len(again.gold) == 4


@pytest.mark.trains
def test_wrong_labels_are_hard_to_learn(tiny_bert, toy_pairs):
    train = toy_pairs(240)
    train.ids[train.offsets[:-1] + 1] = 10 + train.labels  # one word says it: learned in a few epochs
    wrong = np.arange(240) % 8 == 0
    train.labels[wrong] = (train.labels[wrong] + 1) % 3
    clean = np.flatnonzero(~wrong)
    found = maps.PurchaseMap(train, {"random": clean, "noisy": np.flatnonzero(wrong)})
    fit(tiny_bert(), train, config=CONFIG, callbacks=[found], progress=False)
    values = found.metrics()
    assert values["map_confidence_noisy"] < values["map_confidence_random"] - 0.1
    assert values["map_never_right_noisy"] > values["map_never_right_random"]
    for arm in ("random", "noisy"):
        assert sum(values[f"map_{region}_{arm}"] for region in maps.REGIONS) == pytest.approx(1)
        series = found.series()[f"map {arm}"]
        assert len(series) == np.prod(maps.BINS) and sum(series) == pytest.approx(1, abs=1e-3)
    assert schema._is_numbers(values) and schema._is_curves(found.series())


def test_labels_that_were_not_bought_and_a_missing_control_are_refused(toy_pairs):
    with pytest.raises(SelectionError, match="without a label"):
        maps.TrainingDynamics(replace(toy_pairs(8), labels=np.full(8, -1)))
    with pytest.raises(SelectionError, match="'random'"):
        maps.PurchaseMap(toy_pairs(8), {"entropy": np.arange(4)})
    with pytest.raises(SelectionError, match="empty purchase"):
        maps.PurchaseMap(toy_pairs(8), {"random": np.arange(4), "entropy": np.arange(0)})


# --- reading the records


def _record(seed, hard, finished="2026-01-01T00:00:00+00:00", pairs=1000):
    metrics = {"map_cut": 0.2}
    for arm, share in hard.items():
        metrics |= {f"map_pairs_{arm}": pairs, f"map_hard_{arm}": share, f"map_easy_{arm}": 0.9 - share,
                    f"map_ambiguous_{arm}": 0.1, f"map_never_right_{arm}": share / 2, f"map_confidence_{arm}": 0.6,
                    f"map_variability_{arm}": 0.1}
    series = {f"map {arm}": [1 / 200] * 200 for arm in hard}
    return {"seed": seed, "metrics": metrics, "series": series, "provenance": {"finished": finished}}


def test_the_table_is_the_mean_over_seeds_with_the_control_first():
    table = efficiency.map_table([_record(0, {"random": 0.2, "badge": 0.3}), _record(1, {"random": 0.2, "badge": 0.4}),
                            {"seed": 0, "metrics": {"accuracy": 1.0}}])
    assert table["arm"].tolist() == ["random", "badge"] and table["seeds"].tolist() == [2, 2]
    row = table.iloc[1]
    assert row["hard"] == pytest.approx(35) and row["hard − random"] == pytest.approx(15)
    spread = (0.3 * 0.7 + 0.2 * 0.8 + 0.4 * 0.6 + 0.2 * 0.8) / 1000 / 4  # of the mean of two differences
    assert row["high"] - row["low"] == pytest.approx(2 * 196 * np.sqrt(spread))
    assert efficiency.map_page(table).loc[0, "hard − random, points"] == "—"


def test_of_a_seeds_maps_the_fullest_counts_then_the_latest():
    few = _record(0, {"random": 0.1, "entropy": 0.1}, finished="2026-03-01T00:00:00+00:00")
    old = _record(0, {"random": 0.2, "entropy": 0.2, "bald": 0.2})
    new = _record(0, {"random": 0.3, "entropy": 0.3, "bald": 0.3}, finished="2026-02-01T00:00:00+00:00")
    assert efficiency.latest_maps([few, new, old]) == [new]


def test_without_a_map_the_page_says_so():
    assert efficiency.map_page(efficiency.map_table([]))["arm"].tolist() == [efficiency.NOT_RUN_YET]


@pytest.mark.parametrize("arms", [0, 1, 8])
def test_the_figure_has_a_panel_for_each_arm(arms):
    names = ("random", *"abcdefg")[:arms]
    histograms, cut = efficiency.map_histograms([_record(0, dict.fromkeys(names, 0.2))] if arms else [])
    assert len(histograms) == arms and all(h.shape == maps.BINS for h in histograms.values())
    figure = figures.data_maps(histograms, cut)
    titles = [a.get_title() for a in figure.axes if a.get_title()]
    assert titles == list(names)
