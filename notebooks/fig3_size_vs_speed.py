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
# How much smaller and faster can a network get before it loses accuracy? And which one would *you* take?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the runs whose records are shown
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records are

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import display

from seo_core import figures, load_settings, results
from seo_core.analysis import NOT_RUN, papers, tables, tradeoff
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.bench import live

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir)
run = results.matching(results.load(settings.results_dir), settings)
tables.remark(run)
run = tradeoff.points(run)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(*tradeoff.CHAPTERS, tradeoff.SPEED, task="mnli")
points = tradeoff.points(ours.frame)
known = points.set_index("configuration")


def times(name, gain):
    value = known[gain].get(name, np.nan)
    return f"{value:.1f} times" if value == value else NOT_RUN


best, tiny = "sqd-taylor-65", "sqd-tiny"
Finding(f"""
Cut to 35% and then taught in int8 (`{best}`), a network is
{times(best, 'smaller')} smaller than the baseline and {times(best, 'faster')}
faster. It {ours.told(best, 'base', MATCHED,
same='is not shown to lose accuracy')}: {ours.gap(best, 'base', MATCHED)} on
the matched set. `{tiny}`, {times(tiny, 'smaller')} smaller and
{times(tiny, 'faster')} faster, {ours.told(tiny, 'base', MATCHED,
worse='pays for it', same='is not told apart either')}:
{ours.gap(tiny, 'base', MATCHED)}. Beside the uncompressed network after as
much training: `{best}` has {ours.to_control(best, MATCHED)}; `{tiny}` has
{ours.to_control(tiny, MATCHED)}.""")

# %% mystnb={"figure": {"caption": "Accuracy of the compressed networks over how small and how fast they are (reference runs, means over the seeds, logarithmic axes). Blue: what no other network beats, by name where there is room. Cross: the baseline. Grey: all others. Dotted in the drawn figure: the papers' combined system.", "name": "fig-size-speed"}, "image": {"alt": "Two plots of accuracy, over how many times smaller and how many times faster the networks are than the baseline: grey points, a blue line along the best of all, and a dotted vertical line at the papers' factor; without records both say not run."}} tags=["record", "hide-input"]
_ = figures.size_vs_speed(points)

# %% tags=["record", "hide-input"]
table = tradeoff.with_losses(points, ours.frame)
figures.explore(table, instead="fig-size-speed")

# %% [markdown]
# ## The idea
#
# Figure 3 of SEO-LLM compares models by size and inference speed and puts the combined system in the best place {cite}`seollm2024`. One such point says little. What a method can do is a *curve*: how much accuracy is left at each size, and at each speed. Choose a method above the figure, and you see its own.
#
# A network is on the **Pareto front** if no other is as small (or as fast) and at least as accurate:
#
# $$ i \text{ is beaten} \iff \exists j: \quad c_j \le c_i, \quad a_j \ge a_i, \quad \text{one of them strictly}, $$
#
# with $c$ the cost, bytes or milliseconds, and $a$ the accuracy. Everything below the front is a bad bargain, however it was made.
#
# **Check.** You can test the front on random points against the definition itself.

# %%
rng = np.random.default_rng(0)
drawn = pd.DataFrame({"megabytes": rng.integers(1, 30, 60).astype(float),
                      "accuracy": rng.integers(60, 80, 60).astype(float)})
c, a = drawn.to_numpy().T


def beaten(i):
    better = (c < c[i]) | (a > a[i])
    return bool(((c <= c[i]) & (a >= a[i]) & better).any())


unbeaten = {(c[i], a[i]) for i in range(60) if not beaten(i)}
assert set(map(tuple, tradeoff.pareto(drawn).to_numpy())) == unbeaten
for cost in ("megabytes", "ms"):
    front = tradeoff.pareto(points, cost=cost)
    assert front["accuracy"].is_monotonic_increasing
print(f"of 60 random points {len(unbeaten)} are on the front, as defined")

# %% [markdown]
# ## What the papers report
#
# Their tables 2 to 4, without the rows that do not change the model {cite}`sec2025`:

# %%
rows = [(name, row.accuracy, row.size_mb, row.latency_ms)
        for name, row in papers.PAPER_TABLE.items() if row.size_mb]
printed = pd.DataFrame(rows, columns=["configuration", "accuracy",
                                      "megabytes", "ms"])
fronts = {cost: list(tradeoff.pareto(printed, cost=cost)["configuration"])
          for cost in ("megabytes", "ms")}
assert fronts == {"megabytes": ["seo"], "ms": ["seo"]}
assert round(tradeoff.PAPERS["smaller"], 1) == 3.1
assert round(tradeoff.PAPERS["faster"], 1) == 1.9
Table(printed)

# %% [markdown]
# By these numbers the combination is smaller, faster *and* more accurate than everything else, the baseline included. There is no trade-off left. Compare *Higher references* in [](claims_audit).
#
# ## What the records say
#
# By size the methods take turns.

# %% tags=["record", "remove-input"]
against = ours.price  # to the baseline, and to as much training
Finding(f"""
**Units removed** leave half of the bytes as they are, the word table. With
60% of the encoder gone the file is {times('taylor-60', 'smaller')} smaller:
{against('taylor-60')}. **Rounding** alone, with a step for each channel,
gives {times('static', 'smaller')} (`static`: {against('static')}), and
{times('static-words4', 'smaller')} with the words in four bits
({against('static-words4')}). **Leaving rare words out** gives
{times('vocabulary', 'smaller')} (`vocabulary`: {against('vocabulary')}).
Only what **combines** them goes further: `{best}`, and then `sqd-taylor-80`
with {times('sqd-taylor-80', 'smaller')}: {against('sqd-taylor-80')}.""")

# %% [markdown]
# By speed the order is another.

# %% tags=["record", "remove-input"]
Finding(f"""
Units removed reach {times('taylor-60', 'faster')} with 60% gone. With 80%
they reach {times('taylor-80', 'faster')}: {against('taylor-80')}. Rounding
(`static`) has {times('static', 'faster')}; a part of that is our exporter,
which makes the fp32 network (`onnx-fp32`) {times('onnx-fp32', 'faster')}
faster, too. Both together (`{best}`) have {times(best, 'faster')}.

Fewer bytes are not less time. Without rare words texts get longer, and
`vocabulary` is {times('vocabulary', 'faster')} faster where `static` is
{times('static', 'faster')}. And `sqd-taylor-80`, six thin layers, has
{times('sqd-taylor-80', 'faster')}, hardly more than `{best}`.""")

# %% tags=["record", "hide-input"]
columns = ["configuration", "accuracy", "megabytes", "smaller", "ms",
           "faster", "seeds"]
front = pd.concat([
    tradeoff.pareto(points, cost=cost)[columns].round(2).assign(front=title)
    for title, cost in (("size", "megabytes"), ("speed", "ms"))])
trained = ours.frame[  # a benchmark trains nothing
    ours.frame["experiment"].isin(tradeoff.CHAPTERS)]
front = front.join(tables.both_differences(trained, front["configuration"]),
                   on="configuration")
Table(front if len(front) else pd.DataFrame([{"configuration": NOT_RUN}]),
      folded="both fronts, and what each costs: to base, to an equal control")

# %% [markdown]
# And the combined system, the papers' best place?

# %% tags=["record", "remove-input"]
whole = Evidence("02_baseline", "15_seo_llm", task="mnli")
size = whole.mean("seo", "size_bytes", scale=1e-6, unit=" MB")
Finding(f"""
`seo` ([](15_seo_llm)) is measured on development pairs alone, so it is no
point of the figure. Its file: {size}. Its speed, as a multiple of the
baseline's: {ours.ratio('base', 'seo', 'latency_ms_p50')}. Against the
baseline: {whole.gap('seo', 'base', DEVELOPMENT)}.""")

# %% [markdown]
# :::{dropdown} How to read the figure and this table
# - Accuracy is the mean of both official sets. Megabytes are those of the file that was timed, which is ONNX. A network without a time has those of the file that its chapter kept: ONNX for integers, safetensors for fp32. The difference is the graph, see [](tab2_model_size).
# - Speed is that of the benchmark of [](tab3_inference_speed), under ONNX Runtime (`static-openvino`: under OpenVINO). Both factors are to the baseline's fp32 file as the library exports it.
# - `qat`, `sqd-fixed`, `kd-ptq` and `sqd` follow one another on the front of speed. They are networks of one shape, taught differently: their times differ by chance, and so do their places.
# - The baseline is that of all these chapters, three epochs on the labels. More epochs or another rate made it no better ([](02_baseline)); a teacher does. After six and a half more passes with its own soft labels the same network, uncompressed, is better (`distilled`, [](10_adaptive_iterative_pruning)). What a method costs beside *that* one is more: *to equal control*. *No equal control* says that an arm saw more pairs than that network, with all that it was made from. *Stands*: the difference is more than chance among all of this page ({term}`Holm correction`).
# :::

# %% tags=["record", "hide-input"]
Table(tables.standing_on(ours.frame), folded="the records behind this page")

# %% [markdown]
# The same with the records of this run. Under `quick` the accuracies are those of a minute's training.

# %% mystnb={"figure": {"caption": "The same for the records of this run.", "name": "fig-size-speed-run"}, "image": {"alt": "Two scatter plots of accuracy over size and speed factors for the records of this run, or the words not run."}} tags=["nbval-ignore-output", "live"]
if len(run):
    _ = figures.size_vs_speed(run)
else:
    print("not run yet: "
          f"`python -m seo_core.run book --profile {profile}`")

# %% [markdown]
# ## Files to take away
#
# The book comes with classifiers made this way, in `book/artifacts`. *Here, now* is what they take on the machine that built this page, beside the *control* of [](tab3_inference_speed): in int8 as well, with nothing removed. *Recorded* are the accuracy on their cards, and the control's time in the benchmark, on the processor that is named. The second table has their answers to three long pairs. Right would be entailment, neutral and contradiction.

# %% tags=["nbval-ignore-output", "hide-input", "here"]
display(*map(Table, live.here_and_now()))

# %% [markdown]
# ## What changes with scale
#
# The baseline here is a network of six layers that was itself distilled from a larger one. BERT-base has more to spare. The same factors cost it less accuracy, which is one reason why the published points in [](claims_audit) reach further.
#
# ## To remember
#
# - Look at the whole front, not at one point: a method may be good at one size and beaten at the next.
# - Bytes and milliseconds are two questions. Measure both, on the file that you will ship.
# - Open: equal controls for the smallest networks, and more than one seed for most points.
#
# ## Exercises
#
# **1.** Which network would you take for at most 10 MB? For at most 20 ms a batch? Is it the same? Set the limits above, then compare.

# %% tags=["hide-cell", "record"]
for cost, most in (("megabytes", 10), ("ms", 20)):
    fitting = points[points[cost] <= most]
    print(f"{cost} up to {most}:",
          *[f"{row.configuration}, {row.accuracy:.1f}%" for row in
            fitting.nlargest(1, "accuracy").itertuples()] or [NOT_RUN])

# %% [markdown]
# **2.** Take the accuracy on the mismatched set alone. Does a network leave the front of size, and does one come to it?

# %% tags=["hide-cell", "record"]
mismatched = {} if points.empty else 100 * ours.frame.groupby(
    "configuration")["accuracy_mismatched"].mean()
alone = points.assign(accuracy=points["configuration"].map(mismatched))
both, one = (set(tradeoff.pareto(each)["configuration"])
             for each in (points, alone))
print("leaves:", *sorted(both - one) or ["none"])
print("comes: ", *sorted(one - both) or ["none"])

# %% [markdown]
# **3.** Which networks reach both of the papers' factors, and how many of them are not shown to lose accuracy?

# %% tags=["hide-cell", "record"]
reached = table[(table["smaller"] >= tradeoff.PAPERS["smaller"])
                & (table["faster"] >= tradeoff.PAPERS["faster"])]
unharmed = reached[reached["high"] >= 0]
print(len(reached), "networks reach both,", len(unharmed),
      "of them with no loss that shows on the matched set:")
print(*(f"  {row.configuration}, {row.smaller:.1f} times smaller, "
        f"{row.faster:.1f} times faster" for row in unharmed.nlargest(
            5, "smaller").itertuples()), sep="\n")
