"""Data augmentation: new training examples out of old ones.

    copies = augment(task["train"], "synonym", strength=0.1, seed=0, texts=task.texts)

core.py has the operators' contract and the label filter, words.py splits texts and says what is protected, edits.py,
contextual.py and translation.py edit, wordnet.py and neighbours.py know which words are alike.
"""

from seo_core.augmentation.core import (
    DELETION,
    OPERATORS,
    AugmentationError,
    Operator,
    augment,
    changes,
    label_filter,
    survivors,
)
from seo_core.augmentation.wordnet import wordnet_setup
from seo_core.augmentation.words import protected

__all__ = ["DELETION", "OPERATORS", "AugmentationError", "Operator", "augment", "changes", "label_filter",
           "protected", "survivors", "wordnet_setup"]


def __getattr__(name: str):
    """The adaptive part, loaded when it is asked for: it needs torch."""
    if name in ("AdaptiveConfig", "AdaptiveDataAugmentation", "AdaptiveResult"):
        from importlib import import_module

        return getattr(import_module("seo_core.augmentation.adaptive"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
