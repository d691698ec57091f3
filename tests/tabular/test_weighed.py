"""A tabular benchmark weighed by the objectives of a study."""

import json
from dataclasses import replace
from math import log10
from pathlib import Path

import numpy as np
import pytest
from made_up_benchmarks import made_up_benchmark
from sizes import bert_shapes

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.costs.flops import train_flops
from autopeft.costs.step import Step
from autopeft.methods import count
from autopeft.objectives import Counted, Limit, get_objective
from autopeft.space.inverse import completed
from autopeft.study.rungs import shares_of
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.fidelity import fidelity, read_and_judge
from autopeft.tabular.halving import promotion_rows
from autopeft.tabular.replay import Replay
from autopeft.tabular.runs import runs_of
from autopeft.tabular.trajectory import SearchSetup
from autopeft.tabular.weighed import costs_of, objectives_of

STUDIES = Path(__file__).parents[2] / "studies/benchmarks"
VADER = STUDIES / "vader-movies.csv"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory) -> TabularBenchmark:
    return made_up_benchmark(tmp_path_factory.mktemp("benchmarks"), noise=0.1)


@pytest.mark.parametrize("name", ["vader-movies", "rotten-tomatoes"])
def test_counting_gives_the_parameters_that_the_table_holds(name):
    read = TabularBenchmark.read(STUDIES / f"{name}.csv")
    runs = runs_of(read)
    stated = read.rows.drop_duplicates("configuration").set_index("configuration")["trainable"]
    assert runs.counted[:, 0] == pytest.approx(np.log10(np.maximum(1, stated.loc[list(runs.keys)].to_numpy())))
    assert runs.ends == pytest.approx([log10(read.about["budget"])])


def test_flops_are_counted_with_the_benchmarks_own_sizes_and_step():
    read = TabularBenchmark.read(VADER)
    runs, every = runs_of(read, objectives="train-flops,accuracy"), read.configurations()
    shapes, step = BackboneShapes.from_json(read.about["shapes"]), Step(16, 64)
    counted = [log10(train_flops(every[k], shapes, step)) for k in runs.keys]
    assert runs.counted[:, 0] == pytest.approx(counted)
    assert runs.ends == pytest.approx([log10(1.1) + max(counted)])


def test_every_counted_objective_has_a_column_in_the_order_of_the_study(benchmark):
    runs = runs_of(benchmark, objectives="adapter-bytes,metric,parameters")
    assert runs.counted.shape == (len(runs.keys), 2) and runs.reference.shape == (3,)
    parameters = [log10(max(1, count(benchmark.configurations()[k], bert_shapes()))) for k in runs.keys]
    assert runs.counted[:, 1] == pytest.approx(parameters)
    assert (runs.counted < runs.ends).all()


def test_a_limit_on_parameters_leaves_out_rows_whatever_is_weighed(benchmark):
    runs = runs_of(benchmark, "1000", "train-flops,accuracy")
    assert {count(benchmark.configurations()[k], bert_shapes()) <= 1000 for k in runs.keys} == {True}


def test_three_objectives_are_searched_and_judged(benchmark):
    replay = Replay(benchmark, objectives="parameters,train-flops,accuracy")
    found = replay.search(SearchSetup("nsga2", rungs=shares_of("1/8,1/2")), 0, 18)
    assert len(found.share) == 18 and 0 < found.share[-1] <= 1 + 1e-9 and (np.diff(found.share) >= 0).all()
    whole = replay.search(SearchSetup("random"), 0, len(replay.configurations))
    assert whole.share[-1] == pytest.approx(1)
    assert fidelity(replay.runs)[0]["front"] >= fidelity(runs_of(benchmark))[0]["front"]
    assert all(row["kept"] <= 1.5 for row in promotion_rows(replay.runs))


def test_the_loss_as_the_quality_is_minimised(benchmark):
    replay = Replay(benchmark, objectives="parameters,loss")
    assert (replay.runs.final == replay.runs.tested["loss"]).all()
    row = int(np.argmin(replay.runs.validated))
    assert replay._values(row)[-1] == replay.runs.signals["validation_loss"][row, -1]
    assert replay.search(SearchSetup("tpe"), 0, len(replay.configurations)).reported > 0.5
    assert fidelity(replay.runs)[-1]["signal"] == "test loss, other seed"


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("step-time,accuracy", "cannot say what step-time is"),
        ("parameters,accuracy,loss", "cannot say what loss is"),
        ("parameters,f1", "Unknown objective 'f1'"),
        ("parameters", "name two"),
    ],
)
def test_what_a_benchmark_cannot_know_is_one_sentence(benchmark, text, sentence):
    for use in (objectives_of, lambda b, t: runs_of(b, objectives=t), lambda b, t: Replay(b, objectives=t)):
        with pytest.raises(AutopeftError, match=sentence):
            use(benchmark, text)
    with pytest.raises(AutopeftError, match=sentence):
        read_and_judge(benchmark.path, objectives=text)


def test_published_runs_know_parameters_only():
    with pytest.raises(AutopeftError, match="only parameters and the accuracy are known: leave out --objectives"):
        read_and_judge(STUDIES / "published/peft_metamathqa_runs.csv", objectives="train-flops,accuracy")


def test_the_benchmarks_own_metric_can_be_named():
    assert objectives_of(TabularBenchmark.read(VADER)).quality.name == "accuracy"


@pytest.mark.parametrize("direction, values, end", [("minimize", [2.0, 4.0], 4.4), ("maximize", [2.2, 4.0], -2.0)])
def test_the_hypervolume_ends_beyond_the_worst_value(direction, values, end):
    made = costs_of((Counted("mine", "mine", direction),), np.array(values)[:, None])
    assert made.ends == pytest.approx([end]) and (made.values[:, 0] < end).all()


def test_the_hypervolume_ends_at_a_limit():
    parameters = get_objective("parameters")
    made = costs_of((parameters,), np.array([[10.0], [100.0]]), (Limit(parameters, 1000),))
    assert made.ends == pytest.approx([3]) and made.values[:, 0] == pytest.approx([1, 2])


def test_a_users_own_objective_is_weighed(benchmark, tmp_path, monkeypatch):
    (tmp_path / "weighed_by_layers.py").write_text(
        "def layers(configuration, setting):\n    return len(configuration.layers)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    runs = runs_of(benchmark, objectives="weighed_by_layers:layers,accuracy")
    every: dict[str, Configuration] = benchmark.configurations()
    assert runs.counted[:, 0].tolist() == [len(every[k].layers) for k in runs.keys]
    assert runs.ends == pytest.approx([3.3])


def test_the_step_of_a_benchmark_that_does_not_state_one_is_the_default(benchmark):
    assert json.loads(benchmark.path.with_suffix(".json").read_text())["spec"] == {"space": "basic"}
    runs = runs_of(benchmark, objectives="train-flops,accuracy")
    first = benchmark.configurations()[runs.keys[0]]
    assert runs.counted[0, 0] == pytest.approx(log10(train_flops(first, bert_shapes(), Step(32, 128))))


@pytest.mark.parametrize("name", ["vader-movies", "rotten-tomatoes"])
def test_rows_from_before_a_setting_keep_their_place_in_the_space(name):
    """The stored rows of DCFT know no scale, and the default space holds but one, which is another."""
    read = TabularBenchmark.read(STUDIES / f"{name}.csv")
    rows = Replay(read).rows("none")
    own = [i for i, c in enumerate(rows.configurations) if c.method == "dcft"]
    assert own and not any("scale" in dict(rows.configurations[i].settings) for i in own)
    assert not any("dcft.scale" in rows.followed[i].parameters for i in own)
    settings = dict(completed(rows.configurations[own[0]]).settings) | {"scale": 16.0}
    proposed = replace(rows.configurations[own[0]], settings=tuple(sorted(settings.items())))
    assert rows.nearest(proposed, set()) == own[0]
