"""How commands end: with a sentence and a status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from deeplinear._support.terminal import say

__all__ = ["one_sentence", "stop"]


def stop(sentence: str, code: int) -> NoReturn:
    """Say a sentence and end the command."""
    say(sentence)
    raise typer.Exit(code)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End with the error's sentence where an argument or an optional package is not as needed."""
    try:
        yield
    except (TypeError, ValueError) as error:
        stop(str(error), 2)
    except ImportError as error:
        stop(str(error), 1)
    except MemoryError as error:
        stop(str(error) or "out of memory.", 1)
