"""What a store holds: ``deeplinear status``, ``export`` and ``plot``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deeplinear._support.files import check_replaceable, require, writable_directory, writable_file
from deeplinear._support.progress import progress_text
from deeplinear._support.signals import uninterrupted
from deeplinear._support.terminal import unwritten
from deeplinear.experiments.cli import FAILED_BLOCKS, RESUMABLE
from deeplinear.experiments.cli.driving import store_endings
from deeplinear.experiments.cli.endings import stop
from deeplinear.options import STATUS
from deeplinear.store.blocks import Index
from deeplinear.store.errors import StoreError
from deeplinear.store.levels import LevelPath, levels_of
from deeplinear.store.opened_store import Store, opened, trouble
from deeplinear.store.repair import verify as take_bad_marks

__all__ = ["export", "plot", "show"]

#: Seconds between two looks at a store that is watched.
_TICK = 2.0
#: Failed blocks that are listed; the store has the others in ``blocks/error``.
_MOST_LISTED = 20


class _Standing:
    """How many blocks and runs of a store are finished, and how the runs ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[Index, np.ndarray] = {}
        self.blocks, self.runs = store.blocks.count, store.sweep.runs
        self.look()

    def look(self) -> None:
        """Read what is new."""
        with trouble(self._store.path):
            done, self.failed = self._store.done(), self._store.failed()
            new = {index: self._endings(index) for index in done - self._counts.keys()}
        self._counts = {index: x for index, x in (self._counts | new).items() if index in done}

    def _endings(self, index: Index) -> np.ndarray:
        codes = np.asarray(self._store.group["status"].blocks[index]).ravel()
        return np.bincount(codes, minlength=len(STATUS) + 1)

    @property
    def done(self) -> int:
        """Blocks that are done, and did not fail."""
        return len(self._counts.keys() - self.failed.keys())

    @property
    def left(self) -> int:
        """Blocks that were not yet tried to their end."""
        return self.blocks - len(self._counts.keys() | self.failed.keys())

    @property
    def endings(self) -> dict[str, int]:
        """The finished runs by how they ended."""
        zero = np.zeros(len(STATUS) + 1, np.int64)
        own = (x for index, x in self._counts.items() if index not in self.failed)
        total = sum(own, zero)
        return {name: int(n) for name, n in zip(STATUS, total, strict=False) if n}

    @property
    def text(self) -> str:
        """A line."""
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        finished = sum(self.endings.values())
        return (
            f"{self.done:,} of {self.blocks:,} blocks are done{failed}; "
            f"{finished:,} of {self.runs:,} runs"
        )


def show(where: str, *, watch: bool, verify: bool) -> None:
    """Say where a store stands; the status says whether something is left."""
    with store_endings():
        store = opened(where, mode="r+" if verify else "r")
        if verify:
            _verify(store)
        standing = _Standing(store)
        if watch:
            _watch(standing)
    print(standing.text)
    width = max(map(len, standing.endings), default=0)
    for name, count in standing.endings.items():
        print(f"  {name:{width}}  {count:,}")
    for index, text in list(standing.failed.items())[:_MOST_LISTED]:
        print(f"  block {index} failed: {text}")
    if len(standing.failed) > _MOST_LISTED:
        print(f"  and {len(standing.failed) - _MOST_LISTED:,} more")
    if standing.left:
        stop(f"{_blocks(standing.left)} left to do.", RESUMABLE)
    if standing.failed:
        stop(f"{_blocks(len(standing.failed))} failed.", FAILED_BLOCKS)


def _blocks(count: int) -> str:
    return f"{count:,} block" if count == 1 else f"{count:,} blocks"


def _verify(store: Store) -> None:
    sound = True
    for one in (store, *levels_of(store)):
        if bad := take_bad_marks(one):
            of = f" of {one.path.group}" if isinstance(one.path, LevelPath) else ""
            print(f"{_blocks(len(bad))}{of} damaged, and no longer done: ", end="")
            print(", ".join(map(str, bad)))
            sound = False
    if sound:
        print("all that is done is sound")


def _watch(standing: _Standing) -> None:
    """Show how far a store is until nothing is left."""
    with progress_text() as bar:
        said = ""
        while standing.left:
            if standing.text != said:
                said = standing.text
                bar((standing.blocks - standing.left) / standing.blocks, said)
            time.sleep(_TICK)
            standing.look()


def export(where: str, file: Path) -> None:
    """Write the finished runs as a Parquet file."""
    from deeplinear.store.export import MODULES, to_parquet

    with store_endings():
        require("A table as Parquet", *MODULES, extra="parquet")
        store = opened(where, mode="r")
        path = writable_file("--parquet", file)
        check_replaceable("--parquet", path)
        try:
            with progress_text() as bar:
                rows = to_parquet(store, path, lambda share: bar(share, f"{path.name}"))
        except (StoreError, BrokenPipeError):
            raise
        except OSError as error:
            stop(f"--parquet could not be written: {error.strerror or error}.", 1)
        left = store.blocks.count - len(store.done())
    without = f", without {_blocks(left)} not yet done" if left else ""
    print(f"{path}: {rows:,} rows{without}")


def plot(where: str, out: Path, variable: str | None, at: Sequence[str]) -> None:
    """Draw the ends of the runs."""
    from deeplinear.experiments.figures import ends, write
    from deeplinear.experiments.figures.style import style

    with store_endings():
        require("A figure", "matplotlib", "scipy")
        store = opened(where, mode="r")
        folder = writable_directory("--out", out)
        values = ends.read(store, variable, at)
        stem = folder / f"{Path(where).stem}-{values.variable}"
        try:
            with style(), uninterrupted():
                files = write(ends.draw(values), stem)
        except (StoreError, BrokenPipeError):
            raise
        except OSError as error:
            stop(unwritten("the figures", error, []), 1)
    for path in files:
        print(path)
