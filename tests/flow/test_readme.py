"""The README's commands are the contract: they are read from it and run."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command(name: str) -> str:
    return re.search(rf"<!-- {name} command -->\n```sh\n(.+)\n```", README)[1]


def test_ci_runs_the_test_command():
    found = subprocess.run(
        ["awk", r"/<!-- test command -->/{found=1} found && /^```sh/{getline; print; exit}", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == command("test") and "<!-- test command -->" in (ROOT / ".ci" / "run").read_text()


def test_both_commands_stand_on_the_first_screen():
    first_screen = README.splitlines()[:25]
    assert command("search") in first_screen and command("test") in first_screen


def test_every_local_link_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.slow
def test_the_search_command_in_a_fresh_environment(tmp_path):
    """Line 1 exactly as it stands, in a copy of the checkout, with fewer trials and steps."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(tmp_path / "clone")], check=True)
    less = " --trials 3 --full-steps 8 --finalists 1 --no-ceiling"
    done = subprocess.run(
        ["bash", "-c", command("search") + less], cwd=tmp_path / "clone", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "uniform LoRA" in done.stdout
    reports = list((tmp_path / "clone" / "runs").glob("*/report.html"))
    assert len(reports) == 1 and "plotly" in reports[0].read_text(encoding="utf-8")[:5_000_000]
