"""Data maps: how an example fared while a network learned it, and where on such a map a purchase lies.

    dynamics = TrainingDynamics(examples)                          # an Encoded, labels included
    fit(model, examples, config=config, callbacks=[dynamics])
    found = dynamics.map()                                         # confidence, variability, correctness, each (n,)
    regions(found, cut=variability_cut(found.variability))         # (n,) of "easy", "ambiguous", "hard"

Swayamdipta et al. (2020), "Dataset Cartography", section 2. With p_e(y* | x) the probability of the given label after
epoch e of E,

    confidence   μ = 1/E Σ_e p_e(y* | x)
    variability  σ = sqrt(1/E Σ_e (p_e(y* | x) − μ)²)
    correctness  share of the E epochs in which y* is the most probable class

and the map has σ to the right and μ upwards. Its authors name three parts of it, and found most of the wrong labels
among the hard ones. Theirs are thirds of a set by μ or by σ, which overlap; to compare purchases each example must be
in one region, and the borders must be the same for all of them. Our reading:

    ambiguous   σ in the highest third of a *random* purchase
    easy        else, and μ ≥ 1/2
    hard        else
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seo_core.evaluation import predict, softmax
from seo_core.selection.acquisition import SelectionError

if TYPE_CHECKING:
    import pandas as pd

REGIONS = ("easy", "ambiguous", "hard")
NOT_RUN = "not run yet"
BINS = (20, 10)  # of a stored map: confidence from 0 to 1, variability from 0 to 1/2, the most that it can be


class DataMap(NamedTuple):
    """Each example's place: confidence μ, variability σ and correctness, all (n,) float64 in [0, 1]."""

    confidence: np.ndarray
    variability: np.ndarray
    correctness: np.ndarray


def data_map(gold: np.ndarray, right: np.ndarray) -> DataMap:
    """The map of gold (E, n), the given labels' probabilities after each epoch, and right (E, n) bool: were they first?

    Raises SelectionError for fewer than two epochs: one value does not vary.
    """
    gold, right = np.asarray(gold, np.float64), np.asarray(right, bool)
    if gold.ndim != 2 or len(gold) < 2 or right.shape != gold.shape:
        raise SelectionError(f"a data map needs the probabilities of two epochs or more, got {gold.shape} and "
                             f"{right.shape}: train with epochs=2 at least, and give both as (epochs, examples)")
    return DataMap(gold.mean(axis=0), gold.std(axis=0), right.mean(axis=0))


def variability_cut(variability: np.ndarray) -> float:
    """The σ from which on an example is ambiguous: two thirds of these (n,) lie below."""
    return float(np.quantile(variability, 2 / 3))


def regions(found: DataMap, cut: float) -> np.ndarray:
    """(n,) names of `REGIONS`: ambiguous from a variability of `cut` on; else easy or hard by a confidence of 1/2."""
    calm = np.where(found.confidence >= 0.5, "easy", "hard")
    return np.where(found.variability >= cut, "ambiguous", calm)


class TrainingDynamics:
    """A callback of `fit` that reads the given labels' probabilities off the network after each epoch.

    examples: an Encoded of n labelled examples, those trained on or others. One pass over them per evaluation, at
    inference speed; the training is what it would be without. Raises SelectionError for an example without a label.
    """

    def __init__(self, examples, precision: str = "auto"):
        if (examples.labels < 0).any():
            raise SelectionError("an example without a label has no place on a data map: give it examples whose labels "
                                 "were bought")
        self.examples, self.precision = examples, precision
        self.gold: list[np.ndarray] = []  # an array (n,) per epoch
        self.right: list[np.ndarray] = []

    def __call__(self, event: str, state) -> None:
        """`fit` calls it; only the event "evaluation" counts."""
        if event != "evaluation":
            return
        p = softmax(predict(state.model, self.examples, precision=self.precision))  # (n, k)
        self.gold.append(p[np.arange(len(p)), self.examples.labels])
        self.right.append(p.argmax(axis=1) == self.examples.labels)

    def map(self) -> DataMap:
        """The map so far; see `data_map`."""
        return data_map(np.array(self.gold), np.array(self.right))


class PurchaseMap(TrainingDynamics):
    """The same for what several arms bought, told apart, in the form that a record holds.

    bought: arm -> positions (m,) in `examples`. The arm `control` sets the border of the ambiguous region.
    """

    def __init__(self, examples, bought: Mapping[str, np.ndarray], control: str = "random"):
        super().__init__(examples)
        if control not in bought or any(len(rows) == 0 for rows in bought.values()):
            raise SelectionError(f"a map of purchases needs what {control!r} bought and no empty purchase, got "
                                 f"{ {name: len(rows) for name, rows in bought.items()} }")
        self.bought, self.control = bought, control

    def metrics(self) -> dict[str, float]:
        """map_cut, and by arm map_pairs_…, map_easy_…, map_ambiguous_…, map_hard_…, map_never_right_… (shares),
        map_confidence_… and map_variability_… (means)."""
        found = self.map()
        cut = variability_cut(found.variability[self.bought[self.control]])
        names, out = regions(found, cut), {"map_cut": cut}
        for arm, rows in self.bought.items():
            values = {region: float((names[rows] == region).mean()) for region in REGIONS}
            values |= {"pairs": len(rows), "never_right": float((found.correctness[rows] == 0).mean()),
                       "confidence": float(found.confidence[rows].mean()),
                       "variability": float(found.variability[rows].mean())}
            out |= {f"map_{key}_{arm}": value for key, value in values.items()}
        return out

    def series(self) -> dict[str, list[float]]:
        """"map <arm>": shares of its pairs by `BINS` of confidence and variability, row by row."""
        found, out = self.map(), {}
        for arm, rows in self.bought.items():
            counts, _, _ = np.histogram2d(found.confidence[rows], found.variability[rows], bins=BINS,
                                          range=((0, 1), (0, 0.5)))
            out[f"map {arm}"] = (counts / len(rows)).ravel().round(6).tolist()
        return out


# ---------------------------------------------------------------------------------------------
# Reading the records


def _arms(records: Sequence[dict], control: str) -> list[str]:
    found = {name.removeprefix("map_pairs_") for r in records for name in r["metrics"] if name.startswith("map_pairs_")}
    return sorted(found, key=lambda name: (name != control, name))


def latest_maps(records: Sequence[dict]) -> list[dict]:
    """Of the records with a map, the one with most arms for each seed, then the latest."""
    best: dict[int, dict] = {}
    for record in sorted((r for r in records if "map_cut" in r["metrics"]),
                         key=lambda r: (len(_arms([r], "")), r["provenance"]["finished"])):
        best[record["seed"]] = record
    return [best[seed] for seed in sorted(best)]


def map_table(records: Sequence[dict], control: str = "random") -> pd.DataFrame:
    """Where each arm's purchase lies: means over the seeds' maps, shares in percent.

    records: of `results.load_records`; of each seed the fullest map counts. Columns arm, seeds, pairs (of one seed),
    easy, ambiguous, hard, never right, confidence, variability, and `hard − control`, with low and high: points, and a
    95% interval over the pairs of all seeds as if they were drawn apart (NaN for the control). Empty without a map.
    """
    import pandas as pd

    maps, rows = latest_maps(records), []
    for arm in _arms(maps, control):
        mine = [r["metrics"] for r in maps if f"map_pairs_{arm}" in r["metrics"]]
        mean = {key: float(np.mean([m[f"map_{key}_{arm}"] for m in mine]))
                for key in ("pairs", *REGIONS, "never_right", "confidence", "variability")}
        gaps = [m[f"map_hard_{arm}"] - m[f"map_hard_{control}"] for m in mine]
        spread = sum(m[f"map_hard_{a}"] * (1 - m[f"map_hard_{a}"]) / m[f"map_pairs_{a}"]
                     for m in mine for a in (arm, control)) / len(mine) ** 2
        half = math.nan if arm == control else 1.96 * math.sqrt(spread)
        gap = math.nan if arm == control else float(np.mean(gaps))
        rows.append((arm, len(mine), round(mean["pairs"]), *(100 * mean[region] for region in REGIONS),
                     100 * mean["never_right"], mean["confidence"], mean["variability"], 100 * gap,
                     100 * (gap - half), 100 * (gap + half)))
    return pd.DataFrame(rows, columns=["arm", "seeds", "pairs", *REGIONS, "never right", "confidence", "variability",
                                       f"hard − {control}", "low", "high"])


def map_page(table: pd.DataFrame, control: str = "random") -> pd.DataFrame:
    """`map_table` for a page: rounded, the interval in one column; one row "not run yet" without a map."""
    import pandas as pd

    if table.empty:
        return pd.DataFrame([{"arm": NOT_RUN}])
    gap = f"hard − {control}"
    page = table[["arm", "seeds", "pairs"]].copy()
    for name in (*REGIONS, "never right"):
        page[f"{name}, %"] = table[name].round(1)
    page["confidence"], page["variability"] = table["confidence"].round(3), table["variability"].round(3)
    page[f"{gap}, points"] = ["—" if math.isnan(d) else f"{d:+.1f} [{a:+.1f}, {b:+.1f}]"
                              for d, a, b in zip(table[gap], table["low"], table["high"], strict=True)]
    return page


def map_statements(table: pd.DataFrame, control: str = "random") -> list[str]:
    """`map_table` in sentences: who bought more hard-to-learn pairs than the control, and how many. One sentence,
    "not run yet", without a map."""
    others = table[table["arm"] != control] if len(table) else table
    if others.empty:
        return [NOT_RUN]
    base, said = table[table["arm"] == control].iloc[0], []
    for _, row in others.iterrows():
        side = "more" if row["low"] > 0 else "fewer" if row["high"] < 0 else ""
        verdict = (f"{side} hard-to-learn pairs than {control}" if side
                   else f"no clear difference from {control} in hard-to-learn pairs")
        said.append(f"{row['arm']}: {verdict}, {row['hard']:.1f}% against "
                    f"{base['hard']:.1f}% ({row[f'hard − {control}']:+.1f} points, {row['low']:+.1f} to "
                    f"{row['high']:+.1f}); never given their label: {row['never right']:.1f}% against "
                    f"{base['never right']:.1f}% ({row['seeds']} seed{'s' if row['seeds'] > 1 else ''})")
    return said


def map_histograms(records: Sequence[dict], control: str = "random") -> tuple[dict[str, np.ndarray], float]:
    """(arm -> shares `BINS`, mean over seeds; the mean border of the ambiguous region), for the figure."""
    maps = latest_maps(records)
    arms = {arm: np.mean([np.reshape(r["series"][f"map {arm}"], BINS) for r in maps if f"map {arm}" in r["series"]], 0)
            for arm in _arms(maps, control)}
    return arms, float(np.mean([r["metrics"]["map_cut"] for r in maps])) if maps else math.nan
