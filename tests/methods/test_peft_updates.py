"""What peft's methods outside the low-rank family do to a weight, and what they cost, by their papers."""

import gc
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from sizes import bert_shapes
from tiny import TINY, tiny_batch, tiny_model
from tuner_checks import attach, fields_and_count

from autopeft.backbone.blocks import describe
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, count, peft_fields, refusal
from autopeft.methods.mechanisms.attach import attached
from autopeft.methods.mechanisms.block_size import admissible

SHAPES = bert_shapes(layers=3, hidden=32, ffn=64)
QUERY = "bert.encoder.layer.1.attention.self.query"


def configuration(method: str, layers=(0, 1, 2), **settings) -> Configuration:
    return Configuration.of(method, {**REGISTRY[method].defaults, **settings}, layers, 1e-3)


@pytest.mark.parametrize(
    "method, settings, expected",
    [
        ("oft", {"block_size": 8}, 6 * 32 * 7 // 2),
        ("oft", {"block_size": 64, "target_modules": "ffn"}, 3 * (32 + 64) * 31 // 2),  # 64 does not divide 32
        ("boft", {"block_size": 4, "factors": 3}, 6 * (3 * 32 * 3 // 2 + 32)),
        ("boft", {"block_size": 16, "factors": 4}, 6 * (2 * 32 * 15 // 2 + 32)),  # 32 inputs take two factors of 16
        ("hra", {"rank": 4, "target_modules": "ffn"}, 3 * 4 * (32 + 64)),
        ("fourierft", {"n_frequency": 100}, 6 * 100),
        ("fourierft", {"n_frequency": 5000}, 6 * 32 * 32),
        ("waveft", {"n_frequency": 100}, 6 * 100),
        ("c3a", {"block_size": 16, "target_modules": "ffn"}, 6 * 32 * 64 // 16),
        ("prompt_tuning", {"prompt_length": 4}, 4 * 32),
        ("p_tuning", {"prompt_length": 4, "encoder_hidden_size": 16}, 4 * 32 + 33 * 16 + 17 * 16 + 17 * 32),
        ("shira", {"rank": 4}, 6 * 4 * 64),
        ("beft", {}, 3 * 32),
        ("road", {"variant": "road_1", "target_modules": "ffn"}, 3 * (64 + 32)),
        ("supertuning", {"density": 0.01, "target_modules": "ffn"}, 6 * 20),
        ("adamss", {"rank": 25, "num_subspaces": 5}, 6 * (32 + 5 * 25)),
        ("glora", {"rank": 2}, 6 * (2 * 2 * 64 + 32 + 2 * 32)),
        ("unilora", {"vector_length": 64}, 64),
        ("tinylora", {"numbers": 4}, 6 * 4),
        ("tinylora", {"numbers": 4, "tied": True}, 4),
        ("osf", {"rank": 2}, 6 * 2 * (32 + 32 + 1)),
    ],
)
def test_counts_follow_the_papers(method, settings, expected):
    assert count(configuration(method, **settings), SHAPES) == expected


@pytest.mark.parametrize(
    "asked, widths, size", [(64, {384, 1536}, 64), (256, {384, 1536}, 192), (32, {896}, 32), (4, {7}, 1)]
)
def test_a_block_is_the_largest_that_divides(asked, widths, size):
    assert admissible(asked, widths) == size


@pytest.mark.parametrize("model_type", TINY)
def test_the_norms_of_a_block_are_found_with_their_sizes(model_type):
    model = tiny_model(model_type)
    shapes = describe(model, model_type)
    within = [p for n, p in model.named_parameters() if n.startswith(shapes.blocks_path)]
    in_linears = sum(x.in_features * x.out_features + x.bias * x.out_features for x in shapes.linears)
    assert sum(x.size for x in shapes.norms) == sum(p.numel() for p in within) - in_linears
    assert type(shapes).from_json(shapes.to_json()) == shapes
    assert refusal("ln_tuning", replace(shapes, norms=()))


def moved(method: str, **settings) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight of the tiny BERT before and after its adapter, of random numbers, was merged into it."""
    base = tiny_model("bert")
    before = base.get_submodule(QUERY).weight.detach().clone()
    model = attach(fields_and_count(method, "bert", layers=(1,), **settings)[0], base)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and QUERY in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    model.merge_adapter()
    return before, model.get_base_model().get_submodule(QUERY).base_layer.weight.detach()


@pytest.mark.parametrize("method", ["oft", "hra"])
def test_rotations_and_reflections_keep_the_angles_between_neurons(method):
    before, after = moved(method)
    assert (after - before).norm() > 0.1 * before.norm()
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-5)


def test_oft_turns_inside_its_blocks():
    before, after = moved("oft", block_size=4)

    def lengths(weight):
        return weight.unflatten(1, (-1, 4)).norm(dim=-1)

    torch.testing.assert_close(lengths(after), lengths(before), rtol=1e-4, atol=1e-5)


def test_c3a_is_made_of_circulant_blocks():
    before, after = moved("c3a", block_size=16)
    block = (after - before)[:16, 16:]
    torch.testing.assert_close(block.roll((1, 1), (0, 1)), block)


def test_fourierft_has_as_many_frequencies_as_it_trains():
    before, after = moved("fourierft", n_frequency=50)
    spectrum = torch.fft.fft2(after - before).abs()
    assert 50 < (spectrum > 1e-3 * spectrum.max()).sum() <= 100  # the real part mirrors each of them


@pytest.mark.parametrize("entries", ["largest", "smallest"])
def test_supertuning_moves_the_entries_at_one_end(entries):
    before, after = moved("supertuning", density=0.1, entries=entries)
    touched = before != after
    assert touched.sum() == 102
    ends = before.abs()[touched], before.abs()[~touched]
    assert ends[0].min() > ends[1].max() if entries == "largest" else ends[0].max() < ends[1].min()


def test_shira_moves_as_many_entries_as_it_trains():
    before, after = moved("shira", rank=2)
    assert (before != after).sum() == 2 * 64


def test_road_turns_pairs_of_outputs():
    before, after = moved("road", variant="road_1")
    assert torch.linalg.matrix_rank(after - before) > 16
    first, second = (w.unflatten(0, (2, -1)).square().sum(0) for w in (before, after))  # a pair: i and i + 16
    torch.testing.assert_close((second / first).std(1), torch.zeros(16), rtol=0, atol=1e-3)


def test_osf_keeps_gradients_away_from_the_large_directions():
    model = attach(fields_and_count("osf", "bert", layers=(1,), rank=4)[0], tiny_model("bert"))
    model(**tiny_batch()).loss.backward()
    layer = model.get_base_model().get_submodule(QUERY)
    large = torch.linalg.svd(layer.base_layer.weight.detach()).U[:, :-4]
    gradient = layer.osf_svd_params["default"]["U_low"].grad
    assert gradient.abs().max() > 0 and (large.T @ gradient).abs().max() < 1e-5 * gradient.abs().max()


def test_a_prompt_begins_as_words():
    model = attach(fields_and_count("prompt_tuning", "bert", (0, 1, 2), prompt_length=4)[0], tiny_model("bert"))
    words = model.get_base_model().bert.embeddings.word_embeddings.weight
    prompt = model.prompt_encoder["default"].embedding.weight
    assert torch.cdist(prompt, words).min(1).values.max() < 1e-3


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning"])
def test_prompts_are_refused_where_the_head_looks_for_the_last_token(method):
    assert "last token" in refusal(method, replace(SHAPES, is_decoder=True))
    assert "width of its own" in refusal(method, replace(SHAPES, model_type="electra"))


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning", "unilora", "tinylora"])
def test_what_belongs_to_the_whole_model_stands_alone(method):
    settings = {f"{m}.{k}": v for m in ("lora", method) for k, v in REGISTRY[m].defaults.items()}
    with pytest.raises(AutopeftError, match=f"leave {method} out"):
        peft_fields(Configuration.of(f"lora+{method}", settings, (0, 1, 2), 1e-3), SHAPES)


@pytest.mark.parametrize("method", ["shira", "supertuning"])
def test_a_layer_is_not_remembered_for_good(method):
    fields = fields_and_count(method, "bert", layers=(1,))[0]
    found = SimpleNamespace(model=tiny_model("bert"), shapes=describe(tiny_model("bert"), "bert"), new_parameters=())
    with attached(configuration(method, layers=(1,)), found, seed=0) as model:
        model(**tiny_batch())
        layer = weakref.ref(model.get_base_model().get_submodule(fields["target_modules"][0]))
    del model
    gc.collect()
    assert layer() is None
