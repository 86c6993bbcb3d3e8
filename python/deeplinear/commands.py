"""The commands of the console script ``deeplinear``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from deeplinear import __version__, presets
from deeplinear.checks import FloatArray, one_of, positive_integer
from deeplinear.files import require, writable_directory
from deeplinear.presets import Preset
from deeplinear.simulation import DTYPES, Interrupted

if TYPE_CHECKING:
    import xarray as xr

#: What the shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130

app = typer.Typer(
    help="Training dynamics and loss-landscape curvature of deep linear networks.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"deeplinear {__version__}")
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


def _stop(sentence: str, code: int) -> NoReturn:
    print(f"deeplinear: {sentence}", file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """End with the error's sentence where an argument or an optional package is not as needed."""
    try:
        yield
    except (TypeError, ValueError) as error:
        _stop(str(error), 2)
    except ImportError as error:
        _stop(str(error), 1)


@app.command()
def reproduce(
    name: Annotated[
        str, typer.Argument(help=f"The experiment: {', '.join(presets.PRESETS)}.", metavar="NAME")
    ],
    out: Annotated[
        Path, typer.Option(help="Directory for the data and figures; made if it is not there.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Run a small version.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the data and of the initial weights.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Number of threads; one per processor by default.")
    ] = None,
    dtype: Annotated[str, typer.Option(help=f"Precision: {' or '.join(DTYPES)}.")] = "float64",
) -> None:
    """Run an experiment of the literature in full; leave figures and labelled data."""
    from deeplinear import reproduce as experiment

    with _one_sentence():
        preset = presets.PRESETS[one_of("NAME", name, tuple(presets.PRESETS))]
        seed = experiment.check_seed("--seed", preset.seed if seed is None else seed)
        if threads is not None:
            positive_integer("--threads", threads)
        one_of("--dtype", dtype, DTYPES)
        require("'deeplinear reproduce'", "matplotlib", *experiment.SAVE_MODULES)
        writable_directory("--out", out)
    if quick:
        preset = preset.quick()
    try:
        dataset = experiment.run(preset, seed=seed, threads=threads, dtype=dtype)
        _finish(dataset, preset, out)
    except Interrupted as stopped:
        finished = stopped.dataset.sizes["run"]
        if finished == 0:
            _stop("stopped before a run had finished; nothing was written.", INTERRUPTED)
        path = experiment.save(stopped.dataset, out, f"{preset.name}-partial")
        _stop(
            f"stopped; the {finished:,} of {preset.runs:,} runs that had finished are in {path}.",
            INTERRUPTED,
        )
    except KeyboardInterrupt:
        _stop(f"stopped; what was complete is in {out}.", INTERRUPTED)
    except BrokenPipeError:  # typer ends quietly where nobody reads on
        raise
    except OSError as error:
        _stop(f"--out could not be written: {error.strerror or error}.", 1)


def _finish(dataset: xr.Dataset, preset: Preset, out: Path) -> None:
    """Write the files, and say what came out."""
    from deeplinear import figures
    from deeplinear import reproduce as experiment

    paths = [experiment.save(dataset, out)]
    _print_bounds(dataset)
    _print_table(dataset)
    paths += figures.draw(dataset, out)
    print(f"{preset.runs:,} runs, {preset.steps / 1e6:.3g} million gradient steps, in ", end="")
    print(f"{dataset.attrs['simulation_seconds']:.2f} s of simulation:")
    for path in paths:
        print(f"  {path}")


def _print_bounds(dataset: xr.Dataset) -> None:
    """Print what was run, and the bounds that hold for it."""
    attrs = dataset.attrs
    print(f"{attrs['title']}: n = {attrs['n']}, d = {attrs['d']}, ", end="")
    print(f"L = {attrs['depth']}, seed {attrs['seed']}")
    for value, symbol, meaning in (
        ("sharpness_lower_bound", "2La", "no minimizer is flatter"),
        ("small_scale_sharpness_bound", "8L Lambda", "training from small scales ends below"),
        ("critical_learning_rate", "1/(La)", "no larger learning rate settles on a minimizer"),
    ):
        print(f"  {symbol:9} = {attrs[value]:<8.4g} {meaning}")


def _print_table(dataset: xr.Dataset) -> None:
    """Print what came out per learning rate: a table, or a list where the terminal is narrow."""
    rows = _rows(dataset)
    console = Console()
    if console.width >= 80:
        table = Table(*rows[0], box=box.SIMPLE_HEAD, pad_edge=False)
        for column in table.columns:
            column.justify = "right"
        for row in rows:
            table.add_row(*row.values())
        console.print(table)
    else:
        for row in rows:
            print()
            for heading, text in row.items():
                print(f"{text:>9} {heading}")
    limit = dataset.attrs["reached_below"]
    console.print(
        "* above 1/(La). A run reached a minimizer where its excess risk over the last "
        f"{dataset.attrs['reached_for_steps']} steps is at most {limit:g} of the zero map's. "
        "Medians are over the runs that did not diverge.\n",
        highlight=False,
    )


def _rows(dataset: xr.Dataset) -> list[dict[str, str]]:
    """Count and summarize the runs of every learning rate: text by heading."""
    smallest = float(dataset["scale"].min())
    rows = []
    for rate in sorted(set(dataset["learning_rate"].values.tolist())):
        runs = dataset.isel(run=dataset["learning_rate"].values == rate)
        diverged = runs["status"].values == "diverged"
        final = runs["sharpness"].sel(record="end").values
        mark = " *" if rate > dataset.attrs["critical_learning_rate"] else "  "
        from_smallest = final[~diverged & (runs["scale"].values == smallest)]
        rows.append(
            {
                "learning rate": f"{rate:g}{mark}",
                "2/eta": f"{2 / rate:.4g}",
                "runs": str(runs.sizes["run"]),
                "reached a minimizer": str(int(runs["reached"].sum())),
                "diverged": str(int(diverged.sum())),
                "median final sharpness": _median(final[~diverged]),
                f"the same, from scale {smallest:g}": _median(from_smallest),
            }
        )
    return rows


def _median(values: FloatArray) -> str:
    return f"{np.median(values):.4g}" if values.size else "-"
