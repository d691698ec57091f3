import pytest
import torch
import torch.nn.functional as F
from sizes import bert_shapes
from tiny import tiny_model
from torch import nn
from tuner_checks import attach, check_merge, check_tuner, fields_and_count

from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, peft_fields
from autopeft.methods.tuners.dcft import DcftConfig, DcftLayer, deconvolve, delta_weight, orthogonality

SIZES = [(12, 12, 4, 1), (24, 8, 4, 2), (13, 10, 4, 2), (7, 5, 8, 1)]  # in, out, d, k: divisible or not


def factors(size, out, d, k):
    generator = torch.Generator().manual_seed(size)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    return draw(k, -(-size // d)), draw(-(-out // d), k), draw(d, d)


@pytest.mark.parametrize("size, out, d, k", SIZES)
def test_update_is_the_transposed_convolution(size, out, d, k):
    a, b, c = factors(size, out, d, k)
    convolved = F.conv_transpose2d((b @ a)[None, None], c[None, None], stride=d)[0, 0]
    torch.testing.assert_close(delta_weight(a, b, c, out, size), convolved[:out, :size])


@pytest.mark.parametrize("size, out, d, k", SIZES)
def test_rank_is_at_most_k_d(size, out, d, k):
    assert torch.linalg.matrix_rank(delta_weight(*factors(size, out, d, k), out, size)) <= k * d


def test_rank_reaches_k_d():
    assert torch.linalg.matrix_rank(delta_weight(*factors(24, 24, 4, 2), 24, 24)) == 8


@pytest.mark.parametrize("size, out, d, k", SIZES)
def test_matrix_free_forward_and_gradients_are_the_explicit_ones(size, out, d, k):
    a, b, c = factors(size, out, d, k)
    x = torch.randn(2, 3, size, dtype=torch.float64, requires_grad=True)
    free, explicit = deconvolve(x, a, b, c, out), x @ delta_weight(a, b, c, out, size).T
    torch.testing.assert_close(free, explicit)
    weights = torch.randn_like(free)
    for one, other in zip(
        torch.autograd.grad((free * weights).sum(), (x, a, b, c)),
        torch.autograd.grad((explicit * weights).sum(), (x, a, b, c)),
    ):
        torch.testing.assert_close(one, other)
    assert torch.autograd.gradcheck(lambda *t: deconvolve(*t, out), (x, a, b, c))


def test_kernel_of_one_is_lora_times_a_scalar():
    a, b, c = factors(12, 10, 1, 3)
    x = torch.randn(4, 12, dtype=torch.float64)
    torch.testing.assert_close(deconvolve(x, a, b, c, 10), c.item() * (x @ a.T @ b.T))


# The table of DCFT's parameters on DeBERTaV3-base, rank 1, every linear of the encoder.
@pytest.mark.parametrize("d, total", [(2, 83_232), (4, 42_624), (6, 30_240), (8, 25_344), (12, 24_192)])
def test_counts_of_deberta_base(deberta_base, d, total):
    settings = {"kernel_size": d, "rank": 1, "target_modules": "all-linear", "init": "zero", "orthogonality": 0.0}
    assert count(Configuration.of("dcft", settings, range(12), 1e-3), deberta_base) == total


@pytest.fixture(scope="module")
def deberta_base():
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from autopeft.backbone.blocks import describe

    config = AutoConfig.for_model(
        "deberta-v2",
        vocab_size=100,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
    )
    with torch.device("meta"):
        return describe(AutoModelForSequenceClassification.from_config(config), "deberta-v3-base")


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
def test_contract_and_merge(model_type, tmp_path):
    fields, counted = fields_and_count("dcft", model_type, kernel_size=6, rank=2)
    check_merge(check_tuner(fields, counted, model_type, tmp_path))


def test_rank_one_reloads_bit_equal(tmp_path):
    check_tuner(*fields_and_count("dcft", "qwen3"), "qwen3", tmp_path)


def test_paper_start_is_small_and_not_zero(tmp_path):
    fields, counted = fields_and_count("dcft", "bert", init="paper")
    check_tuner(fields, counted, "bert", tmp_path, zero_start=False)
    layer = next(m for m in attach(fields, tiny_model("bert")).modules() if isinstance(m, DcftLayer))
    assert 0 < layer.get_delta_weight("default").norm() < 0.01 * layer.weight.norm()


def test_unmerge_restores_the_weight():
    layer = DcftLayer(nn.Linear(10, 7), "default", DcftConfig(kernel_size=4, init="paper"))
    x, weight = torch.randn(3, 10), layer.weight.clone()
    before = layer(x)
    layer.merge()
    assert layer.merged and not torch.equal(layer.weight, weight)
    torch.testing.assert_close(layer(x), before)
    layer.unmerge()
    torch.testing.assert_close(layer.weight, weight)


def test_base_of_half_precision_keeps_its_dtype():
    layer = DcftLayer(nn.Linear(10, 7, dtype=torch.bfloat16), "default", DcftConfig(kernel_size=4))
    x = torch.randn(3, 10, dtype=torch.bfloat16)
    assert {p.dtype for n, p in layer.named_parameters() if "dcft" in n} == {torch.float32}
    assert torch.equal(layer(x), layer.base_layer(x))


def test_orthogonality_is_the_mean_of_unsquared_norms():
    layer = DcftLayer(nn.Linear(4, 4), "default", DcftConfig(kernel_size=2))
    with torch.no_grad():
        layer.dcft_A["default"].copy_(torch.tensor([[3.0, 0.0]]))  # | 9 - 1 | = 8
        layer.dcft_B["default"].copy_(torch.tensor([[0.0], [2.0]]))  # | 4 - 1 | = 3
    assert orthogonality(nn.Sequential(layer)).item() == pytest.approx(5.5)


def scaling(**settings) -> float:
    """What the update of a configuration with these settings is multiplied by."""
    chosen = {"kernel_size": 4, "rank": 1, "target_modules": "query", "init": "zero", "orthogonality": 0.0, **settings}
    fields = peft_fields(Configuration.of("dcft", chosen, (0,), 1e-3), bert_shapes(layers=1))
    layer = DcftLayer(nn.Linear(8, 8), "default", DcftConfig(kernel_size=4, alpha=fields["alpha"]))
    return layer.scaling("default")


def test_the_scale_is_that_of_the_scripts_for_deberta():
    """lora_alpha / lora_r is 32 / 2 in four of the eight; a configuration without the setting keeps the scale it had."""
    assert scaling(scale=get_method("dcft").defaults["scale"]) == 16
    assert scaling(scale=8.0) == 8 and scaling(scale=2.0) == scaling() == 2


def test_a_saved_adapter_keeps_its_scale():
    """Release 0.1 wrote no alpha, or 16, the default."""
    layer = DcftLayer(nn.Linear(8, 8), "default", DcftConfig(kernel_size=4))
    assert layer.scaling("default") == 2
