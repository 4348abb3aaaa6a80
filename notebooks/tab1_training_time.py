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
# # Table 1: training time
#
# The papers' first table gives hours of training: 48 for BERT-base, less with each technique, 33 with all together {cite}`seollm2024,sec2025`. Can a technique that adds work save time?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import math

import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, glue, papers, tables, verdicts
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import costs

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
LABELS = 8000
TECHNIQUES = {
    "base": "baseline", "da": "+ data augmentation (ADA)",
    "tl": "+ transfer learning", "al": "+ active learning",
    "ssl": "+ semi-supervised", "ssl-source": "transfer + semi-supervised",
    "random": "transfer, random labels",
    "hybrid": "transfer + active learning", "tal": "TAL, both terms",
    "data-module": "TAL + pseudo-labels + ADA"}


def numbers(table, column):
    """A column of `costs.to_reach` as numbers; NaN where not reached."""
    return pd.to_numeric(
        table.reindex(columns=[column])[column], errors="coerce")

# %% tags=["record", "answer", "remove-input"]
reference = glue.of_task(
    results.load(results.reference_dir() / "cpu"), "mnli")
contests = results.load_contestants(results.reference_dir() / "cpu")
try:
    speed = costs.quiet_speed(contests)
except LookupError:  # nothing says how long a pair takes
    speed = costs.Speed(math.nan, math.nan)
table = costs.to_reach(reference, TECHNIQUES, labels=LABELS, speed=speed)
times = numbers(table, "of the baseline's").drop("base").dropna()
half = numbers(table, "labels").reindex(times.index) <= LABELS / 2
Finding(f"""
Of {len(TECHNIQUES) - 1} techniques {len(times)} become as good as the baseline
with 8 000 labels, and {(times < 1).sum() or 'none'} of them with less
computation. They need {times.min():.1f} to {times.max():.1f} times its
minutes, with all counted that their networks compute. What some of them save
is labels: {half.sum()} get there with half of them or fewer.
""" if len(times) else NOT_RUN)

# %% mystnb={"figure": {"caption": "Minutes that a technique needs to be as good as the baseline, relative to the baseline's (reference runs). Techniques that did not get there are not shown.", "name": "fig-cost-to-reach"}, "image": {"alt": "Horizontal bars of relative cost, one for each technique that reached the baseline's accuracy, beside a dashed line at one. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.ratio_bars(
    times.rename(TECHNIQUES).to_frame("ratio"),
    "quiet minutes, relative to the baseline's")

# %% [markdown]
# ## What the papers report
#
# The table does not say what is counted.

# %%
printed = papers.paper_table()[["label", "training_hours"]].dropna()
hours = printed["training_hours"]
Table(printed.assign(ratio=(hours / hours["base"]).round(2)).rename(columns={
    "label": "configuration", "training_hours": "hours",
    "ratio": "of the baseline's"}))

# %% [markdown]
# Augmentation makes *more* examples, so an epoch takes longer, yet the hours fall. A teacher, a source task and rounds of selection cost time of their own, and appear nowhere.
#
# ## The idea: count everything
#
# So you ask a question that has an answer. **What does each technique need to be as good as the baseline, when all that its network computes is counted?** A result is charged with
#
# - the pairs trained on in all runs that it needed: teacher, source task, earlier rounds;
# - for TAL also the unlabelled pairs of its second term;
# - the pairs that were only scored.
#
# Two things are left out: making edits, and choosing pairs once they are scored. [](bench_augmentation) and [](06_active_learning) measure these.
#
# Which runs does a result need? Try it with TAL:

# %% tags=["here"]
for name, budget in costs.needs("tal", 4000):
    print(f"{name}, {budget} labels")

# %% [markdown]
# Counts of pairs do not depend on what else the machine does. Seconds do, and the studies were run two at a time, on several machines. So minutes here are counts divided by the speed of one quiet machine that trained and scored. A pair of the source task is shorter than one of the target. Training is therefore counted by its tokens.

# %% tags=["record", "hide-input"]
print(f"training {speed.training:.0f} pairs/s,",
      f"scoring {speed.scoring:.0f} pairs/s"
      if speed.training > 0 else NOT_RUN)

# %% [markdown]
# ## What the records say
#
# Which technique is cheapest, and which saves most labels?

# %% tags=["record", "remove-input"]
fewest = numbers(table, "labels").reindex(times.index)
missed = [TECHNIQUES[name] for name in table.index.drop("base")
          if name not in times.index]
cheap, thrifty = ((times.idxmin(), fewest.idxmin()) if len(times)
                  else ("base", "base"))
few = fewest.map("{:,.0f}".format).str.replace(",", "\N{NO-BREAK SPACE}")
Finding(f"""
Of those that get there, *{TECHNIQUES[cheap]}* costs least:
{times.min():.2f} times the baseline's minutes, with
{few[cheap]} labels. *{TECHNIQUES[thrifty]}* needs the fewest labels,
{few[thrifty]}, and {times[thrifty]:.2f} times the minutes. Not there,
or not run: {', '.join(missed) or 'none'}.""" if len(times) else NOT_RUN)

# %% [markdown]
# A technique that saves labels pays for them with computation: with a source task, with a teacher, with rounds of buying, or with added pairs. Two things to keep in mind:
#
# - The source task is another set of *labelled* pairs. It saves labels of the target, not labels as such. And its training is paid once, while it may serve many targets; here it is counted in full.
# - "Reaches" is said of means over seeds. The intervals in the chapters of the techniques say whether a difference is more than chance.

# %% tags=["record", "hide-input"]
Table(table, folded="every technique: labels, pairs, tokens, minutes")

# %% [markdown]
# :::{dropdown} How to read this table
# - The baseline is the encoder fine-tuned on 8 000 labels drawn at random. Each row has the smallest number of labels at which the technique's mean matched accuracy reaches the baseline's.
# - Only numbers of labels that were run are looked at, those of the last column. Where they are few, the technique may need less than its row says.
# - The development slice (4 000 labels) is the same for all and not counted.
# - *+ active learning* is the arm `al`: no source task, half of the labels bought at random and the other half in one round by `hybrid` ([](06_active_learning)).
# - `tal` trains once on the labels that `hybrid` bought, so `hybrid`'s own last training is not counted for it.
# :::
#
# The same table for the records of this run: under `quick` a **toy**. Its minutes assume pairs of the benchmark's length, and say nothing.

# %% tags=["nbval-ignore-output", "live", "hide-input"]
counted = run["labels"].dropna() if "labels" in run else []
own = costs.to_reach(run, TECHNIQUES, speed=speed,
                     labels=int(max(counted, default=0)))
Table(own, folded="this run's techniques")

# %% [markdown]
# The combined system is no row above, since it begins with all labels that there are.

# %% tags=["record", "remove-input"]
whole = Evidence("02_baseline", "15_seo_llm", task="mnli")
Finding(f"""
The training time of `seo` ([](15_seo_llm)), as a multiple of the baseline's:
{whole.ratio('seo', 'base', 'train_work')}.""")

# %% [markdown]
# The papers' ratios were fixed as claims before anything was run: a technique's training seconds over those of the baseline. They need wall clocks of whole quiet runs, which the studies do not have. So a technique is judged by the pairs that its own training sees, with as many labels as the baseline. That flatters it: source task, rounds and teacher come on top.

# %% tags=["record", "hide-input"]
cells = tuple(claim for claim in verdicts.TABLE_CLAIMS
              if claim.id.endswith("-training_hours"))
judged = verdicts.audit(reference, cells)
Table(tables.verdict_table(judged))

# %% [markdown]
# **Check.** A technique that trains on more tokens than the baseline cannot be cheaper than it. Every row that got there has a cost. The baseline costs exactly itself. Nothing is counted twice.

# %% tags=["here"]
base = costs.total(reference, "base", LABELS)
ratio = numbers(table, "of the baseline's")
tokens, minutes = numbers(table, "tokens"), numbers(table, "minutes, quiet")
assert base is None or ratio["base"] == 1
for name in ratio.dropna().index:
    assert minutes[name] > 0
    assert (tokens[name] <= base["train_tokens"]) >= (ratio[name] < 1)
for name in TECHNIQUES:
    made_from = costs.needs(name, LABELS)
    assert len(set(made_from)) == len(made_from)
print("every cost is complete; cheaper only with fewer tokens trained on")

# %% tags=["record", "hide-input"]
behind = reference[reference["configuration"].isin(TECHNIQUES)]
print(tables.standing(behind))
Table(tables.standing_on(behind), folded="the records behind this page")

# %% [markdown]
# With all of MultiNLI there is no need to save labels, and the source task is small beside the target. With few labels it is the other way round. So the ratio depends on how many labels there are, not on the technique alone.
#
# ## To remember
#
# - A training time without a list of what was counted says nothing. Count teachers, source tasks and rounds.
# - Count pairs and tokens, and turn them into seconds once, on a quiet machine.
# - Techniques that save labels spend computation. Which of the two is dear is for you to say.
#
# ## Exercises
#
# **1.** The papers train 20 epochs. If augmentation makes the data half as large again, how many epochs fit into its hours?

# %% tags=["hide-cell"]
epochs = 20 * hours["da"] / hours["base"] / 1.5
print(f"{epochs:.1f}: {20 - epochs:.0f} fewer, and the papers do not say so")

# %% [markdown]
# **2.** Ten target tasks share one source network. How does the row of transfer learning change?

# %% tags=["hide-cell", "record"]
def shared(name, tasks):
    """Its minutes over the baseline's, with the source paid by `tasks`."""
    whole, source = (costs.total(reference, *key) for key in
                     ((name, LABELS), costs.needs(name, LABELS)[0]))
    part = {key: whole[key] - (1 - 1 / tasks) * source[key] for key in whole}
    unit = base["train_tokens"] / base["train_examples"]
    return (costs.seconds(part, speed, unit)
            / costs.seconds(base, speed, unit))


print(*(f"{tasks} target tasks: {shared('tl', tasks):.2f} times the baseline"
        for tasks in (1, 10)) if "tl" in times else [NOT_RUN], sep="\n")

# %% [markdown]
# **3.** What would the table look like if a label cost one minute of an annotator's time?

# %% tags=["hide-cell", "record"]
paid = numbers(table, "labels") + minutes  # minutes of people and machine
print((paid / paid["base"]).dropna().round(2).rename(TECHNIQUES)
      .sort_values().to_string() if len(times) else NOT_RUN)
print("now the labels are nearly all of the price")
