"""Tables as pages show them."""

import pandas as pd

from seo_core.analysis.tables import Table


def test_what_is_absent_is_a_dash_whatever_says_so():
    frame = pd.DataFrame({"seeds": [1, 2], "matched": [None, 72.5], "mismatched": [None, None], "arm": [None, "base"]})
    shown = Table(frame)
    assert "None" not in repr(shown) + shown._repr_html_() and repr(shown).count("—") == 4
    assert shown.frame["seeds"].tolist() == [1, 2] and frame["mismatched"][0] is None  # what was given stays as it is
