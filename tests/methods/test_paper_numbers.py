"""Our counts and ranks beside those that papers and peft's benchmark state."""

from pathlib import Path

import pytest
from paper_numbers import page, rows
from paper_ranks import RANKS, measured

PAGE = Path(__file__).parents[2] / "docs" / "paper_numbers.md"


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.where}-{row.model}-{row.method}-{row.stated}")
def test_a_stated_number(row):
    assert row.agrees == (not row.differs), f"{row.stated} stated, {row.ours:,} ours"


def test_a_wrong_number_is_seen():
    from dataclasses import replace

    row = next(x for x in rows() if x.stated == "0.826%")
    assert row.agrees and not replace(row, stated="0.827%").agrees and not replace(row, settings="rank=31").agrees


@pytest.mark.parametrize("method, settings, statement, rank, source", RANKS)
def test_a_stated_rank(method, settings, statement, rank, source):
    assert measured(method, *settings.items()) == rank


def test_the_page_is_what_the_script_prints():
    assert PAGE.read_text(encoding="utf-8") == page()
