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
# # Distributed training, and scale
#
# **What came out.** Two processes that share every batch learn what one process learns: you see both curves below, equal to the last printed digit. So distribution changes time and memory, and never the result. How much time it saves hangs on what the exchange of gradients costs, and is for the reference run to say. Bhat and Dharani write that their optimised BERT scales with data and with GPUs {cite}`bhat2024`; they print no number for it.

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
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import seo_core
from seo_core import bench, distributed, figures, load_settings, machine, results
from seo_core.analysis import verdicts
from seo_core.analysis.tables import Table
from seo_core.bench import scalability
from seo_core.bench.turns import sample
from seo_core.evaluation import predict
from seo_core.models import load_backbone, load_tokenizer
from seo_core.training import TrainingConfig, classification_loss, fit

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text)
recorded = results.load_records(results.reference_dir() / "cpu" / "bench_scalability")
record = next((r for r in recorded if r["configuration"] == "scalability"), None)
reference = scalability.recorded(record)
cpu = record["provenance"]["machine"]["cpu"] if record else "not run: python -m seo_core.run bench scalability --profile cpu --data path/to/mnli"
print("reference run:", cpu)

# %% mystnb={"figure": {"caption": "Time for a pair, over processes (a core each), over pairs of data and over the network's weights (reference run; bars span the rounds). One and two processes are measured. The dashed line for more is a model, the dotted one what perfect sharing would be.", "name": "fig-scalability"}, "image": {"alt": "Three panels of milliseconds a pair: over 1 to 16 processes, over 1000 to 100000 pairs, and over the millions of weights of five networks. Without a record it says not run."}} tags=["record", "hide-input"]
_ = figures.scalability(*scalability.panels(reference))

# %% [markdown]
# ## One batch, shared
#
# Every process has the whole network. Of a batch of $B$ examples, process $r$ of $p$ takes its share $S_r$: each $p$-th example. It computes the gradient of its own share. Then all of them average:
#
# $$ g = \frac{1}{p} \sum_{r} g_r, \qquad g_r = \frac{p}{B} \sum_{i \in S_r} \nabla L_i. $$
#
# This is {term}`data parallelism <data parallelism>`. All processes now hold the same gradient, take the same step, and have the same weights again. The averaging is an {term}`all-reduce`: each sends and receives about as many numbers as the network has weights, however many processes there are.
#
# One detail is easy to get wrong. The last batch of an epoch is short, and its shares are uneven. A plain average then gives some examples more weight than others. Here are seven examples on three processes:

# %%
pairs = sample(settings, load_tokenizer("bundled"), 96)
classes = int(pairs.labels.max()) + 1
network, _ = load_backbone("bundled", num_labels=classes, layers=1)
network.eval()  # no dropout


def gradient(rows):
    batch = pairs.batch(rows)
    classification_loss(network(**pairs.inputs(rows)).logits, batch).backward()
    found = network.classifier.weight.grad.clone()
    network.zero_grad()
    return found


# %% tags=["live"]
rows = np.arange(7)
shares = [distributed.share(rows, rank, 3) for rank in range(3)]
for rank, (own, weight) in enumerate(shares):
    print(f"process {rank}: examples {own}, weight {weight:.3f}")
whole = gradient(rows)
weighted = sum(weight * gradient(own) for own, weight in shares) / 3
plain = sum(gradient(own) for own, _ in shares) / 3

# %% [markdown]
# **Check.** With these weights the average is the gradient of the batch. Without them it is another one.

# %% tags=["live"]
off = {name: float((each - whole).norm() / whole.norm()) for name, each in (("weighted", weighted), ("plain", plain))}
assert off["weighted"] < 1e-5 < off["plain"]
print("the weighted average is the whole gradient; the plain one is not")

# %% [markdown]
# ## Two processes
#
# You change nothing in a script to distribute it. This one loads a network, pairs and a configuration, and calls `fit`. Then it scores all pairs, each process its share:

# %%
SCRIPT = """
import pickle
from seo_core import distributed
from seo_core.training import fit

model, pairs, config = pickle.load(open("job.pickle", "rb"))  # or load them by yourself
series = fit(model, pairs, development=pairs, config=config, progress=False).series
accelerator = distributed.accelerator()
logits = distributed.predict(accelerator, model, pairs, precision="fp32", progress=False)
if accelerator.is_main_process:
    pickle.dump((series, logits, accelerator.num_processes), open("found.pickle", "wb"))
"""

# %% [markdown]
# What differs is how you start it: `accelerate launch --config_file deploy/accelerate/ddp.yaml train.py`. Each process finds out which one it is, and the first alone writes checkpoints and progress.

# %%
config = TrainingConfig(batch_size=16, epochs=2, evaluations_per_epoch=2, precision="fp32")
for part in network.modules():
    if isinstance(part, torch.nn.Dropout):
        part.p = 0.0  # each process would drop other places
folder = Path(tempfile.mkdtemp())
(folder / "train.py").write_text(SCRIPT)
(folder / "job.pickle").write_bytes(pickle.dumps((network, pairs, config)))
checkout = Path(seo_core.__file__).parents[1]
command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file",
           str(checkout / "deploy" / "accelerate" / "ddp.yaml"), "train.py"]
environment = {**machine.environment(2), "PYTHONPATH": str(checkout)}
done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
assert done.returncode == 0, done.stderr

# %% [markdown]
# The same training in this one process:

# %% tags=["live"]
series, logits, processes = pickle.loads((folder / "found.pickle").read_bytes())
alone = fit(network, pairs, development=pairs, config=config, progress=False).series
curves = pd.DataFrame({"epoch": alone["epoch"], "one process": alone["development_loss"],
                       "two processes": series["development_loss"]})
Table(curves.round(4))

# %% [markdown]
# **Check.** The curves agree to a ten-thousandth. They cannot agree to the last bit: a sum of two halves is rounded otherwise than a sum of the whole, and AdamW divides small gradients by their own size. Over eight epochs of the test of this, the curves differ by a ten-millionth, and those of two seeds by a tenth. The shared scores are those of one process, too.

# %% tags=["live"]
np.testing.assert_allclose(series["development_loss"], alone["development_loss"], rtol=1e-4)
np.testing.assert_allclose(logits, predict(network, pairs, precision="fp32", progress=False), atol=1e-2)
assert processes == 2
print("one curve, by", processes, "processes")

# %% [markdown]
# With dropout the curves part, as they do between two seeds: each process draws its own places.
#
# **When a process dies**, the launcher stops the others within seconds and prints the error of the first that fell. The newest checkpoint is whole. Start the same command again, and the run goes on to the very same weights. Two mistakes end before the first step, with one sentence each: a number of processes that does not divide the batch, and a checkpoint that another number of processes wrote.
#
# **A file of any size** is scored in the same way, by processes or by machines that share a folder: `python -m seo_core.run score --processes 4 …`, or the plain command under `accelerate launch`, whose `RANK` and `WORLD_SIZE` it reads. Chapter [](21_serving) serves what this leaves.
#
# ## When the network does not fit
#
# Data parallelism copies everything into each process. In fp32 a weight under AdamW takes 16 bytes: the weight, its gradient, and two moments. You can count BERT-Large without allocating it:

# %% tags=["live"]
with torch.device("meta"):  # shapes alone
    shapes = {name: scalability.network(name) for name in scalability.SIZES}
weights = {name: sum(p.numel() for p in each.parameters()) for name, each in shapes.items()}
copies = (1, 2, 8)
sharded = pd.DataFrame([(name, round(n / 1e6, 1), *(round(16 * n / p / 1e9, 2) for p in copies))
                        for name, n in weights.items()],
                       columns=["network", "weights, M", *(f"GB in each of {p}" for p in copies)])
assert weights["BERT-Large"] == 335_144_963 and shapes["BERT-Large"].config.num_hidden_layers == 24
Table(sharded)

# %% [markdown]
# The last two columns are what {term}`sharding` leaves in each process: weights, gradients and moments are split, and a weight is fetched when it is needed. Two libraries do it, and `fit` runs under both:
#
# | configuration | what is split | for |
# |---|---|---|
# | `ddp.yaml` | nothing | CPUs and GPUs, the book's choice |
# | `fsdp.yaml` | weights, gradients, moments (FSDP {cite}`zhao2023fsdp`) | GPUs |
# | `deepspeed.yaml` | gradients, moments (ZeRO-2 {cite}`rasley2020deepspeed,rajbhandari2020zero`) | GPUs, and `pip install deepspeed` |
#
# All three lie in `deploy/accelerate/`. You put another name behind `--config_file`, and the number of GPUs behind `--num_processes`:

# %% tags=["live"]
print((checkout / "deploy" / "accelerate" / "fsdp.yaml").read_text())

# %% [markdown]
# On GPUs these were not run. On a CPU, where Accelerate refuses to shard, their parts were made to: FSDP in a test, with the curve of one process. Under either, `fit` takes no `checkpoint_dir`, and says so.
#
# ## What it costs
#
# One process on one core, two with a core each, one with two cores: all train the same pairs in the same batches. Then amounts of data, and sizes of networks, in one process. Here a **toy**: two layers and a hundred pairs, for which starting to talk costs more than computing.

# %% tags=["nbval-ignore-output", "live"]
outcome = bench.measure("scalability", settings, rounds=rounds)
Table(scalability.page(outcome.table))

# %% tags=["live"]
work = outcome.table.loc[[scalability.ONE, scalability.TWO], "examples"]
assert work.nunique() == 1 and outcome.table.at[scalability.TWO, "exchange_ms"] > 0
print("one and two processes saw the same pairs")

# %% [markdown]
# The rows that say *model* were not measured. They come from the first two by
#
# $$ t(p) = \frac{t(1)}{p} + \frac{2 (p - 1)}{p}\, c, \qquad c = t(2) - \frac{t(1)}{2}. $$
#
# Computing is divided by $p$. In a ring each process sends $2(p-1)/p$ of the gradient, which soon stops growing {cite}`sergeev2018horovod`. So more processes never take less than $2c$ a pair. The model assumes that each has a core of its own and the same line to the next; between machines the line is slower, and with larger batches the same line carries more pairs.
#
# **Check.** The model goes through both measurements, and flattens where it must.

# %% tags=["live"]
assert np.allclose(scalability.modelled(10.0, 6.0, [1, 2]), [10, 6])
assert abs(scalability.modelled(10.0, 6.0, 1e6) - 2 * 1.0) < 1e-3
print("10 ms alone and 6 ms by two: 16 would take", scalability.modelled(10.0, 6.0, 16), "ms")

# %% [markdown]
# The reference run is the evidence behind the figure on top:

# %% tags=["record", "hide-input"]
Table(scalability.page(reference), folded="time for a pair of every contestant (reference run)")

# %% [markdown]
# ## Watch the machine
#
# A process that waits looks like one that works, until you look at its cores. `ResourceMonitor` is a callback of `fit`. It reads CPU and memory by psutil, and GPUs by NVIDIA's NVML where there are any:

# %% tags=["nbval-ignore-output", "live"]
monitor = distributed.ResourceMonitor(every=0.2)
fit(network, pairs, config=replace(config, epochs=4), callbacks=[monitor], progress=False)
print("GPUs:", ", ".join(monitor.gpus) or f"absent ({monitor.absent})")
Table(pd.DataFrame(monitor.samples).round(2).tail(4))

# %% tags=["live"]
last = monitor.samples[-1]
assert last["memory_bytes"] > 1e8 and last["step"] == 4 * 6 and bool(monitor.gpus) != bool(monitor.absent)
print("sampled until the last step")

# %% [markdown]
# ## What the papers report
#
# The paper names Horovod, DDP and DeepSpeed, and shows scaling in a figure without numbers. Horovod's ring is what PyTorch's {term}`DDP` does today, so DDP stands for it here; between CPUs it talks by gloo, between GPUs by NCCL. TKD-NLP names massively parallel computing, and no more.

# %% tags=["record", "hide-input"]
claims = [claim for claim in verdicts.CLAIMS if claim.id in ("bd-scale", "tkd-parallel")]
Table(verdicts.audit(results.load(), claims)[["claim", "statement", "ours", "n", "verdict"]])

# %% [markdown]
# **To remember**
#
# - Sharing a batch changes no result, if uneven shares are weighted. Look at the curve before you look at the clock.
# - To use: `accelerate launch --config_file deploy/accelerate/ddp.yaml train.py`, with `batch_size` as the *whole* batch.
# - Whether two processes beat one with two threads is for the reference run to say; sharding on GPUs stays open.
#
# ## Exercises
#
# 1. Share a batch of two among three processes with `distributed.share`. What does the third get, and why does it get anything?
#
# ```{admonition} Answer
# :class: dropdown
# The first example with weight 0. An exchange needs all processes: one that stayed away would leave the others waiting.
# ```
#
# 2. Alone a pair takes 10 ms, by two processes 7.5 ms. How many processes are worth starting, by the model?
#
# ```{admonition} Answer
# :class: dropdown
# Two. Here c is 2.5, so that four take 6.25 ms and sixteen 5.31: never less than 5. Eight times the machines buy less than a third.
# ```
#
# 3. Launch the script with `batch_size=15`. What do you read?
#
# ```{admonition} Answer
# :class: dropdown
# "2 processes cannot share batches of 15 examples: use a batch_size that 2 divides, or start 1". Nothing was trained.
# ```
