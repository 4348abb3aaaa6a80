"""Arms as data: names, needs, the order of work, and what is refused when they are declared."""

import pytest

from seo_core.arms import ARMS, steps
from seo_core.lab import arm as module
from seo_core.lab.arm import Chapter, Need, check_arms, recorded
from seo_core.lab.run import LabError

CHAPTER = Chapter("99_trial", budgets=(16,))


@pytest.fixture
def declare(monkeypatch):
    """Declares arms of a trial chapter that are gone after the test."""
    arms, chapters = dict(module.ARMS), dict(module.CHAPTERS)
    yield lambda name, *arguments, **options: CHAPTER.arm(name, *arguments, **options)(lambda lab, recipe: None)
    for registry, before in ((module.ARMS, arms), (module.CHAPTERS, chapters)):
        registry.clear()
        registry.update(before)


def names(steps) -> list[tuple[str, int | None]]:
    return [(arm.name, labels) for arm, labels in steps]


def test_the_books_arms_are_sound():
    check_arms()
    assert len(ARMS) > 100 and all(arm.make and arm.home for arm in ARMS.values())


def test_the_order_of_work_is_read_from_the_needs():
    assert names(steps("data-module", 4000)) == [("source", 0), ("random", 1000), ("hybrid", 2000), ("tal", 4000),
                                                 ("data-module", 4000)]
    assert names(steps("ssl", 2000)) == [("supervised", 2000), ("ssl", 2000)]
    assert names(steps("al", 8000)) == [("supervised", 4000), ("al", 8000)]
    assert names(steps("sqd-taylor-65")) == [("base", None), ("taylor-65", None), ("sqd-taylor-65", None)]
    assert names(steps("oneshot")) == [("base", None), ("aip", None), ("oneshot", None)]


def test_knobs_change_what_is_needed():
    from seo_core.settings import load_settings

    other = ARMS["sqd"].suited(load_settings("cpu"), {"pruned": "taylor-40", "neurons": None})
    assert [need.arm for need in other.needs] == ["base", "taylor-40"]


def test_two_arms_of_one_name_are_refused(declare):
    declare("first")
    with pytest.raises(LabError, match="two arms are named 'first': in 99_trial and in 99_trial"):
        declare("first")


def test_a_need_that_is_no_arm_is_refused(declare):
    declare("lonely", needs="supervisd")
    with pytest.raises(LabError, match="arm 'lonely' needs 'supervisd', which is no arm; did you mean 'supervised'"):
        check_arms()


def test_needs_in_a_circle_are_refused(declare):
    declare("egg", needs="hen")
    declare("hen", needs="egg")
    with pytest.raises(LabError, match="in a circle: egg -> hen -> egg"):
        check_arms()


def test_an_arm_may_need_itself_at_the_budget_before(declare):
    declare("rounds", needs=Need("rounds", "before"), first="random")
    check_arms()
    assert [labels for _, labels in steps("rounds", 4000)][-3:] == [1000, 2000, 4000]


def test_a_record_that_would_fit_two_arms_is_refused(declare):
    declare("one", recorded_as="same")
    declare("two", recorded_as="same")
    with pytest.raises(LabError, match="a record 'same' of 99_trial would fit two arms, 'one' and 'two'"):
        check_arms()


def test_an_unknown_start_is_refused(declare):
    with pytest.raises(LabError, match="unknown start 'pretraind'; did you mean 'pretrained'"):
        declare("start", start="pretraind")


def test_a_configuration_leads_to_its_arm():
    assert recorded("base").name == "supervised" and recorded("da-copies").name == "da-copies"
    with pytest.raises(LabError, match="no arm has records named 'sqd-tailor-65'; did you mean 'sqd-taylor-65'"):
        recorded("sqd-tailor-65")
