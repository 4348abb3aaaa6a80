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
# **What came out.** One sentence, from the reference results.
#
# **What and why.** The problem, the idea, and the paper's own words in one sentence.
#
# $$\mathcal{L} = \mathcal{L}_{\text{task}} + \lambda \, \mathcal{R}$$

# %% tags=["parameters"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # weights, order, dropout, subsampling
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task: embedded | hub id | local path

# %%
from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables
from seo_core.arms import open_lab

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source)

# %% [markdown]
# ## Data
#
# Say what the pairs are, and look at a few of them: `lab.pool` is what can be trained on.

# %%
# What is compared
lab = open_lab("05_transfer_learning", settings)
arm, control = "scratch", "supervised"
print(lab.task.name, len(lab.pool), "training pairs")

# %% [markdown]
# ## The method
#
# Call it on something small, and show what it does. The code lives in `seo_core`: a cell has ten lines or fewer, and a
# chapter defines no class.
#
# **Check.** The cell asserts the point of the chapter on quantities that do not vary.

# %%
# The check
rows = lab.random_rows(64)
assert set(lab.random_rows(16)) < set(rows), "smaller draws are the beginning of larger ones"
print("with more labels, what was bought before is kept: yes")

# %% [markdown]
# ## What it does
#
# The lab makes what has no record yet. `quick` runs one arm, and shows that the code works: its numbers are a toy.
# Output that differs between machines is tagged `nbval-ignore-output`.

# %% tags=["nbval-ignore-output"]
runs = lab.run([arm] if lab.quick else "all", report=print)
runs += [lab.arm(control, labels) for labels in sorted({run.metrics["labels"] for run in runs})]

# %% [markdown]
# The arms minus their control, in points, paired by seed and example, with 95% intervals:

# %% tags=["nbval-ignore-output"]
frame, base = results.load(*(run.path for run in runs)), runs[-1].record["configuration"]
pairs = [(name, base) for name in dict.fromkeys(frame["configuration"]) if name != base]
differences = contrasts.differences(frame, pairs, ["accuracy_matched", "accuracy_mismatched"])
tables.Table(differences.round(2))

# %% mystnb={"figure": {"caption": "This run: each arm minus its control, in points, with 95% intervals.", "name": "fig-template-contrast"}, "image": {"alt": "A point with an interval for each arm and number of labels, around a line at zero, one panel for each official set."}}
_ = figures.forest(differences)

# %% [markdown]
# ## What the papers report
#
# Their numbers beside ours (`seo_core.analysis.verdicts`), and the verdict.
#
# ## What changes with scale
#
# The same contrast over the committed records: `results.load(results.reference_dir() / "cpu" / lab.chapter.id)`.
#
# ## Exercises
#
# 1. Change `seed`: which of the numbers above move, and by how much?
# 2. …
