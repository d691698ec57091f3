"""The versions that CI installs: one of every package, and within the bounds of pyproject.toml."""

import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parents[2]
PROJECT = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
LINES = [x for x in (HERE / ".ci" / "constraints.txt").read_text().splitlines() if x and not x.startswith("#")]
PINS = {canonicalize_name(name): pin for name, _, pin in (x.partition("==") for x in LINES)}


def asked(extra: str) -> list[Requirement]:
    """What an extra of this project asks for, and the extras within it."""
    found = []
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
        within = [asked(x) for x in requirement.extras] if requirement.name == PROJECT["name"] else [[requirement]]
        found += [x for some in within for x in some]
    return found


def test_pins_are_within_the_bounds():
    direct = [Requirement(x) for x in PROJECT["dependencies"]] + asked("test")
    assert {"torch", "pytest", "ruff", "s3fs", "ray"} <= {r.name for r in direct}
    wrong = [str(r) for r in direct if PINS.get(canonicalize_name(r.name), "missing") not in r.specifier]
    assert not wrong


def test_a_pin_is_one_version_on_every_platform():
    assert len(PINS) == len(LINES) > 100
    assert all(pin and "+" not in pin and "*" not in pin for pin in PINS.values())


def pinned_here(name: str) -> bool:
    """Whether a package is installed here, in the pinned version: in a developer's environment it may be another."""
    try:
        return name in PINS and version(name) == PINS[name]
    except PackageNotFoundError:
        return False


def test_whatever_is_installed_with_them_is_pinned_too():
    """Of torch only the package itself: what a CUDA wheel needs is its own affair."""
    left, seen = [Requirement(x) for x in PROJECT["dependencies"]] + asked("test"), set()
    while left:
        requirement = left.pop()
        key = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        further = requires(requirement.name) or [] if pinned_here(key[0]) and key[0] != "torch" else []
        environments = [{"extra": extra} for extra in ("", *requirement.extras)]
        left += [
            r for r in map(Requirement, further) if not r.marker or any(r.marker.evaluate(e) for e in environments)
        ]
    assert sorted({name for name, _ in seen} - PINS.keys()) == []
