"""Data augmentation: new training examples out of old ones.

    copies = augment(task["train"], "synonym", strength=0.1, seed=0, texts=task.texts)

core.py has the operators' contract and the label filter, words.py splits texts and says what is protected, edits.py,
contextual.py and translation.py edit, wordnet.py and neighbours.py know which words are alike, adaptive.py chooses.
"""

from seo_core.lazy import lazy

_HOME = {"adaptive": "AdaptiveConfig AdaptiveDataAugmentation AdaptiveResult",
         "core": "DELETION OPERATORS AugmentationError augment changes label_filter survivors",
         "wordnet": "wordnet_setup", "words": "protected"}
__getattr__, __dir__, __all__ = lazy(__name__, _HOME)
