"""Threads: as many as there are cores to use, and none that spins for another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seo_core import machine

ASK = ("import os, seo_core, torch; "
       "print(os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'], torch.get_num_threads())")


def run(code, **variables):
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    return subprocess.run([sys.executable, "-c", code], env={**unset, **variables}, text=True, capture_output=True,
                          check=True).stdout.split()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_wait_asleep_and_are_no_more_than_the_cores_of_the_process():
    policy, spins, threads = run(ASK)
    assert (policy, spins, int(threads)) == ("passive", "0", machine.cores())
    one = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {ASK}"
    assert run(one) == ["passive", "0", "1"]


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
