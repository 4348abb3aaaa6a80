"""The baselines of the headline setting: the network that every chapter on compression starts from, and a tuned one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seo_core.arms.texts import domain_pairs
from seo_core.checks import above, at_least, check
from seo_core.data.encoding import Encoded, concatenate
from seo_core.files import digest
from seo_core.lab import Chapter, Lab, Made
from seo_core.settings import display_source


@dataclass(frozen=True)
class Tuning:
    """How the baseline is fine-tuned, where it is tuned. Chosen by accuracy on the acceptance half. Unknown keys raise.
    """

    epochs: int = at_least(1, default=5)  # development accuracy still rose in the third
    learning_rate: float = above(0, default=2e-4)
    train_embeddings: bool = False  # the word table too: half of the weights

    def __post_init__(self):
        check(self)


BASELINE = Chapter("02_baseline", ground="headline", scores=True,
                   quick=lambda recipe: recipe and replace(recipe, epochs=min(recipe.epochs, 2)))


def checkpoint(lab: Lab, recipe: Tuning | None = None) -> Path:
    """Where a run saves itself until its record is written."""
    from seo_core.training import checkpoint_folder

    named = [digest([lab.current.name, asdict(recipe)], length=8)] if recipe else []
    return checkpoint_folder(lab.settings, "-".join(["02_baseline-base", *named]))


def _training(lab: Lab) -> dict:
    """What differs from the settings' training."""
    tuned, changes = lab.current.recipe, {"evaluations_per_epoch": 4}
    if tuned:
        changes |= {"epochs": tuned.epochs, "learning_rate": tuned.learning_rate,
                    "freeze_embeddings": not tuned.train_embeddings}
    return changes


_COMMON = dict(start="pretrained", training=_training, checkpoints=lambda lab, recipe: [checkpoint(lab, recipe)])


_TUNED = dict(parameters=lambda lab, recipe: {"recipe": recipe}, logits=True, **_COMMON)


@BASELINE.arm("base-tuned", Tuning(), **_TUNED)
@BASELINE.arm("base", earlier=("09_pruning",), logits=True, **_COMMON)
def fine_tuned(lab: Lab, recipe: Tuning | None, pairs: Encoded | None = None) -> Made:
    """Fine-tuning on all training pairs of the profile, or on `pairs`. A stopped run goes on from its checkpoint.

    `base` as the settings say, `base-tuned` as a search found best. The search is runs of `base-tuned` by other names,
    `python -m seo_core.run arm base-tuned --name base-trial-5-epochs --set epochs=5 …`, each with its record."""
    from seo_core.training import fit

    model = lab.network()
    trained = fit(model, lab.encoded("train") if pairs is None else pairs, config=lab.config(),
                  development=lab.encoded("acceptance"), checkpoint_dir=checkpoint(lab, recipe))
    return Made(model, trained.metrics, trained.series)


@BASELINE.arm("base-twice", Tuning(), **{**_TUNED, "parameters": lambda lab, recipe: {
    "recipe": recipe, "unlabelled": display_source(str(lab.settings.unlabelled))}})
def with_twice_the_labels(lab: Lab, recipe: Tuning) -> Made:
    """`base-tuned` on the pool and as many labelled pairs again, from the set that `--unlabelled` names: what further
    labels are worth, beside what the techniques make of its texts alone."""
    pairs = domain_pairs(lab)
    made = fine_tuned(lab, recipe, concatenate(lab.encoded("train"), lab.encode(pairs)))
    return replace(made, further_labels=len(pairs))
