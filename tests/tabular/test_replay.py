"""Searches over a table."""

import json
from dataclasses import replace

import numpy as np
import optuna
import pytest
from made_up_benchmarks import made_up_table
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.importance.scores import LayerScores
from autopeft.procedures import get_procedure
from autopeft.proxy.curve import Curve
from autopeft.space import SpaceFile, build_space, load_space
from autopeft.study.sampler import BudgetedSampler
from autopeft.tabular.benchmark import COLUMNS, TruthTable, lines_of
from autopeft.tabular.contest import arm_rows, arms_of, contest, figure, pair_rows
from autopeft.tabular.halving import chosen_front
from autopeft.tabular.nearest import Rows, follow
from autopeft.tabular.replay import Arm, Course, Replay, propose, tell
from autopeft.tabular.sample import spread_sample

SCORES = LayerScores("trace", (0.1, 0.3, 0.2), 1)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> TruthTable:
    return made_up_table(tmp_path_factory.mktemp("tables"))


@pytest.mark.parametrize("name", ["default", "autopeft", "lora"])
@pytest.mark.parametrize("scores", [None, SCORES])
def test_every_configuration_of_a_space_can_be_followed(name, scores):
    sampled = build_space(name, load_space(name), bert_shapes(), 4000)
    space = build_space(name, load_space(name), bert_shapes(), 4000, scores)
    for configuration in spread_sample(sampled, 40):
        followed = follow(space, configuration)
        assert followed.parameters.keys() == followed.distributions.keys()
        assert all(d._contains(d.to_internal_repr(followed.parameters[n])) for n, d in followed.distributions.items())


def test_a_configuration_of_another_space_is_refused():
    space = build_space("lora", load_space("lora"), bert_shapes())
    with pytest.raises(AutopeftError, match="not in space 'lora'"):
        follow(space, Configuration.of("ia3", {}, (0,), 1e-3))


def lora(rank: int, layers=(0, 1, 2), rate: float = 1e-3) -> Configuration:
    return Configuration.of("lora", {"rank": rank, "rslora": False, "target_modules": "ffn"}, layers, rate)


def test_the_nearest_row_is_of_the_same_method_and_not_tried():
    space = build_space("default", load_space("default"), bert_shapes())
    near, far, other = lora(4), lora(8, (2,)), Configuration.of("bitfit", {}, (0, 1, 2), 1e-3)
    rows = Rows(space, [far, near, other])
    assert rows.nearest(lora(4), set()) == 1
    assert rows.nearest(lora(4, rate=2e-3), {1}) == 0
    assert rows.nearest(lora(4), {0, 1}) is None
    assert {"lora", "ia3"} <= rows.used_up({0, 1}) and "bitfit" not in rows.used_up({0, 1})


PROCEDURES = {"lisa": {"gamma": [1, 2], "interval": [5, 20]}, "lozo": {}}


def test_a_table_holds_how_its_runs_are_trained(tmp_path):
    """Written, read again, found by their key; of two rows the one that is trained as proposed is nearer."""
    file = SpaceFile(methods={"lora": {}, "head_only": {}}, procedures=PROCEDURES)
    space = build_space("mine", file, bert_shapes())
    sample = spread_sample(space, 30)
    assert {c.procedure for c in sample} == {"plain", "lisa", "lozo"}
    curve = Curve(0, (4, 8), (1.0, 0.9), (1.0, 0.9), (0.5, 0.6), 1.0, 1, 0.9, 0.6)
    text = "".join(lines_of(c, 1, curve) for c in sample)
    (tmp_path / "t.csv").write_text(",".join(COLUMNS) + "\n" + text)
    (tmp_path / "t.json").write_text("{}")
    read = TruthTable.read(tmp_path / "t.csv").configurations()
    assert list(read.values()) == sample and list(read) == [c.key for c in sample]

    plain = lora(4)
    ways = [replace(plain, procedure="lisa", procedure_settings=(("gamma", g), ("interval", 5))) for g in (1, 2)]
    factor = get_procedure("lozo").learning_rate_factor
    lozo = replace(
        plain,
        learning_rate=1e-3 * factor,
        procedure="lozo",
        procedure_settings=tuple(sorted(get_procedure("lozo").defaults.items())),
    )
    rows = Rows(space, [lora(8), *ways, lozo])
    assert [rows.nearest(c, set()) for c in (plain, *ways, lozo)] == [0, 1, 2, 3]


def test_a_study_is_told_the_rows_own_parameters_and_values(table):
    replayed = Replay(table)
    rows, study = replayed.rows("none"), optuna.create_study(directions=["minimize", "maximize"])
    row, notes = propose(study, rows, "nsga2", 0, set(), [])
    tell(study, rows, row, notes, [1.0, 0.5])
    told = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(told) == 1 and told[0].params == rows.followed[row].parameters and told[0].values == [1.0, 0.5]
    assert any("generation" in k for k in told[0].system_attrs), "a genetic sampler finds its parents by this"


@pytest.mark.parametrize("sampler", ["tpe", "tpe-multivariate", "tpe-group", "nsga2", "random"])
def test_every_sampler_finds_the_whole_table_in_the_end(table, sampler):
    size = len(table.configurations())
    course = Replay(table).search(Arm(sampler), 0, size + 5)
    assert len(course.share) == size and course.share[-1] == pytest.approx(1) == course.reported
    assert (np.diff(course.share) >= 0).all() and course.cost[-1] == pytest.approx(size)


def test_a_search_is_repeatable(table):
    one, other = (Replay(table).search(Arm("tpe", "trace"), 3, 20) for _ in range(2))
    assert (one.share == other.share).all()


def test_rungs_cost_less_and_pruned_trials_are_told(table, monkeypatch):
    told = []
    monkeypatch.setattr("autopeft.tabular.replay.tell", lambda *a: (told.append(a[-1]), tell(*a)))
    course = Replay(table).search(Arm("tpe", rungs="1/8,1/2,1"), 0, 36)
    assert course.cost[-1] < 30 and course.cost[0] == course.cost[8] < 9
    assert 0 < sum(v is None for v in told) < len(told) == 36


def test_a_transfer_begins_with_the_other_tables_front(table):
    replayed = Replay(table, transfer=table)
    front = chosen_front(replayed.runs, np.arange(len(replayed.configurations)))
    plain, helped = (replayed.search(Arm("tpe", transfer=t), 0, len(front)) for t in (False, True))
    assert helped.share[-1] == pytest.approx(1) and plain.share[-1] < 0.99


def test_a_transfer_from_another_space_and_unknown_scores_are_refused(table, tmp_path):
    other = made_up_table(tmp_path, "other")
    other.path.with_suffix(".json").write_text(json.dumps({**other.about, "spec": {"space": "lora"}}))
    with pytest.raises(AutopeftError, match="another space"):
        Replay(table, transfer=TruthTable.read(other.path))
    with pytest.raises(AutopeftError, match="no layer scores 'gradient'"):
        Replay(table).rows("gradient")


def test_courses_are_compared_seed_by_seed():
    slow = Course(np.array([1.0, 2, 3, 4]), np.array([0.1, 0.2, 0.5, 1.0]), 1.0)
    fast = Course(np.array([0.5, 1, 1.5, 2]), np.array([0.1, 1.0, 1.0, 1.0]), 1.0)
    courses = {Arm("tpe"): [slow, slow], Arm("tpe", rungs="1/2,1"): [fast, fast]}
    (pair,) = pair_rows(courses)
    assert (pair["share"], pair["trials"], pair["arrived"]) == (0, -2, 1)
    assert pair["equal_cost"] == pytest.approx(0.8) and pair["equal_cost_is"] == "more"
    row = arm_rows(courses)[0]
    assert row["at_4"] == 1 and row["trials_to_98"] == 4 and row["reached_98"] == 1


def test_every_combination_is_an_arm_and_a_figure_has_a_band_each(table):
    arms = arms_of(["random"], ["none", "trace"], ["none"], transfer=False)
    assert [str(a) for a in arms] == ["random", "random + trace prior"]
    assert len(arms_of(["random", "tpe"], ["none"], ["none", "1/8,1"], transfer=True)) == 8
    assert len(figure(contest(Replay(table), arms, 2, 12)).data) == 6


def test_the_new_samplers_are_there():
    assert BudgetedSampler("tpe-group", 0) and BudgetedSampler("tpe-multivariate", 0)
