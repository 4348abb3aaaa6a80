"""Benchmark of engines: the artifacts that come with the book against the int8 that libraries make of the baseline.

    python -m seo_core.run bench engines --profile cpu --data path/to/mnli

"Several times as fast as int8" is easily said of the slowest int8 there is. Here the baseline is rounded by each stock
recipe, and the *fastest* of them is what an artifact is compared with:

    dynamic, per tensor      torch.onnx.export, ONNX Runtime's fusion for BERT, quantize_dynamic
    dynamic, per channel     the same, a scale for each output: the control of the other tables
    static, QDQ              quant_pre_process, quantize_static on training pairs: per channel, u8s8 (s8s8 was slower)
    OpenVINO, NNCF           nncf.quantize for transformers, compiled for latency; where both are installed

Contestants take turns on the same pairs, as `bench.latency` says, in batches of 32 and one at a time. ms_32 and ms_1:
median milliseconds of a batch; ratio_32 and ratio_1: the time of the stock file that was fastest in all rounds over the
contestant's, round by round. accuracy: on the sets that `Lab.scored` names. `engine="auto"` is asked at the end which
runtime it takes for each artifact.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import tempfile
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from seo_core.bench import latency
from seo_core.bench.latency import Contestant, InferenceConfig, file_contestant
from seo_core.bench.turns import Outcome, by_round, newest_table, ranged, spread
from seo_core.deploy.runners import INPUTS

EXPERIMENT, RECORD = "bench_serving", "engines"
OPTIONS = {"artifacts": dict(nargs="+", metavar="NAME", help="names or folders (default: reference reference-small)"),
           "untrained": dict(action="store_true", help="of an untrained baseline, which computes as much"),
           **{name: dict(type=int) for name in ("threads", "batches", "rounds")}}
DYNAMIC, CHANNEL, STATIC, NNCF = STOCK = ("dynamic, per tensor", "dynamic, per channel", "static, QDQ",
                                          "OpenVINO, NNCF")
SIZES = (32, 1)  # pairs in a batch: what waits in files, and one who asks
CALIBRATED = 300  # training pairs that the static recipes see, NNCF's own default; under quick a tenth


def plan(settings, *, artifacts=None, untrained: bool = False, **changed) -> dict:
    """Which artifacts, and how they are measured (fields of InferenceConfig, by default the profile's). Raises
    ValueError, and ArtifactError for an artifact that is not there."""
    from seo_core.deploy import artifact

    names = tuple(str(name) for name in artifacts or ("reference", "reference-small"))
    for name in names:
        artifact.check(artifact.locate(name))
    quick = settings.profile == "quick"
    timing = asdict(replace(latency.QUICK if quick else InferenceConfig(), **changed))
    del timing["batch_size"]  # SIZES
    return {**timing, "artifacts": names, "untrained": untrained,
            "calibrated": CALIBRATED // 10 if quick else CALIBRATED}


def contest(settings, plan: dict) -> Outcome:
    """The stock files of the baseline and the artifacts in turn: first in batches of 32, then one at a time."""
    import pandas as pd

    import seo_core
    from seo_core.arms.baseline import BASELINE
    from seo_core.deploy import artifact
    from seo_core.lab import open_lab
    from seo_core.machine import OtherLoad, cpu_support
    from seo_core.models.backbone import model_info

    timing = InferenceConfig.of(plan)
    lab, folders = open_lab(BASELINE, settings), {name: artifact.locate(name) for name in plan["artifacts"]}
    model = lab.network() if plan["untrained"] else lab.arm("base").model()
    with tempfile.TemporaryDirectory() as folder:
        contestants = stock(model, calibration(lab.encoded("train"), plan["calibrated"]), Path(folder),
                            threads=timing.threads)
        contestants |= {name: file_contestant(path / "model.onnx", threads=timing.threads)
                        for name, path in folders.items()}
        others = OtherLoad()
        turns = pd.concat([latency.measure_on(lab, "validation_matched", contestants, replace(timing, batch_size=size))
                           .assign(size=size) for size in SIZES], ignore_index=True)
        load = others.cores()
        table = summary(turns).assign(size_bytes=[each.size_bytes for each in contestants.values()],
                                      accuracy=[accuracy(each, lab) for each in contestants.values()])
    cpu, taken = cpu_support(), {name: seo_core.load(path, engine="auto").engine for name, path in folders.items()}
    return Outcome(turns=turns, table=table, task=lab.task, model_info=model_info(model, settings.model),
                   metrics={"threads": timing.threads, "has_vnni": int(cpu["vnni"]),
                            "onednn_capped": int(cpu["capped"]), "other_load": load},
                   parameters={"untrained": plan["untrained"], "artifacts": list(plan["artifacts"]),
                               "engine": {name: f"{engine.name}: {engine.why}" for name, engine in taken.items()},
                               "calibrated": plan["calibrated"]})


def stock(model, batches: list[dict[str, np.ndarray]], folder: Path, *, threads: int) -> dict[str, Contestant]:
    """The baseline in int8 by the recipes above; the one of OpenVINO is absent where it or NNCF is not installed.
    batches: what static recipes are calibrated on, arrays (1, T) by input. The files are written to `folder`."""
    from seo_core.quantization.export import library_export, library_exports

    plain, fused = folder / "fp32.onnx", folder / "channel.onnx"
    library_exports(model, {(False, False): plain, (True, True): fused}, untrained=True)
    paths = {DYNAMIC: library_export(model, folder / "tensor.onnx", int8=True, fuse=True, per_channel=False,
                                     untrained=True),
             CHANNEL: fused, STATIC: _static(plain, batches, folder / "static.onnx")}
    made = {name: file_contestant(path, threads=threads) for name, path in paths.items()}
    if importlib.util.find_spec("openvino") and importlib.util.find_spec("nncf"):
        made[NNCF] = _nncf(plain, batches, folder / "nncf.xml", threads)
    return made


def _static(source: Path, batches, path: Path) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(batches)

        def get_next(self):
            return next(self.left, None)

    ready = path.with_suffix(".ready")
    with _quiet():
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        quantize_static(str(ready), str(path), Reader(), per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    return path


def _nncf(source: Path, batches, path: Path, threads: int) -> Contestant:
    import nncf
    import openvino

    with _quiet(), contextlib.redirect_stdout(None):  # its bars
        network = nncf.quantize(openvino.Core().read_model(source), nncf.Dataset(batches),
                                model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches))
        openvino.save_model(network, path)
    compiled = openvino.Core().compile_model(network, "CPU", {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,
                                                              "INFERENCE_NUM_THREADS": threads})
    size = sum(each.stat().st_size for each in (path, path.with_suffix(".bin")))
    return Contestant(lambda batch: compiled([batch[name] for name in INPUTS])[0], size)


@contextlib.contextmanager
def _quiet():
    """Without what the libraries log of themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def calibration(encoded, count: int = CALIBRATED) -> list[dict[str, np.ndarray]]:
    """`count` pairs (all where there are fewer), each by itself: arrays (1, T) of int64 by input."""
    rows = np.random.default_rng(0).permutation(len(encoded))[:count]
    return [{name: encoded.arrays(rows[i:i + 1])[name].astype(np.int64) for name in INPUTS} for i in range(len(rows))]


def accuracy(contestant: Contestant, lab) -> float:
    """Share of right answers on all sets that are scored here, in batches of 32."""
    read, right = lab.reading_with(contestant.tokenizer) if contestant.tokenizer else lab, []
    for split in lab.scored:
        encoded = read.encoded(split)
        for rows in encoded.batches(32):
            batch = {name: array for name, array in encoded.arrays(rows).items() if name in INPUTS}
            right.append(np.asarray(contestant.run(batch)).argmax(1) == encoded.labels[rows])
    return float(np.concatenate(right).mean())


def summary(turns):
    """A row for each contestant: ms_32 and ms_1, and how many times as fast as the fastest stock file it is at each
    size (`turns.spread`, over the rounds)."""
    import pandas as pd

    parts = []
    for size in SIZES:
        here = turns[turns["size"] == size]
        whole = by_round(here, "ms", "sum")
        fastest = whole[[name for name in STOCK if name in whole]].sum().idxmin()
        parts += [here.groupby("contestant", sort=False)["ms"].median().rename(f"ms_{size}"),
                  spread(whole.rdiv(whole[fastest], axis=0), f"ratio_{size}")]
    return pd.concat(parts, axis=1).rename_axis(None)


COLUMNS = ("file", "MB", "accuracy, %", "ms, 32 pairs", "times as fast", "ms, one pair", "times as fast, one")


def report(*folders, **which):
    """The record that `results.newest` takes, as a table for a page; one row, "not run", where there is none."""
    return newest_table(RECORD, COLUMNS, lambda name, values: (
        name, f"{values['size_bytes'] / 1e6:.1f}", f"{100 * values['accuracy']:.2f}", f"{values['ms_32']:.1f}",
        ranged(values, "ratio_32"), f"{values['ms_1']:.2f}", ranged(values, "ratio_1")), folders, **which)
