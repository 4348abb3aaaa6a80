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
# # The data: natural language inference
#
# Two sentences, three answers. If the first sentence, the *premise*, is true, then the second, the
# *hypothesis*, must be true as well (**entailment**), may be true or not (**neutral**), or cannot be true
# (**contradiction**). This task is called natural language inference, NLI. It is hard to get right without
# understanding both sentences, and that is why the papers of this book measure themselves on it.
#
# Their data set is MultiNLI {cite}`williams2018`: 392 702 training pairs out of five genres (fiction,
# telephone talk, government reports, magazine articles, travel guides). People were shown a premise and
# wrote one hypothesis for each answer. It has two validation sets of nearly 10 000 pairs each: *matched*,
# from the genres of the training pairs, and *mismatched*, from five others.
#
# This chapter looks at the data before any network does: what is dropped and why, how text becomes numbers,
# how long it is, what is missing, and how far one gets with counting words. The `quick` profile reads no
# file at all: it makes its pairs by *natural logic* {cite}`vanbenthem1986,maccartney2009` from a small
# lexicon, so that every label is right by construction. Point `data` at MultiNLI, SNLI {cite}`bowman2015`
# or a file of your own and the same cells run on that.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # which training pairs are drawn
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder: its tokenizer is used here
results_dir: str = "default"  # where the record goes
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
development_rows: object = "default"  # a whole number; default: the profile's own

# %% tags=["hide-input", "live"]
from dataclasses import replace

import pandas as pd

from seo_core import figures, load_settings
from seo_core.data import NLI_LABELS, prepare

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir,
                         labels=labels, text=text, development_rows=development_rows)
task = prepare(replace(settings, train_rows=12_000, evaluation_rows=None))  # plenty for counting words
print(task.name, task.fingerprint)

# %% [markdown]
# The name and the *fingerprint* identify the data. The fingerprint is a hash of all texts and labels as
# they are after cleaning: the same pairs give the same one whether they came as parquet, JSON lines, CSV or
# from the hub. It stands in every result of this book, so that numbers on different data are never mixed
# up.
#
# One pair of each class:

# %% tags=["live"]
pairs = task["train"].groupby("label").head(1).sort_values("label")
for row in pairs.to_dict("records"):
    print(task.labels[row["label"]], *(f"{name + ':':12s}{row[name]}" for name in task.texts), sep="\n   ")

# %% [markdown]
# ## A network that answers already
#
# The book comes with small classifiers that were trained on this task, in `book/artifacts`. Any of them
# answers in two lines, `seo_core.load("reference").predict([(premise, hypothesis)])`, and needs neither torch
# nor training. Here they are asked about three pairs. The first table has their size and speed: *here, now*
# is what this page's machine just took, next to whatever else it was doing; *recorded* is what was measured
# with care, on the processor that is named. The second has the answers, with their probabilities.
# Are all three right?

# %% tags=["nbval-ignore-output", "hide-input", "live"]
from IPython.display import display

from seo_core.analysis.tables import Table
from seo_core.bench import live

display(*map(Table, live.here_and_now(control=False)))

# %% [markdown]
# [](tab3_inference_speed) compares their speed with that of the network they were made from, as the libraries
# alone would export it.
#
# ## Cleaning
#
# Bhat and Dharani {cite}`bhat2024` begin their pipeline with text normalisation and the handling of missing
# data. Ours brings Unicode into its composed form (NFC), so that one letter is one code whoever typed it,
# and folds each run of white space into one blank. Case and punctuation stay: the tokenizer decides about
# them. Then rows are dropped, each for a stated reason. What the loader found in this data set:

# %% tags=["live"]
report = task.report.pivot_table(index="reason", columns="split", values="rows", sort=False).fillna(0)
report.astype(int)

# %% [markdown]
# Annotators who could not agree leave a pair without a gold label (`-` or −1): such pairs are dropped, and
# so is a pair with an empty text. The last reason is the least obvious. If a training pair shares its
# premise with a validation pair, the model has met half of the question before. On MultiNLI samples from
# public sources this happens, sometimes hidden behind other spacing or capitals, so premises are compared
# by their letters and digits alone.
#
# A label that is no label, or a number where text belongs, is not dropped but stops the program with file,
# row and column: it usually means that the wrong column was named.
#
# Generated pairs have nothing wrong with them, so here are six rows that do:

# %% tags=["hide-input", "live"]
from seo_core.data import clean

messy = pd.DataFrame({
    "premise": ["A dog  barks.", "A dog barks. ", "Cafe\u0301 open.", None, "It rains.", "A dog barks."],
    "hypothesis": ["An animal barks.", "An animal barks.", "It is open.", "Empty.", "It pours.", "An animal barks."],
    "label": [0, 0, 0, 1, -1, 2]})
kept, dropped = clean(messy)
print(dropped)
print(kept["premise"].tolist(), [len(p) for p in kept["premise"]])

# %% [markdown]
# ## What is missing
#
# A missing text makes a pair useless; a missing *genre* does not. Public copies of MultiNLI often lack it
# for a part of their rows. Dropping these would waste good pairs, and guessing would invent data, so an
# unknown genre stays an empty string, and steps that look at genres treat it as one more genre.

# %% tags=["live"]
pd.DataFrame({"pairs": {split: len(frame) for split, frame in task.splits.items()},
              "genre unknown, %": {split: round(100 * (frame["genre"] == "").mean(), 1)
                                   for split, frame in task.splits.items()}})

# %% mystnb={"figure": {"caption": "Training pairs by genre and label.", "name": "fig-data-genres"}, "image": {"alt": "Horizontal bars, one for each genre of the training pairs, each divided into the three labels in nearly equal parts."}} tags=["live"]
named = task["train"]["genre"].replace("", "(unknown)")
by_genre = pd.crosstab(named, task["train"]["label"])
_ = figures.genres(by_genre, task.labels)

# %% tags=["live"]
unseen = {split: sorted(set(task[split]["genre"]) - set(task["train"]["genre"])) for split in task.evaluation}
unseen

# %% [markdown]
# The matched set has no genre that training lacks; the mismatched set is made of such genres. A model that
# does well on the first and badly on the second has learned the genres and not the task.
#
# ## From text to numbers: WordPiece
#
# A network reads numbers. A *WordPiece* tokenizer {cite}`wu2016gnmt` has a fixed vocabulary, of 30 522
# entries in BERT's case {cite}`devlin2019`. A frequent word is one entry. A rare word is cut into pieces,
# of which all but the first are marked with `##`. So hardly any word is unknown.

# %% tags=["hide-input", "live"]
from seo_core.models.backbone import load_tokenizer

tokenizer = load_tokenizer(settings.model)
for words in ("An animal sleeps.", "The photographer overslept.", "Untranslatability!", "na\u00efve caf\u00e9s"):
    print(f"{words:28s}", tokenizer.tokenize(words))

# %% [markdown]
# A pair becomes one sequence, `[CLS] premise [SEP] hypothesis [SEP]`. A second row of numbers, the *token
# types*, says which of the two texts a token belongs to.

# %% tags=["hide-input", "live"]
from seo_core.data import encode

first = encode(pairs.head(1), tokenizer, texts=task.texts, max_length=settings.max_length)
batch = first.batch([0])
words = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
for word, number, kind in zip(words, batch["input_ids"][0], batch["token_type_ids"][0], strict=True):
    print(f"{word:14s} id {int(number):6d}   token type {int(kind)}")

# %% [markdown]
# ## How long the texts are
#
# All texts of a split are tokenised at once and kept end to end in one flat array, without padding.

# %% mystnb={"figure": {"caption": "How many pairs have at most so many tokens, by split.", "name": "fig-data-lengths"}, "image": {"alt": "Rising curves, one per split: share of pairs against number of tokens. The curves lie close together and reach 100 percent well before the cut."}} tags=["live"]
encoded = {split: encode(task[split], tokenizer, texts=task.texts, max_length=512)
           for split in ("train", *task.evaluation)}
tokens = {split: code.lengths for split, code in encoded.items()}
_ = figures.lengths(tokens, settings.max_length)

# %% tags=["live"]
pd.DataFrame({split: {"mean": n.mean(), "median": float(pd.Series(n).median()), "longest": n.max(),
                      "cut, %": 100 * (n > settings.max_length).mean()} for split, n in tokens.items()}).T.round(1)

# %% [markdown]
# A batch is a rectangle: short texts are filled up with padding, which costs time and teaches nothing. How
# much padding there is depends on how batches are made. This share of all positions is wasted:

# %% tags=["hide-input", "live"]
from seo_core.data import padding_share

n, size = tokens["train"].clip(max=settings.max_length), settings.batch_size
waste = {"every text padded to the limit": padding_share(n, size, fixed=settings.max_length),
         "to the longest of the batch": padding_share(n, size),
         "same, texts of like length together": padding_share(n, size, grouped=True)}
for name, share in waste.items():
    print(f"{name:38s} {100 * share:5.1f} %")
saved = waste["to the longest of the batch"] - waste["same, texts of like length together"]
if saved < 0.01:
    print("these texts are so even in length that putting like lengths together saves less than a point")

# %% [markdown]
# The last line is why training in this book puts texts of like length into a batch ([](bench_training)
# measures the gain).
#
# ## Artefacts: what the hypothesis gives away
#
# People who write a contradicting sentence often reach for *not* or *never*. A classifier can learn that
# and skip the premise. A simple one that sees hypotheses only gets about 67% of SNLI and 53% of MultiNLI
# right, where guessing gives about a third {cite}`gururangan2018artifacts,poliak2018`. So before a model is
# praised, one asks what the hypothesis alone would have earned.
#
# First the negation words: how the labels are spread over hypotheses with and without one.

# %% tags=["hide-input", "live"]
from seo_core.data import cue_words

negations = ("not", "no", "nobody", "nothing", "never", "none")
spread = cue_words(task["train"], negations, task.labels, task.texts[-1])
spread.round(1)

# %% [markdown]
# In generated pairs a negation says nothing about the label: the hypothesis is drawn *before* the label,
# and only then a premise that makes the label true. In MultiNLI, contradiction is clearly ahead in the
# first row. The generator can be told to make that mistake too. With `cue=0.5` it negates hypotheses of
# contradictions far more often than others:

# %% tags=["hide-input", "live"]
from seo_core.data import generate

planted = generate(8_000, seed=settings.seed, cue=0.5)
planted_spread = cue_words(planted, negations, NLI_LABELS)
planted_spread.round(1)

# %% [markdown]
# ## TF-IDF and n-grams: counting words
#
# The feature baseline of Bhat and Dharani {cite}`bhat2024` counts words and pairs of neighbouring words (1-
# and 2-grams). TF-IDF weighs each count $\mathrm{tf}(t, d)$ of a term $t$ in a text $d$ down if the term is
# found in many of the $N$ texts:
#
# $$ \text{tf-idf}(t, d) = \bigl(1 + \log \mathrm{tf}(t, d)\bigr) \left(1 + \log \frac{1 + N}{1 + \mathrm{df}(t)}\right). $$
#
# A logistic regression from scikit-learn {cite}`pedregosa2011` learns one weight for each term and class.
# It sees premise and hypothesis as two separate bags of terms. It is trained twice, once on the hypothesis
# alone:

# %% tags=["nbval-ignore-output", "hide-input", "live"]
from seo_core.data import baselines

table = baselines(task)
table.round(1)

# %% mystnb={"figure": {"caption": "What word counts alone can do. The line is the share of the most frequent class.", "name": "fig-data-baselines"}, "image": {"alt": "Accuracy of three baselines on the validation sets: majority class and hypothesis only near one third on generated data, TF-IDF n-grams of both texts well above."}} tags=["live"]
_ = figures.baselines(table)

# %% [markdown]
# These accuracies go into the results store, one record each, where the networks of later chapters can be compared
# with them.

# %% tags=["hide-input"]
from seo_core import results

for name, row in table.set_index("baseline").iterrows():
    results.write(
        "01_data", name.replace(" ", "-"), settings=settings, data=task,
        model_info={"name": name, "fingerprint": "none", "parameters": int(row["features"]) * len(task.labels)},
        metrics={"accuracy" + split.removeprefix("validation"): row[split] / 100 for split in task.evaluation})

# %% [markdown]
# What does the classifier of both texts look at? The terms that speak most for each class:

# %% tags=["nbval-ignore-output", "hide-input", "live"]
from seo_core.data import fit_ngrams, top_ngrams

ngrams = fit_ngrams(task["train"], task.texts)
top_ngrams(ngrams, task.labels)

# %% [markdown]
# It can use what a premise says by itself: in our generated pairs a premise with *wanted to* or *hoped to*
# leaves things open, and a premise with *did not* excludes something. What it cannot do is compare the two
# texts: that *spaniel* in the premise answers to *dog* in the hypothesis is not visible to a sum over
# terms. This is what the network of the next chapter is for, and the bar that it has to clear.
#
# And the planted artefact? A hypothesis-only classifier finds it at once:

# %% tags=["live"]
model = fit_ngrams(planted.iloc[:6_000], "hypothesis")
found = model.score(planted.iloc[6_000:], planted["label"].iloc[6_000:])
print("hypothesis-only accuracy with a planted cue is above 42%:", found > 0.42)

# %% [markdown]
# ## Three rules that keep results honest
#
# 1. **Splits are by premise.** No premise stands in two splits.
# 2. **Choices see the development slice only.** It is taken out of the training pairs and has two halves:
#    *reward* for learning signals, *acceptance* for accepting and rejecting. Its labels count in every
#    label budget. The official validation sets are read once, at the end.
# 3. **Active learning sees no label before it has bought it.** The list of bought labels is part of the
#    record.
#
# Every other chapter gets its data from one call, which keeps the first two:

# %% tags=["live"]
ready = prepare(settings, say=lambda line: None)  # what it says was said above
premises = {split: set(frame[task.texts[0]]) for split, frame in ready.splits.items()}
shared = sum(len(premises[a] & premises[b]) for a in premises for b in premises if a < b)
print({split: len(frame) for split, frame in ready.splits.items()}, "premises in two splits:", shared)

# %% [markdown]
# The development slice and the validation rows are the same for every seed: runs can be compared pair by
# pair, and a teacher trained with one seed has not seen the slice of a student trained with another.
#
# The claims of this chapter as assertions; if one fails, so does the book's test:

# %% tags=["live"]
scores = table.set_index("baseline").drop(columns="features").max(axis=1)
assert shared == 0 and len(kept) == 2 and sum(dropped.values()) == 4
assert waste["to the longest of the batch"] <= waste["every text padded to the limit"]
assert planted_spread.loc["with", "contradiction"] > 60 and found > 0.42
if task.name == "embedded":  # what only holds for texts of uneven length, and for pairs drawn hypothesis first
    assert saved > 0 and waste["to the longest of the batch"] < 0.9
    assert scores["hypothesis only"] < 39 and scores["TF-IDF n-grams"] > 50
    assert abs(spread.loc["with", "contradiction"] - 100 / 3) < 6
print("all checks passed")

# %% [markdown]
# ## What the papers report
#
# The SEO-LLM papers {cite}`seollm2024` name MultiNLI and no cleaning step, split or artefact baseline. Bhat
# and Dharani {cite}`bhat2024` name normalisation, WordPiece, missing data and TF-IDF/n-gram features,
# without the accuracy of the features alone. So there is no number here to reproduce. There is one to keep
# in mind: whoever reports 84% on MultiNLI has gained 31 points over the hypothesis alone, not 51 over
# guessing.
#
# ## What changes with scale
#
# With `data="nyu-mll/multi_nli"` the same cells read all of MultiNLI. 400 000 pairs load, clean and
# tokenise in about a minute on two cores, in less than 1 GB of memory. The hypothesis-only accuracy rises
# well above a third, and the texts get longer and far less even in length, so that grouping by length gains
# more.
#
# ## Exercises
#
# 1. Train the hypothesis-only classifier on `generate(8_000, cue=c)` for c from 0 to 1. At which c does it
#    pass 50%?
# 2. Set `data` to an NLI set of your own (a CSV file with `premise`, `hypothesis`, `label` will do). Break
#    one label, then one byte, and read the two messages.
# 3. Give the word-count classifier a chance to compare: add a column with the words that both texts share,
#    and pass it to `fit_ngrams` as a third text. How much of the distance to the network is closed?
# 4. `load_nli("embedded", noise=0.2)` makes a fifth of the training labels wrong. What happens to the
#    TF-IDF accuracy on the validation sets, whose labels stay right, and why is it so little?
