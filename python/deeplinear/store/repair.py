"""Stores that were damaged: what is wrong is found, and runs again."""

from __future__ import annotations

import glob
import itertools
import shutil
import time
from pathlib import Path

from deeplinear.store.blocks import Index
from deeplinear.store.errors import StoreError
from deeplinear.store.opened_store import Store, trouble

__all__ = ["sweep_litter", "verify"]

#: Seconds after which a file that was never finished belongs to nobody.
_OLD = 3600.0


def verify(store: Store) -> list[Index]:
    """Read every chunk of the finished blocks, and take the marks of the bad ones away.

    A chunk is bad that is missing, cut short, or has another checksum. The next call of `sweep`
    runs its block again.

    Returns
    -------
    list of tuple of int
        The blocks that were bad.

    Raises
    ------
    StoreError
        If the store cannot be read or written.
    """
    sweep_litter(store)
    chunks = {name: store.listed(name) for name in store.variables}
    bad = [
        index
        for index in sorted(store.done() - store.failed().keys())
        if not all(index in there and _sound(store, name, index) for name, there in chunks.items())
    ]
    for index in bad:
        store.unmark(index)
    return bad


def _sound(store: Store, name: str, index: Index) -> bool:
    array = store.group[name]
    try:
        with trouble(store.path):
            array.blocks[(*index, *(0,) * (array.ndim - len(index)))]
    except StoreError:
        raise
    except Exception:  # what decoders raise has no common class
        return False
    return True


def sweep_litter(store: Store, older_than: float = _OLD) -> int:
    """Delete what writers that were killed left unfinished; the number of files and folders."""
    if store.folder is None:
        return 0
    before = time.time() - older_than
    beside = store.folder.parent.glob(f"{glob.escape(store.folder.name)}.*.creating")
    unfinished = itertools.chain(store.folder.glob("**/*.partial"), beside)
    return sum(_delete_if_old(file, before) for file in unfinished)


def _delete_if_old(file: Path, before: float) -> bool:
    try:
        if file.stat().st_mtime < before:
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.unlink()
            return True
    except OSError:  # finished, or another has deleted it
        pass
    return False
