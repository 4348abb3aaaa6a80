"""Benchmark of scale: one and two processes, 1 000 to 100 000 pairs, networks from BERT-Tiny to BERT-Base.

    outcome = bench.measure("scalability", settings, rounds=3)
    outcome.table                                                 # ms a pair of each, and what of it is a model
    python -m seo_core.run bench scalability --profile cpu --data embedded

Processes are compared on the same pairs and the same batch: one process on one core, two on a core each, which share
every batch, and one on two cores, the other way to use them. Data and networks are measured in one process on all
cores. What more processes would take is no measurement but a model, that of a ring (Sergeev & Del Balso 2018, section
3), fitted through the first two:

    t(p) = t(1) / p + 2 (p − 1) / p · c,    c = t(2) − t(1) / 2, at least 0

Computing is divided by p. Of a gradient of G bytes each process sends 2 (p − 1) / p · G, so that two send G, in c.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from seo_core.bench.turns import Outcome, by_round, ground, interleave, rounds_of, seconds, spread
from seo_core.checks import SettingsError, check_known, whole_number

EXPERIMENT, RECORD = "bench_scalability", "scalability"
OPTIONS = {"pairs": dict(type=int, help="training pairs of the turns that compare processes (0: as the profile says)"),
           "most": dict(type=int, help="training pairs of the largest amount of data (0: as the profile says)"),
           "rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}
ONE, TWO, WIDE = "1 process, 1 core", "2 processes, 1 core each", "1 process, 2 cores"
AMOUNTS = (1000, 3000, 10_000, 30_000, 100_000)
SIZES = {"BERT-Tiny": (2, 128), "BERT-Mini": (4, 256), "BERT-Small": (4, 512), "BERT-Medium": (8, 512),
         "BERT-Base": (12, 768), "BERT-Large": (24, 1024)}  # layers, width: Turc et al. 2019; Devlin et al. 2019
EXCHANGES = 5  # of a gradient, after two processes have trained


def plan(settings, *, rounds: int = 0, pairs: int = 0, most: int = 0) -> dict:
    """Rounds, and pairs of each turn. `quick` shows that it works, with the first two layers. A turn of a network size
    has few pairs: BERT-Base takes a quarter of a second for one on two cores. BERT-Large, which with its optimizer
    takes more than 5 GB, is left out."""
    quick = settings.profile == "quick"
    pairs = whole_number("pairs", pairs, 0) or (8 * settings.batch_size if quick else 4000)
    most = whole_number("most", most, 0) or (32 * settings.batch_size if quick else AMOUNTS[-1])
    amounts = [most // 4, most] if quick else [n for n in AMOUNTS if n < most] + [most]
    return {"rounds": whole_number("rounds", rounds, 0) or (1 if quick else 3), "pairs": pairs, "most": most,
            "amounts": tuple(max(1, n) for n in amounts), "sizes": tuple(SIZES)[: 2 if quick else 5],
            "size_pairs": 2 * settings.batch_size if quick else 256, **({"layers": 2} if quick else {})}


def network(name: str, *, classes: int = 3, vocabulary: int = 30_522):
    """A BERT classifier of one of SIZES with random weights: for shapes and times, not for accuracies. Heads are 64
    wide, the layers' middle four times as wide as the network. Raises SettingsError for another name."""
    from transformers import BertConfig, BertForSequenceClassification

    check_known("size", name, SIZES)
    layers, width = SIZES[name]
    return BertForSequenceClassification(BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        intermediate_size=4 * width, num_labels=classes))


def contest(settings, plan: dict) -> Outcome:
    """One and two processes, amounts of data and sizes of networks take turns."""
    from seo_core import distributed
    from seo_core.machine import cores
    from seo_core.models.backbone import model_info
    from seo_core.training import TrainingConfig

    task, make, backbone, encoded = ground(settings, plan, train_rows=max(plan["pairs"], plan["most"]))
    train = encoded(task["train"])
    config = TrainingConfig.from_settings(settings, epochs=1)
    if config.batch_size % 2:
        raise SettingsError(f"two processes cannot share batches of {config.batch_size}: use an even batch_size")

    def job(name: str, pairs: int, **about) -> dict:
        return dict(contestant=name, train=train.take(slice(pairs)), config=config, make=make, **about)

    amounts = sorted({min(n, len(train)) for n in plan["amounts"]})
    wide = [job(WIDE, plan["pairs"], processes=1, threads=2)] if cores() > 1 else []
    data = [job(f"{n:,} pairs".replace(",", "\u00a0"), n, data=n) for n in amounts]
    sizes = [job(size, plan["size_pairs"], size=size, classes=len(task.labels),
                 vocabulary=backbone.config.vocab_size) for size in plan["sizes"]]
    contestants = {
        ONE: lambda seed: measured([job(ONE, plan["pairs"], processes=1, threads=1)], seed, threads=1),
        TWO: lambda seed: distributed.launch(  # new processes of one thread each, as the first of them sees it
            measured, [job(TWO, plan["pairs"], processes=2, threads=1)], seed, processes=2)[0],
        WIDE: lambda seed: measured(wide, seed, threads=2) if wide else [],
        "amounts": lambda seed: measured(data, seed), "sizes": lambda seed: measured(sizes, seed)}
    turns = interleave(contestants, rounds=plan["rounds"])
    table, rated = summarize(turns), turns.assign(rate=turns["examples"] / turns["seconds"])
    rates = {name: 1000 / table.at[name, "ms_per_pair"] for name in (ONE, TWO)}
    load = float(turns["other_load"].mean())
    return Outcome(turns=turns, table=table, task=task, model_info=model_info(backbone, settings.model),
                   metrics={"other_load": load, "speedup_2": rates[TWO] / rates[ONE], "flatness": flatness(table)},
                   parameters={"plan": plan, "training": config}, inputs={"train": train},
                   configurations={f"data-parallel-{count}": {"metrics": {
                       "examples_per_second": rates[name], "train_examples": min(plan["pairs"], len(train)),
                       "other_load": load}, "series": rounds_of(rated, name, examples_per_second="rate")}
                       for count, name in ((1, ONE), (2, TWO))})


def measured(jobs: list[dict], seed: int, threads: int | None = None) -> list[dict]:
    """A row for each job: seconds and examples of its training, parameters of its network, the load by others; of two
    processes exchange_ms, a gradient's exchange alone. The first job's first batch is trained once beforehand."""
    rows = []
    with _threads(threads):
        _fit({**jobs[0], "train": jobs[0]["train"].take(slice(jobs[0]["config"].batch_size))}, seed)
        for job in jobs:
            model, metrics = _fit(job, seed)
            row = {name: value for name, value in job.items() if name in ("contestant", "processes", "threads", "data")}
            trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
            row |= {"seconds": metrics["train_seconds"], "examples": metrics["train_examples"], "trained": trained,
                    "parameters": sum(p.numel() for p in model.parameters()), "sized": float("size" in job),
                    "other_load": metrics.get("other_load", np.nan)}
            if job.get("processes") == 2:
                row["exchange_ms"] = _exchange(trained)
            rows.append(row)
    return rows


def _fit(job: dict, seed: int) -> tuple:
    from seo_core.models.backbone import load_backbone
    from seo_core.training import fit

    model = (network(job["size"], classes=job["classes"], vocabulary=job["vocabulary"]) if "size" in job else
             load_backbone(**job["make"], seed=seed)[0])
    return model, fit(model, job["train"], config=replace(job["config"], seed=seed), progress=False).metrics


def _exchange(numbers: int) -> float:
    """Milliseconds, the median, of summing so many fp32 numbers over the processes."""
    import torch

    from seo_core import distributed

    gradient = torch.zeros(numbers, device=distributed.accelerator().device)
    times = []
    for _ in range(EXCHANGES):
        torch.distributed.barrier()
        times.append(1000 * seconds(torch.distributed.all_reduce, gradient))
    return float(np.median(times))


@contextlib.contextmanager
def _threads(count: int | None):
    """So many threads of torch meanwhile; None: as many as there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def summarize(turns):
    """A row for each contestant: ms a pair (median, lowest and highest of the rounds), pairs of a turn, parameters;
    what it is about: processes and threads, data (pairs), or sized (1: a network of SIZES). exchange_ms of two
    processes."""
    pace = by_round(turns.assign(ms=1000 * turns["seconds"] / turns["examples"]), "ms")
    about = [name for name in ("examples", "parameters", "trained", "sized", "processes", "threads", "data",
                               "exchange_ms") if name in turns]
    table = spread(pace, "ms_per_pair").join(turns.groupby("contestant", sort=False)[about].median())
    return table.assign(rounds=pace.count())


def modelled(one: float, two: float, processes) -> np.ndarray:
    """t(p) in ms a pair, of t(1) and t(2): see above."""
    p, c = np.asarray(processes, dtype=float), max(0.0, two - one / 2)
    return one / p + 2 * (p - 1) / p * c


def flatness(table) -> float:
    """ms a pair at the largest amount of data, of those at the smallest: 1 where a pair costs the same."""
    data = table.dropna(subset=["data"]).sort_values("data")["ms_per_pair"]
    return float(data.iloc[-1] / data.iloc[0])


def panels(table) -> tuple:
    """The three frames of `figures.scalability`, of a table of `summarize`: processes, data, sizes."""
    import pandas as pd

    if table.empty:
        return (pd.DataFrame(),) * 3
    table = table.rename(columns={"ms_per_pair": "ms", "ms_per_pair_low": "low", "ms_per_pair_high": "high"})
    known, p = table.loc[[ONE, TWO]], np.array([1, 2, 4, 8, 16])
    processes = pd.DataFrame({"x": p, "ms": modelled(*known["ms"], p), "perfect": known.at[ONE, "ms"] / p,
                              "measured": p <= 2}).join(known[["low", "high"]].reset_index(drop=True))
    data = table.dropna(subset=["data"]).assign(x=lambda rows: rows["data"]).sort_values("x")
    sizes = table[table["sized"] == 1].assign(x=lambda rows: rows["parameters"] / 1e6).sort_values("x")
    return processes, data, sizes


def page(table):
    """`summarize` for reading, with the model of 4 and 16 processes below; without rows one, "not run"."""
    from seo_core.analysis.tables import rows_or

    titles = ["contestant", "ms a pair", "lowest", "highest", "pairs", "weights, M", "how"]
    rows = [(name, *(f"{row[f'ms_per_pair{end}']:.2f}" for end in ("", "_low", "_high")),
             f"{row['examples']:,.0f}".replace(",", "\u00a0"), f"{row['parameters'] / 1e6:.1f}", "measured")
            for name, row in table.iterrows()]
    if {ONE, TWO} <= set(table.index):
        for p, ms in zip((4, 16), modelled(*table.loc[[ONE, TWO], "ms_per_pair"], (4, 16)), strict=True):
            rows.append((f"{p} processes, 1 core each", f"{ms:.2f}", "–", "–", "–", "–", "model"))
    return rows_or(rows, titles if rows else titles[:1])
