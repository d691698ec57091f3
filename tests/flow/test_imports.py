"""The order of the stations, and what must stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import autopeft

PACKAGE = Path(autopeft.__file__).parent
STATIONS = [
    "base",
    "tasks",
    "backbone",
    "importance",
    "methods",
    "procedures",
    "costs",
    "objectives",
    "space",
    "proxy",
    "study",
    "front",
    "report",
    "export",
    "train",
    "tabular",
    "cli",
]
ABOVE = {
    "tabular": {"prepare", "workbench"},
    "train": {"prepare", "result", "workbench"},
    "cli": {p.stem for p in PACKAGE.glob("*.py")},
}  # what stands above the stations and prepares a run for one
SHARED = {"configuration", "uniform_lora"}


def imported(path: Path) -> set[str]:
    """The autopeft modules that a file imports, by their first name below autopeft."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("autopeft."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("autopeft.")}
    return found


def test_every_folder_is_a_station():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()} == set(STATIONS)


@pytest.mark.parametrize("station", STATIONS)
def test_imports_go_to_earlier_stations_only(station):
    shared = set() if station == "base" else SHARED
    allowed = set(STATIONS[: STATIONS.index(station) + 1]) | shared | ABOVE.get(station, set())
    for path in (PACKAGE / station).rglob("*.py"):
        assert imported(path) <= allowed, f"{path.relative_to(PACKAGE)} imports {imported(path) - allowed}"


def test_folders_are_at_most_two_deep():
    assert all(len(p.relative_to(PACKAGE).parts) <= 3 for p in PACKAGE.rglob("*.py"))


def test_the_public_names_are_few():
    assert len(autopeft.__all__) <= 15 and all(hasattr(autopeft, n) for n in autopeft.__all__)


def loaded(code: str) -> set[str]:
    """The top-level modules in memory after running code in a new process."""
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join({{m.split('.')[0] for m in sys.modules}}))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(out.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import autopeft",
        "import autopeft.cli",
        "import autopeft.front, autopeft.front.table",
        "import autopeft.export, autopeft.space, autopeft.methods",
        "import autopeft.report",
        "import autopeft.cli.train, autopeft.train.training, autopeft.train.checks, autopeft.train.card",
        "import autopeft.cli.tabular, autopeft.tabular.fidelity, autopeft.tabular.comparison, autopeft.report.benchmark, autopeft.study.promotion",
        "from autopeft.space import load_space; [load_space(n) for n in ('default', 'lora', 'dcft', 'adapters', 'freeze', 'autopeft')]",
    ],
)
def test_no_torch(code):
    assert not loaded(code) & {"torch", "transformers", "peft"}
