"""SEO-LLM in one piece: data optimization and compression as actions on one state, and the controller that picks.

    outcome = run_seo_llm(load_settings("cpu", data="path/to/pairs"))
    outcome = run_seo_llm(lab, Pipeline(labels=4000, seconds=900, size=8e6), folder)    # on one ground with arms
    outcome.state.model, outcome.log, outcome.measured          # the network, round by round, what it came to

SEC draws two modules, data optimization and model compression, a Synergy Controller between them, and a performance
evaluation whose findings flow back. Here the state of a run is two networks and a data set, and an action makes
another state of it:

    buy        labels for pairs of the pool                                        equation (2), TAL's purchase
    augment    ADA's edits of the pairs that were bought, chosen with the network as it is now      equation (1), ADA
    label      the teacher's soft labels for pairs whose labels nobody looks at    semi-supervised learning
    prune      heads and neurons of the student out, the rest recovers             equation (3), AIP's step
    quantize   words that the text does not use out, then integers, taught         equation (4), SQD
    train      no change, more training
    distil     a student of some layers, where `depth` asks for one                the papers' row on distillation

The *teacher* is whole and in fp32, and learns from the data. The *student* is the teacher itself until something was
taken away; from then on it learns from labels and from the teacher's logits, and is what is measured and deployed.
After every action that changes the data both learn from it, so that an early compression is no dead end.

The papers' three principles are switches. `data_aware`: units are scored on the pairs that the data module values,
those bought on which the network is least sure, else on random ones. `guided`: labels are bought, and edits made, where
the student believes least in what the teacher knows; else labels where it is unsure, and edits of all that was bought.
Dynamic allocation is the controller's own
(`ControllerConfig.allocation`). `feedback`, the arrow back: the student's errors by class and genre on the reward half
say which pairs are looked at for purchase, for edits and for the scores of units.

λ enters the scores of the actions and nothing else: none of these actions has a differentiable surrogate of labels or
bytes that it could weigh. R_data is labels and examples: of the labels, where some are still to be bought, and of the
pairs that are trained on, the share that is used most. So λ₁ has a say where all labels are there from the start, too.

*Seconds* are work: pairs times what one costs beside one that the baseline trains on (`lab.estimate`), over a fixed
speed. So a run that was stopped goes on exactly as it would have, and one beside other work costs what it costs alone.
Milliseconds are those of a real clock: where they have a budget, a run that goes on may decide otherwise.
"""

from __future__ import annotations

import copy
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.torch import load_file, save_file

from seo_core.augmentation import AdaptiveConfig, AdaptiveDataAugmentation
from seo_core.augmentation.adaptive import calibration
from seo_core.checks import above, at_least, check, one_of, share
from seo_core.controller import (
    ACTIONS,
    BROKEN,
    FORESEEN,
    MODEL,
    Action,
    Budgets,
    Clock,
    ControllerConfig,
    ControllerError,
    Measured,
    SynergyController,
)
from seo_core.data.encoding import Encoded, concatenate
from seo_core.deploy.runners import runner
from seo_core.distillation import Distillation, DistillationConfig, select_layers, spread_layers
from seo_core.distillation.cache import cached_logits
from seo_core.distillation.sqd import SQDConfig, SQDLoss
from seo_core.evaluation import cross_entropy, predict, softmax
from seo_core.files import atomic_folder, whole_folder
from seo_core.lab import Chapter, Lab, open_lab
from seo_core.lab.estimate import EDIT, FORWARD, INTEGERS, PRUNED
from seo_core.models import count_parameters, load_backbone, load_tokenizer, save
from seo_core.pruning import structured
from seo_core.pruning.aip import split_passes
from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, export_onnx, qat, token_counts, trim
from seo_core.quantization.size import most_removed, predicted_bytes, word_bits
from seo_core.selection import pseudo, select
from seo_core.selection.acquisition import margin_scores
from seo_core.settings import RunSettings
from seo_core.training import DivergedError, TrainingConfig, classification_loss, fit

STATE, TIMED = "state", 32  # the folder of what is kept; batches whose time is taken
HALF = 0.5  # of the time in fp32: what integers are taken to need before they were tried
STRATEGIES = ("random", "entropy", "margin", "badge", "hybrid", "hybrid_text")
COMPRESSION = ("prune", "quantize", "distil")


@dataclass(frozen=True)
class Pipeline:
    """What a run of SEO-LLM may use and how large its steps are. Unknown keys raise, and so do budgets that contradict
    one another. Of the controller's own switches see `ControllerConfig`."""

    labels: int = at_least(1, default=4000)  # bought in all
    # pairs trained on, repeats counted; None: as many as the baseline would be trained on in these seconds
    examples: int | None = at_least(1, default=None)
    seconds: float = above(0, default=900.0)  # of training, scoring and editing, at `speed`
    size: float | None = above(0, default=None)  # bytes of the deployed file; None: no such budget
    latency: float | None = above(0, default=None)  # ms a batch, measured at every exact round, and
    latency_batch: int = at_least(1, default=1)  # so many texts in it
    loss: float = at_least(0, unit="points of accuracy", default=1.0)  # the floor is so far below the start's accuracy
    rounds: int = at_least(1, default=40)
    # a start: random labels, and passes over them as the baseline has
    first: float = share(default=0.25)  # of the labels
    # 6 000 pairs of a quarter of 4 000 labels, what a supervised run on few labels sees; 0: the network knows them
    first_epochs: int = at_least(0, default=6)
    # steps
    bought: float = share(default=0.125)  # of the labels, in a full step
    edited: float = share(default=0.25)  # edits, as a share of the labels bought so far
    labelled: int = at_least(1, default=2000)  # pairs that the teacher labels, and which of them are kept: all, as in
    # the best run of chapter 8's records (`ssl-source`), or those that pass the threshold of their class (`ssl`)
    keep: str = one_of(("all", "adaptive"), default="all")
    removed: float = share(default=0.12)  # of the whole encoder's weights
    most_removed: float = at_least(0, below=1, default=0.8)  # beyond it a step is not tried: chapter 9's last arm
    vocabulary: int | None = at_least(1, default=None)  # words that stay in integers; None: all
    depth: int | None = at_least(1, default=None)  # layers that `distil` leaves of the whole network; None: not done
    pairs: int = at_least(1, default=2000)  # trained on after every action, by the teacher, and by the student
    learning_rate: float | None = above(0, default=None)  # None: the settings'
    batch: int | None = at_least(1, default=None)  # None: the settings'
    candidates: int = at_least(1, default=4000)  # pairs looked at for a purchase
    score_rows: int = at_least(1, default=1024)  # for units, and for compensation and ranges
    temperature: float = above(0, default=2.0)  # of the teacher's logits, and
    weight: float = share(default=0.7)  # theirs beside the labels', as in chapter 12
    speed: float = above(0, default=150.0)  # pairs a second of plain training: two quiet cores with bf16; a unit only
    strategy: str = one_of(STRATEGIES, default="hybrid")  # of a purchase; random: neither this nor `guided`
    # ablations
    without: tuple[str, ...] = ()  # actions that are left out
    data_aware: bool = True
    guided: bool = True
    feedback: bool = True
    synergistic: bool = True  # quantize: SQD; else ranges after training, and no training in integers

    def __post_init__(self):
        object.__setattr__(self, "without", tuple(self.without))
        check(self)
        if unknown := set(self.without) - set(ACTIONS):
            raise ValueError(f"without names {', '.join(sorted(unknown))}, and the actions are {', '.join(ACTIONS)}")
        if round(self.first * self.labels) < 1:
            raise ValueError(f"first is {self.first:g} of {self.labels} labels, which is none: nothing could be "
                             "learned at the start; raise one of them")

    @property
    def work(self) -> float:
        """The budget of work, in pairs that the baseline is trained on."""
        return self.seconds * self.speed

    @property
    def budgets(self) -> Budgets:
        """As the controller has them. Labels that are all there at the start are no budget: nothing could spend them.
        """
        bought = "buy" not in self.without and round(self.first * self.labels) < self.labels
        return Budgets(self.labels if bought else None, self.examples or max(1, int(self.work)), self.seconds,
                       self.size, self.latency)


@dataclass(frozen=True)
class State:
    """What a round hands to the next."""

    model: object  # the student: what is deployed
    teacher: object  # the whole network; the same object until something was taken from the student
    reader: Lab = field(repr=False)  # reads texts as the student does
    rows: np.ndarray = field(repr=False)  # (n,) positions in the pool whose labels were bought, in order
    soft: np.ndarray = field(repr=False)  # (m,) positions whose labels the teacher gives, the further texts' last
    edits: pd.DataFrame = field(repr=False)
    examples: int = 0  # pairs trained on, repeats counted
    work: float = 0.0  # in pairs that the baseline is trained on
    exhausted: bool = False  # pruning found less to take than a step
    diverged: bool = False  # the last training's loss was no number, and its network is that from before

    @property
    def whole(self) -> bool:
        """Whether nothing was taken away yet."""
        return self.model is self.teacher

    @property
    def integers(self) -> bool:
        """Whether the student computes in integers."""
        return hasattr(self.model, "quantizer")


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    state: State
    log: list[dict]  # a dict for each round
    start: Measured
    measured: Measured  # at the end, of an exported file
    floor: float
    missed: tuple[str, ...]  # budgets that the result is beyond
    clock: Clock  # what the wall seconds went to
    latency_batch: int = 1

    @property
    def errors(self) -> dict[str, list[float]]:
        """By how much the predictors of size and latency were off where there was a real export, at the end too: shares
        of what the export had. Without a budget of latency none of it."""
        end = {f"{kind}_{name}": getattr(self.measured, f"predicted_{name}" if kind == "predicted" else name)
               for name in ("size", "latency") for kind in ("predicted", "exact")}
        return {name: [abs(entry[f"predicted_{name}"] / entry[f"exact_{name}"] - 1) for entry in (*self.log, end)
                       if entry[f"predicted_{name}"] and entry[f"exact_{name}"]] for name in ("size", "latency")}

    @property
    def metrics(self) -> dict[str, float]:
        """What a record keeps of the rounds beside their curves. controller_seconds: the controller's own, by the wall
        clock, and overhead, its share of the run; judging_seconds: predictions for the rows that rounds are judged by,
        which any schedule with a floor needs. size_error_median, size_error_worst and those of latency: `errors`.
        size_start: bytes. latency_ms and latency_batch where latency has a budget."""
        told = {f"{name}_error_{word}": float(of(errors)) for name, errors in self.errors.items() if errors
                for word, of in (("median", np.median), ("worst", max))}
        timed = {"latency_ms": self.measured.latency, "latency_batch": self.latency_batch}
        return {"controller_seconds": self.clock.own, "overhead": self.clock.own / self.clock["run"],
                "judging_seconds": self.clock["judging"], "size_start": self.start.size, **told,
                **(timed if self.measured.latency else {})}

    def series(self) -> dict[str, list]:
        """The log as a record's curves. broken: what a rolled-back round broke, by its number in `BROKEN`; value and
        limit: what it came to, and what is allowed (see `controller.reason`). NaN where there is no number."""
        names = ("round", "step", "loss", "data", "model", "labels", "examples", "seconds", "accuracy", "size",
                 "lambda_data", "lambda_model", "accepted", "exact", "labels_used", "examples_used", "seconds_used",
                 "value", "limit", *FORESEEN, *["latency"] * bool(self.measured.latency))
        scores = {f"score_{name}": [entry["scores"].get(name, math.nan) for entry in self.log] for name in ACTIONS}
        numbers = {name: [math.nan if entry[name] is None else float(entry[name]) for entry in self.log]
                   for name in names}
        return numbers | scores | {"action": [float(ACTIONS.index(entry["action"])) for entry in self.log],
                                   "broken": [float(BROKEN.index(entry["broken"])) for entry in self.log]}


def run_seo_llm(lab: Lab | RunSettings, recipe: Pipeline | None = None, folder: Path | None = None, *,
                config: ControllerConfig | None = None, network: Callable = lambda lab: lab.network(),
                freeze: Callable = lambda model: None, further: pd.DataFrame | None = None,
                best: bool = False) -> Outcome:
    """Runs rounds until the budgets are used up.

    lab: its ground, or settings, whose data and network are then read: of any task that `load_task` reads. recipe: None
    is the default one, with no more labels than there are. folder: where the state is kept after each round, so that a
    run that was killed goes on and ends as it would have. network(lab): what training starts from. freeze(model):
    called before every training. further: texts behind the pool that the teacher may label. best: the run ends with the
    most accurate of the networks that it accepted, and not the last: a control, which loses nothing and could only
    overfit. Raises ControllerError for budgets that no run could keep, before anything is trained.
    """
    if isinstance(lab, RunSettings):
        lab = open_lab(Chapter("15_seo_llm", ground="headline"), lab, report=print)
    recipe = recipe or Pipeline(labels=min(Pipeline.labels, len(lab.pool)))
    work = _Work(lab, recipe, folder, freeze, further)
    if best and not {*COMPRESSION} <= {*recipe.without}:
        raise ControllerError("the best of networks of different sizes is no matter of accuracy alone: leave out "
                              f"{', '.join(COMPRESSION)}, or best")
    config = config or ControllerConfig(seed=lab.settings.seed)
    kept = work.kept()
    if kept is None:
        model = network(lab)
        work.check(model)
        with work.clock.of("run"):
            with work.clock.of("actions"):
                state, memory = work.start(model), None
            start = work.measure(state, exact=False)
        floor = start.accuracy - recipe.loss / 100
    else:
        state, memory = kept
        start, floor = Measured(*memory["start"]), memory["floor"]

    def after_round(state: State) -> None:
        if best:
            work.compare(state, controller.now.accuracy)
        work.keep(state, {**controller.memory(), "start": list(start), "floor": floor})
        work.say(controller.log[-1])

    if best and kept is None:
        work.compare(state, start.accuracy)
    controller = SynergyController(work.actions(), work.measure, recipe.budgets, floor, work.judging / recipe.speed,
                                   config, clock=work.clock)
    if memory is not None:
        controller.remember(memory)
    state = controller.run(state, recipe.rounds, save=after_round)
    if best:
        state.model.load_state_dict(work.best)
    with work.clock.of("run"):
        measured = work.measure(state, exact=True)
    limits = recipe.budgets.limits(("labels", "size", "latency"))
    missed = tuple(name for name, limit in limits.items() if getattr(measured, name) > limit)
    return Outcome(state, controller.log, start, measured, floor, missed, work.clock, recipe.latency_batch)


class _Work:
    """One run: its ground, its recipe, and the actions."""

    def __init__(self, lab: Lab, recipe: Pipeline, folder: Path | None, freeze: Callable,
                 further: pd.DataFrame | None = None):
        self.lab, self.recipe, self.folder, self.freeze, self.report = lab, recipe, folder, freeze, lab.report
        self.further, self.sealed = lab.pool[:0] if further is None else further, {}  # number of words -> `unlabelled`
        self.encoder, self.timed = 0, {"ms": 0.0, "weights": 0}  # weights of the whole encoder; the last timing
        self.best, self.highest = {}, -1.0  # weights of the most accurate network so far, and its accuracy
        self.temporary = tempfile.TemporaryDirectory()  # of the teacher's logits
        self.clock = Clock()

    @property
    def judging(self) -> float:
        """The work of telling a round's loss and accuracy, in pairs that the baseline is trained on."""
        return FORWARD * (len(self.lab.task["reward"]) + len(self.lab.task["acceptance"]))

    def check(self, model) -> None:
        """Raises ControllerError for budgets that no run could keep. model: the network that training starts from."""
        recipe, rows, config = self.recipe, len(self.lab.pool), model.config
        if recipe.labels > rows:
            raise ControllerError(f"a budget of {recipe.labels} labels, and {self.lab.task.name} has {rows} rows to "
                                  "train on: lower it")
        if recipe.depth is not None and recipe.depth >= config.num_hidden_layers:
            raise ControllerError(f"depth is {recipe.depth}, and the network has {config.num_hidden_layers} layers: "
                                  "leave fewer")
        taught = recipe.first_epochs * round(recipe.first * recipe.labels)
        if recipe.examples is not None and recipe.examples <= taught:
            raise ControllerError(f"a budget of {recipe.examples} examples, and the start takes {taught}: allow more, "
                                  "or lower first or first_epochs")
        if taught and recipe.work <= (work := taught + self.judging):
            raise ControllerError(f"a budget of {recipe.seconds:g} seconds, and the start takes "
                                  f"{work / recipe.speed:.0f}: allow more, or lower first or first_epochs")
        if recipe.size is None:
            return
        removed = 0.0 if recipe.depth is None else 1 - recipe.depth / config.num_hidden_layers
        if "prune" not in recipe.without:
            removed = max(removed, min(recipe.most_removed, most_removed(config, layers=False)))
        least = 4.0 * (count_parameters(model) - removed * structured.encoder_weights(model)) \
            if "quantize" in recipe.without else self.int8_bytes(config, removed)
        if least > recipe.size:
            raise ControllerError(f"size is {recipe.size / 1e6:.1f} MB, and the smallest student of this network has "
                                  f"about {least / 1e6:.1f} MB: allow more, keep fewer words (vocabulary), raise "
                                  "most_removed, or leave out less")

    def int8_bytes(self, config, share: float = 0.0) -> float:
        """Bytes of the file in integers, with the recipe's words, once this share of the encoder's weights is gone."""
        words = min(self.recipe.vocabulary or config.vocab_size, config.vocab_size)
        return float(predicted_bytes(config, share, words, positions=self.lab.settings.max_length,
                                     classes=len(self.lab.task.labels), word_bits=word_bits(config)))

    def actions(self) -> tuple[Action, ...]:
        """What a round can do. λ stays with the controller: no action here has a term of its own for data or size."""
        recipe = self.recipe
        left_out = {*recipe.without, *["distil"] * (recipe.depth is None)}
        ready = {"buy": lambda s: len(s.rows) < recipe.labels, "quantize": lambda s: not s.integers,
                 "distil": lambda s: s.whole,
                 "label": lambda s: len(s.rows) + len(s.soft) < len(self.lab.pool) + len(self.further),
                 "prune": lambda s: not s.exhausted and self.gone(s.model) + recipe.removed / 8 < recipe.most_removed}
        return tuple(
            Action(name, lambda state, step, prices, name=name: getattr(self, name)(state, step),
                   ready.get(name, Action.ready),
                   guess=partial(self.guess, name) if name in COMPRESSION else None,
                   uses=("labels", *Action.uses) if name == "buy" else Action.uses,
                   whole=name in ("quantize", "distil"),  # half a rounding is none
                   keep=(lambda before, after: replace(before, rows=after.rows, soft=after.soft)) if name == "buy"
                   else None)
            for name in ACTIONS if name not in left_out)

    def start(self, model) -> State:
        """A state whose network was trained on the first labels, bought at random."""
        recipe, lab = self.recipe, self.lab
        rows = lab.random_rows(round(recipe.first * recipe.labels))
        state = State(model, model, lab, rows, np.empty(0, np.int64), pd.DataFrame(columns=[*lab.task.texts, "label"]))
        self.encoder = structured.encoder_weights(model)
        state = self.learn(state, 1.0, pairs=recipe.first_epochs * len(rows)) if recipe.first_epochs else state
        if state.diverged:
            raise ControllerError("the loss of the first training is no number: lower the learning rate")
        return state

    # ---------------------------------------------------------------------------------------------
    # Data

    def buy(self, state: State, step: float) -> State:
        """More labels, where they are worth most to the student."""
        recipe, lab, number = self.recipe, self.lab, len(state.rows)
        wanted = min(max(1, round(step * recipe.bought * recipe.labels)), recipe.labels - len(state.rows))
        candidates = np.sort(lab.candidates(state.rows, number, max(2 * recipe.candidates, wanted)))
        rng = np.random.default_rng([lab.settings.seed, 89, number])
        scored = len(candidates)
        chosen = recipe.strategy != "random"
        if recipe.feedback and chosen:  # half of them, in proportion to the errors of their class and genre
            classes = predict(state.model, state.reader.sealed.take(candidates), precision="auto").argmax(1)
            odds = self.errors(state, lab.pool.iloc[candidates].assign(label=classes))
            keep = rng.choice(len(candidates), max(wanted, len(candidates) // 2), replace=False, p=odds / odds.sum())
            candidates, scored = candidates[np.sort(keep)], scored + len(keep)
        else:
            candidates = candidates[: max(wanted, len(candidates) // 2)]
        if recipe.guided and chosen and not state.whole:
            picked = self.missed_by_student(state, candidates, wanted, rng)
            scored += len(candidates)
        else:
            picked = select(recipe.strategy, state.model, state.reader.sealed.take(candidates), wanted, rng)
        state = replace(state, rows=np.concatenate([state.rows, candidates[picked]]),
                        soft=np.setdiff1d(state.soft, candidates[picked]), work=state.work + FORWARD * scored)
        return self.learn(state, step, changed=True)

    def missed_by_student(self, state: State, rows: np.ndarray, n: int, rng, labels: np.ndarray | None = None):
        """(n,) positions in rows where the student believes in the class least beside the teacher: of
        p_t(y) − p_s(y) the largest, where y is the label, or without labels what the teacher says. Equal ones in
        random order."""
        teacher = softmax(predict(state.teacher, self.lab.sealed.take(rows), precision="auto"))
        student = softmax(predict(state.model, state.reader.sealed.take(rows), precision="auto"))
        classes = teacher.argmax(1) if labels is None else labels
        gap = np.take_along_axis(teacher - student, classes[:, None], 1)[:, 0]
        return np.lexsort((rng.random(len(gap)), -gap))[:n]

    def augment(self, state: State, step: float) -> State:
        """ADA's edits of what was bought, in place of those from before where there are more than labels. Once
        something was taken away, only of the half that the student gets wrong beside the teacher."""
        recipe, lab, rows, scored = self.recipe, self.lab, state.rows, 0
        budget = max(1, round(step * recipe.edited * len(rows)))
        if recipe.guided and not state.whole:
            rng = np.random.default_rng([lab.settings.seed, 103, state.examples])
            looked = np.sort(rng.permutation(len(rows))[: max(recipe.candidates, budget)])  # at most so many pairs
            rows, scored = rows[looked], 2 * len(looked)
            half = self.missed_by_student(state, rows, -(-len(rows) // 2), rng, lab.encoded().take(rows).labels)
            rows = rows[np.sort(half)]
        config = AdaptiveConfig(rounds=2, trial=8, focus=AdaptiveConfig.focus if recipe.feedback else 0.0)
        ada = AdaptiveDataAugmentation(config, seed=1_000_003 * lab.settings.seed + state.examples)
        result = ada(lab.pool.iloc[rows], state.model, state.reader.tokenizer, lab.task["reward"], budget=budget,
                     texts=lab.task.texts, max_length=lab.settings.max_length)
        frame = result.frame[[*lab.task.texts, "label"]]
        edits = pd.concat([state.edits, frame], ignore_index=True) if len(state.edits) else frame
        edits = edits.tail(len(state.rows)).reset_index(drop=True)
        work = FORWARD * (scored + result.cost["examples_scored"]) + EDIT * len(frame)
        return self.learn(replace(state, edits=edits, work=state.work + work), step, changed=True)

    def label(self, state: State, step: float) -> State:
        """Further pairs of the pool, or of the texts behind it, which the teacher labels: all that are drawn, or those
        that pass the threshold of their class."""
        wanted = max(1, round(step * self.recipe.labelled))
        taken, work = np.concatenate([state.rows, state.soft]), state.work
        chosen = self.lab.candidates(taken, 1 + len(state.soft), wanted, further=len(self.further))
        if self.recipe.keep == "adaptive":
            said = predict(state.teacher, self.unlabelled(self.lab).take(chosen), precision="auto")
            chosen, work = chosen[pseudo.adaptive_pseudo_label(said).rows], work + FORWARD * len(chosen)
        return self.learn(replace(state, soft=np.concatenate([state.soft, chosen]), work=work), step, changed=True)

    def errors(self, state: State, frame: pd.DataFrame) -> np.ndarray:
        """(n,) for each row the error rate of its class times that of its genre, on the reward half; a class or genre
        with few rows there is pulled to the mean."""
        reward, odds = self.lab.task["reward"], np.ones(len(frame))
        wrong = predict(state.model, state.reader.encoded("reward"), precision="auto").argmax(1) != reward["label"]
        for kind in ("label", "genre"):
            if kind in reward and kind in frame:
                groups = wrong.groupby(reward[kind].to_numpy()).agg(["sum", "count"])
                rate = (groups["sum"] + 32 * wrong.mean() + 1) / (groups["count"] + 33)
                odds *= frame[kind].map(rate).fillna(wrong.mean() + 0.01).to_numpy()
        return odds

    # ---------------------------------------------------------------------------------------------
    # Compression

    def prune(self, state: State, step: float) -> State:
        """A share of the encoder's heads and neurons out, those of the least importance per weight; least squares, then
        recovery. A student in integers gets new ranges. Where units do not add up to the share, nothing is taken, and
        pruning is over."""
        recipe = self.recipe
        scoring = self.scoring(state)
        work = state.work + FORWARD * (2 + 3) * len(scoring)  # two passes forward, one with gradients
        base = qat.detach(copy.deepcopy(state.model))
        wanted = min(step * recipe.removed, recipe.most_removed - self.gone(state.model))
        scores = structured.importance(base, "taylor", scoring, seed=self.lab.settings.seed)
        try:
            removal = structured.choose(base, scores, wanted * self.encoder / structured.encoder_weights(base))
        except structured.NothingLeft:
            return replace(state, work=work, exhausted=True)
        model = structured.remove(structured.compensate(base, removal, scoring), **removal.units)
        if state.integers:
            qat.attach(model, calibrate(model, scoring, self.calibration(model)))
        return self.learn(replace(state, model=model, work=work), step)

    def quantize(self, state: State, step: float) -> State:
        """The student in integers, with the words that its text uses, and SQD from here on."""
        recipe, model, reader = self.recipe, state.model, state.reader
        if state.whole:
            model = copy.deepcopy(model)
        if recipe.vocabulary and recipe.vocabulary < model.config.vocab_size:
            small = trim(model, reader.tokenizer, token_counts(self.lab.encoded()), recipe.vocabulary)
            model, reader = small.model, reader.reading_with(small.tokenizer)
        state = replace(state, model=model, reader=reader)
        qat.attach(model, calibrate(model, self.scoring(state), self.calibration(model)))
        return self.learn(state, step) if recipe.synergistic else state

    def distil(self, state: State, step: float) -> State:
        """A student of some of the layers, which learns from the whole network from here on."""
        layers = spread_layers(self.recipe.depth, state.model.config.num_hidden_layers)
        return self.learn(replace(state, model=select_layers(state.model, layers)), step)

    def train(self, state: State, step: float) -> State:
        """More passes over the same."""
        return self.learn(state, step)

    def scoring(self, state: State) -> Encoded:
        """Labelled pairs for scores of units and for ranges: those bought on which the student is least sure, of four
        times as many drawn by the errors of their class and genre; or, where data has no say, of the reward half."""
        rows, rng = self.recipe.score_rows, np.random.default_rng([self.lab.settings.seed, 97, len(state.rows)])
        if not self.recipe.data_aware:
            held = state.reader.encoded("reward")
            return held.take(rng.permutation(len(held))[:rows])
        frame, n = self.lab.pool.iloc[state.rows], min(4 * rows, len(state.rows))
        odds = self.errors(state, frame) if self.recipe.feedback else np.ones(len(frame))
        drawn = state.rows[rng.choice(len(frame), n, replace=False, p=odds / odds.sum())]
        encoded = state.reader.encoded().take(drawn)
        unsure = margin_scores(predict(state.model, encoded, precision="auto"))
        return encoded.take(np.argsort(-unsure, kind="stable")[:rows])

    def calibration(self, model) -> CalibrationConfig:
        """Weights of 7 bits, which say the same on every CPU, and words of 4 where their width allows."""
        return CalibrationConfig(examples=self.recipe.score_rows, embedding_bits=word_bits(model.config), weight_bits=7)

    def guess(self, name: str, state: State) -> dict[str, float]:
        """What a full step of compression is taken to change before it was tried: bytes by the formula, milliseconds by
        the weights that are left and `HALF`, seconds by the pairs of its recovery; the loss as if nothing were lost."""
        config, size, ms = state.model.config, self.predicted(state), self.ms(state)
        left = structured.encoder_weights(state.model)
        part = min(self.recipe.removed * self.encoder / left, 0.99)  # of what is left
        if name == "quantize":
            after = self.int8_bytes(config), HALF * ms
        elif name == "distil":
            kept = self.recipe.depth / config.num_hidden_layers
            after = size - 4 * self.encoder * (1 - kept), kept * ms
        elif state.integers:
            after = self.int8_bytes(config, part), (1 - part) * ms
        else:
            after = size - 4 * self.recipe.removed * self.encoder, (1 - part) * ms
        before, then = (self.recipe.budgets.share({"size": of[0], "latency": of[1]}, MODEL)
                        for of in ((size, ms), after))
        return {"model": then - before, "seconds": self.recipe.pairs * sum(INTEGERS) / self.recipe.speed}

    def gone(self, model) -> float:
        """The share of the encoder's weights that is gone."""
        return 1 - structured.encoder_weights(model) / self.encoder

    # ---------------------------------------------------------------------------------------------
    # Learning and measuring

    def data(self, state: State, reader: Lab) -> Encoded:
        """What is trained on, as a reader reads it: labelled pairs, edits, and pairs without a label (−1)."""
        encoded = reader.encoded().take(state.rows)
        if len(state.edits):
            encoded = concatenate(encoded, reader.encode(state.edits))
        return concatenate(encoded, self.unlabelled(reader).take(state.soft)) if len(state.soft) else encoded

    def unlabelled(self, reader: Lab) -> Encoded:
        """The pool, and behind it the further texts, as a reader reads them; every label −1."""
        if self.further.empty:
            return reader.sealed
        words = len(reader.tokenizer)
        if words not in self.sealed:
            self.sealed[words] = concatenate(reader.sealed, reader.encode(self.further[list(self.lab.task.texts)]))
        return self.sealed[words]

    def learn(self, state: State, step: float, *, changed: bool = False, pairs: int = 0) -> State:
        """`taught`, and a state that says so where the loss is no number."""
        try:
            return self.taught(state, step, changed, pairs)
        except DivergedError:
            return replace(state, diverged=True, work=state.work + (pairs or self.recipe.pairs * step))

    def taught(self, state: State, step: float, changed: bool, pairs: int) -> State:
        """Training: of a whole network by its labels, and by its own logits on pairs without one; of a student by
        labels and its teacher's logits. changed: the data did, so that the teacher of a student learns too. pairs: to
        train on, where these are not the recipe's for a step. Raises DivergedError."""
        recipe, lab, cost = self.recipe, self.lab, 0.0
        teacher, model, seen = state.teacher, state.model, pairs or max(1, round(recipe.pairs * step))
        data, examples = self.data(state, lab), state.examples
        rows, epochs = split_passes(len(data), seen / len(data), state.examples)
        asked = data.take(rows)
        if state.whole or changed:
            soft = self.logits(teacher, asked) if len(state.soft) else None
            teacher = self.fitted(teacher, asked, soft, epochs, state)
            cost, examples = seen + FORWARD * len(rows) * bool(len(state.soft)), examples + seen
        if state.whole:
            model = teacher
        else:
            model = self.fitted(model, self.data(state, state.reader).take(rows), self.logits(teacher, asked), epochs,
                                state)
            pair, left = (INTEGERS if state.integers else PRUNED), 1 - self.gone(model)
            cost, examples = cost + seen * (pair[0] + pair[1] * left) + FORWARD * len(rows), examples + seen
        return replace(state, model=model, teacher=teacher, work=state.work + cost + self.judging, examples=examples)

    def logits(self, teacher, data: Encoded) -> np.ndarray:
        """What a teacher says of the data, computed once."""
        return cached_logits(teacher, data, self.temporary.name)

    def fitted(self, network, data: Encoded, said: np.ndarray | None, epochs: int, state: State):
        """A copy of a network, trained. said: logits to learn from; None: the labels alone."""
        recipe, settings = self.recipe, self.lab.settings
        config = TrainingConfig.from_settings(
            settings, epochs=epochs, seed=settings.seed * 1_000_003 + state.examples,
            learning_rate=recipe.learning_rate or settings.learning_rate,
            batch_size=recipe.batch or settings.batch_size)
        model = copy.deepcopy(network)
        integers = hasattr(model, "quantizer")
        if integers and not recipe.synergistic:
            qat.detach(model)
        model.requires_grad_(True)
        copied = DistillationConfig(temperature=recipe.temperature, weight=recipe.weight)
        if said is None:
            loss = classification_loss
        elif integers and recipe.synergistic:
            steps = -(-len(data) // config.batch_size) * epochs
            loss = SQDLoss(model, data, said, config=SQDConfig(distillation=copied), steps=steps)
        else:
            loss = Distillation(model, data, targets=said, config=copied)
        self.freeze(model)
        fit(model, data, config=config, loss=loss)
        if integers and not recipe.synergistic:
            qat.attach(model, calibrate(model, data.take(slice(recipe.score_rows)), self.calibration(model)))
        return model.eval()

    def measure(self, state: State, exact: bool) -> Measured:
        """The student in numbers: its accuracy on the acceptance half, and its loss on the reward half, at the
        temperature that suits it best there: trained on few labels a network grows sure faster than it grows right, and
        the loss as it is would speak against all training."""
        reader = state.reader
        with self.clock.of("judging"):
            logits = {half: predict(state.model, reader.encoded(half), precision="auto")
                      for half in ("reward", "acceptance")}
            truth = reader.encoded("reward").labels
            loss = cross_entropy(logits["reward"] / calibration(logits["reward"], truth), truth)
        size, latency = foreseen = self.predicted(state), self.ms(state)
        if exact:
            size, latency = self.exported(state)
        return Measured(
            loss=math.nan if state.diverged else loss,
            accuracy=float((logits["acceptance"].argmax(1) == reader.encoded("acceptance").labels).mean()),
            labels=len(state.rows), examples=state.examples, seconds=state.work / self.recipe.speed, size=size,
            latency=latency, exact=exact, predicted_size=foreseen[0], predicted_latency=foreseen[1])

    def predicted(self, state: State) -> float:
        """Bytes of the file before there is one."""
        return self.int8_bytes(state.model.config) if state.integers else 4.0 * count_parameters(state.model)

    def ms(self, state: State) -> float:
        """Milliseconds of a batch: what was measured last, in proportion to the encoder's weights; 0 without a budget
        and before the first export."""
        return self.timed["ms"] * structured.encoder_weights(state.model) / max(self.timed["weights"], 1)

    def exported(self, state: State) -> tuple[int, float]:
        """Bytes of the student's file; where latency has a budget, the median milliseconds of a batch."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            config, scales = ExportConfig("fp32", embedding_bits=32, max_length=self.lab.settings.max_length), None
            if state.integers:
                scales = qat.scales(state.model)
                config = replace(config, precision="int8-static", embedding_bits=scales.embedding_bits)
            export_onnx(state.model, path, config, scales=scales)
            if self.recipe.latency is not None:
                run = runner(path, tokenizer=state.reader.tokenizer, labels=self.lab.task.labels,
                             max_length=self.lab.settings.max_length)
                texts, batch = state.reader.encoded("reward"), self.recipe.latency_batch
                self.timed = {"ms": median_ms(run, texts, batch), "weights": structured.encoder_weights(state.model)}
            return path.stat().st_size, self.timed["ms"]

    # ---------------------------------------------------------------------------------------------
    # What is kept between rounds

    def compare(self, state: State, accuracy: float) -> None:
        """Keeps a network that is more accurate than all before it."""
        if accuracy > self.highest:
            self.highest = accuracy
            self.best = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}

    def keep(self, state: State, memory: dict) -> None:
        """Writes a state whole, in the place of the one before."""
        if self.folder is None:
            return
        with atomic_folder(self.folder / STATE) as place:
            keep = qat.save if state.integers else save
            keep(state.model, state.reader.tokenizer, place / "model")
            if state.integers:  # the step sizes to the last bit: `scales` rounds them as a file has them
                save_file(state.model.quantizer.state_dict(), place / "quantizer.safetensors")
            if not state.whole:
                save(state.teacher, self.lab.tokenizer, place / "teacher")
            np.savez(place / "rows.npz", rows=state.rows, soft=state.soft)
            state.edits.to_parquet(place / "edits.parquet", index=False)
            if self.best:
                save_file(self.best, place / "best.safetensors")
            (place / "memory.json").write_text(json.dumps({
                **memory, "examples": state.examples, "work": state.work, "timed": self.timed,
                "integers": state.integers, "exhausted": state.exhausted, "encoder": self.encoder,
                "highest": self.highest}), encoding="utf-8")

    def kept(self) -> tuple[State, dict] | None:
        """The state of a run that was stopped, and the controller's memory."""
        place = self.folder and whole_folder(self.folder / STATE)
        if not place:
            return None
        memory = json.loads((place / "memory.json").read_text(encoding="utf-8"))
        read = qat.load if memory["integers"] else lambda folder: load_backbone(str(folder), num_labels=None)[0]
        model, teacher = read(place / "model"), place / "teacher"
        if memory["integers"]:
            model.quantizer.load_state_dict(load_file(place / "quantizer.safetensors"))
        teacher = load_backbone(str(teacher), num_labels=None)[0] if teacher.is_dir() else model
        tokenizer, rows = load_tokenizer(str(place / "model")), np.load(place / "rows.npz")
        reader = self.lab if len(tokenizer) == len(self.lab.tokenizer) else self.lab.reading_with(tokenizer)
        self.encoder, self.timed, self.highest = memory["encoder"], memory["timed"], memory.get("highest", -1.0)
        if (best := place / "best.safetensors").is_file():
            self.best = load_file(best)
        return State(model, teacher, reader, rows["rows"], rows["soft"], pd.read_parquet(place / "edits.parquet"),
                     memory["examples"], memory["work"], memory["exhausted"]), memory

    def say(self, entry: dict) -> None:
        """A line of the log."""
        what = "" if entry["accepted"] else f", rolled back: {entry['why']}"
        self.report(f"round {entry['round']:2d}  {entry['action']:8s} step {entry['step']:.2f}  "
                    f"loss {entry['loss']:+.3f}  accuracy {100 * entry['accuracy']:.1f}%  "
                    f"{entry['size'] / 1e6:.1f} MB{what}")


def median_ms(run, texts: Encoded, batch: int = 1) -> float:
    """The median time of a batch of so many texts, milliseconds, over the first 32 batches that are full; after one
    that is not counted."""
    batches = [texts.take(slice(first, first + batch)) for first in range(0, max(len(texts) - batch, 0) + 1, batch)]
    times = []
    for part in (batches[0], *batches[:TIMED]):
        began = time.perf_counter()
        run.logits(part, batch_size=batch)
        times.append(1e3 * (time.perf_counter() - began))
    return float(np.median(times[1:]))


def combined_bytes(model, *works: str, layers: int = 1, removed: float = 0.36) -> int:
    """Bytes of the file of a network on which these work: `distil` leaves some layers, `prune` takes a share of what is
    then left of the encoder, `int8` makes integers. Nothing is trained: bytes follow from the shape."""
    if "distil" in works:
        model = select_layers(model, spread_layers(layers, model.config.num_hidden_layers))
    if "prune" in works:
        scores = structured.importance(model, "magnitude")
        model = structured.remove(model, **structured.choose(model, scores, removed).units)
    config = ExportConfig("int8-dynamic") if "int8" in works else ExportConfig("fp32", embedding_bits=32)
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(model, Path(folder) / "model.onnx", config, untrained=True).stat().st_size
