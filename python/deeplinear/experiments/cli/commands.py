"""The commands of the console script ``deeplinear``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.core import TyperGroup

from deeplinear._support.checks import describe, one_of, positive_integer
from deeplinear._support.files import check_replaceable, require, user_path, writable_directory
from deeplinear._support.signals import at_once, uninterrupted
from deeplinear._support.terminal import print_version, say, unwritten
from deeplinear.experiments import library as presets
from deeplinear.options import DTYPES

if TYPE_CHECKING:
    import xarray as xr

    from deeplinear.experiments.preset import Preset

#: What the shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
#: The name that stands for all presets.
ALL = "all"


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run a command; where Ctrl-C came and nothing is to be said of it, it ends quietly."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _stop("stopped.", INTERRUPTED)


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


def _stop(sentence: str, code: int) -> NoReturn:
    say(sentence)
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
    except MemoryError as error:
        _stop(str(error) or "out of memory.", 1)


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
    with _one_sentence():
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

    with _one_sentence():
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

    with _one_sentence():
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
    """Check everything, then run one experiment after another, and write the report."""
    with at_once(), _one_sentence():
        from deeplinear import Interrupted
        from deeplinear.experiments import report
        from deeplinear.experiments import run as experiment
        from deeplinear.experiments.cli import summaries
        from deeplinear.experiments.results.netcdf import GOOD
        from deeplinear.experiments.results.netcdf import verify as verify_all
        from deeplinear.experiments.toml import WRITE_MODULES

    with _one_sentence():
        if seed is not None:
            experiment.check_seed("--seed", seed)
        if threads is not None:
            positive_integer("--threads", threads)
        one_of("--dtype", dtype, DTYPES)
        require("An experiment", *report.REPORT_MODULES, *WRITE_MODULES)
        out = writable_directory("--out", out)
        if quick:
            chosen = [preset.quick() for preset in chosen]
        chosen = [p if seed is None else replace(p, seed=seed) for p in chosen]
        for preset in chosen:
            _check_free(preset, out, dtype, overwrite)
        check_replaceable("--out", out / "index.html")
    done: list[xr.Dataset] = []
    for preset in chosen:
        if done:
            print()
        try:
            done.append(_one(preset, out, threads, dtype, overwrite))
        except Interrupted as stopped:
            _keep(stopped.dataset, preset, out)
        except KeyboardInterrupt:
            _stop(f"stopped; what was complete is in {out}.", INTERRUPTED)
        except ValueError as error:
            _stop(f"{preset.name}: {error}", 2)
        except MemoryError as error:
            _stop(f"{preset.name}: {str(error) or 'out of memory.'}", 1)
        except BrokenPipeError:  # typer ends quietly where nobody reads on
            raise
        except OSError as error:
            _stop(f"--out could not be written: {error.strerror or error}.", 1)
    try:
        with uninterrupted():
            page = report.write(out)
    except KeyboardInterrupt:
        _stop("stopped; 'deeplinear report' writes the report of what is there.", INTERRUPTED)
    except (OSError, ValueError, MemoryError) as error:
        whole = [name for name, verdict in verify_all(out).items() if verdict in GOOD]
        files = [f"{preset.name}.nc" for preset in chosen]
        _stop(unwritten("the report", error, [out / name for name in files if name in whole]), 1)
    print(f"\nThe report: {page}")
    if len(done) > 1:
        print()
        summaries.print_totals(done)


@app.command("report")
def write_report(
    directory: Annotated[
        Path, typer.Argument(help="Where experiments left their data.", metavar="DIR")
    ],
) -> None:
    """Write the report of the experiments in a directory, index.html."""
    from deeplinear.experiments import report

    with _one_sentence():
        directory = user_path("DIR", directory)
        if not directory.is_dir():
            raise ValueError(f"DIR must be a directory; got {describe(str(directory))}.")
        try:
            with uninterrupted():
                page = report.write(directory)
        except OSError as error:
            _stop(f"DIR could not be written: {error.strerror or error}.", 1)
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

    with _one_sentence():
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
        _stop(f"{bad} of {len(found)} files are damaged or could not be read.", 1)


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

    with _one_sentence():
        benchmark = Bench(
            only or (), quick=quick, full=full, threads=threads, markdown=markdown, json_file=json
        )
    try:
        complete = benchmark.run()
    except BrokenPipeError:
        raise
    except OSError as error:
        _stop(f"--json could not be written: {error.strerror or error}.", 1)
    if not complete:
        kept = "; the tables show what was measured" if benchmark.done else ""
        _stop(f"stopped{kept}.", INTERRUPTED)


def _check_free(preset: Preset, out: Path, dtype: str, overwrite: bool) -> None:
    """Refuse a directory that holds other data under the experiment's name, or data in use."""
    from deeplinear.experiments.run import difference

    path = out / f"{preset.name}.nc"
    check_replaceable("--out", path)
    other = difference(preset, path, dtype=dtype) if path.exists() else None
    if other is not None and not overwrite:
        raise ValueError(f"--out is in use: {path} holds {other}; --replace replaces it.")


def _one(preset: Preset, out: Path, threads: int | None, dtype: str, overwrite: bool) -> xr.Dataset:
    """Run an experiment that is not there yet; draw its figures and say what came out."""
    from deeplinear.experiments import figures
    from deeplinear.experiments import run as experiment
    from deeplinear.experiments.cli import summaries
    from deeplinear.experiments.results.store import remove_parts, save_new

    def save(dataset: xr.Dataset, folder: Path) -> Path:
        if overwrite:
            return experiment.save(dataset, folder)
        return save_new(dataset, preset, folder, dtype)

    path = out / f"{preset.name}.nc"
    dataset = experiment.finished(preset, out, dtype=dtype)
    if dataset is not None:
        print(f"{preset.name} is in {path} with these settings, and is not run again.")
    else:
        held = experiment.difference(preset, path, dtype=dtype) if path.exists() else None
        earlier = experiment.unfinished(preset, out, dtype=dtype)
        if earlier is not None:
            print(
                f"{_count(earlier):,} of {preset.runs:,} runs of {preset.name} had finished when "
                "it was stopped, and are not run again."
            )
        dataset = experiment.run(preset, threads=threads, dtype=dtype, resume=earlier)
        with uninterrupted():
            saved = _save(save, dataset, out)
        if saved != path:
            _stop(
                f"--out is in use: {path} holds data of other settings, which came while "
                f"{preset.name} ran; its own are in {saved}, and with --replace they go there.",
                1,
            )
        if held is not None:
            which = f"which held {held}" if " data" in held else "of other settings"
            print(f"{path}, {which}, was replaced.")
        remove_parts(preset, out, dtype)
    try:
        with uninterrupted():
            drawn = figures.draw(dataset, out)
    except (OSError, ValueError, MemoryError) as error:
        _stop(f"{preset.name}: {unwritten('the figures', error, [path])}", 1)
    summaries.print_summary(preset, dataset)
    for file in (path, *drawn):
        print(f"  {file}")
    return dataset


def _count(dataset: xr.Dataset) -> int:
    """Count the runs that had finished."""
    return int((dataset["status"] != "unfinished").sum())


def _save(save: Callable[[xr.Dataset, Path], Path], dataset: xr.Dataset, out: Path) -> Path:
    """Save data; where that is not possible, beside the system's temporary files, and end."""
    try:
        return save(dataset, out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).removesuffix(".")
    try:
        folder = Path(tempfile.mkdtemp(prefix="deeplinear-"))
        with ExitStack() as failed:
            failed.callback(folder.rmdir)
            path = save(dataset, folder)
            failed.pop_all()
    except (OSError, ValueError):
        _stop(f"--out could not be written: {reason}.", 1)
    _stop(f"--out could not be written: {reason}; the data are in {path}.", 1)


def _keep(dataset: xr.Dataset, preset: Preset, out: Path) -> NoReturn:
    """Save the runs that had finished when Ctrl-C came, and end."""
    from deeplinear.experiments.run import keep

    if dataset.sizes["run"] == 0:
        _stop(f"stopped before a run of {preset.name} had finished.", INTERRUPTED)
    path = _save(keep, dataset, out)
    _stop(
        f"stopped; the {_count(dataset):,} of {preset.runs:,} runs that had finished are in "
        f"{path}.",
        INTERRUPTED,
    )
