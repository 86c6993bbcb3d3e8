"""Runs that had finished when an experiment was stopped, and what is left to do.

A run depends on its own settings and seed alone, so the finished runs of an earlier try and those
that are still to do make the same data as one try that nobody stopped, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from deeplinear.experiments.preset import Preset
from deeplinear.experiments.results.runs import ended
from deeplinear.experiments.table import Block, BlockRuns, stored_runs

#: The attribute that names blocks to run again as a whole; see `Earlier`.
_AGAIN = "blocks_to_run_again"

Key = tuple[int, int, int]


def key_of(block: Block) -> Key:
    """Return what tells a block from the others: its part, problem and depth."""
    return block.part, block.problem, block.depth


def _places(runs: BlockRuns, cells: Sequence[dict[str, Any]]) -> list[int | None]:
    """Return the place of each run among the cells of its block; None where it has none."""
    names = tuple(cells[0])
    place = {tuple(cell.values()): i for i, cell in enumerate(cells)}
    columns = (runs.columns[name].tolist() for name in names)
    return [place.get(values) for values in zip(*columns, strict=True)]


def unconverged(dataset: xr.Dataset) -> dict[str, int]:
    """Return how many eigenvalues did not converge, of every record that comes from iterations."""
    found = {str(name): values.attrs.get("unconverged") for name, values in dataset.items()}
    return {name: int(count) for name, count in found.items() if count is not None}


class Earlier:
    """The runs of an earlier try: those that need not run again, and those to fall back on.

    How many eigenvalues did not converge is counted by block, also those of runs that had not
    finished. Where a block was stopped after some did not, its runs are run again, since otherwise
    those of the unfinished ones would count twice; until then they are kept.

    Parameters
    ----------
    preset : Preset
        The experiment, with its seed.
    blocks : sequence of Block
        All of its blocks.
    dataset : xarray.Dataset or None
        What the try left.
    """

    def __init__(self, preset: Preset, blocks: Sequence[Block], dataset: xr.Dataset | None) -> None:
        self.again: dict[Key, dict[str, int]] = {}
        self.done: dict[Key, BlockRuns] = {}
        self.rest: dict[Key, BlockRuns] = {}
        self.accuracy: list[xr.Dataset] = []
        self.seconds = 0.0
        if dataset is None:
            return
        entries = json.loads(str(dataset.attrs.get(_AGAIN, "[]")))
        self.again = {(part, problem, depth): counts for part, problem, depth, counts in entries}
        self.seconds = float(dataset.attrs["simulation_seconds"])
        for block in blocks:
            key, runs = key_of(block), stored_runs(preset, block, dataset)
            done = ended(runs.columns["status"]) & (key not in self.again)
            self.done[key] = runs.take(done)
            self.rest[key] = runs.take(~done)
        counted = {}
        for name, count in unconverged(dataset).items():
            once = count - sum(counts.get(name, 0) for counts in self.again.values())
            counted[name] = ((), 0.0, {**dataset[name].attrs, "unconverged": once})
        self.accuracy.append(xr.Dataset(counted))

    def missing(self, block: Block, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the cells of a block that are still to run."""
        done = self.done.get(key_of(block))
        there = set() if done is None else set(_places(done, cells))
        return [cell for i, cell in enumerate(cells) if i not in there]

    def merged(
        self, block: Block, cells: list[dict[str, Any]], new: BlockRuns | None
    ) -> BlockRuns | None:
        """Put the runs of a block in the order of its cells; of a run, what is furthest."""
        key = key_of(block)
        pieces = [piece for piece in (self.rest.get(key), self.done.get(key), new) if piece]
        if not pieces:
            return new
        runs = BlockRuns.join(pieces)
        last = np.where(ended(runs.columns["status"]), np.inf, runs.columns["last_step"])
        best: dict[int, int] = {}
        for i, place in enumerate(_places(runs, cells)):
            if place is not None and (place not in best or last[i] >= last[best[place]]):
                best[place] = i
        return runs.take(np.array([best[place] for place in sorted(best)], np.intp))

    def mark(
        self, attrs: dict[str, Any], stopped: Mapping[Key, dict[str, int]], complete: set[Key]
    ) -> None:
        """Note in the attributes of a part of the runs which blocks are to run again.

        Parameters
        ----------
        attrs : dict
            Takes the note.
        stopped : mapping of Key to dict
            The block that was stopped, with how many eigenvalues of each record did not converge.
        complete : set of Key
            The blocks that are complete now.
        """
        again: dict[Key, dict[str, int]] = {key: {} for key in self.again if key not in complete}
        again |= {k: counts for k, counts in stopped.items() if any(counts.values()) or k in again}
        if again:
            attrs[_AGAIN] = json.dumps([[*key, counts] for key, counts in again.items()])
