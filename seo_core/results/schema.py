"""What a record is (schema.yml): its keys, their kinds and meanings, and the check that a record follows them."""

import math
import re
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from seo_core import files


class ResultsError(RuntimeError):
    """A record that cannot be written or read; the message names the file or key and a way out."""


class Field(NamedTuple):
    """One key of the record: its kind (see `_KINDS`), its meaning, whether it must be there."""

    kind: str
    meaning: str
    required: bool = True


SCHEMA: dict[str, Field] = {key: Field(*about) for key, about in files.table(__file__).items()}


def _finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_numbers(value) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and _finite(v) for k, v in value.items())


def _is_curves(value) -> bool:
    return isinstance(value, dict) and all(
        isinstance(v, list) and all(x is None or _finite(x) for x in v) for v in value.values())


def _is_time(value) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_KINDS = {
    "name": (lambda v: isinstance(v, str) and bool(_NAME.fullmatch(v)),
             "letters, digits and . _ + - (it is part of a file name)"),
    "text": (lambda v: isinstance(v, str) and v, "a text that is not empty"),
    "count": (lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0, "a whole number, 0 or more"),
    "flag": (lambda v: isinstance(v, bool), "true or false"),
    "time": (_is_time, "an ISO 8601 time with its time zone"),
    "object": (lambda v: isinstance(v, dict), "an object"),
    "numbers": (_is_numbers, "an object of finite numbers (what was not measured is left out)"),
    "curves": (_is_curves, "an object of lists of numbers"),
    "contests": (lambda v: isinstance(v, dict) and all(map(_is_numbers, v.values())),
                 "an object: name → object of finite numbers")}


def predictions_path(record_path: Path) -> Path:
    """Where the predictions of a record lie: `<record>-predictions.npz` beside it."""
    return record_path.with_name(f"{record_path.stem}-predictions.npz")


def _why(value, kind: str) -> str:
    """Which entry of an object is wrong, where the kind is one that holds entries."""
    if kind == "numbers" and isinstance(value, dict):
        return "".join(f" ({k!r} is {v!r})" for k, v in value.items() if not _finite(v))[:200]
    return "" if isinstance(value, (dict, list)) else f", not {value!r}"


def validate(record: dict) -> dict:
    """The record itself if it follows `SCHEMA`; otherwise ResultsError naming the first wrong key."""
    if not isinstance(record, dict):
        raise ResultsError(f"a record must be an object, not {type(record).__name__}")
    for key, field in SCHEMA.items():
        holder, _, name = key.rpartition(".")
        inside = record.get(holder, {}) if holder else record
        if name not in inside:
            if field.required:
                raise ResultsError(f"record has no {key!r} ({field.meaning})")
            continue
        good, wanted = _KINDS[field.kind]
        if not good(inside[name]):
            raise ResultsError(f"record's {key!r} must be {wanted}{_why(inside[name], field.kind)}")
    if unknown := [key for key in record if key not in SCHEMA]:
        known = ", ".join(key for key in SCHEMA if "." not in key)
        raise ResultsError(f"record has an unknown key {unknown[0]!r}; known: {known}")
    return record


def schema_table() -> str:
    """`SCHEMA` as a Markdown table (the book's page about records holds exactly this)."""
    lines = ["| key | kind | required | meaning |", "|---|---|---|---|"]
    lines += [f"| `{key}` | {field.kind} | {'yes' if field.required else 'no'} | {field.meaning} |"
              for key, field in SCHEMA.items()]
    return "\n".join(lines) + "\n"
