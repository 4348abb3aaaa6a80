"""The book's pages are rendered once for all tests and workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from minibook import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def html(tmp_path_factory, worker_id) -> Path:
    """The folder of the pages made of the committed notebooks."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent  # which the workers share
    output = base / "pages"
    with FileLock(base / "pages.lock"):
        if not (output / "index.html").is_file():
            cli("render", "--committed", "--force", "--output", output, cwd=ROOT, check=0)
    return output
