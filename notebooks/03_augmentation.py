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
# Labels cost money, edits of labelled texts do not. Do edited copies of your pairs teach a network anything that the pairs themselves do not?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the edits, the labelled pairs, and the training
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables
from seo_core.analysis.contrasts import OFFICIAL
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.augmentation import (
    DELETION,
    OPERATORS,
    augment,
    changes,
    label_filter,
    protected,
    survivors,
)
from seo_core.augmentation.words import split
from seo_core.data import generate
from seo_core.evaluation import predict

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, labels=labels, text=text, epochs=epochs,
    train_rows=train_rows, development_rows=development_rows)

# %% tags=["record", "answer", "remove-input"]
records = ("04_adaptive_augmentation", "03_augmentation")
few, many = (Evidence(*records, labels=n) for n in (2000, 8000))
edited = ["da-static", "da-synonym", "da-neighbour", "da-back_translation",
          "da-eda", "da-aeda"]
better = [arm for arm in edited for metric in OFFICIAL
          if few.told(arm, "da-copies", metric) == "is better"]
Finding(f"""
It is not shown here. On 2 000 labels, training with *unchanged* copies of half
the pairs (`da-copies`) {few.told('da-copies', 'base', MATCHED)} than without:
{few.gap('da-copies', 'base', MATCHED)} on the matched set. Edited copies in
their place (`da-static`) {few.told('da-static', 'da-copies', MATCHED,
same='are not better')}: {few.gap('da-static', 'da-copies', MATCHED)}. Better
than plain copies, on either set:
{', '.join(dict.fromkeys(better)) or 'no kind of edit'}.""")

# %% mystnb={"figure": {"caption": "Accuracy of edited copies minus that of unchanged copies, in points, with 95% intervals (reference runs). Left of the line the edits did harm. Hollow points have one seed: their interval holds the spread of examples only.", "name": "fig-augmentation-gains"}, "image": {"alt": "Points with horizontal intervals around a line at zero, a row for each kind of edit and number of labels, a panel for each official set."}} tags=["record", "hide-input"]
frame = results.load(*(results.reference_dir() / "cpu" / name
                       for name in records))
edits = contrasts.differences(
    frame, [(arm, "da-copies") for arm in edited], OFFICIAL)
_ = figures.forest(edits)

# %% [markdown]
# ## The idea
#
# *Data augmentation* replaces words by synonyms, translates a sentence into another language and back, or disturbs it a little. The result keeps the old label {cite}`wei2019eda`. It is the first technique in the SEO-LLM paper's tables, "including synonym replacement and back-translation" {cite}`seollm2024`. How many pairs were added, and whether an edit may change a label, it does not say.
#
# For natural language inference there is a catch that off-the-shelf tools ignore: the label belongs to a *pair*. With $y = f(p, h)$, an edit $e$ of one side is allowed only if it keeps the relation,
#
# $$ f(e(p), h) = f(p, h) \quad \text{or} \quad f(p, e(h)) = f(p, h). $$
#
# Whether it does depends on the side and on the label. This chapter is about *static* augmentation: the same edits for any model. The adaptive kind, the paper's ADA, follows in [](04_adaptive_augmentation).
#
# ## The operators
#
# Each {term}`operator` declares which side it may edit for which label. There are three kinds.
#
# - **A new wording** leaves the meaning, so any label survives: synonyms from WordNet {cite}`miller1995wordnet`, a round trip of translation {cite}`sennrich2016`, punctuation {cite}`karimi2021aeda`.
# - **Another word of the same kind** changes the meaning: a neighbour in the model's word table, or what a masked language model puts into a gap {cite}`kobayashi2018`. Only words that do not stand on the other side are exchanged, and none that stands there is put in. A hypothesis that is entailed stays untouched.
# - **A deletion** says less. What says less is entailed by more: a word may go from the hypothesis of an entailment, and from the premise of a neutral pair.

# %% tags=["live"]
Table(survivors())

# %% [markdown]
# :::{dropdown} What these rules leave to the filter, and to lists
# - In a premise, another word can break an entailment too, where the label rests on a word that the hypothesis only implies ("every *dog* barks" and "the spaniel barks"). Such copies are left to the filter below.
# - Opposites such as *strong* and *weak* stand close together in a word table. A list keeps `neighbour` from exchanging them.
# - Below "no" or "all" the direction of a deletion turns round, so a text with such a word loses none.
# - Synonyms of WordNet are taken from the commonest reading of a word, so that no tagger is needed; a word without a prevailing reading stays. Back-translation is dropped where a negation, a number or a quantifier got lost on the way.
# - The lists are of English words, and WordNet is English too. In texts of another language nothing is safe to edit. There every operator but `aeda` (and translation models of your own) says so and leaves them as they are.
# :::
#
# Negation, opposites, numbers, quantifiers, modals, words of time, and names are never edited, inserted or deleted. You see them here in capitals:

# %% tags=["live"]
sentence = ("Every guest but Anna had left the old house before nine, "
            "and nobody quickly bought the cheap car.")
print(" ".join(word.upper() if protected(word) else word
               for word in split([sentence]).parts[0][1::2]))

# %% [markdown]
# An operator whose resource is missing says so, and what brings it. WordNet comes with `python -m seo_core.run setup` where there is a network, Apertium with a Debian package, a masked language model with its hub id.

# %% tags=["nbval-ignore-output", "live"]
for name, operator in OPERATORS.items():
    print(f"{name:17s} {operator.available() or 'ready'}")

# %% [markdown]
# ## Edited pairs
#
# Try it on pairs of the embedded generator, whose labels are right by construction. `augment` returns at most one copy of a row, edited on one side. The {term}`strength` is the share of a text's *editable* words that is changed, and at least one word. What is protected, or has no replacement, does not count. Back-translation rewords a text as a whole. In these tables, label 0 is entailment, 1 neutral and 2 contradiction.

# %% tags=["live"]
pairs = generate(400, seed=1)
copies = augment(pairs, "neighbour", strength=0.1, seed=settings.seed)
Table(changes(pairs, copies).head(6))

# %% [markdown]
# The random numbers are a function of the seed and the row's texts. So a copy is the same whatever rows stand beside it. Here are the other operators that are ready, on the same pairs.

# %% tags=["nbval-ignore-output", "live"]
ready = [name for name in ("synonym", "back_translation", "eda", "aeda")
         if OPERATORS[name].available() is None]
shown = [changes(pairs, augment(pairs.head(60), name, seed=settings.seed))
         .iloc[[3, 11]] for name in ready]
Table(pd.concat(shown), folded="two pairs by each operator")

# %% [markdown]
# **Check.** With `neighbour`, words that stand on both sides stay, and nothing is put in that stands on the other side. The hypothesis of an entailment is not touched. Protected words are neither lost nor added, and the same seed gives the same copies.

# %% tags=["live"]
strong = augment(pairs, "neighbour", strength=1.0, seed=settings.seed)
for row in changes(pairs, strong).itertuples():
    before, after, other = (set(split([text]).vocabulary) - {"a", "an"}
                            for text in row[4:])
    assert not (before ^ after) & other, row
    assert not [word for word in before ^ after if protected(word)], row
    assert (row.side, row.label) != ("hypothesis", 0), row
again = augment(pairs, "neighbour", strength=0.1, seed=settings.seed)
assert copies.equals(again)
assert set(DELETION["premise"]) == {1} and set(DELETION["hypothesis"]) == {0}
print("shared and protected words and entailed hypotheses are as they were")

# %% [markdown]
# ## The label filter
#
# Rules make wrong labels rarer; they cannot exclude them. `label_filter` asks a model that was trained on the same labels. A copy stays only if that teacher gives its label at least the probability of a guess, 1/k. The teacher here is the supervised model that the study below compares with. You see how many copies there are by side and label, and which share of them it keeps.

# %% tags=["nbval-ignore-output", "live"]
lab = open_lab("03_augmentation", settings)
labels = lab.budgets[0] if profile == "quick" else lab.affordable(2000)
base = lab.arm("supervised", labels)
labelled = lab.pool.iloc[base.rows].reset_index(drop=True)
copies = augment(labelled, "neighbour", strength=0.5, seed=settings.seed,
                 texts=lab.task.texts)
kept = label_filter(copies, predict(base.model(), lab.encode(copies)))
passing = copies.assign(kept=kept).groupby(["side", "label"]).kept
Table(passing.agg(["size", "mean"]).round(2).reset_index())

# %% tags=["nbval-ignore-output", "live"]
Table(changes(labelled, copies[~kept]).head(4),
      folded="dropped copies: a weak teacher also drops what was right")

# %% [markdown]
# ## The effect
#
# The study trains on few labels, with and without half as many edited pairs beside them. `da-static` takes equal shares of the operators that are ready, unfiltered, at a strength of 0.1. <!-- setting --> *Robust accuracy* is that on perturbed copies of the matched set: typing errors, and synonyms where WordNet is there.

# %% tags=["nbval-ignore-output", "live"]
quick = profile == "quick"
runs = [base, *(lab.run(arms=["da-static"], labels=[labels]) if quick
                else lab.run())]
names = ["labels", "added", "robust_accuracy"]
rows = [{"configuration": run.record["configuration"], **run.accuracies,
         **{name: run.metrics.get(name) for name in names}} for run in runs]
Table(pd.DataFrame(rows).round(3),
      folded="one run of each: under quick too small to tell anything")

# %% [markdown]
# ## What the papers report
#
# Augmentation alone gives 86.3% accuracy and a perplexity of 9.4, against 84.5% and 9.8 of the baseline, in 43 hours of training instead of 48 {cite}`seollm2024`. More examples in less time cannot be without a way of counting that the paper does not give. See [](tab1_training_time) and [](claims_audit). It also says that augmentation improves robustness, without a number.
#
# ## What the records say
#
# The reference runs are of the profile `cpu`, on the MultiNLI subset of [](02_baseline). All are measured on the same 4 000 pairs of each official set. Compare with the labelled pairs alone first (`base`).

# %% tags=["record", "remove-input"]
Finding(f"""
On 2 000 labels, editing by the word table (`da-neighbour`)
{few.told('da-neighbour', 'base')}: {few.gap('da-neighbour', 'base')}. Editing
by synonyms (`da-synonym`) {few.told('da-synonym', 'base')}:
{few.gap('da-synonym', 'base')}. The mixture (`da-static`)
{few.told('da-static', 'base')}: {few.gap('da-static', 'base')}.""")

# %% [markdown]
# But an arm with edits trains on half as many pairs again, so it also takes half as many steps again. `da-copies` has these steps and no edit. What the *edits* are worth is the difference to it:

# %% tags=["record", "remove-input"]
spread = frame[(frame["configuration"] == "da-copies")
               & (frame["labels"] == 2000)] if len(frame) else frame
same = "is not told apart from plain copies"
seeds = ", ".join(f"{100 * x:.1f}" for x in spread.get(OFFICIAL[1], []))
Finding(f"""
Nothing is left of it. `da-neighbour`
{few.told('da-neighbour', 'da-copies', same=same)}:
{few.gap('da-neighbour', 'da-copies')}. `da-static`, the only edited arm with
three seeds, {few.told('da-static', 'da-copies', same=same)}:
{few.gap('da-static', 'da-copies')}. Single operators look worse on the
mismatched set. Be careful there: the seeds of the copies reach
{seeds or 'not run'} percent, and the single operators are compared with the
first alone.""")

# %% [markdown]
# Repeating the pairs as they are did no worse than editing them. A likely reason, which was not tested here: an edit changes a word or two, so it says little that the pair did not say. Where the rules let a wrong label through, it says something false.
#
# Do edits add less where there are more labels?

# %% tags=["record", "remove-input"]
Finding(f"""
These runs do not settle it. On 8 000 labels unchanged copies make
{many.gap('da-copies', 'base', MATCHED)} on the matched set, and `da-static`
{many.gap('da-static', 'base', MATCHED)}; against the copies,
{many.gap('da-static', 'da-copies', MATCHED)}. On perturbed texts, on 2 000
labels, `da-static` makes
{few.gap('da-static', 'da-copies', 'robust_accuracy')} against the copies.""")

# %% tags=["record", "hide-input"]
arms = ["base", "da-copies", *edited]
print(tables.absent(frame, arms), tables.standing(frame), sep="\n")
shown = frame[frame["configuration"].isin(arms)] if len(frame) else frame
Table(tables.arm_table(shown), folded="all arms: mean over the seeds")

# %% tags=["record", "hide-input"]
metrics = (*OFFICIAL, "robust_accuracy")
to_base, to_copies = contrasts.family(*(contrasts.differences(
    frame, [(arm, control) for arm in arms[1:]], metrics)
    for control in arms[:2]))
Table(tables.difference_table(to_base),
      folded="every arm against the labelled pairs alone")

# %% tags=["record", "hide-input"]
Table(tables.difference_table(to_copies),
      folded="every edit against unchanged copies")

# %% [markdown]
# :::{dropdown} How to read these tables
# - `base`: the labelled pairs alone. `da-copies`: unchanged copies in place of edited ones, at equal numbers. The others name their operator; `da-static` mixes all that were ready.
# - Differences are in points, paired by seed and example, with 95% intervals. Of the perturbed set no predictions are kept, so it is paired by seed, and one seed gives no interval.
# - An interval that contains zero means that these runs cannot tell the two apart. With one seed it holds the spread of examples only, and a second seed may turn the verdict. So may another run of the control.
# - *After Holm*: which differences stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# :::
#
# On a GPU, `contextual` with a masked language model and MarianMT models for back-translation become affordable: pass their names as `model=`. How fast the operators are, [](bench_augmentation) measures.
#
# ## To remember
#
# - Compare edited copies with *unchanged* copies: more steps alone look like better data.
# - Use operators that know pairs, and a label filter; the label belongs to both texts.
# - Open: more than one seed of the single operators, and larger models that write new texts.
#
# ## Exercises
#
# **1.** Raise the {term}`strength` to 1. What does the label filter drop then, and for which labels?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for strength in (0.1, 1.0):
    copies = augment(labelled, "neighbour", strength=strength,
                     seed=settings.seed, texts=lab.task.texts)
    kept = label_filter(copies, predict(base.model(), lab.encode(copies)))
    dropped = pd.Series(~kept).groupby(copies["label"].to_numpy()).mean()
    print(f"strength {strength}: dropped, by label",
          dropped.round(2).to_dict())

# %% [markdown]
# Under `quick` the teacher has learned so little that it judges the label and hardly the edit.
#
# **2.** Which words of your own data should be protected as well? Try `protected` on some of them.

# %% tags=["hide-cell", "live"]
for word in ("never", "hardly", "dozen", "London", "refund", "cheaper"):
    print(f"{word:8s} {'protected' if protected(word) else 'may be edited'}")

# %% [markdown]
# What decides a label in your data and is not on the lists, such as *refund* in complaints, needs protection of its own.
#
# **3.** Augment single sentences: `texts=("sentence",)`. Which of the rules above no longer apply?

# %% tags=["hide-cell", "live"]
single = pd.DataFrame({"label": [0, 1], "sentence": [
    "The staff were friendly and the room was large.",
    "I waited an hour for a cold soup."]})
near = augment(single, "neighbour", strength=0.5, texts=("sentence",))
print(*near["sentence"], sep="\n")

# %% [markdown]
# There is no other side, so no word is kept because it stands there, and no label forbids a side. Only the protected words are left as a guard.
