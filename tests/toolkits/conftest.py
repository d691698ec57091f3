"""The toolkits' own environments as subprocesses: a script and its arguments in, JSON out."""

import json
import os
import subprocess
from pathlib import Path

import environments
import pytest

INSIDE = Path(__file__).parent / "inside"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


@pytest.fixture(scope="session")
def inside(request):
    """inside(toolkit, *arguments): runs inside/in_TOOLKIT.py in its environment and returns the last line, parsed.

    `pytest -m toolkits` sets up what is missing; any other selection skips with the command that does.
    """
    asked = request.config.option.markexpr == "toolkits"

    def run(toolkit: str, *arguments):
        return run_inside(interpreter(toolkit, asked), toolkit, *arguments)

    return run


def interpreter(toolkit: str, install: bool) -> Path:
    if found := environments.python(toolkit):
        return found
    command = f"python tests/toolkits/environments.py {toolkit}"
    if not install:
        pytest.skip(f"{toolkit} is not set up: {command}")
    try:
        return environments.set_up(toolkit)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{toolkit} could not be set up ({(error.stderr or '').strip()[-200:]}): {command}")


def run_inside(python: Path, toolkit: str, *arguments):
    """The JSON of the last line that inside/in_TOOLKIT.py prints; its stderr is shown where it fails."""
    # PYTHONPATH would put this environment's autopeft before the toolkit's own packages.
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python, INSIDE / f"in_{toolkit}.py", *map(str, arguments)]
    done = subprocess.run(command, env=outside | OFFLINE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
