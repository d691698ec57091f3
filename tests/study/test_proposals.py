"""What a study tries next: near its front, within its limits, never twice."""

import pytest
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.space import build_space, load_space
from autopeft.study.candidates import parts
from autopeft.study.proposals import MOST, Proposals
from autopeft.study.records import TrialRecord
from autopeft.surrogate.gain_model import GainModel, placed

SHAPES = bert_shapes(layers=6, hidden=384)
BUDGET = 50_000
SPACE = build_space("default", load_space("default"), SHAPES, Limits.of_budget(SHAPES, BUDGET))


def lora(rank, layers=6):
    settings = {"rank": rank, "target_modules": "query+value", "rslora": False}
    return Configuration.of("lora", settings, range(6 - layers, 6), 1e-3)


SCALES = Configuration.of("ia3", {"target_modules": "key+value+ffn_out"}, range(6), 1e-3)


def trial(number, configuration, score, state="complete"):
    steps = (10, 40) if state == "complete" else (10,)
    curve = Curve(0, steps, (1.0,) * len(steps), (1 - score,) * len(steps), (score,) * len(steps), 1.0, 1)
    size = count(configuration, SHAPES)
    return TrialRecord(
        number, state, configuration, size, curve if state != "running" else None, None, {"parameters": size}
    )


TRIALS = [
    trial(0, SCALES, 0.80),
    trial(1, lora(4), 0.79),
    trial(2, lora(1), 0.70),
    trial(3, lora(2), 0.75),
    trial(4, lora(2, 3), 0.60, "pruned"),
    trial(5, lora(1, 3), 0.0, "running"),
]


@pytest.fixture(scope="module")
def model():
    from dataclasses import replace

    known = [(lora(1), 0.4), (lora(4), 0.9), (SCALES, 0.8)]
    return GainModel(tuple(replace(placed(c, SHAPES), gain=g, task=t) for t in range(3) for c, g in known)).fitted()


def proposals(model, objectives="parameters,metric"):
    return Proposals(SPACE, Objectives.of(objectives, "accuracy"), model)


def test_what_is_proposed_is_new_within_the_limits_and_the_same_for_a_seed(model):
    tried, found = {parts(t.configuration) for t in TRIALS}, []
    for seed in range(4):
        made = proposals(model).next(TRIALS, [lora(1)], seed, 3)
        assert len({parts(c) for c in made} - tried) == 3 and all(0 < count(c, SHAPES) <= BUDGET for c in made)
        found.append(made)
    assert proposals(model).next(TRIALS, [lora(1)], 3, 3) == found[3]
    assert proposals(model).next(TRIALS, [lora(1)], 3) == found[3][:1]


def test_nothing_is_proposed_while_too_little_is_known_or_for_other_objectives(model):
    assert proposals(model).next(TRIALS[:3], [], 0) == []
    assert proposals(model, "train-flops,metric").next(TRIALS, [], 0) == []


def test_of_a_long_study_the_model_is_told_the_latest_and_the_front(model):
    """A process of all trials would take longer than a training."""
    long = [trial(0, SCALES, 0.99), *(trial(n, lora(4), 0.5) for n in range(1, MOST + 50))]
    told = [t.number for t, _ in proposals(model)._scored(long)]
    assert told == [0, *range(50, MOST + 50)] and len(proposals(model)._scored(long[:MOST])) == MOST
