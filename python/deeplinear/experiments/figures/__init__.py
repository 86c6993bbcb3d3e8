"""Figures of experiments, for print and for the report.

Each is drawn from the dataset alone, as `run` of an experiment returns it and `save` writes it.
Runs that diverged count in the probability of divergence, and nowhere else: where all did there is
no point.

Notes
-----
Sharpness and distance are medians over runs. Their bands are distribution-free 95 % confidence
intervals of the median: of n sorted values, from number k to number n + 1 - k with the largest k
such that ``1 - 2 P(B < k) >= 0.95`` for B binomial of n trials of probability 1/2. Fewer than six
values have no such k, and no band. The band of a probability is Wilson's 95 % interval.
"""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import xarray as xr

from deeplinear._support.checks import one_of
from deeplinear._support.files import writable_directory, write_file
from deeplinear.experiments.figures.alignment import alignment_curves, alignment_scales
from deeplinear.experiments.figures.depths import depths
from deeplinear.experiments.figures.extremes import depth_scaling, tightness
from deeplinear.experiments.figures.generalization import generalization
from deeplinear.experiments.figures.scales import distance, divergence, sharpness
from deeplinear.experiments.figures.statistics import median_interval, wilson_interval
from deeplinear.experiments.figures.style import Draw, darken, style
from deeplinear.experiments.figures.training import curves, flow_and_descent

__all__ = [
    "FIGURES",
    "caption",
    "darken",
    "distance",
    "divergence",
    "draw",
    "median_interval",
    "sharpness",
    "style",
    "svg",
    "wilson_interval",
]

#: The figures by name.
FIGURES: Mapping[str, Draw] = MappingProxyType(
    {
        "sharpness": sharpness,
        "distance": distance,
        "divergence": divergence,
        "generalization": generalization,
        "curves": curves,
        "depths": depths,
        "alignment-curves": alignment_curves,
        "alignment-scales": alignment_scales,
        "flow-and-descent": flow_and_descent,
        "depth-scaling": depth_scaling,
        "tightness": tightness,
    }
)

# No time and no version in the files.
_METADATA: Mapping[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}


def _chosen(argument: str, name: str) -> Draw:
    return FIGURES[one_of(argument, name, tuple(FIGURES))]


def caption(name: str) -> str:
    """Say what a figure shows: the first paragraphs of its documentation, as plain text.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    """
    text = (
        inspect.cleandoc(_chosen("name", name).__doc__ or "").replace("`", "").removeprefix("Draw ")
    )
    return " ".join((text[:1].upper() + text[1:]).split())


def svg(dataset: xr.Dataset, name: str, *, dark: bool = False, narrow: bool = False) -> str:
    """Draw a figure as SVG, its text as paths, on a transparent ground.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `deeplinear.experiments.run.run` returned or `save` wrote.
    name : str
        One of `FIGURES`.
    dark : bool, default False
        Whether it is for a dark page.
    narrow : bool, default False
        Whether it is for a phone: half as wide, with the legend below the axes.

    Returns
    -------
    str
        The same for the same data.
    """
    figure_of = _chosen("name", name)
    with style(narrow=narrow):
        figure = figure_of(dataset)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_METADATA["svg"], transparent=True)
    return darken(file.getvalue()) if dark else file.getvalue()


def draw(
    dataset: xr.Dataset, directory: str | os.PathLike[str], name: str | None = None
) -> list[Path]:
    """Write the figures that the experiment asks for as PDF, PNG and SVG.

    The same data give the same files.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `deeplinear.experiments.run.run` returned or `save` wrote.
    directory : path-like
        Where to; made if it is not there.
    name : str, optional
        What the files' names begin with, the experiment's name by default.

    Returns
    -------
    list of Path
        ``NAME-sharpness.pdf``, ``NAME-sharpness.png``, ``NAME-sharpness.svg`` and so on.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If the directory cannot be written, or the experiment asks for a figure that is not one of
        `FIGURES`.
    OSError
        If a file cannot be written; an older one is as it was.
    """
    folder = writable_directory("directory", directory)
    prefix = dataset.attrs["experiment"] if name is None else name
    names = dataset.attrs["figures"].split()
    chosen = {key: _chosen("figures of the dataset", key) for key in names}
    paths = []
    with style():
        for key, figure_of in chosen.items():
            figure = figure_of(dataset)
            for ending, entries in _METADATA.items():
                path = folder / f"{prefix}-{key}.{ending}"
                content = io.BytesIO()
                figure.savefig(content, format=ending, metadata=entries)
                write_file(path, content.getbuffer())
                paths.append(path)
    return paths
