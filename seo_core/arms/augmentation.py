"""Augmentation: half as many edited pairs as there are labels, beside them; unchanged copies are the control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from seo_core.arms.acquisition import LIMITED, declare_limited
from seo_core.arms.texts import OPERATORS, STRENGTH, absent, edited
from seo_core.arms.transfer import transfer_loss
from seo_core.augmentation import AdaptiveConfig, AdaptiveDataAugmentation
from seo_core.augmentation.perturbation import robust_accuracy
from seo_core.data import imbalance
from seo_core.lab import Added, Chapter, Lab, Made, Run

STATIC = Chapter("03_augmentation", budgets=(2000,))
ADAPTIVE = Chapter("04_adaptive_augmentation", budgets=(2000,))
ADDED = 0.5  # added rows per label: every arm adds the same number, and sees as many pairs


def robust(lab: Lab, made: Made) -> Made:
    """Its accuracy on 2 000 pairs of the matched set with typing errors, and with synonyms put in, measured too; of the
    acceptance half, and named so, where the run is not scored on the official sets."""
    split, end = lab.scored[0], "" if lab.scored[0] in lab.official else "_development"
    accuracies = robust_accuracy(made.model, lab.task[split].head(2000), lab.tokenizer, texts=lab.task.texts,
                                 max_length=lab.settings.max_length)
    return replace(made, metrics={**made.metrics, **{name + end: value for name, value in accuracies.items()}})


def copies(lab: Lab, rows: np.ndarray, operators: tuple[str, ...] = ()) -> Added:
    """Some of the labelled pairs again, unchanged by any operator."""
    again = np.random.default_rng([lab.settings.seed, 73]).permutation(rows)[: int(ADDED * len(rows))]
    return Added(lab.pool.iloc[again])


def static_edits(lab: Lab, rows: np.ndarray, operators: tuple[str, ...] = OPERATORS) -> Added:
    """Edits of the labelled pairs, in equal shares of the operators."""
    return Added(edited(lab, lab.pool.iloc[rows], int(ADDED * len(rows)), operators))


def ada_config(lab: Lab, recipe: AdaptiveConfig | None = None) -> AdaptiveConfig:
    """The recipe; None: that of all studies. `quick`: two short rounds, without the seconds that translators take to
    start."""
    recipe = recipe or AdaptiveConfig(operators=OPERATORS)
    return AdaptiveConfig(rounds=2, trial=8, temperature=recipe.temperature) if lab.quick else recipe


def ada_parameters(lab: Lab, recipe: AdaptiveConfig | None = None) -> dict:
    """What ADA was run with, for the record."""
    config = ada_config(lab, recipe)
    return {"ada": config, "added_share": ADDED, **absent(config.operators)}


def adaptive_edits(lab: Lab, rows: np.ndarray, teacher: Run, recipe: AdaptiveConfig | None = None) -> Added:
    """ADA's edits of the pairs at `rows`, chosen with the teacher's model as M(θ). series: arm weights by round.
    metrics: examples_scored; by class accuracy on the reward half, shares of the labelled and of the added pairs
    (ada_…)."""
    ada = AdaptiveDataAugmentation(ada_config(lab, recipe), seed=lab.settings.seed)
    result = ada(lab.pool.iloc[rows], teacher.model(), lab.tokenizer, lab.task["reward"],
                 budget=int(ADDED * len(rows)), texts=lab.task.texts, max_length=lab.settings.max_length)
    series = {"round": sorted(result.log["round"].unique().tolist())}
    for (operator, strength), group in result.log.groupby(["operator", "strength"]):
        series[f"weight {operator} {strength:g}"] = group["weight"].tolist()
    metrics = {"examples_scored": result.cost["examples_scored"]}
    for row in result.groups[result.groups["kind"] == "class"].itertuples():
        metrics.update({f"ada_accuracy_{row.group}": row.accuracy, f"ada_data_{row.group}": row.train_share,
                        f"ada_added_{row.group}": row.added_share})
    return Added(result.frame, series=series, metrics=metrics)


def augmented(lab: Lab, recipe: tuple[str, ...], *, edits: Callable) -> Made:
    """Random labels, and edits of them by the operators of the recipe; as many copies are the control."""
    rows = lab.random_rows()
    return robust(lab, lab.fit(rows, edits(lab, rows, recipe)))


def _declare_static(name: str, operators: tuple[str, ...], edits: Callable = static_edits, **options) -> None:
    used = operators if edits is static_edits else ()
    STATIC.arm(f"da-{name}", operators, start="pretrained", keep=False, **options, parameters=lambda lab, recipe: {
        "operators": list(operators), "strength": STRENGTH, "added_share": ADDED, **absent(used)})(
            partial(augmented, edits=edits))


_declare_static("static", OPERATORS, budgets=(2000, 8000))
_declare_static("copies", OPERATORS, copies, budgets=(2000, 8000))


def _missing(operator: str) -> str | None:
    return "its resource is not here" if absent([operator]) else None


for _operator in OPERATORS:
    _declare_static(_operator, (_operator,), resource=partial(_missing, _operator))


@ADAPTIVE.arm("robust-base", needs="supervised", start="pretrained", budgets=(2000, 8000), recorded_as="base")
def robust_base(lab: Lab, recipe: None, supervised: Run) -> Made:
    """The supervised run of the same labels, its robustness measured too."""
    return robust(lab, Made(supervised.model(), supervised.metrics, supervised.record["series"], rows=supervised.rows))


# A temperature at which arms differ: the rewards behind the recorded weights of `da` at 2 000 labels (last round, the
# inverse of `arm_weights`) give at 0.03 between 5 and 21% to each of nine arms, at 0.01 from 2.5 to 44%: as if four to
# seven arms were left. At 0.003 it would be two to four, by rewards of which each round still moves the order.
SHARP = AdaptiveConfig(operators=OPERATORS, temperature=0.01)


_COMMON = dict(needs="supervised", start="pretrained", keep=False, parameters=ada_parameters)


@ADAPTIVE.arm("da-sharp", SHARP, budgets=(), **_COMMON)
@ADAPTIVE.arm("da", budgets=(2000, 8000), **_COMMON)
def adaptive(lab: Lab, recipe: AdaptiveConfig | None, teacher: Run) -> Made:
    """ADA: the bandit's edits, chosen with the finished supervised model of the same labels as M(θ)."""
    return robust(lab, lab.fit(teacher.rows, adaptive_edits(lab, teacher.rows, teacher, recipe)))


@ADAPTIVE.arm("da-current", SHARP, budgets=(), **_COMMON)
def current(lab: Lab, recipe: AdaptiveConfig, teacher: Run) -> Made:
    """D_aug = ADA(D, M(θ), P) with the model in training as M(θ), asked anew before each epoch. The first one, whose
    model has read nothing yet, has the edits of `da-sharp`; labels are filtered by the supervised model throughout.
    series: the share of the last round's rows that went to the arm with the most, by epoch."""
    config, model = ada_config(lab, recipe), teacher.model()
    first = adaptive_edits(lab, teacher.rows, teacher, recipe)
    series, scored, count = {"ada_epoch": [], "ada_largest_weight": []}, [], len(first.examples)

    def renew(network, epoch: int):
        ada = AdaptiveDataAugmentation(config, seed=lab.settings.seed + 1000 * epoch)  # other candidates each time
        result = ada(lab.pool.iloc[teacher.rows], network, lab.tokenizer, lab.task["reward"], budget=count,
                     texts=lab.task.texts, max_length=lab.settings.max_length, teacher=model)
        series["ada_epoch"].append(epoch)
        series["ada_largest_weight"].append(max(result.weights.values()))
        scored.append(result.cost["examples_scored"])
        return result.frame.iloc[np.resize(np.arange(len(result.frame)), count)] if len(result.frame) else None

    made = lab.fit(teacher.rows, replace(first, renew=renew))
    scored.append(first.metrics["examples_scored"])
    return robust(lab, replace(made, metrics={**made.metrics, "examples_scored": sum(scored)},
                               series={**made.series, **series}))


def limited(lab: Lab, recipe: None, *teacher: Run, edits: Callable | None = None) -> Made:
    """Supervised on pairs whose classes stand 8:1:1, and on what `edits` puts beside them."""
    frame = lab.pool.assign(row=np.arange(len(lab.pool)))
    few = imbalance(frame, ratio=lab.ratio_of(LIMITED), rows=lab.labels, seed=lab.settings.seed)
    rows = few["row"].to_numpy(np.int64)
    return lab.fit(rows, edits and edits(lab, rows, *teacher))


def _declare_limited(name: str, edits: Callable | None = None, parameters=lambda lab: {}, **options) -> None:
    ADAPTIVE.arm(name, start="pretrained", **{"keep": False, **options}, parameters=lambda lab, recipe: {
        "ratio": list(lab.ratio_of(LIMITED)), **parameters(lab)})(partial(limited, edits=edits))


_declare_limited("base-limited", keep=True)
_declare_limited("da-copies-limited", copies, lambda lab: {"added_share": ADDED})
_declare_limited("da-static-limited", static_edits, lambda lab: {"added_share": ADDED, **absent(OPERATORS)})
_declare_limited("da-limited", adaptive_edits, ada_parameters, needs="base-limited")
declare_limited(ADAPTIVE)


def ada_and_tal(lab: Lab, recipe: None, tal: Run) -> Made:
    """ADA and TAL together: TAL's labels, and ADA's edits of them with TAL's model as M(θ)."""
    return lab.fit(tal.rows, adaptive_edits(lab, tal.rows, tal), loss=transfer_loss)


_both = dict(start="source", keep=False, parameters=ada_parameters)
ADAPTIVE.arm("adatal", needs="tal", **_both)(ada_and_tal)
ADAPTIVE.arm("adatal-limited", needs="tal-limited", ratio=LIMITED, **_both)(ada_and_tal)
