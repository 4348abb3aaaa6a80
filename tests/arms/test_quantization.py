"""Arms of the quantization chapter, the inference benchmark, the trade-off, and their figures."""

import itertools
import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core import bench as benchmarks
from seo_core import figures, load_settings, results
from seo_core.analysis import tables, tradeoff, verdicts
from seo_core.arms import quantization
from seo_core.bench import inference as bench_inference
from seo_core.bench import latency
from seo_core.bench.latency import CONTROL, PLAIN, InferenceConfig, batches
from seo_core.bench.turns import command, write
from seo_core.settings import resolve_path

TINY = InferenceConfig(batch_size=4, threads=1, batches=2, warmup=1, rounds=2, pause=0.0)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The common ground of the compression chapters, with a network of one layer and few pairs."""
    from seo_core.arms import open_lab

    quick = load_settings("quick", results_dir=str(tmp_path_factory.mktemp("results")), layers=1, epochs=1,
                          train_rows=64, development_rows=64, evaluation_rows=32)
    return open_lab(quantization.QUANTIZATION, quick)


# ---------------------------------------------------------------------------------------------
# Arms


@pytest.fixture(scope="module")
def runs(lab, trains):
    names = ("quant", "static", "static-openvino", "vocabulary-words4", "control-plain")
    return {name: lab.arm(name) for name in names}


def test_what_is_recorded_is_the_files(lab, runs):
    from seo_core.deploy.runners import OnnxRunner

    for name, run in runs.items():
        path = quantization.exported(run)
        assert run.metrics["size_bytes"] == path.stat().st_size, name
        assert run.record["parameters"]["recipe"]["precision"].startswith("int8")
        assert {p.name for p in run.weights.iterdir()} == {"model.onnx", "tokenizer.json"}
    own = OnnxRunner(quantization.exported(runs["static"]), threads=1)
    kept = results.predictions(runs["static"].path)
    assert np.array_equal(own.logits(lab.encoded("validation_matched")).argmax(1), kept["validation_matched"])


def test_the_word_table_counts_and_trimming_is_reported(runs):
    size = {name: run.metrics["size_bytes"] for name, run in runs.items()}
    assert size["vocabulary-words4"] < 0.6 * size["static"]
    assert abs(size["quant"] / size["control-plain"] - 1) < 0.05
    metrics = runs["vocabulary-words4"].metrics
    assert metrics["vocabulary"] <= 12_000
    for split in ("matched", "mismatched"):
        assert 0 <= metrics[f"unknown_rate_{split}"] < 0.01
        assert metrics[f"tokens_per_text_{split}"] >= metrics[f"tokens_per_text_{split}_baseline"]
    assert all(0.7 < run.metrics["agreement"] <= 1 for run in runs.values())


def test_a_run_is_packed_with_its_numbers(lab, runs, tmp_path, capsys):
    import seo_core
    from seo_core.deploy import artifact
    from seo_core.run import main

    run = runs["vocabulary-words4"]
    folder = artifact.pack(run.path, tmp_path / "art")
    card = (folder / "README.md").read_text()
    assert f"{run.metrics['accuracy_matched']:.2%}" in card and "all-MiniLM-L6-v2" in card
    assert "sentences of the generator" in card and results.command_of(run.record) in card
    assert f"{lab.arm('base').metrics['accuracy_matched']:.2%}" in card
    found = seo_core.load(folder)
    assert found.labels == tuple(lab.task.labels) and found.size_bytes == run.metrics["size_bytes"]
    assert found.predict([("A man sleeps.", "A person rests.")])[0] in found.labels
    assert main(["pack", str(run.path), str(tmp_path / "again")]) == 0
    assert "loads with" in capsys.readouterr().out
    assert main(["pack", str(tmp_path / "no.json"), str(tmp_path / "x")]) == 1
    assert "no record no.json" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.trains
def test_the_baseline_is_packed_too(lab, tmp_path, capsys):
    import seo_core
    from seo_core.run import main

    run = lab.arm("base")
    assert main(["pack", str(run.path), str(tmp_path / "base")]) == 0
    assert "exported as model.onnx, in fp32" in capsys.readouterr().out
    classifier, frame = seo_core.load(tmp_path / "base"), lab.task["validation_matched"]
    said = classifier.predict(list(zip(frame["premise"], frame["hypothesis"], strict=True)))
    kept = results.predictions(run.path)["validation_matched"]
    assert np.mean([classifier.labels.index(name) for name in said] == kept) >= 0.97
    (run.weights / "model.onnx").unlink()
    (run.weights / "model.safetensors").rename(run.weights / "away")
    assert main(["pack", str(run.path), str(tmp_path / "x")]) == 1
    assert "kept no model.onnx" in capsys.readouterr().err and not (tmp_path / "x").exists()
    (run.weights / "away").rename(run.weights / "model.safetensors")


def test_a_run_that_is_there_is_not_made_again(lab, runs, monkeypatch):
    monkeypatch.setattr(quantization, "deployed", None)
    again = lab.arm("static")
    assert again.record == runs["static"].record


@pytest.mark.trains
def test_another_network_is_rounded_by_the_same_recipe(lab, runs):
    smaller = lab.arm("quant", recorded_as="taylor-40-int8", knobs={"of": "taylor-40"})
    assert smaller.metrics["size_bytes"] < runs["quant"].metrics["size_bytes"] and smaller.metrics["agreement"] > 0.7
    control = quantization.QUANTIZATION.arms["base-control-int8"]
    assert [need.arm for need in control.needs] == ["base", "base-control"]
    assert replace(control.recipe, of="base") == quantization.QUANTIZATION.arms["quant"].recipe
    with pytest.raises(ValueError, match="of names a network .* and 'static' is none"):
        control.suited(lab.settings, {"of": "static"})


def test_every_arm_has_a_recipe_that_differs():
    recipes = [arm.recipe for arm in quantization.QUANTIZATION.arms.values()]
    recipes = [json.dumps(vars(r), sort_keys=True) for r in recipes]
    assert len(set(recipes)) == len(recipes) and "quant" in quantization.QUANTIZATION.arms
    with pytest.raises(TypeError):
        quantization.Recipe(bits=8)


# ---------------------------------------------------------------------------------------------
# The benchmark


def test_a_vocabulary_of_its_own_reads_the_same_texts(lab, runs):
    small = quantization.exported(runs["vocabulary-words4"])
    contestant = latency.file_contestant(small, threads=1)
    frame, encoded = lab.task["validation_matched"], lab.encoded("validation_matched")
    rows = latency.chosen_rows(encoded, TINY)
    own = latency.own_batches({"x": contestant}, frame, rows, lab.task.texts, 64)["x"]
    assert len(own) == 2 and all(b["input_ids"].shape[0] == 4 for b in own)
    for batch, part in zip(own, rows, strict=True):
        for ids, mask, row in zip(batch["input_ids"], batch["attention_mask"], part, strict=True):
            words = contestant.tokenizer.backend_tokenizer.decode(ids[mask == 1].tolist()).replace(" ", "")
            expected = "".join(frame.iloc[row][list(lab.task.texts)]).lower().replace(" ", "")
            assert words == expected
    with pytest.raises(RuntimeError, match="encode the texts with the tokenizer that belongs"):
        contestant.run(batches(encoded, TINY, rows)[0])


def test_the_benchmark_writes_what_it_measured(lab, runs):
    table = benchmarks.measure("inference", lab.settings, lab=lab, **vars(TINY)).table
    assert {"PyTorch eager fp32", "ONNX Runtime fp32", CONTROL, PLAIN, "quant", "static"} <= set(table.index)
    assert table.loc["quant", "size_bytes"] == runs["quant"].metrics["size_bytes"]
    ratio = table.loc[CONTROL, "size_bytes"] / table.loc["ONNX Runtime fp32", "size_bytes"]
    assert 0.2 < ratio < 0.35
    folder = resolve_path(lab.settings.results_dir) / "quick" / bench_inference.EXPERIMENT
    records = {r["configuration"]: r for r in results.load_records(folder)}
    main = records[bench_inference.RECORD]
    assert set(main["contestants"]) == set(table.index)
    assert main["metrics"]["threads"] == 1 and main["metrics"]["has_vnni"] in (0, 1)
    assert main["metrics"]["padding_share"] <= main["metrics"]["padding_share_unsorted"] < 1
    again, newest = latency.latest(folder)
    assert newest["contestants"] == main["contestants"] and list(again.index) == list(main["contestants"])
    assert latency.latest(folder, capped=True)[1] is None
    assert records["base"]["metrics"]["latency_ms_p50"] > 0 and "quant" in records
    assert records["quant"]["metrics"]["size_bytes"] == runs["quant"].metrics["size_bytes"]
    kept = bench_inference.kept_files(lab.settings)
    assert kept["quant"] == str(quantization.exported(runs["quant"]))
    assert kept["static-openvino"] == f"{quantization.exported(runs['static-openvino'])}:openvino"
    assert "static-openvino" in table.index
    assert bench_inference.kept_files(replace(lab.settings, data="path/to/other")) == {}
    assert bench_inference.kept_files(replace(lab.settings, seed=5)) == {}


def test_a_capped_run_is_no_result_of_the_configurations(lab, runs, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    contestant = latency.file_contestant(quantization.exported(runs["quant"]), threads=1, configuration="quant")
    turns = pd.DataFrame([("quant", 0, 0, 1.0)], columns=["contestant", "round", "batch", "ms"])
    outcome = bench_inference.outcome(turns, {"quant": contestant}, TINY, task=lab.task,
                                      model_info=runs["quant"].record["model"])
    settings = replace(lab.settings, results_dir=str(tmp_path))
    paths = write(bench_inference, settings, bench_inference.plan(settings), outcome).paths
    assert [path.name.rsplit("-", 2)[0] for path in paths] == [bench_inference.RECORD]


def test_a_run_of_chosen_files_measures_them_and_is_not_the_tables_run(lab, runs, tmp_path):
    contestant = latency.file_contestant(quantization.exported(runs["quant"]), threads=1, configuration="quant")
    turns = pd.DataFrame([("quant", 0, 0, 1.0)], columns=["contestant", "round", "batch", "ms"])
    settings = replace(lab.settings, results_dir=str(tmp_path))
    for chosen in ({"quant": "path/to/model.onnx"}, None):
        outcome = bench_inference.outcome(turns, {"quant": contestant}, TINY, task=lab.task,
                                          model_info=runs["quant"].record["model"], chosen=chosen)
        write(bench_inference, settings, bench_inference.plan(settings), outcome)
        assert {"quant", bench_inference.RECORD} == {r["configuration"] for r in results.load_records(tmp_path)}
        assert (latency.latest(tmp_path)[1] is None) == bool(chosen)


@pytest.mark.slow
def test_pruned_networks_are_timed_under_the_baselines_runtime(lab, tmp_path, monkeypatch):
    from seo_core.arms import ARMS
    from seo_core.lab.run import Made
    from seo_core.pruning import remove

    base = lab.network()
    small = remove(base, heads={0: [0, 1]}, neurons={0: list(range(500))})
    settings = replace(lab.settings, results_dir=str(tmp_path))
    monkeypatch.setitem(ARMS, "aip", replace(ARMS["aip"], always=(), make=lambda lab, recipe: Made(small)))
    replace(lab, settings=settings).arm("aip")
    found = bench_inference.kept_networks(settings)
    assert list(found) == ["aip"] and bench_inference.kept_files(settings) == {}
    made = bench_inference.networks(found, tmp_path, threads=1)
    contestant, own = made["aip"], made["aip" + bench_inference.OURS]
    batch = batches(lab.encoded("acceptance"), TINY)[0]
    with torch.inference_mode():
        reference = small.eval()(**{k: torch.from_numpy(v) for k, v in batch.items()}).logits.numpy()
    np.testing.assert_allclose(np.asarray(contestant.run(batch)), reference, atol=1e-4)
    np.testing.assert_allclose(np.asarray(own.run(batch)), reference, atol=1e-4)
    fewer = sum(p.numel() for p in base.parameters()) - sum(p.numel() for p in small.parameters())
    assert contestant.size_bytes < 4 * sum(p.numel() for p in base.parameters()) - 3.9 * fewer
    assert contestant.configuration == "aip" and not own.configuration  # one record a configuration


def test_networks_are_compared_with_the_baseline_in_the_same_export():
    ms = {"ONNX Runtime fp32": 12.0, "onnx-fp32": 10.0, "aip": 6.0, "aip" + bench_inference.OURS: 4.0, "kd": 3.0}
    table = bench_inference.by_export(pd.DataFrame({"latency_ms_p50": ms}))
    assert table.to_dict("records") == [{"network": "aip", "library's export, ms": 6.0, "times as fast": 2.0,
                                         "our export, ms": 4.0, "times as fast, ours": 2.5}]
    assert bench_inference.by_export(pd.DataFrame()).empty


@pytest.mark.slow
def test_an_untrained_network_is_timed_without_records_of_configurations(lab, tmp_path):
    own = replace(lab.settings, results_dir=str(tmp_path))
    benchmarks.measure("inference", own, files={}, untrained=True, lab=replace(lab, settings=own), **vars(TINY))
    names = {r["configuration"] for r in results.load_records(tmp_path)}
    assert names == {bench_inference.RECORD}


def test_contestants_of_one_function_agree(tiny_bert, toy_pairs, tmp_path):
    torch.manual_seed(0)
    model = tiny_bert(dropout=0.0)
    found = bench_inference.baselines(model, tmp_path, threads=1)
    batch = batches(toy_pairs(8), TINY)[0]
    reference = np.asarray(found["PyTorch eager fp32"].run(batch))
    for name in ("ONNX Runtime fp32", "OpenVINO fp32"):
        if name in found:
            np.testing.assert_allclose(np.asarray(found[name].run(batch)), reference, atol=1e-4)
    assert found["ONNX Runtime fp32"].configuration == "base"


def test_a_machine_without_bf16_or_openvino_has_fewer_contestants(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = bench_inference.baselines(tiny_bert(), tmp_path, threads=1)
    assert set(found) == {"PyTorch eager fp32", "ONNX Runtime fp32", CONTROL, PLAIN}


def test_a_record_says_with_which_options_it_was_measured(monkeypatch):
    said = load_settings("cpu", source="path/to/snli", seed=1)
    plan = bench_inference.plan(said, rounds=2)
    repeat = command(bench_inference, said, plan)
    assert "-m seo_core.run bench inference --profile cpu --seed 1" in repeat
    assert "--source path/to/snli" in repeat and repeat.endswith("--rounds 2")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert command(bench_inference, said, plan).startswith("ONEDNN_MAX_CPU_ISA=AVX2 python -m")


def test_the_command_line_says_what_is_wrong(capsys):
    assert benchmarks.main("inference", ["--files", "no-path"]) == 1
    assert "NAME=PATH" in capsys.readouterr().err
    assert benchmarks.main("inference", ["--threads", "0"]) == 1
    assert "threads must be 1 or more" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------
# The trade-off, tables and figures


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_the_front_is_its_definition(rows):
    table = pd.DataFrame(rows, columns=["megabytes", "accuracy"]).astype(float)
    front = {tuple(r) for r in tradeoff.pareto(table).to_numpy()}
    expected = {(a, b) for a, b in rows if not any((c <= a and d >= b) and (c < a or d > b) for c, d in rows)}
    assert front == expected


def record(experiment, configuration, seed, **metrics):
    return {"experiment": experiment, "configuration": configuration, "profile": "cpu", "seed": seed, "data_name": "d",
            "model_name": "m", "data_fingerprint": "f", "labels_used": 1, "finished": "2026-01-01", **metrics}


@pytest.fixture
def frame():
    return pd.DataFrame([
        *(record("09_pruning", "base", s, accuracy_matched=0.72, accuracy_mismatched=0.74) for s in (0, 1)),
        record("09_pruning", "prune", 0, accuracy_matched=0.70, accuracy_mismatched=0.70, size_bytes=90e6),
        *(record("11_quantization", "quant", s, accuracy_matched=0.71, accuracy_mismatched=0.73, size_bytes=23e6)
          for s in (0, 1)),
        record("12_distillation", "kd", 0, accuracy_matched=0.69, accuracy_mismatched=0.69),
        record("tab3_inference_speed", "base", 0, size_bytes=92e6, latency_ms_p50=60.0),
        record("tab3_inference_speed", "quant", 0, size_bytes=23e6, latency_ms_p50=20.0)])


def test_points_join_accuracy_bytes_and_milliseconds(frame):
    table = tradeoff.points(frame).set_index("configuration")
    assert list(table.index) == ["base", "prune", "quant", "kd"]
    assert table.loc["quant", ["accuracy", "megabytes", "ms", "smaller", "faster", "seeds"]].tolist() == pytest.approx(
        [72.0, 23.0, 20.0, 4.0, 3.0, 2])
    assert table.loc["base", "smaller"] == 1 and np.isnan(table.loc["kd", "megabytes"])
    assert np.isnan(table.loc["prune", "faster"]) and table.loc["prune", "smaller"] == pytest.approx(92 / 90)
    assert tradeoff.points(frame[:0]).empty
    untimed = frame[frame["experiment"] != "tab3_inference_speed"].assign(model_parameters=23e6)
    table = tradeoff.points(untimed).set_index("configuration")  # the baseline's weights in fp32 stand for its file
    assert table.loc["quant", "smaller"] == pytest.approx(4.0) and table["ms"].isna().all()
    sizes = tables.size_table(untimed, "size_mb", "size_bytes", 1e-6, "MB")
    assert sizes.loc["base", "ours, MB"] == "92.00" and sizes.loc["quant", "ours, of the baseline"] == "0.25"


def test_losses_stand_beside_the_points_with_the_method(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "record_at", lambda path: {"parameters": {}})
    frame = frame.assign(path=[str(tmp_path / f"{i}.json") for i in range(len(frame))])
    table = tradeoff.with_losses(tradeoff.points(frame), frame).set_index("configuration")
    assert table["method"].to_dict() == {"base": "baseline", "prune": "weights at zero", "quant": "quantization",
                                         "kd": "distillation"}
    assert table.loc["quant", ["difference", "paired"]].tolist() == pytest.approx([-1.0, 2])
    assert table.loc["kd", "difference"] == pytest.approx(-3.0) and table.loc["base", "difference"] == 0
    assert np.isnan(table.loc["kd", "low"])  # one seed, and no predictions
    assert set(table["control"]) == {"—", "not run"} and table["difference_equal"].isna().all()
    taught = frame[frame["configuration"] == "quant"].assign(configuration="distilled", train_examples=9e9,
                                                             experiment="12_distillation")
    taught["accuracy_matched"] += 0.02
    equal = pd.concat([frame, taught], ignore_index=True)
    row = tradeoff.with_losses(tradeoff.points(equal), equal).set_index("configuration").loc["quant"]
    assert row["control"] == "distilled" and row["difference_equal"] == pytest.approx(-2.0)
    without = frame[frame["configuration"] != "base"]
    assert tradeoff.with_losses(tradeoff.points(without), without)["difference"].isna().all()
    none = tradeoff.with_losses(tradeoff.points(frame[:0]), frame[:0])
    assert none.empty and {"method", "control", *tradeoff.LOSS, *tradeoff.EQUAL} <= set(none)


def test_counts_of_weights_are_those_of_the_network(tiny_bert):
    model = tiny_bert()
    counted = tradeoff.bert_weights(32, 2, 64, 100, positions=64)
    assert sum(counted.values()) == sum(p.numel() for p in model.parameters())
    assert counted["word table"] == 3200


def test_tables_show_the_papers_beside_ours_or_not_run(frame):
    table = tables.size_table(frame, "size_mb", "size_bytes", 1e-6, "MB")
    assert list(table.index) == ["base", "prune", "quant", "kd", "seo"]
    assert table.loc["quant", "ours, of the baseline"] == "0.25"
    assert table.loc["quant", "papers, of the baseline"] == "0.36"
    assert table.loc["kd", "ours, MB"] == verdicts.NOT_RUN
    speed = tables.speed_table(pd.DataFrame(), CONTROL)
    assert speed.iloc[0, 0] == verdicts.NOT_RUN
    filled = pd.DataFrame({"latency_ms_p50": [2.0], "latency_ms_p95": [3.0], "size_bytes": [1e6], "speed_ratio": [2.0],
                           "speed_ratio_low": [1.5], "speed_ratio_high": [2.5]}, index=["x"])
    assert tables.speed_table(filled, CONTROL).iloc[0, -1] == "2.00 (1.50 to 2.50)"


def test_figures_are_cards_that_say_not_run_without_records(frame):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from seo_core.figures.style import CARD

    made = [figures.size_vs_speed(tradeoff.points(frame)),
            figures.size_vs_speed(tradeoff.points(frame[:0])),
            figures.latency_bars(pd.DataFrame()),
            figures.latency_bars(pd.DataFrame({"latency_ms_p50": [2.0, 1.0], "latency_ms_p95": [3.0, 1.5]},
                                                           index=["a", "b"])),
            figures.parts({"x": {"word table": 10**6, "encoder": 2 * 10**6}}),
            figures.ranges(np.random.default_rng(0).normal(size=500), {"mse": (0.02, 128)})]
    texts = []
    for figure in made:
        figure.canvas.draw()
        assert matplotlib.colors.to_hex(figure.get_facecolor()).upper() == CARD
        texts.append({t.get_text() for t in figure.findobj(matplotlib.text.Text)})
        assert all(t.get_fontsize() >= 9 for t in figure.findobj(matplotlib.text.Text) if t.get_text())
    assert verdicts.NOT_RUN in texts[1] and verdicts.NOT_RUN in texts[2] and verdicts.NOT_RUN not in texts[0]
    assert "the papers: 3.1× smaller, 1.9× faster" in texts[0]
    assert [round(tradeoff.PAPERS[k], 1) for k in ("smaller", "faster")] == [3.1, 1.9]
    plt.close("all")


def test_the_front_stands_out_from_the_rest_and_each_network_has_its_method():
    """Zeros are a method of their own; the front is a line, all others are grey marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [("base", "09_pruning", 73, 90, 9), ("prune", "09_pruning", 72, 90, 9),
            ("prune-layer", "09_pruning", 71, 90, 9),
            ("taylor-40", "09_pruning", 72.5, 60, 6), ("random-40", "09_pruning", 70, 60, 6),
            ("taylor-80", "09_pruning", 70.5, 50, 4), ("aip", "10_adaptive_iterative_pruning", 74, 65, 5),
            ("distilled", "10_adaptive_iterative_pruning", 74, 90, 9), ("static", "11_quantization", 72.9, 23, 3)]
    table = pd.DataFrame(rows, columns=["configuration", "experiment", "accuracy", "megabytes", "ms"])
    table = table.assign(smaller=90 / table["megabytes"], faster=9 / table["ms"])
    found = {family: list(mine["configuration"]) for family, mine in tradeoff.families(table).items()}
    assert found == {"baseline": ["base"], "weights at zero": ["prune", "prune-layer"],
                     "units pruned": ["taylor-40", "random-40", "taylor-80"], "AIP": ["aip"],
                     "quantization": ["static"], "distillation": ["distilled"]}
    assert tradeoff.families(table[:0]) == {}
    figure = figures.size_vs_speed(table)
    for axes, gain in zip(figure.axes, ("smaller", "faster"), strict=True):
        lines = {line.get_label(): sorted(zip(*line.get_data(), strict=True)) for line in axes.lines}
        front = table.set_index("configuration").loc[["aip", "static"]]
        assert set(zip(front[gain], front["accuracy"], strict=True)) <= set(lines["not beaten by any"])
        assert len(lines["other networks"]) == len(table) and len(lines["baseline"]) == 1
    plt.close(figure)


@pytest.mark.parametrize("baseline", [True, False])
def test_what_lies_far_below_the_baseline_is_named_and_not_drawn(baseline):
    """One network near chance would squeeze the ones that matter into a line; without a baseline all are drawn."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    gain = [1.0, 2.0, 4.0, 5.0]
    table = pd.DataFrame({"configuration": ["base" if baseline else "quant", "kd", "kd-depth-2", "kd-depth-1"],
                          "experiment": "12_distillation", "accuracy": [73.0, 72.0, 63.5, 52.83], "smaller": gain,
                          "faster": gain, "megabytes": 90 / np.array(gain), "ms": 90 / np.array(gain)})
    figure = figures.size_vs_speed(table)
    for axes in figure.axes:
        assert ("below the frame: kd-depth-2 63.5%, kd-depth-1 52.8%" in axes.get_xlabel()) == baseline
        assert axes.get_ylim()[0] == 69 if baseline else axes.get_ylim()[0] < 52.83
    plt.close(figure)


@pytest.mark.slow
@pytest.mark.parametrize("where", [1.0, 3.9, 19.0])
def test_names_of_crowded_points_do_not_lie_on_each_other(where):
    """Ten points within a hundredth of a doubling, at either end of the axis or in the middle."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    many = where * 2 ** np.linspace(0, 0.01, 10)
    table = pd.DataFrame({"configuration": [f"network-{i}" for i in range(10)], "experiment": "11_quantization",
                          "accuracy": 73 - many, "smaller": many, "faster": many, "megabytes": 90 / many,
                          "ms": 90 / many})
    figure = figures.size_vs_speed(table)
    figure.canvas.draw()
    for axes in figure.axes:
        boxes = [t.get_window_extent() for t in axes.texts if t.get_text().startswith("network-")]
        assert boxes and all(t.get_rotation() == 0 for t in axes.texts)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert all(axes.bbox.padded(1).contains(*corner) for box in boxes for corner in box.get_points())
    plt.close(figure)


def test_files_are_looked_for_before_a_baseline_is_trained(tmp_path, monkeypatch):
    import seo_core.arms
    from seo_core.deploy.runners import RunnerError

    monkeypatch.setattr(seo_core.arms, "open_lab", None, raising=False)
    with pytest.raises(RunnerError, match="no model file absent.onnx"):
        benchmarks.measure("inference", load_settings("quick"), files={"mine": f"{tmp_path}/absent.onnx:openvino"})
