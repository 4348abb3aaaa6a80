"""The arms of the Synergy Controller: the factorial has every cell, and cells differ by their names alone."""

from dataclasses import fields
from itertools import combinations

import pytest

from seo_core.arms import ARMS
from seo_core.arms.synergy import FACTORS, SEO, cell


def test_the_factorial_has_its_sixteen_cells():
    names = {name for name in ARMS if name.startswith("factorial-")}
    assert len(names) == 2 ** len(FACTORS)
    assert {"factorial-none", "factorial-int8", "factorial-distil-prune-int8-data"} <= names
    assert all(ARMS[name].recipe == cell(*name.replace("factorial-none", "factorial").split("-")[1:]) for name in names)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_factor_changes_the_same_in_every_cell(factor):
    others = [each for each in FACTORS if each != factor]
    changed = set()
    for count in range(len(others) + 1):
        for on in combinations(others, count):
            without, with_it = cell(*on), cell(*on, factor)
            changed.add(frozenset(f.name for f in fields(SEO) if getattr(without, f.name) != getattr(with_it, f.name)))
            done = dict(with_it.schedule)
            assert set(done) - set(dict(without.schedule)) == {
                "data": {"buy", "augment", "label"}, "int8": {"quantize"}}.get(factor, {factor})
    assert len(changed) == 1, changed


def test_what_pruning_takes_is_the_same_share_of_what_distillation_leaves():
    assert not cell("distil").guard  # half of the layers cost more than the floor allows
    assert cell("prune").removed == 2 * cell("prune", "distil").removed and cell("distil").depth == 3
