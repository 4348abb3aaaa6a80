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
# # Figure 4: the distribution of the weights
#
# Does pruning keep the shape of the weights' distribution? Figure 4 of the first version of the paper shows two histograms, before and after. Its text speaks of "a typical bell curve", then of "a significant reduction in weights with small magnitudes", and so of weights removed "while preserving the overall structure of the weight distribution" {cite}`seollm2024`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import tables, verdicts
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table, rows_or
from seo_core.pruning.distribution import overlap
from seo_core.settings import display_source, resolve_path

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
NAMES = {"prune-30": "zeros, 30%", "prune": "zeros, 50%",
         "prune-70": "zeros, 70%", "prune-90": "zeros, 90%",
         "taylor-40": "units, 40%", "taylor-60": "units, 60%", "aip": "AIP"}
CHAPTERS = ("09_pruning", "10_adaptive_iterative_pruning")
folders = [results.reference_dir() / "cpu" / name for name in CHAPTERS]
reference, frame = results.load_records(*folders), results.load(*folders)
first = {r["configuration"]: r
         for r in sorted(reference, key=lambda r: -r["seed"])}
shown = {name: first[name] for name in NAMES if name in first
         and first[name]["series"].get("layer_overlap")}
judged = verdicts.audit(frame, tuple(
    claim for claim in verdicts.CLAIMS if claim.id == "h-weights"))

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(frame=frame)
SHAPE = dict(metric="weight_shape_overlap", scale=1, unit="", digits=2)
Finding(f"""
Set the smallest half of the weights to zero, and the rest overlaps with the
bell by {ours.mean('prune', **SHAPE)} (1: the same shape). With 90% at zero it
is {ours.mean('prune-90', **SHAPE)}. The claim asks for 0.9, and its verdict is
*{judged['verdict'].iloc[0]}*, with {ours.seeds('prune', SHAPE['metric'])}. Cut
out whole units instead, 60% of the encoder, and it is
{ours.mean('taylor-60', **SHAPE)}.""")

# %% mystnb={"figure": {"caption": "The papers' Figure 4, by our records: weights of the first and the last layer before (line) and after pruning (area), in standard deviations before. The outermost bins hold all that lies beyond. Numbers: overlap of the shapes, and the share of mass that is gone.", "name": "fig-weights-reference"}, "image": {"alt": "Four histograms. Zeros leave a gap in the middle of the bell, in both layers. Removed units leave a lower bell in the first layer; in the last one hardly anything is left to see. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.weight_distributions(
    {NAMES[name]: shown[name] for name in ("prune", "taylor-60")
     if name in shown}, layers=(0, -1))

# %% [markdown]
# ## The idea
#
# The two halves of the papers' sentence pull in opposite directions. Most weights of a bell curve lie in its middle. Take out the small ones and you take out the middle. What is left has two humps.
#
# You can measure it, layer by layer. Let $w$ be the weights of a layer before pruning, and $v$ those that it has after pruning and the training that follows; zeros are not counted. With histograms $p$ of the one and $q$ of the other, each divided by its own standard deviation,
#
# $$ \text{overlap} = \sum_b \min(p_b, q_b), \qquad \text{removed mass} = 1 - \frac{\sum v^2}{\sum w^2}. $$
#
# The *mass* of some weights is the sum of their squares: a small weight has next to none. So a bell curve has most of its *weights* in the middle and most of its *mass* further out. An overlap of 1 is the same shape. The claim `h-weights` is that it is at least `0.9`.
#
# ## What an ideal bell curve does
#
# You need no network to see the point. Take a million numbers from a normal distribution and set the smallest to zero. For contrast, remove the same share without regard to size, which is what cutting out whole units comes close to.

# %%
bell = np.random.default_rng(0).normal(size=1_000_000)
size, shares = np.abs(bell), [0.1, 0.3, 0.5, 0.7, 0.9]
cuts = {s: np.quantile(size, s) for s in shares}
by_size = {s: overlap(bell, bell[size > cuts[s]]) for s in shares}
at_random = {s: overlap(bell, bell[: round((1 - s) * len(bell))])
             for s in shares}
mass = {s: float((bell[size <= cuts[s]] ** 2).sum() / (bell**2).sum())
        for s in shares}
Table(pd.DataFrame([
    (f"{s:.0%}", by_size[s], at_random[s], f"{mass[s]:.1%}") for s in shares],
    columns=["removed", "overlap, smallest removed",
             "overlap, random ones removed", "mass of the smallest"]).round(2))

# %% [markdown]
# **Check.** The smallest half of a bell curve's weights has less than a twelfth of its mass. Removing it leaves a shape that overlaps with the bell by much less than the claim asks for. Removing at random leaves the shape.

# %%
assert mass[0.5] < 0.08 and by_size[0.5] < 0.8 < 0.99 < at_random[0.5]
falling = [by_size[s] for s in shares]
assert falling == sorted(falling, reverse=True) and len(set(falling)) == 5
print("small weights carry little mass, and taking them out",
      "of a bell curve does not keep its shape")

# %% [markdown]
# ## What the records say
#
# Means over the layers, and the layer that keeps its shape least. `prune` sets half of the weights to zero, `prune-70` and `prune-90` set more; `taylor-40` and `taylor-60` cut out such a share of the encoder as whole units, and `aip` cuts units until accuracy falls:

# %% tags=["record", "hide-input"]
Table(tables.shape_table(shown))

# %% tags=["record", "hide-input"]
keys = ("overlap", "removed_weights", "removed_mass")
rows = []
for name, record in shown.items():
    worst = int(np.argmin(record["series"]["layer_overlap"]))
    rows.append((name, worst + 1, *(
        round(record["series"][f"layer_{key}"][worst], 2) for key in keys)))
Table(rows_or(rows, ["configuration", "layer", "overlap", "weights removed",
                     "mass removed"]),
      folded="the layer of each network that keeps its shape least")

# %% mystnb={"figure": {"caption": "All layers and all ways of pruning: weights before (line) and after (area). Numbers: overlap of the shapes, and the share of mass that is gone.", "name": "fig-weights-all"}, "image": {"alt": "A row of small histograms for each way of pruning, a panel for each layer. Zeros leave a gap in the middle of every bell. Removed units leave lower bells of the same shape, but for the last layers. Without records it says not run."}} tags=["record", "hide-input", "hide-output"]
_ = figures.weight_distributions(
    {NAMES[name]: record for name, record in shown.items()})

# %% [markdown]
# Removing units keeps the shape, but not everywhere:

# %% tags=["record", "remove-input"]
def last(name, key, shape="{:.2f}"):
    """A value of the last layer of a network."""
    values = first[name]["series"].get(key) if name in first else None
    return shape.format(values[-1]) if values else "not run"


Finding(f"""
In the last layer of `taylor-60` {last('taylor-60',
'layer_removed_weights', '{:.0%}')} of the weights are gone, but only
{last('taylor-60', 'layer_removed_mass', '{:.0%}')} of the mass, and the
overlap is {last('taylor-60', 'layer_overlap')}. Few units are left there:
{last('taylor-60', 'layer_neurons', '{}')} neurons and
{last('taylor-60', 'layer_heads', '{}')} heads.""")

# %% [markdown]
# Least squares let these few take over what they could of the others' outputs ([](09_pruning)). So the weights that read them grew to many times what weights were before. What is left is no thinned-out bell, but a narrow one and a few very large weights. Mass can even grow, as it does in the first layer of `taylor-80`, which is not drawn here.
#
# The verdict, on the mean overlap over the layers of `prune`. One seed has no interval, and without one the rule calls nothing settled.

# %% tags=["record", "hide-input"]
Table(tables.verdict_table(judged))

# %% tags=["record", "hide-input"]
listed = frame[frame["configuration"].isin(list(NAMES))]
Table(tables.standing_on(listed), folded="the records behind this page")

# %% [markdown]
# ## This run
#
# The same for the records that were made with these pages. Under `quick` they are a **toy**: networks that were hardly trained, so that you see the weights they started with.

# %% mystnb={"figure": {"caption": "First and last layer in the records of this run; under quick, of toys.", "name": "fig-weights-run"}, "image": {"alt": "Histograms of the first and the last layer's weights before and after pruning, as in the figure above, for the records of this run. Without records it says not run."}} tags=["live"]
this_run = results.load_records(*[
    resolve_path(settings.results_dir) / settings.profile / name
    for name in CHAPTERS])
source = display_source(settings.data)
here = {r["configuration"]: r for r in this_run
        if r["seed"] == seed and r["data"]["name"] == source}
_ = figures.weight_distributions(
    {words: here[name] for name, words in NAMES.items() if name in here},
    layers=(0, -1))

# %% [markdown]
# A larger network changes little: a bell curve without its middle is no bell curve at any size. What may differ is how bell-shaped the weights are to begin with. With heavier tails the small weights carry even less of the mass.
#
# ## To remember
#
# - Most weights of a bell curve are small, and carry next to none of its mass. That is why pruning by size works.
# - It is also why it cannot keep the shape: the middle is what it takes.
# - Open: the same for the weights of BERT-base.
#
# ## Exercises
#
# **1.** Up to which share removed does the overlap stay above `0.9`, for a normal distribution? And for a Laplace distribution?

# %% tags=["hide-cell"]
laplace = np.random.default_rng(1).laplace(size=200_000)
for name, values in (("normal", bell[:200_000]), ("Laplace", laplace)):
    fits = [s for s in np.arange(0.01, 0.5, 0.01) if overlap(
        values, values[np.abs(values) > np.quantile(np.abs(values), s)]) > 0.9]
    print(f"{name}: up to {max(fits):.0%}")

# %% [markdown]
# **2.** Count the zeros as weights of size zero. What is the overlap with half of them at zero, and is that a fairer reading of the claim?

# %% tags=["hide-cell"]
with_zeros = np.where(size > cuts[0.5], bell, 0)
print(f"overlap {overlap(bell, with_zeros):.2f}, against {by_size[0.5]:.2f}")
print("half of all weights then lie in the one bin at zero:",
      "fairer or not, the shape is not kept")

# %% [markdown]
# **3.** Why do AIP's weights reach further out than those before pruning? Count those beyond three standard deviations in the last layer.

# %% tags=["hide-cell", "record"]
for name in [name for name in ("prune", "aip") if name in shown]:
    *_, layer = tables.weight_histograms(shown[name]).values()
    far = np.abs(layer["centre"]) > 3
    tails = [layer[key][far].sum() / layer[key].sum()
             for key in ("before", "after")]
    print(f"{name}: {tails[0]:.1%} before, {tails[1]:.1%} after")
print("what stays was large, or took over what the others gave")
