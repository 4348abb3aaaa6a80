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
# Give it pairs, labels, bytes and a time, and get a small network: this is the whole system of the papers {cite}`seollm2024,sec2025` on one page. Each box of [their Figure 1](fig1_architecture) is one call here, and the
# [controller](14_synergy_controller) decides which of them works next.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline, the draws and the order of training
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables
from seo_core.analysis.tables import Table
from seo_core.arms import known, open_lab

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, labels=labels, text=text, epochs=epochs,
                         train_rows=train_rows, development_rows=development_rows)
lab = open_lab("15_seo_llm", settings)

# %% [markdown]
# ## One call
#
# `seo` begins with the [baseline](02_baseline), trained on all labels that there are. Then rounds: ADA's [edits](04_adaptive_augmentation), the teacher's [soft labels](08_semi_supervised), a [pruning](10_adaptive_iterative_pruning) step,
# [integers](13_quantization_distillation), or more training; where labels are still to be bought, [the purchase](07_transfer_active_learning) too. The floor is as far below the baseline as you allow.

# %% tags=["nbval-ignore-output", "live"]
run = lab.arm("seo")
recipe, m = known("seo").suited(settings).recipe, run.metrics
print(f"{m['rounds']} rounds, {m['rounds_back']} taken back; {m['removed']:.0%} of the encoder gone, {m['size_bytes'] / 1e6:.1f} MB")
rounds = tables.controller_rounds(run.record)
Table(rounds[["round", "action", "loss", "accuracy, %", "file, MB", "λ data", "λ model", "kept"]])

# %% mystnb={"figure": {"caption": "The rounds of this run. A toy: the development slice has so few pairs under the profile quick that one answer is half a point.", "name": "fig-seo-rounds"}, "image": {"alt": "Three panels over the rounds of this run: accuracy with a marker for each action and the floor as a dotted line, the file's size, and the two prices."}} tags=["live"]
_ = figures.rounds(rounds, floor=100 * m["floor"])

# %% [markdown]
# **Check.** What was deployed is what the rounds made: the file has the bytes that the last round foresaw, the network the share that pruning left, and no accepted round is below the floor or over a budget.

# %% tags=["live"]
kept = rounds[rounds["kept"] == "yes"]
assert (kept["accuracy, %"] >= 100 * m["floor"] - 0.01).all()
assert m["labels"] == len(run.rows) == len(set(run.rows)) <= len(lab.pool)
assert abs(m["size_bytes"] / 1e6 - kept["file, MB"].iloc[-1]) < 0.05 * m["size_bytes"] / 1e6
assert "quantize" in set(kept["action"]) and 0 < m["removed"] < 1
print("every accepted round held the floor, and the file is what the last of them said")

# %% [markdown]
# ## Against the baseline
#
# The same evaluation rows, paired one by one. Under `quick` this says that the parts fit together, and nothing about how good they are.

# %% tags=["nbval-ignore-output", "live"]
base = lab.arm("base")
rows = [(name, *(100 * value for value in each.accuracies.values()), each.metrics["size_bytes"] / 1e6) for name, each in (("baseline", base), ("SEO-LLM", run))]
Table(pd.DataFrame(rows, columns=["", *(f"{name}, %" for name in base.accuracies), "file, MB"]).round(2))

# %% [markdown]
# ## From your own file
#
# The same from a shell, with your labels and your goals. It says beforehand how long it takes, goes on where it was stopped, and ends with a folder that [`seo_core.load`](../book/api/deploy) opens and a page with every round:
#
# ```
# python -m seo_core.run compress --data pairs.csv --text a b --label y --controller \
#     --max-size 8MB --max-loss 1.0 --time 1h --labels 4000 --out model
# ```
#
# Leave `--labels` out where all your rows have one. Leave `--controller` out for the book's static recipe ([](13_quantization_distillation)): it has the longer record, and the chapter on the [controller](14_synergy_controller) says whether rounds have been shown to beat it.
#
# ## What the papers report
#
# The combined system is the last row of each of their tables: 69% of the training time, 67.6% smaller, 1.9 times faster, accuracy higher than the baseline's, with 30% fewer labels. What of this our records bear out stands in [the audit](claims_audit), claim by claim.
#
# ## The reference runs
#
# Records of the profile `cpu` with all labels: `seo` against the baseline that it begins with, on the rows of the development slice.

# %% tags=["record", "hide-input"]
frame = results.load(*(results.reference_dir() / "cpu" / name for name in ("02_baseline", "15_seo_llm")))
print(tables.absent(frame, ["seo"]))
against = contrasts.differences(frame, {"seo": "base"}, ["accuracy_development"], labels=None)
Table(tables.pair_table(against))

# %% [markdown]
# ## What changes with scale
#
# Nothing in the call. On a GPU the rounds are shorter and the network larger; `seconds` and `speed` of the recipe say how much work a run may do, so a slower machine takes longer for the same run.
#
# **To remember**
#
# - The whole system is one state, six actions and a controller that picks.
# - Every round is a transaction, and the run resumes at the round where it was stopped.
# - For a model you ship, compare it with the static recipe on your own rows first.
#
# ## Exercises
#
# 1. Forbid pruning: `lab.arm("seo", knobs={"without": ("buy", "prune")})`. How many bytes are left to gain?
# 2. Set `loss=0.0`. How many rounds are rolled back, and which actions?
# 3. Stop the call in the middle and start it again. Which rounds are run anew?
