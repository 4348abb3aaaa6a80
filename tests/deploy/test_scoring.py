"""Scoring files: what `predict` says, each row once, whatever stops it in between."""

import contextlib
import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import seo_core
from seo_core import run
from seo_core.checks import SettingsError
from seo_core.deploy.artifact import ArtifactError
from seo_core.deploy.scoring import SUMMARY, Scored, ScoringError, score

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["a", "man", "sleeps", "person", "rests", "nobody", "the", "dog", "runs", "on", "grass"]


@pytest.fixture
def folder(tiny_artifact, tmp_path, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return tiny_artifact(tmp_path / "art")


def frame(n, seed=0):
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 90 if i % 50 == 7 else 12))) for i in range(2 * n)]
    return pd.DataFrame({"premise": texts[:n], "hypothesis": texts[n:], "key": [f"k{i}" for i in range(n)]})


@pytest.fixture
def rows(tmp_path):
    """A function writing n rows as parquet, in groups of 70, and giving the file and the frame."""

    def make(n=400):
        path = tmp_path / "rows.parquet"
        frame(n).to_parquet(path, row_group_size=70)
        return path, frame(n)

    return make


def parts(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.name != SUMMARY}


@pytest.mark.filterwarnings("ignore:.*were cut")
@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz"])
def test_the_answers_are_those_of_predict_in_the_order_of_the_file(folder, rows, tmp_path, ending):
    path, table = rows()
    if ending != "parquet":
        lines = table.to_json(orient="records", lines=True).encode()
        path = path.with_name(f"rows.{ending}")
        path.write_bytes(gzip.compress(lines) if ending.endswith("gz") else lines)
    done = score(folder, path, tmp_path / "out", id="key", part_rows=150)
    model, pairs = seo_core.load(folder), list(zip(table["premise"], table["hypothesis"], strict=True))
    scores = pd.read_parquet(tmp_path / "out")
    assert list(scores.columns) == ["row", "key", "label", *(f"p_{label}" for label in model.labels)]
    assert scores["row"].tolist() == list(range(1, 401)) and scores["key"].tolist() == table["key"].tolist()
    assert scores["label"].tolist() == model.predict(pairs)
    np.testing.assert_allclose(scores.iloc[:, 3:], model.probabilities(pairs), atol=1e-5)
    assert done == Scored(400, 0, int(model.read(pairs)[1].sum()), 3, True) and done.cut > 0
    assert json.loads((tmp_path / "out" / SUMMARY).read_text())["rows"] == 400


def test_other_columns_of_text_and_an_id_of_its_own_kind(folder, rows, tmp_path):
    path, table = rows(60)
    table = table.rename(columns={"premise": "left", "hypothesis": "right"}).assign(key=np.arange(60) * 10)
    table["left"] = table["left"].astype("category")
    table.to_parquet(path)
    score(folder, path, tmp_path / "out", text=["left", "right"], id="key")
    assert pq.read_schema(tmp_path / "out" / "part-00000.parquet").field("key").type == pa.int64()
    assert pd.read_parquet(tmp_path / "out")["key"].tolist() == table["key"].tolist()


@pytest.mark.slow
def test_killed_it_goes_on_and_says_the_same(folder, rows, tmp_path):
    path, _ = rows(3000)
    score(folder, path, tmp_path / "whole", part_rows=100)
    words = [sys.executable, "-m", "seo_core.run", "score", "--artifact", folder, "--data", path, "--out",
             tmp_path / "out", "--part-rows", "100"]
    process = subprocess.Popen(list(map(str, words)))
    while process.poll() is None and len(list((tmp_path / "out").glob("part*"))) < 3:
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part*")}
    assert len(there) >= 3
    for path_ in there:
        pq.read_table(path_)  # none is half-written
    assert score(folder, path, tmp_path / "out", part_rows=100).whole
    assert all(path.stat().st_mtime_ns == was for path, was in there.items()), "finished parts are kept"
    again = {name: content for name, content in parts(tmp_path / "out").items() if not name.startswith(".")}
    assert again == parts(tmp_path / "whole")


def test_a_damaged_part_is_made_again_and_one_of_something_else_refused(folder, rows, tmp_path):
    path, _ = rows()
    score(folder, path, tmp_path / "out", part_rows=100)
    whole, second = parts(tmp_path / "out"), tmp_path / "out" / "part-00001.parquet"
    for damage in (lambda b: b[:-20], lambda b: b[:200] + bytes([b[200] ^ 255]) + b[201:], lambda b: b""):
        second.write_bytes(damage(whole[second.name]))
        said = []
        score(folder, path, tmp_path / "out", part_rows=100, report=said.append)
        assert parts(tmp_path / "out") == whole and "part-00001.parquet is damaged, and is made again" in said
    with pytest.raises(ScoringError, match="holds the scores of other data.*choose another folder"):
        score(folder, path, tmp_path / "out", part_rows=50)
    frame(10).to_parquet(second)
    with pytest.raises(ScoringError, match="part-00001"):
        score(folder, path, tmp_path / "out", part_rows=100)


def test_two_ranks_together_are_one(folder, rows, tmp_path, monkeypatch):
    path, _ = rows()
    score(folder, path, tmp_path / "one", part_rows=90)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, whole in ((1, False), (0, True)):
        monkeypatch.setenv("RANK", str(rank))
        done = score(folder, path, tmp_path / "two", part_rows=90)
        assert done.whole is whole and (tmp_path / "two" / SUMMARY).is_file() is whole
    assert parts(tmp_path / "two") == parts(tmp_path / "one") and done.rows == 400
    assert (tmp_path / "two" / SUMMARY).read_text() == (tmp_path / "one" / SUMMARY).read_text()


@pytest.mark.parametrize("rank, world", [("2", "2"), ("-1", "2"), ("0", None), ("x", "2")])
def test_a_place_among_others_that_cannot_be_is_refused(folder, rows, tmp_path, monkeypatch, rank, world):
    monkeypatch.setenv("RANK", rank)
    if world:
        monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ScoringError, match="RANK is .* set both"):
        score(folder, rows(10)[0], tmp_path / "out")


@pytest.mark.slow
def test_processes_share_the_parts(folder, rows, tmp_path):
    path, _ = rows()
    score(folder, path, tmp_path / "one", part_rows=90)
    done = score(folder, path, tmp_path / "two", part_rows=90, processes=2)
    assert done == Scored(400, 0, done.cut, 5, True) and parts(tmp_path / "two") == parts(tmp_path / "one")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ScoringError, match=r"^rows.parquet cannot be read, perhaps it is cut short"):
        score(folder, path, tmp_path / "three", processes=2)


BAD = ['{"premise": 3, "hypothesis": "a dog"}', '{"premise": "a man"}', "[1]", '{"premise": "a man", "hyp',
       '{"premise": "\\ud800", "hypothesis": "a dog"}', '{"premise": null, "hypothesis": "a dog"}',
       b'{"premise": "\xff"}']


@pytest.mark.parametrize("line", BAD)
def test_a_bad_row_is_named_or_skipped_and_counted(folder, tmp_path, line):
    good = b'{"premise": "a man sleeps.", "hypothesis": "a dog", "n": 1}'
    line = line if isinstance(line, bytes) else line.encode()
    path, out = tmp_path / "rows.jsonl", tmp_path / "out"
    path.write_bytes(b"\n".join([good, b"", good, b"", b"", b"", line, good, b""]))
    with pytest.raises(ScoringError, match=r"^rows.jsonl, line 7: .*--bad skip") as error:
        score(folder, path, out, part_rows=2)
    assert "\n" not in str(error.value) and sorted(parts(out)) == ["part-00000.parquet", "part-00001.parquet",
                                                                 "part-00002.parquet"]
    done = score(folder, path, tmp_path / "skipped", part_rows=2, bad="skip", id="n")
    assert (done.rows, done.bad, done.whole) == (3, 1, True) and done.named[0].startswith("line 7: ")
    scores = pd.read_parquet(tmp_path / "skipped")
    assert scores["row"].tolist() == [1, 3, 8] and scores["n"].tolist() == ["1"] * 3


def test_missing_texts_in_parquet_are_bad_rows(folder, rows, tmp_path):
    path, table = rows(30)
    table.loc[12, "hypothesis"] = None
    table.to_parquet(path)
    with pytest.raises(ScoringError, match=r"rows.parquet, row 13: 'hypothesis' is missing"):
        score(folder, path, tmp_path / "out")
    assert score(folder, path, tmp_path / "out", bad="skip").rows == 29


@pytest.mark.parametrize("name, content, words", [
    ("rows.parquet", b"", "empty"), ("rows.jsonl", b"", "empty"), ("rows.jsonl", b"\n\n", "no JSON object"),
    ("rows.jsonl.gz", b"no gzip", "cannot be read"), ("rows.parquet", b"PAR1 and no more", "cannot be read"),
    ("rows.csv", b"premise,hypothesis", "use one of .parquet"), (None, b"", "no such file"),
    ("rows.jsonl", b'{"premis": "a", "hypothesis": "b"}', "no column 'premise'; did you mean 'premis'"),
    ("rows.jsonl.gz", gzip.compress(b'{"premise": "a", "hypothesis": "b"}\n' * 999)[:-9], "cannot be read")])
def test_files_that_are_none_are_one_clear_error(folder, tmp_path, name, content, words):
    path = tmp_path / (name or "absent.jsonl")
    if name:
        path.write_bytes(content)
    with pytest.raises(ScoringError, match=words) as error:
        score(folder, path, tmp_path / "out")
    assert path.name in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() or not parts(tmp_path / "out")


def test_a_table_without_rows_or_without_text_is_refused(folder, tmp_path):
    frame(0).to_parquet(tmp_path / "none.parquet")
    frame(5).assign(premise=1).to_parquet(tmp_path / "numbers.parquet")
    frame(5).to_parquet(tmp_path / "rows.parquet")
    for name, options, words in [("none", {}, "object|no rows|no text"), ("numbers", {}, "'premise' holds int64"),
                                 ("rows", {"text": ["premise"]}, "reads 2 texts"), ("rows", {"id": "nokey"}, "'nokey'"),
                                 ("rows", {"text": "premise"}, "the columns premise were given"),
                                 ("rows", {"id": "label"}, "id column is called 'label'|no column 'label'")]:
        with pytest.raises(ScoringError, match=words):
            score(folder, tmp_path / f"{name}.parquet", tmp_path / "out", **options)
    for options in ({"part_rows": 0}, {"batch_size": 0}, {"processes": 0}, {"bad": "ignore"}):
        with pytest.raises(SettingsError):
            score(folder, tmp_path / "rows.parquet", tmp_path / "out", **options)


def test_a_damaged_artifact_scores_nothing(folder, rows, tmp_path):
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactError, match="model.onnx does not have the sha256"):
        score(folder, rows(10)[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_accelerate_launch_gives_each_process_its_share(folder, rows, tmp_path):
    """As deploy/accelerate/ddp.yaml starts two of them."""
    path, _ = rows()
    words = ["score", "--artifact", folder, "--data", path, "--part-rows", 50, "--threads", 1, "--out"]
    config = ROOT / "deploy" / "accelerate" / "ddp.yaml"
    launch = ["-m", "accelerate.commands.launch", "--config_file", config, "--module"]
    done = subprocess.run([sys.executable, *map(str, [*launch, "seo_core.run", *words, tmp_path / "both"])], text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" rows in ") == 2, "each process says what there is"
    assert run.main([*map(str, [*words, tmp_path / "one"])]) == 0
    assert parts(tmp_path / "both") == parts(tmp_path / "one") and len(parts(tmp_path / "one")) == 8
    assert (tmp_path / "both" / SUMMARY).is_file()


def test_a_full_disk_leaves_nothing_half_written(folder, rows, tmp_path, monkeypatch):
    path, _ = rows()
    write, calls = pq.write_table, []

    def full(table, where, **options):
        write(table, where, **options)
        calls.append(where)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(ScoringError, match="part-00002.parquet of out: the disk is full.*same command goes on"):
        score(folder, path, tmp_path / "out", part_rows=100)
    assert sorted(parts(tmp_path / "out")) == ["part-00000.parquet", "part-00001.parquet"]
    assert score(folder, path, tmp_path / "out", part_rows=100).rows == 400 and len(calls) == 5


def test_a_file_stands_where_the_folder_should_be(folder, rows, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ScoringError, match="a file stands where the folder should be"):
        score(folder, rows(10)[0], tmp_path / "out")


def test_the_command_says_what_it_did(folder, rows, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "0")
    path, _ = rows(90)
    words = ["score", "--artifact", str(folder), "--data", str(path), "--out", str(tmp_path / "out"),
             "--part-rows", "40"]
    assert run.main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith(f"{tmp_path / 'out'}: 90 rows in 3 parts") and "% of rows.parquet" in out[0]
    assert run.main([*words, "--bad", "ignore"]) == 2
    assert "bad must be one of stop, skip" in capsys.readouterr().err
    assert run.main([*words[:-1], "30"]) == 1
    assert capsys.readouterr().err.startswith("error: out holds the scores of other data")


def test_it_needs_no_torch(folder, rows, tmp_path):
    code = f"""
import sys
for name in ("torch", "transformers", "tqdm", "psutil"):
    sys.modules[name] = None
from seo_core.deploy.scoring import score
print(score({str(folder)!r}, {str(rows(50)[0])!r}, {str(tmp_path / "out")!r}).rows)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "50"


def test_a_process_that_is_killed_is_said_and_the_others_end(folder, rows, tmp_path, monkeypatch):
    """The command goes on from there."""
    path, _ = rows()
    started, whole = [], subprocess.Popen

    def popen(words, **options):
        started.append(whole(words, **options))
        if len(started) == 2:
            started[1].kill()
        return started[-1]

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", popen)
        with pytest.raises(ScoringError, match="a process ended with -9: the same command goes on"):
            score(folder, path, tmp_path / "out", part_rows=50, processes=2)
    assert all(process.poll() is not None for process in started)
    assert score(folder, path, tmp_path / "out", part_rows=50).rows == 400
