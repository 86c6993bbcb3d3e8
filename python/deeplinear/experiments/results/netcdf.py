r"""Data files: netCDF-4 with a checksum of all bytes, which is compared before a file is used.

A file is what h5netcdf writes, followed by one line of text::

    deeplinear sha256 <64 hexadecimal digits>

HDF5 files end where their superblock says, and what follows is passed over: xarray, h5py and the
tools of netCDF open the file as if the line were not there. The checksum covers every byte before
the line, names, attributes and padding included, so that one wrong bit is found, and found before
the HDF5 library reads it: of damaged bytes it may make an endless loop or another number. By hand,
the line is ``tail -c 84 x.nc``, and ``head -c -84 x.nc | sha256sum`` is what it should say.

Where the line itself is damaged, the file is longer than its superblock says, and counts as
damaged. Files of other programs and of earlier versions have no such line and end where they say:
they are read as far as HDF5 can, and have "no checksum". Large arrays also have HDF5's own
checksums (Fletcher-32), which every program compares that reads them.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal

import xarray as xr

from deeplinear._support.files import in_use, require, user_path

__all__ = ["GOOD", "MODULES", "PART", "Unusable", "check", "load", "misplaced", "pack", "verify"]

#: What reading and writing need beyond the package's own requirements.
MODULES = ("h5netcdf", "h5py")

#: What `verify` says of data that can be read, under their own name.
GOOD = ("ok", "no checksum")
#: What follows an experiment's name where a file holds a part of its runs.
PART = re.compile(r"-partial(-\d+)?", re.ASCII)

_MARK = b"\ndeeplinear sha256 "
_LENGTH = len(_MARK) + 64 + 1
_SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Why a file cannot be used: its bytes are not what was written, it is of another program, the
#: system does not let it be read, or it is a directory, a pipe or a device.
Kind = Literal["damaged", "foreign", "unreadable", "no file"]


class Unusable(ValueError):
    """A file that holds no data that can be used.

    Attributes
    ----------
    kind : {"damaged", "foreign", "unreadable", "no file"}
        Why, see `Kind`.
    says : str
        What follows the file's name in a sentence, such as "is damaged: it is cut short".
    """

    def __init__(self, path: Path, kind: Kind, says: str) -> None:
        super().__init__(f"{path} {says}.")
        self.kind, self.says = kind, says


def _damaged(path: Path, reason: str) -> Unusable:
    return Unusable(path, "damaged", f"is damaged: {reason}")


def pack(dataset: xr.Dataset) -> bytes:
    """Return the bytes of the file that holds a dataset: they are made in memory as a whole.

    HDF5 writes into memory since it cannot leave a disk that is full without harm. Beside the
    dataset, the memory holds the file twice for a moment.

    Parameters
    ----------
    dataset : xarray.Dataset
        The data.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        encoding = dict(_encoding(dataset.variables.items()))
        dataset.dump_to_store(H5NetCDFStore(file), encoding=encoding)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.seek(0, os.SEEK_END)
    buffer.write(_MARK + digest.encode() + b"\n")
    return buffer.getvalue()


def _encoding(variables: Iterable[tuple[Any, xr.Variable]]) -> Iterable[tuple[Any, dict[str, Any]]]:
    """Compress the large arrays of numbers."""
    for name, variable in variables:
        if variable.dtype.kind == "f" and variable.size > 1000:
            yield name, {"zlib": True, "complevel": 4, "shuffle": True, "fletcher32": True}


def check(path: Path) -> bool:
    """Compare a file with its checksum.

    Parameters
    ----------
    path : Path
        The file. What is no file is not opened: a pipe would wait for who writes into it.

    Returns
    -------
    bool
        Whether it has one; what has none is a netCDF-4 file of another program or an earlier
        version, or another HDF5 file.

    Raises
    ------
    Unusable
        If it does not match or is no HDF5 file.
    """
    if in_use(path):
        raise Unusable(path, "unreadable", "is open in another process, to be written")
    try:
        # A pipe that takes its name in between does not wait either.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Unusable(path, "no file", "is no regular file")
            return _check(path, file, status.st_size)
    except OSError as error:
        if path.exists() and not path.is_file():
            raise Unusable(path, "no file", "is no regular file") from None
        reason = error.strerror or str(error)
        raise Unusable(path, "unreadable", f"could not be read: {reason}") from None


def _check(path: Path, file: BinaryIO, size: int) -> bool:
    head = file.read(64)
    file.seek(max(0, size - _LENGTH))
    line = file.read(_LENGTH)
    if line.startswith(_MARK):
        file.seek(0)
        if line != _MARK + _digest(file, size - _LENGTH) + b"\n":
            raise _damaged(path, "it does not match its checksum")
        return True
    if not head.strip(b"\0"):
        raise _damaged(path, "it begins with zeros" if head else "it is empty")
    if not head.startswith(_SIGNATURE):
        raise Unusable(path, "foreign", "is no netCDF-4 file")
    end = _end(head)
    if size < end:
        raise _damaged(path, f"it is cut short, at {size:,} of {end:,} bytes or more")
    if size > end:
        raise _damaged(path, "its last line is not the checksum")
    return False


def _digest(file: BinaryIO, count: int) -> bytes:
    digest = hashlib.sha256()
    while count > 0:
        block = file.read(min(count, 1 << 20))
        if not block:  # cut while it is read
            break
        digest.update(block)
        count -= len(block)
    return digest.hexdigest().encode()


def _end(head: bytes) -> int:
    """Read the end of the file from a superblock, with addresses of eight bytes.

    Versions 0 and 1 begin with 24 and 28 bytes of other things, later ones with 12; base address,
    one other address and the end follow.
    """
    version = head[8]
    start = {0: 24, 1: 28}.get(version, 12) + 16
    return int.from_bytes(head[start : start + 8], "little")


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the data of an experiment, after its checksum was compared.

    Parameters
    ----------
    path : path-like
        A file that `deeplinear.experiments.run.save` wrote.

    Raises
    ------
    ImportError
        If h5netcdf or h5py is missing.
    Unusable
        If the file is damaged, of another program or cannot be read: one sentence, a `ValueError`.
    """
    require("A netCDF file", *MODULES)
    import h5py

    path = user_path("path", path)
    sealed = check(path)
    try:
        if not sealed:  # h5netcdf cannot let go of what h5py does not read
            with h5py.File(path) as file:
                file.attrs.get("_nc3_strict")
        dataset = xr.load_dataset(path, engine="h5netcdf")
    except BlockingIOError as error:
        raise Unusable(path, "unreadable", f"is locked: {error.strerror or error}") from None
    except MemoryError:
        raise
    except Exception as error:
        # Where there is no checksum, HDF5, h5netcdf and xarray stumble over anything.
        raise _damaged(path, f"HDF5 or netCDF says {type(error).__name__}") from None
    if not {"experiment", "preset"} <= set(dataset.attrs):
        raise Unusable(path, "foreign", "holds no data of this program")
    return dataset


def verify(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Compare every data file in a directory with its checksum.

    Parameters
    ----------
    directory : path-like
        Where `deeplinear.experiments.run.save` wrote.

    Returns
    -------
    dict of str
        By the file's name "ok", "no checksum" (of an earlier version; it could be read), either
        with "holds experiment X" where the name is not that of the experiment, "not of this
        program", "no regular file", or what begins with "damaged: " or "could not be read: ".

    Raises
    ------
    ImportError
        If h5netcdf or h5py is missing.
    """
    require("A netCDF file", *MODULES)
    folder = user_path("directory", directory)
    return {path.name: _verdict(path) for path in sorted(folder.glob("*.nc"))}


def _verdict(path: Path) -> str:
    try:
        sealed = check(path)
        experiment = _experiment(path) if sealed else str(load(path).attrs["experiment"])
    except Unusable as error:
        texts = {"foreign": "not of this program", "no file": "no regular file"}
        return texts.get(error.kind, error.says.removeprefix("is "))
    other = None if experiment is None else misplaced(path, experiment)
    return ("ok" if sealed else "no checksum") + (f", but {other}" if other else "")


def _experiment(path: Path) -> str | None:
    """Read the experiment's name alone, of a file whose checksum was compared."""
    import h5py

    try:
        with h5py.File(path) as file:
            name = file.attrs.get("experiment")
    except OSError as error:  # changed since, or locked
        reason = error.strerror or type(error).__name__
        raise Unusable(path, "unreadable", f"could not be read: {reason}") from None
    return name if isinstance(name, str) else None


def misplaced(path: Path, experiment: str) -> str | None:
    """Say what a file holds, where its name is that of something else.

    Parameters
    ----------
    path : Path
        The file.
    experiment : str
        The experiment that its attributes name.

    Returns
    -------
    str or None
        "holds experiment X"; None for ``X.nc`` and for parts of its runs, ``X-partial.nc``.
    """
    rest = path.stem.removeprefix(experiment)
    fits = path.stem.startswith(experiment) and (not rest or PART.fullmatch(rest))
    return None if fits else f"holds experiment {experiment}"
