"""A process for a chapter or an arm, with its job (JSON, one line) on stdin.

The parent keeps the pipe open as long as it lives: when it closes, by Ctrl-C or kill -9, the process knows that it is
alone and leaves.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable

# What loading torch and transformers makes lives as long as the process, and so does a book while it is rendered; the
# collector, asked after each 700 new objects, walks all of it again and again: a quarter of the time of a chapter's
# first cell, and of the rendering.
COLLECT_LESS = "import gc; gc.set_threshold(50_000)"


def start(module: str, job: dict, environment: dict[str, str], **options) -> subprocess.Popen:
    """`python -m module` at work on a job; what it prints is read from its stdout."""
    process = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               start_new_session=True, env=environment, **options)
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return process


def take(alone: Callable[[], object]) -> dict:
    """In the process: its job. alone() is called, in a thread, when the parent is gone."""
    job = json.loads(sys.stdin.readline())

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):  # nothing, when the parent is gone
            pass
        alone()

    threading.Thread(target=watch, daemon=True).start()
    return job
