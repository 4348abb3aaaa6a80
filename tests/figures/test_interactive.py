"""Figures that a reader can ask: what the markup says, what stays without the script, how they work in a browser."""

from __future__ import annotations

import gzip
import json
import re
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from chromium import FOUND, Chromium

from seo_core import figures
from seo_core.analysis import tradeoff
from seo_core.figures import style

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
AXE = ROOT / "tests" / "book" / "axe-core" / "axe.min.js.gz"
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import interactive_figures  # noqa: E402

NASTY = "</script><b>&\"'"  # a name of a reader's own


def points(*names: str) -> pd.DataFrame:
    """A table as of `tradeoff.with_losses`: the baseline, a small and a fast network, and one that was never timed."""
    none = [np.nan] * 2
    table = pd.DataFrame({
        "control": ["—", "distilled", "no equal control", "distilled"], "difference_equal": [np.nan, -1.4, *none],
        "low_equal": [np.nan, -2.0, *none], "high_equal": [np.nan, -0.8, *none], "paired_equal": [0, 1, 0, 0],
        "configuration": ["base", "small", "fast", "untimed"], "experiment": "11_quantization",
        "accuracy": [73.0, 72.5, 71.0, 73.5], "seeds": 1, "megabytes": [90.0, 7.0, 60.0, 88.0],
        "ms": [115.0, 40.0, 20.0, np.nan], "difference": [0.0, -0.4, -2.0, np.nan], "low": [np.nan, -1.0, -2.6, np.nan],
        "high": [np.nan, 0.2, -1.4, np.nan], "paired": [0, 3, 1, 0], "method": ["baseline", *["quantization"] * 3]})
    for name in names:
        table = pd.concat([table, table.iloc[[1]].assign(configuration=name, megabytes=8.0)], ignore_index=True)
    return table


class Island(HTMLParser):
    """The text of the island of a cell's output, and what stands outside of it."""

    def __init__(self, html: str):
        super().__init__()
        self.island, self.outside, self._within = "", "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self._within = tag == "script"
        self.outside += f"<{tag}>" * (not self._within)

    def handle_endtag(self, tag):
        self._within = False

    def handle_data(self, data):
        if self._within:
            self.island += data
        else:
            self.outside += data


def svgs(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", Island(html).island, re.DOTALL)]


def test_a_box_of_the_system_leads_to_pages_that_there_are_and_the_page_names_the_same_ones():
    toc = (ROOT / "book" / "_toc.yml").read_text()
    page = (ROOT / "notebooks" / "fig1_architecture.py").read_text()
    links = re.findall(r'href="([^"]+)\.html"', figures.box_links(figures.architecture(), instead="f").markup)
    assert len(links) == 2 * len(figures.COMPONENTS)
    for chapter, code in zip(links[::2], links[1::2], strict=True):
        assert f"file: notebooks/{chapter}\n" in toc and f"file: {code.removeprefix('../')}\n" in toc
        assert f"[]({chapter}) | [`{code.rpartition('/')[2]}`]({code})" in page


def test_each_point_says_its_numbers_in_both_panels():
    size, speed = svgs(figures.explore(points(), instead="fig-x")._repr_html_())
    names = [[g.get("data-name") for g in panel.iter("g")] for panel in (size, speed)]
    assert names == [["small", "fast", "untimed", "base"], ["fast", "small", "base"]]  # by cost; what was measured
    said = {g.get("data-name"): g.get("aria-label") for g in size.iter("g")}
    assert said["small"] == ("small (quantization): accuracy 72.5%, 7.0 MB, 40.0 ms a batch; in points on the matched "
                             "set, to the baseline: −0.40 [−1.00, +0.20] (3 seeds); to an equal control: −1.40 "
                             "[−2.00, −0.80] to distilled (1 seed)")
    assert said["fast"].endswith("; to an equal control: no equal control")
    assert "not timed" in said["untimed"] and said["untimed"].endswith("not run")
    assert said["base"] == "base (baseline): accuracy 73.0%, 90.0 MB, 115.0 ms a batch"
    assert all(g.get("role") == "img" for g in size.iter("g"))
    losses = {g.get("data-name"): g.get("data-loss") for g in size.iter("g")}
    assert losses == {"base": "0.0", "small": "0.4", "fast": "2.0", "untimed": None}
    behind = {g.get("data-name"): g.get("data-behind") for g in size.iter("g")}
    assert behind == dict.fromkeys(losses) | {"small": "1.4"}
    best = {g.get("data-name") for g in size.iter("g") if "best" in g.get("class").split()}
    assert best == set(tradeoff.pareto(points())["configuration"])


def test_names_cannot_end_the_island_or_make_a_tag():
    html = figures.explore(points(NASTY), instead='"><i>')._repr_html_()
    assert html.count("<script") == html.count("</script>") == 1 and "<b>" not in html and "<i>" not in html
    assert NASTY in {g.get("data-name") for panel in svgs(html) for g in panel.iter("g")}


def test_without_the_script_only_the_folded_table_is_there():
    graphic = figures.explore(points(), instead="fig-x")
    outside = Island(graphic._repr_html_()).outside
    assert "<svg>" not in outside and outside.lstrip().startswith("<details>")
    assert all(name in outside and name in repr(graphic) for name in ("small", "fast", "untimed"))


def test_without_points_it_says_not_run():
    empty = tradeoff.with_losses(tradeoff.points(pd.DataFrame()), pd.DataFrame())
    html = figures.explore(empty, instead="fig-x")._repr_html_()
    assert "not run" in html and "<script" not in html


def test_a_size_alone_makes_one_panel():
    table = points().assign(ms=np.nan)
    assert len(svgs(figures.explore(table, instead="fig-x")._repr_html_())) == 1


def test_names_of_points_have_room_or_are_left_out():
    places = style.label_places([(50, 50), (52, 50), (54, 50), (56, 50)], [(60, 14)] * 4, (0, 0, 120, 100))
    boxes = [(x - 30, y - 7, x + 30, y + 7) for x, y in filter(None, places)]
    assert 1 <= len(boxes) < 4
    for i, a in enumerate(boxes):
        assert a[0] >= 0 and a[1] >= 0 and a[2] <= 120 and a[3] <= 100
        assert all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for b in boxes[:i])


def test_only_pages_with_such_a_figure_load_the_script():
    added = []
    app = SimpleNamespace(add_js_file=lambda name, **_: added.append(name), add_css_file=added.append)
    for body in ("<p>prose</p>", figures.explore(points(), instead="fig-x")._repr_html_()):
        interactive_figures.load(app, "page", "page.html", {"body": body}, None)
    assert added == ["interactive.js", "interactive.css"]
    interactive_figures.load(app, "search", "search.html", {}, None)


def test_the_script_is_small_and_loads_nothing():
    script = (STATIC / "interactive.js").read_text()
    assert len(script.splitlines()) <= 150 and not re.search(r"https?:|fetch\(|import\b|eval\(", script)


# -- rounds --------------------------------------------------------------------------------------


def rounds() -> pd.DataFrame:
    """AIP's rounds as of `tables.rounds`: kept, taken back, and the final training."""
    return pd.DataFrame({"round": [1.0, 2.0, 3.0], "step": [0.1, 0.1, 0.0], "removed": [0.1, 0.2, 0.1],
                         "points": [-0.5, -2.25, 0.25], "accepted": [1.0, 0.0, 1.0], "final": [0.0, 0.0, 1.0]})


def weights(*labels: int) -> pd.DataFrame:
    """Weights of two actions over two rounds and two seeds."""
    rows = [(count, seed, number, operator, 0.1, weight + 0.01 * seed)
            for count in labels for seed in (0, 1) for number, shares in ((1, (0.5, 0.5)), (2, (0.6, 0.4)))
            for operator, weight in zip(("eda", "back_translation"), shares, strict=True)]
    return pd.DataFrame(rows, columns=["labels", "seed", "round", "operator", "strength", "weight"])


def says(graphic) -> list[str]:
    """The sentences for the rounds."""
    return json.loads(unescape(re.search('data-says="([^"]*)"', graphic.markup)[1]))


def test_each_round_says_what_was_tried_and_what_was_kept():
    graphic = figures.trace_steps(rounds(), 1.0, instead="fig-x")
    assert says(graphic) == [
        "Round 1 tries 10.0% more, 10.0% in all. After recovery the accuracy lies 0.50 points below the start, within "
        "T = 1: kept.",
        "Round 2 tries 10.0% more, 20.0% in all. After recovery the accuracy lies 2.25 points below the start, beyond "
        "T = 1: taken back to 10.0%.",
        "Round 3, the final training: 10.0% of the encoder is removed, and the accuracy lies 0.25 points above the "
        "start."]
    for panel in svgs(graphic._repr_html_()):
        kinds = [part.get("class") for part in panel.iter() if part.get("data-from") and not part.get("data-to")]
        assert kinds == ["kept", "back", "last"]


def test_weights_have_a_panel_for_each_number_of_labels_and_a_row_for_each_action():
    graphic = figures.weight_steps(weights(2000, 8000), instead="fig-x")
    panels = svgs(graphic._repr_html_())
    assert len(panels) == 2
    texts = [part.text for part in panels[0].iter("text")]
    assert {"eda 0.1", "back translation 0.1"} <= set(texts)
    assert "2\u00a0000 labels: eda 0.1 has most, 60.5%, back translation 0.1 least, 40.5%" in says(graphic)[1]
    assert len(svgs(figures.weight_steps(weights(1).drop(columns="labels"), instead="x")._repr_html_())) == 1


def prices() -> pd.DataFrame:
    """Three entries of a controller's log: kept, taken back, and one that did nothing."""
    return pd.DataFrame({"round": [1, 2, 3], "action": ["buy", "prune", "augment"], "step": [1.0, 0.5, 1.0],
                         "loss": [-0.125, 0.5, 1e-6], "accepted": [True, False, True],
                         "lambda_data": [0.5, 1.0, 0.75], "lambda_model": [0.5, 0.25, 0.0]})


def test_prices_are_steps_and_each_round_says_what_worked_and_what_came_of_it():
    graphic = figures.price_steps(prices(), instead="fig-x")
    assert says(graphic) == [
        "Round 1: buy, with a step of 1, at λ₁ = 0.50 and λ₂ = 0.50. The loss falls by 0.1250.",
        "Round 2: prune, with a step of 0.5, at λ₁ = 1.00 and λ₂ = 0.25. It is taken back.",
        "Round 3: augment, with a step of 1, at λ₁ = 0.75 and λ₂ = 0.00. The loss stays."]
    for panel, column in zip(svgs(graphic._repr_html_()), ("lambda_data", "lambda_model"), strict=True):
        dots = [part for part in panel.iter() if part.get("class") == "kept"]
        assert [(dot.get("data-from"), dot.get("data-to")) for dot in dots] == [(f"{n}", f"{n}") for n in (1, 2, 3)]
        heights = [float(dot.get("cy")) for dot in dots]
        assert sorted(heights, reverse=True) == [heights[i] for i in np.argsort(prices()[column])]  # up is more
        ends = [re.search(r"V([\d.]+)H", part.get("d"))[1] for part in panel.iter() if part.get("class") == "front"]
        assert [float(end) for end in ends] == heights
    assert "taken back" in repr(graphic)


def test_what_was_spent_and_why_a_round_was_taken_back_are_told_where_the_log_has_them():
    more = prices().assign(labels_used=[1500] * 3, seconds_used=[20.0, 38.5, 160.0], megabytes=[91.0, 91.0, 18.2],
                           why=["", "accuracy 0.55 is below the floor 0.58", ""])
    graphic = figures.price_steps(more, instead="fig-x")
    assert len(svgs(graphic._repr_html_())) == 5
    assert says(graphic)[1].endswith("It is taken back: accuracy 0.55 is below the floor 0.58. So far: labels spent "
                                     "1\u00a0500, seconds spent 38.5, file, MB 91.")
    assert "18.2" in says(graphic)[2] and "below the floor" in repr(graphic)


@pytest.mark.parametrize("graphic", [
    lambda: figures.trace_steps(pd.DataFrame(), 1.0, instead="x"),
    lambda: figures.price_steps(prices().iloc[:0], instead="x"),
    lambda: figures.weight_steps(weights(), instead="x")])
def test_without_rounds_it_says_not_run(graphic):
    html = graphic()._repr_html_()
    assert "not run" in html and "<script" not in html


# -- in a browser --------------------------------------------------------------------------------

THEME = """:root { --pst-color-text-base: #222; --pst-color-surface: #f3f4f5; --pst-color-text-muted: #48566b;
    --pst-color-background: #fff } html[data-theme=dark] { --pst-color-text-base: #ced6dd; --pst-color-surface: #29313d;
    --pst-color-text-muted: #9ca4af; --pst-color-background: #14181e }
    body { background: var(--pst-color-background); color: var(--pst-color-text-base) } [hidden] { display: none }"""
FIGURE = '<figure id="{0}"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="as drawn"></figure>'
SPEAK = """const all = (what) => [...document.querySelectorAll(what)];
    const part = (name) => document.querySelector(`[data-part="${name}"]`);
    const set = (field, value) => { field.value = value; field.dispatchEvent(new Event("input", {bubbles: true})); };
    const outside = () => [...new Set(all(".point.outside").map((point) => point.dataset.name))].sort();
    const key = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A page with all three kinds, open in Chromium."""
    graphics = {"fig-points": figures.explore(points(), instead="fig-points"),
                "fig-rounds": figures.trace_steps(rounds(), 1.0, instead="fig-rounds"),
                "fig-weights": figures.weight_steps(weights(2000, 8000), instead="fig-weights")}
    body = "".join(FIGURE.format(name) + graphic._repr_html_() for name, graphic in graphics.items())
    path = tmp_path_factory.mktemp("page") / "page.html"
    drawn = figures.architecture()
    drawn.savefig(path.with_name("system.png"), bbox_inches="tight")  # as a notebook does
    body += f"""<figure id="fig-system"><div class="frame" style="overflow-x: auto"><img src="system.png" alt="as drawn"
        style="--least: 663px; max-width: none; width: max(100%, 663px)"></div></figure>{
        figures.box_links(drawn, instead="fig-system")._repr_html_()}"""
    path.write_text(f'<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>page</title>'
                    '<meta name="viewport" content="width=device-width">'
                    f'<link rel="stylesheet" href="{(STATIC / "interactive.css").as_uri()}"><style>{THEME}</style>'
                    '</head>'
                    f'<body><main><h1>page</h1>{body}</main>'
                    f'<script src="{(STATIC / "interactive.js").as_uri()}" defer></script></body></html>')
    with Chromium() as browser:
        browser.window(1280, 900)
        browser.open(path.as_uri())
        browser.run(f"{SPEAK};0")
        yield browser
        assert browser.errors == browser.console == []


@pytest.mark.slow
@pytest.mark.skipif(not FOUND, reason="no chromium on the PATH: install one, such as Debian's package chromium")
class TestInABrowser:
    def test_it_takes_the_place_of_the_drawn_figure(self, tab):
        assert tab.run('all("figure:not(#fig-system)").every((each) => each.querySelector("img").hidden '
                       '&& each.querySelector("svg"))')

    @pytest.mark.parametrize("wide", [1280, 390])
    def test_boxes_of_the_system_lead_to_chapter_and_code_however_wide_it_is(self, tab, wide):
        tab.window(wide, 900)
        image = """(() => { const image = document.querySelector("#fig-system img"); image.scrollIntoView();
            const {x, y, width, height} = image.getBoundingClientRect(); return [x, y, width, height]; })()"""
        left, top, width, height = tab.run(image)
        assert width >= 663 and tab.run('!document.querySelector("#fig-system img").hidden')
        under = "(() => {{ const link = document.elementFromPoint({}, {}).closest('a'); return link && [" \
                "link.getAttribute('href'), link.getAttribute('aria-label')]; }})()"
        for across, down, expected in (  # where a reader sees these words in the drawing
                (0.145, 0.37, ["04_adaptive_augmentation.html", "Adaptive Data Augmentation (ADA): chapter"]),
                (0.145, 0.455, ["../book/api/augmentation.html", "Adaptive Data Augmentation (ADA): code"]),
                (0.47, 0.10, ["14_synergy_controller.html", "Synergy Controller: chapter"]),
                (0.79, 0.88, ["15_seo_llm.html", "Feedback loop: chapter"]), (0.47, 0.985, None)):
            if left + across * width < wide - 60:  # else the frame scrolls to it
                assert tab.run(under.format(left + across * width, top + down * height)) == expected, (across, down)
        tab.window(1280, 900)

    def test_what_the_limits_leave_out_fades_and_a_line_says_what_remains(self, tab):
        assert tab.run("outside()") == []
        assert tab.run('part("left").textContent') == (
            "4 of 4 networks remain. Most accurate: untimed, 73.5%. Smallest: small, 7.0 MB. "
            "Fastest: fast, 20.0 ms a batch.")
        size, time, loss, behind = (f'document.querySelector("[data-limits={key}]")'
                                    for key in ("megabytes", "ms", "loss", "behind"))
        assert tab.run(f"set({behind}, 0); outside()") == ["base", "fast", "untimed"]  # without an equal control
        assert tab.run(f"set({behind}, 99); outside()") == []
        assert tab.run(f"set({size}, 1); outside()") == ["base", "untimed"]
        assert tab.run(f'{size}.getAttribute("aria-valuetext")') == "at most 60 MB"
        assert tab.run(f"set({time}, 0); outside()") == ["base", "small", "untimed"]
        assert tab.run('part("left").textContent') == (
            "1 of 4 networks remains. Most accurate: fast, 71.0%. Smallest: fast, 60.0 MB. "
            "Fastest: fast, 20.0 ms a batch.")
        assert tab.run(f"set({loss}, 0); outside().length") == 4  # nothing is as small, as fast and loses nothing
        assert tab.run('part("left").textContent') == "None of 4 networks remains."
        opacity = 'getComputedStyle(all(".point.outside")[0]).opacity'
        assert float(tab.run(opacity)) < 0.3
        assert tab.run(f'set({size}, 99); set({time}, 99); set({loss}, 99); outside()') == []
        assert tab.run('set(part("method"), "baseline"); outside()') == ["fast", "small", "untimed"]
        assert tab.run('set(part("method"), ""); outside()') == []

    def test_a_keyboard_goes_from_point_to_point(self, tab):
        stops = 'all("svg").slice(0, 2).map((panel) => panel.querySelectorAll("[tabindex=\'0\']").length)'
        assert tab.run(stops) == [1, 1]
        first = 'all("svg")[0].querySelectorAll(".point")[0].focus(); document.activeElement.dataset.name'
        assert tab.run(first) == "small"
        assert tab.run('key("ArrowRight"); document.activeElement.dataset.name') == "fast"
        assert tab.run('part("tip").textContent').startswith("fast (quantization): accuracy 71.0%, 60.0 MB")
        assert tab.run('all(".asked").map((point) => point.dataset.name)') == ["fast", "fast"]
        assert tab.run('key("ArrowLeft"); key("ArrowLeft"); document.activeElement.dataset.name') == "small"

    def test_rounds_go_forward_and_back(self, tab):
        box = 'document.querySelector("#fig-rounds .figure-to-ask")'
        assert tab.run(f'{box}.querySelectorAll(".kept:not(.away), .back:not(.away), .last:not(.away)").length') == 6
        press = f'{box}.querySelector("[data-part={{}}]").click()'
        assert tab.run(f'{press.format("previous")}; {box}.querySelector("[data-part=says]").textContent').startswith(
            "Round 2 tries 10.0% more")
        assert tab.run(f'{box}.querySelectorAll(".last:not(.away)").length') == 0
        tab.run(press.format("previous"))
        assert tab.run(f'{box}.querySelector("[data-part=previous]").disabled')
        assert tab.run(f'{press.format("next")}; {box}.querySelector("input").value') == "2"

    def test_nothing_is_out_of_a_screen_readers_reach_in_both_themes(self, tab):
        tab.run(gzip.decompress(AXE.read_bytes()).decode() + ";0")
        for theme in ("light", "dark"):
            tab.run(f'document.documentElement.dataset.theme = "{theme}"')
            found = tab.run("""axe.run(document, {preload: false}).then((found) => found.violations
                .filter(({impact}) => impact === "serious" || impact === "critical")
                .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.html.slice(0, 120)}`)))""")
            assert found == [], theme
