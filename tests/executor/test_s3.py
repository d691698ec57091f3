"""States of trials and runs in an S3 server on loopback: killed, resumed, gone; and a worker without the study's folder."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from small_search import SMALL, autopeft

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.cluster
SECRET = "not-to-be-seen"
OPTIONS = ["--trials", "3", "--cohort", "3", "--rates", "1", "--no-ceiling", "--space", "lora", "--deterministic"]


@pytest.fixture(scope="module")
def bucket():
    """(environment that finds the server, its bucket as fsspec opens it)."""
    import s3fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    url = "http://{}:{}".format(*running.get_host_and_port())
    found = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": url}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (found | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
            patch.setenv(name, value)
        system = s3fs.S3FileSystem(use_listings_cache=False)
        system.mkdir("bucket")
        yield system
    running.stop()


def curves(folder) -> dict:
    from autopeft.study.reading import read_study

    study = read_study(folder)
    runs = {t.number: t.curve for t in study.trials} | {(o.name, c.seed): c for o in study.outcomes for c in o.curves}
    return {name: replace(c, seconds=0, peak_memory_bytes=0) for name, c in runs.items() if c}


def test_a_search_that_is_killed_goes_on_from_the_bucket(bucket, tmp_path):
    command = ["search", *SMALL, *OPTIONS, "--workers", "2"]
    there = [*command, "--out", str(tmp_path / "there"), "--artefacts", "s3://bucket/prefix"]
    running = subprocess.Popen([sys.executable, "-m", "autopeft", *there], stderr=subprocess.DEVNULL)
    kept: list[str] = []
    while not kept and running.poll() is None:  # before the first trial it may be a job of the head alone
        time.sleep(0.1)
        kept = [path for path in bucket.find("bucket/prefix") if path.endswith(".state")]
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert kept and all(path.startswith("bucket/prefix/there-") for path in kept)
    assert not (tmp_path / "there" / "states").exists()
    autopeft(*there)
    assert bucket.find("bucket/prefix") == []
    autopeft(*command, "--out", tmp_path / "here")
    assert curves(tmp_path / "there") == curves(tmp_path / "here")
    assert SECRET.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "there").iterdir() if p.is_file())


def test_what_cannot_be_reached_is_one_sentence(bucket, tmp_path):
    asked = ["search", *SMALL, *OPTIONS, "--out", tmp_path / "study", "--artefacts"]
    said = autopeft(*asked, "s3://no-such-bucket/prefix", check=2).stderr
    assert "s3://no-such-bucket/prefix/check-" in said and "cannot be written" in said
    unreachable = {**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    said += autopeft(*asked, "s3://bucket/prefix", check=2, env=unreachable).stderr
    assert "127.0.0.1:1" in said and SECRET not in said and not (tmp_path / "study").exists()


def test_a_worker_that_does_not_see_the_study_folder_trains_from_the_bucket(bucket, tmp_path):
    from autopeft.base.artefacts import Artefacts
    from autopeft.base.errors import AutopeftError
    from autopeft.base.progress import Progress
    from autopeft.configuration import Configuration
    from autopeft.executor.order import Order
    from autopeft.methods import get_method
    from autopeft.prepare import prepare
    from autopeft.proxy.job import Job
    from autopeft.resident import load_resident, load_workers
    from autopeft.study.folder import StudyFolder
    from autopeft.study.spec import StudySpec
    from autopeft.worker import RemoteWorker, open_trainer

    few = {"train_rows": 16, "validation_rows": 16, "test_rows": 16, "max_length": 16, "full_steps": 4}
    spec = StudySpec(**few, artefacts="s3://bucket/prefix", workers=2, deterministic=True)
    prepared, quiet = prepare(spec), Progress(quiet=True)
    study = StudyFolder(tmp_path / "not there")
    study.artefacts = Artefacts("s3://bucket/prefix").within("study")
    workers = load_workers(prepared, load_resident(prepared, None, quiet), quiet, folder=study)
    workers.executor.close()
    recipe = workers.executor._recipe
    configuration = Configuration.of("lora", get_method("lora").defaults, (5,), 1e-3)
    job, remote = Job(configuration, 0, 4, 2), RemoteWorker(json.dumps(recipe.to_json()))
    first = given(remote, Order(job, keep=study.state_path(0, 2, 1e-3)))
    assert first.state.path == "s3://bucket/prefix/study/trial-0-2-0.001.state" and first.state.read()
    second = given(remote, Order(replace(job, until=4), first.state))
    assert second.curve.steps == (4,) and not study.path.exists()
    shared = replace(recipe, spec={**recipe.spec, "artefacts": None, "executor": "ray"})
    with pytest.raises(AutopeftError, match=r"does not see the study's folder .*not there: .* or give --artefacts\.$"):
        open_trainer(shared)


def given(remote, order):
    from autopeft.executor.order import Answer
    from autopeft.executor.seam import Pack

    (answer,) = json.loads(remote.do(json.dumps(Pack((order,), 1e-3).to_json())))["answers"]
    found = Answer.from_json(answer)
    assert found.failure is None
    return found
