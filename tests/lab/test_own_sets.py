"""Data of a reader's own through the lab: two classes of pairs, five classes of single texts, one set to measure on."""

from dataclasses import replace

import numpy as np
import pytest
from own_sets import written

from seo_core import results
from seo_core.arms import ARMS, known, open_lab
from seo_core.data import RatioError
from seo_core.lab.source import source_model
from seo_core.settings import load_settings

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module", params=["pairs", "texts"])
def settings(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return load_settings("quick", results_dir=str(folder / "results"), layers=1, epochs=1, evaluation_rows=24,
                         **written(request.param, folder))


@pytest.fixture(scope="module")
def headline(settings, trains):
    return open_lab("12_distillation", settings)


@pytest.fixture(scope="module")
def lab(settings, trains):
    return open_lab("06_active_learning", settings)


@pytest.mark.parametrize("name, knobs", [
    ("base", {}), ("prune", {}), ("taylor-40", {}), ("aip", {}), ("quant", {}), ("vocabulary", {}),
    ("student", {"depth": 1}), ("kd-text", {"depth": 1}), ("sqd-pairs", {"depth": 1})])
def test_every_kind_of_compression_is_made_and_measured(headline, name, knobs):
    run = headline.arm(name, knobs=knobs)
    classes = len(headline.task.labels)
    assert 0 <= run.metrics["accuracy_matched"] <= 1 and run.metrics["size_bytes"] > 0
    assert not any("mismatched" in metric for metric in run.metrics)
    assert {f"f1_{label}_matched" for label in headline.task.labels} <= set(run.metrics)
    assert set(results.predictions(run.path)) >= {"validation_matched", "validation_matched_correct"}
    if known(name).chapter.id in ("02_baseline", "09_pruning"):
        assert run.model().config.num_labels == classes


@pytest.mark.parametrize("name", ["supervised", "tl", "source", "random", "hybrid", "bald", "tal", "ssl", "ssl-source",
                                  "da-static", "da", "da-limited", "random-limited"])
def test_every_kind_of_data_technique_is_made_and_measured(lab, name):
    labels = 0 if name == "source" else 32 if name.endswith("limited") else lab.budgets[1]
    run = lab.arm(name, labels)
    assert np.isfinite(run.metrics["accuracy_matched"]) and "accuracy_mismatched" not in run.metrics
    assert run.metrics["labels"] == labels and run.record["parameters"]["classes"] == list(lab.task.labels)
    if name.endswith("limited"):
        assert run.record["parameters"]["ratio"] == [8, *[1] * (len(lab.task.labels) - 1)]


def test_a_ratio_that_the_rows_do_not_hold_leaves_the_arm_out_with_a_line(lab, monkeypatch):
    lines, other = [], lab.of("04_adaptive_augmentation")
    for name in set(other.chapter.arms) - {"base-limited"}:
        monkeypatch.delitem(ARMS, name)
    assert other.run(labels=[200], report=lines.append) == []
    assert len(lines) == 1 and lines[0].startswith("base-limited     left out: 200 rows in the ratio 8:1")
    with pytest.raises(RatioError, match="use more data"):
        other.run(["base-limited"], labels=[200])


def test_a_source_task_of_other_classes_lends_its_encoder_and_says_so(lab, settings):
    lines = []
    start = replace(lab, report=lines.append).network("source")
    folder = source_model(lab.settings)
    assert start.config.num_labels == len(lab.task.labels) and start.fresh_head
    assert lines == ["the network that training starts from has other classes: its classifier is new"]
    again = replace(lab, report=lines.append).network(folder)
    pairs = zip(start.parameters(), again.parameters(), strict=True)
    assert all(np.array_equal(a.detach(), b.detach()) for a, b in pairs)


def test_a_record_names_classes_and_texts_in_its_command(lab):
    run = lab.arm("supervised", lab.budgets[1])
    name, value = (("labels", "other,same") if lab.settings.labels else ("text", "note"))
    assert f" -p {name}={value}" in run.record["provenance"]["command"]
    assert f" -p {name}={value}" in results.command_of(run.record)
    assert run.record["parameters"]["labels"] == run.metrics["labels"]


def test_a_small_pool_is_bought_from_in_proportion(settings):
    small = open_lab("06_active_learning", load_settings(
        "cpu", data=settings.data, labels=settings.labels, text=settings.text, results_dir=settings.results_dir))
    pool = len(small.pool)
    assert small.budgets[-1] == pool // 2 and small.budgets == tuple(sorted(set(small.budgets)))
    assert [small.affordable(n) for n in (500, 2000)] == [500 * (pool // 2) // 8000, 2000 * (pool // 2) // 8000]
