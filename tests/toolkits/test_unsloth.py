"""Unsloth's own parser on what is exported; its trainer is for GPUs, so what it trains is not looked at."""

import pytest
from kinds import asked, number, written

from autopeft.export.unsloth import OPTIMISER

pytestmark = pytest.mark.toolkits
EXPRESSED = ["LoRA", "LoRA, some layers", "LoRA, one module", "rsLoRA, every linear", "DoRA, some layers"]


def test_unsloth_reads_every_module_rank_and_switch(inside, tmp_path):
    cases = {kind: asked(kind, "llama", {}, causal=True) for kind in EXPRESSED}
    done = written("unsloth", cases, tmp_path)
    assert {one.losses for one in done.values()} == {(OPTIMISER,)}
    given = inside("unsloth", *(one.folder for one in done.values()))
    for kind, one in cases.items():
        fields, keywords = one.fields, given[number(kind)]["model"]
        assert keywords["target_modules"] == fields["target_modules"] and keywords["use_lora"]
        assert (keywords["lora_r"], keywords["lora_alpha"]) == (fields["r"], fields["lora_alpha"])
        assert (keywords["use_rslora"], keywords["use_dora"]) == (fields["use_rslora"], fields.get("use_dora", False))
        assert given[number(kind)]["training"]["learning_rate"] == one.learning_rate


def test_unsloth_reads_full_fine_tuning(inside, tmp_path):
    kind = "full fine-tuning"
    written("unsloth", {kind: asked(kind, "llama", {})}, tmp_path)
    (given,) = inside("unsloth", tmp_path / number(kind)).values()
    assert not given["model"]["use_lora"] and given["training"]["max_steps"] == 21
