from itertools import pairwise
from types import SimpleNamespace

import pytest
from test_tuner_prefix import prefix_fields
from tiny import tiny_batch, tiny_model
from tuner_checks import attach, check_merge, check_tuner

from autopeft.backbone.blocks import describe
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, count, get_method, refusal
from autopeft.methods.mechanisms.attach import attached, count_built
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


def defaults(*methods: str) -> dict:
    return {f"{m}.{name}": value for m in methods for name, value in get_method(m).defaults.items()}


def test_methods_combine_unless_they_say_why_not():
    """Each method with its neighbour in the registry: counted as built, and it trains."""
    model = tiny_model("bert").requires_grad_(False)
    backbone = SimpleNamespace(model=model, shapes=describe(model, "bert"), new_parameters=())
    names = sorted(m for m in REGISTRY if not REGISTRY[m].needs_statistics and REGISTRY[m].layers == "any")
    built = 0
    for pair in pairwise([*names, names[0]]):
        if refusal("+".join(pair), backbone.shapes):
            continue
        configuration = Configuration.of("+".join(pair), defaults(*pair), (0, 1, 2), 1e-3)
        with attached(configuration, backbone, seed=0) as attached_model:
            assert count_built(attached_model, backbone.shapes.head_modules) == count(configuration, backbone.shapes)
            attached_model(**tiny_batch()).loss.backward()
        built += 1
    assert built > 5


@pytest.mark.parametrize(
    "method, why",
    [
        ("lora+vera", "leave vera out"),
        ("aside+full", "leave full out"),
        ("full_layers+serial_adapter", "leave full_layers out"),
        ("bitfit+locft", "leave locft out"),
        ("dora+lora", "one kind of adapter"),
        ("dora+prefix_tuning+lora", "one kind of adapter"),
        ("lora+lora", "one kind of adapter"),
        ("prefix_tuning+vqt", "attention function"),
    ],
)
def test_what_peft_cannot_build_together_is_refused_before_it_is_built(method, why):
    assert why in refusal(method, describe(tiny_model("bert"), "bert"))
