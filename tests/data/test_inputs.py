"""What people bring: one content in many files and spellings, read right, or refused with what to do."""

import csv
import gzip
import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_error import assert_data_error

from seo_core.data import NLI_LABELS, load_data, load_nli, load_task, load_texts

NLI = ("premise", "hypothesis")
ORDERED = ("contradiction", "entailment", "neutral")  # another order than NLI_LABELS


def reasons(task, split="train"):
    report = task.report[task.report["split"] == split]
    return dict(zip(report["reason"], report["rows"], strict=True))


# --- one content, many files ---------------------------------------------------------------------------------


def delimited(path, rows, delimiter=",", ending="\n", encoding="utf-8", opened=open, quoting=csv.QUOTE_MINIMAL):
    with opened(path, "wt", encoding=encoding, newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
        writer.writerows([(*NLI, "label"), *rows])


def jsonl(path, rows, opened=open):
    with opened(path, "wt", encoding="utf-8") as out:
        for premise, hypothesis, label in rows:
            out.write(json.dumps({"sentence1": premise, "gold_label": label, "sentence2": hypothesis}) + "\n")


def numbers(rows, names):
    columns = [list(column) for column in zip(*rows, strict=True)]
    return dict(zip((*NLI, "label"), (*columns[:2], [names.index(label) for label in columns[2]]), strict=True))


def with_classes(path, rows, names=ORDERED):
    """A parquet whose schema names the classes of its numbers, as `datasets` writes it."""
    about = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
    table = pa.table(numbers(rows, names)).replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, path)


def saved(path, rows):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features({**dict.fromkeys(NLI, datasets.Value("string")),
                                  "label": datasets.ClassLabel(names=list(ORDERED))})
    data = datasets.Dataset.from_dict(numbers(rows, ORDERED), features=features)
    datasets.DatasetDict({"train": data}).save_to_disk(path.parent)


FILES = {
    "train.csv": delimited,
    "train.csv.gz": lambda path, rows: delimited(path, rows, opened=gzip.open),
    "train-crlf.csv": lambda path, rows: delimited(path, rows, ending="\r\n"),
    "train-mark.csv": lambda path, rows: delimited(path, rows, encoding="utf-8-sig"),
    "train-wide.csv": lambda path, rows: delimited(path, rows, encoding="utf-16"),
    "train-wide.tsv.gz": lambda path, rows: delimited(path, rows, "\t", encoding="utf-16", opened=gzip.open),
    "train.tsv": lambda path, rows: delimited(path, rows, "\t"),
    "train-crlf.tsv": lambda path, rows: delimited(path, rows, "\t", ending="\r\n"),
    "train-all.tsv": lambda path, rows: delimited(path, rows, "\t", quoting=csv.QUOTE_ALL),
    "train.txt": lambda path, rows: delimited(path, rows, "\t"),
    "train.jsonl": jsonl,
    "train.jsonl.gz": lambda path, rows: jsonl(path, rows, gzip.open),
    "train.parquet": with_classes,
    "dataset_dict.json": saved,
}
HOSTILE = ['He said ""go"" and left.', 'He said "go", and left.', "tab\there", "a, b, c", "None", "NA", "null", "-1",
           '"', '""', "'", "line\nend", "caf\u00e9", "# no comment", "=1+1", "\\", '"whole"']
words = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=9))
pairs = st.lists(st.tuples(words, words, st.sampled_from(NLI_LABELS)), min_size=1, max_size=8)


@pytest.mark.slow
@given(pairs)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_pairs_have_one_fingerprint_in_every_file(tmp_path_factory, rows):
    rows = [("Where he said \"go\", they went.", "Anchor\tone.", "neutral"), *rows]
    nli, tasks = {}, {}
    for name, write in FILES.items():
        folder = tmp_path_factory.mktemp("data")
        write(folder / name, rows)
        nli[name] = load_nli(folder).fingerprint
        if "jsonl" not in name:  # its columns have other names
            task = load_task(folder, text=NLI, labels=NLI_LABELS)
            tasks[name] = task.fingerprint
            assert task.labels == NLI_LABELS
    assert len(set(nli.values())) == len(set(tasks.values())) == 1, (nli, tasks)


def test_a_tsv_says_that_it_was_read_with_the_quoting_of_csv(tmp_path):
    delimited(tmp_path / "train.tsv", [('He said "go" and left.', "He left.", "neutral")], "\t")
    task = load_task(tmp_path, text=NLI, labels=NLI_LABELS)
    assert task["train"]["premise"].tolist() == ['He said "go" and left.']
    assert reasons(task)["read with the quoting of csv"] == 1


@pytest.mark.parametrize("text", ['"Go," he said.', '"whole sentence"', 'an "odd one', '""', '"a" and "b"'])
def test_quotation_marks_of_a_plain_tsv_are_characters(tmp_path, text):
    (tmp_path / "train.tsv").write_text(f'sentence\tlabel\n{text}\t1\nplain\t0\n')
    task = load_task(tmp_path, text="sentence")
    assert task["train"]["sentence"].tolist() == [text, "plain"]
    assert "read with the quoting of csv" not in reasons(task)


def test_a_quotation_over_two_texts_of_a_plain_tsv_is_no_field(tmp_path):
    (tmp_path / "train.tsv").write_text('premise\thypothesis\tlabel\n"I am here.\tSo he said."\t1\nplain\ttext\t0\n')
    task = load_task(tmp_path, text=NLI)
    assert task["train"]["premise"].tolist() == ['"I am here.', "plain"]
    assert task["train"]["hypothesis"].tolist() == ['So he said."', "text"]


def test_a_damaged_archive_is_one_clear_error(tmp_path):
    whole = gzip.compress(b"premise,hypothesis,label\n" + b"a,b,0\n" * 5000)
    (tmp_path / "train.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert_data_error(lambda: load_nli(tmp_path), "train.csv.gz", "cut short or damaged")
    (tmp_path / "train.csv.gz").write_bytes(b"premise,hypothesis,label\na,b,0\n")
    assert_data_error(lambda: load_nli(tmp_path), "train.csv.gz", "cannot be read")


def test_a_bad_byte_in_utf_16_is_one_clear_error(tmp_path):
    (tmp_path / "train.csv").write_bytes("sentence,label\na,0\n".encode("utf-16") + b"\x00\xd8\x0a\x00")
    assert_data_error(lambda: load_task(tmp_path, text="sentence"), "train.csv: not valid UTF-16",
                      "Save the file as UTF-8")


# --- labels --------------------------------------------------------------------------------------------------


def test_the_names_of_classes_decide_and_not_their_numbers(tmp_path):
    rows = [("a", "x", "neutral"), ("b", "x", "contradiction"), ("c", "x", "entailment")]
    with_classes(tmp_path / "train.parquet", rows)
    assert load_nli(tmp_path)["train"]["label"].isin([0, 1, 2]).all()
    task = load_task(tmp_path, text=NLI)
    assert task.labels == ORDERED and [task.labels[i] for i in task["train"]["label"]] == [r[2] for r in rows]
    task = load_task(tmp_path, text=NLI, labels=NLI_LABELS)
    assert [NLI_LABELS[i] for i in task["train"]["label"]] == [r[2] for r in rows]


def test_a_class_that_no_row_has_keeps_its_number(tmp_path):
    with_classes(tmp_path / "train.parquet", [("a", "x", "neutral"), ("b", "x", "neutral")])
    task = load_task(tmp_path, text=NLI)
    assert task.labels == ORDERED and set(task["train"]["label"]) == {2}


def test_names_that_are_none_of_the_tasks_are_refused(tmp_path):
    with_classes(tmp_path / "train.parquet", [("a", "x", "yes"), ("b", "x", "no")], ("yes", "no"))
    assert_data_error(lambda: load_nli(tmp_path), "'yes'", "entailment, neutral, contradiction")


def test_splits_that_number_their_classes_differently_agree_by_name(tmp_path):
    with_classes(tmp_path / "train.parquet", [("a", "x", "neutral"), ("b", "x", "entailment")])
    with_classes(tmp_path / "dev.parquet", [("c", "x", "neutral")], NLI_LABELS)
    task = load_task(tmp_path, text=NLI)
    assert task.labels[task["validation"]["label"][0]] == "neutral"


def test_a_jsonl_with_two_ways_to_name_its_columns_is_read_whole(tmp_path):
    lines = [{"premise": "a", "hypothesis": "x", "label": "neutral"},
             {"sentence1": "b", "sentence2": "x", "gold_label": "entailment"},
             {"premise": "c", "hypothesis": "x"}]  # the label is missing
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    task = load_nli(tmp_path)
    assert sum(len(frame) for frame in task.splits.values()) == 2 and reasons(task)["no gold label"] == 1
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, [*lines, {"text": "d"}])))
    assert_data_error(lambda: load_nli(tmp_path), "train.jsonl, line 4", "'premise'")


# --- splits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "split"), [("test.tsv", "test"), ("dev_matched.tsv", "validation_matched"),
                                             ("SICK_trial.txt", "validation"), ("pairs.csv", "train")])
def test_a_single_file_is_the_split_that_its_name_says(tmp_path, name, split):
    delimited(tmp_path / name, [("a", "x", "neutral"), ("b", "y", "entailment")], "," if "csv" in name else "\t")
    assert list(load_task(tmp_path / name, text=NLI, labels=NLI_LABELS).splits) == [split]


def test_a_folder_without_train_is_read_for_evaluation(tmp_path):
    delimited(tmp_path / "dev_mismatched.csv", [("a", "x", "neutral")])
    assert list(load_nli(tmp_path).splits) == ["validation_mismatched"]
    assert list(load_task(tmp_path, text=NLI, labels=NLI_LABELS).splits) == ["validation_mismatched"]


def test_a_split_that_is_not_read_is_named_in_the_report(tmp_path):
    for name in ("train", "validation", "test"):
        delimited(tmp_path / f"{name}.csv", [(f"{name} {i}", "x", "neutral") for i in range(4)])
    task = load_nli(tmp_path)
    assert list(task.splits) == ["train", "validation_matched"]
    assert list(reasons(task, "test")) == ["not read: load_nli has no use for this split"]
    assert "test" in load_task(tmp_path, text=NLI, labels=NLI_LABELS).splits


def test_duplicates_of_an_evaluation_split_are_counted_and_kept_by_load_task(tmp_path):
    delimited(tmp_path / "train.csv", [("a", "x", "neutral")] * 2 + [("b", "x", "neutral")])
    delimited(tmp_path / "dev.csv", [("c", "x", "neutral"), ("c", "x", "neutral"), ("c", "x", "entailment")])
    task = load_task(tmp_path, text=NLI, labels=NLI_LABELS)
    assert len(task["train"]) == 2 and reasons(task)["duplicate"] == 1
    assert len(task["validation"]) == 3
    assert reasons(task, "validation")["duplicate, kept"] == reasons(task, "validation")[
        "duplicate with another label, kept"] == 1
    assert len(load_nli(tmp_path)["validation_matched"]) == 1  # the committed records stand on that


# --- places --------------------------------------------------------------------------------------------------


def test_a_relative_path_is_a_path_and_no_hub_id(tmp_path, monkeypatch):
    (tmp_path / "mine" / "pairs").mkdir(parents=True)
    delimited(tmp_path / "mine" / "pairs" / "train.csv", [("None", "x", "neutral"), ("NA", "x", "entailment")])
    monkeypatch.chdir(tmp_path)
    here = load_task("mine/pairs", text=NLI, labels=NLI_LABELS)
    assert here.fingerprint == load_task(tmp_path / "mine" / "pairs", text=NLI, labels=NLI_LABELS).fingerprint
    assert here["train"]["premise"].tolist() == ["None", "NA"] and here.name == "path/to/pairs"


# --- the columns of GLUE -------------------------------------------------------------------------------------

GLUE = {  # task -> header of its tsv, text columns, label column, a row
    "SST-2": ("sentence\tlabel", ("sentence",), "label", "fine\t1"),
    "MRPC": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", ("#1 String", "#2 String"), "Quality", "1\t1\t2\ta\tb"),
    "STS-B": ("index\tgenre\tsentence1\tsentence2\tscore", ("sentence1", "sentence2"), "score", "0\tx\ta\tb\t5"),
    "QQP": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", ("question1", "question2"), "is_duplicate",
            "0\t1\t2\ta\tb\t0"),
    "QNLI": ("index\tquestion\tsentence\tlabel", ("question", "sentence"), "label", "0\ta\tb\tentailment"),
    "RTE": ("index\tsentence1\tsentence2\tlabel", ("sentence1", "sentence2"), "label", "0\ta\tb\tentailment"),
    "WNLI": ("index\tsentence1\tsentence2\tlabel", ("sentence1", "sentence2"), "label", "0\ta\tb\t1"),
}


@pytest.mark.parametrize("name", GLUE)
def test_the_columns_of_glue_are_read_by_their_names(tmp_path, name):
    header, texts, label, row = GLUE[name]
    (tmp_path / "train.tsv").write_text(f"{header}\n{row}\n")
    assert len(load_task(tmp_path, text=texts, label=label)["train"]) == 1


@pytest.mark.parametrize("kind", ["tsv", "parquet"])
def test_scores_are_no_classes_and_are_refused_with_the_way_out(tmp_path, kind):
    """STS-B has them, as text or as numbers; read by their spelling they would be a class each."""
    frame = pd.DataFrame({"sentence1": ["a", "b", "c"], "sentence2": ["x", "y", "z"], "score": [5.0, 3.8, 2.6]})
    if kind == "tsv":
        (tmp_path / "train.tsv").write_text(frame.to_csv(sep="\t", index=False))
    else:
        frame.to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_task(tmp_path, text=("sentence1", "sentence2"), label="score"), f"train.{kind}",
                      "3.8", "is not a class but a score")


def test_mnlis_own_tsv_and_colas_without_a_header(tmp_path):
    (tmp_path / "train.tsv").write_text("index\tsentence1\tsentence2\tlabel1\tgold_label\n0\ta\tb\tneutral\tneutral\n"
                                        "1\tc\td\tneutral\tentailment\n")
    assert sum(map(len, load_nli(tmp_path).splits.values())) == 2
    (tmp_path / "train.tsv").write_text("gj04\t1\t\tOur friends won't buy this.\n" * 2)
    assert_data_error(lambda: load_task(tmp_path, text="sentence"), "'gj04'", "put a line with names before it")


@pytest.mark.slow
def test_the_real_sets_have_the_rows_that_they_had(real_data):
    """The committed records stand on these numbers."""
    task, kept = load_nli(real_data("mnli")), load_task(real_data("mnli"), text=NLI, labels=NLI_LABELS)
    assert task.fingerprint == "161a52212062998a" and task.labels == NLI_LABELS
    assert len(kept["validation_mismatched"]) - len(task["validation_mismatched"]) == 2


# --- texts alone ------------------------------------------------------------------------------------------------


def test_texts_are_read_whatever_stands_beside_them(tmp_path):
    """Labels of any kind, absent ones too, are not looked at; each pair once, of all splits."""
    pairs = [("It rains.", "It is wet."), ("He sings.", "He is silent."), ("A, \"b\"", "None")]
    lines = [json.dumps({"sentence1": p, "sentence2": h, "label": label}) for (p, h), label in
             zip([*pairs, pairs[0], ("", "no premise")], ["odd", None, -1, 7, 0], strict=True)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    for split, rows in {"train": pairs[:2], "test": pairs[1:]}.items():
        with open(folder / f"{split}.csv", "w", newline="") as out:
            csv.writer(out).writerows([("premise", "hypothesis"), *rows])
    for place in (tmp_path / "texts.jsonl", folder):
        frame = load_texts(place)
        assert list(frame.columns) == list(NLI) and set(frame.itertuples(index=False, name=None)) == set(pairs), place
    single = load_texts(folder, text="premise")
    assert sorted(single["premise"]) == sorted(premise for premise, _ in pairs)


@pytest.mark.parametrize("content, text, words", [
    ("a,b\nx,y\n", "words", "no column 'words'; its columns are 'a', 'b'"),
    ("a,b\n,y\n", "a", "no row has a. Check the text columns"), ("a,b\n", "a", "no rows"),
    ("a,b\nx,y\n", ("a", "a"), "name one or two text columns")])
def test_texts_that_are_not_there_are_refused(content, text, words, tmp_path):
    (tmp_path / "texts.csv").write_text(content)
    assert_data_error(lambda: load_texts(tmp_path / "texts.csv", text=text), words)


# --- scores ----------------------------------------------------------------------------------------------------

STSB = pd.DataFrame({"sentence1": list("abcd"), "sentence2": list("wxyz"), "label": [5.0, 3.8, 0.0, -1.0]})


def _task_of(folder, frame, **options):
    frame.to_parquet(folder / "train.parquet")
    return load_task(folder, **{"text": ("sentence1", "sentence2"), **options})


def test_glues_stsb_is_known_by_its_columns_and_others_are_asked_for(tmp_path):
    found = _task_of(tmp_path, STSB)
    assert found.kind == "regression" and found.labels == ("score",)
    assert found["train"]["label"].tolist() == [5.0, 3.8, 0.0] and str(found["train"]["label"].dtype) == "float64"
    assert found.report.set_index("reason").loc["no gold label", "rows"] == 1
    assert _task_of(tmp_path, STSB, kind="regression").fingerprint == found.fingerprint
    other = STSB.rename(columns={"sentence1": "question", "label": "stars"}).assign(stars=[12.0, 0.5, 3.0, 4.0])
    asked = _task_of(tmp_path, other, text=("question", "sentence2"), label="stars", kind="regression")
    assert asked["train"]["label"].tolist() == [12.0, 0.5, 3.0, 4.0]
    (tmp_path / "train.parquet").unlink()
    (tmp_path / "train.tsv").write_text(STSB.to_csv(sep="\t", index=False))
    assert load_task(tmp_path, text=("sentence1", "sentence2"), kind="regression").fingerprint == found.fingerprint


@pytest.mark.parametrize("change, options", [
    ({"label": [5.0, 5.5, 1.0, 2.0]}, {}),  # above 5
    ({}, {"kind": "classification"}), ({}, {"text": "sentence1"}),
    ({"label": ["5", "3.8", "1", "2"]}, {})])  # text
def test_scores_of_another_layout_stay_refused(tmp_path, change, options):
    assert_data_error(lambda: _task_of(tmp_path, STSB.assign(**change), **options), "is not a class but a score",
                      "kind='regression'")


def test_the_chapters_on_classes_refuse_scores_as_before(tmp_path):
    STSB.to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_data(tmp_path, text=("sentence1", "sentence2")), "is not a class but a score")
    assert load_data(tmp_path, text=("sentence1", "sentence2"), scores=True).kind == "regression"


@pytest.mark.parametrize("wrong, words", [("good", "score 'good' is no number"), ("inf", "is not 0 or more"),
                                          ("-2", "score '-2' is not 0 or more (-1: no gold label)")])
def test_a_score_that_is_text_or_out_of_range_is_refused(tmp_path, wrong, words):
    frame = STSB.assign(label=["5", wrong, "1", "2"])
    assert_data_error(lambda: _task_of(tmp_path, frame, kind="regression"), "train.parquet", "row 2", words)


def test_a_score_of_hundreds_of_digits_is_refused(tmp_path):
    rows = STSB.astype(object).to_dict("records")
    rows[1]["label"] = 10**400
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert_data_error(lambda: load_task(tmp_path, text=("sentence1", "sentence2"), kind="regression"), "line 2",
                      "is no number")


def test_a_regression_has_no_classes_and_its_kind_has_a_name(tmp_path):
    assert_data_error(lambda: _task_of(tmp_path, STSB, kind="regression", labels=("a", "b")), "leave labels out")
    assert_data_error(lambda: _task_of(tmp_path, STSB, kind="regresion"), "did you mean 'regression'")


def test_what_is_encoded_of_scores_are_scores(tmp_path):
    from seo_core.data import encode
    from seo_core.models import load_tokenizer

    task = _task_of(tmp_path, STSB)
    encoded = encode(task["train"], load_tokenizer(), texts=task.texts)
    batch = encoded.arrays([1, 0])
    assert encoded.labels.dtype == batch["labels"].dtype == "float32" and batch["input_ids"].dtype == "int64"
    assert batch["labels"].tolist() == pytest.approx([3.8, 5.0])
