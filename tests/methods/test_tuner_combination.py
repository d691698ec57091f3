import pytest
from test_tuner_prefix import prefix_fields
from tiny import tiny_model
from tuner_checks import attach, check_merge, check_tuner

from autopeft.backbone.blocks import describe
from autopeft.errors import AutopeftError
from autopeft.methods import get_method
from autopeft.methods.tuners.combination import CombinationConfig, depth


def combined(model_type: str, *methods: str, prefix: bool = False) -> tuple[dict, int]:
    shapes, parts, counted = describe(tiny_model(model_type), model_type), [], 0
    for name in methods:
        method = get_method(name)
        parts.append(method.peft_fields(method.defaults, (1, 2), shapes))
        counted += sum(method.count(method.defaults, (1, 2), shapes).values())
    if prefix:
        fields, number = prefix_fields(model_type)
        parts.append({key: fields[key] for key in ("peft_type", "num_virtual_tokens", "target_modules")})
        counted += number
    return {
        "peft_type": "COMBINATION",
        "task_type": "SEQ_CLS",
        "parts": parts,
        "modules_to_save": list(shapes.head_modules),
    }, counted


@pytest.mark.parametrize("model_type, attention", [("bert", "eager"), ("roberta", "sdpa"), ("llama", "eager")])
def test_the_published_space(model_type, attention, tmp_path):
    fields, counted = combined(model_type, "serial_adapter", "parallel_adapter", prefix=True)
    check_tuner(fields, counted, model_type, tmp_path, attention, zero_start=False)


def test_wrappers_on_wrappers(tmp_path):
    fields, counted = combined("gpt2", "serial_adapter", "dcft", "parallel_adapter", prefix=True)
    check_tuner(fields, counted, "gpt2", tmp_path, zero_start=False)


def test_a_part_of_peft_itself_and_merging(tmp_path):
    fields, counted = combined("bert", "dcft")
    targets = fields["parts"][0]["target_modules"]
    fields["parts"].append({"peft_type": "LORA", "r": 2, "target_modules": [t for t in targets if "query" in t]})
    attached = check_tuner(fields, counted + 2 * 2 * (32 + 32), "bert", tmp_path)
    check_merge(attached)


def test_inner_modules_come_before_the_blocks_around_them():
    assert depth({"target_modules": ["a.0.b.c"]}) > depth({"target_modules": ["a.0"]})


@pytest.mark.parametrize("parts", [[], [{"peft_type": "DCFT"}], [{"peft_type": "DCFT"}, {"peft_type": "DCFT"}]])
def test_parts_must_be_several_and_different(parts):
    with pytest.raises(AutopeftError, match="parts"):
        CombinationConfig(parts=parts)


def test_a_combination_stands_alone(tmp_path):
    model = attach(combined("bert", "dcft", "parallel_adapter")[0], tiny_model("bert"))
    model.save_pretrained(tmp_path)
    with pytest.raises(AutopeftError, match="stands alone"):
        model.load_adapter(tmp_path, "other")


@pytest.mark.parametrize("methods", [("dcft", "serial_adapter"), ("dcft", "parallel_adapter")])
def test_what_cannot_merge_says_so_and_changes_nothing(methods):
    model = attach(combined("bert", *methods)[0], tiny_model("bert"))
    before = list(model.state_dict())
    with pytest.raises(AutopeftError, match="cannot be merged"):
        model.merge_and_unload()
    assert list(model.state_dict()) == before
