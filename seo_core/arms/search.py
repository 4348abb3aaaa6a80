"""The baseline with searched hyperparameters: learning rate, batch size and number of layers.

`python -m seo_core.run search` makes the trials alone; the arm finds them, or makes them, and trains the winner on all
pairs. Its record has every trial.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from seo_core.arms.compression import checkpoint, fine_tune, recorded
from seo_core.checks import SettingsError, at_least, check, one_of
from seo_core.lab import Chapter, Lab, Made
from seo_core.lab.search import PRUNERS, SAMPLERS, TUNED, best, search

STATES = ("complete", "pruned", "diverged")  # as numbers in a record: their positions here


@dataclass(frozen=True)
class Search:
    """What is searched, and how; of a setting without values the profile's is taken."""

    sampler: str = one_of(SAMPLERS, default="tpe")
    trials: int = at_least(1, default=12)  # both samplers get as many: the grid's points
    pruner: str = one_of(PRUNERS, default="median")
    rows: int | None = at_least(1, default=8000)  # pairs that a trial trains on; the winner is trained on all
    epochs: int | None = at_least(1, default=None)  # of a trial; None: the settings'
    learning_rate: tuple[float, ...] = (5e-5, 1e-4, 2e-4)  # the profile's, half and twice as much
    batch_size: tuple[int, ...] = (16, 32)
    layers: tuple[int, ...] = (4, 6)
    warmup_fraction: tuple[float, ...] = ()
    weight_decay: tuple[float, ...] = ()

    def __post_init__(self):
        check(self, SettingsError)

    @property
    def space(self) -> dict[str, tuple]:
        """The settings that have values."""
        return {name: tuple(getattr(self, name)) for name in TUNED if getattr(self, name)}


def _short(recipe):
    """For `quick`: six trials of a second or two, at rates at which so few steps of one layer learn something."""
    small = dict(trials=6, rows=384, epochs=2, learning_rate=(2e-4, 8e-4), batch_size=(8, 16), layers=(1, 2))
    return replace(recipe, **small) if isinstance(recipe, Search) else recipe


SEARCH = Chapter("18_hyperparameter_search", ground="headline", layers=1, quick=_short)


def trials_of(lab: Lab, recipe: Search, storage: str | Path | None = None) -> pd.DataFrame:
    """The trials of a recipe, as `lab.search.search` returns them."""
    return search(lab, recipe.space, sampler=recipe.sampler, trials=recipe.trials, pruner=recipe.pruner,
                  rows=recipe.rows, epochs=recipe.epochs, storage=storage)


_COMMON = dict(logits=True, **recorded(""))


@SEARCH.arm("search-grid", Search(sampler="grid"), **_COMMON)
@SEARCH.arm("search-random", Search(sampler="random"), **_COMMON)
@SEARCH.arm("search-tpe", Search(), recorded_as="tuned", **_COMMON)  # as the paper's claim on metrics is judged by
def searched(lab: Lab, recipe: Search) -> Made:
    """The best of so many trials, trained on all training pairs. The trials see the development slice alone."""
    trials = trials_of(lab, recipe)
    values = best(trials)
    tuned = replace(lab, settings=replace(lab.settings, **values))
    model = tuned.network()
    trained = fine_tune(tuned, model, checkpoint(lab, recipe), development=lab.encoded("acceptance"))
    metrics = {**trained.metrics, **{f"best_{name}": value for name, value in values.items()}, "trials": len(trials),
               "trials_pruned": int((trials["state"] == "pruned").sum()),
               "search_seconds": trials["seconds"].sum(), "search_best": trials["accuracy"].max()}
    states = trials["state"].map(STATES.index)
    series = {f"trial_{name}": list(values) for name, values in trials.assign(state=states).items() if name != "trial"}
    return Made(model, metrics, {**trained.series, **series})


def recorded_trials(record: dict) -> pd.DataFrame:
    """The trials that a record holds, as `trials_of` returned them."""
    columns = {name.removeprefix("trial_"): values for name, values in record["series"].items()
               if name.startswith("trial_")}
    frame = pd.DataFrame(columns)
    return frame.assign(trial=range(len(frame)), state=[STATES[int(state)] for state in frame["state"]])
