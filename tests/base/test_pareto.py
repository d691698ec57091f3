import numpy as np
import pytest

from autopeft.base.pareto import contributions, hypervolume, knee, non_dominated, ranks


def dominates(a, b):
    return all(x <= y for x, y in zip(a, b)) and any(x < y for x, y in zip(a, b))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("objectives", [2, 3])
def test_against_brute_force_with_ties(seed, objectives):
    points = np.random.default_rng(seed).integers(0, 5, (30, objectives)).astype(float)
    for i, kept in enumerate(non_dominated(points)):
        beaten = any(dominates(other, points[i]) for other in points)
        twin = any((points[j] == points[i]).all() for j in range(i))
        assert kept == (not beaten and not twin)


@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_against_monte_carlo(seed):
    generator = np.random.default_rng(seed)
    points, darts = generator.random((8, 2)), generator.random((200_000, 2))
    hit = (points[None] <= darts[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(points, np.ones(2)) == pytest.approx(hit, abs=0.005)


def test_points_beyond_the_reference_add_nothing():
    assert hypervolume(np.array([[2.0, 0.5]]), np.ones(2)) == 0
    assert hypervolume(np.empty((0, 2)), np.ones(2)) == 0


def test_contributions_are_what_a_point_alone_adds():
    points = np.array([[0.0, 0.5], [0.5, 0.0], [0.6, 0.6]])
    assert contributions(points, np.ones(2)) == pytest.approx([0.25, 0.25, 0.0])


def test_the_knee_is_where_the_curve_bends():
    assert knee(np.array([[0, 1.0], [1, 0.2], [4, 0.1], [10, 0.0]])) == 1
    assert knee(np.array([[0, 1.0], [1, 0.2]])) == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("objectives", [3, 4])
def test_more_dimensions_against_monte_carlo(seed, objectives):
    generator = np.random.default_rng(seed)
    points, darts = generator.random((7, objectives)), generator.random((200_000, objectives))
    below = (points[None] <= darts[:, None]).all(axis=2)
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(below.any(axis=1).mean(), abs=0.005)
    alone = (below & (below.sum(axis=1) == 1)[:, None]).mean(axis=0)
    assert contributions(points, np.ones(objectives)) == pytest.approx(alone, abs=0.005)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_hypervolume_is_optunas(seed, objectives):
    from optuna._hypervolume import compute_hypervolume

    generator = np.random.default_rng(seed)
    rounded = generator.random((20, objectives)).round(1 + seed % 3)  # with ties
    reference = np.full(objectives, 0.9)
    inside = rounded[(rounded <= reference).all(axis=1)]  # optuna refuses points beyond the reference
    assert hypervolume(rounded, reference) == pytest.approx(compute_hypervolume(inside, reference))


def test_the_knee_in_three_dimensions_is_nearest_to_the_best_corner():
    points = np.array([[0.0, 10, 5], [10, 0, 5], [1, 1, 1], [10, 10, 0]])
    assert knee(points) == 2
    assert knee(points * [1, 1000, 0.01]) == 2, "the units do not matter"
    assert knee(np.array([[0.0, 1, 3], [1, 0, 3], [2, 2, 3]])) == 0, "a cost that never varies: the last column decides"


@pytest.mark.parametrize("seed", range(6))
def test_ranks_in_two_dimensions_are_those_of_any(seed):
    """With ties in one column, in both, and on a coarse grid."""
    generator = np.random.default_rng(seed)
    points = generator.integers(0, 3 + 4 * seed, (60, 2)).astype(float)
    constant = np.column_stack([points, np.zeros(len(points))])  # a third column in which all are equal
    assert ranks(points).tolist() == ranks(constant).tolist()
    assert (ranks(points) == 0).sum() >= non_dominated(points).sum()
    assert ranks(np.empty((0, 2))).tolist() == []
