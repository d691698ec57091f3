"""Ray actors on three nodes, all on this machine: what they give, and that a lost node loses nothing."""

import json
import time
from dataclasses import replace

import pytest
from small_search import SMALL, autopeft

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes():
    from ray.cluster_utils import Cluster as Nodes

    made = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(3):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def pool(nodes):
    from autopeft.base.progress import Progress
    from autopeft.prepare import prepare
    from autopeft.resident import load_resident, load_workers
    from autopeft.study.spec import StudySpec

    spec = StudySpec.read(
        "quickstart",
        train_rows=96,
        validation_rows=48,
        test_rows=16,
        max_length=24,
        batch_size=8,
        deterministic=True,
        executor="ray",
        address=nodes.address,
    )
    prepared = prepare(spec)
    made = load_workers(prepared, load_resident(prepared, None, Progress(quiet=True)), Progress(quiet=True))
    assert made.workers == 3, "one for each core of the cluster"
    yield made
    made.close()


def job(seed: int, steps: int = 8):
    from autopeft.configuration import Configuration
    from autopeft.methods import get_method
    from autopeft.proxy.job import Job

    return Job(Configuration.of("lora", get_method("lora").defaults, (4, 5), 2e-3), seed, steps, steps)


def losses(answers) -> dict:
    return {n: answer.curve.validation_loss for n, answer in answers}


def test_they_give_what_one_process_gives_and_go_on_without_a_lost_node(nodes, pool, tmp_path):
    from autopeft.executor.order import Order
    from autopeft.executor.workers import Workers

    asked = [job(seed) for seed in range(4)]
    kept = [Order(one, keep=str(tmp_path / f"{one.seed}.state")) for one in asked]
    there = dict(pool.run(kept))
    here = losses(Workers(pool.trainer).run(asked))
    assert losses(there.items()) == here and all(there[n].state.read() for n in range(4))

    long, found = [job(seed, 60) for seed in range(6)], {}
    for number, answer in pool.run(long):
        if not found:
            busy = [actor.handle for actor in pool.executor._actors if actor.ticket is not None]
            assert len(busy) >= 2
            nodes.remove_node(sorted(nodes.worker_nodes, key=lambda n: n.node_id)[0], allow_graceful=False)
        found[number] = answer
    assert sorted(found) == list(range(6)) and all(answer.curve for answer in found.values())
    nodes.add_node(num_cpus=1)


def test_what_an_actor_cannot_open_is_said(nodes, pool):
    from autopeft.base.errors import AutopeftError
    from autopeft.executor.cluster import Cluster
    from autopeft.executor.seam import Recipe
    from autopeft.executor.workers import Workers

    executor = Cluster(nodes.address, 1)
    executor.start(replace(Recipe(**json.loads(pool.executor._recipe)), data="0" * 64))
    with pytest.raises(AutopeftError, match="A worker reads other data from rotten-tomatoes than the search did"):
        list(Workers(pool.trainer, executor).run([job(0)]))
    executor.close()


def test_a_pack_that_is_cancelled_stops_its_actor(pool):
    from autopeft.executor.order import Order
    from autopeft.executor.seam import Pack

    executor = pool.executor
    ticket = executor.submit(Pack((Order(job(0, 10_000)),), 1e-3))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert not executor.events(1.0)
    executor.cancel(ticket)
    assert all(actor.ticket is None for actor in executor._actors)


def test_a_search_on_the_cluster_is_a_search(nodes, pool, tmp_path):
    pool.close()
    options = ["--trials", "3", "--cohort", "3", "--rates", "1", "--no-ceiling", "--space", "lora", "--deterministic"]
    there = [*options, "--executor", "ray", "--address", nodes.address, "--workers", "2"]
    ran = autopeft("search", *SMALL, *there, "--out", tmp_path / "there")
    assert "Training in 2 Ray actors" in ran.stderr
    autopeft("search", *SMALL, *options, "--workers", "1", "--out", tmp_path / "here")
    assert curves(tmp_path / "there") == curves(tmp_path / "here")


def curves(folder) -> dict:
    from autopeft.study.reading import read_study

    study = read_study(folder)
    runs = {t.number: t.curve for t in study.trials} | {(o.name, c.seed): c for o in study.outcomes for c in o.curves}
    return {name: replace(c, seconds=0, peak_memory_bytes=0) for name, c in runs.items() if c}


def test_where_no_cluster_is_the_search_says_so(tmp_path):
    options = ["--executor", "ray", "--address", "127.0.0.1:1", "--out", tmp_path / "study"]
    assert "No Ray cluster is at 127.0.0.1:1" in autopeft("search", *SMALL, *options, check=2).stderr
