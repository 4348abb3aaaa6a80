"""The page "The model in your browser", in one: its tokenizer, its answers, its form. Chromium is all they need."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import json
import random
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from chromium import FOUND, Chromium
from tokenizers import Tokenizer

import seo_core
from seo_core.data import load_nli
from seo_core.runner.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS, VENDORED = ROOT / "book" / "artifacts", ROOT / "book" / "_vendor" / "onnxruntime-web"
PAGE = ROOT / "book" / "in_the_browser.md"
MODELS = ("reference", "reference-small")
MOST = 45_000_000  # bytes added to the site

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import in_browser  # noqa: E402

with_chromium = [pytest.mark.slow, pytest.mark.skipif(not FOUND, reason="no chromium on the PATH: install one, such as "
                                                      "Debian's package chromium")]
CUT = pytest.mark.filterwarnings("ignore:.* texts have more than 128 tokens")  # as they are to have

SPEAK = """const part = (name) => document.querySelector(`[data-part="${name}"]`);
    const until = async (ready) => {
        for (let turn = 0; !ready(); turn++) {
            if (turn > 1000) throw new Error(`waited in vain for ${ready}; the page says: ${said()}`);
            await new Promise((next) => setTimeout(next, 20));
        } };
    const write = (name, text) => { part(name).value = text; part(name).dispatchEvent(new Event("input")); };
    const said = () => part("message").textContent;
    const choose = (name) => document.querySelector(`input[value="${name}"]`).click();"""


# -- what is vendored, and what is made of it --------------------------------------------------


def test_the_runtime_is_the_one_that_was_published():
    listed = dict(reversed(line.split("  ")) for line in (VENDORED / "SHA256SUMS").read_text().splitlines())
    for name, wanted in listed.items():
        path = VENDORED / name
        data = path.read_bytes() if path.is_file() else gzip.decompress((VENDORED / f"{name}.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == wanted, name
    assert {path.name.removesuffix(".gz") for path in VENDORED.iterdir()} == {*listed, "README.md", "SHA256SUMS"}
    version = re.search(r"ONNX Runtime Web ([\d.]+\d)", (VENDORED / "README.md").read_text())[1]
    assert f"ONNX Runtime Web v{version}" in (VENDORED / "ort.wasm.bundle.min.mjs").read_text()[:200]


@pytest.mark.parametrize("change, words", [
    (lambda said: said["normalizer"].update(lowercase=False), "no other"),
    (lambda said: said["model"].update(max_input_chars_per_word=50), "no other"),
    (lambda said: said["model"]["vocab"].pop("the"), "gaps")])
def test_a_tokenizer_that_the_script_would_read_otherwise_is_refused(tmp_path, change, words):
    said = json.loads((ARTIFACTS / "reference-small" / "tokenizer.json").read_text())
    change(said)
    (tmp_path / "tokenizer.json").write_text(json.dumps(said))
    with pytest.raises(ValueError, match=words):
        in_browser.tokenizer(tmp_path / "tokenizer.json")


def test_the_page_stands_after_the_chapter_on_serving():
    pages = load_manifest(ROOT).pages()
    assert pages[pages.index("notebooks/21_serving") + 1] == "book/in_the_browser"


def test_characters_become_ranges():
    assert in_browser.character_class([33, 34, 35, 64, 0x1F600]) == r"\u{21}-\u{23}\u{40}\u{1f600}"


def test_without_javascript_the_page_shows_an_answer_that_the_model_gives():
    text = PAGE.read_text()
    asked, answers = re.search(r"<noscript>(.*?)the answer(.*?)</noscript>", text, re.DOTALL).groups()
    model = seo_core.load("reference", engine="exact")
    shares = model.probabilities([tuple(re.findall(r"<em>(.*?)</em>", asked))])[0]
    given = dict(re.findall(r"<em>(\w+), ([\d.]+)%</em>", answers))
    assert given == {label: f"{100 * share:.1f}" for label, share in zip(model.labels, shares, strict=True)}
    assert '<form id="in-browser" hidden' in text


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page's form, without the book around it, and its scripts, under one more folder, as a sub-path has it."""
    root = tmp_path_factory.mktemp("site")
    static = root / "some" / "book" / "_static" / "in_browser"
    in_browser.write(ARTIFACTS, VENDORED, static)
    assert sum(path.stat().st_size for path in static.iterdir()) < MOST
    for path in (ROOT / "book" / "_static" / "in_browser").iterdir():
        (static / path.name).write_bytes(path.read_bytes())
    form = re.search(r"```\{raw\} html\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    page = static.parents[1] / "pages" / "in_the_browser.html"
    page.parent.mkdir()
    page.write_text(f"<!doctype html><html lang=en><meta charset=utf-8><title>page</title><body>{form}")
    return root


@pytest.fixture(scope="module")
def server(site):
    """(address of the site, the paths that were asked for)."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, form, *values):
            if self.path != "/favicon.ico":
                asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/", asked
        running.shutdown()


@pytest.fixture(params=["file", "http"])
def address(request, site):
    """The page's address, on the disk and on a server."""
    base = request.getfixturevalue("server")[0] if request.param == "http" else f"{site.as_uri()}/"
    return f"{base}some/book/pages/in_the_browser.html"


@pytest.fixture
def browser():
    with Chromium() as tab:
        yield tab
        assert tab.errors == []


# -- the tokenizer -----------------------------------------------------------------------------


def hostile(count: int, seed: int = 0) -> list[str]:
    """Texts that tokenizers stumble over: by hand, and strings of random characters of many scripts."""
    by_hand = [
        "", " ", "\t\n \u00a0\u3000", "Café naïve Å Ångström ﬁ ½ ß ẞ", "İstanbul ıI ΣΑΣ ΌΔΟΣ. ς Σ",
        "日本語 한국어 中文abc中",
        "👩‍👩‍👧‍👦 👍🏽 🇩🇪 ☃️",
        "\x00\x01a\x7f\ufffdb\u200bc\u200dd\ufeff", "a" * 100, "a" * 101, "é" * 101, "word " * 3000,
        "\u0301\u0301", "e\u0301 e\u0323\u0302 \u1ea4", "don't—stop…“quoted”",
        "[SEP] [sep] [[MASK]] x[CLS]y [PAD][UNK]",
        "##ing ##", "$1,000.50 50% a_b a-b C++ <b>&amp;</b>", "नमस्ते தமிழ் ไทย עברית العربية", "\U0001d54f\U000e0041",
        "𠀀㐀豈 ", "a\r\nb\x0bc\x0cd\x85e\u2028f", "x" * 20_000, "a\u2e43b a\u061db a\u0e01\u0e31", "Ǆ ǅ ﷺ ① ㎏ Ⅷ ﬃ"]
    rng = random.Random(seed)
    scripts = [(0x20, 0x7F), (0x20, 0x7F), (0, 0x250), (0x300, 0x530), (0x590, 0x1000), (0x1E00, 0x2C00),
               (0x2E00, 0xA000), (0xF900, 0x10000), (0x1F300, 0x1FB00), (0x20000, 0x2FA20), (0xE0000, 0xE01F0)]
    words = ["the", "The", "MEN", "are", "sleeping", "outside", "in", "1990", "not", "nobody's", "unbelievably"]
    made = []
    for _ in range(count - len(by_hand)):
        pieces = [rng.choice(words) if rng.random() < 0.3 else
                  "".join(chr(rng.randrange(*rng.choice(scripts))) for _ in range(rng.randrange(1, 8)))
                  for _ in range(rng.choice([1, 3, 10, 40, 160]))]
        made.append(rng.choice([" ", "", "  "]).join(pieces))
    return by_hand + made


@pytest.fixture(scope="module")
def tab(site):
    with Chromium() as tab:
        tab.open(f"{site.as_uri()}/some/book/pages/in_the_browser.html")
        tab.run("""(async () => { for (const name of ["reference", "reference-small"])
            globalThis[name] = new Tokenizer((await loadScript(name)).tokenizer, 128); })()""")
        yield tab


class TestTokenizer:
    pytestmark = [*with_chromium, CUT]

    @pytest.mark.parametrize("name", MODELS)
    def test_pairs_are_the_ids_and_segments_that_predict_has(self, tab, name):
        texts = hostile(1200)
        pairs = list(zip(texts, [*texts[7:], *texts[:7]], strict=True))
        encoded = seo_core.load(name).encode(pairs)
        ours = tab.run(f"{json.dumps(pairs)}.map(([a, b]) => globalThis[{json.dumps(name)}].encode(a, b))")
        cuts = 0
        for row, (pair, found) in enumerate(zip(pairs, ours, strict=True)):
            ids = encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]].tolist()
            assert found["ids"] == ids, pair
            assert found["segments"].index(1) == encoded.first[row] and len(found["segments"]) == len(ids), pair
            cuts += found["cut"]
        long = seo_core.load(name).read(pairs)[1]
        assert cuts == long.sum() > 50

    def test_every_character_is_read_as_the_library_reads_it(self, tab):
        points = [*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200), 0xF0000, 0x10FFFD]
        texts = [" ".join(f"a{chr(p)}i {chr(p)}" for p in points[i : i + 50]) for i in range(0, len(points), 50)]
        library = Tokenizer.from_file(str(ARTIFACTS / "reference" / "tokenizer.json"))
        wanted = [row.ids for row in library.encode_batch(texts, add_special_tokens=False)]
        found = []
        for i in range(0, len(texts), 500):
            found += tab.run(f"{json.dumps(texts[i : i + 500])}.map((text) => reference.encodeText(text))")
        assert [texts[i] for i in range(len(texts)) if found[i] != wanted[i]] == []


# -- the answers -------------------------------------------------------------------------------


class TestAnswers:
    pytestmark = [*with_chromium, CUT]

    def test_they_are_those_of_the_package(self, browser, address):
        """The probabilities are those of the engine `exact`, and of these pairs the class is what `predict` says
        wherever the two best are more than 0.02 apart (of 1 000 pairs of MNLI it is not once)."""
        frame = load_nli("embedded", rows=512)["validation_matched"]
        pairs = list(frame[["premise", "hypothesis"]].head(170).itertuples(index=False, name=None))
        pairs += list(zip(hostile(230)[200:], hostile(230, seed=1)[200:], strict=True))
        browser.open(address)
        for name in MODELS:
            fast, exact = seo_core.load(name), seo_core.load(name, engine="exact").probabilities(pairs)
            wanted, labels = fast.probabilities(pairs), fast.predict(pairs)
            found = browser.run(f"""(async () => {{ const model = await classifier({json.dumps(name)}), rows = [];
                for (const [a, b] of {json.dumps(pairs)}) rows.push((await model.classify(a, b)).probabilities);
                return [model.labels, rows]; }})()""")
            ours, ranked = np.array(found[1]), np.sort(wanted, axis=1)
            assert len(pairs) == 200 and np.abs(ours - exact).max() < 1e-5
            # in the fast one the last bit of a float may tip an 8-bit step, which few answers show
            apart = np.abs(ours - wanted).max(axis=1)
            assert (apart < 0.02).mean() >= 0.95 and apart.max() < 0.1 and np.median(apart) < 1e-4
            clear = ranked[:, -1] - ranked[:, -2] > 0.02
            assert clear.sum() > 150
            assert [found[0][i] for i in ours[clear].argmax(1)] == [labels[i] for i in np.flatnonzero(clear)]


# -- the form ----------------------------------------------------------------------------------


@contextlib.contextmanager
def away(site, name: str):
    """The site without one of its scripts, until the block ends."""
    kept = site / "some" / "book" / "_static" / "in_browser" / name
    moved = kept.rename(site / "away.js")
    try:
        yield
    finally:
        moved.rename(kept)


class TestForm:
    pytestmark = with_chromium

    def test_nothing_is_loaded_before_the_reader_asks_and_then_only_what_was_asked(self, browser, server):
        base, asked = server
        asked.clear()
        browser.open(f"{base}some/book/pages/in_the_browser.html")
        browser.run(f"{SPEAK} until(() => said() === 'Nothing is loaded yet.')")
        assert {Path(path).name for path in asked} <= {"in_the_browser.html", "page.css", "page.js", "tokenizer.js",
                                                       "models.js"}
        assert re.fullmatch(r"Load reference \(1\d\.\d MB\)", browser.run("part('load').textContent"))
        asked.clear()
        browser.run("choose('reference-small'); part('load').click(); until(() => !part('result').hidden)")
        assert {Path(path).name for path in asked} == {"runtime.js", "reference-small.js"}
        browser.run("choose('reference')")
        assert not browser.run("part('load').hidden") and browser.run("part('result').hidden")
        assert re.fullmatch(r"Load reference \([89]\.\d MB\)", browser.run("part('load').textContent"))

    def test_it_answers_and_goes_on_answering_while_one_writes(self, browser, address):
        browser.open(address)
        browser.run(f"{SPEAK} until(() => said() && !part('load').hidden)")
        browser.run("part('load').focus(); part('load').click(); until(() => !part('result').hidden)")
        assert browser.run("said()").startswith("reference says: entailment, 9")
        assert browser.run("document.activeElement === part('premise')")  # the button it was on has gone
        rows = browser.run("[...part('bars').rows].map((row) => [row.cells[0].textContent, row.cells[2].textContent])")
        assert [label for label, _ in rows] == ["entailment", "neutral", "contradiction"]
        assert sum(float(share.rstrip("%")) for _, share in rows) == pytest.approx(100, abs=0.2)
        size = f"{in_browser.model(ARTIFACTS / 'reference')['bytes']:,}".replace(",", "\u00a0")
        assert re.fullmatch(rf"[\d.]+ ms for 16 tokens; the network has {size} bytes\.",
                            browser.run("part('cost').textContent"))
        browser.run("write('hypothesis', 'Nobody is resting.'); until(() => said().includes('contradiction'))")
        assert browser.run("part('example').value") == ""
        browser.run("write('premise', 'man '.repeat(500)); until(() => part('cost').textContent.includes('was cut'))")
        browser.run("write('premise', ' '); until(() => said().startsWith('Write two sentences'))")
        assert browser.run("part('result').hidden")
        browser.run("""part('example').selectedIndex = 2; part('example').dispatchEvent(new Event('change'));
            until(() => said().startsWith('reference says'))""")
        assert browser.run("part('hypothesis').value") == "A man is running in the park."
        browser.run("choose('reference-small'); part('load').click(); "
                    "until(() => said().startsWith('reference-small says'))")

    @pytest.mark.parametrize("missing", ["WebAssembly", "DecompressionStream"])
    def test_a_browser_that_cannot_is_told_so(self, browser, address, missing):
        browser.ask("Page.addScriptToEvaluateOnNewDocument", source=f"delete globalThis.{missing}")
        browser.open(address)
        browser.run(f"{SPEAK} until(() => part('message').classList.contains('wrong'))")
        assert browser.run("part('load').disabled")
        assert ("WebAssembly is missing" if missing == "WebAssembly" else "too old") in browser.run("said()")

    def test_a_page_without_its_list_of_models_says_so(self, browser, server, site):
        with away(site, "models.js"):
            browser.open(f"{server[0]}some/book/pages/in_the_browser.html")
            browser.run(f"{SPEAK} until(() => part('message').classList.contains('wrong'))")
            assert "models.js did not load" in browser.run("said()") and browser.run("part('load').disabled")

    def test_a_model_that_does_not_come_is_told_and_may_be_asked_for_again(self, browser, server, site):
        with away(site, "reference.js"):
            browser.open(f"{server[0]}some/book/pages/in_the_browser.html")
            browser.run(f"{SPEAK} until(() => said() && !part('load').hidden)")
            browser.run("part('load').click(); until(() => part('message').classList.contains('wrong'))")
            assert "reference could not be started. reference.js did not load." in browser.run("said()")
        browser.run("part('load').click(); until(() => !part('result').hidden)")

    def test_each_field_has_a_label_and_what_changes_is_read_out(self, browser, address):
        browser.open(address)
        browser.run(f"{SPEAK} until(() => said())")
        fields = "[...document.querySelectorAll('input, textarea, select')]"
        assert browser.run(f"{fields}.length") == 5 and browser.run(f"{fields}.every((f) => f.labels.length === 1)")
        assert browser.run("part('message').getAttribute('aria-live')") == "polite"
