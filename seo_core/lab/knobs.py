"""Knobs: fields of a recipe changed from a command line or a notebook, checked by name and type."""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Mapping
from dataclasses import is_dataclass, replace

from seo_core.checks import SettingsError, is_number, suggest
from seo_core.lab.run import LabError


def knob(text: str) -> tuple[str, object]:
    """"epochs=6" -> ("epochs", 6); values are Python literals, anything else is text."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def numbers(name: str, text: str) -> tuple:
    """"16,32" -> (16, 32), "" -> (). Raises SettingsError for what is no list of numbers."""
    try:
        values = ast.literal_eval(f"({text},)") if text else ()
    except (ValueError, SyntaxError):
        values = (None,)
    if not all(is_number(value) for value in values):
        raise SettingsError(f"{name} takes numbers with commas between them, got {text!r}")
    return values


def with_knobs(recipe, knobs: Mapping | None):
    """`recipe`, a dataclass, with some fields changed. Raises LabError for a name it lacks and for a value of another
    type than the field's."""
    if not knobs:
        return recipe
    if not is_dataclass(recipe):
        raise LabError(f"this arm has no recipe, and so no knob {next(iter(knobs))!r}")
    hints = typing.get_type_hints(type(recipe))
    for name, value in knobs.items():
        if name not in hints:
            raise LabError(f"unknown knob {name!r}{suggest(name, hints)}")
        if not _fits(value, hints[name]):
            kind = str(hints[name]) if typing.get_args(hints[name]) else hints[name].__name__
            raise LabError(f"knob {name!r} must be {kind}, got {value!r}")
    return replace(recipe, **knobs)


def _fits(value, hint) -> bool:
    """Whether a value is of a field's type; whole numbers are floats, lists are tuples, True is no number."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [typing.get_origin(part) or part for part in parts]
    if isinstance(value, bool):
        return bool in kinds
    wider = {int: (int, float), list: (list, tuple)}.get(type(value), (type(value),))
    return any(kind in wider for kind in kinds)
