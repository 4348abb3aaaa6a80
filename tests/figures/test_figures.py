"""Figures and tables: drawn from what there is, "not run" for the rest, readable on any page."""

import importlib
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from seo_core import figures, load_settings, results
from seo_core.analysis import papers, statistics, tables
from seo_core.figures import style

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
import readable


@pytest.fixture(autouse=True)
def no_figures_left():
    """A notebook closes what it has shown; the tests close what they have drawn."""
    yield
    sys.modules["matplotlib.pyplot"].close("all") if "matplotlib.pyplot" in sys.modules else None


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """A book of its own with three baseline records."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(tmp_path))
    monkeypatch.setattr("os.fsync", lambda _: None)  # slow on a busy disk
    task = SimpleNamespace(name="embedded", fingerprint="f" * 16, splits={"train": range(9)})
    for seed in range(3):
        results.write("02_baseline", "base", settings=load_settings("quick", seed=seed), data=task,
                      model_info={"name": "bundled", "fingerprint": "m", "parameters": 1},
                      metrics={"accuracy_matched": 0.72 + seed / 100, "perplexity": 2.0},
                      series={"epoch": [1, 2], "train_accuracy": [0.5, 0.6], "development_accuracy": [None,
                                                                                                      0.6]})
    return tmp_path


def texts(figure):
    import matplotlib.text

    return [t for t in figure.findobj(matplotlib.text.Text) if t.get_text().strip() and t.get_visible()]


def tick_labels(axes):
    """Those outside the axes' limits exist, but are not drawn."""
    return [t.label1 for axis in (axes.xaxis, axes.yaxis) for t in axis.get_major_ticks()]


def drawn():
    frame, curves = results.load("_build/results"), results.load_series("_build/results")
    assert len(frame) == 3
    return {
        "architecture": figures.architecture(),
        "accuracy_curves": figures.accuracy_curves({"reference": curves.iloc[:0], "this run": curves}),
        "no curves": figures.accuracy_curves({"reference": curves.iloc[:0]}),
        "training_curves": figures.training_curves({"epoch": [1, 2], "train_accuracy": [0.3, 0.4]}),
        "several": figures.training_curves({"a": {"train_loss": [1.0, None]}, "b": {"train_loss": [0.9,
                                                                                                   0.8]}}),
        "confusion": figures.confusion([[5, 1, 0], [2, 5, 1], [0, 0, 0]], ["entailment", "neutral", "other"]),
        "reference_curves": figures.training_curves(results.load_records("_build/results")),
        "no reference": figures.training_curves([]),
        "ratio_bars": figures.ratio_bars(pd.DataFrame(
            {"ratio": [1.5, 1.0, 0.4], "ratio_low": [1.4, 1.0, 0.4], "ratio_high": [1.6, 1.0, math.nan]},
            index=["ours", "theirs", "third"]), "speed"),
        "ratio_bars, far apart": figures.ratio_bars(pd.DataFrame({"ratio": [155.0, 1.0, 0.022]},
                                                                 index=["ours", "theirs", "third"]), "speed", log=True),
        "over_layers": figures.over_layers({"with": [1.0, 0.9, 0.9], "without": [1.0, 0.1, 0.0]}, "spread"),
        "by_genre": figures.by_genre({"matched": {"fiction": (0.7, 50)}, "mismatched": {"oup": (1.0, 3)}}),
    }


@pytest.mark.slow
def test_every_figure_is_an_opaque_light_card_with_readable_text(book):
    for name, figure in drawn().items():
        red, green, blue, alpha = figure.get_facecolor()
        assert alpha == 1 and min(red, green, blue) > 0.95, name
        assert min(t.get_fontsize() for t in texts(figure)) >= 9, name
        assert not any(str(book) in t.get_text() for t in texts(figure)), name
        figure.savefig(book / "figure.png")
        assert (book / "figure.png").stat().st_size > 2000, name


def test_bars_on_a_logarithmic_axis_begin_at_the_baseline_and_end_at_their_ratio():
    ratios = [155.0, 1.0, 0.022]
    axes = figures.ratio_bars(pd.DataFrame({"ratio": ratios}, index=list("abc")), "speed", log=True).axes[0]
    assert axes.get_xscale() == "log"
    for bar, ratio in zip(axes.patches, ratios, strict=True):
        assert sorted([bar.get_x(), bar.get_x() + bar.get_width()]) == pytest.approx(sorted([1, ratio]))
    assert [t.get_text() for t in axes.texts] == ["155", "1", "0.022"]


@pytest.mark.slow
def test_text_stays_inside_its_figure():
    for name, figure in drawn().items():
        figure.draw_without_rendering()
        box, ticks = figure.bbox, {id(t) for axes in figure.axes for t in tick_labels(axes)}
        for text in [t for t in texts(figure) if id(t) not in ticks]:
            extent = text.get_window_extent()
            assert extent.x0 >= box.x0 - 1 and extent.x1 <= box.x1 + 1, (name, text.get_text())
            assert extent.y0 >= box.y0 - 1 and extent.y1 <= box.y1 + 1, (name, text.get_text())


def test_the_architecture_follows_the_package(monkeypatch):
    structure = figures.structure().set_index("module")
    assert len(structure) == len(figures.COMPONENTS) == 10
    for module, row in structure.iterrows():
        try:
            there = hasattr(importlib.import_module(module), row["symbol"])
        except ModuleNotFoundError:
            there = False
        assert (row["state"] == "in the package") == there, module
    shown = [t.get_text() for t in texts(figures.architecture())]
    assert shown.count("not implemented yet") == (structure["state"] == "not implemented yet").sum()
    monkeypatch.setattr(importlib.import_module("seo_core.figures.system"), "_find", lambda module, symbol: "summary")
    shown = [t.get_text() for t in texts(figures.architecture())]
    assert "not implemented yet" not in shown and "controller.py" in shown


def test_each_box_is_linked_to_its_chapter_and_its_code():
    page = (Path(__file__).resolve().parents[2] / "notebooks" / "fig1_architecture.py").read_text(encoding="utf-8")
    linked = re.findall(r"^# \| .* \| \[\]\((\w+)\) \| \[`\w+`\]\(\.\./book/api/(\w+)\) \|$", page, re.M)
    modules = {module.removeprefix("seo_core.") for module in figures.structure()["module"]}
    assert {code for _, code in linked} == modules and len(linked) == len(modules)
    assert all((Path(__file__).resolve().parents[2] / "notebooks" / f"{chapter}.py").is_file() for chapter, _ in linked)


def test_the_architecture_has_the_papers_parts_and_the_loop_closes():
    keys = {c.key for c in figures.COMPONENTS}
    assert {"ada", "tal", "aip", "sqd", "controller", "evaluation", "loop"} <= keys
    assert ("loop", "controller") in {edge[:2] for edge in figures.EDGES}
    assert {name for edge in figures.EDGES for name in edge[:2]} <= keys | {"data module",
                                                                            "compression module"}


def test_dependencies_are_read_from_the_sources_and_point_one_way():
    table = figures.dependencies().set_index("module")["imports"]
    assert table["data"] == "checks, files, lazy, settings"
    assert not any("figures" in imports for module, imports in table.items() if not module.startswith("figures"))
    assert table["settings"] == "checks" and table["checks"] == "—"


def test_figure_2_draws_what_has_a_curve_and_no_empty_panel():
    curves = results.load_series("_build/results")
    figure = figures.accuracy_curves({"this run": curves}, ["base", "tl"])
    shown = [t.get_text() for t in texts(figure)]
    assert [row.label_here for row in papers.PAPER_TABLE.values() if row.label_here in shown] == ["baseline"]
    assert "papers, validation" in shown and "papers, table" not in shown
    lines = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert any(np.allclose(y, [60.0]) for y in lines)


def test_the_comparison_puts_the_papers_beside_ours():
    frame = results.load("_build/results")
    table = tables.comparison_table({"reference": frame.iloc[:0], "this run": frame})
    assert list(table.index) == list(papers.PAPER_TABLE)
    assert table.loc["base", "papers"] == "84.5" and table.loc["ssl", "papers"] == "86.0"
    assert table.loc["base", "this run"] == "73.00 ± 2.48 (n = 3)"
    assert (table["reference"] == "not run").all() and (table["this run"] == "not run").sum() == 8
    sizes = tables.comparison_table({"ours": frame}, "size_bytes", "size_mb", scale=1e-6)
    assert sizes.loc["da", "papers"] == "—" and sizes.loc["base", "ours"] == "not run"


def test_the_ends_of_the_curves():
    table = tables.curve_ends(results.load("_build/results"))
    assert list(table.index) == list(papers.PAPER_TABLE)
    same = "60.00 ± 0.00 (n = 3)"
    assert table.loc["base"].tolist()[1:] == [same, same, "0.00 ± 0.00 (n = 3)"]
    assert set(table.loc["seo"].tolist()[1:]) == {"not run"}


def test_a_table_shows_whole_texts_and_scrolls():
    frame = pd.DataFrame({"text": ["long " * 40], "value": [math.nan]})
    shown = tables.Table(frame)
    assert "long " * 39 in shown._repr_html_() and "overflow-x: auto" in shown._repr_html_()
    assert max(map(len, repr(shown).split("\n"))) < 90  # the plain text beside it is cut
    assert "—" in repr(shown)


def test_a_single_seed_has_no_interval():
    assert tables.mean_text([72.5]) == "72.50 (n = 1)"


def test_tables_name_the_records_they_stand_on():
    frame = results.load("_build/results")
    table = tables.standing_on(frame)
    assert table["record"].str.startswith("_build/results/quick/02_baseline/base-").all()
    assert tables.standing_on(frame.iloc[:0])["record"].tolist() == ["none"]
    assert tables.standing_on(frame.assign(dirty=True))["commit"].str.endswith("(changed)").all()


def test_arms_without_a_record_are_named():
    frame = pd.DataFrame({"configuration": ["base", "kd", "kd"]})
    assert tables.absent(frame, ["base", "kd"]) == "every arm of this chapter has a record"
    assert tables.absent(frame, ["sqd", "base", "qat"]) == "arms without a record: sqd, qat"
    assert tables.absent(results.load(results.reference_dir() / "cpu"), ["kd"]) == "arms without a record: kd"
    assert "\n" not in tables.absent(frame, [f"sqd-taylor-{n}" for n in range(20)])  # pages wrap it as wide as they are


def test_record_and_contestant_tables_cope_with_what_is_missing():
    frame = results.load("_build/results")
    table = tables.record_table(frame)
    assert list(table["matched, %"]) == ["72.00", "73.00", "74.00"] and set(table["mismatched, %"]) == {"—"}
    assert tables.record_table(frame.iloc[:0]).iloc[0, 0] == "not run"
    assert tables.contestant_table([]).iloc[0, 0] == "not run"
    records = [{**record, "contestants": {"ours": {"ratio": 1.51234}}}
               for record in results.load_records("_build/results")]
    table = tables.contestant_table(records)
    assert list(table["ratio"]) == [1.512] * 3 and list(table["seed"]) == [0, 1, 2]


def test_wilson_intervals_are_those_of_the_formula():
    low, high = statistics.wilson(0.5, 100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-3)
    assert statistics.wilson(1.0, 3)[1] == 1.0 and statistics.wilson(0.0, 0) == (0.0, 1.0)


def test_only_figures_imports_matplotlib():
    import subprocess

    code = ("import sys, seo_core.results.store, seo_core.figures\n"
            "from seo_core.analysis import contradictions, contrasts, efficiency, papers, tables, tradeoff, verdicts\n"
            "print([m for m in ('matplotlib', 'seaborn', 'scipy', 'torch') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_figures_is_found_where_it_is_said_to_be():
    assert set(figures.__all__) <= set(dir(figures))
    for name in figures.__all__:
        assert getattr(getattr(figures, name), "__module__", "seo_core.figures.system").startswith("seo_core.figures.")
    assert callable(figures.architecture) and callable(figures.architecture), "no module takes a figure's name"
    with pytest.raises(AttributeError, match="nothing"):
        figures.nothing  # noqa: B018


def test_the_forest_names_a_control_that_all_share_once_and_draws_goals():
    def rows(*contrasts):
        return pd.DataFrame([(contrast, "accuracy_matched", -0.5, -1.5, 0.4, seeds)
                             for contrast, seeds in contrasts],
                            columns=["contrast", "metric", "difference", "low", "high", "seeds"])

    axes, = figures.forest(rows(("kd − base", 1), ("sqd − base", 3)), goals=(-1, -2)).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["kd", "sqd"] and axes.get_xlabel() == "points to base"
    assert sorted(line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":") == [-2, -1]
    faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
    assert len(set(faces)) == 2, "a hollow point has one seed"
    assert [t.get_text() for t in axes.texts] == ["1 seed", "3 seeds"]
    axes, = figures.forest(rows(("kd − base", 1), ("sqd − base", 3)), words={"kd": "taught"}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["taught (kd)", "sqd"]
    axes, = figures.forest(rows(("kd − base", 1), ("sqd − kd", 3))).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["kd − base", "sqd − kd"] and axes.get_xlabel() == "points"


def test_what_leads_a_page_of_the_papers_fits_a_phone_with_9_pixels():
    bell = np.exp(-np.linspace(-4, 4, 81) ** 2)
    record = {"series": {"histogram_centre": list(range(81)), "layer_overlap": [0.6, 0.7, 0.8],
                         "layer_removed_mass": [0.1, 0.1, 0.2], **{f"{when} layer {n}": bell.tolist() for n in (1, 2, 3)
                                                                   for when in ("before", "after")}}}
    both_ends = figures.weight_distributions({"zeros": record, "units": record}, layers=(0, -1))
    assert [t.get_text() for t in texts(both_ends) if t.get_text().startswith("layer")] == ["layer 1", "layer 3"]
    assert len(figures.weight_distributions({"zeros": record}).axes) == 3
    effect = pd.DataFrame([("a", "", 0.5, 0.1, 0.9, 1)],
                          columns=["contrast", "metric", "difference", "low", "high", "seeds"])
    times = pd.DataFrame({"latency_ms_p50": [3.0], "latency_ms_p95": [4.0]}, index=["int8"])
    for figure in (both_ends, figures.forest(effect, width=style.PHONE), figures.latency_bars(times),
                   figures.accuracy_curves({"ours": results.load_series("_build/results")})):
        assert figure.get_figwidth() * figure.dpi * readable.NARROW <= 360  # of a phone's 390; on a narrower it scrolls


def test_curves_with_gaps_leave_gaps():
    curves = results.load_series("_build/results")
    assert isinstance(curves, pd.DataFrame) and math.isnan(curves["value"].iloc[2])
    for figure in (figures.training_curves(results.load_records("_build/results")),
                   figures.development(curves, {"base": "development"})):
        line, = [line for line in figure.axes[0].lines if line.get_label() == "development"]
        steps, mean = line.get_data()
        drawn = ~np.isnan(mean)
        assert steps[drawn].tolist() == [2.0] and mean[drawn] == pytest.approx(60)
    half = figures.training_curves({"epoch": [1, 2], "train_accuracy": [0.3, 0.4]})
    assert [axes.get_ylabel() for axes in half.axes] == ["accuracy, %"], "a panel without records is left out"
    for empty in (figures.training_curves([]), figures.sizes({}), figures.thresholds({}),
                  figures.trace(pd.DataFrame())):
        assert len(empty.axes) == 1 and not empty.axes[0].axison and empty.get_figheight() <= 1, "no empty axes"
    single = figures.training_curves({"epoch": [1, 2, 3], "train_accuracy": [0.4, None, 0.6]}).axes[0].lines[0]
    assert np.isnan(single.get_ydata()).tolist() == [False, True, False]


@pytest.mark.kernel
def test_every_figure_of_a_notebook_is_shown(book):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    curves = "results.load_series('_build/results')"
    cells = ["from seo_core import figures, results", "_ = figures.architecture()",
             f"_ = figures.accuracy_curves({{'run': {curves}}})",
             "_ = figures.confusion([[1, 0], [0, 1]], 'ab')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600).execute()
    shown = [[o for o in cell.outputs if "image/png" in o.get("data", {})] for cell in notebook.cells]
    assert [len(images) for images in shown] == [0, 1, 1, 1]


def test_a_panel_draws_one_setting_and_the_table_says_its_labels():
    """The same configuration at two numbers of labels: the one with more seeds is shown, alone."""
    def row(path, labels, seed):
        return {"experiment": "x", "configuration": "base", "profile": "cpu", "data_name": "d", "model_name": "m",
                "seed": seed, "labels": labels, "labels_used": labels, "train_rows": 9, "finished": "2026",
                "param_labels": labels, "final_development_accuracy": 0.5, "accuracy_matched": 0.5, "path": path}

    frame = pd.DataFrame([row("a", 8000, 0), row("b", 2000, 0), row("c", 2000, 1)])
    series = pd.DataFrame({"path": ["a", "b", "c"], "configuration": "base"})
    assert set(tables.curves_shown(frame, series)["path"]) == {"b", "c"}
    labels = tables.labels_behind(frame, "accuracy_matched")
    assert labels["base"] == "2,000" and labels["tl"] == "—"
    none = frame.iloc[:0]
    assert tables.curves_shown(none, series).empty and set(tables.labels_behind(none, "accuracy_matched")) == {"—"}


def test_loops_with_other_thresholds_stand_in_one_panel_as_far_as_they_were_run():
    rounds = pd.DataFrame({"round": [1, 2, 3], "removed": [0.2, 0.4, 0.2], "points": [-0.5, -2.0, 0.1],
                           "accepted": [True, False, True], "final": [False, False, True]})
    axes = figures.loops({"T = 1": rounds, "T = 2": pd.DataFrame(), "T = 4": rounds}).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["T = 1", "T = 4"]
    assert axes.lines[0].get_xydata().tolist() == [[20.0, -0.5]]  # what was taken back is no point
    assert "not run" in " ".join(text.get_text() for text in texts(figures.loops({"T = 2": pd.DataFrame()})))


def test_scores_stand_side_by_side_in_a_panel_for_each_data_set():
    split = {f"{name}_matched": [0.5, 0.7, 0.6] for name in tables.SCORES}
    frame = pd.DataFrame({"configuration": ["base", "search-tpe", "base"], "seed": 0, "experiment": "x",
                          "profile": "cpu", "data_name": ["mrpc", "mrpc", "mnli"], "model_name": "m",
                          "labels_used": 1, "finished": "2026", **split})
    scores = tables.scores(frame, {"base": "baseline", "search-tpe": "searched"})
    assert list(scores) == ["mrpc"] and scores["mrpc"].loc["searched", "F1"] == pytest.approx(70)  # mnli has no search
    figure = figures.metric_bars(scores)
    assert [axes.get_title() for axes in figure.axes] == ["mrpc"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"50", "70"}
    sealed = frame.assign(**{name.replace("matched", "development"): [0.4, 0.5, 0.6] for name in split})
    sealed.loc[1, list(split)] = None
    ((title, table),) = tables.scores(sealed, {"base": "baseline", "search-tpe": "searched"}).items()
    assert title == "mrpc, development rows" and table["F1"].tolist() == pytest.approx([40, 50])
    assert not tables.scores(frame.iloc[:0], {"base": "baseline"}) and not tables.scores(pd.DataFrame(), {"base": "b"})
    assert "not run" in figures.metric_bars({}).axes[0].texts[0].get_text()
