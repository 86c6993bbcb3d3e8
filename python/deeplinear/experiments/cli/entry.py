"""The console script ``deeplinear``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from deeplinear._support.signals import Stop, at_once
from deeplinear._support.terminal import Sink, print_version, say, standard_streams
from deeplinear.experiments.cli import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the command line; say what to install where its packages are missing."""
    with standard_streams() as output:
        code = _status()
        code = _flushed(output, code)
    sys.exit(code)


def _status() -> int:
    if sys.argv[1:] == ["--version"]:  # nothing is loaded for it
        print_version()
        return 0
    with at_once():
        app = _load()
    if app is None:
        return 1
    stop = Stop()
    with stop.listening():
        code = _code(app)
    if stop.signal is not None and code in (0, INTERRUPTED):
        return 128 + stop.signal
    return code


def _load() -> Callable[..., object] | None:
    from deeplinear._support.files import require

    try:
        require("The command line", "typer", "rich")
    except ImportError as error:
        say(str(error))
        return None
    from deeplinear.experiments.cli.commands import app

    return app


def _code(app: Callable[..., object]) -> int:
    """Run the command; what it exits with."""
    try:
        app(prog_name="deeplinear")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        say("stopped.")
        return INTERRUPTED
    return 0


def _flushed(output: Sink, code: int) -> int:
    """Write what is left of the output; an error of it is the command's, where it has no other."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on
        return code or 1
    except (OSError, ValueError):
        pass
    if output.lost and output.error is not None and not isinstance(output.error, BrokenPipeError):
        from deeplinear._support.files import has_written

        complete = "; the files are complete" if code == 0 and has_written.is_set() else ""
        say(
            "standard output could not be written: "
            f"{output.error.strerror or output.error}{complete}."
        )
        return code or 1
    return code


if __name__ == "__main__":
    main()
