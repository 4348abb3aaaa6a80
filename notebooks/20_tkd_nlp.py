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
# # TKD-NLP: four stages, nine tasks
#
# TKD-NLP teaches a Transformer of twelve layers in four stages, and reports one accuracy on GLUE: 98.32% {cite}`tkdnlp2024`. But GLUE is nine tasks, and two of them are measured by correlations {cite}`wang2019glue`. What is this design worth, task by task? (We know the paper through a third party's summary only: what this page says of it, the summary says.)

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # of the weights, the masks, the order of the pairs, and dropout
data: str = "default"  # embedded | hub id | local path; default: the profile's own
model: str = "default"  # bundled | hub id | local folder: the teacher
results_dir: str = "default"  # where the records go
source: str = "default"  # the source task: embedded | hub id | local path; default: the profile's own
unlabelled: str = "default"  # further texts of the task, without labels, for arms with domain_text: hub id | local path; default: none
labels: str = "default"  # of data that is not NLI: the names of its classes, with commas between them
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch

from seo_core import figures, load_settings, results
from seo_core.analysis import contrasts, glue, tables
from seo_core.analysis.contrasts import DEVELOPMENT
from seo_core.analysis.findings import Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import open_lab
from seo_core.arms.texts import cache_folder
from seo_core.arms.tkd import RATES
from seo_core.bench import batches
from seo_core.models import count_parameters
from seo_core.tkd import (
    Injection,
    Shape,
    build,
    fine_tune,
    inject,
    pretrain,
    sinusoids,
    soft_labels,
    spread,
)
from seo_core.tkd.glue import TASKS, command
from seo_core.training import TrainingConfig, TrainingError, fit

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    source=source, unlabelled=unlabelled, labels=labels, text=text,
    epochs=epochs, train_rows=train_rows, development_rows=development_rows)
lab = open_lab("20_tkd_nlp", settings)
folder = results.reference_dir() / "cpu"

# %% tags=["record", "answer", "remove-input"]
frame = results.load(folder / "02_baseline", folder / "20_tkd_nlp")
SCRATCH = ("tkd-no-pretraining", "tkd-scratch")
Finding(f"""
GLUE's tasks that have been run here with all four stages:
{len(glue.scores(frame, 'tkd-kd'))} of {len(TASKS)}; with no more than the
majority class: {glue.no_better_than_majority(frame, 'tkd-kd')}. What the
teacher's soft labels bring, against the same network, stages and steps
without them: {glue.told(frame, 'tkd-kd', 'tkd-no-kd')}; from random
weights, without stage 1: {glue.told(frame, *SCRATCH)}. Such a network
against the teacher: {glue.told(frame, SCRATCH[0], 'base')}. Residual
connections against none:
{glue.told(frame, 'tkd-scratch', 'tkd-no-residual')}.""")

# %% mystnb={"figure": {"caption": "What the teacher is worth: TKD-NLP with soft labels minus the same network and steps without, by the metric of each task; against tkd-no-kd, both are pre-trained; against tkd-scratch, both begin with random weights (reference runs, 95% intervals; hollow points have one seed).", "name": "fig-tkd-tasks"}, "image": {"alt": "Points with intervals for each task of GLUE that was run: its metric with a teacher minus that without one; without records it says not run."}} tags=["record", "hide-input"]
_ = figures.forest(glue.by_task(frame, ("tkd-kd", "tkd-no-kd"), SCRATCH))

# %% [markdown]
# Two things need no benchmark, and you can prove them on this page in seconds. A student can be made deaf to its teacher, or to its labels. And without residual connections, the words of a text become one and the same.
#
# ## The network
#
# Twelve layers, eight heads, residual connections, LayerNorm, and positions that nobody learns {cite}`vaswani2017`:
#
# $$ \mathrm{PE}(t, 2i) = \sin\!\big(t / 10000^{2i/d}\big), \qquad \mathrm{PE}(t, 2i+1) = \cos\!\big(t / 10000^{2i/d}\big). $$
#
# All else is a BERT {cite}`devlin2019`, and you build it as one: what prunes, quantizes and exports a BERT in this book works on it. The width is not stated. We take 256, which makes heads of 32 units as the teacher has, and a network of three quarters of the teacher's weights.

# %%
def network(**shape):
    return build(Shape(**shape), vocabulary=len(lab.tokenizer),
                 labels=lab.task.labels, seed=seed)


# %% tags=["live"]
full = network()
parts = {"all": full, "layers": full.bert.encoder,
         "word table": full.get_input_embeddings()}
weights = {name: count_parameters(part) for name, part in parts.items()}
assert weights["layers"] + weights["word table"] < weights["all"] < 22.7e6
print({name: f"{number / 1e6:.1f} M" for name, number in weights.items()})

# %% [markdown]
# **Check.** How alike two positions are depends on how far apart they are, and on nothing else. (That the layers are those of `torch.nn.TransformerEncoder`, weight by weight, is a test of the package.)

# %% tags=["live"]
table = sinusoids(128, 256)
likeness = table @ table.T
assert all(float(likeness.diagonal(k).std()) < 1e-3 for k in (0, 1, 7, 40))
positions = full.bert.embeddings.position_embeddings.weight
assert torch.allclose(positions[:128], 0.02 * table)
assert not positions.requires_grad
print("alike by distance alone, and not trained")

# %% [markdown]
# ## The four stages
#
# 1. **Pre-train**: the encoder learns to say which word was masked, on the task's own text.
# 2. **{term}`Soft labels <soft labels>`**: the fine-tuned MiniLM says what it thinks of each pair, once.
# 3. **Inject**: with teacher logits $t$, student logits $s$ and label $y$,
#
#    $$ L = (1 - w)\, \mathrm{CE}(s, y) + w\, \tau^2\, \mathrm{KL}\big(\operatorname{softmax}(t/\tau) \,\big\|\, \operatorname{softmax}(s/\tau)\big). $$
#
# 4. **Fine-tune**: the labels alone.
#
# Here they run, each a call. Under `quick` this is a **toy**: 256 generated pairs and layers of 64 units. Look at the calls and not at the numbers: the loss on the labels stays at what a guess costs, $\ln 3 \approx 1.1$.

# %%
small = {"hidden": 64, "neurons": 256} if profile == "quick" else {}
train = lab.encoded("train").take(slice(256))
teacher, both = lab.arm("base").model(), (lab.tokenizer, lab.tokenizer)
config = TrainingConfig.from_settings(
    lab.settings, learning_rate=1e-3, epochs=2, freeze_embeddings=False)

# %% tags=["nbval-ignore-output", "live"]
student = network(**small)
words = pretrain(student, train, lab.tokenizer, config, progress=False)
soft = soft_labels(student, teacher, train, cache_folder(settings),
                   tokenizers=both)  # (n, k)
inject(student, train, soft, Injection(temperature=2.0, weight=0.5), config,
       progress=False)
tuned = fine_tune(student, train, config, progress=False)
for what, result in (("masked words", words), ("labels", tuned)):
    print(f"{what}: loss by epoch", np.round(result.series["train_loss"], 2))

# %% [markdown]
# ## Too little weight, too much
#
# The summary warns of both ends. With too low a weight "the student fails to capture the teacher's nuanced predictions"; with too high a one "it may overfit to teacher outputs" {cite}`tkdnlp2024`. You can see why without a benchmark.
#
# **Check.** At $w = 0$ another teacher makes the same student. At $w = 1$ other labels do: the teacher's mistakes are all that there is to learn.

# %%
few = train.take(slice(32))
wrong = np.roll(few.labels, 1)  # each pair gets its neighbour's label
brief = TrainingConfig.from_settings(
    lab.settings, epochs=1, freeze_embeddings=False)


def taught(weight, labels, logits):
    """The classifier of a student after stage 3."""
    pairs, pupil = few.take(slice(None)), network(
        layers=2, hidden=32, neurons=64)
    pairs.labels = labels
    inject(pupil, pairs, logits, Injection(weight=weight), brief,
           progress=False)
    return pupil.classifier.weight.detach()


# %% tags=["live"]
ends = ((0.0, False, True), (0.5, True, True), (1.0, True, False))
for weight, teacher_counts, labels_count in ends:
    given = taught(weight, few.labels, soft[:32])
    other_teacher = taught(weight, few.labels, -soft[:32])
    assert torch.equal(given, other_teacher) != teacher_counts
    other_labels = taught(weight, wrong, soft[:32])
    assert torch.equal(given, other_labels) != labels_count
    print(f"w = {weight}: the teacher counts: {teacher_counts},",
          f"the labels count: {labels_count}")

# %% [markdown]
# A student at $w = 0$ is the control of the figure above (`tkd-no-kd`): the same stages, as many steps, no teacher.
#
# ## Without residual connections
#
# "Vanishing gradients", says the summary, come of "too many layers without residual connections" {cite}`tkdnlp2024`. Take them away (`residual=False`) and look at what vanishes. Attention averages the tokens of a text. Nothing leads around it, so after two layers all tokens are one {cite}`dong2021rank`. A query then has nothing to choose from, and its gradient is gone.

# %% mystnb={"figure": {"caption": "How far the tokens of a text are from one another after each of twelve layers, before any training.", "name": "fig-tkd-residual"}, "image": {"alt": "Two lines over the layers. With residual connections the spread of the tokens stays level; without them it falls to zero within the first two layers."}} tags=["live"]
inputs, apart, slope = train.inputs(range(32)), {}, {}
truth = torch.from_numpy(few.labels)
for name, residual in (("with residual connections", True),
                       ("without", False)):
    deep = network(hidden=64, neurons=256, residual=residual)
    apart[name] = spread(deep, **inputs)
    logits = deep(**inputs).logits
    torch.nn.functional.cross_entropy(logits, truth).backward()
    inner = deep.bert.encoder.layer[6].attention.self
    slope[name] = float(inner.query.weight.grad.norm()
                        / inner.value.weight.grad.norm())
_ = figures.over_layers(apart, "spread of the tokens")

# %% [markdown]
# **Check.** The spread stays with residual connections and is gone without them, and with it the gradient of the queries.

# %% tags=["live"]
kept, lost = apart.values()
assert kept[-1] > 0.8 * kept[0] and lost[6] < 1e-4
assert slope["without"] < 1e-3 * slope["with residual connections"]
print("one token is left of each text, and queries get no gradient")

# %% [markdown]
# So it is not the depth, and not every gradient. What remains is a bag of words. What that costs is for two arms to say: `tkd-no-residual`, and `tkd-scratch`, which has the connections and no teacher either.
#
# ## A batch too large
#
# The third warning of the summary is memory. `fit` answers with a number to try, with a GPU or without. Here a loss asks for a petabyte:

# %% tags=["live"]
try:
    fit(network(layers=1, hidden=32, neurons=64), few, progress=False,
        config=TrainingConfig(batch_size=32, freeze_embeddings=False),
        loss=lambda logits, batch: torch.empty(2**50).sum())
except TrainingError as error:
    assert "use batch_size=16 (half) or less" in str(error)
    print(error)

# %% [markdown]
# What a batch costs in memory and time, your machine has to say: `python -m seo_core.run bench batches` trains this network on it over batch sizes and {term}`precisions <bf16>`, and lets it answer. On ours:

# %% tags=["record", "hide-input"]
Table(batches.report(folder / "bench_batches"),
      folded="memory, time and latency by batch and precision")

# %% [markdown]
# ## What the paper reports
#
# Two numbers, 98.32% accuracy and 97.14% F1 {cite}`tkdnlp2024`, without tasks, teacher, width, text or formula. The accuracy is above every published GLUE mean that we know of.
#
# ## What the records say
#
# First, the rate. Twelve layers with LayerNorm behind the sum want small steps, or a long warm-up {cite}`xiong2020`. It was searched from random weights, without a teacher, on 4 000 sentences of SST-2. <!-- setting --> All arms have the middle one of three.

# %% tags=["record", "remove-input"]
searched = Evidence(frame=frame, task="sst2")
_, slower, high = (f"tkd-scratch-rate-{rate}" for rate in RATES)
Finding("Accuracy on the development rows: " + "; ".join(
    f"at a rate of {rate}, " + searched.mean(
        f"tkd-scratch-rate-{rate}", DEVELOPMENT, scale=100, unit="%")
    for rate in RATES) + ". The largest against the middle one: "
    + searched.told(high, slower, DEVELOPMENT, better="better", worse="worse",
                    same="not told apart") + ".")

# %% [markdown]
# And what is stage 1 worth, on the task's own sentences?

# %% tags=["record", "remove-input"]
hidden, frequency = (glue.by_name(frame, "tkd-pretrained", f"{kind}_entropy")
                     for kind in ("masked_cross", "frequency_cross"))
over = {task: nats - frequency[task] for task, nats in hidden.items()
        if task in frequency}
best = min(over, key=over.get, default=None)
won = sum(gap < 0 for gap in over.values())
Finding(f"""
After stage 1 a hidden word costs less than by frequency alone on {won} of
{len(over)} tasks; best on {best}, with {hidden[best]:.2f} nats against
{frequency[best]:.2f}. Without a teacher, against the same steps from random
weights: {glue.told(frame, 'tkd-no-kd', 'tkd-scratch')}.""" if best else
        "Not run.")

# %% [markdown]
# Is the weight as delicate as the summary says, and the temperature?

# %% tags=["record", "remove-input"]
SWEEP = {"tkd-weight-0.1": "with little weight on the teacher (w = 0.1)",
         "tkd-weight-1.0": "with all of it (w = 1)",
         "tkd-temperature-1": "at temperature 1", "tkd-temperature-5": "at 5"}
Finding("Against w = 0.5 and τ = 2: " + "; ".join(
    f"{words}, {glue.told(frame, name, 'tkd-kd')}"
    for name, words in SWEEP.items()) + ".")

# %% [markdown]
# :::{dropdown} How to read the tables
# All cells of the first table below are means over seeds by the task's own metric, on the validation sets at hand; a difference in F1 or a correlation has its interval by the jackknife {cite}`efron1981`. MNLI, QNLI and QQP are at hand as subsets, and where a task is capped its command says so (the last table, with how many texts each was trained on). In a column all of ours have as many as `tkd-kd`. Published students stand there as their papers print them, one number a task {cite}`sanh2019,jiao2020`: DistilBERT's are of the validation sets, TinyBERT's of the test sets, which only GLUE's server can score. On WNLI the bar is the majority class, since its validation set contradicts its training set. `tkd-distilbert` and `tkd-tinybert` are students of other kinds at the same temperature, weight, rate and epochs, as far as [](12_distillation) goes: no second corpus, no augmented text.
# :::

# %% tags=["record", "hide-input"]
print(tables.standing(frame))
Table(glue.glue_table(frame), folded="every system on every task")

# %% tags=["record", "hide-input"]
middle = {"tkd-kd": "τ = 2, w = 0.5", "tkd-weight-0.9": "w = 0.9"}
swept = glue.glue_table(frame, {**middle, **SWEEP})
ours = swept["system"].str.contains("(tkd-", regex=False)
Table(swept[ours], folded="temperatures and weights")

# %% [markdown]
# And mixed precision? `tkd-kd-bf16` computes stages 3 and 4 in [bf16](16_mixed_precision), `tkd-kd-fp32` does not.

# %% tags=["record", "remove-input"]
MIXED = ("tkd-kd-bf16", "tkd-kd-fp32")
Finding(f"""
In bf16 against fp32: {glue.told(frame, *MIXED)}. On SST-2, time:
{searched.ratio(*MIXED, 'train_seconds', digits=2)}; peak memory:
{searched.ratio(*MIXED, 'peak_memory_bytes', digits=2)}.""")

# %% [markdown]
# "Pruning and quantization shrink further; aggressive settings collapse", says the summary. This network is a BERT, so [units](09_pruning) go and [integers](11_quantization) come by the calls of those chapters, with one pass over the labels in between. Or single weights become zero. How far does either go?

# %% tags=["record", "remove-input"]
SQUEEZED = {"tkd-quant": "integers alone",
            **{f"tkd-prune-quant-{part}": f"{part}% of the encoder gone first"
               for part in (50, 80, 90)},
            **{f"tkd-prune-zeros-{part}": f"{part}% zeros, in fp32"
               for part in (50, 90)}}
units, zeros = ({f"tkd-{way}-{part}": part for part in parts}
                for way, parts in (("prune-quant", (50, 80, 90)),
                                   ("prune-zeros", (50, 90))))
sizes = frame.groupby("configuration")["size_bytes"].mean() / 1e6
files = {name: f" ({sizes[name]:.1f} MB)" if name in sizes else ""
         for name in ("tkd-kd", *SQUEEZED)}
Finding(f"Against the network in fp32{files['tkd-kd']}: " + "; ".join(
    f"{words}{files[name]}, {glue.told(frame, name, 'tkd-kd')}"
    for name, words in SQUEEZED.items()) + f""".

No better than the majority class, with units gone:
{glue.collapse(frame, units)}; with weights at zero:
{glue.collapse(frame, zeros)}.""")

# %% tags=["record", "hide-input"]
rows = glue.glue_table(frame, {"tkd-kd": "in fp32", **SQUEEZED})
rows = rows[rows["system"].str.contains("(tkd-", regex=False)]
rows.insert(1, "file, MB", [
    f"{sizes[name]:.1f}" if name in sizes else "not run"
    for name in ("tkd-kd", *SQUEEZED)])
Table(rows, folded="smaller and smaller")

# %% tags=["record", "hide-input"]
pairs = [("tkd-kd", "tkd-no-kd"), SCRATCH, (SCRATCH[0], "base"), MIXED,
         ("tkd-no-kd", "tkd-scratch"), ("tkd-scratch", "tkd-no-residual"),
         *((name, "tkd-kd") for name in (*SWEEP, *SQUEEZED))]
rates = contrasts.differences(
    searched.frame, [(high, slower)], [DEVELOPMENT], labels=None)
compared, = contrasts.family(pd.concat([rates, *(
    rows.assign(contrast=pair[0] + ": " + rows["contrast"])
    for pair in pairs if len(rows := glue.by_task(frame, pair)))]))
Table(tables.pair_table(compared),
      folded="all comparisons of this page, task by task, as one family")

# %% tags=["record", "hide-input"]
done = glue.scores(frame, "tkd-kd")
commands = [(task.title, ", ".join(task.metrics),
             done[name].seeds if name in done else 0,
             f"{done[name].rows} of {task.train}" if name in done else "—",
             command("tkd-kd", name)) for name, task in TASKS.items()]
Table(pd.DataFrame(commands, columns=[
    "task", "metrics", "seeds", "trained on", "its run"]),
      folded="the command of each task, and what it was trained on")

# %% [markdown]
# Stage 1 is where scale would show. DistilBERT and TinyBERT distilled on a general corpus first {cite}`sanh2019,jiao2020`; a task's own text is thousands of times less, and the teacher has seen much more.
#
# ## To remember
#
# - "On GLUE" names nine tasks and five metrics: ask for each.
# - The weight has two dead ends, and you can prove which input each ignores.
# - Without residual connections the tokens of a text become one; that, and not depth, stops the gradient.
#
# ## Exercises
#
# **1.** How deep is deep? Take the residual connections from one layer, and from two. Are the tokens still told apart?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for layers in (1, 2):
    shallow = network(layers=layers, hidden=64, neurons=256, residual=False)
    start, *_, end = spread(shallow, **inputs)
    print(f"{layers} without residual connections keep",
          f"{end / start:.0e} of the spread")
print("no: two layers are enough, so depth is not what does it")

# %% [markdown]
# **2.** Set the table of positions to zero, and reverse the words between `[CLS]` and the end. What do the logits do?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
blind, ids = network(hidden=64, neurons=256), inputs["input_ids"][:1]
ids = ids[ids != lab.tokenizer.pad_token_id][None]  # (1, T), no padding
turned = torch.cat([ids[:, :1], ids[:, 1:-1].flip(1), ids[:, -1:]], 1)
for name in ("with the table", "without it"):
    with torch.no_grad():
        change = blind(ids).logits - blind(turned).logits
        blind.bert.embeddings.position_embeddings.weight.zero_()
    print(f"{name}: logits change by {float(change.abs().max()):.0e}")
print("without positions a network reads a bag of words")

# %% [markdown]
# **3.** How sure is the teacher at $\tau = 1, 2, 5$, beside a guess? From which of them does a student learn most about the wrong answers?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
for tau in (1, 2, 5):
    probabilities = torch.softmax(torch.from_numpy(soft) / tau, -1)
    sure = float(probabilities.max(-1).values.mean())
    print(f"τ = {tau}: {sure:.2f}, a guess: {1 / soft.shape[1]:.2f}")
print("the surer the teacher, the higher a τ it takes to see the rest")
