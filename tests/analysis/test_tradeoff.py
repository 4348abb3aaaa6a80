"""The factorial: sizes beside their products, accuracies beside their sums."""

import math

import pandas as pd
import pytest

from seo_core import results
from seo_core.analysis import tradeoff

CELLS = {"none": (90e6, 0.70), "int8": (22.5e6, 0.69), "prune": (60e6, 0.68), "prune-int8": (15e6, 0.665),
         "data": (90e6, 0.72)}


def records(cells):
    rows = [{"experiment": "x", "configuration": f"factorial-{name}", "profile": "cpu", "seed": seed, "model_name": "m",
             "data_name": "d", "labels_used": 10, "finished": f"2026-01-0{seed + 1}", "size_bytes": size,
             "accuracy_development": accuracy + 0.01 * seed}
            for name, (size, accuracy) in cells.items() for seed in (0, 1)]
    return pd.DataFrame([*rows, {**rows[0], "configuration": "controller"}])


def test_a_cell_stands_beside_what_its_parts_do_alone():
    table = tradeoff.factorial(records(CELLS)).set_index("what works")
    assert table.index[0] == "none" and len(table) == len(CELLS)
    both = table.loc["prune + int8"]
    assert both["times smaller"] == pytest.approx(6) and both["product of each alone"] == pytest.approx(4 * 1.5)
    assert both["accuracy, points"] == pytest.approx(-3.5) and both["sum of each alone"] == pytest.approx(-3)
    assert table.loc["data", "times smaller"] == 1 and (table["seeds"] == 2).all()


def test_a_part_without_a_record_alone_leaves_its_product_open_and_without_the_first_cell_there_is_none():
    table = tradeoff.factorial(records({name: CELLS[name] for name in ("none", "prune-int8")})).set_index("what works")
    assert math.isnan(table.loc["prune + int8", "product of each alone"])
    assert table.loc["prune + int8", "times smaller"] == pytest.approx(6)
    assert tradeoff.factorial(records({"int8": CELLS["int8"]})).empty
    assert tradeoff.factorial(results.load("nowhere")).empty
