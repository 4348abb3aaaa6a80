"""What the tests of bad data share."""

import pytest

from seo_core.data import DataError


def assert_data_error(call, *words):
    """The one message of the DataError that `call` raises, holding all of `words`."""
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert caught.value.__cause__ is None  # one error, not a chain of them
    for word in words:
        assert word in message, f"{word!r} not in: {message}"
    assert len(message) < 700 and "\n" not in message.strip()
    return message
