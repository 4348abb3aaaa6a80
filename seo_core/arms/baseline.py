"""The baseline of the headline setting: the one network that every chapter on compression starts from."""

from __future__ import annotations

from pathlib import Path

from seo_core.lab import Chapter, Lab, Made

BASELINE = Chapter("02_baseline", ground="headline")


def checkpoint(lab: Lab) -> Path:
    """Where a run saves itself until its record is written."""
    from seo_core.training import checkpoint_folder

    return checkpoint_folder(lab.settings, "02_baseline-base")


@BASELINE.arm("base", start="pretrained", logits=True, earlier=("09_pruning",), training={"evaluations_per_epoch": 4},
              checkpoints=lambda lab, recipe: [checkpoint(lab)])
def fine_tuned(lab: Lab, recipe: None) -> Made:
    """Fine-tuning on all training pairs of the profile. A stopped run goes on from its checkpoint."""
    from seo_core.training import fit

    model = lab.network()
    trained = fit(model, lab.encoded("train"), config=lab.config(), development=lab.encoded("acceptance"),
                  checkpoint_dir=checkpoint(lab))
    return Made(model, trained.metrics, trained.series)
