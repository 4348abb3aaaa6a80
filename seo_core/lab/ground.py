"""Studies: the same training run over label budgets, arms and seeds, one record each, resumable.

    study = open_study("06_active_learning", settings)
    run = study.train("random", study.random_rows(2000))                 # 2 000 labels drawn at random
    run = study.train("tl", study.random_rows(2000), start=source_model(settings))
    run.metrics["accuracy_matched"], run.model()

What the arms of a chapter share is here, so that they differ in nothing but what they are compared for:
the pool (all training pairs left after the development slice), the labelled pairs of a seed (nested: the
first 1 000 are among the first 2 000), epochs by the number of labels (`RunSettings.labelled`), the loop
(`training.fit`), and the evaluation. A run whose record lies in the results folder is not repeated: a stopped
study goes on with the first run that is missing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.data import Encoded, TaskData, encode, prepare
from seo_core.data.encoding import concatenate
from seo_core.lab.run import Added, Run, StudyError
from seo_core.settings import RunSettings, resolve_path

BUDGETS = (1000, 2000, 4000, 8000)  # labels; and under `quick`:
QUICK_BUDGETS = (64, 96, 128)
QUICK_BATCH = 8  # under `quick`: in batches of 16 a few hundred pairs are too few steps to leave chance
QUICK_RATE = 2.0  # × the profile's learning rate, for the same reason


# half the network where a chapter trains many and none of its checks rests on what they learned; ADA's filter, with
# half of it, passed too few edits for three seeds of six
QUICK_LAYERS = {"05_transfer_learning": 3, "06_active_learning": 3, "07_transfer_active_learning": 3}
QUICK_DEPTH = 3  # and so many layers below the head learn, which saves a third of the time
CURVE_FROM = 8000  # runs with so many labels also keep a development curve; below, one value at the end


@dataclass(frozen=True)
class Study:
    """The common ground of a chapter's runs for one seed."""

    experiment: str
    settings: RunSettings
    task: TaskData
    tokenizer: object = field(repr=False)
    ratio: tuple[int, ...] | None = None  # of the classes in the pool, where it is not as the data has them
    again: str | None = None  # the command that makes its records; None: the chapter's

    @property
    def command(self) -> str:
        """The command that makes its records, source task included."""
        return self.again or results.command(self.experiment, self.settings, source=True)

    @property
    def pool(self) -> pd.DataFrame:
        """The training pairs, labels included: what a teacher or an oracle sees, not a selection function."""
        return self.task["train"]

    @property
    def budgets(self) -> tuple[int, ...]:
        """The label budgets of the profile."""
        return QUICK_BUDGETS if self.settings.profile == "quick" else BUDGETS

    @cached_property
    def encoded(self) -> Encoded:
        """The pool as token ids, with labels."""
        return self.encode(self.pool)

    @cached_property
    def sealed(self) -> Encoded:
        """The pool as token ids, every label −1: what selection and pseudo-labelling may look at."""
        return replace(self.encoded, labels=np.full(len(self.encoded), -1, np.int64))

    @cached_property
    def acceptance(self) -> Encoded:
        """The acceptance half of the development slice."""
        return self.encode(self.task["acceptance"])

    def encode(self, frame: pd.DataFrame) -> Encoded:
        """Token ids of any frame with the task's text columns."""
        return encode(frame, self.tokenizer, texts=self.task.texts, max_length=self.settings.max_length)

    def of(self, experiment: str, **changes) -> Study:
        """The same ground for another experiment's runs: what chapters share is trained once, and encoded once."""
        other = replace(self, experiment=experiment, **changes)
        for name in ("encoded", "sealed", "acceptance", "_fingerprint"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other

    def limited(self, ratio: Sequence[int]) -> Study:
        """The same with a pool whose classes stand in `ratio`; the records' names end in "-limited"."""
        from seo_core.data import imbalance

        frame = imbalance(self.pool, ratio=ratio, seed=self.settings.seed)
        task = replace(self.task, splits={**self.task.splits, "train": frame})
        return replace(self, task=task, ratio=tuple(ratio))

    def random_rows(self, labels: int) -> np.ndarray:
        """(labels,) positions in the pool, drawn by the seed; smaller draws are the beginning of larger ones.

        Raises StudyError where the pool is smaller.
        """
        if not 1 <= labels <= len(self.pool):
            raise StudyError(f"{labels} labels were asked for and the pool has {len(self.pool)} pairs: ask for "
                             "1 or more and no more than that, or use more data")
        return np.random.default_rng([self.settings.seed, 47]).permutation(len(self.pool))[:labels]

    def candidates(self, bought: np.ndarray, number: int, n: int) -> np.ndarray:
        """(≤ n,) pool positions to choose from in round `number`: a fresh draw of what was not bought yet."""
        left = np.setdiff1d(np.arange(len(self.pool)), bought)
        return np.random.default_rng([self.settings.seed, 53, number]).permutation(left)[:n]

    def train(self, configuration: str, rows: Sequence[int] | Callable, *, labels: int | None = None,
              add: Callable[[], Added] | None = None, start: str | Path | Callable = "pretrained",
              loss: Callable | None = None,
              parameters: dict | None = None, keep: bool = False, training: dict | None = None,
              after: Callable | None = None, watch: Callable | None = None) -> Run:
        """Trains on the pairs at `rows` of the pool, and what `add()` makes; evaluates, and writes the record.

        start: "pretrained" (the settings' model), "scratch" (the same architecture, new weights), a folder of weights,
        or a function that returns one. loss(model) returns a loss for `fit`. training: fields of TrainingConfig to
        change (epochs: at least; with few pairs there are more). after(model) returns more metrics. watch: a callback
        of `fit` whose metrics() and series() go into the record. keep: keeps the weights for `Run.model`, which trains
        again where they are gone: so a committed record is enough, until a network is asked for. The rows go
        into the record as the ledger of bought labels. Where they are costly to find, `rows` is a function that
        returns so many `labels`. Nothing is called where the record is there already.
        """
        from seo_core.training import TrainingConfig

        labels = len(rows) if labels is None else labels
        settings = self.settings.labelled(labels)
        config = TrainingConfig.from_settings(settings, **(training or {}))
        everything = {"labels": labels, "classes": list(self.task.labels), "training": asdict(config),
                      "start": start if start in ("pretrained", "scratch") else "source",
                      "evaluation_precision": "auto", **(parameters or {})}
        if settings.profile == "quick":
            everything["layers_trained"] = QUICK_DEPTH
        if self.ratio:
            configuration, everything["ratio"] = f"{configuration}-limited", list(self.ratio)
        path = results.record_path(self.experiment, configuration, settings=settings, data=self.task,
                                   model_fingerprint=self._fingerprint, parameters=everything)
        weights = path.parent / ".weights" / path.stem

        def make() -> None:
            found = np.asarray(rows() if callable(rows) else rows, np.int64)
            if len(found) != labels:
                raise StudyError(f"{configuration}: {labels} labels were to be bought, and {len(found)} were")
            self._run(configuration, found, add, start() if callable(start) else start, loss, config, settings,
                      everything, weights if keep else None, after, watch)

        if not path.is_file():
            make()
        return Run(path, results.load_records(path)[0], weights, make if keep else None)

    @cached_property
    def _fingerprint(self) -> str:
        from seo_core.models.backbone import fingerprint

        return fingerprint(self.settings.model)

    def _run(self, configuration, rows, add, start, loss, config, settings, parameters, weights, after,
             watch) -> None:
        from seo_core.evaluation import classification_metrics, evaluate, predict
        from seo_core.models.backbone import fingerprint, model_info, save
        from seo_core.training import classification_loss, fit

        started, train = time.time(), self.encoded.take(rows)
        added = add() if add else None
        if added is not None:
            more = added.examples
            train = concatenate(train, more if isinstance(more, Encoded) else self.encode(more))
            loss = added.loss or loss
            # where little was added, no fewer steps than a supervised run on as many pairs
            config = replace(config, epochs=max(config.epochs, self.settings.labelled(len(train)).epochs))
        model = self.start(start)
        if settings.profile == "quick" and start != "scratch":
            _freeze_below(model, QUICK_DEPTH)
        found = fit(model, train, config=config, loss=loss(model) if loss else classification_loss,
                    development=self.acceptance if len(rows) >= CURVE_FROM else None, progress=False,
                    callbacks=[watch] if watch else [])
        accuracy, details = evaluate(model, self.task, self.tokenizer, max_length=settings.max_length,
                                     precision="auto")
        development = classification_metrics(predict(model, self.acceptance, precision="auto"),
                                             self.acceptance.labels)
        metrics = {**found.metrics, **accuracy, "labels": len(rows), "added": len(train) - len(rows),
                   "accuracy_development": development["accuracy"], **(added.metrics if added else {}),
                   **(after(model) if after else {}), **(watch.metrics() if watch else {})}
        info = model_info(model, self.settings.model)
        if start not in ("pretrained", "scratch"):
            info["start_fingerprint"] = fingerprint(str(start))
        if weights is not None:  # first, so that a record never stands without them
            save(model, self.tokenizer, weights)
        results.write(self.experiment, configuration, settings=settings, data=self.task,
                      model_info=info, metrics=metrics,
                      series={**found.series, **(added.series if added else {}), **(watch.series() if watch else {})},
                      parameters=parameters,
                      predictions={**{s: d["logits"] for s, d in details.items()}, "bought": rows},
                      labels={s: d["labels"] for s, d in details.items()}, started=started, again=self.command,
                      labels_used=len(rows) + len(self.task["reward"]) + len(self.task["acceptance"]))

    def extend(self, run: Run, configuration: str, after: Callable) -> Run:
        """A record under this experiment of a run that another one trained, with more measured on its kept weights."""
        settings = self.settings.labelled(run.metrics["labels"])
        parameters = {k: v for k, v in run.record["parameters"].items() if k not in settings.asdict()}
        path = results.record_path(self.experiment, configuration, settings=settings, data=self.task,
                                   model_fingerprint=self._fingerprint, parameters=parameters)
        if not path.is_file():
            started, model = time.time(), run.model()
            run = replace(run, record=results.load_records(run.path)[0])  # trained again if its weights were gone
            kept = results.predictions(run.path)
            splits = [s for s in self.task.splits if s in kept]
            results.write(self.experiment, configuration, settings=settings, data=self.task,
                          model_info=run.record["model"], metrics={**run.metrics, **after(model)},
                          series=run.record["series"], parameters=parameters, started=started, again=self.command,
                          predictions={**{s: kept[s].astype(np.int64) for s in splits}, "bought": run.rows},
                          labels={s: self.task[s]["label"].to_numpy(np.int64) for s in splits},
                          labels_used=run.record["data"]["labels_used"])
        return Run(path, results.load_records(path)[0], run.weights, run.make)

    def start(self, start: str | Path = "pretrained"):
        """A network to train: "pretrained", "scratch", or a folder of weights (its head is kept)."""
        from seo_core.models.backbone import load_backbone

        source = self.settings.model if start in ("pretrained", "scratch") else str(start)
        model = load_backbone(source, num_labels=len(self.task.labels), labels=self.task.labels,
                              layers=self.settings.layers, seed=self.settings.seed)[0]
        if start == "scratch":
            from seo_core.transfer import from_scratch

            model = from_scratch(model, seed=self.settings.seed)
        return model

    def discard_weights(self) -> None:
        """Removes the kept weights of this study's seed; the records stay."""
        folder = resolve_path(self.settings.results_dir) / self.settings.profile / self.experiment / ".weights"
        for path in folder.glob(f"*-seed{self.settings.seed}"):
            shutil.rmtree(path, ignore_errors=True)


def open_study(experiment: str, settings: RunSettings) -> Study:
    """Loads the data and the tokenizer of a chapter's study. The pool is all of train, whatever train_rows says
    (under `quick`, its train_rows, in small batches and long steps). Raises DataError, ModelError."""
    from seo_core.models.backbone import backbone_config, check_max_length, load_tokenizer

    check_max_length(settings.model, settings.max_length)
    if settings.profile == "quick":
        depth = settings.layers
        if depth is None and experiment in QUICK_LAYERS:
            depth = min(QUICK_LAYERS[experiment], backbone_config(settings.model).num_hidden_layers)
        settings = replace(settings, batch_size=QUICK_BATCH, learning_rate=QUICK_RATE * settings.learning_rate,
                           layers=depth)
    whole = settings if settings.profile == "quick" else replace(settings, train_rows=None)
    return Study(experiment, settings, prepare(replace(whole, evaluation_rows=settings.study_evaluation_rows)),
                 load_tokenizer(settings.model))


def _freeze_below(model, depth: int) -> None:
    """Takes all but the `depth` layers below the head out of training."""
    from seo_core.training import layer_depths

    depths = layer_depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(depths[name] <= depth)


SOURCE_EPOCHS = 2  # of the source task
QUICK_SOURCE = (1024, 128)  # generated pairs, and how many of them are trained on


def _source_data(settings: RunSettings, tokenizer) -> tuple[TaskData, Encoded]:
    """The source task and its training pairs; under "embedded" the generator with other sentences."""
    from seo_core.data import load_nli

    embedded = settings.source == "embedded"
    task = load_nli(settings.source, **({"rows": QUICK_SOURCE[0], "seed": 1} if embedded else {}))
    frame = task["train"][: QUICK_SOURCE[1]] if embedded else task["train"]
    return task, encode(frame, tokenizer, texts=task.texts, max_length=settings.max_length)


def source_model(settings: RunSettings) -> Path:
    """The folder of a network trained on the source task (`settings.source`), made on the first call.

    One network for all seeds: what differs between seeds of a study is the target's labels and their order.
    """
    from seo_core.models.backbone import load_backbone, save
    from seo_core.training import TrainingConfig, checkpoint_folder, discard_checkpoint, fit

    settings = replace(settings, seed=0, data=settings.source, epochs=SOURCE_EPOCHS, train_rows=None)
    name = hashlib.sha256(json.dumps({k: v for k, v in settings.asdict().items() if k != "results_dir"},
                                     sort_keys=True).encode()).hexdigest()[:8]
    folder = resolve_path(settings.results_dir) / settings.profile / ".source" / name
    if folder.is_dir():
        return folder
    model, tokenizer = load_backbone(settings.model, layers=settings.layers, seed=0)
    task, train = _source_data(settings, tokenizer)
    if len(task.labels) != model.config.num_labels:
        raise StudyError(f"the source task {task.name} has {len(task.labels)} classes and the target has "
                         f"{model.config.num_labels}: pass source= a set with the same classes")
    checkpoint = checkpoint_folder(settings, "source")
    if settings.profile == "quick":
        _freeze_below(model, QUICK_DEPTH)
    fit(model, train, config=TrainingConfig.from_settings(settings), progress=False,
        checkpoint_dir=None if settings.profile == "quick" else checkpoint)  # writing one takes as long as ten steps
    folder.parent.mkdir(parents=True, exist_ok=True)
    save(model, tokenizer, folder)
    discard_checkpoint(checkpoint)
    return folder


def record_source(study: Study) -> Run:
    """The source network on the target's official sets, before it has seen a label of the target.

    Its metrics also say what the source task cost: train_examples, train_tokens and source_labels.
    """
    from seo_core.evaluation import evaluate
    from seo_core.models.backbone import model_info

    settings = replace(study.settings, seed=0, train_rows=None, epochs=SOURCE_EPOCHS,
                       evaluation_rows=study.settings.study_evaluation_rows)
    path = results.record_path(study.experiment, "source", settings=settings, data=study.task,
                               model_fingerprint=study._fingerprint, parameters={"labels": 0})
    if not path.is_file():
        started, model = time.time(), study.start(source_model(study.settings))
        source, train = _source_data(settings, study.tokenizer)
        metrics, details = evaluate(model, study.task, study.tokenizer, max_length=settings.max_length,
                                    precision="auto")
        results.write(study.experiment, "source", settings=settings, data=study.task, started=started,
                      again=study.command, model_info=model_info(model, settings.model), parameters={"labels": 0},
                      labels_used=0,
                      metrics={**metrics, "train_examples": SOURCE_EPOCHS * len(train), "labels": 0,
                               "train_tokens": SOURCE_EPOCHS * int(train.lengths.sum()), "source_labels": len(train)},
                      predictions={s: d["logits"] for s, d in details.items()},
                      labels={s: d["labels"] for s, d in details.items()})
    return Run(path, results.load_records(path)[0])


def _start_name(start) -> str:
    return str(start) if start in ("pretrained", "scratch") else "source"
