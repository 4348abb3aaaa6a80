"""Files and folders appear whole or not at all, digests keep their values, and a lock holds."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seo_core import files


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.txt"
    assert files.write(path, "first") and path.read_text() == "first"
    assert not files.write(path, b"first")  # it says that already
    with pytest.raises(KeyboardInterrupt), files.atomic(path) as partial:
        partial.write_text("hal")
        assert path.read_text() == "first" and partial.parent == path.parent and partial.name.startswith(".")
        raise KeyboardInterrupt
    assert names(path.parent) == ["file.txt"] and path.read_text() == "first"


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    for text in ("old", "new"):
        with files.atomic_folder(target) as folder:
            (folder / "weights").write_text(text)
            (folder / text).write_text("")
    with pytest.raises(ValueError), files.atomic_folder(target) as folder:
        (folder / "weights").write_text("newer")
        raise ValueError
    assert names(tmp_path) == ["model"] and names(target) == ["new", "weights"]
    assert (target / "weights").read_text() == "new"


def test_a_kill_between_two_renames_leaves_the_old_folder_to_be_found(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with files.atomic_folder(target) as folder:
        (folder / "weights").write_text("old")
    assert files.whole_folder(target) == target
    target.rename(files._hidden(target, "old"))  # what a kill at the worst moment leaves
    assert (files.whole_folder(target) / "weights").read_text() == "old"
    with files.atomic_folder(target):
        pass
    assert names(tmp_path) == ["model"]


def test_what_a_killed_write_left_is_swept_up_an_hour_later(tmp_path):
    path = tmp_path / "[a]-seed1.json"
    strays = [tmp_path / f".{name}.77-abcdef.tmp" for name in ("[a]-seed1.json", "[a]-seed10.json")]
    for stray in strays:
        stray.write_text("")
    files.write(path, "x")
    assert strays[0].exists()  # it may be another process's
    for stray in strays:
        os.utime(stray, (time.time() - 7200,) * 2)
    files.write(path, "y")
    assert not strays[0].exists() and strays[1].exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_failed_block_puts_a_kept_file_back(tmp_path, there):
    path = tmp_path / "a"
    if there:
        path.write_text("old")
    with pytest.raises(OSError), files.kept(path):
        files.write(path, "new")
        raise OSError
    assert names(tmp_path) == (["a"] if there else []) and (not there or path.read_text() == "old")


@pytest.mark.parametrize(("error", "words"), [
    (OSError(28, "No space left on device"), r"cannot write the model: the disk is full \(No space left.*other folder"),
    (OSError(30, "Read-only file system"), "cannot be written .*make it writable"),
    (FileExistsError(17, "File exists"), "a file stands where the folder should be"),
    (OSError(5, "Input/output error"), "Input/output error; check the folder"),
])
def test_what_the_disk_refuses_is_one_clear_error(error, words):
    with pytest.raises(RuntimeError, match=words) as caught, files.writing("the model", RuntimeError, "nothing lost"):
        raise error
    assert str(caught.value).endswith("(nothing lost)") and caught.value.__cause__ is error
    with pytest.raises(ValueError), files.writing("the model", RuntimeError):  # anything else stays what it is
        raise ValueError


def test_digests_are_plain_sha256():
    array, config = np.arange(6, dtype=np.int32).reshape(2, 3).T, {"b": 1, "a": [None, 0.5]}
    said = b"text" + np.ascontiguousarray(array).tobytes() + json.dumps(config, sort_keys=True).encode()
    assert files.digest("te", b"xt", array, config) == hashlib.sha256(said).hexdigest()
    assert files.digest("x", length=8) == hashlib.sha256(b"x").hexdigest()[:8]


def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert files.file_digest(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(tmp_path):
    code = ("import sys, time; from seo_core import files\n"
            "with files.lock(sys.argv[1]):\n    print('held', flush=True); time.sleep(60)")
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match="in use"), files.lock(tmp_path / "a.lock", RuntimeError("in use")):
        pass
    holder.kill()
    holder.wait()
    with files.lock(tmp_path / "a.lock"):
        pass


def test_a_table_is_what_the_yaml_file_beside_a_module_holds(tmp_path):
    (tmp_path / "papers.yml").write_text("size: 420\nnames: [a, ü]\n", encoding="utf-8")
    (tmp_path / "papers_claims.yml").write_text("- h-data\n")
    module = str(tmp_path / "papers.py")
    assert files.table(module) == {"size": 420, "names": ["a", "ü"]} and files.table(module, "_claims") == ["h-data"]


def test_every_table_of_the_package_belongs_to_a_module():
    package = Path(files.__file__).parent
    for path in package.rglob("*.yml"):
        assert any(path.stem.startswith(module.stem) for module in path.parent.glob("*.py")), path
