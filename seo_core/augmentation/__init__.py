"""Data augmentation: new training examples out of old ones.

    copies = augment(task["train"], "synonym", strength=0.1, seed=0, texts=task.texts)

core.py has the operators' contract and the label filter, words.py splits texts and says what is protected, edits.py,
contextual.py and translation.py edit, wordnet.py and neighbours.py know which words are alike, adaptive.py chooses.
"""

from seo_core.augmentation.adaptive import AdaptiveConfig, AdaptiveDataAugmentation, AdaptiveResult
from seo_core.augmentation.core import DELETION, OPERATORS, AugmentationError, augment, changes, label_filter, survivors
from seo_core.augmentation.wordnet import wordnet_setup
from seo_core.augmentation.words import protected

__all__ = ["DELETION", "OPERATORS", "AdaptiveConfig", "AdaptiveDataAugmentation", "AdaptiveResult", "AugmentationError",
           "augment", "changes", "label_filter", "protected", "survivors", "wordnet_setup"]
