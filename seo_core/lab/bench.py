"""The common ground of the compression chapters: one baseline per seed, and one record per compressed network.

    bench = open_bench("09_pruning", settings)
    base = bench.baseline()                                              # trained once, its weights are kept
    run = bench.record("prune", lambda: Made(pruned(base.model())), {"sparsity": 0.5})
    run.metrics["accuracy_matched"], run.model()

Every chapter compresses the same network: the headline setting's baseline (all training pairs of the profile), trained
here from the run's own seed. What is chosen on the way looks at the development slice only: its reward half for scores
and learning signals, its acceptance half for thresholds. The official sets are read by `record`, at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from seo_core import results
from seo_core.data import Encoded, TaskData, encode, prepare
from seo_core.lab.run import Run
from seo_core.settings import RunSettings

SHARED = "09_pruning"  # where the baseline's record lies: the first chapter that needs it
QUICK_ROWS = 1024  # training pairs under `quick`: enough for the baseline to be well above chance
OFFICIAL = ("validation_matched", "validation_mismatched")


@dataclass(frozen=True)
class Made:
    """A compressed network, and what was measured while it was made.

    predict: encoded -> logits (n, k), where what is deployed is not `model` itself (an exported file). save: folder ->
    None, where more than weights and tokenizer has to be kept. tokenizer: the network's own, where its vocabulary is
    not the baseline's; the evaluation texts are then encoded with it.
    """

    model: object
    predict: Callable[[Encoded], np.ndarray] | None = None
    metrics: dict = field(default_factory=dict)
    series: dict = field(default_factory=dict)
    save: Callable[[Path], object] | None = None
    tokenizer: object = field(default=None, repr=False)


@dataclass(frozen=True)
class Bench:
    """The task, the tokenizer and the settings of a compression chapter, for one seed."""

    experiment: str
    settings: RunSettings
    task: TaskData
    tokenizer: object = field(repr=False)

    @cached_property
    def _encoded(self) -> dict[str, Encoded]:
        return {}

    def encoded(self, split: str) -> Encoded:
        """A split as token ids: train, reward, acceptance, validation_matched, validation_mismatched."""
        if split not in self._encoded:
            self._encoded[split] = self.encode(self.task[split])
        return self._encoded[split]

    def encode(self, frame) -> Encoded:
        """Token ids of any frame with the task's text columns."""
        return encode(frame, self.tokenizer, texts=self.task.texts, max_length=self.settings.max_length)

    def comparison(self, count: int = 2000) -> Encoded:
        """Texts on which two computations of one network are compared: the acceptance half, and as many training texts
        as make it `count`. Labels do not matter here, and of few texts one undecided pair weighs too much."""
        from seo_core.data.encoding import concatenate

        held = self.encoded("acceptance")
        more = max(count - len(held), 0)
        return concatenate(held, self.encoded("train").take(slice(more))) if more else held

    def of(self, experiment: str) -> Bench:
        """The same ground for another experiment's records."""
        other = replace(self, experiment=experiment)
        other.__dict__.update({k: self.__dict__[k] for k in ("_encoded", "_fingerprint") if k in self.__dict__})
        return other

    def start(self):
        """The untrained network of the settings, its head drawn by the seed."""
        from seo_core.models.backbone import load_backbone

        return load_backbone(self.settings.model, num_labels=len(self.task.labels), labels=self.task.labels,
                             layers=self.settings.layers, seed=self.settings.seed)[0]

    def baseline(self) -> Run:
        """The network that every chapter compresses, fine-tuned on all training pairs in the headline setting."""
        from filelock import FileLock

        from seo_core.training import TrainingConfig, checkpoint_folder, discard_checkpoint, fit

        config = TrainingConfig.from_settings(self.settings)

        def make() -> Made:
            checkpoint, model = checkpoint_folder(self.settings, f"{SHARED}-base"), self.start()
            found = fit(model, self.encoded("train"), config=config, development=self.encoded("acceptance"),
                        checkpoint_dir=checkpoint, progress=False)
            discard_checkpoint(checkpoint)
            return Made(model, metrics=found.metrics, series=found.series)

        place = checkpoint_folder(self.settings, f"{SHARED}-base")
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):  # a second process waits, and then finds the record
            return self.of(SHARED).record("base", make, {"training": asdict(config)}, keep=True)

    def record(self, configuration: str, make: Callable[[], Made], parameters: dict | None = None, *,
               keep: bool = False, again: str | None = None) -> Run:
        """Makes the network, measures it on both official sets and the acceptance half, and writes its record.

        `make` is not called where the record (and with keep=True the weights) of these parameters is there already.
        again: the command that makes it, where it is not that of the chapter.
        """
        everything = {"classes": list(self.task.labels), "evaluation_precision": "auto", **(parameters or {})}
        path = results.record_path(self.experiment, configuration, settings=self.settings, data=self.task,
                                   model_fingerprint=self._fingerprint, parameters=everything)
        weights = path.parent / ".weights" / path.stem
        if not path.is_file() or (keep and not weights.is_dir()):
            self._make(configuration, make, everything, weights if keep else None, again)
        return Run(path, results.load_records(path)[0], weights)

    @cached_property
    def _fingerprint(self) -> str:
        from seo_core.models.backbone import fingerprint

        return fingerprint(self.settings.model)

    def _make(self, configuration: str, make, parameters: dict, weights: Path | None, again: str | None) -> None:
        from seo_core.evaluation import classification_metrics, predict
        from seo_core.models.backbone import model_info, save

        started, made = time.time(), make()
        run = made.predict or (lambda encoded: predict(made.model, encoded, precision="auto"))
        ground = self if made.tokenizer is None else replace(self, tokenizer=made.tokenizer)
        metrics, logits, labels = {}, {}, {}
        for split in (*OFFICIAL, "acceptance"):
            encoded = ground.encoded(split)
            found = run(encoded)
            score = classification_metrics(found, encoded.labels, names=self.task.labels)
            if split == "acceptance":
                metrics["accuracy_development"] = score["accuracy"]
                continue
            logits[split], labels[split] = found, encoded.labels
            metrics.update({key + split.removeprefix("validation"): value for key, value in score.items()})
            if split == OFFICIAL[0]:  # the headline names of a record
                metrics.update({key: score[key] for key in ("f1_macro", "cross_entropy", "perplexity", "ece")})
        if weights is not None:  # first, so that a record never stands without them
            made.save(weights) if made.save else save(made.model, ground.tokenizer, weights)
            if made.save is None:
                metrics["size_bytes"] = (weights / "model.safetensors").stat().st_size
        results.write(self.experiment, configuration, settings=self.settings, data=self.task,
                      model_info=model_info(made.model, self.settings.model), metrics={**made.metrics, **metrics},
                      series=made.series, parameters=parameters, predictions=logits, labels=labels, started=started,
                      again=again)


def open_bench(experiment: str, settings: RunSettings) -> Bench:
    """Loads the data and the tokenizer of a compression chapter. Raises DataError, ModelError."""
    from seo_core.models.backbone import check_max_length, load_tokenizer

    check_max_length(settings.model, settings.max_length)
    if settings.profile == "quick":
        settings = replace(settings, train_rows=min(settings.train_rows or QUICK_ROWS, QUICK_ROWS))
    return Bench(experiment, settings, prepare(settings), load_tokenizer(settings.model))
