"""Shared fixtures: a tiny BERT that trains in a second, and where the real data is, if it is at hand."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests' own helpers
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SEO_BOOK", str(ROOT))


@pytest.fixture
def tiny_bert():
    """A function making a random 2-layer BERT classifier (d = 32, 4 heads, 100 words) without any download."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    def make(seed=0, dropout=0.1, layers=2, num_labels=3):
        torch.manual_seed(seed)
        config = BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=layers, num_attention_heads=4,
                            intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=dropout,
                            attention_probs_dropout_prob=dropout, num_labels=num_labels)
        return BertForSequenceClassification(config)

    return make


@pytest.fixture
def toy_pairs():
    """A function making n encoded pairs whose label is the first token of the premise modulo 3."""
    from seo_core.data import Encoded

    def make(n=96, seed=0):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(5, 20, size=n)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = rng.integers(5, 100, size=offsets[-1]).astype(np.int32)
        ids[offsets[:-1]] = 1
        labels = ids[offsets[:-1] + 1].astype(np.int64) % 3
        first = (lengths // 2).astype(np.int32)
        return Encoded(ids=ids, offsets=offsets.astype(np.int64), first=first, labels=labels, pad_id=0)

    return make


@pytest.fixture
def real_data():
    """A function giving a folder of the real data sets by name; the test is skipped where there is none."""
    root = Path(os.environ.get("SEO_TEST_DATA", ROOT.parent / "shared" / "data"))

    def folder(name):
        if not (root / name).is_dir():
            pytest.skip(f"no {name} data: set SEO_TEST_DATA to the folder that holds it")
        return str(root / name)

    return folder
