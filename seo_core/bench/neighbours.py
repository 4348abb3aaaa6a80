"""Benchmark of trainings beside other work: alone, beside a busy core, two at once, on one core.

    python -m seo_core.run bench neighbours --profile cpu --data path/to/mnli

OpenMP's threads wait for one another many times a step. By default they spin meanwhile, and where another process wants
their core, they burn the time that it needs. `import seo_core` lets them sleep, at once or after `machine.SPINS` turns,
by what it sees when it starts (`machine.share_cores`). Each contestant is a process that trains the profile's network
on its own pairs, or two of them, started as the package starts them: alone on a machine where nothing else computes;
where a core is busy already; as two of the runner's (`machine.side_by_side`). Beside that, with two threads in each:
"spinning", as torch lets them by default; "asleep", at once; "spinning briefly", for SPINS turns. The clock starts when
all are warm. A turn's rate is that of all its trainings together, and a ratio is to the training alone, started as the
package does, of the same round; spins is what its processes were told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from seo_core.bench.turns import WARMUP_STEPS, Outcome, by_round, ground, interleave
from seo_core.checks import check_number, whole_number
from seo_core.machine import SPINS, side_by_side

EXPERIMENT, RECORD = "bench_neighbours", "neighbours_speed"
OPTIONS = {"seconds": dict(type=float, help="of a turn (0: as the profile says)"),
           "rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
ALONE, BESIDE, TWO, ONE_CORE = "alone", "beside a busy core", "two at once", "on one core"
SPINNING, ASLEEP, BRIEFLY = ", spinning", ", asleep", ", spinning briefly"
HOW = {"": {}, SPINNING: dict(spinning=True), ASLEEP: dict(spins=0), BRIEFLY: dict(spins=SPINS)}
BUSINESS = {ALONE: ({}, ASLEEP), BESIDE: (dict(busy=True), BRIEFLY), TWO: (dict(trainings=2), BRIEFLY)}
CONTESTANTS = {name + way: {**what, **HOW[way]} for name, (what, other) in BUSINESS.items()
               for way in ("", SPINNING, other)}
CONTESTANTS[ONE_CORE] = dict(one_core=True)
UNSET = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")  # what a contestant chooses itself
ARRAYS = ("ids", "offsets", "first", "labels")
SEEN = ("threads", "spins", "other_load")  # what the first process of a turn says of itself
BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # it ends with the benchmark
ON_ONE = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"  # as `taskset -c 0`


def plan(settings, *, seconds: float = 0, rounds: int = 0) -> dict:
    """Seconds of a turn, rounds, and pairs to train on, again and again. `quick` shows that it works."""
    quick = settings.profile == "quick"
    check_number("seconds", seconds, least=0)
    return {"seconds": seconds or (0.5 if quick else 10.0),
            "rounds": whole_number("rounds", rounds, 0) or (1 if quick else 5), "pairs": 50 * settings.batch_size}


def contest(settings, plan: dict) -> Outcome:
    """All contestants take turns, each in processes of its own."""
    from seo_core.models.backbone import model_info
    from seo_core.training import TrainingConfig

    task, make, network, encoded = ground(settings, plan)
    pairs = encoded(task["train"].head(plan["pairs"]))
    config = TrainingConfig.from_settings(settings, epochs=10_000)  # until the time is up
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pairs.npz"
        np.savez(place, pad_id=pairs.pad_id, **{name: getattr(pairs, name) for name in ARRAYS})
        job = {"pairs": str(place), "make": make, "seconds": plan["seconds"], "config": asdict(config)}
        can = hasattr(os, "sched_setaffinity")
        contestants = {name: partial(turn, job, **how) for name, how in CONTESTANTS.items() if can or name != ONE_CORE}
        turns = interleave(contestants, rounds=plan["rounds"])
    table = summarize(turns)
    metrics = {"other_load": table.at[ALONE, "other_load"]}
    metrics |= {f"kept {name}": table.at[name, "ratio"] for name in (BESIDE, TWO) if name in table.index}
    if ALONE + SPINNING in table.index:
        rates = by_round(turns, "rate")
        metrics["lost alone"] = float(1 - (rates[ALONE] / rates[ALONE + SPINNING]).mean())
    return Outcome(turns=turns, table=table, task=task, model_info=model_info(network, settings.model), metrics=metrics,
                   parameters={"plan": plan, "training": config})


def turn(job: dict, seed: int, *, trainings: int = 1, busy: bool = False, spinning: bool = False,
         spins: int | None = None, one_core: bool = False) -> list[dict]:
    """One turn: rate (pairs a second of all trainings together), threads and spins of each (NaN: not told), and
    other_load, the cores that others used as the first of them saw it. spinning: as torch lets them by default; spins:
    so many times; else as the package starts them. Raises RuntimeError with the last words of a training that failed.
    """
    order = ["import torch"] * spinning + [ON_ONE] * one_core  # once torch is there, seo_core sets nothing
    code = "\n".join([*order, "from seo_core.bench.neighbours import train", "train()"])
    package = str(Path(__file__).resolve().parents[2])
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    if spins is not None:
        environment |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(spins)}
    elif not spinning:
        environment |= side_by_side(trainings)
    said = json.dumps({**job, "config": {**job["config"], "seed": seed}})
    neighbours = [subprocess.Popen([sys.executable, "-c", BUSY])] if busy else []  # first: a training sees it at start
    processes = [subprocess.Popen([sys.executable, "-c", code, said], env=environment, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(trainings)]
    try:
        for process in processes:
            _line(process)  # it is warm
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [json.loads(_line(process)) for process in processes]
    finally:
        for process in processes + neighbours:
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                pipe.close()
    return [{"rate": sum(answer["examples"] / answer["seconds"] for answer in answers),
             **{name: answers[0][name] for name in SEEN}}]


def _line(process: subprocess.Popen) -> str:
    """The next line that a training prints."""
    if line := process.stdout.readline():
        return line
    words = [line for line in process.stderr.read().splitlines() if line.strip()]
    raise RuntimeError(f"a training of the benchmark ended: {words[-1] if words else 'it said nothing'}")


def train() -> None:
    """What a contestant's process does: trains, says that it is warm, waits for the word, and measures from there."""
    import torch

    from seo_core.data import Encoded
    from seo_core.machine import OtherLoad
    from seo_core.models import load_backbone
    from seo_core.training import TrainingConfig, fit

    job, clock = json.loads(sys.argv[1]), {}
    with np.load(job["pairs"]) as kept:
        pairs = Encoded(**{name: kept[name] for name in ARRAYS}, pad_id=int(kept["pad_id"]))
    network, _ = load_backbone(**job["make"])

    def watch(event: str, state) -> bool:
        if event != "step" or state.step < WARMUP_STEPS:
            return False
        if not clock:
            print("warm", flush=True)
            if not sys.stdin.readline():
                raise SystemExit("the benchmark is gone")
            clock.update(began=time.perf_counter(), first=state.examples, others=OtherLoad())
            return False
        clock.update(seconds=time.perf_counter() - clock["began"], examples=state.examples - clock["first"])
        return clock["seconds"] >= job["seconds"]

    fit(network, pairs, config=TrainingConfig(**job["config"]), callbacks=[watch], progress=False)
    print(json.dumps({"examples": clock["examples"], "seconds": clock["seconds"], "threads": torch.get_num_threads(),
                      "spins": float(os.environ.get("GOMP_SPINCOUNT", "nan")),
                      "other_load": clock["others"].cores()}), flush=True)


def summarize(turns):
    """A row for each contestant: pairs_per_second (median of the turns), ratio to the training alone of the same
    round, a mean with its 95% interval (absent with one round), rounds, threads, and the means of spins and other_load.
    """
    import pandas as pd

    from seo_core.analysis.statistics import mean_interval

    rates = by_round(turns, "rate")
    ratios = rates.div(rates[ALONE], axis=0)
    table = pd.DataFrame([mean_interval(ratios[name])[:4] for name in ratios], index=rates.columns,
                         columns=["ratio", "ratio_low", "ratio_high", "rounds"])
    table.insert(0, "pairs_per_second", rates.median())
    shared = turns.groupby("contestant", sort=False)[list(SEEN)].mean()
    return table.join(shared.astype({"threads": int}))


def shares(records: list[dict]):
    """Contestants of the benchmark's records for a page: their share of the speed alone, and spins where a record has
    them; without records one row."""
    import pandas as pd

    rows = [{"training": name, "share of the speed alone": f"{values['ratio']:.2f}",
             "95% interval": (f"{values['ratio_low']:.2f} to {values['ratio_high']:.2f}" if "ratio_low" in values
                              else "—"), "turns": int(values["rounds"]), "threads": int(values["threads"]),
             "spins": f"{values['spins']:.0f}" if "spins" in values else None,
             "cpu": record["provenance"]["machine"]["cpu"], "record": record["path"],
             "quiet machine": "yes" if record["metrics"].get("other_load", 1.0) <= 0.1 else "no"}
            for record in records for name, values in record.get("contestants", {}).items()]
    return pd.DataFrame(rows or [{"training": "not measured here yet"}]).dropna(axis=1, how="all").fillna("—")
