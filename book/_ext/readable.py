"""Sphinx extension: what the theme's finished pages lack for narrow screens, keyboards, screen readers, and disks.

Tables. A word in a cell may break after the signs that join its parts, and on a phone anywhere if it is still long. A
table of more than `COLUMNS` columns, which a phone has no room for, gets a frame that scrolls and that the keyboard
reaches; its first column stays in sight. Numbers are written as the text around writes them: −0.54 and 8 000; a column
of nothing else ends at its right.
Figures. A phone shows one no smaller than `NARROW` of the size it was drawn in, so that 9 points are 9 pixels; where
that is wider than the phone, it scrolls in such a frame, too.
Folds. What hides a cell of an exercise shows "the answer", and what hides an output alone "the output"; the theme has
one word for all.
Theme. Controls get the names they lack, and the fonts are not loaded ahead: a page on a disk may not do that, and says
so in the console, twice for each font. Code in a line is not wrapped once more, which is a quarter of the API's pages,
but for short words with a hyphen: no line ends inside `--time`.
Captions have no numbers: "Figure 2" is the papers', and a page that reproduces it held "Fig. 52". What Jupyter Book has
for LaTeX switches them on, whatever the configuration says.
Maths. Sphinx loads it on the front page, too, which has none, for those that it leads to. A line never begins with the
stop or comma behind a formula.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

COLUMNS = 6
NARROW = 0.6  # of the 120 dots an inch of `seo_core.figures.style`: 9 points are 9 pixels
WORD = 8  # characters that a column of a table has room for on a phone
PHONE = 300  # pixels that a narrow phone leaves to a figure
_LONG = re.compile(r"[^\s<>&;]{9,}")
_JOINED = re.compile(r"(?<=[^\W\d])([/_=.:,+\-–]+)(?=\w)|(?<=[a-z])()(?=[A-Z])")
_VERDICT = re.compile(r"(repro)(duced)")  # browsers without a dictionary would break it before its last letter
_TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?(?=</tr>)", re.DOTALL)
_CELL = re.compile(r"(<t[dh]\b)([^>]*>)(.*?)(?=</t[dh]>)", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_NUMBER = re.compile(r"[+−]?\d[\d.\N{NO-BREAK SPACE}]*\s?[%×]?")
_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
_GROUPS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_FIGURE = re.compile(r'<img\b[^>]*\bsrc="([^"]*_images/[^"]+\.png)"[^>]*>')
_MATHS = re.compile(r"<script\b[^>]*tex-chtml-full\.js[^>]*></script>|<script>window\.MathJax = .*?</script>",
                    re.DOTALL)
_FORMULA = re.compile(r'(<span class="math notranslate nohighlight">[^<]*</span>)([.,;:?!)”]+)')
_PROMPTS = r"\s*<summary[^>]*>\s*<p[^>]*>)Show the code(</p>\s*<p[^>]*>)Hide the code"
_ANSWER = re.compile(r'(<div class="cell[^"]*\btag_hide-cell\b[^"]*">\s*<details[^>]*>' + _PROMPTS)
_THEME = [
    (re.compile(r'<span class="pre">([^<-]*|[^<]{17,})</span>'), r"\1"),
    (re.compile(r'<link rel="preload" as="font"[^>]*>\s*'), ""),
    # Their texts are their names.
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    (re.compile(r'(<button class="[^"]*search-button-field[^"]*"[^>]*?) aria-label="Search"'), r"\1"),
    (re.compile(r'(<a class="(?:current )?reference internal" href="[^"]*">)([^<]*)(</a><details[^>]*><summary)>'),
     r'\1\2\3 aria-label="Pages of: \2">'),
    (re.compile(r'<div role="list" class="citation-list">'), '<div class="citation-list">'),
    (re.compile(r'(<details class="[^"]*\bbelow-input">' + _PROMPTS), r"\1Show the output\2Hide the output"),
]


def frame(inside: str, kind: str, name: str) -> str:
    """`inside` in a frame that scrolls sideways and that the keyboard reaches."""
    return f'<div class="frame {kind}" tabindex="0" role="group" aria-label="{name}, scrolls sideways">{inside}</div>'


def breakable(text: str) -> str:
    """HTML whose long words may break: `seo_core.training` before the names in it."""
    parts = re.split(r"(<[^>]*>)", text)
    parts[::2] = [_LONG.sub(lambda word: _VERDICT.sub(r"\1&shy;\2", _JOINED.sub(r"\1<wbr>", word[0])), part)
                  for part in parts[::2]]
    return "".join(parts)


def numbers(text: str) -> str:
    """A cell's text with a minus sign and groups of digits: `-8,000` is −8 000. A sentence, as data has, stays."""
    if text.rstrip().endswith((".", "?", "!", '"', "”")):
        return text
    return _GROUPS.sub(lambda number: number[0].replace(",", "\N{NO-BREAK SPACE}"), _MINUS.sub("\N{MINUS SIGN}", text))


def cell(found: re.Match) -> str:
    """A cell of a table, marked where a part of a word is long for a phone."""
    inside = breakable(numbers(found[3]))
    words = _TAG.sub(" ", inside.replace("<wbr>", " ").replace("&shy;", " ")).split()
    mark = " data-long" if max(map(len, words), default=0) > WORD else ""
    return found[1] + mark + found[2] + inside


def aligned(html: str) -> str:
    """A table whose columns of nothing but numbers and dashes are marked."""
    rows = [_CELL.findall(row) for row in _ROW.findall(html)]
    body = [[_TAG.sub("", inside).strip() for _, _, inside in row] for row in rows if row and row[-1][0] == "<td"]
    if "span=" in html or not body or len(set(map(len, body))) > 1:
        return html
    numbers = {place for place, texts in enumerate(zip(*body, strict=True)) if any(map(_NUMBER.fullmatch, texts))
               and all(text in ("", "—") or _NUMBER.fullmatch(text) for text in texts)}

    def row(found: re.Match) -> str:
        places = itertools.count()
        return _CELL.sub(lambda cell: cell[1] + " data-number" * (next(places) in numbers) + cell[2] + cell[3],
                         found[0])

    return _ROW.sub(row, html)


def table(found: re.Match) -> str:
    """A table whose words break, in a frame if it has many columns."""
    html = aligned(_CELL.sub(cell, found[0]))
    columns = max((len(_CELL.findall(row)) for row in _ROW.findall(html)), default=0)
    return frame(html, "wide-table", f"Table of {columns} columns") if columns > COLUMNS else html


def figure(found: re.Match, folder: Path) -> str:
    """A picture of a cell's output that keeps a readable size on a phone. folder: of the page."""
    with (folder / found[1]).open("rb") as file:
        width = int.from_bytes(file.read(24)[16:20])  # a PNG's header
    least = round(NARROW * width)
    html = found[0].replace("<img", f'<img style="--least: {least}px"', 1)
    return frame(html, "figure", "Figure") if least > PHONE else html


def finished(text: str, folder: Path) -> str:
    """A page as it is published. folder: where it stands, for the pictures it shows."""
    for pattern, new in _THEME:
        text = pattern.sub(new, text)
    if 'class="math ' not in text:
        text = _MATHS.sub("", text)
    text = _FORMULA.sub(r'<span class="joined">\1\2</span>', text)
    chapter, exercises, rest = text.partition('<section id="exercises">')
    text = chapter + exercises + _ANSWER.sub(r"\1Show the answer\2Hide the answer", rest)
    head, article, rest = text.partition('<article class="bd-article"')
    rest = _FIGURE.sub(lambda found: figure(found, folder), _TABLE.sub(table, rest))
    return head + article + rest


def _finished(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            if "_static" not in path.relative_to(app.outdir).parts:  # there: templates of the theme
                path.write_text(finished(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")


def _unnumbered(app, config) -> None:
    config.numfig = False


def setup(app) -> dict:
    """Rewrites the pages when all are written."""
    app.connect("config-inited", _unnumbered, priority=900)  # after the others
    app.connect("build-finished", _finished)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
