"""Every committed record is found by the code: as the run of its arm, by what it holds and not by its file's name."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from seo_core import results
from seo_core.arms import ARMS
from seo_core.augmentation.core import Operator
from seo_core.data import TaskData
from seo_core.lab.arm import Arm
from seo_core.lab.ground import Lab
from seo_core.machine import has_any
from seo_core.settings import RunSettings, load_settings

REFERENCE = Path(__file__).resolve().parents[1] / "book" / "reference"
RECORDS = sorted(REFERENCE.rglob("*.json"))
PLACES = {(home, arm.recorded_as): arm for arm in ARMS.values() for home in (arm.home, *arm.earlier)}


def record_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def settings_of(record: dict) -> RunSettings:
    """The settings that a reader would give to find the record."""
    given = {"data": record["data"]["name"], "model": record["model"]["name"], "seed": record["seed"]}
    if "source" in record["parameters"]:
        given["source"] = record["parameters"]["source"]
    if "further_texts" in record["parameters"]:
        given["unlabelled"] = record["parameters"]["further_texts"]
    if text := record["parameters"].get("text"):  # of a task that is not NLI
        given["text"] = ",".join(text)
        given["train_rows"] = record["parameters"].get("train_rows")
    return load_settings(record["profile"], results_dir=str(REFERENCE), **given)


def task_of(record: dict) -> TaskData:
    """The record's data, by its fingerprint: it does not have to be at hand."""
    said, data = record["parameters"], record["data"]
    bought = record["metrics"].get("labels", data["train_rows"])
    rows = {"train": data["train_rows"], "reward": max(0, data["labels_used"] - bought), "acceptance": 0}
    splits = {name: pd.DataFrame(index=range(int(count))) for name, count in rows.items()}  # a share of the labels
    return TaskData(name=data["name"], splits=splits, texts=tuple(said.get("text") or ("premise", "hypothesis")),
                    report=None, labels=tuple(said.get("classes") or ("entailment", "neutral", "contradiction")),
                    fingerprint=record["data"]["fingerprint"])


def lab_of(record: dict, arm: Arm) -> Lab:
    """A lab on the record's data and model."""
    settings = settings_of(record)
    return Lab(arm.chapter, settings, task_of(record), None, settings,
               shared={"fingerprint": record["model"]["fingerprint"], "limited (8, 1, 1)": (task_of(record), {
                   "fingerprint": record["model"]["fingerprint"]})})


def test_there_are_records_to_find():
    assert len(RECORDS) >= 298


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_committed_record_is_found(path, monkeypatch):
    monkeypatch.setattr(Operator, "available", lambda self: None)  # it was made with all operators
    record = record_of(path)
    arm = PLACES.get((record["experiment"], record["configuration"]))
    if arm is None or path.parent.name != record["experiment"]:  # of a benchmark: each is a measurement of its own
        settings = settings_of(record)
        beside = {key: value for key, value in record["parameters"].items() if key not in settings.asdict()}
        changed = {key: value for key, value in record["parameters"].items()
                   if key in settings.asdict() and key not in ("data", "model", "source", "results_dir")}
        fitting = results.find(str(path.parent.relative_to(REFERENCE / record["profile"])), record["configuration"],
                               settings=replace(settings, **changed), parameters=beside,
                               data=task_of(record),
                               model_fingerprint=record["model"]["fingerprint"])
        vnni = has_any(record["provenance"]["machine"], "vnni")  # the same was measured on two kinds of machine
        of_its_kind = results.newest(record["configuration"], path.parent, vnni=vnni)
        assert fitting == path or record["provenance"] == of_its_kind["provenance"]
        return
    labels = record["parameters"].get("bought", record["parameters"].get("labels"))
    wanted = lab_of(record, arm)._bound(arm, labels)._identity()
    assert path in [results.find(home, arm.recorded_as, **wanted) for home in (arm.home, *arm.earlier)]
