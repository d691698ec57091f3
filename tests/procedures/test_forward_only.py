"""Sparse MeZO and LOZO: the estimate is the slope along a direction, without a graph, and points along the gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from procedure_cases import configuration, opened, settings, trainer
from safetensors.torch import load

from autopeft.methods import get_method
from autopeft.methods.mechanisms.attach import is_head
from autopeft.procedures import REGISTRY
from autopeft.procedures.lozo import low_rank_noise
from autopeft.procedures.mechanisms.forward_only import estimate_gradients
from autopeft.procedures.sparse_mezo import sparse_noise
from autopeft.proxy.job import Job

ROWS = np.arange(8)
NAMES = ["lozo", "sparse_mezo"]


def session_of(name: str, method: str = "dcft", **how):
    return opened(configuration(name, trainer().backbone.shapes, method, how={**settings(name), **how}))


def gradients(session) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in session.run.parameters.values()])


@pytest.mark.parametrize("name", NAMES)
def test_no_graph_is_built_and_the_weights_come_back(name, monkeypatch):
    with session_of(name) as session, monkeypatch.context() as without:
        without.setattr(torch.Tensor, "backward", None)
        before = {n: p.detach().clone() for n, p in session.run.parameters.items()}
        loss = session.procedure.gradients(session, ROWS, session.how)
        assert not loss.requires_grad
        for name, parameter in session.run.parameters.items():
            torch.testing.assert_close(parameter, before[name], rtol=0, atol=1e-6)
            assert parameter[before[name] == 0].eq(0).all()
        assert gradients(session).isfinite().all() and gradients(session).any()


def test_the_estimate_is_the_slope_along_the_direction():
    with session_of("lozo") as session:
        parameters, generator = session.run.parameters, torch.Generator().manual_seed(0)
        z = {n: torch.randn(p.shape, generator=generator) for n, p in parameters.items()}
        estimate_gradients(session, ROWS, {n: v.clone() for n, v in z.items()})
        estimate = gradients(session)
        for parameter in parameters.values():
            parameter.grad = None
        session.losses(ROWS).sum().backward()
        slope = sum((p.grad * z[n]).sum() for n, p in parameters.items() if p.grad is not None)
        expected = torch.cat([v.flatten() for v in z.values()]) * slope
    torch.testing.assert_close(estimate, expected, rtol=0.05, atol=1e-3)


def test_lozo_steps_by_plain_sgd_along_a_direction_of_low_rank():
    """rate * slope * U V^T / r for matrices and rate * slope * z for vectors, however long that is."""
    with session_of("lozo", "full", rank=2, interval=10) as session:
        parameters = session.run.parameters
        before = {n: p.detach().clone() for n, p in parameters.items()}
        z = low_rank_noise(session, parameters, 2, 10)
        for parameter, group in ((p, g) for g in session.optimiser.param_groups for p in g["params"]):
            parameter.rate = group["rate"]
        slope = None
        next(session.advance())
        for name, parameter in parameters.items():
            matrix = parameter.ndim > 1
            moved = (before[name] - parameter.detach()) / parameter.rate
            slope = (moved * z[name]).sum() / z[name].square().sum() * (2 if matrix else 1) if slope is None else slope
            torch.testing.assert_close(moved, slope * z[name] / (2 if matrix else 1), rtol=0.02, atol=1e-2)
            if matrix and min(parameter.shape) >= 8:
                assert (torch.linalg.svdvals(moved)[2:] < 0.02 * torch.linalg.svdvals(moved)[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_kept_between_steps(name):
    found = trainer()
    job = Job(configuration(name, found.backbone.shapes), 0, 4, 4, keep_state=True)
    (done,) = found.run([job])
    assert {k.split(".")[0] for k in load(done.state)} == {"step", "rng", "value"}


def test_what_another_optimiser_keeps_is_saved_and_resumed(monkeypatch):
    monkeypatch.setattr(type(REGISTRY["lozo"]), "optimiser", lambda _, groups: torch.optim.SGD(groups, momentum=0.9))
    found = trainer()
    job = Job(configuration("lozo", found.backbone.shapes), 0, 6, 6, (3,), keep_state=True)
    (whole,) = found.run([job])
    (begun,) = found.run([replace(job, until=3, evaluation_steps=())])
    (resumed,) = found.run([replace(job, evaluation_steps=(), state=begun.state)])
    assert resumed.state == whole.state and any(k.startswith("momentum_buffer.") for k in load(whole.state))


def test_only_the_smallest_weights_of_a_tensor_are_moved():
    with session_of("sparse_mezo", sparsity=0.75) as session:
        head = session.trainer.backbone.shapes.head_modules
        parameters = session.run.parameters
        z = sparse_noise(session, parameters, 0.75, head)
        for name, parameter in parameters.items():
            moved, size = z[name] != 0, parameter.detach().abs()
            if is_head(name, head) or not size.any():
                assert moved.all()  # the head is dense, and so is a matrix of zeros
            else:
                assert moved.sum() == max(1, round(0.25 * size.numel())) and size[moved].max() <= size[~moved].min()


def test_directions_are_of_low_rank_and_share_v_for_an_interval():
    with session_of("lozo", "full", rank=2, interval=10) as session:
        drawn = []
        for session.run.step in (0, 9, 10):
            drawn.append(low_rank_noise(session, session.run.parameters, 2, 10))
        name = next(n for n, p in session.run.parameters.items() if p.ndim == 2 and min(p.shape) >= 8)
        first, same, other = (d[name] for d in drawn)
        assert torch.linalg.matrix_rank(first) == 2 and not torch.equal(first, same)
        assert torch.linalg.matrix_rank(torch.cat([first, same])) == 2  # one row space, that of V
        assert torch.linalg.matrix_rank(torch.cat([first, other])) == 4


def test_methods_that_read_gradients_between_steps_are_refused(monkeypatch):
    monkeypatch.setattr(type(get_method("lora")), "callback", lambda *_: None)
    for name in NAMES:
        assert "reads the gradients" in REGISTRY[name].refuses(("lora",), trainer().backbone.shapes)
