"""Training over a grid: in memory, or in a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import xarray as xr

from deeplinear._support.checks import instance_of
from deeplinear._support.progress import Update
from deeplinear.description import Sweep
from deeplinear.dynamics import Dynamics
from deeplinear.grid_runs import run_in_memory
from deeplinear.init import Initialization
from deeplinear.landscape import Landscape
from deeplinear.landscapes import Landscapes
from deeplinear.machine import Machine
from deeplinear.records import Recorded

if TYPE_CHECKING:
    from xarray import DataTree

__all__ = ["open_tree", "refine", "run_sweep", "sweep"]


def sweep(
    landscape: Landscape | Landscapes,
    init: Initialization,
    dynamics: Dynamics,
    *,
    seeds: int | Sequence[int] | npt.NDArray[Any] | xr.DataArray,
    steps: int | None = None,
    time: float | None = None,
    record: Recorded | None = None,
    every: float | None = None,
    tolerance: float = 0.0,
    dtype: npt.DTypeLike = "float64",
    threads: int | None = None,
    engine: str = "auto",
    keep_weights: bool | None = None,
    keep_state: bool | None = None,
    device: str = "cpu",
    store: Any = None,
    executor: Any = None,
    budget: float | str | None = None,
    progress: bool | Update = True,
) -> xr.Dataset:
    """Train one run for every combination of the swept fields and seeds.

    A field of the data, the networks, `init` or `dynamics` that holds a sequence becomes a
    dimension of its name, in this order; ``seed`` is one more, the last. A run depends on its own
    settings and seed alone, not on what else is in the sweep: each equals `simulate` from
    ``init.sample(network, seed)``, to the bit.

    Parameters
    ----------
    landscape : Landscape or Landscapes
        The network and its data, or families of either, such as
        ``dl.Landscapes(dl.Networks(depth=[2, 5]), dl.data.Gaussian(n=50, d=5, noise=[0, 1]))``.
    init : Initialization
        Such as ``dl.init.Gaussian([0.25, 0.5])``, or a law of your own.
    dynamics : GradientDescent or GradientFlow
        Such as ``dl.GradientDescent([0.02, 0.1])``.
    seeds : int or sequence of int
        The seeds, zero or above and different; n stands for 0..n-1. The coordinate ``seed`` of
        other results is one too.
    every : int or float or None, default None
        As of `simulate`; None records the start and the end.
    progress : bool or callable, default True
        As of `simulate`.
    keep_weights : bool, optional
        As of `Sweep`.
    store : path, address or store of zarr, optional
        Where the runs are kept, block by block; the extra ``store`` is needed. It is made if it is
        not there, and opens in xarray while it fills. A second call goes on with what is left; a
        sweep of another description is refused.
    executor : optional
        Who works on the blocks of a store: None, this process; "processes", one to a processor; a
        `concurrent.futures.Executor`; a Dask client or the address of its scheduler; "mpi". Each
        block then has one thread, unless `threads` says otherwise.
    budget : float or str, optional
        Seconds, or a text such as "3h", "90m" or "45s", after which no block of a store is begun.
    steps, time, record, tolerance, dtype, threads, engine, keep_state, device
        As of `simulate`.

    Returns
    -------
    xarray.Dataset
        As of `simulate`, with the swept fields and ``seed`` as dimensions in place of ``run``. The
        attribute ``initialization`` is the ``repr`` of `init`, and ``data`` that of a law of the
        data, of a file with its SHA-256; of what is put together, as all attributes, the first's
        unless ``combine_attrs="drop_conflicts"``. Where a seed is 2^63 or more, which no int64
        holds, all seeds are decimal text, and stay it where `xarray.concat` puts them beside
        integers; ``seed.astype(str)`` makes all of them text, as a file needs.

        Of a store, its variables are read when they are asked for: ``status`` holds numbers, whose
        words are its attribute ``flag_meanings``, 0 and NaN where a run is not finished. Where
        networks have several sizes, what a smaller one lacks is NaN.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or what the ``sample`` of a law of your own returns does not
        fit the network or is not finite; before any run starts.
    MemoryError
        As of `simulate`.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose ``dataset`` has the finished runs along ``run``,
        with their swept fields and seeds as coordinates. Of a store, a `KeyboardInterrupt`, also
        on SIGTERM.
    StoreError, NoWorkers
        If a store cannot be used; if all workers are gone for a minute, or none comes within an
        hour. See `deeplinear.store`.

    Warns
    -----
    RuntimeWarning
        If blocks of a store failed: what the first one said.
    """
    described = Sweep(
        landscape,
        init,
        dynamics,
        seeds,
        steps=steps,
        time=time,
        record=record,
        every=every,
        tolerance=tolerance,
        dtype=dtype,
        engine=engine,
        keep_weights=keep_weights,
        keep_state=keep_state,
    )
    return run_sweep(
        described,
        threads=threads,
        device=device,
        store=store,
        executor=executor,
        budget=budget,
        progress=progress,
    )


def run_sweep(
    sweep: Sweep,
    *,
    threads: int | None = None,
    device: str = "cpu",
    store: Any = None,
    executor: Any = None,
    budget: float | str | None = None,
    progress: bool | Update = True,
) -> xr.Dataset:
    """Run a sweep that is described.

    Parameters
    ----------
    sweep : Sweep
        The description, such as `read_sweep` returns it.
    threads, device, store, executor, budget, progress
        As of the function `sweep`.

    Returns
    -------
    xarray.Dataset
        As of the function `sweep`.

    Raises
    ------
    TypeError, ValueError, MemoryError, Interrupted, StoreError, NoWorkers
        As of the function `sweep`.
    """
    instance_of("sweep", sweep, Sweep)
    if store is not None:
        from deeplinear.store.run import run_in_store

        return run_in_store(sweep, store, executor, budget, Machine(threads, device), progress)
    for name, value in (("executor", executor), ("budget", budget)):
        if value is not None:
            raise ValueError(f"{name} must be None where no store is given; got {value!r}.")
    return run_in_memory(sweep, Machine(threads, device), progress)


def refine(
    store: Any,
    by: str = "diverged",
    levels: int = 4,
    executor: Any = None,
    budget: float | str | None = None,
    threads: int | None = None,
    device: str = "cpu",
    progress: bool | Update = True,
) -> xr.Dataset:
    """Refine the grid of a store where the runs begin to end in another way.

    Level 0 is the grid, whose runs are finished first. The next level halves the cells on which the
    share of seeds that diverged differs by more than 5 %, in every dimension of fractional numbers,
    and adds the points that are missing there: twice as many at every level in two dimensions, as
    the boundary is long, where a finer grid has four times as many. A level follows from what is
    finished before it alone. Each is a group of the store, ``level_1`` and so on, and is made of
    blocks as the grid is: a call that was stopped or killed goes on when it is repeated.

    Points lie half between their neighbours: at the square root of the product where all values of
    the dimension in the grid are above zero and their ratios differ less than their differences do,
    at the mean elsewhere. Integers, such as depths, truths and texts are kept as they are in the
    grid. A cell whose corners agree is halved, too, when smaller cells beside it show that points
    on its sides do not; it is larger, and so a level behind.

    Parameters
    ----------
    store : path, address or store of zarr
        A store that `sweep` made.
    by : str, default "diverged"
        What is counted: a status of `STATUS`, where "diverged" counts "overflowed", which is the
        same at the start, too; or a condition on a record at the end, such as "risk < 0.01", which
        no run fulfils whose record is not a number.
    levels : int, default 4
        How often cells are halved, at most 30. More than before go on from those that are there.
    executor, budget, threads, device, progress
        As of `sweep` with a store.

    Returns
    -------
    xarray.Dataset
        All points of the grid and its levels along ``point``, in memory: the variables of the
        store, the ``share`` of the seeds that is refined by, the swept dimensions as coordinates,
        and ``level``. Where the budget was over, runs that are not finished have the status 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, no dimension can be halved, or the levels that are there
        were made by another rule or of other runs.
    MemoryError
        If the points do not fit the memory.
    KeyboardInterrupt, StoreError, NoWorkers
        As of `sweep` with a store.

    Warns
    -----
    RuntimeWarning
        If blocks failed, after which no further level is made: what the first one said.

    Examples
    --------
    >>> import tempfile
    >>> import deeplinear as dl
    >>> landscape = dl.Landscape(dl.Network((1, 1, 1)), dl.Regression([[1.0]], [0.0]))
    >>> rates = dl.GradientDescent([0.25, 1.0, 1.75, 2.5])
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/runs.zarr"
    >>> options = dict(seeds=1, steps=100, store=path, progress=False)
    >>> grid = dl.sweep(landscape, dl.init.Identity(), rates, **options)
    >>> points = dl.refine(path, levels=3, progress=False)
    >>> points.learning_rate.values[points.level > 0].tolist()
    [1.375, 1.1875, 1.09375]
    >>> folder.cleanup()
    """
    from deeplinear.store.refinement import run_refinement

    return run_refinement(store, by, levels, executor, budget, Machine(threads, device), progress)


def open_tree(store: Any) -> DataTree:
    """Open a store that was refined, as a tree of its ``grid``, ``level_1`` and so on.

    Parameters
    ----------
    store : path, address or store of zarr
        The store.

    Returns
    -------
    xarray.DataTree
        Its variables are read when they are asked for. xarray 2024.10 or later is needed.

    Raises
    ------
    ImportError
        If xarray is older.
    StoreError
        If the store cannot be read.
    """
    from deeplinear.store.refinement import open_tree as opened_tree

    return opened_tree(store)
