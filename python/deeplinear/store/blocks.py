"""How the grid of a sweep is cut into blocks: by the description alone, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil, prod

import numpy as np

from deeplinear.description import Sweep
from deeplinear.dynamics import GradientFlow
from deeplinear.landscape import Landscape

__all__ = ["MOST_BLOCKS", "Blocks", "cut", "rectangle", "runs_of_block"]

Index = tuple[int, ...]

#: Seconds that a block takes a worker of one core: shorter ones are written too often, and longer
#: ones are lost whole where a worker ends. Short sweeps have some 64 blocks.
_LONGEST, _SHORTEST, _FEWEST = 5.0, 0.5, 64
#: Bytes of the records, and of the weights, of a block.
_MOST_BYTES = 2**26
MOST_BLOCKS = 50_000
#: Runs that fill the lanes of a worker.
_LANES = 16

# Seconds of a core of 2024, to tell blocks of minutes from blocks of milliseconds: of a step by
# weight, of one beyond the cache, of one by sample; of an iterative record by weight; of a run.
_BY_WEIGHT, _BY_LARGE_WEIGHT, _BY_SAMPLE = 1.3e-10, 2e-9, 2.5e-10
_BY_RECORD, _BY_RUN = 5e-8, 3e-6
_LARGE = 65_536


@dataclass(frozen=True)
class Blocks:
    """The blocks of a grid.

    Attributes
    ----------
    sizes : mapping of str to int
        The lengths of the dimensions.
    shape : tuple of int
        The runs of a block along each; those at the end may have fewer.
    """

    sizes: Mapping[str, int]
    shape: Index

    @property
    def grid(self) -> Index:
        """The number of blocks along each dimension."""
        return tuple(-(-n // k) for n, k in zip(self.sizes.values(), self.shape, strict=True))

    @property
    def count(self) -> int:
        """The number of blocks."""
        return prod(self.grid)

    def __iter__(self) -> Iterator[Index]:
        return product(*map(range, self.grid))

    def places(self, index: Index) -> dict[str, slice]:
        """Return what a block takes of every dimension."""
        return {
            name: slice(i * k, min((i + 1) * k, n))
            for (name, n), i, k in zip(self.sizes.items(), index, self.shape, strict=True)
        }

    def runs(self, index: Index) -> int:
        """Count the runs of a block."""
        return prod(cut.stop - cut.start for cut in self.places(index).values())


def runs_of_block(sweep: Sweep, landscape: Landscape, numbers: int) -> int:
    """Choose how many runs a block has.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    landscape : Landscape
        The largest of its landscapes.
    numbers : int
        How many numbers are stored of a run.
    """
    seconds = seconds_of(sweep, landscape)
    target = min(max(sweep.runs * seconds / _FEWEST, _SHORTEST), _LONGEST)
    held = max(numbers, landscape.network.parameters) * 8
    return int(min(max(target / seconds, _LANES), max(_MOST_BYTES // held, 1)))


def cut(sweep: Sweep, runs: int) -> Blocks:
    """Cut a sweep into blocks of so many runs, or of more where there were too many blocks."""
    runs = max(runs, sweep.runs // MOST_BLOCKS)
    while (blocks := Blocks(sweep.sizes, rectangle(sweep.shape, runs))).count > MOST_BLOCKS:
        runs *= 2
    return blocks


def rectangle(shape: Index, runs: int) -> Index:
    """Take trailing dimensions first, in parts of nearly one length."""
    block = [1] * len(shape)
    for i in reversed(range(len(shape))):
        block[i] = ceil(shape[i] / ceil(shape[i] / max(min(shape[i], runs), 1)))
        if block[i] < shape[i]:
            break
        runs //= shape[i]
    return tuple(block)


def seconds_of(sweep: Sweep, landscape: Landscape) -> float:
    """Estimate the seconds that a run takes one core, by counted operations."""
    weights = landscape.network.parameters
    steps = steps_of(sweep)
    by_weight = _BY_LARGE_WEIGHT if weights >= _LARGE else _BY_WEIGHT
    if landscape.samples:
        by_weight = _BY_SAMPLE * landscape.regression.n
    iterative = sum(record.iterative for record in sweep.recording(landscape).records)
    records = 2 if sweep.every is None else max(steps / max(sweep.every, 1), 2)
    return _BY_RUN + weights * (steps * by_weight + records * iterative * _BY_RECORD)


def steps_of(sweep: Sweep) -> float:
    """Count the steps of a run, those of several stages as so many."""
    if sweep.steps is not None:
        return float(sweep.steps)
    flow, time = sweep.dynamics, float(sweep.time or 0.0)
    assert isinstance(flow, GradientFlow)
    stages = {"euler": 1, "rk4": 4, "dopri5": 6}
    methods = [flow.method] if isinstance(flow.method, str) else list(flow.method)
    # An adaptive step is as long as the curvature lets it, about 0.1 at sharpness 20.
    step = float(np.mean(flow.step)) if "dopri5" not in methods else 0.1
    return max(stages[method] for method in methods) * time / step
