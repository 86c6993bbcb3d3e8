"""What the command line prints of an experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich import box
from rich.console import Console
from rich.table import Table

from deeplinear._support.checks import FloatArray
from deeplinear.experiments.preset import Preset
from deeplinear.experiments.results.runs import Runs, endings

__all__ = ["print_summary", "print_totals"]


def print_summary(preset: Preset, dataset: xr.Dataset) -> None:
    """Say what was run and what came out, ending with the line above the list of its files.

    One problem and depth, of which gradient descent has recorded the start and the end: the bounds
    and a table of the learning rates. Otherwise a line.
    """
    attrs = dataset.attrs
    depths = ", ".join(map(str, preset.network.depths))
    print(f"{attrs['title']}: n = {attrs['n']}, d = {attrs['d']}, ", end="")
    print(f"L = {depths}, seed {attrs['seed']}")
    by_rate = all(part.learning_rates and part.every is None for part in preset.training)
    if by_rate and preset.data.count == len(preset.network.depths) == 1:
        _print_bounds(dataset)
        _print_table(dataset)
    else:
        _print_line(dataset)
    steps = f", {_millions(dataset):.3g} million gradient steps" if preset.steps else ""
    seconds = attrs["simulation_seconds"]
    print(f"{preset.runs:,} runs{steps}, in {seconds:.2f} s of simulation:")


def _millions(dataset: xr.Dataset) -> float:
    """Count the steps of gradient descent; those that a run did not take since it diverged too."""
    early = dataset["status"].values == "converged"
    steps = np.where(early, dataset["last_step"].values, dataset["steps"].values)
    return float(steps[np.isfinite(dataset["steps"].values)].sum()) / 1e6


def _print_bounds(dataset: xr.Dataset) -> None:
    """Print the bounds that hold for the one problem and depth."""
    if dataset.attrs["activation"] != "identity":
        print("  linear networks on these data, as a guide:")
    for name, symbol, meaning in (
        ("sharpness_lower_bound", "2La", "no minimizer is flatter"),
        ("small_scale_sharpness_bound", "8L Lambda", "training from small scales ends below"),
        ("critical_learning_rate", "1/(La)", "no larger learning rate settles on a minimizer"),
    ):
        print(f"  {symbol:9} = {float(dataset[name][0]):<8.4g} {meaning}")


def _print_line(dataset: xr.Dataset) -> None:
    """Print how many runs reached a minimizer or diverged, and the range of final sharpness."""
    runs = Runs(dataset)
    reached = runs.reached
    line = f"  {reached.sum():,} of {len(reached):,} runs reached a minimizer, "
    line += endings(runs.status)
    if reached.any() and "sharpness" in dataset:
        final = runs.end("sharpness")[reached]
        line += f"; sharpness there {final.min():.4g} to {final.max():.4g}"
    print(line)


def _print_table(dataset: xr.Dataset) -> None:
    """Print what came out per learning rate."""
    console = _print_lines(_by_rate(Runs(dataset)))
    limit = dataset.attrs["reached_below"]
    console.print(
        "* above 1/(La). A run reached a minimizer where its excess risk over the last "
        f"{dataset.attrs['reached_for_steps']} steps is at most {limit:g} of the zero map's. "
        "Medians are over the runs that did not diverge.\n",
        highlight=False,
    )


def _print_lines(lines: Sequence[dict[str, str]]) -> Console:
    """Print a table, or a list where the terminal is narrow."""
    console = Console()
    if console.width >= 80:
        table = Table(*lines[0], box=box.SIMPLE_HEAD, pad_edge=False)
        for column in table.columns:
            column.justify = "right"
        for line in lines:
            table.add_row(*line.values())
        console.print(table)
    else:
        for line in lines:
            print()
            for heading, text in line.items():
                print(f"{text:>9} {heading}")
    return console


def _by_rate(runs: Runs) -> list[dict[str, str]]:
    """Count and summarize the runs of every learning rate: text by heading."""
    smallest, critical = min(runs.scales), runs.first("critical_learning_rate")
    lines = []
    for rate, cell in runs.by("learning_rate"):
        line = {
            "learning rate": f"{rate:g}{' *' if rate > critical else '  '}",
            "2/eta": f"{2 / rate:.4g}",
            "runs": str(cell.count),
            "reached a minimizer": str(int(cell.reached.sum())),
            "diverged": str(int(cell.diverged.sum())),
        }
        if "sharpness" in runs.recorded:
            final, alive = cell.end("sharpness"), cell.arrived
            from_smallest = final[alive & (cell.column("scale") == smallest)]
            line["median final sharpness"] = _median(final[alive])
            line[f"the same, from scale {smallest:g}"] = _median(from_smallest)
        lines.append(line)
    return lines


def _median(values: FloatArray) -> str:
    return f"{np.median(values):.4g}" if values.size else "-"


def print_totals(datasets: Sequence[xr.Dataset]) -> None:
    """Print runs, steps and seconds of several experiments, and their sums."""
    columns = []
    for dataset in datasets:
        name, seconds = dataset.attrs["experiment"], dataset.attrs["simulation_seconds"]
        columns.append((name, dataset.sizes["run"], _millions(dataset), seconds))
    names, runs, steps, seconds = zip(*columns, strict=True)
    columns.append((f"{len(names)} experiments", sum(runs), sum(steps), sum(seconds)))
    print()
    _print_lines(
        [
            {
                "experiment": name,
                "runs": f"{count:,}",
                "million gradient steps": f"{million:.3g}" if million else "-",
                "seconds of simulation": f"{time:.2f}",
            }
            for name, count, million, time in columns
        ]
    )
