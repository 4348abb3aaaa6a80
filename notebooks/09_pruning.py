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
# # Pruning: zeros, and units that are gone
#
# A trained network has more weights than it needs. How many can go, and does the network get smaller and faster by it?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline, the order of training, and dropout
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
unlabelled: str = "default"  # texts without labels; default: none
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import copy
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab, pruning
from seo_core.bench.latency import InferenceConfig, batches, eager, measure
from seo_core.evaluation import accuracy, predict
from seo_core.pruning import (
    choose,
    importance,
    mask,
    prune,
    remove,
    shapes,
    sparsity,
    stored_bytes,
)

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("09_pruning", settings)

from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

logging.disable_progress_bar()

# %% tags=["record", "answer", "remove-input"]
ours = Evidence("09_pruning", "10_adaptive_iterative_pruning")
size = {name: ours.mean(name, "size_bytes", scale=1e-6, unit=" MB")
        for name in ("base", "taylor-65", "prune")}
Finding(f"""
With 65% of the encoder cut out as whole heads, neurons and layers, and the
rest trained on with a teacher, the file has {size['taylor-65']} instead of
{size['base']}, and the network
{ours.told('taylor-65', 'base', same='is not shown to lose accuracy')}:
{ours.gap('taylor-65', 'base', MATCHED)} on the matched set. The same
training without a cut gains more; against that, the cut costs
{ours.gap('taylor-65', 'distilled', MATCHED)}. With half of the weights set to
zero the file has {size['prune']}, and the accuracy changes by
{ours.gap('prune', 'base', MATCHED)}.""")

# %% mystnb={"figure": {"caption": "Accuracy (mean of both official sets) over the share of weights removed: mean and range over the seeds. Dotted: one point below the baseline. Zeros are counted among the weights of the encoder's matrices, units among all of the encoder's.", "name": "fig-pruning-curves"}, "image": {"alt": "Lines of accuracy over the share of weights that are zero or removed, for zeros and for units by each score; without records the panel says not run."}} tags=["record", "hide-input"]
frame = results.load(results.reference_dir() / "cpu" / "09_pruning")
_ = figures.share_and_accuracy(tables.removed_and_accuracy(frame))

# %% [markdown]
# ## The idea
#
# The papers set the smallest weights to zero, "to reduce the number of parameters" {cite}`seollm2024`, and fine-tune the rest {cite}`bhat2024`.
# For weights $w$ and a {term}`sparsity` $s$ {cite}`han2015`:
#
# $$ w_i \leftarrow m_i\, w_i, \qquad m_i = 0 \text{ for the } \lfloor s\,n \rfloor \text{ smallest } |w_i|,\quad 1 \text{ for the others.} $$
#
# Those who try it complain that *the file did not shrink, and it did not get faster*. A zero that is stored takes four bytes like any other number. A dense matrix product multiplies by it all the same.
#
# You do it here in two ways. First as the papers do, counted honestly. Then by *units*: whole attention heads and feed-forward neurons are scored, and those that matter least are cut out of the matrices for good. What remains is an ordinary, smaller network.
#
# You start from the baseline of [](02_baseline). Where are its weights?

# %% tags=["live"]
base = lab.arm("base").model()
parts = {"word table": base.bert.embeddings.word_embeddings,
         "encoder": base.bert.encoder, "pooler": base.bert.pooler,
         "whole network": base}
counts = {name: sum(p.numel() for p in part.parameters())
          for name, part in parts.items()}
magnitudes = {name: np.concatenate([
    p.detach().abs().numpy().ravel()
    for p in part.parameters() if p.dim() == 2]).mean()
    for name, part in parts.items()}
Table(pd.DataFrame(
    [(name, n / 1e6, 4 * n / 1e6, magnitudes[name])
     for name, n in counts.items()],
    columns=["part", "weights, M", "MB in fp32", "mean |w|"]).round(3))

# %% [markdown]
# More than half of a small BERT is its word table. Pruning leaves it alone: a smaller table is a matter of vocabulary and of bits ([](11_quantization)).
# The *pooler*, the one map between encoder and classifier, stays too. Its weights are by far the smallest, so a ranking over the whole network would take them first, and nothing leads around it.
#
# ## Zeros
#
# Set half of the weights in the encoder's linear maps to zero, the smallest of all layers together.

# %% tags=["live"]
zeros = copy.deepcopy(base)
masks = prune(zeros, 0.5)
stored = {name: stored_bytes(network, gzip=False)["bitmap"] / 1e6
          for name, network in (("before", base), ("after", zeros))}
sizes = {name: pruning.file_bytes(network)
         for name, network in (("before", base), ("after", zeros))}
print(f"zeros:  {sparsity(zeros)['share']:.1%} of the linear maps,",
      f"{sparsity(zeros)['share_of_all']:.1%} of all weights")
print(f"file:   {sizes['before'] / 1e6:.2f} MB before,",
      f"{sizes['after'] / 1e6:.2f} MB after")
print(f"packed: {stored['before']:.2f} MB before, {stored['after']:.2f} after")

# %% [markdown]
# The file has the size it had. *Packed* leaves zeros out and keeps a bit per weight to say where they were. Only read so is the file smaller, and it has to be unpacked before it can be loaded.
#
# ## Units
#
# A head and a neuron have a part of the matrices to themselves: their rows in the maps that feed them, and their columns in the map that reads them. Cut these out and the matrices are smaller. But which units? Three scores:
#
# - **magnitude**: the norm of the unit's own weights.
# - **first-order Taylor**: $\mathbb{E}_x \big( \sum_t a\, \partial L / \partial a \big)^2$, the squared change of the loss, to first order, when the unit's output $a$ becomes zero {cite}`michel2019heads,molchanov2019`.
# - **activation-aware**: the size of the output times the norm of the weights that read it, after {cite:t}`sun2024wanda`.
#
# :::{dropdown} Why the mean *square*?
# Mean squares of independent changes add up, so that a head can be compared with the many neurons that have as many weights. The mean absolute value of $n$ such changes together grows as $\sqrt n$ only, and heads would look cheap.
# :::
#
# One pass over some pairs of the *reward* half of the development slice computes them. Units are ranked by score per weight, since weights are what a removal buys.

# %%
reward = lab.encoded("reward").take(slice(64))
scores = {name: importance(base, name, reward)
          for name in ("magnitude", "taylor", "activation")}
removals = {name: choose(base, score, 0.4) for name, score in scores.items()}
small = {name: remove(base, **removal.units)
         for name, removal in removals.items()}

# %% mystnb={"figure": {"caption": "What is left of each layer when 40% of the encoder's weights go, by score.", "name": "fig-pruning-shapes"}, "image": {"alt": "Bars for each layer: heads on the left, feed-forward neurons on the right, before pruning and after it by each of the three scores."}} tags=["live"]
_ = figures.sizes({"before": shapes(base), **{
    name: shapes(network) for name, network in small.items()}})

# %% [markdown]
# **Check.** The small network answers as the large one does with the units' outputs held at zero. Its file is smaller by exactly the bytes of the weights that went, and transformers reloads it as any other model. The zeros above saved no byte.

# %% tags=["live"]
gone, network = removals["taylor"], small["taylor"]
masked = mask(base, heads=gone.heads, neurons=gone.neurons)
difference = np.abs(predict(network, reward) - predict(masked, reward)).max()
saved = sizes["before"] - pruning.file_bytes(network)
fewer = counts["whole network"] - sum(p.numel() for p in network.parameters())
assert difference < 1e-4 and fewer / counts["encoder"] >= 0.4
assert abs(saved / (4 * fewer) - 1) < 0.01
assert sizes["after"] == sizes["before"]
assert 0.49 < sparsity(zeros)["share"] < 0.51
with tempfile.TemporaryDirectory() as folder:
    network.save_pretrained(Path(folder) / "small")
    again = AutoModelForSequenceClassification.from_pretrained(
        Path(folder) / "small")
assert np.array_equal(predict(again, reward), predict(network, reward))
print("cut out = held at zero, only smaller; zeros save nothing")

# %% [markdown]
# ## The clock
#
# Now time all three in PyTorch, a batch of 32 pairs each, in turns. It is a first look at few batches; [](tab3_inference_speed) compares the exported files.

# %% tags=["nbval-ignore-output", "live"]
config = InferenceConfig(batches=2, rounds=3)
contestants = {"baseline": base, "50% zeros": zeros,
               "40% of the encoder cut out": network}
turns = measure({name: eager(each, threads=config.threads)
                 for name, each in contestants.items()},
                batches(lab.encoded("acceptance"), config), config)
means = turns.groupby(["contestant", "round"])["ms"].mean()
table = means.unstack("round").loc[list(contestants)].agg(
    ["median", "min", "max"], axis=1).add_prefix("ms, ")
table["speed-up"] = table["ms, median"].iloc[0] / table["ms, median"]
Table(table.round(2).reset_index(names="network"))

# %% [markdown]
# ## Training what is left
#
# Two ways to go on. `prune` is the papers': the zeros are held at zero while the rest is fine-tuned on the labels. `taylor-40` has 40% of the encoder cut out by Taylor score, and two helps. Before training, the units that stay take over what they can of what the others gave, by least squares {cite}`he2017channel`. In training, the unpruned network's {term}`soft labels` stand beside the labels ([](12_distillation)).

# %% tags=["nbval-ignore-output", "live"]
arms = list(pruning.PRUNING.arms)
names = ["prune", "taylor-40"] if profile == "quick" else arms
runs = {name: lab.arm(name) for name in ["base", *names]}
Table(pd.DataFrame([{
    "arm": name,
    **{f"{k}, %": 100 * v for k, v in run.accuracies.items()},
    "zeros, %": 100 * run.metrics.get("sparsity", 0),
    "cut out, %": 100 * run.metrics.get("removed", 0),
    "file, MB": run.metrics.get("size_bytes", sizes["before"]) / 1e6,
} for name, run in runs.items()]).round(2))

# %% [markdown]
# ## What the papers report
#
# 420 MB become 364, 150 ms a batch become 130, and accuracy goes from 84.5% to 83.5% {cite}`sec2025`. The method is magnitude pruning of single weights; the sparsity is not given. Neither a smaller file nor a shorter time follows from that: contradiction 9 in [](claims_audit). Bhat and Dharani report 25% less memory by "magnitude-based pruning" {cite}`bhat2024`.
#
# That cutting out units keeps accuracy far beyond this is known: CoFi reports 85.3% on MNLI with 60% of BERT-base gone, block movement pruning between 83.7% and 81.0% with 65 to 87% {cite}`xia2022cofi,lagunas2021`. Both train many epochs with a teacher.
#
# ## What the records say
#
# Does the score matter, if training follows in any case?

# %% tags=["record", "remove-input"]
Finding(f"""
At 60%, it does. The Taylor score
{ours.told('taylor-60', 'random-60')} than a random draw of units by
{ours.gap('taylor-60', 'random-60')}. Magnitude
{ours.told('magnitude-60', 'random-60')}
({ours.gap('magnitude-60', 'random-60')}); the activation-aware score
{ours.told('activation-60', 'random-60', same='is not told apart from it')}
({ours.gap('activation-60', 'random-60')}). A score that looks at the loss
knows something that training does not make up for.""")

# %% [markdown]
# How far can zeros go, and how far can layers?

# %% tags=["record", "remove-input"]
Finding(f"""
Zeros cost {ours.gap('prune-70', 'base')} with 70% of the weights gone, and
{ours.gap('prune-90', 'base')} with 90%: what is left no longer recovers in
three passes. Whole layers alone are too coarse a unit: three of six layers
(`layers-50`) remove less than `taylor-60` and cost
{ours.gap('layers-50', 'base')}.""")

# %% [markdown]
# The two kinds do not compare like with like, since zeros were trained on the labels alone. So one arm cuts out units and has no teacher:

# %% tags=["record", "remove-input"]
Finding(f"""
60% cut out without a teacher (`taylor-60-labels`) against half of the weights
at zero: {ours.gap('taylor-60-labels', 'prune')}. One would expect zeros to be
the milder cut, since they may be picked anywhere. Here they are not shown to
be, and a unit that is gone saves bytes and time.""")

# %% tags=["record", "hide-input"]
compressed = contrasts.exploratory(Evidence(*tradeoff.CHAPTERS).frame)
print(tables.absent(frame, arms), tables.standing(frame), sep="\n")
scored = ("taylor", "magnitude", "activation")
pairs = [*((f"{score}-60", "random-60") for score in scored),
         *(("taylor-60", f"{score}-60") for score in scored[1:]),
         ("taylor-60", "taylor-60-labels"), ("taylor-60-labels", "prune")]
against, equal, by_pair = contrasts.family(
    contrasts.official_differences(compressed, dict.fromkeys(arms, "base")),
    contrasts.control_differences(compressed, arms),
    contrasts.official_differences(frame, pairs))
Table(tables.against_table(compressed, ["base", *arms], against,
                           controls=equal),
      folded="all arms, against the baseline and the equal control")

# %% [markdown]
# :::{dropdown} How to read this table
# - `prune`, `prune-layer`: half of the encoder's weights to zero, over all layers together or within each matrix; `prune-30`, `-70`, `-90`: other sparsities.
# - `magnitude-…`, `taylor-…`, `activation-…`: so many percent cut out as units, by score; `random-…` is the contrast. `layers-33`, `layers-50`: two and three of six layers.
# - `taylor-65`: heads, neurons *and* whole layers as units. `taylor-60-labels`: without a teacher. `taylor-60-raw`: without least squares.
# - Differences are in points, paired by seed and example, with 95% intervals. *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# - *To equal control*: to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` ([](10_adaptive_iterative_pruning)) or `base-control` ([](12_distillation)). *No equal control*: these saw fewer pairs than the arm with all that it was made from, as in the last column.
# :::

# %% tags=["record", "hide-input"]
Table(tables.pair_table(by_pair),
      folded="scores and teacher, pair by pair")

# %% [markdown]
# BERT-base has twelve layers of twelve heads and 3 072 neurons, and was not distilled from a larger network as this one was: it has more to spare. Runtimes that skip zeros exist for CPUs; with 90% of zeros, {cite:t}`kurtic2022` report real gains.
#
# ## To remember
#
# - A zero in a file is a number like any other. Cut out whole units if you want bytes and milliseconds.
# - Score units by what they do to the loss (Taylor), and train what is left with the unpruned network as teacher.
# - Open: whether zeros with a teacher would do better, and more than one seed for most of these arms.
#
# ## Exercises
#
# **1.** Prune the word table too (`embeddings=True`). How many of all weights are zero then, at a half, and what does it cost before any training?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
everything = copy.deepcopy(base)
prune(everything, 0.5, embeddings=True)
for name, each in (("encoder only", zeros), ("word table too", everything)):
    share = sparsity(each, embeddings=True)["share_of_all"]
    print(f"{name}: {share:.0%} zeros,",
          f"accuracy {accuracy(each, reward):.1%}")

# %% [markdown]
# **2.** Let layers go, too: `kinds=("heads", "neurons", "layers")`. Which ones are chosen?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
removal = choose(base, importance(base, "taylor", reward), 0.6,
                 kinds=("heads", "neurons", "layers"))
print({kind: len(units) for kind, units in removal.units.items()})

# %% [markdown]
# **3.** Take `multiple=1` in `choose`. Does the network get slower although it is smaller?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
rough = remove(base, **choose(base, scores["taylor"], 0.4, multiple=1).units)
turns = measure({name: eager(each, threads=config.threads) for name, each in
                 (("multiples of 16", network), ("any number", rough))},
                batches(lab.encoded("acceptance"), config), config)
print(turns.groupby("contestant")["ms"].median().round(1).to_string())
