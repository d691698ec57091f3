"""The recipes of docs/CONTRIBUTING.md, installed as a package outside this repository, do what the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "CONTRIBUTING.md").read_text(encoding="utf-8")
METADATA = "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
TUNER = "import my_package.tuner_output_scale  # noqa: F401\n"  # the line that a plug-in needs beside the recipe
CONTRACT = """
import sys
from pathlib import Path

sys.path[:0] = ["tests", "tests/methods"]
import autopeft.methods
from tuner_checks import check_tuner, fields_and_count

for model_type in ("bert", "gpt2"):
    check_tuner(*fields_and_count("output_scale", model_type), model_type, Path(sys.argv[1]) / model_type)
"""


def recipes() -> dict[str, str]:
    """The page's files: path -> text."""
    return dict(re.findall(r'^```python title="(autopeft/.+?)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))


def entry_points() -> str:
    """The page's table of entry points, as an installer writes it down."""
    groups = re.findall(r'^\[project\.entry-points\."(.+)"\]\n(\w+) = "(.+)"$', PAGE, re.MULTILINE)
    return "".join(f"[{group}]\n{name} = {module}\n" for group, name, module in groups)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder as pip leaves it, with the recipes as the package my_package; HiRA is in the registry already."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").write_text("")
    for path, text in recipes().items():
        name = Path(path).name
        if path.startswith("autopeft/methods/tuners/"):
            name = f"tuner_{name}"
        elif path == "autopeft/methods/output_scale.py":
            text = text.replace("from typing import Any\n", f"from typing import Any\n\n{TUNER}")
        (folder / "my_package" / name).write_text(text, encoding="utf-8")
    (folder / "my_package" / "hira.py").unlink()
    about = folder / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(METADATA)
    (about / "entry_points.txt").write_text(entry_points())
    return folder


def python(site: Path, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_method_of_peft_is_the_one_that_stands_here():
    path = "autopeft/methods/hira.py"
    assert (ROOT / path).read_text(encoding="utf-8") == recipes()[path], "copy the file into docs/CONTRIBUTING.md"


def test_the_method_of_ones_own_is_counted_and_keeps_its_contract(site, tmp_path):
    counted = json.loads(python(site, "-m", "autopeft", "count", "--method", "output_scale", "--json"))
    assert counted["trainable"] == 6 * 2 * 384  # layers of MiniLM-L6, query and value, outputs
    python(site, "-c", CONTRACT, str(tmp_path))


def test_the_kind_of_task_is_listed(site):
    rows = {row["task"]: row for row in json.loads(python(site, "-m", "autopeft", "data", "tasks", "--json"))}
    assert rows["counts"]["title"] == "regression of counts"


def test_the_objective_can_be_pursued_and_limited(site):
    study = [
        "--objectives",
        "adapted-layers,accuracy",
        "--limit",
        "adapted-layers=3",
        "--space",
        "lora",
        "--dry-run",
        "--json",
    ]
    plan = json.loads(python(site, "-m", "autopeft", "search", *study))
    assert plan["configurations"] > 0
    assert "adapted-layers" in json.dumps(plan)


def test_the_recipes_are_formatted_and_pass_the_rules(tmp_path):
    for path, text in recipes().items():
        (tmp_path / Path(path).parent).mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    config = ["--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *config], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
