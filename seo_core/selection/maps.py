"""Data maps: how an example fared while a network learned it, and where on such a map a purchase lies.

    dynamics = TrainingDynamics(examples)                          # an Encoded, labels included
    fit(model, examples, config=config, callbacks=[dynamics])
    places = dynamics.map()                                        # confidence, variability, correctness, each (n,)
    regions(places, cut=variability_cut(places.variability))       # (n,) of "easy", "ambiguous", "hard"

Swayamdipta et al. (2020), "Dataset Cartography", section 2. With p_e(y* | x) the probability of the given label after
epoch e of E,

    confidence   μ = 1/E Σ_e p_e(y* | x)
    variability  σ = sqrt(1/E Σ_e (p_e(y* | x) − μ)²)
    correctness  share of the E epochs in which y* is the most probable class

and the map has σ to the right and μ upwards. The authors' three regions are thirds of a set by μ or by σ, which
overlap; to compare purchases each example must be in one, with the same borders for all. Our reading:

    ambiguous   σ in the highest third of a *random* purchase
    easy        else, and μ ≥ 1/2
    hard        else
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from seo_core.evaluation import predict, softmax
from seo_core.selection.acquisition import SelectionError

REGIONS = ("easy", "ambiguous", "hard")
BINS = (20, 10)  # of a stored map: confidence from 0 to 1, variability from 0 to 1/2, the most that it can be


class DataMap(NamedTuple):
    """Each example's place: confidence μ, variability σ and correctness, all (n,) float64 in [0, 1]."""

    confidence: np.ndarray
    variability: np.ndarray
    correctness: np.ndarray


def data_map(gold: np.ndarray, right: np.ndarray) -> DataMap:
    """The map of gold (E, n), the given labels' probabilities after each epoch, and right (E, n) bool: were they first?
    Raises SelectionError for fewer than two epochs: one value does not vary."""
    gold, right = np.asarray(gold, np.float64), np.asarray(right, bool)
    if gold.ndim != 2 or len(gold) < 2 or right.shape != gold.shape:
        raise SelectionError(f"a data map needs the probabilities of two epochs or more, got {gold.shape} and "
                             f"{right.shape}: train with epochs=2 at least, and give both as (epochs, examples)")
    return DataMap(gold.mean(axis=0), gold.std(axis=0), right.mean(axis=0))


def variability_cut(variability: np.ndarray) -> float:
    """The σ from which on an example is ambiguous: two thirds of these (n,) lie below."""
    return float(np.quantile(variability, 2 / 3))


def regions(places: DataMap, cut: float) -> np.ndarray:
    """(n,) names of `REGIONS`: ambiguous from a variability of `cut` on; else easy or hard by a confidence of 1/2."""
    calm = np.where(places.confidence >= 0.5, "easy", "hard")
    return np.where(places.variability >= cut, "ambiguous", calm)


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

    def state_dict(self) -> dict[str, np.ndarray]:
        """What was read so far, for the checkpoint of `fit`: gold and right, (epochs, n)."""
        return {"gold": np.array(self.gold), "right": np.array(self.right)} if self.gold else {}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Goes on from what `state_dict` returned."""
        self.gold, self.right = list(state["gold"]), list(state["right"])

    def map(self) -> DataMap:
        """The map so far; see `data_map`."""
        return data_map(np.array(self.gold), np.array(self.right))


class PurchaseMap(TrainingDynamics):
    """The same for what several arms bought, told apart, in the form that a record holds. bought: arm -> positions (m,)
    in `examples`. The arm "random" sets the border of the ambiguous region."""

    def __init__(self, examples, bought: Mapping[str, np.ndarray]):
        super().__init__(examples)
        if "random" not in bought or any(len(rows) == 0 for rows in bought.values()):
            raise SelectionError(f"a map of purchases needs what 'random' bought and no empty purchase, got "
                                 f"{ {name: len(rows) for name, rows in bought.items()} }")
        self.bought = bought

    def metrics(self) -> dict[str, float]:
        """map_cut, and by arm map_pairs_…, map_easy_…, map_ambiguous_…, map_hard_…, map_never_right_… (shares),
        map_confidence_… and map_variability_… (means)."""
        places = self.map()
        cut = variability_cut(places.variability[self.bought["random"]])
        names, metrics = regions(places, cut), {"map_cut": cut}
        for arm, rows in self.bought.items():
            values = {region: float((names[rows] == region).mean()) for region in REGIONS}
            values |= {"pairs": len(rows), "never_right": float((places.correctness[rows] == 0).mean()),
                       "confidence": float(places.confidence[rows].mean()),
                       "variability": float(places.variability[rows].mean())}
            metrics |= {f"map_{key}_{arm}": value for key, value in values.items()}
        return metrics

    def series(self) -> dict[str, list[float]]:
        """"map <arm>": shares of its pairs by `BINS` of confidence and variability, row by row."""
        places, shares = self.map(), {}
        for arm, rows in self.bought.items():
            counts = np.histogram2d(places.confidence[rows], places.variability[rows], BINS, ((0, 1), (0, 0.5)))[0]
            shares[f"map {arm}"] = (counts / len(rows)).ravel().round(6).tolist()
        return shares
