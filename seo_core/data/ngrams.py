"""Baselines without a neural network: what word counts alone can do.

The hypothesis-only classifier (Poliak et al. 2018; Gururangan et al. 2018) never sees the premise: what it scores above
the majority class is an artefact of how the hypotheses were written. The TF-IDF/n-gram classifier (the feature baseline
of Bhat & Dharani 2024) sees both texts, each as its own block of columns.
"""

import numpy as np
import pandas as pd


def fit_ngrams(train: pd.DataFrame, columns):
    """A scikit-learn pipeline fitted on `train`: TF-IDF of words and pairs of them, a block of columns for each text,
    into logistic regression."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    columns = [columns] if isinstance(columns, str) else list(columns)
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    model = make_pipeline(ColumnTransformer([(column, tfidf, column) for column in columns]),
                          LogisticRegression(max_iter=300, tol=1e-5))
    return model.fit(train, train["label"])


def top_ngrams(model, labels, k: int = 5) -> pd.DataFrame:
    """The k n-grams that speak most for each class: columns are the class names, cells "text: n-gram"."""
    names = np.array([n.replace("__", ": ", 1) for n in model[0].get_feature_names_out()], dtype=object)
    weights = model[-1].coef_  # (classes, features), one row if there are two classes
    weights = np.vstack([-weights, weights]) if len(weights) == 1 else weights
    return pd.DataFrame({labels[c]: names[np.argsort(-w, kind="stable")[:k]]
                         for c, w in zip(model[-1].classes_, weights, strict=True)})


def cue_words(frame: pd.DataFrame, words, labels, text: str = "hypothesis") -> pd.DataFrame:
    """How the classes are spread over the rows whose `text` holds one of `words`, and over the others: one row each,
    "with" and "without", with their number and the share of each class in percent."""
    pattern = r"\b(?:" + "|".join(words) + r")\b|n't\b"
    has = frame[text].str.contains(pattern, case=False, regex=True).to_numpy()
    rows = {}
    for name, chosen in (("with", has), ("without", ~has)):
        counts = np.bincount(frame["label"].to_numpy()[chosen], minlength=len(labels))
        shares = 100 * (counts / max(counts.sum(), 1))
        rows[name] = {"rows": int(counts.sum()), **dict(zip(labels, shares.tolist(), strict=True))}
    return pd.DataFrame.from_dict(rows, orient="index")


def baselines(task, *, train_rows: int | None = 20_000) -> pd.DataFrame:
    """Accuracy in percent of majority class, last text alone, and all texts: columns baseline, features (number of
    them), and one per evaluation split. Trains on the first `train_rows` rows (None: all), in seconds."""
    train = task.splits["train"].iloc[:train_rows]
    majority = int(np.bincount(train["label"]).argmax())

    def row(name: str, features: int, accuracy) -> dict:
        return {"baseline": name, "features": features,
                **{split: 100 * float(accuracy(task.splits[split])) for split in task.evaluation}}

    rows = [row("majority class", 0, lambda frame: (frame["label"] == majority).mean())]
    texts = {f"{task.texts[-1]} only": [task.texts[-1]]} if len(task.texts) > 1 else {}
    for name, columns in {**texts, "TF-IDF n-grams": list(task.texts)}.items():
        model = fit_ngrams(train, columns)
        rows.append(row(name, int(model[-1].n_features_in_), lambda frame, m=model: m.score(frame, frame["label"])))
    return pd.DataFrame(rows)
