"""Entries that change while a run trains: ages, moments, growth, unmasking, and runs that are resumed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import tiny_backbone
from torch import nn

from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.methods.id3 import Unmasking, unmasked
from autopeft.methods.lift import Refresh
from autopeft.methods.mechanisms.reselection import Reselection
from autopeft.methods.spiel import WINDOW, AccumulatedGradients, MomentumApproximation
from autopeft.methods.tuners.sparse import SparseConfig, SparseLayer
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

RATE = 0.1


class Steps:
    """A run of one sparse layer under a Callback, on given dense gradients (6, 4)."""

    def __init__(self, kind, k: int, settings=None, steps: int = 100):
        torch.manual_seed(0)
        self.layer = SparseLayer(nn.Linear(4, 6).requires_grad_(False), "default", SparseConfig(density=k / 24))
        self.values, self.indices = self.layer.sparse_values["default"], self.layer.sparse_indices["default"]
        self.optimiser = torch.optim.AdamW([self.values], lr=RATE, weight_decay=0.0)
        session = SimpleNamespace(model=nn.Sequential(self.layer), optimiser=self.optimiser, steps=steps)
        self.callback = kind(session, settings or {})
        self.entries, self.done = self.callback.entries[0], 0
        self.clipped = 1.0  # by how much clipping shortens the gradients

    def step(self, gradient: torch.Tensor) -> None:
        """A loss whose gradient with respect to the weight is this one."""
        self.callback.before_forward(self.done)
        (self.layer(torch.eye(4)).T * gradient).sum().backward()
        self.callback.before_update(self.done)
        self.values.grad.mul_(self.clipped)
        self.optimiser.step()
        self.callback.after_update(self.done)
        self.optimiser.zero_grad()
        self.done += 1


def gradients(number: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return list(torch.randn(number, 6, 4, generator=generator))


def adamw(given: list[torch.Tensor]) -> tuple[torch.Tensor, dict]:
    """Where AdamW comes to from zero on these gradients, and its state."""
    value = nn.Parameter(torch.zeros(given[0].shape))
    optimiser = torch.optim.AdamW([value], lr=RATE, weight_decay=0.0)
    for gradient in given:
        value.grad = gradient.clone()
        optimiser.step()
    return value.detach(), optimiser.state[value]


def test_each_entry_trains_as_if_the_run_had_begun_with_it():
    run, given = Steps(Reselection, 3), gradients(8)
    for number, gradient in enumerate(given):
        if number == 5:
            run.entries.replace(torch.tensor([1]), torch.tensor([23]))
        run.step(gradient)
    first = run.indices[0].long()
    torch.testing.assert_close(run.values[0], adamw([g.flatten()[first] for g in given])[0])
    torch.testing.assert_close(run.values[1], adamw([g.flatten()[23] for g in given[5:]])[0])
    assert run.entries.age.tolist() == [8, 3, 8]


def test_stale_moments_move_nothing():
    """After an exchange two steps without gradient: neither the entry that left nor the one that came moves."""
    run = Steps(Reselection, 3)
    for gradient in gradients(4):
        run.step(gradient)
    left = int(run.indices[1])
    run.entries.replace(torch.tensor([1]), torch.tensor([23]))
    for _ in range(2):
        run.step(torch.zeros(6, 4))
    delta = run.layer.get_delta("default").flatten()
    assert delta[left] == 0 and delta[23] == 0 and run.values[0] != 0


def test_a_move_keeps_what_stays():
    run = Steps(Reselection, 3)
    for gradient in gradients(3):
        run.step(gradient)
    kept, value = run.indices[2].clone(), run.values[2].item()
    moments = [m[2].item() for m in run.entries.moments]
    run.entries.move(torch.tensor([1, 2, int(kept)]))
    assert sorted(run.indices.tolist()) == sorted([1, 2, int(kept)]) and run.indices[2] == kept
    assert run.values.tolist() == [0, 0, value] and run.entries.age.tolist() == [0, 0, 3]
    assert [m.tolist() for m in run.entries.moments] == [[0, 0, m] for m in moments]


def test_ag_grows_the_largest_accumulated_gradients_with_their_moments():
    """The first window begins the run, and after it every entry is replaced by the best candidates."""
    run, given = Steps(AccumulatedGradients, 3, {"reselect_every": 8}), gradients(WINDOW)
    before, run.clipped = set(run.indices.tolist()), 0.5
    given[0].flatten()[list(before)] *= 1e-3  # none of the random entries is a candidate
    for gradient in given:
        run.step(gradient)
    candidates = given[0].flatten().abs().topk(3).indices
    run.callback.before_forward(WINDOW)
    assert set(run.indices.tolist()) == set(candidates.tolist()) and not set(run.indices.tolist()) & before
    _, state = adamw([0.5 * g.flatten()[run.indices.long()] for g in given])
    assert run.values.eq(0).all() and run.entries.age.eq(WINDOW).all()
    for mine, theirs in zip(run.entries.moments, (state["exp_avg"], state["exp_avg_sq"])):
        torch.testing.assert_close(mine, theirs)


def test_an_entry_that_is_among_the_best_stays_as_it_is():
    run, given = Steps(AccumulatedGradients, 3, {"reselect_every": 8}), gradients(WINDOW)
    stays = int(run.indices[1])
    for gradient in given:
        gradient.flatten()[stays] = 9.0
        run.step(gradient)
    value, moments = run.values[1].item(), [m[1].item() for m in run.entries.moments]
    run.callback.before_forward(WINDOW)
    assert run.indices[1] == stays and run.values[1] == value != 0 and run.indices.unique().numel() == 3
    assert [m[1].item() for m in run.entries.moments] == moments and run.values[[0, 2]].eq(0).all()


@pytest.mark.parametrize("kind", [AccumulatedGradients, MomentumApproximation])
def test_entries_are_replaced_after_each_window(kind):
    """All of them after step 5 of a run, a falling share every so many steps after that, and none in between."""
    run, replaced = Steps(kind, 10, {"reselect_every": 8}, steps=64), {}
    for gradient in gradients(24):
        before = run.indices.clone()
        run.step(gradient)
        gone = int((~torch.isin(before, run.indices)).sum())
        replaced |= {run.done - 1: gone} if gone else {}
    assert list(replaced) == [5, 13, 21] and replaced[13] == replaced[21] == 1  # 0.2 (1 - 13 / 64) of 10
    assert replaced[5] >= 5  # of ten of 24 entries at random some are the best


@pytest.mark.parametrize("steps, first", [(1000, 5), (64, 5), (24, 3), (4, 1)])
def test_short_runs_have_a_shorter_window(steps, first):
    """So that a rung at a quarter of the run never scores the random entries."""
    run = Steps(AccumulatedGradients, 3, {"reselect_every": 40}, steps=steps)
    for gradient in gradients(first):
        run.step(gradient)
        assert run.entries.age.max() == run.done
    before = run.indices.clone()
    run.step(gradients(1)[0])
    assert not torch.equal(before, run.indices) and first <= max(1, steps // 8)


def test_later_exchanges_drop_the_smallest_values():
    run = Steps(AccumulatedGradients, 10, {"reselect_every": 8}, steps=1000)
    for gradient in gradients(13):
        run.step(gradient)
    smallest = run.values.detach().abs().topk(1, largest=False).indices  # 0.2 (1 - 13 / 1000) of 10, rounded down
    indices = run.indices.clone()
    run.callback.before_forward(13)
    assert set((run.indices != indices).nonzero().flatten().tolist()) == set(smallest.tolist())
    assert run.indices.unique().numel() == 10


def test_ma_grows_where_rows_and_columns_have_moved():
    run = Steps(MomentumApproximation, 2, {"reselect_every": 8})
    run.indices.copy_(torch.tensor([0 * 4 + 1, 5 * 4 + 2]))  # (0, 1) and (5, 2)
    gradient = torch.zeros(6, 4)
    gradient[0, 1], gradient[5, 2] = 2.0, 3.0
    for _ in range(WINDOW):
        run.step(gradient)
    assert run.entries.rows.tolist() == [WINDOW * 4, 0, 0, 0, 0, WINDOW * 9]
    assert run.entries.columns.tolist() == [0, WINDOW * 4, WINDOW * 9, 0]
    run.callback.before_forward(WINDOW)
    assert set(run.indices.tolist()) == {0 * 4 + 2, 5 * 4 + 1}  # the two products that are not trained yet


def test_id3_spreads_the_budget_over_the_steps():
    assert [unmasked(s, 7, 3) for s in (1, 2, 3)] == [3, 5, 7]
    assert [unmasked(s, 2, 4) for s in (1, 2, 3, 4)] == [1, 2, 2, 2]


def test_id3_unmasks_the_highest_scores_and_nothing_else_moves():
    run, given = Steps(Unmasking, 6, {"exponent": 1.0}, steps=3), gradients(3)
    weight, chosen = run.layer.get_base_layer().weight.flatten().abs() + 1e-3, []
    for gradient in given:
        score = gradient.flatten().abs() / weight
        score[chosen] = -1
        chosen += score.topk(2).indices.sort().values.tolist()
        run.step(gradient)
        assert run.indices[: len(chosen)].tolist() == chosen
        assert run.values[: len(chosen)].ne(0).all() and run.values[len(chosen) :].eq(0).all()
    assert len(set(chosen)) == 6 == run.layer.get_delta("default").ne(0).sum()


def test_id3_steps_as_one_adamw_over_the_whole_matrix():
    """As in the authors' code: gradients outside the growing mask are zero, and one count of steps corrects them all."""
    run, given = Steps(Unmasking, 8, {"exponent": 0.0}, steps=4), gradients(4)
    whole, mask = nn.Parameter(torch.zeros(24)), torch.zeros(24, dtype=torch.bool)
    optimiser = torch.optim.AdamW([whole], lr=RATE, weight_decay=0.0)
    for gradient in given:
        run.step(gradient)
        mask[gradient.flatten().abs().masked_fill(mask, -1.0).topk(2).indices] = True
        whole.grad = gradient.flatten() * mask
        optimiser.step()
    torch.testing.assert_close(run.layer.get_delta("default").flatten(), whole.detach())


def test_lift_refresh_follows_the_weights():
    run = Steps(Refresh, 3, {"refresh": 2, "filter_rank": 1})
    for gradient in gradients(2):
        run.step(gradient)
    with torch.no_grad():
        run.values[0] = 100.0  # an entry this large is principal
    stays = int(run.indices[0])
    run.callback.before_forward(2)
    assert run.indices[0] == stays and run.values[0] == 100 and run.indices.unique().numel() == 3


def tokens(rows: int, seed: int) -> TokenisedSplit:
    generator = np.random.default_rng(seed)
    ids = tuple(generator.integers(2, 90, 8).astype(np.int32) for _ in range(rows))
    return TokenisedSplit(ids, None, generator.integers(0, 3, rows), np.full(rows, 8))


@pytest.fixture(scope="module")
def trainer():
    task = Task("tiny", ("a", "b", "c"), "accuracy", *[Split((), ())] * 3)
    return Trainer(tiny_backbone("bert"), TokenisedTask(tokens(32, 0), tokens(8, 1), tokens(8, 2), 1, task), 8)


@pytest.mark.parametrize(
    "method, settings",
    [
        ("spiel", {"growth": "ag", "reselect_every": 8}),
        ("spiel", {"growth": "ma", "reselect_every": 8}),
        ("id3", {"exponent": 1.0}),
        ("lift", {"refresh": 5, "filter_rank": 8}),
    ],
)
def test_resumed_is_bit_equal_to_in_one_piece(trainer, method, settings):
    chosen = {**get_method(method).defaults, "density": 0.02, **settings}
    job = Job(Configuration.of(method, chosen, (1, 2), 1e-2), 0, 20, 20, (1, 9), keep_state=True)
    (whole,) = trainer.run([job])
    state = None
    for until in (1, 9, 20):  # in the middle of windows of two steps
        (done,) = trainer.run([replace(job, until=until, evaluation_steps=(), state=state)])
        state = done.state
    assert state == whole.state
    assert not trainer.packing_pays([job, replace(job, configuration=replace(job.configuration, learning_rate=1e-3))])
