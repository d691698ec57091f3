"""Searches over a tabular benchmark."""

import json
from dataclasses import replace

import numpy as np
import optuna
import pytest
from made_up_benchmarks import made_up_benchmark
from sizes import bert_shapes

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.importance.scores import LayerScores
from autopeft.objectives import Limits
from autopeft.procedures import get_procedure
from autopeft.proxy.curve import Curve
from autopeft.report.benchmark import search_figure
from autopeft.space import SpaceFile, build_space, load_space, parameters_of
from autopeft.space.spread_sample import spread_sample
from autopeft.study.rungs import shares_of
from autopeft.study.sampler import LimitedSampler
from autopeft.tabular.benchmark import COLUMNS, TabularBenchmark, lines_of
from autopeft.tabular.comparison import compare, pair_rows, setup_rows, setups_of
from autopeft.tabular.halving import chosen_front
from autopeft.tabular.nearest import Rows
from autopeft.tabular.replay import Replay, add_trial, propose
from autopeft.tabular.trajectory import SearchSetup, Trajectory

SCORES = LayerScores("trace", (0.1, 0.3, 0.2), 1)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory) -> TabularBenchmark:
    return made_up_benchmark(tmp_path_factory.mktemp("benchmarks"))


@pytest.mark.parametrize("name", ["basic", "autopeft", "lora"])
@pytest.mark.parametrize("scores", [None, SCORES])
def test_every_configuration_of_a_space_can_be_followed(name, scores):
    sampled = build_space(name, load_space(name), bert_shapes(), Limits.of_budget(bert_shapes(), 4000))
    space = build_space(name, load_space(name), bert_shapes(), Limits.of_budget(bert_shapes(), 4000), scores)
    for configuration in spread_sample(sampled, 40):
        followed = parameters_of(space, configuration)
        assert followed.parameters.keys() == followed.distributions.keys()
        assert all(d._contains(d.to_internal_repr(followed.parameters[n])) for n, d in followed.distributions.items())


def test_a_configuration_of_another_space_is_refused():
    space = build_space("lora", load_space("lora"), bert_shapes())
    with pytest.raises(AutopeftError, match="not in space 'lora'"):
        parameters_of(space, Configuration.of("ia3", {}, (0,), 1e-3))


def lora(rank: int, layers=(0, 1, 2), rate: float = 1e-3) -> Configuration:
    return Configuration.of("lora", {"rank": rank, "rslora": False, "target_modules": "ffn"}, layers, rate)


def test_the_nearest_row_is_of_the_same_method_and_not_tried():
    space = build_space("basic", load_space("basic"), bert_shapes())
    near, far, other = lora(4), lora(8, (2,)), Configuration.of("bitfit", {}, (0, 1, 2), 1e-3)
    rows = Rows(space, [far, near, other])
    assert rows.nearest(lora(4), set()) == 1
    assert rows.nearest(lora(4, rate=2e-3), {1}) == 0
    assert rows.nearest(lora(4), {0, 1}) is None
    assert {"lora", "ia3"} <= rows.used_up({0, 1}) and "bitfit" not in rows.used_up({0, 1})


def test_a_key_of_digits_only_is_text(benchmark, tmp_path):
    for suffix in (".csv", ".json"):
        text = benchmark.path.with_suffix(suffix).read_text()
        (tmp_path / "t").with_suffix(suffix).write_text(text)
    key = next(iter(benchmark.configurations()))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    kept = [lines[0], *("000000000012" + x.removeprefix(key) for x in lines if x.startswith(key))]
    (tmp_path / "t.csv").write_text("\n".join(kept) + "\n")
    assert list(TabularBenchmark.read(tmp_path / "t.csv").configurations()) == ["000000000012"]


PROCEDURES = {"lisa": {"gamma": [1, 2], "interval": [5, 20]}, "lozo": {}}


def test_a_benchmark_holds_how_its_runs_are_trained(tmp_path):
    """Written, read again, found by their key; of two rows the one that is trained as proposed is nearer."""
    file = SpaceFile(methods={"lora": {}, "head_only": {}}, procedures=PROCEDURES)
    space = build_space("mine", file, bert_shapes())
    sample = spread_sample(space, 30)
    assert {c.procedure for c in sample} == {"plain", "lisa", "lozo"}
    curve = Curve(0, (4, 8), (1.0, 0.9), (1.0, 0.9), (0.5, 0.6), 1.0, 1, 0.9, 0.6)
    text = "".join(lines_of(c, 1, curve) for c in sample)
    (tmp_path / "t.csv").write_text(",".join(COLUMNS) + "\n" + text)
    (tmp_path / "t.json").write_text("{}")
    read = TabularBenchmark.read(tmp_path / "t.csv").configurations()
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


def test_a_study_is_told_the_rows_own_parameters_and_values(benchmark):
    replayed = Replay(benchmark)
    rows, study = replayed.rows("none"), optuna.create_study(directions=["minimize", "maximize"])
    row, notes = propose(study, rows, "nsga2", 0, set(), [])
    add_trial(study, rows, row, notes, [1.0, 0.5])
    told = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(told) == 1 and told[0].params == rows.followed[row].parameters and told[0].values == [1.0, 0.5]
    assert any("generation" in k for k in told[0].system_attrs), "a genetic sampler finds its parents by this"


@pytest.mark.parametrize("sampler", ["tpe", "tpe-multivariate", "tpe-group", "nsga2", "random"])
def test_every_sampler_finds_the_whole_benchmark_in_the_end(benchmark, sampler):
    size = len(benchmark.configurations())
    trajectory = Replay(benchmark).search(SearchSetup(sampler), 0, size + 5)
    assert len(trajectory.share) == size and trajectory.share[-1] == pytest.approx(1) == trajectory.reported
    assert (np.diff(trajectory.share) >= 0).all() and trajectory.cost[-1] == pytest.approx(size)


def test_a_search_is_repeatable(benchmark):
    one, other = (Replay(benchmark).search(SearchSetup("tpe", "trace"), 3, 20) for _ in range(2))
    assert (one.share == other.share).all()


def test_rungs_cost_less_and_pruned_trials_are_told(benchmark, monkeypatch):
    told = []
    monkeypatch.setattr("autopeft.tabular.replay.add_trial", lambda *a: (told.append(a[-1]), add_trial(*a)))
    trajectory = Replay(benchmark).search(SearchSetup("tpe", rungs=shares_of("1/8,1/2")), 0, 36)
    assert trajectory.cost[-1] < 30 and trajectory.cost[0] == trajectory.cost[8] < 9
    assert 0 < sum(v is None for v in told) < len(told) == 36


def test_a_transfer_begins_with_the_other_benchmarks_front(benchmark):
    replayed = Replay(benchmark, transfer=benchmark)
    front = chosen_front(replayed.runs, np.arange(len(replayed.configurations)))
    plain, helped = (replayed.search(SearchSetup("tpe", transfer=t), 0, len(front)) for t in (False, True))
    assert helped.share[-1] == pytest.approx(1) and plain.share[-1] < 0.99


def test_a_transfer_from_another_space_and_unknown_scores_are_refused(benchmark, tmp_path):
    other = made_up_benchmark(tmp_path, "other")
    other.path.with_suffix(".json").write_text(json.dumps({**other.about, "spec": {"space": "lora"}}))
    with pytest.raises(AutopeftError, match="another space"):
        Replay(benchmark, transfer=TabularBenchmark.read(other.path))
    with pytest.raises(AutopeftError, match="no layer scores 'gradient'"):
        Replay(benchmark).rows("gradient")


def test_trajectories_are_compared_seed_by_seed():
    slow = Trajectory(np.array([1.0, 2, 3, 4]), np.array([0.1, 0.2, 0.5, 1.0]), 1.0)
    fast = Trajectory(np.array([0.5, 1, 1.5, 2]), np.array([0.1, 1.0, 1.0, 1.0]), 1.0)
    found = {SearchSetup("tpe"): [slow, slow], SearchSetup("tpe", rungs=shares_of("1/2")): [fast, fast]}
    (pair,) = pair_rows(found)
    assert (pair["share"], pair["trials"], pair["arrived"]) == (0, -2, 1)
    assert pair["equal_cost"] == pytest.approx(0.8) and pair["equal_cost_is"] == "more"
    row = setup_rows(found)[0]
    assert row["at_4"] == 1 and row["trials_to_98"] == 4 and row["reached_98"] == 1


def test_replay_reads_rungs_as_search_does():
    """The full length is implied; writing it is the same setup, and the label is the shortest spelling."""
    (setup,) = setups_of(["tpe"], ["none"], ["1/4,1/2", "1/4,1/2,1", "0.25, 0.5"], transfer=False)
    assert str(setup) == "tpe + rungs 1/4,1/2"
    for text in ("", "1/0", "a", "0", "2"):
        with pytest.raises(AutopeftError, match="rungs is no share"):
            setups_of(["tpe"], ["none"], [text], transfer=False)


def test_every_combination_is_a_setup_and_a_figure_has_a_band_each(benchmark):
    setups = setups_of(["random"], ["none", "trace"], ["none"], transfer=False)
    assert [str(s) for s in setups] == ["random", "random + trace prior"]
    assert len(setups_of(["random", "tpe"], ["none"], ["none", "1/8"], transfer=True)) == 8
    found = compare(Replay(benchmark), setups, 2, 12)
    drawn = search_figure({str(s): np.array([t.share for t in each]) for s, each in found.items()})
    assert len(drawn.data) == 6


def test_the_new_samplers_are_there():
    assert LimitedSampler("tpe-group", 0) and LimitedSampler("tpe-multivariate", 0)
