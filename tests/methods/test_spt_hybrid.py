"""SPT in full: who gets a LoRA, which single weights train, and that the budget is met to the number."""

import pytest
import torch
from peft.tuners.lora import LoraLayer
from test_spt import statistics
from tiny import tiny_backbone, tiny_batch

from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, refusal
from autopeft.methods.mechanisms.attach import attached, count_built
from autopeft.methods.spt_hybrid import BAR, divide
from autopeft.methods.tuners.sparse import sparse_layers
from autopeft.procedures import get_procedure

METHOD = get_method("spt_hybrid")


def test_the_division_by_hand():
    """Four matrices of 100 weights, a LoRA costs 20, so the bar is at 2 selected weights."""
    squares = {
        "a": torch.arange(100.0) + 1000,
        "b": torch.cat([torch.tensor([999.0, 998.0]), torch.zeros(98)]),
        "c": torch.cat([torch.tensor([997.0]), torch.zeros(99)]),
        "d": torch.cat([torch.zeros(99), torch.tensor([996.0])]),
    }
    prices = dict.fromkeys(squares, 20)
    assert BAR == 10
    assert divide(prices, squares, 42) == (["a", "b"], {"c": 1, "d": 1})
    assert divide(prices, squares, 24) == (["a"], {"b": 2, "c": 1, "d": 1})
    assert divide(prices, squares, 19) == ([], {"a": 19, "b": 0, "c": 0, "d": 0})


@pytest.mark.parametrize("number", range(1, 80))
def test_every_budget_is_met(number):
    generator = torch.Generator().manual_seed(number)
    squares = {name: torch.rand(100, generator=generator) ** (2 * k + 1) for k, name in enumerate("abcd")}
    structured, numbers = divide(dict.fromkeys(squares, 20), squares, number)
    assert 20 * len(structured) + sum(numbers.values()) == number
    assert sorted([*structured, *numbers]) == list("abcd")
    equal = {name: torch.zeros(100) for name in "abcd"}  # where nothing speaks
    structured, numbers = divide(dict.fromkeys(equal, 20), equal, number)
    assert 20 * len(structured) + sum(numbers.values()) == number


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("share", [0.25, 0.75])
def test_sensitive_matrices_get_a_lora_and_others_their_best_weights(model_type, share):
    backbone = tiny_backbone(model_type)
    seen = statistics(backbone, ".2.")
    wanted = Configuration.of("spt_hybrid", {"rank": 2, "share": share, "target_modules": "all-linear"}, (1, 2), 1e-3)
    with attached(wanted, backbone, 0, seen) as model:
        assert count_built(model, backbone.shapes.head_modules) == count(wanted, backbone.shapes)
        loras = {n.removeprefix("base_model.model.") for n, m in model.named_modules() if isinstance(m, LoraLayer)}
        singles = sparse_layers(model)
        assert loras and loras.isdisjoint(singles)
        assert loras | set(singles) == {x.path for x in backbone.shapes.select("all-linear", (1, 2))}
        if share == 0.25:  # what is sensitive lies in the upper layer
            assert all(".2." in path for path in loras)
        for path, layer in singles.items():
            squares = seen.squared_gradient(f"{path}.weight").flatten()
            indices = layer.sparse_indices["default"].long()
            assert len(indices.unique()) == len(indices)
            if len(indices):
                assert squares[indices].min() == squares.topk(len(indices)).values[-1]
        model(**tiny_batch()).loss.backward()


def test_one_matrix_alone_has_single_weights():
    backbone = tiny_backbone("gpt2")  # query and value are one linear
    wanted = Configuration.of("spt_hybrid", {**METHOD.defaults, "target_modules": "query+value"}, (1,), 1e-3)
    with attached(wanted, backbone, 0, statistics(backbone, "nothing")) as model:
        (layer,) = sparse_layers(model).values()
        assert layer.sparse_values["default"].numel() == count(wanted, backbone.shapes)
        assert count_built(model, backbone.shapes.head_modules) == count(wanted, backbone.shapes)


def test_what_trains_it_and_who_stands_beside_it():
    shapes = tiny_backbone("bert").shapes
    assert "leave spt_hybrid out" in refusal("bitfit+spt_hybrid", shapes)
    assert get_procedure("lisa").refuses(("spt_hybrid",), shapes) is None
    assert "never calls the linear" in get_procedure("roste").refuses(("spt_hybrid",), shapes)
