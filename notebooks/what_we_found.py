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
# # Cheaper language models, measured
#
# Four published systems claim to train a text classifier with less data and time, and to make it smaller and faster. This book rebuilds them, runs them, and says what holds. Five findings, on pairs of sentences from MultiNLI {cite}`williams2018`:

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0
data: str = "default"  # of the runs in this book; the findings are of its records
model: str = "default"  # likewise
results_dir: str = "default"  # where the records go

# %% tags=["hide-input"]
import time

import pandas as pd

import seo_core
from seo_core import figures, results
from seo_core.analysis import tables, tradeoff, verdicts
from seo_core.analysis.findings import MATCHED, Contest, Evidence, Finding
from seo_core.analysis.tables import Table

frame = results.load(results.reference_dir() / "cpu")
small = Evidence(*tradeoff.CHAPTERS, task="mnli")
speed = Evidence(tradeoff.SPEED)
bought = Evidence("06_active_learning", labels=8000)
source = Evidence("05_transfer_learning", labels=8000)
edited = Evidence("03_augmentation", labels=8000)
judged = verdicts.audit(frame, verdicts.CLAIMS + verdicts.TABLE_CLAIMS)
claimed = {word: (judged["verdict"] == word).sum() for word in (
    "reproduced", "better than claimed", "partly", "not reproduced",
    "not settled", "confounded", "not run", "not testable as stated")}

# %% tags=["record", "answer", "remove-input"]
nearest, share = tradeoff.nearest_control(small.frame, "sqd-taylor-65")
part = f"{share:.0%}" if share == share else "not run"
raced = Contest("bench_serving", "engines")
over = {rival: raced.times(rival, "reference", "ms_32")
        for rival in ("dynamic, per tensor", "dynamic, per channel")}
Finding(f"""
**1. Smaller.** Cut to 35% of its encoder and trained in int8, the network's
file is {small.mean('sqd-taylor-65', 'size_bytes', scale=1e-6, unit=' MB')}
instead of {small.mean('base', 'model_parameters', scale=4e-6, unit=' MB')}.
It {small.told('sqd-taylor-65', 'base', same='is not told apart from')} the
baseline: {small.gap('sqd-taylor-65', 'base', MATCHED)}. Against the nearest
control, the same network uncut and trained on with a teacher for {part} of
the pairs: {small.gap('sqd-taylor-65', nearest, MATCHED)}
([chapter](13_quantization_distillation.ipynb)).

**2. Faster.** A batch takes
{speed.ratio('base', 'sqd-taylor-65', 'latency_ms_p50')} as long in the
baseline as in that file, and
{speed.ratio('control-plain', 'sqd-taylor-65', 'latency_ms_p50')} as long in
the library's int8 ([all contestants](tab3_inference_speed.ipynb),
[faster rivals](bench_serving.ipynb)). The libraries offer int8 with one scale
per tensor and per channel: that file is {over['dynamic, per tensor']} and
{over['dynamic, per channel']} as fast as these.

**3. Which labels you buy hardly matters here.** Of 8 000 labels,
those that the model is least sure of and that differ most (`hybrid`) bring
{bought.gap('hybrid', 'random', MATCHED)} over a random draw; the best
criterion (`badge`) brings {bought.gap('badge', 'random', MATCHED)}
([chapter](06_active_learning.ipynb)).

**4. A related task helps; edited text is not shown to.** A start from the
labels of another task brings {source.gap('tl', 'base', MATCHED)}
([chapter](05_transfer_learning.ipynb)). Edited copies of the training texts
bring {edited.gap('da-static', 'da-copies', MATCHED)} over plain copies
([chapter](03_augmentation.ipynb)).

**5. The papers.** Of {len(judged)} claims, in their texts and in the cells of
their tables, {claimed['reproduced']} are reproduced,
{claimed['better than claimed']} better than claimed,
{claimed['partly']} partly reproduced, {claimed['not reproduced']} not
reproduced,
{claimed['not settled'] + claimed['confounded']} not settled or confounded,
{claimed['not run']} not run, and {claimed['not testable as stated']} cannot be
tested as stated ([the audit](claims_audit.ipynb)). Their numbers
[contradict one another](../book/papers.md).""")

# %% mystnb={"figure": {"caption": "What a smaller file costs: accuracy (mean of MultiNLI's two official sets) over the size of the file. Grey: all that was tried. The line joins what nothing else beats.", "name": "fig-found"}, "image": {"alt": "Points of accuracy over file size on a scale of factors of two. The network cut to 35 percent and trained in int8 lies as high as the baseline at a twelfth of its size; the baseline trained on lies one point above both."}} tags=["record", "hide-input"]
table = tradeoff.points(frame)
_ = figures.smaller(table, {
    "base": "baseline", "distilled": "baseline, trained on",
    "quant": "rounded to int8", "sqd-taylor-65": "cut to 35%, int8",
    "sqd-taylor-80": "cut to 20%, int8"})

# %% tags=["record", "hide-input"]
print(tables.standing(frame))

# %% [markdown]
# Points are points of accuracy, with 95% intervals; one seed says nothing about other seeds. Each number comes from a committed record.
#
# ## Ask the small model
#
# The model of finding 1 comes with the book. Change the sentences and run the cell again, or use it [in your browser](../book/in_the_browser.md):

# %% tags=["here", "nbval-ignore-output"]
said = "A man is playing a guitar on stage."
claims = ["A person is making music.", "A man is playing his favourite song.",
          "Nobody is on the stage."]
classifier = seo_core.load("reference")
start = time.perf_counter()
answers = classifier.predict([(said, claim) for claim in claims])
print(f"{1000 * (time.perf_counter() - start):.0f} ms for three answers,",
      f"from a file of {classifier.size_bytes / 1e6:.1f} MB")

# %% tags=["here"]
expected = ["entailment", "neutral", "contradiction"]
assert answers == expected
Table(pd.DataFrame({"hypothesis": claims, "answer": answers}))

# %% tags=["record", "remove-input"]
Finding(f"""
These are easy ones. On MultiNLI a network made like it gets
{small.mean('sqd-taylor-65')} right, and the uncompressed baseline
{small.mean('base')}.""")

# %% [markdown]
# ## Make one from your own pairs
#
# Write pairs into a csv file with the columns `premise`, `hypothesis` and `label`. One command makes the model:
#
# ```bash
# python -m seo_core.run compress --data pairs.csv --max-size 8MB --out model/
# ```
#
# Two lines ask it, here or in any program:
#
# ```python
# import seo_core
# seo_core.load("model").predict([("A man is playing a guitar on stage.", "A person is making music.")])
# ```

# %% tags=["record", "remove-input"]
made = Evidence("compress").frame
pairs, single = (Evidence(frame=made[
    made["data_name"] == f"path/to/{name}"] if len(made) else made)
    for name in ("mrpc", "sst2"))
Finding(f"""
On two cores with bf16 that took
{pairs.mean('compressed', 'seconds', scale=1 / 60, unit=' minutes', digits=0)}
with {pairs.mean('compressed', 'train_rows', scale=1, unit='', digits=0)}
training pairs (MRPC), and
{single.mean('compressed', 'seconds', scale=1 / 60, unit=' minutes', digits=0)}
with {single.mean('compressed', 'train_rows', scale=1, unit='', digits=0)}
single sentences (SST-2). Without bf16 it takes about five times as long.
[The whole way](../book/smaller_model.md) says what else you can ask for.""")

# %% [markdown]
# ## What to use for what
#
# | you have, you want | use | chapter |
# |---|---|---|
# | a model that is small and fast | cut units by Taylor score, then train in int8 with the uncut network as teacher | [](13_quantization_distillation) |
# | the same in minutes, without training | round to int8, calibrated by pairs | [](11_quantization) |
# | few labels | a start from a related task, then a random draw | [](05_transfer_learning) |
# | much unlabelled text | soft labels of a teacher on it | [](12_distillation) |
# | less memory in training | batches in parts, layers computed twice | [](16_mixed_precision) |
# | an answer for a program | the server, or the browser | [](21_serving) |
#
# ## Ways through the book
#
# - **Today**: [a smaller model from your own pairs](../book/smaller_model.md), in one command.
# - **An afternoon**: [](09_pruning), [](11_quantization) and [](13_quantization_distillation), then [](fig3_size_vs_speed).
# - **A course**: the chapters in order, from [](01_data) on, with their exercises.
# - **A review**: [](claims_audit), then any record that you doubt.
#
# [About this book](../book/intro.md) says how to rerun it, and what the four systems are.
