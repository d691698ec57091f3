"""What timing decides is kept for every resume; a deterministic study lets it decide nothing and repeats bit for bit."""

from dataclasses import replace

import pytest
import torch

import autopeft
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.packing import Packing
from autopeft.proxy.packing_file import PackingFile
from autopeft.report.chosen import chosen_note
from autopeft.study.reading import read_study

SMALL = autopeft.StudySpec.read(
    "quickstart",
    trials=4,
    cohort=2,
    full_steps=6,
    batch_size=8,
    train_rows=64,
    validation_rows=32,
    test_rows=32,
    max_length=16,
    seeds=1,
    finalists=1,
    ceiling=False,
    workers=2,
    deterministic=True,
)


def timed(*_, **__):
    raise AssertionError("a deterministic study timed something")


class Interrupted(autopeft.Progress):
    """Ctrl-C after the first trial."""

    def step(self, text):
        raise KeyboardInterrupt


def curves(folder):
    """Losses and scores of every trial and full-length run."""
    result = read_study(folder)
    runs = {f"trial {t.number}": t.curve for t in result.trials}
    runs |= {f"{o.name}, {c.seed}": c for o in result.outcomes for c in o.curves}
    return {name: replace(c, seconds=0, peak_memory_bytes=0, measured={}) for name, c in runs.items() if c}


@pytest.fixture
def untimed(monkeypatch):
    monkeypatch.setattr("autopeft.proxy.session.fastest", timed)
    monkeypatch.setattr("autopeft.executor.workers.cores", lambda: 2)


def test_two_deterministic_searches_and_a_resumed_one_give_the_same_bits(tmp_path, untimed):
    threads = torch.get_num_threads()
    autopeft.search(SMALL, tmp_path / "one")
    autopeft.search(SMALL.model_copy(update={"workers": 1}), tmp_path / "two")  # one thread each, however many
    autopeft.search(SMALL, tmp_path / "three", Interrupted(quiet=True))
    assert not read_study(tmp_path / "three").outcomes
    autopeft.search(SMALL, tmp_path / "three")
    one = curves(tmp_path / "one")
    assert len(one) >= 6 and one == curves(tmp_path / "two") == curves(tmp_path / "three")
    assert torch.get_num_threads() == threads
    stored = read_study(tmp_path / "one")
    assert stored.environment["precision"] == {"format": "fp32", "attention": "sdpa", "seconds_per_step": {}}
    assert stored.environment["workers"] == 2 and stored.environment["packing"] == {"families": 0, "packed": 0}
    assert "Pinned by --deterministic" in chosen_note(stored)
    assert "Pinned by --deterministic" in (tmp_path / "one" / "report.html").read_text(encoding="utf-8")


def family(runs: int = 2) -> list[Job]:
    lora = get_method("lora")
    return [Job(Configuration.of("lora", lora.defaults, (1, 2), rate), 0, 4, 4) for rate in (1e-3, 2e-3, 4e-3)[:runs]]


class Tokenised:
    """As much of a task as packing asks for."""

    class kind:
        @staticmethod
        def generates(_):
            return False

    class task:
        metric = "accuracy"


def packing(folder) -> Packing:
    made = Packing(Tokenised, True)
    made.file = PackingFile(folder)
    return made


def test_packing_is_timed_once_per_study_and_kept_for_its_resume(tmp_path):
    first = packing(tmp_path)
    assert first.pays(family(), lambda _: 1.0, lambda _: 1.5) is True
    assert first.pays(family(3), lambda _: 1.0, lambda _: 3.5) is False
    resumed = packing(tmp_path)
    assert resumed.pays(family(), timed, timed) is True and resumed.pays(family(3), timed, timed) is False
    assert PackingFile(tmp_path).summary() == {"families": 2, "packed": 1}


def test_of_two_workers_that_time_a_family_at_once_the_first_decides(tmp_path):
    one, other = packing(tmp_path), packing(tmp_path)

    def meanwhile(_):
        assert one.pays(family(), lambda _: 1.0, lambda _: 9.0) is False
        return 1.0

    assert other.pays(family(), meanwhile, lambda _: 1.5) is False


def test_a_line_that_was_not_finished_says_nothing(tmp_path):
    packing(tmp_path).pays(family(), lambda _: 1.0, lambda _: 1.5)
    path = PackingFile(tmp_path).path
    path.write_bytes(path.read_bytes()[:-40])
    resumed = packing(tmp_path)
    assert resumed.pays(family(), lambda _: 1.0, lambda _: 9.0) is False
    assert packing(tmp_path).pays(family(), timed, timed) is False


@pytest.mark.parametrize("seconds, word", [({"fp32/sdpa": 0.1, "fp32/eager": 0.2}, "timed"), ({}, "given")])
def test_the_note_says_what_was_timed(seconds, word):
    from made_up import WHOLE

    environment = {
        "precision": {"format": "fp32", "attention": "sdpa", "seconds_per_step": seconds},
        "workers": 2,
        "workers_seconds_per_step": {},
        "packing": {"families": 3, "packed": 1},
    }
    said = chosen_note(replace(WHOLE, environment=environment))
    assert f"fp32, sdpa attention ({word}), 2 processes (given), 1 of 3 families of runs packed (timed)" in said
    assert chosen_note(replace(WHOLE, environment={})) == ""
