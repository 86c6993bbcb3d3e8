"""A log of blocks: a line of JSON for each that is finished, or given up."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from typing import Any

from deeplinear._support.files import writable_file
from deeplinear.store.drive import Progress
from deeplinear.store.opened_store import Store
from deeplinear.store.work import Worked

__all__ = ["BlockLog"]


class BlockLog:
    """Appends to a file, which several processes may share.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    path : path-like
        The file.
    store : Store
        Whose blocks; the file must lie elsewhere, since what else is in a store is no array.

    Raises
    ------
    ValueError
        If the file cannot be written, or lies in the store.
    """

    def __init__(self, name: str, path: str | os.PathLike[str], store: Store) -> None:
        file = writable_file(name, path)
        folder = store.folder
        if folder is not None and folder.resolve() in file.resolve().parents:
            raise ValueError(f"{name} must lie outside of the store; got {path}.")
        self._file, self._failed = file, 0

    def finished(self, worked: Worked) -> None:
        """Write what became of a block, where this drive has trained it."""
        if worked.runs:
            self._write(
                index=list(worked.index),
                seconds=round(worked.seconds, 6),
                runs=worked.runs,
                steps=worked.steps,
                host=worked.host,
            )

    def report(self, progress: Progress) -> None:
        """Write which blocks have failed since the last call."""
        for index, text in list(progress.failed.items())[self._failed :]:
            self._write(index=list(index), error=text)
        self._failed = len(progress.failed)

    def _write(self, **entries: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        line = json.dumps({"time": now, **entries}) + "\n"
        try:
            with self._file.open("ab", buffering=0) as file:  # one write: lines stay whole
                file.write(line.encode())
        except OSError as error:
            error.filename = str(self._file)
            raise
