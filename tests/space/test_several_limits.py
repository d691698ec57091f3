"""Two and three limits at once: nothing over any of them is sampled, and what nothing meets is said."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sizes import bert_shapes

import autopeft
from autopeft.base.errors import AutopeftError
from autopeft.costs.step import Step
from autopeft.objectives import Counted, Limit, Limits, Setting, get_objective
from autopeft.space import SpaceFile, build_space, default_configurations, load_space
from autopeft.uniform_lora import uniform_lora

SHAPES = replace(bert_shapes(), num_heads=4, vocab_size=100)
SETTING = Setting(SHAPES, Step(8, 16), uniform_lora(SHAPES, 1500))
BUNDLED = sorted(p.stem for p in (Path(autopeft.__file__).parents[1] / "search_spaces").glob("*.yaml"))
TWO = ("train-memory", "train-flops")
THREE = (*TWO, "parameters")


class Dice:
    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def suggest_categorical(self, name, choices, allowed, weights=None):
        return self.random.choice(allowed)

    def suggest_float(self, name, low, high):
        return low


def limited(**most: float) -> Limits:
    found = (Limit(get_objective(n.replace("_", "-")), x) for n, x in most.items())
    return Limits(tuple(found), SETTING)


def tight(name: str, names: tuple[str, ...], seeds: int = 40) -> Limits:
    """Limits that about half of a space exceeds each, and that one sampled configuration meets."""
    space = build_space(name, load_space(name), SHAPES)
    sampled = [space.sample(Dice(seed)) for seed in range(seeds)]
    sampled = [c for c in sampled if c.method != "head_only"]
    values = np.array([[get_objective(n).count(c, SETTING) for n in names] for c in sampled])
    middle = np.median(values, axis=0)
    met = values[np.argmin((values / middle).max(axis=1))]
    return limited(**{n.replace("-", "_"): x for n, x in zip(names, np.maximum(middle, met))})


@pytest.mark.parametrize("names", [TWO, THREE])
@pytest.mark.parametrize("name", BUNDLED)
def test_nothing_that_is_sampled_exceeds_any_limit(name, names):
    limits = tight(name, names)
    space = build_space(name, load_space(name), SHAPES, limits)
    for seed in range(40):
        assert limits.exceeded(space.sample(Dice(seed))) is None
    for configuration in default_configurations(space):
        assert limits.exceeded(configuration) is None


def test_a_limit_that_nothing_meets_names_the_smallest():
    space = build_space("lora", load_space("lora"), SHAPES, limited(parameters=1500, train_memory=1000))
    with pytest.raises(AutopeftError, match=r"limit of 1 kB on train-memory .*the smallest is lora with .* kB"):
        space.affordable()


def test_two_limits_that_nothing_meets_together_say_so():
    """Parameters, and an objective that falls with them, cannot both be small."""
    file = SpaceFile(
        methods={"lora": {"rank": [1, 8], "target_modules": ["query+value"], "rslora": [False]}}, layers="all"
    )
    parameters = get_objective("parameters")
    thrift = replace(parameters, name="thrift", count=lambda c, s: 1e6 / parameters.count(c, s))
    free = build_space("mine", file, SHAPES)
    values = [parameters.count(free.sample(Dice(seed)), SETTING) for seed in range(60)]
    limits = Limits((Limit(parameters, min(values)), Limit(thrift, 1e6 / max(values))), SETTING)
    with pytest.raises(AutopeftError, match="parameters and thrift together, though each alone is met"):
        build_space("mine", file, SHAPES, limits).affordable()


@pytest.mark.parametrize(
    "factor, sampled", [(1.0, {"plain"}), (1.1, {"plain", "lozo"}), (2.1, {"plain", "lozo", "pace"})]
)
def test_a_procedure_that_would_exceed_a_limit_is_not_sampled(factor, sampled):
    """Two forward passes of LOZO cost a little more FLOPs than plain training, PACE twice as many."""
    lora = {"rank": [2], "target_modules": ["ffn"], "rslora": [False]}
    how = {"pace": {"variant": ["exact"], "sigma": [0.5], "weight": [1.0]}, "lozo": {}}
    file = SpaceFile(methods={"lora": lora}, procedures=how, layers="all")
    made = build_space("mine", file, SHAPES).sample(Dice(0))
    plain = get_objective("train-flops").count(replace(made, procedure="plain", procedure_settings=()), SETTING)
    limits = limited(train_flops=factor * plain, parameters=1e6)
    space = build_space("mine", file, SHAPES, limits)
    found = [space.sample(Dice(seed)) for seed in range(60)]
    assert all(limits.meet(c) for c in found) and {c.procedure for c in found} == sampled


def test_a_procedure_is_limited_with_every_setting_that_it_may_be_given():
    file = load_space("all")
    procedures = {n: {k: list(v) for k, v in file.procedures[n].items()} for n in file.procedures}
    methods = {"lora": {"rank": [2], "target_modules": ["ffn"], "rslora": [False]}, "full": {}}
    space_file = SpaceFile(methods=methods, procedures=procedures)
    free = build_space("mine", space_file, SHAPES)
    for name in TWO:
        objective = get_objective(name)
        values = [objective.count(free.sample(Dice(seed)), SETTING) for seed in range(200)]
        for share in (0.3, 0.5, 0.7):
            limits = limited(**{name.replace("-", "_"): float(np.quantile(values, share))})
            space = build_space("mine", space_file, SHAPES, limits)
            assert all(limits.meet(space.sample(Dice(seed))) for seed in range(150))


def test_a_dearer_setting_of_a_procedure_is_not_sampled_over_a_limit():
    """The procedure's defaults stood for all its settings: with an objective that reads them, dearer ones were sampled."""
    choices = {"keep": [0.5, 0.7, 0.9], "from_depth": [0.25, 0.5]}
    lora = {"rank": [2], "target_modules": ["ffn"], "rslora": [False]}
    file = SpaceFile(methods={"lora": lora}, procedures={"token_elimination": choices})
    read = Counted("read", "what the settings come to", count=lambda c, s: sum(dict(c.procedure_settings).values()))
    for most, kept in ((0.8, {(0.5, 0.25)}), (1.0, {(0.5, 0.25), (0.5, 0.5), (0.7, 0.25)}), (0.5, set())):
        limits = Limits((Limit(read, most), Limit(get_objective("parameters"), 1e6)), SETTING)
        space = build_space("mine", file, SHAPES, limits)
        sampled = [space.sample(Dice(seed)) for seed in range(120)]
        assert all(limits.meet(c) for c in sampled)
        how = [dict(c.procedure_settings) for c in sampled if c.procedure != "plain"]
        assert {(h["keep"], h["from_depth"]) for h in how} == kept
