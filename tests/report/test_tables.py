"""The tables as CSV."""

import pytest

from autopeft.report.tables import csv


@pytest.mark.parametrize("text", ["=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_text_that_a_spreadsheet_would_compute_is_quoted(text):
    rows = [{"reason": text, "score": -0.5, "name": "trial 1"}]
    header, line = csv(rows, ("name", "reason", "score")).splitlines()
    assert header == "name,reason,score" and "-0.5" in line and line.split(",")[1].lstrip('"').startswith("'")
