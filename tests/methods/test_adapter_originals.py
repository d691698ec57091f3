"""Serial and parallel adapters and prefixes against a forward pass that is written from the authors' formulas.

AdapterHub's bottleneck configs (Pfeiffer et al. 2020, Houlsby et al. 2019) and AutoPEFT's three modules (Zhou et al. 2024).
"""

import json
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from tiny import WIDTH, tiny_batch, tiny_model
from torch import nn
from tuner_checks import attach, fields_and_count, logits

from autopeft.backbone.blocks import describe
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import get_method, peft_fields
from autopeft.methods.tuners.serial import SerialConfig

LAYERS = (1, 2)
HEADS = 4
BATCH = tiny_batch(labels=False)
TOKENS = BATCH["input_ids"][:2]  # the rows without padding


@dataclass
class Adapters:
    """What stands in one layer: W_down, b_down, W_up, b_up of each bottleneck, the gate's w and b, the prefix's K and V."""

    behind_attention: tuple = ()
    behind_ffn: tuple = ()
    beside_ffn: tuple = ()
    gate: tuple = ()
    prefix: tuple = ()


def bottleneck(x, parts, activation=F.relu):
    if not parts:
        return 0
    down, down_bias, up, up_bias = parts
    return activation(x @ down.T + down_bias) @ up.T + up_bias


def houlsby_gelu(x):
    """The approximation in google-research/adapter-bert."""
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def feed_forward_end(f, residual, norm, at: Adapters, houlsby: bool, x=None):
    """f + residual with everything that stands around the FFN; norm is the one behind it, x what its parallel adapter reads."""
    total = f + residual
    if houlsby:
        return norm(total + bottleneck(f, at.behind_ffn, houlsby_gelu))
    read = norm(total)
    serial = bottleneck(read, at.behind_ffn)
    if at.gate:
        serial = serial * torch.sigmoid(read @ at.gate[0].T + at.gate[1])
    return norm(total + serial + 4 * bottleneck(residual if x is None else x, at.beside_ffn))


def heads(x):
    return x.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(-2, -3)


def bert_attention(attention, h, mask, prefix):
    query, key, value = (heads(m(h)) for m in (attention.query, attention.key, attention.value))
    if prefix:
        key, value = (torch.cat([heads(p).expand(len(h), -1, -1, -1), s], 2) for p, s in zip(prefix, (key, value)))
        mask = F.pad(mask, (prefix[0].shape[0], 0), value=1)
    scores = query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5
    scores = scores.masked_fill(mask[:, None, None] == 0, -torch.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


@torch.no_grad()
def bert(adapters: dict[int, Adapters], houlsby=False):
    """The last hidden states of the tiny BERT's text tokens: post-norm, so a norm N ends each block."""
    base = tiny_model("bert").bert
    h, mask = base.embeddings(BATCH["input_ids"]), BATCH["attention_mask"]
    for number, block in enumerate(base.encoder.layer):
        at, out = adapters.get(number, Adapters()), block.attention.output
        attended = out.dense(bert_attention(block.attention.self, h, mask, at.prefix))
        r = out.LayerNorm(attended + bottleneck(attended, at.behind_attention, houlsby_gelu) + h)
        f = block.output.dense(F.gelu(block.intermediate.dense(r)))
        h = feed_forward_end(f, r, block.output.LayerNorm, at, houlsby)
    return h[mask == 1]


@torch.no_grad()
def llama(adapters: dict[int, Adapters], houlsby=False):
    """The last hidden states of the tiny Llama: pre-norm, so nothing follows the sum that ends each block."""
    base = tiny_model("llama").model
    h = base.embed_tokens(TOKENS)
    length = TOKENS.shape[1]
    places = base.rotary_emb(h, torch.arange(length)[None])
    mask = torch.full((length, length), -torch.inf).triu(1)[None, None]
    for number, block in enumerate(base.layers):
        at = adapters.get(number, Adapters())
        a, _ = block.self_attn(hidden_states=block.input_layernorm(h), attention_mask=mask, position_embeddings=places)
        r = h + a + bottleneck(a, at.behind_attention, houlsby_gelu)
        x = block.post_attention_layernorm(r)
        h = feed_forward_end(block.mlp(x), r, nn.Identity(), at, houlsby, x)
    return base.norm(h)


def filled(fields: dict, model_type: str):
    """The attached model, its adapters' values random."""
    model, draw = attach(fields, tiny_model(model_type)), torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "bottleneck_" in name or "prefixlayers_" in name:
            parameter.data = torch.randn(parameter.shape, generator=draw) * 0.5
    return model


@torch.no_grad()
def ours(model, model_type: str):
    """Its last hidden states of the same tokens."""
    base = model.get_base_model().base_model
    if model_type == "llama":
        return base(input_ids=TOKENS).last_hidden_state
    return base(**BATCH).last_hidden_state[BATCH["attention_mask"] == 1]


REFERENCES = {"bert": bert, "llama": llama}
BLOCKS = {"bert": "base_model.model.bert.encoder.layer", "llama": "base_model.model.model.layers"}
LAST = {"bert": "output.dense", "llama": "mlp.down_proj"}
FIRST = {"bert": "attention.output.dense", "llama": "self_attn.o_proj"}


def values(model, path: str, kinds=("down", "down_bias", "up", "up_bias"), prefix="bottleneck_"):
    """The values under a module's path, () where it holds none."""
    named = dict(model.named_parameters())
    found = tuple(named.get(f"{path}.{prefix}{kind}.default") for kind in kinds)
    return () if None in found else found


@pytest.mark.parametrize("model_type", REFERENCES)
def test_pfeiffer_adapters_are_adapterhubs(model_type):
    model = filled(fields_and_count("serial_adapter", model_type, LAYERS, placement="pfeiffer")[0], model_type)
    adapters = {i: Adapters(behind_ffn=values(model, f"{BLOCKS[model_type]}.{i}")) for i in LAYERS}
    assert all(at.behind_ffn for at in adapters.values())
    torch.testing.assert_close(ours(model, model_type), REFERENCES[model_type](adapters), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", REFERENCES)
def test_houlsby_adapters_are_the_authors(model_type):
    model = filled(fields_and_count("serial_adapter", model_type, LAYERS, placement="houlsby")[0], model_type)
    adapters = {}
    for i in LAYERS:
        block = f"{BLOCKS[model_type]}.{i}"
        first, last = (values(model, f"{block}.{ends[model_type]}") for ends in (FIRST, LAST))
        assert first and last
        adapters[i] = Adapters(behind_attention=first, behind_ffn=last)
    torch.testing.assert_close(ours(model, model_type), REFERENCES[model_type](adapters, True), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", REFERENCES)
def test_a_gated_adapter_stands_where_unipelt_has_it(model_type):
    model = filled(fields_and_count("gated_adapter", model_type, LAYERS, placement="pfeiffer")[0], model_type)
    adapters = {}
    for i in LAYERS:
        block = f"{BLOCKS[model_type]}.{i}"
        adapters[i] = Adapters(behind_ffn=values(model, block), gate=values(model, block, ("gate", "gate_bias")))
        assert adapters[i].behind_ffn and adapters[i].gate
    torch.testing.assert_close(ours(model, model_type), REFERENCES[model_type](adapters), atol=1e-5, rtol=1e-5)


def together(model_type: str, *methods: str) -> dict:
    """The peft config of several methods at their defaults."""
    shapes = describe(tiny_model(model_type), model_type)
    settings = {f"{m}.{k}": v for m in methods for k, v in get_method(m).defaults.items()}
    return peft_fields(Configuration.of("+".join(methods), settings, LAYERS, 1e-3), shapes)


@pytest.mark.parametrize("model_type, prefix", [("bert", True), ("bert", False), ("llama", False)])
def test_serial_parallel_and_prefix_together_are_autopefts(model_type, prefix):
    """The serial adapter does not read what the parallel one adds, and both add to the same sum."""
    methods = ("parallel_adapter", *(("prefix_tuning",) if prefix else ()), "serial_adapter")
    model = filled(together(model_type, *methods), model_type)
    adapters = {}
    for i in LAYERS:
        block = f"{BLOCKS[model_type]}.{i}"
        last = f"{block}.{'base_layer.' * bool(values(model, block))}{LAST[model_type]}"
        adapters[i] = Adapters(
            behind_ffn=values(model, block),
            beside_ffn=values(model, last),
            prefix=values(model, f"{block}.base_layer.attention.self", ("key", "value"), "prefixlayers_"),
        )
        assert adapters[i].behind_ffn and adapters[i].beside_ffn and bool(adapters[i].prefix) == prefix
    torch.testing.assert_close(ours(model, model_type), REFERENCES[model_type](adapters), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", REFERENCES)
def test_a_parallel_adapter_alone_is_the_same_formula(model_type):
    model = filled(fields_and_count("parallel_adapter", model_type, LAYERS)[0], model_type)
    adapters = {i: Adapters(beside_ffn=values(model, f"{BLOCKS[model_type]}.{i}.{LAST[model_type]}")) for i in LAYERS}
    assert all(at.beside_ffn for at in adapters.values())
    torch.testing.assert_close(ours(model, model_type), REFERENCES[model_type](adapters), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_recomputed_blocks_give_the_same_gradients(model_type):
    gradients = []
    for checkpointing in (False, True):
        model = filled(together(model_type, "parallel_adapter", "serial_adapter"), model_type)
        if checkpointing:
            model.get_base_model().gradient_checkpointing_enable()
        model.train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        model(**tiny_batch()).loss.backward()
        gradients.append([p.grad for n, p in model.named_parameters() if "bottleneck_" in n])
    assert gradients[0] and all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients))


@pytest.mark.parametrize("method", ["serial_adapter", "gated_adapter"])
def test_an_adapter_saved_without_a_placement_runs_as_release_0_1_trained_it(method, tmp_path):
    """It added to what the whole block returns."""
    model = filled(fields_and_count(method, "bert", LAYERS)[0], "bert")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config.pop("placement") == "pfeiffer"
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    old = PeftModel.from_pretrained(tiny_model("bert"), tmp_path).eval()

    def behind(module, arguments, result):
        hidden, path = result[0] if isinstance(result, tuple) else result, f"{BLOCKS['bert']}.{module.number}"
        gate = values(model, path, ("gate", "gate_bias"))
        opening = torch.sigmoid(hidden @ gate[0].T + gate[1]) if gate else 1
        changed = hidden + opening * bottleneck(hidden, values(model, path))
        return (changed, *result[1:]) if isinstance(result, tuple) else changed

    base = tiny_model("bert")
    for i in LAYERS:
        base.bert.encoder.layer[i].number = i
        base.bert.encoder.layer[i].register_forward_hook(behind)
    torch.testing.assert_close(logits(old, BATCH), logits(base, BATCH), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(logits(old, BATCH), logits(model, BATCH), atol=1e-2)


def test_a_combination_saved_without_a_placement_runs_as_release_0_1_trained_it(tmp_path):
    """Its serial adapter stood behind the block and read what the parallel one had added."""
    model = filled(together("llama", "parallel_adapter", "serial_adapter"), "llama")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert [part.pop("placement", None) for part in config["parts"]] == [None, "pfeiffer"]
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    old = PeftModel.from_pretrained(tiny_model("llama"), tmp_path).eval()
    block = old.get_base_model().model.layers[2]
    seen = []
    hook = block.base_layer.register_forward_hook(lambda *args: seen.append(args[2]))
    returned = block.register_forward_hook(lambda *args: seen.append(args[2]))
    logits(old, BATCH)
    hook.remove(), returned.remove()
    inside, outside = seen
    parts = values(old, f"{BLOCKS['llama']}.2")
    torch.testing.assert_close(outside, inside + bottleneck(inside, parts))
    assert not torch.allclose(logits(old, BATCH), logits(model, BATCH), atol=1e-2)


def test_an_unknown_placement_is_refused():
    with pytest.raises(AutopeftError, match="placement is 'sideways', it must be behind, houlsby or pfeiffer"):
        SerialConfig(hidden_size=4, placement="sideways")
