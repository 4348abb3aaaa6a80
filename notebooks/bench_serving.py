# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Benchmark: engines, servers and files
#
# You take the small model with you. Is it faster than what a few library calls make of the whole network? How many can ask a server at once? What does a million rows cost beside the network itself?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # what is served here is for NLI: generated pairs
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go

# %% tags=["hide-input"]
from seo_core import bench, figures, load_settings, results
from seo_core.analysis.findings import Contest, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import engines, scoring, serving

settings = load_settings(
    profile, seed=seed, data="embedded", model=model, results_dir=results_dir)
recorded = results.reference_dir() / "cpu" / "bench_serving"

# %% tags=["record", "answer", "remove-input"]
NAMES = ("engines", "serving", "scoring")
raced, served, filed = (Contest("bench_serving", name) for name in NAMES)
older, served_older, filed_older = (
    Contest("bench_serving", name, vnni=False) for name in NAMES)
Finding(f"""
The larger artifact (`reference`)
{raced.told('reference', 'ratio_32')} the fastest stock int8 of the whole
network in batches of 32: {raced.value('reference', 'ratio_32',
unit=' times')} its speed. On a single pair it is
{raced.value('reference', 'ratio_1', unit=' times')}. The server answers
{served.value('ours', 'ratio_pipeline', unit=' times')} the pairs of a
`pipeline`, and {served.value('ours', 'ratio_alone', unit=' times')} those of
the same file one request at a time. `score` reads, tokenizes and writes at
{filed.value('score, one process', scale=100, digits=0, unit='%')} of the speed
of the bare network. Brackets span the rounds. The machines: {raced.machine};
of the server, {served.machine}.

On a processor without VNNI the artifact has in batches
{older.value('reference', 'ratio_32', unit=' times')} the speed of the rival,
and on a single pair
{older.value('reference', 'ratio_1', unit=' times')}.""")

# %% mystnb={"figure": {"caption": "How many times as fast each file is as the fastest stock int8 of the baseline, in batches of 32 (reference run). Whiskers span the rounds.", "name": "fig-bench-engines-reference"}, "image": {"alt": "Horizontal bars: four stock recipes at one or below, the two artifacts of the book to the right of them. Without records it says not run."}} tags=["record", "hide-input"]
bars = raced.frame.rename(columns=lambda name: name.replace("_32", ""))
_ = figures.ratio_bars(bars, "times the speed of the fastest stock int8")

# %% [markdown]
# ## The idea: name the rival
#
# A ratio is worth as much as the rival in its denominator. "Several times as fast as {term}`int8`" is easily said of the slowest int8 there is. So the baseline is quantized by four stock recipes, as the libraries' own documentation has them:
#
# - ONNX Runtime's `quantize_dynamic` with one scale per tensor, after its fusion for BERT;
# - the same with one scale per channel;
# - ONNX Runtime's `quantize_static`;
# - NNCF's `quantize`, which OpenVINO compiles for latency.
#
# An artifact is compared with the *fastest* of them, at 32 pairs and at one. All take turns on the same pairs: A B C A B C. If the machine slows down for a minute, it does so for all. A ratio within a round therefore holds, whatever else the machine did; seconds hold only where they were measured.
#
# ## The engine, on your machine
#
# You run the same with an untrained baseline, which computes as much. `ms_32` and `ms_1` are the milliseconds for 32 pairs and for one; `ratio_32` and `ratio_1` are the speed as a multiple of the fastest stock recipe's. On the command line it is `python -m seo_core.run bench engines`.

# %% tags=["nbval-ignore-output", "live"]
live = bench.measure(
    "engines", settings, untrained=True, rounds=2, batches=2)
shown = live.table[["ms_32", "ratio_32", "ms_1", "ratio_1"]]
Table(shown.round(2), index=True)

# %% [markdown]
# Two batches are a **toy**. Look at the order, and take `profile="cpu"` for numbers. Two rows may well have changed places against the record: which recipe is fastest depends on the batch and on the processor. One with VNNI multiplies bytes in one instruction, an older one in three.
#
# :::{dropdown} So who decides?
# `seo_core.load(folder, engine="auto")` measures instead of assuming. It gives ONNX Runtime and OpenVINO half a second, and takes the faster one, if both say the same on 99.9% of the check pairs. <!-- setting --> These are the artifact's own, where `compress --check 1000` put some of your held-out texts there, and else generated ones. `serve` and `score` take `--engine auto` too.
#
# It measures only files that OpenVINO can run: `compress --operators standard` writes them. The default has fused operators of ONNX Runtime's own; OpenVINO takes one of these for another and stops at the first batch. For such a file, like the two of the book, `auto` is ONNX Runtime.
#
# Speed is not all that one may ask. Processors round the last digit of a float differently, and in one answer of a hundred that shows. `engine="exact"` gives the same answer on all of them, and in [a browser](../book/in_the_browser.md), in two to three times the time.
# :::
#
# ## The server, on your machine
#
# Ours, the same artifact one request at a time, and a `pipeline` of transformers with the whole network. All three sit behind FastAPI and uvicorn. They are asked one pair a request, by more and more clients from another process. What counts is the most pairs a second at which 95 of 100 answers take at most 100 ms. On the command line: `python -m seo_core.run bench serving`.

# %% tags=["nbval-ignore-output", "live"]
servers = bench.measure(
    "serving", settings, seconds=0.4, clients=(1, 8), rounds=1)
Table(servers.table[
    ["pairs_per_second", "latency_ms_p95", "seconds_to_ready",
     "megabytes_worker", "errors"]].round(1), index=True)

# %% [markdown]
# **Check.** Times are reported and not tested. What must hold is that every contestant had the same work, and did it. All files answer the same pairs in every round, and no server answers with an error.

# %% tags=["live"]
work = live.turns.groupby(["contestant", "size"])["batch"].count().unstack()
assert (work.nunique() == 1).all() and servers.table["errors"].sum() == 0
print("equal batches, and no request was refused:",
      *servers.table.index, sep="\n")

# %% [markdown]
# ## What the papers report
#
# No paper compares engines or servers. A row of theirs is one latency of one network, without a word on what ran it; [](tab3_inference_speed) is about that. Stock recipes are the usual rivals elsewhere, and often only one of them.
#
# ## What the records say
#
# A file that is fast and wrong is no rival. What did the speed cost?

# %% tags=["record", "remove-input"]
right = {name: raced.value(name, "accuracy", scale=100, unit="%")
         for name in ("OpenVINO, NNCF", "reference", "reference-small")}
fastest = {size: raced.frame[f"ms_{size}"].reindex(engines.STOCK).idxmin()
           if len(raced.frame) else "not run" for size in engines.SIZES}
Finding(f"""
Of the development pairs that no network has trained on, `reference` is right
on {right['reference']}, NNCF's stock int8 on {right['OpenVINO, NNCF']}.
`reference-small` has
{raced.value('reference-small', 'ratio_32', unit=' times')} the speed of the
rival in batches, and is right on {right['reference-small']}. Of the stock
recipes the fastest in batches is "{fastest[32]}", and on one pair
"{fastest[1]}".""")

# %% tags=["record", "hide-input"]
Table(engines.report(recorded), folded="all engines: bytes, accuracy, times")

# %% tags=["record", "hide-input"]
Table(engines.report(recorded, vnni=False),
      folded="the same without VNNI, of an untrained baseline")

# %% [markdown]
# Was that asked for? Twice the rival's speed with VNNI, and two and a half times without, in batches and on a single pair: these were the targets. <!-- setting -->

# %% tags=["record", "remove-input"]
Finding("; ".join(
    f"{words}: {race.met('reference', 'ratio_32', least=least)} in batches, "
    f"{race.met('reference', 'ratio_1', least=least)} on one pair"
    for words, race, least in (("With VNNI", raced, 2),
                               ("without", older, 2.5))) + ".")

# %% [markdown]
# And the servers? A *worker* is the largest process of a server.

# %% tags=["record", "hide-input"]
Table(serving.report(recorded))

# %% tags=["record", "remove-input"]
Finding(f"""
What was asked for beforehand, and what came out. Five times the pipeline:
{served.value('ours', 'ratio_pipeline', unit=' times')},
{served.met('ours', 'ratio_pipeline', least=5)}. Twice the same file one
request at a time: {served.value('ours', 'ratio_alone', unit=' times')},
{served.met('ours', 'ratio_alone', least=2)}. Ready within two seconds:
{served.value('ours', 'seconds_to_ready', unit=' s')},
{served.met('ours', 'seconds_to_ready', most=2)}. At most 250 MB a worker:
{served.value('ours', 'megabytes_worker', unit=' MB', digits=0)},
{served.met('ours', 'megabytes_worker', most=250)}. How much could any
server gain?
With no server at all, the engine answers in batches
{served.value(serving.BATCHED, 'ratio_alone', unit=' times')} the pairs of the
one that takes a request at a time. Without VNNI that is
{served_older.value(serving.BATCHED, 'ratio_alone', unit=' times')}; ours has
{served_older.value('ours', 'ratio_alone', unit=' times')} there (twice:
{served_older.met('ours', 'ratio_alone', least=2)}) and
{served_older.value('ours', 'ratio_pipeline', unit=' times')} those of the
pipeline.""")

# %% [markdown]
# A server that is asked all day must not grow:

# %% tags=["record", "remove-input"]
soak = Evidence("bench_serving")
count = {name: soak.mean("serving", f"soak_{name}", scale=1, unit="", digits=0)
         for name in ("requests", "errors")}
Finding(f"""
{count['requests']} requests, {count['errors']} errors; between a tenth of the
requests and the last one the memory of all its processes changed by
{soak.mean('serving', 'soak_drift')}. No error and less than 5% were asked
for.""")

# %% [markdown]
# Last, rows in files: `python -m seo_core.run bench scoring`. `score` reads, cuts words into tokens, sorts by length, and writes whole parts. *ONNX Runtime alone* has none of this to do: its batches lie ready.

# %% tags=["record", "remove-input"]
Finding(f"""
One process scores {filed.value('score, one process', 'pairs_per_second',
digits=0, unit=' pairs')} a second,
{filed.value('score, one process', scale=100, digits=0, unit='%')} of the bare
network's {filed.value('ONNX Runtime alone', 'pairs_per_second', digits=0)}; a
process for each core reaches
{filed.value('score, a process for each core', scale=100, digits=0, unit='%')}.
The target of 90% is {filed.met('score, one process', least=0.9)} by the one
and {filed.met('score, a process for each core', least=0.9)} by the other.
Without VNNI it is
{filed_older.value('score, one process', scale=100, digits=0, unit='%')} and
{filed_older.value('score, a process for each core', scale=100, digits=0,
                   unit='%')}. What a file costs beside its network, a thread
does while the network runs; a turn takes a minute, in which a machine may
speed up or slow down, so that a share can exceed 100.""")

# %% tags=["record", "hide-input"]
Table(scoring.report(recorded), folded="rows in files")

# %% [markdown]
# ## To remember
#
# - Name the rival: "faster than int8" means the fastest int8 that one call makes, on this processor, at this batch.
# - With a small network the server's own work shows. Batches save time in the network, further processes in Python.
# - Promise a rate together with its 95th percentile.
#
# ## Exercises
#
# **1.** How many clients at once does each server bear, with 95 of 100 answers within 100 ms? Ask yours with `clients=(64,)`.

# %% tags=["hide-cell", "record"]
names = ("ours", serving.ALONE, serving.PIPELINE)
borne = [f"*{name}*: {served.value(name, 'clients', digits=0)} clients, "
         f"{served.value(name, 'latency_ms_p95', unit=' ms', digits=0)}"
         for name in names]
Finding(f"""
Each is at its best, in the reference run, with {'; '.join(borne)} at the 95th
percentile. A server that takes one request at a time has a queue as long as
the number of clients, and the last of them waits for all the others. On yours:
`python -m seo_core.run bench serving --clients 64`.""")

# %% [markdown]
# **2.** Give every engine one thread. Does the same recipe win?
#
# :::{dropdown} Answer
# In batches yes, on one pair not surely. On two cores of an AMD EPYC, with the two batches of `quick`, OpenVINO's file stayed ahead in batches, with two threads and with one, whenever we tried. On one pair the two dynamic recipes changed places from try to try. `python -m seo_core.run bench engines --threads 1 --profile cpu` asks your machine for longer.
# :::
#
# **3.** `score` with a process for each core: what does it gain over one process, and why not as much as there are cores?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
rows = bench.measure("scoring", settings, rows=2000, rounds=1).table
print(rows["pairs_per_second"].round(0).to_string())
print("threads of one session wait for each other after every operator,",
      "processes never do; but each must start, and a short file does not",
      "pay for that", sep="\n")
