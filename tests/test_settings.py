"""Settings: the profiles, and what replaces a value of theirs."""

import pytest

from seo_core.checks import SettingsError
from seo_core.settings import KNOBS, load_settings


def test_names_may_be_written_with_commas_and_change_nothing_where_there_are_none():
    named = load_settings("cpu", labels="yes, no", text=["question", "answer"])
    assert named.labels == ("yes", "no") and named.text == ("question", "answer")
    assert named.asdict()["labels"] == ("yes", "no")
    plain = load_settings("cpu", labels="default", text="default")
    assert plain.labels is plain.text is None and not {"labels", "text"} & set(plain.asdict())


@pytest.mark.parametrize("name, value, words", [
    ("labels", "yes", "two classes or more"), ("labels", "yes,YES", "each once"), ("labels", "yes,,no", "each once"),
    ("labels", 2, "with commas between them, got 2"), ("text", "a,b,c", "a text column or two"),
    ("text", "", "a text column or two"),
    *((name, value, f"setting {name} must be 1 or more and a whole number, got {value!r}")
      for name in ("epochs", "train_rows", "development_rows") for value in ("many", 0, -1, 1.5)),
])
def test_other_values_are_one_clear_error(name, value, words):
    assert name in KNOBS
    with pytest.raises(SettingsError, match=f"^setting {name} must") as caught:
        load_settings("quick", **{name: value})
    assert words in str(caught.value)


def test_epochs_that_were_asked_for_hold_at_every_number_of_labels():
    assert load_settings("cpu").labelled(500).epochs == 12
    assert load_settings("cpu", epochs=1).labelled(500).epochs == 1
