"""Several processes, one training: what `fit` needs of Accelerate to share a batch; starting processes, and watching.

    g = (1/p) Σ_r g_r,    g_r = (p / B) Σ_{i ∈ share r} ∇L_i

Of a batch of B examples each of p processes takes those at r, r + p, r + 2p, …, and the average of their gradients is
that of the whole batch (data parallelism; Li et al. 2020, "PyTorch Distributed"). A script that calls `fit` needs no
other line:

    accelerate launch --config_file deploy/accelerate/ddp.yaml train.py

Bhat and Dharani (2024) name Horovod for this; here it is PyTorch's DistributedDataParallel, on gloo where there is no
GPU and on NCCL where there is one.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable

import numpy as np
import psutil
import torch

from seo_core import evaluation


class DistributedError(RuntimeError):
    """Processes that cannot start, or one of them that failed; the message says which, and why."""


def accelerator(*, unused: bool = False):
    """Accelerate's object for this process, one of those that `accelerate launch`, torchrun or `launch` started.
    unused: whether a step may leave parameters without a gradient.

    Without a GPU it has to be told that processes on CPUs belong together: else each trains alone, on all of the data,
    and nobody notices. `TrainingConfig.precision` alone says what is computed in: Accelerate keeps one state for a
    process, and after another's training in it (a Trainer's in bf16) it would put that one's autocast around ours."""
    from accelerate import Accelerator, DistributedDataParallelKwargs

    on_cpus = "LOCAL_RANK" in os.environ and not torch.cuda.is_available()
    made = Accelerator(cpu=on_cpus, kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)])
    made.native_amp, made.scaler = False, None
    for name in ("FSDP", "DEEPSPEED"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true" and made.distributed_type.value != name:
            raise DistributedError(f"Accelerate does {name} on GPUs alone, and there is none: launch with "
                                   "deploy/accelerate/ddp.yaml")
    return made


def sharded(accelerator) -> bool:
    """Whether no process holds the whole network: under FSDP and DeepSpeed."""
    return accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")


def prepare(accelerator, network, optimizer, config) -> tuple:
    """(network, optimizer) as Accelerate wraps them. DeepSpeed has to be told a process's share of a batch, and clips
    by itself. config: a TrainingConfig."""
    if accelerator.distributed_type.value == "DEEPSPEED":
        accelerator.state.deepspeed_plugin.deepspeed_config |= {
            "train_micro_batch_size_per_gpu": config.batch_size // accelerator.num_processes,
            "gradient_clipping": config.max_grad_norm}
    return accelerator.prepare(network, optimizer)


def gather_weights(accelerator, network, model) -> None:
    """Puts the weights of a `network` that is split over the processes together in `model`, in each of them."""
    from accelerate.utils import broadcast

    whole = accelerator.get_state_dict(network)  # of FSDP in the first process alone
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if accelerator.is_main_process:
                tensor.copy_(whole[name if name in whole else f"model.{name}"])  # the fast path calls it so
            broadcast(tensor)


def share(rows: np.ndarray, rank: int, world: int) -> tuple[np.ndarray, float]:
    """A process's rows of a batch, and the weight of their mean loss: the average over the processes is then the mean
    over the batch, even where one has a row more. With fewer rows than processes the last ones get a row that weighs
    nothing: gradients are exchanged by all or by none."""
    taken = rows[rank::world]
    return (taken, world * len(taken) / len(rows)) if len(taken) else (rows[:1], 0.0)


def totals(accelerator, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Scalars, each summed over the processes, in one exchange; those of a process that is alone as they are."""
    if accelerator.num_processes == 1:
        return values
    return tuple(accelerator.reduce(torch.stack([value.float() for value in values]), "sum"))


def agreed(accelerator, *flags: bool) -> tuple[bool, ...]:
    """Each flag as true for all processes where it is for one: who stops or saves must not be alone."""
    if accelerator.num_processes == 1:
        return flags
    counts = accelerator.reduce(torch.tensor(flags, dtype=torch.float32, device=accelerator.device), "sum")
    return tuple(count > 0 for count in counts.tolist())


def predict(accelerator, model, encoded, **options) -> np.ndarray:
    """As `evaluation.predict`, each process with its share of the rows: logits (n, k), whole in all of them. Tags and
    answers, whose logits are as long as the texts, are predicted whole by each."""
    from accelerate.utils import gather_object

    rank, world = accelerator.process_index, accelerator.num_processes
    if world == 1 or np.ndim(encoded.labels) > 1:
        return evaluation.predict(model, encoded, **options)
    taken = np.arange(rank, len(encoded), world)
    logits = np.zeros((len(encoded), model.config.num_labels), dtype=np.float32)
    for rows, part in gather_object([(taken, evaluation.predict(model, encoded.take(taken), **options))]):
        logits[rows] = part
    return logits


def launch(function: Callable, *arguments, processes: int = 2, threads: int = 1) -> list:
    """What `function(*arguments)` returns in each of so many new processes of this machine, by rank; inside, `fit`
    shares its batches among them. function: one that can be imported, since they begin anew. threads: of each.

    Raises DistributedError with the first error of a process; the others are stopped then."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=processes, run_id=uuid.uuid4().hex,
                          rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0, monitor_interval=0.1,
                          start_method="spawn")
    try:
        results = elastic_launch(config, _worker)(function, arguments, threads)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        said = failure.message["message"] if isinstance(failure.message, dict) else failure.message
        raise DistributedError(f"process {rank} of {processes} failed: {said.strip().splitlines()[-1]}") from None
    return [results[rank] for rank in range(processes)]


def _worker(function, arguments, threads):
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for Accelerate, which else takes what it thinks best
    torch.set_num_threads(threads)
    try:
        return function(*arguments)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


class ResourceMonitor:
    """A callback of `fit` that looks at this process and its machine every `every` seconds, after a step: a dict each
    in `samples`, with

    seconds (of training), step, cpu_percent (of all cores, by all processes), cores (that this process kept busy),
    memory_bytes (resident set), free_memory_bytes (of the machine); for GPU i gpu{i}_percent and gpu{i}_memory_bytes.

    By psutil and NVML (nvidia-ml-py). `gpus` names the GPUs; without one it is empty, and `absent` says why."""

    def __init__(self, every: float = 1.0):
        self.every, self.samples, self.process = every, [], psutil.Process()
        self.gpus, self.absent = [], ""
        try:
            import pynvml

            pynvml.nvmlInit()
            self.handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
            self.gpus = [pynvml.nvmlDeviceGetName(handle) for handle in self.handles]
        except ImportError:
            self.absent = "the package nvidia-ml-py is not installed"
        except pynvml.NVMLError as error:
            self.absent = str(error)

    def __call__(self, event: str, state) -> bool:
        now = time.monotonic()
        if event == "start":
            self._look()  # from here on: psutil counts since the call before
            self.last = now
        elif event == "end" or event == "step" and now - self.last >= self.every:
            self.last = now
            self.samples.append({"seconds": state.seconds, "step": state.step, **self._look()})
        return False

    def _look(self) -> dict[str, float]:
        sample = {"cpu_percent": psutil.cpu_percent(), "cores": self.process.cpu_percent() / 100,
                  "memory_bytes": self.process.memory_info().rss,
                  "free_memory_bytes": psutil.virtual_memory().available}
        if self.gpus:
            import pynvml

            for i, handle in enumerate(self.handles):
                sample[f"gpu{i}_percent"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
                sample[f"gpu{i}_memory_bytes"] = pynvml.nvmlDeviceGetMemoryInfo(handle).used
        return sample
