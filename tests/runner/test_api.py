"""The API pages are read off the tree: a new module or room is there without a list that somebody has to edit."""

from __future__ import annotations

import shutil
from pathlib import Path

import minibook
import pytest

import seo_core
from seo_core.runner import api
from seo_core.runner.manifest import load_manifest
from seo_core.runner.notebooks import out_of_step
from seo_core.runner.render import stage_prose
from seo_core.runner.state import Tree

PACKAGE = Path(seo_core.__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """In place of ours, a package of three rooms, of which one has no level."""
    folder = tmp_path / "package"
    for name, text in {"settings.py": '"""Settings."""', "odd.py": "", "_private.py": "", "data/_hidden.py": "",
                       "data/__init__.py": '"""Data.\n\nreaders.py reads, encoding.py encodes."""',
                       "data/encoding.py": "", "data/readers.py": "", "data/cleaning.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(api, "PACKAGE", folder)
    return folder


def documented(texts: dict[str, str]) -> list[str]:
    return [line.split("automodule:: ")[1] for text in texts.values() for line in text.splitlines()
            if "automodule:: " in line]


def test_every_public_module_is_documented_once():
    expected = [".".join(("seo_core", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
                for path in PACKAGE.rglob("*.py") if path.name == "__init__.py" or not path.name.startswith("_")]
    assert sorted(documented(api.pages("# API"))) == sorted(expected)


def test_rooms_go_by_level_and_modules_as_the_room_names_them(package):
    assert api.levels() == [["settings"], ["data"], ["odd"]]
    assert api.modules("data") == ["data", "data.readers", "data.encoding", "data.cleaning"]
    texts = api.pages("# API\n")
    assert list(texts) == ["book/api", "book/api/foundations", "book/api/data", "book/api/odd"]
    assert texts["book/api"].startswith("# API\n") and "~seo_core.odd" in texts["book/api"]
    (package / "data" / "splits.py").write_text("")
    assert "seo_core.data.splits" in documented(api.pages("# API"))


def test_pages_are_staged_and_a_room_that_is_not_in_the_contents_is_out_of_step(tmp_path, package):
    folder = minibook.make(tmp_path / "book")
    assert "book/api/" not in load_manifest(folder).toc_text()  # this book has no API page
    (folder / "book" / "api.md").write_text("# API\n")
    manifest = folder / "book" / "manifest.yml"
    manifest.write_text(manifest.read_text().replace("[book/status]", "[book/status, book/api]"))
    book, tree = load_manifest(folder), Tree(folder, "quick")
    assert set(book.pages()) > {"book/api", "book/api/foundations", "book/api/data", "book/api/odd"}
    (folder / "book" / "_toc.yml").write_text(book.toc_text())
    assert "book/_toc.yml" not in out_of_step(book)
    stage_prose(book, tree)
    assert "seo_core.data.readers" in (tree.staging / "book" / "api" / "data.md").read_text()
    shutil.rmtree(package / "data")
    assert "book/_toc.yml" in out_of_step(book)
    stage_prose(book, tree)
    pages = tree.staging / "book"
    assert sorted(path.name for path in (pages / "api").iterdir()) == ["foundations.md", "odd.md"]
    assert (pages / "api.md").is_file() and not (folder / "book" / "api").exists()
