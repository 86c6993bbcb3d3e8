"""Figures of experiments, for print and for the report.

Each is drawn from the dataset alone, as `run` of an experiment returns it and `save` writes it.
Runs that diverged count in the probability of divergence, and nowhere else: where all did there is
no point.

A figure is a module with a `Drawing` by the name ``DRAWING``, and its line in the list below.
Matplotlib is loaded when one is drawn.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deeplinear._support.checks import one_of
from deeplinear._support.files import writable_directory, write_file
from deeplinear.experiments.figures import (
    alignment_curves,
    alignment_scales,
    curves,
    depth_scaling,
    depths,
    distance_by_scale,
    divergence_by_scale,
    flow_and_descent,
    generalization,
    sharpness_by_scale,
    tightness,
)
from deeplinear.experiments.figures.drawing import Drawing
from deeplinear.experiments.figures.phase_diagram import phase_diagram
from deeplinear.experiments.figures.style import darken, style
from deeplinear.experiments.results.statistics import median_interval, wilson_interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = [
    "FIGURES",
    "FIGURE_NAMES",
    "FIGURE_NEEDS",
    "Drawing",
    "caption",
    "darken",
    "distance",
    "divergence",
    "draw",
    "median_interval",
    "phase_diagram",
    "sharpness",
    "style",
    "svg",
    "wilson_interval",
    "write",
]

_ALL: tuple[Drawing, ...] = (
    sharpness_by_scale.DRAWING,
    distance_by_scale.DRAWING,
    divergence_by_scale.DRAWING,
    generalization.DRAWING,
    curves.DRAWING,
    depths.DRAWING,
    alignment_curves.DRAWING,
    alignment_scales.DRAWING,
    flow_and_descent.DRAWING,
    depth_scaling.DRAWING,
    tightness.DRAWING,
)

#: The figures by name.
FIGURES: Mapping[str, Drawing] = MappingProxyType({drawing.name: drawing for drawing in _ALL})
#: Their names.
FIGURE_NAMES = tuple(FIGURES)
#: The figures that a preset can ask for, with what each needs to be recorded.
FIGURE_NEEDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {drawing.name: drawing.needs for drawing in _ALL}
)

sharpness, distance, divergence = (FIGURES[name] for name in FIGURE_NAMES[:3])

# No time and no version in the files.
_METADATA: Mapping[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}


def _chosen(argument: str, name: str) -> Drawing:
    return FIGURES[one_of(argument, name, FIGURE_NAMES)]


def caption(name: str) -> str:
    """Say what a figure shows, as plain text.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    """
    return _chosen("name", name).caption


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
    drawing = _chosen("name", name)
    with style(narrow=narrow):
        figure = drawing(dataset)
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
        for key, drawing in chosen.items():
            paths += write(drawing(dataset), folder / f"{prefix}-{key}")
    return paths


def write(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PDF, PNG and SVG, in the style that is in use.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    stem : Path
        The files' name without its ending.

    Raises
    ------
    OSError
        If a file cannot be written; an older one is as it was.
    """
    paths = []
    for ending, entries in _METADATA.items():
        path = stem.with_name(f"{stem.name}.{ending}")
        content = io.BytesIO()
        figure.savefig(content, format=ending, metadata=entries)
        write_file(path, content.getbuffer())
        paths.append(path)
    return paths
