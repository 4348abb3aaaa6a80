"""Loading: one content, many formats, one result; cleaning, splits, and the real sets where they are."""

import csv
import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seo_core import load_settings
from seo_core.data import (
    NLI_LABELS,
    clean,
    development,
    fold,
    generate_nli,
    load_nli,
    load_task,
    premise_groups,
    premise_key,
    prepare,
    subsample,
)
from seo_core.data.readers import split_of

REAL = Path(os.environ.get("SEO_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
needs_real = pytest.mark.skipif(
    not (REAL / "mnli").is_dir(), reason="no real data: set SEO_TEST_DATA to its folder"
)

# --- writers, one per format -------------------------------------------------------------------------------


def to_parquet(folder, splits):
    for name, frame in splits.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)


def to_card(folder, splits):
    (folder / "parts").mkdir()
    lines = ["---", "license: other", "configs:", "- config_name: default", "  data_files:"]
    for k, (name, frame) in enumerate(splits.items()):
        half = len(frame) // 2
        frame.iloc[:half].to_parquet(folder / "parts" / f"part{k}-x0.parquet")
        frame.iloc[half:].to_parquet(folder / "parts" / f"part{k}-x1.parquet")
        lines.append(f"  - {{split: {name}, path: 'parts/part{k}-*.parquet'}}")
    (folder / "README.md").write_text("\n".join([*lines, "---", "A card."]))


def to_jsonl(folder, splits):
    """MultiNLI's own layout: gold_label as a name, sentence1, sentence2 and columns nobody asked for."""
    names = {
        "train": "multinli_1.0_train",
        "validation_matched": "multinli_1.0_dev_matched",
        "validation_mismatched": "multinli_1.0_dev_mismatched",
    }
    for name, frame in splits.items():
        with (folder / f"{names[name]}.jsonl").open("w", encoding="utf-8") as out:
            for i, row in enumerate(frame.itertuples()):
                gold = (
                    None if pd.isna(row.label) else ("-" if row.label == -1 else NLI_LABELS[int(row.label)])
                )
                out.write(
                    json.dumps(
                        {
                            "annotator_labels": [gold],
                            "genre": row.genre,
                            "gold_label": gold,
                            "pairID": f"{i}n",
                            "sentence1": row.premise if isinstance(row.premise, str) else None,
                            "sentence2": row.hypothesis if isinstance(row.hypothesis, str) else None,
                            "sentence1_parse": "(ROOT)",
                        },
                        ensure_ascii=i % 2 == 0,
                    )
                    + "\n"
                )


def to_tsv(folder, splits):
    """GLUE's layout: many columns, no quoting; a text's own tabs and line ends would have to be folded."""
    names = {"train": "train", "validation_matched": "dev_matched", "validation_mismatched": "dev_mismatched"}
    for name, frame in splits.items():
        with (folder / f"{names[name]}.tsv").open("w", encoding="utf-8", newline="") as out:
            out.write(
                "\t".join(
                    ["index", "promptID", "pairID", "genre", "sentence1_parse"]
                    + ["sentence1", "sentence2", "label1", "gold_label"]
                )
                + "\n"
            )
            for i, row in enumerate(frame.itertuples()):
                gold = "" if pd.isna(row.label) else ("-" if row.label == -1 else NLI_LABELS[int(row.label)])
                pair = ["" if pd.isna(t) else fold(t) for t in (row.premise, row.hypothesis)]
                out.write("\t".join([str(i), "1", f"{i}e", row.genre, "(", *pair, "neutral", gold]) + "\n")


def to_csv(folder, splits):
    for name, frame in splits.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["id", "hypothesis", "premise", "label", "genre"])
            for i, row in enumerate(frame.itertuples()):
                writer.writerow(
                    ["" if pd.isna(v) else v for v in (i, row.hypothesis, row.premise, row.label, row.genre)]
                )


def to_saved(folder, splits):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    datasets.DatasetDict(
        {n: datasets.Dataset.from_pandas(f, preserve_index=False) for n, f in splits.items()}
    ).save_to_disk(folder)


FORMATS = [to_parquet, to_card, to_jsonl, to_tsv, to_csv, to_saved]


def assert_same(a, b):
    assert (a.texts, a.labels, a.fingerprint) == (b.texts, b.labels, b.fingerprint)
    assert list(a.splits) == list(b.splits)
    for name in a.splits:
        pd.testing.assert_frame_equal(a[name], b[name])
    pd.testing.assert_frame_equal(a.report, b.report)


@pytest.mark.slow
@pytest.mark.parametrize("write", FORMATS, ids=lambda f: f.__name__)
def test_every_format_gives_what_the_generator_gave(tmp_path, write):
    splits = {n: f.drop(columns="phenomenon") for n, f in generate_nli(900, evaluation_rows=90).items()}
    write(tmp_path, splits)
    task = load_nli(tmp_path)
    reference = load_nli("embedded", rows=900)
    assert task.fingerprint == load_nli(tmp_path).fingerprint
    for name, frame in splits.items():
        pd.testing.assert_frame_equal(
            task[name], frame[["premise", "hypothesis", "label", "genre", "idx"]], check_dtype=False
        )
    assert task.name == f"path/to/{tmp_path.name}" and reference.name == "embedded"
    assert list(reference["train"].columns) == list(task["train"].columns)
    assert (reference["train"].dtypes == task["train"].dtypes).all()
    assert isinstance(task["train"].index, pd.RangeIndex)


texts = st.one_of(
    st.none(),
    # a text in quotation marks as a whole may look quoted in a tsv
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"'), max_size=12),
    st.sampled_from(["a  b", "Cafe\u0301", "Caf\u00e9", 'Don\'t "go"', "x\u2028y", "-", "nan", "1", ""]),
)
rows = st.lists(
    st.tuples(texts, texts, st.sampled_from([0, 1, 2, -1]), st.sampled_from(["", "fiction"])), max_size=12
)


@pytest.mark.slow
@given(rows, rows)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_same_result_whatever_the_format(tmp_path_factory, train, validation):
    anchor = [("The anchor row of this split.", "It stays.", 1, "travel")]
    splits = {
        n: pd.DataFrame(r, columns=["premise", "hypothesis", "label", "genre"]).astype({"label": "int64"})
        for n, r in (
            ("train", [("Train anchor", "stays", 0, ""), *train]),
            ("validation_matched", anchor + validation),
        )
    }
    results = []
    for write in FORMATS[:-1]:
        folder = tmp_path_factory.mktemp("same")
        write(folder, splits)
        results.append(load_nli(folder))
    for other in results[1:]:
        assert_same(results[0], other)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_folding_is_idempotent_and_leaves_no_white_space(text):
    folded = fold(text)
    assert fold(folded) == folded
    assert unicodedata.is_normalized("NFC", folded) and folded.split(" ") == (folded.split() or [""])


# --- cleaning ----------------------------------------------------------------------------------------------


def counts(task, split="train"):
    return task.report[task.report["split"] == split].set_index("reason")["rows"].to_dict()


def test_each_drop_is_counted_by_its_reason(tmp_path):
    train = [
        ("A man sleeps.", "He sleeps.", 0),
        ("A  man\tsleeps. ", "He sleeps.", 0),
        ("A man sleeps.", "He sleeps.", 2),
        ("No label.", "x", -1),
        (None, "x", 1),
        ("Empty.", "  ", 1),
        ("Caf\u00e9", "y", 1),
        ("Cafe\u0301", "y", 1),
        ("IT IS, late.", "z", 2),
        ("Kept.", "k", 2),
    ]
    val = [("It is late", "w", 0), ("Other", "o", 1)]
    for name, part in (("train", train), ("validation_matched", val)):
        pd.DataFrame(part, columns=["premise", "hypothesis", "label"]).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    task = load_nli(tmp_path)
    assert counts(task) == {
        "read": 10,
        "no gold label": 1,
        "missing text": 2,
        "duplicate": 2,
        "duplicate with another label": 1,
        "premise also in an evaluation split": 1,
        "kept": 3,
    }
    assert task["train"]["premise"].tolist() == ["A man sleeps.", "Caf\u00e9", "Kept."]
    assert task["train"]["idx"].tolist() == [0, 6, 9]
    assert set(task["train"]["genre"]) == {""}


def test_report_adds_up():
    task = load_nli("embedded", rows=900)
    for split in task.splits:
        c = counts(task, split)
        assert (
            c["read"] - sum(v for k, v in c.items() if k not in ("read", "kept"))
            == c["kept"]
            == len(task[split])
        )


def test_clean_takes_a_frame():
    frame = pd.DataFrame(
        {"premise": ["a", "a", None], "hypothesis": ["b", "b", "c"], "label": ["neutral", 1, 0]}
    )
    kept, drops = clean(frame)
    assert kept["label"].tolist() == [1] and drops["duplicate"] == 1 and drops["missing text"] == 1


def test_premise_key_ignores_spacing_case_and_marks():
    assert (
        premise_key("Well , it 's LATE.") == premise_key("well, it's late") != premise_key("Well, it is late")
    )
    assert premise_key("?!") == "?!"


def test_label_spellings(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text(
        "premise,hypothesis,label\na,x,Entailment\nb,x,2\nc,x,1.0\nd,x,-\ne,x,-1\nf,x,\ng,x, neutral \n"
    )
    task = load_task(path, text=["premise", "hypothesis"], labels=NLI_LABELS)
    assert task["train"]["label"].tolist() == [0, 2, 1, 1] and counts(task)["no gold label"] == 3


def test_csv_cells_with_commas_quotes_and_line_ends(tmp_path):
    (tmp_path / "t.csv").write_text('sentence,label\n"one, ""two""\nthree",1\nplain,0\n')
    task = load_task(tmp_path / "t.csv", text="sentence")
    assert task["train"]["sentence"].tolist() == ['one, "two" three', "plain"]


def test_tsv_quotation_marks_are_characters(tmp_path):
    (tmp_path / "train.tsv").write_text('sentence\tlabel\n"open\t1\nnext "one"\t0\n')
    assert load_task(tmp_path, text="sentence")["train"]["sentence"].tolist() == ['"open', 'next "one"']


def test_byte_order_mark_and_crlf(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbfsentence,label\r\nhello,1\r\nworld,0\r\n")
    assert load_task(tmp_path, text="sentence")["train"]["sentence"].tolist() == ["hello", "world"]


# --- tasks -------------------------------------------------------------------------------------------------


def test_named_classes_are_numbered_in_order(tmp_path):
    pd.DataFrame({"t": ["a", "b", "c"], "y": ["sport", "arts", "sport"]}).to_csv(tmp_path / "train.csv")
    task = load_task(tmp_path, text="t", label="y")
    assert task.labels == ("arts", "sport") and task["train"]["label"].tolist() == [1, 0, 1]


def test_split_names_and_secret_test_labels(tmp_path):
    for name, label in (("train", 1), ("dev", 0), ("test", -1)):
        pd.DataFrame({"q": [f"{name} one", f"{name} two"], "label": [label, label]}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    task = load_task(tmp_path, text="q")
    assert list(task.splits) == ["train", "validation"]
    assert counts(task, "test")["no gold label"] == 2
    assert list(
        load_task(tmp_path, text="q", split_names={"train": "train", "held": "validation"}).splits
    ) == ["train", "held"]


def test_single_file_gives_a_tenth_of_its_premises_to_validation(tmp_path):
    generate_nli(600)["train"].to_csv(tmp_path / "pairs.csv", index=False)
    task = load_nli(tmp_path / "pairs.csv")
    assert 40 <= len(task["validation_matched"]) <= 80
    assert not set(task["train"]["premise"]) & set(task["validation_matched"]["premise"])
    assert any("moved to validation_matched" in reason for reason in task.report["reason"])


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("train", "train"),
        ("train-00000-of-00002", "train"),
        ("multinli_1.0_dev_matched", "validation_matched"),
        ("snli_1.0_dev", "validation"),
        ("dev_mismatched", "validation_mismatched"),
        ("test_matched", "test_matched"),
        ("validation_mismatched-00000-of-00001", "validation_mismatched"),
        ("contest", None),
        ("deviation", None),
    ],
)
def test_split_names_of_files(stem, split):
    assert split_of(stem) == split


def test_fingerprint_follows_content_order_and_labels(tmp_path):
    frame = pd.DataFrame({"t": ["a", "b", "c"], "label": [0, 1, 0]})
    seen = set()
    for i, version in enumerate(
        [frame, frame.iloc[::-1], frame.assign(label=[0, 1, 1]), frame.assign(t=["a", "b", "d"])]
    ):
        version.to_parquet(tmp_path / f"{i}.parquet")
        seen.add(load_task(tmp_path / f"{i}.parquet", text="t").fingerprint)
    assert len(seen) == 4 and all(len(f) == 16 for f in seen)


@pytest.mark.slow
def test_fingerprint_is_the_same_in_another_process():
    code = "from seo_core.data import load_nli; print(load_nli(rows=600).fingerprint)"
    root = Path(__file__).resolve().parents[2]
    environment = dict(os.environ, PYTHONHASHSEED="7", PYTHONPATH=str(root))
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == load_nli(rows=600).fingerprint


@pytest.mark.slow
def test_files_load_without_datasets(tmp_path):
    """A training machine with pyarrow alone: neither datasets nor torch is imported by loading."""
    splits = {n: f.drop(columns="phenomenon") for n, f in generate_nli(60, evaluation_rows=30).items()}
    for write in (to_parquet, to_saved):
        (tmp_path / write.__name__).mkdir()
        write(tmp_path / write.__name__, splits)
    code = (
        "import sys; sys.modules['datasets'] = None; sys.modules['torch'] = None\n"
        "from seo_core.data import load_nli\n"
        f"a, b = (load_nli({str(tmp_path)!r} + '/to_' + kind) for kind in ('parquet', 'saved'))\n"
        "print(a.fingerprint == b.fingerprint)"
    )
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ, PYTHONPATH=str(root)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "True"


def test_only_the_needed_columns_are_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"sentence": ["a", "b"], "label": [0, 1], "blob": [b"\xff" * 1000] * 2})
    pq.write_table(table, tmp_path / "train.parquet")
    data = bytearray((tmp_path / "train.parquet").read_bytes())
    blob = pq.ParquetFile(tmp_path / "train.parquet").metadata.row_group(0).column(2)
    start = blob.dictionary_page_offset or blob.data_page_offset
    data[start : start + blob.total_compressed_size] = (
        b"\0" * blob.total_compressed_size
    )  # unreadable, if it were read
    (tmp_path / "train.parquet").write_bytes(data)
    assert len(load_task(tmp_path, text="sentence")["train"]) == 2


# --- splits ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grouped():
    """A task whose premises carry one to three hypotheses each, as MNLI's do."""
    task = load_nli("embedded", rows=1500)
    train = task["train"].copy()
    train["premise"] = [f"Premise number {i // 3 if i < 900 else i}." for i in range(len(train))]
    return replace(task, splits={**task.splits, "train": train})


def test_development_takes_premises_whole(grouped):
    task = development(grouped, 400)
    assert list(task.splits)[:3] == ["train", "reward", "acceptance"]
    assert 200 <= len(task["reward"]) <= 202 and 200 <= len(task["acceptance"]) <= 202
    parts = [set(task[s]["premise"]) for s in ("train", "reward", "acceptance")]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sum(len(task[s]) for s in ("train", "reward", "acceptance")) == len(grouped["train"])
    assert task.fingerprint == grouped.fingerprint and task.evaluation == grouped.evaluation


def test_subsample_is_nested_seeded_and_keeps_evaluation_fixed(grouped):
    large, small = (set(subsample(grouped, n, seed=1)["train"]["idx"]) for n in (800, 400))
    assert len(large) == 800 and small < large
    assert set(subsample(grouped, 400, seed=2)["train"]["idx"]) != small
    a, b = (subsample(grouped, 100, 50, seed=s)["validation_matched"] for s in (1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert len(subsample(grouped, 10**6)["train"]) == len(grouped["train"])


@pytest.mark.slow
def test_prepare_under_quick():
    a, b = (prepare(load_settings("quick", seed=s)) for s in (0, 1))
    assert {s: len(f) for s, f in a.splits.items()} == {
        "train": 1536,
        "reward": 192,
        "acceptance": 192,
        "validation_matched": 384,
        "validation_mismatched": 384,
    }
    assert a.fingerprint == b.fingerprint and not a["train"].equals(b["train"])
    for split in ("reward", "acceptance", "validation_matched"):
        pd.testing.assert_frame_equal(a[split], b[split])


def test_premise_groups_number_from_zero():
    frame = pd.DataFrame({"p": ["A b.", "c", "a  b"]})
    assert premise_groups(frame, "p").tolist() == [0, 1, 0]


# --- the real sets -----------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_real
def test_real_mnli():
    task = load_nli(REAL / "mnli")
    assert counts(task)["premise also in an evaluation split"] == 45
    assert {s: counts(task, s)["read"] for s in task.splits} == {
        "train": 34113,
        "validation_matched": 9815,
        "validation_mismatched": 9832,
    }
    keys = [{premise_key(p) for p in task[s]["premise"]} for s in task.splits]
    assert not (keys[0] & keys[1] or keys[0] & keys[2])
    assert 0.3 < (task["train"]["genre"] == "").mean() < 0.4


@pytest.mark.slow
@needs_real
@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("sst2", "sentence", 872),
        ("cola", "sentence", 1043),
        ("rte", ("sentence1", "sentence2"), 277),
        ("mrpc", ("sentence1", "sentence2"), 1725),
    ],
)
def test_real_tasks(name, text, rows):
    task = load_task(REAL / name, text=text)
    assert counts(task, "validation")["read"] == rows and task.labels == ("0", "1")
    assert np.bincount(task["train"]["label"]).min() > 0


@needs_real
def test_real_snli_reads_validation_as_matched():
    task = load_nli(REAL / "snli")
    assert list(task.splits) == ["train", "validation_matched"] and len(task["validation_matched"]) > 9800
