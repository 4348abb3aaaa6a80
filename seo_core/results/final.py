"""What may be scored on the official sets: the committed list book/final.yml, and what a record is by it.

    listed = final_list()
    listed.allows("base", parameters, seed=3)      # whether a run may be scored on them
    listed.standing(record)                        # "final" or "exploratory"
    listed.broken(results.load_records())          # records that scored them after the list was made, and are not on it

Whatever is chosen is chosen on the development slice. The list is written before its arms are run, so nothing that is
on it was chosen by what the official sets said. Only the data whose fingerprint it names is sealed: generated data and
a reader's own are scored as ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path

from seo_core.checks import SettingsError, check_known, whole_number
from seo_core.results.schema import ResultsError
from seo_core.settings import book_root

OFFICIAL = ("validation_matched", "validation_mismatched")  # the sets that may be sealed
SCORES = tuple(split.replace("validation", "accuracy") for split in OFFICIAL)


@dataclass(frozen=True)
class Entry:
    """One arm that may be scored: what its records hold (a recipe is what it names, absent keys are free), and why."""

    arm: str
    recipe: dict
    seeds: list
    date: date
    why: str


@dataclass(frozen=True)
class FinalList:
    """The list: the day from which it holds, the fingerprints of the data that it seals, its arms."""

    date: date
    data: list
    arms: tuple[Entry, ...]

    def seals(self, fingerprint: str) -> bool:
        """Whether the official sets of the data with that fingerprint are sealed."""
        return fingerprint in self.data

    def allows(self, arm: str, parameters: Mapping, seed: int) -> bool:
        """Whether a run may be scored: arm is its record's configuration, parameters are its record's."""
        return any(entry.arm == arm and seed in entry.seeds and _holds(parameters, entry.recipe) for entry in self.arms)

    def standing(self, record: Mapping) -> str:
        """"final" for a record on sealed data that the list names and that is no older than its entry, else
        "exploratory"."""
        if not self.seals(record["data"]["fingerprint"]):
            return "exploratory"
        finished = _day(record)
        dated = replace(self, arms=tuple(entry for entry in self.arms if entry.date <= finished))
        named = dated.allows(record["configuration"], record["parameters"], record["seed"])
        return "final" if named else "exploratory"

    def broken(self, records: Iterable[Mapping]) -> list[Mapping]:
        """The records of the day of the list or later that score a sealed set and are not on it."""
        return [record for record in records
                if _day(record) >= self.date and self.seals(record["data"]["fingerprint"])
                and any(name in record["metrics"] for name in SCORES) and self.standing(record) != "final"]

    def in_words(self, records: Iterable[Mapping]) -> str:
        """One sentence for a page: how many of its records are final and how many exploratory; empty without any."""
        standings = [self.standing(record) for record in records]
        final, all_of_them = standings.count("final"), len(standings)
        if not standings:
            return ""
        return (f"records behind this: {all_of_them}, of which {final or 'none'} {'are' if final > 1 else 'is'} final "
                f"(named in book/final.yml before it was made) and {all_of_them - final} exploratory")


def final_list(path: str | Path | None = None) -> FinalList:
    """The list at a path, by default book/final.yml of the book; without a book, or in one without that list, nothing
    is sealed. Raises ResultsError for the first thing wrong in it: an unknown or missing key, a value of another kind,
    an arm and recipe that stand there twice."""
    import yaml

    if not path:
        with contextlib.suppress(SettingsError):
            path = book_root() / "book" / "final.yml"
        if not path or not path.is_file():
            return FinalList(date.max, [], ())
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ResultsError(f"{path} cannot be read as the list of final arms ({error}); restore it") from error
    listed = FinalList(**_checked(given, FinalList, path.name))
    entries = [Entry(**_checked(entry, Entry, f"{path.name}, arm {number}"))
               for number, entry in enumerate(listed.arms, 1)]
    for number, entry in enumerate(entries, 1):
        for seed in entry.seeds:
            whole_number(f"{path.name}, arm {number} ({entry.arm}): a seed", seed, 0, ResultsError)
        if any(entry.arm == other.arm and entry.recipe == other.recipe for other in entries[:number - 1]):
            raise ResultsError(f"{path.name}, arm {number}: {entry.arm} stands there twice with one recipe; keep one")
    return replace(listed, arms=tuple(entries))


_WANTED = {"arm": (str, "a name"), "recipe": (dict, "an object: parameter → value"), "why": (str, "a sentence"),
           "seeds": (list, "a list of seeds"), "date": (date, "a day such as 2026-11-29"),
           "data": (list, "a list of fingerprints"), "arms": (list, "a list of arms")}


def _checked(given, kind: type, where: str) -> dict:
    """The keys of a dataclass out of YAML, all there, none unknown, none empty, each of its kind."""
    known = [field.name for field in fields(kind)]
    if not isinstance(given, dict):
        raise ResultsError(f"{where} must be an object with the keys {', '.join(known)}")
    for key in given:
        check_known("key", key, known, ResultsError, where=f"{where}: ")
    for key in known:
        of, wanted = _WANTED[key]
        if not isinstance(given.get(key), of) or isinstance(given[key], datetime) or not given[key]:
            raise ResultsError(f"{where}: {key!r} must be {wanted}, not {given.get(key)!r}")
    return given


def _holds(parameters: Mapping, recipe: Mapping) -> bool:
    """Whether parameters have every value that a recipe names, groups of them key by key."""
    return all(_holds(parameters.get(key) or {}, value) if isinstance(value, dict)
               else key in parameters and parameters[key] == value for key, value in recipe.items())


def _day(record: Mapping) -> date:
    return datetime.fromisoformat(record["provenance"]["finished"]).astimezone(UTC).date()
