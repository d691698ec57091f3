"""Sparse deltas: product and gradient, exact sparsity, memory that grows with k, which entries are chosen."""

import pytest
import torch
from peft import PeftModel
from tiny import tiny_backbone, tiny_batch, tiny_model, tiny_statistics
from torch import nn
from transformers.pytorch_utils import Conv1D
from tuner_checks import attach, check_merge, check_tuner, fields_and_count, logits

from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.methods.lift import low_rank
from autopeft.methods.mechanisms.attach import attached
from autopeft.methods.mechanisms.sparse_product import SparseLinear, dense, top
from autopeft.methods.tuners.sparse import SparseConfig, SparseLayer, sparse_layers

LAYERS = (0, 1, 2)


def configuration(method: str, **settings) -> Configuration:
    return Configuration.of(method, {**get_method(method).defaults, **settings}, LAYERS, 1e-3)


@pytest.mark.parametrize("transposed", [False, True])
def test_product_and_gradients_are_the_dense_ones(transposed):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    shape = torch.Size((5, 4) if transposed else (4, 5))
    indices = torch.tensor([1, 7, 8, 19], dtype=torch.int32)
    values = torch.randn(4, generator=generator, dtype=torch.float64, requires_grad=True)
    sparse = SparseLinear.apply(x, values, indices, None, None, shape, transposed, None)
    delta = dense(values, indices, shape)
    explicit = x @ (delta if transposed else delta.T)
    torch.testing.assert_close(sparse, explicit)
    weights = torch.randn(sparse.shape, generator=generator, dtype=torch.float64)
    for one, other in zip(
        torch.autograd.grad((sparse * weights).sum(), (x, values)),
        torch.autograd.grad((explicit * weights).sum(), (x, values)),
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("base", [nn.Linear(64, 48), Conv1D(48, 64)])
def test_memory_of_training_grows_with_k(base):
    base.requires_grad_(False)
    kept = {}
    for k in (10, 100):
        layer = SparseLayer(base, "default", SparseConfig(density=k / (64 * 48)))
        saved = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, to=saved: to.append(t) or t, lambda t: t):
            loss = layer(torch.randn(2, 64)).square().sum()
        optimiser = torch.optim.AdamW([p for p in layer.parameters() if p.requires_grad])
        loss.backward()
        optimiser.step()
        states = [v.numel() for state in optimiser.state.values() for v in state.values()]
        kept[k] = sum(states)
        copies = [t.numel() for t in saved if t.data_ptr() != base.weight.data_ptr()]
        assert max(copies) <= 2 * 64 and layer.sparse_values["default"].grad.numel() == k
    assert kept == {10: 2 * 10 + 1, 100: 2 * 100 + 1}


@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
def test_contract_and_merge(model_type, tmp_path):
    fields, counted = fields_and_count("random_mask", model_type, density=0.03)
    check_merge(check_tuner(fields, counted, model_type, tmp_path))


def test_weight_decay_leaves_every_other_entry_alone():
    """Masking gradients of a whole weight would not: AdamW's decay moves what has no gradient."""
    found = tiny_backbone("bert")
    with attached(configuration("magnitude_mask", density=0.03), found, seed=0) as model:
        layers = sparse_layers(model)
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            model(**tiny_batch()).loss.backward()
            optimiser.step()
        for path, layer in layers.items():
            weight = layer.get_base_layer().weight
            changed = (weight + layer.get_delta("default")) != weight
            chosen = torch.zeros(weight.numel(), dtype=torch.bool)
            chosen[layer.sparse_indices["default"].long()] = True
            assert chosen.sum() == round(0.03 * weight.numel()) and torch.equal(changed.flatten(), chosen), path


@pytest.mark.parametrize("trained", ["smallest", "largest"])
def test_magnitude_decides(trained):
    with attached(configuration("magnitude_mask", trained=trained), tiny_backbone("gpt2"), seed=0) as model:
        for layer in sparse_layers(model).values():
            weight = layer.get_base_layer().weight.flatten().abs()
            chosen = weight[layer.sparse_indices["default"].long()]
            rest = weight.sort(descending=trained == "largest").values[: len(chosen)]
            assert torch.equal(chosen.sort().values, rest.sort().values)


def test_the_seed_draws_the_random_entries():
    def drawn(seed: int) -> torch.Tensor:
        with attached(configuration("random_mask"), tiny_backbone("bert"), seed) as model:
            return torch.cat([x.sparse_indices["default"] for x in sparse_layers(model).values()])

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_sift_takes_the_largest_gradients(model_type):
    found = tiny_backbone(model_type)
    seen = tiny_statistics(found)
    with attached(configuration("sift"), found, seed=0, statistics=seen) as model:
        for path, layer in sparse_layers(model).items():
            gradient = seen.gradient(f"{path}.weight").abs().flatten()
            indices = layer.sparse_indices["default"].long()
            assert indices.unique().numel() == len(indices) == round(0.01 * gradient.numel())
            rest = gradient.clone()
            rest[indices] = 0.0
            assert gradient[indices].min() >= rest.max()


def test_lt_sft_takes_the_furthest_of_all_weights_and_rewinds():
    found = tiny_backbone("bert")
    before = {k: v.clone() for k, v in found.model.state_dict().items()}
    seen, chosen = tiny_statistics(found), configuration("lt_sft", density=0.003)
    with attached(chosen, found, seed=0, statistics=seen) as model:
        layers = sparse_layers(model)
        moved = {path: seen.change(f"{path}.weight").abs().flatten() for path in layers}
        inside = torch.cat([moved[p][x.sparse_indices["default"].long()] for p, x in layers.items()])
        assert len(inside) == count(chosen, found.shapes)
        assert torch.equal(inside.sort().values, torch.cat(list(moved.values())).topk(len(inside)).values.sort().values)
        assert len({len(x.sparse_values["default"]) for x in layers.values()}) > 1  # no fixed number each
    assert all(torch.equal(before[k], v) for k, v in found.model.state_dict().items())


def test_a_matrix_of_which_nothing_is_trained_trains_reloads_and_merges(tmp_path):
    fields, counted = fields_and_count("lt_sft", "bert", layers=(1,), target_modules="query+value")
    query, value = fields["target_modules"]
    fields = {**fields, "numbers": {query: 0, value: counted}}
    model = attach(fields, tiny_model("bert"))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, fused=True)
    model(**tiny_batch()).loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    trained = logits(model, tiny_batch())
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(tiny_model("bert"), tmp_path).eval()
    assert torch.equal(logits(loaded, tiny_batch()), trained)
    torch.testing.assert_close(logits(loaded.merge_and_unload(), tiny_batch()), trained)


def planted(rank: int, shape=(40, 30)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape[0], rank, generator=generator) @ torch.randn(rank, shape[1], generator=generator)


def test_low_rank_is_the_truncated_decomposition():
    weight = planted(3) + 0.01 * planted(30)
    u, s, v = torch.linalg.svd(weight)
    torch.testing.assert_close(low_rank(weight, 3), u[:, :3] * s[:3] @ v[:3], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(low_rank(weight, 128), weight, atol=1e-4, rtol=1e-4)


def test_lift_takes_the_principal_weights_and_dsee_what_no_low_rank_reaches():
    weight, spikes = planted(2), torch.tensor([5, 333, 777, 1100])
    weight.flatten()[spikes] += 20.0
    dsee = get_method("dsee").scores("", weight, {"rank": 2, "density": 4 / 1200}, None, None)
    assert torch.equal(top(dsee, 4), spikes)
    lift = get_method("lift").scores("", weight, {"filter_rank": 2}, None, None)
    assert torch.equal(lift, low_rank(weight, 2).abs())


def test_dsee_adds_a_low_rank_and_a_sparse_part(tmp_path):
    fields, counted = fields_and_count("dsee", "gpt2", rank=2, density=0.003)
    check_merge(check_tuner(fields, counted, "gpt2", tmp_path))


def test_locft_trains_one_module_of_one_layer():
    found = tiny_backbone("llama")
    one = Configuration.of("locft", {"target_modules": "ffn_out"}, (1,), 1e-3)
    assert count(one, found.shapes) == 32 * 64
    with attached(one, found, seed=0) as model:
        trained = [n for n, p in model.named_parameters() if p.requires_grad and "score" not in n]
        assert trained == ["base_model.model.model.layers.1.mlp.down_proj.modules_to_save.default.weight"]


def test_dsee_prunes_the_smallest_weights_and_detaching_takes_it_back(tmp_path):
    found = tiny_backbone("gpt2")
    before = {k: v.clone() for k, v in found.model.state_dict().items()}
    wanted = configuration("dsee", pruned=0.2, rank=2)
    with attached(wanted, found, seed=0) as model:
        for path, layer in sparse_layers(model).items():
            kept, weight = layer.get_base_layer().weight.flatten(), before[f"{path}.weight"].flatten()
            gone = kept == 0
            assert gone.sum() == round(0.2 * len(weight)) and torch.equal(kept[~gone], weight[~gone])
            assert weight[gone].abs().max() <= weight[~gone].abs().min()
        trained = logits(model, tiny_batch())
        model.save_pretrained(tmp_path)
    assert all(torch.equal(before[k], v) for k, v in found.model.state_dict().items())
    loaded = PeftModel.from_pretrained(tiny_model("gpt2"), tmp_path).eval()
    torch.testing.assert_close(logits(loaded, tiny_batch()), trained)
    torch.testing.assert_close(logits(loaded.merge_and_unload(), tiny_batch()), trained, atol=1e-4, rtol=1e-4)
