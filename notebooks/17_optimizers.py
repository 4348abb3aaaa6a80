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
# # Optimizers and batch sizes
#
# An optimizer turns a gradient into a step. Does it matter which one, and what happens to it when the batch grows?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # weights, order, dropout, subsampling
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task that other arms start from: embedded | hub id | local path
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import pandas as pd
import torch

from seo_core import figures, load_settings, results
from seo_core.analysis import efficiency, tables, verdicts
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab, optimizers
from seo_core.training import TrainingConfig, make_optimizer

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, labels=labels, text=text, epochs=epochs,
    train_rows=train_rows, development_rows=development_rows)
NAMES = {"adamw": "AdamW", "sgd-momentum": "SGD with momentum", "lamb": "LAMB"}
TITLES = {"adamw": "AdamW", "sgd": "SGD", "lamb": "LAMB"}
folder = results.reference_dir() / "cpu" / "17_optimizers"
records = results.load_records(folder)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence("17_optimizers")
Finding(f"""
With 8 000 labels, two epochs and a tuned rate each, AdamW reaches
{ours.mean('adamw', DEVELOPMENT)} of the development pairs and SGD with
momentum {ours.mean('sgd-momentum', DEVELOPMENT)}
({ours.gap('adamw', 'sgd-momentum', DEVELOPMENT)}). LAMB
{ours.told('lamb', 'adamw', DEVELOPMENT, same='is not told apart from AdamW',
better='is better than AdamW', worse='is worse than AdamW')}:
{ours.gap('lamb', 'adamw', DEVELOPMENT)}.""")

# %% mystnb={"figure": {"caption": "Development loss over the pairs seen, in batches of 32 (bands span the seeds, where there are several).", "name": "fig-optimizers-loss"}, "image": {"alt": "Three falling curves, for AdamW, SGD with momentum and LAMB: development loss against the number of training pairs seen. Without records it says not run."}} tags=["record", "hide-input"]
curves = efficiency.loss_curves(records)
_ = figures.loss_by_pairs(curves, NAMES)

# %% [markdown]
# ## Three ways to step
#
# All three see the same gradient $g$ of a batch, and step with a rate $\eta$ that warms up and decays.
#
# **SGD with momentum** sums gradients up and follows the sum: $v \leftarrow 0.9\, v + g$, $w \leftarrow w - \eta v$. A weight with a small gradient moves little. In a Transformer the gradients of different tensors differ by orders of magnitude, and one rate has to do for all.
#
# **{term}`AdamW`** divides by what each weight's gradient usually is, so that every weight moves about $\eta$ a step {cite}`loshchilov2019adamw`:
#
# $$ m \leftarrow \beta_1 m + (1-\beta_1) g, \quad v \leftarrow \beta_2 v + (1-\beta_2) g^2, \quad w \leftarrow w - \eta \Big( \frac{\hat m}{\sqrt{\hat v} + \epsilon} + \lambda w \Big). $$
#
# **LAMB** takes that step $u$ and gives it, tensor by tensor, the length of the tensor itself {cite}`you2020lamb`: $w \leftarrow w - \eta\, \frac{\|w\|}{\|u\|}\, u$. It was made for batches of many thousands.
#
# You can see the difference in one step. Let two tensors of the network have gradients that differ by a factor of a thousand:

# %%
def moved(optimizer, decay=0.0):
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({name: torch.nn.Linear(16, 16, bias=False)
                               for name in ("loud", "quiet")})
    before = {k: layer.weight.detach().clone() for k, layer in net.items()}
    step = make_optimizer(net, TrainingConfig(
        optimizer=optimizer, learning_rate=0.01, weight_decay=decay),
        torch.device("cpu"))
    for name, size in (("loud", 1.0), ("quiet", 1e-3)):
        net[name].weight.grad = size * torch.randn(16, 16)
    step.step()
    return {k: float((layer.weight.detach() - before[k]).norm()
                     / before[k].norm()) for k, layer in net.items()}

# %% tags=["live"]
steps = pd.DataFrame({name: moved(name) for name in TITLES}).T
assert (steps > 0).all(axis=None)
print(steps.map("{:.1e}".format).to_string())

# %% [markdown]
# **Check.** SGD moves the quiet tensor a thousand times less than the loud one. AdamW moves both about as far. LAMB moves each by a hundredth of its length, which is the rate.

# %% tags=["live"]
ratio = steps["loud"] / steps["quiet"]
assert ratio["sgd"] > 500 and 0.5 < ratio["adamw"] < 2
assert abs(ratio["lamb"] - 1) < 0.01
assert abs(steps.loc["lamb", "loud"] - 0.01) < 1e-4
print("a rate for all tensors, for each weight, for each tensor's length")

# %% [markdown]
# ## Larger batches
#
# A batch of 512 gives a steadier gradient, and sixteen times fewer steps. To get as far, each must be longer. By how much? There are two rules of thumb for a batch $B$ and the rate $\eta_{32}$ that was good at 32:
#
# $$ \eta = \eta_{32} \Big(\frac{B}{32}\Big)^{p}, \qquad p = 1 \text{ (linear)} \quad \text{or} \quad p = \tfrac12 \text{ (square root)}. $$
#
# The *linear* rule takes one large step for sixteen small ones in the same direction {cite}`goyal2017`. The *square-root* rule keeps the noise of a step as it was {cite}`krizhevsky2014`; LAMB's authors use it.

# %% tags=["live"]
rates = {(batch, rule): optimizers.Optimizing(
    batch_size=batch, rule=rule).rate
    for batch in (32, 128, 512) for rule in ("root", "linear")}
print(pd.Series(rates).unstack().map("{:.1e}".format).to_string())
assert abs(rates[512, "linear"] / rates[32, "linear"] - 16) < 1e-9
assert abs(rates[512, "root"] / rates[32, "root"] - 4) < 1e-9
print("sixteen times the batch: sixteen times the rate, or four times")

# %% [markdown]
# ## On pairs
#
# The arms are `adamw`, `sgd-momentum` and `lamb`, and each of them in batches of 128 and 512 by either rule (`lamb-512-root` and so on). All have 8 000 labels, the same ones, and the same number of pairs to see. Under `quick` three run, with 128 labels and batches of 8: a **toy**, in which nothing is settled.

# %% tags=["nbval-ignore-output", "live"]
lab = open_lab("17_optimizers", settings)
runs = lab.run(list(NAMES) if lab.quick else "all", report=print)
live = efficiency.loss_curves([run.record for run in runs])
Table(efficiency.pairs_needed(live, "sgd-momentum", NAMES))

# %% tags=["live"]
rows = {tuple(run.rows) for run in runs}
assert len(rows) == 1, "the same labels for all"
seen = live.groupby("configuration")["pairs"].max()
assert seen.nunique() == 1, "the same number of pairs seen"
print("equal labels, equal pairs:", ", ".join(NAMES.values()))

# %% [markdown]
# ## What the records say
#
# How many pairs does each need until its loss is, for good, at or below the one that SGD with momentum ends with?

# %% tags=["record", "hide-input"]
Table(efficiency.pairs_needed(curves, "sgd-momentum", NAMES))

# %% [markdown]
# And with larger batches, at equal pairs?

# %% mystnb={"figure": {"caption": "Accuracy over the batch size, by optimizer and rule, at equal pairs.", "name": "fig-optimizers-batches"}, "image": {"alt": "Curves over the batch, as far as it was run, for three optimizers, with the learning rate scaled linearly or by the square root. Without records it says not run."}} tags=["record", "hide-input"]
_ = figures.over_batches(efficiency.by_batch(records, TITLES))

# %% [markdown]
# A rate is not a detail. Each optimizer was tried at several, under names of their own; the arm's run is one of them. The best development accuracy says which is its rate in the arms.

# %% tags=["record", "remove-input"]
trials = efficiency.rate_trials(records, TITLES)
tried = efficiency.rates_tried(trials)
Finding("Rates tried: " + ("; ".join(
    f"{title} {count}, of which {rate:g} is the best"
    for title, (count, rate) in tried.items()) or "not run") + ".")

# %% tags=["record", "hide-input"]
print(tables.standing(results.load(folder)) if records
      else "reference runs: not run")
Table(trials, folded="trials of the rate")

# %% [markdown]
# ## What the papers report
#
# TKD-NLP names AdamW and shows no other optimizer. Bhat and Dharani mention LAMB in their related work. The verdict is taken from the accuracy at the first evaluation, after a quarter of an epoch:

# %% tags=["record", "hide-input"]
claim = [claim for claim in verdicts.CLAIMS if claim.id == "tkd-adamw"]
Table(tables.verdict_table(verdicts.audit(results.load(), claim)))

# %% [markdown]
# With 8 000 pairs a batch of 512 leaves 32 steps, of which two are warm-up. Large batches are for many machines and many pairs; there LAMB keeps its authors' BERT in step at 65 536 pairs a batch {cite}`you2020lamb`.
#
# ## To remember
#
# - A Transformer's tensors have gradients of very different sizes: it needs a step size for each weight.
# - Change the batch, and you change the rate: by the square root for adaptive optimizers, linearly for SGD. Try both.
# - Open: seconds instead of pairs, and batches of thousands.
#
# ## Exercises
#
# **1.** Give `moved` a weight decay of 0.1. Which optimizer's quiet tensor notices? <!-- setting -->

# %% tags=["hide-cell", "live"]
for name in TITLES:
    print(f"{name}: {moved(name)['quiet']:.0e} without decay,",
          f"{moved(name, 0.1)['quiet']:.0e} with")
print("in SGD the decay is part of the gradient, and larger than it")

# %% [markdown]
# **2.** Which rate do the two rules give AdamW at a batch of 4 096? Which would you try?

# %% tags=["hide-cell", "live"]
for rule in ("linear", "root"):
    rate = optimizers.Optimizing(batch_size=4096, rule=rule).rate
    print(f"{rule}: {rate:.4f}")
print("AdamW seldom bears a hundred times its usual rate: try the root")

# %% [markdown]
# **3.** Ask for `TrainingConfig(optimizer="adam")`. What do you get?

# %% tags=["hide-cell", "live"]
try:
    TrainingConfig(optimizer="adam")
except ValueError as error:
    print(error)
