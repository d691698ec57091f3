"""A search as small as it can be, through the command line in a process of its own."""

import subprocess
import sys

SMALL = [
    "--train-rows",
    "200",
    "--validation-rows",
    "60",
    "--test-rows",
    "60",
    "--max-length",
    "32",
    "--full-steps",
    "8",
    "--cohort",
    "2",
    "--batch-size",
    "8",
    "--seeds",
    "3",
    "--finalists",
    "1",
    "--precision",
    "fp32",
    "--budget",
    "0.5%",
]


def autopeft(*arguments, check=0, **kwargs):
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "autopeft", *map(str, arguments)], capture_output=True, text=True, **kwargs
    )
    assert done.returncode == check, done.stderr
    assert "Traceback" not in done.stderr
    return done
