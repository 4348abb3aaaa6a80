"""Networks in integers: the scheme, its calibration and training, and export to files that are smaller and faster.

Nothing here imports torch or ONNX Runtime before it is used.
"""

from seo_core.lazy import lazy

_HOME = {
    "scheme": "QuantizationError Scales linear_maps",
    "calibration": "CalibrationConfig calibrate emulate values_read",
    "export": "ExportConfig bytes_by_part export_onnx library_export library_exports parity",
    "size": "predicted_bytes",
    "vocabulary": "Trimmed coverage token_counts trim unknown_rate",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
