"""Runs experiments one after another, and says what became of each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import xarray as xr

from deeplinear import Interrupted
from deeplinear._support.checks import one_of, positive_integer
from deeplinear._support.files import (
    check_replaceable,
    none_left_empty,
    require,
    user_path,
    writable_directory,
)
from deeplinear._support.signals import uninterrupted
from deeplinear._support.terminal import unwritten
from deeplinear._support.toml import WRITE_MODULES
from deeplinear.experiments import figures, report
from deeplinear.experiments import run as experiment
from deeplinear.experiments.cli import INTERRUPTED, summaries
from deeplinear.experiments.cli.endings import one_sentence, stop
from deeplinear.experiments.preset import Preset
from deeplinear.experiments.results.netcdf import GOOD, verify
from deeplinear.experiments.results.runs import Runs
from deeplinear.experiments.results.store import remove_parts, save_new
from deeplinear.options import DTYPES

__all__ = ["run_experiments"]


def run_experiments(
    chosen: Sequence[Preset],
    out: Path,
    quick: bool,
    seed: int | None,
    threads: int | None,
    dtype: str,
    overwrite: bool,
) -> None:
    """Check everything, then run one experiment after another, and write the report.

    Where nothing comes of it, no directory is left.
    """
    with one_sentence():
        folder = user_path("--out", out)
    with none_left_empty(folder):
        _run_all(chosen, folder, quick, seed, threads, dtype, overwrite)


def _run_all(
    chosen: Sequence[Preset],
    out: Path,
    quick: bool,
    seed: int | None,
    threads: int | None,
    dtype: str,
    overwrite: bool,
) -> None:
    with one_sentence():
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
            stop(f"stopped; what was complete is in {out}.", INTERRUPTED)
        except ValueError as error:
            stop(f"{preset.name}: {error}", 2)
        except MemoryError as error:
            stop(f"{preset.name}: {str(error) or 'out of memory.'}", 1)
        except BrokenPipeError:  # typer ends quietly where nobody reads on
            raise
        except OSError as error:
            stop(f"--out could not be written: {error.strerror or error}.", 1)
    try:
        with uninterrupted():
            page = report.write(out)
    except KeyboardInterrupt:
        stop("stopped; 'deeplinear report' writes the report of what is there.", INTERRUPTED)
    except (OSError, ValueError, MemoryError) as error:
        whole = [name for name, verdict in verify(out).items() if verdict in GOOD]
        files = [f"{preset.name}.nc" for preset in chosen]
        stop(unwritten("the report", error, [out / name for name in files if name in whole]), 1)
    print(f"\nThe report: {page}")
    if len(done) > 1:
        print()
        summaries.print_totals(done)


def _check_free(preset: Preset, out: Path, dtype: str, overwrite: bool) -> None:
    """Refuse a directory that holds other data under the experiment's name, or data in use."""
    path = out / f"{preset.name}.nc"
    check_replaceable("--out", path)
    other = experiment.difference(preset, path, dtype=dtype) if path.exists() else None
    if other is not None and not overwrite:
        raise ValueError(f"--out is in use: {path} holds {other}; --replace replaces it.")


def _one(preset: Preset, out: Path, threads: int | None, dtype: str, overwrite: bool) -> xr.Dataset:
    """Run an experiment that is not there yet; draw its figures and say what came out."""

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
                f"{Runs(earlier).ended.sum():,} of {preset.runs:,} runs of {preset.name} had "
                "finished when it was stopped, and are not run again."
            )
        dataset = experiment.run(preset, threads=threads, dtype=dtype, resume=earlier)
        with uninterrupted():
            saved = _save(save, dataset, out)
        if saved != path:
            stop(
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
        stop(f"{preset.name}: {unwritten('the figures', error, [path])}", 1)
    summaries.print_summary(preset, dataset)
    for file in (path, *drawn):
        print(f"  {file}")
    return dataset


def _save(save: Callable[[xr.Dataset, Path], Path], dataset: xr.Dataset, out: Path) -> Path:
    """Save data; where that is not possible, elsewhere, and end."""
    try:
        return save(dataset, out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).removesuffix(".")
    return _save_elsewhere(save, dataset, reason)


def _save_elsewhere(
    save: Callable[[xr.Dataset, Path], Path], dataset: xr.Dataset, reason: str
) -> NoReturn:
    """Save data beside the system's temporary files, and end."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="deeplinear-"))
        with ExitStack() as failed:
            failed.callback(folder.rmdir)
            path = save(dataset, folder)
            failed.pop_all()
    except (OSError, ValueError):
        stop(f"--out could not be written: {reason}.", 1)
    stop(f"--out could not be written: {reason}; the data are in {path}.", 1)


def _keep(dataset: xr.Dataset, preset: Preset, out: Path) -> NoReturn:
    """Save the runs that had finished when Ctrl-C came, and end."""
    if dataset.sizes["run"] == 0:
        stop(f"stopped before a run of {preset.name} had finished.", INTERRUPTED)
    path = _save(experiment.keep, dataset, out)
    count = f"{Runs(dataset).ended.sum():,} of {preset.runs:,} runs"
    stop(f"stopped; the {count} that had finished are in {path}.", INTERRUPTED)
