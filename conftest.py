"""For the tests and the chapters alike: how many run side by side (`-n auto`), and on how many threads each."""

import os

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
GIGABYTES = 2  # what one worker may need: torch, and a network or two

if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):  # read by torch when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, CORES // workers)))


def pytest_xdist_auto_num_workers(config):
    """A worker for each core that this process may use, as far as the memory goes."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return CORES
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return max(1, min(CORES, int(memory // GIGABYTES)))
