"""A benchmark is built run by run on real weights, and a build that was killed resumes."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.prepare import prepare
from autopeft.space.spread_sample import spread_sample
from autopeft.study.spec import StudySpec
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.build import build_benchmark, rungs_of

SMALL = {
    "train_rows": 48,
    "validation_rows": 20,
    "test_rows": 20,
    "max_length": 16,
    "full_steps": 4,
    "batch_size": 8,
    "seeds": 2,
    "precision": "fp32",
    "workers": 1,
}
MEASURED = ["configuration", "seed", "step", "train_loss", "validation_loss", "validation_score", "test_loss"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmarks") / "small.csv"
    build_benchmark(prepare(StudySpec.read("benchmark", **SMALL)), path, 3, Progress(quiet=True))
    return path


def test_every_run_has_every_rung_and_one_test_score(built):
    benchmark = TabularBenchmark.read(built)
    assert len(benchmark.finished()) == 6 and len(benchmark.rows) == 6 * len(rungs_of(4))
    last = benchmark.rows[benchmark.rows["step"] == 4]
    assert last["test_score"].between(0, 1).all() and benchmark.rows["test_score"].notna().sum() == 6
    sample = spread_sample(prepare(StudySpec.read("benchmark", **SMALL)).space(), 3, 0)
    assert set(benchmark.configurations().values()) == set(sample)
    assert {"trace", "gradient"} == set(benchmark.about["scores"])


def test_a_killed_build_resumes_and_ends_the_same(built, tmp_path):
    path = tmp_path / "small.csv"
    path.with_suffix(".json").write_bytes(built.with_suffix(".json").read_bytes())
    whole = built.read_text()
    path.write_text(whole[: int(len(whole) * 0.6)])
    build_benchmark(prepare(StudySpec.read("benchmark", **SMALL)), path, 3, Progress(quiet=True))
    order = ["configuration", "seed", "step"]
    one, again = (TabularBenchmark.read(p).rows[MEASURED].sort_values(order, ignore_index=True) for p in (built, path))
    assert one.equals(again)


def test_another_studys_benchmark_is_refused(built):
    with pytest.raises(AutopeftError, match="benchmark with full_steps=4 and this command asks for full_steps=8"):
        build_benchmark(
            prepare(StudySpec.read("benchmark", **{**SMALL, "full_steps": 8})), built, 3, Progress(quiet=True)
        )


def test_the_sample_is_spread(minilm):
    space = prepare(StudySpec.read("benchmark", **{**SMALL, "space": "basic"})).space()
    sample = spread_sample(space, 40, 0)
    methods = [c.method for c in sample]
    assert len(set(sample)) == 40 and sorted(methods[:10]) == sorted(b.name for b in space.affordable())
    assert methods.count("head_only") == 2 and max(methods.count(m) for m in set(methods)) <= 5
    assert {c.frozen_layers for c in sample} == {0, 1, 2, 3, 4, 5, None}
