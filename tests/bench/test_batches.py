"""Batch sizes and precisions of TKD-NLP's network: each in a process of its own, and a page of the newest record."""

import pytest

from seo_core import bench, load_settings, results
from seo_core.bench import batches


@pytest.mark.trains
def test_one_command_measures_every_precision_with_every_batch_and_the_page_shows_it(tmp_path, capsys):
    words = ["--sizes", "1", "4", "--pairs", "8", "--results-dir", str(tmp_path)]
    assert bench.main("batches", words) == 0
    assert "int8, 4" in capsys.readouterr().out
    (record,) = results.load_records(tmp_path)
    assert record["provenance"]["command"].endswith("--sizes 1 4 --pairs 8 --rounds 1")
    contestants = record["contestants"]
    assert [*contestants] == [f"{numbers}, {size}" for numbers in batches.computed() for size in (1, 4)]
    for name, values in contestants.items():
        assert values["above_start_bytes"] > 1e6 and values["answer_ms"] > 0
        assert ("train_ms" in values) == (not name.startswith(batches.INT8))
    page = batches.report(tmp_path)
    assert page["batch"].tolist() == ["1", "4"] * (len(page) // 2)
    assert set(page.loc[page["numbers"] == "int8", "training, ms a pair"]) == {"—"}


def test_without_a_record_the_page_says_not_run(tmp_path):
    assert batches.report(tmp_path).iloc[0, 0] == "not run"


@pytest.mark.parametrize("sizes", [(0,), (-3, 8), (2.5,)])
def test_bad_sizes_are_refused_before_anything_runs(sizes):
    with pytest.raises(ValueError, match="sizes must be"):
        batches.plan(load_settings("quick"), sizes=sizes)
