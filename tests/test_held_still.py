"""What readers see of the committed records stays as it is while the code behind it moves.

A page that is meant to change updates its snapshot in a commit of its own: `python tests/reference_cells.py --write`.
"""

from __future__ import annotations

import ast
import math
import re

import pytest
import reference_cells as cells

from seo_core import results
from seo_core.analysis import NOT_RUN, contrasts
from seo_core.analysis.findings import Evidence

PRINTING = {  # chapter → how many of its cells print something of the committed records
    "what_we_found": 4, "01_data": 1,
    "02_baseline": 6, "03_augmentation": 7, "04_adaptive_augmentation": 13, "05_transfer_learning": 7,
    "06_active_learning": 13, "07_transfer_active_learning": 13, "08_semi_supervised": 10, "09_pruning": 6,
    "10_adaptive_iterative_pruning": 10, "11_quantization": 7, "12_distillation": 8, "13_quantization_distillation": 12,
    "14_synergy_controller": 9, "15_seo_llm": 8, "16_mixed_precision": 3, "17_optimizers": 5,
    "18_hyperparameter_search": 3, "19_distributed_training": 4, "20_tkd_nlp": 12, "21_serving": 2,
    "bench_training": 7, "bench_augmentation": 4, "bench_serving": 11,
    "tab1_training_time": 13, "tab2_model_size": 12,
    "tab3_inference_speed": 10, "tab4_accuracy_perplexity": 17, "fig2_accuracy_curves": 10, "fig3_size_vs_speed": 12,
    "fig4_weight_distributions": 11, "claims_audit": 16,
}
HOW = "; where the change is meant: python tests/reference_cells.py --write"


@pytest.fixture(scope="module")
def scratch():
    with cells.scratch():
        yield


@pytest.fixture(scope="module", params=PRINTING)
def chapter(request):
    return request.param


@pytest.fixture(scope="module")
def reading(scratch, chapter):
    """A chapter executed once: what it prints from the committed records, the comparisons that its sentences make, and
    those of its family."""
    with pytest.MonkeyPatch.context() as patch:
        said, tested = heard(patch)
        return cells.read_page(chapter), said, tested


@pytest.fixture(scope="module")
def page(reading):
    return reading[0]


def heard(patch) -> tuple[set[str], set[str]]:
    """From now on, "a − b" of each comparison that a sentence makes, and that `contrasts.family` corrects: with a
    budget "a at 500 − b at 500", of single tasks "a: SST-2, accuracy − b"."""
    said, tested, family = set(), set(), contrasts.family

    def listening(method):
        def call(self, a, b, *arguments, **options):
            words = method(self, a, b, *arguments, **options)
            said.update([f"{a} − {b}"] if words != NOT_RUN else [])
            return words
        return call

    def correcting(*frames):
        for row in (row for frame in frames for row in frame.to_dict("records")):
            tested.add(row.get("contrast") or row["compared"].replace(" against ", " − "))
            if " − " in str(row.get("contrast")) and row.get("labels", math.nan) > 0:
                tested.add(" − ".join(f"{arm} at {row['labels']:,.0f}" for arm in row["contrast"].split(" − ")))
        return family(*frames)

    for name in ("gap", "told"):
        patch.setattr(Evidence, name, listening(getattr(Evidence, name)))
    patch.setattr(contrasts, "family", correcting)
    return said, tested


@pytest.mark.slow
def test_the_chapters_that_print_committed_records_are_these():
    assert set(cells.chapters()) == set(PRINTING)
    assert {p.stem for p in cells.SNAPSHOTS.glob("*.txt")} == set(PRINTING) | set(cells.FRAMES)


@pytest.mark.slow
def test_a_page_prints_what_it_printed(page, chapter):
    assert len(page) == PRINTING[chapter]
    change = cells.difference(chapter, cells.page_text(page))
    assert not change, change + HOW


ALSO = {"random": "tl-l2sp"}  # one arm under two names: chapter 5 shows it by the second
REPEATING = ("what_we_found", "fig3_size_vs_speed", "tab2_model_size", "tab3_inference_speed",
             "15_seo_llm")  # what chapters found and corrected
ALONE = ("02_baseline", "17_optimizers")  # trials of one seed, without a table of differences


@pytest.mark.slow
def test_what_sentences_compare_is_corrected_with_the_rest_of_the_chapter(reading, chapter):
    if chapter in REPEATING + ALONE:
        return
    _, said, tested = reading
    plain = {re.sub(" at [0-9,]+", "", pair) for pair in tested}

    def corrected(pair: str) -> bool:
        a, b = (ALSO.get(arm, arm) if pair not in tested else arm for arm in pair.split(" − "))
        return bool({f"{a} − {b}", f"{b} − {a}"} & (tested | plain))

    assert [pair for pair in sorted(said) if not corrected(pair)] == []


@pytest.mark.slow
def test_the_snapshot_covers_what_the_committed_notebook_shows(page, chapter):
    shown = cells.committed_outputs(chapter)
    assert {n: page[n] for n in shown if n in page} == {n: text for n, text in shown.items() if n in page}
    compared = {n: cell for n, cell in enumerate(cells.code_cells(cells.ROOT / "notebooks" / f"{chapter}.ipynb"))
                if cells.IGNORED not in cell.metadata.get("tags", [])}
    marked = [n for n in shown if n in compared and "record" in compared[n].metadata.get("tags", [])]
    printed = set(shown) & set(page)
    assert set(marked) <= printed, "cells tagged `record` print from the records"
    assert cells.kinds()[chapter] == "aggregate" or printed <= set(marked), "cells that print records are tagged so"
    listed = [n for n, text in shown.items() if n in compared and "book/reference/" in text]  # a table of records
    assert set(listed) <= set(page)


@pytest.mark.slow
@pytest.mark.parametrize("frame", cells.FRAMES)
def test_the_committed_records_load_as_they_did(scratch, frame):
    change = cells.difference(frame, cells.frame_text(frame))
    assert not change, change + HOW


def test_a_changed_value_shows_in_its_record_and_its_column(scratch, monkeypatch):
    frame = results.load()
    row = frame["accuracy_matched"].first_valid_index()
    frame.loc[row, "accuracy_matched"] += 1e-9
    monkeypatch.setattr(results, "load", lambda: frame)
    change = cells.difference("load", cells.frame_text("load")).splitlines()
    added = [line.split()[:2] for line in change if line.startswith("+") and not line.startswith("+++")]
    assert added == [["+column", "accuracy_matched"], ["+record", frame.loc[row, "path"]]]


def test_a_slice_takes_what_is_needed_and_nothing_else(monkeypatch, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "manifest.yml").write_text("chapters: [{id: toy, kind: technique}]")
    (tmp_path / "notebooks" / "toy.py").write_text('''# %%
from seo_core import results
rows, name = [], train("base")
print("trained", name)

# %%
frame = results.load()
frame["twice"] = 2 * frame["n"]
if len(frame):
    frame = frame[frame["n"] > 1]
for name in frame["name"]:
    rows.append({key: name for key in ("a", "b")})
other = [rows for rows in train("other")]
len(rows)

# %% tags=["nbval-ignore-output"]
print(frame)
''')
    monkeypatch.setattr(cells, "ROOT", tmp_path)
    listed, kept, printing = cells.reference_slice("toy")
    left_out = [ast.unparse(s.node) for i, s in enumerate(listed) if i not in kept]
    assert left_out == ["print('trained', name)", "other = [rows for rows in train('other')]", "print(frame)"]
    assert [listed[i].cell for i in printing] == [1]


def test_a_page_that_would_use_a_network_is_an_error():
    import torch

    layer, one = torch.nn.Linear(1, 1), torch.ones(1)
    with cells.no_runs(), pytest.raises(cells.NeedsARun):
        layer(one)
    assert layer(one).shape == (1,)
