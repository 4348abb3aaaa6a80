"""Several processes train what one trains: the same curve, a clear end where one dies, the same weights after it."""

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import several
import torch

from seo_core.distributed import DistributedError, ResourceMonitor, launch
from seo_core.evaluation import predict
from seo_core.training import KeepBest, TrainingConfig, TrainingError, fit

ROOT = Path(__file__).resolve().parent.parent
CONFIG = TrainingConfig(learning_rate=3e-3, epochs=2, batch_size=8, freeze_embeddings=False, precision="fp32",
                        checkpoint_every=5)
# Two shares are summed in another order than a whole batch, which changes the last digit of a gradient in fp32, and
# AdamW makes a small gradient's digit a step's. Measured over eight epochs: 1e-7 of the loss; another seed: a tenth.
TOLERANCE = 1e-4


def command(job: dict, folder: Path, name: str = "found", config: str = "ddp") -> list[str]:
    """`accelerate launch` of two processes; what they found is in folder/name."""
    (folder / "job").write_bytes(pickle.dumps(job))
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file",
            str(ROOT / "deploy" / "accelerate" / f"{config}.yaml"), str(ROOT / "tests" / "several.py"),
            str(folder / "job"), str(folder / name)]


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)


def largest(one: dict, other: dict) -> float:
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


@pytest.mark.trains
def test_two_processes_under_accelerate_launch_have_the_curve_of_one(tiny_bert, toy_pairs, tmp_path):
    pairs, development = toy_pairs(91), toy_pairs(21, seed=1)  # 12 batches an epoch, the last of 3
    job = dict(pairs=pairs, config=replace(CONFIG, epochs=8), development=development)
    alone, _, _ = several.train(tiny_bert(dropout=0.0), **job)
    done = run(command({"model": tiny_bert(dropout=0.0), **job}, tmp_path))
    assert done.returncode == 0, done.stderr
    series, _, metrics, processes = pickle.loads((tmp_path / "found").read_bytes())
    assert processes == 2 and metrics["train_examples"] == 8 * 91 and "other_load" not in metrics
    assert set(series) == set(alone)
    for name in ("train_loss", "development_loss"):
        assert series[name] == pytest.approx(alone[name], rel=TOLERANCE), name
    another = several.train(tiny_bert(dropout=0.0), pairs, replace(job["config"], seed=1), development=development)[0]
    assert another["development_loss"][-1] != pytest.approx(alone["development_loss"][-1], rel=100 * TOLERANCE)


@pytest.mark.trains
def test_the_step_is_that_of_the_whole_batch(tiny_bert, toy_pairs):
    """Without AdamW's division the weights themselves agree; parts of a share and a batch of one example too."""
    pairs = toy_pairs(17)  # batches of 8, 8 and 1
    config = replace(CONFIG, optimizer="sgd", learning_rate=0.05, epochs=1)
    alone = several.train(tiny_bert(dropout=0.0), pairs, config)
    both = launch(several.each, *((several.train, (tiny_bert(dropout=0.0), pairs, replace(config, **changes)))
                                  for changes in ({}, dict(accumulation=4, checkpointing=True))))
    for series, weights, _ in (*both[0], *both[1]):
        assert largest(weights, alone[1]) < 1e-5
        assert series["train_loss"] == pytest.approx(alone[0]["train_loss"], rel=1e-5)
        assert series["train_accuracy"] == alone[0]["train_accuracy"]
    assert largest(both[0][0][1], both[1][0][1]) == 0


@pytest.mark.trains
def test_weights_that_are_split_by_fsdp_learn_the_same(tiny_bert, toy_pairs, tmp_path):
    job = dict(pairs=toy_pairs(42), config=replace(CONFIG, epochs=3), development=toy_pairs(21, seed=1),
               keep=KeepBest())
    alone, weights, _ = several.train(tiny_bert(dropout=0.0), **job)
    words = command({"model": tiny_bert(dropout=0.0), **job, "keep": KeepBest()}, tmp_path, config="fsdp")
    if not torch.cuda.is_available():
        refused = run(words)
        assert refused.returncode and "Accelerate does FSDP on GPUs alone, and there is none" in refused.stderr
    done = run(words, AS_IF_ON_GPUS="yes")
    assert done.returncode == 0, done.stderr
    series, split, _, _ = pickle.loads((tmp_path / "found").read_bytes())
    for name in ("train_loss", "development_loss"):
        assert series[name] == pytest.approx(alone[name], rel=TOLERANCE), name
    assert largest(split, weights) < 1e-3
    job["checkpoint"] = tmp_path / "kept"
    refused = run(command({"model": tiny_bert(), **job}, tmp_path, config="fsdp"), AS_IF_ON_GPUS="yes")
    assert refused.returncode and "checkpoint_dir does not go with FSDP: leave it out, or launch" in refused.stderr


@pytest.mark.parametrize("name", ["ddp", "fsdp", "deepspeed"])
def test_accelerate_reads_the_configurations(name):
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(ROOT / "deploy" / "accelerate" / f"{name}.yaml"))
    assert read.num_processes == 2
    assert read.distributed_type.value == {"ddp": "MULTI_GPU"}.get(name, name.upper())
    assert read.fsdp_config.get("fsdp_version") == (2 if name == "fsdp" else None)
    assert read.deepspeed_config.get("zero_stage") == (2 if name == "deepspeed" else None)


@pytest.mark.trains
def test_a_process_that_dies_stops_the_run_and_the_same_command_goes_on(tiny_bert, toy_pairs, tmp_path):
    job = dict(pairs=toy_pairs(91), config=CONFIG, development=toy_pairs(21, seed=1), keep=KeepBest())
    kept = tmp_path / "kept"
    words = command({"model": tiny_bert(), **job, "checkpoint": kept, "dies": (1, 13, "error")}, tmp_path)
    died = run(words)
    assert died.returncode and "ValueError: the disk is gone" in died.stderr and not (tmp_path / "found").exists()
    assert time.time() - kept.stat().st_mtime < 30  # since the checkpoint of step 10, and it died at step 13
    assert [path.name for path in kept.iterdir()] == ["last"]  # whole, and nothing beside it
    command({"model": tiny_bert(), **job, "checkpoint": kept}, tmp_path)  # the disk is there again
    for again in (words, command({"model": tiny_bert(), **job}, tmp_path, "whole")):
        done = run(again)
        assert done.returncode == 0, done.stderr
    resumed, undisturbed = (pickle.loads((tmp_path / name).read_bytes()) for name in ("found", "whole"))
    assert resumed[0] == undisturbed[0] and largest(resumed[1], undisturbed[1]) == 0  # each with its own dropout


@pytest.mark.trains
def test_a_process_that_is_killed_is_named_and_leaves_a_whole_checkpoint(tiny_bert, toy_pairs, tmp_path):
    kept = tmp_path / "kept"
    with pytest.raises(DistributedError, match="process 1 of 2 failed: .*SIGKILL"):
        launch(several.train, tiny_bert(), toy_pairs(91), CONFIG, str(kept), (1, 13, "killed"))
    assert time.time() - kept.stat().st_mtime < 30
    assert [path.name for path in kept.iterdir()] == ["last"]
    with pytest.raises(TrainingError, match="was written by 2 processes and this run has 1: start as many, delete"):
        several.train(tiny_bert(), toy_pairs(91), CONFIG, str(kept))


@pytest.mark.trains
def test_a_batch_that_so_many_cannot_share_is_refused(tiny_bert, toy_pairs):
    with pytest.raises(DistributedError, match=r"process \d of 2 failed: .*TrainingError: 2 processes cannot share "
                                               r"batches of 7 examples: use a batch_size that 2 divides, or start 1"):
        launch(several.train, tiny_bert(), toy_pairs(16), replace(CONFIG, batch_size=7))


@pytest.mark.slow
def test_scores_are_shared_and_whole_everywhere(tiny_bert, toy_pairs):
    model, pairs = tiny_bert().eval(), toy_pairs(31)
    alone = predict(model, pairs, progress=False)
    found = launch(several.each, (several.scores, (model, pairs)), (several.scores, (model, pairs.take([3]))))
    for rank, ((logits, place), (few, _)) in enumerate(found):
        assert place == rank
        np.testing.assert_allclose(logits, alone, atol=1e-5)
        np.testing.assert_allclose(few, alone[[3]], atol=1e-5)  # of which one process has no row at all


@pytest.mark.trains
def test_the_monitor_sees_this_machine_and_says_that_there_is_no_gpu(tiny_bert, toy_pairs):
    monitor = ResourceMonitor(every=0)
    fit(tiny_bert(), toy_pairs(32), config=replace(CONFIG, epochs=1), callbacks=[monitor], progress=False)
    assert [sample["step"] for sample in monitor.samples] == [1, 2, 3, 4, 4]  # the last one at the end
    for sample in monitor.samples:
        assert 0 <= sample["cpu_percent"] <= 100 and sample["cores"] >= 0
        assert sample["memory_bytes"] > 1e7 and sample["free_memory_bytes"] > 0
    if not torch.cuda.is_available():
        assert monitor.gpus == [] and monitor.absent and not any("gpu" in name for name in monitor.samples[0])


def test_the_monitor_reads_each_gpu(monkeypatch):
    from types import SimpleNamespace

    fake = SimpleNamespace(
        NVMLError=RuntimeError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda i: i, nvmlDeviceGetName=lambda i: f"GPU {i}",
        nvmlDeviceGetUtilizationRates=lambda i: SimpleNamespace(gpu=50 + i),
        nvmlDeviceGetMemoryInfo=lambda i: SimpleNamespace(used=1000 + i))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monitor = ResourceMonitor()
    for event in ("start", "step", "end"):
        assert monitor(event, SimpleNamespace(seconds=1.0, step=1)) is False
    (sample,) = monitor.samples  # the step came too soon
    assert monitor.gpus == ["GPU 0", "GPU 1"] and sample["gpu1_percent"] == 51
    assert sample["gpu1_memory_bytes"] == 1001
