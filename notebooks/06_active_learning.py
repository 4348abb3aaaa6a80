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
# # Active learning: which labels to buy
#
# Text is cheap and labels are not. *Active learning* lets the model choose: train on a few labels, look at the
# unlabelled rest, buy the labels that seem worth most, and start again {cite}`settles2009`. The SEO-LLM paper does it
# in three sentences: "the model iteratively selected the most informative samples from the unlabeled MNLI data pool
# based on its uncertainty. The selected samples were then manually labeled and added to the training set. This process
# was repeated until performance improvements plateaued" {cite}`seollm2024`.
#
# With $U$ the unlabelled pool, $\theta_r$ the model of round $r$ and $a$ an *acquisition function*, a round is
#
# $$ B_r = \underset{x \in U}{\operatorname{arg\,top}_n}\; a(x; \theta_r), \qquad D_{r+1} = D_r \cup \{(x, y) : x \in B_r\},
# \qquad \theta_{r+1} = \text{train}(D_{r+1}). $$
#
# $\operatorname{arg\,top}_n$ stands for the $n$ pairs with the highest values. Some functions below have no such ranking: they *draw* $B_r$, with
# probabilities that the model gives.
#
# The paper compares the result with training on everything. That comparison cannot fail to look good in hours,
# and it says nothing about the choice. Here the control is **random labels, as many of them**, with the same
# start, loss and epochs.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # first labels, ties and draws of the acquisition functions, order of the examples, dropout
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
import numpy as np
import scipy.special
import scipy.stats

from seo_core import figures, load_settings, results
from seo_core.analysis import efficiency, tables
from seo_core.analysis.tables import Table
from seo_core.arms import acquisition, open_lab
from seo_core.bench import selection
from seo_core.lab.arm import BUDGETS
from seo_core.selection import density_scores, describe, features, maps, plateau, select, text_vectors

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source,
                         labels=labels, text=text, epochs=epochs, train_rows=train_rows, development_rows=development_rows)

# %% [markdown]
# ## The pool, and the first labels
#
# A *lab* holds the pool (all training pairs left after the development slice) and the label budgets of the profile.
# The first budget is bought at random, since there is no model yet that could choose. That model starts from a
# network trained on a *source task*, another NLI set (under `quick`, other generated sentences), because that is the
# setting of the papers, and [](07_transfer_active_learning) goes on from it.
#
# What the acquisition functions get is *sealed*: every label is −1. A label becomes visible when it is bought.

# %% tags=["live"]
lab = open_lab("06_active_learning", settings)
first = lab.arm("random", lab.budgets[0])
candidates = lab.candidates(first.rows, 1, 96 if profile == "quick" else acquisition.CANDIDATES)
sealed = lab.sealed.take(candidates)
print(f"{len(lab.pool)} pairs in the pool, budgets {lab.budgets}; labels that can be seen: {(sealed.labels >= 0).sum()}")

# %% [markdown]
# ## What the model says of the pool
#
# One pass (five for `bald`) gives what the functions need: the logits, and the vector that the classifier reads. With
# $p$ the softmax of the logits and $p_{(1)} \ge p_{(2)} \ge \dots$ its sorted values:
#
# | function | what it takes |
# |---|---|
# | `random` | any: the control |
# | `least_confidence` | the highest $1 - p_{(1)}$ {cite}`lewis1994` |
# | `margin` | the smallest lead $p_{(1)} - p_{(2)}$ {cite}`scheffer2001` |
# | `entropy` | the highest $H(p) = -\sum_c p_c \log p_c$ |
# | `bald` | the highest $H(\bar p) - \overline{H(p)}$ over five passes with dropout on: what the passes disagree about {cite}`houlsby2011bald,gal2017` |
# | `badge` | k-means++ {cite}`arthur2007` over the gradients of the last layer, $(p - e_{\hat y}) \otimes h$: unsure *and* different from each other {cite}`ash2020badge` |
# | `hybrid` | ours: uncertainty × density, without outliers, drawn at random in proportion |
# | `hybrid_text` | ours too: the same with the margin as uncertainty, density measured on words, and a sharper draw, by the square |
#
# Why functions of our own? On a pool gathered from several sources, the examples that a model is most unsure of are to a
# large part *collective outliers*, which it will not learn from {cite}`karamcheti2021`. So `hybrid` first leaves
# out the tenth of the pool that is least dense, and then the most uncertain twentieth of the rest. What is left is drawn at random with
# a probability in proportion to entropy × rank of density {cite}`kirsch2023`, rather than from the top: the top of a ranking
# may be full of near-copies, and the scores of a model that has seen a thousand labels are rough. Last, it takes equal
# shares of the predicted classes.
#
# *Density* is the mean cosine similarity to the ten nearest of at most 1 024 random pool examples. `hybrid` measures it on the vector that the
# classifier reads. That has a catch: the network is trained to put pairs that it is sure of together, so what is uncertain looks sparse there,
# and the two factors may cancel. `hybrid_text` measures density on weighted means of word embeddings {cite}`arora2017`, which know
# nothing of the class. None of these choices was tuned.

# %% tags=["live"]
network = first.model()
logits, embeddings = features(network, sealed)
density = density_scores(embeddings, np.random.default_rng(seed))
names = ("random", "least_confidence", "margin", "entropy", "bald", "badge", "hybrid", "hybrid_text")
n = min(lab.budgets[1] - lab.budgets[0], len(sealed) // 5)
bought = {name: select(name, network, sealed, n, np.random.default_rng(seed)) for name in names}
print({name: len(set(positions)) for name, positions in bought.items()})

# %% tags=["nbval-ignore-output", "live"]
Table(describe(logits, density, bought).round(5), index=True)

# %% [markdown]
# The table says where the money goes: how unsure the model is of the purchase, how typical the purchase is, which share of
# it lies in the outlying tenth of the pool (a random purchase has about 10% there), and how lopsided it is by predicted class.
# Under `quick` it shows how to read it and no more: the network has hardly learned, so every entropy is close to $\log 3 = 1.099$ and nearly all
# pairs get the same class.
#
# Do uncertainty and density go together? The rank correlation, in both spaces:

# %% tags=["nbval-ignore-output", "live"]
entropies = scipy.stats.entropy(scipy.special.softmax(logits, axis=1), axis=1)
words = density_scores(text_vectors(network, sealed), np.random.default_rng(seed))
for space, values in (("what the classifier reads", density), ("words", words)):
    print(f"{space:26s} {scipy.stats.spearmanr(entropies, values).statistic:+.2f}")

# %% mystnb={"figure": {"caption": "The scored pairs by density and entropy, and what each function bought in this run. Density is that of the vector which the classifier reads.", "name": "fig-al-bought"}, "image": {"alt": "Eight small scatter plots of the same grey cloud of pairs. Entropy buys along the upper edge, random and hybrid all over the cloud, hybrid not at its sparse left end."}} tags=["live"]
_ = figures.bought_map(entropies, density, bought)

# %% [markdown]
# **Check.** `entropy` buys exactly the pairs of highest entropy, here computed by SciPy; `hybrid` buys nothing in
# the outlying tenth; every function gives distinct pairs, none of them bought before, and has seen no label.

# %% tags=["live"]
threshold = np.sort(entropies)[-n]
assert (entropies[bought["entropy"]] >= threshold - 1e-3).all()
assert entropies[bought["entropy"]].mean() > entropies[bought["hybrid"]].mean() > 0
assert (density[bought["hybrid"]] > np.quantile(density, 0.1) - 1e-6).all()
for name, positions in bought.items():
    assert len(set(positions)) == n and not set(candidates[positions]) & set(first.rows), name
assert (sealed.labels == -1).all()
print("the most uncertain are bought, outliers are not, and no label was seen")

# %% [markdown]
# ## One round
#
# Now the labels are bought and a new model is trained from the same start on all labels so far. The cell below does this
# for every arm and every budget, writes a record for each, and skips what has one. Under `quick` it is a single round of the
# papers' choice and of ours, from which the next chapter goes on: a demonstration with a hundred pairs, whose accuracy says
# nothing about the method.
# Under `cpu` it is the whole lab.

# %% tags=["nbval-ignore-output", "live"]
quick = profile == "quick"
runs = lab.run(["entropy", "hybrid"] if quick else "all", labels=[lab.budgets[1]] if quick else None, report=print)

# %% [markdown]
# The ledger of a run is part of its record: which pairs were bought, in which order. All arms of a seed share
# the first ones.

# %% tags=["live"]
ledgers = {run.record["configuration"]: run.rows for run in runs if run.record["configuration"] in ("random", "entropy")}
assert all((rows[:lab.budgets[0]] == first.rows).all() for rows in ledgers.values())
{name: len(rows) for name, rows in ledgers.items()} if quick else len(ledgers)

# %% [markdown]
# ## What was bought: the data map
#
# What is a purchase worth to the network that has to learn from it? A *data map* {cite}`swayamdipta2020` looks at each pair while a
# network is trained on it. With $p_e(y^* \mid x)$ the probability of the pair's label after epoch $e$ of $E$, its *confidence*
# and its *variability* are
#
# $$ \mu(x) = \frac{1}{E} \sum_{e} p_e(y^* \mid x), \qquad
# \sigma(x) = \sqrt{\tfrac{1}{E} \textstyle\sum_e \big(p_e(y^* \mid x) - \mu(x)\big)^2 }. $$
#
# Pairs that the network takes to at once are *easy* (high $\mu$, low $\sigma$). Those about which it changes its mind are *ambiguous*. Those
# whose label it resists, although it is trained on it, are *hard to learn*, and among these the authors of the map found most of
# the wrong labels. Our borders are the same for every purchase: ambiguous is a $\sigma$ in the highest third of a *random*
# purchase; of the rest, easy is $\mu \ge 1/2$. Three pairs and three epochs:

# %% tags=["live"]
gold = np.array([[0.90, 0.20, 0.10], [0.95, 0.80, 0.05], [0.97, 0.30, 0.10]])  # (epochs, pairs)
example = maps.data_map(gold, right=gold > 0.5)
where = maps.regions(example, cut=0.2)
assert np.allclose(example.confidence, gold.mean(0)) and np.allclose(example.variability, gold.std(0))
assert list(where) == ["easy", "ambiguous", "hard"] and example.correctness.round(2).tolist() == [1.0, 0.33, 0.0]
print(dict(zip(where.tolist(), example.confidence.round(2).tolist(), strict=True)))

# %% [markdown]
# The arm `data-map` trains one network, from the same start, on all pairs that a set of arms of this seed bought, and reads the probabilities
# off after each epoch. So the purchases of these arms lie on one map; its record lists them. What every arm bought at random in the first round is trained on and not counted. Its figure
# stands with the reference runs below.

# %% [markdown]
# ## When to stop
#
# "Until performance improvements plateaued" needs two numbers that the papers do not give: how many rounds without a gain,
# and what counts as one. `plateau(curve, window, tolerance)` is true where the best of the last `window` values is not above
# the best before by more than `tolerance`. It looks at the development slice only.

# %% tags=["live"]
for curve in ([0.50, 0.58, 0.63], [0.50, 0.58, 0.585], [0.58, 0.57, 0.62]):
    print(curve, plateau(curve, window=1, tolerance=0.01))

# %% [markdown]
# ## What the papers report
#
# For active learning on MultiNLI the tables give 36 hours instead of 48, 85.6% instead of 84.5%, and a perplexity of 9.5
# instead of 9.8. How many labels were bought is not said; nor is there a random control. The accuracy *above* that of
# training on all labels is left unexplained. See [](claims_audit).
#
# ## The reference runs
#
# The records below were made with the profile `cpu`: the six-layer MiniLM encoder, first trained on SNLI pairs {cite}`bowman2015` (whose
# labels are not counted as bought, and are reported in [](07_transfer_active_learning)), then on MultiNLI labels bought
# in rounds, each budget twice the one before. Every arm has the same first labels, loss and number of epochs. All arms are measured on the same
# 4 000 pairs of each official set.
#
# In each round a fresh sample of 8 000 pairs of the pool is scored. **So the last round, which buys 4 000 labels, takes every second pair that it
# scored**; the rounds before take one in four and one in eight. However good a ranking is, it cannot choose much in the last one, and a difference to random at 8 000
# labels is likely to be small. Choosing from more pairs was not tried.
#
# Lines are means over the seeds; where arms have different numbers of seeds, the legend says so. A line of fewer seeds than random's is not to be held
# against the black one, whose mean stands on other seeds too: the differences below it are paired by seed.

# %% mystnb={"figure": {"caption": "Matched accuracy over the number of labels, for each acquisition function; bands run from the lowest to the highest seed.", "name": "fig-al-curves"}, "image": {"alt": "Learning curves over one to eight thousand labels, one for each acquisition function, with random labels as a black dashed line."}} tags=["record", "hide-input"]
folder = results.reference_dir() / "cpu" / "06_active_learning"
curves = efficiency.label_curves(folder)
curves = curves[curves["configuration"].isin(names) & curves["labels"].isin(BUDGETS)]  # other chapters bought more
print(tables.absent(curves, names))
_ = figures.label_curves(curves, metric="matched accuracy")

# %% [markdown]
# The same at equal labels, as differences to random, paired by seed and example, on both official sets together. An interval that
# holds zero means: no difference could be shown.

# %% mystnb={"figure": {"caption": "Accuracy minus that of random labels at the same number of labels, both official sets together, in points, with 95% intervals. Hollow points have one seed: their interval holds the spread of examples only.", "name": "fig-al-gains"}, "image": {"alt": "Points with horizontal intervals around a line at zero, one for each acquisition function and number of labels."}} tags=["record", "hide-input"]
both = efficiency.label_curves(folder, metrics=("accuracy_matched", "accuracy_mismatched"))
both = both[both["configuration"].isin(names) & both["labels"].isin(BUDGETS)]
gained = efficiency.gains(both)
_ = figures.forest(gained.sort_values(["labels", "configuration"]))

# %% tags=["record", "hide-input"]
Table(efficiency.shown(gained))

# %% tags=["record", "hide-input"]
print(efficiency.in_words(gained))

# %% [markdown]
# With one seed the interval holds the spread of examples only, and a second seed may turn the verdict. And of twenty such intervals about one excludes
# zero by chance alone: one that does so narrowly is no finding.

# %% [markdown]
# ### Without a source task: the arm `al`
#
# The papers' row "+ active learning" stands alone, without transfer. Our arm for it is `al`: no source task, half of the labels bought at
# random, and the other half in one round by `hybrid`, with the model of the first half. Its control is `base` of
# [](05_transfer_learning): as many random labels, the same start. Its round takes half of what it scored, like the last one above. Points on both official sets together:

# %% tags=["record", "hide-input"]
alone = efficiency.label_curves(folder, folder.parent / "05_transfer_learning", metrics=("accuracy_matched", "accuracy_mismatched"))
alone = efficiency.gains(alone[alone["configuration"].isin(("al", "base"))], target="base")
Table(efficiency.shown(alone))

# %% tags=["record", "hide-input"]
print(efficiency.in_words(alone))

# %% [markdown]
# ### Labels needed to match random at 8 000
#
# The figure of merit: where does a curve reach, for good, the accuracy that random labels reach at 8 000? Between budgets the curve
# is taken as linear in the logarithm of the labels. The interval holds the numbers of
# labels at which the curve is not told apart from that goal, by the same paired intervals as above. Only seeds that have a run at every
# budget of an arm count for it.

# %% tags=["record", "hide-input"]
matches = efficiency.labels_to_match(both) if ((both["configuration"] == "random") & (both["labels"] == 8000)).any() else {}
Table(efficiency.match_table(both, matches=matches))

# %% mystnb={"figure": {"caption": "Labels needed for the accuracy of 8\u00a0000 random labels, with 95% intervals; hatched where the arm ends below it. An arrow: the interval has no upper end within the labels that were bought.", "name": "fig-al-needed"}, "image": {"alt": "Horizontal bars, one for each acquisition function, beside a dashed line at 8\u00a0000 labels."}} tags=["record", "hide-input"]
_ = figures.labels_needed(matches, 8000)

# %% tags=["record", "hide-input"]
for match in matches.values():
    print(match.statement)
better = [name for name, match in matches.items() if match.high < 8000]
print("needs fewer labels than random, interval included:", ", ".join(better) or "none" if matches else "not run yet")

# %% [markdown]
# These intervals are one for each arm, and not corrected for how many arms there are: the column *after Holm* above is. And an arm
# with one seed has an interval for its examples alone.
#
# ### Where the money went
#
# The data map of what each arm on it chose, up to 8 000 labels. *Never right* is the share of pairs whose label was the most probable one
# after no epoch, although the network was trained on it. The interval of the last column is over pairs.

# %% tags=["record", "hide-input"]
records = results.load_records(folder)
table = efficiency.map_table(records)
Table(efficiency.map_page(table))

# %% mystnb={"figure": {"caption": "What each acquisition function bought on the data map of the reference runs, the darker the more pairs. Right of the upright dashed line a pair is ambiguous; left of it, it is easy above the other line and hard to learn below.", "name": "fig-al-data-map"}, "image": {"alt": "A panel for each acquisition function: shaded map of confidence over variability with dashed borders between the regions easy, ambiguous and hard to learn."}} tags=["record", "hide-input"]
_ = figures.data_maps(*efficiency.map_histograms(records))

# %% tags=["record", "hide-input"]
print("\n".join(efficiency.map_statements(table)))
mapped = {arm for record in efficiency.latest_maps(records) for arm in record["parameters"]["arms"]}
run_arms = set(curves.loc[curves["labels"] == 8000, "configuration"])
print("run, but not on the map:", ", ".join(sorted(run_arms - mapped)) or "none")

# %% [markdown]
# How to read it: labels spent on pairs that the network will not learn may be lost, and a function that buys more of them than random has to make up
# for that with the rest of its purchase. This share alone does not decide: compare the functions that bought more hard pairs than random with
# their accuracies above. Where a function buys no more of them than random and is still no better, the
# reason must be another: a last round that takes half of what it scored, as above, or a purchase that is less like the test set. These runs do not tell which.
#
# The encoder has seen NLI pairs in its contrastive pre-training, and more in the source task, so the low end of these
# curves is not that of a model that has to learn the task from nothing. [](07_transfer_active_learning) has a control without any of it.
#
# ### Would the rule have stopped?
#
# The papers' rule on the development curves of these runs, with a window of one round and a gain of one point. The accuracies are those of a
# development slice of 2 000 pairs, so each has a standard error of about a point for a single run: as large as the gain that the rule asks for. Where it stops,
# the values after the stop show what stopping would have given away:

# %% tags=["record", "hide-input"]
development = efficiency.label_curves(folder, metrics=("accuracy_development",))
shared = development["configuration"].isin(names) & development["labels"].isin(BUDGETS)
Table(efficiency.plateau_table(development[shared]))

# %% [markdown]
# ## What choosing costs
#
# Choosing is not free: somebody has to run the model over the pool, and then choose. The benchmark
# `python -m seo_core.run bench selection` measures both for growing pools. `features` is the pass alone; `predict` is plain inference, and the
# column *of inference* gives the seconds of every call over those of `predict` on the same pool; `fit` is an epoch of training, for [](tab1_training_time).
# No function builds a
# matrix of all pairs of the pool: BADGE's gradient embeddings, $k \cdot d$ numbers each, are never built either, because inner products of
# rank-one matrices factorise, $\langle a \otimes h, b \otimes g \rangle = \langle a, b \rangle \langle h, g \rangle$. An exponent of 1 means that cost grows in proportion to the pool, 2 that it grows with its square. A pool larger than the
# set repeats its pairs. Choosing is the call minus `features`, each timed once, so a few seconds of it are within the noise.

# %% tags=["record", "hide-input"]
Table(selection.cost_table(results.load_records(results.reference_dir() / "cpu" / "bench_selection")))

# %% [markdown]
# BALD makes five passes instead of one. [](tab1_training_time) counts what scoring adds to the cost of a result.
#
# ## What changes with scale
#
# With `profile="gpu"` the same study runs with BERT-base on all of MultiNLI. The pool is then more than ten times as large, but a round scores 8 000
# pairs there too (the candidates of a round), so a function is no choosier. It would be with more candidates, for better or worse, and at the cost of scoring them.
#
# ## Exercises
#
# 1. `select` takes any function `f(model, pool, n, rng)`. Write one that buys the *least* uncertain pairs. Where does it lie in the figure?
# 2. Switch off the parts of `hybrid` one by one: `HybridConfig(outliers=0)`, `hardest=0`, `beta=0`, `balance=False`. With all four off, what is left?
# 3. Plant label noise with `load_nli("embedded", noise=0.2)`. What share of each purchase is mislabelled?
# 4. Which genres does `entropy` buy? Compare the purchase's genres with the pool's.
