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
# # Transfer learning
#
# What a network has learned elsewhere can save labels here. How many, and what does it cost to learn it there?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the labelled pairs, the new weights, the training
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input", "live"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import (
    NOT_RUN,
    NOT_RUN_YET,
    contrasts,
    efficiency,
    tables,
)
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.lab.source import source_model
from seo_core.training import TrainingConfig, classification_loss, fit
from seo_core.transfer import (
    distance,
    l2_sp,
    load_source,
    movement,
    with_l2_sp,
)

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, labels=labels, text=text, epochs=epochs,
    train_rows=train_rows, development_rows=development_rows)
lab = open_lab("05_transfer_learning", settings)
where = settings.source.rstrip("/").split("/")[-1]
print(f"pool of {len(lab.pool)} pairs; source task: {where}")

# %% tags=["record", "answer", "remove-input"]
chapters = ("05_transfer_learning", "06_active_learning")
everything = Evidence(*chapters)
at = {n: Evidence(*chapters, labels=n) for n in (500, 2000, 8000)}
folders = [results.reference_dir() / "cpu" / name for name in chapters]
curves = efficiency.label_curves(*folders).replace(
    {"configuration": {"random": "tl-l2sp"}})
full = curves.loc[curves["configuration"] == "base", "labels"].max()
matches = (efficiency.labels_to_match(curves, target="base", at=int(full))
           if len(curves) else {})
match = matches.get("tl-l2sp")
fewer = (f"""About {match.labels:,.0f} labels of the target then do what
{full:,} do without a source task.""".replace(",", "\N{NO-BREAK SPACE}")
         if match and match.labels < full else "")
Finding(f"""
{fewer} It saves most where labels are few. With 500 labels of the target, a
network that learned another task first (`tl-l2sp`)
{at[500].told('random', 'base', MATCHED)} than one that did not, by
{at[500].gap('random', 'base', MATCHED)} on the matched set. With 8 000 it
{at[8000].told('random', 'base', MATCHED)} by
{at[8000].gap('random', 'base', MATCHED)}. With none at all it is right on
{everything.mean('source', MATCHED)} ({everything.seeds('source')}). The
price:
{everything.mean('source', 'source_labels', scale=1e-3, unit='', digits=0)}
thousand labels of the other task.""")

# %% mystnb={"figure": {"caption": "Accuracy on the matched set over the number of target labels (reference runs, mean and range over the seeds). The point of `tl` lies under that of `tl-l2sp`.", "name": "fig-transfer-labels"}, "image": {"alt": "Curves of accuracy over target labels: the source task lies above pre-training alone, most so with few labels; arms that were run at one number of labels are single points."}} tags=["record", "hide-input"]
arms = ["scratch", "base", "source", "tl", "tl-decay", "tl-l2sp"]
curves = curves[curves["configuration"].isin(arms)]
_ = figures.label_curves(curves[curves["labels"] > 0], target="base",
                         metric="matched accuracy", shared=False)

# %% [markdown]
# ## The idea
#
# The SEO-LLM paper has a row "+ transfer learning", the most accurate of its table, and a term of its loss {cite}`seollm2024`:
#
# $$ L_\text{TAL} = L_\text{TL}(\theta, D_s, D_t) + \lambda L_\text{AL}(\theta, D_u). $$
#
# $D_s$ is a source and $D_t$ the target. The paper's model with transfer learning "was pre-trained on a large general corpus (e.g., Wikipedia and BookCorpus) before fine-tuning on the MNLI dataset" {cite}`seollm2024`. So was its baseline: that is what BERT-base is. Pre-training alone cannot make the two differ.
#
# As source you take a *second labelled set of the same kind* ({term}`source task <source task, target task>`), and write
#
# $$ L_\text{TL}(\theta) = -\frac{1}{|D_t|} \sum_{(x, y) \in D_t} \log p_\theta(y \mid x) + \frac{\beta}{2} \lVert \theta - \theta^0 \rVert^2, $$
#
# where $\theta^0$ are the weights after training on $D_s$. The second part, {term}`L2-SP`, pulls back to where training started {cite}`li2018l2sp`. Its sum runs over the weights of the *encoder*. The classifier on top keeps the source's weights too, but may move freely. Another way to protect what was learned is to let lower layers learn more slowly {cite}`howard2018ulmfit`. The second term, $L_\text{AL}$, is the subject of [](07_transfer_active_learning).
#
# ## Three starts
#
# - `scratch` has the architecture and random weights.
# - `base` has the weights of pre-training. Everything else in this book is compared with it.
# - `tl` was trained on the source task first: SNLI {cite}`bowman2015`, captions of photographs. The target, MultiNLI, has letters, speeches, fiction and talk. `source` is that network before it has seen one label of the target.
#
# **Labels of the source task are labels too.** They save labels of the target, not labels as such, and the table counts them. Under `quick` both tasks come from the embedded generator: a toy, whose numbers mean nothing.

# %% tags=["nbval-ignore-output", "live"]
quick = profile == "quick"
runs = (lab.run(arms=["supervised", "source", "tl"], labels=[64]) if quick
        else lab.run())
bought = next(run.metrics["source_labels"] for run in runs
              if run.record["configuration"] == "source")
table = pd.DataFrame([{
    "configuration": run.record["configuration"],
    "labels": run.metrics["labels"],
    **{f"accuracy, {k}": v for k, v in run.accuracies.items()},
} for run in runs]).round(3)
transferred = table["configuration"].isin(["source", "tl", "tl-decay"])
table["source labels"] = bought * transferred
Table(table)

# %% [markdown]
# ## Staying near the source
#
# Train the same network on the same 64 pairs three times: with one rate for all layers, with rates that fall by half with every layer below the head, and with the pull. A high weight of the pull is taken so that eight steps show it. Each starts from the source weights.

# %% tags=["nbval-ignore-output", "live"]
source, moved, networks = source_model(lab.settings), {}, {}
pairs = lab.encoded().take(lab.random_rows(64))
reference, _ = load_source(source, labels=lab.task.labels)
for name, decay, beta in (("one rate", 1.0, 0.0),
                          ("rates by layer", 0.5, 0.0), ("L2-SP", 1.0, 3.0)):
    network, _ = load_source(source, labels=lab.task.labels)
    config = TrainingConfig.from_settings(settings, epochs=1, batch_size=8,
                                          layer_decay=decay)
    fit(network, pairs, config=config, loss=with_l2_sp(network, beta),
        progress=False)
    moved[name], networks[name] = movement(network, reference), network
Table(pd.DataFrame(moved).T.round(3).reset_index(names="run"))

# %% mystnb={"figure": {"caption": "How far each layer has moved from the source weights (Euclidean distance) after the same steps on the target, by the three ways of training.", "name": "fig-transfer-movement"}, "image": {"alt": "Three lines over the layers from embeddings to pooler: with one rate every layer moves, with falling rates the lower layers move little, with the pull all layers move less."}} tags=["live"]
_ = figures.movement(moved)

# %% [markdown]
# **Check.** The pull is its formula. It is nothing at the source weights, so it can only act once training has moved, and it keeps the network closer to them. With rates by layer the lowest layer moves less, and less compared with the top one.

# %% tags=["live"]
plain, pulled = networks["one rate"], networks["L2-SP"]
assert l2_sp(reference, 2.0, reference)().item() == 0
pull = l2_sp(plain, 2.0, reference)().item()
assert abs(pull / distance(plain, reference) ** 2 - 1) < 1e-3
assert distance(pulled, reference) < 0.9 * distance(plain, reference)
even, falling = moved["one rate"], moved["rates by layer"]
lowest, top = "layer 1", list(even)[-2]
assert falling[lowest] < 0.5 * even[lowest]
assert falling[lowest] / falling[top] < even[lowest] / even[top]
print("the pull is its formula and holds the weights;",
      "lower layers move less when their rates are lower")

# %% [markdown]
# ## What the papers report
#
# 87.1% accuracy against 84.5% of the baseline, a perplexity of 9.2, and 39 hours of training instead of 48 {cite}`seollm2024`. It is the best accuracy of the whole table, above the combination's 86.2% that the text calls the highest {cite}`seollm2024`: see [](claims_audit). In what its source differed from the baseline's pre-training, and whether the training on it is in the 39 hours, is not said. In [](tab1_training_time) you see it counted.
#
# ## What the records say
#
# The reference runs are of the profile `cpu`: a subset of MultiNLI as target, SNLI pairs as source. All arms of a seed have the same labelled pairs and see them equally often. How many labels does the source task save?

# %% tags=["record", "remove-input"]
Finding(f"""
{match.statement if match else NOT_RUN_YET}. Part of that needs no target label
at all: the source network alone has {everything.mean('source', MATCHED)}
({everything.seeds('source')}), and `base` with 2 000 labels
{at[2000].mean('base', MATCHED)} ({at[2000].seeds('base')}).""")

# %% [markdown]
# Or is it only that more was computed? `base-long` has the same labels and sees them as often as `tl` and its source network see pairs together.

# %% tags=["record", "remove-input"]
Finding(f"""
On as many pairs, `tl` {at[8000].told('tl', 'base-long')} than `base-long`:
{at[8000].gap('tl', 'base-long')}. Seven passes in place of two make
{at[8000].gap('base-long', 'base')} of `base`.
""" if at[8000].seeds('base-long', DEVELOPMENT) != NOT_RUN else NOT_RUN_YET)

# %% [markdown]
# What did the start bring, and what the two protections?

# %% tags=["record", "remove-input"]
same = "is not told apart from the plain start"
Finding(f"""
With 8 000 labels, the plain source start (`tl`)
{at[8000].told('tl', 'base')} than `base`: {at[8000].gap('tl', 'base')}. Nearly
all comes with the source task. The pull (`tl-l2sp`)
{at[8000].told('random', 'tl', same=same)}:
{at[8000].gap('random', 'tl')}. Rates by layer (`tl-decay`) make
{at[8000].gap('tl-decay', 'tl', MATCHED)} on the matched set, by an interval of
its own; the table of differences says what is left of it among all
comparisons of this chapter. Pre-training is worth far more: new weights
instead (`scratch`) make
{at[8000].gap('scratch', 'base', MATCHED)} of `base`.""")

# %% tags=["record", "hide-input"]
print(tables.standing(everything.frame))
means = curves.groupby(["configuration", "labels"])["accuracy"].agg(
    ["mean", "min", "max", "size"])
means[["mean", "min", "max"]] *= 100
means = means.rename(columns={"size": "seeds"})
none = pd.DataFrame([{"configuration": NOT_RUN_YET}])
Table(means.round(2).reset_index() if len(curves) else none,
      folded="all arms on the matched set")

# %% tags=["record", "hide-input"]
protections = curves["configuration"].isin(["tl", "tl-decay", "tl-l2sp"])
family = contrasts.family(*(
    efficiency.gains(rows, target=target)
    for rows, target in ((curves, "base"), (curves[protections], "tl"))))
Table(pd.concat([efficiency.shown(rows).assign(to=target) for rows, target
                 in zip(family, ("base", "tl"), strict=True)]),
      folded="differences in points, to `base` and to `tl`")

# %% mystnb={"figure": {"caption": "Development accuracy over the epochs, of the runs with the most labels (reference runs, mean and range over the seeds).", "name": "fig-transfer-curves"}, "image": {"alt": "Development accuracy after each epoch for new weights, pre-trained weights, the source task, and the source task with rates by layer."}} tags=["record", "hide-input"]
names = {"scratch": "new weights", "base": "pre-trained", "tl": "source task",
         "tl-decay": "source task, rates by layer"}
_ = figures.development(results.load_series(folders[0]), names)

# %% [markdown]
# :::{dropdown} How to read these tables
# - `tl-l2sp`: the pull with β = 0.01. It is also the control of the chapters on active learning, where it is named `random`. <!-- setting -->
# - `tl-decay`: each layer below the top has 0.8 times the rate of the layer above it, a milder fall than in the demonstration. <!-- setting -->
# - All are measured on the same 4 000 pairs of each official set. Differences are paired by seed and example, at equal target labels, with 95% intervals.
# - An interval without zero means that the arm differs from its control by more than examples and the seeds of the target's training explain. With one seed, it holds the examples only.
# - *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# :::
#
# Three things to keep in mind. There is one source network for all seeds, here and in every chapter that starts from it: no interval says how much of a gain is the luck of that one. `base-long` repeats labels where `tl` sees new ones, and keeps the best of its epochs: it answers for computation, and not for labels. And the checkpoint of `base` has itself seen pairs of SNLI and MultiNLI in its contrastive pre-training {cite}`reimers2019sbert`. That may make the step from `base` to `tl` smaller than for a plain language model.
#
# With all 392 702 pairs of MultiNLI as target there may be little left for SNLI to add. With `profile="gpu"` the same arms start from BERT-base, which has not seen NLI pairs.
#
# ## To remember
#
# - A related labelled set helps most where your own labels are few; count its labels, too.
# - Use the source network as the start. Protecting its weights is not shown to matter here.
# - Open: other source networks, and BERT-base.
#
# ## Exercises
#
# **1.** Take the pull with β = 1 and β = 100. When does the network stop learning the target?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
config = TrainingConfig.from_settings(settings, epochs=3, batch_size=16)
for beta in (0.0, 1.0, 100.0):
    network, _ = load_source(source, labels=lab.task.labels)
    trained = fit(network, pairs, config=config, progress=False,
                  loss=with_l2_sp(network, beta))
    print(f"β = {beta:5.1f}: moved {distance(network, reference):.3f},",
          f"loss {trained.series['train_loss'][0]:.2f}",
          f"→ {trained.series['train_loss'][-1]:.2f}")

# %% [markdown]
# A weight of 1 already holds the encoder so fast that these few steps hardly move it. The studies take a hundredth of that.
#
# **2.** `reference=` of `l2_sp` can be any weights. What does pulling towards the *pre-trained* weights do?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
pretrained = lab.network()
network, _ = load_source(source, labels=lab.task.labels)
back = l2_sp(network, 3.0, pretrained)
fit(network, pairs, config=config, progress=False,
    loss=lambda logits, batch: classification_loss(logits, batch) + back())
for name, each in (("source", reference), ("trained on", network)):
    print(f"{name}: {distance(each, pretrained):.2f} from pre-training")

# %% [markdown]
# It undoes the source task: the weights go back to where that began.
#
# **3.** How many target labels is one label of the source task worth, by the records?

# %% tags=["hide-cell", "record"]
paid = everything.frame.get("source_labels", pd.Series(dtype=float)).max()
if match:
    print(f"{(full - match.labels) / paid:.2f} of a target label, by",
          f"{full - match.labels:,.0f} saved for {paid:,.0f} paid")
