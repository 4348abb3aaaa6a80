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
# # The papers' claims, audited
#
# What four publications claim, how each claim is measured here, and what came out. The sources are SEO-LLM
# {cite}`seollm2024` and its revision SEC {cite}`sec2025`, TKD-NLP {cite}`tkdnlp2024` (whose text we know
# through a third party's summary only) and *Optimized BERT* {cite}`bhat2024`.
#
# A claim is stated as a ratio or a difference and gets one of five verdicts. The rule is code
# (`verdicts.verdict`), and was written before any technique was run:
#
# | verdict | when |
# |---|---|
# | reproduced | our 95% interval reaches the claimed value |
# | partly | it excludes "no effect" on the claimed side, but does not reach the value |
# | not reproduced | otherwise |
# | not testable as stated | the reason is given |
# | not run | there are no records yet |
#
# Where a paper names a direction and no value, *reproduced* means that the interval excludes no effect on
# that side. An interval that contains both the claimed value and no effect is marked: such data do not
# settle the matter.

# %% tags=["parameters"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %%
from seo_core import load_settings, results
from seo_core.analysis import NOT_RUN, contradictions, papers, tables, verdicts
from seo_core.analysis.tables import Table

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
reference = results.load()

# %% [markdown]
# ## Verdicts
#
# From the committed reference records. Those of the profile `quick` are no evidence: they only show that
# the code runs.

# %%
judged = verdicts.audit(reference)
counts = judged["verdict"].value_counts().reindex(verdicts.VERDICTS, fill_value=0)
Table(counts.rename("claims").to_frame(), index=True)

# %% [markdown]
# SEO-LLM and SEC:

# %%
columns = ["claim", "statement", "source", "claimed", "ours", "n", "verdict"]
seo = judged["claim"].str.startswith("h-")
Table(judged.loc[seo, columns])

# %% [markdown]
# TKD-NLP and Optimized BERT:

# %%
Table(judged.loc[~seo, columns])

# %% [markdown]
# How each is measured (the metric, and the configurations that are compared), with the reason where a claim
# cannot be tested as it is stated:

# %%
Table(judged[["claim", "measured by", "records", "note"]])

# %% [markdown]
# ### Every cell of the tables
#
# Tables 1 to 4 of SEO-LLM and SEC, each cell as a ratio or difference to its baseline:

# %%
cells = verdicts.audit(reference, verdicts.TABLE_CLAIMS)
Table(cells[["statement", "claimed", "ours", "n", "verdict", "note"]])

# %% [markdown]
# An arm may also differ from its baseline in more than its name says. Augmentation, semi-supervised learning and transfer all take more training
# steps than the baseline; only for augmentation is there a control with as many, unchanged copies, and [](tab4_accuracy_perplexity)
# sets the two side by side. The verdict on `h-imbalance` has the same weakness: the arms with TAL start from a source task that their baselines lack.
# [](04_adaptive_augmentation) sets random labels after that task beside them, and says what is left of the gain for ADA and TAL.
# `h-data` is a claim about the combined system. How many labels the data module alone saves, and against which control, is in [](07_transfer_active_learning).

# %% [markdown]
# ### This run
#
# The claims for which the run that made these pages has records. With the profile `quick`, read the columns
# and not the verdicts.

# %% tags=["nbval-ignore-output"]
run = results.matching(results.load(settings.results_dir), settings)
this_run = verdicts.audit(run, verdicts.CLAIMS + verdicts.TABLE_CLAIMS, profiles=(settings.profile,))
this_run = this_run[this_run["ours"] != NOT_RUN]
print(f"{len(run)} records, {len(this_run)} claims with records of all their configurations")
Table(this_run[columns])

# %% [markdown]
# ## The eleven contradictions
#
# Places where the papers disagree with themselves, or with arithmetic. Each line is computed from the
# papers' numbers as they stand in `papers.PAPER_TABLE`.

# %%
from IPython.display import Markdown, display

listed = contradictions.listed()
for c in listed:
    display(Markdown(f"**{c.number}. {c.title}.** {c.text} *({c.source})*"))
    display(Table(tables.steps_table(c)))

# %% [markdown]
# ## Higher references
#
# The papers compare with BERT-base only. These published systems are as small, as fast or as accurate; MNLI
# accuracy is on the development sets (matched, or matched / mismatched), speed relative to BERT-base.
# Sources: BERT {cite}`devlin2019`, DistilBERT {cite}`sanh2019`, TinyBERT {cite}`jiao2020`, MiniLM
# {cite}`wang2020minilm`, XtremeDistil {cite}`mukherjee2021`, CoFi {cite}`xia2022cofi`, block movement
# pruning {cite}`lagunas2021`, oBERT {cite}`kurtic2022`, BinaryBERT {cite}`bai2021binarybert`, TernaryBERT
# {cite}`zhang2020ternarybert`, ZeroQuant {cite}`yao2022zeroquant`. They distil {cite}`hinton2015`, prune or
# quantize; none of them adds data optimization.

# %%
Table(papers.higher_references().drop(columns="cite"))

# %% [markdown]
# The papers' combined system has 136 MB, 1.9 times the speed and 86.2%. XtremeDistil l12-h384, a public
# checkpoint with 33 million weights, has 2.7 times the speed and 87.2%. To be better than the papers is
# therefore the least that can be asked.
#
# **Check.** The arithmetic of each contradiction comes out; every claim has a verdict of the five, and a
# reason where it is not testable; what has no record is not judged; and the rule itself gives the verdicts
# that it must on four made-up effects.

# %%
assert [c.number for c in listed] == list(range(1, 12)) and all(c.holds for c in listed)
assert set(judged["verdict"]) <= set(verdicts.VERDICTS) and len(judged) == 31
assert judged.loc[judged["verdict"] == verdicts.NOT_TESTABLE, "note"].str.len().min() > 20
without = judged["ours"] == NOT_RUN
assert set(judged.loc[without, "verdict"]) <= {NOT_RUN, verdicts.NOT_TESTABLE}
made_up = [verdicts.verdict(e, e - 0.5, e + 0.5, 1.7, 1) for e in (1.5, 0.9, 0.3, -1.0)]
assert made_up == ["reproduced", "partly", "not reproduced", "not reproduced"]
print("11 contradictions hold; 31 claims, each with a verdict; the rule gives", ", ".join(made_up))

# %% [markdown]
# ## The records behind this page

# %%
Table(tables.standing_on(reference))

# %% tags=["nbval-ignore-output"]
Table(tables.standing_on(run))

# %% [markdown]
# ## What changes with scale
#
# Verdicts are taken from the largest profile that has records: `paper` before `gpu` before `cpu`. A ratio
# measured on a small encoder and a subset of MultiNLI speaks about the method, not about BERT-base; the
# column of records in `verdicts.audit` says which it was.
#
# ## Exercises
#
# 1. Halve every interval. Which verdicts could change, and in which direction?
# 2. Claim `h-synergy` asks whether the combination beats each part. Does the papers' own table support it?
# 3. Write claim 31½: something that the papers say and this list lacks, with its ratio, its direction and
#    its source.
