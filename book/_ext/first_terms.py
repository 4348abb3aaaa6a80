"""Sphinx extension: in a chapter, a word of the glossary is a link where it first stands.

Authors link what matters with {term}; this does the rest, in a quiet form (class `first-term`): a newcomer finds every
word, and nobody has to keep count. Only running text is touched: no headings, code, links, tables or outputs.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

VERBS = {"run", "record"}  # which these mostly are: authors link the nouns
PAGES, GLOSSARY = "notebooks/", Path(__file__).resolve().parents[1] / "glossary.md"
_LEFT = (nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.title, nodes.caption, nodes.table,
         nodes.figure, addnodes.pending_xref)


@cache
def terms(path: Path = GLOSSARY) -> dict[str, str]:
    """Word in lower case → the term as the glossary has it. A line with a definition below it is an entry, and one term
    for Sphinx, however many words commas part in it. A book without a glossary has none."""
    if not path.is_file():
        return {}
    lines = re.findall(r"^(\S.*)\n  \S", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower(): line for line in lines for name in line.split(", ") if name not in VERBS}


def pattern(names) -> re.Pattern:
    """Whole words, longest first, singular or plural."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})(e?s)?\b", re.IGNORECASE)


def pieces(text: str, left: dict[str, str]) -> list[str | tuple[str, str]]:
    """A text cut at the first place of each term that is left; (words, term) there. Takes those out of `left`."""
    parts, end = [], 0
    for match in pattern(left).finditer(text) if left else ():
        if term := left.pop(match[1].lower(), None):
            parts += [text[end : match.start()], (match[0], term)]
            end = match.end()
    return [part for part in [*parts, text[end:]] if part]


def link(app, doctree) -> None:
    """Links the terms of one chapter."""
    name = app.env.docname
    if not name.startswith(PAGES):
        return
    left = dict(terms())
    for node in doctree.findall(addnodes.pending_xref):
        left.pop(str(node.get("reftarget", "")).lower(), None)
    for paragraph in list(doctree.findall(nodes.paragraph)):
        for text in list(paragraph.findall(nodes.Text)):
            inside, above = False, text.parent
            while above is not None:
                inside = inside or isinstance(above, _LEFT) or "cell_output" in above.get("classes", ())
                above = above.parent
            parts = [] if inside else pieces(text.astext(), left)
            if len(parts) > 1 or parts and isinstance(parts[0], tuple):
                text.parent.replace(text, [_node(part, name) for part in parts])


def _node(part: str | tuple[str, str], page: str) -> nodes.Node:
    if isinstance(part, str):
        return nodes.Text(part)
    words, term = part
    node = addnodes.pending_xref("", refdomain="std", reftype="term", reftarget=term, refexplicit=True, refwarn=True,
                                 refdoc=page)
    node += nodes.inline(words, words, classes=["first-term"])
    return node


def setup(app) -> dict:
    app.connect("doctree-read", link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
