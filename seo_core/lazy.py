"""Names that a package imports from its modules when they are first used: nothing is loaded before it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable


def lazy(package: str, places: dict[str, str]) -> tuple[Callable, Callable, list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package. places: module -> the names it has, in one text."""
    home = {name: module for module, names in places.items() for name in names.split()}

    def get(name: str):
        if name not in home and name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{home.get(name, name)}")
        return getattr(module, name) if name in home else module

    return get, lambda: sorted({*home, *places}), sorted(home)
