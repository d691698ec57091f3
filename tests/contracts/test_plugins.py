"""A package outside this repository adds a method and a procedure, once it is installed; a broken one says so."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
METHOD = """
from typing_extensions import override

from autopeft.methods import Method


class Tied(Method):
    name = "tied"
    title = "Tied LoRA"
    family = "low rank"
    paper = "made up for this test"
    hyperparameters = {"rank": (1, 2)}
    defaults = {"rank": 2}
    learning_rate = (1e-4, 1e-2)

    @override
    def count(self, settings, layers, shapes):
        return {x.path: settings["rank"] * x.in_features for x in shapes.select("query+value", layers)}

    @override
    def peft_fields(self, settings, layers, shapes):
        paths = [x.path for x in shapes.select("query+value", layers)]
        return {"peft_type": "LORA", "r": settings["rank"], "target_modules": paths}
"""
PROCEDURE = """
from autopeft.procedures import Procedure


class Slowly(Procedure):
    name = "slowly"
    title = "slow training"
    paper = "made up for this test"
"""
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "made-up-plugin"
version = "1.0"

[project.entry-points."autopeft.methods"]
tied = "made_up_plugin.tied"

[project.entry-points."autopeft.procedures"]
slowly = "made_up_plugin.slowly"
"""
ENTRY_POINTS = """
[autopeft.methods]
tied = made_up_plugin.tied

[autopeft.procedures]
slowly = made_up_plugin.slowly
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def code(method: str = METHOD, procedure: str = PROCEDURE) -> dict[str, str]:
    return {
        "made_up_plugin/__init__.py": "",
        "made_up_plugin/tied.py": method,
        "made_up_plugin/slowly.py": procedure,
    }


def as_installed(folder: Path, **parts: str) -> Path:
    """A folder as pip leaves it: the package and its metadata."""
    made = "made_up_plugin-1.0.dist-info"
    metadata = "Metadata-Version: 2.1\nName: made-up-plugin\nVersion: 1.0\n"
    write(folder, {f"{made}/METADATA": metadata, f"{made}/entry_points.txt": ENTRY_POINTS, **code(**parts)})
    return folder


def install(folder: Path) -> Path:
    """The package, installed with pip into a folder of its own where its back end is there, else as pip leaves it."""
    target = folder / "installed"
    if not (importlib.util.find_spec("setuptools") and importlib.util.find_spec("pip")):
        return as_installed(target)
    write(folder / "source", {"pyproject.toml": PROJECT, **code()})
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    done = subprocess.run([*pip, str(target), str(folder / "source")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def autopeft(installed: Path, *arguments: str, program: str | None = None) -> subprocess.CompletedProcess:
    """Run the command line, or some code, where that folder holds installed packages."""
    paths = os.pathsep.join([str(installed), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-c", program] if program else [sys.executable, "-m", "autopeft", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("plugin"))


def test_its_method_is_listed_and_counted(installed, tmp_path):
    assert "Tied LoRA" in autopeft(installed, "methods").stdout
    write(tmp_path, {"config.json": '{"model_type": "bert", "architectures": ["BertModel"]}'})
    options = ["--model", str(tmp_path), "--method", "tied", "--json"]
    counted = autopeft(installed, "count", *options)
    assert counted.returncode == 0, counted.stderr
    assert str(2 * 768 * 2 * 12) in counted.stdout  # rank 2 x 768 features x query and value x 12 layers


def test_its_procedure_is_listed(installed):
    assert "slow training" in autopeft(installed, "procedures").stdout


def test_its_modules_can_be_imported_first(installed):
    program = "import made_up_plugin.tied as t, autopeft.methods as m; assert m.get_method('tied').__class__ is t.Tied"
    done = autopeft(installed, program=program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("part, command", [("method", "methods"), ("procedure", "procedures"), ("method", "count")])
def test_a_broken_plugin_is_one_sentence(tmp_path, part, command):
    done = autopeft(as_installed(tmp_path, **{part: "import no_such_package\n"}), command)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "made-up-plugin" in line and "no_such_package" in line and line.endswith(".")


def test_a_broken_plugin_stops_what_uses_the_registry_and_not_the_import(tmp_path):
    program = """
import autopeft, autopeft.methods
try:
    autopeft.methods.get_method("lora")
except autopeft.AutopeftError as error:
    print(error)
"""
    done = autopeft(as_installed(tmp_path, method="1 / 0\n"), program=program)
    assert "ZeroDivisionError" in done.stdout and "made-up-plugin" in done.stdout, done.stderr
