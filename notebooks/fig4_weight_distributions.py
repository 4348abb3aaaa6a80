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
# Figure 4 of the first version of the paper shows two histograms, of the weights before and after pruning. Its text: "The original weight distribution demonstrates a typical
# bell curve, while the pruned weight distribution shows a significant reduction in weights with small magnitudes", and pruning so removes weights
# "while preserving the overall structure of the weight distribution" {cite}`seollm2024`.
#
# The two halves of that sentence pull in opposite directions. Most weights of a bell curve lie in its middle. Taking out the small ones takes out the middle, and what is left has two
# humps. We measure it, layer by layer. Let $w$ be the weights of a layer before pruning, and $v$ those that it has after pruning and the training that follows; zeros are not counted.
# With histograms $p$ of the one and $q$ of the other, each divided by its own standard deviation,
#
# $$ \text{overlap} = \sum_b \min(p_b, q_b), \qquad \text{removed mass} = 1 - \frac{\sum v^2}{\sum w^2}. $$
#
# The **mass** of some weights is the sum of their squares: a small weight has next to none. So a bell curve has most of its *weights* in the middle and most of its *mass*
# further out. An overlap of 1 is the same shape. The claim `h-weights` is that it is at least 0.9.

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
from seo_core.analysis import NOT_RUN, tables, verdicts
from seo_core.analysis.tables import Table
from seo_core.pruning.distribution import overlap
from seo_core.settings import display_source, resolve_path

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
NAMES = {"prune-30": "zeros, 30%", "prune": "zeros, 50%", "prune-70": "zeros, 70%", "prune-90": "zeros, 90%",
         "taylor-40": "units, 40%", "taylor-60": "units, 60%", "aip": "AIP"}
folders = ["09_pruning", "10_adaptive_iterative_pruning"]

# %% [markdown]
# ## What an ideal bell curve does
#
# No network is needed to see the point: a million numbers from a normal distribution, the smallest of which are set to zero. And, for contrast, the same share removed
# without regard to size, which is what cutting out whole units comes close to.

# %% tags=["live"]
bell = np.random.default_rng(0).normal(size=1_000_000)
shares = [0.1, 0.3, 0.5, 0.7, 0.9]
cuts = {s: np.quantile(np.abs(bell), s) for s in shares}
by_size = {s: overlap(bell, bell[np.abs(bell) > cuts[s]]) for s in shares}
at_random = {s: overlap(bell, bell[: round((1 - s) * len(bell))]) for s in shares}
mass = {s: float((bell[np.abs(bell) <= cuts[s]] ** 2).sum() / (bell**2).sum()) for s in shares}
rows = [(f"{s:.0%}", by_size[s], at_random[s], f"{mass[s]:.1%}") for s in shares]
Table(pd.DataFrame(rows, columns=["removed", "overlap, smallest removed", "overlap, random ones removed",
                                          "mass of the smallest"]).round(2))

# %% [markdown]
# **Check.** The smallest half of the weights of a bell curve has 7% of its mass. Removing it leaves a shape that overlaps with a bell curve by much less than 0.9. Removing
# at random leaves the shape.

# %% tags=["live"]
assert mass[0.5] < 0.08 and by_size[0.5] < 0.8 < 0.99 < at_random[0.5]
assert all(by_size[a] > by_size[b] for a, b in zip(shares, shares[1:], strict=False))
print("small weights carry little mass, and taking them out of a bell curve does not keep its shape")

# %% [markdown]
# ## The reference runs
#
# Line: before. Area: after pruning and fine-tuning. In each panel the overlap of the shapes, and the mass that is gone.

# %% mystnb={"figure": {"caption": "Weights of each layer before (line) and after pruning (area), in standard deviations before, on the reference records (profile cpu, the first seed of each). Numbers: overlap of the shapes, and change of mass. The records are listed at the end of the page.", "name": "fig-weights-reference"}, "image": {"alt": "A row of small histograms for each way of pruning, a panel for each layer. Zeros leave a gap in the middle of the bell. Removed units leave a lower bell, in most layers of the same shape; in the last layer hardly anything is left to see. Without records the panel says not run."}} tags=["record", "hide-input"]
reference = results.load_records(*[results.reference_dir() / "cpu" / name for name in folders])
first = {r["configuration"]: r for r in sorted(reference, key=lambda r: -r["seed"])}
_ = figures.weight_distributions({words: first[name] for name, words in NAMES.items() if name in first})

# %% tags=["record", "hide-input"]
Table(tables.shape_table({name: first[name] for name in NAMES if name in first}))

# %% [markdown]
# Removing units keeps the shape, but not everywhere. The layer of each network that keeps it least:

# %% tags=["record", "hide-input"]
rows = []
for name in (n for n in NAMES if n in first and first[n]["series"].get("layer_overlap")):
    series = first[name]["series"]
    worst = int(np.argmin(series["layer_overlap"]))
    rows.append((name, worst + 1, *(series[f"layer_{part}"][worst] for part in ("overlap", "removed_weights", "removed_mass"))))
table = pd.DataFrame(rows or [(NOT_RUN, *"————")], columns=["configuration", "layer", "overlap", "weights removed", "mass removed"])
Table(table.round(2))

# %% [markdown]
# In the last layer of `taylor-60` nine of ten weights are gone, but only a quarter of the mass, and the overlap falls below 0.9. Few units are left there: 16 neurons of
# 1 536 and 3 heads of 12. Least squares let the 16 take over what they could of the others' outputs (see [](09_pruning)), so the weights that read them became
# many times as large as weights were before. What is left is then no thinned-out bell, but a narrow one and a few very large weights.
#
# Mass can also grow, where least squares or training makes the weights that stay larger than they were: in the first layer of `taylor-80`, which is not drawn here, it does. The verdict, on the mean overlap over the layers of `prune`:

# %% tags=["record", "hide-input"]
frame = results.load(*[results.reference_dir() / "cpu" / name for name in folders])
judged = verdicts.audit(frame, tuple(c for c in verdicts.CLAIMS if c.id == "h-weights"))
Table(judged[["claim", "statement", "claimed", "ours", "n", "verdict"]])

# %% [markdown]
# ## This run
#
# The same for the records that were made with these pages.

# %% mystnb={"figure": {"caption": "The same for the records of this run.", "name": "fig-weights-run"}, "image": {"alt": "Histograms of each layer's weights before and after pruning, as in the figure above, for the records of this run."}} tags=["live"]
this_run = results.load_records(*[resolve_path(settings.results_dir) / settings.profile / name for name in folders])
here = {r["configuration"]: r for r in this_run if r["seed"] == seed and r["data"]["name"] == display_source(settings.data)}
_ = figures.weight_distributions({words: here[name] for name, words in NAMES.items() if name in here})

# %% [markdown]
# ## What changes with scale
#
# Nothing much: a bell curve without its middle is no bell curve at any size. What may differ is how bell-shaped the weights are to begin with. Heavier tails than a
# normal distribution's mean that the small weights carry even less of the mass.
#
# ## The records behind this page

# %% tags=["record", "hide-input"]
shown = frame[frame["configuration"].isin(list(NAMES))] if len(frame) else frame
Table(tables.standing_on(shown))

# %% [markdown]
# ## Exercises
#
# 1. Which sparsity would keep the overlap above 0.9, for a normal distribution? And for a Laplace distribution?
# 2. Count the zeros as weights of size zero. What is the overlap then, and is that a fairer reading of the claim?
# 3. In the figure, why do AIP's weights reach further out than those before pruning?
