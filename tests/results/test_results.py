"""The results store: what is written comes back, and nothing is ever half-written."""

import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from seo_core import load_settings, results
from seo_core.analysis import statistics
from seo_core.results import provenance, store
from seo_core.results.schema import ResultsError

TASK = SimpleNamespace(name="embedded", fingerprint="0123456789abcdef",
                       splits={"train": range(100), "reward": range(10), "acceptance": range(10),
                               "validation_matched": range(7)})
MODEL = {"name": "bundled", "fingerprint": "feedfacefeedface", "parameters": 22_713_216}
CLASSES = {"validation_matched": np.array([0, 1, 2, 0, 1, 2, 0])}


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """A book of its own for each test: records land in it and nowhere else."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(tmp_path))
    monkeypatch.setattr("os.fsync", lambda _: None)  # slow on a busy disk
    return tmp_path


def write(configuration="base", *, seed=0, profile="quick", task=TASK, metrics=None, overrides=None, **extra):
    settings = load_settings(profile, seed=seed, **(overrides or {}))
    return results.write("02_baseline", configuration, settings=settings, data=task, model_info=MODEL,
                         metrics={"accuracy_matched": 0.5} if metrics is None else metrics, **extra)


def record():
    return json.loads(write().read_text())


def names(folder):
    return sorted(p.name for p in folder.iterdir())


# ---- round trip


def test_a_record_comes_back_as_it_was_written(book):
    path = write(seed=3, metrics={"accuracy_matched": np.float32(0.5), "train_examples": np.int64(7)},
                 series={"epoch": [1, 2], "train_loss": np.array([1.5, math.nan])}, parameters={"note": "x"},
                 predictions=CLASSES, started=time.time() - 5)
    assert path.parent == book / "_build" / "results" / "quick" / "02_baseline"
    assert path.name.startswith("base-") and path.name.endswith("-seed3.json")
    (found,) = results.load_records("_build/results")
    assert found["metrics"] == {"accuracy_matched": 0.5, "train_examples": 7}
    assert found["series"] == {"epoch": [1, 2], "train_loss": [1.5, None]}
    assert found["parameters"]["note"] == "x" and found["parameters"]["epochs"] == 2
    assert found["data"] == {"name": "embedded", "fingerprint": TASK.fingerprint, "train_rows": 100,
                             "labels_used": 120}
    assert found["path"] == path.relative_to(book).as_posix()
    source = found["provenance"]
    assert source["started"] < source["finished"] and source["code_hash"] == results.code_hash()
    assert source["command"].startswith("python -m seo_core.run chapter 02_baseline --profile quick --seed 3")
    assert source["machine"]["cores"] >= 1 and source["packages"]["numpy"] == np.__version__
    assert np.array_equal(results.predictions(found["path"])["validation_matched"], [0, 1, 2, 0, 1, 2, 0])


def test_the_frame_is_tidy_sorted_and_without_duplicates():
    for seed in (2, 0, 1):
        write(seed=seed, metrics={"accuracy_matched": 0.1 * seed}, series={"development_accuracy": [0.2,
                                                                                                    0.4]})
    write("da", metrics={"perplexity": 2.0})
    frame = results.load("_build/results", "_build/results/quick")
    assert list(frame["configuration"]) == ["base", "base", "base", "da"]
    assert list(frame["seed"][:3]) == [0, 1, 2] and frame["hash8"].nunique() == 1
    assert list(frame["accuracy_matched"][:3]) == pytest.approx([0.0, 0.1, 0.2])
    assert math.isnan(frame["perplexity"][0]) and frame["perplexity"][3] == 2.0
    assert frame["first_development_accuracy"][0] == 0.2 and frame["final_development_accuracy"][0] == 0.4
    assert frame["param_epochs"].eq(2).all()


def test_curves_and_contestants_come_back_in_long_form():
    write(series={"epoch": [0.5, 1.0], "train_accuracy": [0.3, 0.4], "odd": [1.0, 2.0, 3.0]},
          contestants={"ours": {"examples_per_second": 145.0}, "trainer": {"examples_per_second": 120.0}})
    curves = results.load_series("_build/results").set_index(["name", "step"])["value"]
    assert curves["train_accuracy", 0.5] == 0.3 and curves["odd", 3] == 3.0
    contests = results.load_contestants("_build/results").set_index("contestant")
    assert contests.loc["ours", "examples_per_second"] == 145.0 and contests.loc["trainer", "seed"] == 0


def test_this_run_leaves_out_other_data_models_and_profiles():
    write(series={"train_loss": [1.0]})
    write(task=SimpleNamespace(**{**vars(TASK), "name": "snli", "fingerprint": "5" * 16}))
    write(profile="cpu")
    frame, settings = results.load("_build/results"), load_settings("quick")
    assert len(frame) == 3 and list(results.matching(frame, settings)["data_name"]) == ["embedded"]
    assert len(results.matching(results.load_series("_build/results"), settings)) == 1
    assert results.matching(results.load("nowhere"), settings).empty


def test_no_records_is_an_empty_frame_and_a_missing_folder_an_error_on_request():
    assert results.load().empty and "accuracy_matched" not in results.load()
    assert {"configuration", "path", "commit"} <= set(results.load("nowhere").columns)
    with pytest.raises(ResultsError, match="no results folder"):
        results.load("nowhere", missing_ok=False)


def test_the_reference_folder_is_the_books(book):
    assert results.reference_dir() == book / "book" / "reference"
    write(overrides={"results_dir": "book/reference"})
    assert list(results.load()["path"])[0].startswith("book/reference/quick/02_baseline/base-")


def test_metrics_are_absent_never_null():
    path = write(metrics={"accuracy_matched": 0.5, "latency_ms_p50": None, "perplexity": math.inf})
    assert json.loads(path.read_text())["metrics"] == {"accuracy_matched": 0.5, "non_finite": 1}


def test_a_wall_clock_taken_while_others_worked_is_no_cost():
    seconds = {"train_seconds": 60.0, "examples_per_second": 200.0, "train_examples": 12_000}
    disturbed = json.loads(write(metrics={**seconds, "other_load": 0.7}).read_text())["metrics"]
    assert disturbed == {"train_examples": 12_000, "other_load": 0.7}
    quiet = {**seconds, "other_load": 0.02}
    assert json.loads(write(metrics=quiet).read_text())["metrics"] == quiet


def test_no_machine_path_gets_into_a_record(tmp_path):
    task = SimpleNamespace(**{**vars(TASK), "name": str(tmp_path / "mnli")})
    path = write(task=task, overrides={"data": str(tmp_path / "mnli"), "model": str(tmp_path / "net"),
                                       "results_dir": str(tmp_path / "elsewhere")})
    text = path.read_text()
    assert str(tmp_path) not in text and "path/to/mnli" in text and "--model path/to/net" in text
    assert not results.load(tmp_path / "elsewhere")["path"].str.contains(str(tmp_path)).any()


def test_records_outside_the_book_keep_apart_and_keep_their_predictions(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    (inner / "book").mkdir(parents=True)
    (inner / "book" / "manifest.yml").write_text("")
    monkeypatch.setenv("SEO_BOOK", str(inner))
    for name, value in (("a", 0), ("b", 1)):
        write(overrides={"results_dir": str(tmp_path / name / "runs")},
              predictions={"validation_matched": np.array([value])})
    frame = results.load(tmp_path / "a" / "runs", tmp_path / "b" / "runs")
    assert frame["path"].nunique() == 2 and frame["path"].str.startswith("path/to/").all()
    assert sorted(int(results.predictions(p)["validation_matched"][0]) for p in frame["path"]) == [0, 1]


def test_hash8_covers_parameters_data_and_model_but_not_the_seed():
    def name(**changes):
        return write(**changes).name.rsplit("-", 1)[0]

    assert name(seed=0) == name(seed=5)
    assert name(parameters={"training": {"seed": 0}}) == name(parameters={"training": {"seed": 1}})
    others = [name(), name(overrides={"epochs": 9}), name(parameters={"temperature": 2.0}),
              name(task=SimpleNamespace(**{**vars(TASK), "fingerprint": "fedcba9876543210"}))]
    assert len(set(others)) == 4


def test_predictions_are_small_and_logits_only_on_request():
    logits = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    labels = {"validation_matched": logits.argmax(1) * 0}
    kept = results.predictions(write(predictions={"validation_matched": logits}, labels=labels))
    assert set(kept) == {"validation_matched", "validation_matched_correct"}
    assert kept["validation_matched"].dtype == np.uint8
    assert np.array_equal(kept["validation_matched_correct"], logits.argmax(1) == 0)
    kept = results.predictions(write(predictions={"validation_matched": logits}, logits=True))
    assert kept["validation_matched_logits"].dtype == np.float16
    assert np.allclose(kept["validation_matched_logits"], logits, atol=1e-2)
    kept = results.predictions(write(predictions={"validation_matched": logits[:, :1]},
                                     labels={"validation_matched": np.linspace(0, 5, 7)}))
    assert set(kept) == {"validation_matched_logits", "validation_matched_labels"}  # scores, which have no class
    assert np.allclose(kept["validation_matched_labels"], np.linspace(0, 5, 7), atol=1e-2)
    assert results.predictions(write()) == {}  # a rerun without predictions takes the old ones away


@pytest.mark.slow
@hypothesis_settings(max_examples=30, deadline=None,
                     suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(metrics=st.dictionaries(st.text(min_size=1, max_size=12), st.floats(-1e12, 1e12), max_size=6),
       curve=st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), max_size=6),
       extra=st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=5),
                                                            st.booleans()),
                             max_size=4))
def test_any_numbers_survive_the_round_trip(metrics, curve, extra):
    path = write(metrics=metrics, series={"curve": curve}, parameters=extra)
    found = next(r for r in results.load_records(path))
    assert found["metrics"] == metrics and found["series"]["curve"] == curve
    assert {k: found["parameters"][k] for k in extra} == extra
    assert results.load(path).shape[0] == 1
    path.unlink()


@hypothesis_settings(max_examples=40, deadline=None,
                     suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-200, 70_000), max_size=20))
def test_any_classes_survive_in_the_smallest_type(classes):
    stored = store._prediction_arrays({"s": np.array(classes, dtype=np.int64)}, None, False)["s"]
    assert stored.tolist() == classes
    if classes and min(classes) >= 0 and max(classes) < 256:
        assert stored.dtype == np.uint8


# ---- the schema


@pytest.mark.parametrize("key", [k for k, f in results.SCHEMA.items() if f.required])
def test_each_missing_key_is_named(key):
    broken = record()
    holder, _, name = key.rpartition(".")
    del (broken[holder] if holder else broken)[name]
    with pytest.raises(ResultsError, match=f"'{key}'"):
        results.validate(broken)


@pytest.mark.parametrize(("key", "value"), [
    ("seed", -1), ("seed", True), ("experiment", "a/b"), ("configuration", ""), ("profile", 3),
    ("metrics", {"accuracy": None}), ("metrics", {"accuracy": math.nan}), ("metrics", {"a": {"b": 1}}),
    ("metrics", []), ("series", {"epoch": 3}), ("series", {"epoch": ["one"]}), ("contestants", {"x": None}),
    ("data", "embedded"), ("surprise", 1)])
def test_each_wrong_value_is_named(key, value):
    with pytest.raises(ResultsError, match=f"'{key}'"):
        results.validate({**record(), key: value})


def test_the_page_about_records_is_the_schema():
    page = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), "book", "record_schema.md")
    with open(page, encoding="utf-8") as file:
        assert results.schema_table() in file.read()


def test_wrong_predictions_are_refused_before_anything_is_written(book):
    for wrong in (np.array([0.5, 0.1]), np.zeros((2, 2, 2))):
        with pytest.raises(ResultsError, match="validation_matched"):
            write(predictions={"validation_matched": wrong})
    with pytest.raises(ResultsError, match="labels of"):
        write(predictions=CLASSES, labels={"validation_matched": np.array([1])})
    assert not (book / "_build").exists()


# ---- bad files


@pytest.mark.parametrize("content", ["", "{", "[]", '{"experiment": "x"}', "\x00\x01"])
def test_a_damaged_record_is_named(content):
    path = write()
    path.write_text(content)
    with pytest.raises(ResultsError, match=path.name):
        results.load("_build/results")


def test_a_record_that_is_not_utf8_is_named():
    path = write()
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ResultsError, match=path.name):
        results.load("_build/results")


def test_damaged_and_foreign_predictions_are_named():
    path = write(predictions=CLASSES)
    beside = results.predictions_path(path)
    other = beside.read_bytes()
    time.sleep(0.001)
    write(predictions=CLASSES)
    beside.write_bytes(other)
    with pytest.raises(ResultsError, match="another write"):
        results.predictions(path)
    beside.write_bytes(other[:50])
    with pytest.raises(ResultsError, match="damaged"):
        results.predictions(path)


# ---- faults


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_rename_that_fails_leaves_things_as_they_were(monkeypatch, existing, fails_at, book):
    folder = book / "_build" / "results" / "quick" / "02_baseline"
    if existing:
        first = write(metrics={"accuracy_matched": 0.25}, predictions=CLASSES)
    before = {p.name: p.read_bytes() for p in folder.iterdir()} if existing else {}
    calls, real = [], os.replace

    def replace(*arguments):
        calls.append(arguments)
        if len(calls) == fails_at:
            raise OSError(errno.EIO, "input/output error")
        return real(*arguments)

    monkeypatch.setattr("os.replace", replace)
    with pytest.raises(ResultsError, match="nothing was half-written"):
        write(metrics={"accuracy_matched": 0.75}, predictions={"validation_matched": np.array([1])})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    if existing:
        assert results.predictions(first)["validation_matched"].tolist() == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_full_or_read_only_disk_is_one_clear_error(monkeypatch, code, book):
    write(predictions=CLASSES)
    folder = book / "_build" / "results" / "quick" / "02_baseline"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fsync(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(ResultsError, match="results_dir=") as error:
        write(metrics={"accuracy_matched": 0.9}, predictions=CLASSES)
    assert ("the disk is full" in str(error.value)) == (code == errno.ENOSPC)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_file_in_place_of_the_folder_is_one_clear_error(book):
    (book / "taken").write_text("")
    with pytest.raises(ResultsError, match="a file stands where the folder should be"):
        write(overrides={"results_dir": "taken"})
    assert (book / "taken").read_text() == ""


KILLED = textwrap.dedent("""
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import test_results as t
    from seo_core import results
    real, calls = getattr(os, {where!r}), []
    def stop(*arguments):
        calls.append(1)
        if len(calls) == {when}:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(os, {where!r}, stop)
    t.write(metrics={{"accuracy_matched": 0.75}}, predictions={{"validation_matched": t.np.array([1])}})
""")


@pytest.mark.slow
@pytest.mark.parametrize(("where", "when"), [("fsync", 1), ("replace", 2)])
def test_kill_9_during_a_write_leaves_a_readable_store(book, where, when):
    path = write(metrics={"accuracy_matched": 0.25}, predictions=CLASSES)
    code = KILLED.format(tests=os.path.dirname(__file__), where=where, when=when)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    stray = [n for n in names(path.parent) if n.startswith(".")]
    assert stray and all(n.endswith(".tmp") for n in stray)
    assert list(results.load("_build/results")["accuracy_matched"]) == [0.25]
    if where == "fsync":  # before the first rename: the old pair is whole
        assert len(results.predictions(path)["validation_matched"]) == 7
    else:  # between the renames: noticed, not mixed up
        with pytest.raises(ResultsError, match="another write"):
            results.predictions(path)
    for name in stray:  # an hour later the next write sweeps them up
        os.utime(path.parent / name, (time.time() - 7200,) * 2)
    write(metrics={"accuracy_matched": 0.5}, predictions=CLASSES)
    assert names(path.parent) == sorted([path.name, results.predictions_path(path).name])
    assert len(results.predictions(path)["validation_matched"]) == 7


# ---- records of other versions


def test_a_record_of_an_unknown_schema_is_named_with_a_way_out_and_left_alone(book):
    whole, newer = write(configuration="base"), write(configuration="da")
    newer.write_text(json.dumps({**json.loads(newer.read_text()), "energy": {"joules": 5.0}}))
    before = newer.read_bytes()
    words = "unknown key 'energy'.*newer version.*update this one.*move it"
    for read in (results.load, results.load_series, results.load_records):
        with pytest.raises(ResultsError, match=words) as error:
            read("_build/results")
        assert str(newer) in str(error.value)
    assert newer.read_bytes() == before and results.record_at(whole)["configuration"] == "base"
    newer.rename(book / newer.name)  # the way out that was named
    assert list(results.load("_build/results")["configuration"]) == ["base"]


ENDS = " --profile cpu --seed 1 --data path/to/mnli --model bundled"


@pytest.mark.parametrize(("experiment", "configuration", "said", "metrics", "command"), [
    ("06_active_learning", "badge", "python -m seo_core.plans 06_active_learning --arms badge --labels 50",
     {"labels": 50}, "arm badge --labels 50" + ENDS),
    ("05_transfer_learning", "base", "python -m seo_core.plans x --arms base", {"labels": 8000.0},
     "arm supervised --labels 8000" + ENDS),
    ("04_adaptive_augmentation", "base", "python -m seo_core.plans x", {}, "arm robust-base" + ENDS),
    ("12_distillation", "kd-dry", "python -m seo_core.distillation.plans kd --name kd-dry --set dropout=0.0 "
     "'layers=(0, 2)' --seed 9", {}, "arm kd --name kd-dry --set dropout=0.0 'layers=(0, 2)'" + ENDS),
    ("02_baseline", "base", "python -m seo_core.run chapter 02_baseline --profile cpu", {}, "arm base" + ENDS),
    ("02_baseline", "base", "python -m seo_core.run arm base --data x -p labels=a,b --seeds 0 -p text=note", {},
     "arm base -p labels=a,b -p text=note" + ENDS),
    ("20_tkd_nlp", "tkd-no-kd", "python -m seo_core.run arm tkd-no-kd --seeds 0 -p text=note", {},
     "arm tkd-no-kd -p text=note" + ENDS),
    ("bench_selection", "selection_speed", "python -m seo_core.benchmark_selection --seed 0 --sizes 10 20 --n 5", {},
     "bench selection --sizes 10 20 --n 5" + ENDS),
    ("claims_audit", "audit", "python -m seo_core.run chapter claims_audit", {}, "chapter claims_audit" + ENDS),
])
def test_the_command_of_a_record_is_derived(experiment, configuration, said, metrics, command):
    record = {"experiment": experiment, "configuration": configuration, "profile": "cpu", "seed": 1, "metrics": metrics,
              "data": {"name": "path/to/mnli"}, "model": {"name": "bundled"}, "parameters": {},
              "provenance": {"command": said}}
    assert results.command_of(record) == f"python -m seo_core.run {command}"
    again = {**record, "provenance": {"command": results.command_of(record)}}
    assert results.command_of(again) == results.command_of(record)


def test_a_capped_training_set_is_part_of_the_command():
    record = {"experiment": "20_tkd_nlp", "configuration": "tkd-no-kd", "profile": "cpu", "seed": 1, "metrics": {},
              "data": {"name": "path/to/mnli"}, "model": {"name": "bundled"}, "parameters": {"train_rows": 4000},
              "provenance": {"command": "python -m seo_core.run arm tkd-no-kd -p text=note"}}
    expected = "python -m seo_core.run arm tkd-no-kd -p text=note -p train_rows=4000" + ENDS
    assert results.command_of(record) == expected
    record["provenance"]["command"] = expected
    assert results.command_of(record) == expected


def test_variables_before_a_command_and_the_source_task_are_kept():
    record = {"experiment": "tab3_inference_speed", "configuration": "inference_speed", "profile": "cpu", "seed": 1,
              "metrics": {}, "data": {"name": "path/to/mnli"}, "model": {"name": "bundled"},
              "parameters": {"source": "path/to/snli"},
              "provenance": {"command": "ONEDNN_MAX_CPU_ISA=AVX2 python -m seo_core.benchmark_inference --rounds 2"}}
    expected = f"ONEDNN_MAX_CPU_ISA=AVX2 python -m seo_core.run bench inference --rounds 2{ENDS} --source path/to/snli"
    assert results.command_of(record) == expected


# ---- provenance and statistics


def test_results_import_without_torch_or_pandas():
    code = "import sys; import seo_core.results.store; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "False False"


def test_times_are_utc():
    assert provenance._time(0) == "1970-01-01T00:00:00.000000+00:00"


def test_the_interval_over_seeds_is_students():
    values = np.array([72.9, 73.4, 72.1])
    found = statistics.mean_interval(values)
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)
    assert math.isnan(statistics.mean_interval([1.0]).low)
    scores = [np.arange(df + 1.0) for df in range(1, 31)]
    halves = [statistics.mean_interval(v).high - v.mean() for v in scores]
    quantiles = [half / stats.sem(v) for half, v in zip(halves, scores, strict=True)]
    assert pytest.approx([stats.t.ppf(0.975, df) for df in range(1, 31)], abs=6e-4) == quantiles


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_paired_interval_covers_a_known_difference(seeds):
    rng = np.random.default_rng(1)
    truth, inside = 0.05, 0
    for _ in range(120):
        difficulty = rng.random(400)  # shared by both models: what pairing takes out
        a = difficulty < 0.70 + rng.normal(0, 0.05, (seeds, 400))
        b = difficulty < 0.65 + rng.normal(0, 0.05, (seeds, 400))
        found = statistics.paired_difference(a, b)
        inside += found.low <= truth <= found.high
    assert inside / 120 >= 0.9


def test_the_paired_interval_of_a_spread_between_seeds_is_not_too_narrow():
    """Seeds that differ, examples that do not: the variance of the mean is s²/S."""
    shift = np.array([0.0, 0.1, 0.3])
    a = np.tile(shift[:, None], (1, 50))
    found = statistics.paired_difference(a, np.zeros_like(a))
    assert found.difference == pytest.approx(shift.mean())
    assert found.low < 0.02 and found.high > 0.28


def test_the_paired_interval_pairs_by_example():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 500)
    a = np.where(rng.random((3, 500)) < 0.8, labels, (labels + 1) % 3)
    b = a.copy()
    b[:, :10] = (labels[:10] + 1) % 3
    right = a == labels, b == labels
    found = statistics.paired_difference(*right)
    direct = (a == labels).mean() - (b == labels).mean()
    assert found.difference == pytest.approx(direct) and 0 < found.low < found.high < 0.04
    unshared = statistics.paired_difference(*right, shared_examples=False)
    assert unshared.difference == pytest.approx(direct)
    with pytest.raises(ResultsError, match="one shape"):
        statistics.paired_difference(a, b[:, :5])


def test_one_row_per_record_with_the_columns_others_rely_on():
    write(metrics={"threads": 4.0})
    frame = results.load("_build/results")
    assert isinstance(frame, pd.DataFrame) and len(frame) == 1
    assert frame["metric_threads"][0] == 4.0 and frame["threads"][0] >= 1
