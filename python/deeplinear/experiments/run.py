"""Runs a preset, and keeps what came out with every setting that led to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import numpy.typing as npt
import xarray as xr

import deeplinear as dl
from deeplinear._support.checks import instance_of
from deeplinear._support.progress import Update, progress_bar
from deeplinear.experiments.preset import Preset, Problem, check_seed, initial_seeds
from deeplinear.experiments.results.partials import Earlier, Key, key_of, unconverged
from deeplinear.experiments.results.store import (
    SAVE_MODULES,
    difference,
    environment,
    finished,
    keep,
    save,
    seeded,
    unfinished,
)
from deeplinear.experiments.table import (
    REACHED,
    REACHED_NONLINEAR,
    Block,
    BlockRuns,
    assemble,
    lacking,
    reached_below,
    trained_runs,
)
from deeplinear.experiments.toml import to_toml
from deeplinear.experiments.training import SETTLED_FOR
from deeplinear.options import check_dtype

__all__ = [
    "REACHED",
    "REACHED_NONLINEAR",
    "SAVE_MODULES",
    "SETTLED_FOR",
    "check_seed",
    "difference",
    "finished",
    "initial_seeds",
    "keep",
    "run",
    "save",
    "unfinished",
]


def run(
    preset: Preset,
    *,
    seed: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    progress: bool | Update = True,
    resume: xr.Dataset | None = None,
) -> xr.Dataset:
    """Run an experiment.

    Parameters
    ----------
    preset : Preset
        The experiment.
    seed : int, optional
        From 0 to 2^32 - 1, the preset's by default: the data and the readout are drawn from it,
        and the initial weights have the `initial_seeds` of it, so another seed gives other data
        and other runs.
    threads, dtype
        As of `deeplinear.simulate`.
    progress : bool or callable, default True
        Whether to show one progress bar on a terminal; or a function that is called with the
        share of all work that is done, as of `deeplinear.simulate`.
    resume : xarray.Dataset, optional
        What an earlier try left, the ``dataset`` of its `Interrupted` or what `unfinished` found:
        its finished runs are not run again, and the result is as if nothing had stopped, to the
        bit.

    Returns
    -------
    xarray.Dataset
        Dimensions ``run`` and ``record``. Record 0 is the start, the last one the end, called
        "start" and "end" where there are no others. A part of the training with fewer records
        than the longest has NaN in between.

        Coordinates of ``run``: ``part`` (number of the training), ``problem``, ``depth``,
        ``scale``, ``learning_rate`` (NaN for gradient flow), ``dynamics``, ``seed``, and the
        labels of the problems.

        Variables: what was recorded (run, record), with ``layer`` or ``pair`` as of
        `deeplinear.simulate`, beside ``time`` and ``step``; ``status`` (run); ``reached`` (run),
        whether the excess risk at the end, and for gradient descent `SETTLED_FOR` steps or one
        record before (``risk_before_end``), is at most `REACHED` of the zero map's (of nonlinear
        networks the risk itself, and `REACHED_NONLINEAR`); ``steps`` and
        ``last_step`` (run), to take (NaN for gradient flow) and taken; the bounds of
        `deeplinear.theory` for the run's problem and depth (run); the data ``X``, ``y`` and
        ``minimizer`` by problem; ``weights`` (run, parameter) at the end, where they are not many.

        Attributes: the settings, ``preset`` (as TOML) among them, and the seconds that the
        simulation took.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above; before any work starts.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose ``dataset`` is as above, of the finished runs, those
        of `resume` among them.
    """
    preset = seeded(preset, seed)
    text = to_toml(preset)
    dtype = check_dtype(dtype)
    blocks = list(_blocks(preset, dtype))
    problems = _problems(preset, blocks)
    settings = _settings(preset, text, threads, dtype)
    _check_resume(resume, preset, settings)
    earlier = Earlier(preset, blocks, resume)
    cells = {key_of(block): block.cells() for block in blocks}
    missing = {key_of(block): earlier.missing(block, cells[key_of(block)]) for block in blocks}
    shares = [len(missing[key_of(block)]) / len(cells[key_of(block)]) for block in blocks]
    works = [_work(preset, block) * share for block, share in zip(blocks, shares, strict=True)]
    done = sum(_work(preset, block) for block in blocks) - sum(works)
    ends = list(accumulate(works, initial=done))[1:]
    total = ends[-1]
    swept: dict[Key, BlockRuns] = {}
    accuracy = list(earlier.accuracy)
    stopped: dict[Key, dict[str, int]] = {}
    interrupted = False
    start = time.perf_counter()
    description = f"{preset.name}: {preset.runs:,} runs"
    with progress_bar(progress, description) as update:
        try:
            for block, work, end in zip(blocks, works, ends, strict=True):
                key = key_of(block)
                if not missing[key]:
                    continue
                try:
                    dataset = _train(
                        block,
                        missing[key],
                        threads=threads,
                        progress=lambda x, w=work, e=end: update((e - (1 - x) * w) / total),  # type: ignore[misc]
                    )
                except dl.Interrupted as reason:
                    dataset, interrupted = reason.dataset, True
                    stopped[key] = unconverged(dataset)
                swept[key] = trained_runs(preset, block, dataset)
                accuracy.append(dataset.drop_vars("weights"))
                if interrupted:
                    break
        except KeyboardInterrupt:  # between two simulations
            interrupted = True
    seconds = time.perf_counter() - start
    merged = [earlier.merged(b, cells[key_of(b)], swept.get(key_of(b))) for b in blocks]
    parts = [part for part in merged if part is not None]
    if not parts:
        raise KeyboardInterrupt
    dataset = assemble(preset, problems, parts, accuracy)
    dataset.attrs = settings
    dataset.attrs["simulation_seconds"] = seconds + earlier.seconds
    if interrupted:
        earlier.mark(dataset.attrs, stopped, swept.keys() - stopped.keys())
        raise dl.Interrupted(dataset)
    return dataset


def _check_resume(resume: xr.Dataset | None, preset: Preset, settings: dict[str, Any]) -> None:
    """Refuse runs that this experiment would not give."""
    if resume is None:
        return
    wanted = environment(settings)
    for name, value in environment(instance_of("resume", resume, xr.Dataset).attrs).items():
        if value != wanted[name]:
            other = "" if name == "preset" else f", {name.replace('_', ' ')} {value}"
            raise ValueError(f"resume must hold runs of the same settings; got others{other}.")
    if lack := lacking(preset, resume):
        raise ValueError(f"resume must hold what an experiment records; got no {lack}.")


def _blocks(preset: Preset, dtype: str) -> Iterator[Block]:
    """Cut the sweeps of an experiment: part by part, problem by problem, depth by depth."""
    parts = zip(preset.training, preset.sweeps(dtype), strict=True)
    for i, (training, sweep) in enumerate(parts):
        for k, (_, landscape) in enumerate(sweep.landscapes()):
            yield Block(i, training, sweep, k // len(preset.network.depths), landscape)


def _problems(preset: Preset, blocks: list[Block]) -> list[Problem]:
    """Return the data of all blocks, and their labels."""
    found = {block.problem: block.regression for block in blocks}
    return [Problem(found[j], labels) for j, labels in enumerate(preset.data.labels())]


def _work(preset: Preset, block: Block) -> float:
    """Estimate the work of a block, in steps times layers; for the progress alone."""
    training, depths = block.training, len(preset.network.depths)
    runs = preset.cells(training) * training.runs / (preset.data.count * depths)
    # An adaptive step is as long as the curvature lets it, about 0.1 at sharpness 20.
    steps = training.steps if training.steps is not None else 10 * (training.time or 0.0)
    return runs * steps * block.depth


def _train(
    block: Block, cells: list[dict[str, Any]], *, threads: int | None, progress: Update
) -> xr.Dataset:
    """Train the cells of a block."""
    sweep = block.sweep
    return dl.sweep_runs(
        block.landscape,
        sweep.init,
        sweep.dynamics,
        runs=cells,
        threads=threads,
        progress=progress,
        **sweep.arguments,
    )


def _settings(preset: Preset, text: str, threads: int | None, dtype: str) -> dict[str, Any]:
    """Every setting, as text and numbers that netCDF holds."""
    build = dl.build_config()
    # of networks of all depths
    readout = preset.network.network(preset.data.d, 1, preset.seed).readout_vector
    return {
        "experiment": preset.name,
        "title": preset.title,
        "preset": text,
        "n": preset.data.n,
        "d": preset.data.d,
        "network": preset.network.kind,
        "activation": preset.network.activation,
        "readout": readout if len(readout) > 1 else readout.item(),  # as it comes from a file
        "init": type(preset.init).__name__,
        "record": " ".join(preset.record),
        "figures": " ".join(preset.figures),
        "seed": preset.seed,
        "dtype": dtype,
        "threads": build["threads"] if threads is None else threads,
        "reached_below": reached_below(preset.network.linear),
        "reached_for_steps": SETTLED_FOR,
        "deeplinear_version": build["version"],
        "compiler": build["compiler"],
        "simd": build["simd"],
    }
