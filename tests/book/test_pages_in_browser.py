"""The rendered pages as a reader has them, opened from the disk in Chromium: at a desk in the light, on a phone in the
dark. Nothing runs out of sight, nothing is out of a keyboard's or a screen reader's reach, nothing fails to load."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import statistics
import sys
from pathlib import Path

import pytest
from chromium import FOUND, Chromium
from filelock import FileLock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
import readable

AXE = Path(__file__).parent / "axe-core"
WINDOWS = {"desk": (1280, 900, "light"), "phone": (390, 844, "dark")}
LARGEST = 400_000  # bytes of a page, gzipped
SMALLEST = 8.9  # pixels of the smallest text of a figure, 9 points at 120 dots an inch

# One page of each kind, for all rules of axe in both windows, which take seconds a page. Other pages that people write
# have those of WCAG's level A on the phone; the generated ones are like those here.
OF_EACH_KIND = ("book/intro", "book/glossary", "book/status", "book/in_the_browser", "book/api/results", "search",
                "notebooks/01_data", "notebooks/09_pruning", "notebooks/fig3_size_vs_speed", "_modules/seo_core/checks")

MEASURE = """(() => {
    for (const folded of document.querySelectorAll("details")) folded.open = true;
    const shown = (element) => element.getClientRects().length > 0;
    const all = (selector) => [...document.querySelectorAll(`.bd-article ${selector}`)].filter(shown);
    const cutting = (element) => {  // the part of the page that hides some of it
        for (let part = element; part !== document.body; part = part.parentElement)
            if (getComputedStyle(part).overflowX !== "visible" && part.scrollWidth > part.clientWidth + 1) return part;
        return element.getBoundingClientRect().right > innerWidth + 1 ? document.body : null;
    };
    const columns = (table) => Math.max(...[...table.rows].map((row) => row.cells.length));
    const told = (element) => element.innerText.slice(0, 60).replace(/\\s+/g, " ");
    const framed = (table) => cutting(table).matches(".frame[tabindex='0'][aria-label]")
        && getComputedStyle(table.rows[0].cells[0]).position === "sticky";
    return {
        sideways: document.documentElement.scrollWidth - innerWidth,
        cut: all("table").filter((table) => cutting(table) && !(columns(table) > COLUMNS && framed(table))).map(told),
        scrolling: all("table").filter((table) => cutting(table) && framed(table)).length,
        hidden: all("table").filter((table) => {
            const part = cutting(table);
            const verdict = [...table.rows[0].cells].find((cell) => cell.innerText.trim() === "verdict");
            return verdict && part && verdict.getBoundingClientRect().right > part.getBoundingClientRect().right + 1;
        }).map(told),
        lines: all("pre").filter((code) => cutting(code)).map(told),
        figures: all(".cell_output img").map((image) => 9 * 120 / 72 * image.clientWidth / image.naturalWidth),
        tables: all("table").length,
    };
})()""".replace("COLUMNS", str(readable.COLUMNS))

SOME = {"runOnly": ["wcag2a", "wcag21a"]}
CHECK = """axe.run(document, {preload: false, resultTypes: ["violations"], ...RULES}).then((found) =>
    found.violations.filter(({impact}) => impact === "critical" || impact === "serious").flatMap(({id, nodes}) =>
        nodes.map((node) => `${id}: ${node.html.slice(0, 120)}`)))"""


def visit(html: Path) -> dict[str, dict]:
    """Page -> size, load (ms), console, and for each window what `MEASURE` and axe find."""
    script, found = gzip.decompress((AXE / "axe.min.js.gz").read_bytes()).decode(), {}
    names = [path.relative_to(html).with_suffix("").as_posix() for path in sorted(html.rglob("*.html"))
             if path.relative_to(html).parts[0] not in ("_static", "_modules") and path != html / "index.html"]
    with Chromium(seconds=600) as tab:
        for name in dict.fromkeys([*names, *OF_EACH_KIND]):
            path, page = html / f"{name}.html", {}
            tab.errors.clear(), tab.console.clear()
            for window, (width, height, theme) in WINDOWS.items():
                tab.window(width, height, dark=theme == "dark")
                if not page:
                    tab.open(path.as_uri())
                    page = {"size": len(gzip.compress(path.read_bytes())),
                            "load": tab.run("performance.getEntriesByType('navigation')[0].loadEventEnd")}
                    tab.run(f"{script};0")
                tab.run(f"document.documentElement.dataset.theme = {json.dumps(theme)}")
                tab.run("new Promise((next) => setTimeout(next, 50))")
                page[window] = tab.run(MEASURE)
                written = window == "phone" and name.startswith(("book/", "notebooks/")) and "/api/" not in name
                if written or name in OF_EACH_KIND:
                    page[window]["axe"] = tab.run(
                        CHECK.replace("RULES", json.dumps({} if name in OF_EACH_KIND else SOME)))
            page["console"] = [*tab.errors, *tab.console]
            found[name] = page
    return found


@pytest.fixture(scope="session")
def visited(html):
    """What `visit` found, once for all workers."""
    kept = html.parent / "visited.json"
    with FileLock(f"{kept}.lock"):
        if not kept.is_file():
            kept.write_text(json.dumps(visit(html)))
    return json.loads(kept.read_text())


def test_axe_is_the_script_that_was_published():
    sums = dict(reversed(line.split("  ")) for line in (AXE / "SHA256SUMS").read_text().splitlines())
    script = gzip.decompress((AXE / "axe.min.js.gz").read_bytes())
    assert hashlib.sha256(script).hexdigest() == sums["axe.min.js"]
    assert hashlib.sha256((AXE / "LICENSE").read_bytes()).hexdigest() == sums["LICENSE"]
    assert script.startswith(b"/*! axe v4.14.1")


@pytest.mark.slow
@pytest.mark.skipif(not FOUND, reason="no chromium on the PATH: install one, such as Debian's package chromium")
class TestPages:
    @pytest.mark.parametrize("window", WINDOWS)
    @pytest.mark.parametrize("kind", ["cut", "hidden", "lines", "axe"])
    def test_nothing_is_out_of_sight_or_reach(self, visited, window, kind):
        assert {name: page[window][kind] for name, page in visited.items() if page[window].get(kind)} == {}

    @pytest.mark.parametrize("window", WINDOWS)
    def test_no_page_scrolls_sideways(self, visited, window):
        assert [name for name, page in visited.items() if page[window]["sideways"] > 0] == []

    def test_figures_can_be_read_on_a_phone(self, visited):
        small = {name: page["phone"]["figures"] for name, page in visited.items()
                 if min(page["phone"]["figures"], default=SMALLEST) < SMALLEST}
        assert small == {}

    def test_everything_loads_from_a_disk_and_is_small(self, visited, record_property):
        assert {name: page["console"] for name, page in visited.items() if page["console"]} == {}
        assert max(page["size"] for page in visited.values()) < LARGEST
        loads = [page["load"] for page in visited.values()]  # told, not held: other work slows them
        print(f"{len(loads)} pages load in {statistics.median(loads):.0f} ms (median), {max(loads):.0f} ms (slowest)")
        record_property("median load, ms", statistics.median(loads))


class TestReadable:
    def test_words_of_a_table_break_at_their_joints_and_not_inside_tags(self):
        assert readable.breakable("not reproduced") == "not repro&shy;duced"
        assert readable.breakable('<a href="a/long/path.html">accuracy_matched</a>') == (
            '<a href="a/long/path.html">accuracy_<wbr>matched</a>')
        assert readable.breakable("&lt;= 0.12345678") == "&lt;= 0.12345678"

    @pytest.mark.parametrize("written, shown", [
        ("-0.54 [-1.20, +0.31]", "−0.54 [−1.20, +0.31]"), ("285,498", "285\u00a0498"), ("1,536 / 12,000", None),
        ("2026-11-29", "2026-11-29"), ("0.12,0.345", "0.12,0.345"),
        ("It cost $5,000, or -3.", "It cost $5,000, or -3."),
        ("tal at 5,600 against base", None), ("sqd-taylor-65", "sqd-taylor-65"), ("3e-5", "3e-5")])
    def test_numbers_of_a_table_are_written_as_in_the_text(self, written, shown):
        assert readable.numbers(written) == (shown or written.replace(",", "\u00a0"))

    def test_columns_of_numbers_end_at_their_right(self):
        table = ("<table><tr><th>arm</th><th>points</th></tr><tr><td>a</td><td>-1,200.5</td></tr>"
                 "<tr><td>7</td><td>—</td></tr></table>")
        assert readable._TABLE.sub(readable.table, table) == (
            "<table><tr><th>arm</th><th data-number>points</th></tr><tr><td>a</td>"
            "<td data-number>−1\u00a0200.5</td></tr><tr><td>7</td><td data-number>—</td></tr></table>")
        words = "<table><tr><td>not run</td></tr><tr><td>3</td></tr></table>"
        assert readable._TABLE.sub(readable.table, words) == words

    @pytest.mark.parametrize("columns, framed", [(readable.COLUMNS, False), (readable.COLUMNS + 1, True)])
    def test_only_a_table_of_many_columns_has_a_frame(self, columns, framed, tmp_path):
        page = f'<article class="bd-article"><table><tr>{"<td>1</td>" * columns}</tr></table></article>'
        assert ('tabindex="0"' in readable.finished(page, tmp_path)) == framed

    def test_no_line_ends_inside_an_option(self, tmp_path):
        option, name = '<span class="pre">--max-size</span>', '<span class="pre">seo_core.training</span>'
        page = f'<article class="bd-article"><code>{option} {name}</code></article>'
        assert readable.finished(page, tmp_path) == page.replace(name, "seo_core.training")

    def test_a_mark_stands_where_a_word_is_too_long_for_a_phone(self):
        table = readable._TABLE.sub(readable.table, "<table><tr><td>mismatched</td><td>a short text</td></tr></table>")
        assert table == "<table><tr><td data-long>mismatched</td><td>a short text</td></tr></table>"

    def test_no_line_begins_with_what_ends_a_sentence_behind_a_formula(self, tmp_path):
        formula = r'<span class="math notranslate nohighlight">\(x\)</span>'
        assert readable.finished(f"{formula}, {formula} y", tmp_path) == (
            f'<span class="joined">{formula},</span> {formula} y')

    @pytest.mark.parametrize("here", ["", "current "])
    def test_what_opens_a_list_of_pages_says_of_which(self, here, tmp_path):
        page = f'<a class="{here}reference internal" href="#">API</a><details open="open"><summary><i></i></summary>'
        assert '<summary aria-label="Pages of: API">' in readable.finished(page, tmp_path)

    def test_folds_say_what_they_hide(self, tmp_path):
        fold = '<details class="admonition hide {}-input"><summary>\n<p>Show the code</p>\n<p>Hide the code</p>'
        code, output = fold.format("above"), fold.format("below")
        answer = f'<div class="cell tag_hide-cell tag_live docutils container">\n{code}'
        page = readable.finished(f'{answer}{output}<section id="exercises">{answer}{code}', tmp_path)
        assert re.findall(r"Show the (\w+)", page) == ["code", "output", "answer", "code"]
        assert re.findall(r"Hide the (\w+)", page) == ["code", "output", "answer", "code"]
