"""Knobs: fields of a recipe, checked by name and type."""

from dataclasses import dataclass

import pytest

from seo_core.lab.knobs import knob, with_knobs
from seo_core.lab.run import LabError


@dataclass(frozen=True)
class Recipe:
    epochs: int = 3
    rate: float | None = None
    kinds: tuple[str, ...] = ("heads",)
    text: bool = False


def test_knobs_change_fields_of_the_right_type():
    given = dict(map(knob, ["epochs=5", "rate=2", "kinds=('neurons',)", "text=True"]))
    assert with_knobs(Recipe(), given) == Recipe(5, 2, ("neurons",), True)
    assert with_knobs(Recipe(rate=1.0), {"rate": None}) == Recipe()
    assert with_knobs(Recipe(), None) == Recipe()
    assert knob("layers=(0, 2)") == ("layers", (0, 2)) and knob("method=ptq") == ("method", "ptq")


def test_an_arm_without_a_recipe_has_no_knobs():
    assert with_knobs(None, None) is None
    with pytest.raises(LabError, match="no knob 'epochs'"):
        with_knobs(None, {"epochs": 1})


@pytest.mark.parametrize("text, words", [
    ("eppchs=1", "'epochs'"), ("epochs=many", "must be int"), ("epochs=1.5", "must be int"),
    ("epochs=True", "must be int"), ("epochs=None", "must be int"), ("rate=fast", "must be float"),
    ("kinds=3", "must be tuple"), ("text=1", "must be bool"),
])
def test_other_knobs_are_errors(text, words):
    with pytest.raises(ValueError, match="knob") as caught:
        with_knobs(Recipe(), dict([knob(text)]))
    assert words in str(caught.value)
