"""The frame of the benchmarks: one contract, one command line."""

import gc
import shlex
import subprocess
import sys
import weakref

import pytest

from seo_core import bench, load_settings
from seo_core.bench.turns import command, interleave, parse


@pytest.mark.parametrize("profile, own", [("quick", {}), ("cpu", {}), ("cpu", {"labels": "no,yes", "text": "a,b"})])
@pytest.mark.parametrize("name", bench.BENCHES)
def test_the_command_of_a_record_is_read_back_as_it_was_given(name, profile, own):
    module, settings = bench.benchmark(name), load_settings(profile, seed=3, source="path/to/snli", **own)
    plan = module.plan(settings, rounds=2)
    words = shlex.split(command(module, settings, plan))
    assert words[:5] == ["python", "-m", "seo_core.run", "bench", name] and words[-2:] == ["--rounds", "2"]
    again, options = parse(module, words[5:])
    assert again == settings
    read = module.plan(again, **options)
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in read.items()} == plan
    assert module.EXPERIMENT and module.RECORD


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_what_a_turn_leaves_is_collected_before_the_next_also_after_one_that_failed(frozen):
    class Node:
        pass

    def turn(number: int) -> list[dict]:
        alive = sum(reference() is not None for reference in left)
        node = Node()
        node.itself = node  # only the collector can free it
        left.append(weakref.ref(node))
        return [{"alive": alive}]

    def failing(number: int) -> list[dict]:
        raise ValueError

    left: list[weakref.ref] = []
    if not frozen:
        gc.unfreeze()
    try:
        assert interleave({"a": turn, "b": turn}, rounds=2)["alive"].tolist() == [0, 0, 0, 0]
        with pytest.raises(ValueError):
            interleave({"a": turn, "b": failing}, rounds=1)
        assert (gc.get_freeze_count() > 0) == frozen
    finally:
        gc.freeze()  # as `conftest` has it


def test_a_command_names_files_without_the_machines_paths(tmp_path):
    module, settings = bench.benchmark("inference"), load_settings("quick")
    (tmp_path / "model.onnx").touch()
    plan = module.plan(settings, files=[f"a b={tmp_path}/model.onnx:openvino"], untrained=True)
    words = shlex.split(command(module, settings, plan))
    assert words[words.index("--files") + 1] == "a b=path/to/model.onnx:openvino" and "--untrained" in words
    assert plan["files"] == {"a b": f"{tmp_path}/model.onnx:openvino"}


def test_bad_input_is_one_line(capsys):
    for name, arguments, status, text in (
            ("trainig", [], 2, "did you mean 'training'"), ("training", ["--profile", "quik"], 2, "'quick'"),
            ("inference", ["--rounds", "0"], 1, "rounds must be 1 or more")):
        assert bench.main(name, arguments) == status
        error = capsys.readouterr().err
        assert text in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_benchmark_takes_the_names_of_classes_and_texts_alone(capsys):
    settings, options = parse(bench.benchmark("training"), ["-p", "labels=no,yes", "--rounds", "2", "-p", "text=a,b"])
    assert settings == load_settings(labels="no,yes", text="a,b") and options == {"rounds": 2}
    with pytest.raises(SystemExit):
        parse(bench.benchmark("training"), ["-p", "epochs=3"])
    assert "a benchmark takes labels and text, got 'epochs=3'" in capsys.readouterr().err


def test_the_registry_loads_nothing_before_it_is_asked():
    code = "import sys, seo_core.bench; assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
