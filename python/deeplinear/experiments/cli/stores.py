"""The commands of sweeps in a store, and what they take; what they do is loaded late."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deeplinear._support.signals import at_once
from deeplinear.experiments.cli.endings import one_sentence

__all__ = ["COMMANDS"]

_ERRORS = "1 for an error, 2 for a wrong argument"
_ENDS = (
    f"The exit status is 0 where all blocks are done, {_ERRORS}, 3 where the budget is over, 4 "
    "where blocks failed, 5 where the store cannot be used, 6 where all workers are gone, and 128 "
    "and its number after a signal. After 3, 4, 6 and signals the same command goes on with what "
    "is left."
)
_STANDS = (
    f"The exit status is 0 where all blocks are done, {_ERRORS}, 3 where blocks are left, 4 where "
    "none are left and some failed, and 5 where the store cannot be used."
)

_Store = Annotated[str, typer.Argument(help="The store of a sweep.", metavar="STORE")]
_Budget = Annotated[
    str | None, typer.Option(help="Begin no block after this time, such as 3h, 90m or 45s.")
]
_Threads = Annotated[
    int | None,
    typer.Option(help="Threads of a block: one per processor in this process, else one."),
]
_Device = Annotated[str, typer.Option(help="Who takes the steps: cpu, cuda, cuda:0, cuda:1, ...")]
_Log = Annotated[
    Path | None, typer.Option(help="File to which a line of JSON is added for every block.")
]


_Processes = Annotated[int | None, typer.Option(help="Work by so many processes of this machine.")]
_Dask = Annotated[
    str | None, typer.Option(help="Work by the Dask cluster of this scheduler's address.")
]
_Mpi = Annotated[
    bool, typer.Option("--mpi", help="Work by the ranks of 'mpiexec python -m mpi4py.futures'.")
]


def sweep(
    file: Annotated[
        Path,
        typer.Argument(help="A sweep or a preset in TOML, or a preset's name.", metavar="FILE"),
    ],
    store: Annotated[
        str | None, typer.Option(help="Where the runs are kept; made if it is not there.")
    ] = None,
    processes: _Processes = None,
    dask: _Dask = None,
    mpi: _Mpi = False,
    budget: _Budget = None,
    threads: _Threads = None,
    device: _Device = "cpu",
    log: _Log = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, and make nothing.")
    ] = False,
    part: Annotated[
        int | None, typer.Option(help="Which part of a preset's training, if it has several.")
    ] = None,
) -> None:
    """Run a sweep in a store; what is there is not run again."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import driving
    driving.sweep_file(
        file,
        store,
        driving.Work(budget, threads, log, device),
        processes=processes,
        dask=dask,
        mpi=mpi,
        dry_run=dry_run,
        part=part,
    )


def work(
    store: _Store,
    budget: _Budget = None,
    threads: _Threads = None,
    device: _Device = "cpu",
    log: _Log = None,
) -> None:
    """Finish blocks of a store that is there, beside any number of others that do so."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import driving
    driving.work_on(store, driving.Work(budget, threads, log, device))


def refine(
    store: _Store,
    by: Annotated[
        str,
        typer.Option(help="What is counted: a status, or a condition such as 'risk < 0.01'."),
    ] = "diverged",
    levels: Annotated[int, typer.Option(help="How often cells are halved.")] = 4,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the phase diagram; made if not there.")
    ] = None,
    processes: _Processes = None,
    dask: _Dask = None,
    mpi: _Mpi = False,
    budget: _Budget = None,
    threads: _Threads = None,
    device: _Device = "cpu",
) -> None:
    """Add points to a store where the runs begin to end in another way."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import driving, refining
    refining.refine(
        store,
        by,
        levels,
        out,
        driving.Work(budget, threads, None, device),
        processes=processes,
        dask=dask,
        mpi=mpi,
    )


def status(
    store: _Store,
    watch: Annotated[
        bool, typer.Option("--watch", help="Say it again when it changes, until all is done.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read everything; what is damaged runs again.")
    ] = False,
) -> None:
    """Say which blocks of a store are done, how their runs ended, and what failed ones said."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import standing
    standing.show(store, watch=watch, verify=verify)


def export(
    store: _Store,
    parquet: Annotated[Path, typer.Option(help="The Parquet file to write.")],
) -> None:
    """Write the finished runs of a store as a table: a row for every run and record."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import standing
    standing.export(store, parquet)


def plot(
    store: _Store,
    out: Annotated[Path, typer.Option(help="Directory for the figures; made if it is not there.")],
    variable: Annotated[
        str | None, typer.Option(help="What is drawn, sharpness or else the risk by default.")
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="A value of a dimension, such as depth=5; may be repeated."),
    ] = None,
) -> None:
    """Draw the ends of the runs of a store over one swept dimension, or as maps over two."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli import standing
    standing.plot(store, out, variable, at or [])


for _command, _statuses in ((sweep, _ENDS), (work, _ENDS), (refine, _ENDS), (status, _STANDS)):
    _command.__doc__ = f"{_command.__doc__}\n\n    {_statuses}"

COMMANDS = (sweep, work, refine, status, export, plot)
