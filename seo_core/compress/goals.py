"""Goals in the field's words: bytes of the file, points of accuracy, milliseconds a text, and the time that there is.

    Goals(max_size="8MB", max_loss=1.0, max_latency="5ms", time="1h30m")
"""

import re
from dataclasses import dataclass

from seo_core.checks import SettingsError, check_number, suggest

UNITS = {"max_size": {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20},
         "max_latency": {"us": 1e-3, "ms": 1, "s": 1e3}, "time": {"s": 1, "m": 60, "min": 60, "h": 3600}}
GOAL_UNITS = {"max_size": "B", "max_loss": "", "max_latency": "ms", "time": "s"}  # what a goal is kept in
EXAMPLES = {"max_size": "8MB", "max_latency": "5ms", "time": "1h"}


@dataclass(frozen=True)
class Goals:
    """What is asked for; None: of no concern. A text has its unit, a number is in the unit named here. Raises
    SettingsError for an unknown unit, and for what is no number in its bounds."""

    max_size: float | str | None = None  # bytes of the file that is loaded, model.onnx
    max_loss: float | None = None  # points of accuracy on held-out rows, against the baseline of the same rows
    max_latency: float | str | None = None  # ms that one text, or pair, takes alone: the median, on this machine
    time: float | str | None = None  # seconds for all of it

    def __post_init__(self):
        for name, units in UNITS.items():
            object.__setattr__(self, name, _read(name, getattr(self, name), units))
        if self.max_loss is not None:
            check_number("max_loss", self.max_loss, least=0, unit="(points of accuracy)")


def _read(name: str, given, units: dict[str, float]) -> float | None:
    """A goal in its own unit."""
    if not isinstance(given, str):
        return None if given is None else float(check_number(name, given, above=0))
    if not re.fullmatch(r"(\s*\d+(\.\d+)?\s*[A-Za-z]+)+\s*", given):
        raise SettingsError(f"{name} must be a number with its unit, such as {EXAMPLES[name]}, got {given!r}")
    known, total = {unit.casefold(): size for unit, size in units.items()}, 0.0
    for number, unit in re.findall(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", given):
        if unit.casefold() not in known:
            raise SettingsError(f"unknown unit {unit!r} in {name} {given!r}{suggest(unit, units)}")
        total += float(number) * known[unit.casefold()]
    return check_number(name, total, above=0)


def spelled(name: str, value: float) -> str:
    """A goal, or what was measured for it, in words: 7.70 MB, 0.40 points, 2.31 ms, 1 h 5 min."""
    if name == "max_size":
        return f"{value / 1e6:.2f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
    if name == "max_loss":
        return f"{value:.2f} points".replace("-", "−")
    return f"{value:.2f} ms" if name == "max_latency" else clock(value)


def signed(value: float) -> str:
    """Points with their sign."""
    return f"{value:+.2f}".replace("-", "−")


def clock(seconds: float) -> str:
    """Seconds as 40 s, 12 min or 1 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
