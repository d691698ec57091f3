"""What is timed as a step is the step that is taken: the procedure's own gradients, with the callbacks before them."""

import torch
from procedure_cases import configuration, opened, trainer

from autopeft.proxy.timing import TIMED, fastest


def test_a_timed_step_is_the_procedures_own(monkeypatch):
    with opened(configuration("lozo", trainer().backbone.shapes)) as session:
        graphs, losses = [], session.losses
        monkeypatch.setattr(session, "losses", lambda rows: graphs.append(torch.is_grad_enabled()) or losses(rows))
        assert session.seconds_per_step() > 0
        assert graphs == [False] * 2 * (TIMED + 1)  # two forward passes a step, and no graph
        assert all(p.grad is None for p in session.parameters.values())


def test_callbacks_act_before_a_timed_step_and_nothing_is_learnt():
    with opened(configuration("lisa", trainer().backbone.shapes, "lora", how={"gamma": 1, "interval": 5})) as session:
        before = {name: p.detach().clone() for name, p in session.parameters.items()}
        session.seconds_per_step()
        resting = [name for name, p in session.parameters.items() if not p.requires_grad]
        assert resting and session.step == 0  # LISA has drawn one block; the others' backward pass is not timed
        assert all(torch.equal(p, before[name]) for name, p in session.parameters.items())


def test_the_first_step_warms_up_and_the_fastest_of_the_others_counts(monkeypatch):
    ends = iter([0.0, 9.0, 9.0, 12.0, 12.0, 14.0])
    monkeypatch.setattr("autopeft.proxy.timing.time.perf_counter", lambda: next(ends))
    assert fastest(lambda: None, torch.nn.Linear(1, 1)) == 2.0
