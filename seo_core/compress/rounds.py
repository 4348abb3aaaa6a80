"""A compression by the Synergy Controller: rounds under the goals as budgets, in place of a plan of stages.

    compress(settings, Goals(max_size="8MB", max_loss=1.0, time="2h"), "model", controller=True, labels=4000)

The baseline is made first, of all labels, as for the static recipe; it is what the loss is measured against. With all
labels the rounds begin with it (the arm `seo`); with a budget of labels with some of these, bought at random, and
buy the rest themselves (`controller-no-source`). Goals become budgets: bytes, milliseconds of one text alone (a
batch of one), and the time that the baseline leaves. The page then has the front of the networks that the rounds passed
through, each round, why some were taken back, and what the controller took.
"""

import json
from pathlib import Path

from seo_core import files
from seo_core.arms import Lab, known
from seo_core.checks import check_number
from seo_core.compress.goals import Goals, clock, spelled
from seo_core.compress.plan import HEADROOM, Plan, PlanError, Planner, Shape, Stage
from seo_core.lab.estimate import FORWARD, INTEGERS
from seo_core.quantization.size import most_removed, predicted_bytes
from seo_core.settings import RunSettings

ROUNDS = 8  # at least: each action once, and then one by its score; with fewer there is nothing to allocate
NO_SOURCE = "controller-no-source"  # a reader's task has no other one that it could start from
TIMES = 3  # without a goal of time: so many times the baseline's work


class RoundsPlanner(Planner):
    """Plans a run of rounds. labels: how many may be bought; None: all that are there are used."""

    def __init__(self, lab: Lab, settings: RunSettings, goals: Goals, labels: int | None = None):
        super().__init__(lab, settings, goals)
        if labels is not None:
            check_number("labels", labels, least=1, error=PlanError)
            if labels > len(lab.pool):
                raise PlanError(f"a budget of {labels} labels, and there are {len(lab.pool)} rows to train on: lower "
                                "it")
        self.labels, self.arm = labels, NO_SOURCE if labels else "seo"

    def larger(self, than: Shape) -> None:
        """None: how much is taken away is for the rounds to find out."""
        return None

    def best(self) -> Plan:
        """The baseline and the rounds; what these may use is remembered for a call that goes on later. Raises PlanError
        where goals and time leave no room for them."""
        memory, shape = self._memory(), self.first()
        baseline = self.stages(shape, 0.0, 1)[0]
        if memory.is_file():
            knobs = json.loads(memory.read_text(encoding="utf-8"))
        else:
            knobs = self._knobs(shape, baseline)
            files.write(memory, json.dumps(knobs) + "\n")
        arm = known(self.arm).suited(self.lab.settings, knobs, "goals")
        work, n = arm.recipe.work, len(self.lab.pool)
        rounds = Stage("rounds", arm, n, work / n, work, knobs, labels=self.labels)
        return Plan(shape, 0.0, 0, tuple(map(self.foretold, (baseline, rounds))))

    def _knobs(self, shape: Shape, baseline: Stage) -> dict:
        """The goals as budgets of the recipe."""
        lab, recipe, before = self.lab, known(self.arm).suited(self.lab.settings).recipe, self.time_of(baseline)
        least = ROUNDS * (recipe.pairs * sum(INTEGERS) + FORWARD * sum(
            len(lab.task[half]) for half in ("reward", "acceptance")))
        work = TIMES * baseline.work
        if self.goals.time is not None:
            work = (self.goals.time - before) / HEADROOM * self.speed
            if work < least:
                needed = before + HEADROOM * least / self.speed
                raise PlanError(f"this machine needs about {clock(needed)} for the baseline and {ROUNDS} rounds, and "
                                f"time is {clock(self.goals.time)}: give it {clock(1.05 * needed)}, or lower "
                                "train_rows")
        most = min(recipe.most_removed, 0.99 * most_removed(self.config, layers=False))
        size = self.goals.max_size or shape.bytes
        smallest = predicted_bytes(self.config, most, shape.words, positions=lab.settings.max_length,
                                   classes=len(lab.task.labels), word_bits=self.word_bits)
        if smallest > size:
            raise PlanError(f"max_size is {spelled('max_size', size)}, and rounds that take heads and neurons get to "
                            f"about {spelled('max_size', smallest)}: allow more, or leave the controller out")
        return {"size": float(size), "latency": self.goals.max_latency, "seconds": max(work, least) / self.speed,
                "speed": self.speed, "vocabulary": shape.words, "most_removed": most,
                **({} if self.goals.max_loss is None else {"loss": self.goals.max_loss})}

    def _memory(self) -> Path:
        static = super()._memory()
        return static.with_name(f"{static.stem}-rounds-{self.labels or 'all'}.json")
