"""`pytest --nbval notebooks` runs the chapters against a book of their own, without earlier results.

What lies in _build/results is not touched and cannot change an output that is compared. After its last cell a chapter
of the manifest is run again in the same kernel, from the first cell that calls its method on, with that method broken
as the manifest says: a checked cell must fail.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from nbval.plugin import IPyNbFile

from seo_core.runner.manifest import load_manifest
from seo_core.runner.notebooks import is_checked, scratch_book

ROOT = Path(__file__).resolve().parent.parent
_scratch = None

MUTATION = '__import__("mutation")'  # in the kernel, without a name in it


def pytest_configure(config):
    """A scratch book for each process that runs chapters (with `-n`, those are the workers)."""
    global _scratch
    if config.getoption("--nbval", default=False) and not config.getoption("numprocesses", default=None):
        _scratch = tempfile.mkdtemp(prefix="book-")
        os.environ["SEO_PROGRESS_SECONDS"] = "inf"  # a slow machine's lines are no difference between outputs
        os.environ["SEO_BOOK"] = str(scratch_book(ROOT, Path(_scratch)))
        paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def pytest_unconfigure(config):
    if _scratch:
        shutil.rmtree(_scratch, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """A notebook of the manifest is nbval's notebook with one more test at its end."""
    collectors = yield
    chapters = load_manifest(ROOT).by_id
    return [Chapter.from_parent(parent, path=file_path, entry=chapters[file_path.stem])
            if isinstance(c, IPyNbFile) and file_path.stem in chapters else c for c in collectors]


class Chapter(IPyNbFile):
    """A notebook, its entry in the manifest, and the kernel that runs it: once as it is, then with its method broken."""

    def __init__(self, *args, entry, **kwargs):
        super().__init__(*args, **kwargs)
        self.entry, self.trouble = entry, None

    def collect(self):
        yield from super().collect()
        yield BrokenMethod.from_parent(self, name="Broken method")

    def setup(self):
        super().setup()
        build = os.path.join(os.environ["SEO_BOOK"], "_build")
        self.trouble = self.execute(f"{MUTATION}.install({list(self.entry.mutation)!r}, {build!r})", silent=True)

    def execute(self, code, silent=False):
        """Run code in the kernel; the error that ended it as text, None if there was none."""
        reply = self.request(code, silent=silent)
        return f"{reply['ename']}: {reply['evalue']}" if reply["status"] == "error" else None

    def door(self, call):
        """Call a method of the kernel's door."""
        if error := self.execute(f"{MUTATION}.door.{call}", silent=True):
            raise RuntimeError(f"{call}: {error}")

    def value(self, name):
        """The repr of something in tests/mutation.py, in the kernel."""
        reply = self.request("", silent=True, user_expressions={"value": f"{MUTATION}.{name}"})
        return reply["user_expressions"]["value"]["data"]["text/plain"]

    def request(self, code, **more):
        """What the kernel replies to code. What it displays meanwhile is dropped."""
        timeout = self.config.option.nbval_cell_timeout
        return self.kernel.kc.execute_interactive(code, store_history=False, allow_stdin=False, stop_on_error=False,
                                                  timeout=timeout, output_hook=lambda message: None, **more)["content"]


class BrokenMethod(pytest.Item):
    """The mutation test: the chapter's cells again, with its method replaced, until a check fails.

    Then the same cells with the method as it is. They must pass: it was not the running again that the check noticed.
    """

    def runtest(self):
        chapter, name = self.parent, self.parent.entry.id
        if not chapter.entry.mutation:
            raise Unnoticed(f"book/manifest.yml: {name} has no mutation")
        if chapter.trouble:
            raise Unnoticed(f"book/manifest.yml, the mutation of {name}: {chapter.trouble}")
        first = chapter.value("door.cell")
        if first == "None":
            raise Unnoticed(f"no cell of {name} has called {self.targets}: the whole chapter must run before this test")
        cells = list(enumerate(c for c in chapter.nb.cells if c.cell_type == "code"))[int(first):]
        number, cell, error = self.rerun(cells, broken=True)
        if error is None:
            raise Unnoticed(f"with {self.targets} replaced as book/manifest.yml says, no check of {name} fails")
        if not error.startswith("AssertionError") or not is_checked(cell):
            raise Unnoticed(f"with {self.targets} replaced, cell {number} of {name} ends with {error}: it has to be a "
                            "check that fails, a cell with an assertion whose output is compared")
        number, cell, error = self.rerun(cells[:number - int(first) + 1], broken=False)
        if error is not None:
            raise Unnoticed(f"cell {number} of {name} fails when it is run a second time, with {self.targets} as it is: "
                            f"{error}")

    def rerun(self, cells, *, broken):
        """Run numbered cells until one fails: its number, the cell and its error, or the last one's and None."""
        chapter = self.parent
        chapter.door(f"start(broken={broken})")
        try:
            for numbered in cells:
                if error := chapter.execute(numbered[1].source):
                    break
        finally:
            chapter.door("end()")
        return *numbered, error

    @property
    def targets(self):
        return " and ".join(mutation["target"] for mutation in self.parent.entry.mutation)

    def repr_failure(self, excinfo):
        return str(excinfo.value) if isinstance(excinfo.value, Unnoticed) else super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}: broken method"


class Unnoticed(Exception):
    """A broken method that no check has noticed, or that could not be broken."""
