"""What a run will take: a probe of the machine, and what records say."""

import json

import numpy as np
import pytest
import torch

from seo_core.arms import open_lab
from seo_core.checks import SettingsError
from seo_core.lab.estimate import probe
from seo_core.settings import load_settings


@pytest.fixture
def lab(tmp_path):
    return open_lab("05_transfer_learning", load_settings(
        "quick", train_rows=64, development_rows=32, evaluation_rows=16, layers=1, results_dir=str(tmp_path)))


@pytest.mark.trains
def test_a_probe_is_made_once_and_moves_no_random_stream(lab, tmp_path, monkeypatch):
    torch.manual_seed(3), np.random.seed(3)
    wanted = torch.rand(1), np.random.rand()
    torch.manual_seed(3), np.random.seed(3)
    monkeypatch.setattr("seo_core.lab.estimate.BUSY", np.inf)
    speed = probe(lab, seconds=0.05)
    assert speed > 0 and (torch.rand(1), np.random.rand()) == wanted
    place, = tmp_path.glob(".speed/*.json")
    said = json.loads(place.read_text())
    assert said["machine"] and said["pairs_per_second"] == pytest.approx(speed, abs=1e-3)
    monkeypatch.setattr("seo_core.training.fit", lambda *a, **k: pytest.fail("measured again"))
    assert probe(lab) == said["pairs_per_second"]


@pytest.mark.trains
def test_a_probe_beside_others_is_not_remembered(lab, tmp_path, monkeypatch):
    monkeypatch.setattr("seo_core.lab.estimate.BUSY", -1)
    assert probe(lab, seconds=0.01) > 0 and not list(tmp_path.rglob("*.json"))


def test_a_probe_of_no_time_is_refused(lab):
    with pytest.raises(SettingsError, match="seconds must be above 0, got 0"):
        probe(lab, 0)
