"""Progress on the terminal, with an estimate of the time that is left."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from deeplinear._support.checks import describe
from deeplinear._support.terminal import is_terminal

#: Takes the share of the work that is done, from 0 to 1.
Update = Callable[[float], None]


@contextmanager
def progress_bar(enabled: bool | Update, description: str) -> Iterator[Update]:
    """Show a bar on standard error while the block runs: rich's where installed, else a line.

    Parameters
    ----------
    enabled : bool or callable
        False shows nothing, and so does True where standard error is not a terminal; a function
        takes the place of the bar. Its first argument is 0, none is less than the one before.
    description : str
        What stands before the bar.

    Yields
    ------
    callable
        To be called with the share done, and with 1 when all is. An error of the terminal ends the
        bar alone; one of a function is raised.
    """
    if callable(enabled):
        yield _in_order(enabled)
        return
    if not isinstance(enabled, bool):
        raise TypeError(f"progress must be True, False or a function; got {describe(enabled)}.")
    stream = sys.stderr
    if not enabled or not is_terminal(stream):
        yield lambda share: None
        return
    bar = _Bar(stream, description)
    try:
        yield bar.update
    finally:
        bar.close()


@contextmanager
def progress_text() -> Iterator[Callable[[float, str], None]]:
    """Show a bar on standard error while the block runs, beside words that change.

    Yields
    ------
    callable
        To be called with the share done, and the words; it does nothing where standard error is
        no terminal. An error of the terminal ends the bar alone.
    """
    stream = sys.stderr
    if not is_terminal(stream):
        yield lambda share, text: None
        return
    bar = _Bar(stream, "", timed=False)
    try:
        yield bar.update
    finally:
        bar.close()


def _in_order(function: Update) -> Update:
    """Call a function with shares that begin at 0 and don't fall."""
    last: float | None = None

    def update(share: float) -> None:
        nonlocal last
        if last is None:
            last = 0.0
            function(last)
            if share <= 0:
                return
        elif last >= 1:
            return
        last = min(max(last, share), 1.0)
        function(last)

    return update


class _Quiet(io.TextIOBase):
    """A stream that loses what it can't write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "ascii"

    def isatty(self) -> bool:
        return is_terminal(self._stream)

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with suppress(Exception):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(Exception):
            self._stream.flush()


class _Bar:
    """A bar that no error of the terminal gets out of."""

    def __init__(self, stream: TextIO, description: str, *, timed: bool = True) -> None:
        self._shown: _Rich | _Line | None = None
        quiet = _Quiet(stream)
        with suppress(Exception):
            try:
                self._shown = _Rich(quiet, description, timed)
            except ImportError:
                self._shown = _Line(quiet, description, timed)

    def update(self, share: float, text: str | None = None) -> None:
        try:
            if self._shown is not None:
                self._shown.update(share, text)
        except Exception:
            self._shown = None

    def close(self) -> None:
        try:
            if self._shown is not None:
                self._shown.close()
        except Exception:
            self._shown = None


class _Rich:
    def __init__(self, stream: _Quiet, description: str, timed: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

        time_left = (TimeRemainingColumn(),) if timed else ()
        columns = ("{task.description}", BarColumn(), TaskProgressColumn(), *time_left)
        options: dict[str, Any] = {
            "transient": True,
            "auto_refresh": False,  # no thread of its own
            # What others print stays where it goes, unless it goes to the same terminal.
            "redirect_stdout": is_terminal(sys.stdout),
        }
        console = Console(file=cast(TextIO, stream))
        self._progress = Progress(*columns, console=console, **options)
        self._progress.start()
        self._task = self._progress.add_task(description, total=1.0)

    def update(self, share: float, text: str | None) -> None:
        self._progress.update(self._task, completed=share, description=text, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class _Line:
    def __init__(self, stream: _Quiet, description: str, timed: bool) -> None:
        self._stream, self._description, self._timed = stream, description, timed
        self._start = time.monotonic()

    def update(self, share: float, text: str | None) -> None:
        if text is not None:
            self._description = text
        left = (time.monotonic() - self._start) * (1 - share) / share if share > 0 else float("inf")
        estimate = f", {left:.0f} s left" if self._timed and left < float("inf") else ""
        self._stream.write(f"\r\033[K{self._description}: {share:.0%}{estimate}")
        self._stream.flush()

    def close(self) -> None:
        self._stream.write("\r\033[K")
        self._stream.flush()
