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
# Two processes can share every batch. Do they learn the same as one, and how much time do they save? Bhat and Dharani write that their optimized BERT scales with data and with GPUs {cite}`bhat2024`; they print no number for it.

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
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import seo_core
from seo_core import (
    bench,
    distributed,
    figures,
    load_settings,
    machine,
    results,
)
from seo_core.analysis import tables, verdicts
from seo_core.analysis.findings import Contest, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import scalability
from seo_core.bench.turns import sample
from seo_core.evaluation import predict
from seo_core.models import load_backbone, load_tokenizer, save
from seo_core.training import TrainingConfig, classification_loss, fit

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text)
checkout = Path(seo_core.__file__).parents[1]

# %% tags=["record", "answer", "remove-input"]
ways = Contest(scalability.EXPERIMENT, scalability.RECORD)
time = {way: ways.value(way, "ms_per_pair", unit=" ms", digits=2)
        for way in (scalability.ONE, scalability.TWO, scalability.WIDE)}
Finding(f"""
Time for a pair in training (lowest and highest of the rounds): one process on
one core, {time[scalability.ONE]}; two processes on a core each,
{time[scalability.TWO]}; one process on both cores, {time[scalability.WIDE]}.
""")

# %% mystnb={"figure": {"caption": "Time for a pair, over processes (a core each), over pairs of data and over the network's weights (reference run; bars span the rounds). One and two processes are measured. The dashed line for more is a model, the dotted one what perfect sharing would be.", "name": "fig-scalability"}, "image": {"alt": "Three panels of milliseconds a pair: over processes, over pairs of data from 1\u00a0000 to 100\u00a0000, and over the millions of weights of the networks. Without a record it says not run."}} tags=["record", "hide-input"]
_ = figures.scalability(*scalability.panels(ways.frame))

# %% [markdown]
# What they learn is the same: you train both ways below, and the two curves agree to the last printed digit. So distribution changes time and memory, and never the result.
#
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
network, tokenizer = load_backbone("bundled", num_labels=classes, layers=1)
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
off = {name: float((each - whole).norm() / whole.norm())
       for name, each in (("weighted", weighted), ("plain", plain))}
assert off["weighted"] < 1e-5 < off["plain"]
print("the weighted average is the whole gradient; the plain one is not")

# %% [markdown]
# ## Two processes
#
# You change nothing in a script to distribute it. This one loads a network, pairs and a configuration, and calls `fit`. Then it scores all pairs, each process its share:

# %%
SCRIPT = """
import json
import numpy as np
from seo_core import distributed
from seo_core.data import Encoded
from seo_core.models import load_backbone
from seo_core.training import TrainingConfig, fit

model, _ = load_backbone("start", num_labels=None)
pairs = Encoded(**np.load("pairs.npz"))
config = TrainingConfig(**json.load(open("config.json")))
series = fit(model, pairs, development=pairs, config=config).series
processes = distributed.accelerator()
logits = distributed.predict(processes, model, pairs, precision="fp32")
if processes.is_main_process:
    found = {"series": series, "processes": processes.num_processes}
    json.dump(found, open("found.json", "w"), default=float)
    np.save("logits.npy", logits)
"""

# %% [markdown]
# What differs is how you start it: `accelerate launch --config_file deploy/accelerate/ddp.yaml train.py`. Each process finds out which one it is, and the first alone writes checkpoints and progress. Dropout is off, since each process would drop other places.

# %%
folder = Path(tempfile.mkdtemp())
for kind in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
    setattr(network.config, kind, 0.0)
save(network, tokenizer, folder / "start")
np.savez(folder / "pairs.npz", **asdict(pairs))
(folder / "train.py").write_text(SCRIPT)


def launched(config):
    (folder / "config.json").write_text(json.dumps(asdict(config)))
    ddp = checkout / "deploy" / "accelerate" / "ddp.yaml"
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file",
         str(ddp), "train.py"], cwd=folder, capture_output=True, text=True,
        env={**machine.environment(2), "PYTHONPATH": str(checkout)})


# %%
config = TrainingConfig(batch_size=16, epochs=2, evaluations_per_epoch=2,
                        precision="fp32")
done = launched(config)
assert done.returncode == 0, done.stderr

# %% [markdown]
# The same training in this one process:

# %% tags=["live"]
found = json.loads((folder / "found.json").read_text())
network, _ = load_backbone(str(folder / "start"), num_labels=None)
alone = fit(network, pairs, development=pairs, config=config,
            progress=False).series
curves = pd.DataFrame({
    "epoch": alone["epoch"], "one process": alone["development_loss"],
    "two processes": found["series"]["development_loss"]})
Table(curves.round(4))

# %% [markdown]
# **Check.** The curves agree to a ten-thousandth. They cannot agree to the last bit: a sum of two halves is rounded otherwise than a sum of the whole, and AdamW divides small gradients by their own size. The shared scores are those of one process, too.

# %% tags=["live"]
np.testing.assert_allclose(
    curves["two processes"], curves["one process"], rtol=1e-4)
np.testing.assert_allclose(
    np.load(folder / "logits.npy"),
    predict(network, pairs, precision="fp32", progress=False), atol=1e-2)
assert found["processes"] == 2
print("one curve, by", found["processes"], "processes")

# %% [markdown]
# With dropout the curves part, as they do between two seeds: each process draws its own places. (In the test of this, over eight epochs, two processes differ from one by a ten-millionth, and two seeds by a tenth.)
#
# **When a process dies**, the launcher stops the others within seconds and prints the error of the first that fell. The newest checkpoint is whole. Start the same command again, and the run goes on to the very same weights. Two mistakes end before the first step, with one sentence each: a number of processes that does not divide the batch, and a checkpoint that another number of processes wrote.
#
# **A file of any size** is scored in the same way, by processes or by machines that share a folder: `python -m seo_core.run score --processes 4 …`, or the plain command under `accelerate launch`, whose `RANK` and `WORLD_SIZE` it reads. [](21_serving) serves what this leaves.
#
# ## When the network does not fit
#
# Data parallelism copies everything into each process. In fp32 a weight under AdamW takes 16 bytes: the weight, its gradient, and two moments. You can count BERT-Large without allocating it:

# %% tags=["live"]
with torch.device("meta"):  # shapes alone
    shapes = {name: scalability.network(name) for name in scalability.SIZES}
weights = {name: sum(p.numel() for p in each.parameters())
           for name, each in shapes.items()}
assert weights["BERT-Large"] == 335_144_963
assert shapes["BERT-Large"].config.num_hidden_layers == 24
copies = (1, 2, 8)
Table(pd.DataFrame(
    [(name, n / 1e6, *(16 * n / p / 1e9 for p in copies))
     for name, n in weights.items()],
    columns=["network", "weights, M", *(f"GB in each of {p}" for p in copies)]
).round(2))

# %% [markdown]
# The last two columns are what {term}`sharding` leaves in each process: weights, gradients and moments are split, and a weight is fetched when it is needed. Two libraries do it, and `fit` runs under both. All three configurations lie in `deploy/accelerate/`:
#
# - `ddp.yaml` splits nothing. It is for CPUs and GPUs, and the book's choice.
# - `fsdp.yaml` splits weights, gradients and moments, on GPUs (FSDP {cite}`zhao2023fsdp`).
# - `deepspeed.yaml` splits gradients and moments, on GPUs, after `pip install deepspeed` (ZeRO-2 {cite}`rasley2020deepspeed,rajbhandari2020zero`).
#
# You put another name behind `--config_file`, and the number of GPUs behind `--num_processes`:

# %% tags=["here", "hide-output"]
for name in ("fsdp", "deepspeed"):
    place = checkout / "deploy" / "accelerate" / f"{name}.yaml"
    print(f"# {place.name}", place.read_text(), sep="\n")

# %% [markdown]
# The book's tests have no GPU, and on a CPU Accelerate refuses to shard. There a test makes FSDP's parts do it all the same, and gets the curve of one process. Under either, `fit` takes no `checkpoint_dir`, and says so.
#
# ## What it costs
#
# One process on one core, two with a core each, one with two cores: all train the same pairs in the same batches. Then amounts of data, and sizes of networks, in one process. Here a **toy**: two layers, a hundred pairs, a turn each. Its times are mostly noise, and starting to talk costs more than computing.

# %% tags=["nbval-ignore-output", "live"]
outcome = bench.measure("scalability", settings, rounds=rounds)
for way in time:
    ms = outcome.table.at[way, "ms_per_pair"]
    print(f"{way}: {ms:.2f} ms a pair")
Table(scalability.page(outcome.table),
      folded="time for a pair of every contestant (a toy)")

# %% tags=["live"]
work = outcome.table.loc[[scalability.ONE, scalability.TWO], "examples"]
assert work.nunique() == 1
assert outcome.table.at[scalability.TWO, "exchange_ms"] > 0
print("one and two processes saw the same pairs")

# %% [markdown]
# The rows that say *model* were not measured. They come from the first two by
#
# $$ t(p) = \frac{t(1)}{p} + \frac{2 (p - 1)}{p}\, c, \qquad c = t(2) - \frac{t(1)}{2}. $$
#
# Computing is divided by $p$. In a ring each process sends $2(p-1)/p$ of the gradient, which soon stops growing {cite}`sergeev2018horovod`. So more processes never take less than $2c$ a pair. The model assumes that each has a core of its own and the same line to the next. Between machines the line is slower, and with larger batches the same line carries more pairs.
#
# **Check.** The model goes through both measurements, and flattens where it must.

# %% tags=["live"]
assert np.allclose(scalability.modelled(10.0, 6.0, [1, 2]), [10, 6])
assert abs(scalability.modelled(10.0, 6.0, 1e6) - 2 * 1.0) < 1e-3
print("10 ms alone and 6 ms by two: 16 would take",
      scalability.modelled(10.0, 6.0, 16), "ms")

# %% [markdown]
# ## Watch the machine
#
# A process that waits looks like one that works, until you look at its cores. `ResourceMonitor` is a callback of `fit`. It reads CPU and memory by psutil, and GPUs by NVIDIA's NVML where there are any:

# %% tags=["nbval-ignore-output", "live"]
monitor = distributed.ResourceMonitor(every=0.2)
fit(network, pairs, config=replace(config, epochs=4), callbacks=[monitor],
    progress=False)
print("GPUs:", ", ".join(monitor.gpus) or f"absent ({monitor.absent})")
Table(pd.DataFrame(monitor.samples).round(2).tail(4),
      folded="the last samples of the machine")

# %% tags=["live"]
last = monitor.samples[-1]
assert last["memory_bytes"] > 1e8
assert last["step"] == 4 * -(-len(pairs) // config.batch_size)
assert bool(monitor.gpus) != bool(monitor.absent)
print("sampled until the last step")

# %% [markdown]
# ## What the records say
#
# The reference run is `python -m seo_core.run bench scalability --profile cpu --data embedded`: generated pairs, since 100 000 are asked for. Does a pair cost more where there are more of them?

# %% tags=["record", "remove-input"]
flat = Evidence(scalability.EXPERIMENT).mean(
    scalability.RECORD, "flatness", scale=1, unit=" times", digits=2)
Finding(f"""
The time of a pair of the largest amount of data, as one of the smallest:
{flat}.""")

# %% tags=["record", "hide-input"]
Table(scalability.page(ways.frame),
      folded="time for a pair of every contestant (reference run)")

# %% [markdown]
# ## What the papers report
#
# Bhat and Dharani name Horovod, DDP and DeepSpeed, and show scaling in a figure without numbers {cite}`bhat2024`. Horovod's ring is what PyTorch's {term}`DDP` does today, so DDP stands for it here; between CPUs it talks by gloo, between GPUs by NCCL. TKD-NLP names massively parallel computing, and no more.

# %% tags=["record", "hide-input"]
claims = [claim for claim in verdicts.CLAIMS
          if claim.id in ("bd-scale", "tkd-parallel")]
Table(tables.verdict_table(verdicts.audit(results.load(), claims)))

# %% [markdown]
# ## To remember
#
# - Sharing a batch changes no result, if uneven shares are weighted. Look at the curve before you look at the clock.
# - To use: `accelerate launch --config_file deploy/accelerate/ddp.yaml train.py`, with `batch_size` as the *whole* batch.
# - One process may use both cores too: compare with that, and not with one core. Sharding is for GPUs: measure it on yours.
#
# ## Exercises
#
# **1.** Share a batch of two among three processes with `distributed.share`. What does the third get, and why does it get anything?

# %% tags=["hide-cell", "live"]
third, weight = distributed.share(np.arange(2), 2, 3)
print(f"example {third[0]} with weight {weight}:", "an exchange needs all,")
print("and one that stayed away would leave the others waiting")

# %% [markdown]
# **2.** Alone a pair takes 10 ms, by two processes 7.5 ms. How many processes are worth starting, by the model? <!-- setting -->

# %% tags=["hide-cell", "live"]
for p in (2, 4, 16):
    print(f"{p} processes: {scalability.modelled(10.0, 7.5, p):.2f} ms")
print("two: c is 2.5, so it never takes less than 5 ms")

# %% [markdown]
# **3.** Launch the script with `batch_size=15`. What do you read?

# %% tags=["hide-cell", "live"]
failed = launched(replace(config, batch_size=15))
assert failed.returncode != 0
print(re.search(r"\d processes cannot share.*", failed.stderr)[0])
