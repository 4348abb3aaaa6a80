"""Benchmark of inference: exported files, PyTorch, ONNX Runtime and OpenVINO take turns on the same batches.

    contestants = baselines(model, folder, threads=2) | files({"quant": "path/to/model.onnx"}, threads=2)
    turns = latency.measure(contestants, latency.batches(encoded, config), config)      # A B C A B C, one process
    table = latency.summarize(turns, contestants, baseline="control")

    python -m seo_core.run bench inference --profile cpu --data path/to/mnli --files final=path/to/model.onnx

The rules of measuring are those of `bench.latency`; here is who competes. The *control* is what library calls make of
the baseline: `torch.onnx.export`, then ONNX Runtime's `quantize_dynamic`, per channel; with the library's fusion pass
between the two and without it, as either may be the faster one.

CPUs differ most in their instructions for small numbers. The record says whether this one has VNNI (int8) and bf16.
`ONEDNN_MAX_CPU_ISA=AVX2` shows PyTorch and OpenVINO as they are without; ONNX Runtime does not obey it.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from seo_core.bench import latency
from seo_core.bench.latency import CONTROL, PLAIN, Contestant, InferenceConfig, file_contestant
from seo_core.bench.turns import Outcome, by_round
from seo_core.deploy.runners import RunnerError
from seo_core.machine import cpu_support
from seo_core.settings import RunSettings, display_source, resolve_path

EXPERIMENT, RECORD = latency.EXPERIMENT, latency.RECORD
OPTIONS = {"files": dict(nargs="+", metavar="NAME=PATH[:openvino]",
                         help="exported files (default: all that the chapters kept, and their fp32 networks)"),
           "untrained": dict(action="store_true", help="of an untrained network, which computes as much"),
           **{name: dict(type=int) for name in ("batch_size", "threads", "batches", "rounds")}}
OURS = ", our export"  # behind the name of a network in fp32 that `export_onnx` wrote
NETWORKS = ("prune", *(f"taylor-{share}" for share in (20, 40, 60, 65, 80)), "aip", "aip-T2", "kd",
            *(f"kd-depth-{depth}" for depth in (1, 2, 4)))  # fp32 networks that are timed beside the exported files


def plan(settings: RunSettings, *, files: dict[str, str | Path] | Sequence[str] | None = None, untrained: bool = False,
         lab=None, **changed) -> dict:
    """How is measured (fields of InferenceConfig, by default the profile's) and what: files by name, or "NAME=PATH";
    None: all that were kept, and the fp32 networks among NETWORKS. untrained: not the baseline's trained weights. lab:
    where one is open already. Raises ValueError, and RunnerError for a file that does not exist."""
    if files is not None and not isinstance(files, dict):
        if wrong := [text for text in files if "=" not in text]:
            raise ValueError(f"--files takes NAME=PATH, got {wrong[0]!r}")
        files = dict(text.split("=", 1) for text in files)
    for path in (files or {}).values():  # before anything is trained
        _where(path)
    config = replace(latency.QUICK if settings.profile == "quick" else InferenceConfig(), **changed)
    return {"files": files, "untrained": untrained, "lab": lab, **asdict(config)}


def contest(settings: RunSettings, plan: dict) -> Outcome:
    """The baselines of the compression chapters' network, and the files of the plan."""
    from seo_core.arms import open_lab
    from seo_core.data import padding_share
    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import model_info

    config = InferenceConfig.of(plan)
    lab = plan["lab"] or open_lab("02_baseline", settings)
    base = None if plan["untrained"] else lab.arm("base")
    model, encoded = base.model() if base else lab.network(), lab.encoded("validation_matched")
    threads = config.threads
    with tempfile.TemporaryDirectory() as folder:
        compressed = files(kept_files(settings) if plan["files"] is None else plan["files"], threads=threads)
        if plan["files"] is None:
            compressed |= networks(kept_networks(settings), folder, threads=threads)
        unpruned = baselines(model, folder, threads=threads, weights=base.weights if base else None)
        contestants = unpruned | {name: each for name, each in compressed.items() if name not in unpruned}
        if plan["untrained"]:  # times of an untrained network are no configuration's
            contestants = {name: replace(each, configuration="") for name, each in contestants.items()}
        others = OtherLoad()
        turns = latency.measure_on(lab, "validation_matched", contestants, config)
        load, rows = others.cores(), latency.chosen_rows(encoded, config).ravel()
        shared = {"other_load": load, "padding_share": padding_share(encoded.lengths[rows], config.batch_size),
                  "padding_share_unsorted": padding_share(encoded.lengths[np.sort(rows)], config.batch_size)}
    measured = outcome(turns, contestants, config, task=lab.task, model_info=model_info(model, settings.model),
                       shared=shared, chosen=plan["files"])
    return replace(measured, inputs={"baselines": unpruned})


def outcome(turns, contestants: dict[str, Contestant], config: InferenceConfig, *, task, model_info: dict,
            shared: dict | None = None, chosen=None) -> Outcome:
    """The record of the run, and one for each contestant that is a configuration of the papers' tables (not of a run
    with the CPU's instructions capped, which is no result of these configurations).

    A contestant's record has `round_ms`, its milliseconds per batch in each round, so that two of a run can be compared
    round by round. shared: further metrics of the run as a whole. chosen: the files' names, where not all that were
    kept ran: its contestants are measured like others, and `latency.latest` leaves it aside, since no page could show
    the others by it.
    """
    cpu, table = cpu_support(), latency.summarize(turns, contestants)
    metrics = {"batch_size": config.batch_size, "threads": config.threads, **(shared or {}),
               "has_vnni": int(cpu["vnni"]), "has_bf16": int(cpu["bf16"]), "onednn_capped": int(cpu["capped"])}
    ms = by_round(turns, "ms", "mean")
    configurations = {each.configuration: {"metrics": {**metrics, **table.loc[name].dropna().to_dict()},
                                           "series": {"round": ms.index.tolist(), "round_ms": ms[name].tolist()}}
                      for name, each in contestants.items() if each.configuration and not cpu["capped"]}
    parameters = {"inference": asdict(config), "contestants": sorted(contestants), "onednn_capped": cpu["capped"],
                  **({"chosen": sorted(chosen)} if chosen else {})}
    return Outcome(turns=turns, table=table, task=task, model_info=model_info, metrics=metrics, parameters=parameters,
                   configurations=configurations)


def baselines(model, folder: str | Path, *, threads: int, weights: str | Path | None = None) -> dict[str, Contestant]:
    """The unpruned network as its libraries run it: PyTorch eager fp32 and bf16, ONNX Runtime fp32, OpenVINO fp32 and
    bf16, and the control. What this machine has not is absent. The exported files are written to `folder`. weights: the
    saved checkpoint, whose bytes PyTorch loads."""
    from seo_core.models.fastpath import has_bf16
    from seo_core.quantization.export import library_exports

    kinds = {"fp32": (False, False), "control": (True, True), "plain": (True, False)}  # (int8, fused)
    paths = library_exports(model, {kind: Path(folder) / f"{name}.onnx" for name, kind in kinds.items()},
                            untrained=True)
    file = {name: partial(file_contestant, paths[kind], threads=threads) for name, kind in kinds.items()}
    bf16, openvino = has_bf16("cpu"), importlib.util.find_spec("openvino")
    network = partial(latency.eager, model, threads=threads, weights=weights)
    contestants = {
        "PyTorch eager fp32": network(), "PyTorch eager bf16": bf16 and network("bf16"),
        "ONNX Runtime fp32": file["fp32"](configuration="base"),
        "OpenVINO fp32": openvino and file["fp32"]("openvino"),
        "OpenVINO bf16": openvino and bf16 and file["fp32"]("openvino", precision="auto"),
        CONTROL: file["control"](configuration=CONTROL), PLAIN: file["plain"]()}
    return {name: contestant for name, contestant in contestants.items() if contestant}


def files(paths: dict[str, str | Path], *, threads: int) -> dict[str, Contestant]:
    """Exported files by name; "path:openvino" runs one under OpenVINO. The name is the configuration's id."""
    return {name: file_contestant(resolve_path(path), runtime, threads=threads, configuration=name)
            for name, (path, runtime) in ((name, _where(given)) for name, given in paths.items())}


def _where(given: str | Path) -> tuple[str, str]:
    """(path, runtime) of what `files` takes. Raises RunnerError where there is no such file."""
    path, runtime, _ = str(given).partition(":openvino")
    if not resolve_path(path).is_file():
        raise RunnerError(f"no model file {Path(path).name} in {Path(path).parent}: export one first")
    return path, runtime[1:] or "onnxruntime"


def kept_files(settings: RunSettings) -> dict[str, str]:
    """The exported files that chapters kept under this results folder and profile for this seed: configuration ->
    path (the newest of each), as `files` takes them."""
    return {name: str(folder / "model.onnx") + (":openvino" if name.endswith("-openvino") else "")
            for name, folder in _kept(settings, "model.onnx").items()}


def kept_networks(settings: RunSettings) -> dict[str, Path]:
    """The fp32 networks among NETWORKS that chapters kept and did not export: configuration -> folder of weights."""
    folders = _kept(settings, "model.safetensors")
    return {name: folders[name] for name in NETWORKS
            if name in folders and not (folders[name] / "model.onnx").is_file()}


def _kept(settings: RunSettings, file: str) -> dict[str, Path]:
    """Configuration -> folder, for the newest run of each that kept such a file."""
    from seo_core import results

    wanted, kept = (settings.seed, display_source(settings.data), display_source(settings.model)), []
    for path in (resolve_path(settings.results_dir) / settings.profile).glob(f"*/.weights/*/{file}"):
        beside = path.parents[2] / f"{path.parent.name}.json"
        record = results.record_at(beside) if beside.is_file() else None
        if record and (record["seed"], record["data"]["name"], record["model"]["name"]) == wanted:
            kept.append((record["provenance"]["finished"], record["configuration"], path.parent))
    return {configuration: folder for _, configuration, folder in sorted(kept)}


def networks(folders: dict[str, Path], place: str | Path, *, threads: int) -> dict[str, Contestant]:
    """Saved fp32 networks by name under ONNX Runtime, exported to `place` twice: as the baseline is, the library's way,
    and (name + OURS) by our exporter, to be compared with the baseline's file of chapter 11, onnx-fp32."""
    from seo_core.models.backbone import load_backbone
    from seo_core.quantization.export import ExportConfig, export_onnx, library_export

    contestants = {}
    for name, folder in folders.items():
        labels = json.loads((folder / "config.json").read_text()).get("id2label", {})
        model = load_backbone(str(folder), num_labels=len(labels) or 3)[0]
        path = library_export(model, Path(place) / f"network-{name}.onnx")
        contestants[name] = file_contestant(path, threads=threads, configuration=name)
        path = export_onnx(model, path.with_stem(f"{path.stem}-ours"), ExportConfig("fp32", embedding_bits=32))
        contestants[name + OURS] = file_contestant(path, threads=threads)
    return contestants


def by_export(table):
    """The fp32 networks of `summarize` that were exported both ways: milliseconds, and how many times as fast as the
    baseline in the same export. What is left of a factor there is the smaller network, not the exporter."""
    import pandas as pd

    base, ours = "ONNX Runtime fp32", "onnx-fp32"
    ms = table["latency_ms_p50"].to_dict() if len(table) else {}
    rows = [{"network": name, "library's export, ms": ms[name], "times as fast": ms[base] / ms[name],
             "our export, ms": ms[name + OURS], "times as fast, ours": ms[ours] / ms[name + OURS]}
            for name in NETWORKS if {name, name + OURS, base, ours} <= set(ms)]
    return pd.DataFrame(rows)


