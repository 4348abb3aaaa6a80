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
# Augmentation can take longer than the epoch of training it is made for: with TextAttack, or with a process of Apertium for each sentence, a few
# thousand texts take minutes. This chapter measures our
# operators against nlpaug {cite}`ma2019nlpaug`, TextAttack {cite}`morris2020textattack`, and against Apertium
# {cite}`forcada2011apertium` as it is usually called, with a process for each sentence.
#
# Each contestant runs in a process of its own and edits the same texts, in turn: A B C A B C. The first pass has every cache
# empty: reading WordNet and building tables is inside the clock, importing the library is not. The second pass shows the
# speed after that. Speeds can be compared at equal work only. So the strength of our `synonym` and `eda` is set so that they replace the share
# of words that nlpaug's operator replaces, and a teacher says how often the label survives. That equals the number of words, not
# the kind of edit, and it does not cover all rows: `aeda` inserts punctuation and replaces no word, and TextAttack counts in its own way. At the
# end of the page a list names the comparisons that are not at equal work.
#
# The peers may have environments of their own. Name their interpreters before the run:
#
# ```bash
# export SEO_PEER_NLPAUG=path/to/nlpaug-env/bin/python          # nlpaug 1.1.11 and nltk
# export SEO_PEER_TEXTATTACK=path/to/textattack-env/bin/python
# export NLTK_DATA=path/to/nltk_data                            # nlpaug's tagger, TextAttack's stop words
# python -m seo_core.run chapter bench_augmentation --profile cpu --data path/to/mnli
# ```

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says (quick 1, else 3)

# %% tags=["hide-input", "live"]
from seo_core import bench, figures, load_settings, results
from seo_core.analysis import tables
from seo_core.analysis.tables import Table
from seo_core.bench import augmentation
from seo_core.bench.peers import seo_core as ours

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text)
augmentation.plan(settings, rounds=rounds)

# %% [markdown]
# ## Texts, and turns
#
# The premises and the hypotheses of some training pairs. Others train the teacher that judges labels. All contestants take their turns, the teacher
# judges, and the record is written. On the command line this is `python -m seo_core.run bench augmentation`.

# %% tags=["live"]
outcome = bench.measure("augmentation", settings, rounds=rounds)
contestants, turns = outcome.inputs["contestants"], outcome.turns
print(f"{len(contestants.texts)} texts, {len(outcome.inputs['teacher_pairs'])} {'pairs' if contestants.columns == 2 else 'texts'} for the teacher")

# %% [markdown]
# ## Who is here
#
# Each contestant is tried on one sentence. Who cannot run is absent, with the last line of its error, and has no number below.
# Importing TextAttack 0.3 fails beside transformers 5, because of a part-of-speech tagger that its WordNet swap does not use;
# the script that runs it puts an empty stand-in there.

# %% tags=["nbval-ignore-output", "live"]
for name, why in outcome.inputs["absent"].items():
    print(f"{augmentation.TITLES[name]:28s} {'absent: ' + why if why else 'ready'}")

# %% [markdown]
# ## Speed
#
# TextAttack edits one text at a time and gets the premises and hypotheses of the first pairs only, and Apertium with a process for each text
# only a few premises: rates are per text, so theirs are extrapolated from a smaller number, which `texts` tells.

# %% tags=["nbval-ignore-output", "live"]
speed = outcome.table.assign(texts=turns.groupby("contestant").examples.max())
titles = {"examples_per_second_total": "texts/s, cold", "examples_per_second": "texts/s, warm", "ratio_total": "ratio, cold",
          "ratio": "ratio, warm", "baseline": "compared with"}
Table(speed[[*titles, "texts"]].rename(columns=titles).round(2), index=True)

# %% mystnb={"figure": {"caption": "Speed of the second pass relative to the first contestant of each group that is there. The whiskers span the rounds.", "name": "fig-bench-augmentation"}, "image": {"alt": "Horizontal bars: the speed of each contestant relative to the baseline of its group."}} tags=["live"]
_ = figures.ratio_bars(speed, "speed of the second pass, relative to its baseline")

# %% [markdown]
# ## Work done, and labels kept
#
# `words_replaced` is the share of words that changed or moved. `labels_kept`: of the pairs that the teacher had right before, the
# share that it has right after, both texts edited and no label filter (of TextAttack's fewer pairs too). It measures the edits and the teacher's
# stability together, so it is for comparing contestants, not a rate of wrong labels. The texts are edited one by one, so our
# rules for pairs do not come in here; the protected words do.

# %% tags=["nbval-ignore-output", "live"]
quality = outcome.table.loc[list(contestants.edited), ["strength", "words_replaced", "labels_kept"]]
Table(quality.round(3), index=True)

# %% [markdown]
# **Check.** Speed is reported and not tested. What must hold: all contestants of a comparison had the same texts, and our
# operators made in their own process what they make in this one.

# %% tags=["live"]
counts = turns.set_index("contestant").examples
same = [title for title in contestants.table if "TextAttack" not in title]
assert same and (counts[same] == len(contestants.texts)).all(), counts
for name, strength in contestants.strengths.items():
    if name.startswith("seo_core"):
        again = ours(name.split()[1], strength)()(contestants.texts, 0)
        assert contestants.edited[augmentation.TITLES[name]] == again, name
print("the same texts for all; the same copies in every process")

# %% [markdown]
# ## The reference run
#
# The committed record of the profile `cpu`: 2 000 pairs of real MultiNLI, so 4 000 texts. "Cold" is the first pass, with the time to fill
# the caches in it; "warm" the second. The ratios are to nlpaug's way for our word operators, and to a process for each sentence for Apertium.

# %% tags=["record", "hide-input"]
reference = results.load_records(results.reference_dir() / "cpu" / "bench_augmentation")
shown = tables.contestant_table(reference)
Table(shown.rename(columns={**titles, "ratio_low": "warm, lowest round", "ratio_high": "warm, highest round"}))

# %% mystnb={"figure": {"caption": "The reference run: speed of the second pass relative to the baseline of each group, on a logarithmic axis. The whiskers span the rounds.", "name": "fig-bench-augmentation-reference"}, "image": {"alt": "Horizontal bars on a logarithmic axis, from a dashed line at one: to the right what is faster than its baseline, to the left what is slower."}} tags=["record", "hide-input"]
if "ratio" in shown:
    _ = figures.ratio_bars(shown.set_index("contestant"), "speed of the second pass, relative to its baseline", log=True)

# %% [markdown]
# Which of these comparisons are at equal work? A row is named where its share of replaced words, or of kept labels, differs from that of
# nlpaug's row in its group by more than one point in a hundred. Read its speed ratio with that in mind.

# %% tags=["record", "hide-input"]
for names in [group for group in augmentation.GROUPS.values() if "words_replaced" in shown and group[0] in set(shown["contestant"])]:
    compared = shown[shown["contestant"].isin(names)].drop_duplicates("contestant", keep="last").set_index("contestant")
    for name in [n for n in names[1:] if n in compared.index]:
        away = 100 * (compared.loc[name, ["words_replaced", "labels_kept"]] - compared.loc[names[0], ["words_replaced", "labels_kept"]])
        if (away.astype(float).abs() > 1).any():
            print(f"{name} against {names[0]}: words replaced {away.iloc[0]:+.1f} points, labels kept {away.iloc[1]:+.1f} points")

# %% [markdown]
# TextAttack also has fewer texts, premises and hypotheses alike:

# %% tags=["record", "hide-input"]
for given in (record["parameters"]["plan"] for record in reference):
    print(f"TextAttack: the texts of {given['slow_pairs']} pairs; the others: of {given['pairs']} pairs")

# %% [markdown]
# ## Where the time goes
#
# nlpaug tags parts of speech for each text and asks NLTK for the synsets of each word, every time. Ours splits all texts, decides
# once for each *different* word, and draws the words to change with array operations. It needs no tagger, since
# it takes a word only in its commonest reading, and reads WordNet's files by bisection instead of building a view of all of them. A process of
# Apertium loads its dictionaries before it translates; one batch loads them once.
#
# ## What the papers report
#
# None of the papers gives a time for making edits. Their training hours *fall* with augmentation, from 48 to 43 ([](tab1_training_time)).
#
# ## What changes with scale
#
# All rates are per text. The cold start is paid once, so the more texts there are, the closer a whole run comes to the warm rate. With a larger network
# an epoch takes longer, and the share of the time that goes into edits shrinks.
#
# ## Exercises
#
# 1. Give all contestants twice the texts. Which rates change, and why is "cold" the one that gains?
# 2. Set the strength to 0.3. Does the label survive as often with ours as with nlpaug's?
# 3. Time `augment(…, "neighbour")`. What does its first call do that the second does not?
