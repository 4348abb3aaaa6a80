"""What the processes of the tests of distributed training do: a script for `accelerate launch`, functions for `launch`.

    accelerate launch --config_file deploy/accelerate/ddp.yaml tests/several.py JOB OUT

JOB: a pickle of `train`'s arguments. OUT: where the first process writes what it found, as pickle.
"""

import os
import pickle
import sys
from pathlib import Path

import torch

from seo_core import distributed
from seo_core.training import fit


def train(model, pairs, config, checkpoint=None, dies=None, development=None, keep=None):
    """(series, weights, metrics) of a training; dies: (rank, step, how) for a process that does not reach its end."""
    def accident(event, state):
        rank = int(os.environ.get("RANK", 0))
        if dies and event == "step" and (rank, state.step) == dies[:2]:
            if dies[2] == "killed":
                os.kill(os.getpid(), 9)
            raise ValueError("the disk is gone")

    result = fit(model, pairs, config=config, checkpoint_dir=checkpoint, development=development, progress=False,
                 callbacks=[accident, *([keep] if keep else [])])
    return result.series, {name: value.clone() for name, value in model.state_dict().items()}, result.metrics


def scores(model, pairs):
    """Logits of all rows, shared among the processes, and how many rows this one computed."""
    accelerator = distributed.accelerator()
    return distributed.predict(accelerator, model, pairs, progress=False), accelerator.process_index


def as_if_on_gpus():
    """Accelerate shards on GPUs alone; what it then asks of torch works on CPUs, by gloo, too."""
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def each(*calls):
    """What each (function, arguments) returns, one after the other."""
    return [function(*arguments) for function, arguments in calls]


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "AS_IF_ON_GPUS" in os.environ:
        as_if_on_gpus()
    found = train(**pickle.loads(Path(sys.argv[1]).read_bytes()))
    if int(os.environ.get("RANK", 0)) == 0:
        Path(sys.argv[2]).write_bytes(pickle.dumps((*found, int(os.environ.get("WORLD_SIZE", 1)))))
