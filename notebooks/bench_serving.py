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
# **What came out** (tables below). With VNNI the larger artifact is twice as fast as the fastest stock int8 of the whole network in batches, and three times on a single pair. The server answers more than ten times what a `pipeline` does, and less than twice what the same file does one request at a time: there the work is no longer the network's. Scoring a file costs an eighth beside the network.
#
# Three questions of whoever takes the model away. Is it faster than what a few library calls make of the whole network? How many can ask a server at once
# before they wait? And what does a million rows cost beside the network itself? The committed records answer first; below them the same measurements run live, small, on your machine.
#
# A ratio is worth as much as the rival in its denominator. So the baseline is rounded to int8 by four stock recipes, and an artifact is compared with the *fastest* of them, at 32 pairs and at one.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; what is served here is for NLI, so the live pairs are the generator's
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go

# %% tags=["hide-input"]
from seo_core import bench, figures, load_settings, results
from seo_core.analysis.tables import Table
from seo_core.bench import engines, scoring, serving

settings = load_settings(profile, seed=seed, data="embedded", model=model, results_dir=results_dir)
recorded = results.reference_dir() / "cpu" / "bench_serving"

# %% [markdown]
# ## The engine
#
# `python -m seo_core.run bench engines`. The recipes are those of the libraries' own documentation: ONNX Runtime's `quantize_dynamic`, one scale per tensor or one per channel, after its fusion for BERT; its `quantize_static`; and NNCF's `quantize`, which OpenVINO compiles for latency. Accuracy stands beside the times, since a file that is fast and wrong is no rival. The brackets span the rounds.

# %% tags=["record", "hide-input"]
Table(engines.report(recorded))

# %% [markdown]
# Which recipe is fastest hangs on the batch and on the processor: one with VNNI multiplies bytes in one instruction, an older one in three. `seo_core.load(folder, engine="auto")` therefore measures instead of assuming: it gives ONNX Runtime and, for files of standard operators, OpenVINO half a second and takes the faster one, if it says the same on 99.9% of the artifact's check pairs.
#
# ## The server
#
# `python -m seo_core.run bench serving`. All three sit behind FastAPI and uvicorn and are asked one pair a request, by more and more clients from another process. What counts is the most pairs a second at which 95 of 100 answers take at most 100 ms.

# %% tags=["record", "hide-input"]
Table(serving.report(recorded))

# %% [markdown]
# "A worker" is the largest process of the server: PyTorch is not in ours. A server that is asked 100 000 times must not grow:

# %% tags=["record", "hide-input"]
soaked = bench.turns.newest(serving.RECORD, recorded)["metrics"]
print("{soak_requests:.0f} requests, {soak_errors:.0f} errors, memory {soak_drift:+.1%}".format(**soaked) if "soak_drift" in soaked else "not run yet")

# %% [markdown]
# ## Rows in files
#
# `python -m seo_core.run bench scoring`. `score` reads, cuts words into tokens, sorts by length, and writes whole parts. The first row has none of this to do, so what is missing to one is what a file costs beside its network.

# %% tags=["record", "hide-input"]
Table(scoring.report(recorded))

# %% [markdown]
# ## Live, on your machine
#
# The same, with an untrained baseline, which computes as much, and a second of load. Small runs on a busy machine say little; look at the order, and rerun with `profile="cpu"` for numbers.

# %% tags=["nbval-ignore-output", "live"]
live = bench.measure("engines", settings, untrained=True, rounds=2, batches=2)
Table(live.table[["ms_32", "ratio_32", "ms_1", "ratio_1"]].round(2), index=True)

# %% mystnb={"figure": {"caption": "How many times as fast each file is as the fastest stock int8 of the baseline, here and now, in batches of 32. The whiskers span the rounds.", "name": "fig-bench-engines"}, "image": {"alt": "Horizontal bars: the stock recipes at one or below, the two artifacts of the book to the right of them."}} tags=["live"]
bars = live.table.rename(columns=lambda name: name.replace("_32", ""))
_ = figures.ratio_bars(bars, "speed relative to the fastest stock int8")

# %% tags=["nbval-ignore-output", "live"]
servers = bench.measure("serving", settings, seconds=0.4, clients=(1, 8), rounds=1)
Table(servers.table[["pairs_per_second", "latency_ms_p95", "seconds_to_ready", "megabytes_worker", "errors"]].round(1), index=True)

# %% [markdown]
# **Check.** Times are reported and not tested. What must hold is that every contestant had the same work, and did it: all files answer the same pairs in every round, and no server answered with an error.

# %% tags=["live"]
work = live.turns.groupby(["contestant", "size"])["batch"].count().unstack()
assert (work.nunique() == 1).all() and servers.table["errors"].sum() == 0
print("equal batches, and no request was refused:", *servers.table.index, sep="\n")

# %% [markdown]
# **To remember**
#
# - Name the rival: "faster than int8" means the fastest int8 that one call makes, on this processor, at this batch.
# - A small network leaves the server's own work in sight. Batching pays for that of the network; processes for that of Python.
# - Promise a rate together with its 95th percentile.
#
# ## Exercises
#
# 1. Ask with `clients=(64,)`. Which server keeps its 95th percentile below 100 ms?
# 2. Run `bench engines --threads 1`. Does the same recipe win?
# 3. Why is `score` with a process for each core faster than ONNX Runtime with all cores in one?
#
# ```{dropdown} Answers
# 1. Ours answers in batches of four and holds it on two cores; the other two have a queue in front of each request, and its length is the number of clients.
# 2. Try it: what wins at two threads may lose at one, as OpenVINO and ONNX Runtime share a batch among threads differently.
# 3. Two threads of one session wait for each other after every operator. Two sessions with a thread each never do.
# ```
