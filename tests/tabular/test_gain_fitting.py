"""The gain model: a lucky run is not believed, what was stopped counts, and its kernel is that of its columns."""

from dataclasses import replace

import numpy as np
import pytest
from sizes import bert_shapes
from sklearn.base import clone
from sklearn.gaussian_process.kernels import RBF

from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space.relative import RelativeConfiguration
from autopeft.surrogate.columns import OnColumns
from autopeft.surrogate.gain_model import GainModel, placed
from autopeft.surrogate.improvement import Fronts, greedy
from autopeft.tabular.evidence import Evidence, EvidenceRun
from autopeft.tabular.gain_fitting import divided, fit_gains
from autopeft.tabular.portfolio_building import portfolio_of
from autopeft.tabular.task_table import TaskTable

SHAPES = bert_shapes(layers=6, hidden=384)
GOOD, LUCKY, POOR = (
    Configuration.of(m, {"rank": 2, "target_modules": "query+value"}, range(6), 1e-3)
    for m in ("hira", "olora", "pissa")
)


def run(configuration, score, loss=0.5, whole=True):
    steps = (62, 250) if whole else (62,)
    flat = (loss,) * len(steps)
    curve = Curve(0, steps, flat, flat, (score,) * len(steps), 1.0, 1, test_score=score if whole else None)
    role = "candidate" if configuration.layers else "linear probe"
    relative = RelativeConfiguration.of(configuration, SHAPES).to_json() if configuration.layers else None
    return EvidenceRun(role, relative, configuration, count(configuration, SHAPES), 0, curve)


def table(name, *runs):
    about = {"spec": {"data": name, "full_steps": 250, "batch_size": 16}, "shapes": SHAPES.to_json()}
    probe = run(Configuration.of("head_only", {}, (), 1e-3), 0.5)
    return TaskTable.of(Evidence(name, about, (probe, *runs)))


def tables():
    lucky = {0: 0.80}
    return [table(str(task), run(GOOD, 0.75), run(LUCKY, lucky.get(task, 0.62)), run(POOR, 0.60)) for task in range(5)]


def test_what_one_lucky_run_says_is_weighed_against_the_other_tasks():
    known = tables()
    model = fit_gains(known)
    assert portfolio_of(known, model)[0] == RelativeConfiguration.of(GOOD, SHAPES)
    good, lucky, poor = model.draws([placed(c, SHAPES) for c in (GOOD, LUCKY, POOR)], 400).mean(axis=0)
    assert good > lucky > poor


def test_what_the_new_task_shows_outweighs_the_others_and_is_kept_as_text():
    model = GainModel.from_json(fit_gains(tables()).to_json())
    asked = [placed(c, SHAPES) for c in (GOOD, LUCKY)]
    before = model.draws(asked, 400).mean(axis=0)
    seen = [replace(asked[0], gain=0.2), replace(asked[1], gain=1.6)]
    after = model.draws(asked, 400, seen=[*seen, *seen, *seen]).mean(axis=0)
    assert before[0] > before[1] and after[1] > after[0]


def test_what_was_stopped_ends_where_its_loss_points():
    wide = [
        Configuration.of("lora", {"rank": r, "target_modules": "query+value", "rslora": False}, range(6), 1e-3)
        for r in (1, 2, 4, 8, 16, 32)
    ]
    runs = [run(c, 0.6 + 0.02 * i, 0.5 - 0.02 * i) for i, c in enumerate(wide[:5])]
    found = table("one", *runs, run(wide[5], 0.5, 0.45, whole=False))
    assert found.configurations == wide
    assert found.expected_gains[:5] == pytest.approx([0.10, 0.12, 0.14, 0.16, 0.18])
    assert found.expected_gains[5] == pytest.approx(0.15)


def test_gains_are_divided_by_those_of_the_best_tenth():
    assert divided(np.array([0.1, 0.1, 0.1, 0.05])) == pytest.approx([1, 1, 1, 0.5])


def test_the_next_entry_adds_most_to_the_mean_hypervolume():
    costs, draws = np.log10([1e-3, 1e-4, 1e-4]), np.array([[1.0, 0.8, 0.79], [1.0, 0.8, 0.79]])
    assert greedy(Fronts(draws, costs, -5, -2), 3, 3) == [1, 0, 2]
    assert greedy(Fronts(draws, costs, -5, -2), 3, 2) == [1, 0]


def test_a_kernel_on_columns_is_that_kernel():
    rows = np.random.default_rng(0).normal(size=(5, 3))
    inner = RBF([0.5, 2.0])
    outer = clone(OnColumns(inner, [0, 2]))
    assert np.array_equal(outer(rows), inner(rows[:, [0, 2]])) and np.array_equal(outer.diag(rows), np.ones(5))
    for mine, its in zip(outer(rows, eval_gradient=True), inner(rows[:, [0, 2]], eval_gradient=True)):
        assert np.array_equal(mine, its)
    moved = (2 * outer).clone_with_theta(np.log([3.0, 0.7, 0.9]))
    assert moved(rows) == pytest.approx(3 * RBF([0.7, 0.9])(rows[:, [0, 2]])) and len(moved.bounds) == 3
