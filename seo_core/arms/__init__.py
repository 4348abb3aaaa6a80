"""What is compared: each arm is a name, a recipe and a function; a lab makes runs of them.

    from seo_core.arms import open_lab

    lab = open_lab("06_active_learning", settings)
    runs = lab.run(["random", "hybrid"], labels=[2000])

baseline.py has the network that every chapter on compression starts from; transfer.py, acquisition.py, augmentation.py
and self_training.py the arms of the chapters on data; pruning.py, quantization.py and distillation.py those on
compression; search.py, features.py and tasks.py those on hyperparameters, what is done to a text, and other kinds of
task; compression.py, teaching.py and texts.py what several share; costs.py what a result cost. Every module here is
loaded when a lab is opened. One imports those whose arms its own need: a chapter is run again when these changed.
"""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["ARMS", "Lab", "LabError", "Run", "known", "open_lab", "steps"]


def __getattr__(name: str):
    """The names of the lab, once every arm is declared: those on compression need torch, so not before they are used.
    Raises LabError for arms that are not sound."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    from seo_core import lab

    lab.check_arms()
    return getattr(lab, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
