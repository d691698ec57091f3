"""The lowest versions that pyproject.toml admits: an environment of them, a small search in it, and some of the tests.

    python3 tests/lower_bounds.py

On Linux the registry's torch 2.6 is a CUDA wheel: about 3 GB are fetched.
"""

import subprocess
import sys
import venv
from pathlib import Path

from small_search import SMALL

HERE = Path(__file__).parents[1]
ENVIRONMENT = HERE / ".venv-lowest"
EXTRAS = ("s3", "postgresql")  # that a test below or the search reaches; not ray, bitsandbytes and the tools
SEARCH = ["search", *SMALL, "--trials", "3", "--rates", "1", "--workers", "1", "--no-ceiling", "--importance", "trace"]
CONTRACTS = ["tests/contracts/test_methods.py", "tests/contracts/test_procedures.py", "-k", "dcft or bitfit or lisa"]
TESTS = [
    "tests/base",
    "tests/study/test_folder.py",
    "tests/study/test_trials.py",
    "tests/tasks/test_files.py",
    "tests/report/test_tables.py",
    "tests/backbone/test_damaged_model.py",
]


def run(*command: str | Path) -> None:
    """Run a program in the repository; say which, and end with it where it fails."""
    print("+", *command, flush=True)
    if code := subprocess.run(list(map(str, command)), cwd=HERE).returncode:
        sys.exit(code)


def main() -> None:
    """Make the environment anew and run what is to run in it."""
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    python, lowest = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "lowest.txt"
    uv = (python, "-m", "uv", "pip")
    run(python, "-m", "pip", "install", "--quiet", "uv")
    extras = [x for extra in EXTRAS for x in ("--extra", extra)]
    asked = ("--resolution", "lowest-direct", "--quiet", "--no-annotate", "--no-header")
    run(*uv, "compile", *asked, *extras, "pyproject.toml", "-o", lowest)
    run(*uv, "install", "--quiet", "--python", python, "-r", lowest)
    run(*uv, "install", "--quiet", "--python", python, "--no-deps", ".")
    run(*uv, "install", "--quiet", "--python", python, "pytest", "-c", lowest)
    run(*uv, "check", "--python", python)
    run(python, "-P", "-m", "autopeft", *SEARCH, "--out", ENVIRONMENT / "study")
    run(python, "-P", "-m", "pytest", "--quiet", *CONTRACTS)
    run(python, "-P", "-m", "pytest", "--quiet", *TESTS)


if __name__ == "__main__":
    main()
