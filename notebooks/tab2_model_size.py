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
# # Table 2: model size
#
# The papers' second table gives megabytes: 420 for BERT-base, 364 after pruning, 150 after quantization, 201 after distillation, 136 for all
# together, "a 67.6% decrease" {cite}`seollm2024,sec2025`. It does not say what was weighed: the file, the weights in memory, or a count of
# the weights that are not zero.
#
# Here a size is **the bytes of the file that is actually loaded**. A zero that is stored takes as much as any other number.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import pandas as pd

from seo_core import load_settings, results
from seo_core.analysis import NOT_RUN, papers, tables, tradeoff, verdicts
from seo_core.analysis.tables import Table

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
reference = results.load(results.reference_dir() / "cpu")

# %% [markdown]
# ## What the numbers must be
#
# The weights of a BERT can be counted from its shape: with $d$ hidden units, $f$ neurons and $L$ layers, the encoder has
# $L\,(4 d^2 + 2 d f)$ and some biases; the word table has $30\,522\, d$.

# %% tags=["live"]
shapes = {"BERT-base": (768, 12, 3072), "MiniLM-L6 (our baseline)": (384, 6, 1536)}
weights = {name: tradeoff.bert_weights(*shape, 30_522) for name, shape in shapes.items()}
counted = pd.DataFrame(weights) / 1e6
counted.loc["all"] = counted.sum()
Table(counted.round(2).reset_index(names="weights, millions"))

# %% [markdown]
# From that, what a file should weigh. "int8, linear maps" is what most tools do by default: the embeddings stay as they are.

# %% tags=["live"]
rows = {}
for name, parts in weights.items():
    total = sum(parts.values())
    table = parts["word table"] + parts["other embeddings"]
    rows[name] = {"fp32": 4 * total, "fp32, 13% of it gone": 0.87 * 4 * total, "int8, linear maps": 4 * table + (total - table),
                  "int8, word table too": total, "as before, words in 4 bits": total - parts["word table"] * 3 / 8}
expected = pd.DataFrame(rows) / 1e6
Table(expected.round(1).reset_index(names="megabytes"))

# %% [markdown]
# The papers' 420 MB are the 438 million bytes of the first row in units of $2^{20}$ (417.7). Their 150 for int8 fits no row: it is too much if the word table is in int8, and
# too little if it is not. Their 364 for a network that was pruned *by magnitude*, where weights become zero and stay in the file, needs an explanation that is not given.
#
# ## The papers' table and ours
#
# As factors of the baseline in the same column, since the networks differ in size. Ours are the bytes of the file that was timed for
# [](tab3_inference_speed), if one was. That file is ONNX, for `base` too: fp32, as the library exports it.

# %% tags=["record", "hide-input"]
Table(tables.size_table(reference, "size_mb", "size_bytes", 1e-6, "MB"))

# %% [markdown]
# The same with the records of this run. Under `quick` the networks are those of the book, only their training is short, so that their sizes mean something.

# %% tags=["nbval-ignore-output", "live"]
Table(tables.size_table(run, "size_mb", "size_bytes", 1e-6, "MB"))

# %% [markdown]
# ## Verdicts
#
# The papers' ratios were fixed as claims before anything was compressed. Sizes have no spread between equal runs.

# %% tags=["record", "hide-input"]
cells = tuple(c for c in (*verdicts.HEADLINE_CLAIMS, *verdicts.TABLE_CLAIMS) if c.id == "h-size" or c.id.endswith("-size_mb"))
judged = verdicts.audit(reference, cells)
Table(judged[["claim", "statement", "ours", "n", "verdict"]])

# %% [markdown]
# ## Every file
#
# All compressed networks of the reference runs, smallest first; accuracy is the mean of both official sets. A network that was timed has the bytes of
# the ONNX file that was timed. Any other has those of the file that its chapter kept: ONNX for integers, safetensors for fp32. *To equal control* is the difference in accuracy
# to the same network, uncompressed, after at least as much training ([](10_adaptive_iterative_pruning)); *no equal control*: the arm saw more pairs than that.

# %% tags=["record", "hide-input"]
points = tradeoff.points(reference)
files = points[points["megabytes"].notna()].sort_values("megabytes")
compressed = reference[reference["experiment"].isin(tradeoff.CHAPTERS)]
shown = files[["configuration", "megabytes", "smaller", "accuracy", "seeds"]].round(2)
shown = shown.join(tables.to_control(compressed, shown["configuration"]), on="configuration")
Table(shown if len(shown) else pd.DataFrame([{"configuration": NOT_RUN}]))

# %% [markdown]
# The same weights take a little more as ONNX, which holds the graph too. Networks in fp32 of which there are both files:

# %% tags=["record", "hide-input"]
known = reference[~reference["configuration"].str.startswith("base-trial")]  # trials of the baseline's search are no rows here
known = known[known["size_bytes"].notna()] if "size_bytes" in known else known.assign(size_bytes=0.0)[:0]
places = {"safetensors, MB": ["09_pruning", "10_adaptive_iterative_pruning", "12_distillation"], "ONNX, MB": [tradeoff.SPEED]}
both = pd.DataFrame({kind: known[known["experiment"].isin(names)].groupby("configuration")["size_bytes"].mean() / 1e6
                     for kind, names in places.items()}).dropna()
both["graph, MB"] = both["ONNX, MB"] - both["safetensors, MB"]
Table(both.round(2).reset_index() if len(both) else pd.DataFrame([{"configuration": NOT_RUN}]))

# %% [markdown]
# **Check.** The counts are those of the real networks; a quarter of the bytes needs the word table in int8; no row of ours is larger than the baseline; and
# the papers' int8 is neither of the two files that int8 can mean.

# %% tags=["live"]
total = {name: sum(parts.values()) for name, parts in weights.items()}
assert total["BERT-base"] == 109_484_547 and total["MiniLM-L6 (our baseline)"] == 22_714_371
base, mini = expected["BERT-base"], expected["MiniLM-L6 (our baseline)"]
assert round(base["fp32"] / 1.048576, 1) == 417.7 and round(base["int8, linear maps"]) == 181
assert base["int8, word table too"] < papers.PAPER_TABLE["quant"].size_mb < base["int8, linear maps"]
assert mini["int8, linear maps"] > 0.6 * mini["fp32"] and mini["int8, word table too"] == mini["fp32"] / 4
assert (files["smaller"].dropna() > 0.97).all()
print("22.7 and 109.5 million weights; a quarter of the bytes only with the word table in int8")

# %% [markdown]
# ## What changes with scale
#
# In MiniLM-L6 half of the weights are the word table, in BERT-base a fifth. So what is done to the table (bits, fewer words) decides the size of
# a small network, and what is done to the encoder (pruning, fewer layers) that of a large one.
#
# ## The records behind this page

# %% tags=["record", "hide-input"]
Table(tables.standing_on(known))

# %% [markdown]
# ## Exercises
#
# 1. A pruned network is stored as indices and values of the weights that are left. From which sparsity on is that smaller?
# 2. Compress the fp32 file and the int8 file with gzip. Which one shrinks more, and why?
# 3. Which network on this page could be sent to a telephone within one second at 20 megabits a second?
