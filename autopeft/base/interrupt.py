"""Ctrl-C and SIGTERM that cannot get lost: they are noted as well as raised, and whoever goes on to the next step asks for the note.

Python drops an exception that is raised in a destructor, a callback of a weak reference or of C code, or a hook of
os.fork(), in which every signal is raised that arrives during the fork. A library may catch it as well.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

EXIT_TERMINATED = getattr(os, "EX_TEMPFAIL", 75)  # what was begun can be gone on with: start it again


class Terminated(SystemExit):
    """SIGTERM: a scheduler wants the machine back."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


RAISED: dict[signal.Signals, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
BEFORE: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}  # Python's own handlers
_noted: signal.Signals | None = None


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """Note every SIGINT and SIGTERM while the body runs; the first and each later one raises what belongs to it.

    A handler other than Python's own stays: the process ignores SIGINT, as a shell's background jobs do, somebody else
    handles it, or an outer block notes it. So does every handler in a thread that is not the main one.

    Raises:
        KeyboardInterrupt: SIGINT.
        Terminated: SIGTERM.
    """
    global _noted
    mine = [number for number in RAISED if _begun(number)]
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, BEFORE[number])
        if mine:
            _noted = None


def raise_if_interrupted() -> None:
    """Raise an interrupt that was noted: where the first one was dropped, this one ends what runs.

    Raises:
        KeyboardInterrupt, Terminated: SIGINT or SIGTERM came since the outermost `interrupts_noted` began.
    """
    if _noted:
        raise RAISED[_noted]()


def _begun(number: signal.Signals) -> bool:
    """Whether a signal is noted from now on, and was not before."""
    if signal.getsignal(number) is not BEFORE[number]:
        return False
    with suppress(ValueError):  # a thread that is not the main one may not
        signal.signal(number, _note_and_raise)
    return signal.getsignal(number) is _note_and_raise


def _note_and_raise(number: int, frame: FrameType | None) -> None:
    global _noted
    _noted = signal.Signals(number)
    raise RAISED[_noted]()
