"""What the chapter on transfer compares: the same labels from four starts."""

from __future__ import annotations

import math
from functools import partial

from seo_core.lab import Chapter, Lab, Made
from seo_core.lab.source import SOURCE_EPOCHS, source_model, source_pairs
from seo_core.training import KeepBest
from seo_core.transfer import with_l2_sp

TRANSFER = Chapter("05_transfer_learning", budgets=(8000,), layers=3)
FROM_SCRATCH = dict(start="scratch", training={"freeze_embeddings": False})  # a random word table has to be trained
BETA = 0.01  # of the L2-SP pull; the order that Li et al. (2018) found to work, not tuned here
transfer_loss = partial(with_l2_sp, beta=BETA)  # L_TL: cross-entropy plus the pull towards what training began from


@TRANSFER.arm("tl-decay", start="source", training={"layer_decay": 0.8}, keep=False)  # a fifth slower per layer
@TRANSFER.arm("tl", start="source", keep=False)
@TRANSFER.arm("scratch", **FROM_SCRATCH, keep=False)
@TRANSFER.arm("supervised", start="pretrained", recorded_as="base", budgets=(500, 1000, 2000, 4000, 8000))
def random_labels(lab: Lab, recipe: None) -> Made:
    """Random labels: from the pre-trained start what every technique is compared with; from new weights (word table
    trained too); from a network trained on the source task, with one rate for all layers or slower ones below."""
    return lab.fit(lab.random_rows())


def _as_many_pairs(lab: Lab) -> dict[str, int]:
    """The epochs over a run's labels after which it has seen as many pairs as `tl` and its source task together."""
    seen = lab.run_settings.epochs * lab.labels + SOURCE_EPOCHS * lab.source_labels()
    return {"epochs": math.ceil(seen / lab.labels)}


@TRANSFER.arm("supervised-long", start="pretrained", recorded_as="base-long", training=_as_many_pairs, keep=False)
def as_long_as_transfer(lab: Lab, recipe: None) -> Made:
    """Random labels, and as many pairs seen as `tl` and its source task: `tl` minus this is not a matter of training
    longer. Of its epochs the best on the reward half, since an overfitted control is none; the other half measures."""
    return lab.fit(lab.random_rows(), watch=KeepBest(), curve=True, development="reward")


@TRANSFER.arm("source", budgets=(0,), keep=False)
def source(lab: Lab, recipe: None) -> Made:
    """The source network itself, before it has seen a label of the target; what the source task cost is in the metrics:
    train_examples, train_tokens and source_labels."""
    _, train = source_pairs(lab.run_settings, lab.tokenizer)
    return Made(lab.network("source"), start=source_model(lab.settings), metrics={
        "train_examples": SOURCE_EPOCHS * len(train), "train_tokens": SOURCE_EPOCHS * int(train.lengths.sum()),
        "labels": 0, "source_labels": len(train)})
