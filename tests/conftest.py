"""Shared fixtures: a tiny BERT that trains in a second, and where the real data is, if it is at hand.

`make check` runs the tests that train nothing and start no kernel. A new test is one of them. If it trains or starts
one after all, it fails, here as in `make test`, and says which marker it needs. A fixture that does so asks for the
fixture `trains` or `kernel`; the tests that use it get the marker.
"""

import gc
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests' own helpers
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SEO_BOOK", str(ROOT))

RUNS_CHAPTERS = re.compile(r"ipykernel|--nbval|seo_core\.run (arm|book|chapter|refresh)\b(?!.* --(help|dry-run))")
_item = None  # the test that runs
_watched = False  # torch's optimizers


def pytest_collection_finish(session):
    """The libraries and all collected tests stay anyway: no collection of garbage, of which a benchmark asks for one a
    turn, goes through them again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    global _item
    _item = item


def pytest_runtest_teardown():
    if pyplot := sys.modules.get("matplotlib.pyplot"):  # which keeps each figure until it is told
        pyplot.close("all")


def _watch(event, arguments):
    """What Python and torch do meanwhile, whoever asked for it: processes that start, and steps of optimizers."""
    global _watched
    if event == "subprocess.Popen":
        words = arguments[1] if isinstance(arguments[1], (list, tuple)) else [arguments[1]]
        if RUNS_CHAPTERS.search(" ".join(map(os.fsdecode, words))):
            _only_with("kernel", "starts a process that runs cells")
    elif event == "import" and not _watched:  # the first import after torch.optim has come
        step_hook = getattr(sys.modules.get("torch.optim.optimizer"), "register_optimizer_step_pre_hook", None)
        if step_hook:
            _watched = True
            step_hook(lambda *_: _only_with("trains", "trains a network"))


def _only_with(marker, does):
    if _item is not None and not _item.get_closest_marker(marker):
        pytest.fail(f"{_item.nodeid} {does}: it needs @pytest.mark.{marker}, which keeps it out of `make check`")


sys.addaudithook(_watch)


@pytest.fixture(scope="session")
def trains():
    """For fixtures that train a network."""


@pytest.fixture(scope="session")
def kernel():
    """For fixtures that start a process that runs cells."""


@pytest.hookimpl(tryfirst=True)  # before the choice by marker
def pytest_collection_modifyitems(items):
    for item in items:
        for marker in {"trains", "kernel"}.intersection(item.fixturenames):
            item.add_marker(marker)


@pytest.fixture(scope="session")
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
def tiny_model(tmp_path):
    """A folder with a network of one small layer that reads the bundled tokenizer's ids, for commands that load one."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from seo_core.models import load_tokenizer, save

    torch.manual_seed(0)
    save(BertForSequenceClassification(BertConfig(
        vocab_size=30522, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=3)), load_tokenizer(), tmp_path / "tiny_model")
    return str(tmp_path / "tiny_model")


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A WordPiece tokenizer of less than a hundred tokens, as a Hugging Face object."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["a", "man", "sleeps", "person", "rests", "nobody", "the", "dog", "runs", "on", "grass"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words, *letters[1:], *(f"##{c}" for c in letters)]
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(dict.fromkeys(tokens))}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
                                   sep_token="[SEP]", mask_token="[MASK]")


@pytest.fixture
def tiny_book(tmp_path, monkeypatch):
    """The root of an empty book, which $SEO_BOOK names."""
    root = tmp_path / "clone"
    (root / "book").mkdir(parents=True)
    (root / "book" / "manifest.yml").write_text("chapters: []")
    monkeypatch.setenv("SEO_BOOK", str(root))
    return root


@pytest.fixture
def tiny_artifact(tiny_bert, tiny_tokenizer, tmp_path):
    """A function writing the artifact of a random network for NLI into a folder; options: those of `artifact.save`."""
    from seo_core.data import NLI_LABELS
    from seo_core.deploy import artifact
    from seo_core.quantization import ExportConfig, export_onnx

    def make(folder, **options):
        network = tiny_bert().eval()
        network.config.id2label = dict(enumerate(NLI_LABELS))
        path = export_onnx(network, tmp_path / "tiny.onnx", ExportConfig("fp32"))
        return artifact.save(folder, path, tiny_tokenizer, labels=NLI_LABELS, **options)

    return make
