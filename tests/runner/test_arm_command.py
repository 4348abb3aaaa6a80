"""`python -m seo_core.run arm`: what would be made, what is made, and what is refused before anything is."""

import pytest

from seo_core import results
from seo_core.arms import ARMS
from seo_core.lab import arm as module
from seo_core.run import main


def test_a_dry_run_prints_every_run_in_order_and_makes_none(capsys, tmp_path):
    assert main(["arm", "adatal", "ssl", "--labels", "2000", "--profile", "cpu", "--dry-run",
                 "--results-dir", str(tmp_path)]) == 0
    rows = [line.split()[1:3] for line in capsys.readouterr().out.splitlines()]
    assert rows == [["source", "0"], ["random", "1000"], ["tal", "2000"], ["adatal", "2000"], ["supervised", "2000"],
                    ["ssl", "2000"]]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_chapter_stands_for_all_of_its_arms(capsys):
    assert main(["arm", "08_semi_supervised", "--dry-run"]) == 0
    assert "ssl-source" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, words, code", [
    (["kd", "kd-txt"], "unknown arm 'kd-txt'; did you mean 'kd-text'", 2),
    (["kd", "--set", "eppchs=1"], "unknown knob 'eppchs'; did you mean 'epochs'", 2),
    (["kd", "sqd", "--name", "mine"], "--name mine is for one arm", 2), (["kd", "--profile", "quik"], "'quick'", 2),
    (["kd", "--set", "temperature=-1.0"], "temperature must be above 0", 1),
    (["base", "--data", "no/such/folder.csv"], "no such file or folder", 2),
    (["base", "-p", "eppochs=1"], "unknown parameter 'eppochs'", 2),
    (["base", "-p", "epochs=-1"], "setting epochs must", 2),
    (["base", "-p", "text=note"], "labels and text say how to read data of your own", 1),
    (["supervised", "--labels", "100000"], "100000 labels were asked for and the pool has", 1),
    (["seo-labels", "--labels", "23847"], "seo-labels runs in the headline setting", 2),
    (["seo", "--set", "labels=500"], "labels is no knob here", 1),
])
def test_bad_input_is_one_line(arguments, words, code, capsys, tmp_path):
    assert main(["arm", *arguments, "--results-dir", str(tmp_path)]) == code
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))


def test_arms_that_are_not_sound_are_one_line_too(capsys, monkeypatch):
    monkeypatch.setattr(module, "ARMS", dict(ARMS))
    monkeypatch.setattr(module, "CHAPTERS", dict(module.CHAPTERS))
    module.Chapter("99_trial").arm("lonely", needs="supervisd")(lambda lab, recipe: None)
    assert main(["arm", "lonely", "--dry-run"]) == 1
    err = capsys.readouterr().err
    assert "did you mean 'supervised'?" in err and len(err.strip().splitlines()) == 1 and "vocabulary" not in err


def test_it_says_how_long_it_takes_beside_the_list(capsys, tmp_path):
    words = ["ssl", "--labels", "2000", "--profile", "cpu", "--results-dir", str(tmp_path)]
    assert main(["arm", *words, "--dry-run"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("time: ") and "for 2 runs" in err and len(err.splitlines()) == 1


@pytest.mark.trains
def test_an_arm_is_made_once_for_each_seed(capsys, tmp_path):
    assert main(["arm", "supervised", "--labels", "32", "--results-dir", str(tmp_path), "--seeds", "3", "4"]) == 0
    records = results.load_records(tmp_path)
    assert sorted(record["seed"] for record in records) == [3, 4]
    assert main(records[0]["provenance"]["command"].split()[3:] + ["--results-dir", str(tmp_path)]) == 0  # as it says
    assert len(results.load_records(tmp_path)) == 2
    out = capsys.readouterr().out
    assert out.count("32 labels  matched") == 3 and out.startswith("time: ")


@pytest.mark.parametrize("arguments, words", [(["pack", "no.json", "folder"], "no.json"),
                                              (["bench", "trainig"], "did you mean 'training'")])
def test_the_other_commands_say_what_is_wrong(arguments, words, capsys):
    assert main(arguments) in (1, 2)
    assert words in capsys.readouterr().err
