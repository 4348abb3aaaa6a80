"""GLUE's tasks: their columns, their metrics, and what an unknown one is told."""

import shlex

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from seo_core.data import DataError
from seo_core.evaluation import METRICS
from seo_core.tkd import glue


def test_all_nine_are_there_with_glues_own_metrics():
    assert list(glue.TASKS) == ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli"]
    assert glue.known("cola").metrics == ("matthews",) and glue.known("stsb").metrics == ("pearson", "spearman")
    assert glue.known("mrpc").metrics == glue.known("qqp").metrics == ("f1", "accuracy")
    for task in glue.TASKS.values():
        assert set(task.metrics) <= set(METRICS) and len(task.majority) == len(task.metrics)
        assert 1 <= len(task.texts) <= 2


def test_an_unknown_task_is_told_the_nearest():
    with pytest.raises(DataError, match="unknown GLUE task 'sst-2'.*did you mean 'sst2'"):
        glue.load("sst-2", "anywhere")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "stsb", "qnli", "rte", "wnli"])
def test_the_real_sets_load_and_the_majority_is_what_the_table_says(real_data, name):
    task, about = glue.load(name, real_data(name)), glue.TASKS[name]
    validation = task["validation"]
    assert list(task.texts) == list(about.texts) and 0.99 * about.validation < len(validation)
    if name == "stsb":
        assert task.kind == "regression" and validation["label"].between(0, 5).all()
        return
    assert task.kind == "classification"
    truth, said = validation["label"], np.full(len(validation), task["train"]["label"].mode()[0])
    of = {"accuracy": accuracy_score, "f1": f1_score, "matthews": lambda *_: 0.0}
    assert [100 * of[metric](truth, said) for metric in about.metrics] == pytest.approx(about.majority, abs=0.06)


@pytest.mark.parametrize("name", glue.TASKS)
def test_the_command_of_a_run_is_one_that_the_command_line_knows(name):
    from seo_core.run import parser

    words = shlex.split(glue.command("tkd-kd", name))
    given = parser().parse_args(words[3:])
    assert words[:3] == ["python", "-m", "seo_core.run"] and given.names == ["tkd-kd"]
    about, options = glue.known(name), dict(each.split("=") for each in given.parameters)
    assert options.get("text", "premise,hypothesis") == ",".join(about.texts)
    assert options.get("train_rows") == (about.cap and str(about.cap))
    assert given.seeds == (["0", "1", "2"] if name in glue.SEVERAL else ["0"])
