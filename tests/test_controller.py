"""The Synergy Controller, on a made-up problem whose best allocation is known."""

import contextlib
import itertools
import json
import math
import time
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seo_core.controller import (
    BROKEN,
    Action,
    Budgets,
    ControllerConfig,
    ControllerError,
    Measured,
    SynergyController,
    reason,
)

LIMITS = Budgets(labels=3000, seconds=240, size=0.3)
COST = {"buy": 5.0, "train": 8.0, "prune": 4.0, "augment": 12.0}  # seconds of a full step
ROUNDS = 60


class Made(NamedTuple):
    """How much of each action was done, in full steps."""

    buy: float = 0
    train: float = 0
    prune: float = 0
    augment: float = 0


def loss(state: Made) -> float:
    """Labels and training pay less and less, small networks lose more and more, the edits of this task do nothing."""
    return (0.4 + 0.5 * math.exp(-state.buy / 3) + 0.4 * math.exp(-state.train / 5)
            + 0.02 * (math.exp(state.prune / 5) - 1))


def measure(state: Made, exact: bool) -> Measured:
    seconds = sum(COST[name] * amount for name, amount in state._asdict().items())
    return Measured(loss(state), math.exp(-loss(state)), labels=400 * state.buy, seconds=seconds,
                    size=0.85 ** state.prune, latency=0, exact=exact)


def actions() -> list[Action]:
    def act(name):
        return lambda state, step, prices: state._replace(**{name: getattr(state, name) + step})

    uses = {"buy": ("labels", "seconds")}
    return [Action(name, act(name), uses=uses.get(name, ("seconds",))) for name in COST]


def allowed(state: Made) -> bool:
    used = measure(state, True)
    return used.labels <= LIMITS.labels and used.seconds <= LIMITS.seconds and used.size <= LIMITS.size


def best() -> float:
    """The loss of the best allocation in whole steps that keeps every budget."""
    return min(loss(state) for counts in itertools.product(range(9), range(31), range(20))
               if allowed(state := Made(*counts)))


def played(**config) -> tuple[Made, SynergyController]:
    controller = SynergyController(actions(), measure, LIMITS, config=ControllerConfig(**config))
    return controller.run(Made(), ROUNDS), controller


@pytest.fixture(scope="module")
def goal():
    return best()


def test_a_run_of_one_round_ends_well_and_its_state_is_kept():
    kept, controller = [], SynergyController(actions(), measure, LIMITS)
    assert controller.run(Made(), 1, save=kept.append) == kept[0] and len(controller.log) == 1


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_the_known_best_allocation(goal, seed):
    state, controller = played(seed=seed)
    assert allowed(state) and loss(state) < goal + 0.03
    assert sum(entry["seconds"] for entry in controller.log) <= LIMITS.seconds
    assert sum(entry["labels"] for entry in controller.log) <= LIMITS.labels


@pytest.mark.parametrize("config", [{"allocation": "alternate"}, {"allocation": "random"}, {"allocation": "shuffled"},
                                    {"prices": "fixed"}], ids=str)
def test_without_its_scores_or_its_prices_it_does_not(goal, config):
    """Of five runs none that keeps the budgets is as good as the controller's worst, but for one by luck."""
    runs = [played(seed=seed, **config)[0] for seed in range(5)]
    assert sum(allowed(state) and loss(state) < goal + 0.03 for state in runs) <= 1


def test_the_prices_follow_the_budgets():
    """λ₁ rises while labels are bought too fast, λ₂ while the file is projected to end too large; both stay in
    bounds."""
    _, controller = played()
    log = controller.log
    assert log[0]["lambda_data"] == log[0]["lambda_model"] == 0.5
    assert log[1]["lambda_data"] > 0.5  # a seventh of the labels in the first of sixty rounds
    assert log[1]["lambda_model"] > 0.5  # nothing was removed yet
    assert all(0 <= entry[name] <= 5 for entry in log for name in ("lambda_data", "lambda_model"))
    _, fixed = played(prices="fixed")
    assert {entry["lambda_data"] for entry in fixed.log} == {0.5}


class Fragile:
    """Pruning breaks accuracy below a size, and gives no number where it is told to."""

    def __init__(self, broken=()):
        self.broken, self.calls = set(broken), 0

    def prune(self, size, step, prices):
        self.calls += 1
        return math.nan if self.calls in self.broken else size * (1 - 0.4 * step)

    def measure(self, size, exact):
        accuracy = size if math.isnan(size) else min(0.8, 0.4 + size)
        return Measured(1 - accuracy, accuracy, seconds=self.calls, size=size)


def pruned(problem: Fragile, rounds=12, **config):
    controller = SynergyController([Action("prune", problem.prune, uses=("seconds",))], problem.measure,
                                   Budgets(size=0.1), floor=0.7, config=ControllerConfig(**config))
    return controller, controller.run(1.0, rounds)


def test_a_round_that_breaks_the_floor_is_taken_back_and_the_step_halved():
    controller, size = pruned(Fragile())
    assert size >= 0.3 and 0.4 + size >= 0.7  # the floor holds at the end
    back = [entry for entry in controller.log if not entry["accepted"]]
    assert back and all("below the floor 0.7000" in entry["why"] for entry in back)
    assert all(entry["accuracy"] >= 0.7 for entry in controller.log)  # of the state that is kept
    steps = [entry["step"] for entry in controller.log]
    assert steps[0] == 1.0 and min(steps) == 0.125 and len(steps) < 12  # below that the action is not tried again
    reached = (1 - size) / (1 - 0.3)
    assert reached > 0.9  # of what the floor allows


@pytest.mark.parametrize("wins", [0.01, 0.0])
def test_a_step_that_broke_the_floor_is_tried_again_once_there_is_more_room_than_it_took(wins):
    """A full step of pruning costs two points, and one of training wins one back, or none."""
    def measured(state, exact):
        accuracy = 0.7 + wins * state["train"] - 0.02 * state["prune"]
        return Measured(1 - accuracy, accuracy, seconds=state["train"] + state["prune"], size=1 - 0.1 * state["prune"])

    actions = [Action(name, lambda state, step, prices, name=name: {**state, name: state[name] + step},
                      uses=("seconds",)) for name in ("prune", "train")]
    controller = SynergyController(actions, measured, Budgets(seconds=60, size=0.8), floor=0.6901,
                                   config=ControllerConfig(exploration=0.0))
    end = controller.run({"prune": 0.0, "train": 0.0}, 40)
    tried = [entry for entry in controller.log if entry["action"] == "prune"]
    dead = next(i for i, entry in enumerate(tried) if not entry["accepted"] and entry["step"] <= 0.125)
    again = tried[dead + 1:]
    if not wins:  # nothing was won back: it stays where the floor is
        assert not again and end["prune"] == 0.375
        return
    assert end["prune"] > 1 and measured(end, True).accuracy >= 0.6901
    for entry in again:
        before = controller.log[entry["round"] - 2]
        assert before["accuracy"] - 0.6901 > 0.02 * 0.125 or entry["step"] < 0.125
    assert sum(not entry["accepted"] for entry in again) <= len(again) / 2  # and not again and again in vain


def test_without_the_guard_the_floor_falls():
    controller, size = pruned(Fragile(), guard=False)
    assert 0.4 + size < 0.7 and all(entry["accepted"] for entry in controller.log)


def test_a_loss_that_is_no_number_is_taken_back_and_three_in_a_row_stop_the_run():
    controller, size = pruned(Fragile(broken={1}), rounds=3)
    assert not controller.log[0]["accepted"] and controller.log[0]["why"] == "the loss is no number"
    assert controller.log[1]["step"] == 0.5 and math.isfinite(size)
    with pytest.raises(ControllerError, match="in 3 rounds in a row, the last time after prune .* learning rate"):
        pruned(Fragile(broken={1, 2, 3}))


def test_a_rolled_back_round_has_spent_what_it_cost():
    def waste(state, step, prices):
        return state._replace(augment=state.augment + step)

    def broken(state, exact):
        used = measure(state, exact)
        return used._replace(accuracy=0.0) if state.augment else used

    controller = SynergyController([Action("augment", waste, uses=("seconds",))], broken, Budgets(seconds=30),
                                   floor=0.1)
    assert controller.run(Made(), 10) == Made()
    assert [entry["step"] for entry in controller.log] == [1, 0.5, 0.25, 0.125]  # and then it is not tried again
    assert controller.lost["seconds"] == 12 * 1.875


def test_a_budget_that_runs_out_in_the_middle_of_a_round_takes_the_round_back():
    """The third purchase costs five times what the others did, and more than is left: its labels are spent, what they
    brought is not kept, and nothing can be bought any more."""
    def buy(state, step, prices):
        return state._replace(buy=state.buy + step * (5 if state.buy >= 2 else 1))

    controller = SynergyController([Action("buy", buy, uses=("labels",)), actions()[1]], measure,
                                   Budgets(labels=1500, seconds=200), config=ControllerConfig(allocation="alternate"))
    end = controller.run(Made(), 12)
    back = [entry for entry in controller.log if not entry["accepted"]]
    assert [(entry["action"], entry["broken"], entry["why"]) for entry in back] == [
        ("buy", "labels", "2800 labels and a budget of 1500")]
    assert back[0]["value"] == back[0]["labels_used"] == 2800 and back[0]["limit"] == 1500
    assert end.buy == 2 and measure(end, True).labels <= 1500 and controller.lost["labels"] == 2000
    later = controller.log[back[0]["round"]:]
    assert later and {entry["action"] for entry in later} == {"train"} and all(entry["accepted"] for entry in later)


def test_a_time_that_runs_out_in_a_round_is_no_reason_to_keep_it():
    slow = Action("train", lambda state, step, prices: state._replace(train=state.train + 9 * step), uses=("seconds",))
    controller = SynergyController([slow], measure, Budgets(seconds=60))
    assert controller.run(Made(), 5) == Made() and len(controller.log) == 1
    assert controller.log[0]["why"] == reason("seconds", 72.0, 60.0) == "72 seconds and a budget of 60"


def test_what_a_round_broke_is_told_in_numbers_and_in_words():
    controller, _ = pruned(Fragile(broken={1}))
    for entry in controller.log:
        assert entry["broken"] in BROKEN and entry["accepted"] == (entry["broken"] == "")
        assert entry["why"] == reason(entry["broken"], entry["value"], entry["limit"])
    assert {"loss", "accuracy"} <= {entry["broken"] for entry in controller.log}


def test_rounds_with_a_real_export_say_what_was_predicted_too():
    def foreseen(state, exact):
        real = measure(state, exact)
        return real._replace(predicted_size=1.1 * real.size)

    controller = SynergyController(actions(), foreseen, LIMITS, config=ControllerConfig(exact_every=3))
    controller.run(Made(), 9)
    for entry in controller.log:
        if entry["round"] % 3:
            assert not entry["exact"] and entry["predicted_size"] is entry["exact_size"] is None
        else:
            assert entry["exact"] and entry["predicted_size"] == pytest.approx(1.1 * entry["exact_size"])


@given(off=st.floats(-0.2, 0.2), every=st.integers(1, 5), seed=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_what_the_predictors_are_off_changes_no_choice(off, every, seed):
    """Between exports sizes are predicted: no action is credited with the error that shows when one is made."""
    def run(off):
        def foreseen(state, exact):
            real = measure(state, exact)
            predicted = (1 + off) * real.size
            return real._replace(size=real.size if exact else predicted, predicted_size=predicted)

        controller = SynergyController(actions(), foreseen, LIMITS,
                                       config=ControllerConfig(exact_every=every, prices="fixed", seed=seed))
        controller.run(Made(), 20)
        return controller.log

    log = run(off)
    for entry in log:
        assert entry["action"] == "prune" or entry["model"] == 0, "only pruning changes bytes"
        if entry["action"] == "prune" and entry["accepted"]:
            assert entry["model"] < 0


def test_milliseconds_are_those_of_the_last_export_and_no_action_is_credited_with_another_clock():
    """An export says that a batch takes longer than was predicted; pruning in the next round is not blamed for it."""
    times = {"basis": 1.0}

    def timed(state, exact):
        share = 0.85 ** state.prune
        foreseen = times["basis"] * share
        if exact:
            times["basis"] = 1.3  # as the clock of that moment has it
        return measure(state, exact)._replace(latency=times["basis"] * share, predicted_latency=foreseen)

    controller = SynergyController(actions(), timed, Budgets(seconds=240, latency=0.5),
                                   config=ControllerConfig(exact_every=4))
    controller.run(Made(), 16)
    for entry in controller.log:
        assert (entry["model"] < 0) == (entry["action"] == "prune") and (entry["model"] > 0) is False


def test_a_step_that_was_halved_grows_again_ever_later():
    """After two accepted rounds the first time, after four the second: a limit is not run into at every other round."""
    broken = iter([False, True, False, False, True, *[False] * 9])

    def prune(state, step, prices):
        return state._replace(prune=state.prune + step, train=-99 if next(broken) else state.train)

    controller = SynergyController([Action("prune", prune, uses=("seconds",))], lambda s, exact: Measured(
        1.0, 0.0 if s.train < 0 else 0.8, size=0.85 ** s.prune), Budgets(seconds=60, size=0.1), floor=0.5)
    controller.run(Made(), 11)
    assert [entry["step"] for entry in controller.log] == [1, 1, 0.5, 0.5, 1, 0.5, 0.5, 0.5, 0.5, 1, 1]


def test_what_a_round_costs_whatever_its_step_is_told_apart_from_what_the_step_costs():
    """Ten seconds of judging a round, eight for a full step: after a halved step nothing overshoots what is left."""
    broken = iter([False, True, *[False] * 20])

    def train(state, step, prices):
        return Made(train=state.train + step, augment=state.augment + 1, prune=next(broken))

    def judged(state, exact):
        return Measured(loss(state), 0.1 if state.prune else 0.9, seconds=10 * state.augment + 8 * state.train)

    controller = SynergyController([Action("train", train, uses=("seconds",))], judged, Budgets(seconds=100), floor=0.5,
                                   fixed=10.0)
    controller.run(Made(), 20)
    assert [entry["step"] for entry in controller.log][:5] == [1.0, 1.0, 0.5, 0.5, 1.0]
    assert controller.promises["train"].seconds == pytest.approx(8)
    assert not [entry for entry in controller.log if entry["broken"] == "seconds"]
    assert controller.log[-1]["seconds_used"] > 100 - 10 - 8 / 8, "no round that could have been paid for is missing"


def test_labels_of_a_purchase_that_is_taken_back_are_kept_and_counted_once():
    def buy(state, step, prices):
        return state._replace(buy=state.buy + step, train=-5)

    action = Action("buy", buy, uses=("labels", "seconds"), keep=lambda before, after: before._replace(buy=after.buy))
    controller = SynergyController([action], lambda s, exact: Measured(
        1.0, 0.8 if s.train == 0 else 0.1, labels=400 * s.buy, seconds=s.buy), Budgets(labels=1000), floor=0.5)
    end = controller.run(Made(), 6)
    assert not any(entry["accepted"] for entry in controller.log) and end == Made(buy=1 + 1 / 2 + 1 / 4 + 1 / 8)
    assert controller.log[-1]["labels_used"] == 400 * end.buy <= 1000


def test_a_schedule_has_each_of_its_actions_accepted_or_leaves_it_out_and_runs_nothing_else():
    """Pruning fails at a full step, rounding until it recovers four times as long: both come again, in their turn."""
    def prune(state, step, prices):
        return state._replace(prune=state.prune + step, augment=-9 if step > 0.5 else state.augment)

    def round_off(state, step, prices):
        return state._replace(buy=1, augment=-9 if step < 4 else state.augment)

    def other(state, step, prices):
        raise AssertionError("this is not in the schedule")

    config = ControllerConfig("static", schedule=(("prune", 2), ("round", 1), ("train", 1)))
    uses = dict(uses=("seconds",))
    some = [Action("prune", prune, **uses), Action("round", round_off, lambda s: not s.buy, whole=True, **uses),
            Action("train", lambda s, step, prices: s._replace(train=s.train + step), **uses),
            Action("other", other, **uses)]
    controller = SynergyController(some, lambda s, exact: Measured(1.0, 0.8 if s.augment >= 0 else 0.1), Budgets(),
                                   floor=0.5, config=config)
    controller.run(Made(), 11)
    accepted = [entry["action"] for entry in controller.log if entry["accepted"]]
    assert accepted == ["prune", "prune", "round", *["train"] * (len(accepted) - 3)] and len(accepted) > 3


def test_the_clock_tells_the_controller_s_own_time_from_that_of_its_actions():
    def slow(state, step, prices):
        time.sleep(0.02)
        return state._replace(train=state.train + step)

    def judged(state, exact):
        with controller.clock.of("judging"):
            time.sleep(0.01)
        time.sleep(0.002)  # an export
        return measure(state, exact)

    controller = SynergyController([Action("train", slow, uses=("seconds",))], judged, LIMITS)
    controller.run(Made(), 5)
    clock = controller.clock
    assert clock["actions"] >= 0.1 and clock["judging"] >= 0.06 and clock.own >= 0.012
    assert clock.own == pytest.approx(clock["run"] - clock["actions"] - clock["judging"])
    again = SynergyController([Action("train", slow, uses=("seconds",))], judged, LIMITS)
    again.remember(json.loads(json.dumps(controller.memory())))
    assert again.clock == clock


@pytest.mark.parametrize("build, message", [
    (lambda: Budgets(labels=0), "labels must be 1 or more"),
    (lambda: Budgets(size=-1.0), "size must be above 0"),
    (lambda: SynergyController([], measure), "needs actions of different names"),
    (lambda: SynergyController([*actions(), *actions()], measure), "needs actions of different names"),
    (lambda: ControllerConfig(allocation="scores"), "did you mean 'score'"),
    (lambda: SynergyController(actions(), measure, floor=0.99).run(Made(), 5), "train longer first, or lower"),
])
def test_what_cannot_work_is_refused_before_anything_runs(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@given(st.integers(1, 25), st.sampled_from(["score", "random"]))
@settings(max_examples=15, deadline=None)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(stop, allocation):
    whole, first = played(allocation=allocation)
    kept = {}
    controller = SynergyController(actions(), measure, LIMITS, config=ControllerConfig(allocation=allocation))

    def save(state):
        if len(controller.log) == stop:
            kept.update(json.loads(json.dumps({"state": state, "memory": controller.memory()})))
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        controller.run(Made(), ROUNDS, save=save)
    again = SynergyController(actions(), measure, LIMITS, config=ControllerConfig(allocation=allocation))
    again.remember(kept["memory"])
    assert again.run(Made(*kept["state"]), ROUNDS) == whole and again.log == first.log


def test_what_cannot_be_halved_waits_until_another_round_was_accepted():
    """Rounding costs two points, of which training wins one back: it is taken back, and tried again after each."""
    def round_off(state, step, prices):
        return {**state, "rounded": 1, "accuracy": state["accuracy"] - 0.02}

    def train(state, step, prices):
        return {**state, "trained": state["trained"] + step, "accuracy": state["accuracy"] + 0.01 * step}

    def measured(state, exact):
        return Measured(1 - state["accuracy"], state["accuracy"], seconds=state["trained"], size=2 - state["rounded"])

    actions = [Action("round", round_off, lambda s: not s["rounded"], guess=lambda s: {"model": -1.0, "seconds": 1.0},
                      uses=("seconds",), whole=True), Action("train", train, uses=("seconds",))]
    controller = SynergyController(actions, measured, Budgets(seconds=20, size=1), floor=0.695)
    end = controller.run({"rounded": 0, "trained": 0.0, "accuracy": 0.7}, 8)
    first = [(entry["action"], entry["accepted"], entry["step"]) for entry in controller.log[:3]]
    assert end["rounded"] == 1 and ("round", False, 1.0) in first
    for before, entry in itertools.pairwise(controller.log):
        assert not (before["action"] == entry["action"] == "round" and not before["accepted"]
                    and entry["step"] <= before["step"])


@pytest.mark.parametrize("needed", [1, 2, 3, 4, 5])
def test_what_cannot_be_halved_recovers_longer_where_it_fell_below_the_floor(needed):
    """Rounding costs four points less one for each step of recovery: too little brings it below the floor."""
    def round_off(state, step, prices):
        return {"rounded": 1, "spent": state["spent"] + step, "accuracy": 0.7 - 0.01 * max(needed - step, 0)}

    def wait(state, step, prices):
        return {**state, "spent": state["spent"] + step}

    actions = [Action("round", round_off, lambda s: not s["rounded"], guess=lambda s: {"model": -1.0, "seconds": 1.0},
                      uses=("seconds",), whole=True), Action("wait", wait, uses=("seconds",))]
    controller = SynergyController(
        actions, lambda s, exact: Measured(1 - s["accuracy"], s["accuracy"], seconds=s["spent"], size=2 - s["rounded"]),
        Budgets(seconds=60, size=1), floor=0.7, config=ControllerConfig(exploration=0.0))
    end = controller.run({"rounded": 0, "spent": 0.0, "accuracy": 0.7}, 12)
    rounds = [entry for entry in controller.log if entry["action"] == "round"]
    steps = [entry["step"] for entry in rounds]
    assert steps == [1.0, 2.0, *[4.0] * 10][:len(steps)] and end["rounded"] == (needed <= 4)
    assert [entry["accepted"] for entry in rounds] == [step >= needed for step in steps]
    assert all(entry["seconds"] == step for entry, step in zip(rounds, steps, strict=True))
    assert controller.promises["round"].seconds == pytest.approx(1.0), "of one step"


def test_a_whole_action_that_leaves_no_number_or_breaks_a_budget_recovers_no_longer():
    def round_off(state, step, prices):
        return {"spent": state["spent"] + step, "loss": math.nan}

    actions = [Action("round", round_off, guess=lambda s: {"model": -1.0, "seconds": 1.0}, uses=("seconds",),
                      whole=True),
               Action("wait", lambda state, step, prices: {**state, "spent": state["spent"] + step}, uses=("seconds",))]
    controller = SynergyController(actions, lambda s, exact: Measured(s["loss"], 0.7, seconds=s["spent"], size=2),
                                   Budgets(seconds=20, size=1), floor=0.6)
    controller.run({"spent": 0.0, "loss": 0.3}, 6)
    steps = [entry["step"] for entry in controller.log if entry["action"] == "round"]
    assert len(steps) > 1 and set(steps) == {1.0}


def test_what_comes_once_is_no_pace_and_one_round_may_fail_in_the_end():
    """Rounding takes half of the file at once. Were that its pace, the file would be projected below its budget for
    good, and λ₂ be 0 from there on; what is due begins early enough for a round that is taken back."""
    cut = {"quantize": 0.5, "prune": 0.9, "train": 1.0}
    failed = []

    def act(name, state, step, prices):
        size, work, accuracy = state
        if name == "prune" and len(failed) < 1 and size < 0.4:  # the one before the last that is needed
            failed.append(name)
            return size * cut[name], work + 1, 0.1
        return size * cut[name] ** step, work + 1, accuracy

    some = [Action(name, lambda *given, name=name: act(name, *given), whole=name == "quantize", uses=("seconds",),
                   ready=(lambda state: state[0] > 0.6) if name == "quantize" else (lambda state: True))
            for name in cut]
    controller = SynergyController(some, lambda s, exact: Measured(1.0, s[2], seconds=s[1], size=s[0]),
                                   Budgets(size=0.33, seconds=30.0), floor=0.5,
                                   config=ControllerConfig(exploration=0.0))
    size, *_ = controller.run((1.0, 0, 0.8), 30)
    rounded = next(i for i, entry in enumerate(controller.log) if entry["action"] == "quantize")
    assert max(entry["lambda_model"] for entry in controller.log[rounded + 1:]) > 0.5
    assert failed and size <= 0.33
