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
# A trained network has more weights than it needs. The papers take some out: "Magnitude pruning, which eliminates weights with the
# smallest magnitudes, was applied to reduce the number of parameters" {cite}`seollm2024`, after which the rest is fine-tuned
# {cite}`bhat2024`. As a formula, for weights $w$ and a sparsity $s$ {cite}`han2015`:
#
# $$ w_i \leftarrow m_i\, w_i, \qquad m_i = 0 \text{ for the } \lfloor s\,n \rfloor \text{ smallest } |w_i|,\quad 1 \text{ for the others.} $$
#
# There is a catch, and it is the most frequent complaint of those who try it: *the file did not shrink, and it did not get faster*.
# A zero that is stored takes four bytes like any other number, and a dense matrix product multiplies by it all the same.
#
# So this chapter does it in two ways. First the papers' way, counted honestly. Then by *units*: whole attention heads and feed-forward
# neurons are scored, and those that matter least are cut out of the matrices for good. What remains is an ordinary, smaller network.
# How much can go is the subject of [](10_adaptive_iterative_pruning).

# %% tags=["parameters"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline, the order of training, and dropout
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task: embedded | hub id | local path; default: the profile's own
unlabelled: str = "default"  # further texts of the task, without labels, for arms with domain_text: hub id | local path; default: none
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %%
import copy
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab, pruning
from seo_core.bench.latency import InferenceConfig, batches, eager, measure
from seo_core.evaluation import predict
from seo_core.pruning import choose, importance, mask, prune, remove, shapes, sparsity, stored_bytes

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source,
                         unlabelled=unlabelled, labels=labels, text=text, epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("09_pruning", settings)

from transformers import AutoModelForSequenceClassification
from transformers.utils import logging

logging.disable_progress_bar()

# %% [markdown]
# ## What is pruned
#
# The baseline: the headline setting's network, fine-tuned on all training pairs of the profile. All chapters on compression start from
# these weights. Under `quick` they come from a minute's training on generated sentences.

# %%
base = lab.arm("base").model()
parts = {"word table": base.bert.embeddings.word_embeddings, "encoder": base.bert.encoder, "pooler": base.bert.pooler,
         "whole network": base}
counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
magnitudes = {name: np.concatenate([p.detach().abs().numpy().ravel() for p in part.parameters() if p.dim() == 2]).mean()
              for name, part in parts.items()}
Table(pd.DataFrame([(name, n / 1e6, 4 * n / 1e6, magnitudes[name]) for name, n in counts.items()],
                           columns=["part", "weights, M", "MB in fp32", "mean |w|, matrices"]).round(3))

# %% [markdown]
# Pruning is about the encoder. More than half of a small BERT's weights are its word table, which pruning leaves alone: a
# smaller table is a matter of vocabulary and of bits, see [](11_quantization). Left alone, too, is the *pooler*, the one map between encoder and
# classifier. Its weights are by far the smallest (the last column is the mean size of a weight in the matrices), so a ranking over the whole network takes them first. Nothing leads around it: a network
# without pooler has one answer to all pairs, and masks that hold it at zero keep training from mending that.
#
# ## Zeros
#
# Half of the weights in the encoder's linear maps, the smallest of all layers together, are set to zero.

# %%
zeros = copy.deepcopy(base)
masks = prune(zeros, 0.5)
stored = {name: stored_bytes(network, gzip=False) for name, network in (("before", base), ("after", zeros))}
sizes = {name: pruning.file_bytes(network) for name, network in (("before", base), ("after", zeros))}
print(f"weights that are zero: {sparsity(zeros)['share']:.1%} of the linear maps, {sparsity(zeros)['share_of_all']:.1%} of all")
print(f"file:   {sizes['before'] / 1e6:.2f} MB before, {sizes['after'] / 1e6:.2f} MB after")
print(f"packed: {stored['before']['bitmap'] / 1e6:.2f} MB before, {stored['after']['bitmap'] / 1e6:.2f} MB after")

# %% [markdown]
# The file has the size it had. The last line is what the same numbers take when zeros are left out and a bit per weight says where
# they were: the only reading under which such a file is smaller. It has to be unpacked before it can be loaded.
#
# ## Units
#
# A head and a neuron have a part of the matrices to themselves: their rows in the maps that feed them, and their columns in the map
# that reads them. Without them the matrices are smaller, and that is all there is to it. The question is which. Three scores:
#
# - **magnitude**: the norm of the unit's own weights.
# - **first-order Taylor**: $\mathbb{E}_x \big( \sum_t a\, \partial L / \partial a \big)^2$, the change of the loss to first order when the unit's output $a$
#   becomes zero, squared {cite}`michel2019heads,molchanov2019`. Mean squares of independent changes add up, so that a head can be compared with the many
#   neurons that have as many weights. The mean absolute value of $n$ such changes together grows as $\sqrt n$ only, and heads would look cheap.
# - **activation-aware**: the size of the output times the norm of the weights that read it, after {cite:t}`sun2024wanda`.
#
# They are computed in one pass over some pairs of the *reward* half of the development slice. The units are ranked by score per
# weight, since weights are what a removal buys.

# %%
reward = lab.encoded("reward").take(slice(64))
scores = {name: importance(base, name, reward) for name in ("magnitude", "taylor", "activation")}
removals = {name: choose(base, found, 0.4) for name, found in scores.items()}
small = {name: remove(base, **removal.units) for name, removal in removals.items()}

# %% mystnb={"figure": {"caption": "What is left of each layer when 40% of the encoder's weights go, by score (under quick: a briefly trained network).", "name": "fig-pruning-shapes"}, "image": {"alt": "Bars for each layer: heads on the left, feed-forward neurons on the right, before pruning and after it by each of the three scores."}}
_ = figures.sizes({"before": shapes(base), **{name: shapes(network) for name, network in small.items()}})

# %% [markdown]
# **Check.** What was removed counts nothing and what stays is untouched: the small network's logits are those of the large one with the
# units' outputs set to zero. Its file is smaller by exactly the bytes of the weights that went, and transformers reloads it as any
# other model. The zeros of the section above saved no byte.

# %%
gone, network = removals["taylor"], small["taylor"]
masked = mask(base, heads=gone.heads, neurons=gone.neurons)
assert np.abs(predict(network, reward) - predict(masked, reward)).max() < 1e-4
saved, fewer = sizes["before"] - pruning.file_bytes(network), sum(p.numel() for p in base.parameters()) - sum(
    p.numel() for p in network.parameters())
assert abs(saved / (4 * fewer) - 1) < 0.01 and fewer / counts["encoder"] >= 0.4
assert sizes["after"] == sizes["before"] and 0.49 < sparsity(zeros)["share"] < 0.51
with tempfile.TemporaryDirectory() as folder:
    network.save_pretrained(Path(folder) / "small")
    again = AutoModelForSequenceClassification.from_pretrained(Path(folder) / "small")
assert np.array_equal(predict(again, reward), predict(network, reward))
print("removal is masking, only smaller; the file shrinks by the weights that went; zeros save nothing")

# %% [markdown]
# ## The clock
#
# Milliseconds for a batch of 32 pairs in PyTorch, the networks taking turns: the mean over a turn's batches, and of that the median, lowest and highest turn.
# The speed-up is the quotient of the medians. It is a first look at few batches; the exported files are compared in [](tab3_inference_speed).

# %% tags=["nbval-ignore-output"]
config = InferenceConfig(batches=2, rounds=3)
contestants = {"baseline": base, "50% zeros": zeros, "40% of the encoder removed": network}
contestants = {name: eager(each, threads=config.threads) for name, each in contestants.items()}
turns = measure(contestants, batches(lab.encoded("acceptance"), config), config)
means = turns.groupby(["contestant", "round"])["ms"].mean().unstack("round").loc[list(contestants)]
table = pd.DataFrame({"ms, median": means.median(axis=1), "lowest": means.min(axis=1), "highest": means.max(axis=1)})
table["speed-up"] = table.loc["baseline", "ms, median"] / table["ms, median"]
Table(table.round(2).reset_index(names="network"))

# %% [markdown]
# ## Training what is left
#
# Two arms: `prune` is the papers' way, zeros that are held at zero while the rest is fine-tuned on the labels. `taylor-40` removes 40% of
# the encoder's weights as units. It has two helps. Before training, the units that stay take over what they can of what the others gave, by
# least squares on the scoring pairs {cite}`he2017channel`. And in training, the unpruned network's soft labels stand beside the labels, as in
# [](12_distillation). Under `quick` each trains for a quarter of an epoch.

# %% tags=["nbval-ignore-output"]
arms = list(pruning.PRUNING.arms)
names = ["prune", "taylor-40"] if profile == "quick" else arms
runs = {name: lab.arm(name) for name in ["base", *names]}
rows = [{"arm": name, **{f"{which}, %": 100 * accuracy for which, accuracy in run.accuracies.items()},
         "zeros, %": 100 * run.metrics.get("sparsity", 0), "encoder removed, %": 100 * run.metrics.get("removed", 0),
         "file, MB": run.metrics.get("size_bytes", sizes["before"]) / 1e6} for name, run in runs.items()]
Table(pd.DataFrame(rows).round(2))

# %% [markdown]
# ## What the papers report
#
# 420 MB become 364, 150 ms a batch become 130, and accuracy goes from 84.5% to 83.5% {cite}`sec2025`. The method is magnitude pruning, by
# single weights; the sparsity is not given. Neither a smaller file nor a shorter time follows from that: see contradiction 9 in
# [](claims_audit). Bhat and Dharani report 25% less memory by "magnitude-based pruning" {cite}`bhat2024`.
#
# That structured pruning keeps accuracy far beyond this is known: CoFi reports 85.3% on MNLI with 60% of BERT-base's weights gone, block movement pruning
# between 83.7% and 81.0% with 65 to 87% {cite}`xia2022cofi,lagunas2021`. Both train many epochs with a teacher.
#
# ## The reference runs
#
# Records of the profile `cpu`; all arms start from the same baseline.
#
# - `prune`, `prune-layer`: half of the encoder's weights to zero, over all layers together or within each matrix; `prune-30`, `-70`, `-90`: other sparsities.
# - `magnitude-…`, `taylor-…`, `activation-…`: so many percent of the encoder's weights removed as units, by score; `random-…` is the contrast.
# - `layers-33`, `layers-50`: two and three of six layers, by Taylor score.
# - `taylor-65`: 65% by Taylor score, with heads, neurons *and* whole layers as units. It has its own mark in the figure.
# - `taylor-60-labels`: without a teacher. `taylor-60-raw`: without least squares.
#
# Differences to the baseline are in points, paired by seed and example, with 95% intervals. The column *after Holm* says which of
# them stand once the whole table counts as one family ({term}`Holm correction`).
#
# *To equal control* is the difference to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` ([](10_adaptive_iterative_pruning)) or `base-control`
# ([](12_distillation)). Behind it stand the seeds that both have, and what Holm's correction leaves. *No equal control* says that these saw fewer pairs than the arm, counted with all
# that it was made from, as in the last column.

# %%
frame = results.load(results.reference_dir() / "cpu" / "09_pruning")
compressed = results.load(*(results.reference_dir() / "cpu" / name for name in tradeoff.CHAPTERS))  # with controls and ancestors
print(tables.absent(frame, arms), tables.standing(frame), sep="\n")
against = contrasts.official_differences(frame, dict.fromkeys(arms, "base"))
Table(tables.against_table(frame, ["base", *arms], against, compressed))

# %% mystnb={"figure": {"caption": "Accuracy (mean of both official sets) over the share of weights removed (reference runs, mean and range over the seeds). Dotted: one point below the baseline. Zeros are counted among the weights of the encoder's matrices, units among all of the encoder's.", "name": "fig-pruning-curves"}, "image": {"alt": "Lines of accuracy over the share of weights that are zero or removed, for zeros and for units by each score; without records the panel says not run."}}
_ = figures.share_and_accuracy(tables.removed_and_accuracy(frame))

# %% [markdown]
# Up to 60% of the encoder the line by Taylor score stays at or above the baseline. Above it need not be the pruning's merit: these networks were trained on for three passes with a teacher.
# In [](10_adaptive_iterative_pruning) a network of which nothing was removed gains more than a point by twice that training. With `taylor-60` three fifths are gone in one cut. After least squares and three passes with the unpruned network as teacher, neither interval shows a
# loss, and both exclude one of a point. The cut is not even: the first layers keep most of their neurons, the last two keep sixteen each. With `taylor-65` the last layer goes as a
# whole; over three seeds its two intervals hold zero, and on the mismatched set the interval excludes a loss of one point; on the matched set it just does not. Whole layers alone are too coarse a unit: `layers-50` removes less than `taylor-60` and loses more than two points.
#
# Does the score matter, if training follows in any case? At 60%, pair by pair:

# %%
scored = ("taylor", "magnitude", "activation")
pairs = [*((f"{score}-60", "random-60") for score in scored), *(("taylor-60", f"{score}-60") for score in scored[1:])]
Table(tables.pair_table(contrasts.official_differences(frame, pairs)))

# %% [markdown]
# In these runs of one seed, with one random draw of units, it does. The Taylor score is worth two points against the random draw, a point and a half against the activation-aware score,
# and about one against magnitude (which stands after Holm's correction on the matched set only). Magnitude is better than the random draw (after Holm on the mismatched set only), the activation-aware score is not told apart from it. A score that looks at the loss knows something that training
# afterwards does not make up for: `taylor-80` has half of the encoder weights that `random-60` has left, and is not told apart from it either.
#
# Zeros cost about a point where half of the weights are gone, two with seventy percent, and more than seventeen with ninety: what is left then no longer recovers in three passes.
#
# The two kinds of lines do not compare like with like. Zeros were trained on the labels alone, as in the papers, and units with the unpruned network as
# teacher. `taylor-60-labels` is without it:

# %%
pairs = [("taylor-60", "taylor-60-labels"), ("taylor-60-labels", "prune")]
Table(tables.pair_table(contrasts.official_differences(frame, pairs)))

# %% [markdown]
# A weight set to zero may be picked anywhere, so one would expect more of them to go at the same loss. Here it is not so, teacher or no teacher: with sixty percent of the weights removed as units the
# network is not shown to be worse than with half of them at zero (it had the help of least squares, zeros had not). And a removed unit saves bytes and time; a zero saves neither.
#
# ## What changes with scale
#
# BERT-base has twelve layers of twelve heads and 3 072 neurons, and was not distilled from a larger network as this one was: it has more to spare. Runtimes that
# skip zeros exist for CPUs; with them, and 90% of zeros, {cite:t}`kurtic2022` report real gains.
#
# ## Exercises
#
# 1. Prune the word table too (`embeddings=True`). What does it cost, at 50%?
# 2. Let layers go: `choose(..., kinds=("heads", "neurons", "layers"))`. Which ones are chosen? Is the result faster at equal weights?
# 3. Train `random-40` and `taylor-40` for one, three and nine epochs. Do the scores stop mattering, and when?
# 4. Take `multiple=1` in `choose`. Does the network get slower although it is smaller?
