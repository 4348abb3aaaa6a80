"""The machine: its CPU and instruction sets, threads, and the load that others put on it."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

# Turns that OpenMP's threads spin for one another, in a process that is alone, before they sleep. Beside torch's
# default, alone, in bf16: none lost 16% of the speed, 300 lost 10%, 1000 lost 2%, 3000 nothing. Where a neighbour comes
# later, 1000 keep 0.55 of the quiet speed and 3000 0.46, where none keeps 0.65 to 0.69.
SPINS = 1000
_chosen: dict[str, str] = {}  # what `share_cores` set in this process: nobody asked for it


class OtherLoad:
    """How busy other processes keep the machine from now on, from the kernel's own counters. Those that this process
    starts are its own work: a benchmark's servers are not what disturbs it."""

    def __init__(self):
        self.began, (self.busy, self.ours) = time.perf_counter(), self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float]:
        import psutil

        everyone, this, ours = psutil.cpu_times(), psutil.Process(), 0.0
        for process in (this, *this.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended just now: its parent has its times
                ours += sum(process.cpu_times()[:4])  # its own, and those of its children that have ended
        return sum(everyone) - everyone.idle - getattr(everyone, "iowait", 0.0), ours

    def cores(self) -> float:
        """Mean number of cores that others used since this object was made, 0 or more."""
        busy, ours = self._seconds()
        return max(0.0, (busy - self.busy) - (ours - self.ours)) / max(time.perf_counter() - self.began, 1e-9)


def _cpu() -> tuple[str, list[str]]:
    """Name of the CPU, and which of the instruction sets that decide int8/bf16 speed it has."""
    facts = {}
    with contextlib.suppress(OSError):
        lines = re.findall(r"^(model name|flags|Features)[ \t]*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        facts = dict(reversed(lines))  # the first processor's
    flags = facts.get("flags") or facts.get("Features", "")
    return facts.get("model name", "").strip() or platform.processor() or platform.machine(), [
        s for s in ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx") if f" {s}" in f" {flags}"]


def _gpu() -> str | None:
    torch = sys.modules.get("torch")  # asked only if the run loaded it: never imported for this
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if torch is None and shutil.which("nvidia-smi"):
        with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):  # the last: it names none
            return subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], timeout=10,
                                  capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    return None


@functools.cache
def _host() -> dict:
    name, sets = _cpu()
    host = {"cpu": name, "instruction_sets": sets, "cores": cores(), "system": platform.system()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        host["memory_gb"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    return host


def in_short(host: dict) -> str:
    """The machine of a run in a few words: "Intel Xeon Processor, 2 cores, avx512_bf16"; the best for speed of the
    instruction sets that it has."""
    name = re.sub(r"\((R|TM|tm)\)| CPU| @.*", "", host.get("gpu") or host["cpu"])
    return ", ".join([name, f"{host['cores']} core{'s' * (host['cores'] != 1)}", *host["instruction_sets"][-1:]])


def cores() -> int:
    """Cores that this process may use, by its affinity (taskset) and by its control group's quota (a container's)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or no quota: "max 100000"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        count = min(count, max(1, math.ceil(quota / period)))
    return count


def crowded() -> bool:
    """Whether others are computing now, on so many CPUs that fewer are left than this process may use.

    By what is ready to run in most of five looks within a few milliseconds, and not by the load average, which for a
    minute still counts what is over: the run before this one. False where the system does not say (only Linux does)."""
    ready = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for _ in range(5):
            ready.append(int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1)  # without this one
            time.sleep(0.001)
    return bool(ready) and sorted(ready)[len(ready) // 2] + cores() > (os.cpu_count() or 1)


def share_cores() -> None:
    """Make OpenMP's threads spin for SPINS turns at most while they wait for one another, or not at all where others
    compute (`crowded`), and be no more than the cores that there are.

    By default they spin for milliseconds, which makes a training several times slower as soon as another process wants
    a core. Asleep at once they leave others most room, and cost a training that is alone up to a sixth of its speed in
    bf16, where they wait more often than they work: `bench neighbours` measures all of it. The library reads this when
    torch loads it, so after that it is too late and nothing is done; what comes later changes nothing either. What the
    environment says already stays: OMP_WAIT_POLICY=passive is asleep at once, active is meant to spin.
    """
    if "torch" in sys.modules:
        return
    policy, wanted = os.environ.get("OMP_WAIT_POLICY"), {}
    if policy is None:
        wanted = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0" if crowded() else str(SPINS)}
    elif policy.lower() == "passive":
        wanted = {"GOMP_SPINCOUNT": "0"}
    if cores() < (os.cpu_count() or 1):
        wanted["OMP_NUM_THREADS"] = str(cores())
    for name, value in wanted.items():
        if name not in os.environ:
            _chosen[name] = os.environ[name] = value


def side_by_side(jobs: int) -> dict[str, str]:
    """What one of `jobs` processes that compute at once is told in its environment: so many threads that all have their
    share of the cores, and that they wait asleep. A single one is told nothing: `share_cores` has a look there."""
    return {"OMP_NUM_THREADS": str(max(1, cores() // jobs)), "OMP_WAIT_POLICY": "passive"} if jobs > 1 else {}


def environment(jobs: int = 1) -> dict[str, str]:
    """The environment for a process that this one starts, as one of `jobs` that compute at once (`side_by_side`): this
    one's, without what `share_cores` chose here. What somebody asked for stays, of threads if they are fewer."""
    asked = {name: value for name, value in os.environ.items() if _chosen.get(name) != value}
    if jobs > 1 and default_threads() >= cores():
        asked.pop("OMP_NUM_THREADS", None)
    return side_by_side(jobs) | asked


def machine() -> dict:
    """CPU name, instruction sets, cores this process may use, memory (GB), and the GPU if there is one."""
    gpu = _gpu()
    return {**_host(), **({"gpu": gpu} if gpu else {})}


def onednn_capped() -> bool:
    """Whether ONEDNN_MAX_CPU_ISA holds oneDNN below products in bf16 (AVX2_VNNI_2 only converts it)."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in (
        "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def threads() -> int:
    """Threads of the numerical library: torch's where it is loaded, else the default."""
    torch = sys.modules.get("torch")
    return default_threads() if torch is None else int(torch.get_num_threads())


def default_threads() -> int:
    """$OMP_NUM_THREADS, else all cores."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else cores()


def cpu_support() -> dict[str, bool]:
    """Which instructions for small numbers this CPU has: vnni (int8) and bf16, and whether they are capped by
    ONEDNN_MAX_CPU_ISA (which PyTorch and OpenVINO obey, ONNX Runtime not)."""
    host = machine()
    return {"vnni": has_any(host, "vnni"), "bf16": has_any(host, "bf16"), "capped": onednn_capped()}


def has_any(host: dict, kind: str) -> bool:
    """Whether a machine (of `machine`, or of a record) has instructions of a kind, "vnni" or "bf16"; AMX is both."""
    return any(kind in name or name == "amx" for name in host.get("instruction_sets", ()))
