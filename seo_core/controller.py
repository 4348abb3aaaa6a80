"""The Synergy Controller: which technique works next, on one budget over labels, compute and bytes.

The papers minimize (equation 5 of SEC; λ₁ = λ₂ = 0.5 at the start, and no rule for them)

    min over θ, D of   L_task(θ, D) + λ₁ R_data(D) + λ₂ R_model(θ)

Reading. A run is a sequence of rounds, and in each one action works: labels are bought, examples added, units removed,
weights rounded, a network trained on. R_data is what was spent of the data budgets and R_model what the deployed file
takes of the model budgets, each as the share of the budget that is used most, so that 1 is "used up". Before a round
every action that can work is scored by what it promises for each second,

    score = (−ΔL_task − λ₁ ΔR_data − λ₂ ΔR_model) / seconds,

its promise being the running mean of what it did before, for a step of the size that it would take now; what a round
costs whatever its step, as its judging does, is `fixed`. After the round

    λᵢ ← clip(λᵢ + η (projected use of budget i at the end of the run − 1) / (what is left of the run), 0, λ_max).

Where what is left of the run is just enough to bring the file within its budgets, the action that does so is due.

A round is a transaction. What it cost is spent, but where it broke the accuracy floor, a budget, or left a loss that is
no number, the state from before it is taken back, and the action's next step is half as long; it grows again after two
that were accepted, after four the second time, and so on. What cannot be halved recovers twice as long where it fell
below the floor. So important weights and the examples that support them are never lost in one stroke. Labels that were
paid for are kept. The log says which it was, by what value and what limit.

Bytes and milliseconds come from predictors, and every few rounds from a real export. Budgets go by the latter. What an
action did is a difference of two predictions, for else it would be credited with their error. In an export's round the
log has both, and one sees how far off they are. The wall clock says what the controller itself takes (`Clock`).

    controller = SynergyController(actions, measure, Budgets(labels=4000, seconds=1800, size=8e6), floor=0.70)
    state = controller.run(state, rounds=20)
    controller.log                      # a dict for each round: scores, action, cost, gain, λ, accepted or rolled back

States are values: an action returns a new one and leaves the old as it is.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np

from seo_core.checks import above, at_least, check, one_of, share

State = TypeVar("State")
DATA, MODEL = ("labels", "examples"), ("size", "latency")  # what R_data and R_model look at
WORK = ("examples", "seconds")
SPENT = (*DATA, "seconds")  # what a rolled-back round has spent all the same
ACTIONS = ("buy", "augment", "label", "prune", "quantize", "train", "distil")  # of `pipeline`, as records number them
ALLOCATIONS = ("score", "alternate", "random", "shuffled", "static")  # how an action is picked; the controller's first
PRICES = ("adaptive", "fixed", "absent")  # what becomes of λ
RECOVERED = 4.0  # the longest recovery of a whole action, in full steps: two doublings; two passes over 4 000 labels
BROKEN = ("", "loss", *SPENT, "accuracy")  # what a rolled-back round broke, as records number it; "": it stands
FORESEEN = ("predicted_size", "exact_size", "predicted_latency", "exact_latency")  # None in a round without an export


def reason(broken: str, value: float | None, limit: float | None) -> str:
    """Why a round was rolled back, in words: what it broke (`BROKEN`), what it came to and what is allowed; empty where
    it stands."""
    if broken == "loss":
        return "the loss is no number"
    if broken == "accuracy":
        return f"accuracy {value:.4f} is below the floor {limit:.4f}"
    return f"{value:g} {broken} and a budget of {limit:g}" if broken else ""


class ControllerError(ValueError):
    """A run that cannot begin or go on; the message says what to change."""


@dataclass(frozen=True)
class Budgets:
    """What a run may use in all. None: no such budget. Raises ControllerError for one that allows nothing."""

    labels: int | None = at_least(1, default=None)
    examples: int | None = at_least(1, default=None)  # pairs trained on, repeats counted
    seconds: float | None = above(0, default=None)
    size: float | None = above(0, default=None)  # bytes of the deployed file
    latency: float | None = above(0, default=None)  # milliseconds for a batch, of as many texts as `measure` takes

    def __post_init__(self):
        check(self, ControllerError)

    def limits(self, names: Iterable[str]) -> dict[str, float]:
        """Those of these names that there is a budget of, and how much it allows."""
        return {name: limit for name in names if (limit := getattr(self, name)) is not None}

    def share(self, use: Mapping[str, float], names: tuple[str, ...]) -> float:
        """The share used of that budget among these names of which most is used; 0 where there are none."""
        return max((use[name] / limit for name, limit in self.limits(names).items()), default=0.0)


class Measured(NamedTuple):
    """A state in numbers. loss: L_task on the development slice; accuracy there; labels, examples, seconds: used since
    the run began; size (bytes) and latency (ms a batch) of what would be deployed. exact: from an exported file;
    predicted_size, predicted_latency: what the predictors say of it, where there are any."""

    loss: float
    accuracy: float
    labels: float = 0
    examples: float = 0
    seconds: float = 0
    size: float = 0
    latency: float = 0
    exact: bool = False
    predicted_size: float | None = None
    predicted_latency: float | None = None


class Clock(dict):
    """Wall seconds by what they went to: "run" is all of it, "actions" their own work, "judging" the rows that tell a
    round's loss and accuracy, which every schedule with a floor pays for."""

    @contextmanager
    def of(self, name: str):
        """Adds what its block takes to a name."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - began

    @property
    def own(self) -> float:
        """The controller's own: choosing, predictors, exports, and what is kept after each round."""
        return max(self.get("run", 0.0) - self.get("actions", 0.0) - self.get("judging", 0.0), 0.0)


class Prices(NamedTuple):
    """λ₁ and λ₂ of the round, for actions whose loss has a term of its own for data or size."""

    data: float
    model: float


@dataclass(frozen=True)
class Action:
    """Something that a round can do: apply(state, step, prices) -> state, with step the part of its full step, in (0,
    1]. ready(state): whether it can do anything at all. uses: the budgets that it spends; it is not ready where one of
    them is used up. guess(state): what a full step is taken to change before it was ever tried (loss, data, model,
    labels, examples, seconds); without a guess it is tried once, whatever its score: not for what cannot be undone.
    least: a step that is halved below it is not tried again. whole: what it does cannot be halved, and its step, 1 to
    `RECOVERED`, says how long the network recovers from it: twice as long where it fell below the floor. Where that is
    not to be longer, it waits until another round was accepted. keep(before, after): of a round that is taken back, the
    state from before with the labels that it bought; for an action that buys some."""

    name: str
    apply: Callable
    ready: Callable = lambda state: True
    guess: Callable | None = None
    uses: tuple[str, ...] = ("examples", "seconds")
    least: float = 1 / 8
    whole: bool = False
    keep: Callable | None = None


@dataclass(frozen=True)
class ControllerConfig:
    """How the controller works. Unknown keys raise; each switch is an ablation."""

    allocation: str = one_of(ALLOCATIONS, default="score")  # dynamic resource allocation
    prices: str = one_of(PRICES, default="adaptive")
    start: float = at_least(0, default=0.5)  # the papers' λ₁ = λ₂
    rate: float = at_least(0, default=0.1)  # η
    most: float = above(0, default=5.0)  # λ_max: ten times the start outweighs any loss of a three-class task
    memory: float = share(default=0.5)  # weight of what an action did before against what it did last
    exploration: float = share(default=0.1)  # share of the rounds that try an action whatever its score
    exact_every: int = at_least(1, default=4)  # rounds between two real exports; between them a predictor
    strikes: int = at_least(1, default=3)  # rounds in a row with a loss that is no number, before the run stops
    guard: bool = True  # against double loss: a round that breaks the floor is rolled back
    schedule: tuple[tuple[str, int], ...] = ()  # of `static`: actions in their order, and how many rounds of each
    seed: int = at_least(0, default=0)

    def __post_init__(self):
        object.__setattr__(self, "schedule", tuple((name, count) for name, count in self.schedule))
        check(self)
        if (self.allocation == "static") != bool(self.schedule):
            raise ValueError("a static allocation, and no other, has a schedule: ((action, rounds), …)")


@dataclass
class _Promise:
    """What an action did for a full step: running means of the changes in loss, R_data and R_model, and of what it
    spent beside the fixed seconds of any round. The loss and R_model of a whole one are those of any step."""

    step: float = 1.0  # of the next one
    whole: bool = False
    tried: int = 0
    backs: int = 0  # rounds that were taken back, and
    kept: int = 0  # those that were accepted since the step changed
    fell: float | None = None  # the accuracy that the last one took which broke the floor, and
    fell_at: float = 0.0  # its step
    loss: float = 0.0
    data: float = 0.0
    model: float = 0.0
    labels: float = 0.0
    examples: float = 0.0
    seconds: float = 0.0

    def learn(self, did: Mapping[str, float], step: float, memory: float) -> None:
        old = memory if self.tried else 0.0
        for name, value in did.items():
            steps = 1.0 if self.whole and name in ("loss", "model") else step
            setattr(self, name, old * getattr(self, name) + (1 - old) * value / steps)
        self.tried += 1

    def taken_back(self, step: float, broken: str, fell: float) -> None:
        """A step was too long, or, of a whole action, its recovery too short."""
        self.backs, self.kept = self.backs + 1, 0
        self.fell, self.fell_at = (fell if broken == "accuracy" else None), step
        if not self.whole:
            self.step = step / 2
        elif broken == "accuracy":
            self.step = min(2 * step, RECOVERED)

    def accepted(self) -> None:
        """A halved step grows again after 2, 4, 8, … accepted rounds: one that broke by chance soon, a limit seldom."""
        self.kept += 1
        if not self.whole and self.kept >= 2 ** self.backs:
            self.step, self.kept = min(2 * self.step, 1.0), 0

    def room(self, accuracy: float) -> None:
        """A step that broke the floor is tried again once there is more accuracy over the floor than it took: halved
        below the least one it would never be, however much the rounds since have won back."""
        if not self.whole and self.fell is not None and accuracy > self.fell:
            self.step, self.fell = max(self.step, self.fell_at), None

    def next(self, name: str) -> float:
        """What the next step is taken to change."""
        return getattr(self, name) * (1.0 if self.whole and name in ("loss", "model") else self.step)

    def score(self, prices: Prices, fixed: float) -> float:
        gain = -self.next("loss") - prices.data * self.next("data") - prices.model * self.next("model")
        return gain / max(fixed + self.next("seconds"), 1e-9)


@dataclass
class SynergyController:
    """Rounds of actions under one budget. actions: what a round can do. measure(state, exact) -> Measured. floor: the
    accuracy that no accepted round may fall below; None: none. fixed: seconds that a round takes whatever its step.
    clock: what the wall seconds went to; `measure` may add to it. Raises ControllerError for actions of one name, and
    where the budgets do not allow the run that is asked for."""

    actions: tuple[Action, ...]
    measure: Callable
    budgets: Budgets = field(default_factory=Budgets)
    floor: float | None = None
    fixed: float = 0.0
    config: ControllerConfig = field(default_factory=ControllerConfig)
    log: list[dict] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.actions = tuple(self.actions)
        names = [action.name for action in self.actions]
        if not names or len(set(names)) < len(names):
            raise ControllerError(f"a controller needs actions of different names, not {names}")
        if unknown := {name for name, _ in self.config.schedule} - set(names):
            raise ControllerError(f"the schedule names {', '.join(sorted(unknown))}, and the actions are "
                                  f"{', '.join(names)}")
        start = 0.0 if self.config.prices == "absent" else self.config.start
        self.prices, self.strikes = Prices(start, start), 0
        self.scheduled = [name for name, count in self.config.schedule for _ in range(count)]  # and not yet accepted
        self.promises = {action.name: _Promise(whole=action.whole) for action in self.actions}
        self.lost = dict.fromkeys(SPENT, 0.0)  # by rounds that were rolled back
        self.now: Measured | None = None  # after the last round
        self.random = np.random.default_rng([self.config.seed, 83])

    def run(self, state: State, rounds: int, *, save: Callable[[State], object] | None = None) -> State:
        """The state after so many rounds in all, those of the log included, or where nothing can go on: no action is
        ready, or a budget is used up. save(state): called after each round, for a run that goes on after a stop (see
        `memory`). Raises ControllerError for a start below the floor, and after `strikes` rounds in a row whose loss
        is no number."""
        with self.clock.of("run"):
            before = self.now or self._use(self.measure(state, exact=True))
        if self.floor is not None and not before.accuracy >= self.floor:
            raise ControllerError(f"accuracy is {before.accuracy:.4f} at the start, and the floor {self.floor:.4f}: "
                                  "train longer first, or lower the floor")
        while len(self.log) < rounds and (ready := self._ready(state, before)):
            with self.clock.of("run"):
                state, before = self._round(state, before, ready, rounds)
                self.now = before
            if save is not None:
                with self.clock.of("run"):
                    save(state)
        return state

    def memory(self) -> dict:
        """All that the next round depends on beside the state, as JSON holds it: for `remember`."""
        return {"log": self.log, "prices": list(self.prices), "strikes": self.strikes, "lost": self.lost,
                "scheduled": self.scheduled, "now": self.now and list(self.now), "clock": dict(self.clock),
                "promises": {name: asdict(promise) for name, promise in self.promises.items()},
                "random": self.random.bit_generator.state}

    def remember(self, memory: Mapping) -> None:
        """Goes on where `memory` was taken. Raises ControllerError where it is of other actions."""
        if set(memory["promises"]) != set(self.promises):
            raise ControllerError(f"what was saved has the actions {', '.join(memory['promises'])}, and this run "
                                  f"{', '.join(self.promises)}: begin anew in another folder")
        self.log, self.prices = list(memory["log"]), Prices(*memory["prices"])
        self.strikes, self.scheduled, self.lost = memory["strikes"], list(memory["scheduled"]), dict(memory["lost"])
        self.now = memory["now"] and Measured(*memory["now"])
        self.promises = {name: _Promise(**promise) for name, promise in memory["promises"].items()}
        self.random.bit_generator.state = memory["random"]
        self.clock.update(memory["clock"])

    def _round(self, state, before: Measured, ready: list[Action], rounds: int):
        """One transaction: the state and what it measures after it."""
        for action in ready:
            promise = self.promises[action.name]
            if action.guess is not None and not promise.tried:
                self.promises[action.name] = replace(promise, **action.guess(state))
        scores = {action.name: self.promises[action.name].score(self.prices, self.fixed) for action in ready}
        action, number = self._pick(ready, scores, before, rounds), len(self.log) + 1
        promise, exact = self.promises[action.name], action.whole or number % self.config.exact_every == 0
        step = self._affordable(promise, before)
        with self.clock.of("actions"):
            candidate = action.apply(state, step, self.prices)
        after = self._use(self.measure(candidate, exact=exact))
        cost = {name: getattr(after, name) - getattr(before, name) for name in SPENT}
        did = {"loss": after.loss - before.loss, "data": self._used(after, DATA) - self._used(before, DATA),
               "model": self._foreseen(after, action) - self._foreseen(before), **cost}
        broken, value, limit = self._broken(after, cost)
        foreseen = (after.predicted_size, after.size, after.predicted_latency, after.latency)
        if math.isfinite(after.loss):
            promise.learn({**did, "seconds": max(did["seconds"] - self.fixed, 0.0)}, step, self.config.memory)
        self.strikes = 0 if math.isfinite(after.loss) else self.strikes + 1
        if broken:
            promise.taken_back(step, broken, before.accuracy - after.accuracy)
            self.lost = {name: self.lost[name] + cost[name] * (name != "labels" or action.keep is None)
                         for name in SPENT}
            candidate = action.keep(state, candidate) if action.keep else state
            after = before._replace(**{name: getattr(after, name) for name in SPENT})
        else:
            promise.accepted()
            for each in self.promises.values() if self.floor is not None else ():
                each.room(after.accuracy - self.floor)
            if action.name in self.scheduled:
                self.scheduled.remove(action.name)
        self.log.append({
            "round": number, "action": action.name, "step": step, "scores": scores, **did, "accepted": not broken,
            "why": reason(broken, value, limit), "broken": broken, "value": value, "limit": limit, "exact": exact,
            "lambda_data": self.prices.data, "lambda_model": self.prices.model,
            **{name: getattr(after, name) for name in ("accuracy", "size", "latency")},
            **{f"{name}_used": getattr(after, name) for name in SPENT},
            **dict(zip(FORESEEN, foreseen if exact else (None,) * 4, strict=True))})
        if self.strikes >= self.config.strikes:
            raise ControllerError(f"the loss was no number in {self.strikes} rounds in a row, the last time after "
                                  f"{action.name} with a step of {step:g}: lower the learning rate")
        self._reprice(after, rounds)
        return candidate, after

    def _pick(self, ready: list[Action], scores: Mapping[str, float], now: Measured, rounds: int) -> Action:
        """The round's action: one that was not tried yet, one that is due, else by the allocation."""
        draw, shuffled = self.random.random(), self.random.permutation(len(ready))
        if self.config.allocation == "static":
            return self._next_of_schedule(ready)
        untried = [action for action in ready if action.guess is None and not self.promises[action.name].tried]
        if untried or (due := self._due(ready, now, rounds)):
            return untried[0] if untried else due
        if self.config.allocation == "alternate":
            last = {entry["action"]: entry["round"] for entry in self.log}
            return min(ready, key=lambda action: last.get(action.name, 0))
        if self.config.allocation == "random" or draw < self.config.exploration:
            return ready[shuffled[0]]
        values = np.array([scores[action.name] for action in ready])
        return ready[int(np.argmax(values[shuffled] if self.config.allocation == "shuffled" else values))]

    def _next_of_schedule(self, ready: list[Action]) -> Action:
        """The first that the schedule has left and that can work now; after the end its last one goes on."""
        able = {action.name: action for action in ready}
        return able[next((name for name in self.scheduled if name in able), self.config.schedule[-1][0])]

    def _due(self, ready: list[Action], now: Measured, rounds: int) -> Action | None:
        """The action that brings the file within its budgets, where after any other round too little may be left: its
        rounds, and one more in case one of them is taken back."""
        over, promises = self._used(now, MODEL) - 1, self.promises
        able = [action for action in ready if promises[action.name].model < 0]
        if over <= 0 or not able:
            return None
        takes = {name: self.fixed + promise.next("seconds") for name, promise in promises.items()}
        fast = max(able, key=lambda action: -promises[action.name].next("model") / max(takes[action.name], 1e-9))
        steps = math.ceil(over / -promises[fast.name].next("model")) + (not fast.whole)
        seconds = math.inf if self.budgets.seconds is None else self.budgets.seconds - now.seconds
        late = steps * takes[fast.name] + max(takes.values()) >= seconds
        return fast if late or steps >= rounds - len(self.log) - 1 else None

    def _used(self, measured: Measured, names: tuple[str, ...]) -> float:
        """R_data or R_model."""
        return self.budgets.share(measured._asdict(), names)

    def _foreseen(self, measured: Measured, action: Action | None = None) -> float:
        """R_model by the predictors, where there are any; action: that came to it. Milliseconds are foreseen in
        proportion to those of the last export, and so those of a state that was exported are its own; a whole action
        changes their proportion, and is measured."""
        size = measured.size if measured.predicted_size is None else measured.predicted_size
        foreseen = action is not None and not action.whole and measured.predicted_latency is not None
        latency = measured.predicted_latency if foreseen else measured.latency
        return self._used(measured._replace(size=size, latency=latency), MODEL)

    def _ready(self, state, measured: Measured) -> list[Action]:
        """The actions that can work: none of their budgets is used up, what is left of the work pays for their least
        step, and their step is not halved below it. Of a schedule's those that it has left, and its last one."""
        spent = {name for name, limit in self.budgets.limits(SPENT).items() if getattr(measured, name) >= limit}
        failures = [*itertools.takewhile(lambda entry: not entry["accepted"], reversed(self.log))]
        taken_back = {entry["action"]: entry["step"] for entry in reversed(failures)}  # the last step of each
        named = {*self.scheduled, self.config.schedule[-1][0]} if self.config.schedule else {*self.promises}

        def able(action: Action, promise: _Promise) -> bool:
            if action.whole and promise.step <= taken_back.get(action.name, 0.0):
                return False
            least = 1.0 if action.whole else action.least
            return promise.step >= action.least and self._pays(promise, measured) >= least

        return [action for action in self.actions if action.name in named and spent.isdisjoint(action.uses)
                and able(action, self.promises[action.name]) and action.ready(state)]

    def _use(self, measured: Measured) -> Measured:
        """A measurement with what rolled-back rounds spent."""
        return measured._replace(**{name: getattr(measured, name) + self.lost[name] for name in SPENT})

    def _affordable(self, promise: _Promise, before: Measured) -> float:
        """The step that is taken: the action's, or as much of it as what is left of the budgets pays for; of a whole
        one at least a full step."""
        left = [self._pays(promise, before, names) for names in (("labels",), WORK)]
        return max(1.0, min([promise.step, *left])) if promise.whole else min(promise.step, *left, 1.0)

    def _pays(self, promise: _Promise, measured: Measured, names: tuple[str, ...] = WORK) -> float:
        """How many full steps what is left of these budgets pays for."""
        left = [(limit - getattr(measured, name) - self.fixed * (name == "seconds")) / promised
                for name, limit in self.budgets.limits(names).items() if (promised := getattr(promise, name)) > 0]
        return min(left, default=math.inf)

    def _broken(self, after: Measured, cost: Mapping[str, float]) -> tuple[str, float | None, float | None]:
        """What a round broke (`BROKEN`), what it came to, and what is allowed."""
        if not math.isfinite(after.loss):
            return "loss", None, None
        for name, limit in self.budgets.limits(SPENT).items():
            if cost[name] > 0 and getattr(after, name) > limit * (1 + 1e-9):
                return name, getattr(after, name), limit
        if self.config.guard and self.floor is not None and after.accuracy < self.floor:
            return "accuracy", after.accuracy, self.floor
        return "", None, None

    def _reprice(self, now: Measured, rounds: int) -> None:
        """The dual step on λ₁ and λ₂. Projected: where the run ends if it goes on as it went; what it began with is
        there, and is not counted as its pace, nor is what a whole action did, which comes once. How far it is say the
        seconds, or the rounds, whichever end first."""
        if self.config.prices != "adaptive" or rounds == 1:  # after which there is no round to price
            return
        spent = sum(entry["seconds"] for entry in self.log)
        there = self.budgets.seconds - (now.seconds - spent) if self.budgets.seconds else math.inf  # when it began
        done = min(max(len(self.log) / rounds, spent / there), 1 - 1 / rounds)
        ends, once = [], {action.name for action in self.actions if action.whole}
        for names, key in ((DATA, "data"), (MODEL, "model")):
            pace = sum(entry[key] for entry in self.log if entry["action"] not in once
                       and (entry["accepted"] or key == "data"))
            ends.append(self._used(now, names) + pace * (1 - done) / done)
        step = self.config.rate / (1 - done)
        self.prices = Prices(*(
            float(np.clip(price + step * (end - 1), 0, self.config.most)) if self.budgets.limits(names) else price
            for price, end, names in zip(self.prices, ends, (DATA, MODEL), strict=True)))
