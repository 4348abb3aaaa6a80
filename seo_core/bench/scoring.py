"""Benchmark of scoring files: what reading, tokenizing and writing cost beside the network itself.

    python -m seo_core.run bench scoring --profile cpu --data path/to/mnli --rows 100000

The same rows, training pairs of the task (again and again where there are more rows than pairs), three ways in turn:
ONNX Runtime alone on batches of like length that lie ready, which is as fast as the artifact can go with two threads;
`score` of a parquet file in one process; and in one process for each core. pairs_per_second: rows over seconds of the
whole call, for the last two with their start. ratio: to ONNX Runtime alone, round by round.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from seo_core.bench.turns import Outcome, by_round, interleave, newest_table, ranged, seconds, spread
from seo_core.checks import SettingsError, check_number

EXPERIMENT, RECORD = "bench_serving", "scoring"
OPTIONS = {"artifact": dict(metavar="DIR", help="what scores (default: reference)"),
           "rows": dict(type=int, help="of the file (default: 20000; under quick 500)"),
           "rounds": dict(type=int, help="turns of each (default: 2; under quick 1)")}
ALONE, ONE, ALL = "ONNX Runtime alone", "score, one process", "score, a process for each core"


def plan(settings, *, artifact: str | None = None, rows: int | None = None, rounds: int | None = None) -> dict:
    """How many rows, how often. Raises SettingsError."""
    quick = settings.profile == "quick"
    given = {"artifact": artifact or "reference", "rows": 500 if quick else 20_000, "rounds": 1 if quick else 2}
    given |= {name: value for name, value in (("rows", rows), ("rounds", rounds)) if value is not None}
    for name in ("rows", "rounds"):
        check_number(name, given[name], least=1, whole=True)
    return given


def contest(settings, plan: dict) -> Outcome:
    """The three ways in turn."""
    import numpy as np

    import seo_core
    from seo_core.data import prepare
    from seo_core.deploy import artifact
    from seo_core.deploy.scoring import score
    from seo_core.machine import OtherLoad, cores
    from seo_core.models import load_backbone, model_info

    folder, task = artifact.locate(plan["artifact"]), prepare(settings)
    model = seo_core.load(folder)
    if len(model.names) != len(task.texts):
        raise SettingsError(f"the artifact {folder.name} reads {len(model.names)} texts, and the task has "
                            f"{len(task.texts)}")
    about = model_info(load_backbone(settings.model, num_labels=len(task.labels))[0], settings.model)
    frame = task["train"][list(task.texts)].set_axis(model.names, axis=1)
    frame = frame.iloc[np.resize(np.arange(len(frame)), plan["rows"])]
    encoded, _ = model.read(list(zip(*(frame[name] for name in model.names), strict=True))
                            if len(model.names) == 2 else frame[model.names[0]].tolist())
    ready = [encoded.arrays(rows) for rows in encoded.batches(32)]
    with tempfile.TemporaryDirectory() as place:
        data, parts = Path(place) / "rows.parquet", max(1, -(-plan["rows"] // 10))
        frame.to_parquet(data, index=False)

        def alone(number: int) -> list[dict]:
            return [{"seconds": seconds(lambda: [model.run(batch) for batch in ready])}]

        def file(number: int, processes: int) -> list[dict]:
            out = Path(place) / f"{processes}-{number}"
            return [{"seconds": seconds(score, folder, data, out, processes=processes, part_rows=min(parts, 10_000))}]

        others = OtherLoad()
        ways = {ALONE: alone, ONE: lambda number: file(number, 1), ALL: lambda number: file(number, cores())}
        turns = interleave(ways, rounds=plan["rounds"])
        load = others.cores()
    table = by_round(turns, "seconds").rdiv(plan["rows"])
    table = table.median().to_frame("pairs_per_second").join(spread(table.div(table[ALONE], axis=0), "ratio"))
    return Outcome(turns=turns, table=table, task=task, model_info=about,
                   metrics={"other_load": load, "rows": plan["rows"]}, parameters={**plan, "artifact": folder.name})


COLUMNS = ("way", "pairs a second", "times ONNX Runtime alone")


def report(*folders, **which):
    """The record that `results.newest` takes, as a table for a page; one row, "not run", where there is none."""
    return newest_table(RECORD, COLUMNS, lambda name, values: (
        name, f"{values['pairs_per_second']:.0f}", ranged(values, "ratio")), folders, **which)
