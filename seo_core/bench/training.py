"""Benchmark of training: our loop, without one of its tricks at a time, and Hugging Face's Trainer on the same pairs.

    outcome = bench.measure("training", settings, rounds=3)
    outcome.table                                                 # speeds, and ratios to the tuned Trainer

A contestant is a function that trains once, with its argument as seed, and returns a `Turn`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

from seo_core.bench.turns import Outcome, Turn, ground, interleave, summarize

EXPERIMENT, RECORD = "bench_training", "training_speed"
OPTIONS = {"rounds": dict(type=int, help="turns of each contestant (0: as the profile says)")}


def plan(settings, *, rounds: int = 0) -> dict[str, int]:
    """How much each part of the benchmark runs: examples a turn, and rounds. `quick` shows that it works, in seconds,
    with the first two layers. Else: enough pairs for the accuracies to be compared, a few dozen steps for each
    ablation, and ten batches for the stock Trainer, which is more than ten times slower."""
    if settings.profile == "quick":
        small = 8 * settings.batch_size
        return {"rounds": rounds or 1, "accuracy_pairs": 2 * small, "development_pairs": settings.development_rows,
                "ablation_pairs": small, "stock_pairs": 4 * settings.batch_size, "layers": 2}
    return {"rounds": rounds or 3, "accuracy_pairs": 16_000, "development_pairs": 8_000,
            "ablation_pairs": 60 * settings.batch_size, "stock_pairs": 10 * settings.batch_size}


def contest(settings, plan: dict) -> Outcome:
    """The loop with and without each of its tricks takes turns, then the loop and both Trainers."""
    import pandas as pd

    from seo_core.models.backbone import load_tokenizer, model_info
    from seo_core.training import TrainingConfig

    task, make, network, encoded = ground(settings, plan, train_rows=plan["accuracy_pairs"],
                                          development_rows=plan["development_pairs"])
    train, development = encoded(task["train"]), encoded(pd.concat([task["reward"], task["acceptance"]]))
    config, tokenizer = TrainingConfig.from_settings(settings, epochs=1), load_tokenizer(settings.model)
    tricks = ablation(train.take(slice(plan["ablation_pairs"])), config, **make)
    loops = {"Trainer, tuned": trainer_contestant(train, config, tokenizer, development=development, **make),
             "seo_core": fit_contestant(train, config, development=development, **make),
             "Trainer, as run_glue": trainer_contestant(train.take(slice(plan["stock_pairs"])), config, tokenizer,
                                                        tuned=False, **make)}
    without, versus = (interleave(contestants, rounds=plan["rounds"]) for contestants in (tricks, loops))
    table = pd.concat([summarize(versus, baseline="Trainer, tuned"), summarize(without, baseline="all")])
    ours = table.loc["seo_core"]
    return Outcome(turns=pd.concat([versus, without]), table=table, task=task,
                   model_info=model_info(network, settings.model), parameters={"plan": plan, "training": vars(config)},
                   metrics={"speed_ratio": ours.ratio, "speed_ratio_total": ours.ratio_total},
                   inputs={"train": train, "development": development})


def ablation(train, config, **make) -> dict[str, Callable[[int], Turn]]:
    """Contestants: `fit` with all its tricks ("all"), and "without" one of them at a time."""
    without = {
        "first-token last layer": dict(first_token_only=False), "dropout from random bytes": dict(byte_dropout=False),
        "fast forward pass": dict(fast=False), "frozen word table": dict(freeze_embeddings=False),
        "length grouping": dict(group=1), "bf16": dict(precision="fp32")}
    configs = {"all": config, **{f"without {name}": replace(config, **change) for name, change in without.items()}}
    return {name: fit_contestant(train, changed, **make) for name, changed in configs.items()}


def fit_contestant(train, config, **make) -> Callable[[int], Turn]:
    """A contestant that calls `seo_core.training.fit`; its argument is the seed. make: as for `_contestant`."""
    from seo_core.training import fit

    def once(network, seed: int, step) -> None:
        fit(network, train, config=replace(config, seed=seed), progress=False,
            callbacks=[lambda event, state: step(state.examples) if event == "step" else None])

    return _contestant(once, **make)


def trainer_contestant(train, config, tokenizer, *, tuned: bool = True, **make) -> Callable[[int], Turn]:
    """Hugging Face Trainer on the same token ids with the same hyperparameters; its argument is the seed.

    tuned: bf16 autocast where the hardware has it, dynamic padding, length grouping. Otherwise as the `run_glue`
    example configures it: fp32, every pair padded to `max_length` 128, plain shuffling. make: as for `_contestant`.
    """
    import torch
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    from seo_core.models.fastpath import has_bf16

    rows = [{name: array[0].tolist() for name, array in train.arrays([i]).items()} for i in range(len(train))]
    whole, rest = divmod(len(rows), config.batch_size)
    seen = list(accumulate(([config.batch_size] * whole + [rest] * (rest > 0)) * config.epochs))  # after each step
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extra = dict(bf16=has_bf16(device), train_sampling_strategy="group_by_length") if tuned else {}

    def once(network, seed: int, step) -> None:
        class Clock(TrainerCallback):
            def on_step_end(self, arguments, state, *args, **kwargs):
                step(seen[state.global_step - 1])

        arguments = TrainingArguments(
            output_dir=tempfile.gettempdir(), per_device_train_batch_size=config.batch_size,
            learning_rate=config.learning_rate, num_train_epochs=config.epochs, weight_decay=config.weight_decay,
            warmup_steps=config.warmup_fraction, max_grad_norm=config.max_grad_norm, seed=seed, save_strategy="no",
            report_to="none", disable_tqdm=True, logging_strategy="no", use_cpu=device == "cpu",
            dataloader_pin_memory=device == "cuda", **extra)
        collator = DataCollatorWithPadding(tokenizer, **({} if tuned else dict(padding="max_length", max_length=128)))
        trainer = Trainer(model=network, args=arguments, train_dataset=rows, data_collator=collator,
                          callbacks=[Clock()])
        trainer.remove_callback(PrinterCallback)  # its summary would end up in the page
        trainer.train()

    return _contestant(once, **make)


def _contestant(once: Callable, *, development=None, fresh: Callable | None = None, **make) -> Callable[[int], Turn]:
    """once(network, seed, step) trains a fresh network, and after each step calls step(examples seen so far). make:
    what `load_backbone` is to make: model, layers, num_labels; or fresh() makes the network."""
    from seo_core.evaluation import accuracy
    from seo_core.models.backbone import load_backbone

    def turn(seed: int) -> Turn:
        network = fresh() if fresh else load_backbone(**make, seed=seed)[0]
        ends, sizes, began = [], [], time.perf_counter()

        def step(seen: int) -> None:
            ends.append(time.perf_counter() - began)
            sizes.append(seen - sum(sizes))

        once(network, seed, step)
        seconds = time.perf_counter() - began
        right = None if development is None else accuracy(network, development)
        return Turn(sum(sizes), seconds, tuple(ends), tuple(sizes), right)

    return turn
