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
# Text is cheap and labels are not. Can a model pick the texts whose labels are worth most, so that you buy fewer?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # first labels, draws of the acquisition functions, order of the examples, dropout
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
import numpy as np
import scipy.special
import scipy.stats

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, efficiency, tables
from seo_core.analysis.contrasts import DEVELOPMENT, OFFICIAL
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import acquisition, open_lab
from seo_core.bench import selection
from seo_core.lab.arm import BUDGETS
from seo_core.selection import (
    HybridConfig,
    density_scores,
    describe,
    features,
    maps,
    plateau,
    select,
    text_vectors,
)
from seo_core.selection.acquisition import hybrid_positions

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
names = ("random", "least_confidence", "margin", "entropy", "bald", "badge", "hybrid", "hybrid_text")
compared = (*names, "loss-prediction")
folder = results.reference_dir() / "cpu" / "06_active_learning"


def bought_by_names(frame):
    """The runs of this chapter's functions; other chapters bought more."""
    return frame[frame["configuration"].isin(compared) & frame["labels"].isin(BUDGETS)]

# %% tags=["remove-cell"]
both, development = (bought_by_names(efficiency.label_curves(
    folder, metrics=metrics)) for metrics in (OFFICIAL, (DEVELOPMENT,)))
alone = efficiency.label_curves(
    folder, folder.parent / "05_transfer_learning", metrics=OFFICIAL)
gained, criterion, of_al = contrasts.family(
    efficiency.gains(both), efficiency.compare(development, [
        (("loss-prediction", 2000), (other, 2000)) for other in names]),
    efficiency.compare(alone, [(("al", 8000), ("base", 8000))]))

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(frame=efficiency.by_budget(both))
words = {"better": "beats as many random labels",
         "worse": "loses to as many random labels",
         "same": "is not told apart from as many random labels"}


def to_random(name, labels="8,000"):
    pair = f"{name} at {labels}", f"random at {labels}", "accuracy"
    return f"{ours.told(*pair, **words)}, {ours.gap(*pair)}"


left = gained.assign(left=tables.after_holm(gained))
left = left[(left["configuration"] == "badge") & (left["labels"] == 8000)]
Finding(f"""
A little at best. With 8 000 bought labels, a choice of pairs that are unsure
*and* different from each other (`badge`) {to_random('badge')}. Counted as
one of {contrasts.tested(gained, criterion, of_al)} comparisons of this chapter
(Holm's correction), that result
{''.join(left['left']) or 'is not run'}. Buying what the model is most unsure
of (`entropy`), the papers' way, {to_random('entropy')}. All differences
here are on both official sets together.""")

# %% mystnb={"figure": {"caption": "Accuracy minus that of 8\u00a0000 random labels, for 8\u00a0000 chosen ones: both official sets together, 95% intervals. Hollow points have one seed: their interval holds the spread of examples only.", "name": "fig-al-answer"}, "image": {"alt": "Points with horizontal intervals around a line at zero, one for each of seven acquisition functions; only that of badge lies wholly above zero."}} tags=["record", "hide-input"]
_ = figures.forest(gained[gained["labels"] == 8000])

# %% [markdown]
# ## The idea
#
# {term}`Active learning` works in rounds {cite}`settles2009`. The paper says it in three sentences: "the model iteratively selected the most informative samples from the unlabeled MNLI data pool based on its uncertainty. The selected samples were then manually labeled and added to the training set. This process was repeated until performance improvements plateaued" {cite}`seollm2024`.
#
# With $U$ the unlabelled pool, $\theta_r$ the model of round $r$ and $a$ an {term}`acquisition function`, a round is
#
# $$ B_r = \underset{x \in U}{\operatorname{arg\,top}_n}\; a(x; \theta_r), \qquad D_{r+1} = D_r \cup \{(x, y) : x \in B_r\},
# \qquad \theta_{r+1} = \text{train}(D_{r+1}). $$
#
# $\operatorname{arg\,top}_n$ takes the $n$ pairs with the highest values. Some functions below *draw* $B_r$ instead, with probabilities that the model gives.
#
# The paper compares the result with training on everything. In hours that cannot fail to look good, and it says nothing about the choice. Your control here is **random labels, as many of them**, with the same start, loss and epochs.
#
# The first labels are bought at random, since no model can choose yet. That model starts from a network trained on a *source task*, another NLI set, as in the papers. What the functions get is *sealed*: every label is −1 until it is bought.

# %% tags=["live"]
lab = open_lab("06_active_learning", settings)
first = lab.arm("random", lab.budgets[0])
scored = 96 if profile == "quick" else acquisition.CANDIDATES
candidates = lab.candidates(first.rows, 1, scored)
sealed = lab.sealed.take(candidates)
print(f"{len(lab.pool)} pairs in the pool, budgets {lab.budgets};",
      f"labels that can be seen: {(sealed.labels >= 0).sum()}")

# %% [markdown]
# ## What the model says of the pool
#
# One pass gives the logits, and the vector $h$ that the classifier reads. With $p$ the softmax of the logits and $p_{(1)} \ge p_{(2)} \ge \dots$ its sorted values:
#
# | function | what it takes |
# |---|---|
# | `random` | any: the control |
# | `least_confidence` | the highest $1 - p_{(1)}$ {cite}`lewis1994` |
# | `margin` | the smallest lead $p_{(1)} - p_{(2)}$ {cite}`scheffer2001` |
# | `entropy` | the highest $H(p) = -\sum_c p_c \log p_c$ |
# | `bald` | the highest $H(\bar p) - \overline{H(p)}$ over five passes with dropout on: what they disagree about {cite}`houlsby2011bald,gal2017` |
# | `badge` | k-means++ {cite}`arthur2007` over the gradients of the last layer, $(p - e_{\hat y}) \otimes h$ {cite}`ash2020badge` |
# | `hybrid` | ours: uncertainty × density, without outliers, drawn at random |
# | `hybrid_text` | ours: the same with the margin, density of the words, and a sharper draw |
#
# Why functions of our own? The pairs that a model is most unsure of are to a large part *collective outliers*, which it will not learn from {cite}`karamcheti2021`. `hybrid` leaves them out.
#
# :::{dropdown} How `hybrid` chooses
# It leaves out the tenth of the pool that is least dense, then the most uncertain twentieth of the rest. What is left is drawn with a probability in proportion to entropy × rank of density {cite}`kirsch2023`: the top of a ranking may be full of near-copies, and the scores of a model that has seen a thousand labels are rough. Last, it takes equal shares of the predicted classes.
#
# *Density* is the mean cosine similarity to the ten nearest of at most 1 024 random pool examples. `hybrid` measures it on the vector that the classifier reads. That has a catch: the network is trained to put pairs that it is sure of together. What is uncertain looks sparse there, and the two factors may cancel. `hybrid_text` measures density on weighted means of word embeddings {cite}`arora2017`, which know nothing of the class, and draws by the square. None of these choices was tuned.
# :::

# %% tags=["live"]
network = first.model()
logits, embeddings = features(network, sealed)
density = density_scores(embeddings, np.random.default_rng(seed))
n = min(lab.budgets[1] - lab.budgets[0], len(sealed) // 5)
bought = {name: select(name, network, sealed, n, np.random.default_rng(seed))
          for name in names}
print({name: len(set(positions)) for name, positions in bought.items()})

# %% [markdown]
# Do uncertainty and density go together? Look at the rank correlation, in both spaces:

# %% tags=["nbval-ignore-output", "live"]
entropies = scipy.stats.entropy(scipy.special.softmax(logits, axis=1), axis=1)
in_words = density_scores(text_vectors(network, sealed),
                          np.random.default_rng(seed))
for space, values in (("what the classifier reads", density),
                      ("words", in_words)):
    related = scipy.stats.spearmanr(entropies, values).statistic
    print(f"{space:26s} {related:+.2f}")

# %% mystnb={"figure": {"caption": "The scored pairs by density and entropy, and what each function bought in this run. Density is that of the vector which the classifier reads.", "name": "fig-al-bought"}, "image": {"alt": "Eight small scatter plots of the same grey cloud of pairs. Entropy buys along the upper edge, random and hybrid all over the cloud, hybrid not at its sparse left end."}} tags=["live"]
_ = figures.bought_map(entropies, density, bought)

# %% tags=["nbval-ignore-output", "live"]
Table(describe(logits, density, bought).round(5), index=True,
      folded="how unsure and how typical each purchase is")

# %% [markdown]
# :::{dropdown} How to read this table
# How unsure the model is of the purchase, how typical the purchase is, which share of it lies in the outlying tenth of the pool (a random purchase has about a tenth there), and how lopsided it is by predicted class. Under `quick` it shows how to read it and no more: the network has hardly learned. Every entropy is close to the highest possible, the logarithm of the number of classes, and nearly all pairs get the same class.
# :::
#
# **Check.** `entropy` buys exactly the pairs of highest entropy, here computed by SciPy. `hybrid` buys nothing in the outlying tenth. Every function gives distinct pairs, none of them bought before, and has seen no label.

# %% tags=["live"]
threshold = np.sort(entropies)[-n]
assert (entropies[bought["entropy"]] >= threshold - 1e-3).all()
mean_of = {name: entropies[bought[name]].mean() for name in names}
assert mean_of["entropy"] > mean_of["hybrid"] > 0
edge = np.quantile(density, 0.1)
assert (density[bought["hybrid"]] > edge - 1e-6).all()
for name, positions in bought.items():
    before = set(candidates[positions]) & set(first.rows)
    assert len(set(positions)) == n and not before, name
assert (sealed.labels == -1).all()
print("the most uncertain are bought, outliers are not, no label was seen")

# %% [markdown]
# ## One round
#
# Now you buy the labels and train a new model from the same start on all labels so far. The cell writes a record for each run, and skips what has one. Under `quick` it is one round of two functions, with a hundred pairs: its accuracy says nothing about the method. Under `cpu` it is the whole lab.

# %% tags=["nbval-ignore-output", "live"]
quick = profile == "quick"
runs = lab.run(["entropy", "hybrid"] if quick else "all",
               labels=[lab.budgets[1]] if quick else None, report=print)

# %% [markdown]
# The {term}`ledger` of a run is part of its record: which pairs were bought, in which order. All arms of a seed share the first ones.

# %% tags=["live"]
ledgers = {name: run.rows for run in runs
           if (name := run.record["configuration"]) in ("random", "entropy")}
shared = lab.budgets[0]
assert all((rows[:shared] == first.rows).all() for rows in ledgers.values())
{name: len(rows) for name, rows in ledgers.items()} if quick else len(ledgers)

# %% [markdown]
# ## When to stop
#
# "Until performance improvements plateaued" needs two numbers that the papers do not give: how many rounds without a gain, and what counts as one. `plateau` is true where the best of the last `window` values is not above the best before by more than `tolerance`. It looks at the development slice only.

# %% tags=["live"]
for curve in ([0.50, 0.58, 0.63], [0.50, 0.58, 0.585], [0.58, 0.57, 0.62]):
    print(curve, plateau(curve, window=1, tolerance=0.01))

# %% [markdown]
# ## What the papers report
#
# For active learning on MultiNLI: 36 hours instead of 48, 85.6% instead of 84.5%, and a perplexity of 9.5 instead of 9.8 {cite}`seollm2024`. How many labels were bought is not said, and there is no random control. The accuracy *above* that of training on all labels is left unexplained: see [](claims_audit).
#
# ## What the records say
#
# The records are of six-layer MiniLM, first trained on SNLI pairs {cite}`bowman2015`, whose labels are not counted here but in [](07_transfer_active_learning). Each budget is twice the one before, and each arm is measured on the same 4 000 pairs of each official set.
#
# **In each round a fresh sample of 8 000 pairs is scored. So the last round, which buys 4 000, takes every second pair.** No ranking can choose much there. Choosing from more pairs was not tried.

# %% mystnb={"figure": {"caption": "Matched accuracy over the number of labels; bands run from the lowest to the highest seed. Grey: the five other functions.", "name": "fig-al-curves"}, "image": {"alt": "Learning curves over one to eight thousand labels: random labels as a dashed line, badge and entropy in colour close to it, the other functions in grey."}} tags=["record", "hide-input"]
curves = bought_by_names(efficiency.label_curves(folder))
print(tables.absent(development, compared),
      tables.standing(results.load(folder)), sep="\n")
_ = figures.label_curves(curves, metric="matched accuracy",
                         strong=("badge", "entropy"))

# %% tags=["record", "remove-input"]
goal = both[(both["configuration"] == "random") & (both["labels"] == 8000)]
matches = efficiency.labels_to_match(both) if len(goal) else {}
fewer = [f"`{name}`" for name, match in matches.items() if match.high < 8000]
Finding(f"""
How many labels does each need for the accuracy of 8 000 random ones? Interval
included, fewer than 8 000 are enough for
{', '.join(fewer) or 'none' if matches else 'not run'}.
On the way there, with 4 000 labels, the choice by disagreement (`bald`)
{to_random('bald', '4,000')}.""")

# %% mystnb={"figure": {"caption": "Labels needed for the accuracy of 8\u00a0000 random labels, with 95% intervals; hatched where the arm ends below it. An arrow: the interval has no upper end within the labels that were bought.", "name": "fig-al-needed"}, "image": {"alt": "Horizontal bars, one for each acquisition function, beside a dashed line at 8\u00a0000 labels."}} tags=["record", "hide-input"]
_ = figures.labels_needed(matches, 8000)

# %% tags=["record", "hide-input"]
Table(efficiency.shown(gained),
      folded="every function at every number of labels, against random")

# %% tags=["record", "hide-input"]
Table(efficiency.match_table(both, matches=matches),
      folded="labels needed to match random at 8 000")

# %% [markdown]
# :::{dropdown} How to read these tables
# - Differences are in points on both official sets together, paired by seed and example. An interval that holds zero means: no difference could be shown. With one seed it holds the spread of examples only, and a second seed may turn the verdict.
# - Of twenty such intervals about one excludes zero by chance alone. *After Holm* says what is left once all comparisons of this chapter count as one family ({term}`Holm correction`). The intervals of *labels needed* are one for each arm, and not corrected.
# - *Labels needed*: where a curve reaches, for good, the accuracy that random labels reach at 8 000. Between budgets it is taken as linear in the logarithm of the labels. The interval holds the numbers of labels at which the curve is not told apart from that goal. Only seeds that have a run at every budget of an arm count.
# - Curves are means over the seeds. One with fewer seeds than random's is not to be held against that one, whose mean stands on other seeds too.
# :::
#
# The papers' $L_\text{AL}$ ([](07_transfer_active_learning)) can also be read as a criterion that is *learned*. `loss-prediction` {cite}`yoo2019loss` trains a small head on what the network makes of the labelled pairs. It learns which of two has the higher loss, and buys where it expects the most. It is a screening: one seed, on development rows.

# %% tags=["record", "remove-input"]
screened = Evidence(frame=efficiency.by_budget(development))
learned = {other: screened.gap("loss-prediction at 2,000",
                               f"{other} at 2,000", "accuracy")
           for other in ("random", "entropy", "badge")}
Finding(f"""
`loss-prediction` with 2 000 labels, against random ones:
{learned['random']}; against `entropy`: {learned['entropy']}; against `badge`:
{learned['badge']}.""")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(criterion),
      folded="the learned criterion against every other")

# %% [markdown]
# The papers' row "+ active learning" stands alone, without transfer. So does the arm `al`: no source task, half of the labels at random, the other half in one round by `hybrid`. Its round takes half of what it scored, too. Its control is `base` of [](05_transfer_learning).

# %% tags=["record", "remove-input"]
without = Evidence(frame=efficiency.by_budget(alone))
pair = "al at 8,000", "base at 8,000", "accuracy"
Finding(f"""
Without a source task, choosing half of 8 000 labels
{without.told(*pair, **words)}: {without.gap(*pair)}.""")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(of_al), folded="`al` against its control")

# %% [markdown]
# ### Where the money went
#
# A {term}`data map` {cite}`swayamdipta2020` looks at each pair while a network is trained on it. With $p_e(y^* \mid x)$ the probability of the pair's label after epoch $e$ of $E$, its *confidence* and *variability* are
#
# $$ \mu(x) = \frac{1}{E} \sum_{e} p_e(y^* \mid x), \qquad
# \sigma(x) = \sqrt{\tfrac{1}{E} \textstyle\sum_e \big(p_e(y^* \mid x) - \mu(x)\big)^2 }. $$
#
# *Ambiguous* pairs, about which the network changes its mind, have a $\sigma$ in the highest third of a random purchase. Of the rest, *easy* ones have $\mu \ge 1/2$. The others are *hard to learn*, and among these the map's authors found most of the wrong labels. Try three pairs and three epochs:

# %% tags=["live"]
gold = np.array([[0.90, 0.20, 0.10],  # (epochs, pairs)
                 [0.95, 0.80, 0.05], [0.97, 0.30, 0.10]])
example = maps.data_map(gold, right=gold > 0.5)
where = maps.regions(example, cut=0.2)
assert np.allclose(example.confidence, gold.mean(0))
assert np.allclose(example.variability, gold.std(0))
assert list(where) == ["easy", "ambiguous", "hard"]
assert example.correctness.round(2).tolist() == [1.0, 0.33, 0.0]
confidence = example.confidence.round(2).tolist()
print(dict(zip(where.tolist(), confidence, strict=True)))

# %% tags=["record", "remove-input"]
records = results.load_records(folder)
table = efficiency.map_table(records)
at = table.set_index("arm")


def hard(name):
    """The share of hard pairs that a function bought."""
    return f"{at.loc[name, 'hard']:.1f}%" if name in at.index else "not run"


more = [f"`{row.arm}`" for row in table.itertuples() if row.low > 0]
Finding(f"""
Of a random purchase {hard('random')} is hard to learn, of `badge`'s
{hard('badge')}, of `hybrid`'s {hard('hybrid')}. More than random, interval
over pairs included, buy
{', '.join(more) or 'none' if len(table) else 'not run'} (one seed).""")

# %% mystnb={"figure": {"caption": "What each acquisition function bought on the data map of the reference runs, the more a field stands out, the more pairs. Right of the upright dashed line a pair is ambiguous; left of it, it is easy above the other line and hard to learn below.", "name": "fig-al-data-map"}, "image": {"alt": "A panel for each acquisition function: shaded map of confidence over variability with dashed borders between the regions easy, ambiguous and hard to learn."}} tags=["record", "hide-input"]
_ = figures.data_maps(*efficiency.map_histograms(records))

# %% [markdown]
# Labels spent on pairs that the network will not learn may be lost. But this share alone does not decide: hold it against the accuracies above. Why `hybrid`, which avoids such pairs, is no better, these runs do not tell.

# %% tags=["record", "hide-input"]
Table(efficiency.map_page(table), folded="the data map in numbers")

# %% [markdown]
# :::{dropdown} How to read this table
# The arm `data-map` trains one network, from the same start, on all pairs that the arms of one seed bought, and reads the probabilities off after each epoch. So all purchases lie on one map. What every arm bought at random in the first round is trained on and not counted. *Never right*: pairs whose label was the most probable one after no epoch. Where a function buys no more hard pairs than random and is still no better, the reason must be another: a last round that takes half of what it scored, or a purchase that is less like the test set.
# :::
#
# ### Would the rule have stopped?
#
# Take the papers' rule on these curves, with a window of one round and a gain of one point. Development accuracy has a standard error of about a point for a single run: as large as the gain that the rule asks for.

# %% tags=["record", "hide-input"]
Table(efficiency.plateau_table(
    development[development["configuration"].isin(names)]))

# %% [markdown]
# Where it stops, the values after the stop show what you would have given away.
#
# ### What choosing costs
#
# Somebody has to run the model over the pool, then choose. Each function here takes time in proportion to the pool; `bald` makes five passes. [](tab1_training_time) counts what that adds to a result.

# %% tags=["record", "hide-input"]
costs = results.load_records(folder.parent / "bench_selection")
Table(selection.cost_table(costs),
      folded="seconds by function and size of the pool")

# %% [markdown]
# :::{dropdown} How to read this table
# Measured by `python -m seo_core.run bench selection`. `features` is the pass alone, `predict` plain inference; *of inference* is the seconds of a call over those of `predict` on the same pool. `fit` is an epoch of training. *Choosing* is the call minus `features`, each timed once, so a few seconds are within the noise. An exponent of 1 means that cost grows in proportion to the pool, 2 with its square. A pool larger than the set repeats its pairs.
#
# No function builds a matrix of all pairs of the pool. BADGE's gradient embeddings, $k \cdot d$ numbers each, are never built either: inner products of rank-one matrices factorize, $\langle a \otimes h, b \otimes g \rangle = \langle a, b \rangle \langle h, g \rangle$.
# :::
#
# :::{dropdown} What changes with scale
# The encoder has seen NLI pairs in its pre-training, and more in the source task. So the low end of these curves is not that of a model that learns from nothing: [](07_transfer_active_learning) has a control without any of it. With `profile="gpu"` the study runs with BERT-base on all of MultiNLI. The pool is more than ten times as large, but a round scores 8 000 pairs there too, so a function is no choosier.
# :::
#
# ## To remember
#
# - Hold a purchase against as many random labels. Against training on everything, any choice looks good in hours.
# - If you buy by a model, take pairs that are unsure *and* different from each other (`badge`): it costs hardly more than inference.
# - Open: whether choosing from many more pairs than you buy would pay, and more than one seed for four of the functions.
#
# ## Exercises
#
# **1.** `select` takes any function `f(model, pool, n, rng)`. Write one that buys the *least* uncertain pairs. Where would they lie in the figure above?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
def surest(model, pool, n, rng):
    found = features(model, pool, progress=False)[0]
    return np.argsort(-scipy.special.softmax(found, axis=1).max(axis=1))[:n]


easy = select(surest, network, sealed, n, np.random.default_rng(seed))
for name, rows in (("surest", easy), ("entropy", bought["entropy"])):
    print(f"{name}: mean entropy {entropies[rows].mean():.5f},",
          f"outlying tenth {(density[rows] <= edge).mean():.0%}")

# %% [markdown]
# **2.** Switch off the four parts of `hybrid`: `HybridConfig(outliers=0, hardest=0, beta=0, balance=False)`. What is left?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
off = HybridConfig(outliers=0, hardest=0, beta=0, balance=False)
for name, config in (("hybrid", HybridConfig()), ("all off", off)):
    rows = [hybrid_positions(logits, density, n, np.random.default_rng(i),
                             config) for i in range(50)]
    share = np.mean([density[each] <= edge for each in rows])
    print(f"{name}: {share:.0%} in the outlying tenth, over 50 draws")
print("all off, each pair is as likely as any other: random")

# %% [markdown]
# **3.** The last round took every second pair that it scored. Score an eighth, a quarter, or all of the candidates here, and buy twelve by entropy each time. How much more unsure is the purchase?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for part in (8, 4, 1):
    some = entropies[:max(12, len(entropies) // part)]
    top = np.sort(some)[-12:].mean()
    print(f"12 of {len(some):4d}: mean entropy {top:.5f};",
          f"of all {len(some)}: {some.mean():.5f}")
