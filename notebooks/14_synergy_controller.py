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
# You have labels to buy, texts to edit, a network to prune and round, and an hour. What do you do first? And does it pay to let a rule decide, round by round?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the draws of the controller
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
import itertools

import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, targets
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import known, open_lab
from seo_core.arms.synergy import trials
from seo_core.controller import (
    Action,
    Budgets,
    ControllerConfig,
    Measured,
    SynergyController,
)

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("14_synergy_controller", settings)
frame = results.load(results.reference_dir() / "cpu" / "14_synergy_controller")
recorded = frame["configuration"].unique() if len(frame) else []
arms = [name for name in recorded if name != "controller"
        and not name.startswith("guard-") and "-trial-" not in name]
against = contrasts.differences(frame, [("controller", name) for name in arms],
                                [DEVELOPMENT], labels=None)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence("14_synergy_controller")


def to(name):
    told = ours.told("controller", name, DEVELOPMENT, better="better",
                     worse="worse", same="not told apart")
    gap = ours.gap("controller", name, DEVELOPMENT)
    return gap if gap == told else f"{told}, {gap}"


Finding(f"""
On MultiNLI, at equal labels, work and bytes, the controller against the
book's best recipe without one (`static-book`): {to('static-book')}. Against
buying labels first and compressing afterwards (`static-data-first`):
{to('static-data-first')}. Against its own actions in turn
(`controller-alternate`): {to('controller-alternate')}. Against prices that
stay as they began (`controller-prices-fixed`):
{to('controller-prices-fixed')}.""")

# %% mystnb={"figure": {"caption": "The controller against what was fixed beforehand, at equal labels, work and bytes, on the development slice (reference runs, 95% intervals; hollow points have one seed).", "name": "fig-controller-static"}, "image": {"alt": "Points with intervals: the accuracy of the controller minus that of each other way to spend the same budget; without records a line says how to run them."}} tags=["record", "hide-input"]
if len(against):
    _ = figures.forest(against)
else:
    print("not run yet: `python -m seo_core.run arm controller static-book",
          "static-data-first --profile cpu`")

# %% [markdown]
# What you can see here and now is a **toy**: a made-up problem whose best answer is known. There the controller comes close to it, and the same actions without its scores do not.
#
# ## The idea
#
# A controller that decides by one objective for data and model together is the papers' key idea {cite}`seollm2024,sec2025`:
#
# $$ \min_{\theta, D} \; L_\text{task}(\theta, D) + \lambda_1 R_\text{data}(D) + \lambda_2 R_\text{model}(\theta), \tag{5} $$
#
# with $\lambda_1 = \lambda_2 = 0.5$. That is all they say: no rule for the choice, none for $\lambda$, no code, no ablation. So here is a reading that runs.
#
# A run is a sequence of rounds, and in each one {term}`action` works: labels are bought, edits added, a pruning step taken, weights rounded, or the network just trained on. $R_\text{data}$ is what was spent of the data budgets, and $R_\text{model}$ what the file takes of the model budgets. Both are shares, so that 1 is *used up*. An action's score is what it promises for each second:
#
# $$ \text{score} = \frac{-\Delta L_\text{task} - \lambda_1 \Delta R_\text{data} - \lambda_2 \Delta R_\text{model}}{\text{seconds}}. $$
#
# Its promise is a running mean of what it did before. The highest score works. Afterwards the prices $\lambda$ move: up where the run is on its way to more than a budget, down where it will leave some:
#
# $$ \lambda_i \leftarrow \mathrm{clip}\Big(\lambda_i + \eta \, \frac{\text{projected use of budget } i - 1}{\text{what is left of the run}},\; 0,\; \lambda_\text{max}\Big). $$
#
# Three more rules make it safe:
#
# - An action that was never tried **is tried**, unless it cannot be undone. Then a formula says what to expect.
# - Where the time that is left is just enough to come within the bytes, the action that does so is **due**.
# - A round is a **transaction**. If it breaks the accuracy floor or a budget, or leaves a loss that is no number, the state from before is taken back ({term}`rollback`), and the action's next steps are half as long, until rounds win back more than it took; where there is no half of it, its recovery is doubled. What it cost stays spent, and labels that it bought stay. So important weights, and the examples that support them, cannot be lost in one stroke.
#
# ## A problem whose answer is known
#
# Labels and training pay less and less. A smaller network loses more and more. The edits of this task do nothing. You have 3 000 labels, 240 seconds and 30% of the bytes. <!-- setting -->

# %%
COST = {"buy": 5.0, "train": 8.0, "prune": 4.0, "augment": 12.0}  # seconds
LIMITS = Budgets(labels=3000, seconds=240, size=0.3)


def loss(done):
    data = 0.5 * np.exp(-done["buy"] / 3) + 0.4 * np.exp(-done["train"] / 5)
    return 0.4 + data + 0.02 * (np.exp(done["prune"] / 5) - 1)


def measure(done, exact):
    seconds = sum(COST[name] * done[name] for name in COST)
    return Measured(
        loss(done), np.exp(-loss(done)), labels=400 * done["buy"],
        seconds=seconds, size=0.85 ** done["prune"])

# %% [markdown]
# Whole steps can be tried out: all of them.

# %% tags=["live"]
def allowed(done):
    used = measure(done, True)
    return used.labels <= 3000 and used.seconds <= 240 and used.size <= 0.3


grid = [dict(buy=b, train=t, prune=p, augment=0)
        for b, t, p in itertools.product(range(9), range(31), range(20))]
best = min(loss(done) for done in grid if allowed(done))
print(f"{len(grid)} allocations of whole steps; the best within the budgets",
      f"has a loss of {best:.3f}")

# %% [markdown]
# Now the controller, and other ways to pick: every action in turn, at random, and by scores that were handed out to the wrong actions. And two ways to treat λ.

# %% tags=["live"]
def action(name):
    uses = ("labels", "seconds") if name == "buy" else ("seconds",)
    return Action(name, lambda done, step, prices: {
        **done, name: done[name] + step}, uses=uses)


def play(measured=measure, limits=LIMITS, **config):
    controller = SynergyController(
        [*map(action, COST)], measured, limits,
        config=ControllerConfig(**{"seed": seed, **config}))
    return controller.run(dict.fromkeys(COST, 0.0), 60), controller

# %% tags=["live"]
WAYS = {"the controller": {}, "in turn": {"allocation": "alternate"},
        "at random": {"allocation": "random"},
        "shuffled scores": {"allocation": "shuffled"},
        "λ fixed": {"prices": "fixed"}, "λ = 0": {"prices": "absent"}}
played = {name: play(**config) for name, config in WAYS.items()}
ways = pd.DataFrame([
    (name, loss(done) - best, *(done[a] for a in COST), len(run.log))
    for name, (done, run) in played.items()],
    columns=["who picks", "loss above the best", *COST, "rounds"])
Table(ways.round(3))

# %% mystnb={"figure": {"caption": "Steps done by each way to pick, on the made-up problem.", "name": "fig-controller-made-up"}, "image": {"alt": "Bars for each way to pick: how many steps of buying, training, pruning and augmenting were done. Only the controller and its two treatments of the prices leave the useless edits after one try or two."}} tags=["live", "hide-input"]
_ = figures.stacked(ways.set_index("who picks")[list(COST)], "steps")

# %% [markdown]
# You see two things. Scores matter: without them the edits, which do nothing, get as many rounds as the rest. And λ does less than equation (5) suggests. Held at its start, it is the worst of all, for it goes on paying for bytes that nobody asked for. Without it, the rule *due* brings the file within this budget just as well, and nothing is spent early. It even ends below the best of whole steps, since the last step before a budget may be a part of one.
#
# **Check.** The controller comes within 0.03 of the best there is, stays within every budget, and spends at most a tenth of its rounds on the useless edits. No way to pick without its scores does. <!-- setting -->

# %% tags=["live"]
done, run = played["the controller"]
assert loss(done) < best + 0.03 and allowed(done)
assert done["augment"] <= 0.1 * len(run.log)
for name in ("in turn", "at random", "shuffled scores"):
    other = played[name][0]
    assert loss(other) > loss(done) + 0.01 or not allowed(other), name
assert sum(entry["labels"] for entry in run.log) <= 3000
assert sum(entry["seconds"] for entry in run.log) <= 240
print("within the budgets, and near the best that all allocations hold")

# %% [markdown]
# The log says why each round went as it did: the scores, the action, what it changed, and λ.

# %% tags=["live"]
columns = ["round", "action", "step", "loss", "lambda_data", "lambda_model",
           "labels_used", "seconds_used", "accepted", "why"]
log = pd.DataFrame([
    {**{column: entry[column] for column in columns},
     **{f"score {name}": score for name, score in entry["scores"].items()}}
    for entry in run.log])
Table(log.head(8).round(4), folded="its first eight rounds")

# %% mystnb={"figure": {"caption": "The two prices before each round of the controller's run on the made-up problem.", "name": "fig-controller-prices"}, "image": {"alt": "Two step lines over the rounds: the price of data and the price of bytes and time, both from a half; each rises while the run is on its way to more than its budget, and falls where it will leave some."}} tags=["live", "hide-input"]
_ = figures.prices(log)

# %% tags=["live", "hide-input"]
figures.price_steps(log, instead="fig-controller-prices")

# %% [markdown]
# ## The guard
#
# Let one step be a trap: pruning that takes too much at once. With a floor the round is rolled back, the step halved, and the run goes on with what it had.

# %%
def steep(done, exact):
    safe = measure(done, exact)
    lost = 0.3 * max(0.0, done["last"] - 0.6)
    return safe._replace(accuracy=safe.accuracy - lost)


def prune(done, step, prices):
    return {**done, "prune": done["prune"] + step, "last": step}

# %% tags=["live"]
others = [action(name) for name in ("buy", "train")]
guarded = SynergyController(
    [*others, Action("prune", prune, uses=("seconds",))], steep, LIMITS,
    floor=0.25)
end = guarded.run({**dict.fromkeys(COST, 0.0), "last": 0.0}, 40)
back = [entry for entry in guarded.log if not entry["accepted"]]
for e in back:
    print(f"round {e['round']}, {e['action']} with step {e['step']:g}:",
          e["why"])
assert {entry["action"] for entry in back} == {"prune"}
assert all("below the floor" in entry["why"] for entry in back)
assert steep(end, True).accuracy >= 0.25 and measure(end, True).size <= 0.3
print(f"{len(back)} taken back, and the file still came to",
      f"{measure(end, True).size:.0%} of the bytes")

# %% [markdown]
# On real pairs the steps are as hard: half of the labels in three strokes, two thirds of the encoder in two. `guard-on` and `guard-off` differ in the guard alone. Before a run, 4 000 labelled pairs are set aside, which no choice and no training sees. There you count which runs end within the floor, less one standard error, and which of them have 90% of the pruning that was asked for. <!-- setting -->
#
# ```bash
# python -m seo_core.run arm guard-on guard-off --profile cpu --data path/to/mnli \
#     --seeds $(seq 0 19)
# ```

# %% tags=["record", "hide-input"]
guard = targets.guard(frame)
Table(guard.round(2) if len(guard) else pd.DataFrame([{"guard": "not run"}]),
      folded="runs with the guard, and without")

# %% [markdown]
# ## On real pairs
#
# The same controller over the book's own techniques is [the next chapter](15_seo_llm); its arms live here. All but those on the guard have 4 000 labels to buy, work worth a quarter of an hour on a quiet machine, and 8 MB for the file. All but one begin with the network of the source task, and all have the same floor. They differ in who picks. Texts that you name with `unlabelled` stand behind the pool that their teacher labels.

# %% tags=["here"]
seo = known("controller").recipe
differs = {name: {key: value for key, value in vars(arm.recipe).items()
                  if value != getattr(seo, key)}
           for name, arm in lab.chapter.arms.items()}
Table(pd.DataFrame([
    (name, ", ".join(f"{k} = {v}" for k, v in changes.items())
     or "the controller") for name, changes in differs.items()],
    columns=["arm", "differs from the controller in"]),
    folded="every arm, and what it changes")

# %% [markdown]
# :::{dropdown} What these arms ask
# - `controller`: the controller. `controller-alternate`, `controller-random`, `controller-shuffled`: its actions without its scores. `controller-prices-fixed`, `controller-prices-absent`: λ stays at 0.5, or at 0. <!-- setting -->
# - `static-data-first`: all labels, edits and soft labels, then pruning, then rounding. `static-compress-first`: the reverse. `static-quantize-last`, `static-turns`: between the two.
# - **`static-book`**: the best recipe that the book has without a controller ([](13_quantization_distillation)): all labels at once, one cut, SQD.
# - `controller-no-ada`, `-no-tal`, `-no-aip`, `-no-sqd`, `-no-soft-labels`: without one part. `controller-not-data-aware`, `-not-guided`, `-no-feedback`, `-no-guard`: without one principle. `controller-no-source`: begins with pre-training alone.
# - `controller-data-only`, `controller-compression-only`, `controller-neither`: with `controller`, the 2 × 2 that asks whether better data makes up for what compression loses.
# - `guard-on`, `guard-off`: a hard step with the guard, and without.
# - `factorial-none` to `factorial-distil-prune-int8-data`: fixed schedules, every combination of half of the layers, a third of the rest gone, integers, and the data module ([](15_seo_llm) asks where sizes multiply).
# :::
#
# ## What the papers report
#
# Nothing of the controller alone. No run without it is shown, no λ, no round. Their Figure 1 has it in the middle of the system, and their tables credit it with all of the combined result {cite}`seollm2024,sec2025`. The ablations above are ours.
#
# ## What the records say
#
# All runs here are judged on the development slice, on which the floor was checked too. One seed never settles a ranking.

# %% tags=["record", "hide-input"]
shown = ["accuracy_development", "size_bytes", "labels", "rounds",
         "rounds_back", "removed", "work_seconds"]
if len(frame):
    print(tables.absent(frame, lab.chapter.arms), tables.standing(frame),
          sep="\n")
else:
    print("reference runs: not run")
table = (frame.groupby("configuration")[shown].mean().round(4).reset_index()
         if len(frame) else pd.DataFrame([{"configuration": "not run"}]))
Table(table, folded="every arm: accuracy, bytes, labels and rounds")

# %% tags=["record", "hide-input"]
Table(tables.pair_table(against), folded="the controller minus each other arm")

# %% mystnb={"figure": {"caption": "A run of the controller on MNLI, 4\u00a0000 labels and 8 MB (reference run, one seed). Above, the development accuracy after each round and what worked in it, hollow where the round was rolled back; then the bytes of the file, the labels and the seconds of work spent so far; then \u03bb.", "name": "fig-controller-rounds"}, "image": {"alt": "Five panels over the rounds of one run. Accuracy with a marker for each action, the file's size falling in steps when the network is rounded and pruned, labels and seconds spent, and the two prices of labels and bytes. Without records it says not run."}} tags=["record", "hide-input"]
recorded_run = tables.recorded_run(
    "14_synergy_controller", "controller", "mnli")
_ = figures.rounds(tables.controller_rounds(recorded_run))

# %% tags=["record", "hide-input"]
figures.price_steps(tables.controller_log(recorded_run),
                    instead="fig-controller-rounds")

# %% [markdown]
# What happened?

# %% tags=["record", "remove-input"]
told = tables.controller_log(recorded_run)
if recorded_run:
    asked, ended = (recorded_run["parameters"]["recipe"],
                    recorded_run["metrics"])
    kept, trained = (told[told["accepted"]]["action"].value_counts(),
                     told[told["action"] == "train"]["loss"])
    noisy = bool(trained.std() > abs(trained.mean()))
    missed = ended["size_bytes"] > asked["size"]
Finding(f"""
One run, of one seed. It kept {kept.sum()} of {len(told)} rounds, of
which {kept.get('prune', 0)} pruned and {kept.get('buy', 0)} bought labels. It
ended with {ended['labels']} of {asked['labels']} labels and
{ended['size_bytes'] / 1e6:.1f} MB where {asked['size'] / 1e6:.0f} were asked
for. A round of training alone changed the development loss by
{trained.mean():+.3f} on average, and by {trained.std():.3f} more or less (one
standard deviation). """ + "So what a round promises is mostly noise, and "
"the scores choose by it. " * noisy + "And pruning met the floor before it "
"had the bytes." * missed if recorded_run else "Not run.")

# %% tags=["record", "hide-input"]
print(tables.controller_says(recorded_run)
      if recorded_run else "the controller's own time: not run")

# %% mystnb={"figure": {"caption": "The rounds of the schedule that buys and labels first and compresses afterwards (reference run, one seed).", "name": "fig-controller-data-first"}, "image": {"alt": "The five panels of the figure before for the schedule that was fixed beforehand; without records it says not run."}} tags=["record", "hide-input"]
fixed = tables.recorded_run(
    "14_synergy_controller", "static-data-first", "mnli")
_ = figures.rounds(tables.controller_rounds(fixed))

# %% [markdown]
# Is that fair to the schedules? Only with as many trials. Each has the same four: two learning rates times two lengths of a round, on one seed. The best of each is then run on ten others, by its name, and [](15_seo_llm) compares these. <!-- setting -->
#
# ```bash
# python -m seo_core.run arm controller --labels 4000 --profile cpu --data path/to/mnli \
#     --name controller-trial-pairs-4000 --set pairs=4000
# ```

# %% tags=["record", "hide-input"]
tuned = {run: knobs for name in lab.chapter.arms
         if name == "controller" or name.startswith("static-")
         for run, knobs in trials(name).items()}
searched = targets.trials(frame, list(tuned))
searched["--set"] = [" ".join(f"{knob}={value:g}" for knob, value in
                              knobs.items()) for knobs in tuned.values()]
Table(searched, folded="every trial: `--name`, `--set`, and its result")

# %% [markdown]
# What a round is judged by, 4 000 development pairs, costs about a fifth of its training.
#
# ## To remember
#
# - One objective over labels, bytes and loss needs more rules before it runs: promises, a price step, first tries, *due*, and a guard.
# - On a problem with a known answer the scores find it, and shuffled scores do not.
# - Whether it beats a good schedule on a real task is a question of records and seeds: look at the top of this page before you use it.
#
# ## Exercises
#
# **1.** Let the edits of the made-up problem help a little. From which effect on does the controller use them?

# %% tags=["hide-cell", "live"]
for effect in (0.0, 0.02, 0.05, 0.1, 0.2):
    def helped(done, exact, most=effect):
        plain = measure(done, exact)
        gain = most * (1 - np.exp(-done["augment"] / 4))
        return plain._replace(loss=plain.loss - gain)

    end, _ = play(helped)
    print(f"lowers the loss by at most {effect:.2f}: {end['augment']:.1f}",
          f"steps of edits, {end['train']:.1f} of training")

# %% [markdown]
# From about a twentieth on. With less, training brings more for the same seconds until nearly the end.
#
# **2.** Take `prices="absent"`, and budgets of bytes that are tighter and tighter. Which rule still brings the file within them?

# %% tags=["hide-cell", "live"]
for size in (0.3, 0.2, 0.1):
    tight = Budgets(labels=3000, seconds=240, size=size)
    ends = {prices: measure(play(limits=tight, prices=prices)[0], True).size
            for prices in ("adaptive", "absent")}
    print(f"budget {size:.0%}:", ", ".join(
        f"λ {prices} {share:.0%}" for prices, share in ends.items()))

# %% [markdown]
# At first *due* alone does. But it expects of every step what the last ones did, and each pruning step brings fewer bytes than the one before. So it starts too late for a tight budget. Prices start earlier, and keep within it.
#
# **3.** Let the first step of training do harm, and give `exploration=0`. Does the controller ever try again?

# %% tags=["hide-cell", "live"]
def unlucky(done, exact):
    plain = measure(done, exact)
    return plain._replace(loss=plain.loss + 0.3 * (0 < done["train"] < 2))


for exploration in (0.0, 0.1):
    trained = [play(unlucky, exploration=exploration, seed=draw)[0]["train"]
               for draw in range(4)]
    print(f"exploration {exploration:g}: steps of training by seed",
          *(f"{steps:.1f}" for steps in trained))

# %% [markdown]
# Without exploration it never does. With a tenth of the rounds drawn at random it may: half of these seeds find out what training is worth.
