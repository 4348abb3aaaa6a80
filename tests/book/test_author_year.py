"""The list of references has the labels that the text cites."""

from __future__ import annotations

import sys
from pathlib import Path

from pybtex.database import parse_string

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import author_year  # noqa: E402


def test_a_label_names_who_and_when():
    who = {"a": "Ma, Edward", "b": "Howard, Jeremy and Ruder, Sebastian", "c": "Li, Yu and Wu, Lei and He, Kai",
           "d": "van Benthem, Johan", "e": r"P{\'e}rez, Juan", "g": "Li, Min and Xu, Hao and Fu, Jie"}
    entries = "".join(f"@misc{{{key}, author = {{{names}}}, year = {{2019}}}}\n" for key, names in who.items())
    labels = author_year.Labels().format_labels(parse_string(entries + "@misc{f, year = {2019}}", "bibtex")
                                                .entries.values())
    assert list(labels) == ["Ma, 2019", "Howard and Ruder, 2019", "Li et al., 2019a", "van Benthem, 2019",
                            "Pérez, 2019", "Li et al., 2019b", "f, 2019"]
