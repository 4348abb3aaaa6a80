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
# # Semi-supervised learning
#
# Labels are dear, texts without labels cost next to nothing. Can a network that learned from a few labels give the other texts their labels, and learn more from those?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the labelled pairs, the unlabelled ones, the edits, and training
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
import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN_YET, contrasts, efficiency, tables
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.arms import self_training as arms
from seo_core.data import NLI_LABELS
from seo_core.evaluation import accuracy, softmax
from seo_core.selection.pseudo import (
    adaptive_pseudo_label,
    class_thresholds,
    pseudo_label,
    quality,
    self_training,
    soft_labels,
    teacher_logits,
)
from seo_core.training import TrainingConfig, fit

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("08_semi_supervised", settings)
chapters = ("05_transfer_learning", "06_active_learning",
            "08_semi_supervised", "03_augmentation")
folders = [results.reference_dir() / "cpu" / name for name in chapters]
at = {n: Evidence(*chapters, labels=n) for n in (500, 2000, 8000)}
controls = {"ssl-fixed": "base", "ssl": "base", "ssl-source": "tl-l2sp"}
lower = ("ssl-fixed-80", "ssl-fixed-70")  # the papers' way, with a lower bar
curves = efficiency.label_curves(*folders).replace(
    {"configuration": {"random": "tl-l2sp"}})

# %% tags=["remove-cell"]
pairs = [((arm, n), (control, more)) for arm, control in controls.items()
         for n in (500, 2000) for more in (n, 2 * n)]
copies = [(("ssl", n), ("da-copies", n)) for n in (2000, 8000)]
lowered = [(name, other) for name in lower
           for other in ("base", "da-copies", "ssl-fixed", "ssl")]
family = contrasts.family(
    efficiency.compare(curves, [*pairs, (("ssl", 8000), ("base", 8000))]),
    efficiency.compare(curves, copies), contrasts.differences(
        at[2000].frame, lowered, [DEVELOPMENT], labels=None))
table, to_copies, of_lower = family

# %% tags=["record", "answer", "remove-input"]
named = table["compared"].astype(str).str.match("ssl at .* against base")
gains = table[named & (table["labels saved, %"] == 0)]
words = {"better": "is better than", "worse": "is worse than",
         "same": "is not told apart from"}
told = {(n, to): at[n].told("ssl", to, MATCHED, **words)
        for n in at for to in ("base", "da-copies")}
gap = {(n, to): at[n].gap("ssl", to, MATCHED) for n, to in told}
standing = (gains["holm"] < 0.05).sum()
lead = ("Yes." if standing else "Perhaps, and a little.") if len(gains) else ""
holm = (f"""Holm's correction, over all {contrasts.tested(*family)}
comparisons of this chapter, leaves {standing or "none"} of these
{len(gains)} results standing.""" if len(gains) else
        "Holm's correction: not run.")
Finding(f"""
{lead} With 500 labels, a network that also learns from 8 000 pairs labelled
by its teacher (`ssl`) {told[500, "base"]} the same network without them
(`base`): {gap[500, "base"]} on the matched set. With 2 000 labels it
{told[2000, "base"]} `base`: {gap[2000, "base"]}. With 8 000 it
{told[8000, "base"]} `base`: {gap[8000, "base"]}. Two doubts remain. {holm}
And it takes more steps. Unchanged copies of the labelled pairs (`da-copies`)
bring more steps, too. With 2 000 labels `ssl` {told[2000, "da-copies"]}
these: {gap[2000, "da-copies"]}. With 8 000 it {told[8000, "da-copies"]}
them: {gap[8000, "da-copies"]}.""")

# %% mystnb={"figure": {"caption": "Self-training (`ssl`) minus the same network without pseudo-labels (`base`), and minus the one with copies of its labelled pairs (`da-copies`): points of accuracy on the matched set, with 95% intervals (reference runs).", "name": "fig-ssl-answer"}, "image": {"alt": "Points with horizontal intervals around a line at zero, a row for each control and number of labels. Against the baseline the intervals lie above zero; against unchanged copies they contain it. Without records it says not run."}} tags=["record", "hide-input"]
gained = contrasts.differences(
    curves, [("ssl", "base"), ("ssl", "da-copies")], ["accuracy"])
_ = figures.forest(gained.replace({"metric": {"accuracy": "matched"}})
                   .sort_values(["contrast", "labels"]))

# %% [markdown]
# ## The idea
#
# In {term}`self-training` a {term}`teacher`, trained on the labels at hand, labels the other pairs, and a {term}`student` learns from both. The SEO-LLM paper lists "+ semi-supervised" among its techniques: "a small amount of labeled MNLI data with a large amount of unlabeled data", for which "the model generated labels" {cite}`seollm2024`. It gives no equation, no numbers of pairs, and no rule for which of these labels to trust.
#
# The plain way keeps a pair where the teacher's probability reaches a threshold, and takes its class for the truth {cite}`lee2013pseudo`. Later work keeps all of the teacher's probabilities {cite}`xie2020noisy`. Let $L$ be the labelled pairs, $U$ the unlabelled ones, $q(x)$ the teacher's probabilities and $\tau_c$ the threshold of class $c$. The student minimizes the mean, over the labelled and the kept pairs, of
#
# $$ -\log p_\theta(y \mid x), \ (x, y) \in L \quad \text{and} \quad
#    -\mathbb{1}\big[\max_c q_c(x) \ge \tau_{\hat c(x)}\big] \sum_c \tilde q_c(x) \log p_\theta(c \mid \mathcal{A}(x)), \ x \in U. $$
#
# $\hat c$ is the teacher's class. $\tilde q$ is the target: that class alone, or all of $q$ ({term}`soft labels`). $\mathcal{A}$ is an edit: the teacher labels a pair as it is, the student reads a changed one, and has to be *consistent* {cite}`xie2020uda,sohn2020fixmatch`.
#
# ## One threshold, or one for each class
#
# Make up a teacher that is sure of one class, less sure of a second, and unsure of a third. Which pairs would you keep?
#
# - `fixed`: those above 0.95, the value of FixMatch {cite}`sohn2020fixmatch`.
# - `flexmatch`: lowers the bar of a class by how few of its pairs reach it {cite}`zhang2021flexmatch`.
# - `freematch`: the bar is the teacher's own mean confidence, scaled by how much of each class it expects {cite}`wang2023freematch`.

# %% tags=["live"]
rng, truth = np.random.default_rng(0), np.repeat([0, 1, 2], 300)
every = np.arange(900)
logits = rng.normal(size=(900, 3)) * 0.8
logits[every, truth] += np.array([5.0, 2.5, 1.0])[truth]
kept = {"fixed": pseudo_label(logits, threshold=0.95),
        "flexmatch": adaptive_pseudo_label(logits, rule="flexmatch"),
        "freematch": adaptive_pseudo_label(logits)}
columns = [f"{what}, {c}" for what in ("bar", "kept")
           for c in ("sure", "less", "unsure")]
Table(pd.DataFrame([
    (name, *p.thresholds.round(2), *p.kept.round(2),
     (p.labels == truth[p.rows]).mean()) for name, p in kept.items()],
    columns=["rule", *columns, "right"]).round(2))

# %% [markdown]
# **Check.** The class that the teacher finds easy has the highest bar. Of the class that it finds hard, the adaptive rules keep many times as much as the fixed one. Give the teacher a second view of each pair, and pairs on which its two answers differ are left out. Targets that keep all of $q$ need no bar; aligned to class shares, they have these shares.

# %% tags=["live"]
for rule in ("freematch", "flexmatch"):
    easy, middle, hard = class_thresholds(softmax(logits), rule=rule)
    assert easy > middle and easy > hard + 0.1, (rule, easy, middle, hard)
    assert kept[rule].kept[2] > 5 * kept["fixed"].kept[2]
swapped = logits[:, [1, 0, 2]]  # a view in which two classes change places
agreed = adaptive_pseudo_label(logits, swapped)
assert set(agreed.labels) <= {2}
assert set(agreed.rows) <= set(kept["freematch"].rows)
aligned = soft_labels(logits, prior=[0.5, 0.3, 0.2])
assert np.allclose(aligned.mean(axis=0), [0.5, 0.3, 0.2], atol=1e-3)
print("the easy class has the highest bar; the hard one is learned too")

# %% [markdown]
# ## A real teacher
#
# The teacher is the supervised network of the same labels. What would each fixed threshold keep of the pool, and how much of that would be right? You may look at the true labels here, to check. Training may not: it gets `lab.sealed`, in which every label is −1. Under `quick` the teacher has 64 labels, and is near guessing: a toy.

# %% tags=["nbval-ignore-output", "live"]
few, size = ((64, arms.QUICK_UNLABELLED) if profile == "quick"
             else (2000, arms.UNLABELLED))
few = lab.affordable(few)
teacher = lab.arm("supervised", few)
chosen = lab.candidates(teacher.rows, 1, size)
pool = lab.sealed.take(chosen)
labelled = lab.encoded().take(teacher.rows)
weak = teacher_logits(teacher.model(), pool)  # (1, n, k)
metrics, series = quality(weak, adaptive_pseudo_label(weak[0]),
                          lab.encoded().labels[chosen], lab.task.labels)
Table(pd.DataFrame(series).round(3))

# %% [markdown]
# ## A round of self-training
#
# `self_training` makes the training set, and the loss that goes with it. `strong` is the edited view, here by the operators of [](03_augmentation).

# %% tags=["nbval-ignore-output", "live"]
edited = arms.strong_view(lab, chosen, weak[0].argmax(axis=1))
view = lab.encode(edited)
step = self_training(weak, labelled, pool, strong=view)
print(f"{len(labelled)} labelled pairs, {len(step.pseudo)} of {len(pool)}",
      f"unlabelled ones; an epoch has {len(step.train)}")
print("thresholds", dict(zip(lab.task.labels, map(
    float, step.pseudo.thresholds.round(2)), strict=True)))

# %% [markdown]
# **Check.** No label of an unlabelled pair is read. With the true labels put back, or with nonsense, training set and targets are the same. Labelled pairs keep their labels.

# %% tags=["live"]
for other in (lab.encoded().labels[chosen], np.full(len(pool), 7)):
    pool.labels[:] = view.labels[:] = other
    again = self_training(weak, labelled, pool, strong=view)
    assert np.array_equal(again.targets, step.targets)
    assert np.array_equal(again.train.ids, step.train.ids)
    assert np.array_equal(again.train.labels, step.train.labels)
assert np.array_equal(step.train.labels[:len(labelled)], labelled.labels)
print("no label of an unlabelled pair is read")

# %% [markdown]
# The arm does the same and trains the student. Under `quick` it is one short run.

# %% tags=["nbval-ignore-output", "live"]
quick = {"arms": ["ssl"], "labels": [few]} if profile == "quick" else {}
runs = [teacher, *lab.run(**quick)]
names = ["labels", "teacher_accuracy", "pseudo_kept", "pseudo_accuracy",
         "train_examples"]
Table(pd.DataFrame([
    {"configuration": run.record["configuration"], **run.accuracies,
     **{name: run.metrics.get(name) for name in names}}
    for run in runs]).round(3))

# %% [markdown]
# ## What the papers report
#
# 86.0% accuracy against 84.5% of the baseline, a perplexity of 9.3, and 37 hours of training instead of 48 {cite}`seollm2024`. How small the labelled part was is not said. With all of MNLI labelled, as in the baseline, there is nothing left to pseudo-label. And training on more pairs does not take fewer hours: see [](claims_audit) and [](tab1_training_time).
#
# ## What the records say
#
# Three arms have a few labelled pairs, and 8 000 more whose labels are hidden:
#
# - `ssl-fixed`: threshold 0.95, hard labels, no edits: the papers' way as we read it {cite}`seollm2024`. Control: `base`.
# - `ssl`: a threshold for each class, soft targets aligned to the class shares of the labels, and edits. Control: `base`.
# - `ssl-source`: teacher and student start from the {term}`source task <source task, target task>` of [](05_transfer_learning), and every pair is kept with soft targets. Control: `tl-l2sp`, the supervised run from that start.
#
# Does the better start gain by it, too?

# %% tags=["record", "remove-input"]
Finding(f"""
With 2 000 labels, `ssl-source`
{at[2000].told('ssl-source', 'random', MATCHED, better='is better than',
worse='is worse than', same='is not told apart from')} its control:
{at[2000].gap('ssl-source', 'random', MATCHED)}. Its teacher is right on
{at[2000].mean('ssl-source', 'teacher_accuracy', digits=0)} of the pool, the
teacher of `ssl` on {at[2000].mean('ssl', 'teacher_accuracy', digits=0)}. A
better teacher is not all that it takes.""")

# %% [markdown]
# A technique that gets more from a label is worth as much as more labels. Is an arm as good as its control with *twice* the labels?

# %% tags=["record", "remove-input"]
twice = table[table["labels saved, %"] > 0]
better, worse = (twice["low"] > 0).sum(), (twice["high"] < 0).sum()
Finding(f"""
Of {len(twice)} comparisons, the arm is better in {better or "none"}, worse in
{worse or "none"}, and not told apart in {len(twice) - better - worse}. Worse
would mean that half of the labels were not replaced. But few seeds leave wide
intervals. And where the control's curve is flat, being as good as twice the
labels is no achievement.""" if len(twice) else NOT_RUN_YET)

# %% mystnb={"figure": {"caption": "Accuracy on the matched set over the number of labels (reference runs, mean and range over the seeds). The arms see 8\u00a0000 unlabelled pairs besides.", "name": "fig-ssl-labels"}, "image": {"alt": "Accuracy over labels: curves of the two supervised controls, and points of the semi-supervised arms."}} tags=["record", "hide-input"]
shown = curves[curves["configuration"].isin(
    [*controls, *controls.values()])]
_ = figures.label_curves(shown, target="base", metric="matched accuracy",
                         shared=False)

# %% tags=["record", "hide-input"]
Table(efficiency.shown(table), folded="all comparisons with the controls")

# %% tags=["record", "hide-input"]
Table(efficiency.shown(to_copies),
      folded="against unchanged copies of the labelled pairs")

# %% [markdown]
# **`base` and `tl-l2sp` do not control for the number of steps.** A student that keeps many pairs takes more steps than its control, and more steps help by themselves ([](03_augmentation)). So a gain here is that of pseudo-labels *and* steps. The nearest to a control of the steps is `da-copies`: the start and the labels of `base`, half of the pairs twice, so half as many steps again. With 2 000 labels that is still fewer than `ssl` takes.

# %% tags=["record", "hide-input"]
seen = results.load(*folders).replace({"configuration": {"random": "tl-l2sp"}})
counts = pd.DataFrame([{"configuration": NOT_RUN_YET}])
if len(seen):
    seen = seen[seen["configuration"].isin(set(shown["configuration"]))
                & seen["labels"].isin([500, 1000, 2000, 4000, 8000])]
    counts = seen.pivot_table(index="configuration", columns="labels",
                              values="train_examples").map(
        lambda n: "—" if np.isnan(n) else f"{n:.0f}").rename(
        columns="{:.0f} labels".format).reset_index()
Table(counts, folded="pairs seen in training, with repeats")

# %% [markdown]
# :::{dropdown} How to read these tables
# - All arms are measured on the same 4 000 pairs of each official set. Differences are in points on the matched set, paired by seed and example, with 95% intervals.
# - *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# - In all three arms the labelled pairs are repeated until they are about a fifth of an epoch, where they are less.
# - Only `ssl` was run with 8 000 labels, for the tables that compare techniques at that number. Its teachers there are not the very runs of `base` in the tables. They were trained anew from the same labels and seeds, on another processor.
# - Pairs seen are means over the seeds. The teacher's own training comes on top. What that is against simply buying labels is in [](tab1_training_time).
# - The student of an arm sees one view, and its teacher another; pairs on which a teacher's two answers differ are not left out here.
# :::
#
# ## Why
#
# What a student can learn is limited by what its teacher says. A threshold can fail in two ways. A teacher that knows its few labels by heart may be *sure* and often wrong: then much is kept, and little is cleaned. One that saw more labels fewer times may never be sure enough: then nothing is kept, and the student is the supervised network once more.

# %% tags=["record", "remove-input"]
Finding(f"""
Without a source task, the teacher of 500 labels is of the first kind: a
threshold of 0.95 keeps
{at[500].mean('ssl-fixed', 'pseudo_kept', digits=0)} of the pool, and
{at[500].mean('ssl-fixed', 'pseudo_accuracy', digits=0)} of that is right. On
these, `ssl-fixed`
{at[500].told('ssl-fixed', 'base', MATCHED, **words)} `base`:
{at[500].gap('ssl-fixed', 'base', MATCHED)}. The teacher of 2 000 is of the
second: 0.95 keeps {at[2000].mean('ssl-fixed', 'pseudo_kept', digits=0)}.
There, `ssl-fixed` differs from `base` by
{at[2000].gap('ssl-fixed', 'base', MATCHED)}. Only a lower bar can help.""")

# %% tags=["record", "remove-input"]
two = at[2000]
Finding(" ".join(f"""
With a bar of {arms.SEMI.arms[name].recipe.threshold:g} (`{name}`), kept:
{two.mean(name, 'pseudo_kept', digits=0)}; right:
{two.mean(name, 'pseudo_accuracy', digits=0)}; against `base`, on development
rows: {two.gap(name, 'base', DEVELOPMENT)}.""" for name in lower))

# %% tags=["record", "hide-input"]
Table(tables.pair_table(of_lower),
      folded="a lower bar, on development rows of 2 000 labels")

# %% mystnb={"figure": {"caption": "Teachers of the reference runs on the unlabelled pairs, one seed each, over a fixed threshold: share kept, and how much of it is right.", "name": "fig-ssl-thresholds"}, "image": {"alt": "Two panels over the threshold with one line for each arm and number of labels: share of the pool that is kept, and share of it that is labelled right."}} tags=["record", "hide-input"]
records = [record for record in results.load_records(folders[2])
           if "kept_at_threshold" in record["series"]]
named = {(f"{r['configuration']}, {r['metrics']['labels']} labels",
          r["seed"]): r["series"] for r in records
         if not r["configuration"].startswith("ssl-fixed")}  # ssl's teachers
_ = figures.thresholds({name: named[name, seed] for name, seed
                        in sorted(named, reverse=True)})

# %% mystnb={"figure": {"caption": "Pseudo-labels of the reference runs with 2\u00a0000 labels, by the class that the teacher gives: share kept, and how much of it is right. Points are the seeds that kept these numbers: three of `ssl`, two of `ssl-source`; `ssl-fixed` kept no pair.", "name": "fig-ssl-classes"}, "image": {"alt": "Bars for entailment, neutral and contradiction and each arm: share of the pool kept on the left, accuracy of the kept pseudo-labels on the right."}} tags=["record", "hide-input"]
columns = ["arm", "class", "kept", "accuracy"]
rows = [(r["configuration"], name, r["metrics"].get(f"pseudo_kept_{name}"),
         r["metrics"].get(f"pseudo_accuracy_{name}")) for r in records
        if r["configuration"] in controls
        and r["metrics"]["labels"] == 2000 for name in NLI_LABELS]
_ = figures.by_class(pd.DataFrame(rows, columns=columns).astype(
    {"kept": float, "accuracy": float}))

# %% tags=["record", "hide-input"]
print(tables.absent(results.load(folders[2]), arms.SEMI.arms),
      tables.standing(results.load(*folders)), sep="\n")
rows = [{"configuration": r["configuration"], "seed": r["seed"],
         **{name: r["metrics"].get(name) for name in names}}
        for r in results.load_records(folders[2])]
Table(pd.DataFrame(rows).sort_values(["configuration", "labels", "seed"])
      .round(3) if rows else pd.DataFrame([{"configuration": NOT_RUN_YET}]),
      folded="every run: its teacher, and what was kept")

# %% [markdown]
# :::{dropdown} What changes with scale, and with your texts
# The unlabelled pairs here are of the same set as the labelled ones, which is the best case. Texts of your own join them where you name some with `unlabelled`. Everything hangs on the teacher, so a larger encoder or a longer pre-training may change the picture: with `profile="gpu"` the same arms run with BERT-base.
# :::
#
# ## To remember
#
# - A student learns what its teacher says. Look at how much the threshold keeps, and how much of that is right, before you train.
# - Give each class its own bar, or keep all pairs with soft targets. A fixed bar may keep too much, or nothing.
# - Open: a control with exactly as many steps, and more seeds than three.
#
# ## Exercises
#
# **1.** Make the student the teacher of a second student. Does its second round keep other pairs?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
held = lab.encoded("acceptance").take(slice(96))
config = TrainingConfig.from_settings(settings, epochs=1)
for turn in ("first", "second"):
    student = lab.network()
    fit(student, step.train, config=config, loss=step.loss, progress=False)
    print(f"{turn} student: {accuracy(student, held):.0%} right, taught by",
          f"{len(step.pseudo)} of {len(pool)} pairs")
    step = self_training(teacher_logits(student, pool), labelled, pool,
                         strong=view)

# %% [markdown]
# On the toy, neither student is far from guessing, and whether a second round helps is a matter of luck.
#
# **2.** Ask *two* of the made-up teachers, equally good, with errors of their own. How much better are the labels of their mean?

# %% tags=["hide-cell", "live"]
second = rng.normal(size=(900, 3)) * 0.8
second[every, truth] += np.array([5.0, 2.5, 1.0])[truth]
for name, members in (("first", logits), ("second", second),
                      ("their mean", np.stack([logits, second]))):
    right = soft_labels(members).argmax(axis=1) == truth
    print(f"{name}: {right.mean():.1%} right, of the hard class",
          f"{right[truth == 2].mean():.1%}")

# %% [markdown]
# **3.** `temperature=2` in `SelfTrainingConfig` makes soft targets softer. Which teachers gain by it? Compare the made-up one with one three times as sure.

# %% tags=["hide-cell", "live"]
for name, sure in (("as it is", logits), ("three times as sure", 3 * logits)):
    loss = {t: -np.log(soft_labels(sure, temperature=t)[every, truth]).mean()
            for t in (1, 2, 4)}
    print(name, {f"τ = {t}": round(float(x), 2) for t, x in loss.items()})
print("the loss of the targets falls where the teacher was too sure")
