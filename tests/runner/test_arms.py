"""Runs of arms, several at once: the order of their needs, what follows a failure, that they leave their records."""

import sys

import pytest

from seo_core import results
from seo_core.lab.arm import Arm, Chapter
from seo_core.lab.estimate import Due
from seo_core.run import main
from seo_core.runner import arms
from seo_core.runner.process import Process
from seo_core.settings import load_settings

TRIAL = Chapter("99_trial")


def run(name, *needs, seed=0):
    return Due(Arm(name, TRIAL, None, recorded_as=name), 16, seed, frozenset((need, 16, seed) for need in needs))


@pytest.fixture
def made(monkeypatch):
    """make(runs, jobs) with processes that only wait, or fail where their name is "bad": (what was said, failed, the
    most at once)."""
    def make(runs, jobs):
        said, most, processes = [], [0], []

        def start(job, jobs):
            code = f"import time; time.sleep(0.3); print({job['arm']!r}, {job['settings']['seed']})"
            code += f"; print('.' * {200_000 * (job['arm'] == 'loud')})"
            code += f"; raise SystemExit({int(job['arm'] == 'bad')})"
            processes.append(Process([sys.executable, "-S", "-c", code]))
            most[0] = max(most[0], sum(process.poll() is None for process in processes))
            return processes[-1]

        monkeypatch.setattr(arms, "_start", start)
        return said, arms.make(runs, load_settings("quick"), jobs=jobs, say=said.append), most[0]

    return make


@pytest.mark.slow
def test_what_is_needed_comes_first_and_no_more_run_than_were_asked_for(made):
    said, failed, most = made([run("base"), run("kd", "base"), run("sqd", "base"), run("last", "kd", "sqd")], 2)
    assert said[0] == "base 0" and said[-1] == "last 0" and len(said) == 4 and not failed and most == 2
    said, failed, most = made([run("one", seed=seed) for seed in range(3)], 1)
    assert said == ["one 0", "one 1", "one 2"] and most == 1


def test_a_failure_stops_what_needs_it_and_nothing_else(made):
    said, failed, _ = made([run("bad"), run("kd", "bad"), run("sqd", "kd"), run("other")], 2)
    assert failed == ["bad", "kd (not made)", "sqd (not made)"] and "other 0" in said


def test_one_that_says_more_than_a_pipe_holds_comes_to_its_end(made):
    said, failed, _ = made([run("loud")], 1)
    assert not failed and said == ["loud 0\n" + 200_000 * "."]


@pytest.mark.trains
def test_two_seeds_are_made_side_by_side(tiny_model, tmp_path, capsys, monkeypatch):
    words = ["arm", "supervised", "--labels", "32", "--seeds", "3", "4", "--model", tiny_model, "--jobs", "2",
             "--results-dir", str(tmp_path / "results")]
    assert main(words) == 0
    assert sorted(record["seed"] for record in results.load_records(tmp_path / "results")) == [3, 4]
    assert capsys.readouterr().out.count("32 labels  matched") == 2
    monkeypatch.setattr(arms, "make", lambda *a, **k: pytest.fail("made again"))
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count("32 labels  matched") == 2 and "everything has its record" in out
