"""Arms of a screening, which are sealed from the official sets, are on their pages as soon as they have a record."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import reference_cells as cells

# chapter → arm without a record → the arm whose record stands in for one, with as many labels where it has any
SEALED = {
    "04_adaptive_augmentation": {"da-sharp": "da", "da-current": "da"},
    "06_active_learning": {"loss-prediction": "badge"},
    "07_transfer_active_learning": {"tal-weak": "tal", "tal-strong": "tal"},
    "08_semi_supervised": {"ssl-fixed-70": "ssl", "ssl-fixed-80": "ssl"},
    "10_adaptive_iterative_pruning": {"aip-T0.5": "aip", "aip-T4": "aip-T2"},
    "12_distillation": {"kd-domain": "kd"},
    "13_quantization_distillation": {"kd-ptq-4bit": "kd-ptq", "sqd-4bit": "sqd-pairs"},
}
OF_OFFICIAL = re.compile("matched|^perplexity$|^f1_macro$|^robust")


@pytest.fixture(scope="module")
def book():
    """A scratch book in which each of these arms has a record of one seed, scored on development rows only."""
    with cells.scratch() as folder:
        reference = folder / "book" / "reference"
        copied = shutil.copytree(reference, folder / "copied")
        reference.unlink() if reference.is_symlink() else shutil.rmtree(reference)
        copied.rename(reference)
        for chapter, arms in SEALED.items():
            for name, like in arms.items():
                _sealed(reference / "cpu" / chapter, name, like)
        yield


def _sealed(folder, name: str, like: str) -> None:
    records = map(json.loads, (path.read_text() for path in sorted(folder.glob(f"{like}-*-seed0.json"))))
    record = next(record for record in records
                  if record["configuration"] == like and record["metrics"].get("labels") in (2000, None))
    metrics = {key: value for key, value in record["metrics"].items() if not OF_OFFICIAL.search(key)}
    metrics["accuracy_development"] += 0.01
    path = folder / f"{name}-00000000-seed0.json"
    path.write_text(json.dumps({**record, "configuration": name, "metrics": metrics}))


@pytest.mark.slow
@pytest.mark.parametrize("chapter", SEALED)
def test_a_sealed_arm_is_compared_on_its_page(book, chapter):
    lines = cells.page_text(cells.read_page(chapter)).splitlines()
    listed = [line for line in lines if line.startswith(("arms without a record", "every arm"))]
    assert not any("nan" in re.split(r"[ |]+", line) for line in lines)
    for name in SEALED[chapter]:
        assert not any(name in line.replace(",", "").split() for line in listed)
        said = next(line for line in lines if f"`{name}`" in line and "points" in line)
        assert re.search(rf"`{re.escape(name)}`.*?[+−]\d\.\d\d points.* \(1 seed\)", said)
        assert "not run" not in said
        assert any(re.match(rf"(.* − )?{re.escape(name)} (−|at 2,000 against) ", line) for line in lines)  # its pairs
