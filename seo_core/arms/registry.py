"""What each data-efficiency chapter trains: arms × label budgets, as functions of a study.

    runs = run("05_transfer_learning", settings)                       # all arms of the chapter, for one seed
    runs = run("05_transfer_learning", settings, arms=["base"], labels=[2000])

    python -m seo_core.arms.registry 06_active_learning --arms random entropy --profile cpu --data path/to/mnli --seed 1

Each arm is one function `arm(study, labels) -> Run`. A run that has its record is skipped, so the command can be
stopped and given again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pandas as pd

from seo_core import results
from seo_core.checks import suggest
from seo_core.data.encoding import concatenate
from seo_core.lab.cli import again, guarded, say, settings_parser
from seo_core.lab.ground import BUDGETS, Study, open_study, record_source, source_model
from seo_core.lab.run import Added, Run, StudyError
from seo_core.settings import RunSettings, resolve_path

TRANSFER = "05_transfer_learning"


def base(study: Study, labels: int) -> Run:
    """Supervised on random labels from the pre-trained start: what every technique is compared with.

    Shared by all chapters, so it lies with the chapter on transfer learning, where pre-training is one arm. Its weights
    are kept: other arms have it as their teacher.
    """
    return study.of(TRANSFER).train("base", study.random_rows(labels), keep=True)


FROM_SCRATCH = dict(start="scratch", training={"freeze_embeddings": False})  # a random word table has to be trained


def scratch(study: Study, labels: int) -> Run:
    """The same architecture from new weights, word table trained too."""
    return study.train("scratch", study.random_rows(labels), **FROM_SCRATCH)


def bought_once(study: Study, labels: int) -> Run:
    """Active learning alone, without a source task: half of the labels at random, the other half by `hybrid`."""

    def rows() -> np.ndarray:
        before = base(study, labels // 2)
        bought = buy(study, "hybrid", before, labels, 1)
        return np.concatenate([before.rows, bought])

    return study.of(ACTIVE).train("al", rows, labels=labels)


def transfer(study: Study, labels: int) -> Run:
    """Random labels from a network trained on the source task."""
    return study.train("tl", study.random_rows(labels), start=partial(source_model, study.settings))


def decayed(study: Study, labels: int) -> Run:
    """The same with discriminative learning rates: each layer below the top learns a fifth slower."""
    return study.train("tl-decay", study.random_rows(labels), start=partial(source_model, study.settings),
                       training={"layer_decay": 0.8})


# ---------------------------------------------------------------------------------------------
# Active learning. Every arm starts from the source task and has the same loss L_TL = cross-entropy + L2-SP pull

ACTIVE = "06_active_learning"
CANDIDATES = 8000  # unlabelled pairs scored in a round; under `quick`:
QUICK_CANDIDATES = 256
BETA = 0.01  # of the L2-SP pull; the order that Li et al. (2018) found to work, not tuned here


def transfer_loss(model):
    """L_TL: cross-entropy plus the L2-SP pull towards the weights that the source task left."""
    from seo_core.transfer import with_l2_sp

    return with_l2_sp(model, BETA)


def acquire(strategy: str, *, scratch: bool = False) -> Callable[[Study, int], Run]:
    """The arm that buys by `strategy`, round by round over the study's budgets, and trains anew on all it has.

    The first budget is bought at random, the same pairs in every arm. In each later round a fresh sample of the pool is
    scored by the model of the round before. scratch: the same from new weights and without a source task.
    """
    suffix = "-scratch" if scratch else ""
    common = FROM_SCRATCH if scratch else dict(loss=transfer_loss)

    def arm(study: Study, labels: int) -> Run:
        start = common if scratch else {**common, "start": partial(source_model, study.settings)}
        begin = study.budgets[0]
        if strategy == "random" or labels == begin:
            return study.of(ACTIVE).train(f"random{suffix}", study.random_rows(labels), keep=True, **start)

        def rows() -> np.ndarray:  # called where the run is still to be made
            rounds = [b for b in study.budgets if b < labels]
            before = arm(study, rounds[-1])
            bought = buy(study, strategy, before, labels, len(rounds))
            return np.concatenate([before.rows, bought])

        return study.of(ACTIVE).train(f"{strategy}{suffix}", rows, labels=labels, keep=True, **start)

    return arm


def buy(study: Study, strategy: str, before: Run, labels: int, number: int) -> np.ndarray:
    """Pool positions of the pairs that raise the labels of `before` to `labels`, chosen by its model."""
    from seo_core.selection import select

    size = QUICK_CANDIDATES if study.settings.profile == "quick" else CANDIDATES
    model = before.model()  # first: where it has to be trained again, its rows are known only then
    candidates = study.candidates(before.rows, number, size)
    rng = np.random.default_rng([study.settings.seed, 59, number])
    picked = select(strategy, model, study.sealed.take(candidates), labels - len(before.rows), rng)
    return candidates[picked]


STRATEGIES = ("random", "entropy", "badge", "hybrid", "margin", "least_confidence", "bald", "hybrid_text")
MAP_EPOCHS = (4, 2)  # values behind each pair's variability, of which two are the least; and under `quick`


def purchases(study: Study, labels: int) -> dict[str, np.ndarray]:
    """Strategy -> (labels,) pool positions that it bought with so many labels, by the records of this seed and data.

    Those of the results folder, and the committed ones. Raises StudyError where the control has none.
    """
    folders = [folder / study.settings.profile / ACTIVE
               for folder in (resolve_path(study.settings.results_dir), results.reference_dir())]
    found: dict[str, np.ndarray] = {}
    for record in results.load_records(*folders):
        mine = (record["configuration"] in STRATEGIES and record["seed"] == study.settings.seed
                and record["metrics"].get("labels") == labels
                and record["data"]["fingerprint"] == study.task.fingerprint)
        if mine and record["configuration"] not in found:
            found[record["configuration"]] = results.predictions(record["path"])["bought"].astype(np.int64)
    if "random" not in found:
        raise StudyError(f"no record of 'random' with {labels} labels for seed {study.settings.seed}: run the arms "
                         "that are to be on the map first")
    return dict(sorted(found.items()))


def data_map(study: Study, labels: int) -> Run:
    """A run over all pairs that any recorded arm bought: where what each *chose* lies on the data map.

    The first budget, which every arm bought at random, is trained on too, but is no choice and not counted.
    """
    from seo_core.selection.maps import PurchaseMap

    found, begin = purchases(study, labels), study.budgets[0]
    rows = np.unique(np.concatenate(list(found.values())))
    chosen = {name: np.searchsorted(rows, bought[begin:]) for name, bought in found.items()}
    watch = PurchaseMap(study.encoded.take(rows), chosen)
    return study.of(ACTIVE).train("data-map", rows, start=partial(source_model, study.settings), loss=transfer_loss,
                                  training={"epochs": MAP_EPOCHS[study.settings.profile == "quick"]}, watch=watch,
                                  parameters={"arms": list(found), "bought": labels})


def active_term(study: Study, labels: int, *, scratch: bool = False) -> Run:
    """TAL: the labels that `hybrid` bought, trained on with the whole of equation (2); λ = 0 is `hybrid` itself.

    scratch: from new weights, labels bought by such models too, and no pull, since there is nothing to pull back to.
    """
    from seo_core.selection import TransferActiveConfig, TransferActiveLearning

    bought = acquire("hybrid", scratch=scratch)(study, labels)
    few = {"unlabelled_rows": QUICK_UNLABELLED} if study.settings.profile == "quick" else {}
    tal = TransferActiveLearning(TransferActiveConfig(l2_sp=0.0 if scratch else BETA, **few), seed=study.settings.seed)
    unlabelled = study.sealed.take(np.setdiff1d(np.arange(len(study.pool)), bought.rows))
    start = FROM_SCRATCH if scratch else dict(start=partial(source_model, study.settings), keep=True)
    return study.of(COMBINED).train("tal-scratch" if scratch else "tal", bought.rows,
                                    loss=lambda model: tal.loss(model, unlabelled),
                                    parameters={"tal": asdict(tal.config)}, **start)


# ---------------------------------------------------------------------------------------------
# Augmentation: half as many edited pairs as there are labels, beside them

STATIC, ADAPTIVE = "03_augmentation", "04_adaptive_augmentation"
ADDED = 0.5  # added rows per label: every arm adds the same number, and sees as many pairs
OPERATORS = ("synonym", "neighbour", "eda", "aeda", "back_translation")
LIMITED = (8, 1, 1)  # the imbalanced setting: entailment, neutral, contradiction


def edited(study: Study, frame: pd.DataFrame, budget: int, operators: Sequence[str]) -> pd.DataFrame:
    """`budget` edited rows of `frame`, equal shares of the operators that can run here; no filter, no feedback.

    Raises StudyError where none can.
    """
    from seo_core.augmentation import OPERATORS as KNOWN
    from seo_core.augmentation import augment

    usable, parts = [name for name in operators if KNOWN[name].available() is None], []
    if not usable:
        raise StudyError(" ".join(f"{name} cannot be used here. {KNOWN[name].available()}" for name in operators))
    for number, name in enumerate(usable):
        share = budget // len(usable) + (number < budget % len(usable))
        copies = augment(frame, name, strength=STRENGTH, seed=study.settings.seed, texts=study.task.texts)
        order = np.random.default_rng([study.settings.seed, 71, number]).permutation(len(copies))
        parts.append(copies.iloc[np.resize(order, share)])
    return pd.concat(parts, ignore_index=True)


def absent(operators: Sequence[str]) -> dict:
    """For a record's parameters: which of these operators were not there; nothing where all were.

    So a record made without one does not stand for the run with it, once its resource is installed.
    """
    from seo_core.augmentation import OPERATORS as KNOWN

    missing = [name for name in operators if KNOWN[name].available() is not None]
    return {"operators_absent": missing} if missing else {}


STRENGTH = 0.1  # share of the words that may be edited; the lower of ADA's two


def static(name: str, operators: Sequence[str] = OPERATORS) -> Callable[[Study, int], Run]:
    """The arm that adds edits of these operators in equal shares; "copies" adds unchanged copies instead."""

    def arm(study: Study, labels: int) -> Run:
        rows = study.random_rows(labels)

        def add() -> Added:
            if name == "copies":
                return Added(study.pool.iloc[_again(study, rows)])
            return Added(edited(study, study.pool.iloc[rows], int(ADDED * labels), operators))

        return study.of(STATIC).train(f"da-{name}", rows, add=add, after=partial(robustness, study),
                                      parameters={"operators": list(operators), "strength": STRENGTH,
                                                  "added_share": ADDED,
                                                  **absent(() if name == "copies" else operators)})

    return arm


def _again(study: Study, rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng([study.settings.seed, 73]).permutation(rows)[: int(ADDED * len(rows))]


def adaptive(study: Study, labels: int) -> Run:
    """ADA: the bandit's edits, chosen with the supervised model of the same labels as M(θ)."""
    rows = study.random_rows(labels)
    return study.of(ADAPTIVE).train("da", rows, add=partial(bandit, study, rows, base),
                                    parameters=ada_parameters(study), after=partial(robustness, study))


def ada_config(study: Study):
    """The studies' AdaptiveConfig. `quick`: two short rounds, without the seconds that translators take to start."""
    from seo_core.augmentation import AdaptiveConfig

    if study.settings.profile == "quick":
        return AdaptiveConfig(rounds=2, trial=8)
    return AdaptiveConfig(operators=OPERATORS)


def ada_parameters(study: Study) -> dict:
    """What ADA was run with, for the record."""
    config = ada_config(study)
    return {"ada": asdict(config), "added_share": ADDED, **absent(config.operators)}


def bandit(study: Study, rows: np.ndarray, teacher: Callable) -> Added:
    """ADA's rows for the pairs at `rows`, by the model of teacher(study, labels).

    series: arm weights by round. metrics: examples_scored, and by class the accuracy on the reward half
    (ada_accuracy_…), the share of the labelled pairs (ada_data_…) and of the added ones (ada_added_…).
    """
    from seo_core.augmentation import AdaptiveDataAugmentation

    ada = AdaptiveDataAugmentation(ada_config(study), seed=study.settings.seed)
    found = ada(study.pool.iloc[rows], teacher(study, len(rows)).model(), study.tokenizer, study.task["reward"],
                budget=int(ADDED * len(rows)), texts=study.task.texts, max_length=study.settings.max_length)
    series = {"round": sorted(found.log["round"].unique().tolist())}
    for (operator, strength), group in found.log.groupby(["operator", "strength"]):
        series[f"weight {operator} {strength:g}"] = group["weight"].tolist()
    metrics = {"examples_scored": found.cost["examples_scored"]}
    for row in found.groups[found.groups["kind"] == "class"].itertuples():
        metrics.update({f"ada_accuracy_{row.group}": row.accuracy, f"ada_data_{row.group}": row.train_share,
                        f"ada_added_{row.group}": row.added_share})
    return Added(found.frame, series=series, metrics=metrics)


def robustness(study: Study, model) -> dict[str, float]:
    """Accuracy on 2 000 pairs of the matched set with typing errors and with synonyms put in."""
    from seo_core.augmentation.perturbation import robust_accuracy

    frame = study.task["validation_matched"].head(2000)
    return robust_accuracy(model, frame, study.tokenizer, texts=study.task.texts,
                           max_length=study.settings.max_length)


def robust_base(study: Study, labels: int) -> Run:
    """The supervised run of the same labels, its robustness measured on its kept weights."""
    return study.of(ADAPTIVE).extend(base(study, labels), "base", partial(robustness, study))


def limited(name: str) -> Callable[[Study, int], Run]:
    """The imbalanced setting, 8:1:1: "base", "copies", "static" or "ada" on `labels` pairs with rare classes."""
    def arm(study: Study, labels: int) -> Run:
        from seo_core.data import imbalance

        frame = imbalance(study.pool.assign(row=np.arange(len(study.pool))), ratio=LIMITED, rows=labels,
                          seed=study.settings.seed)
        rows = frame["row"].to_numpy(np.int64)
        train, ratio = partial(study.of(ADAPTIVE).train, rows=rows), {"ratio": list(LIMITED)}
        if name == "base":
            return train("base-limited", parameters=ratio, keep=True)
        if name == "copies":
            return train("da-copies-limited", parameters={**ratio, "added_share": ADDED}, add=lambda: Added(
                study.pool.iloc[_again(study, rows)]))
        if name == "static":
            return train("da-static-limited", parameters={**ratio, "added_share": ADDED, **absent(OPERATORS)},
                         add=lambda: Added(edited(study, study.pool.iloc[rows], int(ADDED * len(rows)), OPERATORS)))
        return train("da-limited", parameters={**ratio, **ada_parameters(study)},
                     add=partial(bandit, study, rows, lambda *_: limited("base")(study, labels)))

    return arm


def ada_and_tal(study: Study, labels: int) -> Run:
    """ADA and TAL together: TAL's labels from the study's pool, and ADA's edits of them with TAL's model as M(θ)."""
    tal = active_term(study, labels)
    return study.of(ADAPTIVE).train("adatal", tal.rows, add=partial(bandit, study, tal.rows, lambda *_: tal),
                                    loss=transfer_loss, start=partial(source_model, study.settings),
                                    parameters=ada_parameters(study))


# ---------------------------------------------------------------------------------------------
# Semi-supervised: labels, and pairs of the pool whose labels nobody looks at

SEMI = "08_semi_supervised"
UNLABELLED = 8000  # and under `quick`:
QUICK_UNLABELLED = 256


def semi(name: str) -> Callable[[Study, int], Run]:
    """One round of self-training from the supervised model of the same labels, in three ways.

    "ssl-fixed": a fixed threshold, the papers' way. "ssl": class-wise adaptive thresholds, weak and strong view.
    "ssl-source": teacher and student start from the source task, and every pair is kept with soft targets.
    """

    def arm(study: Study, labels: int) -> Run:
        from seo_core.selection.pseudo import FIXED, SelfTrainingConfig
        from seo_core.transfer import with_l2_sp

        source = name == "ssl-source"
        config = {"ssl-fixed": FIXED, "ssl": SelfTrainingConfig(),
                  "ssl-source": SelfTrainingConfig(keep="all", align=False)}[name]
        teacher = acquire("random")(study, labels) if source else base(study, labels)

        def add() -> Added:
            found = pseudo(study, [teacher], config, strong=name == "ssl")
            if not source:
                return found
            return replace(found, loss=lambda model: with_l2_sp(model, BETA, loss=found.loss(model)))

        return study.of(SEMI).train(
            name, teacher.rows, add=add, training={"epochs": 2},
            start=partial(source_model, study.settings) if source else "pretrained",
            parameters={"unlabelled": unlabelled_size(study), "self_training": asdict(config),
                        **absent(VIEWS if name == "ssl" else ())})

    return arm


def unlabelled_size(study: Study) -> int:
    """How many pairs self-training labels itself."""
    return QUICK_UNLABELLED if study.settings.profile == "quick" else UNLABELLED


def pseudo(study: Study, teachers: Sequence[Run], config, *, strong: bool, size: int | None = None) -> Added:
    """The teachers' labels for `size` (8 000) other pairs of the pool, a loss to learn them by, and their quality."""
    from seo_core.selection.pseudo import quality, self_training, soft_labels, teacher_logits

    rows = teachers[0].rows
    chosen = study.candidates(rows, 1, size or unlabelled_size(study))
    unlabelled = study.sealed.take(chosen)
    members = teacher_logits([t.model() for t in teachers], unlabelled)  # (teachers, n, k)
    logits = members[0] if len(members) == 1 else np.log(soft_labels(members))  # (n, k)
    view = study.encode(strong_view(study, chosen, logits.argmax(1))) if strong else None
    step = self_training(logits, study.encoded.take(rows), unlabelled, strong=view, config=config)
    truth = study.encoded.labels[chosen]  # for the record only: training has seen none of it
    metrics, series = quality(logits, step.pseudo, truth, study.task.labels)
    return Added(step.added, loss=lambda model: step.loss, targets=step.targets, metrics=metrics, series=series)


VIEWS = ("synonym", "neighbour", "eda", "aeda")  # operators of the strong view


def strong_view(study: Study, chosen: np.ndarray, classes: np.ndarray) -> pd.DataFrame:
    """The pairs at `chosen`, edited as the teacher's class allows; unchanged where no operator finds a word."""
    from seo_core.augmentation import OPERATORS as KNOWN
    from seo_core.augmentation import augment

    frame = study.pool.iloc[chosen].reset_index(drop=True).assign(label=classes)
    usable = [name for name in VIEWS if KNOWN[name].available() is None]
    which = np.random.default_rng([study.settings.seed, 79]).integers(len(usable), size=len(frame))
    for number, name in enumerate(usable):
        mine = np.flatnonzero(which == number)
        copies = augment(frame.iloc[mine].reset_index(drop=True), name, strength=STRENGTH,
                         seed=study.settings.seed, texts=study.task.texts)
        where = mine[copies["source"].to_numpy(np.int64)]
        for text in study.task.texts:
            frame.loc[where, text] = copies[text].to_numpy()
    return frame


# ---------------------------------------------------------------------------------------------
# The data module as a whole: TAL, pseudo-labels and ADA on the same pool

COMBINED = "07_transfer_active_learning"


def data_module(study: Study, labels: int, *, wide: bool = False) -> Run:
    """TAL's labels and model as teacher; its soft labels for 8 000 pairs of the pool; ADA's edits of its labels.

    wide: all that is left of the pool, labelled by the mean of two teachers that had the same labels (TAL's model, and
    the one that bought them), and the edits too have the teachers' probabilities as targets.
    """
    from seo_core.selection.pseudo import SelfTrainingConfig

    tal = active_term(study, labels)
    config = SelfTrainingConfig(keep="all", labelled_share=0.0, align=not wide)

    def add() -> Added:
        from seo_core.evaluation import softmax
        from seo_core.selection.pseudo import soft_target_loss, teacher_logits
        from seo_core.transfer import with_l2_sp

        teachers = [tal, acquire("hybrid")(study, labels)] if wide else [tal]
        soft = pseudo(study, teachers, config, strong=False, size=len(study.pool) if wide else None)
        edits = bandit(study, tal.rows, lambda *_: tal)
        encoded = study.encode(edits.examples)
        own = np.eye(len(study.task.labels))[encoded.labels]
        if wide:
            own = np.mean([softmax(z) for z in teacher_logits([t.model() for t in teachers], encoded)], axis=0)
        targets = np.concatenate([soft.targets, own])
        return Added(concatenate(soft.examples, encoded), series=edits.series,
                     metrics={**soft.metrics, **edits.metrics},
                     loss=lambda model: with_l2_sp(model, BETA, loss=soft_target_loss(targets)))

    return study.of(COMBINED).train("data-module-wide" if wide else "data-module", tal.rows, add=add,
                                    training={"epochs": 2}, start=partial(source_model, study.settings),
                                    parameters={"unlabelled": "all" if wide else unlabelled_size(study),
                                                "self_training": asdict(config), **ada_parameters(study)})


def source(study: Study, labels: int) -> Run:
    """The source network itself, with no label of the target."""
    return record_source(study.of(TRANSFER))


PLANS: dict[str, dict[str, tuple[Callable, tuple[int, ...]]]] = {
    TRANSFER: {"base": (base, (500, 1000, 2000, 4000, 8000)), "scratch": (scratch, (8000,)),
               "source": (source, (0,)), "tl": (transfer, (8000,)), "tl-decay": (decayed, (8000,))},
    ACTIVE: {name: (acquire(name), BUDGETS) for name in STRATEGIES} | {
        "al": (bought_once, (8000,)), "data-map": (data_map, (8000,))},  # the map last: of what the others bought
    STATIC: {"static": (static("static"), (2000, 8000)), "copies": (static("copies"), (2000, 8000)),
             **{name: (static(name, (name,)), (2000,)) for name in OPERATORS}},
    ADAPTIVE: {"base": (robust_base, (2000, 8000)), "da": (adaptive, (2000, 8000)),
               **{f"limited-{name}": (limited(name), (2000,)) for name in ("base", "copies", "static", "ada")},
               "random-limited": (lambda study, labels: acquire("random")(study.limited(LIMITED), labels), (2000,)),
               "adatal": (ada_and_tal, (2000,)),
               "adatal-limited": (lambda study, labels: ada_and_tal(study.limited(LIMITED), labels), (2000,))},
    SEMI: {name: (semi(name), (500, 2000)) for name in ("ssl-fixed", "ssl-source")} | {
        "ssl": (semi("ssl"), (500, 2000, 8000))},  # 8 000: for Table 1 and Figure 2
    COMBINED: {"tal": (active_term, BUDGETS), "random-scratch": (acquire("random", scratch=True), (8000,)),
               "tal-scratch": (partial(active_term, scratch=True), (8000,)), "data-module": (data_module, (4000, 5600)),
               "data-module-wide": (partial(data_module, wide=True), (4000,))},
}


def run(experiment: str, settings: RunSettings, *, arms: Iterable[str] | None = None,
        labels: Iterable[int] | None = None, report: Callable = lambda text: None,
        study: Study | None = None) -> list[Run]:
    """Runs the chapter's arms (default: all) at their label budgets (default: the plan's; under `quick` the largest
    quick budget) and returns them. An arm of one operator that is not here is left out where it was not named. `report`
    gets one line per run. study: the chapter's, where it is open already. Raises StudyError for an unknown name, and
    for a named arm whose operator is not here."""
    if experiment not in PLANS:
        raise StudyError(f"no plan for {experiment!r}{suggest(experiment, PLANS)}")
    plan = PLANS[experiment]
    for arm in arms or ():
        if arm not in plan:
            raise StudyError(f"{experiment} has no arm {arm!r}{suggest(arm, plan)}")
    study, runs = study or open_study(experiment, settings), []
    quick = (study.budgets[-1],) if settings.profile == "quick" else None
    for name in arms or plan:
        left_out = absent([name]) if arms is None and name in OPERATORS else {}
        if left_out:
            report(f"{name:16s} left out: its resource is not here")
            continue
        function, budgets = plan[name]
        for budget in labels or quick or budgets:
            command = f"{again('seo_core.arms.registry', experiment, settings)} --arms {name} --labels {budget}"
            study = study.of(study.experiment, again=command)
            runs.append(function(study, budget))
            report(f"{name:16s} {budget:6d} labels  matched {100 * runs[-1].metrics['accuracy_matched']:.2f}%")
    return runs


def main(arguments: list[str] | None = None) -> int:
    """The command line; see the module's docstring."""
    parser = settings_parser("seo_core.arms.registry", __doc__)
    parser.add_argument("experiment", choices=sorted(PLANS))
    parser.add_argument("--arms", nargs="+", metavar="ARM")
    parser.add_argument("--labels", nargs="+", type=int, metavar="N")
    return guarded(parser, lambda given, settings: run(given.experiment, settings, arms=given.arms,
                                                       labels=given.labels, report=say), arguments)


if __name__ == "__main__":
    sys.exit(main())
