"""What holds for every toolkit and every method: verdicts, losses, files, and that nothing heavy is loaded."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from export_cases import case, case_of, tiny_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.export import REGISTRY, export, get_toolkit, verdicts
from autopeft.export.mechanisms.beyond import types_of_peft
from autopeft.methods import REGISTRY as METHODS
from autopeft.methods import refusal
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.procedures import get_procedure


def cases(model_type: str):
    """Every method that fits the model, at its defaults."""
    return [case(name, model_type=model_type) for name in sorted(METHODS) if not refusal(name, tiny_shapes(model_type))]


def readable(name: str, text: str) -> bool:
    """Whether a file's text is what its name says."""
    readers = {"json": json.loads, "yaml": yaml.safe_load, "yml": yaml.safe_load, "py": ast.parse}
    reader = readers.get(name.rpartition(".")[2])
    return reader(text) is not None if reader else bool(text.strip())


@pytest.mark.parametrize("model_type", ["bert", "llama"])
@pytest.mark.parametrize("toolkit", sorted(REGISTRY))
def test_every_toolkit_answers_for_every_method(toolkit, model_type):
    for one in cases(model_type):
        written = get_toolkit(toolkit).write(one)
        what = f"{toolkit}, {one.configuration}"
        if written.verdict == "unsupported":
            assert written.reason.endswith(".") and not written.files and not written.losses, what
            continue
        assert written.files and written.command and all(map(readable, *zip(*written.files.items()))), what
        assert all(loss.endswith(".") for loss in written.losses), what
        assert bool(written.nearest) == (written.verdict == "lossy"), what


@pytest.mark.parametrize("toolkit", sorted(REGISTRY))
def test_a_procedure_is_exported_or_named_as_lost(toolkit):
    for name, procedure in PROCEDURES.items():
        if name == "plain":
            continue
        one = Configuration.of("lora", {"rank": 4, "target_modules": "query+value", "rslora": False}, (0, 1, 2), 1e-3)
        how = Configuration.of(one.method, dict(one.settings), one.layers, 1e-3, name, procedure.defaults)
        written = get_toolkit(toolkit).write(case_of(how))
        said = " ".join((*written.losses, written.reason, *written.files.values()))
        assert written.verdict != "lossless" or name in said


def test_the_card_says_what_steps():
    one = case("lora").configuration
    procedures = {name: get_procedure(name) for name in ("plain", "lozo")}
    made = [
        replace(one, procedure=n, procedure_settings=tuple(sorted(p.defaults.items()))) for n, p in procedures.items()
    ]
    plain, lozo = (get_toolkit("peft").write(case_of(how)).files["README.md"] for how in made)
    assert (
        "| optimiser | AdamW, betas 0.9 and 0.999, epsilon 1e-08, weight decay 0, gradient norm clipped at 1 |" in plain
    )
    assert "| optimiser | SGD without momentum, weight decay 0, nothing clipped |" in lozo


def with_kind(one, kind: str):
    return replace(one, task={**one.task, "kind": kind, "classes": []})


@pytest.mark.parametrize("toolkit, file", [("trl", "sft.yaml"), ("llamafactory", "train.yaml"), ("script", "train.py")])
def test_a_language_model_goes_over_whole(toolkit, file):
    written = get_toolkit(toolkit).write(with_kind(case("lora", data="rows.jsonl"), "causal-lm"))
    assert written.verdict == "lossless" and file in written.files
    assert "rows.jsonl" in written.files["data.py"] and written.command.startswith("python data.py && ")


@pytest.mark.parametrize("toolkit", ["trl", "llamafactory"])
def test_other_kinds_of_task_are_refused(toolkit):
    written = get_toolkit(toolkit).write(with_kind(case("lora"), "token-classification"))
    assert "token-classification" in written.reason


def test_an_unsupported_export_writes_nothing_and_names_toolkits_that_can(tmp_path):
    done = export("trl", case("lora", model_type="bert"), tmp_path / "out")
    assert done.verdict == "unsupported" and "encoder" in done.reason
    assert not (tmp_path / "out").exists() and {"peft", "script"} <= set(done.alternatives)


def test_a_dry_run_writes_nothing(tmp_path):
    done = export("peft", case("lora"), tmp_path / "out", dry_run=True)
    assert done.verdict == "lossless" and done.files == ("README.md", "adapter_config.json")
    assert not (tmp_path / "out").exists()


def test_unknown_toolkit():
    with pytest.raises(AutopeftError, match="Did you mean 'llamafactory'"):
        get_toolkit("lamafactory")


def test_verdicts_have_a_row_for_every_toolkit():
    assert [x.toolkit for x in verdicts(case("lora"))] == sorted(REGISTRY)


def test_the_script_can_train_whatever_there_is():
    for model_type in ("bert", "llama"):
        assert all(get_toolkit("script").write(one).verdict != "unsupported" for one in cases(model_type))


def test_types_of_peft_are_those_of_the_installed_peft():
    from peft import PeftType

    assert types_of_peft() == {kind.value for kind in PeftType}


def test_writing_loads_no_torch(tmp_path):
    one = case("lora", {"rank": 4})
    given = {name: getattr(one, name) for name in ("name", "spec", "task", "environment", "folder")}
    given |= {"configuration": one.configuration.to_json(), "shapes": one.shapes.to_json()}
    (tmp_path / "case.json").write_text(json.dumps(given))
    code = f"""
import json, sys
from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.export import Case, verdicts
given = json.load(open({str(tmp_path / "case.json")!r}))
given |= dict(configuration=Configuration.from_json(given["configuration"]), shapes=BackboneShapes.from_json(given["shapes"]))
verdicts(Case(**given))
print([m for m in ("torch", "transformers", "peft", "datasets") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_ranks_of_a_pattern_are_each_one_modules_own():
    """peft takes the first key that matches and saves the keys sorted: no two may match the same module."""
    one = case("lora_ranks")
    keys = json.loads(get_toolkit("peft").write(one).files["adapter_config.json"])["rank_pattern"]
    for path in one.fields["target_modules"]:
        assert sum(bool(re.match(rf"(.*\.)?({key})$", path)) for key in keys) <= 1


def test_peft_never_writes_an_empty_list_of_layers():
    """To peft an empty layers_to_transform means every layer; ours are in the names of the modules."""
    for one in cases("llama"):
        fields = json.loads(get_toolkit("peft").write(one).files["adapter_config.json"])
        assert "layers_to_transform" not in fields and "layers_pattern" not in fields


@pytest.mark.parametrize("method", ["spt", "random_mask", "adalora", "kasa", "lt_sft", "corda"])
def test_peft_says_what_its_config_does_not_hold(method):
    written = get_toolkit("peft").write(case(method))
    assert written.verdict == "lossy" and METHODS[method].title in " ".join(written.losses)


@pytest.mark.parametrize("method", ["lora", "dora", "full_layers", "bitfit", "lora_ranks", "ia3", "dcft"])
def test_peft_holds_the_rest(method):
    assert get_toolkit("peft").write(case(method)).verdict == "lossless"


@pytest.mark.parametrize("toolkit", ["peft", "trl", "llamafactory"])
def test_ranks_that_the_data_decide_become_the_mean_rank_and_it_is_said(toolkit):
    written = get_toolkit(toolkit).write(case("spt", {"rank": 2}))
    assert written.verdict == "lossy" and "LoRA of rank 2 in the same modules" in written.nearest
