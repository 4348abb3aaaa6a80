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
# # Figure 2: accuracy curves
#
# Do curves of accuracy tell a good training from a poor one? The papers' Figure 2 shows three. The baseline goes "from around 60%" to 81% on validation data. The combined system goes to 83.5%, with "faster initial convergence" and a "smaller gap" to its training accuracy {cite}`seollm2024,sec2025`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import (
    NOT_RUN,
    contrasts,
    glue,
    papers,
    tables,
    verdicts,
)
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
folder = results.reference_dir() / "cpu"
reference = contrasts.with_gap(
    glue.of_task(results.load(folder), "mnli"))
curves = tables.curves_shown(reference, results.load_series(folder))
with_curve = [name for name in papers.PAPER_TABLE
              if name in set(curves["configuration"])]
judged = verdicts.audit(reference, tuple(
    claim for claim in verdicts.CLAIMS if claim.id in ("h-conv", "h-gap")))

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(frame=reference)
said = judged.set_index("claim")["verdict"]
FIRST, LAST = "first_development_accuracy", "final_development_accuracy"
GAP = dict(metric="generalization_gap", scale=100, unit=" points")
Finding(f"""
That the combined system starts faster: *{said['h-conv']}*. That its gap is
smaller: *{said['h-gap']}*.

What you can compare is the baseline. Ours, a smaller network with fewer pairs,
is at {ours.mean('base', FIRST)} after its first epoch, and ends at
{ours.mean('base', LAST)} of the development pairs
({ours.seeds('base', LAST)}). Its training accuracy then lies
{ours.mean('base', **GAP)} higher. In the papers' figure that gap is
{papers.FIGURE_2['base'].train - papers.FIGURE_2['base'].validation:.0f}
points.""")

# %% mystnb={"figure": {"caption": "The papers' Figure 2, by our records: accuracy over training (mean over seeds; bands span them), beside the levels that the papers' text gives (lines without points). Of their three configurations, those that have a curve here.", "name": "fig-accuracy-curves-reference"}, "image": {"alt": "Two panels, the baseline and transfer learning. Our training accuracy rises past our development accuracy, which is nearly flat after the first epoch; level lines mark the papers' training and validation levels, above both. Without records it says not run."}} tags=["record", "hide-input"]
theirs = [name for name in papers.FIGURE_2 if name in with_curve]
_ = figures.accuracy_curves({"ours": curves}, theirs)

# %% [markdown]
# ## How to read such a curve
#
# You measure accuracy on two sets: on the pairs that the network trains on, and on a {term}`development slice` that it never sees. Their difference at the end is the gap:
#
# $$ \text{gap} = a_\text{train} - a_\text{development}. $$
#
# A network that learns its pairs by heart has a large one. But two things distort it. Training accuracy is a running mean over an epoch in which the network still changes, with {term}`dropout` on (exercise 3). And more epochs widen the gap by themselves. So compare gaps of equal labels and epochs only.
#
# Our development slice is cut from the training data; the official validation sets are never looked at in training.
#
# ## What the papers report
#
# What the text beside Figure 2 says, in percent, and the accuracy that the papers' own table gives for the same model {cite}`seollm2024,sec2025`. The table's value lies above the figure's, even above its *training* accuracy: contradiction 2 in [](claims_audit).

# %% tags=["hide-input"]
printed = pd.DataFrame([
    {"configuration": curve.label, "start": curve.start,
     "train, end": curve.train, "validation, end": curve.validation,
     "gap, points": curve.train - curve.validation,
     "table": papers.PAPER_TABLE[name].accuracy}
    for name, curve in papers.FIGURE_2.items()])
Table(printed)

# %% [markdown]
# ## What the records say
#
# First and last accuracy on the development slice, and the gap: mean ± half of the {term}`95% interval <confidence interval>` over seeds. One seed has no interval.

# %% tags=["record", "hide-input"]
ends = tables.curve_ends(reference)
ends["labels"] = tables.labels_behind(reference, LAST)
Table(ends[ends["last, %"] != NOT_RUN])

# %% [markdown]
# Rows with different numbers of labels cannot be compared. Nor can pruning and distillation, which go on from a network that was trained already, nor augmentation, which counts near-copies of its labels as training pairs.

# %% tags=["record", "hide-input"]
known = reference[reference["configuration"].isin(papers.PAPER_TABLE)]
for name in papers.PAPER_TABLE:
    if name not in with_curve:
        n = (known["configuration"] == name).sum()
        print(f"no curve: {papers.PAPER_TABLE[name].label_here},",
              f"{n} records" if n else NOT_RUN)

# %% [markdown]
# A network that is only rounded after training has no curve. The other panels are here:

# %% mystnb={"figure": {"caption": "The configurations that the papers' Figure 2 does not show, with the accuracy of their table (dotted).", "name": "fig-accuracy-curves-others"}, "image": {"alt": "A panel for each other configuration with a curve: training accuracy climbs, development accuracy stays nearly level, below the dotted line of the papers' table. Without records it says not run."}} tags=["record", "hide-input", "hide-output"]
_ = figures.accuracy_curves(
    {"ours": curves}, [name for name in with_curve if name not in theirs])

# %% [markdown]
# A verdict needs records of the combined system and of the baseline, on the same data, with the same number of epochs:

# %% tags=["record", "hide-input"]
Table(tables.verdict_table(judged))

# %% [markdown]
# **Check.** Every configuration has its row, with a number where there is a curve and "not run" where there is none. The reference curves of the baseline rise. The papers' own gaps are what the claim `h-gap` says.

# %%
assert list(ends.index) == list(papers.PAPER_TABLE)
developed = curves[curves["name"] == "development_accuracy"]
for name, row in ends.iterrows():
    has_curve = (developed["configuration"] == name).any()
    assert (row["last, %"] != NOT_RUN) == has_curve, name
base = contrasts.one_setting(known[known["configuration"] == "base"])
assert base.empty or (base[LAST] > base[FIRST]).all()
assert printed["gap, points"].round(6).tolist() == [2.0, 2.5, 1.0]
print("a value or 'not run' for all; the papers' gaps: 2.0, 2.5, 1.0")

# %% [markdown]
# ## This run
#
# The same for the records that were made with these pages. Under `quick` they are a few hundred steps on generated sentences, at or near guessing: a **toy**. Its curves are no results, so they are not drawn; under the other profiles they are.

# %% mystnb={"figure": {"caption": "The same for the records of this run.", "name": "fig-accuracy-curves-run"}, "image": {"alt": "Panels as in the figures above, with the curves of the run that made this page."}} tags=["nbval-ignore-output", "live"]
everything = results.load(settings.results_dir)
run = results.matching(everything, settings)
tables.remark(run)
print(f"this run: {len(run)} records of the profile {settings.profile}")
if profile != "quick":
    series = results.load_series(settings.results_dir)
    _ = figures.accuracy_curves({"ours": tables.curves_shown(
        run, results.matching(series, settings))})

# %% tags=["nbval-ignore-output", "live"]
Table(tables.curve_ends(run), folded="where the curves of this run end")

# %% [markdown]
# The papers train BERT-base on 433 000 pairs {cite}`seollm2024`. Our records stand on a small encoder and a subset of MultiNLI, so their level is lower. What can be compared is the shape. With the profiles `gpu` and `paper` the same page shows BERT-base.

# %% tags=["record", "hide-input"]
Table(tables.standing_on(known),
      folded="the reference records behind this page")

# %% tags=["nbval-ignore-output", "live"]
Table(tables.standing_on(run), folded="the records of this run")

# %% [markdown]
# ## To remember
#
# - A curve has a start, an end and a gap. Compare them at equal labels, epochs and seeds.
# - Training accuracy goes on rising when development accuracy has levelled off. Judge by the second.
# - Open: the same curves of BERT-base on all of MultiNLI.
#
# ## Exercises
#
# **1.** The papers call the horizontal axis "100 iterations" and train for 20 epochs. How many optimizer steps are 20 epochs? How much of one epoch are 100 steps?

# %% tags=["hide-cell"]
setting = papers.SETTING
steps = setting["pairs"] / setting["batch_size"]
print(f"{setting['epochs']} epochs: {setting['epochs'] * steps:,.0f} steps;",
      f"100 steps: {100 / steps:.2%} of an epoch")

# %% [markdown]
# **2.** How wide is the interval of the baseline's gap over the seeds? Could you see a difference of one point, which the papers claim?

# %% tags=["hide-cell", "record"]
print("gap of the baseline, points:", ends.loc["base", "gap, points"])
print("two such means differ by chance by about 1.4 times that half width;",
      "paired seeds, and more of them, make it narrower")

# %% [markdown]
# **3.** Training accuracy is a running mean with dropout on. In which direction does that push the gap? Look at the first epoch.

# %% tags=["hide-cell", "record"]
first = curves[curves["step"] == 1].groupby(
    ["configuration", "name"])["value"].mean().unstack()
if len(first):
    first = 100 * (first["train_accuracy"] - first["development_accuracy"])
    print("gap after the first epoch, in points:")
    print(first.reindex(with_curve).round(1).to_string(header=False))
print("below 0: training accuracy is understated, and the gap too small;",
      "what was trained before (prune, kd) starts high", sep="\n")
