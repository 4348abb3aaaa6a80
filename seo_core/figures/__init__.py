"""The book's figures, one function each: the only room that imports matplotlib, and only once something is drawn.

    _ = figures.training_curves(result.series)

style.py says how all of them look; the others draw curves, intervals, bars, maps, the system, and what one chapter
alone needs.
"""

import importlib

_PLACES = {
    "curves": "accuracy_curves arm_weights development label_curves lengths movement rounding share_and_accuracy"
              " sqd_trace thresholds training_curves",
    "intervals": "by_genre forest labels_needed where_rows_went",
    "bars": "baselines by_class genres latency_bars parts ratio_bars sizes softened",
    "maps": "bought_map confusion data_maps", "pruning": "ranges trace weight_distributions",
    "size_speed": "size_vs_speed", "system": "COMPONENTS EDGES Component architecture dependencies structure"}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
