"""How long chapters take here, told before they start.

Under `quick`, where they take seconds: as long as they took last time. Else what a chapter's arms have no record of is
asked of a lab, which looks at the records and probes this machine (`seo_core.lab.estimate`).
"""

import re
from pathlib import Path

from seo_core import results
from seo_core.checks import first_line
from seo_core.runner import RunnerError
from seo_core.runner.manifest import Manifest
from seo_core.runner.plan import Task
from seo_core.runner.state import Options, Tree, code_of, read_json
from seo_core.settings import RunSettings, load_settings


def expected(manifest: Manifest, due: list[Task], options: Options, jobs: int) -> str:
    """One line: how long the tasks `due` take, so many at once. It never fails: what is not known is said."""
    if not due:
        return "time: seconds: all is up to date"
    try:
        took = {task: last_seconds(Tree(manifest.folder, options.profile), task) for task in due}
        said = _quick(took, jobs) if options.profile == "quick" else _study(manifest, took, options)
    except (ValueError, RuntimeError, OSError) as error:
        said = f"not known ({first_line(error)})"
    return f"time: {said}"


def last_seconds(tree: Tree, task: Task) -> float | None:
    """The seconds that a chapter took the last time, of that seed if there is one; None where it was never complete."""
    own = tree.sidecar(task.chapter.id, task.seed)
    others = sorted(own.parent.glob(f"{task.chapter.id}-seed*.json"), key=lambda path: path.stat().st_mtime)
    states = map(read_json, [own, *reversed(others)])
    return next((state["seconds"] for state in states if state.get("status") == "complete"), None)


def recorded(manifest: Manifest) -> dict[str, str]:
    """What the arms of each chapter, or its benchmark, took under `cpu`, one after the other and for one seed, as the
    records in the book say; "" where none does. Chapter → words. Raises RunnerError for a record that is damaged."""
    from seo_core.lab.estimate import Past

    past = Past(load_settings("cpu", results_dir=str(results.reference_dir())))  # no records of this clone's
    try:
        return {chapter.id: _recorded(chapter, past) for chapter in manifest.chapters}
    except results.ResultsError as error:
        raise RunnerError(f"the page on the book's state reads the records: {error}") from None


def _recorded(chapter, past) -> str:
    from seo_core.arms import ARMS
    from seo_core.lab.estimate import Due, Estimate, estimate, in_words

    runs = [Due(arm, labels, 0) for arm in ARMS.values() if arm.chapter.id == chapter.id and arm.alone
            for labels in arm.at(None, "cpu")]
    took = estimate(runs, past)
    if not runs:
        times = past.of_experiments(chapter.outputs)
        took = Estimate(sum(times), sum(times), len(times))
    parts = [f"{in_words(took.low, took.high)} for {took.known} run{'s' * (took.known != 1)}"] * bool(took.known)
    return ", ".join(parts + [f"{len(took.unknown)} not run yet"] * bool(took.unknown))


def _quick(took: dict[Task, float | None], jobs: int) -> str:
    from seo_core.lab.estimate import in_words

    known, jobs = [seconds for seconds in took.values() if seconds], min(jobs, len(took))
    said = [f"{in_words(max([sum(known) / jobs, *known]), sum(known))} here, as last time"] if known else []
    new = dict.fromkeys(task.chapter.id for task, seconds in took.items() if not seconds)
    unknown = [f"not known for {', '.join(new)}: not run here yet, under quick it takes seconds"] * bool(new)
    return "; ".join(said + unknown)


def _study(manifest: Manifest, took: dict[Task, float | None], options: Options) -> str:
    """Of chapters with arms what these take, of others the last time, or what their record says."""
    from seo_core.arms import ARMS, open_lab
    from seo_core.lab.estimate import Estimate, Past, due, estimate

    settings, seeds = options.settings(), {}
    for task in took:
        seeds.setdefault(task.chapter, []).append(task.seed)
    wanted = {chapter: _wanted(manifest.notebook(chapter.id), chapter.id, settings, ARMS) for chapter in seeds}
    lab = next((open_lab(chapter.id, settings) for chapter, arms in wanted.items() if arms), None)
    past, total = Past(settings, lab), Estimate()
    for chapter, arms in wanted.items():
        if arms:
            total += estimate(due(lab, arms, seeds[chapter])[1], past)
        else:
            times = [seconds for task, seconds in took.items() if task.chapter == chapter and seconds]
            times = times or past.of_experiments(chapter.outputs)
            total += Estimate(sum(times), sum(times), len(times), () if times else (chapter.id,), past.where)
    return str(total)


def _wanted(notebook: Path, chapter: str, settings: RunSettings, arms: dict) -> list[tuple]:
    """(arm, labels) that a chapter makes: all of its arms, or those alone that its cells name."""
    code = code_of(notebook)
    every = re.search(r"\blab\.(run\(|arm\(\w)", code)  # lab.arm(name) for name in …
    named = set(re.findall(r"\blab\.arm\(\"([\w-]+)\"", code))
    chosen = [arm for arm in arms.values() if arm.chapter.id == chapter and arm.alone and not arm.lacks(settings)
              and (every or arm.name in named)]
    return [(arm.suited(settings), labels) for arm in chosen for labels in arm.at(None, settings.profile)]
