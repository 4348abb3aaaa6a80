"""What is made for some goals, and how long each stage takes here: told before anything is trained.

The *shape* is how much of the encoder pruning takes away and how many words are kept; bytes follow from it
(`quantization.size`). What is exported in the end is weighed.

A stage's time is its pairs × epochs over the pairs a second of a probe of this machine (`lab.estimate.probe`, ten
seconds of the real network on the real data), times what a step of it costs beside one of plain training.
"""

import json
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from seo_core import files
from seo_core.arms import Lab, Run, known
from seo_core.arms.texts import domain_texts
from seo_core.bench import latency
from seo_core.checks import SettingsError
from seo_core.compress.goals import Goals, clock, spelled
from seo_core.lab.arm import Arm
from seo_core.lab.estimate import EDIT, FORWARD, INTEGERS, PRUNED, probe
from seo_core.machine import default_threads
from seo_core.models.compact import layer_sizes
from seo_core.quantization import CalibrationConfig, ExportConfig, calibrate, coverage, export_onnx, token_counts
from seo_core.quantization.export import OPERATORS, check_classifier
from seo_core.quantization.size import NEURONS, kept_share, most_removed, predicted_bytes, word_bits, word_bytes
from seo_core.settings import PAIRS_SEEN, RunSettings, display_source, resolve_path

LADDER = ("base", "taylor-20", "taylor-40", "taylor-65", "taylor-80")  # arms, by what they prune away; base: nothing
FIRST = "taylor-65"  # lost nothing on MNLI (chapter 13): a larger network is tried only where this one loses too much
STUDENT = "sqd-taylor-65-7bit"  # the arm whose recipe the student is made by, with another shape
COVER = 0.99  # share of the training text's tokens that have to have a word of their own
HEADROOM = 1.15  # on every stage's time: what is promised should hold
TIMED = latency.InferenceConfig(batch_size=1, batches=64, warmup=8, rounds=3)


class PlanError(SettingsError):
    """Goals that no plan can reach; nothing was trained."""


@dataclass(frozen=True)
class Shape:
    """What is left of the network, and what that means."""

    pruned: str  # the arm of pruning
    share: float  # of the encoder's weights that it takes
    words: int
    covered: float  # share of the training text's tokens that are such a word
    bytes: int  # predicted
    ms: float | None = None  # of one text alone: an untrained network of about this shape, measured here

    def __str__(self) -> str:
        speed = "" if self.ms is None else f", {spelled('max_latency', self.ms)} a text"
        gone = f"{self.share:.0%} of the encoder pruned away" if self.share else "nothing pruned away"
        return (f"{gone}, {self.words} words kept ({self.covered:.1%} of the text), int8: "
                f"{spelled('max_size', self.bytes)}{speed}, predicted")


@dataclass(frozen=True)
class Stage:
    """A run that is made on the way."""

    title: str
    arm: Arm
    pairs: int  # that it reads in an epoch
    epochs: float
    work: float  # in pairs that the baseline trains on
    knobs: dict = field(default_factory=dict)
    seconds: float = 0.0  # predicted; 0 where it is done
    done: bool = False
    labels: int | None = None  # that it may buy; None: all are there

    def __str__(self) -> str:
        when = "done before" if self.done else f"about {clock(self.seconds)}"
        return f"{self.title:10s} {self.epochs:g} × {self.pairs} texts, {when}"

    def make(self, lab: Lab) -> Run:
        """The run: found, or made."""
        own = self.arm.recorded_as if self.arm.recorded_as != known(self.arm.name).recorded_as else None
        return lab.arm(self.arm.name, self.labels, self.knobs, recorded_as=own)


@dataclass(frozen=True)
class Plan:
    """A shape, and the stages that make it."""

    shape: Shape
    edits: float  # edited copies of the labelled texts that the student reads too, as a share of these
    epochs: int  # of the student
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """What is left to do, predicted."""
        return sum(stage.seconds for stage in self.stages)

    def __str__(self) -> str:
        return "\n".join([f"plan: {self.shape}", *(f"  {stage}" for stage in self.stages),
                          f"  in all     about {clock(self.seconds)}"])


class Planner:
    """Plans on one ground, for one set of goals. settings: as they were given, before `epochs_of`. operators: of the
    file, as of ExportConfig."""

    def __init__(self, lab: Lab, settings: RunSettings, goals: Goals, operators: str = OPERATORS[0]):
        self.lab, self.settings, self.goals, self.network = lab, settings, goals, lab.network()
        check_classifier(self.network, "compress")
        self.config, self.recipe = self.network.config, known(STUDENT).suited(lab.settings).recipe
        self.exported = {} if operators == OPERATORS[0] else {"operators": operators}
        self.word_bits = word_bits(self.config, self.recipe.embedding_bits)
        self.shapes = self._shapes()

    @cached_property
    def further(self) -> int:
        """How many texts without labels the student reads."""
        return len(domain_texts(self.lab)) if self.lab.settings.unlabelled else 0

    @cached_property
    def speed(self) -> float:
        """Texts a second that the baseline trains on here."""
        return probe(self.lab, 1 if self.lab.quick else 10)

    def _shapes(self) -> list[Shape]:
        """Those of the ladder that fit into the bytes, the largest network first. Raises PlanError where none does."""
        lab, config, most = self.lab, self.config, self.goals.max_size
        least, covered = coverage(lab.tokenizer, token_counts(lab.encoded()))
        fitting, smallest = [], None
        for name in LADDER:
            recipe = known(name).recipe  # of the baseline: None
            share = recipe.share if recipe else 0.0
            if share > most_removed(config, bool(recipe) and "layers" in recipe.kinds):
                continue
            words, row = least + len(covered) - 1, word_bytes(config.hidden_size, self.word_bits)
            empty = predicted_bytes(config, share, 0, positions=lab.settings.max_length, word_bits=self.word_bits,
                                    classes=len(lab.task.labels))
            if most is not None:
                words = min(words, int((most - empty) // row))
            if words >= least:
                fitting.append(Shape(name, share, words, float(covered[words - least]), empty + words * row))
            smallest = empty + least * row
        if not fitting:
            raise PlanError(f"max_size is {spelled('max_size', most)}, and the smallest network that this recipe makes "
                            f"of {display_source(lab.settings.model)} has {spelled('max_size', smallest)}: allow more, "
                            f"lower max_length (now {lab.settings.max_length}), or start from a smaller model")
        return [s for s in fitting if s.covered >= COVER] or [max(fitting, key=lambda s: s.covered)]

    def first(self) -> Shape:
        """The shape to begin with: as small as one that lost nothing, or smaller, where goals ask for it."""
        small = [s for s in self.shapes if s.share >= known(FIRST).recipe.share] or self.shapes[-1:]
        for shape in small:
            if self.goals.max_latency is None:
                return shape
            shape = replace(shape, ms=self.milliseconds(shape))
            if shape.ms <= self.goals.max_latency:
                break
        return shape  # at last the fastest, whether it is fast enough or not: a result is measured, this is a guess

    def larger(self, than: Shape) -> Shape | None:
        """The next larger shape, where it is within the goals."""
        above = [s for s in self.shapes if s.share < than.share]
        if above and self.goals.max_latency is not None:
            above[-1] = replace(above[-1], ms=self.milliseconds(above[-1]))
        return above[-1] if above and (above[-1].ms or 0) <= (self.goals.max_latency or 0) else None

    def milliseconds(self, shape: Shape) -> float:
        """The median of one text alone, of the untrained network with the same share of heads and neurons in each
        layer."""
        from seo_core.pruning.structured import remove

        heads, neurons, _ = layer_sizes(self.config)
        kept = kept_share(self.config, shape.share)
        small = remove(self.network, heads={n: range(max(1, round(kept * h)), h) for n, h in enumerate(heads)},
                       neurons={n: range(max(NEURONS, round(kept * f)), f) for n, f in enumerate(neurons)})
        length, text = self.lab.settings.max_length, self.lab.encoded().take(slice(32))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            scales = calibrate(small, text, CalibrationConfig(examples=32, embedding_bits=self.word_bits))
            config = ExportConfig(embedding_bits=self.word_bits, max_length=length, **self.exported)
            export_onnx(small, path, config, scales=scales, untrained=True)
            return float(timed(self.lab, {"trial": path}).at["trial", "latency_ms_p50"])

    def stages(self, shape: Shape, edits: float, epochs: int, rows: int | None = None) -> tuple[Stage, ...]:
        """The runs of a shape, in order. rows: as if there were so many to train on."""
        lab, n = self.lab, rows or len(self.lab.pool)
        held, decided, kept = (sum(len(lab.task[split]) for split in lab.scored), len(lab.task["acceptance"]),
                               kept_share(self.config, shape.share))
        long = epochs_of(self.settings, n)
        found = [Stage("baseline", known("base"), n, long, n * long + FORWARD * (held + (1 + 4 * long) * decided))]
        if shape.pruned != "base":
            arm = known(shape.pruned).suited(lab.settings)
            work = n * arm.recipe.epochs * (PRUNED[0] + PRUNED[1] * kept) + min(arm.recipe.score_rows, decided)
            found.append(Stage("pruning", arm, n, arm.recipe.epochs, work + FORWARD * (n + held + 3 * decided)))
        knobs = {"pruned": shape.pruned, "vocabulary": shape.words, "source_text": False, "augmented": edits,
                 "epochs": epochs, "embedding_bits": self.word_bits,
                 **({"domain_text": True} if self.further else {}), **self.exported}
        student = known(STUDENT).suited(lab.settings, knobs, STUDENT.replace(FIRST, shape.pruned))
        read = round((1 + edits) * n) + self.further
        work = read * (epochs * (INTEGERS[0] + INTEGERS[1] * kept) + FORWARD) + FORWARD * (held + 3 * decided)
        found.append(Stage("student", student, read, epochs, work + EDIT * edits * n, knobs))
        return tuple(found)

    def plan(self, shape: Shape, edits: float, epochs: int) -> Plan:
        """The stages with their times; those that have a record take none."""
        return Plan(shape, edits, epochs, tuple(map(self.foretold, self.stages(shape, edits, epochs))))

    def foretold(self, stage: Stage) -> Stage:
        """The stage with its time, or as done where it has a record."""
        done = self.lab.find(stage.arm, stage.labels) is not None
        return replace(stage, done=done, seconds=0.0 if done else self.time_of(stage))

    def time_of(self, stage: Stage) -> float:
        return HEADROOM * stage.work / self.speed

    def best(self) -> Plan:
        """The plan for the first shape that teaches the student as much as the time allows: on edits of all texts, of
        half of them, of none, and then for fewer epochs. It is remembered for a run that goes on later. Raises
        PlanError where all of it takes too long, whatever the student reads."""
        memory, long = self._memory(), epochs_of(self.settings, len(self.lab.pool))
        if memory.is_file():
            kept = json.loads(memory.read_text(encoding="utf-8"))
            return self._within([self.plan(Shape(**kept["shape"]), kept["edits"], kept["epochs"])])
        ways = [(1.0, long), (0.5, long), *((0.0, epochs) for epochs in range(long, 0, -1))]
        shape = self.first()
        plan = self._within([self.plan(shape, *way) for way in ways])
        files.write(memory, json.dumps({"shape": asdict(shape), "edits": plan.edits, "epochs": plan.epochs}) + "\n")
        return plan

    def _memory(self) -> Path:
        settings = replace(self.settings, data="", results_dir="").asdict()
        asked = [asdict(self.goals), settings, self.lab.task.fingerprint, *self.exported.values()]
        name = files.digest(asked, length=8)
        return resolve_path(self.settings.results_dir) / self.settings.profile / ".compress" / f"{name}.json"

    def _within(self, plans: list[Plan]) -> Plan:
        """The first that fits into the time."""
        time = self.goals.time
        if fitting := next((plan for plan in plans if time is None or plan.seconds <= time), None):
            return fitting
        least = plans[-1]
        parts = ", ".join(f"{stage.title} {clock(stage.seconds)}" for stage in least.stages)
        raise PlanError(f"this machine needs about {clock(least.seconds)} for the least of it ({parts}), and time is "
                        f"{clock(time)}: give it {clock(1.05 * least.seconds)}{self._fewer(least, time)}")

    def _fewer(self, plan: Plan, time: float) -> str:
        """How many rows would fit, in words."""
        for percent in range(95, 0, -5):
            rows = round(percent / 100 * len(self.lab.pool))
            stages = [(stage.title, self.time_of(stage))
                      for stage in self.stages(plan.shape, plan.edits, plan.epochs, rows)]
            if sum(seconds for _, seconds in stages) <= time:
                parts = ", ".join(f"{title} {clock(seconds)}" for title, seconds in stages)
                return f", or train on {rows} rows, train_rows={rows} ({parts})"
        return ""


def epochs_of(settings: RunSettings, rows: int) -> int:
    """The settings' epochs, or, where these are the profile's and rows are few, as many as make `PAIRS_SEEN` in all."""
    if not settings.is_default("epochs"):
        return settings.epochs
    return max(settings.epochs, -(-PAIRS_SEEN[settings.profile == "quick"] // rows))


def timed(lab: Lab, paths: dict[str, Path]):
    """Exported files by name, in turn, on held-out texts, one at a time: the table of `bench.latency.summarize`, with
    speed_ratio to the first of them."""
    short = {"batches": 8, "rounds": 2, "pause": 0.0} if lab.quick else {}
    config = replace(TIMED, threads=default_threads(), **short)
    contestants = {name: latency.file_contestant(path, threads=config.threads) for name, path in paths.items()}
    turns = latency.measure_on(lab, lab.scored[0], contestants, config)
    return latency.summarize(turns, contestants, baseline=next(iter(paths)))
