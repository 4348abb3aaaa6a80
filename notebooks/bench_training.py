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

# %% tags=["parameters"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
rounds: int = 0  # turns of each contestant; 0: what the profile says (quick 1, else 3)

# %%
import time
from dataclasses import replace

import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import tables
from seo_core.bench import training
from seo_core.bench import turns as turns_module
from seo_core.data import encode, prepare
from seo_core.models.backbone import load_backbone, model_info
from seo_core.training import TrainingConfig

started = time.time()
settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
plan = training.plan(settings, rounds=rounds)
plan

# %% [markdown]
# ## Data
#
# `plan` says how many pairs a turn has: a few hundred for the speed of the stock configuration, which is slow, and enough
# for the accuracy comparison to mean something. The token ids are computed once, outside the clock, for all alike.

# %%
task = prepare(replace(settings, train_rows=plan["accuracy_pairs"], development_rows=plan["development_pairs"]))
splits = {"train": task.splits["train"], "development": pd.concat([task.splits["reward"], task.splits["acceptance"]])}
network, tokenizer = load_backbone(settings.model, layers=settings.layers)
train, development = (encode(frame, tokenizer, texts=task.texts, max_length=settings.max_length)
                      for frame in splits.values())
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

# %% tags=["nbval-ignore-output"]
config = TrainingConfig.from_settings(settings, epochs=1)
ablation = training.ablation(train.take(range(plan["ablation_pairs"])), config, model=settings.model,
                              layers=settings.layers)
pieces = turns_module.interleave(ablation, rounds=plan["rounds"], progress=False)
parts = turns_module.summarize(pieces, baseline="all")
tables.Table(parts.round(2), index=True)

# %% mystnb={"figure": {"caption": "Steady training speed without one trick at a time, as a share of the speed with all of them. The whiskers span the rounds.", "name": "fig-bench-ablation"}, "image": {"alt": "Horizontal bars: the relative speed of the training loop without each of its tricks."}}
_ = figures.ratio_bars(parts, "speed without it, relative to all tricks")

# %% [markdown]
# ## Against Hugging Face Trainer
#
# *Steady* speed leaves out the first five steps of a turn. *Total* counts everything between the call and its return,
# but for the evaluation. The accuracy is that of the development slice after the turn, at equal examples.

# %% tags=["nbval-ignore-output"]
make = dict(model=settings.model, layers=settings.layers)
contestants = {
    "Trainer, tuned": training.trainer_contestant(train, config, tokenizer, development=development, **make),
    "seo_core": training.fit_contestant(train, config, development=development, **make),
    "Trainer, as run_glue": training.trainer_contestant(train.take(range(plan["stock_pairs"])), config, tokenizer,
                                                         tuned=False, **make)}
turns = turns_module.interleave(contestants, rounds=plan["rounds"], progress=False)
versus = turns_module.summarize(turns, baseline="Trainer, tuned")
tables.Table(versus.round(3), index=True)

# %% mystnb={"figure": {"caption": "Steady training speed relative to the tuned Trainer. The whiskers span the rounds.", "name": "fig-bench-trainer"}, "image": {"alt": "Horizontal bars: our loop, the tuned Trainer at one, and the stock Trainer."}}
_ = figures.ratio_bars(versus, "speed relative to the tuned Trainer")

# %%
record = results.write(
    "bench_training", "training_speed", settings=settings, data=task, model_info=model_info(network, settings.model),
    metrics={"speed_ratio": versus.ratio["seo_core"], "speed_ratio_total": versus.ratio_total["seo_core"]},
    contestants={**turns_module.as_contestants(versus), **turns_module.as_contestants(parts, "without ")},
    parameters={"plan": plan, "training": config.__dict__}, started=started)

# %% [markdown]
# **Check.** Speed is reported and not tested: a slow machine is no error. What must hold is that the contestants did the
# same work: the same number of examples in every turn.

# %%
examples = turns.groupby("contestant").examples.agg(["min", "max"])
assert (examples.loc["seo_core"] == examples.loc["Trainer, tuned"]).all()
assert (examples.loc["seo_core"] == len(train)).all()
print("equal examples:", sorted(set(turns.contestant)))

# %% [markdown]
# ## The reference run
#
# The committed record of the profile `cpu`, with the six-layer encoder on real MultiNLI pairs:

# %%
reference = results.load_records(results.reference_dir() / "cpu" / "bench_training")
tables.Table(tables.contestant_table(reference))

# %% [markdown]
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
