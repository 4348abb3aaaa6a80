"""What the package's smaller command lines share: the settings' options, and errors as one line.

    parser = settings_parser("seo_core.arms.registry", __doc__)
    parser.add_argument("arms", nargs="+")
    return guarded(parser, lambda given, settings: print(run(given.arms, settings)), arguments)

`python -m seo_core.run` is the large one and has a parser of its own.
"""

from __future__ import annotations

import argparse
import ast
import shlex
import sys
import types
import typing
from collections.abc import Callable
from dataclasses import replace

from seo_core.checks import suggest
from seo_core.settings import RunSettings, display_source, load_settings

OPTIONS = ("profile", "seed", "data", "model", "source", "results_dir")


def settings_parser(module: str, text: str) -> argparse.ArgumentParser:
    """A parser with the options that make a `RunSettings`; text: a docstring, its first line is shown by --help."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=text.split("\n")[0])
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    for name in OPTIONS[2:]:
        parser.add_argument(f"--{name.replace('_', '-')}", default="default")
    return parser


def guarded(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace, RunSettings], None],
            arguments: list[str] | None = None) -> int:
    """Calls `work(given, settings)`; what it raises on bad input becomes one line on stderr and exit status 1."""
    given = parser.parse_args(arguments)
    try:
        values = {name: getattr(given, name) for name in OPTIONS}
        work(given, load_settings(values.pop("profile"), **values))
    except (ValueError, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def again(module: str, arm: str | None, settings: RunSettings, knobs: dict | None = None,
          name: str | None = None) -> str:
    """The command that makes an arm of a plan (None: what the module makes); local folders as `path/to/<name>`."""
    words = ["python", "-m", module, *([arm] if arm else [])]
    if name:
        words += ["--name", name]
    if knobs:
        words += ["--set", *(f"{key}={value!r}" for key, value in sorted(knobs.items()))]
    words += ["--profile", settings.profile, "--seed", str(settings.seed)]
    for option in ("data", "model", "source"):
        words += [f"--{option}", display_source(getattr(settings, option))]
    return shlex.join(words)


def say(text: str) -> None:
    """Prints a line now, also into a pipe."""
    print(text, flush=True)


def knob(text: str) -> tuple[str, object]:
    """"epochs=6" -> ("epochs", 6); values are Python literals, anything else is text."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def with_knobs(recipe, knobs: dict | None):
    """`recipe`, a dataclass, with some fields changed. Raises ValueError for a name it lacks and for a value of
    another type than the field's."""
    known = typing.get_type_hints(type(recipe))
    for name, value in (knobs or {}).items():
        if name not in known:
            raise ValueError(f"unknown knob {name!r}{suggest(name, known)}")
        if not _fits(value, known[name]):
            said = str(known[name]) if typing.get_args(known[name]) else known[name].__name__
            raise ValueError(f"knob {name!r} must be {said}, got {value!r}")
    return replace(recipe, **(knobs or {}))


def one_name(arms: list[str], name: str | None) -> None:
    """Raises ValueError where several arms would be recorded under one name."""
    if name and len(arms) > 1:
        raise ValueError(f"--name {name} is for one arm, and {', '.join(arms)} would all be recorded as it: run them "
                         "one by one")


def _fits(value, hint) -> bool:
    """Whether a value is of a field's type; whole numbers are floats, lists are tuples, True is no number."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [typing.get_origin(part) or part for part in parts]
    if isinstance(value, bool):
        return bool in kinds
    wider = {int: (int, float), list: (list, tuple)}.get(type(value), (type(value),))
    return any(kind in wider for kind in kinds)
