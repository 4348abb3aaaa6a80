"""Distillation: a student learns from a teacher's outputs, alone or together with quantization.

losses.py compares logits, hidden states and attention relations; cache.py keeps a teacher's logits; students.py makes
smaller networks out of the teacher; sqd.py joins distillation and quantization in one loss.
"""

from seo_core.lazy import lazy

_HOME = {
    "cache": "cached_logits",
    "losses": "Distillation DistillationConfig DistillationError check_pair even_layers hard_loss hidden_loss relation"
              " relation_loss soft_loss",
    "sqd": "SQDConfig SQDResult SynergisticQuantizationDistillation",
    "students": "narrow select_layers spread_layers",
}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
