"""schemathesis over the OpenAPI description: what it makes of it, good or bad, is answered as described."""

import re
import subprocess
import sys

import pytest

from seo_core.deploy import serving
from seo_core.settings import book_root

pytestmark = pytest.mark.slow
FOLDER = book_root() / "book" / "artifacts" / "reference-small"


def test_every_answer_is_one_that_is_described(tmp_path):
    words = ["--checks", "all", "--max-examples", "60", "--seed", "0", "--generation-database", "none", "--no-color"]
    with serving.running(FOLDER, workers=1, key="only for tests") as server:
        done = subprocess.run([sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", *words,
                               "-H", "X-API-Key: only for tests"], cwd=tmp_path, capture_output=True, text=True,
                              timeout=120)
        log = server.log()
    assert done.returncode == 0 and "No issues found" in done.stdout, done.stdout + done.stderr
    assert re.search(r"Tested: 5\n", done.stdout) and int(re.search(r"(\d+) generated", done.stdout)[1]) > 100
    assert "Traceback" not in log
