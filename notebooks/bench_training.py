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
# # Benchmark: how fast the training loop is
#
# "Training time −31%" {cite}`seollm2024` means little if the baseline's loop is slow. How fast is ours beside a loop that everybody uses, and which of its tricks are worth their code?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says

# %% tags=["hide-input"]
from seo_core import bench, figures, load_settings, results
from seo_core.analysis import tables
from seo_core.analysis.findings import Contest, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import neighbours, utilization
from seo_core.bench.training import fit_contestant
from seo_core.bench.turns import interleave, summarize
from seo_core.training import TrainingConfig

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text)
recorded = results.reference_dir() / "cpu"

# %% tags=["record", "answer", "remove-input"]
raced = Contest("bench_training", "training_speed")
Finding(f"""
Our loop trains at {raced.value('seo_core', unit=' times')} the speed of
Hugging Face's `Trainer` as a careful user tunes it, and the `Trainer` as the
`run_glue` example configures it at
{raced.value('Trainer, as run_glue', scale=100, digits=0, unit='%')} of the
tuned one's speed. Accuracy on the development pairs
{raced.told('seo_core', 'accuracy_difference', than=0, more='is higher',
            less='is lower', same='is not told apart')}:
{raced.value('seo_core', 'accuracy_difference', scale=100, sign='+',
             unit=' points')} at equal pairs. Brackets span the rounds.""")

# %% mystnb={"figure": {"caption": "Steady training speed relative to the tuned Trainer (reference run). Whiskers span the rounds.", "name": "fig-bench-trainer"}, "image": {"alt": "Horizontal bars: our loop, the tuned Trainer at one, and the stock Trainer. Without records it says not run."}} tags=["record", "hide-input"]
LOOPS = ["Trainer, tuned", "seo_core", "Trainer, as run_glue"]
_ = figures.ratio_bars(
    raced.frame.loc[raced.frame.index.isin(LOOPS)],
    "speed relative to the tuned Trainer")

# %% [markdown]
# Of our tricks, {term}`bf16` and batches of pairs of like length bring most, and both are settings that other loops have too.
#
# ## The idea: take turns, and tune the rival too
#
# The rival is Hugging Face's `Trainer` {cite}`wolf2020transformers`, twice. *Tuned* is what a careful user asks of it: bf16, padding to the longest pair of a batch, pairs of like length together. *As run_glue* is what the example script does: {term}`fp32`, and every pair filled up to 128 tokens.
#
# All contestants train the same encoder on the same token ids with the same hyperparameters. They do so in one process, in turn: A B C A B C. A ratio within a round therefore holds even on a busy machine. Seconds hold only for the machine in the record.
#
# Our loop has six tricks. Each further contestant is our loop without one of them:
#
# | trick left out | what the trick does |
# |---|---|
# | first-token last layer | the classifier reads `[CLS]` alone, so the last layer need not compute the other tokens |
# | dropout from random bytes | masks are drawn as 16-bit integers, not one `bernoulli_` per element |
# | fast forward pass | both of these, one matrix product for query, key and value, and bf16 between operators |
# | frozen word table | no gradient and no optimizer step for half of the weights |
# | length grouping | pairs of like length in a batch, so that little is padding |
# | bf16 | numbers of 16 bits instead of 32 |
#
# ## On your machine
#
# The token ids are computed once, outside the clock, for all alike. Then the contestants take their turns. On the command line this is `python -m seo_core.run bench training`.

# %% tags=["live"]
outcome = bench.measure("training", settings, rounds=rounds)
train = outcome.inputs["train"]
print(f"{len(train)} training pairs, {train.lengths.mean():.1f} tokens each")

# %% tags=["nbval-ignore-output", "live"]
one_less = [name for name in outcome.table.index
            if name == "all" or name.startswith("without ")]
versus = outcome.table.drop(one_less)
Table(versus[["examples_per_second", "ratio"]].rename(columns={
    "examples_per_second": "examples a second",
    "ratio": "times the tuned Trainer"}).round(2), index=True)

# %% [markdown]
# *Steady* speed, which you see here, leaves out the first five steps of a turn. Under `quick` this is a **toy**: two layers, few and short texts, one turn. The stock `Trainer` pays most there, since it pads every text to the full length. Of single tricks one such turn says little: the record's shares, further down, are others.

# %% mystnb={"figure": {"caption": "Steady training speed without one trick at a time, as a share of the speed with all of them: this run.", "name": "fig-bench-ablation"}, "image": {"alt": "Horizontal bars: the relative speed of the training loop without each of its tricks."}} tags=["live"]
parts = outcome.table.loc[one_less].dropna(axis="columns")
_ = figures.ratio_bars(parts, "speed without it, relative to all tricks")

# %% [markdown]
# **Check.** Speed is reported and not tested: a slow machine is no error. What must hold is that the contestants did the same work, the same number of examples in every turn.

# %% tags=["live"]
examples = outcome.turns.groupby("contestant").examples.agg(["min", "max"])
assert (examples.loc["seo_core"] == examples.loc["Trainer, tuned"]).all()
assert (examples.loc["seo_core"] == len(train)).all()
print("equal examples:", sorted(set(versus.index)))

# %% [markdown]
# ## What the papers report
#
# Hours on a machine of theirs, and no loop to compare with: [](tab1_training_time). What a technique costs is counted there in pairs, and turned into minutes with the speed of one quiet machine.
#
# ## What the records say
#
# Six layers, real MultiNLI pairs, three turns each. Which trick is worth most?

# %% tags=["record", "remove-input"]
share = {name: raced.value(f"without {name}", scale=100, digits=0, unit="%")
         for name in ("bf16", "length grouping", "fast forward pass",
                      "frozen word table")}
Finding(f"""
Of the speed with all tricks, {share['bf16']} are left without bf16, and
{share['length grouping']} when pairs of any length share a batch. Without the
fast forward pass it is {share['fast forward pass']}, with a word table that
learns {share['frozen word table']}. The first two cost no code in a user's
loop; ask for them before you write anything.""")

# %% tags=["record", "hide-input"]
reference = results.load_records(recorded / "bench_training")
Table(tables.contestant_table(reference),
      folded="all contestants of the reference run")

# %% [markdown]
# :::{dropdown} How to read this table
# - *total* counts everything between the call and its return, but for the evaluation.
# - *ratio* is to the tuned `Trainer` for the loops, and to *all* for the tricks, round by round. `low` and `high` are its extremes.
# - The accuracy is that of the development slice after the turn, at equal examples. The `Trainer` as run_glue takes its turns on ten batches only, so it has none.
# :::
#
# ## Beside other work
#
# Threads wait for one another many times a step. Meanwhile they spin by default: they ask again and again, and burn the time of whoever wants their core. `import seo_core` lets them sleep instead: after a thousand turns where nothing else computes when you start, at once where something does.

# %% tags=["record", "remove-input"]
beside = Contest("bench_neighbours", "neighbours_speed")
speed = {name: beside.value(name, scale=100, digits=0, unit="%") for name in
         ("alone, asleep", "beside a busy core", "two at once",
          "beside a busy core, spinning", "two at once, spinning")}
Finding(f"""
A training that has the machine to itself reaches {speed['alone, asleep']} of
its speed if its threads sleep at once. Beside a busy core it reaches
{speed['beside a busy core']} asleep, and
{speed['beside a busy core, spinning']} spinning; two trainings at once reach
{speed['two at once']} together asleep, and
{speed['two at once, spinning']} spinning. Brackets are 95% intervals here.""")

# %% [markdown]
# So no number of turns is best at both, and it is chosen by what else runs. That is read once, when Python starts. A neighbour that comes later finds a training that still spins for these turns. If you know better, say it before Python starts: `OMP_WAIT_POLICY=passive` sleeps at once, for a machine that will be shared. `OMP_WAIT_POLICY=active` never sleeps, for one that you have to yourself.

# %% tags=["record", "hide-input"]
Table(neighbours.shares(results.load_records(recorded / "bench_neighbours")),
      folded="alone, beside a busy core, two at once: all of them")

# %% [markdown]
# :::{dropdown} How to read this table
# `python -m seo_core.run bench neighbours` measures it. *Spinning* is without the sleep, *asleep* is at once everywhere, *spinning briefly* is after some turns everywhere; what has no such word is what `import seo_core` chooses. Of two at once the speeds are added. In bf16 a step is short, and its threads wait more often than they work. The runner, too, lets threads sleep at once where it makes two chapters at a time.
# :::
#
# :::{dropdown} Where the time goes
# In a stock training step under autocast, the profiler finds about half of the time in matrix products, and a fifth in drawing dropout masks. Most of the rest is element-wise work: casts, LayerNorm, GELU, residuals. In ours, matrix products are again about half of a step that is much shorter. What is left is GELU, softmax and copies, which only a fusing compiler would remove. `torch.compile` is not among the contestants: it needs a C++ compiler on the reader's machine.
# :::
#
# ## How much of the device
#
# A ratio to another loop says nothing of what is left to gain. A bare product of two large matrices does: a device goes no faster. `python -m seo_core.run bench utilization` lets it take turns with both loops, on texts that fill the batch, for the settings' network and for one of BERT-Base's shape. Its operations are those that a loop really makes. Ours makes fewer for a pair, and gets no credit for that.

# %% tags=["nbval-ignore-output", "live"]
used = bench.measure("utilization", settings).table
Table(used[["ratio", "tflops", "share"]].rename(columns={
    "ratio": "times the tuned Trainer", "tflops": "TFLOP/s",
    "share": "of the products' rate"}).round(3), index=True,
    folded="both loops, both networks, this machine")

# %% [markdown]
# The small matrices of this **toy** leave any device idle. A GPU gets batches of 256 texts of 128 tokens, in bf16. Two goals were set beforehand for one: twice the tuned `Trainer`, and 40% of the products' rate with BERT-Base's shape. <!-- setting --> *Layers computed again* is {term}`gradient checkpointing`; its memory stands beside that without. A record has the name of its device:

# %% tags=["record", "hide-input"]
Table(utilization.report(*(results.reference_dir() / name / "bench_training"
                           for name in ("cpu", "gpu"))))

# %% [markdown]
# ## To remember
#
# - Compare a loop with the best configuration of its rival, in turns, at equal work. A ratio survives a busy machine, seconds do not.
# - Ask for bf16 and for batches of like length first: most loops have a setting for each.
# - Where several programs share a machine, let waiting threads sleep.
#
# ## Exercises
#
# **1.** Compute in fp32 altogether, as a processor without bf16 does. Does length grouping still pay?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
pairs = train.take(slice(8 * settings.batch_size))
make = dict(model=settings.model, layers=2,
            num_labels=len(outcome.task.labels))


def race(baseline, **changed):
    """Speeds of our loop, each with other settings, in turn."""
    return summarize(interleave({
        name: fit_contestant(pairs, TrainingConfig.from_settings(
            settings, epochs=1, **change), **make)
        for name, change in changed.items()}, rounds=2), baseline=baseline)


fp32 = race("grouped", grouped=dict(precision="fp32"),
            mixed=dict(precision="fp32", group=1))
print(fp32[["examples_per_second", "ratio"]].round(2))
print("grouping saves padding, whatever a number is computed in; of short",
      "texts of much the same length there is little to save", sep="\n")

# %% [markdown]
# **2.** Double the batch size. Do examples a second double? Why not?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
double = race("once", once={}, twice=dict(batch_size=2 * settings.batch_size))
print(double[["examples_per_second", "ratio"]].round(2))
print("half as many steps save what a step costs besides its pairs: the",
      "optimizer, and starting each operator; the products stay", sep="\n")

# %% [markdown]
# **3.** Your model uses every token of its last layer, as in token classification. Which trick is lost, and what does that cost?

# %% tags=["hide-cell", "record"]
lost = "without first-token last layer"
Finding(f"""
The first-token last layer, since all tokens are needed. It leaves
{raced.value(lost, scale=100, digits=0, unit='%')} of the speed: one layer of
six does its whole work again.""")
