"""`python -m seo_core.run search`: trials, the best, and what is refused before anything is trained."""

import pytest

from seo_core.run import main

SMALL = ["-p", "train_rows=64", "-p", "development_rows=64", "-p", "epochs=1"]


@pytest.mark.trains
def test_it_says_each_trial_the_best_and_what_comes_next(capsys, tmp_path):
    command = ["search", "--trials", "2", "--space", "learning_rate=1e-4,4e-4", "layers=1", *SMALL,
               "--results-dir", str(tmp_path)]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line[:14] for line in said[:2]] == ["trial 1 of 2: ", "trial 2 of 2: "]
    assert "best of 2 trials: learning_rate" in said[-2] and "arm search-tpe --set" in said[-1]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines() == said[-2:]  # nothing is trained again
    assert not list(tmp_path.rglob("*.json"))  # no record: the official sets were not read


@pytest.mark.parametrize("arguments, words", [
    (["--trials", "0"], "trials must be 1 or more and a whole number, got 0"),
    (["--sampler", "bayes"], "unknown sampler 'bayes'"), (["--pruner", "mean"], "unknown pruner 'mean'"),
    (["--space", "rate=1,2"], "unknown setting to search 'rate'"),
    (["--space", "layers"], "--space takes KEY=VALUE, got 'layers'"),
    (["--space", "layers="], "the search space is empty"),
    (["--space", "layers=1,many"], "layers takes numbers with commas between them, got '1,many'"),
    (["--space", "layers=1,99"], "layers must be at most 6 (the model has 6), got 99"),
    (["--rows", "0"], "rows must be 1 or more"), (["-p", "eppochs=1"], "unknown parameter 'eppochs'"),
    (["--data", "no/such/folder.csv"], "no such file or folder")])
def test_bad_input_is_one_line(arguments, words, capsys, tmp_path):
    assert main(["search", *arguments, "--results-dir", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.journal"))
