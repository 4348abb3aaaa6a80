"""Bad input: one clear error that names file, row and column and says what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from one_error import assert_data_error

from seo_core.data import development, generate, load_nli, load_task, subsample

GOOD = [
    ("A dog runs in the park.", "An animal runs.", 0),
    ("A man eats.", "He is hungry.", 1),
    ("It is wet.", "It is dry.", 2),
]
COLUMNS = ["premise", "hypothesis", "label"]


def good():
    return pd.DataFrame(GOOD * 4, columns=COLUMNS).assign(
        premise=lambda f: [f"{p} Number {i}." for i, p in enumerate(f["premise"])]
    )


def test_missing_file_and_folder(tmp_path):
    assert_data_error(lambda: load_nli(tmp_path / "nowhere"), "nowhere", "no such file or folder", "hub id")
    assert_data_error(lambda: load_nli("no/such/place.csv"), "place.csv", "no such file")
    assert_data_error(lambda: load_nli("no-such-word"), "no-such-word")


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl", "train.csv", "train.tsv"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert_data_error(lambda: load_nli(tmp_path), name, "empty", "again")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.csv", "premise,hypothesis,label\n"),
        ("train.tsv", "premise\thypothesis\tlabel\n"),
        ("train.jsonl", "\n\n"),
    ],
)
def test_a_header_and_no_rows(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert_data_error(lambda: load_nli(tmp_path), "train", "no rows")


def test_nothing_left_after_cleaning(tmp_path):
    good().assign(label=-1).to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_nli(tmp_path), "no usable row", "12 no gold label")


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_wrong_columns_are_listed(tmp_path, kind):
    frame = good().rename(columns={"premise": "context", "hypothesis": "claim"})
    write(frame, tmp_path / f"train.{kind}")
    assert_data_error(
        lambda: load_nli(tmp_path),
        f"train.{kind}",
        "'premise' or 'sentence1'",
        "'context', 'claim', 'label'",
        "load_task",
    )


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
@pytest.mark.parametrize("label", [3, -2, 7])
def test_labels_out_of_range_name_row_and_column(tmp_path, kind, label):
    frame = good()
    frame.loc[5, "label"] = label
    write(frame, tmp_path / f"train.{kind}")
    place = {"parquet": "row 6", "jsonl": "line 6"}.get(kind, "line 7")
    assert_data_error(lambda: load_nli(tmp_path), f"train.{kind}", place, "'label'", str(label), "0 to 2")


@pytest.mark.parametrize("label", ["contradictory", "0.5", "not_entailment", "x" * 5000])
def test_labels_that_are_none(tmp_path, label):
    write(good().assign(label=[*["neutral"] * 4, label, *["neutral"] * 7]), tmp_path / "train.csv")
    assert_data_error(lambda: load_nli(tmp_path), "line 6", label[:20], "entailment, neutral, contradiction")


def test_no_gold_label_is_a_drop_not_an_error(tmp_path):
    write(good().assign(label=[-1, "-", "", *[1] * 9]), tmp_path / "train.csv")
    task = load_nli(tmp_path)
    assert task.report.query("split == 'train' and reason == 'no gold label'")["rows"].item() == 3


def test_missing_text_is_a_drop_and_a_number_an_error(tmp_path):
    frame = good()
    frame.loc[2, "premise"] = None
    write(frame, tmp_path / "train.parquet")
    assert (
        load_nli(tmp_path).report.query("split == 'train' and reason == 'missing text'")["rows"].item() == 1
    )
    write(good().assign(hypothesis=range(12)), tmp_path / "train.parquet")
    assert_data_error(lambda: load_nli(tmp_path), "train.parquet, row 1", "'hypothesis'", "int", "text")
    frame = good().astype(object)
    frame.loc[7, "premise"] = 12.5
    (tmp_path / "train.parquet").unlink()
    with (tmp_path / "train.jsonl").open("w") as out:
        out.writelines(json.dumps(row) + "\n" for row in frame.to_dict("records"))
    assert_data_error(lambda: load_nli(tmp_path), "train.jsonl, line 8", "'premise'", "float", "12.5")


@pytest.mark.parametrize("value", [["a", "list"], {"a": 1}, 1.5, 10**400])
def test_other_non_text_and_non_labels(tmp_path, value):
    for column in ("premise", "label"):
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in GOOD]
        rows[1][column] = value
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert_data_error(lambda: load_nli(tmp_path), "train.jsonl, line 2", f"'{column}'")


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_a_megabyte_sentence_is_read(tmp_path, kind):
    frame = good()
    frame.loc[3, "premise"] = "very " * 200_000 + "long"
    write(frame, tmp_path / f"train.{kind}")
    task = load_nli(tmp_path)
    longest = max(f["premise"].str.len().max() for f in task.splits.values())
    assert longest == 1_000_004 and sum(map(len, task.splits.values())) == 12


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_invalid_utf8_names_the_line(tmp_path, kind):
    path = tmp_path / f"train.{kind}"
    write(good(), path)
    lines = path.read_bytes().split(b"\n")
    lines[4] = lines[4].replace(b"Number", b"N\xfcmber")
    path.write_bytes(b"\n".join(lines))
    assert_data_error(lambda: load_nli(tmp_path), f"train.{kind}, line 5", "not valid UTF-8", "Save the file as UTF-8")


def test_invalid_utf8_in_parquet(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [b"fine", b"N\xfcmber"]
    buffer = pa.array(values, pa.binary()).buffers()
    text = pa.Array.from_buffers(pa.string(), 2, buffer)
    pq.write_table(
        pa.table({"premise": text, "hypothesis": ["a", "b"], "label": [0, 1]}), tmp_path / "train.parquet"
    )
    assert_data_error(lambda: load_nli(tmp_path), "train.parquet, row 2", "'premise'", "not valid UTF-8")


def test_half_a_surrogate_pair_in_json(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"premise": "a \\ud800 b", "hypothesis": "c", "label": 0}\n')
    assert_data_error(lambda: load_nli(tmp_path), "train.jsonl, line 1", "'premise'", "surrogate")


def test_truncated_parquet(tmp_path):
    path = tmp_path / "train.parquet"
    generate(2000).to_parquet(path)
    data = path.read_bytes()
    for size in (3, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert_data_error(lambda: load_nli(tmp_path), "train.parquet", "cut short", "again")


def test_damaged_parquet_body(tmp_path):
    path = tmp_path / "train.parquet"
    generate(2000).to_parquet(path)
    data = bytearray(path.read_bytes())
    data[4:5000] = b"\xff" * 4996
    path.write_bytes(data)
    assert_data_error(lambda: load_nli(tmp_path), "train.parquet", "again")


def test_truncated_arrow_file(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.DatasetDict({"train": datasets.Dataset.from_pandas(good())}).save_to_disk(tmp_path)
    part = next((tmp_path / "train").glob("*.arrow"))
    part.write_bytes(part.read_bytes()[:200])
    assert_data_error(lambda: load_nli(tmp_path), part.name, "cut short")
    part.unlink()
    assert_data_error(lambda: load_nli(tmp_path), part.name, "no such file")
    for state, words in (("{", "not readable"), ("[1]", "not readable"), ("{}", "name no files"),
                         ('{"_data_files": [{"file": "a"}]}', "name no files"), ('{"_data_files": [1]}', "no files")):
        (tmp_path / "train" / "state.json").write_text(state)
        assert_data_error(lambda: load_nli(tmp_path), "state.json", words)


@pytest.mark.parametrize(
    "line", ['{"premise": "cut off', "[1, 2]", "null", '{"premise": "a" "b"}', "[" * 100_000]
)
def test_jsonl_with_a_broken_line(tmp_path, line):
    rows = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in GOOD]
    (tmp_path / "train.jsonl").write_text("\n".join([*rows, line, rows[0]]))
    assert_data_error(lambda: load_nli(tmp_path), "train.jsonl, line 4")


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("train.csv", "premise,hypothesis,label\na,b,0\nc,d\n", 3),
        ("train.csv", "premise,hypothesis,label\na,b,c,0\n", 2),
        ("train.csv", 'premise,hypothesis,label\n"a,b,0\nc,d,1\n', 2),
        ("train.csv", 'premise,hypothesis,label\n"a"x,b,0\n', 2),
        ("train.tsv", "premise\thypothesis\tlabel\na\tb\t0\nc\td\n", 3),
    ],
)
def test_lines_of_the_wrong_shape(tmp_path, name, text, line):
    (tmp_path / name).write_text(text)
    assert_data_error(lambda: load_nli(tmp_path), f"{name}, line {line}")


def test_a_folder_that_is_no_data_set(tmp_path):
    assert_data_error(lambda: load_nli(tmp_path), "no data set", "nothing", "save_to_disk")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "photo.png").write_bytes(b"x")
    assert_data_error(lambda: load_nli(tmp_path), "no data set", "notes.txt, photo.png")


def test_a_folder_without_train(tmp_path):
    good().to_parquet(tmp_path / "validation.parquet")
    assert_data_error(lambda: development(load_nli(tmp_path), 4), "no train split", "validation_matched", "train.*")
    good().to_parquet(tmp_path / "validation.parquet")
    (tmp_path / "validation.parquet").rename(tmp_path / "test_matched.parquet")
    assert_data_error(lambda: load_nli(tmp_path), "no train, validation or test split", "test_matched")


def test_a_split_in_two_formats(tmp_path):
    good().to_parquet(tmp_path / "train.parquet")
    good().to_csv(tmp_path / "train.csv")
    assert_data_error(lambda: load_nli(tmp_path), "several formats", "train.csv, train.parquet")


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ("---\nconfigs:\n- data_files: [{split: train, path: gone.parquet}]\n---\n", "gone.parquet"),
        ("---\nconfigs: 3\n---\n", "no usable configs"),
        ("---\nconfigs: [\n---\n", "no usable configs"),
        ("---\nconfigs: []\n---\n", "no usable configs"),
        ("---\nconfigs: [{data_files: /data/train.parquet}]\n---\n", "no usable configs"),
        ("---\nconfigs: [{data_files: [{split: train, path: [5]}]}]\n---\n", "no usable configs"),
    ],
)
def test_bad_cards(tmp_path, card, word):
    good().to_parquet(tmp_path / "train.parquet")
    (tmp_path / "README.md").write_text(card)
    assert_data_error(lambda: load_nli(tmp_path), "README.md", word)


def test_a_card_that_only_mentions_configs_names_no_files(tmp_path):
    good().to_parquet(tmp_path / "train.parquet")
    (tmp_path / "README.md").write_text("---\ntags: [configs]\n---\n")
    assert load_nli(tmp_path).report.query("reason == 'read'")["rows"].iloc[0] == 12


def test_rows_whose_numbers_are_too_large_are_numbered_anew(tmp_path):
    good().assign(idx=[2**64 + i for i in range(12)]).astype(object).to_json(
        tmp_path / "train.jsonl", orient="records", lines=True)
    task = load_nli(tmp_path)
    assert sorted(i for split in task.splits.values() for i in split["idx"]) == list(range(12))


def test_other_file_kinds(tmp_path):
    (tmp_path / "train.xlsx").write_bytes(b"PK")
    assert_data_error(lambda: load_nli(tmp_path / "train.xlsx"), "'.xlsx'", ".parquet, .jsonl")


def test_no_read_permission(tmp_path, monkeypatch):
    good().to_csv(tmp_path / "train.csv")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert_data_error(lambda: load_nli(tmp_path), "train.csv", "Permission denied")


def test_task_columns(tmp_path):
    good().to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_task(tmp_path, text="sentence"), "'sentence'", "'premise'")
    assert_data_error(lambda: load_task(tmp_path, text=()), "one or two text columns")
    assert_data_error(lambda: load_task(tmp_path, text=("premise", "premise")), "one or two")
    assert_data_error(
        lambda: load_task(tmp_path, text="premise", split_names={"train": "training"}), "'training'", "train"
    )
    good().assign(label=range(1990, 2002)).to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_task(tmp_path, text="premise"), "1990", "1000 classes", "labels=")
    good().assign(label=["a", "1"] * 6).to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_task(tmp_path, text="premise"), "partly names, partly numbers")


def test_generator_arguments_belong_to_the_generator(tmp_path):
    good().to_parquet(tmp_path / "train.parquet")
    assert_data_error(lambda: load_nli(tmp_path, rows=5), "rows", "subsample")


def test_a_development_slice_larger_than_the_data():
    task = load_nli("embedded", rows=60)
    assert_data_error(lambda: development(task, 4000), "4000", "8000", "60", "development_rows")
    for call in (lambda: subsample(task, 0), lambda: subsample(task, 5, -1)):
        assert_data_error(call, "1 or more")


def test_hub_id_offline_is_one_error_with_the_ways_out(tmp_path):
    code = (
        "from seo_core.data import load_nli\n"
        "try: load_nli('nobody-here/no-such-set:x')\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    environment = dict(
        os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path), PYTHONPATH=str(Path(__file__).parents[2])
    )
    pytest.importorskip("datasets")
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("DataError 'nobody-here/no-such-set:x'")
    assert "embedded" in lines[0] and "HF_HUB_OFFLINE" in lines[0]


def test_hub_id_without_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert_data_error(lambda: load_nli("nyu-mll/multi_nli"), "pip install datasets")


def test_hub_sets_are_read_in_chunks(monkeypatch):
    datasets = pytest.importorskip("datasets")
    frame = good()
    loaded = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_pandas(frame),
            "validation_matched": datasets.Dataset.from_pandas(frame.assign(premise="Other.")),
        }
    )
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *a: asked.append(a) or loaded)
    task = load_nli("nyu-mll/glue:mnli")
    assert asked == [("nyu-mll/glue", "mnli")] and task.name == "nyu-mll/glue:mnli"
    assert task["train"]["premise"].tolist() == frame["premise"].tolist()
