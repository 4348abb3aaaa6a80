"""What the artifacts of the book do here and now: beside the records, told apart; one line where there is none."""

import math

import pandas as pd
import pytest

from seo_core.analysis.tables import Table
from seo_core.bench import latency, live
from seo_core.deploy.artifact import Card, load
from seo_core.models import backbone

MEASURED = {"accuracy_matched": 0.7321, "latency_ms_p50": 64.0, "batch_size": 32, "threads": 2}
pytestmark = pytest.mark.filterwarnings("ignore:.*were cut")  # the tiny tokenizer spells words out


@pytest.fixture
def shipped(tiny_book, tiny_artifact):
    """A book with two artifacts, one of them measured."""
    place = tiny_book / "book" / "artifacts"
    tiny_artifact(place / "reference", card=Card(metrics=MEASURED, machine="a quiet CPU"))
    tiny_artifact(place / "reference-small")
    tiny_artifact(place / "single", texts=("text",))  # cannot be asked about pairs
    return place


@pytest.fixture
def tiny_network(tiny_bert, tiny_tokenizer, monkeypatch):
    """In the place of the bundled one."""
    monkeypatch.setattr(backbone, "load_backbone", lambda name: (tiny_bert(), tiny_tokenizer))


def test_without_artifacts_one_line_says_so(tiny_book):
    (only,) = live.here_and_now()
    assert only.to_numpy().tolist() == [[live.NONE_SHIPPED]]
    assert live.NONE_SHIPPED in Table(only)._repr_html_()


@pytest.mark.slow
def test_times_stand_beside_what_was_recorded(shipped, tiny_network):
    times, _ = live.here_and_now()
    assert times["file"].tolist() == ["reference", "reference-small", latency.PLAIN]
    here = [column for column in times if column.startswith("here, now: ")]
    assert [column.partition(": ")[2] for column in here] == [
        "ms a pair, one at a time", "ms a pair, 32 at once", "times as fast as the control"]
    assert (times[here] >= 0).all(axis=None) and times[here[-1]].iloc[-1] == 1
    rest = times.set_index("file")[[c for c in times if c.startswith("recorded")]]
    assert rest.loc["reference"].to_dict() == {"recorded: ms a pair": 2.0, "recorded: matched, %": 73.21,
                                               "recorded on": "a quiet CPU, 32 at once, 2 threads"}
    assert rest.loc["reference-small"].isna().all()
    assert times["MB"].iloc[0] == pytest.approx((shipped / "reference" / "model.onnx").stat().st_size / 1e6, abs=0.01)


@pytest.mark.slow
def test_the_answers_are_those_of_the_files(shipped):
    times, answers = live.here_and_now(control=False)
    assert times["file"].tolist() == ["reference", "reference-small"]
    assert not [column for column in times if "control" in column]
    assert answers.columns.tolist() == ["premise, hypothesis", "reference", "reference-small"]
    assert [tuple(pair.split(" → ")) for pair in answers["premise, hypothesis"]] == list(live.EXAMPLES)
    model = load(shipped / "reference")
    said = [answer.split(", ") for answer in answers["reference"]]
    assert [label for label, _ in said] == model.predict(live.EXAMPLES)
    assert [float(share) for _, share in said] == pytest.approx(model.probabilities(live.EXAMPLES).max(1), abs=0.01)


@pytest.mark.slow
def test_a_control_that_cannot_be_made_is_a_line(shipped, tiny_network, monkeypatch):
    def absent(*arguments, **options):
        raise ModuleNotFoundError("No module named 'onnx'")

    monkeypatch.setattr("seo_core.quantization.export.library_export", absent)
    times, _ = live.here_and_now()
    assert times["file"].iloc[-1] == f"{latency.PLAIN}: cannot be made here (No module named 'onnx')"
    assert math.isnan(times["here, now: ms a pair, 32 at once"].iloc[-1]) and len(times) == 3


@pytest.mark.slow
def test_what_was_recorded_of_the_control_is_the_newest_committed_run(shipped, tiny_network, monkeypatch):
    record = {"metrics": {"batch_size": 32, "threads": 2}, "provenance": {"machine": {"cpu": "another CPU"}}}
    found = pd.DataFrame({"latency_ms_p50": {latency.PLAIN: 96.0}})
    monkeypatch.setattr(live, "latest", lambda folder: (found, record))
    times, _ = live.here_and_now()
    last = times.iloc[-1]
    assert (last["recorded: ms a pair"], last["recorded on"]) == (3.0, "another CPU, 32 at once, 2 threads")
