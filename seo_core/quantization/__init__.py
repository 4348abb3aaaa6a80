"""Networks in integers: the scheme, its calibration and training, and export to files that are smaller and faster.

Nothing here imports torch or ONNX Runtime before it is used.
"""

from __future__ import annotations

import importlib

from seo_core.quantization.parity import parity as parity  # at once: the module has this name too

_HOME = {
    "scheme": ("Scales", "QuantizationError", "linear_maps"),
    "calibration": ("CalibrationConfig", "calibrate", "emulate", "values_read"),
    "export": ("ExportConfig", "bytes_by_part", "export_onnx", "library_export", "library_exports"),
    "vocabulary": ("Trimmed", "token_counts", "trim", "unknown_rate"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted([*_WHERE, "parity"])


def __getattr__(name: str):
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
