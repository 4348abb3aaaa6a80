"""A process for a chapter or an arm, with its job (JSON, one line) on stdin.

The parent keeps the pipe open as long as it lives: when it closes, by Ctrl-C or kill -9, the process knows that it is
alone and leaves.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable

# What loading torch and transformers makes lives as long as the process, and so does a book while it is rendered; the
# collector, asked after each 700 new objects, walks all of it again and again: a quarter of the time of a chapter's
# first cell, and of the rendering.
COLLECT_LESS = "import gc; gc.set_threshold(50_000)"


class Process(subprocess.Popen):
    """A process that reads a line, and whose words are kept in a file: a pipe that nobody reads is full after 64 kB,
    and then its process waits for ever."""

    def __init__(self, command: list[str], **options):
        self.printed = tempfile.TemporaryFile("w+")  # noqa: SIM115 (`words` closes it)
        super().__init__(command, stdin=subprocess.PIPE, stdout=self.printed, text=True, **options)

    def words(self) -> str:
        """All that it printed, once it has ended; its stdin, by which it knows its parent, is closed."""
        self.communicate()
        with self.printed:
            self.printed.seek(0)
            return self.printed.read()


def start(module: str, job: dict, environment: dict[str, str], **options) -> Process:
    """`python -m module` at work on a job."""
    process = Process([sys.executable, "-m", module], start_new_session=True, env=environment, **options)
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
