"""Sphinx extension: the style `author_year` of a list of references, whose labels are what the text cites.

A reader of "Li et al., 2024" looks for that, and not for the "LMH+24" of the styles that come with pybtex.
"""

from __future__ import annotations

from collections import defaultdict
from string import ascii_lowercase

from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting.alpha import Style
from pybtex.style.labels import BaseLabelStyle


def label(entry) -> str:
    """"Li, 2024", "Li and Wu, 2024" or "Li et al., 2024", as the text has it; without authors the entry's key."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [str(Text(" ").join(person.rich_prelast_names + person.rich_last_names)) for person in people]
    who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return ", ".join(filter(None, (who or entry.key, entry.fields.get("year"))))


class Labels(BaseLabelStyle):
    """Those labels; of several with one, each has a letter."""

    def format_labels(self, sorted_entries):
        labels, letters = list(map(label, sorted_entries)), defaultdict(lambda: iter(ascii_lowercase))
        return [each + next(letters[each]) if labels.count(each) > 1 else each for each in labels]


class AuthorYear(Style):
    """pybtex's `alpha` with those labels."""

    default_label_style = "author_year"


def setup(app) -> dict:
    """Tells pybtex of the two."""
    register_plugin("pybtex.style.labels", "author_year", Labels)
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
