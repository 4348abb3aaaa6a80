"""The Synergy Controller's rounds: what worked, what it came to, and how λ moved."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from seo_core.figures import style

LOOKS = {"buy": (style.GREEN, "o"), "augment": (style.ORANGE, "^"), "label": (style.SKY, "v"),
         "prune": (style.PURPLE, "s"), "quantize": (style.VERMILION, "D"), "train": (style.SOFT, "P"),
         "distil": (style.BLUE, "X")}
USED = {"file, MB": "file, MB", "labels spent": "labels\nspent", "seconds spent": "seconds\nspent"}
PRICES = {"lambda_data": "λ₁, of data", "lambda_model": "λ₂, of bytes and time"}  # columns of a log -> in words


@style.card_of_rows
def rounds(table: pd.DataFrame, floor: float | None = None) -> Figure:
    """The rounds of a run from the top down: the accuracy after each, the action as its marker, hollow where it was
    rolled back; the bytes of the file; labels and seconds of work spent so far; λ₁ and λ₂ as steps. table:
    `tables.controller_rounds`. floor: accuracy in percent, a dotted line. "not run" if empty."""
    figure, (above, *used, below) = plt.subplots(5, 1, figsize=(8, 8.4), sharex=True, height_ratios=(3, 2, 1.4, 1.4, 2))
    below.set_xlabel("round")
    style.whole_numbers(below)
    number, kept = table["round"], (table["kept"] == "yes").to_numpy()
    above.plot(number[kept], table["accuracy, %"][kept], color=style.SOFT, linewidth=1.1, zorder=1)
    for action, (color, marker) in LOOKS.items():
        chosen = (table["action"] == action).to_numpy()
        if chosen.any():
            above.scatter(number[chosen], table["accuracy, %"][chosen], s=52, zorder=2, marker=marker, edgecolors=color,
                          linewidths=1.6, facecolors=np.where(kept[chosen], color, "none").tolist(), label=action)
    if floor is not None:
        above.axhline(floor, color=style.BLACK, linewidth=1.1, linestyle=":")
        above.text(0.995, floor, "floor", ha="right", va="bottom", fontsize=9, transform=above.get_yaxis_transform())
    above.set_ylabel("development\naccuracy, %")
    style.legend_above(above, 6)
    for axes, (name, title) in zip(used, USED.items(), strict=True):
        values = table[name].astype(float)
        axes.step(number, values, where="mid", color=style.BLUE, linewidth=1.6)
        axes.set_ylabel(title)
        axes.set_ylim(0, 1.1 * max(0.1, values.max()))
    _prices(below, number, {name: table[name] for name in ("λ data", "λ model")})
    below.legend(fontsize=9, ncols=2)
    return figure


@style.card
def prices(log: pd.DataFrame) -> Figure:
    """λ₁ and λ₂ before each round, as steps. log: a row for each entry of `SynergyController.log`."""
    figure, axes = plt.subplots(figsize=(8, 2.8))
    _prices(axes, log["round"], {name: log[key] for key, name in PRICES.items()})
    axes.set_xlabel("round")
    style.whole_numbers(axes)
    style.legend_above(axes)
    return figure


def _prices(axes, number: pd.Series, columns: dict[str, pd.Series]) -> None:
    for (name, values), color, line in zip(columns.items(), (style.GREEN, style.PURPLE), ("-", "--"), strict=True):
        axes.step(number, values, where="mid", color=color, linewidth=1.6, linestyle=line, label=name)
    axes.set_ylabel("λ")
    axes.set_ylim(0, 1.1 * max(*(values.max() for values in columns.values()), 0.1))
