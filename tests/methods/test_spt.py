from types import SimpleNamespace

import pytest
import torch
from sizes import bert_shapes
from tiny import tiny_backbone

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, peft_fields
from autopeft.methods.mechanisms.attach import attached, count_built
from autopeft.methods.spt import allocate, sensitive_weights

SETTINGS = {"rank": 4, "target_modules": "all-linear"}


def statistics(backbone, loud: str):
    """Squared gradients drawn at random, those of the modules whose path holds `loud` a hundred times larger."""
    shapes = {name: parameter.shape for name, parameter in backbone.model.named_parameters()}

    def squared_gradient(name: str) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(name))
        return torch.rand(shapes[name], generator=generator) * (100 if loud in name else 1)

    return SimpleNamespace(backbone=backbone, squared_gradient=squared_gradient)


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("loud", [".2.", "nothing"])
def test_ranks_follow_the_gradients_and_the_count_stays(model_type, loud):
    backbone = tiny_backbone(model_type)
    configuration = Configuration.of("spt", SETTINGS, (0, 1, 2), 1e-3)
    with attached(configuration, backbone, 0, statistics(backbone, loud)) as model:
        ranks = {
            x.path: model.get_base_model().get_submodule(x.path).r["default"]
            for x in backbone.shapes.select("all-linear")
        }
        assert count_built(model, backbone.shapes.head_modules) == count(configuration, backbone.shapes)

    if loud == ".2.":
        assert all(
            (rank > 4) == (x.layer == 2) for x, rank in zip(backbone.shapes.select("all-linear"), ranks.values())
        )


def test_the_most_sensitive_weights_are_counted_where_they_lie():
    squares = {"a.weight": torch.tensor([[9.0, 1.0], [8.0, 0.0]]), "b.weight": torch.tensor([[7.0, 2.0], [3.0, 4.0]])}
    linears = [SimpleNamespace(path="a"), SimpleNamespace(path="b")]
    found = SimpleNamespace(squared_gradient=squares.get)
    assert sensitive_weights(found, linears, 3) == {"a": 2, "b": 1}
    assert sensitive_weights(found, linears, 100) == {"a": 4, "b": 4}


def test_ranks_move_only_where_they_cost_the_same():
    linears = bert_shapes(layers=2, hidden=32, ffn=64).linears
    ranks = allocate(linears, {x.path: 100 if x.role == "ffn_out" and x.layer == 1 else 0 for x in linears}, 4)
    assert ranks["bert.layer.1.ffn_out"] == 1 + 3 * 4 and ranks["bert.layer.0.ffn_in"] == 1
    assert {ranks[x.path] for x in linears if x.role == "query"} == {4}  # where nothing speaks, all get the mean


def test_spt_stands_alone():
    names = ("spt", "bitfit")
    settings = {f"{n}.{k}": v for n in names for k, v in get_method(n).defaults.items()}
    with pytest.raises(AutopeftError, match="leave spt out"):
        peft_fields(Configuration.of("+".join(names), settings, (0,), 1e-3), bert_shapes())
