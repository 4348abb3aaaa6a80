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
# # Table 3: inference speed
#
# How much sooner does a smaller model answer? The papers' third table has 150 ms a batch for BERT-base, 130 pruned, 110 distilled, 90 in int8, and 80 for all of it together {cite}`sec2025`. Quantized models are "twice" as fast {cite}`seollm2024`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the network
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text

# %% tags=["hide-input"]
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import display

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, papers, tables, tradeoff, verdicts
from seo_core.analysis.findings import Contest, Evidence, Finding
from seo_core.analysis.tables import Table, rows_or
from seo_core.arms import open_lab
from seo_core.bench import inference as bench_inference
from seo_core.bench import latency, live, measure, saturation
from seo_core.bench.inference import files
from seo_core.bench.latency import (
    CONTROL,
    PLAIN,
    QUICK,
    InferenceConfig,
    batches,
)
from seo_core.machine import cpu_support
from seo_core.quantization import ExportConfig, calibrate, export_onnx

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text)
FP32, MS = "ONNX Runtime fp32", "latency_ms_p50"
SHOWN = {FP32: "baseline, fp32", "prune": "half set to zero",
         "taylor-65": "units cut out", "kd": "distilled",
         PLAIN: "int8, the library's", "quant": "int8, ours",
         "sqd-taylor-65": "reference", "sqd-taylor-80": "reference-small"}
CLAIMS = tuple(
    claim for claim in verdicts.CLAIMS + verdicts.TABLE_CLAIMS
    if claim.id in ("h-speed", "h-quant2x", "bd-infer")
    or claim.id.endswith("-latency_ms"))

# %% tags=["hide-input"]
folder = results.reference_dir() / "cpu" / latency.EXPERIMENT
latest, record = latency.latest(folder)
capped, capped_record = latency.latest(folder, capped=True)
reference = results.load(results.reference_dir() / "cpu")
judged = verdicts.audit(reference, CLAIMS)
said = judged.set_index("claim")["verdict"]
ours = Evidence(latency.EXPERIMENT)
trained = Evidence(*tradeoff.CHAPTERS)

# %% tags=["hide-input"]
def over_library(name):
    """How many times as fast as the library's int8, over the rounds."""
    if name not in latest.index:
        return NOT_RUN
    ratio, low, high = latest.loc[name, [
        "speed_ratio", "speed_ratio_low", "speed_ratio_high"]]
    count = record["parameters"]["inference"]["rounds"]
    return f"{ratio:.1f} times ({low:.1f} to {high:.1f}, {count} rounds)"


def theirs(name):
    return f"{1 / papers.ratio_to_base('latency_ms', name):.1f} times"

# %% tags=["record", "answer", "remove-input"]
raced = Contest("bench_serving", "engines")
over = {rival: raced.times(rival, "reference", "ms_32")
        for rival in ("dynamic, per tensor", "dynamic, per channel")}
Finding(f"""
**Int8** makes the network {ours.ratio('base', 'quant', MS)} as fast as it is
in fp32. The papers have {theirs('quant')}: *{said['table-quant-latency_ms']}*.
**Distilled** into half of its layers it is {ours.ratio('base', 'kd', MS)} as
fast, theirs {theirs('kd')}: *{said['table-kd-latency_ms']}*. **Zeroed
weights** make it {ours.ratio('base', 'prune', MS)} as fast, theirs
{theirs('prune')}: *{said['table-prune-latency_ms']}*. The **combined system**,
theirs {theirs('seo')}: *{said['table-seo-latency_ms']}*.

A fair rival is not fp32, though, but the int8 file that two calls of the
library make. Ours is {over_library('quant')} as fast as that one. With units
cut out before (`sqd-taylor-65`, the book's *reference* model) it is
{over_library('sqd-taylor-65')} as fast. The library offers one scale per
channel, as here, or per tensor; in [](bench_serving) the *reference* is
{over['dynamic, per channel']} as fast as the one and
{over['dynamic, per tensor']} as the other. What it costs on the matched set,
also beside the uncompressed network after as much training:
{trained.price('sqd-taylor-65')}.""")

# %% mystnb={"figure": {"caption": "Milliseconds for a batch of 32 pairs on two threads (reference run). Bar and number: the median. The whisker ends at the batches of the longest texts.", "name": "fig-inference-reference"}, "image": {"alt": "Eight horizontal bars of median milliseconds per batch, the fastest on top: the book's two reference models, int8 of ours, units cut out, the library's int8, the distilled network, the baseline, and last the network with half of its weights at zero. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.latency_bars(
    latest[latest.index.isin(SHOWN)].rename(index=SHOWN))

# %% tags=["record", "hide-input"]
of_library = latency.stronger_control(latest)
Table(tables.speed_table(latest, of_library),
      folded=f"all {len(latest)} contestants of the reference run")

# %% tags=["record", "hide-input"]
there = set(trained.frame.get("configuration", ()))
prices = tables.both_differences(
    trained.frame, [name for name in SHOWN if name in there])
Table(prices.rename(index=SHOWN).reset_index(names="contestant")
      if len(prices) else rows_or([], ["contestant"]),
      folded="what each costs in accuracy: to base, to an equal control")

# %% [markdown]
# :::{dropdown} The eight bars, and all the other names
# - *baseline, fp32*: MiniLM-L6 as fine-tuned in [](09_pruning), exported by the library (`ONNX Runtime fp32`).
# - *half set to zero* (`prune`), *units cut out* (`taylor-65`) and *distilled* (`kd`, three of six layers) are fp32 networks that are exported in the same way. `…, our export` is the same network written by `seo_core.quantization.export`, as `onnx-fp32` is for the baseline.
# - *int8, the library's*: `torch.onnx.export`, then ONNX Runtime's `quantize_dynamic` (`control, not fused`). With the library's fusion pass between them it is `control`. Ratios are to the faster of the two. Both have one scale per channel; [](bench_serving) also has the file with one per tensor.
# - *int8, ours* (`quant`): the same weights, in int8 and dynamic as well, in a graph of our own. `static…`: with calibrated ranges.
# - *reference* and *reference-small* (`sqd-taylor-65`, `-80`): units cut out, then trained in int8 with a teacher. These come with the book.
# - A file with a vocabulary of its own (`vocabulary…`) reads the same pairs by its own tokenizer, so that its texts may be longer.
# - *Stands*: the difference in accuracy is more than chance among all of this page ({term}`Holm correction`).
# :::
#
# ## How to time a network
#
# A time depends on the batch, the lengths, the threads, and on what else the machine does. The papers give none of these but the batch, nor whether it was a CPU or a GPU. So let the contestants take turns *in one process*: A B C A B C, the same pairs in the same batches, after a warm-up. The milliseconds of two runs cannot be compared; the ratios within a run can.
#
# Texts of like length go into a batch together. So the batches of a turn differ: the median is a batch of middling length, and the 95th percentile one of the longest texts. That whisker is no jitter. How steady a ratio is you see from the smallest and the largest of all rounds, in brackets.
#
# ## A run in small
#
# Speed depends on the shape of a network and on the lengths of the texts, not on the weights. So under `quick` an untrained network of two layers will do. You export it twice. `static` is int8 with calibrated ranges. `first token off` lacks one trick: that the last layer computes only what the classifier reads.

# %%
small = replace(settings, layers=2) if profile == "quick" else settings
lab = open_lab("02_baseline", small)
network, texts = lab.network(), lab.encoded("train").take(slice(64))
place, scales = tempfile.TemporaryDirectory(), calibrate(network, texts)
exports = {"static": ExportConfig(max_length=settings.max_length),
           "first token off": ExportConfig(first_token_only=False)}
paths = {name: export_onnx(
    network, Path(place.name) / f"{name}.onnx", export, scales=scales,
    untrained=True) for name, export in exports.items()}
# beyond quick: the trained baseline, and all files that were kept
chosen = {"files": paths, "untrained": True} if profile == "quick" else {}
outcome = measure("inference", small, lab=lab, **chosen)
table = outcome.table

# %% mystnb={"figure": {"caption": "Milliseconds per batch in this run. Bar and number: the median. Under quick it is a toy: two untrained layers and a few small batches, on a machine that may be busy. The order may differ from that of the reference run.", "name": "fig-inference-speed"}, "image": {"alt": "Horizontal bars of median milliseconds per batch, one for each contestant of this run, the fastest on top, with whiskers to the 95th percentile."}} tags=["nbval-ignore-output", "live"]
_ = figures.latency_bars(table)

# %% tags=["nbval-ignore-output", "live"]
cpu = cpu_support()
print("this CPU:", ", ".join(
    f"{name} {'yes' if there else 'no'}" for name, there in cpu.items()))
Table(tables.speed_table(table, latency.stronger_control(table)),
      folded="the same as a table, with ratios")

# %% [markdown]
# *vnni* is the processor's instruction for products of bytes: without it, int8 may be no faster than fp32. *{term}`bf16`* is one for 16-bit numbers, which PyTorch's autocast and OpenVINO use. *capped* says that the environment hides them (exercise 2).
#
# **Check.** All contestants get the same pairs in the same batches, every pair once a turn, texts of like length together. Those that compute the same function say the same. The library's int8 file is a quarter of the fp32 file. Times are not checked: they differ from machine to machine.

# %% tags=["live"]
config = QUICK if profile == "quick" else InferenceConfig()
encoded, n = lab.encoded("validation_matched"), config.batches
rows = np.resize(np.arange(len(encoded)), n * config.batch_size)
timed = batches(encoded, config)
tokens = sum(int(batch["attention_mask"].sum()) for batch in timed)
assert tokens == int(encoded.lengths[rows].sum())
widths = [batch["input_ids"].shape for batch in timed]
assert all(size == config.batch_size for size, _ in widths)
assert [w for _, w in widths] == sorted(w for _, w in widths)

# %% tags=["live"]
contestants = outcome.inputs["baselines"] | files(
    paths, threads=config.threads)
logits = {name: np.asarray(each.run(timed[0]))
          for name, each in contestants.items()}
for a, b in ((FP32, "PyTorch eager fp32"), ("static", "first token off")):
    assert np.abs(logits[a] - logits[b]).max() < 1e-3
size = {name: each.size_bytes for name, each in contestants.items()}
assert 0.2 < size[CONTROL] / size[FP32] < 0.3
print("same pairs, same batches; equal functions say the same;",
      "the library's int8 is a quarter of the file")

# %% [markdown]
# ## What the papers report
#
# The abstract makes "50%" of 150 → 80 ms, the text "nearly doubling" {cite}`sec2025`; it is 47% less time, or 87.5% more speed (contradiction 4 in [](claims_audit)). Here is their table as factors of the baseline. Our baseline runs in fp32 under the runtime of all other rows (ONNX Runtime), not PyTorch: a change of runtime is no compression.

# %% tags=["record", "hide-input"]
Table(tables.size_table(reference, "latency_ms", MS, 1, "ms"))

# %% tags=["record", "hide-input"]
Table(tables.verdict_table(judged))

# %% [markdown]
# ## What the records say
#
# What is a smaller network worth in time? Compare within one export: the library's file with the library's, ours with ours.

# %% tags=["record", "hide-input"]
by_export = bench_inference.by_export(latest).round(2)
factors = by_export.set_index("network") if len(by_export) else by_export


def both(name):
    if name not in factors.index:
        return NOT_RUN
    library, own = factors.loc[name, ["times as fast", "times as fast, ours"]]
    return f"{library:.1f} and {own:.1f} times"


Finding(f"""
Three of six layers (`kd`) make it {both('kd')} as fast; 65% of the encoder cut
out as units (`taylor-65`) {both('taylor-65')}; one layer (`kd-depth-1`)
{both('kd-depth-1')}. Our export computes the last layer for the first token
alone. The fewer layers there are, the larger the part that is spared.""")

# %% tags=["record", "hide-input"]
display(Table(by_export if len(by_export) else rows_or([], ["network"]),
              folded="the fp32 networks in both exports"))
notes = ["batch_size", "threads", "has_vnni", "has_bf16", "other_load",
         "padding_share", "padding_share_unsorted"]
where = rows_or([(
    found["provenance"]["machine"]["cpu"], len(found["contestants"]),
    found["parameters"]["inference"]["rounds"],
    *(round(found["metrics"].get(note, np.nan), 2) for note in notes))
    for found in (record, capped_record) if found],
    ["cpu", "contestants", "rounds", *notes])
display(Table(where, folded="where and how it was measured"))
print(tables.standing(
    reference[reference["experiment"] == latency.EXPERIMENT]
    if len(reference) else reference))

# %% [markdown]
# :::{dropdown} How to read these tables
# `other_load` is how many cores other processes used meanwhile. The shares of padding are those of the batches as they were timed, sorted by length, and of the same pairs unsorted: what sorting saves, it saves for every contestant alike. The second line is a run with the processor's instructions hidden (exercise 2). Where tables compare everything with `ONNX Runtime fp32`, the factor of an integer file contains that of our exporter.
# :::
#
# A processor without VNNI is not only slower. It keeps sums of two products of bytes in 16 bits, where they may not fit ([](11_quantization)).

# %% tags=["record", "hide-input"]
overflow = saturation.report(
    results.reference_dir() / "cpu" / saturation.EXPERIMENT)
kept = dict(zip(overflow["file"], overflow.get(
    "on AVX2 only, %", [NOT_RUN] * len(overflow)), strict=True))
same = {name: f"{kept[name]}%" if name in kept else NOT_RUN
        for name in ("library", "library, reduce_range", "8 bits, by pairs")}
Finding(f"""
There the library's int8 file gives {same['library']} of the pairs the class
that its exact product gives. `reduce_range` mends that at the price of a bit
({same['library, reduce_range']}). Ours keeps eight bits and chooses scales by
pairs of weights ({same['8 bits, by pairs']}).""")

# %% tags=["record", "hide-input"]
Table(overflow, folded="files on a processor with AVX2 only")

# %% [markdown]
# ## Here and now: the files that come with the book
#
# You have the files of `book/artifacts` at hand; `seo_core.load("reference")` loads one. So you need not take their times on trust. *Here, now* is the machine that built this page: three pairs over and over, each file in turn, a few rounds. *Recorded* are the accuracy on their cards, and the control's time in the benchmark. Milliseconds of two machines cannot be compared. How many times as fast as the library's int8 a file is can be. That int8 is exported here, from the bundled network as it is.

# %% tags=["nbval-ignore-output", "hide-input", "here"]
times, *answers = live.here_and_now()
display(Table(times))
for each in answers:
    display(Table(each, folded="what they answer"))

# %% [markdown]
# ## What makes the difference
#
# Nothing is removed from the network between the library's int8 and ours (`quant`): both are dynamic, of the same weights. What differs is the graph. The last layer computes queries, attention output and feed-forward for the first token alone. Attention reads the heads by strides. The library's graph first copies queries, keys and values into another order, and after each softmax it looks for NaN. See `seo_core.quantization.export` in {doc}`../book/api/quantization`.
#
# :::{dropdown} Why the library's fusion pass does not help here
# In what `torch.onnx.export` writes it finds no attention, so no operator for attention is used. It puts bias and GELU into one operator, and addition and LayerNorm into another (`BiasGelu`, `SkipLayerNormalization`). ONNX Runtime does some of this by itself when it loads a file. In the reference run the file without the pass is the faster one: on a CPU `SkipLayerNormalization` takes longer than the operators that it replaces.
# :::
#
# Longer texts make attention a larger part, which stays in fp32 here. On a GPU none of this holds: there, 16-bit numbers and large batches decide.
#
# ## To remember
#
# - Compare times within one run, in turns, and with the strongest thing that a library gives you for nothing.
# - A zero is multiplied like any other number. Time goes when bytes get fewer, or units and layers are gone.
# - Open: GPUs, and batches of other sizes than 32.
#
# ## Exercises
#
# **1.** Time single requests: batches of one pair. Which contestant is best, and is it the one that was best above?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
single = replace(config, batch_size=1, batches=16, rounds=4)
turns = latency.measure(contestants, batches(encoded, single), single)
alone = latency.summarize(turns, contestants).sort_values(MS)
Table(tables.speed_table(alone, latency.stronger_control(alone)))

# %% [markdown]
# **2.** `ONEDNN_MAX_CPU_ISA=AVX2` in the environment shows PyTorch and OpenVINO a processor without these instructions; ONNX Runtime does not obey it. Which contestants will change? The answer compares two reference runs, so look at ratios to a contestant that both have.

# %% tags=["hide-cell", "record"]
shown = pd.DataFrame({name: t.loc[FP32, MS] / t[MS] for name, t in (
    ("all instructions", latest), ("AVX2", capped)) if len(t)})
for name in ("OpenVINO fp32", "static-openvino", "quant"):
    if shown.shape[1] == 2 and name in shown.index:
        print(f"{name}: {shown.loc[name].round(2).tolist()} times as fast")
print(f"of {len(shown)}, bf16 is gone;",
      "the int8 files of ONNX Runtime stay as they are")
Table(shown.dropna().round(2).reset_index(names=f"times as fast as {FP32}")
      if shown.shape[1] == 2 else rows_or([], ["contestant"]))

# %% [markdown]
# **3.** Shuffle the pairs instead of sorting them by length. How much slower is each contestant?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
mixed = np.random.default_rng(0).permutation(rows).reshape(n, -1)
ms = {how: latency.measure(contestants, each, config).groupby(
    "contestant")["ms"].sum() for how, each in (
        ("sorted", timed), ("shuffled", batches(encoded, config, mixed)))}
print((ms["shuffled"] / ms["sorted"]).round(2).to_string())
