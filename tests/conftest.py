"""Fixtures that several stations' tests share. Tiny random models are in tests/tiny.py, sizes without models in tests/sizes.py."""

import os
import signal
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here needs a hub, and a look-up would cost seconds
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # side by side, one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of the real MiniLM-L6, fetched once into the user's cache."""
    from autopeft.backbone.resolve import resolve

    return resolve("minilm-l6")


@pytest.fixture(autouse=True)
def seeded():
    """What a test draws without a generator of its own is the same in every run."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a foreground process, here and in processes started here: a shell's background jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
