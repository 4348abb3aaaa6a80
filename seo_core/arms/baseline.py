"""The baselines of the headline setting: the network that every chapter on compression starts from, trials of other
settings, and the same with twice the labels."""

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
    """How the baseline is fine-tuned where it differs from `base`; as it stands, not at all: of four trials, with more
    epochs, other rates and the word table too, none was told apart from it on the acceptance half. Unknown keys raise.
    """

    epochs: int | None = at_least(1, default=None)  # None: the settings'
    learning_rate: float | None = above(0, default=None)  # None: the settings'
    train_embeddings: bool = False  # the word table too: half of the weights

    def __post_init__(self):
        check(self)


BASELINE = Chapter("02_baseline", ground="headline", scores=True,
                   quick=lambda recipe: recipe and replace(recipe, epochs=recipe.epochs and min(recipe.epochs, 2)))


def checkpoint(lab: Lab, recipe: Tuning | None = None) -> Path:
    """Where a run saves itself until its record is written."""
    from seo_core.training import checkpoint_folder

    named = [digest([lab.current.name, asdict(recipe)], length=8)] if recipe else []
    return checkpoint_folder(lab.settings, "-".join(["02_baseline-base", *named]))


def _training(lab: Lab) -> dict:
    """What differs from the settings' training."""
    tuned = lab.current.recipe or Tuning()
    chosen = {"epochs": tuned.epochs, "learning_rate": tuned.learning_rate,
              "freeze_embeddings": False if tuned.train_embeddings else None}
    return {"evaluations_per_epoch": 4, **{name: value for name, value in chosen.items() if value is not None}}


_COMMON = dict(start="pretrained", training=_training, checkpoints=lambda lab, recipe: [checkpoint(lab, recipe)])


_TUNED = dict(parameters=lambda lab, recipe: {"recipe": recipe}, logits=True, **_COMMON)


@BASELINE.arm("base-tuned", Tuning(), **_TUNED)
@BASELINE.arm("base", earlier=("09_pruning",), logits=True, **_COMMON)
def fine_tuned(lab: Lab, recipe: Tuning | None, pairs: Encoded | None = None) -> Made:
    """Fine-tuning on all training pairs of the profile, or on `pairs`. A stopped run goes on from its checkpoint.

    `base` as the settings say, `base-tuned` with what is set beside them: the trials of the search are runs of it by
    other names, `python -m seo_core.run arm base-tuned --name base-trial-5-epochs --set epochs=5 …`, each with its
    record. They found nothing better, so that without --set it is `base` again."""
    from seo_core.training import fit

    model = lab.network()
    trained = fit(model, lab.encoded("train") if pairs is None else pairs, config=lab.config(),
                  development=lab.encoded("acceptance"), checkpoint_dir=checkpoint(lab, recipe))
    return Made(model, trained.metrics, trained.series)


@BASELINE.arm("base-twice", Tuning(), **{**_TUNED, "parameters": lambda lab, recipe: {
    "recipe": recipe, "unlabelled": display_source(str(lab.settings.unlabelled))}})
def with_twice_the_labels(lab: Lab, recipe: Tuning) -> Made:
    """`base` on the pool and as many labelled pairs again, from the set that `--unlabelled` names, by equal settings.
    So the two differ in labels alone: what these are worth, beside what the techniques make of the texts."""
    pairs = domain_pairs(lab)
    made = fine_tuned(lab, recipe, concatenate(lab.encoded("train"), lab.encode(pairs)))
    return replace(made, further_labels=len(pairs))
