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
# The papers' second table gives megabytes: 420 for BERT-base, 364 after pruning, 150 after quantization, 201 after distillation, 136 for all together, "a 67.6% decrease" {cite}`seollm2024,sec2025`. Do files shrink like that?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import gzip
from pathlib import Path

import pandas as pd

from seo_core import load_settings, results
from seo_core.analysis import (
    NOT_RUN,
    glue,
    papers,
    tables,
    tradeoff,
    verdicts,
)
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.deploy import artifact
from seo_core.models.backbone import model_folder

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)


def size_table(frame):
    """Bytes of files beside the papers' megabytes."""
    return tables.size_table(frame, "size_mb", "size_bytes", 1e-6, "MB")

# %% tags=["record", "answer", "remove-input"]
reference = glue.of_task(
    results.load(results.reference_dir() / "cpu"), "mnli")
sizes = size_table(reference)
share = sizes["ours, of the baseline"].replace("—", NOT_RUN)
claimed = sizes["papers, of the baseline"]
ours = Evidence(frame=reference)
Finding(f"""
As shares of the baseline's file: with half of the weights at zero
{share['prune']} (the papers: {claimed['prune']}), rounded to int8
{share['quant']} ({claimed['quant']}), as a student with every second layer
{share['kd']} ({claimed['kd']}), all together {share['seo']}
({claimed['seo']}). A zero takes as many bytes as any other number, and what
is done to the word table decides the rest.

What that costs on the matched set, also beside the uncompressed network after
as much training. Zeros: {ours.price('prune')}. Rounded: {ours.price('quant')}.
The student: {ours.price('kd')}.""")

# %% tags=["record", "hide-input"]
Table(sizes)

# %% [markdown]
# ## The idea: weigh the file that is loaded
#
# The papers do not say what was weighed: the file, the weights in memory, or a count of the weights that are not zero. Here a size is **the bytes of the file that is actually loaded**. Ours are those of the file that was timed for [](tab3_inference_speed), if one was. That file is {term}`ONNX`, for `base` too.
#
# Each share is that of the baseline in the same column, since the networks differ in size. How large must a file be? The weights of a BERT can be counted from its shape. With $d$ hidden units, $f$ neurons and $L$ layers, the encoder has $L\,(4 d^2 + 2 d f)$ and some biases; the {term}`word table` has $30\,522\, d$.

# %% tags=["here"]
shapes = {"BERT-base": (768, 12, 3072),
          "MiniLM-L6 (our baseline)": (384, 6, 1536)}
weights = {name: tradeoff.bert_weights(*shape, 30_522)
           for name, shape in shapes.items()}
counted = pd.DataFrame(weights) / 1e6
counted.loc["all"] = counted.sum()
for name, parts in counted.items():
    print(f"{name}: {parts['all']:.2f} million weights,",
          f"{parts['word table'] / parts['all']:.0%} of them the word table")
Table(counted.round(2).reset_index(names="weights, millions"),
      folded="part by part")

# %% [markdown]
# From that, what a file should weigh. *int8, linear maps* is what most tools do by default: the embeddings stay as they are.

# %% tags=["here"]
def files_of(parts):
    """Bytes by kind of file, from the weights of each part."""
    total, words = sum(parts.values()), parts["word table"]
    embedded = words + parts["other embeddings"]
    return {"fp32": 4 * total, "fp32, 13% of it gone": 0.87 * 4 * total,
            "int8, linear maps": 4 * embedded + (total - embedded),
            "int8, word table too": total,
            "as before, words in 4 bits": total - words * 3 / 8}


expected = pd.DataFrame({
    name: files_of(parts) for name, parts in weights.items()}) / 1e6
Table(expected.round(1).reset_index(names="megabytes"))

# %% [markdown]
# **Check.** The counts are those of the real networks. A quarter of the bytes needs the word table in int8. The papers' int8 is neither of the two files that int8 can mean. And no file of ours is noticeably larger than the baseline's.

# %% tags=["here"]
total = {name: sum(parts.values()) for name, parts in weights.items()}
assert list(total.values()) == [109_484_547, 22_714_371]
base, mini = (expected[name] for name in shapes)
assert round(base["fp32"] / 1.048576, 1) == 417.7
assert (base["int8, word table too"] < papers.PAPER_TABLE["quant"].size_mb
        < base["int8, linear maps"])
assert mini["int8, linear maps"] > 0.6 * mini["fp32"]
assert mini["int8, word table too"] == mini["fp32"] / 4
points = tradeoff.points(reference)
assert (points["smaller"].dropna() > 0.97).all()
print("a quarter of the bytes only with the word table in int8")

# %% [markdown]
# ## What the papers report
#
# Their 420 MB are the 438 million bytes of the first row in units of $2^{20}$ {cite}`sec2025`. Their 150 for int8 fits no row: too much if the word table is in int8, too little if it is not. Their 364 belong to a network that was pruned *by magnitude*. There weights become zero and stay in the file, so the smaller file needs an explanation that is not given.
#
# The ratios were fixed as claims before anything was compressed:

# %% tags=["record", "hide-input"]
cells = tuple(
    claim for claim in (*verdicts.HEADLINE_CLAIMS, *verdicts.TABLE_CLAIMS)
    if claim.id == "h-size" or claim.id.endswith("-size_mb"))
judged = verdicts.audit(reference, cells)
Table(tables.verdict_table(judged))

# %% [markdown]
# ## What the records say
#
# How small does it get, and at what price?

# %% tags=["record", "remove-input"]
files = points[points["megabytes"].notna()].sort_values("megabytes")
rows = files.set_index("configuration")
best = rows[rows["smaller"] >= 10]["accuracy"].idxmax() if (
    rows["smaller"] >= 10).any() else None

Finding(f"""
The smallest file is `{rows.index[0]}`: {rows['megabytes'].iloc[0]:.1f} MB,
{rows['smaller'].iloc[0]:.0f} times smaller than the baseline, with
{rows['accuracy'].iloc[0]:.1f}% right instead of
{rows['accuracy'].get('base', float('nan')):.1f}%
({ours.price(rows.index[0])}).
Of the files that are at
least ten times smaller, `{best}` is right most often:
{rows['accuracy'].get(best, float('nan')):.1f}% in
{rows['megabytes'].get(best, float('nan')):.1f} MB ({ours.price(best)};
[](13_quantization_distillation)).
""" if len(rows) else NOT_RUN)

# %% tags=["record", "hide-input"]
compressed = reference[reference["experiment"].isin(tradeoff.CHAPTERS)]
shown = files[["configuration", "megabytes", "smaller",
               "accuracy", "seeds"]].round(2)
shown = shown.join(
    tables.both_differences(compressed, shown["configuration"]),
    on="configuration")
Table(shown if len(shown) else tables.rows_or([], ["configuration"]),
      folded="every file, smallest first")

# %% [markdown]
# :::{dropdown} How to read this table
# All compressed networks of the reference runs; accuracy is the mean of both official sets. A network that was timed has the bytes of the ONNX file that was timed. Any other has those of the file that its chapter kept: ONNX for integers, safetensors for {term}`fp32`.
#
# *To equal control* is the difference in accuracy to the same network, uncompressed, after at least as much training ([](10_adaptive_iterative_pruning)). *No equal control*: the arm saw more pairs than that. *Stands*: the difference is more than chance among all of this page ({term}`Holm correction`).
# :::
#
# The same weights take a little more as ONNX, which holds the graph too.

# %% tags=["record", "hide-input"]
trials = reference["configuration"].str.startswith("base-trial", na=False)
known = reference[~trials]  # trials of a search are no rows here
known = known.assign(size_bytes=known.get("size_bytes", float("nan")))
known = known[known["size_bytes"].notna()]
plain = [name for name, family in tradeoff.FAMILIES.items()
         if family not in ("quantization", "SQD")]
places = {"safetensors, MB": plain, "ONNX, MB": [tradeoff.SPEED]}
both = pd.DataFrame({
    kind: known[known["experiment"].isin(names)].groupby("configuration")[
        "size_bytes"].mean() / 1e6 for kind, names in places.items()}).dropna()

# %% tags=["record", "hide-input"]
both["graph, MB"] = both["ONNX, MB"] - both["safetensors, MB"]
print(f"{len(both)} networks: the graph takes {both['graph, MB'].min():.2f}",
      f"to {both['graph, MB'].max():.2f} MB" if len(both) else NOT_RUN)
Table(both.round(2).reset_index(), folded="network by network")

# %% [markdown]
# And this run's files? Under `quick` the networks are those of the book, and only their training is short, so their sizes mean something.

# %% tags=["nbval-ignore-output", "live"]
Table(size_table(run), folded="this run beside the papers")

# %% [markdown]
# In MiniLM-L6 half of the weights are the word table, in BERT-base a fifth. So what is done to the table (bits, fewer words) decides the size of a small network, and what is done to the encoder (pruning, fewer layers) that of a large one.

# %% tags=["record", "hide-input"]
print(tables.standing(known))
Table(tables.standing_on(known), folded="the records behind this page")

# %% [markdown]
# ## To remember
#
# - Weigh the file that is loaded. Zeros, and "parameters left", are no bytes.
# - Of a small network half is the word table: without fewer bits there, int8 cannot give a quarter.
# - A megabyte may be $10^6$ bytes or $2^{20}$. Say which, and give the ratio to a baseline of the same format.
#
# ## Exercises
#
# **1.** A pruned network is stored as indices and values of the weights that are left. From which {term}`sparsity` on is that smaller than the fp32 file?

# %% tags=["hide-cell"]
for index, name in ((4, "positions of four bytes"), (2, "gaps of two bytes"),
                    (1 / 8, "a bit for every weight")):
    each = index if index < 1 else 0  # the bits are there for zeros too
    spent = 4 if each else 4 + index
    print(f"{name}: above {1 - (4 - each) / spent:.0%} of zeros")

# %% [markdown]
# **2.** Compress a part of the fp32 file of the start weights, and of the small artifact, with gzip. Which one shrinks more, and why?

# %% tags=["hide-cell", "here", "nbval-ignore-output"]
paths = {"fp32": Path(model_folder()) / "model.safetensors",
         "integers": artifact.locate("reference") / "model.onnx"}
for name, path in paths.items():
    whole = path.read_bytes()
    part = whole[len(whole) // 2:][:3_000_000]
    print(f"{name}: {len(gzip.compress(part, 6)) / len(part):.0%} left")
print("most bits of a fp32 weight are noise, which nothing compresses;",
      "small integers repeat, since most weights lie near zero", sep="\n")

# %% [markdown]
# **3.** Which network of this page could be sent to a telephone within two seconds at 20 megabits a second?

# %% tags=["hide-cell", "record"]
seconds = 8 * rows["megabytes"] / 20  # 8 bits a byte
print((seconds[seconds <= 2].round(2).to_string() or "none")
      if len(rows) else NOT_RUN)
