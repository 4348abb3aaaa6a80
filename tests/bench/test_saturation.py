"""The benchmark of saturation: every kind of file is judged, here and under an emulator, and a record says so."""


import pytest

from seo_core import results
from seo_core.bench import main, saturation


@pytest.fixture
def emulator(tmp_path):
    """A command that stands before Python's, and leaves a mark that it was called."""
    path = tmp_path / "emulator"
    path.write_text(f"#!/bin/sh\necho called >> {tmp_path / 'calls'}\nexec \"$@\"\n")
    path.chmod(0o755)
    return path


@pytest.mark.trains
def test_one_command_judges_every_file(tmp_path, emulator, capsys, monkeypatch):
    from seo_core.models import backbone

    load = backbone.load_backbone
    monkeypatch.setattr(backbone, "load_backbone", lambda model, **k: load(model, **{**k, "layers": 1}))
    given = ["--profile", "quick", "--untrained", "--emulated-rows", "20", "--batches", "1", "--rounds", "1"]
    assert main("saturation", [*given, "--emulator", str(emulator), "--results-dir", str(tmp_path)]) == 0
    record, = results.load_records(tmp_path)
    files = {"8 bits", "7 bits", "8 bits, by pairs", "library", "library, reduce_range"}
    assert set(record["contestants"]) == files | {f"{name}, exact product" for name in files}
    for name, values in record["contestants"].items():
        assert values["latency_ms_p50"] > 0 and values["agreement"] > 0.9, name
        assert ("agreement_emulated" in values) == (name in files) and ("difference" in values) == (name != "8 bits")
    # nothing is emulated by this command: both are the same computation, but for the exact product
    for name in ("7 bits", "8 bits, by pairs"):
        assert record["contestants"][name]["agreement_emulated"] >= 0.95
    assert len((tmp_path / "calls").read_text().split()) == 1 + len(files) and record["metrics"]["emulated_rows"] == 20
    table = saturation.report(tmp_path)
    assert len(table) == 10 and table.set_index("file")["on AVX2 only, %"]["7 bits, exact product"] == ""
    assert "agreement_emulated" in capsys.readouterr().out and "--untrained" in record["provenance"]["command"]


def test_what_cannot_run_python_is_refused(capsys, tmp_path):
    for words in ("no-such-command", "false", "'"):
        assert main("saturation", ["--emulator", words, "--results-dir", str(tmp_path)]) == 2
        assert "cannot run Python here" in capsys.readouterr().err
    assert main("saturation", ["--emulated-rows", "-5", "--results-dir", str(tmp_path)]) == 2
    assert "emulated_rows must be 1 or more" in capsys.readouterr().err
    assert not results.load_records(tmp_path) and saturation.report(tmp_path).iloc[0, 0].startswith("not run")


def test_in_the_committed_record_the_files_say_the_same_without_vnni_at_no_cost():
    """What is exported by default, and the two that come with the book."""
    record = results.load_records(results.reference_dir() / "cpu" / "bench_saturation")[-1]["contestants"]
    for name in ("8 bits, by pairs", "reference", "reference-small"):
        assert record[name]["agreement"] >= 0.995 and record[name]["agreement_emulated"] >= 0.995, name
        assert record[name]["speed_ratio"] >= 0.95, name
    assert record["8 bits, by pairs"]["difference"] >= -0.2
    assert record["library"]["agreement_emulated"] < 0.995  # what the peers' file loses there
