"""Texts beside the labelled pairs: edited ones, where an operator that finds nothing leaves its share to the others,
and those that are named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from own_sets import written

from seo_core import load_settings, pipeline
from seo_core.arms import known, open_lab, self_training
from seo_core.arms.synergy import SEO
from seo_core.arms.texts import domain_texts, edited, further_texts
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


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    settings = load_settings("quick", layers=1, train_rows=64, development_rows=32, evaluation_rows=16,
                             results_dir=str(tmp_path_factory.mktemp("results")))
    return open_lab("08_semi_supervised", settings, say=lambda text: None)


@pytest.fixture(scope="module")
def wide(plain, tmp_path_factory):
    """The same with 40 further texts."""
    place = tmp_path_factory.mktemp("texts") / "more.csv"
    pd.DataFrame({"premise": [f"Team {n} scores." for n in range(40)], "hypothesis": ["They win."] * 40}).to_csv(
        place, index=False)
    return open_lab(plain.chapter, replace(plain.asked, unlabelled=str(place)), say=lambda text: None)


@pytest.mark.slow
@pytest.mark.parametrize("name, labels", [("ssl", 32), ("data-module", 32), ("controller", 32), ("seo", None)])
def test_where_a_teacher_labels_the_pool_a_run_with_further_texts_is_another_run(plain, wide, name, labels):
    without, reading = (lab.of(known(name).chapter)._bound(known(name).suited(lab.settings), labels)
                        for lab in (plain, wide))
    assert reading.parameters() == without.parameters() | {"further_texts": "path/to/more.csv"}
    assert reading._place() != without._place()
    folders = [lab.current.checkpoints(lab, lab.current.recipe) for lab in (without, reading)]
    assert not folders[0] or folders[0] != folders[1]


@pytest.mark.slow
def test_self_training_draws_further_texts_as_it_draws_the_pool(plain, wide, monkeypatch):
    teacher = SimpleNamespace(rows=np.arange(32), model=lambda: None)
    said = lambda models, pairs: np.eye(3)[np.arange(len(pairs)) % 3][None] * 9  # noqa: E731
    monkeypatch.setattr(self_training.pseudo, "teacher_logits", said)
    for lab, more in ((plain, 0), (wide, 40)):
        added = self_training.pseudo_labelled(lab, [teacher], known("ssl-source").recipe, strong=True)
        assert added.metrics.get("further_texts_read", 0) == more  # all that is there: the pool is small
        assert added.metrics["pseudo_kept"] == 1.0 and 0 < added.metrics["teacher_accuracy"] < 1
    texts = self_training.strong_view(wide, np.array([3, 64, 103]), np.zeros(3, int))["premise"]
    assert texts.str.startswith("Team").tolist() == [False, True, True]


@pytest.mark.slow
def test_the_teacher_of_the_assembled_system_labels_further_texts_when_the_pool_is_used_up(wide, monkeypatch):
    work = pipeline._Work(wide, replace(SEO.pipeline, labels=64), None, lambda model: None, further_texts(wide))
    monkeypatch.setattr(work, "learn", lambda state, step, changed: state)
    state = pipeline.State(None, None, wide, np.arange(64), np.empty(0, np.int64), pd.DataFrame())
    label = next(action for action in work.actions() if action.name == "label")
    assert label.ready(state)
    after = work.label(state, 1.0)
    assert sorted(after.soft) == list(range(64, 104)) and not label.ready(after)
    data = work.data(after, wide)
    assert len(data) == 104 and (data.labels[64:] == -1).all() and (data.labels[:64] >= 0).all()
