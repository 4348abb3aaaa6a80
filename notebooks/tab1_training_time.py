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
# The papers' first table gives hours of training: 48 for BERT-base, 43 with augmentation, 39 with transfer learning, 36
# with active learning, 37 with semi-supervised learning, 33 for all together {cite}`seollm2024,sec2025`. It does not say
# what is counted. Augmentation makes *more* examples, so an epoch takes longer, yet the hours fall; a teacher, a
# source task or rounds of selection cost time of their own, and appear nowhere.
#
# So this page asks a question that has an answer: **what does each technique need to be as good as the
# baseline, when all that its network computes is counted?** That is the pairs that were trained on in all runs that
# the result needed (teacher, source task, earlier rounds; for TAL also the unlabelled pairs of its second term), and the
# pairs that were only scored. Two things are left out: making edits, and choosing pairs once they are scored. What they cost is measured in
# [](bench_augmentation) and in the last table of [](06_active_learning).

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
from seo_core import figures, load_settings, results
from seo_core.analysis import papers, tables, verdicts
from seo_core.analysis.tables import Table
from seo_core.arms import costs

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
reference = results.load(results.reference_dir() / "cpu")

# %% [markdown]
# ## What the papers report

# %% tags=["live"]
printed = papers.paper_table()[["label", "training_hours"]].dropna()
printed["of the baseline's"] = (printed["training_hours"] / printed.loc["base", "training_hours"]).round(2)
Table(printed.rename(columns={"label": "configuration", "training_hours": "hours"}))

# %% [markdown]
# ## From pairs to minutes
#
# Counts of pairs do not depend on what else the machine does. Seconds do, and the studies were run two at a
# time, on several machines. So minutes below are counts divided by the throughput of one benchmark, in which one quiet machine trained and scored
# (see the table in [](06_active_learning)). A pair of the source task is shorter than one of the target, so
# training is counted by its tokens: a pair of the benchmark's length is the unit.

# %% tags=["record", "hide-input"]
speed = costs.quiet_speed(results.load_contestants(results.reference_dir() / "cpu"))
print(f"training {speed.training:.0f} pairs/s, scoring {speed.scoring:.0f} pairs/s")

# %% [markdown]
# ## As good as the baseline
#
# The baseline is the encoder fine-tuned on 8 000 labels drawn at random. Each row shows the smallest number of
# labels with which the technique's mean matched accuracy reaches the baseline's, and what that took. Only numbers of
# labels that were run are looked at, those of the last column; where they are few, the technique may need less than its row says. "Reaches" is said of means: whether a difference
# is more than chance, the intervals in the chapters of the techniques say. The development slice (4 000 labels) is the same for all and not counted.
#
# "+ active learning" is the arm `al`: no source task, half of the labels bought at random and the other half in one round by `hybrid`
# ([](06_active_learning)). `tal` trains once on the labels that `hybrid` bought, so `hybrid`'s own last training is not counted for it.

# %% tags=["record", "hide-input"]
techniques = {"base": "baseline", "da": "+ data augmentation (ADA)", "tl": "+ transfer learning",
              "al": "+ active learning", "ssl": "+ semi-supervised", "ssl-source": "transfer + semi-supervised", "random": "transfer, random labels",
              "hybrid": "transfer + active learning", "tal": "TAL, both terms", "data-module": "TAL + pseudo-labels + ADA"}
table = costs.to_reach(reference, techniques, labels=8000, speed=speed)
Table(table)

# %% tags=["record", "hide-input"]
others = table[table.index != "base"]
reached, missed = (others[(others["minutes, quiet"] != "—") == side] for side in (True, False))
costs_less = reached["of the baseline's"].astype(float) < 1
print("as good as the baseline in fewer minutes:", ", ".join(reached.loc[costs_less, "configuration"]) or "none")
for _, row in reached[~costs_less].iterrows():
    times = row["of the baseline's"]
    print(f"as good, at a higher cost: {row['configuration']}, {row['labels']} labels, {times} times the minutes")
print("not as good, or not run:", ", ".join(missed["configuration"]) or "none")

# %% mystnb={"figure": {"caption": "Minutes that a technique needs to be as good as the baseline, relative to the baseline's. Techniques that did not get there are not shown.", "name": "fig-cost-to-reach"}, "image": {"alt": "Horizontal bars of relative cost, one for each technique that reached the baseline's accuracy, beside a dashed line at one."}} tags=["record", "hide-input"]
there = table[table["minutes, quiet"] != "—"].set_index("configuration")
_ = figures.ratio_bars(there[["of the baseline's"]].astype(float).set_axis(["ratio"], axis=1), "quiet minutes, relative to the baseline's")

# %% [markdown]
# The papers' hours fall with each technique. Here a technique that saves labels pays for them with computation: with a source task that was trained, with a teacher,
# with rounds of buying, or with added pairs.
#
# Two things to keep in mind when reading it. The source task of transfer learning is another set of *labelled* pairs:
# it saves labels of the target, not labels as such. And its training is paid once, while it may serve many targets;
# here it is counted in full.
#
# The same with the records of this run. Under `quick` the counts are those of a short demonstration, and the minutes, which
# assume pairs of the benchmark's length, say nothing.

# %% tags=["nbval-ignore-output", "record", "hide-input"]
quick_labels = int(run["labels"].max()) if "labels" in run and run["labels"].notna().any() else 0
Table(costs.to_reach(run, techniques, labels=quick_labels, speed=speed))

# %% [markdown]
# ## Verdicts
#
# The papers' ratios were fixed as claims before anything was run: training seconds of a technique over those of
# the baseline. They need wall clocks of whole quiet runs, which the studies do not have; where a row says so, the
# table above is our answer.

# %% tags=["record", "hide-input"]
cells = tuple(c for c in verdicts.TABLE_CLAIMS if c.id.endswith("-training_hours"))
judged = verdicts.audit(reference, cells)
Table(judged[["claim", "statement", "ours", "n", "verdict"]])

# %% [markdown]
# **Check.** A technique that trains on more tokens than the baseline cannot be cheaper than it; every row that reached
# the baseline's accuracy has a cost; the baseline costs exactly itself; and nothing is counted twice.

# %% tags=["live"]
base = costs.total(reference, "base", 8000)
reached = table[table["minutes, quiet"] != "—"]
assert reached.loc["base", "of the baseline's"] == "1.00"
for _, row in reached.iterrows():
    tokens = float(row["tokens"])
    assert float(row["minutes, quiet"]) > 0 and (tokens <= base["train_tokens"]) >= (float(row["of the baseline's"]) < 1)
assert all(len(set(costs.needs(c, 8000))) == len(costs.needs(c, 8000)) for c in techniques)
print("every cost is complete; fewer minutes only with fewer tokens trained on")

# %% [markdown]
# ## What changes with scale
#
# With all of MultiNLI there is no need to save labels, and the source task is small beside the target. With few
# labels it is the other way round. The column *of the baseline's* depends on that, and not on the techniques alone.
#
# ## The records behind this page

# %% tags=["record", "hide-input"]
Table(tables.standing_on(reference[reference["configuration"].isin(techniques)]))

# %% [markdown]
# ## Exercises
#
# 1. The papers' 43 hours for augmentation: how many epochs fewer than 20 must have been run, if the data grew by half?
# 2. A source network is shared by ten target tasks. How does the row of transfer learning change?
# 3. What would the table look like if a label cost one minute of an annotator's time?
