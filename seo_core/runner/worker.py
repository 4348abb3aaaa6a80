"""One chapter, executed by papermill in a process of its own: `python -m seo_core.runner.worker`.

The outcome (JSON, one line) goes to stdout. When the parent is gone (process.py), the worker stops its kernel and
leaves without having written anything that counts.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from seo_core import files
from seo_core.machine import in_short, machine
from seo_core.progress import SECONDS, seconds
from seo_core.runner import RunnerError, process
from seo_core.runner import notebooks as nb
from seo_core.runner.state import Tree, digest

# Kernels that start at once in several processes may draw the same ports, and one then never answers: no cell of it has
# run, and it is started again.
MUTE, STARTS = "Kernel didn't respond", 2

_abandoned = threading.Event()


def main() -> int:
    """Run the job on stdin; exit code 0 done, 1 the chapter failed, 3 abandoned."""
    job = process.take(_stop)
    try:
        outcome = execute(job)
    except RunnerError as error:
        outcome = {"ok": False, "error": str(error)}
    if _abandoned.is_set():
        return 3
    print(json.dumps(outcome), flush=True)
    return 0 if outcome["ok"] else 1


def _stop() -> None:
    _abandoned.set()
    os.kill(os.getpid(), signal.SIGTERM)  # nbclient shuts the kernel down on this
    time.sleep(5)
    os._exit(3)


def execute(job: dict) -> dict:
    """Execute, clean and publish one chapter; returns {"ok", "seconds", "error", "failed"}.

    Everything is written under a temporary name first; the notebook and then its sidecar are
    renamed into place at the end.
    """
    tree = Tree(Path(job["root"]), job["profile"])
    name, seed = job["id"], job["seed"]
    in_use = RunnerError(f"chapter {name} (seed {seed}) is in use by another run; wait for it or stop it")
    with files.lock(tree.sidecar(name, seed, "lock"), in_use):
        partial, failed, cwd = tree.partial(name, seed), tree.failed(name, seed), tree.staging / "notebooks"
        for folder in (partial.parent, cwd):
            folder.mkdir(parents=True, exist_ok=True)
        started = time.time()
        error = _papermill(Path(job["source"]), partial, job["parameters"], cwd)
        if _abandoned.is_set():
            return {"ok": False, "error": "interrupted"}
        shown = {k: job["shown"].get(v, v) if isinstance(v, str) else v for k, v in job["parameters"].items()}
        state = {"id": name, "seed": seed, "status": "failed" if error else "complete", "commit": job["commit"],
                 "seconds": round(time.time() - started, 1), "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
                 "parameters": shown, "signature": job["signature"]}
        if error:
            state["error"] = error
            failed.parent.mkdir(parents=True, exist_ok=True)
            if partial.is_file():
                os.replace(partial, failed)
        else:
            notebook, executed = nb.read(partial), tree.executed(name, seed)
            stderr = nb.publishable(notebook, {**job["shown"], **nb.machine_paths(tree.root)})
            notebook.metadata[nb.TOOK] = {"seconds": state["seconds"], "machine": in_short(machine())}
            failed.unlink(missing_ok=True)
            files.write(tree.sidecar(name, seed, "stderr"), stderr, sync=False)
            nb.write(notebook, executed)
            partial.unlink()
            state |= {"sha": digest(executed.read_bytes()), "checks": nb.checks(notebook)}
        files.write(tree.sidecar(name, seed), json.dumps(state, indent=1), sync=False)
    return {"ok": not error, "seconds": state["seconds"], "error": error, "failed": str(failed) if error else None}


def _papermill(source: Path, target: Path, parameters: dict, cwd: Path) -> str | None:
    """Run papermill; None, or the chapter's error in one line."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    for starts in range(1, STARTS + 1):
        try:
            papermill.execute_notebook(source, target, parameters=parameters, cwd=cwd, kernel_name="python3",
                                       progress_bar=False, log_output=False,
                                       autosave_cell_every=max(1, round(min(seconds(), SECONDS))))  # `plan.progress`
        except PapermillExecutionError as error:
            return f"{error.ename}: {_first_line(error.evalue)} (cell {error.exec_count})"
        except Exception as error:  # the kernel died, the disk is full, …: still one line and exit code 1
            if starts < STARTS and MUTE in str(error):
                continue
            return f"{type(error).__name__}: {_first_line(error) or 'no message'}"
        return None


def _first_line(text) -> str:
    return str(text).strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
