"""Active learning and TAL: labels bought round by round, and trained on anew.

    runs = until_plateau(lab, "hybrid", (1000, 2000, 4000))      # the papers' stopping rule

Every arm starts from the source task and has the same loss L_TL = cross-entropy + L2-SP pull; those from scratch have
neither. The first budget is bought at random, the same pairs in every arm. In each later round a fresh sample of the
pool, its labels hidden, is scored by the model of the round before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from seo_core import results
from seo_core.arms.transfer import BETA, FROM_SCRATCH, transfer_loss
from seo_core.checks import whole_number
from seo_core.lab import BUDGETS, Chapter, Lab, LabError, Made, Need, Run
from seo_core.selection import TransferActiveConfig, TransferActiveLearning, plateau, select
from seo_core.selection.loss_prediction import LossPredictionConfig, buy_by_loss
from seo_core.selection.maps import PurchaseMap
from seo_core.settings import resolve_path

ACTIVE = Chapter("06_active_learning", budgets=BUDGETS, layers=3)
COMBINED = Chapter("07_transfer_active_learning", budgets=BUDGETS, layers=3)
CANDIDATES, QUICK_CANDIDATES = 8000, 256  # unlabelled pairs scored in a round, and under `quick`
QUICK_UNLABELLED = 256  # pairs of TAL's second term under `quick`
STRATEGIES = ("random", "entropy", "badge", "hybrid", "margin", "least_confidence", "bald", "hybrid_text")
MAP_EPOCHS = (4, 2)  # values behind each pair's variability, of which two are the least; and under `quick`
PASSES = {"bald": 5}  # of MC dropout over the candidates
LIMITED = (8, 1, 1)  # the imbalanced setting: entailment, neutral, contradiction


@dataclass(frozen=True)
class Purchase:
    """How labels are bought."""

    strategy: str = "random"
    pull: bool = True  # L2-SP towards the source task's weights


def bought_at_random(lab: Lab, recipe: Purchase) -> Made:
    """Random labels: the control at every number of labels, and everybody's first round."""
    return lab.fit(lab.random_rows(), loss=transfer_loss if recipe.pull else None)


def bought_by(lab: Lab, recipe: Purchase, before: Run) -> Made:
    """One more round: what the model of the round before chooses is bought, and all is trained on anew."""
    rounds = sum(budget < lab.budget for budget in lab.budgets)
    rows = np.concatenate([before.rows, buy(lab, recipe.strategy, before, rounds)])
    return lab.fit(rows, loss=transfer_loss if recipe.pull else None)


def buy(lab: Lab, strategy: str, before: Run, number: int) -> np.ndarray:
    """Pool positions of the pairs that raise the labels of `before` to the lab's, chosen by its model."""
    model = before.model()
    candidates = lab.candidates(before.rows, number, candidates_scored(lab.labels, lab.quick))
    rng = np.random.default_rng([lab.settings.seed, 59, number])
    picked = select(strategy, model, lab.sealed.take(candidates), lab.labels - len(before.rows), rng)
    return candidates[picked]


def bought_by_loss(lab: Lab, recipe: LossPredictionConfig, before: Run) -> Made:
    """As `bought_by`, by a head that predicts the loss: see `seo_core.selection.loss_prediction`."""
    number = sum(budget < lab.budget for budget in lab.budgets)
    candidates = lab.candidates(before.rows, number, candidates_scored(lab.labels, lab.quick))
    picked = buy_by_loss(before.model(), lab.encoded().take(before.rows), lab.sealed.take(candidates),
                         lab.labels - len(before.rows), np.random.default_rng([lab.settings.seed, 59, number]),
                         config=recipe, seed=lab.settings.seed)
    return lab.fit(np.concatenate([before.rows, candidates[picked]]), loss=transfer_loss)


def candidates_scored(labels: int, quick: bool, passes: int = 1) -> int:
    """How many pairs a round scores."""
    return (QUICK_CANDIDATES if quick else CANDIDATES) * passes


def _declare(chapter: Chapter, strategy: str, suffix: str = "", *, pull: bool = True, **options) -> None:
    """The arm that buys by a strategy; its records lie with the chapter on active learning."""
    name, recipe, options = f"{strategy}{suffix}", Purchase(strategy, pull), {"home": ACTIVE.id, **options}
    if strategy == "random":
        chapter.arm(name, recipe, **options)(bought_at_random)
    else:
        chapter.arm(name, recipe, needs=Need(name, "before"), first=f"random{suffix}",
                    scored=partial(candidates_scored, passes=PASSES.get(strategy, 1)), **options)(bought_by)


for _strategy in STRATEGIES:
    _declare(ACTIVE, _strategy, start="source")


# a reading of L_AL as a learned criterion; the same rounds, candidates and training as the others
ACTIVE.arm("loss-prediction", LossPredictionConfig(), needs=Need("loss-prediction", "before"), first="random",
           start="source", budgets=(2000,), scored=candidates_scored,
           parameters=lambda lab, recipe: {"loss_prediction": recipe})(bought_by_loss)


@ACTIVE.arm("al", needs=Need("supervised", "half"), start="pretrained", budgets=(8000,), keep=False,
            scored=candidates_scored)
def bought_once(lab: Lab, recipe: None, before: Run) -> Made:
    """Active learning alone, without a source task: half of the labels at random, the other half by `hybrid`."""
    return lab.fit(np.concatenate([before.rows, buy(lab, "hybrid", before, 1)]))


def purchases(lab: Lab, labels: int) -> dict[str, np.ndarray]:
    """Strategy -> (labels,) pool positions that it bought with so many labels, by the records of this seed and data.
    Those of the results folder, and the committed ones. Raises LabError where the control has none."""
    folders = [folder / lab.settings.profile / ACTIVE.id
               for folder in (resolve_path(lab.settings.results_dir), results.reference_dir())]
    bought: dict[str, np.ndarray] = {}
    for record in results.load_records(*folders):
        fits = (record["configuration"] in STRATEGIES and record["seed"] == lab.settings.seed
                and record["metrics"].get("labels") == labels
                and record["data"]["fingerprint"] == lab.task.fingerprint)
        if fits and record["configuration"] not in bought:
            bought[record["configuration"]] = results.predictions(record["path"])["bought"].astype(np.int64)
    if "random" not in bought:
        raise LabError(f"no record of 'random' with {labels} labels for seed {lab.settings.seed}: run the arms "
                       "that are to be on the map first")
    return dict(sorted(bought.items()))


def _all_bought(lab: Lab, labels: int) -> np.ndarray:
    return np.unique(np.concatenate(list(purchases(lab, labels).values())))


@ACTIVE.arm("data-map", start="source", budgets=(8000,), keep=False,
            training=lambda lab: {"epochs": MAP_EPOCHS[lab.quick]},
            counted=lambda lab, labels: len(_all_bought(lab, labels)),
            parameters=lambda lab, recipe: {"arms": list(purchases(lab, lab.budget)), "bought": lab.budget})
def data_map(lab: Lab, recipe: None) -> Made:
    """A run over all pairs that any recorded arm bought: where what each *chose* lies on the data map. The first
    budget, which every arm bought at random, is trained on too, but is no choice and not counted."""
    rows, begin = _all_bought(lab, lab.budget), lab.budgets[0]
    chosen = {name: np.searchsorted(rows, bought[begin:]) for name, bought in purchases(lab, lab.budget).items()}
    return lab.fit(rows, loss=transfer_loss, watch=PurchaseMap(lab.encoded().take(rows), chosen))


def tal_config(lab: Lab, recipe: TransferActiveConfig) -> TransferActiveConfig:
    """The recipe, with few unlabelled pairs under `quick`."""
    return replace(recipe, unlabelled_rows=QUICK_UNLABELLED) if lab.quick else recipe


def with_term(lab: Lab, recipe: TransferActiveConfig, bought: Run) -> Made:
    """The labels that `hybrid` bought, with equation (2)'s term on what it did not buy; λ = 0 is `hybrid` itself."""
    tal = TransferActiveLearning(tal_config(lab, recipe), seed=lab.settings.seed)
    unlabelled = lab.sealed.take(np.setdiff1d(np.arange(len(lab.pool)), bought.rows))
    return lab.fit(bought.rows, loss=lambda model: tal.loss(model, unlabelled))


def _declare_tal(chapter: Chapter, suffix: str = "", beta: float = BETA, bought: str | None = None,
                 lam: float = TransferActiveConfig.lam, **options) -> None:
    chapter.arm(f"tal{suffix}", TransferActiveConfig(lam=lam, l2_sp=beta),
                needs=Need(bought or f"hybrid{suffix}", rows_only=True),
                home=COMBINED.id, parameters=lambda lab, recipe: {"tal": tal_config(lab, recipe)},
                scored=lambda labels, quick: QUICK_UNLABELLED if quick else TransferActiveConfig.unlabelled_rows,
                **options)(with_term)


_declare_tal(COMBINED, start="source")
# λ a tenth and ten times as large, on the very same labels: at 0.1 alone no effect could be told from a weak term
_declare_tal(COMBINED, "-weak", lam=0.01, bought="hybrid", start="source", budgets=(2000,), keep=False)
_declare_tal(COMBINED, "-strong", lam=1.0, bought="hybrid", start="source", budgets=(2000,), keep=False)
_declare(COMBINED, "random", "-scratch", pull=False, budgets=(8000,), **FROM_SCRATCH)
_declare(COMBINED, "hybrid", "-scratch", pull=False, budgets=(), **FROM_SCRATCH)
# from new weights there is nothing to pull back to
_declare_tal(COMBINED, "-scratch", beta=0.0, budgets=(8000,), **{**FROM_SCRATCH, "keep": False})


def declare_limited(chapter: Chapter) -> None:
    """The same arms on a pool whose classes are imbalanced, for a chapter that compares them with ADA."""
    common = dict(start="source", ratio=LIMITED)
    _declare(chapter, "random", "-limited", budgets=(2000,), **common)
    _declare(chapter, "hybrid", "-limited", budgets=(), **common)
    _declare_tal(chapter, "-limited", budgets=(), **common)


def until_plateau(lab: Lab, name: str, budgets: Sequence[int]) -> list[Run]:
    """The rounds of an arm at rising numbers of labels, until its development curve has reached its plateau.

    A run's `rows` are the ledger of what was bought so far. Raises LabError for budgets that do not rise, that exceed
    the pool, or that leave TAL no unlabelled pair.
    """
    budgets = [whole_number("a budget", budget, 1, LabError) for budget in budgets]
    if not budgets or any(a >= b for a, b in zip(budgets, budgets[1:], strict=False)):
        raise LabError(f"budgets must rise from 1 or more, got {budgets}")
    if budgets[-1] > len(lab.pool):
        raise LabError(f"{budgets[-1]} labels are to be bought and the pool has {len(lab.pool)}: lower them")
    if name.startswith("tal") and budgets[-1] == len(lab.pool):
        raise LabError(f"all {len(lab.pool)} labels of the pool are to be bought, so that no unlabelled example is "
                       "left for L_AL: lower the last budget, or take hybrid")
    runs: list[Run] = []
    for labels in budgets:
        runs.append(lab.arm(name, labels))
        if plateau([run.metrics["accuracy_development"] for run in runs], window=TransferActiveConfig.window,
                   tolerance=TransferActiveConfig.tolerance):
            break
    return runs
