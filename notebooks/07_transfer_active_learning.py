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
# # Transfer-active learning
#
# Start from a model that has learned a related task, and let it choose its labels. Do the two ideas together save labels?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # first labels, draws of the acquisition function, unlabelled batches, dropout
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
unlabelled: str = "default"  # further texts without labels; default: none
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.special
import scipy.stats
import torch

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, efficiency, statistics, tables
from seo_core.analysis.contrasts import DEVELOPMENT, OFFICIAL
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import acquisition, known, open_lab
from seo_core.selection import TransferActiveConfig, TransferActiveLearning, features, select

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
MODULES = ("data-module", "data-module-wide")
arms = ("base", "random", "hybrid", "tal", *MODULES)
folders = [results.reference_dir() / "cpu" / name for name in
           ("05_transfer_learning", "06_active_learning", "07_transfer_active_learning")]
both = efficiency.label_curves(*folders, metrics=OFFICIAL)
held = efficiency.label_curves(*folders, metrics=(DEVELOPMENT,))
counted = results.load(*folders)

# %% tags=["remove-cell"]
pairs = [((arm, few), (control, 8000)) for control in ("base", "random")
         for arm in (*MODULES, "random", "tal") for few in (4000, 5600)
         if arm != control]
pairs += [((arm, few), ("random", few)) for arm in (*MODULES, "tal")
          for few in (4000, 5600)]
pairs += [((arm, few), ("tal", few)) for arm in MODULES
          for few in (4000, 5600)]  # the very same labels
scratch = both[both["configuration"].str.endswith("-scratch")]
term = both[both["configuration"].isin(("hybrid", "tal"))]
family = contrasts.family(
    efficiency.compare(both, pairs), efficiency.gains(term, target="hybrid"),
    efficiency.compare(held, [
        ((name, 2000), (other, 2000)) for name in ("tal-weak", "tal-strong")
        for other in ("tal", "hybrid", "random")]),
    efficiency.gains(scratch, target="random-scratch"))
table, of_term, of_weights, of_scratch = family
left = dict(zip(table["compared"], tables.after_holm(table), strict=True))

# %% tags=["remove-cell"]
counts = (counted.groupby(["configuration", "labels"])["labels_used"].max()
          if len(counted) else {})
module, base = (counts.get(run, np.nan) for run in
                (("data-module", 5600), ("base", 8000)))
task = counted.get("source_labels", pd.Series(dtype=float)).max()
cost = "not run" if np.isnan(task) else f"{task:,.0f}".replace(",", " ")


def share(ours, theirs):
    words = f"{100 * abs(ours / theirs - 1):.0f}%"
    words += " less" if ours < theirs else " more"
    return "not run" if np.isnan(ours / theirs) else words

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(frame=efficiency.by_budget(both))
plain = "data-module at 5,600", "base at 8,000", "accuracy"
rival = "data-module at 5,600", "random at 8,000", "accuracy"
Finding(f"""
It depends on the opponent, and on which labels you count. With 5 600 bought
labels, the papers' data side put together (`data-module`) {ours.told(*plain)}
than plain training on 8 000 random ones (`base`): {ours.gap(*plain)}. Among
{contrasts.tested(*family)} comparisons of this chapter (Holm's correction)
that result
{left.get(' against '.join(plain[:2]), 'is not run')}. Against 8 000 random
labels with the same source task it {ours.told(*rival)}: {ours.gap(*rival)}. Of
bought labels, 5 600 are {share(5600, 8000)} than 8 000; with the
development slice's counted, {share(module, base)}; with the {cost} of the
source task, {share(module + task, base)}.""")

# %% mystnb={"figure": {"caption": "Matched accuracy over the number of bought labels. The source task's labels are not counted here. Dashed: random labels after the source task; `base`: without it. Grey: `hybrid`, `tal` and `data-module-wide`.", "name": "fig-tal-curves"}, "image": {"alt": "Learning curves of the supervised baseline, of random labels after a source task as a dashed line, and of the data module, over the number of labels; other arms in grey."}} tags=["record", "hide-input"]
curves = efficiency.label_curves(*folders)
_ = figures.label_curves(curves[curves["configuration"].isin(arms)],
                         metric="matched accuracy", shared=False,
                         strong=("base", "data-module"))

# %% [markdown]
# ## The idea
#
# The papers call it TAL, "using knowledge from pre-trained models to guide the selection of the most informative samples", and write {cite}`seollm2024,sec2025`
#
# $$ L_\text{TAL} = L_\text{TL}(\theta, D_s, D_t) + \lambda\, L_\text{AL}(\theta, D_u), \tag{2} $$
#
# with $L_\text{TL}$ "the transfer learning loss" and $L_\text{AL}$ "the active learning sample selection criterion". Two things about it are odd. A criterion that *selects* is no loss: it has no gradient to follow. And if you follow one all the same, say of the model's uncertainty on the {term}`pool`, the model becomes sure of everything. The ranking that was to select loses its meaning.
#
# Our reading keeps both, apart from each other:
#
# $$ L_\text{TL} = -\frac{1}{|D_t|} \sum_{(x, y) \in D_t} \log p_\theta(y \mid x) + \frac{\beta}{2} \lVert \theta - \theta_s \rVert^2,
# \qquad L_\text{AL} = \frac{\sum_{x \in D_u} w(x)\, H(p_\theta(\cdot \mid x))}{\sum_{x \in D_u} w(x)}. $$
#
# $L_\text{TL}$ is cross-entropy on the labels bought so far, with a pull ({term}`L2-SP` {cite}`li2018l2sp`) to the weights $\theta_s$ that the source task left. It leaves out the classifier on top. $L_\text{AL}$ is {term}`entropy minimization` {cite}`grandvalet2004`: the class boundary moves to where few pairs are. The weight $w$ is the rank of a pair's density, so that outliers hardly count.
#
# The pool is ranked by models that were trained with $L_\text{TL}$ alone. The second term acts only in the training of the final model.
#
# ## The loss
#
# `TransferActiveLearning(config).loss(model, unlabelled)` is a loss for `fit`. The pull's target and the weights $w$ are fixed when you make it. Each step then takes a labelled batch and eight unlabelled pairs of like length.

# %% tags=["live"]
lab = open_lab("07_transfer_active_learning", settings)
start = lab.network("source")  # θ_s: learned on the source task
hidden = lab.sealed.take(slice(100))
batch = lab.encoded().batch(range(16)) | {"rows": torch.arange(16)}
logits = torch.zeros(16, len(lab.task.labels))  # an undecided model
config = TransferActiveConfig(l2_sp=0.0)


def method(lam):
    return TransferActiveLearning(replace(config, lam=lam))


value = {lam: float(method(lam).loss(start, hidden)(
    logits, batch).detach()) for lam in (0.0, 0.5, 1.0)}
config

# %% [markdown]
# **Check.** With $\beta = 0$ (`l2_sp=0.0`) the pull is out of the way. Then with $\lambda = 0$ the loss is the cross-entropy, to the last digit. It grows in proportion to $\lambda$. Its second term is an entropy, so it lies between 0 and the logarithm of the number of classes, and its gradient reaches the encoder. What ranks the pool has no gradient, and sees no label.

# %% tags=["live"]
term = value[1.0] - value[0.0]
most = np.log(logits.shape[1]) + 1e-5
assert value[0.0] == float(
    torch.nn.functional.cross_entropy(logits, batch["labels"]))
assert abs(value[0.5] - value[0.0] - term / 2) < 1e-5 and 0.01 < term <= most
method(1.0).loss(start, hidden)(logits, batch).backward()
query = (start.bert.encoder.layer[0].attention.self.query.weight
         if hasattr(start, "bert") else next(start.parameters()))
assert query.grad.abs().sum() > 0
start.zero_grad(set_to_none=True)
print("λ = 0 is the cross-entropy; the term trains the encoder")

# %% tags=["live"]
picked = TransferActiveLearning(config).select(
    start, hidden, 20, np.random.default_rng(seed))
assert len(set(picked)) == 20 and query.grad is None
assert (hidden.labels == -1).all()
print("the ranking leaves no gradient and reads no label")

# %% [markdown]
# ## With the term and without
#
# The arm `hybrid` of [](06_active_learning) is equation (2) with $\lambda = 0$. The arm `tal` trains on the very same labels once more, with the term.

# %% tags=["nbval-ignore-output", "live"]
labels = lab.budgets[1]
without, with_term = lab.arm("hybrid", labels), lab.arm("tal", labels)
for name, run in (("λ = 0", without), ("with the term", with_term)):
    print(f"{name:14s} {labels} labels,", ", ".join(
        f"{which} {100 * a:.1f}%" for which, a in run.accuracies.items()))

# %% tags=["live"]
assert (without.rows == with_term.rows).all()
assert len(set(without.rows)) == labels
print("the same labels were bought, each of them once")

# %% [markdown]
# Look at how unsure the two models are of pairs that neither was trained on, and whether they agree on the most uncertain. After the few steps of `quick` they hardly differ: this shows how to look, and proves nothing.

# %% tags=["nbval-ignore-output", "live"]
rest = np.setdiff1d(np.arange(len(lab.pool)), without.rows)[:300]
unbought = lab.sealed.take(rest)
scores = {name: scipy.stats.entropy(scipy.special.softmax(
    features(run.model(), unbought)[0], axis=1), axis=1)
    for name, run in (("λ = 0", without), ("with the term", with_term))}
agree = np.intersect1d(*(np.argsort(-s)[:30] for s in scores.values()))
print({name: round(float(s.mean()), 3) for name, s in scores.items()},
      f"{len(agree)} of the 30 most uncertain in common")

# %% [markdown]
# ## The loop
#
# Rounds follow one another until the development accuracy has reached its {term}`plateau`. For pairs of your own, give `load_settings` your file as `data=`, and your own numbers of labels here:

# %% tags=["live"]
rounds = acquisition.until_plateau(lab, "hybrid", lab.budgets[:2])
assert rounds[-1].path == without.path
assert (rounds[-1].rows[:lab.budgets[0]] == rounds[0].rows).all()
print("labels bought:", [len(run.rows) for run in rounds],
      "the last round is the run above")

# %% tags=["live", "hide-cell"]
print(inspect.getsource(acquisition.bought_by),
      inspect.getsource(acquisition.until_plateau), sep="\n")

# %% [markdown]
# ## The whole data module
#
# The arm `data-module` puts the data side of the papers together. TAL buys the labels and gives the teacher. The teacher's {term}`soft labels` for 8 000 other pairs, and ADA's edits of the bought pairs, join the training of the final model. `data-module-wide` takes all that is left of the pool, labelled by two teachers: TAL's model, and `hybrid`'s. Texts that you name with `unlabelled` stand behind the pool. Under `quick` both are left out.

# %% tags=["nbval-ignore-output"]
if profile != "quick":
    lab.run(report=print)

# %% [markdown]
# ## What the papers report
#
# No table of the papers has a row for TAL or for ADA. "30% less data" is claimed in the abstract, and no table supports it {cite}`seollm2024`. The nearest rows are transfer learning (87.1%) and active learning (85.6%), beside a baseline of 84.5% and a combined system of 86.2% {cite}`seollm2024`.
#
# ## What the records say
#
# The network is MiniLM. All differences are on both official sets together, 4 000 pairs of each. Does the second term add anything to the same labels?

# %% tags=["record", "remove-input"]
added = {labels: ("tal at " + labels, "hybrid at " + labels, "accuracy")
         for labels in ("2,000", "4,000", "8,000")}
Finding(f"""
With 8 000 labels the term {ours.told(*added['8,000'], better='helps',
worse='costs accuracy', same='changes nothing that can be told')}:
{ours.gap(*added['8,000'])}. With 2 000: {ours.gap(*added['2,000'])}; with
4 000: {ours.gap(*added['4,000'])}.""")

# %% [markdown]
# How large can it be? An entropy of three classes is at most 1.1, so with $\lambda = 0.1$ the term adds 0.11 at most to a cross-entropy that starts at 1.1. The value of $\lambda$ was set before any run and not tuned. Two others are a screening on the same 2 000 labels, on development rows. <!-- arithmetic -->

# %% tags=["record", "remove-input"]
screened = Evidence(frame=efficiency.by_budget(held))
weights = {name: (known(name).recipe.lam, *(screened.gap(
    f"{name} at 2,000", f"{other} at 2,000", "accuracy")
    for other in ("tal", "random"))) for name in ("tal-weak", "tal-strong")}
Finding(" ".join(f"""
With λ = {lam:g} (`{name}`), against `tal`: {to_tal}; against random labels:
{to_random}.""" for name, (lam, to_tal, to_random) in weights.items()))

# %% [markdown]
# Now to the labels saved. "30% less data" is measured against plain supervised training; 4 000 labels are half. <!-- setting -->

# %% tags=["record", "remove-input"]
half = "data-module at 4,000", "base at 8,000", "accuracy"
chance = "random at 5,600", "base at 8,000", "accuracy"
same = "data-module at 5,600", "random at 5,600", "accuracy"
own = "data-module at 5,600", "tal at 5,600", "accuracy"
words = {"better": "beats", "worse": "loses to",
         "same": "is not told apart from"}
Finding(f"""
With half of the labels, the module
{ours.told(*half, **words)}
plain training on all 8 000: {ours.gap(*half)}. Take 5 600 *random* labels
after the source task, against the same 8 000:
{ours.told(*chance, better='better', worse='worse', same='not told apart')},
{ours.gap(*chance)}. So how much of the saving comes with
the source task these runs do not say. At equal labels after it, the module
{ours.told(*same, same='is not told apart from random ones')}:
{ours.gap(*same)}. On the very same labels as TAL, the module with its
pseudo-labels, edits and steps {ours.told(*own)}: {ours.gap(*own)}.""")

# %% [markdown]
# **No arm controls for the number of steps.** The module trains on pseudo-labelled and edited pairs beside its labels, so it takes more steps than its controls. A gain of it is that of the whole recipe. What more steps alone are worth shows in [](03_augmentation), where unchanged copies are an arm of their own.

# %% mystnb={"figure": {"caption": "Labels needed for the accuracy of 8\u00a0000 random labels with the same source task, with 95% intervals; hatched where the arm ends below it, at the most labels that it was run with. An arrow: the interval has no upper end within these labels.", "name": "fig-tal-needed"}, "image": {"alt": "Horizontal bars for hybrid, TAL and the two data modules beside a dashed line at 8\u00a0000 labels; the modules' bars end at the labels they were run with."}} tags=["record", "hide-input"]
chosen = both[both["configuration"].isin(set(arms) - {"base"})]
goal = chosen[chosen["configuration"] == "random"]["labels"] == 8000
matches = efficiency.labels_to_match(chosen) if goal.any() else {}
_ = figures.labels_needed(matches, 8000)

# %% tags=["record", "hide-input"]
print(tables.standing(counted))
Table(efficiency.shown(table),
      folded="all comparisons, with fewer labels and with as many")

# %% tags=["record", "hide-input"]
Table(efficiency.match_table(chosen, matches=matches), folded="labels needed")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(of_term),
      folded="what the term adds, at each number of labels")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(of_weights),
      folded="other weights of the term, on development rows")

# %% tags=["record", "hide-input"]
steps = counted[counted["configuration"].isin(arms)] if len(counted) else both
if len(steps):
    steps = steps.pivot_table(index="labels", columns="configuration",
                              values="train_examples").round().astype("Int64")
Table(steps, index=True,
      folded="pairs seen in training, repeats included, by labels")

# %% tags=["record", "hide-input", "hide-output"]
runs = both.pivot_table(index="seed", columns=["configuration", "labels"],
                        values="accuracy")
for count in (4000, 5600):
    if {("data-module", count), ("base", 8000)} <= set(runs):
        gain = 100 * (runs["data-module", count] - runs["base", 8000])
        over = statistics.mean_interval(gain.dropna())
        print(f"{count} labels − base with 8000, by seed:",
              ", ".join(f"{x:+.2f}" for x in gain.dropna()),
              f"t interval [{over.low:+.2f}, {over.high:+.2f}]")

# %% [markdown]
# :::{dropdown} How to read these tables
# - Points on both official sets together, paired by seed and example, with 95% intervals. *After Holm*: what stands once all comparisons of this chapter count as one family ({term}`Holm correction`). With one seed the interval holds the spread of examples only.
# - `base`: random labels without a source task. `random`, `hybrid`, `tal`, the modules: with it. So the lines against `base` are no fair contest for the acquisition function, only for the module as a whole; the lines with `random` are.
# - *Labels needed*: only seeds that have a run at every budget of an arm count. The curves have runs with 5 600 labels, which [](06_active_learning) leaves out, so the interval of `hybrid` is not the same.
# - `tal-weak`, `tal-strong`: `tal` with a tenth of its $\lambda$, and with ten times as much. One seed.
# - Nobody trained `base` for as many steps as the source task took, so what comes with the source task includes those steps.
# - From random weights: the upper end of an interval says how large a gain is not excluded.
# - *Pairs seen* leaves out the unlabelled pairs in the second term of `tal`.
# - By seed: the gains of the module with 4 000 labels lie far apart, so that a saving of half is not shown.
# :::
#
# ### What the source task costs
#
# Transfer is no free lunch: the source network has seen labels too, only not the target's. And does choosing pay for a model that has met no NLI pair before? The control starts from random weights, word table included: `hybrid-scratch` buys with such models, `tal-scratch` adds the term (there is no pull), `random-scratch` has random labels.

# %% tags=["record", "remove-input"]
source_runs = Evidence("05_transfer_learning")
blank = "hybrid-scratch at 8,000", "random-scratch at 8,000", "accuracy"
second = "tal-scratch at 8,000", "random-scratch at 8,000", "accuracy"
Finding(f"""
The source task took {cost} labels; without one label of the target its
network is right on {source_runs.mean('source')} of the matched set. From
random weights,
8 000 random labels reach {ours.mean(blank[1], 'accuracy')}, where a guess is
right on a third. Choosing {ours.told(*blank)}: {ours.gap(*blank)}; with the
term it {ours.told(*second)}: {ours.gap(*second)}.""")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(of_scratch), folded="from random weights")

# %% [markdown]
# Networks this close to guessing may rank the pool hardly better than chance, which was not measured: a weak control.
#
# :::{dropdown} What changes with scale
# With all of MultiNLI there is nothing left to buy, no need of a source task, and equation (2) is a regularizer. The pool of `profile="gpu"` is more than ten times as large, but the second term draws from 4 096 pairs at most (`TransferActiveConfig.unlabelled_rows`), and a round scores 8 000: the larger pool alone changes neither.
# :::
#
# ## To remember
#
# - Ask of every "less data" which labels are counted: the bought ones, those you looked at, or all that the network has ever seen.
# - Use a source task if you have one; after it, random labels are a hard opponent. Rank with a model that was not trained to be sure.
# - Open: a $\lambda$ chosen with more than one seed, `base` for as many steps as the module takes, and more seeds for the wide module.
#
# ## Exercises
#
# **1.** Rank the unbought pairs with the model `with_term` instead of `without`. How many of the 30 that `entropy` buys are the same?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
few = min(30, len(unbought))
buys = {name: select("entropy", run.model(), unbought, few,
                     np.random.default_rng(seed))
        for name, run in (("λ = 0", without), ("with the term", with_term))}
print(len(set.intersection(*map(set, buys.values()))),
      f"of {few} in common")

# %% [markdown]
# **2.** The gradient of the entropy is zero where the model is sure, and where it is undecided among all classes. Which pairs does the term pull most, if $w = 1$?

# %% tags=["hide-cell", "live"]
lead = torch.linspace(0, 6, 121, requires_grad=True)  # of one class of three
z = torch.stack([lead, 0 * lead, 0 * lead], dim=1)
p = z.softmax(dim=1)
(-(p * p.log()).sum()).backward()
at = int(lead.grad.abs().argmax())
print(f"most at a lead of {lead[at]:.2f}: probability {p[at, 0]:.2f}")

# %% [markdown]
# **3.** How many random labels after the source task are worth 8 000 without it, by the curves of `base` and `random`?

# %% tags=["hide-cell", "record"]
two = both[both["configuration"].isin(("base", "random"))]
there = two[two["configuration"] == "base"]["labels"] == 8000
found = efficiency.labels_to_match(two, "base") if there.any() else {}
print(found["random"].statement if "random" in found else "not run")
