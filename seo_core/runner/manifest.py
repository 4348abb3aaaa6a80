"""book/manifest.yml: the one list of chapters, for the runner, the table of contents and the DAG.

    root: book/intro
    parts:
      - caption: Chapters
        pages: []                 # prose pages of this part, before its chapters
    chapters:
      - id: 02_baseline           # notebooks/02_baseline.ipynb and .py
        title: Fine-tuning …
        part: Chapters
        kind: technique           # technique | benchmark | aggregate
        inputs: [01_data]         # chapters that must have run before; "*" = all that write records
        outputs: [02_baseline]    # experiments whose records it writes
        shows: [bench_saturation] # further ones, whose committed records it shows; "*" = all
        pages: [book/more]        # prose pages that follow it in the table of contents
        mutation:                 # how a test breaks the chapter's method
          target: seo_core.training.fit
          replacement: "lambda model, *a, **k: …"

Kinds: a *technique* runs once for every seed; a *benchmark* measures time, so it runs once and
with no other chapter beside it; an *aggregate* reads records and runs once, after what it reads.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from seo_core.checks import check_known
from seo_core.runner import RunnerError, UsageError, api

KINDS = ("technique", "benchmark", "aggregate")
ALL_RECORDS = "*"  # in `inputs`: every technique and benchmark chapter
_CHAPTER_KEYS = {"id", "title", "part", "kind", "inputs", "outputs", "shows", "pages", "mutation"}
_PART_KEYS = {"caption", "pages"}
_TOC_HEAD = "# Generated from book/manifest.yml by `python -m seo_core.run sync`; edit that file.\n"


@dataclass(frozen=True)
class Chapter:
    """One entry of the manifest."""

    id: str
    title: str
    part: str
    kind: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    mutation: tuple[dict, ...] = field(default=(), hash=False)  # dicts have no hash

    @property
    def once(self) -> bool:
        """True if the chapter runs once per batch, not once per seed."""
        return self.kind != "technique"


@dataclass(frozen=True)
class Manifest:
    """The parsed manifest of the book at `folder`."""

    folder: Path
    root: str
    parts: tuple[dict, ...]
    chapters: tuple[Chapter, ...]

    @cached_property
    def by_id(self) -> dict[str, Chapter]:
        """Chapter id -> chapter, in manifest order."""
        return {chapter.id: chapter for chapter in self.chapters}

    def chapter(self, name: str) -> Chapter:
        """The chapter called `name`; raises UsageError with the nearest name."""
        check_known("chapter", name, self.by_id, UsageError)
        return self.by_id[name]

    def notebook(self, name: str) -> Path:
        """The source notebook of a chapter; raises RunnerError if the file is missing."""
        path = self.folder / "notebooks" / f"{name}.ipynb"
        if not path.is_file():
            raise RunnerError(f"chapter {name!r} is in book/manifest.yml but notebooks/{name}.ipynb is "
                              "missing; if its .py is there, run `python -m seo_core.run sync`")
        return path

    def inputs(self, chapter: Chapter) -> tuple[str, ...]:
        """The ids of the chapters that `chapter` needs, with "*" expanded."""
        every = [c.id for c in self.chapters if c.kind != "aggregate" and c.id != chapter.id]
        return tuple(dict.fromkeys(i for name in chapter.inputs for i in (every if name == ALL_RECORDS else [name])))

    def ordered(self) -> tuple[Chapter, ...]:
        """The chapters with every input before its reader, otherwise in manifest order.

        Raises RunnerError if they depend on each other in a circle.
        """
        waiting, order = dict(self.by_id), []
        while waiting:
            ready = next((name for name, c in waiting.items() if waiting.keys().isdisjoint(self.inputs(c))), None)
            if ready is None:
                raise RunnerError(f"book/manifest.yml: the inputs of {', '.join(waiting)} form a circle")
            order.append(waiting.pop(ready))
        return tuple(order)

    def toc(self) -> dict:
        """The table of contents as Jupyter Book reads it."""
        parts = []
        for part in self.parts:
            chapters = [page for c in self.chapters if c.part == part["caption"]
                        for page in (f"notebooks/{c.id}", *c.pages) if page != self.root]
            if files := [*part["pages"], *chapters]:
                parts.append({"caption": part["caption"], "chapters": [_entry(f) for f in files]})
        return {"format": "jb-book", "root": self.root, "parts": parts}

    def toc_text(self) -> str:
        """book/_toc.yml as it must be written."""
        import yaml

        return _TOC_HEAD + yaml.safe_dump(self.toc(), sort_keys=False, allow_unicode=True)

    def pages(self) -> tuple[str, ...]:
        """Every file of the book without suffix, in reading order."""
        entries = [entry for part in self.toc()["parts"] for entry in part["chapters"]]
        return (self.root, *(e["file"] for entry in entries for e in (entry, *entry.get("sections", ()))))


def load_manifest(folder: Path) -> Manifest:
    """Read and check book/manifest.yml under `folder`.

    Raises RunnerError naming the entry and the key that is wrong.
    """
    import yaml

    path = Path(folder) / "book" / "manifest.yml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunnerError(f"no book here: {path} does not exist; name the book with --book PATH") from None
    except yaml.YAMLError as error:
        raise RunnerError(f"book/manifest.yml is not valid YAML: {' '.join(str(error).splitlines())}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("chapters"), list):
        raise RunnerError("book/manifest.yml must have the keys root, parts and chapters")
    manifest = Manifest(Path(folder), str(raw.get("root", "book/intro")), tuple(map(_part, raw.get("parts") or ())),
                        tuple(map(_chapter, raw["chapters"])))
    _check(manifest)
    return manifest


def _entry(page: str) -> dict:
    sections = {"sections": [{"file": room} for room in api.rooms_of_pages()]} if page == api.INDEX else {}
    return {"file": page, **sections}


def _part(entry: dict) -> dict:
    if not isinstance(entry, dict) or "caption" not in entry or set(entry) - _PART_KEYS:
        raise RunnerError(f"book/manifest.yml: a part has a caption and pages, got {entry!r}")
    return {"caption": entry["caption"], "pages": tuple(entry.get("pages") or ())}


def _chapter(entry: dict) -> Chapter:
    name = entry.get("id", "?") if isinstance(entry, dict) else "?"
    if not isinstance(entry, dict) or {"id", "title", "part", "kind"} - set(entry):
        raise RunnerError(f"book/manifest.yml: chapter {name!r} needs id, title, part and kind")
    for key in entry:
        check_known("key", key, _CHAPTER_KEYS, RunnerError, where=f"book/manifest.yml: chapter {name!r}: ")
    lists = {key: entry.get(key) or () for key in ("inputs", "outputs", "shows", "pages", "mutation")}
    if isinstance(lists["mutation"], dict):
        lists["mutation"] = [lists["mutation"]]
    return Chapter(**{**entry, **{key: tuple(values) for key, values in lists.items()}})


def _check(manifest: Manifest) -> None:
    ids, captions = [c.id for c in manifest.chapters], [p["caption"] for p in manifest.parts]
    for chapter in manifest.chapters:
        where = f"book/manifest.yml: chapter {chapter.id!r}"
        if ids.count(chapter.id) > 1:
            raise RunnerError(f"{where} is listed twice")
        named = [("kind", chapter.kind, KINDS), ("part", chapter.part, captions),
                 *(("input", name, ids) for name in chapter.inputs if name != ALL_RECORDS)]
        for what, name, known in named:
            check_known(what, name, known, RunnerError, where=f"{where}: ")
        if any(set(mutation) != {"target", "replacement"} for mutation in chapter.mutation):
            raise RunnerError(f"{where}: a mutation has the keys target and replacement")
    manifest.ordered()
