"""Progress on the terminal, with an estimate of the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deeplinear.checks import describe

#: Takes the share of the work that is done, from 0 to 1.
Update = Callable[[float], None]


@contextmanager
def progress_bar(enabled: bool | Update, description: str) -> Iterator[Update]:
    """Show a bar on standard error while the block runs: rich's where installed, else a line.

    Parameters
    ----------
    enabled : bool or callable
        False shows nothing, and so does True where standard error is not a terminal; a function
        takes the place of the bar.
    description : str
        What stands before the bar.

    Yields
    ------
    callable
        To be called with the share done.
    """
    if callable(enabled):
        yield enabled
        return
    if not isinstance(enabled, bool):
        raise TypeError(f"progress must be True, False or a function; got {describe(enabled)}.")
    if not enabled or not sys.stderr.isatty():
        yield lambda share: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn
    except ModuleNotFoundError:
        yield _line(description)
        sys.stderr.write("\r\033[K")
        return
    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def _line(description: str) -> Update:
    start = time.monotonic()

    def update(share: float) -> None:
        left = (time.monotonic() - start) * (1 - share) / share if share > 0 else float("inf")
        estimate = f", {left:.0f} s left" if left < float("inf") else ""
        sys.stderr.write(f"\r\033[K{description}: {share:.0%}{estimate}")
        sys.stderr.flush()

    return update
