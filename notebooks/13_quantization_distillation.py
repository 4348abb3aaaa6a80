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
# # Quantization and distillation together
#
# You can make a network small first and round it to integers afterwards. The papers do both at once. Is that better, and how small can it get?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the teacher, the order of the pairs, and dropout
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
unlabelled: str = "default"  # texts without labels; default: none
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import MATCHED, Evidence, Finding, passes
from seo_core.analysis.tables import Table
from seo_core.arms import distillation, open_lab
from seo_core.arms.texts import cache_folder
from seo_core.distillation import (
    SQDConfig,
    SynergisticQuantizationDistillation,
    cached_logits,
    select_layers,
    sqd,
)
from seo_core.evaluation import predict
from seo_core.quantization import ExportConfig, export_onnx, qat, scheme
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.training import TrainingConfig

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("13_quantization_distillation", settings)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(*tradeoff.CHAPTERS, task="mnli")
size = {name: ours.mean(name, "size_bytes", scale=1e-6, unit=" MB")
        for name in ("base", "sqd-taylor-65")}
Finding(f"""
Pruned to 35% of its encoder, then trained in 8-bit integers with a teacher,
the network weighs {size['sqd-taylor-65']} instead of {size['base']}. It
{ours.told('sqd-taylor-65', 'base', same='is not shown to lose accuracy')}
against the baseline: {ours.gap('sqd-taylor-65', 'base', MATCHED)} on the
matched set. The same network, uncompressed and trained on with a teacher
(`distilled`), is the stricter opponent:
{ours.gap('sqd-taylor-65', 'distilled', MATCHED)}. Both at once, from the
start,
{ours.told('sqd-pairs', 'kd-ptq', same='is not shown to be better')} than one
after the other: {ours.gap('sqd-pairs', 'kd-ptq')}.""")

# %% mystnb={"figure": {"caption": "Small integer networks, and the uncompressed network trained on with a teacher, against the baseline (reference runs, 95% intervals). Dotted: one and two points lost. Hollow points have one seed.", "name": "fig-sqd-methods"}, "image": {"alt": "Points with intervals for each way of making a small integer network, and in the first row for the uncompressed network trained on with a teacher, on the matched and the mismatched set, beside the line at zero where the baseline is."}} tags=["record", "hide-input"]
words = {"distilled": "nothing removed, trained on",
         "sqd-taylor-65": "pruned to 35%, then both",
         "sqd-taylor-80": "pruned to 20%, then both",
         "sqd": "four layers, more text, both",
         "sqd-pairs": "four layers, both at once",
         "kd-ptq": "four layers, rounded after",
         "qat": "four layers, no teacher"}
shown = contrasts.official_differences(
    ours.frame, dict.fromkeys(words, "base"))
_ = figures.forest(shown, goals=(-1, -2), words=words)

# %% [markdown]
# ## The idea
#
# The papers call it {term}`SQD`: quantize and distil "in a unified process, allowing for mutual optimization" {cite}`seollm2024,sec2025`:
#
# $$ L_\text{SQD} = L_Q(\theta_q) + \alpha\, L_\text{KD}(\theta_q, \theta_t), \tag{4} $$
#
# "where $L_Q$ is the quantization loss, $L_{KD}$ is the knowledge distillation loss, $\theta_q$ and $\theta_t$ are quantized and teacher model parameters respectively, and $\alpha$ is a weighting factor". None of the three has a formula. In our reading the {term}`student` computes in simulated 8-bit integers all through training. What you train is what you export:
#
# $$ \begin{gathered}
#    L_Q = \mathrm{CE}(\theta_q; y) + \gamma\, \overline{\lVert \hat w - w \rVert^2 / \lVert w \rVert^2}, \qquad
#    L_\text{KD} = \tau^2\, \mathrm{KL}(p_t \Vert p_q), \\
#    \alpha = \alpha_0 + (\alpha_1 - \alpha_0) \operatorname{clip}\Big(\frac{g}{g_0}, 0, 1\Big). \end{gathered} $$
#
# The gap $g$ is how far the student's {term}`cross-entropy` is behind its teacher's. A beginner listens to its teacher. One that has caught up listens more to the labels.
#
# :::{dropdown} The symbols
# - $\mathrm{CE}$ is the cross-entropy with the labels $y$.
# - $w$ are the weights of a linear map, $\hat w$ the same after rounding. The bar is the mean over the maps, $\gamma$ the weight of this error (`error` in the code).
# - $p_t$ and $p_q$ are the probabilities that teacher and student give at temperature $\tau$ ([](12_distillation)).
# - $\alpha_0$ and $\alpha_1$ are the ends of $\alpha$: `alpha_low` and `alpha_high`.
# - $g$ is a running mean over the batches; $g_0$ is the gap of a student that knows nothing.
# :::
#
# ## Learning in integers
#
# An 8-bit network stores $q = \operatorname{clip}(\operatorname{round}(x / s) + z)$ and computes with $s\,(q - z)$. The {term}`step size` $s$ decides what is lost. With a small step large values are cut off; with a large one small values are rounded away. See both, with so few steps that you can count them.

# %% mystnb={"figure": {"caption": "The same values with two step sizes, 16 integers each.", "name": "fig-two-steps"}, "image": {"alt": "Two staircases along the diagonal: the fine one follows it closely and is cut off at both ends, the coarse one reaches the ends in large steps."}} tags=["live"]
x = np.linspace(-3, 3, 601, dtype=np.float32)
curves = {f"step {s}": s * (np.clip(np.rint(x / s) + 8, 0, 15) - 8)
          for s in (0.15, 0.4)}
_ = figures.rounding(x, curves)
print({name: f"mean squared error {np.mean((y - x) ** 2):.3f}"
       for name, y in curves.items()})

# %% [markdown]
# Training can find the step itself. Rounding is flat almost everywhere, so its gradient is taken *straight through* ({term}`straight-through estimator`), as if there were no rounding. For the step there remains the gradient of LSQ {cite}`esser2020lsq`. Weights have a step for each output channel; activations have one step and one {term}`zero point` $z$ for each tensor {cite}`bhalgat2020lsqplus`.
#
# **Check.** One linear map of the training path gives what the integer scheme of [](11_quantization) gives in numpy. The gradient makes a step that is too large smaller, and one that is too small larger.

# %% tags=["live"]
values, weight = (
    np.random.default_rng(n).normal(size=(n, 16)).astype(np.float32)
    for n in (200, 8))
scale, zero = np.float32(0.025), 128
per_channel = scheme.weight_scales(weight)
integers = scheme.quantize_activation(
    values, scale, zero).astype(np.int64) - zero
sums = integers @ scheme.quantize_weight(
    weight, per_channel).astype(np.int64).T
x, w, s_w = map(torch.from_numpy, (values, weight, per_channel))
z, bias = torch.tensor(float(zero)), torch.zeros(8)
found = qat.IntegerLinear.apply(x, torch.tensor(scale), z, w, s_w, bias)
assert np.allclose(found.numpy(), sums * (scale * per_channel), atol=1e-5)

# %% tags=["live"]
slopes = {}
for step in (0.3, 0.002):
    s = torch.tensor(step, requires_grad=True)
    y = qat.IntegerLinear.apply(x, s, z, w, s_w, bias)
    ((y - x @ w.T) ** 2).sum().backward()
    slopes[step] = float(s.grad)
assert slopes[0.3] > 0 > slopes[0.002]
print("training computes what the integers compute;",
      "steps move to where less is lost")

# %% [markdown]
# ## A network with steps
#
# `calibrate` runs training text through the network and chooses the range of every tensor. `attach` hangs the steps on the network: from then on it computes in integers, in training and in evaluation, and the steps are parameters. Weights that will be trained take seven bits, which cannot overflow wherever training moves them ([](11_quantization)). `scales` reads the steps out for the export.

# %% tags=["live"]
teacher, pairs = lab.arm("base").model(), lab.encoded("train").take(slice(256))
student = select_layers(teacher, [0, 3])
plain = predict(student, pairs)
ranges = calibrate(student, pairs, CalibrationConfig(weight_bits=7))
qat.attach(student, ranges)
rounded, steps = predict(student, pairs), qat.scales(student)
count = sum(m.weight.numel() for m in qat.linear_maps(student).values())
print(f"{len(steps.activation)} activation ranges,",
      f"{sum(map(len, steps.weight.values())):,} weight steps",
      f"for {count:,} weights")

# %% [markdown]
# **Check.** Rounding changes the logits, but not by much. What was read out and attached again computes the same.

# %% tags=["live"]
limit = max(0.5 * np.abs(plain).max(), 0.05)  # a cut network may say little
assert 0 < np.abs(rounded - plain).max() < limit
again = predict(qat.attach(qat.detach(student), steps), pairs)
assert np.mean(again.argmax(1) == rounded.argmax(1)) >= 0.995
assert np.allclose(predict(qat.detach(student), pairs), plain, atol=1e-5)
print("the steps are all that lies between the two networks")

# %% [markdown]
# ## The weight of the teacher
#
# **Check.** $\alpha$ stays between its two ends, and follows the gap.

# %% tags=["live"]
config = SQDConfig(alpha_low=1.0, alpha_high=4.0)
gaps = np.linspace(-0.5, 1.0, 7)
alphas = [sqd.alpha_of(gap, 0.6, config) for gap in gaps]
assert alphas == sorted(alphas) and len(set(alphas)) > 3
assert alphas[0] == 1.0 and alphas[-1] == 4.0
Table(pd.DataFrame({"gap, nats": gaps, "α": alphas}).round(2),
      folded="α at seven gaps")

# %% [markdown]
# ## Both at once
#
# Now train the two-layer student by equation (4), and watch $\alpha$ fall as it catches up.

# %% tags=["nbval-ignore-output", "live"]
targets = cached_logits(teacher, pairs, cache_folder(settings))
training = TrainingConfig.from_settings(settings, epochs=3)
joint = SynergisticQuantizationDistillation(config)(
    student, pairs, targets, training=training)
print("first and last of the run:",
      {name: (round(series[0], 3), round(series[-1], 3))
       for name, series in joint.trace.items()})

# %% mystnb={"figure": {"caption": "\u03b1, the gap to the teacher and the two losses over this run.", "name": "fig-sqd-run"}, "image": {"alt": "Four curves over the epochs: \u03b1 and the gap, which have the same shape, and the losses L_Q and L_KD."}} tags=["nbval-ignore-output", "live"]
_ = figures.sqd_trace({"this run": joint.trace})

# %% [markdown]
# **Check.** The student came closer to its teacher, in integers. The steps it was trained with are those that are handed to the export.

# %% tags=["live"]
closer = [np.abs(z - targets).mean()
          for z in (rounded, predict(joint.model, pairs))]
assert closer[1] < closer[0]
handed = qat.scales(joint.model)
assert handed.activation == joint.scales.activation != steps.activation
print("trained in integers, and closer to the teacher than rounding alone")

# %% [markdown]
# ## The arms
#
# The {term}`arms <arm>` share one small shape: four layers, a third of their neurons, 12 000 words of 4 bits. You see `sqd-pairs` here, equation (4) on the labelled pairs. Predictions and size are those of the exported {term}`ONNX` file. `agreement` is how often that file gives the class that the trained network gives.

# %% tags=["nbval-ignore-output", "live"]
arms = list(distillation.JOINT.arms)
names = ["sqd-pairs"] if profile == "quick" else arms
runs = {name: lab.arm(name) for name in names}
names = ["size_bytes", "agreement", "train_examples"]
Table(pd.DataFrame([
    {"arm": name, **run.accuracies, **{n: run.metrics.get(n) for n in names}}
    for name, run in runs.items()]).round(4))

# %% tags=["live"]
exported = [run.metrics for run in runs.values() if "agreement" in run.metrics]
assert all(m["agreement"] >= 0.995 or m["max_logit_difference"] < 0.02
           for m in exported)  # undecided texts tip at less
print("each exported file says what the trained network says")

# %% [markdown]
# ## What the papers report
#
# No number for SQD alone. Their tables have a row for quantization (150 MB, 90 ms, 82.8%), one for distillation (201 MB, 110 ms, 85.0%), and the whole system (136 MB, 80 ms, 86.2%) {cite}`sec2025`. That SQD beats quantization after distillation is said, and not shown. 150 MB are more than one byte for each of BERT-base's weights; our files are below, embeddings included.
#
# ## What the records say
#
# Is there anything for training in integers to win back?

# %% tags=["remove-cell"]
frame = contrasts.exploratory(ours.frame)
arms = ["base", "kd", "kd-small", "kd-ptq", "qat", "sqd-fixed", "sqd-pairs",
        "kd-ptq-4bit", "sqd-4bit", "sqd-tiny", "sqd", "sqd-aip",
        "sqd-aip-patient",
        *(f"sqd-taylor-{share}" for share in (60, 65, 80))]
pairs_of = {"kd-small": ["kd-ptq", "sqd-pairs"], "sqd-fixed": ["sqd-pairs"],
            "kd-ptq": ["sqd-fixed", "sqd-pairs", "kd-ptq-4bit"],
            "kd-ptq-4bit": ["sqd-4bit"], "qat": ["sqd-pairs"],
            "sqd-pairs": ["sqd"], "sqd-tiny": ["sqd-taylor-80"],
            "sqd": ["sqd-aip", "sqd-taylor-60", "sqd-taylor-65"],
            "sqd-taylor-65": ["sqd-taylor-80"], "taylor-80": ["sqd-taylor-80"],
            "kd": ["sqd"]}
compared = [(a, b) for b, more in pairs_of.items() for a in more]
compared += [(arm, "distilled") for arm in ("sqd-taylor-65", "sqd-taylor-80")]
against, equal, by_pair = contrasts.family(
    contrasts.official_differences(frame, dict.fromkeys(arms, "base")),
    contrasts.control_differences(frame, arms),
    contrasts.official_differences(frame, compared))

# %% tags=["record", "remove-input"]
Finding(f"""
Rounding the distilled student afterwards costs nothing that shows
(`kd-ptq` against `kd-small`): {ours.gap('kd-ptq', 'kd-small')}. So joint
training has nothing to gain. Against that simpler way it is
{ours.gap('sqd-pairs', 'kd-ptq')}, which
{passes(by_pair, 'sqd-pairs − kd-ptq')}. What helps is
the teacher: against integers without one (`qat`), `sqd-pairs`
{ours.told('sqd-pairs', 'qat')} by {ours.gap('sqd-pairs', 'qat')}.""")

# %% [markdown]
# With weights of 4 bits rounding may cost more. `kd-ptq-4bit` and `sqd-4bit` are the same pair at these: a screening, on development rows.

# %% tags=["record", "remove-input"]
Finding(f"""
What 4 bits cost, rounded afterwards (`kd-ptq-4bit` against `kd-ptq`):
{ours.gap('kd-ptq-4bit', 'kd-ptq', DEVELOPMENT)}. Both at once against that
(`sqd-4bit` against `kd-ptq-4bit`):
{ours.gap('sqd-4bit', 'kd-ptq-4bit', DEVELOPMENT)}.""")

# %% [markdown]
# Does it help that $\alpha$ follows the gap? A constant one is the contrast (`sqd-fixed`).

# %% tags=["record", "remove-input"]
Finding(f"""
A moving α {ours.told('sqd-pairs', 'sqd-fixed', same='is not shown to help')}
on both sets: {ours.gap('sqd-pairs', 'sqd-fixed')}. This
{passes(by_pair, 'sqd-pairs − sqd-fixed')}.""")

# %% [markdown]
# What matters more is what you start from.

# %% tags=["record", "remove-input"]
small = ours.mean("sqd-taylor-80", "size_bytes", scale=1e-6, unit=" MB")
Finding(f"""
At {small}, a fifth of the encoder picked by importance (`sqd-taylor-80`)
{ours.told('sqd-taylor-80', 'sqd-tiny')} than two whole layers of the same
weight (`sqd-tiny`) by {ours.gap('sqd-taylor-80', 'sqd-tiny')}. It also read
more text and was trained for longer. On one shape these are worth less
(`sqd` against `sqd-pairs`): {ours.gap('sqd', 'sqd-pairs')}. Its losses: to
the baseline {ours.gap('sqd-taylor-80', 'base', MATCHED)}, to `distilled`
{ours.gap('sqd-taylor-80', 'distilled', MATCHED)}.""")

# %% [markdown]
# The control `distilled` saw fewer pairs than the two pruned networks did in all. One with as many was not run.
#
# One choice did follow a look at the official sets: the recipe of `sqd-taylor-65` was written when the result of `sqd-taylor-60` with seed 0 was known. Its other seeds took part in no choice.

# %% tags=["record", "remove-input"]
fresh = [Evidence(frame=ours.frame[ours.frame["seed"] == seed]).gap(
    "sqd-taylor-65", "base") for seed in (1, 2)]
Finding(f"""
These two seeds show no inflation. Against the baseline: {fresh[0]}, and
{fresh[1]}.""")

# %% tags=["record", "hide-input"]
folder = results.reference_dir() / "cpu"
print(tables.absent(frame, [
    name for name, arm in distillation.JOINT.arms.items()
    if getattr(arm.recipe, "weight_bits", 7) != 7]),
    tables.standing(frame, arms), sep="\n")
Table(tables.against_table(frame, arms, against, controls=equal),
      folded="all arms, against the baseline and the equal control")

# %% [markdown]
# :::{dropdown} How to read this table
# The files are ONNX, with 8-bit weights and a 4-bit word table.
#
# - One shape (four layers, 576 of 1 536 neurons, 12 000 words), on the labelled pairs alone, for four epochs: `kd-small` is distilled in fp32 (its file is safetensors); `kd-ptq` the same, rounded afterwards with calibrated ranges; `qat` trained in integers without a teacher; `sqd-fixed` both at once with a constant α; `sqd-pairs` equation (4).
# - `kd-ptq-4bit`, `sqd-4bit`: as `kd-ptq` and `sqd-pairs`, with weights of 4 bits, two to a byte of the file.
# - `sqd-tiny`: as `sqd-pairs`, with two layers and 8 000 words.
# - `sqd`: the shape of `sqd-pairs` with all that `kd` of [](12_distillation) reads, hidden states first.
# - `sqd-aip`, `sqd-aip-patient`, `sqd-taylor-60`: the student is what this arm of [](10_adaptive_iterative_pruning) or [](09_pruning) left of the baseline, and only the last stage is run; in `sqd-taylor-60` for two epochs instead of four.
# - `sqd-taylor-65`: likewise, from the five layers of `taylor-65`, with 14 000 words, for three epochs. `sqd-taylor-80`: from `taylor-80`, with 8 000.
# - `sqd-taylor-65-7bit`, `sqd-taylor-80-7bit`: the same with weights of seven bits. They are `reference` and `reference-small` in `book/artifacts`, each with its record; made from a baseline of their own, they are in the table of the two goals alone, once they have final records.
# - Differences are in points, paired by seed and example, with 95% intervals. *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# - *To equal control*: to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` ([](10_adaptive_iterative_pruning)) or `base-control` ([](12_distillation)). *No equal control*: these saw fewer pairs than the arm with all that it was made from, as in the last column.
# - `sqd`, `sqd-taylor-60` and the first two seeds of `sqd-taylor-65` read edits that are older than the list of opposites in [](03_augmentation), which could still exchange two of these.
# - All records of this page are [exploratory](../book/record_schema.md).
# :::

# %% tags=["record", "hide-input"]
Table(tables.pair_table(by_pair),
      folded="each ingredient, pair by pair")

# %% [markdown]
# :::{dropdown} What differs besides
# `sqd` − `sqd-pairs` is no effect of one thing: `sqd` has hidden states first and more text, and saw about three times the pairs. `sqd-taylor-65` − `sqd` is none either: the start was thinned by importance and trained before; it has five layers for four, 14 000 words for 12 000, and three epochs of the last stage for two stages.
# What layers cost in time stands in [](tab3_inference_speed).
# :::

# %% mystnb={"figure": {"caption": "\u03b1, the gap and both losses over the last stage of the reference runs (first seed).", "name": "fig-sqd-reference"}, "image": {"alt": "Four curves over the epochs of the reference run: \u03b1, the gap to the teacher, L_Q and L_KD."}} tags=["record", "hide-input"]
records = [r for r in results.load_records(
    folder / "13_quantization_distillation") if r["configuration"] == "sqd"]
first = min(records, key=lambda r: r["seed"], default={"series": {}})
trace = {name.removeprefix("sqd_"): series
         for name, series in first["series"].items()
         if name.startswith("sqd_")}
_ = figures.sqd_trace({f"sqd, seed {first['seed']}": trace} if trace else {})

# %% [markdown]
# ## From a stronger teacher
#
# How much may a small network lose? Two goals were set: a point in at most 8 MB, two points in at most 5. The opponent is the uncompressed network of equal compute, and the whole interval counts, on both sets, with five seeds. <!-- setting -->
#
# The networks above were cut out of the baseline, and it taught them. `base-control`, which was trained on ([](12_distillation)), is a stronger teacher.
#
# ```bash
# python -m seo_core.run arm sqd-taylor-65-strong base-control-strong \
#     --profile cpu --data path/to/mnli --source path/to/snli
# ```

# %% tags=["record", "hide-input"]
larger, smaller = ([f"sqd-taylor-{share}{how}" for how in (
    "", "-7bit", "-strong")] for share in (65, 80))
Table(tables.goal_table(ours.frame, {(8, -1): larger, (5, -2): smaller}))

# %% tags=["record", "hide-input"]
others = [f"sqd-taylor-65-{way}" for way in ("long", "two-teachers", "taught")]
Table(tables.goal_table(ours.frame, {(8, -1): others}),
      folded="three other ways to the larger")

# %% [markdown]
# :::{dropdown} How to read these tables
# - `…-strong`: as `…-7bit`, cut out of `base-control` and taught by it. `…-long`: the same for twice the epochs. `…-two-teachers`: the same, with the baseline of another seed as a second teacher. `…-taught`: cut out of the baseline, and taught by `base-control`.
# - What a teacher saw counts for its student. So the control of these is `base-control-strong`: nothing removed, taught by `base-control` and a second teacher.
# - *Met*: the intervals on both sets lie within the goal. *By its mean alone*: the differences do, the intervals do not. Since a goal asks for a loss within a bound, and not for a difference, these are none of the chapter's family above.
# - *No equal control*: no control saw as many pairs. The nearest is shown; a goal that is missed beside it would be missed beside an equal one too, unless more training makes that one worse.
# :::
#
# ## The same recipe on other texts
#
# `python -m seo_core.run compress` takes your labelled texts and your goals, and makes a small classifier by the arms above. Here it met two tasks that the recipe was not chosen on: paraphrases {cite}`dolan2005mrpc` and film reviews {cite}`socher2013`. *Lost* is in points against the baseline of the same rows, on held-out rows; one seed each.

# %% tags=["hide-input", "record"]
from seo_core.compress import report

Table(report(folder / "compress"))

# %% [markdown]
# The paraphrases stay within every goal. The reviews do not: at 5 MB they lose more than the point that was allowed, no larger network fits into the bytes, and the command says so. Neither set has enough held-out rows to tell a loss of one point from none.
#
# Where a network is rounded to 4 bits or fewer, or its activations have outliers that stretch the one range of a tensor, training in integers is what makes it work at all {cite}`esser2020lsq,zhang2020ternarybert,bai2021binarybert`. Larger encoders have more such outliers.
#
# ## To remember
#
# - With 8 bits, distil first and round afterwards: it is simpler, and joint training is not shown to beat it.
# - Start from a network thinned by importance ([](09_pruning)), not from whole layers; use `run compress` for your own texts.
# - Open: the joint loss below 8 bits with more than one seed, the two goals beside an equal control, and more seeds.
#
# ## Exercises
#
# **1.** Set `alpha_low = alpha_high = 0`: equation (4) without its second term. What is lost?

# %% tags=["hide-cell", "record"]
Finding(f"""
That is `qat`, as long on the same pairs. Against `sqd-pairs`:
{ours.gap('qat', 'sqd-pairs')}.""")

# %% [markdown]
# **2.** Give the word table 8 bits (`embedding_bits=8`) instead of 4. What does the file of your student weigh?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
with tempfile.TemporaryDirectory() as place:
    for bits in (4, 8):
        export = ExportConfig("int8-static", bits,
                              max_length=settings.max_length)
        file = export_onnx(
            qat.detach(joint.model), Path(place) / f"{bits}.onnx", export,
            scales=replace(joint.scales, embedding_bits=bits))
        print(f"{bits} bits a word weight: {file.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# **3.** Look at `error` in the trace. How large is the rounding error beside the task loss, and would $\gamma = 1000$ change that?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
error, loss = (joint.trace[name][-1] for name in ("error", "loss_q"))
print(f"rounding error {error:.1e} beside a loss L_Q of {loss:.2f}:",
      f"{error / loss:.3%} of it, and {1000 * error / loss:.0%} as much with",
      "a weight of 1000")
