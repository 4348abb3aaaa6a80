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
# # Figure 3: size against speed
#
# Figure 3 of SEO-LLM compares models by size and inference speed and puts the combined system in the best place: 3.1 times smaller and 1.9 times faster than BERT-base
# {cite}`seollm2024`. One such point says little. What a method can do is a *curve*: how much accuracy is left at each size, and at each speed.
#
# A network is on the **Pareto front** if no other is as small (or as fast) and at least as accurate. Everything below the front is a bad bargain, however it was made.

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import numpy as np
import pandas as pd

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, papers, tables, tradeoff
from seo_core.analysis.tables import Table

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir)
points = tradeoff.points(results.load(results.reference_dir() / "cpu"))
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
run = tradeoff.points(run)

# %% [markdown]
# ## The papers' own points
#
# From their tables 2 to 4. Rows without a size are those that do not change the model.

# %% tags=["live"]
printed = pd.DataFrame([(name, row.accuracy, row.size_mb, row.latency_ms) for name, row in papers.PAPER_TABLE.items() if row.size_mb],
                      columns=["configuration", "accuracy", "megabytes", "ms"])
fronts = {cost: list(tradeoff.pareto(printed, cost=cost)["configuration"]) for cost in ("megabytes", "ms")}
Table(printed.assign(**{f"on the front, {cost}": printed["configuration"].isin(front) for cost, front in fronts.items()}))

# %% [markdown]
# By these numbers the combination is smaller, faster *and* more accurate than everything else, the baseline included: there is no trade-off left. Compare the last table of
# [](claims_audit).
#
# ## Ours
#
# Each point is a network of the reference runs: accuracy is the mean of both official sets, size that of the file that is loaded, speed that of the benchmark of [](tab3_inference_speed),
# both compared with the baseline's fp32 file as the library exports it, under ONNX Runtime (`static-openvino`: under OpenVINO). Part of an integer file's factor is our exporter, which makes
# the unpruned fp32 network faster too: that is the diamond nearest to the baseline, `onnx-fp32`. The dotted lines are the papers' factors.

# %% mystnb={"figure": {"caption": "Accuracy of the compressed networks over how many times smaller (left) and faster (right) they are than the baseline (reference runs, means over the seeds, logarithmic axes). Thin lines: the curve of each method, from the baseline along the best that it gives at each size or speed; none for the integer students without SQD. Wide and grey: what no network of any method beats. Dotted: the papers' combined system. Networks that lose more than ten points are named below the axis.", "name": "fig-size-speed"}, "image": {"alt": "Two plots of accuracy over size and speed factors: marks for the networks, a thin line for each method, a wide grey line along the best of all, and a dotted vertical line at the papers' factor of 3.1 and 1.9; without records both say not run."}} tags=["record", "hide-input"]
_ = figures.size_vs_speed(points)

# %% tags=["record", "hide-input"]
columns = ["configuration", "accuracy", "megabytes", "smaller", "ms", "faster", "seeds"]
front = {title: tradeoff.pareto(points, cost=cost)[columns].round(2) for title, cost in (("size", "megabytes"), ("speed", "ms"))}
best = pd.concat([part.assign(front=title) for title, part in front.items()])
compressed = results.load(*(results.reference_dir() / "cpu" / name for name in tradeoff.CHAPTERS))
best = best.join(tables.to_control(compressed, best["configuration"]), on="configuration")
Table(best if len(best) else pd.DataFrame([{"configuration": NOT_RUN}]))

# %% [markdown]
# Megabytes are those of the file that was timed, which is ONNX. A network without a time has those of the file that its chapter kept: ONNX for integers, safetensors
# for fp32. The difference is the graph, see [](tab2_model_size).
#
# By size the methods take turns. Removing units costs nothing that shows up to two thirds of the encoder, but half of the bytes are the word table, which stays as it is:
# 1.4 times is all that comes of it. Fewer layers with the same table are at no size better. Rounding alone, with a step for each channel, passes the papers' factor: 3.9 times (`static`), and 4.9 with the words in
# four bits, at no loss that shows. Leaving words out costs a point where nothing is trained afterwards. Further goes only what combines them: 11.8 times with
# no loss that shows over three seeds, 19.5 times for a point and a half to two. At that size the grey line falls off a cliff, where `sqd-tiny`, two
# whole layers thinned to 576 neurons each, loses nine points ([](13_quantization_distillation)).
#
# By speed, units removed reach 2.4 times with no loss that shows, and 3.8 with eighty percent gone and a point and a half lost. Static int8 has 3.8 times without a loss that shows; a factor of 1.2 of it is
# our exporter ([](tab3_inference_speed) has both exports). Both together give 5.7 times and still no loss that shows. Students with fewer layers in fp32 are less accurate than units removed at the same
# speed, as far as those go. Fewer bytes are not less time: without rare words texts get longer (`vocabulary`), and `sqd-taylor-80`, six thin layers, is hardly faster than `sqd-taylor-65`. Where the grey line goes down between 6 and 7 times it joins networks of one shape, which were
# taught differently: their times differ by chance, and so do their places on it.
#
# "No loss that shows" is against the baseline of all these chapters, three epochs on the labels. It was not trained to the end: after six and a half more passes with its own soft
# labels the same network, uncompressed, is a point better (`distilled`, [](10_adaptive_iterative_pruning)). What a method costs beside *that* one is more:
# the table has it as *to equal control*. *No equal control* says that an arm saw more pairs than that network, with all that it was made from.
#
# The same with the records of this run. Under `quick` the accuracies are those of a minute's training.

# %% mystnb={"figure": {"caption": "The same for the records of this run.", "name": "fig-size-speed-run"}, "image": {"alt": "Two scatter plots of accuracy over size and speed factors for the records of this run, or the words not run."}} tags=["nbval-ignore-output", "live"]
_ = figures.size_vs_speed(run) if len(run) else print(f"not run yet: `python -m seo_core.run book --profile {profile}`")

# %% [markdown]
# **Check.** The front is what its definition says, tested on random points against the definition itself; and the papers' own table has one point on it.

# %% tags=["live"]
rng = np.random.default_rng(0)
random_points = pd.DataFrame({"configuration": [str(i) for i in range(60)], "megabytes": rng.integers(1, 30, 60).astype(float),
                     "accuracy": rng.integers(60, 80, 60).astype(float)})
a, b = random_points["megabytes"].to_numpy(), random_points["accuracy"].to_numpy()
beaten = [bool(((a <= a[i]) & (b >= b[i]) & ((a < a[i]) | (b > b[i]))).any()) for i in range(60)]
unbeaten = tradeoff.pareto(random_points)
assert set(zip(unbeaten["megabytes"], unbeaten["accuracy"], strict=True)) == {(a[i], b[i]) for i in range(60) if not beaten[i]}
assert fronts == {"megabytes": ["seo"], "ms": ["seo"]}
assert round(tradeoff.PAPERS["smaller"], 1) == 3.1 and round(tradeoff.PAPERS["faster"], 1) == 1.9
for cost in ("megabytes", "ms"):
    assert tradeoff.pareto(points, cost=cost)["accuracy"].is_monotonic_increasing
print("the front is its definition; by the papers' numbers their combination beats every other row in everything")

# %% [markdown]
# ## Files to take away, here and now
#
# The book comes with classifiers made this way, in `book/artifacts`. *Here, now* is what they take on the machine that built this page, beside the *control* of [](tab3_inference_speed),
# which is in int8 as well, with nothing removed. *Recorded* is what their cards say, on the processor that is named. The second table has their answers to three pairs.

# %% tags=["nbval-ignore-output", "hide-input", "live"]
from IPython.display import display

from seo_core.bench import live

display(*map(Table, live.here_and_now()))

# %% [markdown]
# ## What changes with scale
#
# The baseline here is a network of six layers that was itself distilled from a larger one. BERT-base has more to spare: the same factors cost it less accuracy,
# which is one reason why the published points in [](claims_audit) reach further.
#
# ## The records behind this page

# %% tags=["record", "hide-input"]
reference = results.load(results.reference_dir() / "cpu")
Table(tables.standing_on(reference[reference["experiment"].isin([*tradeoff.CHAPTERS, tradeoff.SPEED])]))

# %% [markdown]
# ## Exercises
#
# 1. Which network would you take for 10 MB? For 10 ms a batch? Is it the same?
# 2. Draw the front over accuracy on the mismatched set alone. Does a network leave it?
# 3. The papers' factor of 3.1 in size: what is the most accurate network of ours that reaches it?
