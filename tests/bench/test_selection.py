"""The selection benchmark: its turns, its summary, its record; and the figures of selection."""

import numpy as np
import pandas as pd
import pytest
from own_sets import written

from seo_core import figures, load_settings, results
from seo_core.analysis import efficiency
from seo_core.bench import main
from seo_core.bench import selection as bench


@pytest.mark.slow
def test_turns_are_interleaved_and_measured(tiny_bert, toy_pairs):
    turns = bench.measure(tiny_bert(), toy_pairs(60), sizes=(20, 60), functions=("features", "badge"), n=5, rounds=2)
    assert list(zip(turns["round"], turns["pool"], turns["function"], strict=True))[:5] == [
        (0, 20, "features"), (0, 20, "badge"), (0, 60, "features"), (0, 60, "badge"), (1, 20, "features")]
    assert (turns["seconds"] > 0).all() and (turns["peak_memory_bytes"] > 1e6).all()
    with pytest.raises(ValueError, match="has 60"):
        bench.measure(tiny_bert(), toy_pairs(60), sizes=(61,))


@pytest.mark.trains
def test_training_is_timed_once_and_leaves_the_model_as_it_was(tiny_bert, toy_pairs):
    model = tiny_bert()
    before = model.classifier.weight.detach().clone()
    turns = bench.measure(model, toy_pairs(60), sizes=(20, 60), functions=("fit", "predict", "features"), n=5)
    assert list(zip(turns["pool"], turns["function"], strict=True)) == [
        (20, "predict"), (20, "features"), (60, "predict"), (60, "features"), (20, "fit")]
    assert (model.classifier.weight == before).all()
    contestants = bench.as_contestants(bench.summarize(turns))
    assert contestants["fit"]["pool"] == 20 and contestants["features"]["pool"] == 60
    assert "choosing_seconds" not in contestants["predict 60"]
    table = bench.cost_table([{"contestants": contestants, "metrics": {"other_load": 0.0, "tokens_per_pair": 8.0},
                               "path": "r.json", "data": {"name": "m"}}]).set_index(["function", "pool"])
    assert table.loc[("predict", 60), "of inference"] == "1.00" and float(table.loc[("fit", 20), "of inference"]) > 0


def _turns():
    rows = [("features", size, r, size / 1000 * (1 + r), 1e9) for size in (1000, 10_000) for r in range(3)]
    rows += [("badge", size, r, size / 1000 * (1 + r) + (size / 1000) ** 2, 2e9 + r)
             for size in (1000, 10_000) for r in range(3)]
    return pd.DataFrame(rows, columns=["function", "pool", "round", "seconds", "peak_memory_bytes"])


def test_summary_tells_linear_from_quadratic():
    table = bench.summarize(_turns()).set_index(["function", "pool"])
    assert table.loc[("features", 10_000), "exponent"] == pytest.approx(1)
    assert table.loc[("badge", 10_000), "exponent"] > 1.4
    assert table.loc[("badge", 10_000), "choosing_seconds"] == pytest.approx(100)
    assert np.isnan(table.loc[("badge", 1000), "exponent"])
    assert table.loc[("badge", 1000), "peak_memory_bytes"] == 2e9 + 2


def test_the_record_has_a_contestant_per_function_and_size_and_the_page_shows_it():
    contestants = bench.as_contestants(bench.summarize(_turns()))
    assert set(contestants) == {"features 1000", "features 10000", "badge 1000", "badge 10000", "features"}
    assert contestants["features"]["examples_per_second"] == pytest.approx(500)
    table = bench.cost_table([{"contestants": contestants, "metrics": {"other_load": 0.5, "tokens_per_pair": 39.94},
                               "path": "r.json", "data": {"name": "path/to/mnli"}}])
    assert set(table["texts"]) == {"path/to/mnli"} and set(table["tokens a pair"]) == {39.9}
    assert len(table) == 4 and set(table["quiet machine"]) == {"no"}
    assert bench.cost_table([]).iloc[0, 0] == "not run yet"


@pytest.mark.trains
def test_one_command_measures_and_writes_the_record(tmp_path, capsys, monkeypatch):
    from seo_core.models import backbone

    load = backbone.load_backbone
    monkeypatch.setattr(backbone, "load_backbone", lambda model, **k: load(model, **{**k, "layers": 1}))
    here = ["--results-dir", str(tmp_path)]
    assert main("selection", ["--profile", "quick", "--sizes", "40", "80", "--n", "8", *here]) == 0
    record, = results.load_records(tmp_path)
    assert record["experiment"] == "bench_selection" and record["parameters"]["sizes"] == [40, 80]
    assert {"features", "badge 80", "hybrid 40"} <= set(record["contestants"])
    assert record["provenance"]["command"].startswith("python -m seo_core.run bench selection --profile quick --seed "
                                                      "0 --data embedded --model bundled --source embedded --sizes 40 "
                                                      "80 --functions ")
    assert "seconds" in capsys.readouterr().out
    assert main("selection", ["--functions", "entropie", "--sizes", "40", *here]) == 1
    assert "did you mean 'entropy'" in capsys.readouterr().err


@pytest.mark.trains
def test_data_of_other_classes_and_of_one_text_goes_through(tmp_path, tiny_model):
    settings = load_settings("quick", model=tiny_model, **written("texts", tmp_path, rows=60))
    functions = ("fit", "features", "hybrid")
    outcome = bench.contest(settings, bench.plan(settings, sizes=(20, 40), functions=functions, n=5))
    assert {"fit", "features", "hybrid 40"} <= set(outcome.table.index) and len(outcome.task.labels) == 5


def _curves(names=("random", "badge"), seeds=2):
    rows = [(name, seed, labels, 0.5 + 0.01 * i + 0.02 * k + 0.005 * seed, None, "")
            for k, name in enumerate(names) for seed in range(seeds)
            for i, labels in enumerate((1000, 2000, 4000, 8000)) if name == "random" or labels > 1000]
    return pd.DataFrame(rows, columns=list(efficiency.COLUMNS))


def test_figures_are_light_cards_with_readable_text_with_and_without_records():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.text import Text

    curves, none = _curves(), _curves(())
    matches = efficiency.labels_to_match(_curves(("random", "badge", "worse")).replace({"worse": "other"}))
    rng = np.random.default_rng(0)
    drawn = [figures.label_curves(curves), figures.label_curves(none),
             figures.bought_map(rng.random(50), rng.random(50), {"a": np.arange(5), "b_c": np.arange(3)}),
             figures.labels_needed(matches, 8000), figures.labels_needed({}, 8000),
             figures.forest(efficiency.gains(curves)),
             figures.forest(efficiency.gains(none))]
    for figure in drawn:
        assert min(figure.get_facecolor()[:3]) > 0.95 and figure.get_facecolor()[3] == 1
        words = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
        assert min(t.get_fontsize() for t in words) >= 9
    assert sum("not run" in t.get_text() for f in drawn for t in f.findobj(Text)) == 3
    plt.close("all")


def test_an_arm_is_drawn_from_the_controls_first_budget():
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    def drawn(curves, **options):
        figure = figures.label_curves(curves, **options)
        return {line.get_label().split(" ")[0]: line for line in figure.axes[0].lines}

    lines = drawn(_curves())
    assert lines["badge"].get_xdata()[0] == 1000 and lines["badge"].get_ydata()[0] == lines["random"].get_ydata()[0]
    assert drawn(_curves(), shared=False)["badge"].get_xdata()[0] == 2000
    one = _curves()
    one = one[(one["configuration"] == "random") | (one["seed"] == 1)]
    start = one[(one["configuration"] == "random") & (one["labels"] == 1000) & (one["seed"] == 1)]["accuracy"].iloc[0]
    assert drawn(one)["badge"].get_ydata()[0] == pytest.approx(100 * start)
    plt.close("all")


def test_a_bar_ends_where_its_arm_ends():
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    curves = _curves(("random", "short", "long"))
    curves = curves[(curves["configuration"] != "short") | (curves["labels"] < 8000)]
    curves.loc[curves["configuration"] != "random", "accuracy"] -= 0.2
    axes = figures.labels_needed(efficiency.labels_to_match(curves), 8000).axes[0]
    assert sorted(bar.get_width() for bar in axes.patches) == [4000, 8000]
    assert any("not reached with 4,000" in text.get_text() for text in axes.texts)
    bars = [x for line in axes.lines if line.get_marker() == "|" for x in line.get_xdata()]
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    assert len(bars) == 0 and len(arrows) == 2, "an interval without an upper end has an arrow and no bar there"
    plt.close("all")
