"""A file of the benchmark of tasks is built on real weights, run by run, and a build that was killed resumes."""

import json

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.prepare import prepare
from autopeft.space.relative import RelativeConfiguration
from autopeft.study.spec import StudySpec
from autopeft.tabular.cells import read_cells
from autopeft.tabular.evidence import Evidence
from autopeft.tabular.evidence_building import GO_ON, MOST_RATES, SHARES, build_evidence
from autopeft.tabular.task_table import TaskTable

SMALL = {
    "model": "minilm-l6",
    "data": "sst2-val",
    "train_rows": 64,
    "validation_rows": 40,
    "test_rows": 40,
    "max_length": 16,
    "full_steps": 8,
    "batch_size": 8,
    "precision": "fp32",
    "workers": 1,
    "packing": False,
    "budget": "1%",
}
TWO = [
    RelativeConfiguration("ia3", (("target_modules", "key+value+ffn_out"),), 0.5),
    RelativeConfiguration("lora", (("rank", "width/96"), ("rslora", False), ("target_modules", "query+value")), 0.5),
]


@pytest.fixture(scope="module")
def prepared():
    return prepare(StudySpec.read(None, **SMALL))


@pytest.fixture(scope="module")
def built(prepared, tmp_path_factory):
    path = tmp_path_factory.mktemp("evidence") / "small.jsonl"
    build_evidence(prepared, path, TWO, Progress(quiet=True))
    return path


def test_baselines_come_first_and_each_candidate_has_three_to_five_rates(built):
    runs = Evidence.read(built).runs
    assert list(dict.fromkeys(r.role for r in runs))[:2] == ["linear probe", "usual guess"]
    probes = [r for r in runs if r.role == "linear probe" and r.seed == 0]
    assert len(probes) >= 3 and any(r.whole for r in probes), "everything is compared with it: it is tuned too"
    for method in ("ia3", "lora"):
        mine = [r for r in runs if r.role == "candidate" and r.configuration.method == method and r.seed == 0]
        whole = [r for r in mine if r.whole]
        assert 3 <= len(mine) <= MOST_RATES and 1 <= len(whole) <= GO_ON
        assert all(r.curve.steps == tuple(round(8 * s) for s in SHARES) for r in whole)
        assert all(r.curve.steps[-1] in (1, 2) and r.curve.test_score is None for r in mine if not r.whole)


def test_the_best_candidates_and_the_baselines_get_a_second_seed(built):
    second = [r for r in Evidence.read(built).runs if r.seed == 1]
    assert {r.role for r in second} == {"linear probe", "usual guess", "full fine-tuning", "candidate"}
    assert all(r.whole for r in second) and len(second) == 4


def test_it_is_a_table(built):
    table = TaskTable.of(Evidence.read(built))
    assert table.task == "sst2-val" and len(table.rows) == 2
    assert all(table.row(relative) is not None for relative in TWO)


def test_a_killed_build_trains_only_what_is_missing(built, prepared, tmp_path):
    path, lines = tmp_path / "small.jsonl", built.read_text().splitlines(keepends=True)
    first = next(i for i, x in enumerate(lines) if '"method": "lora"' in x and '"role": "candidate"' in x)
    path.write_text("".join(lines[:first]) + lines[first][:100])
    again = build_evidence(prepared, path, TWO, Progress(quiet=True))
    whole = Evidence.read(built)

    def measured(evidence):
        return {(r.role, r.configuration.key, r.seed): (r.curve.steps, r.curve.validation_loss) for r in evidence.runs}

    assert measured(again) == measured(whole)
    assert path.read_text().startswith("".join(lines[:first]))


def test_another_tasks_file_is_refused(built):
    other = prepare(StudySpec.read(None, **{**SMALL, "full_steps": 16}))
    with pytest.raises(AutopeftError, match="benchmark with full_steps=8 and this command asks for full_steps=16"):
        build_evidence(other, built, TWO, Progress(quiet=True))


def test_the_tasks_of_the_benchmark_share_no_data_and_are_read_by_name(tmp_path):
    cells = read_cells("studies/evidence/cells.yaml")
    data = [cell.spec.data for cell in cells.cells.values()]
    assert len(data) == len(set(data)) >= 10 and len({c.spec.model for c in cells.cells.values()}) == 3
    assert not {"rotten-tomatoes", "vader-movies", "vader-ratings", "newsgroups", "vader-tweets", "friends"} & set(data)
    assert list(read_cells("studies/evidence/cells.yaml", ["reuters"]).cells) == ["reuters"]
    with pytest.raises(AutopeftError, match="has no task 'reuter'. Did you mean 'reuters'"):
        read_cells("studies/evidence/cells.yaml", ["reuter"])
    path = tmp_path / "cells.yaml"
    path.write_text(json.dumps({"reference": "minilm-l6", "candidate": 3, "study": {}, "cells": {}}))
    with pytest.raises(AutopeftError, match="Unknown key 'candidate'"):
        read_cells(path)


def test_probe_alone_is_no_table(built, tmp_path):
    lines = [x for x in built.read_text().splitlines(keepends=True) if '"role": "candidate"' not in x]
    (tmp_path / "one.jsonl").write_text("".join(lines))
    with pytest.raises(AutopeftError, match="no finished linear probe or candidate"):
        TaskTable.of(Evidence.read(tmp_path / "one.jsonl"))


def test_a_configuration_that_exceeds_the_budget_is_left_out(prepared, tmp_path):
    huge = RelativeConfiguration.of(
        Configuration.of("lora", {"rank": 64, "target_modules": "all-linear", "rslora": False}, range(6), 1e-3),
        prepared.shapes,
    )
    from autopeft.tabular.begun import candidates_on

    assert [c.role for c in candidates_on(prepared, [huge])] == ["linear probe", "usual guess", "full fine-tuning"]
