"""Benchmark of one file on two kinds of CPU: does it say everywhere what its integers say, and what does that cost?

    python -m seo_core.run bench saturation --profile cpu --data path/to/mnli \\
        --emulator "qemu-x86_64-static -cpu Haswell"

CPUs without VNNI keep the sum of two products of bytes in 16 bits, where it may not fit (see `quantization.scheme`).
Three ways out are compared on the baseline's static int8: weights of 7 bits and scales that look at pairs of weights,
which are in the file, and ONNX Runtime's exact product (`session.x64quantprecision`), which whoever opens the session
has to ask for. Beside them the library's own int8 file, with its default and with `reduce_range`. All are opened in a
plain session, as who was handed the file would; the contestants take turns on the same batches. accuracy: on both
official sets, or the acceptance half where these are sealed; difference: to `8 bits` in points, paired, with its 95%
interval. agreement: share of pairs with the class that the same file's exact product has on this CPU;
agreement_emulated: the same where the plain session runs under `--emulator`, a command that is put before Python's and
runs it on a CPU with AVX2 only (nothing is timed there).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from seo_core.bench import inference, latency
from seo_core.bench.latency import Contestant, InferenceConfig
from seo_core.bench.turns import Outcome, newest_table
from seo_core.checks import SettingsError, whole_number
from seo_core.deploy.runners import INPUTS, OnnxRunner

EXPERIMENT, RECORD = "bench_saturation", "saturation"
OPTIONS = {"emulator": dict(help="a command that runs Python on a CPU with AVX2 only"),
           "files": dict(nargs="+", metavar="NAME=PATH", help="further exported files, with their tokenizer.json"),
           "emulated_rows": dict(type=int, help="pairs under the emulator, which is slow (default: 400)"),
           **{name: inference.OPTIONS[name] for name in ("untrained", "batch_size", "threads", "batches", "rounds")}}
EXACT = ", exact product"  # behind the name of a file that is opened so
REFERENCE = "8 bits"  # what speed and accuracy are compared with
_EMULATED = """
import sys
import numpy, onnxruntime
model, batches, out = sys.argv[1:]
given = numpy.load(batches)
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [each.name for each in session.get_inputs()]
logits = [session.run(None, {name: given[f"{i} {name}"] for name in names})[0] for i in range(len(given) // 3)]
numpy.save(out, numpy.concatenate(logits))
"""


def plan(settings, *, emulator: str | None = None, emulated_rows: int | None = None, **given) -> dict:
    """How is measured: that of `bench.inference`, and under which emulator on how many pairs. Raises SettingsError for
    an emulator that cannot run Python, and for pairs below 1."""
    if emulator:
        try:
            subprocess.run([*shlex.split(emulator), sys.executable, "-c", ""], check=True, capture_output=True)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise SettingsError(f"--emulator {emulator!r} cannot run Python here: give a command such as "
                                "'qemu-x86_64-static -cpu Haswell'") from error
    common = {name: value for name, value in inference.plan(settings, **given).items() if name != "lab"}
    return {**common, "emulator": emulator, "emulated_rows": whole_number("emulated_rows", emulated_rows or 400, 1)}


def contest(settings, plan: dict) -> Outcome:
    """The files of the baseline in their kinds of integers, and those of the plan."""
    from seo_core.arms import open_lab
    from seo_core.machine import OtherLoad, cpu_support
    from seo_core.models.backbone import model_info

    config = InferenceConfig.of(plan)
    lab = open_lab("02_baseline", settings)
    model = lab.network() if plan["untrained"] else lab.arm("base").model()
    with tempfile.TemporaryDirectory() as folder:
        paths = exports(model, lab.encoded("train"), Path(folder), max_length=settings.max_length)
        paths |= {name: Path(path) for name, path in (plan["files"] or {}).items()}
        opened = {name: session(path, config.threads) for name, path in paths.items()}
        opened |= {name + EXACT: session(path, config.threads, exact=True) for name, path in paths.items()}
        contestants = {name: Contestant(run.run, run.size_bytes, tokenizer=run.tokenizer)
                       for name, run in opened.items()}
        others = OtherLoad()
        turns = latency.measure_on(lab, "validation_matched", contestants, config)
        load = others.cores()  # before the emulator, which would count as another's
        table = latency.summarize(turns, contestants, baseline=REFERENCE)
        for name, values in judged(opened, lab, plan, paths, Path(folder)).items():
            table.loc[name, list(values)] = list(values.values())
    cpu = cpu_support()
    return Outcome(turns=turns, table=table, task=lab.task, model_info=model_info(model, settings.model),
                   metrics={"batch_size": config.batch_size, "threads": config.threads, "has_vnni": int(cpu["vnni"]),
                            "emulated_rows": plan["emulated_rows"] if plan["emulator"] else 0,
                            "other_load": load},
                   parameters={"emulator": plan["emulator"], "untrained": plan["untrained"]})


def exports(model, train, folder: Path, *, max_length: int) -> dict[str, Path]:
    """Files of one network by name: static int8 of 8 bits, of 7, and of 8 with scales by pairs, calibrated on `train`
    (an Encoded), and the library's dynamic int8, as it comes and with reduce_range."""
    from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx, library_export

    paths = {}
    for name, bits, pairs in ((REFERENCE, 8, False), ("7 bits", 7, False), ("8 bits, by pairs", 8, True)):
        scales = calibrate(model, train, CalibrationConfig(weight_bits=bits, pairs=pairs))
        paths[name] = export_onnx(model, folder / f"{name}.onnx", ExportConfig(max_length=max_length), scales=scales,
                                  untrained=True)
    for name, reduced in (("library", False), ("library, reduce_range", True)):
        paths[name] = library_export(model, folder / f"{name}.onnx", int8=True, fuse=True, untrained=True,
                                     reduce_range=reduced)
    return paths


def session(path: Path, threads: int, *, exact: bool = False) -> OnnxRunner:
    """A file in a plain session, whatever `OnnxRunner` would have asked for here; exact: with the exact product."""
    import onnxruntime

    words = path.with_name("tokenizer.json")
    run = OnnxRunner(path, threads=threads, tokenizer=words if words.is_file() else None)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    run.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return run


def judged(opened: dict[str, OnnxRunner], lab, plan: dict, paths: dict[str, Path], folder: Path) -> dict[str, dict]:
    """By contestant: accuracy, difference to REFERENCE with its interval, agreement, agreement_emulated."""
    from seo_core.analysis.statistics import paired_difference

    def read(run, split: str):
        return (lab.reading_with(run.tokenizer) if run.tokenizer else lab).encoded(split)

    labels = np.concatenate([lab.encoded(split).labels for split in lab.scored])
    classes = {name: np.concatenate([run.logits(read(run, split)).argmax(1) for split in lab.scored])
               for name, run in opened.items()}
    found = {}
    for name, mine in classes.items():
        exact = classes[name if name.endswith(EXACT) else name + EXACT]
        values = {"accuracy": float((mine == labels).mean()), "agreement": float((mine == exact).mean())}
        if name != REFERENCE:
            gap = paired_difference(mine == labels, classes[REFERENCE] == labels)
            values |= {f"difference{end}": 100 * x for end, x in (("", gap.difference), ("_low", gap.low),
                                                                  ("_high", gap.high))}
        if plan["emulator"] and name in paths:
            encoded = read(opened[name], lab.scored[0])
            batches = [encoded.arrays(np.arange(start, min(start + 8, len(encoded), plan["emulated_rows"])))
                       for start in range(0, min(len(encoded), plan["emulated_rows"]), 8)]
            here = np.concatenate([opened[name + EXACT].run(batch) for batch in batches])
            there = emulated(paths[name], batches, plan["emulator"], folder)
            values["agreement_emulated"] = float((there.argmax(1) == here.argmax(1)).mean())
        found[name] = values
    return found


def emulated(path: Path, batches: list[dict], emulator: str, folder: Path) -> np.ndarray:
    """(n, k) logits of a plain session of the file, on batches of arrays (B, T), in a Python run by `emulator`."""
    out = folder / "emulated.npy"
    np.savez(folder / "emulated.npz", **{f"{i} {name}": batch[name].astype(np.int64) for i, batch in enumerate(batches)
                                         for name in INPUTS})
    ended = subprocess.run([*shlex.split(emulator), sys.executable, "-c", _EMULATED, str(path),
                            str(folder / "emulated.npz"), str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"},
                           stderr=subprocess.PIPE, text=True)  # emulators warn of what they lack
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2]
        raise SettingsError(f"--emulator {emulator!r} could not run {path.name}: {said}")
    return np.load(out)


COLUMNS = ("file", "ms a batch", "accuracy, %", "difference", "same class here, %", "on AVX2 only, %")


def report(*folders):
    """The newest record under the folders as a table for a page; one row, "not run", where there is none."""
    def row(name: str, values: dict) -> tuple:
        gap = [values[f"difference{end}"] for end in ("", "_low", "_high") if f"difference{end}" in values]
        there = values.get("agreement_emulated")
        return (name, f"{values['latency_ms_p50']:.1f}", f"{100 * values['accuracy']:.2f}",
                "{:+.2f} [{:+.2f}, {:+.2f}]".format(*gap) if gap else "", f"{100 * values['agreement']:.2f}",
                "" if there is None else f"{100 * there:.2f}")

    return newest_table(RECORD, COLUMNS, row, folders)
