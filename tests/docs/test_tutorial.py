"""docs/tutorial.md runs from top to bottom: every block, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """(language, code, the prose before it) of each block of the page."""
    found, end = [], 0
    for match in BLOCK.finditer(PAGE):
        found.append((match[1], match[2], PAGE[end : match.start()]))
        end = match.end()
    return found


def environment(folder: Path) -> dict[str, str]:
    """This interpreter's autopeft as the command of that name, whether or not it is installed."""
    command = folder / "autopeft"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autopeft "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


def run(language: str, code: str, folder: Path, env: dict[str, str]) -> str:
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-ec", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    return done.stdout


def lines(text: str) -> list[str]:
    """Without the blanks that fill up a table."""
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.slow  # a minute on one core; .ci/run names this file
def test_every_block_runs_and_prints_what_the_page_shows(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "empty").mkdir()
    env, printed = environment(tmp_path / "bin"), ""
    for language, code, before in blocks():
        if language != "text":
            printed = run(language, code, tmp_path / "empty", env)
            print(f"--- {code}{printed}")
        elif "for example:" in before.lower():
            assert printed.strip(), f"nothing was printed where the page shows\n{code}"
        else:
            assert lines(printed) == lines(code), f"the page shows something else than is printed by\n{code}"
    assert (tmp_path / "empty" / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "empty" / "exported" / "adapter_config.json").is_file()
    assert {line.split(":")[0] for line in printed.splitlines()} <= {"billing", "delivery", "technical"}
