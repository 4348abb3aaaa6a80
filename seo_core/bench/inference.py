"""Benchmark of inference: exported files, PyTorch, ONNX Runtime and OpenVINO take turns on the same batches.

    contestants = baselines(model, folder, threads=2) | files({"quant": "path/to/model.onnx"}, threads=2)
    turns = measure(contestants, batches(encoded, config), config)      # A B C A B C, one process
    table = summarize(turns, contestants, baseline="control")

    python -m seo_core.bench.inference --profile cpu --data path/to/mnli --files final=path/to/model.onnx

Rules: one process; every contestant runs all batches of a turn before the next one's turn; the same examples and
lengths; each turn begins with batches that are not timed; a fixed number of threads; milliseconds per batch, median and
95th percentile over all batches and rounds; bytes of the file that is loaded. The *control* is what library calls
make of the baseline: `torch.onnx.export`, then ONNX Runtime's `quantize_dynamic`, per channel; with the library's
fusion pass between the two and without it, as either may be the faster one.

CPUs differ most in their instructions for small numbers. The record says whether this one has VNNI (int8) and bf16.
`ONEDNN_MAX_CPU_ISA=AVX2` shows PyTorch and OpenVINO as they are without; ONNX Runtime does not obey it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from seo_core.deploy.runners import INPUTS, RunnerError, runner
from seo_core.lab.cli import again, guarded, say, settings_parser
from seo_core.machine import cpu_support
from seo_core.settings import RunSettings, display_source, resolve_path

EXPERIMENT, RECORD = "tab3_inference_speed", "inference_speed"
CONTROL, PLAIN = "control", "control, not fused"


# fp32 networks that are timed beside the exported files
NETWORKS = ("prune", *(f"taylor-{share}" for share in (20, 40, 60, 65, 80)), "aip", "aip-T2", "kd",
            *(f"kd-depth-{depth}" for depth in (1, 2, 4)))


@dataclass(frozen=True)
class InferenceConfig:
    """How inference is measured. Unknown keys raise, as for any dataclass."""

    batch_size: int = 32  # the papers' batch
    threads: int = 2
    batches: int = 24  # timed in a turn: 768 pairs
    warmup: int = 3  # batches before them: caches, thread pools, memory
    rounds: int = 5
    pause: float = 0.1  # seconds between turns: the threads of the one before stop spinning

    def __post_init__(self):
        for name in ("batch_size", "threads", "batches", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)!r}")


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
    found = [encoded.arrays(part) for part in (chosen_rows(encoded, config) if rows is None else rows)]
    return [{name: batch[name] for name in INPUTS} for batch in found]


def own_batches(contestants: dict[str, Contestant], frame, rows: np.ndarray, texts: Sequence[str],
                max_length: int) -> dict[str, list[dict[str, np.ndarray]]]:
    """The same texts in the same batches, as the contestants with a tokenizer of their own read them."""
    from seo_core.data import encode

    used, inverse = np.unique(rows, return_inverse=True)
    part = frame.iloc[used]
    return {name: batches(encode(part, contestant.tokenizer, texts=texts, max_length=max_length), None,
                          inverse.reshape(rows.shape))
            for name, contestant in contestants.items() if contestant.tokenizer is not None}


# ---------------------------------------------------------------------------------------------
# Contestants


def baselines(model, folder: str | Path, *, threads: int, weights: str | Path | None = None) -> dict[str, Contestant]:
    """The unpruned network as its libraries run it: PyTorch eager fp32 and bf16, ONNX Runtime fp32, OpenVINO fp32 and
    bf16, and the control. What this machine has not is absent.

    The exported files are written to `folder`. weights: the saved checkpoint, whose bytes PyTorch loads.
    """
    import importlib.util

    from seo_core.models.fastpath import has_bf16
    from seo_core.quantization.export import library_exports

    folder, bf16 = Path(folder), has_bf16("cpu")
    kinds = {(False, False): "fp32", (True, True): "control", (True, False): "plain"}  # (int8, fused)
    made = library_exports(model, {kind: folder / f"{name}.onnx" for kind, name in kinds.items()}, untrained=True)
    files = {name: made[kind] for kind, name in kinds.items()}
    found = {"PyTorch eager fp32": eager(model, threads=threads, weights=weights)}
    if bf16:
        found["PyTorch eager bf16"] = eager(model, "bf16", threads=threads, weights=weights)
    found["ONNX Runtime fp32"] = file_contestant(files["fp32"], threads=threads, configuration="base")
    if importlib.util.find_spec("openvino"):
        found["OpenVINO fp32"] = file_contestant(files["fp32"], "openvino", threads=threads)
        if bf16:
            found["OpenVINO bf16"] = file_contestant(files["fp32"], "openvino", threads=threads, precision="auto")
    found[CONTROL] = file_contestant(files["control"], threads=threads, configuration=CONTROL)
    found[PLAIN] = file_contestant(files["plain"], threads=threads)
    return found


def file_contestant(path: str | Path, runtime: str = "onnxruntime", *, threads: int, configuration: str = "",
                    **options) -> Contestant:
    """An exported file under one of the runtimes, with the tokenizer.json that lies beside it, if one does."""
    words = Path(path).with_name("tokenizer.json")
    run = runner(path, runtime, threads=threads, tokenizer=words if words.is_file() else None, **options)
    return Contestant(run.run, run.size_bytes, configuration, run.tokenizer)


def files(paths: dict[str, str | Path], *, threads: int) -> dict[str, Contestant]:
    """Exported files by name; "path:openvino" runs one under OpenVINO. The name is the configuration's id."""
    return {name: file_contestant(resolve_path(path), runtime, threads=threads, configuration=name)
            for name, (path, runtime) in ((name, _where(given)) for name, given in paths.items())}


def _where(given: str | Path) -> tuple[str, str]:
    """(path, runtime) of what `files` takes. Raises RunnerError where there is no such file."""
    path, runtime = str(given).removesuffix(":openvino"), "openvino" if str(given).endswith(":openvino") else ""
    if not resolve_path(path).is_file():
        raise RunnerError(f"no model file {Path(path).name} in {Path(path).parent}: export one first")
    return path, runtime or "onnxruntime"


def kept_files(settings: RunSettings) -> dict[str, str]:
    """The exported files that chapters kept under this results folder and profile for this seed: configuration ->
    path (the newest of each), as `files` takes them."""
    return {name: str(folder / "model.onnx") + (":openvino" if name.endswith("-openvino") else "")
            for name, folder in _kept(settings, "model.onnx").items()}


def kept_networks(settings: RunSettings, names: Sequence[str] = NETWORKS) -> dict[str, Path]:
    """The fp32 networks among `names` that chapters kept and did not export: configuration -> folder of weights."""
    found = _kept(settings, "model.safetensors")
    return {name: found[name] for name in names if name in found and not (found[name] / "model.onnx").is_file()}


def _kept(settings: RunSettings, file: str) -> dict[str, Path]:
    from seo_core import results

    folder, found = resolve_path(settings.results_dir) / settings.profile, []
    own = (settings.seed, display_source(settings.data), display_source(settings.model))
    for path in folder.glob(f"*/.weights/*/{file}"):
        beside = path.parents[2] / f"{path.parent.name}.json"
        record = results.record_at(beside) if beside.is_file() else None
        if record and (record["seed"], record["data"]["name"], record["model"]["name"]) == own:
            found.append((record["provenance"]["finished"], record["configuration"], path.parent))
    return {name: kept for _, name, kept in sorted(found)}


OURS = ", our export"  # behind the name of a network in fp32 that `export_onnx` wrote


def networks(folders: dict[str, Path], place: str | Path, *, threads: int) -> dict[str, Contestant]:
    """Saved fp32 networks by name under ONNX Runtime, exported to `place` twice: as the baseline is, the library's way,
    and (name + OURS) by our exporter, to be compared with the baseline's file of chapter 11, onnx-fp32."""
    from seo_core.models.backbone import load_backbone
    from seo_core.quantization.export import ExportConfig, export_onnx, library_export

    found = {}
    for name, folder in folders.items():
        labels = json.loads((folder / "config.json").read_text()).get("id2label", {})
        model = load_backbone(str(folder), num_labels=len(labels) or 3)[0]
        path = library_export(model, Path(place) / f"network-{name}.onnx")
        found[name] = file_contestant(path, threads=threads, configuration=name)
        own = export_onnx(model, path.with_stem(f"{path.stem}-ours"), ExportConfig("fp32", embedding_bits=32))
        found[name + OURS] = file_contestant(own, threads=threads)
    return found


def by_export(table, base: str = "ONNX Runtime fp32", ours: str = "onnx-fp32"):
    """The fp32 networks of `summarize` that were exported both ways: milliseconds, and how many times as fast as the
    baseline in the same export. What is left of a factor there is the smaller network, not the exporter."""
    import pandas as pd

    ms = table["latency_ms_p50"].to_dict() if len(table) else {}
    rows = [{"network": name, "library's export, ms": ms[name], "times as fast": ms[base] / ms[name],
             "our export, ms": ms[name + OURS], "times as fast, ours": ms[ours] / ms[name + OURS]}
            for name in NETWORKS if {name, name + OURS, base, ours} <= set(ms)]
    return pd.DataFrame(rows)


def eager(model, precision: str | None = None, *, threads: int, weights: str | Path | None = None) -> Contestant:
    """The stock forward pass in evaluation mode, without gradients; precision: None (fp32) or "bf16" (by autocast)."""
    import torch

    model.eval()

    def run(batch: dict[str, np.ndarray]):
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return model(**{name: torch.from_numpy(array) for name, array in batch.items()}).logits.float().numpy()

    return Contestant(run, _bytes(model, weights))


def _bytes(model, weights) -> int:
    found = list(Path(weights).glob("*.safetensors")) if weights else []
    return sum(p.stat().st_size for p in found) or sum(t.numel() * t.element_size()
                                                       for t in model.state_dict().values())


# ---------------------------------------------------------------------------------------------
# Measuring


def measure(contestants: dict[str, Contestant], timed: Sequence[dict], config: InferenceConfig, *,
            own: dict[str, Sequence[dict]] | None = None, progress: bool = False):
    """Times every contestant on every batch, round after round: a DataFrame contestant, round, batch, ms.

    own: batches of contestants that do not take `timed` (`own_batches`).
    """
    import pandas as pd
    from tqdm.auto import tqdm

    rows = []
    turns = [(number, name) for number in range(config.rounds) for name in contestants]
    for number, name in tqdm(turns, desc="benchmark", unit="turn", disable=not progress):
        run, mine = contestants[name].run, (own or {}).get(name, timed)
        time.sleep(config.pause)
        for batch in mine[: config.warmup]:
            run(batch)
        for i, batch in enumerate(mine):
            began = time.perf_counter()
            run(batch)
            rows.append((name, number, i, 1000 * (time.perf_counter() - began)))
    return pd.DataFrame(rows, columns=["contestant", "round", "batch", "ms"])


def summarize(turns, contestants: dict[str, Contestant], *, baseline: str = CONTROL):
    """One row per contestant: latency_ms_p50 and _p95, size_bytes, and the speed compared with the baseline's.

    speed_ratio is the baseline's time over the contestant's, the median over rounds of the ratio of whole turns, so
    that a slow minute of the machine hits both; speed_ratio_low and _high are the smallest and largest of them.
    """
    import pandas as pd

    whole = turns.pivot_table(index="round", columns="contestant", values="ms", aggfunc="sum")
    rows = {}
    for name, contestant in contestants.items():
        ms = turns.loc[turns["contestant"] == name, "ms"]
        rows[name] = {"latency_ms_p50": float(ms.median()), "latency_ms_p95": float(ms.quantile(0.95)),
                      "size_bytes": contestant.size_bytes}
        if baseline in whole:
            ratio = whole[baseline] / whole[name]
            rows[name].update(speed_ratio=float(ratio.median()), speed_ratio_low=float(ratio.min()),
                              speed_ratio_high=float(ratio.max()))
    return pd.DataFrame.from_dict(rows, orient="index")


def stronger_control(table) -> str:
    """Of the control with and without fusion, the one that was faster here: what targets are judged by."""
    known = [name for name in (CONTROL, PLAIN) if name in table.index]
    return min(known, key=lambda name: table.loc[name, "latency_ms_p50"])


def record(table, contestants: dict[str, Contestant], config: InferenceConfig, *, settings: RunSettings, task,
           model_info: dict, turns=None, more: dict | None = None, started: float | None = None,
           command: str | None = None) -> list[Path]:
    """Writes the benchmark's record, and one for each contestant that is a configuration of the papers' tables (not of
    a run with the CPU's instructions capped, which is no result of these configurations).

    turns: of `measure`; a contestant's record then has `round_ms`, its milliseconds per batch in each round, so that
    two of a run can be compared round by round. more: further metrics of the run as a whole. command: that repeats it.
    """
    from seo_core import results

    cpu = cpu_support()
    shared = {"batch_size": config.batch_size, "threads": config.threads, **(more or {}),
              "has_vnni": int(cpu["vnni"]), "has_bf16": int(cpu["bf16"]), "onednn_capped": int(cpu["capped"])}
    parameters = {"inference": asdict(config), "contestants": sorted(contestants),
                  "onednn_capped": cpu["capped"]}
    write = dict(settings=settings, data=task, model_info=model_info, started=started, again=command)
    paths = [results.write(EXPERIMENT, RECORD, metrics=shared, parameters=parameters,
                           contestants={name: row.dropna().to_dict() for name, row in table.iterrows()}, **write)]
    for name, contestant in contestants.items():
        if contestant.configuration and not cpu["capped"]:
            own = turns[turns["contestant"] == name].groupby("round")["ms"].mean() if turns is not None else None
            series = {} if own is None else {"round": own.index.tolist(), "round_ms": own.tolist()}
            paths.append(results.write(EXPERIMENT, contestant.configuration, parameters=parameters, series=series,
                                       metrics={**shared, **table.loc[name].dropna().to_dict()}, **write))
    return paths


def run(settings: RunSettings, paths: dict[str, str | Path] | None = None, *, config: InferenceConfig | None = None,
        train: bool = True, bench=None, progress: bool = False):
    """The whole benchmark: baselines, then exported files (default: all that were kept, and the fp32 networks among
    NETWORKS); writes the records.

    train: the baseline's trained weights; False takes the untrained network, which computes as much. Returns the table.
    """
    from seo_core.lab.bench import open_bench
    from seo_core.machine import OtherLoad
    from seo_core.models.backbone import model_info

    config = config or (QUICK if settings.profile == "quick" else InferenceConfig())
    for given in (paths or {}).values():  # before anything is trained
        _where(given)
    bench = (bench or open_bench(EXPERIMENT, settings)).of(EXPERIMENT)
    base = bench.baseline() if train else None
    model = base.model() if train else bench.start()
    encoded, started = bench.encoded("validation_matched"), time.time()
    rows = chosen_rows(encoded, config)
    with tempfile.TemporaryDirectory() as folder:
        contestants = baselines(model, folder, threads=config.threads, weights=base.weights if train else None)
        own = files(kept_files(settings) if paths is None else paths, threads=config.threads)
        if paths is None:
            own |= networks(kept_networks(settings), folder, threads=config.threads)
        contestants |= {name: contestant for name, contestant in own.items() if name not in contestants}
        if not train:  # times of an untrained network are no configuration's
            contestants = {name: replace(contestant, configuration="") for name, contestant in contestants.items()}
        special = own_batches(contestants, bench.task["validation_matched"], rows, bench.task.texts,
                              settings.max_length)
        elsewhere = OtherLoad()
        turns = measure(contestants, batches(encoded, config, rows), config, own=special, progress=progress)
        more = {"other_load": elsewhere.cores(), **_padding(encoded, rows)}
        table = summarize(turns, contestants, baseline=CONTROL)
        table = summarize(turns, contestants, baseline=stronger_control(table))
        record(table, contestants, config, settings=settings, task=bench.task, started=started, more=more, turns=turns,
               model_info=model_info(model, settings.model),
               command=_command(settings, config) if paths is None else None)
    return table


def _command(settings: RunSettings, config: InferenceConfig) -> str:
    """The command line of a run on the files that were kept."""
    usual = QUICK if settings.profile == "quick" else InferenceConfig()
    said = again("seo_core.bench.inference", None, settings)
    for name in ("batch_size", "threads", "batches", "rounds"):
        if (value := getattr(config, name)) != getattr(usual, name):
            said += f" --{name.replace('_', '-')} {value}"
    capped = os.environ.get("ONEDNN_MAX_CPU_ISA")
    return f"ONEDNN_MAX_CPU_ISA={capped} {said}" if capped else said


def _padding(encoded, rows: np.ndarray) -> dict[str, float]:
    """Share of padding in the batches as they are, and in those of the same pairs in their given order."""
    from seo_core.data import padding_share

    size = rows.shape[1]
    return {"padding_share": padding_share(encoded.lengths[rows.ravel()], size),
            "padding_share_unsorted": padding_share(encoded.lengths[np.sort(rows.ravel())], size)}


def latest(*folders, capped: bool = False):
    """The newest benchmark record under the folders: (table of its contestants, the record); (empty table, None) where
    there is none. capped: one that was taken under ONEDNN_MAX_CPU_ISA."""
    import pandas as pd

    from seo_core import results

    known = [r for r in results.load_records(*folders) if r["configuration"] == RECORD and r["experiment"] == EXPERIMENT
             and bool(r["metrics"].get("onednn_capped")) == capped]
    if not known:
        return pd.DataFrame(), None
    newest = max(known, key=lambda r: r["provenance"]["finished"])
    return pd.DataFrame.from_dict(newest["contestants"], orient="index"), newest


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = settings_parser("seo_core.bench.inference", __doc__)
    parser.add_argument("--files", nargs="+", metavar="NAME=PATH[:openvino]",
                        help="exported files (default: all that the chapters kept)")
    for name in ("batch-size", "threads", "batches", "rounds"):
        parser.add_argument(f"--{name}", type=int)

    def work(given, settings):
        for text in given.files or ():
            if "=" not in text:
                raise ValueError(f"--files takes NAME=PATH, got {text!r}")
        changed = {k: v for k in ("batch_size", "threads", "batches", "rounds") if (v := getattr(given, k)) is not None}
        config = replace(QUICK if given.profile == "quick" else InferenceConfig(), **changed)
        paths = dict(text.split("=", 1) for text in given.files) if given.files else None
        say(run(settings, paths, config=config, progress=True).round(2).to_string())
        cpu = cpu_support()
        say(f"VNNI: {'yes' if cpu['vnni'] else 'no'}, bf16: {'yes' if cpu['bf16'] else 'no'}"
            + (" (capped by ONEDNN_MAX_CPU_ISA)" if cpu["capped"] else ""))

    return guarded(parser, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
