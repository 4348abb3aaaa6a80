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
# # Quantization: a byte for each weight
#
# A trained network computes with 32-bit numbers. What happens to its answers, its bytes and its speed if you give it 8 bits, without training it again?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task, named likewise
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import seo_core
from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab, quantization
from seo_core.bench import saturation
from seo_core.deploy import artifact
from seo_core.deploy.runners import OnnxRunner
from seo_core.evaluation import predict
from seo_core.quantization import (
    CalibrationConfig,
    ExportConfig,
    bytes_by_part,
    calibrate,
    emulate,
    export_onnx,
    parity,
    scheme,
    token_counts,
    trim,
    unknown_rate,
    values_read,
)

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, labels=labels, text=text, epochs=epochs,
    train_rows=train_rows, development_rows=development_rows)
lab = open_lab("11_quantization", settings)

from transformers.utils import logging

logging.disable_progress_bar()

# %% tags=["record", "answer", "remove-input"]
ours = Evidence(*tradeoff.CHAPTERS)
speed = Evidence("tab3_inference_speed")
size = {name: ours.mean(name, "size_bytes", scale=1e-6, unit=" MB")
        for name in ("base", "static", "static-words4")}
Finding(f"""
In 8-bit integers the network weighs {size['static']} instead of
{size['base']}, and {size['static-words4']} with its words in 4 bits. Against
the baseline the smaller file
{ours.told('static-words4', 'base', same='is not shown to lose accuracy')}:
{ours.gap('static-words4', 'base', MATCHED)} on the matched set. Against the
same network, uncompressed but trained on with a teacher (`distilled`), it is
{ours.gap('static-words4', 'distilled', MATCHED)}. On a processor with
instructions for bytes the file answers
{speed.ratio('base', 'static-words4', 'latency_ms_p50')} as fast as PyTorch
runs the baseline ([](tab3_inference_speed)).""")

# %% mystnb={"figure": {"caption": "Files rounded after training, and the uncompressed network trained on with a teacher, against the baseline (reference runs, 95% intervals). Dotted: one and two points lost. Hollow points have one seed.", "name": "fig-quantization-methods"}, "image": {"alt": "Points with intervals for eight ways of rounding, and for the equal-compute control in the first row, on the matched and the mismatched set, beside the line at zero where the baseline is."}} tags=["record", "hide-input"]
words = {"distilled": "nothing rounded, trained on",
         "static-words4": "fixed ranges, words in 4 bits",
         "static": "fixed ranges",
         "quant": "ranges by batch",
         "control": "the library's own tool",
         "static-tensor": "fixed, one step a matrix",
         "dynamic-tensor": "by batch, one step a matrix",
         "vocabulary-words4": "4 bits, and 12 000 words"}
shown = contrasts.official_differences(
    ours.frame, dict.fromkeys(words, "base"))
_ = figures.forest(shown, goals=(-1, -2), words=words)

# %% [markdown]
# ## The idea
#
# "{term}`Quantization <quantization>` was performed by converting the weights and activations of the model to 8-bit integers, reducing the precision from 32-bit floating-point representations" {cite}`seollm2024`. The revision speaks of weights alone {cite}`sec2025`; here it is both. A byte for each weight instead of four makes the file smaller. Products of bytes are faster where the processor has instructions for them.
#
# A number $x$ is replaced by an integer $q$ and a {term}`step size` $s$, with a {term}`zero point` $z$ where the numbers are not symmetric about 0 {cite}`jacob2018`:
#
# $$ q = \mathrm{clip}\big(\mathrm{round}(x / s) + z,\ q_\text{min},\ q_\text{max}\big), \qquad \hat x = s\,(q - z). $$
#
# With integers $q_x$, $q_w$ on both sides, a linear map is an exact sum of integers, scaled once at the end:
#
# $$ y_j = s_x\, s_{w,j} \sum_i (q_{x,i} - z)\, q_{w,ji} + b_j. $$
#
# This is *post-training* quantization: it takes a network as it is. Training that knows about the rounding follows in [](13_quantization_distillation). Those who try it complain that the file shrinks too little, and that int8 is not faster.
#
# ## Weights
#
# Weights are symmetric about 0, so $z = 0$ and $q$ runs from −127 to 127. Each output channel, a row of the matrix, has a step of its own: $s_{w,j} = \max_i |w_{ji}| / 127$. One step for the whole matrix would be set by the largest weight of all rows. What does that cost? Take two matrices of the network before {term}`fine-tuning`.

# %% tags=["live"]
base, pretrained = lab.arm("base").model(), lab.network()
rows, last = [], base.config.num_hidden_layers - 1
for name in ("0.attention.self.query", f"{last}.output.dense"):
    module = pretrained.get_submodule(f"bert.encoder.layer.{name}")
    w = module.weight.detach().numpy()
    for way, scale in (("per channel", scheme.weight_scales(w)),
                       ("one for all", scheme.tensor_scale(w))):
        q = scheme.quantize_weight(w, scale)
        off = np.linalg.norm(scheme.dequantize_weight(q, scale) - w)
        rows.append((f"layer.{name}", way, float(scale.max()),
                     100 * off / np.linalg.norm(w)))
Table(pd.DataFrame(rows, columns=["linear map", "steps", "largest step",
                                  "error, %"]).round(4))

# %% [markdown]
# The {term}`word table` is rounded row by row in the same way. With 4 bits a row would be too coarse: there each block of 32 values has its own step.

# %% tags=["live"]
table = base.get_input_embeddings().weight.detach().numpy()[:2000]
errors = {bits: 100 * float(
    np.linalg.norm(scheme.quantized_table(table, bits) - table)
    / np.linalg.norm(table)) for bits in (32, 8, 4)}
for bits, error in errors.items():
    print(f"word table in {bits:2d} bits: error {error:5.2f}%")

# %% [markdown]
# ## Activations
#
# The range of an {term}`activation` is not known before texts have passed. *Dynamic* quantization measures it anew in every batch. That takes a pass over the tensor, and a text's logits come to depend a little on its batch. *Static* quantization fixes the range beforehand from some training texts: {term}`calibration`. Labels are not looked at.
#
# A range that holds every value has coarse steps; a narrower one clips the few that lie far out. `minmax` clips nothing, `percentile` leaves one value in ten thousand outside, and `mse` takes the range with the least mean squared error {cite}`banner2019`.

# %% tags=["live"]
texts = lab.encoded("train").take(slice(64))
scales = {method: calibrate(base, texts, CalibrationConfig(method))
          for method in ("minmax", "percentile", "mse")}
name = f"bert.encoder.layer.{min(3, last)}.output.dense"
chosen = {method: found.activation[name] for method, found in scales.items()}
values = values_read(base, texts, name)
widths = {method: 255 * scale for method, (scale, zero) in chosen.items()}
assert np.isclose(widths["minmax"], np.ptp(values))
assert max(widths["percentile"], widths["mse"]) < widths["minmax"]
print("minmax takes the whole range; the other two take a part of it")

# %% mystnb={"figure": {"caption": "What the output map of one layer's feed-forward part reads on 64 training texts (logarithmic counts), and the range that each method of calibration takes. Values outside are clipped.", "name": "fig-quantization-ranges"}, "image": {"alt": "Histogram with a high peak just below zero and a long tail to the right. Three horizontal bars above it show the chosen ranges: the whole for minmax, shorter ones for percentile and mean squared error."}} tags=["live"]
_ = figures.ranges(values, chosen)

# %% [markdown]
# Whether a rare large value may be clipped you cannot see from its rarity: it may carry something. So compare by effect. `emulate` computes in fp32 what the integer network will say.

# %% tags=["nbval-ignore-output", "live"]
held = lab.encoded("acceptance").take(slice(96))
reference = predict(base, held)
found = {m: predict(emulate(base, s), held) for m, s in scales.items()}
Table(pd.DataFrame([
    (m, 100 * float((z.argmax(1) == reference.argmax(1)).mean()),
     float(np.abs(z - reference).mean())) for m, z in found.items()],
    columns=["method", "same class as fp32, %",
             "mean distance of logits"]).round(3))

# %% [markdown]
# ## The file
#
# `export_onnx` writes the graph for {term}`ONNX` Runtime; `OnnxRunner` runs it without torch. `parity` compares it with any network: here with the fp32 one, and with the emulation of the same integers.

# %% tags=["live", "nbval-ignore-output"]
folder, longest = tempfile.TemporaryDirectory(), settings.max_length
kinds = {"fp32": ("fp32", 32), "int8, words in fp32": ("int8-static", 32),
         "int8": ("int8-static", 8),
         "int8, words in 4 bits": ("int8-static", 4)}
files, best = {}, scales["mse"]
for title, (precision, bits) in kinds.items():
    files[title] = export_onnx(
        base, Path(folder.name) / f"{title}.onnx",
        ExportConfig(precision, bits, max_length=longest),
        scales=replace(best, embedding_bits=bits))
exported = OnnxRunner(files["int8"])
emulated = parity(emulate(base, best), exported, lab.comparison())
network = parity(reference, exported, held)
for title, said in (("network", network), ("emulation", emulated)):
    print(f"int8 file against the {title}: same class",
          f"{said['agreement']:.1%}, logits differ by",
          f"{said['mean_logit_difference']:.4f}")

# %% [markdown]
# Where are the bytes? With only the linear maps in int8, the word table is most of the file. A table of 30 522 words is also longer than any one task needs. *Trimming* keeps the pieces that training text uses, all single characters and the special tokens. A word whose piece is gone is spelled with shorter ones, so nothing becomes unknown that was not before.

# %% tags=["live"]
small = trim(base, lab.tokenizer, token_counts(lab.encoded("train")),
             size=12_000)
files["… and fewer of them"] = export_onnx(
    small.model, Path(folder.name) / "small.onnx",
    ExportConfig("int8-static", 4, max_length=longest),
    scales=replace(best, embedding_bits=4))
official = lab.task["validation_matched"]
read = [text for column in lab.task.texts for text in official[column]]
for title, each in (("all", lab.tokenizer), ("kept", small.tokenizer)):
    rate = unknown_rate(each, read)
    print(f"{title:5s} {len(each):6d} pieces: {rate['unknown_rate']:.3%} of",
          "the tokens of the matched set unknown,",
          f"{rate['tokens_per_text']:.2f} tokens a text")

# %% mystnb={"figure": {"caption": "Bytes of the exported file by what they are for (profile of this run: the generator's sentences need few words, so the last bar is shorter than on real text).", "name": "fig-quantization-bytes"}, "image": {"alt": "Stacked bars in megabytes for five files: fp32, int8 with words in fp32, int8, int8 with words in 4 bits, and the same with fewer words. In the second bar most of the bytes are the word table."}} tags=["live"]
_ = figures.parts({title: bytes_by_part(path)
                   for title, path in files.items()})

# %% [markdown]
# **Check.** The file says what the integers say, and nearly what the network said. Sums in another order round some activations to the neighbouring integer. So a text between two classes may change sides, but not more than one in two hundred. The file is a quarter as large only where the word table is included. Padding changes nothing.

# %% tags=["live"]
typical = np.abs(reference).mean()
assert emulated["mean_logit_difference"] < 0.02 * typical
assert emulated["agreement"] >= 0.995
assert network["mean_logit_difference"] < 0.2 * typical + 0.02
assert network["agreement"] > 0.9
assert errors[32] == 0 < errors[8] < 2 < errors[4] < 15
print("the file computes the scheme")

# %% tags=["live"]
weighs = {title: path.stat().st_size for title, path in files.items()}
assert 0.25 < weighs["int8"] / weighs["fp32"] < 0.27
assert weighs["int8, words in fp32"] > 0.6 * weighs["fp32"]
assert (weighs["… and fewer of them"] < weighs["int8, words in 4 bits"]
        < weighs["int8"])
batch = held.arrays(np.arange(min(8, len(held))))
longer = {key: np.pad(array, ((0, 0), (0, 7)))
          for key, array in batch.items() if key != "labels"}
assert np.abs(exported.run(longer) - exported.run(batch)).max() < 1e-3
print("a quarter of the bytes, word table included; padding has no effect")

# %% [markdown]
# ## Something to take away
#
# An {term}`artifact` is a folder with the file, its tokenizer, labels, checksums and a model card. You load it in one call, without torch:

# %% tags=["live"]
source_of = ("the generator in this book" if lab.task.name == "embedded"
             else lab.task.name)
path = artifact.save(
    Path(folder.name) / "artifact", files["int8"], lab.tokenizer,
    labels=lab.task.labels, texts=lab.task.texts,
    card=artifact.Card(data=(f"sentences of {source_of}",),
                       made=("a chapter's demonstration",)))
answer = seo_core.load(path).predict(official[list(lab.task.texts)].head(1))
print(sorted(p.name for p in path.iterdir()), len(answer), "label predicted")

# %% [markdown]
# If you want none of this package, you need ten lines, which stand in the model card too:

# %% tags=["hide-output", "live"]
print(artifact.RECIPE)

# %% [markdown]
# ## The same on every processor
#
# Processors without {term}`VNNI` multiply bytes two at a time and keep the sum of both products in 16 bits, which end at 32 767. A product can be $255 \cdot 127 = 32\,385$. Two do not fit, and what does not fit is cut off without a word. Then one file says one thing here and another thing there.
#
# There are two ways out in the file itself. With weights of 7 bits, from −64 to 64, the largest sum is $2 \cdot 255 \cdot 64 = 32\,640$. Or you keep 8 bits and let the step of a row look at pairs: $s = \max(|w_i|, |w_{2i} + w_{2i+1}|) / 127$. Few neighbours are both large, so for most rows that is finer than 7 bits. `calibrate` does so by default. Training could not keep that promise, so what is trained in integers has 7 bits.
#
# **Check.** Of the neighbouring weights of this network, rounded to 8 bits, some can overflow together. With 7 bits, or with 8 by pairs, none can.

# %% tags=["live"]
matrices = [module.weight.detach().numpy()
            for module in scheme.linear_maps(base).values()]
ways = {"8 bits": (scheme.weight_scales, 8),
        "7 bits": (lambda w: scheme.weight_scales(w, 7), 7),
        "8 bits, by pairs": (scheme.pair_scales, 8)}
rounded = {name: [(scheme.quantize_weight(w, scale(w), bits), scale(w))
                  for w in matrices] for name, (scale, bits) in ways.items()}
can = {name: sum(scheme.overflows(q) for q, _ in parts)
       for name, parts in rounded.items()}
off = {name: np.mean([
    ((scheme.dequantize_weight(*part) - w) ** 2).mean() / (w**2).mean()
    for part, w in zip(parts, matrices, strict=True)])
    for name, parts in rounded.items()}

# %% tags=["live"]
assert can["8 bits"] > 0 and can["7 bits"] == can["8 bits, by pairs"] == 0
assert off["8 bits"] <= off["8 bits, by pairs"] < off["7 bits"]
print("matrices that can overflow:", can)
print("squared rounding error, times that of 8 bits:",
      {name: round(float(error / off["8 bits"]), 1)
       for name, error in off.items()})

# %% [markdown]
# Few pairs can, but every output sums many. What does it do to answers?

# %% tags=["record", "remove-input"]
bench = saturation.report(
    results.reference_dir() / "cpu" / "bench_saturation").set_index("file")
there = bench["on AVX2 only, %"]
gap = bench["difference"].str.replace("-", "−")
Finding(f"""
On an emulated processor without VNNI the 8-bit file gives the class of its
own exact product for {there.get('8 bits', 'not run')}% of the texts, the
library's file for {there.get('library', 'not run')}%. Seven bits:
{there.get('7 bits', 'not run')}%, for {gap.get('7 bits', 'not run')} points.
Eight bits by pairs: {there.get('8 bits, by pairs', 'not run')}%, for
{gap.get('8 bits, by pairs', 'not run')} points.""")

# %% tags=["hide-input", "record"]
Table(bench.reset_index(),
      folded="each file, in a plain session and by the exact product")

# %% [markdown]
# :::{dropdown} How to read this table
# The files are the baseline's with 8 bits, with 7, and with 8 by pairs, and the int8 file of ONNX Runtime's own tools. Each is opened in a plain session, and in one that was told to take the slower exact product: a third way out, which costs time, and which whoever opens the file has to ask for. *On AVX2 only*: the share of pairs with the class that the same file's exact product gives them, where the plain session runs on an emulated processor. The difference in accuracy is to the first row, in points. `reference` and `reference-small` come with the book; they start from the *pruned* network and were trained in seven bits.
# :::
#
# ## The arms
#
# `quant` is the papers' row: int8 after training, dynamic, word table included. `static` has calibrated ranges. Both have 8 bits by rows, as the library's file has. All are evaluated as files.

# %% tags=["nbval-ignore-output", "live"]
arms = list(quantization.QUANTIZATION.arms)
names = ["quant", "static"] if profile == "quick" else arms
runs = {name: lab.arm(name) for name in ["base", *names]}
Table(pd.DataFrame([
    {"arm": name, "file, MB": run.metrics["size_bytes"] / 1e6,
     **{f"{k}, %": 100 * v for k, v in run.accuracies.items()},
     "same class as in fp32, %": 100 * run.metrics.get("agreement", 1.0)}
    for name, run in runs.items()]).round(2))

# %% [markdown]
# ## What the papers report
#
# 420 MB become 150, 150 ms a batch become 90, accuracy goes from 84.5% to 82.8%; the text calls that "two-fold" {cite}`seollm2024,sec2025`. At one byte a weight, BERT-base's 110 million would be 110 MB; with the embeddings left in fp32, 181 MB. 150 is neither: contradiction 9 in [](claims_audit). Bhat and Dharani report faster inference by int8, without a number {cite}`bhat2024`.
#
# ## What the records say
#
# How fine must the steps be, and must the ranges be fixed beforehand?

# %% tags=["record", "remove-input"]
Finding(f"""
One step for each row is worth having. With one for the whole matrix the
dynamic file {ours.told('dynamic-tensor', 'quant')}:
{ours.gap('dynamic-tensor', 'quant')}. Between fixed ranges and ranges by
batch no difference in accuracy shows: {ours.gap('static', 'quant')}. Nor does
our file differ from the library's (`quant`, `control`):
{ours.gap('quant', 'control')}. But it answers
{speed.ratio('control', 'quant', 'latency_ms_p50')} as fast.""")

# %% [markdown]
# And the words?

# %% tags=["record", "remove-input"]
rest = ours.mean("dynamic-words32", "size_bytes", scale=1e-6, unit=" MB")
few = ours.mean("vocabulary-words4", "size_bytes", scale=1e-6, unit=" MB")
Finding(f"""
Left in fp32, they hold the file at {rest}: here is the complaint that it does
not shrink. Four bits for them cost nothing that shows. Keeping 12 000 of them
gives {few} and has a price, without training: `vocabulary` against `static`
{ours.gap('vocabulary', 'static')}.""")

# %% tags=["record", "hide-input"]
frame = contrasts.exploratory(ours.frame)
compared = [("dynamic-tensor", "quant"), ("static", "quant"),
            ("quant", "control"), ("vocabulary", "static")]
against, equal, by_pair = contrasts.family(
    contrasts.official_differences(frame, dict.fromkeys(arms, "base")),
    contrasts.control_differences(frame, arms),
    contrasts.official_differences(frame, compared))
print(tables.absent(frame, arms), tables.standing(frame, arms), sep="\n")
shown = tables.against_table(frame, ["base", *arms], against, controls=equal)
Table(shown.drop(columns=["pairs seen after base", "parameters, M"],
                 errors="ignore"),
      folded="all arms, against the baseline and the equal control")

# %% tags=["record", "hide-input"]
Table(tables.pair_table(by_pair), folded="file against file, pair by pair")

# %% [markdown]
# :::{dropdown} How to read this table
# - `control`: torch.onnx.export, ONNX Runtime's graph optimizer, then `quantize_dynamic` per channel; `control-plain`: without the optimizer.
# - `onnx-fp32`: our export without any integers. What the graph alone does shows here.
# - `quant`, `dynamic-tensor`, `dynamic-words32`: dynamic; with one step per matrix; with the word table in fp32.
# - `base-control-int8`: as `quant`, of the uncompressed network that was trained on with a teacher (`base-control`, [](12_distillation)).
# - `static`, `static-minmax`, `static-percentile`, `static-tensor`: calibrated by `mse` and otherwise.
# - `static-openvino`: the same scheme in ONNX's standard operators, run by OpenVINO.
# - `static-words4`, `vocabulary`, `vocabulary-words4`: words in 4 bits, the 12 000 most frequent pieces of training and source text, both.
# - The size of `base` is that of its checkpoint (safetensors). Differences are in points, paired by seed and example, with 95% intervals. *After Holm*: which of them stand once all comparisons of this chapter count as one family ({term}`Holm correction`).
# - *To equal control*: to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` ([](10_adaptive_iterative_pruning)) or `base-control` ([](12_distillation)).
# - An interval that contains 0 does not show a loss; it does not show that there is none either.
# :::
#
# In BERT-base the word table is a fifth of the weights and not half of them, so leaving it in fp32 costs less of the effect, and trimming gains less. Larger encoders have activations with a few very large channels, which makes one range per tensor harder {cite}`dettmers2022llmint8`.
#
# ## To remember
#
# - Eight bits after training are nearly free. Round the words too, or the file hardly shrinks.
# - Use one step for each row, calibrated ranges, and 8 bits by pairs: then every processor says the same.
# - Open: more than one seed, and encoders whose activations have large outliers.
#
# ## Exercises
#
# **1.** Calibrate on 4 and on 16 texts. How far are the ranges from those of 64?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
ranges = {count: calibrate(
    base, lab.encoded("train").take(slice(count)),
    CalibrationConfig("mse")).activation for count in (4, 16, 64)}
for count in (4, 16):
    off = [abs(ranges[count][name][0] / step - 1)
           for name, (step, _) in ranges[64].items()]
    print(f"{count:2d} texts: ranges {np.mean(off):.1%} away on average,",
          f"{max(off):.0%} at most")

# %% [markdown]
# **2.** The classifier stays in fp32. What would rounding it save, and does it change an answer?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
whole = copy.deepcopy(base)
w = whole.classifier.weight
steps = scheme.weight_scales(w.detach().numpy())
q = scheme.quantize_weight(w.detach().numpy(), steps)
w.data = torch.from_numpy(scheme.dequantize_weight(q, steps))
same = (predict(whole, held).argmax(1) == reference.argmax(1)).mean()
print(f"{3 * w.numel():,} of {weighs['int8']:,} bytes; {same:.1%} same class")

# %% [markdown]
# **3.** Cut the word table into blocks of 16 and of 128 values instead of 32. What happens to the error, and to the bits of a value?

# %% tags=["hide-cell", "live"]
for block in (16, 32, 128):
    cut = table.reshape(-1, block)
    step = np.abs(cut).max(axis=1, keepdims=True) / 7
    off = np.linalg.norm(np.round(cut / step) * step - cut)
    print(f"blocks of {block:3d}: {4 + 32 / block:.2f} bits a value,",
          f"error {100 * off / np.linalg.norm(cut):.1f}%")
