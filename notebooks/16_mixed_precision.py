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
# Can you train in half of the bits, in less time and less memory, and lose nothing? Bhat and Dharani report 30% less training time by {term}`mixed precision`, and 25% less memory by pruning {cite}`bhat2024`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says (quick 1, else 3)

# %% tags=["hide-input"]
from dataclasses import replace

import pandas as pd
import torch

from seo_core import bench, figures, load_settings, results
from seo_core.analysis import tables, verdicts
from seo_core.analysis.findings import Contest, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import latency, precision
from seo_core.bench.turns import sample
from seo_core.models import load_backbone, load_tokenizer
from seo_core.training import TrainingConfig, classification_loss, fit

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text)

# %% tags=["record", "answer", "remove-input"]
trained = Contest(precision.EXPERIMENT, precision.RECORD)
used = Evidence(latency.EXPERIMENT)
Finding(f"""
Training in bf16, as a share of fp32: time
{trained.value(precision.BF16, digits=2)}, peak memory
{trained.value(precision.BF16, 'memory_ratio', digits=2)}. Does it save memory
to set half of the encoder's weights to zero?
{trained.told(precision.ZEROS, 'memory_ratio', less='Yes', more='No, it costs',
same='No difference is shown').capitalize()}. In use, time for a batch in int8
against fp32: {used.ratio('quant', 'base', 'latency_ms_p50', digits=2)}.""")

# %% mystnb={"figure": {"caption": "Training time for a pair, as a share of fp32's (reference run; whiskers span the rounds). The dotted line is the paper's \u221230%.", "name": "fig-precision-time"}, "image": {"alt": "Horizontal bars: time for a pair in bf16, in parts, with layers computed again, with zeros and with units removed, relative to fp32. Without a record it says not run."}} tags=["record", "hide-input"]
frame = trained.frame
compared = frame.reindex(columns=["saved_bytes"]).notna().all(axis=1)
reference = frame[compared]  # without fp16 where it had few pairs
_ = figures.ratio_bars(reference, "time for a pair, of fp32", claimed=0.70)

# %% [markdown]
# What a batch keeps in memory you can count on any machine, and you do so below. There 16 bits save nearly half, computing in parts and computing again save more, and zeros save nothing.
#
# ## Half of the digits
#
# A number in 16 bits takes half the room, and a processor that has instructions for it multiplies two to four times as many in a second. There are two ways to spend the 16 bits:

# %% tags=["live"]
kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
about = {name: torch.finfo(kind) for name, kind in kinds.items()}
assert about["bf16"].max > 1e38 > about["fp16"].max
Table(pd.DataFrame(
    [(name, i.bits, *(f"{x:.1e}" for x in (i.eps, i.max, i.smallest_normal)))
     for name, i in about.items()],
    columns=["kind", "bits", "step next to 1", "largest", "smallest normal"]))

# %% [markdown]
# {term}`bf16` has fp32's range and few digits. fp16 has more digits and a short range, and gradients are small: below 6·10⁻⁸ nothing is left of them. The cure is {term}`loss scaling` {cite}`micikevicius2018`. The loss is multiplied by $S$ before the backward pass, and the gradient divided by it afterwards, in fp32:
#
# $$ g = \tfrac{1}{S} \, \nabla_\theta (S L). $$
#
# *Dynamic* means that $S$ finds its own size. It starts at 65 536. If a gradient overflows, the step is skipped and $S$ halved; after 2 000 good steps it doubles. The weights themselves stay in fp32 all along: that is what is *mixed*.
#
# The paper's tool for this, Apex, went into PyTorch as `torch.amp`, which is used here; for Horovod stands PyTorch's DDP ([](19_distributed_training)), for TensorFlow Lite ONNX Runtime. Take a gradient that fp16 cannot hold, and see what scaling makes of it:

# %% tags=["live"]
for scale in (1, 65536):
    weight = torch.ones(1, requires_grad=True)  # fp32
    (scale * 1e-8 * weight.half().float()).sum().backward()
    print(f"scale {scale:5d}: gradient {weight.grad.item() / scale:.1e}")
assert weight.grad.item() > 0, "scaled, it is there"

# %% [markdown]
# A CPU without fp16 instructions computes this slowly, but right. So you can see a whole training overflow: the loss below gets a monstrous gradient in its third step.

# %%
pairs = sample(settings, load_tokenizer("bundled"), 64)
classes = int(pairs.labels.max()) + 1
network, _ = load_backbone("bundled", num_labels=classes, layers=1)

# %%
seen, weights = [], []


def overflowing(logits, batch, when=(3,)):
    seen.append(1)
    monstrous = 1e30 if len(seen) in when else 0
    return (classification_loss(logits, batch)
            + (logits - logits.detach()).sum() * monstrous)


def watch(event, state):
    if event == "step":
        weights.append(state.model.classifier.weight.detach().clone())


# %% [markdown]
# **Check.** That step is skipped, the scale is halved, and no weight moves.

# %% tags=["live"]
config = TrainingConfig(batch_size=4, epochs=1, precision="fp16")
scaled = fit(network, pairs.take(slice(20)), config=config,
             loss=overflowing, callbacks=[watch], progress=False).metrics
assert scaled["skipped_steps"] == 1 and scaled["loss_scale"] == 2**15
assert torch.equal(weights[2], weights[1])
assert not torch.equal(weights[3], weights[2])
print(f"{len(weights)} steps, 1 skipped, scale {scaled['loss_scale']:.0f}")

# %% [markdown]
# ## Where the memory is
#
# Little of it is weights. Most is what the forward pass keeps for the backward pass: the inputs of every operation. Two means go at that, and neither changes what is learned.
#
# - {term}`Gradient accumulation <gradient accumulation>` computes a batch of $B$ in $k$ parts and adds up. Since the loss is a mean, $\nabla L = \sum_{p} \frac{|p|}{B} \nabla L_p$: the same step, and only one part is kept at a time.
# - {term}`Gradient checkpointing <gradient checkpointing>` keeps the input of each layer alone, and computes the layer again when its gradient is due: one more forward pass of time {cite}`chen2016checkpointing`. Dropout has to fall on the same places the second time.
#
# Bhat and Dharani name another means, magnitude pruning. You can count what each of them keeps for one batch of 32, without a clock, the same on every machine:

# %% mystnb={"figure": {"caption": "What the forward pass of one batch of 32 keeps for the backward pass, as a share of fp32's. Counted.", "name": "fig-precision-kept"}, "image": {"alt": "Horizontal bars of the bytes kept, relative to fp32: a little more than half in 16 bits, about a quarter in four parts, least with layers computed again; as much as in fp32 with zeros, less with units removed."}} tags=["live"]
network, _ = load_backbone("bundled", num_labels=classes)
config = TrainingConfig(batch_size=32)


def bytes_kept(name=precision.FULL, **changes):
    changes = precision.CONTESTANTS[name] | changes
    return precision.saved_bytes(precision.pruned(network, name)[0], pairs,
                                 replace(config, **changes))


kept = {name: bytes_kept(name) for name in precision.CONTESTANTS}
shares = pd.Series(kept).div(kept[precision.FULL]).to_frame("ratio")
_ = figures.ratio_bars(shares, "kept for the backward pass, of fp32")

# %% [markdown]
# **Check.** Zeros are numbers like any other: nothing is saved. Units that are gone do save. Parts and computing again save most.

# %% tags=["live"]
full = kept[precision.FULL]
assert max(kept.values()) == full
assert kept[precision.ZEROS] == full > kept[precision.REMOVED]
assert kept[precision.AGAIN] < 0.2 * full
assert kept[precision.PARTS] < 0.4 * full
assert 0.5 < kept[precision.BF16] / full < 0.7
print("zeros keep everything, a layer that is computed again its input")

# %% [markdown]
# bf16 keeps a little more than half: the weights' 16-bit copies come on top of the fp32 weights.
#
# ## On the clock
#
# Now each of them trains, in turn, and each in a process of its own. The peak is that process's resident set, libraries included, as a monitor of the machine would see it; on a GPU it is what PyTorch allocated. Here a **toy**: a hundred pairs, two layers, a turn each. Its times are noise, most of its memory is PyTorch itself, and fp16 has half a batch.

# %% tags=["nbval-ignore-output", "live"]
outcome = bench.measure("precision", settings, rounds=rounds)
Table(precision.page(outcome.table))

# %% tags=["live"]
work = outcome.turns.groupby("contestant")["examples"].nunique()
assert (work == 1).all()
assert outcome.table.loc[precision.ZEROS, "zeros"] > 0
assert outcome.table["saved_bytes"].idxmin() == precision.BOTH
print("the same pairs in every turn:", len(work), "contestants")

# %% [markdown]
# ## What the records say
#
# The reference run has the whole network, and more pairs a turn. How much less memory does each take at its peak?

# %% mystnb={"figure": {"caption": "Peak memory of the training process, libraries included, as a share of fp32's (reference run). The dotted line is the paper's \u221225%.", "name": "fig-precision-memory"}, "image": {"alt": "Horizontal bars: the peak of the resident set of each contestant relative to fp32. Without a record it says not run."}} tags=["record", "hide-input"]
peaks = reference.filter(like="memory_ratio").rename(
    columns=lambda name: name.removeprefix("memory_"))
_ = figures.ratio_bars(peaks, "peak memory, of fp32", claimed=0.75)

# %% tags=["record", "hide-input"]
Table(precision.page(frame),
      folded="time, memory and accuracy of every contestant (reference run)")

# %% [markdown]
# For use, the paper rounds the trained network to int8 after training. [](11_quantization) does so, and [](tab3_inference_speed) times the files. Three of them, fp32, the library's int8 and ours, on the reference machine:

# %% mystnb={"figure": {"caption": "Inference in fp32 and after int8 post-training quantization, ONNX Runtime, batches of 32 (reference run of the inference benchmark).", "name": "fig-precision-inference"}, "image": {"alt": "Three horizontal bars of milliseconds per batch: the fp32 file is the slowest, the two int8 files are faster. Without a record it says not run."}} tags=["record", "hide-input"]
folder = results.reference_dir() / "cpu" / latency.EXPERIMENT
speeds, _ = latency.latest(folder)
names = {"ONNX Runtime fp32": "fp32", latency.PLAIN: "int8, the library's",
         "quant": "int8, ours (quant)"}
speeds = speeds.rename(index=names)
_ = figures.latency_bars(speeds.loc[speeds.index.isin(names.values())])

# %% [markdown]
# ## What the papers report
#
# Two numbers, −30% and −25%, and figures without any {cite}`bhat2024`. Nothing is said of the GPU, of the batch, or of how memory was read. Our verdicts, by rules that were fixed beforehand:

# %% tags=["record", "hide-input"]
wanted = ("tkd-amp", "bd-time", "bd-memory", "bd-infer")
claims = [claim for claim in verdicts.CLAIMS if claim.id in wanted]
Table(tables.verdict_table(verdicts.audit(results.load(), claims)))

# %% [markdown]
# The memory in this table is that of one pruning run of [](09_pruning) beside its baseline, and not of the turns above. The control of mixed precision is fp32 on the same machine, pairs and seed. A processor without 16-bit instructions gains nothing; there bf16 is emulated.
#
# :::{dropdown} What changes with scale
# With BERT-base, batches of 32 and 128 tokens, activations are the bulk of the memory and libraries are not. Then the shares you counted come close to the shares of the peak. More layers make checkpointing save more: it keeps one input for each, and one layer at a time.
# :::
#
# The reference run: `python -m seo_core.run bench precision --profile cpu --data path/to/mnli`.
#
# ## To remember
#
# - 16 bits can save time only where the processor has instructions for them; bf16 needs no loss scaling, fp16 does.
# - For memory, compute a batch in parts first: it adds no forward pass. Computing layers again does.
# - A zero takes as much memory as a one. fp16 at full size wants a GPU: measure it on yours.
#
# ## Exercises
#
# **1.** Let the overflow come in *every* step of ten. What is the scale in the end, and where are the weights?

# %% tags=["hide-cell", "live"]
def always(logits, batch):
    return overflowing(logits, batch, when=range(1000))


fresh, _ = load_backbone("bundled", num_labels=classes, layers=1)
before = fresh.classifier.weight.detach().clone()
told = fit(fresh, pairs.take(slice(40)), loss=always, progress=False,
           config=replace(config, batch_size=4, precision="fp16", epochs=1))
print(f"{told.metrics['skipped_steps']:.0f} steps skipped, so the scale is",
      f"65536 / 2^10 = {told.metrics['loss_scale']:.0f}")
print("weights as before:", torch.equal(fresh.classifier.weight, before))

# %% [markdown]
# **2.** Count `saved_bytes` with `accumulation=32`, one pair at a time. Why is it not a thirty-second?

# %% tags=["hide-cell", "live"]
print(f"{bytes_kept(accumulation=32) / full:.2f} of fp32, not {1 / 32:.2f}")
print("what does not depend on the batch stays: the joined weights of")
print("query, key and value are copies, and are kept as such")

# %% [markdown]
# **3.** Combine `accumulation=4` with `checkpointing=True` in fp32. Do the savings multiply?

# %% tags=["hide-cell", "live"]
both = bytes_kept(accumulation=4, checkpointing=True) / full
product = kept[precision.PARTS] * kept[precision.AGAIN] / full**2
print(f"nearly: the product of both is {product:.3f}, counted {both:.3f}")
print("the joined weights are computed again too")
