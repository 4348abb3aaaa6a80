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
# # The baseline: fine-tuning
#
# Every technique in this book is compared with one thing: the same encoder, fine-tuned on the same pairs in the ordinary way. How good is it, and can it be trusted as an opponent?

# %% tags=["parameters", "hide-input"]
profile: str = "quick"  # quick | cpu | gpu | paper
seed: int = 0  # weights of the new layer, order of the examples, dropout
data: str = "default"  # embedded | hub id | local path
model: str = "default"  # bundled | hub id | local folder
results_dir: str = "default"  # where the record goes
labels: str = "default"  # names of its classes, where it is not NLI
text: str = "default"  # and of its one or two columns of text
epochs: object = "default"  # a whole number; default: the profile's own
train_rows: object = "default"  # likewise
development_rows: object = "default"  # likewise

# %% tags=["hide-input"]
import inspect

import numpy as np

from seo_core import figures, load_settings, results
from seo_core.analysis import glue, tables, tradeoff
from seo_core.analysis.findings import MATCHED, Evidence, Finding
from seo_core.analysis.tables import Table
from seo_core.arms import baseline, open_lab
from seo_core.data import NLI_LABELS
from seo_core.evaluation import accuracy_by_genre, confusion_matrix
from seo_core.training import TrainingConfig, fit

settings = load_settings(
    profile, seed=seed, data=data, model=model, results_dir=results_dir,
    labels=labels, text=text, epochs=epochs, train_rows=train_rows,
    development_rows=development_rows)

# %% tags=["record", "answer", "remove-input"]
ours = Evidence("02_baseline", tradeoff.CHAPTERS[1])
Finding(f"""
A six-layer encoder, fine-tuned for three epochs, is right on
{ours.mean('base', MATCHED)} of the matched pairs ({ours.seeds('base')}).
Guessing would be right on about a third. Its perplexity is
{ours.mean('base', 'perplexity_matched', scale=1, unit='', digits=2)}, where
guessing has 3. None of four other settings did better on held-out pairs, with
one seed each. A teacher does: `distilled`
{ours.told('distilled', 'base', MATCHED)} by
{ours.gap('distilled', 'base', MATCHED)}.""")

# %% mystnb={"figure": {"caption": "Curves of the reference runs: mean over the seeds, and the range between them. Training values are running means with dropout on.", "name": "fig-baseline-reference"}, "image": {"alt": "Two panels over three epochs of the reference runs: accuracy rises and loss falls, for training and for development pairs; development accuracy rises little in the third epoch."}} tags=["record", "hide-input"]
reference = glue.of_task(results.load(
    results.reference_dir() / "cpu" / "02_baseline"), "mnli")
base = reference[reference["configuration"] == "base"]
_ = figures.training_curves([results.record_at(path) for path in base["path"]])

# %% [markdown]
# ## The idea
#
# If the baseline is weak, everything beats it. So it gets the same care as the methods.
#
# {term}`Fine-tuning` trains a pre-trained network further on your task. The SEO-LLM paper does it with BERT-base {cite}`devlin2019` on MultiNLI {cite}`williams2018`: AdamW, a learning rate of 2e-5, batches of 32 and 20 epochs {cite}`seollm2024`. It minimizes the mean {term}`cross-entropy` of the gold label:
#
# $$ L_\text{task}(\theta, D) = -\frac{1}{|D|} \sum_{(x, y) \in D} \log p_\theta(y \mid x). $$
#
# You use the same loss and optimizer {cite}`loshchilov2019adamw`. The profile sets the encoder and the epochs. `paper` has the paper's own values. `quick` takes a small encoder and few pairs, and runs in seconds: its numbers are a toy.
#
# ## Data
#
# A {term}`lab` is the common ground of all that is compared. It loads and cleans the set and takes the {term}`development slice` out of the training pairs. Then it cuts everything to the size that the profile asks for.
# The slice has two halves, and no premise stands in two splits. The official validation sets, matched and mismatched, are read once, at the end of a run.

# %% tags=["live"]
lab = open_lab("02_baseline", settings)
{split: len(frame) for split, frame in lab.task.splits.items()}

# %% [markdown]
# A premise and a hypothesis become one sequence of WordPiece tokens, `[CLS] premise [SEP] hypothesis [SEP]`. All sequences lie in one flat array. Padding comes when a batch is made, and only up to the longest pair in it.

# %% tags=["live"]
train = lab.encoded("train")
print(f"{len(train)} training pairs,",
      f"{train.lengths.mean():.1f} tokens each on average")

# %% [markdown]
# ## Training
#
# What is compared is an {term}`arm`: a name, a recipe and a function. This is the function of the arm `base`:

# %% tags=["live"]
print(inspect.getsource(baseline.fine_tuned))

# %% [markdown]
# `fit` does five things beyond the plain loop:
#
# - it warms the learning rate up and lets it fall linearly to zero;
# - it clips gradients;
# - it puts pairs of like length into a batch;
# - it computes in bf16 where the processor can;
# - it leaves the word table as it is, which is half of the small encoder's weights.
#
# What each of these is worth in time, [](bench_training) measures.
#
# `lab.arm` looks for a record of this run, and trains where there is none. Stop it, and it goes on from its checkpoint the next time. Every chapter on compression starts from these very weights.

# %% tags=["nbval-ignore-output", "live"]
run = lab.arm("base")
metrics, curves = run.metrics, run.record["series"]
print(f"{metrics['train_examples']} examples, development accuracy",
      f"{100 * curves['development_accuracy'][-1]:.1f}%")

# %% mystnb={"figure": {"caption": "Training and development curves of this run. The training values are running means with dropout on, which is why they can lie below the development values early on.", "name": "fig-baseline-curves"}, "image": {"alt": "Two panels over epochs: loss falls and accuracy rises, for training and for development pairs."}} tags=["live"]
_ = figures.training_curves(curves)

# %% [markdown]
# ## Evaluation
#
# Now the official sets. *Matched* has the genres of the training pairs, *mismatched* has others. Those of MultiNLI itself are sealed. Only runs that [a list](../book/record_schema.md) names are scored there, and all others on development pairs.
#
# Two measures beside accuracy. {term}`Perplexity` is exp of the mean cross-entropy: 1 is perfect, 3 is guessing among three classes. The expected calibration error (`ece`) says how far the stated confidence is from the accuracy {cite}`guo2017calibration`.

# %% tags=["nbval-ignore-output", "live"]
for name in ("accuracy", "f1_macro", "cross_entropy", "perplexity", "ece"):
    print(f"{name:14s}", *(f"  {which} {metrics[f'{name}_{which}']:.3f}"
                           for which in run.accuracies))

# %% mystnb={"figure": {"caption": "Confusion matrix on the matched set of this run: rows are the gold labels, columns the predictions.", "name": "fig-baseline-confusion"}, "image": {"alt": "Three by three matrix of counts with most of the pairs on the diagonal."}} tags=["live"]
kept, splits = results.predictions(run.path), run.scored
votes = {split: np.eye(len(lab.task.labels))[kept[split]]
         for split in splits}  # (n, k), 1 for the class that was said
confusion = {split: confusion_matrix(votes[split], lab.encoded(split).labels)
             for split in splits}
_ = figures.confusion(confusion[splits[0]], lab.task.labels)

# %% mystnb={"figure": {"caption": "Accuracy of this run by genre on both official sets; the number of pairs stands beside each genre.", "name": "fig-baseline-genres"}, "image": {"alt": "Horizontal bars of accuracy for each genre, matched and mismatched."}} tags=["live"]
genres = {split: accuracy_by_genre(votes[split], lab.encoded(split).labels,
                                   lab.task[split]["genre"])
          for split in splits}
_ = figures.by_genre(genres)

# %% [markdown]
# The run is one record in the results store, with its predictions and its weights beside it. Tables and figures of later chapters read it from there.
#
# **Check.** Fine-tuning has to learn something that guessing does not have. On both sets the accuracy must lie above the share of the most frequent label, by more than chance allows. Perplexity must lie below that of a uniform guess.
# What a few hundred pairs teach, or how hard classes of your own are, is not known beforehand. There the answer is printed only.

# %% tags=["live"]
k = len(lab.task.labels)
learned = all(metrics[f"perplexity_{which}"] < k for which in run.accuracies)
for split, counts in confusion.items():
    n, majority = counts.sum(), counts.sum(axis=1).max()
    chance = 3 * (majority * (1 - majority / n)) ** 0.5
    learned &= bool(counts.trace() > majority + chance)
    few = min(len(train), 4 * n) < 1000
    assert learned or few or lab.task.labels != NLI_LABELS, (split, n)
sets = "both sets" if len(splits) == 2 else "the set"
print(f"above the majority class on {sets}, perplexity below {k}" if learned
      else "not told apart from the majority class: try more rows or epochs")

# %% [markdown]
# ## What the papers report
#
# For BERT-base on all of MultiNLI: 84.5% accuracy, a perplexity of 9.8 and 48 hours of training {cite}`seollm2024`. The accuracy is what others report too. The perplexity is not possible for such a classifier, and the hours are about three times what others need. See [](tab4_accuracy_perplexity) and [](claims_audit).
#
# ## What the records say
#
# The reference runs were made with the profile `cpu`: the six-layer MiniLM encoder {cite}`wang2020minilm` and three epochs. They have all training pairs of a 34 000-pair subset of MultiNLI that are left after cleaning and the development slice. So accuracy is lower than with all 392 702 pairs.

# %% tags=["record", "hide-input"]
print(tables.standing(base))
Table(tables.record_table(base), folded="the three records")

# %% [markdown]
# :::{dropdown} How to read this table
# Each record is committed with the book, and has its command inside. A dash for the minutes means that other work ran on the machine meanwhile: such a time is no cost, and the store leaves it out. From these three records, made before it did, the two clock values were removed afterwards. The chapter [](bench_training) measures speed on its own.
# :::
#
# A baseline that nobody tuned is a weak opponent. So the learning rate, the epochs and the word table were varied, one seed each. What counted was accuracy on the acceptance half of the development slice; the official sets were not read.

# %% tags=["record", "remove-input"]
held = "final_development_accuracy"
loss = {name: ours.mean(name, "final_train_loss", scale=1, unit="", digits=2)
        for name in ("base", "base-trial-1e-4-5")}
Finding(f"""
Against the profile's settings: five epochs instead of three,
{ours.gap('base-trial-1e-4-5', 'base', held)}; five at half the rate,
{ours.gap('base-trial-5e-5-5', 'base', held)}; five at twice the rate,
{ours.gap('base-trial-2e-4-5', 'base', held)}; the word table trained too,
{ours.gap('base-trial-1e-4-3-words', 'base', held)}. Two epochs more take the
training loss from {loss['base']} to {loss['base-trial-1e-4-5']}, and do
nothing for other pairs: what this network lacks is not steps.""")

# %% [markdown]
# The half has 2 000 pairs, so one {term}`standard error` is about a point. <!-- arithmetic --> None of these is told apart from the settings, which therefore stay. The compressed networks of chapters 9 to 13 are held against `base` *and* against `distilled`, the same network trained on with soft labels ([](10_adaptive_iterative_pruning)).

# %% tags=["record", "hide-input"]
trials = [(r["parameters"]["training"], r["configuration"],
           r["series"]["development_accuracy"][-1])
          for r in map(results.record_at, reference["path"])
          if r["seed"] == 0]
rows = [(name, t["learning_rate"], t["epochs"],
         "no" if t["freeze_embeddings"] else "yes", 100 * accuracy)
        for t, name, accuracy in sorted(trials, key=lambda trial: -trial[2])]
columns = ["run", "learning rate", "epochs", "word table trained",
           "development accuracy, %"]
Table(tables.rows_or(rows, columns), folded="the trials, best first")

# %% [markdown]
# :::{dropdown} Trials that were stopped
# Two more, with a rate of 0.0004 and with the word table at 0.0002, were stopped in their first epoch, since 0.0002 had turned out worse than 0.0001. No accuracy was read off them. <!-- setting -->
# :::
#
# And labels? `base-twice` is `base` by the same settings, with as many labelled pairs again from a second set: what differs is the labels alone.
#
# ```bash
# python -m seo_core.run arm base-twice --profile cpu \
#     --data path/to/mnli --unlabelled path/to/mnli_extra
# ```

# %% tags=["record", "remove-input"]
Finding(f"""
On the same held-out pairs, twice the labels against once:
{ours.gap('base-twice', 'base', held)}.""")

# %% [markdown]
# The encoder's checkpoint has seen NLI pairs in its contrastive pre-training {cite}`reimers2019sbert`, so this is not a clean low-data result. Comparing methods is fair, since all start from the same weights. The absolute accuracy is not that of an encoder that never saw such pairs.
#
# With `profile="gpu"` the same cells fine-tune BERT-base on all of MultiNLI, with `"paper"` by the papers' own hyperparameters.
#
# ## To remember
#
# - Fine-tune the plain network with care first: a gain over a weak baseline is no gain.
# - Use `lab.arm("base")` as the opponent, and `distilled` where a method had a teacher or more steps.
# - Open: BERT-base on all pairs, and a search with more than one seed for a trial ([](18_hyperparameter_search)).
#
# ## Exercises
#
# **1.** How far apart are the three seeds? Compare their spread with the {term}`standard error` that so many pairs have by chance.

# %% tags=["hide-cell", "record"]
if len(base):
    accuracy = base["accuracy_matched"]
    first = results.predictions(base["path"].iloc[0])
    n = len(first["validation_matched_correct"])
    error = (accuracy.mean() * (1 - accuracy.mean()) / n) ** 0.5
    print(f"spread of the seeds {100 * accuracy.std():.2f} points,",
          f"standard error of {n} pairs {100 * error:.2f}")

# %% [markdown]
# The spread is smaller than the error, since all seeds answer the *same* pairs. Another draw of pairs would move all three together.
#
# **2.** Take a hundred times the learning rate. What does the loss do?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
rows = train.take(slice(64))
for rate in (1e-4, 1e-2):
    config = TrainingConfig.from_settings(
        lab.settings, learning_rate=rate, epochs=3, evaluations_per_epoch=1)
    loss = fit(lab.network(), rows, config=config,
               progress=False).series["train_loss"]
    print(rate, [round(value, 2) for value in loss])

# %% [markdown]
# **3.** Which genre is hardest in this run? Is it below the mean of the others by more than two standard errors?

# %% tags=["hide-cell", "live", "nbval-ignore-output"]
found = genres[splits[0]]
hardest = min(found, key=lambda genre: found[genre][0])
accuracy, n = found.pop(hardest)
right, pairs = np.array([*found.values(), (0, 0)]).T
others = np.average(right, weights=pairs) if found else accuracy
error = (others * (1 - others) / n) ** 0.5
print(f"{hardest}: {100 * accuracy:.1f}% of {n} pairs, the others",
      f"{100 * others:.1f}%; two standard errors {200 * error:.1f} points")
