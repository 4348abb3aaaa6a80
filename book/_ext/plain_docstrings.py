"""Sphinx extension: docstrings are plain text with `code` in single backticks, not reStructuredText.

The package's docstrings are written to be read in the source: `code` in single backticks, examples
indented by four spaces, lists with hyphens. Here they are turned into reStructuredText, with every
character that has a meaning there escaped, so that |x|, *args or names_ cannot break the build.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"``(.+?)``|`([^`]+)`", re.DOTALL)
_MARKUP = re.compile(r"""([\\*|_`"'])""")  # quotes too, so that they stay straight
_BULLET = re.compile(r"(?:[-*]|\d+\.)\s+")


def escape(text: str) -> str:
    """Plain text as reStructuredText: code spans become literals, all other markup is escaped."""
    out, end = [], 0
    for found in _CODE.finditer(text):
        out.append(_MARKUP.sub(r"\\\1", text[end : found.start()]))
        code = " ".join((found[1] or found[2]).split())
        out.append(f"\\ ``{code}``\\ ")
        end = found.end()
    out.append(_MARKUP.sub(r"\\\1", text[end:]))
    return "".join(out)


def _split_items(block: list[str]) -> list[list[str]]:
    """A paragraph cut where a list item begins; each piece is one paragraph or one item."""
    pieces: list[list[str]] = [[]]
    for line in block:
        if _BULLET.match(line.lstrip()) and pieces[-1]:
            pieces.append([])
        pieces[-1].append(line)
    return pieces


def to_rst(lines: list[str]) -> list[str]:
    """Lines of a plain docstring as lines of reStructuredText."""
    out: list[str] = []
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
            continue
        if block and all(text.startswith("  ") for text in block) and not _BULLET.match(block[0].lstrip()):
            out += ["::", "", *("    " + text for text in block), ""]
        elif block:
            for piece in _split_items(block):
                text = " ".join(part.strip() for part in piece)
                bullet = _BULLET.match(text)
                out += ["- " + escape(text[bullet.end() :]) if bullet else escape(text), ""]
        block = []
    return out


def _process(app, what, name, obj, options, lines: list[str]) -> None:
    lines[:] = to_rst(lines)


def _skip(app, what, name, obj, skip, options) -> bool | None:
    return True if type(obj).__name__ == "_tuplegetter" else None  # a named tuple's fields are in its signature


def setup(app) -> dict:
    """Registers the conversion with autodoc."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-skip-member", _skip)
    return {"version": "1", "parallel_read_safe": True}
