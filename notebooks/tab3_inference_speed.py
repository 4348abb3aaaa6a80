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
# 150 ms a batch for BERT-base, 130 pruned, 90 in int8, 110 distilled, 80 for the combination: the third table of SEC {cite}`sec2025`. The
# abstract makes "50%" of it, the text "nearly doubling"; 150 → 80 is 47% less time, or 87.5% more speed. Batch size, lengths, number of threads, and
# whether this was the CPU or the GPU are not given.
#
# A time depends on all of these, and on what else the machine does. So contestants are measured *in one process, in turn*: A B C A B C, the same pairs
# in the same batches, after a warm-up, with a fixed number of threads. What counts are ratios within a run. The one to beat is not PyTorch,
# but the **control**: what the libraries alone make of the unpruned network. Two calls, `torch.onnx.export` and ONNX Runtime's `quantize_dynamic`, make
# *control, not fused*. With a third between them, ONNX Runtime's fusion pass for BERT, it is *control*. Ratios are to the faster of the two.

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

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, tables, verdicts
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.bench import inference as bench_inference
from seo_core.bench import latency, measure
from seo_core.bench.inference import files
from seo_core.bench.latency import CONTROL, QUICK, InferenceConfig, batches
from seo_core.machine import cpu_support
from seo_core.quantization import ExportConfig, calibrate, export_onnx

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text)

# %% [markdown]
# ## A run in small
#
# Speed depends on the shape of a network and on the lengths of the texts, not on what the weights are. So under `quick` an untrained
# network of two layers will do. It is exported: `static` is int8 with calibrated ranges, `first token off` is the same file without one of
# its tricks, namely that the last layer computes only what the classifier reads.

# %%
small = replace(settings, layers=2) if profile == "quick" else settings
lab = open_lab("02_baseline", small)
network, texts = lab.network(), lab.encoded("train").take(slice(64))
folder, scales = tempfile.TemporaryDirectory(), calibrate(network, texts)
paths = {"static": ExportConfig(max_length=settings.max_length), "first token off": ExportConfig(first_token_only=False)}
paths = {name: export_onnx(network, Path(folder.name) / f"{name}.onnx", config, scales=scales, untrained=True)
         for name, config in paths.items()}
chosen = {"files": paths, "untrained": True} if profile == "quick" else {}  # else the baseline, and all files that were kept
table = measure("inference", small, lab=lab, **chosen).table

# %% tags=["nbval-ignore-output", "live"]
cpu = cpu_support()
print("this CPU:", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in cpu.items()))
control = latency.stronger_control(table)
Table(tables.speed_table(table, control))

# %% mystnb={"figure": {"caption": "Milliseconds per batch in this run. Under quick: two untrained layers, a few small batches, on whatever machine made this page.", "name": "fig-inference-speed"}, "image": {"alt": "Horizontal bars of median milliseconds per batch, one for each contestant, the fastest on top, with whiskers to the 95th percentile."}} tags=["nbval-ignore-output", "live"]
_ = figures.latency_bars(table)

# %% [markdown]
# The batches of a turn are sorted by length, so they do not take the same time. The median is a batch of middling length, and the whisker, the 95th percentile, one of
# the longest texts. In the reference runs it is two to three times the median for most contestants, and that is not jitter. How steady a result is can be seen from the numbers in brackets: the
# smallest and the largest ratio of all rounds.
#
# *vnni* is the processor's instruction for products of bytes: without it, int8 may be no faster than fp32. *bf16* is one for 16-bit
# numbers, which PyTorch's autocast and OpenVINO use. `ONEDNN_MAX_CPU_ISA=AVX2` in the environment shows these two as they are on a
# processor without; ONNX Runtime does not obey it. Where the line says *capped*, it was set.
#
# **Check.** All contestants get the same pairs in the same batches, every pair once a turn, texts of like length together. Those that compute the same function say the
# same. The control's file is a quarter of the fp32 file. Times are not checked: they differ from machine to machine.

# %% tags=["live"]
config, encoded = QUICK if profile == "quick" else InferenceConfig(), lab.encoded("validation_matched")
timed = batches(encoded, config)
n = config.batches * config.batch_size
rows = np.resize(np.arange(len(encoded)), n)
assert sum(int(b["attention_mask"].sum()) for b in timed) == int(encoded.lengths[rows].sum())
widths = [b["input_ids"].shape for b in timed]
assert all(size == config.batch_size for size, _ in widths) and [w for _, w in widths] == sorted(w for _, w in widths)
with tempfile.TemporaryDirectory() as place:
    contestants = bench_inference.baselines(network, place, threads=config.threads) | files(paths, threads=config.threads)
    said = {name: np.asarray(c.run(timed[0])) for name, c in contestants.items()}
assert np.abs(said["ONNX Runtime fp32"] - said["PyTorch eager fp32"]).max() < 1e-3
assert np.abs(said["static"] - said["first token off"]).max() < 1e-3
assert 0.2 < contestants[CONTROL].size_bytes / contestants["ONNX Runtime fp32"].size_bytes < 0.3
print("same pairs, same batches; equal functions say the same; the control is a quarter of the file")

# %% [markdown]
# ## Here and now: the files that come with the book
#
# Whoever builds this page has the files of `book/artifacts` at hand, `seo_core.load("reference")` loads one. So their times need not be taken on trust. *Here, now* is the
# machine that built this page: three pairs over and over, each file in turn, a few rounds. *Recorded* is what their cards say, on the processor that is named, in batches of validation
# pairs. The milliseconds of two machines do not compare. What does is how many times as fast as the *control* a file is: that one is exported here, from the bundled network as it
# is, since an untrained network takes as long. The second table has their answers.

# %% tags=["nbval-ignore-output", "hide-input", "live"]
from IPython.display import display

from seo_core.bench import live

display(*map(Table, live.here_and_now()))

# %% [markdown]
# ## The reference run
#
# MiniLM-L6 as fine-tuned in [](09_pruning), batches of 32 pairs, two threads, and the files that the chapters made of it. A file with a vocabulary of its own reads the same
# pairs by its own tokenizer, so its texts may be longer. The pruned and distilled networks in fp32 (`prune`, `taylor-…`, `aip`, `aip-T2`, `kd`, `kd-depth-…`) are exported on the spot, by the library
# as *ONNX Runtime fp32* is. The integer files are written by `seo_core.quantization.export`, which already makes a faster file of the unpruned network in fp32: `onnx-fp32`.

# %% tags=["record", "hide-input"]
folder = results.reference_dir() / "cpu" / "tab3_inference_speed"
latest, record = latency.latest(folder)
judged = latency.stronger_control(latest)
Table(tables.speed_table(latest, judged))

# %% mystnb={"figure": {"caption": "Milliseconds per batch of 32 pairs, two threads (reference run).", "name": "fig-inference-reference"}, "image": {"alt": "Horizontal bars of median milliseconds per batch for each contestant of the reference run with whiskers to the 95th percentile; without records it says not run."}} tags=["record", "hide-input"]
_ = figures.latency_bars(latest)

# %% [markdown]
# What a smaller network is worth in time is the factor within one export: the library's file of the small network against the library's file of the baseline, and
# ours against ours. Ours computes the last layer for the first token alone: the fewer layers there are, the larger the part that is spared, up to nearly all of it in `kd-depth-1`. In the tables and figures that compare everything with *ONNX Runtime fp32*, the factor of an integer file contains that of our exporter.

# %% tags=["record", "hide-input"]
table = bench_inference.by_export(latest).round(2)
Table(table if len(table) else pd.DataFrame([{"network": NOT_RUN}]))

# %% [markdown]
# Where and how it was measured. `other_load` is how many cores other processes used meanwhile; the shares of padding are those of the batches as they were
# timed, sorted by length, and of the same pairs unsorted: what sorting saves, it saves for every contestant alike.

# %% tags=["record", "hide-input"]
notes = ["batch_size", "threads", "has_vnni", "has_bf16", "other_load", "padding_share", "padding_share_unsorted"]
where = {"cpu": record["provenance"]["machine"]["cpu"], **{n: round(record["metrics"].get(n, float("nan")), 2) for n in notes}} if record else {"cpu": NOT_RUN}
Table(pd.DataFrame([where]))

# %% [markdown]
# The same under `ONEDNN_MAX_CPU_ISA=AVX2`, in a run of its own at another time:

# %% tags=["record", "hide-input"]
capped, record = latency.latest(folder, capped=True)
Table(tables.speed_table(capped, latency.stronger_control(capped)))

# %% [markdown]
# The milliseconds of two runs do not compare. ONNX Runtime does not obey the variable; where its time in fp32 differs all the same, the machine was faster or slower
# that time. The runs may also differ in rounds and in contestants:

# %% tags=["record", "hide-input"]
fp32, runs = "ONNX Runtime fp32", {"all instructions": latency.latest(folder), "AVX2": latency.latest(folder, capped=True)}
runs = {name: found for name, found in runs.items() if found[1]}
rows = [(name, r["parameters"]["inference"]["rounds"], len(t), t.loc[fp32, "latency_ms_p50"]) for name, (t, r) in runs.items()]
columns = ["run", "rounds", "contestants", f"{fp32}, ms, median"]
Table(pd.DataFrame(rows or [(NOT_RUN, "—", "—", "—")], columns=columns).round(1))

# %% [markdown]
# What compares is the ratio to a contestant that both runs have. Here it is to ONNX Runtime in fp32, for those that took part in both:

# %% tags=["record", "hide-input"]
times = pd.DataFrame({name: t.loc[fp32, "latency_ms_p50"] / t["latency_ms_p50"] for name, (t, _) in runs.items()}).dropna()
shown = times.round(2).reset_index(names=f"times as fast as {fp32}")
Table(shown if len(runs) == 2 else pd.DataFrame([{"run": NOT_RUN}]))

# %% [markdown]
# There is no bf16 then, neither in PyTorch nor in OpenVINO. OpenVINO falls back in fp32 too, and most of all in int8. The int8 files under ONNX Runtime are as far ahead as before.
#
# What a processor without VNNI changes is not only the time. It keeps sums of two products of bytes in 16 bits, where they may not fit ([](11_quantization)). *On AVX2 only*
# is the share of pairs on which a file opened there says what its exact product says; *library* is the int8 file of ONNX Runtime's own tools.

# %% tags=["hide-input", "record"]
from seo_core.bench import saturation

Table(saturation.report(results.reference_dir() / "cpu" / "bench_saturation"))

# %% [markdown]
# The library's file changes one answer in thirty on such a processor. `reduce_range` mends it at the price of a bit. In ours eight bits by pairs mend it at none that shows.
#
# ## The papers' table and ours
#
# As factors of the baseline. Ours is the same network in fp32 under the same runtime (ONNX Runtime), not PyTorch: a change of runtime is no compression.

# %% tags=["record", "hide-input"]
reference = results.load(results.reference_dir() / "cpu")
print(tables.standing(reference[reference["experiment"] == folder.name]))
Table(tables.size_table(reference, "latency_ms", "latency_ms_p50", 1, "ms"))

# %% tags=["record", "hide-input"]
cells = tuple(c for c in (*verdicts.HEADLINE_CLAIMS, *verdicts.BHAT_CLAIMS, *verdicts.TABLE_CLAIMS)
              if c.id in ("h-speed", "h-quant2x", "bd-infer") or c.id.endswith("-latency_ms"))
Table(verdicts.audit(reference, cells)[["claim", "statement", "ours", "n", "verdict"]])

# %% [markdown]
# ## What makes the difference
#
# Between `control` and `quant` nothing is removed from the network: both are int8, dynamic, of the same weights, and in both what query, key and value read is quantized
# once for the three. What differs is the graph. The last layer computes queries, attention output and feed-forward for the first token alone. Attention reads the heads by
# strides; the library's graph first copies queries, keys and values into another order, and after each softmax it looks for NaN. See
# `seo_core.quantization.export` in {doc}`../book/api/quantization`.
#
# The library's fusion pass does less than its name says. In what `torch.onnx.export` writes it finds no attention, so no operator for attention is used.
# It puts bias and GELU into one operator, and addition and LayerNorm into another (`BiasGelu`, `SkipLayerNormalization`). ONNX Runtime does some of this by itself when it
# loads a file. In the reference runs the control without the pass is the faster one: on a CPU `SkipLayerNormalization` takes longer than the operators that it replaces.
#
# ## What changes with scale
#
# Longer texts make attention a larger part, which stays in fp32 here. What another size of the batch does to these ratios is not recorded (exercise 1). On a GPU none of this holds: there, 16-bit numbers and
# large batches decide.
#
# ## Exercises
#
# 1. Run `python -m seo_core.run bench inference --batch-size 1`. Which contestant is best for single requests?
# 2. Set `ONEDNN_MAX_CPU_ISA=AVX2` and run again. Which contestants change, and which do not?
# 3. Shuffle the pairs instead of sorting them by length. How much of each contestant's time was padding?
