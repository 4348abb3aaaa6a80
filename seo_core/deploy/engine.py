"""Which runtime an artifact runs on, measured here and now: `seo_core.load(folder, engine="auto")`.

    model = seo_core.load("path/to/artifact", engine="auto")
    model.engine                  # Choice(name="openvino", why="1.31 times as fast …", ratio=1.31, agreement=1.0)

ONNX Runtime and, where it is installed, OpenVINO take turns on batches of the artifact's check texts for half a second.
OpenVINO is taken where it is faster and says the same as ONNX Runtime on 99.9% of all check texts: those of the
artifact (`Card.check`; `compress --check 1000` puts held-out ones there, and by default none, since whoever has the
artifact can read them), and where it has none, pairs of the generator. What was found is kept for this artifact, this
CPU, these versions and this number of threads in $XDG_CACHE_HOME/seo_core (else ~/.cache/seo_core), so that it is
measured once a machine.

OpenVINO takes files of standard operators only (`compress --operators standard`). An artifact exported for ONNX Runtime
(the default, and those that come with the book) runs on ONNX Runtime, and nothing is measured: OpenVINO 2026.4 loads
such a file, but takes its FusedMatMul for a product without the transposition, and fails at the first batch.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from seo_core import files, machine
from seo_core.deploy.runners import OnnxRunner, OpenVinoRunner, Runner, RunnerError

SECONDS = 0.5  # of all turns together
AGREEMENT = 0.999  # share of the check texts with the same class
PAIRS, BATCH = 1000, 32


@dataclass(frozen=True)
class Choice:
    """A runtime, and why it was taken. ratio: ONNX Runtime's time over OpenVINO's, median over batches, None where it
    was not measured; agreement: share of the check texts with the same class, None where that did not matter."""

    name: str
    why: str
    ratio: float | None = None
    agreement: float | None = None


def choose(ours: OnnxRunner, texts: list | None, sums: Path) -> tuple[Runner, Choice]:
    """The faster runner of an artifact's file, of those that agree. ours: it in ONNX Runtime. texts: that it is checked
    with, None where the artifact has none. sums: the artifact's SHA256SUMS, by which its answer is kept."""
    stays = "onnxruntime"
    if ours.export.get("operators", "onnxruntime") != "standard":
        return ours, Choice(stays, "the file has ONNX Runtime's own operators, which OpenVINO does not take")
    try:
        version = metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return ours, Choice(stays, "OpenVINO is not installed")
    host = machine.machine()
    key = files.digest([files.file_digest(sums), host["cpu"], host["instruction_sets"], machine.onednn_capped(),
                        ours.threads, metadata.version("onnxruntime"), version], length=16)
    place = _cache() / f"engine-{key}.json"
    choice = None
    with contextlib.suppress(OSError, ValueError, TypeError):  # what cannot be read is measured again
        choice = Choice(**json.loads(place.read_text(encoding="utf-8")))
    if choice and choice.name == stays:
        return ours, choice
    try:
        theirs = OpenVinoRunner(ours.path, tokenizer=ours.tokenizer, labels=ours.labels, max_length=ours.max_length,
                                threads=ours.threads, columns=ours.names or ours.columns)
        choice = choice or _measured(ours, theirs, texts)
    except (RunnerError, ImportError) as error:
        return ours, Choice(stays, f"OpenVINO cannot be compared: {error}")
    with contextlib.suppress(OSError):  # a disk that is read-only measures each time
        files.write(place, json.dumps(asdict(choice), indent=1) + "\n", sync=False)
    return (ours if choice.name == stays else theirs), choice


def _cache() -> Path:
    said = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (said if said.is_absolute() else Path.home() / ".cache") / "seo_core"


def _measured(ours: Runner, theirs: Runner, texts: list | None) -> Choice:
    encoded, _ = ours.read(texts or _generated(ours.columns))
    batches = [encoded.arrays(rows) for rows in encoded.batches(BATCH)]
    order = [batches[i] for i in np.random.default_rng(0).permutation(len(batches))]  # of all lengths from the first on
    ratios, began, turn = [], time.perf_counter(), 0
    for each in (ours, theirs):
        each.run(order[0])
    while turn < 3 or time.perf_counter() - began < SECONDS:
        batch, spent = order[turn % len(order)], {}
        for each in (ours, theirs) if turn % 2 else (theirs, ours):
            start = time.perf_counter()
            each.run(batch)
            spent[each] = time.perf_counter() - start
        ratios.append(spent[ours] / spent[theirs])
        turn += 1
    ratio = round(float(np.median(ratios)), 3)
    if ratio <= 1:
        return Choice("onnxruntime", f"OpenVINO is {ratio:.2f} times as fast", ratio)
    same = float(np.mean(ours.logits(encoded).argmax(1) == theirs.logits(encoded).argmax(1)))
    name, only = ("openvino", "") if same >= AGREEMENT else ("onnxruntime", "only ")
    return Choice(name, f"OpenVINO is {ratio:.2f} times as fast, and says the same on {only}{same:.2%} of "
                  f"{len(encoded)} check texts", ratio, same)


def _generated(columns: int) -> list:
    """Check texts for an artifact without some. Raises ImportError where pandas is not installed."""
    from seo_core.data.generator import generate

    frame = generate(PAIRS, seed=0)
    pairs = zip(frame["premise"], frame["hypothesis"], strict=True)
    return [" ".join(pair) for pair in pairs] if columns == 1 else list(pairs)
