"""Sets up the virtual environments of the toolkits that autopeft exports to: python tests/toolkits/environments.py [NAME ...]

No two of them can share one: each pins other versions of transformers and peft. They lie in the user's cache, or in
$AUTOPEFT_TOOLKITS, about 13 GB in all; one that is there is kept until its packages here change.
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

TORCH = "torch==2.13.0"  # first and in every later call, so that no toolkit brings a build for GPUs


@dataclass(frozen=True)
class Environment:
    packages: tuple[str, ...]
    removed: tuple[str, ...] = ()  # what the packages bring and does not load beside a CPU build of torch
    torch: bool = True
    dependencies: bool = True  # False: the packages as they are; what they import is named among them


ENVIRONMENTS = {
    "trl": Environment(("trl==1.16.0", "peft==0.21.2", "transformers==5.23.0", "datasets>=5,<6")),
    "llamafactory": Environment(
        ("llamafactory==0.9.5", "peft==0.18.1", "transformers==5.6.0", "trl==0.24.0"), ("torchvision", "torchaudio")
    ),
    "axolotl": Environment(("axolotl==0.19.0",)),
    "unsloth": Environment(
        # The parser alone: its trainer wants a GPU.
        (
            "unsloth==2026.10.9",
            "typer==0.25.1",
            "click",
            "rich",
            "shellingham",
            "typing-extensions",
            "annotated-doc",
            "pydantic==2.12.5",
            "pydantic-core==2.41.5",
            "annotated-types",
            "typing-inspection",
            "pyyaml",
        ),
        torch=False,
        dependencies=False,
    ),
    "adapters": Environment(("adapters==1.3.0", "transformers==4.57.6", "datasets")),
    "swift": Environment(("ms-swift==4.6.0", "peft==0.20.0", "transformers==5.19.0")),
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
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:

        def pip(*arguments: str) -> None:
            # Beside the environments: the system's own temporary folder is often too small to unpack torch in.
            here = {**os.environ, "TMPDIR": scratch, "PIP_NO_CACHE_DIR": "1"}
            command = [home / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check", *arguments]
            subprocess.run(command, check=True, env=here, stderr=subprocess.PIPE, text=True)

        torch = [TORCH] if environment.torch else []
        if torch:
            pip("install", *torch)
        pip("install", *torch, *environment.packages, *([] if environment.dependencies else ["--no-deps"]))
        if environment.removed:
            pip("uninstall", "-y", *environment.removed)
    (home / "packages.json").write_text(json.dumps(described(name)), encoding="utf-8")
    return home / "bin" / "python"


def main(names: list[str]) -> int:
    if unknown := set(names) - set(ENVIRONMENTS):
        print(f"Unknown toolkit {', '.join(sorted(unknown))}: there are {', '.join(ENVIRONMENTS)}.", file=sys.stderr)
        return 2
    folder().mkdir(parents=True, exist_ok=True)
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
