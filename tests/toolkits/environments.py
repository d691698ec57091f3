"""Sets up the environments of the toolkits that autopeft exports to: python tests/toolkits/environments.py [NAME ...]

No two of them can share one: each pins other versions of transformers and peft. They lie in the user's cache, or in
$AUTOPEFT_TOOLKITS; one that is there is kept until what is said of it here changes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

INSIDE = Path(__file__).parent / "inside"
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "AXOLOTL_DO_NOT_TRACK": "1",
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
TORCH = "torch==2.13.0"  # first, and in every later call: no toolkit may bring a build for GPUs


@dataclass(frozen=True)
class Environment:
    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()  # installed without what they depend on
    removed: tuple[str, ...] = ()  # brought by the packages, and not to be loaded beside a CPU build of torch
    torch: bool = True


ENVIRONMENTS = {
    "trl": Environment(("trl==1.16.0", "peft==0.21.2", "transformers==5.23.0")),
    "llamafactory": Environment(("llamafactory==0.9.5",), removed=("torchvision", "torchaudio")),
    "axolotl": Environment(("axolotl==0.19.0",)),
    # Its parser alone: its trainer is for GPUs.
    "unsloth": Environment(("typer", "click", "pydantic", "pyyaml"), alone=("unsloth==2026.10.9",), torch=False),
    "adapters": Environment(("adapters==1.3.0", "datasets", "accelerate")),
    "swift": Environment(("ms-swift==4.6.0",)),
}


def folder() -> Path:
    """Where the environments lie."""
    given = os.environ.get("AUTOPEFT_TOOLKITS")
    return Path(given) if given else platformdirs.user_cache_path("autopeft") / "toolkits"


def python(name: str) -> Path | None:
    """The interpreter of an environment that is set up as it is described here, or None."""
    home = folder() / name
    try:
        done = json.loads((home / "packages.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return home / "bin" / "python" if done == described(name) else None


def described(name: str) -> dict:
    return json.loads(json.dumps(asdict(ENVIRONMENTS[name])))


def set_up(name: str) -> Path:
    """Make the environment, unless it is there. Raises CalledProcessError with pip's words where a package fails."""
    if found := python(name):
        return found
    home, environment = folder() / name, ENVIRONMENTS[name]
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    torch = [TORCH] if environment.torch else []
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:  # beside them: /tmp is often too small for torch
        pip(home, scratch, "install", "-U", "pip>=26")  # Python's own is old and tries dozens of versions of Axolotl's
        if torch:
            pip(home, scratch, "install", *torch)
        pip(home, scratch, "install", *torch, *environment.packages)
        if environment.alone:
            pip(home, scratch, "install", "--no-deps", *environment.alone)
        if environment.removed:
            pip(home, scratch, "uninstall", "-y", *environment.removed)
    (home / "packages.json").write_text(json.dumps(described(name)), encoding="utf-8")
    return home / "bin" / "python"


def pip(home: Path, scratch: str, *arguments: str) -> None:
    """No cache is kept: each archive is unpacked once."""
    where = {**os.environ, "TMPDIR": scratch, "PIP_NO_CACHE_DIR": "1"}
    command = [home / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, env=where, stderr=subprocess.PIPE, text=True)


def run(name: str, *arguments):
    """The JSON of the last line that inside/in_NAME.py prints in that environment. Raises AssertionError with its stderr."""
    # PYTHONPATH would put this environment's packages before the toolkit's own.
    outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python(name), INSIDE / f"in_{name}.py", *map(str, arguments)]
    done = subprocess.run(command, env=outside | OFFLINE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def main(names: list[str]) -> int:
    if unknown := set(names) - set(ENVIRONMENTS):
        print(f"Unknown toolkit {', '.join(sorted(unknown))}: there are {', '.join(ENVIRONMENTS)}.", file=sys.stderr)
        return 2
    for name in names or ENVIRONMENTS:
        start = time.monotonic()
        try:
            path = set_up(name)
        except subprocess.CalledProcessError as error:
            print(f"{name} could not be set up:\n{(error.stderr or str(error)).strip()}", file=sys.stderr)
            return 1
        print(f"{name}: {path} ({time.monotonic() - start:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
