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
# # SEO-LLM, assembled
#
# Give it pairs, labels, bytes and a time, and get a small network. Is the whole system of the papers {cite}`seollm2024,sec2025` worth more than its parts?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline, the draws and the order of training
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
unlabelled: str = "default"  # further texts without labels; default: none
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import math
from itertools import combinations

import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import (
    NOT_RUN_YET,
    contrasts,
    glue,
    tables,
    targets,
    tradeoff,
    verdicts,
)
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.pipeline import combined_bytes

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    unlabelled=unlabelled, labels=labels, text=text, epochs=epochs,
    train_rows=train_rows, development_rows=development_rows)
lab = open_lab("15_seo_llm", settings)
folders = [results.reference_dir() / "cpu" / name
           for name in ("02_baseline", "15_seo_llm")]

# %% tags=["record", "answer", "remove-input"]
whole, reviews = (Evidence("02_baseline", "15_seo_llm", task=task)
                  for task in ("mnli", "sst2"))
parts = Evidence(*tradeoff.CHAPTERS)
size = {name: parts.mean(name, "size_bytes", scale=1e-6, unit=" MB")
        for name in ("base", "sqd-taylor-65")}
film = f""" On film reviews (SST-2):
{reviews.gap('seo', 'base', MATCHED)} and
{reviews.mean('seo', 'size_bytes', scale=1e-6, unit=' MB')}.""" \
    if tables.recorded_run("15_seo_llm", "seo", "sst2") else ""
told = parts.told("sqd-taylor-65", "base", MATCHED, better="is better than",
                  worse="is worse than", same="is not told apart from")
Finding(f"""
The combined system (`seo`) against the baseline that it begins with, on
development pairs: {whole.gap('seo', 'base', DEVELOPMENT)}. Its file:
{whole.mean('seo', 'size_bytes', scale=1e-6, unit=' MB')}, where it was asked
for 8 MB at most.{film} A recipe that was fixed beforehand, without a
controller, has the longer record: cut to 35% of its encoder and trained in
int8 (`sqd-taylor-65`), the network has
{size['sqd-taylor-65']} instead of {size['base']}, and {told} the baseline on
the matched set: {parts.gap('sqd-taylor-65', 'base', MATCHED)}. Beside the
uncompressed network after as much training:
{parts.to_control('sqd-taylor-65', MATCHED)}
([chapter](13_quantization_distillation.ipynb)).""")

# %% [markdown]
# ## The idea
#
# Each box of [the papers' Figure 1](fig1_architecture) is one call here, and the {term}`Synergy Controller` ([its chapter](14_synergy_controller)) decides which of them works next. `seo` begins with the [baseline](02_baseline), trained on all labels that there are. Then come rounds, and in each one an {term}`action` works:
#
# - `augment`: ADA's [edits](04_adaptive_augmentation) of the labelled pairs.
# - `label`: the teacher's [soft labels](08_semi_supervised) for other texts: what is left of the pool, and what you name with `unlabelled`.
# - `prune`: a [pruning](10_adaptive_iterative_pruning) step, after which the rest recovers.
# - `quantize`: [integers](13_quantization_distillation), taught by the teacher.
# - `train`: no change, more training. And where labels are still to be bought, `buy`: [the purchase](07_transfer_active_learning).
#
# The floor is as far below the baseline as you allow. A round that falls below it is taken back.
#
# ## One call
#
# Under `quick` this is a **toy**: the development slice has so few pairs that one answer is half a point, and the network is near guessing.

# %% tags=["nbval-ignore-output", "live"]
run = lab.arm("seo")
m = run.metrics
print(f"{m['rounds']} rounds, {m['rounds_back']} taken back;",
      f"{m['removed']:.0%} of the encoder gone,",
      f"{m['size_bytes'] / 1e6:.1f} MB")
rounds = tables.controller_rounds(run.record)
print(tables.controller_says(run.record))
Table(rounds[["round", "action", "loss", "accuracy, %", "file, MB",
              "predicted MB off, %", "seconds spent", "λ data", "λ model",
              "kept", "why"]])

# %% mystnb={"figure": {"caption": "The rounds of this run, a toy. Above, the accuracy after each round and the floor; then the file's bytes, and the labels and the seconds of work spent so far; then the two prices \u03bb.", "name": "fig-seo-rounds"}, "image": {"alt": "Five panels over the rounds of this run: accuracy with a marker for each action and the floor as a dotted line, the file's size, labels and seconds spent, and the two prices."}} tags=["live"]
_ = figures.rounds(rounds, floor=100 * m["floor"])

# %% tags=["nbval-ignore-output", "live", "hide-input"]
figures.price_steps(tables.controller_log(run.record),
                    instead="fig-seo-rounds")

# %% [markdown]
# You see labels stay as they are: `seo` has them all. Its data budget is the pairs that it trains on, and $\lambda_1$ follows those.

# %% [markdown]
# **Check.** What was deployed is what the rounds made. The file has the bytes that the last round foresaw, the network has the share that pruning left, and no accepted round is below the floor or over a budget.

# %% tags=["live"]
kept = rounds[rounds["kept"] == "yes"]
foreseen = kept["file, MB"].iloc[-1]
assert (kept["accuracy, %"] >= 100 * m["floor"] - 0.01).all()
assert m["labels"] == len(run.rows) == len(set(run.rows)) <= len(lab.pool)
assert abs(m["size_bytes"] / 1e6 - foreseen) < 0.05 * m["size_bytes"] / 1e6
assert "quantize" in set(kept["action"]) and 0 < m["removed"] < 1
print("each accepted round held the floor; the file is what the last one said")

# %% [markdown]
# And against the baseline, on the same rows? Under `quick` this says that the parts fit together, and nothing about how good they are.

# %% tags=["nbval-ignore-output", "live"]
base = lab.arm("base")
both = {"baseline": base, "SEO-LLM": run}
Table(pd.DataFrame([
    {"": name, **{f"{k}, %": 100 * v for k, v in each.accuracies.items()},
     "file, MB": each.metrics["size_bytes"] / 1e6}
    for name, each in both.items()]).round(2))

# %% [markdown]
# ## Where sizes multiply
#
# Do techniques help one another? For bytes you can count it: make a file of each combination, and hold it against the product of what each does alone. Here `distil` keeps one layer, and `prune` takes a third of what is left of the encoder.

# %% tags=["live"]
parts = ("distil", "prune", "int8")
files = {works: combined_bytes(base.model(), *works) / 1e6
         for count in range(4) for works in combinations(parts, count)}
whole, alone = files[()], {part: files[()] / files[part,] for part in parts}
Table(pd.DataFrame([
    (" + ".join(works) or "none", size, whole / size,
     math.prod(alone[part] for part in works))
    for works, size in files.items()], columns=[
        "what works", "file, MB", "times smaller", "product of each alone",
    ]).round(2), folded="every combination")

# %% [markdown]
# **Check.** Integers multiply with all else. Layers and units do not multiply with one another.

# %% tags=["live"]
for works, size in files.items():
    if "int8" in works:
        rest = files[tuple(part for part in works if part != "int8")]
        assert abs(rest / size / alone["int8"] - 1) < 0.05, works
both = whole / files["distil", "prune"]
assert both < 0.97 * alone["distil"] * alone["prune"]
print(f"layers and units: {both:.2f} times smaller, and not",
      f"{alone['distil'] * alone['prune']:.2f}")

# %% [markdown]
# Integers make a quarter of every number, so they multiply. Layers and units both take from the encoder, and the word table stays. Sizes multiply where each technique takes its share of *everything*. The papers' own sizes do not: alone their three make the network 6.8 times smaller, together 3.1 times {cite}`seollm2024`. Others have asked the same of accuracy, with zeros in place of removed units {cite}`multiplicative2022`.
#
# Losses are for records to say. Sixteen arms of [](14_synergy_controller), `factorial-none` to `factorial-distil-prune-int8-data`, have every combination of the three, with and without the data module, at equal work: there `distil` keeps half of the layers.

# %% tags=["record", "hide-input"]
cells = tradeoff.factorial(
    results.load(folders[0].with_name("14_synergy_controller")))
Table(cells.round(2) if len(cells) else pd.DataFrame(
    [{"what works": "not run"}]), folded="the sixteen cells")

# %% [markdown]
# ## From your own file
#
# The same from a shell, with your labels and your goals. It says beforehand how long it takes, and goes on where it was stopped. It ends with a folder that [`seo_core.load`](../book/api/deploy) opens, and a page with the smallest and most accurate networks on the way and every round:
#
# ```bash
# python -m seo_core.run compress --data pairs.csv --text a b --label y --controller \
#     --max-size 8MB --max-loss 1.0 --time 1h --labels 4000 --out model
# ```
#
# Leave `--labels` out where all your rows have their labels. Leave `--controller` out for the static recipe of [](13_quantization_distillation), which has the longer record.
#
# ## What the papers report
#
# The combined system is the last row of each of their tables. It takes 69% of the training time, is 67.6% smaller and 1.9 times as fast, and is more accurate than the baseline, with 30% fewer labels {cite}`seollm2024,sec2025`. What do our records bear out?

# %% tags=["record", "hide-input"]
wanted = ("h-size", "h-speed", "h-time", "h-acc", "h-data", "h-synergy")
claims = [claim for claim in verdicts.CLAIMS if claim.id in wanted]
Table(tables.verdict_table(verdicts.audit(results.load(), claims)))

# %% [markdown]
# The 30% fewer labels are judged on the data module alone, since the whole system has no such record {cite}`seollm2024`. Synergy can be judged against the parts on compression only: those on data were run on fewer labels than `seo` has. All claims, with what they are measured by, stand in [the audit](claims_audit).
#
# ## All at once
#
# One claim alone is easy. `seo-labels` is held to all of them in one run. It has 70% of the labels, with those of the development slice, and buys most of them itself. It has no source task, whose labels would count too. Beside it stand its control, `seo-control`, with the same labels, texts and work and nothing taken away; and the rival that you would build without this book, `seo-rival`: as much plain training on the same labels, then static int8. `seo-half` goes further, with half of the labels. <!-- setting -->
#
# ```bash
# python -m seo_core.run arm base seo-labels seo-control seo-rival \
#     seo-half seo-half-control --profile cpu --data path/to/mnli --seeds 0 1 2
# python -m seo_core.run bench inference --profile cpu --data path/to/mnli
# ```

# %% tags=["record", "remove-input"]
asked = targets.at_once(results.load(), results.load_contestants(
    folders[0].with_name("tab3_inference_speed")))
once, more = (targets.failing(asked, name)
              for name in (targets.HEADLINE, targets.BEYOND))
Finding(f"""
The headline claims at once, of `seo-labels`: {once}. Beyond them, of
`seo-half`: {more}.""")

# %% tags=["record", "hide-input"]
Table(asked, folded="target by target: what is asked, and what came out")

# %% [markdown]
# ## What the records say
#
# A reference run has all labels of the profile `cpu`. It is held against the baseline that it begins with, on the rows of the development slice.

# %% tags=["record", "hide-input"]
frame = results.load(*folders)
here = glue.of_task(frame, "mnli")
print(tables.absent(here, lab.chapter.arms), tables.standing(here), sep="\n")
against, by_task = contrasts.family(
    contrasts.differences(here, {"seo": "base"}, [DEVELOPMENT], labels=None),
    glue.by_task(frame, ("seo", "base")))
Table(tables.pair_table(against), folded="the system minus its baseline")

# %% [markdown]
# It takes any task of one or two texts. On SST-2: `python -m seo_core.run arm base seo --profile cpu --data path/to/sst2 -p text=sentence`, and on MRPC with `text=sentence1,sentence2`. By the metric of each task:

# %% tags=["record", "hide-input"]
Table(tables.pair_table(by_task),
      folded="the system minus its baseline, task by task")

# %% [markdown]
# What did the guard take back on the way?

# %% tags=["record", "remove-input"]
said = []
for task, title in (("mnli", "MultiNLI"), ("sst2", "SST-2")):
    run_of = tables.recorded_run("15_seo_llm", "seo", task)
    log = tables.controller_log(run_of)
    if len(log):
        every, back = (rows["action"].value_counts()
                       for rows in (log, log[~log["accepted"]]))
        counts = ", ".join(f"`{name}` {back.get(name, 0)} of {count}"
                           for name, count in every.items())
        said.append(f"""
On {title} {back.sum()} of {len(log)} rounds ({counts}), one seed. It ended
with {100 * run_of['metrics']['removed']:.0f}% of the encoder gone.""")
Finding("".join(said) or NOT_RUN_YET)

# %% [markdown]
# One choice was made on the way. `seo` goes on from a network that is trained already, at a third of the rate that made it. A run at the whole rate was left unfinished, since the guard took back most of its rounds; it has no record here.

# %% [markdown]
# On a GPU nothing changes in the call: the rounds are shorter and the network larger. `seconds` and `speed` of the recipe say how much work a run may do. So a slower machine takes longer for the same run.
#
# ## To remember
#
# - The whole system is one state, a handful of actions and a controller that picks.
# - Every round is a transaction, and a run goes on at the round where it was stopped.
# - For a model that you ship, compare it with the static recipe on your own rows first.
#
# ## Exercises
#
# **1.** Forbid pruning. How many bytes are left to gain?
#
# :::{dropdown} Answer
# ```python
# unpruned = lab.arm("seo", knobs={"without": ("buy", "prune")}).metrics
# for name, each in (("baseline", base.metrics), ("no pruning", unpruned),
#                    ("with pruning", m)):
#     print(f"{name}: {each['size_bytes'] / 1e6:.1f} MB")
# ```
# prints under `quick`, after a minute or two:
# ```text
# baseline: 69.6 MB
# no pruning: 6.4 MB
# with pruning: 2.0 MB
# ```
# Integers and a shorter vocabulary give most of it. Pruning takes away some of what is left, and under this budget of bytes it has to.
# :::
#
# **2.** Allow no loss at all, stop the call in the middle, and start it again. Which rounds are run anew?
#
# :::{dropdown} Answer
# ```python
# from dataclasses import replace
# numbers = []
# def stop(line):
#     numbers.append(int(line.split()[1]))
#     if len(numbers) == 3:
#         raise KeyboardInterrupt
# for _ in ("first call", "second call"):
#     try:
#         strict = replace(lab, report=stop).arm("seo", knobs={"loss": 0.0})
#     except KeyboardInterrupt:
#         print("stopped after round", numbers[-1])
# print("rounds that were run, in both calls:", *numbers)
# ```
# ```text
# stopped after round 3
# rounds that were run, in both calls: 1 2 3 4 5 6 7
# ```
# None: the state is kept after each round, and the second call goes on with the next.
# :::
#
# **3.** In that run, how many rounds were rolled back, and which actions?
#
# :::{dropdown} Answer
# ```python
# strict_rounds = tables.controller_rounds(strict.record)
# back = strict_rounds.loc[strict_rounds["kept"] != "yes", "action"]
# print(f"{len(back)} of {len(strict_rounds)} rounds taken back:",
#       ", ".join(back) or "none")
# print(f"the file: {strict.metrics['size_bytes'] / 1e6:.1f} MB")
# ```
# ```text
# 0 of 7 rounds taken back: none
# the file: 2.0 MB
# ```
# :::
