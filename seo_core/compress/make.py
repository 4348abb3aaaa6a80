"""From labelled texts and goals to an artifact, by the arms of the book."""

import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from seo_core.arms import Lab, Run, open_lab
from seo_core.arms.quantization import exported
from seo_core.checks import check_choice, check_number
from seo_core.compress import page
from seo_core.compress.goals import GOAL_UNITS, Goals, spelled
from seo_core.compress.outcome import BASELINE, STUDENT, Compressed, Try
from seo_core.compress.plan import Plan, Planner, Stage, epochs_of, timed
from seo_core.compress.rounds import RoundsPlanner
from seo_core.data import NLI_TEXTS, DataError, load_task
from seo_core.data.loading import CARVED
from seo_core.deploy import artifact
from seo_core.files import atomic_folder
from seo_core.machine import machine
from seo_core.quantization import ExportConfig, export_onnx
from seo_core.quantization.export import OPERATORS
from seo_core.results.provenance import names_given
from seo_core.settings import KNOBS, NAMES, RunSettings, display_source, resolve_path

CHAPTER = "13_quantization_distillation"  # whose ground it stands on
LEAST_ROWS = 50  # fewer say nothing: of 50, five are held out
Report = Callable[[str], object]


def compress(settings: RunSettings, goals: Goals | None = None, out: str | Path = "model", *, label: str = "label",
             controller: bool = False, labels: int | None = None, operators: str = OPERATORS[0], check: int = 0,
             report: Report = print) -> Compressed:
    """Makes a small classifier of the texts that `settings.data` names, packs it as the folder `out`, and writes the
    page `out`.html beside it. label: the column of the labels. controller: the Synergy Controller's
    rounds in place of the static recipe (see rounds.py), with `labels` labels that it may buy; None: all. operators: of
    the file: "standard" for one that OpenVINO runs too, not with controller. check: so many held-out texts go into the
    artifact, on which `engine="auto"` compares runtimes; by default none does, since your texts may not be for all to
    read.

    The stages are arms of the book: the baseline, what pruning leaves of it with the baseline as its teacher, and a
    student of that shape trained in integers (SQD) on the labelled texts and on edits of them. The plan and its time
    come first, through `report`, one line or a few at a time; then nothing is cut short. Where too much accuracy is
    lost, and goals and time allow, the next larger shape is made. Choices look at a slice of the training rows, never
    at the held-out rows (a validation set, or a tenth that is put aside). Every run has its record in
    `settings.results_dir`, and so has the whole; a call that was stopped goes on from there. Raises PlanError, before
    anything is trained, where no plan reaches the goals; DataError for data that cannot be used; ArtifactError where
    `out` is something else, or cannot be written.
    """
    began, started, goals, out = time.monotonic(), time.time(), goals or Goals(), Path(out).resolve()
    artifact.check_place(out)
    check_choice("operators", operators, OPERATORS[:1] if controller else OPERATORS)
    check_number("check", check, least=0, whole=True)
    given = settings.data
    if label != "label":
        settings = replace(settings, data=_renamed(settings, label))
    lab = ground(settings, report)
    planner = RoundsPlanner(lab, settings, goals, labels) if controller else Planner(lab, settings, goals, operators)
    plan = first = planner.best()
    tries: list[Try] = []
    with tempfile.TemporaryDirectory() as folder:
        while plan is not None:
            report(str(plan))
            runs = [_made(stage, lab, report) for stage in plan.stages]
            if not tries:
                baseline = export_onnx(runs[0].model(), Path(folder) / "base.onnx",
                                       ExportConfig("fp32", embedding_bits=32, max_length=settings.max_length))
            times = timed(lab, {BASELINE: baseline, STUDENT: exported(runs[-1])})
            tries.append(Try(plan.shape, tuple(runs), _loss(runs[0], runs[-1]), times))
            left = None if goals.time is None else goals.time - (time.monotonic() - began)
            plan = _next(planner, plan, tries[-1], left, report)
    chosen = min(tries, key=lambda each: (each.missed(goals), each.loss))
    text = "pair of texts" if len(lab.task.texts) == 2 else "text"
    texts = lab.task[lab.scored[0]].head(check)[list(lab.task.texts)].to_numpy().tolist()
    artifact.pack(chosen.run.path, out, task=f"classification of a {text}, trained on {lab.task.name}.",
                  check=tuple(row if len(row) == 2 else row[0] for row in texts),
                  machine=machine()["cpu"], metrics={"batch_size": 1, **{
                      name: float(chosen.times.at[STUDENT, name]) for name in ("latency_ms_p50", "latency_ms_p95")}})
    made = Compressed(out, out.with_name(f"{out.name}.html"), lab, goals, first, chosen, tuple(tries),
                      time.monotonic() - began)
    more = {"operators": planner.exported.get("operators"), "check": check or None, "labels": labels}
    made.write(started, command(replace(lab.settings, data=given), goals, label, controller, **more))
    page.write(made)
    report(f"\n{made}")
    return made


def ground(settings: RunSettings, report: Report) -> Lab:
    """The lab, where the data is enough to stand on. Raises DataError."""
    quiet = partial(open_lab, CHAPTER, report=report, say=lambda text: None)  # what it says is said here in other words
    lab = quiet(settings)
    epochs = epochs_of(settings, len(lab.pool))
    if epochs != settings.epochs:
        report(f"few rows to train on: {epochs} epochs")
        lab = quiet(replace(settings, epochs=epochs))
    rows = {name: len(frame) for name, frame in lab.task.splits.items()}
    if sum(rows.values()) < LEAST_ROWS:
        raise DataError(f"{lab.task.name} has {sum(rows.values())} usable rows, and {LEAST_ROWS} are the least that a "
                        "result could be measured with: label more")
    present = np.unique(lab.pool["label"])
    if len(present) < 2:
        raise DataError(f"{lab.task.name}: all rows to train on have the label {lab.task.labels[int(present[0])]!r}, "
                        "and a classifier needs two classes: check the label column")
    decided, held = rows["reward"] + rows["acceptance"], sum(rows[split] for split in lab.scored)
    carved = lab.task.report["reason"].str.startswith(CARVED).any()
    held = (f"{held} held out{' (a tenth of all: there is no validation set)' * bool(carved)}"
            if lab.scored == lab.official else "none held out: its official sets are sealed (book/final.yml)")
    report(f"{lab.task.name}: {rows['train']} rows to train on, {decided} to decide by, {held}; "
           f"{len(lab.task.labels)} classes: {', '.join(lab.task.labels)}")
    return lab


def _made(stage: Stage, lab: Lab, report: Report) -> Run:
    if not stage.done:
        report(f"{stage.title} …")
    run = stage.make(lab)
    size = run.metrics.get("size_bytes")
    report(f"{stage.title}: {100 * run.metrics['accuracy_development']:.2f}% on the development rows"
           + (f", {spelled('max_size', size)}" if size else ""))
    return run


def _loss(base: Run, run: Run) -> float:
    return 100 * (base.metrics["accuracy_development"] - run.metrics["accuracy_development"])


def _next(planner: Planner, plan: Plan, last: Try, left: float | None, report: Report) -> Plan | None:
    """The plan for a larger network, where the last one lost too much and there are bytes and time left."""
    goal = planner.goals.max_loss
    if goal is None or last.loss <= goal:
        return None
    said = f"{spelled('max_loss', last.loss)} lost on the development rows, {spelled('max_loss', goal)} allowed"
    shape = planner.larger(last.shape)
    if shape is None:
        report(f"{said}: no larger network is within the goals")
        return None
    larger = planner.plan(shape, plan.edits, plan.epochs)
    if left is not None and larger.seconds > left:
        report(f"{said}: a larger network would take {spelled('time', larger.seconds)}, and there are "
               f"{spelled('time', max(left, 0))} left")
        return None
    report(f"{said}: a larger network is tried")
    return larger


def _renamed(settings: RunSettings, label: str) -> str:
    """The data with its label column under the name "label", as parquet files in the folder of results: what settings
    can name. Raises DataError."""
    task = load_task(settings.data, text=settings.text or NLI_TEXTS, label=label)
    place = resolve_path(settings.results_dir) / "data" / (Path(settings.data).stem or "data")
    with atomic_folder(place) as partial:
        for name, frame in task.splits.items():
            named = frame.assign(label=[task.labels[number] for number in frame["label"]])
            named.to_parquet(partial / f"{name}.parquet", index=False)
    return str(place)


def command(settings: RunSettings, goals: Goals, label: str, controller: bool = False, **more) -> str:
    """The command that makes it again; a local folder appears as `path/to/<name>`."""
    words = ["python", "-m", "seo_core.run", "compress", "--data", display_source(settings.data)]
    words += ["--label", label] * (label != "label") + ["--controller"] * controller
    words += [str(word) for name, value in more.items() if value is not None for word in (f"--{name}", value)]
    for name, unit in GOAL_UNITS.items():
        if (value := getattr(goals, name)) is not None:
            words += [f"--{name.replace('_', '-')}", f"{value:.12g}{unit}"]
    words += names_given(settings)
    for name in KNOBS[len(NAMES):]:
        words += [] if settings.is_default(name) else ["-p", f"{name}={getattr(settings, name)}"]
    return shlex.join([*words, "--profile", settings.profile, "--seed", str(settings.seed), "--out", "model"])
