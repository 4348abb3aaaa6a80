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
# Which of the papers' claims hold? This page judges all of them, by one rule that is code. They are those of SEO-LLM {cite}`seollm2024` and its revision SEC {cite}`sec2025`, of TKD-NLP {cite}`tkdnlp2024` (known to us by a summary only), and of *Optimized BERT* {cite}`bhat2024`.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown, display

from seo_core import figures, load_settings, results
from seo_core.analysis import (
    NOT_RUN,
    contradictions,
    glue,
    papers,
    tables,
    verdicts,
)
from seo_core.analysis.contrasts import contrast_in
from seo_core.analysis.findings import Finding
from seo_core.analysis.tables import Table

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
reference = results.load()
judged = verdicts.audit(reference)
cells = verdicts.audit(reference, verdicts.TABLE_CLAIMS)
NEW, OLD = (judged[column].value_counts() for column in ("verdict", "before"))


def these(verdict):
    """The statements with this verdict, as a text."""
    said = judged.loc[judged["verdict"] == verdict, "statement"]
    return "; ".join(said) or "none"

# %% tags=["record", "answer", "remove-input"]
count = NEW.reindex(verdicts.VERDICTS).fillna(0).astype(int)
Finding(f"""
Of {len(judged)} claims, **{count[verdicts.REPRODUCED]} are reproduced**,
{count[verdicts.BETTER]} better than claimed, and {count[verdicts.PARTLY]} hold
partly. **{count[verdicts.NOT_REPRODUCED]} are not reproduced**, and
{count[verdicts.CONFOUNDED]} confounded. Of the rest, the records leave
{count[verdicts.NOT_SETTLED]} open, {count[verdicts.NOT_TESTABLE]} cannot be
tested as they are stated, and {count[NOT_RUN]} have no records yet.

*Reproduced*: {these(verdicts.REPRODUCED)}.

*Not reproduced*: {these(verdicts.NOT_REPRODUCED)}.""")

# %% tags=["record", "hide-input"]
known = ~judged["verdict"].isin((verdicts.NOT_TESTABLE, NOT_RUN))
decided = judged[known & (judged["verdict"] != verdicts.NOT_SETTLED)]
Table(tables.verdict_table(decided),
      folded="what the records decide" if len(decided) > 8 else "")

# %% mystnb={"figure": {"caption": "Our effect as a share of the claimed one, with 95% intervals, for each claim and each cell of the papers' tables that has a value and records. 0: no effect (where accuracy is said to be kept, a point lost); dotted, 1: as claimed (for a claimed loss, the loss as claimed). Ratios in logarithms. Names with h-, tkd- or bd- are claims, the others are cells of the tables; below each stand its claimed value and ours. Hollow points have one seed.", "name": "fig-claims-valued"}, "image": {"alt": "A row for each claim with its verdict; points with intervals between the lines at zero, no effect, and at one, the claimed effect. Without records it says not run."}} tags=["record", "hide-input"]
valued, directed, other = (
    shown.assign(contrast=shown["contrast"] + "\nclaimed " + shown["claimed"]
                 + ", ours " + shown["ours"])
    for shown in verdicts.shares(reference))
_ = figures.forest(
    valued, goals=(1,), unit="share of the claimed effect", width=5)

# %% tags=["record", "hide-input"]
every = pd.concat([judged, cells])
unrun = every[every["verdict"] == NOT_RUN]
Table(unrun[["claim", "claimed", "statement"]],
      folded=f"not run, so not drawn: {len(unrun)} claims and cells")

# %% [markdown]
# ## How a claim is judged
#
# A claim is stated as a ratio or a difference. `verdicts.verdict` looks at our {term}`95% interval <confidence interval>`. The rule was changed on 2026-11-29, when the first records were known, because the one before called effects reproduced that might be none. Both stand here. *No effect* is a difference of zero, or a ratio of one.
#
# | verdict | since 2026-11-29: our 95% interval … | before |
# |---|---|---|
# | reproduced | is clear of *no effect*, and reaches the claimed value | reaches the claimed value |
# | better than claimed | is all on the better side of a claimed *loss* | not reproduced |
# | partly | is clear of *no effect*, but does not reach the value | the same |
# | not settled | holds *no effect* and the claimed value alike; or there is one seed and no interval | reproduced, or not run |
# | not reproduced | lies on the other side, or holds *no effect* and excludes the value | otherwise |
# | confounded | the arm differs from its baseline in more than its name, and no control has a record | judged as it stood |
# | not testable as stated | the reason is given | the same |
# | not run | there are no records | the same |
#
# :::{dropdown} The fine print
# Where accuracy is said to be kept (`h-data`, `tkd-kd`), the claimed value is a difference of zero, and *no effect* is a loss of one point. <!-- setting --> Where a paper names a direction and no value, *reproduced* means that the whole interval lies on that side of *no effect*. A claim has to hold at each number of labels that its arms were run with: the weakest verdict counts. Before, only the most labels counted. Verdicts are taken from the largest profile that has records: `paper` before `gpu` before `cpu`. Those of `quick` are no evidence. A verdict takes each interval as it is; what is left of the comparisons of a chapter, counted as one family, stands in its tables ({term}`after Holm <Holm correction>`).
#
# *Controlled* means equal labels, source task and pairs seen, with three seeds or more. *Confirmed* means that all records behind it were made after `book/final.yml` named them, too. The rest is *exploratory*.
# :::
#
# **Check.** Every claim has one of the eight verdicts, and a reason where it is not testable. What has no record, and nothing else, is *not run*. The rule gives what it must on five made-up effects.

# %%
assert set(judged["verdict"]) <= set(verdicts.VERDICTS) and len(judged) == 40
untestable = judged["verdict"] == verdicts.NOT_TESTABLE
assert judged.loc[untestable, "note"].str.len().min() > 20
without = judged["ours"] == NOT_RUN
assert set(judged.loc[without, "verdict"]) <= {NOT_RUN, verdicts.NOT_TESTABLE}
assert NOT_RUN not in set(judged.loc[~without, "verdict"])
made_up = [verdicts.verdict(e, e - 0.5, e + 0.5, 1.7, 1)
           for e in (1.5, 0.9, 0.3, -1.0)]
made_up.append(verdicts.verdict(0.9, -0.1, 1.9, 1.7, 1))
assert made_up == ["reproduced", "partly", "not reproduced",
                   "not reproduced", "not settled"]
print("40 claims, each with a verdict; the rule gives", ", ".join(made_up))

# %% [markdown]
# ## Claim by claim
#
# SEO-LLM and SEC (`h-…`), TKD-NLP (`tkd-…`) and Optimized BERT (`bd-…`):

# %% tags=["record", "hide-input"]
for title, prefix in (("SEO-LLM and SEC", "h-"), ("TKD-NLP", "tkd-"),
                      ("Optimized BERT", "bd-")):
    rows = judged[judged["claim"].str.startswith(prefix)]
    display(Table(tables.verdict_table(rows, "tier"),
                  folded=f"{title}: {len(rows)} claims"))
display(Table(judged[["claim", "source", "measured by", "records", "note"]],
              folded="where each is claimed, and how it is measured"))

# %% tags=["record", "hide-input"]
both = every
changed = both[(both["before"] != "—") & (both["before"] != both["verdict"])]
display(Table(tables.verdict_table(changed, "before", "uncontrolled"),
              folded="verdicts that the new rule changed"))
display(Table(pd.DataFrame({"claims": NEW, "before": OLD}).reindex(
    [*verdicts.VERDICTS, "—"]).fillna(0).astype(int), index=True,
    folded="how many had which verdict, and before (—: found later)"))
several = (both["each"] != "—") & (both["ours"] != NOT_RUN)
display(Table(both.loc[several, ["claim", "each"]],
              folded="contrast by contrast"))

# %% [markdown]
# The same with all evidence is `book/claims.json`, which `python -m seo_core.run audit` makes again from the records.
#
# Where only a direction is claimed, in points, positive as claimed:

# %% mystnb={"figure": {"caption": "Our effect in points with 95% intervals for claims of a direction. Hollow points have one seed.", "name": "fig-claims-directed"}, "image": {"alt": "A row for each claim with its verdict; points with intervals around the line at zero, no effect. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.forest(directed, width=5)

# %% mystnb={"figure": {"caption": "The same for claims of a direction in other units, in hundredths of each: the overlap of two shapes over its threshold of 0.9, a rank correlation over 0, and the share of time that is saved. The numbers at the right count seeds, or files that were timed.", "name": "fig-claims-other"}, "image": {"alt": "A row for each claim with its verdict; points with intervals around the line at zero, no effect. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.forest(other, unit="hundredths from no effect", width=5)

# %% [markdown]
# ## When a control takes the gain
#
# An {term}`arm` may differ from its baseline in more than its name says. Augmentation, semi-supervised learning and transfer all take more training steps. A claim whose arm does is judged against a control that differs in the name alone.

# %% tags=["remove-cell"]
bought = reference[reference["experiment"].isin((
    "05_transfer_learning", "07_transfer_active_learning"))].reindex(
        columns=["configuration", "labels", "labels_used", "source_labels"])
used = bought.groupby(["configuration", "labels"])["labels_used"].max()

# %% tags=["remove-cell"]
def spent(counted=""):
    """Labels of the data module over the baseline's, with these too."""
    runs = ("data-module", 5600), ("base", 8000)
    if not set(runs) <= set(used.index):
        return NOT_RUN
    ours, theirs = (used[run] if counted else run[1] for run in runs)
    more = bought["source_labels"].max() * (counted == "source")
    share = 100 * ((ours + more) / theirs - 1)
    return f"{abs(share):.0f}% {'less' if share < 0 else 'more'}"

# %% tags=["record", "remove-input"]
row = judged.set_index("claim")
Finding(f"""
That ADA and TAL help most on imbalanced data (`h-imbalance`) would be, as
worded, {row.uncontrolled['h-imbalance']}. Against random labels after the same
source task it is {row.ours['h-imbalance']}: {row.verdict['h-imbalance']}
([chapter](04_adaptive_augmentation.ipynb)).

That 30% less data will do (`h-data`) would be, against the baseline with all
labels, {row.uncontrolled['h-data']}. Against random labels after the same
source task it is {row.ours['h-data']}: {row.verdict['h-data']}. And which
labels count? Bought alone, 5 600 of 8 000 are {spent()}; with those of the
development slice, {spent('development')}; with those of the source task too,
{spent('source')} ([chapter](07_transfer_active_learning.ipynb)).""")

# %% [markdown]
# For transfer there is no control with as many steps yet. `h-data` is judged for the data module.
#
# ## Every cell of the tables
#
# Tables 1 to 4 of SEO-LLM and SEC, each cell as a ratio or difference to its baseline. The papers' network is BERT-base, ours MiniLM of six layers; each is compared with its own baseline.

# %% tags=["record", "hide-input"]
there = cells["ours"] != NOT_RUN
print(f"{len(cells)} cells; with records:", ", ".join(
    f"{n} {word}" for word, n in cells.loc[there, "verdict"]
    .value_counts().items()))
for of, title in (there, "the cells with records"), (~there, "the others"):
    display(Table(tables.verdict_table(cells[of], "note"), folded=title))

# %% [markdown]
# ## The twelve contradictions
#
# Here the papers disagree with themselves, or with arithmetic. Each line is computed from their numbers in `papers.PAPER_TABLE`.

# %% tags=["hide-input"]
listed = contradictions.listed()
for c in listed:
    display(Markdown(f"**{c.number}. {c.title}.** {c.text} *({c.source})*"))
    display(Table(tables.steps_table(c), folded="the arithmetic"))

# %%
assert [c.number for c in listed] == list(range(1, 13))
assert all(c.holds for c in listed)
print("12 contradictions hold")

# %% [markdown]
# ## Higher references
#
# The papers compare with BERT-base {cite}`devlin2019` only. Their combined system has 136 MB, 1.9 times the speed and 86.2% {cite}`sec2025`. XtremeDistil l12-h384, a public checkpoint with 33 million weights, has 2.7 times the speed and 87.2% {cite}`mukherjee2021`. To be better than the papers is the least that can be asked.

# %%
Table(papers.higher_references().drop(columns="cite"),
      folded="ten published systems: MNLI accuracy, size, speed")

# %% [markdown]
# :::{dropdown} Sources of that table, and of combinations
# DistilBERT {cite}`sanh2019`, TinyBERT {cite}`jiao2020`, MiniLM {cite}`wang2020minilm`, XtremeDistil {cite}`mukherjee2021`, CoFi {cite}`xia2022cofi`, block movement pruning {cite}`lagunas2021`, oBERT {cite}`kurtic2022`, BinaryBERT {cite}`bai2021binarybert`, TernaryBERT {cite}`zhang2020ternarybert`, ZeroQuant {cite}`yao2022zeroquant`. MNLI accuracy is on the development sets (matched, or matched / mismatched), speed relative to BERT-base. They distil {cite}`hinton2015`, prune or quantize; none of them adds data optimization.
#
# Whether compressions help one another has been asked elsewhere, over all subsets of int8, distillation and pruning, six sizes of BERT and eight GLUE tasks {cite}`multiplicative2022`. Reductions of size multiply there, or do better than that; pruning with int8 is the exception. The papers' own tables have less than the product (contradiction 6), and call it synergy.
# :::
#
# ## Paper by paper
#
# What was tried of each, what came out, what was easy and what was hard:
#
# :::{dropdown} SEO-LLM and SEC
# - **Scope.** Both versions, all of their tables and figures, MNLI. Not their network: MiniLM of six layers stands for BERT-base, and less than a tenth of MNLI's pairs for all of them.
# - **What was done.** Each technique alone against its baseline ([](03_augmentation) to [](13_quantization_distillation)), those of the data with three seeds and controls, those of compression mostly with one; each of the four components against what it is said to beat.
# - **What came out.** Int8 shrinks and speeds up by more than is claimed. Of the four components none is shown to beat its simpler control: ADA static edits, TAL random labels after the same source task, AIP one cut, SQD rounding after distillation. Transfer's gain is confounded with the source task's training.
# - **What was easy.** The idea of each component, the tables, the arithmetic of the contradictions.
# - **What was hard.** No code, no seeds, no thresholds, no definition of the hours or of the perplexity. Each equation admits several readings, and we had to choose one.
# - **What could not be tried.** BERT-base on all of MNLI. What has no record yet says so below.
# :::
#
# :::{dropdown} TKD-NLP
# - **Scope.** A third party's summary, not the paper. Distillation of one network on MNLI, its 12-layer network on some of GLUE's tasks; no mix of them.
# - **What was done.** Students of several depths and shapes, with and without a teacher ([](12_distillation)); the 12-layer network from random weights ([](20_tkd_nlp)); AdamW against SGD with momentum and LAMB ([](17_optimizers)).
# - **What came out.** In numbers below, from the records.
# - **What was easy.** The loss, with temperature and weight.
# - **What was hard.** The values: 98.32% lies above every published GLUE average {cite}`tkdnlp2024`, and what was averaged is not said.
# - **What could not be tried.** All nine tasks with one setting, and massively parallel computing. What has no record yet says so below.
# :::
#
# :::{dropdown} Optimized BERT
# - **Scope.** Two numbers, training time and memory, and five figures without values. Its evaluation names entities and SQuAD beside GLUE ([](18_hyperparameter_search)). Architecture search, LAMB ([](17_optimizers)) and federated learning stand in its related work only, so no claim here is about them.
# - **What was done.** Int8 after training, by ONNX Runtime in place of TensorFlow Lite ([](11_quantization), [](tab3_inference_speed)); magnitude pruning ([](09_pruning)); training in mixed precision ([](16_mixed_precision)); searches ([](18_hyperparameter_search)); two processes ([](19_distributed_training)).
# - **What came out.** In numbers below, from the records.
# - **What was easy.** The techniques are stock.
# - **What was hard.** Which of them a number belongs to: several are applied at once.
# - **What could not be tried.** Several GPUs. What has no record yet says so below.
# :::

# %% tags=["record", "remove-input"]
def came_out(prefix):
    """What the records say of a paper's claims, and which have none."""
    rows = judged[judged["claim"].str.startswith(prefix)]
    there = rows["ours"] != NOT_RUN
    said = "; ".join(f"{r.claim} {r.ours}: {r.verdict}"
                     for r in rows[there].itertuples())
    unrun = rows.loc[rows["verdict"] == NOT_RUN, "claim"]
    return said or NOT_RUN, ", ".join(unrun) or "none"

# %% tags=["record", "remove-input"]
tkd = glue.told(reference, "tkd-kd", "tkd-no-kd")
summary = pd.DataFrame(
    [(paper, *came_out(prefix)) for paper, prefix in (
        ("SEO-LLM, SEC", "h-"), ("TKD-NLP", "tkd-"),
        ("Optimized BERT", "bd-"))],
    columns=["paper", "what came out", "without records"])
summary.loc[1, "what came out"] += f"; with a teacher, by task: {tkd}"
Table(summary, folded="what came out, paper by paper")

# %% [markdown]
# :::{dropdown} A reproducibility checklist, after REFORMS
# After {cite:t}`kapoor2024reforms`, module by module: what the papers tell, and where this book tells it.
#
# | module | SEO-LLM, SEC | TKD-NLP (summary) | Optimized BERT | this book |
# |---|---|---|---|---|
# | 1 study goals | stated; population of tasks not | stated | stated | [introduction](../book/intro.md); English sentence pairs, one task |
# | 2 computational reproducibility | no code; versions of PyTorch and Python | none | none | code, pinned versions, a command in each record ([schema](../book/record_schema.md)) |
# | 3 data quality | MNLI named; called limited and imbalanced, which it is not | GLUE, no mix | named, not described | [](01_data): source, sizes, classes, duplicates |
# | 4 data preprocessing | augmentation named, operators not | none | steps named | [](01_data), [](03_augmentation); some of MNLI's pairs, official sets whole or one fixed draw of them |
# | 5 modelling | one setting in v3; selection and baselines' tuning not told | temperature, weight; no values chosen | search named, space not | recipes in the records; our baseline: four trials of other settings, one seed each, none told apart from it: [](02_baseline) |
# | 6 data leakage | not discussed | not discussed | not discussed | [](01_data): splits by premise; **the encoder saw NLI pairs before**; some recipes followed a look at official results |
# | 7 metrics and uncertainty | accuracy, a perplexity that cannot be; no seeds, no intervals | accuracy, F1; none | four metrics; none | paired intervals over seeds and examples, seeds beside them: this page; several arms have one seed |
# | 8 generalizability and limitations | claimed for all models; one tested | claimed | claimed | the sentence below; *What changes with scale* in [](fig3_size_vs_speed) |
# :::
#
# A ratio measured on a small encoder and a subset of MultiNLI speaks about the method, not about BERT-base.
#
# ## This run
#
# The claims for which the run that made these pages has records. Under `quick` they are **toys**: read the columns and not the verdicts.

# %% tags=["nbval-ignore-output", "live"]
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
this_run = verdicts.audit(run, verdicts.CLAIMS + verdicts.TABLE_CLAIMS,
                          profiles=(settings.profile,))
this_run = this_run[this_run["ours"] != NOT_RUN]
print(f"{len(run)} records, {len(this_run)} claims with all their records")
Table(tables.verdict_table(this_run),
      folded="claims with records of this run")

# %% tags=["record", "hide-input"]
Table(tables.standing_on(reference),
      folded="the reference records behind this page")

# %% tags=["nbval-ignore-output", "live"]
Table(tables.standing_on(run), folded="the records of this run")

# %% [markdown]
# ## To remember
#
# - A claim needs a number, a comparison and an interval. Without one of them it cannot be tested as it is stated.
# - Ask what else differs between an arm and its baseline. A control often has most of the gain.
# - Open: what the records do not settle, and what has none.
#
# ## Exercises
#
# **1.** Halve every interval. Which verdicts change, and in which direction?

# %% tags=["hide-cell", "record"]
for claim in verdicts.CLAIMS + verdicts.TABLE_CLAIMS:
    decides = verdicts.judge(claim, reference).decides
    if decides is None or decides.ours is None or claim.reason:
        continue
    (e, low, high), of = decides.ours[:3], decides.contrast
    half = verdicts.verdict(
        e, (e + low) / 2, (e + high) / 2, of.claimed, of.direction,
        of.no_effect, loss=claim.loss)
    if half != decides.verdict:
        print(f"{claim.id}: {decides.verdict} → {half}")

# %% [markdown]
# **2.** Claim `h-synergy` asks whether the combination beats each part. Does the papers' own table support it?

# %% tags=["hide-cell"]
seo = papers.PAPER_TABLE["seo"]
better = [row.label for row in papers.PAPER_TABLE.values()
          if row.accuracy > seo.accuracy]
print(f"above the combination's {seo.accuracy}%:", ", ".join(better))

# %% [markdown]
# **3.** Write claim 40½: something that the papers say and this list lacks, with its value, its direction and its source. For instance: semi-supervised learning beats active learning, 86.0 against 85.6% (Table 4) {cite}`sec2025`.

# %% tags=["hide-cell", "record"]
mine = verdicts.Claim(
    "40½", "semi-supervised beats active learning", ("sec2025",), "Table 4",
    (contrast_in("points", "accuracy_matched", ("ssl", "al"), claimed=0.4),))
Table(tables.verdict_table(verdicts.audit(reference, (mine,))))
