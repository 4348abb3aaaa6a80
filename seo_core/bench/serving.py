"""Benchmark of servers: how many pairs a second they answer while 95 of 100 answers take at most 100 ms.

    python -m seo_core.run bench serving --profile cpu --data path/to/mnli

Contestants, each a server in processes of its own, all with FastAPI and uvicorn, all asked one pair a request from a
further process: ours (`seo_core.deploy.serving`, a worker for each core); the same artifact one request at a time; and
a `pipeline` of transformers with the whole network in fp32, whose weights do not matter for the time. In each turn a
server is started and asked by 1, 2, 4, … clients. pairs_per_second: the most with p95 of 100 ms or less; clients and
latency_ms_p50 and _p95: there. seconds_to_ready: from the start of the process. megabytes: of all its processes, and
megabytes_worker of the largest.

Between them, without any server, the engine alone reads and answers the same pairs: one at a time on all cores, and as
ours does it, sorted by windows and in small batches, on each core by itself. So the second is what is left to gain.

`--requests 100000` then asks a server of ours until it has answered so many: soak_errors of them, and soak_drift, by
what share its memory grew between a tenth of them and the end.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from seo_core.bench.load import under_load
from seo_core.bench.turns import Outcome, by_round, interleave, newest_table, ranged, spread
from seo_core.checks import SettingsError, check_number
from seo_core.progress import Progress

EXPERIMENT, RECORD = "bench_serving", "serving"
OPTIONS = {"artifact": dict(metavar="DIR", help="what ours and the second serve (default: reference)"),
           "seconds": dict(type=float, help="of load at each number of clients (default: 5; under quick 0.5)"),
           "clients": dict(type=int, nargs="+", help="how many at once (default: 1 2 4 8 16 32 64; under quick 1 8)"),
           "rounds": dict(type=int, help="turns of each server (default: 3; under quick 1)"),
           "requests": dict(type=int, help="that ours answers at the end, to see whether it grows (default: none)")}
OURS, ALONE, PIPELINE = "ours", "the same artifact, one request at a time", "transformers pipeline"
SINGLY, BATCHED = "no server, one pair at a time", "no server, in batches"
PROMISED = 100.0  # ms at p95
PAIRS = 500  # that are asked, in turn


def plan(settings, *, artifact: str | None = None, seconds: float | None = None, clients=None,
         rounds: int | None = None, requests: int | None = None) -> dict:
    """How long and by how many each server is asked. Raises SettingsError."""
    quick = settings.profile == "quick"
    given = {"artifact": artifact or "reference", "seconds": seconds or (0.5 if quick else 5.0),
             "clients": tuple(clients or ((1, 8) if quick else (1, 2, 4, 8, 16, 32, 64))),
             "rounds": rounds or (1 if quick else 3), "requests": requests}
    check_number("seconds", given["seconds"], above=0)
    for name in ("clients", "rounds"):
        for value in given[name] if name == "clients" else [given[name]]:
            check_number(name, value, least=1, whole=True)
    if requests is not None:
        check_number("requests", requests, least=1, whole=True)
    return given


def contest(settings, plan: dict) -> Outcome:
    """The three servers and the engine alone in turn, on the first pairs of the task's matched set."""
    from seo_core.data import prepare
    from seo_core.deploy import artifact, serving
    from seo_core.machine import OtherLoad
    from seo_core.models import load_backbone, load_tokenizer, save
    from seo_core.models.backbone import model_info

    folder = artifact.locate(plan["artifact"])
    names, task = artifact.check(folder)["texts"], prepare(settings)
    if len(names) != len(task.texts):
        raise SettingsError(f"the artifact {folder.name} reads {len(names)} texts, and the task has {len(task.texts)}")
    frame = task[task.evaluation[0]].head(PAIRS)
    bodies = [dict(zip(names, row, strict=True)) for row in frame[list(task.texts)].itertuples(index=False, name=None)]
    with tempfile.TemporaryDirectory() as whole:
        model, _ = load_backbone(settings.model, num_labels=len(task.labels))
        save(model, load_tokenizer(settings.model), Path(whole))
        servers = {OURS: lambda: serving.running(folder), ALONE: lambda: other("one", folder),
                   PIPELINE: lambda: other("pipeline", whole)}
        ways = {name: lambda _, serve=serve: [asked(serve, bodies, plan)] for name, serve in servers.items()}
        rows = [tuple(body.values()) for body in bodies]
        ways |= {name: lambda _, batched=batched: [unserved(folder, rows, plan["seconds"], batched=batched)]
                 for name, batched in ((SINGLY, False), (BATCHED, True))}
        others = OtherLoad()
        turns = interleave(ways, rounds=plan["rounds"])
        load = others.cores()
        grown = soak(servers[OURS], bodies, plan["requests"]) if plan["requests"] else {}
    return Outcome(turns=turns, table=summary(turns), task=task, model_info=model_info(model, settings.model),
                   metrics={"other_load": load, "pairs": len(bodies), "seconds": plan["seconds"], **grown},
                   parameters={**plan, "artifact": folder.name})


def asked(serve, bodies: list[dict], plan: dict) -> dict[str, float]:
    """One turn: a server is started, asked by more and more clients, and ended. serve: a context manager that gives its
    url and first process, once it is ready."""
    began = time.perf_counter()
    with serve() as server:
        ready = time.perf_counter() - began
        found = [{**under_load(server.url, bodies, clients=count, seconds=plan["seconds"]), "clients": count}
                 for count in plan["clients"]]
        sizes = megabytes(server.process)
    kept = [each for each in found if each["p95"] <= PROMISED and not each["errors"]]
    best = max(kept, key=lambda each: each["rate"], default={"rate": 0.0, **dict.fromkeys(("p50", "p95", "clients"))})
    return {"pairs_per_second": best["rate"], "latency_ms_p50": best["p50"], "latency_ms_p95": best["p95"],
            "clients": best["clients"], "seconds_to_ready": ready, "megabytes": sum(sizes),
            "megabytes_worker": max(sizes), "errors": sum(each["errors"] for each in found)}


def unserved(folder: Path, rows: list[tuple[str, str]], seconds: float, *, batched: bool) -> dict[str, float]:
    """One turn of the engine alone, for about so many seconds: pairs_per_second."""
    from concurrent.futures import ThreadPoolExecutor

    from seo_core.deploy import artifact
    from seo_core.deploy.serving.limits import Limits
    from seo_core.machine import cores

    limits, count = Limits(), cores() if batched else 1
    runners = [artifact.load(folder, threads=1 if batched else cores()) for _ in range(count)]

    def work(number: int) -> float:
        runner, window, done = runners[number], limits.window if batched else 1, 0
        place, began = number * window, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            encoded, _ = runner.read([rows[(place + step) % len(rows)] for step in range(window)])
            runner.logits(encoded, batch_size=limits.batch if batched else 1, call=limits.call if batched else None)
            place, done = place + window * count, done + window
        return done / spent

    for runner in runners:
        runner.logits(runner.read(rows[:1])[0], batch_size=1)  # warm
    with ThreadPoolExecutor(count) as pool:
        return {"pairs_per_second": sum(pool.map(work, range(count)))}


def megabytes(process: subprocess.Popen) -> list[float]:
    """Resident memory of a server's processes, its first one and those below."""
    import psutil

    root = psutil.Process(process.pid)
    return [each.memory_info().rss / 1e6 for each in (root, *root.children(recursive=True))]


def soak(serve, bodies: list[dict], requests: int) -> dict[str, float]:
    """Asks a server until it has answered `requests`: soak_requests, soak_errors, soak_megabytes after a tenth of them
    and soak_drift from there to the end, as a share. serve: as for `asked`. Raises RuntimeError where nothing is
    answered in time."""
    answers, errors, early = 0, 0, None
    with serve() as server, Progress("soak", requests, "answer") as watch:
        while answers < requests:
            told = under_load(server.url, bodies, clients=16, seconds=min(5.0, 0.2 + requests / 4000))
            if not told["answers"]:
                raise RuntimeError("a server answers too slowly for the soak: nothing came within its time")
            answers, errors = answers + told["answers"], errors + told["errors"]
            watch.step(f"{errors} errors", told["answers"])
            if early is None and answers >= requests / 10:
                early = sum(megabytes(server.process))
        grown = sum(megabytes(server.process)) / early - 1
    return {"soak_requests": answers, "soak_errors": errors, "soak_megabytes": early, "soak_drift": grown}


def summary(turns):
    """A row for each server: medians over the rounds, and how many times as many pairs as the others' (`spread`)."""
    import pandas as pd

    measured = [name for name in turns.columns if name not in ("contestant", "round")]
    table = pd.DataFrame({name: by_round(turns, name).median() for name in measured})
    rates = by_round(turns, "pairs_per_second")
    for title, baseline in (("ratio_alone", ALONE), ("ratio_pipeline", PIPELINE)):
        table = table.join(spread(rates.div(rates[baseline].where(rates[baseline] > 0), axis=0), title))
    return table


@contextlib.contextmanager
def other(kind: str, folder: str | Path) -> Iterator[SimpleNamespace]:
    """A server of `servers.py` on a free port, until the block ends: its url and process."""
    from seo_core.machine import environment

    with subprocess.Popen([sys.executable, "-m", "seo_core.bench.servers", kind, str(folder)], env=environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the server {kind!r} did not start")
            yield SimpleNamespace(url=url, process=process)
        finally:
            process.terminate()


COLUMNS = ("server", "pairs a second", "clients", "p95, ms", "times the pipeline", "times one at a time", "ready, s",
           "MB a worker")


def report(*folders, **which):
    """The record that `results.newest` takes, as a table for a page; one row, "not run", where there is none."""
    def shown(values: dict, name: str, digits: int = 0) -> str:
        return format(values[name], f".{digits}f") if name in values else "–"

    return newest_table(RECORD, COLUMNS, lambda name, values: (
        name, *(shown(values, each) for each in ("pairs_per_second", "clients", "latency_ms_p95")),
        *(ranged(values, f"ratio_{each}") for each in ("pipeline", "alone")), shown(values, "seconds_to_ready", 1),
        shown(values, "megabytes_worker")), folders, **which)
