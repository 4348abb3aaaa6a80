"""Distillation: a student learns from a teacher's outputs, alone or together with quantisation.

losses.py compares logits, hidden states and attention relations; cache.py keeps a teacher's logits; students.py makes
smaller networks out of the teacher; sqd.py joins distillation and quantisation in one loss.
"""

from seo_core.distillation.cache import cached_logits
from seo_core.distillation.losses import (
    Distillation,
    DistillationConfig,
    DistillationError,
    check_pair,
    even_layers,
    hard_loss,
    hidden_loss,
    relation,
    relation_loss,
    soft_loss,
)
from seo_core.distillation.sqd import SQDConfig, SQDResult, SynergisticQuantizationDistillation
from seo_core.distillation.students import narrow, select_layers, spread_layers

__all__ = ["Distillation", "DistillationConfig", "DistillationError", "SQDConfig", "SQDResult",
           "SynergisticQuantizationDistillation", "cached_logits", "check_pair", "even_layers", "hard_loss",
           "hidden_loss", "narrow", "relation", "relation_loss", "select_layers", "soft_loss", "spread_layers"]
