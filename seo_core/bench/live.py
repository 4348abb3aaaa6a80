"""Here and now: what the artifacts that come with the book do on the machine that builds it, beside what was recorded.

    times, answers = here_and_now()                    # DataFrames for a page; seconds, nothing is trained

Same rules as in the benchmark (`seo_core.bench.latency`): in turn, warmed up, a fixed number of threads, the median.
But a few short rounds beside whatever else runs: the records are what counts, and this shows that the files are what
they say.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from seo_core.bench.latency import (
    EXPERIMENT,
    PLAIN,
    Contestant,
    InferenceConfig,
    file_contestant,
    latest,
    measure,
    own_batches,
)

EXAMPLES = (  # pairs about as long as MNLI's: entailed, open, contradicted
    ("The museum is closed on Mondays, but on every other day of the week visitors can see the whole collection "
     "without paying.", "On a Tuesday the collection can be seen for free."),
    ("A man in a grey coat is waiting for the last train of the evening, and he keeps looking at the clock above the "
     "platform.", "The man is on his way home from work."),
    ("When the storm came over the mountains, all of the hikers had already left the hut and were back down in the "
     "village.", "Some of the hikers were still in the hut when the storm came."))
TURNS = {"one at a time": InferenceConfig(batch_size=1, batches=len(EXAMPLES), warmup=1, rounds=10, pause=0.02),
         "32 at once": InferenceConfig(batches=len(EXAMPLES), warmup=1, rounds=4, pause=0.05)}
NONE_SHIPPED = "there is no model in book/artifacts: this copy of the book comes without one"


def here_and_now(*, control: bool = True) -> list:
    """What the artifacts for pairs that come with the book (`seo_core.deploy.artifact.shipped`) do here and now: two
    DataFrames, or where there is none one of a single line.

    The first has a row for each file: megabytes; milliseconds a pair of EXAMPLES, on two threads where there are two
    cores; and what was recorded, with the machine that it was recorded on. control: also a row for the control of
    `seo_core.bench.inference`, not fused, made here of the bundled network as it is (untrained it computes as much),
    and how many times as fast the others are; where it cannot be made, the row says why. The second has a row for each
    of EXAMPLES, and for each file its answer with its probability."""
    import pandas as pd

    from seo_core.deploy import artifact
    from seo_core.machine import cores

    folders = artifact.shipped()
    about = {name: config for name, folder in folders.items()
             if len((config := artifact.check(folder))["texts"]) == 2}  # the examples are pairs
    if not about:
        return [pd.DataFrame({"here, now": [NONE_SHIPPED]})]
    threads = min(InferenceConfig.threads, cores())
    models = {name: artifact.load(folders[name], threads=threads) for name in about}
    recorded = {name: _recorded(config["metrics"], config.get("machine")) for name, config in about.items()}
    contestants = {name: Contestant(model.run, model.size_bytes, tokenizer=model.tokenizer)
                   for name, model in models.items()}
    with tempfile.TemporaryDirectory() as folder:
        if control:
            name, made = _control(folder, threads)
            recorded[name] = _recorded_control()
            contestants |= {name: made} if made else {}
        table = _timed(contestants, min(model.max_length for model in models.values()))
    table = table.reindex(list(recorded)).join(pd.DataFrame.from_dict(recorded, orient="index"))
    answers = {"premise, hypothesis": [" → ".join(pair) for pair in EXAMPLES]}
    for name, model in models.items():
        answers[name] = [f"{model.labels[p.argmax()]}, {p.max():.2f}" for p in model.probabilities(EXAMPLES)]
    return [table.round(2).reset_index(names="file"), pd.DataFrame(answers)]


def _control(folder: str, threads: int) -> tuple[str, Contestant | None]:
    """The control's name and itself; or in the place of its name why it cannot be made, and None."""
    from seo_core.checks import first_line
    from seo_core.models.backbone import ModelError, load_backbone
    from seo_core.quantization.export import library_export

    try:
        model, tokenizer = load_backbone("bundled")
        path = library_export(model, Path(folder) / "control.onnx", int8=True, untrained=True)
    except (ImportError, ModelError) as error:
        return f"{PLAIN}: cannot be made here ({first_line(error)})", None
    return PLAIN, replace(file_contestant(path, threads=threads), tokenizer=tokenizer)


def _timed(contestants: dict[str, Contestant], max_length: int):
    """A row for each contestant: MB, milliseconds a pair in TURNS, and the last of these compared with PLAIN."""
    import pandas as pd

    frame = pd.DataFrame(list(EXAMPLES), columns=["premise", "hypothesis"])
    table = pd.DataFrame({"MB": {name: each.size_bytes / 1e6 for name, each in contestants.items()}})
    for how, config in TURNS.items():
        rows = np.resize(np.arange(len(frame)), (config.batches, config.batch_size))
        turns = measure(contestants, [], config, own=own_batches(contestants, frame, rows, list(frame), max_length))
        table[column := f"here, now: ms a pair, {how}"] = turns.groupby("contestant")["ms"].median() / config.batch_size
    if PLAIN in contestants:
        table["here, now: times as fast as the control"] = table.loc[PLAIN, column] / table[column]
    return table


def _recorded(metrics: dict[str, float], machine: str | None) -> dict[str, object]:
    """What a page says of numbers that were recorded, and of where."""
    columns = {}
    if {"latency_ms_p50", "batch_size", "threads"} <= metrics.keys():
        columns["recorded: ms a pair"] = metrics["latency_ms_p50"] / metrics["batch_size"]
        columns["recorded on"] = (f"{machine or 'an unknown CPU'}, {metrics['batch_size']:.0f} at once, "
                                  f"{metrics['threads']:.0f} threads")
    if "accuracy_matched" in metrics:
        columns["recorded: matched, %"] = 100 * metrics["accuracy_matched"]
    return columns


def _recorded_control() -> dict[str, object]:
    """The same of the control, from the newest committed run."""
    from seo_core import results

    table, record = latest(results.reference_dir() / "cpu" / EXPERIMENT)
    if record is None or PLAIN not in table.index:
        return {}
    return _recorded({**record["metrics"], **table.loc[PLAIN].to_dict()}, record["provenance"]["machine"]["cpu"])
