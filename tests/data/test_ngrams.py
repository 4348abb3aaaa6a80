"""Word-count baselines, cues, padding, and the figures of the data chapter."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seo_core.data import baselines, cue_words, fit_ngrams, load_nli, padding_share, subsample, top_ngrams

LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module")
def task():
    return subsample(load_nli("embedded", rows=3000), evaluation_rows=300)


@pytest.fixture(scope="module")
def planted():
    """Hypotheses that give their label away: one word for each class."""
    words = ("certainly", "perhaps", "never")
    rows = [(f"Some premise {i % 7}.", f"He {words[i % 3]} sleeps {i % 5}.", i % 3) for i in range(300)]
    return pd.DataFrame(rows, columns=["premise", "hypothesis", "label"])


@pytest.mark.slow
def test_baselines_report_every_split(task):
    table = baselines(task)
    assert table.columns.tolist() == ["baseline", "features", "validation_matched", "validation_mismatched"]
    assert table["baseline"].tolist() == ["majority class", "hypothesis only", "TF-IDF n-grams"]
    assert table.iloc[0, 2] == pytest.approx(100 / 3, abs=4) and (table["features"].iloc[1:] > 100).all()


def test_what_the_hypothesis_gives_away_is_found(planted):
    model = fit_ngrams(planted, "hypothesis")
    assert model.score(planted, planted["label"]) == 1.0
    top = top_ngrams(model, LABELS, k=3)
    assert [top[label].str.contains(word).any() for label, word in
            zip(LABELS, ("certainly", "perhaps", "never"), strict=True)] == [True] * 3


def test_two_classes_have_their_words(planted):
    two = planted[planted["label"] < 2]
    top = top_ngrams(fit_ngrams(two, "hypothesis"), LABELS, k=1)
    assert "certainly" in top["entailment"][0] and "perhaps" in top["neutral"][0]


def test_cue_words_split_the_rows(planted):
    spread = cue_words(planted, ("never", "not"), LABELS)
    assert spread["rows"].tolist() == [100, 200]
    assert spread.loc["with", "contradiction"] == 100 and spread.loc["without", "contradiction"] == 0
    nothing = planted.assign(hypothesis="Knot another notion; he didn't.")
    assert cue_words(nothing, ("not",), LABELS)["rows"].tolist() == [300, 0]  # n't counts, knot does not
    nothing = nothing.assign(hypothesis="Knot another notion.")
    assert cue_words(nothing, ("not",), LABELS)["rows"].tolist() == [0, 300]


def test_padding_share_by_hand():
    lengths = [2, 4, 4, 2, 1]
    assert padding_share(lengths, 2) == pytest.approx(1 - 13 / (8 + 8 + 1))
    assert padding_share(lengths, 2, fixed=10) == pytest.approx(1 - 13 / 50)
    assert padding_share(lengths, 2, grouped=True) == pytest.approx(1 - 13 / (8 + 4 + 1))


@given(st.lists(st.integers(1, 128), min_size=1, max_size=60), st.integers(1, 9))
def test_grouping_never_pads_more(lengths, size):
    shares = [padding_share(lengths, size, **k) for k in ({"grouped": True}, {}, {"fixed": 128})]
    assert 0 <= shares[0] <= shares[2] < 1 and shares[1] <= shares[2] + 1e-12


def test_figures_show_their_numbers(task):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from seo_core import figures

    table = baselines(task)
    figure = figures.baselines(table)
    drawn = [line.get_xdata().tolist() for line in figure.axes[0].lines[:2]]
    assert drawn == [table["validation_matched"].tolist(), table["validation_mismatched"].tolist()]
    counts = pd.crosstab(task["train"]["genre"], task["train"]["label"])
    bars = figures.genres(counts, task.labels).axes[0].patches
    assert sum(bar.get_width() for bar in bars) == len(task["train"])
    for limit, lines in ((25, 2), (500, 1)):
        axes = figures.lengths({"train": np.array([10, 20, 20, 30])}, limit).axes[0]
        assert axes.lines[0].get_ydata().tolist() == [25, 75, 100] and len(axes.lines) == lines
