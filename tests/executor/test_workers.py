"""Real workers: they open the recipe themselves, give what this process gives, and share its checkpoint's memory."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.configuration import Configuration
from autopeft.executor import time_limit
from autopeft.executor import workers as workers_module
from autopeft.executor.inline import Inline
from autopeft.executor.local import Local
from autopeft.executor.order import Answer, Order
from autopeft.executor.seam import Pack, Recipe
from autopeft.executor.workers import MOST, Workers, choose_workers, cores
from autopeft.methods import get_method
from autopeft.prepare import prepare
from autopeft.proxy import beat
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.resident import load_resident, load_workers
from autopeft.study.spec import StudySpec

SPEC = StudySpec.read(
    "quickstart",
    train_rows=96,
    validation_rows=48,
    test_rows=16,
    max_length=24,
    batch_size=8,
    workers=2,
    deterministic=True,
    full_steps=8,
)
POINTS = (2, 4, 6, 8)


@pytest.fixture(scope="module")
def opened():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    prepared = prepare(SPEC)
    yield prepared, load_resident(prepared, None, Progress(quiet=True))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pool(opened):
    made = load_workers(*opened, Progress(quiet=True))
    yield made
    made.close()


def job(method: str, seed: int = 0, rate: float = 2e-3, steps: int = 8, until: int = 8, **fields) -> Job:
    layers = {"none": (), "all": range(6)}.get(get_method(method).layers, (4, 5))
    return Job(Configuration.of(method, get_method(method).defaults, layers, rate), seed, steps, until, **fields)


def timeless(answer):
    return replace(answer, state=None, curve=replace(answer.curve, seconds=0, peak_memory_bytes=0))


def test_they_give_what_this_process_gives(pool, tmp_path):
    """Bit for bit; AdaMSS clusters by scikit-learn, which waits forever for threads that were inherited by a fork."""
    asked = [job("lora"), job("bitfit", 1), job("adamss"), job("lora", test=True, evaluation_steps=POINTS, patience=2)]
    there = dict(pool.run(asked))
    here = dict(Workers(pool.trainer).run(asked))
    assert {n: timeless(a) for n, a in there.items()} == {n: timeless(a) for n, a in here.items()}


def test_a_state_goes_from_one_worker_to_another_as_a_file(pool, tmp_path):
    (whole,) = (answer for _, answer in pool.run([job("lora", evaluation_steps=(4,))]))
    kept = str(tmp_path / "half.state")
    (half,) = (a for _, a in pool.run([Order(replace(job("lora"), until=4), keep=kept)]))
    (rest,) = (a for _, a in Workers(pool.trainer).run([Order(job("lora"), half.state)]))
    assert half.state.path == kept and half.curve.then(rest.curve).validation_loss == whole.curve.validation_loss
    content = bytearray(Path(kept).read_bytes())
    content[-1] ^= 1
    Path(kept).write_bytes(content)
    with pytest.raises(AutopeftError, match=r"half\.state is missing or damaged: run the same command again"):
        list(pool.run([Order(job("lora"), half.state)]))


def test_the_heads_rate_may_change_between_two_runs(pool):
    def loss():
        return dict(pool.run([job("lora")]))[0].curve.validation_loss

    before, rate = loss(), pool.head_learning_rate
    try:
        pool.head_learning_rate = 30 * rate
        assert loss() != before
    finally:
        pool.head_learning_rate = rate
    assert loss() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_they_share_the_checkpoints_memory(pool):
    assert all(answer.curve for _, answer in pool.run([job("lora", seed) for seed in range(4)]))  # both have loaded it
    processes = [worker.process.pid for worker in pool.executor._workers.values()]
    assert len(processes) == 2
    for process in processes:
        mapped = Path(f"/proc/{process}/smaps").read_text().split("model.safetensors\n")
        assert len(mapped) > 1, "the checkpoint is not mapped"
        owned = [int(part.split("Private_Dirty:")[1].split()[0]) for part in mapped[1:]]
        assert sum(owned) < 1024, "kilobytes of the mapped checkpoint were copied"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "0" * 64}, "A worker reads other data from rotten-tomatoes than the search did"),
        ({"versions": {"torch": "1.0"}}, "A worker has .* and the search .*: install the same versions everywhere"),
        ({"precision": {"fromat": "fp32"}}, "A worker could not load the study: TypeError"),
    ],
)
def test_what_a_worker_cannot_open_is_said(pool, change, said):
    recipe = replace(pool.executor._recipe, **change)
    local = Local([{}])
    local.start(Recipe(**json.loads(json.dumps(recipe.to_json()))))
    with pytest.raises(AutopeftError, match=said):
        list(Workers(pool.trainer, local).run([job("lora")]))
    local.close()


def test_they_are_chosen_by_timing_or_by_the_user_and_not_for_what_is_soon_done(opened, monkeypatch):
    prepared, resident = opened
    monkeypatch.setattr(workers_module, "WORTH", 1e9)
    spec = SPEC.model_copy(update={"workers": None, "deterministic": False})
    quick = load_workers(replace(prepared, spec=spec), resident, Progress(quiet=True))
    assert quick.workers == 1 and set(quick.seconds_per_step) == {"1 process"}
    monkeypatch.setattr(workers_module, "WORTH", 0.0)
    timed = load_workers(replace(prepared, spec=spec), resident, Progress(quiet=True))
    timed.close()
    assert timed.workers >= 1 and all(seconds > 0 for seconds in timed.seconds_per_step.values())
    assert len(timed.seconds_per_step) == min(2, cores())
    trainer = quick.trainer
    recipe = Recipe({}, "", {}, {}, {})
    wanted = choose_workers(trainer, recipe, job("lora"), 3)
    assert wanted.workers == 3 and wanted.seconds_per_step == {} and not wanted.executor._workers
    assert isinstance(choose_workers(trainer, recipe, job("lora"), 1).executor, Inline)


def test_a_study_that_was_begun_on_a_cluster_goes_on_here_with_as_many_workers_as_there_are_cores(opened):
    """Sixty-four actors became sixty-four processes."""
    prepared, resident = opened
    alone = replace(prepared, spec=SPEC.model_copy(update={"workers": None}))
    for executor, number in (("ray", min(cores(), MOST)), ("local", 64)):
        stored = {"environment": {"workers": 64}, "spec": {"executor": executor}}
        assert load_workers(alone, resident, Progress(quiet=True), stored=stored).workers == number


class Poisoned:
    """A trainer that some seeds make raise, as often as said."""

    head_learning_rate = 1e-3
    uniform_lora = None

    def __init__(self, times):
        self.times, self.tried = times, []

    def run(self, pack):
        (asked,) = pack
        self.tried.append(asked.seed)
        if self.tried.count(asked.seed) <= self.times.get(asked.seed, 0):
            raise RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED\nwhen calling cublasSgemm")
        return [JobResult(None, failure="trained")]


def test_whatever_a_job_raises_is_its_own_failure_after_two_attempts():
    """A CUBLAS error ended a search, and every resume of it."""
    trainer = Poisoned({1: 1, 2: 5})
    found = dict(Workers(trainer).run([job("head_only", seed) for seed in range(4)]))
    failed = "RuntimeError: CUBLAS_STATUS_EXECUTION_FAILED"
    assert [found[seed].failure for seed in range(4)] == ["trained", "trained", failed, "trained"]
    assert [trainer.tried.count(seed) for seed in range(4)] == [1, 2, 2, 1]


def test_memory_that_runs_out_on_a_cpu_is_a_sentence():
    """It said "[enforce fail at alloc_cpu.cpp:118] err == 0"."""

    class Greedy(Poisoned):
        def run(self, pack):
            return [JobResult(None, failure=str(torch.empty(2**50)))]

    (answer,) = dict(Workers(Greedy({})).run([job("head_only")])).values()
    assert answer.failure == "there was too little memory to train it"


class Endless(Poisoned):
    """A trainer that never ends with a seed that is 1, and goes on from batch to batch."""

    def run(self, pack):
        (asked,) = pack
        while asked.seed == 1:
            beat.sign_of_life()
        return super().run(pack)


def test_what_never_ends_inline_has_failed_after_two_attempts(monkeypatch):
    """Between two batches this process sees that its time is over."""
    monkeypatch.setattr(time_limit, "FLOOR", 0.2)
    workers = Workers(Endless({}), None, {"1 process": 1e-6})
    found = dict(workers.run([job("head_only", seed) for seed in range(3)]))
    assert [found[seed].failure for seed in (0, 2)] == ["trained"] * 2
    assert found[1].failure == "it had not ended when its 0 s were over, far more than expected"
    beat.sign_of_life()  # what comes after it has its time


def test_a_time_limit_goes_by_the_slowest_step_and_the_length():
    limit = time_limit.TimeLimit(2.0)
    pack = Pack((Order(Job(job("lora").configuration, 0, 600, 300)),), 1e-3)
    assert limit.of(pack) == time_limit.FACTOR * 2.0 * 300
    curve = Curve(0, (10,), (0.5,), (0.5,), (0.5,), 70.0, 0)
    limit.see(Order(job("lora", steps=10, until=10)), Answer(curve))
    assert limit.of(pack) == time_limit.FACTOR * 7.0 * 300
    unknown = time_limit.TimeLimit()
    assert unknown.of(pack) is None
    unknown.see(Order(job("lora")), Answer(None, failure="lost"))
    assert unknown.of(pack) is None
    quick = time_limit.TimeLimit(1e-3)
    assert quick.of(pack) == time_limit.FLOOR


def test_what_makes_no_sense_is_said_once():
    class Refuses:
        head_learning_rate = 1e-3
        uniform_lora = None

        def run(self, pack):
            raise AutopeftError("There is nothing to measure against.")

    with pytest.raises(AutopeftError, match="nothing to measure"):
        list(Workers(Refuses()).run([job("head_only")]))


def test_what_is_cancelled_inline_is_not_trained():
    trainer = Poisoned({})
    executor = Inline(trainer)
    first, second = (executor.submit(pack) for pack in packs(range(2)))
    executor.cancel(first)
    assert [event.ticket for event in executor.events(0)] == [second] and not executor.events(0)
    assert trainer.tried == [1]


def packs(seeds):
    return [Pack((Order(job("head_only", seed)),), 1e-3) for seed in seeds]
