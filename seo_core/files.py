"""Files: the only place that writes, renames or hashes; and tables beside a module.

    with writing("the model", ModelError), atomic_folder(target) as folder:      # whole or not at all; one clear error
        model.save_pretrained(folder)
    with atomic(path) as partial:                                                # the same for one file
        save_file(tensors, partial)
    write(path, "text or bytes")                                                 # where the content is at hand
    digest({"epochs": 3}, array, "text", length=8)                               # sha256 in hex
    with lock(path):                                                             # one process at a time
    table(__file__)                                                              # what papers.yml holds, in papers.py

Each is written under a hidden temporary name in the same folder, flushed to the disk and renamed. A kill may leave a
temporary name behind, and the next write of the same target sweeps up those older than an hour.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary name for the block to write, which becomes the file `path` when the block ends without an error. The
    folder is made where it is missing. sync: flushed to the disk before it is renamed, and the renaming too."""
    with _partial(Path(path)) as partial:
        yield partial
        if sync:
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
        if sync:
            _sync_folder(partial.parent)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """An empty temporary folder for the block to fill, which becomes the folder `path` when the block ends well. A
    folder that has the name is moved aside first and removed last: a kill leaves the old one or the new one under that
    name or beside it, never half of either."""
    path = Path(path)
    with _partial(path) as partial:
        partial.mkdir()
        yield partial
        if path.exists():
            path.rename(_hidden(path, "old"))
        partial.rename(path)
        for old in _beside(path, "old"):
            remove(old)


def whole_folder(path: Path) -> Path | None:
    """The folder of this name, else the one that had it until a kill cut its replacement short; None without either."""
    return path if path.is_dir() else max(_beside(path, "old"), key=lambda old: old.stat().st_mtime_ns, default=None)


@contextlib.contextmanager
def kept(path: str | Path) -> Iterator[None]:
    """Where the block fails, the file `path` is put back as it was, or removed if it was not there."""
    path = Path(path)
    with _partial(path) as copy:
        was_there = path.is_file()
        if was_there:
            shutil.copyfile(path, copy)
        try:
            yield
        except BaseException:
            os.replace(copy, path) if was_there else remove(path)
            raise


def write(path: str | Path, content: str | bytes, *, sync: bool = True) -> bool:
    """The file with this content, whole or not at all; False where it has it already and nothing was written."""
    path, content = Path(path), content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == content:
        return False
    with atomic(path, sync=sync) as partial:
        partial.write_bytes(content)
    return True


def remove(path: Path) -> None:
    """Removes a file or a folder; an absent one, or one that cannot be removed, is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _hidden(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:6]}.{kind}")


def _beside(path: Path, kind: str) -> list[Path]:
    return list(path.parent.glob(f".{glob.escape(path.name)}.*-*.{kind}"))


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A fresh temporary name beside `path`, removed where the block fails; what killed writes left is swept up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for stray in _beside(path, "tmp"):
        with contextlib.suppress(OSError):
            if time.time() - stray.stat().st_mtime > 3600:
                remove(stray)
    partial = _hidden(path, "tmp")
    try:
        yield partial
    finally:
        remove(partial)


def _sync_folder(folder: Path) -> None:
    """Makes the renames themselves durable (not every system lets a folder be synced)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def writing(what: str, error: type[Exception], remark: str = "") -> Iterator[None]:
    """What the system refuses to write in the block becomes `error`: "cannot write WHAT: problem; way out (remark)"."""
    try:
        yield
    except Exception as reason:
        if isinstance(reason, OSError) or type(reason).__name__ == "SafetensorError":  # which stands for an OSError
            raise error(f"cannot write {what}: {advice(reason)}{remark and f' ({remark})'}") from reason
        raise


def advice(error: Exception) -> str:
    """What is wrong with the disk or the folder, and a way out, in one line."""
    said, code = getattr(error, "strerror", None) or str(error), getattr(error, "errno", None)
    if code in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)) or "No space left" in said:
        return f"the disk is full ({said}); free some space or choose another folder"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder cannot be written ({said}); make it writable or choose another"
    if code in (errno.ENOTDIR, errno.EEXIST):
        return "a file stands where the folder should be; remove it or choose another folder"
    return f"{said}; check the folder or choose another"


def digest(*parts, length: int = 64) -> str:
    """The first `length` hex digits of the sha256 over the parts, one after the other. A part is text, bytes, an array
    (its values in C order), or what JSON can say (with sorted keys). Nothing stands between the parts: where they could
    run into each other, pass digests of them."""
    total = hashlib.sha256()
    for part in parts:
        if hasattr(part, "tobytes"):
            part = part.tobytes()
        elif not isinstance(part, (str, bytes)):
            part = json.dumps(part, sort_keys=True)
        total.update(part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:length]


def file_digest(path: str | Path) -> str:
    """The sha256 of a file, in 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: str | Path, busy: Exception | None = None) -> Iterator[None]:
    """Holds the lock file `path`; the system frees it where the process dies. busy: raised where another process has
    it; None waits until it is free."""
    from filelock import FileLock, Timeout

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(blocking=busy is None)
    except Timeout:
        raise busy from None
    with held:
        yield


def table(module: str, ending: str = ""):
    """What the YAML file beside a module holds: papers.yml, or papers_claims.yml with the ending "_claims"."""
    import yaml

    path = Path(module)
    with open(path.with_name(f"{path.stem}{ending}.yml"), "rb") as file:
        return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # the first is ten times faster
