"""What is compared: each arm is a name, a recipe and a function; a lab makes runs of them.

    from seo_core.arms import open_lab

    lab = open_lab("06_active_learning", settings)
    runs = lab.run(["random", "hybrid"], labels=[2000])

baseline.py has the network that every chapter on compression starts from; transfer.py, acquisition.py, augmentation.py
and self_training.py the arms of the chapters on data; pruning.py, quantization.py and distillation.py those on
compression; texts.py what several of them read; costs.py what a result cost, all that it needed included.
"""

from seo_core.arms import (  # each declares its arms
    acquisition,
    augmentation,
    baseline,
    distillation,
    pruning,
    quantization,
    self_training,
    transfer,
)
from seo_core.lab.arm import ARMS, check_arms, known, steps
from seo_core.lab.ground import Lab, open_lab
from seo_core.lab.run import LabError, Run

check_arms()

__all__ = ["ARMS", "Lab", "LabError", "Run", "acquisition", "augmentation", "baseline", "distillation", "known",
           "open_lab", "pruning", "quantization", "self_training", "steps", "transfer"]
