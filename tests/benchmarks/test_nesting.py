"""A nested run read at a rank is the LoRA of that rank; P is the paper's; reading changes nothing that was trained."""

import pytest
import torch
from nesting import NESTED, RANKS, Plan, Reading, best_rates, depths, nested, opened, scored_on_test, train
from nesting_tables import LARGEST, SEPARATE, tables
from tiny import tiny_backbone, tiny_task

from autopeft.proxy.trainer import Trainer


def test_p_is_the_sum_of_the_scales_of_the_ranks_that_hold_a_component():
    scales = {rank: 1 / rank**0.5 for rank in RANKS}  # alpha = 1
    for place in range(RANKS[-1]):
        expected = sum(scale for rank, scale in scales.items() if rank > place)
        assert nested()[place] * scales[RANKS[-1]] == pytest.approx(expected)


def test_depths_are_a_sixth_a_half_and_all_of_the_layers():
    assert depths(3) == [1, 2, 3] and depths(6) == [1, 3, 6] and depths(30) == [5, 15, 30]


@pytest.fixture(scope="module")
def trainer():
    return Trainer(tiny_backbone("bert"), tiny_task(), 4, packing=False)


@torch.no_grad()
@pytest.mark.parametrize(("rank", "depth"), [(1, 3), (4, 2), (16, 1)])
def test_a_nested_run_read_at_a_rank_and_depth_is_the_lora_of_them(trainer, rank, depth):
    rows = trainer.rows("validation", None)
    with opened(trainer, Plan("matryoshka", RANKS[-1], 3), 1e-3, 1, 1) as (session, gates):
        for parameter in session.parameters.values():
            parameter.normal_(std=0.1)
        values = {name: p.clone() for name, p in session.parameters.items()}
        gates.read(Reading(rank, depth, "scaled"))
        nested_logits, _ = session.logits("validation", rows)
    with opened(trainer, Plan("separate", rank, depth), 1e-3, 1, 1) as (session, _):
        for name, parameter in session.parameters.items():
            value = values[name]
            value = value[:rank] if "lora_A" in name else value
            value = value[:, :rank] * rank**0.5 if "lora_B" in name else value  # its scale is alpha / r
            parameter.copy_(value)
        logits, _ = session.logits("validation", rows)
    torch.testing.assert_close(nested_logits, logits)


@pytest.mark.parametrize("how", NESTED)
def test_a_nested_run_learns_and_is_read_everywhere(trainer, how):
    plan = Plan(how, RANKS[-1], 3)
    values, found, seconds = train(trainer, plan, 1e-3, 1, 6)
    assert {f"{'kept' if how == 'depths' else 'scaled'} {rank}/3" for rank in RANKS} <= set(found)
    assert len({loss for loss, _ in found.values()}) == len(found) and seconds > 0
    again = scored_on_test(trainer, plan, values, 1)  # the tiny task's splits are the same
    assert {k: v[0] for k, v in again.items()} == pytest.approx({k: v[0] for k, v in found.items()})


def test_each_way_of_reading_has_its_own_best_rate():
    runs = {
        "0.1": {"kept 1/3": (0.5, 0), "scaled 1/3": (0.7, 0)},
        "0.2": {"kept 1/3": (0.6, 0), "scaled 1/3": (0.6, 0)},
    }
    assert best_rates(runs | {"0.3": {}}) == {"kept": "0.1", "scaled": "0.2"}


def lines(how, way, losses):
    """A line per seed: the losses at ranks 1, 2 and 4 on three layers; scores are 1 - loss."""
    for seed in (1, 2):
        read = {f"{way} {rank}/3": (loss, 1 - loss) for rank, loss in losses.items()}
        runs = {"0.1": read}
        made = {"how": how, "rank": 4, "depth": 3, "seed": seed, "best": {way: "0.1"}, "seconds": [2.0]}
        yield {**made, "validation": runs, "test": runs, "data": "d", "model": "m", "steps": 8}


def test_an_order_turned_round_has_a_tau_of_minus_one_and_loses_the_range():
    truth = [
        line for rank, loss in ((1, 0.3), (2, 0.2), (4, 0.1)) for line in lines("separate", "scaled", {rank: loss})
    ]
    found = tables(truth + list(lines("sampled", "scaled", {1: 0.4, 2: 0.5, 4: 0.6})))
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in found.splitlines() if "|" in line}
    assert rows["sampled, scaled"][:2] == ["-1.00", "20.00"]
    assert rows[SEPARATE][:2] == rows[LARGEST][:2] == ["1.00", "0.00"]
    assert rows["4, 3"] == ["0.900, 0.900", "0.400, 0.400 (-50.0 ± 0.0) |"]
