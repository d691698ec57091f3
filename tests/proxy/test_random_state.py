"""A seed reaches every device that something draws on, and a saved run holds the state of each.

Here a second CPU generator stands in for a GPU's; the same is held of a GPU by the tests that need one.
"""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from prefix_cases import tiny_task
from tiny import tiny_backbone

from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.mechanisms import random_state
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer

DRAWING = ("kasa", "adamss")


def configuration(method: str) -> Configuration:
    return Configuration.of(method, get_method(method).defaults, (1, 2), 1e-3)


@pytest.fixture
def device(monkeypatch) -> torch.Generator:
    """The generator of a made-up device on which every model lies, with any state."""
    generator, own = torch.Generator().manual_seed(11), random_state.generators
    monkeypatch.setattr(random_state, "generators", lambda model: {**own(model), "cuda:0": generator})
    return generator


@pytest.fixture
def drawn_there(device, monkeypatch) -> torch.Generator:
    """What peft draws from torch's own generator comes from the made-up device's."""
    own = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *size, **how: own(*size, **{"generator": device, **how}))
    return device


def values(method: str, backbone, seed: int) -> dict[str, torch.Tensor]:
    with attached(configuration(method), backbone, seed) as model:
        return {n: p.detach().cpu().clone() for n, p in trainable_parameters(model)}


@pytest.mark.parametrize("method", DRAWING)
def test_a_seed_decides_what_is_drawn_on_the_device(method, drawn_there):
    backbone = tiny_backbone("bert")
    first = values(method, backbone, 3)
    drawn_there.manual_seed(99)
    before = drawn_there.get_state()
    second = values(method, backbone, 3)
    assert all(torch.equal(first[n], second[n]) for n in first)
    assert torch.equal(drawn_there.get_state(), before)  # and the device goes on as if nothing had been attached


def test_a_seed_differs_from_another_on_the_device(drawn_there):
    backbone = tiny_backbone("bert")
    first, other = values("kasa", backbone, 3), values("kasa", backbone, 4)
    assert any(not torch.equal(first[n], other[n]) for n in first if "lora_diag" in n)


class Drawing(Trainer):
    """Adds to every loss a number that is drawn on the device, with a gradient."""

    generator: torch.Generator

    def run(self, jobs, keep=None):
        from autopeft.proxy.session import Session

        own, generator = Session.own_losses, self.generator

        def noisy(session):
            drawn = torch.randn((), generator=generator, device=generator.device)
            return [*own(session), drawn * sum(p.sum() for p in session.parameters.values())]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "own_losses", noisy)
            return super().run(jobs, keep)


def resumed_and_whole(trainer: Drawing):
    job = Job(configuration("lora"), 5, 6, 6, (3,), keep_state=True)
    (whole,) = trainer.run([job])
    (half,) = trainer.run([replace(job, until=3)])
    trainer.generator.manual_seed(123)  # another process has drawn other numbers
    (rest,) = trainer.run([replace(job, state=half.state)])
    return whole, half, rest


def test_a_saved_run_holds_the_state_of_every_device(device):
    trainer = Drawing(tiny_backbone("bert"), tiny_task(), 8)
    trainer.generator = device
    whole, half, rest = resumed_and_whole(trainer)
    assert {"rng", "rng.cuda:0"} <= set(safetensors.torch.load(half.state))
    assert rest.state == whole.state


def test_a_state_without_the_device_is_seeded(device):
    """Of an earlier release, or from a machine without one."""
    trainer = Trainer(tiny_backbone("bert"), tiny_task(), 8)
    job = Job(configuration("lora"), 5, 6, 3, keep_state=True)
    (half,) = trainer.run([job])
    older = {k: v for k, v in safetensors.torch.load(half.state).items() if k != "rng.cuda:0"}
    (done,) = trainer.run([replace(job, until=6, state=safetensors.torch.save(older))])
    assert done.curve


@pytest.mark.gpu
@pytest.mark.parametrize("method", DRAWING)
def test_on_a_gpu_a_seed_decides_what_is_drawn(method):
    backbone = tiny_backbone("bert")
    backbone.model.to("cuda")
    torch.cuda.manual_seed(1)
    first, before = values(method, backbone, 3), torch.cuda.get_rng_state()
    torch.cuda.manual_seed(2)
    second = values(method, backbone, 3)
    assert all(torch.equal(first[n], second[n]) for n in first)
    torch.cuda.manual_seed(1)
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.gpu
def test_on_a_gpu_a_resumed_run_is_the_run_in_one_piece():
    backbone = tiny_backbone("bert")
    backbone.model.to("cuda")
    trainer = Drawing(backbone, tiny_task(), 8)
    trainer.generator = torch.cuda.default_generators[torch.cuda.current_device()]
    whole, half, rest = resumed_and_whole(trainer)
    assert any(k.startswith("rng.cuda") for k in safetensors.torch.load(half.state))
    one, other = safetensors.torch.load(whole.state), safetensors.torch.load(rest.state)
    assert all(torch.allclose(one[k].float(), other[k].float(), atol=1e-6) for k in one if k.startswith("value"))
