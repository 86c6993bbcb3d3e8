"""Files that are whole or not there, and the optional packages that write them."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from deeplinear._support.checks import describe


def require(purpose: str, *modules: str, extra: str = "all") -> None:
    """Check that optional packages are installed.

    Parameters
    ----------
    purpose : str
        What needs them, the start of the error.
    *modules : str
        Their import names.
    extra : str
        The extra of the package that brings them.

    Raises
    ------
    ImportError
        With what to install.
    """
    missing = [name for name in modules if not _is_there(name)]
    if missing:
        brings = "every optional package" if extra == "all" else "what it needs"
        raise ImportError(
            f"{purpose} needs {' and '.join(missing)}, which can't be imported here; "
            f"pip install 'deeplinear[{extra}]' brings {brings}."
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # what stands for it has no origin
        return False


def user_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Take a path as a person writes it: ``~`` and ``~user`` are home directories.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : path-like
        The path. The shell leaves the ``~`` of ``--out=~/x`` as it is, and scripts have no shell.

    Raises
    ------
    TypeError, ValueError
        If it is no path, or one that no file can have.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path; got {describe(value)}.")
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a path of text; got {describe(text)}.")
    if "\0" in text:
        raise ValueError(f"{name} must be a path without null characters; got {describe(text)}.")
    return Path(os.path.expanduser(text))


def in_use(path: Path) -> bool:
    """Say whether another process has a data file open to write: HDF5 locks it then."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system has no locks, or the file can't be read
        return False
    return False


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Keep others of this package from choosing names in a directory meanwhile.

    Parameters
    ----------
    folder : Path
        A directory that is there.

    Yields
    ------
    bool
        Whether it is locked: not where the file system has no locks, or where someone else, who
        may wait for this process, holds the lock for longer than ten seconds.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    end = time.monotonic() + _LOCK_PATIENCE
    while (got := _try_lock(descriptor)) is None and time.monotonic() < end:
        time.sleep(0.02)
    return got is True


def _try_lock(descriptor: int) -> bool | None:
    """Lock a file; False where the file system has no locks, None where another has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def writable_directory(name: str, value: str | os.PathLike[str]) -> Path:
    """Take a directory that can be written; one that does not exist is made, with its parents.

    Parameters
    ----------
    name, value
        As of `user_path`.

    Raises
    ------
    ValueError
        If it cannot be made or written.
    """
    path = user_path(name, value)
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
def none_left_empty(path: Path) -> Iterator[None]:
    """Take directories away that are made meanwhile for a path, where nothing is in them."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # the first one that is in use, or was not made
            for folder in missing:
                folder.rmdir()


def writable_file(name: str, value: str | os.PathLike[str]) -> Path:
    """Take a file that can be written, in a directory that is there.

    Parameters
    ----------
    name, value
        As of `user_path`; the file need not be there.

    Raises
    ------
    ValueError
        If it is a directory, or its directory cannot be written.
    """
    path = user_path(name, value)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{name} must be a file in a directory that is there; got {describe(str(path))}."
        )
    writable_directory(f"The directory of {name}", path.parent)
    return path


def file_name(name: str, value: object) -> str:
    """Take the name of a file, which stays in its directory.

    Parameters
    ----------
    name, value
        The argument's name, for the error, and what it got.

    Raises
    ------
    TypeError, ValueError
        If it is no text, empty, or has a separator or a null character.
    """
    takes = f"{name} must be the name of a file without separators; got {describe(value)}."
    if not isinstance(value, str):
        raise TypeError(takes)
    if not value or {os.sep, "\0"} & set(value):
        raise ValueError(takes)
    return value


#: The mark of this package's temporaries, and how long one may wait to be locked, in seconds.
_MARK = ".deeplinear.tmp"
_PATIENCE = 60.0
#: Set once `write_file` has written a file.
has_written = threading.Event()
#: How long to wait for a directory's lock, in seconds.
_LOCK_PATIENCE = 10.0
#: What the system says where a file system has no hard links.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


def write_file(path: Path, content: bytes | memoryview, *, new: bool = False) -> None:
    """Write a file that is whole or not there, also after a crash or a loss of power.

    The bytes go to a temporary in the same directory, which is flushed to the disk and then takes
    the file's name. Who is stopped before leaves the old file, and a temporary that the next
    write into the directory removes. What is written is in memory as a whole: it takes as much
    memory as the file, beside the data that it was made from.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced, and a link is followed.
    content : bytes or memoryview
        All of it.
    new : bool, default False
        Whether to take a name that is free, also where several processes want it.

    Raises
    ------
    FileExistsError
        If `new`, and the name is taken, be it by a link that leads nowhere.
    OSError
        If it cannot be written, or `path` is something else than a file; the old file is as it
        was, and no temporary is left. Its ``filename`` is `path`.
    """
    try:
        if not new:
            _check_regular(path)
            _write(Path(os.path.realpath(path)), content, os.replace)
        elif os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        else:
            _write(path, content, _take)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _take(temporary: Path, path: Path) -> None:
    """Give a file a name that nobody has."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        try:
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
    else:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write a file piece by piece, which is whole or not there as that of `write_file`.

    Parameters
    ----------
    path : Path
        The file; one that is there is replaced when the block ends, and a link is followed.

    Raises
    ------
    OSError
        As of `write_file`.
    """
    try:
        _check_regular(path)
        with _temporary(Path(os.path.realpath(path)), os.replace) as file:
            yield file
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def _write(
    path: Path, content: bytes | memoryview, give_name: Callable[[Path, Path], None]
) -> None:
    with _temporary(path, give_name) as file:
        file.write(content)


@contextmanager
def _temporary(path: Path, give_name: Callable[[Path, Path], None]) -> Iterator[BinaryIO]:
    """Open a file that is given its name when the block has ended."""
    _sweep(path.parent)
    # Unlike mkstemp's, a mode that the umask decides.
    temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}{_MARK}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
            give_name(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    has_written.set()
    _sync_directory(path.parent)


def check_replaceable(name: str, path: Path) -> None:
    """Check that `write_file` may put a file there.

    Parameters
    ----------
    name : str
        The argument that says where, for the error.
    path : Path
        The file to be.

    Raises
    ------
    ValueError
        If a directory, a device or a pipe has its name, it is a link into a directory that is not
        there, or what is there cannot be looked at.
    """
    try:
        _check_regular(path)
    except OSError as error:
        raise ValueError(
            f"{name} is in use: {path} could not be replaced: {error.strerror}."
        ) from None


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink() and not os.path.isdir(os.path.dirname(os.path.realpath(path))):
            raise
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _sync_directory(folder: Path) -> None:
    """Flush the directory, which holds the new name; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove temporaries that nobody writes: older than a minute, and not locked.

    Where the file system has no locks, an hour.
    """
    for temporary in folder.glob(f".*{_MARK}"):
        with suppress(OSError):
            age = time.time() - temporary.stat().st_mtime
            if age < _PATIENCE:
                continue
            with open(temporary, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                except OSError:
                    if age < 60 * _PATIENCE:
                        continue
                temporary.unlink(missing_ok=True)
