"""Checks of what people pass in: bounds beside a field, one form of message, the nearest known name.

    @dataclass(frozen=True)
    class Config:
        epochs: int = at_least(1, default=3)            # an int field takes whole numbers only
        rate: float = above(0, default=1e-4)
        kept: float = share(default=0.5)                # between 0 and 1
        dropout: float = at_least(0, below=1, default=0.1)
        method: str = one_of(METHODS, default="taylor")

        def __post_init__(self):
            check(self)                                 # ValueError: epochs must be 1 or more and a whole number, got 0

Numbers have to be finite, and True is none; None passes where it is the default; of a tuple each entry is checked.
`check_number` and `check_choice` do the same for an argument.
"""

from __future__ import annotations

import difflib
import math
import numbers
from dataclasses import MISSING, field, fields


class SettingsError(ValueError):
    """An unknown profile, key or value; the message says which exist."""


def suggest(name: str, known) -> str:
    """'; did you mean X?' for the nearest of `known`, and the list of them all."""
    return f"{_nearest(name, known) or '.'} Known: {', '.join(sorted(map(str, known)))}"


def _nearest(name, known) -> str:
    near = difflib.get_close_matches(str(name), sorted(map(str, known)), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_known(what: str, name, known, error: type[Exception] = SettingsError, *, where: str = "") -> None:
    """Raises `error` for a name that is none of the `known`, with the nearest and all of them; where: said first."""
    if name not in known:
        raise error(f"{where}unknown {what} {name!r}{suggest(name, known)}")


def is_number(value) -> bool:
    """Whether `value` is a real number: no bool, no text (NaN and infinity are numbers)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_number(name: str, value, *, least: float | None = None, above: float | None = None,
                 most: float | None = None, below: float | None = None, whole: bool = False, unit: str = "",
                 error: type[Exception] = SettingsError):
    """`value` if it is a finite number within the bounds, else `error`; whole: no fraction; unit: named after it."""
    good = (is_number(value) and math.isfinite(value) and (not whole or isinstance(value, numbers.Integral))
            and (least is None or value >= least) and (above is None or value > above)
            and (most is None or value <= most) and (below is None or value < below))
    if good:
        return value
    forms = {"{} or more": least, "above {}": above, "at most {}": most, "below {}": below}
    words = ["between 0 and 1"] if (least, most) == (0, 1) else [
        form.format(bound) for form, bound in forms.items() if bound is not None] or ["a number"]
    words = " and ".join(words + ["a whole number"] * whole)
    raise error(f"{name} must be {words}{unit and f' {unit}'}, got {value!r}")


def whole_number(name: str, value, least: int, error: type[ValueError] = SettingsError) -> int:
    """`value` as an int; raises `error` unless it is a whole number (no float, no bool) of `least` or more."""
    return int(check_number(name, value, least=least, whole=True, error=error))


def check_choice(name: str, value, known, error: type[Exception] = SettingsError):
    """`value` if it is one of `known`, else `error`, which names the nearest."""
    if not any(value == each and isinstance(value, type(each)) for each in known):
        raise error(f"unknown {name} {value!r}: {name} must be one of {', '.join(map(str, known))}"
                    f"{_nearest(value, known)}")
    return value


def first_line(error: Exception) -> str:
    """What an error says first, without the full stop: libraries go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def at_least(low: float, *, default=MISSING, **others):
    """A dataclass field for numbers of `low` or more; `others`: as `check_number` has them (most, below, unit)."""
    return field(default=default, metadata={"bounds": {"least": low, **others}})


def above(low: float, *, default=MISSING, **others):
    """A dataclass field for numbers above `low`; `others` as in `at_least`."""
    return field(default=default, metadata={"bounds": {"above": low, **others}})


def share(*, default=MISSING):
    """A dataclass field for numbers between 0 and 1, both included."""
    return at_least(0, most=1, default=default)


def one_of(known, *, default=MISSING):
    """A dataclass field for one of the `known` values."""
    return field(default=default, metadata={"known": known})


def check(config, error: type[Exception] = ValueError, *, prefix: str = "") -> None:
    """Raises `error` for the first field of a dataclass that is not of its type (plain ones) or within its bounds."""
    for each in fields(config):
        name, value = prefix + each.name, getattr(config, each.name)
        declared = each.type.__name__ if isinstance(each.type, type) else str(each.type)
        whole = declared.split(" ")[0] in ("int", "tuple[int,")
        if value is None and each.default is None:
            continue
        if "known" in each.metadata:
            check_choice(name, value, each.metadata["known"], error)
        elif "bounds" in each.metadata or declared in ("int", "float"):
            for entry in value if isinstance(value, (tuple, list)) else [value]:
                check_number(name, entry, whole=whole, error=error, **each.metadata.get("bounds", {}))
        elif declared in ("str", "bool") and type(value).__name__ != declared:
            raise error(f"{name} must be {declared}, got {value!r}")
