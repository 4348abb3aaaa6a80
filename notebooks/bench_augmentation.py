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
# # Benchmark: how fast augmentation is
#
# Making edits can take longer than the epoch of training they are made for: with a process for each sentence, a few thousand texts take minutes. How fast are our operators beside the libraries that people use, at equal work?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says

# %% tags=["hide-input"]
import pandas as pd

from seo_core import bench, figures, load_settings, results
from seo_core.analysis import tables
from seo_core.analysis.findings import Contest, Finding
from seo_core.analysis.tables import Table
from seo_core.augmentation import augment
from seo_core.bench import augmentation
from seo_core.bench.peers import seo_core as ours
from seo_core.bench.turns import seconds

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text)
recorded = results.reference_dir() / "cpu" / "bench_augmentation"

# %% tags=["record", "answer", "remove-input"]
raced = Contest("bench_augmentation", "augmentation_speed")
kept = {name: raced.value(name, "labels_kept", scale=100, unit="%")
        for name in ("seo_core synonym", "nlpaug SynonymAug")}
Finding(f"""
Our synonym operator {raced.told('seo_core synonym')} nlpaug's at equal shares
of words replaced: {raced.value('seo_core synonym', digits=0, unit=' times')}
its speed once caches are full, and
{raced.value('seo_core synonym', 'ratio_total', digits=0, unit=' times')} from
a cold start. Labels survive in {kept['seo_core synonym']} of the pairs, with
nlpaug in {kept['nlpaug SynonymAug']}. Apertium asked for all texts at once
instead of with a process for each makes
{raced.value('Apertium, one batch', digits=0, unit=' times')} as many
translations a second. Brackets span the rounds.""")

# %% mystnb={"figure": {"caption": "Speed once caches are full, relative to the baseline of each group, on a logarithmic axis (reference run). Whiskers span the rounds.", "name": "fig-bench-augmentation-reference"}, "image": {"alt": "Horizontal bars on a logarithmic axis, from a dashed line at one: to the right what is faster than its baseline, to the left what is slower. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.ratio_bars(raced.frame, "speed relative to its baseline", log=True)

# %% [markdown]
# ## The idea: equal texts, equal strength
#
# There are three groups. Our `synonym` and TextAttack's WordNet swap {cite}`morris2020textattack` stand beside nlpaug's `SynonymAug` {cite}`ma2019nlpaug`. Our {term}`EDA` and {term}`AEDA` stand beside nlpaug's random swap. Apertium {cite}`forcada2011apertium` in one batch stands beside Apertium as it is usually called, with a process for each sentence.
#
# Each contestant runs in a process of its own and edits the same texts, in turn: A B C A B C. The first pass is *cold*: every cache is empty, and reading WordNet is inside the clock. Importing the library is not. The second pass is *warm*.
#
# A fast operator that changes less has done less. So the strength of our `synonym` and `eda` is set so that they replace the share of words that nlpaug's operator replaces. A teacher then says how often the label survives.
#
# :::{dropdown} What equal strength does not cover
# That equals the number of words, not the kind of edit. And it does not cover all rows: `aeda` inserts punctuation and replaces no word, and TextAttack counts in its own way. A list below names the comparisons that are not at equal work.
#
# Rates are per text. TextAttack edits one text at a time and gets those of the first pairs only, and Apertium with a process for each text only a few premises. Their rates come from a smaller number of texts.
# :::
#
# :::{dropdown} How to bring nlpaug, TextAttack and Apertium
# The peers may have environments of their own. Name their interpreters before the run:
#
# ```bash
# export SEO_PEER_NLPAUG=path/to/nlpaug-env/bin/python          # nlpaug 1.1.11 and nltk
# export SEO_PEER_TEXTATTACK=path/to/textattack-env/bin/python
# export NLTK_DATA=path/to/nltk_data                            # nlpaug's tagger, TextAttack's stop words
# python -m seo_core.run bench augmentation --profile cpu --data path/to/mnli
# ```
#
# Importing TextAttack 0.3 fails beside transformers 5, because of a part-of-speech tagger that its WordNet swap does not use. The script that runs it puts an empty stand-in there. <!-- setting -->
# :::
#
# ## On your machine
#
# You edit the premises and hypotheses of some training pairs; other pairs train the teacher. On the command line it is `python -m seo_core.run bench augmentation`. A contestant that cannot run here is listed as absent, with the last line of its error, and has no number below.

# %% tags=["nbval-ignore-output", "live"]
outcome = bench.measure("augmentation", settings, rounds=rounds)
contestants, turns = outcome.inputs["contestants"], outcome.turns
print(f"{len(contestants.texts)} texts,",
      f"{len(outcome.inputs['teacher_pairs'])} rows for the teacher")
for name, why in outcome.inputs["absent"].items():
    print(f"{augmentation.TITLES[name]:28s}",
          f"absent: {why}" if why else "ready")

# %% tags=["nbval-ignore-output", "live"]
titles = {"examples_per_second_total": "texts/s, cold",
          "examples_per_second": "texts/s, warm",
          "ratio": "ratio, warm", "baseline": "compared with",
          "words_replaced": "words replaced", "labels_kept": "labels kept"}
speed = outcome.table.reindex(columns=list(titles))
Table(speed.rename(columns=titles).round(2), index=True)

# %% [markdown]
# *Words replaced* is the share of words that changed or moved. *Labels kept* is the share of pairs that the teacher still has right after the edit, of those it had right before. It measures the edits and the teacher's stability together: compare contestants by it, and do not take it for a rate of wrong labels. Under `quick` this is a **toy**. The teacher is barely trained, and a few texts hardly fill a cache.
#
# **Check.** Speed is reported and not tested. What must hold: all contestants of a comparison had the same texts, and our operators made in their own process what they make in this one.

# %% tags=["live"]
counts = turns.set_index("contestant").examples
same = [name for name in contestants.table if "TextAttack" not in name]
assert same and (counts[same] == len(contestants.texts)).all(), counts
for name, strength in contestants.strengths.items():
    if name.startswith("seo_core"):
        again = ours(name.split()[1], strength)()(contestants.texts, 0)
        assert contestants.edited[augmentation.TITLES[name]] == again, name
print("the same texts for all; the same copies in every process")

# %% [markdown]
# The texts are edited one by one, so our rules for pairs ([](03_augmentation)) do not come in here. The {term}`protected words <protected word>` do.
#
# ## What the papers report
#
# None of the papers gives a time for making edits. Their training hours *fall* with augmentation, from 48 to 43 {cite}`seollm2024`; see [](tab1_training_time).
#
# ## What the records say
#
# Is all of this at equal work? A row is named where its share of replaced words, or of kept labels, is more than one point away from that of nlpaug's row in its group.

# %% tags=["record", "hide-input"]
measured = raced.frame.reindex(columns=["words_replaced", "labels_kept"])
for names in augmentation.GROUPS.values():
    for name in measured.index.intersection(names[1:]):
        away = 100 * (measured.loc[name] - measured.loc[names[0]])
        if (away.abs() > 1).any():
            print(f"{name} against {names[0]}:",
                  f"words replaced {away.iloc[0]:+.1f} points,",
                  f"labels kept {away.iloc[1]:+.1f} points")
if not len(measured):
    print("not run")

# %% tags=["record", "remove-input"]
Finding(f"""
Read these speeds with that in mind. Our `eda`
{raced.told('seo_core eda')} nlpaug's swap
({raced.value('seo_core eda', unit=' times')} its speed). But it also exchanges
synonyms and deletes. Labels survive in
{raced.value('seo_core eda', 'labels_kept', scale=100, unit='%')} of the pairs,
with the swap in
{raced.value('nlpaug RandomWordAug swap', 'labels_kept', scale=100,
             unit='%')}. TextAttack
{raced.told('TextAttack WordNet swap')} nlpaug:
{raced.value('TextAttack WordNet swap', 'examples_per_second', digits=0)} texts
a second beside
{raced.value('nlpaug SynonymAug', 'examples_per_second', digits=0)}.""")

# %% tags=["record", "hide-input"]
reference = results.load_records(recorded)
for given in (record["parameters"]["plan"] for record in reference):
    print(f"TextAttack: the texts of {given['slow_pairs']} pairs;",
          f"the others: of {given['pairs']} pairs")
Table(tables.contestant_table(reference).rename(columns={
    **titles, "ratio_total": "ratio, cold", "ratio_low": "warm, lowest round",
    "ratio_high": "warm, highest round"}),
    folded="all contestants of the reference run")

# %% [markdown]
# Why is our synonym operator faster? nlpaug tags parts of speech for each text, and asks NLTK for the synsets of each word, every time. Ours splits all texts and decides once for each *different* word. It draws the words to change with array operations.
#
# :::{dropdown} More on where the time goes
# Ours needs no tagger, since it takes a word only in its commonest reading. It reads WordNet's files by bisection instead of building a view of all of them. A process of Apertium loads its dictionaries before it translates; one batch loads them once.
#
# The cold start is paid once. The more texts there are, the closer a whole run comes to the warm rate. With a larger network an epoch takes longer, and the share of the time that goes into edits shrinks.
# :::
#
# ## To remember
#
# - Compare speeds at equal work: the same texts, the same share of words changed, and a look at whether labels survive.
# - Decide once for each different word, not once for each text, and start a process once for all texts.
# - Open: whether edits of equal number are also of equal use. That is for training to say, in [](04_adaptive_augmentation).
#
# ## Exercises
#
# **1.** Give our synonym operator ten times the texts. Which of the two rates changes, cold or warm?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for times in (1, 10):
    texts = times * list(contestants.texts)
    told = augmentation.run_peer("seo_core synonym", texts, 0.5)
    cold, warm = (len(texts) / spent for spent in told["seconds"])
    print(f"{len(texts)} texts: {cold:.0f} a second cold, {warm:.0f} warm")
print("cold gains: reading WordNet is paid once, by however many texts")

# %% [markdown]
# **2.** Set the strength to 0.3. How many more words does our `eda` replace than at 0.1? <!-- setting -->

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for strength in (0.1, 0.3):
    after = ours("eda", strength)()(contestants.texts, 0)
    share = augmentation.replaced(contestants.texts, after)
    print(f"strength {strength}: {share:.1%} of the words")
print("more edits, and more labels that may no longer hold")

# %% [markdown]
# **3.** Time `augment(…, "neighbour")` twice. What does the first call do that the second does not?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
frame = pd.DataFrame({"text": contestants.texts})
for call in ("first", "second"):
    spent = seconds(augment, frame, "neighbour", texts=("text",),
                    progress=False)
    print(f"{call} call: {1000 * spent:.0f} ms for {len(frame)} texts")
print("the first reads the network's word table and finds each word's",
      "neighbours in it; the second finds them remembered", sep="\n")
