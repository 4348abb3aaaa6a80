"""The arms of ADA: what they read as the model's state."""

from dataclasses import replace

import pytest

from seo_core import load_settings
from seo_core.arms import ARMS, augmentation, open_lab
from seo_core.augmentation.adaptive import AdaptiveDataAugmentation


@pytest.mark.trains
def test_ada_reads_the_model_in_training_before_each_epoch_but_the_first(tmp_path, monkeypatch):
    settings = load_settings("quick", train_rows=200, development_rows=64, evaluation_rows=32, layers=1,
                             results_dir=str(tmp_path))
    asked, real = [], AdaptiveDataAugmentation.__call__

    def spy(ada, frame, model, tokenizer, reward, **how):
        asked.append((ada.seed, model, how.get("teacher"), ada.config.temperature, len(frame)))
        return real(ada, frame, model, tokenizer, reward, **how)

    monkeypatch.setattr(AdaptiveDataAugmentation, "__call__", spy)
    run = open_lab("04_adaptive_augmentation", settings).arm("da-current", 32)
    first, *later = asked
    assert later and first[0] == 0 and first[2] is None
    assert [seed for seed, *_ in later] == [1000 * (n + 1) for n in range(len(later))]
    assert len({id(model) for _, model, *_ in later}) == 1 and later[0][1] is not first[1]
    assert all(teacher is not None for _, _, teacher, *_ in later) and {t for *_, t, _ in asked} == {0.01}
    assert run.record["parameters"]["ada"]["temperature"] == 0.01 and run.metrics["added"] == 16
    assert run.record["series"]["ada_epoch"] == [n + 1 for n in range(len(later))]
    assert run.metrics["examples_scored"] > 16


@pytest.mark.slow
def test_the_arms_differ_from_the_recorded_one_in_the_temperature_alone():
    settings = load_settings("cpu", data="embedded", development_rows=16, evaluation_rows=8)
    lab = open_lab("04_adaptive_augmentation", settings)
    assert replace(ARMS["da-sharp"].recipe, temperature=0.03) == augmentation.ada_config(lab)
    assert ARMS["da-current"].recipe == ARMS["da-sharp"].recipe
    assert not ARMS["da-current"].alone and not ARMS["da-sharp"].alone, "the chapter takes no longer for them"
