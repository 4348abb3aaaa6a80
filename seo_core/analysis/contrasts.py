"""Contrasts: two configurations compared by seed and example, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seo_core.analysis import verdicts
from seo_core.analysis.verdicts import NOT_RUN

if TYPE_CHECKING:
    import pandas as pd


METRICS = {"accuracy_matched": "matched", "accuracy_mismatched": "mismatched", "f1_macro": "macro F1",
           "robust_accuracy": "perturbed"}


KINDS = {"robust_accuracy_typos": "typing errors", "robust_accuracy_paraphrase": "synonyms"}


def weights_by_round(records: list[dict]) -> pd.DataFrame:
    """Arm weights in long form from records (`results.load_records`): labels, seed, round, operator, strength, weight.

    Read from their series "weight <operator> <strength>" beside "round"; empty where no record has any.
    """
    import pandas as pd

    rows = []
    for record in records:
        for name, values in record["series"].items():
            if name.startswith("weight "):
                operator, strength = name.split(" ")[1:3]
                rows += [(record["metrics"].get("labels"), record["seed"], number, operator, float(strength), value)
                         for number, value in zip(record["series"]["round"], values, strict=True)]
    return pd.DataFrame(rows, columns=["labels", "seed", "round", "operator", "strength", "weight"])


def classes_served(frame: pd.DataFrame) -> pd.DataFrame:
    """By configuration, number of labels and class: accuracy on the reward half, share of the labelled pairs and of
    ADA's rows, in percent, mean over seeds. frame: of `results.load`; one row "not run" where ADA has no records."""
    import pandas as pd

    names = [c.removeprefix("ada_added_") for c in frame if c.startswith("ada_added_")]
    rows = []
    for name in names:
        known = frame[frame[f"ada_added_{name}"].notna()]
        for (configuration, labels), group in known.groupby(["configuration", "labels"]):
            rows.append((configuration, int(labels), name, *(round(100 * group[f"ada_{kind}_{name}"].mean(), 1)
                                                             for kind in ("accuracy", "data", "added"))))
    rows.sort(key=lambda row: (row[0], row[1]))
    return pd.DataFrame(rows or [(NOT_RUN, *["—"] * 5)], columns=["configuration", "labels", "class", "accuracy, %",
                                                                "of the labels, %", "of the added rows, %"])


def differences(frame: pd.DataFrame, contrasts: Sequence[tuple[str, ...]], metrics: Sequence[str] = tuple(METRICS),
                *, labels: str = "labels") -> pd.DataFrame:
    """Differences in points between configurations at equal numbers of labels, paired by seed (and by example).

    frame: of `results.load`. contrasts: (a, b) for a − b, or (a, b, c, d) for (a − b) − (c − d). Columns labels,
    contrast, metric, difference, low, high (95% interval; NaN for one seed without predictions), seeds; one row for
    each combination that has records. The statistics are those of the audit (`claims.measure`).
    """
    import pandas as pd

    rows = []
    for count in sorted(frame[labels].dropna().unique()) if labels in frame else ():
        same = frame[frame[labels] == count]
        for contrast in contrasts:
            signs = (1.0, -1.0) if len(contrast) == 2 else (1.0, -1.0, -1.0, 1.0)
            name = " − ".join(contrast[:2]) if len(contrast) == 2 else (
                f"({contrast[0]} − {contrast[1]}) − ({contrast[2]} − {contrast[3]})")
            for metric in metrics:
                found = verdicts.measure(same, verdicts.Contrast(metric, tuple(zip(contrast, signs, strict=True)),
                                                             "difference", 1, scale=100.0), _profiles(same))
                if found:
                    rows.append((int(count), name, metric, *found[:3], found.n))
    return pd.DataFrame(rows, columns=["labels", "contrast", "metric", "difference", "low", "high", "seeds"])


def _profiles(frame) -> tuple[str, ...]:
    return tuple(p for p in ("paper", "gpu", "cpu", "quick") if (frame["profile"] == p).any())


def difference_table(found: pd.DataFrame) -> pd.DataFrame:
    """`differences` for reading: labels, contrast, metric, points with the 95% interval, seeds, what it says.

    Without rows: one row, "not run". The last column says on which side of 0 the interval lies, if it excludes it; with
    one seed it holds the scatter of the examples, and not that of the seeds.
    """
    import pandas as pd

    if found.empty:
        return pd.DataFrame([[NOT_RUN, "—", "—", "—", "—", "—"]],
                            columns=["labels", "contrast", "metric", "points", "seeds", "interval says"])

    def text(row) -> str:
        interval = "" if math.isnan(row.low) else f" [{row.low:+.2f}, {row.high:+.2f}]"
        return f"{row.difference:+.2f}{interval}".replace("-", "−")

    def verdict(row) -> str:
        if math.isnan(row.low):
            return "one seed: no interval"
        found = "above 0" if row.low > 0 else "below 0" if row.high < 0 else "contains 0"
        return found + (", of examples only" if row.seeds == 1 else "")

    rows = list(found.itertuples())
    return pd.DataFrame({"labels": found["labels"], "contrast": found["contrast"],
                         "metric": [(METRICS | KINDS).get(m, m) for m in found["metric"]],
                         "points": list(map(text, rows)),
                         "seeds": found["seeds"], "interval says": list(map(verdict, rows))})


def arm_table(frame: pd.DataFrame, metrics: Sequence[str] = tuple(METRICS), *, labels: str = "labels") -> pd.DataFrame:
    """Mean ± half of the 95% interval over seeds, in percent, of each configuration and number of labels.

    frame: of `results.load`; without records one row, "not run"; "—" where a configuration lacks a metric.
    """
    import pandas as pd

    from seo_core.analysis.tables import mean_text

    titles = [METRICS.get(m, m) + ", %" for m in metrics]
    if frame.empty or labels not in frame:
        return pd.DataFrame([[NOT_RUN, "—", *["—"] * len(titles)]], columns=["configuration", "labels", *titles])
    rows = []
    for (count, name), group in frame.groupby([labels, "configuration"]):
        chosen = verdicts.one_setting(group)
        cells = [mean_text(100 * chosen[m].dropna().astype(float)) if m in chosen and chosen[m].notna().any() else "—"
                 for m in metrics]
        rows.append((name, int(count), *cells))
    return pd.DataFrame(rows, columns=["configuration", "labels", *titles])

SPLITS = {"accuracy_matched": "matched", "accuracy_mismatched": "mismatched"}
COLUMNS = ("configuration", "split", "accuracy", "difference", "low", "high", "seeds", "paired", "parameters",
           "megabytes", "pairs")


def against(frame: pd.DataFrame, configurations: Sequence[str], base: str = "base") -> pd.DataFrame:
    """Each configuration beside the baseline, a row for each official set; those without records are left out.

    frame: of `results.load`. accuracy in percent (mean over seeds); difference, low, high: points to `base`, paired by
    seed and example, with the 95% interval (`claims.measure`; NaN for one seed without predictions); seeds: of the
    accuracy; paired: those that both have, of the difference; parameters in millions; megabytes of the exported file,
    where one was measured; pairs: training pairs seen, repeats counted.
    """
    import pandas as pd

    rows, profiles = [], tuple(frame["profile"].unique()) if len(frame) else ()
    for name in configurations:
        mine = frame[frame["configuration"] == name] if len(frame) else frame
        if not len(mine):
            continue
        mine = verdicts.one_setting(mine)
        sizes = [_mean(mine, "model_parameters") / 1e6, _mean(mine, "size_bytes") / 1e6, _mean(mine, "train_examples")]
        for metric, split in SPLITS.items():
            found = None
            if name != base:
                contrast = verdicts.Contrast(metric, ((name, 1.0), (base, -1.0)), "difference", 1, scale=100.0)
                found = verdicts.measure(frame, contrast, profiles)
            gap = found[:3] if found else (math.nan,) * 3
            counts = mine["seed"].nunique(), found.n if found else 0
            rows.append((name, split, 100 * mine[metric].mean(), *gap, *counts, *sizes))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(frame, column: str) -> float:
    return float(frame[column].mean()) if column in frame else math.nan


def against_table(found: pd.DataFrame) -> pd.DataFrame:
    """`against` for reading, one row for each configuration; without rows one, "not run"."""
    import pandas as pd

    if found.empty:
        return pd.DataFrame([{"configuration": NOT_RUN}])

    def text(row) -> str:
        if math.isnan(row.difference):
            return "—"
        interval = "" if math.isnan(row.low) else f" [{row.low:+.2f}, {row.high:+.2f}]"
        return f"{row.difference:+.2f}{interval}".replace("-", "−")

    rows = []
    for name, group in found.groupby("configuration", sort=False):
        first = group.iloc[0]
        row = {"configuration": name, "seeds": first["seeds"], "parameters, M": f"{first['parameters']:.1f}"}
        for part in group.itertuples():
            row[f"{part.split}, %"] = f"{part.accuracy:.2f}"
            row[f"to base, points ({part.split})"] = text(part)
        row["file, MB"] = "—" if math.isnan(first["megabytes"]) else f"{first['megabytes']:.2f}"
        row["pairs seen"] = "—" if math.isnan(first["pairs"]) else f"{first['pairs']:,.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def contrasts(frame: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Differences of two configurations each, in points, a row for each (name, base) and official set; or "not run".

    Paired by seed and example, with 95% intervals, as in `against`; seeds: those that both have. Pairs that have not
    been run are left out.
    """
    import pandas as pd

    parts = [against(frame, [name], base).assign(configuration=f"{name} − {base}") for name, base in pairs]
    parts = [known for part in parts if len(known := part.dropna(subset=["difference"]))]  # empty ones have no floats
    if not parts:
        return pd.DataFrame([{"configuration": NOT_RUN}])
    table = pd.concat(parts, ignore_index=True)
    table["seeds"] = table["paired"]
    return table[["configuration", "split", "difference", "low", "high", "seeds"]].round(2)
