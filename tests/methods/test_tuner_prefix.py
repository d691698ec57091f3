import pytest
import torch
from tiny import TINY, tiny_batch, tiny_model
from tuner_checks import attach, check_tuner, logits

from autopeft.backbone.blocks import describe
from autopeft.base.errors import AutopeftError
from autopeft.methods.tuners.prefix import ATTENTION, PrefixLayer, extend_mask, prefix_attention, redirected

ATTENDING = [name for name in TINY if name != "deberta-v2"]


def prefix_fields(model_type: str, n: int = 4) -> tuple[dict, int]:
    shapes = describe(tiny_model(model_type), model_type)
    return {
        "peft_type": "PREFIX_LAYERS",
        "task_type": "SEQ_CLS",
        "num_virtual_tokens": n,
        "target_modules": list(shapes.attention_paths[1:]),
        "modules_to_save": list(shapes.head_modules),
    }, 2 * 2 * n * shapes.kv_size


@pytest.mark.parametrize("model_type", ATTENDING)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_contract(model_type, attention, tmp_path):
    check_tuner(*prefix_fields(model_type), model_type, tmp_path, attention, zero_start=False)


@pytest.mark.parametrize("model_type", ["bert", "llama", "modernbert", "gpt_neox"])
@pytest.mark.parametrize("masked", [True, False])
def test_eager_and_sdpa_agree(model_type, masked):
    batch = tiny_batch()
    if not masked:  # sdpa then gets no mask at all, and a decoder's triangle must be written out
        batch = {"input_ids": batch["input_ids"].clamp(min=4)}
    fields, _ = prefix_fields(model_type)
    eager, sdpa = (logits(attach(fields, tiny_model(model_type, kind)), batch) for kind in ("eager", "sdpa"))
    torch.testing.assert_close(eager, sdpa, atol=1e-4, rtol=1e-4)


def test_formula():
    """Attention over [P; K], [P; V], by hand, with one key-value head for two query heads."""
    model = tiny_model("llama", "sdpa")
    module = model.model.layers[0].self_attn
    n, size, heads = 3, 8, 2
    keys, values = torch.randn(n, heads * size), torch.randn(n, heads * size)
    query, key, value = torch.randn(1, 4, 5, size), torch.randn(1, heads, 5, size), torch.randn(1, heads, 5, size)
    module.config = redirected(module.config, ATTENTION, prefix=(keys, values))
    out, _ = prefix_attention(module, query, key, value, None, scaling=0.5)
    whole_key = torch.cat([keys.view(n, heads, size).transpose(0, 1)[None], key], 2).repeat_interleave(2, 1)
    whole_value = torch.cat([values.view(n, heads, size).transpose(0, 1)[None], value], 2).repeat_interleave(2, 1)
    scores = (query @ whole_key.mT * 0.5).masked_fill(torch.ones(5, 8, dtype=torch.bool).triu(n + 1), float("-inf"))
    torch.testing.assert_close(out, (scores.softmax(-1) @ whole_value).transpose(1, 2))


def test_masks_grow_by_the_prefix():
    query, key = torch.zeros(1, 1, 3, 2), torch.zeros(1, 1, 3, 2)
    assert extend_mask(None, query, key, 2, causal=False) is None
    assert extend_mask(torch.zeros(1, 1, 3, 3, dtype=torch.bool), query, key, 2, False)[0, 0, 0].tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert (extend_mask(None, query, key, 2, causal=True)[0, 0] == 0).sum(1).tolist() == [3, 4, 5]


def test_other_attention_modules_and_the_config_stay_as_they_are():
    base = tiny_model("bert", "sdpa")
    model = attach(prefix_fields("bert")[0], base)
    logits(model, tiny_batch())
    assert base.config._attn_implementation == "sdpa" and not hasattr(base.config, "prefix")
    wrapped = [m for m in model.modules() if isinstance(m, PrefixLayer)]
    assert len(wrapped) == 2 and all(m.base_layer.config is base.config for m in wrapped)


def test_an_attention_without_masks_is_refused_in_one_sentence():
    base = tiny_model("bert")
    model = attach(prefix_fields("bert")[0], base)
    base.config._attn_implementation_internal = "flash_attention_2"
    wrapped = next(m for m in model.modules() if isinstance(m, PrefixLayer))
    with pytest.raises(AutopeftError, match="flash_attention_2"):
        wrapped(torch.zeros(1, 2, 32))
