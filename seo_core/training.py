"""Fine-tuning: one loop, on Accelerate.

    config = TrainingConfig.from_settings(settings)
    result = fit(model, train, development=development, config=config)
    result.series["development_accuracy"]          # one value per evaluation

The baseline of every comparison in the book (AdamW, linear warm-up and decay, clipping, dropout, weight decay, dynamic
padding, length-grouped batches, bf16 where the hardware computes it). The papers' protocol is the same loop with
`load_settings("paper")`. Where a step's time goes is measured in the chapter `bench_training`; the forward pass that
makes most of the difference is `seo_core.models.fastpath`. Started as several processes (`accelerate launch`), each
computes its share of every batch: `seo_core.distributed`.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from seo_core import distributed
from seo_core.checks import above, at_least, check, one_of
from seo_core.evaluation import MEASURES, measure, metrics_of, peak_memory_bytes, reset_peak_memory
from seo_core.files import atomic_folder, digest, remove, whole_folder, writing
from seo_core.machine import OtherLoad
from seo_core.models.fastpath import call, compute_dtype, forward_module
from seo_core.progress import Progress
from seo_core.settings import resolve_path

OPTIMIZERS = ("adamw", "sgd", "lamb")
LATER = ("accumulation", "checkpointing", "optimizer")  # fields that a TrainingConfig did not always have
PRECISIONS = ("auto", "bf16", "fp16", "fp32")
MOMENTUM = 0.9
CHECKPOINT_SECONDS = 60  # what a kill may cost at most, whatever the speed


class TrainingError(RuntimeError):
    """Training that cannot start, go on or be resumed; the message says what to do."""


class DivergedError(TrainingError):
    """A loss that is not finite."""


@dataclass(frozen=True)
class TrainingConfig:
    """How `fit` trains. Unknown keys raise, as for any dataclass."""

    learning_rate: float = above(0, default=1e-4)  # small encoders want more than BERT-base's 2e-5
    layer_decay: float = above(0, most=1, default=1.0)  # rate × this per layer below the head; 1: one rate for all
    epochs: int = at_least(1, default=3)
    batch_size: int = at_least(1, default=32)  # the papers' batch; several processes share it
    weight_decay: float = 0.01  # not on biases and LayerNorm, as in BERT
    warmup_fraction: float = 0.06  # of all steps; then linear decay to 0
    max_grad_norm: float = 1.0  # BERT's clipping
    freeze_embeddings: bool = True  # the word table: half of MiniLM's weights; for speed, and no worse
    precision: str = one_of(PRECISIONS, default="auto")  # fp16 scales its loss
    fast: bool = True  # the fast forward pass where the architecture is known to it; and two of its parts:
    first_token_only: bool = True  # the last layer computes what the classifier reads
    byte_dropout: bool = True  # masks from cheap random integers
    group: int = at_least(1, default=50)  # batches in a length-sorted pool: enough for tight padding
    evaluations_per_epoch: int = at_least(1, default=1)  # on the development slice
    checkpoint_every: int = at_least(1, default=200)  # steps; about half a minute on two cores
    seed: int = 0
    accumulation: int = at_least(1, default=1)  # parts of a batch, one after the other: less memory, the same step
    checkpointing: bool = False  # layers are computed again in the backward pass: less memory, more time
    optimizer: str = one_of(OPTIMIZERS, default="adamw")  # each wants a learning rate of its own

    def __post_init__(self):
        check(self)
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation must divide the batch, got {self.accumulation} parts of {self.batch_size} "
                             "examples")

    @classmethod
    def from_settings(cls, settings, **overrides) -> TrainingConfig:
        """The fields that a RunSettings has by the same name, with `overrides` on top."""
        shared = {k: v for k, v in settings.asdict().items() if k in cls.__dataclass_fields__}
        return cls(**{**shared, **overrides})


@dataclass
class TrainingResult:
    """What `fit` found, and whether it was stopped early.

    series: epoch (fractions of an epoch), train_loss, train_accuracy, development_loss, development_accuracy, all of
    equal length; train_loss and train_accuracy are means since the evaluation before, with dropout on. Where labels are
    scores there is no accuracy: development_pearson stands in its place, and of tags and answers development_f1.
    metrics: train_seconds (evaluation and checkpoints left out), train_examples, train_tokens, examples_per_second,
    peak_memory_bytes, and, of a process that is alone, other_load: how many cores other processes kept busy meanwhile,
    on average; in fp16 also skipped_steps (their gradients overflowed) and loss_scale, the last one."""

    series: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in SERIES})
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: bool = False


NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
SERIES = ("epoch", "train_loss", "train_accuracy", "development_loss", "development_accuracy")


def development_curve(series: dict[str, list[float]]) -> list[float]:
    """The curve on the development set that networks are chosen by: accuracy, of scores Pearson, of tags and answers
    F1; [] where there was no such set."""
    return next((series[name] for each in MEASURES if series.get(name := f"development_{each}")), [])


@dataclass
class TrainingState:
    """What a callback sees: the model, the step, and the running result. `loss` is the last step's."""

    model: torch.nn.Module
    config: TrainingConfig
    steps: int  # of the whole run
    train: object  # Encoded; a callback may put another of as many examples in its place, read from the next epoch on
    step: int = 0  # done so far
    epoch: float = 0.0
    loss: float = math.nan
    examples: int = 0
    tokens: int = 0
    seconds: float = 0.0
    result: TrainingResult = field(default_factory=TrainingResult)


class KeepBest:
    """A callback of `fit`: in the end the network is that of the evaluation with the highest `development_curve`,
    of equal ones the first. `epoch` is when that was. Raises TrainingError where `fit` has no
    development set."""

    def __init__(self):
        self.accuracy, self.epoch, self.weights = -1.0, 0.0, {}

    def __call__(self, event: str, state: TrainingState) -> bool:
        if event == "evaluation":
            curve = development_curve(state.result.series)
            if not curve:
                raise TrainingError("the best network is chosen on a development set: pass development=")
            if curve[-1] > self.accuracy:
                self.accuracy, self.epoch = curve[-1], state.epoch
                self.weights = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
        elif event == "end" and self.weights:
            state.model.load_state_dict(self.weights)
        return False

    def metrics(self) -> dict[str, float]:
        """For a record: when the network that was kept was evaluated."""
        return {"best_epoch": self.epoch}

    def series(self) -> dict[str, list]:
        """For a record: none of its own."""
        return {}

    def state_dict(self) -> dict:
        """For the checkpoint of `fit`: name -> tensor."""
        about = {"accuracy": torch.tensor(self.accuracy, dtype=torch.float64), "epoch": torch.tensor(self.epoch)}
        return {**about, **{f"weights.{name}": tensor for name, tensor in self.weights.items()}}

    def load_state_dict(self, kept: dict) -> None:
        """What `state_dict` gave."""
        self.accuracy, self.epoch = float(kept["accuracy"]), float(kept["epoch"])
        self.weights = {name: torch.as_tensor(value) for name, value in _below("weights.", kept).items()}


def classification_loss(logits, batch):
    """Cross-entropy of logits (B, k) against batch["labels"] (B,), of scores (k = 1) the mean squared error: the
    default loss of `fit`. Of `Windows` the mean over words, (B, T, k) against (B, T) with −1 for none, or over starts
    and ends, (B, 2, T) against (B, 2)."""
    if logits.ndim == 3:
        labels = batch["labels"].flatten()
        total = F.cross_entropy(logits.flatten(0, 1), labels, ignore_index=-1, reduction="sum")
        return total / (labels >= 0).sum().clamp(min=1)
    if logits.shape[-1] == 1:
        return F.mse_loss(logits[:, 0], batch["labels"].float())
    return F.cross_entropy(logits, batch["labels"])


def fit(model, train, *, config: TrainingConfig, development=None, loss: Callable = classification_loss,
        callbacks: Iterable[Callable] = (), checkpoint_dir: str | Path | None = None,
        progress: bool = True) -> TrainingResult:
    """Trains `model` in place on `train` (an Encoded) and returns its curves and costs.

    `loss(logits (B, k), batch)` returns a scalar; batch also holds "rows" (B,), the examples' positions in `train`.
    Where the loss is a Module its parameters are trained too, and its state is in the checkpoint; if it has a `collect`
    (a `fastpath.Collect`), the inner states that it asks for are in batch["states"], and token ids and masks in
    batch["inputs"]. A label of −1 is none: such rows do not count in train_accuracy. A callback is called as
    `callback(event, state)` with event "start", "step", "evaluation" or "end"; a true return value after a step or an
    evaluation stops training. One that collects something on the way has a `state_dict` (name -> array) and a
    `load_state_dict`, for the checkpoint. With `checkpoint_dir` the run saves itself every `checkpoint_every` steps, at
    least every CHECKPOINT_SECONDS, and on interruption between steps, and a second call goes on where the first one
    was, to the very same weights. progress: whether it says where it is (`seo_core.progress`).

    `config.accumulation` computes a batch in so many parts and sums their gradients, each weighted by its examples: the
    step of the whole batch, where the loss is a mean over examples. In fp16 the loss is scaled dynamically
    (Micikevicius et al. 2018, section 3.2): a step whose gradients overflow is skipped, moves no schedule, and halves
    the scale.

    Of several processes (`accelerate launch`) each computes its share of every batch, and their gradients are averaged:
    the step of the whole batch, up to rounding and to dropout, of which each draws its own. Losses, curves and stops
    are those of all; the first process writes checkpoints and progress. `checkpoint_dir` is a folder that all of them
    see, and as many go on from there; an interruption does not save, since the others may be at another step. FSDP and
    DeepSpeed split weights and optimizer over the processes: `model` gets the whole weights at evaluations and at the
    end, and callbacks see them only then.

    Raises TrainingError for an empty training set, a loss that is not finite, a network that cannot checkpoint, a batch
    that does not fit into memory (with one to try) or that so many processes cannot share, what FSDP and DeepSpeed do
    not know, or a checkpoint of another run, and ModelError for texts that the network cannot read."""
    if len(train) == 0:
        raise TrainingError("the training set is empty: check the data's cleaning report")
    from accelerate.utils import set_seed

    from seo_core.models.backbone import check_fits, freeze_embeddings

    for part in (train, development):
        if part is not None:
            check_fits(model, part)
    accelerator = distributed.accelerator(unused=getattr(loss, "collect", None) is not None)
    _check_shares(config.batch_size, accelerator.num_processes)
    set_seed(config.seed, device_specific=True)  # each process draws its own dropout
    if config.freeze_embeddings:
        if getattr(model, "random_weights", False):
            raise TrainingError("this model's word table is random, and freezing it would leave it so: train with "
                                "freeze_embeddings=False")
        freeze_embeddings(model)
    model.to(accelerator.device).train()
    module = loss if isinstance(loss, torch.nn.Module) else torch.nn.Module()
    module.to(accelerator.device).train()
    dtype = compute_dtype(config.precision, accelerator.device)
    sharded = distributed.sharded(accelerator)
    if sharded:
        _check_sharded(accelerator, config, dtype, module, checkpoint_dir)
    trained = copy.deepcopy(model) if sharded else model
    network = forward_module(trained, dtype, fast=config.fast, seed=config.seed + accelerator.process_index,
                             byte_dropout=config.byte_dropout, first_token_only=config.first_token_only,
                             checkpointing=config.checkpointing)
    if network is trained and getattr(module, "collect", None):
        raise TrainingError(f"this loss reads inner states, which the fast path of {type(model).__name__} cannot give: "
                            "use a loss on logits alone, or a BERT classifier with fast=True")
    if config.checkpointing:
        _check_checkpointing(trained, network)
    optimizer = make_optimizer(trained, config, accelerator.device, extra=module)
    trained.zero_grad()  # of a backward pass before: its gradients would be added, or clipped beside the first
    per_epoch = math.ceil(len(train) / config.batch_size)
    steps = per_epoch * config.epochs
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, linear_schedule(steps, config.warmup_fraction))
    stream = getattr(network, "random", None)  # prepare() may wrap the network
    wrapped, optimizer = distributed.prepare(accelerator, network, optimizer, config)
    if any(p.requires_grad for p in module.parameters()):
        loss = accelerator.prepare(module)
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=dtype == torch.float16)
    run = _Run(accelerator, model, wrapped, network is trained, sharded, dtype, stream, optimizer, scheduler, scaler,
               loss, module, config, per_epoch, TrainingState(model, config, steps, train), list(callbacks))
    checkpoint = None
    if checkpoint_dir:
        checkpoint = Checkpoint(checkpoint_dir, identity(config, train))
        checkpoint.restore(run)
    with _recomputing(trained) if run.stock and config.checkpointing else contextlib.nullcontext():
        return _loop(run, development, checkpoint, progress)


@contextlib.contextmanager
def _recomputing(model):
    """Meanwhile the layers of a stock network are computed again in the backward pass."""
    name = "activation" if hasattr(model, "activation_checkpointing_enable") else "gradient"  # from transformers 5.23
    getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        getattr(model, f"{name}_checkpointing_disable")()


def _check_checkpointing(model, network) -> None:
    """Raises TrainingError where layers cannot be computed again in the backward pass."""
    name, instead = type(model).__name__, "train it with checkpointing=False"
    if getattr(model, "quantizer", None) is not None:
        raise TrainingError(f"{name} with step sizes was not made for gradient checkpointing: {instead}")
    if network is model and not getattr(model, "supports_gradient_checkpointing", False):
        raise TrainingError(f"{name} cannot do gradient checkpointing: {instead}, or use accumulation")


def _check_shares(batch_size: int, world: int) -> None:
    """Raises TrainingError where so many processes cannot share a batch evenly."""
    if batch_size % world:
        fewer = next(n for n in range(world, 0, -1) if batch_size % n == 0)
        raise TrainingError(f"{world} processes cannot share batches of {batch_size} examples: use a batch_size that "
                            f"{world} divides, or start {fewer}")


def _check_sharded(accelerator, config: TrainingConfig, dtype, module, checkpoint_dir) -> None:
    """Raises TrainingError for what `fit` does not do where FSDP or DeepSpeed split the optimizer."""
    deepspeed = accelerator.distributed_type.value == "DEEPSPEED"
    wrong = {"checkpoint_dir": checkpoint_dir is not None, "a loss with parameters": any(module.parameters()),
             "fp16 (bf16 does)": dtype == torch.float16, "accumulation": deepspeed and config.accumulation > 1}
    if any(wrong.values()):
        raise TrainingError(f"{', '.join(name for name, is_so in wrong.items() if is_so)} does not go with "
                            f"{accelerator.distributed_type.value}: leave it out, or launch with "
                            "deploy/accelerate/ddp.yaml")


@dataclass
class _Run:
    """The live parts of one call of `fit`."""

    accelerator: object
    model: torch.nn.Module
    network: torch.nn.Module
    stock: bool  # network is the model itself, under autocast
    sharded: bool  # its weights are split over the processes: `model` is a copy, which `gather` brings up to date
    dtype: torch.dtype
    stream: object  # the dropout generator of the fast path, or None
    optimizer: object
    scheduler: object
    scaler: object  # of the loss, in fp16; else it does nothing
    loss: Callable
    module: torch.nn.Module  # the loss where it is a Module, else an empty one
    config: TrainingConfig
    per_epoch: int
    state: TrainingState
    callbacks: list[Callable]
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)  # since the last evaluation: loss, hits, n, labelled
    skipped: int = 0  # steps whose gradients overflowed in fp16

    def train_step(self, train, rows):
        """One optimizer step on the examples `rows`, of which each process takes its share; returns (loss, hits) of all
        of them, as tensors."""
        world = self.accelerator.num_processes
        taken, weight = distributed.share(rows, self.accelerator.process_index, world)
        parts, done = [part for part in np.array_split(taken, self.config.accumulation) if len(part)], []
        for part in parts:
            last = len(done) + 1 == len(parts)  # with it gradients are exchanged, once a step
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.network):
                done.append(self._backward(train, part, weight * len(part) / len(taken)))
        scale = self.scaler.get_scale()
        # the scaler knows torch's own optimizers alone
        optimizer = _raw(self.optimizer) if self.scaler.is_enabled() else self.optimizer
        self.scaler.unscale_(optimizer)
        trained = self.network if self.sharded else self.model
        self.accelerator.clip_grad_norm_([*trained.parameters(), *self.module.parameters()], self.config.max_grad_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < scale:
            self.skipped += 1
        else:
            self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        losses, hits = zip(*done, strict=True)
        return distributed.totals(self.accelerator, sum(losses) / world, sum(hits))

    def gather(self) -> None:
        """The weights of a network that is split over the processes, in `model`."""
        if self.sharded:
            distributed.gather_weights(self.accelerator, self.network, self.model)

    def _backward(self, train, rows, weight: float):
        """Adds the gradients of a part of a batch, that share of it, to those there; -> its share of the loss, hits."""
        batch = train.batch(rows, self.accelerator.device)
        inputs = {k: v for k, v in batch.items() if k != "labels"}
        batch["rows"] = torch.from_numpy(np.asarray(rows))
        collect = getattr(self.module, "collect", None)
        if collect:
            batch["inputs"] = inputs
            inputs = {**inputs, "collect": collect}
        logits = call(self.network, inputs, self.dtype, self.stock)
        if collect:
            logits, batch["states"] = logits
        loss = self.loss(logits, batch)
        loss = loss if weight == 1 else loss * weight
        self.accelerator.backward(self.scaler.scale(loss))
        return loss.detach(), (logits.detach().argmax(-1) == batch["labels"]).sum() * (weight > 0)


def _loop(run: _Run, development, checkpoint, progress) -> TrainingResult:
    state, config, callbacks = run.state, run.config, run.callbacks
    first, alone = run.accelerator.is_main_process, run.accelerator.num_processes == 1
    marks = {math.ceil(run.per_epoch * (i + 1) / config.evaluations_per_epoch)
             for i in range(config.evaluations_per_epoch)}
    reset_peak_memory()
    elsewhere = OtherLoad()
    _call(callbacks, "start", state)
    watch = Progress("training", state.steps, "step", done=state.step, how=_how(run), shown=progress and first)
    saved = time.monotonic()
    whole = True  # whether a step is done with all that belongs to it: only from there a second call can go on
    try:
        while state.step < state.steps and not state.result.stopped:
            epoch, position = divmod(state.step, run.per_epoch)
            train = state.train
            batches = length_grouped_batches(train.lengths, config.batch_size, seed=(config.seed, epoch),
                                             group=config.group)
            for rows in batches[position:]:
                began, whole = time.perf_counter(), False
                with _enough_memory(config.batch_size, train.lengths[rows]):
                    value, hits = run.train_step(train, rows)
                state.loss = float(value)
                state.seconds += time.perf_counter() - began
                _account(run, train, rows, state.loss, int(hits))
                watch.step(f"loss {state.loss:.3f}, {state.examples / state.seconds:.0f} examples/s")
                evaluated = (state.step - 1) % run.per_epoch + 1 in marks
                whole = not evaluated
                stop = _call(callbacks, "step", state)
                if evaluated:
                    _evaluate(run, development, progress and first)
                    stop = _call(callbacks, "evaluation", state) or stop
                    whole = True
                due = state.step % config.checkpoint_every == 0 or time.monotonic() - saved >= CHECKPOINT_SECONDS
                stop, due = distributed.agreed(run.accelerator, stop, due)
                if checkpoint and (due or state.step == state.steps or stop):
                    checkpoint.save(run)
                    saved = time.monotonic()
                if stop:
                    state.result.stopped = True
                    break
    except KeyboardInterrupt:
        if checkpoint and whole and alone:
            checkpoint.save(run)
        raise
    finally:
        watch.close()
    state.result.metrics.update(
        train_seconds=state.seconds, train_examples=state.examples, train_tokens=state.tokens,
        examples_per_second=state.examples / max(state.seconds, 1e-9), peak_memory_bytes=peak_memory_bytes())
    if alone:
        state.result.metrics["other_load"] = elsewhere.cores()
    if run.scaler.is_enabled():
        state.result.metrics.update(skipped_steps=run.skipped, loss_scale=run.scaler.get_scale())
    run.gather()
    _call(callbacks, "end", state)
    run.model.__dict__.pop("fresh_head", None)
    run.model.eval()
    return state.result


@contextlib.contextmanager
def _enough_memory(batch_size: int, lengths: np.ndarray):
    """Turns whatever says that memory is at its end into one TrainingError with the batch size to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError; a CPU has no kind of it
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            raise
        advice = (f"use batch_size={batch_size // 2} (half) or less, or a smaller max_length" if batch_size > 1 else
                  "use a smaller max_length, or a smaller network")
        raise TrainingError(f"a batch of {batch_size} texts of up to {lengths.max(initial=0)} tokens does not fit into "
                            f"memory: {advice}") from error


def _how(run: _Run) -> str:
    """In which numbers a training computes, on how many threads."""
    slow = run.config.precision == "auto" and run.dtype == torch.float32 and run.accelerator.device.type == "cpu"
    count = run.accelerator.num_processes
    return (f"{NAMES[run.dtype]} on {torch.get_num_threads()} threads" + (f" of {count} processes" if count > 1 else "")
            + (": no bf16 here, about five times slower" if slow else ""))


def _account(run: _Run, train, rows, loss: float, hits: int) -> None:
    state = run.state
    if not math.isfinite(loss):
        raise DivergedError(f"the loss is {loss} at step {state.step + 1}: lower the learning rate "
                            f"(now {run.config.learning_rate:g}) or use precision='fp32'")
    state.step += 1
    state.epoch = state.step / run.per_epoch
    state.examples += len(rows)
    state.tokens += int(train.lengths[rows].sum())
    for i, value in enumerate((loss * len(rows), hits, len(rows), int((train.labels[rows] >= 0).sum()))):
        run.sums[i] += value


def _evaluate(run: _Run, development, progress: bool) -> None:
    state, (loss, hits, count, labelled) = run.state, run.sums
    row = {"epoch": round(state.epoch, 4), "train_loss": loss / count}
    if state.train.labels.dtype.kind != "f":
        row["train_accuracy"] = hits / max(labelled, 1)
    run.gather()
    if development is not None and len(development):
        logits = distributed.predict(run.accelerator, run.model, development, precision=run.config.precision,
                                     progress=progress)
        metrics = metrics_of(logits, development)
        name = measure(metrics)
        loss = metrics["mse" if name == "pearson" else "cross_entropy"]
        row |= {"development_loss": loss, f"development_{name}": metrics[name]}
    for key, value in row.items():
        state.result.series.setdefault(key, []).append(value)
    run.sums[:] = [0.0] * 4
    run.model.train()


def _call(callbacks, event: str, state: TrainingState) -> bool:
    return any([callback(event, state) for callback in callbacks])  # a list: all of them are called


def length_grouped_batches(lengths: np.ndarray, batch_size: int, *, seed, group: int = 50) -> list[np.ndarray]:
    """Row numbers of each batch of one epoch: every row once, rows of like length together, order random. Rows are
    shuffled, cut into pools of `group` batches, sorted by length within a pool and cut into batches, and the batches
    are shuffled. lengths (n,) -> ceil(n / batch_size) arrays."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lengths))
    pool = batch_size * group
    pools = [order[i : i + pool] for i in range(0, len(order), pool)]
    order = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def linear_schedule(steps: int, warmup_fraction: float) -> Callable[[int], float]:
    """step -> factor on the learning rate: 0 to 1 over the warm-up, then linearly back to 0."""
    warmup = max(1, round(steps * warmup_fraction))
    return lambda step: min((step + 1) / warmup, max(0.0, (steps - step) / max(1, steps - warmup)))


def make_optimizer(model, config: TrainingConfig, device, extra=None) -> torch.optim.Optimizer:
    """The optimizer over what is trainable; no decay on vectors (biases, LayerNorm).

    "adamw": fused AdamW (Loshchilov & Hutter 2019). "sgd": SGD with MOMENTUM, decay in the gradient. "lamb": LAMB (You
    et al. 2020, algorithm 2): AdamW's update, decay included, of each tensor is stretched to the length of the tensor,
    w ← w − η ‖w‖ / ‖u‖ u; without bias correction, as in the paper's last version.

    With `config.layer_decay` γ < 1 the rates are discriminative (Howard & Ruder 2018, section 3.2, which divides by 2.6
    per layer): head and pooler learn at the full rate η, the layer d below them at η γ^d, the embeddings at η γ^(layers
    + 1). Two groups per depth, top first; γ = 1 gives those of ordinary AdamW. `extra`: a module (a loss) whose
    parameters learn beside the head's. Raises ValueError where γ < 1 and the parameters' names show no layers, and
    TrainingError where LAMB is not installed."""
    trainable = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    depths = layer_depths(model) if config.layer_decay < 1 else dict.fromkeys((n for n, _ in trainable), 0)
    added, groups = [p for p in extra.parameters() if p.requires_grad] if extra else [], []
    for depth in sorted({0, *(depths[n] for n, _ in trainable)}):
        members = [p for n, p in trainable if depths[n] == depth] + (added if depth == 0 else [])
        rate = config.learning_rate * config.layer_decay**depth
        groups += [{"params": [p for p in members if p.ndim > 1], "weight_decay": config.weight_decay, "lr": rate},
                   {"params": [p for p in members if p.ndim <= 1], "weight_decay": 0.0, "lr": rate}]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=MOMENTUM)
    if config.optimizer == "lamb":
        try:
            from pytorch_optimizer import Lamb
        except ImportError as error:
            raise TrainingError("LAMB needs the package pytorch-optimizer: pip install -c constraints.txt -e "
                                "\".[train]\", or use optimizer='adamw'") from error
        return Lamb([group for group in groups if group["params"]], lr=config.learning_rate, weight_decouple=False,
                    adam_debias=True)  # else it divides the stretched step by 1 − β₁ᵗ: the first ten times too long
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=device.type in ("cpu", "cuda"))


def layer_depths(model) -> dict[str, int]:
    """Parameter name -> depth below the head: 0 head and pooler, 1 the top layer, layers + 1 the embeddings. Raises
    ValueError where the names have no numbered layers (".layer.3." or the like)."""
    names = [name for name, _ in model.named_parameters()]
    numbers = {name: re.search(r"\.(?:layers?|h|blocks?)\.(\d+)\.", name) for name in names}
    if not any(numbers.values()):
        raise ValueError(f"{type(model).__name__} has no numbered layers, so no rate can go by the layer: "
                         "train it with layer_decay=1.0")
    top = max(int(number[1]) for number in numbers.values() if number)
    return {name: top + 1 - int(number[1]) if number else top + 2 if "embed" in name else 0
            for name, number in numbers.items()}


def identity(config: TrainingConfig, train) -> str:
    """16 hex digits over what a training is of: its configuration and its examples, an Encoded. What the configuration
    got later is left out where it is not changed: a checkpoint from before goes on."""
    about = {each.name: getattr(config, each.name) for each in fields(config)
             if each.name not in LATER or getattr(config, each.name) != each.default}
    return digest(about, train.ids, train.offsets, train.labels, length=16)


def checkpoint_folder(settings, experiment: str) -> Path:
    """Where a chapter's run saves itself: hidden, beside the records, one folder per setting and seed."""
    name = digest(settings.asdict(), length=8)
    return resolve_path(settings.results_dir) / settings.profile / ".checkpoints" / f"{experiment}-{name}"


def discard_checkpoint(folder: str | Path) -> None:
    """Removes a run's checkpoint once its record is written; an absent one is no error."""
    remove(Path(folder))


class Checkpoint:
    """One resumable run in a folder: safetensors and JSON only, replaced whole or not at all. `last/` holds weights,
    optimizer moments, both random states, the step and the curves so far; `identity` must be equal to resume it."""

    def __init__(self, folder: str | Path, identity: str):
        self.folder, self.identity = Path(folder), identity

    def save(self, run: _Run) -> None:
        """Writes a new checkpoint beside the old one, then swaps them: the main process. The others call it too, and
        give it their random states."""
        from accelerate.utils import gather_object
        from safetensors.torch import save_file

        streams = gather_object([(torch.get_rng_state(), run.stream.state_dict() if run.stream else None)])
        if not run.accelerator.is_main_process:
            return
        state = run.state
        tensors = {f"{part}.{k}": v.contiguous().clone()
                   for part, module in (("model", run.model), ("loss", run.module))
                   for k, v in module.state_dict().items()}
        for i, slots in _raw(run.optimizer).state_dict()["state"].items():
            tensors.update({f"optimizer.{i}.{k}": torch.as_tensor(v).contiguous().clone() for k, v in slots.items()
                            if v is not None})
        for i, callback in enumerate(run.callbacks):
            if hasattr(callback, "load_state_dict"):
                tensors.update({f"callback.{i}.{k}": torch.as_tensor(v) for k, v in callback.state_dict().items()})
        tensors |= {_stream(i): rng for i, (rng, _) in enumerate(streams)}
        meta = {"identity": self.identity, "step": state.step, "examples": state.examples, "tokens": state.tokens,
                "seconds": state.seconds, "sums": run.sums, "series": state.result.series,
                "stopped": state.result.stopped, "dropout": streams[0][1]}
        if len(streams) > 1:
            meta["dropouts"] = [dropout for _, dropout in streams]
        if steps := [group["step"] for group in _raw(run.optimizer).param_groups if "step" in group]:
            meta["optimizer_steps"] = steps  # LAMB counts them there
        if run.scaler.is_enabled():
            meta |= {"skipped": run.skipped, "scaler": run.scaler.state_dict()}
        with (writing(f"the checkpoint to {self.folder}", TrainingError,
                      "or pass another checkpoint_dir; the checkpoint before this one is untouched"),
              atomic_folder(self.folder / "last") as partial):
            save_file(tensors, partial / "state.safetensors")
            (partial / "state.json").write_text(json.dumps(meta))

    def restore(self, run: _Run) -> None:
        """Loads the newest whole checkpoint into `run`, where there is one."""
        from safetensors.torch import load_file

        source = whole_folder(self.folder / "last")
        if source is None:
            return
        try:
            meta = json.loads((source / "state.json").read_text())
            tensors = load_file(source / "state.safetensors")
        except Exception as error:
            raise TrainingError(f"the checkpoint in {source} cannot be read ({error}): delete that folder to "
                                "start anew") from error
        if meta["identity"] != self.identity:
            raise TrainingError(f"the checkpoint in {self.folder} belongs to another configuration or other data: "
                                "delete that folder, or pass another checkpoint_dir")
        rank, world = run.accelerator.process_index, run.accelerator.num_processes
        dropouts = meta.get("dropouts", [meta["dropout"]])
        if len(dropouts) != world:
            raise TrainingError(f"the checkpoint in {self.folder} was written by {len(dropouts)} process"
                                f"{'es' if len(dropouts) > 1 else ''} and this run has {world}: start as many, delete "
                                "that folder, or pass another checkpoint_dir")
        for part, module in (("model.", run.model), ("loss.", run.module)):
            module.load_state_dict(_below(part, tensors))
        optimizer, slots = _raw(run.optimizer), {}
        for key, value in _below("optimizer.", tensors).items():
            number, name = key.split(".")
            slots.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        for group, done in zip(optimizer.param_groups, meta.get("optimizer_steps", []), strict=False):
            group["step"] = done
        for i, callback in enumerate(run.callbacks):
            if kept := _below(f"callback.{i}.", tensors):
                callback.load_state_dict({k: v.numpy() for k, v in kept.items()})
        state = run.state
        for name in ("step", "examples", "tokens", "seconds"):
            setattr(state, name, meta[name])
        state.epoch = state.step / run.per_epoch
        state.result.series, state.result.stopped, run.sums = meta["series"], meta["stopped"], meta["sums"]
        if run.scaler.is_enabled():
            run.skipped = meta["skipped"]
            run.scaler.load_state_dict(meta["scaler"])
        run.scheduler.last_epoch = state.step - run.skipped
        for group, base, factor in zip(optimizer.param_groups, run.scheduler.base_lrs, run.scheduler.lr_lambdas,
                                       strict=True):
            group["lr"] = base * factor(state.step - run.skipped)
        torch.set_rng_state(tensors[_stream(rank)])
        if run.stream:
            run.stream.load_state_dict(dropouts[rank])


def _below(prefix: str, tensors: dict) -> dict:
    """Those whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _stream(rank: int) -> str:
    """Where a checkpoint has torch's random state of a process."""
    return f"torch_rng.{rank}" if rank else "torch_rng"


def _raw(optimizer):
    """The torch optimizer inside Accelerate's wrapper."""
    return getattr(optimizer, "optimizer", optimizer)
