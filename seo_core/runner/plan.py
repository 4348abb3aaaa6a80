"""What to run, in which order, several at once; and running it.

A *task* is a chapter with a seed. Techniques give one task per seed, benchmarks and aggregates
one task for the first seed. A task waits for the tasks of its inputs; a benchmark runs alone.
What is complete (`state.stale`) is skipped, so that an interrupted batch goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from seo_core import files
from seo_core.checks import check_known
from seo_core.progress import seconds
from seo_core.results.provenance import commit
from seo_core.runner import RunnerError, UsageError, process
from seo_core.runner.manifest import Chapter, Manifest
from seo_core.runner.state import Options, Tree, book_environment, read_json, signature, sources, stale
from seo_core.settings import NAMES

STANDARD = ("profile", "seed", "data", "model", "results_dir")
_TYPES = {"int": int, "float": (int, float), "bool": bool, "str": str}


@dataclass(frozen=True)
class Task:
    """One chapter with one seed."""

    chapter: Chapter
    seed: int

    def __str__(self) -> str:
        return f"{self.chapter.id} (seed {self.seed})"


# -- checking before anything runs --------------------------------------------------------------


def check_parameters(manifest: Manifest, chapters, extra: dict) -> None:
    """Raise UsageError for a parameter no chapter has, or a value of the wrong type.

    Papermill itself only warns. A chapter without one of the five standard names is an error, too. Names of the data's
    classes and texts belong to `data`: a chapter that reads records alone has them, too, and no use for them.
    """
    from papermill import inspect_notebook

    known = dict.fromkeys(NAMES, "str")
    for chapter in chapters:
        declared = inspect_notebook(manifest.notebook(chapter.id))
        if absent := [name for name in STANDARD if name not in declared]:
            raise RunnerError(f"notebooks/{chapter.id}.ipynb: the cell tagged \"parameters\" lacks {', '.join(absent)}")
        known |= {name: entry["inferred_type_name"] for name, entry in declared.items()}
    for name, value in extra.items():
        check_known("parameter", name, known, UsageError)
        wanted = _TYPES.get(known[name])
        if wanted and (not isinstance(value, wanted) or (wanted is not bool and isinstance(value, bool))):
            raise UsageError(f"parameter {name!r} must be {known[name]}, got {value!r}")


def tasks(manifest: Manifest, chapters, seeds) -> list[Task]:
    """The tasks of some chapters, inputs first."""
    chosen = {c.id for c in chapters}
    return [Task(c, seed) for c in manifest.ordered() if c.id in chosen for seed in (seeds[:1] if c.once else seeds)]


def needs(manifest: Manifest, task: Task, batch: list[Task]) -> list[Task]:
    """The tasks of the batch that must be done before `task`."""
    inputs, any_seed = manifest.inputs(task.chapter), task.chapter.kind == "aggregate"
    return [t for t in batch if t.chapter.id in inputs and (any_seed or t.chapter.once or t.seed == task.seed)]


def chains(manifest: Manifest, batch: list[Task]) -> dict[Task, int]:
    """How many tasks of the batch (inputs first), one after another, wait for each: the longest such chain.

    What has the longest is run first (the rule of the critical path): begun late, it leaves cores idle at the end.
    """
    longest = dict.fromkeys(batch, 0)
    for task in reversed(batch):
        for before in needs(manifest, task, batch):
            longest[before] = max(longest[before], 1 + longest[task])
    return longest


# -- running ------------------------------------------------------------------------------------


def run(manifest: Manifest, chapters, options: Options, *, jobs: int = 1, force: bool = False,
        say=print) -> dict[Task, str]:
    """Run the chapters that are not complete and stage the first seed's notebooks.

    Returns what became of each task: it "ran", was "skipped" as complete, "failed", or was "blocked" by a failed input.
    Prints a line per task with `say`; on a terminal a bar below says where the running chapters are, elsewhere a line
    now and then (`progress.seconds`). Raises KeyboardInterrupt after stopping its workers.
    """
    from tqdm import tqdm

    batch = tasks(manifest, chapters, options.seeds)
    bar = tqdm(total=len(batch), desc="chapters", disable=None, leave=False,  # None: only on a terminal
               bar_format="{desc} {n}/{total} {elapsed}{postfix}")

    def tell(task: Task, text: str) -> None:
        with bar.external_write_mode(sys.stdout):
            say(f"[{batch.index(task) + 1}/{len(batch)}] {task.chapter.id} seed {task.seed}: {text}")

    jobs = min(jobs, max(1, len(batch)))  # a chapter on its own has all cores
    waiting = chains(manifest, batch)
    work = _Batch(manifest, options, Tree(manifest.folder, options.profile),
                  sorted(batch, key=waiting.get, reverse=True), jobs, force, tell)
    _make_kernel(work.tree)
    try:
        while len(work.became) < len(batch):
            work.start_ready()
            work.collect()
            if work.running:
                bar.n = len(work.became)
                if bar.disable:
                    work.tell_where()
                else:
                    bar.set_postfix_str("; ".join(worker.where() for worker in work.running.values()))
                time.sleep(0.2)
    except BaseException:
        for worker in work.running.values():
            worker.stop()
        raise
    finally:
        bar.close()
    return work.became


@dataclass
class _Batch:
    """The tasks of one `run`: those that wait, those that run, and what became of the others."""

    manifest: Manifest
    options: Options
    tree: Tree
    tasks: list[Task]  # the longest of the `chains` first
    jobs: int
    force: bool
    tell: Callable[[Task, str], None]
    running: dict[Task, _Worker] = field(default_factory=dict)
    became: dict[Task, str] = field(default_factory=dict)

    def start_ready(self) -> None:
        """Start, skip or block every waiting task whose inputs are settled."""
        for task in [t for t in self.tasks if t not in self.became and t not in self.running]:
            before = needs(self.manifest, task, self.tasks)
            if any(self.became.get(t) in ("failed", "blocked") for t in before):
                self.settle(task, "blocked", "not run: one of its inputs failed")
                continue
            alone = any(t.chapter.kind == "benchmark" for t in (task, *self.running))
            if len(self.running) >= (1 if alone else self.jobs) or not all(t in self.became for t in before):
                continue  # before anything is read: this is asked several times a second
            asked = time.time()  # before the files are read: an edit right after counts as one while it runs
            now = signature(self.manifest, task.chapter, task.seed, self.options)
            reason = "asked for" if self.force else stale(self.tree, task.chapter, task.seed, now, self.options)
            if reason is None:
                self.settle(task, "skipped", "up to date")
            else:
                self.unstage(task)
                self.tell(task, f"running … ({reason})")
                self.running[task] = _Worker(self, task, now, asked)

    def collect(self) -> None:
        """Take the results of the workers that have ended."""
        for task, worker in [(t, w) for t, w in self.running.items() if w.process.poll() is not None]:
            del self.running[task]
            result = worker.result()
            if result["ok"]:
                edited = self.edited(task, worker)
                remark = f"; {edited} changed while it ran: kept, and due again" if edited else ""
                self.settle(task, "ran", f"done in {result['seconds']:.0f} s{remark}")
            else:
                kept = Path(result.get("failed") or "")
                remark = f"\n    its notebook, with the traceback: {os.path.relpath(kept)}" if kept.is_file() else ""
                self.settle(task, "failed", f"FAILED: {result['error']}{remark}")

    def settle(self, task: Task, status: str, text: str) -> None:
        """Note what became of a task; what is complete is rendered, and nothing else."""
        self.became[task] = status
        self.stage(task) if status in ("ran", "skipped") else self.unstage(task)
        self.tell(task, text)

    def edited(self, task: Task, worker: _Worker) -> str:
        """The modules or the notebook that were edited while a chapter ran; its state then says that it is due again.

        It may have seen either version, so it is complete for neither.
        """
        now = signature(self.manifest, task.chapter, task.seed, self.options)
        changed = [key for key in ("code", "notebook") if now[key] != worker.signature[key]]
        if not changed:
            return ""
        sidecar, notebook = self.tree.sidecar(task.chapter.id, task.seed), self.manifest.notebook(task.chapter.id)
        state = read_json(sidecar)
        state["signature"] |= dict.fromkeys(changed, "changed while it ran")
        files.write(sidecar, json.dumps(state, indent=1), sync=False)
        since = [path.name for path in [*sources(notebook), notebook] if path.stat().st_mtime > worker.asked]
        return ", ".join(since or changed)

    def stage(self, task: Task) -> None:
        """Put the first seed's executed notebook into the tree that is rendered."""
        if task.seed == self.options.seeds[0]:
            executed = self.tree.executed(task.chapter.id, task.seed).read_bytes()
            files.write(self.tree.staged(task.chapter.id), executed, sync=False)
            files.write(self.tree.state / "staged" / task.chapter.id, str(task.seed), sync=False)

    def tell_where(self) -> None:
        """A line for each running chapter that has said nothing for a while: its cell, and what it printed last."""
        for task, worker in self.running.items():
            if time.monotonic() - worker.told >= seconds():
                worker.told = time.monotonic()
                self.tell(task, f"at {worker.where().partition(': ')[2]}")

    def unstage(self, task: Task) -> None:
        """Take a chapter that is about to change out of the tree that is rendered."""
        if task.seed == self.options.seeds[0]:
            self.tree.staged(task.chapter.id).unlink(missing_ok=True)


def progress(notebook: dict) -> str:
    """How far papermill is in a notebook that it saved on the way: "cell 7 of 20, <last printed line>"."""
    cells = notebook.get("cells", [])
    done = sum(c["metadata"].get("papermill", {}).get("status") == "completed" for c in cells)
    printed = [line for c in cells for o in c.get("outputs", []) if o.get("name") in ("stdout", "stderr")
               for line in "".join(o["text"]).splitlines() if line.strip()]
    cell = f"cell {min(done + 1, len(cells))} of {len(cells)}"
    return f"{cell}, {printed[-1].strip()[:80]}" if printed else cell


class _Worker:
    """A chapter running in a process of its own (see worker.py)."""

    def __init__(self, batch: _Batch, task: Task, now: dict, asked: float):
        """now: the signature of what it runs, read since the time `asked` (s since the epoch)."""
        self.signature, self.asked = now, asked
        manifest, options, tree = batch.manifest, batch.options, batch.tree
        sha, dirty = commit(manifest.folder)
        job = {"root": str(manifest.folder), "profile": options.profile, "id": task.chapter.id, "seed": task.seed,
               "source": str(manifest.notebook(task.chapter.id)), "parameters": _declared(manifest, task, options),
               "shown": options.shown, "signature": now, "commit": "" if sha == "unknown" else sha[:10] + "+" * dirty}
        self.log = tree.sidecar(task.chapter.id, task.seed, "log")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.partial, self.seen, self.shown = tree.partial(task.chapter.id, task.seed), time.time_ns(), "starting"
        self.told = time.monotonic()
        with open(self.log, "w") as log:
            self.process = process.start(
                "seo_core.runner.worker", job, stderr=log,
                environment=_environment(manifest.folder, tree, 1 if task.chapter.kind == "benchmark" else batch.jobs))

    def where(self) -> str:
        """How far the chapter is: its cell, and the line that was printed last. Papermill saves as it goes."""
        with contextlib.suppress(OSError):
            saved = self.partial.stat().st_mtime_ns
            if saved > self.seen:
                self.seen, self.shown = saved, progress(read_json(self.partial))
        return f"{self.partial.stem}: {self.shown}"

    def result(self) -> dict:
        """The worker's outcome; a worker that died without one is a failure."""
        lines = self.process.words().splitlines()
        with contextlib.suppress(ValueError, IndexError):
            return json.loads(lines[-1])
        code = self.process.returncode
        return {"ok": False, "error": f"the process ended with code {code}; see {os.path.relpath(self.log)}"}

    def stop(self) -> None:
        """End the worker and its kernel; returns when they are gone."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def _declared(manifest: Manifest, task: Task, options: Options) -> dict:
    """The parameters to pass: the standard ones, and of the others those the chapter has."""
    from papermill import inspect_notebook

    declared = inspect_notebook(manifest.notebook(task.chapter.id))
    return {name: value for name, value in options.parameters(task.seed).items() if name in declared}


def _environment(root: Path, tree: Tree, jobs: int) -> dict[str, str]:
    """The workers' environment: the book, this package, this interpreter's kernel, its threads."""
    kernels = os.pathsep.join(filter(None, [str(tree.state / "jupyter"), os.environ.get("JUPYTER_PATH")]))
    return book_environment(root, jobs=jobs, PYDEVD_DISABLE_FILE_VALIDATION="1", JUPYTER_PATH=kernels)


def _make_kernel(tree: Tree) -> None:
    """A `python3` kernel that is this very interpreter, found before any other of that name."""
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                     f"--IPKernelApp.exec_lines={process.COLLECT_LESS}"],
            "language": "python", "display_name": "Python 3",
            "metadata": {"supported_encryption": ["curve"]}}  # its messages are encrypted
    files.write(tree.state / "jupyter" / "kernels" / "python3" / "kernel.json", json.dumps(spec), sync=False)


def missing(manifest: Manifest, tree: Tree) -> list[str]:
    """The chapters that have no staged notebook."""
    return [c.id for c in manifest.chapters if not tree.staged(c.id).is_file()]
