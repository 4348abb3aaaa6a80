"""What makes a chapter readable to its end, measured on its committed notebook.

    python tests/reading.py               every chapter: its measures, and what is out of bounds
    python tests/reading.py 09_pruning

Folded text (`:::{dropdown}`), formulas, code and lists of records do not count as prose in sight.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import jupytext
from reference_cells import kinds

ROOT = Path(__file__).resolve().parent.parent
WORDS, SENTENCE, TABLES, ROWS, LINE = 1200, 22, 3, 8, 79  # at most; SENTENCE: words on average
FOLDED = {"hide-cell", "hide-output", "remove-output", "remove-cell"}
MARKS = {"record", "live", "here"}
FRONT = "what_we_found"


@dataclass
class Chapter:
    """One chapter's cells as readers meet them."""

    name: str
    cells: list

    @classmethod
    def read(cls, name: str) -> Chapter:
        return cls(name, jupytext.read(ROOT / "notebooks" / f"{name}.ipynb").cells)

    @property
    def texts(self) -> list[str]:
        return [cell.source for cell in self.cells if cell.cell_type == "markdown"]

    @property
    def codes(self) -> list:
        return [cell for cell in self.cells if cell.cell_type == "code"]


def tags(cell) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def in_sight(text: str) -> str:
    """Markdown without what is folded, computed or invisible: dropdowns, code, formulas, comments, tables."""
    text = re.sub(r"^(:{3,})\{dropdown\}.*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("|"))


def plain(text: str) -> str:
    """Prose as it is read aloud: a formula or a piece of code is one word, a link its text."""
    text = re.sub(r"\{cite(:\w+)?\}`[^`]*`", "", text)
    text = re.sub(r"\{\w+\}`([^`<]*)[^`]*`", r"\1", text)
    text = re.sub(r"\$[^$\n]+\$|`[^`\n]*`", "x", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "chapter", text)
    return re.sub(r"^#+ .*$", "", text, flags=re.MULTILINE)


def said(chapter: Chapter) -> list[str]:
    """The sentences that cells print as Markdown."""
    return ["".join(output["data"]["text/markdown"]) for cell in chapter.codes for output in cell.outputs
            if "text/markdown" in output.get("data", {}) and not tags(cell) & FOLDED]


def prose(chapter: Chapter) -> str:
    """All prose in sight, what is printed as sentences included."""
    return plain("\n\n".join([*map(in_sight, chapter.texts), *said(chapter)]))


def words(chapter: Chapter) -> int:
    """How many words of prose are in sight."""
    return len(re.findall(r"[^\W\d_][\w’'-]*", prose(chapter)))


def sentence_length(chapter: Chapter) -> float:
    """Words a sentence, on average; a point of a list counts as a sentence."""
    text = re.sub(r"^\s*([-*]|\d+\.|\*\*\d+\.\*\*) ", "\n\n", prose(chapter), flags=re.MULTILINE)
    parts = [part for block in re.split(r"\n\s*\n", text) for part in re.split(r"(?<=[.?!:;])\s+", block)]
    counts = [len(part.split()) for part in parts if len(part.split()) > 2]
    return sum(counts) / max(len(counts), 1)


def tables(chapter: Chapter) -> list[int]:
    """Rows of each table in sight, printed or written."""
    rows = []
    for cell in chapter.codes:
        if not tags(cell) & FOLDED:
            for output in cell.outputs:
                html = "".join(output.get("data", {}).get("text/html", ""))
                html = re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)
                rows += [table.count("<tr") - 1 for table in re.findall("<table.*?</table>", html, re.DOTALL)]
    for text in chapter.texts:
        text = re.sub(r"^(:{3,})\{dropdown\}.*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
        rows += [len(block.strip().splitlines()) - 2 for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)]
    return rows


def typed_numbers(chapter: Chapter) -> list[str]:
    """Sentences with a decimal or a percentage that is neither printed from a record, nor cited, nor marked as a
    `<!-- setting -->` or `<!-- arithmetic -->` at the end of its paragraph."""
    faults = []
    for text in chapter.texts:
        for block in re.split(r"\n\s*\n|^\s*(?:[-*]|\d+\.) ", re.sub(r"^:{3,}.*$", "", text, flags=re.MULTILINE),
                              flags=re.MULTILINE):
            if re.search(r"\{cite|<!-- (setting|arithmetic) -->", block) or block.lstrip().startswith("|"):
                continue
            known = r"95% (?:t )?interval|\$\$.*?\$\$|\$[^$]+\$|`[^`]*`|\([^)]*\.ipynb\)"
            bare = re.sub(known, "", block, flags=re.DOTALL)
            faults += [sentence.strip() for sentence in re.split(r"(?<=[.?!])\s+", bare)
                       if re.search(r"\d\.\d|\d ?(%|percent\b)", sentence)]
    return faults


def faults(name: str) -> list[str]:
    """What is out of bounds in a chapter, a line each."""
    chapter = Chapter.read(name)
    cells, found = chapter.cells, []

    def fault(wrong, text):
        if wrong:
            found.append(text)

    count, length, rows = words(chapter), sentence_length(chapter), tables(chapter)
    fault(count > WORDS, f"{count} words of prose in sight, at most {WORDS}")
    fault(length > SENTENCE, f"{length:.1f} words a sentence, at most {SENTENCE}")
    fault(len(rows) > TABLES, f"{len(rows)} tables in sight, at most {TABLES}")
    fault(max(rows, default=0) > ROWS, f"a table of {max(rows, default=0)} rows in sight, at most {ROWS}")
    sections = [i for i, cell in enumerate(cells)
                if cell.cell_type == "markdown" and re.search("^## ", cell.source, re.MULTILINE)]
    answers = [i for i, cell in enumerate(cells) if "answer" in tags(cell)]
    fault(not answers or sections and answers[0] > sections[0], "no cell tagged `answer` before the first section")
    for cell in chapter.codes:
        first = cell.source.splitlines()[0][:60] if cell.source else ""
        if cell.outputs and "parameters" not in tags(cell):
            marks = len(tags(cell) & MARKS)  # a page that runs nothing may print what papers say, without a mark
            fault(marks != 1 and (marks or kinds()[name] != "aggregate"), f"not one of {sorted(MARKS)}: {first}")
        folded = "parameters" in tags(cell) or cell.source.startswith(("import ", "from "))
        fault(not folded and any(len(line) > LINE for line in cell.source.splitlines()),
              f"a line of code over {LINE} characters: {first}")
        fault(folded and not tags(cell) & {"hide-input", "hide-cell", "remove-input"}, f"code in sight: {first}")
    if name == FRONT:  # no chapter, with neither summary nor exercises
        return found + [f"a number typed: {sentence[:100]}" for sentence in typed_numbers(chapter)]
    headings = [h for text in chapter.texts for h in re.findall(r"^## (.*)$", text, re.MULTILINE)]
    fault(headings[-2:] != ["To remember", "Exercises"], f"ends with {headings[-2:]}, not To remember and Exercises")
    whole = "\n\n".join(chapter.texts)
    remember = re.search(r"^## To remember\n(.*?)(?=^## |\Z)", whole, re.MULTILINE | re.DOTALL)
    points = len(re.findall("^- ", remember[1], re.MULTILINE)) if remember else 0
    fault(points != 3, f"{points} lines to remember, not 3")
    start = next((i for i in sections if "\n## Exercises" in f"\n{cells[i].source}"), len(cells))
    questions = "\n".join(cell.source for cell in cells[start:] if cell.cell_type == "markdown")
    asked = len(re.findall(r"^\*\*\d\.\*\*", questions, re.MULTILINE))
    answered = sum("hide-cell" in tags(cell) for cell in cells[start:]) + questions.count("{dropdown} Answer")
    fault(asked != 3 or answered != 3, f"{asked} exercises with {answered} folded answers, not 3 with 3")
    found += [f"a number typed: {sentence[:100]}" for sentence in typed_numbers(chapter)]
    return found


def main() -> int:
    names = sys.argv[1:] or sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    out = {name: faults(name) for name in names}
    for name, lines in out.items():
        chapter = Chapter.read(name)
        print(f"{name}: {words(chapter)} words, {sentence_length(chapter):.1f} a sentence, tables {tables(chapter)}, "
              f"{len(lines)} faults", *(f"    {line}" for line in lines if len(names) < 4), sep="\n")
    return int(any(out.values()))


if __name__ == "__main__":
    sys.exit(main())
