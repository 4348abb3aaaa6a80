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
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Name of the technique
#
# **What and why.** One paragraph: the problem, the idea, and the paper's own words in one sentence.
#
# $$\mathcal{L} = \mathcal{L}_{\text{task}} + \lambda \, \mathcal{R}$$

# %% tags=["parameters"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # weights, order, dropout, subsampling
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes

# %%
from seo_core import load_settings

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
print(settings.profile, settings.data, settings.model)

# %% [markdown]
# ## Data
#
# Load what the chapter needs: `task = seo_core.data.prepare(settings)`. Say its name and size.

# %%
import numpy as np

rng = np.random.default_rng(settings.seed)
scores = rng.normal(loc=[0.70, 0.72], scale=0.01, size=(20, 2))  # (runs, arms): stands for real data

# %% [markdown]
# ## The method
#
# Call it: the code lives in `seo_core`, a chapter needs ten lines or fewer and defines no class.

# %%
gain = float(np.mean(scores[:, 1] - scores[:, 0]))

# %% [markdown]
# ## What it does
#
# A table and a figure of the measured effect. Output that differs between machines is tagged
# `nbval-ignore-output`; a figure's image gets alt text through the `mystnb` key of its cell.

# %% tags=["nbval-ignore-output"]
print(f"gain {100 * gain:.2f} points")

# %% [markdown]
# The checked cell asserts the point of the chapter on quantities that do not vary.

# %%
assert gain > 0, "the second arm must be better than the first"
print("the second arm is better: yes")

# %% [markdown]
# ## What the papers report
#
# Their numbers beside ours (`seo_core.analysis.verdicts`), and the verdict.
#
# ## What changes with scale
#
# The committed reference results (`seo_core.results.frames.load`).
#
# ## Exercises
#
# 1. Change `seed`: which of the numbers above move, and by how much?
# 2. …
