"""Records as tidy frames: one row a record, curves in long form, contestants of benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seo_core.results.final import FinalList, final_list
from seo_core.results.store import hash8, load_records
from seo_core.settings import RunSettings, display_source

if TYPE_CHECKING:
    import pandas as pd


_IDENTITY = ("experiment", "configuration", "profile", "seed", "hash8", "data_name", "data_fingerprint", "train_rows",
             "labels_used", "model_name", "model_fingerprint", "model_parameters", "commit", "dirty", "code_hash",
             "started", "finished", "cpu", "gpu", "threads", "command", "path", "standing")


def _identity(record: dict, listed: FinalList) -> dict:
    data, model, source = record["data"], record["model"], record["provenance"]
    return {**{k: record[k] for k in ("experiment", "configuration", "profile", "seed")},
            "hash8": hash8(record["parameters"], data["fingerprint"], model["fingerprint"]),
            **{f"data_{k}": data[k] for k in ("name", "fingerprint")},
            **{k: data[k] for k in ("train_rows", "labels_used")},
            **{f"model_{k}": model[k] for k in ("name", "fingerprint", "parameters")},
            **{k: source[k] for k in ("commit", "dirty", "code_hash", "started", "finished", "threads", "command")},
            **{k: source["machine"].get(k, "") for k in ("cpu", "gpu")}, "path": record["path"],
            "standing": listed.standing(record)}


def _curve_ends(record: dict) -> dict:
    """`first_<name>` and `final_<name>` of each curve: its first and last finite value."""
    ends = {}
    for name, values in record["series"].items():
        known = [v for v in values if v is not None]
        if known:
            ends[f"first_{name}"], ends[f"final_{name}"] = known[0], known[-1]
    return ends


def load(*folders, missing_ok: bool = True) -> pd.DataFrame:
    """The records under the folders (default: the committed reference records) as one tidy frame.

    One row per record: experiment, configuration, profile, seed, hash8, data_*, model_*, provenance,
    `path` (from the book's root), `standing` (final or exploratory, see `results.final`), then a column per metric
    (`metric_<name>` if it shares a name with one of these), `first_`/`final_<name>` per curve, `param_<name>` per
    scalar parameter and `param_<name>_hash8` per group of them (its seed apart); NaN where a record has no such number.
    Sorted, without duplicates.
    Raises ResultsError naming a file that is no record; with missing_ok=False, for a missing folder.
    """
    import pandas as pd

    rows, listed = [], final_list()
    for record in load_records(*folders, missing_ok=missing_ok):
        scalars = {f"param_{k}": v for k, v in record["parameters"].items()
                   if isinstance(v, (str, int, float)) and k not in ("profile", "seed", "data", "model")}
        scalars |= {f"param_{k}_hash8": hash8(v, "") for k, v in record["parameters"].items() if isinstance(v, dict)}
        metrics = {f"metric_{k}" if k in _IDENTITY else k: v for k, v in record["metrics"].items()}
        rows.append({**scalars, **_curve_ends(record), **metrics, **_identity(record, listed)})
    others = sorted({m for r in rows for m in r} - set(_IDENTITY),
                    key=lambda m: (m.startswith("param_"), m.startswith(("first_", "final_")), m))
    frame = pd.DataFrame(rows, columns=[*_IDENTITY, *others])
    frame = frame.sort_values(["experiment", "configuration", "profile", "hash8", "seed", "path"], ignore_index=True)
    # Words as objects: contrasts, of many small groups of rows, take a third less time than with pandas' own strings.
    return frame.astype(dict.fromkeys(frame.select_dtypes("str"), object)).copy()  # in one piece


def load_series(*folders) -> pd.DataFrame:
    """All curves in long form: experiment, configuration, profile, seed, data_name, model_name, path, step, name,
    value.
    `step` is the record's own `epoch` or `round` where it has one, else 1, 2, …"""
    import pandas as pd

    columns = ["experiment", "configuration", "profile", "seed", "data_name", "model_name", "path"]
    rows, listed = [], final_list()
    for record in load_records(*folders):
        series, identity = record["series"], _identity(record, listed)
        steps = series.get("epoch") or series.get("round")
        for name, values in series.items():
            if name not in ("epoch", "round"):
                aligned = steps if steps and len(steps) == len(values) else range(1, len(values) + 1)
                rows += [(*(identity[c] for c in columns), step, name, value)
                         for step, value in zip(aligned, values, strict=True)]
    return pd.DataFrame(rows, columns=[*columns, "step", "name", "value"])


def matching(frame: pd.DataFrame, settings: RunSettings) -> pd.DataFrame:
    """The rows of `load` or `load_series` with the profile, data and model of these settings: what a
    chapter may call "this run" where a results folder holds other runs too."""
    same = ((frame["profile"] == settings.profile) & (frame["data_name"] == display_source(settings.data))
            & (frame["model_name"] == display_source(settings.model)))
    return frame[same].reset_index(drop=True)


def load_contestants(*folders) -> pd.DataFrame:
    """The contestants of benchmark records: one row each, with the record's identity and the metrics."""
    import pandas as pd

    listed = final_list()
    rows = [{**_identity(record, listed), "contestant": name, **values} for record in load_records(*folders)
            for name, values in record.get("contestants", {}).items()]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*_IDENTITY, "contestant"])
