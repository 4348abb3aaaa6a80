"""Checks of what people pass in: bounds beside a field, one form of message, the nearest known name."""

from __future__ import annotations

import difflib
import math
import numbers


def check_least(recipe, *, above: bool = False, **least: float) -> None:
    """Raises ValueError for a field that is below its least value (above: or equals it), or not finite; None passes."""
    for name, low in least.items():
        value = getattr(recipe, name)
        if value is not None and not (low < value < math.inf if above else low <= value < math.inf):
            raise ValueError(f"{name} must be {f'above {low}' if above else f'{low} or more'}, got {value!r}")


class SettingsError(ValueError):
    """An unknown profile, key or value; the message says which exist."""


def suggest(name: str, known) -> str:
    """'; did you mean X?' for the nearest of `known`, and the list of them all."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known)}"


def is_number(value) -> bool:
    """Whether `value` is a real number: no bool, no text (NaN and infinity are numbers)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def whole_number(name: str, value, least: int, error: type[ValueError] = SettingsError) -> int:
    """`value` as an int; raises `error` unless it is a whole number (no float, no bool) of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise error(f"{name} must be {least} or more and a whole number, got {value!r}")
    return int(value)
