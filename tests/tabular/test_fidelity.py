"""How well a signal predicts the final score, and what promotion keeps of it."""

import numpy as np
import pytest
from made_up_benchmarks import made_up_benchmark
from scipy.stats import kendalltau

from autopeft.base.errors import AutopeftError
from autopeft.objectives.parameters import PARAMETERS
from autopeft.study.rungs import shares_of
from autopeft.tabular.fidelity import fidelity, figures, nearly_kept, tau_interval
from autopeft.tabular.halving import SuccessiveHalving, one_search
from autopeft.tabular.runs import Runs, runs_of
from autopeft.tabular.weighed import costs_of


def made_up(trainable, signal, tested, steps=(10, 20), loss=None) -> Runs:
    trainable = np.array(trainable, dtype=float)
    known = {"score": tested} | ({} if loss is None else {"loss": loss})
    counted = costs_of((PARAMETERS,), trainable[:, None])
    signals = {"validation_loss": signal}
    keys = tuple("abcdef"[: len(tested)])
    return Runs(keys, counted.values, counted.ends, np.array(steps), signals, known, trainable == 0)


def runs(cost) -> Runs:
    """Six configurations; the test score rises with the parameters but for the fourth."""
    tested = -np.array([0.5, 0.6, 0.7, 0.65, 0.8, 0.9])
    return made_up(np.arange(1, 7) * 100, np.column_stack([cost, tested]), tested, loss=tested)


def test_a_signal_that_is_the_test_score_is_perfect():
    row = fidelity(runs(np.zeros(6)))[1]
    assert [row[k] for k in ("tau", "tau_own", "spearman", "recall", "kept")] == pytest.approx([1] * 5)
    assert row["regret"] == 0 and row["front"] == 5 and row["tau_low"] == pytest.approx(1)


def test_a_signal_that_is_the_opposite_keeps_the_smallest_only():
    row = fidelity(runs(np.array([0.5, 0.6, 0.7, 0.65, 0.8, 0.9])))[0]
    assert row["tau"] == pytest.approx(-1) and row["recall"] == pytest.approx(1 / 5)
    assert row["regret"] == pytest.approx(0.4) and row["kept"] == 0, "the worst score is where the hypervolume ends"


def test_a_signal_that_never_varies_says_nothing():
    row = fidelity(runs(np.zeros(6)))[0]
    assert np.isnan(row["tau"]) and np.isnan(row["tau_low"])


def test_recall_with_a_margin_accepts_a_neighbour_as_small():
    tested = -np.array([0.800, 0.805, 0.6, 0.5])
    signal = np.array([[-0.9], [-0.8], [-0.6], [-0.5]])
    small = made_up([10, 10, 30, 40], signal, tested, steps=(1,))
    row = figures(small, signal[:, 0], np.ones(4, dtype=bool), "validation_loss")
    assert (row["recall"], row["recall_near"]) == (0, 1)


def test_a_neighbour_has_to_be_as_small_in_every_counted_objective():
    counted = np.array([[1.0, 2.0], [1.0, 2.5], [0.5, 2.0]])
    final, front = np.array([-0.9, -0.9, -0.9]), np.array([0])
    assert nearly_kept(counted, final, front, np.array([1])) == 0
    assert nearly_kept(counted, final, front, np.array([2])) == 1


def test_the_interval_holds_tau_and_narrows_with_more_configurations():
    generator = np.random.default_rng(1)
    one = generator.normal(size=200)
    other = one + generator.normal(size=200)
    small, large = tau_interval(one[:30], other[:30]), tau_interval(one, other)
    assert large[0] < kendalltau(one, other).statistic < large[1]
    assert large[1] - large[0] < small[1] - small[0]


def test_a_benchmark_is_judged_rung_by_rung_and_by_its_other_seed(tmp_path):
    rows = fidelity(runs_of(made_up_benchmark(tmp_path, noise=0.2)))
    loss = [r["tau"] for r in rows if r["signal"] == "validation_loss"]
    assert len(loss) == 5 and loss[0] < loss[-1]
    assert rows[-1]["signal"].endswith("other seed") and rows[-1]["tau"] == pytest.approx(1)


def test_one_seed_has_no_ceiling(tmp_path):
    assert not any("other" in r["signal"] for r in fidelity(runs_of(made_up_benchmark(tmp_path, seeds=(0,)))))


def test_runs_without_a_test_score_are_left_out(tmp_path):
    benchmark = made_up_benchmark(tmp_path, seeds=(0,))
    lines = benchmark.path.read_text().splitlines(keepends=True)
    benchmark.path.write_text("".join(lines[:-1]))
    assert len(runs_of(type(benchmark).read(benchmark.path)).keys) == len(benchmark.configurations()) - 1


def test_a_budget_leaves_out_what_is_over_it(tmp_path):
    benchmark = made_up_benchmark(tmp_path)
    cut = runs_of(benchmark, "1000")
    assert 0 < len(cut.keys) < len(benchmark.configurations()) and cut.counted.max() <= 3
    with pytest.raises(AutopeftError, match="are needed"):
        runs_of(benchmark, "1")


def test_the_linear_probe_is_where_the_hypervolume_ends(tmp_path):
    found = runs_of(made_up_benchmark(tmp_path))
    probe = found.tested["score"][found.counted[:, 0] == 0]
    assert found.reference[1] == probe.min() and found.volume(np.flatnonzero(found.probes)) == 0


def test_halving_spends_the_rungs_only():
    found = runs(np.array([-0.5, -0.6, -0.7, -0.65, -0.8, -0.9]))
    halving = SuccessiveHalving(found, shares_of("1/2"), eta=2)
    assert set(halving.run(list(range(6)))) == {0, 1, 2, 4, 5}
    assert halving.spent == pytest.approx(6 * 0.5 + 5 * 0.5)


def test_halving_by_the_final_score_keeps_the_front(tmp_path):
    found = runs_of(made_up_benchmark(tmp_path))
    spent, kept = one_search(found, shares_of("1/8,1/2"), 3, "validation_loss", "validation_score", seed=0)
    assert spent < 0.8 and kept == pytest.approx(1)
