"""A lab: the common ground of all that is compared, for labels and for compression.

    lab = open_lab("06_active_learning", settings)
    runs = lab.run(["random", "hybrid"], labels=[2000])      # makes what has no record yet
    run = lab.arm("sqd-taylor-65")                           # one run, and everything that it needs
    run.accuracies, run.rows, run.model()

What the arms share is here, so that they differ in nothing but what they are compared for: the task, the tokenizer, the
pool (the training pairs left after the development slice), the labelled pairs of a seed (nested), the start, the loop
(`training.fit`), and the evaluation. What is chosen on the way looks at the development slice only: its reward half for
scores and learning signals, its acceptance half for thresholds. The official sets are read when a record is written, by
arms that book/final.yml names where it seals them.
"""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import models, results
from seo_core.data import Encoded, RatioError, TaskData, encode_for, imbalance, prepare
from seo_core.data.encoding import concatenate
from seo_core.evaluation import HEADLINE, expected_answers, hits, measure, metrics_of, predict
from seo_core.files import lock
from seo_core.lab.arm import CHAPTERS, Arm, Chapter, budgets_of, known
from seo_core.lab.run import Added, LabError, Made, Run, set_name
from seo_core.lab.source import QUICK_DEPTH, freeze_below, source_model, source_pairs, source_settings
from seo_core.results.store import as_recorded
from seo_core.settings import RunSettings, display_source
from seo_core.transfer import from_scratch

QUICK_BATCH = 8  # under `quick`: in batches of 16 a few hundred pairs are too few steps to leave chance
QUICK_RATE = 2.0  # × the profile's learning rate, for the same reason
QUICK_ROWS = 1024  # training pairs of the headline under `quick`: enough for the baseline to be well above chance
CURVE_FROM = 8000  # runs with so many labels also keep a development curve; below, one value at the end


@dataclass(frozen=True)
class Lab:
    """The task, the tokenizer and the settings of a chapter, for one seed; bound to an arm while it makes a run."""

    chapter: Chapter
    settings: RunSettings
    task: TaskData
    tokenizer: object = field(repr=False)
    asked: RunSettings = field(repr=False)  # the settings as they were given
    current: Arm | None = None  # the arm at work
    budget: int | None = None  # the number of labels that it was asked for; None: the headline setting
    labels: int | None = None  # and how many pairs of the pool it trains on, which is the same but for data maps
    origin: Lab | None = field(default=None, repr=False)  # the lab that was asked for the run at hand
    report: Callable[[str], None] = field(default=lambda text: None, repr=False)
    shared: dict = field(default_factory=dict, repr=False)  # what is encoded once
    trainings: Iterator[int] = field(default_factory=itertools.count, repr=False)  # numbers those of the run at hand
    drawn: np.ndarray | None = field(default=None, repr=False)  # positions that stand for a random draw: another run's

    def encoded(self, split: str = "train") -> Encoded:
        """A split as token ids: train (the pool), reward, acceptance, validation_matched, validation_mismatched."""
        return self._once(split, lambda: self.encode(self.task[split]))

    def _once(self, key: str, make: Callable):
        """What was made under that key, kept for every lab of the same ground."""
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]

    def encode(self, frame: pd.DataFrame) -> Encoded:
        """Token ids of any frame with the task's text columns."""
        return encode_for(self.task, frame, self.tokenizer, max_length=self.settings.max_length)

    @property
    def pool(self) -> pd.DataFrame:
        """The training pairs, labels included: what a teacher or an oracle sees, not a selection function."""
        return self.task["train"]

    @property
    def official(self) -> tuple[str, ...]:
        """The sets that are read once, at the end: those of OFFICIAL that the task has, the first one always."""
        return tuple(split for split in results.OFFICIAL if split in self.task.splits)

    @property
    def scored(self) -> tuple[str, ...]:
        """The splits that the run at hand is scored on: the official sets, but of data whose official sets are sealed
        the acceptance half, unless book/final.yml names the run."""
        final = self._once("final list", results.final_list)
        if not final.seals(self.task.fingerprint) or self.current is not None and final.allows(
                self.current.recorded_as, as_recorded(self.run_settings, self.parameters()),
                self.settings.seed):
            return self.official
        return ("acceptance",)

    @property
    def sealed(self) -> Encoded:
        """The pool as token ids, every label −1: what selection and pseudo-labelling may look at."""
        return replace(self.encoded(), labels=np.full(len(self.encoded()), -1, np.int64))

    @property
    def budgets(self) -> tuple[int, ...]:
        """The numbers of labels at which labels are bought, of the profile, as far as the pool allows."""
        return tuple(map(self.affordable, budgets_of(self.settings.profile)))

    def affordable(self, labels: int) -> int:
        """A number of labels of the profile, in a small pool in proportion: where the pool has fewer pairs than the
        profile's largest budget, that one is half of the pool, so that there is something to choose from."""
        most = budgets_of(self.settings.profile)[-1]
        return labels if len(self.pool) >= most else max(1, labels * (len(self.pool) // 2) // most)

    @property
    def quick(self) -> bool:
        """Whether the profile is `quick`."""
        return self.settings.profile == "quick"

    def comparison(self) -> Encoded:
        """Texts on which two computations of one network are compared: the acceptance half, and as many training texts
        as make it 2 000. Labels do not matter here, and of few texts one undecided pair weighs too much."""
        held = self.encoded("acceptance")
        return concatenate(held, self.encoded().take(slice(max(2000 - len(held), 0))))

    def random_rows(self, labels: int | None = None) -> np.ndarray:
        """(labels,) positions in the pool, drawn by the seed; smaller draws are the beginning of larger ones. `drawn`
        ones stand in their place. Raises LabError where the pool is smaller."""
        labels = self.labels if labels is None else labels
        if not 1 <= labels <= len(self.pool):
            raise LabError(f"{labels} labels were asked for and the pool has {len(self.pool)} pairs: ask for 1 or more "
                           "and no more than that, or use more data")
        drawn = np.random.default_rng([self.settings.seed, 47]).permutation(len(self.pool))
        return (drawn if self.drawn is None else self.drawn)[:labels]

    def candidates(self, bought: np.ndarray, number: int, n: int, *, further: int = 0) -> np.ndarray:
        """(≤ n,) pool positions to choose from in round `number`: a fresh draw of what was not bought yet. further: how
        many texts stand behind the pool, to be drawn as well."""
        left = np.setdiff1d(np.arange(len(self.pool) + further), bought)
        return np.random.default_rng([self.settings.seed, 53, number]).permutation(left)[:n]

    def network(self, start: str | Path = "pretrained"):
        """A network to train: "pretrained", "scratch", "source", or a folder of weights (its head is kept)."""
        start = source_model(self.settings) if start == "source" else start
        source = self.settings.model if start in ("pretrained", "scratch") else str(start)
        model = models.load_backbone(source, num_labels=len(self.task.labels), labels=self.task.labels,
                              layers=self.settings.layers, seed=self.settings.seed, kind=self.task.kind)[0]
        if start not in ("pretrained", "scratch") and getattr(model, "fresh_head", False):
            self.report("the network that training starts from has other classes: its classifier is new")
        return from_scratch(model, seed=self.settings.seed) if start == "scratch" else model

    def of(self, chapter: str | Chapter) -> Lab:
        """The same ground for another chapter's runs; opened anew where that chapter stands on another one. Raises
        LabError where that one cannot learn this task's scores."""
        chapter = chapter_of(chapter)
        if self.task.kind == "regression" and not chapter.scores:
            raise LabError(f"{self.task.name} has scores, and the arms of {chapter.id} learn classes: take an arm of "
                           f"{', '.join(sorted(id for id, each in CHAPTERS.items() if each.scores))}")
        if (chapter.ground, chapter.kind) == (self.chapter.ground, self.chapter.kind):
            return replace(self, chapter=chapter)
        other = self._once(f"ground {chapter.ground} {chapter.kind}",
                           lambda: open_lab(chapter, self.asked, say=self.report))
        return replace(other, chapter=chapter, report=self.report)

    def reading_with(self, tokenizer) -> Lab:
        """The same with a network's own tokenizer: every text is encoded anew."""
        return replace(self, tokenizer=tokenizer, shared={})

    def ratio_of(self, ratio: Sequence[int]) -> tuple[int, ...]:
        """A ratio of NLI's classes for those of the task: of more, the others stand as the last."""
        classes = len(self.task.labels)
        return (*ratio[:classes], *ratio[-1:] * (classes - len(ratio)))

    def limited(self, ratio: Sequence[int] | None) -> Lab:
        """The same with a pool whose classes stand in this ratio of NLI's (`ratio_of`); None: as they are."""
        if ratio is None:
            return self

        def rare() -> tuple[TaskData, dict]:
            frame = imbalance(self.pool, ratio=self.ratio_of(ratio), seed=self.settings.seed)
            return replace(self.task, splits={**self.task.splits, "train": frame}), {}

        task, shared = self._once(f"limited {tuple(ratio)}", rare)
        return replace(self, task=task, shared=shared)

    def run(self, arms: Iterable[str] | str = "all", labels: Iterable[int] | None = None, *,
            report: Callable[[str], None] | None = None) -> list[Run]:
        """The chapter's arms (default: all) at their numbers of labels (default: the arms'; under `quick` the largest
        quick budget). What has no record is made. An arm that lacks something here (`Arm.lacks`), or whose ratio of the
        classes the data does not hold, is left out where it was not named.

        report gets one line per run. Raises LabError for an unknown name, and for a named arm that cannot run here.
        """
        report, labels = report or self.report, labels if labels is None else tuple(labels)  # read once for each arm
        runs = []
        for arm in [known(name, self.chapter) for name in (self.chapter.arms if arms == "all" else arms)]:
            if arms == "all" and (why := arm.lacks(self.settings)):
                report(f"{arm.name:16s} left out: {why}")
            elif arms != "all" or arm.alone:
                for budget in arm.at(labels, self.settings.profile):
                    try:
                        budget = budget if labels or not budget else self.limited(arm.ratio).affordable(budget)
                        runs.append(replace(self, report=report).arm(arm.name, budget))
                    except RatioError as error:
                        if arms != "all":
                            raise
                        report(f"{arm.name:16s} left out: {error}")
                    else:
                        report(line(runs[-1]))
        return runs

    def arm(self, name: str, labels: int | None = None, knobs: Mapping | None = None, *,
            recorded_as: str | None = None) -> Run:
        """The run of an arm: found by its record, or made, with everything that it needs.

        labels: how many it may buy, but for arms of the headline setting. knobs: fields of its recipe to change.
        recorded_as: the configuration's name in the record. Raises LabError, and ValueError for a recipe's values.
        """
        arm = known(name).suited(self.settings, knobs, recorded_as)
        if arm.chapter.ground == "labels":
            if labels is None:
                raise LabError(f"{name}: say with how many labels; its chapter runs it with "
                               f"{', '.join(map(str, arm.budgets)) or 'as many as the arm that needs it'}")
            if arm.first and labels <= self.budgets[0]:
                if knobs or recorded_as:
                    raise LabError(f"with {labels} labels {name} is {arm.first}, the first purchase of all arms: a "
                                   "recipe or a name of its own needs more labels (--labels)")
                return self.arm(arm.first, labels)
        else:
            labels = None
        lab = self._bound(arm, labels)
        return lab._find() or lab._make(arm_command(arm, labels, knobs, recorded_as, lab.asked))

    def find(self, arm: Arm, labels: int | None = None) -> Run | None:
        """The run of an arm, as it is suited to the settings, where it has its record; None where it would be made."""
        return self._bound(arm, labels)._find()

    def _bound(self, arm: Arm, labels: int | None) -> Lab:
        """This lab for one run of an arm: its ground, its pool, its settings."""
        lab = self.of(arm.chapter).limited(arm.ratio)
        return replace(lab, chapter=replace(lab.chapter, id=arm.home), current=arm, budget=labels, origin=self,
                       labels=arm.counted(lab, labels), trainings=itertools.count())

    @property
    def run_settings(self) -> RunSettings:
        """The settings of the run at hand: of a number of labels its epochs, or the headline's."""
        if self.labels is None:
            return self.settings
        if self.labels == 0:  # the source network itself
            return replace(source_settings(self.settings), evaluation_rows=self.settings.study_evaluation_rows)
        return self.settings.labelled(self.labels)

    def config(self, **changes):
        """The TrainingConfig of the run at hand: its settings, and what its arm changes."""
        from seo_core.training import TrainingConfig

        training = self.current.training
        fixed = training(self) if callable(training) else training
        return TrainingConfig.from_settings(self.run_settings, **{**fixed, **changes})

    def parameters(self) -> dict:
        """What the record of the run at hand has beside its settings."""
        arm = self.current
        labelled = arm.start and self.labels is not None
        own_pool = self.labels is not None and not self.asked.is_default("train_rows")
        values = {"classes": list(self.task.labels), "evaluation_precision": "auto", "labels": self.labels,
                  "training": self.config() if arm.start else None, "start": arm.start if labelled else None,
                  "layers_trained": QUICK_DEPTH if labelled and self.quick else None,
                  "ratio": list(self.ratio_of(arm.ratio)) if arm.ratio else None,
                  "pool": self.asked.train_rows if own_pool else None,
                  "kind": self.task.kind if self.task.kind in models.HEADS else None}
        return {**{name: value for name, value in values.items() if value is not None},
                **arm.parameters(self, arm.recipe)}

    def _find(self) -> Run | None:
        homes = (*self.current.earlier, self.chapter.id)  # what lies in the older place, others were made from
        paths = (results.find(home, self.current.recorded_as, **self._identity()) for home in homes)
        return next((self._as_run(path) for path in paths if path), None)

    def _identity(self) -> dict:
        fingerprint = self._once("fingerprint", lambda: models.fingerprint(self.settings.model))
        return {"settings": self.run_settings, "data": self.task, "model_fingerprint": fingerprint,
                "parameters": self.parameters()}

    def _as_run(self, path: Path) -> Run:
        weights = path.parent / ".weights" / path.stem if self.current.keep else None
        return Run(path, results.record_at(path), weights, lambda: self._remake(weights))

    def _made(self) -> Made:
        """The run at hand, made; first what it needs."""
        needed = [self.origin.arm(need.arm, need.budget(self.budget, self.budgets)) for need in self.current.needs]
        return self.current.make(self, self.current.recipe, *needed)

    def _place(self) -> Path:
        """Where the record of the run at hand goes."""
        return results.record_path(self.chapter.id, self.current.recorded_as, **self._identity())

    def _make(self, command: str) -> Run:
        """Makes the run at hand and writes its record. A second process waits, and then finds it."""
        path = self._place()
        with lock(path.parent / ".locks" / path.stem):
            if not path.is_file():
                started = time.time()
                self._record(self._made(), path, command, started)
        return self._as_run(path)

    def _remake(self, weights: Path) -> None:
        """Makes a network again whose record is there and whose weights are not; the record stays as it is."""
        with lock(weights.parent / ".locks" / weights.stem):
            if not weights.is_dir():
                self._keep(self._made(), weights)
                self._discard_checkpoints()

    def fit(self, rows: Sequence[int], added: Added | None = None, *, loss: Callable | None = None,
            watch: Callable | None = None, curve: bool = False, development: str = "acceptance") -> Made:
        """Trains a network from the arm's start on the pairs at `rows` of the pool, and on what was added to them. A
        stopped run goes on from its checkpoint.

        loss(model) -> a loss for `training.fit`; that of `added` goes first. watch: a callback of `fit` whose metrics()
        and series() go into the record; without `load_state_dict` it leaves no checkpoint. curve: a development curve
        is kept below CURVE_FROM labels too; development: the half of the slice that it is of. Raises LabError for rows
        that are not `labels` different pairs.
        """
        from seo_core.training import classification_loss, fit, identity

        rows = self._bought(rows)
        train, config, start = self.encoded().take(rows), self.config(), self.current.start
        folder = source_model(self.settings) if start == "source" else start
        if added is not None:
            examples = added.examples
            train = concatenate(train, examples if isinstance(examples, Encoded) else self.encode(examples))
            loss = added.loss or loss
            # where little was added, no fewer steps than a supervised run on as many pairs
            config = replace(config, epochs=max(config.epochs, self.settings.labelled(len(train)).epochs))
        model = self.network(folder)
        if self.quick and start != "scratch":
            freeze_below(model, QUICK_DEPTH)
        renewed = added is not None and added.renew is not None and _renewing(self, len(rows), added.renew)
        own = None  # under `quick` a checkpoint takes as long as ten steps; and what a watch saw has to be in it
        if not self.quick and not renewed and (watch is None or hasattr(watch, "load_state_dict")):
            own = self._checkpoints() / f"{next(self.trainings)}-{identity(config, train)}"
        trained = fit(model, train, config=config, loss=loss(model) if loss else classification_loss,
                      development=self.encoded(development) if curve or len(rows) >= CURVE_FROM else None,
                      callbacks=[call for call in (watch, renewed) if call], checkpoint_dir=own)
        metrics = {**trained.metrics, "labels": len(rows), "added": len(train) - len(rows)}
        series = dict(trained.series)
        if added is not None:
            metrics, series = metrics | added.metrics, series | added.series
        if watch is not None:
            metrics, series = metrics | watch.metrics(), series | watch.series()
        return Made(model, metrics, series, rows=rows, start=None if folder in ("pretrained", "scratch") else folder)

    def _bought(self, rows: Sequence[int]) -> np.ndarray:
        """The ledger of a run, checked: `labels` different pairs of the pool."""
        rows = np.asarray(rows, np.int64)
        name = self.current.name
        if len(rows) != self.labels:
            raise LabError(f"{name}: {self.labels} labels were to be bought, and {len(rows)} were")
        if len(np.unique(rows)) < len(rows):
            raise LabError(f"{name}: a label was bought twice")
        if ((rows < 0) | (rows >= len(self.pool))).any():
            raise LabError(f"{name}: a row lies outside the pool of {len(self.pool)} pairs")
        return rows

    def _record(self, made: Made, path: Path, command: str, started: float) -> None:
        """Measures a network on the sets it is scored on and the acceptance half, keeps its weights, writes its
        record."""
        logits_of = made.predict or (lambda encoded: predict(made.model, encoded, precision="auto"))
        reader = self if made.tokenizer is None else self.reading_with(made.tokenizer)
        logits = {split: logits_of(reader.encoded(split)) for split in dict.fromkeys((*self.scored, "acceptance"))}
        metrics = {**made.metrics, **self._scores(logits)}
        labels = {split: self.encoded(split).labels for split in logits}
        if self.task.kind in models.HEADS:  # by row: whether it is right
            logits = {split: hits(values, self.encoded(split)) for split, values in logits.items()}
            labels = {split: np.ones_like(right) for split, right in logits.items()}
        if self.current.keep:  # first, so that a record never stands without them
            metrics.update(self._keep(made, path.parent / ".weights" / path.stem))
        info = models.model_info(made.model, self.settings.model)
        if made.start is not None:
            info["start_fingerprint"] = models.fingerprint(str(made.start))
        bought = {} if made.rows is None else {"bought": made.rows}
        development = len(self.task["reward"]) + len(self.task["acceptance"])
        used = len(self.pool) if self.labels is None else self.labels
        used = used if made.rows is None else len(made.rows)  # a controller buys as many as it sees fit
        results.write(
            self.chapter.id, self.current.recorded_as, settings=self.run_settings, data=self.task, model_info=info,
            metrics=metrics, series=made.series, parameters=self.parameters(), started=started, again=command,
            logits=self.current.logits, predictions={**logits, **bought},
            labels=labels, labels_used=(used and used + development) + made.further_labels,
            source_labels=self.source_labels() if self.current.start == "source" else None)
        self._discard_checkpoints()

    def source_labels(self) -> int:
        """How many labels of the source task are behind a start from its network."""
        return self._once("source labels", lambda: len(source_pairs(self.settings, self.tokenizer)[1]))

    def _checkpoints(self) -> Path:
        """Where the trainings of the run at hand save themselves, named as its record is: no two runs share a folder.
        Each has a folder there, by its number and by what it is of: where what was saved does not fit any more (edits
        by another version of the code, or by a teacher that another number of threads trained), it begins anew."""
        record = self._place()
        return record.parents[1] / ".checkpoints" / f"{self.chapter.id}-{record.stem}"

    def _discard_checkpoints(self) -> None:
        """Removes what the run at hand saved on the way, now that it is kept."""
        from seo_core.training import discard_checkpoint

        for folder in (self._checkpoints(), *self.current.checkpoints(self, self.current.recipe)):
            discard_checkpoint(folder)

    def _keep(self, made: Made, weights: Path) -> dict[str, int]:
        """Saves a network whole or not at all; size_bytes of its file, where it is one of weights."""
        if made.save:
            made.save(weights)
            return {}
        models.save(made.model, made.tokenizer or self.tokenizer, weights)
        return {"size_bytes": (weights / "model.safetensors").stat().st_size}

    def _scores(self, logits: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics of the sets that are scored, and on the acceptance half the one that a run is told by (accuracy, of
        scores Pearson, of tags and answers F1). Without suffix some of the first official set; a run that is not scored
        there has none of these. Of classes also what to expect of texts like those of the first set."""
        scores = {split: metrics_of(values, self.encoded(split), names=self.task.labels)
                  for split, values in logits.items()}
        scored, told = self.scored, measure(scores["acceptance"])
        headline = HEADLINE if scored[0] in self.official else ()
        expected = expected_answers(logits[scored[0]], self.task.labels) if told == "accuracy" else {}
        return {**{name: scores[scored[0]][name] for name in headline if name in scores[scored[0]]}, **expected,
                f"{told}_development": scores["acceptance"][told],
                **{f"{name}_{set_name(split)}": value for split in scored for name, value in scores[split].items()}}


def _renewing(lab: Lab, labelled: int, renew: Callable) -> Callable:
    """A callback of `fit` that puts other examples in the place of those behind the labelled ones, after each epoch."""
    def renewing(event: str, state) -> bool:
        if event == "evaluation" and state.step < state.steps:
            frame = renew(state.model, round(state.epoch))
            if frame is not None:
                wanted = len(state.train) - labelled
                if len(frame) != wanted:
                    raise LabError(f"{wanted} added examples are to be replaced, and {len(frame)} were made")
                state.train = concatenate(state.train.take(slice(0, labelled)), lab.encode(frame))
        return False

    return renewing


def open_lab(chapter: str | Chapter, settings: RunSettings, *,
             report: Callable[[str], None] = lambda text: None, say: Callable[[str], object] = print) -> Lab:
    """Loads the data and the tokenizer of a chapter. On the ground of labels the pool has train_rows pairs, which but
    under `quick` is all of train; there batches are small and steps long. say: gets a line where the set is too small
    for what the profile says (`prepare`). Raises DataError, ModelError."""
    chapter, asked = chapter_of(chapter), settings
    models.check_max_length(settings.model, settings.max_length)
    quick, headline = settings.profile == "quick", chapter.ground == "headline"
    if quick and settings.layers is None and chapter.layers is not None:
        depth = min(chapter.layers, models.backbone_config(settings.model).num_hidden_layers)
        settings = replace(settings, layers=depth)
    if quick and headline:
        settings = replace(settings, train_rows=QUICK_ROWS) if settings.is_default("train_rows") else settings
    elif quick:
        settings = replace(settings, batch_size=QUICK_BATCH, learning_rate=QUICK_RATE * settings.learning_rate)
    task = prepare(settings if headline else replace(settings, evaluation_rows=settings.study_evaluation_rows), say=say,
                   scores=chapter.scores, kind=chapter.kind)
    return Lab(chapter, settings, task, models.load_tokenizer(settings.model), asked, report=report)


def chapter_of(chapter: str | Chapter) -> Chapter:
    """The chapter of that id; one that declares no arm stands on the headline's ground."""
    if isinstance(chapter, Chapter):
        return chapter
    if not CHAPTERS:
        raise LabError("no arm is declared yet: `from seo_core.arms import open_lab`")
    return CHAPTERS.get(chapter) or Chapter(chapter, ground="headline")


def arm_command(arm: Arm, labels: int | None, knobs: Mapping | None, name: str | None, settings: RunSettings) -> str:
    """The command that makes a run; local folders appear as `path/to/<name>`."""
    options = {"labels": [labels] if labels else [], "name": [name] if name else [],
               "set": [f"{key}={value!r}" for key, value in sorted((knobs or {}).items())],
               "profile": [settings.profile], "seeds": [settings.seed],
               **{source: [display_source(getattr(settings, source))] for source in ("data", "model", "source")}}
    words = [word for option, values in options.items() if values for word in (f"--{option}", *map(str, values))]
    return shlex.join(["python", "-m", "seo_core.run", "arm", arm.name, *words, *results.names_given(settings)])


def line(run: Run) -> str:
    """One run in a line: its arm, labels, accuracy, and of a compressed network its bytes."""
    metrics, (name, accuracy) = run.metrics, next(iter(run.accuracies.items()))
    labels = f"{metrics['labels']:6d} labels" if metrics.get("labels") else ""
    size = f"  {metrics['size_bytes'] / 1e6:.2f} MB" if "size_bytes" in metrics else ""
    told = {"accuracy": f"{100 * accuracy:.2f}%", "pearson": f"r = {accuracy:.4f}"}.get(
        run.measure, f"F1 {100 * accuracy:.2f}%")
    return f"{run.record['configuration']:20s} {labels}  {name} {told}{size}"
