"""A kind of task of an installed package is found by its entry point, from any process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
from autopeft.tasks.kinds.classification import Classification


class Headlines(Classification):
    name = "headlines"
    title = "headline classification"
"""
METADATA = "Metadata-Version: 2.1\nName: autopeft-headlines\nVersion: 1.0\n"
ENTRY_POINTS = "[autopeft.kinds]\nheadlines = my_headlines\n"


def install(folder: Path, module: str) -> None:
    """What an installer leaves of a package with one module."""
    (folder / "my_headlines.py").write_text(module)
    about = folder / "autopeft_headlines-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(METADATA)
    (about / "entry_points.txt").write_text(ENTRY_POINTS)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH", "")]), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run([sys.executable, "-m", "autopeft", *command], capture_output=True, text=True, env=environment)


def test_a_kind_of_an_installed_package_is_listed(tmp_path):
    install(tmp_path, MODULE)
    done = run(tmp_path, "data", "tasks", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["task"]: row for row in json.loads(done.stdout)}
    assert rows["headlines"]["title"] == "headline classification"
    assert rows["headlines"]["metrics"] == rows["classification"]["metrics"]
    assert "headline classification" in run(tmp_path, "data", "tasks").stdout


def test_a_search_over_such_a_kind_is_prepared(tmp_path):
    install(tmp_path, MODULE)
    rows = "".join(f"a text {number},{'ab'[number % 2]}\n" for number in range(60))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    done = run(tmp_path, "search", "--data", str(tmp_path / "rows.csv"), "--task", "headlines", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "headline classification" in " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    "module, said",
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        (MODULE.replace('"headlines"', '"regression"'), "There is a kind of task called 'regression' already"),
    ],
)
def test_a_plug_in_that_does_not_load_ends_in_one_sentence(tmp_path, module, said):
    install(tmp_path, module)
    done = run(tmp_path, "data", "tasks")
    assert done.returncode and "Traceback" not in done.stderr and not done.stdout
    message = " ".join(done.stderr.split())
    assert "The plug-in headlines of autopeft-headlines" in message and said in message
