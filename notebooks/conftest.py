"""`pytest --nbval notebooks` runs the chapters against a book of their own, without earlier results.

What lies in _build/results is not touched and cannot change an output that is compared.
"""

import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_scratch = None


def pytest_configure(config):
    global _scratch
    if config.getoption("--nbval", default=False):
        from seo_core.runner.notebooks import scratch_book

        _scratch = tempfile.mkdtemp(prefix="book-")
        os.environ["SEO_BOOK"] = str(scratch_book(ROOT, Path(_scratch)))
        paths = [str(ROOT), os.environ.get("PYTHONPATH")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_unconfigure(config):
    if _scratch:
        shutil.rmtree(_scratch, ignore_errors=True)
