"""TRL's own parser, command and trainer on what is exported: the parameters they train are those that autopeft trains."""

import subprocess
import sys

import pytest
from export_cases import case, save_toy
from tiny import tiny_config

from autopeft.export import export
from autopeft.export.mechanisms.trained_shapes import canonical, trained_shapes
from autopeft.tasks.kind import get_kind

pytestmark = pytest.mark.toolkits


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy"))


def exported(folder, toy, method, settings=None):
    """The case, its files in the folder, and the rows that they ask for."""
    one = case(method, settings, **toy)
    export("trl", one, folder)
    subprocess.run([sys.executable, "data.py"], cwd=folder, check=True)
    return one


def shapes_of(found: dict) -> dict:
    return {canonical(name): tuple(shape) for name, shape in found.items()}


def trained_by_autopeft(one) -> dict:
    return trained_shapes(one.configuration, tiny_config("llama"), kind=get_kind("causal-lm"))


@pytest.mark.parametrize(
    "method, settings",
    [
        ("lora", {"rank": 4, "layers": "0,2"}),
        ("lora", {"layers": "1", "target_modules": "query"}),
        ("lora", {"rslora": True, "target_modules": "all-linear"}),
        ("dora", {"layers": "1-2"}),
    ],
)
def test_trl_trains_the_same_parameters(inside, toy, tmp_path, method, settings):
    one = exported(tmp_path, toy, method, settings)
    assert shapes_of(inside("trl", "parse", tmp_path)) == trained_by_autopeft(one)


def test_trl_sft_trains_two_steps(inside, toy, tmp_path):
    one = exported(tmp_path, toy, "lora", {"layers": "1", "target_modules": "query"})
    assert shapes_of(inside("trl", "run", tmp_path)) == trained_by_autopeft(one)


@pytest.mark.parametrize("method", ["lora_ranks", "ia3"])
def test_the_script_trains_what_the_command_has_no_key_for(inside, toy, tmp_path, method):
    one = exported(tmp_path, toy, method, {"layers": "1-2"})
    assert shapes_of(inside("trl", "script", tmp_path)) == trained_by_autopeft(one)


@pytest.mark.parametrize("method", ["dcft", "full_layers"])
def test_the_script_trains_methods_of_autopeft(inside, toy, tmp_path, method):
    """In this environment, with trl alone from its own."""
    one = exported(tmp_path, toy, method, {"layers": "2"})
    site = inside("trl", "site")
    code = f"import runpy, sys; sys.path.append({str(site)!r}); sys.argv[1:] = ['--steps', '2']; runpy.run_path('train.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    from safetensors.torch import load_file

    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert shapes_of({name: tensor.shape for name, tensor in saved.items()}) == trained_by_autopeft(one)
