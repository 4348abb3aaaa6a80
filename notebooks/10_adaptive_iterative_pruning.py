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
# # Adaptive iterative pruning: how much may go?
#
# You say how many points of accuracy you can spare. Can a loop find out how much of the network that buys?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline, the order of training, and dropout
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
unlabelled: str = "default"  # texts without labels; default: none
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
from dataclasses import replace

import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding, passes
from seo_core.analysis.tables import Table
from seo_core.arms import known, open_lab, pruning
from seo_core.evaluation import predict, softmax
from seo_core.pruning import (
    AdaptiveIterativePruning,
    AIPConfig,
    encoder_weights,
    shapes,
)

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("10_adaptive_iterative_pruning", settings)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(*tradeoff.CHAPTERS)
size = {name: ours.mean(name, "size_bytes", scale=1e-6, unit=" MB")
        for name in ("base", "aip")}
Finding(f"""
Yes: with one point to spare, the loop removes
{ours.mean('aip', 'removed', digits=0)} of the encoder ({size['aip']} instead
of {size['base']}) and keeps its promise. Against the baseline:
{ours.gap('aip', 'base', MATCHED)} on the matched set. The gain is that of
longer training with a teacher. The same training with nothing removed
(`distilled`) makes more of it; against that, the cut costs
{ours.gap('aip', 'distilled', MATCHED)}. And one single cut of the same size,
trained as long,
{ours.told('oneshot', 'aip', same='is not told apart from the loop')}:
{ours.gap('oneshot', 'aip', MATCHED)}.""")

# %% mystnb={"figure": {"caption": "The loop, single cuts, and the uncompressed network trained on with a teacher, against the baseline (reference runs, 95% intervals). Dotted: one point lost. Hollow points have one seed.", "name": "fig-aip-methods"}, "image": {"alt": "Points with intervals for the loop with two thresholds, for three single cuts, and in the first row for the uncompressed network trained on, on the matched and the mismatched set, beside the line at zero where the baseline is."}} tags=["record", "hide-input"]
hows = {"oneshot": "in one cut, trained as long", "aip": "by the loop, T = 1",
        "aip-T2": "by the loop, T = 2", "taylor-60": "in one cut, shorter",
        "taylor-65": "in one cut, shorter"}
words = {"distilled": "nothing removed, trained as long", **{
    name: f"{ours.mean(name, 'removed', digits=0)} {how}"
    for name, how in hows.items()}}
shown = contrasts.official_differences(
    ours.frame, dict.fromkeys(words, "base"))
_ = figures.forest(shown.replace({"contrast": {
    f"{name} − base": f"{word} ({name}) − base"
    for name, word in words.items()}}), goals=(-1,))

# %% [markdown]
# ## The idea
#
# The papers answer with a loop that watches performance. {term}`AIP` "dynamically adjusts the pruning strategy based on the model's performance on specific tasks" {cite}`seollm2024,sec2025`,
#
# $$ \theta_\text{pruned} = \mathrm{AIP}(\theta, P, T), \tag{3} $$
#
# where "$\theta$ is the model parameters, $P$ is the performance metric, and $T$ is the task-specific threshold". How $P$ and $T$ steer the pruning is not said. Our reading: $T$ is the points of accuracy that you can spare. With $\delta$ the size of a step,
#
# $$ \theta' = \mathrm{recover}(\mathrm{remove}(\theta_k, \delta)), \qquad
#    \begin{cases} P(\theta') \ge P(\theta_0) - T: & \theta_{k+1} = \theta' \\ \text{otherwise:} & \theta_{k+1} = \theta_k,\ \delta \leftarrow \delta / 2. \end{cases} $$
#
# A step removes the units of the lowest score, worth $\delta$ of the original encoder's weights, as in [](09_pruning). *Recover* is least squares and a short training. A step that breaks the threshold is taken back ({term}`rollback`), and the next one is half as large. At the end, what remains of the budget goes into one longer training.
#
# Three details decide whether you can trust such a loop:
#
# - $P$ is measured on the *acceptance* half of the {term}`development slice`, scores on its *reward* half. The official sets are read once, at the end.
# - $T$ is compared with where the run *started*, so that small losses cannot add up.
# - A step works on a copy. What was accepted last is never touched by what is tried next.
#
# ## The loop, with a made-up P
#
# To see the loop itself, let $P$ cost nothing: full marks while at least 70% of the encoder is there, and less below. You need no training for that (`recovery=0`), and the untrained backbone will do. <!-- setting -->

# %% tags=["live"]
def marks(network):
    return 0.9 if encoder_weights(network) >= 0.7 * whole else 0.8


start, train = lab.network(), lab.encoded("train")
whole = encoder_weights(start)
reward = lab.encoded("reward").take(slice(32))
config = AIPConfig(threshold=1.0, score="magnitude", step=0.2, floor=0.04,
                   recovery=0, final=0, compensate=False)
found = AdaptiveIterativePruning(config)(start, train, reward, measure=marks)
Table(found.trace_table[
    ["round", "step", "removed", "points", "accepted"]].round(3))

# %% mystnb={"figure": {"caption": "The loop on a made-up measure that drops when more than 30% of the encoder is gone: it goes forward in large steps, back, and forward in smaller ones.", "name": "fig-aip-made-up"}, "image": {"alt": "Share of the encoder removed over the rounds: accepted steps rise towards 30 percent, steps beyond it are marked as rolled back; below, the points lost at each round and the threshold."}} tags=["live"]
_ = figures.trace(found.trace_table, config.threshold)
print(found.statement)

# %% [markdown]
# **Check.** The result holds the threshold and uses what it allows: what is missing is less than the last step. The network that came in has not changed. And a $T$ that the first step already breaks is answered with the original network, and with words that say so.

# %% tags=["live"]
last = found.trace[-1]
assert found.removed <= 0.3 < found.removed + last["step"]
assert found.accuracy == 0.9
assert all(r["accepted"] == (r["points"] >= -1) for r in found.trace)
assert not all(r["accepted"] for r in found.trace)
assert encoder_weights(found.model) < encoder_weights(start) == whole
assert whole == sum(p.numel() for p in start.bert.encoder.parameters())
fewer = AdaptiveIterativePruning(replace(config, threshold=0.0))(
    start, train, reward, measure=lambda n: encoder_weights(n) / whole)
assert fewer.model is start and fewer.unchanged
print(fewer.statement)

# %% [markdown]
# ## On the task
#
# Now take the accuracy on the acceptance half as $P$, and let each step recover: a short training on other texts each time, with the unpruned network's {term}`soft labels` beside the labels. The run saves itself after every round. If it is killed, the same call goes on where it was.

# %% tags=["nbval-ignore-output", "live"]
run = lab.arm("aip")
m = run.metrics
print(f"{m['steps_accepted']} of {m['steps_tried']} steps accepted,",
      f"{m['removed']:.1%} of the encoder removed, {m['passes']:.2f} passes")
rounds = tables.rounds(run.record)
Table(rounds[["round", "step", "removed", "points", "accepted"]].round(3))

# %% mystnb={"figure": {"caption": "The rounds of this run. With the profile quick the acceptance half has 192 pairs, so that one point is two answers: the figure shows the loop at work, not what it can reach.", "name": "fig-aip-trace"}, "image": {"alt": "Share removed and points to the start over the rounds of this run; accepted steps are filled, rejected ones hollow, the final training is a square."}} tags=["live"]
threshold = run.record["parameters"]["recipe"]["threshold"]
_ = figures.trace(rounds, threshold)

# %% [markdown]
# **Check.** Every decision follows from the rule, and what is reported as removed is gone from the network that was kept.

# %% tags=["live"]
held = rounds["points"] >= -threshold - 1e-6
assert (rounds["accepted"].astype(bool) == held).all()
gone = 1 - encoder_weights(run.model()) / whole
assert abs(gone - m["removed"]) < 1e-6
last = rounds[held]["removed"].iloc[-1] if held.any() else 0.0
assert np.isclose(last, m["removed"], atol=1e-6)
print("every round was judged by P ≥ P₀ − T,",
      "and the kept network is the one accepted last")

# %% [markdown]
# ## What the papers report
#
# AIP has no row of its own. The tables list plain magnitude pruning (364 of 420 MB, 83.5%), and the combined system, which contains AIP {cite}`sec2025`. Its ablations are not given. What stands in the text is that AIP "effectively removes less important weights while preserving the overall structure of the weight distribution" {cite}`seollm2024`: that is [](fig4_weight_distributions).
#
# ## What the records say
#
# Is the loop worth its trouble? Put it beside single cuts.

# %% tags=["remove-cell"]
frame, arms = contrasts.exploratory(ours.frame), list(pruning.ITERATIVE.arms)
compared = [("aip", "oneshot"), ("aip", "distilled"), ("oneshot", "distilled"),
            ("aip-patient", "aip"), ("aip", "taylor-60"), ("aip-T2", "aip"),
            ("aip-T2", "taylor-65"), ("aip-T2", "distilled"),
            ("aip-T0.5", "aip"),
            ("aip-T4", "aip-T2")]
against, equal, by_pair = contrasts.family(
    contrasts.official_differences(frame, dict.fromkeys(arms, "base")),
    contrasts.control_differences(frame, arms),
    contrasts.official_differences(frame, compared))

# %% tags=["record", "remove-input"]
Finding(f"""
In these runs that is not shown. `oneshot` removed as much at once and was
trained for as many pairs: {ours.gap('aip', 'oneshot')} for the loop.
`taylor-60` removed more, was trained for half as many pairs, and
{ours.told('aip', 'taylor-60', better='is worse', worse='is better',
           same='is not told apart from it')} either:
{ours.gap('aip', 'taylor-60')}.""")

# %% [markdown]
# What the loop has and the single cut has not is the promise. It stops where $P$ falls below the threshold, and nobody has to know beforehand how much can go. But the promise is easy to keep where the training that comes with the loop lifts the uncut network too. More epochs on the labels did not do that ([](02_baseline)). Soft labels do:

# %% tags=["record", "remove-input"]
Finding(f"""
`distilled`, with the same training and nothing removed,
{ours.told('distilled', 'base', better='gains',
           same='is not told apart from it')}
{ours.gap('distilled', 'base')}. Against it half of the encoder costs the loop
{ours.gap('aip', 'distilled')}, which
{passes(by_pair, 'aip − distilled')}. `oneshot` loses nothing that shows:
{ours.gap('oneshot', 'distilled')}.""")

# %% [markdown]
# Now see a run from inside. In a browser you can step through its rounds: what each one tried, how the guard judged it, and what was kept.

# %% mystnb={"figure": {"caption": "The rounds of the loop with T = 1, `aip` (reference runs, first seed), by the acceptance half.", "name": "fig-aip-reference"}, "image": {"alt": "Share removed and points to the start over the rounds of the reference run; accepted steps are filled, rejected ones hollow, the final training is a square; without records it says not run."}} tags=["record", "hide-input"]
folder = results.reference_dir() / "cpu" / "10_adaptive_iterative_pruning"
records = {r["configuration"]: r for r in reversed(
    results.load_records(folder))}
thresholds = {name: known(name).recipe.threshold for name in (
    "aip-T0.5", "aip", "aip-T2", "aip-T4")}
steps = {name: tables.rounds(records.get(name)) for name in thresholds}
_ = figures.trace(steps["aip"], pruning.AIP.threshold)

# %% tags=["record", "hide-input"]
figures.trace_steps(steps["aip"], pruning.AIP.threshold,
                    instead="fig-aip-reference")

# %% [markdown]
# The final training lifts the accuracy above that of the last accepted step. So the short recovery after each step had not brought back all that training can, and some of the rejected steps were judged too early. A loop with two points to spare shows it.

# %% mystnb={"figure": {"caption": "The rounds of the loop with T = 2, `aip-T2` (reference runs, first seed), by the acceptance half.", "name": "fig-aip-two-points"}, "image": {"alt": "Share removed and points to the start over the rounds of the run with a threshold of two points; accepted steps are filled, rejected ones hollow, the final training is a square; without records it says not run."}} tags=["record", "hide-input"]
_ = figures.trace(steps["aip-T2"], thresholds["aip-T2"])

# %% tags=["record", "hide-input"]
figures.trace_steps(steps["aip-T2"], thresholds["aip-T2"],
                    instead="fig-aip-two-points")

# %% tags=["record", "remove-input"]
at = {name: f"{-table['points'][table['accepted'] == 0].iloc[-1]:.1f}"
      if len(table) else "not run" for name, table in steps.items()
      if name in ("aip", "aip-T2")}
Finding(f"""
The step that `aip` rejected last, {at['aip']} points below its start,
`aip-T2` accepted. It went on to {ours.mean('aip-T2', 'removed', digits=0)},
where its budget ended, and its final training brought it back to the start:
{ours.gap('aip-T2', 'base')} to the baseline, and to `distilled`
{ours.gap('aip-T2', 'distilled', MATCHED)}. A single cut gets there too:
`taylor-65` has a little more removed and was trained for two fifths of the
pairs; the loop minus it is {ours.gap('aip-T2', 'taylor-65', MATCHED)}.""")

# %% [markdown]
# Half a point and four points are a screening, on development rows.

# %% tags=["record", "remove-input"]
Finding(" ".join(f"""
With T = {thresholds[name]:g} (`{name}`), removed:
{ours.mean(name, 'removed', digits=0)}; against the baseline:
{ours.gap(name, 'base', DEVELOPMENT)}; against `{other}`:
{ours.gap(name, other, DEVELOPMENT)}."""
    for name, other in (("aip-T0.5", "aip"), ("aip-T4", "aip-T2"))))

# %% mystnb={"figure": {"caption": "What each threshold buys (reference runs, first seed): accepted steps of the loop by what is removed and by the points to its start on the acceptance half; the square is the final training. Thresholds without a record are left out.", "name": "fig-aip-thresholds"}, "image": {"alt": "A line for each threshold over the share of the encoder removed: points to the start at every accepted step, and a square at its end."}} tags=["record", "hide-input"]
_ = figures.loops({f"T = {thresholds[name]:g}": table
                   for name, table in steps.items()})

# %% [markdown]
# Which units go? With either threshold a later layer keeps fewer neurons.

# %% mystnb={"figure": {"caption": "What the loop left of each layer (reference runs, the first seed of each).", "name": "fig-aip-shapes"}, "image": {"alt": "Bars of heads and feed-forward neurons for each layer after the loop with other thresholds and scores; without records it says not run."}} tags=["record", "hide-input"]
loops = (*thresholds, "aip-patient", "aip-magnitude", "aip-activation")
_ = figures.sizes({name: {
    kind: records[name]["series"][f"layer_{kind}"]
    for kind in ("heads", "neurons")} for name in loops if name in records})

# %% tags=["record", "hide-input"]
print(tables.absent(frame, arms), tables.standing(frame, arms), sep="\n")
Table(tables.against_table(frame, ["base", *arms], against, controls=equal),
      folded="all arms, against the baseline and the equal control")

# %% [markdown]
# :::{dropdown} How to read this table
# - `aip`: $T = 1$ point, Taylor scores, soft labels; some 200 000 training pairs in all, rejected steps included. `aip-magnitude`, `aip-activation`: other scores.
# - `aip-labels`: no teacher. `aip-hidden`: hidden states too. `aip-wide`: also the texts of the source task, without their labels.
# - `aip-patient`: larger steps (15%), and after each a whole pass over the training pairs instead of 0.4. <!-- setting -->
# - `aip-T0.5`, `aip-T2`, `aip-T4`: other thresholds, with more room: they may remove up to 90% in 7.5 passes, `aip` up to 60% in 6.5. <!-- setting -->
# - `oneshot`: as much removed as `aip` did, but at once, and trained for as many pairs. `distilled`: nothing removed, trained for as many pairs with the same teacher.
# - Differences are in points, paired by seed and example, with 95% intervals. *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# - *To equal control*: to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` or `base-control` ([](12_distillation)). *No equal control*: these saw fewer pairs than the arm with all that it was made from, as in the last column.
# :::

# %% tags=["record", "hide-input"]
names = ["removed", "passes", "size_bytes", "accuracy_development"]
cut = frame[frame["configuration"].isin(arms)] if len(frame) else frame
kept = (cut.groupby("configuration")[names].mean() if len(cut)
        else pd.DataFrame(columns=names))
kept = kept.assign(removed=100 * kept["removed"],
                   size_bytes=kept["size_bytes"] / 1e6)
Table(kept.rename(columns={
    "removed": "encoder removed, %", "size_bytes": "file, MB"}).round(
        3).reset_index(names="configuration"),
    folded="what was removed, in how many passes")

# %% tags=["record", "hide-input"]
Table(tables.pair_table(by_pair),
      folded="the loop and its controls, pair by pair")

# %% [markdown]
# The threshold was held on 2 000 pairs of the acceptance half, where one {term}`standard error` is about one point; the official sets have ten times as many. Whoever chooses by a sample takes the luck of the sample along. A larger acceptance half makes the decisions sharper at no cost in training: `development_rows`. The budget is in passes, so it scales with your data by itself.
#
# ## To remember
#
# - The loop keeps a promise, $P \ge P_0 - T$; it is not shown to make a better network than one cut of the same size.
# - Use it when you do not know how much may go. Give your baseline a teacher first, or the promise is cheap.
# - Open: patient recovery, other scores, and every threshold with more than one seed.
#
# ## Exercises
#
# **1.** Start the made-up loop with larger and with smaller steps. Which gets closest to the limit, and in how many rounds?

# %% tags=["hide-cell", "live"]
for step in (0.4, 0.2, 0.1):
    loop = AdaptiveIterativePruning(replace(config, step=step))
    other = loop(start, train, reward, measure=marks)
    print(f"first step {step:.0%}: {other.removed:.1%} removed",
          f"in {len(other.trace)} rounds")

# %% [markdown]
# **2.** Let whole layers go, too: `kinds=("heads", "neurons", "layers")`. Does the loop take one?

# %% tags=["hide-cell", "live"]
kinds = ("heads", "neurons", "layers")
loop = AdaptiveIterativePruning(replace(config, kinds=kinds))
other = loop(start, train, reward, measure=marks)
for name, network in (("before", start), ("after", other.model)):
    left = shapes(network)
    print(f"{name}: {len(left['heads'])} layers with {left['heads']} heads",
          f"and {left['neurons']} neurons")

# %% [markdown]
# **3.** Let $P$ be the mean probability of the right class instead of the share of right answers. Without recovery, does the loop stop at the same place?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
def sure(network):
    return softmax(predict(network, few))[range(len(few)), few.labels].mean()


def right(network):
    return (predict(network, few).argmax(1) == few.labels).mean()


few = lab.encoded("acceptance").take(slice(96))
for measure in (sure, right):
    other = AdaptiveIterativePruning(config)(
        lab.arm("base").model(), train, reward, measure=measure)
    print(f"{measure.__name__}: {other.statement}")
