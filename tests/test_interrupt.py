"""Ctrl-C ends what runs even where the KeyboardInterrupt is swallowed on its way: in a destructor."""

import signal
import threading

import pytest
from full_study import made_study, trained_as

import autopeft
from autopeft.base.interrupt import EXIT_TERMINATED, Terminated, interrupts_noted, raise_if_interrupted
from autopeft.prepare import prepare
from autopeft.study.reading import read_study
from autopeft.study.spec import StudySpec
from autopeft.tabular.build import build_benchmark

pytestmark = [
    pytest.mark.usefixtures("ctrl_c"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SMALL = {
    "train_rows": 48,
    "validation_rows": 20,
    "test_rows": 20,
    "max_length": 16,
    "full_steps": 4,
    "batch_size": 8,
    "seeds": 1,
    "precision": "fp32",
}


class Shot:
    """Sends Ctrl-C in its destructor, in which Python prints an exception and goes on."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


class Swallowed(autopeft.Progress):
    """Ctrl-C after the first piece of work, lost."""

    def step(self, text):
        if not hasattr(self, "steps"):
            Shot()
        self.steps = [*getattr(self, "steps", []), text]


def test_a_swallowed_interrupt_is_raised_by_whoever_asks_and_forgotten_at_the_end():
    with interrupts_noted():
        raise_if_interrupted()
        Shot()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                raise_if_interrupted()
    raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_and_the_second_interrupt_are_raised_where_they_arrive():
    with interrupts_noted():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_terminating_signal_is_an_exit_that_a_scheduler_starts_again():
    with interrupts_noted():
        for _ in range(2):
            with pytest.raises(SystemExit) as end:
                signal.raise_signal(signal.SIGTERM)
            assert end.value.code == EXIT_TERMINATED == 75
        with pytest.raises(Terminated):
            raise_if_interrupted()
    raise_if_interrupted()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_handler_that_somebody_chose_stays(handler):
    """A process that a shell starts in the background ignores Ctrl-C, which is meant for the one in the foreground."""
    signal.signal(signal.SIGINT, handler)
    with interrupts_noted():
        assert signal.getsignal(signal.SIGINT) is handler
        signal.raise_signal(signal.SIGINT)
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_thread_that_is_not_the_main_one_leaves_signals_alone():
    seen = []

    def body():
        with interrupts_noted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_whose_interrupt_was_swallowed_stops(tmp_path, workers):
    light = {"space": "lora", "importance": "none", "rungs": "none", "packing": False, "ceiling": False}
    spec = StudySpec.read("quickstart", **{**SMALL, **light, "trials": 4, "cohort": 2, "workers": workers})
    progress = Swallowed(quiet=True)
    assert autopeft.search(spec, tmp_path / "study", progress).interrupted
    assert len(progress.steps) < 4 and not read_study(tmp_path / "study").outcomes
    assert (tmp_path / "study" / "report.html").is_file()


def test_a_benchmark_whose_interrupt_was_swallowed_stops(tmp_path):
    progress = Swallowed(quiet=True)
    with pytest.raises(KeyboardInterrupt):
        build_benchmark(
            prepare(StudySpec.read("benchmark", **{**SMALL, "workers": 1})), tmp_path / "rows.csv", 3, progress
        )
    assert len(progress.steps) == 1


def test_a_training_whose_interrupt_was_swallowed_stops(tmp_path):
    study, progress = made_study(tmp_path / "study", trained_as("ia3")), Swallowed(quiet=True)
    with pytest.raises(KeyboardInterrupt):
        autopeft.train(study, "0", tmp_path / "adapter", steps=4, progress=progress)
    assert len(progress.steps) == 1 and not (tmp_path / "adapter").exists()
