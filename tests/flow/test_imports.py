"""The order of the stations, and what must stay light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
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
    "executor",
    "surrogate",
    "study",
    "front",
    "report",
    "export",
    "train",
    "tabular",
    "cli",
]
ABOVE = {
    "tabular": {"prepare", "resident", "workbench"},
    "train": {"prepare", "resident", "result", "start_checks", "workbench"},
    "cli": {p.stem for p in PACKAGE.glob("*.py")},
}  # what stands above the stations and prepares a run for one
SHARED = {"configuration", "uniform_lora"}


def modules(node: ast.AST) -> list[str]:
    """The modules that an import statement names, and for `from autopeft import x` autopeft.x."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "autopeft":
        return [f"autopeft.{a.name}" for a in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def imported(path: Path, typing: bool = True) -> set[str]:
    """The autopeft modules that a file imports, by their first name below autopeft; typing: also for annotations."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    blocks = [n for n in nodes if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    left_out = set() if typing else {id(n) for block in blocks for n in ast.walk(block)}
    names = [name for node in nodes if id(node) not in left_out for name in modules(node)]
    return {name.split(".")[1] for name in names if name.startswith("autopeft.")}


def rooms() -> dict[str, set[str]]:
    """Each folder, and each module at the top -> the others that it imports, inside functions too."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if not room.startswith("__"):
            found.setdefault(room, set()).update(imported(path, typing=False) - {room})
    return {room: others & set(found) for room, others in found.items()}


def test_every_folder_is_a_station():
    assert {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()} == set(STATIONS)


@pytest.mark.parametrize("station", STATIONS)
def test_imports_go_to_earlier_stations_only(station):
    shared = set() if station == "base" else SHARED
    allowed = set(STATIONS[: STATIONS.index(station) + 1]) | shared | ABOVE.get(station, set())
    for path in (PACKAGE / station).rglob("*.py"):
        assert imported(path) <= allowed, f"{path.relative_to(PACKAGE)} imports {imported(path) - allowed}"


def test_no_rooms_import_each_other_in_a_circle():
    tuple(TopologicalSorter(rooms()).static_order())  # raises CycleError, which names the circle


def test_folders_are_at_most_two_deep():
    assert all(len(p.relative_to(PACKAGE).parts) <= 3 for p in PACKAGE.rglob("*.py"))


def test_the_public_names_are_few():
    assert len(autopeft.__all__) <= 15 and all(hasattr(autopeft, n) for n in autopeft.__all__)


def loaded(code: str) -> set[str]:
    """The modules in memory after running code in a new process."""
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
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
        "import autopeft.costs, autopeft.objectives",
        "import autopeft.report.files, autopeft.report.terminal, autopeft.report.dry_run, autopeft.report.scatter",
        "import autopeft.cli.train, autopeft.train.training, autopeft.train.checks, autopeft.train.card",
        "import autopeft.cli.tabular, autopeft.tabular.fidelity, autopeft.tabular.comparison, autopeft.report.benchmark, autopeft.study.promotion",
        "import autopeft.base.files, autopeft.base.packages, autopeft.base.plugins, autopeft.base.recipe",
        "import autopeft.result, autopeft.search, autopeft.prepare, autopeft.configuration, autopeft.uniform_lora",
        "import autopeft.space.branch, autopeft.space.space_file, autopeft.methods.tuners",
        "import autopeft.study.spec, autopeft.study.folder, autopeft.study.journal, autopeft.study.records",
        "from autopeft.space import load_space; [load_space(n) for n in ('default', 'lora', 'dcft', 'adapters', 'freeze', 'autopeft')]",
    ],
)
def test_no_torch(code):
    assert not loaded(code) & {"torch", "transformers", "peft"}


def test_help_loads_no_heavy_library():
    heavy = {"torch", "transformers", "peft", "optuna", "pandas", "plotly", "sklearn", "scipy", "datasets"}
    assert not loaded("from autopeft.cli.main import commands; commands.list_commands(None)") & heavy
    assert not loaded("import autopeft.cli.options, autopeft.study.spec, autopeft.base.progress") & heavy


def test_an_open_study_loads_nothing_that_only_a_finished_one_needs():
    opened = {name.split(".")[1] for name in loaded("import autopeft.workbench") if name.startswith("autopeft.")}
    assert "study" in opened and not opened & {"result", "report", "export", "tabular", "cli"}
