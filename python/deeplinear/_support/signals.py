"""Ctrl-C, and the other signals that ask a program to end, as the command line takes them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["Stop", "at_once", "terminated_as_interrupted", "uninterrupted"]

_Handler = Callable[[int, FrameType | None], object]

#: Those of Ctrl-C, of ``kill`` and of a terminal that is closed.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


#: Those of the process, at most one.
_listening: list[Stop] = []


@contextmanager
def _handled(
    handler_of: Callable[[object], _Handler], numbers: Sequence[signal.Signals] = _SIGNALS
) -> Iterator[None]:
    """Handle the signals that are not ignored, in the main thread, while the block runs.

    The new handler is made from the one before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    # None is a handler that was not set from Python: it stays.
    ours = [number for number in numbers if before[number] not in (signal.SIG_IGN, None)]
    try:
        for number in ours:
            signal.signal(number, handler_of(before[number]))
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


@contextmanager
def at_once() -> Iterator[None]:
    """Let a signal end the process quietly while the block runs, since nothing can be lost yet.

    An exception would pass through code that is being imported, which may swallow or print it.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        _write("stopped.")
        os._exit(128 + number)

    with _handled(lambda before: leave):
        yield


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM stop the block as Ctrl-C does, where nobody else takes it."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(lambda before: interrupt, (signal.SIGTERM,)):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the block finish when a signal comes, which then acts; a second one acts at once."""
    waiting: list[tuple[int, object]] = []

    def handler(before: object) -> _Handler:
        def wait(number: int, frame: FrameType | None) -> None:
            waiting.append((number, before))
            if len(waiting) > 1:
                waiting.clear()
                _pass_on(number, before, frame)

        return wait

    with _handled(handler):
        yield
    for number, before in waiting:
        _pass_on(number, before, None)
    if any(stop.signal is not None for stop in _listening):
        raise KeyboardInterrupt  # once more: other code has swallowed it


def _pass_on(number: int, handler: object, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    else:  # what the system does
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


class Stop:
    """What the signals do while a command works: each acts as Ctrl-C.

    The first one raises `KeyboardInterrupt`. The second finds what had finished being saved, and
    lets it; the third raises again, and the file that is being written is given up whole.

    Attributes
    ----------
    signal : int or None
        The first that came.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._count = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while the block runs."""
        _listening.append(self)
        try:
            with _handled(lambda before: self._take):
                yield
        finally:
            _listening.remove(self)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.signal = number if self.signal is None else self.signal
        self._count += 1
        if self._count == 2:
            _write("stopping; once more gives up what is being saved.")
        else:
            raise KeyboardInterrupt


def _write(sentence: str) -> None:
    """Write to standard error, whatever was being written to it when the signal came."""
    with suppress(OSError):
        os.write(2, f"deeplinear: {sentence}\n".encode())
