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
# # Quantisation
#
# Weights and activations of a trained network are 32-bit numbers. The papers use fewer bits: "Quantization was performed by converting the
# weights and activations of the model to 8-bit integers, reducing the precision from 32-bit floating-point representations"
# {cite}`seollm2024`. A byte for each weight instead of four makes the file smaller, and products of bytes are faster where the
# processor has instructions for them.
#
# A number $x$ is replaced by an integer $q$ and a step $s$, with a *zero point* $z$ where the numbers are not symmetric about 0 {cite}`jacob2018`:
#
# $$ q = \mathrm{clip}\big(\mathrm{round}(x / s) + z,\ q_\text{min},\ q_\text{max}\big), \qquad \hat x = s\,(q - z). $$
#
# With integers $q_x$, $q_w$ on both sides, a linear map is an exact sum of integers, scaled once at the end:
#
# $$ y_j = s_x\, s_{w,j} \sum_i (q_{x,i} - z)\, q_{w,ji} + b_j. $$
#
# *Post-training* quantisation, the subject of this chapter, takes a network as it is. Training that knows about the rounding follows in
# [](13_quantization_distillation). Two complaints are common and are tested here: that the file shrinks less than it should, since
# the word table stayed as it was, and that int8 is not faster, or even slower ([](tab3_inference_speed)).

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the baseline
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task: embedded | hub id | local path; default: the profile's own
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
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

import seo_core
from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, tables, tradeoff
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab, quantization
from seo_core.deploy import artifact
from seo_core.evaluation import predict
from seo_core.quantization import scheme

settings = load_settings(profile, seed=seed, data=data, model=model, results_dir=results_dir, source=source,
                         labels=labels, text=text, epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("11_quantization", settings)

from transformers.utils import logging

logging.disable_progress_bar()
base = lab.arm("base").model()
texts, held = lab.encoded("train").take(slice(64)), lab.encoded("acceptance").take(slice(96))

# %% [markdown]
# `base` is the network that all chapters on compression start from. `texts` are training pairs; their labels are not looked at.
#
# ## Weights
#
# Weights are symmetric about 0, so $z = 0$ and $q$ runs from −127 to 127 (with 8 bits; what a file has to heed besides comes further down). Each output channel, a row of the matrix, has a step of its own:
# $s_{w,j} = \max_i |w_{ji}| / 127$. One step for the whole matrix would be set by the largest weight of all rows. Two matrices of the network as it was before
# fine-tuning:

# %% tags=["live"]
rows, pretrained = [], lab.network()
for name in ("bert.encoder.layer.0.attention.self.query", f"bert.encoder.layer.{base.config.num_hidden_layers - 1}.output.dense"):
    w = pretrained.get_submodule(name).weight.detach().numpy()
    for way, scale in (("per channel", scheme.weight_scales(w)), ("one for all", scheme.tensor_scale(w))):
        back = scheme.dequantize_weight(scheme.quantize_weight(w, scale), scale)
        rows.append((name.removeprefix("bert.encoder."), way, float(scale.min()), float(scale.max()),
                     100 * float(np.linalg.norm(back - w) / np.linalg.norm(w))))
Table(pd.DataFrame(rows, columns=["linear map", "steps", "smallest", "largest", "error, %"]).round(4))

# %% [markdown]
# The error is that of the whole matrix, relative to its size. The word table is rounded row by row in the same way. With 4 bits
# a row would be too coarse; there each block of 32 values has its own step, so a value takes 4 bits and a thirty-second part of a step's 32.

# %% tags=["live"]
table = base.get_input_embeddings().weight.detach().numpy()[:2000]
errors = {bits: 100 * float(np.linalg.norm(scheme.quantized_table(table, bits) - table) / np.linalg.norm(table))
          for bits in (32, 8, 4)}
print("\n".join(f"word table in {bits:2d} bits: error {error:5.2f}%" for bits, error in errors.items()))

# %% [markdown]
# ## Activations
#
# The range of an activation is not known before texts have passed. *Dynamic* quantisation measures it anew in every batch, which takes
# a pass over the tensor, and makes a text's logits depend a little on what else is in its batch. *Static* quantisation fixes it beforehand,
# from a few hundred training texts: *calibration*. What the output map of a feed-forward part reads has a long tail, and a few values that lie far
# beyond it. A range that holds them all has coarse steps; a narrower one clips them:

# %% tags=["hide-input", "live"]
from seo_core.quantization import CalibrationConfig, calibrate, emulate, values_read

name, scales = "bert.encoder.layer.3.output.dense", {}
for method in ("minmax", "percentile", "mse"):
    scales[method] = calibrate(base, texts, CalibrationConfig(method))
chosen = {method: found.activation[name] for method, found in scales.items()}
values = values_read(base, texts, name)
widths = {method: 255 * scale for method, (scale, zero) in chosen.items()}
assert np.isclose(widths["minmax"], np.ptp(values)) and max(widths["percentile"], widths["mse"]) < widths["minmax"]
print("minmax takes the whole range and no more; percentile and mse take a part of it")

# %% mystnb={"figure": {"caption": "What the output map of the fourth layer's FFN reads on 64 training pairs (logarithmic counts), and the range that each method of calibration takes. Values outside are clipped.", "name": "fig-quantization-ranges"}, "image": {"alt": "Histogram with a high peak just below zero and a long tail to the right. Three horizontal bars above it show the chosen ranges: the whole for minmax, shorter ones for percentile and mean squared error."}} tags=["live"]
_ = figures.ranges(values, chosen)

# %% [markdown]
# `minmax` clips nothing, `percentile` leaves 0.01% of the values outside, and `mse` takes the range with the least mean squared error
# {cite}`banner2019`. Whether a rare large value may be clipped is not to be seen from its rarity: it may carry something. `emulate` computes in fp32 what
# the integer network will say, so the ranges can be compared by their effect before anything is exported:

# %% tags=["nbval-ignore-output", "live"]
reference = predict(base, held)
found = {method: predict(emulate(base, s), held) for method, s in scales.items()}
gaps = [(m, 100 * float((z.argmax(1) == reference.argmax(1)).mean()), float(np.abs(z - reference).mean())) for m, z in found.items()]
Table(pd.DataFrame(gaps, columns=["method", "same class as fp32, %", "mean distance of logits"]).round(3))

# %% [markdown]
# ## The file
#
# `export_onnx` writes the graph for ONNX Runtime; `OnnxRunner` runs it, without torch. `parity` compares it with any network: here the fp32
# one, and the emulation of the same integers.

# %% tags=["hide-input"]
from seo_core.deploy.runners import OnnxRunner
from seo_core.quantization import ExportConfig, bytes_by_part, export_onnx, parity

folder = tempfile.TemporaryDirectory()
kinds = {"fp32": ("fp32", 32), "int8, words in fp32": ("int8-static", 32), "int8": ("int8-static", 8), "int8, words in 4 bits": ("int8-static", 4)}
files, found = {}, scales["mse"]
for title, (precision, bits) in kinds.items():
    mine = replace(found, embedding_bits=bits)
    files[title] = export_onnx(base, Path(folder.name) / f"{title}.onnx",
                               ExportConfig(precision, bits, max_length=settings.max_length), scales=mine)
exported = OnnxRunner(files["int8"])
reports = {"fp32 network": parity(reference, exported, held),
           "emulated integers": parity(emulate(base, found), exported, lab.comparison())}

# %% tags=["nbval-ignore-output", "live"]
Table(pd.DataFrame(reports).T[["agreement", "max_logit_difference", "mean_logit_difference"]].round(4).reset_index(names="int8 file against"))

# %% [markdown]
# Where are the bytes? With the linear maps alone in int8, the word table is nearly all of the file. A table of 30 522 words is also longer than
# any one task needs. Trimming keeps the pieces that training text uses, all single characters and the special tokens; a word whose piece is
# gone is spelled with shorter ones, so nothing becomes unknown that was not before.

# %% tags=["hide-input", "live"]
from seo_core.quantization import token_counts, trim, unknown_rate

small = trim(base, lab.tokenizer, token_counts(lab.encoded("train")), size=12_000)
mine = export_onnx(small.model, Path(folder.name) / "small.onnx", ExportConfig("int8-static", 4, max_length=settings.max_length),
                   scales=replace(found, embedding_bits=4))
files["… and fewer of them"] = mine
frame = lab.task["validation_matched"]
words = [text for column in lab.task.texts for text in frame[column]]
for title, tokenizer in (("all", lab.tokenizer), ("kept", small.tokenizer)):
    print(f"{title:5s} {len(tokenizer):6d} pieces: {unknown_rate(tokenizer, words)['unknown_rate']:.3%} of the tokens of the matched set unknown, "
          f"{unknown_rate(tokenizer, words)['tokens_per_text']:.2f} tokens a text")

# %% mystnb={"figure": {"caption": "Bytes of the exported file by what they are for (profile of this run: the generator's sentences need few words, so the last bar is shorter than on real text).", "name": "fig-quantization-bytes"}, "image": {"alt": "Stacked bars in megabytes for five files: fp32, int8 with words in fp32, int8, int8 with words in 4 bits, and the same with fewer words. In the second bar most of the bytes are the word table."}} tags=["live"]
_ = figures.parts({title: bytes_by_part(path) for title, path in files.items()})

# %% [markdown]
# **Check.** The integer file says what the integers say (on 2 000 pairs, or as many as there are), and nearly what the network said. Sums in another order round some activations to the
# neighbouring integer, so logits differ by a little, and a pair between two classes may change sides: not more than one in two hundred. One byte for each weight means a quarter of the
# file, and only where the word table is included. Padding changes nothing. The rate of unknown tokens on the official sets is reported; nothing was chosen by it.

# %% tags=["live"]
size = {title: path.stat().st_size for title, path in files.items()}
assert reports["emulated integers"]["mean_logit_difference"] < 0.02 * np.abs(reference).mean()
assert reports["emulated integers"]["agreement"] >= 0.995
assert reports["fp32 network"]["mean_logit_difference"] < 0.2 * np.abs(reference).mean() + 0.02
assert reports["fp32 network"]["agreement"] > 0.9
assert errors[32] == 0 < errors[8] < 2 < errors[4] < 15
assert 0.25 < size["int8"] / size["fp32"] < 0.27 and size["int8, words in fp32"] > 0.6 * size["fp32"]
assert size["… and fewer of them"] < size["int8, words in 4 bits"] < size["int8"]
batch = held.arrays(np.arange(min(8, len(held))))
longer = {key: np.pad(array, ((0, 0), (0, 7))) for key, array in batch.items() if key != "labels"}
assert np.abs(exported.run(longer) - exported.run(batch)).max() < 1e-3
print("the file computes the scheme; a quarter of the bytes, word table included; padding has no effect")

# %% [markdown]
# ## Something to take away
#
# An *artifact* is a folder with the file, its tokenizer, labels, checksums and a model card. It is loaded in one call, without torch:

# %% tags=["live"]
path = artifact.save(Path(folder.name) / "artifact", files["int8"], lab.tokenizer, labels=lab.task.labels, texts=lab.task.texts,
                     card=artifact.Card(data=(f"sentences of {'the generator in this book' if lab.task.name == 'embedded' else lab.task.name}",),
                                        made=("a chapter's demonstration",)))
classifier = seo_core.load(path)
print(sorted(p.name for p in path.iterdir()), len(classifier.predict(frame[list(lab.task.texts)].head(1))), "label predicted")

# %% [markdown]
# Whoever wants none of this package needs ten lines, which stand in the model card too:

# %% tags=["live"]
print(artifact.RECIPE)

# %% [markdown]
# ## The same on every processor
#
# Processors without VNNI multiply bytes two at a time and keep the sum of the two products in 16 bits, which end at 32 767. A product can
# be $255 \cdot 127 = 32\,385$: two do not fit, and what does not fit is cut off without a word. Then one file says one thing here and
# another thing there. With weights of 7 bits, from −64 to 64, the largest sum is $2 \cdot 255 \cdot 64 = 32\,640$. Few neighbours are both
# that large. So 8 bits will do too, where the scale of a row looks at pairs: $s = \max(|w_i|, |w_{2i} + w_{2i+1}|) / 127$, which is
# finer than 7 bits for most rows. That is how `calibrate` rounds unless it is told otherwise. Training moves weights and scales apart and could not keep that
# promise, so what is trained in integers starts from `CalibrationConfig(weight_bits=7)`.
#
# **Check.** Of the neighbouring weights of this network, rounded to 8 bits, some can overflow together; rounded to 7 bits, or to 8 by pairs, none can.

# %% tags=["live"]
matrices = [module.weight.detach().numpy() for module in scheme.linear_maps(base).values()]
kinds = {"8 bits": (scheme.weight_scales, 8), "7 bits": (lambda w: scheme.weight_scales(w, 7), 7), "8 bits, by pairs": (scheme.pair_scales, 8)}
rounded = {name: [(scheme.quantize_weight(w, scale(w), bits), scale(w)) for w in matrices] for name, (scale, bits) in kinds.items()}
can = {name: sum(scheme.overflows(q) for q, _ in parts) for name, parts in rounded.items()}
off = {name: np.mean([((scheme.dequantize_weight(*part) - w) ** 2).mean() / (w**2).mean() for part, w in zip(parts, matrices, strict=True)])
       for name, parts in rounded.items()}
assert can["8 bits"] > 0 and can["7 bits"] == can["8 bits, by pairs"] == 0
assert off["8 bits"] <= off["8 bits, by pairs"] < off["7 bits"]
print("matrices that can overflow:", can)
print("squared rounding error, times that of 8 bits:", {name: round(float(error / off["8 bits"]), 1) for name, error in off.items()})

# %% [markdown]
# Few pairs can, but every output sums many. What it does to answers is measured on the profile `cpu`: the baseline's file with 8 bits, with 7, and with 8 by pairs, and
# the int8 file of ONNX Runtime's own tools, each opened in a plain session and in one that was told to take the slower exact product.
# *On AVX2 only* is the share of pairs with the class that the same file's exact product gives them, where the plain session runs on an emulated processor
# that has no VNNI; the difference in accuracy is to the first row, in points.

# %% tags=["hide-input", "record"]
from seo_core.bench import saturation

Table(saturation.report(results.reference_dir() / "cpu" / "bench_saturation"))

# %% [markdown]
# Where sums overflow, one answer in thirty is another one, with our eight bits as with the library's. Three ways out say the same on both processors. The exact
# product costs more than a third of the speed, and whoever opens the file has to ask for it. Seven bits cost no time and perhaps a quarter of a point; eight bits by pairs cost neither
# here. So for rounding alone they are the default. The two files that come with the book were trained in seven bits and lose nothing by them
# that shows: their rows compare with the *unpruned* network in the first row.
#
# ## The arms
#
# `quant` is the papers' row: int8 after training, dynamic, nothing tuned, word table included. `static` has calibrated ranges. Both have 8 bits by rows, as the library's file has. The reference
# runs add the control, `quantize_dynamic` of ONNX Runtime's own tools. All are evaluated as files. The size of `base` is that of its checkpoint (safetensors).

# %% tags=["nbval-ignore-output", "live"]
names = ["quant", "static"] if profile == "quick" else list(quantization.QUANTIZATION.arms)
runs = {name: lab.arm(name) for name in names}
rows = [{"arm": name, "file, MB": run.metrics["size_bytes"] / 1e6,
         **{f"{which}, %": 100 * accuracy for which, accuracy in run.accuracies.items()},
         "same class as base, %": 100 * run.metrics.get("agreement", 1.0)}
        for name, run in {"base, PyTorch": lab.arm("base"), **runs}.items()]
Table(pd.DataFrame(rows).round(2))

# %% [markdown]
# ## What the papers report
#
# 420 MB become 150, 150 ms a batch become 90, accuracy goes from 84.5% to 82.8%; the text calls that "two-fold" {cite}`seollm2024,sec2025`. At one
# byte a weight, BERT-base's 110 million would be 110 MB; with the embeddings left in fp32, 181 MB. 150 is neither, see
# contradiction 9 in [](claims_audit). Bhat and Dharani report faster inference by int8, without a number {cite}`bhat2024`.
#
# ## The reference runs
#
# Records of the profile `cpu`. Differences to the baseline in points, paired by seed and example, with 95% intervals. The column *after Holm* says which of
# them stand once the whole table counts as one family ({term}`Holm correction`).
#
# *To equal control* is the difference to the same network, uncompressed, after at least as much training with the same teacher and texts: `distilled` ([](10_adaptive_iterative_pruning)) or `base-control`
# ([](12_distillation)). Behind it stand the seeds that both have, and what Holm's correction leaves. *No equal control* says that these saw fewer pairs than the arm, counted with all
# that it was made from.
#
# - `control`: torch.onnx.export, ONNX Runtime's graph optimiser, then `quantize_dynamic` per channel; `control-plain`: without the optimiser.
# - `onnx-fp32`: our export without any integers. What the graph alone does shows here.
# - `quant`, `dynamic-tensor`, `dynamic-words32`: dynamic; with one step per matrix; with the word table in fp32.
# - `static`, `static-minmax`, `static-percentile`, `static-tensor`: calibrated by `mse` and otherwise.
# - `static-openvino`: the same scheme in ONNX's standard operators, run by OpenVINO.
# - `static-words4`, `vocabulary`, `vocabulary-words4`: words in 4 bits, the 12 000 most frequent pieces of training and source text, both.

# %% tags=["record", "hide-input"]
frame = results.load(*(results.reference_dir() / "cpu" / name for name in ("09_pruning", "11_quantization")))
compressed = results.load(*(results.reference_dir() / "cpu" / name for name in tradeoff.CHAPTERS))  # with controls and ancestors
arms = [*quantization.QUANTIZATION.arms] if "quant" in set(frame["configuration"]) else []
against = contrasts.official_differences(frame, dict.fromkeys(arms, "base"))
print(tables.standing(frame))
Table(tables.against_table(frame, ["base", *arms] if arms else [], against, compressed).drop(columns=["pairs seen after base", "parameters, M"], errors="ignore"))

# %% [markdown]
# An interval that contains 0 does not show a loss; it does not show that there is none either. Read the files' bytes beside it: that
# is what a loss buys. Times are in [](tab3_inference_speed), and both together in [](fig3_size_vs_speed).
#
# ## What changes with scale
#
# In BERT-base the word table is a fifth of the weights and not half of them, so leaving it in fp32 costs less of the effect, and trimming gains less. Larger
# encoders have activations with a few very large channels, which makes one range per tensor harder {cite}`dettmers2022llmint8`.
#
# ## Exercises
#
# 1. Calibrate on 8 texts, and on 2 000. When do the ranges stop changing?
# 2. The classifier stays in fp32: 3 × 384 weights. What would its quantisation save, and what might it cost?
# 3. Trim the vocabulary to 5 000 pieces. How many more tokens does a text have, and what does that cost in time?
# 4. Quantise with blocks of 16 and of 128 values. What happens to the file, and to the error of the table?
