"""The benchmark takes turns, counts the same work for everyone, and compares within a round."""

import pandas as pd
import pytest
from own_sets import SETS, written

from seo_core import load_settings
from seo_core.bench import training
from seo_core.bench import turns as turns_module
from seo_core.training import TrainingConfig


def _turn(rate, examples=80, step=8):
    sizes = (step,) * (examples // step)
    ends = tuple((i + 1) * step / rate for i in range(len(sizes)))
    return turns_module.Turn(examples, ends[-1], ends, sizes)


def test_contestants_take_turns_and_get_the_round_as_seed():
    calls = []

    def contestant(name, rate):
        def turn(seed):
            calls.append((name, seed))
            return _turn(rate)

        return turn

    turns = turns_module.interleave({"a": contestant("a", 100), "b": contestant("b", 150)}, rounds=2)
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    table = turns_module.summarize(turns, baseline="a")
    assert table.ratio["b"] == pytest.approx(1.5)
    assert table.examples_per_second["a"] == pytest.approx(100)
    assert "development_accuracy" not in table
    assert turns_module.as_contestants(table.assign(text="left out"))["b"]["ratio"] == pytest.approx(1.5)
    with pytest.raises(ValueError, match="rounds must be 1 or more"):
        turns_module.interleave({"a": contestant("a", 100)}, rounds=0)


def test_ratio_is_taken_within_a_round():
    """A machine that is twice as slow in the second round does not move the ratio."""
    rows = [{"contestant": name, "round": i, "examples": 8, "seconds": 1.0, "accuracy": 0.5 + 0.1 * (name == "b"),
             "total_rate": rate, "steady_rate": rate}
            for i, slow in enumerate((1, 2)) for name, rate in (("a", 100 / slow), ("b", 130 / slow))]
    table = turns_module.summarize(pd.DataFrame(rows), baseline="a")
    assert table.loc["b", ["ratio", "ratio_low", "ratio_high"]].tolist() == pytest.approx([1.3] * 3)
    assert table.accuracy_difference["b"] == pytest.approx(0.1)


def test_steady_rate_leaves_out_the_first_steps():
    slow_start = turns_module.Turn(80, 20.0, tuple(10 + i for i in range(1, 11)), (8,) * 10)
    assert slow_start.steady_rate == pytest.approx(8.0)
    assert slow_start.total_rate == pytest.approx(4.0)


@pytest.mark.trains
def test_fit_and_both_trainers_do_the_same_work(toy_pairs):
    from seo_core.models.backbone import load_tokenizer

    pairs, config = toy_pairs(20), TrainingConfig(epochs=1, batch_size=8)
    make = dict(layers=1)
    contestants = {"fit": training.fit_contestant(pairs, config, development=pairs, **make),
                   "tuned": training.trainer_contestant(pairs, config, load_tokenizer(), development=pairs, **make),
                   "stock": training.trainer_contestant(pairs, config, load_tokenizer(), tuned=False, **make)}
    turns = turns_module.interleave(contestants, rounds=1).set_index("contestant")
    assert turns.examples.tolist() == [20, 20, 20]
    assert (turns.total_rate > 0).all() and turns.accuracy["stock"] != turns.accuracy["stock"]
    assert 0 <= turns.accuracy["tuned"] <= 1


@pytest.mark.trains
@pytest.mark.parametrize("kind", SETS)
def test_data_of_other_classes_and_of_one_text_goes_through(kind, tmp_path):
    settings = load_settings("quick", results_dir=str(tmp_path / "results"), **written(kind, tmp_path, rows=40))
    outcome = training.contest(settings, training.plan(settings) | {"layers": 1})
    examples, rows = outcome.turns.set_index("contestant").examples, len(outcome.inputs["train"])
    assert rows < settings.batch_size * 8 and (examples == rows).all()  # fewer than any contestant asks for
    assert 0 <= outcome.table.development_accuracy["seo_core"] <= 1


def test_ablation_changes_one_thing_at_a_time(monkeypatch):
    seen = {}
    monkeypatch.setattr(training, "fit_contestant", lambda train, config, **make: config)
    config = TrainingConfig()
    for name, changed in training.ablation(None, config).items():
        seen[name] = [k for k, v in vars(changed).items() if v != getattr(config, k)]
    assert seen.pop("all") == []
    assert all(len(changes) == 1 for changes in seen.values()) and len(seen) == 6


def test_plan_is_small_for_quick_and_takes_the_rounds_asked_for():
    assert training.plan(load_settings("quick"))["accuracy_pairs"] <= 512
    assert training.plan(load_settings("cpu"), rounds=5)["rounds"] == 5
