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
# # Data augmentation
#
# Labels cost money, edits of labelled texts do not. *Data augmentation* replaces words by synonyms, translates a sentence
# into another language and back, or disturbs it a little, and gives the result the old label {cite}`wei2019eda`. The
# SEO-LLM paper has it as the first technique of its tables, "+ data augmentation", "including synonym replacement and back-translation"
# {cite}`seollm2024`. How many pairs were added, and whether an edit may change a label, it does not say.
#
# For natural language inference there is a catch that off-the-shelf tools ignore: the label belongs to a *pair*. With
# $y = f(p, h)$, an edit $e$ of one side is allowed only if it keeps the relation,
#
# $$ f(e(p), h) = f(p, h) \quad \text{or} \quad f(p, e(h)) = f(p, h), $$
#
# and whether it does depends on the side and on the label. This chapter is about *static* augmentation: the same edits
# for any model. The adaptive kind, the paper's ADA, comes after it.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the edits, the labelled pairs, and the training
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task: embedded | hub id | local path; default: the profile's own
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import efficiency
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.augmentation import DELETION, OPERATORS, augment, changes, label_filter, protected, survivors
from seo_core.augmentation.words import split
from seo_core.data import generate
from seo_core.evaluation import predict

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source,
                         labels=labels, text=text, epochs=epochs, train_rows=train_rows, development_rows=development_rows)

# %% [markdown]
# ## The operators
#
# Each operator declares which side it may edit for which label.
#
# - A new *wording* (synonyms from WordNet {cite}`miller1995wordnet`, a round trip of translation {cite}`sennrich2016`) or
#   punctuation {cite}`karimi2021aeda` leaves the meaning, so any label survives.
# - Another *word of the same kind* (a neighbour in the model's word table, or what a masked language model puts into a
#   gap {cite}`kobayashi2018`) changes the meaning. Only words that do not stand on the other side are exchanged, and none that stands
#   there is put in. In a hypothesis this would still break an entailment. In a premise it can break one too, where a label rests on a word that the hypothesis only
#   implies ("every *dog* barks" and "the spaniel barks"): such copies are left to the filter below. Opposites such as *strong* and *weak* stand
#   close together in a word table; a list keeps `neighbour` from exchanging them.
# - A *deletion* says less. What says less is entailed by more: a word may go from the hypothesis of an entailment,
#   and from the premise of a neutral pair. Below "no" or "all" the direction turns round, so a text with such a word loses none.

# %% tags=["live"]
Table(survivors())

# %% [markdown]
# Negation, opposites, numbers, quantifiers, modals, words of time, and names are never edited, inserted or deleted:

# %% tags=["live"]
sentence = "Every guest but Anna had left the old house before nine, and nobody quickly bought the cheap car."
print(" ".join(word.upper() if protected(word) else word for word in split([sentence]).parts[0][1::2]))

# %% [markdown]
# These are lists of English words, and WordNet is English too. In texts of another language nothing is safe to edit: there every operator but `aeda`
# (and translation models of your own) says so and leaves them as they are.
#
# An operator whose resource is missing is reported as absent, with what brings it. WordNet comes with
# `python -m seo_core.run setup` where there is a network, Apertium with a Debian package, a masked language model with its hub id.

# %% tags=["nbval-ignore-output", "live"]
for name, operator in OPERATORS.items():
    print(f"{name:17s} {operator.available() or 'ready'}")

# %% [markdown]
# ## Edited pairs
#
# Pairs of the embedded generator, whose labels are right by construction. `augment` returns at most one copy of a row,
# edited on one side. `source` is the position of the row that it came from. The {term}`strength` is the share of a text's
# *editable* words that is changed, and at least one word: what is protected, or has no replacement, does not count as editable.
# Back-translation rewords a text as a whole and takes no notice of it. The random numbers are a function of the seed and the
# row's texts, so a copy is the same whatever rows stand beside it.

# %% tags=["live"]
pairs = generate(400, seed=1)
copies = augment(pairs, "neighbour", strength=0.1, seed=settings.seed)
Table(changes(pairs, copies).head(6))

# %% [markdown]
# Here are the other operators, where they are ready, on the same pairs. Synonyms of WordNet are taken from the commonest
# reading of a word, so that no tagger is needed; a word without a prevailing reading stays. Back-translation is
# dropped where a negation, a number or a quantifier got lost on the way.

# %% tags=["nbval-ignore-output", "live"]
ready = [name for name in ("synonym", "back_translation", "eda", "aeda") if OPERATORS[name].available() is None]
shown = [changes(pairs, augment(pairs.head(60), name, seed=settings.seed)).iloc[[3, 11]] for name in ready]
Table(pd.concat(shown))

# %% [markdown]
# **Check.** With `neighbour`, words that stand on both sides stay, nothing is put in that stands on the other side, the hypothesis
# of an entailment is not touched, protected words are neither lost nor added, and the same seed gives the same copies.

# %% tags=["live"]
for row in changes(pairs, augment(pairs, "neighbour", strength=1.0, seed=settings.seed)).itertuples():
    before, after, other = (set(split([text]).vocabulary) - {"a", "an"} for text in row[4:])
    assert not (before ^ after) & other, row
    assert not [word for word in before ^ after if protected(word)], row
    assert (row.side, row.label) != ("hypothesis", 0), row
assert copies.equals(augment(pairs, "neighbour", strength=0.1, seed=settings.seed))
assert {side: set(labels) for side, labels in DELETION.items()} == {"premise": {1}, "hypothesis": {0}}
print("shared words, protected words and entailed hypotheses are as they were")

# %% [markdown]
# ## The label filter
#
# Rules make wrong labels rarer; they cannot exclude them. `label_filter` asks a model that was trained on the same labels: a copy
# stays only if that teacher gives its label at least the probability of a guess, 1/k. The teacher here is the
# supervised model that the study below compares with.

# %% tags=["nbval-ignore-output", "live"]
lab = open_lab("03_augmentation", settings)
labels = lab.budgets[0] if profile == "quick" else lab.affordable(2000)
base = lab.arm("supervised", labels)
labelled = lab.pool.iloc[base.rows].reset_index(drop=True)
edited = augment(labelled, "neighbour", strength=0.5, seed=settings.seed, texts=lab.task.texts)
kept = label_filter(edited, predict(base.model(), lab.encode(edited)))
Table(edited.assign(kept=kept).groupby(["side", "label"]).kept.agg(["size", "mean"]).round(2).reset_index())

# %% [markdown]
# Some that were dropped. A weak teacher also drops what was right:

# %% tags=["nbval-ignore-output", "live"]
Table(changes(labelled, edited[~kept]).head(4))

# %% [markdown]
# ## The effect
#
# The study trains on a small number of labels, with and without half as many edited pairs beside them: `da-static` takes equal
# shares of the operators that are ready, at strength 0.1 and unfiltered. *Robust accuracy* is that on perturbed copies of the matched set:
# typing errors, and synonyms where WordNet is there. Under `quick` there is one run of each, too small to tell anything; the reference runs below are the result.

# %% tags=["nbval-ignore-output", "live"]
quick = dict(arms=["da-static"], labels=[labels]) if profile == "quick" else {}
runs = [base, *lab.run(**quick)]
names = ["labels", "added", "robust_accuracy"]
rows = [{"configuration": run.record["configuration"], **run.accuracies, **{n: run.metrics.get(n) for n in names}} for run in runs]
Table(pd.DataFrame(rows).round(3))

# %% [markdown]
# ## What the papers report
#
# Augmentation alone gives 86.3% accuracy and a perplexity of 9.4, against 84.5% and 9.8 of the baseline, in fewer hours of training:
# 43 instead of 48. More examples in less time cannot be without a way of counting that the paper does not give: see
# [](tab1_training_time) and [](claims_audit). It also says that augmentation improves robustness, without a number.
#
# ## The reference runs
#
# Records of the profile `cpu`, on the MultiNLI subset of [](02_baseline); all arms are measured on the same 4 000 pairs of each official
# set. `base` has the labelled pairs alone; `da-copies` has unchanged
# copies in place of edited ones, at equal numbers, so that more steps are not taken for better data; the others name their operator.
# Differences to `base` are in points, paired by seed and example, with 95% intervals; the robust accuracy, of which no
# predictions are kept, is paired by seed.

# %% tags=["record", "hide-input"]
folders = [results.reference_dir() / "cpu" / name
           for name in ("05_transfer_learning", "04_adaptive_augmentation", "03_augmentation")]
metrics = {"matched": "accuracy_matched", "mismatched": "accuracy_mismatched", "robust": "robust_accuracy"}
curves = {title: efficiency.label_curves(*folders, metrics=(metric,)) for title, metric in metrics.items()}
static = {title: c[c.configuration.str.fullmatch("base|da-(?!.*limited).*")] for title, c in curves.items()}
means = {title: 100 * c.groupby(["labels", "configuration"]).accuracy.mean() for title, c in static.items()}
means["seeds"] = static["matched"].groupby(["labels", "configuration"]).size()
means = pd.DataFrame(means).round(2).reset_index()
Table(means if len(means) else pd.DataFrame([{"configuration": "not run yet"}]))

# %% tags=["record", "hide-input"]
gains = {title: efficiency.gains(c, target="base") for title, c in static.items()}
for title, table in gains.items():
    print(f"{title}, minus base, in points:", "not run yet" * table.empty)
    for r in table.itertuples():
        interval = "(one seed: no interval)" if pd.isna(r.low) else f"[{r.low:+.2f}, {r.high:+.2f}] seeds {r.seeds}"
        print(f"  {r.configuration:20s} {r.labels:5d} labels {r.difference:+6.2f} {interval}")

# %% mystnb={"figure": {"caption": "Accuracy on the matched set minus that of the same labels without augmentation, in points, with 95% intervals (reference runs). Left of the line accuracy is lower than without augmentation. Hollow points have one seed: their interval holds the spread of examples only.", "name": "fig-augmentation-gains"}, "image": {"alt": "Points with horizontal intervals for each augmentation arm and number of labels around a line at zero."}} tags=["record", "hide-input"]
_ = figures.forest(gains["matched"])

# %% [markdown]
# An interval that contains zero means that these runs cannot tell the arm from no augmentation.
#
# ### More steps, or better data?
#
# Every arm but `base` trains on half as many pairs again, so it also takes half as many steps again. `da-copies` shows what these steps
# are worth without any edit. What the *edits* are worth is the difference to `da-copies`:

# %% tags=["record", "hide-input"]
seen = results.load(*folders)
if len(seen):
    seen = seen.pivot_table(index="labels", columns="configuration", values="train_examples")
    for n, row in seen[["base", "da-copies"]].dropna().iterrows():
        print(f"{n:.0f} labels: base sees {row['base']:.0f} pairs in training, repeats included, da-copies {row['da-copies']:.0f}")

# %% tags=["record", "hide-input"]
edits = pd.concat([efficiency.gains(c, target="da-copies").assign(metric=title) for title, c in static.items()])
edits = edits[(edits["configuration"] != "base") & edits["low"].notna()]
for r in edits.itertuples():
    verdict = "better than" if r.low > 0 else "worse than" if r.high < 0 else "not told apart from"
    note = ", by examples only" * (r.seeds == 1)
    print(f"{r.configuration:20s} {r.labels:5d} labels, {r.metric:10s} {r.difference:+6.2f} [{r.low:+.2f}, {r.high:+.2f}] "
          f"seeds {r.seeds}: {verdict} copies{note}")
best = sorted(set(edits.loc[edits["low"] > 0, "configuration"]))
print("better than unchanged copies, interval included:", ", ".join(best) or "none" if len(edits) else "not run yet")

# %% [markdown]
# With one seed an interval holds the spread of examples only, and a second seed may turn the verdict. So may another run of the control: the single
# operators have one seed, and are compared with the copies of that seed alone. How far the copies of different seeds lie apart:

# %% tags=["record", "hide-input"]
for title, c in static.items():
    for n, runs in c[c["configuration"] == "da-copies"].groupby("labels"):
        print(f"da-copies, {n} labels, {title:10s} " + ", ".join(f"seed {r.seed}: {100 * r.accuracy:.2f}" for r in runs.itertuples()))

# %% [markdown]
# No arm is better than unchanged copies here. `da-static`, the edited arm with three seeds, is not told apart from them, on either set and with either
# number of labels. The single operators look worse on the mismatched set, but there
# the copies of seed 0, which they are compared with, lie more than three points above those of the other seeds. An arm that gains on `base`, but not on `da-copies`, is not shown to help by its edits:
# repeating the pairs as they are did no worse. A likely reason, which was not tested here: an edit changes a word or two of a pair, so it says
# little that the pair did not say, and where the rules let a wrong label through it says something false.
#
# ## What changes with scale
#
# Do edited copies add less where there are more labels? These runs do not settle it. With 2 000 labels unchanged copies gain on `base` on the matched set, and with 8 000 they are not told apart
# from it; `da-static`, the only edited arm of this chapter at both sizes, is not told apart from `base` at either. On a GPU,
# `contextual` with a masked language model and MarianMT models for back-translation become affordable: pass their
# names as `model=`. How fast the operators are is measured in [](bench_augmentation).
#
# ## Exercises
#
# 1. Raise `strength` to 1. What does the label filter drop then, and for which labels?
# 2. Which words of your own data should be protected as well? Try `protected` on them.
# 3. Augment single sentences: `texts=("sentence",)`. Which of the rules above no longer apply, and why?
# 4. Add an operator of your own as an `Operator`, and say which labels survive it on which side.
