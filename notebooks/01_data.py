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
# Two texts, three answers. What is in such data, and how far does one get with it without understanding either text?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # which training pairs are drawn
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder: its tokenizer is used
results_dir: str = "default"  # where the record goes
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
development_rows: object = "default"  # a whole number; default: the profile's

# %% tags=["hide-input", "live"]
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
from IPython.display import display

from seo_core import figures, load_settings, results
from seo_core.analysis.contrasts import OFFICIAL
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import live
from seo_core.data import (
    NLI_LABELS,
    DataError,
    baselines,
    clean,
    cue_words,
    encode,
    fit_ngrams,
    generate,
    padding_share,
    prepare,
    top_ngrams,
)
from seo_core.models.backbone import load_tokenizer

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text, development_rows=development_rows)
task = prepare(replace(settings, train_rows=12_000, evaluation_rows=None))
print(task.name, task.fingerprint)  # 12 000 pairs are plenty to count words

# %% tags=["record", "answer", "remove-input"]
counts, network = Evidence("01_data"), Evidence("02_baseline")
matched, other = (network.mean("base", metric) for metric in OFFICIAL)
Finding(f"""
The figure shows how far the pairs of this page let you get by counting
words. On MultiNLI, counting the words of both texts:
{counts.mean('TF-IDF-n-grams')}; of the second alone:
{counts.mean('hypothesis-only')}. A network, that of the
[next chapter](02_baseline.ipynb), is right there on {matched} of the matched
pairs and on {other} of the mismatched ones ({network.seeds('base')}).""")

# %% mystnb={"figure": {"caption": "What word counts alone can do on this run's pairs. The line is the share of the most frequent class.", "name": "fig-data-baselines"}, "image": {"alt": "Accuracy of three baselines on the validation sets: majority class and hypothesis only near one third on generated data, TF-IDF n-grams of both texts well above."}} tags=["live", "hide-input"]
table = baselines(task)
_ = figures.baselines(table)

# %% [markdown]
# Others got 53% of MultiNLI and 67% of SNLI right from the hypothesis *alone*, where guessing gives about a third {cite}`gururangan2018artifacts,poliak2018`. So whoever reports 84% on MultiNLI has gained 31 points over that, not 51 over guessing. Before you praise a model, ask what the hypothesis alone would have earned.
#
# ## The task
#
# If the first text, the {term}`premise`, is true, then the second, the {term}`hypothesis`, must be true as well ({term}`entailment`), may be true or not ({term}`neutral`), or cannot be true ({term}`contradiction`). This is natural language inference, NLI. It is hard to get right without understanding both texts, and that is why the papers of this book measure themselves on it.
#
# Their data set is MultiNLI {cite}`williams2018`: 392 702 training pairs out of five genres (fiction, telephone talk, government reports, magazine articles, travel guides). People were shown a premise and wrote one hypothesis for each answer. It has two validation sets of nearly 10 000 pairs each: *matched*, from the genres of the training pairs, and *mismatched*, from five others.
#
# Under `quick` no file is read. The pairs are made by *natural logic* {cite}`vanbenthem1986,maccartney2009` from a small lexicon, so that every label is right by construction: a **toy**. Point `data` at MultiNLI, SNLI {cite}`bowman2015` or a file of your own, and the same cells run on that. One pair of each class:

# %% tags=["live"]
pairs = task["train"].groupby("label").head(1).sort_values("label")
for row in pairs.to_dict("records"):
    texts = (f"{name + ':':12s}{row[name]}" for name in task.texts)
    print(task.labels[row["label"]], *texts, sep="\n   ")

# %% [markdown]
# :::{dropdown} What are the hexadecimal digits at the top?
# The {term}`fingerprint` of the data: a hash of all texts and labels after cleaning. The same pairs give the same one, from parquet, JSON lines, CSV or the hub. It stands in every record, so that numbers on different data are never mixed up.
# :::
#
# ## A network that answers already
#
# The book comes with small classifiers for this task. Any of them answers in two lines, `seo_core.load("reference").predict([(premise, hypothesis)])`, and needs neither torch nor training. Ask them about three pairs. Are all answers right?

# %% tags=["nbval-ignore-output", "hide-input", "here"]
times, *answers = live.here_and_now(control=False)
display(*map(Table, answers), Table(times, folded=(
    "size and speed: here and now, beside whatever else ran; and recorded")))

# %% [markdown]
# The right answers, from the top: entailment, neutral, contradiction. [](tab3_inference_speed) compares speeds with care.
#
# ## Cleaning
#
# Bhat and Dharani {cite}`bhat2024` begin with text normalization and missing data. Here, Unicode gets its composed form (NFC), so that one letter is one code whoever typed it. Each run of white space becomes one blank. Case and punctuation stay: the tokenizer decides about them. Then rows are dropped, each for a stated reason.

# %% tags=["live"]
report = task.report.pivot_table(index="reason", columns="split",
                                 values="rows", sort=False).fillna(0)
Table(report.astype(int).reset_index(),
      folded="what was read, dropped and kept of these data")

# %% [markdown]
# Generated pairs have nothing wrong with them. So here are six rows that do:

# %% tags=["live"]
dog, animal = "A dog barks.", "An animal barks."
messy = pd.DataFrame({
    "premise": ["A dog  barks.", "A dog barks. ", "Cafe\u0301 open.", None,
                "It rains.", dog],
    "hypothesis": [animal, animal, "It is open.", "Empty.", "It pours.",
                   animal],
    "label": [0, 0, 0, 1, -1, 2]})
kept, dropped = clean(messy)
print(dropped)
print(kept["premise"].tolist(), [len(p) for p in kept["premise"]])

# %% [markdown]
# :::{dropdown} Which rows are dropped, and which stop the program
# - Annotators who could not agree leave a pair without a gold label (`-` or −1). Such pairs are dropped, and so is a pair with an empty text.
# - A training pair that shares its premise with a validation pair is dropped: the model would have met half of the question before. On MultiNLI samples from public sources this happens, sometimes hidden behind other spacing or capitals. So premises are compared by their letters and digits alone.
# - A label that is no label, or a number where text belongs, is not dropped. It stops the program with file, row and column: it usually means that the wrong column was named.
# - A missing *genre* is no reason. Public copies of MultiNLI often lack it for a part of their rows. Dropping these would waste good pairs, and guessing would invent data. An unknown genre stays an empty string, and steps that look at genres treat it as one more genre.
# :::

# %% mystnb={"figure": {"caption": "Training pairs by genre and label.", "name": "fig-data-genres"}, "image": {"alt": "Horizontal bars, one for each genre of the training pairs, each divided into the three labels in nearly equal parts."}} tags=["live"]
named = task["train"]["genre"].replace("", "(unknown)")
by_genre = pd.crosstab(named, task["train"]["label"])
_ = figures.genres(by_genre, task.labels)

# %% tags=["live"]
known = set(task["train"]["genre"])
for split in task.evaluation:
    unseen = sorted(set(task[split]["genre"]) - known)
    print(f"{split}, genres that training lacks:", *unseen or ["none"])
Table(pd.DataFrame([
    (split, len(frame), round(100 * (frame["genre"] == "").mean(), 1))
    for split, frame in task.splits.items()],
    columns=["split", "pairs", "genre unknown, %"]),
    folded="pairs of each split, and how many of unknown genre")

# %% [markdown]
# The mismatched set is made of genres that training lacks. A model that does well on the matched set and badly on the other has learned the genres and not the task.
#
# ## From text to numbers
#
# A network reads numbers. A {term}`WordPiece` {term}`tokenizer` {cite}`wu2016gnmt` has a fixed vocabulary, of 30 522 entries in BERT's case {cite}`devlin2019`. A frequent word is one entry. A rare word is cut into pieces, of which all but the first are marked with `##`. So hardly any word is unknown.

# %% tags=["live"]
tokenizer = load_tokenizer(settings.model)
for words in ("An animal sleeps.", "The photographer overslept.",
              "Untranslatability!", "na\u00efve caf\u00e9s"):
    print(f"{words:28s}", tokenizer.tokenize(words))

# %% [markdown]
# A pair becomes one sequence, `[CLS] premise [SEP] hypothesis [SEP]`. A second row of numbers, the *token types*, says which of the two texts a token belongs to.

# %% tags=["live"]
batch = encode(pairs.head(1), tokenizer, texts=task.texts,
               max_length=settings.max_length).batch([0])
ids, types = batch["input_ids"][0], batch["token_type_ids"][0]
words = tokenizer.convert_ids_to_tokens(ids.tolist())
for word, number, kind in zip(words, ids, types, strict=True):
    print(f"{word:14s} id {int(number):6d}   token type {int(kind)}")

# %% mystnb={"figure": {"caption": "How many pairs have at most so many tokens, by split.", "name": "fig-data-lengths"}, "image": {"alt": "Rising curves, one per split: share of pairs against number of tokens. The curves lie close together and reach 100 percent well before the cut."}} tags=["live"]
encoded = {split: encode(task[split], tokenizer, texts=task.texts,
                         max_length=512)
           for split in ("train", *task.evaluation)}
tokens = {split: code.lengths for split, code in encoded.items()}
_ = figures.lengths(tokens, settings.max_length)

# %% tags=["live"]
Table(pd.DataFrame({split: {
    "mean": n.mean(), "median": float(pd.Series(n).median()),
    "longest": n.max(), "cut, %": 100 * (n > settings.max_length).mean()}
    for split, n in tokens.items()}).T.round(1).reset_index(names="split"),
    folded="tokens of a pair, by split")

# %% [markdown]
# A batch is a rectangle: short texts are filled up with {term}`padding`, which costs time and teaches nothing. How much of all positions is wasted depends on how batches are made:

# %% tags=["live"]
n, size = tokens["train"].clip(max=settings.max_length), settings.batch_size
waste = {
    "every text padded to the limit": padding_share(
        n, size, fixed=settings.max_length),
    "to the longest of the batch": padding_share(n, size),
    "same, texts of like length together": padding_share(
        n, size, grouped=True)}
for name, share in waste.items():
    print(f"{name:38s} {100 * share:5.1f} %")
full, longest, grouped = waste.values()
if (saved := longest - grouped) < 0.01:
    print("these texts are so even in length that putting like lengths",
          "together saves less than a point")

# %% [markdown]
# The last way is how this book trains ([](bench_training) measures the gain).
#
# ## What the hypothesis gives away
#
# People who write a contradicting sentence often reach for *not* or *never*. A classifier can learn that, and skip the premise. How are the labels spread over hypotheses with and without a negation?

# %% tags=["live"]
negations = ("not", "no", "nobody", "nothing", "never", "none")
spread = cue_words(task["train"], negations, task.labels, task.texts[-1])
Table(spread.round(1), index=True)

# %% [markdown]
# In generated pairs a negation says nothing about the label: the hypothesis is drawn *before* the label, and only then a premise that makes the label true. With `cue=0.5` the generator makes people's mistake too, and negates the hypotheses of contradictions far more often:

# %% tags=["live"]
planted = generate(8_000, seed=settings.seed, cue=0.5)
planted_spread = cue_words(planted, negations, NLI_LABELS)
Table(planted_spread.round(1), index=True)

# %% [markdown]
# ## Counting words
#
# The feature baseline of Bhat and Dharani {cite}`bhat2024` counts words and pairs of neighbouring words (1- and 2-grams). {term}`TF-IDF` weighs each count $\mathrm{tf}(t, d)$ of a term $t$ in a text $d$ down if the term is found in many of the $N$ texts:
#
# $$ \text{tf-idf}(t, d) = \bigl(1 + \log \mathrm{tf}(t, d)\bigr) \left(1 + \log \frac{1 + N}{1 + \mathrm{df}(t)}\right). $$
#
# A logistic regression from scikit-learn {cite}`pedregosa2011` learns one weight for each term and class, of premise and hypothesis as two separate bags. These are the numbers behind the first figure. Each becomes a record, so that you can compare the networks of later chapters.

# %% tags=["nbval-ignore-output", "live"]
for name, row in table.set_index("baseline").iterrows():
    about = {"name": name, "fingerprint": "none",
             "parameters": int(row["features"]) * len(task.labels)}
    results.write(
        "01_data", name.replace(" ", "-"), settings=settings, data=task,
        model_info=about, metrics={
            "accuracy" + split.removeprefix("validation"): row[split] / 100
            for split in task.evaluation})
Table(table.round(1), folded="accuracy of the three baselines, %")

# %% tags=["nbval-ignore-output", "live"]
ngrams = fit_ngrams(task["train"], task.texts)
Table(top_ngrams(ngrams, task.labels),
      folded="the terms that speak most for each class")

# %% [markdown]
# The counts use what a premise says by itself. In generated pairs *either* leaves things open, and *no* excludes something. What they cannot do is compare the two texts: that *spaniel* in the premise answers to *dog* in the hypothesis is not visible to a sum over terms. This is what the network of the next chapter is for, and the bar that it has to clear.
#
# And the planted cue? Counting the words of the hypothesis finds it at once:

# %% tags=["live"]
model = fit_ngrams(planted.iloc[:6_000], "hypothesis")
rest = planted.iloc[6_000:]
found = model.score(rest, rest["label"])
print("hypothesis-only accuracy with a planted cue above 42%:", found > 0.42)

# %% [markdown]
# ## Three rules that keep results honest
#
# 1. **Splits are by premise.** No premise stands in two splits.
# 2. **Choices see the development slice only.** It is taken out of the training pairs and has two halves: *reward* for learning signals, *acceptance* for accepting and rejecting. Its labels count in every label budget. The official validation sets are read once, at the end.
# 3. **Active learning sees no label before it has bought it.** The list of bought labels is part of the record.
#
# Every other chapter gets its data from one call, which keeps the first two. The slice and the validation rows are the same for every seed. So runs can be compared pair by pair, and a teacher of one seed has not seen the slice of another's student.

# %% tags=["live"]
ready = prepare(settings, say=lambda line: None)  # it was said above
premises = {split: set(frame[task.texts[0]])
            for split, frame in ready.splits.items()}
shared = sum(len(premises[a] & premises[b])
             for a in premises for b in premises if a < b)
print({split: len(frame) for split, frame in ready.splits.items()},
      "premises in two splits:", shared)

# %% [markdown]
# **Check.** No premise is in two splits, cleaning keeps two of the six rows, padding to the longest of a batch never wastes more, and the planted cue is found. Of generated pairs more is known: their negations and hypotheses say nothing.

# %% tags=["live"]
scores = table.set_index("baseline").drop(columns="features").max(axis=1)
assert shared == 0 and len(kept) == 2 and sum(dropped.values()) == 4
assert longest <= full and found > 0.42
assert planted_spread.loc["with", "contradiction"] > 60
if task.name == "embedded":  # texts of uneven length, hypotheses drawn first
    assert saved > 0 and longest < 0.9
    assert scores["hypothesis only"] < 39 and scores["TF-IDF n-grams"] > 50
    assert abs(spread.loc["with", "contradiction"] - 100 / 3) < 6
print("all checks passed")

# %% [markdown]
# ## What the papers report
#
# The SEO-LLM papers {cite}`seollm2024` name MultiNLI, and no cleaning step, split or artefact baseline. Bhat and Dharani {cite}`bhat2024` name normalization, WordPiece, missing data and TF-IDF and n-gram features, without the accuracy of the features alone. So there is no number here to reproduce.
#
# With `data="nyu-mll/multi_nli"` the same cells read all of MultiNLI. Its 400 000 pairs load, clean and tokenize in about a minute on two cores, in less than 1 GB of memory. Contradiction is clearly ahead among its negations, the hypothesis alone is right well above a third, and lengths are far less even, so that grouping by length gains more.
#
# ## To remember
#
# - Know what guessing, the hypothesis alone and word counts earn on your data, before you praise a network.
# - Keep each premise in one split, choose on the development slice, and read the official sets once.
# - Open: what word counts get on this book's part of MultiNLI, whose official sets are sealed but for a few arms.
#
# ## Exercises
#
# **1.** Plant cues of other strengths. At which `cue` does the hypothesis alone pass a half?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for cue in (0.0, 0.25, 0.5, 0.75, 1.0):
    made = generate(8_000, seed=0, cue=cue)
    alone = fit_ngrams(made.iloc[:6_000], "hypothesis")
    right = alone.score(made.iloc[6_000:], made["label"].iloc[6_000:])
    print(f"cue {cue:.2f}: {right:.0%}")

# %% [markdown]
# A little above `cue=0.5`. Even a cue that is always there does not give all labels away: it says nothing about entailed and neutral pairs.
#
# **2.** Write a file with a label that is none, or break a byte of it. What do you read?

# %% tags=["hide-cell", "live"]
rows = generate(6, seed=0)[["premise", "hypothesis"]]
whole = rows.assign(label=["neutral"] * 5 + ["neutrl"]).to_csv(index=False)
for written in (whole.encode(), whole.encode().replace(b"a", b"\xe4", 1)):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.csv"
        path.write_bytes(written)
        try:
            prepare(load_settings("quick", data=str(path)))
        except DataError as error:
            print(error)

# %% [markdown]
# **3.** Give word counts a chance to compare: add a third text with the words of the hypothesis that the premise lacks. How much better do they get?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
def compared(frame):
    words = [(set(a.lower().split()), set(b.lower().split())) for a, b
             in zip(frame[task.texts[0]], frame[task.texts[-1]], strict=True)]
    return frame.assign(new=[" ".join(sorted(b - a)) or "nothing" for a, b
                             in words])


held = task[task.evaluation[0]]
more = fit_ngrams(compared(task["train"]), [*task.texts, "new"])
print(f"without {ngrams.score(held, held['label']):.1%},",
      f"with it {more.score(compared(held), held['label']):.1%}")
