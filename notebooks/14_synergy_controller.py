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
# # The Synergy Controller
#
# You have labels to buy, texts to edit, a network to prune and round, and an hour. What do you do first? The papers' answer is their key idea: a controller that decides, by one
# objective for data and model together {cite}`seollm2024,sec2025`,
#
# $$ \min_{\theta, D} \; L_\text{task}(\theta, D) + \lambda_1 R_\text{data}(D) + \lambda_2 R_\text{model}(\theta), \tag{5} $$
#
# with $\lambda_1 = \lambda_2 = 0.5$. That is all they say. No rule for the choice, none for $\lambda$, no code, no ablation. Below is a reading that runs, what it does on a problem whose best answer is known, and
# what it does on real pairs beside schedules that were fixed beforehand.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the draws of the controller
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task that the arms start from: embedded | hub id | local path
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import itertools

import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables
from seo_core.analysis.tables import Table
from seo_core.arms import known, open_lab
from seo_core.controller import Action, Budgets, ControllerConfig, Measured, SynergyController

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source, labels=labels,
                         text=text, epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("14_synergy_controller", settings)

# %% [markdown]
# ## The reading
#
# A run is a sequence of **rounds**, and in each one **action** works: labels are bought, edits added, a pruning step taken, weights rounded, or the network just trained on. $R_\text{data}$ is what was spent of the data
# budgets, $R_\text{model}$ what the deployed file takes of the model budgets, both as shares, so that 1 is *used up*. Every action that can work gets a score, which is what it promises for each second:
#
# $$ \text{score} = \frac{-\Delta L_\text{task} - \lambda_1 \Delta R_\text{data} - \lambda_2 \Delta R_\text{model}}{\text{seconds}}. $$
#
# Its promise is a running mean of what it did before. The highest score works. Afterwards the prices move by a dual step, up where the run is on its way to more than a budget, down where it will leave some:
#
# $$ \lambda_i \leftarrow \mathrm{clip}\Big(\lambda_i + \eta \, \frac{\text{projected use of budget } i - 1}{\text{what is left of the run}},\; 0,\; \lambda_\text{max}\Big). $$
#
# Three more rules make it safe. An action that was never tried is tried, unless it cannot be undone; then a formula says what to expect. Where the time that is left is just enough to come within the bytes, the action that does so is **due**. And a
# round is a **transaction**: if it breaks the accuracy floor, a budget, or leaves a loss that is no number, the state from before it is taken back, and the action's next step is half as long. What it cost stays spent. So important weights and the examples
# that support them cannot be lost in one stroke.
#
# ## A problem whose answer is known
#
# Labels and training pay less and less; a smaller network loses more and more; the edits of this task do nothing. There are 3 000 labels, 240 seconds and 30% of the bytes. Whole steps can be tried out: all of them.

# %%
COST = {"buy": 5.0, "train": 8.0, "prune": 4.0, "augment": 12.0}  # seconds of a step
LIMITS = Budgets(labels=3000, seconds=240, size=0.3)


def loss(done):
    data = 0.5 * np.exp(-done["buy"] / 3) + 0.4 * np.exp(-done["train"] / 5)
    return 0.4 + data + 0.02 * (np.exp(done["prune"] / 5) - 1)


def measure(done, exact):
    seconds = sum(COST[name] * done[name] for name in COST)
    return Measured(loss(done), np.exp(-loss(done)), labels=400 * done["buy"], seconds=seconds, size=0.85 ** done["prune"])


# %% tags=["live"]
def action(name):
    uses = ("labels", "seconds") if name == "buy" else ("seconds",)
    return Action(name, lambda done, step, prices: {**done, name: done[name] + step}, uses=uses)


def allowed(done):
    used = measure(done, True)
    return used.labels <= 3000 and used.seconds <= 240 and used.size <= 0.3


grid = [dict(buy=b, train=t, prune=p, augment=0) for b, t, p in itertools.product(range(9), range(31), range(20))]
best = min(loss(done) for done in grid if allowed(done))
print(f"{len(grid)} allocations, the best of those within the budgets has a loss of {best:.3f}")

# %% [markdown]
# Now the controller, and what picks without its scores: every action in turn, at random, and by scores that were handed out to the wrong actions.

# %% tags=["live"]
def play(**config):
    controller = SynergyController([*map(action, COST)], measure, LIMITS, config=ControllerConfig(seed=seed, **config))
    return controller.run(dict.fromkeys(COST, 0.0), 60), controller


WAYS = {"the controller": {}, "in turn": {"allocation": "alternate"}, "at random": {"allocation": "random"},
        "shuffled scores": {"allocation": "shuffled"}, "λ fixed": {"prices": "fixed"}, "λ = 0": {"prices": "absent"}}
played = {name: play(**config) for name, config in WAYS.items()}
rows = [(name, loss(done) - best, *(done[a] for a in COST), len(run.log)) for name, (done, run) in played.items()]
Table(pd.DataFrame(rows, columns=["who picks", "loss above the best", *COST, "rounds"]).round(3))

# %% mystnb={"figure": {"caption": "Steps done by each way to pick, on the made-up problem.", "name": "fig-controller-made-up"}, "image": {"alt": "Bars for each way to pick: how many steps of buying, training, pruning and augmenting were done. Only the controller leaves the useless edits after one try."}} tags=["live"]
steps = pd.DataFrame(rows, columns=["way", "gap", *COST, "rounds"]).set_index("way")[list(COST)]
axes = steps.plot.barh(stacked=True, figsize=(8, 3), color=["#009E73", "#5A5A56", "#CC79A7", "#E69F00"])
_ = axes.set(xlabel="steps", ylabel=""), axes.invert_yaxis(), axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))

# %% [markdown]
# Two things to see. Scores matter: without them the edits, which do nothing, get as many rounds as the rest. And λ does less than equation (5) suggests. Held at 0.5 it is the worst of all, for it goes on paying for bytes that nobody asked for;
# without it the rule *due* brings the file within its budget just as well, and nothing is spent early.
#
# **Check.** The controller comes within 0.03 of the best there is, stays within every budget, and spends at most a tenth of its rounds on the useless edits. Without its scores nothing does.

# %% tags=["live"]
done, run = played["the controller"]
assert loss(done) < best + 0.03 and allowed(done) and done["augment"] <= 0.1 * len(run.log)
assert all(loss(played[name][0]) > loss(done) + 0.01 or not allowed(played[name][0]) for name in ("in turn", "at random", "shuffled scores"))
assert sum(entry["labels"] for entry in run.log) <= 3000 and sum(entry["seconds"] for entry in run.log) <= 240
print("within the budgets, and near the best that all allocations hold")

# %% [markdown]
# The log says why each round went as it did: scores, the action, what it changed, λ. This is the run above, its first rounds:

# %% tags=["live"]
log = pd.DataFrame([{**{k: entry[k] for k in ("round", "action", "step", "loss", "lambda_data", "lambda_model", "accepted")},
                     **{f"score {name}": score for name, score in entry["scores"].items()}} for entry in run.log])
Table(log.head(8).round(4))

# %% [markdown]
# ## The guard
#
# Let one step be a trap: pruning that takes too much at once. With a floor the round is rolled back, the step halved, and the run goes on with what it had.

# %%
def steep(done, exact):
    safe = measure(done, exact)
    return safe._replace(accuracy=safe.accuracy - 0.3 * max(0.0, done["last"] - 0.6))


def prune(done, step, prices):
    return {**done, "prune": done["prune"] + step, "last": step}


# %% tags=["live"]
others = [action(name) for name in ("buy", "train")]
guarded = SynergyController([*others, Action("prune", prune, uses=("seconds",))], steep, LIMITS, floor=0.25)
end = guarded.run({**dict.fromkeys(COST, 0.0), "last": 0.0}, 40)
back = [entry for entry in guarded.log if not entry["accepted"]]
Table(pd.DataFrame([{k: e[k] for k in ("round", "action", "step", "accuracy", "why")} for e in back]).round(3))

# %% tags=["live"]
assert back and all(entry["action"] == "prune" and "below the floor" in entry["why"] for entry in back)
assert steep(end, True).accuracy >= 0.25 and measure(end, True).size <= 0.3
print(f"{len(back)} rounds taken back, and the file still came to {measure(end, True).size:.0%} of the bytes")

# %% [markdown]
# ## On real pairs
#
# The same controller over the book's own techniques is [the next chapter](15_seo_llm); its arms live here. All have 4 000 labels to buy, work worth a quarter of an hour on a quiet machine, 8 MB for the file, the same start (the network of the source task) and the same floor. They differ in who picks.
#
# - `controller`: the controller. `controller-alternate`, `controller-random`, `controller-shuffled`: its actions without its scores. `controller-prices-fixed`, `controller-prices-absent`: λ stays at 0.5, or at 0.
# - `static-data-first`: all labels, edits and soft labels, then pruning, then rounding. `static-compress-first`: the reverse. `static-quantize-last`, `static-turns`: between the two.
# - **`static-book`**: the best recipe that the book has without a controller ([](13_quantization_distillation)): all labels at once, one cut, SQD.
# - `controller-no-ada`, `-no-tal`, `-no-aip`, `-no-sqd`, `-no-soft-labels`: without one part. `controller-not-data-aware`, `-not-guided`, `-no-feedback`, `-no-guard`: without one principle.
# - `controller-data-only`, `controller-compression-only`, `controller-neither`: with `controller`, the 2 × 2 that asks whether better data makes up for what compression loses.

# %% tags=["live"]
seo = known("controller").recipe
differs = {name: {key: value for key, value in vars(arm.recipe).items() if value != getattr(seo, key)} for name, arm in lab.chapter.arms.items()}
Table(pd.DataFrame([(name, ", ".join(f"{k} = {v}" for k, v in changes.items()) or "the controller") for name, changes in differs.items()],
                   columns=["arm", "differs from seo in"]), folded="every arm, and what it changes")

# %% tags=["record", "hide-input"]
frame = results.load(results.reference_dir() / "cpu" / lab.chapter.id)
arms = ["controller", *(name for name in frame["configuration"].unique() if name != "controller")] if len(frame) else []
shown = ["accuracy_development", "size_bytes", "labels", "rounds", "rounds_back", "removed", "work_seconds"]
print(tables.standing(frame) if len(frame) else "not run")
table = frame.groupby("configuration")[shown].mean().loc[[a for a in arms if a in set(frame["configuration"])]] if arms else None
Table(pd.DataFrame([{"configuration": "not run"}]) if table is None else table.round(4).reset_index())

# %% mystnb={"figure": {"caption": "The controller against what was fixed beforehand, at equal labels, work and bytes, on the development slice (reference runs, 95% intervals; hollow points have one seed).", "name": "fig-controller-static"}, "image": {"alt": "Points with intervals: the accuracy of the controller minus that of each other way to spend the same budget; without records it says not run."}} tags=["record", "hide-input"]
against = contrasts.differences(frame, [("controller", name) for name in arms[1:]], ["accuracy_development"], labels=None)
_ = figures.forest(against)

# %% tags=["record", "hide-input"]
Table(tables.pair_table(against))

# %% mystnb={"figure": {"caption": "A run of the controller on MNLI, 4\u00a0000 labels and 8 MB (reference run, one seed). Above, the development accuracy after each round and what worked in it, hollow where the round was rolled back; then the bytes of the file; then \u03bb.", "name": "fig-controller-rounds"}, "image": {"alt": "Three panels over the rounds of one run. Accuracy with a marker for each action, the file's size falling in steps when the network is rounded and pruned, and the two prices of labels and bytes. Without records it says not run."}} tags=["live"]
_ = figures.rounds(tables.recorded_rounds(lab.chapter.id, "controller"))

# %% mystnb={"figure": {"caption": "The rounds of the schedule that buys and labels first and compresses afterwards (reference run, one seed).", "name": "fig-controller-data-first"}, "image": {"alt": "The three panels of the first figure for the schedule that was fixed beforehand; without records it says not run."}} tags=["live"]
_ = figures.rounds(tables.recorded_rounds(lab.chapter.id, "static-data-first"))

# %% [markdown]
# Read these as what they are: runs on the development slice, on which the floor was checked too, and as many seeds as the table says. One seed never settles a ranking.
#
# ## What the papers report
#
# Nothing of the controller alone. No run without it is shown, no λ, no round. Their Figure 1 has it in the middle of the system, and their tables credit it with all of the combined result. The ablations above are ours.
#
# ## What changes with scale
#
# A round's price is work, not data: with more pairs each action trains on as many. So a longer run has more rounds, and a promise that is averaged over more of them. What a round is judged by, 4 000 development pairs, costs about as much as a fifth of its training. On
# a network that takes longer to train, that share falls.
#
# **To remember**
#
# - One objective over labels, bytes and loss needs four more rules before it runs: promises, a price step, *due*, and a guard.
# - On a problem with a known answer the scores find it, and shuffled scores do not.
# - Whether it beats a good schedule on a real task is a question of seeds; the table above says how many there are.
#
# ## Exercises
#
# 1. Let the edits of the made-up problem help a little. From which effect on does the controller use them?
# 2. Set `prices="absent"` and a budget of bytes that is tight. Which rule still brings the file within it?
# 3. Give `exploration=0`. Does the controller miss an action whose first try was unlucky?
