"""The measuring of inference: contestants take turns on the same batches, and what is made of their times.

    turns = measure(contestants, batches(encoded, config), config)      # A B C A B C, one process
    table = summarize(turns, contestants, baseline="control")

Rules: one process; every contestant runs all batches of a turn before the next one's turn; the same examples and
lengths; each turn begins with batches that are not timed; a fixed number of threads; milliseconds per batch, median and
95th percentile over all batches and rounds; bytes of the file that is loaded. Who competes is `bench.inference`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from seo_core.bench.turns import by_round, interleave, seconds, spread
from seo_core.checks import at_least, check
from seo_core.deploy.runners import INPUTS, runner

EXPERIMENT, RECORD = "tab3_inference_speed", "inference_speed"
CONTROL, PLAIN = "control", "control, not fused"


@dataclass(frozen=True)
class InferenceConfig:
    """How inference is measured. Unknown keys raise, as for any dataclass."""

    batch_size: int = at_least(1, default=32)  # the papers' batch
    threads: int = at_least(1, default=2)
    batches: int = at_least(1, default=24)  # timed in a turn: 768 pairs
    warmup: int = at_least(0, default=3)  # batches before them: caches, thread pools, memory
    rounds: int = at_least(1, default=5)
    pause: float = at_least(0, default=0.1)  # seconds between turns: the threads of the one before stop spinning

    def __post_init__(self):
        check(self)

    @classmethod
    def of(cls, plan: dict) -> InferenceConfig:
        """What the plan of a benchmark says of it, among other things."""
        return cls(**{each.name: plan[each.name] for each in fields(cls) if each.name in plan})


QUICK = InferenceConfig(batch_size=16, batches=4, warmup=1, rounds=2, pause=0.0)  # shows that it works, in seconds


@dataclass(frozen=True)
class Contestant:
    """Something that turns a batch, arrays (B, T) by name, into logits; and the bytes that it loads."""

    run: Callable[[dict[str, np.ndarray]], object]
    size_bytes: int
    configuration: str = ""  # its id in the papers' tables, if it has one
    tokenizer: object = None  # its own, where it has one: a smaller vocabulary cuts the same texts into more tokens


def chosen_rows(encoded, config: InferenceConfig) -> np.ndarray:
    """(batches, batch_size) positions: the first examples, texts of like length together; repeated where there are
    fewer. Raises ValueError for no examples."""
    if len(encoded) == 0:
        raise ValueError("no examples to time: the split is empty")
    rows = np.resize(np.arange(len(encoded)), config.batches * config.batch_size)
    return rows[np.argsort(encoded.lengths[rows], kind="stable")].reshape(config.batches, config.batch_size)


def batches(encoded, config: InferenceConfig, rows: np.ndarray | None = None) -> list[dict[str, np.ndarray]]:
    """The batches of a turn, padded to the longest text of each. rows: (batches, batch_size), default `chosen_rows`."""
    rows = chosen_rows(encoded, config) if rows is None else rows
    return [{name: array for name, array in encoded.arrays(part).items() if name in INPUTS} for part in rows]


def own_batches(contestants: dict[str, Contestant], frame, rows: np.ndarray, texts: Sequence[str],
                max_length: int) -> dict[str, list[dict[str, np.ndarray]]]:
    """The same texts in the same batches, as the contestants with a tokenizer of their own read them."""
    from seo_core.data import encode

    used, inverse = np.unique(rows, return_inverse=True)
    part, inverse = frame.iloc[used], inverse.reshape(rows.shape)
    return {name: batches(encode(part, each.tokenizer, texts=texts, max_length=max_length), None, inverse)
            for name, each in contestants.items() if each.tokenizer is not None}


def file_contestant(path: str | Path, runtime: str = "onnxruntime", *, threads: int, configuration: str = "",
                    **options) -> Contestant:
    """An exported file under one of the runtimes, with the tokenizer.json that lies beside it, if one does."""
    words = Path(path).with_name("tokenizer.json")
    run = runner(path, runtime, threads=threads, tokenizer=words if words.is_file() else None, **options)
    return Contestant(run.run, run.size_bytes, configuration, run.tokenizer)


def eager(model, precision: str | None = None, *, threads: int, weights: str | Path | None = None) -> Contestant:
    """The stock forward pass in evaluation mode, without gradients; precision: None (fp32) or "bf16" (by autocast)."""
    import torch

    model.eval()

    def run(batch: dict[str, np.ndarray]):
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.float().numpy()

    saved = sum(path.stat().st_size for path in Path(weights).glob("*.safetensors")) if weights else 0
    return Contestant(run, saved or sum(t.nbytes for t in model.state_dict().values()))


def measure(contestants: dict[str, Contestant], timed: Sequence[dict], config: InferenceConfig, *,
            own: dict[str, Sequence[dict]] | None = None):
    """Times every contestant on every batch, round after round: a DataFrame contestant, round, batch, ms. own: batches
    of contestants that do not take `timed` (`own_batches`)."""
    def turn(name: str, number: int) -> list[dict]:
        run, inputs = contestants[name].run, (own or {}).get(name, timed)
        for batch in inputs[: config.warmup]:
            run(batch)
        return [{"batch": i, "ms": 1000 * seconds(run, batch)} for i, batch in enumerate(inputs)]

    return interleave({name: partial(turn, name) for name in contestants}, rounds=config.rounds,
                      between=lambda: time.sleep(config.pause))


def measure_on(lab, split: str, contestants: dict[str, Contestant], config: InferenceConfig):
    """`measure` on the first examples of a lab's split, which each contestant reads with its own tokenizer."""
    encoded = lab.encoded(split)
    rows = chosen_rows(encoded, config)
    own = own_batches(contestants, lab.task[split], rows, lab.task.texts, lab.settings.max_length)
    return measure(contestants, batches(encoded, config, rows), config, own=own)


def summarize(turns, contestants: dict[str, Contestant], *, baseline: str | None = None):
    """One row per contestant: latency_ms_p50 and _p95, size_bytes, and the speed compared with the baseline's, by
    default that of the `stronger_control`. speed_ratio is the baseline's time over the contestant's of whole turns
    (`turns.spread`)."""
    import pandas as pd

    ms = turns.groupby("contestant", sort=False)["ms"]
    table = pd.DataFrame({"latency_ms_p50": ms.median(), "latency_ms_p95": ms.quantile(0.95)}).rename_axis(None)
    table["size_bytes"] = [contestants[name].size_bytes for name in table.index]
    whole = by_round(turns, "ms", "sum")
    baseline = baseline or stronger_control(table)
    return table.join(spread(whole.rdiv(whole[baseline], axis=0), "speed_ratio")) if baseline in whole else table


def stronger_control(table) -> str:
    """Of the control with and without fusion, the one that was faster here: what targets are judged by."""
    return min((name for name in (CONTROL, PLAIN) if name in table.index), default=CONTROL,
               key=lambda name: table.loc[name, "latency_ms_p50"])


def latest(*folders, capped: bool = False):
    """The newest benchmark record under the folders, of all files that were kept and not of chosen ones: (table of its
    contestants, the record); (empty table, None) where there is none. capped: one that was taken under
    ONEDNN_MAX_CPU_ISA."""
    import pandas as pd

    from seo_core import results

    newest = max((r for r in results.load_records(*folders) if r["experiment"] == EXPERIMENT
                  and r["configuration"] == RECORD and not r["parameters"].get("chosen")
                  and bool(r["metrics"].get("onednn_capped")) == capped),
                 key=lambda r: r["provenance"]["finished"], default=None)
    return pd.DataFrame.from_dict(newest["contestants"] if newest else {}, orient="index"), newest
