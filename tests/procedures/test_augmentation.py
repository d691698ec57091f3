"""Mixup is the mixture of hidden states and losses; changed tokens keep a text's structure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from procedure_cases import configuration, opened, trainer
from torch.nn.functional import cross_entropy

from autopeft.procedures import REGISTRY
from autopeft.procedures.mechanisms.guard import Guard
from autopeft.procedures.mixup import entrance, mixed
from autopeft.procedures.token_augmentation import delete, special_tokens, swap
from autopeft.proxy.job import Job

ROWS = np.arange(8)


def test_one_share_is_plain_and_equal_halves_make_partners_equal():
    wanted = configuration("mixup", trainer().backbone.shapes, "lora", (1, 2))
    with opened(wanted) as session, torch.no_grad():
        plain = session.logits("train", ROWS)[0]
        partners = torch.arange(8).flip(0)
        common = torch.full((8,), 99)
        with mixed(entrance(session), 1.0, partners, common):
            assert torch.equal(session.logits("train", ROWS)[0], plain)
        same = np.array([0, 0, 0, 0])  # rows mixed with themselves
        with mixed(entrance(session), 0.6, partners[:4] - 4, common[:4]):
            torch.testing.assert_close(session.logits("train", same)[0], plain[:, [0, 0, 0, 0]], rtol=0, atol=1e-4)
        with mixed(entrance(session), 0.5, partners, torch.zeros(8)):  # no token in common
            assert torch.equal(session.logits("train", ROWS)[0], plain)
        with mixed(entrance(session), 0.5, partners, common):
            assert not torch.allclose(session.logits("train", ROWS)[0], plain)
        assert torch.equal(session.logits("train", ROWS)[0], plain)


def test_mixup_mixes_the_losses_of_both_labels():
    wanted = configuration("mixup", trainer().backbone.shapes, "lora", how={"alpha": 1.0})
    with opened(wanted) as session:
        seen = []
        logits = session.logits
        session.logits = lambda *a: seen.append(logits(*a)) or seen[-1]
        loss = session.procedure.gradients(session, ROWS, session.how)
        random = np.random.default_rng([0, 0])
        share = random.beta(1.0, 1.0)
        share, partners = max(share, 1 - share), random.permutation(8)
        (out, labels) = seen[0]
        by_hand = share * cross_entropy(out[0], labels) + (1 - share) * cross_entropy(out[0], labels[partners])
        assert loss.item() == pytest.approx(by_hand.item())


def test_mixup_needs_a_block_to_enter():
    assert "adapts no block" in REGISTRY["mixup"].refuses(("head_only",), trainer().backbone.shapes)


SPECIAL = np.array([1, 0, 0, 0, 1, 0, 0, 0, 0, 1], dtype=bool)  # [CLS] a b c [SEP] d e f g [SEP]


@pytest.mark.parametrize("seed", range(20))
def test_swapped_tokens_stay_in_their_text_and_special_ones_in_their_place(seed):
    order = swap(SPECIAL, 0.1, np.random.default_rng(seed))
    assert sorted(order) == list(range(10)) and (order != np.arange(10)).sum() == 2
    assert all(order[i] == i for i in np.flatnonzero(SPECIAL)) and set(order[1:4]) == {1, 2, 3}


def test_deleted_tokens_are_about_as_many_as_the_rate_and_never_all():
    random = np.random.default_rng(0)
    kept = [delete(SPECIAL, 0.2, random) for _ in range(500)]
    assert all(set(np.flatnonzero(SPECIAL)) < set(k) and list(k) == sorted(k) for k in kept)
    assert 1 - np.mean([len(k) - 3 for k in kept]) / 7 == pytest.approx(0.2, abs=0.03)
    assert len(delete(SPECIAL, 1.0, random)) == 4


def test_texts_without_tokens_of_their_own_stay():
    only = np.ones(2, dtype=bool)
    assert (
        list(swap(only, 0.5, np.random.default_rng(0))) == [0, 1] == list(delete(only, 0.5, np.random.default_rng(0)))
    )


@pytest.mark.parametrize("operation", ["swap", "delete"])
def test_the_model_sees_changed_tokens_in_training_only(operation):
    wanted = configuration(
        "token_augmentation", trainer().backbone.shapes, "lora", how={"operation": operation, "rate": 0.2}
    )
    assert special_tokens(trainer().backbone) == [1, 2, 3]
    with opened(wanted) as session:
        seen = []
        session.model.get_base_model().register_forward_pre_hook(
            lambda _, args, kwargs: seen.append((kwargs["input_ids"], kwargs["attention_mask"])), with_kwargs=True
        )
        session.procedure.gradients(session, ROWS, session.how)
        with torch.no_grad():
            session.logits("train", ROWS)
        (ids, mask), (own, own_mask) = seen
        changed = (ids != own).any(1)
        assert 0 < changed.sum() < 8 and ids.shape == own.shape
        lost = own_mask.sum(1) - mask.sum(1)
        assert (lost[~changed] == 0).all() and (operation == "delete" or (lost == 0).all())
        for row, length in enumerate(mask.sum(1).tolist()):
            assert (ids[row, length:] == 1).all() and ids[row, 0] == 2 and ids[row, length - 1] == 3
            assert set(ids[row, :length].tolist()) <= set(own[row].tolist())


GUARDED = ("mixup", "token_augmentation")


def guarded(name: str, session) -> Guard:
    return next(part for part in session.callbacks if isinstance(part, Guard))


@pytest.mark.parametrize("name", GUARDED)
def test_a_guard_ends_augmentation_when_validation_gets_worse(name, monkeypatch):
    """Losses that fall, then rise within chance, then clearly: augmented until then, plain to the end."""
    measured = iter([torch.ones(4), torch.full((4,), 0.5), torch.tensor([0.4, 0.7, 0.3, 0.7]), torch.ones(4)])
    monkeypatch.setattr(Guard, "losses", lambda self: next(measured))
    wanted = configuration(name, trainer().backbone.shapes, "lora", (1, 2))
    with opened(wanted, steps=16) as session:
        plainly, on = [], []
        losses = session.losses
        session.losses = lambda rows: plainly.append(session.run.step) or losses(rows)
        for _ in session.advance():
            on.append(bool(guarded(name, session).on))
    assert on == [True] * 6 + [False] * 10  # the fourth check comes in the seventh step, after six
    if name == "mixup":  # which takes its losses itself
        assert plainly == list(range(7, 16))


def test_a_guard_looks_at_fixed_shares_of_a_run_and_leaves_everything_as_it_was():
    wanted = configuration("mixup", trainer().backbone.shapes, "lora", (1, 2))
    with opened(wanted, steps=24) as session:
        guard, looked = guarded("mixup", session), []
        own = guard.losses
        guard.losses = lambda: looked.append(session.run.step) or own()
        guard.on = torch.tensor(True)
        for _ in session.advance():
            guard.on.fill_(True)
        assert looked == list(range(0, 24, 3))
        state = torch.get_rng_state()
        losses = own()
        assert torch.equal(torch.get_rng_state(), state) and losses.shape == (24,)
        assert losses.mean().item() == pytest.approx(session.evaluate("validation", None)[0][0], rel=1e-5)


def test_a_run_whose_guard_has_spoken_goes_on_as_if_it_had_never_stopped(monkeypatch):
    falling = Guard.losses
    monkeypatch.setattr(Guard, "losses", lambda self: falling(self) + (10 if self.session.run.step >= 6 else 0))
    wanted = configuration("token_augmentation", trainer().backbone.shapes, "lora")
    job = Job(wanted, 1, 16, 16, keep_state=True)
    (whole,) = trainer().run([job])
    state = None
    for until in (5, 9, 16):
        (done,) = trainer().run([replace(job, until=until, state=state)])
        state = done.state
    assert state == whole.state
    monkeypatch.setattr(Guard, "losses", falling)
    (unguarded,) = trainer().run([job])
    assert unguarded.state != whole.state
