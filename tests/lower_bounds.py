"""The lowest versions that pyproject.toml admits: an environment of them, a small search in it, and some of the tests.

    python tests/lower_bounds.py [TORCH]

TORCH is 2.13.* if not given: on the registry, lower versions for Linux on x86 are CUDA wheels of gigabytes only.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

from small_search import SMALL

HERE = Path(__file__).parents[1]
ENVIRONMENT = HERE / ".venv-lowest"
EXTRAS = ("s3", "postgresql")  # that a test below or the search reaches; not ray, bitsandbytes and the tools
SEARCH = ["search", *SMALL, "--trials", "3", "--rates", "1", "--workers", "1", "--no-ceiling", "--importance", "trace"]
TESTS = [
    "tests/contracts/test_methods.py",
    "tests/contracts/test_procedures.py",
    "tests/base",
    "tests/study/test_folder.py",
    "tests/study/test_trials.py",
    "tests/tasks/test_files.py",
    "tests/report/test_tables.py",
    "tests/backbone/test_damaged_model.py",
    "tests/surrogate",
]
ONLY = "not contracts or lora or dcft or adalora or bitfit or plain or lisa"


def run(*command: str | Path, **environment: str) -> None:
    """Run a program in the repository; say which, and end with it where it fails."""
    print("+", *command, flush=True)
    if code := subprocess.run(list(map(str, command)), cwd=HERE, env={**os.environ, **environment}).returncode:
        sys.exit(code)


def main(torch: str = "2.13.*") -> None:
    """Make the environment anew and run what is to run in it."""
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    python, lowest, override = (ENVIRONMENT / name for name in ("bin/python", "lowest.txt", "torch.txt"))
    override.write_text(f"torch=={torch}\n")
    found = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    uv = (python, "-m", "uv", "pip")
    run(python, "-m", "pip", "install", "--quiet", "uv")
    extras = [x for extra in EXTRAS for x in ("--extra", extra)]
    asked = ("--resolution", "lowest-direct", "--override", override, "--quiet", "--no-annotate", "--no-header")
    run(*uv, "compile", *asked, *extras, "pyproject.toml", "-o", lowest, **found)
    run(*uv, "install", "--quiet", "--python", python, "-r", lowest, **found)
    run(*uv, "install", "--quiet", "--python", python, "--no-deps", ".")
    run(*uv, "install", "--quiet", "--python", python, "pytest", "-c", lowest, **found)
    run(*uv, "check", "--python", python)
    run(python, "-P", "-m", "autopeft", *SEARCH, "--out", ENVIRONMENT / "study")
    run(python, "-P", "-m", "pytest", "--quiet", *TESTS, "-k", ONLY)


if __name__ == "__main__":
    main(*sys.argv[1:])
