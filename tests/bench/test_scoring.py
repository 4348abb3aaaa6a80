"""The benchmark of scoring: the same rows three ways, and a record that says how much is not the network."""

import pytest

from seo_core import results
from seo_core.bench import main, scoring


@pytest.mark.slow
def test_one_command_scores_the_same_rows_in_three_ways(tmp_path, capsys):
    given = ["--profile", "quick", "--artifact", "reference-small", "--rows", "40", "--results-dir", str(tmp_path)]
    assert main("scoring", given) == 0
    record, = results.load_records(tmp_path)
    assert list(record["contestants"]) == [scoring.ALONE, scoring.ONE, scoring.ALL]
    assert all(values["pairs_per_second"] > 0 for values in record["contestants"].values())
    assert record["contestants"][scoring.ALONE]["ratio"] == 1 and record["metrics"]["rows"] == 40
    assert "--rows 40" in record["provenance"]["command"] and "pairs_per_second" in capsys.readouterr().out


@pytest.mark.parametrize("words, says", [(["--rows", "0"], "rows"), (["--rounds", "-1"], "rounds")])
def test_a_plan_that_is_none_is_refused(words, says, capsys):
    assert main("scoring", words) == 2 and says in capsys.readouterr().err
