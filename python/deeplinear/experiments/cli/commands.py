"""The commands of the console script ``deeplinear``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from deeplinear._support.checks import describe, one_of
from deeplinear._support.files import user_path
from deeplinear._support.signals import at_once, uninterrupted
from deeplinear._support.terminal import print_version
from deeplinear.experiments import library as presets
from deeplinear.experiments.cli import INTERRUPTED, stores
from deeplinear.experiments.cli.endings import one_sentence, stop
from deeplinear.options import DTYPES

if TYPE_CHECKING:
    from deeplinear.experiments.preset import Preset

#: The name that stands for all presets.
ALL = "all"


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command; where Ctrl-C came and nothing is to be said of it, it ends quietly."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stop("stopped.", INTERRUPTED)


app = typer.Typer(
    cls=_Commands,
    help="Training dynamics and loss-landscape curvature of deep linear networks.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


_Out = Annotated[
    Path, typer.Option(help="Directory for the data and figures; made if it is not there.")
]
_Quick = Annotated[bool, typer.Option("--quick", help="Run a small version.")]
_Seed = Annotated[int | None, typer.Option(help="Seed of the data and of the initial weights.")]
_Threads = Annotated[
    int | None, typer.Option(help="Number of threads; one per processor by default.")
]
_Dtype = Annotated[str, typer.Option(help=f"Precision: {' or '.join(DTYPES)}.")]
_Replace = Annotated[
    bool, typer.Option("--replace", help="Replace data of the same name and other settings.")
]


@app.command()
def reproduce(
    name: Annotated[
        str,
        typer.Argument(
            help=f"The experiment: {', '.join(presets.PRESETS)}, or {ALL}.", metavar="NAME"
        ),
    ],
    out: _Out,
    quick: _Quick = False,
    seed: _Seed = None,
    threads: _Threads = None,
    dtype: _Dtype = "float64",
    replace: _Replace = False,
) -> None:
    """Run an experiment of the literature in full; leave figures and labelled data.

    What is there with the same settings is not run again.
    """
    with one_sentence():
        one_of("NAME", name, (*presets.PRESETS, ALL))
    chosen = list(presets.PRESETS.values()) if name == ALL else [presets.PRESETS[name]]
    _run(chosen, out, quick, seed, threads, dtype, replace)


@app.command()
def run(
    file: Annotated[
        Path, typer.Argument(help="A preset in TOML; 'deeplinear show' prints one.", metavar="FILE")
    ],
    out: _Out,
    quick: _Quick = False,
    seed: _Seed = None,
    threads: _Threads = None,
    dtype: _Dtype = "float64",
    replace: _Replace = False,
) -> None:
    """Run your own experiment; leave figures and labelled data."""
    from deeplinear.experiments.toml import read_preset

    with one_sentence():
        preset = read_preset(file)
    _run([preset], out, quick, seed, threads, dtype, replace)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help=f"The experiment: {', '.join(presets.PRESETS)}.", metavar="NAME")
    ],
) -> None:
    """Print an experiment of the literature as TOML, to change and run."""
    from deeplinear.experiments.toml import to_toml

    with one_sentence():
        print(to_toml(presets.PRESETS[one_of("NAME", name, tuple(presets.PRESETS))]), end="")


def _run(
    chosen: Sequence[Preset],
    out: Path,
    quick: bool,
    seed: int | None,
    threads: int | None,
    dtype: str,
    overwrite: bool,
) -> None:
    """Load what runs experiments, and run them."""
    with at_once(), one_sentence():
        from deeplinear.experiments.cli.experiment import run_experiments
    run_experiments(chosen, out, quick, seed, threads, dtype, overwrite)


@app.command("report")
def write_report(
    directory: Annotated[
        Path, typer.Argument(help="Where experiments left their data.", metavar="DIR")
    ],
) -> None:
    """Write the report of the experiments in a directory, index.html."""
    from deeplinear.experiments import report

    with one_sentence():
        directory = user_path("DIR", directory)
        if not directory.is_dir():
            raise ValueError(f"DIR must be a directory; got {describe(str(directory))}.")
        try:
            with uninterrupted():
                page = report.write(directory)
        except OSError as error:
            stop(f"DIR could not be written: {error.strerror or error}.", 1)
        print(page)


@app.command()
def verify(
    directory: Annotated[
        Path, typer.Argument(help="Where experiments left their data.", metavar="DIR")
    ],
) -> None:
    """Compare the data in a directory with their checksums.

    The exit status is 1 where a file is damaged or could not be read.
    """
    from deeplinear.experiments.results import netcdf

    with one_sentence():
        directory = user_path("DIR", directory)
        if not directory.is_dir():
            raise ValueError(f"DIR must be a directory; got {describe(str(directory))}.")
        found = netcdf.verify(directory)
        if not found:
            raise ValueError(f"DIR must hold data, *.nc; got none in {directory}.")
    width = max(map(len, found))
    for name, verdict in found.items():
        print(f"{name:{width}}  {verdict}")
    bad = sum(verdict.startswith(("damaged", "could not", "locked")) for verdict in found.values())
    if bad:
        stop(f"{bad} of {len(found)} files are damaged or could not be read.", 1)


@app.command()
def bench(
    only: Annotated[
        list[str] | None, typer.Option(help="One work, by its name; may be repeated.")
    ] = None,
    quick: _Quick = False,
    full: Annotated[bool, typer.Option("--full", help="Also time what takes minutes.")] = False,
    threads: _Threads = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Annotated[Path | None, typer.Option(help="File for all numbers.")] = None,
) -> None:
    """Time this package beside NumPy, and Numba, JAX and PyTorch where installed.

    Ctrl-C ends it with the tables of what is measured by then.
    """
    from deeplinear.bench.command import Bench

    with one_sentence():
        benchmark = Bench(
            only or (), quick=quick, full=full, threads=threads, markdown=markdown, json_file=json
        )
    try:
        complete = benchmark.run()
    except BrokenPipeError:
        raise
    except OSError as error:
        stop(f"--json could not be written: {error.strerror or error}.", 1)
    if not complete:
        kept = "; the tables show what was measured" if benchmark.done else ""
        stop(f"stopped{kept}.", INTERRUPTED)


for command in stores.COMMANDS:
    app.command()(command)
