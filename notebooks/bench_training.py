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
# "Training time −31%" means little if the baseline's loop is slow. This chapter measures our loop, `seo_core.training.fit`,
# against Hugging Face's `Trainer` {cite}`wolf2020transformers`, twice: as a careful user tunes it (bf16, padding to the
# longest pair of a batch, pairs of like length together), and as the `run_glue` example configures it (fp32, every pair padded to
# 128 tokens).
#
# All contestants train the same encoder on the same token ids with the same hyperparameters, in one process, in turn:
# A B C A B C. A ratio within a round therefore holds even on a busy machine. Seconds hold only for the machine in the record.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
rounds: int = 0  # turns of each contestant; 0: what the profile says (quick 1, else 3)

# %% tags=["hide-input", "live"]
from seo_core import bench, figures, load_settings, results
from seo_core.analysis import tables
from seo_core.analysis.tables import Table
from seo_core.bench import neighbours, training

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text)
training.plan(settings, rounds=rounds)

# %% [markdown]
# ## Data, and turns
#
# The plan says how many pairs a turn has: a few hundred for the speed of the stock configuration, which is slow, and enough
# for the accuracy comparison to mean something. The token ids are computed once, outside the clock, for all alike. Then the contestants
# take their turns, and the record is written. On the command line this is `python -m seo_core.run bench training`.

# %% tags=["live"]
outcome = bench.measure("training", settings, rounds=rounds)
train, development = outcome.inputs["train"], outcome.inputs["development"]
print(f"{len(train)} training pairs, {train.lengths.mean():.1f} tokens each on average; {len(development)} for accuracy")

# %% [markdown]
# ## What each trick brings
#
# The first contestant is our loop as it is. Each of the others lacks one thing:
#
# | without | what it does |
# |---|---|
# | first-token last layer | the classifier reads `[CLS]` alone, so the last layer need not compute the other tokens |
# | dropout from random bytes | masks are drawn as 16-bit integers, not one `bernoulli_` per element |
# | fast forward pass | both of these, one matrix product for query, key and value, and bf16 between operators |
# | frozen word table | no gradient and no optimiser step for half of the weights |
# | length grouping | pairs of like length in a batch, so that little is padding |
# | bf16 | computing in fp32 |

# %% tags=["nbval-ignore-output", "live"]
one_less = [name for name in outcome.table.index if name == "all" or name.startswith("without ")]
parts = outcome.table.loc[one_less].dropna(axis="columns")
Table(parts.round(2), index=True)

# %% mystnb={"figure": {"caption": "Steady training speed without one trick at a time, as a share of the speed with all of them. The whiskers span the rounds.", "name": "fig-bench-ablation"}, "image": {"alt": "Horizontal bars: the relative speed of the training loop without each of its tricks."}} tags=["live"]
_ = figures.ratio_bars(parts, "speed without it, relative to all tricks")

# %% [markdown]
# ## Against Hugging Face Trainer
#
# *Steady* speed leaves out the first five steps of a turn. *Total* counts everything between the call and its return,
# but for the evaluation. The accuracy is that of the development slice after the turn, at equal examples.

# %% tags=["nbval-ignore-output", "live"]
versus = outcome.table.drop(one_less)
Table(versus.round(3), index=True)

# %% mystnb={"figure": {"caption": "Steady training speed relative to the tuned Trainer. The whiskers span the rounds.", "name": "fig-bench-trainer"}, "image": {"alt": "Horizontal bars: our loop, the tuned Trainer at one, and the stock Trainer."}} tags=["live"]
_ = figures.ratio_bars(versus, "speed relative to the tuned Trainer")

# %% [markdown]
# **Check.** Speed is reported and not tested: a slow machine is no error. What must hold is that the contestants did the
# same work: the same number of examples in every turn.

# %% tags=["live"]
examples = outcome.turns.groupby("contestant").examples.agg(["min", "max"])
assert (examples.loc["seo_core"] == examples.loc["Trainer, tuned"]).all()
assert (examples.loc["seo_core"] == len(train)).all()
print("equal examples:", sorted(set(versus.index)))

# %% [markdown]
# ## The reference run
#
# The committed record of the profile `cpu`, with the six-layer encoder on real MultiNLI pairs:

# %% tags=["record", "hide-input"]
reference = results.load_records(results.reference_dir() / "cpu" / "bench_training")
Table(tables.contestant_table(reference))

# %% [markdown]
# ## Beside other work
#
# Threads wait for one another many times a step. By default they spin meanwhile, and burn the time of whoever wants their
# core. `import seo_core` lets them sleep: after a thousand turns where nothing else computes when you start, at once where something
# does, or where the runner makes two chapters at a time. `python -m seo_core.run bench neighbours` measures what that costs a
# training alone, and what it saves one beside a busy core, or two at once (their speeds added). "Spinning" is without it, "asleep"
# is at once everywhere, "spinning briefly" is after some turns everywhere. The committed record:

# %% tags=["record", "hide-input"]
beside = results.load_records(results.reference_dir() / "cpu" / "bench_neighbours")
Table(neighbours.shares(beside))

# %% [markdown]
# Sleeping has a price: a training that has the machine to itself is faster when it spins. In bf16 a step is short, and its threads wait more often than they
# work. Beside others it is the other way round, and by more. No number of turns is best at both, so it is chosen by what else runs. That is read once, when
# Python starts: a neighbour that comes later finds a training that still spins for these turns. If you know better, say it before Python starts:
# `OMP_WAIT_POLICY=passive` sleeps at once, for a machine that will be shared; `OMP_WAIT_POLICY=active` never sleeps, for one that you have to yourself.
#
# ## Where the time goes
#
# In a stock training step under autocast, the profiler finds about half of the time in matrix products, a fifth in drawing dropout
# masks, and most of the rest in element-wise work: casts, LayerNorm, GELU, residuals. In ours, matrix products are again
# about half of a step that is much shorter. What is left is GELU, softmax and copies, which only a fusing compiler would
# remove. `torch.compile` is not among the contestants: it needs a C++ compiler on the reader's machine.
#
# ## Exercises
#
# 1. Set `ONEDNN_MAX_CPU_ISA=AVX2` before starting Jupyter: a processor without bf16. Which tricks still pay?
# 2. Double the batch size. Does the ratio change? Why would it?
# 3. Give `fit` a model whose last layer is used as a whole (token classification, say). Which trick is lost?
