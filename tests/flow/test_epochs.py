"""A search whose length is given by its data: early ends at full length, kept in the folder, resumed, exported."""

import json
from dataclasses import replace

import pytest

import autopeft
from autopeft.proxy.curve import Curve
from autopeft.study.folder import StudyFolder
from autopeft.study.length import evaluation_steps

SMALL = autopeft.StudySpec(
    trials=2, cohort=2, train_rows=32, validation_rows=24, test_rows=24, max_length=12, batch_size=16, seeds=1,
    finalists=1, ceiling=False, deterministic=True, workers=1, rates=1, budget="0.5%",
)  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("epochs") / "study"
    return autopeft.search(SMALL, folder), StudyFolder(folder)


def curves(folder: StudyFolder) -> list[Curve]:
    found = (Curve.from_json(r["curve"]) for r in folder.runs())
    return [replace(c, seconds=0, peak_memory_bytes=0, measured={}) for c in found]


def test_the_folder_says_how_long_runs_were_and_where_they_ended(searched):
    result, folder = searched
    spec = folder.read()["spec"]
    assert (spec["epochs"], spec["full_steps"]) == (20.0, 40)
    points = evaluation_steps(40, 20.0)
    scored = [c for c in curves(folder) if c.test_score is not None]
    assert all(c.steps == points[: len(c.steps)] and c.best_step in points for c in scored)
    assert any(len(c.steps) < len(points) for c in scored), "it learns 32 rows by heart long before"
    assert {c.steps for c in curves(folder) if c.test_score is None} == {(20,)}, (
        "rates are compared at one of the points"
    )
    case = result.case("best")
    assert case.evaluation_interval == 5 and case.epochs == 20 and len(case.best_steps) == 1


def test_a_search_that_was_killed_gives_the_runs_of_one_that_was_not(searched, tmp_path):
    result, folder = searched
    whole, path = curves(folder), folder.path / "outcomes.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    again = autopeft.search(SMALL, folder.path)
    assert curves(folder) == whole and [p.name for p in again.front.points] == [p.name for p in result.front.points]


def test_another_length_is_another_study(searched):
    _, folder = searched
    with pytest.raises(autopeft.AutopeftError, match="made with epochs=20.0 and this command asks for epochs=None"):
        autopeft.search(SMALL.model_copy(update={"full_steps": 40}), folder.path)


def test_the_dry_run_says_the_length():
    from autopeft.report.dry_run import dry_run_lines

    text = "\n".join(dry_run_lines(autopeft.plan(SMALL)))
    assert "baselines for 20 epochs, 40 steps, with one seed each, ended early once 2 evaluations" in text
    assert json.dumps(autopeft.plan(SMALL).to_json())
