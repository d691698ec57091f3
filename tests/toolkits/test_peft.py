"""peft's own loader on what is exported: get_peft_model trains the same parameters, and a saved adapter loads again."""

import pytest
from export_cases import case, tiny_shapes
from tiny import tiny_config, tiny_model

from autopeft.export import export
from autopeft.export.mechanisms.trained_shapes import canonical, trained_shapes
from autopeft.methods import REGISTRY, refusal

METHODS = [m for m in sorted(REGISTRY) if not REGISTRY[m].needs_statistics]


def trained(model) -> dict:
    return {canonical(name): tuple(p.shape) for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("method", METHODS)
def test_peft_trains_the_same_parameters(method, tmp_path):
    from peft import PeftConfig, get_peft_model

    if refusal(method, tiny_shapes("bert")):
        pytest.skip("does not fit")
    one = case(method, model_type="bert")
    export("peft", one, tmp_path)
    found = trained(get_peft_model(tiny_model("bert"), PeftConfig.from_pretrained(str(tmp_path))))
    expected = trained_shapes(one.configuration, tiny_config("bert"))
    if method == "adamss":  # how many rows each of its parts has is a clustering of the weights
        found, expected = found.keys(), expected.keys()
    assert found == expected


def test_ranks_of_a_pattern_survive_saving_and_loading(tmp_path):
    """peft writes the keys of a rank_pattern sorted and takes the first that matches."""
    from peft import PeftConfig, PeftModel, get_peft_model

    one = case("lora_ranks", {"profile": "falling"}, "bert")
    export("peft", one, tmp_path)
    model = get_peft_model(tiny_model("bert"), PeftConfig.from_pretrained(str(tmp_path)))
    model.save_pretrained(tmp_path / "saved")
    again = PeftModel.from_pretrained(tiny_model("bert"), str(tmp_path / "saved"), is_trainable=True)
    assert trained(again) == trained(model) == trained_shapes(one.configuration, tiny_config("bert"))
