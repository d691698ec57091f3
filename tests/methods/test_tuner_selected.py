import pytest
import torch
from tiny import TINY, tiny_model
from tuner_checks import attach, check_merge, check_tuner, fields_and_count

from autopeft.backbone.blocks import describe


def test_head_only_trains_the_head_alone(tmp_path):
    fields, counted = fields_and_count("head_only", "bert", layers=())
    assert counted == 0
    check_merge(check_tuner(fields, counted, "bert", tmp_path))


@pytest.mark.parametrize("model_type", TINY)
def test_whole_blocks_train_and_come_back(model_type, tmp_path):
    check_tuner(*fields_and_count("full", model_type, layers=(2,)), model_type, tmp_path)


@pytest.mark.parametrize("model_type", TINY)
def test_from_layer_zero_the_whole_backbone_trains(model_type):
    fields, counted = fields_and_count("full", model_type, layers=(0, 1, 2))
    shapes = describe(tiny_model(model_type), model_type)
    assert counted == shapes.backbone_parameters
    model = attach(fields, tiny_model(model_type))
    trained = {
        name.split(".modules_to_save.default.")[0].removeprefix("base_model.model.")
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    assert all(any(path in owner for owner in trained) for path in shapes.head_modules)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == counted + shapes.head_parameters


def test_the_whole_backbone_reloads_and_comes_back(tmp_path):
    fields, counted = fields_and_count("full", "deberta-v2", layers=(0, 1, 2))
    check_merge(check_tuner(fields, counted, "deberta-v2", tmp_path))


def test_a_copied_block_answers_for_its_attributes():
    model = attach(fields_and_count("full", "qwen3", layers=(2,))[0], tiny_model("qwen3"))
    block = model.get_base_model().model.layers[2]
    assert torch.is_tensor(block.self_attn.q_proj.weight)
    assert block.self_attn is block.modules_to_save["default"].self_attn
