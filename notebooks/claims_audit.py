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
# Most of the papers' claims are not settled by what has been run so far, or have not been run. Where a technique differs from its baseline in
# more than its name, a control takes most of the gain. The counts stand in the first table, each claim in the second.
#
# The sources are SEO-LLM {cite}`seollm2024` and its revision SEC {cite}`sec2025`, TKD-NLP {cite}`tkdnlp2024` (whose text we know
# through a third party's summary only) and *Optimized BERT* {cite}`bhat2024`.
#
# A claim is stated as a ratio or a difference. The rule that judges it is code (`verdicts.verdict`). It was changed on 2026-11-29, when the
# first records were known, because the one before called effects reproduced that might be none. Both stand here:
#
# | verdict | since 2026-11-29: our 95% interval … | before |
# |---|---|---|
# | reproduced | excludes no effect, and reaches the claimed value | reaches the claimed value |
# | better than claimed | is all on the better side of a claimed *loss* | not reproduced |
# | partly | excludes no effect, but does not reach the value | the same |
# | not settled | holds no effect *and* the claimed value; or there is one seed and no interval | reproduced, or not run |
# | not reproduced | lies on the other side, or holds no effect and excludes the value | otherwise |
# | confounded | the arm differs from its baseline in more than its name, and no control has a record | judged as it stood |
# | not testable as stated | the reason is given | the same |
# | not run | there are no records | the same |
#
# Where a paper names a direction and no value, *reproduced* means that the interval excludes no effect on that side. A claim has to hold at
# each number of labels that its arms were run with: the weakest verdict counts. Before, only the most labels counted.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, contradictions, papers, tables, verdicts
from seo_core.analysis.tables import Table

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
reference = results.load()

# %% [markdown]
# ## Verdicts
#
# From the committed reference records. Those of the profile `quick` are no evidence: they only show that
# the code runs.

# %% tags=["record", "hide-input"]
judged = verdicts.audit(reference)
counts = pd.DataFrame({"claims": judged["verdict"].value_counts(), "before": judged["before"].value_counts()})
Table(counts.reindex([*verdicts.VERDICTS, "—"]).fillna(0).astype(int), index=True)

# %% [markdown]
# "—": claims that were found later, when the papers were read again. SEO-LLM and SEC:

# %% tags=["record", "hide-input"]
columns = ["claim", "ours", "verdict"]
folded = ["claim", "statement", "source", "claimed", "n", "tier", "uncontrolled"]
seo = judged["claim"].str.startswith("h-")
Table(judged.loc[seo, columns])

# %% tags=["record", "hide-input"]
Table(judged.loc[seo, folded], folded="What is claimed, and where; seeds (n); the value without its control")

# %% [markdown]
# TKD-NLP and Optimized BERT:

# %% tags=["record", "hide-input"]
Table(judged.loc[~seo, columns])

# %% tags=["record", "hide-input"]
Table(judged.loc[~seo, folded], folded="What is claimed, and where; seeds (n)")

# %% [markdown]
# *Controlled* means equal labels, source task and pairs seen, with three seeds or more; *confirmed*, that all records behind it were made
# after `book/final.yml` named them, too; the rest is *exploratory*. The same with all evidence: `book/claims.json`, which `python -m seo_core.run audit`
# makes again from the records.
#
# Which verdicts the new rule changed, here and in the papers' tables:

# %% tags=["record", "hide-input"]
cells = verdicts.audit(reference, verdicts.TABLE_CLAIMS)
both = pd.concat([judged, cells])
changed = both[(both["before"] != "—") & (both["before"] != both["verdict"])]
Table(changed[["claim", "before", "verdict", "ours", "uncontrolled"]])

# %% [markdown]
# Each contrast at each number of labels, where there is more than one:

# %% tags=["record", "hide-input"]
Table(both.loc[(both["each"] != "—") & (both["ours"] != NOT_RUN), ["claim", "each"]], folded="Contrast by contrast")

# %% [markdown]
# How each is measured (the metric, and the configurations that are compared), with the reason where a claim
# cannot be tested as it is stated, and in what else the arms differ where it is confounded:

# %% tags=["record", "hide-input"]
Table(judged[["claim", "measured by", "records", "note"]], folded="How each claim is measured")

# %% [markdown]
# ## All claims in two figures
#
# Where a value is claimed, you read our effect as a share of it. At 0 there is no effect, at 1 (dotted) it is the claimed one. The intervals are those that decide.

# %% mystnb={"figure": {"caption": "Our effect as a share of the claimed one, with 95% intervals, for each claim and each cell of the papers' tables that has a value and records; beside the name its verdict. Ratios in logarithms; for a claimed loss, 1 is the loss as claimed. Hollow points have one seed.", "name": "fig-claims-valued"}, "image": {"alt": "A row for each claim with its verdict; points with intervals between the lines at zero, no effect, and at one, the claimed effect."}} tags=["record", "hide-input"]
valued, directed = verdicts.shares(reference)
_ = figures.forest(valued, goals=(1,), unit="share of the claimed effect")

# %% [markdown]
# Where only a direction is claimed, in points, positive as claimed:

# %% mystnb={"figure": {"caption": "Our effect in points with 95% intervals for claims of a direction; beside the name the verdict. Hollow points have one seed. h-weights, h-correlate and bd-infer have units of their own and stand in the tables above.", "name": "fig-claims-directed"}, "image": {"alt": "A row for each claim with its verdict; points with intervals around the line at zero, no effect."}} tags=["record", "hide-input"]
_ = figures.forest(directed)

# %% tags=["record", "hide-input"]
for row in valued.itertuples():
    print(f"{row.contrast}, {f'{row.difference:+.2f}'.replace('-', '−')} of the claimed effect")

# %% [markdown]
# ### Every cell of the tables
#
# Tables 1 to 4 of SEO-LLM and SEC, each cell as a ratio or difference to its baseline.
# The rows are called as in the papers, whose network is BERT-base; ours is MiniLM of six layers. A ratio or difference is to the baseline of the same network.

# %% tags=["record", "hide-input"]
cells["cell"] = cells["claim"].str.removeprefix("table-")
there = cells["ours"] != NOT_RUN
Table(cells.loc[there, ["cell", "ours", "verdict"]])

# %% tags=["record", "hide-input"]
Table(cells[["cell", "statement", "claimed", "n", "verdict", "note"]], folded="All cells, those without records too: claimed value, seeds, notes")

# %% [markdown]
# An arm may differ from its baseline in more than its name says. Augmentation, semi-supervised learning and transfer all take more training
# steps than the baseline. For augmentation there is a control with as many, unchanged copies; for semi-supervised learning the same copies come near;
# for transfer there is none, so it is *confounded*. `h-imbalance` is judged against random labels after the same source task: they have nearly all of
# the gain ([](04_adaptive_augmentation)). `h-data` is judged for the data module, since the combined system has no record: it keeps the
# supervised baseline's accuracy with 30% fewer bought labels, and falls a little behind as many random labels after the same source task, which decides
# ([](07_transfer_active_learning)).

# %% [markdown]
# ### This run
#
# The claims for which the run that made these pages has records. With the profile `quick`, read the columns
# and not the verdicts.

# %% tags=["nbval-ignore-output", "live"]
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
this_run = verdicts.audit(run, verdicts.CLAIMS + verdicts.TABLE_CLAIMS, profiles=(settings.profile,))
this_run = this_run[this_run["ours"] != NOT_RUN]
print(f"{len(run)} records, {len(this_run)} claims with records of all their configurations")
Table(this_run[["claim", "statement", *columns[1:]]])

# %% [markdown]
# ## The twelve contradictions
#
# Places where the papers disagree with themselves, or with arithmetic. Each line is computed from the
# papers' numbers as they stand in `papers.PAPER_TABLE`.

# %% tags=["hide-input"]
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

# %% tags=["live"]
Table(papers.higher_references().drop(columns="cite"))

# %% [markdown]
# The papers' combined system has 136 MB, 1.9 times the speed and 86.2%. XtremeDistil l12-h384, a public
# checkpoint with 33 million weights, has 2.7 times the speed and 87.2%. To be better than the papers is
# therefore the least that can be asked.
#
# Whether compressions help one another has been asked elsewhere, over all subsets of int8, distillation and pruning, six sizes of BERT and eight
# GLUE tasks {cite}`multiplicative2022`. Reductions of size multiply there, or do better than that; pruning with int8 is the exception. The papers' own
# tables have less than the product (contradiction 6), and call it synergy. Ours have no combined system yet.
#
# ## Paper by paper
#
# ### SEO-LLM and SEC
#
# - **Scope.** Both versions, all of their tables and figures, MNLI. Not their network: MiniLM of six layers stands for BERT-base, and
#   less than a tenth of MNLI's pairs for all of them.
# - **What was done.** Each technique alone against its baseline ([](03_augmentation) to [](13_quantization_distillation)), those of the data with three seeds and
#   controls, those of compression mostly with one; each of the four components against what it is said to beat.
# - **What came out.** Int8 shrinks and speeds up by more than is claimed. Of the four components none is shown to beat its simpler control: ADA static
#   edits, TAL random labels after the same source task, AIP one cut, SQD rounding after distillation. Transfer's gain is confounded with the source task's training.
# - **What was easy.** The idea of each component, the tables, the arithmetic of the contradictions.
# - **What was hard.** No code, no seeds, no thresholds, no definition of the hours or of the perplexity. Each equation admits several readings, and we had
#   to choose one.
# - **What could not be tried.** The combined system and its controller have no records yet, so half of the headline claims have none. Nor BERT-base on all of MNLI.
#
# ### TKD-NLP
#
# - **Scope.** A third party's summary, not the paper. Distillation of one network on MNLI; no mix of GLUE's tasks.
# - **What was done.** Students of several depths and shapes, with and without a teacher ([](12_distillation)).
# - **What came out.** The teacher's accuracy is not kept with three layers of six, though the student saw four times the pairs.
# - **What was easy.** The loss, with temperature and weight.
# - **What was hard.** The values: 98.32% lies above every published GLUE average, and what was averaged is not said.
# - **What could not be tried.** Its 12-layer network in four stages; temperature, weight, AdamW and mixed precision have no records yet.
#
# ### Optimized BERT
#
# - **Scope.** Two numbers, training time and memory, and five figures without values.
# - **What was done.** Int8 after training, by ONNX Runtime in place of TensorFlow Lite ([](11_quantization), [](tab3_inference_speed)); magnitude pruning ([](09_pruning)).
# - **What came out.** Int8 is faster. Zeroed weights save no memory in the one run there is.
# - **What was easy.** The techniques are stock.
# - **What was hard.** Which of them a number belongs to: several are applied at once.
# - **What could not be tried.** Several GPUs, and its search of hyperparameters, have no records.
#
# ## A reproducibility checklist
#
# After REFORMS {cite}`kapoor2024reforms`, module by module: what the papers tell, and where this book tells it.
#
# | module | SEO-LLM, SEC | TKD-NLP (summary) | Optimized BERT | this book |
# |---|---|---|---|---|
# | 1 study goals | stated; population of tasks not | stated | stated | [introduction](../book/intro.md); English sentence pairs, one task |
# | 2 computational reproducibility | no code; versions of PyTorch and Python | none | none | code, pinned versions, a command in each record ([schema](../book/record_schema.md)) |
# | 3 data quality | MNLI named; called limited and imbalanced, which it is not | GLUE, no mix | named, not described | [](01_data): source, sizes, classes, duplicates |
# | 4 data preprocessing | augmentation named, operators not | none | steps named | [](01_data), [](03_augmentation); some of MNLI's pairs, official sets whole or one fixed draw of them |
# | 5 modelling | one setting in v3; selection and baselines' tuning not told | temperature, weight; no values chosen | search named, space not | recipes in the records; **our baseline is not tuned**: [](02_baseline) |
# | 6 data leakage | not discussed | not discussed | not discussed | [](01_data): splits by premise; **the encoder saw NLI pairs before**; some recipes followed a look at official results |
# | 7 metrics and uncertainty | accuracy, a perplexity that cannot be; no seeds, no intervals | accuracy, F1; none | four metrics; none | paired intervals over seeds and examples, seeds beside them: this page; several arms have one seed |
# | 8 generalizability and limitations | claimed for all models; one tested | claimed | claimed | below, *What changes with scale* |
#
# **Check.** The arithmetic of each contradiction comes out; every claim has a verdict of the eight, and a
# reason where it is not testable; what has no record is not judged; what has one is never *not run*; and the rule itself gives the verdicts
# that it must on five made-up effects.

# %% tags=["live"]
assert [c.number for c in listed] == list(range(1, 13)) and all(c.holds for c in listed)
assert set(judged["verdict"]) <= set(verdicts.VERDICTS) and len(judged) == 40
assert judged.loc[judged["verdict"] == verdicts.NOT_TESTABLE, "note"].str.len().min() > 20
without = judged["ours"] == NOT_RUN
assert set(judged.loc[without, "verdict"]) <= {NOT_RUN, verdicts.NOT_TESTABLE}
assert NOT_RUN not in set(judged.loc[~without, "verdict"])
made_up = [verdicts.verdict(e, e - 0.5, e + 0.5, 1.7, 1) for e in (1.5, 0.9, 0.3, -1.0)]
made_up.append(verdicts.verdict(0.9, -0.1, 1.9, 1.7, 1))
assert made_up == ["reproduced", "partly", "not reproduced", "not reproduced", "not settled"]
print("12 contradictions hold; 40 claims, each with a verdict; the rule gives", ", ".join(made_up))

# %% [markdown]
# ## The records behind this page

# %% tags=["record", "hide-input"]
Table(tables.standing_on(reference))

# %% tags=["nbval-ignore-output", "live"]
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
# 3. Write claim 40½: something that the papers say and this list lacks, with its ratio, its direction and
#    its source.
