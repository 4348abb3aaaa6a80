"""The real book, built from the committed notebooks with warnings as errors; the pages work offline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seo_core.runner.manifest import load_manifest
from seo_core.runner.notebooks import machine_paths

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = load_manifest(ROOT)


def pages(html: Path) -> list[Path]:
    return sorted(p for p in html.rglob("*.html") if "_static" not in p.parts)  # there: theme templates


@pytest.mark.slow
def test_every_page_of_the_manifest_is_built(html):
    for page in MANIFEST.pages():
        assert (html / f"{page}.html").is_file()
    assert (html / "index.html").is_file() and (html / "search.html").is_file()


@pytest.mark.slow
def test_the_api_documents_each_public_name_once_on_pages_of_a_readable_size(html):
    rooms = sorted((html / "book" / "api").glob("*.html"))
    names = [name for page in [html / "book" / "api.html", *rooms]
             for name in re.findall(r'<dt [^>]*id="(seo_core\.[^"]+)"', page.read_text())]
    assert len(names) == len(set(names)) > 500 and "seo_core.training.fit" in names and "seo_core.load" in names
    assert not [name for name in names if "._" in name]
    assert max(page.stat().st_size for page in rooms) < 300_000
    index = (html / "book" / "api.html").read_text()
    assert all(f'href="api/{page.name}#module-seo_core.' in index for page in rooms)


@pytest.mark.slow
def test_no_page_loads_anything_from_the_network(html):
    loads = re.compile(r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?"
                       r"(?:src|href|data-src)\s*=\s*[\"']?((?:https?:)?//[^\"' >]+)", re.I)
    scripts = re.compile(r"https?://(?:unpkg\.com|cdn\.|cdnjs\.|fonts\.g|[\w.]*jsdelivr|polyfill\.)[^\"' ]*")
    for page in pages(html):
        text = page.read_text()
        assert not loads.findall(text), page.name
        assert not scripts.findall(text), page.name
    for sheet in html.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet.name


@pytest.mark.slow
def test_every_local_link_leads_somewhere(html):
    for page in pages(html):
        for link in re.findall(r"(?:src|href)=\"([^\"#?:]+)(?:[?#][^\"]*)?\"", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(html)}: {link}"


@pytest.mark.slow
def test_maths_is_local_and_only_where_it_is_needed(html):
    assert (html / "_static" / "mathjax" / "tex-chtml-full.js").is_file()
    fonts = html / "_static" / "mathjax" / "output" / "chtml" / "fonts" / "woff-v2"
    assert len(list(fonts.glob("*.woff"))) == 23
    loaded = {p.relative_to(html).as_posix() for p in pages(html) if "tex-chtml-full.js" in p.read_text()}
    with_maths = {p.relative_to(html).as_posix() for p in pages(html) if 'class="math ' in p.read_text()}
    assert loaded == with_maths and loaded and "book/status.html" not in loaded


@pytest.mark.slow
def test_the_page_in_the_browser_has_its_models_and_its_runtime(html):
    scripts = html / "_static" / "in_browser"
    shipped = {path.parent.name for path in (ROOT / "book" / "artifacts").glob("*/config.json")}
    assert {path.stem for path in scripts.glob("*.js")} == {*shipped, "runtime", "models", "page", "tokenizer"}
    assert (scripts / "onnxruntime-web-LICENSE").is_file() and not list(html.rglob("*.wasm*"))
    loading = {page.name for page in pages(html) if "in_browser/page.js" in page.read_text()}
    assert loading == {"in_the_browser.html"}


@pytest.mark.slow
def test_no_machine_path_is_published(html):
    for path in html.rglob("*"):
        if path.suffix in {".html", ".ipynb", ".md", ".txt", ".json"} or path.name == "searchindex.js":
            text = path.read_text()
            for machine in machine_paths(ROOT):
                assert machine not in text, f"{machine} in {path.relative_to(html)}"


@pytest.mark.slow
def test_the_pages_suit_a_phone_and_the_search_is_there(html):
    for page in MANIFEST.pages():
        assert 'name="viewport"' in (html / f"{page}.html").read_text()
    assert "_static/book.css" in (html / "book" / "intro.html").read_text()
    index = (html / "searchindex.js").read_text()
    assert "baseline" in index


@pytest.mark.slow
def test_no_caption_counts_beside_the_papers_own_numbers(html):
    for chapter in MANIFEST.chapters:
        assert "caption-number" not in (html / "notebooks" / f"{chapter.id}.html").read_text(), chapter.id


@pytest.mark.slow
def test_status_page_says_what_these_pages_are(html):
    text = (html / "book" / "status.html").read_text()
    for chapter in MANIFEST.chapters:
        assert f"../notebooks/{chapter.id}.html" in text
    assert "nothing was" in text
    assert re.search(r"about \d.* for \d+ runs", text), "what the records say of profile cpu"
