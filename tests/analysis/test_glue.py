"""The table of GLUE: the paper's number, ours by task, what was published, what a majority gets."""

import numpy as np
import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import glue, papers
from seo_core.tkd.glue import TASKS


def records(configuration="base", tasks=TASKS, seeds=(0, 1)):
    rows = [{"experiment": "x", "configuration": configuration, "profile": "cpu", "seed": seed, "model_name": "m",
             "data_name": f"path/to/{task}", "labels_used": 10, "train_rows": 100, "finished": f"2026-01-0{seed + 1}",
             **{f"{metric}_matched": 0.5 + 0.1 * seed for metric in TASKS[task].metrics}}
            for task in tasks for seed in seeds]
    return pd.DataFrame(rows)


def row(table, start):
    return table[table["system"].str.startswith(start)].iloc[0]


def test_a_cell_is_the_mean_over_seeds_of_glues_own_metrics():
    table = glue.glue_table(records())
    base = row(table, "fine-tuned MiniLM")
    assert base["CoLA, Matthews"] == "55.0"
    assert base["MRPC, F1 / acc."] == base["STS-B, Pearson / Spearman"] == "55.0 / 55.0"
    assert base["all nine"] == "55.0" and base["seeds"] == "2"
    assert len(table) == 1 + len(glue.ROWS) + len(papers.PUBLISHED_GLUE) + 1


def test_what_was_not_run_says_so_and_has_no_mean():
    table = glue.glue_table(records(tasks=("sst2",)))
    base = row(table, "fine-tuned MiniLM")
    assert base["SST-2, acc."] == "55.0" and base["CoLA, Matthews"] == base["all nine"] == "not run"
    assert set(row(table, "TKD-NLP here").drop(["system", "seeds"])) == {"not run"}
    assert set(row(glue.glue_table(results.load("nowhere")), "fine-tuned").drop(["system", "seeds"])) == {"not run"}


def test_the_paper_has_one_number_and_published_students_one_a_task_as_they_print_it():
    table = glue.glue_table(records())
    paper = row(table, "TKD-NLP, the paper")
    assert paper["all nine"] == "accuracy 98.32, F1 97.14" and paper["CoLA, Matthews"] == "—"
    distilled, tiny = row(table, "DistilBERT, published: dev"), row(table, "TinyBERT of 6 layers, published: test")
    assert distilled["MNLI, acc."] == "82.2" and tiny["MNLI, acc."] == "84.6 / 83.2" and tiny["WNLI, acc."] == "—"
    assert row(table, "the majority")["WNLI, acc."] == "56.3"
    for each in papers.PUBLISHED_GLUE:  # a digit that was copied wrongly would show
        scores = [float(part) for score in each.scores.values() for part in score.split(" / ")]
        assert set(each.scores) <= set(TASKS) and float(each.mean[:4]) == pytest.approx(np.mean(scores), abs=0.06)


@pytest.mark.parametrize("name, task", [
    ("path/to/sst2", "sst2"), ("nyu-mll/glue:stsb", "stsb"), ("path/to/STS-B", "stsb"), ("nyu-mll/multi_nli", "mnli"),
    ("embedded", None), ("path/to/snli", None)])
def test_a_record_belongs_to_the_task_that_its_data_is_named_after(name, task):
    assert glue.task_of(name) == task


def test_the_records_of_one_task_can_be_kept_alone():
    frame = pd.DataFrame({"data_name": ["path/to/mnli", "path/to/sst2", "glue:sst2", "embedded"], "seed": range(4)})
    assert glue.of_task(frame, "sst2")["seed"].tolist() == [1, 2] and glue.of_task(frame, "rte").empty


def test_differences_by_task_are_named_after_the_tasks_and_absent_without_records():
    both = pd.concat([records("tkd-kd", ("sst2", "rte", "stsb")), records("tkd-no-kd", ("sst2", "stsb"))],
                     ignore_index=True).assign(path="nowhere")
    table = glue.by_task(both, ("tkd-kd", "tkd-no-kd"), ("tkd-kd", "base"))
    assert table["contrast"].tolist() == ["SST-2, acc. − tkd-no-kd", "STS-B, Pearson − tkd-no-kd"]
    assert table["difference"].tolist() == pytest.approx([0, 0]) and table["metric"].nunique() == 1
    assert glue.by_task(results.load("nowhere"), ("tkd-kd", "tkd-no-kd")).empty


def test_a_sentence_names_the_tasks_by_what_their_intervals_say():
    def scored(configuration, task, scores):
        rows = records(configuration, (task,), range(len(scores)))
        return rows.assign(**{f"{TASKS[task].metrics[0]}_matched": scores})

    frame = pd.concat([
        scored("a", "sst2", (0.80, 0.81, 0.82)), scored("b", "sst2", (0.70, 0.71, 0.72)),
        scored("a", "qqp", (0.80, 0.81, 0.82)), scored("b", "qqp", (0.70, 0.71, 0.72)),
        scored("a", "rte", (0.50, 0.51, 0.52)), scored("b", "rte", (0.60, 0.61, 0.62)),
        scored("a", "qnli", (0.60, 0.70, 0.80)), scored("b", "qnli", (0.80, 0.70, 0.60)),
        scored("a", "wnli", (0.50,)), scored("b", "wnli", (0.40,))], ignore_index=True).assign(path="nowhere")
    assert glue.told(frame, "a", "b") == "better on SST-2 and QQP, worse on RTE, not told apart on QNLI and "\
        "WNLI (one seed, neither above the majority class)"
    assert glue.told(frame, "a", "c") == glue.told(results.load("nowhere"), "a", "b") == "not run"
    alone = glue.told(frame[frame["seed"] == 0], "a", "b")
    assert alone == "not told apart on SST-2, QQP, QNLI, RTE and WNLI (neither above the majority class) (one seed)"


def test_where_an_arm_says_what_the_majority_class_says():
    frame = records("a", ("sst2", "cola", "rte", "wnli"), (0,)).assign(matthews_matched=0.0)
    assert glue.no_better_than_majority(frame, "a") == "CoLA, SST-2, RTE and WNLI"  # which have 50.9% and more
    assert glue.no_better_than_majority(frame[frame["data_name"].str.endswith("wnli")], "a") == "WNLI"
    assert glue.no_better_than_majority(frame.assign(accuracy_matched=0.9, matthews_matched=0.1), "a") == "none of them"
    assert glue.no_better_than_majority(frame, "b") == "not run"


def sealed(configuration, scores=(0.65,), task="mnli"):
    """Records of a task that score its development rows alone."""
    frame = records(configuration, (task,), range(len(scores)))
    return frame.drop(columns="accuracy_matched").assign(accuracy_development=scores)


def test_an_arm_that_is_sealed_from_a_tasks_official_set_has_a_marked_cell():
    both = records("base", ("mnli",), (0,)).assign(accuracy_matched=0.72, accuracy_development=0.70)
    table = glue.glue_table(pd.concat([sealed("tkd-kd"), both, records("tkd-no-kd", ("mnli",))], ignore_index=True))
    cells = [row(table, words)["MNLI, acc."] for words in ("TKD-NLP here", "fine-tuned", "the same without a teacher")]
    assert cells == ["65.0 (dev.)", "70.0 (dev.)", "55.0"]  # on the same rows, where there are such
    assert row(glue.glue_table(both), "fine-tuned")["MNLI, acc."] == "72.0"  # nothing there is sealed
    nine = pd.concat([records("tkd-kd", [name for name in TASKS if name != "mnli"]), sealed("tkd-kd", (0.5, 0.6))],
                     ignore_index=True)
    assert row(glue.glue_table(nine), "TKD-NLP here")["all nine"] == "55.0 (dev.)"


def test_a_sealed_task_is_compared_on_development_rows_and_sentences_say_so():
    frame = pd.concat([sealed("a", (0.80, 0.81, 0.82)), sealed("b", (0.70, 0.71, 0.72)),
                       records("a", ("rte",), (0, 1, 2)), records("b", ("rte",), (0, 1, 2))],
                      ignore_index=True).assign(path="nowhere")
    table = glue.by_task(frame, ("a", "b"))
    assert table["contrast"].tolist() == ["MNLI, acc. on development rows − b", "RTE, acc. − b"]
    assert glue.told(frame, "a", "b") == "better on MNLI (development rows), not told apart on RTE"
    alone = frame[(frame["seed"] == 0) | frame["data_name"].str.endswith("rte")]
    assert glue.told(alone, "a", "b") == "not told apart on MNLI (development rows, one seed) and RTE"
    assert glue.no_better_than_majority(sealed("a", (0.3,)), "a") == "MNLI (dev.)"


def test_in_a_column_all_have_as_many_training_rows_as_the_standard():
    whole = records("base", ("sst2", "rte"), (0, 1, 2)).assign(train_rows=67_349, param_train_rows="all")
    capped = records("base", ("sst2",), (0,)).assign(train_rows=4000, param_train_rows=4000, accuracy_matched=0.8)
    assert row(glue.glue_table(pd.concat([whole, capped], ignore_index=True)), "fine-tuned")["SST-2, acc."] == "60.0"
    student = records("tkd-kd", ("sst2",), (0,)).assign(train_rows=4000, param_train_rows=4000)
    frame = pd.concat([whole, capped, student], ignore_index=True)
    base = row(glue.glue_table(frame), "fine-tuned")
    assert (base["SST-2, acc."], base["RTE, acc."]) == ("80.0", "60.0")  # of RTE the standard has no record
    assert glue.scores(frame, "tkd-kd")["sst2"].rows == 4000
    table = glue.glue_table(pd.concat([whole, student], ignore_index=True))
    assert row(table, "fine-tuned")["SST-2, acc."] == "not run"


def test_parts_that_are_left_out_have_rows_of_their_own():
    assert {"tkd-no-pretraining", "tkd-scratch", "tkd-no-residual"} <= set(glue.ROWS)
    frame = records("tkd-scratch", ("sst2",), (0,)).assign(masked=0.5)
    assert row(glue.glue_table(frame), "with neither (tkd-scratch)")["SST-2, acc."] == "50.0"
    assert glue.by_name(frame, "tkd-scratch", "masked") == {"SST-2": 0.5}
    assert glue.by_name(frame, "tkd-kd", "masked") == glue.by_name(frame, "tkd-scratch", "absent") == {}


def test_from_which_share_on_a_task_is_lost_is_said_by_the_records():
    def at(configuration, score, task="sst2"):
        return records(configuration, (task,), (0,)).assign(accuracy_matched=score)

    shares = {"p-50": 50, "p-80": 80, "p-90": 90}
    frame = pd.concat([at("p-50", 0.8), at("p-80", 0.509), at("p-90", 0.49), at("p-50", 0.5, "rte"),
                       at("p-90", 0.6, "rte"), at("p-50", 0.5, "wnli"), at("p-90", 0.5, "wnli")], ignore_index=True)
    assert glue.collapse(frame, shares) == "SST-2 from 80% on, RTE not up to 90%, WNLI from 50% on"
    assert glue.collapse(frame.iloc[:0], shares) == "not run"
