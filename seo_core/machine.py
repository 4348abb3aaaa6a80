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


class OtherLoad:
    """How busy other processes keep the machine from now on, from the kernel's own counters."""

    def __init__(self):
        self.began, (self.busy, self.ours) = time.perf_counter(), self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float]:
        import psutil

        everyone, ours = psutil.cpu_times(), psutil.Process().cpu_times()
        return sum(everyone) - everyone.idle - getattr(everyone, "iowait", 0.0), ours.user + ours.system

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


def cores() -> int:
    """Cores that this process may use, by its affinity (taskset) and by its control group's quota (a container's)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or no quota: "max 100000"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        count = min(count, max(1, math.ceil(quota / period)))
    return count


def share_cores() -> None:
    """Make OpenMP's threads sleep while they wait for one another, and be no more than the cores that there are.

    By default they spin, which gains a training alone 3% in fp32, and up to a fifth in bf16, where they wait more often
    than they work, and makes it several times slower as soon as another process wants a core: `bench neighbours`
    measures both. Spinning briefly (GOMP_SPINCOUNT=1000) gives back most of what is lost alone, and takes a tenth
    beside others; whoever has the machine to himself may set it. The library reads this when torch loads it, so after
    that it is too late and nothing is done. What the environment says already stays.
    """
    if "torch" not in sys.modules:
        if os.environ.setdefault("OMP_WAIT_POLICY", "passive").lower() == "passive":  # "active" is meant to spin
            os.environ.setdefault("GOMP_SPINCOUNT", "0")
        if cores() < (os.cpu_count() or 1):
            os.environ.setdefault("OMP_NUM_THREADS", str(cores()))


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
    sets = " ".join(machine()["instruction_sets"])
    return {"vnni": "vnni" in sets or "amx" in sets, "bf16": "bf16" in sets or "amx" in sets, "capped": onednn_capped()}
