"""What holds for every method on every backbone it fits; a new file in methods/ is tested without a line here."""

import json
import re
import subprocess
import sys
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from contract_cases import (
    CASES,
    COUNTED,
    EVERY,
    METHODS,
    OF_MEDIA,
    attached,
    backbone,
    configurations,
    default,
    fitting,
    home,
    partial,
)
from peft import PeftModel
from tiny import tiny_batch, tiny_model

from autopeft.methods import REGISTRY, count, refusal
from autopeft.methods.mechanisms.attach import count_built, trainable_parameters
from autopeft.methods.mechanisms.merge import merged

LAYERS = 3
on_every_backbone = pytest.mark.parametrize("method, model_type", CASES)
every_method = pytest.mark.parametrize("method", EVERY)
SOME = ("bert", "gpt2", "llama")  # absolute positions, transposed weights, rotary with grouped heads


def steps(model, configuration, number: int, rate: float = 1e-2) -> list[float]:
    """Train on one batch; the losses before each step."""
    optimiser = torch.optim.Adam([p for _, p in trainable_parameters(model)], lr=rate)
    losses = []
    for _ in range(number):
        loss = model(**tiny_batch(model_type=model.config.model_type)).loss
        for name in configuration.methods:
            extra = REGISTRY[name].extra_loss(model, configuration.settings_of(name))
            loss = loss if extra is None else loss + extra
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(**tiny_batch(labels=False, model_type=model.config.model_type)).logits.float()


def copied(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def unchanged(model, before: dict[str, torch.Tensor]) -> bool:
    now = model.state_dict()
    return list(now) == list(before) and all(torch.equal(now[name], before[name]) for name in now)


@pytest.mark.parametrize("method", METHODS)
def test_states_its_facts(method):
    stated = REGISTRY[method]
    low, high = stated.learning_rate
    assert stated.title and re.search(r"\d{4}", stated.paper) and 0 < low < high
    assert set(stated.defaults) == set(stated.hyperparameters)
    assert all(stated.defaults[name] in choices for name, choices in stated.hyperparameters.items())
    assert stated.layers in ("any", "suffix", "one", "all", "none")


@pytest.mark.parametrize("method, model_type", COUNTED)
def test_declared_count_is_the_built_count(method, model_type):
    found = fitting(method, model_type)
    for configuration in configurations(method, LAYERS):
        with attached(configuration, found, seed=0) as model:
            built = count_built(model, found.shapes.head_modules)
            head = sum(p.numel() for _, p in trainable_parameters(model)) - built
        assert built == count(configuration, found.shapes), configuration
        assert head == found.shapes.head_parameters, configuration


@on_every_backbone
def test_trains_what_it_says_and_leaves_the_backbone_as_it_was(method, model_type):
    found = fitting(method, model_type)
    configuration, before, start = partial(method, LAYERS), copied(found.model), logits(found.model)
    modules = [name for name, _ in found.model.named_modules()]
    zero_start = all(REGISTRY[part].zero_start for part in configuration.methods)
    with attached(configuration, found, seed=0) as model:
        same = torch.equal(logits(model), start)
        assert same == zero_start or (same and model_type != "bert")  # what differs by rounding alone can coincide
        frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
        trained = {n: p.clone() for n, p in trainable_parameters(model)}
        losses = steps(model, configuration, 3)
        assert all(torch.isfinite(torch.tensor(losses))), losses
        now = dict(model.named_parameters())
        assert all(torch.equal(now[name], value) for name, value in frozen.items())
        for name in trained:
            assert now[name].grad is not None and torch.isfinite(now[name].grad).all(), name
        assert any(not torch.equal(now[name], value) for name, value in trained.items())
        adapters = [n for n in trained if not any(f"{h}.modules_to_save" in n for h in found.shapes.head_modules)]
        touched = {layer for n in adapters if (layer := found.shapes.layer_of(n)) is not None}
        everywhere = "all" in {REGISTRY[part].layers for part in configuration.methods}
        assert touched == set(configuration.layers) or everywhere and not touched  # a prompt enters below the blocks
    assert unchanged(found.model, before)
    assert torch.equal(logits(found.model), start)
    assert [name for name, _ in found.model.named_modules()] == modules
    assert not any(p.requires_grad or p.grad is not None for p in found.model.parameters())


@pytest.mark.parametrize(
    "method, model_type",
    [*product(EVERY, SOME), *((method, "vit") for method in OF_MEDIA)],
)
def test_a_saved_adapter_loads_and_says_the_same(method, model_type, tmp_path):
    found = fitting(method, model_type)
    for number, configuration in enumerate({default(method, LAYERS), partial(method, LAYERS)}):
        with attached(configuration, found, seed=0) as model:
            steps(model, configuration, 2)
            trained = logits(model)
            model.save_pretrained(tmp_path / str(number))
        loaded = PeftModel.from_pretrained(tiny_model(model_type), tmp_path / str(number)).eval()
        torch.testing.assert_close(logits(loaded), trained, rtol=0, atol=1e-6)


def test_saved_adapters_load_in_a_process_that_only_imports_autopeft(tmp_path, request):
    expected = {}
    for method in EVERY:
        found = backbone("bert")
        if refusal(method, found.shapes):
            continue
        configuration = partial(method, LAYERS)
        with attached(configuration, found, seed=0) as model:
            steps(model, configuration, 2)
            expected[method] = logits(model).tolist()
            model.save_pretrained(tmp_path / method)
    script = (
        "import json, sys, autopeft\nfrom pathlib import Path\nfrom peft import PeftModel\n"
        "from tiny import tiny_batch, tiny_model\n"
        "load = lambda path: PeftModel.from_pretrained(tiny_model('bert'), path).eval()\n"
        "say = lambda path: load(path)(**tiny_batch(labels=False)).logits.tolist()\n"
        "print(json.dumps({p.name: say(p) for p in Path(sys.argv[1]).iterdir()}))"
    )
    tests = request.config.rootpath / "tests"
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=tests, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    assert said.keys() == expected.keys()
    for method, value in said.items():
        torch.testing.assert_close(torch.tensor(value), torch.tensor(expected[method]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("model_type", SOME)
@pytest.mark.parametrize("method", [name for name in METHODS if REGISTRY[name].mergeable])
def test_merging_changes_nothing(method, model_type):
    found = fitting(method, model_type)
    own = SimpleNamespace(**{**vars(found), "model": tiny_model(model_type)})  # merging writes into the weights
    configuration = default(method, LAYERS)
    with attached(configuration, own, seed=0) as model:
        steps(model, configuration, 2)
        trained = logits(model)
        model.merge_adapter()
        assert not torch.equal(logits(found.model), trained)
        torch.testing.assert_close(logits(model), trained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", SOME)
@pytest.mark.parametrize("method", [name for name in METHODS if REGISTRY[name].mergeable])
def test_merged_is_a_plain_model_that_says_the_same(method, model_type):
    found = fitting(method, model_type)
    own = SimpleNamespace(**{**vars(found), "model": tiny_model(model_type)})  # merging writes into the weights
    configuration = default(method, LAYERS)
    with attached(configuration, own, seed=0) as model:
        steps(model, configuration, 2)
        trained = logits(model)
        plain = merged(model)
        assert not any(type(m).__module__.startswith(("peft", "autopeft")) for m in plain.modules())
        torch.testing.assert_close(logits(plain), trained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", ("bert", "modernbert", "llama"))
@every_method
def test_trains_in_fp32_on_a_bf16_backbone(method, model_type):
    found = fitting(method, model_type)
    half = SimpleNamespace(**{**vars(found), "model": tiny_model(model_type).bfloat16()})
    configuration = default(method, LAYERS)
    with attached(configuration, half, seed=0) as model, torch.autocast("cpu", torch.bfloat16):
        assert {p.dtype for _, p in trainable_parameters(model)} == {torch.float32}
        assert all(torch.isfinite(torch.tensor(steps(model, configuration, 2))))
        assert all(torch.isfinite(p).all() for _, p in trainable_parameters(model))
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}


@every_method
def test_the_seed_decides_the_start(method):
    found = home(method)
    heads = tuple(n for n, _ in found.model.named_parameters() if n.startswith(found.shapes.head_modules))
    drawn = SimpleNamespace(**{**vars(found), "new_parameters": heads})

    def start(seed: int) -> dict[str, torch.Tensor]:
        state = torch.get_rng_state()
        with attached(default(method, LAYERS), drawn, seed) as model:
            assert torch.equal(torch.get_rng_state(), state)
            return {n: p.detach().clone() for n, p in trainable_parameters(model)}

    first, again, other = start(0), start(0), start(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
