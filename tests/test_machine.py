"""Threads: as many as there are cores to use, and none that spins for another one where others compute."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seo_core import machine

ASK = ("import os, seo_core, torch; "
       "print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'], torch.get_num_threads())")


BUSY = "import os; parent = os.getppid(); os.nice(19)\nwhile os.getppid() == parent: pass"
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")


def run(code, **variables):
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return subprocess.run([sys.executable, "-c", code], env={**unset, **variables}, text=True, capture_output=True,
                          check=True).stdout.split()


@pytest.fixture
def unsaid(monkeypatch):
    """As in a process where nobody said anything of threads, before torch is there."""
    for name in NAMES:
        monkeypatch.setenv(name, "")  # what a test sets is gone after it
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(machine, "_chosen", {})
    return monkeypatch


def said(given=os.environ):
    return {name: given[name] for name in NAMES if name in given}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_wait_asleep_and_are_no_more_than_the_cores_of_the_process():
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count())]  # none is left idle
    try:
        policy, spins, threads = run(ASK)
        one = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {ASK}"
        assert run(one) == ["passive", "0", "1"]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert (policy, spins, int(threads)) == ("passive", "0", machine.cores())


@pytest.mark.parametrize(("crowded", "spins"), [(True, "0"), (False, str(machine.SPINS))])
def test_alone_they_spin_briefly_first_and_beside_others_not_at_all(unsaid, crowded, spins):
    unsaid.setattr(machine, "crowded", lambda: crowded)
    machine.share_cores()
    chosen = said()
    assert (chosen["OMP_WAIT_POLICY"], chosen["GOMP_SPINCOUNT"]) == ("passive", spins)
    assert 0 < machine.SPINS <= 1000  # of more, a neighbour that comes later sees too much


@pytest.mark.parametrize(("ready", "crowded"), [([1, 1, 1, 1, 1], False), ([2, 1, 1, 2, 1], False),
                                                ([2, 2, 1, 2, 2], True), ([9, 9, 9, 9, 9], True), ([0], False),
                                                (["what"], False), ([], False)])
def test_others_are_seen_by_what_is_ready_to_run(unsaid, ready, crowded):
    class File:
        def read_text(self):
            if not ready:
                raise FileNotFoundError
            return f"0.00 0.00 0.00 {ready.pop(0)}/177 4711"  # this process is one of them

    unsaid.setattr(machine, "Path", lambda path: File())
    unsaid.setattr(machine, "cores", lambda: os.cpu_count())
    assert machine.crowded() is crowded


def test_others_on_cores_that_are_not_ours_do_not_count(unsaid, tmp_path):
    (tmp_path / "loadavg").write_text("9.00 9.00 9.00 3/177 4711")
    unsaid.setattr(machine, "Path", lambda path: tmp_path / Path(path).name)
    unsaid.setattr(machine, "cores", lambda: 2)
    for whole, crowded in ((64, False), (4, False), (3, True), (2, True)):
        unsaid.setattr(os, "cpu_count", lambda whole=whole: whole)
        assert machine.crowded() is crowded, whole


def test_of_several_at_once_each_sleeps_and_has_its_share(unsaid):
    unsaid.setattr(machine, "cores", lambda: 4)
    unsaid.setattr(os, "cpu_count", lambda: 4)
    unsaid.setattr(machine, "crowded", lambda: False)
    machine.share_cores()
    assert said() == {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(machine.SPINS)}
    assert said(machine.environment()) == {}  # the process that is started looks itself
    told = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"}
    assert said(machine.environment(2)) == told == machine.side_by_side(2)
    for name, value in told.items():
        unsaid.setenv(name, value)
    unsaid.delenv("GOMP_SPINCOUNT")
    machine.share_cores()  # as there
    assert said() == {**told, "GOMP_SPINCOUNT": "0"}


@pytest.mark.parametrize("asked", [{"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7", "OMP_NUM_THREADS": "1"}])
def test_what_was_asked_for_goes_to_the_processes_too(unsaid, asked):
    unsaid.setattr(machine, "cores", lambda: 4)
    for name, value in asked.items():
        unsaid.setenv(name, value)
    machine.share_cores()
    for jobs in (1, 2):
        assert asked.items() <= said(machine.environment(jobs)).items()


@pytest.mark.slow
def test_what_the_environment_says_stays():
    assert run(ASK, OMP_WAIT_POLICY="active", GOMP_SPINCOUNT="7", OMP_NUM_THREADS="1") == ["active", "7", "1"]
    spins = "import os, seo_core; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert run(spins, OMP_WAIT_POLICY="active") == ["None"] and run(spins, OMP_WAIT_POLICY="passive") == ["0"]


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", None), ("50000 100000", 1), ("150000 100000", 2),
                                              ("1000000 100000", None), ("", None)])
def test_a_containers_quota_counts(monkeypatch, tmp_path, quota, cores):
    whole = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "Path", lambda path: tmp_path / Path(path).name)
    assert machine.cores() == min(whole, cores or whole)


def test_nothing_is_set_once_torch_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    machine.share_cores()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_what_a_process_starts_is_its_own_work_while_it_runs_and_after():
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"

    def ours() -> float:
        return machine.OtherLoad._seconds()[1]

    before = ours()
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        running = ours() - before
        child.communicate(b"\n")
    assert running >= 0.25 and ours() - before >= 0.25
