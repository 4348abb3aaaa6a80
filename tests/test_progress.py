"""A long job says where it is: lines in a log, a bar on a terminal; a short one says nothing."""

import io
import re
import sys

import pytest

from seo_core import SettingsError
from seo_core.bench.turns import interleave
from seo_core.evaluation import predict
from seo_core.progress import Progress, watched


class Terminal(io.StringIO):
    def isatty(self):
        return True


def score(tiny_bert, toy_pairs, **options):
    predict(tiny_bert(), toy_pairs(40), batch_size=16, **options)


def bench(*unused):
    interleave({"a": lambda number: [{}], "b": lambda number: [{}]}, rounds=2)


@pytest.mark.parametrize(("job", "name", "steps"), [(score, "scoring: batch", 3), (bench, "benchmark: turn", 4)])
def test_scoring_and_benchmarks_have_lines_in_a_log_unless_they_are_short(job, name, steps, tiny_bert, toy_pairs,
                                                                          monkeypatch, capsys):
    monkeypatch.delenv("SEO_PROGRESS_SECONDS", raising=False)
    job(tiny_bert, toy_pairs)
    assert capsys.readouterr() == ("", "")  # it was over in less than half a minute
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "0")
    job(tiny_bert, toy_pairs)
    out, err = capsys.readouterr()
    assert [re.sub(r"[\d.]+ min", "0 min", line) for line in err.splitlines()] == [
        f"{name} {number} of {steps}, 0 min left" for number in range(1, steps + 1)] and out == ""
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "inf")
    job(tiny_bert, toy_pairs)
    assert capsys.readouterr() == ("", "")


def test_who_wants_no_progress_gets_none(tiny_bert, toy_pairs, monkeypatch, capsys):
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "0")
    score(tiny_bert, toy_pairs, progress=False)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_and_no_line(monkeypatch):
    monkeypatch.setattr("seo_core.progress.DELAY", 0)
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "0")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(watched("abc", "spelling", "letter")) == list("abc")
    said = sys.stderr.getvalue()
    assert "spelling:   0%" in said and "left" not in said and "\n" not in said.rstrip("\n")


def test_what_is_left_counts_from_where_the_job_began(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("seo_core.progress.time.monotonic", lambda: now[0])
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", "50")
    with Progress("training", 10, "step", done=4, how="fp32") as watch:  # resumed
        for loss in (3, 2, 1):
            now[0] += 60
            watch.step(f"loss {loss}")
            now[0] -= 20
    assert capsys.readouterr().err.splitlines() == ["training (fp32): step 5 of 10, loss 3, 5.0 min left",
                                                    "training: step 7 of 10, loss 1, 2.3 min left"]


@pytest.mark.parametrize("said", ["soon", "-1", "nan", ""])
def test_a_time_that_is_none_is_refused(said, monkeypatch):
    monkeypatch.setenv("SEO_PROGRESS_SECONDS", said)
    with pytest.raises(SettingsError, match="SEO_PROGRESS_SECONDS must be 0 or more seconds"):
        Progress("training", 1, "step")
