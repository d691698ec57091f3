"""Every method belongs to a family, and docs/methods.md lists it under that one."""

import re
from collections import Counter
from pathlib import Path

import pytest
from contract_cases import METHODS

from autopeft.methods import REGISTRY
from autopeft.methods.mechanisms.method import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def listed() -> list[tuple[str, str]]:
    """(method, family) of every row of the page's tables below a heading that is a family."""
    found, family = [], None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            family = line.lstrip("# ").lower() if line.startswith("### ") else None
        elif family and line.startswith("| `"):
            found += [(method, family) for method in re.findall(r"`(\w+)`", line.split("|")[1])]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_in_a_family_and_listed_under_it(method):
    family = REGISTRY[method].family
    assert family in FAMILIES and family != "other"
    assert [under for name, under in listed() if name == method] == [family]


def test_the_page_lists_nothing_twice_and_nothing_else():
    assert set(Counter(name for name, _ in listed()).values()) == {1}
    assert {name for name, _ in listed()} == set(METHODS)
