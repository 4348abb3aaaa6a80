"""SQD: quantization and distillation in one loss.

    sqd = SynergisticQuantizationDistillation(SQDConfig())
    result = sqd(student, train, targets, training=config, teacher=None)
    result.model, result.scales, result.trace["alpha"]

The papers' equation (4) is

    L_SQD = L_Q(θ_q) + α L_KD(θ_q, θ_t),

where "L_Q is the quantization loss, L_KD is the knowledge distillation loss […] and α is a weighting factor": no
formula for any of them. Our reading. The student runs with fake-quantized weights and activations throughout
(`seo_core.quantization.qat`), θ_t is the fp32 teacher, and

    L_Q  = CE(θ_q; y) + γ · mean over the linear maps of ‖ŵ − w‖² / ‖w‖²         task loss and quantization error;
                                                                                 the maps take turns, one a step
    L_KD = τ² KL(p_t ‖ p_q), and hidden states and relations where asked for      see `seo_core.distillation.losses`
    α    = α_low + (α_high − α_low) · clip(gap / gap_0, 0, 1)

The gap is how far the quantized student is behind its teacher on the labelled pairs of the batches, as a running
mean of CE(θ_q) − CE(θ_t); gap_0 = ln k − CE(θ_t) is what it is for a student that knows nothing. A student at chance
listens to its teacher with α_high, one that has caught up with α_low. α is a number, not a variable: no gradient
passes through it. With α_low = α_high it is the constant of the paper's equation.

Measured (real MNLI, four layers, labelled pairs alone, one seed): no better than the same student distilled in fp32
and rounded afterwards with calibrated ranges (`kd-ptq`; matched +0.14 [−0.22, 0.50] points, mismatched −0.54 [−0.92,
−0.17]), and 0.9 points better than training in integers without a teacher (`qat`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from seo_core.checks import at_least, check
from seo_core.distillation.losses import Distillation, DistillationConfig, DistillationError, hard_loss
from seo_core.quantization import qat
from seo_core.quantization.calibration import CalibrationConfig, calibrate
from seo_core.quantization.scheme import linear_maps
from seo_core.training import fit


@dataclass(frozen=True)
class SQDConfig:
    """Equation (4)'s free choices."""

    alpha_low: float = at_least(0, default=1.0)  # α of a student that has caught up: labels and teacher alike
    alpha_high: float = at_least(0, default=4.0)  # α of one that knows nothing
    smoothing: float = at_least(0, below=1, default=0.98)  # of the gap's running mean: about the last 50 batches
    error: float = at_least(0, default=1.0)  # γ; at 8 bits the error is of the order 1e-4, so it only breaks ties
    distillation: DistillationConfig = field(default_factory=DistillationConfig)  # its `weight` is not used: α weighs
    calibration: object = None  # quantization.CalibrationConfig of the first ranges; None: its defaults with 7 bits

    def __post_init__(self):
        check(self)
        if self.alpha_low > self.alpha_high:
            raise ValueError(f"alpha_low must be at most alpha_high, got {self.alpha_low!r} and {self.alpha_high!r}")


@dataclass(frozen=True)
class SQDResult:
    """A quantized student: the network with its step sizes attached, and what happened."""

    model: object
    scales: object  # quantization.Scales, for the export
    trace: dict[str, list[float]]  # by window of the run: epoch, alpha, gap, loss_q, loss_kd, error
    training: object  # TrainingResult


def alpha_of(gap: float, reference: float, config: SQDConfig) -> float:
    """α from the gap: α_low at 0 and below, α_high at `reference` and above, linear between."""
    share = min(max(gap / reference, 0.0), 1.0) if reference > 0 else 1.0
    return config.alpha_low + (config.alpha_high - config.alpha_low) * share


class SQDLoss(torch.nn.Module):
    """L_Q + α L_KD for `fit`. targets: the teacher's logits (n, k) on `train`; the state is part of a checkpoint.
    Raises DistillationError where no row is labelled: the gap is measured on labels."""

    WINDOWS = 24  # points of the trace
    NAMES = ("alpha", "gap", "loss_q", "loss_kd", "error")

    def __init__(self, model, train, targets: np.ndarray, *, config: SQDConfig, steps: int, teacher=None,
                 tokenizers=None):
        super().__init__()
        truth = torch.from_numpy(np.asarray(train.labels))
        labelled = truth >= 0
        if not labelled.any():
            raise DistillationError("SQD has a task loss, and no row of the training set is labelled: add labelled "
                                    "pairs, or distil alone (Distillation)")
        self.config, self.steps, self._model, self.maps = config, steps, (model,), list(linear_maps(model))
        parts = replace(config.distillation, weight=1.0)  # soft labels alone; L_Q has the labels
        self.kd = Distillation(model, train, targets=targets, teacher=teacher, config=parts, tokenizers=tokenizers)
        logits = torch.from_numpy(np.asarray(targets, np.float32))
        self.collect = self.kd.collect  # the inner states that L_KD reads, if any
        self.teacher_loss = torch.nn.functional.cross_entropy(logits, truth.clamp_min(0), reduction="none")  # (n,)
        self.reference = math.log(logits.shape[1]) - float(self.teacher_loss[labelled].mean())  # gap_0
        self.register_buffer("gap", torch.tensor(self.reference, dtype=torch.float64))
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("sums", torch.zeros(self.WINDOWS, len(self.NAMES) + 1, dtype=torch.float64))

    @property
    def alpha(self) -> float:
        """α as the gap now says."""
        return alpha_of(float(self.gap), self.reference, self.config)

    def forward(self, logits, batch) -> torch.Tensor:
        """logits (B, k) and the batch of `fit` -> L_SQD, a scalar."""
        labels = batch["labels"]
        task = hard_loss(logits, labels)
        turn = self.maps[int(self.step) % len(self.maps)]  # one map a step: a round of them is the mean
        error = self._model[0].quantizer.error(self._model[0], [turn])
        loss_q, loss_kd = task + self.config.error * error, self.kd(logits, batch)
        known = labels.cpu() >= 0
        if self.training and known.any():  # gap ← β gap + (1 − β) (CE(θ_q) − CE(θ_t)) over the labelled rows
            student_loss = float(task.detach()) * len(known) / int(known.sum())  # hard_loss divides by all rows
            gap = student_loss - float(self.teacher_loss[batch["rows"].cpu()][known].mean())
            self.gap.mul_(self.config.smoothing).add_((1 - self.config.smoothing) * gap)
        alpha, window = self.alpha, min(int(self.step) * self.WINDOWS // max(self.steps, 1), self.WINDOWS - 1)
        noted = [alpha, *(float(value.detach()) for value in (self.gap, loss_q, loss_kd, error)), 1.0]
        self.sums[window] += torch.tensor(noted, dtype=torch.float64, device=self.sums.device)
        self.step += 1
        return loss_q + alpha * loss_kd

    def trace(self, epochs: float) -> dict[str, list[float]]:
        """Window means over a run of `epochs`: "epoch" (at the window's end), and those of NAMES."""
        seen = torch.nonzero(self.sums[:, -1])[:, 0].tolist()
        means = (self.sums[seen, :-1] / self.sums[seen, -1:]).T.tolist()
        return {"epoch": [float(epochs * (window + 1) / self.WINDOWS) for window in seen],
                **dict(zip(self.NAMES, means, strict=True))}


class SynergisticQuantizationDistillation:
    """SQD: trains a student in integers under its fp32 teacher's guidance; see the module for the equation."""

    def __init__(self, config: SQDConfig | None = None):
        self.config = config or SQDConfig()

    def __call__(self, student, train, targets: np.ndarray, *, training, text=None, teacher=None, tokenizers=None,
                 development=None, checkpoint_dir: str | Path | None = None, progress: bool = True) -> SQDResult:
        """Trains `student` in place on `train` and returns it, its scales and the trace.

        targets (n, k): the teacher's logits on `train` (`cached_logits`). training: TrainingConfig. text: an Encoded
        that gives the first activation ranges (default: `train`, of which calibration takes some); a student with step
        sizes keeps its own. teacher: the network, for hidden states and relations. checkpoint_dir as for `fit`. Raises
        DistillationError, QuantizationError and TrainingError.
        """
        if not hasattr(student, "quantizer"):
            how = self.config.calibration or CalibrationConfig(weight_bits=7)  # cannot saturate, wherever steps go
            qat.attach(student, calibrate(student, train if text is None else text, how))
        steps = math.ceil(len(train) / training.batch_size) * training.epochs
        loss = SQDLoss(student, train, targets, config=self.config, steps=steps, teacher=teacher, tokenizers=tokenizers)
        fitted = fit(student, train, config=training, loss=loss, development=development,
                     checkpoint_dir=checkpoint_dir, progress=progress)
        return SQDResult(student, qat.scales(student), loss.trace(training.epochs), fitted)
