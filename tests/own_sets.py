"""Sets as a reader may bring them: pairs of two classes, single texts of five, a few hundred rows in one csv."""

import numpy as np
import pandas as pd

ANIMALS = ("dog", "cat", "horse", "sheep", "goat", "mouse", "duck", "hen", "cow", "fox")
PLACES = ("garden", "forest", "house", "river", "street", "field", "market", "school")
TOPICS = {"sport": ("match", "team", "goal"), "food": ("soup", "bread", "cheese"),
          "travel": ("train", "ticket", "hotel"), "money": ("bank", "price", "loan"),
          "health": ("doctor", "fever", "pill")}


def pairs(rows: int = 300) -> pd.DataFrame:
    """Columns premise, hypothesis, label: "same" where both name one animal, else "other"."""
    rng = np.random.default_rng(0)
    first, second = rng.choice(ANIMALS, (2, rows))
    second = np.where(rng.random(rows) < 0.5, first, second)
    places = rng.choice(PLACES, (2, rows))
    return pd.DataFrame({
        "premise": [f"The {a} sleeps in the {p}, as on day {n}."
                    for n, (a, p) in enumerate(zip(first, places[0], strict=True))],
        "hypothesis": [f"A {a} was seen near the {p} yesterday." for a, p in zip(second, places[1], strict=True)],
        "label": np.where(first == second, "same", "other")})


def texts(rows: int = 300, topics=tuple(TOPICS)) -> pd.DataFrame:
    """Columns note and label, one of five topics."""
    rng = np.random.default_rng(1)
    topics = rng.choice(topics, rows)
    return pd.DataFrame({"note": [f"On day {n} there was a {rng.choice(TOPICS[t])} in the {rng.choice(PLACES)}."
                                  for n, t in enumerate(topics)], "label": topics})


SETS = {"pairs": (pairs, {"labels": "other,same"}), "texts": (texts, {"text": "note"})}


def written(kind: str, folder, rows: int = 300, **options) -> dict:
    """The set as a file in a folder, and the settings that name it; options: topics of texts."""
    make, names = SETS[kind]
    make(rows, **options).to_csv(folder / "own.csv", index=False)
    return {"data": str(folder / "own.csv"), **names}
