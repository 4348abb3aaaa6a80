"""Arms: what is compared. A name, a recipe, a function, and what it needs, as data.

    SEMI = Chapter("08_semi_supervised", budgets=(500, 2000))

    @SEMI.arm("ssl", SelfTraining(views=VIEWS), needs="supervised", training={"epochs": 2})
    def self_training(lab: Lab, recipe: SelfTraining, teacher: Run) -> Made: ...

    known("ssl"), steps("ssl", 2000)                 # the arm; every run that it needs, in the order of making them

The function is called where the run has no record yet, with a lab that is bound to the arm and the number of labels,
the recipe, and a run for each of its `needs`, from which order of work, `--dry-run`, costs and "made from" are read.
"""

from __future__ import annotations

import difflib
import graphlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from seo_core.checks import check_known, suggest
from seo_core.lab.knobs import with_knobs
from seo_core.lab.run import LabError

BUDGETS = (1000, 2000, 4000, 8000)  # labels; and under `quick`:
QUICK_BUDGETS = (64, 96, 128)
STARTS = ("pretrained", "scratch", "source")
ARMS: dict[str, Arm] = {}  # every arm by its name, in the order of declaration
CHAPTERS: dict[str, Chapter] = {}  # those that declare arms, by id


def budgets_of(profile: str) -> tuple[int, ...]:
    """The numbers of labels at which labels are bought."""
    return QUICK_BUDGETS if profile == "quick" else BUDGETS


@dataclass(frozen=True)
class Need:
    """Another arm's run that an arm cannot do without."""

    arm: str
    labels: str = "same"  # as many as the arm has; or half, or before: the budget before
    rows_only: bool = False  # only the pairs that it bought, not the training on them, which is no cost of the arm then

    def budget(self, labels: int | None, budgets: tuple[int, ...]) -> int | None:
        """How many labels the needed run has, where the arm has so many."""
        if labels is None or self.labels == "same":
            return labels
        return labels // 2 if self.labels == "half" else max((b for b in budgets if b < labels), default=budgets[0])


@dataclass(frozen=True, eq=False)
class Arm:
    """One thing to compare."""

    name: str
    chapter: Chapter  # that compares it
    make: Callable  # make(lab, recipe, *runs) -> Made
    recipe: object = None  # a flat frozen dataclass, or None
    always: tuple[Need, ...] = ()  # what it needs whatever the recipe
    budgets: tuple[int, ...] = ()  # numbers of labels at which its chapter runs it; (): only where another needs it
    start: str | None = None  # what training begins from: pretrained | scratch | source; None: makes its own network
    training: Mapping | Callable = field(default_factory=dict)  # fields of TrainingConfig to change; or lab -> them
    counted: Callable = lambda lab, labels: labels  # pairs that it trains on, where it is asked for so many labels
    parameters: Callable = lambda lab, recipe: {}  # what goes into the record beside the settings
    recorded_as: str = ""  # the configuration's name in the record; default: the arm's
    home: str = ""  # the experiment whose folder has its records; default: the chapter's id
    earlier: tuple[str, ...] = ()  # experiments where older records of it lie
    checkpoints: Callable = lambda lab, recipe: ()  # folders that are removed when its record is written
    keep: bool = True  # whether its weights are kept
    logits: bool = False  # whether its predictions are kept as logits too
    first: str | None = None  # the arm whose run it is at the smallest budget (where all buy at random)
    ratio: tuple[int, ...] | None = None  # of the classes in its pool, where it is not as the data has them
    resource: Callable = lambda: None  # why it cannot run here, or None
    scored: Callable = lambda labels, quick: 0  # pairs that are scored and not trained on, apart from ADA's own

    @property
    def needs(self) -> tuple[Need, ...]:
        """The runs without which it cannot be made, in the order in which its function takes them."""
        return (*self.always, *map(Need, self.chapter.recipe_needs(self.recipe)))

    @property
    def alone(self) -> bool:
        """Whether its chapter runs it: else it is made where another arm needs it."""
        return bool(self.budgets) or self.chapter.ground == "headline"

    def at(self, labels: Iterable[int] | None, profile: str) -> Iterable[int | None]:
        """The numbers of labels at which it runs: those asked for, or its own; under `quick` the largest budget. Raises
        LabError where some are asked for and it runs in the headline setting."""
        if self.chapter.ground == "headline":
            if labels:
                raise LabError(f"{self.name} runs in the headline setting, on the labels that its recipe says, most "
                               "often all: leave --labels out, or use less data (-p train_rows=N)")
            return (None,)
        if self.budgets == (0,):  # it buys none
            return self.budgets
        return labels or (QUICK_BUDGETS[-1:] if profile == "quick" else self.budgets)

    def lacks(self, settings) -> str | None:
        """Why it cannot run here, as these settings are, or None."""
        if getattr(self.recipe, "domain_text", False) and not settings.unlabelled:
            return "it reads further texts: say which with --unlabelled PATH"
        return self.resource()

    def suited(self, settings, knobs: Mapping | None = None, recorded_as: str | None = None) -> Arm:
        """The arm as it is run: short under `quick`, with `knobs` in place of some fields of its recipe, checked.
        Raises LabError for a knob that the recipe lacks, and ValueError for a value that it refuses."""
        recipe = self.chapter.quick(self.recipe) if settings.profile == "quick" else self.recipe
        recipe = with_knobs(recipe, knobs)
        self.chapter.check(recipe, settings)
        return replace(self, recipe=recipe, recorded_as=recorded_as or self.recorded_as)


@dataclass(frozen=True)
class Chapter:
    """A chapter that compares arms."""

    id: str
    budgets: tuple[int, ...] = ()  # the numbers of labels at which its arms run
    # labels: pool and budgets, epochs by the number of labels, at most 4 000 pairs of each official set; or headline:
    # all training pairs of the profile, the whole official sets
    ground: str = "labels"
    kind: str = "classification"  # of the task; another kind has a ground of its own, of other data
    scores: bool = False  # whether its arms also learn scores (a regression); else such data is refused
    layers: int | None = None  # of the network under `quick`, where none of the checks rests on what it learned
    recipe_needs: Callable = lambda recipe: ()  # names of the arms that a recipe of this chapter speaks of
    quick: Callable = lambda recipe: recipe  # a recipe -> a shorter one, for `quick`
    check: Callable = lambda recipe, settings: None  # raises ValueError where a recipe does not suit the settings

    @property
    def arms(self) -> dict[str, Arm]:
        """Its arms by name, of this kind of task, in the order of declaration."""
        return {name: arm for name, arm in ARMS.items() if (arm.chapter.id, arm.chapter.kind) == (self.id, self.kind)}

    def arm(self, name: str, recipe=None, *, needs: str | Need | Iterable = (), budgets: tuple[int, ...] | None = None,
            **options) -> Callable:
        """Declares an arm: a decorator for its function, which is returned as it is. Raises LabError for a name that
        another arm has, and for a start that is none."""
        needs = (needs,) if isinstance(needs, (str, Need)) else tuple(needs)
        wanted = tuple(need if isinstance(need, Need) else Need(need) for need in needs)

        def declare(function: Callable) -> Callable:
            arm = Arm(name, self, function, recipe, wanted, self.budgets if budgets is None else budgets,
                      **{"recorded_as": name, "home": self.id, **options})
            if name in ARMS:
                raise LabError(f"two arms are named {name!r}: in {ARMS[name].chapter.id} and in {self.id}")
            if arm.start is not None:
                check_known("start", arm.start, STARTS, LabError, where=f"arm {name!r}: ")
            ARMS[name] = arm
            CHAPTERS.setdefault(self.id, self)  # its first kind of task is the one meant by the id alone
            return function

        return declare


def known(name: str, chapter: Chapter | None = None) -> Arm:
    """The arm of that name, of the chapter where one is given. Raises LabError with the nearest name."""
    arms = ARMS if chapter is None else chapter.arms
    if name not in arms:
        where = "unknown arm" if chapter is None else f"{chapter.id} has no arm"
        raise LabError(f"{where} {name!r}{_suggest_near(name, arms)}")
    return arms[name]


def _suggest_near(name: str, names: Iterable[str]) -> str:
    """`checks.suggest`, which of many names lists the near ones only."""
    names = list(names)
    return suggest(name, len(names) > 20 and difflib.get_close_matches(name, names, n=8, cutoff=0.4) or names)


def recorded(configuration: str) -> Arm:
    """The arm whose records have that configuration; of several, the first declared for numbers of labels. Raises
    LabError."""
    fitting = [arm for arm in ARMS.values() if arm.recorded_as == configuration]
    if not fitting:
        raise LabError(f"no arm has records named {configuration!r}"
                       f"{_suggest_near(configuration, {arm.recorded_as for arm in ARMS.values()})}")
    return min(fitting, key=lambda arm: arm.chapter.ground != "labels")


def check_arms() -> None:
    """Raises LabError for an arm that needs one which does not exist, needs itself, directly or through others, or has
    records that could be taken for another arm's."""
    for arm in ARMS.values():
        for need in arm.needs:
            if need.arm not in ARMS:
                raise LabError(f"arm {arm.name!r} needs {need.arm!r}, which is no arm{_suggest_near(need.arm, ARMS)}")
    graph = {name: [need.arm for need in arm.needs if need.labels != "before"]  # each budget is another run
             for name, arm in ARMS.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise LabError("arms need each other in a circle: " + " -> ".join(error.args[1][::-1])) from None
    places: dict[tuple, str] = {}
    for arm in ARMS.values():
        other = places.setdefault((arm.home, arm.recorded_as), arm.name)
        if other != arm.name:
            raise LabError(f"a record {arm.recorded_as!r} of {arm.home} would fit two arms, {other!r} and "
                           f"{arm.name!r}: give one of them another recorded_as")


def steps(name: str, labels: int | None = None, budgets: tuple[int, ...] = BUDGETS) -> list[tuple[Arm, int | None]]:
    """The runs (arm, labels) without which this one could not be made, in the order of making them; itself is last. A
    run of which only the bought pairs are needed is left out, what it needs itself is not. Raises LabError."""
    arm = known(name)
    if arm.first and labels is not None and labels <= budgets[0]:
        return steps(arm.first, labels, budgets)
    before: list[tuple[Arm, int | None]] = []
    if arm.start == "source":
        before += steps("source", 0, budgets)
    for need in arm.needs:
        needed = steps(need.arm, need.budget(labels, budgets), budgets)
        before += needed[:-1] if need.rows_only else needed
    return [*dict.fromkeys(before), (arm, labels)]
