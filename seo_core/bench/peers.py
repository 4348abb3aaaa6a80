"""One contestant of the augmentation benchmark in a process of its own, perhaps under another interpreter.

    echo '{"contestant": "nlpaug synonym", "texts": ["a car"], "strength": 0.1, "seed": 0}' | path/to/python peers.py

Standard library only, but for the library that is measured: nlpaug and TextAttack have environments of their own.
Reads one JSON object, answers with one on the last line: seconds of two passes over the texts (the first with every
cache empty, the library itself imported before the clock starts), the texts of the first pass, and the version.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
from functools import partial
from importlib import metadata
from unittest.mock import MagicMock


def seo_core(operator: str, strength: float):
    """Our operator on single texts; what cannot be changed stays."""
    import pandas as pd

    from seo_core.augmentation import augment

    def edit(texts, seed):
        copies = augment(pd.DataFrame({"text": texts}), operator, strength=strength, seed=seed, texts=("text",))
        out = list(texts)
        for row, text in zip(copies["source"].tolist(), copies["text"].tolist(), strict=True):
            out[row] = text
        return out

    return lambda: edit


def nlpaug(action: str, strength: float):
    """nlpaug's SynonymAug over WordNet, or RandomWordAug swap, with their defaults but for the share of words."""
    import nlpaug.augmenter.word as naw
    import numpy

    def edit(augmenter, texts, seed):
        random.seed(seed)
        numpy.random.seed(seed)
        return [new if isinstance(new, str) else (new[0] if new else old)
                for old, new in zip(texts, augmenter.augment(list(texts)), strict=True)]

    make = (partial(naw.SynonymAug, aug_src="wordnet") if action == "synonym" else
            partial(naw.RandomWordAug, action=action))
    return lambda: partial(edit, make(aug_p=strength))


def textattack(action: str, strength: float):
    """TextAttack's WordNet swap. Its import of flair, a tagger not used here, gets a stand-in where that fails."""
    try:
        import flair  # noqa: F401
    except ImportError:
        half_loaded = [name for name in sys.modules if name.split(".")[0] == "flair"]
        sys.modules.update({name: MagicMock() for name in (*half_loaded, "flair", "flair.data", "flair.models")})
    from textattack.augmentation import WordNetAugmenter

    def edit(augmenter, texts, seed):
        random.seed(seed)
        return [(augmenter.augment(text) or [text])[0] for text in texts]

    return lambda: partial(edit, WordNetAugmenter(pct_words_to_swap=strength, transformations_per_example=1))


LIBRARIES = {"seo_core": seo_core, "nlpaug": nlpaug, "textattack": textattack}


def measure(job: dict) -> dict:
    """Two passes of a contestant: the answer as described at the top."""
    library, _, action = job["contestant"].partition(" ")
    make = LIBRARIES[library](action, job["strength"])
    began = time.perf_counter()
    edit = make()
    out = edit(job["texts"], job["seed"])
    middle = time.perf_counter()
    if not job.get("once"):
        edit(job["texts"], job["seed"] + 1)
    try:
        version = metadata.version(library.replace("_", "-"))
    except metadata.PackageNotFoundError:
        version = ""
    return {"seconds": [middle - began, time.perf_counter() - middle], "texts": out, "version": version}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):  # libraries that greet or download say so there
        answer = measure(json.loads(sys.stdin.read()))
    print(json.dumps(answer))
