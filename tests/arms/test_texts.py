"""Texts beside the labelled pairs: edited ones, where an operator that finds nothing leaves its share to the others,
and those that are named."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from own_sets import written

from seo_core import load_settings
from seo_core.arms import known, open_lab
from seo_core.arms.texts import domain_texts, edited
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


@pytest.mark.slow
def test_further_texts_come_without_those_that_are_measured_or_decided_on(tmp_path):
    settings = load_settings("quick", layers=1, train_rows=64, development_rows=32, evaluation_rows=16,
                             results_dir=str(tmp_path / "results"))
    held = open_lab("12_distillation", settings, say=lambda text: None)
    with pytest.raises(LabError, match="say which with --unlabelled PATH"):
        domain_texts(held)
    new = pd.DataFrame({"premise": ["Two cats sleep.", "A bus is late."], "hypothesis": ["Cats rest.", "It rains."]})
    seen = [held.task[split].head(3) for split in (*held.official, "reward", "acceptance")]
    pd.concat([new, *seen])[["premise", "hypothesis"]].to_csv(tmp_path / "texts.csv", index=False)
    lab = open_lab("12_distillation", replace(settings, unlabelled=str(tmp_path / "texts.csv")), say=lambda text: None)
    pd.testing.assert_frame_equal(domain_texts(lab), new)
    # only an arm that reads them is another run for it
    plain, reading = (lab._bound(known("kd-logits").suited(lab.settings, knobs), None).parameters()
                      for knobs in ({"depth": 1}, {"depth": 1, "domain_text": True}))
    assert "unlabelled" not in plain and reading["unlabelled"] == "path/to/texts.csv"
    assert lab._bound(known("base"), None)._place() == held._bound(known("base"), None)._place()


@pytest.mark.parametrize("kind", ["pairs", "texts"])
def test_further_texts_have_the_names_of_the_data_that_they_belong_to(kind, tmp_path):
    place = str(tmp_path / "results")
    settings = load_settings("quick", layers=1, train_rows=64, evaluation_rows=16, **written(kind, tmp_path),
                             results_dir=place)
    names = settings.text or ("premise", "hypothesis")
    pd.DataFrame({name: ["Nothing of the kind."] for name in names}).to_csv(tmp_path / "more.csv", index=False)
    lab = open_lab("12_distillation", replace(settings, unlabelled=str(tmp_path / "more.csv")), say=lambda text: None)
    frame = domain_texts(lab)
    assert tuple(frame.columns) == lab.task.texts
    assert frame.to_numpy().tolist() == [["Nothing of the kind."] * len(names)]
