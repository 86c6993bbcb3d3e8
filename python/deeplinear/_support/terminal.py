"""The standard streams: what becomes of them ends no program and costs no result."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from deeplinear._core import build_config

__all__ = ["Sink", "is_terminal", "print_version", "say", "standard_streams", "unwritten"]


def is_terminal(stream: object) -> bool:
    """Say whether a stream is there, open, and a terminal."""
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except Exception:  # None, closed, or an object of somebody's own
        return False


def say(sentence: str) -> None:
    """Print a sentence of the command line on standard error, where there is one."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(f"deeplinear: {sentence}", file=sys.stderr)


def print_version() -> None:
    """Print the version of the package."""
    print(f"deeplinear {build_config()['version']}")


class Sink(io.RawIOBase):
    """A file descriptor to write to. The first error is kept; from there on all is lost.

    Parameters
    ----------
    descriptor : int
        Where to.
    error : OSError, optional
        Why nothing can be written from the start.
    pipe_ends : bool, default True
        Whether a pipe that nobody reads raises `BrokenPipeError`, once; other errors don't.

    Attributes
    ----------
    error : OSError or None
        The first error.
    lost : bool
        Whether something was to be written after it.
    """

    def __init__(
        self, descriptor: int, error: OSError | None = None, *, pipe_ends: bool = True
    ) -> None:
        self.error = error
        self.lost = False
        self._descriptor = descriptor
        self._pipe_ends = pipe_ends

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Say whether it is a terminal that can still be written."""
        return self.error is None and os.isatty(self._descriptor)

    def write(self, data: object) -> int:
        """Write some of the bytes, or lose them all; return how many."""
        view = memoryview(data)  # type: ignore[arg-type]
        try:
            if self.error is None:
                return self._written(view)
        except OSError as error:
            self.error = error
            if self._pipe_ends and isinstance(error, BrokenPipeError):
                raise
        self.lost = self.lost or view.nbytes > 0
        return view.nbytes

    def _written(self, view: memoryview) -> int:
        with suppress(BlockingIOError):
            return os.write(self._descriptor, view)
        # Another program has made it non-blocking.
        select.select([], [self._descriptor], [])
        return self._written(view)


@contextmanager
def standard_streams() -> Iterator[Sink]:
    """Give the program standard streams whose errors end nothing, while the block runs.

    Characters that their encoding lacks are replaced. A descriptor that is closed is opened on the
    null device, so that no file of data becomes standard error by its number.

    Yields
    ------
    Sink
        Standard output.
    """
    for descriptor in range(3):
        _open_if_closed(descriptor)
    before = sys.stdout, sys.stderr
    output = _take(sys.stdout, sys.__stdout__, 1, "replace", pipe_ends=True)
    errors = _take(sys.stderr, sys.__stderr__, 2, "backslashreplace", pipe_ends=False)
    if output is not None:
        sys.stdout = output[0]
    if errors is not None:
        sys.stderr = errors[0]
    try:
        yield Sink(1) if output is None else output[1]
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number


def _take(
    stream: TextIO | None, original: TextIO | None, descriptor: int, errors: str, *, pipe_ends: bool
) -> tuple[TextIO, Sink] | None:
    """Wrap a standard stream; None where it is an object of somebody's own."""
    if stream is not original:
        return None
    reason = None
    if stream is None or stream.closed:
        reason = OSError("it is closed")
    else:
        with suppress(OSError):
            stream.flush()
    sink = Sink(descriptor, reason, pipe_ends=pipe_ends)
    encoding = "utf-8" if stream is None else stream.encoding
    lines = descriptor == 2 or sink.isatty()
    buffer = io.BufferedWriter(sink)
    return io.TextIOWrapper(buffer, encoding, errors=errors, line_buffering=lines), sink


def unwritten(what: str, error: Exception, data: Sequence[Path]) -> str:
    """Say which file could not be written, and where the data are.

    Parameters
    ----------
    what : str
        What was to be written, where the error names no file.
    error : Exception
        Why not.
    data : sequence of Path
        The files that are there.
    """
    if isinstance(error, OSError):
        what, reason = error.filename or what, error.strerror or str(error)
    else:
        reason = str(error).removesuffix(".") or "out of memory"
    are = f"; the data are in {', '.join(map(str, data))}" if data else ""
    return f"{what} could not be written: {reason}{are}."
