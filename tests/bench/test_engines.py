"""The benchmark of engines: every stock recipe of int8 and the artifacts take turns, and the fastest is the rival."""

import importlib.util

import pandas as pd
import pytest

from seo_core import results
from seo_core.bench import engines, main


@pytest.fixture(autouse=True)
def shallow(monkeypatch):
    """The baseline with one layer: the recipes are the same, and take a sixth of the time."""
    from seo_core.models import backbone

    load = backbone.load_backbone
    monkeypatch.setattr(backbone, "load_backbone", lambda model, **k: load(model, **{**k, "layers": 1}))


@pytest.mark.trains
def test_one_command_times_every_recipe_and_the_artifacts(tmp_path, capsys):
    given = ["--profile", "quick", "--untrained", "--batches", "1", "--rounds", "1", "--artifacts", "reference-small"]
    assert main("engines", [*given, "--results-dir", str(tmp_path)]) == 0
    record, = results.load_records(tmp_path)
    both = importlib.util.find_spec("openvino") and importlib.util.find_spec("nncf")
    stock = [name for name in engines.STOCK if name != engines.NNCF or both]
    assert list(record["contestants"]) == [*stock, "reference-small"]
    for name, values in record["contestants"].items():
        assert values["ms_32"] > values["ms_1"] > 0 and values["size_bytes"] > 1e6 and 0 < values["accuracy"] < 1, name
    for size in engines.SIZES:  # in one round the fastest of the stock files is once as fast as itself
        assert max(record["contestants"][name][f"ratio_{size}"] for name in stock) == 1
    assert record["parameters"]["engine"]["reference-small"].startswith("onnxruntime: ")
    assert len(engines.report(tmp_path)) == len(stock) + 1
    said = capsys.readouterr()
    assert "reference-small" in said.out and "nncf" not in said.err.lower()


@pytest.mark.skipif(not importlib.util.find_spec("nncf"), reason="NNCF is not installed")
@pytest.mark.trains
def test_the_stock_files_say_what_the_network_says(tmp_path):
    """A recipe that breaks the network would be a rival of straw (static ranges by extremes are the roughest)."""
    import numpy as np
    import torch

    from seo_core import load_settings
    from seo_core.arms import open_lab

    lab = open_lab("02_baseline", load_settings("quick", results_dir=str(tmp_path)))
    model, encoded = lab.network(), lab.encoded("validation_matched")
    batch = {name: array for name, array in encoded.arrays(np.arange(32)).items() if name in engines.INPUTS}
    with torch.inference_mode():
        exact = model.eval()(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.numpy()
    contestants = engines.stock(model, engines.calibration(lab.encoded("train")), tmp_path, threads=2)
    for name, each in contestants.items():
        assert np.corrcoef(np.asarray(each.run(batch)).ravel(), exact.ravel())[0, 1] > 0.85, name


def test_the_rival_is_the_stock_file_that_was_fastest_over_all_rounds():
    times = {engines.DYNAMIC: (4, 4), engines.CHANNEL: (3, 9), engines.STATIC: (5, 5), "ours": (2, 1)}
    turns = pd.DataFrame([{"contestant": name, "round": number, "batch": 0, "size": size, "ms": ms}
                          for size in engines.SIZES for number in (0, 1) for name, (ms, _) in
                          ((name, (each[number], 0)) for name, each in times.items())])
    table = engines.summary(turns)
    assert table.loc["ours", ["ratio_32", "ratio_32_low", "ratio_32_high"]].tolist() == [3, 2, 4]
    assert table.loc[engines.DYNAMIC, "ratio_1"] == 1 and table.loc["ours", "ms_1"] == 1.5


@pytest.mark.parametrize("words, says", [(["--artifacts", "no-such"], "no-such"), (["--rounds", "0"], "rounds")])
def test_what_cannot_be_timed_is_refused_before_anything_runs(capsys, tmp_path, words, says):
    assert main("engines", [*words, "--results-dir", str(tmp_path)]) in (1, 2)
    assert says in capsys.readouterr().err and not results.load_records(tmp_path)
