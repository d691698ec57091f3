"""Ctrl-C that cannot get lost: SIGINT is noted as well as raised, and whoever goes on to the next step asks for the note.

Python drops a KeyboardInterrupt that is raised in a destructor, a callback of a weak reference or of C code, or a hook of
os.fork(), in which every signal is raised that arrives during the fork. A library may catch it as well.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_noted = False


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """Note every SIGINT while the body runs; the first and each later one raises KeyboardInterrupt as before.

    A handler other than Python's own stays: the process ignores SIGINT, as a shell's background jobs do, somebody else
    handles it, or an outer block notes it. So does every handler in a thread that is not the main one.
    """
    global _noted
    mine = _begun()
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _noted = False


def raise_if_interrupted() -> None:
    """Raise an interrupt that was noted: where the first one was dropped, this one ends what runs.

    Raises:
        KeyboardInterrupt: SIGINT came since the outermost `interrupts_noted` began.
    """
    if _noted:
        raise KeyboardInterrupt


def _begun() -> bool:
    """Whether SIGINT is noted from now on, and was not before."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    with suppress(ValueError):  # a thread that is not the main one may not
        signal.signal(signal.SIGINT, _note_and_raise)
    return signal.getsignal(signal.SIGINT) is _note_and_raise


def _note_and_raise(number: int, frame: FrameType | None) -> None:
    global _noted
    _noted = True
    raise KeyboardInterrupt
