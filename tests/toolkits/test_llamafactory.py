"""LLaMA-Factory's own parser and adapters on what is exported: the parameters they train are those that autopeft trains."""

import subprocess
import sys

import pytest
from export_cases import case, case_of, save_toy
from tiny import tiny_config

from autopeft.configuration import Configuration
from autopeft.export import export
from autopeft.export.mechanisms.trained_shapes import canonical, trained_shapes
from autopeft.tasks.kind import get_kind

pytestmark = pytest.mark.toolkits


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy"))


def shapes_of(found: dict) -> dict:
    return {canonical(name): tuple(shape) for name, shape in found.items()}


def trained_by_autopeft(configuration) -> dict:
    return trained_shapes(configuration, tiny_config("llama"), kind=get_kind("causal-lm"))


@pytest.mark.parametrize(
    "method, settings",
    [
        ("lora", {"rank": 4, "layers": "0,2"}),
        ("lora", {"layers": "1", "target_modules": "query"}),
        ("lora", {"rslora": True, "target_modules": "all-linear"}),
        ("dora", {"layers": "1-2"}),
        ("pissa", {"rank": 4}),
        ("oft", {"block_size": 8, "layers": "1-2"}),
        ("ln_tuning", {"layers": "1-2"}),
    ],
)
def test_llamafactory_trains_the_same_parameters(inside, toy, tmp_path, method, settings):
    one = case(method, settings, **toy)
    export("llamafactory", one, tmp_path)
    assert shapes_of(inside("llamafactory", "adapter", tmp_path)) == trained_by_autopeft(one.configuration)


@pytest.mark.parametrize("layers", [(1, 2), (0,)])
def test_llamafactory_trains_whole_layers(inside, toy, tmp_path, layers):
    one = case_of(Configuration.of("full_layers", {}, layers, 1e-4), **toy)
    export("llamafactory", one, tmp_path)
    assert shapes_of(inside("llamafactory", "adapter", tmp_path)) == trained_by_autopeft(one.configuration)


def test_llamafactory_trains_the_nearest_uniform_rank(inside, toy, tmp_path):
    one = case("lora_ranks", {"attention_rank": 4, "ffn_rank": 4}, **toy)
    export("llamafactory", one, tmp_path)
    nearest = case("lora", {"rank": 4, "target_modules": "all-linear"}).configuration
    assert shapes_of(inside("llamafactory", "adapter", tmp_path)) == trained_by_autopeft(nearest)


def test_llamafactory_trains_two_steps_on_the_rows(inside, toy, tmp_path):
    one = case("lora", {"layers": "1-2"}, **toy)
    export("llamafactory", one, tmp_path)
    subprocess.run([sys.executable, "data.py"], cwd=tmp_path, check=True)
    assert shapes_of(inside("llamafactory", "run", tmp_path)) == trained_by_autopeft(one.configuration)
