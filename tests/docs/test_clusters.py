"""The files with which a cluster is started: they parse, and the commands in them are ours."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from autopeft.cli.main import commands

CLUSTERS = Path(__file__).parents[2] / "docs" / "clusters"


def searches() -> list[str]:
    """The search command in each file."""
    kubernetes = yaml.safe_load((CLUSTERS / "kuberay.yaml").read_text())["spec"]["entrypoint"]
    slurm = (CLUSTERS / "slurm.sh").read_text().replace("\\\n", " ").replace("$head", "host")
    return [kubernetes, re.search(r"autopeft search .*?--quiet", slurm)[0]]


@pytest.mark.parametrize("command", searches())
def test_every_option_of_the_search_exists(command):
    asked = CliRunner().invoke(commands, [*shlex.split(command)[1:], "--help"])
    assert asked.exit_code == 0, asked.output
    names = set(re.findall(r"--[a-z-]+", asked.output))
    assert set(re.findall(r"--[a-z-]+", command)) <= names


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_batch_script_is_a_script():
    assert subprocess.run(["bash", "-n", str(CLUSTERS / "slurm.sh")]).returncode == 0


def test_every_worker_has_a_gpu_and_the_shared_volume():
    (group,) = yaml.safe_load((CLUSTERS / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    pod = group["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]
