"""adapters on what is exported: what it trains is what autopeft trains, and with the same values it computes the same logits."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from export_cases import case, save_toy
from kinds import trained_by_autopeft
from safetensors.torch import save_file
from tiny import tiny_batch
from transformers import AutoModelForSequenceClassification

from autopeft.export import export
from autopeft.export.adapters import FAMILIES
from autopeft.export.mechanisms.adapters_scripts import ADAPTER
from autopeft.export.mechanisms.trained_shapes import canonical
from autopeft.methods.mechanisms.attach import attached, trainable_parameters

pytestmark = pytest.mark.toolkits
ASKED = [
    ("lora", {"rank": 4, "layers": "0,2"}),
    ("lora", {"rank": 8, "rslora": True, "target_modules": "query+key+value+ffn_in+ffn_out"}),
    ("dora", {"rank": 4, "layers": "1"}),
    ("ia3", {"target_modules": "key+value"}),
    ("serial_adapter", {"bottleneck": 4, "layers": "1-2"}),
    ("serial_adapter", {"bottleneck": 4, "placement": "houlsby"}),
    ("parallel_adapter", {"bottleneck": 4, "layers": "0,1"}),
]
IN_LINEARS = {
    "lora_A.weight": "lora_A",
    "lora_B.weight": "lora_B",
    "lora_magnitude_vector.weight": "m.weight",
    "ia3_l": "lora_B",
}
BOTTLENECK = {
    "bottleneck_down": "adapter_down.0.weight",
    "bottleneck_down_bias": "adapter_down.0.bias",
    "bottleneck_up": "adapter_up.weight",
    "bottleneck_up_bias": "adapter_up.bias",
}


def theirs(name: str, one) -> str:
    """autopeft's name of a parameter -> adapters' own, whose bottlenecks lie beside the linears and not in them."""
    for ours, held in IN_LINEARS.items():
        if name.endswith(f".{ours}"):
            return f"{name.removesuffix(ours)}loras.{ADAPTER}.{held}"
    owner, _, part = name.rpartition(".")
    if part not in BOTTLENECK:
        return name
    shapes = one.shapes
    block = re.match(rf"{re.escape(shapes.blocks_path)}\.\d+", owner)[0]
    after_attention = owner in {x.path for x in shapes.linears if x.role == "attention_output"}
    if shapes.model_type in ("bert", "roberta"):
        place = "attention.output" if after_attention else "output"
    else:
        place = "attention_adapters" if after_attention else "output_adapters"
    return f"{block}.{place}.adapters.{ADAPTER}.{BOTTLENECK[part]}"


@torch.no_grad()
def expected(one, model) -> tuple[dict, list]:
    """Random values of every trained parameter, by adapters' names, with inputs; and autopeft's logits with them."""
    backbone = SimpleNamespace(model=model, shapes=one.shapes, new_parameters=())
    batch = tiny_batch(labels=False)
    with attached(one.configuration, backbone, seed=0) as built:
        values = {}
        for name, parameter in trainable_parameters(built):
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
            values[theirs(canonical(name), one)] = parameter.clone()
        return {**values, **batch}, built(**batch).logits


@pytest.fixture(scope="module")
def found(inside, tmp_path_factory):
    """(family, index in ASKED) -> (case, verdict, autopeft's logits, what adapters says)."""
    results = {}
    for family in FAMILIES:
        folder = tmp_path_factory.mktemp(family)
        toy = save_toy(folder, family, causal=False)
        model = AutoModelForSequenceClassification.from_pretrained(toy["model"]).eval().requires_grad_(False)
        for index, (method, settings) in enumerate(ASKED):
            one = case(method, settings, family, **toy)
            done = export("adapters", one, folder / str(index))
            values, logits = expected(one, model)
            save_file(values, folder / str(index) / "values.safetensors")
            results[family, index] = (one, done.verdict, logits)
        said = inside("adapters", toy["model"], *(folder / str(index) for index in range(len(ASKED))))
        for index in range(len(ASKED)):
            results[family, index] += (said[str(index)],)
    return results


@pytest.mark.parametrize("index", range(len(ASKED)), ids=[f"{method}-{settings}" for method, settings in ASKED])
@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_trains_and_computes_the_same_where_nothing_is_lost(found, family, index):
    one, verdict, logits, said = found[family, index]
    trained = {name: tuple(shape) for name, shape in said["trained"].items()}
    expected = {theirs(name, one): shape for name, shape in trained_by_autopeft(one).items()}
    same = torch.allclose(torch.tensor(said["logits"]), logits, atol=1e-5)
    assert set(trained) == set(expected)
    assert (verdict == "lossless") == (same and trained == expected)


def test_the_script_trains_and_saves(inside, tmp_path):
    toy = save_toy(tmp_path, "bert", causal=False)
    config = (
        tmp_path / "model" / "tokenizer_config.json"
    )  # transformers 4 calls a tokenizer of transformers 5 otherwise
    config.write_text(json.dumps({**json.loads(config.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
    done = export("adapters", case("serial_adapter", {"layers": "1"}, "bert", **toy), tmp_path / "out")
    subprocess.run([sys.executable, "data.py"], cwd=done.folder, check=True)
    assert {"adapter_config.json", "pytorch_adapter.bin", "task_head.pt"} <= set(inside("adapters", "run", done.folder))
