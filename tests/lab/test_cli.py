"""The smaller command lines: settings from options, errors as one line, knobs checked by name and type."""

import shlex
from dataclasses import dataclass

import pytest

from seo_core.lab import cli
from seo_core.settings import load_settings


@dataclass(frozen=True)
class Recipe:
    epochs: int = 3
    rate: float | None = None
    kinds: tuple[str, ...] = ("heads",)
    text: bool = False


def test_options_become_settings():
    seen = []
    parser = cli.settings_parser("seo_core.nothing", "One line.\n\nMore.")
    assert cli.guarded(parser, lambda given, settings: seen.append(settings),
                       ["--profile", "cpu", "--seed", "3", "--results-dir", "there"]) == 0
    assert (seen[0].profile, seen[0].seed, seen[0].results_dir) == ("cpu", 3, "there")
    assert seen[0].data == "nyu-mll/multi_nli", "an option not given keeps the profile's value"
    assert "More." not in parser.format_help()


def test_bad_input_is_one_line_and_a_bug_is_not_hidden(capsys):
    parser = cli.settings_parser("seo_core.nothing", "One line.")
    assert cli.guarded(parser, lambda given, settings: None, ["--profile", "quik"]) == 1
    err = capsys.readouterr().err
    assert "'quick'" in err and err.count("\n") == 1
    with pytest.raises(KeyError):
        cli.guarded(parser, lambda given, settings: {}["x"], [])


def test_knobs_change_fields_of_the_right_type():
    given = dict(map(cli.knob, ["epochs=5", "rate=2", "kinds=('neurons',)", "text=True"]))
    assert cli.with_knobs(Recipe(), given) == Recipe(5, 2, ("neurons",), True)
    assert cli.with_knobs(Recipe(rate=1.0), {"rate": None}) == Recipe()
    assert cli.with_knobs(Recipe(), None) == Recipe()


def test_the_command_of_an_arm_is_read_back_as_it_was_given():
    settings = load_settings("cpu", seed=2, data="/somewhere/mnli")
    knobs = {"layers": (0, 2), "epochs": 5, "kind": "a b"}
    words = shlex.split(cli.again("seo_core.nothing", "kd", settings, knobs, "x"))
    parser = cli.settings_parser("seo_core.nothing", "One line.")
    parser.add_argument("arms", nargs="+")
    parser.add_argument("--set", nargs="+", type=cli.knob)
    parser.add_argument("--name")
    given = parser.parse_args(words[3:])
    assert dict(given.set) == knobs and given.name == "x"
    assert (given.arms, given.seed, given.data) == (["kd"], 2, "path/to/mnli"), "no machine's path"


@pytest.mark.parametrize("text, words", [
    ("eppchs=1", "'epochs'"), ("epochs=many", "must be int"), ("epochs=1.5", "must be int"),
    ("epochs=True", "must be int"), ("epochs=None", "must be int"), ("rate=fast", "must be float"),
    ("kinds=3", "must be tuple"), ("text=1", "must be bool"),
])
def test_other_knobs_are_errors(text, words):
    with pytest.raises(ValueError, match="knob") as caught:
        cli.with_knobs(Recipe(), dict([cli.knob(text)]))
    assert words in str(caught.value)
