"""Bounds beside a field: what passes, what does not, and what is said."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from seo_core.checks import above, at_least, check, check_choice, check_number, one_of, share, suggest


@dataclass(frozen=True)
class Config:
    """One field of each kind."""

    name: str = "anything"
    epochs: int = at_least(1, default=3)
    layers: int | None = at_least(1, default=None)
    rate: float = above(0, default=0.1)
    dropout: float = at_least(0, below=1, default=0.1)
    kept: float = share(default=0.5)
    strengths: tuple[float, ...] = above(0, most=1, default=(0.1, 1))
    passes: float = at_least(0, default=1.0, unit="passes over the pairs")
    method: str = one_of(("taylor", "magnitude"), default="taylor")

    def __post_init__(self):
        check(self)


@pytest.mark.parametrize("good", [
    {}, {"epochs": np.int64(2)}, {"layers": 2}, {"rate": 1}, {"dropout": 0}, {"kept": 1}, {"rate": np.float32(0.5)}])
def test_what_is_within_its_bounds_passes(good):
    config = Config(**good)
    assert {name: getattr(config, name) for name in good} == good


@pytest.mark.parametrize(("bad", "words"), [
    ({"epochs": 0}, "epochs must be 1 or more and a whole number, got 0"),
    ({"epochs": 1.5}, "epochs must be 1 or more and a whole number, got 1.5"),
    ({"epochs": True}, "epochs must be 1 or more and a whole number, got True"),
    ({"epochs": None}, "got None"), ({"layers": 0}, "layers must be 1 or more"),
    ({"rate": 0.0}, "rate must be above 0, got 0.0"), ({"rate": math.inf}, "rate must be above 0, got inf"),
    ({"dropout": 1}, "dropout must be 0 or more and below 1, got 1"),
    ({"kept": "0.9"}, "kept must be between 0 and 1, got '0.9'"), ({"kept": math.nan}, "kept must be between"),
    ({"strengths": (0.5, 0)}, "strengths must be above 0 and at most 1, got 0"),
    ({"passes": -1}, "passes must be 0 or more passes over the pairs, got -1"),
    ({"name": 3}, "name must be str, got 3"),
    ({"method": "tailor"}, "unknown method 'tailor': method must be one of taylor, magnitude; did you mean 'taylor'"),
])
def test_what_is_not_is_named_with_its_bounds(bad, words):
    with pytest.raises(ValueError, match=words):
        Config(**bad)


def test_arguments_are_checked_alike():
    assert check_number("n", 3, least=1, whole=True) == 3 and check_choice("scope", "global", ("global",)) == "global"
    with pytest.raises(KeyError, match="n must be a number, got 'x'"):
        check_number("n", "x", error=KeyError)
    with pytest.raises(ValueError, match="bits must be one of 8, 32"):
        check_choice("bits", 8.0, (8, 32))
    assert suggest("globl", ("global", "layer")) == "; did you mean 'global'? Known: global, layer"
