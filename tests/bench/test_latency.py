"""The measuring of inference: the same batches for all, in turn, and ratios within one round."""

import numpy as np
import pandas as pd
import pytest

from seo_core.bench.latency import (
    CONTROL,
    PLAIN,
    Contestant,
    InferenceConfig,
    batches,
    measure,
    stronger_control,
    summarize,
)

TINY = InferenceConfig(batch_size=4, threads=1, batches=2, warmup=1, rounds=2, pause=0.0)


def test_batches_are_all_the_examples_sorted_by_length(toy_pairs):
    pairs = toy_pairs(10)
    found = batches(pairs, InferenceConfig(batch_size=4, batches=5))
    assert [b["input_ids"].shape[0] for b in found] == [4] * 5
    widths = [b["input_ids"].shape[1] for b in found]
    assert widths == sorted(widths)
    tokens = sum(int(b["attention_mask"].sum()) for b in found)
    assert tokens == pairs.lengths[np.resize(np.arange(10), 20)].sum()
    with pytest.raises(ValueError, match="split is empty"):
        batches(pairs.take([]), TINY)
    with pytest.raises(ValueError, match="rounds must be 1 or more"):
        InferenceConfig(rounds=0)


def test_contestants_take_turns_and_warm_up_is_not_timed(toy_pairs):
    calls = []
    contestants = {n: Contestant(lambda batch, n=n: calls.append((n, id(batch))), 10) for n in "AB"}
    timed = batches(toy_pairs(8), TINY)
    turns = measure(contestants, timed, TINY)
    assert [c[0] for c in calls] == list("AAABBBAAABBB")  # one warm-up batch and two timed ones a turn
    assert len(turns) == 2 * 2 * 2 and set(turns["round"]) == {0, 1}
    assert calls[0][1] == calls[1][1] == calls[3][1]  # the same batches for both


def test_the_summary_compares_turns_of_one_round():
    turns = pd.DataFrame([("control", 0, 0, 10.0), ("control", 1, 0, 30.0), ("x", 0, 0, 5.0), ("x", 1, 0, 10.0)],
                         columns=["contestant", "round", "batch", "ms"])
    table = summarize(turns, {"control": Contestant(print, 100), "x": Contestant(print, 25)})
    assert table.loc["x", ["speed_ratio", "speed_ratio_low", "speed_ratio_high"]].tolist() == [2.5, 2, 3]
    assert table.loc["control", "speed_ratio"] == 1 and table.loc["x", "latency_ms_p50"] == 7.5
    assert table.loc["x", "size_bytes"] == 25
    faster = pd.DataFrame({"latency_ms_p50": [10.0, 8.0]}, index=[CONTROL, PLAIN])
    assert stronger_control(faster) == PLAIN
