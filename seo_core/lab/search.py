"""Hyperparameter search: a grid against a model of what the trials so far have shown.

    trials = search(lab, {"learning_rate": (5e-5, 2e-4), "layers": (4, 6)}, sampler="tpe", trials=12)
    best(trials)                                   # {"learning_rate": 0.00017, "layers": 6}

Bhat and Dharani (2024) search learning rate, batch size and number of layers by grid and by Bayesian optimization, and
give neither space nor number of trials. Here both samplers get the same space and as many trials. The grid takes the
values as they are listed. TPE (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization") draws from the
listed whole numbers, and from all between the smallest and the largest of the listed fractions: it proposes what is
likelier among the good trials than among the others, after a third of them were drawn at random; "random" draws all of
them so, and is its control (Bergstra and Bengio 2012). A trial is judged by accuracy on the acceptance half of the
development slice alone, after each epoch, and one that falls behind is stopped.

Every trial is in a journal (Optuna's), which processes may share, and from which a stopped search goes on: what a dead
process was at is taken over, its trial from the checkpoint, its lock at once. A trial's draw follows from the seed and
its number, so that a stopped search proposes what it would have proposed.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from seo_core import models
from seo_core.checks import SettingsError, check, check_choice, check_number, suggest
from seo_core.files import advice, digest, lock, remove
from seo_core.lab.ground import Lab
from seo_core.lab.run import LabError
from seo_core.results.store import as_recorded
from seo_core.settings import resolve_path

TUNED = ("learning_rate", "batch_size", "layers", "warmup_fraction", "weight_decay")  # the settings that are searched
SAMPLERS, PRUNERS = ("tpe", "grid", "random"), ("median", "halving", "none")
GRACE = 30.0  # seconds after which a lock without a name is a dead process's: a write takes milliseconds


class _Busy(Exception):
    """A lock that another process holds."""


def search(lab: Lab, space: Mapping[str, Sequence], *, sampler: str = "tpe", trials: int = 12, pruner: str = "median",
           rows: int | None = None, epochs: int | None = None, storage: str | Path | None = None,
           measure: Callable[[dict], Sequence[float]] | None = None,
           report: Callable[[str], object] | None = None) -> pd.DataFrame:
    """So many trials of a space, made or found in the journal `storage` (default: one in the results folder, by what it
    is a search of). Returns a row per trial: trial (its number), each setting of the space, accuracy (on the acceptance
    half, after its last epoch), epochs, seconds (of training steps) and state: complete, pruned or diverged.

    space: names among TUNED -> values. rows, epochs: of a trial (default: the whole pool, the settings'). pruner:
    "median" stops what lies below the median of the complete trials at its epoch, "halving" all but the best third at
    epochs 1, 3, 9, "none" nothing; the first third of the trials is never stopped. measure: settings -> accuracy
    after each epoch, in place of a training, to see a sampler at work. report gets a line per trial of this process.
    Ends when all trials have ended, those of other processes too.

    Raises SettingsError for a space, a sampler, a number or a measured accuracy that is none, and LabError for a
    storage of another search, or one that cannot be read or written.
    """
    report = report or lab.report
    settings = replace(lab.settings, epochs=lab.settings.epochs if epochs is None else epochs)
    check(settings, SettingsError)
    space = checked(space, settings)
    check_choice("sampler", sampler, SAMPLERS)
    check_choice("pruner", pruner, PRUNERS)
    check_number("trials", trials, least=1, whole=True)
    if rows is not None:
        check_number("rows", rows, least=1, whole=True)
    points = math.prod(map(len, space.values()))
    if sampler == "grid" and trials > points:
        report(f"the grid has {points} points: {points} trials, not {trials}")
        trials = points
    own = {"measure": measure.__name__} if measure else {}
    about = _identity(lab, settings, space, sampler=sampler, pruner=pruner, rows=rows, **own)
    place = default_storage(lab, about) if storage is None else Path(storage)
    train = measure or lab.encoded().of(lab.random_rows(min(rows or len(lab.pool), len(lab.pool))))
    fresh = max(2, trials // 3)
    with _errors_of(place), _worker(place) as worker:
        study = _open(place, worker, about, pruner, fresh)
        draw = partial(_sampler, sampler, space, settings.seed, fresh)
        while (trial := _next(study, place, worker, draw, space, trials)) is not None:
            (_measure if measure else _make)(lab, settings, study, trial, train, place)
            report(line(_table(study, space, trials).set_index("trial", drop=False).loc[trial.number], trials))
        return _table(study, space, trials)


def checked(space: Mapping[str, Sequence], settings) -> dict[str, tuple]:
    """The space, each setting's values in order. Raises SettingsError where there is nothing to search, for a setting
    that cannot be searched, and for a value that it cannot have."""
    if not space:
        raise SettingsError(f"the search space is empty: give values for one or more of {', '.join(TUNED)}")
    for name, values in space.items():
        if name not in TUNED:
            raise SettingsError(f"{name!r} cannot be searched{suggest(name, TUNED)}")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise SettingsError(f"the search space of {name} must be a list of one value or more, got {values!r}")
        if len(set(values)) < len(values):
            raise SettingsError(f"the search space of {name} has a value twice: {', '.join(map(str, values))}")
        for value in values:
            if value is None:
                raise SettingsError(f"the search space of {name} must hold numbers, got None")
            check(replace(settings, **{name: value}), SettingsError)
    most = models.backbone_config(settings.model).num_hidden_layers
    for value in space.get("layers", ()):
        check_number("layers", value, most=most, unit=f"(the model has {most})")
    return {name: tuple(sorted(space[name])) for name in TUNED if name in space}


def best(trials: pd.DataFrame) -> dict:
    """The settings of the complete trial with the highest accuracy, of equal ones the first. Raises LabError where no
    trial is complete."""
    complete = trials[trials["state"] == "complete"]
    if not len(complete):
        raise LabError("no trial is complete: all diverged or were stopped; lower the learning rates")
    row = complete.loc[complete["accuracy"].idxmax()]
    whole = [name for name in ("batch_size", "layers") if name in trials]
    values = {name: row[name] for name in TUNED if name in trials}
    return {name: int(value) if name in whole else float(value) for name, value in values.items()}


def in_words(values: Mapping) -> str:
    """Settings in one line: "learning_rate 0.0001, layers 4"."""
    return ", ".join(f"{name} {values[name]:.3g}" for name in TUNED if name in values)


def line(row, trials: int) -> str:
    """One trial in a line."""
    after = f"{row['epochs']} epoch{'' if row['epochs'] == 1 else 's'}"
    ended = {"complete": f"{100 * row['accuracy']:.2f}% after {after}",
             "pruned": f"stopped at {100 * row['accuracy']:.2f}% after {after}",
             "diverged": f"diverged after {after}"}[row["state"]]
    return f"trial {row['trial'] + 1} of {trials}: {in_words(row)}: {ended}, {row['seconds']:.0f} s"


def default_storage(lab: Lab, about: Mapping) -> Path:
    """The journal of a search, in the results folder."""
    folder = resolve_path(lab.settings.results_dir) / lab.settings.profile / lab.chapter.id / ".studies"
    return folder / f"{about['sampler']}-{digest(about, length=8)}.journal"


def _identity(lab: Lab, settings, space: Mapping, **options) -> dict:
    """What a search is of; trials of two such never mix. How many there are is no part of it: more can be added."""
    fixed = {name: value for name, value in as_recorded(settings, None).items() if name not in space}
    return {**fixed, "data fingerprint": lab.task.fingerprint, "model fingerprint": models.fingerprint(settings.model),
            **options, "space": {name: list(values) for name, values in space.items()}}


@contextmanager
def _errors_of(place: Path) -> Iterator[None]:
    """What goes wrong with the storage, as one message."""
    try:
        yield
    except OSError as error:
        raise LabError(f"cannot write the search's storage {place}: {advice(error)}") from error
    except (ValueError, KeyError) as error:
        if isinstance(error, (LabError, SettingsError)) or type(error).__module__.startswith("seo_core"):
            raise
        raise LabError(f"the search's storage {place} cannot be read ({error}): give another one with --storage, or "
                       "remove it and begin anew") from error


@contextmanager
def _worker(place: Path) -> Iterator[str]:
    """A name for this process, at work as long as the block lasts: its lock file is held, and where the process dies
    the system frees it."""
    name = uuid.uuid4().hex[:12]
    with lock(_workers(place) / name):
        yield name
    remove(_workers(place) / name)


def _workers(place: Path) -> Path:
    return place.with_name(f".{place.name}.workers")


def _at_work(place: Path, worker: str, own: str) -> bool:
    """Whether the process of that name lives."""
    file = _workers(place) / worker
    if worker == own:
        return True
    if not worker or not file.is_file():
        return False
    try:
        with lock(file, busy=_Busy()):
            return False
    except _Busy:
        return True


def _journal(place: Path, worker: str):
    """Optuna's journal in a file, whose lock a dead process does not keep."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    held = place.with_name(f"{place.name}.lock")

    class OwnedLock(JournalFileOpenLock):
        """The lock file with its holder's name in it."""

        def acquire(self) -> bool:
            with lock(_workers(place) / "lock"):  # one at a time looks whether the holder is dead
                if held.is_file() and _left(place, held, worker):
                    remove(held)
            super().acquire()
            try:
                held.write_text(worker)
                _mend(place)
            except BaseException:
                self.release()
                raise
            return True

    return JournalStorage(JournalFileBackend(str(place), lock_obj=OwnedLock(str(place), grace_period=int(GRACE))))


def _left(place: Path, held: Path, own: str) -> bool:
    """Whether a lock file was left by a process that is dead. One without a name is another program's, or of a process
    that has just made it."""
    holder = held.read_text()
    return not _at_work(place, holder, own) if holder else time.time() - held.stat().st_mtime > GRACE


def _mend(place: Path) -> None:
    """Cuts the half line that a process left which was killed while it wrote: what is appended to it were lost."""
    content = place.read_bytes()
    if content and not content.endswith(b"\n"):
        with open(place, "rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _open(place: Path, worker: str, about: dict, pruner: str, fresh: int):
    """The study in a storage. Raises LabError where it is another one."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruners = {"median": partial(optuna.pruners.MedianPruner, n_startup_trials=fresh), "none": optuna.pruners.NopPruner,
               "halving": partial(optuna.pruners.SuccessiveHalvingPruner, min_resource=1, reduction_factor=3)}
    with lock(_workers(place) / "next"):
        journal = _journal(place, worker)
        known = "search" in optuna.get_all_study_names(journal)
        study = (optuna.load_study if known else partial(optuna.create_study, direction="maximize"))(
            storage=journal, study_name="search", pruner=pruners[pruner]())
        kept = study.user_attrs.get("about")
        if kept is None and not study.get_trials(deepcopy=False):
            study.set_user_attr("about", about)
        elif kept != about:
            other = [f"{name} is {(kept or {}).get(name)!r} there and {about.get(name)!r} here"
                     for name in {**about, **(kept or {})} if (kept or {}).get(name) != about.get(name)]
            raise LabError(f"the storage {place} is that of another search ({'; '.join(other[:2])}): give another one "
                           "with --storage, or remove it and begin anew")
    return study


def _sampler(kind: str, space: Mapping, seed: int, fresh: int, number: int):
    """The sampler of trial `number`: a search that goes on has no random state to bring along."""
    from optuna.samplers import GridSampler, RandomSampler, TPESampler

    if kind == "grid":
        grid = GridSampler(space, seed=seed)
        grid.after_trial = lambda *_: None  # which stops `optimize`; here the number of trials ends it
        return grid
    own = int(np.random.SeedSequence([seed, 83, number]).generate_state(1)[0])
    return RandomSampler(seed=own) if kind == "random" else TPESampler(n_startup_trials=fresh, seed=own)


def _next(study, place: Path, worker: str, draw: Callable, space: Mapping, trials: int):
    """A trial to make: one that a dead process was at, or the next; None when all have ended."""
    import optuna

    while True:
        with lock(_workers(place) / "next"):
            there = study.get_trials(deepcopy=False)[:trials]
            running = [trial for trial in there if trial.state == optuna.trial.TrialState.RUNNING]
            left = [trial for trial in running if not _at_work(place, trial.user_attrs.get("worker", ""), worker)]
            if left or len(there) < trials:
                study.sampler = draw(left[0].number if left else len(there))
                trial = optuna.trial.Trial(study, left[0]._trial_id) if left else study.ask()
                trial.set_user_attr("worker", worker)
                _suggest(trial, study.sampler, space)
                return trial
            if not running:
                return None
        time.sleep(1)  # the others' trials


def _suggest(trial, sampler, space: Mapping) -> None:
    """Gives a trial its settings."""
    from optuna.samplers import GridSampler

    listed = isinstance(sampler, GridSampler)
    for name, values in space.items():
        if listed or isinstance(values[0], int) or len(values) == 1:
            trial.suggest_categorical(name, values)
        else:
            trial.suggest_float(name, values[0], values[-1], log=name == "learning_rate")


def _make(lab: Lab, settings, study, trial, train, place: Path) -> None:
    """Trains a trial, or goes on from its checkpoint, and tells the study."""
    from optuna.trial import TrialState

    from seo_core.training import DivergedError, TrainingConfig, development_curve, fit, identity

    settings = replace(settings, **trial.params)
    config = TrainingConfig.from_settings(settings)
    watch = _Watch(trial)
    saved = place.with_name(f".{place.name}.trials") / f"{trial.number}-{identity(config, train)}-{settings.layers}"
    try:
        trained = fit(replace(lab, settings=settings).network(), train, config=config, callbacks=[watch],
                      development=lab.encoded("acceptance"), checkpoint_dir=None if lab.quick else saved)
        trial.set_user_attr("seconds", trained.metrics["train_seconds"])
        accuracy = development_curve(trained.series)[-1]
        study.tell(trial, **({"state": TrialState.PRUNED} if trained.stopped else {"values": accuracy}))
    except DivergedError:
        trial.set_user_attr("seconds", watch.seconds)
        trial.set_user_attr("diverged", True)
        study.tell(trial, state=TrialState.PRUNED)
    remove(saved)


def _measure(lab: Lab, settings, study, trial, measure: Callable, place: Path) -> None:
    """A trial whose accuracies `measure` gives."""
    from optuna.trial import TrialState

    curve = list(measure(trial.params))
    if not curve or not all(0 <= accuracy <= 1 for accuracy in curve):
        study.tell(trial, state=TrialState.FAIL)
        raise SettingsError(f"measure gave {curve} for {in_words(trial.params)}: it must give an accuracy, from 0 to "
                            "1, after each epoch, and have one epoch or more")
    trial.set_user_attr("seconds", 0.0)
    for epoch, accuracy in enumerate(curve, 1):
        trial.report(accuracy, epoch)
        if epoch < len(curve) and trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return
    study.tell(trial, curve[-1])


@dataclass
class _Watch:
    """A callback of `fit` that reports a trial's accuracy after each epoch, and stops the trial where the study's
    pruner says so; not after its last epoch."""

    trial: object
    seconds: float = 0.0

    def __call__(self, event: str, state) -> bool:
        from seo_core.training import development_curve

        self.seconds = state.seconds
        if event not in ("evaluation", "end"):
            return False
        there = self.trial.study.get_trials(deepcopy=False)[self.trial.number].intermediate_values
        for epoch, accuracy in enumerate(development_curve(state.result.series), 1):
            if epoch not in there:
                self.trial.report(accuracy, epoch)
        return event == "evaluation" and state.step < state.steps and self.trial.should_prune()


def _table(study, space: Mapping, trials: int) -> pd.DataFrame:
    """A row for each of the trials that have ended."""
    rows = []
    for trial in study.get_trials(deepcopy=False)[:trials]:
        if trial.state.is_finished():
            state = "diverged" if trial.user_attrs.get("diverged") else (
                "pruned" if trial.state.name == "PRUNED" else "complete")
            epochs = len(trial.intermediate_values)
            rows.append({"trial": trial.number, **{name: trial.params[name] for name in space},
                         "accuracy": trial.intermediate_values.get(epochs, math.nan), "epochs": epochs,
                         "seconds": trial.user_attrs["seconds"], "state": state})
    return pd.DataFrame(rows)
