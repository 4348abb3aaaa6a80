"""Files: the only place that writes, renames or hashes.

Files and folders appear whole or not at all: each is written under a temporary name in the same folder, flushed to
the disk, and renamed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def replace_folder(new: Path, target: Path) -> None:
    """Gives the finished folder `new` the name `target`. One that has the name is moved aside first and removed last:
    a kill leaves the old one or the new one under that name or beside it, never half of either."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _save(path: Path, writer) -> None:
    with open(path, "xb") as file:
        writer(file)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the renames themselves durable (not every system lets a folder be synced)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
