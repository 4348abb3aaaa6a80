"""Breaking a chapter's method, in the kernel that has just run the chapter: its checks must notice.

nbval starts a kernel and puts the method behind a `Door` before the first cell. The door only notes in which cell the
method is called first, and how things stood before that cell. After the last cell the door is opened: calls get to the
replacement from the manifest, and the cells run again from the one noted, with the names of then and with no record
that was written since. What did not call the method is not run twice.
"""

from __future__ import annotations

import copy
import functools
import gc
import pkgutil
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from seo_core.runner import RunnerError

door: Door | None = None  # of this kernel


def install(mutations: Iterable[dict], build: str) -> Door:
    """In a kernel, before its first cell: a door before the methods. build: where the chapter writes."""
    from IPython import get_ipython

    global door
    door = Door(mutations, get_ipython().user_ns, Path(build))
    get_ipython().events.register("pre_run_cell", door.before_cell)
    return door


class Door:
    """What stands between a chapter and the methods that its mutations break.

    cell: the first cell (counted from 0) that called one of them, None before.
    """

    def __init__(self, mutations: Iterable[dict], namespace: dict, build: Path) -> None:
        """namespace: the kernel's names. build: the folder of everything that the chapter writes."""
        self.namespace, self.build, self.aside = namespace, build, build.with_name(build.name + ".clean")
        self._given = dict(namespace)  # IPython's own names
        self.cell: int | None = None
        self.open = False
        self._begun = -1  # the cell that runs
        self._names: dict = {}  # before it
        self._files: dict[Path, int] = {}
        for mutation in mutations:
            self._put(**mutation)

    def before_cell(self, *_) -> None:
        """Note how things stand, until a cell has called the method."""
        if self.cell is None:
            self._begun += 1
            self._names = _copies({k: v for k, v in self.namespace.items() if k not in self._given and k[0] != "_"})
            self._files = _times(self.build)

    def start(self, *, broken: bool) -> None:
        """Go back to before the first cell that called the method; what was written since is set aside."""
        self.open = broken
        self.namespace.clear()
        self.namespace.update({**self._given, **_copies(self._names)})
        _empty_caches()
        self.build.mkdir(exist_ok=True)
        self.build.rename(self.aside)
        self.build.mkdir()
        for path, time in self._files.items():
            kept = self.aside / path
            if kept.is_file() and kept.stat().st_mtime_ns == time:
                (self.build / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(kept, self.build / path)

    def end(self) -> None:
        """Close the door again; what the second run wrote goes, what the first one wrote is back."""
        self.open = False
        shutil.rmtree(self.build)
        self.aside.rename(self.build)

    def _put(self, target: str, replacement: str) -> None:
        """Before `target` ("package.module.name" or "….Class.method"), under every name that seo_core has for it.

        `replacement` is a Python expression in which `original` is the object replaced and the names of its module are
        at hand.
        """
        where, _, name = target.rpartition(".")
        try:
            holder = pkgutil.resolve_name(where)
        except ImportError:
            raise RunnerError(f"mutation target {target!r}: no such module") from None
        original = getattr(holder, name)
        if not callable(original):
            raise RunnerError(f"mutation target {target!r} is not a function")
        module = sys.modules[getattr(holder, "__module__", where)]  # that of the class, or the holder itself
        through = self._passage(original, eval(replacement, {**vars(module), "original": original}))
        setattr(holder, name, through)
        for namespace in [vars(m) for n, m in list(sys.modules.items()) if n.partition(".")[0] == "seo_core"]:
            for known in [key for key, value in namespace.items() if value is original]:
                namespace[known] = through

    def _passage(self, original: Callable, replacement: Callable) -> Callable:
        @functools.wraps(original)
        def through(*args, **kwargs):
            if self.cell is None:
                self.cell = self._begun
            return (replacement if self.open else original)(*args, **kwargs)

        return through


def _copies(names: dict) -> dict:
    """Deep copies of the values, since a cell may train a network of an earlier one in place.

    What has no copy (a module, a session of a runtime) stays what it is."""
    memo, copies = {}, {}
    for name, value in names.items():
        try:
            copies[name] = copy.deepcopy(value, memo)
        except Exception:  # whatever a __deepcopy__ or __reduce__ raises
            copies[name] = value
    return copies


def _times(folder: Path) -> dict[Path, int]:
    """When each file below `folder` was written, by relative path."""
    return {p.relative_to(folder): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def _empty_caches() -> None:
    """Forget what functools.cache and lru_cache hold for functions of seo_core."""
    for thing in gc.get_objects():
        if type(thing) is functools._lru_cache_wrapper and str(thing.__module__).startswith("seo_core"):
            thing.cache_clear()
