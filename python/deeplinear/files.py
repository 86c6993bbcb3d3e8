"""Files that are whole or not there, and the optional packages that write them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from deeplinear.checks import describe


def require(purpose: str, *modules: str) -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    purpose : str
        What needs them, the start of the error.
    *modules : str
        Their import names.

    Raises
    ------
    ImportError
        With what to install.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}, which can't be imported here; "
            "pip install 'deeplinear[all]' brings every optional package."
        )


def writable_directory(name: str, value: str | os.PathLike[str]) -> Path:
    """Take a directory that can be written; one that does not exist is made, with its parents.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : path-like
        The directory.

    Raises
    ------
    ValueError
        If it cannot be made or written.
    """
    path = Path(value)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"{name} must be a directory that can be written; got {describe(str(path))}: {reason}."
        ) from None
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file under another name, which becomes `path` when the block ends without an error.

    Yields
    ------
    Path
        Where to write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
