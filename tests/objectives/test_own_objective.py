"""A user's own objective, named by where it is imported from."""

import pytest
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.objectives import Counted, Limits, Objectives, get_objective
from autopeft.objectives.limits import parse_limit
from autopeft.proxy.job import Job
from autopeft.proxy.measuring import measure

LORA = Configuration.of("lora", {"rank": 2, "target_modules": "query+value", "rslora": False}, (0, 2), 1e-3)
SOURCE = """
from autopeft.objectives import Counted, Measured, Scored

def adapted_layers(configuration, setting):
    return len(configuration.layers)

FREE = Counted("free-layers", "layers left alone", "maximize", unit="layers",
               count=lambda configuration, setting: setting.shapes.num_layers - len(configuration.layers))
HEAT = Measured("heat", "heat", measure=lambda probe: 36.6)
SURPRISE = Scored("surprise", "surprise", reads="loss")
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "own_objectives.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_counted_and_minimised():
    found = get_objective("own_objectives:adapted_layers")
    limits = Limits.of_budget(bert_shapes())
    assert isinstance(found, Counted) and found.direction == "minimize" and found.title == "adapted layers"
    chosen = Objectives.of("own_objectives:adapted_layers,accuracy", "accuracy")
    assert chosen.count(LORA, limits) == {"own_objectives:adapted_layers": 2.0}


def test_an_objective_keeps_its_direction_and_unit():
    found = get_objective("own_objectives:FREE")
    assert (found.direction, found.unit, found.title) == ("maximize", "layers", "layers left alone")
    assert found.count(LORA, Limits.of_budget(bert_shapes()).setting) == 1 and found.cost(1) == -1
    assert found.words(1) == "1 layers"


@pytest.mark.parametrize("attribute", ["adapted_layers", "FREE", "HEAT", "SURPRISE"])
def test_it_is_found_again_by_the_name_that_it_carries(attribute):
    """A worker is sent names, and a report reads names: an Objective's own name led nowhere."""
    asked = f"own_objectives:{attribute}"
    assert get_objective(asked).name == asked and get_objective(get_objective(asked).name) == get_objective(asked)


def test_a_measured_one_is_measured():
    class Trainer:
        uniform_lora = LORA

    names = tuple(o.name for o in Objectives.of("own_objectives:HEAT,accuracy", "accuracy").measured)
    assert measure(Trainer(), Job(LORA, 0, 1, 1, measure=names)) == {"own_objectives:HEAT": 36.6}


def test_a_scored_one_is_the_quality():
    assert Objectives.of("parameters,own_objectives:SURPRISE", "accuracy").quality.reads == "loss"


def test_it_can_be_a_limit():
    limits = Limits.of_budget(bert_shapes())
    limit = parse_limit("own_objectives:adapted_layers=1", limits.setting)
    assert not Limits((limit,), limits.setting).meet(LORA)


@pytest.mark.parametrize("name", ["own_objectives:nothing", "nowhere_at_all:x", ":x", "own_objectives:"])
def test_what_cannot_be_imported_is_one_sentence(name):
    with pytest.raises(AutopeftError, match="cannot be imported") as raised:
        get_objective(name)
    assert "\n" not in str(raised.value)
