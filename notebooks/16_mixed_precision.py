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
# # Mixed precision, and memory
#
# **What came out.** Memory is saved by computing a batch in parts and layers twice, by 16 bits, and by taking whole units out; a weight that is only set to zero saves none. That is counted below, the same on every machine. What 16 bits save in time depends on the processor's instructions, and is for the reference run to say. Bhat and Dharani report training time −30% by {term}`mixed precision` and memory −25% by pruning {cite}`bhat2024`: the dotted lines below.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says (quick 1, else 3)

# %% tags=["hide-input", "record"]
from dataclasses import replace

import pandas as pd
import torch

from seo_core import bench, figures, load_settings, results
from seo_core.analysis import verdicts
from seo_core.analysis.tables import Table
from seo_core.bench import latency, precision
from seo_core.bench.turns import sample
from seo_core.models import load_backbone, load_tokenizer
from seo_core.training import TrainingConfig, classification_loss, fit

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text)
recorded = results.load_records(results.reference_dir() / "cpu" / "bench_precision")
record = next((r for r in recorded if r["configuration"] == "precision"), None)
reference = precision.recorded(record)
compared = reference.dropna(subset=["memory_ratio"]) if record else reference  # fp16 has too few pairs on a CPU
cpu = record["provenance"]["machine"]["cpu"] if record else "not run: python -m seo_core.run bench precision --profile cpu --data path/to/mnli"
print("reference run:", cpu)

# %% mystnb={"figure": {"caption": "Training time for a pair, as a share of fp32's (reference run; whiskers span the rounds). The dotted line is the paper's \u221230%.", "name": "fig-precision-time"}, "image": {"alt": "Horizontal bars: time for a pair in bf16, in parts, with layers computed again, with zeros and with units removed, relative to fp32. Without a record it says not run."}} tags=["record", "hide-input"]
_ = figures.ratio_bars(compared, "time for a pair, of fp32", claimed=0.70)

# %% mystnb={"figure": {"caption": "Peak memory of the training process, libraries included, as a share of fp32's (reference run). The dotted line is the paper's \u221225%.", "name": "fig-precision-memory"}, "image": {"alt": "Horizontal bars: the peak of the resident set of each contestant relative to fp32. Without a record it says not run."}} tags=["record", "hide-input"]
peaks = compared.filter(like="memory_ratio").rename(columns=lambda name: name.removeprefix("memory_"))
_ = figures.ratio_bars(peaks, "peak memory, of fp32", claimed=0.75)

# %% [markdown]
# ## Half of the digits
#
# A number in 16 bits takes half the room, and a processor that has instructions for it multiplies two to four times as many in a second. There are two ways to spend the 16 bits:

# %% tags=["live"]
kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
about = {name: torch.finfo(kind) for name, kind in kinds.items()}
rows = [(name, i.bits, f"{i.eps:.1e}", f"{i.max:.1e}", f"{i.smallest_normal:.1e}") for name, i in about.items()]
assert about["bf16"].max > 1e38 > about["fp16"].max
Table(pd.DataFrame(rows, columns=["kind", "bits", "step next to 1", "largest", "smallest normal"]))

# %% [markdown]
# {term}`bf16` has fp32's range and few digits. fp16 has more digits and a short range, and gradients are small: below 6·10⁻⁸ nothing is left of them. The cure is {term}`loss scaling` {cite}`micikevicius2018`. The loss is multiplied by $S$ before the backward pass, and the gradient divided by it afterwards, in fp32:
#
# $$ g = \tfrac{1}{S} \, \nabla_\theta (S L). $$
#
# *Dynamic* means that $S$ finds its own size. It starts at 65 536. If a gradient overflows, the step is skipped and $S$ halved; after 2 000 good steps it doubles. The weights themselves stay in fp32 all along: that is what is *mixed*.
#
# The paper's tool for this, Apex, went into PyTorch as `torch.amp`, which is used here; for Horovod stands PyTorch's DDP, for TensorFlow Lite ONNX Runtime. Here is a gradient that fp16 cannot hold, and what scaling makes of it:

# %% tags=["live"]
for scale in (1, 65536):
    weight = torch.ones(1, requires_grad=True)  # fp32
    (scale * 1e-8 * weight.half().float()).sum().backward()
    print(f"scale {scale:5d}: gradient {weight.grad.item() / scale:.1e}")
assert weight.grad.item() > 0, "scaled, it is there"

# %% [markdown]
# A CPU without fp16 instructions computes this slowly, but right. So you can see a whole training overflow: the loss below gets a monstrous gradient in its third step.
#
# **Check.** That step is skipped, the scale is halved, and no weight moves.

# %%
pairs = sample(settings, load_tokenizer("bundled"), 64)
classes = int(pairs.labels.max()) + 1
network, _ = load_backbone("bundled", num_labels=classes, layers=1)
seen, weights = [], []


def overflowing(logits, batch):
    seen.append(1)
    return classification_loss(logits, batch) + (logits - logits.detach()).sum() * (1e30 if len(seen) == 3 else 0)


def watch(event, state):
    if event == "step":
        weights.append(state.model.classifier.weight.detach().clone())


# %% tags=["live"]
config = TrainingConfig(batch_size=4, epochs=1, precision="fp16")
scaled = fit(network, pairs.take(slice(20)), config=config, loss=overflowing, callbacks=[watch], progress=False)
assert scaled.metrics["skipped_steps"] == 1 and scaled.metrics["loss_scale"] == 2**15
assert torch.equal(weights[2], weights[1]) and not torch.equal(weights[3], weights[2])
print(f"{len(weights)} steps, 1 skipped, scale {scaled.metrics['loss_scale']:.0f}")

# %% [markdown]
# ## Where the memory is
#
# Little of it is weights. Most is what the forward pass keeps for the backward pass: the inputs of every operation. Two means go at that, and neither changes what is learned.
#
# - {term}`Gradient accumulation <gradient accumulation>` computes a batch of $B$ in $k$ parts and adds up. Since the loss is a mean, $\nabla L = \sum_{p} \frac{|p|}{B} \nabla L_p$: the same step, and only one part is kept at a time.
# - {term}`Gradient checkpointing <gradient checkpointing>` keeps the input of each layer alone, and computes the layer again when its gradient is due: one more forward pass of time {cite}`chen2016checkpointing`. Dropout has to fall on the same places the second time.
#
# Bhat and Dharani name another means, magnitude pruning. You can count what each of them keeps for one batch of 32, without a clock, the same on every machine:

# %% tags=["live"]
network, _ = load_backbone("bundled", num_labels=classes)
config = TrainingConfig(batch_size=32)
kept = {name: precision.saved_bytes(precision.pruned(network, name)[0], pairs, replace(config, **changes))
        for name, changes in precision.CONTESTANTS.items()}
for name, size in kept.items():
    print(f"{name:34s} {size / kept['fp32']:.2f} of fp32")
assert max(kept.values()) == kept[precision.FULL]

# %% [markdown]
# **Check.** Zeros are numbers like any other: nothing is saved. Units that are gone do save. Parts and computing again save most.

# %% tags=["live"]
assert kept[precision.ZEROS] == kept[precision.FULL] > kept[precision.REMOVED]
assert kept[precision.AGAIN] < 0.2 * kept[precision.FULL] and kept[precision.PARTS] < 0.4 * kept[precision.FULL]
assert 0.5 < kept[precision.BF16] / kept[precision.FULL] < 0.7
print("zeros keep everything, fewer units keep less, a layer that is computed again keeps its input")

# %% [markdown]
# bf16 keeps a little more than half: the weights' 16-bit copies come on top of the fp32 weights.
#
# ## On the clock
#
# Now each of them trains, in turn, and each in a process of its own. The peak is that process's resident set, libraries included, as a monitor of the machine would see it; on a GPU it is what PyTorch allocated. Here a **toy**: a hundred pairs, two layers. Most of its memory is PyTorch itself, and fp16 has half a batch.

# %% tags=["nbval-ignore-output", "live"]
outcome = bench.measure("precision", settings, rounds=rounds)
Table(precision.page(outcome.table))

# %% tags=["live"]
work = outcome.turns.groupby("contestant")["examples"].nunique()
assert (work == 1).all() and outcome.table.loc[precision.ZEROS, "zeros"] > 0
assert outcome.table["saved_bytes"].idxmin() == precision.BOTH
print("the same pairs in every turn:", len(work), "contestants")

# %% [markdown]
# The reference run has six layers and 4 000 MultiNLI pairs a turn. It is the evidence behind the figures above:

# %% tags=["record", "hide-input"]
Table(precision.page(reference), folded="time, memory and accuracy of every contestant (reference run)")

# %% [markdown]
# ## Inference
#
# For use, the paper rounds the trained network to int8 after training. Chapter [](11_quantization) does so, and [](tab3_inference_speed) times the files. Three of them, fp32, the library's int8 and ours, on the reference machine:

# %% mystnb={"figure": {"caption": "Inference in fp32 and after int8 post-training quantization, ONNX Runtime, batches of 32 (reference run of the inference benchmark).", "name": "fig-precision-inference"}, "image": {"alt": "Three horizontal bars of milliseconds per batch: the fp32 file is the slowest, the two int8 files are faster. Without a record it says not run."}} tags=["record", "hide-input"]
speeds, _ = latency.latest(results.reference_dir() / "cpu" / latency.EXPERIMENT)
names = {"ONNX Runtime fp32": "fp32", latency.PLAIN: "int8, the library's", "quant": "int8, ours (quant)"}
_ = figures.latency_bars(speeds.rename(index=names).loc[lambda table: table.index.isin(names.values())])

# %% [markdown]
# ## What the papers report
#
# Two numbers, −30% and −25%, and figures without any. Nothing is said of the GPU, of the batch, or of how memory was read. Our verdicts, by rules that were fixed beforehand:

# %% tags=["record", "hide-input"]
claims = [claim for claim in verdicts.CLAIMS if claim.id in ("tkd-amp", "bd-time", "bd-memory", "bd-infer")]
Table(verdicts.audit(results.load(), claims)[["claim", "statement", "ours", "n", "verdict"]])

# %% [markdown]
# The control of mixed precision is fp32 on the same machine, pairs and seed. A processor without 16-bit instructions gains nothing; there bf16 is emulated.
#
# ## What changes with scale
#
# With BERT-base, batches of 32 and 128 tokens, activations are the bulk of the memory and libraries are not. Then the shares you counted come close to the shares of the peak. More layers make checkpointing save more: it keeps one input for each, and one layer at a time.
#
# **To remember**
#
# - 16 bits save time where the processor has instructions for them; bf16 needs no loss scaling, fp16 does.
# - For memory, compute in parts first: it costs almost nothing. Computing layers again costs a forward pass.
# - A zero takes as much memory as a one. Whether full-size fp16 training holds on a GPU stays open until its record is here.
#
# ## Exercises
#
# 1. Let the overflow come in *every* step of ten. What is the scale in the end, and where are the weights?
# 2. Count `saved_bytes` with `accumulation=32`, one pair at a time. Why is it not a thirty-second?
# 3. Combine `accumulation=4` with `checkpointing=True` in fp32. Do the savings multiply?
#
# <details><summary>Answers</summary>
#
# 1. The scale is 64, which is 65 536 halved ten times, and the weights are where they were. `fit(...).metrics["skipped_steps"]` is 10.
# 2. It is 0.07. What does not depend on the batch stays: the joined weights of query, key and value are copies, and are kept as such.
# 3. Nearly: 0.28 and 0.07 would make 0.019, and 0.017 is what is counted. The joined weights are computed again too, so nothing is left that parts could not divide.
#
# </details>
