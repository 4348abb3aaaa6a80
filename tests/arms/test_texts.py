"""Edited texts beside the labelled pairs: an operator that finds nothing to edit leaves its share to the others."""

from types import SimpleNamespace

import pandas as pd
import pytest

from seo_core.arms.texts import edited
from seo_core.augmentation import augment
from seo_core.data import generate
from seo_core.lab import LabError

LAB = SimpleNamespace(settings=SimpleNamespace(seed=3), task=SimpleNamespace(texts=("premise", "hypothesis")))


def test_every_operator_has_its_share():
    pairs = generate(60, seed=1)
    found = edited(LAB, pairs, 31, ("neighbour", "aeda"))
    assert found["operator"].value_counts().to_dict() == {"neighbour": 16, "aeda": 15}
    whole = pd.concat([augment(pairs, name, strength=0.1, seed=3) for name in ("neighbour", "aeda")])
    assert set(map(tuple, found[["operator", "premise", "hypothesis"]].to_numpy())) <= set(
        map(tuple, whole[["operator", "premise", "hypothesis"]].to_numpy()))


@pytest.mark.filterwarnings("ignore:these texts are not English")
def test_where_one_finds_nothing_the_others_take_its_share():
    german = pd.DataFrame({"premise": ["Der Mann sitzt auf einer Bank und liest die Zeitung von gestern."] * 8,
                           "hypothesis": ["Der Mann liest seit einer Stunde im Park."] * 8, "label": [0, 1] * 4})
    found = edited(LAB, german, 9, ("neighbour", "aeda"))
    assert found["operator"].tolist() == ["aeda"] * 9
    with pytest.raises(LabError, match="neighbour found nothing to edit in these texts"):
        edited(LAB, german, 9, ("neighbour",))
