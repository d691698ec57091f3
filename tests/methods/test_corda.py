from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda
from tiny import tiny_backbone, tiny_batch, tiny_model, tiny_task

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.attach import attached
from autopeft.methods.mechanisms.statistics import Statistics
from autopeft.methods.tuners.corda import CordaConfig as OurConfig
from autopeft.methods.tuners.corda import CordaLayer, components, corda_layers, decompose


def configuration(mode: str, rank: int = 4, targets: str = "query+value") -> Configuration:
    return Configuration.of("corda", {"rank": rank, "target_modules": targets, "mode": mode}, (1,), 1e-3)


def covariance(size: int) -> torch.Tensor:
    x = torch.randn(50, size, generator=torch.Generator().manual_seed(1))
    return x.T @ x / len(x)


def test_all_components_together_are_the_weight():
    weight = torch.randn(12, 20, generator=torch.Generator().manual_seed(0))
    for a, b in decompose(weight, covariance(20), 12).values():
        torch.testing.assert_close(b @ a, weight, rtol=0, atol=1e-4)


def test_the_largest_components_hold_what_the_inputs_use():
    """Of the output's energy E|W x|^2 under the covariance, ipm's components keep more than kpm's of the same rank."""
    weight, cov = torch.randn(12, 20, generator=torch.Generator().manual_seed(0)), covariance(20)
    found = decompose(weight, cov, 4)

    def energy(a, b):
        return torch.trace(b @ a @ cov @ (b @ a).T)

    assert energy(*found["ipm"]) > 5 * energy(*found["kpm"])


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
@pytest.mark.parametrize("mode", ["ipm", "kpm"])
def test_starts_at_the_factors_that_peft_finds_from_the_same_covariance(mode, model_type, tmp_path):
    backbone = tiny_backbone(model_type)
    statistics = Statistics(backbone, tiny_task())
    paths = [x.path for x in backbone.shapes.select("query+value", (1,))]
    torch.save({path: statistics.covariance(path) for path in paths}, tmp_path / "covariance.pt")
    theirs = CordaConfig(corda_method=mode, covariance_file=str(tmp_path / "covariance.pt"))
    config = LoraConfig(
        r=4, lora_alpha=4, target_modules=paths, init_lora_weights="corda", corda_config=theirs, task_type="SEQ_CLS"
    )
    base = tiny_model(model_type)
    preprocess_corda(base, config)
    expected = get_peft_model(base, config).base_model.model
    with attached(configuration(mode), backbone, 0, statistics) as model:
        for path, layer in corda_layers(model):
            a, b = (getattr(expected.get_submodule(path), n)["default"].weight for n in ("lora_A", "lora_B"))
            theirs, ours = (b @ a).detach(), layer.corda_B["default"] @ layer.corda_A["default"]
            torch.testing.assert_close(ours.detach(), theirs, rtol=0, atol=2e-3 * float(theirs.abs().max()))


def test_the_weights_stay_and_the_decomposition_is_shared():
    backbone = replace(tiny_backbone("bert"), new_parameters=())  # no new head: the outputs can be compared
    statistics = Statistics(backbone, tiny_task())
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    with torch.no_grad():
        start = backbone.model(**tiny_batch(labels=False)).logits
    with attached(configuration("ipm", 2), backbone, 0, statistics) as model, torch.no_grad():
        assert torch.equal(model(**tiny_batch(labels=False)).logits, start)
        path, layer = next(corda_layers(model))
        first = components(statistics, path, layer.weight_out_in(), 64)
        assert layer.corda_A["default"].abs().max() > 0
        torch.testing.assert_close(layer.corda_A["default"], first["ipm"][0][:2])
    assert all(torch.equal(value, before[name]) for name, value in backbone.model.state_dict().items())
    with attached(configuration("kpm", 4), backbone, 1, statistics) as model:
        assert components(statistics, path, None, 64) is first


def test_needs_the_data():
    with (
        pytest.raises(AutopeftError, match="attach was given none"),
        attached(configuration("ipm"), tiny_backbone("bert"), 0),
    ):
        pass


def test_adapts_linears_only():
    with pytest.raises(AutopeftError, match="linear modules"):
        CordaLayer(torch.nn.LayerNorm(4), "default", OurConfig())
