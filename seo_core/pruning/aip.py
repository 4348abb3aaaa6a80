"""AIP: prune a step, recover, measure; keep the step while the loss stays within T, go back and halve it otherwise.

    aip = AdaptiveIterativePruning(AIPConfig(threshold=1.0), training=TrainingConfig.from_settings(settings))
    result = aip(model, train, reward, acceptance)                  # equation (3)
    result.model, result.statement, result.trace                   # the pruned network, in words, every attempt

The papers say that AIP "dynamically adjusts the pruning strategy based on the model's performance on specific tasks"
and write (SEO-LLM, "Model Compression Strategies")

    θ_pruned = AIP(θ, P, T)                                                                                        (3)

with P the performance and T the threshold of the task; how the two enter is left open. Our reading, with P(θ) the
accuracy on the acceptance half of the development slice in points, and δ the step:

    θ' = recover(remove(θ_k, δ))                      units of the lowest score, worth δ of the original encoder
    P(θ') ≥ P(θ_0) − T:   θ_{k+1} = θ'                accepted
    otherwise:            θ_{k+1} = θ_k, δ ← δ / 2     rolled back to the snapshot

until δ is below its floor, `target` is reached, or the passes over the training pairs are used up. A step that is more
than the units can give is halved too, and costs no passes. Units are scored on the network as it is now, on the reward
half. Then the rest of the passes go into one longer training of what is left, kept if it too holds the threshold; so
runs that stop early and late have trained alike. T is compared with the *starting* network, so losses do not add up
over the steps. A T that no step keeps returns the original network, untouched, and says so.

Steps are transactions: a step works on a copy, and what was accepted is written to `checkpoint_dir` whole before the
next begins. A killed run goes on from there, and within a step from the checkpoints of `fit`.

Measured (real MNLI, T = 1, one seed): 52% of the encoder removed, 0.6 and 0.5 points above the baseline, from which
it was trained on for twice as many pairs again. The same share removed at once and trained for as many (`oneshot`) is
not told apart from it: aip − oneshot −0.41 [−0.93, 0.08] points matched, −0.26 [−0.78, 0.24] mismatched.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core.checks import above, at_least, check, check_number, one_of
from seo_core.evaluation import accuracy
from seo_core.files import digest, write, writing
from seo_core.models import backbone
from seo_core.pruning import structured
from seo_core.pruning.magnitude import PruningError
from seo_core.pruning.structured import SCORES, NothingLeft, check_units, choose, encoder_weights, remove
from seo_core.training import TrainingConfig, classification_loss, fit

PASSES = "passes over the training pairs"
KEPT = ("start", "step", "passes", "done", "trace")  # of a run, in its checkpoint


@dataclass(frozen=True)
class AIPConfig:
    """How AIP prunes. Shares are of the original encoder's weights; passes are passes over the training pairs."""

    threshold: float = 1.0  # T, in points of accuracy
    score: str = one_of(SCORES, default="taylor")
    kinds: tuple[str, ...] = ("heads", "neurons")  # which units may go; "layers" too
    step: float = above(0, below=1, default=0.1)  # removed by the first step
    floor: float = above(0, below=1, default=0.025)  # a step below this is not tried: two halvings
    target: float = above(0, below=1, default=0.6)  # enough is removed; the goal of the book's own table
    recovery: float = at_least(0, unit=PASSES, default=0.4)  # after each step: short, it only tells good from bad
    final: float = at_least(0, unit=PASSES, default=3)  # for after the last step, as the baseline had; 0: none
    budget: float = at_least(0, unit=PASSES, default=6.5)  # in all (200 000 pairs of 30 000); the end has the rest
    learning_rate: float = 5e-5  # of a recovery: half of the baseline's, each starts near where the last ended
    final_learning_rate: float = 1e-4  # the baseline's
    score_rows: int = 1024  # examples for scores and compensation
    compensate: bool = True  # least squares before each recovery
    multiple: int = 16  # neurons of a layer: what vector instructions take at once
    seed: int = 0

    def __post_init__(self):
        check_number("threshold T", self.threshold, least=0, unit="points of accuracy", error=PruningError)
        check_units(self.kinds, self.multiple)
        check(self, PruningError)
        if self.floor > self.step:
            raise PruningError(f"the floor {self.floor} is above the first step {self.step}: no step would be tried")
        if self.budget < self.recovery + self.final:
            raise PruningError(f"a budget of {self.budget} passes does not hold one recovery ({self.recovery}) and the "
                               f"final training ({self.final}): raise it, or shorten these")


@dataclass
class AIPResult:
    """What AIP found. `trace` has a dict per attempt, in order; `trace_table` shows it. The accuracies of a step that
    was more than there is to remove are None: nothing was removed or measured."""

    model: object
    start: float  # P(θ_0), a fraction
    accuracy: float  # P of `model`
    removed: float  # share of the encoder's weights
    passes: float  # over the training pairs, all attempts together
    statement: str
    trace: list[dict] = field(default_factory=list)

    @property
    def unchanged(self) -> bool:
        """Whether no step was accepted, so that `model` is the network that came in."""
        return self.removed == 0

    @property
    def trace_table(self) -> pd.DataFrame:
        """The trace as a frame."""
        return pd.DataFrame(self.trace)

    @property
    def series(self) -> dict[str, list[float]]:
        """The trace as curves for a record, one value per round; `accepted` and `final` are 0 or 1."""
        keys = ("round", "step", "removed", "accuracy_before_recovery", "accuracy", "accepted", "final", "passes")
        return {key: [None if row[key] is None else float(row[key]) for row in self.trace] for key in keys}


class AdaptiveIterativePruning:
    """Equation (3): θ_pruned = AIP(θ, P, T), by removing heads, neurons and layers until accuracy falls by T points."""

    def __init__(self, config: AIPConfig | None = None, *, training: TrainingConfig | None = None,
                 checkpoint_dir: str | Path | None = None, report: Callable[[str], None] = lambda text: None):
        """training: what recovery shares with other training (batch size, decay, precision …); rates and epochs are
        this config's. checkpoint_dir: where accepted steps are kept, to go on after a kill. report gets a line per
        attempt."""
        self.config, self.training = config or AIPConfig(), training or TrainingConfig()
        self.folder, self.report = Path(checkpoint_dir) if checkpoint_dir else None, report

    def __call__(self, model, train, scoring, acceptance=None, *, loss: Callable | None = None,
                 measure: Callable | None = None) -> AIPResult:
        """Prunes a copy of `model` and returns it; `model` stays as it is.

        train, scoring, acceptance: Encoded; scores and compensation look at `scoring` (reward half, or training pairs),
        P at `acceptance`. measure(model) -> P as a fraction, in place of the accuracy there. loss(model, rows) returns
        a loss for `fit` on the training pairs at `rows`, such as distillation from the unpruned network; default:
        cross-entropy. Raises PruningError where P cannot be measured, or the folder holds another run.
        """
        if measure is None and (acceptance is None or not len(acceptance)):
            raise PruningError("AIP needs the acceptance half of the development slice to measure P, or measure=")
        if measure is None and (acceptance.labels < 0).any():
            raise PruningError(f"P is measured on labels, and {int((acceptance.labels < 0).sum())} of "
                               f"{len(acceptance)} acceptance pairs have the label −1: pass labelled ones, or measure=")
        if not len(train):
            raise PruningError("AIP trains after each step, and there are no training pairs: pass some")
        measure = measure or (lambda network: accuracy(network, acceptance))
        run = _Run(self, model, train, scoring, loss, measure)
        run.restore()
        while run.goes_on():
            run.attempt()
        run.finish()
        return run.result()


class _Run:
    """The live parts of one call: the network accepted last, the step, and the trace."""

    def __init__(self, aip: AdaptiveIterativePruning, model, train, scoring, loss, measure):
        self.config, self.training, self.folder, self.report = aip.config, aip.training, aip.folder, aip.report
        self.original, self.model, self.train, self.loss, self.measure = model, model, train, loss, measure
        rng = np.random.default_rng([self.config.seed, 89])
        self.scoring = scoring.take(rng.permutation(len(scoring))[: self.config.score_rows]) if scoring else None
        self.weights = encoder_weights(model)
        self.start: float | None = None  # P(θ_0)
        self.step, self.passes, self.done = self.config.step, 0.0, False
        self.trace: list[dict] = []

    # what stands: share removed, P
    @property
    def removed(self) -> float:
        """Share of the original encoder's weights that is gone."""
        return 1 - encoder_weights(self.model) / self.weights

    @property
    def accuracy(self) -> float:
        return next((row["accuracy"] for row in reversed(self.trace) if row["accepted"]), self.start)

    def goes_on(self) -> bool:
        """Whether another step is to be tried."""
        config = self.config
        return not (self.done or self.step < config.floor - 1e-9 or self.removed >= config.target - 1e-9
                    or self.passes + config.recovery + config.final > config.budget + 1e-9)

    def attempt(self) -> None:
        """One step: removes, recovers, measures, and keeps or forgets it."""
        config, removal = self.config, self._choice()
        if removal is not None:
            source = self.model
            if config.compensate and self.scoring:
                source = structured.compensate(source, removal, self.scoring)
            candidate = remove(source, **removal.units)
            before = self.measure(candidate)
            self._train(candidate, self._rows(), 1, config.learning_rate)
            self.passes += config.recovery
            if not self._note(candidate, before):
                self.step /= 2
        self.save()

    def _choice(self):
        """The units of this step; one that is more than there is to remove is noted and halved. None: at the floor."""
        config, left = self.config, encoder_weights(self.model)
        scores = structured.importance(self.model, config.score, self.scoring, seed=config.seed)
        while self.step >= config.floor - 1e-9:
            wanted = min(self.step, config.target - self.removed) * self.weights / left
            try:
                return choose(self.model, scores, wanted, kinds=config.kinds, multiple=config.multiple)
            except NothingLeft:
                self._note(self.model, fits=False)
                self.step /= 2
        return None

    def finish(self) -> None:
        """The longer training of what was accepted; nothing where nothing was."""
        config = self.config
        if self.done or self.removed == 0 or config.final == 0:
            return
        candidate = remove(self.model)  # a copy
        before, passes = self.accuracy, config.budget - self.passes
        self._train(candidate, *split_passes(len(self.train), passes, config.seed), config.final_learning_rate)
        self.passes += passes
        self._note(candidate, before, final=True)
        self.done = True
        self.save()

    def _note(self, network, before: float | None = None, *, final: bool = False, fits: bool = True) -> bool:
        """Measures what was tried, notes it in the trace, and keeps it where it is within T. fits: False of a step that
        was more than there is to remove."""
        accuracy = self.measure(network) if fits else None
        row = {"round": len(self.trace) + 1, "final": final, "step": 0.0 if final else self.step,
               "removed": 1 - encoder_weights(network) / self.weights, "accuracy_before_recovery": before,
               "accuracy": accuracy, "points": 100 * (accuracy - self.start) if fits else None,
               "accepted": fits and within(accuracy, self.start, self.config.threshold), "passes": self.passes,
               **structured.shapes(network)}
        self.trace.append(row)
        if row["accepted"]:
            self.model = network
        said = (f", {row['removed']:.1%} removed, {row['points']:+.2f} points, "
                f"{'accepted' if row['accepted'] else 'rolled back'}" if fits else
                " is more than there is to remove, halved")
        self.report(f"round {row['round']}: {'final training' if final else f'step {self.step:.3f}'}{said}")
        return row["accepted"]

    def _rows(self) -> np.ndarray:
        """The training pairs of this recovery: the next ones of an endless row of permutations."""
        n, begin = len(self.train), round(self.passes * len(self.train))
        count = max(1, round(self.config.recovery * n)) if self.config.recovery else 0
        orders = [np.random.default_rng([self.config.seed, 97, number]).permutation(n)
                  for number in range(begin // n, (begin + count) // n + 1)]
        return np.concatenate(orders)[begin % n : begin % n + count]

    def _train(self, candidate, rows: np.ndarray, epochs: int, rate: float) -> None:
        if not len(rows):
            return
        number = len(self.trace) + 1
        config = replace(self.training, learning_rate=rate, epochs=epochs, seed=self.config.seed * 1000 + number)
        loss = self.loss(candidate, rows) if self.loss else classification_loss
        folder = self.folder / f"training-{number}" if self.folder else None
        fit(candidate, self.train.take(rows), config=config, loss=loss, checkpoint_dir=folder)

    # -----------------------------------------------------------------------------------------
    # Snapshots

    def _identity(self) -> str:
        """What must be equal for a run to be resumed: configuration, data and starting weights."""
        texts = [array for encoded in (self.train, self.scoring) if encoded
                 for array in (encoded.ids, encoded.offsets, encoded.labels)]
        weights = [part for name, tensor in sorted(self.original.state_dict().items())
                   for part in (name, tensor.detach().cpu().float().numpy())]
        return digest([asdict(self.config), asdict(self.training)], *texts, *weights, length=16)

    def restore(self) -> None:
        """Goes on from the newest whole snapshot in the folder; without one, measures P(θ_0)."""
        path = self.folder / "state.json" if self.folder else None
        if path is None or not path.is_file():
            self.start = self.measure(self.original)
            if not math.isfinite(self.start):
                raise PruningError(f"P of the network that came in is {self.start}, and no step can be compared with "
                                   "it: check measure=, or train the network again")
            return
        from transformers import AutoModelForSequenceClassification

        try:
            state = json.loads(path.read_text())
            fits = state["identity"] == self._identity()
            if fits and state["snapshot"]:
                with backbone.quiet():
                    self.model = AutoModelForSequenceClassification.from_pretrained(self.folder / state["snapshot"],
                                                                                    use_safetensors=True)
            for name in KEPT:
                setattr(self, name, state[name])
        except (OSError, ValueError, KeyError) as error:
            raise PruningError(f"the checkpoint in {self.folder} cannot be read ({error}): delete that folder to start "
                               "anew") from error
        if not fits:
            raise PruningError(f"the checkpoint in {self.folder} belongs to another configuration, other data or "
                               "another network: delete that folder, or pass another checkpoint_dir")

    def save(self) -> None:
        """The network accepted last, then the state that names it, then what neither needs any more."""
        if self.folder is None:
            return
        accepted = [row["round"] for row in self.trace if row["accepted"]]
        snapshot = f"step-{accepted[-1]}" if accepted else None
        with writing(f"the checkpoint to {self.folder}", PruningError, "the step before is untouched"):
            if snapshot and not (self.folder / snapshot).is_dir():
                backbone.save(self.model, None, self.folder / snapshot)
            state = {"identity": self._identity(), "snapshot": snapshot, **{name: getattr(self, name) for name in KEPT}}
            write(self.folder / "state.json", json.dumps(state))
        for path in self.folder.iterdir():
            if path.is_dir() and path.name != snapshot:
                shutil.rmtree(path, ignore_errors=True)

    def result(self) -> AIPResult:
        config, steps = self.config, [row for row in self.trace if not row["final"]]
        said = f"T = {config.threshold:g} point{'s' if config.threshold != 1 else ''}"
        kept, tried = sum(row["accepted"] for row in steps), sum(row["accuracy"] is not None for row in steps)
        if not kept:
            down = f"down to {steps[-1]['step']:.1%} of the encoder," if steps else ""
            why = (f"none of {tried} steps, {down} stayed within T" if tried else
                   f"no step, {down} could be removed as {' and '.join(config.kinds)}")
            statement = f"{said}: {why}. The original network is returned unchanged."
        else:
            statement = (f"{said}: {kept} of {tried} steps accepted, {self.removed:.1%} of the "
                         f"encoder's weights removed, {100 * (self.accuracy - self.start):+.2f} points on the "
                         f"acceptance half, {self.passes:.1f} passes over the training pairs.")
        return AIPResult(self.model, self.start, self.accuracy, self.removed, self.passes, statement, self.trace)


def split_passes(n: int, passes: float, seed: int = 0) -> tuple[np.ndarray, int]:
    """(rows, epochs) for `fit`: so many passes over n pairs, in whole epochs of equal length. Where the number is
    broken, each epoch sees a random part of the pairs twice, or, below one pass, a part of them."""
    epochs = max(1, int(passes))
    order = np.random.default_rng([seed, 109]).permutation(n)
    if passes <= 1:
        return np.sort(order[: max(1, round(passes * n))]), 1
    return np.concatenate([np.arange(n), np.sort(order[: round((passes / epochs - 1) * n)])]), epochs


def within(accuracy: float, start: float, threshold: float) -> bool:
    """P(θ) ≥ P(θ_0) − T: accuracies are fractions, T is in points; a billionth is left for rounding."""
    return accuracy >= start - threshold / 100 - 1e-9
