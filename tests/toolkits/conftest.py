"""The toolkits' own environments as a fixture: a script and its arguments in, JSON out."""

import subprocess

import environments
import pytest


@pytest.fixture(scope="session")
def inside(request):
    """inside(toolkit, *arguments): what `environments.run` returns of inside/in_TOOLKIT.py.

    `pytest -m toolkits` sets up what is missing; any other selection skips with the command that does.
    """
    asked = request.config.option.markexpr == "toolkits"

    def run(toolkit: str, *arguments):
        there(toolkit, asked)
        return environments.run(toolkit, *arguments)

    return run


def there(toolkit: str, install: bool) -> None:
    if environments.python(toolkit):
        return
    command = f"python tests/toolkits/environments.py {toolkit}"
    if not install:
        pytest.skip(f"{toolkit} is not set up: {command}")
    try:
        environments.set_up(toolkit)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"{toolkit} could not be set up ({(error.stderr or '').strip()[-200:]}): {command}")
