"""What the chapter on optimizers compares: the same labels, start and epochs under AdamW, SGD with momentum and LAMB.

`adamw`, `sgd-momentum` and `lamb` train in batches of 32; `adamw-512-linear` and so on in larger ones, at a rate that
one of the RULES makes of that at 32. Rates are tuned by trials with other names; the chapter says how many have records
(`efficiency.rates_tried`):
`python -m seo_core.run arm sgd-momentum --set learning_rate=0.1 --name sgd-momentum-rate-0.1 --labels 8000 …`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seo_core.arms.compression import read_by
from seo_core.checks import above, at_least, check, one_of
from seo_core.lab import Chapter, Lab, Made

RULES = {"none": 0.0, "root": 0.5, "linear": 1.0}  # rate ∝ batch to this power
RATES = {"adamw": 1e-4, "sgd": 1e-2, "lamb": 1e-3}  # at a batch of 32, each the best of its trials
NAMES = {"adamw": "adamw", "sgd": "sgd-momentum", "lamb": "lamb"}
BATCHES, BASE, QUICK_BASE = (32, 128, 512), 32, 8  # the lab's batches under `quick` are a quarter


@dataclass(frozen=True)
class Optimizing:
    """An optimizer, its batch, and its rate: `learning_rate` at a batch of `base`, scaled by the rule."""

    optimizer: str = "adamw"  # of training.OPTIMIZERS
    learning_rate: float = above(0, default=RATES["adamw"])
    batch_size: int = at_least(1, default=BASE)
    rule: str = one_of(tuple(RULES), default="root")
    base: int = at_least(1, default=BASE)

    def __post_init__(self):
        check(self)

    @property
    def rate(self) -> float:
        """The learning rate at this batch."""
        return scaled(self.learning_rate, self.batch_size / self.base, RULES[self.rule])


def scaled(rate: float, times: float, power: float) -> float:
    """The rate of a batch that is so many times as large: η (B / B₀)^p. p = 1 (Goyal et al. 2017): gradients of more
    examples are as many steps in one; p = ½ (Krizhevsky 2014; You et al. 2020): the noise of a step stays as it was;
    p = 0: as it is."""
    return rate * times**power


OPTIMIZERS = Chapter("17_optimizers", budgets=(8000,), layers=3, quick=lambda recipe: replace(
    recipe, batch_size=max(1, recipe.batch_size * QUICK_BASE // BASE), base=QUICK_BASE))


def _training(lab: Lab) -> dict:
    recipe = lab.current.recipe
    return {"optimizer": recipe.optimizer, "learning_rate": recipe.rate, "batch_size": recipe.batch_size,
            "evaluations_per_epoch": 4}


def optimized(lab: Lab, recipe: Optimizing) -> Made:
    """Random labels, from the pre-trained start; with a development curve, whatever their number."""
    return lab.fit(lab.random_rows(), curve=True)


for _optimizer, _rate in RATES.items():
    for _batch in BATCHES:
        for _rule in ("root", "linear") if _batch != BASE else ("root",):
            _name = NAMES[_optimizer] + (f"-{_batch}-{_rule}" if _batch != BASE else "")
            OPTIMIZERS.arm(_name, Optimizing(_optimizer, _rate, _batch, _rule), start="pretrained", training=_training,
                           parameters=read_by, keep=False)(optimized)
